//! `usage.csv`: what each resource used on each date and what it costs, portion by portion of what was rated.

use std::collections::BTreeSet;

use crate::documents::hashing_file::HashingFile;
use crate::error::Error;
use crate::export::csv::Table;
use crate::export::usage_rows::{RATED_COLUMNS, Shared, UNRATED_COLUMNS, UsageRows};
use crate::query::{Parameters, statement};
use crate::run::{Context, Transaction};
use crate::storage::DataFile;

const RATED: [&str; 2] = ["rating/rated_usage", "rating/unrated_usage"];

/// Writes one portion of rated usage after the other: there are too many rows to be sorted at once, and portions are
/// whole accounts in the order of the file. What is owed without being measured comes behind them, and percents of it
/// all last.
pub(super) async fn draw(
    context: &Context,
    transaction: &Transaction,
    mut table: Table<HashingFile>,
) -> Result<HashingFile, Error> {
    let period = context.period.to_string();
    let session = &transaction.session;
    let mut portions = BTreeSet::new();
    for path in RATED {
        let of_period = transaction.files_where(&statement(path)?.name, |file| file.partition == period);
        portions.extend(of_period.iter().map(|file| file.bucket));
    }
    let shared = Shared {
        active_series: &session.rows_of("rating/active_series").await?,
        rate: &session.rows_of("rating/rate").await?,
        label_range: &session.rows_of("export/label_range").await?,
        suspended_accounts: &session.rows_of("invoicing/suspended_account").await?,
        usage_segment: &session.rows_of("rating/usage_segment").await?,
    };
    let rows = UsageRows::new(shared, context.config.currency.code())?;
    for portion in portions {
        draw_portion(context, transaction, &rows, &mut table, |file| {
            file.partition == period && file.bucket == portion
        })
        .await?;
    }
    for batch in session.run("export/non_usage_charges", Parameters::none()).await? {
        table.rows(&batch)?;
    }
    for batch in session.run("export/percent_fees", Parameters::none()).await? {
        table.rows(&batch)?;
    }
    table.finish()
}

fn currency(context: &Context) -> Parameters {
    Parameters::none().text("currency", context.config.currency.code())
}

async fn draw_portion(
    context: &Context,
    transaction: &Transaction,
    rows: &UsageRows,
    table: &mut Table<HashingFile>,
    is_of_portion: impl Fn(&DataFile) -> bool,
) -> Result<(), Error> {
    let rated_usage = transaction.read_columns("rated_usage", &RATED_COLUMNS, &is_of_portion).await?;
    let unrated_usage = transaction.read_columns("unrated_usage", &UNRATED_COLUMNS, &is_of_portion).await?;
    if let Some(batches) = rows.of(&rated_usage, &unrated_usage)? {
        for batch in batches {
            table.rows(&batch?)?;
        }
        return Ok(());
    }
    // A sum is too large, which the statement tells.
    for path in RATED {
        transaction.register(path, &is_of_portion).await?;
    }
    for batch in transaction.session.run("export/usage", currency(context)).await? {
        table.rows(&batch)?;
    }
    for path in RATED {
        transaction.register(path, |file| file.partition == context.period.to_string()).await?;
    }
    Ok(())
}
