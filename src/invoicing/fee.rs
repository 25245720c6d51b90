//! Percentage fees on the sum of other lines. Each band of the base has a line, and the rest up to the minimum has one.

use super::line::{ChargeCategory, Line};
use crate::error::Error;
use crate::model::diagnostic::Place;
use crate::model::money::{Amount, Price, Quantity, places_of};
use crate::model::period::{BillingPeriod, DayNumber};
use crate::model::terms::{Fee, FeeExample, Terms};

/// The component of fee lines. The base of a fee never includes fees.
pub(super) const FEE: &str = "fee";

/// A fee in the currency of an invoice, with the minimum prorated to the days of the account.
#[derive(Clone, Debug)]
pub(super) struct AppliedFee<'a> {
    pub(super) fee: &'a Fee,
    /// The inclusive upper bound of each band, and its percentage.
    pub(super) bands: Vec<(Option<Amount>, Price)>,
    pub(super) minimum: Amount,
    pub(super) currency: &'a str,
    pub(super) places: u32,
}

/// The minimum prorated to some days of a period, rounded once.
pub(super) fn prorated(minimum: Amount, days: i32, period_days: i32, places: u32) -> Result<Amount, Error> {
    minimum.scaled(i128::from(days), i128::from(period_days), places).ok_or(Error::AMOUNT_OVERFLOW)
}

impl AppliedFee<'_> {
    /// The lines for a base amount: one for each band that the amount reaches, and one for the rest up to the minimum.
    pub(super) fn lines(&self, base: Amount, period: (DayNumber, DayNumber)) -> Result<Vec<Line>, Error> {
        let mut lines = Vec::new();
        let (mut below, mut sum) = (Amount::ZERO, Amount::ZERO);
        for (up_to, percent) in &self.bands {
            let reached = up_to.map_or(base, |up_to| up_to.min(base));
            let part = reached.checked_sub(below).ok_or(Error::AMOUNT_OVERFLOW)?;
            if part <= Amount::ZERO {
                break;
            }
            let amount = part.percentage(*percent, self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
            let mut line = self.line(period, amount)?;
            line.tier_start = below.to_decimal().ok_or(Error::AMOUNT_OVERFLOW)?;
            line.quantity = part.to_decimal().ok_or(Error::AMOUNT_OVERFLOW)?;
            self.currency.clone_into(&mut line.unit);
            line.unit_price = (*percent).into();
            line.contracted_unit_price = (*percent).into();
            line.unit_price_per = Quantity::from_integer(100);
            line.charge_kind = "percent".to_owned();
            lines.push(line);
            sum = sum.checked_add(amount).ok_or(Error::AMOUNT_OVERFLOW)?;
            below = reached;
        }
        let missing = self.minimum.checked_sub(sum).ok_or(Error::AMOUNT_OVERFLOW)?;
        if missing > Amount::ZERO {
            let mut line = self.line(period, missing)?;
            line.charge_kind = "minimum".to_owned();
            lines.push(line);
        }
        Ok(lines)
    }

    fn line(&self, period: (DayNumber, DayNumber), amount: Amount) -> Result<Line, Error> {
        let mut line = Line::of_amount(period, amount)?;
        line.charge_category = ChargeCategory::Purchase;
        line.service.clone_from(&self.fee.service);
        line.component = FEE.to_owned();
        line.term_id = Some(self.fee.id.clone());
        line.sku.clone_from(&self.fee.sku);
        line.description.clone_from(&self.fee.description);
        line.line_by = format!("base={}", self.fee.base.label());
        Ok(line)
    }
}

/// The result of one example of a fee.
#[derive(Clone, Debug)]
pub struct FeeOutcome {
    pub fee_id: String,
    pub name: String,
    pub declared_at: Place,
    pub expected: Amount,
    pub found: Amount,
    /// One text for each line, such as `1500.00 at 10 % = 150.00`.
    pub working: Vec<String>,
}

/// Runs every example of every fee.
pub fn run_examples(terms: &Terms) -> Result<Vec<FeeOutcome>, Error> {
    let examples = terms.fees.iter().flat_map(|fee| fee.examples.iter().map(move |example| (fee, example)));
    examples.map(|(fee, example)| outcome(fee, example)).collect()
}

fn outcome(fee: &Fee, example: &FeeExample) -> Result<FeeOutcome, Error> {
    let wrong = |_| Error::Internal("an example's period that the loader did not check");
    let period: BillingPeriod = example.period.parse().map_err(wrong)?;
    let month = (period.start_day(), period.end_day());
    let days = example.to.unwrap_or(month.1).min(month.1) - example.from.unwrap_or(month.0).max(month.0);
    let places = places_of(fee.currency);
    let applied = AppliedFee {
        fee,
        bands: fee.bands.iter().map(|band| (band.up_to, band.percent)).collect(),
        minimum: prorated(fee.minimum.unwrap_or(Amount::ZERO), days.max(0), month.1 - month.0, places)?,
        currency: fee.currency.code(),
        places,
    };
    let lines = applied.lines(example.charges, month)?;
    let found = lines
        .iter()
        .try_fold(Amount::ZERO, |sum, line| sum.checked_add(line.net_amount))
        .ok_or(Error::AMOUNT_OVERFLOW)?;
    let working = lines.iter().map(|line| {
        let amount = line.net_amount.to_text(places);
        if line.unit.is_empty() {
            return format!("minimum: {amount} more");
        }
        format!("{} at {} % = {amount}", line.quantity, line.unit_price)
    });
    Ok(FeeOutcome {
        fee_id: fee.id.clone(),
        name: example.name.clone(),
        declared_at: example.declared_at.clone(),
        expected: example.net_amount,
        found,
        working: working.collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse_exact(text).unwrap()
    }

    /// For five of seven days, a minimum of 10,000.00 becomes 7,142.86, and a billed amount of 1,000.00 becomes 714.29.
    /// Each amount is rounded separately, so 6,428.57 is missing.
    #[test]
    fn a_minimum_is_due_for_its_days() {
        let [minimum, billed] = ["10000", "1000"].map(|text| prorated(amount(text), 5, 7, 2).unwrap());
        assert_eq!([minimum, billed], ["7142.86", "714.29"].map(amount));
        assert_eq!(minimum.checked_sub(billed), Some(amount("6428.57")));
    }
}
