//! The errors of reading a server.

use std::io;

use crate::error::{Error, IntakeError};
use crate::intake::sources::servers::client::HttpError;
use crate::model::config::{ServerConfig, SourceConfig};

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

    pub(super) fn into_error(self, source: &SourceConfig, server: &ServerConfig) -> Error {
        match self {
            Self::ResponseStore(error) => Error::Temporary(error),
            Self::Http { source: error, .. } if error.is_of_configuration() => {
                Error::Intake(IntakeError::SourceSettings { source_name: source.name.clone(), source: error })
            }
            Self::Http { url, source: error } => Error::Intake(IntakeError::Source {
                source_name: source.name.clone(),
                location: if url.is_empty() { server.url.to_string() } else { url },
                source: error,
            }),
        }
    }
}
