//! `conto init`: creates a directory with a demo that runs as it is.

use std::fs;
use std::path::PathBuf;

use clap::Args;

use crate::cli::context::Context;
use crate::cli::context::quoted;
use crate::cli::failure::Failure;

/// Create a directory with a demo: configuration, rules and a day of usage
#[derive(Debug, Args)]
#[command(after_help = "Example: conto init my-cloud")]
pub(super) struct InitCommand {
    /// The directory to create
    directory: PathBuf,

    /// The place of the lake: a directory, or a URL such as s3://bucket/lake
    #[arg(long, value_name = "URL", default_value = "lake")]
    lake: String,
}

/// The files of the demo.
const FILES: [(&str, &str); 8] = [
    ("README.md", include_str!("init/README.md")),
    ("conto.toml", include_str!("init/conto.toml")),
    ("accounts.toml", include_str!("init/accounts.toml")),
    ("rating-rules/meters.toml", include_str!("init/rating-rules/meters.toml")),
    ("rating-rules/prices.toml", include_str!("init/rating-rules/prices.toml")),
    ("rating-rules/taxes.toml", include_str!("init/rating-rules/taxes.toml")),
    ("usage/2026-10-01.jsonl", include_str!("init/usage/2026-10-01.jsonl")),
    (".gitignore", "/lake\n"),
];

impl InitCommand {
    pub(super) fn execute(self, context: &Context) -> Result<(), Failure> {
        let shown = self.directory.display().to_string();
        if self.directory.exists() && !self.directory.is_dir() {
            return Err(Failure::Usage {
                message: format!("`{shown}` is not a directory"),
                hint: "give a directory that does not exist; nothing was written".to_owned(),
            });
        }
        let has_files = fs::read_dir(&self.directory).is_ok_and(|mut entries| entries.next().is_some());
        if has_files {
            return Err(Failure::Usage {
                message: format!("`{shown}` is not empty"),
                hint: "give a directory that does not exist; nothing was written".to_owned(),
            });
        }
        let line = format!("lake = {}", toml::Value::from(self.lake));
        for (name, text) in FILES {
            let text = text.replacen("lake = \"lake\"", &line, 1);
            let path = self.directory.join(name);
            let failed = |error: std::io::Error| {
                anyhow::Error::new(error).context(format!("could not write `{}`", path.display()))
            };
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).map_err(failed)?;
            }
            fs::write(&path, text).map_err(failed)?;
        }
        let directory = quoted(&shown);
        context.printer.line(&format!(
            "Created {shown}. Now:\n\n    cd {directory}\n    conto rules test\n    conto run --period 2026-10"
        ));
        Ok(())
    }
}
