//! Unusual input in whole runs: long days, currencies without decimals, extreme amounts, odd names, changed meters.

use conto::error::Error;
use conto::storage::CommitKind;

use super::usage::HEADER;
use crate::test_lake::{TestLake, block_on, chain, without_index};

const PERIOD: &str = "2026-10";

const SUM: &str = r#"aggregation = "sum""#;
const INCREASE: &str = r#"aggregation = "increase""#;
const PRICE_OF_ONE: &str = r#"unit_price = "1""#;

/// One meter with the dimension `flavor` and one rule for it, with these keys.
fn rules(meter_keys: &str, rule_keys: &str) -> String {
    format!(
        r#"
        [[meter]]
        name = "m"
        unit = "u"
        dimensions.flavor = {{ from = ["flavor"] }}
        {meter_keys}

        [[rule]]
        id = "r"
        meter = "m"
        sku = "s"
        service = "S"
        {rule_keys}
        "#
    )
}

/// Rows of `meter,resource,time,quantity,project,record id,created,deleted,flavor`.
fn usage(rows: &[&str]) -> String {
    rows.iter().fold(HEADER.to_owned(), |text, row| text + row + "\n")
}

fn lake(meter_keys: &str, rule_keys: &str, rows: &[&str]) -> TestLake {
    TestLake::new().rules(rules(meter_keys, rule_keys)).file("usage/usage.csv", usage(rows))
}

#[test]
fn a_window_of_24h_covers_a_day_of_25_hours_in_europe_paris() {
    let meter = r#"
        aggregation = "presence"
        window = "24h"
        "#;
    let rows: Vec<String> = (0..25)
        .map(|hour| format!("m,a,2026-10-{:02}T{:02}:10:00Z,1,p,,,,x", 24 + (22 + hour) / 24, (22 + hour) % 24))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let lake = lake(meter, PRICE_OF_ONE, &rows).config(r#"time_zone = "Europe/Paris""#);
    lake.run(PERIOD);
    assert_eq!(lake.column("metered_usage", "consumed_quantity"), ["1.000000000"]);
    assert_eq!(lake.column("metered_usage", "window_end"), ["2026-10-25T23:00:00Z"]);
    assert_eq!(lake.column("invoice_line", "net_amount"), ["1.0000"]);
}

#[test]
fn amounts_of_jpy_kwd_and_eur_have_zero_three_and_two_decimals() {
    for (currency, price, net, tax) in
        [("JPY", "0.5", "1", "0"), ("KWD", "0.0005", "0.001", "0.000"), ("EUR", "0.005", "0.01", "0.00")]
    {
        let rule = format!(r#"unit_price = "{price}""#);
        let lake = lake(SUM, &rule, &["m,a,2026-10-05T10:00:00Z,1,p,1,,,"]);
        lake.configure(format!(r#"currency = "{currency}""#));
        lake.run(PERIOD);
        let invoices = lake.document(PERIOD, "invoices.csv");
        let row = invoices.lines().nth(1).unwrap();
        let zero = &tax.replace('1', "0");
        let totals = format!("{currency},{net},{zero},{net},{tax},{net},{zero},{net},");
        assert!(row.contains(&totals), "{row}");
    }
}

#[test]
fn large_quantities_and_small_prices_are_exact() {
    let rows = ["m,a,2026-10-05T10:00:00Z,1000000000000000000,p,1,,,", "m,a,2026-10-06T10:00:00Z,0.000000001,p,2,,,"];
    let lake = lake(SUM, r#"unit_price = "0.000000000001""#, &rows);
    lake.run(PERIOD);
    assert_eq!(lake.column("invoice_line", "quantity"), ["1000000000000000000.000000001"]);
    // The second quantity costs 10^-21, which is below the 18th place.
    assert_eq!(lake.column("invoice_line", "contracted_cost"), ["1000000.000000000000000000"]);
    assert_eq!(lake.column("invoice_line", "net_amount"), ["1000000.0000"]);
}

#[test]
fn a_free_rule_makes_a_line_of_zero() {
    let row = "m,a,2026-10-05T10:00:00Z,3,p,1,,,";
    let lake = lake(SUM, "free = true", &[row]);
    let summary = lake.run(PERIOD);
    assert_eq!((summary.usage_unrated, lake.column("invoice_line", "net_amount")), (0, vec!["0.0000".to_owned()]));
    assert_eq!(lake.column("invoice", "amount_due"), ["0.0000"]);
}

#[test]
fn pricing_quantity_of_zero_costs_nothing() {
    let meter = r#"
        aggregation = "sum"
        dimensions.vcpus = { from = ["flavor"], type = "decimal" }
        "#;
    let rule = r#"
        pricing_quantity = "quantity * vcpus"
        unit_price = "1"
        "#;
    let rows = ["m,bare,2026-10-05T10:00:00Z,3,p,1,,,0", "m,a,2026-10-05T10:00:00Z,3,p,1,,,2"];
    let lake = lake(meter, rule, &rows);
    let summary = lake.run(PERIOD);
    assert_eq!(summary.usage_unrated, 0);
    assert_eq!(lake.column("invoice_line", "net_amount"), ["6.0000"]);
    let usage = lake.document(PERIOD, "usage.csv");
    assert!(usage.lines().any(|line| line.contains("bare") && line.contains(",0.00,EUR,invoiced")), "{usage}");
}

#[test]
fn a_month_without_usage_is_billed_once() {
    let nothing = TestLake::new();
    nothing.set_rules(rules(SUM, PRICE_OF_ONE));
    let summary = nothing.run(PERIOD);
    assert_eq!((summary.invoices, summary.intake.intake_commit, summary.billing_commit), (0, None, Some(0)));
    assert!(nothing.documents(PERIOD).contains_key("index.html"));
    assert_eq!(nothing.run(PERIOD).billing_commit, None);

    let row = "m,a,2026-10-05T10:00:00Z,3,p,1,,,";
    let outside = lake(SUM, PRICE_OF_ONE, &[row]);
    for period in ["2026-09", "2026-11", "1999-12"] {
        assert_eq!(outside.run(period).invoices, 0, "{period}");
    }
    assert_eq!(outside.run(PERIOD).invoices, 1);
}

#[test]
fn a_month_is_billed_again_only_when_it_is_run() {
    let both =
        lake(INCREASE, PRICE_OF_ONE, &["m,a,2026-10-31T23:50:00Z,100,p,,,,", "m,a,2026-11-01T00:10:00Z,130,p,,,,"]);
    both.run("2026-10");
    both.run("2026-11");
    let october = without_index(both.documents("2026-10"));
    assert_eq!(both.column("invoice_line", "net_amount"), ["30.0000"]);
    // A late reading of October moves 10 of the 30 units from November to October.
    both.put("usage/late.csv", usage(&["m,a,2026-10-31T23:55:00Z,110,p,,,,"]));
    both.run("2026-11");
    assert_eq!(both.column("invoice_line", "net_amount"), ["20.0000"]);
    assert_eq!(october, without_index(both.documents("2026-10")), "a month is billed only when it is run");
    both.run("2026-10");
    assert_eq!(both.column("invoice_line", "net_amount"), ["10.0000", "20.0000"]);
    let summary = both.run("2026-11");
    assert_eq!((summary.intake.intake_commit, summary.billing_commit), (None, None));
}

#[test]
fn valid_to_and_valid_from_inside_of_a_day_split_its_usage() {
    let mut rules = rules(
        SUM,
        r#"
        unit_price = "1"
        valid_to = 2026-10-05T12:00:00Z
        "#,
    );
    rules += r#"
        [[rule]]
        id = "later"
        meter = "m"
        sku = "s"
        service = "S"
        unit_price = "2"
        valid_from = 2026-10-05T12:00:00Z
        "#;
    let lake = TestLake::new();
    lake.set_rules(rules);
    lake.put(
        "usage/usage.csv",
        usage(&[
            "m,a,2026-10-05T11:59:59Z,1,p,1,,,",
            "m,a,2026-10-05T12:00:00Z,10,p,1,,,",
            "m,a,2026-10-06T00:00:00Z,100,p,1,,,",
        ]),
    );
    lake.run(PERIOD);
    assert_eq!(lake.column("invoice_line", "quantity"), ["1.000000000", "110.000000000"]);
    assert_eq!(lake.column("invoice_line", "net_amount"), ["1.0000", "220.0000"]);
}

#[test]
fn project_ids_that_differ_in_case_have_two_invoices() {
    let rows = ["m,a,2026-10-05T10:00:00Z,1,p,1,,,x", "m,A,2026-10-05T10:00:00Z,10,P,1,,,X"];
    let lake = lake(
        SUM,
        r#"
            unit_price = "1"
            line_by = ["flavor"]
            "#,
        &rows,
    );
    lake.run(PERIOD);
    let invoices = lake.sql("SELECT project_id, amount_due FROM invoice ORDER BY project_id");
    assert_eq!(invoices, ["P 12", "p 1.2"]);
    assert_ne!(lake.draft(PERIOD, "P"), lake.draft(PERIOD, "p"));
}

#[test]
fn a_project_with_the_id_of_an_account_is_not_billed_to_it() {
    let row = "m,a,2026-10-05T10:00:00Z,1,acme,1,,,";
    let lake = lake(SUM, PRICE_OF_ONE, &[row]);
    let account = r#"
        [[account]]
        id = "acme"
        name = "Acme Corporation"
        address = ["1 Road"]
        country = "FR"
        projects = [{ id = "other" }]
        "#;
    lake.set_accounts(account);
    lake.run(PERIOD);
    let page = lake.document(PERIOD, &format!("acme/{}.html", lake.draft(PERIOD, "acme")));
    assert!(!page.contains("Acme Corporation"), "the invoice of a project without an account names an account");
}

#[test]
fn a_project_called_unattributed_has_its_own_usage_report() {
    let rows = ["m,a,2026-10-05T10:00:00Z,1,unattributed,1,,,", "m,b,2026-10-05T10:00:00Z,2,,1,,,"];
    let lake = lake(SUM, PRICE_OF_ONE, &rows);
    lake.run(PERIOD);
    let reports = lake.documents(PERIOD).into_keys().filter(|name| name.contains("/usage-")).count();
    assert_eq!(reports, 2, "each project has its own report");
}

#[test]
fn project_ids_of_any_text_get_documents_and_links() {
    let long = "x".repeat(200);
    let names = ["team.a", "a/b", "../up", "~home", "naïve ü", "日本", "a%2Fb", "-rm", "con", &long];
    let rows: Vec<String> =
        names.iter().map(|name| format!("m,{name},2026-10-05T10:00:00Z,1,{name},1,,,{name}")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let lake = lake(
        SUM,
        r#"
            unit_price = "1"
            line_by = ["flavor"]
            "#,
        &rows,
    );
    assert_eq!(lake.run(PERIOD).invoices, names.len() as u64);
    let documents = lake.documents(PERIOD);
    assert_eq!(documents.keys().filter(|name| name.contains("/usage-")).count(), names.len());
    let billed = lake.snapshot().last(CommitKind::Billing, PERIOD).unwrap().sequence;
    for document in &block_on(lake.lake().log_entry(billed)).unwrap().documents {
        assert!(lake.path(&format!("lake/{}", document.path)).is_file(), "{}", document.path);
    }
    // Every local link of the index has a document.
    let index = lake.document(PERIOD, "index.html");
    let links: Vec<&str> = index.split(r#"href=""#).skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let local = links.iter().filter(|link| link.starts_with("./"));
    let local: Vec<String> = local.map(|link| link.trim_start_matches("./").to_owned()).collect();
    assert!(local.len() > 2 * names.len(), "{links:?}");
    local.iter().for_each(|link| assert!(documents.contains_key(link), "{link}"));
    assert_eq!(lake.run(PERIOD).billing_commit, None);
}

#[test]
fn rate_ids_of_two_rules_are_never_equal() {
    let lake = TestLake::new();
    let listed = rules(SUM, r#"price_list = "list.csv""#);
    lake.put("rules/list.csv", "flavor,unit_price,valid_from,valid_to\nx,1,,2026-10-10\nx,2,2026-10-10,\n");
    // The second validity of the price list above would get the rate id `r@2`.
    let other = r#"
        [[rule]]
        id = "r@2"
        meter = "m"
        component = "licence"
        sku = "l"
        service = "S"
        unit_price = "100"
        "#;
    lake.set_rules(format!("{listed}{other}"));
    lake.put("usage/usage.csv", usage(&["m,a,2026-10-05T10:00:00Z,1,p,1,,,x", "m,a,2026-10-15T10:00:00Z,1,p,1,,,x"]));
    lake.run(PERIOD);
    let mut amounts = lake.column("invoice_line", "net_amount");
    amounts.sort();
    assert_eq!(amounts, ["1.0000", "2.0000", "200.0000"]);
}

#[test]
fn two_meters_of_one_source_meter_are_metered_apart_and_may_share_a_pool() {
    let lake = TestLake::new();
    let second = r#"
        [[meter]]
        name = "n"
        aggregation = "max"
        unit = "u"
        source_meters = ["m"]

        [[rule]]
        id = "t"
        meter = "n"
        sku = "t"
        service = "S"
        pool = "both"
        "#;
    let tiers = r#"
        tiers = "graduated"
        tier = [{ up_to = "5", unit_price = "0" }, { unit_price = "1" }]
        "#;
    let first = rules(
        SUM,
        &format!(
            r#"
        pool = "both"
        {tiers}
        "#
        ),
    );
    lake.set_rules(format!("{first}{second}{tiers}"));
    lake.put("usage/usage.csv", usage(&["m,a,2026-10-05T10:00:00Z,4,p,1,,,", "m,a,2026-10-05T10:10:00Z,3,p,2,,,"]));
    lake.run(PERIOD);
    // The pool has 11 units, 7 of the first meter and 4 of the second. 5 of them are free.
    assert_eq!(lake.column("invoice", "total_without_tax"), ["6.0000"]);
}

#[test]
fn a_new_meter_of_an_existing_source_meter_meters_earlier_usage() {
    let lake = lake(SUM, PRICE_OF_ONE, &["m,a,2026-10-05T10:00:00Z,4,p,1,,,"]);
    lake.put("usage/more.csv", usage(&["m,a,2026-10-05T10:00:00Z,4,p,1,,,", "m,a,2026-10-05T10:00:00Z,x,p,1,,,"]));
    lake.run(PERIOD);
    super::check_books(&lake);
    let more = r#"
        [[meter]]
        name = "n"
        aggregation = "max"
        unit = "u"
        source_meters = ["m"]

        [[rule]]
        id = "t"
        meter = "n"
        sku = "t"
        service = "S"
        unit_price = "10"
        "#;
    lake.put(
        "rules/more.toml",
        format!(
            r#"
        currency = "EUR"
        {more}
        "#
        ),
    );
    lake.run(PERIOD);
    assert_eq!(lake.column("invoice_line", "net_amount"), ["4.0000", "40.0000"]);
    let sum =
        |name: &str| -> i64 { lake.column("input_file", name).iter().map(|count| count.parse::<i64>().unwrap()).sum() };
    assert_eq!((sum("accepted_count"), sum("duplicate_count")), (2, 2), "reading a file again makes no duplicates");
    super::check_books(&lake);
}

#[test]
fn a_changed_aggregation_meters_an_open_month_again() {
    let rows = ["m,a,2026-10-05T10:00:00Z,4,p,1,,,", "m,a,2026-10-05T10:10:00Z,3,p,2,,,"];
    let lake = lake(r#"aggregation = "max""#, PRICE_OF_ONE, &rows);
    lake.run(PERIOD);
    assert_eq!(lake.column("invoice_line", "net_amount"), ["4.0000"]);
    lake.set_rules(rules(r#"aggregation = "min""#, PRICE_OF_ONE));
    lake.run(PERIOD);
    assert_eq!(lake.column("invoice_line", "net_amount"), ["3.0000"]);
    assert_eq!(lake.run(PERIOD).intake.intake_commit, None);
}

#[test]
fn usage_of_a_removed_meter_is_unrated() {
    let rows = ["m,a,2026-10-05T10:00:00Z,4,p,1,,,"];
    let lake = lake(SUM, PRICE_OF_ONE, &rows);
    lake.run(PERIOD);
    let other = rules(SUM, PRICE_OF_ONE).replace(r#""m""#, r#""n""#);
    lake.set_rules(other);
    let summary = lake.run(PERIOD);
    assert_eq!((summary.usage_unrated, summary.invoices), (1, 0));
    // The usage stays unrated if its date is metered again.
    lake.put("usage/late.csv", usage(&["n,a,2026-10-05T10:00:00Z,1,p,1,,,"]));
    let summary = lake.run(PERIOD);
    assert_eq!((summary.usage_unrated, summary.invoices), (1, 1));
}

#[test]
fn increase_belongs_to_the_project_of_the_later_reading() {
    let rows =
        ["m,a,2026-10-05T10:00:00Z,10,p,,,,", "m,a,2026-10-05T12:00:00Z,25,q,,,,", "m,a,2026-10-05T14:00:00Z,65,,,,,"];
    let lake = lake(INCREASE, PRICE_OF_ONE, &rows);
    lake.run(PERIOD);
    // The increase belongs to the later reading. A record without a project keeps the last project.
    assert_eq!(lake.column("invoice", "project_id"), ["q"]);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["55.0000"]);
}

#[test]
fn a_stream_is_expired_independently_of_other_streams_in_its_shard() {
    // Other streams in the shard must not decide whether an old counter is kept.
    let rows = ["m,a,2026-08-01T10:00:00Z,10,p,,,,", "m,a,2026-10-05T12:00:00Z,25,p,,,,"];
    let alone = lake(INCREASE, PRICE_OF_ONE, &rows);
    alone.run(PERIOD);
    let beside = [rows[0], rows[1], "m,b,2026-10-04T10:00:00Z,1,p,,,,"];
    let accompanied = lake(INCREASE, PRICE_OF_ONE, &beside);
    accompanied.run(PERIOD);
    assert_eq!(alone.rows("invoice_line"), accompanied.rows("invoice_line"));
}

#[test]
fn a_conflict_of_deleted_is_decided_independently_of_the_file() {
    let one = "m,a,2026-10-05T10:00:00Z,1,p,,,false,";
    let other = "m,a,2026-10-05T10:00:00Z,1,p,,,true,";
    let meter = r#"aggregation = "duration""#;
    let mut found = Vec::new();
    for (first, second) in [(one, other), (other, one)] {
        for padding in 0..3 {
            let lake = lake(meter, PRICE_OF_ONE, &[first]);
            lake.put("usage/other.csv", usage(&[second]) + &"\n".repeat(padding));
            lake.run(PERIOD);
            found.push((lake.rows("metered_day"), lake.column("rejected_record", "reason")));
        }
    }
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
    assert_eq!(found[0].1, ["conflict"], "the other record is rejected");
}

#[test]
fn two_rules_that_price_the_same_usage_are_an_error_that_names_both() {
    let row = "m,a,2026-10-05T10:00:00Z,1,p,1,,,x";
    let lake = lake(
        SUM,
        r#"
            when = "flavor = 'x'"
            unit_price = "1"
            "#,
        &[row],
    );
    let second = r#"
        currency = "EUR"

        [[rule]]
        id = "r2"
        meter = "m"
        when = "flavor like 'x%'"
        sku = "s2"
        service = "S"
        unit_price = "2"
        "#;
    lake.put("rules/second.toml", second);
    match lake.try_run(PERIOD) {
        Err(Error::Invalid(problems)) => assert!(problems[0].message.contains("`r` and `r2`"), "{problems:?}"),
        Err(error) => panic!("{}", chain(&error)),
        Ok(_) => panic!("one of two prices was taken"),
    }
    // The usage stays in the lake, and a run with corrected rules bills the usage.
    assert_eq!(lake.commit_count(), 1);
    lake.remove("rules/second.toml");
    let summary = lake.run(PERIOD);
    assert_eq!((summary.intake.intake_commit, summary.billing_commit, summary.invoices), (None, Some(1), 1));
}
