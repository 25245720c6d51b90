use insta::assert_snapshot;

use super::*;

fn errors(text: &str) -> String {
    let (config, diagnostics) = config(&[("conto.toml", text)]);
    assert_eq!(config.is_none(), diagnostics.has_errors());
    lines(diagnostics)
}

/// The problems of these lines before or after what is needed.
fn beside(text: &str) -> String {
    let needed = "time_zone = 'UTC'\ncurrency = 'EUR'\n";
    let seller = "\n[seller]\nname = 'Cloud'\n";
    errors(&format!("{needed}{text}{}", if text.contains("[seller]") { "" } else { seller }))
}

#[test]
fn what_a_configuration_needs() {
    assert_snapshot!(errors(""), @"
    config::missing_key | conto.toml:1:1 | `currency` is missing in the configuration | add `currency = …`
    config::missing_key | conto.toml:1:1 | `seller` is missing in the configuration | add `seller = …`
    config::missing_key | conto.toml:1:1 | `time_zone` is missing in the configuration | add `time_zone = …`
    ");
    assert_snapshot!(errors("time_zone = UTC"), @"config::syntax | conto.toml:1:13 | not valid TOML: string values must be quoted, expected literal string");
    assert_snapshot!(errors("time_zone = 'Europe/Berln'\ncurrency = 'eur'\nseller = 'Cloud'"), @"
    config::unknown_time_zone | conto.toml:1:13 | there is no time zone `Europe/Berln` | did you mean `Europe/Berlin`?
    config::unknown_currency | conto.toml:2:12 | `eur` is no currency of ISO 4217 | did you mean `EUR`?
    config::wrong_type | conto.toml:3:10 | `seller` is text, expected a table
    ");
    assert_snapshot!(errors("time_zone = 'Mars'\ncurrency = 'XAU'\n[seller]\nnmae = 'Cloud'"), @r#"
    config::unknown_time_zone | conto.toml:1:13 | there is no time zone `Mars` | use a name of the IANA time zone database, such as `Europe/Berlin`
    config::unknown_currency | conto.toml:2:12 | currency `XAU` has no smallest unit to round to | use a currency that people pay in
    config::missing_key | conto.toml:3:1 | `name` is missing in `[seller]` | add `name = …`
    config::unknown_key | conto.toml:4:1 | unknown key `nmae` in `[seller]` | did you mean `name`? (known keys: name, address, country, vat_id, tax_number, email, payment_terms, payment_days, logo, accent_color, legal_footer)
    "#);
}

#[test]
fn what_else_can_be_wrong() {
    assert_snapshot!(each(
        &[
            "lak = 'x'",
            "language = 'not a language'",
            "buckets = 0",
            "buckets = '8'",
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
        beside,
    ), @r#"
    lak = 'x'
        config::unknown_key | conto.toml:3:1 | unknown key `lak` in the configuration | did you mean `lake`? (known keys: lake, rules, accounts, exchange_rates, minimum_invoice_amount, time_zone, currency, language, buckets, seller, tax, closing, invoice_per, templates, ledger, source)
    language = 'not a language'
        config::unknown_language | conto.toml:3:12 | `not a language` is no language tag | such as `en`, `de` or `fr-CH`
    buckets = 0
        config::bad_number | conto.toml:3:11 | `buckets` is 0, expected 1 to 64
    buckets = '8'
        config::wrong_type | conto.toml:3:11 | `buckets` is text, expected an integer | write it without quotes
    accounts = 'missing.toml'
        accounts::unreadable | conto.toml:3:12 | cannot read `/etc/conto/missing.toml`: no such file | the path counts from the directory of conto.toml
    [seller] ⏎ name = 'Cloud' ⏎ country = 'de'
        config::bad_country | conto.toml:5:11 | `de` is no country code, expected two capital letters | use the code of ISO 3166, such as `FR`
    [seller] ⏎ name = 'Cloud' ⏎ address = 'Street 1'
        config::wrong_type | conto.toml:5:11 | `address` is text, expected an array of text
    [tax]
        config::missing_key | conto.toml:3:1 | `name` is missing in `[tax]` | add `name = …`
        config::missing_key | conto.toml:3:1 | `rate` is missing in `[tax]` | add `rate = …`
    [tax] ⏎ name = 'VAT'
        config::missing_key | conto.toml:3:1 | `rate` is missing in `[tax]` | add `rate = …`
        config::tax_without_seller | conto.toml:3:2 | a tax of category S needs a VAT id of the seller | add `vat_id` to `[seller]`, or, where it has none, the `tax_number` of its tax office
        config::tax_without_seller | conto.toml:3:2 | a tax of category S needs the country of the seller | add `country` to `[seller]`
    [tax] ⏎ name = 'VAT' ⏎ rate = 19
        config::wrong_type | conto.toml:5:8 | `rate` is an integer, expected a decimal in quotes | quote it: "19"
    [tax] ⏎ name = 'VAT' ⏎ rate = '0'
        config::tax_without_seller | conto.toml:3:2 | a tax of category S needs a VAT id of the seller | add `vat_id` to `[seller]`, or, where it has none, the `tax_number` of its tax office
        config::tax_without_seller | conto.toml:3:2 | a tax of category S needs the country of the seller | add `country` to `[seller]`
        config::tax_rate | conto.toml:5:8 | tax of category S has the rate 0 | zero rate is Z, exempt is E, outside the scope is O
    [tax] ⏎ name = 'VAT' ⏎ rate = '1900'
        config::tax_without_seller | conto.toml:3:2 | a tax of category S needs a VAT id of the seller | add `vat_id` to `[seller]`, or, where it has none, the `tax_number` of its tax office
        config::tax_without_seller | conto.toml:3:2 | a tax of category S needs the country of the seller | add `country` to `[seller]`
        config::tax_rate | conto.toml:5:8 | the tax rate is 1900 percent | the rate is in percent: "19"
    [tax] ⏎ name = 'VAT' ⏎ category = 'Z' ⏎ rate = '19'
        config::tax_without_seller | conto.toml:3:2 | a tax of category Z needs a VAT id of the seller | add `vat_id` to `[seller]`, or, where it has none, the `tax_number` of its tax office
        config::tax_without_seller | conto.toml:3:2 | a tax of category Z needs the country of the seller | add `country` to `[seller]`
        config::tax_rate | conto.toml:6:8 | tax of category Z has the rate 19, expected 0 | leave `rate` out, or use S
    [tax] ⏎ name = 'VAT' ⏎ category = 'AE'
        config::unknown_word | conto.toml:5:12 | `AE` is no value of `category` | values: S, Z, E, O
    [[source]]
        config::missing_key | conto.toml:3:1 | `format` is missing in a `[[source]]` | add `format = …`
        config::missing_key | conto.toml:3:1 | `name` is missing in a `[[source]]` | add `name = …`
        config::missing_key | conto.toml:3:1 | `path` is missing in a `[[source]]` | add `path = …`
    [[source]] ⏎ name = 'a' ⏎ format = 'yaml' ⏎ path = '*'
        config::unknown_word | conto.toml:5:10 | `yaml` is no value of `format` | values: ceilometer, notifications, cloudevents, csv, parquet, json, prometheus, gnocchi
    [[source]] ⏎ name = 'a' ⏎ format = 'ceilometer' ⏎ path = '*' ⏎ columns = { a = 'b' }
        config::columns_not_used | conto.toml:7:1 | `columns` is for csv and parquet, samples and notifications have their own | leave it out
    [[source]] ⏎ name = 'a' ⏎ format = 'csv' ⏎ path = '*' ⏎ [[source]] ⏎ name = 'a' ⏎ format = 'csv' ⏎ path = '*'
        config::duplicate_source | conto.toml:8:8, conto.toml:4:8 | source `a` is declared twice | give one of them another name
    "#);
}

#[test]
fn a_file_that_is_not_there() {
    let (config, diagnostics) = crate::load::read_config(Path::new("nowhere/conto.toml"));
    assert!(config.is_none());
    assert_snapshot!(lines(diagnostics), @"config::unreadable |  | cannot read `nowhere/conto.toml`: there is no such file | run in the directory of conto.toml, or name the file with --config");
}
