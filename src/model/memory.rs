//! The division of the memory limit of the process into shares.
//!
//! | share | part of the limit minus the program's own memory | use |
//! | --- | --- | --- |
//! | pending samples | a quarter, at most 64 MiB | intake before de-duplication; the rest goes to a temporary file |
//! | parallel work | a half | dates and shards that are de-duplicated or metered at the same time |
//! | engine, with its registered relations | a half | rating, invoicing, reports; operators spill |
//!
//! Intake ends before the engine starts. Uncounted memory uses the remainder: rows between two operators, pages, and
//! buffers of files.

/// The program's own memory: pages of the executable, rules, templates, and the catalog of a small cloud. It is at most
/// a quarter of the limit, because the system can drop pages of the executable.
const PROGRAM_BYTES: usize = 128 << 20;

/// The smallest limit with which every command can run.
pub const MIN_LIMIT_BYTES: usize = 128 << 20;

/// The maximum memory of pending samples, even without a limit. Further samples go to a temporary file.
const PENDING_SAMPLES_BYTES: usize = 64 << 20;

/// The shares of one process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryShares {
    pub pending_samples: usize,
    /// The memory of parallel work; absent: no limit, so that each thread has one item.
    pub parallel_work: Option<usize>,
    pub engine: Option<usize>,
}

impl MemoryShares {
    pub fn of(limit_bytes: Option<usize>) -> Self {
        let available = limit_bytes.map(|limit| limit - PROGRAM_BYTES.min(limit / 4));
        Self {
            pending_samples: available.map_or(PENDING_SAMPLES_BYTES, |bytes| PENDING_SAMPLES_BYTES.min(bytes / 4)),
            parallel_work: available.map(|bytes| bytes / 2),
            engine: available.map(|bytes| bytes / 2),
        }
    }

    /// The number of next items that fit into `parallel_work` together: at least one, at most the number of threads.
    pub fn parallel_items(&self, sizes: impl IntoIterator<Item = usize>, threads: usize) -> usize {
        let Some(mut left) = self.parallel_work else { return sizes.into_iter().take(threads.max(1)).count() };
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

/// The peak resident memory of this process, including the executable; `None` if the system does not report this value.
pub fn peak_bytes() -> Option<usize> {
    peak_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The peak resident memory in the text of a Linux status file (proc_pid_status(5)).
fn peak_in(status: &str) -> Option<usize> {
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    peak.trim().strip_suffix(" kB")?.parse::<usize>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_the_process_status() {
        let status = "Name:\tconto\nVmPeak:\t 1234567 kB\nVmHWM:\t  491520 kB\nVmRSS:\t  100 kB\n";
        assert_eq!(peak_in(status), Some(480 << 20));
        assert_eq!((peak_in("VmHWM:\tmuch\n"), peak_in("")), (None, None));
    }

    #[test]
    fn a_limit_is_divided_into_shares() {
        let shares = MemoryShares::of(Some(128 << 20));
        let expected =
            MemoryShares { pending_samples: 24 << 20, parallel_work: Some(48 << 20), engine: Some(48 << 20) };
        assert_eq!(shares, expected);
        let shares = MemoryShares::of(Some(512 << 20));
        let expected =
            MemoryShares { pending_samples: 64 << 20, parallel_work: Some(192 << 20), engine: Some(192 << 20) };
        assert_eq!(shares, expected);
        let expected = MemoryShares { pending_samples: 64 << 20, parallel_work: None, engine: None };
        assert_eq!(MemoryShares::of(None), expected);
    }

    #[test]
    fn at_least_one_item_runs() {
        let shares = MemoryShares { parallel_work: Some(100), ..MemoryShares::of(None) };
        assert_eq!(shares.parallel_items([200, 10], 4), 1);
        assert_eq!(shares.parallel_items([60, 40, 1], 4), 2);
        assert_eq!(shares.parallel_items([10, 10, 10], 2), 2);
        assert_eq!(MemoryShares::of(None).parallel_items([usize::MAX, usize::MAX], 2), 2);
    }
}
