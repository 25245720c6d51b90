//! The check for rules and prices that no usage can reach. Examples are rules that other rules shadow, prices that
//! their own rule excludes, gaps between prices, and cards without an account. The check does not read usage, so it
//! reports only findings that are true for all usage.
//!
//! A rule is divided into cases. A case contains the dimension values that the condition and the price list require.
//! Another rule covers a case if each of its conjuncts is true in the case. A conjunct is true if the first rule
//! contains the same conjunct, or if the values of the case make the conjunct true.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use jiff::tz::TimeZone;

use super::rate::contains_range;
use crate::error::Error;
use crate::model::account::Accounts;
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place, closest};
use crate::model::meter::Meter;
use crate::model::rule::{PUBLIC, PriceListRow, Pricing, Rule};
use crate::model::rule_book::RuleBook;
use crate::query::Session;
use crate::query::expression::{Conjunct, conjuncts};
use crate::rating::series_tuples::{columns_of, typed_column};

/// The largest number of value combinations of one rule that are checked one by one.
const MOST_CASES: usize = 4096;
/// The largest number of prices of one list that are reported one by one. The last report contains the count of the
/// other prices.
const MOST_REPORTED: usize = 5;

/// A half-open time range in microseconds UTC. A bound of `None` is unbounded.
type Validity = (Option<i64>, Option<i64>);

/// A combination of values that meets a rule: a value for each required column, and a validity.
#[derive(Clone, Debug)]
struct Case {
    /// The values, in the order of the rule's required columns.
    values: Vec<String>,
    valid_from: Option<i64>,
    valid_to: Option<i64>,
}

/// A rule with its condition divided into conjuncts.
struct AnalyzedRule<'a> {
    rule: &'a Rule,
    conjuncts: Vec<Conjunct>,
    texts: HashSet<String>,
    /// The dimensions of the list or table, then the other columns of the cases.
    columns: Vec<String>,
    cases: Vec<Case>,
    /// The numbers of the rows of a list or table, by the values of the rows. Rows are numbered from zero.
    prices: HashMap<Vec<String>, Vec<usize>>,
    /// The dimensions of the list or table.
    by: Vec<String>,
    batch: RecordBatch,
}

/// The warnings about rules and prices that cannot be reached.
pub fn unreachable(
    session: &Session,
    rules: &RuleBook,
    accounts: &Accounts,
    zone: &TimeZone,
) -> Result<Diagnostics, Error> {
    let mut found = Diagnostics::default();
    let mut groups: BTreeMap<(&str, &str, &str), Vec<AnalyzedRule<'_>>> = BTreeMap::new();
    for rule in rules.rules.iter().filter(|rule| !matches!(rule.pricing, Pricing::Factor(_))) {
        let Some(meter) = rules.meter(&rule.meter) else { continue };
        // If the condition is invalid, the compilation of rules has reported the problem.
        let Some(analyzed) = analyze(session, rule, meter)? else { continue };
        warn_of_excluded(&analyzed, meter, rules, &mut found)?;
        groups.entry((&rule.meter, &rule.component, &rule.card)).or_default().push(analyzed);
    }
    for group in groups.into_values() {
        warn_of_shadowed(&group, rules, &mut found)?;
        warn_of_gaps_between_rules(&group, zone, &mut found)?;
        warn_of_gaps_in_lists(&group, rules, zone, &mut found)?;
    }
    warn_of_cards(rules, accounts, &mut found);
    Ok(found)
}

fn analyze<'a>(session: &Session, rule: &'a Rule, meter: &Meter) -> Result<Option<AnalyzedRule<'a>>, Error> {
    let columns = columns_of(meter);
    let conjuncts = match &rule.when {
        Some(when) => match conjuncts(session, when, &columns) {
            Ok(conjuncts) => conjuncts,
            Err(_) => return Ok(None),
        },
        None => Vec::new(),
    };
    let (by, rows) = prices_of(rule);
    let mut prices: HashMap<Vec<String>, Vec<usize>> = HashMap::new();
    for (number, case) in rows.iter().enumerate() {
        prices.entry(case.values.clone()).or_default().push(number);
    }
    let other_values = other_values(&conjuncts, &by, rows.len());
    let other_columns = other_values.iter().map(|(column, _)| (*column).to_owned());
    let names: Vec<String> = by.iter().cloned().chain(other_columns).collect();
    let cases = combined(rows, &other_values);
    let types: HashMap<String, _> = columns.into_iter().collect();
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let Some(kind) = types.get(name) else { return Ok(None) };
        arrays.push(typed_column(kind, cases.iter().map(|case| Some(case.values[index].as_str())))?);
        fields.push(Field::new(name, kind.clone(), true));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(cases.len()));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|source| crate::rows::failed("cases of a rule", source))?;
    let texts = conjuncts.iter().map(|conjunct| conjunct.text.clone()).collect();
    Ok(Some(AnalyzedRule { rule, conjuncts, texts, columns: names, cases, prices, by, batch }))
}

/// The dimensions of the rule's table or list, and its rows. Any other rule has one row without dimensions.
fn prices_of(rule: &Rule) -> (Vec<String>, Vec<Case>) {
    let case = |values: Vec<String>| Case { values, valid_from: rule.valid_from, valid_to: rule.valid_to };
    match &rule.pricing {
        Pricing::Prices { by, values } => {
            (vec![by.clone()], values.keys().map(|value| case(vec![value.clone()])).collect())
        }
        Pricing::PriceList { dimensions, rows, .. } => {
            (dimensions.clone(), rows.iter().map(|row| case_of_row(rule, row)).collect())
        }
        _ => (Vec::new(), vec![case(Vec::new())]),
    }
}

/// The values that conjuncts require for columns outside of the price list. If there are too many combinations, the
/// columns with the most values are left out.
fn other_values<'a>(conjuncts: &'a [Conjunct], by: &[String], row_count: usize) -> Vec<(&'a str, Vec<&'a str>)> {
    let mut required: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (column, values) in conjuncts.iter().filter_map(|conjunct| conjunct.values.as_ref()) {
        let values: BTreeSet<&str> = values.iter().map(String::as_str).collect();
        match required.get_mut(column.as_str()) {
            Some(required) => required.retain(|value| values.contains(value)),
            None => {
                required.insert(column, values);
            }
        }
    }
    let mut others: Vec<(&str, Vec<&str>)> = required
        .into_iter()
        .filter(|(column, _)| !by.iter().any(|dimension| dimension == column))
        .map(|(column, values)| (column, values.into_iter().collect()))
        .collect();
    while others.iter().map(|(_, values)| values.len()).product::<usize>().saturating_mul(row_count)
        > MOST_CASES.max(row_count)
    {
        let widest = others.iter().enumerate().max_by_key(|(_, (_, values))| values.len()).map(|(index, _)| index);
        match widest {
            Some(index) => drop(others.remove(index)),
            None => break,
        }
    }
    others
}

/// The cases of a rule: each row of its list, combined with all other required values.
fn combined(rows: Vec<Case>, other_values: &[(&str, Vec<&str>)]) -> Vec<Case> {
    let mut cases = rows;
    for (_, values) in other_values {
        let each = cases.into_iter().flat_map(|case| {
            let with = move |value: &&str| {
                let mut case = case.clone();
                case.values.push((*value).to_owned());
                case
            };
            values.iter().map(with).collect::<Vec<_>>()
        });
        cases = each.collect();
    }
    cases
}

/// The case of a price list row. The case is valid while both the rule and the row are valid.
fn case_of_row(rule: &Rule, row: &PriceListRow) -> Case {
    let later = [rule.valid_from, row.valid_from].into_iter().flatten().max();
    let earlier = [rule.valid_to, row.valid_to].into_iter().flatten().min();
    Case { values: row.values.clone(), valid_from: later, valid_to: earlier }
}

impl AnalyzedRule<'_> {
    /// For each case, whether a conjunct of another condition is certainly true. `None` if the cases lack a column.
    fn implies(&self, conjunct: &Conjunct) -> Result<Option<Vec<bool>>, Error> {
        if self.texts.contains(&conjunct.text) {
            return Ok(Some(vec![true; self.cases.len()]));
        }
        let mut named = conjunct.compiled.columns();
        if !named.all(|column| self.columns.iter().any(|own| own == column)) {
            return Ok(None);
        }
        if let Some((column, values)) = &conjunct.values
            && let Some(index) = self.columns.iter().position(|own| own == column)
        {
            return Ok(Some(self.cases.iter().map(|case| values.contains(&case.values[index])).collect()));
        }
        Ok(Some(conjunct.compiled.is_true(&self.batch)?))
    }

    /// For each case of another rule, whether this rule certainly has a price for the case. The price must be valid for
    /// the given time, or else for the whole validity of the case. `None` if this rule is not comparable.
    fn covers(&self, other: &AnalyzedRule<'_>, within: Option<Validity>) -> Result<Option<Vec<bool>>, Error> {
        // If this rule has a multiplier with an unknown value, the next rule applies.
        let multiplies = |rule: &Rule| rule.pricing_quantity.as_ref().map(|by| by.text.clone());
        if multiplies(self.rule).is_some() && multiplies(self.rule) != multiplies(other.rule) {
            return Ok(None);
        }
        let mut covered = vec![true; other.cases.len()];
        for conjunct in &self.conjuncts {
            let Some(is_true) = other.implies(conjunct)? else { return Ok(None) };
            covered.iter_mut().zip(is_true).for_each(|(covered, is_true)| *covered &= is_true);
        }
        let indices: Option<Vec<usize>> =
            self.by.iter().map(|name| other.columns.iter().position(|own| own == name)).collect();
        let Some(indices) = indices else { return Ok(None) };
        for (covered, case) in covered.iter_mut().zip(&other.cases).filter(|(covered, _)| **covered) {
            let (from, to) = within.unwrap_or((case.valid_from, case.valid_to));
            let is_valid = |valid_from, valid_to| contains_range(valid_from, valid_to, from, to);
            *covered = if self.by.is_empty() {
                is_valid(self.rule.valid_from, self.rule.valid_to)
            } else {
                let row_values: Vec<String> = indices.iter().map(|index| case.values[*index].clone()).collect();
                let rows = self.prices.get(&row_values);
                // The number of a row is its position in the list.
                rows.is_some_and(|rows| {
                    rows.iter().any(|row| {
                        let (from, to) = self.validity_of(*row);
                        is_valid(from, to)
                    })
                })
            };
        }
        Ok(Some(covered))
    }

    fn validity_of(&self, row: usize) -> Validity {
        match &self.rule.pricing {
            Pricing::PriceList { rows, .. } => rows.get(row).map_or((Some(0), Some(0)), |row| {
                let case = case_of_row(self.rule, row);
                (case.valid_from, case.valid_to)
            }),
            _ => (self.rule.valid_from, self.rule.valid_to),
        }
    }

    /// The place of a price, and its dimension values.
    fn price(&self, values: &[String], rules: &RuleBook, line: Option<usize>) -> (Place, String) {
        let named: Vec<String> =
            self.by.iter().zip(values).map(|(name, value)| format!("{name} = `{value}`")).collect();
        let place = match (&self.rule.pricing, line) {
            (Pricing::PriceList { file, .. }, Some(line)) => line_of(rules, file, line),
            _ => None,
        };
        (place.unwrap_or_else(|| self.rule.declared_at.clone()), named.join(", "))
    }
}

/// The place of a line in a file of the rules. Lines are counted from one.
fn line_of(rules: &RuleBook, file: &str, line: usize) -> Option<Place> {
    let source = rules.sources.iter().find(|source| source.name == file)?;
    let mut start = 0;
    for (number, text) in source.text.split_inclusive('\n').enumerate() {
        if number + 1 == line {
            return Some(Place::new(source, start..start + text.trim_end().len()));
        }
        start += text.len();
    }
    None
}

/// Warns of rows of a price list or table that the condition, the validity or the lookups of their own rule exclude.
fn warn_of_excluded(
    analyzed: &AnalyzedRule<'_>,
    meter: &Meter,
    rules: &RuleBook,
    found: &mut Diagnostics,
) -> Result<(), Error> {
    if analyzed.cases.is_empty() {
        let message = format!("no usage can meet the condition of rule `{}`", analyzed.rule.id);
        let diagnostic = Diagnostic::warning("rules::unreachable", message);
        let place =
            analyzed.rule.when.as_ref().map_or_else(|| analyzed.rule.declared_at.clone(), |when| when.place.clone());
        found.push(
            diagnostic.at(place, "requires two values of one dimension").hint("fix the condition, or remove the rule"),
        );
        return Ok(());
    }
    let mut excluded: BTreeMap<usize, String> = BTreeMap::new();
    let rows = analyzed.prices.values().flatten().count();
    let per_row = analyzed.cases.len() / rows.max(1);
    let case_of = |row: usize| &analyzed.cases[row * per_row];
    for conjunct in &analyzed.conjuncts {
        let mut named = conjunct.compiled.columns().peekable();
        if named.peek().is_none() || !named.all(|column| analyzed.by.iter().any(|name| name == column)) {
            continue;
        }
        let is_true = conjunct.compiled.is_true(&analyzed.batch)?;
        for row in (0..rows).filter(|row| !is_true[row * per_row]) {
            excluded.entry(row).or_insert_with(|| "the `when` of the rule excludes it".to_owned());
        }
    }
    for (index, name) in analyzed.by.iter().enumerate() {
        let lookup = meter.dimension(name).and_then(|dimension| dimension.lookup.as_ref());
        let Some(lookup) = lookup.filter(|lookup| lookup.required) else { continue };
        let Some(table) = rules.lookups.iter().find(|table| table.name == lookup.table) else { continue };
        let lookup_values: HashSet<&str> = table.rows.iter().map(|row| row.value.as_str()).collect();
        for row in (0..rows).filter(|row| !lookup_values.contains(case_of(*row).values[index].as_str())) {
            let value = &case_of(row).values[index];
            excluded.entry(row).or_insert_with(|| match closest(value, lookup_values.iter().copied()) {
                Some(likely) => format!("lookup `{}` has no value `{value}`; did you mean `{likely}`?", lookup.table),
                None => format!("lookup `{}` has no value `{value}`", lookup.table),
            });
        }
    }
    if !analyzed.by.is_empty() {
        let ends = |case: &Case| matches!((case.valid_from, case.valid_to), (Some(from), Some(to)) if from >= to);
        for row in (0..rows).filter(|row| ends(case_of(*row))) {
            excluded.entry(row).or_insert_with(|| "its validity is outside of the validity of the rule".to_owned());
        }
    }
    warn_of_prices(analyzed, rules, excluded.into_iter().map(|(row, why)| (row, why, None)).collect(), found);
    Ok(())
}

/// Warns of prices that are never used. At most [`MOST_REPORTED`] prices of a rule are reported one by one.
fn warn_of_prices(
    analyzed: &AnalyzedRule<'_>,
    rules: &RuleBook,
    prices: Vec<(usize, String, Option<Place>)>,
    found: &mut Diagnostics,
) {
    let unreported = prices.len().saturating_sub(MOST_REPORTED);
    let rows = analyzed.prices.values().flatten().count();
    let per_row = analyzed.cases.len() / rows.max(1);
    for (number, (row, why, other)) in prices.into_iter().take(MOST_REPORTED).enumerate() {
        let line = match &analyzed.rule.pricing {
            Pricing::PriceList { rows, .. } => rows.get(row).map(|row| row.line),
            _ => None,
        };
        let (place, price) = analyzed.price(&analyzed.cases[row * per_row].values, rules, line);
        let mut message = format!("the price for {price} in rule `{}` is never used: {why}", analyzed.rule.id);
        if number + 1 == MOST_REPORTED && unreported > 0 {
            let _ = write!(message, " ({unreported} more prices are never used)");
        }
        let mut diagnostic = Diagnostic::warning("rules::unused_price", message).at(place, "never used");
        if let Some(other) = other {
            diagnostic = diagnostic.at(other, "applies instead");
        }
        found.push(diagnostic.hint("remove the price, or fix the condition that excludes it"));
    }
}

/// An index of the rules that may cover another rule. A meter may have thousands of rules that differ in one value.
struct Index<'a> {
    /// The numbers of rules, by a column and a value that the condition of the rule requires.
    by_value: HashMap<(&'a str, &'a str), Vec<usize>>,
    others: Vec<usize>,
}

impl<'a> Index<'a> {
    fn new(group: &'a [AnalyzedRule<'_>]) -> Self {
        let mut index = Self { by_value: HashMap::new(), others: Vec::new() };
        for (number, analyzed) in group.iter().enumerate() {
            let narrowest = analyzed.conjuncts.iter().filter_map(|conjunct| conjunct.values.as_ref());
            match narrowest.min_by_key(|(_, values)| values.len()) {
                Some((column, values)) => {
                    for value in values {
                        index.by_value.entry((column, value)).or_default().push(number);
                    }
                }
                None => index.others.push(number),
            }
        }
        index
    }

    /// The numbers of all rules that may cover a case of this rule.
    fn candidates(&self, analyzed: &AnalyzedRule<'_>) -> BTreeSet<usize> {
        let mut candidates: BTreeSet<usize> = self.others.iter().copied().collect();
        for (position, column) in analyzed.columns.iter().enumerate() {
            let values: BTreeSet<&str> = analyzed.cases.iter().map(|case| case.values[position].as_str()).collect();
            for value in values {
                candidates.extend(self.by_value.get(&(column.as_str(), value)).into_iter().flatten());
            }
        }
        candidates
    }
}

/// Warns of rules, and of prices in lists, if rules with a higher priority always price the same usage.
fn warn_of_shadowed(group: &[AnalyzedRule<'_>], rules: &RuleBook, found: &mut Diagnostics) -> Result<(), Error> {
    let lowest = group.iter().map(|analyzed| analyzed.rule.priority).min();
    if group.iter().all(|analyzed| Some(analyzed.rule.priority) == lowest) {
        return Ok(());
    }
    let index = Index::new(group);
    for analyzed in group.iter().filter(|analyzed| !analyzed.cases.is_empty()) {
        let mut before: Vec<Option<&AnalyzedRule<'_>>> = vec![None; analyzed.cases.len()];
        let candidates = index.candidates(analyzed);
        let candidates = candidates.into_iter().map(|number| &group[number]);
        for other in candidates.filter(|other| other.rule.priority > analyzed.rule.priority) {
            let Some(covered) = other.covers(analyzed, None)? else { continue };
            for (before, _) in before.iter_mut().zip(&covered).filter(|(before, covered)| before.is_none() && **covered)
            {
                *before = Some(other);
            }
        }
        if let Some(Some(other)) = before.first().filter(|_| before.iter().all(Option::is_some)) {
            let message = format!(
                "rule `{}` can never apply: `{}` has a higher priority and prices all of its usage",
                analyzed.rule.id, other.rule.id
            );
            let diagnostic = Diagnostic::warning("rules::unreachable", message)
                .at(analyzed.rule.declared_at.clone(), "can never apply")
                .at(other.rule.declared_at.clone(), "applies instead");
            found.push(
                diagnostic.hint(
                    "remove a rule, give the other one a `when` or a validity, or raise the `priority` of this one",
                ),
            );
            continue;
        }
        if analyzed.by.is_empty() {
            continue;
        }
        let rows = analyzed.prices.values().flatten().count();
        let per_row = analyzed.cases.len() / rows.max(1);
        let mut unused = Vec::new();
        for row in 0..rows {
            let of_row = &before[row * per_row..(row + 1) * per_row];
            if let Some(Some(other)) = of_row.first().filter(|_| of_row.iter().all(Option::is_some)) {
                let why = format!("`{}` has a higher priority and prices the same usage", other.rule.id);
                unused.push((row, why, Some(other.rule.declared_at.clone())));
            }
        }
        warn_of_prices(analyzed, rules, unused, found);
    }
    Ok(())
}

/// Warns of times between successive versions of a price in which no other price applies.
fn warn_of_gaps_between_rules(
    group: &[AnalyzedRule<'_>],
    zone: &TimeZone,
    found: &mut Diagnostics,
) -> Result<(), Error> {
    // The versions of a price have the same condition and SKU. Their kind of pricing may differ.
    let mut versions: BTreeMap<(Vec<&str>, &str), Vec<&AnalyzedRule<'_>>> = BTreeMap::new();
    for analyzed in
        group.iter().filter(|analyzed| analyzed.rule.valid_from.is_some() || analyzed.rule.valid_to.is_some())
    {
        let mut texts: Vec<&str> = analyzed.texts.iter().map(String::as_str).collect();
        texts.sort_unstable();
        versions.entry((texts, &analyzed.rule.sku)).or_default().push(analyzed);
    }
    for mut versions_of_price in versions.into_values() {
        versions_of_price.sort_by_key(|analyzed| analyzed.rule.valid_from);
        for pair in versions_of_price.windows(2) {
            let (Some(end), Some(start)) = (pair[0].rule.valid_to, pair[1].rule.valid_from) else { continue };
            if end >= start || is_filled(group, pair[0], None, (end, start))? {
                continue;
            }
            let (from, to) = (shown(end, zone), shown(start, zone));
            let message =
                format!("no price from {from} to {to}, between rules `{}` and `{}`", pair[0].rule.id, pair[1].rule.id);
            let diagnostic = Diagnostic::warning("rules::gap", message)
                .at(pair[0].rule.declared_at.clone(), format!("ends at {from}"))
                .at(pair[1].rule.declared_at.clone(), format!("begins at {to}"));
            found.push(
                diagnostic.hint("set `valid_from` of the second to `valid_to` of the first; `valid_to` is exclusive"),
            );
        }
    }
    Ok(())
}

/// Warns of times between successive rows of a price list in which no other price applies.
fn warn_of_gaps_in_lists(
    group: &[AnalyzedRule<'_>],
    rules: &RuleBook,
    zone: &TimeZone,
    found: &mut Diagnostics,
) -> Result<(), Error> {
    for analyzed in group {
        let Pricing::PriceList { rows, .. } = &analyzed.rule.pricing else { continue };
        let mut reported = 0;
        let per_row = analyzed.cases.len() / rows.len().max(1);
        let mut lists: Vec<&Vec<usize>> = analyzed.prices.values().filter(|numbers| numbers.len() > 1).collect();
        lists.sort();
        for numbers in lists {
            let mut numbers = numbers.clone();
            numbers.sort_by_key(|number| rows[*number].valid_from);
            for pair in numbers.windows(2) {
                let (Some(end), Some(start)) = (rows[pair[0]].valid_to, rows[pair[1]].valid_from) else { continue };
                if end >= start
                    || reported == MOST_REPORTED
                    || is_filled(group, analyzed, Some(pair[0] * per_row), (end, start))?
                {
                    continue;
                }
                reported += 1;
                let (from, to) = (shown(end, zone), shown(start, zone));
                let (first, price) = analyzed.price(&rows[pair[0]].values, rules, Some(rows[pair[0]].line));
                let (second, _) = analyzed.price(&rows[pair[1]].values, rules, Some(rows[pair[1]].line));
                let message = format!("no price for {price} in rule `{}` from {from} to {to}", analyzed.rule.id);
                let diagnostic = Diagnostic::warning("rules::gap", message)
                    .at(first, format!("ends at {from}"))
                    .at(second, format!("begins at {to}"));
                found.push(
                    diagnostic
                        .hint("set `valid_from` of the second to `valid_to` of the first; `valid_to` is exclusive"),
                );
            }
        }
    }
    Ok(())
}

/// Whether another rule certainly prices all cases of a rule, or the given case, for the whole given time.
fn is_filled(
    group: &[AnalyzedRule<'_>],
    analyzed: &AnalyzedRule<'_>,
    case: Option<usize>,
    within: (i64, i64),
) -> Result<bool, Error> {
    for other in group.iter().filter(|other| other.rule.id != analyzed.rule.id) {
        if let Some(covered) = other.covers(analyzed, Some((Some(within.0), Some(within.1))))? {
            let filled = match case {
                Some(case) => covered.get(case) == Some(&true),
                None => covered.iter().all(|covered| *covered),
            };
            if filled {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The text for an instant: the local date if the instant is at local midnight, or else the instant in UTC.
fn shown(instant: i64, zone: &TimeZone) -> String {
    let Ok(instant) = jiff::Timestamp::from_microsecond(instant) else { return instant.to_string() };
    let local = instant.to_zoned(zone.clone());
    if local.time() == jiff::civil::Time::midnight() { local.date().to_string() } else { instant.to_string() }
}

/// Warns of a card of an account that no rule has, and of a card of a rule that no account has.
fn warn_of_cards(rules: &RuleBook, accounts: &Accounts, found: &mut Diagnostics) {
    let of_fees = rules.recurring.iter().map(|fee| &fee.card).chain(rules.terms.fees.iter().map(|fee| &fee.card));
    let of_rules = rules.rules.iter().map(|rule| &rule.card).chain(of_fees);
    let of_rules: BTreeSet<&str> = of_rules.map(String::as_str).chain([PUBLIC]).collect();
    for used in accounts.cards.iter().filter(|used| !of_rules.contains(used.card.as_str())) {
        let message = format!("account `{}` has card `{}`, but no rule has this card", used.account_id, used.card);
        let cards: Vec<&str> = of_rules.iter().copied().collect();
        let hint = match closest(&used.card, of_rules.iter().copied()) {
            Some(likely) => format!("did you mean `{likely}`? (cards: {})", cards.join(", ")),
            None => format!("cards: {}", cards.join(", ")),
        };
        found.push(
            Diagnostic::warning("rules::unknown_card", message).at(used.place.clone(), "no such card").hint(hint),
        );
    }
    if accounts.accounts.is_empty() {
        return;
    }
    let of_accounts: BTreeSet<&str> = accounts.cards.iter().map(|used| used.card.as_str()).chain([PUBLIC]).collect();
    let mut reported = BTreeSet::new();
    for rule in rules.rules.iter().filter(|rule| !of_accounts.contains(rule.card.as_str())) {
        if reported.insert(rule.card.as_str()) {
            let message = format!("card `{}` is assigned to no account, so its prices are never used", rule.card);
            let diagnostic = Diagnostic::warning("rules::unused_card", message);
            let hint = "add it to `cards` of an account, or remove `card` if the price is for all accounts";
            found.push(diagnostic.at(rule.declared_at.clone(), "a rule of this card").hint(hint));
        }
    }
}
