//! The month-end pack: the figures of a close for the people who sign it, as a page, JSON and CSV.
//!
//! The digest to sign is the SHA-256 of the file `SHA256SUMS`. It has a line for every other document of the period,
//! and for the data of the pack. The page itself is not in it, because the page contains the digest.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use sha2::{Digest, Sha256};

use super::page_inputs::generated_by;
use super::relations::Relations;
use super::render::{
    AccountChange, AccountTotal, ChangeCause, Invariant, InvariantPart, MonthBefore, MonthEndPack, MonthEndPage,
    PackBroughtForward, PackCredit, PackDocument, PackException, PackTax, SellerTotal, ServiceChange,
};
use super::sheet::{Content, Sheet};
use super::usage_report_page::reason_text;
use crate::error::Error;
use crate::export::csv::{self, Places};
use crate::model::close_blocker::{BlockerCost, CloseBlocker, CloseDecision};
use crate::model::issue::Issue;
use crate::model::money::{Amount, Cost, Percent, Quantity, places_of, places_of_code};
use crate::model::period::date_of;
use crate::query::{Parameters, Session, statement};
use crate::rows::{self, Row};
use crate::run::{Context, Transaction};
use crate::storage::digest_list::{DIGEST_LIST, SIGNED_PAGE, digest_list};
use crate::storage::layout::MONTH_END;
use crate::storage::{CommitKind, DocumentFile};

/// The number of charges that the pack lists for an account. `causes.csv` has all of them.
const LARGEST_CAUSES: usize = 5;

/// The number of resources that the pack names for an exception. `unrated_usage.csv` has all of them.
const NAMED_RESOURCES: usize = 5;

/// The amount columns of the CSV files.
const AMOUNTS: [(&str, Places); 19] = [
    ("total_without_tax", Places::Currency),
    ("tax_amount", Places::Currency),
    ("total_with_tax", Places::Currency),
    ("prepaid_amount", Places::Currency),
    ("amount_due", Places::Currency),
    ("taxable_amount", Places::Currency),
    ("amount_before", Places::Currency),
    ("difference", Places::Currency),
    ("opening_balance", Places::Currency),
    ("granted", Places::Currency),
    ("used", Places::Currency),
    ("expired", Places::Currency),
    ("closing_balance", Places::Currency),
    ("amount", Places::AtLeast(2)),
    ("net_amount", Places::Currency),
    ("quantity", Places::AtLeast(0)),
    ("quantity_before", Places::AtLeast(0)),
    ("taxable_amount_in_seller_currency", Places::AtLeast(2)),
    ("tax_amount_in_seller_currency", Places::AtLeast(2)),
];

/// The rows of the pack by relation.
struct PackRows {
    documents: Vec<RecordBatch>,
    account_totals: Vec<RecordBatch>,
    taxes: Vec<RecordBatch>,
    reconciliation: Vec<RecordBatch>,
    exceptions: Vec<RecordBatch>,
    unrated_usage: Vec<RecordBatch>,
    brought_forward: Vec<RecordBatch>,
    accounts: Vec<RecordBatch>,
    services: Vec<RecordBatch>,
    causes: Vec<RecordBatch>,
    credits: Vec<RecordBatch>,
    decisions: Vec<RecordBatch>,
}

/// The data of the pack, and its JSON and CSV files.
pub(super) async fn pack(
    context: &Context,
    transaction: &Transaction,
    relations: &Relations,
    issue: &Issue,
) -> Result<(MonthEndPack, Vec<Sheet>), Error> {
    let rows = read(context, transaction, relations, issue).await?;
    let pack = data(context, transaction, relations, &rows)?;
    let failed = |source: serde_json::Error| Error::Document { what: "pack.json".to_owned(), source: Box::new(source) };
    let mut json = serde_json::to_vec_pretty(&pack).map_err(failed)?;
    json.push(b'\n');
    let mut sheets = vec![sheet("pack.json", json)];
    for (name, path, rows) in [
        ("documents.csv", "report/month_end_document", &rows.documents),
        ("account_totals.csv", "report/account_total", &rows.account_totals),
        ("taxes.csv", "report/tax_summary", &rows.taxes),
        ("reconciliation.csv", "report/reconciliation", &rows.reconciliation),
        ("exceptions.csv", "report/exception", &rows.exceptions),
        ("unrated_usage.csv", "report/unrated_resource", &rows.unrated_usage),
        ("brought_forward.csv", "report/brought_forward", &rows.brought_forward),
        ("decisions.csv", "report/close_decision", &rows.decisions),
        ("accounts.csv", "report/account_change", &rows.accounts),
        ("services.csv", "report/service_change", &rows.services),
        ("causes.csv", "report/change_cause", &rows.causes),
        ("credits.csv", "invoicing/credit_balance", &rows.credits),
    ] {
        let exponent = places_of(context.config.currency);
        let mut places = AMOUNTS.to_vec();
        if matches!(name, "accounts.csv" | "services.csv" | "causes.csv") {
            // The amount of a reconciliation or an exception is an unrounded cost. Here it is an amount of documents.
            places.retain(|(column, _)| *column != "amount");
            places.push(("amount", Places::Currency));
        }
        sheets.push(sheet(name, csv::write(&statement(path)?.schema, rows, exponent, &places)?));
    }
    Ok((pack, sheets))
}

fn sheet(name: &str, bytes: Vec<u8>) -> Sheet {
    let source_digest = hex::encode(Sha256::digest(&bytes));
    Sheet { name: format!("{MONTH_END}/{name}"), source_digest, content: Content::Ready(bytes) }
}

/// Whether a document is written after all others, because it depends on their digests.
pub(super) fn is_last(name: &str) -> bool {
    matches!(name, DIGEST_LIST | SIGNED_PAGE)
}

/// The file of all digests, and the page with the digest to sign.
pub(super) fn last_sheets(pack: MonthEndPack, documents: &[DocumentFile]) -> [Sheet; 2] {
    let list = digest_list(documents).into_bytes();
    let digest = hex::encode(Sha256::digest(&list));
    let list = Sheet { name: DIGEST_LIST.to_owned(), source_digest: digest.clone(), content: Content::Ready(list) };
    let (digest_file, file_count) = (DIGEST_LIST.to_owned(), documents.len() as u64);
    let page = MonthEndPage { pack, digest: digest.clone(), digest_file, file_count };
    let content = Content::MonthEnd(Box::new(page));
    [list, Sheet { name: SIGNED_PAGE.to_owned(), source_digest: digest, content }]
}

/// The documents of the period that are issued now or were issued before, with the documents that they correct.
async fn issued_references(transaction: &Transaction, period: &str, issue: &Issue) -> Result<Vec<RecordBatch>, Error> {
    let mut references: BTreeMap<String, Option<String>> = BTreeMap::new();
    for row in rows::each(&transaction.read("issued_document", |_| true).await?) {
        if row.text("billing_period")? == period {
            references.insert(text(row, "document_number")?, optional(row, "corrects")?);
        }
    }
    for document in &issue.documents {
        let corrects = document.corrects.as_ref().map(|(number, _)| number.clone());
        references.insert(document.number.number.clone(), corrects);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(references.keys())),
        Arc::new(StringArray::from_iter(references.values().map(Option::as_deref))),
    ];
    Ok(vec![rows::batch(statement("report/issued_reference")?, columns)?])
}

async fn read(
    context: &Context,
    transaction: &Transaction,
    relations: &Relations,
    issue: &Issue,
) -> Result<PackRows, Error> {
    let (period, previous) = (context.period.to_string(), context.period.previous().to_string());
    let session = transaction.session.scope()?;
    transaction.register_in(&session, "intake/unread_input", |_| true).await?;
    for path in [
        "invoicing/invoice",
        "invoicing/invoice_line",
        "invoicing/line_reference",
        "invoicing/tax_breakdown",
        "invoicing/suspended_account",
    ] {
        transaction.register_in(&session, path, |file| file.partition == period).await?;
    }
    session.register("report/issued_reference", issued_references(transaction, &period, issue).await?)?;
    let none = Parameters::none;
    let documents = session.run("report/month_end_document", none()).await?;
    let taxes = session.run("report/tax_summary", none()).await?;
    let account_totals = session.run("report/account_total", none()).await?;
    let exceptions = session.run("report/exception", of_exceptions(context)).await?;
    let unrated_usage = relations.unrated_resource.clone();
    let brought_forward = session.run("report/brought_forward", none()).await?;
    let two_months: Session = transaction.session.scope()?;
    for path in ["invoicing/invoice", "invoicing/invoice_line", "invoicing/line_reference", "invoicing/allowance"] {
        let is_of_them = |file: &crate::storage::DataFile| file.partition == period || file.partition == previous;
        transaction.register_in(&two_months, path, is_of_them).await?;
    }
    let start = || none().date("billing_period_start", context.period.start_day());
    Ok(PackRows {
        documents,
        account_totals,
        taxes,
        reconciliation: transaction.session.rows_of("report/reconciliation").await?,
        exceptions,
        unrated_usage,
        brought_forward,
        accounts: two_months.run("report/account_change", start()).await?,
        services: two_months.run("report/service_change", start()).await?,
        causes: two_months.run("report/change_cause", start()).await?,
        credits: transaction.read("credit_balance", |file| file.partition == period).await?,
        decisions: vec![decision_rows(&relations.close_decisions)?],
    })
}

fn of_exceptions(context: &Context) -> Parameters {
    let mut calendar = context.calendar();
    Parameters::none()
        .bigint("period_start", calendar.day_start(context.period.start_day()))
        .bigint("period_end", calendar.day_start(context.period.end_day()))
        .bigint("has_accounts", i64::from(!context.config.accounts.accounts.is_empty()))
        .text("currency", context.config.currency.code())
}

/// A row for each overridden blocker of an issue, or one row for an issue without any.
fn decision_rows(decisions: &[CloseDecision]) -> Result<RecordBatch, Error> {
    let mut rows = Vec::new();
    for (issue, decision) in (1..).zip(decisions) {
        for (number, blocker) in (1..).zip(&decision.overridden_blockers) {
            rows.push((issue, number, decision, Some(blocker)));
        }
        if decision.overridden_blockers.is_empty() {
            rows.push((issue, 1, decision, None));
        }
    }
    let costs = |pick: fn(&BlockerCost) -> &str| -> ArrayRef {
        let of_blocker = |blocker: &CloseBlocker| -> Option<String> {
            let texts: Vec<&str> = blocker.costs.iter().map(pick).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        };
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.3.and_then(of_blocker))))
    };
    let limit = |value: Option<u64>| value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.1))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2.issue_date.as_str()))),
        Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2.cause.as_str()))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.2.approved_by.as_deref()))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| {
            let reasons = &row.2.reasons;
            (!reasons.is_empty()).then(|| reasons.join("; "))
        }))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.3.map(|blocker| blocker.kind.name())))),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.3.and_then(|blocker| blocker.subject.as_deref())))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| limit(row.3.and_then(|blocker| blocker.count))))),
        Arc::new(Int64Array::from_iter(rows.iter().map(|row| limit(row.3.and_then(|blocker| blocker.limit))))),
        costs(|cost| &cost.amount),
        costs(|cost| &cost.currency),
        Arc::new(StringArray::from_iter(rows.iter().map(|row| row.3.map(|blocker| blocker.detail.as_str())))),
    ];
    rows::batch(statement("report/close_decision")?, columns)
}

fn data(
    context: &Context,
    transaction: &Transaction,
    relations: &Relations,
    rows: &PackRows,
) -> Result<MonthEndPack, Error> {
    let previous = context.period.previous().to_string();
    let state = match transaction.snapshot.last_documents(&previous) {
        Some(_) if transaction.snapshot.last(CommitKind::Close, &previous).is_some() => "closed",
        Some(_) => "drafted",
        None => "not billed",
    };
    Ok(MonthEndPack {
        seller_name: context.config.seller.name.clone(),
        seller_currency: context.config.currency.code().to_owned(),
        billing_period_start: context.period.start(),
        billing_period_end: context.period.end(),
        time_zone: context.config.time_zone.clone(),
        close_decisions: relations.close_decisions.clone(),
        totals: totals(&rows.documents)?,
        account_totals: rows::each(&rows.account_totals).map(account_total).collect::<Result<_, _>>()?,
        documents: rows::each(&rows.documents).map(document).collect::<Result<_, _>>()?,
        taxes: rows::each(&rows.taxes).map(tax).collect::<Result<_, _>>()?,
        reconciliation: invariants(&rows.reconciliation)?,
        exceptions: exceptions(relations, rows)?,
        brought_forward: rows::each(&rows.brought_forward).map(brought_forward).collect::<Result<_, _>>()?,
        month_before: MonthBefore { period: previous, state: state.to_owned() },
        accounts: account_changes(&rows.accounts, &rows.causes)?,
        services: by_size(&rows.services)?.into_iter().map(service_change).collect::<Result<_, _>>()?,
        credits: rows::each(&rows.credits).map(credit).collect::<Result<_, _>>()?,
        generated_by: generated_by(),
    })
}

/// The reseller that sells, if any, and the currency.
type SellerAndCurrency<'a> = (Option<&'a str>, &'a str);
/// The number of documents and the sums of their totals.
type DocumentSums = (u64, [Amount; 4]);

/// The totals of each seller and currency.
fn totals(documents: &[RecordBatch]) -> Result<Vec<SellerTotal>, Error> {
    let mut totals: BTreeMap<SellerAndCurrency<'_>, DocumentSums> = BTreeMap::new();
    for row in rows::each(documents) {
        let (count, sums) = totals.entry((row.optional_text("sold_by")?, row.text("currency")?)).or_default();
        *count += 1;
        let columns = ["total_without_tax", "tax_amount", "total_with_tax", "amount_due"];
        for (sum, column) in sums.iter_mut().zip(columns) {
            *sum = sum.checked_add(row.decimal(column)?).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
    }
    let total = |((sold_by, currency), (document_count, sums)): (SellerAndCurrency<'_>, DocumentSums)| {
        let [total_without_tax, tax_amount, total_with_tax, amount_due] =
            sums.map(|sum| sum.to_text(places_of_code(currency)));
        SellerTotal {
            sold_by: sold_by.map(str::to_owned),
            currency: currency.to_owned(),
            document_count,
            total_without_tax,
            tax_amount,
            total_with_tax,
            amount_due,
        }
    };
    Ok(totals.into_iter().map(total).collect())
}

fn text(row: Row<'_>, column: &'static str) -> Result<String, Error> {
    row.text(column).map(str::to_owned)
}

fn optional(row: Row<'_>, column: &'static str) -> Result<Option<String>, Error> {
    Ok(row.optional_text(column)?.filter(|text| !text.is_empty()).map(str::to_owned))
}

/// An amount with the decimal places of the currency of its row.
fn amount(row: Row<'_>, column: &'static str) -> Result<String, Error> {
    amount_in(row, column, row.text("currency")?)
}

fn amount_in(row: Row<'_>, column: &'static str, currency: &str) -> Result<String, Error> {
    let amount: Amount = row.decimal(column)?;
    Ok(amount.to_text(places_of_code(currency)))
}

fn quantity(row: Row<'_>, column: &'static str) -> Result<String, Error> {
    let quantity: Quantity = row.decimal(column)?;
    Ok(quantity.to_string())
}

fn count(row: Row<'_>, column: &'static str) -> Result<u64, Error> {
    row.number(column).map(i64::unsigned_abs)
}

/// A date as ISO 8601 text.
fn day(row: Row<'_>, column: &'static str) -> Result<Option<String>, Error> {
    Ok(row.optional_day(column)?.map(|day| date_of(day).to_string()))
}

fn account_total(row: Row<'_>) -> Result<AccountTotal, Error> {
    Ok(AccountTotal {
        sold_by: optional(row, "sold_by")?,
        account_id: text(row, "account_id")?,
        account_name: optional(row, "account_name")?,
        currency: text(row, "currency")?,
        document_count: count(row, "document_count")?,
        total_without_tax: amount(row, "total_without_tax")?,
        tax_amount: amount(row, "tax_amount")?,
        total_with_tax: amount(row, "total_with_tax")?,
        amount_due: amount(row, "amount_due")?,
    })
}

fn document(row: Row<'_>) -> Result<PackDocument, Error> {
    let project = optional(row, "project_name")?.or(optional(row, "project_id")?);
    Ok(PackDocument {
        number: text(row, "invoice_number")?,
        kind: text(row, "document_kind")?,
        issue_date: day(row, "issue_date")?.unwrap_or_default(),
        due_date: day(row, "due_date")?,
        account_id: text(row, "account_id")?,
        account_name: optional(row, "account_name")?,
        project,
        sold_by: optional(row, "sold_by")?,
        corrects: optional(row, "corrects")?,
        reason: optional(row, "correction_reason")?,
        currency: text(row, "currency")?,
        total_without_tax: amount(row, "total_without_tax")?,
        tax_amount: amount(row, "tax_amount")?,
        total_with_tax: amount(row, "total_with_tax")?,
        amount_due: amount(row, "amount_due")?,
    })
}

fn tax(row: Row<'_>) -> Result<PackTax, Error> {
    let rate: Percent = row.decimal("tax_rate")?;
    let seller_currency = text(row, "seller_currency")?;
    Ok(PackTax {
        sold_by: optional(row, "sold_by")?,
        country: optional(row, "buyer_country")?,
        category: text(row, "tax_category")?,
        rate: rate.to_string(),
        name: text(row, "tax_name")?,
        currency: text(row, "currency")?,
        document_count: count(row, "document_count")?,
        taxable_amount: amount(row, "taxable_amount")?,
        tax_amount: amount(row, "tax_amount")?,
        taxable_amount_in_seller_currency: amount_in(row, "taxable_amount_in_seller_currency", &seller_currency)?,
        tax_amount_in_seller_currency: amount_in(row, "tax_amount_in_seller_currency", &seller_currency)?,
        seller_currency,
    })
}

/// The parts of each invariant in one unit. The last row of an invariant is the difference.
fn invariants(reconciliation: &[RecordBatch]) -> Result<Vec<Invariant>, Error> {
    let mut invariants: Vec<Invariant> = Vec::new();
    for row in rows::each(reconciliation) {
        let (invariant, unit) = (text(row, "invariant")?, text(row, "unit")?);
        let exact: Cost = row.decimal("amount")?;
        let is_counted = matches!(unit.as_str(), "record" | "resource-day");
        let amount = exact.to_text(if is_counted { 0 } else { places_of_code(&unit) });
        if !invariants.last().is_some_and(|last| last.invariant == invariant && last.unit == unit) {
            let explanation = explanation_of(&invariant).to_owned();
            invariants.push(Invariant { invariant, unit, explanation, ..Invariant::default() });
        }
        let Some(last) = invariants.last_mut() else { continue };
        match row.text("part")? {
            "difference" => (last.difference, last.is_reconciled) = (amount, exact.is_zero()),
            part => last.parts.push(InvariantPart { part: part.to_owned(), amount }),
        }
    }
    Ok(invariants)
}

/// The explanation of an invariant of `report/reconciliation`, for readers of the page.
fn explanation_of(invariant: &str) -> &'static str {
    match invariant {
        "records" => "Each record that was read has one outcome.",
        "metered usage" => "Each day of usage of a resource has a price or is an exception.",
        "rated cost" => {
            "Each cost is on a document or in one of the other parts. Documents round it later, line by line."
        }
        "lines" => "The lines of all documents are usage, charges and amounts of other months.",
        "total without tax" => "Discounts and credits before tax reduce the sum of the lines.",
        "shares of allowances" => "Each discount and credit is shared out to the lines that it reduces.",
        "taxed amounts" => "Each tax applies to its lines less their discounts and credits.",
        "tax" => "The tax of a document is the sum of its tax groups.",
        "amounts due" => "The amount due is the total with tax less the prepaid amounts.",
        "credits" => "A closing balance is the opening balance with all grants, uses and expiries of the month.",
        "balances from before" => "The opening balances equal the closing balances of the month before.",
        "brought forward" => "Amounts of earlier months are on a document of this month or still wait for one.",
        "postings" => {
            "Each document is posted, also a cancelled invoice, its credit note and its replacement. \
             Negative charges and discounts are posted on the other side. So both sums can exceed the total with tax."
        }
        "receivables" => "The receivables in the ledger are the amounts due of the seller's own documents.",
        _ => "",
    }
}

fn brought_forward(row: Row<'_>) -> Result<PackBroughtForward, Error> {
    let from_period = text(row, "from_period")?;
    let reason = text(row, "reason")?;
    let explanation = match reason.as_str() {
        "below_minimum" => {
            format!("The amount of {from_period} was below `minimum_invoice_amount`, so it had no invoice.")
        }
        "below_zero" => format!("The total of {from_period} was below zero, so it reduces this document."),
        "late_usage" => format!("Usage of {from_period} arrived after the close of that month."),
        "changed_record" => format!("Records of {from_period} were corrected after the close of that month."),
        "late_and_changed" => {
            format!("Usage of {from_period} arrived late or was corrected after the close of that month.")
        }
        "changed_rule" => format!("Prices or rules of {from_period} were restated after the close of that month."),
        _ => String::new(),
    };
    Ok(PackBroughtForward {
        number: text(row, "invoice_number")?,
        line: count(row, "line_number")?,
        account_id: text(row, "account_id")?,
        account_name: optional(row, "account_name")?,
        description: text(row, "description")?,
        carried_from: text(row, "carried_from")?,
        net_amount: amount(row, "net_amount")?,
        currency: text(row, "currency")?,
        from_period,
        reason,
        explanation,
    })
}

/// The exceptions, with the names of their accounts and projects, and with their first resources.
fn exceptions(relations: &Relations, rows: &PackRows) -> Result<Vec<PackException>, Error> {
    let mut names = BTreeMap::new();
    for row in rows::each(&relations.project_summary) {
        let named = (optional(row, "project_name")?, optional(row, "account_name")?);
        names.insert((row.optional_text("project_id")?, row.optional_text("account_id")?), named);
    }
    let mut unrated: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for row in rows::each(&rows.unrated_usage) {
        let (project_id, account_id) = (row.optional_text("project_id")?, row.optional_text("account_id")?);
        let key = (row.text("meter")?, row.text("reason")?, project_id, account_id);
        unrated.entry(key).or_default().push(row.text("resource_id")?);
    }
    let mut of_projects: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for row in rows::each(&relations.resource_cost) {
        of_projects.entry(row.optional_text("project_id")?).or_default().push(row.text("resource_id")?);
    }
    let mut found = Vec::new();
    for row in rows::each(&rows.exceptions) {
        let (project_id, account_id) = (row.optional_text("project_id")?, row.optional_text("account_id")?);
        let (subject, detail) = (row.text("subject")?, row.text("detail")?);
        let kind = row.text("kind")?;
        let resources = match kind {
            "unrated_usage" => unrated.get(&(subject, detail, project_id, account_id)),
            "unassigned_project" => of_projects.get(&project_id),
            _ => None,
        };
        let mut resources: Vec<String> = resources.into_iter().flatten().map(|id| (*id).to_owned()).collect();
        resources.sort_unstable();
        resources.dedup();
        resources.truncate(NAMED_RESOURCES);
        let (project_name, account_name) = names.get(&(project_id, account_id)).cloned().unwrap_or_default();
        let explanation = (kind == "unrated_usage").then(|| reason_text(detail));
        found.push(PackException { resources, project_name, account_name, explanation, ..exception(row)? });
    }
    Ok(found)
}

fn exception(row: Row<'_>) -> Result<PackException, Error> {
    let exact: Option<Cost> = row.optional_decimal("amount")?;
    let quantity: Option<Quantity> = row.optional_decimal("quantity")?;
    Ok(PackException {
        kind: text(row, "kind")?,
        subject: text(row, "subject")?,
        detail: text(row, "detail")?,
        account_id: optional(row, "account_id")?,
        project_id: optional(row, "project_id")?,
        first_date: day(row, "first_date")?,
        last_date: day(row, "last_date")?,
        item_count: count(row, "item_count")?,
        quantity: quantity.map(|quantity| quantity.to_string()),
        unit: optional(row, "unit")?,
        amount: exact.map(|exact| exact.to_text(2)),
        currency: optional(row, "currency")?,
        ..PackException::default()
    })
}

/// Rows with a `difference`, the largest first.
fn by_size(batches: &[RecordBatch]) -> Result<Vec<Row<'_>>, Error> {
    let mut sized = Vec::new();
    for row in rows::each(batches) {
        sized.push((row.units("difference")?.unsigned_abs(), row));
    }
    sized.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    Ok(sized.into_iter().map(|(_, row)| row).collect())
}

fn account_changes(accounts: &[RecordBatch], causes: &[RecordBatch]) -> Result<Vec<AccountChange>, Error> {
    let mut of_accounts: BTreeMap<(&str, &str), Vec<Row<'_>>> = BTreeMap::new();
    for row in by_size(causes)? {
        of_accounts.entry((row.text("account_id")?, row.text("currency")?)).or_default().push(row);
    }
    let mut changes = Vec::new();
    for row in by_size(accounts)? {
        let causes = of_accounts.remove(&(row.text("account_id")?, row.text("currency")?)).unwrap_or_default();
        let largest = causes.iter().take(LARGEST_CAUSES);
        changes.push(AccountChange {
            account_id: text(row, "account_id")?,
            account_name: optional(row, "account_name")?,
            currency: text(row, "currency")?,
            amount_before: amount(row, "amount_before")?,
            amount: amount(row, "amount")?,
            difference: amount(row, "difference")?,
            largest_causes: largest.map(|row| cause(*row)).collect::<Result<_, _>>()?,
            other_causes: causes.len().saturating_sub(LARGEST_CAUSES) as u64,
        });
    }
    Ok(changes)
}

fn cause(row: Row<'_>) -> Result<ChangeCause, Error> {
    Ok(ChangeCause {
        service: text(row, "service")?,
        name: text(row, "name")?,
        corrected_period: optional(row, "corrected_period")?,
        cause: text(row, "cause")?,
        unit: text(row, "unit")?,
        quantity_before: quantity(row, "quantity_before")?,
        quantity: quantity(row, "quantity")?,
        amount_before: amount(row, "amount_before")?,
        amount: amount(row, "amount")?,
        difference: amount(row, "difference")?,
    })
}

fn service_change(row: Row<'_>) -> Result<ServiceChange, Error> {
    Ok(ServiceChange {
        service: text(row, "service")?,
        currency: text(row, "currency")?,
        amount_before: amount(row, "amount_before")?,
        amount: amount(row, "amount")?,
        difference: amount(row, "difference")?,
    })
}

fn credit(row: Row<'_>) -> Result<PackCredit, Error> {
    Ok(PackCredit {
        credit_id: text(row, "credit_id")?,
        account_id: text(row, "account_id")?,
        description: text(row, "description")?,
        kind: text(row, "kind")?,
        currency: text(row, "currency")?,
        opening_balance: amount(row, "opening_balance")?,
        granted: amount(row, "granted")?,
        used: amount(row, "used")?,
        expired: amount(row, "expired")?,
        closing_balance: amount(row, "closing_balance")?,
    })
}
