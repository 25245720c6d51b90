//! The cost of a pool without usage: `flat_fee_at_zero` and `minimum_at_zero`.

use super::{OCTOBER, account, lake, lines};

/// A rule with a flat fee of 5.00 for the first tier, and a minimum of 8.00.
const TIERS_WITH_MINIMUM: &str = r#"
[[rule]]
id = "r"
meter = "m"
sku = "EGRESS"
service = "Network"
tiers = "graduated"
tier = [{ up_to = "100", unit_price = "0.10", flat_fee = "5" }, { unit_price = "0.05" }]
minimum = "8"
"#;

const AT_ZERO: &str = r#"
flat_fee_at_zero = true
minimum_at_zero = true
"#;

/// `p` uses 10 GB, which cost 5.00 + 1.00, and owes 2.00 up to the minimum. `q` has no usage and owes 5.00 + 3.00.
#[test]
fn flat_fee_at_zero_and_minimum_at_zero_charge_a_project_without_usage() {
    let accounts = account("acme", "country = 'FR'\nprojects = ['p', 'q']");
    let without = lake(&accounts, TIERS_WITH_MINIMUM);
    without.run(OCTOBER);
    assert!(!lines(&without, OCTOBER).iter().any(|line| line.starts_with("2026-10-q")));
    let with = lake(&accounts, &format!("{TIERS_WITH_MINIMUM}{AT_ZERO}"));
    with.run(OCTOBER);
    let expected = [
        "2026-10-p: EGRESS  10 GB at 0.1 per 1: 1.0000",
        "2026-10-p: EGRESS  1 fee at 5 per 1: 5.0000",
        "2026-10-p: EGRESS  1  at 2 per 1: 2.0000",
        "2026-10-q: EGRESS  1 fee at 5 per 1: 5.0000",
        "2026-10-q: EGRESS  1  at 3 per 1: 3.0000",
    ];
    assert_eq!(lines(&with, OCTOBER), expected);
    with.assert_audited(&[OCTOBER]);
}

/// A factor of a project multiplies the charges of the project without usage: 5.00 and 3.00 up to the minimum, times
/// 1.5. A factor of a resource multiplies only usage, so it has no effect here.
#[test]
fn factor_multiplies_flat_fee_and_minimum_of_an_unused_pool() {
    let factors = r#"
        [[rule]]
        id = "small"
        meter = "m"
        factor = "1.5"
        when = "project_id = 'q'"

        [[rule]]
        id = "other"
        meter = "m"
        factor = "9"
        when = "resource_id = 'x'"
        "#;
    let accounts = account("acme", "country = 'FR'\nprojects = ['q', 'r']");
    let none: [&str; 0] = [];
    let lake = lake(&accounts, &[TIERS_WITH_MINIMUM, AT_ZERO, factors].concat()).usage(none);
    lake.run(OCTOBER);
    let expected = [
        "2026-10-q: EGRESS  1 fee at 7.5 per 1: 7.5000",
        "2026-10-q: EGRESS  1  at 4.5 per 1: 4.5000",
        "2026-10-r: EGRESS  1 fee at 5 per 1: 5.0000",
        "2026-10-r: EGRESS  1  at 3 per 1: 3.0000",
    ];
    assert_eq!(lines(&lake, OCTOBER), expected);
}
