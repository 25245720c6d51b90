//! The revisions of Gnocchi's resources: the attributes of a resource by time.
//!
//! A revision has the server's time of its storage, so it is late by a polling interval and the delay of a queue. The
//! first revision also describes earlier measures, and the last revision also describes later measures.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::session::{id as id_of, text};
use crate::intake::formats::{json as raw, timestamp};
use crate::model::identifier;

/// The fields of a revision that describe its storage, not the resource.
const OWN_FIELDS: [&str; 13] = [
    "id",
    "original_resource_id",
    "type",
    "creator",
    "created_by_user_id",
    "created_by_project_id",
    "user_id",
    "project_id",
    "started_at",
    "ended_at",
    "revision_start",
    "revision_end",
    "metrics",
];

/// One revision of a resource.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Revision {
    /// The time at which the revision was stored, in microseconds UTC.
    pub start: i64,
    /// Creation and deletion of the resource, in microseconds UTC.
    pub started_at: Option<i64>,
    pub ended_at: Option<i64>,
    /// The type of the resource.
    pub kind: String,
    /// The id that Ceilometer sent, not the id that Gnocchi derived.
    pub resource_id: String,
    pub project_id: Option<String>,
    pub attributes: Map<String, Value>,
}

/// All revisions by Gnocchi's id of the resource, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Revisions(HashMap<String, Vec<Revision>>);

impl Revisions {
    /// Adds a row of a search with history. `written` is the JSON text of the row. The error describes the problem of
    /// an unreadable row. A missing revision would hide a resource, and a missing end would bill a resource
    /// indefinitely.
    pub(super) fn add(&mut self, row: &Value, written: &str) -> Result<(), String> {
        let id = text(row, "id").ok_or("a resource has no `id`")?;
        let instant = |name| {
            let read =
                |at| timestamp::parse(at).map_err(|error| format!("the time `{at}` of `{name}` of `{id}` {error}"));
            text(row, name).map(read).transpose()
        };
        let start =
            instant("revision_start")?.ok_or_else(|| format!("a revision of `{id}` has no `revision_start`"))?;
        let attributes = row.as_object().into_iter().flatten();
        let attributes = attributes.filter(|(name, value)| !OWN_FIELDS.contains(&name.as_str()) && !value.is_null());
        let mut attributes: Map<String, Value> =
            attributes.map(|(name, value)| (name.clone(), value.clone())).collect();
        // A number may be a quantity, so its text is used instead of the parsed float.
        let members =
            raw::members(written).map_err(|error| format!("a revision of `{id}` is not a JSON object: {error}"))?;
        for (name, value) in members {
            if let Some(number) = attributes.get_mut(&name).filter(|value| value.is_number()) {
                *number = value.into();
            }
        }
        // If the resource has no attribute `deleted_at`, its end as observed by Ceilometer is used.
        if let Some(ended_at) = text(row, "ended_at") {
            let deleted_at = attributes.entry("deleted_at").or_insert(Value::Null);
            if deleted_at.as_str().is_none_or(|text| identifier::stated(text).is_none()) {
                *deleted_at = ended_at.into();
            }
        }
        let revision = Revision {
            start,
            started_at: instant("started_at")?,
            ended_at: instant("ended_at")?,
            kind: text(row, "type").unwrap_or_default().to_owned(),
            resource_id: id_of(row, "original_resource_id").unwrap_or(id).to_owned(),
            project_id: id_of(row, "project_id").map(str::to_owned),
            attributes,
        };
        let revisions = self.0.entry(id.to_owned()).or_default();
        let position = revisions.partition_point(|existing| existing.start <= start);
        revisions.insert(position, revision);
        Ok(())
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// The revisions of every resource of a type, in the order of ids.
    pub(super) fn of_type(&self, kind: &str) -> Vec<&[Revision]> {
        let is_of_type = |(_, revisions): &(&String, &Vec<Revision>)| revisions[0].kind == kind;
        let mut resources: Vec<_> = self.0.iter().filter(is_of_type).collect();
        resources.sort_unstable_by_key(|(id, _)| *id);
        resources.into_iter().map(|(_, revisions)| revisions.as_slice()).collect()
    }

    /// The revisions of a resource, the oldest first.
    pub(super) fn of(&self, id: &str) -> &[Revision] {
        self.0.get(id).map_or(&[], Vec::as_slice)
    }
}

/// The index of the revision that was valid at a time.
pub(super) fn index_at(revisions: &[Revision], at: i64) -> usize {
    revisions.partition_point(|revision| revision.start <= at).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(start: &str, flavor: &str, ended_at: Option<&str>) -> Value {
        json!({
            "id": "b1", "original_resource_id": "web/1", "type": "instance", "project_id": "p", "user_id": "u",
            "revision_start": start, "revision_end": null, "started_at": "2026-10-01T00:00:00+00:00",
            "ended_at": ended_at, "flavor_name": flavor, "server_group": null, "metrics": {"vcpus": "m"},
        })
    }

    fn add(revisions: &mut Revisions, row: &Value) -> Result<(), String> {
        revisions.add(row, &row.to_string())
    }

    #[test]
    fn the_revision_of_a_time_is_found() {
        let mut revisions = Revisions::default();
        add(&mut revisions, &row("2026-10-01T12:00:00+00:00", "large", Some("2026-10-02T00:00:00+00:00"))).unwrap();
        add(&mut revisions, &row("2026-10-01T00:10:00+00:00", "small", None)).unwrap();
        let stored = revisions.of("b1");
        let flavor = |text: &str| {
            let revision = &stored[index_at(stored, timestamp::parse(text).unwrap())];
            revision.attributes["flavor_name"].as_str().unwrap().to_owned()
        };
        assert_eq!(flavor("2026-10-01T00:05:00"), "small");
        assert_eq!(flavor("2026-10-01T11:59:59"), "small");
        assert_eq!(flavor("2026-10-01T12:00:00"), "large");
        assert_eq!(flavor("2026-11-01T12:00:00"), "large");
        assert_eq!(stored[0].attributes.keys().collect::<Vec<_>>(), ["flavor_name"]);
        assert_eq!(stored[1].attributes["deleted_at"], "2026-10-02T00:00:00+00:00");
        assert_eq!((&stored[0].resource_id[..], stored[0].project_id.as_deref()), ("web/1", Some("p")));
        assert!(revisions.of("b2").is_empty());
        assert_eq!(
            add(&mut revisions, &json!({"id": "b3"})),
            Err("a revision of `b3` has no `revision_start`".to_owned())
        );
        let mut invalid = row("2026-10-01T00:10:00+00:00", "small", None);
        invalid["ended_at"] = "soon".into();
        let problem = add(&mut revisions, &invalid).unwrap_err();
        assert!(problem.starts_with("the time `soon` of `ended_at` of `b1` is invalid, expected"), "{problem}");
        for absent in ["None", " NULL", "null ", "", "\u{a0}"] {
            let mut row = row("2026-10-01T00:10:00+00:00", "small", Some("2026-10-02T00:00:00+00:00"));
            row["id"] = "b4".into();
            for name in ["original_resource_id", "project_id", "started_at", "deleted_at"] {
                row[name] = absent.into();
            }
            let mut revisions = Revisions::default();
            add(&mut revisions, &row).unwrap();
            let revision = &revisions.of("b4")[0];
            assert_eq!((&revision.resource_id[..], &revision.project_id, revision.started_at), ("b4", &None, None));
            assert_eq!(revision.attributes["deleted_at"], "2026-10-02T00:00:00+00:00", "{absent:?}");
            row["revision_start"] = absent.into();
            assert_eq!(add(&mut revisions, &row), Err("a revision of `b4` has no `revision_start`".to_owned()));
        }
        let sized = row("2026-10-01T00:10:00+00:00", "small", None).to_string();
        let sized = sized.replace("\"small\"", "\"small\", \"size\": 9007199254740993.0000000001");
        revisions.add(&serde_json::from_str(&sized).unwrap(), &sized).unwrap();
        let last = revisions.of("b1").iter().rfind(|revision| revision.attributes.contains_key("size")).unwrap();
        assert_eq!(last.attributes["size"], "9007199254740993.0000000001");
        assert_eq!((revisions.of_type("instance").len(), revisions.of_type("volume").len()), (1, 0));
    }
}
