//! Keys that rules and terms share: tiers, examples and their usage.

use super::{DECIMAL, Key, Kind, MONTH, QUANTITY, SIGNED_DECIMAL, SIGNED_QUANTITY, TEXTS, TableKeys, key, table};

pub(super) const PATH: Key = key("path", Kind::Text, "Path of the CSV file.").required();

pub(super) const SEPARATOR: Key =
    key("separator", Kind::Pattern("^[\t !#-~]$"), "Character between the cells of a CSV file.").default(",");

pub(super) const QUOTE: Key =
    key("quote", Kind::Pattern("^([!-~]|none)$"), "Character around cells that contain separators, or none.")
        .default("\"");

pub(super) const ENCODING: Key =
    key("encoding", Kind::Text, "Encoding of the file as a label of the WHATWG, such as windows-1252.")
        .default("utf-8");

pub(super) const NULL_VALUES: Key =
    key("null_values", TEXTS, "Texts of cells without a value, in addition to the empty text.");

pub(super) const DECIMAL_MARK: Key =
    key("decimal_mark", Kind::Pattern("^[.,]$"), "Mark before the decimal places of a number.").default(".");

pub(super) const THOUSANDS_MARK: Key =
    key("thousands_mark", Kind::Pattern("^[.,' ]$"), "Mark between groups of three digits of a number.");

pub(super) const TIME_ZONE: Key = key("time_zone", Kind::Text, "IANA time zone of dates and times without an offset.");

pub(super) const TIME_UNIT: Key = key(
    "time_unit",
    Kind::Choice(&["seconds", "milliseconds", "microseconds", "nanoseconds"]),
    "Unit of numbers that count the time since 1970.",
)
.default("seconds");

pub(crate) const TIER: TableKeys = table("a tier", TIER_KEYS);

pub(super) const EXAMPLE_NAME: Key = key("name", Kind::Text, "What the example shows.").required();

pub(super) const EXAMPLE_PERIOD: Key = key("period", MONTH, "Billing period of the example, such as 2026-10.");

pub(super) const EXAMPLE_COST: Key = key("cost", SIGNED_DECIMAL, "Expected exact cost, before rounding.");

pub(super) const EXAMPLE_NET_AMOUNT: Key =
    key("net_amount", SIGNED_DECIMAL, "Expected sum of the rounded invoice lines.");

pub(super) const EXAMPLE_USAGES: Key =
    key("usage", Kind::List(&Kind::Table(&EXAMPLE_USAGE)), "Several usages, instead of one in the example itself.");

pub(super) const USAGE_AT: Key = key("at", Kind::Time, "Time of the usage.");

pub(super) const USAGE_METER: Key = key("meter", Kind::Text, "Meter of the usage; by default that of the rule.");

pub(super) const USAGE_RESOURCE: Key = key("resource", Kind::Text, "Id of the resource.");

pub(super) const USAGE_PROJECT: Key = key("project", Kind::Text, "Id of the project.");

pub(super) const USAGE_QUANTITY: Key = key("quantity", SIGNED_QUANTITY, "Metered quantity.");

pub(super) const USAGE_WINDOWS: Key =
    key("windows", Kind::Integer(1, 44_700), "Number of consecutive windows with this usage.").default("1");

/// The value of a dimension.
pub(super) const DIMENSION_VALUE: Kind = Kind::OneOf(&[Kind::Text, Kind::Boolean]);

pub(crate) const EXAMPLE_USAGE: TableKeys = TableKeys {
    what: "a usage of an example",
    decided_by: None,
    keys: EXAMPLE_USAGE_KEYS,
    others: Some(DIMENSION_VALUE),
};

pub(super) const EXAMPLE_USAGE_KEYS: &[Key] = &[
    USAGE_AT,
    USAGE_METER,
    USAGE_RESOURCE,
    USAGE_PROJECT,
    key("quantity", SIGNED_QUANTITY, "Metered quantity.").required(),
    USAGE_WINDOWS,
];

pub(super) const TIER_KEYS: &[Key] = &[
    key(
        "up_to",
        QUANTITY,
        "Inclusive upper bound of the tier, counted from the end of free units; the last tier has none.",
    ),
    key("below", QUANTITY, "Exclusive upper bound of the tier, in place of up_to; not for graduated tiers."),
    key("unit_price", DECIMAL, "Price of one unit, or of one package."),
    key("percent", DECIMAL, "Percentage of a metered amount of money."),
    key("package", QUANTITY, "Number of units in a package."),
    key(
        "package_rounding",
        PACKAGE_ROUNDING,
        "Whether each started package is charged as a whole, or complete packages only.",
    )
    .default("started"),
    key("flat_fee", DECIMAL, "Fee for reaching the tier, charged one time.").default("0"),
    key("max_amount", DECIMAL, "Largest cost of the tier in a pool, with its flat fee; not for stairstep tiers."),
];

pub(super) const PACKAGE_ROUNDING: Kind = Kind::Choice(&["started", "complete"]);
