//! What accountants do with a billed period: balances from month to month, the audit, journals in the hands of others.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::path::Path;
use std::process::{Command, Output};

use conto::model::money::Cost;

use crate::world::{World, assert_same_files, assert_same_text, without_index};

const OCTOBER: &str = "2026-10";
const NOVEMBER: &str = "2026-11";

fn sample() -> World {
    let world = World::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/accounts-and-terms"));
    let _ = std::fs::remove_dir_all(world.path("lake"));
    world
}

/// Hours of one project, as the sample's own usage has them.
fn hours(project: &str, at: &str, hours: &str) -> String {
    format!(
        "{{\"name\": \"instance.hours\", \"type\": \"delta\", \"unit\": \"h\", \"volume\": {hours}, \"project_id\": \
         \"{project}\", \"resource_id\": \"r\", \"timestamp\": \"{at}\", \"message_id\": \"{project}-{at}\"}}\n"
    )
}

fn conto(world: &World, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conto"));
    command.arg("--config").arg(world.path("conto.toml")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn cell(world: &World, relation: &str, key: (&str, &str), column: &str) -> Vec<String> {
    let rows = world.rows(relation).into_iter().filter(|row| row.get(key.0).map(String::as_str) == Some(key.1));
    rows.map(|row| row.get(column).cloned().unwrap_or_default()).collect()
}

/// 3.33 of October are too little and come with November: 3.33 + 30 h × 0.333 = 13.32, at 20 % 2.664, so 2.66. The
/// minimum spend of November is owed without any usage: 300.00. Credits that October used up have nothing left.
#[test]
fn balances_go_on_from_month_to_month() {
    let world = sample();
    world.run(OCTOBER);
    world.put("usage/november.jsonl", hours("atelier", "2026-11-05T10:00:00Z", "30"));
    let summary = world.run(NOVEMBER);
    assert_eq!((summary.invoices, summary.carried_forward), (2, 0));
    let of = |number: &str, column: &str| cell(&world, "invoice", ("invoice_number", number), column).concat();
    assert_eq!(of("DRAFT-2026-10-C-2005", "carried_forward"), "3.3300");
    assert_eq!(of("DRAFT-2026-11-C-2005", "brought_forward"), "3.3300");
    assert_eq!(of("DRAFT-2026-11-C-2005", "total_without_tax"), "13.3200");
    assert_eq!(of("DRAFT-2026-11-C-2005", "tax_amount"), "2.6600");
    assert_eq!(of("DRAFT-2026-11-C-2002", "total_without_tax"), "300.0000");
    assert_eq!(cell(&world, "credit_balance", ("credit_id", "welcome"), "closing_balance"), ["0.0000", "0.0000"]);
    for period in [OCTOBER, NOVEMBER] {
        let audit = conto(&world, &["audit", "--period", period]);
        assert_eq!(audit.status.code(), Some(0), "{}{}", text(&audit.stdout), text(&audit.stderr));
    }

    // Late usage makes October's document large enough after all. November was billed on what October said before.
    world.put("usage/late.jsonl", hours("atelier", "2026-10-30T10:00:00Z", "20"));
    world.run(OCTOBER);
    let audit = conto(&world, &["audit", "--period", NOVEMBER]);
    assert_eq!(audit.status.code(), Some(3), "{}", text(&audit.stdout));
    assert!(text(&audit.stderr).contains("brought forward: -3.33 EUR are missing"), "{}", text(&audit.stderr));
    world.run(NOVEMBER);
    assert_eq!(conto(&world, &["audit", "--period", NOVEMBER]).status.code(), Some(0));
}

#[test]
fn an_audit_finds_a_file_that_is_not_what_it_was() {
    let world = sample();
    world.run(OCTOBER);
    let name = world.files("lake/data/invoice_line").into_keys().next().unwrap();
    let path = world.path(&format!("lake/data/invoice_line/{name}"));
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let audit = conto(&world, &["audit", "--period", OCTOBER]);
    assert_eq!(audit.status.code(), Some(3), "{}", text(&audit.stderr));
}

#[test]
fn a_period_that_was_never_billed_has_no_books() {
    let world = sample();
    for command in [&["audit"][..], &["export", "journal"], &["export", "ec-sales"]] {
        let said = conto(&world, &[command, &["--period", "2026-12"]].concat());
        assert_eq!(said.status.code(), Some(2));
        assert!(text(&said.stderr).contains("2026-12 was never billed"), "{}", text(&said.stderr));
    }
}

/// Accounts, terms and usage in another order are the same documents.
#[test]
fn nothing_depends_on_the_order_in_which_things_are_written() {
    let world = sample();
    world.run(OCTOBER);
    let documents = world.documents(OCTOBER);
    let other = sample();
    for name in ["accounts.toml", "rating-rules/terms.toml", "rating-rules/prices.toml"] {
        let text = std::fs::read_to_string(other.path(name)).unwrap();
        let mut parts: Vec<&str> = text.split("\n[[rule]]").collect();
        let separator = if parts.len() > 1 { "\n[[rule]]" } else { "\n[[" };
        if parts.len() == 1 {
            parts = text.split("\n[[").collect();
        }
        let head = parts.remove(0).to_owned();
        parts.reverse();
        other.put(name, format!("{head}{separator}{}\n", parts.join(&format!("\n{separator}"))));
    }
    let usage = std::fs::read_to_string(other.path("usage/october.jsonl")).unwrap();
    let mut lines: Vec<&str> = usage.lines().collect();
    lines.reverse();
    other.remove("usage/october.jsonl");
    for (number, part) in lines.chunks(3).enumerate() {
        other.put(&format!("usage/part-{number}.jsonl"), part.join("\n"));
    }
    other.run(OCTOBER);
    let found = other.documents(OCTOBER);
    for name in ["invoices.csv", "invoice_lines.csv", "allowances.csv", "usage.csv"] {
        assert_same_text(&documents[name], &found[name], name);
    }
}

/// The engine has as many threads as it is given processors: one, and as many as there are, make the same bytes.
#[test]
fn nothing_depends_on_the_number_of_threads() {
    let all = sample();
    // Where a rule stands is told by its path, so both are called from where it is.
    let run = |world: &World, program: &mut Command| {
        program.args(["run", "--period", OCTOBER]).current_dir(world.path("")).output()
    };
    let program = env!("CARGO_BIN_EXE_conto");
    assert_eq!(run(&all, &mut Command::new(program)).unwrap().status.code(), Some(4));
    let one = sample();
    match run(&one, Command::new("taskset").args(["-c", "0"]).arg(program)) {
        Ok(output) if output.status.code() == Some(4) => {
            assert_same_files(&all.results(), &one.results(), "on one processor");
            let pages = |world: &World| without_index(world.documents(OCTOBER));
            assert_same_files(&pages(&all), &pages(&one), "on one processor");
        }
        _ => println!("skipped: `taskset` is not installed, or gives no processor"),
    }
}

/// The journal in the programs that it is for. What is not installed is skipped, and says so.
#[test]
fn journals_stand_the_check_of_their_programs() {
    let world = sample();
    world.run(OCTOBER);
    for (format, program, arguments) in [
        ("hledger", "hledger", &["check", "-s", "ordereddates", "payees", "-f"][..]),
        ("beancount", "bean-check", &[][..]),
    ] {
        let journal = conto(&world, &["export", "journal", "--period", OCTOBER, "--format", format]);
        assert_eq!(journal.status.code(), Some(0), "{}", text(&journal.stderr));
        assert!(text(&journal.stdout).contains("211.62 EUR"), "{}", text(&journal.stdout));
        let name = format!("journal.{format}");
        world.put(&name, &journal.stdout);
        let check = |name: &str| Command::new(program).args(arguments).arg(world.path(name)).output();
        let Ok(output) = check(&name) else {
            println!("skipped: `{program}` is not installed, and the journal's own check is its");
            continue;
        };
        assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
        // And the check can fail: a cent is missing.
        world.put(&name, text(&journal.stdout).replacen("211.62 EUR", "211.61 EUR", 1));
        assert!(!check(&name).unwrap().status.success(), "{program} passes a journal that lacks a cent");
    }
    let csv = text(&conto(&world, &["export", "journal", "--period", OCTOBER]).stdout);
    assert!(
        csv.contains("2026-10-31,DRAFT-2026-10-C-2004,1,draft,C-2004,Assets:Receivable,C-2004,40500,,JPY"),
        "{csv}"
    );
    let list = text(&conto(&world, &["export", "ec-sales", "--period", OCTOBER]).stdout);
    assert_eq!(list.lines().nth(1), Some("DE,DE123456789,3,1,171.11,EUR"));
}

/// A project moves on 15 October at noon in Paris, 10:00 UTC. What it used before, 20 + 10 hours, is 9.99 or in dollars
/// 10.989, so 10.99; what it used from then on, 745 hours, is 248.085, so 248.09. Nothing is lost or counted twice.
#[test]
fn a_project_moves_between_accounts_at_an_instant() {
    let world = sample();
    let accounts = std::fs::read_to_string(world.path("accounts.toml")).unwrap();
    let moving = |from: &str| {
        accounts
            .replace(
                "[{ id = \"cascade\", name = \"simulation\" }]",
                &format!("[{{ id = \"cascade\", valid_to = {from} }}]"),
            )
            .replace("[{ id = \"atelier\" }]", &format!("[\"atelier\", {{ id = \"cascade\", valid_from = {from} }}]"))
    };
    let more = [("2026-10-02T10:00:00Z", "20"), ("2026-10-15T09:59:59Z", "10")];
    world.put("usage/more.jsonl", more.map(|(at, count)| hours("cascade", at, count)).concat());
    world.put("accounts.toml", moving("2026-10-15T12:00:00+02:00"));
    let aside: Vec<String> =
        world.run(OCTOBER).suspended_accounts.into_iter().map(|account| account.account_id).collect();
    assert_eq!(aside, ["C-2006", "C-2007"]);
    let net = |account: &str| cell(&world, "invoice_line", ("account_id", account), "net_amount");
    assert_eq!((net("C-2003"), net("C-2005")), (vec!["10.9900".to_owned()], vec!["3.3300".into(), "248.0900".into()]));
    let documents = world.documents(OCTOBER);
    for report in ["C-2003/usage-cascade.html", "C-2005/usage-cascade.html"] {
        assert!(documents.contains_key(report), "{report}");
    }
    let audit = conto(&world, &["audit", "--period", OCTOBER]);
    assert_eq!(audit.status.code(), Some(0), "{}{}", text(&audit.stdout), text(&audit.stderr));
    let before = text(&conto(&world, &["explain", "DRAFT-2026-10-C-2003/1"]).stdout);
    assert!(before.contains("2026-10-15T09:00:00Z") && !before.contains("2026-10-15T10:00:00Z"), "{before}");
    let after = text(&conto(&world, &["explain", "DRAFT-2026-10-C-2005/2"]).stdout);
    assert!(!after.contains("2026-10-15T09:00:00Z") && after.contains("2026-10-15T10:00:00Z"), "{after}");

    // A window is of the account that the project is of when the window begins.
    world.put("accounts.toml", moving("2026-10-15T12:30:00+02:00"));
    world.run(OCTOBER);
    assert_eq!(net("C-2005"), ["3.3300", "-3.3300"], "too little for an invoice of its own");
    // At the edge of a month it just moves.
    world.put("accounts.toml", moving("2026-10-01"));
    assert_eq!(world.run(OCTOBER).suspended_accounts.len(), 2);
    let of = |account: &str| cell(&world, "invoice_line", ("account_id", account), "project_id");
    assert_eq!((of("C-2003").len(), of("C-2005")), (0, vec!["atelier".to_owned(), "cascade".to_owned()]));
    // In a time in which nobody has it, a project pays for itself: 10 + 745 hours are 251.415.
    world.put("accounts.toml", moving("2026-10-20").replace("valid_to = 2026-10-20", "valid_to = 2026-10-15"));
    world.run(OCTOBER);
    assert_eq!(cell(&world, "invoice_line", ("account_id", "cascade"), "net_amount"), ["251.4200"]);
    assert_eq!(conto(&world, &["audit", "--period", OCTOBER]).status.code(), Some(0));
}

/// The sample's page works the amounts out. Each seller has numbers of its own, our journal only what we sell.
#[test]
fn a_reseller_sells_under_its_own_name_and_numbers() {
    let world = World::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/reseller"));
    let _ = std::fs::remove_dir_all(world.path("lake"));
    let accounts = std::fs::read_to_string(world.path("accounts.toml")).unwrap();
    let vat_id = "vat_id = \"FR78000000701\"\n";
    world.put("accounts.toml", accounts.replacen("country = \"FR\"\n", "", 1));
    let aside: Vec<String> = world.run(OCTOBER).suspended_accounts.into_iter().map(|account| account.reason).collect();
    assert_eq!(aside, ["reseller_set_aside", "reseller_set_aside", "no_country"]);
    world.put("accounts.toml", accounts.replacen("parent = \"R-1\"", "parent = \"R-1\"\ncurrency = \"USD\"", 1));
    let aside: Vec<String> = world.run(OCTOBER).suspended_accounts.into_iter().map(|account| account.reason).collect();
    assert_eq!(aside, ["reseller_currency"]);
    let unsold = text(&world.documents(OCTOBER)["margins.csv"]);
    assert!(
        unsold.contains("R-1,K-1,phare-shop,,0,,,On no line of the customer,,0,,0.00,56.58,-56.58,EUR"),
        "{unsold}"
    );

    world.put("accounts.toml", accounts.replacen("cards = [", "payment_days = 30\ncards = [", 1));
    let summary = world.run(OCTOBER);
    assert_eq!((summary.invoices, summary.retail[0].invoices), (2, 2));
    let audit = conto(&world, &["audit", "--period", OCTOBER]);
    assert_eq!(audit.status.code(), Some(0), "{}", text(&audit.stderr));
    let wholesale = text(&conto(&world, &["explain", "DRAFT-2026-10-R-1/5"]).stdout);
    assert!(wholesale.contains("rule instance-wholesale at") && wholesale.contains("52.08"), "{wholesale}");
    let retail = text(&conto(&world, &["explain", "DRAFT-2026-10-K-1/1"]).stdout);
    assert!(retail.contains("rule instance at") && retail.contains("2026-10-05T10:00:00Z"), "{retail}");
    let page = text(&world.documents(OCTOBER)["K-1/DRAFT-2026-10-K-1.html"]);
    assert!(page.contains("Goémon Informatique SARL") && page.contains("FR78000000701"), "{page}");
    assert!(!page.contains("Brume Cloud SAS"), "{page}");
    let closed = conto(&world, &["close", "--period", OCTOBER, "--issue-date", "2026-11-02"]);
    assert_eq!(closed.status.code(), Some(0), "{}", text(&closed.stderr));
    let due = |name: &str| text(&world.documents(OCTOBER)[name]).contains("\"due_date\": \"2026-12-02\"");
    assert!(due("R-1/INV-2026-00002.json") && !due("C-3/INV-2026-00001.json"), "thirty days after the issue");
    let mut numbers: Vec<(String, String)> = world
        .rows("issued_document")
        .into_iter()
        .map(|row| (row["document_number"].clone(), row["seller"].clone()))
        .collect();
    numbers.sort();
    let (ours, theirs) = ("FR02000000417".to_owned(), vat_id[10..23].to_owned());
    assert_eq!(
        numbers,
        [
            ("INV-2026-00001".to_owned(), ours.clone()),
            ("INV-2026-00002".to_owned(), ours),
            ("INV-R-1-2026-00001".to_owned(), theirs.clone()),
            ("INV-R-1-2026-00002".to_owned(), theirs)
        ]
    );
    let journal = text(&conto(&world, &["export", "journal", "--period", OCTOBER]).stdout);
    assert!(journal.contains("INV-2026-00002") && !journal.contains("INV-R-1-"), "{journal}");
    assert_eq!(conto(&world, &["verify"]).status.code(), Some(0));
}

/// A brand of the seller sells on under the same VAT id: its numbers are its own all the same, and each series is
/// without a gap.
#[test]
fn a_reseller_with_the_vat_id_of_the_seller_has_numbers_of_its_own() {
    let world = World::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/reseller"));
    let _ = std::fs::remove_dir_all(world.path("lake"));
    let accounts = std::fs::read_to_string(world.path("accounts.toml")).unwrap();
    world.put("accounts.toml", accounts.replacen("FR78000000701", "FR02000000417", 1));
    for (period, date) in [(OCTOBER, "2026-11-02"), ("2026-11", "2026-12-01")] {
        let closed = conto(&world, &["close", "--period", period, "--issue-date", date, "--force"]);
        assert_eq!(closed.status.code(), Some(0), "{}", text(&closed.stderr));
        let october = std::fs::read_to_string(world.path("usage/october.jsonl")).unwrap();
        world.put("usage/november.jsonl", october.replace("2026-10-", "2026-11-"));
    }
    let mut numbers: Vec<String> =
        world.rows("issued_document").iter().map(|row| row["document_number"].clone()).collect();
    numbers.sort();
    let sold = numbers.iter().filter(|number| number.contains("R-1")).count();
    let expected = (1..=sold).map(|number| format!("INV-R-1-2026-{number:05}"));
    let own = (1..=numbers.len() - sold).map(|number| format!("INV-2026-{number:05}"));
    assert!(sold >= 4, "{numbers:?}");
    assert_eq!(numbers, own.chain(expected).collect::<Vec<_>>());
    assert_eq!(conto(&world, &["verify"]).status.code(), Some(0));
}

/// Line 2 of C-2001: 233.10, of which the discounts take 23.31 and 10.49, and the credit 45.07 (by the largest
/// remainder, as the sample's page works out): 154.23 are left. In dollars the cost is told in euros, with the rate.
#[test]
fn a_line_is_explained_through_its_discounts_and_its_rate() {
    let world = sample();
    world.run(OCTOBER);
    let said = text(&conto(&world, &["explain", "DRAFT-2026-10-C-2001/2"]).stdout);
    for sentence in [
        "700 hour at 0.333 EUR: 233.10 EUR, rounded to 233.10",
        ": 10 % of 258.08 are 25.81 on the invoice",
        "less 23.31: Volume discount (volume at ",
        ": 5 % of 223.28 are 11.16 on the invoice",
        "less 10.49: Framework agreement on Compute (framework at ",
        ": 50.00 off 221.11 on the invoice",
        "less 45.07: Welcome credit (welcome at ",
        "leaves 154.23 EUR, taxed as VAT AE 0 %, Reverse charge, Art. 196 Directive 2006/112/EC",
        "rule instance at ",
    ] {
        assert!(said.contains(sentence), "{sentence}\n{said}");
    }
    let said = text(&conto(&world, &["explain", "DRAFT-2026-10-C-2003/1"]).stdout);
    let rate = "248.085 EUR, at 1 EUR = 1.1 USD of 2026-10-30 rounded to 272.89 USD";
    assert!(said.contains(rate), "{said}");
    let said = text(&conto(&world, &["explain", "DRAFT-2026-10-C-2002/3"]).stdout);
    assert!(said.contains("Minimum spend\ntop up: 51.91 EUR\nasked for by segur-minimum at "), "{said}");
    assert!(said.contains(", 300.00 EUR of usage in each period when service = 'Compute'"), "{said}");
    let said = text(&conto(&world, &["explain", "DRAFT-2026-10-C-2002"]).stdout);
    for sentence in [
        "lines come to 329.97 EUR\nless 100.00 (Voucher, taxed when sold, off 300.00), of TVA S 20 %: segur-voucher at",
        "without tax 229.97 EUR\nplus 1.65 (TVA S 5.5 % on 29.97)\nplus 40.00 (TVA S 20 % on 200.00)\n",
        "with tax 271.62 EUR\nless 60.00 paid before (Deposit): segur-deposit at ",
        "due 211.62 EUR",
    ] {
        assert!(said.contains(sentence), "{sentence}\n{said}");
    }
}

/// The shop moves from K-1 to K-2 on the 15th. Both customers and the reseller pay a plan for each project, and the
/// reseller a backup besides, which it sells to nobody. Whatever line a cost stands on, the margins add up to the
/// documents: what the customers are invoiced without tax, and what the reseller owes for their projects, to the last
/// of eighteen places.
#[test]
fn margins_add_up_to_what_was_invoiced() {
    let world = World::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/reseller"));
    let _ = std::fs::remove_dir_all(world.path("lake"));
    let accounts = std::fs::read_to_string(world.path("accounts.toml")).unwrap();
    let (shop, other) = ("{ id = \"phare-shop\", name = \"shop\" }", "projects = [{ id = \"kerlouan-cad\"");
    assert!(accounts.contains(shop) && accounts.contains(other));
    let until = "{ id = \"phare-shop\", valid_to = 2026-10-15 }";
    let from = "projects = [{ id = \"phare-shop\", valid_from = 2026-10-15 }, { id = \"kerlouan-cad\"";
    world.put("accounts.toml", accounts.replace(shop, until).replace(other, from));
    let plan = |id: &str, sku: &str, more: &str| {
        format!("[[recurring]]\nid = \"{id}\"\nsku = \"{sku}\"\nper = \"project\"\n{more}\n")
    };
    let plans = [
        plan("plan", "PLAN", "accounts = [\"K-1\", \"K-2\"]\nunit_price = \"12.40\""),
        plan("plan-wholesale", "PLAN", "accounts = [\"R-1\"]\nunit_price = \"7.13\""),
        plan("backup", "BACKUP", "accounts = [\"R-1\"]\nunit_price = \"0.31\""),
    ];
    world.put("rating-rules/plans.toml", plans.concat());
    let usage = std::fs::read_to_string(world.path("usage/october.jsonl")).unwrap();
    let again = |line: &str| {
        let later = line.replace("2026-10-05T", "2026-10-25T");
        later.replace("\"message_id\": \"", "\"message_id\": \"later-") + "\n"
    };
    world.put(
        "usage/later.jsonl",
        usage.lines().filter(|line| line.contains("phare-shop")).map(again).collect::<String>(),
    );
    let summary = world.run(OCTOBER);
    assert_eq!((summary.invoices, summary.retail[0].invoices), (2, 2));

    let margins = text(&world.documents(OCTOBER)["margins.csv"]);
    let rows: Vec<Vec<&str>> = margins.lines().map(|line| line.split(',').collect()).collect();
    let column = |name: &str| rows[0].iter().position(|column| *column == name).unwrap();
    let units = |text: &str| Cost::parse_exact(text).unwrap().units();
    let sum = |name: &str| -> i128 { rows[1..].iter().map(|row| units(row[column(name)])).sum() };
    let of = |relation: &str, key: &str, values: &[&str], column: &str| -> i128 {
        let all = values.iter().flat_map(|value| cell(&world, relation, (key, value), column));
        all.map(|text| units(&text)).sum()
    };
    let wholesale = of("invoice_line", "account_id", &["R-1"], "contracted_cost");
    let own = of("invoice_line", "project_id", &["goemon-office"], "contracted_cost");
    assert_eq!(sum("net_amount"), of("invoice", "account_id", &["K-1", "K-2"], "total_without_tax"));
    assert_eq!(sum("wholesale_cost"), wholesale - own);
    assert_eq!(sum("margin"), sum("net_amount") - sum("wholesale_cost"));
    // Of the moved project 14 and 17 days of 31: of 7.13 they are 3.22 and 3.91, of 0.31 0.14 and 0.17, on no line.
    let of_sku = |wanted: &str| -> Vec<&str> {
        let rows = rows.iter().filter(|row| row[column("sku")] == wanted);
        rows.map(|row| row[column("wholesale_cost")]).collect()
    };
    assert_eq!((of_sku("PLAN"), of_sku("")), (vec!["3.22", "7.13", "3.91"], vec!["0.14", "0.31", "0.17"]), "{margins}");
}

/// Ten hours of K-1 come after the close: 1.00 more for the customer and 0.70 more for its reseller, each on a document
/// of its own seller. In the margins all of K-1's hours are behind its first line: (744 + 10) × 0.07 = 52.78.
#[test]
fn late_usage_of_a_resellers_customer_is_corrected_for_both() {
    let world = World::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/reseller"));
    let _ = std::fs::remove_dir_all(world.path("lake"));
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", config + "\n[closing]\nincreases = \"document\"\n");
    let close = |date: &str| {
        let closed = conto(&world, &["close", "--period", OCTOBER, "--issue-date", date]);
        assert_eq!(closed.status.code(), Some(0), "{}", text(&closed.stderr));
    };
    close("2026-11-02");
    let usage = world.files("usage").into_iter().next().unwrap();
    let late = text(&usage.1).lines().find(|line| line.contains("744")).unwrap().to_owned();
    let late = late.replace("\"744\"", "\"10\"").replace("2026-10-05T", "2026-10-06T");
    world.put("usage/late.jsonl", late.replace("\"message_id\": \"", "\"message_id\": \"late-"));
    close("2026-11-10");
    let net = |number: &str| cell(&world, "invoice", ("invoice_number", number), "total_without_tax");
    assert_eq!((net("INV-2026-00003"), net("INV-R-1-2026-00003")), (vec!["0.7000".into()], vec!["1.0000".into()]));
    let margins = text(&world.documents(OCTOBER)["margins.csv"]);
    for row in [",74.40,52.78,21.62,EUR", ",1.00,0.00,1.00,EUR"] {
        assert!(margins.lines().any(|line| line.starts_with("R-1,K-1,") && line.ends_with(row)), "{row}\n{margins}");
    }
    let audit = conto(&world, &["audit", "--period", OCTOBER]);
    assert_eq!(audit.status.code(), Some(0), "{}{}", text(&audit.stdout), text(&audit.stderr));
    assert_eq!(conto(&world, &["verify"]).status.code(), Some(0));
}
