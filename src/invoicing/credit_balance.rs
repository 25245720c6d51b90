//! The balances that pass from one period to the next: credits, and amounts that are brought forward.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, Decimal128Array, RecordBatch};

use super::document::Document;
use crate::error::Error;
use crate::invoicing::brought_forward;
use crate::invoicing::brought_forward::{BroughtForward, BroughtForwardKey};
use crate::model::issue::IssuedUses;
use crate::model::money::Amount;
use crate::model::period::BillingPeriod;
use crate::model::terms::{CreditKind, Terms};
use crate::query::persisted_relation;
use crate::rows;
use crate::rows::relations::{CreditBalance, Rows, TaxBreakdown};
use crate::run::{Context, Transaction};

/// The opening balance and the movements of one credit in the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Movement {
    pub(super) opening: Amount,
    pub(super) granted: Amount,
    pub(super) used: Amount,
    pub(super) expired: Amount,
}

impl Movement {
    pub(super) fn closing(self) -> Result<Amount, Error> {
        let had = self.opening.checked_add(self.granted);
        let left = had.and_then(|had| had.checked_sub(self.used)).and_then(|left| left.checked_sub(self.expired));
        left.ok_or(Error::AMOUNT_OVERFLOW)
    }
}

/// The credit balances of a period, and the amounts brought forward to the period.
#[derive(Clone, Debug)]
pub(super) struct Balances {
    /// The movement of each credit, by credit id. A credit that is not yet valid in the period has no entry.
    pub(super) credits: BTreeMap<String, Movement>,
    /// The amounts that earlier documents carried forward, in the order of these documents.
    brought_forward: BTreeMap<BroughtForwardKey, Vec<BroughtForward>>,
    /// The largest amount of a credit on a document, by credit id and project; `None` without limits.
    limits: Option<BTreeMap<(String, Option<String>), Amount>>,
}

/// A credit that paid a part of the total with tax (EN 16931: BT-113).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepayment {
    pub(super) invoice_number: String,
    pub(super) credit_id: String,
    pub(super) description: String,
    pub(super) amount: Amount,
}

impl Balances {
    /// Balances without credits and without amounts brought forward.
    pub(super) fn empty() -> Self {
        Self { credits: BTreeMap::new(), brought_forward: BTreeMap::new(), limits: None }
    }

    /// The balances at the beginning of the period, after all earlier periods.
    pub(super) async fn load(context: &Context, transaction: &Transaction, terms: &Terms) -> Result<Self, Error> {
        let period = context.period.to_string();
        let last_day = context.period.last_day();
        let mut closing: BTreeMap<String, Amount> = BTreeMap::new();
        // The files are read in the order of periods, so later balances replace earlier balances.
        let mut files = transaction.files_where("credit_balance", |file| file.partition < period);
        files.sort_by(|left, right| left.partition.cmp(&right.partition));
        for file in &files {
            let rows = transaction.lake.read_rows(file, &persisted_relation("credit_balance")?.schema).await?;
            for row in Rows::<CreditBalance>::read(&rows)?.iter() {
                closing.insert(row.credit_id().to_owned(), row.closing_balance());
            }
        }
        let mut credits = BTreeMap::new();
        for credit in &terms.credits {
            let mut movement = Movement::default();
            match closing.get(&credit.id) {
                Some(balance) => movement.opening = *balance,
                None if credit.validity.from.is_none_or(|from| from <= last_day) => {
                    movement.granted = credit.opening_balance.unwrap_or(credit.amount);
                }
                None => continue,
            }
            if credit.validity.to.is_some_and(|expires| expires <= last_day) {
                movement.expired = movement.closing()?;
            }
            credits.insert(credit.id.clone(), movement);
        }
        let brought_forward = brought_forward::load(context.period, transaction).await?;
        Ok(Self { credits, brought_forward, limits: None })
    }

    /// Limits the credits and the amounts brought forward to those of issued documents.
    pub(super) fn limit(&mut self, uses: &IssuedUses) {
        self.limits = Some(uses.credits.clone());
        for documents in self.brought_forward.values_mut() {
            documents.retain(|document| uses.brought_forward.contains(&document.document));
        }
        self.brought_forward.retain(|_, documents| !documents.is_empty());
    }

    /// The amount of a credit that a document of a project, or of the whole account, can use.
    pub(super) fn usable(&self, credit_id: &str, project_id: Option<&str>) -> Amount {
        let balance = self.credits.get(credit_id).and_then(|movement| movement.closing().ok()).unwrap_or(Amount::ZERO);
        let Some(limits) = &self.limits else { return balance };
        let limit = limits.get(&(credit_id.to_owned(), project_id.map(str::to_owned)));
        limit.copied().unwrap_or(Amount::ZERO).min(balance)
    }

    pub(super) fn used(&mut self, credit_id: &str, amount: Amount) -> Result<(), Error> {
        if let Some(movement) = self.credits.get_mut(credit_id) {
            movement.used = movement.used.checked_add(amount).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        Ok(())
    }

    /// The payers with amounts brought forward: id, whether the payer is an account or an unassigned project, and the
    /// name of the account.
    pub(super) fn payers_with_brought_forward(&self) -> BTreeMap<(&str, bool), &str> {
        let payers = self.brought_forward.iter().flat_map(|((id, is_account, _), documents)| {
            documents.iter().map(|document| ((id.as_str(), *is_account), document.account_name.as_str()))
        });
        payers.collect()
    }

    /// The projects of an account with amounts brought forward; `None` for the account as a whole.
    pub(super) fn projects_with_brought_forward(&self, account_id: &str, is_account: bool) -> Vec<Option<String>> {
        let of_account = self.brought_forward.keys().filter(|key| key.0 == account_id && key.1 == is_account);
        of_account.map(|key| key.2.clone()).collect()
    }

    /// The amounts that earlier documents carried forward to the next document of a payer.
    pub(super) fn brought_forward(
        &self,
        account_id: &str,
        is_account: bool,
        project_id: Option<&str>,
    ) -> &[BroughtForward] {
        let key = (account_id.to_owned(), is_account, project_id.map(str::to_owned));
        self.brought_forward.get(&key).map_or(&[], Vec::as_slice)
    }

    /// Pays the totals with tax from prepaid credits that are taxed at use. Invoices are paid in the order of their
    /// numbers.
    pub(super) fn pay(
        &mut self,
        terms: &Terms,
        documents: &[Document],
        tax_breakdown: &[RecordBatch],
    ) -> Result<Vec<Prepayment>, Error> {
        let mut due: BTreeMap<String, Amount> = BTreeMap::new();
        for row in Rows::<TaxBreakdown>::read(tax_breakdown)?.iter() {
            let sum = due.entry(row.invoice_number().to_owned()).or_default();
            let with_tax = row.taxable_amount().checked_add(row.tax_amount());
            *sum = with_tax.and_then(|with_tax| sum.checked_add(with_tax)).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        let mut payments = Vec::new();
        for document in documents.iter().filter(|document| document.has_terms) {
            let mut unpaid = due.get(&document.number).copied().unwrap_or_default();
            let project = document.project.as_ref().map(|(id, _)| id.as_str());
            let credits = terms.credits.iter().filter(|credit| credit.kind == CreditKind::PrepaidTaxedAtUse);
            for credit in credits.filter(|credit| credit.account == document.account_id) {
                let amount = self.usable(&credit.id, project).min(unpaid);
                if amount <= Amount::ZERO {
                    continue;
                }
                unpaid = unpaid.checked_sub(amount).ok_or(Error::AMOUNT_OVERFLOW)?;
                self.used(&credit.id, amount)?;
                payments.push(Prepayment {
                    invoice_number: document.number.clone(),
                    credit_id: credit.id.clone(),
                    description: credit.description.clone(),
                    amount,
                });
            }
        }
        payments.sort_by(|left, right| {
            (&left.invoice_number, &left.credit_id).cmp(&(&right.invoice_number, &right.credit_id))
        });
        Ok(payments)
    }
}

/// Returns amounts to credits that paid more in the period than a correction leaves to pay. The opening balances of
/// later periods increase.
pub(super) async fn return_credits(
    period: BillingPeriod,
    transaction: &mut Transaction,
    returned: &BTreeMap<String, Amount>,
) -> Result<(), Error> {
    if returned.is_empty() {
        return Ok(());
    }
    let period = period.to_string();
    let mut partitions: Vec<String> = transaction
        .files_where("credit_balance", |file| file.partition >= period)
        .into_iter()
        .map(|f| f.partition)
        .collect();
    partitions.dedup();
    for partition in partitions {
        let batches = transaction.read("credit_balance", |file| file.partition == partition).await?;
        let mut changed = Vec::with_capacity(batches.len());
        for batch in &batches {
            changed.push(with_returned(batch, returned, partition == period)?);
        }
        transaction.replace("invoicing/credit_balance", &partition, 0, &changed).await?;
    }
    Ok(())
}

/// The rows of `credit_balance` with the returned amounts. In the corrected period, the used amount decreases. In later
/// periods, the opening balance increases. If a credit expired, the returned amount expires too.
fn with_returned(
    batch: &RecordBatch,
    returned: &BTreeMap<String, Amount>,
    is_own_period: bool,
) -> Result<RecordBatch, Error> {
    let (mut returned_units, mut expired) = (Vec::new(), Vec::new());
    for row in Rows::<CreditBalance>::read(std::slice::from_ref(batch))?.iter() {
        let units = returned.get(row.credit_id()).map_or(0, |amount| amount.units());
        returned_units.push(units);
        expired.push(if row.expired().units() != 0 { units } else { 0 });
    }
    let negated: Vec<i128> = returned_units.iter().map(|units| -units).collect();
    let closing: Vec<i128> = returned_units.iter().zip(&expired).map(|(units, expired)| units - expired).collect();
    let first = if is_own_period { ("used", negated) } else { ("opening_balance", returned_units) };
    let mut changed = batch.clone();
    for (name, units) in [first, ("expired", expired), ("closing_balance", closing)] {
        let old: &Decimal128Array = rows::column(&changed, name)?;
        let sums = old.values().iter().zip(units).map(|(old, units)| old + units);
        let sums = Decimal128Array::from_iter_values(sums).with_data_type(old.data_type().clone());
        changed = rows::with_column(&changed, name, Arc::new(sums))?;
    }
    Ok(changed)
}
