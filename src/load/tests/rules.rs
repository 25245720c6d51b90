use insta::assert_snapshot;

use super::*;

#[test]
fn errors_of_every_rule_file() {
    assert_snapshot!(each(
        &[
            "x = ",
            "[[rule]\nid = 'a'",
            "currency = 'EUR'\ncurrency = 'EUR'",
            "curency = 'EUR'",
            "currency = 'USD'",
            "currency = 'EURO'",
            "currency = 978",
            "currency = ''",
            "rule = 1",
            "rule = [1]",
            "[rule]\nid = 'a'",
            "[[tariff]]",
        ],
        rule_errors,
    ), @r#"
    x =
        rules::syntax | r.toml:1:5 | not valid TOML: string values must be quoted, expected literal string
    [[rule] ⏎ id = 'a'
        rules::syntax | r.toml:1:8 | not valid TOML: unclosed array table, expected `]`
    currency = 'EUR' ⏎ currency = 'EUR'
        rules::syntax | r.toml:2:1 | not valid TOML: duplicate key
    curency = 'EUR'
        rules::unknown_key | r.toml:1:1 | unknown key `curency` in a rule file | did you mean `currency`? (keys: currency, meter, rule, included_units, lookup, recurring, charge, fee, reservation, hourly_commitment, discount, minimum_spend, credit, tax)
    currency = 'USD'
    currency = 'EURO'
        rules::unknown_currency | r.toml:1:12 | `EURO` is not a currency of ISO 4217 for payments | use a code of three capital letters, such as `EUR`
    currency = 978
        rules::wrong_type | r.toml:1:12 | `currency` is an integer, expected text | write it in quotes: "978"
    currency = ''
        rules::empty_text | r.toml:1:12 | `currency` is empty | write a value, or remove the key
    rule = 1
        rules::wrong_type | r.toml:1:8 | `rule` is an integer, expected an array of tables
    rule = [1]
        rules::wrong_type | r.toml:1:9 | `rule` is an integer, expected a table
    [rule] ⏎ id = 'a'
        rules::wrong_type | r.toml:1:1 | `rule` is a table, expected an array of tables
    [[tariff]]
        rules::unknown_key | r.toml:1:3 | unknown key `tariff` in a rule file | keys: currency, meter, rule, included_units, lookup, recurring, charge, fee, reservation, hourly_commitment, discount, minimum_spend, credit, tax
    "#);
}

#[test]
fn an_invalid_file_does_not_hide_errors_of_others() {
    assert_snapshot!(errors(&[("a.toml", "x ="), ("b.toml", "y = 1"), ("c.toml", "z = 1")]), @"
    rules::syntax | a.toml:1:4 | not valid TOML: string values must be quoted, expected literal string
    rules::unknown_key | b.toml:1:1 | unknown key `y` in a rule file | keys: currency, meter, rule, included_units, lookup, recurring, charge, fee, reservation, hourly_commitment, discount, minimum_spend, credit, tax
    rules::unknown_key | c.toml:1:1 | unknown key `z` in a rule file | keys: currency, meter, rule, included_units, lookup, recurring, charge, fee, reservation, hourly_commitment, discount, minimum_spend, credit, tax
    ");
}

#[test]
fn declarations_in_an_invalid_file_are_not_reported_as_missing() {
    let rule = "[[rule]]\nid = 'a'\nmeter = 'instance'\nfree = true\n[[meter]]\nname = 'm'\naggregation = 'sum'\n\
                unit = 'B'\ndimensions.a = { lookup = 'os', key = ['b'] }";
    let (_, diagnostics) = read(&[("meters.toml", "x ="), ("r.toml", rule)]);
    assert_snapshot!(lines(diagnostics), @"
    rules::syntax | meters.toml:1:4 | not valid TOML: string values must be quoted, expected literal string
    warning rules::missing_example | r.toml:2:6 | rule `a` has no example | add a `[[rule.example]]` with the expected cost; `conto rules test` runs it
    ");
}

#[test]
fn errors_of_meters() {
    let meter = |text: &str| {
        let head = "[[meter]]\nname = 'm'\naggregation = 'sum'\nunit = 'B'\n";
        errors(&[("m.toml", &format!("{head}{text}\n"))])
    };
    assert_snapshot!(errors(&[("m.toml", "[[meter]]\n[[meter]]\nname='m'\naggregation='total'\nunit=1")]), @r#"
    rules::missing_key | m.toml:1:1 | `aggregation` is missing in a `[[meter]]` | add `aggregation = …`
    rules::missing_key | m.toml:1:1 | `name` is missing in a `[[meter]]` | add `name = …`
    rules::missing_key | m.toml:1:1 | `unit` is missing in a `[[meter]]` | add `unit = …`
    rules::unknown_word | m.toml:4:13 | `total` is not a value of `aggregation` | values: sum, max, min, mean, last, count, count_unique, presence, duration, increase, time_weighted
    rules::wrong_type | m.toml:5:6 | `unit` is an integer, expected text | write it in quotes: "1"
    "#);
    assert_snapshot!(each(
        &[
            "windw = '1h'",
            "window = '7m'",
            "window = 'hourly'",
            "window = '90s'",
            "window = '48h'",
            "max_gap = '25h'",
            "max_gap = '0s'",
            "source_meters = 'm'",
            "source_meters = []",
            "source_meters = ['a', 'a']",
            "source_meters = ['a', 1]",
            "labels = ['a..b', 'c', 'c']",
            "dimensions = 1",
            "dimensions.a = 'a'",
            "dimensions.a = {}",
            "dimensions.a = { from = [] }",
            "dimensions.a = { from = ['x.'] }",
            "dimensions.a = { from = ['x'], type = 'number' }",
            "dimensions.a = { from = ['x'], key = ['y'] }",
            "dimensions.a = { key = ['y'] }",
            "dimensions.a = { lookup = 'os' }",
            "dimensions.a = { lookup = 'os', key = ['y'] }",
            "dimensions.a = { from = ['x'], kind = 'text' }",
            "dimensions.Zone = { from = ['x'] }",
            "dimensions.project_id = { from = ['x'] }",
            "record = { minimum = '60' }",
        ],
        meter,
    ), @r#"
    windw = '1h'
        rules::unknown_key | m.toml:5:1 | unknown key `windw` in a `[[meter]]` | did you mean `window`? (keys: name, aggregation, unit, source_meters, source_unit, window, max_gap, state_timeout, record, signed, dimensions, labels, unique)
    window = '7m'
        rules::bad_window | m.toml:5:10 | `window` is `7m`, expected whole minutes that divide a day | write a duration such as 5m, 15m, 30m, 1h, 2h or 24h
    window = 'hourly'
        rules::bad_window | m.toml:5:10 | `window` is `hourly`, expected whole minutes that divide a day | write a duration such as 5m, 15m, 30m, 1h, 2h or 24h
    window = '90s'
        rules::bad_window | m.toml:5:10 | `window` is `90s`, expected whole minutes that divide a day | write a duration such as 5m, 15m, 30m, 1h, 2h or 24h
    window = '48h'
        rules::bad_window | m.toml:5:10 | `window` is `48h`, expected whole minutes that divide a day | write a duration such as 5m, 15m, 30m, 1h, 2h or 24h
    max_gap = '25h'
        rules::bad_gap_cap | m.toml:5:11 | `max_gap` is `25h`, expected a duration from 1s to 24h | write a duration such as 10m, 90m or 2h
    max_gap = '0s'
        rules::bad_gap_cap | m.toml:5:11 | `max_gap` is `0s`, expected a duration from 1s to 24h | write a duration such as 10m, 90m or 2h
    source_meters = 'm'
        rules::wrong_type | m.toml:5:17 | `source_meters` is text, expected an array of text
    source_meters = []
        rules::empty_list | m.toml:5:17 | `source_meters` is an empty list | list at least one source meter, or remove the key if the source meter has the name of the meter
    source_meters = ['a', 'a']
        rules::repeated_word | m.toml:5:23, m.toml:5:18 | `a` is listed twice in `source_meters`
    source_meters = ['a', 1]
        rules::wrong_type | m.toml:5:23 | `source_meters` is an integer, expected text | write it in quotes: "1"
    labels = ['a..b', 'c', 'c']
        rules::bad_path | m.toml:5:11 | the path `a..b` has an empty key | separate keys by single dots, such as `flavor.name`
        rules::repeated_word | m.toml:5:24, m.toml:5:19 | `c` is listed twice in `labels`
    dimensions = 1
        rules::wrong_type | m.toml:5:14 | `dimensions` is an integer, expected a table
    dimensions.a = 'a'
        rules::wrong_type | m.toml:5:16 | `a` is text, expected a table
    dimensions.a = {}
        rules::missing_key | m.toml:5:16 | `from` is missing in a dimension | add `from = …`
    dimensions.a = { from = [] }
        rules::empty_list | m.toml:5:25 | `from` is an empty list | list the fields with the value; the first one present wins
    dimensions.a = { from = ['x.'] }
        rules::bad_path | m.toml:5:26 | the path `x.` has an empty key | separate keys by single dots, such as `flavor.name`
    dimensions.a = { from = ['x'], type = 'number' }
        rules::unknown_word | m.toml:5:39 | `number` is not a value of `type` | values: text, decimal, bool
    dimensions.a = { from = ['x'], key = ['y'] }
        rules::from_and_key | m.toml:5:32, m.toml:5:18 | dimension `a` has both `from` and `key` | use `key` if values without a row in the lookup are absent, or `from` if they remain unchanged
    dimensions.a = { key = ['y'] }
        rules::key_without_lookup | m.toml:5:18 | dimension `a` has a `key` but no `lookup` | add `lookup` with the name of a `[[lookup]]`, or write `from`
    dimensions.a = { lookup = 'os' }
        rules::missing_key | m.toml:5:16 | `key` is missing in a dimension | add `key = …`
        rules::unknown_lookup | m.toml:5:27 | the lookup `os` does not exist | no lookups are declared
    dimensions.a = { lookup = 'os', key = ['y'] }
        rules::unknown_lookup | m.toml:5:27 | the lookup `os` does not exist | no lookups are declared
    dimensions.a = { from = ['x'], kind = 'text' }
        rules::unknown_key | m.toml:5:32 | unknown key `kind` in a dimension | keys: from, lookup, key, type
    dimensions.Zone = { from = ['x'] }
        rules::bad_name | m.toml:5:12 | `Zone` is not a valid name of a dimension, expected lower-case letters, digits and `_` | choose a name that SQL accepts, such as `vcpus` or `volume_type`
    dimensions.project_id = { from = ['x'] }
        rules::reserved_name | m.toml:5:12 | `project_id` cannot be the name of a dimension | rules and examples reserve this name; choose another name
    record = { minimum = '60' }
    "#);
}

#[test]
fn errors_of_lookups() {
    let csv = |text: &str| errors(&[("os.toml", "lookup = [{ name = 'os', file = 'os.csv' }]"), ("os.csv", text)]);
    assert_snapshot!(each(
        &[
            "[[lookup]]\nvalues = { a = 'b' }",
            "[[lookup]]\nname = 'os'",
            "[[lookup]]\nname = 'os'\nfile = 'os.csv'\nvalues = { a = 'b' }",
            "[[lookup]]\nname = 'os'\nfile = 'os.csv'",
            "[[lookup]]\nname = 'os'\nfile = '../os.csv'",
            "[[lookup]]\nname = 'os'\nvalues = { a = 1 }",
            "[[lookup]]\nname = 'os'\nvalues = { a = 'b' }\n[[lookup]]\nname = 'os'\nvalues = { a = 'b' }",
        ],
        |text| errors(&[("os.toml", text)]),
    ), @r#"
    [[lookup]] ⏎ values = { a = 'b' }
        rules::missing_key | os.toml:1:1 | `name` is missing in a `[[lookup]]` | add `name = …`
    [[lookup]] ⏎ name = 'os'
        rules::missing_key | os.toml:1:1 | the `[[lookup]]` has neither `file` nor `values` | add file = "….csv", or values = { "key" = "value" }
    [[lookup]] ⏎ name = 'os' ⏎ file = 'os.csv' ⏎ values = { a = 'b' }
        rules::two_contents | os.toml:3:1, os.toml:4:1 | the `[[lookup]]` has both `file` and `values` | remove `file` or `values`
    [[lookup]] ⏎ name = 'os' ⏎ file = 'os.csv'
        rules::unreadable | os.toml:3:8 | cannot read `os.csv`: no such file
    [[lookup]] ⏎ name = 'os' ⏎ file = '../os.csv'
        rules::bad_file | os.toml:3:8 | `../os.csv` is outside of the directory of the rule file | move the file to the directory of the rule file and write its path without `..`
    [[lookup]] ⏎ name = 'os' ⏎ values = { a = 1 }
        rules::wrong_type | os.toml:3:16 | `a` is an integer, expected text | write it in quotes: "1"
    [[lookup]] ⏎ name = 'os' ⏎ values = { a = 'b' } ⏎ [[lookup]] ⏎ name = 'os' ⏎ values = { a = 'b' }
        rules::duplicate_lookup | os.toml:5:8, os.toml:2:8 | lookup `os` is declared twice | rename or remove one of them
    "#);
    assert_snapshot!(each(
        &[
            "",
            "a,b\n",
            "key,value,valid_form\na,b,2026-01-01\n",
            "key,value,value\na,b,c\n",
            "key,value\na\n",
            "key,value\na,\n",
            "key,value,valid_from\na,b,soon\n",
            "key,value,valid_from,valid_to\na,b,2026-02-01,2026-01-01\n",
            "key,value\na,b\nc,d\na,e\n",
            "key,value,valid_from,valid_to\na,b,,2026-01-01\na,c,2025-12-31,\n",
        ],
        csv,
    ), @"
        rules::bad_csv | os.csv:1:1 | the file has no header line
        rules::missing_column | os.csv:1:1 | the file of a lookup needs the columns `key` and `value`
    a,b
        rules::missing_column | os.csv:1:1 | the file of a lookup needs the columns `key` and `value`
        rules::unknown_column | os.csv:1:1 | unknown column `a` in the file of a lookup | known columns: key, value, valid_from, valid_to
        rules::unknown_column | os.csv:1:1 | unknown column `b` in the file of a lookup | known columns: key, value, valid_from, valid_to
    key,value,valid_form ⏎ a,b,2026-01-01
        rules::unknown_column | os.csv:1:1 | unknown column `valid_form` in the file of a lookup | did you mean `valid_from`? (known columns: key, value, valid_from, valid_to)
    key,value,value ⏎ a,b,c
        rules::bad_csv | os.csv:1:1 | the header contains the column `value` twice
    key,value ⏎ a
        rules::bad_csv | os.csv:2:1 | the row has 1 cells, expected 2 as in the header
    key,value ⏎ a,
        rules::empty_cell | os.csv:2:1 | the row has no `key` or no `value`
    key,value,valid_from ⏎ a,b,soon
        rules::bad_time | os.csv:2:1 | `soon` is not a date or time | write a date such as 2026-01-01, or a time such as 2026-01-01T00:00:00Z
    key,value,valid_from,valid_to ⏎ a,b,2026-02-01,2026-01-01
        rules::empty_validity | os.csv:2:1 | `valid_to` is not after `valid_from`
    key,value ⏎ a,b ⏎ c,d ⏎ a,e
        rules::repeated_key | os.csv:4:1, os.csv:2:1 | key `a` has two values at the same time | end the first row with `valid_to` where the second starts with `valid_from`
    key,value,valid_from,valid_to ⏎ a,b,,2026-01-01 ⏎ a,c,2025-12-31,
        rules::repeated_key | os.csv:3:1, os.csv:2:1 | key `a` has two values at the same time | end the first row with `valid_to` where the second starts with `valid_from`
    ");
    assert_eq!(csv("key,value,valid_from,valid_to\na,b,,2026-01-01\na,c,2026-01-01,\n"), "");
}

#[test]
fn errors_of_rules() {
    assert_snapshot!(each(
        &[
            "[[rule]]",
            "[[rule]]\nid = 'a'\nmeter = 'instanse'\nfree = true",
            "[[rule]]\nid = 'a'\nmeter = 'instance'\nunit_price = '1'",
            "[[rule]]\nid = 'a'\nmeter = 'instance'\ncomponent = 'licence'\nunit_price = '1'",
            "[[rule]]\nid = 'a'\nmeter = 'instance'\nfactor = '0.9'",
        ],
        rule_errors,
    ), @"
    [[rule]]
        rules::missing_key | r.toml:1:1 | `id` is missing in a `[[rule]]` | add `id = …`
        rules::missing_key | r.toml:1:1 | `meter` is missing in a `[[rule]]` | add `meter = …`
        rules::missing_key | r.toml:1:1 | `service` is missing in a `[[rule]]` | add `service = …`
        rules::missing_key | r.toml:1:1 | `sku` is missing in a `[[rule]]` | add `sku = …`
        rules::no_price | r.toml:1:1 | the rule has no price | add one of these keys: unit_price, prices, price_list, tiers, percent, factor, free
    [[rule]] ⏎ id = 'a' ⏎ meter = 'instanse' ⏎ free = true
        rules::unknown_meter | r.toml:3:9 | the meter `instanse` does not exist | did you mean `instance`? (meters: instance)
    [[rule]] ⏎ id = 'a' ⏎ meter = 'instance' ⏎ unit_price = '1'
        rules::missing_key | r.toml:1:1 | `service` is missing in a `[[rule]]` | add `service = …`
        rules::missing_key | r.toml:1:1 | `sku` is missing in a `[[rule]]` | add `sku = …`
    [[rule]] ⏎ id = 'a' ⏎ meter = 'instance' ⏎ component = 'licence' ⏎ unit_price = '1'
    [[rule]] ⏎ id = 'a' ⏎ meter = 'instance' ⏎ factor = '0.9'
    ");
    assert_snapshot!(each(
        &[
            "unit_price = '1'\ncard = 'public'",
            "unit_price = '1'\nunit_prise = '1'",
            "unit_price = '1'\nwhen = 1",
            "unit_price = '1'\npriority = '1'",
            "unit_price = '1'\npriority = 99999999999999999999",
            "unit_price = '1'\nline_by = ['flavour', 'flavor', 'flavor']",
            "unit_price = '1'\nper = 'account'",
            "unit_price = '1'\nevery = 'month'",
            "unit_price = '1'\npricing_unit = 'GiB'",
            "unit_price = '1'\npricing_unit = { name = 'GiB' }",
            "unit_price = '1'\npricing_unit = { name = 'GiB', of = 'hours_in_month' }",
            "unit_price = '1'\npricing_unit = { name = 'GiB', of = '0' }",
            "unit_price = '1'\npricing_unit = { name = 'GiB', of = 1024 }",
        ],
        one_rule,
    ), @r#"
    unit_price = '1' ⏎ card = 'public'
    unit_price = '1' ⏎ unit_prise = '1'
        rules::unknown_key | r.toml:7:1 | unknown key `unit_prise` in a `[[rule]]` | did you mean `unit_price`? (keys: id, meter, when, component, card, priority, valid_from, valid_to, pricing_quantity, pricing_unit, line_by, per, every, percentile, missing_windows, round_quantity, free_units, minimum, maximum, cap, flat_fee_at_zero, minimum_at_zero, windows, factor, free, sku, service, description, pool, unit_price, prices, price_list, tiers, percent, tier, tier_unit, package, package_rounding, currency, example)
    unit_price = '1' ⏎ when = 1
        rules::wrong_type | r.toml:7:8 | `when` is an integer, expected text | write it in quotes: "1"
    unit_price = '1' ⏎ priority = '1'
        rules::wrong_type | r.toml:7:12 | `priority` is text, expected an integer | write it without quotes
    unit_price = '1' ⏎ priority = 99999999999999999999
        rules::bad_number | r.toml:7:12 | `priority` is outside of the range of 64-bit integers
    unit_price = '1' ⏎ line_by = ['flavour', 'flavor', 'flavor']
        rules::unknown_dimension | r.toml:7:12 | meter `instance` has no dimension `flavour` | did you mean `flavor`? (dimensions: flavor, spot, vcpus)
        rules::repeated_word | r.toml:7:33, r.toml:7:23 | `flavor` is listed twice in `line_by`
    unit_price = '1' ⏎ per = 'account'
    unit_price = '1' ⏎ every = 'month'
        rules::unknown_word | r.toml:7:9 | `month` is not a value of `every` | values: window, day, period
    unit_price = '1' ⏎ pricing_unit = 'GiB'
        rules::wrong_type | r.toml:7:16 | `pricing_unit` is text, expected a table
    unit_price = '1' ⏎ pricing_unit = { name = 'GiB' }
        rules::missing_key | r.toml:7:16 | `of` is missing in `pricing_unit` | add `of = …`
    unit_price = '1' ⏎ pricing_unit = { name = 'GiB', of = 'hours_in_month' }
        rules::unknown_word | r.toml:7:37 | `hours_in_month` is not a value of `of` | did you mean `hours_in_period`? (values: hours_in_period, seconds_in_period)
    unit_price = '1' ⏎ pricing_unit = { name = 'GiB', of = '0' }
        rules::bad_number | r.toml:7:37 | `of` is zero, expected more than zero
    unit_price = '1' ⏎ pricing_unit = { name = 'GiB', of = 1024 }
        rules::wrong_type | r.toml:7:37 | `of` is an integer, expected a decimal in quotes | write it in quotes: "1024"
    "#);
}

#[test]
fn errors_of_validities() {
    assert_snapshot!(each(
        &[
            "free = true\nvalid_from = '2026-01-01'",
            "free = true\nvalid_from = 2026",
            "free = true\nvalid_from = 12:00:00",
            "free = true\nvalid_from = 2026-03-29T02:30:00",
            "free = true\nvalid_from = 2026-10-25T02:00:00",
            "free = true\nvalid_from = 2026-01-01T00:30:00+01:00",
            "free = true\nvalid_from = 2026-01-01\nvalid_to = 2026-01-01",
        ],
        one_rule,
    ), @"
    free = true ⏎ valid_from = '2026-01-01'
        rules::wrong_type | r.toml:7:14 | `valid_from` is text, expected a date or time | write the date without quotes, such as 2026-01-01
    free = true ⏎ valid_from = 2026
        rules::wrong_type | r.toml:7:14 | `valid_from` is an integer, expected a date or time
    free = true ⏎ valid_from = 12:00:00
        rules::bad_time | r.toml:7:14 | `12:00:00` is a time without a date | write a date such as 2026-01-01, or a time such as 2026-01-01T00:00:00Z
    free = true ⏎ valid_from = 2026-03-29T02:30:00
        rules::bad_time | r.toml:7:14 | `2026-03-29T02:30:00` does not exist in Europe/Berlin, because the clock change skips it | choose a time before or after the clock change
    free = true ⏎ valid_from = 2026-10-25T02:00:00
        rules::bad_time | r.toml:7:14 | `2026-10-25T02:00:00` occurs twice in Europe/Berlin, because clocks are set back | add the offset from UTC, as in 2026-10-25T02:30:00+01:00
    free = true ⏎ valid_from = 2026-01-01T00:30:00+01:00
        rules::off_window | r.toml:7:14 | `valid_from` is not the start of a window of meter `instance` | windows of 1h are counted from local midnight; choose the start of a window
    free = true ⏎ valid_from = 2026-01-01 ⏎ valid_to = 2026-01-01
        rules::empty_validity | r.toml:8:12, r.toml:7:14 | `valid_to` is not after `valid_from` | `valid_to` is exclusive: for all of 2026, write 2027-01-01
    ");
    assert_eq!(one_rule("free = true\nvalid_from = 2026-01-01\nvalid_to = 2026-02-01T13:00:00"), "");
}

#[test]
fn errors_of_prices() {
    assert_snapshot!(each(
        &[
            "",
            "unit_price = '1'\nfree = true",
            "free = false",
            "unit_price = 0.02",
            "unit_price = 5",
            "unit_price = true",
            "unit_price = 'five'",
            "unit_price = '0.0000000000001'",
            "unit_price = '-1'",
            "unit_price = { amount = '1' }",
            "unit_price = { amount = '1', per = '0' }",
            "prices = { 'm1' = '1' }",
            "prices = { by = 'flavor' }",
            "prices = { by = 'flavour', 'm1' = '1' }",
            "prices = { by = 'flavor', 'm1' = 1.5, 'm2' = '-1' }",
            "prices = { by = 'vcpus', '4' = '1', '4.0' = '2', four = '4' }",
            "prices = { by = 'spot', 'yes' = '1' }",
            "factor = '-1'",
            "factor = { by = 'flavour', m1 = '1' }",
            "tier = [{ unit_price = '1' }]",
            "tiers = 'volume'\ntier = [{ unit_price = '1' }]",
            "tiers = 'graduated'",
            "unit_price = '1'\ntier = [{ unit_price = '1' }]",
        ],
        one_rule,
    ), @r#"
        rules::no_price | r.toml:1:1 | the rule has no price | add one of these keys: unit_price, prices, price_list, tiers, percent, factor, free
    unit_price = '1' ⏎ free = true
        rules::two_prices | r.toml:6:1, r.toml:7:1 | the rule has more than one price | keep one price, or split the rule in two
    free = false
        rules::no_price | r.toml:6:8 | `free = false` is not a price | remove `free` and add a price, or write free = true
    unit_price = 0.02
        rules::wrong_type | r.toml:6:14 | `unit_price` is a float, expected a decimal in quotes | write it in quotes, because floats are not exact: "0.02"
    unit_price = 5
        rules::wrong_type | r.toml:6:14 | `unit_price` is an integer, expected a decimal in quotes | write it in quotes: "5"
    unit_price = true
        rules::wrong_type | r.toml:6:14 | `unit_price` is a boolean, expected a decimal in quotes
    unit_price = 'five'
        rules::bad_number | r.toml:6:14 | `unit_price` is "five", which is not a decimal number | write digits with a decimal point, such as "0.02"
    unit_price = '0.0000000000001'
        rules::bad_number | r.toml:6:14 | `unit_price` is "0.0000000000001", which has too many decimal places | write at most 12 decimal places
    unit_price = '-1'
        rules::bad_number | r.toml:6:14 | `unit_price` is -1, expected zero or more
    unit_price = { amount = '1' }
        rules::missing_key | r.toml:6:14 | `per` is missing in `unit_price` | add `per = …`
    unit_price = { amount = '1', per = '0' }
        rules::bad_number | r.toml:6:36 | `per` is zero, expected more than zero
    prices = { 'm1' = '1' }
        rules::missing_key | r.toml:6:10 | `by` is missing in `prices` | add `by = …`
    prices = { by = 'flavor' }
        rules::empty_list | r.toml:6:10 | `prices` contains no value of the dimension | add each value with its number, such as "m1.small" = "0.02"
    prices = { by = 'flavour', 'm1' = '1' }
        rules::unknown_dimension | r.toml:6:17 | meter `instance` has no dimension `flavour` | did you mean `flavor`? (dimensions: flavor, spot, vcpus)
    prices = { by = 'flavor', 'm1' = 1.5, 'm2' = '-1' }
        rules::wrong_type | r.toml:6:34 | `m1` is a float, expected a decimal in quotes | write it in quotes, because floats are not exact: "1.5"
        rules::bad_number | r.toml:6:46 | `m2` is -1, expected zero or more
    prices = { by = 'vcpus', '4' = '1', '4.0' = '2', four = '4' }
        rules::repeated_price | r.toml:6:37, r.toml:6:26 | value `4` is listed twice in `prices` | both keys are spellings of the same value; remove one
        rules::bad_dimension_value | r.toml:6:50 | `four` is not a value of dimension `vcpus`, expected a decimal
    prices = { by = 'spot', 'yes' = '1' }
        rules::bad_dimension_value | r.toml:6:25 | `yes` is not a value of dimension `spot`, expected `true` or `false`
    factor = '-1'
        rules::bad_number | r.toml:6:10 | `factor` is -1, expected zero or more
    factor = { by = 'flavour', m1 = '1' }
        rules::unknown_dimension | r.toml:6:17 | meter `instance` has no dimension `flavour` | did you mean `flavor`? (dimensions: flavor, spot, vcpus)
    tier = [{ unit_price = '1' }]
        rules::tier_without_tiers | r.toml:6:1 | `tier` needs the key `tiers` | add tiers = "graduated", "volume" or "stairstep", without another price
    tiers = 'volume' ⏎ tier = [{ unit_price = '1' }]
    tiers = 'graduated'
        rules::missing_key | r.toml:1:1 | `tier` is missing in a `[[rule]]` | add `tier = …`
    unit_price = '1' ⏎ tier = [{ unit_price = '1' }]
        rules::tier_without_tiers | r.toml:7:1 | `tier` needs the key `tiers` | add tiers = "graduated", "volume" or "stairstep", without another price
    "#);
}

#[test]
fn errors_of_tiers() {
    assert_snapshot!(each(
        &[
            "[]",
            "[{ up_to = '10', unit_price = '1' }]",
            "[{ unit_price = '1' }, { unit_price = '2' }]",
            "[{ up_to = '10', unit_price = '1' }, { up_to = '10', unit_price = '2' }, { unit_price = '3' }]",
            "[{ up_to = '0', unit_price = '1' }, { unit_price = '2' }]",
            "[{ up_to = '10' }, { unit_price = '2', flat_fee = '0' }]",
        ],
        |tier| one_rule(&format!("tiers = 'graduated'\ntier = {tier}")),
    ), @r#"
    []
        rules::empty_list | r.toml:7:8 | `tier` is an empty list | add tiers, such as tier = [{ up_to = "10", unit_price = "1" }, { unit_price = "0.5" }]
    [{ up_to = '10', unit_price = '1' }]
        rules::last_tier_not_open | r.toml:7:19 | the last tier has an `up_to`, so usage above it has no price | add a last tier without `up_to`
    [{ unit_price = '1' }, { unit_price = '2' }]
        rules::tier_gap | r.toml:7:9 | tier 1 has no `up_to`, but another tier follows | add `up_to`; only the last tier is open
    [{ up_to = '10', unit_price = '1' }, { up_to = '10', unit_price = '2' }, { unit_price = '3' }]
        rules::tiers_not_rising | r.toml:7:55, r.toml:7:19 | tier 2 ends at 10, expected more than 10 | bounds count from zero and increase from tier to tier
    [{ up_to = '0', unit_price = '1' }, { unit_price = '2' }]
        rules::tier_zero | r.toml:7:19 | the first tier ends at 0, expected more than zero | remove the tier, or raise its `up_to`
    [{ up_to = '10' }, { unit_price = '2', flat_fee = '0' }]
        rules::missing_key | r.toml:7:9 | `unit_price` is missing in a tier | add `unit_price = …`
    "#);
}

#[test]
fn errors_of_price_lists() {
    let head = "[[rule]]\nid = 'a'\nmeter = 'instance'\nsku = 'S'\nservice = 'C'\nprice_list = 'list.csv'\n";
    let list = |csv: &str| errors(&[("meters.toml", METERS), ("r.toml", head), ("list.csv", csv)]);
    assert_snapshot!(errors(&[("meters.toml", METERS), ("rules/r.toml", head)]), @"rules::unreadable | rules/r.toml:6:14 | cannot read `rules/list.csv`: no such file");
    assert_snapshot!(each(
        &[
            "flavor;unit_price\nm1;1\n",
            "flavor,price\nm1,1\n",
            "flavour,unit_price\nm1,1\n",
            "unit_price\n1\n",
            "flavor,unit_price\n",
            "flavor,unit_price\nm1,one\nm2,-1\n,1\n",
            "vcpus,unit_price\n4,1\nfour,1\n4.0,2\n",
            "flavor,unit_price,valid_from\nm1,1,2026-01-01T00:30:00\n",
        ],
        list,
    ), @r#"
    flavor;unit_price ⏎ m1;1
        rules::missing_column | list.csv:1:1 | the price list has no column `unit_price` | the file seems to need price_list = { path = "list.csv", separator = ";" }
    flavor,price ⏎ m1,1
        rules::missing_column | list.csv:1:1 | the price list has no column `unit_price` | columns: dimensions of the meter and `unit_price`; optional: `cap_hours`, `cap_price`, `maximum`, `valid_from`, `valid_to`
        rules::unknown_dimension | list.csv:1:1 | column `price` is not a dimension of meter `instance` | possible columns: flavor, spot, vcpus, unit_price, maximum, valid_from, valid_to, cap_hours, cap_price
    flavour,unit_price ⏎ m1,1
        rules::unknown_dimension | list.csv:1:1 | column `flavour` is not a dimension of meter `instance` | did you mean `flavor`? (possible columns: flavor, spot, vcpus, unit_price, maximum, valid_from, valid_to, cap_hours, cap_price)
    unit_price ⏎ 1
        rules::missing_column | list.csv:1:1 | the price list has no column for a dimension of the meter | add a column, or write `unit_price` in the rule if all usage has the same price
    flavor,unit_price
        rules::empty_list | list.csv:1:1 | the price list has no valid rows | add a row with a price, or write `free = true` in the rule if nothing is charged
    flavor,unit_price ⏎ m1,one ⏎ m2,-1 ⏎ ,1
        rules::bad_number | list.csv:2:1 | `unit_price` is "one", which is not a decimal number | write digits with a decimal point, such as "0.02"
        rules::bad_number | list.csv:3:1 | `unit_price` is -1, expected zero or more
        rules::empty_cell | list.csv:4:1 | `flavor` is empty, expected a value of the dimension | for a price of all other values, add a rule with a lower `priority`
    vcpus,unit_price ⏎ 4,1 ⏎ four,1 ⏎ 4.0,2
        rules::bad_dimension_value | list.csv:3:1 | `four` is not a value of dimension `vcpus`, expected a decimal
        rules::repeated_price | list.csv:4:1, list.csv:2:1 | lines 2 and 4 both price `4` at the same time | end the first row with `valid_to` where the second starts with `valid_from`
    flavor,unit_price,valid_from ⏎ m1,1,2026-01-01T00:30:00
        rules::off_window | list.csv:2:1 | `valid_from` is not the start of a window of meter `instance` | windows of 1h are counted from local midnight; choose the start of a window
    "#);
    assert_eq!(list("flavor,spot,unit_price,valid_to\nm1,true,1,2026-01-01\nm1,false,0,\n"), "");
}

#[test]
fn errors_of_examples() {
    assert_snapshot!(each(
        &[
            "",
            "name = 'x'\nquantity = '1'",
            "name = 'x'\ncost = '1'",
            "name = 'x'\ncost = 1.5\nquantity = 1",
            "name = 'x'\ncost = '1'\nquantity = '-1'",
            "name = 'x'\ncost = '1'\nquantity = '1'\nflavour = 'm1'",
            "name = 'x'\ncost = '1'\nquantity = '1'\nvcpus = 4",
            "name = 'x'\ncost = '1'\nquantity = '1'\nvcpus = 'four'",
            "name = 'x'\ncost = '1'\nquantity = '1'\nspot = 'yes'",
            "name = 'x'\ncost = '1'\nquantity = '1'\nperiod = 'October'",
            "name = 'x'\ncost = '1'\nquantity = '1'\nperiod = '2026-10'\nat = 2026-11-01",
            "name = 'x'\ncost = '1'\nusage = []",
            "name = 'x'\ncost = '1'\nquantity = '1'\nusage = [{ quantity = '1' }]",
            "name = 'x'\ncost = '1'\nusage = [{ at = 2026-10-31, quantity = '1' }, { at = 2026-11-01, quantity = '1' }]",
            "name = 'x'\ncost = '1'\nusage = [{ at = 'noon', quantity = '1', cost = '1' }]",
        ],
        |example| one_rule(&format!("free = true\n[[rule.example]]\n{example}")),
    ), @r#"
        rules::example_without_result | r.toml:7:1 | the example has no expected result | add `cost`, the exact cost before rounding, or `net_amount`, the sum of the rounded lines
        rules::missing_key | r.toml:7:1 | `name` is missing in a `[[rule.example]]` | add `name = …`
        rules::missing_key | r.toml:7:1 | `quantity` is missing in a `[[rule.example]]` | add `quantity = …`
    name = 'x' ⏎ quantity = '1'
        rules::example_without_result | r.toml:7:1 | the example has no expected result | add `cost`, the exact cost before rounding, or `net_amount`, the sum of the rounded lines
    name = 'x' ⏎ cost = '1'
        rules::missing_key | r.toml:7:1 | `quantity` is missing in a `[[rule.example]]` | add `quantity = …`
    name = 'x' ⏎ cost = 1.5 ⏎ quantity = 1
        rules::wrong_type | r.toml:9:8 | `cost` is a float, expected a decimal in quotes | write it in quotes, because floats are not exact: "1.5"
        rules::wrong_type | r.toml:10:12 | `quantity` is an integer, expected a decimal in quotes | write it in quotes: "1"
    name = 'x' ⏎ cost = '1' ⏎ quantity = '-1'
        rules::bad_number | r.toml:10:12 | `quantity` is -1, expected zero or more
    name = 'x' ⏎ cost = '1' ⏎ quantity = '1' ⏎ flavour = 'm1'
        rules::unknown_dimension | r.toml:11:1 | `flavour` is neither a key of examples nor a dimension of meter `instance` | did you mean `flavor`? (keys and dimensions: name, period, cost, net_amount, usage, at, meter, resource, project, quantity, windows, flavor, spot, vcpus)
    name = 'x' ⏎ cost = '1' ⏎ quantity = '1' ⏎ vcpus = 4
        rules::wrong_type | r.toml:11:9 | `vcpus` is an integer, expected text | write it in quotes: "4"
    name = 'x' ⏎ cost = '1' ⏎ quantity = '1' ⏎ vcpus = 'four'
        rules::bad_dimension_value | r.toml:11:9 | `four` is not a value of dimension `vcpus`, expected a decimal
    name = 'x' ⏎ cost = '1' ⏎ quantity = '1' ⏎ spot = 'yes'
        rules::bad_dimension_value | r.toml:11:8 | `yes` is not a value of dimension `spot`, expected `true` or `false`
    name = 'x' ⏎ cost = '1' ⏎ quantity = '1' ⏎ period = 'October'
        rules::bad_period | r.toml:11:10 | `October` is not a billing period, expected a year and a month | write a month such as "2026-10"
    name = 'x' ⏎ cost = '1' ⏎ quantity = '1' ⏎ period = '2026-10' ⏎ at = 2026-11-01
        rules::example_outside_period | r.toml:12:6 | the usage is outside of the period of the example | an example covers one month: change `at`, or the month in `period`
    name = 'x' ⏎ cost = '1' ⏎ usage = []
        rules::empty_list | r.toml:10:9 | `usage` is an empty list | list at least one usage, such as usage = [ { quantity = "1" } ]
    name = 'x' ⏎ cost = '1' ⏎ quantity = '1' ⏎ usage = [{ quantity = '1' }]
        rules::example_usage_twice | r.toml:10:1, r.toml:11:1 | `quantity` is next to `usage`, expected inside of it | move the key into the list; next to `usage` are only `name`, `period`, `cost` and `net_amount`
    name = 'x' ⏎ cost = '1' ⏎ usage = [{ at = 2026-10-31, quantity = '1' }, { at = 2026-11-01, quantity = '1' }]
        rules::example_outside_period | r.toml:10:54 | the usage is outside of the period of the example | an example covers one month: change `at`, or the month in `period`
    name = 'x' ⏎ cost = '1' ⏎ usage = [{ at = 'noon', quantity = '1', cost = '1' }]
        rules::wrong_type | r.toml:10:17 | `at` is text, expected a date or time | write the date without quotes, such as 2026-01-01
        rules::unknown_dimension | r.toml:10:41 | `cost` is neither a key of examples nor a dimension of meter `instance` | keys and dimensions: at, meter, resource, project, quantity, windows, flavor, spot, vcpus
    "#);
}

#[test]
fn an_unknown_meter_is_reported_once() {
    assert_snapshot!(rule_errors(
        "[[rule]]\nid = 'a'\nmeter = 'x'\nsku = 'S'\nservice = 'C'\nline_by = ['flavor']\n\
         prices = { by = 'zone', a = '1' }\n[[rule.example]]\nname = 'x'\ncost = '1'\nquantity = '1'\nzone = 'a'"
    ), @"rules::unknown_meter | r.toml:3:9 | the meter `x` does not exist | meters: instance");
}

#[test]
fn repeated_names_are_errors() {
    let rule = "[[rule]]\nid = 'a'\nmeter = 'instance'\nfree = true\nwhen = 'spot'\n";
    assert_snapshot!(errors(&[("a.toml", METERS), ("b.toml", METERS), ("c.toml", rule), ("d.toml", rule)]), @"
    rules::duplicate_meter | b.toml:3:8, a.toml:3:8 | meter `instance` is declared twice | rename or remove one of them
    rules::duplicate_id | d.toml:2:6, c.toml:2:6 | rule `a` is declared twice | rename or remove one of them
    ");
}

#[test]
fn rules_that_always_compete_are_errors() {
    let rule = |id: &str, text: &str| format!("[[rule]]\nid = '{id}'\nmeter = 'instance'\nfree = true\n{text}\n");
    let both = |left: &str, right: &str| rule_errors(&(rule("a", left) + &rule("b", right)));
    assert_snapshot!(both("", ""), @"rules::overlap | r.toml:7:6, r.toml:2:6 | rules `a` and `b` both price all usage of meter `instance` at the same time | give one rule a higher `priority`, a condition `when`, or another validity");
    for (left, right) in [
        ("", "when = 'spot'"),
        ("", "priority = 1"),
        ("", "component = 'licence'"),
        ("valid_to = 2026-01-01", "valid_from = 2026-01-01"),
    ] {
        assert_eq!(both(left, right), "", "{left} {right}");
    }
    let factor = "[[rule]]\nid = 'b'\nmeter = 'instance'\nfactor = '0.9'\n";
    assert_eq!(rule_errors(&(rule("a", "") + factor)), "");
    let by = "[[rule]]\nid = 'b'\nmeter = 'instance'\nsku = 'S'\nservice = 'C'\nprices = { by = 'flavor', m1 = '1' }\n";
    assert_eq!(rule_errors(&(rule("a", "") + by)), "");
}

#[test]
fn contradictory_pools_are_errors() {
    let rule = |id: &str, text: &str| {
        format!("[[rule]]\nid = '{id}'\nmeter = 'instance'\nwhen = 'spot'\nsku = 'S'\nservice = 'C'\n{text}\n")
    };
    let tiers = |bound: &str| {
        format!("tiers = 'graduated'\ntier = [{{ up_to = '{bound}', unit_price = '1' }}, {{ unit_price = '0' }}]\n")
    };
    let both = |left: &str, right: &str| rule_errors(&(rule("a", left) + &rule("b", right)));
    assert_snapshot!(both("unit_price = '1'", "unit_price = '1'\nper = 'resource'"), @"rules::contradicting_pools | r.toml:9:6, r.toml:2:6 | rules `a` and `b` of pool `S` differ in `per`: project and resource | write the same in both rules, or give one rule its own `pool` (default: its `sku`)");
    assert_snapshot!(both("unit_price = '1'\nevery = 'day'", "unit_price = '1'"), @"rules::contradicting_pools | r.toml:10:6, r.toml:2:6 | rules `a` and `b` of pool `S` differ in `every`: day and period | write the same in both rules, or give one rule its own `pool` (default: its `sku`)");
    assert_snapshot!(
        both("unit_price = '1'", "unit_price = '1'\npricing_unit = { name = 'month', of = 'hours_in_period' }"),
        @"rules::contradicting_pools | r.toml:9:6, r.toml:2:6 | rules `a` and `b` of pool `S` differ in `pricing_unit`: instance-hour of 1 and month of hours_in_period | write the same in both rules, or give one rule its own `pool` (default: its `sku`)"
    );
    assert_snapshot!(both(&tiers("10"), &tiers("20")), @"rules::contradicting_pools | r.toml:11:6, r.toml:2:6 | rules `a` and `b` of pool `S` differ in the bounds of their tiers | write the same in both rules, or give one rule its own `pool` (default: its `sku`)");
    let limited = |amount: &str| {
        let tier = format!("{{ up_to = '10', unit_price = '1', max_amount = '{amount}' }}");
        format!("tiers = 'graduated'\ntier = [{tier}, {{ unit_price = '0' }}]\n")
    };
    assert_snapshot!(both(&limited("5"), &limited("6")), @"rules::contradicting_pools | r.toml:11:6, r.toml:2:6 | rules `a` and `b` of pool `S` differ in the `max_amount` of their tiers | write the same in both rules, or give one rule its own `pool` (default: its `sku`)");
    assert_eq!(both(&limited("5"), &limited("5")), "");
    assert_eq!(both(&tiers("10"), &tiers("10")), "");
    assert_eq!(both("unit_price = '1'", "unit_price = '1'\nper = 'resource'\npool = 'other'"), "");
    let (old, new) = (tiers("10") + "valid_to = 2026-01-01", tiers("20") + "valid_from = 2026-01-01");
    assert_eq!(both(&old, &new), "");
}

#[test]
fn warnings_of_rules() {
    let rule = "[[rule]]\nid = 'a'\nmeter = 'instance'\nsku = 'S'\nservice = 'C'\n";
    let licence = "component = 'licence'\nfree = true\n[[rule.example]]\nname = 'x'\ncost = '0'\nquantity = '1'";
    assert_snapshot!(lines(read(&[("m.toml", METERS), ("r.toml", &format!("{rule}unit_price = '0'"))]).1), @"
    warning rules::missing_example | r.toml:2:6 | rule `a` has no example | add a `[[rule.example]]` with the expected cost; `conto rules test` runs it
    warning rules::zero_price | r.toml:2:6 | rule `a` has the price zero | if this is intended, write `free = true`, in a separate rule if only a part is free
    ");
    assert_snapshot!(lines(read(&[("m.toml", METERS), ("r.toml", &format!("{rule}{licence}"))]).1), @"warning rules::meter_without_price | m.toml:3:8 | no rule of component `base` prices meter `instance` | usage of the meter will be unrated; add a rule, with `free = true` if nothing is charged");
    // An invalid rule counts as a price of the meter.
    assert_snapshot!(lines(read(&[("m.toml", METERS), ("r.toml", &format!("{rule}unit_price = 1"))]).1), @r#"
    warning rules::missing_example | r.toml:2:6 | rule `a` has no example | add a `[[rule.example]]` with the expected cost; `conto rules test` runs it
    rules::wrong_type | r.toml:6:14 | `unit_price` is an integer, expected a decimal in quotes | write it in quotes: "1"
    "#);
}
