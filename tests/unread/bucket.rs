//! A bucket on loopback whose keys are any text, and whose objects can fail.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::inputs::{self, Bad, Kind, SOURCES, Usage, file};
use super::{PRICE, assert_billed, assert_listed};
use crate::test_lake::{TestLake, stderr_of};

const PERIOD: &str = "2026-10";

/// The answer of the bucket to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Content,
    Status(&'static str),
    /// No answer within the timeout of the client.
    Silence,
}

/// The objects: the answer and the content of each key.
type Objects = BTreeMap<String, (Answer, Vec<u8>)>;

/// Serves the bucket until the process ends. `listing` is the answer to a listing. Returns the URL.
fn serve(objects: Objects, listing: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let objects = Arc::new(objects);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let objects = Arc::clone(&objects);
            std::thread::spawn(move || {
                let _ = answer(client, &objects, listing);
            });
        }
    });
    url
}

fn answer(mut client: TcpStream, objects: &Objects, listing: Answer) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let key = decoded(path.trim_start_matches("/telemetry").strip_prefix('/').unwrap_or_default());
    let (kind, body) = if query.contains("list-type=2") {
        (listing, list(objects).into_bytes())
    } else {
        let missing = (Answer::Status("404 Not Found"), Vec::new());
        objects.get(&key).cloned().unwrap_or(missing)
    };
    let (status, body) = match kind {
        Answer::Content => ("200 OK", body),
        Answer::Status(status) => (status, "<?xml version=\"1.0\"?><Error><Code>Why</Code></Error>".into()),
        Answer::Silence => {
            std::thread::sleep(Duration::from_secs(3));
            return Ok(());
        }
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nETag: \"e\"\r\nLast-Modified: Sun, 01 Nov 2026 00:00:00 GMT\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    client.write_all(&[head.as_bytes(), &body].concat())
}

fn list(objects: &Objects) -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>".to_owned();
    for (key, (_, content)) in objects {
        let key: String = key
            .chars()
            .map(|character| match character {
                '&' | '<' | '>' => format!("&#{};", u32::from(character)),
                character if character.is_control() => format!("&#x{:X};", u32::from(character)),
                character => character.to_string(),
            })
            .collect();
        write!(
            text,
            "<Contents><Key>{key}</Key><LastModified>2026-11-01T00:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag>\
             <Size>{}</Size></Contents>",
            content.len()
        )
        .unwrap();
    }
    text + "</ListBucketResult>"
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let digits =
            || [rest.clone().next(), rest.clone().nth(1)].into_iter().flatten().map(char::from).collect::<String>();
        match byte {
            b'%' => {
                bytes.push(u8::from_str_radix(&digits(), 16).unwrap());
                rest.nth(1);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn usage(resource: usize) -> Vec<u8> {
    format!("meter,resource_id,measured_at,quantity,project_id\nm,r{resource},2026-10-05T10:00:00Z,1,p\n").into()
}

/// A lake with a good file of 5 units, and a source of this path in the bucket.
fn lake(path: &str) -> TestLake {
    let lake = TestLake::of_one_rule(r#"aggregation = "sum""#, r#"unit_price = "1""#).config(format!(
        r#"
        [[source]]
        name = "table"
        format = "csv"
        path = "usage/*.csv*"

        [[source]]
        name = "bucket"
        format = "csv"
        path = "{path}"
        "#
    ));
    lake.deliver("good", ["m,a,2026-10-05T10:00:00Z,5,p"]);
    lake
}

/// Sets the environment variables with which a command finds the bucket.
fn bucket_variables<'c>(command: &'c mut Command, url: &str) -> &'c mut Command {
    command.env("AWS_ENDPOINT_URL", url).env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret");
    command.env("AWS_REGION", "us-east-1").env("AWS_TIMEOUT", "1s")
}

/// Runs the month. Returns the exit code and the messages.
fn run(lake: &TestLake, url: &str) -> (i32, String) {
    let mut command = lake.command(&["run", "--period", PERIOD]);
    let output = bucket_variables(&mut command, url).output().unwrap();
    (output.status.code().unwrap(), stderr_of(&output))
}

/// The path below the bucket and the reason of each unread input.
fn unread(lake: &TestLake) -> Vec<(String, String)> {
    let below = |url: &str| url.strip_prefix("s3://telemetry/").unwrap_or(url).to_owned();
    lake.rows("unread_input").iter().map(|row| (below(&row["url"]), row["reason"].clone())).collect()
}

#[test]
fn keys_of_any_text_are_read_or_listed() {
    let good = ["a.csv", "c d.csv", "e+f.csv", "100%25.csv", "é&<.csv", "2026/10/g.csv", "/2026/10/b.csv", "x//y.csv"];
    let bad = ["../up.csv", "./here.csv", "line\nbreak.csv", "bell\u{7}.csv"];
    let ignored = ["_SUCCESS", "", "2026/"];
    let mut objects = Objects::new();
    for (number, key) in good.into_iter().chain(bad).chain(ignored).enumerate() {
        let content = if key.ends_with(".csv") { usage(number) } else { Vec::new() };
        objects.insert(format!("polls/{key}"), (Answer::Content, content));
    }
    let url = serve(objects, Answer::Content);
    let lake = lake("s3://telemetry/polls/**/*.csv");
    let (code, message) = run(&lake, &url);
    assert_eq!(code, 4, "{message}");
    let mut expected = bad.map(|key| (format!("polls/{key}"), "unusable_name".to_owned()));
    expected.sort();
    assert_eq!(unread(&lake), expected);
    assert!(message.contains(r"line\nbreak.csv` of the source `bucket`: the key starts with a slash"), "{message}");
    // 5 units of the file, and one of each key that can be read.
    assert_eq!(lake.column("invoice", "total_without_tax"), [format!("{}.0000", 5 + good.len())]);
    // The keys that were read are known in the next run.
    assert_eq!(run(&lake, &url).0, 4);
    assert_eq!(lake.rows("input_file").len(), 1 + good.len());
}

#[test]
fn a_path_with_an_empty_segment_lists_the_keys_below_it() {
    let objects = [("polls//a.csv", 1), ("polls/b.csv", 2), ("polls//d/c.csv", 3)];
    let objects = objects.map(|(key, number)| (key.to_owned(), (Answer::Content, usage(number))));
    let url = serve(objects.into(), Answer::Content);
    let lake = lake("s3://telemetry/polls//*.csv");
    let (code, message) = run(&lake, &url);
    assert_eq!(code, 0, "{message}");
    assert_eq!(lake.column("invoice", "total_without_tax"), ["6.0000"]);
}

#[test]
fn an_object_that_fails_is_listed_and_the_others_are_billed() {
    let objects = [
        ("a.csv", Answer::Content),
        ("denied.csv", Answer::Status("403 Forbidden")),
        ("failed.csv", Answer::Status("500 Internal Server Error")),
        ("gone.csv", Answer::Status("404 Not Found")),
        ("silent.csv", Answer::Silence),
        ("z.csv", Answer::Content),
    ];
    let objects = objects.into_iter().enumerate();
    let objects = objects.map(|(number, (key, answer))| (format!("polls/{key}"), (answer, usage(number))));
    let url = serve(objects.collect(), Answer::Content);
    let lake = lake("s3://telemetry/polls/*.csv");
    let (code, message) = run(&lake, &url);
    assert_eq!(code, 4, "{message}");
    let expected = [("denied", "no_permission"), ("failed", "failed"), ("gone", "not_found"), ("silent", "failed")];
    assert_eq!(unread(&lake), expected.map(|(key, reason)| (format!("polls/{key}.csv"), reason.to_owned())));
    assert_eq!(lake.column("invoice", "total_without_tax"), ["7.0000"]);
    // Nothing that differs from run to run is stored: no duration and no id of a request.
    let commits = lake.commit_count();
    run(&lake, &url);
    assert_eq!(lake.commit_count(), commits);
}

#[test]
fn a_bucket_that_cannot_be_listed_leaves_out_its_source_only() {
    for (listing, reason) in [
        (Answer::Status("403 Forbidden"), "no_permission"),
        (Answer::Status("500 Internal Server Error"), "failed"),
        (Answer::Silence, "failed"),
    ] {
        let url = serve(Objects::new(), listing);
        let lake = lake("s3://telemetry/polls/*.csv");
        let (code, message) = run(&lake, &url);
        assert_eq!(code, 4, "{listing:?}: {message}");
        assert_eq!(unread(&lake), [("polls/*.csv".to_owned(), reason.to_owned())], "{listing:?}");
        assert_eq!(lake.column("invoice", "total_without_tax"), ["5.0000"], "{listing:?}");
        // The source as a whole was not read, whatever number of rejected records is accepted.
        lake.configure("closing.max_rejected = 100");
        let mut close = lake.close_command(PERIOD, "2026-11-02");
        let output = bucket_variables(&mut close, &url).output().unwrap();
        let message = stderr_of(&output);
        assert!(message.contains("the source `bucket` was not read: `s3://telemetry/polls/*.csv`"), "{message}");
    }
}

#[test]
fn a_bucket_that_does_not_exist_is_an_error_of_the_configuration() {
    let url = serve(Objects::new(), Answer::Status("404 Not Found"));
    let (code, message) = run(&lake("s3://telemetry/polls/*.csv"), &url);
    assert!(code == 2 && message.contains("the bucket of the source `bucket` is not found"), "{code}: {message}");
}

/// After three failures in a row, the remaining objects of the source are listed without a request.
#[test]
fn a_store_that_fails_again_and_again_is_not_tried_for_every_object() {
    let failed = (Answer::Status("500 Internal Server Error"), b"x".to_vec());
    let objects = (1..=6).map(|number| (format!("polls/{number}.csv"), failed.clone()));
    let lake = lake("s3://telemetry/polls/*.csv");
    let (code, message) = run(&lake, &serve(objects.collect(), Answer::Content));
    assert_eq!(code, 4, "{message}");
    let reasons: Vec<String> = unread(&lake).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["failed", "failed", "failed", "not_tried", "not_tried", "not_tried"]);
    assert_eq!(lake.column("invoice", "total_without_tax"), ["5.0000"]);
}

/// Every bad content of every format, as objects of one bucket beside good objects.
#[test]
fn every_bad_content_of_every_format_in_a_bucket_is_listed_and_the_others_are_billed() {
    let mut objects = Objects::new();
    let mut bad = Vec::new();
    let quantities = [1, 2_500_000_000, 999_999_999_999, 10i128.pow(18), 7, 123_456_789_123_456, 12];
    for (number, quantity) in quantities.iter().enumerate() {
        let content = file(number, &[Usage::good(number, *quantity)]);
        objects.insert(format!("{}/good-{number}", SOURCES[number].0), (Answer::Content, content));
    }
    for source in 0..SOURCES.len() {
        for (number, kind) in Kind::CONTENTS.into_iter().enumerate() {
            let bad_file = Bad { source, kind, number };
            objects.insert(bad_file.name(), (Answer::Content, bad_file.content().unwrap()));
            bad.push(bad_file);
        }
    }
    let url = serve(objects, Answer::Content);
    let lake = inputs::lake_at(PRICE, "s3://telemetry/");
    let (code, message) = run(&lake, &url);
    assert_eq!(code, 4, "{message}");
    assert_billed(&lake, &quantities);
    assert_listed(&lake, &bad);
}
