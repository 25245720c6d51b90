//! Servers as sources of usage. Each run reads the usage since the last run.
//!
//! A pull is divided into fetch windows: each window is one source meter on one date. The response to a window is an
//! input file, and its name is the URL of the window. The watermark of a source meter is the time up to which the
//! source meter was read without a gap. If a server fails, the earlier responses are ingested, and the next run
//! continues from the watermarks.

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
use crate::model::config::{Origin, Protocol, ServerConfig, SourceConfig};
use crate::model::period::Calendar;
use crate::run::Environment;

/// The largest difference between a server's clock and this machine's clock that causes no warning.
const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// The responses of all servers.
#[derive(Debug, Default)]
pub struct Pulled {
    pub files: Vec<InputFile>,
    /// The watermarks after `files` are committed.
    pub watermarks: Watermarks,
    /// The error of the first server that failed. It is reported after the earlier responses are committed.
    pub failure: Option<Error>,
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

    async fn fetch(&self, window: &FetchWindow, file: &mut ResponseFile) -> Result<(), PullError> {
        match self {
            Self::Prometheus(server) => server.fetch(window, file).await,
            Self::Gnocchi(server) => server.fetch(window, file).await,
        }
    }
}

/// Fetches the new usage of every configured server.
///
/// `watermarks` are the watermarks of the last run. Without watermarks, all usage is fetched again.
pub async fn pull(environment: &Environment, bindings: &Bindings, watermarks: Watermarks) -> Result<Pulled, Error> {
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
        if let Err(error) = pull_source(environment, bindings, source, server, &store, &mut pulled).await {
            pulled.failure.get_or_insert(error.into_error(source, server));
        }
    }
    pulled._store = Some(store);
    Ok(pulled)
}

async fn pull_source(
    environment: &Environment,
    bindings: &Bindings,
    source: &SourceConfig,
    config: &ServerConfig,
    store: &ResponseStore,
    pulled: &mut Pulled,
) -> Result<(), PullError> {
    let pulled_at = environment.options.started_at.parse::<Timestamp>().map_or(i64::MAX, Timestamp::as_microsecond);
    let mut server = Server::open(config, bindings, pulled_at).await?;
    let until = until(source, config, pulled_at, server.clock());
    let windows =
        fetch_windows(environment.calendar(), source, config, &server.source_meters(), until, &pulled.watermarks);
    let Some(start) = windows.iter().map(|window| window.start).min() else { return Ok(()) };
    server.prepare(start, until).await?;
    environment.options.progress.begin(&format!("Reading {}", source.name), windows.len() as u64);
    let responses = stream::iter(windows).map(|window| {
        let server = &server;
        async move {
            let mut file = store.begin()?;
            server.fetch(&window, &mut file).await?;
            let stored = file.finish(source, server.input_name(&window))?;
            Ok::<_, PullError>((window, stored))
        }
    });
    // Responses are taken in the order of windows, so that the covered time has no gaps.
    let mut responses = responses.buffered(config.parallel as usize);
    let mut outcome = Ok(());
    while let Some(response) = responses.next().await {
        match response {
            Ok((window, file)) => {
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

    #[test]
    fn usage_is_read_up_to_the_earlier_of_two_clocks() {
        let config = |to| ServerConfig {
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
        };
        let source = |server: &ServerConfig| SourceConfig {
            name: "server".to_owned(),
            origin: Origin::Server(Box::new(server.clone())),
            defaults: Default::default(),
            expect_every_seconds: None,
        };
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let until = |clock: Option<&str>, to: Option<&str>| {
            let config = config(to.map(|to| at(to).as_microsecond()));
            let pulled_at = at("2026-10-02T12:00:30Z").as_microsecond();
            let end = super::until(&source(&config), &config, pulled_at, clock.map(at));
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
