//! Holds everything that is in the lake against its log.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};

use super::{CommitKind, Error, Lake, Snapshot, layout};

/// What was looked at and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Findings {
    pub entries: u64,
    pub data_files: u64,
    pub documents: u64,
    pub bytes: u64,
    /// Files that no entry names: what dead runs left.
    pub orphans: u64,
    /// Each a sentence; none where the lake is whole.
    pub damaged: Vec<String>,
}

impl Lake {
    /// Reads every entry of the log, every file that counts and every document of each period's last billing, and
    /// compares digests.
    pub async fn verify_all(&self) -> Result<Findings, Error> {
        let mut findings = Findings::default();
        let log = self.log().await?;
        let mut snapshot = Snapshot::default();
        let mut documents = BTreeMap::new();
        let mut named = BTreeSet::new();
        for entry in &log {
            snapshot.apply(entry);
            named.extend(entry.added.iter().map(|file| file.path.as_str()));
            named.extend(entry.documents.iter().map(|document| document.path.as_str()));
            if let Some(period) = &entry.period {
                documents.insert(period, (entry.kind, &entry.documents));
            }
        }
        findings.entries = log.len() as u64;
        if snapshot != self.snapshot().await? {
            findings.damaged.push(format!("`{}` says other than the log: remove it", layout::CHECKPOINT));
        }
        let data: Vec<_> = snapshot.all_files().map(|file| (&file.path, &file.sha256, true)).collect();
        // People may tidy up drafts: `conto run --documents all` draws them again. What was issued stays.
        let documents: Vec<_> = documents
            .values()
            .flat_map(|(kind, of)| of.iter().map(|document| (document, *kind == CommitKind::Close)))
            .map(|(document, is_issued)| (&document.path, &document.sha256, is_issued))
            .collect();
        findings.data_files = data.len() as u64;
        findings.documents = documents.len() as u64;
        for (path, expected, must_be_there) in data.into_iter().chain(documents) {
            match self.read(path).await {
                Ok(bytes) => {
                    findings.bytes += bytes.len() as u64;
                    let found = hex::encode(Sha256::digest(&bytes));
                    if found != *expected {
                        findings
                            .damaged
                            .push(format!("`{path}` is not what the log names (SHA-256 {expected}, found {found})"));
                    }
                }
                Err(Error::Store { source: object_store::Error::NotFound { .. }, .. }) if !must_be_there => {}
                Err(Error::Store { source: object_store::Error::NotFound { .. }, .. }) => {
                    findings.damaged.push(format!("`{path}` is named by the log and is not there"));
                }
                Err(error) => return Err(error),
            }
        }
        findings.orphans = self.unnamed(&named).await?.len() as u64;
        Ok(findings)
    }

    /// The files below data and documents whose paths are not among `named`.
    pub(super) async fn unnamed(&self, named: &BTreeSet<&str>) -> Result<Vec<(String, ObjectMeta)>, Error> {
        let mut unnamed = Vec::new();
        for directory in [layout::DATA, layout::DOCUMENTS] {
            let failed = |source| Error::Store { action: "list", path: directory.to_owned(), source };
            let mut listed = self.store.list(Some(&self.full_path(directory)));
            while let Some(object) = listed.try_next().await.map_err(failed)? {
                let path = self.path_below(&object.location);
                if !named.contains(path.as_str()) && !layout::is_pointer(&path) {
                    unnamed.push((path, object));
                }
            }
        }
        unnamed.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(unnamed)
    }

    /// A location of the store as a path of the lake.
    fn path_below(&self, location: &object_store::path::Path) -> String {
        let below: Vec<String> =
            location.parts().skip(self.prefix.parts().count()).map(|part| part.as_ref().to_owned()).collect();
        below.join("/")
    }
}
