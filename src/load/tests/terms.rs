use insta::assert_snapshot;

use super::*;

#[test]
fn errors_of_terms() {
    assert_snapshot!(each(
        &[
            "[[discount]]",
            "[[discount]]\nid = 'd'\npercent = '10'\namount = '5'",
            "[[discount]]\nid = 'd'\npercent = '110'",
            "[[discount]]\nid = 'd'\namount = '5.005'",
            "[[discount]]\nid = 'd'\namount = '5.5'\ncurrency = 'JPY'",
            "[[discount]]\nid = 'd'\namount = '5'\ncurrency = 'EURO'",
            "[[discount]]\nid = 'd'\npercent = '10'\nvalid_from = 2026-02-01\nvalid_to = 2026-01-01",
            "[[discount]]\nid = 'd'\npercent = '10'\nvalid_from = 2026-02-01T12:00:00Z",
            "[[discount]]\nid = 'd'\npercent = '10'\n[[discount]]\nid = 'd'\npercent = '5'",
            "[[minimum_spend]]\nid = 'c'\namount = '0'",
            "[[credit]]\nid = 'c'\naccount = 'a'\namount = '10'\nkind = 'gift'",
            "[[credit]]\nid = 'c'\naccount = 'a'\namount = '10'\nkind = 'prepaid'",
            "[[credit]]\nid = 'c'\naccount = 'a'\namount = '10'\nkind = 'prepaid'\ntaxed = 'at_sale'",
            "[[credit]]\nid = 'c'\naccount = 'a'\namount = '10'\nkind = 'promotional'\ntaxed = 'at_use'",
            "[[tax]]\nid = 't'\nname = 'VAT'",
            "[[tax]]\nid = 't'\nname = 'VAT'\nrate = '0'",
            "[[tax]]\nid = 't'\nname = 'VAT'\ncategory = 'AE'\nrate = '19'",
            "[[tax]]\nid = 't'\nname = 'VAT'\ncategory = 'X'",
            "[[tax]]\nid = 't'\nname = 'VAT'\nrate = '19'\ncountries = ['Germany']\nexemption_reason = 'none'",
        ],
        |text| errors(&[("r.toml", text)]),
    ), @r#"
    [[discount]]
        rules::missing_key | r.toml:1:1 | `id` is missing in a `[[discount]]` | add `id = …`
        rules::missing_key | r.toml:1:1 | `percent` is missing in a `[[discount]]` | add `percent = …`
    [[discount]] ⏎ id = 'd' ⏎ percent = '10' ⏎ amount = '5'
        rules::two_prices | r.toml:4:1 | the discount has both `percent` and `amount` | write two discounts; they apply one after the other, in the order of `position`
    [[discount]] ⏎ id = 'd' ⏎ percent = '110'
        rules::bad_number | r.toml:3:11 | the discount is 110 percent, expected at most 100
    [[discount]] ⏎ id = 'd' ⏎ amount = '5.005'
        rules::bad_number | r.toml:3:10 | `amount` is 5.005, expected at most 2 decimal places in EUR
    [[discount]] ⏎ id = 'd' ⏎ amount = '5.5' ⏎ currency = 'JPY'
        rules::bad_number | r.toml:3:10 | `amount` is 5.5, expected at most 0 decimal places in JPY
    [[discount]] ⏎ id = 'd' ⏎ amount = '5' ⏎ currency = 'EURO'
        rules::unknown_currency | r.toml:4:12 | `EURO` is not a currency of ISO 4217 for payments | use a code of three capital letters, such as `EUR`
    [[discount]] ⏎ id = 'd' ⏎ percent = '10' ⏎ valid_from = 2026-02-01 ⏎ valid_to = 2026-01-01
        rules::empty_validity | r.toml:5:12, r.toml:4:14 | `valid_to` is not after `valid_from` | `valid_to` is exclusive: for all of 2026, write 2027-01-01
    [[discount]] ⏎ id = 'd' ⏎ percent = '10' ⏎ valid_from = 2026-02-01T12:00:00Z
        rules::wrong_type | r.toml:4:14 | `valid_from` is a date or time, expected a date without a time, such as 2026-10-01
    [[discount]] ⏎ id = 'd' ⏎ percent = '10' ⏎ [[discount]] ⏎ id = 'd' ⏎ percent = '5'
        rules::duplicate_id | r.toml:4:1, r.toml:1:1 | discount `d` is declared twice | rename or remove one of them
    [[minimum_spend]] ⏎ id = 'c' ⏎ amount = '0'
        rules::missing_key | r.toml:1:1 | `account` is missing in a `[[minimum_spend]]` | add `account = …`
        rules::bad_number | r.toml:3:10 | `amount` is zero, expected more than zero
    [[credit]] ⏎ id = 'c' ⏎ account = 'a' ⏎ amount = '10' ⏎ kind = 'gift'
        rules::unknown_word | r.toml:5:8 | `gift` is not a value of `kind` | values: promotional, prepaid
    [[credit]] ⏎ id = 'c' ⏎ account = 'a' ⏎ amount = '10' ⏎ kind = 'prepaid'
        rules::missing_key | r.toml:1:1 | `taxed` is missing in a `[[credit]]` | add `taxed = …`
    [[credit]] ⏎ id = 'c' ⏎ account = 'a' ⏎ amount = '10' ⏎ kind = 'prepaid' ⏎ taxed = 'at_sale'
        rules::missing_key | r.toml:1:1 | `tax_rate` is missing in a `[[credit]]` | add `tax_rate = …`
    [[credit]] ⏎ id = 'c' ⏎ account = 'a' ⏎ amount = '10' ⏎ kind = 'promotional' ⏎ taxed = 'at_use'
        rules::unknown_key | r.toml:6:1 | `taxed` is not valid in a `[[credit]]` with kind = "promotional" | remove `taxed`, which is for `prepaid`
    [[tax]] ⏎ id = 't' ⏎ name = 'VAT'
        rules::missing_key | r.toml:1:1 | `rate` is missing in a `[[tax]]` | add `rate = …`
    [[tax]] ⏎ id = 't' ⏎ name = 'VAT' ⏎ rate = '0'
        rules::tax_rate | r.toml:4:8 | tax of category S has the rate 0, expected more than 0 and at most 100 | write the rate of category S in percent, such as "19", and no rate for other categories
    [[tax]] ⏎ id = 't' ⏎ name = 'VAT' ⏎ category = 'AE' ⏎ rate = '19'
        rules::tax_rate | r.toml:5:8 | tax of category AE has the rate 19, expected 0 | write the rate of category S in percent, such as "19", and no rate for other categories
    [[tax]] ⏎ id = 't' ⏎ name = 'VAT' ⏎ category = 'X'
        rules::unknown_word | r.toml:4:12 | `X` is not a value of `category` | values: S, Z, E, AE, G, O
    [[tax]] ⏎ id = 't' ⏎ name = 'VAT' ⏎ rate = '19' ⏎ countries = ['Germany'] ⏎ exemption_reason = 'none'
        rules::bad_country | r.toml:5:14 | `Germany` is not a country code, expected two capital letters | use the two-letter code of ISO 3166, such as `FR`
        rules::tax_reason | r.toml:6:20 | tax of category S cannot have an exemption reason | remove `exemption_reason`, because supplies with the standard or zero rate are not exempt
    "#);
}

#[test]
fn terms_are_sorted_in_the_order_of_application() {
    let text = "[[discount]]\nid = 'z'\npercent = '10'\nposition = 1\n[[discount]]\nid = 'b'\npercent = '5'\n\
                [[discount]]\nid = 'a'\namount = '5'\ncurrency = 'JPY'\n\
                [[credit]]\nid = 'late'\naccount = 'x'\namount = '1'\nkind = 'promotional'\nexpires = 2027-01-01\n\
                [[credit]]\nid = 'never'\naccount = 'x'\namount = '1'\nkind = 'promotional'\n\
                [[credit]]\nid = 'soon'\naccount = 'x'\namount = '1'\nkind = 'promotional'\nexpires = 2026-12-01\n\
                [[credit]]\nid = 'first'\naccount = 'x'\namount = '1'\nkind = 'prepaid'\ntaxed = 'at_use'\npriority = 1\n\
                [[tax]]\nid = 't'\nname = 'USt.'\ncategory = 'AE'\n";
    let (book, diagnostics) = read(&[("r.toml", text)]);
    assert_eq!(lines(diagnostics), "");
    let ids: Vec<&str> = book.terms.discounts.iter().map(|discount| discount.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "z"]);
    let ids: Vec<&str> = book.terms.credits.iter().map(|credit| credit.id.as_str()).collect();
    assert_eq!(ids, ["first", "soon", "late", "never"]);
    assert_eq!(book.terms.taxes[0].treatment.exemption_reason.as_deref(), Some("Reverse charge"));
}

#[test]
fn a_conversion_uses_the_newest_rate_of_the_last_seven_days() {
    let text = "time_zone = 'UTC'\ncurrency = 'EUR'\nexchange_rates = 'rates.csv'\n[seller]\nname = 'Cloud'\n";
    let read = |rates: &str| config(&[("conto.toml", text), ("rates.csv", rates)]);
    let (config, diagnostics) = read(
        "date,base,quote,rate\n2026-10-29,EUR,USD,1.09\n2026-10-30,EUR,USD,1.1\n2026-11-02,EUR,USD,1.2\n\
         2026-10-30,JPY,EUR,0.006\n",
    );
    assert_eq!(lines(diagnostics), "");
    let rates = config.unwrap().exchange_rates;
    let found = |from: &str, to: &str, date: &str| {
        let found = rates.conversion(from, to, date.parse().unwrap())?;
        Some(format!("{}/{} of {:?}", found.numerator, found.denominator, found.date.map(|date| date.to_string())))
    };
    assert_eq!(found("EUR", "USD", "2026-10-31").as_deref(), Some("1.1/1 of Some(\"2026-10-30\")"));
    assert_eq!(found("USD", "EUR", "2026-10-31").as_deref(), Some("1/1.1 of Some(\"2026-10-30\")"));
    assert_eq!(found("EUR", "JPY", "2026-10-31").as_deref(), Some("1/0.006 of Some(\"2026-10-30\")"));
    assert_eq!(found("EUR", "EUR", "2020-01-01").as_deref(), Some("1/1 of None"));
    assert_eq!(found("EUR", "USD", "2026-11-09").as_deref(), Some("1.2/1 of Some(\"2026-11-02\")"));
    assert_eq!(found("EUR", "USD", "2026-11-10"), None, "eight days old");
    assert_eq!(found("EUR", "USD", "2026-10-28"), None, "not published yet");
    assert_eq!(found("EUR", "GBP", "2026-10-31"), None);
    assert_snapshot!(each(
        &[
            "date,base,rate\n2026-10-30,EUR,1\n",
            "date,base,quote,rate\n30.10.2026,EUR,USD,1.1\n2026-10-30,EUR,USB,1\n2026-10-30,EUR,USD,0\n\
             2026-10-30,EUR,USD,1\n2026-10-30,EUR,USD,2\n",
        ],
        |text| lines(read(text).1),
    ), @"
    date,base,rate ⏎ 2026-10-30,EUR,1
        rates::columns | /etc/conto/rates.csv:1:1 | the columns are date, base, rate, expected date, base, quote, rate | one unit of `base` is `rate` units of `quote`
    date,base,quote,rate ⏎ 30.10.2026,EUR,USD,1.1 ⏎ 2026-10-30,EUR,USB,1 ⏎ 2026-10-30,EUR,USD,0 ⏎ 2026-10-30,EUR,USD,1 ⏎ 2026-10-30,EUR,USD,2
        rates::bad_cell | /etc/conto/rates.csv:2:1 | `date` is `30.10.2026`, expected a date such as 2026-10-30
        rates::bad_cell | /etc/conto/rates.csv:3:1 | `USB` is not a currency of ISO 4217
        rates::bad_cell | /etc/conto/rates.csv:4:1 | one EUR is 0 USD, expected a positive rate between two currencies
        rates::repeated | /etc/conto/rates.csv:6:1 | the rate of EUR in USD on 2026-10-30 is listed twice | remove one of the rows; a date has one rate for a pair
    ");
}
