//! The allocation of reservations and hourly commitments to usage, hour by hour.
//!
//! In this file, a commitment is a reservation or an hourly commitment. All commitments of one account are allocated
//! together for each hour. Each unit of usage is covered at most once.

use std::collections::{BTreeSet, HashMap};
use std::iter::Peekable;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::i256;
use iso_currency::Currency;

use super::subscription::unassigned_projects;
use crate::error::Error;
use crate::model::account::Accounts;
use crate::model::commitment_discount::{Committed, Reservation};
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::money::{Cost, Price, Quantity, UnitPrice};
use crate::model::period::{Calendar, DayNumber, day_number};
use crate::model::rule_book::RuleBook;
use crate::query::expression::{Compiled, predicate};
use crate::query::{Parameters, Session, statement};
use crate::rating::series_tuples::{matching_series, resource_columns};
use crate::rows;
use crate::rows::relations::{CoverableWindow, Row, Rows};
use crate::run::Context;

const HOUR: i64 = 3_600_000_000;

/// A reservation with its compiled predicates, in the order of its covers.
#[derive(Debug)]
pub struct CompiledReservation<'a> {
    reservation: &'a Reservation,
    covers: Vec<Option<Compiled>>,
}

/// Compiles reservations and collects the problems of their expressions.
pub fn compile<'a>(
    session: &Session,
    rules: &RuleBook,
    reservations: &'a [Reservation],
) -> (Vec<CompiledReservation<'a>>, Diagnostics) {
    let mut compiled = Vec::new();
    let mut problems = Diagnostics::default();
    for reservation in reservations {
        let mut covers = Vec::with_capacity(reservation.covers.len());
        for cover in &reservation.covers {
            let columns = rules.meter(&cover.meter).map(resource_columns).unwrap_or_default();
            match cover.when.as_ref().map(|when| predicate(session, when, &columns)).transpose() {
                Ok(when) => covers.push(when),
                Err(problem) => problems.push(problem),
            }
        }
        compiled.push(CompiledReservation { reservation, covers });
    }
    (compiled, problems)
}

/// The usage of one series in one window that a commitment may cover.
#[derive(Clone, Debug)]
struct UsageWindow {
    series_id: u64,
    charge_date: DayNumber,
    segment_start: i64,
    window_start: i64,
    /// The part of the metered quantity that no commitment covers yet.
    uncovered: Quantity,
    multiplier: Quantity,
    divisor: Quantity,
    /// The on-demand price, for `price_per` priced units.
    unit_price: UnitPrice,
    price_per: Quantity,
    currency: Option<Currency>,
}

impl UsageWindow {
    fn of_row(row: Row<'_, CoverableWindow>) -> Self {
        Self {
            series_id: row.series_id(),
            charge_date: row.charge_date(),
            segment_start: row.segment_start(),
            window_start: row.window_start(),
            uncovered: row.consumed_quantity(),
            multiplier: row.multiplier(),
            divisor: row.pricing_divisor(),
            unit_price: row.unit_price(),
            price_per: row.price_per(),
            currency: Currency::from_code(row.currency()),
        }
    }
}

/// The quantity of one usage window that one commitment covers. `reservation` and `window` are indices.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CoveredUsage {
    reservation: usize,
    window: usize,
    quantity: Quantity,
}

/// The used part of a commitment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct UsedCommitment {
    quantity: Quantity,
    amount: Cost,
}

/// A commitment that is active in an hour, with the committed price of each series that it covers.
struct ActiveCommitment<'a> {
    reservation: usize,
    committed: Committed,
    currency: Currency,
    prices: &'a HashMap<u64, UnitPrice>,
}

fn wide(units: i128) -> i256 {
    i256::from_i128(units)
}

/// The cost of a quantity at a price per priced unit, with 18 decimal places. The cost is rounded up, so that a
/// commitment never covers more than its amount.
fn cost_of(quantity: Quantity, window: &UsageWindow, price: UnitPrice) -> Option<Cost> {
    // The product has 9 + 9 + 12 places and the divisor has 9, so the quotient has 21. A factor of 1000 leaves 18.
    let product = wide(quantity.units()).checked_mul(wide(window.multiplier.units()))?;
    let product = product.checked_mul(wide(price.units()))?;
    let divisor = wide(window.divisor.units()).checked_mul(wide(1_000))?;
    let quotient = product.checked_div(divisor)?;
    let rest = product.checked_sub(quotient.checked_mul(divisor)?)?;
    let cost = if rest == i256::ZERO { quotient } else { quotient.checked_add(i256::ONE)? };
    cost.to_i128().map(Cost::from_units)
}

/// The quantity of a usage window that an amount pays for, rounded down to nine places.
fn quantity_for(amount: Cost, window: &UsageWindow, price: UnitPrice) -> Option<Quantity> {
    let numerator = wide(amount.units()).checked_mul(wide(1_000))?.checked_mul(wide(window.divisor.units()))?;
    let denominator = wide(window.multiplier.units()).checked_mul(wide(price.units()))?;
    numerator.checked_div(denominator)?.to_i128().map(Quantity::from_units)
}

/// The usage windows of one account in one hour, with the used commitments and the covered usage.
struct HourCoverage<'a> {
    windows: &'a mut [UsageWindow],
    used: &'a mut [UsedCommitment],
    covered: Vec<CoveredUsage>,
}

/// Allocates the commitments of one hour. The commitments are in the order of allocation. A reserved quantity covers
/// usage in the order of the windows. An amount covers the usage with the largest saving first.
fn cover_hour(
    commitments: &[ActiveCommitment<'_>],
    windows: &mut [UsageWindow],
    used: &mut [UsedCommitment],
) -> Result<Vec<CoveredUsage>, Error> {
    let mut hour = HourCoverage { windows, used, covered: Vec::new() };
    for commitment in commitments {
        match commitment.committed {
            Committed::Quantity { quantity, .. } => hour.cover_by_quantity(commitment, quantity)?,
            Committed::Amount(amount) => hour.cover_by_amount(commitment, amount)?,
        }
    }
    Ok(hour.covered)
}

impl HourCoverage<'_> {
    /// The indices of the windows whose series a commitment covers.
    fn coverable(&self, commitment: &ActiveCommitment<'_>) -> Vec<usize> {
        let is_coverable = |index: &usize| commitment.prices.contains_key(&self.windows[*index].series_id);
        (0..self.windows.len()).filter(is_coverable).collect()
    }

    fn cover(&mut self, reservation: usize, window: usize, quantity: Quantity) -> Result<(), Error> {
        let uncovered = &mut self.windows[window].uncovered;
        *uncovered = uncovered.checked_sub(quantity).ok_or(Error::QUANTITY_OVERFLOW)?;
        self.covered.push(CoveredUsage { reservation, window, quantity });
        Ok(())
    }

    fn cover_by_quantity(&mut self, commitment: &ActiveCommitment<'_>, quantity: Quantity) -> Result<(), Error> {
        let mut remaining = quantity;
        for window in self.coverable(commitment) {
            let part = remaining.min(self.windows[window].uncovered);
            if part > Quantity::ZERO {
                self.cover(commitment.reservation, window, part)?;
                remaining = remaining.checked_sub(part).ok_or(Error::QUANTITY_OVERFLOW)?;
                let used = &mut self.used[commitment.reservation].quantity;
                *used = used.checked_add(part).ok_or(Error::QUANTITY_OVERFLOW)?;
            }
        }
        Ok(())
    }

    fn cover_by_amount(&mut self, commitment: &ActiveCommitment<'_>, amount: Price) -> Result<(), Error> {
        let mut remaining: Cost = amount.to_decimal().ok_or(Error::AMOUNT_OVERFLOW)?;
        for index in self.by_saving(commitment)? {
            let (window, price) = (self.windows[index].clone(), commitment.prices[&self.windows[index].series_id]);
            let whole = cost_of(window.uncovered, &window, price).ok_or(Error::QUANTITY_OVERFLOW)?;
            let part = if whole <= remaining {
                window.uncovered
            } else {
                quantity_for(remaining, &window, price).ok_or(Error::QUANTITY_OVERFLOW)?
            };
            if part > Quantity::ZERO {
                let cost = cost_of(part, &window, price).ok_or(Error::QUANTITY_OVERFLOW)?;
                self.cover(commitment.reservation, index, part)?;
                remaining = remaining.checked_sub(cost).ok_or(Error::QUANTITY_OVERFLOW)?;
                let used = &mut self.used[commitment.reservation].amount;
                *used = used.checked_add(cost).ok_or(Error::QUANTITY_OVERFLOW)?;
            }
        }
        Ok(())
    }

    /// The windows that a commitment makes cheaper, in ascending order of the ratio of committed price to on-demand
    /// price.
    fn by_saving(&self, commitment: &ActiveCommitment<'_>) -> Result<Vec<usize>, Error> {
        let mut ordered = Vec::new();
        for index in self.coverable(commitment) {
            let window = &self.windows[index];
            // A saving across currencies cannot be compared, so usage in another currency is not covered.
            if window.currency != Some(commitment.currency) {
                continue;
            }
            // The committed price is for one priced unit, and the on-demand price is for `price_per` units. To compare
            // both, the code multiplies each price by the number of units of the other price.
            let committed = commitment.prices[&window.series_id].units().checked_mul(window.price_per.units());
            let on_demand = window.unit_price.units().checked_mul(Quantity::ONE.units());
            let (Some(committed), Some(on_demand)) = (committed, on_demand) else {
                return Err(Error::QUANTITY_OVERFLOW);
            };
            // An amount is spent only on usage that it makes cheaper.
            if committed < on_demand {
                ordered.push((committed, on_demand, index));
            }
        }
        ordered.sort_by(|left, right| {
            // The product of two 128-bit numbers needs 256 bits.
            let cross = |a: i128, b: i128| wide(a).wrapping_mul(wide(b));
            cross(left.0, right.1).cmp(&cross(right.0, left.1)).then(left.2.cmp(&right.2))
        });
        Ok(ordered.into_iter().map(|(.., index)| index).collect())
    }
}

/// The accounts with a commitment on any day of a month.
pub(super) fn committed_accounts(reservations: &[Reservation], month: (DayNumber, DayNumber)) -> BTreeSet<&str> {
    let is_active = |one: &&Reservation| {
        let validity = one.validity;
        validity.from.is_none_or(|from| day_number(from) < month.1)
            && validity.to.is_none_or(|to| month.0 < day_number(to))
    };
    reservations.iter().filter(is_active).map(|one| one.account.as_str()).collect()
}

/// Registers the covered usage of the period and the charges of all commitments. Returns the rows of `covered_window`.
pub(super) async fn register_coverage(
    context: &Context,
    session: &Session,
    rules: &RuleBook,
    active_series: &[RecordBatch],
) -> Result<RecordBatch, Error> {
    let mut calendar = context.calendar();
    let accounts = context.config.accounts.clone();
    let month = (context.period.start_day(), context.period.end_day());
    let unassigned_projects = unassigned_projects(active_series, &accounts, month, &mut calendar)?;
    let unknown = rules.reservations.iter().filter(|one| {
        accounts.get(&one.account).is_none()
            && !accounts.accounts.is_empty()
            && !unassigned_projects.contains(&one.account)
    });
    let problems: Vec<Diagnostic> =
        unknown.map(|one| accounts.unknown_account(&one.account, &one.declared_at)).collect();
    if !problems.is_empty() {
        return Err(Error::Invalid(problems));
    }
    let inputs = CoverageInputs { session, rules, accounts: &accounts, month };
    cover(&inputs, &mut calendar, &rules.reservations, active_series).await
}

/// The inputs that all commitments share: the session with the usage, the rules, the accounts and the month.
pub(super) struct CoverageInputs<'a> {
    pub(super) session: &'a Session,
    pub(super) rules: &'a RuleBook,
    pub(super) accounts: &'a Accounts,
    pub(super) month: (DayNumber, DayNumber),
}

/// Registers the usage that reservations cover, and the charge of each reservation. The session contains the usage.
pub(super) async fn cover(
    inputs: &CoverageInputs<'_>,
    calendar: &mut Calendar,
    reservations: &[Reservation],
    active_series: &[RecordBatch],
) -> Result<RecordBatch, Error> {
    let CoverageInputs { session, rules, accounts, month } = *inputs;
    let (compiled, problems) = compile(session, rules, reservations);
    if problems.has_errors() {
        return Err(Error::Invalid(problems.into_sorted()));
    }
    let compiled = compiled.as_slice();
    let prices = committed_prices(compiled, rules, active_series)?;
    let spans: Vec<Span> = compiled.iter().map(|one| span(one.reservation, month, calendar)).collect();
    let coverable: BTreeSet<u64> = prices.iter().flat_map(HashMap::keys).copied().collect();
    let series: ArrayRef = Arc::new(UInt64Array::from_iter_values(coverable));
    let series = rows::batch(statement("rating/coverable_series")?, vec![series])?;
    session.register("rating/coverable_series", vec![series])?;
    let coverable = session.run("rating/coverable_window", Parameters::none()).await?;
    let coverable: Rows<CoverableWindow> = Rows::read(&coverable)?;
    let mut rows = coverable.iter().peekable();
    let mut used = vec![UsedCommitment::default(); compiled.len()];
    let mut covered: Vec<(usize, UsageWindow, Quantity)> = Vec::new();
    let start = calendar.day_start(month.0);
    while let Some(((account, hour), mut windows)) = next_hour(&mut rows, start) {
        let commitments = active_commitments(compiled, &spans, &prices, account, start + hour * HOUR);
        for one in cover_hour(&commitments, &mut windows, &mut used)? {
            covered.push((one.reservation, windows[one.window].clone(), one.quantity));
        }
    }
    let covered_window = covered_rows(compiled, &covered)?;
    session.register("rating/covered_window", vec![covered_window.clone()])?;
    let charges = CommittedCharges { compiled, rules, spans: &spans, used: &used, accounts };
    session.register("rating/committed_charge", vec![charges.rows()?])?;
    Ok(covered_window)
}

/// The series that each reservation covers, with the lowest committed price of its covers.
fn committed_prices(
    compiled: &[CompiledReservation<'_>],
    rules: &RuleBook,
    active_series: &[RecordBatch],
) -> Result<Vec<HashMap<u64, UnitPrice>>, Error> {
    let mut prices: Vec<HashMap<u64, UnitPrice>> = Vec::with_capacity(compiled.len());
    for one in compiled {
        let mut price_of_series: HashMap<u64, UnitPrice> = HashMap::new();
        for (cover, when) in one.reservation.covers.iter().zip(&one.covers) {
            let Some(meter) = rules.meter(&cover.meter) else { continue };
            for series in matching_series(meter, when.as_ref(), &[], active_series)? {
                let is_of_account = series.account_id.as_deref() == Some(one.reservation.account.as_str());
                let is_of_project =
                    one.reservation.project.as_deref().is_none_or(|id| series.project_id.as_deref() == Some(id));
                if is_of_account && is_of_project {
                    let price = price_of_series.entry(series.series_id).or_insert(cover.unit_price.into());
                    *price = UnitPrice::from(cover.unit_price).min(*price);
                }
            }
        }
        prices.push(price_of_series);
    }
    Ok(prices)
}

/// A range of days: the first day and the day after the last day, and the instants at which these two days begin.
type Span = ((DayNumber, DayNumber), (i64, i64));

/// The days and instants of a reservation within a month.
fn span(reservation: &Reservation, month: (DayNumber, DayNumber), calendar: &mut Calendar) -> Span {
    let validity = reservation.validity;
    let first = validity.from.map_or(month.0, day_number).max(month.0);
    let end = validity.to.map_or(month.1, day_number).min(month.1).max(first);
    ((first, end), (calendar.day_start(first), calendar.day_start(end)))
}

/// The commitments of an account that are active at an instant: reserved quantities first, then amounts.
fn active_commitments<'a>(
    compiled: &[CompiledReservation<'_>],
    spans: &[Span],
    prices: &'a [HashMap<u64, UnitPrice>],
    account: &str,
    at: i64,
) -> Vec<ActiveCommitment<'a>> {
    let mut order: Vec<usize> = (0..compiled.len()).collect();
    order.sort_by_key(|index| matches!(compiled[*index].reservation.committed, Committed::Amount(_)));
    let is_active = |index: &usize| {
        let (from, to) = spans[*index].1;
        compiled[*index].reservation.account == *account && from <= at && at < to
    };
    let active = order.into_iter().filter(is_active);
    active
        .map(|index| {
            let Reservation { committed: hold, currency, .. } = *compiled[index].reservation;
            ActiveCommitment { reservation: index, committed: hold, currency, prices: &prices[index] }
        })
        .collect()
}

/// The usage windows of one account in one hour, with the account and the number of the hour.
type HourUsage<'a> = ((&'a str, i64), Vec<UsageWindow>);

/// The account of a row of `coverable_window`, and the number of its hour in the period.
fn account_hour(row: Row<'_, CoverableWindow>, start: i64) -> (&str, i64) {
    (row.account_id(), (row.window_start() - start).div_euclid(HOUR))
}

/// The next rows of one account and hour. The rows of `coverable_window` are sorted by account and time.
fn next_hour<'a>(
    rows: &mut Peekable<impl Iterator<Item = Row<'a, CoverableWindow>>>,
    start: i64,
) -> Option<HourUsage<'a>> {
    let first = rows.next()?;
    let key = account_hour(first, start);
    let mut windows = vec![UsageWindow::of_row(first)];
    while let Some(row) = rows.peek().copied() {
        if account_hour(row, start) != key {
            break;
        }
        windows.push(UsageWindow::of_row(row));
        rows.next();
    }
    Some((key, windows))
}

fn covered_rows(
    compiled: &[CompiledReservation<'_>],
    covered: &[(usize, UsageWindow, Quantity)],
) -> Result<RecordBatch, Error> {
    let mut priced = Vec::with_capacity(covered.len());
    for (_, window, quantity) in covered {
        let counted = quantity.checked_wide_mul(window.multiplier).ok_or(Error::QUANTITY_OVERFLOW)?;
        let quantity =
            counted.scaled(Quantity::ONE.units(), window.divisor.units(), 9).ok_or(Error::QUANTITY_OVERFLOW)?;
        priced.push(Some(quantity.units()));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(covered.iter().map(|row| &compiled[row.0].reservation.id))),
        Arc::new(UInt64Array::from_iter_values(covered.iter().map(|row| row.1.series_id))),
        Arc::new(Date32Array::from_iter_values(covered.iter().map(|row| row.1.charge_date))),
        Arc::new(rows::timestamps(covered.iter().map(|row| Some(row.1.segment_start)))),
        Arc::new(rows::timestamps(covered.iter().map(|row| Some(row.1.window_start)))),
        Arc::new(rows::decimals(covered.iter().map(|row| Some(row.2.units())), 38, 9)?),
        Arc::new(rows::decimals(priced, 38, 9)?),
    ];
    rows::batch(statement("rating/covered_window")?, columns)
}

/// The inputs of the rows of `committed_charge`: the commitments of a period and their used parts.
struct CommittedCharges<'a> {
    compiled: &'a [CompiledReservation<'a>],
    rules: &'a RuleBook,
    spans: &'a [Span],
    used: &'a [UsedCommitment],
    accounts: &'a Accounts,
}

/// One row of `committed_charge`.
struct CommittedCharge<'a> {
    number: usize,
    part: &'static str,
    quantity: Quantity,
    unit: &'a str,
    unit_price: UnitPrice,
}

impl CommittedCharges<'_> {
    /// The used and the unused part of each commitment.
    fn charges(&self) -> Result<Vec<CommittedCharge<'_>>, Error> {
        let mut found: Vec<CommittedCharge<'_>> = Vec::new();
        for (number, one) in self.compiled.iter().enumerate() {
            let (from, to) = self.spans[number].1;
            let seconds = i128::from((to - from) / 1_000_000);
            let used = self.used[number];
            let unit = one.reservation.covers.first().and_then(|cover| self.rules.meter(&cover.meter));
            let (committed, used, unit, unit_price) = match one.reservation.committed {
                Committed::Quantity { quantity, unit_price } => {
                    let committed = quantity.scaled(seconds, 3600, 9).ok_or(Error::QUANTITY_OVERFLOW)?;
                    (committed, used.quantity, unit.map_or("unit", |meter| meter.unit.as_str()), unit_price.into())
                }
                Committed::Amount(amount) => {
                    // The amount of an hour has nine decimal places, as a quantity has.
                    let amount = amount.to_decimal().and_then(|amount: Quantity| amount.scaled(seconds, 3600, 9));
                    let committed = amount.ok_or(Error::QUANTITY_OVERFLOW)?;
                    // Nine of eighteen places are kept. The remainder counts as unused.
                    (
                        committed,
                        Quantity::from_units(used.amount.units() / Quantity::ONE.units()),
                        one.reservation.currency.code(),
                        UnitPrice::ONE,
                    )
                }
            };
            let unused = committed.checked_sub(used).ok_or(Error::QUANTITY_OVERFLOW)?;
            for (part, quantity) in [("used", used), ("not used", unused)] {
                if !quantity.is_zero() {
                    found.push(CommittedCharge { number, part, quantity, unit, unit_price });
                }
            }
        }
        Ok(found)
    }

    fn rows(&self) -> Result<RecordBatch, Error> {
        let found = self.charges()?;
        let account = |row: &CommittedCharge<'_>| self.accounts.get(&self.compiled[row.number].reservation.account);
        let name = |row: &CommittedCharge<'_>| account(row).map(|account| account.name.clone());
        let status =
            |row: &CommittedCharge<'_>| account(row).map_or("invoiced", |account| self.accounts.status_of(account));
        let reservation = |row: &CommittedCharge<'_>| self.compiled[row.number].reservation;
        let texts = |pick: &dyn Fn(&CommittedCharge<'_>) -> Option<String>| -> ArrayRef {
            Arc::new(StringArray::from_iter(found.iter().map(pick)))
        };
        let days = |pick: &dyn Fn((DayNumber, DayNumber)) -> DayNumber| -> ArrayRef {
            Arc::new(Date32Array::from_iter_values(found.iter().map(|row| pick(self.spans[row.number].0))))
        };
        let columns: Vec<ArrayRef> = vec![
            texts(&|row| Some(reservation(row).id.clone())),
            texts(&|row| Some(reservation(row).account.clone())),
            texts(&name),
            texts(&|row| {
                let own = name(row).is_none().then(|| reservation(row).account.clone());
                reservation(row).project.clone().or(own)
            }),
            texts(&|row| Some(status(row).to_owned())),
            texts(&|row| Some(reservation(row).charge_kind().to_owned())),
            texts(&|row| Some(reservation(row).service.clone())),
            texts(&|row| Some(reservation(row).sku.clone())),
            texts(&|row| Some(reservation(row).description.clone())),
            texts(&|row| Some(format!("part={}", row.part))),
            days(&|days| days.0),
            days(&|days| days.1),
            Arc::new(rows::decimals(found.iter().map(|row| Some(row.quantity.units())), 28, 9)?),
            texts(&|row| Some(row.unit.to_owned())),
            Arc::new(rows::decimals(found.iter().map(|row| Some(row.unit_price.units())), 28, 12)?),
            texts(&|row| Some(reservation(row).currency.code().to_owned())),
            texts(&|row| Some(reservation(row).declared_at.source.name.clone())),
            Arc::new(Int64Array::from_iter_values(found.iter().map(|row| reservation(row).declared_at.line() as i64))),
        ];
        rows::batch(statement("rating/committed_charge")?, columns)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn price(text: &str) -> UnitPrice {
        UnitPrice::parse_exact(text).unwrap()
    }

    fn per_hour(text: &str) -> Price {
        Price::parse_exact(text).unwrap()
    }

    fn quantity(text: &str) -> Quantity {
        Quantity::parse_exact(text).unwrap()
    }

    fn window(series_id: u64, uncovered: &str, unit_price: &str) -> UsageWindow {
        UsageWindow {
            series_id,
            charge_date: 0,
            segment_start: 0,
            window_start: 0,
            uncovered: quantity(uncovered),
            multiplier: Quantity::from_integer(1),
            divisor: Quantity::from_integer(1),
            unit_price: price(unit_price),
            price_per: Quantity::from_integer(1),
            currency: Some(Currency::EUR),
        }
    }

    fn commitment(reservation: usize, committed: Committed, prices: &HashMap<u64, UnitPrice>) -> ActiveCommitment<'_> {
        ActiveCommitment { reservation, committed, currency: Currency::EUR, prices }
    }

    fn prices(listed: &[(u64, &str)]) -> HashMap<u64, UnitPrice> {
        listed.iter().map(|(series, text)| (*series, price(text))).collect()
    }

    /// The hour of the published example. On demand, 4.00 + 10.00 + 10 × 1.50 + 5 × 2.00 = 39.00. At committed prices,
    /// 2.00 + 8.00 + 10 × 1.00 + 5 × 1.00 = 25.00.
    ///
    /// With 10.00 per hour, the commitment covers first the one unit of series 1 at 50 % (2.00). Then it covers the
    /// five units of series 4 at 50 % (5.00), and three of the ten units of series 3 at 67 % (3.00).
    #[test]
    fn an_hourly_commitment_covers_the_usage_with_the_largest_saving() {
        let windows = [window(1, "1", "4"), window(2, "1", "10"), window(3, "10", "1.5"), window(4, "5", "2")];
        let listed = prices(&[(1, "2"), (2, "8"), (3, "1"), (4, "1")]);
        let cover = |amount: &str| {
            let mut windows = windows.to_vec();
            let mut used = [UsedCommitment::default()];
            let commitments = [commitment(0, Committed::Amount(per_hour(amount)), &listed)];
            cover_hour(&commitments, &mut windows, &mut used).unwrap();
            (windows.uncovered_quantities(), used[0].amount)
        };
        assert_eq!(cover("25"), (vec![Quantity::ZERO; 4], Cost::from_integer(25)));
        let uncovered = ["0", "1", "7", "0"].map(quantity).to_vec();
        assert_eq!(cover("10"), (uncovered, Cost::from_integer(10)));
        // At 3.00 per unit, 1.00 pays for 0.333333333 units, which cost 0.999999999. The remainder is unused.
        let mut one = [window(1, "1", "9")];
        let mut used = [UsedCommitment::default()];
        let listed = prices(&[(1, "3")]);
        let commitments = [commitment(0, Committed::Amount(per_hour("1")), &listed)];
        cover_hour(&commitments, &mut one, &mut used).unwrap();
        assert_eq!(
            (one[0].uncovered, used[0].amount),
            (quantity("0.666666667"), Cost::parse_exact("0.999999999").unwrap())
        );
    }

    trait Uncovered {
        fn uncovered_quantities(&self) -> Vec<Quantity>;
    }

    impl Uncovered for Vec<UsageWindow> {
        fn uncovered_quantities(&self) -> Vec<Quantity> {
            self.iter().map(|window| window.uncovered).collect()
        }
    }

    /// An hourly commitment in dollars covers no usage that is priced in euros. A reserved quantity covers this usage,
    /// because quantities have no currency.
    #[test]
    fn an_hourly_commitment_covers_only_usage_in_its_currency() {
        let listed = prices(&[(1, "0.5")]);
        let mut windows = [window(1, "1", "1")];
        let in_dollars =
            |committed| [ActiveCommitment { currency: Currency::USD, ..commitment(0, committed, &listed) }];
        let mut used = [UsedCommitment::default()];
        assert_eq!(cover_hour(&in_dollars(Committed::Amount(per_hour("10"))), &mut windows, &mut used).unwrap(), []);
        let reserved = Committed::Quantity { quantity: quantity("1"), unit_price: per_hour("1") };
        assert_eq!(cover_hour(&in_dollars(reserved), &mut windows, &mut used).unwrap().len(), 1);
    }

    /// Three machines run. The first reservation covers two machines, and the second reservation covers the third
    /// machine.
    #[test]
    fn a_reserved_quantity_covers_usage_in_order_and_once() {
        let listed = prices(&[(1, "0"), (2, "0"), (3, "0")]);
        let committed = |reservation, text| {
            commitment(
                reservation,
                Committed::Quantity { quantity: quantity(text), unit_price: per_hour("1") },
                &listed,
            )
        };
        let mut windows = [window(1, "1", "4"), window(2, "1", "4"), window(3, "1", "4")];
        let mut used = [UsedCommitment::default(); 2];
        let covered = cover_hour(&[committed(0, "2"), committed(1, "5")], &mut windows, &mut used).unwrap();
        let allocated: Vec<(usize, usize)> = covered.iter().map(|one| (one.reservation, one.window)).collect();
        assert_eq!(allocated, [(0, 0), (0, 1), (1, 2)]);
        assert_eq!(used.map(|used| used.quantity), [quantity("2"), quantity("1")]);
    }

    proptest! {
        /// No usage is covered twice, no commitment covers more than its quantity or amount, and covered plus uncovered
        /// usage equals the metered usage.
        #[test]
        fn commitments_cover_at_most_their_quantity_or_amount(
            usage in proptest::collection::vec((1u64..6, 0i128..5_000_000_000, 1i128..9_000_000_000_000), 0..12),
            committed in proptest::collection::vec(0i128..9_000_000_000_000, 6),
            amount in 0i128..20_000_000_000_000,
            reserved in 0i128..8_000_000_000,
        ) {
            let mut windows: Vec<UsageWindow> = usage
                .iter()
                .map(|(series, uncovered, price)| {
                    let mut one = window(*series, "0", "0");
                    one.uncovered = Quantity::from_units(*uncovered);
                    one.unit_price = UnitPrice::from_units(*price);
                    one
                })
                .collect();
            let before: i128 = windows.iter().map(|window| window.uncovered.units()).sum();
            let priced = (0u64..).zip(&committed).map(|(series, price)| (series, UnitPrice::from_units(*price)));
            let listed: HashMap<u64, UnitPrice> = priced.collect();
            let quantity = Quantity::from_units(reserved);
            let commitments = [
                commitment(0, Committed::Quantity { quantity, unit_price: Price::ZERO }, &listed),
                commitment(1, Committed::Amount(Price::from_units(amount).unwrap()), &listed),
            ];
            let mut used = [UsedCommitment::default(); 2];
            let covered = cover_hour(&commitments, &mut windows, &mut used).unwrap();
            prop_assert!(windows.iter().all(|window| window.uncovered >= Quantity::ZERO));
            let given: i128 = covered.iter().map(|one| one.quantity.units()).sum();
            let uncovered: i128 = windows.iter().map(|window| window.uncovered.units()).sum();
            prop_assert_eq!(given + uncovered, before);
            prop_assert!(used[0].quantity <= quantity);
            prop_assert!(used[1].amount.units() <= amount * 1_000_000);
        }
    }
}
