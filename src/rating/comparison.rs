//! What a period's usage costs under one set of rules and under another: `conto rules diff`. Nothing is written.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;

use super::{prepare, price_portion};
use crate::catalog::streams::Catalog;
use crate::error::Error;
use crate::model::diagnostic::Diagnostic;
use crate::model::money::Cost;
use crate::model::rule_book::RuleBook;
use crate::model::terms::Conversion;
use crate::query::Parameters;
use crate::rows;
use crate::run::{Context, Transaction};

/// A cost under the one and under the other rules, unrounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub before: Cost,
    pub after: Cost,
}

impl Change {
    pub fn difference(self) -> Option<Cost> {
        self.after.checked_sub(self.before)
    }

    fn add(&mut self, side: Side, cost: Cost) -> Result<(), Error> {
        let sum = match side {
            Side::Before => &mut self.before,
            Side::After => &mut self.after,
        };
        *sum = sum.checked_add(cost).ok_or(Error::COST_OVERFLOW)?;
        Ok(())
    }
}

/// Which rules are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// Whose usage it is; a project may be nobody's, and an account unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payer {
    pub account_id: Option<String>,
    pub project_id: Option<String>,
}

/// The usage of one period under two sets of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub total: Change,
    pub by_rule: BTreeMap<String, Change>,
    pub by_payer: BTreeMap<Payer, Change>,
    /// Rows of usage that nothing prices.
    pub unrated_before: usize,
    pub unrated_after: usize,
    /// Accounts that get no invoice under one of them, with the reason: fees, discounts and commitments of theirs are
    /// not in it.
    pub suspended_accounts: BTreeMap<String, String>,
}

impl Comparison {
    /// What a rule, a fee or another term asks a payer for.
    pub fn add(&mut self, side: Side, rule: &str, payer: Payer, cost: Cost) -> Result<(), Error> {
        self.total.add(side, cost)?;
        self.by_rule.entry(rule.to_owned()).or_default().add(side, cost)?;
        self.by_payer.entry(payer).or_default().add(side, cost)
    }
}

/// What invoices would be made of: rows of `charge` and of `purchase`.
#[derive(Debug, Default)]
pub struct Charges {
    pub charge: Vec<RecordBatch>,
    pub purchase: Vec<RecordBatch>,
}

/// Rates the metered usage of the period by some rules, and adds it to one side of a comparison.
pub async fn rate_side(
    context: &Context,
    transaction: &Transaction,
    catalog: &Catalog,
    rules: &RuleBook,
    side: Side,
    comparison: &mut Comparison,
) -> Result<Charges, Error> {
    context.options.progress.begin("Rating", 1);
    let stage = transaction.session.scope()?;
    let prepared = prepare(context, transaction, &stage, catalog.all_series()?, rules).await?;
    let mut rule_of: HashMap<&str, (&str, &str)> = HashMap::new();
    for row in rows::each(std::slice::from_ref(&prepared.rate)) {
        rule_of.insert(row.text("rate_id")?, (row.text("rule_id")?, row.text("currency")?));
    }
    // A rate is asked for where something costs money in its currency, and not where a rule might once.
    let mut conversions: HashMap<&str, Conversion> = HashMap::new();
    for row in rows::each(&prepared.non_usage_charge) {
        let cost = converted(row.decimal("contracted_cost")?, conversion(context, row.text("currency")?)?)?;
        let payer = Payer {
            account_id: Some(row.text("account_id")?.to_owned()),
            project_id: row.optional_text("project_id")?.map(str::to_owned),
        };
        comparison.add(side, row.text("rule_id")?, payer, cost)?;
    }
    let purchase = stage.run("invoicing/purchase", Parameters::none()).await?;
    let mut charge = Vec::new();
    for number in 0..prepared.portions.count {
        let priced = price_portion(&stage, &prepared, number).await?;
        charge.extend(stage.run("invoicing/charge", Parameters::none()).await?);
        for row in rows::each(&priced.rated_usage) {
            let rate = rule_of.get(row.text("rate_id")?);
            let (rule, currency) = *rate.ok_or(Error::Internal("rated usage without its rate"))?;
            let conversion = match conversions.entry(currency) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => *unknown.insert(conversion(context, currency)?),
            };
            let cost = converted(row.decimal("contracted_cost")?, conversion)?;
            let payer = Payer {
                account_id: row.optional_text("account_id")?.map(str::to_owned),
                project_id: row.optional_text("project_id")?.map(str::to_owned),
            };
            comparison.add(side, rule, payer, cost)?;
        }
        let unrated = priced.unrated_usage.iter().map(RecordBatch::num_rows).sum::<usize>();
        match side {
            Side::Before => comparison.unrated_before += unrated,
            Side::After => comparison.unrated_after += unrated,
        }
    }
    context.options.progress.end();
    Ok(Charges { charge, purchase })
}

/// From the currency of a price to that of the seller, in which both sides stand.
fn conversion(context: &Context, currency: &str) -> Result<Conversion, Error> {
    let tax_point = context.tax_point;
    let home = context.config.currency.code();
    context.config.exchange_rates.conversion(currency, home, tax_point).ok_or_else(|| {
        let message = format!("there is no exchange rate of {currency} in {home} for {tax_point}");
        let hint =
            "add it to the file that `exchange_rates` names: what rules make of a month is compared in one currency";
        Error::Invalid(vec![Diagnostic::error("rates::missing", message).hint(hint)])
    })
}

fn converted(cost: Cost, conversion: Conversion) -> Result<Cost, Error> {
    conversion.of(cost, 18).ok_or(Error::COST_OVERFLOW)
}
