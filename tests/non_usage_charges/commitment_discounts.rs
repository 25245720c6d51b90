//! `[[reservation]]` and `[[hourly_commitment]]`: the usage that they cover, and the charges for the unused part.

use super::{METER, OCTOBER, RULE, account, lake, lines};
use crate::test_lake::{TestLake, short};

/// One machine is reserved on 1 October at 0.04 an hour, so 24 hours are owed. `a` runs for three hours, and `b` runs
/// in the first two of them. The reservation covers the hours of `a`: three hours are used, and 21 are not. The two
/// hours of `b` cost 0.10 each.
#[test]
fn reservation_covers_usage_hour_by_hour_and_charges_unused_hours() {
    let rules = r#"
        [[rule]]
        id = "r"
        meter = "m"
        sku = "CMP"
        service = "Compute"
        unit_price = "0.10"

        [[reservation]]
        id = "reserved"
        account = "acme"
        meter = "m"
        quantity = "1"
        unit_price = "0.04"
        valid_from = 2026-10-01
        valid_to = 2026-10-02
        "#;
    let lake = lake(&account("acme", "country = 'FR'\nprojects = ['p']"), rules).usage([
        "m,a,2026-10-01T00:10:00Z,1,p",
        "m,a,2026-10-01T01:10:00Z,1,p",
        "m,a,2026-10-01T02:10:00Z,1,p",
        "m,b,2026-10-01T00:10:00Z,1,p",
        "m,b,2026-10-01T01:10:00Z,1,p",
        "m,a,2026-10-02T06:10:00Z,1,p",
    ]);
    lake.run(OCTOBER);
    let expected = [
        "2026-10-acme: reserved part=not used 21 GB at 0.04 per 1: 0.8400",
        "2026-10-acme: reserved part=used 3 GB at 0.04 per 1: 0.1200",
        // Two hours of `b`, and one of `a` on the day after the reservation.
        "2026-10-p: CMP  3 GB at 0.1 per 1: 0.3000",
        "2026-10-p: CMP  3 GB at 0 per 1: 0.0000",
    ];
    assert_eq!(lines(&lake, OCTOBER), expected);
    lake.assert_audited(&[OCTOBER]);
    let explained = lake.explain(&lake.draft("2026-10", "acme/1"));
    assert!(explained.contains("reservation reserved at"), "{explained}");
    let again = lake.run(OCTOBER);
    assert_eq!((again.intake.intake_commit, again.billing_commit), (None, None));
}

/// The lines for one hour of four sizes under an hourly commitment of this amount, without lines of zero.
fn hourly_commitment_lines(amount: &str) -> Vec<String> {
    let rules = format!(
        r#"
        [[meter]]
        name = "c"
        aggregation = "sum"
        unit = "hour"
        dimensions.size = {{ from = ["size"] }}

        [[rule]]
        id = "c"
        meter = "c"
        sku = "CMP"
        service = "Compute"
        line_by = ["size"]
        prices = {{ by = "size", s1 = "4", s2 = "10", s3 = "1.50", s4 = "2" }}

        [[hourly_commitment]]
        id = "plan"
        account = "acme"
        amount = "{amount}"
        valid_from = 2026-10-01
        valid_to = 2026-10-02
        covers = [
            {{ meter = "c", when = "size = 's1'", unit_price = "2" }},
            {{ meter = "c", when = "size = 's2'", unit_price = "8" }},
            {{ meter = "c", when = "size = 's3'", unit_price = "1" }},
            {{ meter = "c", when = "size = 's4'", unit_price = "1" }},
        ]
        "#
    );
    let accounts = account("acme", "country = 'FR'\ninvoice_per = 'account'\nprojects = ['p']");
    let lake = lake(&accounts, &[RULE, &rules].concat());
    let used = [("s1", 1), ("s2", 1), ("s3", 10), ("s4", 5)];
    lake.deliver_with(
        "size",
        "usage",
        used.map(|(size, quantity)| format!("c,r-{size},2026-10-01T05:00:00Z,{quantity},p,{size}")),
    );
    lake.run(OCTOBER);
    lake.assert_audited(&[OCTOBER]);
    lines(&lake, OCTOBER).into_iter().filter(|line| !line.ends_with(": 0.0000")).collect()
}

/// A published example of one hour: 39.00 on demand, which a commitment of 25.00 covers exactly. A commitment of 10.00
/// first covers the usage at half price. One hour at 10.00 and seven at 1.50 remain. The commitment is owed for a day:
/// 24 times its amount.
#[test]
fn hourly_commitment_pays_for_the_largest_saving_first_and_is_owed_in_full() {
    assert_eq!(
        hourly_commitment_lines("25.00"),
        [
            "2026-10-acme: plan part=not used 575 EUR at 1 per 1: 575.0000",
            "2026-10-acme: plan part=used 25 EUR at 1 per 1: 25.0000",
        ]
    );
    assert_eq!(
        hourly_commitment_lines("10.00"),
        [
            "2026-10-acme: plan part=not used 230 EUR at 1 per 1: 230.0000",
            "2026-10-acme: plan part=used 10 EUR at 1 per 1: 10.0000",
            "2026-10-acme: CMP size=s2 1 hour at 10 per 1: 10.0000",
            "2026-10-acme: CMP size=s3 7 hour at 1.5 per 1: 10.5000",
        ]
    );
}

/// Rules of two meters with two cards. Servers cost 0.10 by the public card and 0.08 by the card `own`; traffic costs
/// 0.05.
const SERVERS_AND_TRAFFIC: &str = r#"
[[meter]]
name = "server"
aggregation = "presence"
unit = "hour"

[[rule]]
id = "list"
meter = "server"
sku = "SERVER"
service = "Compute"
unit_price = "0.10"

[[rule]]
id = "own"
meter = "server"
sku = "SERVER"
service = "Compute"
unit_price = "0.08"
card = "own"

[[rule]]
id = "r"
meter = "m"
sku = "TRAFFIC"
service = "Network"
unit_price = "0.05"
"#;

const OWN_CARD: &str = r#"
country = "FR"
invoice_per = "account"
cards = ["own", "public"]
projects = ["p"]
"#;

fn reservation(unit_price: &str) -> String {
    format!(
        r#"
        [[reservation]]
        id = "reserved"
        account = "acme"
        meter = "server"
        quantity = "1"
        unit_price = "{unit_price}"
        valid_from = 2026-10-01
        valid_to = 2026-10-02
        "#
    )
}

fn included_units(units: &str) -> String {
    format!(
        r#"
        [[included_units]]
        id = "traffic"
        meter = "server"
        pool = "TRAFFIC"
        units = "{units}"
        prorated = false
        "#
    )
}

fn support(base: &str, percent: &str) -> String {
    format!(
        r#"
        [[fee]]
        id = "support"
        per = "account"
        base = "{base}"
        percent = "{percent}"
        "#
    )
}

/// A lake with a reservation, included units and a fee:
///
/// * Server `a` runs for three hours of 1 October, which the reservation covers. Server `b` runs for two hours at 0.08.
/// * Each server brings 20 GB, covered or not. Of 50 GB, ten are charged: 0.50.
/// * The reservation costs 24 × 0.04 = 0.12 + 0.84 = 0.96.
/// * The fee is 10 % of 0.16 + 0.50 + 0.96 = 1.62: 0.16.
/// * By the public card, the servers cost 5 × 0.10, of which 0.30 are covered, and the traffic costs 0.50. The covered
///   usage has a list cost; the reservation has none.
fn lake_with_reservation() -> TestLake {
    let rules =
        [SERVERS_AND_TRAFFIC, &included_units("20"), &reservation("0.04"), &support("after_discounts", "10")].concat();
    let lake = lake(&account("acme", OWN_CARD), &rules).usage([
        "server,a,2026-10-01T00:10:00Z,1,p",
        "server,a,2026-10-01T01:10:00Z,1,p",
        "server,a,2026-10-01T02:10:00Z,1,p",
        "server,b,2026-10-01T00:10:00Z,1,p",
        "server,b,2026-10-01T01:10:00Z,1,p",
        "m,t,2026-10-20T10:00:00Z,50,p",
    ]);
    lake.run(OCTOBER);
    lake
}

#[test]
fn reserved_usage_has_list_cost_and_included_units_and_fees_are_a_percentage_of_the_paid_amount() {
    let lake = lake_with_reservation();
    let mut found = lines(&lake, OCTOBER);
    found.sort();
    let expected = [
        "2026-10-acme: SERVER  2 hour at 0.08 per 1: 0.1600",
        "2026-10-acme: SERVER  3 hour at 0 per 1: 0.0000",
        "2026-10-acme: TRAFFIC  10 GB at 0.05 per 1: 0.5000",
        "2026-10-acme: TRAFFIC  40 GB at 0 per 1: 0.0000",
        "2026-10-acme: reserved part=not used 21 hour at 0.04 per 1: 0.8400",
        "2026-10-acme: reserved part=used 3 hour at 0.04 per 1: 0.1200",
        "2026-10-acme: support base=after discounts 1.62 EUR at 10 per 100: 0.1600",
    ];
    assert_eq!(found, expected);
    let mut listed: Vec<String> = Vec::new();
    for row in lake.rows("rated_usage") {
        let (cost, list_cost) = (short(&row["contracted_cost"]), short(&row["list_cost"]));
        listed.push(format!("{} {cost} {list_cost}", row["charge_kind"]));
    }
    listed.sort();
    assert_eq!(listed, ["reserved 0 0.3", "usage 0 0", "usage 0 0", "usage 0.16 0.2", "usage 0.5 0.5"]);
    lake.assert_audited(&[OCTOBER]);
    let usage = lake.document(OCTOBER, "usage.csv");
    assert!(usage.contains("reserved,21,hour,21,hour,0.84,0.00,EUR"), "{usage}");
    // The fee is the last row. The sum of all rows is the invoiced amount: 0.16 + 0.50 + 0.96 + 0.16.
    let fee = "2026-10-01,acme,,,,Fees,support,1.62,EUR,1.62,EUR,0.16,0.16,EUR,invoiced,base=after discounts,";
    assert!(usage.trim_end().ends_with(fee), "{usage}");
    let number = lake.rows("invoice_line").iter().position(|row| row["sku"] == "support").unwrap() + 1;
    let explained = lake.explain(&lake.draft(OCTOBER, &format!("acme/{number}")));
    assert!(explained.contains("10.00 % of 1.62 EUR: 0.16\nterm support at rules/rules.toml:"), "{explained}");
    assert!(explained.contains(": a percentage of the lines after discounts"), "{explained}");
}

/// With a fee of 20 % and without the reservation, the servers cost 5 × 0.08 = 0.40. With the traffic that is 0.90, and
/// the fee is 0.18.
#[test]
fn rules_diff_shows_a_changed_fee_and_a_removed_reservation() {
    let lake = lake_with_reservation();
    let other = [METER, SERVERS_AND_TRAFFIC, &included_units("20"), &support("after_discounts", "20")].concat();
    lake.put("other/rules.toml", other);
    let other = lake.path("other");
    let diff = lake.succeeds(&["rules", "diff", "--against", &other.to_string_lossy(), "--period", OCTOBER]);
    for row in
        [["support", "0.16", "0.18", "0.02"], ["reserved", "0.96", "0.00", "-0.96"], ["own", "0.16", "0.40", "0.24"]]
    {
        assert!(diff.lines().any(|line| line.split_whitespace().eq(row)), "{row:?} in {diff}");
    }
    assert!(diff.contains("1.78 before, 1.08 after, a change of -0.70"), "{diff}");
}

/// Server `a` runs in four hours of 1 October, and server `b` in the first two of them.
///
/// * One server is reserved for 24 hours at 0.06. Four hours are used, 0.24, and twenty are not, 1.20.
/// * The other two hours cost 0.08 each by the account's own card, 0.16.
/// * Each server brings 10 GB of traffic, covered or not. Of 30 GB, 20 are included and 5 are free. The other 5 cost
///   0.05 each, 0.25.
/// * The lines are 1.85. The fee of 10 % is 0.185, rounded to 0.19. The total is 2.04, and the tax at 20 % is 0.41.
///
/// By the public card, six hours cost 0.10 each, 0.60, and the traffic costs 0.25. A reservation has no list cost. The
/// list cost of a fee is its cost.
#[test]
fn reserved_usage_brings_included_units_beside_free_units_and_fees_have_a_list_cost() {
    let rules = SERVERS_AND_TRAFFIC.replace(r#"unit_price = "0.05""#, "free_units = \"5\"\nunit_price = \"0.05\"");
    assert_ne!(rules, SERVERS_AND_TRAFFIC);
    let rules = [rules, included_units("10"), reservation("0.06"), support("before_discounts", "10")].concat();
    let lake = lake(&account("acme", OWN_CARD), &rules);
    lake.deliver(
        "servers",
        [
            "server,a,2026-10-01T00:10:00Z,1,p",
            "server,a,2026-10-01T01:10:00Z,1,p",
            "server,a,2026-10-01T02:10:00Z,1,p",
            "server,a,2026-10-01T03:10:00Z,1,p",
            "server,b,2026-10-01T00:10:00Z,1,p",
            "server,b,2026-10-01T01:10:00Z,1,p",
            "m,c,2026-10-03T10:00:00Z,20,p",
        ],
    );
    lake.run(OCTOBER);
    let mut found = lines(&lake, OCTOBER);
    found.sort();
    let expected = [
        "2026-10-acme: SERVER  2 hour at 0.08 per 1: 0.1600",
        "2026-10-acme: SERVER  4 hour at 0 per 1: 0.0000",
        "2026-10-acme: TRAFFIC  25 GB at 0 per 1: 0.0000",
        "2026-10-acme: TRAFFIC  5 GB at 0.05 per 1: 0.2500",
        "2026-10-acme: reserved part=not used 20 hour at 0.06 per 1: 1.2000",
        "2026-10-acme: reserved part=used 4 hour at 0.06 per 1: 0.2400",
        "2026-10-acme: support base=before discounts 1.85 EUR at 10 per 100: 0.1900",
    ];
    assert_eq!(found, expected);
    let invoice = &lake.rows("invoice")[0];
    assert_eq!((&*invoice["total_without_tax"], &*invoice["tax_amount"]), ("2.0400", "0.4100"));
    let usage = lake.csv_document(OCTOBER, "usage.csv");
    let listed = |sku: &str| -> i128 {
        let of_sku = usage.iter().filter(|row| row["sku"] == sku);
        of_sku.map(|row| conto::model::money::Cost::parse_exact(&row["list_cost"]).unwrap().units()).sum()
    };
    let cent = 10i128.pow(16);
    let listed = ["SERVER", "TRAFFIC", "reserved", "support"].map(listed);
    assert_eq!(listed, [60 * cent, 25 * cent, 0, 19 * cent]);
    lake.assert_audited(&[OCTOBER]);
}
