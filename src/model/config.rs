//! The configuration, `conto.toml`: sources, lake, seller, currency and time zone.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::account::{Accounts, InvoicePer, ZeroInvoices};
use crate::model::branding::Branding;
use crate::model::diagnostic::{Place, SourceText};
use crate::model::dialect::Dialect;
use crate::model::money::{Amount, Percent};
use crate::model::terms::ExchangeRates;

/// A valid configuration. Relative paths are resolved against the directory of the file.
#[derive(Clone, Debug)]
pub struct Config {
    pub source: Arc<SourceText>,
    /// The directory or URL of the lake.
    pub lake: String,
    /// The directory of the rule files.
    pub rules: PathBuf,
    /// The name of the billing time zone in the IANA time zone database.
    pub time_zone: String,
    pub currency: iso_currency::Currency,
    /// The language of documents, as a tag of BCP 47.
    pub language: String,
    /// The number of files for the samples of one date, split by stream. The first commit of a lake fixes this number.
    pub shards: u32,
    /// The longest time between two deliveries of one event, in seconds.
    pub duplicate_window_seconds: u32,
    pub seller: Seller,
    pub tax: Tax,
    pub closing: Closing,
    pub run_limits: RunLimits,
    /// The scope of an invoice for accounts without a scope of their own.
    pub invoice_per: InvoicePer,
    /// The treatment of invoices without an amount, for accounts without a treatment of their own.
    pub zero_invoices: ZeroInvoices,
    pub sources: Vec<SourceConfig>,
    pub accounts: Accounts,
    pub exchange_rates: ExchangeRates,
    /// The text of the rates, for the committed inputs.
    pub exchange_rates_source: Option<Arc<SourceText>>,
    /// The minimum amount, in `currency` and before tax. A smaller amount is carried forward to the next invoice.
    pub minimum_invoice_amount: Option<Amount>,
    pub chart_of_accounts: ChartOfAccounts,
    pub branding: Branding,
}

impl Config {
    /// The longest time between two deliveries of one event, in microseconds.
    pub fn duplicate_window_microseconds(&self) -> i64 {
        i64::from(self.duplicate_window_seconds) * 1_000_000
    }
}

/// The ledger accounts of postings. Colons separate the parts of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChartOfAccounts {
    pub receivable: String,
    /// The revenue of services that are not in `revenue_by_service`.
    pub revenue: String,
    pub revenue_by_service: BTreeMap<String, String>,
    pub discounts: String,
    pub promotional_credits: String,
    /// The unused part of prepaid credits with tax at the sale.
    pub deferred_credits: String,
    /// The unused part of prepaid credits without tax.
    pub deposits: String,
    /// The taxes that are not in `tax_by_name`.
    pub tax: String,
    pub tax_by_name: BTreeMap<String, String>,
    /// Charges that are carried forward to a later document.
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
            tax_by_name: BTreeMap::new(),
            unbilled: "Assets:Unbilled".to_owned(),
        }
    }
}

/// The numbering of documents, and the limits for missing data when a period is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// The text before the year and the number, such as `INV-` in `INV-2026-00001`.
    pub invoice_prefix: String,
    pub credit_note_prefix: String,
    /// Whether a cancellation replaced the prefixes of the close with the prefixes of its time.
    pub has_replaced_prefixes: bool,
    /// Whether a cancellation replaced the seller data of the close with the data of its time.
    pub has_replaced_seller: bool,
    /// Earlier names and VAT ids of the seller in this lake. Numbering continues from their documents.
    pub previous_identities: Vec<String>,
    /// The first numbers for years in which another program already numbered documents.
    pub opening: Vec<OpeningNumber>,
    /// The allowed number of rows of `unrated_usage`.
    pub max_unrated: u64,
    /// The allowed number of rejected records of the period.
    pub max_rejected: u64,
    /// The allowed number of unassigned projects. Usage without a project counts as one project.
    pub max_unattributed: u64,
    /// The document that charges an increase of a closed period.
    pub charge_increases_as: ChargeIncreasesAs,
}

/// The limits of a run. Beyond a limit, the run commits its drafts and ends with exit code 4.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLimits {
    /// The allowed number of rows of `unrated_usage`.
    pub max_unrated: u64,
    /// The allowed number of unassigned projects. Usage without a project counts as one project.
    pub max_unattributed: u64,
    /// The longest time without a sample of a source that has no `expect_every`; `None`: any time.
    pub max_silence_seconds: Option<u32>,
    /// The smallest usage of a meter on the last complete day, in percent of its usual usage.
    pub min_volume_percent: u32,
}

impl Default for RunLimits {
    /// The first two limits are those of a close, so that a night reports the findings that would refuse the close.
    ///
    /// The time between two samples differs between sources from seconds to a day, so no time fits all of them. Half of
    /// the usual usage is below the changes of a normal day, and above the rest that the loss of a region leaves.
    fn default() -> Self {
        Self { max_unrated: 0, max_unattributed: 0, max_silence_seconds: None, min_volume_percent: 50 }
    }
}

/// The document that charges an increase of a closed period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChargeIncreasesAs {
    /// The next invoice, as lines with their own usage period.
    #[default]
    NextInvoice,
    /// A separate invoice.
    SeparateInvoice,
}

impl Seller {
    /// The VAT id, or the name of a seller without a VAT id. Issued documents record it.
    pub fn identity(&self) -> &str {
        self.vat_id.as_ref().unwrap_or(&self.name)
    }
}

impl Closing {
    /// Replaces the prefixes of the close.
    pub fn replace_prefixes(&mut self, invoice: &str, credit_note: &str) {
        invoice.clone_into(&mut self.invoice_prefix);
        credit_note.clone_into(&mut self.credit_note_prefix);
        self.has_replaced_prefixes = true;
    }
}

impl Default for Closing {
    fn default() -> Self {
        Self {
            invoice_prefix: "INV-".to_owned(),
            credit_note_prefix: "CN-".to_owned(),
            has_replaced_prefixes: false,
            has_replaced_seller: false,
            previous_identities: Vec::new(),
            opening: Vec::new(),
            max_unrated: 0,
            max_rejected: 0,
            max_unattributed: 0,
            charge_increases_as: ChargeIncreasesAs::default(),
        }
    }
}

/// The first number of a document kind in a year of issue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpeningNumber {
    /// `invoice` or `credit_note`.
    pub document_kind: String,
    pub year: i16,
    pub number: u64,
}

/// The seller of the configuration, which issues the invoices (BG-4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seller {
    pub name: String,
    /// The lines of the address, without the country.
    pub address: Vec<String>,
    pub country: Option<String>,
    pub vat_id: Option<String>,
    /// The tax number of a seller without a VAT id (BT-32).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax_number: Option<String>,
    /// The registration number of the seller for each tax, by the name of the tax.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub registrations: BTreeMap<String, String>,
    pub email: Option<String>,
    /// The bank details or payment instructions, printed at the foot of an invoice.
    pub payment_terms: Option<String>,
    /// The days from the issue date to the due date.
    pub payment_days: Option<u16>,
}

impl Seller {
    /// The missing seller data that an invoice with this tax category requires: key and name of each value. The
    /// requirements are BR-09, BR-S-02 and the rules for other categories that correspond to BR-S-02.
    pub fn missing_for_tax(&self, category: &str) -> Vec<(&'static str, &'static str)> {
        let mut missing = Vec::new();
        // An export requires a VAT id; a tax number is not sufficient (BR-G-02).
        let has_number = (self.tax_number.is_some() || !self.registrations.is_empty()) && category != "G";
        if self.vat_id.is_none() && !has_number && category != "O" {
            missing.push(("vat_id", "a VAT id"));
        }
        if self.country.is_none() && category != "O" {
            missing.push(("country", "the country"));
        }
        missing
    }
}

/// The tax of a configuration without `[[tax]]` rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tax {
    /// The name on the invoice, such as VAT, TVA or USt.
    pub name: String,
    /// The category of EN 16931: S (standard rate), Z (zero rate), E (exempt), O (outside the scope).
    pub category: String,
    /// The rate in percent.
    pub rate: Percent,
}

/// A source of usage: files or a server.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    pub name: String,
    pub origin: Origin,
    /// The values for fields that a record lacks, by name: `project_id` for the project, otherwise the path of the
    /// field.
    pub defaults: BTreeMap<String, String>,
    /// The longest expected time without new usage; absent: unspecified. A longer time is reported as a gap.
    pub expect_every_seconds: Option<u32>,
}

/// The origin of usage.
#[derive(Clone, Debug)]
pub enum Origin {
    Files(FilesConfig),
    Server(Box<ServerConfig>),
}

/// The files below a path or URL.
#[derive(Clone, Debug)]
pub struct FilesConfig {
    pub format: FileFormat,
    /// An absolute path or URL, with the wildcards `*`, `?`, `[…]`, `{a,b}` and `**`.
    pub path: String,
    /// The place of the path in the configuration, for messages.
    pub path_place: Place,
    /// The source columns (CSV, Parquet) or paths in the data (CloudEvents), by the name of Conto's column.
    pub columns: BTreeMap<String, String>,
    /// The notation of the files. Parquet and JSON use only its clock.
    pub dialect: Dialect,
    /// The query that converts rows of any structure to usage records.
    pub select: Option<Select>,
}

/// A `SELECT` over the columns of a file, with its place in the configuration.
#[derive(Clone, Debug)]
pub struct Select {
    pub text: String,
    pub place: Place,
}

/// The format of usage files. All formats but Parquet may be plain, gzip or zstd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileFormat {
    /// Ceilometer samples as JSON lines.
    Ceilometer,
    /// OpenStack notifications as oslo messages or Ceilometer events.
    Notifications,
    /// CloudEvents 1.0 as JSON, with one event or one batch in each line.
    CloudEvents,
    /// Usage records as CSV with a header.
    Csv,
    /// Usage records as Parquet.
    Parquet,
    /// JSON of any structure, which a `SELECT` converts to usage records.
    Json,
}

/// A server with an HTTP API.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    pub protocol: Protocol,
    /// The URL of the server, without the path of the API and without credentials.
    pub url: url::Url,
    pub auth: Auth,
    /// The PEM file of a certificate authority that the system does not trust.
    pub ca_file: Option<PathBuf>,
    /// The first instant to read, in microseconds UTC.
    pub from: i64,
    /// The end of the time to read, exclusive.
    pub to: Option<i64>,
    /// The minimum age of the data to read. More recent data may be incomplete on the server.
    pub delay_seconds: u32,
    /// The length of the time range before the watermark that is read again, for late data.
    pub overlap_seconds: u32,
    /// The maximum time to wait for a response.
    pub timeout_seconds: u32,
    /// The maximum number of repetitions of a request after transient errors.
    pub retries: u32,
    /// The maximum number of concurrent requests.
    pub parallel: u32,
}

/// The API of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// The query API of Prometheus, which Thanos, Mimir and VictoriaMetrics also provide.
    Prometheus {
        /// Metrics in addition to the built-in metrics. An entry replaces the built-in metric with the same name.
        metrics: Vec<MetricConfig>,
    },
    /// Gnocchi's REST API, version 1.
    Gnocchi {
        /// The granularity of the measures; `None`: the finest granularity that Gnocchi stores for a week.
        granularity_seconds: Option<u32>,
        /// The number of rows in one page.
        page_size: u32,
        /// The resource types with revisions that prove the existence of a resource.
        presence: Vec<PresenceConfig>,
    },
}

/// The conversion of the revisions of a resource type to states of a source meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceConfig {
    pub resource_type: String,
    pub source_meter: String,
    /// The attribute with the quantity; absent: the quantity is one.
    pub quantity: Option<String>,
    pub unit: Option<String>,
}

/// The conversion of a Prometheus metric to samples of a source meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricConfig {
    pub name: String,
    pub source_meter: String,
    /// The label with the id of the resource.
    pub resource_label: String,
    pub project_label: String,
    /// The unit of samples without a label `unit`.
    pub unit: Option<String>,
}

/// The authentication at a server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    #[default]
    None,
    Basic {
        user: String,
        /// The password; absent if the server, such as Gnocchi, requires no password.
        password: Option<Secret>,
    },
    Bearer {
        token: Secret,
    },
    /// A header with the user's name, for a server that trusts the proxy in front of it.
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

/// The scope of a Keystone token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The scope of the application credential.
    Own,
    System,
    Project {
        name: String,
        domain: String,
    },
}

/// A reference to a secret. The secret itself is never in a configuration, lake or message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Secret {
    /// The name of an environment variable.
    Environment(String),
    /// A file. Its final line break is not part of the secret.
    File(PathBuf),
}
