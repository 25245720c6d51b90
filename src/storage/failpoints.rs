//! Dies at a chosen step of writing, for the test that kills the program at every one of them. Only in development
//! builds: elsewhere a step is nothing.

/// A step after which the lake must be as before or as after. `CONTO_TEST_KILL_AT=n` kills the process at the n-th.
#[cfg(debug_assertions)]
pub(super) fn step() {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static TAKEN: AtomicU64 = AtomicU64::new(0);
    static LAST: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("CONTO_TEST_KILL_AT").ok().and_then(|step| step.parse().ok()));
    if *LAST == Some(TAKEN.fetch_add(1, Ordering::SeqCst) + 1) {
        // The signal that no program can catch: no destructor runs, no buffer is flushed.
        let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        loop {
            std::thread::park();
        }
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn step() {}
