//! The text of `conto explain`. Data and JSON have exclusive ends; the text shows the last day.

use super::Explained;
use super::document::ExplainedDocument;
use super::line::{ExplainedFee, ExplainedLine};
use super::price::{ExplainedLimit, ExplainedPrice, ExplainedTier};
use super::terms::{self, TermReference};
use crate::cli::print::Printer;
use crate::error::count;
use crate::model::one_off_charge::ONE_OFF;
use crate::model::period::{date_of, day_number};

/// The digits of a checksum that identify a file to a reader.
const SHOWN_DIGITS: usize = 16;

impl Explained {
    pub(super) fn print(&self, printer: &Printer) {
        let is_whole = self.totals.is_some();
        if let Some(invoice) = &self.invoice {
            match self.lines.as_slice() {
                [line] if !is_whole => printer.line(&format!("{}/{}", line.invoice, line.line)),
                _ => printer.line(&invoice.number),
            }
            printer.line(&parties(invoice));
            for sentence in relations(invoice) {
                printer.line(&sentence);
            }
        }
        for line in &self.lines {
            printer.line("");
            if is_whole {
                printer.line(&format!("Line {}", line.line));
            }
            line.print(printer);
        }
        if let Some(totals) = &self.totals {
            printer.line("\nAmount due");
            totals.print(printer);
        }
    }
}

/// The day before an exclusive end.
fn last_day(end: &str) -> String {
    end.parse().map_or_else(|_| end.to_owned(), |end| date_of(day_number(end) - 1).to_string())
}

/// `first to last`, or one day.
fn days(start: &str, end: &str) -> String {
    let last = last_day(end);
    if start == last { last } else { format!("{start} to {last}") }
}

/// The account and project of a document, and its period.
fn parties(invoice: &ExplainedDocument) -> String {
    let named = |id: &str, name: &Option<String>| match name {
        Some(name) if name != id => format!("{id} ({name})"),
        _ => id.to_owned(),
    };
    let mut text = format!("account {}", named(&invoice.account_id, &invoice.account_name));
    if let Some(project) = &invoice.project_id {
        text.push_str(&format!(", project {}", named(project, &invoice.project_name)));
    }
    text.push_str(&format!(", {}", days(&invoice.service_period_start, &invoice.service_period_end)));
    if let Some(reason) = &invoice.correction_reason {
        text.push_str(&format!(", correction: {}", reason.replace('_', " ")));
    }
    text
}

/// A line for each document that this one corrects, cancels or replaces, or that does so with this one.
fn relations(invoice: &ExplainedDocument) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(earlier) = &invoice.corrects {
        let verb = match invoice.correction_reason.as_deref() {
            Some("cancelled") => "cancels",
            Some("reissued") => "replaces",
            Some("late_usage") => "adds to",
            _ => "corrects",
        };
        let remark = invoice.remark.as_ref().map(|remark| format!(": {remark}")).unwrap_or_default();
        lines.push(format!("{verb} {earlier}{remark}"));
    }
    for later in &invoice.later_documents {
        let (verb, reason) = match later.reason.as_str() {
            "cancelled" => ("cancelled by", String::new()),
            "reissued" => ("replaced by", String::new()),
            "late_usage" => ("late usage is on", String::new()),
            reason => ("corrected by", format!(": {}", reason.replace('_', " "))),
        };
        lines.push(format!("{verb} {} of {}{reason}", later.number, later.issue_date));
    }
    lines
}

fn reference(by: &TermReference) -> String {
    format!("{} at {}: {}", by.term, by.place, by.summary)
}

impl ExplainedLine {
    fn print(&self, printer: &Printer) {
        // The description of an amount brought forward contains its month.
        let has_own_name = self.line_by.is_empty() || self.charge_kind == "brought_forward";
        let by = if has_own_name { String::new() } else { format!(" ({})", self.line_by) };
        let days = days(&self.charge_period_start, &self.charge_period_end);
        printer.line(&format!("{}{by}, {days}", self.description));
        self.print_amount(printer);
        self.print_origin(printer);
        self.print_allowances(printer);
        if !self.fees.is_empty() {
            self.print_fees(printer);
        }
        for price in &self.prices {
            price.print(printer, self);
        }
        if !self.resources.is_empty() {
            self.print_usage(printer);
        }
    }

    /// Prints the calculation of the amount.
    fn print_amount(&self, printer: &Printer) {
        let (net, currency) = (&self.net_amount, &self.currency);
        let (cost, priced) = (&self.contracted_cost, &self.price_currency);
        let (quantity, unit, price) = (&self.quantity, &self.unit, &self.unit_price);
        let per = per(&self.unit_price_per);
        let kind = self.charge_kind.replace('_', " ");
        let is_priced = self.charge_category == "Usage" || !self.fees.is_empty();
        if is_priced {
            let converted = match &self.exchange {
                Some(exchange) => format!(", at {exchange} rounded to {net} {currency}"),
                None => format!(", rounded to {net}"),
            };
            // A minimum or a maximum has only an amount.
            let kind = if kind == "one off" { "one-off charge".to_owned() } else { kind };
            let how = if unit.is_empty() { kind } else { format!("{quantity} {unit} at {price} {priced}{per}") };
            printer.line(&format!("{how}: {cost} {priced}{converted}"));
        } else if unit.is_empty() {
            printer.line(&format!("{kind}{}{net} {currency}", if kind.is_empty() { "" } else { ": " }));
        } else if self.charge_kind != "percent" {
            // The line brings a charge of an earlier month forward.
            printer.line(&format!("{quantity} {unit} at {price} {priced}{per}: {net} {currency}"));
        } else {
            // The line is a percentage of other lines of the invoice.
            printer.line(&format!("{price} % of {quantity} {unit}: {net}"));
        }
        if let Some(by) = &self.term_reference {
            printer.line(&format!("term {}", reference(by)));
        }
    }

    /// Prints the other documents that the amount belongs to.
    fn print_origin(&self, printer: &Printer) {
        if let Some(origin) = &self.origin {
            if let Some(from) = &origin.carried_from {
                // A correction that waits for the next invoice has its own reason.
                let reason = match &origin.reason {
                    Some(_) => "",
                    None if self.net_amount.starts_with('-') => ", whose total was below zero",
                    None => ", whose total was below `minimum_invoice_amount`",
                };
                let text = format!("brought forward from {from}{reason}: `conto explain {from}`");
                printer.line(&printer.runnable(&text));
            }
            if let (Some(period), Some(reason)) = (&origin.corrected_period, &origin.reason) {
                let of = origin.corrected_document.as_ref().map(|number| format!(" ({number})")).unwrap_or_default();
                let net = &self.net_amount;
                printer.line(&match reason.as_str() {
                    "cancelled" => format!("takes back the line of {period}{of}"),
                    "late_usage" if !net.starts_with('-') => {
                        format!("late usage of {period}, in addition to the earlier document{of}")
                    }
                    reason => format!("corrects {period}{of}: {}", reason.replace('_', " ")),
                });
            }
        }
        if !self.issued.is_empty() {
            let part =
                |part: &super::line::IssuedPart| format!("{} of {}/{}", part.net_amount, part.invoice, part.line);
            let parts: Vec<String> = self.issued.iter().map(part).collect();
            let total = self.issued_total.as_deref().unwrap_or_default();
            printer.line(&format!("total due on all documents {total}: {}", parts.join(", ")));
        }
    }

    fn print_allowances(&self, printer: &Printer) {
        for allowance in &self.allowances {
            let how = match &allowance.percent {
                Some(percent) => format!("{percent} % of {} = {}", allowance.base_amount, allowance.amount),
                None => format!("{} off {}", allowance.amount, allowance.base_amount),
            };
            let at = allowance.term_reference.as_ref().map(|by| format!(" at {}", by.place)).unwrap_or_default();
            printer.line(&format!(
                "less {}: {} ({}{at}), {how} on the invoice",
                allowance.share_of_line, allowance.description, allowance.term
            ));
        }
        if !self.allowances.is_empty() {
            printer.line(&format!("leaves {} {}", self.remaining_amount, self.currency));
        }
        if !self.allowances.is_empty() || !self.tax_rules.is_empty() {
            printer.line(&format!("taxed as {}{}", self.tax, terms::by_rules(&self.tax_rules)));
        }
    }

    fn print_fees(&self, printer: &Printer) {
        let mut printed = Vec::new();
        for fee in &self.fees {
            if !printed.contains(&(&fee.rule, &fee.place)) {
                printed.push((&fee.rule, &fee.place));
                let by = fee.term_reference.as_ref().map(|by| format!(": {}", by.summary)).unwrap_or_default();
                let kind = self.charge_kind.replace('_', " ");
                let kind = match fee.term_reference {
                    Some(_) => kind.as_str(),
                    None if self.charge_kind == ONE_OFF => "charge",
                    None => "fee",
                };
                printer.line(&format!("{kind} {} at {}{by}", fee.rule, fee.place));
                for (name, text) in [("reason", &fee.reason), ("approved by", &fee.approved_by)] {
                    if let Some(text) = text {
                        printer.line(&format!("{name}: {text}"));
                    }
                }
            }
        }
        let row = |fee: &ExplainedFee| {
            [&fee.resource, &fee.charge_period_start, &fee.last_day, &fee.quantity, &fee.cost]
                .map(String::clone)
                .to_vec()
        };
        let rows: Vec<Vec<String>> = self.fees.iter().map(row).collect();
        printer.line("");
        let unit = if self.unit.is_empty() { "quantity" } else { self.unit.as_str() };
        printer.table(&["resource", "first day", "last day", unit, "cost"], &rows, &[3, 4]);
    }

    /// Prints the resources, windows and files of a line.
    fn print_usage(&self, printer: &Printer) {
        let has_rules = self.prices.iter().any(|price| price.rule != self.prices[0].rule);
        let rows = self.resources.iter().map(|one| {
            let rule = self.prices.get(one.price).filter(|_| has_rules).map(|price| price.rule.clone());
            let mut cells = vec![one.resource.clone(), one.description.clone()];
            cells.extend(rule);
            cells.extend([&one.charge_period_start, &one.last_day, &one.quantity, &one.cost].map(String::clone));
            cells
        });
        let rows: Vec<Vec<String>> = rows.collect();
        let mut header = vec!["resource", "described as"];
        header.extend(has_rules.then_some("rule"));
        header.extend(["first day", "last day", self.unit.as_str(), "cost"]);
        let width = header.len();
        printer.line("");
        if !self.issued.is_empty() {
            printer.line("All usage of the total due:");
        }
        printer.table(&header, &rows, &[width - 2, width - 1]);
        if !self.windows.is_empty() {
            let cut = if self.windows.len() < self.window_count { ", the first and last are" } else { "" };
            printer.line(&format!("\nMetered in {}{cut}:", count(self.window_count, "window")));
            let rows = self.windows.iter().map(|window| {
                let samples = window.samples.to_string();
                vec![window.window_start.clone(), window.resource.clone(), window.quantity.clone(), samples]
            });
            let rows: Vec<Vec<String>> = rows.collect();
            printer.table(&["window from (UTC)", "resource", "quantity", "samples"], &rows, &[2, 3]);
        }
        if !self.files.is_empty() {
            printer.line("\nFrom samples in:");
            let rows = self
                .files
                .iter()
                .map(|file| vec![file.file.clone(), file.samples.to_string(), file.sha256[..SHOWN_DIGITS].to_owned()]);
            let rows: Vec<Vec<String>> = rows.collect();
            printer.table(&["file", "samples", "SHA-256"], &rows, &[1]);
        }
    }
}

/// ` per 12`, or an empty text for a price of one unit.
fn per(unit_price_per: &str) -> String {
    if unit_price_per == "1" { String::new() } else { format!(" per {unit_price_per}") }
}

/// ` (flavor=m1.small, zone=eu-west)`, or an empty text without values.
fn values_text(values: &std::collections::BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
    if pairs.is_empty() { String::new() } else { format!(" ({})", pairs.join(", ")) }
}

impl ExplainedPrice {
    /// Prints the calculation of the price, from the price list to the tier.
    fn print(&self, printer: &Printer, line: &ExplainedLine) {
        let metered = match (self.metered_units_in_one.as_str(), &self.metered_unit) {
            ("1", _) => String::new(),
            (many, unit) => {
                format!(", 1 {} is {many} {}", self.pricing_unit, unit.as_deref().unwrap_or("metered units"))
            }
        };
        let card = if self.card == "public" { String::new() } else { format!(" of card {}", self.card) };
        let valid = if self.validity.is_empty() { String::new() } else { format!(", valid{}", self.validity) };
        printer.line(&format!("rule {} at {}{card}{valid}{metered}", self.rule, self.place));
        if let Some(by) = &self.pricing_quantity {
            printer.line(&format!("quantity {}: metered quantity times {}", by.expression, by.multiplier));
        }
        if let Some(base) = &self.base_price {
            let currency = &line.price_currency;
            let per = per(&base.unit_price_per);
            let window = base.price_window.as_ref().map(|window| format!(", {window}")).unwrap_or_default();
            let place = if base.place == self.place { String::new() } else { format!(" at {}", base.place) };
            let values = values_text(&base.values);
            printer.line(&format!("price {} {currency}{per}{place}{values}{window}", base.unit_price));
            for factor in &self.factors {
                let values = values_text(&factor.values);
                printer.line(&format!("times {}: factor {} at {}{values}", factor.factor, factor.rule, factor.place));
            }
            if !self.factors.is_empty() {
                printer.line(&format!("equals {} {currency}{per}", line.unit_price));
            }
        }
        if let Some(tier) = &self.tier {
            printer.line(&tier.text(&self.pricing_unit));
        }
        for included in &self.included_units {
            printer.line(&format!("included units {}", reference(included)));
        }
        for limit in &self.limits {
            printer.line(&limit.text(&self.pricing_unit, &line.price_currency));
        }
        match self.covered_by.as_slice() {
            [] => {}
            [one] => printer.line(&format!("covered by {}", reference(one))),
            several => {
                printer.line("covered by one of these commitments in each hour:");
                several.iter().for_each(|one| printer.line(&format!("  {}", reference(one))));
            }
        }
        let pool = &self.pool;
        printer.line(&format!("pool {} per {} and {}", pool.name, pool.scope, pool.period));
    }
}

impl ExplainedTier {
    fn range(&self, unit: &str) -> String {
        match &self.up_to {
            Some(up_to) => format!("above {} up to {up_to} {unit}", self.above),
            None => format!("above {} {unit}", self.above),
        }
    }

    fn text(&self, unit: &str) -> String {
        match (self.number, self.kind.as_str()) {
            (0, _) => "tier of included units: free of charge".to_owned(),
            (number, "graduated") => format!("tier {number}: {} of the pool", self.range(unit)),
            (number, kind) => format!("{kind} tier {number}: a total of the pool {}", self.range(unit)),
        }
    }
}

impl ExplainedLimit {
    fn text(&self, unit: &str, currency: &str) -> String {
        let Self { kind, place, amount, tier, cost, cap_quantity } = self;
        match (tier, cost, cap_quantity) {
            (Some(tier), Some(cost), _) => {
                let range = tier.range(unit);
                format!(
                    "{kind} of tier {} at {place}: {range} costs at most {amount} {currency}, its usage costs {cost}",
                    tier.number
                )
            }
            (_, _, Some(hours)) => {
                format!("{kind} at {place}: from {hours} hours on, a pool costs {amount} {currency}")
            }
            _ if kind == "minimum" => format!("{kind} at {place}: a pool costs at least {amount} {currency}"),
            _ => format!("{kind} at {place}: a pool costs at most {amount} {currency}"),
        }
    }
}
