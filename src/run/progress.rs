//! The interface through which stages report their progress.

/// A receiver of the progress of stages, such as the progress bars of the command line. No result depends on the
/// progress.
pub trait Progress: Send + Sync + std::fmt::Debug {
    /// Begins a step. `units` is the amount of its work. [`Self::advance`] reports the finished part.
    fn begin(&self, step: &str, units: u64);
    fn advance(&self, units: u64);
    fn end(&self);
}

/// A receiver that shows no progress.
#[derive(Debug)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str, _: u64) {}
    fn advance(&self, _: u64) {}
    fn end(&self) {}
}
