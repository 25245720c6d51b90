//! A real VictoriaMetrics, which has the query API of Prometheus, with the same small cloud.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::cloud::{Process, free_port, invoiced, is_installed, lake, skip, text, wait_for};
use super::prometheus::{INVOICED, PERIOD, TO_NOVEMBER, cloud, source};

/// Sends a request. Returns the head and body of the response.
fn ask(port: u16, request: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    write!(
        stream,
        "{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Samples with timestamps in milliseconds, which the import needs. OpenMetrics has seconds.
fn in_milliseconds(openmetrics: &str) -> String {
    let mut text = String::new();
    for line in openmetrics.lines().filter(|line| !line.starts_with('#')) {
        writeln!(text, "{line}000").unwrap();
    }
    text
}

#[test]
fn victoria_metrics_gives_the_same_invoices_as_prometheus() {
    if !is_installed("victoria-metrics") {
        return skip("victoria-metrics");
    }
    let directory = tempfile::tempdir().unwrap();
    let port = free_port();
    let _process = Process::start(
        Command::new("victoria-metrics")
            .arg(format!("-storageDataPath={}", text(directory.path())))
            .arg("-retentionPeriod=100y")
            .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    wait_for(port, "/health");
    let answer = ask(port, "POST /api/v1/import/prometheus", &in_milliseconds(&cloud().openmetrics()));
    assert!(answer.starts_with("HTTP/1.1 204"), "{answer}");
    assert!(ask(port, "GET /internal/force_flush", "").starts_with("HTTP/1.1 200"));

    let lake = lake(&source(port, TO_NOVEMBER));
    let summary = lake.run(PERIOD);
    assert_eq!(invoiced(&lake), INVOICED);
    // VictoriaMetrics does not store NaN, so no record is rejected.
    assert_eq!(lake.rows("rejected_record").len(), 0);
    assert_eq!(summary.intake.samples_duplicate, 0);
    assert_eq!(summary.intake.samples_accepted, 576 + 12 + 252 + 576 + 575 + 576);
}
