//! The numbers of documents that are not issued: `DRAFT-2026-10-483920` for a draft, and `NEXT-2026-10-483920-1` for
//! the first correction that goes to the next invoice.
//!
//! The digits come from a hash of the payer, so a payer has the same digits in each month and each run:
//!
//! 1. The text of a payer is a JSON array without spaces: account, project, seller and currency, such as
//!    `["C-1002",null,null,"EUR"]`. The project is null on a document for all projects. The seller is the account of
//!    the reseller, or null for the configured seller.
//! 2. The hash is the first eight bytes of the SHA-256 of this text in UTF-8, as a number with the highest byte first.
//! 3. The digits are the last six of the hash. A period with more than 100,000 drafts has eight digits. Each further
//!    factor of 100 adds two digits.
//! 4. Payers get their digits in the order of account, project, seller and currency. If the digits are taken, the payer
//!    gets the next free number. After the largest number follows zero.

use std::collections::BTreeSet;

use serde_json::json;
use sha2::{Digest, Sha256};

use crate::model::period::BillingPeriod;

/// The number of drafts that six digits are enough for.
const MOST_WITH_SIX_DIGITS: usize = 100_000;

/// The payer of a document. Payers with the same digits are numbered in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DraftKey<'a> {
    pub account_id: &'a str,
    /// The project; `None` on a document for all projects.
    pub project_id: Option<&'a str>,
    /// The account of the reseller; `None` for the configured seller.
    pub sold_by: Option<&'a str>,
    pub currency: &'a str,
}

impl DraftKey<'_> {
    fn hash(&self) -> u64 {
        let text = json!([self.account_id, self.project_id, self.sold_by, self.currency]).to_string();
        Sha256::digest(text.as_bytes())[..8].iter().fold(0, |hash, byte| (hash << 8) | u64::from(*byte))
    }
}

/// The numbers of one kind of documents in one period. No number occurs twice.
#[derive(Debug)]
pub struct DraftNumbers {
    /// The text before the digits.
    prefix: String,
    width: usize,
    taken: BTreeSet<u64>,
}

impl DraftNumbers {
    /// The numbers of drafts, in a period with this many drafts.
    pub fn drafts(period: BillingPeriod, draft_count: usize) -> Self {
        Self::new(draft_prefix(period), draft_count)
    }

    /// The numbers of corrections that go to the next invoice, in a period with this many drafts. A further correction
    /// of the same payer has the same digits, so the caller appends a count.
    pub fn corrections(period: BillingPeriod, draft_count: usize) -> Self {
        Self::new(format!("NEXT-{period}-"), draft_count)
    }

    fn new(prefix: String, draft_count: usize) -> Self {
        let (mut width, mut most) = (6, MOST_WITH_SIX_DIGITS);
        while most < draft_count {
            width += 2;
            most = most.saturating_mul(100);
        }
        Self { prefix, width, taken: BTreeSet::new() }
    }

    /// The number before the count, for the number of a correction; `None` for a number of another kind or period.
    pub fn without_count<'a>(&self, number: &'a str) -> Option<&'a str> {
        number.rsplit_once('-').map(|(number, _)| number).filter(|number| number.starts_with(&self.prefix))
    }

    /// Marks a number as taken. A number of another kind or period has no effect.
    pub fn take(&mut self, number: &str) {
        self.taken.extend(number.strip_prefix(&self.prefix).and_then(|digits| digits.parse::<u64>().ok()));
    }

    /// The number of a payer.
    pub fn next(&mut self, key: &DraftKey<'_>) -> String {
        self.next_from(key.hash())
    }

    fn next_from(&mut self, hash: u64) -> String {
        let range = (0..self.width).fold(1, |range: u64, _| range.saturating_mul(10));
        let mut digits = hash % range;
        while !self.taken.insert(digits) {
            digits = (digits + 1) % range;
        }
        format!("{}{digits:0width$}", self.prefix, width = self.width)
    }
}

/// The text before the digits of the drafts of a period.
pub fn draft_prefix(period: BillingPeriod) -> String {
    format!("DRAFT-{period}-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(account_id: &str) -> DraftKey<'_> {
        DraftKey { account_id, project_id: None, sold_by: None, currency: "EUR" }
    }

    fn drafts(period: &str, draft_count: usize) -> DraftNumbers {
        DraftNumbers::drafts(period.parse().unwrap(), draft_count)
    }

    /// `printf '["acme",null,null,"EUR"]' | sha256sum` prints a hash whose first 16 hexadecimal digits are
    /// 2e834535fbb639cf, or 3351598645852387791.
    #[test]
    fn a_payer_has_the_same_digits_in_each_month() {
        assert_eq!(drafts("2026-10", 1).next(&key("acme")), "DRAFT-2026-10-387791");
        assert_eq!(drafts("2026-11", 9).next(&key("acme")), "DRAFT-2026-11-387791");
        let mut corrections = DraftNumbers::corrections("2026-10".parse().unwrap(), 1);
        assert_eq!(corrections.next(&key("acme")), "NEXT-2026-10-387791");
        for other in [
            key("acme-2"),
            DraftKey { project_id: Some("acme"), ..key("acme") },
            DraftKey { sold_by: Some("R-1"), ..key("acme") },
            DraftKey { currency: "USD", ..key("acme") },
        ] {
            assert_ne!(other.hash(), key("acme").hash(), "{other:?}");
        }
        let project = DraftKey { project_id: Some("x"), ..key("acme") };
        assert_ne!(project.hash(), DraftKey { sold_by: Some("x"), ..key("acme") }.hash());
    }

    #[test]
    fn a_payer_in_between_renumbers_no_other_payer() {
        let numbers = |ids: &[&str]| -> Vec<String> {
            let mut drafts = drafts("2026-10", ids.len());
            ids.iter().map(|id| drafts.next(&key(id))).collect()
        };
        let before = numbers(&["a", "c"]);
        let after = numbers(&["a", "b", "c"]);
        assert_eq!([&before[0], &before[1]], [&after[0], &after[2]]);
    }

    #[test]
    fn taken_digits_are_followed_by_the_next_free_ones() {
        let mut numbers = drafts("2026-10", 1);
        numbers.take("DRAFT-2026-10-000008");
        // Neither another period nor another kind has the same numbers.
        for other in ["DRAFT-2026-11-000009", "NEXT-2026-10-000009-1", "INV-2026-00009"] {
            numbers.take(other);
        }
        let found = [5_000_007, 6_000_007, 7, 999_999, 999_999].map(|hash| numbers.next_from(hash));
        let digits = ["000007", "000009", "000010", "999999", "000000"];
        assert_eq!(found, digits.map(|digits| format!("DRAFT-2026-10-{digits}")));
        assert!((0..1_000).map(|_| numbers.next(&key("acme"))).collect::<BTreeSet<String>>().len() == 1_000);
    }

    #[test]
    fn more_drafts_have_more_digits() {
        let hash = 1_234_567_890_123;
        let number = |draft_count| drafts("2026-10", draft_count).next_from(hash);
        assert_eq!(number(100_000), "DRAFT-2026-10-890123");
        assert_eq!(number(100_001), "DRAFT-2026-10-67890123");
        assert_eq!(number(10_000_001), "DRAFT-2026-10-4567890123");
        assert!(number(usize::MAX).len() > number(10_000_001).len());
    }

    #[test]
    fn a_correction_is_counted_after_its_digits() {
        let corrections = DraftNumbers::corrections("2026-10".parse().unwrap(), 1);
        assert_eq!(corrections.without_count("NEXT-2026-10-483920-2"), Some("NEXT-2026-10-483920"));
        assert_eq!(corrections.without_count("NEXT-2026-11-483920-2"), None);
        assert_eq!(corrections.without_count("DRAFT-2026-10-483920"), None);
        assert_eq!(corrections.without_count("INV-2026-00001"), None);
    }
}
