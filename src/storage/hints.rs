//! Hints about failures of the lake's store.

use std::error::Error as StdError;
use std::io;

use super::Error;

impl Error {
    /// The next step for the operator; `None` if there is no particular step.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Location { .. } => "give a directory, or a URL of file:, s3://, gs:// or az://; credentials and \
                 endpoint are environment variables (AWS_…, GOOGLE_…, AZURE_…)"
                .to_owned(),
            Self::UnsupportedLocation { .. } => "use a directory, s3://, gs:// or az://".to_owned(),
            Self::LogEntry { path, .. } => format!(
                "restore `{path}` from a backup or an object version. If it is the last entry and has no copy, move it \
                 out of the lake and run the command again: usage is read again from the sources. Repeat a close with \
                 the same issue date and tax point. Repeat a close or a restatement with the same configuration and \
                 rules: the documents are then the same"
            ),
            Self::LogGap { missing } => {
                format!("restore entry {missing} from a backup; then check the lake with `conto lake verify`")
            }
            Self::NoSuchEntry { .. } => "`conto status` lists the commits".to_owned(),
            Self::DryRun => return None,
            Self::Conflict { .. } => "run the command again when the other command has ended".to_owned(),
            Self::OutcomeUnknown { .. } => {
                "run the command again when the store responds; if the entry was committed, the work is not repeated"
                    .to_owned()
            }
            Self::Damaged { path, .. } | Self::Parquet { path, .. } => format!(
                "restore `{path}` from a backup or an object version; `conto lake verify` lists all damaged files"
            ),
            Self::MissingColumn { .. } => {
                "`conto run` bills an open month again; read a closed month with the version of conto that closed it \
                 (`conto status --json` has the versions)"
                    .to_owned()
            }
            Self::ForeignTable { .. } => "name another directory; the export creates it".to_owned(),
            Self::TableLog { .. } => "restore the file, or export to another directory".to_owned(),
            Self::Store { path, source, .. } => of_store(path, source)?,
            Self::Disk { source, .. } => of_disk(source)?,
        })
    }
}

fn of_store(path: &str, error: &object_store::Error) -> Option<String> {
    if let Some(hint) = io_error(error).and_then(of_disk) {
        return Some(hint);
    }
    Some(match error {
        object_store::Error::NotFound { .. } => format!(
            "the commit log references `{path}`, but the file is missing: restore it from a backup, or check `lake` in \
             the configuration; `conto lake verify` lists all missing files"
        ),
        other if is_unauthorized(other) => {
            "the store rejected the credentials: check AWS_…, GOOGLE_… or AZURE_… in the environment; conto needs \
             permission to list, read and write"
                .to_owned()
        }
        object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. } => {
            "use a store that supports conditional writes (If-None-Match: *)".to_owned()
        }
        _ => "check bucket, endpoint (AWS_ENDPOINT_URL, GOOGLE_BASE_URL, AZURE_ENDPOINT) and credentials, and run \
              the command again; earlier commits are complete"
            .to_owned(),
    })
}

/// Whether the store rejected the credentials. The error of a list request contains the status only in its text.
fn is_unauthorized(error: &object_store::Error) -> bool {
    let text = error.to_string();
    matches!(error, object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. })
        || ["status code: 401 ", "status code: 403 "].iter().any(|status| text.contains(status))
}

fn of_disk(error: &io::Error) -> Option<String> {
    let next = "free some space and run the command again; earlier commits are complete";
    Some(match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => format!("the disk is full; {next}"),
        io::ErrorKind::FileTooLarge => format!("the file exceeds the size limit of the system; {next}"),
        io::ErrorKind::PermissionDenied => {
            "the user of this process has no permission: check owner and mode of the lake's directory".to_owned()
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: mount it for writing, or use another directory".to_owned()
        }
        io::ErrorKind::NotADirectory => "the path of the lake is a file: use a directory".to_owned(),
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

    #[test]
    fn rejected_credentials_are_recognized_by_the_status_in_the_text() {
        let hint = |status: &str| {
            let source = format!("Server returned non-2xx status code: {status} : no body").into();
            of_store("log", &object_store::Error::Generic { store: "S3", source }).unwrap()
        };
        assert!(hint("403 Forbidden").starts_with("the store rejected the credentials"));
        assert!(hint("401 Unauthorized").starts_with("the store rejected the credentials"));
        assert!(hint("404 Not Found").starts_with("check bucket, endpoint"));
    }
}
