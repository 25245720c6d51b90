//! The commands in `conto --help`, under headings.

/// Each heading with its commands, in the order of the page.
const HEADINGS: [(&str, &[&str]); 6] = [
    ("Nightly", &["run", "intake"]),
    ("Prices", &["rules"]),
    ("Months", &["close", "restate", "cancel", "audit", "export"]),
    ("Analysis", &["explain", "status", "sql", "reproduce"]),
    ("Lake", &["lake"]),
    ("Setup", &["init", "schema", "completions", "man"]),
];

/// Adds the help page, which lists the subcommands under headings.
pub(super) fn with_headings(command: clap::Command) -> clap::Command {
    let name_width = command.get_subcommands().map(|one| one.get_name().len()).max().unwrap_or(0);
    let mut groups = String::new();
    for (heading, names) in HEADINGS {
        groups.push_str(&format!("{heading}:\n"));
        for name in names {
            let about = command.find_subcommand(name).and_then(clap::Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            groups.push_str(&format!("  {name:<name_width$}  {about}\n"));
        }
        groups.push('\n');
    }
    command.help_template(format!(
        "{{before-help}}{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}\
         `conto COMMAND --help` explains a command.\n\nOptions:\n{{options}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn command() -> clap::Command {
        with_headings(Cli::command())
    }

    #[test]
    fn every_command_is_under_one_heading_and_has_a_line() {
        let command = command();
        let mut listed: Vec<&str> = HEADINGS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let mut commands: Vec<&str> = command.get_subcommands().map(clap::Command::get_name).collect();
        listed.sort_unstable();
        commands.sort_unstable();
        assert_eq!(listed, commands);
        for one in command.get_subcommands() {
            let about = one.get_about().map(ToString::to_string).unwrap_or_default();
            assert!((10..=90).contains(&about.len()), "{}: {about}", one.get_name());
        }
    }

    #[test]
    fn the_command_line_passes_the_checks_of_clap() {
        command().debug_assert();
    }
}
