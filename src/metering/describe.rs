//! Which series each sample belongs to: every instant of a stream belongs to one.
//!
//! A record may say less than is known: a poll names the zone, a notification does not. What it does not say keeps its
//! last known value. Before the first known value of a stream, the first one that is said later on the same date holds;
//! later dates change nothing, so metering stays causal from date to date.

use std::sync::{Mutex, PoisonError};

use crate::catalog::streams::{Catalog, Description};
use crate::error::Error;

/// Puts in place of the series that each sample of a stream said the one that holds. The samples are in the order of
/// time; `last_series` is the stream's of the date before.
pub fn describe(
    catalog: &Mutex<&mut Catalog>,
    stream_id: u64,
    series: &mut [u64],
    last_series: Option<u64>,
) -> Result<(), Error> {
    // Nearly every stream says one thing all day long, and the same as the day before.
    if last_series.or(series.first().copied()).is_none_or(|known| series.iter().all(|said| *said == known)) {
        return Ok(());
    }
    let mut catalog = catalog.lock().unwrap_or_else(PoisonError::into_inner);
    let description_of = |catalog: &Catalog, id: u64| -> Result<Description, Error> {
        let series = catalog.series(id).ok_or(Error::Internal("a sample of a series nobody knows"))?;
        Ok(series.description.clone())
    };
    let mut known = match last_series {
        Some(id) => description_of(&catalog, id)?,
        None => Description::default(),
    };
    for run in series.chunk_by(|left, right| left == right) {
        known = known.or(&description_of(&catalog, run[0])?);
    }
    for run in series.chunk_by_mut(|left, right| left == right) {
        known = description_of(&catalog, run[0])?.or(&known);
        run.fill(catalog.series_id(stream_id, &known)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(project: Option<&str>, dimensions: &[(&str, &str)]) -> Description {
        Description {
            project_id: project.map(Into::into),
            dimensions: dimensions.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        }
    }

    /// Describes one stream whose records say these things in this order; gives the descriptions that hold.
    fn described(before: Option<Description>, said: &[Description]) -> Vec<String> {
        let mut catalog = Catalog::default();
        let stream_id = catalog.stream_id("instance", "a").unwrap();
        let last = before.map(|before| catalog.series_id(stream_id, &before).unwrap());
        let mut series: Vec<u64> = said.iter().map(|said| catalog.series_id(stream_id, said).unwrap()).collect();
        describe(&Mutex::new(&mut catalog), stream_id, &mut series, last).unwrap();
        let texts = series.iter().map(|id| {
            let description = &catalog.series(*id).unwrap().description;
            format!("{} {}", description.project_id.as_deref().unwrap_or("-"), description.text())
        });
        texts.collect()
    }

    #[test]
    fn what_a_record_does_not_say_keeps_its_last_known_value() {
        let poll = description(Some("p"), &[("flavor", "small"), ("zone", "a")]);
        let notification = description(Some("p"), &[("flavor", "large")]);
        assert_eq!(described(None, &[poll, notification]), ["p flavor=small; zone=a", "p flavor=large; zone=a"]);
    }

    #[test]
    fn before_the_first_known_value_the_first_of_the_same_date_holds() {
        let notification = description(Some("p"), &[("flavor", "small")]);
        let poll = description(Some("p"), &[("flavor", "small"), ("zone", "a")]);
        let moved = description(None, &[("flavor", "small"), ("zone", "b")]);
        assert_eq!(
            described(None, &[notification, poll, moved]),
            ["p flavor=small; zone=a", "p flavor=small; zone=a", "p flavor=small; zone=b"]
        );
    }

    #[test]
    fn the_date_before_is_known() {
        let before = description(Some("p"), &[("flavor", "small"), ("zone", "a")]);
        assert_eq!(described(Some(before), &[description(None, &[])]), ["p flavor=small; zone=a"]);
    }
}
