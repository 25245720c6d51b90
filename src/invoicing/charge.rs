//! The charges of a payer, and the shares of amounts that the projects of an account owe together.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use iso_currency::Currency;

use super::allocate::allocate;
use super::line::ChargeCategory;
use crate::error::Error;
use crate::model::money::{Amount, Cost};
use crate::rows::{self, Row};

/// The source of a line: a row of `charge` or of `purchase`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Charge<'a> {
    pub(super) row: Row<'a>,
    pub(super) category: ChargeCategory,
    /// The net amount, if the charge is a share of an amount that all projects of the account owe together.
    pub(super) share: Option<Amount>,
}

/// The id and the account name of a payer. An unassigned project is its own payer and has no account name. So the
/// project is sorted before an account with the same id.
pub(super) type PayerKey = (String, Option<String>);

/// The properties that the shares of one amount have in common: texts, kind and currency; tier and price.
type SharedAmount<'a> = ([&'a str; 6], [i128; 3]);

impl<'a> Charge<'a> {
    /// The amount of which the charge is a share; `None` if it is no share.
    fn shared_amount(&self) -> Result<Option<SharedAmount<'a>>, Error> {
        let row = self.row;
        if self.category != ChargeCategory::Usage || !row.flag("is_share")? {
            return Ok(None);
        }
        let texts = [
            row.text("service")?,
            row.text("component")?,
            row.text("sku")?,
            row.text("description")?,
            row.text("charge_kind")?,
            row.text("price_currency")?,
        ];
        let numbers = [row.units("tier_start")?, row.units("contracted_unit_price")?, row.units("unit_price_per")?];
        Ok(Some((texts, numbers)))
    }
}

/// The currency of the price and the cost of a charge.
pub(super) fn price_currency(row: Row<'_>) -> Result<Currency, Error> {
    Currency::from_code(row.text("price_currency")?).ok_or(Error::Internal("a price in an unknown currency"))
}

/// The charges of each payer, usage before purchases.
pub(super) fn charges_by_payer<'a>(
    charge: &'a [RecordBatch],
    purchase: &'a [RecordBatch],
) -> Result<BTreeMap<PayerKey, Vec<Charge<'a>>>, Error> {
    let mut payers: BTreeMap<PayerKey, Vec<Charge<'_>>> = BTreeMap::new();
    let usage = rows::each(charge).map(|row| Charge { row, category: ChargeCategory::Usage, share: None });
    let purchases = rows::each(purchase).map(|row| Charge { row, category: ChargeCategory::Purchase, share: None });
    for charge in usage.chain(purchases) {
        let name = charge.row.optional_text("account_name")?.map(str::to_owned);
        let key = (charge.row.text("account_id")?.to_owned(), name);
        payers.entry(key).or_default().push(charge);
    }
    Ok(payers)
}

/// The charges of a payer, with the share of each amount that its projects owe together.
///
/// `rounded` converts and rounds a cost to `places`. The shares of a rounded amount add up to it by the
/// largest-remainder method, and can be on the documents of several projects.
pub(super) fn with_shares<'a, E: From<Error>>(
    charges: &[Charge<'a>],
    places: u32,
    rounded: impl Fn(Currency, Cost) -> Result<Amount, E>,
) -> Result<Vec<Charge<'a>>, E> {
    let mut charges = charges.to_vec();
    let mut amounts: BTreeMap<SharedAmount<'_>, Vec<usize>> = BTreeMap::new();
    for (index, charge) in charges.iter().enumerate() {
        if let Some(amount) = charge.shared_amount()? {
            amounts.entry(amount).or_default().push(index);
        }
    }
    for indices in amounts.into_values().filter(|indices| indices.len() > 1) {
        let currency = price_currency(charges[indices[0]].row)?;
        let costs: Vec<Cost> =
            indices.iter().map(|index| charges[*index].row.decimal("contracted_cost")).collect::<Result<_, _>>()?;
        let whole = costs.iter().try_fold(Cost::ZERO, |sum, cost| sum.checked_add(*cost));
        let amount = rounded(currency, whole.ok_or(Error::AMOUNT_OVERFLOW)?)?;
        // Shares that cancel out have no proportion, and each is rounded by itself.
        let shares = allocate(amount, &costs, places).unwrap_or_default();
        for (index, share) in indices.into_iter().zip(shares) {
            charges[index].share = Some(share);
        }
    }
    Ok(charges)
}
