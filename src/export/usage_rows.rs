//! The rows of `usage.csv`, from the rated usage of a batch of accounts.
//!
//! `sql/export/usage.sql` is the reference implementation. A test compares both implementations on random usage. Each
//! row has eleven texts that are the same for all dates of a series. So the position of each series in the file is
//! computed once, and rows are sorted by these positions. The texts are added when a row is written.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, Date32Array, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::concat_batches;

use crate::query::{Error, statement};
use crate::rows::columns::{BASE, batch, column, none_last, optional_decimals, ranks};

const ACTIVE_SERIES: &str = "rating/active_series";
const RATE: &str = "rating/rate";
const RATED_USAGE: &str = "rating/rated_usage";
const UNRATED_USAGE: &str = "rating/unrated_usage";
const USAGE_SEGMENT: &str = "rating/usage_segment";
const LABEL_RANGE: &str = "export/label_range";
const SUSPENDED_ACCOUNT: &str = "invoicing/suspended_account";
const USAGE: &str = "export/usage";

/// The number of rows of an output batch.
const BATCH_ROWS: usize = 8192;

/// The columns of `active_series` that rows need.
const SERIES_COLUMNS: [&str; 10] = [
    "series_id",
    "stream_id",
    "meter",
    "unit",
    "resource_id",
    "project_id",
    "account_id",
    "account_name",
    "status",
    "description",
];
/// The columns of `rated_usage` that rows need.
pub const RATED_COLUMNS: [&str; 8] = [
    "series_id",
    "charge_date",
    "segment_start",
    "component",
    "rate_id",
    "pricing_quantity",
    "contracted_cost",
    "list_cost",
];
/// The columns of `unrated_usage` that rows need.
pub const UNRATED_COLUMNS: [&str; 5] = ["series_id", "charge_date", "segment_start", "component", "consumed_quantity"];

/// The texts of series and prices, for the rows of any number of account batches.
#[derive(Debug)]
pub struct UsageRows {
    /// `active_series` with the columns of rows.
    series: RecordBatch,
    number_of: HashMap<u64, u32>,
    series_order: Vec<SeriesOrder>,
    /// The index in `skus` of each rate id.
    sku_of: HashMap<String, u32>,
    skus: Vec<Sku>,
    labels: HashMap<u64, Vec<Label>>,
    usage_segment: Vec<RecordBatch>,
    /// The currency of rows without a price.
    currency: String,
}

/// The sort keys of the rows of a series, as ranks of their texts.
#[derive(Clone, Copy, Debug)]
struct SeriesOrder {
    stream_id: u64,
    account: u32,
    /// The rank of project, resource and meter.
    resource: u32,
    description: u32,
    is_suspended: bool,
}

/// The SKU columns of a rate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sku {
    sku: String,
    service: String,
    pricing_unit: String,
    currency: String,
}

/// A label of a stream with its first date and the day after its last one.
#[derive(Debug)]
struct Label {
    key: String,
    value: String,
    first_date: Option<i32>,
    next_date: Option<i32>,
}

/// The sort key of a row: account, date, resource, component, SKU, description, series, price.
type Order = (u32, i32, u32, u32, u32, u32, u32, u32);

/// A row of `usage.csv`, or the part of a row in one segment.
#[derive(Clone, Copy)]
struct UsageRow {
    order: Order,
    segment_start: i64,
    consumed: i128,
    /// The pricing quantity, contracted cost and list cost; `None` for usage without a price.
    priced: Option<[i128; 3]>,
}

impl UsageRow {
    fn charge_date(&self) -> i32 {
        self.order.1
    }

    fn series(&self) -> usize {
        self.order.6 as usize
    }

    fn sku(&self) -> Option<usize> {
        self.priced.map(|_| self.order.7 as usize)
    }

    /// Adds the priced amounts of another part.
    fn price(&mut self, other: &Self) -> Option<()> {
        if let (Some(priced), Some(more)) = (&mut self.priced, other.priced) {
            for (sum, part) in priced.iter_mut().zip(more) {
                *sum = sum.checked_add(part)?;
            }
        }
        Some(())
    }
}

/// The relations that all account batches share.
#[derive(Clone, Copy, Debug)]
pub struct UsageInputs<'a> {
    pub active_series: &'a [RecordBatch],
    pub rate: &'a [RecordBatch],
    pub label_range: &'a [RecordBatch],
    pub suspended_accounts: &'a [RecordBatch],
    /// The usage segments, sorted by the grain of the relation.
    pub usage_segment: &'a [RecordBatch],
}

impl UsageRows {
    pub fn new(shared: UsageInputs<'_>, currency: &str) -> Result<Self, Error> {
        let series = series_columns(shared.active_series)?;
        let ids: &UInt64Array = column(&series, ACTIVE_SERIES, "series_id")?;
        let number_of = ids.values().iter().copied().zip(0..).collect();
        let mut rows = Self {
            series_order: series_order(&series, shared.suspended_accounts)?,
            series,
            number_of,
            sku_of: HashMap::new(),
            skus: Vec::new(),
            labels: labels(shared.label_range)?,
            usage_segment: shared.usage_segment.to_vec(),
            currency: currency.to_owned(),
        };
        rows.read_rates(shared.rate)?;
        Ok(rows)
    }

    fn read_rates(&mut self, rates: &[RecordBatch]) -> Result<(), Error> {
        let mut of_id = Vec::new();
        for batch in rates {
            let text = |name| column::<StringArray>(batch, RATE, name);
            let (ids, skus) = (text("rate_id")?, text("sku")?);
            let (services, units, currencies) = (text("service")?, text("pricing_unit")?, text("currency")?);
            of_id.extend((0..batch.num_rows()).map(|row| {
                let cells = [skus, services, units, currencies].map(|texts| texts.value(row).to_owned());
                let [sku, service, pricing_unit, currency] = cells;
                (ids.value(row).to_owned(), Sku { sku, service, pricing_unit, currency })
            }));
        }
        let skus: BTreeSet<Sku> = of_id.iter().map(|(_, sku)| sku.clone()).collect();
        self.skus = skus.into_iter().collect();
        let number = |sku: &Sku| self.skus.partition_point(|known| known < sku) as u32;
        self.sku_of = of_id.into_iter().map(|(id, sku)| (id, number(&sku))).collect();
        Ok(())
    }

    /// The rows of an account batch in the order of the file, as batches. `None` if a sum overflows or a reference is
    /// missing; the SQL statement then reports the error.
    pub fn of(
        &self,
        rated_usage: &[RecordBatch],
        unrated_usage: &[RecordBatch],
    ) -> Result<Option<impl Iterator<Item = Result<RecordBatch, Error>>>, Error> {
        let components = components(rated_usage, unrated_usage)?;
        let mut used = Vec::with_capacity(rated_usage.iter().map(RecordBatch::num_rows).sum());
        let skus = ranks(self.skus.len(), |sku| &self.skus[sku].sku);
        if self.rated(rated_usage, &components, &skus, &mut used)?.is_none() {
            return Ok(None);
        }
        if self.unrated(unrated_usage, &components, &mut used)?.is_none() {
            return Ok(None);
        }
        used.sort_unstable_by_key(|row| (row.order, row.segment_start));
        let Some(rows) = merge_parts(used) else { return Ok(None) };
        let count = rows.len();
        let batch = move |start: usize| self.batch_of(&rows[start..rows.len().min(start + BATCH_ROWS)]);
        Ok(Some((0..count).step_by(BATCH_ROWS).map(batch)))
    }

    fn rated(
        &self,
        rated_usage: &[RecordBatch],
        components: &[&str],
        sku_ranks: &[u32],
        used: &mut Vec<UsageRow>,
    ) -> Result<Option<()>, Error> {
        let mut consumed = Segments::new(&self.usage_segment)?;
        for batch in rated_usage {
            let series: &UInt64Array = column(batch, RATED_USAGE, "series_id")?;
            let dates: &Date32Array = column(batch, RATED_USAGE, "charge_date")?;
            let segments: &TimestampMicrosecondArray = column(batch, RATED_USAGE, "segment_start")?;
            let names: &StringArray = column(batch, RATED_USAGE, "component")?;
            let rates: &StringArray = column(batch, RATED_USAGE, "rate_id")?;
            let units = |name| column::<Decimal128Array>(batch, RATED_USAGE, name);
            let (quantities, costs) = (units("pricing_quantity")?, units("contracted_cost")?);
            let list_costs = units("list_cost")?;
            for row in 0..batch.num_rows() {
                let at = (series.value(row), dates.value(row), segments.value(row));
                let found = self.number_of.get(&at.0).zip(self.sku_of.get(rates.value(row)));
                // Each priced row needs a series, a rate and a consumed segment. If one of these is missing, the SQL
                // statement reports the error.
                let Some(((number, sku), consumed)) = found.zip(consumed.at(at)) else { return Ok(None) };
                let price = (sku_ranks[*sku as usize], *sku);
                let part = UsageRow {
                    order: self.order(*number, at.1, component(names.value(row), components), price),
                    segment_start: at.2,
                    consumed,
                    priced: Some([quantities.value(row), costs.value(row), list_costs.value(row)]),
                };
                match used.last_mut() {
                    Some(last) if (last.order, last.segment_start) == (part.order, part.segment_start) => {
                        if last.price(&part).is_none() {
                            return Ok(None);
                        }
                    }
                    _ => used.push(part),
                }
            }
        }
        Ok(Some(()))
    }

    fn unrated(
        &self,
        unrated_usage: &[RecordBatch],
        components: &[&str],
        used: &mut Vec<UsageRow>,
    ) -> Result<Option<()>, Error> {
        for batch in unrated_usage {
            let series: &UInt64Array = column(batch, UNRATED_USAGE, "series_id")?;
            let dates: &Date32Array = column(batch, UNRATED_USAGE, "charge_date")?;
            let segments: &TimestampMicrosecondArray = column(batch, UNRATED_USAGE, "segment_start")?;
            let names: &StringArray = column(batch, UNRATED_USAGE, "component")?;
            let quantities: &Decimal128Array = column(batch, UNRATED_USAGE, "consumed_quantity")?;
            for row in 0..batch.num_rows() {
                let Some(number) = self.number_of.get(&series.value(row)) else { return Ok(None) };
                let component = component(names.value(row), components);
                used.push(UsageRow {
                    order: self.order(*number, dates.value(row), component, (u32::MAX, u32::MAX)),
                    segment_start: segments.value(row),
                    consumed: quantities.value(row),
                    priced: None,
                });
            }
        }
        Ok(Some(()))
    }

    fn order(&self, series: u32, charge_date: i32, component: u32, price: (u32, u32)) -> Order {
        let keys = self.series_order[series as usize];
        (keys.account, charge_date, keys.resource, component, price.0, keys.description, series, price.1)
    }

    fn batch_of(&self, rows: &[UsageRow]) -> Result<RecordBatch, Error> {
        let of_series = |name: &str| -> Result<ArrayRef, Error> {
            let texts: &StringArray = column(&self.series, ACTIVE_SERIES, name)?;
            let cell = |row: &UsageRow| texts.is_valid(row.series()).then(|| texts.value(row.series()));
            Ok(Arc::new(rows.iter().map(cell).collect::<StringArray>()))
        };
        let of_sku = |pick: fn(&Sku) -> &String| -> ArrayRef {
            let cell = |row: &UsageRow| row.sku().map(|sku| pick(&self.skus[sku]));
            Arc::new(rows.iter().map(cell).collect::<StringArray>())
        };
        let priced = |index: usize, precision, scale| {
            let cells = rows.iter().map(|row| row.priced.map(|priced| priced[index]));
            optional_decimals("usage", cells, precision, scale)
        };
        let statuses: &StringArray = column(&self.series, ACTIVE_SERIES, "status")?;
        let status = |row: &UsageRow| match (row.priced, statuses.value(row.series())) {
            (None, _) => "unrated",
            (Some(_), "invoiced" | "retail") if self.series_order[row.series()].is_suspended => "suspended",
            (Some(_), status) => status,
        };
        let currency =
            |row: &UsageRow| row.sku().map_or(self.currency.as_str(), |sku| self.skus[sku].currency.as_str());
        let columns: Vec<ArrayRef> = vec![
            Arc::new(Date32Array::from_iter_values(rows.iter().map(UsageRow::charge_date))),
            of_series("account_id")?,
            of_series("project_id")?,
            of_series("resource_id")?,
            of_series("meter")?,
            of_sku(|sku| &sku.service),
            of_sku(|sku| &sku.sku),
            optional_decimals("usage", rows.iter().map(|row| Some(row.consumed)), 38, 9)?,
            of_series("unit")?,
            priced(0, 38, 9)?,
            of_sku(|sku| &sku.pricing_unit),
            priced(1, 38, 18)?,
            priced(2, 38, 18)?,
            Arc::new(StringArray::from_iter_values(rows.iter().map(currency))),
            Arc::new(StringArray::from_iter_values(rows.iter().map(status))),
            of_series("description")?,
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| self.labels_on(row)))),
        ];
        batch(USAGE, columns)
    }

    /// The labels that are valid on the date, by key.
    fn labels_on(&self, row: &UsageRow) -> String {
        let date = row.charge_date();
        let of_stream =
            self.labels.get(&self.series_order[row.series()].stream_id).map(Vec::as_slice).unwrap_or_default();
        let is_valid = |label: &&Label| {
            label.first_date.is_none_or(|first| first <= date) && label.next_date.is_none_or(|next| date < next)
        };
        let mut labels = String::new();
        for Label { key, value, .. } in of_stream.iter().filter(is_valid) {
            let between = if labels.is_empty() { "" } else { "; " };
            labels.extend([between, key, "=", value]);
        }
        labels
    }
}

fn series_columns(active_series: &[RecordBatch]) -> Result<RecordBatch, Error> {
    let failed = |source| Error::Rows { relation: "active_series".to_owned(), source };
    let schema = &statement(ACTIVE_SERIES)?.schema;
    let picked = SERIES_COLUMNS.iter().map(|name| schema.index_of(name)).collect::<Result<Vec<_>, _>>();
    let picked = picked.map_err(failed)?;
    let batches = active_series.iter().map(|batch| batch.project(&picked)).collect::<Result<Vec<_>, _>>();
    let schema = Arc::new(schema.project(&picked).map_err(failed)?);
    concat_batches(&schema, &batches.map_err(failed)?).map_err(failed)
}

/// The rows, merged from their sorted parts. The consumed quantity of a segment counts once, even if the segment has
/// several prices.
fn merge_parts(used: Vec<UsageRow>) -> Option<Vec<UsageRow>> {
    let mut rows: Vec<UsageRow> = Vec::with_capacity(used.len());
    for part in used {
        match rows.last_mut() {
            Some(row) if row.order == part.order => {
                row.price(&part)?;
                if row.segment_start != part.segment_start {
                    row.segment_start = part.segment_start;
                    row.consumed = row.consumed.checked_add(part.consumed)?;
                }
            }
            _ => rows.push(part),
        }
    }
    let fits = |value: i128, digits: u32| value.unsigned_abs() < 10u128.pow(digits);
    let fits_columns = |row: &UsageRow| {
        let [quantity, cost, list_cost] = row.priced.unwrap_or_default();
        fits(row.consumed, 28) && fits(quantity, 28) && fits(cost, 38) && fits(list_cost, 38)
    };
    rows.iter().all(fits_columns).then_some(rows)
}

/// The names of components. The base component is first.
fn components<'a>(rated_usage: &'a [RecordBatch], unrated_usage: &'a [RecordBatch]) -> Result<Vec<&'a str>, Error> {
    let mut names = BTreeSet::new();
    for (path, batches) in [(RATED_USAGE, rated_usage), (UNRATED_USAGE, unrated_usage)] {
        for batch in batches {
            names.extend(column::<StringArray>(batch, path, "component")?.iter().flatten());
        }
    }
    names.remove(BASE);
    Ok(std::iter::once(BASE).chain(names).collect())
}

fn component(name: &str, components: &[&str]) -> u32 {
    components.iter().position(|known| *known == name).unwrap_or_default() as u32
}

fn series_order(series: &RecordBatch, suspended_accounts: &[RecordBatch]) -> Result<Vec<SeriesOrder>, Error> {
    let mut suspended = HashSet::new();
    for batch in suspended_accounts {
        let ids: &StringArray = column(batch, SUSPENDED_ACCOUNT, "account_id")?;
        let names: &StringArray = column(batch, SUSPENDED_ACCOUNT, "account_name")?;
        suspended.extend((0..batch.num_rows()).map(|row| (none_last(ids, row), none_last(names, row))));
    }
    let text = |name| column::<StringArray>(series, ACTIVE_SERIES, name);
    let (accounts, account_names) = (text("account_id")?, text("account_name")?);
    let (projects, resources) = (text("project_id")?, text("resource_id")?);
    let (meters, descriptions) = (text("meter")?, text("description")?);
    let streams: &UInt64Array = column(series, ACTIVE_SERIES, "stream_id")?;
    let count = series.num_rows();
    let of_account = ranks(count, |row| none_last(accounts, row));
    let of_resource = ranks(count, |row| (none_last(projects, row), resources.value(row), meters.value(row)));
    let of_description = ranks(count, |row| descriptions.value(row));
    let keys = |row: usize| SeriesOrder {
        stream_id: streams.value(row),
        account: of_account[row],
        resource: of_resource[row],
        description: of_description[row],
        is_suspended: accounts.is_valid(row)
            && suspended.contains(&(none_last(accounts, row), none_last(account_names, row))),
    };
    Ok((0..count).map(keys).collect())
}

fn labels(label_range: &[RecordBatch]) -> Result<HashMap<u64, Vec<Label>>, Error> {
    let mut labels: HashMap<u64, Vec<Label>> = HashMap::new();
    for batch in label_range {
        let streams: &UInt64Array = column(batch, LABEL_RANGE, "stream_id")?;
        let text = |name| column::<StringArray>(batch, LABEL_RANGE, name);
        let date = |name| column::<Date32Array>(batch, LABEL_RANGE, name);
        let (keys, values) = (text("key")?, text("value")?);
        let (firsts, nexts) = (date("first_date")?, date("next_date")?);
        let day = |dates: &Date32Array, row: usize| dates.is_valid(row).then(|| dates.value(row));
        for row in 0..batch.num_rows() {
            labels.entry(streams.value(row)).or_default().push(Label {
                key: keys.value(row).to_owned(),
                value: values.value(row).to_owned(),
                first_date: day(firsts, row),
                next_date: day(nexts, row),
            });
        }
    }
    for of_stream in labels.values_mut() {
        of_stream.sort_by(|one, other| one.key.cmp(&other.key));
    }
    Ok(labels)
}

/// The consumed quantity of each segment. A lookup continues from the position of the previous lookup.
struct Segments<'a> {
    batches: Vec<SegmentColumns<'a>>,
    batch: usize,
    row: usize,
}

struct SegmentColumns<'a> {
    series: &'a UInt64Array,
    dates: &'a Date32Array,
    starts: &'a TimestampMicrosecondArray,
    quantities: &'a Decimal128Array,
}

impl SegmentColumns<'_> {
    fn key(&self, row: usize) -> (u64, i32, i64) {
        (self.series.value(row), self.dates.value(row), self.starts.value(row))
    }

    /// The first row that is not before a key.
    fn seek(&self, key: (u64, i32, i64)) -> usize {
        let (mut low, mut high) = (0, self.series.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.key(middle) < key { low = middle + 1 } else { high = middle }
        }
        low
    }
}

impl<'a> Segments<'a> {
    fn new(usage_segment: &'a [RecordBatch]) -> Result<Self, Error> {
        let mut batches = Vec::with_capacity(usage_segment.len());
        for batch in usage_segment.iter().filter(|batch| batch.num_rows() > 0) {
            batches.push(SegmentColumns {
                series: column(batch, USAGE_SEGMENT, "series_id")?,
                dates: column(batch, USAGE_SEGMENT, "charge_date")?,
                starts: column(batch, USAGE_SEGMENT, "segment_start")?,
                quantities: column(batch, USAGE_SEGMENT, "consumed_quantity")?,
            });
        }
        Ok(Self { batches, batch: 0, row: 0 })
    }

    fn at(&mut self, key: (u64, i32, i64)) -> Option<i128> {
        for _ in 0..2 {
            let batch = self.batches.get(self.batch)?;
            match batch.key(self.row).cmp(&key) {
                Ordering::Equal => return Some(batch.quantities.value(self.row)),
                Ordering::Less if self.row + 1 < batch.series.len() => self.row += 1,
                _ => break,
            }
        }
        self.batch = self.batches.partition_point(|batch| batch.key(batch.series.len() - 1) < key);
        let Some(batch) = self.batches.get(self.batch) else {
            (self.batch, self.row) = (0, 0);
            return None;
        };
        self.row = batch.seek(key);
        (batch.key(self.row) == key).then(|| batch.quantities.value(self.row))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::{Parameters, Session};
    use crate::rows::columns::instants;

    const FIRST: i32 = 20_727;

    /// The rows of a relation with the given columns; all other columns are null.
    fn rows(path: &str, given: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let schema = statement(path).unwrap().schema.clone();
        let count = given[0].1.len();
        let column = |field: &arrow::datatypes::FieldRef| {
            let known = given.iter().find(|(name, _)| name == field.name());
            known.map_or_else(|| arrow::array::new_null_array(field.data_type(), count), |known| Arc::clone(&known.1))
        };
        let columns = schema.fields().iter().map(column).collect();
        // A column that is not null in the relation is null here if it is not given, because the test does not read it.
        let fields: Vec<_> = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
        RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), columns).unwrap()
    }

    fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
        Arc::new(StringArray::from_iter(values))
    }

    fn ids(values: impl IntoIterator<Item = u64>) -> ArrayRef {
        Arc::new(UInt64Array::from_iter_values(values))
    }

    fn decimals(values: impl Iterator<Item = i128>, precision: u8, scale: i8) -> ArrayRef {
        optional_decimals("usage", values.map(Some), precision, scale).unwrap()
    }

    /// A random series: account, whether the account has a name, project, resource, description and status.
    type RandomSeries = (Option<u8>, bool, Option<u8>, u8, u8, &'static str);
    /// The random usage of a segment: the consumed quantity, and the rate and the parts of each component. Usage
    /// without components is unrated.
    type RandomUsage = (i128, Vec<(u8, Vec<(i128, i128, i128)>)>);

    fn usage() -> impl Strategy<Value = RandomUsage> {
        let amount = || prop_oneof![0..10i128.pow(12), 0..10i128.pow(26)];
        let part = (amount(), amount(), amount());
        let of_component = (0..4u8, prop::collection::vec(part, 1..3));
        (1..10i128.pow(15), prop::collection::vec(of_component, 0..3))
    }

    fn segment(number: i32) -> i64 {
        i64::from(FIRST + number) * 86_400_000_000
    }

    struct Relations {
        active_series: RecordBatch,
        rate: RecordBatch,
        label_range: RecordBatch,
        suspended_accounts: RecordBatch,
        usage_segment: RecordBatch,
        rated_usage: RecordBatch,
        unrated_usage: RecordBatch,
    }

    const COMPONENTS: [&str; 3] = ["base", "a-licence", "licence"];

    fn relations(series: &[RandomSeries], used: &[[Option<RandomUsage>; 4]]) -> Relations {
        let name = |prefix: &str, number: u8| format!("{prefix}-{number}");
        let account_name = |series: &RandomSeries| series.1.then_some("Named");
        let active_series = rows(
            ACTIVE_SERIES,
            vec![
                ("series_id", ids(0..series.len() as u64)),
                ("stream_id", ids(series.iter().map(|series| u64::from(series.3)))),
                ("meter", texts(series.iter().map(|series| Some(if series.3 > 2 { "vm" } else { "disk" })))),
                ("unit", texts(series.iter().map(|_| Some("hour")))),
                ("resource_id", texts(series.iter().map(|series| Some(name("r", series.3))))),
                ("project_id", texts(series.iter().map(|series| series.2.map(|number| name("p", number))))),
                ("account_id", texts(series.iter().map(|series| series.0.map(|number| name("c", number))))),
                ("account_name", texts(series.iter().map(account_name))),
                ("status", texts(series.iter().map(|series| Some(series.5)))),
                // Each series has a different description, so no two rows are equal.
                (
                    "description",
                    texts(series.iter().zip(0..).map(|(series, id): (_, u8)| Some(format!("{}-{id}", series.4)))),
                ),
            ],
        );
        let rate = rows(
            RATE,
            vec![
                ("rate_id", texts((0..4).map(|number| Some(name("rate", number))))),
                ("sku", texts(["B", "A", "A", "A"].map(Some))),
                ("service", texts(["Compute", "Compute", "Compute", "Compute"].map(Some))),
                ("pricing_unit", texts(["h", "h", "h", "h"].map(Some))),
                ("currency", texts(["EUR", "EUR", "EUR", "USD"].map(Some))),
            ],
        );
        let date = |values: Vec<Option<i32>>| -> ArrayRef { Arc::new(Date32Array::from(values)) };
        let label_range = rows(
            LABEL_RANGE,
            vec![
                ("stream_id", ids([1, 1, 1, 3])),
                ("key", texts(["team", "team", "name", "team"].map(Some))),
                ("value", texts(["red", "blue", "web", "green"].map(Some))),
                ("first_date", date(vec![None, Some(FIRST + 1), None, Some(FIRST + 1)])),
                ("next_date", date(vec![Some(FIRST + 1), None, None, None])),
            ],
        );
        let suspended_accounts = rows(
            SUSPENDED_ACCOUNT,
            vec![
                ("account_id", texts(["c-1", "c-1", "c-2"].map(Some))),
                ("account_name", texts([Some("Named"), Some("Named"), None])),
                ("reason", texts(["one", "two", "one"].map(Some))),
            ],
        );
        let (mut segments, mut rated, mut unrated) = (Vec::new(), Vec::new(), Vec::new());
        for (id, of_series) in (0u64..).zip(used) {
            // The second date has two segments, as on a day with a price change.
            for (place, of_segment) in (0..).zip(of_series) {
                let Some((consumed, components)) = of_segment else { continue };
                let (day, start) = [(0, 0), (1, 0), (1, 1), (2, 1)][place];
                let at = (id, FIRST + day, segment(start));
                segments.push((at, *consumed));
                if components.is_empty() {
                    unrated.push((at, *consumed));
                }
                for (component, (rate, parts)) in COMPONENTS.into_iter().zip(components) {
                    rated.extend(parts.iter().map(|part| (at, component, name("rate", *rate), *part)));
                }
            }
        }
        let at = |places: Vec<(u64, i32, i64)>| -> Vec<(&str, ArrayRef)> {
            vec![
                ("series_id", ids(places.iter().map(|at| at.0))),
                ("charge_date", Arc::new(Date32Array::from_iter_values(places.iter().map(|at| at.1)))),
                ("segment_start", Arc::new(instants(places.iter().map(|at| at.2)))),
            ]
        };
        let mut segment = at(segments.iter().map(|row| row.0).collect());
        segment.push(("consumed_quantity", decimals(segments.iter().map(|row| row.1), 38, 9)));
        let mut priced = at(rated.iter().map(|row| row.0).collect());
        priced.push(("component", texts(rated.iter().map(|row| Some(row.1)))));
        priced.push(("rate_id", texts(rated.iter().map(|row| Some(row.2.as_str())))));
        priced.push(("pricing_quantity", decimals(rated.iter().map(|row| row.3.0), 38, 9)));
        priced.push(("contracted_cost", decimals(rated.iter().map(|row| row.3.1), 38, 18)));
        priced.push(("list_cost", decimals(rated.iter().map(|row| row.3.2), 38, 18)));
        let mut unrated_rows = at(unrated.iter().map(|row| row.0).collect());
        unrated_rows.push(("component", texts(unrated.iter().map(|_| Some(BASE)))));
        unrated_rows.push(("consumed_quantity", decimals(unrated.iter().map(|row| row.1), 38, 9)));
        Relations {
            active_series,
            rate,
            label_range,
            suspended_accounts,
            usage_segment: rows(USAGE_SEGMENT, segment),
            rated_usage: rows(RATED_USAGE, priced),
            unrated_usage: rows(UNRATED_USAGE, unrated_rows),
        }
    }

    async fn by_sql(relations: &Relations) -> Vec<RecordBatch> {
        let session = Session::new(None).unwrap();
        let register = |path: &str, rows: &RecordBatch| {
            let name = &statement(path).unwrap().name;
            session.register_rows(name, rows.schema(), vec![rows.clone()]).unwrap();
        };
        register(ACTIVE_SERIES, &relations.active_series);
        register(RATE, &relations.rate);
        register(LABEL_RANGE, &relations.label_range);
        register(SUSPENDED_ACCOUNT, &relations.suspended_accounts);
        register(USAGE_SEGMENT, &relations.usage_segment);
        register(RATED_USAGE, &relations.rated_usage);
        register(UNRATED_USAGE, &relations.unrated_usage);
        session.run(USAGE, Parameters::none().text("currency", "EUR")).await.unwrap()
    }

    fn all(batches: &[RecordBatch]) -> RecordBatch {
        concat_batches(&statement(USAGE).unwrap().schema, batches).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_operator_and_the_statement_have_the_same_rows(
            random in prop::collection::vec(
                (
                    (
                        prop::option::of(0..3u8),
                        any::<bool>(),
                        prop::option::of(0..3u8),
                        0..5u8,
                        0..3u8,
                        prop_oneof![Just("invoiced"), Just("retail"), Just("internal")],
                    ),
                    prop::array::uniform4(prop::option::of(usage())),
                ),
                1..7,
            ),
        ) {
            let (series, used): (Vec<_>, Vec<_>) = random.into_iter().unzip();
            let relations = relations(&series, &used);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let by_sql = runtime.block_on(by_sql(&relations));
            let of = std::slice::from_ref::<RecordBatch>;
            let shared = UsageInputs {
                active_series: of(&relations.active_series),
                rate: of(&relations.rate),
                label_range: of(&relations.label_range),
                suspended_accounts: of(&relations.suspended_accounts),
                usage_segment: of(&relations.usage_segment),
            };
            let operator = UsageRows::new(shared, "EUR").unwrap();
            let rows = operator.of(of(&relations.rated_usage), of(&relations.unrated_usage)).unwrap();
            let rows: Vec<RecordBatch> = rows.unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(all(&rows), all(&by_sql));
        }
    }
}
