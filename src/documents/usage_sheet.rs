//! `usage.csv`: usage and cost of each resource and date, by shard of rated usage.

use std::collections::{BTreeSet, HashSet};

use arrow::array::{RecordBatch, UInt64Array};

use crate::documents::hashing_file::HashingFile;
use crate::error::Error;
use crate::export::csv::Table;
use crate::query::{Parameters, Session, statement};
use crate::rows::{self, SeriesRows};
use crate::run::{Context, Transaction};
use crate::storage::DataFile;

/// The columns of `rated_usage` that the rows need.
const RATED_COLUMNS: [&str; 7] =
    ["series_id", "charge_date", "segment_start", "rate_id", "pricing_quantity", "contracted_cost", "list_cost"];
/// The columns of `unrated_usage` that the rows need.
const UNRATED_COLUMNS: [&str; 4] = ["series_id", "charge_date", "component", "consumed_quantity"];

const RATED: [(&str, &[&str]); 2] =
    [("rating/rated_usage", &RATED_COLUMNS), ("rating/unrated_usage", &UNRATED_COLUMNS)];

/// Writes the rows of `usage.csv`, one shard of rated usage after the other.
///
/// All rows together are too many to sort. Each shard contains whole accounts, and shards are in the order of the
/// file. Charges without usage follow, and percentage fees are last.
pub(super) async fn write(
    context: &Context,
    transaction: &Transaction,
    mut table: Table<HashingFile>,
) -> Result<HashingFile, Error> {
    let period = context.period.to_string();
    let session = &transaction.session;
    let mut shards = BTreeSet::new();
    for (path, _) in RATED {
        let of_period = transaction.files_where(&statement(path)?.name, |file| file.partition == period);
        shards.extend(of_period.iter().map(|file| file.shard));
    }
    let active_series = session.rows_of("rating/active_series").await?;
    let usage_segment = session.rows_of("rating/usage_segment").await?;
    // The rows of a shard replace these rows. The memory of the engine need not contain both.
    session.drop_relation(&["active_series", "usage_segment"])?;
    let by_series = [
        ("rating/active_series", SeriesRows::new("active_series", &active_series)?),
        ("rating/usage_segment", SeriesRows::new("usage_segment", &usage_segment)?),
    ];
    let stage = session.scope_of_batches()?;
    let currency = Parameters::none().text("currency", context.config.currency.code());
    stage.materialize("export/usage_price", currency).await?;
    for shard in shards {
        let series = register_shard(transaction, &stage, &period, shard).await?;
        // The statement reads only the series of the shard, not the series of all accounts.
        for (path, rows) in &by_series {
            stage.register(path, rows.of(series.iter().copied())?)?;
        }
        stage.materialize("export/usage_series", Parameters::none()).await?;
        stage.run_each("export/usage", Parameters::none(), |batch| table.rows(batch)).await?;
    }
    drop((stage, by_series));
    session.register("rating/active_series", active_series)?;
    session.register("rating/usage_segment", usage_segment)?;
    for path in ["export/non_usage_charges", "export/percent_fees"] {
        session.run_each(path, Parameters::none(), |batch| table.rows(batch)).await?;
    }
    table.finish()
}

/// Registers the rated and the unrated usage of a shard. Returns the ids of its series.
async fn register_shard(
    transaction: &Transaction,
    stage: &Session,
    period: &str,
    shard: u32,
) -> Result<HashSet<u64>, Error> {
    let mut series = HashSet::new();
    for (path, columns) in RATED {
        let relation = statement(path)?;
        let is_of_shard = |file: &DataFile| file.partition == period && file.shard == shard;
        let batches = transaction.read_columns(&relation.name, columns, is_of_shard).await?;
        for batch in &batches {
            series.extend(rows::column::<UInt64Array>(batch, "series_id")?.values());
        }
        match batches.first().map(RecordBatch::schema) {
            Some(schema) => stage.register_rows(&relation.name, schema, batches)?,
            None => stage.register_nothing(path)?,
        }
    }
    Ok(series)
}
