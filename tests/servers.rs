//! A server that goes wrong in the middle of a pull, in each of the ways in which servers do: what is told, with which
//! exit code, what is kept, and that the next night goes on from there.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::crash::conto;
use crate::live::{invoiced, world};
use crate::world::World;

const DAY: i64 = 86_400;
/// 2026-10-01T00:00:00Z.
const START: i64 = 1_790_812_800;
const SECRET: &str = "open sesame";
/// The names of metrics are asked for first, then the first date: the second one meets the trouble.
const TROUBLED: usize = 3;

fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

/// What a Prometheus says that scraped one machine of alpha once a day, at 01:00.
fn good(request: &str) -> String {
    if request.contains("/label/") {
        return answer("200 OK", "", "{\"status\": \"success\", \"data\": [\"ceilometer_vcpus\"]}");
    }
    let time = request.split("time=").nth(1).unwrap();
    let end: i64 = time[..time.find('.').unwrap()].parse().unwrap();
    let at = START + (end - START) / DAY * DAY + 3_600;
    let series = "{\"resource\": \"vm\", \"project\": \"alpha\", \"unit\": \"vcpu\", \"flavor_name\": \"m1.small\"}";
    let matrix = format!("[{{\"metric\": {series}, \"values\": [[{at}, \"1\"]]}}]");
    let data = format!("{{\"resultType\": \"matrix\", \"result\": {matrix}}}");
    answer("200 OK", "", &format!("{{\"status\": \"success\", \"data\": {data}}}"))
}

/// How many questions a server holds at once.
#[derive(Debug, Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// As [`good`], with the server's clock in the headers, to as many as ask at once, each after a while.
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

/// A server that gives this answer in the place of the third and of all after it. An empty one ends the connection, and
/// `silence` lets it wait. Counts how often it was asked.
fn serve(trouble: Option<String>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
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
            // Who asked may have gone.
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    (url, asked)
}

fn config_of(world: &World, url: &str) {
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    let config = config.split("[[source]]").next().unwrap();
    world.put(
        "conto.toml",
        format!(
            "{config}[[source]]\nname = \"prometheus\"\nformat = \"prometheus\"\nurl = \"{url}\"\nfrom = 2026-10-01\n\
             to = 2026-10-04\nretries = 1\nparallel = 1\ntimeout = \"1s\"\n\
             auth = {{ kind = \"basic\", user = \"conto\", password_file = \"password\" }}\n"
        ),
    );
    world.put("password", SECRET);
}

#[test]
fn as_many_questions_are_asked_at_once_as_the_source_says() {
    for parallel in [1, 3] {
        let world = world("name = \"none\"\nformat = \"csv\"\npath = \"none/*\"\n");
        let (url, load) = serve_slowly("Fri, 01 Jan 2027 00:00:00 GMT");
        config_of(&world, &url);
        let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
        let config = config.replace("to = 2026-10-04", "to = 2026-10-07");
        world.put("conto.toml", config.replace("parallel = 1", &format!("parallel = {parallel}")));
        world.run("2026-10");
        assert_eq!(invoiced(&world), ["alpha instance flavor=m1.small 6 0.06"]);
        assert_eq!(load.most.load(Ordering::SeqCst), parallel);
    }
}

#[test]
fn a_server_whose_clock_is_off_is_asked_up_to_the_earlier_of_both_clocks_and_that_is_told() {
    use jiff::{SignedDuration, Timestamp, Unit};
    // The youngest ten minutes are left for the next time, in whole minutes.
    let until = |clock: Timestamp| {
        let known = clock - SignedDuration::from_mins(10);
        known
            .round(jiff::TimestampRound::new().smallest(Unit::Minute).mode(jiff::RoundMode::Floor))
            .unwrap()
            .to_string()
    };
    for (apart, told) in [(-3_600, "seconds behind ours"), (86_400, "seconds ahead of ours"), (20, "")] {
        let world = world("name = \"none\"\nformat = \"csv\"\npath = \"none/*\"\n");
        let before = Timestamp::now();
        let theirs = before + SignedDuration::from_secs(apart);
        let (url, _) = serve_slowly(&theirs.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        config_of(&world, &url);
        let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
        let from = (before - SignedDuration::from_hours(30)).strftime("%F");
        world.put("conto.toml", config.replace("from = 2026-10-01\nto = 2026-10-04\n", &format!("from = {from}\n")));
        let output = conto(&world, &["intake"], &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let covered_to = &world.rows("watermark")[0]["covered_to"];
        let known = [until(before.min(theirs)), until(Timestamp::now().min(theirs))];
        assert!(known[0] <= *covered_to && *covered_to <= known[1], "{apart}: {covered_to} of {known:?}");
        let warned = said.contains("the clock of the source `prometheus` is ") && said.contains(told);
        assert_eq!(warned, !told.is_empty(), "{apart}: {said}");
    }
}

#[test]
fn a_secret_or_an_authority_that_is_not_there_is_the_configuration_s_to_mend() {
    let world = world("name = \"none\"\nformat = \"csv\"\npath = \"none/*\"\n");
    let (url, asked) = serve(None);
    let said = || {
        let output = conto(&world, &["run", "--period", "2026-10"], &[]).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    config_of(&world, &url);
    std::fs::remove_file(world.path("password")).unwrap();
    let told = said();
    assert!(told.contains("the source `prometheus` cannot be asked as it is configured"), "{told}");
    assert!(told.contains("password`, which holds the password"), "{told}");
    let config = std::fs::read_to_string(world.path("conto.toml")).unwrap();
    world.put("conto.toml", config.replace("password_file = \"password\" }", "}\nca_file = \"authority.pem\""));
    world.put("authority.pem", "-----BEGIN NOTHING-----");
    let told = said();
    assert!(told.contains("authority.pem` holds no certificate in PEM"), "{told}");
    assert_eq!((asked.load(Ordering::SeqCst), world.snapshot().commits().len()), (0, 0));
}

#[test]
fn whatever_goes_wrong_is_told_and_the_next_night_goes_on_from_there() {
    let page = "<!DOCTYPE html><title>Bad Gateway</title>";
    let half = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\nConnection: close\r\n\r\n{\"status\": \"success\", \"da";
    let away = answer("302 Found", "Location: https://login.example.org/?ticket=s3cret\r\n", "");
    let wrong = "{\"status\": \"error\", \"errorType\": \"execution\", \"error\": \"no space left\"}";
    for (trouble, told) in [
        (
            answer("401 Unauthorized", "", "{\"error\": \"who?\"}"),
            "the server does not let us in (401 Unauthorized: who?)",
        ),
        (answer("429 Too Many Requests", "Retry-After: 0\r\n", ""), "the server answers 429 Too Many Requests"),
        (answer("500 Internal Server Error", "", wrong), "the server answers 500 Internal Server Error: no space left"),
        (answer("502 Bad Gateway", "", page), "the server answers 502 Bad Gateway: with a page of HTML"),
        (answer("200 OK", "", page), "the answer is HTML, expected JSON; is the URL that of the API?"),
        (answer("200 OK", "", "{\"status\": \"success\"}"), "the answer has no `data`"),
        (half.to_owned(), "the answer broke off"),
        (String::new(), "the answer broke off"),
        ("silence".to_owned(), "no answer within 1 seconds"),
        (away, "the server sends us on to https://login.example.org/, which is not followed"),
    ] {
        let world = world("name = \"none\"\nformat = \"csv\"\npath = \"none/*\"\n");
        let (url, _) = serve(Some(trouble));
        config_of(&world, &url);
        let output = conto(&world, &["run", "--period", "2026-10"], &[]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{told}: {said}");
        let source = format!("the source `prometheus` could not be read at `{url}/api/v1/query?");
        assert!(said.contains(&source) && said.contains(told), "{told}: {said}");
        assert!(!said.contains(SECRET) && !said.contains("s3cret") && !said.contains("panicked"), "{said}");
        // The first date is kept, and nothing is billed of a month that is not known to its end.
        assert_eq!((world.rows("sample").len(), world.rows("invoice_line").len()), (1, 0), "{told}");
        let covered = &world.rows("watermark")[0]["covered_to"];
        assert_eq!(covered, "2026-10-02T00:00:00Z", "{told}");

        // It is mended over the day: names, two dates, and the two hours of the overlap, which are of the first date.
        let (url, asked) = serve(None);
        config_of(&world, &url);
        let output = conto(&world, &["run", "--period", "2026-10"], &[]).output().unwrap();
        assert!(output.status.success(), "{told}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(invoiced(&world), ["alpha instance flavor=m1.small 3 0.03"], "{told}");
        assert_eq!(asked.load(Ordering::SeqCst), 4, "{told}");
    }
}
