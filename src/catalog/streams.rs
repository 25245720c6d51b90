//! The catalog: all committed streams and series, and the new streams and series of this run.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, MapArray, MapBuilder, RecordBatch, StringArray, StringBuilder, UInt64Array};

use super::identity::{Digest, series_digest, stream_digest};
use crate::error::{Error, IntakeError};
use crate::query::statement;
use crate::rows;

/// The identity of a stream: a meter and a resource that it measures. If the meter counts different values, each value
/// of a resource has its own stream.
#[derive(Clone, Debug)]
pub struct Stream {
    pub digest: Digest,
    pub meter: Arc<str>,
    pub resource_id: Arc<str>,
}

/// The project and the dimensions that a stream has at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    pub project_id: Option<Arc<str>>,
    /// Canonical values by name, in the order of names. Dimensions that no record reported are absent.
    pub dimensions: Vec<(Arc<str>, Arc<str>)>,
}

impl Description {
    /// The dimensions as text: `flavor=m1.small; vcpus=1`.
    pub fn text(&self) -> String {
        let parts: Vec<String> = self.dimensions.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parts.join("; ")
    }

    /// This description, with its absent values taken from `other`.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        let mut dimensions = self.dimensions.clone();
        for (name, value) in &other.dimensions {
            if let Err(index) = dimensions.binary_search_by(|(existing, _)| existing.cmp(name)) {
                dimensions.insert(index, (Arc::clone(name), Arc::clone(value)));
            }
        }
        Self { project_id: self.project_id.clone().or_else(|| other.project_id.clone()), dimensions }
    }
}

/// The part of a stream with one project and one set of dimension values.
#[derive(Clone, Debug)]
pub struct Series {
    pub digest: Digest,
    pub stream_id: u64,
    pub description: Description,
}

/// Streams and series by id.
#[derive(Debug, Default)]
pub struct Catalog {
    streams: HashMap<u64, Stream>,
    series: HashMap<u64, Series>,
    new_streams: Vec<u64>,
    new_series: Vec<u64>,
}

impl Catalog {
    /// The catalog of committed streams and series.
    pub fn load(streams: &[RecordBatch], series: &[RecordBatch]) -> Result<Self, Error> {
        let mut catalog = Self::default();
        for batch in streams {
            let ids: &UInt64Array = rows::column(batch, "stream_id")?;
            let digests: &StringArray = rows::column(batch, "digest")?;
            let meters: &StringArray = rows::column(batch, "meter")?;
            let resources: &StringArray = rows::column(batch, "resource_id")?;
            for row in 0..batch.num_rows() {
                let stream = Stream {
                    digest: parse_digest(digests.value(row))?,
                    meter: meters.value(row).into(),
                    resource_id: resources.value(row).into(),
                };
                catalog.streams.insert(ids.value(row), stream);
            }
        }
        for batch in series {
            let ids: &UInt64Array = rows::column(batch, "series_id")?;
            let digests: &StringArray = rows::column(batch, "digest")?;
            let streams: &UInt64Array = rows::column(batch, "stream_id")?;
            let projects: &StringArray = rows::column(batch, "project_id")?;
            let dimensions: &MapArray = rows::column(batch, "dimensions")?;
            for row in 0..batch.num_rows() {
                let description = Description {
                    project_id: projects.is_valid(row).then(|| projects.value(row).into()),
                    dimensions: map_entries(dimensions, row)?,
                };
                let entry =
                    Series { digest: parse_digest(digests.value(row))?, stream_id: streams.value(row), description };
                catalog.series.insert(ids.value(row), entry);
            }
        }
        Ok(catalog)
    }

    pub fn stream(&self, id: u64) -> Option<&Stream> {
        self.streams.get(&id)
    }

    /// Whether a meter has any stream.
    pub fn has_streams_of(&self, meter: &str) -> bool {
        self.streams.values().any(|stream| &*stream.meter == meter)
    }

    /// The ids of all series of the wanted streams, in ascending order.
    pub fn series_of(&self, is_wanted: impl Fn(&Stream) -> bool) -> Vec<u64> {
        let streams: HashSet<u64> =
            self.streams.iter().filter(|(_, stream)| is_wanted(stream)).map(|(id, _)| *id).collect();
        if streams.is_empty() {
            return Vec::new();
        }
        let of_streams = self.series.iter().filter(|(_, series)| streams.contains(&series.stream_id));
        let mut ids: Vec<u64> = of_streams.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// The ids of the streams of a meter and a resource. A meter that counts different values has one for each value.
    pub fn streams_of(&self, meter: &str, resource_id: &str) -> HashSet<u64> {
        let is_of = |stream: &Stream| &*stream.meter == meter && &*stream.resource_id == resource_id;
        self.streams.iter().filter(|(_, stream)| is_of(stream)).map(|(id, _)| *id).collect()
    }

    pub fn series(&self, id: u64) -> Option<&Series> {
        self.series.get(&id)
    }

    /// The id of a stream. Adds the stream if it is new. `unique` is the counted value of a meter that counts different
    /// values.
    pub fn stream_id(&mut self, meter: &str, resource_id: &str, unique: Option<&str>) -> Result<u64, Error> {
        let digest = stream_digest(meter, resource_id, unique);
        match self.streams.entry(digest.id()) {
            Entry::Occupied(existing) if existing.get().digest == digest => {}
            Entry::Occupied(existing) => {
                return Err(Error::Intake(IntakeError::IdCollision {
                    id: digest.id(),
                    first: format!("{} of {}", existing.get().meter, existing.get().resource_id),
                    second: format!("{meter} of {resource_id}"),
                }));
            }
            Entry::Vacant(entry) => {
                entry.insert(Stream { digest, meter: meter.into(), resource_id: resource_id.into() });
                self.new_streams.push(digest.id());
            }
        }
        Ok(digest.id())
    }

    /// The id of a series of a stream. Adds the series if it is new.
    pub fn series_id(&mut self, stream_id: u64, description: &Description) -> Result<u64, Error> {
        let stream = self
            .streams
            .get(&stream_id)
            .ok_or(Error::Internal("a series refers to a stream that is not in the catalog"))?;
        let dimensions = description.dimensions.iter().map(|(name, value)| (&**name, &**value));
        let digest = series_digest(stream.digest, description.project_id.as_deref(), dimensions);
        match self.series.entry(digest.id()) {
            Entry::Occupied(existing) if existing.get().digest == digest => {}
            Entry::Occupied(existing) => {
                return Err(Error::Intake(IntakeError::IdCollision {
                    id: digest.id(),
                    first: existing.get().description.text(),
                    second: description.text(),
                }));
            }
            Entry::Vacant(entry) => {
                entry.insert(Series { digest, stream_id, description: description.clone() });
                self.new_series.push(digest.id());
            }
        }
        Ok(digest.id())
    }

    /// Takes out the new streams and series as rows, sorted by id. Later calls do not return them again.
    pub fn take_new(&mut self) -> Result<(RecordBatch, RecordBatch), Error> {
        let mut streams = std::mem::take(&mut self.new_streams);
        let mut series = std::mem::take(&mut self.new_series);
        streams.sort_unstable();
        series.sort_unstable();
        Ok((self.stream_rows(&streams)?, self.series_rows(&series)?))
    }

    /// All series as rows.
    pub fn all_series(&self) -> Result<RecordBatch, Error> {
        let mut ids: Vec<u64> = self.series.keys().copied().collect();
        ids.sort_unstable();
        self.series_rows(&ids)
    }

    fn stream_rows(&self, ids: &[u64]) -> Result<RecordBatch, Error> {
        let streams = || ids.iter().filter_map(|id| self.streams.get(id));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(ids.to_vec())),
            Arc::new(StringArray::from_iter_values(streams().map(|stream| stream.digest.hex()))),
            Arc::new(StringArray::from_iter_values(streams().map(|stream| &*stream.meter))),
            Arc::new(StringArray::from_iter_values(streams().map(|stream| &*stream.resource_id))),
        ];
        rows::batch(statement("intake/stream")?, columns)
    }

    fn series_rows(&self, ids: &[u64]) -> Result<RecordBatch, Error> {
        let entries = || ids.iter().filter_map(|id| self.series.get(id));
        let mut maps = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
        for series in entries() {
            for (name, value) in &series.description.dimensions {
                maps.keys().append_value(name);
                maps.values().append_value(value);
            }
            maps.append(true).map_err(|source| rows::failed("series", source))?;
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt64Array::from(ids.to_vec())),
            Arc::new(StringArray::from_iter_values(entries().map(|series| series.digest.hex()))),
            Arc::new(UInt64Array::from_iter_values(entries().map(|series| series.stream_id))),
            Arc::new(StringArray::from_iter(entries().map(|series| series.description.project_id.as_deref()))),
            Arc::new(StringArray::from_iter_values(entries().map(|series| series.description.text()))),
            Arc::new(maps.finish()),
        ];
        rows::batch(statement("intake/series")?, columns)
    }
}

fn parse_digest(text: &str) -> Result<Digest, Error> {
    Digest::from_hex(text).ok_or(Error::Internal("a digest in the catalog is not hexadecimal"))
}

/// A pair of a name and a value.
pub type NamedText = (Arc<str>, Arc<str>);

/// The entries of one row of a map column.
pub fn map_entries(maps: &MapArray, row: usize) -> Result<Vec<NamedText>, Error> {
    let entries = maps.value(row);
    let text = |index: usize| entries.column(index).as_any().downcast_ref::<StringArray>();
    let (Some(keys), Some(values)) = (text(0), text(1)) else {
        return Err(Error::Internal("a map column of the lake does not contain text"));
    };
    Ok((0..entries.len()).map(|index| (keys.value(index).into(), values.value(index).into())).collect())
}
