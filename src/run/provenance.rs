//! The provenance of a commit.

use crate::storage::Commit;
use crate::storage::CommitKind;
use crate::storage::LakeSettings;
use crate::storage::MeterDefinition;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The part of a commit that is not files: its kind and its inputs.
#[derive(Clone, Debug)]
pub struct Provenance {
    pub kind: CommitKind,
    pub period: Option<String>,
    pub committed_at: String,
    pub settings: LakeSettings,
    pub meters: BTreeMap<String, MeterDefinition>,
    /// The contents of configuration, accounts and rules, by name.
    pub inputs: BTreeMap<String, String>,
    /// The name of the input that is the configuration.
    pub configuration: String,
    /// The drafts of the period that this commit replaces.
    pub drafted: Option<Arc<Commit>>,
}
