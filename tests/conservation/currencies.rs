//! Money in many currencies. Prices, fees, reservations, terms, credits and accounts have random currencies with two,
//! three or no decimals, and exchange rates have any number of places.
//!
//! Each run checks its invariants before its commit. These tests check that the run commits, that the audit finds no
//! difference, and that the order of inputs changes nothing.

use std::fmt::Write as _;

use conto::audit::audit;
use conto::billed_period::BilledPeriod;
use conto::error::Error;
use conto::ledger;
use conto::load::read_config;
use conto::model::diagnostic::{Diagnostic, Severity};
use conto::pipeline::BillingOptions;
use conto::rows;
use conto::run::{Documents, RunOptions};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::cases;
use crate::test_lake::{TestLake, assert_same_files, block_on, chain, stderr_of};

const PERIOD: &str = "2026-10";
const NEXT: &str = "2026-11";

const CURRENCIES: [&str; 5] = ["EUR", "USD", "JPY", "KWD", "CHF"];

/// A small pseudorandom number generator. The same seed gives the same case.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len() as u64) as usize]
    }

    /// A positive decimal with at most this number of places.
    fn decimal(&mut self, whole: u64, most_places: u64) -> String {
        let places = self.below(most_places + 1);
        if places == 0 {
            return (1 + self.below(whole)).to_string();
        }
        let digits: String = (1..places).map(|_| self.below(10).to_string()).collect();
        format!("{}.{digits}{}", self.below(whole), 1 + self.below(9))
    }

    fn currency(&mut self) -> String {
        format!("currency = \"{}\"\n", self.pick(&CURRENCIES))
    }

    /// The keys `currency` and `amount` of a term. The amount has the places of its currency.
    fn amount(&mut self, whole: u64) -> String {
        let currency = self.pick(&CURRENCIES);
        let places = match currency {
            "JPY" => 0,
            "KWD" => 3,
            _ => 2,
        };
        let fraction: String = (0..places).map(|_| char::from(b'0' + self.below(10) as u8)).collect();
        let point = if places == 0 { "" } else { "." };
        format!(
            r#"
            currency = "{currency}"
            amount = "{}{point}{fraction}"
            "#,
            1 + self.below(whole)
        )
    }
}

/// Exchange rates. Each pair of currencies has a rate in one of the two directions, or seldom no rate.
fn exchange_rates(rng: &mut Rng) -> String {
    let mut text = "date,base,quote,rate\n".to_owned();
    for (index, base) in CURRENCIES.iter().enumerate() {
        for quote in CURRENCIES.iter().skip(index + 1) {
            let (base, quote) = if rng.one_in(2) { (base, quote) } else { (quote, base) };
            let whole = if *quote == "JPY" { 300 } else { 3 };
            if !rng.one_in(15) {
                for day in ["2026-10-30", "2026-11-30"] {
                    writeln!(text, "{day},{base},{quote},{}", rng.decimal(whole, 12)).unwrap();
                }
            }
        }
    }
    text
}

fn rules(rng: &mut Rng) -> String {
    let mut text = r#"
        [[meter]]
        name = "m"
        aggregation = "sum"
        unit = "u"
        dimensions.flavor = { from = ["flavor"] }
        "#
    .to_owned();
    let mut rule = |rng: &mut Rng, id: &str, price: &str, more: &str| {
        let (service, currency) = (rng.pick(&["A", "B"]), rng.currency());
        write!(
            text,
            r#"
                [[rule]]
                id = "{id}"
                meter = "m"
                sku = "{id}"
                service = "{service}"
                when = "flavor = '{id}'"
                {currency}{price}
                {more}
                "#
        )
        .unwrap();
    };
    let price = |rng: &mut Rng| format!(r#"unit_price = "{}""#, rng.decimal(3, 12));
    let tiers = |rng: &mut Rng| {
        let up_to = rng.decimal(20, 3);
        let prices = [rng.decimal(2, 9), rng.decimal(2, 9)];
        format!(
            r#"tier = [{{ up_to = "{up_to}", unit_price = "{}", flat_fee = "{}" }}, {{ unit_price = "{}" }}]"#,
            prices[0],
            rng.decimal(9, 4),
            prices[1]
        )
    };
    let plain = price(rng);
    rule(rng, "plain", &plain, r#"pricing_unit = { name = "part", of = "hours_in_period" }"#);
    let graduated = format!(
        r#"
        tiers = "graduated"
        {}
        "#,
        tiers(rng)
    );
    let minimum = format!(r#"minimum = "{}""#, rng.decimal(40, 4));
    rule(rng, "graduated", &graduated, &minimum);
    let volume = format!(
        r#"
        tiers = "volume"
        {}
        "#,
        tiers(rng)
    );
    let maximum = format!(
        r#"
        maximum = "{}"
        per = "account"
        "#,
        rng.decimal(30, 4)
    );
    rule(rng, "volume", &volume, &maximum);
    let package = format!(
        r#"
        {}
        package = "{}"
        "#,
        price(rng),
        rng.decimal(9, 1)
    );
    rule(rng, "package", &package, r#"free_units = "1.5""#);
    let percent = format!(r#"percent = "{}""#, rng.decimal(9, 4));
    rule(rng, "percent", &percent, "");
    let listed = price(rng);
    rule(rng, "listed", &listed, "");
    // A price of the card `own`, a component next to the base price, and a factor.
    let (own, licence, times) = (rng.decimal(3, 12), rng.decimal(3, 12), rng.decimal(2, 6));
    let more = [rng.currency(), rng.currency()];
    write!(
        text,
        r#"
            [[rule]]
            id = "own"
            meter = "m"
            card = "own"
            pool = "own"
            when = "flavor = 'listed' or flavor = 'plain'"
            sku = "listed"
            service = "A"
            {}unit_price = "{own}"

            [[rule]]
            id = "licence"
            meter = "m"
            component = "licence"
            when = "flavor = 'plain'"
            {}unit_price = "{licence}"

            [[rule]]
            id = "times"
            meter = "m"
            when = "flavor = 'package'"
            factor = "{times}"
            "#,
        more[0], more[1]
    )
    .unwrap();
    text
}

fn terms(rng: &mut Rng) -> String {
    let mut text = r#"
        [[tax]]
        id = "reduced"
        name = "VAT"
        when = "service = 'B'"
        category = "S"
        rate = "5.5"

        [[tax]]
        id = "plain"
        name = "VAT"
        category = "S"
        rate = "20"
        "#
    .to_owned();
    for (id, per) in [("each", "account"), ("project", "project"), ("resource", "resource")] {
        let meter = if per == "resource" { "meter = \"m\"\n" } else { "" };
        let valid_to = if rng.one_in(2) { "valid_to = 2026-10-12\n" } else { "" };
        let (currency, price) = (rng.currency(), rng.decimal(9, 4));
        write!(
            text,
            r#"
                [[recurring]]
                id = "{id}"
                per = "{per}"
                {meter}{valid_to}{currency}unit_price = "{price}"
                "#
        )
        .unwrap();
    }
    for (id, base) in [("support", "before_discounts"), ("care", "after_discounts")] {
        let (per, currency) = (rng.pick(&["account", "project"]), rng.currency());
        let (percent, minimum) = (rng.decimal(9, 4), 1 + rng.below(30));
        write!(
            text,
            r#"
                [[fee]]
                id = "{id}"
                per = "{per}"
                base = "{base}"
                {currency}percent = "{percent}"
                minimum = "{minimum}"
                "#
        )
        .unwrap();
    }
    for (position, id) in ["one", "two", "three"].iter().enumerate() {
        let when = rng.pick(&["", "when = \"service = 'A'\"\n", "when = \"charge_category = 'Purchase'\"\n"]);
        let value = if rng.one_in(2) { format!("percent = \"{}\"\n", rng.decimal(99, 4)) } else { rng.amount(20) };
        write!(
            text,
            r#"
            [[discount]]
            id = "{id}"
            position = {position}
            {when}{value}
            "#
        )
        .unwrap();
    }
    let (first, second, third) = (rng.amount(40), rng.amount(40), rng.decimal(2, 4));
    write!(
        text,
        r#"
            [[minimum_spend]]
            id = "least"
            account = "C-1"
            {first}

            [[minimum_spend]]
            id = "over"
            account = "C-2"
            when = "service = 'A'"
            {second}overage_factor = "{third}"
            "#
    )
    .unwrap();
    let held = [rng.currency(), rng.currency()];
    let prices = [rng.decimal(1, 9), rng.decimal(1, 4), rng.decimal(1, 9)];
    write!(
        text,
        r#"
            [[reservation]]
            id = "held"
            account = "C-3"
            meter = "m"
            when = "flavor = 'plain'"
            quantity = "0.1"
            {}unit_price = "{}"
            valid_from = 2026-10-01
            valid_to = 2026-10-03

            [[hourly_commitment]]
            id = "hourly"
            account = "C-4"
            {}amount = "{}"
            valid_from = 2026-10-01
            valid_to = 2026-10-03
            covers = [{{ meter = "m", when = "flavor = 'listed'", unit_price = "{}" }}]
            "#,
        held[0], prices[0], held[1], prices[1], prices[2]
    )
    .unwrap();
    text
}

/// An account and its credits. Most credits have the currency of the account.
fn account(rng: &mut Rng, number: usize, seller: &str) -> (String, String) {
    let currency = if rng.one_in(3) { seller } else { rng.pick(&CURRENCIES) };
    // An account with a minimum spend needs one document.
    let per = if number < 3 || rng.one_in(2) { "account" } else { "project" };
    let cards = if rng.one_in(2) { "cards = [\"own\", \"public\"]\n" } else { "" };
    let account = format!(
        r#"
            [[account]]
            id = "C-{number}"
            name = "Customer {number}"
            country = "FR"
            currency = "{currency}"
            invoice_per = "{per}"
            {cards}projects = ["p{number}", "q{number}"]
            "#
    );
    let mut credits = String::new();
    for (kind, id) in [
        (r#"kind = "promotional""#, "gift"),
        (
            r#"
            kind = "prepaid"
            taxed = "at_sale"
            tax_rate = "20"
            "#,
            "voucher",
        ),
        (
            r#"
            kind = "prepaid"
            taxed = "at_use"
            "#,
            "deposit",
        ),
    ] {
        if rng.one_in(2) {
            let of = if rng.one_in(12) { rng.pick(&CURRENCIES) } else { currency };
            let amount = 1 + rng.below(if of == "JPY" { 2000 } else { 20 });
            write!(
                credits,
                r#"
                    [[credit]]
                    id = "{id}-{number}"
                    account = "C-{number}"
                    {kind}
                    currency = "{of}"
                    amount = "{amount}"
                    "#
            )
            .unwrap();
        }
    }
    (account, credits)
}

/// A reseller with two customers, in the currency of the reseller.
fn resold(rng: &mut Rng) -> String {
    let currency = rng.currency();
    let mut text = format!(
        r#"
            [[account]]
            id = "R"
            name = "Reseller"
            country = "FR"
            vat_id = "FR78000000701"
            {currency}
            "#
    );
    for (number, cards) in [(8, "cards = [\"own\", \"public\"]\n"), (9, "")] {
        write!(
            text,
            r#"
                [[account]]
                id = "K-{number}"
                name = "Customer {number}"
                country = "FR"
                parent = "R"
                {cards}projects = ["p{number}"]
                "#
        )
        .unwrap();
    }
    text
}

fn usage(rng: &mut Rng) -> String {
    let flavors = ["plain", "graduated", "volume", "package", "percent", "listed"];
    let mut text = String::new();
    for number in 1..10 {
        for flavor in flavors {
            for record in 0..=rng.below(2) {
                let project = if number < 7 && rng.one_in(3) { "q" } else { "p" };
                let (day, hour) = (1 + rng.below(4), rng.below(24));
                writeln!(
                    text,
                    "m,{flavor}{number}{record},2026-10-{day:02}T{hour:02}:10:00Z,{},{project}{number},,,,{flavor}",
                    rng.decimal(30, 3)
                )
                .unwrap();
            }
        }
    }
    text
}

/// A lake with random configuration, accounts, rules, terms and usage.
fn lake(seed: u64) -> TestLake {
    let rng = &mut Rng(seed);
    let seller = rng.pick(&CURRENCIES);
    let least = if rng.one_in(2) { "minimum_invoice_amount = \"5\"\n" } else { "" };
    let lake = TestLake::new().config(format!(
        r#"
            currency = "{seller}"
            exchange_rates = "rates.csv"
            {least}
            "#
    ));
    lake.put("rates.csv", exchange_rates(rng));
    let (accounts, credits): (Vec<String>, Vec<String>) = (1..8).map(|number| account(rng, number, seller)).unzip();
    lake.put("accounts.toml", format!("{}{}", accounts.concat(), resold(rng)));
    lake.put("rules/rules.toml", rules(rng));
    lake.put("rules/terms.toml", terms(rng) + &credits.concat());
    lake.put("usage/usage.csv", super::usage::HEADER.to_owned() + &usage(rng));
    lake
}

/// The differences that the audit of a month finds.
fn missing(lake: &TestLake, period: &str) -> Vec<String> {
    let config = read_config(&lake.path("conto.toml")).0.unwrap();
    let books = block_on(BilledPeriod::open(&config, period.parse().unwrap())).unwrap().unwrap();
    let audit = block_on(async {
        ledger::post(&books.session, &config.chart_of_accounts).await.unwrap();
        audit(&books).await.unwrap()
    });
    let differences = rows::each(&audit.reconciliation)
        .filter(|row| row.text("part").unwrap() == "difference" && row.units("amount").unwrap() != 0)
        .map(|row| format!("{}: {}", row.text("invariant").unwrap(), row.units("amount").unwrap()));
    let broken = audit.claims.iter().filter(|claim| claim.broken > 0).map(|claim| claim.name.clone());
    differences.chain(broken).collect()
}

/// The text of all input files of a case.
fn inputs(lake: &TestLake) -> String {
    let names = ["conto.toml", "rates.csv", "accounts.toml", "rules/rules.toml", "rules/terms.toml", "usage/usage.csv"];
    let text = |name: &&str| std::fs::read_to_string(lake.path(name)).unwrap();
    names.iter().map(|name| format!("== {name}\n{}\n", text(name))).collect()
}

proptest! {
    // No shrinking, because a smaller seed is not a smaller case.
    #![proptest_config(Config { max_shrink_iters: 0, ..cases(2) })]

    /// A month in random currencies is billed, closed and corrected, and the next month takes over its balances. The
    /// audit of both months finds no difference. The order of the inputs changes no CSV file.
    #[test]
    fn books_in_any_currencies_add_up_to_the_cent(seed in any::<u64>()) {
        let forward = lake(seed);
        let without_pages = |night: &mut BillingOptions, _: &mut RunOptions| night.documents = Documents::None;
        if let Err(error) = forward.run_with(PERIOD, without_pages) {
            let of = |problems: &[Diagnostic]| {
                let errors = problems.iter().filter(|one| one.severity == Severity::Error);
                errors.map(|one| one.message.clone() + "\n").collect::<String>()
            };
            let problems = if let Error::Invalid(problems) = &error { of(problems) } else { chain(&error) };
            return Err(TestCaseError::fail(format!("{problems}\n{}", inputs(&forward))));
        }
        let missing = missing(&forward, PERIOD);
        prop_assert!(missing.is_empty(), "{missing:?}\n{}", inputs(&forward));

        let backward = lake(seed);
        let turned = |name: &str, between: &str| {
            let text = std::fs::read_to_string(backward.path(name)).unwrap();
            let mut tables: Vec<&str> = text.split(between).filter(|table| !table.trim().is_empty()).collect();
            tables.reverse();
            backward.put(name, tables.iter().map(|table| format!("{between}{table}\n")).collect::<String>());
        };
        turned("accounts.toml", "[[account]]");
        turned("rules/terms.toml", "[[");
        turned("rules/rules.toml", "[[");
        let rows = std::fs::read_to_string(backward.path("usage/usage.csv")).unwrap();
        let mut rows: Vec<&str> = rows.lines().skip(1).collect();
        rows.reverse();
        backward.remove("usage/usage.csv");
        for (number, part) in rows.chunks(40).enumerate() {
            let text = format!("{}{}\n", super::usage::HEADER, part.join("\n"));
            backward.put(&format!("usage/part-{number}.csv"), text);
        }
        backward.run_with(PERIOD, without_pages).unwrap();
        let csv = |lake: &TestLake| {
            let mut documents = lake.documents(PERIOD);
            documents.retain(|name, _| name.ends_with(".csv"));
            documents
        };
        assert_same_files(&csv(&forward), &csv(&backward), "another order");

        // The month is closed and corrected for late usage, of resources with earlier usage and of new resources.
        let close = |date: &str| {
            let forced = ["close", "--period", PERIOD, "--issue-date", date, "--force", "--reason", "a test"];
            let output = forward.output(&forced);
            let message = stderr_of(&output);
            prop_assert!(matches!(output.status.code(), Some(0 | 4)), "{message}\n{}", inputs(&forward));
            Ok(())
        };
        close("2026-11-02")?;
        let late = usage(&mut Rng(seed.wrapping_add(1))).replace(":10:00Z", ":20:00Z");
        let late: Vec<&str> = late.lines().step_by(3).collect();
        forward.put("usage/late.csv", super::usage::HEADER.to_owned() + &late.join("\n") + "\n");
        close("2026-11-09")?;
        // The next month takes over the balances and the corrections.
        let next = usage(&mut Rng(seed.wrapping_add(2))).replace("2026-10-", "2026-11-");
        forward.put("usage/next.csv", super::usage::HEADER.to_owned() + &next);
        if let Err(error) = forward.run_with(NEXT, without_pages) {
            return Err(TestCaseError::fail(format!("{}\n{}", chain(&error), inputs(&forward))));
        }
        for period in [PERIOD, NEXT] {
            let missing = self::missing(&forward, period);
            prop_assert!(missing.is_empty(), "{period}, corrected: {missing:?}\n{}", inputs(&forward));
        }
    }
}
