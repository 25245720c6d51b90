//! `conto export`: journals for accountants and sales lists for tax offices.

use clap::{Args, Subcommand, ValueEnum};

use crate::billed_period::BilledPeriod;
use crate::cli::context::Context;
use crate::cli::failure::Failure;
use crate::error::Error;
use crate::export::{csv, journal};
use crate::ledger;
use crate::model::money::places_of;
use crate::model::period::BillingPeriod;
use crate::query::{Parameters, statement};

/// Export the journal or the EC sales list of a billed month
#[derive(Debug, Subcommand)]
pub(super) enum ExportCommand {
    Journal(JournalCommand),
    EcSales(EcSalesCommand),
}

/// Export the journal: the postings of each document, by the chart of accounts in `[ledger]`
///
/// Postings of drafts are marked as pending, for an accrual report.
#[derive(Debug, Args)]
#[command(after_help = "Example: conto export journal --period 2026-10 --format hledger > 2026-10.journal")]
pub(super) struct JournalCommand {
    /// The month, such as 2026-10
    #[arg(long, value_name = "YYYY-MM")]
    period: BillingPeriod,

    /// The format of the journal
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Csv,
    Hledger,
    Beancount,
}

/// Export the EC sales list as CSV: services to businesses in other EU countries under reverse charge
#[derive(Debug, Args)]
#[command(after_help = "Example: conto export ec-sales --period 2026-10")]
pub(super) struct EcSalesCommand {
    /// The month, such as 2026-10
    #[arg(long, value_name = "YYYY-MM")]
    period: BillingPeriod,
}

impl ExportCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Journal(command) => command.execute(context).await,
            Self::EcSales(command) => command.execute(context).await,
        }
    }
}

impl JournalCommand {
    async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let Some(books) = BilledPeriod::open(&config, self.period).await? else {
            return Err(crate::cli::context::never_billed(self.period));
        };
        let posting = ledger::post(&books.session, &config.chart_of_accounts).await?;
        let bytes = match self.format {
            Format::Csv => {
                let rows = books.session.run("export/journal", Parameters::none()).await?;
                let schema = &statement("export/journal").map_err(Error::from)?.schema;
                let places = [("debit", csv::Places::Currency), ("credit", csv::Places::Currency)];
                csv::write(schema, &rows, places_of(config.currency), &places)?
            }
            Format::Hledger => journal::write(&posting, journal::Format::Hledger)?.into_bytes(),
            Format::Beancount => journal::write(&posting, journal::Format::Beancount)?.into_bytes(),
        };
        context.printer.bytes(&bytes);
        Ok(())
    }
}

impl EcSalesCommand {
    async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let Some(books) = BilledPeriod::open(&config, self.period).await? else {
            return Err(crate::cli::context::never_billed(self.period));
        };
        let country = config.seller.country.as_deref().unwrap_or_default();
        let parameters = Parameters::none().text("seller_country", country);
        let rows = books.session.run("export/ec_sales", parameters).await?;
        let schema = &statement("export/ec_sales").map_err(Error::from)?.schema;
        context.printer.bytes(&csv::write(schema, &rows, 2, &[("taxable_amount", csv::Places::Currency)])?);
        Ok(())
    }
}
