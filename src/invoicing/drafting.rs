//! Draft invoices, account by account: buyer, currency, lines and terms.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use iso_currency::Currency;
use jiff::civil::Date;

use super::charge::{Charge, PayerKey, charges_by_payer, price_currency, with_shares};
use super::exchange_rate::ExchangeRate;
use super::fee::{self, AppliedFee, FEE};
use super::line::{ChargeCategory, Line};
use super::terms::{CompiledTerms, LineOwner, Suspension};
use crate::error::{ClosingError, Error};
use crate::invoicing::brought_forward::BroughtForward;
use crate::invoicing::credit_balance::Balances;
use crate::invoicing::document::{Document, SuspendedAccount};
use crate::invoicing::totals::{AppliedCredit, AppliedDiscount, AppliedMinimumSpend, AppliedValue, InvoiceTotals};
use crate::model::account::{Account, InvoicePer, PUBLIC_CARD, Project, ZeroInvoices};
use crate::model::config::Config;
use crate::model::diagnostic::{Diagnostic, Place};
use crate::model::draft_number::DraftNumbers;
use crate::model::money::{Amount, Cost, UnitPrice, places_of};
use crate::model::one_off_charge::ONE_OFF;
use crate::model::period::{BillingPeriod, DayNumber, day_number};
use crate::model::rule_book::RuleBook;
use crate::model::terms::{
    CARRIED_FORWARD, Conversion, Credit, CreditKind, DiscountValue, Fee, FeeBase, MinimumSpend, SKIPPED, TaxCategory,
};
use crate::rows;
use crate::run::Context;

/// The drafted documents of a period, and the suspended accounts.
#[derive(Debug)]
pub(super) struct Drafts {
    /// The drafted documents, sorted by number.
    pub(super) documents: Vec<Document>,
    pub(super) suspended_accounts: Vec<SuspendedAccount>,
}

/// A document to which lines, discounts and fees are still added.
#[derive(Debug)]
struct InvoiceBuilder {
    /// The id of the project; `None` if the document is for the whole account.
    project: Option<String>,
    project_name: Option<String>,
    totals: InvoiceTotals,
    brought_forward: Amount,
    buyer_vat_id: Option<String>,
}

/// The reason why an account has no drafts.
enum DraftError {
    Suspended(Suspension),
    Failed(Error),
}

impl From<Error> for DraftError {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

fn suspended<T>(reason: &'static str, detail: String) -> Result<T, DraftError> {
    Err(DraftError::Suspended(Suspension { reason, detail }))
}

/// The inputs of all drafts of a period.
#[derive(Debug)]
pub(super) struct DraftContext<'a> {
    config: &'a Config,
    terms: &'a CompiledTerms<'a>,
    period: BillingPeriod,
    /// The last day of the period. A term applies if the term is valid on this day.
    last_day: Date,
    /// The tax point (EN 16931: BT-7), whose taxes and exchange rates apply.
    tax_point: Date,
    /// The tax points of the accounts with a final invoice.
    tax_points: BTreeMap<String, Date>,
    /// The start and the end of the period in microseconds UTC.
    bounds: (i64, i64),
    /// The accounts and the projects for which each account can pay after the period. A reseller also pays for the
    /// projects of its customers.
    later_projects: BTreeSet<(&'a str, &'a str)>,
    /// The ids of the `[[tax]]` that one-off charges name, by the id of the charge.
    charge_taxes: BTreeMap<String, String>,
}

impl<'a> DraftContext<'a> {
    pub(super) fn new(context: &Context, config: &'a Config, terms: &'a CompiledTerms<'a>) -> Self {
        let period = context.period;
        let mut calendar = context.calendar();
        let bounds = (calendar.day_start(period.start_day()), calendar.day_start(period.end_day()));
        let mut later_projects = BTreeSet::new();
        for account in &config.accounts.accounts {
            let is_later = |project: &&Project| project.valid_to.is_none_or(|to| bounds.1 < to);
            for project in account.projects.iter().filter(is_later) {
                let payers = std::iter::successors(Some(account), |payer| config.accounts.reseller_of(payer));
                later_projects.extend(payers.map(|payer| (payer.id.as_str(), project.id.as_str())));
            }
        }
        let (last_day, tax_point) = (period.last_day(), context.tax_point);
        let tax_points = context.tax_points.clone();
        let charge_taxes = BTreeMap::new();
        Self { config, terms, period, last_day, tax_point, tax_points, bounds, later_projects, charge_taxes }
    }

    /// Sets the ids of the `[[tax]]` that one-off charges name, by the id of the charge.
    pub(super) fn set_charge_taxes(&mut self, charge_taxes: BTreeMap<String, String>) {
        self.charge_taxes = charge_taxes;
    }

    /// The tax point of the documents of an account. An unassigned project has the tax point of the period.
    fn tax_point_of(&self, account: Option<&Account>) -> Date {
        account.and_then(|account| self.tax_points.get(&account.id)).copied().unwrap_or(self.tax_point)
    }

    fn days(&self) -> (DayNumber, DayNumber) {
        (self.period.start_day(), self.period.end_day())
    }

    /// Drafts the documents of all payers. An account with a problem is suspended as a whole.
    pub(super) fn draft(
        &self,
        charge: &[RecordBatch],
        purchase: &[RecordBatch],
        balances: &mut Balances,
    ) -> Result<Drafts, Error> {
        let mut payers = charges_by_payer(charge, purchase)?;
        self.check_accounts_of_terms(&payers)?;
        self.add_payers_without_usage(&mut payers, balances);
        let mut documents = Vec::new();
        let mut suspended_accounts = Vec::new();
        for ((account_id, account_name), charges) in payers {
            let account = account_name.as_ref().and_then(|_| self.config.accounts.get(&account_id));
            let mut tentative = balances.clone();
            match self.draft_account(&account_id, account, account_name.as_deref(), &charges, &mut tentative) {
                Ok(drafts) => {
                    documents.extend(drafts);
                    *balances = tentative;
                }
                Err(DraftError::Failed(error)) => return Err(error.of_payer(&account_id)),
                Err(DraftError::Suspended(suspension)) => {
                    let costs = self.costs_by_currency(&charges)?;
                    suspended_accounts.extend(suspended_rows(&account_id, account_name, account, suspension, &costs));
                }
            }
        }
        number(&mut documents, self.period);
        Ok(Drafts { documents, suspended_accounts })
    }

    /// Adds the payers that get an invoice without usage, because of a minimum spend, a minimum fee or an amount
    /// brought forward.
    fn add_payers_without_usage(&self, payers: &mut BTreeMap<PayerKey, Vec<Charge<'_>>>, balances: &Balances) {
        let accounts = &self.config.accounts;
        let committed = self.terms.terms.minimum_spends.iter().filter(|one| {
            one.validity.contains(self.last_day) && accounts.get(&one.account).is_some_and(|one| self.is_valid(one))
        });
        let brought_forward = balances.payers_with_brought_forward();
        let with_balance = brought_forward.keys().filter(|(_, is_account)| *is_account).map(|(id, _)| *id);
        let with_minimum = self.terms.terms.fees.iter().filter(|fee| self.has_minimum(fee));
        let of_fees = with_minimum.flat_map(|fee| {
            let all = accounts.accounts.iter().map(|account| account.id.as_str());
            all.filter(|id| fee.accounts.is_empty() || fee.accounts.iter().any(|named| named == id))
        });
        let of_fees: Vec<&str> = of_fees.collect();
        let owing = committed.map(|one| one.account.as_str()).chain(with_balance).chain(of_fees);
        for account in owing.filter_map(|id| accounts.get(id)).filter(|account| !account.internal) {
            payers.entry((account.id.clone(), Some(account.name.clone()))).or_default();
        }
        for ((id, is_account), name) in &brought_forward {
            if !is_account {
                payers.entry(((*id).to_owned(), None)).or_default();
            } else if accounts.get(id).is_none() {
                payers.entry(((*id).to_owned(), Some((*name).to_owned()))).or_default();
            }
        }
    }

    /// The sum of the costs of charges by price currency. The result has at least one currency, so that each suspended
    /// account has a row.
    fn costs_by_currency<'c>(&self, charges: &[Charge<'c>]) -> Result<BTreeMap<&'c str, Cost>, Error> {
        let mut costs: BTreeMap<&str, Cost> = BTreeMap::new();
        for charge in charges {
            let sum = costs.entry(charge.row.text("price_currency")?).or_default();
            *sum = sum.checked_add(charge.row.decimal("contracted_cost")?).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
        if costs.is_empty() {
            costs.insert(self.config.currency.code(), Cost::ZERO);
        }
        Ok(costs)
    }

    /// Fails if a term contains the id of an unknown account, because the id is probably misspelt.
    fn check_accounts_of_terms(&self, payers: &BTreeMap<PayerKey, Vec<Charge<'_>>>) -> Result<(), Error> {
        let terms = self.terms.terms;
        let discounts = terms.discounts.iter().flat_map(|term| term.accounts.iter().map(|id| (id, &term.declared_at)));
        let fees = terms.fees.iter().flat_map(|term| term.accounts.iter().map(|id| (id, &term.declared_at)));
        let minimum_spends = terms.minimum_spends.iter().map(|term| (&term.account, &term.declared_at));
        let credits = terms.credits.iter().map(|term| (&term.account, &term.declared_at));
        let all: Vec<(&String, &Place)> = discounts.chain(fees).chain(minimum_spends).chain(credits).collect();
        let is_known =
            |id: &str| self.config.accounts.get(id).is_some() || payers.keys().any(|(account_id, _)| account_id == id);
        let unknown = all.into_iter().filter(|(id, _)| !is_known(id));
        let problems: Vec<Diagnostic> =
            unknown.map(|(id, place)| self.config.accounts.unknown_account(id, place)).collect();
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
        if let Some((reason, detail)) = account.and_then(|account| account.suspension_reasons.first_key_value()) {
            return suspended(reason, detail.clone());
        }
        if account.is_none() && account_name.is_some() {
            let detail = "the accounts file does not contain it, but an amount is carried forward to its next invoice";
            return suspended("no_account", detail.to_owned());
        }
        let seller_currency = self.config.currency;
        let currency_of = |account: Option<&Account>| account?.currency.as_deref().and_then(Currency::from_code);
        let reseller = account.and_then(|account| self.config.accounts.reseller_of(account));
        let home = currency_of(reseller).unwrap_or(seller_currency);
        let currency = currency_of(account).unwrap_or(home);
        if let Some(reseller) = reseller {
            if let Some(detail) = reseller.suspension_reasons.values().next() {
                return suspended(
                    "reseller_suspended",
                    format!("its reseller `{}` is suspended: {detail}", reseller.id),
                );
            }
            if currency != home {
                let (code, home) = (currency.code(), home.code());
                let detail = format!("its currency is {code}, but its reseller `{}` sells in {home}", reseller.id);
                return suspended("reseller_currency", detail);
            }
        }
        let conversion = self.conversion(account, seller_currency, currency)?;
        let per = account.and_then(|account| account.invoice_per).unwrap_or(self.config.invoice_per);
        let per = if account.is_none() { InvoicePer::Project } else { per };
        let buyer = Buyer { account_id, account, account_name, reseller, currency, conversion };
        let mut by_document: BTreeMap<Option<String>, Vec<Charge<'_>>> = BTreeMap::new();
        let rounded = |currency, cost| self.rounded(&buyer, currency, cost);
        for charge in with_shares(charges, places_of(currency), rounded)? {
            // If each project has its own document, charges of the whole account are on a document without a project.
            let project = charge.row.optional_text("project_id")?.filter(|_| per == InvoicePer::Project);
            by_document.entry(project.map(str::to_owned)).or_default().push(charge);
        }
        let has_minimum_spend = !self.minimum_spends_of(&buyer).is_empty();
        if has_minimum_spend && per == InvoicePer::Project {
            let detail =
                "a minimum spend needs one invoice per account, but the account has one per project".to_owned();
            return suspended("minimum_spend_per_project", detail);
        }
        if has_minimum_spend {
            by_document.entry(None).or_default();
        }
        for project in balances.projects_with_brought_forward(account_id, account_name.is_some()) {
            by_document.entry(project).or_default();
        }
        let mut invoices = Vec::new();
        for (project, rows) in by_document {
            invoices.push(self.begin(&buyer, project, &rows, balances)?);
        }
        // Fees on the amount before discounts are discounted like other lines. Fees on the amount after discounts are
        // not discounted.
        self.add_fees(&buyer, per, FeeBase::BeforeDiscounts, &mut invoices)?;
        for document in &mut invoices {
            self.discount(&buyer, &mut document.totals)?;
        }
        self.add_fees(&buyer, per, FeeBase::AfterDiscounts, &mut invoices)?;
        invoices.into_iter().map(|document| self.finish(&buyer, per, document, balances)).collect()
    }

    /// The minimum spends of the buyer. An account has minimum spends in each period with a day on which it is valid.
    fn minimum_spends_of(&self, buyer: &Buyer<'_>) -> Vec<&'a MinimumSpend> {
        if buyer.account.is_some_and(|account| !self.is_valid(account)) {
            return Vec::new();
        }
        let minimum_spends = self.terms.terms.minimum_spends.iter().filter(|one| one.validity.contains(self.last_day));
        minimum_spends.filter(|one| self.is_buyer(buyer, &one.account)).collect()
    }

    /// Whether an account is valid on any day of the period.
    fn is_valid(&self, account: &Account) -> bool {
        let (start, end) = (self.period.start(), self.period.end());
        account.valid_from.is_none_or(|from| from < end) && account.valid_to.is_none_or(|to| start < to)
    }

    /// Whether no later document can take over an amount of a document, because its account or its project ended. If
    /// accounts are configured, a project without one will be assigned or end, and its next documents have another
    /// payer.
    fn is_last(&self, buyer: &Buyer<'_>, per: InvoicePer, project: Option<&str>) -> bool {
        let Some(account) = buyer.account else {
            return !self.config.accounts.accounts.is_empty();
        };
        let has_ended = account.valid_to.is_some_and(|to| to <= self.period.end());
        // If the account has one invoice for all projects now, a document of a single project only settles an amount.
        let is_for_later =
            |project| per == InvoicePer::Project && self.later_projects.contains(&(account.id.as_str(), project));
        has_ended || !project.is_none_or(is_for_later)
    }

    fn has_minimum(&self, fee: &Fee) -> bool {
        fee.minimum.is_some() && fee.validity.contains(self.last_day)
    }

    /// Adds the percentage fees that are charged on all lines of an account or on the lines of each project. If each
    /// project has its own document, fees of the whole account are on a document without a project.
    fn add_fees(
        &self,
        buyer: &Buyer<'_>,
        per: InvoicePer,
        base: FeeBase,
        invoices: &mut Vec<InvoiceBuilder>,
    ) -> Result<(), DraftError> {
        for fee in self.terms.terms.fees.iter().filter(|fee| fee.base == base) {
            let is_assigned = fee.accounts.is_empty() || fee.accounts.iter().any(|id| self.is_buyer(buyer, id));
            let has_card = match buyer.account {
                Some(account) => account.cards.contains(&fee.card),
                None => fee.card == PUBLIC_CARD,
            };
            if !is_assigned || !has_card || !fee.validity.contains(self.last_day) {
                continue;
            }
            let bases = self.fee_bases(buyer, fee, invoices)?;
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
                let project = project.filter(|_| per == InvoicePer::Project);
                let index = match invoices.iter().position(|invoice| invoice.project == project) {
                    Some(index) => index,
                    None => {
                        invoices.push(self.empty_invoice(buyer, project));
                        invoices.len() - 1
                    }
                };
                lines.into_iter().for_each(|line| invoices[index].totals.add(line));
            }
        }
        Ok(())
    }

    /// The base amounts of a fee: one for each project, or a single one without a project for the whole account. If the
    /// fee has a minimum, an active project or account without lines has a base of zero.
    fn fee_bases(
        &self,
        buyer: &Buyer<'_>,
        fee: &Fee,
        invoices: &[InvoiceBuilder],
    ) -> Result<BTreeMap<Option<String>, Amount>, DraftError> {
        let mut bases: BTreeMap<Option<String>, Amount> = BTreeMap::new();
        let by_project = fee.per == InvoicePer::Project;
        match buyer.account.filter(|_| fee.minimum.is_some()) {
            Some(account) if by_project => {
                let active = account.projects.iter().filter(|project| self.is_active(project));
                bases.extend(active.map(|project| (Some(project.id.clone()), Amount::ZERO)));
            }
            Some(_) => {
                bases.insert(None, Amount::ZERO);
            }
            None => {}
        }
        for invoice in invoices {
            let lines = &invoice.totals.lines;
            let applies = self.terms.applies("fee", &fee.id, lines, buyer.line_owner())?;
            for (index, line) in lines.iter().enumerate().filter(|(index, _)| applies[*index]) {
                let is_fee = line.component == FEE && line.term_id.is_some();
                if line.charge_category == ChargeCategory::Adjustment || is_fee || line.charge_kind == ONE_OFF {
                    continue;
                }
                let sum = bases.entry(line.project_id.clone().filter(|_| by_project)).or_default();
                *sum = sum.checked_add(invoice.totals.remaining(index)).ok_or(Error::AMOUNT_OVERFLOW)?;
            }
        }
        Ok(bases)
    }

    /// Whether a project belongs to its account at any time in the period.
    fn is_active(&self, project: &Project) -> bool {
        let (start, end) = self.bounds;
        project.valid_from.is_none_or(|from| from < end) && project.valid_to.is_none_or(|to| start < to)
    }

    /// A fee in the currency of the invoice, with the minimum prorated to the days of the account.
    fn applied<'f>(&self, buyer: &Buyer<'f>, fee: &'f Fee) -> Result<AppliedFee<'f>, DraftError> {
        let (start, end) = self.days();
        let first = buyer.account.and_then(|account| account.valid_from).map_or(start, day_number).max(start);
        let last = buyer.account.and_then(|account| account.valid_to).map_or(end, day_number).min(end);
        let places = places_of(buyer.currency);
        let mut bands = Vec::with_capacity(fee.bands.len());
        for band in &fee.bands {
            let up_to = band.up_to.map(|up_to| self.in_currency_of(buyer, up_to, fee.currency)).transpose()?;
            bands.push((up_to, band.percent));
        }
        let minimum = match fee.minimum {
            Some(minimum) => self.in_currency_of(buyer, minimum, fee.currency)?,
            None => Amount::ZERO,
        };
        let minimum = fee::prorated(minimum, (last - first).max(0), end - start, places)?;
        Ok(AppliedFee { fee, bands, minimum, currency: buyer.currency.code(), places })
    }

    fn empty_invoice(&self, buyer: &Buyer<'_>, project: Option<String>) -> InvoiceBuilder {
        let projects = buyer.account.map_or(&[][..], |account| &account.projects);
        let configured = projects.iter().find(|one| Some(&one.id) == project.as_ref());
        InvoiceBuilder {
            project_name: configured.and_then(|one| one.name.clone()),
            project,
            totals: InvoiceTotals::new(Vec::new(), places_of(buyer.currency)),
            brought_forward: Amount::ZERO,
            buyer_vat_id: buyer.account.and_then(|account| account.vat_id.clone()),
        }
    }

    /// A document with its lines and their tax treatments, before discounts.
    fn begin(
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
        self.tax(buyer, &mut lines)?;
        // A line that is brought forward keeps the taxes of its own supply. The earlier document was issued or drafted
        // with the buyer's data of that time, so present data cannot suspend the account because of these taxes.
        let mut brought_forward = Amount::ZERO;
        let of_earlier = balances.brought_forward(buyer.account_id, buyer.account_name.is_some(), project.as_deref());
        let buyer_vat_id = vat_id_on_document(buyer, of_earlier)?;
        for earlier in of_earlier {
            if earlier.currency != buyer.currency.code() {
                let (amount, currency, period) = (earlier.amount, &earlier.currency, &earlier.period);
                let code = buyer.currency.code();
                let detail =
                    format!("{amount} {currency} are brought forward from {period}, but the invoice is in {code}");
                return suspended("carried_currency", detail);
            }
            brought_forward = brought_forward.checked_add(earlier.amount).ok_or(Error::AMOUNT_OVERFLOW)?;
            lines.extend(earlier.lines.iter().cloned());
        }
        let names = charges.first().map(|charge| charge.row.optional_text("project_name")).transpose()?.flatten();
        Ok(InvoiceBuilder {
            project_name: names.map(str::to_owned),
            project,
            totals: InvoiceTotals::new(lines, places),
            brought_forward,
            buyer_vat_id,
        })
    }

    fn discount(&self, buyer: &Buyer<'_>, totals: &mut InvoiceTotals) -> Result<(), DraftError> {
        for discount in self.discounts_of(buyer, &totals.lines)? {
            totals.discount(&discount)?;
        }
        Ok(())
    }

    fn discounts_of(&self, buyer: &Buyer<'_>, lines: &[Line]) -> Result<Vec<AppliedDiscount>, DraftError> {
        let owner = buyer.line_owner();
        let mut discounts = Vec::new();
        for discount in &self.terms.terms.discounts {
            let is_assigned =
                discount.accounts.is_empty() || discount.accounts.iter().any(|id| self.is_buyer(buyer, id));
            if !is_assigned || !discount.validity.contains(self.last_day) {
                continue;
            }
            let mut applies = self.terms.applies("discount", &discount.id, lines, owner)?;
            // Lines that are brought forward were discounted on the earlier document. A one-off charge is agreed as an
            // amount.
            for (applies, line) in applies.iter_mut().zip(lines) {
                *applies &= line.charge_category != ChargeCategory::Adjustment && line.charge_kind != ONE_OFF;
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

    /// Completes a document after its discounts: applies minimum spends, carries a small or negative amount forward,
    /// and uses credits.
    fn finish(
        &self,
        buyer: &Buyer<'_>,
        per: InvoicePer,
        invoice: InvoiceBuilder,
        balances: &mut Balances,
    ) -> Result<Document, DraftError> {
        let InvoiceBuilder { project, project_name, mut totals, brought_forward, buyer_vat_id } = invoice;
        let owner = buyer.line_owner();
        for minimum_spend in self.minimum_spends_of(buyer) {
            let mut applies = self.terms.applies("minimum_spend", &minimum_spend.id, &totals.lines, owner)?;
            for (applies, line) in applies.iter_mut().zip(&totals.lines) {
                *applies &= line.charge_category == ChargeCategory::Usage;
            }
            let applied = AppliedMinimumSpend {
                id: minimum_spend.id.clone(),
                description: minimum_spend.description.clone(),
                service: minimum_spend.service.clone(),
                amount: self.in_currency_of(buyer, minimum_spend.amount, minimum_spend.currency)?,
                overage_factor: minimum_spend.overage_factor,
                true_up: minimum_spend.true_up,
                applies,
            };
            totals.apply_minimum_spend(&applied, self.days(), |line| -> Result<_, DraftError> {
                let mut one = [line.clone()];
                self.tax(buyer, &mut one)?;
                let [line] = one;
                Ok(line.tax)
            })?;
        }
        check_not_subject_to_tax(&totals.lines)?;
        let is_last = self.is_last(buyer, per, project.as_deref());
        let carried_forward = if is_last { None } else { self.carry_forward(buyer, &mut totals)? };
        if carried_forward.is_none() {
            self.use_credits(buyer, project.as_deref(), &mut totals, balances)?;
        }
        Ok(Document {
            number: String::new(),
            kind: match carried_forward {
                Some(_) => CARRIED_FORWARD,
                None if self.skips_zero(buyer) && totals.is_zero() => SKIPPED,
                None => "draft",
            },
            account_id: buyer.account_id.to_owned(),
            account_name: buyer.account_name.map(str::to_owned),
            sold_by: buyer.reseller.map(|reseller| reseller.id.clone()),
            buyer_country: buyer.account.and_then(|account| account.country.clone()),
            buyer_vat_id,
            project: project.map(|id| (id, project_name)),
            currency: buyer.currency,
            conversion: buyer.conversion,
            tax_point: self.tax_point_of(buyer.account),
            has_terms: self.is_buyer(buyer, buyer.account_id),
            totals,
            brought_forward,
            carried_forward: carried_forward.unwrap_or(Amount::ZERO),
            is_last,
        })
    }

    fn skips_zero(&self, buyer: &Buyer<'_>) -> bool {
        let own = buyer.account.and_then(|account| account.zero_invoices);
        own.unwrap_or(self.config.zero_invoices) == ZeroInvoices::Skip
    }

    /// Whether a term with this account id applies to the buyer. A term of an account does not apply to an unassigned
    /// project with the same id.
    fn is_buyer(&self, buyer: &Buyer<'_>, id: &str) -> bool {
        id == buyer.account_id && (buyer.account.is_some() || self.config.accounts.get(id).is_none())
    }

    /// A cost in the currency of the invoice, rounded to its smallest unit. Costs are rounded only here.
    fn rounded(&self, buyer: &Buyer<'_>, price_currency: Currency, cost: Cost) -> Result<Amount, DraftError> {
        self.refuse_conversion(buyer, price_currency)?;
        let conversion = self.conversion(buyer.account, price_currency, buyer.currency)?;
        let amount = conversion.of(cost, places_of(buyer.currency)).and_then(Amount::of_decimal);
        Ok(amount.ok_or(Error::AMOUNT_OVERFLOW)?)
    }

    /// The line of a charge in the currency of the invoice.
    fn line(&self, charge: &Charge<'_>, buyer: &Buyer<'_>) -> Result<Line, DraftError> {
        let row = charge.row;
        let price_currency = price_currency(row)?;
        let contracted_cost: Cost = row.decimal("contracted_cost")?;
        let net_amount = match charge.share {
            Some(share) => share,
            None => self.rounded(buyer, price_currency, contracted_cost)?,
        };
        let conversion = self.conversion(buyer.account, price_currency, buyer.currency)?;
        let contracted_unit_price: UnitPrice = row.decimal("contracted_unit_price")?;
        let unit_price = conversion.of(contracted_unit_price, 12).ok_or(Error::AMOUNT_OVERFLOW)?;
        let mut line = Line::of_amount((row.day("charge_period_start")?, row.day("charge_period_end")?), net_amount)?;
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
        // The unit price of a line without a unit is its net amount. A price is never negative (EN 16931: BR-27), so
        // the quantity of a compensation is -1.
        if !line.unit.is_empty() {
            line.unit_price = unit_price;
        } else if line.quantity.is_negative() {
            line.unit_price = UnitPrice::from_units(line.unit_price.units().abs());
        }
        line.unit_price_per = row.decimal("unit_price_per")?;
        line.contracted_cost = contracted_cost;
        Ok(line)
    }

    /// Refuses prices in other currencies on a final invoice. The exchange rates of a period are those of one tax
    /// point, and a final invoice has another tax point.
    fn refuse_conversion(&self, buyer: &Buyer<'_>, price_currency: Currency) -> Result<(), Error> {
        let account = buyer.account.filter(|account| self.tax_points.contains_key(&account.id));
        let Some(account) = account.filter(|_| price_currency != buyer.currency) else { return Ok(()) };
        let (period, from, to) = (self.period, price_currency.code(), buyer.currency.code());
        let reason = format!(
            "its prices are converted from {from} to {to}, and the exchange rates of {period} are not final; add \
             prices in {to}, or close {period} when it is over"
        );
        let (account, period) = (account.id.clone(), period.to_string());
        Err(Error::Closing(ClosingError::NoFinalInvoice { account, period, reason }))
    }

    fn tax(&self, buyer: &Buyer<'_>, lines: &mut [Line]) -> Result<(), DraftError> {
        let (tax_point, owner) = (self.tax_point_of(buyer.account), buyer.line_owner());
        let treatments = self.terms.tax_treatments(
            buyer.account,
            (&self.config.tax, &self.charge_taxes),
            tax_point,
            lines,
            owner,
        )?;
        let treatments = treatments.map_err(DraftError::Suspended)?;
        for (line, treatment) in lines.iter_mut().zip(treatments) {
            line.tax = treatment;
        }
        for line in lines.iter() {
            self.check_parties(buyer, line.tax.category)?;
        }
        Ok(())
    }

    /// Suspends the account if data of the seller or the buyer is missing that an invoice with this tax category must
    /// contain.
    fn check_parties(&self, buyer: &Buyer<'_>, category: TaxCategory) -> Result<(), DraftError> {
        let seller = &self.config.seller;
        let (seller_vat_id, seller_country) = match buyer.reseller {
            Some(reseller) => (&reseller.vat_id, &reseller.country),
            None => (&seller.vat_id, &seller.country),
        };
        // The data of the configured seller is checked when the configuration is loaded.
        if let Some(reseller) = buyer.reseller.filter(|_| category.needs_seller())
            && seller_vat_id.is_none()
        {
            let detail = format!("tax category {} needs a `vat_id` of the reseller `{}`", category.code(), reseller.id);
            return suspended("seller_without_vat_id", detail);
        }
        let tax_case = match category {
            TaxCategory::ReverseCharge => "reverse charge",
            TaxCategory::Export => "an export",
            _ => return Ok(()),
        };
        let Some(account) = buyer.account else {
            return suspended(
                "no_account",
                format!("{tax_case} needs the buyer's data, but the project is not assigned to an account"),
            );
        };
        if category == TaxCategory::Export {
            if account.country == *seller_country {
                return suspended(
                    "no_export",
                    "an export needs a buyer in another country than the seller's".to_owned(),
                );
            }
            return Ok(());
        }
        let Some(vat_id) = &account.vat_id else {
            return suspended("no_vat_id", "reverse charge needs a VAT ID of the buyer".to_owned());
        };
        if is_in_vies(vat_id) {
            match account.vies {
                Some(vies) if vies.valid => {}
                Some(vies) => {
                    let detail =
                        format!("VIES reported on {} that the VAT ID `{vat_id}` is not valid", vies.checked_on);
                    return suspended("vat_id_not_valid", detail);
                }
                None => {
                    let detail = format!("reverse charge needs a recorded VIES result for `{vat_id}`");
                    return suspended("vat_id_not_checked", detail);
                }
            }
        }
        Ok(())
    }

    /// The exchange rate between two currencies at the tax point. If no rate is configured, the account is suspended.
    fn conversion(&self, account: Option<&Account>, from: Currency, to: Currency) -> Result<Conversion, DraftError> {
        let (from, to, tax_point) = (from.code(), to.code(), self.tax_point_of(account));
        match self.config.exchange_rates.conversion(from, to, tax_point) {
            Some(conversion) => Ok(conversion),
            None => {
                let detail = format!("no exchange rate from {from} to {to} is configured for {tax_point}");
                suspended("no_exchange_rate", detail)
            }
        }
    }

    /// The configured exchange rates at the tax point between all currencies of prices and documents.
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
        let of_texts = of_accounts.chain(of_charges).filter_map(Currency::from_code);
        let of_rules = rules.rules.iter().map(|rule| rule.currency);
        let of_recurring = rules.recurring.iter().map(|fee| fee.currency);
        let of_reservations = rules.reservations.iter().map(|one| one.currency);
        for currency in
            of_texts.chain(of_rules).chain(of_recurring).chain(of_reservations).chain([self.config.currency])
        {
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

    /// The amount of a term, converted to the currency of the invoice and rounded.
    fn in_currency_of(&self, buyer: &Buyer<'_>, amount: Amount, currency: Currency) -> Result<Amount, DraftError> {
        let conversion = self.conversion(buyer.account, currency, buyer.currency)?;
        Ok(conversion.of_amount(amount, places_of(buyer.currency)).ok_or(Error::AMOUNT_OVERFLOW)?)
    }

    /// Carries the net amount forward if a total is negative or the net amount is below the minimum invoice amount.
    /// Returns the amount that is carried forward. The last document of an account or project carries nothing forward.
    fn carry_forward(&self, buyer: &Buyer<'_>, totals: &mut InvoiceTotals) -> Result<Option<Amount>, DraftError> {
        let net = totals.net()?;
        let minimum = match self.config.minimum_invoice_amount {
            Some(minimum) => self.in_currency_of(buyer, minimum, self.config.currency)?,
            None => Amount::ZERO,
        };
        if (net.is_zero() || net >= minimum) && totals.with_tax()? >= Amount::ZERO {
            return Ok(None);
        }
        Ok(Some(totals.carry_forward(self.days())?))
    }

    /// Uses the credits that reduce the taxable amount, in the order of the rules.
    fn use_credits(
        &self,
        buyer: &Buyer<'_>,
        project: Option<&str>,
        totals: &mut InvoiceTotals,
        balances: &mut Balances,
    ) -> Result<(), DraftError> {
        for credit in self.terms.terms.credits.iter().filter(|credit| self.is_buyer(buyer, &credit.account)) {
            self.check_credit_currency(buyer, credit, balances.usable(&credit.id, project))?;
            let only = match credit.kind {
                CreditKind::Promotional => None,
                CreditKind::PrepaidTaxedAtSale { category, rate } => Some((category, rate)),
                CreditKind::PrepaidTaxedAtUse => continue,
            };
            let applied = AppliedCredit {
                id: credit.id.clone(),
                description: credit.description.clone(),
                kind: credit.kind.name(),
                balance: balances.usable(&credit.id, project),
                only,
            };
            let used = totals.credit(&applied)?;
            balances.used(&credit.id, used)?;
        }
        Ok(())
    }

    fn check_credit_currency(&self, buyer: &Buyer<'_>, credit: &Credit, balance: Amount) -> Result<(), DraftError> {
        if credit.currency == buyer.currency || balance.is_zero() {
            return Ok(());
        }
        let (in_credit, in_invoice) = (credit.currency.code(), buyer.currency.code());
        suspended(
            "credit_currency",
            format!("the credit `{}` is in {in_credit}, but the invoice is in {in_invoice}", credit.id),
        )
    }
}

/// The buyer of the current draft (EN 16931: BG-7).
#[derive(Clone, Copy, Debug)]
struct Buyer<'a> {
    account_id: &'a str,
    account: Option<&'a Account>,
    account_name: Option<&'a str>,
    /// The reseller that sells to the account; `None` for the seller of the configuration.
    reseller: Option<&'a Account>,
    currency: Currency,
    conversion: Conversion,
}

impl<'a> Buyer<'a> {
    fn line_owner(&self) -> LineOwner<'a> {
        LineOwner {
            account_id: self.account_id,
            country: self.account.and_then(|account| account.country.as_deref()),
            currency: self.currency.code(),
        }
    }
}

/// The rows of a suspended account. The first reason has a row with the cost in each currency. Every other reason has
/// one row without a cost.
fn suspended_rows(
    account_id: &str,
    account_name: Option<String>,
    account: Option<&Account>,
    suspension: Suspension,
    costs: &BTreeMap<&str, Cost>,
) -> Vec<SuspendedAccount> {
    let of_account = account.map(|account| &account.suspension_reasons).filter(|reasons| !reasons.is_empty());
    let reasons = match of_account {
        Some(reasons) => reasons.iter().map(|(reason, detail)| (*reason, detail.clone())).collect(),
        None => vec![(suspension.reason, suspension.detail)],
    };
    let mut suspended = Vec::new();
    for (index, (reason, detail)) in reasons.into_iter().enumerate() {
        for (currency, cost) in costs.iter().take(if index == 0 { costs.len() } else { 1 }) {
            suspended.push(SuspendedAccount {
                account_id: account_id.to_owned(),
                account_name: account_name.clone(),
                reason,
                detail: detail.clone(),
                price_currency: (*currency).to_owned(),
                contracted_cost: if index == 0 { *cost } else { Cost::ZERO },
            });
        }
    }
    suspended
}

/// The VAT id of the buyer on a document. An amount under reverse charge needs the VAT id of the buyer of its supply
/// (EN 16931: BR-AE-02), also if it is brought forward. So a buyer without a VAT id has the earlier one on this
/// document.
fn vat_id_on_document(buyer: &Buyer<'_>, earlier: &[BroughtForward]) -> Result<Option<String>, DraftError> {
    let present = buyer.account.and_then(|account| account.vat_id.as_deref());
    let mut amounts: BTreeMap<&str, (Amount, &str)> = BTreeMap::new();
    for document in earlier {
        if let Some(vat_id) = document.buyer_vat_id.as_deref() {
            let (sum, _) = amounts.entry(vat_id).or_insert((Amount::ZERO, &document.period));
            *sum = sum.checked_add(document.under_reverse_charge()?).ok_or(Error::AMOUNT_OVERFLOW)?;
        }
    }
    amounts.retain(|_, (sum, _)| !sum.is_zero());
    let on_document = present.or_else(|| amounts.keys().next().copied());
    let Some((vat_id, (amount, period))) = amounts.into_iter().find(|(vat_id, _)| Some(*vat_id) != on_document) else {
        return Ok(on_document.map(str::to_owned));
    };
    let (currency, other) = (buyer.currency.code(), on_document.unwrap_or_default());
    let amount = amount.to_text(places_of(buyer.currency));
    suspended(
        "brought_forward_vat_id",
        format!(
            "{amount} {currency} from {period} are under reverse charge for the VAT ID `{vat_id}`, but this invoice \
             has the VAT ID `{other}` (EN 16931, BR-AE-02). Cancel the invoice of {period} if its VAT ID was wrong, \
             or give the new buyer an account of its own"
        ),
    )
}

/// Suspends the account if a document has a line that is not subject to tax and a line of another category. Such a
/// document is invalid (EN 16931: BR-O-11).
fn check_not_subject_to_tax(lines: &[Line]) -> Result<(), DraftError> {
    let first = |is_outside| lines.iter().find(|line| (line.tax.category == TaxCategory::OutOfScope) == is_outside);
    let (Some(outside), Some(other)) = (first(true), first(false)) else { return Ok(()) };
    let remedy = if outside.reference.is_some() || other.reference.is_some() {
        "One of them is brought forward: end the account with `valid_to`, and bill its projects to a new account"
    } else {
        "Give it category E with an `exemption_reason`, or charge it to an account of its own"
    };
    let (line, code, of_other) = (&outside.description, other.tax.category.code(), &other.description);
    suspended(
        "not_subject_and_taxed",
        format!(
            "`{line}` is not subject to tax (category O), but `{of_other}` on the same invoice has category {code} \
             (EN 16931, BR-O-11). {remedy}"
        ),
    )
}

/// Whether VIES, the VAT register of the EU and Northern Ireland, covers the country of a VAT ID.
fn is_in_vies(vat_id: &str) -> bool {
    const PREFIXES: [&str; 28] = [
        "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "EL", "ES", "FI", "FR", "HR", "HU", "IE", "IT", "LT", "LU",
        "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK", "XI",
    ];
    PREFIXES.iter().any(|prefix| vat_id.starts_with(prefix))
}

/// Sets the number of each draft, and sorts the drafts by number. An unassigned project is before an account with the
/// same id.
fn number(documents: &mut [Document], period: BillingPeriod) {
    documents.sort_by(|left, right| {
        let accounts = [left, right].map(|document| document.account_name.is_some());
        left.draft_key().cmp(&right.draft_key()).then(accounts[0].cmp(&accounts[1]))
    });
    let mut numbers = DraftNumbers::drafts(period, documents.len());
    for document in documents.iter_mut() {
        document.number = numbers.next(&document.draft_key());
    }
    documents.sort_by(|left, right| left.number.cmp(&right.number));
}
