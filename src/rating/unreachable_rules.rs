//! What of the rules no usage can ever reach: rules and rows of lists behind others, prices that their own rule
//! excludes, gaps between successive prices, cards that nobody has. Found without usage, so only what is certain.
//!
//! A rule is taken apart into cases: the values to which its condition and its price list pin the dimensions. Another
//! rule covers a case where each part of its condition is a part of the first one's too, or is true for what is pinned.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema};
use jiff::tz::TimeZone;

use super::rate::covers;
use crate::error::Error;
use crate::model::account::Accounts;
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place, closest};
use crate::model::meter::Meter;
use crate::model::rule::{PUBLIC, PriceListRow, Pricing, Rule};
use crate::model::rule_book::RuleBook;
use crate::query::Session;
use crate::query::expression::{Conjunct, conjuncts};
use crate::rating::series_tuples::{columns_of, typed_column};

/// Combinations of pinned values of one condition that are looked at one by one.
const MOST_CASES: usize = 4096;
/// Rows of one list that are told apart; the others are counted.
const MOST_TOLD: usize = 5;

/// Microseconds UTC, half-open; `None` is open.
type Validity = (Option<i64>, Option<i64>);

/// One way to meet a rule: a value for each pinned column, when, and the price it stands for.
#[derive(Clone, Debug)]
struct Case {
    /// In the order of the rule's pinned columns.
    values: Vec<String>,
    valid_from: Option<i64>,
    valid_to: Option<i64>,
}

/// A rule with its condition in parts.
struct Part<'a> {
    rule: &'a Rule,
    conjuncts: Vec<Conjunct>,
    texts: HashSet<String>,
    /// Sorted.
    columns: Vec<String>,
    cases: Vec<Case>,
    /// Rows of a list or table, by their values; each with its number among the cases.
    prices: HashMap<Vec<String>, Vec<usize>>,
    /// Dimensions of the list or table.
    by: Vec<String>,
    batch: RecordBatch,
}

/// Warnings about what cannot be reached.
pub fn unreachable(
    session: &Session,
    rules: &RuleBook,
    accounts: &Accounts,
    zone: &TimeZone,
) -> Result<Diagnostics, Error> {
    let mut found = Diagnostics::default();
    let mut groups: BTreeMap<(&str, &str, &str), Vec<Part<'_>>> = BTreeMap::new();
    for rule in rules.rules.iter().filter(|rule| !matches!(rule.pricing, Pricing::Factor(_))) {
        let Some(meter) = rules.meter(&rule.meter) else { continue };
        // A condition that cannot be compiled was told already.
        let Some(part) = part(session, rule, meter)? else { continue };
        excluded(&part, meter, rules, &mut found)?;
        groups.entry((&rule.meter, &rule.component, &rule.card)).or_default().push(part);
    }
    for group in groups.into_values() {
        shadowed(&group, rules, &mut found)?;
        gaps(&group, rules, zone, &mut found)?;
    }
    cards(rules, accounts, &mut found);
    Ok(found)
}

fn part<'a>(session: &Session, rule: &'a Rule, meter: &Meter) -> Result<Option<Part<'a>>, Error> {
    let columns = columns_of(meter);
    let conjuncts = match &rule.when {
        Some(when) => match conjuncts(session, when, &columns) {
            Ok(conjuncts) => conjuncts,
            Err(_) => return Ok(None),
        },
        None => Vec::new(),
    };
    let mut pinned: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (column, values) in conjuncts.iter().filter_map(|conjunct| conjunct.values.as_ref()) {
        let values: BTreeSet<&str> = values.iter().map(String::as_str).collect();
        match pinned.get_mut(column.as_str()) {
            Some(known) => known.retain(|value| values.contains(value)),
            None => {
                pinned.insert(column, values);
            }
        }
    }
    let (by, rows): (Vec<String>, Vec<Case>) = match &rule.pricing {
        Pricing::Prices { by, values } => {
            let case = |value: &String| Case {
                values: vec![value.clone()],
                valid_from: rule.valid_from,
                valid_to: rule.valid_to,
            };
            (vec![by.clone()], values.keys().map(case).collect())
        }
        Pricing::PriceList { dimensions, rows, .. } => {
            (dimensions.clone(), rows.iter().map(|row| of_row(rule, row)).collect())
        }
        _ => (Vec::new(), vec![Case { values: Vec::new(), valid_from: rule.valid_from, valid_to: rule.valid_to }]),
    };
    let mut prices: HashMap<Vec<String>, Vec<usize>> = HashMap::new();
    for (number, case) in rows.iter().enumerate() {
        prices.entry(case.values.clone()).or_default().push(number);
    }
    // What the condition pins beside the list, in every combination, unless these are too many to be looked at.
    let mut free: Vec<(&str, Vec<&str>)> = pinned
        .into_iter()
        .filter(|(column, _)| !by.iter().any(|dimension| dimension == column))
        .map(|(column, values)| (column, values.into_iter().collect()))
        .collect();
    while free.iter().map(|(_, values)| values.len()).product::<usize>().saturating_mul(rows.len())
        > MOST_CASES.max(rows.len())
    {
        let widest = free.iter().enumerate().max_by_key(|(_, (_, values))| values.len()).map(|(index, _)| index);
        match widest {
            Some(index) => drop(free.remove(index)),
            None => break,
        }
    }
    let names: Vec<String> = by.iter().cloned().chain(free.iter().map(|(column, _)| (*column).to_owned())).collect();
    let mut cases = rows;
    for (_, values) in &free {
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
    Ok(Some(Part { rule, conjuncts, texts, columns: names, cases, prices, by, batch }))
}

/// A row holds where the rule and the row do.
fn of_row(rule: &Rule, row: &PriceListRow) -> Case {
    let later = [rule.valid_from, row.valid_from].into_iter().flatten().max();
    let earlier = [rule.valid_to, row.valid_to].into_iter().flatten().min();
    Case { values: row.values.clone(), valid_from: later, valid_to: earlier }
}

impl Part<'_> {
    /// For each case, whether a part of a condition is certainly true.
    fn implies(&self, conjunct: &Conjunct) -> Result<Option<Vec<bool>>, Error> {
        if self.texts.contains(&conjunct.text) {
            return Ok(Some(vec![true; self.cases.len()]));
        }
        let mut named = conjunct.compiled.columns();
        if !named.all(|column| self.columns.iter().any(|known| known == column)) {
            return Ok(None);
        }
        if let Some((column, values)) = &conjunct.values
            && let Some(index) = self.columns.iter().position(|known| known == column)
        {
            return Ok(Some(self.cases.iter().map(|case| values.contains(&case.values[index])).collect()));
        }
        Ok(Some(conjunct.compiled.is_true(&self.batch)?))
    }

    /// For each case of another rule, whether this rule certainly has a price for it, all the time of the case or of
    /// what is asked for.
    fn covers(&self, other: &Part<'_>, within: Option<Validity>) -> Result<Option<Vec<bool>>, Error> {
        // A multiplier of dimensions may be unknown, and then the next rule is asked.
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
            self.by.iter().map(|name| other.columns.iter().position(|known| known == name)).collect();
        let Some(indices) = indices else { return Ok(None) };
        for (covered, case) in covered.iter_mut().zip(&other.cases).filter(|(covered, _)| **covered) {
            let (from, to) = within.unwrap_or((case.valid_from, case.valid_to));
            let holds = |valid_from, valid_to| covers(valid_from, valid_to, from, to);
            *covered = if self.by.is_empty() {
                holds(self.rule.valid_from, self.rule.valid_to)
            } else {
                let wanted: Vec<String> = indices.iter().map(|index| case.values[*index].clone()).collect();
                let rows = self.prices.get(&wanted);
                // Rows of a list are the first cases of it, in the order of the list.
                rows.is_some_and(|rows| {
                    rows.iter().any(|row| {
                        let (from, to) = self.validity_of(*row);
                        holds(from, to)
                    })
                })
            };
        }
        Ok(Some(covered))
    }

    fn validity_of(&self, row: usize) -> Validity {
        match &self.rule.pricing {
            Pricing::PriceList { rows, .. } => rows.get(row).map_or((Some(0), Some(0)), |row| {
                let case = of_row(self.rule, row);
                (case.valid_from, case.valid_to)
            }),
            _ => (self.rule.valid_from, self.rule.valid_to),
        }
    }

    /// The place of a price, and what it is called.
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

/// A line of a file that the rules name, counted from one.
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

/// Rows of a price list or table that the rule's own condition, validity or lookups exclude.
fn excluded(part: &Part<'_>, meter: &Meter, rules: &RuleBook, found: &mut Diagnostics) -> Result<(), Error> {
    if part.cases.is_empty() {
        let message = format!("no usage can meet the condition of rule `{}`", part.rule.id);
        let diagnostic = Diagnostic::warning("rules::unreachable", message);
        let place = part.rule.when.as_ref().map_or_else(|| part.rule.declared_at.clone(), |when| when.place.clone());
        found.push(diagnostic.at(place, "two values at once").hint("mend the condition, or leave the rule out"));
        return Ok(());
    }
    let mut excluded: BTreeMap<usize, String> = BTreeMap::new();
    let rows = part.prices.values().flatten().count();
    let per_row = part.cases.len() / rows.max(1);
    let case_of = |row: usize| &part.cases[row * per_row];
    for conjunct in &part.conjuncts {
        let mut named = conjunct.compiled.columns().peekable();
        if named.peek().is_none() || !named.all(|column| part.by.iter().any(|name| name == column)) {
            continue;
        }
        let is_true = conjunct.compiled.is_true(&part.batch)?;
        for row in (0..rows).filter(|row| !is_true[row * per_row]) {
            excluded.entry(row).or_insert_with(|| "the rule's own `when` is not true for it".to_owned());
        }
    }
    for (index, name) in part.by.iter().enumerate() {
        let lookup = meter.dimension(name).and_then(|dimension| dimension.lookup.as_ref());
        let Some(lookup) = lookup.filter(|lookup| lookup.required) else { continue };
        let Some(table) = rules.lookups.iter().find(|table| table.name == lookup.table) else { continue };
        let known: HashSet<&str> = table.rows.iter().map(|row| row.value.as_str()).collect();
        for row in (0..rows).filter(|row| !known.contains(case_of(*row).values[index].as_str())) {
            let value = &case_of(row).values[index];
            excluded.entry(row).or_insert_with(|| match closest(value, known.iter().copied()) {
                Some(likely) => format!("lookup `{}` gives no `{value}`; did you mean `{likely}`?", lookup.table),
                None => format!("lookup `{}` gives no `{value}`", lookup.table),
            });
        }
    }
    if !part.by.is_empty() {
        let ends = |case: &Case| matches!((case.valid_from, case.valid_to), (Some(from), Some(to)) if from >= to);
        for row in (0..rows).filter(|row| ends(case_of(*row))) {
            excluded.entry(row).or_insert_with(|| "its validity is outside of the rule's".to_owned());
        }
    }
    tell_prices(part, rules, excluded.into_iter().map(|(row, why)| (row, why, None)).collect(), found);
    Ok(())
}

/// Warns of prices that are never used, the first few of a rule one by one.
fn tell_prices(
    part: &Part<'_>,
    rules: &RuleBook,
    prices: Vec<(usize, String, Option<Place>)>,
    found: &mut Diagnostics,
) {
    let untold = prices.len().saturating_sub(MOST_TOLD);
    let rows = part.prices.values().flatten().count();
    let per_row = part.cases.len() / rows.max(1);
    for (number, (row, why, other)) in prices.into_iter().take(MOST_TOLD).enumerate() {
        let line = match &part.rule.pricing {
            Pricing::PriceList { rows, .. } => rows.get(row).map(|row| row.line),
            _ => None,
        };
        let (place, price) = part.price(&part.cases[row * per_row].values, rules, line);
        let mut message = format!("the price for {price} in rule `{}` is never used: {why}", part.rule.id);
        if number + 1 == MOST_TOLD && untold > 0 {
            let _ = write!(message, " (and so are {untold} more)");
        }
        let mut diagnostic = Diagnostic::warning("rules::unused_price", message).at(place, "never used");
        if let Some(other) = other {
            diagnostic = diagnostic.at(other, "asked before");
        }
        found.push(diagnostic.hint("leave it out, or mend what keeps usage away from it"));
    }
}

/// Where to look for rules that may cover another: thousands of rules of one meter mostly differ in one value.
struct Index<'a> {
    /// By a value that the condition asks for.
    by_value: HashMap<(&'a str, &'a str), Vec<usize>>,
    others: Vec<usize>,
}

impl<'a> Index<'a> {
    fn new(group: &'a [Part<'_>]) -> Self {
        let mut index = Self { by_value: HashMap::new(), others: Vec::new() };
        for (number, part) in group.iter().enumerate() {
            let narrowest = part.conjuncts.iter().filter_map(|conjunct| conjunct.values.as_ref());
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

    /// The numbers of all rules that may cover a case of this one.
    fn candidates(&self, part: &Part<'_>) -> BTreeSet<usize> {
        let mut candidates: BTreeSet<usize> = self.others.iter().copied().collect();
        for (position, column) in part.columns.iter().enumerate() {
            let values: BTreeSet<&str> = part.cases.iter().map(|case| case.values[position].as_str()).collect();
            for value in values {
                candidates.extend(self.by_value.get(&(column.as_str(), value)).into_iter().flatten());
            }
        }
        candidates
    }
}

/// Rules, and prices of lists, for which a rule of a higher priority always has a price.
fn shadowed(group: &[Part<'_>], rules: &RuleBook, found: &mut Diagnostics) -> Result<(), Error> {
    let lowest = group.iter().map(|part| part.rule.priority).min();
    if group.iter().all(|part| Some(part.rule.priority) == lowest) {
        return Ok(());
    }
    let index = Index::new(group);
    for part in group.iter().filter(|part| !part.cases.is_empty()) {
        let mut before: Vec<Option<&Part<'_>>> = vec![None; part.cases.len()];
        let candidates = index.candidates(part);
        let candidates = candidates.into_iter().map(|number| &group[number]);
        for other in candidates.filter(|other| other.rule.priority > part.rule.priority) {
            let Some(covered) = other.covers(part, None)? else { continue };
            for (before, _) in before.iter_mut().zip(&covered).filter(|(before, covered)| before.is_none() && **covered)
            {
                *before = Some(other);
            }
        }
        if let Some(Some(other)) = before.first().filter(|_| before.iter().all(Option::is_some)) {
            let message = format!(
                "rule `{}` is never asked: `{}` has a higher priority and a price for all of its usage",
                part.rule.id, other.rule.id
            );
            let diagnostic = Diagnostic::warning("rules::unreachable", message)
                .at(part.rule.declared_at.clone(), "never asked")
                .at(other.rule.declared_at.clone(), "asked before");
            found.push(
                diagnostic.hint("leave one out, give the other a `when` or a validity, or raise this one's `priority`"),
            );
            continue;
        }
        if part.by.is_empty() {
            continue;
        }
        let rows = part.prices.values().flatten().count();
        let per_row = part.cases.len() / rows.max(1);
        let mut unused = Vec::new();
        for row in 0..rows {
            let of_row = &before[row * per_row..(row + 1) * per_row];
            if let Some(Some(other)) = of_row.first().filter(|_| of_row.iter().all(Option::is_some)) {
                let why = format!("`{}` has a higher priority and prices the same", other.rule.id);
                unused.push((row, why, Some(other.rule.declared_at.clone())));
            }
        }
        tell_prices(part, rules, unused, found);
    }
    Ok(())
}

/// Times between successive versions of a price in which nothing stands in its place.
fn gaps(group: &[Part<'_>], rules: &RuleBook, zone: &TimeZone, found: &mut Diagnostics) -> Result<(), Error> {
    // Versions have one condition and one sku; what they charge for it may be stated in any way.
    let mut versions: BTreeMap<(Vec<&str>, &str), Vec<&Part<'_>>> = BTreeMap::new();
    for part in group.iter().filter(|part| part.rule.valid_from.is_some() || part.rule.valid_to.is_some()) {
        let mut texts: Vec<&str> = part.texts.iter().map(String::as_str).collect();
        texts.sort_unstable();
        versions.entry((texts, &part.rule.sku)).or_default().push(part);
    }
    for mut parts in versions.into_values() {
        parts.sort_by_key(|part| part.rule.valid_from);
        for pair in parts.windows(2) {
            let (Some(end), Some(start)) = (pair[0].rule.valid_to, pair[1].rule.valid_from) else { continue };
            if end >= start || is_filled(group, pair[0], None, (end, start))? {
                continue;
            }
            let (from, to) = (shown(end, zone), shown(start, zone));
            let message = format!(
                "from {from} to {to} there is no price between rules `{}` and `{}`",
                pair[0].rule.id, pair[1].rule.id
            );
            let diagnostic = Diagnostic::warning("rules::gap", message)
                .at(pair[0].rule.declared_at.clone(), format!("ends at {from}"))
                .at(pair[1].rule.declared_at.clone(), format!("begins at {to}"));
            found.push(diagnostic.hint("let one begin where the other ends; `valid_to` is exclusive"));
        }
    }
    for part in group {
        let Pricing::PriceList { rows, .. } = &part.rule.pricing else { continue };
        let mut told = 0;
        let per_row = part.cases.len() / rows.len().max(1);
        let mut lists: Vec<&Vec<usize>> = part.prices.values().filter(|numbers| numbers.len() > 1).collect();
        lists.sort();
        for numbers in lists {
            let mut numbers = numbers.clone();
            numbers.sort_by_key(|number| rows[*number].valid_from);
            for pair in numbers.windows(2) {
                let (Some(end), Some(start)) = (rows[pair[0]].valid_to, rows[pair[1]].valid_from) else { continue };
                if end >= start || told == MOST_TOLD || is_filled(group, part, Some(pair[0] * per_row), (end, start))? {
                    continue;
                }
                told += 1;
                let (from, to) = (shown(end, zone), shown(start, zone));
                let (first, price) = part.price(&rows[pair[0]].values, rules, Some(rows[pair[0]].line));
                let (second, _) = part.price(&rows[pair[1]].values, rules, Some(rows[pair[1]].line));
                let message = format!("from {from} to {to} there is no price for {price} in rule `{}`", part.rule.id);
                let diagnostic = Diagnostic::warning("rules::gap", message)
                    .at(first, format!("ends at {from}"))
                    .at(second, format!("begins at {to}"));
                found.push(diagnostic.hint("let one begin where the other ends; `valid_to` is exclusive"));
            }
        }
    }
    Ok(())
}

/// Whether some rule certainly prices all cases of a rule, or the one that is asked for, over a time.
fn is_filled(group: &[Part<'_>], part: &Part<'_>, case: Option<usize>, within: (i64, i64)) -> Result<bool, Error> {
    for other in group.iter().filter(|other| other.rule.id != part.rule.id) {
        if let Some(covered) = other.covers(part, Some((Some(within.0), Some(within.1))))? {
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

/// A local date where it is midnight, else the time.
fn shown(instant: i64, zone: &TimeZone) -> String {
    let Ok(instant) = jiff::Timestamp::from_microsecond(instant) else { return instant.to_string() };
    let local = instant.to_zoned(zone.clone());
    if local.time() == jiff::civil::Time::midnight() { local.date().to_string() } else { instant.to_string() }
}

/// Cards that an account names and no rule has, and the other way round.
fn cards(rules: &RuleBook, accounts: &Accounts, found: &mut Diagnostics) {
    let of_fees = rules.recurring.iter().map(|fee| &fee.card).chain(rules.terms.fees.iter().map(|fee| &fee.card));
    let of_rules = rules.rules.iter().map(|rule| &rule.card).chain(of_fees);
    let of_rules: BTreeSet<&str> = of_rules.map(String::as_str).chain([PUBLIC]).collect();
    for used in accounts.cards.iter().filter(|used| !of_rules.contains(used.card.as_str())) {
        let message = format!("no rule stands on card `{}` of account `{}`", used.card, used.account_id);
        let known: Vec<&str> = of_rules.iter().copied().collect();
        let hint = match closest(&used.card, of_rules.iter().copied()) {
            Some(likely) => format!("did you mean `{likely}`? (cards: {})", known.join(", ")),
            None => format!("cards: {}", known.join(", ")),
        };
        found.push(
            Diagnostic::warning("rules::unknown_card", message).at(used.place.clone(), "no such card").hint(hint),
        );
    }
    if accounts.accounts.is_empty() {
        return;
    }
    let of_accounts: BTreeSet<&str> = accounts.cards.iter().map(|used| used.card.as_str()).chain([PUBLIC]).collect();
    let mut told = BTreeSet::new();
    for rule in rules.rules.iter().filter(|rule| !of_accounts.contains(rule.card.as_str())) {
        if told.insert(rule.card.as_str()) {
            let message = format!("no account has the card `{}`, so nobody is asked its prices", rule.card);
            let diagnostic = Diagnostic::warning("rules::unused_card", message);
            let hint = "name it in `cards` of an account, or leave out `card` where the price is for all";
            found.push(diagnostic.at(rule.declared_at.clone(), "a rule of this card").hint(hint));
        }
    }
}
