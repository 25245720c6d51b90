//! The totals of one invoice (EN 16931: BG-22), from its rounded lines to the taxable amounts.
//!
//! Discounts are applied first, then minimum spends, the minimum invoice amount and credits. Every printed amount is
//! rounded once and allocated to lines by the largest-remainder method.

use std::collections::BTreeMap;

use super::line::{Allowance, ChargeCategory, Line};
use crate::error::Error;
use crate::invoicing::allocate::allocate;
use crate::model::money::{Amount, Factor, Percent, Quantity, UnitPrice};
use crate::model::period::DayNumber;
use crate::model::tax::{TaxTreatment, tax_amounts};
use crate::model::terms::{CARRIED_FORWARD, TaxCategory};

/// The component of minimum spend lines.
pub(super) const MINIMUM_SPEND: &str = "minimum_spend";

/// The allowance kind of discounts.
pub(super) const DISCOUNT: &str = "discount";

/// The charge kind of a line that tops up usage to a minimum spend.
const TOP_UP: &str = "top_up";

/// The kind of a price change for usage above a minimum spend. A higher price becomes a line, and a lower price becomes
/// an allowance.
pub(super) const OVERAGE: &str = "overage";

/// A discount that applies, in the currency of the invoice.
#[derive(Clone, Debug)]
pub(super) struct AppliedDiscount {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) value: AppliedValue,
    /// For each line, whether the discount applies to the line.
    pub(super) applies: Vec<bool>,
}

/// The value of a discount.
#[derive(Clone, Copy, Debug)]
pub(super) enum AppliedValue {
    Percent(Percent),
    Fixed(Amount),
}

/// A minimum spend that applies, in the currency of the invoice.
#[derive(Clone, Debug)]
pub(super) struct AppliedMinimumSpend {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) service: String,
    pub(super) amount: Amount,
    pub(super) overage_factor: Option<Factor>,
    pub(super) true_up: bool,
    pub(super) applies: Vec<bool>,
}

/// A credit that reduces the taxable amount.
#[derive(Clone, Debug)]
pub(super) struct AppliedCredit {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) kind: &'static str,
    pub(super) balance: Amount,
    /// The only tax category and rate that the credit pays for; `None` if the credit pays for all.
    pub(super) only: Option<(TaxCategory, Percent)>,
}

/// The lines and allowances of an invoice, with the amount of each line after allowances.
#[derive(Clone, Debug)]
pub(super) struct InvoiceTotals {
    pub(super) lines: Vec<Line>,
    pub(super) allowances: Vec<Allowance>,
    /// The net amount of each line less its allowances.
    remaining: Vec<Amount>,
    places: u32,
}

impl InvoiceTotals {
    pub(super) fn new(lines: Vec<Line>, places: u32) -> Self {
        let remaining = lines.iter().map(|line| line.net_amount).collect();
        Self { lines, allowances: Vec::new(), remaining, places }
    }

    /// The sum of the remaining amounts of the picked lines.
    fn sum(&self, picked: &[usize]) -> Result<Amount, Error> {
        picked
            .iter()
            .try_fold(Amount::ZERO, |sum, index| sum.checked_add(self.remaining[*index]))
            .ok_or(Error::AMOUNT_OVERFLOW)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.lines.len()).collect()
    }

    /// The current total without tax (EN 16931: BT-109).
    pub(super) fn net(&self) -> Result<Amount, Error> {
        self.sum(&self.all())
    }

    /// Whether all lines are zero. A total of zero can also contain a discount or a credit.
    pub(super) fn is_zero(&self) -> bool {
        self.lines.iter().all(|line| line.net_amount.is_zero())
    }

    /// The current net amount of each tax treatment.
    fn nets(&self) -> Result<BTreeMap<&TaxTreatment, Amount>, Error> {
        self.nets_of(self.all())
    }

    /// The net amount of each tax treatment of the picked lines.
    fn nets_of(&self, picked: impl IntoIterator<Item = usize>) -> Result<BTreeMap<&TaxTreatment, Amount>, Error> {
        let mut nets: BTreeMap<&TaxTreatment, Amount> = BTreeMap::new();
        for index in picked {
            let sum = nets.entry(&self.lines[index].tax).or_default();
            *sum = sum.checked_add(self.remaining[index]).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        Ok(nets)
    }

    /// The current total with tax (EN 16931: BT-112). If lines with different tax rates have opposite signs, this total
    /// can be negative although the total without tax is positive.
    pub(super) fn with_tax(&self) -> Result<Amount, Error> {
        self.with_tax_of(self.all())
    }

    fn with_tax_of(&self, picked: impl IntoIterator<Item = usize>) -> Result<Amount, Error> {
        let nets = self.nets_of(picked)?;
        let taxes = tax_amounts(&nets, self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
        let parts = nets.into_values().chain(taxes.into_values().map(|amounts| amounts.tax));
        parts.into_iter().try_fold(Amount::ZERO, |sum, part| sum.checked_add(part)).ok_or(Error::AMOUNT_OVERFLOW)
    }

    /// Deducts an amount from the picked lines and adds an allowance for each tax treatment.
    fn deduct(
        &mut self,
        picked: &[usize],
        base: Amount,
        amount: Amount,
        deduction: &Deduction<'_>,
    ) -> Result<(), Error> {
        let weights: Vec<Amount> = picked.iter().map(|index| self.remaining[*index]).collect();
        let shares = allocate(amount, &weights, self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
        let mut by_treatment: BTreeMap<TaxTreatment, Vec<(usize, Amount)>> = BTreeMap::new();
        for (index, share) in picked.iter().zip(shares) {
            if !share.is_zero() {
                self.remaining[*index] = self.remaining[*index].checked_sub(share).ok_or(Error::AMOUNT_OVERFLOW)?;
                by_treatment.entry(self.lines[*index].tax.clone()).or_default().push((*index, share));
            }
        }
        for (tax, shares) in by_treatment {
            let sum = shares.iter().try_fold(Amount::ZERO, |sum, (_, share)| sum.checked_add(*share));
            self.allowances.push(Allowance {
                kind: deduction.kind,
                term_id: deduction.id.to_owned(),
                description: deduction.description.to_owned(),
                percent: deduction.percent,
                base_amount: base,
                amount: sum.ok_or(Error::AMOUNT_OVERFLOW)?,
                tax,
                shares,
            });
        }
        Ok(())
    }

    pub(super) fn discount(&mut self, discount: &AppliedDiscount) -> Result<(), Error> {
        let picked = picked(&discount.applies);
        let base = self.sum(&picked)?;
        if base <= Amount::ZERO {
            return Ok(());
        }
        let (amount, percent) = match discount.value {
            AppliedValue::Percent(percent) => {
                (base.percentage(percent, self.places).ok_or(Error::AMOUNT_OVERFLOW)?, Some(percent))
            }
            AppliedValue::Fixed(amount) => (amount.min(base), None),
        };
        let deduction = Deduction { kind: DISCOUNT, id: &discount.id, description: &discount.description, percent };
        self.deduct(&picked, base, amount, &deduction)
    }

    /// Applies a minimum spend. With `true_up`, a line tops up usage to its amount. The overage factor changes the
    /// price of usage above this amount. `tax_of` returns the tax treatment of a new line.
    pub(super) fn apply_minimum_spend<E: From<Error>>(
        &mut self,
        minimum_spend: &AppliedMinimumSpend,
        period: (DayNumber, DayNumber),
        tax_of: impl Fn(&Line) -> Result<TaxTreatment, E>,
    ) -> Result<(), E> {
        let picked = picked(&minimum_spend.applies);
        let base = self.sum(&picked)?;
        let line = |charge_kind: &str, line_by: String, net_amount: Amount| -> Result<Line, E> {
            let mut line = Line::of_amount(period, net_amount)?;
            line.charge_category = ChargeCategory::Purchase;
            line.service.clone_from(&minimum_spend.service);
            line.component = MINIMUM_SPEND.to_owned();
            line.sku.clone_from(&minimum_spend.id);
            line.description.clone_from(&minimum_spend.description);
            line.line_by = line_by;
            line.charge_kind = charge_kind.to_owned();
            line.term_id = Some(minimum_spend.id.clone());
            line.tax = tax_of(&line)?;
            Ok(line)
        };
        if base < minimum_spend.amount {
            if minimum_spend.true_up {
                let missing = minimum_spend.amount.checked_sub(base).ok_or(Error::AMOUNT_OVERFLOW)?;
                self.add(line(TOP_UP, String::new(), missing)?);
            }
            return Ok(());
        }
        let Some(factor) = minimum_spend.overage_factor else { return Ok(()) };
        let above = base.checked_sub(minimum_spend.amount).ok_or(Error::AMOUNT_OVERFLOW)?;
        let increase = factor.checked_sub(Factor::from_integer(1));
        let change = increase.and_then(|increase| above.checked_mul(increase, self.places));
        let change = change.ok_or(Error::AMOUNT_OVERFLOW)?;
        if change > Amount::ZERO {
            self.add(line(OVERAGE, format!("times={factor}"), change)?);
        } else if change < Amount::ZERO {
            let amount = Amount::ZERO.checked_sub(change).ok_or(Error::AMOUNT_OVERFLOW)?;
            let deduction = Deduction {
                kind: OVERAGE,
                id: &minimum_spend.id,
                description: &minimum_spend.description,
                percent: percent_below(factor),
            };
            self.deduct(&picked, above, amount, &deduction)?;
        }
        Ok(())
    }

    /// The net amount of a line less its allowances.
    pub(super) fn remaining(&self, index: usize) -> Amount {
        self.remaining.get(index).copied().unwrap_or(Amount::ZERO)
    }

    pub(super) fn add(&mut self, line: Line) {
        self.remaining.push(line.net_amount);
        self.lines.push(line);
    }

    /// Carries the net amount forward: a line for each tax treatment reduces the invoice to zero. Returns the net
    /// amount.
    pub(super) fn carry_forward(&mut self, period: (DayNumber, DayNumber)) -> Result<Amount, Error> {
        let net = self.net()?;
        let nets: Vec<(TaxTreatment, Amount)> =
            self.nets()?.into_iter().map(|(treatment, sum)| (treatment.clone(), sum)).collect();
        for (tax, sum) in nets.into_iter().filter(|(_, sum)| !sum.is_zero()) {
            let negated = Amount::ZERO.checked_sub(sum).ok_or(Error::AMOUNT_OVERFLOW)?;
            self.add(Line::carried_forward(period, negated, tax)?);
        }
        Ok(net)
    }

    /// Uses a credit up to the net amount, split by tax treatment. Returns the used amount. If the amount of a tax
    /// treatment is negative, the credit is limited so that the totals with and without tax do not become negative.
    pub(super) fn credit(&mut self, credit: &AppliedCredit) -> Result<Amount, Error> {
        let mut by_treatment: BTreeMap<&TaxTreatment, Vec<usize>> = BTreeMap::new();
        for (index, line) in self.lines.iter().enumerate() {
            if credit.only.is_none_or(|(category, rate)| line.tax.is_only(category, rate)) {
                by_treatment.entry(&line.tax).or_default().push(index);
            }
        }
        let mut payable = Vec::new();
        let mut tax_count = 0;
        for (treatment, picked) in by_treatment {
            let sum = self.sum(&picked)?;
            if sum > Amount::ZERO {
                payable.push((sum, picked));
                tax_count += treatment.taxes.len();
            }
        }
        if payable.is_empty() {
            return Ok(Amount::ZERO);
        }
        let sums: Vec<Amount> = payable.iter().map(|(sum, _)| *sum).collect();
        let base =
            sums.iter().try_fold(Amount::ZERO, |sum, one| sum.checked_add(*one)).ok_or(Error::AMOUNT_OVERFLOW)?;
        let mut used = credit.balance.min(base);
        let smallest_unit = Amount::smallest(self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
        if self.nets()?.values().any(|sum| *sum < Amount::ZERO) {
            // Each unit of the credit also removes the tax on this unit, so the limit is total * base / (base with
            // tax).
            let paid = payable.iter().flat_map(|(_, picked)| picked);
            let with_tax = self.with_tax_of(paid.copied())?;
            let limit =
                self.with_tax()?.scaled(base.units(), with_tax.units(), self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
            // The tax of each group is rounded separately, so the limit can be too low by one unit for each tax. The
            // tolerance allows for this, and the loop below reduces an amount that is too high.
            let tolerance = smallest_unit.scaled(1 + tax_count as i128, 1, self.places);
            let limit = tolerance.and_then(|tolerance| limit.checked_add(tolerance)).ok_or(Error::AMOUNT_OVERFLOW)?;
            used = used.min(self.net()?).min(limit);
        }
        let deduction =
            Deduction { kind: credit.kind, id: &credit.id, description: &credit.description, percent: None };
        while used > Amount::ZERO {
            let shares = allocate(used, &sums, self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
            let mut reduced = self.clone();
            for ((_, picked), share) in payable.iter().zip(shares).filter(|(_, share)| !share.is_zero()) {
                reduced.deduct(picked, base, share, &deduction)?;
            }
            // The tax of each group is rounded separately, so the total can be below zero by a few of the smallest
            // units.
            if reduced.with_tax()? >= Amount::ZERO {
                *self = reduced;
                return Ok(used);
            }
            used = used.checked_sub(smallest_unit).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        Ok(Amount::ZERO)
    }
}

/// The term that is the reason for a deduction, as shown on its allowances.
struct Deduction<'a> {
    kind: &'static str,
    id: &'a str,
    description: &'a str,
    percent: Option<Percent>,
}

/// The price reduction of a factor below one: 20 percent for 0.8. `None` if the reduction has more decimal places than
/// a percentage.
fn percent_below(factor: Factor) -> Option<Percent> {
    Factor::from_integer(1).checked_sub(factor)?.to_percent()
}

fn picked(applies: &[bool]) -> Vec<usize> {
    applies.iter().enumerate().filter(|(_, applies)| **applies).map(|(index, _)| index).collect()
}

impl Line {
    /// A line that carries an amount forward to the next document.
    pub(super) fn carried_forward(
        period: (DayNumber, DayNumber),
        net_amount: Amount,
        tax: TaxTreatment,
    ) -> Result<Self, Error> {
        let mut line = Self::of_amount(period, net_amount)?;
        line.service = "Carried forward".to_owned();
        line.component = CARRIED_FORWARD.to_owned();
        line.sku = CARRIED_FORWARD.to_owned();
        line.description = "Carried forward to the next invoice".to_owned();
        line.charge_kind = CARRIED_FORWARD.to_owned();
        line.tax = tax;
        Ok(line)
    }

    /// A line that has only a net amount. Its unit price equals the amount.
    pub(super) fn of_amount(period: (DayNumber, DayNumber), net_amount: Amount) -> Result<Self, Error> {
        Ok(Self {
            project_id: None,
            charge_category: ChargeCategory::Adjustment,
            service: String::new(),
            component: String::new(),
            sku: String::new(),
            description: String::new(),
            line_by: String::new(),
            charge_kind: String::new(),
            term_id: None,
            tier_start: Quantity::ZERO,
            charge_period_start: period.0,
            charge_period_end: period.1,
            quantity: Quantity::from_integer(1),
            unit: String::new(),
            price_currency: None,
            contracted_unit_price: UnitPrice::ZERO,
            unit_price: net_amount.to_decimal().ok_or(Error::AMOUNT_OVERFLOW)?,
            unit_price_per: Quantity::from_integer(1),
            contracted_cost: crate::model::money::Cost::ZERO,
            net_amount,
            tax: TaxTreatment::of_one(TaxCategory::OutOfScope, Percent::ZERO, "", None),
            reference: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn amount(text: &str) -> Amount {
        Amount::parse_exact(text).unwrap()
    }

    fn line(net: &str, rate: &str) -> Line {
        let mut line = Line::of_amount((0, 31), amount(net)).unwrap();
        line.charge_category = ChargeCategory::Usage;
        line.tax = TaxTreatment::of_one(TaxCategory::Standard, Percent::parse_exact(rate).unwrap(), "", None);
        line
    }

    fn lines(nets: &[&str]) -> Vec<Line> {
        nets.iter().map(|net| line(net, "20")).collect()
    }

    fn discount(value: AppliedValue, applies: &[bool]) -> AppliedDiscount {
        AppliedDiscount { id: "d".into(), description: "d".into(), value, applies: applies.to_vec() }
    }

    fn percent(text: &str) -> AppliedValue {
        AppliedValue::Percent(Percent::parse_exact(text).unwrap())
    }

    fn credit(balance: &str) -> AppliedCredit {
        AppliedCredit {
            id: "c".into(),
            description: "c".into(),
            kind: "promotional",
            balance: amount(balance),
            only: None,
        }
    }

    fn tax_of(_: &Line) -> Result<TaxTreatment, Error> {
        Ok(line("1", "20").tax)
    }

    fn minimum_spend(minimum: &str, factor: Option<&str>, lines: usize) -> AppliedMinimumSpend {
        AppliedMinimumSpend {
            id: "c".into(),
            description: "Minimum".into(),
            service: "Minimum spend".into(),
            amount: amount(minimum),
            overage_factor: factor.map(|factor| Factor::parse_exact(factor).unwrap()),
            true_up: true,
            applies: vec![true; lines],
        }
    }

    /// The rounded lines 18.34 and 0.40 add up to 18.74, as in the example of AWS Lambda. Two discounts of 10 % on
    /// 100.00 leave 81.00, not 80.00.
    #[test]
    fn lines_add_up_and_discounts_chain() {
        let mut totals = InvoiceTotals::new(lines(&["18.34", "0.40"]), 2);
        assert_eq!(totals.net().unwrap(), amount("18.74"));
        let mut hundred = InvoiceTotals::new(lines(&["100.00"]), 2);
        hundred.discount(&discount(percent("10"), &[true])).unwrap();
        hundred.discount(&discount(percent("10"), &[true])).unwrap();
        assert_eq!(hundred.net().unwrap(), amount("81.00"));
        totals.discount(&discount(AppliedValue::Fixed(amount("100")), &[false, true])).unwrap();
        assert_eq!(totals.net().unwrap(), amount("18.34"), "a discount is at most the sum of its lines");
    }

    /// The lines are 80 and 20. A discount of 25 % on the first line leaves 60 + 20. A discount of 10 on both lines
    /// leaves 52.50 + 17.50 = 70. The tax of 8.25 % on 70 is 5.775, rounded to 5.78, so the total is 75.78. A prepaid
    /// credit of 5 does not reduce the tax and leaves 70.78 to pay.
    #[test]
    fn discounts_come_before_tax_and_deposits_after() {
        let mut totals = InvoiceTotals::new(lines(&["80.00", "20.00"]), 2);
        totals.discount(&discount(percent("25"), &[true, false])).unwrap();
        totals.discount(&discount(AppliedValue::Fixed(amount("10")), &[true, true])).unwrap();
        assert_eq!(totals.remaining, [amount("52.50"), amount("17.50")]);
        let taxable = totals.net().unwrap();
        let rate = Percent::parse_exact("8.25").unwrap();
        let tax = taxable.percentage(rate, 2).unwrap();
        let due = taxable.checked_add(tax).unwrap().checked_sub(amount("5")).unwrap();
        assert_eq!((taxable, due), (amount("70.00"), amount("70.78")));
    }

    /// Lines of -50.00 at 20 % and 70.00 at 0 % have a total of 20.00 without tax and 10.00 with tax. The credit pays
    /// only the group at 0 %. So only 10.00 of the credit is used.
    #[test]
    fn a_credit_never_makes_the_total_with_tax_negative() {
        let mut totals = InvoiceTotals::new(vec![line("-50.00", "20"), line("70.00", "0")], 2);
        assert_eq!((totals.net().unwrap(), totals.with_tax().unwrap()), (amount("20.00"), amount("10.00")));
        assert_eq!(totals.credit(&credit("100")).unwrap(), amount("10.00"));
        assert_eq!((totals.net().unwrap(), totals.with_tax().unwrap()), (amount("10.00"), amount("0.00")));
    }

    /// The lines are those of the test above. The credit was sold with 20 % tax and pays only for that rate. The group
    /// with that rate is negative, so the credit is not used.
    #[test]
    fn a_credit_does_not_pay_a_negative_tax_group() {
        let mut totals = InvoiceTotals::new(vec![line("-50.00", "20"), line("70.00", "0")], 2);
        let only = Some((TaxCategory::Standard, Percent::from_integer(20)));
        assert_eq!(totals.credit(&AppliedCredit { only, ..credit("100") }).unwrap(), Amount::ZERO);
        assert_eq!(totals.with_tax().unwrap(), amount("10.00"));
    }

    /// Lines of -30.00 at 0 % and 60.00 at 20 % have a total with tax of 72.00 - 30.00 = 42.00. Each 1.00 of a credit
    /// reduces the amount due by 1.20, and 42.00 / 1.20 is 35.00. But the total without tax is only 30.00.
    #[test]
    fn a_credit_never_makes_the_total_without_tax_negative() {
        let mut totals = InvoiceTotals::new(vec![line("-30.00", "0"), line("60.00", "20")], 2);
        assert_eq!(totals.credit(&credit("100")).unwrap(), amount("30.00"));
        assert_eq!((totals.net().unwrap(), totals.with_tax().unwrap()), (amount("0.00"), amount("6.00")));
    }

    /// A discount of 10.00 on lines of 60.00 and 40.00 leaves 54.00 and 36.00.
    #[test]
    fn a_discount_is_allocated_to_its_lines() {
        let mut totals = InvoiceTotals::new(lines(&["60.00", "40.00"]), 2);
        totals.discount(&discount(AppliedValue::Fixed(amount("10.00")), &[true, true])).unwrap();
        assert_eq!(totals.remaining, [amount("54.00"), amount("36.00")]);
    }

    /// A minimum spend of 100 tops up usage of 50 by 50. For usage of 140, a factor of 0.8 gives 100 + 32, and a factor
    /// of 1.5 gives 100 + 60.
    #[test]
    fn minimum_spends_top_up_usage_below_and_reprice_usage_above() {
        let mut below = InvoiceTotals::new(lines(&["30.00", "20.00"]), 2);
        below.apply_minimum_spend(&minimum_spend("100", None, 2), (0, 31), tax_of).unwrap();
        let top_up = below.lines.last().unwrap();
        assert_eq!((top_up.net_amount, top_up.charge_kind.as_str()), (amount("50"), "top_up"));
        assert_eq!(below.net().unwrap(), amount("100"));
        for (factor, net) in [("0.8", "132"), ("1.5", "160"), ("1", "140")] {
            let mut above = InvoiceTotals::new(lines(&["100.00", "40.00"]), 2);
            above.apply_minimum_spend(&minimum_spend("100", Some(factor), 2), (0, 31), tax_of).unwrap();
            assert_eq!(above.net().unwrap(), amount(net), "{factor}");
            let less: Vec<_> = above.allowances.iter().map(|one| (one.kind, one.percent)).collect();
            let more: Vec<_> = above.lines[2..].iter().map(|one| (&*one.charge_kind, &*one.line_by)).collect();
            match factor {
                "0.8" => assert_eq!(less, [("overage", Some(Percent::from_integer(20)))]),
                "1.5" => assert_eq!(more, [("overage", "times=1.5")]),
                _ => assert!(less.is_empty() && more.is_empty()),
            }
        }
        assert_eq!(percent_below(Factor::parse_exact("0.333333333333").unwrap()), None);
    }

    /// A credit of 50 on lines of 60 at 20 % and 40 at 5.5 % is split into 30 and 20. A second credit pays the
    /// remaining 50, and a third credit pays nothing.
    #[test]
    fn credits_are_split_by_tax_group_and_stop_at_zero() {
        let mut totals = InvoiceTotals::new(vec![line("60", "20"), line("40", "5.5")], 2);
        assert_eq!(totals.credit(&credit("50")).unwrap(), amount("50"));
        let amounts: Vec<Amount> = totals.allowances.iter().map(|allowance| allowance.amount).collect();
        assert_eq!(amounts, [amount("20"), amount("30")], "the group with the smaller rate comes first");
        assert_eq!(totals.credit(&credit("80")).unwrap(), amount("50"));
        assert_eq!(totals.credit(&credit("80")).unwrap(), Amount::ZERO);
        assert_eq!(totals.net().unwrap(), Amount::ZERO);
        let mut one = InvoiceTotals::new(vec![line("60", "20"), line("40", "5.5")], 2);
        let only = Some((TaxCategory::Standard, Percent::parse_exact("5.5").unwrap()));
        assert_eq!(one.credit(&AppliedCredit { only, ..credit("50") }).unwrap(), amount("40"));
    }

    #[test]
    fn an_invoice_that_is_carried_forward_has_nothing_to_tax() {
        let mut totals = InvoiceTotals::new(vec![line("1.10", "20"), line("0.90", "5.5")], 2);
        assert_eq!(totals.carry_forward((0, 31)).unwrap(), amount("2"));
        assert_eq!(totals.net().unwrap(), Amount::ZERO);
        assert_eq!(totals.lines.len(), 4);
    }

    proptest! {
        /// For any lines, discounts, credits and currency, the net amount equals the lines less the allowances. The net
        /// amount is a multiple of the currency's smallest unit and is never negative.
        #[test]
        fn the_net_amount_equals_lines_less_allowances(
            nets in prop::collection::vec((0i128..1_000_000_000, 0usize..3), 1..12),
            discounts in prop::collection::vec((any::<bool>(), 1i128..2_000_000, any::<u16>()), 0..5),
            credits in prop::collection::vec(1i128..400_000_000, 0..4),
            minimum in 0i128..2_000_000_000,
            places in prop::sample::select(vec![0u32, 2, 3]),
        ) {
            let unit = 10i128.pow(4 - places);
            let rates = ["5.5", "20", "19.6"];
            let lines: Vec<Line> = nets.iter().map(|(net, rate)| {
                let mut line = line("1", rates[*rate]);
                line.net_amount = Amount::from_units(net / unit * unit).unwrap();
                line
            }).collect();
            let count = lines.len();
            let mut totals = InvoiceTotals::new(lines, places);
            for (is_percent, value, mask) in discounts {
                let value = if is_percent {
                    AppliedValue::Percent(Percent::from_units(value.min(1_000_000)).unwrap())
                } else {
                    AppliedValue::Fixed(Amount::from_units(value / unit * unit).unwrap())
                };
                let applies: Vec<bool> = (0..count).map(|index| mask >> (index % 16) & 1 == 1).collect();
                totals.discount(&discount(value, &applies)).unwrap();
            }
            let mut committed = minimum_spend("1", Some("0.9"), count);
            committed.amount = Amount::from_units(minimum / unit * unit).unwrap();
            totals.apply_minimum_spend(&committed, (0, 31), tax_of).unwrap();
            for balance in credits {
                let balance = Amount::from_units(balance / unit * unit).unwrap();
                let credit = AppliedCredit { balance, ..credit("1") };
                let used = totals.credit(&credit).unwrap();
                prop_assert!(used <= balance);
            }
            let total: i128 = totals.lines.iter().map(|line| line.net_amount.units()).sum();
            let deducted: i128 = totals.allowances.iter().map(|allowance| allowance.amount.units()).sum();
            let net = totals.net().unwrap();
            prop_assert_eq!(net.units(), total - deducted);
            prop_assert!(!net.is_negative());
            for allowance in &totals.allowances {
                prop_assert_eq!(allowance.amount.units() % unit, 0);
                let shares: i128 = allowance.shares.iter().map(|share| share.1.units()).sum();
                prop_assert_eq!(shares, allowance.amount.units());
            }
            for remaining in &totals.remaining {
                prop_assert_eq!(remaining.units() % unit, 0);
                prop_assert!(!remaining.is_negative());
            }
        }
    }
}
