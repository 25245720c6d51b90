//! Things that go wrong in clouds, tried for real.

use conto::error::Error;
use conto::storage::CommitKind;

use super::usage::HEADER;
use crate::world::{Setting, World, block_on, chain, without_index};

const PERIOD: &str = "2026-10";

/// A rule file with one meter and one rule; both get these lines more.
fn rules(meter: &str, rule: &str) -> String {
    format!(
        "currency = \"EUR\"\n[[meter]]\nname = \"m\"\nunit = \"u\"\ndimensions.flavor = {{ from = [\"flavor\"] }}\n\
         {meter}\n\
         [[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"s\"\nservice = \"S\"\n{rule}\n"
    )
}

/// Rows of `meter,resource,time,quantity,project,record id,created,deleted,flavor`.
fn usage(rows: &[&str]) -> String {
    rows.iter().fold(HEADER.to_owned(), |text, row| text + row + "\n")
}

fn world(setting: &Setting, meter: &str, rule: &str, rows: &[&str]) -> World {
    let world = World::new(setting);
    let rules = rules(meter, rule).replace("EUR", setting.currency);
    world.put("rules/rules.toml", rules);
    world.put("usage/usage.csv", usage(rows));
    world
}

fn column(world: &World, relation: &str, name: &str) -> Vec<String> {
    world.rows(relation).iter().map(|row| row.get(name).cloned().unwrap_or_default()).collect()
}

#[test]
fn a_day_of_25_hours_is_one_day() {
    let paris = Setting { time_zone: "Europe/Paris", ..Setting::default() };
    let meter = "aggregation = \"presence\"\nwindow = \"24h\"";
    let rows: Vec<String> = (0..25)
        .map(|hour| format!("m,a,2026-10-{:02}T{:02}:10:00Z,1,p,,,,x", 24 + (22 + hour) / 24, (22 + hour) % 24))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let world = world(&paris, meter, "unit_price = \"1\"", &rows);
    world.run(PERIOD);
    assert_eq!(column(&world, "metered_usage", "consumed_quantity"), ["1.000000000"]);
    assert_eq!(column(&world, "metered_usage", "window_end"), ["2026-10-25T23:00:00Z"]);
    assert_eq!(column(&world, "invoice_line", "net_amount"), ["1.0000"]);
}

#[test]
fn currencies_have_their_own_places() {
    for (currency, price, net, tax) in
        [("JPY", "0.5", "1", "0"), ("KWD", "0.0005", "0.001", "0.000"), ("EUR", "0.005", "0.01", "0.00")]
    {
        let setting = Setting { currency, ..Setting::default() };
        let rule = format!("unit_price = \"{price}\"");
        let world = world(&setting, "aggregation = \"sum\"", &rule, &["m,a,2026-10-05T10:00:00Z,1,p,1,,,"]);
        world.run(PERIOD);
        let invoices = world.document(PERIOD, "invoices.csv");
        let row = invoices.lines().nth(1).unwrap();
        let zero = &tax.replace('1', "0");
        let totals = format!("{currency},{net},{zero},{net},{tax},{net},{zero},{net},");
        assert!(row.contains(&totals), "{row}");
    }
}

#[test]
fn large_quantities_and_small_prices_are_exact() {
    let rows = ["m,a,2026-10-05T10:00:00Z,1000000000000000000,p,1,,,", "m,a,2026-10-06T10:00:00Z,0.000000001,p,2,,,"];
    let world = world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"0.000000000001\"", &rows);
    world.run(PERIOD);
    assert_eq!(column(&world, "invoice_line", "quantity"), ["1000000000000000000.000000001"]);
    // 10^-21 is below the 18th place.
    assert_eq!(column(&world, "invoice_line", "contracted_cost"), ["1000000.000000000000000000"]);
    assert_eq!(column(&world, "invoice_line", "net_amount"), ["1000000.0000"]);
}

#[test]
fn a_price_of_nothing_is_a_line_of_nothing() {
    let row = "m,a,2026-10-05T10:00:00Z,3,p,1,,,";
    let world = world(&Setting::default(), "aggregation = \"sum\"", "free = true", &[row]);
    let summary = world.run(PERIOD);
    assert_eq!((summary.usage_unrated, column(&world, "invoice_line", "net_amount")), (0, vec!["0.0000".to_owned()]));
    assert_eq!(column(&world, "invoice", "amount_due"), ["0.0000"]);
}

#[test]
fn a_flavor_of_no_vcpus_costs_nothing_and_stops_nobody() {
    let meter = "aggregation = \"sum\"\ndimensions.vcpus = { from = [\"flavor\"], type = \"decimal\" }";
    let rule = "pricing_quantity = \"quantity * vcpus\"\nunit_price = \"1\"";
    let rows = ["m,bare,2026-10-05T10:00:00Z,3,p,1,,,0", "m,a,2026-10-05T10:00:00Z,3,p,1,,,2"];
    let world = world(&Setting::default(), meter, rule, &rows);
    let summary = world.run(PERIOD);
    assert_eq!(summary.usage_unrated, 0);
    assert_eq!(column(&world, "invoice_line", "net_amount"), ["6.0000"]);
    let usage = world.document(PERIOD, "usage.csv");
    assert!(usage.lines().any(|line| line.contains("bare") && line.contains(",0.00,EUR,invoiced")), "{usage}");
}

#[test]
fn months_without_usage_are_billed_too() {
    let nothing = World::new(&Setting::default());
    nothing.put("rules/rules.toml", rules("aggregation = \"sum\"", "unit_price = \"1\""));
    let summary = nothing.run(PERIOD);
    assert_eq!((summary.invoices, summary.intake.intake_commit, summary.billing_commit), (0, None, Some(0)));
    assert!(nothing.documents(PERIOD).contains_key("index.html"));
    assert_eq!(nothing.run(PERIOD).billing_commit, None);

    let row = "m,a,2026-10-05T10:00:00Z,3,p,1,,,";
    let outside = world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"1\"", &[row]);
    for period in ["2026-09", "2026-11", "1999-12"] {
        assert_eq!(outside.run(period).invoices, 0, "{period}");
    }
    assert_eq!(outside.run(PERIOD).invoices, 1);
}

#[test]
fn months_of_one_lake_do_not_meet() {
    let both = world(
        &Setting::default(),
        "aggregation = \"increase\"",
        "unit_price = \"1\"",
        &["m,a,2026-10-31T23:50:00Z,100,p,,,,", "m,a,2026-11-01T00:10:00Z,130,p,,,,"],
    );
    both.run("2026-10");
    both.run("2026-11");
    let october = without_index(both.documents("2026-10"));
    assert_eq!(column(&both, "invoice_line", "net_amount"), ["30.0000"]);
    // A reading of October that comes late takes its part of what November was billed.
    both.put("usage/late.csv", usage(&["m,a,2026-10-31T23:55:00Z,110,p,,,,"]));
    both.run("2026-11");
    assert_eq!(column(&both, "invoice_line", "net_amount"), ["20.0000"]);
    assert_eq!(october, without_index(both.documents("2026-10")), "a month is only billed when it is asked for");
    both.run("2026-10");
    assert_eq!(column(&both, "invoice_line", "net_amount"), ["10.0000", "20.0000"]);
    let summary = both.run("2026-11");
    assert_eq!((summary.intake.intake_commit, summary.billing_commit), (None, None));
}

#[test]
fn a_price_that_changes_inside_a_day_splits_it_at_the_hour() {
    let mut rules = rules("aggregation = \"sum\"", "unit_price = \"1\"\nvalid_to = 2026-10-05T12:00:00Z");
    rules += "[[rule]]\nid = \"later\"\nmeter = \"m\"\nsku = \"s\"\nservice = \"S\"\nunit_price = \"2\"\n\
              valid_from = 2026-10-05T12:00:00Z\n";
    let world = World::new(&Setting::default());
    world.put("rules/rules.toml", rules);
    world.put(
        "usage/usage.csv",
        usage(&[
            "m,a,2026-10-05T11:59:59Z,1,p,1,,,",
            "m,a,2026-10-05T12:00:00Z,10,p,1,,,",
            "m,a,2026-10-06T00:00:00Z,100,p,1,,,",
        ]),
    );
    world.run(PERIOD);
    assert_eq!(column(&world, "invoice_line", "quantity"), ["1.000000000", "110.000000000"]);
    assert_eq!(column(&world, "invoice_line", "net_amount"), ["1.0000", "220.0000"]);
}

#[test]
fn ids_that_differ_only_in_case_are_two() {
    let rows = ["m,a,2026-10-05T10:00:00Z,1,p,1,,,x", "m,A,2026-10-05T10:00:00Z,10,P,1,,,X"];
    let world =
        world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"1\"\nline_by = [\"flavor\"]", &rows);
    world.run(PERIOD);
    assert_eq!(column(&world, "invoice", "invoice_number"), ["DRAFT-2026-10-P", "DRAFT-2026-10-p"]);
    assert_eq!(column(&world, "invoice", "amount_due"), ["12.0000", "1.2000"]);
}

#[test]
fn a_project_called_like_an_account_is_not_billed_to_it() {
    let row = "m,a,2026-10-05T10:00:00Z,1,acme,1,,,";
    let world = world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"1\"", &[row]);
    let account = "[[account]]\nid = \"acme\"\nname = \"Acme Corporation\"\naddress = [\"1 Road\"]\ncountry = \"FR\"\n\
                   projects = [{ id = \"other\" }]\n";
    world.put("accounts.toml", account);
    world.run(PERIOD);
    let page = world.document(PERIOD, "acme/DRAFT-2026-10-acme.html");
    assert!(!page.contains("Acme Corporation"), "the invoice of a project that no account names went to an account");
}

#[test]
fn a_project_called_unattributed_is_a_project() {
    let rows = ["m,a,2026-10-05T10:00:00Z,1,unattributed,1,,,", "m,b,2026-10-05T10:00:00Z,2,,1,,,"];
    let world = world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"1\"", &rows);
    world.run(PERIOD);
    let reports = world.documents(PERIOD).into_keys().filter(|name| name.contains("/usage-")).count();
    assert_eq!(reports, 2, "each has a report of its own");
}

#[test]
fn ids_of_any_text_get_documents() {
    let long = "x".repeat(200);
    let names = ["team.a", "a/b", "../up", "~home", "naïve ü", "日本", "a%2Fb", "-rm", "con", &long];
    let rows: Vec<String> =
        names.iter().map(|name| format!("m,{name},2026-10-05T10:00:00Z,1,{name},1,,,{name}")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let world =
        world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"1\"\nline_by = [\"flavor\"]", &rows);
    assert_eq!(world.run(PERIOD).invoices, names.len() as u64);
    let documents = world.documents(PERIOD);
    assert_eq!(documents.keys().filter(|name| name.contains("/usage-")).count(), names.len());
    let billed = world.snapshot().last(CommitKind::Billing, PERIOD).unwrap().sequence;
    for document in &block_on(world.lake().log_entry(billed)).unwrap().documents {
        assert!(world.path(&format!("lake/{}", document.path)).is_file(), "{}", document.path);
    }
    // Every link of the index leads somewhere.
    let index = world.document(PERIOD, "index.html");
    let links: Vec<&str> = index.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let local = links.iter().filter(|link| link.starts_with("./"));
    let local: Vec<String> = local.map(|link| link.trim_start_matches("./").to_owned()).collect();
    assert!(local.len() > 2 * names.len(), "{links:?}");
    local.iter().for_each(|link| assert!(documents.contains_key(link), "{link}"));
    assert_eq!(world.run(PERIOD).billing_commit, None);
}

#[test]
fn rates_of_two_rules_are_never_one() {
    let world = World::new(&Setting::default());
    let listed = rules("aggregation = \"sum\"", "price_list = \"list.csv\"");
    world.put("rules/list.csv", "flavor,unit_price,valid_from,valid_to\nx,1,,2026-10-10\nx,2,2026-10-10,\n");
    // The name that the second validity of the list above gets.
    let other = "[[rule]]\nid = \"r@2\"\nmeter = \"m\"\ncomponent = \"licence\"\n\
                 sku = \"l\"\nservice = \"S\"\nunit_price = \"100\"\n";
    world.put("rules/rules.toml", format!("{listed}{other}"));
    world.put("usage/usage.csv", usage(&["m,a,2026-10-05T10:00:00Z,1,p,1,,,x", "m,a,2026-10-15T10:00:00Z,1,p,1,,,x"]));
    world.run(PERIOD);
    let mut amounts = column(&world, "invoice_line", "net_amount");
    amounts.sort();
    assert_eq!(amounts, ["1.0000", "2.0000", "200.0000"]);
}

#[test]
fn two_meters_of_one_source_meter_are_measured_apart_and_may_share_a_pool() {
    let world = World::new(&Setting::default());
    let second = "[[meter]]\nname = \"n\"\naggregation = \"max\"\nunit = \"u\"\nsource_meters = [\"m\"]\n[[rule]]\n\
                  id = \"t\"\nmeter = \"n\"\nsku = \"t\"\nservice = \"S\"\npool = \"both\"\n";
    let tiers = "tiers = \"graduated\"\ntier = [{ up_to = \"5\", unit_price = \"0\" }, { unit_price = \"1\" }]\n";
    let first = rules("aggregation = \"sum\"", &format!("pool = \"both\"\n{tiers}"));
    world.put("rules/rules.toml", format!("{first}{second}{tiers}"));
    world.put("usage/usage.csv", usage(&["m,a,2026-10-05T10:00:00Z,4,p,1,,,", "m,a,2026-10-05T10:10:00Z,3,p,2,,,"]));
    world.run(PERIOD);
    // 7 of the first and 4 of the second are 11 of the pool, of which 5 are free.
    assert_eq!(column(&world, "invoice", "total_without_tax"), ["6.0000"]);
}

#[test]
fn a_meter_that_comes_to_a_known_source_meter_has_all_its_usage() {
    let world = world(
        &Setting::default(),
        "aggregation = \"sum\"",
        "unit_price = \"1\"",
        &["m,a,2026-10-05T10:00:00Z,4,p,1,,,"],
    );
    world.put("usage/more.csv", usage(&["m,a,2026-10-05T10:00:00Z,4,p,1,,,", "m,a,2026-10-05T10:00:00Z,x,p,1,,,"]));
    world.run(PERIOD);
    super::check_books(&world);
    let more = "[[meter]]\nname = \"n\"\naggregation = \"max\"\nunit = \"u\"\nsource_meters = [\"m\"]\n\
                [[rule]]\nid = \"t\"\n\
                meter = \"n\"\nsku = \"t\"\nservice = \"S\"\nunit_price = \"10\"\n";
    world.put("rules/more.toml", format!("currency = \"EUR\"\n{more}"));
    world.run(PERIOD);
    assert_eq!(column(&world, "invoice_line", "net_amount"), ["4.0000", "40.0000"]);
    let sum = |name: &str| -> i64 {
        column(&world, "input_file", name).iter().map(|count| count.parse::<i64>().unwrap()).sum()
    };
    assert_eq!((sum("accepted_count"), sum("duplicate_count")), (2, 2), "reading a file again makes no duplicates");
    super::check_books(&world);
}

#[test]
fn a_meter_that_is_measured_otherwise_is_measured_again() {
    let rows = ["m,a,2026-10-05T10:00:00Z,4,p,1,,,", "m,a,2026-10-05T10:10:00Z,3,p,2,,,"];
    let world = world(&Setting::default(), "aggregation = \"max\"", "unit_price = \"1\"", &rows);
    world.run(PERIOD);
    assert_eq!(column(&world, "invoice_line", "net_amount"), ["4.0000"]);
    world.put("rules/rules.toml", rules("aggregation = \"min\"", "unit_price = \"1\""));
    world.run(PERIOD);
    assert_eq!(column(&world, "invoice_line", "net_amount"), ["3.0000"]);
    assert_eq!(world.run(PERIOD).intake.intake_commit, None);
}

#[test]
fn usage_of_a_meter_that_is_gone_stands_unrated() {
    let rows = ["m,a,2026-10-05T10:00:00Z,4,p,1,,,"];
    let world = world(&Setting::default(), "aggregation = \"sum\"", "unit_price = \"1\"", &rows);
    world.run(PERIOD);
    let other = rules("aggregation = \"sum\"", "unit_price = \"1\"").replace("\"m\"", "\"n\"");
    world.put("rules/rules.toml", other);
    let summary = world.run(PERIOD);
    assert_eq!((summary.usage_unrated, summary.invoices), (1, 0));
    // Not even where its date is metered again.
    world.put("usage/late.csv", usage(&["n,a,2026-10-05T10:00:00Z,1,p,1,,,"]));
    let summary = world.run(PERIOD);
    assert_eq!((summary.usage_unrated, summary.invoices), (1, 1));
}

#[test]
fn a_project_that_changes_inside_a_day_pays_from_then_on() {
    let rows =
        ["m,a,2026-10-05T10:00:00Z,10,p,,,,", "m,a,2026-10-05T12:00:00Z,25,q,,,,", "m,a,2026-10-05T14:00:00Z,65,,,,,"];
    let world = world(&Setting::default(), "aggregation = \"increase\"", "unit_price = \"1\"", &rows);
    world.run(PERIOD);
    // The growth belongs to the later reading; a record that names nobody keeps the project.
    assert_eq!(column(&world, "invoice", "project_id"), ["q"]);
    assert_eq!(column(&world, "invoice", "total_without_tax"), ["55.0000"]);
}

#[test]
fn a_silent_stream_is_forgotten_at_its_own_time() {
    // What else lies in its bucket must not decide whether a counter of long ago is remembered.
    let rows = ["m,a,2026-08-01T10:00:00Z,10,p,,,,", "m,a,2026-10-05T12:00:00Z,25,p,,,,"];
    let alone = world(&Setting::default(), "aggregation = \"increase\"", "unit_price = \"1\"", &rows);
    alone.run(PERIOD);
    let beside = [rows[0], rows[1], "m,b,2026-10-04T10:00:00Z,1,p,,,,"];
    let accompanied = world(&Setting::default(), "aggregation = \"increase\"", "unit_price = \"1\"", &beside);
    accompanied.run(PERIOD);
    assert_eq!(alone.rows("invoice_line"), accompanied.rows("invoice_line"));
}

#[test]
fn the_same_fact_with_and_without_a_deletion_does_not_depend_on_its_file() {
    let one = "m,a,2026-10-05T10:00:00Z,1,p,,,false,";
    let other = "m,a,2026-10-05T10:00:00Z,1,p,,,true,";
    let meter = "aggregation = \"duration\"";
    let mut found = Vec::new();
    for (first, second) in [(one, other), (other, one)] {
        for padding in 0..3 {
            let world = world(&Setting::default(), meter, "unit_price = \"1\"", &[first]);
            world.put("usage/other.csv", usage(&[second]) + &"\n".repeat(padding));
            world.run(PERIOD);
            found.push((world.rows("metered_day"), column(&world, "rejected_record", "reason")));
        }
    }
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]), "{found:?}");
    assert_eq!(found[0].1, ["conflict"], "the other one is listed");
}

#[test]
fn rules_that_price_the_same_usage_are_refused_by_name() {
    let row = "m,a,2026-10-05T10:00:00Z,1,p,1,,,x";
    let world =
        world(&Setting::default(), "aggregation = \"sum\"", "when = \"flavor = 'x'\"\nunit_price = \"1\"", &[row]);
    let second = "currency = \"EUR\"\n[[rule]]\nid = \"r2\"\nmeter = \"m\"\nwhen = \"flavor like 'x%'\"\nsku = \"s2\"\n\
                  service = \"S\"\nunit_price = \"2\"\n";
    world.put("rules/second.toml", second);
    match world.try_run(PERIOD) {
        Err(Error::Invalid(problems)) => assert!(problems[0].message.contains("`r` and `r2`"), "{problems:?}"),
        Err(error) => panic!("{}", chain(&error)),
        Ok(_) => panic!("one of two prices was taken"),
    }
    // What was taken in stays, and the mended rules bill it.
    assert_eq!(world.snapshot().commits().len(), 1);
    world.remove("rules/second.toml");
    let summary = world.run(PERIOD);
    assert_eq!((summary.intake.intake_commit, summary.billing_commit, summary.invoices), (None, Some(1), 1));
}
