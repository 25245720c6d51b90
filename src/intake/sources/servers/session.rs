//! Authenticated requests to one server.
//!
//! With Keystone a token is fetched before the first request. A new token is fetched when the server rejects the
//! current token, because a pull may take longer than a token is valid.

use std::env;
use std::fs;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::client::{Client, HttpError, Request, Response};
use super::pull_error::PullError;
use crate::model::config::{Auth, Identity, Keystone, Scope, Secret, ServerConfig};
use crate::model::identifier;

const TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// A server with the credentials for its requests.
#[derive(Debug)]
pub(super) struct Session {
    client: Client,
    url: Url,
    auth: Auth,
    /// The current authentication headers. Headers with a Keystone token are replaced when the server rejects them.
    headers: Mutex<Option<HeaderMap>>,
}

impl Session {
    pub(super) fn new(config: &ServerConfig) -> Result<Self, PullError> {
        let client = Client::new(config).map_err(PullError::at(&config.url))?;
        Ok(Self { client, url: config.url.clone(), auth: config.auth.clone(), headers: Mutex::new(None) })
    }

    /// The URL of a path below the server's URL.
    pub(super) fn join(&self, path: &str) -> Url {
        // The joined paths are constants of this program.
        self.url.join(path).unwrap_or_else(|_| self.url.clone())
    }

    pub(super) async fn fetch(&self, request: &Request) -> Result<Response, HttpError> {
        let headers = self.headers(None).await?;
        match self.client.fetch(request, &headers).await {
            Err(HttpError::Unauthorized { status, .. }) if status.as_u16() == 401 && self.auth.expires() => {
                let headers = self.headers(Some(&headers)).await?;
                self.client.fetch(request, &headers).await
            }
            response => response,
        }
    }

    /// The authentication headers. New headers are created if the current headers equal `rejected`.
    async fn headers(&self, rejected: Option<&HeaderMap>) -> Result<HeaderMap, HttpError> {
        let mut current = self.headers.lock().await;
        if let Some(headers) = current.as_ref().filter(|headers| Some(*headers) != rejected) {
            return Ok(headers.clone());
        }
        let headers = match &self.auth {
            Auth::None => HeaderMap::new(),
            Auth::Basic { user, password } => {
                let what = "the password";
                let password = password.as_ref().map(|secret| read(secret, what)).transpose()?.unwrap_or_default();
                let value = format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")));
                sensitive_header(AUTHORIZATION, &value, what)?
            }
            Auth::Bearer { token } => {
                let what = "the token";
                sensitive_header(AUTHORIZATION, &format!("Bearer {}", read(token, what)?), what)?
            }
            Auth::RemoteUser { user, header } => {
                let name = HeaderName::try_from(header).map_err(|_| HttpError::BadSecret { what: "the header" })?;
                sensitive_header(name, user, "the user")?
            }
            Auth::Keystone(keystone) => sensitive_header(TOKEN, &self.token(keystone).await?, "the token of Keystone")?,
        };
        *current = Some(headers.clone());
        Ok(headers)
    }

    /// A token of Keystone's API, version 3.
    async fn token(&self, keystone: &Keystone) -> Result<String, HttpError> {
        let identity = match &keystone.identity {
            Identity::Password { user, user_domain, password } => json!({
                "methods": ["password"],
                "password": { "user": {
                    "name": user,
                    "domain": { "name": user_domain },
                    "password": read(password, "the password")?,
                } },
            }),
            Identity::ApplicationCredential { id, secret } => json!({
                "methods": ["application_credential"],
                "application_credential": { "id": id, "secret": read(secret, "the application credential's secret")? },
            }),
        };
        let mut auth = json!({ "identity": identity });
        match &keystone.scope {
            // An application credential has a fixed scope.
            Scope::Own => {}
            Scope::System => auth["scope"] = json!({ "system": { "all": true } }),
            Scope::Project { name, domain } => {
                auth["scope"] = json!({ "project": { "name": name, "domain": { "name": domain } } });
            }
        }
        let url = tokens_url(&keystone.url);
        let response =
            self.client.fetch(&Request::post(url.clone(), &json!({ "auth": auth })), &HeaderMap::new()).await;
        let response = response.map_err(|error| HttpError::Unexpected(format!("Keystone at {url}: {error}")))?;
        let token = response.headers.get("x-subject-token").and_then(|token| token.to_str().ok());
        token.and_then(identifier::stated).map(str::to_owned).ok_or_else(|| {
            HttpError::Unexpected(format!(
                "the response of Keystone at {url} contains no token; check that this is its URL"
            ))
        })
    }
}

/// The URL for creating tokens, for a Keystone URL with or without the version of the API.
fn tokens_url(keystone: &Url) -> Url {
    let path = if keystone.path().trim_end_matches('/').ends_with("/v3") { "auth/tokens" } else { "v3/auth/tokens" };
    keystone.join(path).unwrap_or_else(|_| keystone.clone())
}

impl Auth {
    /// Whether the credentials expire.
    const fn expires(&self) -> bool {
        matches!(self, Self::Keystone(_))
    }
}

/// A single header, marked as sensitive so that debug output does not contain its value.
fn sensitive_header(name: HeaderName, value: &str, what: &'static str) -> Result<HeaderMap, HttpError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| HttpError::BadSecret { what })?;
    value.set_sensitive(true);
    Ok(HeaderMap::from_iter([(name, value)]))
}

/// Reads a secret. Line breaks at the end are removed, because editors add them.
fn read(secret: &Secret, what: &'static str) -> Result<String, HttpError> {
    match secret {
        Secret::Environment(name) => env::var(name).map_err(|_| HttpError::SecretVariable(name.clone(), what)),
        Secret::File(path) => {
            let text = fs::read_to_string(path);
            let text = text.map_err(|source| HttpError::SecretFile { path: path.clone(), what, source })?;
            Ok(text.trim_end_matches(['\n', '\r']).to_owned())
        }
    }
}

/// The text of a JSON member, without surrounding blanks. `None` if it means an absent value.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str).and_then(identifier::stated)
}

/// As [`text`], as delivered. The reader of the response makes an id canonical, so that `changed_id` lists its change.
pub(super) fn id<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str).filter(|id| identifier::stated(id).is_some())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::mpsc;

    use super::*;
    use crate::model::config::Protocol;

    fn config(url: &str, auth: Auth) -> ServerConfig {
        ServerConfig {
            protocol: Protocol::Prometheus { metrics: Vec::new() },
            url: url.parse().unwrap(),
            auth,
            ca_file: None,
            from: 0,
            to: None,
            delay_seconds: 0,
            overlap_seconds: 0,
            timeout_seconds: 5,
            retries: 0,
            parallel: 1,
        }
    }

    fn headers_of(auth: Auth) -> Result<HeaderMap, HttpError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let session = Session::new(&config("http://localhost/", auth)).unwrap();
        runtime.block_on(session.headers(None))
    }

    #[test]
    fn secrets_are_read_from_files_and_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "op:en sesame\n").unwrap();
        let auth = Auth::Basic { user: "conto".to_owned(), password: Some(Secret::File(path)) };
        let headers = headers_of(auth).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Basic Y29udG86b3A6ZW4gc2VzYW1l");
        assert_eq!(format!("{headers:?}"), "{\"authorization\": Sensitive}");
        let missing = Auth::Bearer { token: Secret::Environment("CONTO_NO_SUCH_VARIABLE".to_owned()) };
        let error = headers_of(missing).unwrap_err().to_string();
        assert_eq!(error, "the environment variable `CONTO_NO_SUCH_VARIABLE` is not set, expected the token");
        let remote = Auth::RemoteUser { user: "conto".to_owned(), header: "X-Remote-User".to_owned() };
        assert_eq!(headers_of(remote).unwrap()["x-remote-user"], "conto");
    }

    /// Serves each connection with the next response, and returns the requests.
    fn serve(responses: Vec<String>) -> (String, mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            for (response, connection) in responses.into_iter().zip(listener.incoming()) {
                let mut connection = connection.unwrap();
                let mut request = String::new();
                // A request with a body ends with two braces.
                while !(request.contains("\r\n\r\n") && (request.starts_with("GET") || request.ends_with("}}"))) {
                    let mut buffer = [0; 4096];
                    let count = connection.read(&mut buffer).unwrap();
                    request.push_str(&String::from_utf8_lossy(&buffer[..count]));
                }
                sender.send(request).unwrap();
                connection.write_all(response.as_bytes()).unwrap();
            }
        });
        (url, receiver)
    }

    fn http_response(status: &str, header: &str, body: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
    }

    #[test]
    fn a_rejected_token_is_fetched_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "sesame").unwrap();
        let token =
            |token: &str| http_response("201 Created", &format!("X-Subject-Token: {token}\r\n"), "{\"token\": {}}");
        let unauthorized = http_response("401 Unauthorized", "", "{\"code\": 401}");
        let (url, requests) = serve(vec![
            token("first"),
            unauthorized,
            token("second"),
            http_response("200 OK", "", "[]"),
            http_response("200 OK", "", "[]"),
        ]);
        let keystone = Keystone {
            url: url.parse().unwrap(),
            identity: Identity::Password {
                user: "conto".to_owned(),
                user_domain: "Default".to_owned(),
                password: Secret::File(path),
            },
            scope: Scope::Project { name: "service".to_owned(), domain: "Default".to_owned() },
        };
        let session = Session::new(&config(&url, Auth::Keystone(keystone))).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for _ in 0..2 {
            let response = runtime.block_on(session.fetch(&Request::get(session.join("v1/resource_type")))).unwrap();
            assert_eq!(response.text, "[]");
        }
        let requests: Vec<String> = requests.iter().collect();
        assert_eq!(requests.len(), 5);
        assert!(requests[0].starts_with("POST /v3/auth/tokens HTTP/1.1\r\n"), "{}", requests[0]);
        let body = requests[0].split("\r\n\r\n").nth(1).unwrap();
        let expected = "{\"auth\":{\"identity\":{\"methods\":[\"password\"],\"password\":{\"user\":{\"name\":\"conto\",\
                        \"domain\":{\"name\":\"Default\"},\"password\":\"sesame\"}}},\"scope\":{\"project\":\
                        {\"name\":\"service\",\"domain\":{\"name\":\"Default\"}}}}}";
        assert_eq!(body, expected);
        for (request, token) in [(1, "first"), (3, "second"), (4, "second")] {
            assert!(requests[request].starts_with("GET /v1/resource_type HTTP/1.1\r\n"), "{}", requests[request]);
            assert!(requests[request].contains(&format!("x-auth-token: {token}\r\n")), "{}", requests[request]);
        }
    }

    #[test]
    fn an_application_credential_has_its_own_scope_and_its_secret_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        std::fs::write(&path, "open sesame\n").unwrap();
        let fetch = |responses: Vec<String>| {
            let (url, requests) = serve(responses);
            let secret = Secret::File(path.clone());
            let identity =
                Identity::ApplicationCredential { id: "21dced0fd20347869b93710d2b98aae0".to_owned(), secret };
            let keystone = Keystone { url: url.parse().unwrap(), identity, scope: Scope::Own };
            let session = Session::new(&config(&url, Auth::Keystone(keystone))).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let response = runtime.block_on(session.fetch(&Request::get(session.join("v1/resource_type"))));
            (response, requests.iter().collect::<Vec<String>>())
        };
        let token = http_response("201 Created", "X-Subject-Token: t1\r\n", "{\"token\": {}}");
        let (result, requests) = fetch(vec![token, http_response("200 OK", "", "[]")]);
        assert_eq!(result.unwrap().text, "[]");
        assert!(requests[0].starts_with("POST /v3/auth/tokens HTTP/1.1\r\n"), "{}", requests[0]);
        let body = requests[0].split("\r\n\r\n").nth(1).unwrap();
        let expected = "{\"auth\":{\"identity\":{\"methods\":[\"application_credential\"],\"application_credential\":\
                        {\"id\":\"21dced0fd20347869b93710d2b98aae0\",\"secret\":\"open sesame\"}}}}";
        assert_eq!(body, expected);
        assert!(requests[1].contains("x-auth-token: t1\r\n"), "{}", requests[1]);
        // The message contains Keystone's reason and its URL.
        let unauthorized =
            "{\"error\": {\"code\": 401, \"message\": \"The request you have made requires authentication.\"}}";
        let (result, _) = fetch(vec![http_response("401 Unauthorized", "", unauthorized)]);
        let error = result.unwrap_err().to_string();
        assert!(error.starts_with("Keystone at http://127.0.0.1:"), "{error}");
        assert!(error.contains("requires authentication") && !error.contains("sesame"), "{error}");
        // Another program responds at Keystone's URL.
        for header in ["", "X-Subject-Token: \r\n", "X-Subject-Token: None\r\n"] {
            let (result, _) = fetch(vec![http_response("200 OK", header, "{}")]);
            let error = result.unwrap_err().to_string();
            assert!(error.ends_with("contains no token; check that this is its URL"), "{error}");
        }
    }

    #[test]
    fn tokens_are_created_below_version_three() {
        for url in ["https://keystone/", "https://keystone/v3/"] {
            assert_eq!(tokens_url(&url.parse().unwrap()).as_str(), "https://keystone/v3/auth/tokens");
        }
        let below = tokens_url(&"https://cloud/identity/v3/".parse().unwrap());
        assert_eq!(below.as_str(), "https://cloud/identity/v3/auth/tokens");
    }
}
