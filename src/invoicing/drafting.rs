//! Drafts of invoices, account by account: who pays, in which currency, with which terms.

use crate::invoicing::document::Document;
use crate::invoicing::document::SuspendedAccount;
use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use iso_currency::Currency;
use jiff::civil::Date;

use super::exchange_rate::ExchangeRate;
use super::fee::{self, AppliedFee, FEE};
use super::line::{ChargeCategory, Line};
use super::terms::{CompiledTerms, LineOwner, Suspension};
use crate::error::Error;
use crate::invoicing::credit_balance::Balances;
use crate::invoicing::totals::{AppliedCommitment, AppliedCredit, AppliedDiscount, AppliedValue, InvoiceTotals};
use crate::model::account::{Account, InvoicePer, PUBLIC_CARD, Project};
use crate::model::config::Config;
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::money::{Amount, Cost, UnitPrice, places_of};
use crate::model::period::{BillingPeriod, DayNumber, day_number};
use crate::model::rule_book::RuleBook;
use crate::model::terms::{Conversion, Credit, CreditKind, DiscountValue, Fee, FeeBase, TaxCategory};
use crate::rows::{self, Row};
use crate::run::Context;

/// What came of it.
#[derive(Debug)]
pub(super) struct Drafting {
    /// Sorted by number.
    pub(super) documents: Vec<Document>,
    pub(super) suspended_accounts: Vec<SuspendedAccount>,
}

/// A document that is not finished.
#[derive(Debug)]
struct InvoiceBuilder {
    /// Absent: the whole account.
    project: Option<String>,
    project_name: Option<String>,
    settlement: InvoiceTotals,
    brought_forward: Amount,
}

/// Why an account's drafts could not be finished.
enum DraftError {
    Refused(Suspension),
    Failed(Error),
}

impl From<Error> for DraftError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn refused<T>(reason: &'static str, detail: String) -> Result<T, DraftError> {
    Err(DraftError::Refused(Suspension { reason, detail }))
}

/// What a line will stand for: a row of `charge` or of `purchase`.
#[derive(Clone, Copy, Debug)]
struct Charge<'a> {
    row: Row<'a>,
    category: ChargeCategory,
}

/// The charges of one payer. A project that is its own account has the account's id without a name, and comes before
/// an account of that id.
type PayerKey = (String, Option<String>);

/// What every draft of a period needs.
#[derive(Debug)]
pub(super) struct DraftContext<'a> {
    config: &'a Config,
    terms: &'a CompiledTerms<'a>,
    period: BillingPeriod,
    /// The last day of the period: which terms hold in it.
    last_day: Date,
    /// When what is used continuously counts as supplied: which taxes and exchange rates hold.
    tax_point: Date,
    /// Where the period begins and ends, in microseconds UTC.
    bounds: (i64, i64),
}

impl<'a> DraftContext<'a> {
    pub(super) fn new(context: &Context, config: &'a Config, terms: &'a CompiledTerms<'a>) -> Self {
        let period = context.period;
        let mut calendar = context.calendar();
        let bounds = (calendar.day_start(period.start_day()), calendar.day_start(period.end_day()));
        Self { config, terms, period, last_day: period.last_day(), tax_point: context.tax_point, bounds }
    }

    fn days(&self) -> (DayNumber, DayNumber) {
        (self.period.start_day(), self.period.end_day())
    }

    /// Drafts everything. An account that is refused is set aside, whole.
    pub(super) fn draft(
        &self,
        charge: &[RecordBatch],
        purchase: &[RecordBatch],
        balances: &mut Balances,
    ) -> Result<Drafting, Error> {
        let mut payers: BTreeMap<PayerKey, Vec<Charge<'_>>> = BTreeMap::new();
        let used = rows::each(charge).map(|row| Charge { row, category: ChargeCategory::Usage });
        let bought = rows::each(purchase).map(|row| Charge { row, category: ChargeCategory::Purchase });
        for charge in used.chain(bought) {
            let name = charge.row.optional_text("account_name")?.map(str::to_owned);
            let key = (charge.row.text("account_id")?.to_owned(), name);
            payers.entry(key).or_default().push(charge);
        }
        self.refuse_unknown_accounts(&payers)?;
        // Who owes a commitment, or has something brought forward, gets an invoice without any usage.
        let accounts = &self.config.accounts;
        let committed = self.terms.terms.commitments.iter().filter(|one| one.validity.contains(self.last_day));
        let carried = balances.payers_with_something_carried();
        let to_accounts = carried.iter().filter(|(_, is_account)| *is_account).map(|(id, _)| *id);
        let with_minimum = self.terms.terms.fees.iter().filter(|fee| self.has_minimum(fee));
        let of_fees = with_minimum.flat_map(|fee| {
            let all = accounts.accounts.iter().map(|account| account.id.as_str());
            all.filter(|id| fee.accounts.is_empty() || fee.accounts.iter().any(|named| named == id))
        });
        let of_fees: Vec<&str> = of_fees.collect();
        let owing = committed.map(|one| one.account.as_str()).chain(to_accounts).chain(of_fees);
        for account in owing.filter_map(|id| accounts.get(id)).filter(|account| !account.internal) {
            payers.entry((account.id.clone(), Some(account.name.clone()))).or_default();
        }
        for (project_id, _) in carried.iter().filter(|(_, is_account)| !is_account) {
            payers.entry(((*project_id).to_owned(), None)).or_default();
        }
        let mut documents = Vec::new();
        let mut suspended_accounts = Vec::new();
        for ((account_id, account_name), charges) in payers {
            let account = account_name.as_ref().and_then(|_| accounts.get(&account_id));
            let mut tentative = balances.clone();
            match self.draft_account(&account_id, account, account_name.as_deref(), &charges, &mut tentative) {
                Ok(drafts) => {
                    documents.extend(drafts);
                    *balances = tentative;
                }
                Err(DraftError::Failed(error)) => return Err(error),
                Err(DraftError::Refused(refusal)) => {
                    let mut costs: BTreeMap<&str, Cost> = BTreeMap::new();
                    for charge in &charges {
                        let sum = costs.entry(charge.row.text("price_currency")?).or_default();
                        *sum = sum.checked_add(charge.row.decimal("contracted_cost")?).ok_or(Error::AMOUNT_OVERFLOW)?;
                    }
                    if costs.is_empty() {
                        costs.insert(self.config.currency.code(), Cost::ZERO);
                    }
                    let known = account.map(|account| &account.refusals).filter(|refusals| !refusals.is_empty());
                    let reasons = match known {
                        Some(known) => known.iter().map(|(reason, detail)| (*reason, detail.clone())).collect(),
                        None => vec![(refusal.reason, refusal.detail)],
                    };
                    for (index, (reason, detail)) in reasons.into_iter().enumerate() {
                        for (currency, cost) in costs.iter().take(if index == 0 { costs.len() } else { 1 }) {
                            suspended_accounts.push(SuspendedAccount {
                                account_id: account_id.clone(),
                                account_name: account_name.clone(),
                                reason,
                                detail: detail.clone(),
                                price_currency: (*currency).to_owned(),
                                contracted_cost: if index == 0 { *cost } else { Cost::ZERO },
                            });
                        }
                    }
                }
            }
        }
        number(&mut documents, self.period);
        Ok(Drafting { documents, suspended_accounts })
    }

    /// A term for nobody is a misspelt one.
    fn refuse_unknown_accounts(&self, payers: &BTreeMap<PayerKey, Vec<Charge<'_>>>) -> Result<(), Error> {
        let terms = self.terms.terms;
        let discounts = terms.discounts.iter().flat_map(|term| term.accounts.iter().map(|id| (id, &term.declared_at)));
        let fees = terms.fees.iter().flat_map(|term| term.accounts.iter().map(|id| (id, &term.declared_at)));
        let commitments = terms.commitments.iter().map(|term| (&term.account, &term.declared_at));
        let credits = terms.credits.iter().map(|term| (&term.account, &term.declared_at));
        let all: Vec<(&String, &Place)> = discounts.chain(fees).chain(commitments).chain(credits).collect();
        let is_known =
            |id: &str| self.config.accounts.get(id).is_some() || payers.keys().any(|(account_id, _)| account_id == id);
        let unknown = all.into_iter().filter(|(id, _)| !is_known(id));
        let problems: Vec<Diagnostic> = unknown.map(|(id, place)| self.config.accounts.unknown(id, place)).collect();
        if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
    }

    fn draft_account(
        &self,
        account_id: &str,
        account: Option<&Account>,
        account_name: Option<&str>,
        charges: &[Charge<'_>],
        balances: &mut Balances,
    ) -> Result<Vec<Document>, DraftError> {
        if let Some((reason, detail)) = account.and_then(|account| account.refusals.first_key_value()) {
            return refused(reason, detail.clone());
        }
        let seller_currency = self.config.currency;
        let currency_of = |account: Option<&Account>| account?.currency.as_deref().and_then(Currency::from_code);
        let reseller = account.and_then(|account| self.config.accounts.reseller_of(account));
        let home = currency_of(reseller).unwrap_or(seller_currency);
        let currency = currency_of(account).unwrap_or(home);
        if let Some(reseller) = reseller {
            if let Some(detail) = reseller.refusals.values().next() {
                return refused("reseller_set_aside", format!("its reseller `{}` is set aside: {detail}", reseller.id));
            }
            if currency != home {
                let (code, home) = (currency.code(), home.code());
                let detail = format!("it is invoiced in {code}, and its reseller `{}` sells in {home}", reseller.id);
                return refused("reseller_currency", detail);
            }
        }
        let conversion = self.conversion(seller_currency, currency)?;
        let per = account.and_then(|account| account.invoice_per).unwrap_or(self.config.invoice_per);
        let per = if account.is_none() { InvoicePer::Project } else { per };
        let buyer = Buyer { account_id, account, account_name, reseller, currency, conversion };
        let mut by_document: BTreeMap<Option<String>, Vec<Charge<'_>>> = BTreeMap::new();
        for charge in charges {
            // What the account owes as a whole stands on a document of its own where its projects have theirs.
            let project = charge.row.optional_text("project_id")?.filter(|_| per == InvoicePer::Project);
            by_document.entry(project.map(str::to_owned)).or_default().push(*charge);
        }
        let committed = self
            .terms
            .terms
            .commitments
            .iter()
            .any(|one| self.is(&buyer, &one.account) && one.validity.contains(self.last_day));
        if committed && per == InvoicePer::Project {
            let detail = "a commitment needs one invoice for the account, and it has one for each project".to_owned();
            return refused("commitment_per_project", detail);
        }
        if committed {
            by_document.entry(None).or_default();
        }
        for project in balances.carried_documents(account_id, account_name.is_some()) {
            by_document.entry(project).or_default();
        }
        let mut opened = Vec::new();
        for (project, rows) in by_document {
            opened.push(self.open(&buyer, project, &rows, balances)?);
        }
        // A fee before discounts is a line like any other by then; one after them has none.
        self.add_fees(&buyer, per, FeeBase::BeforeDiscounts, &mut opened)?;
        for document in &mut opened {
            self.discount(&buyer, &mut document.settlement)?;
        }
        self.add_fees(&buyer, per, FeeBase::AfterDiscounts, &mut opened)?;
        opened.into_iter().map(|document| self.finish(&buyer, document, balances)).collect()
    }

    fn has_minimum(&self, fee: &Fee) -> bool {
        fee.minimum.is_some() && fee.validity.contains(self.last_day)
    }

    /// Fees as a percent of what an account's or a project's lines come to. Where a document for one project each is
    /// made, what the account owes as a whole stands on one of its own.
    fn add_fees(
        &self,
        buyer: &Buyer<'_>,
        per: InvoicePer,
        base: FeeBase,
        opened: &mut Vec<InvoiceBuilder>,
    ) -> Result<(), DraftError> {
        for fee in self.terms.terms.fees.iter().filter(|fee| fee.base == base) {
            let is_for_them = fee.accounts.is_empty() || fee.accounts.iter().any(|id| self.is(buyer, id));
            let has_card = match buyer.account {
                Some(account) => account.cards.contains(&fee.card),
                None => fee.card == PUBLIC_CARD,
            };
            if !is_for_them || !has_card || !fee.validity.contains(self.last_day) {
                continue;
            }
            // By project, or all together.
            let mut bases: BTreeMap<Option<String>, Amount> = BTreeMap::new();
            let of_projects = fee.per == InvoicePer::Project;
            match buyer.account.filter(|_| fee.minimum.is_some()) {
                Some(account) if of_projects => {
                    let there = |project: &&Project| self.is_there(project);
                    let ids = account.projects.iter().filter(there).map(|project| Some(project.id.clone()));
                    bases.extend(ids.map(|id| (id, Amount::ZERO)));
                }
                Some(_) => {
                    bases.insert(None, Amount::ZERO);
                }
                None => {}
            }
            for document in opened.iter() {
                let lines = &document.settlement.lines;
                let applies = self.terms.applies("fee", &fee.id, lines, buyer.whose())?;
                for (index, line) in lines.iter().enumerate().filter(|(index, _)| applies[*index]) {
                    let is_fee = line.component == FEE && line.term_id.is_some();
                    if line.charge_category == ChargeCategory::Adjustment || is_fee {
                        continue;
                    }
                    let sum = bases.entry(line.project_id.clone().filter(|_| of_projects)).or_default();
                    *sum = sum.checked_add(document.settlement.remaining(index)).ok_or(Error::AMOUNT_OVERFLOW)?;
                }
            }
            let applied = self.applied(buyer, fee)?;
            for (project, base) in bases {
                let mut lines = applied.lines(base, self.days())?;
                if lines.is_empty() {
                    continue;
                }
                let own_project = buyer.account.is_none().then(|| buyer.account_id.to_owned());
                let project = project.or(own_project);
                for line in &mut lines {
                    line.project_id.clone_from(&project);
                }
                self.tax(buyer, &mut lines)?;
                let wanted = project.filter(|_| per == InvoicePer::Project);
                let place = match opened.iter().position(|document| document.project == wanted) {
                    Some(place) => place,
                    None => {
                        opened.push(self.opened_without_lines(buyer, wanted));
                        opened.len() - 1
                    }
                };
                lines.into_iter().for_each(|line| opened[place].settlement.add(line));
            }
        }
        Ok(())
    }

    /// Whether a project is its account's for any of the period.
    fn is_there(&self, project: &Project) -> bool {
        let (start, end) = self.bounds;
        project.valid_from.is_none_or(|from| from < end) && project.valid_to.is_none_or(|to| start < to)
    }

    /// A fee in the currency of the invoice. The minimum is for the days of the account.
    fn applied<'f>(&self, buyer: &Buyer<'f>, fee: &'f Fee) -> Result<AppliedFee<'f>, DraftError> {
        let (start, end) = self.days();
        let first = buyer.account.and_then(|account| account.valid_from).map_or(start, day_number).max(start);
        let last = buyer.account.and_then(|account| account.valid_to).map_or(end, day_number).min(end);
        let places = places_of(buyer.currency);
        let mut bands = Vec::with_capacity(fee.bands.len());
        for band in &fee.bands {
            let up_to =
                band.up_to.map(|up_to| self.in_currency_of(buyer, fee::bound(up_to), fee.currency)).transpose()?;
            bands.push((up_to, band.percent));
        }
        let minimum = match fee.minimum {
            Some(minimum) => self.in_currency_of(buyer, minimum, fee.currency)?,
            None => Amount::ZERO,
        };
        let minimum = fee::prorated(minimum, (last - first).max(0), end - start, places)?;
        Ok(AppliedFee { fee, bands, minimum, currency: buyer.currency.code(), places })
    }

    fn opened_without_lines(&self, buyer: &Buyer<'_>, project: Option<String>) -> InvoiceBuilder {
        let projects = buyer.account.map_or(&[][..], |account| &account.projects);
        let known = projects.iter().find(|known| Some(&known.id) == project.as_ref());
        InvoiceBuilder {
            project_name: known.and_then(|known| known.name.clone()),
            project,
            settlement: InvoiceTotals::new(Vec::new(), places_of(buyer.currency)),
            brought_forward: Amount::ZERO,
        }
    }

    /// A document with its lines and their taxes, and nothing taken off yet.
    fn open(
        &self,
        buyer: &Buyer<'_>,
        project: Option<String>,
        charges: &[Charge<'_>],
        balances: &Balances,
    ) -> Result<InvoiceBuilder, DraftError> {
        let places = places_of(buyer.currency);
        let mut lines = Vec::with_capacity(charges.len());
        for charge in charges {
            lines.push(self.line(charge, buyer)?);
        }
        lines.sort_by(|left, right| left.project_id.cmp(&right.project_id));
        let mut brought_forward = Amount::ZERO;
        for carried in balances.carried(buyer.account_id, buyer.account_name.is_some(), project.as_deref()) {
            if carried.currency != buyer.currency.code() {
                let (amount, currency, period) = (carried.amount, &carried.currency, &carried.period);
                let detail = format!("{amount} {currency} of {period} are still to be invoiced in that currency");
                return refused("carried_currency", detail);
            }
            brought_forward = brought_forward.checked_add(carried.amount).ok_or(Error::AMOUNT_OVERFLOW)?;
            lines.extend(carried.lines.iter().cloned());
        }
        self.tax(buyer, &mut lines)?;
        let names = charges.first().map(|charge| charge.row.optional_text("project_name")).transpose()?.flatten();
        Ok(InvoiceBuilder {
            project_name: names.map(str::to_owned),
            project,
            settlement: InvoiceTotals::new(lines, places),
            brought_forward,
        })
    }

    fn discount(&self, buyer: &Buyer<'_>, settlement: &mut InvoiceTotals) -> Result<(), DraftError> {
        for discount in self.discounts_of(buyer, &settlement.lines)? {
            settlement.discount(&discount)?;
        }
        Ok(())
    }

    fn discounts_of(&self, buyer: &Buyer<'_>, lines: &[Line]) -> Result<Vec<AppliedDiscount>, DraftError> {
        let whose = buyer.whose();
        let mut discounts = Vec::new();
        for discount in &self.terms.terms.discounts {
            let is_for_them = discount.accounts.is_empty() || discount.accounts.iter().any(|id| self.is(buyer, id));
            if !is_for_them || !discount.validity.contains(self.last_day) {
                continue;
            }
            let mut applies = self.terms.applies("discount", &discount.id, lines, whose)?;
            // What was brought over had its discounts when it was drafted first.
            for (applies, line) in applies.iter_mut().zip(lines) {
                *applies &= line.charge_category != ChargeCategory::Adjustment;
            }
            let value = match discount.value {
                DiscountValue::Percent(percent) => AppliedValue::Percent(percent),
                DiscountValue::Fixed(amount, currency) => {
                    AppliedValue::Fixed(self.in_currency_of(buyer, amount, currency)?)
                }
            };
            let (id, description) = (discount.id.clone(), discount.description.clone());
            discounts.push(AppliedDiscount { id, description, value, applies });
        }
        Ok(discounts)
    }

    /// What comes after discounts: commitments, the least that is worth sending, credits.
    fn finish(
        &self,
        buyer: &Buyer<'_>,
        opened: InvoiceBuilder,
        balances: &mut Balances,
    ) -> Result<Document, DraftError> {
        let InvoiceBuilder { project, project_name, mut settlement, brought_forward } = opened;
        let whose = buyer.whose();
        for commitment in &self.terms.terms.commitments {
            if !self.is(buyer, &commitment.account) || !commitment.validity.contains(self.last_day) {
                continue;
            }
            let mut applies = self.terms.applies("commitment", &commitment.id, &settlement.lines, whose)?;
            for (applies, line) in applies.iter_mut().zip(&settlement.lines) {
                *applies &= line.charge_category == ChargeCategory::Usage;
            }
            let applied = AppliedCommitment {
                id: commitment.id.clone(),
                description: commitment.description.clone(),
                service: commitment.service.clone(),
                amount: self.in_currency_of(buyer, commitment.amount, commitment.currency)?,
                overage_factor: commitment.overage_factor,
                true_up: commitment.true_up,
                applies,
            };
            settlement.commit(&applied, self.days(), |line| -> Result<_, DraftError> {
                let mut one = [line.clone()];
                self.tax(buyer, &mut one)?;
                let [line] = one;
                Ok(line.tax)
            })?;
        }
        let carried_forward = self.carry_forward(buyer, &mut settlement)?;
        if carried_forward.is_none() {
            self.use_credits(buyer, &mut settlement, balances)?;
        }
        Ok(Document {
            number: String::new(),
            kind: if carried_forward.is_none() { "draft" } else { "carried_forward" },
            account_id: buyer.account_id.to_owned(),
            account_name: buyer.account_name.map(str::to_owned),
            sold_by: buyer.reseller.map(|reseller| reseller.id.clone()),
            buyer_country: buyer.account.and_then(|account| account.country.clone()),
            buyer_vat_id: buyer.account.and_then(|account| account.vat_id.clone()),
            project: project.map(|id| (id, project_name)),
            currency: buyer.currency,
            conversion: buyer.conversion,
            tax_point: self.tax_point,
            has_terms: self.is(buyer, buyer.account_id),
            settlement,
            brought_forward,
            carried_forward: carried_forward.unwrap_or(Amount::ZERO),
        })
    }

    /// Whether a term for an account is the buyer's. A project that only has the same id as an account is somebody
    /// else.
    fn is(&self, buyer: &Buyer<'_>, id: &str) -> bool {
        id == buyer.account_id && (buyer.account.is_some() || self.config.accounts.get(id).is_none())
    }

    /// A charge in the currency of the invoice, rounded: the one rounding of a price.
    fn line(&self, charge: &Charge<'_>, buyer: &Buyer<'_>) -> Result<Line, DraftError> {
        let row = charge.row;
        let code = row.text("price_currency")?;
        let price_currency = Currency::from_code(code).ok_or(Error::Internal("a price in no known currency"))?;
        let conversion = self.conversion(price_currency, buyer.currency)?;
        let contracted_cost: Cost = row.decimal("contracted_cost")?;
        let contracted_unit_price: UnitPrice = row.decimal("contracted_unit_price")?;
        let places = places_of(buyer.currency);
        let converted = conversion.of(contracted_cost, places).ok_or(Error::AMOUNT_OVERFLOW)?;
        let unit_price = conversion.of(contracted_unit_price, 12).ok_or(Error::AMOUNT_OVERFLOW)?;
        let mut line = Line::of_amount(
            (row.day("charge_period_start")?, row.day("charge_period_end")?),
            // Eighteen places of a cost, of which an amount has the first four.
            Amount::from_units(converted.units() / 10i128.pow(14)),
        );
        line.project_id = row.optional_text("project_id")?.map(str::to_owned);
        line.charge_category = charge.category;
        line.service = row.text("service")?.to_owned();
        line.component = row.text("component")?.to_owned();
        line.sku = row.text("sku")?.to_owned();
        line.description = row.text("description")?.to_owned();
        line.line_by = row.text("line_by")?.to_owned();
        line.charge_kind = row.text("charge_kind")?.to_owned();
        line.tier_start = row.decimal("tier_start")?;
        line.quantity = row.decimal("quantity")?;
        line.unit = row.text("unit")?.to_owned();
        line.price_currency = Some(price_currency);
        line.contracted_unit_price = contracted_unit_price;
        // A line without a unit is an amount and nothing else, and has that as its price.
        if !line.unit.is_empty() {
            line.unit_price = unit_price;
        }
        line.unit_price_per = row.decimal("unit_price_per")?;
        line.contracted_cost = contracted_cost;
        Ok(line)
    }

    fn tax(&self, buyer: &Buyer<'_>, lines: &mut [Line]) -> Result<(), DraftError> {
        let groups = self.terms.tax_groups(buyer.account, &self.config.tax, self.tax_point, lines, buyer.whose())?;
        let groups = groups.map_err(DraftError::Refused)?;
        // What another document left keeps the tax that it had there.
        for (line, group) in lines.iter_mut().zip(groups).filter(|(line, _)| line.origin.is_none()) {
            line.tax = group;
        }
        for line in lines.iter() {
            self.refuse_incomplete(buyer, line.tax.category)?;
        }
        Ok(())
    }

    /// What a tax invoice of a category must say of seller and buyer, and does not.
    fn refuse_incomplete(&self, buyer: &Buyer<'_>, category: TaxCategory) -> Result<(), DraftError> {
        let seller = &self.config.seller;
        let (seller_vat_id, seller_country) = match buyer.reseller {
            Some(reseller) => (&reseller.vat_id, &reseller.country),
            None => (&seller.vat_id, &seller.country),
        };
        // That the seller of the configuration has what it needs was seen when it was read.
        if let Some(reseller) = buyer.reseller.filter(|_| category.needs_seller())
            && seller_vat_id.is_none()
        {
            let detail = format!("tax of category {} needs a `vat_id` of `{}`", category.code(), reseller.id);
            return refused("seller_without_vat_id", detail);
        }
        let what = match category {
            TaxCategory::ReverseCharge => "reverse charge",
            TaxCategory::Export => "an export",
            _ => return Ok(()),
        };
        let Some(account) = buyer.account else {
            return refused("no_account", format!("{what} needs the buyer's data, and the project is of no account"));
        };
        if category == TaxCategory::Export {
            if account.country == *seller_country {
                return refused("no_export", "an export goes to another country than the seller's".to_owned());
            }
            return Ok(());
        }
        let Some(vat_id) = &account.vat_id else {
            return refused("no_vat_id", "reverse charge needs a VAT id of the buyer".to_owned());
        };
        if is_of_vies(vat_id) {
            match account.vies {
                Some(vies) if vies.valid => {}
                Some(vies) => {
                    let detail = format!("VIES said on {} that `{vat_id}` is not valid", vies.checked_on);
                    return refused("vat_id_not_valid", detail);
                }
                None => {
                    let detail = format!("reverse charge needs a recorded VIES result for `{vat_id}`");
                    return refused("vat_id_not_checked", detail);
                }
            }
        }
        Ok(())
    }

    /// The one rate of the period for two currencies.
    fn conversion(&self, from: Currency, to: Currency) -> Result<Conversion, DraftError> {
        let (from, to) = (from.code(), to.code());
        match self.config.exchange_rates.conversion(from, to, self.tax_point) {
            Some(conversion) => Ok(conversion),
            None => {
                let detail = format!("there is no exchange rate of {from} in {to} for {}", self.tax_point);
                refused("no_exchange_rate", detail)
            }
        }
    }

    /// Every currency of prices and of documents in every other, as far as there is a rate for the tax point.
    pub(super) fn exchange_rates(
        &self,
        rules: &RuleBook,
        charges: &[&[RecordBatch]],
    ) -> Result<Vec<ExchangeRate>, Error> {
        let mut currencies: BTreeMap<&str, Currency> = BTreeMap::new();
        let of_accounts = self.config.accounts.accounts.iter().filter_map(|account| account.currency.as_deref());
        let mut of_charges = Vec::new();
        for row in charges.iter().flat_map(|batches| rows::each(batches)) {
            of_charges.push(row.text("price_currency")?);
        }
        let known = of_accounts.chain(of_charges).filter_map(Currency::from_code);
        let of_rules = rules.rules.iter().map(|rule| rule.currency);
        let standing = rules.recurring.iter().map(|fee| fee.currency);
        let held = rules.reservations.iter().map(|one| one.currency);
        for currency in known.chain(of_rules).chain(standing).chain(held).chain([self.config.currency]) {
            currencies.insert(currency.code(), currency);
        }
        let mut rates = Vec::new();
        for (from, price_currency) in &currencies {
            for (to, currency) in &currencies {
                if let Some(conversion) = self.config.exchange_rates.conversion(from, to, self.tax_point) {
                    rates.push(ExchangeRate { price_currency: *price_currency, currency: *currency, conversion });
                }
            }
        }
        Ok(rates)
    }

    /// An amount of a term in the currency of the invoice, rounded to it.
    fn in_currency_of(&self, buyer: &Buyer<'_>, amount: Amount, currency: Currency) -> Result<Amount, DraftError> {
        let conversion = self.conversion(currency, buyer.currency)?;
        Ok(conversion.of(amount, places_of(buyer.currency)).ok_or(Error::AMOUNT_OVERFLOW)?)
    }

    /// Where less is owed than is worth an invoice, or less than nothing, the next invoice gets it.
    fn carry_forward(&self, buyer: &Buyer<'_>, settlement: &mut InvoiceTotals) -> Result<Option<Amount>, DraftError> {
        let net = settlement.net()?;
        let least = match self.config.minimum_invoice_amount {
            Some(least) => self.in_currency_of(buyer, least, self.config.currency)?,
            None => Amount::ZERO,
        };
        if (net.is_zero() || net >= least) && settlement.with_tax()? >= Amount::ZERO {
            return Ok(None);
        }
        Ok(Some(settlement.carry_forward(self.days())?))
    }

    /// Credits that lower what is taxed, in their order.
    fn use_credits(
        &self,
        buyer: &Buyer<'_>,
        settlement: &mut InvoiceTotals,
        balances: &mut Balances,
    ) -> Result<(), DraftError> {
        for credit in self.terms.terms.credits.iter().filter(|credit| self.is(buyer, &credit.account)) {
            self.refuse_other_currency(buyer, credit, balances.usable(&credit.id))?;
            let only = match credit.kind {
                CreditKind::Promotional => None,
                CreditKind::PrepaidTaxedAtSale { category, rate } => Some((category, rate)),
                CreditKind::PrepaidTaxedAtUse => continue,
            };
            let applied = AppliedCredit {
                id: credit.id.clone(),
                description: credit.description.clone(),
                kind: credit.kind.name(),
                balance: balances.usable(&credit.id),
                only,
            };
            let used = settlement.credit(&applied)?;
            balances.used(&credit.id, used)?;
        }
        Ok(())
    }

    fn refuse_other_currency(&self, buyer: &Buyer<'_>, credit: &Credit, left: Amount) -> Result<(), DraftError> {
        if credit.currency == buyer.currency || left.is_zero() {
            return Ok(());
        }
        let (has, wants) = (credit.currency.code(), buyer.currency.code());
        refused("credit_currency", format!("the credit `{}` is in {has}, the invoice in {wants}", credit.id))
    }
}

/// Who pays for the draft in hand.
#[derive(Clone, Copy, Debug)]
struct Buyer<'a> {
    account_id: &'a str,
    account: Option<&'a Account>,
    account_name: Option<&'a str>,
    /// Who sells to it, where it is not the seller of the configuration.
    reseller: Option<&'a Account>,
    currency: Currency,
    conversion: Conversion,
}

impl<'a> Buyer<'a> {
    fn whose(&self) -> LineOwner<'a> {
        LineOwner {
            account_id: self.account_id,
            country: self.account.and_then(|account| account.country.as_deref()),
            currency: self.currency.code(),
        }
    }
}

/// Whether VIES, the register of the EU and Northern Ireland, answers for VAT ids of this beginning.
fn is_of_vies(vat_id: &str) -> bool {
    const PREFIXES: [&str; 28] = [
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU", "IE", "IT", "LT", "LU",
        "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", "XI",
    ];
    PREFIXES.iter().any(|prefix| vat_id.starts_with(prefix))
}

/// Numbers drafts by period and whose they are. Where an account is called like a project that has one of its own, the
/// later one gets a number behind it.
fn number(documents: &mut [Document], period: BillingPeriod) {
    let key = |document: &Document| {
        document.project.as_ref().map_or(document.account_id.clone(), |(project, _)| project.clone())
    };
    documents.sort_by_key(|document| (key(document), document.account_id.clone(), document.account_name.clone()));
    let mut before: Option<(String, usize)> = None;
    for document in documents.iter_mut() {
        let key = key(document);
        let count = match &before {
            Some((same, count)) if *same == key => count + 1,
            _ => 1,
        };
        let behind = if count > 1 { format!("-{count}") } else { String::new() };
        document.number = format!("DRAFT-{period}-{key}{behind}");
        before = Some((key, count));
    }
    documents.sort_by(|left, right| left.number.cmp(&right.number));
}
