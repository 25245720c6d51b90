//! How documents look and speak: the seller's logo, colour and footer, templates of their own, and words by language.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// What a seller changes about documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// As a `data:` URL, so that a page needs nothing beside it.
    pub logo: Option<String>,
    /// `#1f4e79`
    pub accent_color: Option<String>,
    /// Lines below everything: court of registration, directors, capital.
    pub legal_footer: Vec<String>,
    /// Templates and words that stand for the built-in ones, by name: `invoice.html`, `words/de.toml`.
    pub templates: BTreeMap<String, String>,
}

impl Look {
    /// Tells looks apart: documents of another look are drawn anew.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        let parts = self.logo.iter().chain(&self.accent_color).chain(&self.legal_footer);
        let templates = self.templates.iter().flat_map(|(name, text)| [name, text]);
        for part in parts.chain(templates) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a template sees of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SeenLook<'a> {
    pub(crate) language: &'a str,
    pub(crate) logo: Option<&'a str>,
    pub(crate) accent_color: Option<&'a str>,
    pub(crate) legal_footer: &'a [String],
}
