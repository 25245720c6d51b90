//! The journal in the plain-text formats of hledger and beancount. Both programs can verify that its entries balance.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use arrow::array::RecordBatch;

use crate::error::Error;
use crate::model::money::{Amount, places_of_code};
use crate::model::period::date_of;
use crate::rows::{self, Row};

/// A plain-text format of journals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Hledger,
    Beancount,
}

/// The journal of all postings: declarations of accounts and currencies, then one transaction for each document.
pub fn write(posting: &[RecordBatch], format: Format) -> Result<String, Error> {
    let mut text = String::from("; Written by Conto: a transaction for each document.\n\n");
    declare(&mut text, posting, format)?;
    let mut previous = None;
    for row in rows::each(posting) {
        let number = row.text("invoice_number")?;
        if previous != Some(number) {
            text.push('\n');
            header(&mut text, row, number, format)?;
            previous = Some(number);
        }
        let account = account_name(row.text("ledger_account")?, format);
        let currency = row.text("currency")?;
        let amount: Amount = row.decimal("amount")?;
        let shown = amount.to_text(places_of_code(currency));
        let detail = one_line(row.text("detail")?);
        line(&mut text, format_args!("    {account}  {shown} {currency}  ; {detail}"));
    }
    Ok(text)
}

fn header(text: &mut String, row: Row<'_>, number: &str, format: Format) -> Result<(), Error> {
    let date = date_of(row.day("posting_date")?);
    let is_draft = !matches!(row.text("document_kind")?, "invoice" | "credit_note");
    let account = one_line(row.text("account_id")?);
    match format {
        // `!` marks a pending transaction.
        Format::Hledger => {
            let mark = if is_draft { '!' } else { '*' };
            line(text, format_args!("{date} {mark} ({}) {account}", number.replace([')', '\n'], " ")));
        }
        Format::Beancount => {
            let mark = if is_draft { '!' } else { '*' };
            line(text, format_args!("{date} {mark} {} {}", quoted(&account), quoted(number)));
        }
    }
    Ok(())
}

fn declare(text: &mut String, posting: &[RecordBatch], format: Format) -> Result<(), Error> {
    let mut accounts = BTreeSet::new();
    let mut currencies = BTreeSet::new();
    let mut payees = BTreeSet::new();
    let mut first = None;
    for row in rows::each(posting) {
        accounts.insert(account_name(row.text("ledger_account")?, format));
        currencies.insert(row.text("currency")?);
        payees.insert(one_line(row.text("account_id")?));
        let day = row.day("posting_date")?;
        first = Some(first.map_or(day, |first: i32| first.min(day)));
    }
    for currency in currencies {
        let places = places_of_code(currency) as usize;
        match format {
            Format::Hledger if places == 0 => line(text, format_args!("commodity 1000. {currency}")),
            Format::Hledger => line(text, format_args!("commodity 1000.{} {currency}", "0".repeat(places))),
            Format::Beancount => line(text, format_args!("option \"operating_currency\" \"{currency}\"")),
        }
    }
    for account in accounts {
        match (format, first) {
            (Format::Beancount, Some(first)) => line(text, format_args!("{} open {account}", date_of(first))),
            _ => line(text, format_args!("account {account}")),
        }
    }
    if format == Format::Hledger {
        for payee in payees {
            line(text, format_args!("payee {payee}"));
        }
    }
    Ok(())
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{arguments}");
}

/// The text as one line, without characters that begin a comment or a second field.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() || matches!(c, ';' | '|') { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The account name in the syntax of a format. In beancount, each part begins with a capital letter or a digit and
/// contains only letters, digits and dashes.
fn account_name(account: &str, format: Format) -> String {
    if format == Format::Hledger {
        return one_line(account);
    }
    let part = |part: &str| {
        let plain: String = part.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let mut characters = plain.chars();
        characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
    };
    account.split(':').map(part).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_follow_the_syntax_of_each_format() {
        assert_eq!(account_name("Income:Block storage", Format::Hledger), "Income:Block storage");
        assert_eq!(account_name("Income:block storage", Format::Beancount), "Income:Block-storage");
        assert_eq!(one_line("a;\nb | c"), "a b c");
        assert_eq!(quoted("say \"hi\" \\"), "\"say \\\"hi\\\" \\\\\"");
    }
}
