//! The function that meters a stream, against an independent model in SQL: `tests/sql-oracle/metering/`.
//!
//! The statements there use grouped sums and window frames. They compute the same rows from the same random samples,
//! but several times slower.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use conto::model::meter::{Aggregation, RecordRounding};
use conto::model::money::Quantity;
use conto::model::period::date_of;
use conto::query::{Parameters, Session, statement};
use conto::rows;
use proptest::prelude::*;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const HORIZON: i64 = 2 * 86_400 * SECOND;
/// A day of 25 hours, on which clocks go back.
const DAY: i32 = 20_751;
const DAY_START: i64 = DAY as i64 * 24 * HOUR - 2 * HOUR;
const DAY_END: i64 = DAY_START + 25 * HOUR;
/// An instant within the last hours of the day, so that some states end before the day does.
const OBSERVED_UNTIL: i64 = DAY_END - 5 * HOUR;
/// The timeout of a meter without a timeout. Its sum with any instant does not overflow.
const NO_TIMEOUT: i64 = i64::MAX / 4;

/// A row of `described_sample`.
#[derive(Clone, Copy, Debug)]
struct Row {
    stream_id: u64,
    series_id: u64,
    measured_at: i64,
    quantity: i128,
    created: bool,
    deleted: bool,
    is_state: bool,
    carried_forward: bool,
}

/// The measure of all streams.
#[derive(Clone, Copy, Debug)]
struct Measure {
    aggregation: Aggregation,
    window: i64,
    max_gap: i64,
    state_timeout: Option<i64>,
    record: Option<RecordRounding>,
}

fn column<T>(rows: &[Row], value: impl Fn(&Row) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// The columns that are equal in the product and in the model.
fn columns(rows: &[Row]) -> Vec<ArrayRef> {
    let flags = |value: fn(&Row) -> bool| -> ArrayRef { Arc::new(BooleanArray::from(column(rows, value))) };
    let quantities = rows::decimals(column(rows, |row| Some(row.quantity)), 28, 9).unwrap();
    vec![
        Arc::new(UInt64Array::from(column(rows, |row| row.stream_id))),
        Arc::new(UInt64Array::from(column(rows, |row| row.series_id))),
        Arc::new(rows::timestamps(column(rows, |row| Some(row.measured_at)))),
        Arc::new(quantities),
        flags(|row| row.created),
        flags(|row| row.deleted),
        flags(|row| row.is_state),
        flags(|row| row.carried_forward),
    ]
}

fn described_samples(measure: &Measure, rows: &[Row]) -> RecordBatch {
    let every = |value: Option<i64>| -> ArrayRef { Arc::new(Int64Array::from(column(rows, |_| value))) };
    let quantity = |value: fn(&RecordRounding) -> Quantity| -> ArrayRef {
        let units = measure.record.as_ref().map(|record| value(record).units());
        Arc::new(rows::decimals(column(rows, |_| units), 28, 9).unwrap())
    };
    let of_measure: [ArrayRef; 6] = [
        Arc::new(StringArray::from(column(rows, |_| measure.aggregation.name()))),
        every(Some(measure.window)),
        every(Some(measure.max_gap)),
        every(measure.state_timeout),
        quantity(|record| record.minimum),
        quantity(|record| record.multiple_of),
    ];
    let columns = columns(rows).into_iter().chain(of_measure).collect();
    RecordBatch::try_new(statement("metering/described_sample").unwrap().schema.clone(), columns).unwrap()
}

fn all(schema: &SchemaRef, batches: &[RecordBatch]) -> Vec<ArrayRef> {
    concat_batches(schema, batches).unwrap().columns().to_vec()
}

/// The rows of `metered_usage` and `stream_state`, computed by the product.
async fn by_product(measure: &Measure, rows: &[Row]) -> [Vec<ArrayRef>; 2] {
    let session = Session::new(None).unwrap();
    session.register("metering/described_sample", vec![described_samples(measure, rows)]).unwrap();
    session.register("metering/kept_window", Vec::new()).unwrap();
    let day = Parameters::none().bigint("day_start", DAY_START).bigint("day_end", DAY_END);
    session.materialize("metering/stream_day", day.bigint("observed_until", OBSERVED_UNTIL)).await.unwrap();
    let usage = session.run("metering/metered_usage", Parameters::none().date("charge_date", DAY)).await.unwrap();
    let parameters = Parameters::none().bigint("day_end", DAY_END).bigint("horizon", HORIZON);
    let states = session.run("metering/stream_state", parameters).await.unwrap();
    let schema = |path: &str| statement(path).unwrap().schema.clone();
    [all(&schema("metering/metered_usage"), &usage), all(&schema("metering/stream_state"), &states)]
}

/// A session of the model with the samples, and the measure for its statements.
struct Model<'a> {
    session: Session,
    measure: &'a Measure,
}

impl Model<'_> {
    /// Runs a statement of the model.
    async fn run(&self, name: &str) -> (SchemaRef, Vec<RecordBatch>) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/sql-oracle/metering/{name}.sql"));
        let text = std::fs::read_to_string(path).unwrap();
        // Without a rounding of records, these parameters round each record to the ninth decimal place.
        let smallest = RecordRounding { minimum: Quantity::ZERO, multiple_of: Quantity::from_units(1) };
        let record = self.measure.record.unwrap_or(smallest);
        let parameters = [
            ("$charge_date", format!("'{}'", date_of(DAY))),
            ("$day_start", DAY_START.to_string()),
            ("$day_end", DAY_END.to_string()),
            ("$window", self.measure.window.to_string()),
            ("$max_gap", self.measure.max_gap.to_string()),
            ("$observed_until", OBSERVED_UNTIL.to_string()),
            ("$state_timeout", self.measure.state_timeout.unwrap_or(NO_TIMEOUT).to_string()),
            ("$record_minimum", record.minimum.to_string()),
            ("$record_multiple", record.multiple_of.to_string()),
            ("$horizon", HORIZON.to_string()),
        ];
        let text = parameters.iter().fold(text, |text, (name, value)| text.replace(name, value));
        self.session.query(&text).await.unwrap()
    }

    /// Runs a statement, and registers the rows for later statements.
    async fn materialize(&self, name: &str) {
        let (schema, batches) = self.run(name).await;
        self.session.register_rows(name, schema, batches).unwrap();
    }
}

/// The same rows, computed by the model.
async fn by_model(measure: &Measure, rows: &[Row]) -> [Vec<ArrayRef>; 2] {
    let given = columns(rows);
    let names =
        ["stream_id", "series_id", "measured_at", "quantity", "created", "deleted", "is_state", "carried_forward"];
    // If an instant is repeated, the digests of its records differ.
    let digests: ArrayRef = Arc::new(UInt64Array::from_iter_values(0..rows.len() as u64));
    let columns = names.into_iter().zip(given).chain([("record_digest", digests)]);
    let given = RecordBatch::try_from_iter(columns).unwrap();
    let model = Model { session: Session::new(None).unwrap(), measure };
    model.session.register_rows("given", given.schema(), vec![given]).unwrap();
    model.materialize("described_sample").await;
    model.materialize("previous_stream_state").await;
    let (schema, states) = model.run("stream_state").await;
    let states = all(&schema, &states);
    model.materialize("windowed_state").await;
    let weighs = matches!(measure.aggregation, Aggregation::Duration | Aggregation::TimeWeighted);
    if !weighs && !measure.aggregation.is_additive() && measure.aggregation != Aggregation::Increase {
        model.materialize("carried_forward_state").await;
        let both = "SELECT * FROM described_sample UNION ALL SELECT * FROM carried_forward_state";
        let (schema, batches) = model.session.query(both).await.unwrap();
        model.session.register_rows("described_sample", schema, batches).unwrap();
    }
    model.materialize("windowed_sample").await;
    let (schema, usage) = model.run(measure.aggregation.name()).await;
    [all(&schema, &usage), states]
}

/// A generated sample: time in the day, quantity, series, created, deleted, is_state.
type Generated = (i64, i128, u64, bool, bool, bool);

fn samples() -> impl Strategy<Value = Vec<Generated>> {
    let quantity = prop_oneof![0..5_000_000_000i128, 0..10i128.pow(23), Just(0)];
    let minute = (0..25 * 60i64).prop_map(|minute| minute * 60 * SECOND);
    let instant = prop_oneof![3 => minute, 1 => 0..25 * HOUR];
    let (created, deleted, is_state) = (0.2, 0.1, 0.3);
    let weighted = prop::bool::weighted;
    let sample = (instant, quantity, 0..3u64, weighted(created), weighted(deleted), weighted(is_state));
    prop::collection::vec(sample, 0..30)
}

/// A generated stream state: time before the day, quantity, deleted, is_state.
fn state_before() -> impl Strategy<Value = Option<(i64, i128, bool, bool)>> {
    prop::option::of((1..60 * HOUR, 0..10i128.pow(20), any::<bool>(), any::<bool>()))
}

/// The rows of one stream. The series descend in the order of generation, so that the order of series differs from the
/// order of time.
fn stream(
    aggregation: Aggregation,
    stream_id: u64,
    mut generated: Vec<Generated>,
    before: Option<(i64, i128, bool, bool)>,
) -> Vec<Row> {
    generated.sort();
    if !aggregation.is_additive() {
        generated.dedup_by_key(|sample| sample.0);
    }
    let before = before.map(|(before, quantity, deleted, is_state)| Row {
        stream_id,
        series_id: stream_id * 10,
        measured_at: DAY_START - before,
        quantity,
        created: false,
        deleted,
        is_state,
        carried_forward: true,
    });
    let is_negative = |quantity: i128| aggregation.can_be_signed() && quantity % 3 == 1;
    let own = generated.into_iter().map(|(at, quantity, series, created, deleted, is_state)| Row {
        stream_id,
        series_id: stream_id * 10 + 9 - series,
        measured_at: DAY_START + at,
        quantity: if is_negative(quantity) { -quantity } else { quantity },
        created,
        deleted,
        is_state,
        carried_forward: false,
    });
    before.into_iter().chain(own).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn the_function_and_the_model_compute_equal_rows(
        generated in prop::collection::vec((samples(), state_before()), 1..4),
        window in prop_oneof![Just(HOUR), Just(25 * HOUR), Just(300 * SECOND)],
        max_gap in prop_oneof![Just(0), Just(600 * SECOND), Just(HOUR), Just(30 * HOUR)],
        state_timeout in prop_oneof![Just(None), Just(Some(2 * HOUR)), Just(Some(40 * HOUR))],
        record in prop::option::of((0..10_000_000_000i128, 1..10_000_000_000i128)),
    ) {
        let record = record.map(|(minimum, multiple)| RecordRounding {
            minimum: Quantity::from_units(minimum),
            multiple_of: Quantity::from_units(multiple),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for aggregation in Aggregation::ALL {
            let measure = Measure { aggregation, window, max_gap, state_timeout, record };
            let streams = generated.iter().cloned().zip(1..);
            let rows: Vec<Row> =
                streams.flat_map(|((samples, before), id)| stream(aggregation, id, samples, before)).collect();
            let [usage, states] = runtime.block_on(by_product(&measure, &rows));
            let [expected_usage, expected_states] = runtime.block_on(by_model(&measure, &rows));
            prop_assert_eq!(&usage, &expected_usage, "{:?}", aggregation);
            prop_assert_eq!(&states, &expected_states, "{:?}", aggregation);
        }
    }
}

/// The message of a run over rows in the given order. The engine sorts them by time only.
async fn failure(rows: &[Row]) -> String {
    let measure =
        Measure { aggregation: Aggregation::Max, window: HOUR, max_gap: 0, state_timeout: None, record: None };
    let session = Session::new(None).unwrap();
    let samples = described_samples(&measure, rows);
    session.register_rows("described_sample", samples.schema(), vec![samples]).unwrap();
    let day = Parameters::none().bigint("day_start", DAY_START).bigint("day_end", DAY_END);
    let error = session.run("metering/stream_day", day.bigint("observed_until", OBSERVED_UNTIL)).await.unwrap_err();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn row(stream_id: u64, measured_at: i64) -> Row {
    let (series_id, quantity) = (stream_id * 10, 1);
    Row {
        stream_id,
        series_id,
        measured_at,
        quantity,
        created: false,
        deleted: false,
        is_state: false,
        carried_forward: false,
    }
}

/// Each requirement of the function on its rows is verified, because a wrong order would give wrong quantities.
#[tokio::test]
async fn rows_that_the_function_cannot_meter_are_errors() {
    let (first, last) = (DAY_START, DAY_END - 1);
    let interleaved = [row(1, first), row(1, last), row(2, first + 1)];
    assert!(failure(&interleaved).await.contains("not sorted by stream"), "{}", failure(&interleaved).await);
    let outside = [row(1, first), row(1, DAY_END)];
    assert!(failure(&outside).await.contains("a sample is outside of the date"));
    let carried_late = [row(1, first), Row { carried_forward: true, ..row(1, last) }];
    assert!(failure(&carried_late).await.contains("after the first row of a stream is carried forward"));
}

/// A registration verifies the declared order, on which the engine relies.
#[test]
fn rows_of_a_relation_with_a_declared_order_are_registered_in_this_order_only() {
    let measure =
        Measure { aggregation: Aggregation::Max, window: HOUR, max_gap: 0, state_timeout: None, record: None };
    let session = Session::new(None).unwrap();
    let register =
        |rows: &[Row]| session.register("metering/described_sample", vec![described_samples(&measure, rows)]);
    register(&[row(1, DAY_START), row(1, DAY_START), row(2, DAY_START)]).unwrap();
    let error = register(&[row(2, DAY_START), row(1, DAY_START)]).unwrap_err();
    assert!(error.to_string().contains("not in the order of stream_id, measured_at"), "{error}");
}
