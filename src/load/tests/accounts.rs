use insta::assert_snapshot;

use super::*;

const CONFIG: &str = "time_zone = 'UTC'\ncurrency = 'EUR'\naccounts = 'accounts.toml'\n[seller]\nname = 'Cloud'\n";

fn errors(text: &str) -> String {
    lines(config(&[("conto.toml", CONFIG), ("accounts.toml", text)]).1)
}

#[test]
fn errors_of_the_accounts_file() {
    assert_snapshot!(each(
        &[
            "[[account]",
            "[[acount]]",
            "[[account]]",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\ninternal = 'no'",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\nprojects = 'p'",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\nprojects = [1, {}, { id = 'p', nam = 'P' }]",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\n[[account]]\nid = 'a'\nname = 'B'\ncountry = 'FR'",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\nprojects = ['p', 'p']",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\nprojects = ['p']\n[[account]]\nid = 'b'\nname = 'B'\ncountry = 'FR'\nprojects = ['p']",
        ],
        errors,
    ), @r#"
    [[account]
        accounts::syntax | /etc/conto/accounts.toml:1:11 | not valid TOML: unclosed array table, expected `]`
    [[acount]]
        accounts::unknown_key | /etc/conto/accounts.toml:1:3 | unknown key `acount` in the accounts file | did you mean `account`? (keys: account)
    [[account]]
        accounts::missing_key | /etc/conto/accounts.toml:1:1 | `id` is missing in an `[[account]]` | add `id = …`
        accounts::missing_key | /etc/conto/accounts.toml:1:1 | `name` is missing in an `[[account]]` | add `name = …`
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ internal = 'no'
        accounts::wrong_type | /etc/conto/accounts.toml:5:12 | `internal` is text, expected `true` or `false`
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ projects = 'p'
        accounts::wrong_type | /etc/conto/accounts.toml:5:12 | `projects` is text, expected an array of projects
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ projects = [1, {}, { id = 'p', nam = 'P' }]
        accounts::wrong_type | /etc/conto/accounts.toml:5:13 | `projects` is an integer, expected the id of a project as text, or `{ id, name }` | write it in quotes: "1"
        accounts::missing_key | /etc/conto/accounts.toml:5:16 | `id` is missing in a project | add `id = …`
        accounts::unknown_key | /etc/conto/accounts.toml:5:32 | unknown key `nam` in a project | did you mean `name`? (keys: id, name, valid_from, valid_to)
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ [[account]] ⏎ id = 'a' ⏎ name = 'B' ⏎ country = 'FR'
        accounts::duplicate_account | /etc/conto/accounts.toml:6:6, /etc/conto/accounts.toml:2:6 | account `a` is declared twice | merge both accounts, or change one id
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ projects = ['p', 'p']
        accounts::duplicate_project | /etc/conto/accounts.toml:5:18, /etc/conto/accounts.toml:5:13 | project `p` is listed twice in account `a` | a project has one account at a time: remove one entry, or end the first with `valid_to` where the second starts with `valid_from`
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ projects = ['p'] ⏎ [[account]] ⏎ id = 'b' ⏎ name = 'B' ⏎ country = 'FR' ⏎ projects = ['p']
        accounts::duplicate_project | /etc/conto/accounts.toml:10:13, /etc/conto/accounts.toml:5:13 | project `p` is listed in accounts `a` and `b` for the same time | a project has one account at a time: remove one entry, or end the first with `valid_to` where the second starts with `valid_from`
    "#);
}

#[test]
fn uuids_are_compared_without_case() {
    let text = "[[account]]\nid = 'B0'\nname = 'B'\ncountry = 'FR'\nprojects = ['6BA7B8109DAD11D180B400C04FD430C8']\n\
                [[account]]\nid = '6BA7B810-9DAD-11D1-80B4-00C04FD430C8'\nname = 'A'\ncountry = 'FR'\n\
                projects = [{ id = 'Web', name = 'The Web' }]\n";
    let (config, diagnostics) = config(&[("conto.toml", CONFIG), ("accounts.toml", text)]);
    assert_eq!(lines(diagnostics), "");
    let accounts = config.unwrap().accounts.accounts;
    let ids: Vec<_> = accounts.iter().map(|account| (account.id.as_str(), account.projects[0].id.as_str())).collect();
    assert_eq!(ids, [("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "Web"), ("B0", "6ba7b8109dad11d180b400c04fd430c8")]);
}

/// Data that a tax invoice cannot contain cause a warning and a reason for the suspension of the account.
#[test]
fn invalid_billing_data_suspend_an_account() {
    let suspended = |keys: &str| {
        let text = format!("[[account]]\nid = 'a'\nname = 'A'\n{keys}");
        let (config, diagnostics) = config(&[("conto.toml", CONFIG), ("accounts.toml", &text)]);
        let account = config.unwrap().accounts.accounts.remove(0);
        let reasons: Vec<&str> = account.suspension_reasons.into_keys().collect();
        format!("{}    -> {}\n", lines(diagnostics), reasons.join(", "))
    };
    assert_snapshot!(each(
        &[
            "",
            "internal = true",
            "country = 'Germany'",
            "country = 'DE'\nvat_id = 'DE12345678'",
            "country = 'DE'\nvat_id = 'de 123.456.789'\nvies = { valid = true, checked_on = 2026-09-30 }",
            "country = 'GR'\nvat_id = '123456789'",
            "country = 'FR'\ncurrency = 'EURO'\nlanguage = '?'",
        ],
        suspended,
    ), @"
        warning accounts::no_country | /etc/conto/accounts.toml:1:1 | account `a` is suspended: it has no country | add `country` with the two-letter code of ISO 3166, such as `FR`
            -> no_country
    internal = true
            -> 
    country = 'Germany'
        warning accounts::bad_country | /etc/conto/accounts.toml:4:11 | account `a` is suspended: `Germany` is not a country code | use the two-letter code of ISO 3166 in capitals, such as `FR`
            -> bad_country
    country = 'DE' ⏎ vat_id = 'DE12345678'
        warning accounts::bad_vat_id | /etc/conto/accounts.toml:5:10 | account `a` is suspended: `DE12345678` does not have the format of a VAT id | expected: DE and then ######### (`#` is a digit, `@` a letter, `*` a digit or letter)
            -> bad_vat_id
    country = 'DE' ⏎ vat_id = 'de 123.456.789' ⏎ vies = { valid = true, checked_on = 2026-09-30 }
            -> 
    country = 'GR' ⏎ vat_id = '123456789'
        warning accounts::bad_vat_id | /etc/conto/accounts.toml:5:10 | account `a` is suspended: `123456789` does not have the format of a VAT id | expected: EL and then ######### (`#` is a digit, `@` a letter, `*` a digit or letter)
            -> bad_vat_id
    country = 'FR' ⏎ currency = 'EURO' ⏎ language = '?'
        warning accounts::bad_currency | /etc/conto/accounts.toml:5:12 | account `a` is suspended: `EURO` is not a currency for invoices | use the code of a currency in ISO 4217, such as `EUR`
        warning accounts::bad_language | /etc/conto/accounts.toml:6:12 | account `a` is suspended: `?` is not a language tag | use a tag of BCP 47, such as `en`, `de` or `fr-CH`
            -> bad_currency, bad_language
    ");
}

#[test]
fn errors_over_all_accounts() {
    assert_snapshot!(each(
        &[
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\nparent = 'b'",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\nparent = 'a'",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\ncards = ['acme', 'public', 'acme']",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\npayment_days = 400\nvies = { valid = true }",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\nprojects = [{ id = 'p', valid_to = 2026-10-15 }]\n\
             [[account]]\nid = 'b'\nname = 'B'\ncountry = 'FR'\nprojects = [{ id = 'p', valid_from = 2026-10-15 }]",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\nprojects = [{ id = 'p', valid_to = 2026-10-16 }]\n\
             [[account]]\nid = 'b'\nname = 'B'\ncountry = 'FR'\nprojects = [{ id = 'p', valid_from = 2026-10-15 }]",
            "[[account]]\nid = 'a'\nname = 'A'\ncountry = 'FR'\n\
             projects = [{ id = 'p', valid_from = 2026-10-16, valid_to = 2026-10-16 }]",
        ],
        errors,
    ), @"
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ parent = 'b'
        accounts::bad_parent | /etc/conto/accounts.toml:5:10 | account `a` has the parent `b`, which is not declared | declare the parent as an account, or remove the key `parent`
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ parent = 'a'
        accounts::bad_parent | /etc/conto/accounts.toml:5:10 | account `a` is its own parent, directly or through other accounts | remove `parent` from one account of the cycle
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ cards = ['acme', 'public', 'acme']
        accounts::duplicate_card | /etc/conto/accounts.toml:5:28 | card `acme` is listed twice in account `a` | the first card with a price wins; list each card once
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ payment_days = 400 ⏎ vies = { valid = true }
        accounts::bad_number | /etc/conto/accounts.toml:5:16 | `payment_days` is 400, expected 0 to 366
        accounts::missing_key | /etc/conto/accounts.toml:6:8 | `checked_on` is missing in a VIES result | add `checked_on = …`
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ projects = [{ id = 'p', valid_to = 2026-10-15 }] ⏎ [[account]] ⏎ id = 'b' ⏎ name = 'B' ⏎ country = 'FR' ⏎ projects = [{ id = 'p', valid_from = 2026-10-15 }]
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ projects = [{ id = 'p', valid_to = 2026-10-16 }] ⏎ [[account]] ⏎ id = 'b' ⏎ name = 'B' ⏎ country = 'FR' ⏎ projects = [{ id = 'p', valid_from = 2026-10-15 }]
        accounts::duplicate_project | /etc/conto/accounts.toml:10:20, /etc/conto/accounts.toml:5:20 | project `p` is listed in accounts `a` and `b` for the same time | a project has one account at a time: remove one entry, or end the first with `valid_to` where the second starts with `valid_from`
    [[account]] ⏎ id = 'a' ⏎ name = 'A' ⏎ country = 'FR' ⏎ projects = [{ id = 'p', valid_from = 2026-10-16, valid_to = 2026-10-16 }]
        accounts::empty_validity | /etc/conto/accounts.toml:5:20 | project `p` of account `a` has an empty validity | `valid_to` is exclusive: for a project until 30 April, write 2026-05-01
    ");
}

#[test]
fn accounts_are_read_from_csv() {
    let config_text = CONFIG.replace("accounts.toml", "accounts.csv");
    let read = |text: &str| config(&[("conto.toml", &config_text), ("accounts.csv", text)]);
    let text = "id,name,address,country,vat_id,vies_valid,vies_checked_on,currency,cards,internal,project_id,\
                project_name,project_valid_from\n\
                C-1,\"Kervran & Filles, SARL\",18 rue du Port|29100 Douarnenez,FR,FR65000000826,true,2026-09-30,EUR,\
                acme|public,,p1,Shop,\n\
                C-1,,,,,,,,,,p2,,2026-10-15T12:00:00Z\nC-0,Ours,,,,,,,,TRUE,,,\n";
    let (read_config, diagnostics) = read(text);
    assert_eq!(lines(diagnostics), "");
    let accounts = read_config.unwrap().accounts.accounts;
    assert_eq!((accounts[0].id.as_str(), accounts[0].internal, accounts[0].projects.len()), ("C-0", true, 0));
    let kervran = &accounts[1];
    assert_eq!(kervran.address, ["18 rue du Port", "29100 Douarnenez"]);
    assert_eq!(kervran.cards, ["acme", "public"]);
    assert_eq!(kervran.vies.map(|vies| (vies.valid, vies.checked_on.to_string())), Some((true, "2026-09-30".into())));
    assert_eq!(kervran.projects[0].name.as_deref(), Some("Shop"));
    assert_eq!(kervran.projects[1].valid_from, Some(1_792_065_600_000_000));
    assert_snapshot!(each(
        &[
            "id\nC-1\n",
            "id,name,vat\nC-1,A,FR1\n",
            "id,name,internal,payment_days,vies_valid\nC-1,A,maybe,-1,true\n,B,,,\nC-2,,,,\n",
            "id,name,country\nC-1,A,FR\nC-1,A,DE\n",
            "id,name,country,project_id,project_valid_from\nC-1,A,FR,p,soon\n",
        ],
        |text| lines(read(text).1),
    ), @"
    id ⏎ C-1
        accounts::missing_column | /etc/conto/accounts.csv:1:1 | the column `name` is missing
    id,name,vat ⏎ C-1,A,FR1
        accounts::unknown_column | /etc/conto/accounts.csv:1:1 | unknown column `vat` | did you mean `vat_id`? (columns: id, name, address, country, vat_id, vies_valid, vies_checked_on, email, currency, language, purchase_order, cost_centres, payment_terms, payment_days, tax_profile, cards, invoice_per, zero_invoices, parent, internal, valid_from, valid_to, project_id, project_name, project_valid_from, project_valid_to)
        warning accounts::no_country | /etc/conto/accounts.csv:2:1 | account `C-1` is suspended: it has no country | add `country` with the two-letter code of ISO 3166, such as `FR`
    id,name,internal,payment_days,vies_valid ⏎ C-1,A,maybe,-1,true ⏎ ,B,,, ⏎ C-2,,,,
        accounts::bad_cell | /etc/conto/accounts.csv:2:1 | `internal` is `maybe`, expected `true` or `false`
        accounts::bad_cell | /etc/conto/accounts.csv:2:1 | `payment_days` is `-1`, expected 0 to 366
        accounts::bad_cell | /etc/conto/accounts.csv:2:1 | account `C-1` has only one of `vies_valid` and `vies_checked_on`
        warning accounts::no_country | /etc/conto/accounts.csv:2:1 | account `C-1` is suspended: it has no country | add `country` with the two-letter code of ISO 3166, such as `FR`
        accounts::missing_cell | /etc/conto/accounts.csv:3:1 | `id` is empty
        accounts::missing_cell | /etc/conto/accounts.csv:4:1 | account `C-2` has no name
    id,name,country ⏎ C-1,A,FR ⏎ C-1,A,DE
        accounts::contradiction | /etc/conto/accounts.csv:3:1, /etc/conto/accounts.csv:2:1 | `country` of account `C-1` is `DE` here and `FR` in an earlier row | use the same value in all rows of the account, or leave later cells empty
    id,name,country,project_id,project_valid_from ⏎ C-1,A,FR,p,soon
        accounts::bad_time | /etc/conto/accounts.csv:2:1 | `soon` is not a date or time | write a date such as 2026-01-01, or a time such as 2026-01-01T00:00:00Z
    ");
}

#[test]
fn accounts_are_read_from_parquet() {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BooleanArray, Date32Array, ListBuilder, RecordBatch, StringArray, StringBuilder};

    let mut cards = ListBuilder::new(StringBuilder::new());
    cards.append_value([Some("acme"), Some("public")]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from(vec!["C-1"]))),
        ("name", Arc::new(StringArray::from(vec!["Kervran, \"SARL\""]))),
        ("country", Arc::new(StringArray::from(vec!["FR"]))),
        ("cards", Arc::new(cards.finish())),
        ("vies_valid", Arc::new(BooleanArray::from(vec![true]))),
        ("vies_checked_on", Arc::new(Date32Array::from(vec![20_000]))),
        ("project_id", Arc::new(StringArray::from(vec!["p1"]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let place = tempfile::tempdir().unwrap();
    let file = std::fs::File::create(place.path().join("accounts.parquet")).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let text = CONFIG.replace("accounts.toml", "accounts.parquet");
    let (config, diagnostics) = super::super::read_config_text(
        "conto.toml",
        &text,
        place.path(),
        &|_, _| Err(io::Error::other("no text")),
        None,
    );
    assert_eq!(lines(diagnostics), "");
    let account = config.unwrap().accounts.accounts.remove(0);
    assert_eq!((account.name.as_str(), account.cards.len()), ("Kervran, \"SARL\"", 2));
    assert_eq!(account.vies.map(|vies| vies.checked_on.to_string()), Some("2024-10-04".to_owned()));
}
