//! Which series each sample belongs to: every instant of a stream belongs to one.
//!
//! A record may say less than is known: a poll names the zone, a notification does not. What it does not say keeps its
//! last known value. Before the first known value of a stream, the first one that is said later on the same date holds;
//! later dates change nothing, so metering stays causal from date to date.

use std::collections::HashMap;

use crate::intake::catalog::{Catalog, Description};
use crate::intake::collector::Fact;
use crate::pipeline::Error;

/// The series of each fact. Facts are in the order of identity; `last_series` is each stream's series of the date
/// before.
pub fn describe(catalog: &mut Catalog, facts: &[Fact], last_series: &HashMap<u64, u64>) -> Result<Vec<u64>, Error> {
    let mut described = Vec::with_capacity(facts.len());
    for stream in facts.chunk_by(|left, right| left.stream_id == right.stream_id) {
        describe_stream(catalog, stream, last_series.get(&stream[0].stream_id).copied(), &mut described)?;
    }
    Ok(described)
}

fn describe_stream(
    catalog: &mut Catalog,
    facts: &[Fact],
    last_series: Option<u64>,
    described: &mut Vec<u64>,
) -> Result<(), Error> {
    let said = facts[0].said_series_id;
    let says_one_thing = facts.iter().all(|fact| fact.said_series_id == said);
    // Nearly every stream says one thing all day long, and the same as the day before.
    if says_one_thing && last_series.is_none_or(|last| last == said) {
        described.extend(facts.iter().map(|_| said));
        return Ok(());
    }
    let description_of = |catalog: &Catalog, id: u64| -> Result<Description, Error> {
        let series = catalog.series(id).ok_or(Error::Internal("a sample of a series nobody knows"))?;
        Ok(series.description.clone())
    };
    let mut known = match last_series {
        Some(id) => description_of(catalog, id)?,
        None => Description::default(),
    };
    for run in facts.chunk_by(|left, right| left.said_series_id == right.said_series_id) {
        known = known.or(&description_of(catalog, run[0].said_series_id)?);
    }
    for run in facts.chunk_by(|left, right| left.said_series_id == right.said_series_id) {
        known = description_of(catalog, run[0].said_series_id)?.or(&known);
        let series_id = catalog.series_id(run[0].stream_id, &known)?;
        described.extend(run.iter().map(|_| series_id));
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
        let last = before.map(|before| (stream_id, catalog.series_id(stream_id, &before).unwrap()));
        let facts: Vec<Fact> = said
            .iter()
            .enumerate()
            .map(|(index, said)| Fact {
                stream_id,
                measured_at: index as i64,
                record_digest: 0,
                quantity: 0,
                said_series_id: catalog.series_id(stream_id, said).unwrap(),
                input_file_id: 0,
                line: 0,
                created: false,
                deleted: false,
            })
            .collect();
        let series = describe(&mut catalog, &facts, &last.into_iter().collect()).unwrap();
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
