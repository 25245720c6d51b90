//! States: reported values that are valid until the next event of their stream.
//!
//! An inferred state comes from a later message. For example, a message of today states that its machine was launched
//! on Monday. The state proves that the resource existed. The last value before the state replaces its attributes. If
//! there is no such value, the first later observation on the same date replaces them. Without any observation, the
//! attributes of the state itself apply. After a deletion an inferred state is ignored.
//!
//! A deletion and a state at one instant end one lifetime and begin another, if the resource existed before. If the
//! resource did not exist, it was created and deleted at that instant.

use crate::metering::previous_states::StreamState;
use crate::metering::samples::StreamDay;

/// Resolves the inferred states and deletions of one stream on a date. Samples are sorted by time, and their attributes
/// are not merged yet.
pub(super) fn resolve(samples: &mut StreamDay, previous: Option<&StreamState>) {
    let mut is_deleted = previous.is_some_and(|previous| previous.deleted);
    let previous = previous.filter(|previous| !previous.deleted);
    if samples.is_state.is_empty() && !previous.is_some_and(|previous| previous.is_state) {
        return;
    }
    let rows = samples.measured_at.len();
    samples.is_state.resize(rows, false);
    samples.backfilled.resize(rows, false);
    let mut last_value = previous.map(|previous| (previous.series_id, previous.quantity));
    // A sample between two events does not end the state of the first event.
    let mut is_state = previous.is_some_and(|previous| previous.is_state);
    let mut ended_at = None;
    for row in 0..rows {
        let at = samples.measured_at[row];
        if samples.deleted[row] && last_value.is_none() {
            ended_at = Some(at);
        }
        samples.deleted[row] |= (is_deleted && samples.backfilled[row]) || ended_at == Some(at);
        is_deleted = samples.deleted[row];
        if is_deleted {
            (last_value, is_state) = (None, false);
            continue;
        }
        if samples.backfilled[row] {
            let is_observed = |later: &usize| !samples.backfilled[*later] && !samples.deleted[*later];
            let observed_later =
                (row + 1..rows).take_while(|later| !samples.deleted[*later]).find(is_observed).map(|first| {
                    // Among several observations of one instant, the last observation applies.
                    let of_instant =
                        (first..rows).take_while(|later| samples.measured_at[*later] == samples.measured_at[first]);
                    let last = of_instant.filter(is_observed).last().unwrap_or(first);
                    (samples.series_id[last], samples.quantity[last])
                });
            if let Some((series_id, quantity)) = last_value.or(observed_later) {
                (samples.series_id[row], samples.quantity[row]) = (series_id, quantity);
            }
        }
        is_state |= samples.is_state[row];
        samples.is_state[row] = is_state;
        last_value = Some((samples.series_id[row], samples.quantity[row]));
    }
}

/// Merges the samples of one instant into one sample, for meters that do not add up records. The last sample is kept.
/// If an earlier sample of the instant is a state, the kept sample becomes a state, unless it is a deletion. The
/// attributes of the samples must be merged before, so that no attribute is lost.
pub(super) fn merge_instants(samples: &mut StreamDay) {
    let has_successor = |row: usize, times: &[i64]| times.get(row + 1) == Some(&times[row]);
    let rows = samples.is_state.len();
    let merged: Vec<bool> = (0..rows).map(|row| has_successor(row, &samples.measured_at)).collect();
    if !merged.contains(&true) {
        return;
    }
    for row in (0..rows).filter(|row| merged[*row]) {
        samples.is_state[row + 1] |= samples.is_state[row] && !samples.deleted[row + 1];
        samples.created[row + 1] |= samples.created[row];
    }
    fn remove_merged<T>(values: &mut Vec<T>, merged: &[bool]) {
        let mut row = 0;
        values.retain(|_| {
            row += 1;
            !merged[row - 1]
        });
    }
    remove_merged(&mut samples.series_id, &merged);
    remove_merged(&mut samples.measured_at, &merged);
    remove_merged(&mut samples.quantity, &merged);
    remove_merged(&mut samples.created, &merged);
    remove_merged(&mut samples.deleted, &merged);
    remove_merged(&mut samples.is_state, &merged);
    remove_merged(&mut samples.backfilled, &merged);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Resolves rows of (series, quantity, deleted, is_state, backfilled), one microsecond apart. Returns rows of
    /// (series, quantity, is_state).
    fn resolved(previous: Option<StreamState>, rows: &[(u64, i128, bool, bool, bool)]) -> Vec<(u64, i128, bool)> {
        let mut samples = StreamDay {
            series_id: rows.iter().map(|row| row.0).collect(),
            measured_at: (0..rows.len() as i64).collect(),
            quantity: rows.iter().map(|row| row.1).collect(),
            created: vec![false; rows.len()],
            deleted: rows.iter().map(|row| row.2).collect(),
            is_state: rows.iter().map(|row| row.3).collect(),
            backfilled: rows.iter().map(|row| row.4).collect(),
        };
        resolve(&mut samples, previous.as_ref());
        (0..rows.len()).map(|row| (samples.series_id[row], samples.quantity[row], samples.is_state[row])).collect()
    }

    fn previous(deleted: bool) -> Option<StreamState> {
        Some(StreamState { stream_id: 1, measured_at: -5, quantity: 200, series_id: 7, deleted, is_state: true })
    }

    const BACKFILLED: (u64, i128, bool, bool, bool) = (9, 300, false, true, true);
    const REPORTED: (u64, i128, bool, bool, bool) = (8, 250, false, true, false);
    const SAMPLED: (u64, i128, bool, bool, bool) = (8, 250, false, false, false);
    const DELETED: (u64, i128, bool, bool, bool) = (8, 250, true, true, false);

    #[test]
    fn attributes_of_an_inferred_state_apply_without_an_observation() {
        assert_eq!(resolved(None, &[BACKFILLED]), [(9, 300, true)]);
        assert_eq!(resolved(None, &[BACKFILLED, REPORTED])[0], (8, 250, true));
        assert_eq!(resolved(None, &[REPORTED, BACKFILLED])[1], (8, 250, true));
        assert_eq!(resolved(previous(false), &[BACKFILLED, REPORTED])[0], (7, 200, true));
        // An observation after a deletion belongs to another lifetime.
        assert_eq!(resolved(None, &[BACKFILLED, DELETED, REPORTED])[0], (9, 300, true));
    }

    #[test]
    fn a_deletion_and_a_state_of_one_instant_are_two_lifetimes_or_none() {
        let mut samples = StreamDay {
            series_id: vec![8; 5],
            measured_at: vec![0, 0, 3, 4, 4],
            quantity: vec![1; 5],
            created: vec![false; 5],
            // An inventory reports a deletion as a sample, which precedes a state. A message reports a deletion as an
            // event, which follows the state.
            deleted: vec![true, false, false, true, false],
            is_state: vec![false, true, true, false, true],
            backfilled: vec![false; 5],
        };
        let ends = |samples: &StreamDay| (samples.measured_at.clone(), samples.deleted.clone());
        let mut of_message = StreamDay { deleted: vec![false, true, false, false, true], ..samples.clone() };
        resolve(&mut samples, None);
        merge_instants(&mut samples);
        // The resource is created and deleted at 0, created at 3, and replaced by a new lifetime at 4.
        assert_eq!(ends(&samples), (vec![0, 3, 4], vec![true, false, false]));
        resolve(&mut of_message, None);
        merge_instants(&mut of_message);
        assert_eq!(ends(&of_message), (vec![0, 3, 4], vec![true, false, true]));
    }

    #[test]
    fn the_last_observation_of_an_instant_applies() {
        let mut samples = StreamDay {
            series_id: vec![7, 8, 9, 6],
            measured_at: vec![0, 5, 5, 6],
            quantity: vec![300, 200, 400, 500],
            created: vec![false; 4],
            deleted: vec![false; 4],
            is_state: vec![true, false, true, true],
            backfilled: vec![true, false, false, false],
        };
        resolve(&mut samples, None);
        assert_eq!((samples.series_id, samples.quantity), (vec![9, 8, 9, 6], vec![400, 200, 400, 500]));
    }

    #[test]
    fn an_inferred_state_does_not_restore_a_deleted_resource() {
        let mut samples = StreamDay {
            series_id: vec![8, 8, 9, 8],
            measured_at: vec![0, 1, 2, 3],
            quantity: vec![1; 4],
            created: vec![false; 4],
            deleted: vec![false, true, false, false],
            is_state: vec![true; 4],
            backfilled: vec![true, false, true, false],
        };
        resolve(&mut samples, previous(true).as_ref());
        assert_eq!(samples.deleted, [true, true, true, false]);
    }

    #[test]
    fn samples_of_one_instant_are_merged() {
        let mut samples = StreamDay {
            series_id: vec![1, 2, 3, 4, 5],
            measured_at: vec![0, 7, 7, 7, 9],
            quantity: vec![10, 20, 30, 40, 50],
            created: vec![false, true, false, false, false],
            deleted: vec![false; 5],
            is_state: vec![false, false, true, false, false],
            backfilled: vec![false; 5],
        };
        merge_instants(&mut samples);
        assert_eq!((samples.series_id, samples.quantity), (vec![1, 4, 5], vec![10, 40, 50]));
        assert_eq!((samples.measured_at, samples.is_state), (vec![0, 7, 9], vec![false, true, false]));
        assert_eq!((samples.created, samples.backfilled.len()), (vec![false, true, false], 3));
    }

    #[test]
    fn a_sample_does_not_end_a_state() {
        let is_state = |rows: &[_]| resolved(None, rows).into_iter().map(|row| row.2).collect::<Vec<_>>();
        assert_eq!(is_state(&[SAMPLED, REPORTED, SAMPLED]), [false, true, true]);
        assert_eq!(is_state(&[REPORTED, DELETED, SAMPLED]), [true, true, false]);
        assert!(resolved(previous(false), &[SAMPLED])[0].2);
    }
}
