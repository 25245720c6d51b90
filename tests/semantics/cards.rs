//! Rate cards, with what the public card asks beside what is charged; and allowances, through whole runs.

use super::{HEADER, PERIOD, World, column, sum};
use crate::crash::conto;
use crate::world::Setting;

/// Three accounts: acme has a card of its own before the public one, hermit has its own and no other, and solo has
/// none.
fn world(rules: &str, rows: &[&str]) -> World {
    let world = World::new(&Setting::default());
    world.put(
        "accounts.toml",
        "[[account]]\nid = \"acme\"\nname = \"Acme\"\ncountry = \"FR\"\ncards = [\"acme\", \"public\"]\n\
         projects = [\"p\", \"q\"]\n\
         [[account]]\nid = \"hermit\"\nname = \"Hermit\"\ncountry = \"FR\"\ncards = [\"acme\"]\nprojects = [\"h\"]\n\
         [[account]]\nid = \"solo\"\nname = \"Solo\"\ncountry = \"FR\"\nprojects = [\"s\"]\n",
    );
    world.put("rules/rules.toml", format!("currency = \"EUR\"\n{METERS}{rules}"));
    let rows: Vec<String> = rows.iter().map(|row| format!("{row},\n")).collect();
    world.put("usage/usage.csv", HEADER.to_owned() + &rows.concat());
    world
}

const METERS: &str = "[[meter]]\nname = \"m\"\naggregation = \"sum\"\nunit = \"u\"\n\
                      [[meter]]\nname = \"n\"\naggregation = \"sum\"\nunit = \"u\"\n\
                      [[meter]]\nname = \"server\"\naggregation = \"presence\"\nwindow = \"24h\"\nunit = \"day\"\n";

/// What each project pays and would pay by the list.
fn costs(world: &World) -> Vec<String> {
    let usage = world.document(PERIOD, "usage.csv");
    let mut reader = csv::Reader::from_reader(usage.as_bytes());
    let header = reader.headers().unwrap().clone();
    let cell = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<String> = reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            ["project_id", "resource_id", "cost", "list_cost"].map(|name| row[cell(name)].to_owned()).join(" ")
        })
        .collect();
    rows
}

/// The public card asks 0.10 up to 100 and 0.08 above, over the project's month; acme's asks 0.09 and 0.07. What the
/// public card alone prices costs what it lists, and so does everything of solo. What no public rule prices is its own
/// list price.
#[test]
fn list_cost_is_what_the_public_card_would_ask_for_the_same_usage() {
    let tiers = |first: &str, second: &str| {
        format!(
            "tiers = \"graduated\"\n\
             tier = [{{ up_to = \"100\", unit_price = \"{first}\" }}, {{ unit_price = \"{second}\" }}]\n"
        )
    };
    let rules = format!(
        "[[rule]]\nid = \"public\"\nmeter = \"m\"\nsku = \"M\"\nservice = \"S\"\n{}\
         [[rule]]\nid = \"acme\"\nmeter = \"m\"\ncard = \"acme\"\nsku = \"M\"\nservice = \"S\"\npool = \"acme\"\n{}\
         [[rule]]\nid = \"only\"\nmeter = \"n\"\ncard = \"acme\"\nsku = \"N\"\nservice = \"S\"\nunit_price = \"3\"\n\
         [[rule]]\nid = \"server\"\nmeter = \"server\"\nsku = \"V\"\nservice = \"S\"\nunit_price = \"2\"\n",
        tiers("0.10", "0.08"),
        tiers("0.09", "0.07")
    );
    let world = world(
        &rules,
        &[
            "m,a,2026-10-01T10:00:00Z,90,p",
            "m,b,2026-10-02T10:00:00Z,30,p",
            "n,c,2026-10-02T10:00:00Z,2,p",
            "server,d,2026-10-02T10:00:00Z,1,p",
            "m,e,2026-10-02T10:00:00Z,120,s",
        ],
    );
    world.run(PERIOD);
    assert_eq!(
        costs(&world),
        [
            "p a 8.10 9.00",
            // 10 at 0.09 and 20 at 0.07; by the list 10 at 0.10 and 20 at 0.08.
            "p b 2.30 2.60",
            "p c 6.00 6.00",
            "p d 2.00 2.00",
            "s e 11.60 11.60",
        ]
    );
    // Each row has the list price of its own tier.
    let rated = world.rows("rated_usage");
    let mut prices: Vec<String> = rated
        .iter()
        .filter(|row| row["rate_id"] == "acme")
        .map(|row| format!("{} {} {}", row["contracted_unit_price"], row["list_unit_price"], row["list_cost"]))
        .collect();
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
    let report = world.documents(PERIOD).into_iter().find(|(name, _)| name.contains("usage-p")).unwrap().1;
    let report = String::from_utf8(report).unwrap();
    assert!(report.contains("List price 19.60 EUR"), "{report}");
    let solo = world.documents(PERIOD).into_iter().find(|(name, _)| name.contains("usage-s")).unwrap().1;
    assert!(!String::from_utf8(solo).unwrap().contains("List price"));
}

/// The list's tier counts what the account used, in a pool over the account, although its own price is flat: 150 and 50
/// are 100 × 1 + 100 × 0.5 = 150 by the list, shared three to one.
#[test]
fn list_tiers_are_reached_by_all_that_was_used() {
    let rules = "[[rule]]\nid = \"public\"\nmeter = \"m\"\nsku = \"M\"\nservice = \"S\"\nper = \"account\"\n\
                 tiers = \"graduated\"\n\
                 tier = [{ up_to = \"100\", unit_price = \"1\" }, { unit_price = \"0.5\" }]\n\
                 [[rule]]\nid = \"acme\"\nmeter = \"m\"\ncard = \"acme\"\nsku = \"M\"\nservice = \"S\"\n\
                 pool = \"acme\"\nunit_price = \"0.6\"\n";
    let world = world(rules, &["m,a,2026-10-01T10:00:00Z,150,p", "m,b,2026-10-02T10:00:00Z,50,q"]);
    world.run(PERIOD);
    assert_eq!(costs(&world), ["p a 90.00 112.50", "q b 30.00 37.50"]);
    assert_eq!(sum(&world, "rated_usage", "list_cost"), "150");
}

/// A factor stands on a card too: a tenth off for who has acme's, whatever card the price stands on. The public factor
/// is for all who have the public card, which hermit has not.
#[test]
fn factors_are_those_of_the_accounts_own_cards() {
    let rules = "[[rule]]\nid = \"public\"\nmeter = \"m\"\nsku = \"M\"\nservice = \"S\"\nunit_price = \"1\"\n\
                 [[rule]]\nid = \"own\"\nmeter = \"n\"\ncard = \"acme\"\nsku = \"N\"\nservice = \"S\"\n\
                 unit_price = \"1\"\n\
                 [[rule]]\nid = \"tenth-off\"\nmeter = \"m\"\ncard = \"acme\"\nfactor = \"0.9\"\n\
                 [[rule]]\nid = \"tenth-off-n\"\nmeter = \"n\"\ncard = \"acme\"\nfactor = \"0.9\"\n\
                 [[rule]]\nid = \"winter\"\nmeter = \"m\"\nfactor = \"2\"\n\
                 [[rule]]\nid = \"winter-n\"\nmeter = \"n\"\nfactor = \"2\"\n";
    let world = world(
        rules,
        &["m,a,2026-10-01T10:00:00Z,100,p", "n,b,2026-10-01T10:00:00Z,100,h", "m,c,2026-10-01T10:00:00Z,100,s"],
    );
    world.run(PERIOD);
    assert_eq!(costs(&world), ["p a 180.00 200.00", "h b 90.00 90.00", "s c 200.00 200.00"]);
}

/// A server of all 31 days and one of ten bring 20 and 20 × 10 / 31 = 6.451612903 for the account's pool; of 30 used by
/// the other project 3.548387097 are charged.
#[test]
fn an_allowance_is_brought_by_resources_and_used_by_the_pool() {
    let rules = "[[rule]]\nid = \"traffic\"\nmeter = \"m\"\nsku = \"T\"\nservice = \"S\"\nper = \"account\"\n\
                 unit_price = \"1\"\n\
                 [[rule]]\nid = \"server\"\nmeter = \"server\"\nsku = \"V\"\nservice = \"S\"\nfree = true\n\
                 [[included_units]]\nid = \"a\"\nmeter = \"server\"\npool = \"T\"\nunits = \"20\"\nprorated = true\n";
    let mut rows: Vec<String> = (1..=31).map(|day| format!("server,a,2026-10-{day:02}T10:00:00Z,1,p")).collect();
    rows.extend((1..=10).map(|day| format!("server,b,2026-10-{day:02}T10:00:00Z,1,p")));
    rows.push("m,n,2026-10-20T10:00:00Z,30,q".to_owned());
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let prorated = world(rules, &rows);
    prorated.run(PERIOD);
    assert_eq!(sum(&prorated, "rated_usage", "contracted_cost"), "3.548387097");
    let lines = prorated.rows("invoice_line");
    let shown: Vec<String> = lines
        .iter()
        .filter(|line| line["sku"] == "T")
        .map(|line| format!("{} at {}: {}", line["quantity"], line["unit_price"], line["net_amount"]))
        .collect();
    assert_eq!(shown, ["26.451612903 at 0.000000000000: 0.0000", "3.548387097 at 1.000000000000: 3.5500"]);

    let whole = world(&rules.replace("prorated = true", "prorated = false"), &rows);
    whole.run(PERIOD);
    assert_eq!(sum(&whole, "rated_usage", "contracted_cost"), "0");
    let neither = world(&rules.replace("units = \"20\"", "units = \"20\"\nvalid_from = 2026-11-01"), &rows);
    neither.run(PERIOD);
    assert_eq!(column(&neither, "rated_usage", "contracted_cost").len(), 42);
    assert_eq!(sum(&neither, "rated_usage", "contracted_cost"), "30");
}

/// With a lake a check tells what a month's usage did not reach: one of two prices, and a rule for nobody.
#[test]
fn a_check_tells_which_prices_a_month_did_not_reach() {
    let world = World::new(&Setting::default());
    let meter = "[[meter]]\nname = \"m\"\naggregation = \"sum\"\nunit = \"u\"\n\
                 dimensions.size = { from = [\"size\"] }\n\
                 [[meter]]\nname = \"n\"\naggregation = \"sum\"\nunit = \"u\"\n";
    let rules = "[[rule]]\nid = \"sizes\"\nmeter = \"m\"\nsku = \"M\"\nservice = \"S\"\nprice_list = \"sizes.csv\"\n\
                 [[rule]]\nid = \"none\"\nmeter = \"n\"\nsku = \"N\"\nservice = \"S\"\nunit_price = \"1\"\n";
    world.put("rules/rules.toml", format!("currency = \"EUR\"\n{meter}{rules}"));
    world.put("rules/sizes.csv", "size,unit_price\nsmall,1\nlarge,2\n");
    let header = "meter,resource_id,measured_at,quantity,project_id,size\n";
    world.put("usage/u.csv", format!("{header}m,a,2026-10-05T10:00:00Z,1,p,small\n"));
    world.run(PERIOD);
    let output = conto(&world, &["rules", "check", "--used-in", PERIOD], &[]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("no usage of 2026-10 has a price by rule `none`"), "{told}");
    assert!(told.contains("no usage of 2026-10 has 1 of the 2 prices of rule `sizes`: large (line 3)"), "{told}");
    let commits = world.snapshot().commits().len();
    assert_eq!(commits, 2, "a check commits nothing");
}
