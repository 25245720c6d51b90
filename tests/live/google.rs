//! A fake of Google's store, in the memory of this process. No emulator that can be installed has the XML interface
//! with its preconditions. The fake follows the documentation for the requests of a lake: put (also create-only), get
//! (also of a range), head, delete and list.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// The content and the generation of each object, by name.
type Objects = Mutex<BTreeMap<String, (Vec<u8>, u64)>>;

/// The service account of the programs. With `disable_oauth`, they request no token.
pub(super) const SERVICE_ACCOUNT: &str =
    r#"{"private_key": "", "private_key_id": "", "client_email": "", "disable_oauth": true}"#;

struct Request {
    method: String,
    /// The decoded path of bucket and object.
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
}

impl Answer {
    fn of(status: &'static str) -> Self {
        Self { status, headers: String::new(), body: Vec::new() }
    }
}

/// Serves one bucket until the process ends. Returns the port.
pub(super) fn serve(bucket: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let objects: Arc<Objects> = Arc::default();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let objects = Arc::clone(&objects);
            std::thread::spawn(move || {
                let _ = converse(client, &objects, bucket);
            });
        }
    });
    port
}

/// Reads one request, sends the response, and closes the connection.
fn converse(client: TcpStream, objects: &Objects, bucket: &str) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines[0].split(' ');
    let (method, target) = (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let pair = |text: &str| {
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        (decoded(name), decoded(&value.replace('+', "%20")))
    };
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: BTreeMap<String, String> = lines[1..].iter().filter_map(header).collect();
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let query = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
    let request = Request { method, path: decoded(path), query, headers, body };
    let answer = answer(&request, objects, bucket);
    let mut client = client;
    let length = if request.method == "HEAD" || answer.headers.contains("Content-Length") {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", answer.body.len())
    };
    write!(client, "HTTP/1.1 {}\r\nConnection: close\r\n{}{length}\r\n", answer.status, answer.headers)?;
    client.write_all(&answer.body)
}

fn answer(request: &Request, objects: &Objects, bucket: &str) -> Answer {
    let mut objects = objects.lock().unwrap_or_else(PoisonError::into_inner);
    let path = request.path.trim_start_matches('/');
    let (asked, name) = path.split_once('/').unwrap_or((path, ""));
    if asked != bucket {
        return Answer { body: b"<Error><Code>NoSuchBucket</Code></Error>".to_vec(), ..Answer::of("404 Not Found") };
    }
    match request.method.as_str() {
        "GET" if name.is_empty() => list(request, &objects),
        "GET" | "HEAD" => match objects.get(name) {
            Some((content, generation)) => read(request, content, *generation),
            None => Answer::of("404 Not Found"),
        },
        "PUT" => {
            let wanted = request.headers.get("x-goog-if-generation-match");
            let found = objects.get(name).map_or(0, |(_, generation)| *generation);
            if wanted.is_some_and(|wanted| *wanted != found.to_string()) {
                return Answer::of("412 Precondition Failed");
            }
            objects.insert(name.to_owned(), (request.body.clone(), found + 1));
            Answer { headers: about(found + 1), ..Answer::of("200 OK") }
        }
        "DELETE" => match objects.remove(name) {
            Some(_) => Answer::of("204 No Content"),
            None => Answer::of("404 Not Found"),
        },
        _ => Answer::of("405 Method Not Allowed"),
    }
}

fn about(generation: u64) -> String {
    format!(
        "ETag: \"{generation}\"\r\nx-goog-generation: {generation}\r\nLast-Modified: Thu, 26 Nov 2026 00:00:00 GMT\r\n"
    )
}

fn read(request: &Request, content: &[u8], generation: u64) -> Answer {
    let headers = about(generation);
    if request.method == "HEAD" {
        let headers = format!("{headers}Content-Length: {}\r\n", content.len());
        return Answer { headers, ..Answer::of("200 OK") };
    }
    let range = request.headers.get("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let Some((first, last)) = range else {
        return Answer { headers, body: content.to_vec(), ..Answer::of("200 OK") };
    };
    let size = content.len();
    let (start, end) = match (first.parse::<usize>(), last.parse::<usize>()) {
        (Ok(first), Ok(last)) => (first, (last + 1).min(size)),
        (Ok(first), Err(_)) => (first, size),
        (Err(_), Ok(last)) => (size.saturating_sub(last), size),
        (Err(_), Err(_)) => (0, size),
    };
    let Some(body) = content.get(start..end) else { return Answer::of("416 Range Not Satisfiable") };
    let headers = format!("{headers}Content-Range: bytes {start}-{}/{size}\r\n", end.saturating_sub(1));
    Answer { headers, body: body.to_vec(), ..Answer::of("206 Partial Content") }
}

fn list(request: &Request, objects: &BTreeMap<String, (Vec<u8>, u64)>) -> Answer {
    let asked = |name: &str| request.query.get(name).map(String::as_str).unwrap_or_default();
    let (prefix, after, delimiter) = (asked("prefix"), asked("start-after"), asked("delimiter"));
    let mut found = String::new();
    let mut folders = std::collections::BTreeSet::new();
    for (name, (content, generation)) in objects {
        let Some(rest) = name.strip_prefix(prefix).filter(|_| name.as_str() > after) else { continue };
        match rest.split_once(delimiter).filter(|_| !delimiter.is_empty()) {
            Some((folder, _)) => {
                folders.insert(format!("{prefix}{folder}{delimiter}"));
            }
            None => {
                let (key, size) = (escaped(name), content.len());
                write!(
                    found,
                    "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>\"{generation}\"</ETag>\
                     <LastModified>2026-11-26T00:00:00Z</LastModified></Contents>"
                )
                .unwrap();
            }
        }
    }
    for folder in folders {
        write!(found, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", escaped(&folder)).unwrap();
    }
    let body = format!("<?xml version=\"1.0\"?><ListBucketResult>{found}</ListBucketResult>").into_bytes();
    Answer { headers: "Content-Type: application/xml\r\n".to_owned(), body, ..Answer::of("200 OK") }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        match code.filter(|_| *first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
