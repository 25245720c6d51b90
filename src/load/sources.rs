//! `[[source]]` of the configuration: files or a server with usage.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::tz::TimeZone;
use url::Url;

use super::dialects::{DialectKeys, take_dialect};
use super::duration::parse_seconds;
use super::instant::{InstantError, instant};
use super::keys;
use super::paths::resolve;
use super::problems::suggestion;
use super::table::{Table, Text, Value};
use crate::model::config::{
    Auth, FileFormat, FilesConfig, Identity, Keystone, MetricConfig, Origin, PresenceConfig, Protocol, Scope, Secret,
    Select, ServerConfig, SourceConfig,
};
use crate::model::diagnostic::Diagnostic;
use crate::model::path::{self, PathError, innermost, list_of};

#[derive(Clone, Copy, Debug)]
enum Format {
    File(FileFormat),
    Prometheus,
    Gnocchi,
}

const FORMATS: [(&str, Format); 8] = [
    ("ceilometer", Format::File(FileFormat::Ceilometer)),
    ("notifications", Format::File(FileFormat::Notifications)),
    ("cloudevents", Format::File(FileFormat::CloudEvents)),
    ("csv", Format::File(FileFormat::Csv)),
    ("parquet", Format::File(FileFormat::Parquet)),
    ("json", Format::File(FileFormat::Json)),
    ("prometheus", Format::Prometheus),
    ("gnocchi", Format::Gnocchi),
];

/// The columns with a configurable path in CloudEvents. The meters contain the paths of other fields.
const EVENT_COLUMNS: [&str; 6] = ["meter", "quantity", "unit", "resource_id", "project_id", "record_id"];

#[derive(Clone, Copy, Debug)]
enum AuthKind {
    Basic,
    Bearer,
    Keystone,
    RemoteUser,
}

const AUTH_KINDS: [(&str, AuthKind); 4] = [
    ("basic", AuthKind::Basic),
    ("bearer", AuthKind::Bearer),
    ("keystone", AuthKind::Keystone),
    ("remote-user", AuthKind::RemoteUser),
];

pub(crate) fn source_config(mut table: Table<'_>, folder: &Path, time_zone: &TimeZone) -> Option<(Text, SourceConfig)> {
    let name = table.require_text("name");
    let defaults = table
        .take("defaults")
        .and_then(|value| value.table(&keys::SOURCE_DEFAULTS))
        .map(Table::rest)
        .unwrap_or_default();
    let defaults = defaults.iter().filter_map(|value| Some((value.name.to_owned(), value.text()?.value))).collect();
    let format = table.require("format").and_then(|value| value.choice(&FORMATS));
    let origin = match format {
        Some(Format::Prometheus) => {
            let metrics = table.tables("metric", &keys::METRIC).into_iter().filter_map(metric).collect();
            server(&mut table, folder, time_zone, Protocol::Prometheus { metrics }, 10 * 60)
                .map(|server| Origin::Server(Box::new(server)))
        }
        Some(Format::Gnocchi) => {
            let granularity_seconds = table.take("granularity").map(|_| duration(&mut table, "granularity", 0).max(1));
            let page_size = count(&mut table, "page_size", 1_000, 1..=100_000);
            let presence = table.tables("presence", &keys::PRESENCE).into_iter().filter_map(presence).collect();
            let protocol = Protocol::Gnocchi { granularity_seconds, page_size, presence };
            server(&mut table, folder, time_zone, protocol, 30 * 60).map(|server| Origin::Server(Box::new(server)))
        }
        Some(Format::File(format)) => files(&mut table, folder, Some(format)).map(Origin::Files),
        // This call reports the other problems of the table.
        None => files(&mut table, folder, None).map(Origin::Files),
    };
    let expect_every_seconds = table.take("expect_every").map(|_| duration(&mut table, "expect_every", 0).max(1));
    table.finish();
    let name = name?;
    Some((name.clone(), SourceConfig { name: name.value, origin: origin?, defaults, expect_every_seconds }))
}

fn files(table: &mut Table<'_>, folder: &Path, format: Option<FileFormat>) -> Option<FilesConfig> {
    let path = table.require_text("path");
    let columns_value = table.take("columns");
    if let (Some(FileFormat::Ceilometer | FileFormat::Notifications), Some(value)) = (format, &columns_value) {
        let message = "`columns` is not valid for `ceilometer` and `notifications`, which have fixed fields";
        let diagnostic = Diagnostic::error("config::columns_not_used", message).at(value.key_place(), "not used");
        table.file.problems.push(diagnostic.hint("remove `columns`"));
    }
    if let (Some(FileFormat::CloudEvents), Some(value)) = (format, &columns_value)
        && let Some(columns) = value.table(&keys::COLUMNS)
    {
        for column in columns.rest().iter().filter(|column| !EVENT_COLUMNS.contains(&column.name)) {
            let message = format!("`{}` is not a column of CloudEvents", column.name);
            let diagnostic = Diagnostic::error("config::columns_not_used", message).at(column.key_place(), "not used");
            let hint = suggestion(column.name, EVENT_COLUMNS, "columns");
            table.file.problems.push(diagnostic.hint(hint));
        }
    }
    let columns = columns_value.and_then(|value| value.table(&keys::COLUMNS)).map(Table::rest).unwrap_or_default();
    let columns: Vec<(String, Text)> =
        columns.iter().filter_map(|value| Some((value.name.to_owned(), value.text()?))).collect();
    check_paths(&columns, format, table);
    let columns: BTreeMap<String, String> = columns.into_iter().map(|(name, text)| (name, text.value)).collect();
    let select = table.text("select").map(|text| Select { place: text.inner_place(), text: text.value });
    // Without a valid format, all keys are taken, so that only the format is reported.
    let is = |formats: &[FileFormat]| format.is_none_or(|format| formats.contains(&format));
    let is_csv = is(&[FileFormat::Csv]);
    let has_clock = is(&[FileFormat::Csv, FileFormat::Parquet, FileFormat::Json]);
    let keys =
        DialectKeys { cells: is_csv, null_values: is_csv, numbers: is_csv, time_zone: has_clock, time_unit: has_clock };
    let dialect = take_dialect(table, keys);
    if let (Some(select), Some(mark)) = (&select, dialect.numbers.thousands) {
        // A select may return decimals, whose point would look like a thousands mark of `1.000`.
        let message = "`thousands_mark` is not for a source with a `select`";
        let diagnostic =
            Diagnostic::error("config::select_not_used", message).at(select.place.clone(), "with `select`");
        let hint = format!("remove the marks in the select, such as replace(amount, '{mark}', '')");
        table.file.problems.push(diagnostic.hint(hint));
    }
    match (format, &select) {
        (Some(FileFormat::Json), None) => table.missing("select"),
        (Some(FileFormat::Ceilometer | FileFormat::Notifications | FileFormat::CloudEvents), Some(select)) => {
            let message = "`select` is only for the formats `csv`, `parquet` and `json`";
            let diagnostic = Diagnostic::error("config::select_not_used", message).at(select.place.clone(), "not used");
            table.file.problems.push(diagnostic.hint("remove `select`"));
        }
        (_, Some(select)) if !columns.is_empty() => {
            let message = "`select` and `columns` both rename columns";
            let diagnostic =
                Diagnostic::error("config::select_not_used", message).at(select.place.clone(), "not with `columns`");
            let hint = "remove `columns` and rename in `select`, such as `sampled_at AS measured_at`";
            table.file.problems.push(diagnostic.hint(hint));
        }
        _ => {}
    }
    let path = path?;
    let (format, path_place) = (format?, path.inner_place());
    Some(FilesConfig { format, path: resolve(&path.value, folder), path_place, columns, dialect, select })
}

/// Checks the paths of columns. The lists to whose elements they lead must be within each other.
fn check_paths(columns: &[(String, Text)], format: Option<FileFormat>, table: &Table<'_>) {
    if !matches!(format, Some(FileFormat::CloudEvents | FileFormat::Parquet)) {
        return;
    }
    let mut deepest: Option<&Text> = None;
    for (_, text) in columns {
        match path::Path::parse(&text.value) {
            // The name of a column of Parquet may contain any character.
            Err(PathError::Syntax) if format == Some(FileFormat::Parquet) => {}
            Err(error) => {
                let message = format!("`{}` is {error}, expected a path of fields", text.value);
                let diagnostic = Diagnostic::error("config::bad_path", message).at(text.inner_place(), "not a path");
                let hint = "write `a.b` for a field, `a[0].b` for one element of a list, or `a[].b` for each element";
                table.file.problems.push(diagnostic.hint(hint));
            }
            Ok(_) if list_of(&text.value).is_none() => {}
            Ok(_) => match deepest {
                Some(other)
                    if innermost([other, text].into_iter().filter_map(|text| list_of(&text.value))).is_err() =>
                {
                    let message = format!("`{}` and `{}` lead to two lists", other.value, text.value);
                    let diagnostic = Diagnostic::error("config::several_lists", message)
                        .at(text.inner_place(), "another list")
                        .at(other.inner_place(), "first list");
                    let hint = "a record comes from an element of one list; add a second source for the other list";
                    table.file.problems.push(diagnostic.hint(hint));
                }
                Some(other) if path::depth_of(&other.value) >= path::depth_of(&text.value) => {}
                _ => deepest = Some(text),
            },
        }
    }
}

/// Reads the keys that all servers have in common. `delay_seconds` is the default of `delay`: the time until the data
/// of a server of this kind are complete.
fn server(
    table: &mut Table<'_>,
    folder: &Path,
    time_zone: &TimeZone,
    protocol: Protocol,
    delay_seconds: u32,
) -> Option<ServerConfig> {
    let url = table.require_text("url").and_then(|text| server_url(&text, table));
    let auth = table.take("auth");
    let auth = match auth {
        Some(value) => value.table(&keys::AUTH).and_then(|table| auth_of(table, folder)),
        None => Some(Auth::None),
    };
    let ca_file = table.string("ca_file").map(|path| folder.join(path));
    let from = table.require("from").and_then(|value| moment(&value, time_zone));
    let to_value = table.take("to");
    let to = to_value.as_ref().and_then(|value| moment(value, time_zone));
    if let (Some(from), Some(to), Some(value)) = (from, to, &to_value)
        && to <= from
    {
        let diagnostic =
            Diagnostic::error("config::bad_time", "`to` is not after `from`").at(value.place(), "ends here");
        table.file.problems.push(diagnostic.hint("`to` is exclusive: for all of October, write 2026-11-01"));
    }
    let delay_seconds = duration(table, "delay", delay_seconds);
    let overlap_seconds = duration(table, "overlap", 2 * 3_600);
    let timeout_seconds = duration(table, "timeout", 60).max(1);
    let retries = count(table, "retries", 5, 0..=20);
    let parallel = count(table, "parallel", 4, 1..=64);
    Some(ServerConfig {
        protocol,
        url: url?,
        auth: auth?,
        ca_file,
        from: from?,
        to,
        delay_seconds,
        overlap_seconds,
        timeout_seconds,
        retries,
        parallel,
    })
}

fn server_url(text: &Text, table: &Table<'_>) -> Option<Url> {
    let url = Url::parse(&text.value).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(mut url) = url else {
        let message = format!("`{}` is not the URL of a server", text.value);
        let diagnostic = Diagnostic::error("config::bad_url", message).at(text.place.clone(), "not a URL");
        table.file.problems.push(diagnostic.hint("write a URL such as `https://prometheus.example.org:9090`"));
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        // The excerpt is not shown, because it may contain a password.
        let message = format!("{}: the URL of a server contains a user, a password, `?…` or `#…`", text.place);
        let diagnostic = Diagnostic::error("config::bad_url", message);
        let hint = "remove them from the URL; write credentials as auth = { kind = \"basic\", user = \"…\", \
                    password_file = \"…\" }";
        table.file.problems.push(diagnostic.hint(hint));
        return None;
    }
    // With a final slash, `Url::join` appends paths instead of replacing the last part.
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Some(url)
}

fn auth_of(mut table: Table<'_>, folder: &Path) -> Option<Auth> {
    let kind = table.require("kind").and_then(|value| value.choice(&AUTH_KINDS));
    let auth = match kind? {
        AuthKind::Basic => {
            let user = table.require_text("user");
            let password = secret(&mut table, ("password_file", "password_variable"), folder);
            user.map(|user| Auth::Basic { user: user.value, password })
        }
        AuthKind::Bearer => {
            let token = secret(&mut table, ("token_file", "token_variable"), folder);
            require_secret(&table, token, "token_file").map(|token| Auth::Bearer { token })
        }
        AuthKind::Keystone => keystone(&mut table, folder).map(Auth::Keystone),
        AuthKind::RemoteUser => {
            let header = table.string("header").unwrap_or_else(|| "X-Remote-User".to_owned());
            table.require_text("user").map(|user| Auth::RemoteUser { user: user.value, header })
        }
    };
    table.finish();
    auth
}

fn keystone(table: &mut Table<'_>, folder: &Path) -> Option<Keystone> {
    const DOMAIN: &str = "Default";
    let url = table.require_text("url").and_then(|text| server_url(&text, table));
    let credential = table.string("application_credential_id");
    let (identity, scope) = if let Some(id) = credential {
        let secret = secret(table, ("secret_file", "secret_variable"), folder);
        let secret = require_secret(table, secret, "secret_file");
        (secret.map(|secret| Identity::ApplicationCredential { id, secret }), Scope::Own)
    } else {
        let user = table.require_text("user");
        let user_domain = table.string("user_domain").unwrap_or_else(|| DOMAIN.to_owned());
        let password = secret(table, ("password_file", "password_variable"), folder);
        let password = require_secret(table, password, "password_file");
        let domain = table.string("project_domain").unwrap_or_else(|| DOMAIN.to_owned());
        let scope = table.string("project").map_or(Scope::System, |name| Scope::Project { name, domain });
        let identity =
            user.zip(password).map(|(user, password)| Identity::Password { user: user.value, user_domain, password });
        (identity, scope)
    };
    Some(Keystone { url: url?, identity: identity?, scope })
}

/// A reference to a secret. `keys` are the key for a file and the key for an environment variable; the file takes
/// precedence.
fn secret(table: &mut Table<'_>, keys: (&'static str, &'static str), folder: &Path) -> Option<Secret> {
    let file = table.string(keys.0).map(|path| Secret::File(folder.join(path)));
    let variable = table.string(keys.1).map(Secret::Environment);
    file.or(variable)
}

fn require_secret(table: &Table<'_>, secret: Option<Secret>, key: &'static str) -> Option<Secret> {
    if secret.is_none() {
        table.missing(key);
    }
    secret
}

fn metric(mut table: Table<'_>) -> Option<MetricConfig> {
    let name = table.require_text("name");
    let source_meter = table.require_text("meter");
    let resource_label = table.string("resource_label").unwrap_or_else(|| "resource".to_owned());
    let project_label = table.string("project_label").unwrap_or_else(|| "project".to_owned());
    let unit = table.string("unit");
    let name = name?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    if !name.value.bytes().all(is_name) {
        let message = format!("`{}` is not the name of a metric", name.value);
        let diagnostic = Diagnostic::error("config::bad_metric", message).at(name.place.clone(), "invalid name");
        table
            .file
            .problems
            .push(diagnostic.hint("write a name of letters, digits, `_` and `:`, without labels and functions"));
    }
    table.finish();
    Some(MetricConfig { name: name.value, source_meter: source_meter?.value, resource_label, project_label, unit })
}

fn presence(mut table: Table<'_>) -> Option<PresenceConfig> {
    let resource_type = table.require_text("resource_type");
    let source_meter = table.require_text("meter");
    let (quantity, unit) = (table.string("quantity"), table.string("unit"));
    table.finish();
    Some(PresenceConfig { resource_type: resource_type?.value, source_meter: source_meter?.value, quantity, unit })
}

/// The instant of a date or time. A date or a time without an offset is in the billing time zone.
fn moment(value: &Value<'_>, time_zone: &TimeZone) -> Option<i64> {
    let Some(written) = value.datetime() else {
        value.refuse("a date or time");
        return None;
    };
    let problem = |error: InstantError| {
        let diagnostic = error.diagnostic(&written.to_string(), time_zone, value.place());
        value.file.problems.push(Diagnostic { code: "config::bad_time", ..diagnostic });
    };
    instant(&written, time_zone).map_err(problem).ok()
}

pub(super) fn duration(table: &mut Table<'_>, key: &'static str, default: u32) -> u32 {
    let Some(text) = table.text(key) else { return default };
    parse_seconds(&text.value).unwrap_or_else(|| {
        let message = format!("`{key}` is `{}`, expected a duration", text.value);
        let diagnostic = Diagnostic::error("config::bad_duration", message).at(text.place, "not a duration");
        table.file.problems.push(diagnostic.hint("write a duration such as \"30s\", \"10m\", \"2h\" or \"1d\""));
        default
    })
}

pub(super) fn count(
    table: &mut Table<'_>,
    key: &'static str,
    default: u32,
    range: std::ops::RangeInclusive<u32>,
) -> u32 {
    let Some((number, place)) = table.take(key).and_then(|value| Some((value.integer()?, value.place()))) else {
        return default;
    };
    match u32::try_from(number) {
        Ok(number) if range.contains(&number) => number,
        _ => {
            let message = format!("`{key}` is {number}, expected {} to {}", range.start(), range.end());
            let diagnostic = Diagnostic::error("config::bad_number", message).at(place, "out of range");
            table.file.problems.push(diagnostic);
            default
        }
    }
}
