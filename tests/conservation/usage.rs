//! Random usage: the records that the sources of a test deliver, and their formats in files.

use proptest::prelude::*;
use proptest::sample::select;

/// Microseconds of a minute.
pub(crate) const MINUTE: i64 = 60_000_000;

/// All aggregations, in the order of `DIVISORS`. Each has a meter with the same name.
pub(crate) const AGGREGATIONS: [&str; 11] =
    ["count", "count_unique", "duration", "increase", "last", "max", "mean", "min", "presence", "sum", "time_weighted"];

/// One record of a source. A text that is `None` is left out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Delivered {
    pub(crate) meter: &'static str,
    pub(crate) resource: &'static str,
    /// Microseconds UTC.
    pub(crate) at: i64,
    pub(crate) record_id: u32,
    /// In units of the ninth place.
    pub(crate) quantity: i128,
    pub(crate) project: Option<&'static str>,
    pub(crate) flavor: Option<&'static str>,
    pub(crate) created: bool,
    pub(crate) deleted: bool,
}

impl Delivered {
    /// The identity of the record. For additive meters, the identity includes the record id.
    fn identity(&self) -> (&'static str, &'static str, i64, u32) {
        let is_additive = matches!(self.meter, "sum" | "count");
        (self.meter, self.resource, self.at, if is_additive { self.record_id } else { 0 })
    }

    pub(crate) fn csv(&self) -> String {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        format!(
            "{},{},{},{},{},{},{},{},{}\n",
            self.meter,
            self.resource,
            instant(self.at),
            decimal(self.quantity),
            text(self.project),
            self.record_id,
            if self.created { instant(self.at) } else { String::new() },
            self.deleted,
            text(self.flavor),
        )
    }

    /// The same record as an OpenStack service writes it.
    pub(crate) fn json(&self) -> String {
        let text = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), |text| format!(r#""{text}""#));
        let mut metadata = vec![format!(r#""flavor": {}"#, text(self.flavor))];
        if self.created {
            metadata.push(format!(r#""created_at": "{}""#, instant(self.at)));
        }
        if self.deleted {
            metadata.push(format!(r#""deleted_at": "{}""#, instant(self.at)));
        }
        format!(
            "{{\"counter_name\": \"{}\", \"resource_id\": \"{}\", \"timestamp\": \"{}\", \"counter_volume\": {}, \
             \"project_id\": {}, \"message_id\": \"{}\", \"resource_metadata\": {{{}}}}}\n",
            self.meter,
            self.resource,
            instant(self.at).replace('Z', "+00:00"),
            decimal(self.quantity),
            text(self.project),
            self.record_id,
            metadata.join(", ")
        )
    }
}

pub(crate) const HEADER: &str =
    "meter,resource_id,measured_at,quantity,project_id,record_id,created_at,deleted,flavor\n";

pub(crate) fn csv(records: &[Delivered]) -> String {
    std::iter::once(HEADER.to_owned()).chain(records.iter().map(Delivered::csv)).collect()
}

fn instant(microseconds: i64) -> String {
    jiff::Timestamp::from_microsecond(microseconds).unwrap().to_string()
}

pub(crate) fn decimal(units: i128) -> String {
    format!("{}.{:09}", units / 1_000_000_000, units % 1_000_000_000)
}

/// Sorted records of a few streams in the three days from `start` on, with each identity once.
pub(crate) fn records(start: i64) -> impl Strategy<Value = Vec<Delivered>> {
    let quantity = prop_oneof![
        3 => (0..100i128).prop_map(|whole| whole * 1_000_000_000),
        2 => 0..5_000_000_000i128,
        1 => Just(0i128),
        // The largest level whose quantity over a month still has at most 28 digits.
        1 => 0..10i128.pow(21),
    ];
    let record = (
        select(AGGREGATIONS.to_vec()),
        select(vec!["a", "b"]),
        prop_oneof![(0..72 * 60i64).prop_map(|minute| minute * MINUTE), 0..72 * 60 * MINUTE],
        0..3u32,
        quantity,
        prop_oneof![Just(None), Just(Some("p")), Just(Some("q")), Just(Some("p"))],
        prop_oneof![Just(None), Just(Some("small")), Just(Some("large"))],
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
    );
    let record =
        record.prop_map(move |(meter, resource, after, record_id, quantity, project, flavor, created, deleted)| {
            Delivered { meter, resource, at: start + after, record_id, quantity, project, flavor, created, deleted }
        });
    prop::collection::vec(record, 1..90).prop_map(|mut records| {
        records.sort();
        records.dedup_by(|left, right| left.identity() == right.identity());
        records
    })
}
