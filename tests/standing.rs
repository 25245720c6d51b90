//! What is owed without being measured: fees by the day, in advance and in arrears, and pools that nobody used.

use crate::crash::done;
use crate::world::{Setting, World};

const HEADER: &str = "meter,resource_id,measured_at,quantity,project_id\n";

const METER: &str = "[[meter]]\nname = \"m\"\naggregation = \"sum\"\nunit = \"GB\"\n";

const RULE: &str =
    "[[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"EGRESS\"\nservice = \"Network\"\nunit_price = \"0.10\"\n";

fn world(accounts: &str, rules: &str) -> World {
    let world = World::new(&Setting::default());
    world.put("accounts.toml", accounts);
    world.put("rules/rules.toml", format!("{METER}{rules}"));
    world.put("usage/october.csv", format!("{HEADER}m,a,2026-10-01T10:00:00Z,5,p\nm,a,2026-10-02T10:00:00Z,5,p\n"));
    world
}

fn account(id: &str, more: &str) -> String {
    format!("[[account]]\nid = \"{id}\"\nname = \"{id} Ltd\"\n{more}\n")
}

fn fee(id: &str, more: &str) -> String {
    format!("[[recurring]]\nid = \"{id}\"\nservice = \"Fees\"\n{more}\n")
}

/// `number: sku line_by quantity unit at price per: net`, of one period.
fn lines(world: &World, period: &str) -> Vec<String> {
    let rows = world.rows("invoice_line").into_iter().filter(|row| row["invoice_number"].contains(period));
    let line = |row: std::collections::BTreeMap<String, String>| {
        let short = |name: &str| {
            let text = &row[name];
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.clone() }
        };
        let number = row["invoice_number"].trim_start_matches("DRAFT-").to_owned();
        let (quantity, price, per) = (short("quantity"), short("unit_price"), short("unit_price_per"));
        format!(
            "{number}: {} {} {quantity} {} at {price} per {per}: {}",
            row["sku"], row["line_by"], row["unit"], row["net_amount"]
        )
    };
    rows.map(line).collect()
}

/// October has 31 days. Support costs 31.00 a month for each account: 1.00 a day. A plan of 9.30 is replaced by one of
/// 12.40 on the 11th: ten days are 3.00, the other 21 are 8.40. An account that comes on the 12th has 20 days. Machine
/// `a` was there on two days: 2 of 31 of 6.20 are 0.40. Nobody but `p` used anything.
#[test]
fn fees_are_owed_by_the_day_and_by_those_who_use_nothing() {
    let accounts = [
        account("acme", "country = \"FR\"\nprojects = [\"p\", \"q\"]"),
        account("aside", "projects = [\"u\"]"),
        account("idle", "country = \"FR\"\ninvoice_per = \"account\"\nprojects = [\"r\"]"),
        account("late", "country = \"FR\"\nvalid_from = 2026-10-12\nprojects = [\"s\"]"),
        account("ours", "internal = true\nprojects = [\"t\"]"),
    ];
    let rules = [
        RULE.to_owned(),
        fee("support", "sku = \"SUPPORT\"\nper = \"account\"\nunit_price = \"31.00\""),
        fee("plan", "sku = \"PLAN\"\nper = \"project\"\nunit_price = \"9.30\"\nvalid_to = 2026-10-11"),
        fee("plan-new", "sku = \"PLAN\"\nper = \"project\"\nunit_price = \"12.40\"\nvalid_from = 2026-10-11"),
        fee("backup", "sku = \"BACKUP\"\nper = \"resource\"\nmeter = \"m\"\nunit_price = \"6.20\""),
    ];
    let world = world(&accounts.concat(), &rules.concat());
    let summary = world.run("2026-10");
    assert_eq!(summary.suspended_accounts.len(), 1);
    let plans = |number: &str| {
        [
            format!("{number}: PLAN month=2026-10 21 day at 12.4 per 31: 8.4000"),
            format!("{number}: PLAN month=2026-10 10 day at 9.3 per 31: 3.0000"),
        ]
    };
    let mut expected = vec!["2026-10-acme: SUPPORT month=2026-10 1 month at 31 per 1: 31.0000".to_owned()];
    expected.push("2026-10-idle: SUPPORT month=2026-10 1 month at 31 per 1: 31.0000".to_owned());
    expected.extend(plans("2026-10-idle").into_iter().rev());
    expected.push("2026-10-late: SUPPORT month=2026-10 20 day at 31 per 31: 20.0000".to_owned());
    expected.push("2026-10-p: EGRESS  10 GB at 0.1 per 1: 1.0000".to_owned());
    expected.push("2026-10-p: BACKUP month=2026-10 2 day at 6.2 per 31: 0.4000".to_owned());
    expected.extend(plans("2026-10-p").into_iter().rev());
    expected.extend(plans("2026-10-q").into_iter().rev());
    expected.push("2026-10-s: PLAN month=2026-10 20 day at 12.4 per 31: 8.0000".to_owned());
    assert_eq!(lines(&world, "2026-10"), expected);
    // 31.00 and 3.00 + 8.40 each: of the account that is set aside, and of ours.
    let aside = world.rows("suspended_account");
    assert_eq!(aside[0]["contracted_cost"].trim_end_matches('0'), "42.4");
    let audit = done(&world, &["audit", "--period", "2026-10"]);
    assert!(audit.contains("fees"), "{audit}");
    let usage = world.document("2026-10", "usage.csv");
    assert!(usage.contains("2026-10-12,late,s,,,Fees,PLAN,20,day"), "{usage}");
    assert!(usage.contains("suspended_account"), "{usage}");
    let explained = done(&world, &["explain", "DRAFT-2026-10-p/2"]);
    assert!(explained.contains("2 day at 6.20 EUR per 31: 0.40 EUR, rounded to 0.40"), "{explained}");
    assert!(explained.contains("fee backup at"), "{explained}");
    let index = world.document("2026-10", "index.html");
    assert!(index.contains("The account as a whole"), "the account's own document stands in the index");
    // A second run has nothing to commit.
    let again = world.run("2026-10");
    assert_eq!((again.intake.intake_commit, again.billing_commit), (None, None));
}

/// 30.00 a month in advance: October's document has October, which nobody was charged before, and November. November's
/// has December alone, however often it is drawn. Then the account turns out to have ended on 15 November: of November
/// one month is given back and 15 days of 30 are charged, 30.00 - 15.00, and December is not charged at all.
#[test]
fn what_is_charged_in_advance_is_charged_once_and_given_back_where_it_ends() {
    let rules = [
        RULE.to_owned(),
        fee("plan", "sku = \"PLAN\"\nper = \"project\"\nbilled = \"in_advance\"\nunit_price = \"30.00\""),
    ];
    let accounts = account("acme", "country = \"FR\"\nprojects = [\"p\"]");
    let world = world(&accounts, &rules.concat());
    world.run("2026-10");
    let october = [
        "2026-10-p: EGRESS  10 GB at 0.1 per 1: 1.0000",
        "2026-10-p: PLAN month=2026-10 1 month at 30 per 1: 30.0000",
        "2026-10-p: PLAN month=2026-11 1 month at 30 per 1: 30.0000",
    ];
    assert_eq!(lines(&world, "2026-10"), october);
    done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-11-02"]);
    let issued = world.rows("issued_document").len();
    done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-11-02"]);
    assert_eq!(world.rows("issued_document").len(), issued, "a second close issues nothing");
    for _ in 0..2 {
        world.run("2026-11");
        assert_eq!(lines(&world, "2026-11"), ["2026-11-p: PLAN month=2026-12 1 month at 30 per 1: 30.0000"]);
    }
    let ends = format!("{accounts}valid_to = 2026-11-16\n");
    world.put("accounts.toml", ends);
    world.run("2026-11");
    let given_back = [
        "2026-11-p: PLAN month=2026-11 15 day at 30 per 30: 15.0000",
        "2026-11-p: PLAN month=2026-11 -1 month at 30 per 1: -30.0000",
        "2026-11-p: carried_forward  1  at 15 per 1: 15.0000",
    ];
    assert_eq!(lines(&world, "2026-11"), given_back);
    done(&world, &["audit", "--period", "2026-11"]);
    // Nobody has the fee in December, and nothing of it was charged.
    world.run("2026-12");
    assert_eq!(lines(&world, "2026-12").iter().filter(|line| line.contains("PLAN")).count(), 0);
}

/// A first tier's flat fee of 5.00 and a minimum of 8.00, of each project: `p` used 10 GB, which are 5.00 + 1.00 and
/// 2.00 to the minimum; `q` used nothing and owes 5.00 and 3.00.
#[test]
fn a_pool_that_nobody_used_costs_its_flat_fee_and_its_minimum_where_the_rule_says_so() {
    let rule = "[[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"EGRESS\"\nservice = \"Network\"\ntiers = \"graduated\"\n\
                tier = [{ up_to = \"100\", unit_price = \"0.10\", flat_fee = \"5\" }, { unit_price = \"0.05\" }]\n\
                minimum = \"8\"\n";
    let accounts = account("acme", "country = \"FR\"\nprojects = [\"p\", \"q\"]");
    let without = world(&accounts, rule);
    without.run("2026-10");
    assert!(!lines(&without, "2026-10").iter().any(|line| line.starts_with("2026-10-q")));
    let with = world(&accounts, &format!("{rule}flat_fee_at_zero = true\nminimum_at_zero = true\n"));
    with.run("2026-10");
    let expected = [
        "2026-10-p: EGRESS  10 GB at 0.1 per 1: 1.0000",
        "2026-10-p: EGRESS  1 fee at 5 per 1: 5.0000",
        "2026-10-p: EGRESS  1  at 2 per 1: 2.0000",
        "2026-10-q: EGRESS  1 fee at 5 per 1: 5.0000",
        "2026-10-q: EGRESS  1  at 3 per 1: 3.0000",
    ];
    assert_eq!(lines(&with, "2026-10"), expected);
    done(&with, &["audit", "--period", "2026-10"]);
}

/// Support for an account on the card `partner` costs 20.00 from 16 October on; before, and for everybody else, 31.00.
#[test]
fn a_fee_on_an_earlier_card_replaces_that_of_the_same_sku() {
    let rules = [
        RULE.to_owned(),
        fee("support", "sku = \"SUPPORT\"\nper = \"account\"\nunit_price = \"31.00\""),
        fee(
            "support-partner",
            "sku = \"SUPPORT\"\nper = \"account\"\ncard = \"partner\"\nunit_price = \"20.15\"\nvalid_from = 2026-10-16",
        ),
    ];
    let accounts = [
        account("acme", "country = \"FR\"\nprojects = [\"p\"]"),
        account("friend", "country = \"FR\"\ncards = [\"partner\", \"public\"]"),
    ];
    let world = world(&accounts.concat(), &rules.concat());
    world.run("2026-10");
    let lines = lines(&world, "2026-10");
    let of_accounts: Vec<&str> = lines.iter().map(String::as_str).filter(|line| line.contains("SUPPORT")).collect();
    let expected = [
        "2026-10-acme: SUPPORT month=2026-10 1 month at 31 per 1: 31.0000",
        // 16 of 31 days of 20.15, and 15 of 31.00.
        "2026-10-friend: SUPPORT month=2026-10 16 day at 20.15 per 31: 10.4000",
        "2026-10-friend: SUPPORT month=2026-10 15 day at 31 per 31: 15.0000",
    ];
    assert_eq!(of_accounts, expected);
}

/// 15.00 of two projects: 10 % of the first 10.00 and 5 % of the rest are 1.00 + 0.25, and 0.75 more are the minimum,
/// on the account's own document. 20.00 of another account, of which a discount takes half: the plan before discounts
/// is 1.00 + 0.50 + 0.50, the one after them 10 % of 10.00. Who uses nothing owes the minimum; who came on the 17th has
/// 15 of 31 days of it, 0.967…; who has not the card owes nothing.
#[test]
fn a_support_plan_is_a_percent_of_what_other_lines_come_to() {
    let plan = "[[fee]]\nid = \"business\"\nservice = \"Support\"\ncard = \"business\"\nper = \"account\"\n\
                base = \"before_discounts\"\nwhen = \"service = 'Network'\"\nminimum = \"2.00\"\n\
                tier = [{ up_to = \"10\", percent = \"10\" }, { percent = \"5\" }]\n";
    let care = "[[fee]]\nid = \"care\"\nservice = \"Support\"\nper = \"project\"\naccounts = [\"big\"]\n\
                base = \"after_discounts\"\npercent = \"10\"\n";
    let half = "[[discount]]\nid = \"half\"\naccounts = [\"big\"]\nwhen = \"service = 'Network'\"\n\
                percent = \"50\"\n";
    let cards = "country = \"FR\"\ncards = [\"business\", \"public\"]\n";
    let accounts = [
        account("acme", &format!("{cards}projects = [\"p\", \"q\"]")),
        account("big", &format!("{cards}invoice_per = \"account\"\nprojects = [\"b\"]")),
        account("idle", cards),
        account("late", &format!("{cards}valid_from = 2026-10-17")),
        account("other", "country = \"FR\"\nprojects = [\"o\"]"),
    ];
    let world = world(&accounts.concat(), &[RULE, plan, care, half].concat());
    let used = [("p", 100), ("q", 50), ("b", 200), ("o", 10)];
    let rows = used.map(|(project, quantity)| format!("m,r-{project},2026-10-01T10:00:00Z,{quantity},{project}\n"));
    world.put("usage/october.csv", format!("{HEADER}{}", rows.concat()));
    world.run("2026-10");
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
    assert_eq!(lines(&world, "2026-10"), expected);
    done(&world, &["audit", "--period", "2026-10"]);
    let explained = done(&world, &["explain", "DRAFT-2026-10-acme/2"]);
    assert!(explained.contains("5.00 % of 5 EUR: 0.25"), "{explained}");
    // Late usage of a closed month raises the fee of it: 10 GB more of `b` are 1.00 less a half, and 5 % of 1.00.
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("{config}[closing]\nincreases = \"document\"\n"));
    done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-11-02"]);
    world.put("usage/late.csv", format!("{HEADER}m,r-b,2026-10-20T10:00:00Z,10,b\n"));
    done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-11-05"]);
    let documents = world.rows("issued_document");
    let due = documents.iter().filter(|row| row.contains_key("corrects")).map(|row| row["total_with_tax"].clone());
    // 1.00 - 0.50 used, 0.05 more of the one plan and as much less of its minimum, 0.05 of the other: 0.55, with 20 %.
    assert_eq!(due.collect::<Vec<_>>(), ["0.6600"]);
}

/// One machine is reserved through 1 October at 0.04 an hour: 24 hours are owed. `a` runs for three hours and `b` for
/// two of them: each hour the first one is covered, three hours used and 21 not, and the two of `b` cost 0.10 each.
#[test]
fn a_reservation_covers_the_hour_and_is_owed_where_it_is_not_used() {
    let rules = "[[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"CMP\"\nservice = \"Compute\"\nunit_price = \"0.10\"\n\
                 [[reservation]]\nid = \"reserved\"\naccount = \"acme\"\nmeter = \"m\"\nquantity = \"1\"\n\
                 unit_price = \"0.04\"\nvalid_from = 2026-10-01\nvalid_to = 2026-10-02\n";
    let world = world(&account("acme", "country = \"FR\"\nprojects = [\"p\"]"), rules);
    let used = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("a", 30)];
    let rows = used.map(|(resource, hour)| {
        let (day, hour) = (1 + hour / 24, hour % 24);
        format!("m,{resource},2026-10-{day:02}T{hour:02}:10:00Z,1,p\n")
    });
    world.put("usage/october.csv", format!("{HEADER}{}", rows.concat()));
    world.run("2026-10");
    let expected = [
        "2026-10-acme: reserved part=not used 21 GB at 0.04 per 1: 0.8400",
        "2026-10-acme: reserved part=used 3 GB at 0.04 per 1: 0.1200",
        // Two hours of `b`, and one of `a` on the day after the reservation.
        "2026-10-p: CMP  3 GB at 0.1 per 1: 0.3000",
        "2026-10-p: CMP  3 GB at 0 per 1: 0.0000",
    ];
    assert_eq!(lines(&world, "2026-10"), expected);
    done(&world, &["audit", "--period", "2026-10"]);
    let explained = done(&world, &["explain", "DRAFT-2026-10-acme/1"]);
    assert!(explained.contains("fee reserved at"), "{explained}");
    let again = world.run("2026-10");
    assert_eq!((again.intake.intake_commit, again.billing_commit), (None, None));
}

/// The published example of an hour: 39.00 on demand that a commitment of 25.00 pays exactly. Where it is 10.00 it
/// goes to the half-priced first and leaves one at 10.00 and seven at 1.50. A day of it is owed, 24 times the amount.
#[test]
fn an_hourly_commitment_pays_for_what_it_saves_most_on_and_is_owed_all_the_same() {
    let meter =
        "[[meter]]\nname = \"c\"\naggregation = \"sum\"\nunit = \"hour\"\ndimensions.size = { from = [\"size\"] }\n";
    let rule = "[[rule]]\nid = \"c\"\nmeter = \"c\"\nsku = \"CMP\"\nservice = \"Compute\"\nline_by = [\"size\"]\n\
                prices = { by = \"size\", s1 = \"4\", s2 = \"10\", s3 = \"1.50\", s4 = \"2\" }\n";
    let covers = [("s1", "2"), ("s2", "8"), ("s3", "1"), ("s4", "1")]
        .map(|(size, price)| format!("{{ meter = \"c\", when = \"size = '{size}'\", unit_price = \"{price}\" }}"));
    let committed = |amount: &str| {
        let plan = format!(
            "[[hourly_commitment]]\nid = \"plan\"\naccount = \"acme\"\namount = \"{amount}\"\ncovers = [{}]\n\
             valid_from = 2026-10-01\nvalid_to = 2026-10-02\n",
            covers.join(", ")
        );
        let accounts = account("acme", "country = \"FR\"\ninvoice_per = \"account\"\nprojects = [\"p\"]");
        let world = world(&accounts, &[RULE, meter, rule, &plan].concat());
        let used = [("s1", 1), ("s2", 1), ("s3", 10), ("s4", 5)];
        let rows = used.map(|(size, quantity)| format!("c,r-{size},2026-10-01T05:00:00Z,{quantity},p,{size}\n"));
        let header = "meter,resource_id,measured_at,quantity,project_id,size\n";
        world.put("usage/october.csv", format!("{header}{}", rows.concat()));
        world.run("2026-10");
        done(&world, &["audit", "--period", "2026-10"]);
        lines(&world, "2026-10").into_iter().filter(|line| !line.ends_with(": 0.0000")).collect::<Vec<_>>()
    };
    assert_eq!(
        committed("25.00"),
        [
            "2026-10-acme: plan part=not used 575 EUR at 1 per 1: 575.0000",
            "2026-10-acme: plan part=used 25 EUR at 1 per 1: 25.0000",
        ]
    );
    assert_eq!(
        committed("10.00"),
        [
            "2026-10-acme: plan part=not used 230 EUR at 1 per 1: 230.0000",
            "2026-10-acme: plan part=used 10 EUR at 1 per 1: 10.0000",
            "2026-10-acme: CMP size=s2 1 hour at 10 per 1: 10.0000",
            "2026-10-acme: CMP size=s3 7 hour at 1.5 per 1: 10.5000",
        ]
    );
}

/// Everything at once, for an account with a card of its own. Server `a` runs for three hours of 1 October, and the
/// reservation covers them, `b` for two at 0.08. Both bring 20 GB, covered or not: of 50 GB ten are charged, 0.50.
/// The reservation is 24 × 0.04 = 0.12 + 0.84, and a tenth of 0.16 + 0.50 + 0.96 = 1.62 is the fee, 0.16. By the
/// public card the servers would have been 5 × 0.10, of which the covered hours are 0.30, and the traffic 0.50: what
/// is held has no list price, what it covers has.
#[test]
fn what_is_covered_has_its_list_price_and_brings_its_allowance_and_fees_are_of_what_is_paid() {
    let rules = "[[meter]]\nname = \"server\"\naggregation = \"presence\"\nunit = \"hour\"\n\
        [[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"TRAFFIC\"\nservice = \"Network\"\nunit_price = \"0.05\"\n\
        [[rule]]\nid = \"list\"\nmeter = \"server\"\nsku = \"SERVER\"\nservice = \"Compute\"\nunit_price = \"0.10\"\n\
        [[rule]]\nid = \"own\"\nmeter = \"server\"\nsku = \"SERVER\"\nservice = \"Compute\"\nunit_price = \"0.08\"\n\
        card = \"acme\"\n\
        [[included_units]]\nid = \"traffic\"\nmeter = \"server\"\npool = \"TRAFFIC\"\nunits = \"20\"\nprorated = false\n\
        [[reservation]]\nid = \"reserved\"\naccount = \"acme\"\nmeter = \"server\"\nquantity = \"1\"\n\
        unit_price = \"0.04\"\nvalid_from = 2026-10-01\nvalid_to = 2026-10-02\n\
        [[fee]]\nid = \"support\"\nper = \"account\"\nbase = \"after_discounts\"\npercent = \"10\"\n";
    let accounts = account(
        "acme",
        "country = \"FR\"\ninvoice_per = \"account\"\ncards = [\"acme\", \"public\"]\nprojects = [\"p\"]",
    );
    let world = world(&accounts, rules);
    let hours = [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)];
    let rows = hours.map(|(resource, hour)| format!("server,{resource},2026-10-01T{hour:02}:10:00Z,1,p\n"));
    world.put("usage/october.csv", format!("{HEADER}{}m,t,2026-10-20T10:00:00Z,50,p\n", rows.concat()));
    world.run("2026-10");
    let expected = [
        "2026-10-acme: SERVER  3 hour at 0 per 1: 0.0000",
        "2026-10-acme: SERVER  2 hour at 0.08 per 1: 0.1600",
        "2026-10-acme: TRAFFIC  40 GB at 0 per 1: 0.0000",
        "2026-10-acme: TRAFFIC  10 GB at 0.05 per 1: 0.5000",
        "2026-10-acme: reserved part=not used 21 hour at 0.04 per 1: 0.8400",
        "2026-10-acme: reserved part=used 3 hour at 0.04 per 1: 0.1200",
        "2026-10-acme: support base=after discounts 1.62 EUR at 10 per 100: 0.1600",
    ];
    let mut found = lines(&world, "2026-10");
    found.sort();
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    let mut listed: Vec<String> = Vec::new();
    for row in world.rows("rated_usage") {
        let short = |name: &str| row[name].trim_end_matches('0').trim_end_matches('.').to_owned();
        listed.push(format!("{} {} {}", row["charge_kind"], short("contracted_cost"), short("list_cost")));
    }
    listed.sort();
    assert_eq!(listed, ["reserved 0 0.3", "usage 0 0", "usage 0 0", "usage 0.16 0.2", "usage 0.5 0.5"]);
    done(&world, &["audit", "--period", "2026-10"]);
    let usage = world.document("2026-10", "usage.csv");
    assert!(usage.contains("reserved,21,hour,21,hour,0.84,0.00,EUR"), "{usage}");
    // The fee is the last row, and the sum of all is what is paid: 0.16 + 0.50 + 0.96 + 0.16.
    let fee = "2026-10-01,acme,,,,Fees,support,1.62,EUR,1.62,EUR,0.16,0.16,EUR,invoiced,base=after discounts,";
    assert!(usage.trim_end().ends_with(fee), "{usage}");
    let number = world.rows("invoice_line").iter().position(|row| row["sku"] == "support").unwrap() + 1;
    let explained = done(&world, &["explain", &format!("DRAFT-2026-10-acme/{number}")]);
    assert!(explained.contains("10.00 % of 1.62 EUR: 0.16\nasked for by support at rules/rules.toml:"), "{explained}");
    assert!(explained.contains(", of what lines come to after discounts"), "{explained}");
    // With another percent and no reservation: the servers are 5 × 0.08, with the traffic 0.90, and 20 % of it 0.18.
    let held = rules.find("[[reservation]]").unwrap();
    let fee = rules.find("[[fee]]").unwrap();
    let other = format!("{METER}{}{}", &rules[..held], rules[fee..].replace("percent = \"10\"", "percent = \"20\""));
    world.put("other/rules.toml", other);
    let other = world.path("other");
    let diff = done(&world, &["rules", "diff", "--against", &other.to_string_lossy(), "--period", "2026-10"]);
    let changed = |words: &[&str]| {
        let is_it = |line: &&str| line.split_whitespace().eq(words.iter().copied());
        assert!(diff.lines().any(|line| is_it(&line)), "{words:?} in {diff}");
    };
    changed(&["support", "0.16", "0.18", "0.02"]);
    changed(&["reserved", "0.96", "0.00", "-0.96"]);
    changed(&["own", "0.16", "0.40", "0.24"]);
    assert!(diff.contains("1.78 before, 1.08 after, a change of -0.70"), "{diff}");
}

/// A factor that holds for an account holds for what it owes for a pool that it does not use: 5.00 and 3.00 to the
/// minimum of 8.00, times 1.5. That of a dimension is of what is used, and there is nothing.
#[test]
fn a_factor_multiplies_what_an_unused_pool_costs() {
    let rules = "[[rule]]\nid = \"r\"\nmeter = \"m\"\nsku = \"EGRESS\"\nservice = \"Network\"\ntiers = \"graduated\"\n\
        tier = [{ up_to = \"100\", unit_price = \"0.10\", flat_fee = \"5\" }, { unit_price = \"0.05\" }]\n\
        minimum = \"8\"\nflat_fee_at_zero = true\nminimum_at_zero = true\n\
        [[rule]]\nid = \"small\"\nmeter = \"m\"\nfactor = \"1.5\"\nwhen = \"project_id = 'q'\"\n\
        [[rule]]\nid = \"other\"\nmeter = \"m\"\nfactor = \"9\"\nwhen = \"resource_id = 'x'\"\n";
    let world = world(&account("acme", "country = \"FR\"\nprojects = [\"q\", \"r\"]"), rules);
    world.put("usage/october.csv", HEADER);
    world.run("2026-10");
    let expected = [
        "2026-10-q: EGRESS  1 fee at 7.5 per 1: 7.5000",
        "2026-10-q: EGRESS  1  at 4.5 per 1: 4.5000",
        "2026-10-r: EGRESS  1 fee at 5 per 1: 5.0000",
        "2026-10-r: EGRESS  1  at 3 per 1: 3.0000",
    ];
    assert_eq!(lines(&world, "2026-10"), expected);
}

/// Two servers: `a` runs in four hours of 1 October and `b` in the first two of them. One is held for each of that
/// day's 24 hours at 0.06: four are used, 0.24, and twenty are not, 1.20. The other two hours cost 0.08 each by the
/// account's own card, 0.16. Either server brings 10 GB of traffic, covered or not; of 30 GB 20 are theirs and 5
/// are free, so that 5 cost 0.05 each, 0.25. Lines come to 1.85. A tenth of it is 0.185, so 0.19: 2.04, and at 20 %
/// 0.41 of tax.
///
/// On demand and by the public card six hours would cost 0.10 each, and the traffic the same: 0.60 and 0.25. What
/// is held is on no list, and a fee is listed as it is paid.
#[test]
fn what_is_held_brings_allowances_is_listed_on_demand_and_has_a_fee() {
    let rules = "[[meter]]\nname = \"server\"\naggregation = \"presence\"\nunit = \"hour\"\n\
        [[rule]]\nid = \"server\"\nmeter = \"server\"\nsku = \"SRV\"\nservice = \"Servers\"\n\
        unit_price = \"0.10\"\n\
        [[rule]]\nid = \"server-own\"\nmeter = \"server\"\ncard = \"own\"\nsku = \"SRV\"\nservice = \"Servers\"\n\
        unit_price = \"0.08\"\n\
        [[rule]]\nid = \"traffic\"\nmeter = \"m\"\nsku = \"NET\"\nservice = \"Network\"\npool = \"traffic\"\n\
        free_units = \"5\"\nunit_price = \"0.05\"\n\
        [[included_units]]\nid = \"with-servers\"\nmeter = \"server\"\npool = \"traffic\"\nunits = \"10\"\n\
        prorated = false\n\
        [[reservation]]\nid = \"held\"\naccount = \"acme\"\nmeter = \"server\"\nquantity = \"1\"\n\
        unit_price = \"0.06\"\n\
        sku = \"HELD\"\nservice = \"Servers\"\nvalid_from = 2026-10-01\nvalid_to = 2026-10-02\n\
        [[fee]]\nid = \"care\"\nper = \"account\"\nbase = \"before_discounts\"\npercent = \"10\"\n";
    let accounts = "country = \"FR\"\ninvoice_per = \"account\"\ncards = [\"own\", \"public\"]\nprojects = [\"p\"]";
    let world = world(&account("acme", accounts), rules);
    let hours = ["a,2026-10-01T00", "a,2026-10-01T01", "a,2026-10-01T02", "a,2026-10-01T03"];
    let hours = hours.into_iter().chain(["b,2026-10-01T00", "b,2026-10-01T01"]);
    let servers: String = hours.map(|hour| format!("server,{hour}:10:00Z,1,p\n")).collect();
    world.put("usage/servers.csv", format!("{HEADER}{servers}m,c,2026-10-03T10:00:00Z,20,p\n"));
    world.run("2026-10");
    let expected = [
        "2026-10-acme: HELD part=not used 20 hour at 0.06 per 1: 1.2000",
        "2026-10-acme: HELD part=used 4 hour at 0.06 per 1: 0.2400",
        "2026-10-acme: NET  25 GB at 0 per 1: 0.0000",
        "2026-10-acme: NET  5 GB at 0.05 per 1: 0.2500",
        "2026-10-acme: SRV  2 hour at 0.08 per 1: 0.1600",
        "2026-10-acme: SRV  4 hour at 0 per 1: 0.0000",
        "2026-10-acme: care base=before discounts 1.85 EUR at 10 per 100: 0.1900",
    ];
    assert_eq!(lines(&world, "2026-10"), expected);
    let invoice = &world.rows("invoice")[0];
    assert_eq!((&*invoice["total_without_tax"], &*invoice["tax_amount"]), ("2.0400", "0.4100"));
    let usage = world.document("2026-10", "usage.csv");
    let rows: Vec<Vec<&str>> = usage.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|column| *column == name).unwrap();
    let listed = |sku: &str| -> i128 {
        let of_sku = rows.iter().filter(|row| row[column("sku")] == sku);
        of_sku.map(|row| conto::model::money::Cost::parse_exact(row[column("list_cost")]).unwrap().units()).sum()
    };
    let cent = 10i128.pow(16);
    assert_eq!(["SRV", "NET", "HELD", "care"].map(listed), [60 * cent, 25 * cent, 0, 19 * cent], "{usage}");
    done(&world, &["audit", "--period", "2026-10"]);
}
