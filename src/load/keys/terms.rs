//! The keys of rule files for charges without usage, and for terms that change an invoice after usage is priced.

use super::shared::{
    DIMENSION_VALUE, EXAMPLE_COST, EXAMPLE_NAME, EXAMPLE_NET_AMOUNT, EXAMPLE_PERIOD, EXAMPLE_USAGES, TIER, USAGE_AT,
    USAGE_METER, USAGE_PROJECT, USAGE_QUANTITY, USAGE_RESOURCE, USAGE_WINDOWS,
};
use super::{
    COUNTRY, CURRENCY, DECIMAL, INVOICE_PER, Key, Kind, QUANTITY, SIGNED_DECIMAL, TEXTS, TableKeys, key, table,
};

const TERM_CURRENCY: Key = key("currency", CURRENCY, "Currency of the amounts; by default that of the file.");
const VALID_FROM: Key = key("valid_from", Kind::Date, "First day of validity.");
const VALID_TO: Key = key("valid_to", Kind::Date, "End of validity, exclusive.");
const EXAMPLE_FROM: Key = key("from", Kind::Date, "First day of the charge in the example.");
const EXAMPLE_TO: Key = key("to", Kind::Date, "End of the charge in the example, exclusive.");
const ACCOUNTS: Key = key("accounts", TEXTS, "Accounts to which it applies; by default all.");
const LINE_SKU: Key = key("sku", Kind::Text, "Article number on the invoice line; by default the id.");
const LINE_DESCRIPTION: Key = key("description", Kind::Text, "Text of the invoice line; by default the SKU.");
const NAMED_DESCRIPTION: Key = key("description", Kind::Text, "Text of the invoice line; by default the id.");
const CARD: Key = key("card", Kind::Text, "Rate card that contains the charge.").default("public");

pub(crate) const RECURRING: TableKeys = table("a `[[recurring]]`", RECURRING_KEYS);
const RECURRING_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the recurring fee.").required(),
    key("service", Kind::Text, "Service to which the invoice line belongs.").default("Fees"),
    LINE_SKU,
    LINE_DESCRIPTION,
    CARD,
    key("per", Kind::Choice(&["account", "project", "resource"]), "Who or what is charged.").required(),
    key("meter", Kind::Text, "Meter whose resources are charged; valid only for resources."),
    key("line_by", TEXTS, "Dimensions that get an invoice line for each of their values."),
    ACCOUNTS,
    key("when", Kind::Text, "SQL condition on the account, the project or the dimensions of the resource."),
    key("quantity", QUANTITY, "Quantity that each of them has.").default("1"),
    key("unit", Kind::Text, "Unit of a whole period, such as month or licence-month.").default("month"),
    key("unit_price", DECIMAL, "Price of one unit for a whole period.").required(),
    TERM_CURRENCY,
    key(
        "billed",
        Kind::Choice(&["in_advance", "in_arrears"]),
        "Whether the charge is for the next or the past period.",
    )
    .default("in_arrears"),
    VALID_FROM,
    VALID_TO,
    key("example", Kind::List(&Kind::Table(&RECURRING_EXAMPLE)), "Days and their cost; `conto rules test` checks it."),
];

pub(crate) const RECURRING_EXAMPLE: TableKeys = table("a `[[recurring.example]]`", RECURRING_EXAMPLE_KEYS);
const RECURRING_EXAMPLE_KEYS: &[Key] =
    &[EXAMPLE_NAME, EXAMPLE_PERIOD, EXAMPLE_FROM, EXAMPLE_TO, EXAMPLE_COST, EXAMPLE_NET_AMOUNT];

pub(crate) const CHARGE: TableKeys = table("a `[[charge]]`", CHARGE_KEYS);
const CHARGE_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the charge. An id is billed once.").required(),
    key("date", Kind::Date, "Day of the charge, which determines the month of its invoice.").required(),
    key("account", Kind::Text, "Account that pays."),
    key("project", Kind::Text, "Project whose account on that day pays; instead of `account`."),
    key("service", Kind::Text, "Service to which the invoice line belongs.").default("Fees"),
    LINE_SKU,
    LINE_DESCRIPTION,
    key("quantity", SIGNED_DECIMAL, "Quantity at the price; negative for a compensation.").default("1"),
    key("unit", Kind::Text, "Unit of the quantity, such as hour or setup."),
    key("unit_price", DECIMAL, "Price of one unit."),
    key("amount", SIGNED_DECIMAL, "Amount without a unit, instead of a price; negative for a compensation."),
    TERM_CURRENCY,
    key("tax", Kind::Text, "Id of the `[[tax]]` of the line, instead of the tax that matches the line."),
    key("reason", Kind::Text, "Reason, which the invoice shows for a compensation. Compensations require it."),
    key("approved_by", Kind::Text, "Person who approved the charge."),
];

pub(crate) const FEE: TableKeys = table("a `[[fee]]`", FEE_KEYS);
const FEE_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the fee.").required(),
    LINE_DESCRIPTION,
    key("service", Kind::Text, "Service to which the invoice line belongs.").default("Fees"),
    LINE_SKU,
    CARD,
    key("per", INVOICE_PER, "Whether the charges of an account or of each project are added.").required(),
    ACCOUNTS,
    key("when", Kind::Text, "SQL condition on the invoice lines of which the fee is taken."),
    key("base", Kind::Choice(&["before_discounts", "after_discounts"]), "Amounts of which the fee is taken.")
        .required(),
    key("percent", DECIMAL, "Percentage of the charges."),
    key(
        "tier",
        Kind::List(&Kind::Table(&TIER)),
        "Graduated tiers, each with `percent` alone, instead of one percentage.",
    ),
    key("minimum", DECIMAL, "Smallest fee of a period."),
    TERM_CURRENCY,
    VALID_FROM,
    VALID_TO,
    key("example", Kind::List(&Kind::Table(&FEE_EXAMPLE)), "Charges and their fee; `conto rules test` checks it."),
];

pub(crate) const FEE_EXAMPLE: TableKeys = table("a `[[fee.example]]`", FEE_EXAMPLE_KEYS);
const FEE_EXAMPLE_KEYS: &[Key] = &[
    EXAMPLE_NAME,
    key("charges", DECIMAL, "Sum of the charges of which the fee is taken.").required(),
    key("net_amount", DECIMAL, "Expected fee, rounded.").required(),
    EXAMPLE_PERIOD,
    EXAMPLE_FROM,
    EXAMPLE_TO,
];

const COMMITTED_SERVICE: Key =
    key("service", Kind::Text, "Service to which the invoice line belongs.").default("Reservations");
const COMMITTED_ACCOUNT: Key = key("account", Kind::Text, "Account that pays.").required();
const COMMITTED_PROJECT: Key = key("project", Kind::Text, "Only usage of this project is covered.");

pub(crate) const RESERVATION: TableKeys = table("a `[[reservation]]`", RESERVATION_KEYS);
const RESERVATION_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the reservation.").required(),
    COMMITTED_ACCOUNT,
    COMMITTED_PROJECT,
    COMMITTED_SERVICE,
    LINE_SKU,
    LINE_DESCRIPTION,
    TERM_CURRENCY,
    VALID_FROM,
    VALID_TO,
    key("meter", Kind::Text, "Meter whose usage is covered.").required(),
    key("when", Kind::Text, "SQL condition on dimensions of the covered usage."),
    key("quantity", QUANTITY, "Quantity that is reserved for every hour.").required(),
    key("unit_price", DECIMAL, "Price of one reserved unit for one hour.").required(),
    key("example", Kind::List(&Kind::Table(&RESERVATION_EXAMPLE)), "Usage and its cost; `conto rules test` checks it."),
];

pub(crate) const HOURLY_COMMITMENT: TableKeys = table("an `[[hourly_commitment]]`", HOURLY_COMMITMENT_KEYS);
const HOURLY_COMMITMENT_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the hourly commitment.").required(),
    COMMITTED_ACCOUNT,
    COMMITTED_PROJECT,
    COMMITTED_SERVICE,
    LINE_SKU,
    LINE_DESCRIPTION,
    TERM_CURRENCY,
    VALID_FROM,
    VALID_TO,
    key("amount", DECIMAL, "Amount that is paid for every hour.").required(),
    key("covers", Kind::List(&Kind::Table(&COVER)), "Usage that the amount pays for, in this order.").required(),
    key(
        "example",
        Kind::List(&Kind::Table(&HOURLY_COMMITMENT_EXAMPLE)),
        "Usage and its cost; `conto rules test` checks it.",
    ),
];

pub(crate) const COVER: TableKeys = table("a cover", COVER_KEYS);
const COVER_KEYS: &[Key] = &[
    key("meter", Kind::Text, "Meter whose usage is covered.").required(),
    key("when", Kind::Text, "SQL condition on dimensions of the covered usage."),
    key("unit_price", DECIMAL, "Price of one covered unit.").required(),
];

pub(crate) const RESERVATION_EXAMPLE: TableKeys = TableKeys {
    what: "a `[[reservation.example]]`",
    decided_by: None,
    keys: COMMITTED_EXAMPLE_KEYS,
    others: Some(DIMENSION_VALUE),
};

pub(crate) const HOURLY_COMMITMENT_EXAMPLE: TableKeys = TableKeys {
    what: "an `[[hourly_commitment.example]]`",
    decided_by: None,
    keys: COMMITTED_EXAMPLE_KEYS,
    others: Some(DIMENSION_VALUE),
};
const COMMITTED_EXAMPLE_KEYS: &[Key] = &[
    EXAMPLE_NAME,
    EXAMPLE_PERIOD,
    EXAMPLE_FROM,
    EXAMPLE_TO,
    EXAMPLE_COST,
    EXAMPLE_NET_AMOUNT,
    EXAMPLE_USAGES,
    USAGE_AT,
    USAGE_METER,
    USAGE_RESOURCE,
    USAGE_PROJECT,
    USAGE_QUANTITY,
    USAGE_WINDOWS,
];

pub(crate) const DISCOUNT: TableKeys = table("a `[[discount]]`", DISCOUNT_KEYS);
const DISCOUNT_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the discount.").required(),
    NAMED_DESCRIPTION,
    ACCOUNTS,
    key("when", Kind::Text, "SQL condition on the invoice lines that are reduced."),
    key("percent", DECIMAL, "Percentage by which the lines are reduced."),
    key("amount", DECIMAL, "Amount by which the lines are reduced together, instead of a percentage."),
    TERM_CURRENCY,
    key("position", Kind::Integer(i64::MIN, i64::MAX), "Order of several discounts on one line, lowest first.")
        .default("0"),
    VALID_FROM,
    VALID_TO,
];

pub(crate) const MINIMUM_SPEND: TableKeys = table("a `[[minimum_spend]]`", MINIMUM_SPEND_KEYS);
const MINIMUM_SPEND_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the minimum spend.").required(),
    key("description", Kind::Text, "Text of the invoice line.").default("Minimum spend"),
    key("service", Kind::Text, "Service to which the invoice line belongs.").default("Minimum spend"),
    key("account", Kind::Text, "Account that owes the minimum spend.").required(),
    key("when", Kind::Text, "SQL condition on the invoice lines that count."),
    key("amount", DECIMAL, "Amount that the account spends at least in each period.").required(),
    TERM_CURRENCY,
    key("overage_factor", DECIMAL, "Factor on the price of what is spent above the amount."),
    key("true_up", Kind::Boolean, "Whether the missing part of the amount is charged.").default("true"),
    VALID_FROM,
    VALID_TO,
];

pub(crate) const CREDIT: TableKeys =
    TableKeys { what: "a `[[credit]]`", decided_by: Some("kind"), keys: CREDIT_KEYS, others: None };
const CREDIT_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the credit.").required(),
    NAMED_DESCRIPTION,
    key("account", Kind::Text, "Account that has the credit.").required(),
    key("amount", DECIMAL, "Amount of the credit.").required(),
    TERM_CURRENCY,
    key("opening_balance", DECIMAL, "Amount that was left when billing with Conto began."),
    key("kind", Kind::Choice(&["promotional", "prepaid"]), "Whether the credit was given or paid for.").required(),
    key("taxed", Kind::Choice(&["at_sale", "at_use"]), "When a prepaid credit is taxed.")
        .required()
        .only_with(&["prepaid"]),
    key("priority", Kind::Integer(i64::MIN, i64::MAX), "Credits of higher priority are used first.").default("0"),
    VALID_FROM,
    key("expires", Kind::Date, "Day from which the credit can no longer be used."),
    key("tax_category", TAX_CATEGORY, "Category of EN 16931 at the sale of a prepaid credit.")
        .default("S")
        .only_with(&["prepaid"]),
    key("tax_rate", DECIMAL, "Tax rate in percent at the sale of a prepaid credit.").only_with(&["prepaid"]),
];

const TAX_CATEGORY: Kind = Kind::Choice(&["S", "Z", "E", "AE", "G", "O"]);

pub(crate) const TAX_COMPONENT: TableKeys = table("a tax component", TAX_COMPONENT_KEYS);
const TAX_COMPONENT_KEYS: &[Key] = &[
    key("name", Kind::Text, "Name of the tax on invoices, such as GST.").required(),
    key("rate", DECIMAL, "Rate in percent.").required(),
    key("compound", Kind::Boolean, "Whether the tax applies to the net amount with the other taxes.").default("false"),
];

pub(crate) const TAX: TableKeys = table("a `[[tax]]`", TAX_KEYS);
const TAX_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the tax rule.").required(),
    key("name", Kind::Text, "Name of the tax on invoices, such as VAT. Required without `components`."),
    key(
        "components",
        Kind::List(&Kind::Table(&TAX_COMPONENT)),
        "Several taxes on the same lines, instead of `name` and `rate`.",
    ),
    key("profile", Kind::Text, "Tax profile of the accounts to which it applies.").default("standard"),
    key("countries", Kind::List(&COUNTRY), "Countries of the customers to which it applies; by default all."),
    key("when", Kind::Text, "SQL condition on the invoice lines to which it applies."),
    key("category", TAX_CATEGORY, "Category of EN 16931.").default("S"),
    key("rate", DECIMAL, "Rate in percent. Category S requires it; the others have none."),
    key("exemption_reason", Kind::Text, "Reason on the invoice why no tax is charged."),
    VALID_FROM,
    VALID_TO,
];
