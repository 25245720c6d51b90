//! The immutable inputs of stages: the environment of a command, and the context of a period.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::final_invoice::TAX_POINT;
use super::provenance::Provenance;
use super::{Mode, Progress};
use crate::error::{ClosingError, Error, LakeError};
use crate::model::account::Account;
use crate::model::account_data::{REISSUED_ACCOUNTS, REISSUED_PREFIXES};
use crate::model::config::Config;
use crate::model::memory::MemoryShares;
use crate::model::period::{BillingPeriod, Calendar};
use crate::model::rule_book::RuleBook;
use crate::model::seller_data::{REISSUED_SELLER, SellerData};
use crate::storage::{CommitKind, LakeSettings, MeterDefinition};

/// The pages that a command renders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Documents {
    All,
    /// Pages whose content changed.
    #[default]
    Changed,
    None,
}

/// Options of every command.
#[derive(Clone, Debug)]
pub struct RunOptions {
    pub memory_limit_bytes: Option<usize>,
    /// The time at which the command began, in RFC 3339. Commits record it. States without a later event, and requests
    /// to servers, end at this time.
    pub started_at: String,
    pub progress: Arc<dyn Progress>,
}

/// The environment of a command: configuration, rules, calendar, memory and options. An environment has no period,
/// because intake, metering and maintenance work on all periods.
#[derive(Clone, Debug)]
pub struct Environment {
    pub config: Arc<Config>,
    pub rules: Arc<RuleBook>,
    pub memory: MemoryShares,
    pub options: RunOptions,
    calendar: Calendar,
}

impl Environment {
    pub fn new(config: Arc<Config>, rules: Arc<RuleBook>, options: RunOptions) -> Result<Self, Error> {
        let calendar = calendar_of(&config)?;
        Ok(Self { config, rules, memory: MemoryShares::of(options.memory_limit_bytes), options, calendar })
    }

    /// A calendar in the time zone of the configuration. Each reader has its own, because a calendar stores answers.
    pub fn calendar(&self) -> Calendar {
        self.calendar.clone()
    }

    /// The lake settings of the configuration. The first commit of a lake fixes them.
    pub fn lake_settings(&self) -> LakeSettings {
        settings_of(&self.config)
    }

    /// The provenance of a commit of this kind.
    pub fn provenance(&self, kind: CommitKind) -> Provenance {
        provenance(&self.config, &self.rules, &self.options, kind)
    }
}

/// The context of work on one period: the configuration and rules of its billing, its mode and its tax point.
#[derive(Clone, Debug)]
pub struct Context {
    pub config: Arc<Config>,
    pub rules: Arc<RuleBook>,
    pub options: RunOptions,
    pub period: BillingPeriod,
    pub mode: Mode,
    /// The date of the taxes and exchange rates: the tax point of the last close, or the last day of the period.
    pub tax_point: Date,
    /// The tax points of the accounts with a final invoice.
    pub tax_points: BTreeMap<String, Date>,
    /// The account whose final documents are issued; `None` if the documents of all payers are issued or drafted.
    pub account: Option<String>,
    /// The accounts whose corrections are documents of their own, because no next invoice can charge them.
    pub without_next_invoice: BTreeSet<String>,
    calendar: Calendar,
}

impl Context {
    pub fn new(environment: &Environment, period: BillingPeriod, mode: Mode) -> Self {
        let tax_point = mode.closed().and_then(|closed| closed.totals.get(TAX_POINT)?.parse().ok());
        Self {
            config: Arc::clone(&environment.config),
            rules: Arc::clone(&environment.rules),
            options: environment.options.clone(),
            calendar: environment.calendar(),
            period,
            tax_point: tax_point.unwrap_or(period.last_day()),
            tax_points: mode.tax_points(),
            account: None,
            without_next_invoice: BTreeSet::new(),
            mode,
        }
    }

    /// This context with another tax point.
    pub fn at_tax_point(self, tax_point: Date) -> Self {
        Self { tax_point, ..self }
    }

    /// This context with the accounts whose corrections are documents of their own.
    pub fn with_separate_corrections(self, without_next_invoice: BTreeSet<String>) -> Self {
        Self { without_next_invoice, ..self }
    }

    /// This context for the final documents of one account, with the tax point of these documents.
    pub fn for_account(self, account: &str, tax_point: Date) -> Self {
        let mut tax_points = self.tax_points;
        tax_points.insert(account.to_owned(), tax_point);
        Self { tax_points, account: Some(account.to_owned()), ..self }
    }

    /// This context with the tax point of the command line. A closed period keeps the tax point of its close.
    pub fn at_chosen_tax_point(self, chosen: Option<Date>) -> Result<Self, Error> {
        match chosen.filter(|chosen| *chosen != self.tax_point) {
            Some(_) if self.mode.closed().is_some() => Err(Error::Closing(ClosingError::TaxPointMismatch {
                period: self.period.to_string(),
                closed_with: self.tax_point,
            })),
            Some(tax_point) => Ok(self.at_tax_point(tax_point)),
            None => Ok(self),
        }
    }

    /// The end of the days whose usage is issued: the end of the account, or the end of the period.
    pub fn issued_until(&self) -> Date {
        let account = self.account.as_ref().and_then(|account| self.config.accounts.get(account));
        account.and_then(|account| account.valid_to).map_or(self.period.end(), |end| end.min(self.period.end()))
    }

    /// A calendar in the time zone of the configuration. Each reader has its own, because a calendar stores answers.
    pub fn calendar(&self) -> Calendar {
        self.calendar.clone()
    }

    /// An account of the configuration, or a former account from the last close of the period.
    pub fn account(&self, id: &str) -> Option<&Account> {
        self.config.accounts.get(id).or_else(|| self.mode.former_account(id))
    }

    /// The provenance of a commit of this kind.
    pub fn provenance(&self, kind: CommitKind) -> Provenance {
        Provenance {
            period: Some(self.period.to_string()),
            drafted: self.mode.drafted().cloned(),
            ..provenance(&self.config, &self.rules, &self.options, kind)
        }
    }
}

fn calendar_of(config: &Config) -> Result<Calendar, Error> {
    let name = &config.time_zone;
    let zone = TimeZone::get(name).map_err(|source| Error::Lake(LakeError::TimeZone { name: name.clone(), source }))?;
    Ok(Calendar::new(zone))
}

fn settings_of(config: &Config) -> LakeSettings {
    LakeSettings { time_zone: config.time_zone.clone(), shards: config.shards }
}

fn provenance(config: &Config, rules: &RuleBook, options: &RunOptions, kind: CommitKind) -> Provenance {
    let meters = rules.meters.iter().map(|meter| (meter.name.clone(), MeterDefinition::of(meter)));
    Provenance {
        kind,
        period: None,
        committed_at: options.started_at.clone(),
        settings: settings_of(config),
        meters: meters.collect(),
        inputs: inputs(config, rules),
        configuration: config.source.name.clone(),
        drafted: None,
    }
}

/// The contents of all files that the results depend on, by name.
fn inputs(config: &Config, rules: &RuleBook) -> BTreeMap<String, String> {
    let mut inputs = BTreeMap::new();
    inputs.insert(config.source.name.clone(), config.source.text.clone());
    let attachments = config.accounts.source.iter().chain(&config.exchange_rates_source);
    for source in attachments.chain(&rules.sources) {
        inputs.insert(source.name.clone(), source.text.clone());
    }
    inputs.extend(config.branding.committed_texts());
    let replaced = &config.accounts.replaced_data;
    if let Some(text) = serde_json::to_string_pretty(replaced).ok().filter(|_| !replaced.is_empty()) {
        inputs.insert(REISSUED_ACCOUNTS.to_owned(), text);
    }
    let closing = &config.closing;
    if closing.has_replaced_prefixes {
        let prefixes = format!("{}\n{}", closing.invoice_prefix, closing.credit_note_prefix);
        inputs.insert(REISSUED_PREFIXES.to_owned(), prefixes);
    }
    if let Some(text) =
        serde_json::to_string_pretty(&SellerData::of(config)).ok().filter(|_| closing.has_replaced_seller)
    {
        inputs.insert(REISSUED_SELLER.to_owned(), text);
    }
    inputs
}
