//! The keys of the accounts file.

use super::{COUNTRY, CURRENCY, INVOICE_PER, Key, Kind, PAYMENT_DAYS, TEXTS, TableKeys, ZERO_INVOICES, key, table};

pub(crate) const ACCOUNTS_FILE: TableKeys = table("the accounts file", ACCOUNTS_FILE_KEYS);
const ACCOUNTS_FILE_KEYS: &[Key] =
    &[key("account", Kind::List(&Kind::Table(&ACCOUNT)), "A customer, or a part of the seller's own company.")];

pub(crate) const ACCOUNT: TableKeys = table("an `[[account]]`", ACCOUNT_KEYS);
const ACCOUNT_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the account, such as the customer number.").required(),
    key("name", Kind::Text, "Legal name of the customer.").required(),
    key("address", TEXTS, "Address, one element for each line."),
    key("country", COUNTRY, "Country of the customer, as two capitals of ISO 3166. Invoices require it."),
    key("vat_id", Kind::Text, "VAT id of the customer."),
    key("vies", Kind::Table(&VIES), "Result of the check of the VAT id by VIES."),
    key("email", Kind::Text, "Email address for invoices."),
    key("currency", CURRENCY, "Currency of the invoices, as a code of ISO 4217; by default that of the seller."),
    key("language", Kind::Text, "Language of documents as a BCP 47 tag; by default that of the configuration."),
    key("purchase_order", Kind::Text, "Purchase order number that invoices show."),
    key("cost_centres", TEXTS, "Cost centres that invoices show."),
    key("payment_terms", Kind::Text, "Text on invoices about how and when to pay."),
    key("payment_days", PAYMENT_DAYS, "Days from the issue of an invoice to its due date."),
    key("tax_profile", Kind::Text, "Profile whose `[[tax]]` rules apply to the account."),
    key("cards", TEXTS, "Rate cards of the account, in order; the first that prices usage applies."),
    key("invoice_per", INVOICE_PER, "Whether the account or each of its projects gets an invoice."),
    key("zero_invoices", ZERO_INVOICES, "Whether an invoice without an amount is issued or skipped."),
    key("parent", Kind::Text, "Id of the account above, such as a reseller."),
    key("internal", Kind::Boolean, "Whether usage is priced and no invoice is issued.").default("false"),
    key("valid_from", Kind::Date, "First day on which the account pays for usage and fees."),
    key("valid_to", Kind::Date, "End of the account, exclusive: later usage belongs to no account."),
    key(
        "projects",
        Kind::List(&Kind::OneOf(&[Kind::Text, Kind::Table(&PROJECT)])),
        "Projects that the account pays for, as ids or as tables.",
    ),
];

pub(crate) const VIES: TableKeys = table("a VIES result", VIES_KEYS);
const VIES_KEYS: &[Key] = &[
    key("valid", Kind::Boolean, "Whether VIES reported the VAT id as valid.").required(),
    key("checked_on", Kind::Date, "Date of the check.").required(),
];

pub(crate) const PROJECT: TableKeys = table("a project", PROJECT_KEYS);
const PROJECT_KEYS: &[Key] = &[
    key("id", Kind::Text, "Id of the project, as usage records contain it.").required(),
    key("name", Kind::Text, "Name of the project in documents."),
    key("valid_from", Kind::Time, "Time from which the account pays for the project."),
    key("valid_to", Kind::Time, "Time until which the account pays for the project, exclusive."),
];
