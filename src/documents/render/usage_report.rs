//! The contents of a usage report: the costs of one project by day, service, SKU and resource.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::{Serialize, Serializer};

use super::chart::Chart;
use super::cost_error::CostError;
use super::invoice::{Project, iso_date};
use crate::model::money::{Cost, Quantity};

/// The maximum number of columns in the chart and in the table of days. Smaller services are added up, because readers
/// cannot distinguish more colours.
const MOST_SERVICES: usize = 8;
/// The name of the sum of the smaller services.
const OTHER_SERVICES: &str = "Other services";

/// The usage report of one project in one billing period.
///
/// Costs are exact. The page rounds costs for display and states this. The costs of `services` and of `daily_costs`
/// must each equal `contracted_cost` exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsageReportPage {
    /// The project; `None` for usage without a project.
    pub project: Option<Project>,
    pub account_id: Option<String>,
    pub account_name: Option<String>,
    pub status: InvoicingStatus,
    /// All documents of the period with charges of the project.
    pub documents: Vec<InvoiceLink>,
    #[serde(serialize_with = "iso_date")]
    pub billing_period_start: Date,
    /// The exclusive end; the page shows the last day.
    #[serde(serialize_with = "iso_date")]
    pub billing_period_end: Date,
    pub time_zone: String,
    pub hours_in_period: u32,
    /// The ISO 4217 code.
    pub currency: String,
    #[serde(serialize_with = "exact_text")]
    pub contracted_cost: Cost,
    /// The cost by the public card, if this cost differs from the contracted cost.
    pub list_cost: Option<String>,
    /// The difference to the invoice, if the rounding of its lines makes one.
    pub rounding: Option<LineRounding>,
    /// The services, largest cost first. The first services have separate colours in the chart.
    pub services: Vec<ServiceCost>,
    /// The costs by day and service in any order. Days and services without cost have no entry.
    pub daily_costs: Vec<DailyCost>,
    pub skus: Vec<SkuCost>,
    /// The resources with the largest cost, largest first.
    pub top_resources: Vec<ResourceCost>,
    /// The sum of all other resources.
    pub other_resources: Option<OtherResources>,
    /// The cost without a resource, such as fees and credits; none if all cost is of resources.
    pub charges_without_usage: Option<String>,
    pub unrated_usage: Vec<UnratedUsage>,
    /// The name and version of the program.
    pub generated_by: String,
}

/// The difference between the rounded cost of a project and the sum of its rounded invoice lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LineRounding {
    pub difference: String,
    /// The sum of the invoice lines.
    pub invoiced: String,
}

/// Whether the usage of a project is invoiced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoicingStatus {
    Invoiced,
    /// Usage that is metered and reported, but not invoiced.
    Internal,
    /// Usage that the reseller of the account invoices.
    Retail,
    /// Usage without a project, which is not invoiced.
    Unattributed,
}

/// The link from a report to its invoice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InvoiceLink {
    pub number: String,
    /// The relative path of the page, not escaped as a URL.
    pub path: String,
    /// The kind of a document that is not a valid invoice, such as `cancelled` or `credit note`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The cost of one service in the period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceCost {
    pub service: String,
    #[serde(serialize_with = "exact_text")]
    pub contracted_cost: Cost,
}

/// The cost of one service on one day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DailyCost {
    #[serde(serialize_with = "iso_date")]
    pub charge_date: Date,
    pub service: String,
    #[serde(serialize_with = "exact_text")]
    pub contracted_cost: Cost,
}

/// The cost of one SKU in the period.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SkuCost {
    pub sku: String,
    pub service: Option<String>,
    pub description: String,
    pub quantity: String,
    pub unit: String,
    pub contracted_cost: String,
    /// The cost by the public card. The page shows this cost if the report has a list cost.
    pub list_cost: String,
}

/// The cost of one resource and meter in the period.
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

/// A label of a resource, such as its cost centre.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Label {
    pub name: String,
    pub value: String,
}

/// The number and the cost of the resources that are not listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OtherResources {
    pub resource_count: u64,
    pub contracted_cost: String,
}

/// Usage of one resource without a price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnratedUsage {
    pub meter: String,
    pub resource_id: String,
    pub quantity: String,
    pub unit: String,
    pub reason: String,
}

/// Usage of one meter without a price, over all resources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UnratedUsageSummary {
    pub meter: String,
    pub resource_count: u64,
    pub quantity: String,
    pub unit: String,
    pub reason: String,
}

/// The costs of a report, arranged for the chart and the tables of the template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Arrangement {
    chart: Chart,
    /// The column headings of the table of days.
    columns: Vec<String>,
    days: Vec<Day>,
    column_totals: Vec<String>,
    /// The sum of all days and services.
    total: String,
    /// The share of each service in the positive costs in percent, with one decimal place.
    shares: Vec<String>,
    /// Whether a service has a negative cost, which has no share.
    has_negative_cost: bool,
}

/// A row of the table of days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Day {
    #[serde(serialize_with = "iso_date")]
    charge_date: Date,
    /// The cost of each column; `None` if there is no cost.
    costs: Vec<Option<String>>,
    contracted_cost: String,
}

impl UsageReportPage {
    /// The chart, and the table of all days of the period with small services added up.
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
            // A service that is not listed, or a day outside the period, is an error of the caller. The check of totals
            // does not find such an error.
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
        let mut services_total = Cost::default();
        // A negative cost would make the shares of the total exceed 100 %. So shares are of the positive costs.
        let mut positive_total = Cost::default();
        for service in &self.services {
            services_total = sum(services_total, service.contracted_cost)?;
            if service.contracted_cost.units() > 0 {
                positive_total = sum(positive_total, service.contracted_cost)?;
            }
        }
        let shares = self.services.iter().map(|service| percent_of(service.contracted_cost, positive_total)).collect();
        let has_negative_cost = self.services.iter().any(|service| service.contracted_cost.is_negative());
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
            has_negative_cost,
        })
    }
}

/// A cost as exact text without trailing zeros.
fn exact_text<S: Serializer>(cost: &Cost, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(cost)
}

fn sum(left: Cost, right: Cost) -> Result<Cost, CostError> {
    left.checked_add(right).ok_or(CostError::TooLarge)
}

/// The share of a total in percent with one decimal place; zero for a cost that is not positive.
fn percent_of(cost: Cost, total: Cost) -> String {
    let is_share = cost.units() > 0 && total.units() > 0;
    let share = is_share.then(|| Quantity::from_integer(100).scaled(cost.units(), total.units(), 1)).flatten();
    share.unwrap_or_default().to_text(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 30 and 10 are 75 % and 25 % of 40. A credit of -20 would make them 150 % and 50 % of the total of 20.
    #[test]
    fn shares_are_of_the_positive_costs() {
        let cost = |units: i128| Cost::from_units(units * 10i128.pow(18));
        let service = |name: &str, units| ServiceCost { service: name.to_owned(), contracted_cost: cost(units) };
        let mut report = crate::documents::render::tests::usage_report();
        report.contracted_cost = cost(20);
        report.services = vec![service("a", 30), service("b", 10), service("c", -20)];
        let daily = |one: &ServiceCost| DailyCost {
            charge_date: report.billing_period_start,
            service: one.service.clone(),
            contracted_cost: one.contracted_cost,
        };
        report.daily_costs = report.services.iter().map(daily).collect();
        let arrangement = report.arrange().unwrap();
        assert_eq!(arrangement.shares, ["75.0", "25.0", "0.0"]);
        assert!(arrangement.has_negative_cost);
    }

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
