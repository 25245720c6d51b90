//! An operator of our own: whether the usage of a portion obeys the laws of rating.
//!
//! The checks `every_usage_is_rated_or_listed`, `pools_hold_all_usage` and `tier_parts_add_up` in `sql/rating/checks/`
//! say what the laws are, and a test that breaks them holds both equal. Here each relation is read once for all three.
//! Where a law is broken, or a sum is too large to be held against another, the checks have to say which rows it is.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use arrow::array::{
    Array, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array,
};

use super::pools::covered;
use crate::model::money::Quantity;
use crate::query::Error;
use crate::rows::columns::{BASE, ONE, Place, column};

const PRICED_SERIES: &str = "rating/priced_series";
const RATE_TIER: &str = "rating/rate_tier";
const USAGE_SEGMENT: &str = "rating/usage_segment";
const POOL_USAGE: &str = "rating/pool_usage";
const RATED_USAGE: &str = "rating/rated_usage";
const UNRATED_USAGE: &str = "rating/unrated_usage";

/// Usage, and what rating made of it.
#[derive(Clone, Copy, Debug)]
pub struct Portion<'a> {
    pub usage_segment: &'a [RecordBatch],
    pub covered_window: &'a [RecordBatch],
    pub priced_series: &'a [RecordBatch],
    pub rate_tier: &'a [RecordBatch],
    pub pool_usage: &'a [RecordBatch],
    pub rated_usage: &'a [RecordBatch],
    pub unrated_usage: &'a [RecordBatch],
}

impl Portion<'_> {
    /// Whether all three laws hold for certain.
    pub fn is_lawful(&self) -> Result<bool, Error> {
        Ok(self.each_is_rated_or_listed()? && self.sums_agree()?.unwrap_or(false))
    }

    fn each_is_rated_or_listed(&self) -> Result<bool, Error> {
        let mut outcomes: HashMap<Place, (bool, bool)> = HashMap::new();
        for rows in self.usage_segment {
            outcomes.extend(places(rows, USAGE_SEGMENT)?.map(|place| (place, (false, false))));
        }
        for (batches, path) in [(self.rated_usage, RATED_USAGE), (self.unrated_usage, UNRATED_USAGE)] {
            for rows in batches {
                let components: &StringArray = column(rows, path, "component")?;
                for (row, place) in places(rows, path)?.enumerate() {
                    if components.value(row) != BASE {
                        continue;
                    }
                    if let Some((is_rated, is_listed)) = outcomes.get_mut(&place) {
                        *(if path == RATED_USAGE { is_rated } else { is_listed }) = true;
                    }
                }
            }
        }
        Ok(outcomes.values().all(|(is_rated, is_listed)| is_rated != is_listed))
    }

    /// `None` where a sum is too large.
    fn sums_agree(&self) -> Result<Option<bool>, Error> {
        let packaged = packaged(self.rate_tier)?;
        let mut rates = Rates::default();
        for rows in self.priced_series {
            rates.read(rows, &packaged)?;
        }
        let covered = covered(self.covered_window)?;
        for rows in self.usage_segment {
            if rates.meter(rows, &covered)?.is_none() {
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

/// What was metered, pooled and priced at a rate.
#[derive(Debug)]
struct Sums {
    pricing_divisor: i128,
    is_packaged: bool,
    /// In units of the ninth place, as all here; of the usage that nothing rounds or leaves out.
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
        // Both sides of the law times the divisor: nothing is divided, so nothing is rounded.
        let difference = pooled.checked_mul(ONE)?.checked_sub(priced.checked_mul(self.pricing_divisor)?)?;
        Some(difference.checked_abs()? <= self.priced_rows.checked_mul(self.pricing_divisor)?)
    }
}

/// A row of `priced_series`, as far as sums go.
#[derive(Debug)]
struct Price {
    segment_start: i64,
    /// Of [`Rates::sums`].
    rate: usize,
    multiplier: Quantity,
    is_base: bool,
    is_exact: bool,
}

#[derive(Debug, Default)]
struct Rates {
    sums: Vec<Sums>,
    of_id: HashMap<String, usize>,
    prices: Vec<Price>,
    of_series: HashMap<u64, Range<usize>>,
    of_number: HashMap<i64, usize>,
}

impl Rates {
    /// Rows of a series stand together: they are in the order of their grain.
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
            let rate = match self.of_id.get(id) {
                Some(rate) => *rate,
                None => {
                    self.of_id.insert(id.to_owned(), self.sums.len());
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
            let place = self.prices.len();
            self.prices.push(Price {
                segment_start: segments.value(row),
                rate,
                multiplier: Quantity::from_units(multipliers.value(row)),
                is_base: components.value(row) == BASE,
                is_exact: roundings.is_null(row) && percentiles.is_null(row) && !by_window.value(row),
            });
            self.of_series.entry(series.value(row)).or_insert(place..place).end = place + 1;
            self.of_number.insert(numbers.value(row), rate);
        }
        Ok(())
    }

    fn meter(&mut self, rows: &RecordBatch, covered: &HashMap<Place, Quantity>) -> Result<Option<()>, Error> {
        let quantities: &Decimal128Array = column(rows, USAGE_SEGMENT, "consumed_quantity")?;
        for (row, place) in places(rows, USAGE_SEGMENT)?.enumerate() {
            let consumed = Quantity::from_units(quantities.value(row));
            let covered = covered.get(&place).copied();
            for price in self.of_series.get(&place.0).cloned().unwrap_or_default() {
                let price = &self.prices[price];
                if price.segment_start != place.2 || !price.is_exact {
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
            let Some(rate) = self.of_number.get(number) else { continue };
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
        // Rows of one series stand together, and have the same rate.
        let mut last = ("", None);
        for row in (0..rows.num_rows()).filter(|row| kinds.value(*row) == "usage") {
            let id = ids.value(row);
            if last.0 != id {
                last = (id, self.of_id.get(id).copied());
            }
            let Some(rate) = last.1 else { continue };
            let sums = &mut self.sums[rate];
            let Some(total) = sums.priced.unwrap_or(0).checked_add(quantities.value(row)) else { return Ok(None) };
            (sums.priced, sums.priced_rows) = (Some(total), sums.priced_rows + 1);
        }
        Ok(Some(()))
    }
}

/// What of a quantity counts in a pool, in units of the ninth place.
fn counted(consumed: Quantity, covered: Option<Quantity>, multiplier: Quantity) -> Option<i128> {
    let metered = consumed.checked_mul(multiplier)?.units();
    match covered {
        Some(covered) => metered.checked_sub(covered.checked_mul(multiplier)?.units()),
        None => Some(metered),
    }
}

fn places<'a>(rows: &'a RecordBatch, path: &str) -> Result<impl Iterator<Item = Place> + 'a, Error> {
    let series: &UInt64Array = column(rows, path, "series_id")?;
    let dates: &Date32Array = column(rows, path, "charge_date")?;
    let segments: &TimestampMicrosecondArray = column(rows, path, "segment_start")?;
    let values = series.values().iter().zip(dates.values()).zip(segments.values());
    Ok(values.map(|((series, date), segment)| (*series, *date, *segment)))
}

/// The rates that price whole packages, which are more or less than what was used.
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

    use super::super::pools::Pools;
    use super::*;
    use crate::query::tests::filled;
    use crate::query::{Parameters, Session};
    use crate::rows::columns::{decimals, instants, optional_decimals};

    const COVERED_WINDOW: &str = "rating/covered_window";

    const CHECKS: [&str; 3] = ["every_usage_is_rated_or_listed", "pools_hold_all_usage", "tier_parts_add_up"];

    /// What is used at a place, and how much of it is covered.
    type DrawnUsage = (u64, i32, bool, i128, i128);

    /// Multiplier, divisor, and what is true of a rate: that it rounds, has packages, leaves some out, counts windows.
    type DrawnRate = (i128, i128, [bool; 4]);

    /// A row of a relation.
    #[derive(Clone, Debug)]
    struct Row {
        place: Place,
        component: &'static str,
        kind: &'static str,
        rate: usize,
        units: i128,
    }

    /// One thing that is wrong: the relation, the row, and whether it is gone or has so much more.
    type Wrong = (usize, usize, Option<i128>);

    fn number(row: &Row) -> i64 {
        row.place.0 as i64 * 4 + row.place.2 * 2 + i64::from(row.component == BASE)
    }

    fn units(rows: &[Row], pick: impl Fn(&Row) -> i128, scale: (u8, i8)) -> ArrayRef {
        decimals("drawn", rows.iter().map(pick), scale.0, scale.1).unwrap()
    }

    /// Columns of rows, as far as the laws read them.
    fn given(rows: &[Row]) -> Vec<(&'static str, ArrayRef)> {
        let texts = |pick: &dyn Fn(&Row) -> String| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(rows.iter().map(pick)))
        };
        vec![
            ("series_id", Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.place.0)))),
            ("charge_date", Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.place.1)))),
            ("segment_start", Arc::new(instants(rows.iter().map(|row| row.place.2)))),
            ("component", texts(&|row| row.component.to_owned())),
            ("rate_id", texts(&|row| format!("rate-{}", row.rate))),
            ("charge_kind", texts(&|row| row.kind.to_owned())),
            ("priced_number", Arc::new(Int64Array::from_iter_values(rows.iter().map(number)))),
            ("consumed_quantity", units(rows, |row| row.units, (28, 9))),
            ("covered_quantity", units(rows, |row| row.units, (28, 9))),
            ("pool_quantity", units(rows, |row| row.units, (28, 9))),
            ("pricing_quantity", units(rows, |row| row.units, (28, 9))),
        ]
    }

    /// Relations of a portion, in the order of [`Portion`].
    const PATHS: [&str; 7] =
        [USAGE_SEGMENT, COVERED_WINDOW, PRICED_SERIES, RATE_TIER, POOL_USAGE, RATED_USAGE, UNRATED_USAGE];

    /// A portion that obeys the laws, but for what is wrong: each series is priced in the base component, and those of
    /// even number in another as well, by a rate of that number; every third is priced by none.
    fn portion(usage: &[DrawnUsage], rates: &[DrawnRate; 2], wrong: &[Wrong]) -> [RecordBatch; 7] {
        let rate = |series: u64, component: &str| (series as usize + usize::from(component == BASE)) % 2;
        let is_priced = |series: u64| series % 3 != 2;
        let components = |series: u64| if series.is_multiple_of(2) { &["base", "licence"][..] } else { &["base"] };
        let row =
            |place, component, units| Row { place, component, kind: "usage", rate: rate(place.0, component), units };
        let (mut used, mut covered, mut pooled, mut rated, mut unrated) = (vec![], vec![], vec![], vec![], vec![]);
        for (series, date, is_second, consumed, part) in usage {
            let place = (*series, *date, i64::from(*is_second));
            let part = (*part).min(*consumed);
            used.push(row(place, BASE, *consumed));
            covered.extend((part > 0).then(|| row(place, BASE, part)));
            for component in components(*series) {
                if !is_priced(*series) {
                    unrated.push(row(place, component, *consumed));
                    continue;
                }
                let (multiplier, divisor, ..) = rates[rate(*series, component)];
                let times = |units: i128| (units * multiplier + ONE / 2) / ONE;
                let counted = times(*consumed) - if *component == BASE { times(part) } else { 0 };
                pooled.push(row(place, component, counted));
                rated.push(row(place, component, counted * ONE / divisor));
                if *date == 0 {
                    rated.push(Row { kind: "flat_fee", ..row(place, component, ONE) });
                }
            }
        }
        let places: Vec<Place> = (0..6).flat_map(|series| [(series, 0, 0), (series, 0, 1)]).collect();
        let series = |place: &Place| {
            let place = *place;
            components(place.0).iter().map(move |component| row(place, component, 0))
        };
        let priced: Vec<Row> = places.iter().filter(|place| is_priced(place.0)).flat_map(series).collect();
        for (relation, place, more) in wrong {
            let rows = [&mut used, &mut covered, &mut pooled, &mut rated, &mut unrated].into_iter().nth(*relation);
            let Some(rows) = rows.filter(|rows| !rows.is_empty()) else { continue };
            let place = place % rows.len();
            match more {
                Some(more) => rows[place].units += more,
                None => drop(rows.remove(place)),
            }
        }
        let of = |pick: fn(&DrawnRate) -> i128| units(&priced, |row| pick(&rates[row.rate]), (28, 9));
        let roundings = priced.iter().map(|row| rates[row.rate].2[0].then_some(ONE));
        let percentiles = priced.iter().map(|row| rates[row.rate].2[2].then_some(ONE));
        let by_window = BooleanArray::from_iter(priced.iter().map(|row| Some(rates[row.rate].2[3])));
        let mut of_series = given(&priced);
        of_series.extend([
            ("multiplier", of(|rate| rate.0)),
            ("pricing_divisor", of(|rate| rate.1)),
            ("rounding_multiple", optional_decimals("drawn", roundings, 38, 9).unwrap()),
            ("percentile_discard", optional_decimals("drawn", percentiles, 12, 9).unwrap()),
            ("by_window", Arc::new(by_window) as ArrayRef),
        ]);
        let tiers: Vec<Row> =
            (0..2).map(|rate| Row { place: (0, 0, 0), component: BASE, kind: "usage", rate, units: 0 }).collect();
        let packages = rates.iter().map(|rate| rate.2[1].then_some(ONE));
        let mut of_tiers = given(&tiers);
        of_tiers.push(("package", optional_decimals("drawn", packages, 38, 9).unwrap()));
        let rows = |path, rows: &[Row]| filled(path, rows.len(), &given(rows));
        [
            rows(USAGE_SEGMENT, &used),
            rows(COVERED_WINDOW, &covered),
            filled(PRICED_SERIES, priced.len(), &of_series),
            filled(RATE_TIER, tiers.len(), &of_tiers),
            rows(POOL_USAGE, &pooled),
            rows(RATED_USAGE, &rated),
            rows(UNRATED_USAGE, &unrated),
        ]
    }

    async fn is_lawful_by_sql(relations: &[RecordBatch; 7], rates: &[DrawnRate; 2]) -> bool {
        let session = Session::new(None).unwrap();
        for (path, rows) in PATHS.iter().zip(relations) {
            session.register(path, vec![rows.clone()]).unwrap();
        }
        let ids: ArrayRef = Arc::new(StringArray::from(vec!["rate-0", "rate-1"]));
        let divisors = decimals("drawn", rates.iter().map(|rate| rate.1), 28, 9).unwrap();
        let rate = filled("rating/rate", 2, &[("rate_id", ids), ("pricing_divisor", divisors)]);
        session.register("rating/rate", vec![rate]).unwrap();
        let mut is_lawful = true;
        for check in CHECKS {
            let rows = session.violations(&format!("rating/checks/{check}"), Parameters::none()).await.unwrap();
            is_lawful &= rows.iter().all(|batch| batch.num_rows() == 0);
        }
        is_lawful
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_is_lawful_breaks_no_check_and_what_is_not_breaks_one(
            usage in prop::collection::btree_map(
                (0..6u64, 0..3i32, any::<bool>()), (1..9 * ONE, prop_oneof![2 => Just(0), 1 => 0..9 * ONE]), 1..12,
            ),
            rates in prop::array::uniform2((
                prop_oneof![Just(ONE), 1..3 * ONE], prop_oneof![Just(ONE), 1..3000 * ONE],
                prop::array::uniform4(prop::bool::weighted(0.3)),
            )),
            wrong in prop::collection::vec(
                (0..5usize, 0..12usize, prop::option::of(prop_oneof![Just(1), 2..4i128, 1..5 * ONE])), 0..3,
            ),
        ) {
            let drawn = usage.into_iter().map(|(at, used)| (at.0, at.1, at.2, used.0, used.1));
            let usage: Vec<DrawnUsage> = drawn.collect();
            let relations = portion(&usage, &rates, &wrong);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let by_sql = runtime.block_on(is_lawful_by_sql(&relations, &rates));
            let one = std::slice::from_ref;
            let [usage_segment, covered_window, priced_series, rate_tier, pool_usage, rated_usage, unrated_usage] =
                &relations;
            let portion = Portion {
                usage_segment: one(usage_segment),
                covered_window: one(covered_window),
                priced_series: one(priced_series),
                rate_tier: one(rate_tier),
                pool_usage: one(pool_usage),
                rated_usage: one(rated_usage),
                unrated_usage: one(unrated_usage),
            };
            prop_assert_eq!(portion.is_lawful().unwrap(), by_sql);
            if wrong.is_empty() {
                prop_assert!(by_sql);
                let pools = Pools::new(one(priced_series)).unwrap();
                prop_assert_eq!(pools.have_all(one(usage_segment)).unwrap(), unrated_usage.num_rows() == 0);
            }
        }
    }
}
