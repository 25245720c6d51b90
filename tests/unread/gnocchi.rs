//! Gnocchi servers that fail among a good one.

use super::inputs::{good, lake};
use super::{PERIOD, PRICE, RUN, assert_billed};
use crate::stub_server::{Metric, Request, Response, gnocchi, gnocchi_ids, serve};
use crate::test_lake::TestLake;

/// A request of a pull, by a part of its path.
const REQUESTS: [(&str, &str); 4] = [
    ("metrics", "/v1/metric?"),
    ("resources", "/v1/search/resource/generic?"),
    ("revisions", "/v1/search/resource/instance?"),
    ("measures", "/v1/aggregates?"),
];

/// The responses that no request expects: name, response, and reason of the unread input.
fn troubles() -> Vec<(&'static str, Response, &'static str)> {
    let status = |status| Response::Status(status, r#"{"description": "no"}"#.to_owned());
    let json = |text: &str| Response::Json(text.to_owned());
    vec![
        ("error", status("500 Internal Server Error"), "failed"),
        ("unavailable", status("503 Service Unavailable"), "failed"),
        ("unauthorized", status("401 Unauthorized"), "no_permission"),
        ("forbidden", status("403 Forbidden"), "no_permission"),
        ("missing", Response::Status("404 Not Found", "not here".to_owned()), "not_found"),
        ("silent", Response::Silence, "failed"),
        ("empty", json(""), "failed"),
        ("mark", json("\u{feff}"), "failed"),
        ("cut", json(r#"[{"id": "4d0"#), "failed"),
        ("text", json("Gnocchi"), "failed"),
        ("page", json("<!DOCTYPE html>"), "failed"),
        ("number", json(r#"[1, "2"]"#), "failed"),
        ("other", json(r#"{"rows": []}"#), "failed"),
    ]
}

/// A source of Gnocchi that pulls the fifth of October.
fn source(name: &str, url: &str) -> String {
    format!(
        "[[source]]\nname = \"{name}\"\nformat = \"gnocchi\"\nurl = \"{url}\"\nfrom = 2026-10-05\nto = 2026-10-06\n\
         retries = 0\ntimeout = \"1s\"\nparallel = 1\n"
    )
}

/// A lake with a source of each format, and these sources.
fn lake_with(sources: &[String]) -> TestLake {
    let lake = lake(PRICE);
    let files = lake.text("conto.toml");
    lake.put("conto.toml", files + &sources.concat());
    lake
}

fn decimal(quantity: i128) -> String {
    format!("{}.{:09}", quantity / 1_000_000_000, quantity % 1_000_000_000)
}

/// Source and reason of each unread input.
fn unread(lake: &TestLake) -> Vec<(String, String)> {
    lake.rows("unread_input").iter().map(|row| (row["source"].clone(), row["reason"].clone())).collect()
}

/// Each request of a pull fails in each way, all in one night.
#[test]
fn a_server_that_fails_is_listed_and_leaves_the_others_billed() {
    let of_files = [1, 2_500_000_000, 999_999_999_999, 10i128.pow(18), 7, 123_456_789_123_456, 3];
    let of_server = 987_654_321_987_654_321;
    let metrics = [Metric::new("m", "good", &decimal(of_server))];
    let mut sources = vec![source("good", &serve(move |request| gnocchi(&metrics, request)))];
    let mut expected = Vec::new();
    for (number, (request, path)) in REQUESTS.into_iter().enumerate() {
        for (trouble, response, reason) in troubles() {
            let metrics = [Metric::new("m", "lost", "5")];
            let url = serve(
                move |request: &Request| {
                    if request.target.contains(path) { response.clone() } else { gnocchi(&metrics, request) }
                },
            );
            let name = format!("{number}-{request}-{trouble}");
            sources.push(source(&name, &url));
            expected.push((name, reason.to_owned()));
        }
    }
    let lake = lake_with(&sources);
    good(&lake, &of_files);
    let message = lake.fails(4, &RUN);
    expected.sort();
    assert_eq!(unread(&lake), expected, "{message}");
    assert_billed(&lake, &[&of_files[..], &[of_server]].concat());
    let details = lake.column("unread_input", "detail");
    assert!(details.iter().all(|detail| !detail.is_empty()), "{details:?}");
    // The next night tries again and changes nothing.
    let commits = lake.commit_count();
    lake.fails(4, &RUN);
    assert_eq!(lake.commit_count(), commits);
    let message = lake.close_fails(3, PERIOD, "2026-11-02");
    assert!(message.contains("the usage of the source `0-metrics-error` from 2026-10-05T00:00:00Z on"), "{message}");
}

/// Metrics and measures that cannot be billed, among others of the same server.
#[test]
fn a_metric_that_cannot_be_read_is_listed_and_leaves_the_others_billed() {
    let quantities = [10i128.pow(15) + 1, 2_000_000_000];
    let mut metrics = vec![
        Metric::new("m", "good", &decimal(quantities[0])),
        Metric::new("m", "deleted", "5"),
        Metric { policy: ("0:05:00", "mean"), ..Metric::new("m", "averaged", "5") },
        Metric { resource: Err(serde_json::Value::Null), ..Metric::new("m", "", "5") },
        Metric::new("m", "good too", &decimal(quantities[1])),
    ];
    for value in ["\"many\"", "NaN", "null", "-5", "1e40", "{}"] {
        metrics.push(Metric::new("m", value, value));
    }
    let (deleted, _) = gnocchi_ids(1);
    let gone = deleted.clone();
    let url = serve(move |request| {
        if request.target.contains("/v1/aggregates?") && request.body.contains(&gone) {
            let body = format!("{{\"description\": {{\"cause\": \"Metrics not found\", \"detail\": [\"{gone}\"]}}}}");
            return Response::Status("404 Not Found", body);
        }
        gnocchi(&metrics, request)
    });
    let lake = lake_with(&[source("server", &url)]);
    let message = lake.fails(4, &RUN);
    assert_billed(&lake, &quantities);
    let listed = |row: &crate::test_lake::Row| format!("{} {}", row["url"].trim_start_matches(&url), row["reason"]);
    let listed: Vec<String> = lake.rows("unread_input").iter().map(listed).collect();
    let expected = ["/v1/archive_policy/low#m unfit_policy".to_owned(), format!("/v1/metric/{deleted} not_found")];
    assert_eq!(listed, expected, "{message}");
    let details = lake.column("unread_input", "detail");
    let lacks =
        "the metrics `m` with this archive policy are not read: it has no aggregation method that the meter can use";
    assert_eq!(details[0], lacks);
    assert!(details[1].ends_with("was deleted before its measures were read"), "{details:?}");
    let mut reasons = lake.column("rejected_record", "reason");
    reasons.sort();
    let bad = "bad_quantity";
    let others = ["missing_field", "negative_quantity", "quantity_not_finite", "quantity_out_of_range"];
    assert_eq!(reasons[..], [&[bad, bad, bad], &others[..]].concat());
    // The deleted metric is not listed again. The policy and seven records count together.
    lake.configure("closing.max_rejected = 7");
    let message = lake.close_fails(3, PERIOD, "2026-11-02");
    assert!(message.contains("1 input could not be read, more than `max_rejected` = 7"), "{message}");
    lake.configure("closing.max_rejected = 8");
    lake.close_fails(4, PERIOD, "2026-11-02");
    assert_eq!(lake.rows("issued_document").len(), 1);
}

/// A page without a way to the next one would lose the usage of the metrics on the following pages.
#[test]
fn a_link_to_the_next_page_without_a_marker_is_listed() {
    let url = serve(|request| {
        let metrics = [Metric::new("m", "r", "5")];
        match gnocchi(&metrics, request) {
            Response::Json(body) if request.target.contains("/v1/metric?") => {
                Response::Status("200 OK\r\nLink: <http://gnocchi/v1/metric?limit=1>; rel=\"next\"", body)
            }
            response => response,
        }
    });
    let lake = lake_with(&[source("server", &url)]);
    lake.fails(4, &RUN);
    assert_eq!(unread(&lake), [("server".to_owned(), "failed".to_owned())]);
    let detail = &lake.column("unread_input", "detail")[0];
    assert!(detail.starts_with("the link to the next page has no `marker`: http://gnocchi/v1/metric"), "{detail}");
}
