//! The interface through which stages report their progress.

/// A receiver of the progress of stages. The command line shows it; no result depends on it.
pub trait Progress: Send + Sync + std::fmt::Debug {
    /// A step begins. `units` is its amount of work, or 0.
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
