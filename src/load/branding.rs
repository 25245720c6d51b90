//! How documents look: the seller's logo, colour and footer, and templates that stand for the built-in ones.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::problems::{Problems, reason, suggestion};
use super::table::{CONFIG, Table, Text};
use crate::model::branding::Branding;
use crate::model::diagnostic::Diagnostic;

const KNOWN: [&str; 5] = ["_base.html", "_style.css", "index.html", "invoice.html", "usage_report.html"];

const PICTURES: [(&str, &str); 5] = [
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("webp", "image/webp"),
];

/// `logo`, `accent_color` and `legal_footer` of `[seller]`. The logo is read from the disk unless it is given.
pub(crate) fn of_seller(table: &mut Table<'_>, folder: &Path, kept: Option<&Branding>) -> Branding {
    let problems = table.file.problems;
    let logo = table.text("logo").and_then(|file| match kept {
        Some(kept) => kept.logo.clone(),
        None => logo(&file, folder, problems),
    });
    let accent_color = table.text("accent_color").and_then(|color| accent_color(color, problems));
    let legal_footer = table.texts("legal_footer").unwrap_or_default();
    let legal_footer = legal_footer.into_iter().map(|line| line.value).collect();
    Branding { logo, accent_color, legal_footer, templates: BTreeMap::new() }
}

fn logo(file: &Text, folder: &Path, problems: &Problems) -> Option<String> {
    let ending = file.value.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let Some((_, kind)) = PICTURES.iter().find(|(known, _)| *known == ending) else {
        let message = format!("`{}` is no picture that pages show", file.value);
        let hint = suggestion(&ending, PICTURES.iter().map(|(known, _)| *known), "endings");
        problems.push(Diagnostic::error("config::logo", message).at(file.place.clone(), "not a picture").hint(hint));
        return None;
    };
    match std::fs::read(folder.join(&file.value)) {
        Ok(bytes) => Some(format!("data:{kind};base64,{}", STANDARD.encode(bytes))),
        Err(error) => {
            let message = format!("cannot read `{}`: {}", file.value, reason(&error));
            let problem = Diagnostic::error(CONFIG.unreadable, message).at(file.place.clone(), "named here");
            problems.push(problem.hint("the path counts from the directory of conto.toml"));
            None
        }
    }
}

fn accent_color(color: Text, problems: &Problems) -> Option<String> {
    let digits = color.value.strip_prefix('#').unwrap_or_default();
    if matches!(digits.len(), 3 | 6) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Some(color.value);
    }
    let message = format!("`{}` is no colour", color.value);
    let problem = Diagnostic::error("config::accent_color", message).at(color.place, "not a colour");
    problems.push(problem.hint("write it as #rrggbb, such as #1f4e79"));
    None
}

/// The files of a directory of templates, by name. One that is none of the known ones is a misspelt one.
pub(crate) fn templates(directory: &Text, folder: &Path, problems: &Problems) -> BTreeMap<String, String> {
    let root = folder.join(&directory.value);
    let mut found = BTreeMap::new();
    let unreadable = |what: &str, error: &std::io::Error| {
        let message = format!("cannot read `{what}`: {}", reason(error));
        problems.push(Diagnostic::error(CONFIG.unreadable, message).at(directory.place.clone(), "named here"));
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
            let is_known = KNOWN.contains(&name.as_str()) || (!below.is_empty() && name.ends_with(".toml"));
            if !is_known {
                let hint = suggestion(&name, KNOWN, "templates");
                let message = format!("`{name}` is no template; translations are in messages/de.toml");
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
