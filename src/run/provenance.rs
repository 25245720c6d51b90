//! The provenance of a commit.

use crate::storage::Commit;
use crate::storage::CommitKind;
use crate::storage::LakeSettings;
use crate::storage::MeterDefinition;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The kind and the inputs of a commit, without its files.
#[derive(Clone, Debug)]
pub struct Provenance {
    pub kind: CommitKind,
    pub period: Option<String>,
    pub committed_at: String,
    pub settings: LakeSettings,
    pub meters: BTreeMap<String, MeterDefinition>,
    /// The contents of configuration, accounts and rules, by name.
    pub inputs: BTreeMap<String, String>,
    /// The name of the configuration in `inputs`.
    pub configuration: String,
    /// The earlier commit whose drafts of the period this commit replaces.
    pub drafted: Option<Arc<Commit>>,
}
