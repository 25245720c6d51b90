//! The errors of reading a server.

use std::io;

use crate::error::{Error, IntakeError};
use crate::intake::sources::servers::client::{HttpError, location};
use crate::intake::unread::{Unread, innermost};
use crate::model::config::{ServerConfig, SourceConfig};
use crate::model::unread_input::UnreadInput;

/// The reason why a fetch window could not be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum PullError {
    /// A failed request. `url` is the URL of the request.
    #[error("{source}")]
    Http {
        url: String,
        #[source]
        source: Box<HttpError>,
    },
    #[error("cannot write a response to the directory for temporary files")]
    ResponseStore(#[from] io::Error),
}

impl PullError {
    pub(super) fn at(url: &reqwest::Url) -> impl FnOnce(HttpError) -> Self {
        let url = url.to_string();
        move |source| Self::Http { url, source: Box::new(source) }
    }

    pub(super) fn unexpected(url: &reqwest::Url, problem: impl Into<String>) -> Self {
        Self::at(url)(HttpError::Unexpected(problem.into()))
    }

    /// The unread input of a server that failed. Two errors stop the run instead: a directory for temporary files that
    /// cannot be written, and unusable settings of a server that was never read.
    pub(super) fn into_unread(
        self,
        source: &SourceConfig,
        server: &ServerConfig,
        was_read: bool,
    ) -> Result<UnreadInput, Error> {
        match self {
            Self::ResponseStore(error) => Err(Error::Temporary(error)),
            Self::Http { source: error, .. } if error.is_of_configuration() && !was_read => {
                Err(Error::Intake(IntakeError::SourceSettings { source_name: source.name.clone(), source: error }))
            }
            Self::Http { url, source: error } => {
                // The query contains the times of the window, so it differs from run to run.
                let url = url.parse().map_or_else(|_| location(&server.url), |url| location(&url));
                let detail = match std::error::Error::source(&*error) {
                    Some(cause) => format!("{error}: {}", innermost(cause)),
                    None => error.to_string(),
                };
                Ok(Unread::new(error.unread_reason(), detail).at(&source.name, url))
            }
        }
    }
}
