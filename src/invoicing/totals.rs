//! The arithmetic of one invoice from its rounded lines to what is to be taxed: discounts, then commitments, then the
//! least amount worth sending, then credits. Every amount that is printed is rounded once and shared out over lines by
//! the largest remainder.

use std::collections::BTreeMap;

use super::line::{Allowance, ChargeCategory, Line, TaxGroup};
use crate::error::Error;
use crate::invoicing::allocate::spread;
use crate::model::money::{Amount, Quantity, UnitPrice};
use crate::model::period::DayNumber;
use crate::model::terms::{CARRIED_FORWARD, Percent};

/// The component of what a commitment puts on an invoice.
pub(super) const COMMITMENT: &str = "commitment";

/// The kind of an allowance that a discount is.
pub(super) const DISCOUNT: &str = "discount";

/// What is missing to a commitment.
const TOP_UP: &str = "top_up";

/// What changes for that which is above a commitment: a line where it costs more, an allowance where it costs less.
pub(super) const OVERAGE: &str = "overage";

/// A discount that applies, in the currency of the invoice.
#[derive(Clone, Debug)]
pub(super) struct AppliedDiscount {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) value: AppliedValue,
    /// For each line.
    pub(super) applies: Vec<bool>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum AppliedValue {
    Percent(Percent),
    Fixed(Amount),
}

/// A commitment that applies, in the currency of the invoice.
#[derive(Clone, Debug)]
pub(super) struct AppliedCommitment {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) service: String,
    pub(super) amount: Amount,
    pub(super) overage_factor: Option<UnitPrice>,
    pub(super) true_up: bool,
    pub(super) applies: Vec<bool>,
}

/// A credit that lowers what is taxed.
#[derive(Clone, Debug)]
pub(super) struct AppliedCredit {
    pub(super) id: String,
    pub(super) description: String,
    pub(super) kind: &'static str,
    pub(super) balance: Amount,
    /// Only what is taxed so; absent: everything.
    pub(super) only: Option<(crate::model::terms::TaxCategory, Percent)>,
}

/// One invoice in the making.
#[derive(Clone, Debug)]
pub(super) struct InvoiceTotals {
    pub(super) lines: Vec<Line>,
    pub(super) allowances: Vec<Allowance>,
    /// What each line still comes to.
    remaining: Vec<Amount>,
    places: u32,
}

impl InvoiceTotals {
    pub(super) fn new(lines: Vec<Line>, places: u32) -> Self {
        let remaining = lines.iter().map(|line| line.net_amount).collect();
        Self { lines, allowances: Vec::new(), remaining, places }
    }

    /// The sum of what lines that were picked still come to.
    fn sum(&self, picked: &[usize]) -> Result<Amount, Error> {
        picked
            .iter()
            .try_fold(Amount::ZERO, |sum, index| sum.checked_add(self.remaining[*index]))
            .ok_or(Error::AMOUNT_OVERFLOW)
    }

    fn all(&self) -> Vec<usize> {
        (0..self.lines.len()).collect()
    }

    /// The total without tax as it stands.
    pub(super) fn net(&self) -> Result<Amount, Error> {
        self.sum(&self.all())
    }

    /// What each tax group comes to as it stands.
    fn taxable(&self) -> Result<BTreeMap<&TaxGroup, Amount>, Error> {
        self.taxable_of(self.all())
    }

    /// What the tax groups of some lines come to.
    fn taxable_of(&self, picked: impl IntoIterator<Item = usize>) -> Result<BTreeMap<&TaxGroup, Amount>, Error> {
        let mut groups: BTreeMap<&TaxGroup, Amount> = BTreeMap::new();
        for index in picked {
            let sum = groups.entry(&self.lines[index].tax).or_default();
            *sum = sum.checked_add(self.remaining[index]).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        Ok(groups)
    }

    /// The total with tax as it stands. Where something is given back at another rate than the rest, it may be below
    /// zero where the total without tax is not.
    pub(super) fn with_tax(&self) -> Result<Amount, Error> {
        self.with_tax_of(self.all())
    }

    fn with_tax_of(&self, picked: impl IntoIterator<Item = usize>) -> Result<Amount, Error> {
        let hundred = Percent::from_integer(100).units();
        let mut total = Amount::ZERO;
        for (group, taxable) in self.taxable_of(picked)? {
            let tax = taxable.scaled(group.rate.units(), hundred, self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
            total = total.checked_add(taxable).and_then(|sum| sum.checked_add(tax)).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        Ok(total)
    }

    /// Takes an amount off lines, an allowance for each tax group.
    fn take_off(&mut self, picked: &[usize], base: Amount, amount: Amount, about: &About<'_>) -> Result<(), Error> {
        let weights: Vec<Amount> = picked.iter().map(|index| self.remaining[*index]).collect();
        let shares = spread(amount, &weights, self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
        let mut groups: BTreeMap<TaxGroup, Vec<(usize, Amount)>> = BTreeMap::new();
        for (index, share) in picked.iter().zip(shares) {
            if !share.is_zero() {
                self.remaining[*index] = self.remaining[*index].checked_sub(share).ok_or(Error::AMOUNT_OVERFLOW)?;
                groups.entry(self.lines[*index].tax.clone()).or_default().push((*index, share));
            }
        }
        for (tax, shares) in groups {
            let sum = shares.iter().try_fold(Amount::ZERO, |sum, (_, share)| sum.checked_add(*share));
            self.allowances.push(Allowance {
                kind: about.kind,
                term_id: about.id.to_owned(),
                description: about.description.to_owned(),
                percent: about.percent,
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
                let hundred = Percent::from_integer(100).units();
                (base.scaled(percent.units(), hundred, self.places).ok_or(Error::AMOUNT_OVERFLOW)?, Some(percent))
            }
            AppliedValue::Fixed(amount) => (amount.min(base), None),
        };
        let about = About { kind: DISCOUNT, id: &discount.id, description: &discount.description, percent };
        self.take_off(&picked, base, amount, &about)
    }

    /// What is missing to the amount becomes a line, what is above it costs more or less. `like` is a line with the
    /// period of the invoice; `tax_of` tells the tax of the new line.
    pub(super) fn commit<E: From<Error>>(
        &mut self,
        commitment: &AppliedCommitment,
        period: (DayNumber, DayNumber),
        tax_of: impl Fn(&Line) -> Result<TaxGroup, E>,
    ) -> Result<(), E> {
        let picked = picked(&commitment.applies);
        let base = self.sum(&picked)?;
        let line = |charge_kind: &str, line_by: String, net_amount: Amount| -> Result<Line, E> {
            let mut line = Line::of_amount(period, net_amount);
            line.charge_category = ChargeCategory::Purchase;
            line.service.clone_from(&commitment.service);
            line.component = COMMITMENT.to_owned();
            line.sku.clone_from(&commitment.id);
            line.description.clone_from(&commitment.description);
            line.line_by = line_by;
            line.charge_kind = charge_kind.to_owned();
            line.term_id = Some(commitment.id.clone());
            line.tax = tax_of(&line)?;
            Ok(line)
        };
        if base < commitment.amount {
            if commitment.true_up {
                let missing = commitment.amount.checked_sub(base).ok_or(Error::AMOUNT_OVERFLOW)?;
                self.add(line(TOP_UP, String::new(), missing)?);
            }
            return Ok(());
        }
        let Some(factor) = commitment.overage_factor else { return Ok(()) };
        let above = base.checked_sub(commitment.amount).ok_or(Error::AMOUNT_OVERFLOW)?;
        let one = UnitPrice::from_integer(1).units();
        let change = above.scaled(factor.units() - one, one, self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
        if change > Amount::ZERO {
            self.add(line(OVERAGE, format!("times={factor}"), change)?);
        } else if change < Amount::ZERO {
            let amount = Amount::ZERO.checked_sub(change).ok_or(Error::AMOUNT_OVERFLOW)?;
            let about = About {
                kind: OVERAGE,
                id: &commitment.id,
                description: &commitment.description,
                percent: percent_below(factor),
            };
            self.take_off(&picked, above, amount, &about)?;
        }
        Ok(())
    }

    /// What a line still comes to.
    pub(super) fn remaining(&self, index: usize) -> Amount {
        self.remaining.get(index).copied().unwrap_or(Amount::ZERO)
    }

    pub(super) fn add(&mut self, line: Line) {
        self.remaining.push(line.net_amount);
        self.lines.push(line);
    }

    /// Takes everything back off the invoice, in a line for each tax group: the next one has it.
    pub(super) fn carry_forward(&mut self, period: (DayNumber, DayNumber)) -> Result<Amount, Error> {
        let net = self.net()?;
        let groups: Vec<(TaxGroup, Amount)> =
            self.taxable()?.into_iter().map(|(group, sum)| (group.clone(), sum)).collect();
        for (tax, sum) in groups.into_iter().filter(|(_, sum)| !sum.is_zero()) {
            let taken_off = Amount::ZERO.checked_sub(sum).ok_or(Error::AMOUNT_OVERFLOW)?;
            self.add(Line::carried_forward(period, taken_off, tax));
        }
        Ok(net)
    }

    /// Uses a credit up to what there is to be taxed, split by tax group. Gives what was used. Where one group is below
    /// zero, it is used only as far as the document stays above.
    pub(super) fn credit(&mut self, credit: &AppliedCredit) -> Result<Amount, Error> {
        let mut groups: BTreeMap<TaxGroup, Vec<usize>> = BTreeMap::new();
        for (index, line) in self.lines.iter().enumerate() {
            if credit.only.is_none_or(|only| only == (line.tax.category, line.tax.rate)) {
                groups.entry(line.tax.clone()).or_default().push(index);
            }
        }
        let mut open = Vec::new();
        for (_, picked) in groups {
            let sum = self.sum(&picked)?;
            if sum > Amount::ZERO {
                open.push((sum, picked));
            }
        }
        if open.is_empty() {
            return Ok(Amount::ZERO);
        }
        let sums: Vec<Amount> = open.iter().map(|(sum, _)| *sum).collect();
        let base =
            sums.iter().try_fold(Amount::ZERO, |sum, one| sum.checked_add(*one)).ok_or(Error::AMOUNT_OVERFLOW)?;
        let mut used = credit.balance.min(base);
        let smallest_unit = Amount::from_units(10i128.pow(4u32.saturating_sub(self.places)));
        if self.taxable()?.values().any(|sum| *sum < Amount::ZERO) {
            // Each unit of it lowers what is due by as much as the groups that it pays have with tax for each without.
            let paid = open.iter().flat_map(|(_, picked)| picked);
            let with_tax = self.with_tax_of(paid.copied())?;
            let most =
                self.with_tax()?.scaled(base.units(), with_tax.units(), self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
            // One more for each group, whose tax is rounded by itself: too much is taken back below.
            let rounded = Amount::from_units(smallest_unit.units() * (1 + open.len() as i128));
            used = used.min(self.net()?).min(most.checked_add(rounded).ok_or(Error::AMOUNT_OVERFLOW)?);
        }
        let about = About { kind: credit.kind, id: &credit.id, description: &credit.description, percent: None };
        while used > Amount::ZERO {
            let shares = spread(used, &sums, self.places).ok_or(Error::AMOUNT_OVERFLOW)?;
            let mut settled = self.clone();
            for ((_, picked), share) in open.iter().zip(shares).filter(|(_, share)| !share.is_zero()) {
                settled.take_off(picked, base, share, &about)?;
            }
            // Each group's tax is rounded by itself, which may be a few of the smallest units in all.
            if settled.with_tax()? >= Amount::ZERO {
                *self = settled;
                return Ok(used);
            }
            used = used.checked_sub(smallest_unit).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        Ok(Amount::ZERO)
    }
}

/// What an allowance is.
struct About<'a> {
    kind: &'static str,
    id: &'a str,
    description: &'a str,
    percent: Option<Percent>,
}

/// By how many percent a factor below one lowers a price, where that has no more places than a percent: 0.8 by 20.
fn percent_below(factor: UnitPrice) -> Option<Percent> {
    let below = (UnitPrice::from_integer(1).units() - factor.units()) * 100;
    // Twelve places of a factor, four of a percent.
    let step = 10i128.pow(8);
    (below % step == 0).then(|| Percent::from_units(below / step))
}

fn picked(applies: &[bool]) -> Vec<usize> {
    applies.iter().enumerate().filter(|(_, applies)| **applies).map(|(index, _)| index).collect()
}

impl Line {
    /// A line that takes something off a document for the next one to have.
    pub(super) fn carried_forward(period: (DayNumber, DayNumber), net_amount: Amount, tax: TaxGroup) -> Self {
        let mut line = Self::of_amount(period, net_amount);
        line.service = "Carried forward".to_owned();
        line.component = CARRIED_FORWARD.to_owned();
        line.sku = CARRIED_FORWARD.to_owned();
        line.description = "Carried forward to the next invoice".to_owned();
        line.charge_kind = CARRIED_FORWARD.to_owned();
        line.tax = tax;
        line
    }

    /// A line that is an amount and nothing else.
    pub(super) fn of_amount(period: (DayNumber, DayNumber), net_amount: Amount) -> Self {
        Self {
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
            // Four places of an amount are four of the twelve of a price.
            unit_price: UnitPrice::from_units(net_amount.units() * 100_000_000),
            unit_price_per: Quantity::from_integer(1),
            contracted_cost: crate::model::money::Cost::ZERO,
            net_amount,
            tax: TaxGroup {
                category: crate::model::terms::TaxCategory::OutOfScope,
                rate: Percent::ZERO,
                name: String::new(),
                exemption_reason: None,
            },
            origin: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::terms::TaxCategory;

    fn amount(text: &str) -> Amount {
        Amount::parse_exact(text).unwrap()
    }

    fn line(net: &str, rate: &str) -> Line {
        let mut line = Line::of_amount((0, 31), amount(net));
        line.charge_category = ChargeCategory::Usage;
        line.tax.category = TaxCategory::Standard;
        line.tax.rate = Percent::parse_exact(rate).unwrap();
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

    fn tax_of(_: &Line) -> Result<TaxGroup, Error> {
        Ok(line("1", "20").tax)
    }

    fn commitment(minimum: &str, factor: Option<&str>, lines: usize) -> AppliedCommitment {
        AppliedCommitment {
            id: "c".into(),
            description: "Minimum".into(),
            service: "Commitment".into(),
            amount: amount(minimum),
            overage_factor: factor.map(|factor| UnitPrice::parse_exact(factor).unwrap()),
            true_up: true,
            applies: vec![true; lines],
        }
    }

    /// 18.34 + 0.40: each line is rounded, then added (AWS Lambda's example). 10 % and then 10 % are 19 %, not 20 %.
    #[test]
    fn lines_add_up_and_discounts_chain() {
        let mut settled = InvoiceTotals::new(lines(&["18.34", "0.40"]), 2);
        assert_eq!(settled.net().unwrap(), amount("18.74"));
        let mut hundred = InvoiceTotals::new(lines(&["100.00"]), 2);
        hundred.discount(&discount(percent("10"), &[true])).unwrap();
        hundred.discount(&discount(percent("10"), &[true])).unwrap();
        assert_eq!(hundred.net().unwrap(), amount("81.00"));
        settled.discount(&discount(AppliedValue::Fixed(amount("100")), &[false, true])).unwrap();
        assert_eq!(settled.net().unwrap(), amount("18.34"), "a discount is at most what its lines come to");
    }

    /// 80 and 20: 25 % off the first leaves 60, 10 off both leaves 70; tax of 8.25 % on 70 is 5.775, so 5.78 and 75.78;
    /// a prepaid credit of 5 then leaves 70.78 to pay, and lowers no tax. The lines: 60 - 7.50 and 20 - 2.50.
    #[test]
    fn discounts_come_before_tax_and_deposits_after() {
        let mut settled = InvoiceTotals::new(lines(&["80.00", "20.00"]), 2);
        settled.discount(&discount(percent("25"), &[true, false])).unwrap();
        settled.discount(&discount(AppliedValue::Fixed(amount("10")), &[true, true])).unwrap();
        assert_eq!(settled.remaining, [amount("52.50"), amount("17.50")]);
        let taxable = settled.net().unwrap();
        let rate = Percent::parse_exact("8.25").unwrap();
        let tax = taxable.scaled(rate.units(), Percent::from_integer(100).units(), 2).unwrap();
        let due = taxable.checked_add(tax).unwrap().checked_sub(amount("5")).unwrap();
        assert_eq!((taxable, due), (amount("70.00"), amount("70.78")));
    }

    /// 50.00 are given back at 20 %, 70.00 charged at none: 20.00 without tax and 10.00 with it. The credit pays what
    /// has no tax, so that 10.00 of it pay all that is due.
    #[test]
    fn a_credit_leaves_a_document_above_nothing_with_tax_too() {
        let mut settled = InvoiceTotals::new(vec![line("-50.00", "20"), line("70.00", "0")], 2);
        assert_eq!((settled.net().unwrap(), settled.with_tax().unwrap()), (amount("20.00"), amount("10.00")));
        assert_eq!(settled.credit(&credit("100")).unwrap(), amount("10.00"));
        assert_eq!((settled.net().unwrap(), settled.with_tax().unwrap()), (amount("10.00"), amount("0.00")));
    }

    /// The same, for a credit that was sold with 20 % and pays nothing else: of that there is less than nothing.
    #[test]
    fn a_credit_of_which_nothing_is_left_to_pay_pays_nothing() {
        let mut settled = InvoiceTotals::new(vec![line("-50.00", "20"), line("70.00", "0")], 2);
        let only = Some((TaxCategory::Standard, Percent::from_integer(20)));
        assert_eq!(settled.credit(&AppliedCredit { only, ..credit("100") }).unwrap(), Amount::ZERO);
        assert_eq!(settled.with_tax().unwrap(), amount("10.00"));
    }

    /// 30.00 are given back at none, 60.00 charged at 20 %: 72.00 less 30.00 are 42.00 with tax. Each 1.00 of a credit
    /// takes 1.20 off what is due, and 42.00 / 1.20 are 35.00; but without tax only 30.00 are left.
    #[test]
    fn a_credit_leaves_a_document_above_nothing_without_tax_too() {
        let mut settled = InvoiceTotals::new(vec![line("-30.00", "0"), line("60.00", "20")], 2);
        assert_eq!(settled.credit(&credit("100")).unwrap(), amount("30.00"));
        assert_eq!((settled.net().unwrap(), settled.with_tax().unwrap()), (amount("0.00"), amount("6.00")));
    }

    /// A discount of 10.00 over 60 and 40 leaves 54.00 of the first.
    #[test]
    fn a_discount_is_shared_out_over_its_lines() {
        let mut settled = InvoiceTotals::new(lines(&["60.00", "40.00"]), 2);
        settled.discount(&discount(AppliedValue::Fixed(amount("10.00")), &[true, true])).unwrap();
        assert_eq!(settled.remaining, [amount("54.00"), amount("36.00")]);
    }

    /// 50 spent of 100 is topped up by 50. What is above a commitment of 100 costs 0.8: 140 is 100 + 32; 1.5: 100 + 60.
    #[test]
    fn commitments_top_up_or_change_what_is_above_them() {
        let mut below = InvoiceTotals::new(lines(&["30.00", "20.00"]), 2);
        below.commit(&commitment("100", None, 2), (0, 31), tax_of).unwrap();
        let top_up = below.lines.last().unwrap();
        assert_eq!((top_up.net_amount, top_up.charge_kind.as_str()), (amount("50"), "top_up"));
        assert_eq!(below.net().unwrap(), amount("100"));
        for (factor, net) in [("0.8", "132"), ("1.5", "160"), ("1", "140")] {
            let mut above = InvoiceTotals::new(lines(&["100.00", "40.00"]), 2);
            above.commit(&commitment("100", Some(factor), 2), (0, 31), tax_of).unwrap();
            assert_eq!(above.net().unwrap(), amount(net), "{factor}");
            let less: Vec<_> = above.allowances.iter().map(|one| (one.kind, one.percent)).collect();
            let more: Vec<_> = above.lines[2..].iter().map(|one| (&*one.charge_kind, &*one.line_by)).collect();
            match factor {
                "0.8" => assert_eq!(less, [("overage", Some(Percent::from_integer(20)))]),
                "1.5" => assert_eq!(more, [("overage", "times=1.5")]),
                _ => assert!(less.is_empty() && more.is_empty()),
            }
        }
        assert_eq!(percent_below(UnitPrice::parse_exact("0.333333333333").unwrap()), None);
    }

    /// 50 off 60 at 20 % and 40 at 5.5 %: 30 and 20. The same again has 50 to take, and the third nothing.
    #[test]
    fn credits_are_split_by_tax_group_and_never_go_below_nothing() {
        let mut settled = InvoiceTotals::new(vec![line("60", "20"), line("40", "5.5")], 2);
        assert_eq!(settled.credit(&credit("50")).unwrap(), amount("50"));
        let taken: Vec<Amount> = settled.allowances.iter().map(|allowance| allowance.amount).collect();
        assert_eq!(taken, [amount("20"), amount("30")], "the smaller rate is the first group");
        assert_eq!(settled.credit(&credit("80")).unwrap(), amount("50"));
        assert_eq!(settled.credit(&credit("80")).unwrap(), Amount::ZERO);
        assert_eq!(settled.net().unwrap(), Amount::ZERO);
        let mut one = InvoiceTotals::new(vec![line("60", "20"), line("40", "5.5")], 2);
        let only = Some((TaxCategory::Standard, Percent::parse_exact("5.5").unwrap()));
        assert_eq!(one.credit(&AppliedCredit { only, ..credit("50") }).unwrap(), amount("40"));
    }

    #[test]
    fn what_is_carried_forward_leaves_nothing_to_tax() {
        let mut settled = InvoiceTotals::new(vec![line("1.10", "20"), line("0.90", "5.5")], 2);
        assert_eq!(settled.carry_forward((0, 31)).unwrap(), amount("2"));
        assert_eq!(settled.net().unwrap(), Amount::ZERO);
        assert_eq!(settled.lines.len(), 4);
    }

    proptest! {
        /// Whatever the lines, discounts, credits and currency: what is left is what was, less what was taken off, in
        /// whole units of the currency, and nobody gets below nothing.
        #[test]
        fn nothing_is_lost_between_lines_and_net(
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
                line.net_amount = Amount::from_units(net / unit * unit);
                line
            }).collect();
            let count = lines.len();
            let mut settled = InvoiceTotals::new(lines, places);
            for (is_percent, value, mask) in discounts {
                let value = if is_percent {
                    AppliedValue::Percent(Percent::from_units(value.min(1_000_000)))
                } else {
                    AppliedValue::Fixed(Amount::from_units(value / unit * unit))
                };
                let applies: Vec<bool> = (0..count).map(|index| mask >> (index % 16) & 1 == 1).collect();
                settled.discount(&discount(value, &applies)).unwrap();
            }
            let mut committed = commitment("1", Some("0.9"), count);
            committed.amount = Amount::from_units(minimum / unit * unit);
            settled.commit(&committed, (0, 31), tax_of).unwrap();
            for balance in credits {
                let balance = Amount::from_units(balance / unit * unit);
                let credit = AppliedCredit { balance, ..credit("1") };
                let used = settled.credit(&credit).unwrap();
                prop_assert!(used <= balance);
            }
            let total: i128 = settled.lines.iter().map(|line| line.net_amount.units()).sum();
            let taken: i128 = settled.allowances.iter().map(|allowance| allowance.amount.units()).sum();
            let net = settled.net().unwrap();
            prop_assert_eq!(net.units(), total - taken);
            prop_assert!(!net.is_negative());
            for allowance in &settled.allowances {
                prop_assert_eq!(allowance.amount.units() % unit, 0);
                let shares: i128 = allowance.shares.iter().map(|share| share.1.units()).sum();
                prop_assert_eq!(shares, allowance.amount.units());
            }
            for remaining in &settled.remaining {
                prop_assert_eq!(remaining.units() % unit, 0);
                prop_assert!(!remaining.is_negative());
            }
        }
    }
}
