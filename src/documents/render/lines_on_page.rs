//! Invoice lines as the page shows them, with their dates if the price changed within the billing period.

use serde::Serialize;

use super::invoice::{InvoiceLine, InvoicePage};

/// The kinds of charges that a fee or a reservation makes for its own period.
const KINDS_WITH_PERIOD: [&str; 3] = ["recurring", "reservation", "hourly_commitment"];

/// An invoice line as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LineOnPage {
    /// Whether the line shows its charge period.
    has_period: bool,
}

impl InvoicePage {
    /// The lines as the page shows them, in the order of the document.
    pub(super) fn lines_on_page(&self) -> Vec<LineOnPage> {
        self.lines.iter().map(|line| LineOnPage { has_period: self.has_period(line) }).collect()
    }

    /// Whether a line shows its charge period. It does if another line charges the same at another price, or if a fee
    /// charges for another period than the document.
    fn has_period(&self, line: &InvoiceLine) -> bool {
        if line.correction.is_some() || line.unit_price.is_none() {
            return false;
        }
        let has_own_period = line.charge_kind.as_deref().is_some_and(|kind| KINDS_WITH_PERIOD.contains(&kind));
        let period = (line.charge_period_start, line.charge_period_end);
        let is_other_period = period != (self.billing_period_start, self.billing_period_end);
        (has_own_period && is_other_period) || self.lines.iter().any(|other| is_at_other_price(line, other))
    }
}

/// Whether two lines charge the same at different prices.
fn is_at_other_price(line: &InvoiceLine, other: &InvoiceLine) -> bool {
    let subject = |line: &InvoiceLine| InvoiceLine {
        number: 0,
        charge_period_start: jiff::civil::Date::ZERO,
        charge_period_end: jiff::civil::Date::ZERO,
        quantity: String::new(),
        unit_price: None,
        unit_price_per: None,
        net_amount: String::new(),
        ..line.clone()
    };
    let price = |line: &InvoiceLine| (line.unit_price.clone(), line.unit_price_per.clone());
    price(line) != price(other) && subject(line) == subject(other)
}
