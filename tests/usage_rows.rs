//! `export/usage` against an independent model: random usage, with several prices, segments, labels and accounts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Date32Array, Decimal128Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    UInt64Array, new_null_array,
};
use arrow::datatypes::{Date32Type, Decimal128Type, FieldRef, Schema};
use conto::query::{Parameters, Session, statement};
use proptest::prelude::*;

/// The day number of 2026-10-01.
const FIRST: i32 = 20_727;
const COMPONENTS: [&str; 3] = ["base", "a-licence", "licence"];
/// The rates of each component: id, SKU, service and currency.
const RATES: [[(&str, &str, &str, &str); 3]; 3] = [
    [("b0", "B", "Compute", "EUR"), ("b1", "A", "Compute", "EUR"), ("b2", "A", "Compute", "USD")],
    [("a0", "A", "Compute", "EUR"), ("a1", "A", "Licence", "EUR"), ("a2", "C", "Compute", "EUR")],
    [("l0", "A", "Compute", "EUR"), ("l1", "A", "Compute", "EUR"), ("l2", "B", "Compute", "USD")],
];
/// Stream, key, value, first day and next day.
type Label = (u64, &'static str, &'static str, Option<i32>, Option<i32>);
const LABELS: [Label; 4] = [
    (1, "team", "red", None, Some(1)),
    (1, "team", "blue", Some(1), None),
    (1, "name", "web", None, None),
    (3, "team", "green", Some(1), None),
];

/// A series: account, whether the account has a name, project, stream, description and status.
type Series = (Option<u8>, bool, Option<u8>, u8, u8, &'static str);
/// The quantity, cost and list cost of a priced part.
type Part = (i128, i128, i128);
/// The SKU, service and currency of a price.
type Price = (&'static str, &'static str, &'static str);
/// The number of a component, its price and its parts.
type Priced = (usize, Option<Price>, Vec<Part>);
/// The usage of a segment: the consumed quantity, and the rate and the parts of each component. Usage without
/// components has no price.
type Segment = (i128, Vec<(u8, Vec<Part>)>);

/// The place of a segment: day and start of the segment. The second day has two segments.
const PLACES: [(i32, i64); 4] = [(0, 0), (1, 0), (1, 1), (2, 1)];

fn segment() -> impl Strategy<Value = Segment> {
    let amount = || prop_oneof![0..10i128.pow(12), -(10i128.pow(26))..10i128.pow(26)];
    let parts = prop::collection::vec((amount(), amount(), amount()), 1..3);
    (1..10i128.pow(15), prop::collection::vec((0..3u8, parts), 0..3))
}

fn series() -> impl Strategy<Value = Series> {
    let status = prop_oneof![Just("invoiced"), Just("retail"), Just("internal")];
    (prop::option::of(0..3u8), any::<bool>(), prop::option::of(0..3u8), 0..5u8, 0..3u8, status)
}

fn named(prefix: &str, number: u8) -> String {
    format!("{prefix}-{number}")
}

/// The rows of a relation with the given columns. All other columns are null, because the statement does not read them.
fn register(session: &Session, path: &str, given: Vec<(&str, ArrayRef)>) {
    let relation = statement(path).unwrap();
    let rows = given[0].1.len();
    let column = |field: &FieldRef| {
        let known = given.iter().find(|(name, _)| name == field.name());
        known.map_or_else(|| new_null_array(field.data_type(), rows), |known| Arc::clone(&known.1))
    };
    let columns = relation.schema.fields().iter().map(column).collect();
    let fields: Vec<_> =
        relation.schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true)).collect();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
    session.register_rows(&relation.name, batch.schema(), vec![batch]).unwrap();
}

fn texts<T: AsRef<str>>(values: impl IntoIterator<Item = Option<T>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

fn ids(values: impl IntoIterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

fn decimals(values: impl Iterator<Item = i128>, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from_iter_values(values).with_precision_and_scale(38, scale).unwrap())
}

/// The columns of the places of usage: series, date and segment.
fn places(of: &[(u64, usize)]) -> Vec<(&'static str, ArrayRef)> {
    let starts = of.iter().map(|(_, place)| i64::from(FIRST) * 86_400_000_000 + PLACES[*place].1);
    vec![
        ("series_id", ids(of.iter().map(|(id, _)| *id))),
        ("charge_date", Arc::new(Date32Array::from_iter_values(of.iter().map(|at| FIRST + PLACES[at.1].0)))),
        ("segment_start", Arc::new(TimestampMicrosecondArray::from_iter_values(starts).with_timezone("UTC"))),
    ]
}

/// A row of `usage.csv`: date, account, project, resource, meter, service, SKU, consumed quantity, priced amounts,
/// currency, status, dimensions and labels.
type Row = (
    (i32, Option<String>, Option<String>, String, String, Option<String>, Option<String>),
    (i128, Option<[i128; 3]>),
    (String, String, String, String),
);

fn registered(all: &[(Series, [Option<Segment>; 4])]) -> Session {
    let session = Session::new(None).unwrap();
    let series = || all.iter().map(|(series, _)| series);
    let descriptions = series().zip(0u8..).map(|(series, id)| Some(format!("{}-{id}", series.4)));
    register(
        &session,
        "rating/active_series",
        vec![
            ("series_id", ids(0..all.len() as u64)),
            ("stream_id", ids(series().map(|one| u64::from(one.3)))),
            ("meter", texts(series().map(|one| Some(if one.3 > 2 { "vm" } else { "disk" })))),
            ("unit", texts(series().map(|_| Some("hour")))),
            ("resource_id", texts(series().map(|one| Some(named("r", one.3))))),
            ("project_id", texts(series().map(|one| one.2.map(|number| named("p", number))))),
            ("account_id", texts(series().map(|one| one.0.map(|number| named("c", number))))),
            ("account_name", texts(series().map(|one| one.1.then_some("Named")))),
            ("status", texts(series().map(|one| Some(one.5)))),
            ("description", texts(descriptions)),
        ],
    );
    let rates = || RATES.iter().zip(COMPONENTS).flat_map(|(rates, component)| rates.map(|rate| (rate, component)));
    register(
        &session,
        "rating/rate",
        vec![
            ("rate_id", texts(rates().map(|(rate, _)| Some(rate.0)))),
            ("component", texts(rates().map(|(_, component)| Some(component)))),
            ("sku", texts(rates().map(|(rate, _)| Some(rate.1)))),
            ("service", texts(rates().map(|(rate, _)| Some(rate.2)))),
            ("pricing_unit", texts(rates().map(|_| Some("h")))),
            ("currency", texts(rates().map(|(rate, _)| Some(rate.3)))),
        ],
    );
    let date = |pick: fn(&Label) -> Option<i32>| -> ArrayRef {
        Arc::new(Date32Array::from_iter(LABELS.iter().map(|label| pick(label).map(|day| FIRST + day))))
    };
    register(
        &session,
        "export/label_range",
        vec![
            ("stream_id", ids(LABELS.iter().map(|label| label.0))),
            ("key", texts(LABELS.iter().map(|label| Some(label.1)))),
            ("value", texts(LABELS.iter().map(|label| Some(label.2)))),
            ("first_date", date(|label| label.3)),
            ("next_date", date(|label| label.4)),
        ],
    );
    register(
        &session,
        "invoicing/suspended_account",
        vec![
            ("account_id", texts([Some("c-1"), Some("c-1"), Some("c-2")])),
            ("account_name", texts([Some("Named"), Some("Named"), None])),
        ],
    );
    register_usage(&session, all);
    session
}

fn register_usage(session: &Session, all: &[(Series, [Option<Segment>; 4])]) {
    let (mut used, mut rated, mut unrated) = (Vec::new(), Vec::new(), Vec::new());
    for (id, (_, segments)) in (0u64..).zip(all) {
        for (place, segment) in segments.iter().enumerate() {
            let Some((consumed, components)) = segment else { continue };
            used.push(((id, place), *consumed));
            if components.is_empty() {
                unrated.push(((id, place), *consumed));
            }
            for (component, (rate, parts)) in components.iter().enumerate() {
                let rate = RATES[component][usize::from(*rate)].0;
                rated.extend(parts.iter().map(|part| ((id, place), COMPONENTS[component], rate, *part)));
            }
        }
    }
    let mut columns = places(&used.iter().map(|row| row.0).collect::<Vec<_>>());
    columns.push(("consumed_quantity", decimals(used.iter().map(|row| row.1), 9)));
    register(session, "rating/usage_segment", columns);
    let mut columns = places(&rated.iter().map(|row| row.0).collect::<Vec<_>>());
    columns.push(("component", texts(rated.iter().map(|row| Some(row.1)))));
    columns.push(("rate_id", texts(rated.iter().map(|row| Some(row.2)))));
    columns.push(("pricing_quantity", decimals(rated.iter().map(|row| row.3.0), 9)));
    columns.push(("contracted_cost", decimals(rated.iter().map(|row| row.3.1), 18)));
    columns.push(("list_cost", decimals(rated.iter().map(|row| row.3.2), 18)));
    register(session, "rating/rated_usage", columns);
    let mut columns = places(&unrated.iter().map(|row| row.0).collect::<Vec<_>>());
    columns.push(("component", texts(unrated.iter().map(|_| Some("base")))));
    columns.push(("consumed_quantity", decimals(unrated.iter().map(|row| row.1), 9)));
    register(session, "rating/unrated_usage", columns);
}

/// The rows of the file, in its order.
fn modelled(all: &[(Series, [Option<Segment>; 4])]) -> Vec<Row> {
    let mut rows: BTreeMap<_, (BTreeSet<usize>, Row)> = BTreeMap::new();
    for (id, (series, segments)) in all.iter().enumerate() {
        let (account, project) = (series.0.map(|one| named("c", one)), series.2.map(|one| named("p", one)));
        let (resource, meter) = (named("r", series.3), if series.3 > 2 { "vm" } else { "disk" }.to_owned());
        let description = format!("{}-{id}", series.4);
        let is_suspended = match (series.0, series.1) {
            (Some(1), true) | (Some(2), false) => series.5 != "internal",
            _ => false,
        };
        for (place, segment) in segments.iter().enumerate() {
            let Some((consumed, components)) = segment else { continue };
            let day = PLACES[place].0;
            let mut prices: Vec<Priced> = Vec::new();
            for (component, (rate, parts)) in components.iter().enumerate() {
                let (_, sku, service, currency) = RATES[component][usize::from(*rate)];
                prices.push((component, Some((sku, service, currency)), parts.clone()));
            }
            if prices.is_empty() {
                prices.push((0, None, Vec::new()));
            }
            for (component, price, parts) in prices {
                let last = |text: &Option<String>| (text.is_none(), text.clone());
                let key = (
                    (last(&account), day, last(&project), resource.clone(), meter.clone()),
                    (component, price.is_none(), price.map(|price| price.0), description.clone(), id),
                    price,
                );
                let (seen, row) = rows.entry(key).or_insert_with(|| {
                    let status = match price {
                        None => "unrated",
                        Some(_) if is_suspended => "suspended",
                        Some(_) => series.5,
                    };
                    let of_date = |label: &&Label| {
                        label.0 == u64::from(series.3)
                            && label.3.is_none_or(|first| first <= day)
                            && label.4.is_none_or(|next| day < next)
                    };
                    let labels: BTreeSet<String> =
                        LABELS.iter().filter(of_date).map(|label| format!("{}={}", label.1, label.2)).collect();
                    let text = |pick: fn((&str, &str, &str)) -> String| price.map(pick);
                    let (service, sku) = (text(|price| price.1.to_owned()), text(|price| price.0.to_owned()));
                    let names = (account.clone(), project.clone(), resource.clone(), meter.clone());
                    let row = (
                        (FIRST + day, names.0, names.1, names.2, names.3, service, sku),
                        (0, price.map(|_| [0; 3])),
                        (
                            price.map_or("EUR", |price| price.2).to_owned(),
                            status.to_owned(),
                            description.clone(),
                            labels.into_iter().collect::<Vec<_>>().join("; "),
                        ),
                    );
                    (BTreeSet::new(), row)
                });
                if seen.insert(place) {
                    row.1.0 += consumed;
                }
                for part in parts {
                    let sums = row.1.1.as_mut().unwrap();
                    for (sum, amount) in sums.iter_mut().zip([part.0, part.1, part.2]) {
                        *sum += amount;
                    }
                }
            }
        }
    }
    rows.into_values().map(|(_, row)| row).collect()
}

fn found(batches: &[RecordBatch]) -> Vec<Row> {
    let mut rows = Vec::new();
    for batch in batches {
        let text = |name: &str, row: usize| {
            let texts = batch.column_by_name(name).unwrap().as_string::<i32>();
            texts.is_valid(row).then(|| texts.value(row).to_owned())
        };
        let amount = |name: &str, row: usize| {
            let amounts = batch.column_by_name(name).unwrap().as_primitive::<Decimal128Type>();
            amounts.is_valid(row).then(|| amounts.value(row))
        };
        for row in 0..batch.num_rows() {
            let date = batch.column_by_name("charge_date").unwrap().as_primitive::<Date32Type>().value(row);
            let priced = amount("cost", row)
                .map(|cost| [amount("pricing_quantity", row).unwrap(), cost, amount("list_cost", row).unwrap()]);
            let sure = |name: &str| text(name, row).unwrap();
            let (account, project) = (text("account_id", row), text("project_id", row));
            let (service, sku) = (text("service", row), text("sku", row));
            rows.push((
                (date, account, project, sure("resource_id"), sure("meter"), service, sku),
                (amount("consumed_quantity", row).unwrap(), priced),
                (sure("currency"), sure("status"), sure("dimensions"), sure("labels")),
            ));
        }
    }
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_rows_are_those_of_the_model_in_its_order(
        all in prop::collection::vec((series(), prop::array::uniform4(prop::option::of(segment()))), 1..7),
    ) {
        let session = registered(&all);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let parameters = Parameters::none().text("currency", "EUR");
        runtime.block_on(session.materialize("export/usage_price", parameters)).unwrap();
        runtime.block_on(session.materialize("export/usage_series", Parameters::none())).unwrap();
        let batches = runtime.block_on(session.run("export/usage", Parameters::none())).unwrap();
        prop_assert_eq!(found(&batches), modelled(&all));
    }
}
