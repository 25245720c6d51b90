use insta::assert_snapshot;

use super::*;
use crate::load::render;

fn shown(files: &[(&str, &str)]) -> String {
    let errors: Vec<_> =
        read(files).1.into_sorted().into_iter().filter(|found| found.severity == Severity::Error).collect();
    render(&errors, false, 100)
}

#[test]
fn a_problem_shows_its_place_and_a_hint() {
    let rule = "[[rule]]\nid = \"a\"\nmeter = \"instance\"\nfree = true\nline_by = [\"flavour\"]\nunit_prize = 0.02\n";
    assert_snapshot!(shown(&[("meters.toml", METERS), ("rating-rules/compute.toml", rule)]), @r#"
    rules::unknown_dimension

      × meter `instance` has no dimension `flavour`
       ╭─[rating-rules/compute.toml:5:12]
     4 │ free = true
     5 │ line_by = ["flavour"]
       ·            ────┬────
       ·                ╰── unknown dimension
     6 │ unit_prize = 0.02
       ╰────
      help: did you mean `flavor`? (dimensions: flavor, spot, vcpus)

    rules::unknown_key

      × unknown key `unit_prize` in a `[[rule]]`
       ╭─[rating-rules/compute.toml:6:1]
     5 │ line_by = ["flavour"]
     6 │ unit_prize = 0.02
       · ─────┬────
       ·      ╰── unknown key
       ╰────
      help: did you mean `unit_price`? (keys: id, meter, when, component, card, priority, valid_from,
            valid_to, pricing_quantity, pricing_unit, line_by, per, every, percentile,
            missing_windows, round_quantity, free_units, minimum, maximum, cap, flat_fee_at_zero,
            minimum_at_zero, windows, factor, free, sku, service, description, pool, unit_price,
            prices, price_list, tiers, percent, tier, tier_unit, package, package_rounding, currency,
            example)
    "#);
}

#[test]
fn two_places_of_one_file_are_in_one_excerpt() {
    let rules =
        "[[rule]]\nid = \"a\"\nmeter = \"instance\"\nfree = true\nvalid_from = 2026-02-01\nvalid_to = 2026-01-01\n";
    assert_snapshot!(shown(&[("meters.toml", METERS), ("compute.toml", rules)]), @"
    rules::empty_validity

      × `valid_to` is not after `valid_from`
       ╭─[compute.toml:6:12]
     4 │ free = true
     5 │ valid_from = 2026-02-01
       ·              ─────┬────
       ·                   ╰── begins here
     6 │ valid_to = 2026-01-01
       ·            ─────┬────
       ·                 ╰── ends here
       ╰────
      help: `valid_to` is exclusive: for all of 2026, write 2027-01-01
    ");
}

#[test]
fn a_place_in_another_file_is_shown_below() {
    assert_snapshot!(shown(&[("a.toml", METERS), ("b.toml", METERS)]), @r#"
    rules::duplicate_meter

      × meter `instance` is declared twice
       ╭─[b.toml:3:8]
     2 │ [[meter]]
     3 │ name = "instance"
       ·        ─────┬────
       ·             ╰── again here
     4 │ aggregation = "presence"
       ╰────
      help: rename or remove one of them
      ╰─▶   ☞ first here
             ╭─[a.toml:3:8]
           2 │ [[meter]]
           3 │ name = "instance"
             ·        ──────────
           4 │ aggregation = "presence"
             ╰────
    "#);
}

#[test]
fn the_end_of_a_text_is_a_place_too() {
    assert_snapshot!(shown(&[("a.toml", "x ="), ("b.toml", "[[rule]\n"), ("c.toml", "x = 'ä\n")]), @"
    rules::syntax

      × not valid TOML: string values must be quoted, expected literal string
       ╭─[a.toml:1:3]
     1 │ x =
       ·   ┬
       ·   ╰── here
       ╰────

    rules::syntax

      × not valid TOML: unclosed array table, expected `]`
       ╭─[b.toml:1:8]
     1 │ [[rule]
       ·        ▲
       ·        ╰── here
       ╰────

    rules::syntax

      × not valid TOML: invalid literal string, expected `'`
       ╭─[c.toml:1:8]
     1 │ x = 'ä
       ·       ▲
       ·       ╰── here
       ╰────
    ");
    let (_, diagnostics) = config(&[("conto.toml", "")]);
    assert_snapshot!(render(&diagnostics.into_sorted()[..1], false, 100), @"
    config::missing_key

      × `currency` is missing in the configuration
       ╭─[conto.toml:1:1]
       ╰────
      help: add `currency = …`
    ");
}

#[test]
fn two_distant_places_have_two_excerpts() {
    let rule = |id: &str, per: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nmeter = \"instance\"\nwhen = \"spot\"\nsku = \"S\"\nservice = \"Compute\"\n\
             per = \"{per}\"\nunit_price = \"1\"\n\n"
        )
    };
    let rules = rule("a", "project") + &rule("b", "resource");
    assert_snapshot!(shown(&[("meters.toml", METERS), ("compute.toml", &rules)]), @r#"
    rules::contradicting_pools

      × rules `a` and `b` of pool `S` differ in `per`: project and resource
       ╭─[compute.toml:2:6]
     1 │ [[rule]]
     2 │ id = "a"
       ·      ─┬─
       ·       ╰── and this rule
     3 │ meter = "instance"
       ╰────
        ╭─[compute.toml:11:6]
     10 │ [[rule]]
     11 │ id = "b"
        ·      ─┬─
        ·       ╰── this rule
     12 │ meter = "instance"
        ╰────
      help: write the same in both rules, or give one rule its own `pool` (default: its `sku`)
    "#);
}

#[test]
fn colours_are_optional() {
    let diagnostic = Diagnostic::error("rules::no_files", "there is no rule file");
    assert!(!render(std::slice::from_ref(&diagnostic), false, 100).contains('\u{1b}'));
    assert!(render(&[diagnostic], true, 100).contains('\u{1b}'));
}

#[test]
fn a_problem_without_a_place_has_no_excerpt() {
    let diagnostic = Diagnostic::error("rules::no_files", "there is no rule file").hint("add one");
    assert_snapshot!(render(&[diagnostic], false, 100), @"
    rules::no_files

      × there is no rule file
      help: add one
    ");
}
