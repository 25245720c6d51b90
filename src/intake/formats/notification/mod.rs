//! What OpenStack's services notify of the life of resources: machines, volumes, snapshots, backups, images, shares,
//! addresses and load balancers become source meters whose states hold until another word.
//!
//! A message comes in an envelope of oslo (v2), bare (v1, and what a listener was given), with a payload of the legacy
//! form or a versioned one, or as Ceilometer's event with its traits in either of their two shapes. Of each is read
//! what it says, when, and since when that is so:
//!
//! | a message | is read as |
//! | --- | --- |
//! | of a change that is done (`.end`, `update`) | the state at its time; a machine launched before was there since |
//! | `exists` (an audit) | the state at its time; the resource was there since the audited period began |
//! | of a deletion | gone, from when it was deleted |
//! | `.start`, `.error` | nothing: what it announces did not happen, or not yet |
//!
//! So order does not matter, and a message that is lost is missed only where no other tells the same: a machine's start
//! stands in each of its messages, its flavor in each and since when, and an audit confirms what is there.
//!
//! The source meters are those that Ceilometer makes of the same messages, `instance` beside them: it is there from a
//! machine's launch to its deletion, where `vcpus`, `memory` and `disk.*.size` end when it is shelved and offloaded.

mod kind;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufRead};
use std::sync::Arc;

use self::kind::{Kind, Measured, Phase};
use super::compression::Decoded;
use super::id::canonical_id;
use super::json::{self, JsonError, Selection, Value};
use super::{quantity, timestamp};
use crate::intake::formats::json_objects;
use crate::intake::formats::json_objects::ObjectReader;
use crate::intake::record::{ReadCounts, Record, RecordSink, Rejection, SampleKind};
use crate::intake::rejection_reason::Reason;
use crate::model::evidence::Evidence;
use crate::model::meter::FieldPath;
use crate::model::money::Quantity;

/// The text of a message, inside of its envelope.
const ENVELOPED: &str = "oslo.message";
const EVENT_TYPE: &str = "event_type";
const PAYLOAD: &str = "payload";
/// What stands in a payload of a versioned form around each object.
const VERSIONED: &str = "nova_object.data";

/// Gives what every message of a file says to the sink. Only an error of the source itself ends it early.
pub fn read<R: BufRead>(decoded: &mut Decoded<R>, sink: &mut impl RecordSink) -> io::Result<ReadCounts> {
    let wanted = Arc::new(Wanted::new(sink.field_paths()));
    let mut reader = Reader { sink, wanted, counts: ReadCounts::default() };
    json_objects::read(decoded, &mut reader)?;
    Ok(reader.counts)
}

/// Why a message is refused.
type Refusal = (Reason, String);

/// The values of a payload that are looked at, by path.
#[derive(Debug)]
struct Wanted {
    selection: Selection,
    /// Where in what is found the value of a path stands: in a flat payload, a versioned one, or below the resource's
    /// name.
    places: HashMap<String, Vec<usize>>,
    /// For each of the sink's fields, the paths that may hold it.
    fields: Vec<Vec<String>>,
}

impl Wanted {
    fn new(paths: &[FieldPath]) -> Self {
        let mut wanted = Self { selection: Selection::default(), places: HashMap::new(), fields: Vec::new() };
        for path in kind::paths() {
            wanted.add(&path.split('.').collect::<Vec<_>>());
        }
        for FieldPath(keys) in paths {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let mut spellings = vec![wanted.add(&keys)];
            for other in kind::spellings(&keys.join(".")) {
                spellings.push(wanted.add(&other.split('.').collect::<Vec<_>>()));
            }
            // Properties that a user set to be metered, as Ceilometer calls them and as they stand in the payload.
            if let ["user_metadata", property] = keys[..] {
                spellings.push(wanted.add(&["metadata", &format!("metering.{property}")]));
            }
            wanted.fields.push(spellings);
        }
        wanted
    }

    /// Gives the name of a path.
    fn add(&mut self, keys: &[&str]) -> String {
        let name = keys.join("\u{1}");
        if self.places.contains_key(&name) {
            return name;
        }
        let versioned = keys.iter().flat_map(|key| [VERSIONED, *key]);
        let mut places = vec![self.selection.add(keys.iter().copied()), self.selection.add(versioned)];
        for within in kind::WITHIN {
            places.push(self.selection.add([*within].into_iter().chain(keys.iter().copied())));
        }
        self.places.insert(name.clone(), places);
        name
    }
}

/// The values of one payload.
struct Payload<'a> {
    wanted: &'a Wanted,
    found: Vec<Option<Value<'a>>>,
}

impl Payload<'_> {
    /// A text that is not empty, or a number or boolean as it is written, at a path that [`Wanted::add`] named.
    fn named(&self, name: &str) -> Option<&str> {
        self.wanted.places.get(name)?.iter().find_map(|place| match self.found[*place].as_ref()? {
            Value::Text(text) => (!text.is_empty() && *text != "None").then_some(&**text),
            Value::Number(text) => Some(*text),
            Value::Bool(value) => Some(if *value { "true" } else { "false" }),
            Value::Null | Value::Nested => None,
        })
    }

    /// As [`Self::named`], at the first of some paths with dots that says something.
    fn first(&self, paths: &[&str]) -> Option<&str> {
        paths.iter().find_map(|path| self.named(&path.replace('.', "\u{1}")))
    }

    /// The time at the first of some paths that says something.
    fn instant(&self, paths: &[&str]) -> Result<Option<i64>, Refusal> {
        let stream_refs = paths.iter().find_map(|path| Some((path, self.first(&[path])?)));
        stream_refs.map_or(Ok(None), |(path, text)| timestamp::optional(Some(text), path))
    }
}

/// A message with what stands around its payload.
#[derive(Debug, Default)]
struct Message<'a> {
    event_type: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    message_id: Option<Cow<'a, str>>,
    /// An object of JSON.
    payload: Option<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    fn new(text: &'a str) -> Result<Self, JsonError> {
        let mut message = Self::default();
        let mut metadata = None;
        for (name, value) in json::members(text)? {
            match name.as_str() {
                EVENT_TYPE => message.event_type = json::scalar(value),
                // An event of Ceilometer says when it was generated.
                "timestamp" | "generated" => message.timestamp = json::scalar(value),
                "message_id" => message.message_id = json::scalar(value),
                "metadata" => metadata = Some(value),
                PAYLOAD if value.starts_with('{') => message.payload = Some(Cow::Borrowed(value)),
                "traits" if value.starts_with('[') => message.payload = Some(Cow::Owned(payload_of_traits(value)?)),
                _ => {}
            }
        }
        // A listener is given time and id apart.
        let metadata = metadata.filter(|value| value.starts_with('{')).map(json::members).transpose()?;
        for (name, value) in metadata.into_iter().flatten() {
            match name.as_str() {
                "timestamp" if message.timestamp.is_none() => message.timestamp = json::scalar(value),
                "message_id" if message.message_id.is_none() => message.message_id = json::scalar(value),
                _ => {}
            }
        }
        Ok(message)
    }
}

/// Traits as an object: `[["name", type, value], …]`, or `[{"name": …, "dtype": …, "value": …}, …]`.
fn payload_of_traits(traits: &str) -> Result<String, JsonError> {
    let mut payload = String::from("{");
    for each in json::elements(traits)? {
        let (name, value) = if each.starts_with('[') {
            let parts = json::elements(each)?;
            (parts.first().copied(), parts.get(2).copied())
        } else {
            let members = json::members(each)?;
            let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, text)| *text);
            (member("name"), member("value"))
        };
        if let (Some(name), Some(value)) = (name.filter(|name| name.starts_with('"')), value) {
            payload.push_str(if payload.len() > 1 { ", " } else { "" });
            payload.push_str(name);
            payload.push_str(": ");
            payload.push_str(value);
        }
    }
    payload.push('}');
    Ok(payload)
}

struct Reader<'s, S> {
    sink: &'s mut S,
    wanted: Arc<Wanted>,
    counts: ReadCounts,
}

impl<S: RecordSink> ObjectReader for Reader<'_, S> {
    fn reject(&mut self, reason: Reason, detail: String, line: u64, raw: &[u8]) {
        self.counts.read += 1;
        self.sink.reject(&Rejection { reason, detail, line, raw });
    }

    fn object(&mut self, line: u64, text: &str) -> Result<(), JsonError> {
        if !text.starts_with('{') {
            json::select(text, &Selection::default(), &mut Vec::new())?;
            let detail = "expected a message as a JSON object, or an array of them".to_owned();
            self.reject(Reason::Malformed, detail, line, text.as_bytes());
            return Ok(());
        }
        let enveloped = json::members(text)?.into_iter().find(|(name, _)| name == ENVELOPED);
        let Some((_, inner)) = enveloped else { return self.message(line, text, text) };
        let Some(inner) = json::scalar(inner) else {
            let detail = format!("`{ENVELOPED}` is no text");
            self.reject(Reason::Malformed, detail, line, text.as_bytes());
            return Ok(());
        };
        if let Err(error) = self.message(line, &inner, text) {
            self.reject(Reason::Malformed, format!("what the envelope holds: {error}"), line, text.as_bytes());
        }
        Ok(())
    }
}

impl<S: RecordSink> Reader<'_, S> {
    fn unmetered(&mut self, source_meter: &str) {
        self.counts.read += 1;
        self.sink.unmetered(source_meter);
    }

    /// Takes a message. `raw` is what stood in the file.
    fn message(&mut self, line: u64, text: &str, raw: &str) -> Result<(), JsonError> {
        let message = Message::new(text)?;
        let Some(event_type) = message.event_type.as_deref() else {
            self.reject(Reason::MissingField, format!("the message has no `{EVENT_TYPE}`"), line, raw.as_bytes());
            return Ok(());
        };
        let of_kind = Kind::of(event_type).zip(message.payload.as_deref());
        let Some(((kind, phase), payload)) = of_kind else {
            self.unmetered(event_type);
            return Ok(());
        };
        let mut found = Vec::new();
        json::select(payload, &self.wanted.selection, &mut found)?;
        let wanted = Arc::clone(&self.wanted);
        let payload = Payload { wanted: &wanted, found };
        let told = Told::new(&message, event_type, kind, phase, &payload);
        match told {
            Ok(Some(told)) => self.tell(&told, line, raw),
            Ok(None) => self.unmetered(event_type),
            Err((reason, detail)) => self.reject(reason, detail, line, raw.as_bytes()),
        }
        Ok(())
    }

    /// Gives a record for each source meter and instant that a message tells of.
    fn tell(&mut self, told: &Told<'_>, line: u64, raw: &str) {
        for measured in told.kind.measures {
            if !self.sink.is_metered(measured.source_meter) {
                self.unmetered(measured.source_meter);
                continue;
            }
            let quantity = match told.quantity(measured) {
                Ok(quantity) => quantity,
                Err((reason, detail)) => {
                    self.reject(reason, detail, line, raw.as_bytes());
                    continue;
                }
            };
            // What is gone needs no size; anything else without one tells nothing: a volume's use, an image to come.
            let mut words = told.words(measured);
            words.retain(|word| word.deleted || quantity.is_some());
            if words.is_empty() {
                self.unmetered(measured.source_meter);
            }
            for word in words {
                let fields = told.fields(&word);
                let record = Record {
                    source_meter: measured.source_meter,
                    kind: if told.kind.is_additive { SampleKind::Delta } else { SampleKind::Gauge },
                    unit: measured.unit,
                    project_id: told.project_id.as_deref(),
                    resource_id: &told.resource_id,
                    measured_at: word.at,
                    quantity: quantity.unwrap_or(Quantity::ZERO),
                    record_id: told.message_id.as_deref(),
                    created_at: None,
                    deleted: word.deleted,
                    standing: word.standing,
                    fields: &fields,
                    line,
                };
                self.counts.read += 1;
                self.sink.record(&record, || Cow::Borrowed(raw.as_bytes()));
            }
        }
    }
}

/// What is known of a resource at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word {
    at: i64,
    deleted: bool,
    standing: Evidence,
    /// Concluded of when a machine was launched: its state was active then, whatever it is now.
    at_launch: bool,
}

/// What a message tells of a resource.
struct Told<'a> {
    kind: &'static Kind,
    payload: &'a Payload<'a>,
    resource_id: Cow<'a, str>,
    project_id: Option<Cow<'a, str>>,
    message_id: Option<Cow<'a, str>>,
    at: i64,
    /// Since when the resource is there, as far as the message says.
    since: Option<i64>,
    /// Of a machine: since when it is as it is described.
    launched_at: Option<i64>,
    /// From when on it is gone.
    gone_at: Option<i64>,
    /// Whether it holds no resources of a compute node.
    is_offloaded: bool,
}

impl<'a> Told<'a> {
    /// `None` where the message says nothing of the resource's being there.
    fn new(
        message: &Message<'_>,
        event_type: &str,
        kind: &'static Kind,
        phase: Phase,
        payload: &'a Payload<'a>,
    ) -> Result<Option<Self>, Refusal> {
        if phase == Phase::Announced {
            return Ok(None);
        }
        let missing = |field: &str| (Reason::MissingField, format!("the message of {event_type} has no `{field}`"));
        let time = message.timestamp.as_deref().ok_or_else(|| missing("timestamp"))?;
        let at = timestamp::parse(time).map_err(|error| (error.into(), format!("the timestamp `{time}` {error}")))?;
        let Some(resource_id) = payload.first(kind.ids) else {
            // Traits may leave out what an amount is of, and the amount.
            let is_of_nothing = kind.is_additive && kind.measures.iter().all(|m| payload.first(m.quantity).is_none());
            return if is_of_nothing { Ok(None) } else { Err(missing(kind.ids[0])) };
        };
        let since = payload.instant(kind.since)?;
        let audited_from = payload.instant(kind::AUDIT_BEGINNING)?;
        let audited_to = payload.instant(kind::AUDIT_ENDING)?;
        let state = payload.first(kind::STATES).unwrap_or_default();
        let is = |words: &[&str]| words.iter().any(|word| state.eq_ignore_ascii_case(word));
        let deleted_at = payload.instant(kind::DELETED_AT)?;
        let is_deleted = phase == Phase::Deleted || is(&["deleted", "soft-delete", "soft_deleted"]);
        let mut told = Self {
            kind,
            payload,
            resource_id: canonical_id(resource_id),
            project_id: payload.first(kind.projects).map(canonical_id),
            message_id: message.message_id.as_deref().map(|id| Cow::Owned(canonical_id(id).into_owned())),
            at,
            since,
            launched_at: since.filter(|_| kind.is_launched),
            gone_at: None,
            is_offloaded: is(&["shelved_offloaded"]),
        };
        let earliest = deleted_at.filter(|deleted_at| *deleted_at <= at);
        match phase {
            Phase::Audited => {
                told.gone_at = earliest.or_else(|| is_deleted.then(|| audited_to.unwrap_or(at).min(at)));
                told.since = match (since, audited_from) {
                    (Some(since), Some(from)) => Some(since.max(from)),
                    (since, from) => from.or(since),
                };
                // Of an offloaded machine's audit nobody knows whether it was there: only that it was launched.
                if told.is_offloaded || is(&["soft-delete", "soft_deleted"]) {
                    told.since = since.filter(|since| audited_from.is_none_or(|from| *since >= from));
                }
            }
            // An audit of volumes that sends the messages of a period again: the audit itself says all of it.
            _ if audited_from.is_some() && phase == Phase::Changed && kind.repeats_in_audits => return Ok(None),
            _ if audited_from.is_some() && phase == Phase::Deleted && kind.repeats_in_audits => {
                told.gone_at = audited_from;
            }
            _ => told.gone_at = earliest.or(is_deleted.then_some(at)),
        }
        // A machine that was never launched was never there.
        Ok(Some(told).filter(|told| !kind.is_launched || told.launched_at.is_some()))
    }

    fn quantity(&self, measured: &Measured) -> Result<Option<Quantity>, Refusal> {
        if measured.quantity.is_empty() {
            return Ok(Some(Quantity::from_integer(1)));
        }
        let parse = |text| quantity::parse(text).map_err(|reason| (reason, quantity::explain(reason, text)));
        self.payload.first(measured.quantity).map(parse).transpose()
    }

    /// What is known of a source meter, and of when.
    fn words(&self, measured: &Measured) -> Vec<Word> {
        let word = |at, deleted, standing| Word { at, deleted, standing, at_launch: false };
        if self.kind.is_additive {
            return vec![word(self.at, false, Evidence::Sampled)];
        }
        let gone_at = self.gone_at.or((self.is_offloaded && measured.is_of_compute).then_some(self.at));
        let last = match gone_at {
            Some(gone_at) => word(gone_at, true, Evidence::Reported),
            None => word(self.at, false, Evidence::Reported),
        };
        // A machine is since its launch what it is now; otherwise is known that the resource was there.
        let first = self.since.filter(|since| *since < last.at).map(|at| {
            let at_launch = self.launched_at == Some(at);
            let message_sent_at = self.at;
            let standing = if at_launch {
                Evidence::Inferred { message_sent_at }
            } else {
                Evidence::Backfilled { message_sent_at }
            };
            Word { at_launch, ..word(at, false, standing) }
        });
        first.into_iter().chain([last]).collect()
    }

    fn fields(&self, word: &Word) -> Vec<Option<Cow<'_, str>>> {
        let is_state = |name: &String| word.at_launch && name == kind::STATE;
        let field = |spellings: &Vec<String>| {
            if spellings.iter().any(is_state) {
                return Some(Cow::Borrowed("active"));
            }
            spellings.iter().find_map(|name| self.payload.named(name)).map(Cow::Borrowed)
        };
        self.payload.wanted.fields.iter().map(field).collect()
    }
}

#[cfg(test)]
mod tests;
