//! Gnocchi's REST API.
//!
//! A metric has a unit and an archive policy, which defines its granularities and its aggregation methods. The
//! attributes of a resource are separate, in revisions. So a run reads the metrics of each source meter page by page,
//! and the resources of the time range with all their revisions. It reads the measures of up to 200 metrics in one
//! request, and joins them with the revisions.
//!
//! One request for many metrics is faster than one request for each metric, and faster than aggregates grouped by
//! resource. Its response names each metric, so nothing is aggregated over resources, weighted by history or
//! relabelled.
//!
//! If the configuration lists a type of resources, its revisions are also read as [lifecycle events](lifecycle).
//!
//! A measure is identified by the start of its granule. Measures of one metric are always read at one granularity.
//! Coarser measures of the same time would repeat the same usage.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Display;
use std::ops::Range;

use jiff::Timestamp;
use reqwest::Url;
use reqwest::header::{HeaderMap, LINK};
use serde_json::{Map, Value, json};

use super::client::{HttpError, Request, Response, location, server_time};
use super::fetch_window::FetchWindow;
use super::instant::instant;
use super::pull_error::PullError;
use super::revisions::{Revision, Revisions, index_at};
use super::session::{Session, text};
use crate::intake::formats::{json as raw, timestamp};
use crate::intake::resolve::binding::Bindings;
use crate::intake::sources::servers::lifecycle;
use crate::intake::sources::servers::response_store::{ResponseFile, Series};
use crate::intake::unread::Unread;
use crate::model::config::{PresenceConfig, ServerConfig};
use crate::model::meter::Aggregation;
use crate::model::unread_input::UnreadReason;

/// The number of metrics in one request.
const METRICS_AT_ONCE: usize = 200;
/// The shortest retention of measures that are used for billing. Measures with a shorter retention are meant for
/// monitoring.
const MIN_RETENTION_SECONDS: u64 = 7 * 86_400;
/// The longest delay of a measure after the end of its resource, and of a revision after the start of its resource.
const SLACK_MICROS: i64 = 86_400_000_000;

/// The part that an archive policy lacks.
const NO_GRANULARITY: &str = "no granularity, or not the configured `granularity`";
const NO_METHOD: &str = "no aggregation method that the meter can use";

/// A metric whose measures are read.
#[derive(Clone, Debug)]
struct Metric {
    id: String,
    /// Gnocchi's id of the resource. The measures of a metric without a resource are read so that they are rejected.
    resource_id: Option<String>,
    unit: String,
    granularity_seconds: u64,
    method: &'static str,
}

/// A connected Gnocchi server.
#[derive(Debug)]
pub(super) struct Gnocchi {
    session: Session,
    page_size: u32,
    /// The metrics by source meter.
    metrics: BTreeMap<String, Vec<Metric>>,
    /// The types of resources whose revisions are read as states.
    presence: Vec<PresenceConfig>,
    /// The configured time range of the source.
    source_period: Range<i64>,
    revisions: Revisions,
    clock: Option<Timestamp>,
    /// The metrics that are not read, by URL: those with the same archive policy and source meter.
    unread: BTreeMap<String, Unread>,
}

impl Gnocchi {
    /// Connects to a server and lists the metrics of all metered source meters.
    ///
    /// Entries of `presence` without a meter are ignored with a warning.
    pub(super) async fn open(
        config: &ServerConfig,
        granularity_seconds: Option<u32>,
        page_size: u32,
        presence: &[PresenceConfig],
        bindings: &Bindings,
    ) -> Result<Self, PullError> {
        let is_metered = |presence: &&PresenceConfig| {
            let is_metered = !bindings.of(&presence.source_meter).is_empty();
            if !is_metered {
                tracing::warn!(
                    "no meter measures `{}`, so the revisions of `{}` are not read",
                    presence.source_meter,
                    presence.resource_type
                );
            }
            is_metered
        };
        let mut server = Self {
            session: Session::new(config)?,
            page_size,
            metrics: BTreeMap::new(),
            presence: presence.iter().filter(is_metered).cloned().collect(),
            source_period: config.from..config.to.unwrap_or(i64::MAX),
            revisions: Revisions::default(),
            clock: None,
            unread: BTreeMap::new(),
        };
        for source_meter in bindings.source_meters() {
            let aggregations: BTreeSet<Aggregation> =
                bindings.of(source_meter).iter().map(|binding| binding.meter.aggregation).collect();
            let metrics = server.metrics_of(source_meter, granularity_seconds, &aggregations).await?;
            if !metrics.is_empty() {
                server.metrics.insert(source_meter.to_owned(), metrics);
            }
        }
        server.check_presence().await?;
        if server.metrics.is_empty() && server.presence.is_empty() && server.unread.is_empty() {
            tracing::warn!("{} has no metric of a metered source meter, or this user cannot read it", config.url);
        }
        Ok(server)
    }

    /// Checks that the types of resources exist, and that their states have other source meters than the measures.
    async fn check_presence(&self) -> Result<(), PullError> {
        for PresenceConfig { resource_type, source_meter, .. } in &self.presence {
            let mut url = self.session.join("v1/resource_type/");
            if let Ok(mut parts) = url.path_segments_mut() {
                parts.pop_if_empty().push(resource_type);
            }
            self.session.fetch(&Request::get(url.clone())).await.map_err(PullError::at(&url))?;
            if self.metrics.contains_key(source_meter) {
                let problem = format!(
                    "`{source_meter}` is a metric of this server and also in `[[source.presence]]`; use another name \
                     there, and list both in the `source_meters` of the meter"
                );
                return Err(PullError::unexpected(&url, problem));
            }
        }
        Ok(())
    }

    pub(super) fn source_meters(&self) -> Vec<String> {
        let presence_meters = self.presence.iter().map(|presence| &presence.source_meter);
        self.metrics.keys().chain(presence_meters).collect::<BTreeSet<_>>().into_iter().cloned().collect()
    }

    pub(super) fn clock(&self) -> Option<Timestamp> {
        self.clock
    }

    pub(super) fn unread(&self) -> &BTreeMap<String, Unread> {
        &self.unread
    }

    /// The URL of a window's request, with the source meter as its fragment, because the body contains the metrics.
    pub(super) fn input_name(&self, window: &FetchWindow) -> String {
        let types: Vec<&str> = self.presence_of(window).map(|presence| presence.resource_type.as_str()).collect();
        if let Some(first) = types.first() {
            let mut url = self.search(first, true);
            url.query_pairs_mut()
                .append_pair("start", &instant(window.start))
                .append_pair("stop", &instant(window.end));
            // Several types may have one source meter.
            let others = types[1..].iter().map(|name| format!(",{name}")).collect::<String>();
            url.set_fragment(Some(&format!("{}{others}", window.source_meter)));
            return url.to_string();
        }
        let metrics = self.metrics.get(&window.source_meter);
        let granularity = metrics.and_then(|metrics| metrics.first()).map_or(0, |metric| metric.granularity_seconds);
        let mut url = self.aggregates(window, granularity);
        url.set_fragment(Some(&window.source_meter));
        url.to_string()
    }

    /// The types of resources that are read as states of a window's source meter.
    fn presence_of(&self, window: &FetchWindow) -> impl Iterator<Item = &PresenceConfig> {
        self.presence.iter().filter(|presence| presence.source_meter == window.source_meter)
    }

    /// Reads the revisions of the resources that existed in `start..end` or whose end was stored in this range.
    pub(super) async fn prepare(&mut self, start: i64, end: i64) -> Result<(), PullError> {
        let since = instant(start - SLACK_MICROS);
        let alive = json!({ "and": [
            { "or": [
                { "=": { "ended_at": null } },
                { ">=": { "ended_at": since } },
                { ">=": { "revision_start": since } },
            ] },
            { "<=": { "started_at": instant(end + SLACK_MICROS) } },
        ] });
        let mut wanted: HashSet<String> =
            self.metrics.values().flatten().filter_map(|metric| metric.resource_id.clone()).collect();
        // Only some of the many types have measured resources.
        let mut types: BTreeSet<String> = BTreeSet::new();
        let url = self.search("generic", false);
        let presence = &self.presence;
        let mut invalid: Option<String> = None;
        self.pages(&url, Some(&alive), |row, _| {
            let (Some(id), Some(kind)) = (text(row, "id"), text(row, "type")) else {
                invalid.get_or_insert_with(|| "a resource has no `id` or no `type`".to_owned());
                return;
            };
            if presence.iter().any(|presence| presence.resource_type == kind) {
                // Only this search returns the current state. An old revision of a deleted resource has no end.
                wanted.insert(id.to_owned());
            }
            if wanted.contains(id) {
                types.insert(kind.to_owned());
            }
        })
        .await?;
        if let Some(problem) = invalid {
            return Err(PullError::unexpected(&url, problem));
        }
        let mut revisions = Revisions::default();
        for kind in types {
            let url = self.search(&kind, true);
            let mut invalid: Option<String> = None;
            self.pages(&url, Some(&alive), |row, written| {
                // The search over all types returns no attributes of a type.
                if text(row, "id").is_some_and(|id| wanted.contains(id)) && text(row, "type") == Some(&kind) {
                    let added = revisions.add(row, written);
                    invalid = invalid.take().or(added.err());
                }
            })
            .await?;
            if let Some(problem) = invalid {
                return Err(PullError::unexpected(&url, problem));
            }
        }
        for metrics in self.metrics.values_mut() {
            metrics.retain(|metric| metric.resource_id.as_deref().is_none_or(|id| revisions.contains(id)));
        }
        self.revisions = revisions;
        Ok(())
    }

    /// Writes the response to a window. Returns the metrics that were deleted since they were listed, by URL.
    pub(super) async fn fetch(
        &self,
        window: &FetchWindow,
        file: &mut ResponseFile,
    ) -> Result<BTreeMap<String, Unread>, PullError> {
        let stored_within = window.start..window.end;
        let events: Vec<_> = self
            .presence_of(window)
            .flat_map(|config| {
                self.revisions.of_type(&config.resource_type).into_iter().map(move |each| (config, each))
            })
            .flat_map(|(config, each)| {
                lifecycle::lifecycle_events(each, &stored_within, &self.source_period)
                    .into_iter()
                    .map(move |event| (config, event))
            })
            .collect();
        lifecycle::write(&events, file)?;
        let mut groups: BTreeMap<u64, Vec<&Metric>> = BTreeMap::new();
        for metric in self.metrics.get(&window.source_meter).into_iter().flatten() {
            groups.entry(metric.granularity_seconds).or_default().push(metric);
        }
        let mut deleted = BTreeMap::new();
        for (granularity, metrics) in groups {
            let url = self.aggregates(window, granularity);
            for metrics in metrics.chunks(METRICS_AT_ONCE) {
                for metric in self.measures(&url, window, metrics, file).await? {
                    deleted
                        .insert(self.session.join(&format!("v1/metric/{}", metric.id)).into(), deleted_metric(metric));
                }
            }
        }
        Ok(deleted)
    }

    /// The metrics of a source meter, each with the granularity and method to read.
    async fn metrics_of(
        &mut self,
        source_meter: &str,
        granularity_seconds: Option<u32>,
        aggregations: &BTreeSet<Aggregation>,
    ) -> Result<Vec<Metric>, PullError> {
        let mut url = self.session.join("v1/metric");
        url.query_pairs_mut()
            .append_pair("name", source_meter)
            .append_pair("limit", &self.page_size.to_string())
            .append_pair("sort", "id:asc");
        let mut metrics = Vec::new();
        let mut unfit: BTreeMap<String, &'static str> = BTreeMap::new();
        let mut invalid = None;
        let clock = self
            .pages(&url, None, |row, _| {
                if text(row, "name") != Some(source_meter) {
                    return;
                }
                let Some(id) = text(row, "id") else {
                    invalid.get_or_insert_with(|| format!("a metric `{source_meter}` has no `id`"));
                    return;
                };
                let policy = &row["archive_policy"];
                let granularity = granularity_of(policy, granularity_seconds).ok_or(NO_GRANULARITY);
                let chosen = granularity.and_then(|granularity| {
                    method_of(policy, aggregations).map(|method| (granularity, method)).ok_or(NO_METHOD)
                });
                let (granularity_seconds, method) = match chosen {
                    Ok(chosen) => chosen,
                    Err(missing) => {
                        unfit.insert(text(policy, "name").unwrap_or_default().to_owned(), missing);
                        return;
                    }
                };
                metrics.push(Metric {
                    id: id.to_owned(),
                    resource_id: text(row, "resource_id").map(str::to_owned),
                    unit: text(row, "unit").unwrap_or_default().to_owned(),
                    granularity_seconds,
                    method,
                });
            })
            .await?;
        self.clock = clock.or(self.clock);
        if let Some(problem) = invalid {
            return Err(PullError::unexpected(&url, problem));
        }
        for (policy, missing) in unfit {
            let mut url = self.session.join("v1/archive_policy/");
            if let Ok(mut parts) = url.path_segments_mut() {
                parts.pop_if_empty().push(&policy);
            }
            url.set_fragment(Some(source_meter));
            let detail =
                format!("the metrics `{source_meter}` with this archive policy are not read: it has {missing}");
            self.unread.insert(url.into(), Unread::new(UnreadReason::UnfitPolicy, detail));
        }
        Ok(metrics)
    }

    fn search(&self, kind: &str, with_history: bool) -> Url {
        let mut url = self.session.join("v1/search/resource/");
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().push(kind);
        }
        url.query_pairs_mut().append_pair("limit", &self.page_size.to_string());
        if with_history {
            url.query_pairs_mut().append_pair("history", "true");
        } else {
            url.query_pairs_mut().append_pair("sort", "id:asc");
        }
        url
    }

    fn aggregates(&self, window: &FetchWindow, granularity_seconds: u64) -> Url {
        let mut url = self.session.join("v1/aggregates");
        url.query_pairs_mut()
            .append_pair("start", &instant(window.start))
            .append_pair("stop", &instant(window.end))
            .append_pair("granularity", &granularity_seconds.to_string());
        url
    }

    /// Passes every row of a paginated list to `on_row`, with its JSON text, and returns the server's time. Only the
    /// marker in the next-page link is used, because the link repeats the body of a search as query parameters.
    async fn pages(
        &self,
        url: &Url,
        filter: Option<&Value>,
        mut on_row: impl FnMut(&Value, &str),
    ) -> Result<Option<Timestamp>, PullError> {
        let mut markers: HashSet<String> = HashSet::new();
        let mut next = url.clone();
        let mut clock = None;
        loop {
            let request = match filter {
                Some(filter) => Request::post(next.clone(), filter),
                None => Request::get(next.clone()),
            };
            let response = self.session.fetch(&request).await.map_err(PullError::at(&next))?;
            clock = clock.or_else(|| server_time(&response.headers));
            let not_a_list =
                |error: &dyn Display| PullError::unexpected(&next, format!("the response is not a list: {error}"));
            let rows = raw::elements(&response.text).map_err(|error| not_a_list(&error))?;
            for row in &rows {
                let value: Value = serde_json::from_str(row).map_err(|error| not_a_list(&error))?;
                if !value.is_object() {
                    return Err(PullError::unexpected(&next, "an element of the list is not an object"));
                }
                on_row(&value, row);
            }
            let Some(link) = next_page(&response.headers, &next).filter(|_| !rows.is_empty()) else {
                return Ok(clock);
            };
            let Some(marker) = marker_of(&link) else {
                let problem = format!("the link to the next page has no `marker`: {}", location(&link));
                return Err(PullError::unexpected(&next, problem));
            };
            if !markers.insert(marker.clone()) {
                return Err(PullError::unexpected(&next, "the server returned the same page twice"));
            }
            next = url.clone();
            next.query_pairs_mut().append_pair("marker", &marker);
        }
    }

    /// Writes the measures of some metrics. Returns the metrics that were deleted since they were listed.
    async fn measures<'m>(
        &self,
        url: &Url,
        window: &FetchWindow,
        metrics: &[&'m Metric],
        file: &mut ResponseFile,
    ) -> Result<Vec<&'m Metric>, PullError> {
        let mut metrics = metrics.to_vec();
        let mut deleted = Vec::new();
        let response = loop {
            if metrics.is_empty() {
                return Ok(deleted);
            }
            let operations: Vec<Value> = [json!("metric")]
                .into_iter()
                .chain(metrics.iter().map(|metric| json!([metric.id, metric.method])))
                .collect();
            match self.session.fetch(&Request::post(url.clone(), &json!({ "operations": operations }))).await {
                Ok(response) => break response,
                Err(HttpError::Refused { status, body, .. })
                    if status.as_u16() == 404 && names_any(&body, &metrics) =>
                {
                    deleted.extend(metrics.extract_if(.., |metric| body.contains(&metric.id)));
                }
                Err(error) => return Err(PullError::at(url)(error)),
            }
        };
        let measures = measures_by_metric(url, &response)?;
        for metric in metrics {
            let revisions = metric.resource_id.as_deref().map_or(&[][..], |id| self.revisions.of(id));
            let mut written: Option<usize> = None;
            for measure in measures.get(metric.id.as_str()).into_iter().flatten() {
                let not_a_measure = || {
                    PullError::unexpected(
                        url,
                        format!("`{measure}` is not a measure, expected `[time, granularity, value]`"),
                    )
                };
                let parts = raw::elements(measure).map_err(|_| not_a_measure())?;
                let [start, _, value] = parts[..] else { return Err(not_a_measure()) };
                let start = raw::scalar(start).ok_or_else(not_a_measure)?;
                let at = timestamp::parse(&start).map_err(|_| not_a_measure())?;
                // The server rounds the start down to a granule. A measure before the window belongs to the previous
                // window.
                if !(window.start..window.end).contains(&at) {
                    continue;
                }
                let index = index_at(revisions, at);
                if written != Some(index) {
                    file.series(&series_of(&window.source_meter, metric, revisions.get(index)))?;
                    written = Some(index);
                }
                file.sample(&start, &raw::scalar(value).unwrap_or_default())?;
            }
        }
        Ok(deleted)
    }
}

/// The entry of a metric that was deleted after it was listed.
fn deleted_metric(metric: &Metric) -> Unread {
    let of_resource = metric.resource_id.as_ref().map(|id| format!(" of the resource `{id}`")).unwrap_or_default();
    let detail = format!("the metric{of_resource} was deleted before its measures were read");
    Unread::new(UnreadReason::NotFound, detail)
}

/// Whether the error message of a server contains the id of a metric in the request.
fn names_any(body: &str, metrics: &[&Metric]) -> bool {
    body.trim_start().starts_with('{') && metrics.iter().any(|metric| body.contains(&metric.id))
}

/// The measures by metric, as JSON text. The response is `{"measures": {"<metric>": {"<method>": [measure, …]}}}`.
fn measures_by_metric<'a>(url: &Url, response: &'a Response) -> Result<HashMap<String, Vec<&'a str>>, PullError> {
    let unexpected = |error: raw::JsonError| PullError::unexpected(url, format!("the response: {error}"));
    let members = raw::members(&response.text).map_err(unexpected)?;
    let measures = members.iter().find(|(name, _)| name == "measures");
    let (_, measures) = measures.ok_or_else(|| PullError::unexpected(url, "the response has no `measures`"))?;
    let mut found = HashMap::new();
    for (metric, methods) in raw::members(measures).map_err(unexpected)? {
        for (_, measures) in raw::members(methods).map_err(unexpected)? {
            found.insert(metric.clone(), raw::elements(measures).map_err(unexpected)?);
        }
    }
    Ok(found)
}

/// The series of a metric. Without a revision it has no resource, so the reader rejects each sample. The id of the
/// metric distinguishes these samples.
fn series_of(source_meter: &str, metric: &Metric, revision: Option<&Revision>) -> Series {
    let series = Series { name: source_meter.to_owned(), unit: metric.unit.clone(), ..Series::default() };
    match revision {
        Some(revision) => Series {
            project_id: revision.project_id.clone(),
            resource_id: revision.resource_id.clone(),
            resource_metadata: revision.attributes.clone(),
            ..series
        },
        None => Series { resource_metadata: Map::from_iter([("metric_id".to_owned(), json!(metric.id))]), ..series },
    }
}

/// The target of the link to the next page.
fn next_page(headers: &HeaderMap, url: &Url) -> Option<Url> {
    let links = headers.get_all(LINK).into_iter().filter_map(|value| value.to_str().ok());
    let next = links.flat_map(|links| links.split(", <")).find(|link| link.contains("rel=\"next\""))?;
    let target = next.trim_start_matches('<').split('>').next()?;
    url.join(target).ok()
}

/// The `marker` of a link to a page.
fn marker_of(link: &Url) -> Option<String> {
    link.query_pairs().find(|(name, _)| name == "marker").map(|(_, marker)| marker.into_owned())
}

/// The granularity to read, in seconds. It is the configured granularity. By default, it is the finest granularity with
/// a sufficient retention. If no retention is sufficient, it is the granularity with the longest one.
fn granularity_of(policy: &Value, wanted: Option<u32>) -> Option<u64> {
    let definitions = policy["definition"].as_array()?.iter();
    let mut retentions: Vec<(u64, u64)> = definitions
        .filter_map(|definition| {
            let granularity = seconds(&definition["granularity"])?;
            let points = definition["points"].as_u64().unwrap_or(u64::MAX);
            Some((granularity, seconds(&definition["timespan"]).unwrap_or(granularity.saturating_mul(points))))
        })
        .collect();
    retentions.sort_unstable();
    match wanted {
        Some(wanted) => {
            retentions.iter().map(|(granularity, _)| *granularity).find(|existing| *existing == u64::from(wanted))
        }
        None => retentions
            .iter()
            .find(|(_, timespan)| *timespan >= MIN_RETENTION_SECONDS)
            .or_else(|| retentions.iter().max_by_key(|(_, timespan)| *timespan))
            .map(|(granularity, _)| *granularity),
    }
}

/// The seconds of a duration: `0:05:00`, `30 days, 0:00:00` or a number of seconds.
fn seconds(value: &Value) -> Option<u64> {
    if let Some(text) = value.as_str() {
        let (days, time) = match text.split_once(" day") {
            Some((days, rest)) => (days.parse::<u64>().ok()?, rest.trim_start_matches('s').trim_start_matches(", ")),
            None => (0, text),
        };
        let mut seconds = 0;
        for part in time.split(':').filter(|part| !part.is_empty()) {
            seconds = seconds * 60 + part.split('.').next()?.parse::<u64>().ok()?;
        }
        return Some(days * 86_400 + seconds);
    }
    // Gnocchi writes whole seconds as floats.
    value.to_string().split('.').next()?.parse().ok()
}

/// The aggregation method to read, from the methods of a policy. `None` if no method fits. For example, averaged
/// amounts cannot be summed.
fn method_of(policy: &Value, aggregations: &BTreeSet<Aggregation>) -> Option<&'static str> {
    let existing: HashSet<&str> = policy["aggregation_methods"].as_array()?.iter().filter_map(Value::as_str).collect();
    let wanted = |aggregation: &Aggregation| -> &'static [&'static str] {
        match aggregation {
            Aggregation::Sum => &["sum"],
            Aggregation::Max => &["max", "mean", "last"],
            Aggregation::Min => &["min", "mean", "last"],
            // A counter is read at the end of a granule. With one poll per granule, the mean equals the last value.
            Aggregation::Increase | Aggregation::Last => &["last", "mean", "max"],
            _ => &["mean", "last", "max", "min", "sum", "first", "count"],
        }
    };
    let mut methods: Vec<&'static str> = Vec::new();
    // A meter that ignores the value accepts any method.
    for aggregation in aggregations.iter().filter(|aggregation| aggregation.reads_value()) {
        methods.push(wanted(aggregation).iter().copied().find(|method| existing.contains(method))?);
    }
    methods.dedup();
    match methods[..] {
        [] => wanted(&Aggregation::Presence).iter().copied().find(|method| existing.contains(method)),
        [method] => Some(method),
        // Meters that need different methods of one metric share the mean.
        _ => existing.contains("mean").then_some("mean").filter(|_| !methods.contains(&"sum")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Protocol;

    fn policy(definitions: &[(&str, &str)], methods: &[&str]) -> Value {
        let definition: Vec<Value> = definitions
            .iter()
            .map(|(granularity, timespan)| json!({ "granularity": granularity, "timespan": timespan, "points": 10 }))
            .collect();
        json!({ "name": "p", "definition": definition, "aggregation_methods": methods })
    }

    #[test]
    fn the_finest_granularity_with_a_retention_of_a_week_is_read() {
        let low = [("0:05:00", "30 days, 0:00:00")];
        let high = [("0:00:01", "1:00:00"), ("0:01:00", "1 day, 0:00:00"), ("1:00:00", "365 days, 0:00:00")];
        assert_eq!(granularity_of(&policy(&low, &[]), None), Some(300));
        assert_eq!(granularity_of(&policy(&high, &[]), None), Some(3_600));
        assert_eq!(granularity_of(&policy(&high[..2], &[]), None), Some(60));
        assert_eq!(granularity_of(&policy(&high, &[]), Some(60)), Some(60));
        assert_eq!(granularity_of(&policy(&low, &[]), Some(60)), None);
        assert_eq!(seconds(&json!(300.0)), Some(300));
        assert_eq!(seconds(&json!("2 days, 1:00:30")), Some(2 * 86_400 + 3_630));
    }

    #[test]
    fn the_aggregation_method_fits_the_meter() {
        let method = |methods: &[&str], aggregations: &[Aggregation]| {
            method_of(&policy(&[], methods), &aggregations.iter().copied().collect())
        };
        assert_eq!(method(&["mean", "last"], &[Aggregation::Increase]), Some("last"));
        assert_eq!(method(&["mean", "rate:mean"], &[Aggregation::Increase]), Some("mean"));
        assert_eq!(method(&["mean", "max"], &[Aggregation::Max, Aggregation::Presence]), Some("max"));
        assert_eq!(method(&["max"], &[Aggregation::Presence]), Some("max"));
        assert_eq!(method(&["mean"], &[Aggregation::Sum]), None);
        assert_eq!(method(&["mean", "sum"], &[Aggregation::Sum]), Some("sum"));
        assert_eq!(method(&["mean", "sum", "max"], &[Aggregation::Sum, Aggregation::Max]), None);
        assert_eq!(method(&["mean", "min", "max"], &[Aggregation::Min, Aggregation::Max]), Some("mean"));
    }

    #[test]
    fn the_marker_is_found_in_a_link_with_other_parameters() {
        let mut headers = HeaderMap::new();
        let link = "<http://gnocchi/v1/search/resource/instance?and=%7B%27or%27%7D&history=true&limit=3&\
                    marker=35346db8%40-1&sort=revision_start%3Aasc>; rel=\"next\"";
        headers.insert(LINK, link.parse().unwrap());
        let url: Url = "http://gnocchi/v1/search/resource/instance".parse().unwrap();
        assert_eq!(marker_of(&next_page(&headers, &url).unwrap()).as_deref(), Some("35346db8@-1"));
        assert_eq!(next_page(&HeaderMap::new(), &url), None);
    }

    #[test]
    fn a_repeated_page_is_an_error() {
        use std::io::{Read as _, Write as _};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let link = format!("Link: <{url}v1/metric?marker=m1>; rel=\"next\"\r\n");
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).unwrap();
                let head = format!("HTTP/1.1 200 OK\r\n{link}Content-Length: 12\r\nConnection: close\r\n\r\n");
                connection.write_all((head + "[{\"id\":\"a\"}]").as_bytes()).unwrap();
            }
        });
        let config = ServerConfig {
            protocol: Protocol::Prometheus { metrics: Vec::new() },
            url: url.parse().unwrap(),
            auth: crate::model::config::Auth::None,
            ca_file: None,
            from: 0,
            to: None,
            delay_seconds: 0,
            overlap_seconds: 0,
            timeout_seconds: 5,
            retries: 0,
            parallel: 1,
        };
        let session = Session::new(&config).unwrap();
        let (metrics, revisions) = (BTreeMap::new(), Revisions::default());
        let (presence, source_period) = (Vec::new(), 0..i64::MAX);
        let (clock, unread) = (None, BTreeMap::new());
        let server = Gnocchi { session, page_size: 1, metrics, presence, source_period, revisions, clock, unread };
        let mut rows = 0;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let error = runtime.block_on(server.pages(&config.url, None, |_, _| rows += 1)).unwrap_err();
        assert_eq!((error.to_string().as_str(), rows), ("the server returned the same page twice", 2));
    }
}
