//! Rate cards: the list cost next to the charged cost, factors, and included units of a pool.

use super::OCTOBER;
use crate::test_lake::TestLake;

const METERS: &str = r#"
currency = "EUR"

[[meter]]
name = "m"
aggregation = "sum"
unit = "u"

[[meter]]
name = "n"
aggregation = "sum"
unit = "u"

[[meter]]
name = "server"
aggregation = "presence"
window = "24h"
unit = "day"
"#;

/// Three accounts. `acme` has the card `acme` before the public card, `hermit` only the card `acme`, and `solo` only
/// the public card.
const ACCOUNTS: &str = r#"
[[account]]
id = "acme"
name = "Acme"
country = "FR"
cards = ["acme", "public"]
projects = ["p", "q"]

[[account]]
id = "hermit"
name = "Hermit"
country = "FR"
cards = ["acme"]
projects = ["h"]

[[account]]
id = "solo"
name = "Solo"
country = "FR"
projects = ["s"]
"#;

fn lake(rules: &str) -> TestLake {
    TestLake::new().accounts(ACCOUNTS).rules(format!("{METERS}{rules}"))
}

/// `project resource cost list_cost` of each row of the usage report.
fn costs(lake: &TestLake) -> Vec<String> {
    let rows = lake.csv_document(OCTOBER, "usage.csv");
    let columns = ["project_id", "resource_id", "cost", "list_cost"];
    rows.iter().map(|row| columns.map(|name| row[name].clone()).join(" ")).collect()
}

fn usage_report(lake: &TestLake, project: &str) -> String {
    let name = format!("usage-{project}");
    let report = lake.documents(OCTOBER).into_iter().find(|(found, _)| found.contains(&name)).unwrap().1;
    String::from_utf8(report).unwrap()
}

/// By the public card, 6,000 cost 50 for the first 5,000, limited from 150, and 1,000 × 0.01. The card `acme` has one
/// price of 0.02.
#[test]
fn list_cost_has_the_max_amount_of_the_public_tier() {
    let rules = r#"
        [[rule]]
        id = "public"
        meter = "m"
        sku = "M"
        service = "S"
        tiers = "graduated"
        tier = [{ up_to = "5000", unit_price = "0.03", max_amount = "50" }, { unit_price = "0.01" }]

        [[rule]]
        id = "acme"
        meter = "m"
        card = "acme"
        sku = "M"
        service = "S"
        pool = "acme"
        unit_price = "0.02"
        "#;
    let lake = lake(rules).usage(["m,a,2026-10-01T10:00:00Z,6000,p", "m,e,2026-10-02T10:00:00Z,4000,s"]);
    lake.run(OCTOBER);
    assert_eq!(costs(&lake), ["p a 120.00 60.00", "s e 50.00 50.00"]);
}

/// For the usage of a project in a month, the public card has 0.10 up to 100 and 0.08 above. The card `acme` has 0.09
/// and 0.07. Usage with only a public price has equal cost and list cost, and so has all usage of `solo`. The list cost
/// of usage without a public price is its cost.
#[test]
fn list_cost_is_the_price_of_the_public_card_for_the_same_usage() {
    let rules = r#"
        [[rule]]
        id = "public"
        meter = "m"
        sku = "M"
        service = "S"
        tiers = "graduated"
        tier = [{ up_to = "100", unit_price = "0.10" }, { unit_price = "0.08" }]

        [[rule]]
        id = "acme"
        meter = "m"
        card = "acme"
        sku = "M"
        service = "S"
        pool = "acme"
        tiers = "graduated"
        tier = [{ up_to = "100", unit_price = "0.09" }, { unit_price = "0.07" }]

        [[rule]]
        id = "only"
        meter = "n"
        card = "acme"
        sku = "N"
        service = "S"
        unit_price = "3"

        [[rule]]
        id = "server"
        meter = "server"
        sku = "V"
        service = "S"
        unit_price = "2"
        "#;
    let lake = lake(rules).usage([
        "m,a,2026-10-01T10:00:00Z,90,p",
        "m,b,2026-10-02T10:00:00Z,30,p",
        "n,c,2026-10-02T10:00:00Z,2,p",
        "server,d,2026-10-02T10:00:00Z,1,p",
        "m,e,2026-10-02T10:00:00Z,120,s",
    ]);
    lake.run(OCTOBER);
    assert_eq!(
        costs(&lake),
        [
            "p a 8.10 9.00",
            // 10 at 0.09 and 20 at 0.07; by the public card 10 at 0.10 and 20 at 0.08.
            "p b 2.30 2.60",
            "p c 6.00 6.00",
            "p d 2.00 2.00",
            "s e 11.60 11.60",
        ]
    );
    // Each row has the list price of its own tier.
    let rated = lake.rows_where("rated_usage", "rate_id", "acme");
    let columns = ["contracted_unit_price", "list_unit_price", "list_cost"];
    let mut prices: Vec<String> = rated.iter().map(|row| columns.map(|name| row[name].clone()).join(" ")).collect();
    prices.sort();
    prices.dedup();
    assert_eq!(
        prices,
        [
            "0.070000000000 0.080000000000 1.600000000000000000",
            "0.090000000000 0.100000000000 1.000000000000000000",
            "0.090000000000 0.100000000000 9.000000000000000000",
        ]
    );
    let report = usage_report(&lake, "p");
    assert!(report.contains("List price 19.60 EUR"), "{report}");
    assert!(!usage_report(&lake, "s").contains("List price"));
}

/// The tiers of the public card count the usage of the whole account, although the account's own price is flat. By the
/// public card, 150 and 50 cost 100 × 1 + 100 × 0.5 = 150, shared three to one.
#[test]
fn list_cost_tiers_count_all_usage_of_the_pool() {
    let rules = r#"
        [[rule]]
        id = "public"
        meter = "m"
        sku = "M"
        service = "S"
        per = "account"
        tiers = "graduated"
        tier = [{ up_to = "100", unit_price = "1" }, { unit_price = "0.5" }]

        [[rule]]
        id = "acme"
        meter = "m"
        card = "acme"
        sku = "M"
        service = "S"
        pool = "acme"
        unit_price = "0.6"
        "#;
    let lake = lake(rules).usage(["m,a,2026-10-01T10:00:00Z,150,p", "m,b,2026-10-02T10:00:00Z,50,q"]);
    lake.run(OCTOBER);
    assert_eq!(costs(&lake), ["p a 90.00 112.50", "q b 30.00 37.50"]);
    assert_eq!(lake.sum("rated_usage", "list_cost"), "150");
}

/// Factors of the card `acme` apply to accounts with that card, even if the price is from another card. The public
/// factors apply to accounts with the public card, which `hermit` does not have.
#[test]
fn factor_applies_to_accounts_with_its_card() {
    let rules = r#"
        [[rule]]
        id = "public"
        meter = "m"
        sku = "M"
        service = "S"
        unit_price = "1"

        [[rule]]
        id = "own"
        meter = "n"
        card = "acme"
        sku = "N"
        service = "S"
        unit_price = "1"

        [[rule]]
        id = "tenth-off"
        meter = "m"
        card = "acme"
        factor = "0.9"

        [[rule]]
        id = "tenth-off-n"
        meter = "n"
        card = "acme"
        factor = "0.9"

        [[rule]]
        id = "winter"
        meter = "m"
        factor = "2"

        [[rule]]
        id = "winter-n"
        meter = "n"
        factor = "2"
        "#;
    let lake = lake(rules).usage([
        "m,a,2026-10-01T10:00:00Z,100,p",
        "n,b,2026-10-01T10:00:00Z,100,h",
        "m,c,2026-10-01T10:00:00Z,100,s",
    ]);
    lake.run(OCTOBER);
    assert_eq!(costs(&lake), ["p a 180.00 200.00", "h b 90.00 90.00", "s c 200.00 200.00"]);
}

/// Rules for traffic at 1 in a pool of the account. Each server brings 20 included units of traffic.
fn servers_with_traffic(included_units_keys: &str) -> String {
    format!(
        r#"
        [[rule]]
        id = "traffic"
        meter = "m"
        sku = "T"
        service = "S"
        per = "account"
        unit_price = "1"

        [[rule]]
        id = "server"
        meter = "server"
        sku = "V"
        service = "S"
        free = true

        [[included_units]]
        id = "a"
        meter = "server"
        pool = "T"
        units = "20"
        {included_units_keys}
        "#
    )
}

/// A server of 31 days brings 20 units to the account's pool. A server of ten days brings 20 × 10 / 31 = 6.451612903.
/// The other project uses 30 units, of which 3.548387097 are charged.
#[test]
fn included_units_prorated_by_days_are_used_by_the_pool() {
    let servers = (1..=31).map(|day| format!("server,a,2026-10-{day:02}T10:00:00Z,1,p"));
    let servers = servers.chain((1..=10).map(|day| format!("server,b,2026-10-{day:02}T10:00:00Z,1,p")));
    let usage: Vec<String> = servers.chain(["m,n,2026-10-20T10:00:00Z,30,q".to_owned()]).collect();
    let billed = |included_units_keys: &str| {
        let lake = lake(&servers_with_traffic(included_units_keys)).usage(&usage);
        lake.run(OCTOBER);
        lake
    };

    let prorated = billed("prorated = true");
    assert_eq!(prorated.sum("rated_usage", "contracted_cost"), "3.548387097");
    let lines = prorated.rows_where("invoice_line", "sku", "T");
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("{} at {}: {}", line["quantity"], line["unit_price"], line["net_amount"]))
        .collect();
    assert_eq!(lines, ["26.451612903 at 0.000000000000: 0.0000", "3.548387097 at 1.000000000000: 3.5500"]);

    assert_eq!(billed("prorated = false").sum("rated_usage", "contracted_cost"), "0");

    let not_valid = billed("valid_from = 2026-11-01\nprorated = true");
    assert_eq!(not_valid.column("rated_usage", "contracted_cost").len(), 42);
    assert_eq!(not_valid.sum("rated_usage", "contracted_cost"), "30");
}

/// Usage of more than one account batch: each account has 1,100 servers on 31 days, 68,200 rows together. Each server
/// includes one unit of traffic, so 400 of 1,500 units cost 0.50 each by the own card and 1.00 by the public card.
#[test]
fn list_cost_has_the_included_units_of_every_account_batch() {
    let rules = r#"
        [[included_units]]
        id = "traffic-of-servers"
        meter = "server"
        pool = "traffic"
        units = "1"
        prorated = false

        [[rule]]
        id = "server"
        meter = "server"
        sku = "V"
        service = "S"
        free = true

        [[rule]]
        id = "public"
        meter = "m"
        sku = "M"
        service = "S"
        pool = "traffic"
        unit_price = "1"

        [[rule]]
        id = "own"
        meter = "m"
        card = "own"
        sku = "M"
        service = "S"
        pool = "traffic"
        unit_price = "0.5"
        "#;
    let account = |id: &str| {
        format!(
            "[[account]]\nid = \"{id}\"\nname = \"{id}\"\ncountry = \"FR\"\ncards = [\"own\", \"public\"]\n\
             projects = [\"{id}\"]\n"
        )
    };
    let lake = TestLake::new().accounts(account("a") + &account("b")).rules(format!("{METERS}{rules}"));
    let mut usage = vec!["m,a,2026-10-01T10:00:00Z,1500,a".to_owned(), "m,b,2026-10-01T10:00:00Z,1500,b".to_owned()];
    for project in ["a", "b"] {
        for server in 0..1_100 {
            usage.extend((1..32).map(|day| format!("server,{project}{server},2026-10-{day:02}T10:00:00Z,1,{project}")));
        }
    }
    lake.deliver("usage", usage);
    lake.run(OCTOBER);
    let costs = "SELECT account_id, SUM(contracted_cost) AS cost, SUM(list_cost) AS list_cost FROM rated_usage \
                 GROUP BY account_id ORDER BY account_id";
    assert_eq!(lake.sql(costs), ["a 200 400", "b 200 400"]);
    let files = std::fs::read_dir(lake.path("lake/data/rated_usage/2026-10")).unwrap().count();
    assert_eq!(files, 2, "one for each account batch");
}
