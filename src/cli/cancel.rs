//! `conto cancel`: credit notes for whole documents, and invoices with the present data of account and seller.

use clap::Args;
use jiff::civil::Date;

use super::close::FutureIssueDate;
use super::memory_limit::MemoryLimit;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::cli::lookup;
use crate::model::summary::{CancelSummary, CancelledBy, ChangedData};
use crate::pipeline::{self, CancelOptions, CloseOptions};
use crate::storage::Lake;

/// Cancel an issued invoice and issue it again with the present data of account and seller
///
/// A credit note cancels the invoice and its corrections. A new invoice has the present name, address, country, VAT id
/// and references of the account, and the taxes that follow from them. It also has the present `[seller]`. Prices,
/// rules and usage stay those of the close.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto cancel INV-2026-00012\n         \
    conto cancel INV-2026-00012 --approve --issue-date 2026-11-20 --reason \"wrong VAT id\"")]
pub(super) struct CancelCommand {
    /// The invoices, all of the same month: a number, an id or name of an account or project, or a unique prefix
    #[arg(required = true, value_name = "INVOICE")]
    numbers: Vec<String>,

    /// Issue no new invoice: the amount is written off, and later usage of the month is not charged either
    #[arg(long)]
    without_reissue: bool,

    /// Issue the documents
    #[arg(long, requires_all = ["issue_date", "reason"])]
    approve: bool,

    /// The date printed on the documents
    #[arg(long, value_name = "YYYY-MM-DD")]
    issue_date: Option<Date>,

    #[command(flatten)]
    future: FutureIssueDate,

    /// Why; printed on the documents and recorded in the commit log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Who approved it; recorded in the commit log
    #[arg(long, value_name = "NAME")]
    approved_by: Option<String>,

    #[command(flatten)]
    memory_limit: MemoryLimit,
}

impl CancelCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let (config, rules) = context.read_all()?;
        if let Some(issue_date) = self.issue_date {
            self.future.check(issue_date, &config)?;
        }
        let remark = self.reason.unwrap_or_default();
        if self.approve && remark.trim().is_empty() {
            return Err(Failure::Usage {
                message: "the reason is empty".to_owned(),
                hint: "write --reason TEXT: the credit note and the new invoice show it".to_owned(),
            });
        }
        let options = context.options(self.memory_limit.bytes);
        let approved = self.issue_date.filter(|_| self.approve).map(|issue_date| CloseOptions {
            issue_date,
            tax_point: None,
            force: false,
            remark: None,
            approved_by: self.approved_by.clone(),
            account: None,
        });
        let lake = Lake::open(&config.lake)?;
        let candidates = lookup::candidates(&lake, &lake.snapshot().await?, None).await?;
        let numbers = self.numbers.iter().map(|text| lookup::invoice_number(text, &candidates));
        let numbers: Vec<String> = numbers.collect::<Result<_, _>>()?;
        let cancel = CancelOptions { numbers: numbers.clone(), is_reissued: !self.without_reissue, remark };
        let summary = pipeline::cancel(config, rules, cancel, approved, options).await?;
        self.memory_limit.check();
        print(context, &summary);
        if summary.commit.is_none() {
            let (numbers, flag) = (numbers.join(" "), if self.without_reissue { " --without-reissue" } else { "" });
            context.printer.message(&format!(
                "hint: `conto cancel {numbers}{flag} --approve --issue-date YYYY-MM-DD --reason TEXT` issues them"
            ));
        }
        Ok(())
    }
}

fn print(context: &Context, summary: &CancelSummary) {
    let printer = &context.printer;
    if printer.is_json() {
        printer.json(summary);
        return;
    }
    if !summary.changed_data.is_empty() {
        let shown = |value: &String| if value.is_empty() { "-".to_owned() } else { value.clone() };
        let changed = summary.changed_data.iter();
        let rows: Vec<Vec<String>> =
            changed.map(|one| vec![party(one), one.key.clone(), shown(&one.issued), shown(&one.present)]).collect();
        printer.line("Changed data:");
        printer.table(&["party", "key", "when issued", "now"], &rows, &[]);
        printer.line("");
    }
    let rows: Vec<Vec<String>> = summary.documents.iter().map(row).collect();
    printer.line(if summary.commit.is_some() { "Issued documents:" } else { "Documents to issue:" });
    printer.table(&["document", "", "without tax", "tax", "with tax", "due"], &rows, &[2, 3, 4, 5]);
    if let Some(sequence) = summary.commit {
        printer.line("");
        printer.line(&format!("Committed as {sequence}."));
    }
    if let Some(directory) = &summary.directory {
        printer.line(&format!("{directory}/index.html"));
    }
}

/// The account of changed data, or the table of the configuration.
fn party(changed: &ChangedData) -> String {
    changed.account_id.clone().unwrap_or_else(|| "[seller]".to_owned())
}

fn row(document: &CancelledBy) -> Vec<String> {
    let name = document.number.clone().unwrap_or_else(|| document.document_kind.replace('_', " "));
    let earlier = match (&document.cancels, &document.replaces) {
        (Some(number), _) => format!("cancels {number}"),
        (None, number) => format!("replaces {}", number.as_deref().unwrap_or_default()),
    };
    let amount = |text: &str| format!("{text} {}", document.currency);
    let (net, tax) = (&document.total_without_tax, &document.tax_amount);
    vec![name, earlier, amount(net), amount(tax), amount(&document.total_with_tax), amount(&document.amount_due)]
}
