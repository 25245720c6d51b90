//! `conto rules`: checks, tests, lists, explains, compares and quotes the rules.

mod explain;
mod quote;

use crate::cli::rules::quote::WorkingResult;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::print::Printer;
use super::warnings;
use crate::cli::context::Context;
use crate::cli::context::errors;
use crate::cli::failure::Failure;
use crate::error::{Error, LakeError, count};
use crate::intake::resolve::collector::instant;
use crate::invoicing::fee::{self, FeeOutcome};
use crate::model::account::InvoicePer;
use crate::model::commitment_discount::{Committed, Reservation};
use crate::model::config::Config;
use crate::model::diagnostic::Diagnostic;
use crate::model::money::{Amount, Cost, places_of};
use crate::model::one_off_charge::{ChargePayer, ONE_OFF, OneOffCharge};
use crate::model::period::{BillingPeriod, Calendar};
use crate::model::recurring::{Billed, FeeScope, RecurringFee};
use crate::model::rule::{Divisor, MissingWindows, PUBLIC, PoolIncludedUnits, Pricing, Rule};
use crate::model::rule_book::RuleBook;
use crate::model::terms::Fee;
use crate::pipeline;
use crate::query::Session;
use crate::rating::comparison::Change;
use crate::rating::eligibility;
use crate::rating::example::{ExampleOutcome, run_examples};
use crate::rating::{one_off_charges, unreachable_rules};

/// The largest number of prices of a rule that a message lists.
const MOST_LISTED: usize = 10;

/// The component of a rule without an explicit component.
const BASE: &str = "base";

/// Check, test, list, explain, compare and quote the rules
#[derive(Debug, Subcommand)]
pub(super) enum RulesCommand {
    Check(CheckCommand),
    Test(TestCommand),
    List(ListCommand),
    Explain(explain::ExplainCommand),
    Diff(DiffCommand),
    Quote(quote::QuoteCommand),
}

/// Check all rules; report every error and warning
#[derive(Debug, Args)]
#[command(after_help = "Example: conto rules check --strict --used-in 2026-09")]
pub(super) struct CheckCommand {
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,

    /// Show every warning with its place, however many there are of a kind
    #[arg(long)]
    all: bool,

    /// Also list the rules and prices that no usage of this month in the lake reaches
    #[arg(long, value_name = "YYYY-MM")]
    used_in: Option<BillingPeriod>,
}

/// Price the examples of all rules and compare the results
#[derive(Debug, Args)]
pub(super) struct TestCommand {}

/// List the rules with their prices
#[derive(Debug, Args)]
pub(super) struct ListCommand {}

/// Compare the current rules with other rules on the usage of a past month
///
/// Compares costs before rounding, with fees, discounts and minimum spends, without credits and tax. Commits nothing.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto rules diff --against next-year/rating-rules --period 2026-09")]
pub(super) struct DiffCommand {
    /// The directory of the other rules
    #[arg(long, value_name = "DIR")]
    against: PathBuf,

    /// The month with the usage
    #[arg(long, value_name = "YYYY-MM")]
    period: BillingPeriod,
}

impl RulesCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Check(command) => command.execute(context).await,
            Self::Test(command) => command.execute(context).await,
            Self::List(command) => command.execute(context),
            Self::Explain(command) => command.execute(context).await,
            Self::Diff(command) => command.execute(context).await,
            Self::Quote(command) => command.execute(context).await,
        }
    }
}

#[derive(Debug, Serialize)]
struct Checked {
    meters: usize,
    rules: usize,
    recurring_fees: usize,
    charges: usize,
    fees: usize,
    examples: usize,
    warnings: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_reached: Option<Vec<NotReached>>,
}

/// A rule with prices that no usage of a month reaches.
#[derive(Debug, Serialize)]
struct NotReached {
    rule: String,
    /// The unused prices; empty if no usage reaches the rule at all.
    prices: Vec<String>,
    price_count: usize,
}

impl NotReached {
    /// A sentence with the first few prices; a price list may have thousands.
    fn sentence(&self, period: BillingPeriod) -> String {
        if self.prices.is_empty() {
            return format!("rule `{}` prices no usage of {period}", self.rule);
        }
        let more = self.prices.len().saturating_sub(MOST_LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let listed: Vec<&str> = self.prices.iter().take(MOST_LISTED).map(String::as_str).collect();
        let (missing, all) = (self.prices.len(), count(self.price_count, "price"));
        format!("rule `{}`: no usage of {period} has {missing} of its {all}: {}{more}", self.rule, listed.join("; "))
    }
}

async fn not_reached(
    context: &Context,
    config: Arc<Config>,
    rules: Arc<RuleBook>,
    period: BillingPeriod,
) -> Result<Vec<NotReached>, Failure> {
    let unused = pipeline::unused_rules(config, rules, period, context.reading_options()).await?;
    let found = unused.into_iter().map(|unused| {
        let price = |(line, values): (Option<usize>, String)| match line {
            Some(line) => format!("{values} (line {line})"),
            None => values,
        };
        NotReached {
            rule: unused.rule_id,
            prices: unused.prices.into_iter().map(price).collect(),
            price_count: unused.price_count,
        }
    });
    Ok(found.collect())
}

/// Adds the problems of charges with the accounts, and the warnings about rules that can never apply. Only
/// `conto rules check` reports these warnings.
fn with_unreachable(config: &Config, book: &RuleBook, found: Vec<Diagnostic>) -> Result<Vec<Diagnostic>, Failure> {
    let zone = TimeZone::get(&config.time_zone)
        .map_err(|source| Error::Lake(LakeError::TimeZone { name: config.time_zone.clone(), source }))?;
    let mut warnings = unreachable_rules::unreachable(&Session::new(None)?, book, &config.accounts, &zone)?;
    let of_charges = one_off_charges::problems(&book.charges, config, Calendar::new(zone));
    found.into_iter().chain(of_charges).for_each(|problem| warnings.push(problem));
    Ok(warnings.into_sorted())
}

impl CheckCommand {
    async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, of_config) = context.read_config_and_warnings()?;
        let (book, mut found) = context.read_rules(&config)?;
        if errors(found.clone()).is_empty() {
            found = with_unreachable(&config, &book, found)?;
        }
        found.extend(of_config);
        let warnings = warnings::of(&found).count();
        warnings::print(&context.printer, &found, self.all);
        let errors = errors(found);
        if !errors.is_empty() {
            return Err(Failure::Invalid(errors));
        }
        if self.strict && warnings > 0 {
            return Err(Failure::RuleCheck(format!("{}, and --strict allows none", count(warnings, "warning"))));
        }
        let of_fees = book.recurring.iter().map(|fee| fee.examples.len());
        let of_fees = of_fees.chain(book.terms.fees.iter().map(|fee| fee.examples.len()));
        let of_fees = of_fees.chain(book.reservations.iter().map(|one| one.examples.len()));
        let examples: usize = book.rules.iter().map(|rule| rule.examples.len()).chain(of_fees).sum();
        let (meters, rules) = (book.meters.len(), book.rules.len());
        let (recurring_fees, charges, fees) = (book.recurring.len(), book.charges.len(), book.terms.fees.len());
        let not_reached = match self.used_in {
            Some(period) => Some(not_reached(context, config, Arc::new(book), period).await?),
            None => None,
        };
        if context.printer.is_json() {
            let checked = Checked { meters, rules, recurring_fees, charges, fees, examples, warnings, not_reached };
            context.printer.json(&checked);
            return Ok(());
        }
        if let (Some(period), Some(not_reached)) = (self.used_in, &not_reached) {
            for row in not_reached {
                context.printer.line(&row.sentence(period));
            }
        }
        context.printer.line(&format!(
            "{}, {}, {}{}, {}",
            count(meters, "meter"),
            count(rules, "rule"),
            [(recurring_fees, "recurring fee"), (charges, "one-off charge"), (fees, "fee")]
                .into_iter()
                .filter(|(number, _)| *number > 0)
                .map(|(number, noun)| format!("{}, ", count(number, noun)))
                .collect::<String>(),
            count(examples, "example"),
            if warnings == 0 { "no warnings".to_owned() } else { count(warnings, "warning") }
        ));
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct ExampleResult {
    rule: String,
    place: String,
    name: String,
    passed: bool,
    expected: Vec<String>,
    found: Vec<String>,
    note: Option<String>,
    working: Vec<WorkingResult>,
    /// The working of a fee, as sentences.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lines: Vec<String>,
}

impl ExampleResult {
    fn of_fee(outcome: &FeeOutcome, places: u32) -> Self {
        let stated = |amount: Amount| vec![format!("net_amount {}", amount.to_text(places))];
        Self {
            rule: outcome.fee_id.clone(),
            place: outcome.declared_at.to_string(),
            name: outcome.name.clone(),
            passed: outcome.expected == outcome.found,
            expected: stated(outcome.expected),
            found: stated(outcome.found),
            note: None,
            working: Vec::new(),
            lines: outcome.working.clone(),
        }
    }
}

impl From<&ExampleOutcome> for ExampleResult {
    fn from(outcome: &ExampleOutcome) -> Self {
        let stated = [("cost", outcome.cost), ("net_amount", outcome.net_amount)];
        let stated: Vec<_> = stated.into_iter().filter_map(|(name, pair)| pair.map(|pair| (name, pair))).collect();
        Self {
            rule: outcome.rule_id.clone(),
            place: outcome.declared_at.to_string(),
            name: outcome.name.clone(),
            passed: outcome.passed(),
            expected: stated.iter().map(|(name, (expected, _))| format!("{name} {}", expected.to_text(2))).collect(),
            found: stated.iter().map(|(name, (_, found))| format!("{name} {}", found.to_text(2))).collect(),
            note: outcome.note.clone(),
            working: outcome.working.iter().map(WorkingResult::from).collect(),
            lines: Vec::new(),
        }
    }
}

impl TestCommand {
    async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let zone = TimeZone::get(&config.time_zone)
            .map_err(|source| Error::Lake(LakeError::TimeZone { name: config.time_zone.clone(), source }))?;
        let session = Session::new(None)?;
        let (compiled, _) = eligibility::compile(&session, &rules);
        let outcomes = run_examples(&session, &rules, &compiled, &zone).await?;
        let mut results: Vec<ExampleResult> = outcomes.iter().map(ExampleResult::from).collect();
        let places = |fee: &FeeOutcome| ExampleResult::of_fee(fee, places_of(config.currency));
        results.extend(fee::run_examples(&rules.terms)?.iter().map(places));
        let failed = results.iter().filter(|result| !result.passed).count();
        if context.printer.is_json() {
            context.printer.json(&results);
        } else {
            for result in &results {
                let mark = if result.passed { "ok    " } else { "FAILED" };
                context.printer.line(&format!("{mark} {}: {}", result.rule, result.name));
                if !result.passed {
                    context.printer.line(&format!("       at {}", result.place));
                    context.printer.line(&format!("       expected {}", result.expected.join(", ")));
                    context.printer.line(&format!("       found    {}", result.found.join(", ")));
                    if let Some(note) = &result.note {
                        context.printer.line(&format!("       {note}"));
                    }
                    for part in result.working.iter().map(WorkingResult::sentence).chain(result.lines.clone()) {
                        context.printer.line(&format!("       {part}"));
                    }
                }
            }
            context.printer.line(&format!("{} passed, {failed} failed", results.len() - failed));
        }
        if failed == 0 { Ok(()) } else { Err(Failure::RuleCheck(format!("{} failed", count(failed, "example")))) }
    }
}

#[derive(Debug, Serialize)]
struct ListedRule {
    rule: String,
    meter: String,
    component: String,
    card: String,
    priority: i64,
    /// The inclusive start of validity; `valid_to` is the exclusive end. Both are in RFC 3339, or dates for fees.
    valid_from: Option<String>,
    valid_to: Option<String>,
    sku: String,
    price: String,
    unit: String,
    when: Option<String>,
    place: String,
}

#[derive(Debug, Serialize)]
struct ListedIncludedUnits {
    included_units: String,
    meter: String,
    pool: String,
    units: String,
    prorated: bool,
    when: Option<String>,
    place: String,
}

#[derive(Debug, Serialize)]
struct Listed {
    rules: Vec<ListedRule>,
    included_units: Vec<ListedIncludedUnits>,
}

impl ListCommand {
    fn execute(self, context: &Context) -> Result<(), Failure> {
        let (_, rules) = context.read_all()?;
        let fees = rules.recurring.iter().map(listed_fee).chain(rules.terms.fees.iter().map(listed_percent));
        let fees = fees.chain(rules.reservations.iter().map(listed_commitment_discount));
        let fees = fees.chain(rules.charges.iter().map(listed_charge));
        let listed: Vec<ListedRule> = rules.rules.iter().map(listed).chain(fees).collect();
        let included_units: Vec<ListedIncludedUnits> = rules.included_units.iter().map(listed_included_units).collect();
        if context.printer.is_json() {
            context.printer.json(&Listed { rules: listed, included_units });
            return Ok(());
        }
        let rows: Vec<Vec<String>> = listed
            .into_iter()
            .map(|rule| {
                let applies = applies(&rule);
                vec![rule.rule, rule.meter, rule.price, rule.unit, applies, rule.place]
            })
            .collect();
        let header = ["rule", "meter", "price", "unit", "applies", "at"];
        context.printer.table(&header, &rows, &[]);
        if !included_units.is_empty() {
            let rows = included_units.into_iter().map(|row| {
                let applies = row.when.map(|when| format!("when {when}")).unwrap_or_default();
                let by = if row.prorated { "its time" } else { "none" };
                vec![row.included_units, row.meter, row.units, row.pool, by.to_owned(), applies, row.place]
            });
            context.printer.line("");
            let header = ["included units", "for each", "units", "pool", "prorated by", "applies", "at"];
            context.printer.table(&header, &rows.collect::<Vec<_>>(), &[]);
        }
        Ok(())
    }
}

/// The settings of a rule that are not the default.
fn applies(rule: &ListedRule) -> String {
    let component = (rule.component != BASE).then(|| format!("component {}", rule.component));
    let priority = (rule.priority != 0).then(|| format!("priority {}", rule.priority));
    let card = (rule.card != PUBLIC).then(|| format!("card {}", rule.card));
    let from = rule.valid_from.as_ref().map(|from| format!("from {from}"));
    let to = rule.valid_to.as_ref().map(|to| format!("until {to}"));
    let when = rule.when.as_ref().map(|when| format!("when {when}"));
    let parts: Vec<String> = [component, card, priority, from, to, when].into_iter().flatten().collect();
    parts.join(", ")
}

/// The settings of a pool that change a price.
fn pool_settings(rule: &Rule) -> Vec<String> {
    let free = (!rule.free_units.is_zero()).then(|| format!("{} free", rule.free_units));
    let percentile = rule.percentile.map(|percentile| {
        let windows = match percentile.missing_windows {
            MissingWindows::Zero => "all windows",
            MissingWindows::Ignore => "windows with a record",
        };
        format!("percentile {} of {windows}", percentile.percent)
    });
    let windows = (!rule.windows.is_empty()).then(|| count(rule.windows.len(), "price window"));
    let minimum = rule.minimum.map(|minimum| format!("at least {}", minimum.to_text(2)));
    let maximum = rule.maximum.map(|maximum| format!("at most {}", maximum.to_text(2)));
    let cap = rule.cap.map(|cap| format!("{} from {} hours on", cap.price.to_text(2), cap.hours));
    [free, percentile, windows, minimum, maximum, cap].into_iter().flatten().collect()
}

fn listed_included_units(grant: &PoolIncludedUnits) -> ListedIncludedUnits {
    ListedIncludedUnits {
        included_units: grant.id.clone(),
        meter: grant.meter.clone(),
        pool: grant.pool.clone(),
        units: grant.units.to_string(),
        prorated: grant.prorated,
        when: grant.when.as_ref().map(|when| when.text.clone()),
        place: format!("{}:{}", grant.declared_at.source.name, grant.declared_at.line()),
    }
}

fn listed(rule: &Rule) -> ListedRule {
    let price = match &rule.pricing {
        Pricing::UnitPrice { amount, per } if per.to_string() == "1" => amount.to_text(2),
        Pricing::UnitPrice { amount, per } => format!("{} per {per}", amount.to_text(2)),
        Pricing::Prices { by, values } => format!("{} by {by}", count(values.len(), "price")),
        Pricing::PriceList { file, rows, .. } => format!("{} in {file}", count(rows.len(), "price")),
        Pricing::Tiers { kind, tiers, .. } => {
            let limits = (1..).zip(tiers).filter_map(|(number, tier)| {
                tier.max_amount.map(|amount| format!(", at most {} in tier {number}", amount.to_text(2)))
            });
            format!("{}, {}{}", kind.name(), count(tiers.len(), "tier"), limits.collect::<String>())
        }
        Pricing::Package { unit_price, package } => {
            format!("{} per package of {}", unit_price.to_text(2), package.size)
        }
        Pricing::Percent(percent) => format!("{percent} %"),
        Pricing::CapOnly => "by the cap".to_owned(),
        Pricing::Factor(_) => "factor".to_owned(),
        Pricing::Free => "free".to_owned(),
    };
    let unit = match rule.pricing_unit.of {
        Divisor::Number(number) if number.to_string() == "1" => rule.pricing_unit.name.clone(),
        Divisor::Number(number) => format!("{} (of {number})", rule.pricing_unit.name),
        Divisor::HoursInPeriod => format!("{} (of the period's hours)", rule.pricing_unit.name),
        Divisor::SecondsInPeriod => format!("{} (of the period's seconds)", rule.pricing_unit.name),
    };
    let price = std::iter::once(price).chain(pool_settings(rule)).collect::<Vec<_>>().join(", ");
    ListedRule {
        card: rule.card.clone(),
        valid_from: rule.valid_from.map(|from| instant(from).into_owned()),
        valid_to: rule.valid_to.map(|to| instant(to).into_owned()),
        rule: rule.id.clone(),
        meter: rule.meter.clone(),
        component: rule.component.clone(),
        priority: rule.priority,
        sku: rule.sku.clone(),
        price,
        unit,
        when: rule.when.as_ref().map(|when| when.text.clone()),
        place: format!("{}:{}", rule.declared_at.source.name, rule.declared_at.line()),
    }
}

/// A recurring fee in the list of rules. The meter is the meter of the resources, or empty.
fn listed_fee(fee: &RecurringFee) -> ListedRule {
    let meter = match &fee.per {
        FeeScope::Resource { meter, .. } => meter.clone(),
        FeeScope::Account | FeeScope::Project => String::new(),
    };
    let billed = if fee.billed == Billed::InAdvance { " in advance" } else { "" };
    ListedRule {
        rule: fee.id.clone(),
        meter,
        component: "recurring".to_owned(),
        card: fee.card.clone(),
        valid_from: fee.validity.from.map(|from| from.to_string()),
        valid_to: fee.validity.to.map(|to| to.to_string()),
        priority: 0,
        sku: fee.sku.clone(),
        price: format!("{} per {}{billed}", fee.unit_price.to_text(2), fee.per.name()),
        unit: fee.unit.clone(),
        when: fee.when.as_ref().map(|when| when.text.clone()),
        place: format!("{}:{}", fee.declared_at.source.name, fee.declared_at.line()),
    }
}

/// A one-off charge in the list of rules.
fn listed_charge(charge: &OneOffCharge) -> ListedRule {
    let (kind, payer) = match &charge.payer {
        ChargePayer::Account(id) => ("account", id),
        ChargePayer::Project(id) => ("project", id),
    };
    let price = charge.unit_price.to_text(2);
    let price = match (charge.unit.is_empty(), charge.quantity.is_negative()) {
        (true, true) => format!("-{price}"),
        (true, false) => price,
        (false, _) => format!("{} × {price}", charge.quantity),
    };
    ListedRule {
        rule: charge.id.clone(),
        meter: String::new(),
        component: ONE_OFF.to_owned(),
        card: PUBLIC.to_owned(),
        valid_from: None,
        valid_to: None,
        priority: 0,
        sku: charge.sku.clone(),
        price: format!("{price} for {kind} {payer} on {}", charge.date),
        unit: charge.unit.clone(),
        when: None,
        place: format!("{}:{}", charge.declared_at.source.name, charge.declared_at.line()),
    }
}

fn listed_percent(fee: &Fee) -> ListedRule {
    let percents: Vec<String> = fee.bands.iter().map(|band| band.percent.to_string()).collect();
    let per = if fee.per == InvoicePer::Account { "account" } else { "project" };
    let minimum = fee.minimum.map(|minimum| format!(", at least {}", minimum.to_text(2))).unwrap_or_default();
    ListedRule {
        rule: fee.id.clone(),
        meter: String::new(),
        component: "fee".to_owned(),
        card: fee.card.clone(),
        valid_from: fee.validity.from.map(|from| from.to_string()),
        valid_to: fee.validity.to.map(|to| to.to_string()),
        priority: 0,
        sku: fee.sku.clone(),
        price: format!("{} % per {per}{minimum}", percents.join(", ")),
        unit: fee.base.label().to_owned(),
        when: fee.when.as_ref().map(|when| when.text.clone()),
        place: format!("{}:{}", fee.declared_at.source.name, fee.declared_at.line()),
    }
}

fn listed_commitment_discount(discount: &Reservation) -> ListedRule {
    let meters: BTreeSet<&str> = discount.covers.iter().map(|cover| cover.meter.as_str()).collect();
    let price = match discount.committed {
        Committed::Quantity { quantity, unit_price } => {
            format!("{quantity} at {} for every hour", unit_price.to_text(2))
        }
        Committed::Amount(amount) => format!("{} for every hour", amount.to_text(2)),
    };
    ListedRule {
        rule: discount.id.clone(),
        meter: meters.into_iter().collect::<Vec<_>>().join(", "),
        component: discount.charge_kind().to_owned(),
        card: PUBLIC.to_owned(),
        valid_from: discount.validity.from.map(|from| from.to_string()),
        valid_to: discount.validity.to.map(|to| to.to_string()),
        priority: 0,
        sku: discount.sku.clone(),
        price,
        unit: format!("of {}", discount.account),
        when: discount
            .covers
            .first()
            .filter(|_| discount.covers.len() == 1)
            .and_then(|cover| cover.when.as_ref())
            .map(|when| when.text.clone()),
        place: format!("{}:{}", discount.declared_at.source.name, discount.declared_at.line()),
    }
}

#[derive(Debug, Serialize)]
struct Changed {
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    before: String,
    after: String,
    change: String,
}

#[derive(Debug, Serialize)]
struct Difference {
    period: String,
    currency: String,
    by_rule: Vec<Changed>,
    by_project: Vec<Changed>,
    total: Changed,
    projects_that_pay_more: usize,
    projects_that_pay_less: usize,
    unrated_before: usize,
    unrated_after: usize,
}

fn changed(change: Change, places: u32) -> Changed {
    // Printed amounts are rounded; the comparison is exact.
    let text = |cost: Cost| cost.round_to(places).to_text(places);
    Changed {
        rule: None,
        account: None,
        project: None,
        before: text(change.before),
        after: text(change.after),
        change: change.difference().map(text).unwrap_or_default(),
    }
}

impl DiffCommand {
    async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let other = Config { rules: self.against.clone(), ..(*config).clone() };
        let (other, found) = context.read_rules(&other)?;
        let wrong = errors(found);
        if !wrong.is_empty() {
            return Err(Failure::Invalid(wrong));
        }
        let places = places_of(config.currency);
        let currency = config.currency.code();
        let comparison =
            pipeline::compare(Arc::clone(&config), rules, &other, self.period, context.reading_options()).await?;
        let is_changed = |change: &Change| change.before != change.after;
        let by_rule = comparison.by_rule.iter().filter(|(_, change)| is_changed(change));
        let by_project = comparison.by_payer.iter().filter(|(_, change)| is_changed(change));
        let pay = |more: bool| {
            let changes = comparison.by_payer.values();
            changes.filter(|change| change.after != change.before && (change.after > change.before) == more).count()
        };
        let difference = Difference {
            period: self.period.to_string(),
            currency: currency.to_owned(),
            by_rule: by_rule
                .map(|(rule, change)| Changed { rule: Some(rule.clone()), ..changed(*change, places) })
                .collect(),
            by_project: by_project
                .map(|(payer, change)| Changed {
                    account: payer.account_id.clone(),
                    project: payer.project_id.clone(),
                    ..changed(*change, places)
                })
                .collect(),
            total: changed(comparison.total, places),
            projects_that_pay_more: pay(true),
            projects_that_pay_less: pay(false),
            unrated_before: comparison.unrated_before,
            unrated_after: comparison.unrated_after,
        };
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&difference);
            return Ok(());
        }
        difference.print(printer);
        for (account, why) in &comparison.suspended_accounts {
            let what = "its fees, discounts and minimum spends are left out";
            printer.message(&format!("warning: `{account}` would be suspended, so {what}: {why}"));
        }
        if difference.unrated_after > difference.unrated_before {
            printer.message(&format!(
                "warning: {} of usage would lose their price",
                count(difference.unrated_after - difference.unrated_before, "row")
            ));
        }
        Ok(())
    }
}

impl Difference {
    fn print(&self, printer: &Printer) {
        let cells = |first: Vec<String>, changed: &Changed| -> Vec<String> {
            let amounts = [&changed.before, &changed.after, &changed.change].map(String::clone);
            first.into_iter().chain(amounts).collect()
        };
        let rows: Vec<Vec<String>> =
            self.by_rule.iter().map(|row| cells(vec![row.rule.clone().unwrap_or_default()], row)).collect();
        if !rows.is_empty() {
            printer.table(&["rule", "before", "after", "change"], &rows, &[1, 2, 3]);
            printer.line("");
        }
        let name = |name: &Option<String>| name.clone().unwrap_or_else(|| "unassigned".to_owned());
        let rows: Vec<Vec<String>> =
            self.by_project.iter().map(|row| cells(vec![name(&row.account), name(&row.project)], row)).collect();
        if !rows.is_empty() {
            printer.table(&["account", "project", "before", "after", "change"], &rows, &[2, 3, 4]);
            printer.line("");
        }
        let total = &self.total;
        printer.line(&format!(
            "{} of {}: {} before, {} after, a change of {}; {} pay more, {} pay less",
            self.currency,
            self.period,
            total.before,
            total.after,
            total.change,
            count(self.projects_that_pay_more, "project"),
            count(self.projects_that_pay_less, "project"),
        ));
    }
}
