//! A real Keystone that authenticates clients of a real Gnocchi, by password and by application credential. Tokens are
//! revoked during a pull, or expire after seconds. A wrong password is an error.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

use super::cloud::{Process, free_port, invoiced, lake, proxy, skip, text, unread_input, wait_for};
use super::gnocchi::{Gnocchi, INVOICED, environment, script};
use crate::test_lake::TestLake;

const PERIOD: &str = "2026-10";

struct Keystone {
    process: Process,
    port: u16,
    directory: TempDir,
}

impl Keystone {
    fn start(environment: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let port = free_port();
        let process = Self::serve(environment, &directory, port, &[]);
        Self { process, port, directory }
    }

    fn serve(environment: &str, directory: &TempDir, port: u16, more: &[&str]) -> Process {
        let process = Process::start(
            Command::new(format!("{environment}/bin/python"))
                .arg(script("keystone-serve.py"))
                .args([text(directory.path()), port.to_string()])
                .args(more)
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        wait_for(port, "/v3/");
        process
    }

    /// Restarts the Keystone with tokens that are valid for this number of seconds.
    fn let_tokens_live_for(&mut self, environment: &str, seconds: u32) {
        self.process.kill();
        self.process = Self::serve(environment, &self.directory, self.port, &[&seconds.to_string()]);
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Creates users and roles. Returns the id and the secret of an application credential.
    fn fill(&self) -> (String, String) {
        let output = Command::new("python3").arg(script("keystone-users.py")).arg(self.url()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let printed = String::from_utf8(output.stdout).unwrap();
        let (id, secret) = printed.trim().split_once('\n').unwrap();
        (id.to_owned(), secret.to_owned())
    }
}

/// Revokes a token.
fn revoke(keystone: u16, token: &str) {
    let mut connection = TcpStream::connect(("127.0.0.1", keystone)).unwrap();
    let headers = format!("Host: 127.0.0.1\r\nX-Auth-Token: {token}\r\nX-Subject-Token: {token}");
    write!(connection, "DELETE /v3/auth/tokens HTTP/1.0\r\n{headers}\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(" 204 "), "{answer}");
}

/// Passes requests on to a Gnocchi, after a call of `on_the_way` with the number of the request and its token. Returns
/// the port, and the tokens of all requests.
fn watched(gnocchi: u16, on_the_way: impl Fn(usize, &str) + Send + 'static) -> (u16, Arc<Mutex<Vec<String>>>) {
    let tokens = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&tokens);
    let port = proxy(gnocchi, move |number, head| {
        let token = head.lines().find_map(|line| line.strip_prefix("x-auth-token: ")).unwrap();
        seen.lock().unwrap().push(token.to_owned());
        on_the_way(number, token);
        None
    });
    (port, tokens)
}

/// A lake that pulls from the Gnocchi at this port, with these keys of `auth`.
fn with_auth(port: u16, keystone: &Keystone, auth: &str) -> TestLake {
    lake(&format!(
        r#"
        [[source]]
        name = "gnocchi"
        format = "gnocchi"
        url = "http://127.0.0.1:{port}"
        from = 2026-10-01
        to = 2026-10-03
        retries = 0
        parallel = 1
        auth = {{ kind = "keystone", url = "{}/v3", {auth} }}
        "#,
        keystone.url()
    ))
}

const PASSWORD: &str = r#"user = "conto", password_file = "password", project = "service""#;

#[test]
fn auth_keystone_by_password_and_by_application_credential() {
    let Some(environment) = environment().filter(|path| Path::new(path).join("bin/keystone-manage").exists()) else {
        return skip("keystone beside gnocchi (GNOCCHI_VENV, PostgreSQL)");
    };
    let mut keystone = Keystone::start(&environment);
    let (id, secret) = keystone.fill();
    let gnocchi = Gnocchi::start(1000);
    gnocchi.ask_keystone(&keystone.url());

    // The token is revoked while the lists are read. Another token is fetched, and no record is lost or read twice.
    let keystone_port = keystone.port;
    let (port, tokens) = watched(gnocchi.port, move |number, token| {
        if number == 7 {
            revoke(keystone_port, token);
        }
    });
    let by_password = with_auth(port, &keystone, PASSWORD);
    by_password.put("password", "open: sesame\n");
    let summary = by_password.run(PERIOD);
    assert_eq!(invoiced(&by_password), INVOICED);
    assert_eq!((summary.intake.samples_duplicate, summary.intake.records_rejected), (0, 0));
    let tokens = tokens.lock().unwrap();
    assert!(tokens.len() > 8, "the token was revoked in the middle");
    assert_eq!(tokens.iter().collect::<BTreeSet<_>>().len(), 2, "and another one was fetched once");

    let credential = format!(r#"application_credential_id = "{id}", secret_file = "secret""#);
    let by_credential = with_auth(gnocchi.port, &keystone, &credential);
    by_credential.put("secret", &secret);
    by_credential.run(PERIOD);
    assert_eq!(invoiced(&by_credential), INVOICED);

    // The error of a rejected login contains the URL of the Keystone, but no secret.
    let refused = |auth: &str, file: &str| {
        let lake = with_auth(gnocchi.port, &keystone, auth);
        lake.put(file, "open barley");
        let error = unread_input(&lake, PERIOD);
        assert!(error.contains(&format!("Keystone at {}/v3/auth/tokens", keystone.url())), "{error}");
        assert!(error.contains("401") && !error.contains("barley"), "{error}");
        assert!(lake.rows("sample").is_empty());
    };
    refused(PASSWORD, "password");
    refused(&credential, "secret");

    // The server is slow, and the pull takes longer than a token is valid. On a busy machine a Keystone needs some
    // seconds to validate a token, so tokens are valid for longer than those seconds.
    keystone.let_tokens_live_for(&environment, 30);
    let (port, tokens) = watched(gnocchi.port, |number, _| {
        if number == 7 {
            std::thread::sleep(Duration::from_secs(31));
        }
    });
    let slowly = with_auth(port, &keystone, PASSWORD);
    slowly.put("password", "open: sesame\n");
    let summary = slowly.run(PERIOD);
    assert_eq!(invoiced(&slowly), INVOICED);
    assert_eq!((summary.intake.samples_duplicate, summary.intake.records_rejected), (0, 0));
    let tokens = tokens.lock().unwrap();
    let lived = tokens.iter().collect::<BTreeSet<_>>().len();
    assert!(lived > 1 && lived < tokens.len(), "{lived} tokens for {} requests", tokens.len());
}
