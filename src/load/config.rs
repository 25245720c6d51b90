//! The reader of `conto.toml`.

use crate::load::paths::resolve;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use iso_currency::Currency;
use jiff::tz::TimeZone;

use super::accounts;
use super::csv_file::{CsvFile, read_decoded};
use super::dialects::DialectKeys;
use super::duration::parse_seconds;
use super::exchange_rates;
use super::keys;
use super::problems::{Problems, reason};
use super::sources::source_config;
use super::table::{ACCOUNTS, CONFIG, File, Table, Text};
use super::time_zone::time_zone;
use super::written_account::{INVOICE_PER, ZERO_INVOICES};
use super::{account_rows, closing, run_limits};
use crate::load::attachments::ReadText;
use crate::load::branding;
use crate::model::account::Accounts;
use crate::model::branding::Branding;
use crate::model::config::{ChartOfAccounts, Config, Seller, SourceConfig, Tax};
use crate::model::diagnostic::{Diagnostic, Diagnostics, Place, SourceText};
use crate::model::money::Percent;

const ACCOUNTS_KEYS: DialectKeys =
    DialectKeys { cells: true, null_values: true, numbers: false, time_zone: true, time_unit: false };

const EXCHANGE_RATES_KEYS: DialectKeys =
    DialectKeys { cells: true, null_values: false, numbers: true, time_zone: false, time_unit: false };
/// Seven days: longer than clients usually repeat an event, and short enough to read its dates every night.
const DUPLICATE_WINDOW_SECONDS: u32 = 7 * 86_400;
/// The longest window: a month. Each intake of events reads the dates within the window.
const DUPLICATE_WINDOW_SECONDS_LARGEST: u32 = 31 * 86_400;

const CATEGORIES: [(&str, &str); 4] = [("S", "S"), ("Z", "Z"), ("E", "E"), ("O", "O")];

/// Reads the configuration and the files that it names. The configuration is `None` if there is an error.
pub fn read_config(path: &Path) -> (Option<Config>, Diagnostics) {
    let name = path.to_string_lossy();
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let folder = path.parent().unwrap_or(Path::new(""));
            read_config_text(&name, &text, folder, &read_decoded, None)
        }
        Err(error) => {
            let mut diagnostics = Diagnostics::default();
            let message = format!("cannot read `{name}`: {}", reason(&error));
            let diagnostic = Diagnostic::error(CONFIG.unreadable, message);
            let is_elsewhere = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::IsADirectory);
            let hint = "run the command in the directory of conto.toml, or give the path with --config";
            diagnostics.push(if is_elsewhere { diagnostic.hint(hint) } else { diagnostic });
            (None, diagnostics)
        }
    }
}

/// Reads the text of a configuration in the directory `folder`. `read_text` reads the accounts and exchange rates. Logo
/// and templates are from `committed_branding`, if given, or else from the disk.
pub fn read_config_text(
    name: &str,
    text: &str,
    folder: &Path,
    read_text: ReadText<'_>,
    committed_branding: Option<&Branding>,
) -> (Option<Config>, Diagnostics) {
    let problems = Problems::default();
    let source = SourceText::new(name, text);
    let file = File { source: &source, codes: &CONFIG, problems: &problems, currency: None };
    let entries = file.parse();
    let root = entries.as_ref().map(|entries| file.root(entries, &keys::CONFIGURATION));
    let config = root.and_then(|root| read(root, folder, read_text, committed_branding));
    let config = config.filter(|_| problems.error_count() == 0);
    (config, problems.into_diagnostics())
}

fn read(
    mut root: Table<'_>,
    folder: &Path,
    read_text: ReadText<'_>,
    committed_branding: Option<&Branding>,
) -> Option<Config> {
    let problems = root.file.problems;
    let source = Arc::clone(root.file.source);
    let lake = root.string("lake").unwrap_or_else(|| "lake".to_owned());
    let rules = root.string("rules").unwrap_or_else(|| "rating-rules".to_owned());
    let accounts = root.take("accounts");
    let accounts = accounts.and_then(|value| CsvFile::read(&value, &keys::ACCOUNTS_REFERENCE, ACCOUNTS_KEYS));
    let exchange_rates = root.take("exchange_rates");
    let exchange_rates =
        exchange_rates.and_then(|value| CsvFile::read(&value, &keys::EXCHANGE_RATES_REFERENCE, EXCHANGE_RATES_KEYS));
    let minimum_invoice_amount = root.take("minimum_invoice_amount").and_then(|value| value.positive());
    let time_zone = root.require_text("time_zone").and_then(|text| time_zone(&text, root.file));
    let currency = root.require_text("currency").and_then(|text| currency(&text, problems));
    let language = root.text("language").map(|text| language(text, problems));
    let shards = root.take("shards").and_then(|value| Some((value.integer()?, value.place())));
    let shards = shards.map_or(1, |(number, place)| shards_of(number, place, problems));
    let duplicate_window = root.text("duplicate_window").map(|text| duplicate_window(text, problems));
    let seller = root.require("seller").and_then(|value| value.table(&keys::SELLER));
    let seller = seller.and_then(|table| seller_of(table, folder, committed_branding));
    let tax = root.take("tax").map(|value| {
        let tax = value.table(&keys::SELLER_TAX).and_then(tax);
        if let (Some(tax), Some((seller, _))) = (&tax, &seller) {
            refuse_tax_without_seller(tax, seller, value.key_place(), problems);
        }
        tax
    });
    let closing = root.take("closing").and_then(|value| value.table(&keys::CLOSING)).and_then(closing::closing);
    let run_limits = root.take("run").and_then(|value| value.table(&keys::RUN)).map(run_limits::run_limits);
    let invoice_per = root.take("invoice_per").and_then(|value| value.choice(&INVOICE_PER)).unwrap_or_default();
    let zero_invoices = root.take("zero_invoices").and_then(|value| value.choice(&ZERO_INVOICES)).unwrap_or_default();
    let templates = root.text("templates");
    let chart_of_accounts =
        root.take("ledger").and_then(|value| value.table(&keys::LEDGER)).map(chart_of_accounts).unwrap_or_default();
    let sources = root.tables("source", &keys::SOURCE);
    // A missing time zone is already an error. The other times are then read in UTC, to report their errors too.
    let zone = time_zone.clone().unwrap_or(TimeZone::UTC);
    let sources: Vec<_> = sources.into_iter().filter_map(|table| source_config(table, folder, &zone)).collect();
    refuse_same_name(&sources, problems);
    root.finish();
    let mut branding = seller.as_ref().map(|(_, branding)| branding.clone()).unwrap_or_default();
    if let Some(directory) = templates {
        branding.templates = match committed_branding {
            Some(committed) => committed.templates.clone(),
            None => branding::templates(&directory, folder, problems),
        };
    }
    let exchange_rates = exchange_rates.and_then(|file| Some((rates_text(&file, folder, read_text, problems)?, file)));
    let accounts = accounts.map(|file| accounts_of(&file, folder, &zone, read_text, problems));

    Some(Config {
        source,
        lake: resolve(&lake, folder),
        rules: folder.join(rules),
        time_zone: time_zone?.iana_name()?.to_owned(),
        currency: currency?,
        language: language.unwrap_or_else(|| "en".to_owned()),
        shards,
        duplicate_window_seconds: duplicate_window.unwrap_or(DUPLICATE_WINDOW_SECONDS),
        seller: seller?.0,
        // Without `[tax]`, invoices are outside the scope of tax.
        tax: tax
            .unwrap_or_else(|| Some(Tax { name: "Tax".to_owned(), category: "O".to_owned(), rate: Percent::ZERO }))?,
        closing: closing.unwrap_or_default(),
        run_limits: run_limits.unwrap_or_default(),
        invoice_per,
        zero_invoices,
        sources: sources.into_iter().map(|(_, config)| config).collect(),
        accounts: accounts.unwrap_or_default(),
        exchange_rates: exchange_rates
            .as_ref()
            .map(|(source, file)| exchange_rates::read(source, file, problems))
            .unwrap_or_default(),
        exchange_rates_source: exchange_rates.map(|(source, _)| source),
        minimum_invoice_amount,
        chart_of_accounts,
        branding,
    })
}

fn currency(text: &Text, problems: &Problems) -> Option<Currency> {
    let Some(currency) = Currency::from_code(&text.value) else {
        let message = format!("`{}` is not a currency of ISO 4217", text.value);
        let capitals = text.value.to_ascii_uppercase();
        let hint = match Currency::from_code(&capitals) {
            Some(_) => format!("did you mean `{capitals}`?"),
            None => "use a code of three capital letters, such as `EUR`".to_owned(),
        };
        let diagnostic = Diagnostic::error("config::unknown_currency", message);
        problems.push(diagnostic.at(text.place.clone(), "not a currency").hint(hint));
        return None;
    };
    // Gold and test codes have no minor unit, so amounts in them cannot be rounded.
    if currency.exponent().is_none() {
        let message = format!("currency `{}` has no minor unit, so amounts cannot be rounded", text.value);
        let diagnostic = Diagnostic::error("config::unknown_currency", message);
        let hint = "use a currency for payments, such as `EUR`";
        problems.push(diagnostic.at(text.place.clone(), "not for invoices").hint(hint));
        return None;
    }
    Some(currency)
}

fn language(text: Text, problems: &Problems) -> String {
    if icu_locale_core::Locale::try_from_str(&text.value).is_err() {
        let message = format!("`{}` is not a language tag", text.value);
        let diagnostic = Diagnostic::error("config::unknown_language", message);
        problems.push(diagnostic.at(text.place, "not a tag of BCP 47").hint("use a tag such as `en`, `de` or `fr-CH`"));
    }
    text.value
}

fn shards_of(number: i64, place: Place, problems: &Problems) -> u32 {
    match u32::try_from(number) {
        Ok(shards) if (1..=64).contains(&shards) => shards,
        _ => {
            let message = format!("`shards` is {number}, expected 1 to 64");
            problems.push(Diagnostic::error(CONFIG.bad_number, message).at(place, "out of range"));
            1
        }
    }
}

fn duplicate_window(text: Text, problems: &Problems) -> u32 {
    let seconds = parse_seconds(&text.value).filter(|seconds| *seconds <= DUPLICATE_WINDOW_SECONDS_LARGEST);
    seconds.unwrap_or_else(|| {
        let message = format!("`duplicate_window` is `{}`, expected a duration of at most 31d", text.value);
        let diagnostic = Diagnostic::error("config::bad_duration", message).at(text.place, "invalid duration");
        problems
            .push(diagnostic.hint("write a duration such as \"7d\", or \"0s\" to compare events of equal times only"));
        DUPLICATE_WINDOW_SECONDS
    })
}

fn seller_of(mut table: Table<'_>, folder: &Path, committed_branding: Option<&Branding>) -> Option<(Seller, Branding)> {
    let name = table.require_text("name");
    let address = table.texts("address").unwrap_or_default();
    let country = table.country("country");
    let vat_id = table.string("vat_id");
    let tax_number = table.string("tax_number");
    let registrations = table.take("registrations").and_then(|value| value.table(&keys::REGISTRATIONS));
    let registrations = texts_by_name(registrations);
    let email = table.string("email");
    let payment_terms = table.string("payment_terms");
    let payment_days = table.take("payment_days").and_then(|value| accounts::payment_days(&value));
    let branding = branding::of_seller(&mut table, folder, committed_branding);
    table.finish();
    let address = address.into_iter().map(|line| line.value).collect();
    let seller = Seller {
        name: name?.value,
        address,
        country,
        vat_id,
        tax_number,
        registrations,
        email,
        payment_terms,
        payment_days,
    };
    Some((seller, branding))
}

/// The texts of a table with free names.
fn texts_by_name(table: Option<Table<'_>>) -> BTreeMap<String, String> {
    let values = table.map(Table::rest).unwrap_or_default();
    values.iter().filter_map(|value| Some((value.name.to_owned(), value.text()?.value))).collect()
}

fn tax(mut table: Table<'_>) -> Option<Tax> {
    let name = table.require_text("name");
    let category = table.take("category");
    let category = match &category {
        Some(value) => value.choice(&CATEGORIES),
        None => Some("S"),
    };
    let rate_value = if category == Some("S") { table.require("rate") } else { table.take("rate") };
    let rate = match &rate_value {
        Some(value) => value.non_negative(),
        None => Some(Percent::ZERO),
    };
    if let (Some(category), Some(rate), Some(value)) = (category, rate, &rate_value) {
        let found = if category != "S" && !rate.is_zero() {
            let message = format!("tax of category {category} has the rate {rate}, expected 0");
            Some((message, "remove `rate`, or write category = \"S\""))
        } else if category == "S" && rate.is_zero() {
            let message = "tax of category S has the rate 0, expected more than 0".to_owned();
            Some((message, "use category Z for zero rate, E for exempt, O for outside the scope of tax"))
        } else if rate > Percent::from_integer(100) {
            let message = format!("the tax rate is {rate} percent, expected at most 100");
            Some((message, "write the rate in percent, such as \"19\""))
        } else {
            None
        };
        if let Some((message, hint)) = found {
            let diagnostic = Diagnostic::error("config::tax_rate", message).at(value.place(), "this rate");
            table.file.problems.push(diagnostic.hint(hint));
        }
    }
    table.finish();
    Some(Tax { name: name?.value, category: category?.to_owned(), rate: rate? })
}

/// Checks that the seller has the data that an invoice with tax requires.
fn refuse_tax_without_seller(tax: &Tax, seller: &Seller, place: Place, problems: &Problems) {
    for (key, name) in seller.missing_for_tax(&tax.category) {
        let message = format!("tax of category {} requires {name} of the seller", tax.category);
        let problem = Diagnostic::error("config::tax_without_seller", message);
        let problem = problem.at(place.clone(), "this tax");
        problems.push(
            problem.hint(format!("add `{key}` to `[seller]`{}", if key == "vat_id" { OR_TAX_NUMBER } else { "" })),
        );
    }
}

/// The part of a hint about sellers without a VAT id.
const OR_TAX_NUMBER: &str = "; a seller without a VAT id needs the `tax_number` of its tax office";

fn chart_of_accounts(mut table: Table<'_>) -> ChartOfAccounts {
    let mut chart = ChartOfAccounts::default();
    for (key, account) in [
        ("receivable", &mut chart.receivable),
        ("revenue", &mut chart.revenue),
        ("discounts", &mut chart.discounts),
        ("promotional_credits", &mut chart.promotional_credits),
        ("deferred_credits", &mut chart.deferred_credits),
        ("deposits", &mut chart.deposits),
        ("tax", &mut chart.tax),
        ("unbilled", &mut chart.unbilled),
    ] {
        if let Some(name) = table.string(key) {
            *account = name;
        }
    }
    let by_service = table.take("revenue_by_service").and_then(|value| value.table(&keys::REVENUE_BY_SERVICE));
    chart.revenue_by_service = texts_by_name(by_service);
    let by_name = table.take("tax_by_name").and_then(|value| value.table(&keys::TAX_BY_NAME));
    chart.tax_by_name = texts_by_name(by_name);
    table.finish();
    chart
}

fn refuse_same_name(sources: &[(Text, SourceConfig)], problems: &Problems) {
    let mut seen: BTreeMap<&str, &Text> = BTreeMap::new();
    for (name, _) in sources {
        if let Some(first) = seen.insert(&name.value, name) {
            let message = format!("source `{}` is declared twice", name.value);
            let diagnostic = Diagnostic::error("config::duplicate_source", message)
                .at(name.place.clone(), "again here")
                .at(first.place.clone(), "first here");
            problems.push(diagnostic.hint("rename one of the sources"));
        }
    }
}

fn rates_text(file: &CsvFile, folder: &Path, read_text: ReadText<'_>, problems: &Problems) -> Option<Arc<SourceText>> {
    let path = folder.join(&file.path.value);
    let name = path.to_string_lossy().into_owned();
    match read_text(&path, file.dialect.encoding) {
        Ok(text) => Some(SourceText::new(name, text)),
        Err(error) => {
            problems.push(unreadable("rates::unreadable", &name, &reason(&error), file.encoding_hint(&error), file));
            None
        }
    }
}

fn unreadable(code: &'static str, name: &str, reason: &str, hint: Option<String>, file: &CsvFile) -> Diagnostic {
    let message = format!("cannot read `{name}`: {reason}");
    let hint = hint.unwrap_or_else(|| "the path is relative to the directory of conto.toml".to_owned());
    Diagnostic::error(code, message).at(file.path.place.clone(), "referenced here").hint(hint)
}

fn accounts_of(
    file: &CsvFile,
    folder: &Path,
    time_zone: &TimeZone,
    read_text: ReadText<'_>,
    problems: &Problems,
) -> Accounts {
    let path = folder.join(&file.path.value);
    let name = path.to_string_lossy().into_owned();
    let is_parquet = path.extension().is_some_and(|extension| extension == "parquet");
    // Committed inputs contain a Parquet file as CSV text.
    let text = match read_text(&path, file.dialect.encoding) {
        Err(_) if is_parquet => {
            let bytes = std::fs::read(&path).map_err(|error| reason(&error));
            bytes.and_then(account_rows::csv_of_parquet).map_err(|reason| (reason, None))
        }
        text => text.map_err(|error| (reason(&error), file.encoding_hint(&error))),
    };
    match text {
        Ok(text) => accounts::read_file(&SourceText::new(name, text), file, time_zone, problems),
        Err((reason, hint)) => {
            problems.push(unreadable(ACCOUNTS.unreadable, &name, &reason, hint, file));
            Accounts::default()
        }
    }
}
