//! Fail points: the process kills itself at a step of writing that a test chooses. In release builds, a step does
//! nothing.

/// A step between writes. After a kill at any step, the lake has either the state before the commit or the state after
/// it. `CONTO_TEST_KILL_AT=n` kills the process at the n-th step.
#[cfg(debug_assertions)]
pub(super) fn step() {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static STEPS: AtomicU64 = AtomicU64::new(0);
    static KILL_AT: LazyLock<Option<u64>> =
        LazyLock::new(|| std::env::var("CONTO_TEST_KILL_AT").ok().and_then(|step| step.parse().ok()));
    if *KILL_AT == Some(STEPS.fetch_add(1, Ordering::SeqCst) + 1) {
        // SIGKILL cannot be caught: no destructor runs, and no buffer is flushed.
        let _ = std::process::Command::new("kill").args(["-9", &std::process::id().to_string()]).status();
        loop {
            std::thread::park();
        }
    }
}

#[cfg(not(debug_assertions))]
pub(super) fn step() {}
