//! What goes on from period to period: balances of credits, and what was too little to be invoiced.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;

use super::drafting::Document;
use crate::money::Amount;
use crate::pipeline::Error;
use crate::rows;
use crate::run::Run;
use crate::terms::{CreditKind, Terms};

const TOO_MUCH: Error = Error::Internal("an amount beyond 38 digits");

/// The movements of one credit in the period.
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
        left.ok_or(TOO_MUCH)
    }
}

/// What was carried forward, by account (with whether it is one), and project where invoices are for projects.
type CarryKey = (String, bool, Option<String>);

#[derive(Clone, Debug)]
pub(super) struct Balances {
    /// By id of the credit; only of credits that exist at the tax point.
    pub(super) credits: BTreeMap<String, Movement>,
    /// Period, amount and currency.
    carried: BTreeMap<CarryKey, (String, Amount, String)>,
}

/// A credit that paid what was due with tax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prepayment {
    pub(super) invoice_number: String,
    pub(super) credit_id: String,
    pub(super) description: String,
    pub(super) amount: Amount,
}

impl Balances {
    /// As the periods before this one left them.
    pub(super) async fn before(run: &Run, terms: &Terms) -> Result<Self, Error> {
        let period = run.period.to_string();
        let tax_point = run.period.end().yesterday().unwrap_or(run.period.start());
        let mut closing: BTreeMap<String, Amount> = BTreeMap::new();
        // Files come in the order of periods, so what a later one says replaces what an earlier one said.
        let mut files = run.files_where("credit_balance", |file| file.partition < period);
        files.sort_by(|left, right| left.partition.cmp(&right.partition));
        for file in &files {
            for row in rows::each(&run.lake.read_data(file).await?) {
                closing.insert(row.text("credit_id")?.to_owned(), row.decimal("closing_balance")?);
            }
        }
        let mut credits = BTreeMap::new();
        for credit in &terms.credits {
            let mut movement = Movement::default();
            match closing.get(&credit.id) {
                Some(left) => movement.opening = *left,
                None if credit.validity.from.is_none_or(|from| from <= tax_point) => {
                    movement.granted = credit.opening_balance.unwrap_or(credit.amount);
                }
                None => continue,
            }
            if credit.validity.to.is_some_and(|expires| expires <= tax_point) {
                movement.expired = movement.closing()?;
            }
            credits.insert(credit.id.clone(), movement);
        }
        let mut carried = BTreeMap::new();
        let mut files = run.files_where("invoice", |file| file.partition < period);
        files.sort_by(|left, right| left.partition.cmp(&right.partition));
        for file in &files {
            for row in rows::each(&run.lake.read_data(file).await?) {
                let key = (
                    row.text("account_id")?.to_owned(),
                    row.optional_text("account_name")?.is_some(),
                    row.optional_text("project_id")?.map(str::to_owned),
                );
                let amount: Amount = row.decimal("carried_forward")?;
                carried.insert(key, (file.partition.clone(), amount, row.text("currency")?.to_owned()));
            }
        }
        carried.retain(|_, (_, amount, _)| !amount.is_zero());
        Ok(Self { credits, carried })
    }

    pub(super) fn usable(&self, credit_id: &str) -> Amount {
        self.credits.get(credit_id).and_then(|movement| movement.closing().ok()).unwrap_or(Amount::ZERO)
    }

    pub(super) fn used(&mut self, credit_id: &str, amount: Amount) -> Result<(), Error> {
        if let Some(movement) = self.credits.get_mut(credit_id) {
            movement.used = movement.used.checked_add(amount).ok_or(TOO_MUCH)?;
        }
        Ok(())
    }

    pub(super) fn accounts_with_something_carried(&self) -> impl Iterator<Item = &str> {
        self.carried.keys().filter(|(_, is_account, _)| *is_account).map(|(account_id, _, _)| account_id.as_str())
    }

    /// The documents of an account to which something was carried.
    pub(super) fn carried_documents(&self, account_id: &str, is_account: bool) -> Vec<Option<String>> {
        let of_account = self.carried.keys().filter(|key| key.0 == account_id && key.1 == is_account);
        of_account.map(|key| key.2.clone()).collect()
    }

    /// From which period, how much, in which currency.
    pub(super) fn carried(
        &self,
        account_id: &str,
        is_account: bool,
        project_id: Option<&str>,
    ) -> Option<(String, Amount, String)> {
        self.carried.get(&(account_id.to_owned(), is_account, project_id.map(str::to_owned))).cloned()
    }

    /// Pays what is due with tax from what was paid in without it, invoice by invoice in the order of numbers.
    pub(super) fn pay(
        &mut self,
        terms: &Terms,
        documents: &[Document],
        tax_breakdown: &[RecordBatch],
    ) -> Result<Vec<Prepayment>, Error> {
        let mut due: BTreeMap<String, Amount> = BTreeMap::new();
        for row in rows::each(tax_breakdown) {
            let sum = due.entry(row.text("invoice_number")?.to_owned()).or_default();
            let with_tax = row.decimal::<4>("taxable_amount")?.checked_add(row.decimal("tax_amount")?);
            *sum = with_tax.and_then(|with_tax| sum.checked_add(with_tax)).ok_or(TOO_MUCH)?;
        }
        let mut payments = Vec::new();
        for document in documents.iter().filter(|document| document.has_terms) {
            let mut left = due.get(&document.number).copied().unwrap_or_default();
            let credits = terms.credits.iter().filter(|credit| credit.kind == CreditKind::PrepaidTaxedAtUse);
            for credit in credits.filter(|credit| credit.account == document.account_id) {
                let amount = self.usable(&credit.id).min(left);
                if amount <= Amount::ZERO {
                    continue;
                }
                left = left.checked_sub(amount).ok_or(TOO_MUCH)?;
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
