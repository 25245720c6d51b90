//! The assignment of samples to series: each instant of a stream belongs to one series.
//!
//! A record may contain only some attributes: a poll names the zone, a notification does not. A missing attribute keeps
//! its last value. Before the first value of a stream, the first value of the same date applies. Later dates do not
//! change earlier dates, so a date can be metered as soon as all earlier dates are metered.

use std::sync::{Mutex, PoisonError};

use crate::catalog::streams::{Catalog, Description};
use crate::error::Error;

/// Replaces the reported series of each sample by the series with the merged attributes. Samples are in the order of
/// time. `last_series` is the last series of the stream before this date.
pub(super) fn assign_series(
    catalog: &Mutex<Catalog>,
    stream_id: u64,
    series: &mut [u64],
    last_series: Option<u64>,
) -> Result<(), Error> {
    // Most streams report the same attributes all day, and the same attributes as on the day before.
    if last_series.or(series.first().copied()).is_none_or(|first| series.iter().all(|reported| *reported == first)) {
        return Ok(());
    }
    let mut catalog = catalog.lock().unwrap_or_else(PoisonError::into_inner);
    let description_of = |catalog: &Catalog, id: u64| -> Result<Description, Error> {
        let series = catalog.series(id).ok_or(Error::Internal("the series of a sample is not in the catalog"))?;
        Ok(series.description.clone())
    };
    let mut attributes = match last_series {
        Some(id) => description_of(&catalog, id)?,
        None => Description::default(),
    };
    for run in series.chunk_by(|left, right| left == right) {
        attributes = attributes.or(&description_of(&catalog, run[0])?);
    }
    for run in series.chunk_by_mut(|left, right| left == right) {
        attributes = description_of(&catalog, run[0])?.or(&attributes);
        run.fill(catalog.series_id(stream_id, &attributes)?);
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

    /// Assigns series to one stream whose records contain these attributes in this order, and returns the merged
    /// attributes.
    fn assigned(previous: Option<Description>, reported: &[Description]) -> Vec<String> {
        let mut catalog = Catalog::default();
        let stream_id = catalog.stream_id("instance", "a", None).unwrap();
        let last = previous.map(|previous| catalog.series_id(stream_id, &previous).unwrap());
        let mut series: Vec<u64> =
            reported.iter().map(|reported| catalog.series_id(stream_id, reported).unwrap()).collect();
        let catalog = Mutex::new(catalog);
        assign_series(&catalog, stream_id, &mut series, last).unwrap();
        let catalog = catalog.into_inner().unwrap();
        let texts = series.iter().map(|id| {
            let description = &catalog.series(*id).unwrap().description;
            format!("{} {}", description.project_id.as_deref().unwrap_or("-"), description.text())
        });
        texts.collect()
    }

    #[test]
    fn a_missing_attribute_keeps_its_last_value() {
        let poll = description(Some("p"), &[("flavor", "small"), ("zone", "a")]);
        let notification = description(Some("p"), &[("flavor", "large")]);
        assert_eq!(assigned(None, &[poll, notification]), ["p flavor=small; zone=a", "p flavor=large; zone=a"]);
    }

    #[test]
    fn the_first_value_of_a_date_applies_from_the_start_of_the_date() {
        let notification = description(Some("p"), &[("flavor", "small")]);
        let poll = description(Some("p"), &[("flavor", "small"), ("zone", "a")]);
        let moved = description(None, &[("flavor", "small"), ("zone", "b")]);
        assert_eq!(
            assigned(None, &[notification, poll, moved]),
            ["p flavor=small; zone=a", "p flavor=small; zone=a", "p flavor=small; zone=b"]
        );
    }

    #[test]
    fn values_of_the_date_before_apply() {
        let previous = description(Some("p"), &[("flavor", "small"), ("zone", "a")]);
        assert_eq!(assigned(Some(previous), &[description(None, &[])]), ["p flavor=small; zone=a"]);
    }
}
