//! A real Prometheus with two days of a small cloud, with the metrics of OpenStack's exporters.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::cloud::{Process, free_port, invoiced, is_installed, lake, proxy, run, skip, text, wait_for};
use crate::test_lake::TestLake;

/// 2026-10-01T00:00:00Z.
pub(super) const START: i64 = 1_790_812_800;
pub(super) const STEP: i64 = 300;
/// Two days of polls every five minutes.
const POLLS: i64 = 576;
pub(super) const PERIOD: &str = "2026-10";

pub(super) struct Prometheus {
    process: Process,
    pub(super) port: u16,
    directory: TempDir,
}

impl Prometheus {
    /// Loads samples in the OpenMetrics format, and starts the server with these samples.
    pub(super) fn start(openmetrics: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (samples, data) = (directory.path().join("samples.txt"), directory.path().join("data"));
        std::fs::write(&samples, openmetrics).unwrap();
        std::fs::write(directory.path().join("prometheus.yml"), "global: {}\n").unwrap();
        run(Command::new("promtool").args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&samples).arg(&data));
        let port = free_port();
        let process = Self::process(&directory, port, &[]);
        Self { process, port, directory }
    }

    fn process(directory: &TempDir, port: u16, arguments: &[&str]) -> Process {
        let process = Process::start(
            Command::new("prometheus")
                .arg(format!("--config.file={}", text(&directory.path().join("prometheus.yml"))))
                .arg(format!("--storage.tsdb.path={}", text(&directory.path().join("data"))))
                .arg("--storage.tsdb.retention.time=50y")
                .arg(format!("--web.listen-address=127.0.0.1:{port}"))
                .args(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        wait_for(port, "/-/ready");
        process
    }

    fn restart(&mut self, arguments: &[&str]) {
        self.process.kill();
        self.process = Self::process(&self.directory, self.port, arguments);
    }
}

/// Samples by metric. OpenMetrics requires all series of a metric together.
#[derive(Default)]
pub(super) struct Samples(BTreeMap<String, Vec<String>>);

impl Samples {
    pub(super) fn add(
        &mut self,
        metric: &str,
        labels: &str,
        polls: impl IntoIterator<Item = i64>,
        value: impl Fn(i64) -> String,
    ) {
        let lines = self.0.entry(metric.to_owned()).or_default();
        lines.extend(
            polls.into_iter().map(|poll| format!("{metric}{{{labels}}} {} {}", value(poll), START + poll * STEP)),
        );
    }

    pub(super) fn openmetrics(&self) -> String {
        let mut text = String::new();
        for (metric, lines) in &self.0 {
            writeln!(text, "# TYPE {metric} gauge\n{}", lines.join("\n")).unwrap();
        }
        text + "# EOF\n"
    }
}

pub(super) fn ceilometer(counter: &str, resource: &str, project: &str, unit: &str, more: &str) -> String {
    format!(
        r#"counter="{counter}",resource="{resource}",project="{project}",unit="{unit}",{}{more}"#,
        r#"publisher="ceilometer",instance="cmp-0:9101",job="ceilometer""#
    )
}

/// The samples of the cloud in two days:
///
/// * `i-1` of alpha is an m1.small for 12 hours, then an m1.medium for 36. For one hour, a second agent also polls it,
///   half a minute later. Its counter increases by 1,000,000 at each of 215 polls, and restarts at zero with the poll
///   of 18:00. Then it increases by 500,000 at each of 359 polls: 215,000,000 + 179,500,000 bytes.
/// * `i-2` of beta is an m1.small on the first day, without samples from 10:00 to 13:00: 21 hours.
/// * `v-1` of alpha has 50 GiB for 48 hours. Its unit is renamed between the days, and one value is NaN.
/// * The address of beta is from another exporter: 48 hours.
pub(super) fn cloud() -> Samples {
    let mut samples = Samples::default();
    let flavor = |flavor: &str| format!(r#",flavor_name="{flavor}",resource_name="web-1:instance-00000001""#);
    let instance = |flavor: &str| ceilometer("vcpus", "i-1", "alpha", "vcpu", flavor);
    samples.add("ceilometer_vcpus", &instance(&flavor("m1.small")), 0..144, |_| "1".to_owned());
    samples.add("ceilometer_vcpus", &instance(&flavor("m1.medium")), 144..POLLS, |_| "2".to_owned());
    let second_agent = instance(&flavor("m1.small")).replace("cmp-0", "cmp-1");
    let lines = samples.0.get_mut("ceilometer_vcpus").unwrap();
    lines.extend((36..48).map(|poll| format!("ceilometer_vcpus{{{second_agent}}} 1 {}", START + poll * STEP + 30)));
    let other = ceilometer("vcpus", "i-2", "beta", "vcpu", r#",flavor_name="m1.small""#);
    samples.add("ceilometer_vcpus", &other, (0..120).chain(156..288), |_| "1".to_owned());
    let nic = ceilometer("network.outgoing.bytes", "i-1-tap1", "alpha", "B", "");
    samples.add("ceilometer_network_outgoing_bytes", &nic, 0..POLLS, |poll| match poll {
        0..216 => (5_000_000 + poll * 1_000_000).to_string(),
        _ => ((poll - 216) * 500_000).to_string(),
    });
    let volume = |unit: &str| ceilometer("volume.size", "v-1", "alpha", unit, "");
    samples
        .add("ceilometer_volume_size", &volume("GB"), 0..288, |poll| if poll == 7 { "NaN" } else { "50" }.to_owned());
    samples.add("ceilometer_volume_size", &volume("GiB"), 288..POLLS, |_| "50".to_owned());
    let address = r#"id="f-1",floating_ip_address="203.0.113.7",project_id="beta",status="DOWN""#;
    samples.add("openstack_neutron_floating_ip", address, 0..POLLS, |_| "1".to_owned());
    samples
}

/// The invoice lines of the cloud, as explained at [`cloud`].
pub(super) const INVOICED: [&str; 6] = [
    "alpha egress 394500000 3.95",
    "alpha instance flavor=m1.medium 36 0.72",
    "alpha instance flavor=m1.small 12 0.12",
    "alpha volume 2400 2.4",
    "beta floating-ip 48 0.24",
    "beta instance flavor=m1.small 21 0.21",
];

/// A source that pulls from 1 October on.
pub(super) fn source(port: u16, keys: &str) -> String {
    format!(
        r#"
        [[source]]
        name = "prometheus"
        format = "prometheus"
        url = "http://127.0.0.1:{port}"
        from = 2026-10-01
        {keys}
        "#
    )
}

pub(super) const TO_NOVEMBER: &str = "to = 2026-11-01";

#[test]
fn two_days_of_prometheus_give_the_expected_invoices() {
    if !is_installed("prometheus") || !is_installed("promtool") {
        return skip("prometheus");
    }
    let mut server = Prometheus::start(&cloud().openmetrics());
    let lake = lake(&source(server.port, TO_NOVEMBER));
    let summary = lake.run(PERIOD);
    assert_eq!(invoiced(&lake), INVOICED);
    let rejected = lake.rows("rejected_record");
    assert_eq!(rejected.len(), 1, "{rejected:?}");
    assert_eq!(rejected[0]["reason"], "quantity_not_finite", "{rejected:?}");
    // Every sample is requested once: no request overlaps the previous request.
    assert_eq!(summary.intake.samples_duplicate, 0);
    assert_eq!(summary.intake.samples_accepted, 576 + 12 + 252 + 576 + 575 + 576);
    let watermarks = lake.rows("watermark");
    assert!(watermarks.iter().all(|row| row["covered_to"] == "2026-11-01T00:00:00Z"), "{watermarks:?}");
    assert_eq!(watermarks.len(), 4);

    // A second run has nothing to pull, and changes nothing.
    let commits = lake.commit_count();
    lake.run(PERIOD);
    assert_eq!(lake.commit_count(), commits);

    // If the server has a limit, the requests have shorter intervals.
    server.restart(&["--query.max-samples=300"]);
    let small = super::cloud::lake(&source(server.port, TO_NOVEMBER));
    small.run(PERIOD);
    assert_eq!(invoiced(&small), INVOICED);
    let answers = |lake: &TestLake| lake.rows("input_file").len();
    assert_eq!(answers(&small), answers(&lake));
}

#[test]
fn a_pull_from_a_dead_server_continues_in_the_next_run() {
    if !is_installed("prometheus") || !is_installed("promtool") {
        return skip("prometheus");
    }
    let mut server = Prometheus::start(&cloud().openmetrics());
    let port = server.port;
    // The first run covers only the first day.
    let lake = lake(&source(port, "to = 2026-10-02"));
    lake.run(PERIOD);
    let after_a_day = invoiced(&lake);
    assert!(after_a_day.contains(&"alpha volume 1200 1.2".to_owned()), "{after_a_day:?}");
    lake.configure(source(port, "to = 2026-11-01\nretries = 1\ntimeout = '5s'"));
    server.process.kill();
    let unread = lake.run(PERIOD).intake.unread_inputs;
    assert!(unread[0].source == "prometheus" && unread[0].detail.contains("no connection"), "{unread:?}");
    server.restart(&[]);
    let summary = lake.run(PERIOD);
    assert_eq!(invoiced(&lake), INVOICED);
    // The two hours of the overlap are duplicates: 24 polls of the five streams of the first day, including i-2.
    assert_eq!(summary.intake.samples_duplicate, 5 * 24);
}

#[test]
fn a_pull_survives_a_restart_of_the_server() {
    if !is_installed("prometheus") || !is_installed("promtool") {
        return skip("prometheus");
    }
    let number_of_death = 4;
    let server = Arc::new(Mutex::new(Prometheus::start(&cloud().openmetrics())));
    let port = server.lock().unwrap().port;
    let requests = Arc::new(AtomicUsize::new(0));
    let (dying, count) = (Arc::clone(&server), Arc::clone(&requests));
    let through = proxy(port, move |number, _| {
        count.store(number, Ordering::SeqCst);
        if number == number_of_death {
            dying.lock().unwrap().process.kill();
            let again = Arc::clone(&dying);
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(1));
                again.lock().unwrap().restart(&[]);
            });
        }
        None
    });
    let lake = lake(&source(through, "to = 2026-11-01\nretries = 12\nparallel = 1"));
    let summary = lake.run(PERIOD);
    assert_eq!(invoiced(&lake), INVOICED);
    assert_eq!((summary.intake.samples_duplicate, summary.intake.records_rejected), (0, 1));
    // One request for the names, four requests on each of 31 dates, and repeated requests to the dead server.
    assert!(requests.load(Ordering::SeqCst) > 1 + 4 * 31, "{requests:?}");
    // The thread of the proxy has the server until the end of all tests, so the server is not dropped.
    server.lock().unwrap().process.kill();
}
