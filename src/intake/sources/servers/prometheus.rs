//! Prometheus, and servers with its query API: Thanos, Mimir, VictoriaMetrics.
//!
//! The requests are range vectors (`metric[1d]` as an instant query). They contain the samples as they were scraped:
//! without values after the end of a target, without extrapolation, and with the resets of counters. Values stay text.
//! If a label changes, Prometheus begins a new series. Both series become one stream, because resource and meter
//! identify a stream.
//!
//! Up to version 2 a range includes both its ends. From version 3 on it includes only the later end. So a request ends
//! a millisecond early (times are whole milliseconds), and samples before its start are dropped. As a result, both
//! versions give `start..end`.
//!
//! The remote-read protocol would return the same samples. It would save too little time to justify a second protocol,
//! which some of these servers lack. Responses are requested uncompressed, because compressing costs the server much
//! more than sending.

use std::collections::{BTreeMap, HashSet};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use reqwest::Url;
use serde_json::{Map, Value};

use super::client::{HttpError, Request, server_time};
use super::fetch_window::FetchWindow;
use super::pull_error::PullError;
use super::session::Session;
use crate::intake::formats::{json, timestamp};
use crate::intake::resolve::binding::Bindings;
use crate::intake::sources::servers::known_metrics::{Metric, display_name, metrics_of};
use crate::intake::sources::servers::response_store::{ResponseFile, Series};
use crate::model::config::{MetricConfig, ServerConfig};
use crate::model::identifier;

/// The shortest time range that is divided into shorter ranges, in microseconds.
const MIN_WINDOW_MICROS: i64 = 60_000_000;

/// A connected Prometheus server.
#[derive(Debug)]
pub(super) struct Prometheus {
    session: Session,
    /// The existing metrics by source meter.
    metrics: BTreeMap<String, Vec<Metric>>,
    clock: Option<Timestamp>,
}

impl Prometheus {
    /// Connects to a server, and determines the existing metrics among the metrics that meters need.
    pub(super) async fn open(
        config: &ServerConfig,
        configured: &[MetricConfig],
        bindings: &Bindings,
        pulled_at: i64,
    ) -> Result<Self, PullError> {
        let mut server = Self { session: Session::new(config)?, metrics: BTreeMap::new(), clock: None };
        let wanted: Vec<Vec<Metric>> = bindings
            .source_meters()
            .into_iter()
            .map(|source_meter| {
                let own = configured.iter().filter(|metric| metric.source_meter == source_meter);
                let own: Vec<Metric> = own.map(Metric::from).collect();
                if own.is_empty() { metrics_of(source_meter) } else { own }
            })
            .collect();
        let end = config.to.unwrap_or(pulled_at);
        let names: Vec<&str> = wanted.iter().flatten().map(|metric| metric.name.as_str()).collect();
        let existing = server.names(&names, config.from, end).await?;
        for metrics in &wanted {
            let is_own = |metric: &&Metric| configured.iter().any(|own| own.name == metric.name);
            let candidates: Vec<&Metric> = metrics.iter().filter(|metric| existing.contains(&metric.name)).collect();
            // If two exporters report the same resources with different ids, these resources would be billed twice. So
            // only the likelier metric is used.
            let chosen =
                if candidates.iter().any(is_own) { &candidates[..] } else { &candidates[..candidates.len().min(1)] };
            for metric in chosen {
                server.metrics.entry(metric.source_meter.clone()).or_default().push((*metric).clone());
            }
        }
        if server.metrics.is_empty() {
            tracing::warn!(
                "{} has none of the metrics that meters need ({}); add others as `[[source.metric]]`",
                config.url,
                names.join(", ")
            );
        }
        Ok(server)
    }

    pub(super) fn source_meters(&self) -> Vec<String> {
        self.metrics.keys().cloned().collect()
    }

    pub(super) fn clock(&self) -> Option<Timestamp> {
        self.clock
    }

    /// The URL of a window's request. If the window has several metrics, this is the URL of the first metric.
    pub(super) fn input_name(&self, window: &FetchWindow) -> String {
        let metric = self.metrics.get(&window.source_meter).and_then(|metrics| metrics.first());
        metric.map_or_else(
            || self.session.join("").to_string(),
            |metric| self.query(metric, window.start, window.end).to_string(),
        )
    }

    pub(super) async fn fetch(&self, window: &FetchWindow, file: &mut ResponseFile) -> Result<(), PullError> {
        for metric in self.metrics.get(&window.source_meter).into_iter().flatten() {
            self.samples(metric, window.start, window.end, file).await?;
        }
        Ok(())
    }

    /// The metrics with samples in a time range.
    async fn names(&mut self, names: &[&str], start: i64, end: i64) -> Result<HashSet<String>, PullError> {
        let mut url = self.session.join("api/v1/label/__name__/values");
        url.query_pairs_mut()
            .append_pair("match[]", &format!("{{__name__=~\"{}\"}}", names.join("|")))
            .append_pair("start", &seconds(start))
            .append_pair("end", &seconds(end));
        refuse_partial_responses(&mut url);
        let response = self.session.fetch(&Request::get(url.clone())).await;
        let response = response.map_err(PullError::at(&url))?;
        self.clock = server_time(&response.headers);
        let data = data(&url, &response.text)?;
        let names = json::elements(data).map_err(|error| PullError::unexpected(&url, error.to_string()))?;
        Ok(names.into_iter().filter_map(|name| json::scalar(name).map(Into::into)).collect())
    }

    fn query(&self, metric: &Metric, start: i64, end: i64) -> Url {
        let milliseconds = (end - start) / 1_000;
        let mut url = self.session.join("api/v1/query");
        url.query_pairs_mut()
            .append_pair("query", &format!("{}[{milliseconds}ms]", metric.name))
            .append_pair("time", &seconds(end - 1_000));
        refuse_partial_responses(&mut url);
        url
    }

    /// Fetches the samples of a metric. If the response would be too large, the time range is halved.
    fn samples<'s>(
        &'s self,
        metric: &'s Metric,
        start: i64,
        end: i64,
        file: &'s mut ResponseFile,
    ) -> BoxFuture<'s, Result<(), PullError>> {
        async move {
            let url = self.query(metric, start, end);
            match self.session.fetch(&Request::get(url.clone())).await {
                Ok(response) => write(&url, &response.text, metric, (start, end), file),
                Err(error) if is_result_too_large(&error) && end - start > MIN_WINDOW_MICROS => {
                    let middle = start + (end - start) / 2 / 1_000 * 1_000;
                    self.samples(metric, start, middle, file).await?;
                    self.samples(metric, middle, end, file).await
                }
                Err(error) => Err(PullError::at(&url)(error)),
            }
        }
        .boxed()
    }
}

/// Whether a request for a shorter time range may succeed.
fn is_result_too_large(error: &HttpError) -> bool {
    match error {
        HttpError::TooLarge => true,
        HttpError::Refused { status, .. } => matches!(status.as_u16(), 413 | 422),
        _ => false,
    }
}

/// Seconds since 1970 with milliseconds, the format of the API.
fn seconds(microseconds: i64) -> String {
    let milliseconds = microseconds.div_euclid(1_000);
    format!("{}.{:03}", milliseconds.div_euclid(1_000), milliseconds.rem_euclid(1_000))
}

/// Makes a partial response of Thanos or VictoriaMetrics an error. Other servers ignore these parameters.
fn refuse_partial_responses(url: &mut Url) {
    url.query_pairs_mut().append_pair("partial_response", "false").append_pair("deny_partial_response", "1");
}

/// The data of a response. A response with a warning or with the mark of a partial response is an error. A part of the
/// server failed, and its samples are missing.
fn data<'a>(url: &Url, text: &'a str) -> Result<&'a str, PullError> {
    let members = json::members(text).map_err(|error| PullError::unexpected(url, format!("the response: {error}")))?;
    let member = |name: &str| members.iter().find(|(found, _)| found == name).map(|(_, text)| *text);
    if member("status").and_then(json::scalar).as_deref() != Some("success") {
        return Err(PullError::unexpected(
            url,
            "the `status` of the response is not `success`; check that `url` is the URL of Prometheus",
        ));
    }
    if let Some(warning) = member("warnings").and_then(|text| json::elements(text).ok()?.first().copied()) {
        let warning = json::scalar(warning).unwrap_or_default();
        let problem = format!("the response has a warning, so samples may be missing: {warning}");
        return Err(PullError::unexpected(url, problem));
    }
    if member("isPartial").and_then(json::scalar).as_deref() == Some("true") {
        return Err(PullError::unexpected(
            url,
            "the response is partial: a storage node of the server did not respond",
        ));
    }
    member("data").ok_or_else(|| PullError::unexpected(url, "the response has no `data`"))
}

/// Writes every sample of a response within `start..end`.
fn write(
    url: &Url,
    text: &str,
    metric: &Metric,
    (start, end): (i64, i64),
    file: &mut ResponseFile,
) -> Result<(), PullError> {
    let not_json = |error: json::JsonError| PullError::unexpected(url, format!("the response: {error}"));
    let not_a_matrix = || PullError::unexpected(url, "the response is not a matrix of samples");
    let data = json::members(data(url, text)?).map_err(not_json)?;
    let result = data.iter().find(|(name, _)| name == "result").ok_or_else(not_a_matrix)?.1;
    for series in json::elements(result).map_err(not_json)? {
        let members = json::members(series).map_err(not_json)?;
        let member = |name: &str| members.iter().find(|(found, _)| found == name).map(|(_, text)| *text);
        let labels = json::members(member("metric").ok_or_else(not_a_matrix)?).map_err(not_json)?;
        let labels = labels.into_iter().filter_map(|(name, value)| Some((name, json::scalar(value)?.into_owned())));
        let Some(series) = series_of(metric, labels.collect()) else { continue };
        file.series(&series)?;
        // A series of histograms has no values.
        for pair in member("values").map(json::elements).transpose().map_err(not_json)?.into_iter().flatten() {
            let [time, value] = json::elements(pair).map_err(not_json)?[..] else { return Err(not_a_matrix()) };
            let value = json::scalar(value).ok_or_else(not_a_matrix)?;
            if timestamp::parse(time).is_ok_and(|at| !(start..end).contains(&at)) {
                continue;
            }
            file.sample(time, &value)?;
        }
    }
    Ok(())
}

/// The series of a set of labels. `None` if the labels name another meter. Two meters may have the same metric name,
/// because underscores replace dots.
fn series_of(metric: &Metric, labels: BTreeMap<String, String>) -> Option<Series> {
    let label = |name: &str| labels.get(name).and_then(|value| identifier::stated(value));
    // The reader of the response makes an id canonical, so that `changed_id` lists its change.
    let id = |name: &str| labels.get(name).filter(|value| identifier::stated(value).is_some()).cloned();
    if label("counter").is_some_and(|counter| *counter != metric.source_meter) {
        return None;
    }
    let name = display_name(label("resource_name"), label("name"));
    let name = name.map(|name| ("display_name".to_owned(), Value::from(name)));
    let metadata: Map<String, Value> = name
        .into_iter()
        .chain(
            labels
                .iter()
                .filter(|(name, _)| *name != "__name__")
                .map(|(name, value)| (name.clone(), value.as_str().into())),
        )
        .collect();
    Some(Series {
        name: metric.source_meter.clone(),
        unit: label("unit").map_or_else(|| metric.unit.clone().into_owned(), str::to_owned),
        project_id: id(&metric.project_label),
        // The reader rejects each sample without a resource.
        resource_id: id(&metric.resource_label).unwrap_or_default(),
        resource_metadata: metadata,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_as_seconds_with_milliseconds() {
        assert_eq!(seconds(1_740_834_000_000_000 - 1_000), "1740833999.999");
        assert_eq!(seconds(0), "0.000");
    }

    /// Two dates with samples at and around their bounds, from servers whose ranges include both ends or only the later
    /// end. Each sample is in exactly one window.
    #[test]
    fn a_sample_at_a_bound_is_in_one_window_for_both_kinds_of_ranges() {
        use crate::model::config::{Auth, Protocol};
        const DAY: i64 = 86_400_000_000;
        let config = ServerConfig {
            protocol: Protocol::Prometheus { metrics: Vec::new() },
            url: "http://localhost/".parse().unwrap(),
            auth: Auth::None,
            ca_file: None,
            from: 0,
            to: None,
            delay_seconds: 0,
            overlap_seconds: 0,
            timeout_seconds: 5,
            retries: 0,
            parallel: 1,
        };
        let server = Prometheus { session: Session::new(&config).unwrap(), metrics: BTreeMap::new(), clock: None };
        let metric = metrics_of("vcpus").remove(0);
        let store = crate::intake::sources::servers::response_store::ResponseStore::new().unwrap();
        // Times in milliseconds, as a server stores them.
        let day = DAY / 1_000;
        let samples = [day - 1, day, day + 1, 2 * day - 1, 2 * day, 2 * day + 1, 3 * day - 1, 3 * day, 3 * day + 1];
        for has_both_ends in [true, false] {
            let sample_count = |(start, end): (i64, i64)| {
                let url = server.query(&metric, start, end);
                let parameters: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
                let width: i64 =
                    parameters["query"].split_once('[').unwrap().1.trim_end_matches("ms]").parse().unwrap();
                let last: i64 = parameters["time"].replace('.', "").parse().unwrap();
                let is_in_range =
                    |at: &&i64| **at <= last && (**at > last - width || (has_both_ends && **at == last - width));
                let values: Vec<String> = samples
                    .iter()
                    .filter(is_in_range)
                    .map(|at| format!("[{}.{:03}, \"1\"]", at / 1_000, at % 1_000))
                    .collect();
                let values = values.join(", ");
                let series = format!("{{\"metric\": {{\"resource\": \"vm\"}}, \"values\": [{values}]}}");
                let response = format!("{{\"status\": \"success\", \"data\": {{\"result\": [{series}]}}}}");
                let mut file = store.begin().unwrap();
                write(&url, &response, &metric, (start, end), &mut file).unwrap();
                file.text().unwrap().lines().count()
            };
            assert_eq!((sample_count((DAY, 2 * DAY)), sample_count((2 * DAY, 3 * DAY))), (3, 3), "{has_both_ends}");
        }
    }

    #[test]
    fn labels_give_the_project_and_resource_of_a_series() {
        let metric = metrics_of("memory").remove(0);
        let labels = [
            ("__name__", "ceilometer_memory"),
            ("counter", "memory"),
            ("flavor_name", "m1.small"),
            ("project", "p1"),
            ("resource", "i-1"),
            ("resource_name", "web-1:instance-00000001"),
            ("unit", "MiB"),
        ];
        let labels: BTreeMap<String, String> =
            labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let series = series_of(&metric, labels.clone()).unwrap();
        assert_eq!(
            (&series.unit[..], series.project_id.as_deref(), &series.resource_id[..]),
            ("MiB", Some("p1"), "i-1")
        );
        assert_eq!(series.resource_metadata["display_name"], "web-1");
        assert_eq!(series.resource_metadata["flavor_name"], "m1.small");
        let with = |changed: &[(&str, &str)]| {
            let mut labels = labels.clone();
            labels.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            series_of(&metric, labels)
        };
        assert!(with(&[("counter", "memory.usage")]).is_none());
        // Ids stay as delivered.
        let series = with(&[("project", "p1 "), ("resource", " i-1")]).unwrap();
        assert_eq!((series.project_id.as_deref(), &series.resource_id[..]), (Some("p1 "), " i-1"));
        for absent in ["", " ", "NULL", "null ", "None"] {
            let names = ["project", "resource", "unit", "counter", "resource_name"].map(|name| (name, absent));
            let series = with(&names).unwrap();
            assert_eq!((series.project_id, &series.resource_id[..], &series.unit[..]), (None, "", ""), "{absent:?}");
            assert!(!series.resource_metadata.contains_key("display_name"), "{absent:?}");
        }
    }
}
