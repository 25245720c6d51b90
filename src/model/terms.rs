//! Contract terms: discounts, commitments, fees, credits and taxes. They apply to an invoice after usage is priced.

use std::collections::BTreeMap;

use iso_currency::Currency;
use jiff::civil::Date;

use crate::model::account::InvoicePer;
use crate::model::diagnostic::Place;
use crate::model::expression::Expression;
use crate::model::money::{Amount, Decimal, Quantity, UnitPrice};
use crate::model::period::DayNumber;

/// The kind of a document below the minimum amount, and the component of its lines that carry the amount forward.
pub const CARRIED_FORWARD: &str = "carried_forward";

/// A percentage with four places: `19` is 19 percent.
pub type Percent = Decimal<4>;

/// The contract terms of all rule files.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// In the order in which they apply.
    pub discounts: Vec<Discount>,
    /// Sorted by id.
    pub commitments: Vec<Commitment>,
    /// In the order of use.
    pub credits: Vec<Credit>,
    /// Sorted by id.
    pub taxes: Vec<TaxRule>,
    /// Sorted by id.
    pub fees: Vec<Fee>,
}

/// A range of dates: start inclusive, end exclusive, `None` is open. It applies to the tax point of the invoice.
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

/// A discount on lines. Each discount applies to the amount that the earlier ones leave.
#[derive(Clone, Debug)]
pub struct Discount {
    pub id: String,
    pub description: String,
    /// Empty: all accounts.
    pub accounts: Vec<String>,
    /// A predicate over the columns of a line; absent: every line.
    pub when: Option<Expression>,
    pub value: DiscountValue,
    pub position: i64,
    pub validity: Validity,
    pub declared_at: Place,
}

/// The size of a discount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiscountValue {
    Percent(Percent),
    /// A fixed amount, limited to the amount of the lines.
    Fixed(Amount, Currency),
}

/// The minimum spend of an account in each period.
#[derive(Clone, Debug)]
pub struct Commitment {
    pub id: String,
    pub description: String,
    pub service: String,
    pub account: String,
    /// The lines that count towards the commitment; absent: every line.
    pub when: Option<Expression>,
    pub amount: Amount,
    pub currency: Currency,
    /// The factor on the prices of lines above the commitment.
    pub overage_factor: Option<UnitPrice>,
    /// Whether the account owes the unspent part.
    pub true_up: bool,
    pub validity: Validity,
    pub declared_at: Place,
}

/// A percentage of the amount of other lines, such as a support plan.
#[derive(Clone, Debug)]
pub struct Fee {
    pub id: String,
    pub description: String,
    pub service: String,
    pub sku: String,
    /// The rate card of the fee. Accounts with this card owe the fee.
    pub card: String,
    /// The scope of the base: all lines of an account, or those of each project.
    pub per: InvoicePer,
    /// Empty: all accounts.
    pub accounts: Vec<String>,
    /// The lines of the base; absent: every line.
    pub when: Option<Expression>,
    pub base: FeeBase,
    /// Graduated bands: each part of the base has its own percentage. The last band is open.
    pub bands: Vec<FeeBand>,
    /// The minimum fee for a whole period.
    pub minimum: Option<Amount>,
    pub currency: Currency,
    pub validity: Validity,
    pub examples: Vec<FeeExample>,
    pub declared_at: Place,
}

/// The percentage for a part of the base, up to an inclusive bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeBand {
    pub up_to: Option<Quantity>,
    pub percent: UnitPrice,
}

/// The base of a fee: the lines before or after discounts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeeBase {
    BeforeDiscounts,
    AfterDiscounts,
}

impl FeeBase {
    pub const ALL: [(&'static str, Self); 2] =
        [("before_discounts", Self::BeforeDiscounts), ("after_discounts", Self::AfterDiscounts)];

    /// The text on invoice lines.
    pub const fn label(self) -> &'static str {
        match self {
            Self::BeforeDiscounts => "before discounts",
            Self::AfterDiscounts => "after discounts",
        }
    }
}

/// A base and the expected fee.
#[derive(Clone, Debug)]
pub struct FeeExample {
    pub name: String,
    pub charges: Amount,
    pub period: String,
    /// The first day of the account in the period, inclusive, for the minimum.
    pub from: Option<DayNumber>,
    /// The end of the account in the period, exclusive.
    pub to: Option<DayNumber>,
    /// The sum of the fee's lines.
    pub net_amount: Amount,
    pub declared_at: Place,
}

/// A credit of an account: prepaid money or a promotion.
#[derive(Clone, Debug)]
pub struct Credit {
    pub id: String,
    pub description: String,
    pub account: String,
    pub amount: Amount,
    pub currency: Currency,
    pub kind: CreditKind,
    /// The credit with the highest priority is used first, then the one that expires first.
    pub priority: i64,
    /// Usable from the start, expired at the end.
    pub validity: Validity,
    /// The remaining amount at the first use of Conto; absent: the whole amount.
    pub opening_balance: Option<Amount>,
    pub declared_at: Place,
}

/// The kind of a credit, which determines its effect on tax.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreditKind {
    /// A gift. It reduces the taxable amounts of all tax groups in proportion.
    Promotional,
    /// Prepaid with tax at the sale. It reduces the taxable amount of that tax group.
    PrepaidTaxedAtSale { category: TaxCategory, rate: Percent },
    /// Prepaid without tax. It pays the amount due with tax.
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

/// A tax for lines of buyers that match its conditions.
#[derive(Clone, Debug)]
pub struct TaxRule {
    pub id: String,
    /// The name on the invoice: VAT, TVA, USt.
    pub name: String,
    pub profile: String,
    /// Countries of the buyer; empty: all.
    pub countries: Vec<String>,
    pub when: Option<Expression>,
    pub category: TaxCategory,
    pub rate: Percent,
    /// The exemption reason (BT-120) of categories E, AE, G and O.
    pub exemption_reason: Option<String>,
    pub validity: Validity,
    pub declared_at: Place,
}

/// The tax profile of accounts without a profile.
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

    /// Whether the invoice must identify the seller to a tax office: all but outside the scope of tax (BR-S-02).
    pub fn needs_seller(self) -> bool {
        self != Self::OutOfScope
    }

    pub fn code(self) -> &'static str {
        Self::CODES.iter().find(|(_, category)| *category == self).map_or("O", |(code, _)| code)
    }

    /// The exemption reason of rules without one. Standard and zero rate have none.
    pub fn default_exemption_reason(self) -> Option<&'static str> {
        match self {
            Self::Standard | Self::Zero => None,
            Self::Exempt => Some("Exempt from tax"),
            Self::ReverseCharge => Some("Reverse charge"),
            Self::Export => Some("Export outside the EU"),
            Self::OutOfScope => Some("Not subject to tax"),
        }
    }
}

/// Exchange rates by currency pair and date. One unit of the first currency is `rate` units of the second.
#[derive(Clone, Debug, Default)]
pub struct ExchangeRates {
    pub rates: BTreeMap<(String, String), BTreeMap<Date, UnitPrice>>,
}

/// A currency conversion: multiplication by the numerator, division by the denominator, one rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    pub numerator: UnitPrice,
    pub denominator: UnitPrice,
    /// The publication date of the rate; absent if both currencies are the same.
    pub date: Option<Date>,
}

/// An exchange rate as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedRate<'a> {
    /// One unit of `base` is `rate` units of `quote`.
    pub base: &'a str,
    pub quote: &'a str,
    pub rate: UnitPrice,
    pub date: Date,
}

impl Conversion {
    /// A value in the other currency, rounded half away from zero to `places` places.
    pub fn of<const SCALE: u32>(&self, value: Decimal<SCALE>, places: u32) -> Option<Decimal<SCALE>> {
        value.scaled(self.numerator.units(), self.denominator.units(), places)
    }

    /// The rate of a conversion; `None` if both currencies are the same.
    pub fn published<'a>(&self, from: &'a str, to: &'a str) -> Option<PublishedRate<'a>> {
        let date = self.date?;
        let is_direct = self.denominator == UnitPrice::from_integer(1);
        let (base, quote, rate) = if is_direct { (from, to, self.numerator) } else { (to, from, self.denominator) };
        Some(PublishedRate { base, quote, rate, date })
    }
}

/// The largest age of a rate in days. Banks publish no rates on weekends and holidays.
pub const MAX_RATE_AGE_DAYS: i32 = 7;

impl ExchangeRates {
    /// The conversion at a date, by the newest rate that is not later and at most [`MAX_RATE_AGE_DAYS`] old. If only
    /// the opposite direction is published, the conversion divides by its rate.
    pub fn conversion(&self, from: &str, to: &str, date: Date) -> Option<Conversion> {
        let one = UnitPrice::from_integer(1);
        if from == to {
            return Some(Conversion { numerator: one, denominator: one, date: None });
        }
        let published = |from: &str, to: &str| {
            let of_pair = self.rates.get(&(from.to_owned(), to.to_owned()))?;
            let (day, rate) = of_pair.range(..=date).next_back()?;
            let age = (date - *day).get_days();
            (age <= MAX_RATE_AGE_DAYS).then_some((*day, *rate))
        };
        if let Some((day, rate)) = published(from, to) {
            return Some(Conversion { numerator: rate, denominator: one, date: Some(day) });
        }
        let (day, rate) = published(to, from)?;
        Some(Conversion { numerator: one, denominator: rate, date: Some(day) })
    }
}
