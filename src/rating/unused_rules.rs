//! The check for rules and prices that the usage of a period does not reach. This check reads a lake.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::rating_inputs::RatingInputs;
use crate::catalog::streams::{Catalog, map_entries};
use crate::error::Error;
use crate::model::rule::{Pricing, Rule};
use crate::rows;
use crate::rows::relations::{ApplicableRate, Rate, Rows};
use crate::run::{Context, Transaction};

/// A rule that no usage of a period reaches, or a rule with prices that no usage reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusedRule {
    pub rule_id: String,
    /// The unused prices: for each price, its line if the rule has a price list, and its values. Empty if the whole
    /// rule is unused.
    pub prices: Vec<(Option<usize>, String)>,
    pub price_count: usize,
}

/// The rules and prices that the usage of the period does not reach, in the order of rules. Factors are left out,
/// because several factors apply to the same usage.
pub async fn unused_rules(context: &Context, transaction: &Transaction) -> Result<Vec<UnusedRule>, Error> {
    let catalog =
        Catalog::load(&transaction.read("stream", |_| true).await?, &transaction.read("series", |_| true).await?)?;
    let stage = transaction.session.scope()?;
    let series = catalog.all_series()?;
    let inputs = RatingInputs::prepare(context, transaction, &stage, series, &context.rules).await?;
    let mut rule_of: HashMap<&str, &str> = HashMap::new();
    let rates: Rows<Rate> = Rows::read(std::slice::from_ref(&inputs.rate))?;
    for row in rates.iter() {
        rule_of.insert(row.rate_id(), row.rule_id());
    }
    let mut series_of: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for row in Rows::<ApplicableRate>::read(&inputs.applicable_rate)?.iter() {
        if let Some(rule_id) = rule_of.get(row.rate_id()) {
            series_of.entry((*rule_id).to_owned()).or_default().insert(row.series_id());
        }
    }
    let mut values_of: HashMap<u64, BTreeMap<Arc<str>, Arc<str>>> = HashMap::new();
    for batch in &inputs.active_series {
        let ids: &arrow::array::UInt64Array = rows::column(batch, "series_id")?;
        let dimensions: &arrow::array::MapArray = rows::column(batch, "dimensions")?;
        for row in 0..batch.num_rows() {
            values_of.insert(ids.value(row), map_entries(dimensions, row)?.into_iter().collect());
        }
    }
    let priced = context.rules.rules.iter().filter(|rule| !matches!(rule.pricing, Pricing::Factor(_)));
    Ok(priced.filter_map(|rule| of_rule(rule, series_of.get(&rule.id), &values_of)).collect())
}

/// A price of a rule: its line if the rule has a price list, and its values.
type Price<'a> = (Option<usize>, Vec<&'a str>);

fn of_rule(
    rule: &Rule,
    series: Option<&BTreeSet<u64>>,
    values_of: &HashMap<u64, BTreeMap<Arc<str>, Arc<str>>>,
) -> Option<UnusedRule> {
    let (by, prices): (Vec<&str>, Vec<Price<'_>>) = match &rule.pricing {
        Pricing::Prices { by, values } => (vec![by], values.keys().map(|value| (None, vec![value.as_str()])).collect()),
        Pricing::PriceList { dimensions, rows, .. } => {
            let rows = rows.iter().map(|row| (Some(row.line), row.values.iter().map(String::as_str).collect()));
            (dimensions.iter().map(String::as_str).collect(), rows.collect())
        }
        _ => (Vec::new(), Vec::new()),
    };
    let price_count = prices.len();
    let Some(series) = series else {
        return Some(UnusedRule { rule_id: rule.id.clone(), prices: Vec::new(), price_count });
    };
    let used: BTreeSet<Vec<&str>> = series
        .iter()
        .filter_map(|id| values_of.get(id))
        .filter_map(|values| by.iter().map(|name| values.get(*name).map(|value| &**value)).collect())
        .collect();
    let missing: Vec<(Option<usize>, String)> = prices
        .into_iter()
        .filter(|(_, values)| !used.contains(values))
        .map(|(line, values)| (line, values.join(", ")))
        .collect();
    (!missing.is_empty()).then(|| UnusedRule { rule_id: rule.id.clone(), prices: missing, price_count })
}
