//! Contract terms: discounts, minimum spends, fees, credits and taxes. They apply to an invoice after usage is priced.

use std::collections::BTreeMap;

use iso_currency::Currency;
use jiff::civil::Date;

use crate::model::account::{Account, InvoicePer};
use crate::model::diagnostic::Place;
use crate::model::expression::Expression;
use crate::model::money::{Amount, Decimal, ExchangeRate, Factor, Percent, Price};
use crate::model::period::DayNumber;
pub use crate::model::tax::TaxCategory;
use crate::model::tax::TaxTreatment;

/// The kind of a document below the minimum amount, and the component of its lines that carry the amount forward.
pub const CARRIED_FORWARD: &str = "carried_forward";

/// The document kind of an invoice that is not issued, because all its lines are zero.
pub const SKIPPED: &str = "skipped";

/// The contract terms of all rule files.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// The discounts, in the order in which they apply.
    pub discounts: Vec<Discount>,
    /// The minimum spends, sorted by id.
    pub minimum_spends: Vec<MinimumSpend>,
    /// The credits, in the order of use.
    pub credits: Vec<Credit>,
    /// The tax rules, sorted by id.
    pub taxes: Vec<TaxRule>,
    /// The fees, sorted by id.
    pub fees: Vec<Fee>,
}

/// A range of dates: the start is inclusive, the end is exclusive, and `None` means no bound. Terms of an invoice are
/// valid if the range contains the tax point.
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

/// A discount on lines. Each discount applies to the amount that remains after earlier discounts.
#[derive(Clone, Debug)]
pub struct Discount {
    pub id: String,
    pub description: String,
    /// The ids of the accounts; empty: all accounts.
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
pub struct MinimumSpend {
    pub id: String,
    pub description: String,
    pub service: String,
    pub account: String,
    /// The lines that count towards the minimum spend; absent: every line.
    pub when: Option<Expression>,
    pub amount: Amount,
    pub currency: Currency,
    /// The factor on the prices of lines above the minimum spend.
    pub overage_factor: Option<Factor>,
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
    /// The scope of the base: all lines of an account, or the lines of each project.
    pub per: InvoicePer,
    /// The ids of the accounts; empty: all accounts.
    pub accounts: Vec<String>,
    /// The lines of the base; absent: every line.
    pub when: Option<Expression>,
    pub base: FeeBase,
    /// Graduated bands: each part of the base has its own percentage. The last band is open.
    pub bands: Vec<FeeBand>,
    /// The minimum of the fee for a whole period.
    pub minimum: Option<Amount>,
    pub currency: Currency,
    pub validity: Validity,
    pub examples: Vec<FeeExample>,
    pub declared_at: Place,
}

/// The percentage for a part of the base. The bound `up_to` is inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeBand {
    pub up_to: Option<Amount>,
    /// The price for 100 of the base.
    pub percent: Price,
}

/// The base of a fee: the amount of the lines before or after discounts.
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

/// An example of a fee: the amount of the base, and the expected fee.
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
    /// The credit with the highest priority is used first. If priorities are equal, the credit that expires first wins.
    pub priority: i64,
    /// The time in which the credit can be used. It expires at the end.
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
    /// Prepaid money that was taxed at the sale. It reduces the taxable amount of the tax group of the sale.
    PrepaidTaxedAtSale { category: TaxCategory, rate: Percent },
    /// Prepaid money that was not taxed at the sale. It pays the amount due, including tax.
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

/// The taxes for lines of buyers that match its conditions.
#[derive(Clone, Debug)]
pub struct TaxRule {
    pub id: String,
    pub profile: String,
    /// The countries of the buyer; empty: all countries.
    pub countries: Vec<String>,
    pub when: Option<Expression>,
    /// The taxes of a matching line, with the exemption reason (BT-120) of categories E, AE, G and O.
    pub treatment: TaxTreatment,
    pub validity: Validity,
    pub declared_at: Place,
}

impl TaxRule {
    /// Whether the tax is valid at a tax point for the profile and the country of a buyer. An unassigned project has no
    /// account.
    pub fn is_for(&self, account: Option<&Account>, tax_point: Date) -> bool {
        let profile = account.and_then(|account| account.tax_profile.as_deref()).unwrap_or(STANDARD_PROFILE);
        let country = account.and_then(|account| account.country.as_ref());
        let is_here = self.countries.is_empty() || country.is_some_and(|country| self.countries.contains(country));
        self.profile == profile && self.validity.contains(tax_point) && is_here
    }
}

/// The tax profile of accounts without a profile.
pub const STANDARD_PROFILE: &str = "standard";

/// Exchange rates by currency pair and date. One unit of the first currency is `rate` units of the second.
#[derive(Clone, Debug, Default)]
pub struct ExchangeRates {
    pub rates: BTreeMap<(String, String), BTreeMap<Date, ExchangeRate>>,
}

/// A currency conversion: multiplication by the numerator, division by the denominator, one rounding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conversion {
    pub numerator: ExchangeRate,
    pub denominator: ExchangeRate,
    /// The publication date of the rate; absent if both currencies are the same.
    pub date: Option<Date>,
}

/// A published exchange rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedRate<'a> {
    /// One unit of `base` is `rate` units of `quote`.
    pub base: &'a str,
    pub quote: &'a str,
    pub rate: ExchangeRate,
    pub date: Date,
}

impl Conversion {
    /// A cost or price in the other currency, rounded half away from zero to `places` places. The product of a cost and
    /// a rate has up to 66 digits, so it is not a product of [`Exact`](crate::model::money::Exact) numbers.
    pub fn of<const SCALE: u32>(&self, value: Decimal<SCALE>, places: u32) -> Option<Decimal<SCALE>> {
        value.scaled(self.numerator.units(), self.denominator.units(), places)
    }

    /// An amount in the other currency, rounded half away from zero to `places` places.
    pub fn of_amount(&self, amount: Amount, places: u32) -> Option<Amount> {
        amount.scaled(self.numerator.units(), self.denominator.units(), places)
    }

    /// The rate of a conversion; `None` if both currencies are the same.
    pub fn published<'a>(&self, from: &'a str, to: &'a str) -> Option<PublishedRate<'a>> {
        let date = self.date?;
        let is_direct = self.denominator == ExchangeRate::from_integer(1);
        let (base, quote, rate) = if is_direct { (from, to, self.numerator) } else { (to, from, self.denominator) };
        Some(PublishedRate { base, quote, rate, date })
    }
}

/// The largest age of a rate in days. Banks publish no rates on weekends and holidays.
pub const MAX_RATE_AGE_DAYS: i32 = 7;

impl ExchangeRates {
    /// Whether a rate of two currencies exists on any date, in any direction.
    pub fn has_pair(&self, from: &str, to: &str) -> bool {
        let has = |from: &str, to: &str| self.rates.contains_key(&(from.to_owned(), to.to_owned()));
        has(from, to) || has(to, from)
    }

    /// The conversion at a date. It uses the newest rate of the pair that is not later than the date and not older than
    /// [`MAX_RATE_AGE_DAYS`]. Without such a rate, the conversion divides by the rate of the opposite direction.
    pub fn conversion(&self, from: &str, to: &str, date: Date) -> Option<Conversion> {
        let one = ExchangeRate::from_integer(1);
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
