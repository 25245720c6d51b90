//! Commercial terms: what changes an invoice after usage is priced. Discounts, commitments, credits and taxes, as they
//! were written and checked.

use std::collections::BTreeMap;

use iso_currency::Currency;
use jiff::civil::Date;

use crate::model::account::InvoicePer;
use crate::model::diagnostic::Place;
use crate::model::expression::Expression;
use crate::model::money::{Amount, Decimal, Quantity, UnitPrice};
use crate::model::period::DayNumber;

/// The kind of a document that leaves everything to the next one, and the component of the lines that take it off.
pub const CARRIED_FORWARD: &str = "carried_forward";

/// Hundredths with four places: `19` is 19 percent.
pub type Percent = Decimal<4>;

/// Everything that the rule files say of an invoice as a whole.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// In the order in which they apply.
    pub discounts: Vec<Discount>,
    /// Sorted by id.
    pub commitments: Vec<Commitment>,
    /// In the order in which they are used up.
    pub credits: Vec<Credit>,
    /// Sorted by id.
    pub taxes: Vec<TaxRule>,
    /// Sorted by id.
    pub fees: Vec<Fee>,
}

/// Dates from the first to the one before the last; `None` is open. What counts is the tax point of the invoice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Validity {
    pub from: Option<Date>,
    pub to: Option<Date>,
}

impl Validity {
    pub fn contains(self, date: Date) -> bool {
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date < to)
    }
}

/// Less for some lines. Discounts chain: each applies to what those before it left.
#[derive(Clone, Debug)]
pub struct Discount {
    pub id: String,
    pub description: String,
    /// Empty: everybody.
    pub accounts: Vec<String>,
    /// Over the columns of a line; absent: every line.
    pub when: Option<Expression>,
    pub value: DiscountValue,
    pub position: i64,
    pub validity: Validity,
    pub declared_at: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscountValue {
    Percent(Percent),
    /// At most what the lines leave.
    Fixed(Amount, Currency),
}

/// A sum that an account spends in each period.
#[derive(Clone, Debug)]
pub struct Commitment {
    pub id: String,
    pub description: String,
    pub service: String,
    pub account: String,
    /// The lines that count towards it; absent: every line.
    pub when: Option<Expression>,
    pub amount: Amount,
    pub currency: Currency,
    /// What is spent above it costs so many times its price.
    pub overage_factor: Option<UnitPrice>,
    /// Whether what is not spent is owed all the same.
    pub true_up: bool,
    pub validity: Validity,
    pub declared_at: Place,
}

/// A percent of what lines come to, such as a support plan.
#[derive(Clone, Debug)]
pub struct Fee {
    pub id: String,
    pub description: String,
    pub service: String,
    pub sku: String,
    /// The rate card it stands on: owed by the accounts that have it in their list.
    pub card: String,
    /// What it is taken of: all lines of an account, or those of each project.
    pub per: InvoicePer,
    /// Empty: everybody.
    pub accounts: Vec<String>,
    /// The lines it is taken of; absent: every line.
    pub when: Option<Expression>,
    pub base: FeeBase,
    /// Graduated: each part of the base at its own percent; the last one is open.
    pub bands: Vec<FeeBand>,
    /// What it comes to at the least, in a whole period.
    pub minimum: Option<Amount>,
    pub currency: Currency,
    pub validity: Validity,
    pub examples: Vec<FeeExample>,
    pub declared_at: Place,
}

/// Up to which base, inclusive, and which percent of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeBand {
    pub up_to: Option<Quantity>,
    pub percent: UnitPrice,
}

/// Whether discounts lower what a fee is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeeBase {
    BeforeDiscounts,
    AfterDiscounts,
}

impl FeeBase {
    pub const ALL: [(&'static str, Self); 2] =
        [("before_discounts", Self::BeforeDiscounts), ("after_discounts", Self::AfterDiscounts)];

    /// As it stands on a line.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::BeforeDiscounts => "before discounts",
            Self::AfterDiscounts => "after discounts",
        }
    }
}

/// What a fee comes to where the lines that it is taken of come to so much.
#[derive(Clone, Debug)]
pub struct FeeExample {
    pub say: String,
    pub charges: Amount,
    pub period: String,
    /// The days of the account within the period, for the minimum; the second is exclusive.
    pub from: Option<DayNumber>,
    pub to: Option<DayNumber>,
    /// The sum of its lines.
    pub net_amount: Amount,
    pub declared_at: Place,
}

/// Money or goodwill that an account has with the seller.
#[derive(Clone, Debug)]
pub struct Credit {
    pub id: String,
    pub description: String,
    pub account: String,
    pub amount: Amount,
    pub currency: Currency,
    pub kind: CreditKind,
    /// The highest is used first; then what expires first.
    pub priority: i64,
    /// Can be used from the first of these dates; has expired on the second.
    pub validity: Validity,
    /// What is left of the amount when Conto begins.
    pub opening_balance: Option<Amount>,
    pub declared_at: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreditKind {
    /// A gift: less to be taxed, shared out over the tax groups.
    Promotional,
    /// Bought with the tax invoiced at the sale: less to be taxed in that one tax group.
    PrepaidTaxedAtSale { category: TaxCategory, rate: Percent },
    /// Paid in without tax: pays what is due with tax.
    PrepaidTaxedAtUse,
}

impl CreditKind {
    pub fn name(&self) -> &'static str {
        match self {
            Self::Promotional => "promotional",
            Self::PrepaidTaxedAtSale { .. } => "prepaid_at_sale",
            Self::PrepaidTaxedAtUse => "prepaid_at_use",
        }
    }
}

/// The tax of some lines of some buyers.
#[derive(Clone, Debug)]
pub struct TaxRule {
    pub id: String,
    /// What it is called on the invoice: VAT, TVA, USt.
    pub name: String,
    pub profile: String,
    /// Of the buyer; empty: everywhere.
    pub countries: Vec<String>,
    pub when: Option<Expression>,
    pub category: TaxCategory,
    pub rate: Percent,
    /// Why there is no tax: of categories E, AE, G and O.
    pub exemption_reason: Option<String>,
    pub validity: Validity,
    pub declared_at: Place,
}

/// The tax profile of those who have no other.
pub const STANDARD_PROFILE: &str = "standard";

/// Categories of EN 16931 (UNTDID 5305).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TaxCategory {
    Standard,
    Zero,
    Exempt,
    ReverseCharge,
    Export,
    OutOfScope,
}

impl TaxCategory {
    pub const CODES: [(&'static str, Self); 6] = [
        ("S", Self::Standard),
        ("Z", Self::Zero),
        ("E", Self::Exempt),
        ("AE", Self::ReverseCharge),
        ("G", Self::Export),
        ("O", Self::OutOfScope),
    ];

    /// Whether who issues it must be known to a tax office: all but what is outside of the scope of tax (BR-S-02).
    pub fn needs_seller(self) -> bool {
        self != Self::OutOfScope
    }

    pub fn code(self) -> &'static str {
        Self::CODES.iter().find(|(_, category)| *category == self).map_or("O", |(code, _)| code)
    }

    /// What stands on the invoice where no other reason is given. Standard and zero rate have none.
    pub fn usual_reason(self) -> Option<&'static str> {
        match self {
            Self::Standard | Self::Zero => None,
            Self::Exempt => Some("Exempt from tax"),
            Self::ReverseCharge => Some("Reverse charge"),
            Self::Export => Some("Export outside the EU"),
            Self::OutOfScope => Some("Not subject to tax"),
        }
    }
}

/// Rates of exchange by pair and date: one unit of the first is so many of the second.
#[derive(Clone, Debug, Default)]
pub struct ExchangeRates {
    pub rates: BTreeMap<(String, String), BTreeMap<Date, UnitPrice>>,
}

/// One currency in another: multiplied by the numerator, divided by the denominator, rounded once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    pub numerator: UnitPrice,
    pub denominator: UnitPrice,
    /// The day for which the rate was published; absent where nothing is converted.
    pub date: Option<Date>,
}

/// A rate as it was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published<'a> {
    /// One unit of this is so many of the other.
    pub base: &'a str,
    pub quote: &'a str,
    pub rate: UnitPrice,
    pub date: Date,
}

impl Conversion {
    /// A value in the other currency, rounded half away from zero to so many places.
    pub fn of<const SCALE: u32>(&self, value: Decimal<SCALE>, places: u32) -> Option<Decimal<SCALE>> {
        value.scaled(self.numerator.units(), self.denominator.units(), places)
    }

    /// The rate behind a conversion; none where nothing is converted.
    pub fn published<'a>(&self, from: &'a str, to: &'a str) -> Option<Published<'a>> {
        let date = self.date?;
        let is_direct = self.denominator == UnitPrice::from_integer(1);
        let (base, quote, rate) = if is_direct { (from, to, self.numerator) } else { (to, from, self.denominator) };
        Some(Published { base, quote, rate, date })
    }
}

/// How old a published rate may be: banks are closed on weekends and holidays.
pub const MOST_DAYS_OLD: i32 = 7;

impl ExchangeRates {
    /// From one currency to another as of a date, by the newest rate that is not after it and not too old. Where only
    /// the other direction is published, one divides by that.
    pub fn conversion(&self, from: &str, to: &str, date: Date) -> Option<Conversion> {
        let one = UnitPrice::from_integer(1);
        if from == to {
            return Some(Conversion { numerator: one, denominator: one, date: None });
        }
        let published = |from: &str, to: &str| {
            let of_pair = self.rates.get(&(from.to_owned(), to.to_owned()))?;
            let (day, rate) = of_pair.range(..=date).next_back()?;
            let age = (date - *day).get_days();
            (age <= MOST_DAYS_OLD).then_some((*day, *rate))
        };
        if let Some((day, rate)) = published(from, to) {
            return Some(Conversion { numerator: rate, denominator: one, date: Some(day) });
        }
        let (day, rate) = published(to, from)?;
        Some(Conversion { numerator: one, denominator: rate, date: Some(day) })
    }
}
