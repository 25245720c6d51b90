//! The evidence for samples, which determines how reliable a sample is and how long it is valid.

/// The evidence for a sample.
///
/// The derived order is the order of the variants, and then of `message_sent_at`. `message_sent_at` (microseconds UTC)
/// is the time of the message that implies the sample. If several messages imply a state for the same instant, the
/// earliest message wins, because it was sent closest to that instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// A measured value. It is valid at most for the `max_gap` of the meter.
    #[default]
    Sampled,
    /// A state that an event reported. It is valid until the next event.
    Reported,
    /// A state that a later message implies. It is valid until the next event. The message contains the start of the
    /// state. Other attributes describe the time of the message, so they do not contradict earlier samples.
    Inferred { message_sent_at: i64 },
    /// A state as in [`Self::Inferred`], but for a time at which the state may have been different. It applies only if
    /// there is no other evidence.
    Backfilled { message_sent_at: i64 },
}

// For a record without an id, `record_digest` distinguishes the samples of one instant. The order is: sampled,
// backfilled, inferred, reported, deletion. Inferred states of one instant are ordered from the latest message to the
// earliest, so that the last state is valid.
const BACKFILLED_DIGEST: u64 = 1 << 60;
const INFERRED_DIGEST: u64 = 2 << 60;
const REPORTED_DIGEST: u64 = 3 << 60;
const DELETED_DIGEST: u64 = 4 << 60;
/// The bit that distinguishes digests of record ids from the other digests of states.
const RECORD_ID_DIGEST: u64 = 8 << 60;
/// The bit that distinguishes the samples of events. The id of an event identifies it at every time, any other record
/// id only within its instant.
const EVENT_DIGEST: u64 = 8 << 60;
/// The bit that the event of a meter has if the meter uses one sample of each instant, whatever the id of the event.
const ONE_OF_INSTANT_DIGEST: u64 = 4 << 60;
/// A time in microseconds UTC that is later than any time that intake accepts.
const END_OF_TIME: u64 = 1 << 53;

impl Evidence {
    /// The digest of a sample without a record id.
    pub fn digest(self, deleted: bool) -> u64 {
        let time_to_end = |message_sent_at: i64| END_OF_TIME - message_sent_at.unsigned_abs().min(END_OF_TIME);
        match self {
            Self::Sampled => 0,
            Self::Backfilled { message_sent_at } => BACKFILLED_DIGEST + time_to_end(message_sent_at),
            Self::Inferred { message_sent_at } => INFERRED_DIGEST + time_to_end(message_sent_at),
            Self::Reported if deleted => DELETED_DIGEST,
            Self::Reported => REPORTED_DIGEST,
        }
    }

    /// The digest of a sample with a record id; `digest` is the digest of the id. Zero is reserved for samples without
    /// an id.
    pub fn record_id_digest(self, digest: u64) -> u64 {
        if self == Self::Sampled { (digest & !EVENT_DIGEST).max(1) } else { digest | RECORD_ID_DIGEST }
    }

    /// The digest of an event's sample; `digest` is the digest of the event's id. Samples of an additive meter can
    /// share an instant.
    pub const fn event_digest(digest: u64, is_additive: bool) -> u64 {
        let of_meter = if is_additive { EVENT_DIGEST } else { EVENT_DIGEST | ONE_OF_INSTANT_DIGEST };
        digest & !(EVENT_DIGEST | ONE_OF_INSTANT_DIGEST) | of_meter
    }

    /// Whether a digest identifies an event, which is the same at every time.
    pub fn is_event(self, digest: u64) -> bool {
        self == Self::Sampled && digest & EVENT_DIGEST != 0
    }

    /// Whether a digest identifies a sample by the id of its record.
    pub fn has_record_id(self, digest: u64) -> bool {
        match self {
            Self::Sampled => digest != 0,
            Self::Reported => digest & RECORD_ID_DIGEST != 0,
            Self::Inferred { .. } | Self::Backfilled { .. } => false,
        }
    }

    /// The position of a sample among the samples of its instant. The last sample is valid.
    pub fn precedence(self, digest: u64) -> u64 {
        if self == Self::Sampled { self.identity(digest) } else { digest }
    }

    /// The evidence of a stored sample, from its columns and its digest.
    pub fn from_digest(is_state: bool, is_backfilled: bool, digest: u64) -> Self {
        let message_sent_at = |from: u64| END_OF_TIME.saturating_sub(digest.saturating_sub(from)) as i64;
        match (is_state, is_backfilled) {
            (_, true) => Self::Backfilled { message_sent_at: message_sent_at(BACKFILLED_DIGEST) },
            (true, false) if (INFERRED_DIGEST..=INFERRED_DIGEST + END_OF_TIME).contains(&digest) => {
                Self::Inferred { message_sent_at: message_sent_at(INFERRED_DIGEST) }
            }
            (true, false) => Self::Reported,
            (false, false) => Self::Sampled,
        }
    }

    /// Whether the sample follows from a message of a later time.
    pub const fn is_inferred(self) -> bool {
        matches!(self, Self::Inferred { .. } | Self::Backfilled { .. })
    }

    /// The identity of a sample within its instant. All inferred states of an instant are one sample, and so are
    /// all events of a meter that is not additive.
    pub fn identity(self, digest: u64) -> u64 {
        const OF_INSTANT: u64 = EVENT_DIGEST | ONE_OF_INSTANT_DIGEST;
        match self {
            Self::Sampled if digest & OF_INSTANT == OF_INSTANT => 0,
            Self::Sampled | Self::Reported => digest,
            Self::Inferred { .. } => INFERRED_DIGEST,
            Self::Backfilled { .. } => BACKFILLED_DIGEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_id_identifies_a_state() {
        for id in 0..16_u64 {
            let digest = Evidence::Reported.record_id_digest(id << 60 | 7);
            let stored = Evidence::from_digest(true, false, digest);
            assert_eq!(stored, Evidence::Reported);
            assert_eq!(stored.identity(digest), digest);
        }
    }

    #[test]
    fn an_event_is_identified_at_every_time_and_another_record_id_within_its_instant() {
        for id in 0..16_u64 {
            let id = id << 60 | 7;
            let (additive, other) = (Evidence::event_digest(id, true), Evidence::event_digest(id, false));
            assert!(Evidence::Sampled.is_event(additive) && Evidence::Sampled.is_event(other));
            assert_eq!((Evidence::Sampled.identity(additive), Evidence::Sampled.identity(other)), (additive, 0));
            assert!(!Evidence::Sampled.is_event(Evidence::Sampled.record_id_digest(id)));
            assert!(!Evidence::Reported.is_event(Evidence::Reported.record_id_digest(id)));
            assert!(Evidence::Sampled.has_record_id(Evidence::Sampled.record_id_digest(id)));
            assert!(Evidence::Reported.has_record_id(Evidence::Reported.record_id_digest(id)));
        }
        assert!(!Evidence::Sampled.is_event(0) && !Evidence::Sampled.has_record_id(0));
        assert!(!Evidence::Reported.has_record_id(Evidence::Reported.digest(true)));
    }

    #[test]
    fn digests_of_one_instant_are_in_the_order_of_precedence() {
        let (early, late) = (1_790_812_800_000_000, 1_790_812_800_000_001);
        let samples = [
            (Evidence::Sampled, false),
            (Evidence::Backfilled { message_sent_at: late }, false),
            (Evidence::Backfilled { message_sent_at: early }, false),
            (Evidence::Inferred { message_sent_at: late }, false),
            (Evidence::Inferred { message_sent_at: early }, false),
            (Evidence::Reported, false),
            (Evidence::Reported, true),
        ];
        let digests: Vec<u64> = samples.iter().map(|(evidence, deleted)| evidence.digest(*deleted)).collect();
        assert!(digests.is_sorted_by(|left, right| left < right), "{digests:?}");
        for ((evidence, _), digest) in samples.into_iter().zip(digests) {
            let is_backfilled = matches!(evidence, Evidence::Backfilled { .. });
            let is_state = evidence != Evidence::Sampled;
            assert_eq!(Evidence::from_digest(is_state, is_backfilled, digest), evidence);
        }
    }
}
