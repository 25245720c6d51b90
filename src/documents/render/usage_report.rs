//! The usage report of one project: what its usage cost, by day, service, sku and resource.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use super::chart::Chart;
use super::cost_error::CostError;
use super::invoice::{Project, iso_date};
use crate::model::money::{Cost, Quantity};

/// How many services the chart and the table of days tell apart; the smaller ones are put together.
const MOST_SERVICES: usize = 8;
/// What the smaller services are put together under.
const OTHER_SERVICES: &str = "Other services";

/// The usage of one project in one billing period.
///
/// Costs are exact, not yet rounded to the currency; the page rounds them for show and says so. The costs of
/// `services` and of `daily_costs` must each add up to `contracted_cost`, to the last digit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageReportPage {
    /// None for usage without a project.
    pub project: Option<Project>,
    pub account_id: Option<String>,
    pub account_name: Option<String>,
    pub status: InvoicingStatus,
    pub invoice: Option<InvoiceLink>,
    #[serde(serialize_with = "iso_date")]
    pub billing_period_start: Date,
    /// Exclusive; the page shows the last day.
    #[serde(serialize_with = "iso_date")]
    pub billing_period_end: Date,
    pub time_zone: String,
    pub hours_in_period: u32,
    /// ISO 4217 code.
    pub currency: String,
    #[serde(serialize_with = "exact_text")]
    pub contracted_cost: Cost,
    /// By the public card, where it is another.
    pub list_cost: Option<String>,
    /// Largest cost first; the first ones get a colour of their own in the chart.
    pub services: Vec<ServiceCost>,
    /// Sparse: days and services without a row cost nothing. Any order.
    pub daily_costs: Vec<DailyCost>,
    pub skus: Vec<SkuCost>,
    /// The resources that cost most, largest first.
    pub top_resources: Vec<ResourceCost>,
    /// All the others.
    pub other_resources: Option<OtherResources>,
    pub unrated_usage: Vec<UnratedUsage>,
    /// Program and version.
    pub generated_by: String,
}

/// Whether somebody pays for a project's usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoicingStatus {
    Invoiced,
    /// Metered and reported, not invoiced.
    Internal,
    /// Invoiced by the reseller whose customer the account is.
    Retail,
    /// Usage that names no project, or one that no account pays for.
    Unattributed,
}

/// The invoice that a report belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InvoiceLink {
    pub number: String,
    /// Relative path of the page, as a path and not yet as a URL.
    pub path: String,
}

/// What one service cost in the period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceCost {
    pub service: String,
    #[serde(serialize_with = "exact_text")]
    pub contracted_cost: Cost,
}

/// What one service cost on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DailyCost {
    #[serde(serialize_with = "iso_date")]
    pub charge_date: Date,
    pub service: String,
    #[serde(serialize_with = "exact_text")]
    pub contracted_cost: Cost,
}

/// What one sku cost in the period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SkuCost {
    pub sku: String,
    pub service: Option<String>,
    pub description: String,
    pub quantity: String,
    pub unit: String,
    pub contracted_cost: String,
    /// By the public card; shown where the whole report has one.
    pub list_cost: String,
}

/// What one resource cost in the period, for one meter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ResourceCost {
    pub resource_id: String,
    pub display_name: Option<String>,
    pub labels: Vec<Label>,
    pub service: Option<String>,
    pub meter: String,
    pub quantity: String,
    pub unit: String,
    pub contracted_cost: String,
}

/// A label of a resource: its cost centre, a tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Label {
    pub name: String,
    pub value: String,
}

/// The resources that are not listed one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OtherResources {
    pub resource_count: u64,
    pub contracted_cost: String,
}

/// Usage of one resource that has no price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnratedUsage {
    pub meter: String,
    pub resource_id: String,
    pub quantity: String,
    pub unit: String,
    pub reason: String,
}

/// Usage without a price of one meter, over all resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnratedUsageSummary {
    pub meter: String,
    pub resource_count: u64,
    pub quantity: String,
    pub unit: String,
    pub reason: String,
}

/// What the template needs beside the page itself: the same costs, arranged for the eye.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Arrangement {
    chart: Chart,
    /// Heads of the table of days.
    columns: Vec<String>,
    days: Vec<Day>,
    column_totals: Vec<String>,
    /// Of all days and services.
    total: String,
    /// Per service, tenths of a percent as text.
    shares: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Day {
    #[serde(serialize_with = "iso_date")]
    charge_date: Date,
    /// One for each column; none where nothing was used.
    costs: Vec<Option<String>>,
    contracted_cost: String,
}

impl UsageReportPage {
    /// Every day of the period, the small services put together, and the chart of it.
    pub(crate) fn arrange(&self) -> Result<Arrangement, CostError> {
        let mut columns: Vec<String> = self.services.iter().map(|service| service.service.clone()).collect();
        if columns.len() > MOST_SERVICES {
            columns.truncate(MOST_SERVICES - 1);
            columns.push(OTHER_SERVICES.to_owned());
        }
        let mut costs: BTreeMap<Date, Vec<Option<Cost>>> = BTreeMap::new();
        for date in self.billing_period_start.series(jiff::Span::new().days(1)) {
            if date >= self.billing_period_end {
                break;
            }
            costs.insert(date, vec![None; columns.len()]);
        }
        for daily in &self.daily_costs {
            // A service that is not listed, or a day outside the period, is a mistake of the caller that a total would
            // not show, so it is an error and not left out.
            let column = match columns.iter().position(|column| *column == daily.service) {
                Some(column) => column,
                None if self.services.iter().any(|service| service.service == daily.service) => MOST_SERVICES - 1,
                None => return Err(CostError::Unlisted(daily.service.clone())),
            };
            let cells =
                costs.get_mut(&daily.charge_date).ok_or_else(|| CostError::Unlisted(daily.charge_date.to_string()))?;
            if let Some(cell) = cells.get_mut(column) {
                *cell = Some(sum(cell.unwrap_or_default(), daily.contracted_cost)?);
            }
        }
        let chart = Chart::new(&columns, &costs)?;
        let mut days = Vec::with_capacity(costs.len());
        let mut column_totals = vec![Cost::default(); columns.len()];
        let mut days_total = Cost::default();
        for (charge_date, cells) in costs {
            let mut total = Cost::default();
            for (column_total, cost) in column_totals.iter_mut().zip(&cells) {
                let cost = cost.unwrap_or_default();
                *column_total = sum(*column_total, cost)?;
                total = sum(total, cost)?;
            }
            days_total = sum(days_total, total)?;
            days.push(Day {
                charge_date,
                costs: cells.iter().map(|cost| cost.map(|cost| cost.to_string())).collect(),
                contracted_cost: total.to_string(),
            });
        }
        let total = self.contracted_cost;
        let mut shares = Vec::with_capacity(self.services.len());
        let mut services_total = Cost::default();
        for service in &self.services {
            services_total = sum(services_total, service.contracted_cost)?;
            shares.push(percent_of(service.contracted_cost, total));
        }
        for (by, sum) in [("service", services_total), ("day", days_total)] {
            if sum != total {
                return Err(CostError::NotTheTotal { by, sum, total });
            }
        }
        Ok(Arrangement {
            chart,
            columns,
            days,
            column_totals: column_totals.iter().map(Cost::to_string).collect(),
            total: days_total.to_string(),
            shares,
        })
    }
}

/// A cost as exact text, with no more places than it needs.
fn exact_text<S: Serializer>(cost: &Cost, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cost)
}

fn sum(left: Cost, right: Cost) -> Result<Cost, CostError> {
    left.checked_add(right).ok_or(CostError::TooLarge)
}

/// The share of a total in percent with one place. A cost that is not positive has no share.
fn percent_of(cost: Cost, total: Cost) -> String {
    let is_share = cost.units() > 0 && total.units() > 0;
    let share = is_share.then(|| Quantity::from_integer(100).scaled(cost.units(), total.units(), 1)).flatten();
    share.unwrap_or_default().to_text(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_percents() {
        let percent = |cost, total| percent_of(Cost::from_units(cost), Cost::from_units(total));
        assert_eq!(percent(1, 3), "33.3");
        assert_eq!(percent(2, 3), "66.7");
        assert_eq!(percent(5, 5), "100.0");
        assert_eq!(percent(1, 2), "50.0");
        assert_eq!(percent(0, 0), "0.0");
        assert_eq!(percent(-1, 2), "0.0");
        assert_eq!(percent(i128::MAX, i128::MAX), "100.0");
        assert_eq!(percent(1, i128::MAX), "0.0");
    }
}
