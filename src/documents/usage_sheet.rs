//! `usage.csv`: usage and cost of each resource and date, by bucket of rated usage.

use std::collections::BTreeSet;

use crate::documents::hashing_file::HashingFile;
use crate::error::Error;
use crate::export::csv::Table;
use crate::export::usage_rows::{RATED_COLUMNS, UNRATED_COLUMNS, UsageInputs, UsageRows};
use crate::query::{Parameters, statement};
use crate::run::{Context, Transaction};
use crate::storage::DataFile;

const RATED: [&str; 2] = ["rating/rated_usage", "rating/unrated_usage"];

/// Writes the rows of `usage.csv`, one bucket of rated usage after the other.
///
/// All rows together are too many to sort. Each bucket contains whole accounts, and buckets are in the order of the
/// file. Charges without usage follow, and percentage fees are last.
pub(super) async fn write(
    context: &Context,
    transaction: &Transaction,
    mut table: Table<HashingFile>,
) -> Result<HashingFile, Error> {
    let period = context.period.to_string();
    let session = &transaction.session;
    let mut buckets = BTreeSet::new();
    for path in RATED {
        let of_period = transaction.files_where(&statement(path)?.name, |file| file.partition == period);
        buckets.extend(of_period.iter().map(|file| file.bucket));
    }
    let inputs = UsageInputs {
        active_series: &session.rows_of("rating/active_series").await?,
        rate: &session.rows_of("rating/rate").await?,
        label_range: &session.rows_of("export/label_range").await?,
        suspended_accounts: &session.rows_of("invoicing/suspended_account").await?,
        usage_segment: &session.rows_of("rating/usage_segment").await?,
    };
    let rows = UsageRows::new(inputs, context.config.currency.code())?;
    for bucket in buckets {
        write_account_batch(context, transaction, &rows, &mut table, |file| {
            file.partition == period && file.bucket == bucket
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

async fn write_account_batch(
    context: &Context,
    transaction: &Transaction,
    rows: &UsageRows,
    table: &mut Table<HashingFile>,
    is_of_batch: impl Fn(&DataFile) -> bool,
) -> Result<(), Error> {
    let rated_usage = transaction.read_columns("rated_usage", &RATED_COLUMNS, &is_of_batch).await?;
    let unrated_usage = transaction.read_columns("unrated_usage", &UNRATED_COLUMNS, &is_of_batch).await?;
    if let Some(batches) = rows.of(&rated_usage, &unrated_usage)? {
        for batch in batches {
            table.rows(&batch?)?;
        }
        return Ok(());
    }
    // If there is no result, a sum overflows or a reference is missing. The SQL statement reports the error.
    for path in RATED {
        transaction.register(path, &is_of_batch).await?;
    }
    for batch in transaction.session.run("export/usage", currency(context)).await? {
        table.rows(&batch)?;
    }
    for path in RATED {
        transaction.register(path, |file| file.partition == context.period.to_string()).await?;
    }
    Ok(())
}
