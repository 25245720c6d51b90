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
/// What a lake of before has in their place; it has less of what is assumed.
const DIGEST_OF_BEFORE: u64 = 2;
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
    pub fn of_digest(holds: bool, assumed: bool, digest: u64, deleted: bool) -> Self {
        let message_sent_at = |from: u64| END_OF_TIME.saturating_sub(digest.saturating_sub(from)) as i64;
        match (holds, assumed) {
            (_, true) => Self::Backfilled { message_sent_at: message_sent_at(ASSUMED_DIGEST) },
            (true, false) if (CONCLUDED_DIGEST..=CONCLUDED_DIGEST + END_OF_TIME).contains(&digest) => {
                Self::Inferred { message_sent_at: message_sent_at(CONCLUDED_DIGEST) }
            }
            // A lake of before does not tell apart what was concluded and what was notified: neither is new now.
            (true, false) if digest == DIGEST_OF_BEFORE && !deleted => Self::Inferred { message_sent_at: 0 },
            (true, false) => Self::Reported,
            (false, false) => Self::Sampled,
        }
    }

    /// The digest of a fact that a lake knows. One of before knew whatever was assumed of an instant, or notified, by a
    /// small number, and a state with an id of its own by the digest of that alone.
    pub fn digest_of_known(self, digest: u64, deleted: bool) -> u64 {
        match self {
            Self::Sampled => digest,
            _ if digest <= DIGEST_OF_BEFORE => self.digest(deleted),
            Self::Reported if ![NOTIFIED_DIGEST, DELETED_DIGEST].contains(&digest) => self.digest_of_own(digest),
            _ => digest,
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
            for deleted in [false, true] {
                let known = Evidence::of_digest(true, false, digest, deleted);
                assert_eq!(known, Evidence::Reported);
                assert_eq!(known.identity(known.digest_of_known(digest, deleted)), digest);
                // A lake of before has it without the highest bit.
                let before = id << 60 | END_OF_TIME << 1;
                let known = Evidence::of_digest(true, false, before, deleted);
                assert_eq!(known.digest_of_known(before, deleted), known.digest_of_own(before));
            }
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
        for ((standing, deleted), digest) in known.into_iter().zip(digests) {
            let assumed = matches!(standing, Evidence::Backfilled { .. });
            let holds = standing != Evidence::Sampled;
            assert_eq!(Evidence::of_digest(holds, assumed, digest, deleted), standing);
            assert_eq!(standing.digest_of_known(digest, deleted), digest);
        }
        // As a lake of before has them: what was assumed counts for less than anything that is assumed of it now.
        assert_eq!(Evidence::of_digest(true, false, 2, true), Evidence::Reported);
        let concluded = Evidence::of_digest(true, false, 2, false);
        assert_eq!(concluded, Evidence::Inferred { message_sent_at: 0 });
        let identity = |standing: Evidence, digest| standing.identity(digest);
        assert_eq!(identity(concluded, 2), identity(Evidence::Inferred { message_sent_at: early }, 5));
        assert!(concluded.digest_of_known(2, false) > Evidence::Inferred { message_sent_at: early }.digest(false));
        assert_eq!(Evidence::Reported.digest_of_known(2, true), Evidence::Reported.digest(true));
        let assumed = Evidence::of_digest(true, true, 1, false);
        assert!(Evidence::Backfilled { message_sent_at: late } < assumed);
        assert!(assumed.digest_of_known(1, false) < Evidence::Backfilled { message_sent_at: late }.digest(false));
    }
}
