//! The ledger: the postings of documents by a chart of accounts. Issued documents have final postings, and drafts have
//! provisional postings.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};

use crate::error::Error;
use crate::model::config::ChartOfAccounts;
use crate::query::{Parameters, Session, statement};
use crate::rows;

/// The check that the postings of each document add up to zero.
const POSTINGS_BALANCE: &str = "ledger/checks/postings_balance";

/// The rows of `posting` for every document in `invoice`. Fails if the postings of a document do not add up to zero.
pub async fn post(session: &Session, chart: &ChartOfAccounts) -> Result<Vec<RecordBatch>, Error> {
    let posting = post_unproved(session, chart).await?;
    let broken = session.violations(POSTINGS_BALANCE, Parameters::none()).await?;
    if broken.iter().any(|batch| batch.num_rows() > 0) {
        let claim = statement(POSTINGS_BALANCE)?;
        return Err(Error::BrokenCheck { claim: claim.name.clone(), summary: claim.summary.clone(), rows: broken });
    }
    Ok(posting)
}

/// The rows of `posting`, not checked. An audit checks them itself and reports the violations of all checks.
pub async fn post_unproved(session: &Session, chart: &ChartOfAccounts) -> Result<Vec<RecordBatch>, Error> {
    let mut entries: Vec<(&str, &str, &str)> = vec![
        ("deposit", "", &chart.deposits),
        ("discount", "", &chart.discounts),
        ("prepaid_at_sale", "", &chart.deferred_credits),
        ("promotional", "", &chart.promotional_credits),
        ("receivable", "", &chart.receivable),
        ("revenue", "", &chart.revenue),
    ];
    entries.extend(chart.revenue_by_service.iter().map(|(service, account)| ("revenue", &**service, &**account)));
    entries.push(("tax", "", &chart.tax));
    entries.extend(chart.tax_by_name.iter().map(|(name, account)| ("tax", &**name, &**account)));
    entries.push(("unbilled", "", &chart.unbilled));
    let column = |pick: fn(&(&str, &str, &str)) -> String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(entries.iter().map(pick)))
    };
    let columns = vec![
        column(|entry| entry.0.to_owned()),
        column(|entry| entry.1.to_owned()),
        column(|entry| entry.2.to_owned()),
    ];
    let relation = statement("ledger/chart")?;
    session.register("ledger/chart", vec![rows::batch(relation, columns)?])?;
    Ok(session.materialize("ledger/posting", Parameters::none()).await?)
}
