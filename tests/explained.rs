//! Tests `conto explain` on every line of all documents of all samples. The output names the rules, fees, resources and
//! files of the line. Their amounts add up to the line, and the lines add up to the amount due.

use std::path::{Path, PathBuf};
use std::process::Command;

use conto::model::money::{Amount, Cost, DecimalNumber, Quantity, UnitPrice};
use serde_json::Value;

use crate::test_lake::TestLake;

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("`{name}` is not a text in {value:#}"))
}

fn number<N: DecimalNumber>(value: &Value, name: &str) -> N {
    N::parse(text(value, name)).unwrap()
}

fn all<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn sum<N: DecimalNumber>(values: impl Iterator<Item = N>) -> N {
    N::try_from_units(values.map(N::to_units).sum()).unwrap()
}

fn places(line: &Value) -> u32 {
    u32::from(iso_currency::Currency::from_code(text(line, "currency")).unwrap().exponent().unwrap())
}

/// A cost converted at the exchange rate of the line, such as `1 EUR = 1.1 USD of 2026-10-30`, and rounded.
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
    Amount::of_decimal(converted).unwrap()
}

/// Checks the prices of a line. The price before factors, multiplied by all factors, equals the unit price of the line.
/// A minimum or maximum names its limit, and covered usage names its commitment.
fn check_prices(line: &Value) {
    let kind = text(line, "charge_kind");
    let indices: Vec<u64> = all(line, "resources").map(|one| one["price"].as_u64().unwrap()).collect();
    for (index, price) in all(line, "prices").enumerate() {
        assert!(indices.contains(&(index as u64)), "a price without usage: {line:#}");
        assert!(text(price, "place").contains(".toml:"), "{price:#}");
        let one = UnitPrice::from_integer(1);
        let factors = all(price, "factors").inspect(|factor| assert!(text(factor, "place").contains(".toml:")));
        let product = factors.fold(one, |product, factor| product.checked_mul(number(factor, "factor")).unwrap());
        let base = &price["base_price"];
        match kind {
            "usage" | "flat_fee" => {
                let before: UnitPrice = number(base, "unit_price");
                assert_eq!(before.checked_mul(product), Some(number(line, "unit_price")), "{price:#}");
                assert_eq!(base["unit_price_per"], line["unit_price_per"], "{price:#}");
                let is_in_list = text(base, "place").contains(".csv:");
                assert!(!is_in_list || !base["values"].as_object().unwrap().is_empty(), "{price:#}");
            }
            "minimum" | "maximum" => assert!(all(price, "limits").next().is_some(), "{price:#}"),
            "reserved" => assert!(all(price, "covered_by").next().is_some(), "{price:#}"),
            other => panic!("{other}"),
        }
    }
}

/// Checks the explanation of one line: it names the sources that the kind of line needs, and its amounts add up.
/// Returns the amount that remains after discounts and credits.
fn check(line: &Value, lake: &TestLake) -> Amount {
    let net: Amount = number(line, "net_amount");
    let kind = text(line, "charge_kind");
    let category = text(line, "charge_category");
    let of_places = all(line, "prices").chain(all(line, "fees"));
    let places_named: Vec<&str> = of_places.map(|one| text(one, "place")).collect();
    let issued: Vec<&Value> = all(line, "issued").collect();
    match (category, kind) {
        ("Usage", _) => {
            check_prices(line);
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
                // The documents of a closed month add up to the cost of its usage.
                let due: Amount = sum(issued.iter().map(|one| number(one, "net_amount")));
                assert_eq!(rounded(named, line), due, "{line:#}");
                // If no amount is due any more, the current results may have no rule.
                assert!(!places_named.is_empty() || due.is_zero(), "no rule: {line:#}");
                let own = issued.iter().find(|one| one["invoice"] == line["invoice"] && one["line"] == line["line"]);
                assert_eq!(number::<Amount>(own.unwrap(), "net_amount"), net, "{line:#}");
            }
        }
        ("Purchase", "percent") => {
            let percent: UnitPrice = number(line, "unit_price");
            let base: Quantity = number(line, "quantity");
            let whole = UnitPrice::from_integer(100).units();
            let amount = Amount::of_decimal(base).unwrap().scaled(percent.units(), whole, places(line));
            assert_eq!(amount, Some(net), "{line:#}");
            assert!(text(&line["term_reference"], "place").contains(".toml:"), "{line:#}");
        }
        ("Purchase", "top_up" | "overage" | "minimum") if text(line, "component") != "unused_pool" => {
            assert!(text(&line["term_reference"], "place").contains(".toml:"), "{line:#}");
        }
        ("Purchase", _) => {
            assert!(!places_named.is_empty(), "no fee: {line:#}");
            let named: Cost = sum(all(line, "fees").map(|one| number(one, "cost")));
            assert_eq!((named, rounded(named, line)), (number(line, "contracted_cost"), net), "{line:#}");
        }
        ("Adjustment", "carried_forward") => assert!(net <= Amount::ZERO, "{line:#}"),
        ("Adjustment", _) => {
            // The earlier document contains the amount as a line or as the sum of its lines.
            let from = text(&line["origin"], "carried_from");
            let explained = lake.explain_json(from);
            let of_lines = all(&explained, "lines").filter(|one| text(one, "charge_kind") != "carried_forward");
            let nets: Vec<Amount> = of_lines.map(|one| number(one, "net_amount")).collect();
            assert!(nets.contains(&net) || sum(nets.iter().copied()) == net, "{line:#}\n{explained:#}");
        }
        other => panic!("{other:?} is not a kind of line: {line:#}"),
    }
    let shares: Amount = sum(all(line, "allowances").map(|one| number(one, "share_of_line")));
    for allowance in all(line, "allowances") {
        assert!(text(&allowance["term_reference"], "place").contains(".toml:"), "{allowance:#}");
    }
    let left: Amount = number(line, "remaining_amount");
    assert_eq!(net.checked_sub(shares), Some(left), "{line:#}");
    left
}

/// Checks one document: its lines, and the totals up to the amount due.
fn check_document(lake: &TestLake, number_of: &str) {
    let explained = lake.explain_json(number_of);
    let mut left = Amount::ZERO;
    let mut net = Amount::ZERO;
    let mut has_corrections = false;
    for line in all(&explained, "lines") {
        let alone = lake.explain_json(&format!("{number_of}/{}", line["line"]));
        left = left.checked_add(check(&alone["lines"][0], lake)).unwrap();
        net = net.checked_add(number(line, "net_amount")).unwrap();
        has_corrections |= line["origin"]["corrected_period"].is_string();
    }
    let sums = &explained["totals"];
    assert_eq!(number::<Amount>(sums, "line_total"), net, "{explained:#}");
    let taken_off: Amount = sum(all(sums, "allowances").map(|one| number(one, "amount")));
    let without_tax: Amount = number(sums, "total_without_tax");
    assert_eq!(net.checked_sub(taken_off), Some(without_tax), "{explained:#}");
    // In corrections of a closed month, changed discounts have no share in single lines.
    assert!(has_corrections || left == without_tax, "{explained:#}");
    let tax: Amount = sum(all(sums, "taxes").map(|one| number(one, "tax_amount")));
    assert_eq!(without_tax.checked_add(tax), Some(number(sums, "total_with_tax")), "{explained:#}");
    let paid: Amount = sum(all(sums, "prepayments").map(|one| number(one, "amount")));
    let due = number::<Amount>(sums, "total_with_tax").checked_sub(paid);
    assert_eq!(due, Some(number(sums, "amount_due")), "{explained:#}");
    for one in all(sums, "allowances").chain(all(sums, "prepayments")) {
        assert!(text(&one["term_reference"], "place").contains(".toml:"), "{one:#}");
    }
}

fn check_all(lake: &TestLake) -> Vec<String> {
    let mut kinds = Vec::new();
    for row in lake.rows("invoice") {
        check_document(lake, &row["invoice_number"]);
    }
    for row in lake.rows("invoice_line") {
        let kind = row.get("charge_kind").map_or("", String::as_str);
        kinds.push(format!("{} {kind}", row["charge_category"]));
        kinds.push(format!("{} {} {kind}", row["component"], row["charge_category"]));
    }
    kinds.extend(lake.rows("allowance").iter().map(|row| format!("allowance {}", row["kind"])));
    kinds.sort();
    kinds.dedup();
    kinds
}

#[test]
fn explain_adds_up_for_every_line_of_every_sample() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let samples: Vec<PathBuf> = entries.filter(|path| path.join("expected/usage.csv").is_file()).collect();
    assert!(samples.len() > 3, "samples/ has too few samples");
    for path in samples {
        let name = path.file_name().unwrap().to_str().unwrap();
        let lake = TestLake::of_sample(name);
        lake.run("2026-10");
        check_all(&lake);
    }
}

/// The corrections of a closed month are on the next invoice or on separate documents.
#[test]
fn explain_adds_up_for_corrections() {
    let lake = TestLake::of_sample("late-usage");
    let steps = std::fs::read_to_string(lake.path("story.txt")).unwrap();
    for step in steps.lines().filter(|line| !line.starts_with('#')) {
        match step.split_whitespace().collect::<Vec<_>>()[..] {
            ["copy", from, to] => lake.put(to, std::fs::read(lake.path(from)).unwrap()),
            ["conto", "audit" | "lake", ..] | ["expect", ..] => {}
            _ => {
                let step = step.replacen("conto", "\"$CONTO\"", 1);
                let mut shell = Command::new("sh");
                let shell = shell.args(["-c", &step]).env("CONTO", env!("CARGO_BIN_EXE_conto"));
                let shell = shell.env("CONTO_TODAY", "2099-12-31");
                assert!(shell.current_dir(lake.path("")).output().unwrap().status.success(), "{step}");
                check_all(&lake);
            }
        }
    }
}

/// An account leaves on 15 October, late usage adds to its final invoice, and another invoice is cancelled and issued
/// again. Each document names the others, and each tax and charge its place in the rules.
#[test]
fn the_documents_of_a_month_end_name_each_other() {
    let lake = TestLake::of_sample("month-end");
    let steps = std::fs::read_to_string(lake.path("story.txt")).unwrap();
    for step in steps.lines().filter(|line| !line.starts_with('#')) {
        match step.split_whitespace().collect::<Vec<_>>()[..] {
            ["copy", from, to] => lake.put(to, std::fs::read(lake.path(from)).unwrap()),
            ["conto", "close" | "cancel", ..] => {
                let step = step.replacen("conto", "\"$CONTO\"", 1);
                let mut shell = Command::new("sh");
                let shell = shell.args(["-c", &step]).env("CONTO", env!("CARGO_BIN_EXE_conto"));
                let shell = shell.env("CONTO_TODAY", "2099-12-31");
                assert!(shell.current_dir(lake.path("")).output().unwrap().status.success(), "{step}");
            }
            _ => {}
        }
    }
    for (document, expected) in [
        // The account is valid until 15 October.
        ("INV-2026-00003", &["2026-10-01 to 2026-10-15\n", "late usage is on INV-2026-00006 of 2026-11-02"][..]),
        (
            "INV-2026-00003/2",
            &["brought forward from DRAFT-2026-09-734197, whose total was below `minimum_invoice_amount`"],
        ),
        (
            "INV-2026-00006/1",
            &[
                "adds to INV-2026-00003\n",
                "late usage of 2026-10, in addition to the earlier document (INV-2026-00003)",
                "total due on all documents 4.50: 4.00 of INV-2026-00003/1, 0.50 of INV-2026-00006/1",
            ],
        ),
        ("INV-2026-00004", &["cancelled by CN-2026-00001 of 2026-11-04", "replaced by INV-2026-00008 of 2026-11-04"]),
        ("INV-2026-00004/4", &["one-off charge: -4.00 EUR", "reason: The web server", "approved by: A. Meyer"]),
        ("CN-2026-00001", &["cancels INV-2026-00004: The street number was wrong\n"]),
        (
            "CN-2026-00001/1",
            &[
                "takes back the line of 2026-10 (INV-2026-00004)",
                "total due on all documents 37.20: 37.20 of INV-2026-00004/1, 37.20 of INV-2026-00008/1, \
                 -37.20 of CN-2026-00001/1",
                "taxed as TVA S 20 % (fr at rating-rules/taxes.toml:1)",
            ],
        ),
        (
            "INV-2026-00008",
            &["replaces INV-2026-00004: The street number was wrong", "(fr at rating-rules/taxes.toml:1)"],
        ),
        ("INV-2026-00005", &["on 195.00 (eu-business at rating-rules/taxes.toml:15)"]),
    ] {
        let text = lake.explain(document);
        for part in expected {
            assert!(text.contains(part), "no `{part}` in {text}");
        }
    }
}

/// The charge kinds that no sample has. They are a fee minimum, overage at two prices, a reservation, the minimum of an
/// unused pool, and an amount brought forward.
#[test]
fn explain_adds_up_for_every_charge_kind() {
    let lake = TestLake::of_sample("accounts-and-terms");
    let terms = lake.text("rating-rules/terms.toml");
    let more = r#"
        [[fee]]
        id = "support"
        description = "Support"
        per = "account"
        accounts = ["C-2001"]
        base = "after_discounts"
        minimum = "40"
        tier = [{ up_to = "100", percent = "5" }, { percent = "2" }]

        [[minimum_spend]]
        id = "dearer"
        description = "Base load"
        account = "C-2003"
        amount = "100"
        overage_factor = "1.5"

        [[minimum_spend]]
        id = "cheaper"
        description = "Base load"
        account = "C-2004"
        amount = "100"
        overage_factor = "0.8"

        [[reservation]]
        id = "held"
        account = "C-2003"
        meter = "instance"
        quantity = "1"
        unit_price = "0.2"

        [[rule]]
        id = "idle"
        meter = "book"
        when = "account_id = 'C-2001'"
        priority = 5
        sku = "IDLE"
        service = "Print"
        unit_price = "0"
        minimum = "3"
        minimum_at_zero = true
        per = "account"

        [[rule]]
        id = "limited"
        meter = "book"
        component = "print"
        when = "account_id = 'C-2002'"
        sku = "LIMITED"
        service = "Print"
        tiers = "graduated"
        tier = [{ up_to = "2", unit_price = "4", max_amount = "5" }, { unit_price = "1", max_amount = "9" }]

        [[rule]]
        id = "louder"
        meter = "book"
        component = "print"
        when = "account_id = 'C-2002'"
        factor = "1.5"
        "#;
    lake.put("rating-rules/terms.toml", terms + more);
    lake.run("2026-10");
    lake.run("2026-11");
    let kinds = check_all(&lake);
    // Two books at 4 × 1.5 cost 12, and the tier costs at most 5 × 1.5 = 7.50. The third book costs 1 × 1.5, which is
    // less than the maximum of its tier.
    let explained = lake.explain_json(&lake.draft("2026-10", "C-2002"));
    let limited = all(&explained, "lines").find(|line| text(line, "charge_kind") == "maximum").unwrap();
    assert_eq!(text(limited, "net_amount"), "-4.50");
    let tier = serde_json::json!({"number": 1, "kind": "graduated", "above": "0", "up_to": "2"});
    let place = text(&limited["prices"][0], "place");
    let limit = serde_json::json!({
        "kind": "max_amount", "place": place, "amount": "7.50", "tier": tier, "cost": "12.00", "cap_quantity": null,
    });
    assert_eq!(limited["prices"][0]["limits"], serde_json::json!([limit]));
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
        "Usage maximum",
        "Usage reserved",
        "Usage usage",
    ] {
        assert!(kinds.iter().any(|known| known == kind), "no {kind} among {kinds:?}");
    }
}

/// October has 8 units, and 5 late ones are charged by the invoice of November. The file of the 8 units is retracted,
/// delivered and retracted again: it has one sample.
#[test]
fn a_charge_of_an_earlier_month_is_explained_by_quantity_and_price() {
    let lake = TestLake::of_one_rule("aggregation = \"sum\"", "unit_price = \"1\"");
    let october = ["m,a,2026-10-05T10:00:00Z,8,p"];
    lake.deliver("october", october);
    lake.close("2026-10", "2026-11-02");
    lake.deliver("late", ["m,a,2026-10-06T10:00:00Z,5,p"]);
    lake.close("2026-10", "2026-11-03");
    lake.deliver("november", ["m,a,2026-11-05T10:00:00Z,3,p"]);
    lake.close("2026-11", "2026-12-02");
    let explained = lake.explain("INV-2026-00002/2");
    assert!(explained.contains("\n5 u at 1.00 EUR: 5.00 EUR\n"), "{explained}");
    for name in ["october", "again"] {
        lake.deliver(name, october);
        lake.run("2026-10");
        lake.retract(&format!("{name}.csv"), "a test");
    }
    let line = lake.explain_json("INV-2026-00001/1");
    let samples: Vec<&Value> =
        line["lines"].as_array().unwrap().iter().map(|line| &line["files"][0]["samples"]).collect();
    assert_eq!(samples, [&Value::from(1)], "{line:#}");
}
