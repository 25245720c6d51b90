//! The keys of rule files for meters and the prices of usage.

use super::shared::{
    DECIMAL_MARK, DIMENSION_VALUE, ENCODING, EXAMPLE_COST, EXAMPLE_NAME, EXAMPLE_NET_AMOUNT, EXAMPLE_PERIOD,
    EXAMPLE_USAGES, NULL_VALUES, PACKAGE_ROUNDING, PATH, QUOTE, SEPARATOR, THOUSANDS_MARK, TIER, TIME_ZONE, USAGE_AT,
    USAGE_METER, USAGE_PROJECT, USAGE_QUANTITY, USAGE_RESOURCE, USAGE_WINDOWS,
};
use super::terms::{CHARGE, CREDIT, DISCOUNT, FEE, HOURLY_COMMITMENT, MINIMUM_SPEND, RECURRING, RESERVATION, TAX};
use super::{CURRENCY, DECIMAL, DURATION, Key, Kind, QUANTITY, TEXTS, TableKeys, free_table, key, table};

pub(crate) const RULE_FILE: TableKeys = table("a rule file", RULE_FILE_KEYS);
const RULE_FILE_KEYS: &[Key] = &[
    key("currency", CURRENCY, "Currency of all prices in this file; by default that of the configuration."),
    key("meter", Kind::List(&Kind::Table(&METER)), "What is measured, and how samples become quantities."),
    key("rule", Kind::List(&Kind::Table(&RULE)), "A price of usage, or a factor on prices."),
    key("included_units", Kind::List(&Kind::Table(&INCLUDED_UNITS)), "Units that each resource of a meter includes."),
    key("lookup", Kind::List(&Kind::Table(&LOOKUP)), "A table from keys to values for dimensions."),
    key("recurring", Kind::List(&Kind::Table(&RECURRING)), "A recurring fee, independent of usage."),
    key(
        "charge",
        Kind::List(&Kind::Table(&CHARGE)),
        "A charge that is billed once, such as a setup fee or a compensation.",
    ),
    key("fee", Kind::List(&Kind::Table(&FEE)), "A percentage of other charges, such as for support."),
    key("reservation", Kind::List(&Kind::Table(&RESERVATION)), "A quantity that is paid for every hour."),
    key("hourly_commitment", Kind::List(&Kind::Table(&HOURLY_COMMITMENT)), "An amount that is paid for every hour."),
    key("discount", Kind::List(&Kind::Table(&DISCOUNT)), "A discount on invoice lines."),
    key("minimum_spend", Kind::List(&Kind::Table(&MINIMUM_SPEND)), "A minimum spend of an account in each period."),
    key("credit", Kind::List(&Kind::Table(&CREDIT)), "A promotional or prepaid credit of an account."),
    key("tax", Kind::List(&Kind::Table(&TAX)), "A tax, and the invoice lines to which it applies."),
];

pub(crate) const METER: TableKeys = table("a `[[meter]]`", METER_KEYS);
const METER_KEYS: &[Key] = &[
    key("name", Kind::Text, "Unique name of the meter.").required(),
    key(
        "aggregation",
        Kind::Choice(&[
            "sum",
            "max",
            "min",
            "mean",
            "last",
            "count",
            "count_unique",
            "presence",
            "duration",
            "increase",
            "time_weighted",
        ]),
        "How the samples of a window become one quantity.",
    )
    .required(),
    key("unit", Kind::Text, "Unit of the metered quantity, such as instance-hour.").required(),
    key("source_meters", TEXTS, "Meters of the sources, best first; by default the meter's own name."),
    key("source_unit", Kind::Text, "Unit that records must have."),
    key("window", DURATION, "Length of a window: whole minutes that divide a day.").default("1h"),
    key("max_gap", DURATION, "Longest time that a sample stays valid without a next one, up to 24h.").default("2h"),
    key("state_timeout", DURATION, "Longest time that a reported state stays valid without another event, from 1h."),
    key("record", Kind::Table(&RECORD), "Rounding of each record before records are added."),
    key("signed", Kind::Boolean, "Whether a sum accepts negative records, which take back usage.").default("false"),
    key("unique", Kind::Text, "Dimension whose different values are counted, with the aggregation count_unique."),
    key("dimensions", Kind::Table(&DIMENSIONS), "Metadata by which rules distinguish usage."),
    key("labels", TEXTS, "Metadata that usage reports show and rules ignore."),
];

pub(crate) const RECORD: TableKeys = table("`record`", RECORD_KEYS);
const RECORD_KEYS: &[Key] = &[
    key("minimum", QUANTITY, "Smallest quantity of one record."),
    key("multiple_of", QUANTITY, "Step up to which the quantity of one record is rounded."),
];

pub(crate) const DIMENSIONS: TableKeys = free_table("`dimensions`", Kind::Table(&DIMENSION));

pub(crate) const DIMENSION: TableKeys = table("a dimension", DIMENSION_KEYS);
const DIMENSION_KEYS: &[Key] = &[
    key("from", TEXTS, "Paths of metadata, best first; a value that the lookup lacks stays as it is."),
    key("lookup", Kind::Text, "Name of the `[[lookup]]` that translates the value."),
    key("key", TEXTS, "Paths of metadata, best first; the lookup must contain the value."),
    key("type", Kind::Choice(&["text", "decimal", "bool"]), "Type of the values.").default("text"),
];

pub(crate) const LOOKUP: TableKeys = table("a `[[lookup]]`", LOOKUP_KEYS);
const LOOKUP_KEYS: &[Key] = &[
    key("name", Kind::Text, "Unique name of the lookup.").required(),
    key(
        "file",
        Kind::OneOf(&[Kind::Text, Kind::Table(&LOOKUP_FILE)]),
        "CSV file with the columns key, value, and optionally valid_from and valid_to.",
    ),
    key("values", Kind::Table(&LOOKUP_VALUES), "Values by their keys, instead of a file."),
];

pub(crate) const LOOKUP_FILE: TableKeys = table("`file` of a `[[lookup]]`", LOOKUP_FILE_KEYS);
const LOOKUP_FILE_KEYS: &[Key] = &[PATH, SEPARATOR, QUOTE, ENCODING, NULL_VALUES, TIME_ZONE];

pub(crate) const LOOKUP_VALUES: TableKeys = free_table("`values` of a `[[lookup]]`", Kind::Text);

pub(crate) const RULE: TableKeys = table("a `[[rule]]`", RULE_KEYS);
const RULE_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the rule.").required(),
    key("meter", Kind::Text, "Meter whose usage the rule prices.").required(),
    key("when", Kind::Text, "SQL condition on dimensions; without it, the rule applies to all usage of the meter."),
    key("component", Kind::Text, "Part of the price; each component is charged separately.").default("base"),
    key("card", Kind::Text, "Rate card that contains the rule.").default("public"),
    key("priority", Kind::Integer(-1_000_000_000, 1_000_000_000), "The applicable rule of highest priority wins.")
        .default("0"),
    key("valid_from", Kind::Time, "Start of the price, at the start of a window."),
    key("valid_to", Kind::Time, "End of the price, exclusive."),
    key("pricing_quantity", Kind::Text, "SQL expression for the quantity to be priced, such as quantity * vcpus."),
    key("pricing_unit", Kind::Table(&PRICING_UNIT), "Unit of the price, if it differs from that of the meter."),
    key("line_by", TEXTS, "Dimensions that get an invoice line for each of their values."),
    key(
        "windows",
        Kind::List(&Kind::Table(&PRICE_WINDOW)),
        "Other prices at certain local times; the first that applies wins.",
    ),
    key("sku", Kind::Text, "Article number on the invoice line. Base prices require it."),
    key("service", Kind::Text, "Service to which the invoice line belongs. Base prices require it."),
    key("description", Kind::Text, "Text of the invoice line; by default the SKU."),
    key("currency", CURRENCY, "Currency of the price; by default that of the file."),
    // These keys describe the pool.
    key("pool", Kind::Text, "Pool in which the quantity is counted; by default the SKU."),
    key("per", Kind::Choice(&["resource", "project", "account"]), "Scope in which the pool is counted."),
    key("every", Kind::Choice(&["window", "day", "period"]), "Time over which the pool is counted.").default("period"),
    key("percentile", DECIMAL, "Percentile of all windows that is charged, such as 95."),
    key("missing_windows", Kind::Choice(&["zero", "ignore"]), "Rank of windows without a record in a percentile.")
        .default("zero"),
    key("round_quantity", Kind::Table(&ROUND_QUANTITY), "Rounding of the pool's quantity."),
    key("free_units", QUANTITY, "Units of the pool that cost nothing.").default("0"),
    key("minimum", DECIMAL, "Smallest cost of the pool."),
    key("maximum", DECIMAL, "Largest cost of the pool."),
    key("cap", Kind::Table(&CAP), "Fixed price after a number of hours."),
    key("flat_fee_at_zero", Kind::Boolean, "Whether the flat fee of the first tier is charged without usage.")
        .default("false"),
    key("minimum_at_zero", Kind::Boolean, "Whether the minimum is charged without usage.").default("false"),
    // These keys contain the price.
    key("unit_price", Kind::OneOf(&[DECIMAL, Kind::Table(&UNIT_PRICE)]), "Price of one unit, or of several."),
    key("prices", Kind::Table(&PRICES), "Price of a unit for each value of a dimension."),
    key(
        "price_list",
        Kind::OneOf(&[Kind::Text, Kind::Table(&PRICE_LIST)]),
        "CSV file of prices by dimensions, beside the rule file.",
    ),
    key("tiers", Kind::Choice(&["graduated", "volume", "stairstep"]), "How the tiers of `tier` apply to a quantity."),
    key("tier", Kind::List(&Kind::Table(&TIER)), "Tiers in rising order; the last has no `up_to`."),
    key("tier_unit", Kind::Choice(&["percent_of_period"]), "Bounds count percent of the period instead of units."),
    key("package", QUANTITY, "Number of units in a package; `unit_price` is the price of a package."),
    key(
        "package_rounding",
        PACKAGE_ROUNDING,
        "Whether each started package is charged as a whole, or complete packages only.",
    )
    .default("started"),
    key("percent", DECIMAL, "Percentage of a metered amount of money."),
    key("factor", Kind::OneOf(&[DECIMAL, Kind::Table(&FACTOR)]), "Factor on the prices of other rules of the meter."),
    key("free", Kind::Boolean, "Usage costs nothing, on purpose. Only `true` is valid."),
    key("example", Kind::List(&Kind::Table(&RULE_EXAMPLE)), "Usage and its cost; `conto rules test` checks it."),
];

pub(crate) const PRICING_UNIT: TableKeys = table("`pricing_unit`", PRICING_UNIT_KEYS);
const PRICING_UNIT_KEYS: &[Key] = &[
    key("name", Kind::Text, "Name of the unit on invoices.").required(),
    key(
        "of",
        Kind::OneOf(&[QUANTITY, Kind::Choice(&["hours_in_period", "seconds_in_period"])]),
        "Number of metered units in one priced unit.",
    )
    .required(),
];

pub(crate) const ROUND_QUANTITY: TableKeys = table("`round_quantity`", ROUND_QUANTITY_KEYS);
const ROUND_QUANTITY_KEYS: &[Key] = &[
    key("up_to_multiple_of", QUANTITY, "Step up to which the quantity is rounded."),
    key("down_to_multiple_of", QUANTITY, "Step down to which the quantity is rounded."),
    key("to_multiple_of", QUANTITY, "Step to which the quantity is rounded, half away from zero."),
    key("every", Kind::Choice(&["day", "period"]), "Time over which the quantity is added before rounding.")
        .default("period"),
];

pub(crate) const CAP: TableKeys = table("`cap`", CAP_KEYS);
const CAP_KEYS: &[Key] = &[
    key("hours", QUANTITY, "Hours of usage from which the fixed price applies.").required(),
    key("price", DECIMAL, "Fixed price for the period.").required(),
];

pub(crate) const PRICE_LIST: TableKeys = table("`price_list`", PRICE_LIST_KEYS);
const PRICE_LIST_KEYS: &[Key] =
    &[PATH, SEPARATOR, QUOTE, ENCODING, NULL_VALUES, DECIMAL_MARK, THOUSANDS_MARK, TIME_ZONE];

pub(crate) const UNIT_PRICE: TableKeys = table("`unit_price`", UNIT_PRICE_KEYS);
const UNIT_PRICE_KEYS: &[Key] = &[
    key("amount", DECIMAL, "Price of so many units.").required(),
    key("per", QUANTITY, "Number of units that the amount pays for.").required(),
];

const BY: &[Key] = &[key("by", Kind::Text, "Dimension whose values are listed.").required()];

pub(crate) const PRICES: TableKeys = TableKeys { what: "`prices`", decided_by: None, keys: BY, others: Some(DECIMAL) };

pub(crate) const FACTOR: TableKeys = TableKeys { what: "`factor`", decided_by: None, keys: BY, others: Some(DECIMAL) };

pub(crate) const PRICE_WINDOW: TableKeys = table("a price window", PRICE_WINDOW_KEYS);
const PRICE_WINDOW_KEYS: &[Key] = &[
    key("days", TEXT_OR_TEXTS, "Weekdays or ranges of them, such as mon-fri."),
    key("months", TEXT_OR_TEXTS, "Months or ranges of them, such as jun-aug."),
    key("from", CLOCK, "Local time of day at which the window starts.").default("00:00"),
    key("to", CLOCK, "Local time of day at which the window ends.").default("24:00"),
    key("dates", Kind::List(&Kind::Date), "Only these dates."),
    key("except", Kind::List(&Kind::Date), "All dates but these."),
    key("unit_price", DECIMAL, "Price of one unit in the window.").required(),
];

const TEXT_OR_TEXTS: Kind = Kind::OneOf(&[Kind::Text, TEXTS]);
const CLOCK: Kind = Kind::Pattern("^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$");

pub(crate) const RULE_EXAMPLE: TableKeys = TableKeys {
    what: "a `[[rule.example]]`",
    decided_by: None,
    keys: RULE_EXAMPLE_KEYS,
    others: Some(DIMENSION_VALUE),
};
const RULE_EXAMPLE_KEYS: &[Key] = &[
    EXAMPLE_NAME,
    EXAMPLE_PERIOD,
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

pub(crate) const INCLUDED_UNITS: TableKeys = table("an `[[included_units]]`", INCLUDED_UNITS_KEYS);
const INCLUDED_UNITS_KEYS: &[Key] = &[
    key("id", Kind::Text, "Unique id of the included units.").required(),
    key("meter", Kind::Text, "Meter whose resources include the units.").required(),
    key("when", Kind::Text, "SQL condition on dimensions of the meter."),
    key("pool", Kind::Text, "Pool whose units are included.").required(),
    key("units", QUANTITY, "Units for each resource and period.").required(),
    key("prorated", Kind::Boolean, "Whether a resource includes units in proportion to its time.").required(),
    key("valid_from", Kind::Time, "Start of validity."),
    key("valid_to", Kind::Time, "End of validity, exclusive."),
];
