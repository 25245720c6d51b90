//! Progress bars on a terminal.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::Progress;

/// The progress bar of the current step.
#[derive(Debug, Default)]
pub(super) struct Bars {
    current: Mutex<Option<ProgressBar>>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self::default()
    }

    fn with(&self, act: impl FnOnce(&mut Option<ProgressBar>)) {
        act(&mut self.current.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Progress for Bars {
    fn begin(&self, step: &str, units: u64) {
        let style = if units > 1 {
            ProgressStyle::with_template("{msg:22} {bar:30} {percent:>3}%  {elapsed}")
        } else {
            ProgressStyle::with_template("{msg:22} {spinner}  {elapsed}")
        };
        let bar = ProgressBar::new(units.max(1));
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(step.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        self.with(|current| {
            if let Some(before) = current.replace(bar) {
                before.finish_and_clear();
            }
        });
    }

    fn advance(&self, units: u64) {
        self.with(|current| {
            if let Some(bar) = current {
                bar.inc(units);
            }
        });
    }

    fn end(&self) {
        self.with(|current| {
            if let Some(bar) = current.take() {
                bar.finish_and_clear();
            }
        });
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        self.end();
    }
}
