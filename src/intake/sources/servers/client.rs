//! The HTTP client of one server. It retries transient failures and explains permanent failures.
//!
//! Redirects are not followed, so that credentials reach only the configured server. Errors contain no secrets: URLs
//! appear without user and password (the configuration allows none), and headers never appear.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Method, RequestBuilder, StatusCode, Url};

use crate::model::config::ServerConfig;
use crate::model::unread_input::UnreadReason;

/// The largest response that is read. A larger response requires a shorter fetch window.
const MAX_RESPONSE_BYTES: usize = 64 * 1024 * 1024;
/// The time limit for opening a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The pauses between attempts double. The jitter at most doubles a pause, so the first pause is at most 250 ms and the
/// longest at most 30 s.
const PAUSES: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(125))
    .with_max_delay(Duration::from_secs(15))
    .with_jitter();
/// The longest wait that a server can request.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The largest part of a server's message that is shown.
const EXCERPT_CHARS: usize = 200;

/// The reason why a server returned no usable response.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("no connection: {0}; check that the server is running and that `url` is correct")]
    Unreachable(String),
    #[error("the server's certificate is rejected: {0}; for a private authority, set `ca_file` of the source")]
    Certificate(String),
    #[error("no response within {0} seconds; increase `timeout` of the source")]
    TimedOut(u64),
    #[error("the response is incomplete: {0}")]
    BrokenOff(String),
    #[error("the response is larger than {} MiB", MAX_RESPONSE_BYTES / 1024 / 1024)]
    TooLarge,
    #[error("the server denies access ({status}{}); check `auth` of the source", suffix(.message))]
    Unauthorized { status: StatusCode, message: String },
    #[error("the server redirects to {0}, which is not followed; set `url` to the URL of the API itself")]
    Redirect(String),
    #[error("the server responds with {status}{}", suffix(.message))]
    Refused {
        status: StatusCode,
        message: String,
        /// The complete response.
        body: String,
    },
    #[error("the response is {found}, expected JSON; check that `url` is the URL of the API")]
    NotJson { found: String },
    #[error("{0}")]
    Unexpected(String),
    #[error("cannot read `{path}`, the file of {what}")]
    SecretFile {
        path: PathBuf,
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the environment variable `{0}` is not set, expected {1}")]
    SecretVariable(String, &'static str),
    #[error("`{path}` contains no certificate in PEM format")]
    BadCertificateFile {
        path: PathBuf,
        #[source]
        source: Option<reqwest::Error>,
    },
    #[error("{what} contains a character that an HTTP header must not contain")]
    BadSecret { what: &'static str },
    #[error("cannot initialize the HTTP client")]
    Client(#[source] reqwest::Error),
}

impl HttpError {
    /// Whether no request was sent, because a configured secret or certificate is unusable.
    pub const fn is_of_configuration(&self) -> bool {
        matches!(
            self,
            Self::SecretFile { .. }
                | Self::SecretVariable(..)
                | Self::BadCertificateFile { .. }
                | Self::BadSecret { .. }
        )
    }
}

impl HttpError {
    /// The reason why a server that fails with this error is unread.
    pub(super) fn unread_reason(&self) -> UnreadReason {
        match self {
            Self::Unauthorized { .. } => UnreadReason::NoPermission,
            Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND => UnreadReason::NotFound,
            _ => UnreadReason::Failed,
        }
    }
}

/// A server's message after a colon. Empty if the message is empty.
fn suffix(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl HttpError {
    /// Whether the same request is likely to succeed soon.
    fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::BrokenOff(_) => true,
            Self::Refused { status, .. } => matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

/// The response of a server.
#[derive(Debug)]
pub(super) struct Response {
    pub headers: HeaderMap,
    /// The body, in UTF-8 as JSON requires.
    pub text: String,
}

/// A request that can be repeated.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub method: Method,
    pub url: Url,
    /// The body, in JSON.
    pub body: Option<String>,
}

impl Request {
    pub(super) fn get(url: Url) -> Self {
        Self { method: Method::GET, url, body: None }
    }

    pub(super) fn post(url: Url, body: &serde_json::Value) -> Self {
        Self { method: Method::POST, url, body: Some(body.to_string()) }
    }
}

/// The HTTP client of one server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    client: reqwest::Client,
    timeout: Duration,
    retries: u32,
}

impl Client {
    pub(super) fn new(config: &ServerConfig) -> Result<Self, HttpError> {
        let timeout = Duration::from_secs(u64::from(config.timeout_seconds));
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("conto/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT.min(timeout))
            // A long response may take longer if data keep arriving.
            .read_timeout(timeout);
        if let Some(path) = &config.ca_file {
            let what = "the certificate of an authority";
            let pem = fs::read(path).map_err(|source| HttpError::SecretFile { path: path.clone(), what, source })?;
            let bad = |source| HttpError::BadCertificateFile { path: path.clone(), source };
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| bad(Some(error)))?;
            if certificates.is_empty() {
                return Err(bad(None));
            }
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self { client: builder.build().map_err(HttpError::Client)?, timeout, retries: config.retries })
    }

    /// Repeats the request until it succeeds, fails permanently, or no attempt is left.
    pub(super) async fn fetch(&self, request: &Request, headers: &HeaderMap) -> Result<Response, HttpError> {
        (|| self.send_once(request, headers))
            .retry(PAUSES.with_max_times(self.retries as usize))
            .when(|failure: &Failure| failure.error.is_transient())
            // No pause means that no attempt is left.
            .adjust(|failure, pause| pause.map(|pause| failure.wait.unwrap_or(pause)))
            .notify(|failure, _| tracing::debug!("{}: {}; the request is repeated", request.url, failure.error))
            .await
            .map_err(|failure| failure.error)
    }

    async fn send_once(&self, request: &Request, headers: &HeaderMap) -> Result<Response, Failure> {
        let mut builder: RequestBuilder = self.client.request(request.method.clone(), request.url.clone());
        builder = builder.headers(headers.clone()).header(ACCEPT, "application/json");
        if let Some(body) = &request.body {
            builder = builder.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let mut response = builder.send().await.map_err(|error| self.failure(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.failure(error))? {
            if body.len() + chunk.len() > MAX_RESPONSE_BYTES {
                return Err(HttpError::TooLarge.into());
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            let text = String::from_utf8(body).map_err(|_| not_json("binary data"))?;
            return match text.trim_start().as_bytes().first() {
                Some(b'{' | b'[') => Ok(Response { headers, text }),
                Some(b'<') => Err(not_json(if is_html(&text) { "HTML" } else { "XML" }).into()),
                Some(_) => Err(not_json("some other text").into()),
                None => Err(not_json("empty").into()),
            };
        }
        let body = String::from_utf8_lossy(&body).into_owned();
        let message = message_of(&body);
        let error = match status.as_u16() {
            401 | 403 => HttpError::Unauthorized { status, message },
            300..=399 => HttpError::Redirect(redirect_target(request, &headers)),
            _ => HttpError::Refused { status, message, body },
        };
        Err(Failure { error, wait: retry_after(&headers) })
    }

    /// The error of a failed transmission.
    fn failure(&self, error: reqwest::Error) -> Failure {
        let is_connect = error.is_connect();
        let is_timeout = error.is_timeout();
        // The innermost cause is the shortest.
        let mut cause: &dyn std::error::Error = &error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let cause = cause.to_string();
        let error = if is_timeout {
            HttpError::TimedOut(self.timeout.as_secs())
        } else if is_connect && (cause.contains("certificate") || cause.contains("UnknownIssuer")) {
            HttpError::Certificate(cause)
        } else if is_connect {
            HttpError::Unreachable(cause)
        } else {
            HttpError::BrokenOff(cause)
        };
        error.into()
    }
}

/// A failure, with the wait that the server requests.
#[derive(Debug)]
struct Failure {
    error: HttpError,
    wait: Option<Duration>,
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self { error, wait: None }
    }
}

fn not_json(found: &str) -> HttpError {
    HttpError::NotJson { found: found.to_owned() }
}

fn is_html(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(15).collect();
    let start = start.to_ascii_lowercase();
    start.starts_with("<!doctype html") || start.starts_with("<html")
}

/// A server's error message, shortened and on one line. The text of an HTML page is not shown.
fn message_of(body: &str) -> String {
    let text = body.trim();
    if text.starts_with('<') {
        return if is_html(text) { "an HTML page".to_owned() } else { String::new() };
    }
    let stated = serde_json::from_str::<serde_json::Value>(text).ok().and_then(|value| {
        // Prometheus uses `error`, Gnocchi `description`, Keystone `error.message`.
        let members = [&value["error"]["message"], &value["error"], &value["description"], &value["message"]];
        members.into_iter().find_map(|value| match value {
            serde_json::Value::String(text) => Some(text.clone()),
            serde_json::Value::Object(_) => Some(value.to_string()),
            _ => None,
        })
    });
    let text = stated.unwrap_or_else(|| text.to_owned());
    let one_line: Vec<&str> = text.split_whitespace().collect();
    one_line.join(" ").chars().take(EXCERPT_CHARS).collect()
}

/// The target of a redirect, without its query, which may contain a ticket.
fn redirect_target(request: &Request, headers: &HeaderMap) -> String {
    let target = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let target = target.and_then(|target| request.url.join(target).ok());
    target.map_or_else(|| "nowhere".to_owned(), |target| location(&target))
}

/// A URL without user, password, query and fragment.
pub(super) fn location(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both calls fail only for URLs without a host.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

/// The time of the server's clock.
pub(super) fn server_time(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::model::config::{Auth, Protocol};

    fn config(url: &str) -> ServerConfig {
        ServerConfig {
            protocol: Protocol::Prometheus { metrics: Vec::new() },
            url: url.parse().unwrap(),
            auth: Auth::None,
            ca_file: None,
            from: 0,
            to: None,
            delay_seconds: 0,
            overlap_seconds: 0,
            timeout_seconds: 1,
            retries: 2,
            parallel: 1,
        }
    }

    /// A server on loopback that returns each response on a connection of its own, and repeats the last response. The
    /// server counts the requests.
    fn serve(responses: &[&str]) -> (String, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(AtomicUsize::new(0));
        let (count, responses) =
            (Arc::clone(&requests), responses.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut request = [0; 4096];
                let _ = connection.read(&mut request).unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let response = responses.get(number).or(responses.last()).unwrap();
                if response == "silence" {
                    std::thread::spawn(move || {
                        std::thread::sleep(Duration::from_secs(3));
                        drop(connection);
                    });
                    continue;
                }
                let _ = connection.write_all(response.as_bytes());
            }
        });
        (url, requests)
    }

    fn http_response(status: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    fn fetch(url: &str) -> Result<Response, HttpError> {
        fetch_with(&config(url))
    }

    fn fetch_with(config: &ServerConfig) -> Result<Response, HttpError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let client = Client::new(config).unwrap();
        runtime.block_on(client.fetch(&Request::get(config.url.clone()), &HeaderMap::new()))
    }

    #[test]
    fn transient_failures_are_retried() {
        for failure in [
            http_response("500 Internal Server Error", "<html>oops</html>"),
            http_response("503 Service Unavailable", ""),
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into(),
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{\"half\"".into(),
            String::new(),
            "silence".into(),
        ] {
            let (url, requests) = serve(&[&failure, &http_response("200 OK", "{\"whole\": true}")]);
            assert_eq!(fetch(&url).unwrap().text, "{\"whole\": true}", "{failure}");
            assert_eq!(requests.load(Ordering::SeqCst), 2, "{failure}");
        }
    }

    #[test]
    fn permanent_failures_are_reported_at_once_and_transient_ones_after_the_last_attempt() {
        let failure = |responses: &[&str]| {
            let (url, requests) = serve(responses);
            (fetch(&url).unwrap_err().to_string(), requests.load(Ordering::SeqCst))
        };
        let (text, requests) = failure(&[&http_response("401 Unauthorized", "{\"code\": 401, \"description\": \"\"}")]);
        assert_eq!(text, "the server denies access (401 Unauthorized); check `auth` of the source");
        assert_eq!(requests, 1);
        let (text, requests) = failure(&[&http_response("200 OK", "<!DOCTYPE html><title>Log in</title>")]);
        assert_eq!(
            (&text[..], requests),
            ("the response is HTML, expected JSON; check that `url` is the URL of the API", 1)
        );
        assert_eq!(
            failure(&[&http_response("200 OK", "")]).0,
            "the response is empty, expected JSON; check that `url` is the URL of the API"
        );
        let (text, requests) = failure(&[&http_response("500 Internal Server Error", "<html>no</html>")]);
        assert_eq!((&text[..], requests), ("the server responds with 500 Internal Server Error: an HTML page", 3));
        let (text, requests) = failure(&["HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n{\"half\""]);
        assert!(text.starts_with("the response is incomplete: "), "{text}");
        assert_eq!(requests, 3);
        let redirect = "HTTP/1.1 302 Found\r\nLocation: https://login.example.org/?ticket=s3cret\r\n\
                        Content-Length: 0\r\nConnection: close\r\n\r\n";
        let (text, requests) = failure(&[redirect]);
        assert!(text.starts_with("the server redirects to https://login.example.org/, which is not"), "{text}");
        assert!(!text.contains("s3cret"));
        assert_eq!(requests, 1);
        let problem = "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"invalid parameter\"}";
        let (text, requests) = failure(&[&http_response("400 Bad Request", problem)]);
        assert_eq!((&text[..], requests), ("the server responds with 400 Bad Request: invalid parameter", 1));
        assert_eq!(failure(&["silence"]).0, "no response within 1 seconds; increase `timeout` of the source");
    }

    #[test]
    fn an_unreachable_server_is_reported() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = fetch(&format!("http://{free}/")).unwrap_err().to_string();
        assert!(error.starts_with("no connection: ") && error.contains("refused"), "{error}");
    }

    #[test]
    fn a_requested_wait_is_respected_even_if_longer_than_a_pause() {
        let busy = "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let (url, requests) = serve(&[busy, &http_response("200 OK", "{}")]);
        let begun = std::time::Instant::now();
        assert_eq!(fetch(&url).unwrap().text, "{}");
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
        assert_eq!(requests.load(Ordering::SeqCst), 2);
        // A requested wait does not add an attempt.
        let (url, requests) = serve(&[&busy.replace("After: 1", "After: 0")]);
        assert!(matches!(fetch(&url), Err(HttpError::Refused { .. })));
        assert_eq!(requests.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_pause_is_never_longer_than_half_a_minute() {
        use backon::BackoffBuilder as _;
        let pauses: Vec<Duration> = PAUSES.with_max_times(40).build().collect();
        assert_eq!(pauses.len(), 40);
        assert!(pauses[0] <= Duration::from_millis(250), "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(30)), "{pauses:?}");
        assert!(pauses[20..].iter().any(|pause| pause != &pauses[20]), "{pauses:?}");
    }

    #[test]
    fn the_time_of_a_server_is_read_from_its_headers() {
        let mut headers = HeaderMap::new();
        headers.insert(DATE, "Wed, 25 Nov 2026 16:31:13 GMT".parse().unwrap());
        assert_eq!(server_time(&headers).unwrap().to_string(), "2026-11-25T16:31:13Z");
    }

    /// Runs `openssl s_server` with a self-signed certificate for `localhost`.
    #[test]
    #[allow(clippy::print_stdout, reason = "a skipped test prints the reason")]
    fn a_certificate_is_checked_against_the_authority_and_the_name() {
        use std::process::{Command, Stdio};
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let created = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(path("key.pem"))
            .arg("-out")
            .arg(path("certificate.pem"))
            .stderr(Stdio::null())
            .status();
        if !created.is_ok_and(|status| status.success()) {
            println!("skipped: openssl is not installed");
            return;
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        std::fs::write(path("response.json"), "{\"safe\": true}").unwrap();
        let mut server = Command::new("openssl")
            .args(["s_server", "-accept", &port.to_string(), "-WWW", "-quiet", "-key", "key.pem"])
            .args(["-cert", "certificate.pem"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let fetch_from = |host: &str, ca_file: Option<PathBuf>| {
            let url = format!("https://{host}:{port}/response.json");
            fetch_with(&ServerConfig { ca_file, retries: 6, timeout_seconds: 5, ..config(&url) })
        };
        let valid = fetch_from("localhost", Some(path("certificate.pem")));
        let untrusted = fetch_from("localhost", None).unwrap_err().to_string();
        let wrong_name = fetch_from("127.0.0.1", Some(path("certificate.pem"))).unwrap_err().to_string();
        server.kill().unwrap();
        server.wait().unwrap();
        assert_eq!(valid.unwrap().text, "{\"safe\": true}");
        assert!(untrusted.starts_with("the server's certificate is rejected: "), "{untrusted}");
        assert!(wrong_name.starts_with("the server's certificate is rejected: "), "{wrong_name}");
        let error = Client::new(&ServerConfig { ca_file: Some(path("key.pem")), ..config("http://localhost/") });
        let error = error.err().unwrap().to_string();
        assert!(error.ends_with("/key.pem` contains no certificate in PEM format"), "{error}");
    }
}
