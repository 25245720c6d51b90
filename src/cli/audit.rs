//! `conto audit`: recomputes every invariant of a billed period from the lake.

use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::audit::{self, Audit, SignedDigest};
use crate::billed_period::BilledPeriod;
use crate::cli::close_decisions;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::error::{Error, count};
use crate::export::csv;
use crate::ledger;
use crate::model::close_blocker::CloseDecision;
use crate::model::money::Cost;
use crate::model::period::BillingPeriod;
use crate::query::statement;
use crate::rows::relations::{Reconciliation, Rows};
use crate::storage::Lake;
use crate::storage::digest_list::DIGEST_LIST;

/// Reconcile a billed month: usage, prices, invoices, postings, files
///
/// Every record is accepted, duplicate or rejected. All metered usage is rated, or listed without a price. All rated
/// usage is on an invoice, or of a suspended account, an internal account or an unassigned project. Lines, allowances,
/// taxes, prepayments, balances and postings add up. Every file matches its digest in the commit log. Usage that was
/// taken in after the last billing of the month is not audited, and a note names it.
#[derive(Debug, Args)]
#[command(after_help = "Exit code 3: a cent is missing.\n\nExample: conto audit --period 2026-10 --format csv")]
pub(super) struct AuditCommand {
    /// The month to audit, such as 2026-10
    #[arg(long, value_name = "YYYY-MM")]
    period: BillingPeriod,

    /// The format of the reconciliation
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Table,
    Csv,
}

#[derive(Debug, Serialize)]
struct Part {
    invariant: String,
    unit: String,
    part: String,
    amount: String,
}

/// The audit as `--json` prints it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    reconciliation: &'a [Part],
    checks: Vec<Check<'a>>,
    /// The approval, the reasons and the overridden blockers of each close of the month.
    closes: &'a [CloseDecision],
    /// The digest to sign of the last close.
    digest: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Check<'a> {
    name: &'a str,
    violations: usize,
}

impl AuditCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        // Files are verified first: a damaged file proves nothing.
        if let Some(damage) = Lake::open(&config.lake)?.verify_all().await?.damaged.into_iter().next() {
            return Err(Failure::Unreconciled(damage));
        }
        let Some(books) = BilledPeriod::open(&config, self.period).await? else {
            return Err(crate::cli::context::never_billed(self.period));
        };
        ledger::post_unproved(&books.session, &config.chart_of_accounts).await?;
        let audit = audit::audit(&books).await?;
        let mut parts = Vec::new();
        let mut first_missing = None;
        for row in Rows::<Reconciliation>::read(&audit.reconciliation)?.iter() {
            let amount: Cost = row.amount();
            let part = Part {
                invariant: row.invariant().to_owned(),
                unit: row.unit().to_owned(),
                part: row.part().to_owned(),
                amount: amount.to_string(),
            };
            if part.part == "difference" && !amount.is_zero() && first_missing.is_none() {
                first_missing = Some(format!("{}: {} {} missing", part.invariant, part.amount, part.unit));
            }
            parts.push(part);
        }
        let closes = books.snapshot.close_decisions(&self.period.to_string());
        let signed = audit::signed_digest(&books).await?;
        let digest = signed.as_ref().map(|signed| signed.computed.as_str());
        let report = Report { reconciliation: &parts, checks: checks(&audit), closes: &closes, digest };
        self.print(context, &audit, &report)?;
        if books.has_unbilled_usage {
            let period = self.period;
            context.printer.message(&format!(
                "note: usage of {period} was taken in after its last billing; it is not billed yet and not part of \
                 this audit\nhint: `conto run --period {period}` bills it"
            ));
        }
        if let Some(SignedDigest { computed, committed }) = signed.filter(|signed| signed.computed != signed.committed)
        {
            return Err(Failure::Unreconciled(format!(
                "the digest of all documents is {computed}, but the list of the month-end pack has {committed}"
            )));
        }
        verdict(&audit, first_missing)
    }

    fn print(&self, context: &Context, audit: &Audit, report: &Report<'_>) -> Result<(), Failure> {
        let printer = &context.printer;
        if printer.is_json() {
            printer.json(report);
            return Ok(());
        }
        if matches!(self.format, Format::Csv) {
            let schema = &statement("report/reconciliation").map_err(Error::from)?.schema;
            printer.bytes(&csv::write(schema, &audit.reconciliation, 2, &[])?);
            return Ok(());
        }
        let mut before = (String::new(), String::new());
        let mut cells = Vec::new();
        for part in report.reconciliation {
            let this = (part.invariant.clone(), part.unit.clone());
            let (invariant, unit) = if this == before { (String::new(), String::new()) } else { this.clone() };
            before = this;
            cells.push(vec![invariant, unit, part.part.clone(), part.amount.clone()]);
        }
        printer.table(&["invariant", "unit", "part", "amount"], &cells, &[3]);
        printer.line("");
        for claim in &audit.claims {
            let found = if claim.broken == 0 { "ok".to_owned() } else { count(claim.broken, "row") };
            printer.line(&format!("{found:<6} {}", claim.summary));
        }
        close_decisions::print(printer, report.closes);
        if let Some(digest) = report.digest {
            printer.line(&format!("\nDigest to sign, of {DIGEST_LIST}:\n{digest}"));
        }
        Ok(())
    }
}

fn checks(audit: &Audit) -> Vec<Check<'_>> {
    audit.claims.iter().map(|claim| Check { name: &claim.name, violations: claim.broken }).collect()
}

fn verdict(audit: &Audit, first_missing: Option<String>) -> Result<(), Failure> {
    if let Some(sentence) = first_missing {
        return Err(Failure::Unreconciled(sentence));
    }
    if let Some(claim) = audit.claims.iter().find(|claim| claim.broken > 0) {
        return Err(Failure::Unreconciled(format!("{}: {}", claim.name, claim.summary)));
    }
    Ok(())
}
