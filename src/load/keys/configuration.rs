//! The keys of `conto.toml`.

use super::shared::{
    DECIMAL_MARK, ENCODING, NULL_VALUES, PATH, QUOTE, SEPARATOR, THOUSANDS_MARK, TIME_UNIT, TIME_ZONE,
};
use super::{COUNTRY, CURRENCY, DECIMAL, DURATION, Key, Kind, TEXTS, TableKeys, free_table, key, table};

const FILES: &[&str] = &["ceilometer", "notifications", "cloudevents", "csv", "parquet", "json"];
const CSV: &[&str] = &["csv"];
/// The formats whose columns of times have no fixed notation.
const TABLES: &[&str] = &["csv", "parquet", "json"];
const SERVERS: &[&str] = &["prometheus", "gnocchi"];

pub(crate) const CONFIGURATION: TableKeys = table("the configuration", CONFIGURATION_KEYS);
const CONFIGURATION_KEYS: &[Key] = &[
    key("lake", Kind::Text, "Directory or URL of the lake, which stores usage, prices and documents.").default("lake"),
    key("rules", Kind::Text, "Directory of the rule files.").default("rating-rules"),
    key(
        "accounts",
        Kind::OneOf(&[Kind::Text, Kind::Table(&ACCOUNTS_REFERENCE)]),
        "Accounts file: TOML, CSV or Parquet. Without it, each project gets an invoice.",
    ),
    key(
        "exchange_rates",
        Kind::OneOf(&[Kind::Text, Kind::Table(&EXCHANGE_RATES_REFERENCE)]),
        "CSV file of exchange rates with the columns date, base, quote and rate.",
    ),
    key("minimum_invoice_amount", DECIMAL, "Amounts below this are carried forward to the next invoice."),
    key("time_zone", Kind::Text, "IANA time zone of billing periods and days, such as Europe/Berlin.").required(),
    key("currency", CURRENCY, "Currency of prices and of the seller's books, as a code of ISO 4217.").required(),
    key("language", Kind::Text, "Language of documents as a BCP 47 tag, such as en, de or fr-CH.").default("en"),
    key(
        "shards",
        Kind::Integer(1, 64),
        "Number of files for the samples of a date; the first commit of the lake fixes it.",
    )
    .default("1"),
    key(
        "duplicate_window",
        DURATION,
        "Longest time between two deliveries of one CloudEvent, whatever their times; at most 31d.",
    )
    .default("7d"),
    key("seller", Kind::Table(&SELLER), "The company that issues the invoices.").required(),
    key("tax", Kind::Table(&SELLER_TAX), "Tax of all invoices for which no `[[tax]]` rule decides otherwise."),
    key("closing", Kind::Table(&CLOSING), "Numbers of documents, and the limits within which a period can be closed."),
    key("run", Kind::Table(&RUN), "Limits for missing usage, beyond which `conto run` ends with exit code 4."),
    key("invoice_per", INVOICE_PER, "Whether each account or each project gets an invoice.").default("project"),
    key("zero_invoices", ZERO_INVOICES, "Whether an invoice whose lines are all zero is issued or skipped.")
        .default("skip"),
    key("templates", Kind::Text, "Directory of templates that replace the built-in pages, styles and messages."),
    key("ledger", Kind::Table(&LEDGER), "Accounts of the general ledger for exported journals."),
    key("source", Kind::List(&Kind::Table(&SOURCE)), "A source of usage: files or a server."),
];

pub(crate) const ACCOUNTS_REFERENCE: TableKeys = table("`accounts`", ACCOUNTS_REFERENCE_KEYS);
const ACCOUNTS_REFERENCE_KEYS: &[Key] = &[PATH, SEPARATOR, QUOTE, ENCODING, NULL_VALUES, TIME_ZONE];

pub(crate) const EXCHANGE_RATES_REFERENCE: TableKeys = table("`exchange_rates`", EXCHANGE_RATES_REFERENCE_KEYS);
const EXCHANGE_RATES_REFERENCE_KEYS: &[Key] = &[PATH, SEPARATOR, QUOTE, ENCODING, DECIMAL_MARK, THOUSANDS_MARK];

pub(crate) const INVOICE_PER: Kind = Kind::Choice(&["account", "project"]);

pub(crate) const ZERO_INVOICES: Kind = Kind::Choice(&["issue", "skip"]);

pub(crate) const PAYMENT_DAYS: Kind = Kind::Integer(0, 366);

pub(crate) const SELLER: TableKeys = table("`[seller]`", SELLER_KEYS);
const SELLER_KEYS: &[Key] = &[
    key("name", Kind::Text, "Legal name of the seller.").required(),
    key("address", TEXTS, "Address, one element for each line."),
    key("country", COUNTRY, "Country of the seller, as two capitals of ISO 3166."),
    key("vat_id", Kind::Text, "VAT id of the seller."),
    key("tax_number", Kind::Text, "Number of the local tax office, for sellers without a VAT id."),
    key("registrations", Kind::Table(&REGISTRATIONS), "Registration numbers of the seller, by the name of the tax."),
    key("email", Kind::Text, "Email address for questions about invoices."),
    key("payment_terms", Kind::Text, "Text on invoices about how and when to pay."),
    key("payment_days", PAYMENT_DAYS, "Days from the issue of an invoice to its due date."),
    key("logo", Kind::Text, "Image file for the head of documents: SVG, PNG, JPEG or WebP."),
    key(
        "accent_color",
        Kind::Pattern("^#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
        "Colour of headings in documents, as #rrggbb.",
    ),
    key("legal_footer", TEXTS, "Lines at the foot of documents, such as registration and management."),
];

pub(crate) const SELLER_TAX: TableKeys = table("`[tax]`", SELLER_TAX_KEYS);
const SELLER_TAX_KEYS: &[Key] = &[
    key("name", Kind::Text, "Name of the tax on invoices, such as VAT.").required(),
    key(
        "category",
        Kind::Choice(&["S", "Z", "E", "O"]),
        "Category of EN 16931: standard, zero rated, exempt or outside the scope.",
    )
    .default("S"),
    key("rate", DECIMAL, "Rate in percent. Category S requires it; the others have none."),
];

pub(crate) const CLOSING: TableKeys = table("`[closing]`", CLOSING_KEYS);
const CLOSING_KEYS: &[Key] = &[
    key("invoice_prefix", PREFIX, "Text before year and number of an invoice.").default("INV-"),
    key("credit_note_prefix", PREFIX, "Text before year and number of a credit note.").default("CN-"),
    key("previous_identities", TEXTS, "Earlier names and VAT ids of the seller, whose numbers are continued."),
    key("max_unrated", LIMIT, "Number of rows of `unrated_usage` with which a period can be closed.").default("0"),
    key("max_rejected", LIMIT, "Number of rejected records and unread inputs with which a period can be closed.")
        .default("0"),
    key("max_unattributed", LIMIT, "Number of unassigned projects with which a period can be closed.").default("0"),
    key(
        "charge_increases_as",
        Kind::Choice(&["next_invoice", "separate_invoice"]),
        "Whether late charges for a closed period go on the next invoice or on one of their own.",
    )
    .default("next_invoice"),
    key("opening", Kind::List(&Kind::Table(&OPENING)), "First document number of a year, after an earlier system."),
];

const PREFIX: Kind = Kind::Pattern("^[A-Za-z0-9_/.-]+$");
const LIMIT: Kind = Kind::Integer(0, i64::MAX);

pub(crate) const RUN: TableKeys = table("`[run]`", RUN_KEYS);
const RUN_KEYS: &[Key] = &[
    key("max_unrated", LIMIT, "Number of rows of `unrated_usage` with which a run ends with exit code 0.").default("0"),
    key("max_unattributed", LIMIT, "Number of unassigned projects with which a run ends with exit code 0.")
        .default("0"),
    key("max_silence", DURATION, "Longest time without a sample of a source that has no `expect_every`."),
    key(
        "min_volume_percent",
        Kind::Integer(0, 100),
        "Smallest usage of a meter on the last complete day, in percent of its usual usage; 0 permits any.",
    )
    .default("50"),
];

pub(crate) const OPENING: TableKeys = table("a `[[closing.opening]]`", OPENING_KEYS);
const OPENING_KEYS: &[Key] = &[
    key("document_kind", Kind::Choice(&["invoice", "credit_note"]), "Kind of document that is numbered.").required(),
    key("year", Kind::Integer(0, 9999), "Year of issue.").required(),
    key("number", Kind::Integer(0, i64::MAX), "First number that is given in this year.").required(),
];

pub(crate) const LEDGER: TableKeys = table("`[ledger]`", LEDGER_KEYS);
const LEDGER_KEYS: &[Key] = &[
    key("receivable", Kind::Text, "Ledger account of unpaid invoices.").default("Assets:Receivable"),
    key("revenue", Kind::Text, "Ledger account of services without one of their own.").default("Income:Revenue"),
    key("discounts", Kind::Text, "Ledger account of discounts.").default("Income:Discounts"),
    key("promotional_credits", Kind::Text, "Ledger account of promotional credits that were used.")
        .default("Expenses:Promotional-Credits"),
    key("deferred_credits", Kind::Text, "Ledger account of prepaid credits that were taxed at their sale.")
        .default("Liabilities:Deferred-Credits"),
    key("deposits", Kind::Text, "Ledger account of prepaid credits that are taxed at their use.")
        .default("Liabilities:Deposits"),
    key("tax", Kind::Text, "Ledger account of tax.").default("Liabilities:Tax"),
    key("unbilled", Kind::Text, "Ledger account of charges carried forward to a later document.")
        .default("Assets:Unbilled"),
    key("revenue_by_service", Kind::Table(&REVENUE_BY_SERVICE), "Ledger accounts of single services."),
    key("tax_by_name", Kind::Table(&TAX_BY_NAME), "Ledger accounts of single taxes, by the name of the tax."),
];

pub(crate) const REGISTRATIONS: TableKeys = free_table("`registrations`", Kind::Text);

pub(crate) const TAX_BY_NAME: TableKeys = free_table("`tax_by_name`", Kind::Text);

pub(crate) const REVENUE_BY_SERVICE: TableKeys = free_table("`revenue_by_service`", Kind::Text);

pub(crate) const SOURCE: TableKeys =
    TableKeys { what: "a `[[source]]`", decided_by: Some("format"), keys: SOURCE_KEYS, others: None };
const SOURCE_KEYS: &[Key] = &[
    key("name", Kind::Text, "Unique name of the source.").required(),
    key(
        "format",
        Kind::Choice(&[
            "ceilometer",
            "notifications",
            "cloudevents",
            "csv",
            "parquet",
            "json",
            "prometheus",
            "gnocchi",
        ]),
        "Format of the files, or protocol of the server.",
    )
    .required(),
    key("defaults", Kind::Table(&SOURCE_DEFAULTS), "Metadata of every record that does not contain the same key."),
    key(
        "expect_every",
        DURATION,
        "Longest time between two samples. A run reports a longer silence, and a close refuses a longer gap.",
    ),
    key("path", Kind::Text, "Path, URL or pattern of the files, such as usage/*.jsonl.gz.").required().only_with(FILES),
    key("columns", Kind::Table(&COLUMNS), "Fields of a record, each with its column in the file.").only_with(FILES),
    key("select", Kind::Text, "SQL expressions that make the fields of a record. Format json requires it.")
        .only_with(FILES),
    SEPARATOR.only_with(CSV),
    QUOTE.only_with(CSV),
    ENCODING.only_with(CSV),
    NULL_VALUES.only_with(CSV),
    DECIMAL_MARK.only_with(CSV),
    THOUSANDS_MARK.only_with(CSV),
    TIME_ZONE.only_with(TABLES),
    TIME_UNIT.only_with(TABLES),
    key("url", Kind::Pattern("^https?://"), "URL of the server, without user and password.")
        .required()
        .only_with(SERVERS),
    key("auth", Kind::Table(&AUTH), "Credentials for the server.").only_with(SERVERS),
    key("ca_file", Kind::Text, "PEM file of the authority that signed the server's certificate.").only_with(SERVERS),
    key("from", Kind::Time, "Start of the usage to be pulled.").required().only_with(SERVERS),
    key("to", Kind::Time, "End of the usage to be pulled, exclusive.").only_with(SERVERS),
    key("delay", DURATION, "Time that the server needs until its data are complete.").only_with(SERVERS),
    key("overlap", DURATION, "Time that is pulled again, to catch late data.").default("2h").only_with(SERVERS),
    key("timeout", DURATION, "Longest time for one request.").default("1m").only_with(SERVERS),
    key("retries", Kind::Integer(0, 20), "Number of attempts after a failed request.").default("5").only_with(SERVERS),
    key("parallel", Kind::Integer(1, 64), "Number of simultaneous requests.").default("4").only_with(SERVERS),
    key("metric", Kind::List(&Kind::Table(&METRIC)), "A metric of Prometheus that is usage.")
        .only_with(&["prometheus"]),
    key("granularity", DURATION, "Granularity of the measures; without it, the finest that Gnocchi stores.")
        .only_with(&["gnocchi"]),
    key("page_size", Kind::Integer(1, 100_000), "Number of resources in one response.")
        .default("1000")
        .only_with(&["gnocchi"]),
    key("presence", Kind::List(&Kind::Table(&PRESENCE)), "A resource type whose existence is usage.")
        .only_with(&["gnocchi"]),
];

pub(crate) const SOURCE_DEFAULTS: TableKeys = free_table("`defaults`", Kind::Text);

pub(crate) const COLUMNS: TableKeys = free_table("`columns`", Kind::Text);

pub(crate) const METRIC: TableKeys = table("a `[[source.metric]]`", METRIC_KEYS);
const METRIC_KEYS: &[Key] = &[
    key("name", Kind::Pattern("^[A-Za-z0-9_:]+$"), "Name of the metric, without labels and functions.").required(),
    key("meter", Kind::Text, "Source meter that the metric measures.").required(),
    key("resource_label", Kind::Text, "Label that contains the id of the resource.").default("resource"),
    key("project_label", Kind::Text, "Label that contains the id of the project.").default("project"),
    key("unit", Kind::Text, "Unit of the values."),
];

pub(crate) const PRESENCE: TableKeys = table("a `[[source.presence]]`", PRESENCE_KEYS);
const PRESENCE_KEYS: &[Key] = &[
    key("resource_type", Kind::Text, "Resource type of Gnocchi, such as instance.").required(),
    key("meter", Kind::Text, "Source meter that the existence of these resources is.").required(),
    key("quantity", Kind::Text, "Attribute that contains the quantity; without it, each resource counts as one."),
    key("unit", Kind::Text, "Unit of the quantity."),
];

pub(crate) const AUTH: TableKeys =
    TableKeys { what: "`auth`", decided_by: Some("kind"), keys: AUTH_KEYS, others: None };
const AUTH_KEYS: &[Key] = &[
    key("kind", Kind::Choice(&["basic", "bearer", "keystone", "remote-user"]), "Kind of authentication.").required(),
    key("user", Kind::Text, "Name of the user.").only_with(&["basic", "keystone", "remote-user"]),
    key("password_file", Kind::Text, "File that contains the password.").only_with(&["basic", "keystone"]),
    key("password_variable", Kind::Text, "Environment variable that contains the password.")
        .only_with(&["basic", "keystone"]),
    key("token_file", Kind::Text, "File that contains the token.").only_with(&["bearer"]),
    key("token_variable", Kind::Text, "Environment variable that contains the token.").only_with(&["bearer"]),
    key("header", Kind::Text, "HTTP header that names the user.").default("X-Remote-User").only_with(&["remote-user"]),
    key("url", Kind::Pattern("^https?://"), "URL of Keystone.").required().only_with(KEYSTONE),
    key("user_domain", Kind::Text, "Domain of the user.").default("Default").only_with(KEYSTONE),
    key("project", Kind::Text, "Project of the token; without it, the token is for the whole system.")
        .only_with(KEYSTONE),
    key("project_domain", Kind::Text, "Domain of the project.").default("Default").only_with(KEYSTONE),
    key("application_credential_id", Kind::Text, "Id of an application credential, instead of user and password.")
        .only_with(KEYSTONE),
    key("secret_file", Kind::Text, "File that contains the secret of the application credential.").only_with(KEYSTONE),
    key("secret_variable", Kind::Text, "Environment variable that contains the secret of the application credential.")
        .only_with(KEYSTONE),
];

const KEYSTONE: &[&str] = &["keystone"];
