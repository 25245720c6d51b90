//! The drafts of an open period in which accounts have final invoices.
//!
//! The drafts of these accounts are replaced by the corrections of their issued documents. The drafts of all other
//! payers remain. A correction does not use credits. So the use of a credit is the use on the issued documents, less
//! the returned amounts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, Decimal128Array, RecordBatch};

use super::statements::{CHECKS_OF_CORRECTIONS, STAGE, draft_parameters};
use crate::error::Error;
use crate::model::issue::CorrectedRows;
use crate::query::{Parameters, persisted_of, statement};
use crate::rows;
use crate::rows::taxes::APPLIED_TAX;
use crate::run::{self, Context, FinalInvoices, Transaction, is_of_final_invoice};

const ALLOWANCE: &str = "invoicing/allowance";
const PREPAYMENT: &str = "invoicing/prepayment";
const CREDIT_BALANCE: &str = "invoicing/credit_balance";
const HEADER: &str = "invoicing/document_header";

/// Replaces the drafts of accounts with a final invoice by the corrections of their issued documents. `issued` contains
/// the rows of the issued documents by relation, and the credit balances of these accounts.
pub async fn draft_beside_final_invoices(
    context: &Context,
    transaction: &mut Transaction,
    accounts: &FinalInvoices,
    issued: &BTreeMap<String, Vec<RecordBatch>>,
    corrected: CorrectedRows,
) -> Result<(), Error> {
    let session = &transaction.session;
    let balances = credit_balances(transaction, accounts, issued, &corrected).await?;
    let mut replaced = BTreeSet::new();
    for row in rows::each(&session.rows_of(HEADER).await?) {
        if is_of_final_invoice(row, accounts)? {
            replaced.insert(row.text("invoice_number")?.to_owned());
        }
    }
    let relations = [
        (HEADER, corrected.document_header),
        ("invoicing/invoice_line", corrected.invoice_line),
        (ALLOWANCE, corrected.allowance),
        ("invoicing/allowance_share", Vec::new()),
        (PREPAYMENT, Vec::new()),
        ("invoicing/line_reference", corrected.line_reference),
    ];
    for (path, of_corrections) in relations {
        let drafted = session.rows_of(path).await?;
        let mut kept = rows::with_text(&drafted, "invoice_number", |number| !replaced.contains(number))?;
        kept.extend(of_corrections);
        session.register(path, kept)?;
    }
    let others = [
        (APPLIED_TAX, corrected.applied_tax),
        ("invoicing/issued_net", corrected.issued_net),
        ("invoicing/issued_tax", corrected.issued_tax),
        ("invoicing/issued_tax_total", corrected.issued_tax_total),
        ("invoicing/unbilled_cost", corrected.unbilled_cost),
        (CREDIT_BALANCE, balances),
    ];
    for (path, rows) in others {
        session.register(path, rows)?;
    }
    session.materialize("invoicing/tax_breakdown", Parameters::none()).await?;
    session.materialize("invoicing/invoice", draft_parameters(context)).await?;
    for check in CHECKS_OF_CORRECTIONS {
        run::check(session, check).await?;
    }
    let partition = context.period.to_string();
    for path in persisted_of(STAGE) {
        let is_of_documents = statement(path)?.schema.column_with_name("invoice_number").is_some();
        if is_of_documents || [APPLIED_TAX, "invoicing/unbilled_cost", CREDIT_BALANCE].contains(&path) {
            let rows = transaction.session.rows_of(path).await?;
            transaction.replace(path, &partition, 0, &rows).await?;
        }
    }
    Ok(())
}

/// The credit balances of the period. A credit of an account with a final invoice has the use on its documents.
async fn credit_balances(
    transaction: &Transaction,
    accounts: &FinalInvoices,
    issued: &BTreeMap<String, Vec<RecordBatch>>,
    corrected: &CorrectedRows,
) -> Result<Vec<RecordBatch>, Error> {
    let of_issued = |path: &str| issued.get(path).map_or(&[][..], Vec::as_slice);
    let mut used: BTreeMap<&str, i128> = BTreeMap::new();
    for row in rows::each(of_issued(ALLOWANCE)).chain(rows::each(&corrected.allowance)) {
        if matches!(row.text("kind")?, "promotional" | "prepaid_at_sale") {
            *used.entry(row.text("term_id")?).or_default() += row.units("amount")?;
        }
    }
    for row in rows::each(of_issued(PREPAYMENT)) {
        *used.entry(row.text("credit_id")?).or_default() += row.units("amount")?;
    }
    let mut balances = transaction.session.rows_of(CREDIT_BALANCE).await?;
    let mut drafted = BTreeSet::new();
    for row in rows::each(&balances) {
        drafted.insert(row.text("credit_id")?.to_owned());
    }
    // A credit that the rules no longer contain keeps its balance.
    balances.extend(rows::with_text(of_issued(CREDIT_BALANCE), "credit_id", |credit| !drafted.contains(credit))?);
    if balances.is_empty() {
        return Ok(balances);
    }
    let mut batch = rows::sorted(&balances, &["credit_id"])?;
    let mut columns: [Vec<i128>; 3] = Default::default();
    for row in rows::each(std::slice::from_ref(&batch)) {
        let had = row.units("opening_balance")? + row.units("granted")?;
        let (mut used_units, mut expired) = (row.units("used")?, row.units("expired")?);
        if accounts.contains_key(row.text("account_id")?) {
            used_units = used.get(row.text("credit_id")?).copied().unwrap_or(0);
            // A credit that expired has no remaining balance.
            expired = if expired == 0 { 0 } else { had - used_units };
        }
        for (column, units) in columns.iter_mut().zip([used_units, expired, had - used_units - expired]) {
            column.push(units);
        }
    }
    for (name, units) in ["used", "expired", "closing_balance"].into_iter().zip(columns) {
        let data_type = rows::column::<Decimal128Array>(&batch, name)?.data_type().clone();
        let units = Decimal128Array::from_iter_values(units).with_data_type(data_type);
        batch = rows::with_column(&batch, name, Arc::new(units))?;
    }
    Ok(vec![batch])
}
