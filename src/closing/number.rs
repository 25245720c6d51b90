//! Numbers of documents: for each seller, kind and year of issue from one without a gap, given in one pass, with dates
//! that never go back.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use jiff::civil::Date;

use crate::config::Closing;
use crate::period::date_of;
use crate::pipeline::Error;
use crate::rows;

#[derive(Debug)]
pub(super) struct Numbers<'a> {
    closing: &'a Closing,
    seller: String,
    /// Stands in the numbers of a reseller, so that they are not those of somebody else.
    mark: String,
    /// The numbers that another seller gave, and who that is.
    of_others: BTreeMap<String, String>,
    /// The last number of each kind and year.
    last: BTreeMap<(String, i16), u64>,
    /// The date and number of the document that was issued last.
    newest: Option<(Date, String)>,
}

impl<'a> Numbers<'a> {
    /// As the documents that were issued so far leave them.
    pub(super) fn after(
        history: &[RecordBatch],
        closing: &'a Closing,
        seller: String,
        reseller: Option<&str>,
    ) -> Result<Self, Error> {
        let (of_others, last) = (BTreeMap::new(), BTreeMap::new());
        let mark = reseller.map(|id| format!("{id}-")).unwrap_or_default();
        let mut numbers = Self { closing, seller, mark, of_others, last, newest: None };
        for row in rows::each(history) {
            let of = row.text("seller")?;
            if of != numbers.seller {
                numbers.of_others.insert(row.text("document_number")?.to_owned(), of.to_owned());
                continue;
            }
            let year = i16::try_from(row.number("issue_year")?).unwrap_or(i16::MAX);
            let series = numbers.last.entry((row.text("document_kind")?.to_owned(), year)).or_default();
            *series = (*series).max(row.number("sequence_number")?.unsigned_abs());
            let issued = (date_of(row.day("issue_date")?), row.text("document_number")?.to_owned());
            numbers.newest = numbers.newest.max(Some(issued));
        }
        Ok(numbers)
    }

    /// Numbers and dates rise together, so a document cannot be issued before one that already is.
    pub(super) fn refuse_earlier(&self, date: Date) -> Result<(), Error> {
        match &self.newest {
            Some((newest, number)) if date < *newest => {
                Err(Error::IssuedLater { date, newest: *newest, number: number.clone() })
            }
            _ => Ok(()),
        }
    }

    /// The next number of a kind: its text, the year and the bare number.
    pub(super) fn next(&mut self, kind: &str, date: Date) -> Result<(String, i16, u64), Error> {
        let year = date.year();
        let openings = self.closing.opening.iter().filter(|_| self.mark.is_empty());
        let opening = openings.into_iter().find(|opening| opening.document_kind == kind && opening.year == year);
        let first = opening.map_or(1, |opening| opening.number);
        let last = self.last.entry((kind.to_owned(), year)).or_insert(first.saturating_sub(1));
        *last += 1;
        let prefix =
            if kind == "credit_note" { &self.closing.credit_note_prefix } else { &self.closing.invoice_prefix };
        let number = format!("{prefix}{}{year:04}-{last:05}", self.mark);
        match self.of_others.get(&number) {
            Some(seller) => Err(Error::NumberOfAnother { number, seller: seller.clone() }),
            None => Ok((number, year, *last)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OpeningNumber;

    #[test]
    fn each_kind_and_year_counts_by_itself_from_its_opening() {
        let closing = Closing {
            opening: vec![OpeningNumber { document_kind: "invoice".to_owned(), year: 2026, number: 1_235 }],
            ..Closing::default()
        };
        let mut numbers = Numbers::after(&[], &closing, "FR1".to_owned(), None).unwrap();
        let date = |text: &str| text.parse::<Date>().unwrap();
        assert_eq!(numbers.next("invoice", date("2026-11-02")).unwrap().0, "INV-2026-01235");
        assert_eq!(numbers.next("invoice", date("2026-11-02")).unwrap().0, "INV-2026-01236");
        assert_eq!(numbers.next("credit_note", date("2026-11-02")).unwrap().0, "CN-2026-00001");
        assert_eq!(numbers.next("invoice", date("2027-01-02")).unwrap(), ("INV-2027-00001".to_owned(), 2027, 1));
        let mut of_reseller = Numbers::after(&[], &closing, "FR2".to_owned(), Some("R-1")).unwrap();
        assert_eq!(of_reseller.next("invoice", date("2026-11-02")).unwrap().0, "INV-R-1-2026-00001");
    }
}
