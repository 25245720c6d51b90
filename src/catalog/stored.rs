//! The catalog in the lake: reading the committed streams and series, and writing new ones.

use crate::catalog::streams::Catalog;
use crate::error::Error;
use crate::run::Transaction;

/// The catalog of all committed streams and series.
pub async fn read_catalog(transaction: &Transaction) -> Result<Catalog, Error> {
    Catalog::load(&transaction.read("stream", |_| true).await?, &transaction.read("series", |_| true).await?)
}

/// Writes the streams and series that intake and metering added.
pub async fn write_catalog(transaction: &mut Transaction, catalog: &mut Catalog) -> Result<(), Error> {
    let (streams, series) = catalog.take_new()?;
    transaction.append("intake/stream", "all", 0, &[streams]).await?;
    transaction.append("intake/series", "all", 0, &[series]).await
}
