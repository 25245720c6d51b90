use insta::assert_snapshot;

use super::*;

fn errors(text: &str) -> String {
    let (config, diagnostics) = config(&[("conto.toml", text)]);
    assert_eq!(config.is_none(), diagnostics.has_errors());
    lines(diagnostics)
}

/// The problems of a minimal configuration with additional lines.
fn with_lines(text: &str) -> String {
    let required = "time_zone = 'UTC'\ncurrency = 'EUR'\n";
    let seller = "\n[seller]\nname = 'Cloud'\n";
    errors(&format!("{required}{text}{}", if text.contains("[seller]") { "" } else { seller }))
}

#[test]
fn required_keys_of_the_configuration() {
    assert_snapshot!(errors(""), @"
    config::missing_key | conto.toml:1:1 | `currency` is missing in the configuration | add `currency = …`
    config::missing_key | conto.toml:1:1 | `seller` is missing in the configuration | add `seller = …`
    config::missing_key | conto.toml:1:1 | `time_zone` is missing in the configuration | add `time_zone = …`
    ");
    assert_snapshot!(errors("time_zone = UTC"), @"config::syntax | conto.toml:1:13 | not valid TOML: string values must be quoted, expected literal string");
    assert_snapshot!(errors("time_zone = 'Europe/Berln'\ncurrency = 'eur'\nseller = 'Cloud'"), @"
    config::unknown_time_zone | conto.toml:1:13 | the time zone `Europe/Berln` does not exist | did you mean `Europe/Berlin`?
    config::unknown_currency | conto.toml:2:12 | `eur` is not a currency of ISO 4217 | did you mean `EUR`?
    config::wrong_type | conto.toml:3:10 | `seller` is text, expected a table
    ");
    assert_snapshot!(errors("time_zone = 'Mars'\ncurrency = 'XAU'\n[seller]\nnmae = 'Cloud'"), @"
    config::unknown_time_zone | conto.toml:1:13 | the time zone `Mars` does not exist | use a name from the IANA time zone database, such as `Europe/Berlin`
    config::unknown_currency | conto.toml:2:12 | currency `XAU` has no minor unit, so amounts cannot be rounded | use a currency for payments, such as `EUR`
    config::missing_key | conto.toml:3:1 | `name` is missing in `[seller]` | add `name = …`
    config::unknown_key | conto.toml:4:1 | unknown key `nmae` in `[seller]` | did you mean `name`? (keys: name, address, country, vat_id, tax_number, registrations, email, payment_terms, payment_days, logo, accent_color, legal_footer)
    ");
}

#[test]
fn errors_of_the_configuration() {
    assert_snapshot!(each(
        &[
            "lak = 'x'",
            "language = 'not a language'",
            "shards = 0",
            "shards = '8'",
            "accounts = 'missing.toml'",
            "[seller]\nname = 'Cloud'\ncountry = 'de'",
            "[seller]\nname = 'Cloud'\naddress = 'Street 1'",
            "[tax]",
            "[tax]\nname = 'VAT'",
            "[tax]\nname = 'VAT'\nrate = 19",
            "[tax]\nname = 'VAT'\nrate = '0'",
            "[tax]\nname = 'VAT'\nrate = '1900'",
            "[tax]\nname = 'VAT'\ncategory = 'Z'\nrate = '19'",
            "[tax]\nname = 'VAT'\ncategory = 'AE'",
            "[[source]]",
            "[[source]]\nname = 'a'\nformat = 'yaml'\npath = '*'",
            "[[source]]\nname = 'a'\nformat = 'ceilometer'\npath = '*'\ncolumns = { a = 'b' }",
            "[[source]]\nname = 'a'\nformat = 'csv'\npath = '*'\n[[source]]\nname = 'a'\nformat = 'csv'\npath = '*'",
        ],
        with_lines,
    ), @r#"
    lak = 'x'
        config::unknown_key | conto.toml:3:1 | unknown key `lak` in the configuration | did you mean `lake`? (keys: lake, rules, accounts, exchange_rates, minimum_invoice_amount, time_zone, currency, language, shards, duplicate_window, seller, tax, closing, run, invoice_per, zero_invoices, templates, ledger, source)
    language = 'not a language'
        config::unknown_language | conto.toml:3:12 | `not a language` is not a language tag | use a tag such as `en`, `de` or `fr-CH`
    shards = 0
        config::bad_number | conto.toml:3:10 | `shards` is 0, expected 1 to 64
    shards = '8'
        config::wrong_type | conto.toml:3:10 | `shards` is text, expected an integer | write it without quotes
    accounts = 'missing.toml'
        accounts::unreadable | conto.toml:3:12 | cannot read `/etc/conto/missing.toml`: no such file | the path is relative to the directory of conto.toml
    [seller] ⏎ name = 'Cloud' ⏎ country = 'de'
        config::bad_country | conto.toml:5:11 | `de` is not a country code, expected two capital letters | use the two-letter code of ISO 3166, such as `FR`
    [seller] ⏎ name = 'Cloud' ⏎ address = 'Street 1'
        config::wrong_type | conto.toml:5:11 | `address` is text, expected an array of text
    [tax]
        config::missing_key | conto.toml:3:1 | `name` is missing in `[tax]` | add `name = …`
        config::missing_key | conto.toml:3:1 | `rate` is missing in `[tax]` | add `rate = …`
    [tax] ⏎ name = 'VAT'
        config::missing_key | conto.toml:3:1 | `rate` is missing in `[tax]` | add `rate = …`
        config::tax_without_seller | conto.toml:3:2 | tax of category S requires a VAT id of the seller | add `vat_id` to `[seller]`; a seller without a VAT id needs the `tax_number` of its tax office
        config::tax_without_seller | conto.toml:3:2 | tax of category S requires the country of the seller | add `country` to `[seller]`
    [tax] ⏎ name = 'VAT' ⏎ rate = 19
        config::wrong_type | conto.toml:5:8 | `rate` is an integer, expected a decimal in quotes | write it in quotes: "19"
    [tax] ⏎ name = 'VAT' ⏎ rate = '0'
        config::tax_without_seller | conto.toml:3:2 | tax of category S requires a VAT id of the seller | add `vat_id` to `[seller]`; a seller without a VAT id needs the `tax_number` of its tax office
        config::tax_without_seller | conto.toml:3:2 | tax of category S requires the country of the seller | add `country` to `[seller]`
        config::tax_rate | conto.toml:5:8 | tax of category S has the rate 0, expected more than 0 | use category Z for zero rate, E for exempt, O for outside the scope of tax
    [tax] ⏎ name = 'VAT' ⏎ rate = '1900'
        config::tax_without_seller | conto.toml:3:2 | tax of category S requires a VAT id of the seller | add `vat_id` to `[seller]`; a seller without a VAT id needs the `tax_number` of its tax office
        config::tax_without_seller | conto.toml:3:2 | tax of category S requires the country of the seller | add `country` to `[seller]`
        config::tax_rate | conto.toml:5:8 | the tax rate is 1900 percent, expected at most 100 | write the rate in percent, such as "19"
    [tax] ⏎ name = 'VAT' ⏎ category = 'Z' ⏎ rate = '19'
        config::tax_without_seller | conto.toml:3:2 | tax of category Z requires a VAT id of the seller | add `vat_id` to `[seller]`; a seller without a VAT id needs the `tax_number` of its tax office
        config::tax_without_seller | conto.toml:3:2 | tax of category Z requires the country of the seller | add `country` to `[seller]`
        config::tax_rate | conto.toml:6:8 | tax of category Z has the rate 19, expected 0 | remove `rate`, or write category = "S"
    [tax] ⏎ name = 'VAT' ⏎ category = 'AE'
        config::unknown_word | conto.toml:5:12 | `AE` is not a value of `category` | values: S, Z, E, O
    [[source]]
        config::missing_key | conto.toml:3:1 | `format` is missing in a `[[source]]` | add `format = …`
        config::missing_key | conto.toml:3:1 | `name` is missing in a `[[source]]` | add `name = …`
        config::missing_key | conto.toml:3:1 | `path` is missing in a `[[source]]` | add `path = …`
    [[source]] ⏎ name = 'a' ⏎ format = 'yaml' ⏎ path = '*'
        config::unknown_word | conto.toml:5:10 | `yaml` is not a value of `format` | values: ceilometer, notifications, cloudevents, csv, parquet, json, prometheus, gnocchi
    [[source]] ⏎ name = 'a' ⏎ format = 'ceilometer' ⏎ path = '*' ⏎ columns = { a = 'b' }
        config::columns_not_used | conto.toml:7:1 | `columns` is not valid for `ceilometer` and `notifications`, which have fixed fields | remove `columns`
    [[source]] ⏎ name = 'a' ⏎ format = 'csv' ⏎ path = '*' ⏎ [[source]] ⏎ name = 'a' ⏎ format = 'csv' ⏎ path = '*'
        config::duplicate_source | conto.toml:8:8, conto.toml:4:8 | source `a` is declared twice | rename one of the sources
    "#);
}

#[test]
fn a_missing_configuration() {
    let (config, diagnostics) = crate::load::read_config(Path::new("nowhere/conto.toml"));
    assert!(config.is_none());
    assert_snapshot!(lines(diagnostics), @"config::unreadable |  | cannot read `nowhere/conto.toml`: the file does not exist | run the command in the directory of conto.toml, or give the path with --config");
}
