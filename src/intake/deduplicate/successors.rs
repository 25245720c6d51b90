//! The delivery that takes the place of a sample that no longer counts.

use std::collections::{BTreeMap, HashSet};

use crate::error::Error;
use crate::intake::deduplicate::merge::{Place, was_sent_before};
use crate::intake::deduplicate::stored_deliveries::{self, PLACES};
use crate::intake::sample::Sample;
use crate::model::period::{Calendar, DayNumber};
use crate::run::Transaction;

/// Stream, time and digest, which identify a sample.
pub type Identity = (u64, i64, u64);
/// The deliveries of one identity, each with its relation.
pub type Deliveries = Vec<(Place, Sample)>;

/// All deliveries of some identities, sorted by content.
pub async fn deliveries_of(
    transaction: &Transaction,
    calendar: &mut Calendar,
    shard: u32,
    identities: impl Iterator<Item = Identity>,
) -> Result<BTreeMap<Identity, Deliveries>, Error> {
    let mut by_day: BTreeMap<DayNumber, HashSet<Identity>> = BTreeMap::new();
    for identity in identities {
        by_day.entry(calendar.day_of(identity.1)).or_default().insert(identity);
    }
    let mut groups: BTreeMap<Identity, Deliveries> = BTreeMap::new();
    for (day, identities) in by_day {
        for place in PLACES {
            let is_wanted = |sample: &Sample| identities.contains(&sample.identity());
            for sample in stored_deliveries::read(transaction, place, day, shard, is_wanted).await? {
                groups.entry(sample.identity()).or_default().push((place, sample));
            }
        }
    }
    groups.values_mut().for_each(|group| group.sort_by_key(|(_, sample)| sample.order()));
    Ok(groups)
}

/// The delivery of one identity that takes the place of a removed sample. A delivery with the same content has
/// precedence, then the smallest content, as among the files of one run. `None` if a sample remains that counts.
pub fn successor(
    group: &[(Place, Sample)],
    retracted: Option<&Sample>,
    has_earlier: impl Fn(&Sample) -> bool,
) -> Option<usize> {
    let is_other_content = |sample: &Sample| {
        let content = |sample: &Sample| (sample.quantity, sample.deleted, sample.reported_series_id);
        retracted.is_some_and(|retracted| content(retracted) != content(sample))
    };
    let candidates =
        group.iter().enumerate().filter(|(_, (place, sample))| *place != Place::Sample && !has_earlier(sample));
    let (index, (_, best)) =
        candidates.min_by_key(|(index, (_, sample))| (sample.evidence, is_other_content(sample), *index))?;
    let remaining = group.iter().filter(|(place, _)| *place == Place::Sample);
    remaining.map(|(_, sample)| sample).all(|sample| was_sent_before(best, sample)).then_some(index)
}
