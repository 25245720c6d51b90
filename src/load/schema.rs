//! The JSON Schemas of `conto.toml`, the accounts file and rule files, for editors that complete and check TOML.
//!
//! The schemas are generated from the declarations that the readers use. They use draft 7, which Taplo and VS Code
//! support. A date of TOML is text in JSON, so a schema accepts a date in quotes, but a reader refuses it.

use serde_json::{Map, Value, json};

use super::keys::{ACCOUNTS_FILE, CONFIGURATION, Key, Kind, RULE_FILE, TableKeys};

/// A kind of file with a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaKind {
    Conto,
    Accounts,
    Rules,
}

impl SchemaKind {
    pub const ALL: [(&'static str, Self); 3] =
        [("conto", Self::Conto), ("accounts", Self::Accounts), ("rules", Self::Rules)];

    pub(crate) const fn keys(self) -> &'static TableKeys {
        match self {
            Self::Conto => &CONFIGURATION,
            Self::Accounts => &ACCOUNTS_FILE,
            Self::Rules => &RULE_FILE,
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Conto => "The configuration of Conto, conto.toml",
            Self::Accounts => "The accounts file of Conto",
            Self::Rules => "A rule file of Conto",
        }
    }

    /// The schema as the text of a file.
    pub fn schema(self) -> String {
        let mut schema = json!({ "$schema": "http://json-schema.org/draft-07/schema#", "title": self.title() });
        merge(&mut schema, of_table(self.keys()));
        format!("{schema:#}\n")
    }
}

fn merge(schema: &mut Value, other: Value) {
    if let (Value::Object(schema), Value::Object(other)) = (schema, other) {
        schema.extend(other);
    }
}

fn of_table(table: &TableKeys) -> Value {
    let mut schema = json!({ "type": "object" });
    let properties: Map<String, Value> = table.keys.iter().map(|key| (key.name.to_owned(), of_key(key))).collect();
    let required: Vec<&str> =
        table.keys.iter().filter(|key| key.is_required && key.only_with.is_empty()).map(|key| key.name).collect();
    if !properties.is_empty() {
        merge(&mut schema, json!({ "properties": properties }));
    }
    if !required.is_empty() {
        merge(&mut schema, json!({ "required": required }));
    }
    let others = table.others.as_ref().map_or(json!(false), of_kind);
    merge(&mut schema, json!({ "additionalProperties": others }));
    if let Some(decided_by) = table.decided_by {
        merge(&mut schema, json!({ "allOf": conditions(table, decided_by) }));
    }
    schema
}

/// The conditions on the value of the key `decided_by`, one condition for each set of values that makes other keys
/// valid. With these values the required keys must be present; with other values all these keys are refused.
fn conditions(table: &TableKeys, decided_by: &str) -> Vec<Value> {
    let mut sets: Vec<&[&str]> = Vec::new();
    for key in table.keys.iter().filter(|key| !key.only_with.is_empty()) {
        if !sets.contains(&key.only_with) {
            sets.push(key.only_with);
        }
    }
    let condition = |values: &&[&str]| {
        let keys = || table.keys.iter().filter(|key| key.only_with == *values);
        let required: Vec<&str> = keys().filter(|key| key.is_required).map(|key| key.name).collect();
        let refused: Map<String, Value> = keys().map(|key| (key.name.to_owned(), json!(false))).collect();
        let decided = json!({ decided_by: { "enum": values } });
        let mut condition = json!({ "if": { "properties": decided, "required": [decided_by] } });
        if !required.is_empty() {
            merge(&mut condition, json!({ "then": { "required": required } }));
        }
        merge(&mut condition, json!({ "else": { "properties": refused } }));
        condition
    };
    sets.iter().map(condition).collect()
}

fn of_key(key: &Key) -> Value {
    let mut schema = json!({ "description": key.about });
    merge(&mut schema, of_kind(&key.kind));
    if let Some(text) = key.default {
        let is_text = !matches!(key.kind, Kind::Boolean | Kind::Integer(..));
        let value = if is_text { json!(text) } else { text.parse().unwrap_or(Value::Null) };
        merge(&mut schema, json!({ "default": value }));
    }
    schema
}

fn of_kind(kind: &Kind) -> Value {
    match kind {
        Kind::Text => json!({ "type": "string", "minLength": 1 }),
        Kind::Pattern(pattern) => json!({ "type": "string", "pattern": pattern }),
        Kind::Choice(words) => json!({ "type": "string", "enum": words }),
        Kind::Boolean => json!({ "type": "boolean" }),
        Kind::Integer(i64::MIN, i64::MAX) => json!({ "type": "integer" }),
        Kind::Integer(from, i64::MAX) => json!({ "type": "integer", "minimum": from }),
        Kind::Integer(from, to) => json!({ "type": "integer", "minimum": from, "maximum": to }),
        Kind::Date => json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$" }),
        Kind::Time => json!({ "type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].*)?$" }),
        Kind::List(element) => json!({ "type": "array", "items": of_kind(element) }),
        Kind::Table(table) => of_table(table),
        Kind::OneOf(kinds) => json!({ "anyOf": kinds.iter().map(of_kind).collect::<Vec<_>>() }),
    }
}
