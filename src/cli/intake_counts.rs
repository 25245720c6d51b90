//! The counts of an intake, as they are printed.

use crate::cli::failure::Failure;
use crate::cli::print::Group;
use crate::cli::print::Printer;
use crate::cli::print::grouped;
use crate::model::summary::{ChangedIds, IntakeSummary};
use crate::model::unread_input::printable;

/// The counts of intake.
pub(super) fn intake_group(intake: &IntakeSummary) -> Group {
    if intake.files_read == 0 {
        return Group { title: "No new usage files".to_owned(), pairs: Vec::new() };
    }
    let mut pairs = vec![
        ("files", grouped(intake.files_read)),
        ("records", grouped(intake.records_read)),
        ("  accepted", grouped(intake.samples_accepted)),
        ("  duplicate", grouped(intake.samples_duplicate)),
        ("  rejected", grouped(intake.records_rejected)),
    ];
    if intake.samples_retracted > 0 {
        pairs.push(("  retracted", grouped(intake.samples_retracted)));
    }
    pairs.push(("  without a meter", grouped(intake.records_unmetered)));
    Group { title: "Usage read".to_owned(), pairs }
}

/// The ids of each source that were delivered with blanks or in another Unicode form.
pub(super) fn changed_id_hints(intake: &IntakeSummary) -> impl Iterator<Item = String> {
    intake.changed_ids.iter().map(|ChangedIds { source, ids, delivered, read_as }| {
        let ids = if *ids == 1 { "1 id".to_owned() } else { format!("{} ids", grouped(*ids)) };
        format!(
            "{ids} of the source `{source}` had blanks or another Unicode form, such as {delivered:?}, which is read \
             as {read_as:?}"
        )
    })
}

pub(super) fn rejected_hint(intake: &IntakeSummary) -> Option<String> {
    let query = "SELECT url, line, reason, detail FROM rejected_record JOIN input_file USING (input_file_id) \
                 ORDER BY url, line";
    (intake.records_rejected > 0).then(|| format!("rejected records: `conto sql \"{query}\"`"))
}

/// The number of inputs that are printed with their reasons.
const SHOWN: usize = 10;

/// Prints the inputs that could not be read, each with its reason.
pub(super) fn print_unread(printer: &Printer, intake: &IntakeSummary) {
    for input in intake.unread_inputs.iter().take(SHOWN) {
        let (url, detail) = (printable(&input.url), printable(&input.detail));
        printer.message(&format!("not read: `{url}` of the source `{}`: {detail}", input.source));
    }
    if intake.unread_inputs.len() > SHOWN {
        printer.message(&format!(
            "hint: all {} inputs: `conto sql \"SELECT * FROM unread_input\"`",
            intake.unread_inputs.len()
        ));
    }
}

/// The failure of a command that is done, but left out inputs or accounts.
pub(super) fn incomplete(unread: usize, suspended: usize) -> Result<(), Failure> {
    if unread + suspended == 0 { Ok(()) } else { Err(Failure::Incomplete { unread, suspended, exceeded: 0 }) }
}
