//! How a limit on the memory of the whole process is shared out.
//!
//! | share | of what is left after the program's own | for |
//! | --- | --- | --- |
//! | facts that wait to be merged | a quarter, 64 MiB at most | intake; the rest goes to a temporary file |
//! | pieces of work at once | a half | dates and buckets that are merged or metered side by side |
//! | the engine, with the relations registered in it | a half | rating, invoicing, reports; operators spill |
//!
//! Intake is over before the engine begins. What nobody counts (rows on their way between two operators, pages, files
//! that are being written) has to do with what is left over.

/// What the program takes before it has read anything: the pages of its own file, rules, templates, the catalog of a
/// small cloud. Of a small limit it may take a quarter, since pages of the file can be given back.
const PROGRAM_BYTES: usize = 128 << 20;

/// The least limit that leaves enough for anything.
pub const LEAST_BYTES: usize = 128 << 20;

/// How much memory the facts of one run take before they go to the disk, where there is no limit.
const ARRIVALS_BYTES: usize = 64 << 20;

/// The shares of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryShares {
    pub arrivals: usize,
    /// Without a limit there are as many pieces at once as there are threads.
    pub pieces: Option<usize>,
    pub engine: Option<usize>,
}

impl MemoryShares {
    pub fn of(limit_bytes: Option<usize>) -> Self {
        let left = limit_bytes.map(|limit| limit - PROGRAM_BYTES.min(limit / 4));
        Self {
            arrivals: left.map_or(ARRIVALS_BYTES, |left| ARRIVALS_BYTES.min(left / 4)),
            pieces: left.map(|left| left / 2),
            engine: left.map(|left| left / 2),
        }
    }

    /// How many of the pieces that come next fit at once: one at least, and no more than there are threads.
    pub fn pieces_at_once(&self, sizes: impl IntoIterator<Item = usize>, threads: usize) -> usize {
        let Some(mut left) = self.pieces else { return sizes.into_iter().take(threads.max(1)).count() };
        let mut count = 0;
        for size in sizes.into_iter().take(threads.max(1)) {
            if count > 0 && size > left {
                break;
            }
            left = left.saturating_sub(size);
            count += 1;
        }
        count
    }
}

/// The most memory that this process had, with the pages of its file; `None` where the system does not tell.
pub fn peak_bytes() -> Option<usize> {
    peak_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The high-water mark in a status of Linux (proc_pid_status(5)).
fn peak_in(status: &str) -> Option<usize> {
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_the_peak() {
        let status = "Name:\tconto\nVmPeak:\t 1234567 kB\nVmHWM:\t  491520 kB\nVmRSS:\t  100 kB\n";
        assert_eq!(peak_in(status), Some(480 << 20));
        assert_eq!((peak_in("VmHWM:\tmuch\n"), peak_in("")), (None, None));
    }

    #[test]
    fn shares_of_a_limit_are_parts_of_it() {
        let shares = MemoryShares::of(Some(128 << 20));
        assert_eq!(shares, MemoryShares { arrivals: 24 << 20, pieces: Some(48 << 20), engine: Some(48 << 20) });
        let shares = MemoryShares::of(Some(512 << 20));
        assert_eq!(shares, MemoryShares { arrivals: 64 << 20, pieces: Some(192 << 20), engine: Some(192 << 20) });
        assert_eq!(MemoryShares::of(None), MemoryShares { arrivals: 64 << 20, pieces: None, engine: None });
    }

    #[test]
    fn one_piece_is_always_done() {
        let shares = MemoryShares { pieces: Some(100), ..MemoryShares::of(None) };
        assert_eq!(shares.pieces_at_once([200, 10], 4), 1);
        assert_eq!(shares.pieces_at_once([60, 40, 1], 4), 2);
        assert_eq!(shares.pieces_at_once([10, 10, 10], 2), 2);
        assert_eq!(MemoryShares::of(None).pieces_at_once([usize::MAX, usize::MAX], 2), 2);
    }
}
