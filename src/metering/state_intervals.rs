//! States that were notified, not sampled: each holds until another word of its stream.
//!
//! What was concluded from a later message (a machine that is there today was launched on Monday) tells that the
//! resource was there, and what it was like only where nothing else does: what is known before holds on, or the first
//! that is said later on the same date holds from there. Behind a deletion it tells nothing: only a word of that time
//! does. An end and a state of one instant are a life that ends and another that begins, where the resource was there
//! before; otherwise it was made and deleted at once.

use crate::metering::windows::{StreamDay, StreamState};

/// Settles the samples of one stream on a date, in the order of time, before they are described.
pub fn settle(samples: &mut StreamDay, carried: Option<&StreamState>) {
    let mut is_gone = carried.is_some_and(|carried| carried.deleted);
    let carried = carried.filter(|carried| !carried.deleted);
    if samples.is_state.is_empty() && !carried.is_some_and(|carried| carried.is_state) {
        return;
    }
    let rows = samples.measured_at.len();
    samples.is_state.resize(rows, false);
    samples.assumed.resize(rows, false);
    let mut known = carried.map(|carried| (carried.series_id, carried.quantity));
    // A sample between two notifications does not end what the first one said.
    let mut is_state = carried.is_some_and(|carried| carried.is_state);
    let mut ended_at = None;
    for row in 0..rows {
        let at = samples.measured_at[row];
        if samples.deleted[row] && known.is_none() {
            ended_at = Some(at);
        }
        samples.deleted[row] |= (is_gone && samples.assumed[row]) || ended_at == Some(at);
        is_gone = samples.deleted[row];
        if is_gone {
            (known, is_state) = (None, false);
            continue;
        }
        if samples.assumed[row] {
            let is_said = |later: &usize| !samples.assumed[*later] && !samples.deleted[*later];
            let said_later = (row + 1..rows).take_while(|later| !samples.deleted[*later]).find(is_said).map(|first| {
                // Of one instant the last word says what there is.
                let of_instant =
                    (first..rows).take_while(|later| samples.measured_at[*later] == samples.measured_at[first]);
                let last = of_instant.filter(is_said).last().unwrap_or(first);
                (samples.series_id[last], samples.quantity[last])
            });
            if let Some((series_id, quantity)) = known.or(said_later) {
                (samples.series_id[row], samples.quantity[row]) = (series_id, quantity);
            }
        }
        is_state |= samples.is_state[row];
        samples.is_state[row] = is_state;
        known = Some((samples.series_id[row], samples.quantity[row]));
    }
}

/// Makes one of what a poll and a notification say of the same instant, where values of a time are looked at and not
/// added up: the last one says what there is, and it holds if any of them does. Comes after they are described, so that
/// what the others know of the resource is not lost.
pub fn join(samples: &mut StreamDay) {
    let is_joined = |row: usize, times: &[i64]| times.get(row + 1) == Some(&times[row]);
    let rows = samples.is_state.len();
    let joined: Vec<bool> = (0..rows).map(|row| is_joined(row, &samples.measured_at)).collect();
    if !joined.contains(&true) {
        return;
    }
    for row in (0..rows).filter(|row| joined[*row]) {
        samples.is_state[row + 1] |= samples.is_state[row] && !samples.deleted[row + 1];
        samples.created[row + 1] |= samples.created[row];
    }
    fn keep<T>(values: &mut Vec<T>, joined: &[bool]) {
        let mut row = 0;
        values.retain(|_| {
            row += 1;
            !joined[row - 1]
        });
    }
    keep(&mut samples.series_id, &joined);
    keep(&mut samples.measured_at, &joined);
    keep(&mut samples.quantity, &joined);
    keep(&mut samples.created, &joined);
    keep(&mut samples.deleted, &joined);
    keep(&mut samples.is_state, &joined);
    keep(&mut samples.assumed, &joined);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of (series, quantity, deleted, holds, assumed), a second apart.
    fn settled(carried: Option<StreamState>, rows: &[(u64, i128, bool, bool, bool)]) -> Vec<(u64, i128, bool)> {
        let mut samples = StreamDay {
            series_id: rows.iter().map(|row| row.0).collect(),
            measured_at: (0..rows.len() as i64).collect(),
            quantity: rows.iter().map(|row| row.1).collect(),
            created: vec![false; rows.len()],
            deleted: rows.iter().map(|row| row.2).collect(),
            is_state: rows.iter().map(|row| row.3).collect(),
            assumed: rows.iter().map(|row| row.4).collect(),
        };
        settle(&mut samples, carried.as_ref());
        (0..rows.len()).map(|row| (samples.series_id[row], samples.quantity[row], samples.is_state[row])).collect()
    }

    fn carried(deleted: bool) -> Option<StreamState> {
        Some(StreamState { stream_id: 1, measured_at: -5, quantity: 200, series_id: 7, deleted, is_state: true })
    }

    const ASSUMED: (u64, i128, bool, bool, bool) = (9, 300, false, true, true);
    const NOTIFIED: (u64, i128, bool, bool, bool) = (8, 250, false, true, false);
    const SAMPLED: (u64, i128, bool, bool, bool) = (8, 250, false, false, false);
    const DELETED: (u64, i128, bool, bool, bool) = (8, 250, true, true, false);

    #[test]
    fn what_is_assumed_counts_where_nothing_else_is_known() {
        assert_eq!(settled(None, &[ASSUMED]), [(9, 300, true)]);
        assert_eq!(settled(None, &[ASSUMED, NOTIFIED])[0], (8, 250, true));
        assert_eq!(settled(None, &[NOTIFIED, ASSUMED])[1], (8, 250, true));
        assert_eq!(settled(carried(false), &[ASSUMED, NOTIFIED])[0], (7, 200, true));
        // What is said behind a deletion is of another life.
        assert_eq!(settled(None, &[ASSUMED, DELETED, NOTIFIED])[0], (9, 300, true));
    }

    #[test]
    fn an_end_and_a_state_of_one_instant_are_two_lives_or_none() {
        let mut samples = StreamDay {
            series_id: vec![8; 5],
            measured_at: vec![0, 0, 3, 4, 4],
            quantity: vec![1; 5],
            created: vec![false; 5],
            // An inventory's row of the end is a sample, and comes before a state; a message's comes behind it.
            deleted: vec![true, false, false, true, false],
            is_state: vec![false, true, true, false, true],
            assumed: vec![false; 5],
        };
        let ends = |samples: &StreamDay| (samples.measured_at.clone(), samples.deleted.clone());
        let mut of_message = StreamDay { deleted: vec![false, true, false, false, true], ..samples.clone() };
        settle(&mut samples, None);
        join(&mut samples);
        // Made and deleted at once; made; handed over.
        assert_eq!(ends(&samples), (vec![0, 3, 4], vec![true, false, false]));
        settle(&mut of_message, None);
        join(&mut of_message);
        assert_eq!(ends(&of_message), (vec![0, 3, 4], vec![true, false, true]));
    }

    #[test]
    fn of_what_is_said_next_of_one_instant_the_last_counts() {
        let mut samples = StreamDay {
            series_id: vec![7, 8, 9, 6],
            measured_at: vec![0, 5, 5, 6],
            quantity: vec![300, 200, 400, 500],
            created: vec![false; 4],
            deleted: vec![false; 4],
            is_state: vec![true, false, true, true],
            assumed: vec![true, false, false, false],
        };
        settle(&mut samples, None);
        assert_eq!((samples.series_id, samples.quantity), (vec![9, 8, 9, 6], vec![400, 200, 400, 500]));
    }

    #[test]
    fn what_is_assumed_brings_nothing_back_that_was_deleted() {
        let mut samples = StreamDay {
            series_id: vec![8, 8, 9, 8],
            measured_at: vec![0, 1, 2, 3],
            quantity: vec![1; 4],
            created: vec![false; 4],
            deleted: vec![false, true, false, false],
            is_state: vec![true; 4],
            assumed: vec![true, false, true, false],
        };
        settle(&mut samples, carried(true).as_ref());
        assert_eq!(samples.deleted, [true, true, true, false]);
    }

    #[test]
    fn of_one_instant_there_is_one_word() {
        let mut samples = StreamDay {
            series_id: vec![1, 2, 3, 4, 5],
            measured_at: vec![0, 7, 7, 7, 9],
            quantity: vec![10, 20, 30, 40, 50],
            created: vec![false, true, false, false, false],
            deleted: vec![false; 5],
            is_state: vec![false, false, true, false, false],
            assumed: vec![false; 5],
        };
        join(&mut samples);
        assert_eq!((samples.series_id, samples.quantity), (vec![1, 4, 5], vec![10, 40, 50]));
        assert_eq!((samples.measured_at, samples.is_state), (vec![0, 7, 9], vec![false, true, false]));
        assert_eq!((samples.created, samples.assumed.len()), (vec![false, true, false], 3));
    }

    #[test]
    fn a_sample_does_not_end_what_was_notified() {
        let is_state = |rows: &[_]| settled(None, rows).into_iter().map(|row| row.2).collect::<Vec<_>>();
        assert_eq!(is_state(&[SAMPLED, NOTIFIED, SAMPLED]), [false, true, true]);
        assert_eq!(is_state(&[NOTIFIED, DELETED, SAMPLED]), [true, true, false]);
        assert!(settled(carried(false), &[SAMPLED])[0].2);
    }
}
