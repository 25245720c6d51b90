//! How long it holds what is known of a resource, and what tells apart what is known of one instant.

/// How long what a record says of its resource holds.
///
/// The order is that in which facts of one instant are looked at; `message_sent_at` (microseconds UTC) is when the message was
/// sent that something was concluded from. Of what several of them tell of one instant the earliest counts: least can
/// have changed by then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Evidence {
    /// At its instant, and for no longer than a meter's gap cap.
    #[default]
    Sampled,
    /// A state that was notified: until another word.
    Reported,
    /// As [`Self::Reported`], and not said at its time but by each later message that tells since when a thing is what
    /// it is: what they say beside that is of their own time, and contradicts nothing.
    Inferred { message_sent_at: i64 },
    /// As [`Self::Inferred`], of a time at which it may have been something else: it counts where nothing else is
    /// known.
    Backfilled { message_sent_at: i64 },
}

// In the place of a record's own id, `record_digest` tells apart what is known of one instant: a sample, what is
// assumed, what was concluded, what was notified and that it was deleted are five facts, whichever of them is known
// first. They lie in this order, and what is concluded of an instant from the latest message to the earliest, so that
// the last one says what holds.
const ASSUMED_DIGEST: u64 = 1 << 60;
const CONCLUDED_DIGEST: u64 = 2 << 60;
const NOTIFIED_DIGEST: u64 = 3 << 60;
const DELETED_DIGEST: u64 = 4 << 60;
/// The digest of a state's own id lies above them, so that it is taken for none of them.
const OWN_DIGEST: u64 = 8 << 60;
/// Later than any time that is taken in, in microseconds.
const END_OF_TIME: u64 = 1 << 53;

impl Evidence {
    /// What stands in the place of a record's own id.
    pub fn digest(self, deleted: bool) -> u64 {
        let before_the_end = |message_sent_at: i64| END_OF_TIME - message_sent_at.unsigned_abs().min(END_OF_TIME);
        match self {
            Self::Sampled => 0,
            Self::Backfilled { message_sent_at } => ASSUMED_DIGEST + before_the_end(message_sent_at),
            Self::Inferred { message_sent_at } => CONCLUDED_DIGEST + before_the_end(message_sent_at),
            Self::Reported if deleted => DELETED_DIGEST,
            Self::Reported => NOTIFIED_DIGEST,
        }
    }

    /// The digest of a record that is known by its own id.
    pub fn digest_of_own(self, digest: u64) -> u64 {
        if self == Self::Sampled { digest } else { digest | OWN_DIGEST }
    }

    /// Of what a digest from [`Self::digest`] is, where the lake says whether it holds and is assumed.
    pub fn of_digest(holds: bool, assumed: bool, digest: u64) -> Self {
        let message_sent_at = |from: u64| END_OF_TIME.saturating_sub(digest.saturating_sub(from)) as i64;
        match (holds, assumed) {
            (_, true) => Self::Backfilled { message_sent_at: message_sent_at(ASSUMED_DIGEST) },
            (true, false) if (CONCLUDED_DIGEST..=CONCLUDED_DIGEST + END_OF_TIME).contains(&digest) => {
                Self::Inferred { message_sent_at: message_sent_at(CONCLUDED_DIGEST) }
            }
            (true, false) => Self::Reported,
            (false, false) => Self::Sampled,
        }
    }

    /// Whether it was not said of its time.
    pub const fn is_inferred(self) -> bool {
        matches!(self, Self::Inferred { .. } | Self::Backfilled { .. })
    }

    /// The digest by which a fact is known: of an instant one thing is concluded, however many messages tell it.
    pub fn identity(self, digest: u64) -> u64 {
        match self {
            Self::Sampled | Self::Reported => digest,
            Self::Inferred { .. } => CONCLUDED_DIGEST,
            Self::Backfilled { .. } => ASSUMED_DIGEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_with_an_id_of_its_own_is_known_by_it() {
        for id in 0..16_u64 {
            let digest = Evidence::Reported.digest_of_own(id << 60 | 7);
            let known = Evidence::of_digest(true, false, digest);
            assert_eq!(known, Evidence::Reported);
            assert_eq!(known.identity(digest), digest);
        }
    }

    #[test]
    fn what_is_known_of_an_instant_lies_in_the_order_in_which_it_counts() {
        let (early, late) = (1_790_812_800_000_000, 1_790_812_800_000_001);
        let known = [
            (Evidence::Sampled, false),
            (Evidence::Backfilled { message_sent_at: late }, false),
            (Evidence::Backfilled { message_sent_at: early }, false),
            (Evidence::Inferred { message_sent_at: late }, false),
            (Evidence::Inferred { message_sent_at: early }, false),
            (Evidence::Reported, false),
            (Evidence::Reported, true),
        ];
        let digests: Vec<u64> = known.iter().map(|(standing, deleted)| standing.digest(*deleted)).collect();
        assert!(digests.is_sorted_by(|left, right| left < right), "{digests:?}");
        for ((standing, _), digest) in known.into_iter().zip(digests) {
            let assumed = matches!(standing, Evidence::Backfilled { .. });
            let holds = standing != Evidence::Sampled;
            assert_eq!(Evidence::of_digest(holds, assumed, digest), standing);
        }
    }
}
