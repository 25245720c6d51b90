//! Compares everything in the lake with its commit log.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use object_store::ObjectMeta;
use sha2::{Digest, Sha256};

use super::{CommitKind, Error, Lake, Snapshot, layout};

/// The numbers of verified files, and the problems that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Findings {
    pub entries: u64,
    pub data_files: u64,
    pub documents: u64,
    pub bytes: u64,
    /// The number of unreferenced files, such as those of aborted runs.
    pub orphans: u64,
    /// One sentence for each damaged or missing file.
    pub damaged: Vec<String>,
    /// One sentence for each manifest that lists other files than the log. The next command that writes repairs it.
    pub wrong_manifests: Vec<String>,
    /// One sentence for each relation whose newest manifest is not written yet.
    pub missing_manifests: Vec<String>,
}

impl Lake {
    /// Reads every entry of the log, every data file of the current snapshot and the last documents of each period, and
    /// compares their digests.
    pub async fn verify_all(&self) -> Result<Findings, Error> {
        let mut findings = Findings::default();
        let log = self.log().await?;
        let mut snapshot = Snapshot::default();
        let mut documents = BTreeMap::new();
        let mut referenced = BTreeSet::new();
        for entry in &log {
            snapshot.apply(entry);
            referenced.extend(entry.added.iter().map(|file| file.path.as_str()));
            referenced.extend(entry.documents.iter().map(|document| document.path.as_str()));
            if let Some(period) = &entry.period {
                documents.insert(period, (entry.kind, &entry.documents));
            }
        }
        findings.entries = log.len() as u64;
        if snapshot != self.snapshot().await? {
            findings.damaged.push(format!("`{}` does not match the commit log: remove it", layout::CHECKPOINT));
        }
        let data: Vec<_> = snapshot.all_files().map(|file| (&file.path, &file.sha256, true)).collect();
        // Drafts may be deleted: `conto run --documents all` renders them again. Issued documents must exist.
        let documents: Vec<_> = documents
            .values()
            .flat_map(|(kind, documents)| documents.iter().map(|document| (document, *kind == CommitKind::Close)))
            .map(|(document, is_issued)| (&document.path, &document.sha256, is_issued))
            .collect();
        findings.data_files = data.len() as u64;
        findings.documents = documents.len() as u64;
        for (path, expected, is_required) in data.into_iter().chain(documents) {
            match self.read(path).await {
                Ok(bytes) => {
                    findings.bytes += bytes.len() as u64;
                    let found = hex::encode(Sha256::digest(&bytes));
                    if found != *expected {
                        let digests = format!("its SHA-256 is {found}, the commit log has {expected}");
                        findings.damaged.push(format!("`{path}` is damaged: {digests}"));
                    }
                }
                Err(Error::Store { source: object_store::Error::NotFound { .. }, .. }) if !is_required => {}
                Err(Error::Store { source: object_store::Error::NotFound { .. }, .. }) => {
                    findings.damaged.push(format!("`{path}` is missing; the commit log references it"));
                }
                Err(error) => return Err(error),
            }
        }
        (findings.wrong_manifests, findings.missing_manifests) = self.wrong_manifests(&snapshot).await?;
        findings.orphans = self.unreferenced(&referenced).await?.len() as u64;
        Ok(findings)
    }

    /// The files below `data/` and `documents/` whose paths are not in `referenced`, without manifests and pointers.
    pub(super) async fn unreferenced(&self, referenced: &BTreeSet<&str>) -> Result<Vec<(String, ObjectMeta)>, Error> {
        let mut unreferenced = Vec::new();
        for directory in [layout::DATA, layout::DOCUMENTS] {
            let failed = |source| Error::Store { action: "list", path: directory.to_owned(), source };
            let mut listed = self.store.list(Some(&self.full_path(directory)));
            while let Some(object) = listed.try_next().await.map_err(failed)? {
                let path = self.path_below(&object.location);
                let is_derived = layout::is_pointer(&path) || layout::is_manifest(&path);
                if !referenced.contains(path.as_str()) && !is_derived {
                    unreferenced.push((path, object));
                }
            }
        }
        unreferenced.sort_by(|left, right| left.0.cmp(&right.0));
        Ok(unreferenced)
    }

    /// A location of the store as a path of the lake.
    fn path_below(&self, location: &object_store::path::Path) -> String {
        let below: Vec<String> =
            location.parts().skip(self.prefix.parts().count()).map(|part| part.as_ref().to_owned()).collect();
        below.join("/")
    }
}
