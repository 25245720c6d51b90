//! Helpers of tests with real servers. A test starts a server on loopback, fills it, pulls and bills the usage, and
//! compares the invoices with values computed by hand. If a server is not installed, the test is skipped with a
//! message.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::test_lake::{Row, TestLake, short};

/// A process of a test, which is killed on drop.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Kills the process at once, as a power failure does.
    pub(crate) fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Whether a program can be started on this machine.
pub(crate) fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until a server responds to a path with 200.
pub(crate) fn wait_for(port: u16, path: &str) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(120) {
        if get(port, path)
            .is_some_and(|answer| answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"))
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    panic!("nothing answers {path} on port {port}");
}

fn get(port: u16, path: &str) -> Option<String> {
    ask(port, "GET", path)
}

/// The response of a server to the user `admin`, with head and body.
pub(crate) fn ask(port: u16, method: &str, path: &str) -> Option<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let headers =
        "Host: 127.0.0.1\r\nAccept: application/json\r\nAuthorization: Basic YWRtaW46\r\nX-Remote-User: admin";
    write!(connection, "{method} {path} HTTP/1.0\r\n{headers}\r\n\r\n").ok()?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The meters and prices of the cloud in these tests.
const RULES: &str = r#"
currency = "EUR"

[[meter]]
name = "instance"
aggregation = "presence"
unit = "instance-hour"
source_meters = ["vcpus"]
source_unit = "vcpu"
window = "1h"
dimensions.flavor = { from = ["flavor_name", "flavor.name", "instance_type"] }
labels = ["display_name"]

[[meter]]
name = "volume"
aggregation = "max"
unit = "GiB-hour"
source_meters = ["volume.size"]
source_unit = "GiB"
window = "1h"
dimensions.volume_type = { from = ["volume_type"] }

[[meter]]
name = "egress"
aggregation = "increase"
unit = "B"
source_meters = ["network.outgoing.bytes"]
source_unit = "B"
window = "1h"

[[meter]]
name = "floating-ip"
aggregation = "presence"
unit = "ip-hour"
source_meters = ["ip.floating"]
window = "1h"

[[rule]]
id = "instance"
meter = "instance"
sku = "instance"
service = "Cloud"
line_by = ["flavor"]
prices = { by = "flavor", "m1.small" = "0.01", "m1.medium" = "0.02", "c5.xlarge" = "0.08" }

[[rule]]
id = "volume"
meter = "volume"
sku = "volume"
service = "Cloud"
unit_price = "0.001"

[[rule]]
id = "egress"
meter = "egress"
sku = "egress"
service = "Cloud"
unit_price = "0.00000001"

[[rule]]
id = "floating-ip"
meter = "floating-ip"
sku = "floating-ip"
service = "Cloud"
unit_price = "0.005"
"#;

/// A lake with these `[[source]]` tables and the prices of the cloud.
pub(crate) fn lake(sources: &str) -> TestLake {
    TestLake::new().config(sources).rules(RULES)
}

/// Runs the month and returns the URL and the detail of the only input that cannot be read.
pub(crate) fn unread_input(lake: &TestLake, period: &str) -> String {
    let unread = lake.run(period).intake.unread_inputs;
    let [input] = unread.as_slice() else { panic!("{unread:?}") };
    format!("{}: {}", input.url, input.detail)
}

/// Each invoice line as `project sku line_by quantity net_amount`, sorted.
pub(crate) fn invoiced(lake: &TestLake) -> Vec<String> {
    let columns = ["project_id", "sku", "line_by", "quantity", "net_amount"];
    let cell = |row: &Row, name: &str| row.get(name).map_or(String::new(), |text| short(text).to_owned());
    let line = |row: &Row| columns.map(|name| cell(row, name)).join(" ").replace("  ", " ");
    let mut lines: Vec<String> = lake.rows("invoice_line").iter().map(line).collect();
    lines.sort();
    lines
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Prints why a test is skipped.
#[allow(clippy::print_stdout, reason = "a skipped test prints its reason")]
pub(crate) fn skip(what: &str) {
    println!("skipped: {what} is not installed");
}

/// The directory of an installation, from an environment variable or from the cache of `.ci/run`.
pub(crate) fn installed_in(variable: &str, name: &str) -> Option<String> {
    let cache = std::env::var("XDG_CACHE_HOME").or_else(|_| std::env::var("HOME").map(|home| home + "/.cache"));
    std::env::var(variable).or_else(|_| cache.map(|cache| format!("{cache}/{name}"))).ok()
}

/// Passes requests on to a port. Before that, calls `on_the_way` with the number of the request, from one, and its
/// head. If the call returns a text, the proxy sends the text as the response; an empty text ends the connection.
pub(crate) fn proxy(port: u16, mut on_the_way: impl FnMut(usize, &str) -> Option<String> + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let own_port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for (client, number) in listener.incoming().zip(1..) {
            let mut client = client.unwrap();
            let mut head = vec![0; 16 * 1024];
            // A connection without a request ends after a while.
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            let length = client.read(&mut head).unwrap_or(0);
            client.set_read_timeout(None).unwrap();
            head.truncate(length);
            let head = String::from_utf8_lossy(&head);
            match on_the_way(number, &head) {
                Some(answer) => drop(client.write_all(answer.as_bytes())),
                // A connection has one request, so that `on_the_way` gets each request.
                None => {
                    let head = head.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
                    pass_on(client, port, head.into_bytes());
                }
            }
        }
    });
    own_port
}

/// Passes a connection on to a port, after the bytes that were already read.
fn pass_on(mut client: TcpStream, port: u16, head: Vec<u8>) {
    std::thread::spawn(move || {
        let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)) else { return };
        server.write_all(&head).unwrap();
        let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
        let _ = std::io::copy(&mut server, &mut client);
        let _ = client.shutdown(std::net::Shutdown::Both);
    });
}

/// A path as text, for the arguments of a command.
pub(crate) fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
