//! Prometheus, and what speaks its query API: Thanos, Mimir, VictoriaMetrics.
//!
//! Asked for are range vectors (`metric[1d]` as an instant query), which hold the samples as they were scraped: nothing
//! is filled in after a target is gone, nothing extrapolated, and a counter that began again is seen as such. Values
//! are texts and stay so. What a label change splits into two series is one stream again, since a stream is known by
//! resource and meter.
//!
//! Up to version 2 a range has both its ends, from version 3 on only the later one. So a question ends a millisecond
//! early (times are whole milliseconds), and what lies before its start is dropped: both give `start..end`.
//!
//! Remote-read would give the same samples. It saves too little of the whole intake to be worth a second protocol that
//! not all of these servers have. Answers are not requested compressed, because compressing them costs the server much
//! more than sending them.

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
use crate::intake::sources::servers::response_store::{Series, SpoolFile};
use crate::model::config::{MetricConfig, ServerConfig};

/// A question over less than this is not cut into shorter ones any more.
const SHORTEST_QUESTION: i64 = 60_000_000;

#[derive(Debug)]
pub struct Prometheus {
    session: Session,
    /// By source meter, those that are there.
    metrics: BTreeMap<String, Vec<Metric>>,
    clock: Option<Timestamp>,
}

impl Prometheus {
    /// Finds out which of the metrics that meters may ask for are there.
    pub async fn open(
        config: &ServerConfig,
        configured: &[MetricConfig],
        bindings: &Bindings,
        asked_at: i64,
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
        let end = config.to.unwrap_or(asked_at);
        let names: Vec<&str> = wanted.iter().flatten().map(|metric| metric.name.as_str()).collect();
        let there = server.names(&names, config.from, end).await?;
        for metrics in &wanted {
            let is_own = |metric: &&Metric| configured.iter().any(|own| own.name == metric.name);
            let there: Vec<&Metric> = metrics.iter().filter(|metric| there.contains(&metric.name)).collect();
            // Two exporters that both measure a thing would bill it twice where its ids differ: the likelier counts.
            let chosen = if there.iter().any(is_own) { &there[..] } else { &there[..there.len().min(1)] };
            for metric in chosen {
                server.metrics.entry(metric.source_meter.clone()).or_default().push((*metric).clone());
            }
        }
        if server.metrics.is_empty() {
            tracing::warn!(
                "{} holds none of the metrics that meters ask for ({}); `[[source.metric]]` names others",
                config.url,
                names.join(", ")
            );
        }
        Ok(server)
    }

    pub fn source_meters(&self) -> Vec<String> {
        self.metrics.keys().cloned().collect()
    }

    pub fn clock(&self) -> Option<Timestamp> {
        self.clock
    }

    /// The URL that a question is asked with; of several metrics, the first.
    pub fn name_of(&self, question: &FetchWindow) -> String {
        let metric = self.metrics.get(&question.source_meter).and_then(|metrics| metrics.first());
        metric.map_or_else(
            || self.session.join("").to_string(),
            |metric| self.query(metric, question.start, question.end).to_string(),
        )
    }

    pub async fn answer(&self, question: &FetchWindow, file: &mut SpoolFile) -> Result<(), PullError> {
        for metric in self.metrics.get(&question.source_meter).into_iter().flatten() {
            self.samples(metric, question.start, question.end, file).await?;
        }
        Ok(())
    }

    /// Which of the metrics had samples in a part of time.
    async fn names(&mut self, names: &[&str], start: i64, end: i64) -> Result<HashSet<String>, PullError> {
        let mut url = self.session.join("api/v1/label/__name__/values");
        url.query_pairs_mut()
            .append_pair("match[]", &format!("{{__name__=~\"{}\"}}", names.join("|")))
            .append_pair("start", &seconds(start))
            .append_pair("end", &seconds(end));
        let answer = self.session.fetch(&Request::get(url.clone())).await;
        let answer = answer.map_err(PullError::at(&url))?;
        self.clock = server_time(&answer.headers);
        let data = data(&url, &answer.text)?;
        let names = json::elements(data).map_err(|error| PullError::unexpected(&url, error.to_string()))?;
        Ok(names.into_iter().filter_map(|name| json::scalar(name).map(Into::into)).collect())
    }

    fn query(&self, metric: &Metric, start: i64, end: i64) -> Url {
        let milliseconds = (end - start) / 1_000;
        let mut url = self.session.join("api/v1/query");
        url.query_pairs_mut()
            .append_pair("query", &format!("{}[{milliseconds}ms]", metric.name))
            .append_pair("time", &seconds(end - 1_000))
            // What only a part of a Thanos knows is no answer. Others do not look at this.
            .append_pair("partial_response", "false");
        url
    }

    /// Writes down the samples of a metric. Where a server has too many of them for one answer, it is asked for the
    /// halves.
    fn samples<'s>(
        &'s self,
        metric: &'s Metric,
        start: i64,
        end: i64,
        file: &'s mut SpoolFile,
    ) -> BoxFuture<'s, Result<(), PullError>> {
        async move {
            let url = self.query(metric, start, end);
            match self.session.fetch(&Request::get(url.clone())).await {
                Ok(answer) => write(&url, &answer.text, metric, (start, end), file),
                Err(error) if is_too_much(&error) && end - start > SHORTEST_QUESTION => {
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

/// Whether a shorter question may be answered.
fn is_too_much(error: &HttpError) -> bool {
    match error {
        HttpError::TooLarge => true,
        HttpError::Refused { status, .. } => matches!(status.as_u16(), 413 | 422),
        _ => false,
    }
}

/// Seconds since 1970 with milliseconds, as the API takes them.
fn seconds(microseconds: i64) -> String {
    let milliseconds = microseconds.div_euclid(1_000);
    format!("{}.{:03}", milliseconds.div_euclid(1_000), milliseconds.rem_euclid(1_000))
}

/// What an answer holds, after the warnings that it brings.
fn data<'a>(url: &Url, text: &'a str) -> Result<&'a str, PullError> {
    let members = json::members(text).map_err(|error| PullError::unexpected(url, format!("the answer: {error}")))?;
    let member = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, text)| *text);
    if member("status").and_then(json::scalar).as_deref() != Some("success") {
        return Err(PullError::unexpected(url, "the answer does not say `success`; is the URL that of Prometheus?"));
    }
    for warning in member("warnings").and_then(|text| json::elements(text).ok()).into_iter().flatten() {
        tracing::warn!("{}: {}", url.path(), json::scalar(warning).unwrap_or_default());
    }
    member("data").ok_or_else(|| PullError::unexpected(url, "the answer has no `data`"))
}

/// Writes down every sample of an answer that lies in `start..end`.
fn write(
    url: &Url,
    text: &str,
    metric: &Metric,
    (start, end): (i64, i64),
    file: &mut SpoolFile,
) -> Result<(), PullError> {
    let not_json = |error: json::JsonError| PullError::unexpected(url, format!("the answer: {error}"));
    let no_matrix = || PullError::unexpected(url, "the answer is no matrix of samples");
    let data = json::members(data(url, text)?).map_err(not_json)?;
    let result = data.iter().find(|(name, _)| name == "result").ok_or_else(no_matrix)?.1;
    for series in json::elements(result).map_err(not_json)? {
        let members = json::members(series).map_err(not_json)?;
        let member = |name: &str| members.iter().find(|(known, _)| known == name).map(|(_, text)| *text);
        let labels = json::members(member("metric").ok_or_else(no_matrix)?).map_err(not_json)?;
        let labels = labels.into_iter().filter_map(|(name, value)| Some((name, json::scalar(value)?.into_owned())));
        let Some(series) = series_of(metric, labels.collect()) else { continue };
        file.series(&series)?;
        // A series of histograms has no values.
        for pair in member("values").map(json::elements).transpose().map_err(not_json)?.into_iter().flatten() {
            let [time, value] = json::elements(pair).map_err(not_json)?[..] else { return Err(no_matrix()) };
            let value = json::scalar(value).ok_or_else(no_matrix)?;
            if timestamp::parse(time).is_ok_and(|at| !(start..end).contains(&at)) {
                continue;
            }
            file.sample(time, &value)?;
        }
    }
    Ok(())
}

/// What the labels of a series say. `None` where it is another meter's that shares the name once dots are gone.
fn series_of(metric: &Metric, labels: BTreeMap<String, String>) -> Option<Series> {
    let label = |name: &str| labels.get(name).filter(|value| !value.is_empty());
    if label("counter").is_some_and(|counter| *counter != metric.source_meter) {
        return None;
    }
    let name = display_name(label("resource_name").map(String::as_str), label("name").map(String::as_str));
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
        unit: label("unit").cloned().unwrap_or_else(|| metric.unit.clone().into_owned()),
        project_id: label(&metric.project_label).cloned(),
        resource_id: label(&metric.resource_label).cloned().unwrap_or_default(),
        resource_metadata: metadata,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_seconds_with_milliseconds() {
        assert_eq!(seconds(1_740_834_000_000_000 - 1_000), "1740833999.999");
        assert_eq!(seconds(0), "0.000");
    }

    /// Two dates, with samples at and around their bounds, asked of servers whose ranges have both ends or the later
    /// one alone: each sample is of one question, and none is lost.
    #[test]
    fn a_sample_of_a_bound_is_of_one_question_whichever_ends_a_range_has() {
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
        let spool = crate::intake::sources::servers::response_store::ResponseStore::new().unwrap();
        // In milliseconds, as a server keeps them.
        let day = DAY / 1_000;
        let samples = [day - 1, day, day + 1, 2 * day - 1, 2 * day, 2 * day + 1, 3 * day - 1, 3 * day, 3 * day + 1];
        for has_both_ends in [true, false] {
            let told = |(start, end): (i64, i64)| {
                let url = server.query(&metric, start, end);
                let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
                let width: i64 = asked["query"].split_once('[').unwrap().1.trim_end_matches("ms]").parse().unwrap();
                let last: i64 = asked["time"].replace('.', "").parse().unwrap();
                let is_in_range =
                    |at: &&i64| **at <= last && (**at > last - width || (has_both_ends && **at == last - width));
                let values: Vec<String> = samples
                    .iter()
                    .filter(is_in_range)
                    .map(|at| format!("[{}.{:03}, \"1\"]", at / 1_000, at % 1_000))
                    .collect();
                let values = values.join(", ");
                let series = format!("{{\"metric\": {{\"resource\": \"vm\"}}, \"values\": [{values}]}}");
                let answer = format!("{{\"status\": \"success\", \"data\": {{\"result\": [{series}]}}}}");
                let mut file = spool.begin().unwrap();
                write(&url, &answer, &metric, (start, end), &mut file).unwrap();
                file.text().unwrap().lines().count()
            };
            assert_eq!((told((DAY, 2 * DAY)), told((2 * DAY, 3 * DAY))), (3, 3), "{has_both_ends}");
        }
    }

    #[test]
    fn labels_say_whose_a_series_is() {
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
        let other = labels.into_iter().chain([("counter".to_owned(), "memory.usage".to_owned())]).collect();
        assert!(series_of(&metric, other).is_none());
    }
}
