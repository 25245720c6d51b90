//! Branding of documents: the seller's logo, colour, footer, page templates and translations.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};

/// The seller's changes to the built-in documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Branding {
    /// The image as a `data:` URL, because a page is a single file.
    pub logo: Option<String>,
    /// The colour of accents, such as `#1f4e79`.
    pub accent_color: Option<String>,
    /// The last lines of a page, such as court of registration, directors and capital.
    pub legal_footer: Vec<String>,
    pub templates: BTreeMap<String, String>,
}

// The names of the logo and templates among the committed inputs. No file name begins with `branding:`.
const COMMITTED_LOGO: &str = "branding:logo";
const COMMITTED_TEMPLATE: &str = "branding:templates/";

impl Branding {
    /// The logo and templates as committed inputs: name and text.
    pub fn committed_texts(&self) -> impl Iterator<Item = (String, String)> {
        let logo = self.logo.iter().map(|logo| (COMMITTED_LOGO.to_owned(), logo.clone()));
        logo.chain(self.templates.iter().map(|(name, text)| (format!("{COMMITTED_TEMPLATE}{name}"), text.clone())))
    }

    /// The branding with the logo and templates of the committed inputs.
    pub fn from_committed_texts(texts: &BTreeMap<String, String>) -> Self {
        let template =
            |(name, text): (&String, &String)| Some((name.strip_prefix(COMMITTED_TEMPLATE)?.to_owned(), text.clone()));
        Self {
            logo: texts.get(COMMITTED_LOGO).cloned(),
            templates: texts.iter().filter_map(template).collect(),
            ..Self::default()
        }
    }

    /// Whether a committed input is a logo or template.
    pub fn is_committed_text(name: &str) -> bool {
        name == COMMITTED_LOGO || name.starts_with(COMMITTED_TEMPLATE)
    }

    /// The digest of all parts. If the digest changes, documents are rendered again.
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

/// The parts of the branding that a template can use.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BrandingView<'a> {
    pub(crate) language: &'a str,
    pub(crate) logo: Option<&'a str>,
    pub(crate) accent_color: Option<&'a str>,
    pub(crate) legal_footer: &'a [String],
}
