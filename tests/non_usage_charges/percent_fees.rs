//! `[[fee]]`: a percent of other lines, before or after discounts, in tiers and with a minimum.

use super::{OCTOBER, RULE, account, lake, lines};

/// A plan of the card `business`, a plan for the account `big` only, and a discount of 50 % for `big`.
const FEES: &str = r#"
[[fee]]
id = "business"
service = "Support"
card = "business"
per = "account"
base = "before_discounts"
when = "service = 'Network'"
minimum = "2.00"
tier = [{ up_to = "10", percent = "10" }, { percent = "5" }]

[[fee]]
id = "care"
service = "Support"
per = "project"
accounts = ["big"]
base = "after_discounts"
percent = "10"

[[discount]]
id = "half"
accounts = ["big"]
when = "service = 'Network'"
percent = "50"
"#;

const ACCOUNTS: &str = r#"
[[account]]
id = "acme"
name = "acme Ltd"
country = "FR"
cards = ["business", "public"]
projects = ["p", "q"]

[[account]]
id = "big"
name = "big Ltd"
country = "FR"
cards = ["business", "public"]
invoice_per = "account"
projects = ["b"]

[[account]]
id = "idle"
name = "idle Ltd"
country = "FR"
cards = ["business", "public"]

[[account]]
id = "late"
name = "late Ltd"
country = "FR"
cards = ["business", "public"]
valid_from = 2026-10-17
"#;

/// * `acme` uses 15.00 in two projects. 10 % of the first 10.00 and 5 % of the rest are 1.00 + 0.25, and 0.75 more are
///   the minimum. The fee is on the account's own document.
/// * `big` uses 20.00, with a discount of half. The plan before discounts is 1.00 + 0.50 + 0.50, and the plan after
///   discounts is 10 % of 10.00.
/// * `idle` has no usage and owes the minimum. `late` begins on the 17th and owes 15/31 of the minimum, 0.967….
/// * `other` is without the card and owes nothing.
#[test]
fn fee_base_before_and_after_discounts_with_tiers_and_minimum() {
    let accounts = ACCOUNTS.to_owned() + &account("other", "country = 'FR'\nprojects = ['o']");
    let lake = lake(&accounts, &[RULE, FEES].concat()).usage(
        [("p", 100), ("q", 50), ("b", 200), ("o", 10)]
            .map(|(project, quantity)| format!("m,r-{project},2026-10-01T10:00:00Z,{quantity},{project}")),
    );
    lake.run(OCTOBER);
    let expected = [
        "2026-10-acme: business base=before discounts 10 EUR at 10 per 100: 1.0000",
        "2026-10-acme: business base=before discounts 5 EUR at 5 per 100: 0.2500",
        "2026-10-acme: business base=before discounts 1  at 0.75 per 1: 0.7500",
        "2026-10-big: EGRESS  200 GB at 0.1 per 1: 20.0000",
        "2026-10-big: business base=before discounts 10 EUR at 10 per 100: 1.0000",
        "2026-10-big: business base=before discounts 10 EUR at 5 per 100: 0.5000",
        "2026-10-big: business base=before discounts 1  at 0.5 per 1: 0.5000",
        "2026-10-big: care base=after discounts 10 EUR at 10 per 100: 1.0000",
        "2026-10-idle: business base=before discounts 1  at 2 per 1: 2.0000",
        "2026-10-late: business base=before discounts 1  at 0.97 per 1: 0.9700",
        "2026-10-o: EGRESS  10 GB at 0.1 per 1: 1.0000",
        "2026-10-p: EGRESS  100 GB at 0.1 per 1: 10.0000",
        "2026-10-q: EGRESS  50 GB at 0.1 per 1: 5.0000",
    ];
    assert_eq!(lines(&lake, OCTOBER), expected);
    lake.assert_audited(&[OCTOBER]);
    let explained = lake.explain(&lake.draft("2026-10", "acme/2"));
    assert!(explained.contains("5.00 % of 5 EUR: 0.25"), "{explained}");
    // Late usage of a closed month raises its fees. 10 GB more of `b` cost 1.00, less the discount of half.
    lake.configure(r#"closing.charge_increases_as = "separate_invoice""#);
    lake.close(OCTOBER, "2026-11-02");
    lake.deliver("late", ["m,r-b,2026-10-20T10:00:00Z,10,b"]);
    lake.close(OCTOBER, "2026-11-05");
    let documents = lake.rows("issued_document");
    let due = documents.iter().filter(|row| row.contains_key("corrects")).map(|row| row["total_with_tax"].clone());
    // The usage is 1.00 - 0.50. The first plan is 0.05 more, and its minimum 0.05 less. The second plan is 0.05 more.
    // The total is 0.55, with 20 % of tax 0.66.
    assert_eq!(due.collect::<Vec<_>>(), ["0.6600"]);
}
