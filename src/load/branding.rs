//! Branding: the seller's logo, colour and footer, and templates that replace built-in templates.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::problems::{Problems, reason, suggestion};
use super::table::{CONFIG, Table, Text};
use crate::model::branding::Branding;
use crate::model::diagnostic::Diagnostic;

const TEMPLATES: [&str; 7] = [
    "_base.html",
    "_close_decision.html",
    "_style.css",
    "index.html",
    "invoice.html",
    "month_end.html",
    "usage_report.html",
];

const IMAGE_TYPES: [(&str, &str); 5] = [
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
];

/// Reads `logo`, `accent_color` and `legal_footer` of `[seller]`. The logo is from the committed inputs, if given, or
/// else from the disk.
pub(crate) fn of_seller(table: &mut Table<'_>, folder: &Path, committed: Option<&Branding>) -> Branding {
    let problems = table.file.problems;
    let logo = table.text("logo").and_then(|file| match committed {
        Some(committed) => committed.logo.clone(),
        None => logo(&file, folder, problems),
    });
    let accent_color = table.text("accent_color").and_then(|color| accent_color(color, problems));
    let legal_footer = table.texts("legal_footer").unwrap_or_default();
    let legal_footer = legal_footer.into_iter().map(|line| line.value).collect();
    Branding { logo, accent_color, legal_footer, templates: BTreeMap::new() }
}

fn logo(file: &Text, folder: &Path, problems: &Problems) -> Option<String> {
    let extension = file.value.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let Some((_, kind)) = IMAGE_TYPES.iter().find(|(known, _)| *known == extension) else {
        let message = format!("`{}` is not an image of a supported format", file.value);
        let hint = suggestion(&extension, IMAGE_TYPES.iter().map(|(known, _)| *known), "file extensions");
        problems.push(Diagnostic::error("config::logo", message).at(file.place.clone(), "not an image").hint(hint));
        return None;
    };
    match std::fs::read(folder.join(&file.value)) {
        Ok(bytes) => Some(format!("data:{kind};base64,{}", STANDARD.encode(bytes))),
        Err(error) => {
            let message = format!("cannot read `{}`: {}", file.value, reason(&error));
            let problem = Diagnostic::error(CONFIG.unreadable, message).at(file.place.clone(), "referenced here");
            problems.push(problem.hint("the path is relative to the directory of conto.toml"));
            None
        }
    }
}

fn accent_color(color: Text, problems: &Problems) -> Option<String> {
    let digits = color.value.strip_prefix('#').unwrap_or_default();
    if matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(color.value);
    }
    let message = format!("`{}` is not a colour", color.value);
    let problem = Diagnostic::error("config::accent_color", message).at(color.place, "not a colour");
    problems.push(problem.hint("write the colour as #rrggbb, such as #1f4e79"));
    None
}

/// The templates and translations of the templates directory, by name. A file with an unknown name is an error, because
/// the name may be misspelt.
pub(crate) fn templates(directory: &Text, folder: &Path, problems: &Problems) -> BTreeMap<String, String> {
    let root = folder.join(&directory.value);
    let mut found = BTreeMap::new();
    let unreadable = |what: &str, error: &std::io::Error| {
        let message = format!("cannot read `{what}`: {}", reason(error));
        problems.push(Diagnostic::error(CONFIG.unreadable, message).at(directory.place.clone(), "referenced here"));
    };
    for (below, folder) in [("", root.clone()), ("messages/", root.join("messages"))] {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(_) if !below.is_empty() => continue,
            Err(error) => {
                unreadable(&directory.value, &error);
                continue;
            }
        };
        for entry in entries.flatten().filter(|entry| entry.path().is_file()) {
            let name = format!("{below}{}", entry.file_name().to_string_lossy());
            let is_known = TEMPLATES.contains(&name.as_str()) || (!below.is_empty() && name.ends_with(".toml"));
            if !is_known {
                let hint = suggestion(&name, TEMPLATES, "templates");
                let message = format!("`{name}` is not a template; translations are in messages/LANGUAGE.toml");
                let problem = Diagnostic::error("config::unknown_template", message);
                problems.push(problem.at(directory.place.clone(), "in this directory").hint(hint));
                continue;
            }
            match std::fs::read_to_string(entry.path()) {
                Ok(text) => {
                    found.insert(name, text);
                }
                Err(error) => unreadable(&name, &error),
            }
        }
    }
    found
}
