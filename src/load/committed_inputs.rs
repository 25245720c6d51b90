//! Configuration, accounts and rules from the committed inputs of an earlier commit.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use encoding_rs::Encoding;
use jiff::tz::TimeZone;

use super::{RuleFile, read_config_text, read_rule_files};
use crate::model::account_data::{REISSUED_ACCOUNTS, REISSUED_PREFIXES};
use crate::model::branding::Branding;
use crate::model::config::Config;
use crate::model::diagnostic::{Diagnostic, Diagnostics};
use crate::model::rule_book::RuleBook;
use crate::model::seller_data::{REISSUED_SELLER, SellerData};

/// Reads the configuration, accounts and rules of a commit from `texts`, by name. `configuration` is the name of the
/// configuration. No file is read from the disk. Messages show the paths at the time of the commit.
pub fn read_committed_inputs(
    texts: &BTreeMap<String, String>,
    configuration: &str,
) -> (Option<(Config, RuleBook)>, Diagnostics) {
    let read_text = |path: &Path, _: &'static Encoding| {
        let name = path.to_string_lossy();
        texts.get(name.as_ref()).cloned().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    };
    let folder_of = |name: &str| Path::new(name).parent().map(Path::to_path_buf).unwrap_or_default();
    let Some(text) = texts.get(configuration) else {
        let mut diagnostics = Diagnostics::default();
        let message = "the commit does not contain the name of its configuration, so its inputs cannot be read";
        diagnostics.push(Diagnostic::error("config::not_kept", message));
        return (None, diagnostics);
    };
    let branding = Branding::from_committed_texts(texts);
    let folder = folder_of(configuration);
    let (config, mut diagnostics) = read_config_text(configuration, text, &folder, &read_text, Some(&branding));
    let Some(mut config) = config else { return (None, diagnostics) };
    if let Some((invoice, credit_note)) = texts.get(REISSUED_PREFIXES).and_then(|text| text.split_once('\n')) {
        config.closing.replace_prefixes(invoice, credit_note);
    }
    if let Some(text) = texts.get(REISSUED_SELLER) {
        match serde_json::from_str::<SellerData>(text) {
            Ok(replaced) => replaced.replace_in(&mut config),
            Err(error) => {
                let message = format!("the seller data of reissued documents in the commit is invalid: {error}");
                diagnostics.push(Diagnostic::error("config::bad_reissued_seller", message));
            }
        }
    }
    if let Some(text) = texts.get(REISSUED_ACCOUNTS) {
        match serde_json::from_str(text) {
            Ok(replaced) => config.accounts.replace_data(replaced),
            Err(error) => {
                let message = format!("the account data of reissued documents in the commit is invalid: {error}");
                diagnostics.push(Diagnostic::error("accounts::bad_reissued_data", message));
            }
        }
    }
    let accounts = config.accounts.source.as_ref().map(|source| source.name.clone());
    let is_rule_file = |name: &str| {
        let is_toml = Path::new(name).extension().is_some_and(|ending| ending == "toml");
        is_toml && name != configuration && accounts.as_deref() != Some(name) && !Branding::is_committed_text(name)
    };
    let files = texts.iter().filter(|(name, _)| is_rule_file(name));
    let files: Vec<RuleFile> = files
        .map(|(name, text)| RuleFile { name: name.clone(), folder: folder_of(name), text: text.clone() })
        .collect();
    let zone = TimeZone::get(&config.time_zone).unwrap_or(TimeZone::UTC);
    let (rules, problems) = read_rule_files(files, &read_text, &zone, config.currency);
    diagnostics.extend(problems);
    let rules_folder = PathBuf::new();
    (Some((Config { rules: rules_folder, ..config }, rules)), diagnostics)
}
