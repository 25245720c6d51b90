//! The reader of notifications of OpenStack's services about the lifecycle of resources: machines, volumes, snapshots,
//! backups, images, shares, addresses and load balancers. Each message contains states of source meters, which are
//! valid until the next event.
//!
//! A message may have an envelope of oslo (v2) or no envelope (v1, and the arguments of a listener). Its payload is
//! legacy or versioned. An event of Ceilometer has traits instead of a payload, in one of two forms. Each message gives
//! a state, the time of the state, and the time since which the resource existed:
//!
//! | message | meaning |
//! | --- | --- |
//! | a completed change (`.end`, `update`) | the current state; the resource existed since its launch or creation |
//! | `exists` (an audit) | the current state; the resource existed since the audited period began |
//! | a deletion | the end of the resource at the time of deletion |
//! | `.start`, `.error` | ignored: the announced change failed or is not complete |
//!
//! Therefore the order of messages does not matter, and other messages often replace a lost message. Each message of a
//! machine contains its launch time and its flavor, and audits confirm the existence of resources.
//!
//! The source meters are those that Ceilometer derives from the same messages, plus `instance`. The meter `instance`
//! lasts from a machine's launch to its deletion, whereas `vcpus`, `memory` and `disk.*.size` end when the machine is
//! shelved and offloaded.

mod kind;

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, BufRead};
use std::sync::Arc;

use self::kind::{Kind, Measured, Phase};
use super::compression::Decoded;
use super::json::{self, JsonError, Selection, Value};
use super::{quantity, timestamp};
use crate::intake::formats::json_objects;
use crate::intake::formats::json_objects::ObjectReader;
use crate::intake::record::{IdField, ReadCounts, Record, RecordSink, Rejection, SampleKind};
use crate::intake::rejection_reason::Reason;
use crate::model::evidence::Evidence;
use crate::model::identifier::{self, canonical_id};
use crate::model::meter::FieldPath;
use crate::model::money::Quantity;

/// The member of an envelope that contains the message as text.
const ENVELOPED: &str = "oslo.message";
const EVENT_TYPE: &str = "event_type";
const PAYLOAD: &str = "payload";
/// The member around each object of a versioned payload.
const VERSIONED: &str = "nova_object.data";

/// Passes the records of every message of a file to the sink. Only an error of the source itself stops the reading
/// early.
pub fn read<R: BufRead>(decoded: &mut Decoded<R>, sink: &mut impl RecordSink) -> io::Result<ReadCounts> {
    let wanted = Arc::new(Wanted::new(sink.field_paths()));
    let mut reader = Reader { sink, wanted, counts: ReadCounts::default() };
    json_objects::read(decoded, &mut reader)?;
    Ok(reader.counts)
}

/// The reason for rejecting a message, with its details.
type Problem = (Reason, String);

/// The selected values of a payload, by path.
#[derive(Debug)]
struct Wanted {
    selection: Selection,
    /// The slots of the value at each path: in a legacy payload, in a versioned payload, and below the name of the
    /// resource.
    slots: HashMap<String, Vec<usize>>,
    /// The equivalent paths of each field of the sink.
    fields: Vec<Vec<String>>,
}

impl Wanted {
    fn new(paths: &[FieldPath]) -> Self {
        let mut wanted = Self { selection: Selection::default(), slots: HashMap::new(), fields: Vec::new() };
        for path in kind::paths() {
            wanted.add(&path.split('.').collect::<Vec<_>>());
        }
        for FieldPath(keys) in paths {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let mut spellings = vec![wanted.add(&keys)];
            for other in kind::spellings(&keys.join(".")) {
                spellings.push(wanted.add(&other.split('.').collect::<Vec<_>>()));
            }
            // Users can set metered properties. Ceilometer and the payload have different names for them.
            if let ["user_metadata", property] = keys[..] {
                spellings.push(wanted.add(&["metadata", &format!("metering.{property}")]));
            }
            wanted.fields.push(spellings);
        }
        wanted
    }

    /// Selects a path and returns its name.
    fn add(&mut self, keys: &[&str]) -> String {
        let name = keys.join("\u{1}");
        if self.slots.contains_key(&name) {
            return name;
        }
        let versioned = keys.iter().flat_map(|key| [VERSIONED, *key]);
        let mut slots = vec![self.selection.add(keys.iter().copied()), self.selection.add(versioned)];
        for within in kind::WITHIN {
            slots.push(self.selection.add([*within].into_iter().chain(keys.iter().copied())));
        }
        self.slots.insert(name.clone(), slots);
        name
    }
}

/// The values of one payload.
struct Payload<'a> {
    wanted: &'a Wanted,
    found: Vec<Option<Value<'a>>>,
}

impl Payload<'_> {
    /// The value at a path that [`Wanted::add`] named: a non-empty text, or a number or boolean as written.
    fn named(&self, name: &str) -> Option<&str> {
        let is_stated = |text: &&str| identifier::stated(text).is_some();
        self.wanted.slots.get(name)?.iter().find_map(|slot| self.found[*slot].as_ref()?.scalar().filter(is_stated))
    }

    /// As [`Self::named`], at the first of some dotted paths with a value.
    fn first(&self, paths: &[&str]) -> Option<&str> {
        paths.iter().find_map(|path| self.named(&path.replace('.', "\u{1}")))
    }

    /// The time at the first of some paths with a value.
    fn instant(&self, paths: &[&str]) -> Result<Option<i64>, Problem> {
        let found = paths.iter().find_map(|path| Some((path, self.first(&[path])?)));
        found.map_or(Ok(None), |(path, text)| timestamp::optional(Some(text), path))
    }
}

/// The payload of a message, with the attributes around it.
#[derive(Debug, Default)]
struct Message<'a> {
    event_type: Option<Cow<'a, str>>,
    timestamp: Option<Cow<'a, str>>,
    message_id: Option<Cow<'a, str>>,
    /// The payload as a JSON object.
    payload: Option<Cow<'a, str>>,
}

impl<'a> Message<'a> {
    fn new(text: &'a str) -> Result<Self, JsonError> {
        let mut message = Self::default();
        let mut metadata = None;
        for (name, value) in json::members(text)? {
            match name.as_str() {
                EVENT_TYPE => message.event_type = json::scalar(value),
                // An event of Ceilometer has the member `generated` instead of `timestamp`.
                "timestamp" | "generated" => message.timestamp = json::scalar(value),
                "message_id" => message.message_id = json::scalar(value),
                "metadata" => metadata = Some(value),
                PAYLOAD if value.starts_with('{') => message.payload = Some(Cow::Borrowed(value)),
                "traits" if value.starts_with('[') => message.payload = Some(Cow::Owned(payload_of_traits(value)?)),
                _ => {}
            }
        }
        // The arguments of a listener contain time and id in `metadata`.
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

/// Converts a list of traits to a JSON object.
///
/// A trait is `["name", type, value]` or `{"name": …, "dtype": …, "value": …}`.
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
            let detail = format!("`{ENVELOPED}` is not a text, expected a JSON text of the message");
            self.reject(Reason::Malformed, detail, line, text.as_bytes());
            return Ok(());
        };
        if let Err(error) = self.message(line, &inner, text) {
            self.reject(
                Reason::Malformed,
                format!("the message in the envelope is invalid: {error}"),
                line,
                text.as_bytes(),
            );
        }
        Ok(())
    }
}

impl<S: RecordSink> Reader<'_, S> {
    fn unmetered(&mut self, source_meter: &str) {
        self.counts.read += 1;
        self.sink.unmetered(source_meter);
    }

    /// Reads a message. `raw` is the text in the file.
    fn message(&mut self, line: u64, text: &str, raw: &str) -> Result<(), JsonError> {
        let message = Message::new(text)?;
        let Some(event_type) = message.event_type.as_deref() else {
            self.reject(Reason::MissingField, format!("the message has no `{EVENT_TYPE}`"), line, raw.as_bytes());
            return Ok(());
        };
        let recognized = Kind::of(event_type).zip(message.payload.as_deref());
        let Some(((kind, phase), payload)) = recognized else {
            self.unmetered(event_type);
            return Ok(());
        };
        let mut found = Vec::new();
        json::select(payload, &self.wanted.selection, &mut found)?;
        let wanted = Arc::clone(&self.wanted);
        let payload = Payload { wanted: &wanted, found };
        let resource = ResourceMessage::new(&message, event_type, kind, phase, &payload);
        match resource {
            Ok(Some(resource)) => self.emit_records(&resource, line, raw),
            Ok(None) => self.unmetered(event_type),
            Err((reason, detail)) => self.reject(reason, detail, line, raw.as_bytes()),
        }
        Ok(())
    }

    /// Passes on a record for each source meter and instant of a message.
    fn emit_records(&mut self, resource: &ResourceMessage<'_>, line: u64, raw: &str) {
        let resource_id = self.sink.canonical_id(resource.resource_id, IdField::Resource);
        let project_id = resource.project_id.map(|id| self.sink.canonical_id(id, IdField::Project));
        for measured in resource.kind.measures {
            if !self.sink.is_metered(measured.source_meter) {
                self.unmetered(measured.source_meter);
                continue;
            }
            let quantity = match resource.quantity(measured) {
                Ok(quantity) => quantity,
                Err((reason, detail)) => {
                    self.reject(reason, detail, line, raw.as_bytes());
                    continue;
                }
            };
            // A deletion needs no size. Any other message without a size is ignored, for example the usage of a volume
            // or an image without content.
            let mut events = resource.events(measured);
            events.retain(|event| event.deleted || quantity.is_some());
            if events.is_empty() {
                self.unmetered(measured.source_meter);
            }
            for event in events {
                let fields = resource.fields(&event);
                let record = Record {
                    source_meter: measured.source_meter,
                    kind: if resource.kind.is_additive { SampleKind::Delta } else { SampleKind::Gauge },
                    unit: measured.unit,
                    project_id: project_id.as_deref(),
                    resource_id: &resource_id,
                    measured_at: event.at,
                    quantity: quantity.unwrap_or(Quantity::ZERO),
                    record_id: resource.message_id.as_deref(),
                    created_at: None,
                    deleted: event.deleted,
                    evidence: event.evidence,
                    fields: &fields,
                    line,
                };
                self.counts.read += 1;
                self.sink.record(&record, || Cow::Borrowed(raw.as_bytes()));
            }
        }
    }
}

/// A state or the deletion of a resource at an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ResourceEvent {
    at: i64,
    deleted: bool,
    evidence: Evidence,
    /// Whether the event is the launch of a machine. The machine was active at its launch.
    at_launch: bool,
}

/// The content of a message about a resource.
struct ResourceMessage<'a> {
    kind: &'static Kind,
    payload: &'a Payload<'a>,
    /// The resource as delivered.
    resource_id: &'a str,
    /// The project as delivered.
    project_id: Option<&'a str>,
    message_id: Option<Cow<'a, str>>,
    at: i64,
    /// The earliest time at which the resource existed, if the message contains such a time.
    since: Option<i64>,
    /// The launch time of a machine. The machine has its current attributes since then.
    launched_at: Option<i64>,
    /// The time of deletion.
    ended_at: Option<i64>,
    /// Whether the machine occupies no resources of a compute node.
    is_offloaded: bool,
}

impl<'a> ResourceMessage<'a> {
    /// Interprets a message. `None` if the message does not concern the existence of a resource.
    fn new(
        message: &Message<'_>,
        event_type: &str,
        kind: &'static Kind,
        phase: Phase,
        payload: &'a Payload<'a>,
    ) -> Result<Option<Self>, Problem> {
        if phase == Phase::Announced {
            return Ok(None);
        }
        let missing = |field: &str| (Reason::MissingField, format!("the message of {event_type} has no `{field}`"));
        let time = message.timestamp.as_deref().ok_or_else(|| missing("timestamp"))?;
        let at = timestamp::parse(time)
            .map_err(|error| (error.into(), format!("the time `{time}` of `timestamp` {error}")))?;
        let Some(resource_id) = payload.first(kind.ids) else {
            // Traits may contain neither the amount nor the resource.
            let is_of_nothing = kind.is_additive && kind.measures.iter().all(|m| payload.first(m.quantity).is_none());
            return if is_of_nothing { Ok(None) } else { Err(missing(kind.ids[0])) };
        };
        let since = payload.instant(kind.since)?;
        let audited_from = payload.instant(kind::AUDIT_BEGINNING)?;
        let audited_to = payload.instant(kind::AUDIT_ENDING)?;
        let state = payload.first(kind::STATES).unwrap_or_default();
        let is = |states: &[&str]| states.iter().any(|name| state.eq_ignore_ascii_case(name));
        let deleted_at = payload.instant(kind::DELETED_AT)?;
        let is_deleted = phase == Phase::Deleted || is(&["deleted", "soft-delete", "soft_deleted"]);
        let mut resource = Self {
            kind,
            payload,
            resource_id,
            project_id: payload.first(kind.projects),
            message_id: message.message_id.as_deref().map(|id| Cow::Owned(canonical_id(id).into_owned())),
            at,
            since,
            launched_at: since.filter(|_| kind.is_launched),
            ended_at: None,
            is_offloaded: is(&["shelved_offloaded"]),
        };
        let earliest = deleted_at.filter(|deleted_at| *deleted_at <= at);
        match phase {
            Phase::Audited => {
                resource.ended_at = earliest.or_else(|| is_deleted.then(|| audited_to.unwrap_or(at).min(at)));
                resource.since = match (since, audited_from) {
                    (Some(since), Some(from)) => Some(since.max(from)),
                    (since, from) => from.or(since),
                };
                // The audit of an offloaded or soft-deleted machine proves that it was launched, but not that it
                // existed in the period.
                if resource.is_offloaded || is(&["soft-delete", "soft_deleted"]) {
                    resource.since = since.filter(|since| audited_from.is_none_or(|from| *since >= from));
                }
            }
            // Audits of volumes repeat the messages of the period. The message of the audit contains the same
            // information.
            _ if audited_from.is_some() && phase == Phase::Changed && kind.repeats_in_audits => return Ok(None),
            _ if audited_from.is_some() && phase == Phase::Deleted && kind.repeats_in_audits => {
                resource.ended_at = audited_from;
            }
            _ => resource.ended_at = earliest.or(is_deleted.then_some(at)),
        }
        // A machine that was never launched never existed.
        Ok(Some(resource).filter(|resource| !kind.is_launched || resource.launched_at.is_some()))
    }

    fn quantity(&self, measured: &Measured) -> Result<Option<Quantity>, Problem> {
        if measured.quantity.is_empty() {
            return Ok(Some(Quantity::from_integer(1)));
        }
        let parse = |text| quantity::parse(text).map_err(|reason| (reason, quantity::explain(reason, text)));
        self.payload.first(measured.quantity).map(parse).transpose()
    }

    /// The events of a source meter.
    fn events(&self, measured: &Measured) -> Vec<ResourceEvent> {
        let event = |at, deleted, evidence| ResourceEvent { at, deleted, evidence, at_launch: false };
        if self.kind.is_additive {
            return vec![event(self.at, false, Evidence::Sampled)];
        }
        let ended_at = self.ended_at.or((self.is_offloaded && measured.is_of_compute).then_some(self.at));
        let last = match ended_at {
            Some(ended_at) => event(ended_at, true, Evidence::Reported),
            None => event(self.at, false, Evidence::Reported),
        };
        // A machine has its current attributes since its launch. For other resources, only the existence since then is
        // certain.
        let first = self.since.filter(|since| *since < last.at).map(|at| {
            let at_launch = self.launched_at == Some(at);
            let message_sent_at = self.at;
            let evidence = if at_launch {
                Evidence::Inferred { message_sent_at }
            } else {
                Evidence::Backfilled { message_sent_at }
            };
            ResourceEvent { at_launch, ..event(at, false, evidence) }
        });
        first.into_iter().chain([last]).collect()
    }

    fn fields(&self, event: &ResourceEvent) -> Vec<Option<Cow<'_, str>>> {
        let is_state = |name: &String| event.at_launch && name == kind::STATE;
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
