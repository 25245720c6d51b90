//! The comparison of one period's costs under two sets of rules, for `conto rules diff`. The comparison writes no file.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use arrow::array::RecordBatch;

use super::batch_inputs::BatchInputs;
use super::price_batch;
use super::rating_inputs::RatingInputs;
use crate::catalog::streams::Catalog;
use crate::error::Error;
use crate::model::diagnostic::Diagnostic;
use crate::model::money::Cost;
use crate::model::rule_book::RuleBook;
use crate::model::terms::Conversion;
use crate::query::Parameters;
use crate::rows::relations::{NonUsageCharge, Rate, RatedUsage, Rows};
use crate::run::{Context, Transaction};

/// An unrounded cost under the old and under the new rules.
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

/// One of the two sets of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Before,
    After,
}

/// The payer of a cost. The account or the project may be absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Payer {
    pub account_id: Option<String>,
    pub project_id: Option<String>,
}

/// The cost of one period under two sets of rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    pub total: Change,
    pub by_rule: BTreeMap<String, Change>,
    pub by_payer: BTreeMap<Payer, Change>,
    /// The number of unrated usage rows under the old rules.
    pub unrated_before: usize,
    pub unrated_after: usize,
    /// Accounts without an invoice under one set of rules, with the reason. Their fees, discounts and minimum spends
    /// are not included.
    pub suspended_accounts: BTreeMap<String, String>,
}

impl Comparison {
    /// Adds the cost that a rule, a fee or another term charges to a payer.
    pub fn add(&mut self, side: Side, rule: &str, payer: Payer, cost: Cost) -> Result<(), Error> {
        self.total.add(side, cost)?;
        self.by_rule.entry(rule.to_owned()).or_default().add(side, cost)?;
        self.by_payer.entry(payer).or_default().add(side, cost)
    }
}

/// The rows of `charge` and `purchase`, from which invoices are computed.
#[derive(Debug, Default)]
pub struct Charges {
    pub charge: Vec<RecordBatch>,
    pub purchase: Vec<RecordBatch>,
}

/// Rates the metered usage of the period by one set of rules, and adds the costs to that side of the comparison.
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
    let inputs = RatingInputs::prepare(context, transaction, &stage, catalog.all_series()?, rules).await?;
    let mut rule_of: HashMap<&str, (&str, &str)> = HashMap::new();
    let rates: Rows<Rate> = Rows::read(std::slice::from_ref(&inputs.rate))?;
    for row in rates.iter() {
        rule_of.insert(row.rate_id(), (row.rule_id(), row.currency()));
    }
    // A missing exchange rate is an error only if a row has its currency. So each conversion is looked up at its first
    // row.
    let mut conversions: HashMap<&str, Conversion> = HashMap::new();
    for row in Rows::<NonUsageCharge>::read(&inputs.non_usage_charge)?.iter() {
        let cost = converted(row.contracted_cost(), conversion(context, row.currency())?)?;
        let payer =
            Payer { account_id: Some(row.account_id().to_owned()), project_id: row.project_id().map(str::to_owned) };
        comparison.add(side, row.rule_id(), payer, cost)?;
    }
    let purchase = stage.run("invoicing/purchase", Parameters::none()).await?;
    let mut charge = Vec::new();
    let batch_inputs = BatchInputs::new(&inputs)?;
    for number in 0..inputs.account_batches.count() {
        let priced = price_batch(&stage, &batch_inputs, number).await?;
        charge.extend(stage.run("invoicing/charge", Parameters::none()).await?);
        for row in Rows::<RatedUsage>::read(&priced.rated_usage)?.iter() {
            let rate = rule_of.get(row.rate_id());
            let (rule, currency) = *rate.ok_or(Error::Internal("a row of rated usage has no rate"))?;
            let conversion = match conversions.entry(currency) {
                Entry::Occupied(entry) => *entry.get(),
                Entry::Vacant(entry) => *entry.insert(conversion(context, currency)?),
            };
            let cost = converted(row.contracted_cost(), conversion)?;
            let payer = Payer {
                account_id: row.account_id().map(str::to_owned),
                project_id: row.project_id().map(str::to_owned),
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

/// The conversion from the currency of a price to the seller's currency, in which both sides are compared.
fn conversion(context: &Context, currency: &str) -> Result<Conversion, Error> {
    let tax_point = context.tax_point;
    let home = context.config.currency.code();
    context.config.exchange_rates.conversion(currency, home, tax_point).ok_or_else(|| {
        let message = format!("no exchange rate from {currency} to {home} for {tax_point}");
        let hint = "add it to the file of the key `exchange_rates`: both sides are compared in one currency";
        Error::Invalid(vec![Diagnostic::error("rates::missing", message).hint(hint)])
    })
}

fn converted(cost: Cost, conversion: Conversion) -> Result<Cost, Error> {
    conversion.of(cost, 18).ok_or(Error::COST_OVERFLOW)
}
