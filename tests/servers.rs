//! Pulls from servers: concurrent requests, differing clocks, invalid settings and failures. A test of a failure checks
//! the message, the exit code and the kept samples, and continues with a second run.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::live::{invoiced, lake};
use crate::stub_server;
use crate::test_lake::{TestLake, stderr_of};

const DAY: i64 = 86_400;
/// 2026-10-01T00:00:00Z.
const START: i64 = 1_790_812_800;
const SECRET: &str = "open sesame";
/// The number of the first request that fails. The first request lists the metrics, and the second request pulls the
/// first date.
const TROUBLED: usize = 3;

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// The response of a Prometheus server that scraped one machine of the project `alpha` daily at 01:00.
fn good(request: &str) -> String {
    if request.contains("/label/") {
        return answer("200 OK", "", r#"{"status": "success", "data": ["ceilometer_vcpus"]}"#);
    }
    let time = request.split("time=").nth(1).unwrap();
    let end: i64 = time[..time.find('.').unwrap()].parse().unwrap();
    let at = START + (end - START) / DAY * DAY + 3_600;
    let series = json!({ "resource": "vm", "project": "alpha", "unit": "vcpu", "flavor_name": "m1.small" });
    let result = json!([{ "metric": series, "values": [[at, "1"]] }]);
    let body = json!({ "status": "success", "data": { "resultType": "matrix", "result": result } });
    answer("200 OK", "", &body.to_string())
}

/// The number of concurrent requests of a server: the current number and the highest number.
#[derive(Debug, Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// A concurrent server that sends the response of [`good`] after 300 milliseconds, with this clock in the headers.
/// Returns its URL and its load.
fn serve_slowly(clock: &str) -> (String, Arc<Load>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let load = Arc::new(Load::default());
    let (counted, date) = (Arc::clone(&load), format!("\r\nDate: {clock}\r\n"));
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let (mut connection, load, date) = (connection.unwrap(), Arc::clone(&counted), date.clone());
            std::thread::spawn(move || {
                let mut request = [0; 8192];
                let length = connection.read(&mut request).unwrap_or(0);
                let now = load.now.fetch_add(1, Ordering::SeqCst) + 1;
                load.most.fetch_max(now, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(300));
                load.now.fetch_sub(1, Ordering::SeqCst);
                let answer = good(&String::from_utf8_lossy(&request[..length]));
                let _ = connection.write_all(answer.replacen("\r\n", &date, 1).as_bytes());
            });
        }
    });
    (url, load)
}

/// A server that sends the response of [`good`] to the first two requests, and `trouble`, if present, to all later
/// requests. If `trouble` is empty, the server closes the connection without a response. If it is `silence`, the server
/// keeps the connection open for four seconds without a response. Returns the URL and the number of requests.
fn serve(trouble: Option<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&requests);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut request = [0; 8192];
            let length = connection.read(&mut request).unwrap_or(0);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let number = count.fetch_add(1, Ordering::SeqCst) + 1;
            let answer = trouble.clone().filter(|_| number >= TROUBLED).unwrap_or_else(|| good(&request));
            if answer == "silence" {
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_secs(4));
                    drop(connection);
                });
                continue;
            }
            // The client may have closed the connection.
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    (url, requests)
}

/// A source that pulls three dates from a server, with one request at a time and one retry. `keys` are added to the
/// keys of the source, or replace them.
fn source(url: &str, keys: &str) -> String {
    let mut source: toml::Table = format!(
        r#"
        name = "prometheus"
        format = "prometheus"
        url = "{url}"
        from = 2026-10-01
        to = 2026-10-04
        retries = 1
        parallel = 1
        timeout = "1s"
        auth = {{ kind = "basic", user = "conto", password_file = "password" }}
        "#
    )
    .parse()
    .unwrap();
    source.extend(keys.parse::<toml::Table>().unwrap());
    toml::to_string(&toml::Table::from_iter([("source".to_owned(), toml::Value::from(vec![source]))])).unwrap()
}

/// Another source, with one machine of the project `beta` for an hour.
const NEIGHBOUR: &str = r#"
    [[source]]
    name = "table"
    format = "csv"
    path = "usage/*.csv"
    "#;

const NEIGHBOURS_USAGE: &str = "meter,unit,quantity,project_id,resource_id,measured_at,flavor_name\n\
    vcpus,vcpu,1,beta,other,2026-10-01T01:00:00Z,m1.small\n";

fn lake_of(url: &str, keys: &str) -> TestLake {
    lake(&source(url, keys)).file("password", SECRET)
}

#[test]
fn parallel_limits_the_concurrent_requests_of_a_source() {
    for parallel in [1, 3] {
        let (url, load) = serve_slowly("Fri, 01 Jan 2027 00:00:00 GMT");
        let lake = lake_of(&url, &format!("to = 2026-10-07\nparallel = {parallel}"));
        lake.run("2026-10");
        assert_eq!(invoiced(&lake), ["alpha instance flavor=m1.small 6 0.06"]);
        assert_eq!(load.most.load(Ordering::SeqCst), parallel);
    }
}

#[test]
fn a_server_clock_that_differs_limits_the_pull_and_is_a_warning() {
    use jiff::{SignedDuration, Timestamp, Unit};
    // A pull ends ten minutes before the time of the clock, rounded down to a whole minute.
    let until = |clock: Timestamp| {
        let known = clock - SignedDuration::from_mins(10);
        known
            .round(jiff::TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Floor))
            .unwrap()
            .to_string()
    };
    for (apart, expected) in [(-3_600, "seconds behind this"), (86_400, "seconds ahead of this"), (20, "")] {
        let before = Timestamp::now();
        let theirs = before + SignedDuration::from_secs(apart);
        let (url, _) = serve_slowly(&theirs.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        let from = (before - SignedDuration::from_hours(30)).strftime("%F");
        // The source has no key `to`.
        let source = source(&url, &format!("from = {from}")).replace("to = 2026-10-04\n", "");
        let lake = lake(&source).file("password", SECRET);
        let output = lake.output(&["intake"]);
        let message = stderr_of(&output);
        assert!(output.status.success(), "{message}");
        let covered_to = &lake.rows("watermark")[0]["covered_to"];
        let known = [until(before.min(theirs)), until(Timestamp::now().min(theirs))];
        assert!(known[0] <= *covered_to && *covered_to <= known[1], "{apart}: {covered_to} of {known:?}");
        let warned = message.contains("the clock of the source `prometheus` is ") && message.contains(expected);
        assert_eq!(warned, !expected.is_empty(), "{apart}: {message}");
    }
}

#[test]
fn a_missing_password_file_or_ca_file_is_a_configuration_error() {
    let (url, requests) = serve(None);
    let lake = lake_of(&url, "");
    lake.remove("password");
    let message = lake.fails(2, &["run", "--period", "2026-10"]);
    assert!(message.contains("the source `prometheus` has invalid connection settings"), "{message}");
    assert!(message.contains("password`, the file of the password"), "{message}");
    let keys = r#"
        auth = { kind = "basic", user = "conto" }
        ca_file = "authority.pem"
        "#;
    lake.configure(source(&url, keys));
    lake.put("authority.pem", "-----BEGIN NOTHING-----");
    let message = lake.fails(2, &["run", "--period", "2026-10"]);
    assert!(message.contains("authority.pem` contains no certificate in PEM format"), "{message}");
    assert_eq!((requests.load(Ordering::SeqCst), lake.commit_count()), (0, 0));
}

/// A partial list of the metrics would leave out the usage of the others. An empty list of warnings is no warning.
#[test]
fn a_partial_list_of_metrics_is_listed() {
    let list = |more: &str| answer("200 OK", "", &format!("{{\"status\": \"success\", \"data\": []{more}}}"));
    for (more, expected) in [
        (r#", "warnings": ["results truncated due to limit"]"#, Some("results truncated due to limit")),
        (r#", "isPartial": true"#, Some("the response is partial")),
        (r#", "isPartial": false, "warnings": []"#, None),
    ] {
        let response = list(more);
        let url = stub_server::serve(move |request| {
            assert!(request.target.contains("partial_response=false&deny_partial_response=1"), "{request:?}");
            let (_, body) = response.split_once("\r\n\r\n").unwrap();
            stub_server::Response::Json(body.to_owned())
        });
        let lake = lake_of(&url, "");
        let output = lake.output(&["intake"]);
        assert_eq!(output.status.success(), expected.is_none(), "{}", stderr_of(&output));
        let details = lake.column("unread_input", "detail");
        assert_eq!(details.len(), usize::from(expected.is_some()), "{details:?}");
        assert!(details.iter().all(|detail| detail.contains(expected.unwrap())), "{details:?}");
    }
}

#[test]
fn a_failed_pull_keeps_its_samples_and_bills_the_others_and_the_next_run_continues() {
    let page = "<!DOCTYPE html><title>Bad Gateway</title>";
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{\"status\": \"success\", \"da";
    let away = answer("302 Found", "Location: https://login.example.org/?ticket=s3cret\r\n", "");
    let wrong = r#"{"status": "error", "errorType": "execution", "error": "no space left"}"#;
    // The samples of a part of the server only, as a remote storage or a storage node fails.
    let rest = r#"{"status": "success", "data": {"resultType": "matrix", "result": []}"#;
    let remote = format!("{rest}, \"warnings\": [\"remote_read: 503 Service Unavailable\"]}}");
    let partial = format!("{rest}, \"isPartial\": true}}");
    for (trouble, expected) in [
        (answer("401 Unauthorized", "", r#"{"error": "who?"}"#), "the server denies access (401 Unauthorized: who?)"),
        (answer("429 Too Many Requests", "Retry-After: 0\r\n", ""), "the server responds with 429 Too Many Requests"),
        (
            answer("500 Internal Server Error", "", wrong),
            "the server responds with 500 Internal Server Error: no space left",
        ),
        (answer("502 Bad Gateway", "", page), "the server responds with 502 Bad Gateway: an HTML page"),
        (answer("200 OK", "", page), "the response is HTML, expected JSON; check that `url` is the URL of the API"),
        (answer("200 OK", "", r#"{"status": "success"}"#), "the response has no `data`"),
        (
            answer("200 OK", "", &remote),
            "the response has a warning, so samples may be missing: remote_read: 503 Service Unavailable",
        ),
        (answer("200 OK", "", &partial), "the response is partial: a storage node of the server did not respond"),
        (half.to_owned(), "the response is incomplete"),
        (String::new(), "the response is incomplete"),
        ("silence".to_owned(), "no response within 1 seconds"),
        (away, "the server redirects to https://login.example.org/, which is not followed"),
    ] {
        let (url, _) = serve(Some(trouble));
        let lake = lake_of(&url, "");
        lake.configure(source(&url, "") + NEIGHBOUR);
        lake.put("usage/vm.csv", NEIGHBOURS_USAGE);
        let message = lake.fails(4, &["run", "--period", "2026-10"]);
        let place = format!("not read: `{url}/api/v1/query` of the source `prometheus`: ");
        assert!(message.contains(&place) && message.contains(expected), "{expected}: {message}");
        assert!(!message.contains(SECRET) && !message.contains("s3cret") && !message.contains("panicked"), "{message}");
        // The sample of the first date is kept and billed, and so is the usage of the other source.
        let others = "beta instance flavor=m1.small 1 0.01";
        assert_eq!(invoiced(&lake), ["alpha instance flavor=m1.small 1 0.01", others], "{expected}");
        let unread = &lake.rows("unread_input")[0];
        assert_eq!(unread["missing_from"], "2026-10-02T00:00:00Z", "{expected}");
        // A close names the missing dates.
        let message = lake.close_fails(3, "2026-10", "2026-11-02");
        let missing = "the usage of the source `prometheus` from 2026-10-02T00:00:00Z on was not read";
        assert!(message.contains(missing) && message.contains(expected), "{expected}: {message}");
        let covered = &lake.rows("watermark")[0]["covered_to"];
        assert_eq!(covered, "2026-10-02T00:00:00Z", "{expected}");

        // The second server does not fail. It gets four requests: the metrics, the last two hours of the first date
        // (the overlap), and the other two dates.
        let (url, requests) = serve(None);
        lake.configure(source(&url, "") + NEIGHBOUR);
        lake.run("2026-10");
        assert_eq!(invoiced(&lake), ["alpha instance flavor=m1.small 3 0.03", others], "{expected}");
        assert!(lake.rows("unread_input").is_empty(), "{expected}");
        assert_eq!(requests.load(Ordering::SeqCst), 4, "{expected}");
    }
}

/// A month that was read completely can be closed while the server is down.
#[test]
fn a_server_that_is_down_blocks_no_month_that_was_read_before() {
    let (url, _) = serve(None);
    let lake = lake_of(&url, "to = 2026-11-02\nparallel = 4");
    lake.run("2026-10");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    lake.configure(source(&format!("http://{free}"), "to = 2026-11-03\nretries = 0"));
    lake.fails(4, &["run", "--period", "2026-10"]);
    assert_eq!(lake.column("unread_input", "missing_from"), ["2026-11-02T00:00:00Z"]);
    let message = lake.close_fails(4, "2026-10", "2026-11-02");
    assert!(message.contains("no connection") && message.contains("1 input not read"), "{message}");
    assert_eq!(lake.rows("issued_document").len(), 1);
    // Usage of November is missing.
    let message = lake.close_fails(3, "2026-11", "2026-12-02");
    assert!(message.contains("the usage of the source `prometheus` from 2026-11-02T00:00:00Z on"), "{message}");
}

/// The settings worked before, so the missing password is a fault of this night and not of the configuration.
#[test]
fn a_password_that_is_missing_after_the_first_run_leaves_out_its_server_only() {
    let (url, _) = serve(None);
    let lake = lake_of(&url, "");
    lake.configure(source(&url, "") + NEIGHBOUR);
    lake.run("2026-10");
    lake.remove("password");
    lake.put("usage/vm.csv", NEIGHBOURS_USAGE);
    let message = lake.fails(4, &["run", "--period", "2026-10"]);
    assert!(message.contains("password`, the file of the password"), "{message}");
    let billed = ["alpha instance flavor=m1.small 3 0.03", "beta instance flavor=m1.small 1 0.01"];
    assert_eq!(invoiced(&lake), billed);
}

/// A second meter of the same source meter makes the run read all usage again. The settings of the server worked
/// before, so a missing password is still a fault of this night.
#[test]
fn a_password_that_is_missing_when_all_usage_is_read_again_leaves_out_its_server_only() {
    let (url, _) = serve(None);
    let lake = lake_of(&url, "");
    lake.configure(source(&url, "") + NEIGHBOUR);
    lake.put("usage/vm.csv", NEIGHBOURS_USAGE);
    lake.run("2026-10");
    lake.remove("password");
    let again = r#"
        [[meter]]
        name = "again"
        aggregation = "presence"
        unit = "u"
        source_meters = ["vcpus"]
        "#;
    lake.put("rating-rules/again.toml", again);
    let message = lake.fails(4, &["run", "--period", "2026-10"]);
    assert!(message.contains("password`, the file of the password"), "{message}");
}
