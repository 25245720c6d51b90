//! Servers that are asked for usage: each night for what is new, from where the last one ended.
//!
//! What is asked is cut into questions: one source meter on one date. A question that is answered is a file to intake,
//! with the URL that gave it as its name; how far a source meter was asked without a gap is its watermark. Where a
//! server fails, what it answered before is taken in all the same, and the next night goes on from there.

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

use crate::intake::sources::servers::fetch_window::FetchWindow;
use crate::intake::sources::servers::pull_error::PullError;

use futures::{StreamExt as _, stream};
use jiff::Timestamp;

pub use self::client::HttpError;
use self::gnocchi::Gnocchi;
use self::prometheus::Prometheus;
pub use self::watermark::Watermarks;
use super::discover::InputFile;
use crate::error::Error;
use crate::intake::resolve::binding::Bindings;
use crate::intake::sources::servers::response_store::{ResponseStore, SpoolFile};
use crate::model::config::{Origin, Protocol, ServerConfig, SourceConfig};
use crate::model::period::Calendar;
use crate::run::Environment;

/// A server's clock may be so far from ours before it is said.
const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// What servers answered.
#[derive(Debug, Default)]
pub struct Pulled {
    pub files: Vec<InputFile>,
    /// As they are when `files` are committed.
    pub watermarks: Watermarks,
    /// The first server that failed, told when what came before is committed.
    pub failure: Option<Error>,
    /// Holds the files until they are read.
    _spool: Option<ResponseStore>,
}

/// A server that was found, and what it holds of what meters ask for.
#[derive(Debug)]
enum Server {
    Prometheus(Prometheus),
    Gnocchi(Gnocchi),
}

impl Server {
    async fn open(config: &ServerConfig, bindings: &Bindings, asked_at: i64) -> Result<Self, PullError> {
        Ok(match &config.protocol {
            Protocol::Prometheus { metrics } => {
                Self::Prometheus(Prometheus::open(config, metrics, bindings, asked_at).await?)
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

    /// What its clock said.
    fn clock(&self) -> Option<Timestamp> {
        match self {
            Self::Prometheus(server) => server.clock(),
            Self::Gnocchi(server) => server.clock(),
        }
    }

    /// Learns what it takes to understand the answers to questions between two instants.
    async fn prepare(&mut self, start: i64, end: i64) -> Result<(), PullError> {
        match self {
            Self::Prometheus(_) => Ok(()),
            Self::Gnocchi(server) => server.prepare(start, end).await,
        }
    }

    /// How a question is called as an input: by its URL.
    fn name_of(&self, question: &FetchWindow) -> String {
        match self {
            Self::Prometheus(server) => server.name_of(question),
            Self::Gnocchi(server) => server.name_of(question),
        }
    }

    async fn answer(&self, question: &FetchWindow, file: &mut SpoolFile) -> Result<(), PullError> {
        match self {
            Self::Prometheus(server) => server.answer(question, file).await,
            Self::Gnocchi(server) => server.answer(question, file).await,
        }
    }
}

/// Asks every server of the configuration for what is new.
///
/// `watermarks` is how far they were asked before; an empty one asks for everything anew.
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
    let spool = ResponseStore::new().map_err(Error::Temporary)?;
    for (source, server) in servers {
        if let Err(error) = pull_source(environment, bindings, source, server, &spool, &mut pulled).await {
            pulled.failure.get_or_insert(error.into_error(source, server));
        }
    }
    pulled._spool = Some(spool);
    Ok(pulled)
}

async fn pull_source(
    environment: &Environment,
    bindings: &Bindings,
    source: &SourceConfig,
    config: &ServerConfig,
    spool: &ResponseStore,
    pulled: &mut Pulled,
) -> Result<(), PullError> {
    let asked_at = environment.options.started_at.parse::<Timestamp>().map_or(i64::MAX, Timestamp::as_microsecond);
    let mut server = Server::open(config, bindings, asked_at).await?;
    let until = until(source, config, asked_at, server.clock());
    let questions =
        questions(environment.calendar(), source, config, &server.source_meters(), until, &pulled.watermarks);
    let Some(start) = questions.iter().map(|question| question.start).min() else { return Ok(()) };
    server.prepare(start, until).await?;
    environment.options.progress.begin(&format!("Asking {}", source.name), questions.len() as u64);
    let answers = stream::iter(questions).map(|question| {
        let server = &server;
        async move {
            let mut file = spool.begin()?;
            server.answer(&question, &mut file).await?;
            let answered = file.finish(source, server.name_of(&question))?;
            Ok::<_, PullError>((question, answered))
        }
    });
    // In their order, so that what is covered has no gaps.
    let mut answers = answers.buffered(config.parallel as usize);
    let mut outcome = Ok(());
    while let Some(answer) = answers.next().await {
        match answer {
            Ok((question, file)) => {
                pulled.watermarks.cover(&source.name, &question.source_meter, question.start, question.end);
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

/// The first instant that is not asked for: what is younger may still be on its way into the server.
fn until(source: &SourceConfig, config: &ServerConfig, asked_at: i64, clock: Option<Timestamp>) -> i64 {
    let theirs = clock.map_or(asked_at, Timestamp::as_microsecond);
    let apart = (theirs - asked_at) / 1_000_000;
    if apart.abs() > CLOCK_TOLERANCE_SECONDS && asked_at != i64::MAX {
        let direction = if apart > 0 { "ahead of" } else { "behind" };
        tracing::warn!(
            "the clock of the source `{}` is {} seconds {direction} ours; usage is asked for up to the earlier of both",
            source.name,
            apart.abs()
        );
    }
    let known = asked_at.min(theirs) - i64::from(config.delay_seconds) * 1_000_000;
    // Whole minutes, which every granule of a server and every window of a meter is made of.
    let known = known.div_euclid(60_000_000) * 60_000_000;
    config.to.map_or(known, |to| to.min(known))
}

/// What is to be asked, by date and then by source meter, so that a pull that is cut off is as far with all of them.
fn questions(
    mut calendar: Calendar,
    source: &SourceConfig,
    config: &ServerConfig,
    source_meters: &[String],
    until: i64,
    watermarks: &Watermarks,
) -> Vec<FetchWindow> {
    let mut questions = Vec::new();
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
            questions.push(FetchWindow { source_meter: source_meter.clone(), start, end });
            start = end;
        }
    }
    questions.sort_by(|left, right| (left.end, &left.source_meter).cmp(&(right.end, &right.source_meter)));
    questions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::Auth;

    #[test]
    fn of_two_clocks_the_earlier_says_what_is_known() {
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
            let asked_at = at("2026-10-02T12:00:30Z").as_microsecond();
            let known = super::until(&source(&config), &config, asked_at, clock.map(at));
            Timestamp::from_microsecond(known).unwrap().to_string()
        };
        // Ten minutes before, in whole minutes.
        assert_eq!(until(None, None), "2026-10-02T11:50:00Z");
        assert_eq!(until(Some("2026-10-02T12:00:31Z"), None), "2026-10-02T11:50:00Z");
        // A server an hour behind has nothing newer, and one a day ahead knows nothing that we would not.
        assert_eq!(until(Some("2026-10-02T11:00:30Z"), None), "2026-10-02T10:50:00Z");
        assert_eq!(until(Some("2026-10-03T12:00:30Z"), None), "2026-10-02T11:50:00Z");
        assert_eq!(until(None, Some("2026-10-02T00:00:00Z")), "2026-10-02T00:00:00Z");
    }
}
