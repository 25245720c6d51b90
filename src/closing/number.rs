//! Document numbers (EN 16931: BT-1): consecutive for each seller, prefix and year of issue, from one or a configured
//! number. A later number of a prefix never has an earlier issue date.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use jiff::civil::Date;

use crate::error::{ClosingError, Error};
use crate::model::account::Account;
use crate::model::config::{Closing, Seller};
use crate::model::issue::DocumentNumber;
use crate::model::period::date_of;
use crate::rows::{self, Row};
use crate::run::Context;

/// The issuer of documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Issuer {
    /// The VAT ID, or the name of an issuer without a VAT ID.
    name: String,
    /// The account of a reseller; `None` for the seller of the configuration.
    sold_by: Option<String>,
    /// The earlier VAT IDs and names of the seller of the configuration.
    previous_names: Vec<String>,
}

impl Issuer {
    /// The issuer for an account of a reseller, or for the seller of the configuration. A reseller that is no longer
    /// configured has its data from the last close.
    pub(super) fn new(context: &Context, sold_by: Option<&str>) -> Self {
        match sold_by {
            Some(id) => Self::reseller(context.account(id), id),
            None => Self::seller(&context.config.seller, &context.config.closing),
        }
    }

    fn reseller(account: Option<&Account>, id: &str) -> Self {
        let name = account.map_or(id, Account::identity).to_owned();
        Self { name, sold_by: Some(id.to_owned()), previous_names: Vec::new() }
    }

    fn seller(seller: &Seller, closing: &Closing) -> Self {
        // A seller that gets a VAT ID remains the same seller.
        let previous_names = closing.previous_identities.iter().chain([&seller.name]).cloned().collect();
        let name = seller.identity().to_owned();
        Self { name, sold_by: None, previous_names }
    }

    /// The number series of the issuer.
    ///
    /// The series of a reseller is the account of the reseller, independent of name and VAT ID. The series of the
    /// seller is the series of the newest document under any name of the seller. Without documents, the series is the
    /// current name. Documents store their series, so the numbers continue after a change of name.
    fn series(&self, history: &[RecordBatch]) -> Result<Series, Error> {
        let mut series = (self.sold_by.clone(), self.sold_by.as_ref().unwrap_or(&self.name).clone());
        let mut newest = None;
        for row in rows::each(history).filter(|_| self.sold_by.is_none()) {
            let seller = row.text("seller")?;
            let has_name = seller == self.name || self.previous_names.iter().any(|name| name == seller);
            let chain_number = row.number("chain_number")?;
            let is_own = row.optional_text("sold_by")?.is_none() && has_name;
            if is_own && newest.is_none_or(|newest| chain_number > newest) {
                newest = Some(chain_number);
                series = series_of(row)?;
            }
        }
        Ok(series)
    }
}

/// A number series: the account of the reseller, if any, and the name of the series.
pub(super) type Series = (Option<String>, String);

/// The number series of an issued document.
pub(super) fn series_of(document: Row<'_>) -> Result<Series, Error> {
    let name = document.optional_text("number_series")?.unwrap_or(document.text("seller")?);
    Ok((document.optional_text("sold_by")?.map(str::to_owned), name.to_owned()))
}

/// The number series of one issuer, with the last number of each prefix and year.
#[derive(Debug)]
pub(super) struct Numbers<'a> {
    closing: &'a Closing,
    issuer: Issuer,
    series: Series,
    /// The sellers of the documents in other series, by document number.
    of_other_series: BTreeMap<String, String>,
    /// The last number of each prefix and year.
    last: BTreeMap<(String, i16), u64>,
    /// The issue date and the number of the newest document of each prefix.
    newest: BTreeMap<String, (Date, String)>,
}

impl<'a> Numbers<'a> {
    /// The number series of an issuer after the documents in `history`.
    pub(super) fn after(history: &[RecordBatch], closing: &'a Closing, issuer: Issuer) -> Result<Self, Error> {
        let series = issuer.series(history)?;
        let (of_other_series, last, newest) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut numbers = Self { closing, issuer, series, of_other_series, last, newest };
        for row in rows::each(history) {
            if series_of(row)? != numbers.series {
                numbers.of_other_series.insert(row.text("document_number")?.to_owned(), row.text("seller")?.to_owned());
                continue;
            }
            let year = i16::try_from(row.number("issue_year")?).unwrap_or(i16::MAX);
            let (number, sequence) = (row.text("document_number")?, row.number("sequence_number")?.unsigned_abs());
            let prefix = number.strip_suffix(&*year_and_sequence(year, sequence)).unwrap_or(number);
            let last = numbers.last.entry((prefix.to_owned(), year)).or_default();
            *last = (*last).max(sequence);
            let issued = (date_of(row.day("issue_date")?), number.to_owned());
            let newest = numbers.newest.entry(prefix.to_owned()).or_default();
            *newest = std::mem::take(newest).max(issued);
        }
        Ok(numbers)
    }

    /// Fails if the date is before the newest issue date of the current prefixes.
    pub(super) fn check_issue_date(&self, date: Date) -> Result<(), Error> {
        let prefixes = ["invoice", "credit_note"].map(|kind| self.prefix(kind));
        match prefixes.iter().filter_map(|prefix| self.newest.get(prefix)).max() {
            Some((newest, number)) if date < *newest => {
                Err(Error::Closing(ClosingError::IssueDateBeforeLast { date, newest: *newest, number: number.clone() }))
            }
            _ => Ok(()),
        }
    }

    /// The text before the year. The prefix of a reseller's document contains the account of the reseller, so the
    /// number is unique among all sellers.
    fn prefix(&self, kind: &str) -> String {
        let Closing { invoice_prefix, credit_note_prefix, .. } = self.closing;
        let prefix = if kind == "credit_note" { credit_note_prefix } else { invoice_prefix };
        match &self.issuer.sold_by {
            Some(account) => format!("{prefix}{account}-"),
            None => prefix.clone(),
        }
    }

    /// The next number of a document kind in the year of the date.
    pub(super) fn next(&mut self, kind: &str, date: Date) -> Result<DocumentNumber, Error> {
        let year = date.year();
        let prefix = self.prefix(kind);
        let mut openings = self.closing.opening.iter().filter(|_| self.issuer.sold_by.is_none());
        let opening = openings.find(|opening| opening.document_kind == kind && opening.year == year);
        let first = opening.map_or(1, |opening| opening.number);
        let last = self.last.entry((prefix.clone(), year)).or_insert(first.saturating_sub(1));
        *last += 1;
        let number = format!("{prefix}{}", year_and_sequence(year, *last));
        match self.of_other_series.get(&number) {
            Some(seller) => Err(Error::Closing(ClosingError::NumberSeriesTaken {
                number,
                seller: seller.clone(),
                current: self.issuer.name.clone(),
            })),
            None => {
                let (sold_by, series) = self.series.clone();
                let seller = self.issuer.name.clone();
                Ok(DocumentNumber { number, seller, sold_by, series, year, sequence: *last })
            }
        }
    }
}

/// The end of a document number, after its prefix.
fn year_and_sequence(year: i16, sequence: u64) -> String {
    format!("{year:04}-{sequence:05}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::OpeningNumber;

    #[test]
    fn each_kind_and_year_counts_by_itself_from_its_opening() {
        let closing = Closing {
            opening: vec![OpeningNumber { document_kind: "invoice".to_owned(), year: 2026, number: 1_235 }],
            ..Closing::default()
        };
        let seller = Seller { name: "Seller".to_owned(), ..Seller::default() };
        let mut numbers = Numbers::after(&[], &closing, Issuer::seller(&seller, &closing)).unwrap();
        let date = |text: &str| text.parse::<Date>().unwrap();
        assert_eq!(numbers.next("invoice", date("2026-11-02")).unwrap().number, "INV-2026-01235");
        assert_eq!(numbers.next("invoice", date("2026-11-02")).unwrap().number, "INV-2026-01236");
        assert_eq!(numbers.next("credit_note", date("2026-11-02")).unwrap().number, "CN-2026-00001");
        let next_year = numbers.next("invoice", date("2027-01-02")).unwrap();
        assert_eq!((&*next_year.number, next_year.year, next_year.sequence), ("INV-2027-00001", 2027, 1));
        let reseller = Issuer::reseller(None, "R-1");
        let mut of_reseller = Numbers::after(&[], &closing, reseller).unwrap();
        assert_eq!(of_reseller.next("invoice", date("2026-11-02")).unwrap().number, "INV-R-1-2026-00001");
    }
}
