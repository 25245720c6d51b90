//! The statements of metering for one date, planned once and run for each shard.

use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;

use crate::error::Error;
use crate::metering::described_samples::{DESCRIBED_SAMPLE, DescribedSamples};
use crate::model::period::DayNumber;
use crate::query::{Inputs, Parameters, PreparedStatement, Session};

pub(super) const STREAM_DAY: &str = "metering/stream_day";
pub(super) const STREAM_STATE: &str = "metering/stream_state";
pub(super) const METERED_USAGE: &str = "metering/metered_usage";
pub(super) const METERED_DAY: &str = "metering/metered_day";
const KEPT_WINDOW: &str = "metering/kept_window";

/// A local date, half-open, in microseconds UTC.
#[derive(Clone, Copy, Debug)]
pub struct Day {
    /// Days since 1970-01-01.
    pub number: DayNumber,
    pub start: i64,
    pub end: i64,
}

/// The instants that limit the validity of values.
#[derive(Clone, Copy, Debug)]
pub struct Validity {
    /// The instant up to which states are carried forward. Later events are not available yet.
    pub observed_until: i64,
    /// The microseconds for which a stream without samples is carried forward, if its value is not a state.
    pub horizon: i64,
}

/// The plans of one date.
#[derive(Debug)]
pub struct DayPlans {
    stream_day: PreparedStatement,
    stream_state: PreparedStatement,
    metered_usage: PreparedStatement,
    metered_day: PreparedStatement,
    has_kept_windows: bool,
}

/// The relations of a metered date and shard, each sorted by its grain.
#[derive(Debug)]
pub struct Metered {
    pub stream_state: Vec<RecordBatch>,
    pub metered_usage: Vec<RecordBatch>,
    pub metered_day: Vec<RecordBatch>,
}

impl DayPlans {
    /// Plans the statements of a date. `session` runs each statement on one thread. `has_kept_windows` is whether the
    /// date can have windows of meters that were removed from the rules.
    pub async fn new(session: &Session, day: Day, validity: Validity, has_kept_windows: bool) -> Result<Self, Error> {
        for path in [DESCRIBED_SAMPLE, STREAM_DAY, METERED_USAGE] {
            session.register_placeholder(path)?;
        }
        if has_kept_windows {
            session.register_placeholder(KEPT_WINDOW)?;
        } else {
            // The plan of an ordinary date merges no second input.
            session.register_nothing(KEPT_WINDOW)?;
        }
        let stream_day = Parameters::none()
            .bigint("day_start", day.start)
            .bigint("day_end", day.end)
            .bigint("observed_until", validity.observed_until);
        let stream_state = Parameters::none().bigint("day_end", day.end).bigint("horizon", validity.horizon);
        let metered_usage = Parameters::none().date("charge_date", day.number);
        Ok(Self {
            stream_day: session.prepare(STREAM_DAY, stream_day).await?,
            stream_state: session.prepare(STREAM_STATE, stream_state).await?,
            metered_usage: session.prepare(METERED_USAGE, metered_usage).await?,
            metered_day: session.prepare(METERED_DAY, Parameters::none()).await?,
            has_kept_windows,
        })
    }

    /// The plans as text, in the order in which they run.
    pub fn plans(&self) -> [String; 4] {
        [&self.stream_day, &self.stream_state, &self.metered_usage, &self.metered_day].map(PreparedStatement::plan)
    }

    /// Meters a shard. `kept_windows` are the windows of meters that were removed from the rules.
    pub async fn run(&self, samples: DescribedSamples, kept_windows: Vec<RecordBatch>) -> Result<Metered, Error> {
        // The engine would wrap an error of the samples in its own error, and so change the exit code.
        let failure: Arc<Mutex<Option<Error>>> = Arc::default();
        let found = Arc::clone(&failure);
        let samples = samples.map(move |batch| {
            batch.map_err(|error| {
                *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                "the samples cannot be read".into()
            })
        });
        let stream_day = self.stream_day.run(Inputs::default().streamed(DESCRIBED_SAMPLE, samples)?).await;
        if let Some(error) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(error);
        }
        let stream_day = stream_day?;
        let stream_state = self.stream_state.run(Inputs::default().rows(STREAM_DAY, stream_day.clone())?).await?;
        let mut inputs = Inputs::default().rows(STREAM_DAY, stream_day)?;
        if self.has_kept_windows {
            inputs = inputs.rows(KEPT_WINDOW, kept_windows)?;
        } else if kept_windows.iter().any(|batch| batch.num_rows() > 0) {
            return Err(Error::Internal("a date was planned without the windows of removed meters"));
        }
        let metered_usage = self.metered_usage.run(inputs).await?;
        let metered_day = self.metered_day.run(Inputs::default().rows(METERED_USAGE, metered_usage.clone())?).await?;
        Ok(Metered { stream_state, metered_usage, metered_day })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Day = Day { number: 20_727, start: 20_727 * 86_400_000_000, end: 20_728 * 86_400_000_000 };
    const VALIDITY: Validity = Validity { observed_until: DAY.end, horizon: 86_400_000_000 };

    async fn plans(has_kept_windows: bool) -> [String; 4] {
        let session = Session::new(None).unwrap().on_one_thread().unwrap();
        DayPlans::new(&session, DAY, VALIDITY, has_kept_windows).await.unwrap().plans()
    }

    /// The engine could sort all samples again, or aggregate them in two phases, which the function refuses. The plan
    /// does not depend on the number of cores.
    #[tokio::test]
    async fn samples_are_aggregated_in_one_phase_and_not_sorted() {
        let [stream_day, stream_state, metered_usage, metered_day] = plans(false).await;
        let aggregate = stream_day.lines().find(|line| line.contains("AggregateExec")).unwrap_or_default();
        assert!(aggregate.contains("mode=Single,") && aggregate.ends_with("ordering_mode=Sorted"), "{stream_day}");
        assert!(aggregate.contains("metered_windows(") && aggregate.contains("last_reading("), "{stream_day}");
        assert!(!stream_day.contains("SortExec") && !stream_day.contains("Repartition"), "{stream_day}");
        // Windows are sorted by series; streams and days of one shard are few.
        assert_eq!(metered_usage.matches("SortExec").count(), 1, "{metered_usage}");
        assert!(!metered_usage.contains("Merge") && !metered_usage.contains("Union"), "{metered_usage}");
        assert!(!stream_state.contains("Repartition") && !metered_day.contains("Repartition"), "{metered_day}");
    }

    #[tokio::test]
    async fn windows_of_removed_meters_are_a_second_input() {
        let [_, _, metered_usage, _] = plans(true).await;
        assert!(metered_usage.contains("Union"), "{metered_usage}");
    }
}
