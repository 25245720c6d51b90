//! An operator that computes whether the usage of an account batch meets the three invariants of rating.
//!
//! The checks `every_usage_is_rated_or_listed`, `pools_hold_all_usage` and `tier_parts_add_up` in `sql/rating/checks/`
//! define the result. A property test with deliberate errors verifies that the operator and the checks agree.
//!
//! The operator reads each relation once for all three invariants. If an invariant is violated, or a sum is too large
//! to compare, the SQL checks run and report the rows.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use arrow::array::{
    Array, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};

use super::pools::{covered, unique_values};
use crate::model::money::Quantity;
use crate::query::Error;
use crate::rows::columns::{BASE, ONE, UsageKey, column};

const PRICED_SERIES: &str = "rating/priced_series";
const RATE_TIER: &str = "rating/rate_tier";
const USAGE_SEGMENT: &str = "rating/usage_segment";
const POOL_USAGE: &str = "rating/pool_usage";
const RATED_USAGE: &str = "rating/rated_usage";
const UNRATED_USAGE: &str = "rating/unrated_usage";

/// The usage of an account batch and the relations that rating derived from it.
#[derive(Clone, Copy, Debug)]
pub struct AccountBatch<'a> {
    pub usage_segment: &'a [RecordBatch],
    pub covered_window: &'a [RecordBatch],
    pub unique_value: &'a RecordBatch,
    pub priced_series: &'a [RecordBatch],
    pub rate_tier: &'a [RecordBatch],
    pub pool_usage: &'a [RecordBatch],
    pub rated_usage: &'a [RecordBatch],
    pub unrated_usage: &'a [RecordBatch],
}

impl AccountBatch<'_> {
    /// Whether all three invariants are certainly met.
    pub fn is_consistent(&self) -> Result<bool, Error> {
        Ok(self.each_is_rated_or_listed()? && self.sums_agree()?.unwrap_or(false))
    }

    fn each_is_rated_or_listed(&self) -> Result<bool, Error> {
        let mut outcomes: HashMap<UsageKey, (bool, bool)> = HashMap::new();
        for rows in self.usage_segment {
            outcomes.extend(usage_keys(rows, USAGE_SEGMENT)?.map(|key| (key, (false, false))));
        }
        for (batches, path) in [(self.rated_usage, RATED_USAGE), (self.unrated_usage, UNRATED_USAGE)] {
            for rows in batches {
                let components: &StringArray = column(rows, path, "component")?;
                for (row, key) in usage_keys(rows, path)?.enumerate() {
                    if components.value(row) != BASE {
                        continue;
                    }
                    if let Some((is_rated, is_listed)) = outcomes.get_mut(&key) {
                        *(if path == RATED_USAGE { is_rated } else { is_listed }) = true;
                    }
                }
            }
        }
        Ok(outcomes.values().all(|(is_rated, is_listed)| is_rated != is_listed))
    }

    /// `None` if a sum is too large.
    fn sums_agree(&self) -> Result<Option<bool>, Error> {
        let packaged = packaged(self.rate_tier)?;
        let mut rates = Rates::default();
        for rows in self.priced_series {
            rates.read(rows, &packaged)?;
        }
        let covered = covered(self.covered_window)?;
        let unique = unique_values(self.unique_value)?;
        for rows in self.usage_segment {
            if rates.meter(rows, &covered, &unique)?.is_none() {
                return Ok(None);
            }
        }
        for rows in self.pool_usage {
            if rates.pool(rows)?.is_none() {
                return Ok(None);
            }
        }
        for rows in self.rated_usage {
            if rates.price(rows)?.is_none() {
                return Ok(None);
            }
        }
        let agree: Option<Vec<bool>> = rates.sums.iter().map(Sums::agree).collect();
        Ok(agree.map(|agree| agree.into_iter().all(|agrees| agrees)))
    }
}

/// The metered, pooled and priced quantities of one rate.
#[derive(Debug)]
struct Sums {
    pricing_divisor: i128,
    is_packaged: bool,
    /// The metered quantity that counts unchanged in the pool, without rounding, percentiles or windows. All sums are
    /// in units of the ninth decimal place.
    metered: Option<i128>,
    pooled: Option<i128>,
    priced: Option<i128>,
    priced_rows: i128,
}

impl Sums {
    fn agree(&self) -> Option<bool> {
        if self.metered.is_some() && self.metered != self.pooled {
            return Some(false);
        }
        let Some(pooled) = self.pooled.filter(|_| !self.is_packaged) else { return Some(true) };
        let Some(priced) = self.priced else { return Some(false) };
        // Both sides of the invariant are multiplied by the divisor, so that no division rounds a value.
        let difference = pooled.checked_mul(ONE)?.checked_sub(priced.checked_mul(self.pricing_divisor)?)?;
        Some(difference.checked_abs()? <= self.priced_rows.checked_mul(self.pricing_divisor)?)
    }
}

/// The columns of a `priced_series` row that affect the sums.
#[derive(Debug)]
struct Price {
    segment_start: i64,
    /// Index into [`Rates::sums`].
    rate: usize,
    multiplier: Quantity,
    is_base: bool,
    is_exact: bool,
}

#[derive(Debug, Default)]
struct Rates {
    sums: Vec<Sums>,
    index_of_id: HashMap<String, usize>,
    prices: Vec<Price>,
    prices_of_series: HashMap<u64, Range<usize>>,
    rate_of_number: HashMap<i64, usize>,
}

impl Rates {
    /// Reads rows of `priced_series`. They are sorted by their grain, so the rows of one series are adjacent.
    fn read(&mut self, rows: &RecordBatch, packaged: &HashSet<&str>) -> Result<(), Error> {
        let series: &UInt64Array = column(rows, PRICED_SERIES, "series_id")?;
        let components: &StringArray = column(rows, PRICED_SERIES, "component")?;
        let segments: &TimestampMicrosecondArray = column(rows, PRICED_SERIES, "segment_start")?;
        let numbers: &Int64Array = column(rows, PRICED_SERIES, "priced_number")?;
        let ids: &StringArray = column(rows, PRICED_SERIES, "rate_id")?;
        let multipliers: &Decimal128Array = column(rows, PRICED_SERIES, "multiplier")?;
        let divisors: &Decimal128Array = column(rows, PRICED_SERIES, "pricing_divisor")?;
        let percentiles: &Decimal128Array = column(rows, PRICED_SERIES, "percentile_discard")?;
        let roundings: &Decimal128Array = column(rows, PRICED_SERIES, "rounding_multiple")?;
        let by_window: &BooleanArray = column(rows, PRICED_SERIES, "by_window")?;
        for row in 0..rows.num_rows() {
            let id = ids.value(row);
            let rate = match self.index_of_id.get(id) {
                Some(rate) => *rate,
                None => {
                    self.index_of_id.insert(id.to_owned(), self.sums.len());
                    self.sums.push(Sums {
                        pricing_divisor: divisors.value(row),
                        is_packaged: packaged.contains(id),
                        metered: None,
                        pooled: None,
                        priced: None,
                        priced_rows: 0,
                    });
                    self.sums.len() - 1
                }
            };
            let key = self.prices.len();
            self.prices.push(Price {
                segment_start: segments.value(row),
                rate,
                multiplier: Quantity::from_units(multipliers.value(row)),
                is_base: components.value(row) == BASE,
                is_exact: roundings.is_null(row) && percentiles.is_null(row) && !by_window.value(row),
            });
            self.prices_of_series.entry(series.value(row)).or_insert(key..key).end = key + 1;
            self.rate_of_number.insert(numbers.value(row), rate);
        }
        Ok(())
    }

    /// Adds metered usage, except of series whose meter counts different values.
    fn meter(
        &mut self,
        rows: &RecordBatch,
        covered: &HashMap<UsageKey, Quantity>,
        unique: &HashMap<u64, i64>,
    ) -> Result<Option<()>, Error> {
        let quantities: &Decimal128Array = column(rows, USAGE_SEGMENT, "consumed_quantity")?;
        for (row, key) in usage_keys(rows, USAGE_SEGMENT)?.enumerate() {
            let consumed = Quantity::from_units(quantities.value(row));
            let covered = covered.get(&key).copied();
            for price in self.prices_of_series.get(&key.0).cloned().unwrap_or_default() {
                let price = &self.prices[price];
                if price.segment_start != key.2 || !price.is_exact || unique.contains_key(&key.0) {
                    continue;
                }
                let counted = counted(consumed, covered.filter(|_| price.is_base), price.multiplier);
                let sum = &mut self.sums[price.rate].metered;
                let Some(total) = counted.and_then(|counted| sum.unwrap_or(0).checked_add(counted)) else {
                    return Ok(None);
                };
                *sum = Some(total);
            }
        }
        Ok(Some(()))
    }

    fn pool(&mut self, rows: &RecordBatch) -> Result<Option<()>, Error> {
        let numbers: &Int64Array = column(rows, POOL_USAGE, "priced_number")?;
        let quantities: &Decimal128Array = column(rows, POOL_USAGE, "pool_quantity")?;
        for (number, quantity) in numbers.values().iter().zip(quantities.values()) {
            let Some(rate) = self.rate_of_number.get(number) else { continue };
            let sum = &mut self.sums[*rate].pooled;
            let Some(total) = sum.unwrap_or(0).checked_add(*quantity) else { return Ok(None) };
            *sum = Some(total);
        }
        Ok(Some(()))
    }

    fn price(&mut self, rows: &RecordBatch) -> Result<Option<()>, Error> {
        let kinds: &StringArray = column(rows, RATED_USAGE, "charge_kind")?;
        let ids: &StringArray = column(rows, RATED_USAGE, "rate_id")?;
        let quantities: &Decimal128Array = column(rows, RATED_USAGE, "pricing_quantity")?;
        // The rows of one series are adjacent and have the same rate.
        let mut last = ("", None);
        for row in (0..rows.num_rows()).filter(|row| kinds.value(*row) == "usage") {
            let id = ids.value(row);
            if last.0 != id {
                last = (id, self.index_of_id.get(id).copied());
            }
            let Some(rate) = last.1 else { continue };
            let sums = &mut self.sums[rate];
            let Some(total) = sums.priced.unwrap_or(0).checked_add(quantities.value(row)) else { return Ok(None) };
            (sums.priced, sums.priced_rows) = (Some(total), sums.priced_rows + 1);
        }
        Ok(Some(()))
    }
}

/// The part of a quantity that counts in a pool, in units of the ninth decimal place.
fn counted(consumed: Quantity, covered: Option<Quantity>, multiplier: Quantity) -> Option<i128> {
    let metered = consumed.checked_wide_mul(multiplier)?.units();
    match covered {
        Some(covered) => metered.checked_sub(covered.checked_wide_mul(multiplier)?.units()),
        None => Some(metered),
    }
}

fn usage_keys<'a>(rows: &'a RecordBatch, path: &str) -> Result<impl Iterator<Item = UsageKey> + 'a, Error> {
    let series: &UInt64Array = column(rows, path, "series_id")?;
    let dates: &Date32Array = column(rows, path, "charge_date")?;
    let segments: &TimestampMicrosecondArray = column(rows, path, "segment_start")?;
    let values = series.values().iter().zip(dates.values()).zip(segments.values());
    Ok(values.map(|((series, date), segment)| (*series, *date, *segment)))
}

/// The rates that price whole packages. Their priced quantity differs from the used quantity.
fn packaged(rate_tier: &[RecordBatch]) -> Result<HashSet<&str>, Error> {
    let mut packaged = HashSet::new();
    for rows in rate_tier {
        let ids: &StringArray = column(rows, RATE_TIER, "rate_id")?;
        let packages: &Decimal128Array = column(rows, RATE_TIER, "package")?;
        packaged.extend((0..rows.num_rows()).filter(|row| packages.is_valid(*row)).map(|row| ids.value(row)));
    }
    Ok(packaged)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::ArrayRef;
    use proptest::prelude::*;

    use super::super::pools::PoolTotals;
    use super::*;
    use crate::query::tests::filled;
    use crate::query::{Parameters, Session};
    use crate::rows::columns::{decimals, instants, optional_decimals};

    const COVERED_WINDOW: &str = "rating/covered_window";

    const CHECKS: [&str; 3] = ["every_usage_is_rated_or_listed", "pools_hold_all_usage", "tier_parts_add_up"];

    /// The generated usage of a series on a date: series, date, whether the segment is the second, usage, and covered
    /// part.
    type GeneratedUsage = (u64, i32, bool, i128, i128);

    /// A generated rate: multiplier, divisor, and four flags (rounding, packages, percentile, counted by windows).
    type GeneratedRate = (i128, i128, [bool; 4]);

    /// A row of a relation.
    #[derive(Clone, Debug)]
    struct Row {
        key: UsageKey,
        component: &'static str,
        kind: &'static str,
        rate: usize,
        units: i128,
    }

    /// A deliberate error: the relation, the row, and the change of its quantity. `None` removes the row.
    type Wrong = (usize, usize, Option<i128>);

    fn number(row: &Row) -> i64 {
        row.key.0 as i64 * 4 + row.key.2 * 2 + i64::from(row.component == BASE)
    }

    fn units(rows: &[Row], pick: impl Fn(&Row) -> i128, scale: (u8, i8)) -> ArrayRef {
        decimals("generated", rows.iter().map(pick), scale.0, scale.1).unwrap()
    }

    /// The columns that the invariants read.
    fn given(rows: &[Row]) -> Vec<(&'static str, ArrayRef)> {
        let texts = |pick: &dyn Fn(&Row) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(pick)))
        };
        vec![
            ("series_id", Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.key.0)))),
            ("charge_date", Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.key.1)))),
            ("segment_start", Arc::new(instants(rows.iter().map(|row| row.key.2)))),
            ("component", texts(&|row| row.component.to_owned())),
            ("rate_id", texts(&|row| format!("rate-{}", row.rate))),
            ("charge_kind", texts(&|row| row.kind.to_owned())),
            ("priced_number", Arc::new(Int64Array::from_iter_values(rows.iter().map(number)))),
            ("consumed_quantity", units(rows, |row| row.units, (38, 9))),
            ("covered_quantity", units(rows, |row| row.units, (38, 9))),
            ("pool_quantity", units(rows, |row| row.units, (38, 9))),
            ("pricing_quantity", units(rows, |row| row.units, (38, 9))),
        ]
    }

    /// The relations of an account batch, in the order of the fields of [`AccountBatch`].
    const PATHS: [&str; 7] =
        [USAGE_SEGMENT, COVERED_WINDOW, PRICED_SERIES, RATE_TIER, POOL_USAGE, RATED_USAGE, UNRATED_USAGE];

    /// A valid account batch with the given errors. Every third series is unrated. Each other series has a price in the
    /// base component. Series with an even number also have a price in a second component.
    fn account_batch(usage: &[GeneratedUsage], rates: &[GeneratedRate; 2], wrong: &[Wrong]) -> [RecordBatch; 7] {
        let rate = |series: u64, component: &str| (series as usize + usize::from(component == BASE)) % 2;
        let is_priced = |series: u64| series % 3 != 2;
        let components = |series: u64| if series.is_multiple_of(2) { &["base", "licence"][..] } else { &["base"] };
        let row = |key, component, units| Row { key, component, kind: "usage", rate: rate(key.0, component), units };
        let (mut used, mut covered, mut pooled, mut rated, mut unrated) = (vec![], vec![], vec![], vec![], vec![]);
        for (series, date, is_second, consumed, part) in usage {
            let key = (*series, *date, i64::from(*is_second));
            // No commitment covers negative usage.
            let part = (*part).min(*consumed).max(0);
            used.push(row(key, BASE, *consumed));
            covered.extend((part > 0).then(|| row(key, BASE, part)));
            for component in components(*series) {
                if !is_priced(*series) {
                    unrated.push(row(key, component, *consumed));
                    continue;
                }
                let (multiplier, divisor, ..) = rates[rate(*series, component)];
                let times = |units: i128| (units * multiplier + units.signum() * ONE / 2) / ONE;
                let counted = times(*consumed) - if *component == BASE { times(part) } else { 0 };
                pooled.push(row(key, component, counted));
                rated.push(row(key, component, counted * ONE / divisor));
                if *date == 0 {
                    rated.push(Row { kind: "flat_fee", ..row(key, component, ONE) });
                }
            }
        }
        let usage_keys: Vec<UsageKey> = (0..6).flat_map(|series| [(series, 0, 0), (series, 0, 1)]).collect();
        let series = |key: &UsageKey| {
            let key = *key;
            components(key.0).iter().map(move |component| row(key, component, 0))
        };
        let priced: Vec<Row> = usage_keys.iter().filter(|key| is_priced(key.0)).flat_map(series).collect();
        for (relation, key, more) in wrong {
            let rows = [&mut used, &mut covered, &mut pooled, &mut rated, &mut unrated].into_iter().nth(*relation);
            let Some(rows) = rows.filter(|rows| !rows.is_empty()) else { continue };
            let key = key % rows.len();
            match more {
                Some(more) => rows[key].units += more,
                None => drop(rows.remove(key)),
            }
        }
        let of = |pick: fn(&GeneratedRate) -> i128| units(&priced, |row| pick(&rates[row.rate]), (28, 9));
        let roundings = priced.iter().map(|row| rates[row.rate].2[0].then_some(ONE));
        let percentiles = priced.iter().map(|row| rates[row.rate].2[2].then_some(ONE));
        let by_window = BooleanArray::from_iter(priced.iter().map(|row| Some(rates[row.rate].2[3])));
        let mut prices_of_series = given(&priced);
        prices_of_series.extend([
            ("multiplier", of(|rate| rate.0)),
            ("pricing_divisor", of(|rate| rate.1)),
            ("rounding_multiple", optional_decimals("generated", roundings, 38, 9).unwrap()),
            ("percentile_discard", optional_decimals("generated", percentiles, 12, 9).unwrap()),
            ("by_window", Arc::new(by_window) as ArrayRef),
        ]);
        let tiers: Vec<Row> =
            (0..2).map(|rate| Row { key: (0, 0, 0), component: BASE, kind: "usage", rate, units: 0 }).collect();
        let packages = rates.iter().map(|rate| rate.2[1].then_some(ONE));
        let mut of_tiers = given(&tiers);
        of_tiers.push(("package", optional_decimals("generated", packages, 38, 9).unwrap()));
        let rows = |path, rows: &[Row]| filled(path, rows.len(), &given(rows));
        [
            rows(USAGE_SEGMENT, &used),
            rows(COVERED_WINDOW, &covered),
            filled(PRICED_SERIES, priced.len(), &prices_of_series),
            filled(RATE_TIER, tiers.len(), &of_tiers),
            rows(POOL_USAGE, &pooled),
            rows(RATED_USAGE, &rated),
            rows(UNRATED_USAGE, &unrated),
        ]
    }

    fn no_unique_value() -> RecordBatch {
        filled("rating/unique_value", 0, &[])
    }

    async fn is_consistent_by_sql(relations: &[RecordBatch; 7], rates: &[GeneratedRate; 2]) -> bool {
        let session = Session::new(None).unwrap();
        for (path, rows) in PATHS.iter().zip(relations) {
            session.register(path, vec![rows.clone()]).unwrap();
        }
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["rate-0", "rate-1"]));
        let divisors = decimals("generated", rates.iter().map(|rate| rate.1), 28, 9).unwrap();
        let rate = filled("rating/rate", 2, &[("rate_id", ids), ("pricing_divisor", divisors)]);
        session.register("rating/rate", vec![rate]).unwrap();
        session.register_nothing("rating/unique_value").unwrap();
        let mut is_consistent = true;
        for check in CHECKS {
            let rows = session.violations(&format!("rating/checks/{check}"), Parameters::none()).await.unwrap();
            is_consistent &= rows.iter().all(|batch| batch.num_rows() == 0);
        }
        is_consistent
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_operator_and_the_checks_find_the_same_violations(
            usage in prop::collection::btree_map(
                (0..6u64, 0..3i32, any::<bool>()),
                (prop_oneof![3 => 1..9 * ONE, 1 => -9 * ONE..0], prop_oneof![2 => Just(0), 1 => 0..9 * ONE]),
                1..12,
            ),
            rates in prop::array::uniform2((
                prop_oneof![Just(ONE), 1..3 * ONE], prop_oneof![Just(ONE), 1..3000 * ONE],
                prop::array::uniform4(prop::bool::weighted(0.3)),
            )),
            wrong in prop::collection::vec(
                (0..5usize, 0..12usize, prop::option::of(prop_oneof![Just(1), 2..4i128, 1..5 * ONE])), 0..3,
            ),
        ) {
            let generated = usage.into_iter().map(|(at, used)| (at.0, at.1, at.2, used.0, used.1));
            let usage: Vec<GeneratedUsage> = generated.collect();
            let relations = account_batch(&usage, &rates, &wrong);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let by_sql = runtime.block_on(is_consistent_by_sql(&relations, &rates));
            let one = std::slice::from_ref;
            let [usage_segment, covered_window, priced_series, rate_tier, pool_usage, rated_usage, unrated_usage] =
                &relations;
            let account_batch = AccountBatch {
                usage_segment: one(usage_segment),
                covered_window: one(covered_window),
                unique_value: &no_unique_value(),
                priced_series: one(priced_series),
                rate_tier: one(rate_tier),
                pool_usage: one(pool_usage),
                rated_usage: one(rated_usage),
                unrated_usage: one(unrated_usage),
            };
            prop_assert_eq!(account_batch.is_consistent().unwrap(), by_sql);
            if wrong.is_empty() {
                prop_assert!(by_sql);
                let pools = PoolTotals::new(one(priced_series), &no_unique_value()).unwrap();
                prop_assert_eq!(pools.contain_all(one(usage_segment)).unwrap(), unrated_usage.num_rows() == 0);
            }
        }
    }
}
