//! A model of metering and rating, which processes record by record in integers, without SQL.

use std::collections::BTreeMap;

use arrow::datatypes::i256;

use super::usage::{Delivered, MINUTE};

pub(crate) const HOUR: i64 = 60 * MINUTE;
/// The `max_gap` of the test: a value counts for at most this time.
pub(crate) const GAP_CAP: i64 = 2 * HOUR;

/// The attributes of a stream that prices use.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Described {
    pub(crate) project: Option<String>,
    pub(crate) flavor: Option<String>,
}

/// Metered quantities in units of the ninth place, by meter, resource, description and start of the window. Windows
/// without usage are left out.
pub(crate) type Metered = BTreeMap<(String, String, Described, i64), i128>;

/// Meters records. `days` are the starts of local dates. All records are between the first and the last start.
pub(crate) fn meter(records: &[Delivered], days: &[i64]) -> Metered {
    let mut streams: BTreeMap<(&str, &str, Option<&str>), Vec<&Delivered>> = BTreeMap::new();
    for record in records {
        // Each counted value has a stream of its own, and a record without a value is rejected.
        let is_unique = record.meter == "count_unique";
        if !is_unique || record.flavor.is_some() {
            let unique = record.flavor.filter(|_| is_unique);
            streams.entry((record.meter, record.resource, unique)).or_default().push(record);
        }
    }
    let mut metered = Metered::new();
    for ((meter, resource, _), mut stream) in streams {
        stream.sort_by_key(|record| record.at);
        let described = describe(&stream, days);
        let window = |at: i64| {
            let day = days.iter().rfind(|day| **day <= at).unwrap();
            day + (at - day) / HOUR * HOUR
        };
        let mut add = |described: &Described, window: i64, quantity: i128| {
            *metered.entry((meter.into(), resource.into(), described.clone(), window)).or_default() += quantity;
        };
        match meter {
            "sum" | "count" => {
                for (record, described) in stream.iter().zip(&described) {
                    let one = if meter == "sum" { record.quantity } else { 1_000_000_000 };
                    add(described, window(record.at), one);
                }
            }
            "increase" => {
                let mut before: Option<i128> = None;
                for (record, described) in stream.iter().zip(&described) {
                    let grown = match before {
                        None if record.created => record.quantity,
                        None => 0,
                        Some(before) if record.quantity < before => record.quantity,
                        Some(before) => record.quantity - before,
                    };
                    add(described, window(record.at), grown);
                    before = Some(record.quantity);
                }
            }
            "duration" | "time_weighted" => {
                // Sums are in units of the fifteenth place until a window is complete.
                let mut held: BTreeMap<(Described, i64), i128> = BTreeMap::new();
                for (index, record) in stream.iter().enumerate().filter(|(_, record)| !record.deleted) {
                    let next = stream.get(index + 1).map_or(i64::MAX, |next| next.at);
                    let end = next.min(record.at + GAP_CAP).min(*days.last().unwrap());
                    let mut at = record.at;
                    while at < end {
                        let day_end = *days.iter().find(|day| **day > at).unwrap();
                        let until = (window(at) + HOUR).min(day_end).min(end);
                        let level = if meter == "duration" { 1_000_000_000 } else { record.quantity };
                        *held.entry((described[index].clone(), window(at))).or_default() +=
                            level * i128::from(until - at);
                        at = until;
                    }
                }
                for ((described, window), sum) in held {
                    add(&described, window, (sum + 500_000) / 1_000_000);
                }
            }
            _ => {
                let mut windows: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
                for (index, record) in stream.iter().enumerate().filter(|(_, record)| !record.deleted) {
                    windows.entry(window(record.at)).or_default().push(index);
                }
                for (window, of) in windows {
                    let values = || of.iter().map(|index| stream[*index].quantity);
                    let last = *of.last().unwrap();
                    let count = of.len() as i128;
                    let quantity = match meter {
                        "max" => values().max().unwrap(),
                        "min" => values().min().unwrap(),
                        "last" => stream[last].quantity,
                        "mean" => (2 * values().sum::<i128>() + count) / (2 * count),
                        _ => 1_000_000_000,
                    };
                    add(&described[last], window, quantity);
                }
            }
        }
    }
    metered.retain(|_, quantity| *quantity != 0);
    metered
}

/// The description of each record's resource at its time. Attributes are from the record, else from an earlier record,
/// else from a later record of the same date.
fn describe(stream: &[&Delivered], days: &[i64]) -> Vec<Described> {
    let own = |record: &Delivered| Described {
        project: record.project.map(str::to_owned),
        flavor: record.flavor.map(str::to_owned),
    };
    let or = |first: Described, second: &Described| Described {
        project: first.project.or_else(|| second.project.clone()),
        flavor: first.flavor.or_else(|| second.flavor.clone()),
    };
    let mut known = Described::default();
    let mut described = Vec::new();
    for day in days.windows(2) {
        let today = || stream.iter().filter(|record| day[0] <= record.at && record.at < day[1]);
        for record in today() {
            known = or(known, &own(record));
        }
        for record in today() {
            known = or(own(record), &known);
            described.push(known.clone());
        }
    }
    described
}

/// The cost of a quantity, rounded half away from zero at the 18th place. Nothing else is rounded.
pub(crate) fn cost(quantity: i128, unit_price: i128, divisor: i128) -> i128 {
    let wide = |number: i128| i256::from_i128(number);
    // 10^-9 × 10^-12 / 10^-9, in units of 10^-18.
    let numerator = wide(quantity) * wide(unit_price) * wide(1_000_000);
    ((numerator * wide(2) + wide(divisor)) / (wide(divisor) * wide(2))).to_i128().unwrap()
}

/// A tier: its start in pricing units and its unit price. A tier ends at the start of the next tier.
pub(crate) type Tier = (i128, i128);

/// The cost of a quantity in graduated tiers. Each tier that the quantity reaches has its start, quantity and cost.
pub(crate) fn graduated(total: i128, tiers: &[Tier], divisor: i128) -> Vec<(i128, i128, i128)> {
    let bound = |start: i128| {
        let exact = i256::from_i128(start) * i256::from_i128(divisor);
        ((exact + i256::from_i128(500_000_000)) / i256::from_i128(1_000_000_000)).to_i128().unwrap()
    };
    let mut parts = Vec::new();
    for (index, (start, price)) in tiers.iter().enumerate() {
        let end = tiers.get(index + 1).map_or(i128::MAX, |next| bound(next.0));
        let part = total.min(end) - bound(*start);
        if part > 0 {
            parts.push((*start, (2 * part * 1_000_000_000 + divisor) / (2 * divisor), cost(part, *price, divisor)));
        }
    }
    parts
}
