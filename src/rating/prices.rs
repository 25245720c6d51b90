//! An operator that computes `priced_series`: the price of each series, with numbers for its pool, invoice line and
//! order.
//!
//! `sql/rating/priced_series.sql` defines the result. A property test verifies that the operator and the statement
//! compute equal rows.
//!
//! The statement sorts three times by up to eight texts. The operator computes the rank of each text once for each
//! series or rate, and sorts by the ranks.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray, UInt32Array, UInt64Array,
};
use arrow::compute::{concat_batches, filter_record_batch, is_not_null, take};
use arrow::error::ArrowError;

use crate::model::money::UnitPrice;
use crate::query::{Error, statement};
use crate::rows::columns::{any_column, batch, column, none_last, optional, optional_decimals, ranks};

const APPLICABLE_RATE: &str = "rating/applicable_rate";
const ACTIVE_SERIES: &str = "rating/active_series";
const RATE: &str = "rating/rate";
const PRICED_SERIES: &str = "rating/priced_series";

fn failed(source: ArrowError) -> Error {
    Error::Rows { relation: "priced_series".to_owned(), source }
}

/// The rows of `priced_series`, from inputs in the order of their grain. `None` if the statement must run: an amount
/// has too many digits, or a series or rate is missing. The statement reports an amount with too many digits. A missing
/// series or rate violates an invariant.
pub fn priced_series(
    applicable_rate: &[RecordBatch],
    rate: &RecordBatch,
    active_series: &[RecordBatch],
) -> Result<Option<RecordBatch>, Error> {
    let applicable = concat_batches(&statement(APPLICABLE_RATE)?.schema, applicable_rate).map_err(failed)?;
    let factors: &Decimal128Array = column(&applicable, APPLICABLE_RATE, "factor")?;
    let applicable = filter_record_batch(&applicable, &is_not_null(factors).map_err(failed)?).map_err(failed)?;
    let (series, rates) = (Series::new(active_series)?, Rates::new(rate)?);
    let ids: &UInt64Array = column(&applicable, APPLICABLE_RATE, "series_id")?;
    let rate_ids: &StringArray = column(&applicable, APPLICABLE_RATE, "rate_id")?;
    let row_indices = ids.values().iter().zip(rate_ids).map(|(series_id, rate_id)| {
        Some(RowIndices { series: *series.row_of.get(series_id)?, rate: *rates.row_of.get(rate_id?)? })
    });
    let Some(row_indices) = row_indices.collect::<Option<Vec<RowIndices>>>() else { return Ok(None) };
    Prices { applicable, rate, rates, series, row_indices }.rows()
}

/// The indices of the rows in `active_series` and `rate` that belong to a row of `applicable_rate`.
#[derive(Clone, Copy)]
struct RowIndices {
    series: u32,
    rate: u32,
}

struct Prices<'a> {
    applicable: RecordBatch,
    rate: &'a RecordBatch,
    rates: Rates<'a>,
    series: Series,
    row_indices: Vec<RowIndices>,
}

impl Prices<'_> {
    fn rows(&self) -> Result<Option<RecordBatch>, Error> {
        let minimums: &Decimal128Array = column(self.rate, RATE, "minimum")?;
        let minimum = |row: usize| optional(minimums, self.row_indices[row].rate as usize);
        let (maximums, cap_prices) = (self.amounts("maximum")?, self.amounts("cap_price")?);
        let amounts = [
            self.with_factor(minimum)?,
            self.with_factor(|row| optional(maximums, row))?,
            self.with_factor(|row| optional(cap_prices, row))?,
        ];
        let [Some(minimum), Some(maximum), Some(cap_price)] = amounts else { return Ok(None) };
        let of_series = UInt32Array::from_iter_values(self.row_indices.iter().map(|indices| indices.series));
        let of_rate = UInt32Array::from_iter_values(self.row_indices.iter().map(|indices| indices.rate));
        let unchanged = |name| any_column(&self.applicable, APPLICABLE_RATE, name);
        let named = |texts: &StringArray| take(texts, &of_series, None).map_err(failed);
        let rated = |name| take(&any_column(self.rate, RATE, name)?, &of_rate, None).map_err(failed);
        let flag = |is: &dyn Fn(usize) -> bool| -> ArrayRef {
            Arc::new(BooleanArray::from_iter(self.row_indices.iter().map(|indices| Some(is(indices.rate as usize)))))
        };
        let numbers = |ranks: Vec<u32>| -> ArrayRef {
            Arc::new(Int64Array::from_iter_values(ranks.into_iter().map(|rank| i64::from(rank) + 1)))
        };
        let columns = vec![
            unchanged("series_id")?,
            unchanged("component")?,
            unchanged("segment_start")?,
            Arc::new(Int64Array::from_iter_values((1..).take(self.row_indices.len()))),
            named(&self.series.accounts)?,
            named(&self.series.projects)?,
            unchanged("rate_id")?,
            unchanged("line_by")?,
            unchanged("unit_price")?,
            unchanged("multiplier")?,
            unchanged("factor")?,
            rated("pricing_divisor")?,
            rated("percentile_discard")?,
            rated("rounding_multiple")?,
            rated("rounding_direction")?,
            flag(&|rate| {
                self.rates.rounding_periods.is_valid(rate) && self.rates.rounding_periods.value(rate) == "day"
            }),
            rated("flat_fee_at_zero")?,
            minimum,
            maximum,
            unchanged("cap_quantity")?,
            cap_price,
            numbers(self.pools()?),
            rated("pool_period")?,
            flag(&|rate| self.rates.pool_scopes.value(rate) == "account"),
            flag(&|rate| self.rates.pool_periods.value(rate) == "window" || self.rates.percentiles.is_valid(rate)),
            numbers(self.line_groups()?),
            numbers(self.usage_orders()?),
        ];
        batch(PRICED_SERIES, columns).map(Some)
    }

    fn amounts(&self, name: &str) -> Result<&Decimal128Array, Error> {
        column(&self.applicable, APPLICABLE_RATE, name)
    }

    /// Amounts multiplied by the factors of their rows. `None` if a product has too many digits.
    fn with_factor(&self, amount: impl Fn(usize) -> Option<i128>) -> Result<Option<ArrayRef>, Error> {
        let factors = self.amounts("factor")?;
        let mut amounts = Vec::with_capacity(self.row_indices.len());
        for row in 0..self.row_indices.len() {
            let Some(amount) = amount(row) else {
                amounts.push(None);
                continue;
            };
            let Some(product) = product(amount, factors.value(row)) else { return Ok(None) };
            amounts.push(Some(product));
        }
        optional_decimals("priced_series", amounts.into_iter(), 28, 12).map(Some)
    }

    /// The rank of each row's pool, in which the usage of the row counts.
    fn pools(&self) -> Result<Vec<u32>, Error> {
        let caps: &Decimal128Array = self.amounts("cap_quantity")?;
        let cap_prices = self.amounts("cap_price")?;
        let last = |value: Option<i128>| (value.is_none(), value);
        let scopes: Vec<&str> = self.rates.pool_scopes.iter().flatten().collect();
        Ok(ranks(self.row_indices.len(), |row| {
            let (series, rate) = (self.row_indices[row].series as usize, self.row_indices[row].rate as usize);
            let is_of_project = scopes[rate] != "account" && self.series.projects.is_valid(series);
            let project = is_of_project.then_some(self.series.project[series]);
            let resource = (scopes[rate] == "resource").then_some(self.series.resource[series]);
            (
                self.rates.pool[rate],
                self.series.account[series],
                project.unwrap_or(u32::MAX),
                resource.unwrap_or(u32::MAX),
                last(optional(caps, row)),
                last(optional(cap_prices, row)),
            )
        }))
    }

    /// The rank of each row's invoice line, to which the usage of the row belongs.
    fn line_groups(&self) -> Result<Vec<u32>, Error> {
        let component = self.ranks_of("component")?;
        let line_by = self.ranks_of("line_by")?;
        Ok(ranks(self.row_indices.len(), |row| {
            let (series, rate) = (self.row_indices[row].series as usize, self.row_indices[row].rate as usize);
            (
                self.series.account[series],
                self.series.project[series],
                self.rates.service[rate],
                component[row],
                self.rates.sku_and_description[rate],
                line_by[row],
                self.rates.unit[rate],
            )
        }))
    }

    /// The rank of each row in the order in which simultaneous usage fills tiers.
    fn usage_orders(&self) -> Result<Vec<u32>, Error> {
        let component = self.ranks_of("component")?;
        Ok(ranks(self.row_indices.len(), |row| {
            let (series, rate) = (self.row_indices[row].series as usize, self.row_indices[row].rate as usize);
            (
                self.series.resource[series],
                self.rates.sku[rate],
                self.series.meter_and_description[series],
                component[row],
                self.rates.id[rate],
                self.series.project[series],
            )
        }))
    }

    /// The rank of each text of a column among the distinct texts of the column. The column has few distinct texts.
    fn ranks_of(&self, name: &str) -> Result<Vec<u32>, Error> {
        let texts: &StringArray = column(&self.applicable, APPLICABLE_RATE, name)?;
        let distinct: BTreeSet<&str> = texts.iter().flatten().collect();
        let rank_of: HashMap<&str, u32> = distinct.into_iter().zip(0..).collect();
        Ok(texts.iter().flatten().map(|text| rank_of[text]).collect())
    }
}

/// An amount times a factor, rounded half away from zero to twelve places. `None` if the product has too many digits.
fn product(amount: i128, factor: i128) -> Option<i128> {
    UnitPrice::from_units(amount).checked_mul(UnitPrice::from_units(factor)).map(UnitPrice::units)
}

/// Series with the ranks of their texts.
struct Series {
    accounts: StringArray,
    projects: StringArray,
    account: Vec<u32>,
    project: Vec<u32>,
    resource: Vec<u32>,
    meter_and_description: Vec<u32>,
    row_of: HashMap<u64, u32>,
}

impl Series {
    fn new(active_series: &[RecordBatch]) -> Result<Self, Error> {
        let texts = |name: &str| -> Result<StringArray, Error> {
            let each = active_series.iter().map(|rows| column::<StringArray>(rows, ACTIVE_SERIES, name));
            let each = each.collect::<Result<Vec<_>, _>>()?;
            Ok(each.into_iter().flat_map(|texts| texts.iter()).collect())
        };
        let [accounts, projects, resources, meters, descriptions] =
            [texts("account_id")?, texts("project_id")?, texts("resource_id")?, texts("meter")?, texts("description")?];
        let mut row_of = HashMap::with_capacity(accounts.len());
        for rows in active_series {
            for series_id in column::<UInt64Array>(rows, ACTIVE_SERIES, "series_id")?.values() {
                row_of.insert(*series_id, row_of.len() as u32);
            }
        }
        let count = accounts.len();
        Ok(Self {
            account: ranks(count, |row| none_last(&accounts, row)),
            project: ranks(count, |row| none_last(&projects, row)),
            resource: ranks(count, |row| resources.value(row)),
            meter_and_description: ranks(count, |row| (meters.value(row), descriptions.value(row))),
            accounts,
            projects,
            row_of,
        })
    }
}

/// Rates with the ranks of their texts.
struct Rates<'a> {
    pool: Vec<u32>,
    service: Vec<u32>,
    sku: Vec<u32>,
    sku_and_description: Vec<u32>,
    unit: Vec<u32>,
    id: Vec<u32>,
    row_of: HashMap<&'a str, u32>,
    pool_scopes: &'a StringArray,
    pool_periods: &'a StringArray,
    rounding_periods: &'a StringArray,
    percentiles: &'a Decimal128Array,
}

impl<'a> Rates<'a> {
    fn new(rate: &'a RecordBatch) -> Result<Self, Error> {
        let text = |name| column::<StringArray>(rate, RATE, name);
        let [ids, skus, services, descriptions, pools, units] = [
            text("rate_id")?,
            text("sku")?,
            text("service")?,
            text("description")?,
            text("pool")?,
            text("pricing_unit")?,
        ];
        let divisors: &Decimal128Array = column(rate, RATE, "pricing_divisor")?;
        let count = rate.num_rows();
        Ok(Self {
            pool: ranks(count, |row| pools.value(row)),
            service: ranks(count, |row| services.value(row)),
            sku: ranks(count, |row| skus.value(row)),
            sku_and_description: ranks(count, |row| (skus.value(row), descriptions.value(row))),
            unit: ranks(count, |row| (units.value(row), divisors.value(row))),
            id: ranks(count, |row| ids.value(row)),
            row_of: ids.iter().flatten().zip(0..).collect(),
            pool_scopes: text("pool_scope")?,
            pool_periods: text("pool_period")?,
            rounding_periods: text("rounding_period")?,
            percentiles: column(rate, RATE, "percentile_discard")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::tests::filled;
    use crate::query::{Parameters, Session};
    use crate::rows::columns::{decimals, instants};

    /// A generated series: account, project, resource, meter and description, as small numbers. Account zero means no
    /// account, and project zero means no project.
    type GeneratedSeries = (u8, u8, u8, u8, u8);

    /// A generated rate: SKU, service, description, pool and unit; scope, period and divisor; minimum; presence of a
    /// percentile, rounding by day.
    type GeneratedRate = ((u8, u8, u8, u8, u8), (usize, usize, i128), Option<i128>, (bool, Option<bool>));

    /// A generated price: whether the component is base, whether the segment is the second, rate, line dimensions,
    /// factor, and own amounts.
    type GeneratedPrice = (bool, bool, usize, u8, Option<i128>, (Option<i128>, Option<i128>, Option<i128>));

    fn texts(prefix: &str, values: impl Iterator<Item = u8>) -> ArrayRef {
        Arc::new(values.map(|value| Some(format!("{prefix}{value}"))).collect::<StringArray>())
    }

    fn words(values: impl Iterator<Item = Option<&'static str>>) -> ArrayRef {
        Arc::new(values.collect::<StringArray>())
    }

    fn wide(values: impl Iterator<Item = Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
        optional_decimals("generated", values, precision, scale).unwrap()
    }

    fn active_series(series: &[GeneratedSeries]) -> RecordBatch {
        let or_none = |prefix: &str, values: &dyn Fn(&GeneratedSeries) -> u8| -> ArrayRef {
            let named = |value: u8| (value > 0).then(|| format!("{prefix}{value}"));
            Arc::new(series.iter().map(|one| named(values(one))).collect::<StringArray>())
        };
        let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..series.len() as u64));
        let given = [
            ("series_id", ids),
            ("account_id", or_none("a", &|one| one.0)),
            ("project_id", or_none("p", &|one| one.1)),
            ("resource_id", texts("r", series.iter().map(|one| one.2))),
            ("meter", texts("m", series.iter().map(|one| one.3))),
            ("description", texts("d", series.iter().map(|one| one.4))),
        ];
        filled(ACTIVE_SERIES, series.len(), &given)
    }

    fn rate(rates: &[GeneratedRate]) -> RecordBatch {
        let rows = || rates.iter();
        let given = [
            ("rate_id", texts("rate ", 0..rates.len() as u8)),
            ("sku", texts("k", rows().map(|rate| rate.0.0))),
            ("service", texts("s", rows().map(|rate| rate.0.1))),
            ("description", texts("d", rows().map(|rate| rate.0.2))),
            ("pool", texts("o", rows().map(|rate| rate.0.3))),
            ("pricing_unit", texts("u", rows().map(|rate| rate.0.4))),
            ("pool_scope", words(rows().map(|rate| Some(["resource", "project", "account"][rate.1.0])))),
            ("pool_period", words(rows().map(|rate| Some(["window", "day", "period"][rate.1.1])))),
            ("pricing_divisor", decimals("generated", rows().map(|rate| rate.1.2), 28, 9).unwrap()),
            ("minimum", wide(rows().map(|rate| rate.2), 28, 12)),
            ("percentile_discard", wide(rows().map(|rate| rate.3.0.then_some(5)), 12, 9)),
            ("rounding_period", words(rows().map(|rate| rate.3.1.map(|by_day| if by_day { "day" } else { "period" })))),
        ];
        filled(RATE, rates.len(), &given)
    }

    fn applicable_rate(rows: &[(u64, GeneratedPrice)], rate_count: usize) -> RecordBatch {
        let ids: ArrayRef = Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.0)));
        let component = |price: &GeneratedPrice| Some(if price.0 { "base" } else { "licence" });
        let given = [
            ("series_id", ids),
            ("component", words(rows.iter().map(|row| component(&row.1)))),
            ("segment_start", Arc::new(instants(rows.iter().map(|row| i64::from(row.1.1)))) as ArrayRef),
            ("rate_id", texts("rate ", rows.iter().map(|row| (row.1.2 % rate_count) as u8))),
            ("line_by", texts("zone=", rows.iter().map(|row| row.1.3))),
            ("factor", wide(rows.iter().map(|row| row.1.4), 28, 12)),
            ("maximum", wide(rows.iter().map(|row| row.1.5.0), 28, 12)),
            ("cap_quantity", wide(rows.iter().map(|row| row.1.5.1), 38, 9)),
            ("cap_price", wide(rows.iter().map(|row| row.1.5.2), 28, 12)),
        ];
        filled(APPLICABLE_RATE, rows.len(), &given)
    }

    async fn by_sql(relations: [(&str, &RecordBatch); 3]) -> Result<Vec<RecordBatch>, Error> {
        let session = Session::new(None)?;
        for (path, rows) in relations {
            session.register(path, vec![rows.clone()])?;
        }
        session.run(PRICED_SERIES, Parameters::none()).await
    }

    fn amount() -> impl Strategy<Value = Option<i128>> {
        prop::option::weighted(0.3, prop_oneof![4 => 0..5_000_000_000_000i128, 1 => 0..10i128.pow(28)])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_operator_and_the_sql_compute_equal_rows(
            series in prop::collection::vec((0..3u8, 0..3u8, 0..4u8, 0..2u8, 0..3u8), 1..8),
            rates in prop::collection::vec((
                (0..2u8, 0..2u8, 0..2u8, 0..2u8, 0..2u8), (0..3usize, 0..3usize, 1..3i128), amount(),
                (any::<bool>(), any::<Option<bool>>()),
            ), 1..5),
            prices in prop::collection::btree_map(
                (0..8usize, any::<bool>(), any::<bool>()),
                (
                    0..5usize, 0..2u8,
                    prop::option::weighted(0.9, prop_oneof![Just(10i128.pow(12)), 0..10i128.pow(13)]),
                    (amount(), prop::option::weighted(0.3, 0..3i128), amount()),
                ),
                0..20,
            ),
            half in 0..20usize,
        ) {
            let mut rows: Vec<(u64, GeneratedPrice)> = prices.into_iter().filter(|(at, _)| at.0 < series.len()).map(
                |((series, is_licence, is_second), (rate, line_by, factor, amounts))| {
                    (series as u64, (!is_licence, is_second, rate, line_by, factor, amounts))
                },
            ).collect();
            rows.sort_by_key(|(series, price)| (*series, !price.0, price.1));
            let (series, rate) = (active_series(&series), rate(&rates));
            let applicable = applicable_rate(&rows, rates.len());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let relations = [(APPLICABLE_RATE, &applicable), (RATE, &rate), (ACTIVE_SERIES, &series)];
            let by_sql = runtime.block_on(by_sql(relations));
            let half = half.min(applicable.num_rows());
            let parts = [applicable.slice(0, half), applicable.slice(half, applicable.num_rows() - half)];
            let by_operator = priced_series(&parts, &rate, std::slice::from_ref(&series)).unwrap();
            match by_operator {
                Some(rows) => {
                    let all = concat_batches(&rows.schema(), &by_sql.unwrap()).unwrap();
                    prop_assert_eq!(rows, all);
                }
                // The statement fails if an amount is too large.
                None => prop_assert!(by_sql.is_err()),
            }
        }
    }
}
