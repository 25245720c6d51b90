//! That a resource is there, as its revisions tell: also where nothing, or rarely anything, is measured of it.
//!
//! A revision says what the resource was from when it was written down; the first one from `started_at` on, which is
//! earlier. `ended_at` is written down later than it happened, so the end is told twice: for when it was, and for when
//! it became known, so that what an earlier night took from a revision between the two does not hold on. Without an end
//! the last word holds: a revision, or a measure of the same meter, and for how long is the meter's `event_gap_cap`.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

use serde_json::Value;

use super::gnocchi::instant;
use super::revisions::Revision;
use super::spool::SpoolFile;
use crate::config::PresenceConfig;

/// The columns of a usage record that a revision fills; attributes of these names are not dimensions.
const COLUMNS: [&str; 8] =
    ["meter", "unit", "resource_id", "project_id", "measured_at", "quantity", "holds", "deleted"];
/// Columns of a usage record with a meaning that an attribute of the name does not have.
const NOT_ATTRIBUTES: [&str; 2] = ["type", "record_id"];

/// What is known of a resource at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Word<'r> {
    pub at: i64,
    pub revision: &'r Revision,
    pub is_gone: bool,
}

/// What the revisions of one resource tell, the oldest first, of the time `asked`: as much of it as was written down in
/// `known`. What held before is told of the first instant.
pub fn words<'r>(revisions: &'r [Revision], known: &Range<i64>, asked: &Range<i64>) -> Vec<Word<'r>> {
    // Nothing is asked behind the last instant, so what was written down later belongs to the last question.
    let known = known.start..if known.end < asked.end { known.end } else { i64::MAX };
    let mut words: Vec<Word<'r>> = Vec::new();
    for (index, revision) in revisions.iter().enumerate() {
        let written = revision.start;
        let begin = revision.started_at.map_or(written, |began| if index == 0 { began } else { began.max(written) });
        let mut tell = |at, is_gone| words.push(Word { at, revision, is_gone });
        match revision.ended_at {
            None => tell(begin, false),
            Some(ended) => {
                if begin < ended {
                    tell(begin, false);
                }
                tell(ended, true);
                if ended < written {
                    tell(written, true);
                }
                // What was said of a time behind the end, before the end was known, is not so.
                words.retain(|word| word.is_gone || word.at < ended);
            }
        }
    }
    words.sort_by_key(|word| word.at);
    let is_first = known.start <= asked.start;
    let is_told = |word: &Word<'_>| {
        if is_first { word.revision.start < known.end } else { known.contains(&word.revision.start) }
    };
    // What is told of a time before the first instant is told of that: what held then, or, where an earlier night took
    // it for there, that it was gone by then.
    let before = words.iter().rfind(|word| word.at <= asked.start && word.revision.start < known.end).copied();
    let at_start = before.filter(|word| is_told(word) && !(is_first && word.is_gone));
    let at_start = at_start.map(|word| Word { at: asked.start + i64::from(word.is_gone), ..word });
    words.retain(|word| is_told(word) && asked.start < word.at && word.at < asked.end);
    words.splice(0..0, at_start);
    words
}

/// Writes down usage records of what revisions tell.
pub fn write(words: &[(&PresenceConfig, Word<'_>)], file: &mut SpoolFile) -> io::Result<()> {
    if words.is_empty() {
        return Ok(());
    }
    let is_dimension = |name: &&String| !COLUMNS.contains(&name.as_str()) && !NOT_ATTRIBUTES.contains(&name.as_str());
    let attributes: BTreeSet<&String> =
        words.iter().flat_map(|(_, word)| word.revision.attributes.keys()).filter(is_dimension).collect();
    file.table(COLUMNS.into_iter().chain(attributes.iter().map(|name| name.as_str())))?;
    for (config, Word { at, revision, is_gone }) in words {
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
    use serde_json::json;

    use super::*;
    use crate::intake::pull::revisions::Revisions;

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
        let words =
            words(revisions.of("v"), &(known.start * HOUR..known.end * HOUR), &(asked.start * HOUR..asked.end * HOUR));
        let shown = |word: Word<'_>| match word.is_gone {
            true => format!("{} gone", word.at / HOUR),
            false => format!("{} {}", word.at / HOUR, word.revision.attributes["volume_type"].as_str().unwrap()),
        };
        words.into_iter().map(shown).collect()
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
        // It began before, and was written down later.
        assert_eq!(told(&[(74, 10, None)], 72..96, 24..480), ["24 type 0"]);
        assert_eq!(told(&[(30, 29, None)], 24..48, 24..29), Vec::<String>::new());
        // An end within the time that is asked for, written down behind it.
        assert_eq!(told(&[(26, 25, None), (49, 25, Some(47))], 24..48, 24..48), ["25 type 0", "47 gone"]);
    }

    #[test]
    fn what_was_said_behind_an_end_that_was_not_known_is_not_so_and_what_is_said_later_is() {
        let late = [(24, 24, None), (30, 24, None), (33, 24, Some(28)), (36, 24, None)];
        assert_eq!(told(&late, 24..48, 24..480), ["24 type 0", "28 gone", "33 gone", "36 type 3"]);
        // An earlier night had the second one; it ends when the end was written down.
        assert_eq!(told(&late[..2], 24..32, 24..480), ["24 type 0", "30 type 1"]);
        assert_eq!(told(&late, 32..48, 24..480), ["28 gone", "33 gone", "36 type 3"]);
        // An end that is still to come.
        assert_eq!(told(&[(24, 24, Some(30))], 24..48, 24..480), ["24 type 0", "30 gone"]);
    }

    #[test]
    fn records_have_the_attributes_that_meters_may_ask_for() {
        let revisions = revisions(&[(26, 25, Some(30))]);
        let words = words(revisions.of("v"), &(DAY..2 * DAY), &(0..9 * DAY));
        let config = PresenceConfig {
            resource_type: "volume".to_owned(),
            source_meter: "volume.there".to_owned(),
            quantity: Some("size".to_owned()),
            unit: Some("GiB".to_owned()),
        };
        let spool = crate::intake::pull::spool::Spool::new().unwrap();
        let mut file = spool.begin().unwrap();
        let words: Vec<_> = words.into_iter().map(|word| (&config, word)).collect();
        write(&words, &mut file).unwrap();
        insta::assert_snapshot!(file.text().unwrap(), @r"
        meter,unit,resource_id,project_id,measured_at,quantity,holds,deleted,deleted_at,size,volume_type
        volume.there,GiB,v,,1970-01-02T01:00:00+00:00,50,true,false,1970-01-02T06:00:00+00:00,50,type 0
        volume.there,GiB,v,,1970-01-02T06:00:00+00:00,50,true,true,1970-01-02T06:00:00+00:00,50,type 0
        ");
    }
}
