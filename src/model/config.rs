//! `conto.toml`: where usage comes from, where the lake is, who sells, in which currency and time zone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use crate::model::account::{Accounts, InvoicePer};
use crate::model::branding::Branding;
use crate::model::diagnostic::{Place, SourceText};
use crate::model::money::{Amount, Decimal};
use crate::model::terms::ExchangeRates;

/// A configuration that was read and checked. Relative paths are already resolved against the file's own directory.
#[derive(Clone, Debug)]
pub struct Config {
    pub source: Arc<SourceText>,
    /// Directory or URL of the lake.
    pub lake: String,
    /// Directory of the rule files.
    pub rules: PathBuf,
    /// Name of the billing time zone, known to the time zone database.
    pub time_zone: String,
    pub currency: iso_currency::Currency,
    /// BCP 47 tag for numbers on pages.
    pub language: String,
    /// How many files a date's samples are split into by stream; fixed by the lake's first commit.
    pub buckets: u32,
    pub seller: Seller,
    pub tax: Tax,
    pub closing: Closing,
    /// What an invoice is for where an account does not say otherwise.
    pub invoice_per: InvoicePer,
    pub sources: Vec<SourceConfig>,
    pub accounts: Accounts,
    pub exchange_rates: ExchangeRates,
    /// The text of the rates, for the commit.
    pub exchange_rates_source: Option<Arc<SourceText>>,
    /// Before tax, in `currency`: what is less is carried forward to the next invoice.
    pub minimum_invoice_amount: Option<Amount>,
    pub chart: ChartOfAccounts,
    pub branding: Branding,
}

/// The accounts of the ledger that documents post to, with colons between their parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartOfAccounts {
    pub receivable: String,
    /// Of services that have no account of their own.
    pub revenue: String,
    pub revenue_by_service: BTreeMap<String, String>,
    pub discounts: String,
    pub promotional_credits: String,
    /// Prepaid with the tax invoiced at the sale, and not used yet.
    pub deferred_credits: String,
    /// Paid in without tax, and not used yet.
    pub deposits: String,
    pub tax: String,
    /// Charged, and carried forward to a later document.
    pub unbilled: String,
}

impl Default for ChartOfAccounts {
    fn default() -> Self {
        Self {
            receivable: "Assets:Receivable".to_owned(),
            revenue: "Income:Revenue".to_owned(),
            revenue_by_service: BTreeMap::new(),
            discounts: "Income:Discounts".to_owned(),
            promotional_credits: "Expenses:Promotional-Credits".to_owned(),
            deferred_credits: "Liabilities:Deferred-Credits".to_owned(),
            deposits: "Liabilities:Deposits".to_owned(),
            tax: "Liabilities:Tax".to_owned(),
            unbilled: "Assets:Unbilled".to_owned(),
        }
    }
}

/// How documents are numbered, and what may be missing when a period is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// What stands before year and number: `INV-2026-00001`.
    pub invoice_prefix: String,
    pub credit_note_prefix: String,
    /// Names and VAT ids under which the seller issued documents in this lake before: its numbers go on from theirs.
    pub previous_identities: Vec<String>,
    /// Where counting begins in a year, for those who numbered elsewhere before.
    pub opening: Vec<OpeningNumber>,
    /// Uses of a resource on a date that may have no price.
    pub max_unrated: u64,
    /// Records of the period that may be rejected.
    pub max_rejected: u64,
    /// Projects that may belong to no account, usage without a project counting as one.
    pub max_unattributed: u64,
    /// Where what is due beyond what was issued for a closed period is charged.
    pub increases: Increases,
}

/// Where an increase of a closed period is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Increases {
    /// As lines with a usage period of their own on the next invoice.
    #[default]
    NextInvoice,
    /// On an invoice of its own.
    Document,
}

impl Default for Closing {
    fn default() -> Self {
        Self {
            invoice_prefix: "INV-".to_owned(),
            credit_note_prefix: "CN-".to_owned(),
            previous_identities: Vec::new(),
            opening: Vec::new(),
            max_unrated: 0,
            max_rejected: 0,
            max_unattributed: 0,
            increases: Increases::default(),
        }
    }
}

/// The first number of a kind of document in a year of issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningNumber {
    /// `invoice` or `credit_note`.
    pub document_kind: String,
    pub year: i16,
    pub number: u64,
}

/// Who sends the invoices, as they say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Seller {
    pub name: String,
    /// Lines, without the country.
    pub address: Vec<String>,
    pub country: Option<String>,
    pub vat_id: Option<String>,
    /// What a tax office knows it by where it has no VAT id, BT-32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_number: Option<String>,
    pub email: Option<String>,
    /// Bank details or a sentence on how to pay; printed at the foot of an invoice.
    pub payment_terms: Option<String>,
    /// Days from issue to due date.
    pub payment_days: Option<u16>,
}

impl Seller {
    /// What an invoice with tax of a category must say of it, and cannot (BR-S-02 and kin, BR-09): the key, and words
    /// for it.
    pub fn lacks(&self, category: &str) -> Vec<(&'static str, &'static str)> {
        let mut lacks = Vec::new();
        // For an export the number of a tax office does not do (BR-G-02).
        let has_number = self.tax_number.is_some() && category != "G";
        if self.vat_id.is_none() && !has_number && category != "O" {
            lacks.push(("vat_id", "a VAT id"));
        }
        if self.country.is_none() && category != "O" {
            lacks.push(("country", "the country"));
        }
        lacks
    }
}

/// The one tax of this configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tax {
    /// What it is called on the invoice: VAT, TVA, USt.
    pub name: String,
    /// Category of EN 16931: S (standard rate), Z (zero rate), E (exempt), O (outside the scope).
    pub category: String,
    /// Percent.
    pub rate: Decimal<4>,
}

/// One place that usage comes from.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    pub name: String,
    pub origin: Origin,
    /// What holds for all of its records where they do not say it themselves: the project by `project_id`, anything
    /// else by the path of a field.
    pub defaults: BTreeMap<String, String>,
    /// The longest time without a record that is no sign of missing usage; unknown where it is not said.
    pub expect_every_seconds: Option<u32>,
}

#[derive(Clone, Debug)]
pub enum Origin {
    Files(FilesConfig),
    Server(Box<ServerConfig>),
}

/// Files that lie somewhere.
#[derive(Clone, Debug)]
pub struct FilesConfig {
    pub format: FileFormat,
    /// A path or URL, with `*`, `?`, `[…]`, `{a,b}` and `**` as wildcards. Relative paths are resolved.
    pub path: String,
    /// Where the path stands in the configuration, for messages.
    pub path_place: Place,
    /// For CSV and Parquet: our column name to theirs; for CloudEvents to a path in the data.
    pub columns: BTreeMap<String, String>,
    /// Turns the rows of a file of any shape into usage records.
    pub select: Option<Select>,
}

/// A select over the columns of a file, as it is written, and where.
#[derive(Clone, Debug)]
pub struct Select {
    pub text: String,
    pub place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Ceilometer samples as JSON lines, plain, gzip or zstd.
    Ceilometer,
    /// What OpenStack's services notify, as messages or as Ceilometer's events, plain, gzip or zstd.
    Notifications,
    /// CloudEvents 1.0 as JSON, one or a batch on a line, plain, gzip or zstd.
    CloudEvents,
    /// Usage records as CSV with a header, plain, gzip or zstd.
    Csv,
    /// Usage records as Parquet.
    Parquet,
    /// JSON of any shape, which a select turns into usage records.
    Json,
}

/// A server that is asked over HTTP.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub protocol: Protocol,
    /// Without the path of the API, without credentials.
    pub url: url::Url,
    pub auth: Auth,
    /// PEM file of the authority that signed the server's certificate, where the system does not know it.
    pub ca_file: Option<PathBuf>,
    /// First instant that is asked for, in microseconds UTC.
    pub from: i64,
    /// First instant that is not asked for any more.
    pub to: Option<i64>,
    /// What is younger than this is left for the next time: the server may not have all of it yet.
    pub delay_seconds: u32,
    /// How much of what was read already is read again, for what came late.
    pub overlap_seconds: u32,
    /// How long the server may be silent.
    pub timeout_seconds: u32,
    /// How often a request is repeated that failed for a reason that passes.
    pub retries: u32,
    /// Requests at once.
    pub parallel: u32,
}

/// What a server speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The query API of Prometheus, which Thanos, Mimir and VictoriaMetrics speak too.
    Prometheus {
        /// Metrics that are read beside the ones that are known, or otherwise than they are.
        metrics: Vec<MetricConfig>,
    },
    /// Gnocchi's REST API, version 1.
    Gnocchi {
        /// The granularity whose measures are read; `None` is the finest that is kept for a week.
        granularity_seconds: Option<u32>,
        /// Rows of one page.
        page_size: u32,
        /// Types of resources whose revisions tell that they are there.
        presence: Vec<PresenceConfig>,
    },
}

/// How the revisions of a type of resources are read as states of a source meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceConfig {
    pub resource_type: String,
    pub source_meter: String,
    /// The attribute that says how much there is; one where none does.
    pub quantity: Option<String>,
    pub unit: Option<String>,
}

/// How a metric of Prometheus is read as samples of a source meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricConfig {
    /// The name of the metric.
    pub name: String,
    pub source_meter: String,
    /// Name of the label that holds the resource's id.
    pub resource_label: String,
    pub project_label: String,
    /// Where no label `unit` says it.
    pub unit: Option<String>,
}

/// How Conto says who it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    #[default]
    None,
    Basic {
        user: String,
        /// Gnocchi asks for none.
        password: Option<Secret>,
    },
    Bearer {
        token: Secret,
    },
    /// A header that says who the user is, for a server behind a proxy that is believed.
    RemoteUser {
        user: String,
        header: String,
    },
    Keystone(Keystone),
}

/// OpenStack's identity service, version 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keystone {
    pub url: url::Url,
    pub identity: Identity,
    pub scope: Scope,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    Password { user: String, user_domain: String, password: Secret },
    ApplicationCredential { id: String, secret: Secret },
}

/// What a token is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// What the application credential was made for.
    Own,
    System,
    Project {
        name: String,
        domain: String,
    },
}

/// Where something stands that is in no configuration, no lake and no message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// In this variable of the environment.
    Environment(String),
    /// In this file, without the line break at its end.
    File(PathBuf),
}
