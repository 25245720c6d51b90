//! What to do about a failure of the lake's store.

use std::error::Error as StdError;
use std::io;

use super::Error;

impl Error {
    /// What the person who sees this failure can do, if anything in particular.
    pub fn remedy(&self) -> Option<String> {
        Some(match self {
            Self::Location { .. } => "name a directory, or a URL of file:, s3://, gs:// or az://; credentials and \
                 endpoint come from environment variables (AWS_…, GOOGLE_…, AZURE_…)"
                .to_owned(),
            Self::Refused { .. } => "use a directory, s3://, gs:// or az://".to_owned(),
            Self::LogEntry { path, .. } => format!(
                "restore `{path}` from a backup or another version of the object; if the entry is the last one and no \
                 copy exists, move it out of the lake: what it recorded is then taken in and computed anew from the \
                 sources (where it was a close, close again with the same date and tax point; where it was a \
                 restatement, restate again: with the configuration and rules of then the documents are the same)"
            ),
            Self::LogGap { missing } => {
                format!("restore entry {missing} from a backup; `conto lake verify` tells when the lake is whole again")
            }
            Self::NoSuchEntry { .. } => "`conto status` lists the entries".to_owned(),
            Self::DryRun => return None,
            Self::Conflict { .. } => "start one run at a time, or again when the other is done".to_owned(),
            Self::OutcomeUnknown { .. } => {
                "run it again when the store answers: what was committed is found in the log, \
                 and is not done twice"
                    .to_owned()
            }
            Self::Damaged { path, .. } | Self::Parquet { path, .. } => format!(
                "restore `{path}` from a backup or another version of the object; `conto lake verify` names everything \
                 that is damaged"
            ),
            Self::MissingColumn { .. } => {
                "`conto run` bills a month again that is not closed; read a closed month with the version that closed \
                 it, which `conto status` names"
                    .to_owned()
            }
            Self::Store { path, source, .. } => of_store(path, source)?,
            Self::Disk { source, .. } => of_disk(source)?,
        })
    }
}

fn of_store(path: &str, error: &object_store::Error) -> Option<String> {
    if let Some(remedy) = io_error(error).and_then(of_disk) {
        return Some(remedy);
    }
    Some(match error {
        object_store::Error::NotFound { .. } => format!(
            "the log names `{path}` and it is not there: restore it from a backup, or see whether the lake is the \
             right one; `conto lake verify` names everything that is missing"
        ),
        refused if is_refused(refused) => {
            "the store refuses these credentials: see AWS_…, GOOGLE_… or AZURE_… in the environment; listing, reading \
             and writing are needed"
                .to_owned()
        }
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
            "the store must support a put that fails where an object is already there (If-None-Match: *)".to_owned()
        }
        _ => "see whether bucket, endpoint (AWS_ENDPOINT_URL, GOOGLE_BASE_URL, AZURE_ENDPOINT) and credentials are \
              right, and run again: what was committed before is whole"
            .to_owned(),
    })
}

/// Whether the store does not let us in. Of a list it says so in its words alone.
fn is_refused(error: &object_store::Error) -> bool {
    let said = error.to_string();
    matches!(error, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. })
        || ["status code: 401 ", "status code: 403 "].iter().any(|status| said.contains(status))
}

fn of_disk(error: &io::Error) -> Option<String> {
    let room = "make room and run again: what was committed before is whole, and what was not is done again";
    Some(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            format!("the disk is full; {room}")
        }
        io::ErrorKind::FileTooLarge => format!("the system lets no file grow larger; {room}"),
        io::ErrorKind::PermissionDenied => {
            "the user that runs conto may not do this: see owner and mode of the lake's directory".to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is mounted read only: mount it for writing, or name another directory".to_owned()
        }
        io::ErrorKind::NotADirectory => "what should be the lake's directory is a file; name another".to_owned(),
        _ => return None,
    })
}

fn io_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a io::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a list a store says in its words alone that nobody is let in.
    #[test]
    fn a_store_that_lets_nobody_in_is_told_from_one_that_does_not_work() {
        let remedy = |status: &str| {
            let source = format!("Server returned non-2xx status code: {status} : no body").into();
            of_store("log", &object_store::Error::Generic { store: "S3", source }).unwrap()
        };
        assert!(remedy("403 Forbidden").starts_with("the store refuses these credentials"));
        assert!(remedy("401 Unauthorized").starts_with("the store refuses these credentials"));
        assert!(remedy("404 Not Found").starts_with("see whether bucket, endpoint"));
    }
}
