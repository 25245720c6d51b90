//! The keys of a dialect for accounts, exchange rates, lookups and price lists.

use insta::assert_snapshot;

use super::*;
use crate::load::{read_config, read_rules};
use crate::model::rule::Pricing;

/// The configuration of the accounts and exchange rates in these files.
fn config_of(accounts: (&str, Vec<u8>), rates: (&str, Vec<u8>)) -> Config {
    let place = tempfile::tempdir().unwrap();
    let head = "time_zone = 'UTC'\ncurrency = 'EUR'\n";
    let text = format!("{head}accounts = {}\nexchange_rates = {}\n[seller]\nname = 'S'\n", accounts.0, rates.0);
    std::fs::write(place.path().join("conto.toml"), text).unwrap();
    std::fs::write(place.path().join("accounts.csv"), accounts.1).unwrap();
    std::fs::write(place.path().join("rates.csv"), rates.1).unwrap();
    let (config, diagnostics) = read_config(&place.path().join("conto.toml"));
    assert_eq!(lines(diagnostics), "");
    config.unwrap()
}

fn utf16(text: &str) -> Vec<u8> {
    format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// Accounts in Windows-1252 with semicolons, single quotes, `-` for an absent value and times in Berlin. Rates in
/// UTF-16 with tabs, a decimal comma and no quotes. All values equal those in the default dialect.
#[test]
fn accounts_and_exchange_rates_are_equal_in_every_dialect() {
    let expected = config_of(
        (
            "'accounts.csv'",
            "id,name,country,email,project_id,project_valid_from\n\
             C-1,\"Bäckerei; Süd\",DE,,p-1,2026-09-30T22:00:00Z\n\
             C-1,,,,p-2,2026-10-25T01:30:00Z\n"
                .into(),
        ),
        ("'rates.csv'", "date,base,quote,rate\n2026-10-30,EUR,JPY,1234.5\n2026-10-30,EUR,USD,1.08\n".into()),
    );
    let accounts = "id;name;country;email;project_id;project_valid_from\r\n\
                    C-1;'Bäckerei; Süd';DE;-;p-1;2026-10-01\r\n\
                    C-1;;;-;p-2;2026-10-25 02:30:00+01:00\r\n\r\n";
    let (accounts, _, _) = encoding_rs::WINDOWS_1252.encode(accounts);
    let found = config_of(
        (
            r#"{ path = "accounts.csv", separator = ";", quote = "'", encoding = "windows-1252", null_values = ["-"],
                time_zone = "Europe/Berlin" }"#,
            accounts.into_owned(),
        ),
        (
            r#"{ path = "rates.csv", separator = "\t", quote = "none", encoding = "utf-16le", decimal_mark = ",",
                thousands_mark = "." }"#,
            utf16("date\tbase\tquote\trate\n2026-10-30\tEUR\tJPY\t1.234,5\n2026-10-30\tEUR\tUSD\t1,08\n"),
        ),
    );
    assert_eq!(found.accounts.accounts, expected.accounts.accounts);
    assert_eq!(found.accounts.accounts[0].name, "Bäckerei; Süd");
    assert_eq!(found.accounts.accounts[0].projects.len(), 2);
    assert_eq!(found.exchange_rates.rates, expected.exchange_rates.rates);
    // The commit contains decoded texts, which are read again without decoding.
    assert!(found.accounts.source.unwrap().text.contains("Bäckerei"));
    assert!(found.exchange_rates_source.unwrap().text.contains("1.234,5"));
}

fn rows_of(price_list: (&str, &[u8]), lookup: (&str, &[u8])) -> (String, String) {
    let place = tempfile::tempdir().unwrap();
    let rules = format!(
        "{METERS}\n[[lookup]]\nname = 'os'\nfile = {}\n[[rule]]\nid = 'a'\nmeter = 'instance'\nsku = 'S'\n\
         service = 'C'\nprice_list = {}\n",
        lookup.0, price_list.0
    );
    for (name, bytes) in [("r.toml", rules.as_bytes()), ("list.csv", price_list.1), ("os.csv", lookup.1)] {
        std::fs::write(place.path().join(name), bytes).unwrap();
    }
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let (book, diagnostics) = read_rules(place.path(), &zone, iso_currency::Currency::EUR, Some(place.path()));
    assert_eq!(lines(diagnostics).lines().find(|line| !line.starts_with("warning")), None);
    let Pricing::PriceList { rows, .. } = &book.rules[0].pricing else { panic!("not a price list") };
    let lookup = book.lookups[0].rows.iter().map(|row| (&row.key, &row.value, row.valid_from, row.valid_to));
    (format!("{rows:?}"), format!("{:?}", lookup.collect::<Vec<_>>()))
}

/// The decimal dimension `vcpus` and the prices have decimal commas. Times are in UTC, while the billing time zone is
/// Europe/Berlin.
#[test]
fn price_lists_and_lookups_are_equal_in_every_dialect() {
    let expected = rows_of(
        (
            "'list.csv'",
            "flavor,vcpus,unit_price,maximum,valid_from\nmittelgroß,1.5,1000.25,,2026-09-30T22:00:00Z\n\"a;b\",2,0.02,9.5,\n"
                .as_bytes(),
        ),
        ("'os.csv'", "key,value,valid_to\ni-1,\"für; alle\",2026-10-01T00:00:00Z\n".as_bytes()),
    );
    let list = "flavor;vcpus;unit_price;maximum;valid_from\r\nmittelgroß;1,5;1.000,25;k. A.;2026-09-30T22:00:00\r\n\
                'a;b';2;0,02;9,5;\r\n";
    let (list, _, _) = encoding_rs::WINDOWS_1252.encode(list);
    let found = rows_of(
        (
            r#"{ path = "list.csv", separator = ";", quote = "'", encoding = "latin1", decimal_mark = ",",
                thousands_mark = ".", null_values = ["k. A."], time_zone = "UTC" }"#,
            &list,
        ),
        (
            r#"{ path = "os.csv", separator = "|", quote = "none", encoding = "utf-16le", null_values = ["-"],
                time_zone = "UTC" }"#,
            &utf16("key|value|valid_to\ni-1|für; alle|2026-10-01\n"),
        ),
    );
    assert_eq!(found, expected);
}

#[test]
fn invalid_keys_of_a_dialect_are_refused() {
    let source = |keys: &str| {
        let text = format!(
            "time_zone = 'UTC'\ncurrency = 'EUR'\n[seller]\nname = 'S'\n[[source]]\nname = 's'\npath = 'p'\n{keys}"
        );
        lines(config(&[("conto.toml", &text)]).1)
    };
    assert_snapshot!(each(
        &[
            "format = 'csv'\nseparator = ';;'",
            "format = 'csv'\nseparator = 'ö'",
            "format = 'csv'\nseparator = ''",
            "format = 'csv'\nquote = 'no'",
            "format = 'csv'\nseparator = \"'\"\nquote = \"'\"",
            "format = 'csv'\nencoding = 'windows-1522'",
            "format = 'csv'\ndecimal_mark = ';'",
            "format = 'csv'\nthousands_mark = '_'",
            "format = 'csv'\ndecimal_mark = ','\nthousands_mark = ','",
            "format = 'csv'\nthousands_mark = '.'",
            "format = 'csv'\nnull_values = 'N/A'",
            "format = 'csv'\ntime_zone = 'Europe/Berln'",
            "format = 'csv'\ntime_unit = 'ms'",
            "format = 'csv'\nselect = 'SELECT 1'\nthousands_mark = ','",
            "format = 'parquet'\nseparator = ';'",
            "format = 'ceilometer'\ntime_zone = 'Europe/Berlin'",
            "format = 'json'\nselect = 'SELECT 1'\nnull_values = ['N/A']",
        ],
        source,
    ), @r#"
    format = 'csv' ⏎ separator = ';;'
        config::bad_dialect | conto.toml:9:13 | `separator` is `;;` | write one ASCII character, such as `;`, `|` or `\t`
    format = 'csv' ⏎ separator = 'ö'
        config::bad_dialect | conto.toml:9:13 | `separator` is `ö` | write one ASCII character, such as `;`, `|` or `\t`
    format = 'csv' ⏎ separator = ''
        config::bad_dialect | conto.toml:9:13 | `separator` is `` | write one ASCII character, such as `;`, `|` or `\t`
    format = 'csv' ⏎ quote = 'no'
        config::bad_dialect | conto.toml:9:9 | `quote` is `no` | write one ASCII character, or `none`
    format = 'csv' ⏎ separator = "'" ⏎ quote = "'"
        config::bad_dialect | conto.toml:10:9 | `quote` and `separator` are the same character | choose another `quote`, or `none`
    format = 'csv' ⏎ encoding = 'windows-1522'
        config::bad_dialect | conto.toml:9:12 | `windows-1522` is not the label of an encoding | did you mean `windows-1252`?
    format = 'csv' ⏎ decimal_mark = ';'
        config::bad_dialect | conto.toml:9:16 | `decimal_mark` is `;` | write `.` or `,`
    format = 'csv' ⏎ thousands_mark = '_'
        config::bad_dialect | conto.toml:9:18 | `thousands_mark` is `_` | write `.`, `,`, `'` or a space
    format = 'csv' ⏎ decimal_mark = ',' ⏎ thousands_mark = ','
        config::bad_dialect | conto.toml:10:18 | `thousands_mark` and `decimal_mark` are both `,` | set `decimal_mark` to the mark before the decimal places
    format = 'csv' ⏎ thousands_mark = '.'
        config::bad_dialect | conto.toml:9:18 | `thousands_mark` and `decimal_mark` are both `.` | set `decimal_mark` to the mark before the decimal places
    format = 'csv' ⏎ null_values = 'N/A'
        config::wrong_type | conto.toml:9:15 | `null_values` is text, expected an array of text
    format = 'csv' ⏎ time_zone = 'Europe/Berln'
        config::unknown_time_zone | conto.toml:9:13 | the time zone `Europe/Berln` does not exist | did you mean `Europe/Berlin`?
    format = 'csv' ⏎ time_unit = 'ms'
        config::bad_dialect | conto.toml:9:13 | `time_unit` is `ms` | write `milliseconds`
    format = 'csv' ⏎ select = 'SELECT 1' ⏎ thousands_mark = ','
        config::select_not_used | conto.toml:9:11 | `thousands_mark` is not for a source with a `select` | remove the marks in the select, such as replace(amount, ',', '')
    format = 'parquet' ⏎ separator = ';'
        config::unknown_key | conto.toml:9:1 | `separator` is not valid in a `[[source]]` with format = "parquet" | remove `separator`, which is for `csv`
    format = 'ceilometer' ⏎ time_zone = 'Europe/Berlin'
        config::unknown_key | conto.toml:9:1 | `time_zone` is not valid in a `[[source]]` with format = "ceilometer" | remove `time_zone`, which is for `csv`, `parquet`, `json`
    format = 'json' ⏎ select = 'SELECT 1' ⏎ null_values = ['N/A']
        config::unknown_key | conto.toml:10:1 | `null_values` is not valid in a `[[source]]` with format = "json" | remove `null_values`, which is for `csv`
    "#);
    let of_config = |keys: &str| {
        let text = format!("time_zone = 'UTC'\ncurrency = 'EUR'\n{keys}\n[seller]\nname = 'S'\n");
        let files = [
            ("conto.toml", text.as_str()),
            ("accounts.toml", ""),
            ("kunden.csv", "id;name\nC-1;Kunde\n"),
            ("kurse.csv", "date;base;quote;rate\n2026-10-30;EUR;USD;1,08\n"),
            ("rates.csv", "date,base,quote,rate\n2026-10-30,EUR,USD,\"1,08\"\n"),
        ];
        lines(config(&files).1)
    };
    assert_snapshot!(each(
        &[
            "accounts = 'kunden.csv'",
            "accounts = { path = 'kunden.csv', encoding = 'utf-8' }",
            "accounts = { path = 'kunden.csv', separator = ';', decimal_mark = ',' }",
            "accounts = { separator = ';' }",
            "accounts = { path = 'accounts.toml', separator = ';' }",
            "exchange_rates = 'kurse.csv'",
            "exchange_rates = { path = 'kurse.csv', separator = ';' }",
            "exchange_rates = { path = 'rates.csv', decimal_mark = '.', thousands_mark = ',' }",
        ],
        of_config,
    ), @r#"
    accounts = 'kunden.csv'
        accounts::missing_column | /etc/conto/kunden.csv:1:1 | the column `id` is missing | the file seems to need accounts = { path = "kunden.csv", separator = ";" }
    accounts = { path = 'kunden.csv', encoding = 'utf-8' }
        accounts::missing_column | /etc/conto/kunden.csv:1:1 | the column `id` is missing | the file seems to need separator = ";" in `accounts`
    accounts = { path = 'kunden.csv', separator = ';', decimal_mark = ',' }
        warning accounts::no_country | /etc/conto/kunden.csv:2:1 | account `C-1` is suspended: it has no country | add `country` with the two-letter code of ISO 3166, such as `FR`
        config::unknown_key | conto.toml:3:52 | unknown key `decimal_mark` in `accounts` | keys: path, separator, quote, encoding, null_values, time_zone
    accounts = { separator = ';' }
        config::missing_key | conto.toml:3:12 | `path` is missing in `accounts` | add `path = …`
    accounts = { path = 'accounts.toml', separator = ';' }
        config::bad_dialect | conto.toml:3:21 | the keys of a dialect are only for CSV, but `accounts.toml` is not CSV | write accounts = "accounts.toml"
    exchange_rates = 'kurse.csv'
        rates::columns | /etc/conto/kurse.csv:1:1 | the columns are date;base;quote;rate, expected date, base, quote, rate | the file seems to need exchange_rates = { path = "kurse.csv", separator = ";", decimal_mark = "," }
    exchange_rates = { path = 'kurse.csv', separator = ';' }
        rates::bad_cell | /etc/conto/kurse.csv:2:1 | `rate` is "1,08", which is not a decimal number | the file seems to need decimal_mark = "," in `exchange_rates`
    exchange_rates = { path = 'rates.csv', decimal_mark = '.', thousands_mark = ',' }
        rates::bad_cell | /etc/conto/rates.csv:2:1 | `rate` is "1,08", which is not a decimal number | expected the decimal mark `.` and the thousands mark `,`
    "#);
}

#[test]
fn a_file_in_another_encoding_is_refused_with_its_line() {
    let place = tempfile::tempdir().unwrap();
    let read = |accounts: &str| {
        let text = format!("time_zone = 'UTC'\ncurrency = 'EUR'\naccounts = {accounts}\n[seller]\nname = 'S'\n");
        std::fs::write(place.path().join("conto.toml"), text).unwrap();
        std::fs::write(place.path().join("accounts.csv"), b"id,name\nC-1,B\xa0cker\n").unwrap();
        lines(read_config(&place.path().join("conto.toml")).1).replace(&*place.path().to_string_lossy(), "")
    };
    assert_snapshot!(each(&["'accounts.csv'", "{ path = 'accounts.csv', encoding = 'shift_jis' }"], read), @r#"
    'accounts.csv'
        accounts::unreadable | /conto.toml:3:12 | cannot read `/accounts.csv`: line 2 is not UTF-8 | the file seems to need accounts = { path = "accounts.csv", encoding = "windows-1252" }
    { path = 'accounts.csv', encoding = 'shift_jis' }
        accounts::unreadable | /conto.toml:3:21 | cannot read `/accounts.csv`: line 2 is not Shift_JIS | set `encoding` in `accounts` to the encoding of the file
    "#);
    std::fs::write(place.path().join("a.toml"), "[[lookup]]\nname = 'a'\nfile = 'x.csv'\n").unwrap();
    let other = "[[lookup]]\nname = 'b'\nfile = { path = 'x.csv', encoding = 'latin1' }\n";
    std::fs::write(place.path().join("b.toml"), other).unwrap();
    std::fs::write(place.path().join("x.csv"), "key,value\n").unwrap();
    let berlin = TimeZone::get("Europe/Berlin").unwrap();
    let (_, found) = read_rules(place.path(), &berlin, iso_currency::Currency::EUR, Some(place.path()));
    let found: String =
        lines(found).lines().filter(|line| line.contains("x.csv")).map(|line| format!("{line}\n")).collect();
    assert_snapshot!(found, @"rules::bad_file | b.toml:3:17 | `x.csv` is read as windows-1252 here and as UTF-8 before | use the same `encoding` in all references to the file");
}
