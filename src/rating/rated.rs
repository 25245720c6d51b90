//! An operator that computes `rated_usage` from the priced parts of usage.
//!
//! `sql/rating/rated_usage.sql` defines the result. A property test verifies that the operator and the statement
//! compute equal rows.
//!
//! The priced parts are already in the order of the result. So the operator shares most columns without a copy, and
//! adds only the columns of the payer. The statement needs joins and sorts all rows by texts.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array,
};
use arrow::compute::{concat_batches, take, take_record_batch};
use arrow::error::ArrowError;

use crate::query::{Error, statement};
use crate::rows::columns::{BASE, ONE, any_column, batch, column, decimals, optional, optional_decimals};

const PRICED_SERIES: &str = "rating/priced_series";
const PRICED_PART: &str = "rating/priced_part";
const POOL_ADJUSTMENT: &str = "rating/pool_adjustment";
const COVERED_PART: &str = "rating/covered_part";
const LIST_SHARE: &str = "rating/list_share";
const RATED_USAGE: &str = "rating/rated_usage";

/// The payer, rate and line dimensions of each price, by the number of the price.
#[derive(Debug)]
pub struct RatedUsageBuilder {
    priced_series: RecordBatch,
    row_of: HashMap<i64, u32>,
}

/// The relations that contain the costs of usage, or usage without a cost.
#[derive(Clone, Copy, Debug)]
pub struct Costs<'a> {
    pub priced_part: &'a [RecordBatch],
    pub pool_adjustment: &'a [RecordBatch],
    pub covered_part: &'a [RecordBatch],
    pub list_share: &'a [RecordBatch],
}

/// The key of a list cost: number of the price, date, number of the tier, and kind of charge.
type ListCostKey<'a> = (i64, i32, i64, &'a str);
type ListCosts<'a> = HashMap<ListCostKey<'a>, (Option<i128>, i128)>;

fn failed(source: ArrowError) -> Error {
    Error::Rows { relation: "rated_usage".to_owned(), source }
}

impl RatedUsageBuilder {
    /// Reads rows of `priced_series`.
    pub fn new(priced_series: &[RecordBatch]) -> Result<Self, Error> {
        let schema = &statement(PRICED_SERIES)?.schema;
        let names = ["account_id", "project_id", "rate_id", "line_by", "priced_number"];
        let columns: Result<Vec<usize>, ArrowError> = names.iter().map(|name| schema.index_of(name)).collect();
        let columns = columns.map_err(failed)?;
        let schema = Arc::new(schema.project(&columns).map_err(failed)?);
        let named: Result<Vec<RecordBatch>, ArrowError> =
            priced_series.iter().map(|rows| rows.project(&columns)).collect();
        let priced_series = concat_batches(&schema, &named.map_err(failed)?).map_err(failed)?;
        let numbers: &Int64Array = column(&priced_series, PRICED_SERIES, "priced_number")?;
        let row_of = numbers.values().iter().copied().zip(0..).collect();
        Ok(Self { priced_series, row_of })
    }

    /// The rows of `rated_usage`.
    pub fn usage(&self, costs: Costs<'_>) -> Result<Vec<RecordBatch>, Error> {
        let list_costs = list_costs(costs.list_share)?;
        let mut others: Vec<RecordBatch> = Vec::new();
        for rows in costs.pool_adjustment.iter().filter(|rows| rows.num_rows() > 0) {
            others.push(adjustments_as_parts(rows)?);
        }
        for rows in costs.covered_part.iter().filter(|rows| rows.num_rows() > 0) {
            others.push(covered_as_parts(rows)?);
        }
        if others.is_empty() {
            return costs.priced_part.iter().map(|rows| self.add_payers(rows, &list_costs)).collect();
        }
        others.extend(costs.priced_part.iter().cloned());
        let rows = concat_batches(&statement(PRICED_PART)?.schema, &others).map_err(failed)?;
        drop(others);
        Ok(vec![self.add_payers(&in_order(&rows)?, &list_costs)?])
    }

    /// Adds the payers and the list costs to priced parts.
    fn add_payers(&self, rows: &RecordBatch, list_costs: &ListCosts<'_>) -> Result<RecordBatch, Error> {
        let numbers: &Int64Array = column(rows, PRICED_PART, "priced_number")?;
        let priced = UInt32Array::from_iter(numbers.values().iter().map(|number| self.row_of.get(number).copied()));
        let named = |name: &str| -> Result<ArrayRef, Error> {
            let texts: &StringArray = column(&self.priced_series, PRICED_SERIES, name)?;
            take(texts, &priced, None).map_err(failed)
        };
        let unchanged = |name| any_column(rows, PRICED_PART, name);
        let (list_unit_price, list_cost) = if list_costs.is_empty() {
            (unchanged("contracted_unit_price")?, unchanged("contracted_cost")?)
        } else {
            list_columns(rows, list_costs)?
        };
        let columns = vec![
            named("account_id")?,
            named("project_id")?,
            unchanged("series_id")?,
            unchanged("charge_date")?,
            unchanged("segment_start")?,
            unchanged("component")?,
            named("rate_id")?,
            unchanged("tier_number")?,
            unchanged("charge_kind")?,
            unchanged("tier_start")?,
            named("line_by")?,
            unchanged("pricing_quantity")?,
            unchanged("contracted_unit_price")?,
            unchanged("unit_price_per")?,
            unchanged("contracted_cost")?,
            list_unit_price,
            list_cost,
        ];
        batch(RATED_USAGE, columns)
    }
}

/// The list unit price and list cost of parts whose account does not pay the public price.
fn list_costs(list_share: &[RecordBatch]) -> Result<ListCosts<'_>, Error> {
    let mut list_costs = HashMap::new();
    for rows in list_share {
        let number = |name| column::<Int64Array>(rows, LIST_SHARE, name);
        let (numbers, tiers) = (number("priced_number")?, number("tier_number")?);
        let dates: &Date32Array = column(rows, LIST_SHARE, "charge_date")?;
        let kinds: &StringArray = column(rows, LIST_SHARE, "charge_kind")?;
        let prices: &Decimal128Array = column(rows, LIST_SHARE, "list_unit_price")?;
        let costs: &Decimal128Array = column(rows, LIST_SHARE, "list_cost")?;
        for row in 0..rows.num_rows() {
            let key = (numbers.value(row), dates.value(row), tiers.value(row), kinds.value(row));
            list_costs.insert(key, (optional(prices, row), costs.value(row)));
        }
    }
    Ok(list_costs)
}

fn list_columns(rows: &RecordBatch, list_costs: &ListCosts<'_>) -> Result<(ArrayRef, ArrayRef), Error> {
    let number = |name| column::<Int64Array>(rows, PRICED_PART, name);
    let (numbers, tiers) = (number("priced_number")?, number("tier_number")?);
    let dates: &Date32Array = column(rows, PRICED_PART, "charge_date")?;
    let kinds: &StringArray = column(rows, PRICED_PART, "charge_kind")?;
    let units = |name| column::<Decimal128Array>(rows, PRICED_PART, name);
    let (own_prices, own_costs) = (units("contracted_unit_price")?, units("contracted_cost")?);
    let list_values = (0..rows.num_rows()).map(|row| {
        let key = (numbers.value(row), dates.value(row), tiers.value(row), kinds.value(row));
        list_costs.get(&key).copied().unwrap_or((Some(own_prices.value(row)), own_costs.value(row)))
    });
    let (prices, costs): (Vec<Option<i128>>, Vec<i128>) = list_values.unzip();
    Ok((
        optional_decimals("rated_usage", prices.into_iter(), 28, 12)?,
        decimals("rated_usage", costs.into_iter(), 38, 18)?,
    ))
}

/// The differences to the minimum or maximum of a pool, as parts without a quantity.
fn adjustments_as_parts(rows: &RecordBatch) -> Result<RecordBatch, Error> {
    let unchanged = |name| any_column(rows, POOL_ADJUSTMENT, name);
    let all = |units, precision, scale| repeated(units, rows.num_rows(), precision, scale);
    let columns = vec![
        unchanged("series_id")?,
        unchanged("charge_date")?,
        unchanged("segment_start")?,
        unchanged("component")?,
        Arc::new(Int64Array::from_value(0, rows.num_rows())),
        unchanged("charge_kind")?,
        unchanged("priced_number")?,
        all(0, 28, 9)?,
        all(0, 38, 9)?,
        all(0, 28, 12)?,
        all(ONE, 28, 9)?,
        unchanged("contracted_cost")?,
    ];
    batch(PRICED_PART, columns)
}

/// Covered usage as parts without a cost, because the commitment pays for it.
fn covered_as_parts(rows: &RecordBatch) -> Result<RecordBatch, Error> {
    let unchanged = |name| any_column(rows, COVERED_PART, name);
    let all = |units, precision, scale| repeated(units, rows.num_rows(), precision, scale);
    let texts =
        |text: &'static str| Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, rows.num_rows())));
    let columns = vec![
        unchanged("series_id")?,
        unchanged("charge_date")?,
        unchanged("segment_start")?,
        texts(BASE),
        Arc::new(Int64Array::from_value(0, rows.num_rows())),
        texts("reserved"),
        unchanged("priced_number")?,
        all(0, 28, 9)?,
        unchanged("pricing_quantity")?,
        all(0, 28, 12)?,
        all(ONE, 28, 9)?,
        all(0, 38, 18)?,
    ];
    batch(PRICED_PART, columns)
}

fn repeated(units: i128, rows: usize, precision: u8, scale: i8) -> Result<ArrayRef, Error> {
    decimals("rated_usage", std::iter::repeat_n(units, rows), precision, scale)
}

/// Rows in the order of the grain.
fn in_order(rows: &RecordBatch) -> Result<RecordBatch, Error> {
    let series: &UInt64Array = column(rows, PRICED_PART, "series_id")?;
    let dates: &Date32Array = column(rows, PRICED_PART, "charge_date")?;
    let segments: &TimestampMicrosecondArray = column(rows, PRICED_PART, "segment_start")?;
    let components: &StringArray = column(rows, PRICED_PART, "component")?;
    let tiers: &Int64Array = column(rows, PRICED_PART, "tier_number")?;
    let kinds: &StringArray = column(rows, PRICED_PART, "charge_kind")?;
    let grain = |row: &u32| {
        let row = *row as usize;
        let usage_key = (series.value(row), dates.value(row), segments.value(row));
        (usage_key, components.value(row), tiers.value(row), kinds.value(row))
    };
    let count = u32::try_from(rows.num_rows()).map_err(|_| {
        failed(ArrowError::InvalidArgumentError(
            "an account batch has more rows than a 32-bit index can count".to_owned(),
        ))
    })?;
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by(|one, other| grain(one).cmp(&grain(other)));
    take_record_batch(rows, &UInt32Array::from(order)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::prelude::*;

    use super::*;
    use crate::query::tests::filled;
    use crate::query::{Parameters, Session};
    use crate::rows::columns::instants;

    /// A generated part: series, date, whether the component is base, tier, kind, and quantity.
    type GeneratedPart = (u64, i32, bool, i64, bool, i64);

    fn wide(values: impl Iterator<Item = Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
        optional_decimals("generated", values, precision, scale).unwrap()
    }

    fn component(is_base: bool) -> &'static str {
        if is_base { "base" } else { "licence" }
    }

    /// The number of the price of a series in a component.
    fn number(series: u64, is_base: bool) -> i64 {
        series as i64 * 2 + i64::from(is_base) + 1
    }

    fn priced_series() -> RecordBatch {
        let rows: Vec<(u64, bool)> = (0..6).flat_map(|series| [(series, false), (series, true)]).collect();
        let text = |pick: &dyn Fn(&(u64, bool)) -> Option<String>| -> ArrayRef {
            Arc::new(StringArray::from_iter(rows.iter().map(pick)))
        };
        let numbers = Int64Array::from_iter_values(rows.iter().map(|row| number(row.0, row.1)));
        let given: [(&str, ArrayRef); 5] = [
            ("priced_number", Arc::new(numbers)),
            ("account_id", text(&|row| (row.0 > 0).then(|| format!("A-{}", row.0 % 2)))),
            ("project_id", text(&|row| (row.0 > 1).then(|| format!("p{}", row.0)))),
            ("rate_id", text(&|row| Some(format!("rate {}", component(row.1))))),
            ("line_by", text(&|row| Some(format!("zone={}", row.0 % 3)))),
        ];
        filled(PRICED_SERIES, rows.len(), &given)
    }

    fn grain_columns(parts: &[GeneratedPart]) -> Vec<ArrayRef> {
        vec![
            Arc::new(UInt64Array::from_iter_values(parts.iter().map(|part| part.0))),
            Arc::new(Date32Array::from_iter_values(parts.iter().map(|part| part.1))),
            Arc::new(instants(parts.iter().map(|part| i64::from(part.1 % 2)))),
            Arc::new(StringArray::from_iter_values(parts.iter().map(|part| component(part.2)))),
        ]
    }

    fn texts(parts: &[GeneratedPart], names: [&'static str; 2]) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(parts.iter().map(|part| names[usize::from(part.4)])))
    }

    fn numbers(parts: &[GeneratedPart]) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(parts.iter().map(|part| number(part.0, part.2))))
    }

    fn units(parts: &[GeneratedPart], factor: i128, precision: u8, scale: i8) -> ArrayRef {
        wide(parts.iter().map(|part| Some(i128::from(part.5) * factor)), precision, scale)
    }

    /// The parts with distinct keys, sorted by key. The key is the grain of their relation.
    fn each_once<K: Ord>(parts: &[GeneratedPart], key: impl Fn(&GeneratedPart) -> K) -> Vec<GeneratedPart> {
        let mut parts = parts.to_vec();
        parts.sort_by_key(&key);
        parts.dedup_by(|one, other| key(one) == key(other));
        parts
    }

    fn generated(is_base: impl Strategy<Value = bool>, tiers: Range<i64>) -> impl Strategy<Value = GeneratedPart> {
        (0..6u64, 0..4i32, is_base, tiers, any::<bool>(), -9..9i64)
    }

    /// Generated parts, often none, because most periods have no bounds, no coverage, and no accounts with own cards.
    fn some(part: impl Strategy<Value = GeneratedPart>, most: usize) -> impl Strategy<Value = Vec<GeneratedPart>> {
        prop::option::of(prop::collection::vec(part, 1..most)).prop_map(Option::unwrap_or_default)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn the_operator_and_the_sql_compute_equal_rows(
            parts in prop::collection::vec(generated(any::<bool>(), 0..3), 0..40),
            bounded in some(generated(any::<bool>(), 0..1), 6),
            covered in some(generated(Just(true), 0..1), 6),
            public in some(generated(any::<bool>(), 0..3), 20),
            half in 0..20usize,
        ) {
            let kind = |part: &GeneratedPart| ["flat_fee", "usage"][usize::from(part.4)];
            let grain = |part: &GeneratedPart| (part.0, part.1, component(part.2), part.3, kind(part));
            let parts = each_once(&parts, grain);
            let bounded = each_once(&bounded, |part| (part.0, part.1, component(part.2), part.4));
            let covered = each_once(&covered, |part| (part.0, part.1));
            let public = each_once(&public, |part| (number(part.0, part.2), part.1, part.3, part.4));
            let tiers = |parts: &[GeneratedPart]| -> ArrayRef {
                Arc::new(Int64Array::from_iter_values(parts.iter().map(|part| part.3)))
            };
            let rows = |path: &str, own: Vec<ArrayRef>| batch(path, own).unwrap();
            let priced_part = rows(PRICED_PART, [grain_columns(&parts), vec![
                tiers(&parts), texts(&parts, ["flat_fee", "usage"]), numbers(&parts), units(&parts, 1, 28, 9),
                units(&parts, 5, 38, 9), units(&parts, 7, 28, 12), units(&parts, 11, 28, 9), units(&parts, 13, 38, 18),
            ]].concat());
            let pool_adjustment = rows(POOL_ADJUSTMENT, [grain_columns(&bounded), vec![
                texts(&bounded, ["maximum", "minimum"]), numbers(&bounded), units(&bounded, 17, 38, 18),
            ]].concat());
            let covered_part = rows(COVERED_PART, [grain_columns(&covered)[..3].to_vec(), vec![
                numbers(&covered), units(&covered, 19, 38, 9),
            ]].concat());
            let list_share = rows(LIST_SHARE, vec![
                numbers(&public),
                Arc::new(Date32Array::from_iter_values(public.iter().map(|part| part.1))),
                tiers(&public),
                texts(&public, ["flat_fee", "usage"]),
                wide(public.iter().map(|part| (part.5 != 0).then_some(part.5.into())), 28, 12),
                units(&public, 23, 38, 18),
            ]);
            let priced_series = priced_series();
            let session = Session::new(None).unwrap();
            let given = [
                (PRICED_SERIES, &priced_series), (PRICED_PART, &priced_part), (POOL_ADJUSTMENT, &pool_adjustment),
                (COVERED_PART, &covered_part), (LIST_SHARE, &list_share),
            ];
            for (path, rows) in given {
                session.register(path, vec![rows.clone()]).unwrap();
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let by_sql = runtime.block_on(session.run(RATED_USAGE, Parameters::none())).unwrap();
            let one = std::slice::from_ref;
            let half = half.min(priced_part.num_rows());
            let costs = Costs {
                priced_part: &[priced_part.slice(0, half), priced_part.slice(half, priced_part.num_rows() - half)],
                pool_adjustment: one(&pool_adjustment),
                covered_part: one(&covered_part),
                list_share: one(&list_share),
            };
            let rated = RatedUsageBuilder::new(one(&priced_series)).unwrap().usage(costs).unwrap();
            let schema = &statement(RATED_USAGE).unwrap().schema;
            let all = |batches: &[RecordBatch]| concat_batches(schema, batches).unwrap();
            prop_assert_eq!(all(&rated), all(&by_sql));
        }
    }
}
