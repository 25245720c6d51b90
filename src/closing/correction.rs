//! What is due for a closed period less everything that was issued for it, line by line, in rounded amounts.
//!
//! What is compared are lines and discounts. Credits were drawn on when the period was closed and are not drawn again,
//! and what was carried forward to the next invoice stays there.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::{DRAFT, Issued};
use crate::money::Amount;
use crate::pipeline::Error;
use crate::query::statement;
use crate::rows::{self, Row};
use crate::run::Run;
use crate::summary::Change;

const HEAD: &str = "invoicing/document_head";
const INVOICE: &str = "invoicing/invoice";

/// A relation whose rows stand on a document and are compared.
struct Compared {
    path: &'static str,
    /// What numbers the rows of a document.
    place: &'static str,
    /// What is counted, the rounded amount first; everything else tells rows apart.
    measures: &'static [&'static str],
}

const LINE: Compared = Compared {
    path: "invoicing/invoice_line",
    place: "line_number",
    measures: &["net_amount", "quantity", "contracted_cost"],
};

const ALLOWANCE: Compared =
    Compared { path: "invoicing/allowance", place: "allowance_number", measures: &["amount", "base_amount"] };

/// When a line was used: a difference spans both.
const SPAN: [&str; 2] = ["charge_period_start", "charge_period_end"];

/// Account and, where documents are for projects, project.
type Payer = (String, Option<String>);

/// A row as it is due and as it was issued.
#[derive(Debug)]
struct Difference {
    /// Batch and row that show it: the due one where there is one.
    shown: (usize, usize),
    /// Due less issued, in the order of the measures.
    units: Vec<i128>,
    span: [i32; 2],
}

/// The rows of documents that say what is due beyond what was issued.
#[derive(Debug, Default)]
pub struct Correction {
    pub document_head: Vec<RecordBatch>,
    pub invoice_line: Vec<RecordBatch>,
    pub allowance: Vec<RecordBatch>,
    pub changes: Vec<Change>,
}

/// Compares the drafts in hand with what was issued. Rows whose rounded amount did not change are no difference,
/// whatever happened to their quantity.
pub async fn difference(run: &mut Run, issued: &Issued) -> Result<Correction, Error> {
    let due_invoice = run.session.rows_of(INVOICE).await?;
    let old_invoice = issued.get(INVOICE).cloned().unwrap_or_default();
    let mut payers = BTreeMap::new();
    for row in rows::each(&due_invoice).chain(rows::each(&old_invoice)) {
        payers.insert(row.text("invoice_number")?.to_owned(), payer_of(row)?);
    }
    let mut correction = Correction::default();
    let mut net: BTreeMap<Payer, i128> = BTreeMap::new();
    for (compared, sign) in [(LINE, 1), (ALLOWANCE, -1)] {
        let due = run.session.rows_of(compared.path).await?;
        let old = issued.get(compared.path).cloned().unwrap_or_default();
        let (due_count, batches) = (due.len(), [due, old].concat());
        let mut documents = Vec::new();
        for (payer, differences) in differences(&compared, &batches, due_count, &payers)? {
            let sum: i128 = differences.iter().map(|difference| difference.units[0]).sum();
            *net.entry(payer.clone()).or_default() += sign * sum;
            documents.push(rows_of(&compared, &batches, &draft_number(run, &payer), &differences)?);
        }
        match compared.path {
            "invoicing/allowance" => correction.allowance = documents,
            _ => correction.invoice_line = documents,
        }
    }
    let due_head = run.session.rows_of(HEAD).await?;
    for (payer, units) in net {
        correction.document_head.push(head(run, &payer, &due_head, &old_invoice)?);
        let (account_id, project_id) = payer;
        let net_amount = Amount::from_units(units).to_text(2);
        correction.changes.push(Change { account_id, project_id, net_amount });
    }
    Ok(correction)
}

fn payer_of(row: Row<'_>) -> Result<Payer, Error> {
    Ok((row.text("account_id")?.to_owned(), row.optional_text("project_id")?.map(str::to_owned)))
}

fn draft_number(run: &Run, payer: &Payer) -> String {
    let (account, project) = payer;
    match project {
        Some(project) => format!("DRAFT-{}-{account}-{project}", run.period),
        None => format!("DRAFT-{}-{account}", run.period),
    }
}

/// Whether a row takes part: what is carried forward or paid by a credit was settled by the close.
fn takes_part(row: Row<'_>, compared: &Compared) -> Result<bool, Error> {
    Ok(match compared.path {
        "invoicing/allowance" => matches!(row.text("kind")?, "discount" | "overage"),
        _ => row.text("charge_category")? != "Adjustment",
    })
}

/// Sums the rows of each payer under what tells them apart, the first `due` batches as due and the others as issued.
fn differences(
    compared: &Compared,
    batches: &[RecordBatch],
    due: usize,
    payers: &BTreeMap<String, Payer>,
) -> Result<BTreeMap<Payer, Vec<Difference>>, Error> {
    let mut order = Vec::new();
    let mut found: BTreeMap<(Payer, Vec<String>), Difference> = BTreeMap::new();
    let options = FormatOptions::default();
    let is_counted = |name: &str| {
        compared.measures.contains(&name) || SPAN.contains(&name) || name == compared.place || name == "invoice_number"
    };
    for (index, batch) in batches.iter().enumerate() {
        let schema = batch.schema();
        let mut formatters = Vec::new();
        for (field, column) in schema.fields().iter().zip(batch.columns()) {
            if !is_counted(field.name()) {
                let formatter = ArrayFormatter::try_new(column, &options);
                formatters.push(formatter.map_err(|source| rows::failed(compared.path, source))?);
            }
        }
        let mut measures = Vec::new();
        for name in compared.measures {
            measures.push(rows::column::<Decimal128Array>(batch, name)?);
        }
        let mut spans = Vec::new();
        for name in SPAN.iter().filter(|name| schema.column_with_name(name).is_some()) {
            spans.push(rows::column::<Date32Array>(batch, name)?);
        }
        for (row, cells) in rows::each(std::slice::from_ref(batch)).enumerate() {
            let payer = payers.get(cells.text("invoice_number")?);
            let Some(payer) = payer.filter(|_| takes_part(cells, compared).unwrap_or(true)) else { continue };
            let key: Vec<String> = formatters.iter().map(|formatter| formatter.value(row).to_string()).collect();
            let key = (payer.clone(), key);
            let span = [0, 1].map(|end| spans.get(end).map_or(0, |column| column.value(row)));
            let difference = found.entry(key.clone()).or_insert_with(|| {
                order.push(key);
                Difference { shown: (index, row), units: vec![0; measures.len()], span }
            });
            difference.span = [difference.span[0].min(span[0]), difference.span[1].max(span[1])];
            let sign = if index < due { 1 } else { -1 };
            for (sum, column) in difference.units.iter_mut().zip(&measures) {
                let changed = sum.checked_add(sign * column.value(row));
                *sum = changed.ok_or(Error::Internal("an amount beyond 38 digits"))?;
            }
        }
    }
    let mut by_payer: BTreeMap<Payer, Vec<Difference>> = BTreeMap::new();
    for key in order {
        if let Some(difference) = found.remove(&key).filter(|difference| difference.units[0] != 0) {
            by_payer.entry(key.0).or_default().push(difference);
        }
    }
    Ok(by_payer)
}

/// The rows of one document, numbered from one.
fn rows_of(
    compared: &Compared,
    batches: &[RecordBatch],
    number: &str,
    differences: &[Difference],
) -> Result<RecordBatch, Error> {
    let failed = |source| rows::failed(compared.path, source);
    let schema = &statement(compared.path)?.schema;
    let all: Vec<&RecordBatch> = batches.iter().collect();
    let shown: Vec<(usize, usize)> = differences.iter().map(|difference| difference.shown).collect();
    let rows_shown = interleave_record_batch(&all, &shown).map_err(failed)?;
    let count = differences.len();
    let day = |end: usize| -> ArrayRef {
        Arc::new(Date32Array::from_iter_values(differences.iter().map(|difference| difference.span[end])))
    };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let shown = rows_shown.column_by_name(field.name()).ok_or(Error::Column { name: "of a document" })?;
        let name = field.name().as_str();
        columns.push(if name == "invoice_number" {
            Arc::new(StringArray::from_iter_values(vec![number; count]))
        } else if name == compared.place {
            Arc::new(Int64Array::from_iter_values((1..).take(count)))
        } else if let Some(end) = SPAN.iter().position(|of_span| *of_span == name) {
            day(end)
        } else if let Some(index) = compared.measures.iter().position(|measure| *measure == name) {
            let units = Decimal128Array::from_iter_values(differences.iter().map(|difference| difference.units[index]));
            Arc::new(units.with_data_type(field.data_type().clone()))
        } else {
            Arc::clone(shown)
        });
    }
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(failed)
}

/// Who gets the document, in which currency: as drafted now, or, where nothing is due any more, as it was issued.
fn head(run: &Run, payer: &Payer, due: &[RecordBatch], issued: &[RecordBatch]) -> Result<RecordBatch, Error> {
    let schema = &statement(HEAD)?.schema;
    for batch in due.iter().chain(issued) {
        for (index, row) in rows::each(std::slice::from_ref(batch)).enumerate() {
            if payer_of(row)? == *payer {
                return head_of(run, schema, &batch.slice(index, 1), &draft_number(run, payer));
            }
        }
    }
    Err(Error::Internal("a correction for somebody who was never invoiced"))
}

fn head_of(run: &Run, schema: &SchemaRef, row: &RecordBatch, number: &str) -> Result<RecordBatch, Error> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let name = field.name().as_str();
        columns.push(match name {
            "invoice_number" => Arc::new(StringArray::from_iter_values([number])),
            "document_kind" => Arc::new(StringArray::from_iter_values([DRAFT])),
            "brought_forward" | "carried_forward" => {
                Arc::new(Decimal128Array::from_iter_values([0]).with_data_type(field.data_type().clone()))
            }
            "seller_currency_exponent" => {
                let exponent = run.config.currency.exponent().unwrap_or(2);
                Arc::new(Int64Array::from_iter_values([i64::from(exponent)]))
            }
            name => Arc::clone(row.column_by_name(name).ok_or(Error::Column { name: "of a document's head" })?),
        });
    }
    RecordBatch::try_new(Arc::clone(schema), columns).map_err(|source| rows::failed("document_head", source))
}
