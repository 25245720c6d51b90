//! `conto intake retract`: removes the samples of a wrong file or of a wrong record.

use clap::Args;

use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::error::count;
use crate::intake::retraction::Subject;
use crate::pipeline;
use crate::run::RunOptions;

/// Remove the samples that a file delivered, or a single record
///
/// The samples are no longer billed and are listed in `retracted_sample`. A sample that another file delivered too
/// counts as before. A retracted file is not read again. The same content counts if it is delivered later, under any
/// name and with another modification time. A retracted record stays retracted, whichever file delivers it: deliver
/// the correct record with another id. If the samples are of a closed month, the next `conto close` of that month
/// issues the corrections.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    conto intake retract --file usage/2026-10-07.csv --reason \"measured twice\"\n  \
    conto intake retract --event-source gateway-1 --record 9 --reason \"a test\"\n  \
    conto intake retract --meter traffic --resource vm-1 --at 2026-10-07T10:00:00Z --reason \"a test\"")]
pub(super) struct RetractCommand {
    /// The file: its URL in `input_file`, the end of the URL, or the start of its SHA-256
    #[arg(long, value_name = "FILE", required_unless_present_any = ["record", "at"])]
    file: Option<String>,

    /// A single record: its id
    #[arg(long, value_name = "ID", conflicts_with = "file")]
    record: Option<String>,

    /// The `source` of the record, if it is a CloudEvent
    #[arg(long, value_name = "SOURCE", requires = "record")]
    event_source: Option<String>,

    /// A single record without an id: its meter
    #[arg(long, value_name = "METER", requires = "at", conflicts_with_all = ["file", "record"])]
    meter: Option<String>,

    /// A single record without an id: its resource
    #[arg(long, value_name = "RESOURCE", requires = "at", conflicts_with_all = ["file", "record"])]
    resource: Option<String>,

    /// A single record without an id: its time
    #[arg(long, value_name = "TIME", requires_all = ["meter", "resource"], conflicts_with_all = ["file", "record"])]
    at: Option<jiff::Timestamp>,

    /// Why; recorded in the commit log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl RetractCommand {
    /// The file or the record. The arguments name exactly one of them.
    fn subject(self) -> Subject {
        match (self.file, self.record, self.at) {
            (None, Some(id), _) => Subject::Record { event_source: self.event_source, id },
            (None, None, Some(at)) => Subject::Instant {
                meter: self.meter.unwrap_or_default(),
                resource_id: self.resource.unwrap_or_default(),
                measured_at: at.as_microsecond(),
            },
            (file, ..) => Subject::File(file.unwrap_or_default()),
        }
    }

    pub(super) async fn execute(self, context: &Context, options: RunOptions) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        let reason = self.reason.clone();
        let done = pipeline::retract(config, rules, options, &self.subject(), &reason).await?;
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(&done);
            return Ok(());
        }
        let number = |number: u64, noun| count(usize::try_from(number).unwrap_or(usize::MAX), noun);
        match done.commit {
            Some(sequence) => {
                let samples = number(done.samples, "sample");
                printer.line(&format!("Retracted {samples} of {}. Committed as {sequence}.", done.retracted));
            }
            None => printer.line(&format!("{} has no samples to retract.", done.retracted)),
        }
        if done.delivered_by_others > 0 {
            let samples = number(done.delivered_by_others, "sample");
            printer.line(&format!("Of these, {samples} counts as before, because another file delivered it too."));
        }
        Ok(())
    }
}
