//! The reader of Ceilometer samples in JSON. Each line is one sample or an array of samples, as the file publisher
//! (`?json`) and the HTTP publisher write them. A file may also be one formatted JSON text that spans lines. Samples of
//! the udp and tcp publishers are first converted to JSON.
//!
//! The samples in a message of oslo are also read, with or without an envelope. The notifier publishes such messages.
//! Any other message is counted as unmetered under its event type.
//!
//! A sample has one of two spellings (`name` or `counter_name`, and so on). The metadata vary by the origin of a meter,
//! so the meters select the values. The rest of a sample is only checked to be valid JSON.
//!
//! The parser is jiter: it keeps numbers as written, accepts a bare `NaN`, limits the nesting and reports an early end.

use std::borrow::Cow;
use std::io::{self, BufRead};

use crate::intake::formats::compression::Decoded;
use crate::intake::formats::json;
use crate::intake::formats::json::{JsonError, Selection, Value};
use crate::intake::formats::json_objects;
use crate::intake::formats::json_objects::ObjectReader;
use crate::intake::formats::json_template::JsonTemplates;
use crate::intake::formats::nested::{ElementPlace, name_of_list, raw_of_place};
use crate::intake::formats::unit::canonical_unit;
use crate::intake::formats::{messagepack, quantity, timestamp, usage_columns};
use crate::intake::record::{IdField, ReadCounts, Record, RecordSink, Rejection, SampleKind};
use crate::intake::rejection_reason::Reason;
use crate::model::evidence::Evidence;
use crate::model::identifier::{self, canonical_id};
use crate::model::meter::FieldPath;
use crate::model::path::{self, Path, Positions, place_of_list};

/// Passes every sample of a file to the sink. Only an error of the source itself stops the reading early.
pub fn read<R: BufRead>(decoded: &mut Decoded<R>, sink: &mut impl RecordSink) -> io::Result<ReadCounts> {
    let wanted = Wanted::new(&CEILOMETER, sink.field_paths());
    read_wanted(decoded, wanted, sink)
}

/// As [`read`], for records of another spelling.
pub(crate) fn read_wanted<R: BufRead>(
    decoded: &mut Decoded<R>,
    wanted: Wanted,
    sink: &mut impl RecordSink,
) -> io::Result<ReadCounts> {
    let mut reader = Reader { sink, wanted, templates: JsonTemplates::default(), counts: ReadCounts::default() };
    match messagepack::framing(decoded)? {
        Some(framing) => messagepack::read(decoded, framing, |number, sample, raw| match sample {
            Ok(text) => reader.element(number, text),
            Err((reason, detail)) => reader.reject(reason, detail, number, raw),
        })?,
        None => json_objects::read(decoded, &mut reader)?,
    }
    Ok(reader.counts)
}

/// The paths of the values in a format of records. If several paths of one field have values, the first path is used.
#[derive(Debug)]
pub(crate) struct Spelling<'p> {
    /// The name of a record in messages.
    pub(crate) record: &'static str,
    /// The object with the attributes of the resource, which vary by origin.
    pub(crate) metadata: &'p str,
    pub(crate) name: &'p [&'p [&'p str]],
    pub(crate) kind: &'p [&'p [&'p str]],
    pub(crate) unit: &'p [&'p [&'p str]],
    pub(crate) volume: &'p [&'p [&'p str]],
    pub(crate) project_id: &'p [&'p [&'p str]],
    pub(crate) resource_id: &'p [&'p [&'p str]],
    pub(crate) timestamp: &'p [&'p [&'p str]],
    /// The paths of the record id.
    pub(crate) record_id: &'p [&'p [&'p str]],
    /// The paths of the scope in which record ids are unique, if the ids are not globally unique.
    pub(crate) record_source: &'p [&'p [&'p str]],
    /// The instruction for writing such records as JSON instead of Python notation.
    pub(crate) python_hint: &'static str,
    /// Whether records may be in a message of oslo.
    pub(crate) in_messages: bool,
    /// Whether fields of `metadata` describe the lifecycle of the resource. If not, fields with the same names may have
    /// any meaning.
    pub(crate) has_lifecycle: bool,
    /// The paths of the format's version, and the supported version.
    pub(crate) version: Option<(&'p [&'p [&'p str]], &'static str)>,
    /// The path of the list whose elements are records.
    pub(crate) list: Option<&'p str>,
}

const CEILOMETER: Spelling<'_> = Spelling {
    record: "sample",
    metadata: "resource_metadata",
    name: &[&["name"], &["counter_name"]],
    kind: &[&["type"], &["counter_type"]],
    unit: &[&["unit"], &["counter_unit"]],
    volume: &[&["volume"], &["counter_volume"]],
    project_id: &[&["project_id"]],
    resource_id: &[&["resource_id"]],
    timestamp: &[&["timestamp"]],
    record_id: &[&["id"], &["message_id"]],
    record_source: &[],
    python_hint: "add `?json` to the file publisher in Ceilometer's pipeline.yaml (file:///path?json)",
    in_messages: true,
    has_lifecycle: true,
    version: None,
    list: None,
};

/// The member of an envelope that contains the message as text.
const ENVELOPED: &str = "oslo.message";
/// The member with the content of a message: samples, or the attributes of an event.
const PAYLOAD: &str = "payload";
/// The member with the list of samples. The queue between the polling agent and the notification agent uses this
/// member.
const SAMPLES: &str = "samples";

/// A list whose elements are records.
#[derive(Debug)]
struct ElementList {
    /// The path of the list.
    name: String,
    /// The lists on the path: the outermost list, the list inside of its elements, and so on.
    levels: Vec<ElementLevel>,
    /// The number of lists through which the path of the record id leads.
    id_depth: usize,
}

/// One of the lists on the path of an [`ElementList`].
#[derive(Debug)]
struct ElementLevel {
    /// The slot of the list among the values around it.
    slot: usize,
    /// The selected values of an element.
    selection: Selection,
    /// The slot of each selected value in an element, and among the slots of the whole record.
    slots: Vec<(usize, usize)>,
}

/// The selected paths of a record.
struct Paths {
    selection: Selection,
    list: Option<ElementList>,
}

impl Paths {
    fn new(list: Option<&str>) -> Self {
        let mut selection = Selection::default();
        let list = list.and_then(|name| {
            let path = Path::parse(name).ok()?;
            let mut levels: Vec<ElementLevel> = Vec::new();
            for steps in path.levels() {
                let around = levels.last_mut().map_or(&mut selection, |level| &mut level.selection);
                let slot = around.add_list(steps);
                levels.push(ElementLevel { slot, selection: Selection::default(), slots: Vec::new() });
            }
            Some(ElementList { name: name.to_owned(), levels, id_depth: 0 })
        });
        Self { selection, list }
    }

    /// The slot of the value at a path. A path to the elements of another list has a slot without a value.
    fn add(&mut self, keys: &[&str]) -> usize {
        let name = keys.join(".");
        if !name.contains('[') {
            return self.selection.add(keys.iter().copied());
        }
        // A key that is not a path, such as `cost[EUR]`, is a plain key.
        let Ok(path) = Path::parse(&name) else { return self.selection.add(keys.iter().copied()) };
        let Some(list_of_path) = path::list_of(&name) else { return self.selection.add_steps(&path.0) };
        let of_list = self.list.as_mut().filter(|list| path::is_within(&list.name, list_of_path));
        let level = of_list.and_then(|list| list.levels.get_mut(path::depth_of(list_of_path)));
        let Some((level, inside)) = level.zip(path.levels().last()) else { return self.selection.reserve() };
        let slot = level.selection.add_steps(inside);
        if let Some((_, of_record)) = level.slots.iter().find(|(inside, _)| *inside == slot) {
            return *of_record;
        }
        let of_record = self.selection.reserve();
        level.slots.push((slot, of_record));
        of_record
    }
}

/// The slots of one value, with the first path of the value for error messages.
#[derive(Debug)]
struct ValueSlots {
    slots: Vec<usize>,
    name: String,
}

/// The selected values, with their slots in the result of [`json::select`].
#[derive(Debug)]
pub(crate) struct Wanted {
    record: &'static str,
    python_hint: &'static str,
    selection: Selection,
    name: ValueSlots,
    kind: ValueSlots,
    unit: ValueSlots,
    volume: ValueSlots,
    project_id: ValueSlots,
    resource_id: ValueSlots,
    timestamp: ValueSlots,
    record_id: ValueSlots,
    record_source: ValueSlots,
    version: Option<(ValueSlots, &'static str)>,
    /// The slots of the members that distinguish a message. `None` if records cannot be in messages.
    message: Option<ValueSlots>,
    /// The quantity of a record that does not contain a quantity.
    pub(crate) volume_if_absent: Option<String>,
    deleted_at: Vec<usize>,
    deleted: Vec<usize>,
    event_type: Vec<usize>,
    status: Vec<usize>,
    state: Vec<usize>,
    launched_at: Vec<usize>,
    created_at: Vec<usize>,
    /// Two slots for each field path of the sink: within the metadata, and at the top of the record.
    fields: Vec<[usize; 2]>,
    list: Option<ElementList>,
}

impl Wanted {
    pub(crate) fn new(spelling: &Spelling<'_>, paths: &[FieldPath]) -> Self {
        let mut selected = Paths::new(spelling.list);
        let mut slots = |paths: &[&[&str]]| ValueSlots {
            slots: paths.iter().map(|path| selected.add(path)).collect(),
            name: paths.first().map(|path| path.join(".")).unwrap_or_default(),
        };
        let (name, kind, unit) = (slots(spelling.name), slots(spelling.kind), slots(spelling.unit));
        let (volume, project_id) = (slots(spelling.volume), slots(spelling.project_id));
        let (resource_id, timestamp) = (slots(spelling.resource_id), slots(spelling.timestamp));
        let (record_id, record_source) = (slots(spelling.record_id), slots(spelling.record_source));
        let version = spelling.version.map(|(paths, expected)| (slots(paths), expected));
        let message = spelling.in_messages.then(|| slots(&[&[ENVELOPED], &[PAYLOAD], &[SAMPLES]]));
        let mut lifecycle = |paths: &[&[&str]]| -> Vec<usize> {
            let used = paths.iter().filter(|_| spelling.has_lifecycle);
            used.map(|path| selected.add(path)).collect()
        };
        let mut of_resource = |key: &str| lifecycle(&[&[spelling.metadata, key]]);
        let (deleted_at, deleted) = (of_resource("deleted_at"), of_resource("deleted"));
        let (status, state) = (of_resource("status"), of_resource("state"));
        let (launched_at, created_at) = (of_resource("launched_at"), of_resource("created_at"));
        let event_type = lifecycle(&[&[spelling.metadata, "event_type"], &["event_type"]]);
        let mut fields = Vec::with_capacity(paths.len());
        for FieldPath(keys) in paths {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            fields.push([selected.add(&[&[spelling.metadata], &keys[..]].concat()), selected.add(&keys)]);
        }
        let Paths { selection, mut list } = selected;
        if let Some(list) = &mut list {
            let is_id = |level: &ElementLevel| level.slots.iter().any(|(_, slot)| record_id.slots.contains(slot));
            list.id_depth = list.levels.iter().rposition(is_id).map_or(0, |level| level + 1);
        }
        Self {
            record: spelling.record,
            python_hint: spelling.python_hint,
            selection,
            name,
            kind,
            unit,
            volume,
            project_id,
            resource_id,
            timestamp,
            record_id,
            record_source,
            version,
            message,
            volume_if_absent: None,
            deleted_at,
            deleted,
            event_type,
            status,
            state,
            launched_at,
            created_at,
            fields,
            list,
        }
    }

    /// The value in some slots, or the problem that the record has no such value.
    fn required<'s>(&self, sample: &'s Sample<'_>, slots: &ValueSlots) -> Result<&'s str, Problem> {
        let found = sample.stated(&slots.slots);
        found.ok_or_else(|| (Reason::MissingField, format!("the {} has no `{}`", self.record, slots.name)))
    }

    fn measured_at(&self, sample: &Sample<'_>) -> Result<i64, Problem> {
        let text = self.required(sample, &self.timestamp)?;
        let problem = |error: timestamp::TimestampError| {
            (error.into(), format!("the time `{text}` of `{}` {error}", self.timestamp.name))
        };
        timestamp::parse(text).map_err(problem)
    }

    fn quantity(&self, sample: &Sample<'_>) -> Result<crate::model::money::Quantity, Problem> {
        let text = match (sample.value(&self.volume.slots), &self.volume_if_absent) {
            (None, Some(text)) => text,
            (None, None) => {
                let detail = format!("the {} has no `{}`", self.record, self.volume.name);
                return Err((Reason::MissingField, detail));
            }
            (Some(Value::Text(text)), _) => &**text,
            (Some(Value::Number(text)), _) => *text,
            (Some(Value::Bool(true)), _) => "true",
            (Some(Value::Bool(false)), _) => "false",
            (Some(Value::List(_) | Value::Nested | Value::Null), _) => {
                let detail = format!("the `{}` is an object or an array, expected a number", self.volume.name);
                return Err((Reason::BadQuantity, detail));
            }
        };
        quantity::parse(text).map_err(|reason| (reason, quantity::explain(reason, text)))
    }

    /// Whether the JSON object is a message, which may contain records.
    fn is_message(&self, sample: &Sample<'_>) -> bool {
        let is_present = |slots: &ValueSlots| slots.slots.iter().any(|slot| sample.0[*slot].is_some());
        self.message.as_ref().is_some_and(is_present) && sample.value(&self.name.slots).is_none()
    }

    /// Checks the version of the format.
    fn check_version(&self, sample: &Sample<'_>) -> Result<(), Problem> {
        let Some((slots, expected)) = &self.version else { return Ok(()) };
        let found = self.required(sample, slots)?;
        if found == *expected {
            return Ok(());
        }
        Err((Reason::Malformed, format!("the `{}` is `{found}`, expected `{expected}`", slots.name)))
    }

    /// The record id, with the scope in which it is unique.
    fn record_id<'s>(&self, sample: &'s Sample<'_>) -> Result<Option<Cow<'s, str>>, Problem> {
        let Some(id) = sample.optional(&self.record_id.slots, &self.record_id.name)? else { return Ok(None) };
        Ok(Some(match sample.stated(&self.record_source.slots) {
            Some(source) => Cow::Owned(format!("{source} {id}")),
            None => canonical_id(id),
        }))
    }
}

/// The reason for rejecting a sample, with its details.
type Problem = (Reason, String);

/// The values of one sample.
struct Sample<'a>(Vec<Option<Value<'a>>>);

impl Sample<'_> {
    fn value(&self, slots: &[usize]) -> Option<&Value<'_>> {
        slots.iter().filter_map(|slot| self.0[*slot].as_ref()).find(|value| **value != Value::Null)
    }

    /// The first value that is a non-empty text, a number or a boolean. Numbers and booleans are returned as written.
    fn text(&self, slots: &[usize]) -> Option<&str> {
        slots.iter().find_map(|slot| self.0[*slot].as_ref()?.scalar().filter(|text| !text.is_empty()))
    }

    /// As [`Self::text`], without surrounding blanks. A text such as `None` counts as an absent value.
    fn stated(&self, slots: &[usize]) -> Option<&str> {
        slots.iter().find_map(|slot| identifier::stated(self.0[*slot].as_ref()?.scalar()?))
    }

    /// As [`Self::stated`], as delivered.
    fn id(&self, slots: &[usize]) -> Option<&str> {
        let present = |text: &&str| identifier::stated(text).is_some();
        slots.iter().find_map(|slot| self.0[*slot].as_ref()?.scalar().filter(present))
    }

    /// As [`Self::stated`], for an optional value. An object or array is an error instead of an absent value.
    fn optional(&self, slots: &[usize], name: &str) -> Result<Option<&str>, Problem> {
        let stated = self.stated(slots);
        if stated.is_none() && slots.iter().any(|slot| matches!(self.0[*slot], Some(Value::List(_) | Value::Nested))) {
            let detail = format!("the `{name}` is an object or an array, expected one value");
            return Err((Reason::Malformed, detail));
        }
        Ok(stated)
    }

    fn instant(&self, slots: &[usize], name: &str) -> Result<Option<i64>, Problem> {
        timestamp::optional(self.optional(slots, name)?, name)
    }

    /// The time at which the resource was launched. If the sample has no launch time, the time of creation is used.
    fn created_at(&self, wanted: &Wanted) -> Result<Option<i64>, Problem> {
        match self.instant(&wanted.launched_at, "launched_at")? {
            None => self.instant(&wanted.created_at, "created_at"),
            launched_at => Ok(launched_at),
        }
    }

    /// Whether the sample reports its resource as deleted. A sample of the deletion itself still contains the volume.
    fn is_deleted(&self, wanted: &Wanted, measured_at: i64) -> Result<bool, Problem> {
        let is = |slots: &[usize], state: &str| self.text(slots).is_some_and(|text| text.eq_ignore_ascii_case(state));
        let deleted_at = self.instant(&wanted.deleted_at, "deleted_at")?;
        Ok(usage_columns::deleted(self.optional(&wanted.deleted, "deleted")?)?
            || deleted_at.is_some_and(|deleted_at| deleted_at <= measured_at)
            || is(&wanted.status, "deleted")
            || is(&wanted.state, "deleted")
            || self
                .text(&wanted.event_type)
                .is_some_and(|event| event.contains(".delete.") || event.ends_with(".delete")))
    }
}

struct Reader<'s, S> {
    sink: &'s mut S,
    wanted: Wanted,
    templates: JsonTemplates,
    counts: ReadCounts,
}

impl<S: RecordSink> ObjectReader for Reader<'_, S> {
    fn python_hint(&self) -> &'static str {
        self.wanted.python_hint
    }

    fn reject(&mut self, reason: Reason, detail: String, line: u64, raw: &[u8]) {
        self.counts.read += 1;
        self.sink.reject(&Rejection { reason, detail, line, raw });
    }

    fn object(&mut self, line: u64, text: &str) -> Result<(), JsonError> {
        self.sample(line, text)
    }
}

impl<S: RecordSink> Reader<'_, S> {
    /// Reads one sample of an array. The JSON of the array is already checked.
    fn element(&mut self, line: u64, text: &str) {
        if let Err(error) = self.sample(line, text) {
            self.reject(Reason::Malformed, error.to_string(), line, text.as_bytes());
        }
    }

    fn sample(&mut self, line: u64, text: &str) -> Result<(), JsonError> {
        let mut found = Vec::new();
        self.templates.select(text, &self.wanted.selection, &mut found)?;
        let sample = Sample(found);
        if text.starts_with('{') && self.wanted.is_message(&sample) {
            return self.message(line, text, text.as_bytes());
        }
        let result = if text.starts_with('{') {
            match self.wanted.list {
                Some(_) => return self.elements(sample, line, text),
                None => self.record(&sample, line, text.as_bytes(), None),
            }
        } else {
            Err((Reason::Malformed, format!("expected a {} as a JSON object, or an array of them", self.wanted.record)))
        };
        match result {
            Ok(()) => self.counts.read += 1,
            Err((reason, detail)) => self.reject(reason, detail, line, text.as_bytes()),
        }
        Ok(())
    }

    /// Reads the elements of a list as records.
    fn elements<'t>(&mut self, mut sample: Sample<'t>, line: u64, text: &'t str) -> Result<(), JsonError> {
        let Some(list) = self.wanted.list.take() else { return Ok(()) };
        let outermost = list.levels.first().and_then(|level| sample.0[level.slot].clone());
        let result = self.elements_of(&list, outermost, Positions::default(), &mut sample, (line, text));
        self.wanted.list = Some(list);
        result
    }

    /// Reads the elements of a list that is at some positions in the lists around it.
    fn elements_of<'t>(
        &mut self,
        list: &ElementList,
        value: Option<Value<'t>>,
        outer: Positions,
        sample: &mut Sample<'t>,
        (line, text): (u64, &'t str),
    ) -> Result<(), JsonError> {
        let depth = outer.as_slice().len();
        let Some(level) = list.levels.get(depth) else { return Ok(()) };
        let elements = match value {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::List(elements)) => json::list_elements(elements)?,
            Some(other) => {
                let name = list.name.match_indices("[]").nth(depth).map_or(&*list.name, |(end, _)| &list.name[..end]);
                let place = place_of_list(name, outer);
                let detail = format!("the `{place}` is {}, expected a list", other.kind());
                self.reject(Reason::Malformed, detail, line, &raw_of_place(&place, text.as_bytes()));
                return Ok(());
            }
        };
        if elements.is_empty() {
            self.counts.read += 1;
            let source_meter = sample.stated(&self.wanted.name.slots).filter(|name| !self.sink.is_metered(name));
            self.sink.unmetered(source_meter.unwrap_or(&name_of_list(&list.name)));
        }
        let mut found = Vec::new();
        for (element, position) in elements.into_iter().zip(0..) {
            json::select(element, &level.selection, &mut found)?;
            for (inside, slot) in &level.slots {
                sample.0[*slot] = found[*inside].clone();
            }
            let positions = outer.followed_by(position);
            if let Some(inner) = list.levels.get(depth + 1) {
                self.elements_of(list, found[inner.slot].take(), positions, sample, (line, text))?;
                continue;
            }
            let place = ElementPlace { list: &list.name, positions, id_depth: list.id_depth };
            match self.record(sample, line, text.as_bytes(), Some(place)) {
                Ok(()) => self.counts.read += 1,
                Err((reason, detail)) => {
                    self.reject(reason, place.detail(&detail), line, &place.raw(text.as_bytes()));
                }
            }
        }
        Ok(())
    }

    /// Reads the samples of a message. `raw` is the text in the file.
    fn message(&mut self, line: u64, text: &str, raw: &[u8]) -> Result<(), JsonError> {
        let members = json::members(text)?;
        let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, text)| *text);
        if let Some(inner) = member(ENVELOPED).and_then(json::scalar) {
            return self.opened(line, &inner, raw);
        }
        let samples = match member(PAYLOAD).or(member(SAMPLES)) {
            Some(list) if list.starts_with('[') => Some(json::elements(list)?),
            Some(object) if object.starts_with('{') => {
                let payload = json::members(object)?;
                let samples = payload.iter().find(|(name, _)| name == SAMPLES);
                samples.map(|(_, samples)| json::elements(samples)).transpose()?
            }
            _ => None,
        };
        match (samples, member("event_type").and_then(json::scalar)) {
            (Some(samples), _) => samples.into_iter().for_each(|sample| self.element(line, sample)),
            (None, Some(event_type)) => {
                self.counts.read += 1;
                self.sink.unmetered(&event_type);
            }
            (None, None) => {
                let detail = "the message has neither samples nor an `event_type`";
                self.reject(Reason::Malformed, detail.to_owned(), line, raw);
            }
        }
        Ok(())
    }

    /// Reads the message in an envelope. If it is invalid, the envelope is rejected.
    fn opened(&mut self, line: u64, text: &str, raw: &[u8]) -> Result<(), JsonError> {
        // oslo does not nest envelopes. A nested envelope is refused, because the nesting could be endless.
        let is_message = json::members(text).is_ok_and(|members| members.iter().all(|(name, _)| name != ENVELOPED));
        let opened = if is_message {
            self.message(line, text, raw).map_err(|error| error.to_string())
        } else {
            Err("expected a JSON object without a further envelope".to_owned())
        };
        if let Err(problem) = opened {
            self.reject(Reason::Malformed, format!("the message in the envelope is invalid: {problem}"), line, raw);
        }
        Ok(())
    }

    fn record(
        &mut self,
        sample: &Sample<'_>,
        line: u64,
        raw: &[u8],
        element: Option<ElementPlace<'_>>,
    ) -> Result<(), Problem> {
        let wanted = &self.wanted;
        wanted.check_version(sample)?;
        let source_meter = wanted.required(sample, &wanted.name)?;
        if !self.sink.is_metered(source_meter) {
            self.sink.unmetered(source_meter);
            return Ok(());
        }
        wanted.required(sample, &wanted.resource_id)?;
        let resource_id = sample.id(&wanted.resource_id.slots).unwrap_or_default();
        let measured_at = wanted.measured_at(sample)?;
        let quantity = wanted.quantity(sample)?;
        let kind = sample.text(&wanted.kind.slots);
        let unit = sample.optional(&wanted.unit.slots, &wanted.unit.name)?.unwrap_or_default();
        sample.optional(&wanted.project_id.slots, &wanted.project_id.name)?;
        let project_id = sample.id(&wanted.project_id.slots).map(|id| self.sink.canonical_id(id, IdField::Project));
        let resource_id = self.sink.canonical_id(resource_id, IdField::Resource);
        let mut record_id = wanted.record_id(sample)?;
        if let Some(element) = element {
            let id = element.record_id(record_id.as_deref(), &resource_id, measured_at);
            record_id = Some(Cow::Owned(id.into_owned()));
        }
        let fields: Vec<_> = wanted.fields.iter().map(|slots| sample.stated(slots).map(Cow::Borrowed)).collect();
        let record = Record {
            source_meter,
            kind: SampleKind::from_name(kind.unwrap_or_default()),
            unit: canonical_unit(source_meter, unit),
            project_id: project_id.as_deref(),
            resource_id: &resource_id,
            measured_at,
            quantity,
            record_id: record_id.as_deref(),
            created_at: sample.created_at(wanted)?,
            deleted: sample.is_deleted(wanted, measured_at)?,
            evidence: Evidence::Sampled,
            fields: &fields,
            line,
        };
        self.sink.record(&record, || element.map_or(Cow::Borrowed(raw), |element| Cow::Owned(element.raw(raw))));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::formats::compression::open;
    use crate::intake::test_sink::{Collected, TestSink};

    const LINE: &str = concat!(
        r#"{"name": "volume.size", "type": "gauge", "unit": "GB", "volume": 20, "project_id": "p", "#,
        r#""resource_id": "v1", "timestamp": "2026-10-01T00:05:00", "resource_metadata": {}, "id": "m1"}"#
    );

    fn read_with(paths: &[&str], bytes: &[u8]) -> TestSink {
        let mut sink = TestSink::new(paths);
        let counts = read(&mut open(bytes).unwrap(), &mut sink).unwrap();
        assert_eq!(counts.read as usize, sink.records.len() + sink.unmetered.len() + sink.rejected.len());
        sink
    }

    /// The only record of a text, or the reason for its rejection.
    fn one(text: &str) -> Result<Collected, Reason> {
        let mut sink = read_with(&["flavor.name", "user_metadata.cost_center", "flavor"], text.as_bytes());
        assert_eq!(sink.records.len() + sink.rejected.len(), 1, "{text}");
        sink.records.pop().ok_or_else(|| sink.rejected[0].0)
    }

    fn with(from: &str, to: &str) -> String {
        assert!(LINE.contains(from), "{from}");
        LINE.replacen(from, to, 1)
    }

    fn volume(text: &str) -> Result<String, Reason> {
        one(&with(": 20", &format!(": {text}"))).map(|record| record.quantity.to_string())
    }

    #[test]
    fn reads_samples_of_the_file_publisher() {
        let text = include_bytes!("../../../tests/fixtures/ceilometer/10-file-json.log");
        let sink = read_with(&["flavor_name", "flavor.name", "instance_type", "user_metadata.cost_center"], text);
        assert_eq!((sink.records.len(), sink.rejected.len()), (33, 0));
        let first = &sink.records[0];
        assert_eq!(first.source_meter, "disk.ephemeral.size");
        assert_eq!((first.kind, &first.unit[..]), (SampleKind::Gauge, "GiB"));
        assert_eq!(first.project_id.as_deref(), Some("075ca625701a57ebbad7cd2665eb53fb"));
        assert_eq!(first.resource_id, "2d954c5a-b451-5505-b4d8-11c80cbf3e82");
        assert_eq!(first.measured_at, 1_740_787_210_000_123);
        assert_eq!(first.record_id.as_deref(), Some("8a4fbd10-e665-11f1-86fc-02fc00000001"));
        assert_eq!(first.created_at, Some(1_740_787_209_000_000));
        assert_eq!(first.fields, [Some("m1.small".to_owned()), None, None, Some("4711".to_owned())]);
        assert!(!first.deleted);
        let cpu = sink.records.iter().find(|record| record.source_meter == "cpu").unwrap();
        assert_eq!((cpu.kind, cpu.quantity.to_string()), (SampleKind::Cumulative, "118795008214".to_owned()));
        assert_eq!(cpu.fields[1..3], [Some("m1.small".to_owned()), Some("m1.small".to_owned())]);
        assert_eq!(sink.records[32].line, 33);
    }

    #[test]
    fn reads_both_spellings_and_texts_that_span_lines() {
        let text = include_bytes!("../../../tests/fixtures/ceilometer/14-samples-notifier-payload.json");
        let sink = read_with(&["user_metadata.cost_center"], text);
        let short = read_with(&[], include_bytes!("../../../tests/fixtures/ceilometer/10-file-json.log"));
        assert_eq!(sink.rejected, []);
        assert_eq!(sink.records.len(), 33);
        assert_eq!(sink.records[0].line, 2);
        for (ours, theirs) in sink.records.iter().zip(&short.records) {
            assert_eq!((&ours.source_meter, ours.quantity), (&theirs.source_meter, theirs.quantity));
            assert_eq!((ours.measured_at, &ours.resource_id), (theirs.measured_at, &theirs.resource_id));
        }
        let lines = text.iter().filter(|byte| **byte == b'\n').count();
        let cut: Vec<u8> = text.split_inclusive(|byte| *byte == b'\n').take(lines / 2).flatten().copied().collect();
        let sink = read_with(&[], &cut);
        assert!(sink.records.len() > 10);
        assert_eq!(sink.rejected.iter().map(|rejected| rejected.0).collect::<Vec<_>>(), [Reason::Truncated]);
    }

    #[test]
    fn samples_in_messages_are_read() {
        let payload = LINE.replace("\"name\"", "\"counter_name\"").replace("\"volume\"", "\"counter_volume\"");
        let message = |payload: &str| {
            format!(
                "{{\"message_id\": \"m\", \"event_type\": \"metering\", \"priority\": \"SAMPLE\", \
                 \"payload\": {payload}}}"
            )
        };
        let envelope = |inner: &str| {
            format!("{{\"oslo.version\": \"2.0\", \"oslo.message\": {}}}", serde_json::to_string(inner).unwrap())
        };
        let list = message(&format!("[{payload}, {payload}]"));
        let polled = message(&format!("{{\"samples\": [{payload}]}}"));
        let text = [envelope(&list), list, polled, format!("{{\"samples\": [{payload}]}}")].join("\n");
        let sink = read_with(&[], text.as_bytes());
        assert_eq!((sink.records.len(), sink.rejected.len()), (6, 0), "{:?}", sink.rejected);
        assert!(sink.records.iter().all(|record| record.quantity.to_string() == "20"));
        assert_eq!(sink.records.iter().map(|record| record.line).collect::<Vec<_>>(), [1, 1, 2, 2, 3, 4]);
        // A message without a list of samples is an unmetered event.
        let event = "{\"event_type\": \"compute.instance.create.end\", \"payload\": {\"vcpus\": 1}}";
        let sink = read_with(&[], [event.to_owned(), envelope(event)].join("\n").as_bytes());
        assert_eq!(sink.unmetered, ["compute.instance.create.end", "compute.instance.create.end"]);
        for wrong in [envelope("{\"payload\": 1}"), envelope("[1"), envelope("3"), envelope(&envelope(event))] {
            let sink = read_with(&[], wrong.as_bytes());
            assert_eq!(sink.rejected.iter().map(|rejected| rejected.0).collect::<Vec<_>>(), [Reason::Malformed]);
        }
    }

    #[test]
    fn envelopes_of_oslo_are_read() {
        let text = include_bytes!("../../../tests/fixtures/ceilometer/01-oslo-envelopes-rabbit.json");
        let sink = read_with(&[], text);
        assert_eq!((sink.records.len(), sink.rejected.len()), (0, 0), "{:?}", sink.rejected);
        assert!(sink.unmetered.iter().any(|event| event == "compute.instance.create.end"), "{:?}", sink.unmetered);
    }

    #[test]
    fn samples_in_python_notation_are_rejected_with_a_hint() {
        let sink = read_with(&[], include_bytes!("../../../tests/fixtures/ceilometer/11-file-repr.log"));
        assert_eq!((sink.records.len(), sink.rejected.len()), (0, 9));
        for (reason, detail, _) in &sink.rejected {
            assert_eq!(*reason, Reason::Malformed);
            assert!(detail.contains("?json"), "{detail}");
        }
    }

    #[test]
    fn a_line_has_one_sample_or_many_or_none() {
        let text = format!("\n{LINE}\n  \r\n[{LINE}, {LINE}]\n[]\n{LINE}");
        let sink = read_with(&[], text.as_bytes());
        assert_eq!(sink.rejected, []);
        assert_eq!(sink.records.iter().map(|record| record.line).collect::<Vec<_>>(), [2, 4, 4, 6]);
        assert_eq!(sink.raw[1], LINE.as_bytes());
        let sink = read_with(&[], format!("[{LINE}, 5, {{}}]\n\"x\"\n\u{feff}{LINE}\n").as_bytes());
        assert_eq!(sink.records.len(), 1);
        assert_eq!(
            sink.rejected.iter().map(|rejected| (rejected.0, rejected.2)).collect::<Vec<_>>(),
            [(Reason::Malformed, 1), (Reason::MissingField, 1), (Reason::Malformed, 2), (Reason::Malformed, 3)]
        );
        assert_eq!(read_with(&[], format!("\u{feff}{LINE}\n").as_bytes()).records.len(), 1);
        assert_eq!(read_with(&[], b""), TestSink::new(&[]));
    }

    #[test]
    fn volumes_are_exact_or_rejected() {
        assert_eq!(volume("20").unwrap(), "20");
        assert_eq!(volume("8.0").unwrap(), "8");
        assert_eq!(volume("9007199254740993").unwrap(), "9007199254740993");
        assert_eq!(volume("1234567890123456789").unwrap(), "1234567890123456789");
        assert_eq!(volume("1.18795008214e+11").unwrap(), "118795008214");
        assert_eq!(volume("\"512.5\"").unwrap(), "512.5");
        assert_eq!(volume("\"\\u0031\"").unwrap(), "1");
        assert_eq!(volume("NaN"), Err(Reason::QuantityNotFinite));
        assert_eq!(volume("-Infinity"), Err(Reason::QuantityNotFinite));
        assert_eq!(volume("Infinity"), Err(Reason::QuantityNotFinite));
        assert_eq!(volume("\"inf\""), Err(Reason::QuantityNotFinite));
        assert_eq!(volume("-1").unwrap(), "-1");
        assert_eq!(volume("true"), Err(Reason::BadQuantity));
        assert_eq!(volume("false"), Err(Reason::BadQuantity));
        assert_eq!(volume("\"many\""), Err(Reason::BadQuantity));
        assert_eq!(volume("\"\""), Err(Reason::BadQuantity));
        assert_eq!(volume("{\"a\": 1}"), Err(Reason::BadQuantity));
        assert_eq!(volume("1e40"), Err(Reason::QuantityOutOfRange));
        assert_eq!(volume("null"), Err(Reason::MissingField));
    }

    #[test]
    fn times_are_read_or_rejected() {
        let at = |text: &str| one(&with("\"2026-10-01T00:05:00\"", text)).map(|record| record.measured_at);
        assert_eq!(at("\"2026-10-01 00:05:00+00:00\""), Ok(1_790_813_100_000_000));
        assert_eq!(at("1790813100"), Ok(1_790_813_100_000_000));
        assert_eq!(at("1790813100.5"), Ok(1_790_813_100_500_000));
        for absent in ["null", "\"\"", "\"None\""] {
            assert_eq!(at(absent), Err(Reason::MissingField), "{absent}");
        }
        assert_eq!(at("\"yesterday\""), Err(Reason::BadTimestamp));
        assert_eq!(at("true"), Err(Reason::BadTimestamp));
        assert_eq!(at("\"0001-01-01T00:00:00\""), Err(Reason::TimestampOutOfRange));
    }

    #[test]
    fn a_missing_required_field_is_named() {
        for (name, field) in [
            ("name", "\"name\": \"volume.size\", "),
            ("volume", "\"volume\": 20, "),
            ("resource_id", "\"resource_id\": \"v1\", "),
            ("timestamp", "\"timestamp\": \"2026-10-01T00:05:00\", "),
        ] {
            let sink = read_with(&[], with(field, "").as_bytes());
            assert_eq!(sink.rejected[0].0, Reason::MissingField);
            assert!(sink.rejected[0].1.contains(&format!("`{name}`")), "{}", sink.rejected[0].1);
        }
        assert_eq!(one(&with("\"v1\"", "null")), Err(Reason::MissingField));
    }

    #[test]
    fn ids_units_and_kinds_have_a_canonical_spelling() {
        let record = one(LINE).unwrap();
        assert_eq!((&record.unit[..], record.kind, record.resource_id), ("GiB", SampleKind::Gauge, "v1".to_owned()));
        for absent in ["null", "\"\"", "\"None\""] {
            assert_eq!(one(&with("\"p\"", absent)).unwrap().project_id, None);
        }
        let record = one(&with("\"v1\"", "\"2D954C5A-B451-5505-B4D8-11C80CBF3E82\"")).unwrap();
        assert_eq!(record.resource_id, "2d954c5a-b451-5505-b4d8-11c80cbf3e82");
        assert_eq!(one(&with("\"v1\"", "\"Pool#A\"")).unwrap().resource_id, "Pool#A");
        assert_eq!(one(&with("\"v1\"", "17")).unwrap().resource_id, "17");
        assert_eq!(one(&with("\"gauge\"", "\"Delta\"")).unwrap().kind, SampleKind::Delta);
        assert_eq!(one(&with("\"gauge\"", "null")).unwrap().kind, SampleKind::Unknown);
        assert_eq!(one(&with("\"GB\"", "null")).unwrap().unit, "");
        assert_eq!(one(&with("\"m1\"", "null")).unwrap().record_id, None);
    }

    #[test]
    fn fields_are_searched_in_the_metadata_and_then_at_the_top() {
        let metadata = r#"{"flavor": {"name": "m1.small", "vcpus": 2}, "OS-EXT-AZ:availability_zone": "nova",
            "ratio": 1.50, "bootable": true, "image": null, "zone": "", "name": "in-\u00e9"},
            "user_metadata": {"cost_center": 4711}, "image": "top", "project_name": "web""#;
        let line = with("{}", &metadata.replace('\n', ""));
        let paths = [
            "flavor.name",
            "flavor",
            "flavor.vcpus",
            "OS-EXT-AZ:availability_zone",
            "ratio",
            "bootable",
            "image",
            "zone",
            "name",
            "user_metadata.cost_center",
            "project_name",
            "flavor.name.first",
            "absent",
        ];
        let sink = read_with(&paths, line.as_bytes());
        let fields: Vec<_> = sink.records[0].fields.iter().map(Option::as_deref).collect();
        assert_eq!(
            fields,
            [
                Some("m1.small"),
                None,
                Some("2"),
                Some("nova"),
                Some("1.50"),
                Some("true"),
                Some("top"),
                None,
                Some("in-é"),
                Some("4711"),
                Some("web"),
                None,
                None
            ]
        );
    }

    #[test]
    fn a_deletion_is_recognized_in_four_ways() {
        let deleted = |metadata: &str| one(&with("{}", metadata)).unwrap().deleted;
        assert!(deleted(r#"{"deleted_at": "2026-10-01T00:05:00"}"#));
        assert!(deleted(r#"{"deleted_at": "2026-10-01 00:04:59+00:00"}"#));
        assert!(!deleted(r#"{"deleted_at": "2026-10-01T00:05:01"}"#));
        assert!(!deleted(r#"{"deleted_at": "", "deleted": "", "status": "active", "state": "DELETING"}"#));
        assert!(!deleted(r#"{"deleted_at": "None", "deleted": false, "event_type": "compute.instance.deleted.end"}"#));
        assert!(deleted(r#"{"deleted": true}"#));
        assert!(deleted(r#"{"deleted": "True"}"#));
        assert!(deleted(r#"{"event_type": "compute.instance.delete.end"}"#));
        assert!(deleted(r#"{"event_type": "image.delete"}"#));
        assert!(deleted(r#"{"status": "DELETED"}"#));
        assert!(deleted(r#"{"state": "deleted"}"#));
    }

    #[test]
    fn a_resource_starts_when_it_is_launched_or_created() {
        let created = |metadata: &str| one(&with("{}", metadata)).unwrap().created_at;
        let (launched, created_at) =
            ("\"launched_at\": \"1970-01-01T00:00:02\"", "\"created_at\": \"1970-01-01 00:00:01+00:00\"");
        assert_eq!(created(&format!("{{{launched}, {created_at}}}")), Some(2_000_000));
        assert_eq!(created(&format!("{{{created_at}}}")), Some(1_000_000));
        assert_eq!(created(&format!("{{\"launched_at\": \"\", {created_at}}}")), Some(1_000_000));
        assert_eq!(created("{}"), None);
    }

    #[test]
    fn an_invalid_optional_value_rejects_the_sample() {
        for (metadata, reason, detail) in [
            ("{\"launched_at\": \"soon\"}", Reason::BadTimestamp, "the time `soon` of `launched_at` is invalid"),
            (
                "{\"created_at\": \"1969-12-31T00:00:00\"}",
                Reason::TimestampOutOfRange,
                "the time `1969-12-31T00:00:00` of",
            ),
            ("{\"deleted_at\": \"yes\"}", Reason::BadTimestamp, "the time `yes` of `deleted_at` is invalid"),
            ("{\"deleted\": \"maybe\"}", Reason::Malformed, "`deleted` is `maybe`, expected `true` or `false`"),
            ("{\"created_at\": [1]}", Reason::Malformed, "the `created_at` is an object or an array, expected one"),
        ] {
            let sink = read_with(&[], with("{}", metadata).as_bytes());
            let rejected: Vec<_> = sink.rejected.iter().map(|rejected| (rejected.0, rejected.1.as_str())).collect();
            assert!(
                matches!(rejected[..], [(found, shown)] if found == reason && shown.starts_with(detail)),
                "{rejected:?}"
            );
            assert_eq!(sink.records.len(), 0, "{metadata}");
        }
        for (from, to) in [("\"p\"", "{\"id\": \"p\"}"), ("\"GB\"", "[]"), ("\"m1\"", "[1]")] {
            assert_eq!(one(&with(from, to)), Err(Reason::Malformed), "{to}");
        }
    }

    #[test]
    fn only_the_json_of_an_unmetered_sample_is_checked() {
        let mut sink = TestSink::new(&[]);
        sink.metered = Some(vec!["vcpus".to_owned()]);
        let text = "{\"name\": \"cpu\", \"volume\": -1}\n{\"counter_name\": \"cpu\", \"x\": }\n{\"name\": \"vcpus\"}\n";
        read(&mut open(text.as_bytes()).unwrap(), &mut sink).unwrap();
        assert_eq!(sink.unmetered, ["cpu"]);
        let reasons: Vec<_> = sink.rejected.iter().map(|rejected| (rejected.0, rejected.2)).collect();
        assert_eq!(reasons, [(Reason::Malformed, 2), (Reason::MissingField, 3)]);
    }

    #[test]
    fn text_after_the_sample_rejects_the_line() {
        for text in [
            format!("{LINE} x"),
            format!("{LINE}{LINE}"),
            with("\"id\": \"m1\"", "\"id\": \"m1\", \"monotonic_time\": 01"),
            with("{}", "{\"a\": [1, 2}"),
            with("{}", "{\"a\": tru}"),
            with("{}", "{\"a\": \"\\uZZZZ\"}"),
            with("{}", "{\"a\": \"\t\"}"),
            with("{}", "{\"a\": \"\\ud83d\"}"),
        ] {
            assert_eq!(one(&text), Err(Reason::Malformed), "{text}");
        }
        assert!(one(&with("{}", "{\"a\": NaN}")).is_ok());
    }

    #[test]
    fn a_truncated_file_loses_only_its_last_line() {
        let text = format!("{LINE}\n{LINE}");
        for length in LINE.len() + 2..text.len() {
            let sink = read_with(&[], &text.as_bytes()[..length]);
            assert_eq!(sink.records.len(), 1);
            assert_eq!((sink.rejected[0].0, sink.rejected[0].2), (Reason::Truncated, 2), "{length}");
        }
        let sink = read_with(&[], format!("{}\n{LINE}\n", &LINE[..50]).as_bytes());
        assert_eq!((sink.records.len(), sink.rejected[0].0), (1, Reason::Malformed));
        let sink = read_with(&[], &[LINE.as_bytes(), b"\n{\"name\": \"\xc3"].concat());
        assert_eq!((sink.records.len(), sink.rejected[0].0), (1, Reason::Truncated));
    }

    #[test]
    fn a_truncated_stream_is_reported_once_after_its_records() {
        let text: String = (0..5_000).map(|index| with("v1", &format!("v{index}")) + "\n").collect();
        let whole = zstd::encode_all(text.as_bytes(), 1).unwrap();
        assert_eq!(read_with(&[], &whole).records.len(), 5_000);
        let sink = read_with(&[], &whole[..whole.len() / 2]);
        assert!(sink.records.len() > 1_000);
        let reasons: Vec<_> = sink.rejected.iter().map(|rejected| rejected.0).collect();
        assert_eq!(reasons, [Reason::Truncated]);
        // A truncation after the last record is reported too.
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
        let mut gzip = encoder.finish().unwrap();
        gzip.truncate(gzip.len() - 4);
        let sink = read_with(&[], &gzip);
        assert_eq!((sink.records.len(), sink.rejected.len()), (5_000, 1));
        assert_eq!((sink.rejected[0].0, sink.rejected[0].2), (Reason::Truncated, 5_000));
    }

    #[test]
    fn binary_data_is_rejected() {
        let sink = read_with(&[], b"\x28\x00\x01msgpack");
        assert_eq!((sink.records.len(), sink.rejected[0].0), (0, Reason::NotText));
        let sink = read_with(&[], &[LINE.as_bytes(), b"\n\xff\xfe\n", LINE.as_bytes(), b"\n"].concat());
        assert_eq!((sink.records.len(), sink.rejected.len()), (2, 1));
        assert_eq!((sink.rejected[0].0, sink.rejected[0].2), (Reason::NotUtf8, 2));
    }
}
