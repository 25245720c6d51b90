//! Object stores on loopback: two real servers and a fake of Google's store. A proxy loses responses or dies.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path as LocalPath, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conto::storage::Lake;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::cloud::{Process, free_port, installed_in, skip, text};
use super::google;
use crate::test_lake::block_on;

/// The bucket or container of each server.
pub(crate) const BUCKET: &str = "lakes";

/// The account that every Azurite accepts.
const ACCOUNT: &str = "devstoreaccount1";
const ACCOUNT_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// The interface of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// moto's server.
    S3,
    /// Azurite.
    Azure,
    /// A fake in this process, see `google.rs`.
    Google,
}

/// An object store, which is stopped on drop.
pub(crate) struct StoreServer {
    kind: Kind,
    _process: Option<Process>,
    port: u16,
}

impl Kind {
    /// Starts a server and makes a bucket. If the server is not installed, prints the reason and returns `None`.
    pub(crate) fn start(self) -> Option<StoreServer> {
        let server = if self == Self::Google {
            StoreServer { kind: self, _process: None, port: google::serve(BUCKET) }
        } else {
            let port = free_port();
            let mut command = self.command(port)?;
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            StoreServer { kind: self, _process: Some(Process::start(&mut command)), port }
        };
        let begun = Instant::now();
        while !server.makes_the_bucket() {
            assert!(begun.elapsed() < Duration::from_secs(90), "the server of {self:?} does not answer");
            std::thread::sleep(Duration::from_millis(200));
        }
        server.proves_create_only();
        Some(server)
    }

    fn command(self, port: u16) -> Option<Command> {
        match self {
            Self::Google => None,
            Self::S3 => {
                let mut python = Command::new("python3");
                let has_moto = python.args(["-c", "import moto.server"]).output();
                if !has_moto.is_ok_and(|ran| ran.status.success()) {
                    skip("python3 with moto (pip install 'moto[server]==5.2.5')");
                    return None;
                }
                let script = "import moto.server, sys; moto.server.main(sys.argv[1:])";
                let mut python = Command::new("python3");
                python.args(["-c", script, "-H", "127.0.0.1", "-p", &port.to_string()]);
                Some(python)
            }
            Self::Azure => {
                let Some(azurite) = azurite() else {
                    skip("Azurite (npm install --prefix $AZURITE_HOME azurite@3.35.0)");
                    return None;
                };
                let mut node = Command::new("node");
                node.arg(azurite).args(["--inMemoryPersistence", "--silent", "--disableTelemetry"]);
                node.args(["--blobHost", "127.0.0.1", "--blobPort", &port.to_string()]);
                Some(node)
            }
        }
    }
}

/// The path of Azurite, in `AZURITE_HOME` or in the directory where `.ci/run` installs Azurite.
fn azurite() -> Option<PathBuf> {
    let directory = installed_in("AZURITE_HOME", "conto-azurite")?;
    let program = LocalPath::new(&directory).join("node_modules/azurite/dist/src/blob/main.js");
    program.exists().then_some(program)
}

impl StoreServer {
    fn makes_the_bucket(&self) -> bool {
        match self.kind {
            Kind::Google => true,
            Kind::S3 => {
                let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
                let request =
                    format!("PUT /{BUCKET} HTTP/1.1\r\nHost: s3\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                let mut answer = Vec::new();
                stream.write_all(request.as_bytes()).is_ok()
                    && stream.read_to_end(&mut answer).is_ok()
                    && answer.starts_with(b"HTTP/1.1 200")
            }
            Kind::Azure => {
                let script = text(&LocalPath::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/azurite.js"));
                let made = Command::new("node").args([&script, &self.port.to_string(), BUCKET]).output();
                made.is_ok_and(|ran| ran.status.success())
            }
        }
    }

    /// Puts objects whose keys are not paths: one with an empty segment and one with a control character. Returns
    /// whether the server takes such requests; only moto needs no signature.
    pub(crate) fn put_odd_keys(&self, directory: &str, content: &str) -> bool {
        if self.kind != Kind::S3 {
            return false;
        }
        for key in ["/2026/odd.csv", "bell%07.csv"] {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            let request = format!(
                "PUT /{BUCKET}/{directory}/{key} HTTP/1.1\r\nHost: s3\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{content}",
                content.len()
            );
            let mut answer = Vec::new();
            stream.write_all(request.as_bytes()).unwrap();
            stream.read_to_end(&mut answer).unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        }
        true
    }

    /// Asserts that a second create-only put of one key is refused and changes nothing. All other tests rely on this.
    fn proves_create_only(&self) {
        let store = self.store();
        let put = |text: &'static str| {
            let options = PutOptions::from(PutMode::Create);
            block_on(store.put_opts(&Path::from("proof/once"), text.into(), options))
        };
        put("first").unwrap();
        let second = put("second");
        assert!(matches!(second, Err(object_store::Error::AlreadyExists { .. })), "{second:?}");
        let kept = block_on(async { store.get(&Path::from("proof/once")).await.unwrap().bytes().await.unwrap() });
        assert_eq!(kept, "first");
    }

    /// The URL of the lake with this name in the bucket.
    pub(crate) fn url(&self, name: &str) -> String {
        match self.kind {
            Kind::S3 => format!("s3://{BUCKET}/{name}"),
            Kind::Azure => format!("az://{BUCKET}/{name}"),
            Kind::Google => format!("gs://{BUCKET}/{name}"),
        }
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        match self.kind {
            Kind::S3 => {
                let store = AmazonS3Builder::new().with_bucket_name(BUCKET).with_region("us-east-1");
                let store = store.with_access_key_id("key").with_secret_access_key("secret");
                let store = store.with_endpoint(format!("http://127.0.0.1:{}", self.port)).with_allow_http(true);
                Arc::new(store.build().unwrap())
            }
            Kind::Azure => {
                let store = MicrosoftAzureBuilder::new().with_container_name(BUCKET).with_account(ACCOUNT);
                let endpoint = format!("http://127.0.0.1:{}/{ACCOUNT}", self.port);
                let store = store.with_access_key(ACCOUNT_KEY).with_endpoint(endpoint).with_allow_http(true);
                Arc::new(store.build().unwrap())
            }
            Kind::Google => {
                let store = GoogleCloudStorageBuilder::new().with_bucket_name(BUCKET);
                let store = store.with_service_account_key(google::SERVICE_ACCOUNT);
                let store = store.with_base_url(&format!("http://127.0.0.1:{}", self.port));
                let plain = ClientOptions::new().with_allow_http(true);
                Arc::new(store.with_client_options(plain).build().unwrap())
            }
        }
    }

    /// The lake with this name in the bucket, opened in the process of the test.
    pub(crate) fn lake(&self, name: &str) -> Lake {
        Lake::in_store(self.store(), &self.url(name).parse().unwrap()).unwrap()
    }

    /// The environment variables with which the program finds the server.
    pub(crate) fn variables(&self) -> Vec<(String, String)> {
        self.variables_through(self.port)
    }

    /// The environment variables with which the program finds the server through a proxy at this port.
    pub(crate) fn variables_through(&self, port: u16) -> Vec<(String, String)> {
        let named = |(name, value): (&str, String)| (name.to_owned(), value);
        match self.kind {
            Kind::S3 => [
                ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
                ("AWS_ACCESS_KEY_ID", "key".to_owned()),
                ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
                ("AWS_REGION", "us-east-1".to_owned()),
            ]
            .map(named)
            .to_vec(),
            Kind::Azure => [
                ("AZURE_ENDPOINT", format!("http://127.0.0.1:{port}/{ACCOUNT}")),
                ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
                ("AZURE_STORAGE_ACCOUNT_KEY", ACCOUNT_KEY.to_owned()),
            ]
            .map(named)
            .to_vec(),
            Kind::Google => [
                ("GOOGLE_BASE_URL", format!("http://127.0.0.1:{port}")),
                ("GOOGLE_SERVICE_ACCOUNT_KEY", google::SERVICE_ACCOUNT.to_owned()),
            ]
            .map(named)
            .to_vec(),
        }
    }

    /// A proxy before the server, with this fate for the put number `at` of a log entry.
    pub(crate) fn proxy(&self, fate: Fate, at: u64) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy =
            Proxy { port: listener.local_addr().unwrap().port(), puts: Arc::default(), is_dead: Arc::default() };
        let (upstream, shared) = (self.port, proxy.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.is_dead.load(Ordering::SeqCst) {
                    // The listener is dropped, so later connections are refused.
                    return;
                }
                let shared = shared.clone();
                std::thread::spawn(move || {
                    let _ = shared.pass_on(client, upstream, fate, at);
                });
            }
        });
        proxy
    }
}

/// The fate of the put of a log entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The server writes the entry, and the response is lost.
    AnswerLost,
    /// The server dies before it reads the request, and does not restart.
    DeadBefore,
    /// The server writes the entry, and dies before it responds.
    DeadAfter,
}

#[derive(Clone, Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    /// The number of log entries that were put.
    puts: Arc<AtomicU64>,
    is_dead: Arc<AtomicBool>,
}

impl Proxy {
    pub(crate) fn puts(&self) -> u64 {
        self.puts.load(Ordering::SeqCst)
    }

    fn die(&self) {
        self.is_dead.store(true, Ordering::SeqCst);
        // A connection wakes up the listener, so that its thread ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }

    /// Passes on one request and its response, and closes the connection.
    fn pass_on(&self, mut client: TcpStream, upstream: u16, fate: Fate, at: u64) -> std::io::Result<()> {
        let mut request = Vec::new();
        let mut buffer = [0; 64 * 1024];
        let head_length = loop {
            let count = client.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            request.extend_from_slice(&buffer[..count]);
            if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
        };
        let head = String::from_utf8_lossy(&request[..head_length]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        while request.len() < head_length + length.unwrap_or(0) {
            let count = client.read(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            request.extend_from_slice(&buffer[..count]);
        }
        let (first, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
        let is_of_log = first.contains("/log/") || first.contains("%2Flog%2F");
        let is_commit = first.starts_with("PUT ") && is_of_log && !first.contains("checkpoint");
        let is_the_one = is_commit && self.puts.fetch_add(1, Ordering::SeqCst) + 1 == at;
        if is_the_one && fate == Fate::DeadBefore {
            self.die();
            return Ok(());
        }
        let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
        server.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes())?;
        server.write_all(&request[head_length..])?;
        let mut answer = Vec::new();
        server.read_to_end(&mut answer)?;
        if is_the_one {
            if fate == Fate::DeadAfter {
                self.die();
            }
            return Ok(());
        }
        // The response has `Connection: close`, like the request.
        client.write_all(&answer)
    }
}
