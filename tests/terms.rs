//! What changes an invoice after usage is priced: credits from month to month, what is too little to be sent, and what
//! each kind of tax asks for.

use std::collections::BTreeMap;

use crate::crash::done;
use crate::world::{Setting, World};

const HEADER: &str = "meter,resource_id,measured_at,quantity,project_id\n";

/// A meter and a service for each letter, everything at 1.00.
fn world(accounts: &str, terms: &str) -> World {
    let world = World::new(&Setting::default());
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("invoice_per = \"account\"\n{config}"));
    world.put("accounts.toml", accounts);
    let rule = |letter: char| {
        format!(
            "[[meter]]\nname = \"{letter}\"\naggregation = \"sum\"\nunit = \"piece\"\n[[rule]]\nid = \"{letter}\"\n\
             meter = \"{letter}\"\nsku = \"{letter}\"\nservice = \"{letter}\"\nunit_price = \"1.00\"\n"
        )
    };
    world.put("rules/rules.toml", "abcd".chars().map(rule).collect::<String>());
    world.put("rules/terms.toml", terms);
    world
}

fn account(id: &str, country: &str, more: &str) -> String {
    format!(
        "[[account]]\nid = \"{id}\"\nname = \"{id} Ltd\"\ncountry = \"{country}\"\nprojects = [\"p-{id}\"]\n{more}\n"
    )
}

/// Pieces that a project uses in a month: `meter quantity`.
fn deliver(world: &World, month: &str, project: &str, used: &[&str]) {
    let row = |used: &&str| {
        let (meter, quantity) = used.split_once(' ').unwrap();
        format!("{meter},r-{project},{month}-05T10:00:00Z,{quantity},{project}\n")
    };
    world.put(&format!("usage/{month}-{project}.csv"), HEADER.to_owned() + &used.iter().map(row).collect::<String>());
}

fn short(text: &str) -> &str {
    text.trim_end_matches('0').trim_end_matches('.')
}

/// `id: opening + granted - used - expired = closing` of a month's credits.
fn balances(world: &World, month: &str) -> Vec<String> {
    let all = world.snapshot();
    let file = all.files("credit_balance").find(|file| file.partition == month).unwrap();
    let batches = crate::world::block_on(world.lake().read_data(file)).unwrap();
    let line = |row: BTreeMap<String, String>| {
        let cell = |name: &str| short(&row[name]).to_owned();
        let (opening, granted, used) = (cell("opening_balance"), cell("granted"), cell("used"));
        format!(
            "{}: {opening} + {granted} - {used} - {} = {}",
            row["credit_id"],
            cell("expired"),
            cell("closing_balance")
        )
    };
    crate::world::rows_of(&batches).into_iter().map(line).collect()
}

/// Columns of the document of an account.
fn totals(world: &World, number: &str, columns: [&str; 4]) -> [String; 4] {
    let row = world.rows("invoice").into_iter().find(|row| row["invoice_number"] == number);
    let row = row.unwrap_or_else(|| panic!("no {number}"));
    columns.map(|column| short(&row[column]).to_owned())
}

const SUMS: [&str; 4] = ["total_without_tax", "tax_amount", "total_with_tax", "amount_due"];

/// Of 5.00 in October `first` pays 3.00, for its priority, and `gone` 2.00, since it ends soonest; it has its last
/// day on 31 October, and 5.00 of it are lost in November. Of 6.00 in November `soon` pays 4.00, and of those without
/// an end the one whose id comes first 2.00. Of 9.00 in December `late` pays the 8.00 that are left of it and `new`,
/// which began in November, 1.00.
#[test]
fn credits_go_by_priority_then_by_their_end_and_from_month_to_month() {
    let credit = |id: &str, amount: &str, more: &str| {
        format!(
            "[[credit]]\nid = \"{id}\"\naccount = \"acme\"\nkind = \"promotional\"\namount = \"{amount}\"\n{more}\n"
        )
    };
    let terms = [
        credit("late", "10", ""),
        credit("soon", "4", "expires = 2026-12-01"),
        credit("first", "3", "priority = 5"),
        credit("gone", "7", "expires = 2026-11-01"),
        credit("new", "2", "valid_from = 2026-11-01"),
    ];
    let world = world(&account("acme", "FR", ""), &terms.concat());
    let expected = [
        (
            "2026-10",
            "a 5",
            vec![
                "first: 0 + 3 - 3 - 0 = 0",
                "gone: 0 + 7 - 2 - 0 = 5",
                "late: 0 + 10 - 0 - 0 = 10",
                "soon: 0 + 4 - 0 - 0 = 4",
            ],
        ),
        (
            "2026-11",
            "a 6",
            vec![
                "first: 0 + 0 - 0 - 0 = 0",
                "gone: 5 + 0 - 0 - 5 = 0",
                "late: 10 + 0 - 2 - 0 = 8",
                "new: 0 + 2 - 0 - 0 = 2",
                "soon: 4 + 0 - 4 - 0 = 0",
            ],
        ),
        (
            "2026-12",
            "a 9",
            vec![
                "first: 0 + 0 - 0 - 0 = 0",
                "gone: 0 + 0 - 0 - 0 = 0",
                "late: 8 + 0 - 8 - 0 = 0",
                "new: 2 + 0 - 1 - 0 = 1",
                "soon: 0 + 0 - 0 - 0 = 0",
            ],
        ),
    ];
    for (month, used, expected) in expected {
        deliver(&world, month, "p-acme", &[used]);
        world.run(month);
        assert_eq!(balances(&world, month), expected, "{month}");
        assert_eq!(totals(&world, &format!("DRAFT-{month}-acme"), SUMS), ["0", "0", "0", "0"]);
        done(&world, &["audit", "--period", month]);
    }
}

/// 2.00 a month are too little for an invoice of 5.00: 1.50 at 20 % and 0.50 at 5.5 %. November takes over October's
/// and has 4.00, December has 6.00. It is taxed as a whole, 4.50 at 20 %, 0.90, and 1.50 at 5.5 %, 0.0825: not three
/// times 0.0275, which would be 0.09.
#[test]
fn what_is_too_little_for_three_months_is_invoiced_once() {
    let reduced =
        "[[tax]]\nid = \"reduced\"\nname = \"VAT\"\nwhen = \"service = 'b'\"\ncategory = \"S\"\nrate = \"5.5\"\n";
    let world = world(&account("acme", "FR", ""), reduced);
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", format!("minimum_invoice_amount = \"5.00\"\n{config}"));
    let carried = ["document_kind", "brought_forward", "carried_forward", "total_with_tax"];
    let months = [("2026-10", "2026-11-02"), ("2026-11", "2026-12-02"), ("2026-12", "2027-01-02")];
    for (month, date) in months {
        deliver(&world, month, "p-acme", &["a 1.5", "b 0.5"]);
        done(&world, &["close", "--period", month, "--issue-date", date]);
    }
    assert_eq!(totals(&world, "DRAFT-2026-10-acme", carried), ["carried_forward", "0", "2", "0"]);
    assert_eq!(totals(&world, "DRAFT-2026-11-acme", carried), ["carried_forward", "2", "4", "0"]);
    assert_eq!(totals(&world, "INV-2027-00001", carried), ["invoice", "4", "0", "6.98"]);
    assert_eq!(totals(&world, "INV-2027-00001", SUMS), ["6", "0.98", "6.98", "6.98"]);
    for (month, _) in months {
        done(&world, &["audit", "--period", month]);
    }
}

/// 10.00 in each of four groups: at 20 %, at 5.5 %, at zero, and exempt. The voucher was sold with 5.5 % and pays
/// 4.00 of what is taxed so: 2.00 of tax, and 0.33 of 6.00. The deposit pays the 38.33 that are due with tax. The
/// gift of the other account is split over the groups, 2.50 each: 1.50 of tax and 0.41 of 7.50 (0.4125).
#[test]
fn credits_of_each_kind_meet_every_tax_group_as_they_should() {
    let tax = |id: &str, service: &str, category: &str| {
        format!("[[tax]]\nid = \"{id}\"\nname = \"VAT\"\nwhen = \"service = '{service}'\"\ncategory = {category}\n")
    };
    let terms = [
        tax("reduced", "b", "\"S\"\nrate = \"5.5\""),
        tax("zero", "c", "\"Z\""),
        tax("exempt", "d", "\"E\"\nexemption_reason = \"Art. 261-4\""),
        "[[credit]]\nid = \"voucher\"\naccount = \"acme\"\nkind = \"prepaid\"\ntaxed = \"at_sale\"\n\
         tax_rate = \"5.5\"\namount = \"4.00\"\n[[credit]]\nid = \"deposit\"\naccount = \"acme\"\nkind = \"prepaid\"\n\
         taxed = \"at_use\"\namount = \"100.00\"\n[[credit]]\nid = \"gift\"\naccount = \"other\"\n\
         kind = \"promotional\"\namount = \"10.00\"\n"
            .to_owned(),
    ];
    let world = world(&(account("acme", "FR", "") + &account("other", "FR", "")), &terms.concat());
    for project in ["p-acme", "p-other"] {
        deliver(&world, "2026-10", project, &["a 10", "b 10", "c 10", "d 10"]);
    }
    world.run("2026-10");
    assert_eq!(totals(&world, "DRAFT-2026-10-acme", SUMS), ["36", "2.33", "38.33", "0"]);
    assert_eq!(totals(&world, "DRAFT-2026-10-other", SUMS), ["30", "1.91", "31.91", "31.91"]);
    let expected = ["deposit: 0 + 100 - 38.33 - 0 = 61.67", "gift: 0 + 10 - 10 - 0 = 0", "voucher: 0 + 4 - 4 - 0 = 0"];
    assert_eq!(balances(&world, "2026-10"), expected);
    let groups: Vec<String> = world
        .rows("tax_breakdown")
        .iter()
        .map(|row| [&row["tax_category"], short(&row["tax_rate"]), short(&row["taxable_amount"])].join(" "))
        .collect();
    assert_eq!(groups, ["E 0 10", "S 5.5 6", "S 20 10", "Z 0 10", "E 0 7.5", "S 5.5 7.5", "S 20 7.5", "Z 0 7.5"]);
    done(&world, &["audit", "--period", "2026-10"]);
    // A draft is an accrual: pending until it is issued.
    let journal = || done(&world, &["export", "journal", "--period", "2026-10", "--format", "hledger"]);
    assert!(journal().contains("2026-10-31 ! (DRAFT-2026-10-acme) acme"), "{}", journal());
    done(&world, &["close", "--period", "2026-10", "--issue-date", "2026-11-02"]);
    assert!(journal().contains("2026-10-31 * (INV-2026-00001) acme") && !journal().contains(" ! "), "{}", journal());
}

/// The buyer owes the tax only where it is known to be a business: with a VAT id, and in the EU with what VIES said
/// of it. An export leaves the seller's country. Who lacks any of it is set aside, and all others have their
/// invoices.
#[test]
fn reverse_charge_and_exports_need_what_a_tax_office_asks_for() {
    let vies = |valid: bool| format!("vies = {{ valid = {valid}, checked_on = 2026-09-30 }}\n");
    let buyer =
        |id: &str, country: &str, more: &str| account(id, country, &format!("tax_profile = \"abroad\"\n{more}"));
    let accounts = [
        buyer("good", "DE", &format!("vat_id = \"DE123456789\"\n{}", vies(true))),
        buyer("swiss", "CH", "vat_id = \"CHE123456788\"\n"),
        buyer("nameless", "DE", ""),
        buyer("unchecked", "DE", "vat_id = \"DE123456789\"\n"),
        buyer("wrong", "DE", &format!("vat_id = \"DE123456789\"\n{}", vies(false))),
        account("home", "FR", "tax_profile = \"export\"\n"),
        account("overseas", "JP", "tax_profile = \"export\"\n"),
        account("outside", "FR", "tax_profile = \"outside\"\n"),
    ];
    let terms = "[[tax]]\nid = \"abroad\"\nprofile = \"abroad\"\nname = \"VAT\"\ncategory = \"AE\"\n\
                 [[tax]]\nid = \"export\"\nprofile = \"export\"\nname = \"VAT\"\ncategory = \"G\"\n\
                 [[tax]]\nid = \"outside\"\nprofile = \"outside\"\nname = \"VAT\"\ncategory = \"O\"\n";
    let world = world(&accounts.concat(), terms);
    for id in ["good", "swiss", "nameless", "unchecked", "wrong", "home", "overseas", "outside"] {
        deliver(&world, "2026-10", &format!("p-{id}"), &["a 10"]);
    }
    let summary = world.run("2026-10");
    let aside: BTreeMap<&str, &str> =
        summary.suspended_accounts.iter().map(|one| (one.account_id.as_str(), one.reason.as_str())).collect();
    let expected = [
        ("home", "no_export"),
        ("nameless", "no_vat_id"),
        ("unchecked", "vat_id_not_checked"),
        ("wrong", "vat_id_not_valid"),
    ];
    assert_eq!(aside, BTreeMap::from(expected));
    for id in ["good", "swiss", "overseas", "outside"] {
        assert_eq!(totals(&world, &format!("DRAFT-2026-10-{id}"), SUMS), ["10", "0", "10", "10"], "{id}");
    }
    let categories: Vec<String> = world.rows("tax_breakdown").iter().map(|row| row["tax_category"].clone()).collect();
    assert_eq!(categories, ["AE", "O", "G", "AE"], "of good, outside, overseas and swiss");
    let run = crate::crash::run(&world, &["run", "--period", "2026-10"]);
    assert_eq!(run.status.code(), Some(4), "{}", String::from_utf8_lossy(&run.stderr));
    done(&world, &["audit", "--period", "2026-10"]);
}

/// What we use ourselves is priced in francs, of which nobody published a rate: reports cannot add it up, and the run
/// says so. A rule in pounds that nothing reached is no reason for that.
#[test]
fn a_currency_without_a_rate_is_told_where_something_is_priced_in_it() {
    let world = world(&account("ours", "FR", "internal = true"), "");
    let rules = std::fs::read_to_string(world.path("rules/rules.toml")).unwrap();
    let francs = rules.replacen("unit_price = ", "currency = \"CHF\"\nunit_price = ", 1);
    let (before, last) = francs.rsplit_once("unit_price = ").unwrap();
    world.put("rules/rules.toml", format!("{before}currency = \"GBP\"\nunit_price = {last}"));
    deliver(&world, "2026-10", "p-ours", &["a 10"]);
    assert_eq!(world.run("2026-10").unconverted, ["CHF"]);
    let run = crate::crash::run(&world, &["run", "--period", "2026-10"]);
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(said.contains("there is no exchange rate of CHF") && !said.contains("GBP"), "{said}");
}
