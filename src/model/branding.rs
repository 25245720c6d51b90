//! How documents look and speak: the seller's logo, colour and footer, templates of their own, and words by language.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// What a seller changes about documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branding {
    /// As a `data:` URL, so that a page needs nothing beside it.
    pub logo: Option<String>,
    /// `#1f4e79`
    pub accent_color: Option<String>,
    /// Lines below everything: court of registration, directors, capital.
    pub legal_footer: Vec<String>,
    /// Templates and words that stand for the built-in ones, by name: `invoice.html`, `messages/de.toml`.
    pub templates: BTreeMap<String, String>,
}

/// Under which names a commit keeps a look; no file is called so.
const KEPT_LOGO: &str = "look:logo";
const KEPT_TEMPLATE: &str = "look:templates/";

impl Branding {
    /// As a commit keeps it: texts by name.
    pub fn to_keep(&self) -> impl Iterator<Item = (String, String)> {
        let logo = self.logo.iter().map(|logo| (KEPT_LOGO.to_owned(), logo.clone()));
        logo.chain(self.templates.iter().map(|(name, text)| (format!("{KEPT_TEMPLATE}{name}"), text.clone())))
    }

    /// Logo and templates as a commit kept them.
    pub fn kept(texts: &BTreeMap<String, String>) -> Self {
        let template =
            |(name, text): (&String, &String)| Some((name.strip_prefix(KEPT_TEMPLATE)?.to_owned(), text.clone()));
        Self {
            logo: texts.get(KEPT_LOGO).cloned(),
            templates: texts.iter().filter_map(template).collect(),
            ..Self::default()
        }
    }

    /// Whether a text that a commit kept is a part of a look.
    pub fn is_part(name: &str) -> bool {
        name == KEPT_LOGO || name.starts_with(KEPT_TEMPLATE)
    }

    /// Tells looks apart: documents of another look are drawn anew.
    pub fn digest(&self) -> String {
        let mut hasher = Sha256::new();
        let parts = self.logo.iter().chain(&self.accent_color).chain(&self.legal_footer);
        let templates = self.templates.iter().flat_map(|(name, text)| [name, text]);
        for part in parts.chain(templates) {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        hex::encode(hasher.finalize())
    }
}

/// What a template sees of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BrandingView<'a> {
    pub(crate) language: &'a str,
    pub(crate) logo: Option<&'a str>,
    pub(crate) accent_color: Option<&'a str>,
    pub(crate) legal_footer: &'a [String],
}
