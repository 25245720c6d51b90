//! Money in many currencies: prices, fees, holds, terms, credits and accounts draw theirs at random, at rates of any
//! number of places, in currencies with two, three and no decimals. Each run holds its own laws before it commits; what
//! is looked at here is that it commits, that the books it left are right, and that nothing depends on an order.

use std::fmt::Write as _;

use conto::audit::audit;
use conto::billed_period::BilledPeriod;
use conto::error::Error;
use conto::ledger;
use conto::load::read_config;
use conto::model::diagnostic::{Diagnostic, Severity};
use conto::pipeline::NightOptions;
use conto::rows;
use conto::run::{Documents, RunOptions};
use proptest::prelude::*;
use proptest::test_runner::Config;

use super::cases;
use crate::crash::run;
use crate::world::{Setting, World, assert_same_files, block_on, chain};

const PERIOD: &str = "2026-10";
const NEXT: &str = "2026-11";

const CURRENCIES: [&str; 5] = ["EUR", "USD", "JPY", "KWD", "CHF"];

/// What a case is drawn with: the same seed draws the same.
struct Dice(u64);

impl Dice {
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

    /// A decimal of up to so many places, and not nothing.
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

    /// Of a term: an amount in a currency that its places fit.
    fn amount(&mut self, whole: u64) -> String {
        let currency = self.pick(&CURRENCIES);
        let places = match currency {
            "JPY" => 0,
            "KWD" => 3,
            _ => 2,
        };
        let fraction: String = (0..places).map(|_| char::from(b'0' + self.below(10) as u8)).collect();
        let point = if places == 0 { "" } else { "." };
        format!("currency = \"{currency}\"\namount = \"{}{point}{fraction}\"\n", 1 + self.below(whole))
    }
}

/// Each pair one way or the other, or, seldom, not at all.
fn exchange_rates(dice: &mut Dice) -> String {
    let mut text = "date,base,quote,rate\n".to_owned();
    for (index, base) in CURRENCIES.iter().enumerate() {
        for quote in CURRENCIES.iter().skip(index + 1) {
            let (base, quote) = if dice.one_in(2) { (base, quote) } else { (quote, base) };
            let whole = if *quote == "JPY" { 300 } else { 3 };
            if !dice.one_in(15) {
                for day in ["2026-10-30", "2026-11-30"] {
                    writeln!(text, "{day},{base},{quote},{}", dice.decimal(whole, 12)).unwrap();
                }
            }
        }
    }
    text
}

fn rules(dice: &mut Dice) -> String {
    let mut text = "[[meter]]\nname = \"m\"\naggregation = \"sum\"\nunit = \"u\"\ndimensions.flavor = { from = \
                    [\"flavor\"] }\n"
        .to_owned();
    let mut rule = |dice: &mut Dice, id: &str, price: &str, more: &str| {
        let (service, currency) = (dice.pick(&["A", "B"]), dice.currency());
        write!(
            text,
            "[[rule]]\nid = \"{id}\"\nmeter = \"m\"\nsku = \"{id}\"\nservice = \"{service}\"\nwhen = \"flavor = \
             '{id}'\"\n{currency}{price}\n{more}\n"
        )
        .unwrap();
    };
    let price = |dice: &mut Dice| format!("unit_price = \"{}\"", dice.decimal(3, 12));
    let tiers = |dice: &mut Dice| {
        let up_to = dice.decimal(20, 3);
        let prices = [dice.decimal(2, 9), dice.decimal(2, 9)];
        format!(
            "tier = [{{ up_to = \"{up_to}\", unit_price = \"{}\", flat_fee = \"{}\" }}, {{ unit_price = \"{}\" }}]",
            prices[0],
            dice.decimal(9, 4),
            prices[1]
        )
    };
    let plain = price(dice);
    rule(dice, "plain", &plain, "pricing_unit = { name = \"part\", of = \"hours_in_period\" }");
    let graduated = format!("tiers = \"graduated\"\n{}", tiers(dice));
    let minimum = format!("minimum = \"{}\"", dice.decimal(40, 4));
    rule(dice, "graduated", &graduated, &minimum);
    let volume = format!("tiers = \"volume\"\n{}", tiers(dice));
    let maximum = format!("maximum = \"{}\"\nper = \"account\"", dice.decimal(30, 4));
    rule(dice, "volume", &volume, &maximum);
    let package = format!("{}\npackage = \"{}\"", price(dice), dice.decimal(9, 1));
    rule(dice, "package", &package, "free_units = \"1.5\"");
    let percent = format!("percent = \"{}\"", dice.decimal(9, 4));
    rule(dice, "percent", &percent, "");
    let listed = price(dice);
    rule(dice, "listed", &listed, "");
    // A card of its own, a component beside the base, a factor.
    let (own, licence, times) = (dice.decimal(3, 12), dice.decimal(3, 12), dice.decimal(2, 6));
    let more = [dice.currency(), dice.currency()];
    write!(
        text,
        "[[rule]]\nid = \"own\"\nmeter = \"m\"\ncard = \"own\"\npool = \"own\"\n\
         when = \"flavor = 'listed' or flavor = 'plain'\"\nsku = \"listed\"\nservice = \"A\"\n{}unit_price = \
         \"{own}\"\n[[rule]]\nid = \"licence\"\nmeter = \"m\"\ncomponent = \"licence\"\nwhen = \"flavor = \
         'plain'\"\n{}unit_price = \"{licence}\"\n[[rule]]\nid = \"times\"\nmeter = \"m\"\nwhen = \"flavor = \
         'package'\"\nfactor = \"{times}\"\n",
        more[0], more[1]
    )
    .unwrap();
    text
}

fn terms(dice: &mut Dice) -> String {
    let mut text = "[[tax]]\nid = \"reduced\"\nname = \"VAT\"\nwhen = \"service = 'B'\"\ncategory = \"S\"\nrate = \
                    \"5.5\"\n[[tax]]\nid = \"plain\"\nname = \"VAT\"\ncategory = \"S\"\nrate = \"20\"\n"
        .to_owned();
    for (id, per) in [("each", "account"), ("project", "project"), ("resource", "resource")] {
        let meter = if per == "resource" { "meter = \"m\"\n" } else { "" };
        let valid_to = if dice.one_in(2) { "valid_to = 2026-10-12\n" } else { "" };
        let (currency, price) = (dice.currency(), dice.decimal(9, 4));
        write!(
            text,
            "[[recurring]]\nid = \"{id}\"\nper = \"{per}\"\n{meter}{valid_to}{currency}unit_price = \"{price}\"\n"
        )
        .unwrap();
    }
    for (id, base) in [("support", "before_discounts"), ("care", "after_discounts")] {
        let (per, currency) = (dice.pick(&["account", "project"]), dice.currency());
        let (percent, minimum) = (dice.decimal(9, 4), 1 + dice.below(30));
        write!(
            text,
            "[[fee]]\nid = \"{id}\"\nper = \"{per}\"\nbase = \"{base}\"\n{currency}percent = \"{percent}\"\nminimum = \
             \"{minimum}\"\n"
        )
        .unwrap();
    }
    for (position, id) in ["one", "two", "three"].iter().enumerate() {
        let when = dice.pick(&["", "when = \"service = 'A'\"\n", "when = \"charge_category = 'Purchase'\"\n"]);
        let value = if dice.one_in(2) { format!("percent = \"{}\"\n", dice.decimal(99, 4)) } else { dice.amount(20) };
        write!(text, "[[discount]]\nid = \"{id}\"\nposition = {position}\n{when}{value}").unwrap();
    }
    let (first, second, third) = (dice.amount(40), dice.amount(40), dice.decimal(2, 4));
    write!(
        text,
        "[[commitment]]\nid = \"least\"\naccount = \"C-1\"\n{first}\n[[commitment]]\nid = \"over\"\naccount = \
         \"C-2\"\nwhen = \"service = 'A'\"\n{second}overage_factor = \"{third}\"\n"
    )
    .unwrap();
    let held = [dice.currency(), dice.currency()];
    let prices = [dice.decimal(1, 9), dice.decimal(1, 4), dice.decimal(1, 9)];
    write!(
        text,
        "[[reservation]]\nid = \"held\"\naccount = \"C-3\"\nmeter = \"m\"\nwhen = \"flavor = 'plain'\"\nquantity = \
         \"0.1\"\n{}unit_price = \"{}\"\nvalid_from = 2026-10-01\nvalid_to = 2026-10-03\n[[hourly_commitment]]\nid = \
         \"hourly\"\naccount = \"C-4\"\n{}amount = \"{}\"\nvalid_from = 2026-10-01\nvalid_to = 2026-10-03\n\
         covers = [{{ meter = \"m\", when = \"flavor = 'listed'\", unit_price = \"{}\" }}]\n",
        held[0], prices[0], held[1], prices[1], prices[2]
    )
    .unwrap();
    text
}

/// An account with its credits, which are in its currency but for one of a few.
fn account(dice: &mut Dice, number: usize, seller: &str) -> (String, String) {
    let currency = if dice.one_in(3) { seller } else { dice.pick(&CURRENCIES) };
    // Who has a commitment needs one document.
    let per = if number < 3 || dice.one_in(2) { "account" } else { "project" };
    let cards = if dice.one_in(2) { "cards = [\"own\", \"public\"]\n" } else { "" };
    let account = format!(
        "[[account]]\nid = \"C-{number}\"\nname = \"Customer {number}\"\ncountry = \"FR\"\ncurrency = \"{currency}\"\n\
         invoice_per = \"{per}\"\n{cards}projects = [\"p{number}\", \"q{number}\"]\n"
    );
    let mut credits = String::new();
    for (kind, id) in [
        ("kind = \"promotional\"", "gift"),
        ("kind = \"prepaid\"\ntaxed = \"at_sale\"\ntax_rate = \"20\"", "voucher"),
        ("kind = \"prepaid\"\ntaxed = \"at_use\"", "deposit"),
    ] {
        if dice.one_in(2) {
            let of = if dice.one_in(12) { dice.pick(&CURRENCIES) } else { currency };
            let amount = 1 + dice.below(if of == "JPY" { 2000 } else { 20 });
            write!(
                credits,
                "[[credit]]\nid = \"{id}-{number}\"\naccount = \"C-{number}\"\n{kind}\ncurrency = \"{of}\"\namount = \
                 \"{amount}\"\n"
            )
            .unwrap();
        }
    }
    (account, credits)
}

/// A reseller with two customers, in the currency of the reseller.
fn resold(dice: &mut Dice) -> String {
    let currency = dice.currency();
    let mut text = format!(
        "[[account]]\nid = \"R\"\nname = \"Reseller\"\ncountry = \"FR\"\nvat_id = \"FR78000000701\"\n{currency}\n"
    );
    for (number, cards) in [(8, "cards = [\"own\", \"public\"]\n"), (9, "")] {
        write!(
            text,
            "[[account]]\nid = \"K-{number}\"\nname = \"Customer {number}\"\ncountry = \"FR\"\nparent = \"R\"\n{cards}\
             projects = [\"p{number}\"]\n"
        )
        .unwrap();
    }
    text
}

fn usage(dice: &mut Dice) -> String {
    let flavors = ["plain", "graduated", "volume", "package", "percent", "listed"];
    let mut text = String::new();
    for number in 1..10 {
        for flavor in flavors {
            for record in 0..=dice.below(2) {
                let project = if number < 7 && dice.one_in(3) { "q" } else { "p" };
                let (day, hour) = (1 + dice.below(4), dice.below(24));
                writeln!(
                    text,
                    "m,{flavor}{number}{record},2026-10-{day:02}T{hour:02}:10:00Z,{},{project}{number},,,,{flavor}",
                    dice.decimal(30, 3)
                )
                .unwrap();
            }
        }
    }
    text
}

/// A seller with everything drawn.
fn world(seed: u64) -> World {
    let dice = &mut Dice(seed);
    let seller = dice.pick(&CURRENCIES);
    let world = World::new(&Setting { currency: seller, ..Setting::default() });
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    let least = if dice.one_in(2) { "minimum_invoice_amount = \"5\"\n" } else { "" };
    world.put("conto.toml", format!("exchange_rates = \"rates.csv\"\n{least}{config}"));
    world.put("rates.csv", exchange_rates(dice));
    let (accounts, credits): (Vec<String>, Vec<String>) = (1..8).map(|number| account(dice, number, seller)).unzip();
    world.put("accounts.toml", format!("{}{}", accounts.concat(), resold(dice)));
    world.put("rules/rules.toml", rules(dice));
    world.put("rules/terms.toml", terms(dice) + &credits.concat());
    world.put("usage/usage.csv", super::usage::HEADER.to_owned() + &usage(dice));
    world
}

/// What the books of the month lack, in words.
fn missing(world: &World, period: &str) -> Vec<String> {
    let config = read_config(&world.path("conto.toml")).0.unwrap();
    let books = block_on(BilledPeriod::open(&config, period.parse().unwrap())).unwrap().unwrap();
    let audit = block_on(async {
        ledger::post(&books.session, &config.chart).await.unwrap();
        audit(&books).await.unwrap()
    });
    let differences = rows::each(&audit.reconciliation)
        .filter(|row| row.text("part").unwrap() == "difference" && row.units("amount").unwrap() != 0)
        .map(|row| format!("{}: {}", row.text("law").unwrap(), row.units("amount").unwrap()));
    let broken = audit.claims.iter().filter(|claim| claim.broken > 0).map(|claim| claim.name.clone());
    differences.chain(broken).collect()
}

/// Everything that was written about a case.
fn told(world: &World) -> String {
    let names = ["conto.toml", "rates.csv", "accounts.toml", "rules/rules.toml", "rules/terms.toml", "usage/usage.csv"];
    let text = |name: &&str| std::fs::read_to_string(world.path(name)).unwrap();
    names.iter().map(|name| format!("== {name}\n{}\n", text(name))).collect()
}

proptest! {
    // A smaller seed is not a smaller case.
    #![proptest_config(Config { max_shrink_iters: 0, ..cases(2) })]

    /// Every month in any currencies is billed, closed and corrected, the next one takes over what it left, the books
    /// of both are right, and it is the same month in another order.
    #[test]
    fn books_in_any_currencies_add_up_to_the_cent(seed in any::<u64>()) {
        let forward = world(seed);
        let without_pages = |night: &mut NightOptions, _: &mut RunOptions| night.documents = Documents::None;
        if let Err(error) = forward.run_with(PERIOD, without_pages) {
            let of = |problems: &[Diagnostic]| {
                let errors = problems.iter().filter(|one| one.severity == Severity::Error);
                errors.map(|one| one.message.clone() + "\n").collect::<String>()
            };
            let problems = if let Error::Invalid(problems) = &error { of(problems) } else { chain(&error) };
            return Err(TestCaseError::fail(format!("{problems}\n{}", told(&forward))));
        }
        let missing = missing(&forward, PERIOD);
        prop_assert!(missing.is_empty(), "{missing:?}\n{}", told(&forward));

        let backward = world(seed);
        let turned = |name: &str, between: &str| {
            let text = std::fs::read_to_string(backward.path(name)).unwrap();
            let mut tables: Vec<&str> = text.split(between).filter(|table| !table.is_empty()).collect();
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
        let csv = |world: &World| {
            let mut documents = world.documents(PERIOD);
            documents.retain(|name, _| name.ends_with(".csv"));
            documents
        };
        assert_same_files(&csv(&forward), &csv(&backward), "another order");

        // Closed, and what comes late is corrected: more of some, and of others the first that there is.
        let close = |date: &str| {
            let output = run(&forward, &["close", "--period", PERIOD, "--issue-date", date, "--force"]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            prop_assert!(matches!(output.status.code(), Some(0 | 4)), "{said}\n{}", told(&forward));
            Ok(())
        };
        close("2026-11-02")?;
        let late = usage(&mut Dice(seed.wrapping_add(1))).replace(":10:00Z", ":20:00Z");
        let late: Vec<&str> = late.lines().step_by(3).collect();
        forward.put("usage/late.csv", super::usage::HEADER.to_owned() + &late.join("\n") + "\n");
        close("2026-11-09")?;
        // The next month takes over what both left to it.
        let next = usage(&mut Dice(seed.wrapping_add(2))).replace("2026-10-", "2026-11-");
        forward.put("usage/next.csv", super::usage::HEADER.to_owned() + &next);
        if let Err(error) = forward.run_with(NEXT, without_pages) {
            return Err(TestCaseError::fail(format!("{}\n{}", chain(&error), told(&forward))));
        }
        for period in [PERIOD, NEXT] {
            let missing = self::missing(&forward, period);
            prop_assert!(missing.is_empty(), "{period}, corrected: {missing:?}\n{}", told(&forward));
        }
    }
}
