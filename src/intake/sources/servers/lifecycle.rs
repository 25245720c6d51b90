//! Lifecycle events from revisions: the existence of resources, including resources that are rarely or never measured.
//!
//! A revision describes its resource from the time at which the revision was stored. The first revision describes its
//! resource from `started_at`, which is earlier. `ended_at` is stored later than the actual end. So the deletion is
//! reported at the actual end, at the time of storage, and at each state in between that an earlier run reported. At
//! one instant a deletion takes precedence over a state, so that many runs have the same result as one run. Without an
//! end, the last event stays valid. This is a revision or a measure of the same meter. The meter's `state_timeout`
//! limits its validity.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use serde_json::Value;

use super::instant::instant;
use super::revisions::Revision;
use crate::intake::sources::servers::response_store::ResponseFile;
use crate::model::config::PresenceConfig;
use crate::model::identifier;

/// The columns of a usage record that a revision fills. Attributes with these names are not dimensions.
const COLUMNS: [&str; 8] =
    ["meter", "unit", "resource_id", "project_id", "measured_at", "quantity", "is_state", "deleted"];
/// Columns of usage records whose names have another meaning as attributes of a resource.
const NOT_ATTRIBUTES: [&str; 2] = ["type", "record_id"];

/// A state or the deletion of a resource at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LifecycleEvent<'r> {
    pub at: i64,
    pub revision: &'r Revision,
    pub is_gone: bool,
}

/// The lifecycle events of one resource, from its revisions, the oldest first.
///
/// The result contains the events within `source_period` that were stored within `window`. The state before the period
/// is reported at its first instant.
pub(super) fn lifecycle_events<'r>(
    revisions: &'r [Revision],
    window: &Range<i64>,
    source_period: &Range<i64>,
) -> Vec<LifecycleEvent<'r>> {
    // No window follows the end of the period, so revisions that were stored later belong to the last window.
    let window = window.start..if window.end < source_period.end { window.end } else { i64::MAX };
    let mut lifecycle_events: Vec<LifecycleEvent<'r>> = Vec::new();
    for (index, revision) in revisions.iter().enumerate() {
        let written = revision.start;
        let begin = revision.started_at.map_or(written, |began| if index == 0 { began } else { began.max(written) });
        let mut push = |at, is_gone| lifecycle_events.push(LifecycleEvent { at, revision, is_gone });
        match revision.ended_at {
            None => push(begin, false),
            Some(ended) => {
                if begin < ended {
                    push(begin, false);
                }
                push(ended, true);
                // The deletion of a resource that was never reported as existing needs no repetition.
                let was_reported = index > 0 && revisions[index - 1].ended_at.is_none_or(|before| before > ended);
                if was_reported && ended < written {
                    push(written, true);
                }
                // States after the end that were reported before the end was stored are wrong. Deletions replace them.
                for event in lifecycle_events.iter_mut().filter(|event| !event.is_gone && event.at >= ended) {
                    (event.revision, event.is_gone) = (revision, true);
                }
            }
        }
    }
    lifecycle_events.sort_by_key(|event| event.at);
    let is_first = window.start <= source_period.start;
    let is_in_window = |event: &LifecycleEvent<'_>| {
        if is_first { event.revision.start < window.end } else { window.contains(&event.revision.start) }
    };
    // The last event before the first instant is reported at the first instant. A deletion is reported only if an
    // earlier run may have reported the resource as existing.
    let last_before = lifecycle_events
        .iter()
        .rfind(|event| event.at <= source_period.start && event.revision.start < window.end)
        .copied();
    let was_reported_before = |event: &LifecycleEvent<'_>| {
        let mut before = revisions.iter().take_while(|earlier| earlier.start < event.revision.start);
        event.revision.start > source_period.start
            && before.any(|earlier| earlier.ended_at.is_none_or(|ended| ended > source_period.start))
    };
    let at_start = last_before.filter(|event| is_in_window(event) && (!event.is_gone || was_reported_before(event)));
    let at_start = at_start.map(|event| LifecycleEvent { at: source_period.start, ..event });
    lifecycle_events
        .retain(|event| is_in_window(event) && source_period.start < event.at && event.at < source_period.end);
    lifecycle_events.splice(0..0, at_start);
    lifecycle_events
}

/// Writes lifecycle events as usage records.
pub(super) fn write(
    lifecycle_events: &[(&PresenceConfig, LifecycleEvent<'_>)],
    file: &mut ResponseFile,
) -> io::Result<()> {
    if lifecycle_events.is_empty() {
        return Ok(());
    }
    let is_dimension = |name: &&String| !COLUMNS.contains(&name.as_str()) && !NOT_ATTRIBUTES.contains(&name.as_str());
    let attributes: BTreeSet<&String> =
        lifecycle_events.iter().flat_map(|(_, event)| event.revision.attributes.keys()).filter(is_dimension).collect();
    file.table(COLUMNS.into_iter().chain(attributes.iter().map(|name| name.as_str())))?;
    for (config, LifecycleEvent { at, revision, is_gone }) in lifecycle_events {
        let quantity = match &config.quantity {
            Some(name) => cell(revision.attributes.get(name.as_str())),
            None => "1".to_owned(),
        };
        // A deletion needs no quantity.
        let is_absent = identifier::stated(&quantity).is_none();
        let quantity = if *is_gone && is_absent { "0".to_owned() } else { quantity };
        let own = [
            config.source_meter.clone(),
            config.unit.clone().unwrap_or_default(),
            revision.resource_id.clone(),
            revision.project_id.clone().unwrap_or_default(),
            instant(*at),
            quantity,
            "true".to_owned(),
            is_gone.to_string(),
        ];
        let described = attributes.iter().map(|name| cell(revision.attributes.get(name.as_str())));
        file.row(own.into_iter().chain(described))?;
    }
    Ok(())
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::intake::sources::servers::revisions::Revisions;

    const DAY: i64 = 24 * HOUR;
    const HOUR: i64 = 3_600_000_000;

    /// The revisions of one resource from rows of (stored, started, ended), in hours. The volume type is the number of
    /// the revision.
    fn revisions(rows: &[(i64, i64, Option<i64>)]) -> Revisions {
        let at = |hour: &i64| instant(hour * HOUR);
        let mut revisions = Revisions::default();
        for (number, (written, began, ended)) in rows.iter().enumerate() {
            let row = json!({
                "id": "v", "type": "volume", "revision_start": at(written), "started_at": at(began),
                "ended_at": ended.as_ref().map(at), "volume_type": format!("type {number}"), "size": 50,
            });
            revisions.add(&row, &row.to_string()).unwrap();
        }
        revisions
    }

    /// The lifecycle events, in hours: `3 type 0`, or `5 gone`.
    fn events(rows: &[(i64, i64, Option<i64>)], window: Range<i64>, source_period: Range<i64>) -> Vec<String> {
        let revisions = revisions(rows);
        let lifecycle_events = lifecycle_events(
            revisions.of("v"),
            &(window.start * HOUR..window.end * HOUR),
            &(source_period.start * HOUR..source_period.end * HOUR),
        );
        let shown = |event: LifecycleEvent<'_>| match event.is_gone {
            true => format!("{} gone", event.at / HOUR),
            false => format!("{} {}", event.at / HOUR, event.revision.attributes["volume_type"].as_str().unwrap()),
        };
        lifecycle_events.into_iter().map(shown).collect()
    }

    #[test]
    fn a_resource_exists_from_its_start_to_its_end_with_the_attributes_of_each_revision() {
        let life = [(26, 25, None), (30, 25, None), (41, 25, Some(40))];
        // The third revision has another volume type only after the end.
        assert_eq!(events(&life, 24..48, 24..480), ["25 type 0", "30 type 1", "40 gone", "41 gone"]);
        // A revision is reported in the window in which it was stored, even if its event has an earlier time.
        assert_eq!(events(&life, 24..30, 24..480), ["25 type 0"]);
        assert_eq!(events(&life, 30..40, 24..480), ["30 type 1"]);
        assert_eq!(events(&life, 40..48, 24..480), ["40 gone", "41 gone"]);
    }

    #[test]
    fn the_state_before_the_period_is_reported_at_its_first_instant() {
        let old = [(2, 1, None), (5, 1, None), (30, 1, None)];
        assert_eq!(events(&old, 24..48, 24..480), ["24 type 1", "30 type 2"]);
        assert_eq!(events(&old, 48..72, 24..480), Vec::<String>::new());
        // Resources that ended before the period. The end was stored before the period or within it.
        assert_eq!(events(&[(2, 1, None), (5, 1, Some(4))], 24..48, 24..480), Vec::<String>::new());
        let ended_late = [(2, 1, None), (50, 1, Some(4))];
        assert_eq!(events(&ended_late[..1], 24..48, 24..480), ["24 type 0"]);
        assert_eq!(events(&ended_late, 48..72, 24..480), ["24 gone", "50 gone"]);
        // The resource was never reported as existing.
        assert_eq!(events(&[(50, 1, Some(4))], 24..72, 24..480), Vec::<String>::new());
        assert_eq!(events(&[(50, 1, Some(4)), (60, 1, Some(4))], 24..72, 24..480), Vec::<String>::new());
        assert_eq!(events(&[(2, 1, None), (5, 1, Some(4)), (50, 1, Some(4))], 24..72, 24..480), Vec::<String>::new());
        // The resource started before the first instant or after the period, and its revision was stored later.
        assert_eq!(events(&[(74, 10, None)], 72..96, 24..480), ["24 type 0"]);
        assert_eq!(events(&[(30, 29, None)], 24..48, 24..29), Vec::<String>::new());
        // The end is within the period, and was stored after the period.
        assert_eq!(events(&[(26, 25, None), (49, 25, Some(47))], 24..48, 24..48), ["25 type 0", "47 gone"]);
    }

    #[test]
    fn states_after_an_end_are_deleted_if_stored_before_the_end_and_valid_if_stored_later() {
        let late = [(24, 24, None), (30, 24, None), (33, 24, Some(28)), (36, 24, None)];
        assert_eq!(events(&late, 24..48, 24..480), ["24 type 0", "28 gone", "30 gone", "33 gone", "36 type 3"]);
        // An earlier run reported the second state. The next run reports its deletion.
        assert_eq!(events(&late[..2], 24..32, 24..480), ["24 type 0", "30 type 1"]);
        assert_eq!(events(&late, 32..48, 24..480), ["28 gone", "30 gone", "33 gone", "36 type 3"]);
        // The end is later than its storage.
        assert_eq!(events(&[(24, 24, Some(30))], 24..48, 24..480), ["24 type 0", "30 gone"]);
    }

    /// The changes of state, in hours, after pulls up to the given hours. Each pull has the revisions that were stored
    /// before the pull. At one instant a deletion takes precedence, as in metering.
    fn states(rows: &[(i64, i64, Option<i64>)], pulls: &[i64]) -> Vec<String> {
        const OVERLAP: i64 = 2;
        let mut by_instant: BTreeMap<i64, String> = BTreeMap::new();
        let mut covered = 24;
        for until in pulls {
            let written: Vec<_> = rows.iter().copied().filter(|(written, ..)| written <= until).collect();
            let mut start = (covered - OVERLAP).max(24);
            while start < *until {
                let end = ((start / 24 + 1) * 24).min(*until);
                for event in events(&written, start..end, 24..1_000) {
                    let (at, state) = event.split_once(' ').unwrap();
                    let existing = by_instant.entry(at.parse().unwrap()).or_insert_with(|| state.to_owned());
                    let is_other = existing != state && existing != "gone" && state != "gone";
                    assert!(!is_other, "two states of one instant: {existing} and {state}");
                    if state == "gone" {
                        state.clone_into(existing);
                    }
                }
                start = end;
            }
            covered = *until;
        }
        let mut changes: Vec<String> = by_instant.into_iter().map(|(at, state)| format!("{at} {state}")).collect();
        changes
            .dedup_by(|later, earlier| later.split_once(' ').map(|at| at.1) == earlier.split_once(' ').map(|at| at.1));
        changes.retain({
            let mut was_reported_before = false;
            move |change| {
                was_reported_before |= !change.ends_with("gone");
                was_reported_before
            }
        });
        changes
    }

    #[test]
    fn many_pulls_have_the_same_result_as_one_for_a_resource_that_ended_before_the_period() {
        // The resource ended an hour before the first instant, and the end was stored an hour after the first instant.
        let early = [(2, 1, None), (25, 1, Some(23))];
        assert_eq!(events(&early[..1], 24..25, 24..1_000), ["24 type 0"]);
        assert_eq!(events(&early, 24..26, 24..1_000), ["24 gone", "25 gone"]);
        assert_eq!(states(&early, &[25, 26, 96]), Vec::<String>::new());
        assert_eq!(states(&early, &[96]), Vec::<String>::new());
        let twice = [(2, 1, None), (25, 1, Some(23)), (26, 1, Some(23))];
        assert_eq!(states(&twice, &[25, 48, 96]), states(&twice, &[96]));
        // The end was stored before the period, so no run reported the resource.
        assert_eq!(events(&[(2, 1, None), (24, 1, Some(23))], 24..48, 24..1_000), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn many_pulls_have_the_same_result_as_one(
            began in 0..60i64,
            gaps in prop::collection::vec((1..30i64, prop::option::of(0..40i64)), 1..6),
            nights in prop::collection::btree_set(25..240i64, 0..12),
        ) {
            let mut written = began;
            let rows: Vec<_> = gaps
                .into_iter()
                .map(|(gap, ended_before)| {
                    written += gap;
                    (written, began, ended_before.map(|hours| (written - hours).max(began + 1)))
                })
                .collect();
            let nights: Vec<i64> = nights.into_iter().chain([240]).collect();
            prop_assert_eq!(states(&rows, &nights), states(&rows, &[240]));
        }
    }

    #[test]
    fn records_contain_the_attributes_of_the_resource() {
        let revisions = revisions(&[(26, 25, Some(30))]);
        let lifecycle_events = lifecycle_events(revisions.of("v"), &(DAY..2 * DAY), &(0..9 * DAY));
        let config = PresenceConfig {
            resource_type: "volume".to_owned(),
            source_meter: "volume.there".to_owned(),
            quantity: Some("size".to_owned()),
            unit: Some("GiB".to_owned()),
        };
        let store = crate::intake::sources::servers::response_store::ResponseStore::new().unwrap();
        let mut file = store.begin().unwrap();
        let lifecycle_events: Vec<_> = lifecycle_events.into_iter().map(|event| (&config, event)).collect();
        write(&lifecycle_events, &mut file).unwrap();
        insta::assert_snapshot!(file.text().unwrap(), @r"
        meter,unit,resource_id,project_id,measured_at,quantity,is_state,deleted,deleted_at,size,volume_type
        volume.there,GiB,v,,1970-01-02T01:00:00+00:00,50,true,false,1970-01-02T06:00:00+00:00,50,type 0
        volume.there,GiB,v,,1970-01-02T06:00:00+00:00,50,true,true,1970-01-02T06:00:00+00:00,50,type 0
        ");
    }
}
