//! A real S3 server on loopback, and a proxy before it that loses answers.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use conto::storage::Lake;
use object_store::aws::AmazonS3Builder;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::world::block_on;

pub(crate) const BUCKET: &str = "lakes";

/// moto's server, stopped when it is dropped.
pub(crate) struct Moto {
    process: Child,
    pub(crate) port: u16,
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Moto {
    /// Starts the server and makes a bucket. `None` where it is not installed; the reason is printed.
    #[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
    pub(crate) fn start() -> Option<Self> {
        let script = "import moto.server, sys; moto.server.main(sys.argv[1:])";
        let has_moto = Command::new("python3").args(["-c", "import moto.server"]).output();
        if !has_moto.is_ok_and(|ran| ran.status.success()) {
            println!("skipped: there is no python3 with moto (pip install 'moto[server]==5.2.5')");
            return None;
        }
        // A port that is free now.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("python3")
            .args(["-c", script, "-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moto = Self { process, port };
        let begun = Instant::now();
        while !moto.makes_the_bucket() {
            assert!(begun.elapsed() < Duration::from_secs(60), "moto's server does not answer");
            std::thread::sleep(Duration::from_millis(100));
        }
        moto.proves_create_only();
        Some(moto)
    }

    fn makes_the_bucket(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        let request = format!("PUT /{BUCKET} HTTP/1.1\r\nHost: s3\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let mut answer = Vec::new();
        stream.write_all(request.as_bytes()).is_ok()
            && stream.read_to_end(&mut answer).is_ok()
            && answer.starts_with(b"HTTP/1.1 200")
    }

    /// Everything else relies on it: a second put of one key with `If-None-Match: *` is refused and changes nothing.
    fn proves_create_only(&self) {
        let store = self.store(self.port);
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

    pub(crate) fn store(&self, port: u16) -> Arc<dyn ObjectStore> {
        let store = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_region("us-east-1")
            .with_access_key_id("key")
            .with_secret_access_key("secret")
            .with_endpoint(format!("http://127.0.0.1:{port}"))
            .with_allow_http(true);
        Arc::new(store.build().unwrap())
    }

    /// A lake in the bucket, for the test's own eyes.
    pub(crate) fn lake(&self, name: &str) -> Lake {
        Lake::in_store(self.store(self.port), &format!("s3://{BUCKET}/{name}").parse().unwrap()).unwrap()
    }

    /// What the program needs to find the server.
    pub(crate) fn variables(port: u16) -> Vec<(String, String)> {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}

/// Passes requests on to a server, and loses the answer to the n-th put of a log entry.
pub(crate) fn losing_proxy(upstream: u16, lose: u64) -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let puts = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&puts);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let puts = Arc::clone(&counted);
            std::thread::spawn(move || {
                let _ = pass_on(client, upstream, &puts, lose);
            });
        }
    });
    (port, puts)
}

/// One request and its answer; then the connection is closed.
fn pass_on(mut client: TcpStream, upstream: u16, puts: &AtomicU64, lose: u64) -> std::io::Result<()> {
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
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    let (first, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
    server.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes())?;
    server.write_all(&request[head_length..])?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    let is_commit = first.starts_with("PUT ") && first.contains("/log/") && !first.contains("checkpoint");
    if is_commit && puts.fetch_add(1, Ordering::SeqCst) + 1 == lose {
        return Ok(());
    }
    // The answer says that the connection closes, because the server was told so.
    client.write_all(&answer)
}
