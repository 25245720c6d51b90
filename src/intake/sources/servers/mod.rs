//! Servers as sources of usage. Each run reads the usage since the last run.
//!
//! A pull is divided into fetch windows: each window is one source meter on one date. The response to a window is an
//! input file, and its name is the URL of the window. The watermark of a source meter is the time up to which the
//! source meter was read without a gap. If a server fails, the earlier responses are ingested, the server is listed as
//! an unread input, and the next run continues from the watermarks.

mod client;
mod fetch_window;
mod gnocchi;
mod instant;
mod known_metrics;
mod lifecycle;
mod prometheus;
mod pull_error;
mod response_store;
mod revisions;
mod session;
mod watermark;

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;

pub use self::client::HttpError;
use self::fetch_window::FetchWindow;
use self::gnocchi::Gnocchi;
use self::prometheus::Prometheus;
use self::pull_error::PullError;
use self::response_store::{ResponseFile, ResponseStore};
pub use self::watermark::Watermarks;
use super::discover::InputFile;
use crate::error::Error;
use crate::intake::resolve::binding::Bindings;
use crate::intake::unread::Unread;
use crate::model::config::{Origin, Protocol, ServerConfig, SourceConfig};
use crate::model::period::Calendar;
use crate::model::unread_input::UnreadInput;
use crate::run::Environment;

/// The largest difference between a server's clock and this machine's clock that causes no warning.
const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// The responses of all servers.
#[derive(Debug, Default)]
pub struct Pulled {
    pub files: Vec<InputFile>,
    /// The watermarks after `files` are committed.
    pub watermarks: Watermarks,
    /// The servers that failed, and metrics that are not read.
    pub unread: Vec<UnreadInput>,
    /// The store of the temporary files. It must exist until the files are read.
    _store: Option<ResponseStore>,
}

/// A connected server, with the metrics that meters need.
#[derive(Debug)]
enum Server {
    Prometheus(Prometheus),
    Gnocchi(Gnocchi),
}

impl Server {
    async fn open(config: &ServerConfig, bindings: &Bindings, pulled_at: i64) -> Result<Self, PullError> {
        Ok(match &config.protocol {
            Protocol::Prometheus { metrics } => {
                Self::Prometheus(Prometheus::open(config, metrics, bindings, pulled_at).await?)
            }
            Protocol::Gnocchi { granularity_seconds, page_size, presence } => {
                Self::Gnocchi(Gnocchi::open(config, *granularity_seconds, *page_size, presence, bindings).await?)
            }
        })
    }

    fn source_meters(&self) -> Vec<String> {
        match self {
            Self::Prometheus(server) => server.source_meters(),
            Self::Gnocchi(server) => server.source_meters(),
        }
    }

    /// The time of the server's clock, if the server reports it.
    fn clock(&self) -> Option<Timestamp> {
        match self {
            Self::Prometheus(server) => server.clock(),
            Self::Gnocchi(server) => server.clock(),
        }
    }

    /// Reads the data that the responses between two instants refer to.
    async fn prepare(&mut self, start: i64, end: i64) -> Result<(), PullError> {
        match self {
            Self::Prometheus(_) => Ok(()),
            Self::Gnocchi(server) => server.prepare(start, end).await,
        }
    }

    /// The name of a fetch window as an input file: its URL.
    fn input_name(&self, window: &FetchWindow) -> String {
        match self {
            Self::Prometheus(server) => server.input_name(window),
            Self::Gnocchi(server) => server.input_name(window),
        }
    }

    /// Writes the response to a window. Returns the parts that the server no longer has, by URL.
    async fn fetch(
        &self,
        window: &FetchWindow,
        file: &mut ResponseFile,
    ) -> Result<BTreeMap<String, Unread>, PullError> {
        match self {
            Self::Prometheus(server) => server.fetch(window, file).await.map(|()| BTreeMap::new()),
            Self::Gnocchi(server) => server.fetch(window, file).await,
        }
    }

    /// The listed metrics that are not read, by URL.
    fn unread(&self) -> BTreeMap<String, Unread> {
        match self {
            Self::Prometheus(_) => BTreeMap::new(),
            Self::Gnocchi(server) => server.unread().clone(),
        }
    }
}

/// Fetches the new usage of every configured server.
///
/// Usage is fetched from `watermarks` on. Without watermarks, all usage is fetched again. `before` are the watermarks
/// of the last run, which show the servers that were read before.
pub async fn pull(
    environment: &Environment,
    bindings: &Bindings,
    watermarks: Watermarks,
    before: &Watermarks,
) -> Result<Pulled, Error> {
    let mut pulled = Pulled { watermarks, ..Pulled::default() };
    let servers: Vec<(&SourceConfig, &ServerConfig)> = environment
        .config
        .sources
        .iter()
        .filter_map(|source| match &source.origin {
            Origin::Server(server) => Some((source, server.as_ref())),
            Origin::Files(_) => None,
        })
        .collect();
    if servers.is_empty() {
        return Ok(pulled);
    }
    let store = ResponseStore::new().map_err(Error::Temporary)?;
    for (source, server) in servers {
        let mut source_meters = None;
        let outcome = pull_source(environment, bindings, source, server, &store, &mut pulled, &mut source_meters).await;
        if let Err(error) = outcome {
            // The settings of a server that was never read are probably wrong.
            let was_read = before.source_meters(&source.name).next().is_some();
            let unread = error.into_unread(source, server, was_read)?;
            let missing_from = missing_from(source, server, source_meters.as_deref(), &pulled.watermarks);
            pulled.unread.push(UnreadInput { missing_from: Some(missing_from), ..unread });
        }
    }
    pulled._store = Some(store);
    Ok(pulled)
}

/// The start of the usage that was not read: the earliest watermark of the source meters. If the source meters are
/// unknown, because the server did not list them, all source meters with a watermark count.
fn missing_from(
    source: &SourceConfig,
    config: &ServerConfig,
    source_meters: Option<&[String]>,
    watermarks: &Watermarks,
) -> i64 {
    let known: Vec<&str> = match source_meters {
        Some(source_meters) => source_meters.iter().map(String::as_str).collect(),
        None => watermarks.source_meters(&source.name).collect(),
    };
    let covered_to = |source_meter: &str| match watermarks.of(&source.name, source_meter) {
        Some(covered) if covered.from <= config.from => covered.to,
        _ => config.from,
    };
    known.into_iter().map(covered_to).min().unwrap_or(config.from)
}

/// Fetches the new usage of one server. `source_meters` gets the source meters that the server lists.
async fn pull_source(
    environment: &Environment,
    bindings: &Bindings,
    source: &SourceConfig,
    config: &ServerConfig,
    store: &ResponseStore,
    pulled: &mut Pulled,
    source_meters: &mut Option<Vec<String>>,
) -> Result<(), PullError> {
    let pulled_at = environment.options.started_at.parse::<Timestamp>().map_or(i64::MAX, Timestamp::as_microsecond);
    let mut server = Server::open(config, bindings, pulled_at).await?;
    let until = until(source, config, pulled_at, server.clock());
    let listed = source_meters.insert(server.source_meters());
    let unread =
        |unread: BTreeMap<String, Unread>| unread.into_iter().map(|(url, unread)| unread.at(&source.name, url));
    pulled.unread.extend(unread(server.unread()));
    let windows = fetch_windows(environment.calendar(), source, config, listed, until, &pulled.watermarks);
    let Some(start) = windows.iter().map(|window| window.start).min() else { return Ok(()) };
    server.prepare(start, until).await?;
    environment.options.progress.begin(&format!("Reading {}", source.name), windows.len() as u64);
    let responses = stream::iter(windows).map(|window| {
        let server = &server;
        async move {
            let mut file = store.begin()?;
            let lost = server.fetch(&window, &mut file).await?;
            let stored = file.finish(source, server.input_name(&window))?;
            Ok::<_, PullError>((window, stored, lost))
        }
    });
    // Responses are taken in the order of windows, so that the covered time has no gaps.
    let mut responses = responses.buffered(config.parallel as usize);
    let mut outcome = Ok(());
    while let Some(response) = responses.next().await {
        match response {
            Ok((window, file, lost)) => {
                pulled.unread.extend(unread(lost));
                pulled.watermarks.cover(&source.name, &window.source_meter, window.start, window.end);
                pulled.files.extend(file);
                environment.options.progress.advance(1);
            }
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    environment.options.progress.end();
    outcome
}

/// The end of the time range to fetch. Later samples may not have reached the server yet.
fn until(source: &SourceConfig, config: &ServerConfig, pulled_at: i64, clock: Option<Timestamp>) -> i64 {
    let theirs = clock.map_or(pulled_at, Timestamp::as_microsecond);
    let difference = (theirs - pulled_at) / 1_000_000;
    if difference.abs() > CLOCK_TOLERANCE_SECONDS && pulled_at != i64::MAX {
        let direction = if difference > 0 { "ahead of" } else { "behind" };
        tracing::warn!(
            "the clock of the source `{}` is {} seconds {direction} this machine's clock; usage is read up to the \
             earlier of the two; synchronize the clocks",
            source.name,
            difference.abs()
        );
    }
    let complete = pulled_at.min(theirs) - i64::from(config.delay_seconds) * 1_000_000;
    // The end is a whole minute, because every granule of a server and every window of a meter has whole minutes.
    let complete = complete.div_euclid(60_000_000) * 60_000_000;
    config.to.map_or(complete, |to| to.min(complete))
}

/// The windows to fetch, by date and then by source meter. If a pull is interrupted, this order ensures that all source
/// meters are read up to about the same date.
fn fetch_windows(
    mut calendar: Calendar,
    source: &SourceConfig,
    config: &ServerConfig,
    source_meters: &[String],
    until: i64,
    watermarks: &Watermarks,
) -> Vec<FetchWindow> {
    let mut windows = Vec::new();
    for source_meter in source_meters {
        let overlap = i64::from(config.overlap_seconds) * 1_000_000;
        let mut start = match watermarks.of(&source.name, source_meter) {
            Some(covered) if covered.from <= config.from && covered.to >= until => continue,
            Some(covered) if covered.from <= config.from => (covered.to - overlap).max(config.from),
            _ => config.from,
        };
        while start < until {
            let day = calendar.day_of(start);
            let end = calendar.day_start(day + 1).min(until);
            windows.push(FetchWindow { source_meter: source_meter.clone(), start, end });
            start = end;
        }
    }
    windows.sort_by(|left, right| (left.end, &left.source_meter).cmp(&(right.end, &right.source_meter)));
    windows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Auth;

    fn server_config(to: Option<i64>) -> ServerConfig {
        ServerConfig {
            protocol: Protocol::Prometheus { metrics: Vec::new() },
            url: "http://localhost/".parse().unwrap(),
            auth: Auth::None,
            ca_file: None,
            from: 0,
            to,
            delay_seconds: 600,
            overlap_seconds: 0,
            timeout_seconds: 1,
            retries: 0,
            parallel: 1,
        }
    }

    fn source_config(server: &ServerConfig) -> SourceConfig {
        SourceConfig {
            name: "server".to_owned(),
            origin: Origin::Server(Box::new(server.clone())),
            defaults: Default::default(),
            expect_every_seconds: None,
        }
    }

    #[test]
    fn usage_is_missing_from_the_earliest_watermark() {
        let config = server_config(None);
        let source = source_config(&config);
        let mut watermarks = Watermarks::default();
        let meters = ["cpu", "disk"].map(str::to_owned);
        assert_eq!(missing_from(&source, &config, None, &watermarks), 0);
        watermarks.cover("server", "cpu", 0, 50);
        watermarks.cover("other", "cpu", 0, 5);
        assert_eq!(missing_from(&source, &config, Some(&meters), &watermarks), 0, "no disk was read");
        assert_eq!(missing_from(&source, &config, None, &watermarks), 50);
        watermarks.cover("server", "disk", 0, 40);
        assert_eq!(missing_from(&source, &config, Some(&meters), &watermarks), 40);
        // An earlier start requires everything again.
        let earlier = ServerConfig { from: -10, ..config };
        assert_eq!(missing_from(&source, &earlier, Some(&meters), &watermarks), -10);
    }

    #[test]
    fn usage_is_read_up_to_the_earlier_of_two_clocks() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let until = |clock: Option<&str>, to: Option<&str>| {
            let config = server_config(to.map(|to| at(to).as_microsecond()));
            let pulled_at = at("2026-10-02T12:00:30Z").as_microsecond();
            let end = super::until(&source_config(&config), &config, pulled_at, clock.map(at));
            Timestamp::from_microsecond(end).unwrap().to_string()
        };
        // The end is ten minutes before the pull, rounded down to a whole minute.
        assert_eq!(until(None, None), "2026-10-02T11:50:00Z");
        assert_eq!(until(Some("2026-10-02T12:00:31Z"), None), "2026-10-02T11:50:00Z");
        // A server whose clock is an hour behind has no samples after its own time. A server whose clock is a day ahead
        // has no samples after the time of this machine.
        assert_eq!(until(Some("2026-10-02T11:00:30Z"), None), "2026-10-02T10:50:00Z");
        assert_eq!(until(Some("2026-10-03T12:00:30Z"), None), "2026-10-02T11:50:00Z");
        assert_eq!(until(None, Some("2026-10-02T00:00:00Z")), "2026-10-02T00:00:00Z");
    }
}
