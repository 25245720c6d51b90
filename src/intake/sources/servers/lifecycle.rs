//! That a resource is there, as its revisions tell: also where nothing, or rarely anything, is measured of it.
//!
//! A revision says what the resource was from when it was written down; the first one from `started_at` on, which is
//! earlier. `ended_at` is written down later than it happened, so the end is told more than once: for when it was, for
//! when it became known, and for each time in between that an earlier night took the resource for there. Of one instant
//! an end counts more than a state, so that many nights come to the same as one. Without an end the last word holds: a
//! revision, or a measure of the same meter, and for how long is the meter's `state_timeout`.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use serde_json::Value;

use super::instant::instant;
use super::revisions::Revision;
use crate::intake::sources::servers::response_store::SpoolFile;
use crate::model::config::PresenceConfig;

/// The columns of a usage record that a revision fills; attributes of these names are not dimensions.
const COLUMNS: [&str; 8] =
    ["meter", "unit", "resource_id", "project_id", "measured_at", "quantity", "is_state", "deleted"];
/// Columns of a usage record with a meaning that an attribute of the name does not have.
const NOT_ATTRIBUTES: [&str; 2] = ["type", "record_id"];

/// What is known of a resource at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LifecycleEvent<'r> {
    pub at: i64,
    pub revision: &'r Revision,
    pub is_gone: bool,
}

/// What the revisions of one resource tell, the oldest first, of the time `asked`: as much of it as was written down in
/// `known`. What held before is told of the first instant.
pub fn lifecycle_events<'r>(
    revisions: &'r [Revision],
    known: &Range<i64>,
    asked: &Range<i64>,
) -> Vec<LifecycleEvent<'r>> {
    // Nothing is asked behind the last instant, so what was written down later belongs to the last question.
    let known = known.start..if known.end < asked.end { known.end } else { i64::MAX };
    let mut lifecycle_events: Vec<LifecycleEvent<'r>> = Vec::new();
    for (index, revision) in revisions.iter().enumerate() {
        let written = revision.start;
        let begin = revision.started_at.map_or(written, |began| if index == 0 { began } else { began.max(written) });
        let mut tell = |at, is_gone| lifecycle_events.push(LifecycleEvent { at, revision, is_gone });
        match revision.ended_at {
            None => tell(begin, false),
            Some(ended) => {
                if begin < ended {
                    tell(begin, false);
                }
                tell(ended, true);
                // Nobody has to hear again of what was never taken for there.
                let was_believed = index > 0 && revisions[index - 1].ended_at.is_none_or(|before| before > ended);
                if was_believed && ended < written {
                    tell(written, true);
                }
                // What was said of a time behind the end, before the end was known, is not so.
                for word in lifecycle_events.iter_mut().filter(|word| !word.is_gone && word.at >= ended) {
                    (word.revision, word.is_gone) = (revision, true);
                }
            }
        }
    }
    lifecycle_events.sort_by_key(|word| word.at);
    let is_first = known.start <= asked.start;
    let is_told = |word: &LifecycleEvent<'_>| {
        if is_first { word.revision.start < known.end } else { known.contains(&word.revision.start) }
    };
    // What is told of a time before the first instant is told of that: what held then, or, where an earlier night may
    // have taken it for there, that it was gone by then.
    let before =
        lifecycle_events.iter().rfind(|word| word.at <= asked.start && word.revision.start < known.end).copied();
    let was_there = |word: &LifecycleEvent<'_>| {
        let mut before = revisions.iter().take_while(|one| one.start < word.revision.start);
        word.revision.start > asked.start && before.any(|one| one.ended_at.is_none_or(|ended| ended > asked.start))
    };
    let at_start = before.filter(|word| is_told(word) && (!word.is_gone || was_there(word)));
    let at_start = at_start.map(|word| LifecycleEvent { at: asked.start, ..word });
    lifecycle_events.retain(|word| is_told(word) && asked.start < word.at && word.at < asked.end);
    lifecycle_events.splice(0..0, at_start);
    lifecycle_events
}

/// Writes down usage records of what revisions tell.
pub fn write(lifecycle_events: &[(&PresenceConfig, LifecycleEvent<'_>)], file: &mut SpoolFile) -> io::Result<()> {
    if lifecycle_events.is_empty() {
        return Ok(());
    }
    let is_dimension = |name: &&String| !COLUMNS.contains(&name.as_str()) && !NOT_ATTRIBUTES.contains(&name.as_str());
    let attributes: BTreeSet<&String> =
        lifecycle_events.iter().flat_map(|(_, word)| word.revision.attributes.keys()).filter(is_dimension).collect();
    file.table(COLUMNS.into_iter().chain(attributes.iter().map(|name| name.as_str())))?;
    for (config, LifecycleEvent { at, revision, is_gone }) in lifecycle_events {
        let quantity = match &config.quantity {
            Some(name) => cell(revision.attributes.get(name.as_str())),
            None => "1".to_owned(),
        };
        // What is gone has no size, and needs none.
        let quantity = if *is_gone && quantity.is_empty() { "0".to_owned() } else { quantity };
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

    /// Revisions of one resource: written down, begun, ended, in hours; a price by the number of the revision.
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

    /// What is told, in hours: `3 type 0`, or `5 gone`.
    fn told(rows: &[(i64, i64, Option<i64>)], known: Range<i64>, asked: Range<i64>) -> Vec<String> {
        let revisions = revisions(rows);
        let lifecycle_events = lifecycle_events(
            revisions.of("v"),
            &(known.start * HOUR..known.end * HOUR),
            &(asked.start * HOUR..asked.end * HOUR),
        );
        let shown = |word: LifecycleEvent<'_>| match word.is_gone {
            true => format!("{} gone", word.at / HOUR),
            false => format!("{} {}", word.at / HOUR, word.revision.attributes["volume_type"].as_str().unwrap()),
        };
        lifecycle_events.into_iter().map(shown).collect()
    }

    #[test]
    fn a_resource_is_there_from_its_start_to_its_end_as_each_revision_says() {
        let life = [(26, 25, None), (30, 25, None), (41, 25, Some(40))];
        // The third revision has another type of volume only behind the end.
        assert_eq!(told(&life, 24..48, 24..480), ["25 type 0", "30 type 1", "40 gone", "41 gone"]);
        // What is written down on a date is told on it, of whenever it is.
        assert_eq!(told(&life, 24..30, 24..480), ["25 type 0"]);
        assert_eq!(told(&life, 30..40, 24..480), ["30 type 1"]);
        assert_eq!(told(&life, 40..48, 24..480), ["40 gone", "41 gone"]);
    }

    #[test]
    fn what_held_before_is_told_of_the_first_instant() {
        let old = [(2, 1, None), (5, 1, None), (30, 1, None)];
        assert_eq!(told(&old, 24..48, 24..480), ["24 type 1", "30 type 2"]);
        assert_eq!(told(&old, 48..72, 24..480), Vec::<String>::new());
        // Ended before, whether that was known by then or not, and what comes behind the time that is asked for.
        assert_eq!(told(&[(2, 1, None), (5, 1, Some(4))], 24..48, 24..480), Vec::<String>::new());
        let ended_late = [(2, 1, None), (50, 1, Some(4))];
        assert_eq!(told(&ended_late[..1], 24..48, 24..480), ["24 type 0"]);
        assert_eq!(told(&ended_late, 48..72, 24..480), ["24 gone", "50 gone"]);
        // Nobody ever took it for there.
        assert_eq!(told(&[(50, 1, Some(4))], 24..72, 24..480), Vec::<String>::new());
        assert_eq!(told(&[(50, 1, Some(4)), (60, 1, Some(4))], 24..72, 24..480), Vec::<String>::new());
        assert_eq!(told(&[(2, 1, None), (5, 1, Some(4)), (50, 1, Some(4))], 24..72, 24..480), Vec::<String>::new());
        // It began before, and was written down later.
        assert_eq!(told(&[(74, 10, None)], 72..96, 24..480), ["24 type 0"]);
        assert_eq!(told(&[(30, 29, None)], 24..48, 24..29), Vec::<String>::new());
        // An end within the time that is asked for, written down behind it.
        assert_eq!(told(&[(26, 25, None), (49, 25, Some(47))], 24..48, 24..48), ["25 type 0", "47 gone"]);
    }

    #[test]
    fn what_was_said_behind_an_end_that_was_not_known_is_not_so_and_what_is_said_later_is() {
        let late = [(24, 24, None), (30, 24, None), (33, 24, Some(28)), (36, 24, None)];
        assert_eq!(told(&late, 24..48, 24..480), ["24 type 0", "28 gone", "30 gone", "33 gone", "36 type 3"]);
        // An earlier night had the second one; now it is told that it was not so.
        assert_eq!(told(&late[..2], 24..32, 24..480), ["24 type 0", "30 type 1"]);
        assert_eq!(told(&late, 32..48, 24..480), ["28 gone", "30 gone", "33 gone", "36 type 3"]);
        // An end that is still to come.
        assert_eq!(told(&[(24, 24, Some(30))], 24..48, 24..480), ["24 type 0", "30 gone"]);
    }

    /// What holds from when on, in hours, of what the questions tell that pulls up to these hours ask, of revisions as
    /// far as they were written down by then. Of one instant an end counts, as in metering.
    fn holding(rows: &[(i64, i64, Option<i64>)], pulls: &[i64]) -> Vec<String> {
        const OVERLAP: i64 = 2;
        let mut is_state: BTreeMap<i64, String> = BTreeMap::new();
        let mut covered = 24;
        for until in pulls {
            let written: Vec<_> = rows.iter().copied().filter(|(written, ..)| written <= until).collect();
            let mut start = (covered - OVERLAP).max(24);
            while start < *until {
                let end = ((start / 24 + 1) * 24).min(*until);
                for word in told(&written, start..end, 24..1_000) {
                    let (at, what) = word.split_once(' ').unwrap();
                    let known = is_state.entry(at.parse().unwrap()).or_insert_with(|| what.to_owned());
                    let is_other = known != what && known != "gone" && what != "gone";
                    assert!(!is_other, "two words of one instant: {known} and {what}");
                    if what == "gone" {
                        what.clone_into(known);
                    }
                }
                start = end;
            }
            covered = *until;
        }
        let mut changes: Vec<String> = is_state.into_iter().map(|(at, what)| format!("{at} {what}")).collect();
        changes
            .dedup_by(|later, earlier| later.split_once(' ').map(|at| at.1) == earlier.split_once(' ').map(|at| at.1));
        changes.retain({
            let mut was_there = false;
            move |change| {
                was_there |= !change.ends_with("gone");
                was_there
            }
        });
        changes
    }

    #[test]
    fn many_pulls_tell_what_one_does_of_a_resource_that_ended_before_it_was_asked_for() {
        // It ended an hour before the first instant, which was written down an hour after it.
        let early = [(2, 1, None), (25, 1, Some(23))];
        assert_eq!(told(&early[..1], 24..25, 24..1_000), ["24 type 0"]);
        assert_eq!(told(&early, 24..26, 24..1_000), ["24 gone", "25 gone"]);
        assert_eq!(holding(&early, &[25, 26, 96]), Vec::<String>::new());
        assert_eq!(holding(&early, &[96]), Vec::<String>::new());
        let twice = [(2, 1, None), (25, 1, Some(23)), (26, 1, Some(23))];
        assert_eq!(holding(&twice, &[25, 48, 96]), holding(&twice, &[96]));
        // Everybody knew that it had ended.
        assert_eq!(told(&[(2, 1, None), (24, 1, Some(23))], 24..48, 24..1_000), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn many_pulls_tell_what_one_does(
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
            prop_assert_eq!(holding(&rows, &nights), holding(&rows, &[240]));
        }
    }

    #[test]
    fn records_have_the_attributes_that_meters_may_ask_for() {
        let revisions = revisions(&[(26, 25, Some(30))]);
        let lifecycle_events = lifecycle_events(revisions.of("v"), &(DAY..2 * DAY), &(0..9 * DAY));
        let config = PresenceConfig {
            resource_type: "volume".to_owned(),
            source_meter: "volume.there".to_owned(),
            quantity: Some("size".to_owned()),
            unit: Some("GiB".to_owned()),
        };
        let spool = crate::intake::sources::servers::response_store::ResponseStore::new().unwrap();
        let mut file = spool.begin().unwrap();
        let lifecycle_events: Vec<_> = lifecycle_events.into_iter().map(|word| (&config, word)).collect();
        write(&lifecycle_events, &mut file).unwrap();
        insta::assert_snapshot!(file.text().unwrap(), @r"
        meter,unit,resource_id,project_id,measured_at,quantity,is_state,deleted,deleted_at,size,volume_type
        volume.there,GiB,v,,1970-01-02T01:00:00+00:00,50,true,false,1970-01-02T06:00:00+00:00,50,type 0
        volume.there,GiB,v,,1970-01-02T06:00:00+00:00,50,true,true,1970-01-02T06:00:00+00:00,50,type 0
        ");
    }
}
