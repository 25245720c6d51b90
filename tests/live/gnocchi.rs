//! A real Gnocchi with two days of a small cloud, in the format of Ceilometer's publisher.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tempfile::TempDir;

use super::cloud::{
    ask, free_port, installed_in, invoiced, is_installed, lake, proxy, run, skip, text, unread_input, wait_for,
};
use crate::test_lake::TestLake;

const PERIOD: &str = "2026-10";

/// The invoice lines of the cloud that `gnocchi.py` creates:
///
/// * web-1 of alpha is an m1.small for 12 hours, then an m1.medium for 36. Its counter has the values of the test of
///   Prometheus: 215,000,000 + 179,500,000 bytes.
/// * web-2 of beta is an m1.small on the first day, without samples from 10:00 to 13:00: 21 hours.
/// * db is an m1.medium on the second day, of alpha for 12 hours and then of beta for 12. It also moves to another
///   host.
/// * A volume of alpha has 50 GiB for 48 hours. Beta has an address, whose value is a code of its status.
pub(super) const INVOICED: [&str; 7] = [
    "alpha egress 394500000 3.95",
    "alpha instance flavor=m1.medium 48 0.96",
    "alpha instance flavor=m1.small 12 0.12",
    "alpha volume 2400 2.4",
    "beta floating-ip 48 0.24",
    "beta instance flavor=m1.medium 12 0.24",
    "beta instance flavor=m1.small 21 0.21",
];

pub(super) struct Gnocchi {
    directory: TempDir,
    pub(super) port: u16,
}

pub(super) fn script(name: &str) -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live").join(name))
}

/// The virtual environment with Gnocchi, from `GNOCCHI_VENV` or from `.ci/run`, if PostgreSQL is installed too.
pub(super) fn environment() -> Option<String> {
    let directory = installed_in("GNOCCHI_VENV", "conto-gnocchi")?;
    let has_postgresql = Path::new("/usr/lib/postgresql").is_dir() && is_installed("psql");
    (Path::new(&directory).join("bin/gnocchi-metricd").exists() && has_postgresql).then_some(directory)
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("bash");
    command.arg(script("gnocchi.sh")).args(arguments).env("GNOCCHI_VENV", environment().unwrap());
    command
}

/// Kills a process and its child processes at once.
fn kill_group(pid: &Path) {
    let pid = std::fs::read_to_string(pid).unwrap();
    run(Command::new("kill").args(["-KILL", "--", &format!("-{}", pid.trim())]));
}

impl Gnocchi {
    pub(super) fn start(page_size: u32) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        // The directory is below /tmp, which every user can access.
        let directory = tempfile::Builder::new().prefix("gnocchi-").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let server = Self { directory, port: free_port() };
        run(&mut command(&["start", &server.path(), &server.port.to_string(), &page_size.to_string()]));
        wait_for(server.port, "/v1/status?details=false");
        let dsn = std::fs::read_to_string(server.directory.path().join("dsn")).unwrap();
        run(Command::new("python3").arg(script("gnocchi.py")).args([&server.url(), dsn.trim()]));
        server
    }

    fn path(&self) -> String {
        text(self.directory.path())
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Restarts the API so that a Keystone authenticates its clients.
    pub(super) fn ask_keystone(&self, url: &str) {
        kill_group(&self.directory.path().join("api.pid"));
        run(&mut command(&["keystone", &self.path(), &self.port.to_string(), url]));
        wait_for(self.port, "/");
    }
}

impl Drop for Gnocchi {
    fn drop(&mut self) {
        let _ = command(&["stop", &self.path()]).output();
    }
}

fn source(url: &str, keys: &str) -> String {
    format!(
        r#"
        [[source]]
        name = "gnocchi"
        format = "gnocchi"
        url = "{url}"
        from = 2026-10-01
        to = 2026-10-05
        auth = {{ kind = "basic", user = "admin" }}
        {keys}
        "#
    )
}

/// A meter of the hours in which a volume exists, by its revisions and its measures.
const VOLUME_HOURS: &str = r#"
[[meter]]
name = "volume-hours"
aggregation = "presence"
unit = "volume-hour"
source_meters = ["volume.there", "volume.size"]
state_timeout = "13h"
dimensions.volume_type = { from = ["volume_type"] }

[[rule]]
id = "volume-hours"
meter = "volume-hours"
sku = "volume-hours"
service = "Cloud"
line_by = ["volume_type"]
unit_price = "1"
"#;

/// The invoice lines of the volumes:
///
/// * `backup` of alpha has no measures. It is an ssd from 02:00 to 12:30 and then an hdd to 01:00 of the next day. Its
///   end is recorded a quarter of an hour later. The ssd has ten hours up to 12:00, and the hdd has 12 + 1.
/// * `older` of alpha, an hdd, is from September and ends on 1 October at 05:30: six hours. `august` has no hours.
///   `september` has no hours either: it ended twenty minutes before October, recorded forty minutes later.
/// * `data` of alpha, an ssd, is measured for 48 hours and never ends. Its last measure, of 23:55, is valid for 13
///   hours more, which are in 13 hours of the third day.
/// * `forgotten` of beta, an ssd of the second day, never ends and is not measured: 13 hours from its start.
const VOLUMES: [&str; 3] = [
    "alpha volume-hours volume_type=hdd 19 19",
    "alpha volume-hours volume_type=ssd 71 71",
    "beta volume-hours volume_type=ssd 13 13",
];

/// Volumes are billed by their revisions, in one run and in several runs.
fn volumes_are_billed_by_their_revisions(server: &Gnocchi) {
    let presence = r#"
        [[source.presence]]
        resource_type = "volume"
        meter = "volume.there"
        "#;
    let of_volumes = |lake: &TestLake| -> Vec<String> {
        invoiced(lake).into_iter().filter(|line| line.contains("volume-hours")).collect()
    };
    let with_meter = |source: &str| {
        let lake = lake(source);
        lake.set_rules(lake.text("rules/rules.toml") + VOLUME_HOURS);
        lake
    };
    let whole = with_meter(&source(&server.url(), presence));
    whole.run(PERIOD);
    assert_eq!((of_volumes(&whole), whole.rows("rejected_record").len()), (VOLUMES.map(str::to_owned).to_vec(), 0));

    let lake = with_meter(&source(&server.url(), presence));
    for to in ["2026-10-01T00:10:00Z", "2026-10-01T12:00:00Z", "2026-10-02T01:10:00Z", "2026-10-03", "2026-10-05"] {
        lake.configure(source(&server.url(), presence).replace("to = 2026-10-05", &format!("to = {to}")));
        lake.run(PERIOD);
    }
    assert_eq!((of_volumes(&lake), lake.rows("rejected_record").len()), (VOLUMES.map(str::to_owned).to_vec(), 0));

    let refused = |from: &str, to: &str| {
        let lake = with_meter(&source(&server.url(), &presence.replace(from, to)));
        unread_input(&lake, PERIOD)
    };
    let error = refused(r#""volume""#, r#""volumes""#);
    assert!(error.contains("/v1/resource_type/volumes") && error.contains("404"), "{error}");
    let error = refused("volume.there", "volume.size");
    assert!(error.contains("use another name there"), "{error}");
}

#[test]
fn two_days_of_gnocchi_give_the_expected_invoices() {
    if environment().is_none() {
        return skip("gnocchi (GNOCCHI_VENV, PostgreSQL)");
    }
    // With two rows on a page, every list and the history of one resource have several pages.
    let server = Gnocchi::start(2);
    let whole = lake(&source(&server.url(), ""));
    let summary = whole.run(PERIOD);
    assert_eq!(invoiced(&whole), INVOICED);
    assert_eq!((summary.intake.samples_duplicate, summary.intake.records_rejected), (0, 0));
    assert_eq!(summary.intake.samples_accepted, 576 + 252 + 288 + 576 + 576 + 576);
    // A second run pulls nothing and changes nothing.
    let commits = whole.commit_count();
    whole.run(PERIOD);
    assert_eq!(whole.commit_count(), commits);

    volumes_are_billed_by_their_revisions(&server);

    // With a granularity of one hour, the same instance hours are billed. The counter is less exact.
    let hourly = lake(&source(&server.url(), r#"granularity = "1h""#));
    let summary = hourly.run(PERIOD);
    let of_instances =
        |lines: Vec<String>| -> Vec<String> { lines.into_iter().filter(|line| !line.contains("egress")).collect() };
    assert_eq!(of_instances(invoiced(&hourly)), of_instances(INVOICED.map(str::to_owned).to_vec()));
    assert_eq!(summary.intake.samples_accepted, 48 + 21 + 24 + 48 + 48 + 48);

    // The pull is cut off after the pages of the lists and the first day. The received samples are kept.
    let lake = lake(&source(&server.url(), ""));
    let through = |port: u16, retries: &str| {
        lake.configure(source(&format!("http://127.0.0.1:{port}"), &format!("parallel = 1\n{retries}")));
    };
    through(proxy(server.port, |number, _| (number > 26).then(String::new)), "retries = 1");
    let unread = lake.run(PERIOD).intake.unread_inputs;
    assert!(unread[0].source == "gnocchi" && unread[0].url.starts_with("http://127.0.0.1:"), "{unread:?}");
    let kept = lake.rows("sample").len();
    assert!(kept > 0 && kept < 2844, "{kept} samples were kept");

    // A page of HTML instead of measures is an error, and commits nothing more.
    let page = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 15\r\n\r\n<!DOCTYPE html>";
    let broken = move |_: usize, head: &str| head.contains("/v1/aggregates?").then(|| page.to_owned());
    through(proxy(server.port, broken), "retries = 0");
    let unread = lake.run(PERIOD).intake.unread_inputs;
    assert!(unread[0].url.ends_with("/v1/aggregates"), "{unread:?}");
    assert!(unread[0].detail.contains("502 Bad Gateway: an HTML page"), "{unread:?}");
    assert_eq!(lake.rows("sample").len(), kept);

    // The server dies during the pull and restarts during the retries.
    let number_of_death = 12;
    let pid = server.directory.path().join("api.pid");
    let again = (server.path(), server.port);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let dying = proxy(server.port, move |number, _| {
        count.store(number, Ordering::SeqCst);
        if number == number_of_death {
            kill_group(&pid);
            let (path, port) = again.clone();
            std::thread::spawn(move || {
                std::thread::sleep(Duration::from_secs(2));
                run(&mut command(&["api", &path, &port.to_string()]));
            });
        }
        None
    });
    through(dying, "retries = 12");
    lake.run(PERIOD);
    assert_eq!(invoiced(&lake), INVOICED);
    assert!(asked.load(Ordering::SeqCst) > number_of_death + 2, "requests were retried");

    // Missing credentials are an error, and so is a wrong URL.
    let wrong = |from: &str, to: &str| {
        let source = source(&server.url(), "").replace("to = 2026-10-05", "to = 2026-10-06\nretries = 0");
        lake.configure(source.replace(from, to));
        unread_input(&lake, PERIOD)
    };
    let error = wrong("auth = ", "#auth = ");
    assert!(error.contains("the server denies access (401"), "{error}");
    let error = wrong(&server.url(), &format!("{}/nosuch", server.url()));
    assert!(error.contains("the server responds with 404"), "{error}");

    auth_remote_user_sends_a_header(&server);
    a_metric_that_is_deleted_during_the_pull_is_listed(&server);
}

/// Gnocchi is behind a web server that authenticates clients and sets a header.
fn auth_remote_user_sends_a_header(server: &Gnocchi) {
    kill_group(&server.directory.path().join("api.pid"));
    run(&mut command(&["remote-user", &server.path(), &server.port.to_string()]));
    wait_for(server.port, "/");
    let with_auth =
        |auth: &str| lake(&source(&server.url(), "retries = 0\n").replace(r#"kind = "basic", user = "admin""#, auth));
    let by_header = with_auth(r#"kind = "remote-user", user = "admin", header = "X-Remote-User""#);
    by_header.run(PERIOD);
    assert_eq!(invoiced(&by_header), INVOICED);
    let error = unread_input(&with_auth(r#"kind = "basic", user = "admin""#), PERIOD);
    assert!(error.contains("the server denies access (401"), "{error}");
}

/// The metric of the address is deleted after the list and before its measures are read. The other metrics are billed.
fn a_metric_that_is_deleted_during_the_pull_is_listed(server: &Gnocchi) {
    let port = server.port;
    let mut is_deleted = false;
    let deleting = proxy(port, move |_, head| {
        if head.contains("/v1/aggregates?") && !is_deleted {
            is_deleted = true;
            let listed = ask(port, "GET", "/v1/metric?name=ip.floating").unwrap();
            let listed: serde_json::Value = serde_json::from_str(listed.split_once("\r\n\r\n").unwrap().1).unwrap();
            let id = listed[0]["id"].as_str().unwrap();
            let answer = ask(port, "DELETE", &format!("/v1/metric/{id}")).unwrap();
            assert!(answer.contains(" 204 "), "{answer}");
        }
        None
    });
    let remote = r#"kind = "remote-user", user = "admin", header = "X-Remote-User""#;
    let source = source(&format!("http://127.0.0.1:{deleting}"), "retries = 0\nparallel = 1\n");
    let lake = lake(&source.replace(r#"kind = "basic", user = "admin""#, remote));
    let unread = lake.run(PERIOD).intake.unread_inputs;
    assert!(unread.len() == 1 && unread[0].url.contains("/v1/metric/"), "{unread:?}");
    assert!(unread[0].detail.ends_with("was deleted before its measures were read"), "{unread:?}");
    let others: Vec<&str> = INVOICED.into_iter().filter(|line| !line.contains("floating-ip")).collect();
    assert_eq!(invoiced(&lake), others);
}
