//! `[run]`: the limits for missing usage, beyond which a run ends with exit code 4.

use super::closing::natural;
use super::sources::{count, duration};
use super::table::Table;
use crate::model::config::RunLimits;

pub(crate) fn run_limits(mut table: Table<'_>) -> RunLimits {
    let mut limits = RunLimits::default();
    let problems = table.file.problems;
    for (key, limit) in [("max_unrated", &mut limits.max_unrated), ("max_unattributed", &mut limits.max_unattributed)] {
        if let Some((value, place)) = table.take(key).and_then(|value| Some((value.integer()?, value.place()))) {
            *limit = natural(key, value, place, problems);
        }
    }
    limits.max_silence_seconds = table.take("max_silence").map(|_| duration(&mut table, "max_silence", 0).max(1));
    limits.min_volume_percent = count(&mut table, "min_volume_percent", limits.min_volume_percent, 0..=100);
    table.finish();
    limits
}
