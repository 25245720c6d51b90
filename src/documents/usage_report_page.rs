//! The contents of usage reports, from rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::page_inputs::{PageInputs, ProjectKey, ProjectRows, generated_by};
use super::relations::Relations;
use crate::documents::render::{
    DailyCost, InvoiceLink, InvoicingStatus, Label, LineRounding, OtherResources, Project, ResourceCost, ServiceCost,
    SkuCost, UnratedUsage, UsageReportPage,
};
use crate::error::Error;
use crate::model::money::{Amount, Cost, Quantity, places_of_code};
use crate::model::period::date_of;
use crate::rows::{self, Row};
use crate::storage::layout::{UNATTRIBUTED, file_name};

/// The maximum number of resources that a usage report lists. The report shows the sum of all other resources.
const TOP_RESOURCES: usize = 10;

pub(super) fn report_path(account_id: Option<&str>, project_id: Option<&str>) -> String {
    let name = project_id.map_or_else(|| UNATTRIBUTED.to_owned(), file_name);
    format!("{}/usage-{name}.html", directory_of(account_id))
}

fn directory_of(account_id: Option<&str>) -> String {
    account_id.map_or_else(|| UNATTRIBUTED.to_owned(), file_name)
}

/// The invoice lines with the usage and the fees of one project.
#[derive(Debug)]
pub(super) struct InvoicedLines<'a> {
    currency: &'a str,
    sum: Amount,
    count: i128,
    has_correction: bool,
}

/// The invoice lines of each project and account that are in usage reports. Percentage fees, minimum spends and amounts
/// brought forward are not in reports.
pub(super) fn invoiced_lines(relations: &Relations) -> Result<BTreeMap<ProjectKey<'_>, InvoicedLines<'_>>, Error> {
    let mut corrections = BTreeSet::new();
    for row in rows::each(&relations.line_reference) {
        if row.optional_text("reason")?.is_some() {
            corrections.insert((row.text("invoice_number")?, row.number("line_number")?));
        }
    }
    let mut by_project: BTreeMap<ProjectKey<'_>, InvoicedLines<'_>> = BTreeMap::new();
    for row in rows::each(&relations.invoice_line) {
        if row.text("charge_category")? == "Adjustment" || row.optional_text("term_id")?.is_some() {
            continue;
        }
        let key = (row.optional_text("project_id")?, Some(row.text("account_id")?));
        let currency = row.text("currency")?;
        let none = InvoicedLines { currency, sum: Amount::ZERO, count: 0, has_correction: false };
        let lines = by_project.entry(key).or_insert(none);
        lines.sum = lines.sum.checked_add(row.decimal("net_amount")?).ok_or(Error::AMOUNT_OVERFLOW)?;
        lines.count += 1;
        lines.has_correction |= corrections.contains(&(row.text("invoice_number")?, row.number("line_number")?));
    }
    Ok(by_project)
}

impl InvoicedLines<'_> {
    /// The difference between the rounded cost and the sum of the lines; `None` if both are equal. It is also `None` if
    /// the rounding of the lines cannot explain the difference, because the invoice is for something else.
    fn rounding(&self, cost: Cost) -> Option<LineRounding> {
        let places = places_of_code(self.currency);
        let sum: Cost = self.sum.to_decimal()?;
        let difference = sum.checked_sub(cost.round_to(places))?;
        let smallest_unit = Amount::smallest(places)?.to_decimal::<18>()?.units();
        // Each line is rounded by at most half of the smallest unit of the currency.
        let of_lines = sum.checked_sub(cost)?.units().checked_abs()?.checked_mul(2)?;
        let is_explained = !self.has_correction && of_lines <= self.count.checked_mul(smallest_unit)?;
        (is_explained && !difference.is_zero())
            .then(|| LineRounding { difference: difference.to_text(places), invoiced: sum.to_text(places) })
    }
}

/// The latest labels of each stream.
pub(super) fn labels_by_stream(relations: &Relations) -> Result<HashMap<u64, Vec<Label>>, Error> {
    let mut labels: HashMap<u64, Vec<Label>> = HashMap::new();
    for row in rows::each(&relations.label_range) {
        if row.optional_day("next_date")?.is_none() {
            let label = Label { name: row.text("key")?.to_owned(), value: row.text("value")?.to_owned() };
            labels.entry(row.id("stream_id")?).or_default().push(label);
        }
    }
    Ok(labels)
}

fn status(text: &str) -> InvoicingStatus {
    match text {
        "internal" => InvoicingStatus::Internal,
        "unattributed" => InvoicingStatus::Unattributed,
        "retail" => InvoicingStatus::Retail,
        _ => InvoicingStatus::Invoiced,
    }
}

pub(super) fn usage_report(
    inputs: &PageInputs<'_>,
    summary: Row<'_>,
    project: &ProjectRows<'_>,
    documents: Vec<InvoiceLink>,
    labels: &HashMap<u64, Vec<Label>>,
    invoiced: Option<&InvoicedLines<'_>>,
) -> Result<UsageReportPage, Error> {
    let daily_costs = daily_costs(inputs, &project.service_days)?;
    let mut resources = project.resources.clone();
    resources.sort_by_key(|row| row.number("cost_rank").unwrap_or(i64::MAX));
    let (top, others) = resources.split_at(resources.len().min(TOP_RESOURCES));
    let account_id = summary.optional_text("account_id")?;
    let (cost, list): (Cost, Cost) = (summary.decimal("contracted_cost")?, summary.decimal("list_cost")?);
    Ok(UsageReportPage {
        project: summary.optional_text("project_id")?.map(|id| {
            let name = summary.optional_text("project_name").ok().flatten().map(str::to_owned);
            Project { id: id.to_owned(), name }
        }),
        account_id: account_id.map(str::to_owned),
        account_name: summary.optional_text("account_name")?.map(str::to_owned),
        status: status(summary.text("status")?),
        documents,
        billing_period_start: inputs.start,
        billing_period_end: inputs.end,
        time_zone: inputs.context.config.time_zone.clone(),
        hours_in_period: inputs.hours,
        currency: inputs.currency.clone(),
        contracted_cost: cost,
        list_cost: (list != cost).then(|| list.to_string()),
        rounding: invoiced.filter(|lines| lines.currency == inputs.currency).and_then(|lines| lines.rounding(cost)),
        services: service_costs(&daily_costs)?,
        daily_costs,
        skus: project.skus.iter().map(|row| sku_cost(*row)).collect::<Result<_, _>>()?,
        top_resources: top.iter().map(|row| resource_cost(*row, labels)).collect::<Result<_, _>>()?,
        other_resources: other_resources(others)?,
        charges_without_usage: without_usage(cost, &resources)?,
        unrated_usage: project.unrated.iter().map(|row| unrated_usage(*row)).collect::<Result<_, _>>()?,
        generated_by: generated_by(),
    })
}

/// The costs by day and service.
fn daily_costs(inputs: &PageInputs<'_>, service_days: &[Row<'_>]) -> Result<Vec<DailyCost>, Error> {
    let mut costs = Vec::with_capacity(service_days.len());
    for row in service_days {
        costs.push(DailyCost {
            // Charges in advance are shown on the last day of the period, and charges of a closed month on the first
            // day.
            charge_date: date_of(row.day("charge_date")?)
                .min(inputs.end.yesterday().unwrap_or(inputs.end))
                .max(inputs.start),
            service: row.text("service")?.to_owned(),
            contracted_cost: row.decimal("contracted_cost")?,
        });
    }
    Ok(costs)
}

/// The costs by service, largest cost first.
fn service_costs(daily_costs: &[DailyCost]) -> Result<Vec<ServiceCost>, Error> {
    let mut by_service: BTreeMap<&str, Cost> = BTreeMap::new();
    for daily in daily_costs {
        let sum = by_service.entry(&daily.service).or_default();
        *sum = sum.checked_add(daily.contracted_cost).ok_or(Error::COST_OVERFLOW)?;
    }
    let mut services: Vec<(&str, Cost)> = by_service.into_iter().collect();
    services.sort_by(|left, right| right.1.cmp(&left.1).then(left.0.cmp(right.0)));
    let service_cost =
        |(service, cost): (&str, Cost)| ServiceCost { service: service.to_owned(), contracted_cost: cost };
    Ok(services.into_iter().map(service_cost).collect())
}

fn sku_cost(row: Row<'_>) -> Result<SkuCost, Error> {
    Ok(SkuCost {
        sku: row.text("sku")?.to_owned(),
        service: Some(row.text("service")?.to_owned()),
        description: row.text("description")?.to_owned(),
        quantity: row.decimal::<Quantity>("quantity")?.to_string(),
        unit: row.text("unit")?.to_owned(),
        contracted_cost: row.decimal::<Cost>("contracted_cost")?.to_string(),
        list_cost: row.decimal::<Cost>("list_cost")?.to_string(),
    })
}

/// The cost of a resource. The label `display_name` becomes the name of the resource.
fn resource_cost(row: Row<'_>, labels: &HashMap<u64, Vec<Label>>) -> Result<ResourceCost, Error> {
    let mut labels = labels.get(&row.id("stream_id")?).cloned().unwrap_or_default();
    let display_name = labels.iter().position(|label| label.name == "display_name");
    Ok(ResourceCost {
        resource_id: row.text("resource_id")?.to_owned(),
        display_name: display_name.map(|index| labels.remove(index).value),
        labels,
        service: row.optional_text("service")?.map(str::to_owned),
        meter: row.text("meter")?.to_owned(),
        quantity: row.decimal::<Quantity>("quantity")?.to_string(),
        unit: row.text("unit")?.to_owned(),
        contracted_cost: row.decimal::<Cost>("contracted_cost")?.to_string(),
    })
}

/// The sum of the resources that are not listed; `None` if all resources are listed.
fn other_resources(others: &[Row<'_>]) -> Result<Option<OtherResources>, Error> {
    let mut cost = Cost::ZERO;
    for row in others {
        cost = cost.checked_add(row.decimal("contracted_cost")?).ok_or(Error::COST_OVERFLOW)?;
    }
    let sum = OtherResources { resource_count: others.len() as u64, contracted_cost: cost.to_string() };
    Ok(Some(sum).filter(|_| !others.is_empty()))
}

/// The part of the cost that no resource has, such as fees, one-off charges and unused commitments.
fn without_usage(cost: Cost, resources: &[Row<'_>]) -> Result<Option<String>, Error> {
    let mut rest = cost;
    for row in resources {
        rest = rest.checked_sub(row.decimal("contracted_cost")?).ok_or(Error::COST_OVERFLOW)?;
    }
    Ok((!rest.is_zero()).then(|| rest.to_string()))
}

fn unrated_usage(row: Row<'_>) -> Result<UnratedUsage, Error> {
    Ok(UnratedUsage {
        meter: row.text("meter")?.to_owned(),
        resource_id: row.text("resource_id")?.to_owned(),
        quantity: row.decimal::<Quantity>("quantity")?.to_string(),
        unit: row.text("unit")?.to_owned(),
        reason: reason_text(row.text("reason")?),
    })
}

/// The explanation of a reason of `unrated_usage`, for readers of a report.
pub(super) fn reason_text(reason: &str) -> String {
    match reason {
        "no_rule" => "no rule prices this meter at that time".to_owned(),
        "no_match" => "no rule applies to this resource".to_owned(),
        "no_price" => "the price list has no row for this resource".to_owned(),
        "missing_dimension" => "an attribute that the price needs is missing".to_owned(),
        "no_factor" => "a factor applies, but has no value for this resource".to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounding(sum: &str, count: i128, cost: &str) -> Option<(String, String)> {
        let sum = Amount::parse_exact(sum).unwrap();
        let lines = InvoicedLines { currency: "EUR", sum, count, has_correction: false };
        let found = lines.rounding(Cost::parse_exact(cost).unwrap());
        found.map(|found| (found.difference, found.invoiced))
    }

    /// Three lines of 0.005 are 0.01 each, in sum 0.03; their cost 0.015 is shown as 0.02.
    #[test]
    fn the_rounding_of_lines_is_the_difference_of_rounded_sums() {
        let row = |difference: &str, invoiced: &str| Some((difference.to_owned(), invoiced.to_owned()));
        assert_eq!(rounding("0.03", 3, "0.015"), row("0.01", "0.03"));
        assert_eq!(rounding("129.09", 10, "129.079"), row("0.01", "129.09"));
        assert_eq!(rounding("0", 2, "0.008"), row("-0.01", "0.00"));
        assert_eq!(rounding("-0.03", 3, "-0.015"), row("-0.01", "-0.03"));
        assert_eq!(rounding("5", 4, "5.0049"), None, "both are shown as 5.00");
        assert_eq!(rounding("5.01", 1, "5"), None, "one line cannot be rounded by a cent");
        assert_eq!(rounding("0.03", 2, "0.015"), None, "two lines are rounded by at most 0.01");
    }

    #[test]
    fn a_correction_has_no_rounding() {
        let sum = Amount::parse_exact("0.03").unwrap();
        let lines = InvoicedLines { currency: "EUR", sum, count: 3, has_correction: true };
        assert_eq!(lines.rounding(Cost::parse_exact("0.015").unwrap()), None);
    }
}
