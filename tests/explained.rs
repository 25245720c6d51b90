//! Every line of every document of every sample, asked of `conto explain`: it names what is behind it, and the amounts
//! that it names add up to the line, and the lines to what is due.

use std::path::{Path, PathBuf};
use std::process::Command;

use conto::model::money::{Amount, Cost, Decimal, Quantity, UnitPrice};
use serde_json::Value;

use crate::world::World;

fn conto(world: &World, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conto"));
    let output = command.args(arguments).current_dir(world.path("")).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("`{name}` is no text in {value:#}"))
}

fn number<const SCALE: u32>(value: &Value, name: &str) -> Decimal<SCALE> {
    Decimal::parse_exact(text(value, name)).unwrap()
}

fn all<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn sum<const SCALE: u32>(values: impl Iterator<Item = Decimal<SCALE>>) -> Decimal<SCALE> {
    values.fold(Decimal::ZERO, |sum, value| sum.checked_add(value).unwrap())
}

fn places(line: &Value) -> u32 {
    u32::from(iso_currency::Currency::from_code(text(line, "currency")).unwrap().exponent().unwrap())
}

/// A cost at the rate that the line tells: `1 EUR = 1.1 USD of 2026-10-30`.
fn rounded(cost: Cost, line: &Value) -> Amount {
    let (mut numerator, mut denominator) = (1, 1);
    if let Some(exchange) = line["exchange"].as_str() {
        let words: Vec<&str> = exchange.split(' ').collect();
        let ["1", base, "=", rate, _, "of", _] = words[..] else { panic!("{exchange}") };
        let rate = UnitPrice::parse_exact(rate).unwrap().units();
        let one = UnitPrice::from_integer(1).units();
        (numerator, denominator) = if base == text(line, "price_currency") { (rate, one) } else { (one, rate) };
    }
    let converted = cost.scaled(numerator, denominator, places(line)).unwrap();
    Amount::from_units(converted.units() / 10i128.pow(14))
}

/// One line: what its kind asks for is named, and adds up. Gives what its discounts and credits leave.
fn check(line: &Value, lake: &World) -> Amount {
    let net: Amount = number(line, "net_amount");
    let kind = text(line, "charge_kind");
    let category = text(line, "charge_category");
    let of_places = all(line, "rules").chain(all(line, "fees"));
    let places_named: Vec<&str> = of_places.map(|one| text(one, "place")).collect();
    let issued: Vec<&Value> = all(line, "issued").collect();
    match (category, kind) {
        ("Usage", _) => {
            let cost: Cost = number(line, "contracted_cost");
            let named: Cost = sum(all(line, "resources").map(|one| number(one, "cost")));
            if issued.is_empty() {
                assert!(!places_named.is_empty(), "no rule: {line:#}");
                assert_eq!(named, cost, "{line:#}");
                assert_eq!(rounded(cost, line), net, "{line:#}");
                let used: Quantity = sum(all(line, "resources").map(|one| number(one, "quantity")));
                if !text(line, "unit").is_empty() {
                    assert_eq!(used, number(line, "quantity"), "{line:#}");
                }
                assert!(all(line, "files").next().is_some() && line["window_count"] != 0, "{line:#}");
            } else {
                // What the documents of a closed month have of it is what its usage comes to.
                let due: Amount = sum(issued.iter().map(|one| number(one, "net_amount")));
                assert_eq!(rounded(named, line), due, "{line:#}");
                // Where nothing is due any more, no rule of today asks for it.
                assert!(!places_named.is_empty() || due.is_zero(), "no rule: {line:#}");
                let own = issued.iter().find(|one| one["invoice"] == line["invoice"] && one["line"] == line["line"]);
                assert_eq!(number::<4>(own.unwrap(), "net_amount"), net, "{line:#}");
            }
        }
        ("Purchase", "percent") => {
            let percent: UnitPrice = number(line, "unit_price");
            let base: Quantity = number(line, "quantity");
            let whole = UnitPrice::from_integer(100).units();
            let amount = Amount::from_units(base.units() / 100_000).scaled(percent.units(), whole, places(line));
            assert_eq!(amount, Some(net), "{line:#}");
            assert!(text(&line["asked_by"], "place").contains(".toml:"), "{line:#}");
        }
        ("Purchase", "top_up" | "overage" | "minimum") if text(line, "component") != "standing" => {
            assert!(text(&line["asked_by"], "place").contains(".toml:"), "{line:#}");
        }
        ("Purchase", _) => {
            assert!(!places_named.is_empty(), "no fee: {line:#}");
            let named: Cost = sum(all(line, "fees").map(|one| number(one, "cost")));
            assert_eq!((named, rounded(named, line)), (number(line, "contracted_cost"), net), "{line:#}");
        }
        ("Adjustment", "carried_forward") => assert!(net <= Amount::ZERO, "{line:#}"),
        ("Adjustment", _) => {
            // The document that left it has it, line by line or as a sum.
            let from = text(&line["origin"], "carried_from");
            let (code, said, error) = conto(lake, &["explain", "--json", from]);
            assert_eq!(code, Some(0), "{error}");
            let said: Value = serde_json::from_str(&said).unwrap();
            let of_lines = all(&said, "lines").filter(|one| text(one, "charge_kind") != "carried_forward");
            let nets: Vec<Amount> = of_lines.map(|one| number(one, "net_amount")).collect();
            assert!(nets.contains(&net) || sum(nets.iter().copied()) == net, "{line:#}\n{said:#}");
        }
        other => panic!("{other:?} is no kind of line: {line:#}"),
    }
    let shares: Amount = sum(all(line, "allowances").map(|one| number(one, "share_of_line")));
    for allowance in all(line, "allowances") {
        assert!(text(&allowance["asked_by"], "place").contains(".toml:"), "{allowance:#}");
    }
    let left: Amount = number(line, "remaining_amount");
    assert_eq!(net.checked_sub(shares), Some(left), "{line:#}");
    left
}

/// One document: its lines, and how they become what is due.
fn check_document(world: &World, number_of: &str) {
    let (code, said, error) = conto(world, &["explain", "--json", number_of]);
    assert_eq!(code, Some(0), "{number_of}: {error}");
    let said: Value = serde_json::from_str(&said).unwrap();
    let mut left = Amount::ZERO;
    let mut net = Amount::ZERO;
    let mut has_corrections = false;
    for line in all(&said, "lines") {
        let (code, alone, error) = conto(world, &["explain", "--json", &format!("{number_of}/{}", line["line"])]);
        assert_eq!(code, Some(0), "{number_of}: {error}");
        let alone: Value = serde_json::from_str(&alone).unwrap();
        left = left.checked_add(check(&alone["lines"][0], world)).unwrap();
        net = net.checked_add(number(line, "net_amount")).unwrap();
        has_corrections |= line["origin"]["corrected_period"].is_string();
    }
    let sums = &said["sums"];
    assert_eq!(number::<4>(sums, "line_total"), net, "{said:#}");
    let taken_off: Amount = sum(all(sums, "allowances").map(|one| number(one, "amount")));
    let without_tax: Amount = number(sums, "total_without_tax");
    assert_eq!(net.checked_sub(taken_off), Some(without_tax), "{said:#}");
    // What discounts change by is no part of single lines where they correct a closed month.
    assert!(has_corrections || left == without_tax, "{said:#}");
    let tax: Amount = sum(all(sums, "taxes").map(|one| number(one, "tax_amount")));
    assert_eq!(without_tax.checked_add(tax), Some(number(sums, "total_with_tax")), "{said:#}");
    let paid: Amount = sum(all(sums, "prepayments").map(|one| number(one, "amount")));
    let due = number::<4>(sums, "total_with_tax").checked_sub(paid);
    assert_eq!(due, Some(number(sums, "amount_due")), "{said:#}");
    for one in all(sums, "allowances").chain(all(sums, "prepayments")) {
        assert!(text(&one["asked_by"], "place").contains(".toml:"), "{one:#}");
    }
}

fn check_all(world: &World) -> Vec<String> {
    let mut kinds = Vec::new();
    for row in world.rows("invoice") {
        check_document(world, &row["invoice_number"]);
    }
    for row in world.rows("invoice_line") {
        let kind = row.get("charge_kind").map_or("", String::as_str);
        kinds.push(format!("{} {kind}", row["charge_category"]));
        kinds.push(format!("{} {} {kind}", row["component"], row["charge_category"]));
    }
    kinds.extend(world.rows("allowance").iter().map(|row| format!("allowance {}", row["kind"])));
    kinds.sort();
    kinds.dedup();
    kinds
}

fn sample(name: &str) -> World {
    let world = World::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("samples").join(name));
    let _ = std::fs::remove_dir_all(world.path("lake"));
    world
}

#[test]
fn every_line_of_every_sample_is_explained() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let samples: Vec<PathBuf> = entries.filter(|path| path.join("expected/usage.csv").is_file()).collect();
    assert!(samples.len() > 3, "the samples are not where they were");
    for path in samples {
        let name = path.file_name().unwrap().to_str().unwrap();
        let world = sample(name);
        let (code, _, error) = conto(&world, &["run", "--period", "2026-10"]);
        assert!(matches!(code, Some(0 | 4)), "{name}: {error}");
        check_all(&world);
    }
}

/// What is due for a closed month, on an invoice of the next one and on documents of its own.
#[test]
fn corrections_are_explained_too() {
    let world = sample("late-usage");
    let story = std::fs::read_to_string(world.path("story.txt")).unwrap();
    for step in story.lines().filter(|line| !line.starts_with('#')) {
        match step.split_whitespace().collect::<Vec<_>>()[..] {
            ["copy", from, to] => world.put(to, std::fs::read(world.path(from)).unwrap()),
            ["conto", "audit" | "verify", ..] | ["expect", ..] => {}
            _ => {
                let step = step.replacen("conto", "\"$CONTO\"", 1);
                let mut shell = Command::new("sh");
                let shell = shell.args(["-c", &step]).env("CONTO", env!("CARGO_BIN_EXE_conto"));
                assert!(shell.current_dir(world.path("")).output().unwrap().status.success(), "{step}");
                check_all(&world);
            }
        }
    }
}

/// The kinds that no sample has: a minimum of a fee, what a commitment makes dearer and cheaper, a reservation, a
/// standing minimum, what an earlier month left.
#[test]
fn rare_kinds_are_explained_too() {
    let world = sample("accounts-and-terms");
    let terms = std::fs::read_to_string(world.path("rating-rules/terms.toml")).unwrap();
    let more = "[[fee]]\nid = \"support\"\ndescription = \"Support\"\nper = \"account\"\naccounts = [\"C-2001\"]\n\
         base = \"after_discounts\"\nminimum = \"40\"\n\
         tier = [{ up_to = \"100\", percent = \"5\" }, { percent = \"2\" }]\n\
         [[commitment]]\nid = \"dearer\"\ndescription = \"Base load\"\naccount = \"C-2003\"\namount = \"100\"\n\
         overage_factor = \"1.5\"\n\
         [[commitment]]\nid = \"cheaper\"\ndescription = \"Base load\"\naccount = \"C-2004\"\namount = \"100\"\n\
         overage_factor = \"0.8\"\n\
         [[reservation]]\nid = \"held\"\naccount = \"C-2003\"\nmeter = \"instance\"\nquantity = \"1\"\n\
         unit_price = \"0.2\"\n\
         [[rule]]\nid = \"idle\"\nmeter = \"book\"\nwhen = \"account_id = 'C-2001'\"\npriority = 5\nsku = \"IDLE\"\n\
         service = \"Print\"\nunit_price = \"0\"\nminimum = \"3\"\nminimum_at_zero = true\nper = \"account\"\n";
    world.put("rating-rules/terms.toml", terms + more);
    world.run("2026-10");
    world.run("2026-11");
    let kinds = check_all(&world);
    for kind in [
        "Adjustment brought_forward",
        "Adjustment carried_forward",
        "Purchase minimum",
        "fee Purchase minimum",
        "allowance overage",
        "Purchase overage",
        "Purchase percent",
        "Purchase reservation",
        "Purchase top_up",
        "Usage reserved",
        "Usage usage",
    ] {
        assert!(kinds.iter().any(|known| known == kind), "no {kind} among {kinds:?}");
    }
}
