//! Reports of progress, from stages to whoever shows them.

/// Receives the progress of stages. The command line draws it; no result depends on it.
pub trait Progress: Send + Sync + std::fmt::Debug {
    /// A step begins. `units` is its amount of work if that is known.
    fn begin(&self, step: &str, units: u64);
    fn advance(&self, units: u64);
    fn end(&self);
}

/// Shows no progress.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}
