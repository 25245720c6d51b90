//! Invoice lines as the page shows them: in units that people use, and with their dates if the price changed within the
//! billing period.

use serde::Serialize;

use super::invoice::{InvoiceLine, InvoicePage};
use super::number::NumberError;
use super::unit::{PageUnit, UnitNames};

/// The kinds of charges that a fee or a reservation makes for its own period.
const KINDS_WITH_PERIOD: [&str; 3] = ["recurring", "reservation", "hourly_commitment"];

/// An invoice line as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct LineOnPage {
    /// Whether the line shows its charge period.
    has_period: bool,
    quantity: String,
    /// The name of the unit after the quantity.
    unit: String,
    unit_price: Option<String>,
    unit_price_per: Option<String>,
    /// The name of the unit after `unit_price_per`.
    unit_of_price: Option<String>,
    /// The price before the factors, if there are factors.
    base_unit_price: Option<String>,
    /// The name of the metered unit, if the page shows the exact quantity because its own quantity is rounded.
    exact_unit: Option<String>,
    /// The quantity where the tier of the line starts.
    tier_start: Option<QuantityOnPage>,
}

/// A quantity with the name of its unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct QuantityOnPage {
    quantity: String,
    unit: String,
    exact_unit: Option<String>,
}

impl QuantityOnPage {
    /// A quantity of a metered unit in the unit of the page.
    pub(super) fn of(quantity: &str, metered_unit: &str, names: &UnitNames) -> Result<Self, NumberError> {
        Self::in_unit(&PageUnit::of(metered_unit, None), quantity, metered_unit, names)
    }

    fn in_unit(unit: &PageUnit, metered: &str, metered_unit: &str, names: &UnitNames) -> Result<Self, NumberError> {
        let (quantity, is_exact) = unit.quantity(metered)?;
        let exact_unit = (!is_exact).then(|| names.of(metered_unit, metered));
        Ok(Self { unit: names.of(&unit.name, &quantity), quantity, exact_unit })
    }
}

impl InvoicePage {
    /// The lines as the page shows them, in the order of the document.
    pub(super) fn lines_on_page(&self, names: &UnitNames) -> Result<Vec<LineOnPage>, NumberError> {
        self.lines.iter().map(|line| self.line_on_page(line, names)).collect()
    }

    fn line_on_page(&self, line: &InvoiceLine, names: &UnitNames) -> Result<LineOnPage, NumberError> {
        let per = line.unit_price_per.as_deref();
        let unit = PageUnit::of(&line.unit, per);
        let in_unit = |metered: &str| QuantityOnPage::in_unit(&unit, metered, &line.unit, names);
        let (unit_price, unit_price_per) = match &line.unit_price {
            Some(price) => {
                let (price, per) = unit.price(price, per)?;
                (Some(price), per)
            }
            None => (None, None),
        };
        let factored_price = line.factored_price.as_ref();
        let base_unit_price = factored_price.map(|price| unit.price(&price.base_unit_price, per)).transpose()?;
        let QuantityOnPage { quantity, unit: unit_name, exact_unit } = in_unit(&line.quantity)?;
        let tier = line.line_by.iter().find(|property| property.name == "above");
        Ok(LineOnPage {
            has_period: self.has_period(line),
            quantity,
            unit: unit_name,
            unit_price,
            unit_of_price: unit_price_per.as_deref().map(|per| names.of(&unit.name, per)),
            unit_price_per,
            base_unit_price: base_unit_price.map(|(price, _)| price),
            exact_unit,
            tier_start: tier.map(|tier| in_unit(&tier.value)).transpose()?,
        })
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
        factored_price: None,
        net_amount: String::new(),
        ..line.clone()
    };
    let price = |line: &InvoiceLine| (line.unit_price.clone(), line.unit_price_per.clone());
    price(line) != price(other) && subject(line) == subject(other)
}
