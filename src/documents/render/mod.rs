//! HTML pages: the invoice, the usage report and the index. Pure functions render plain structs as HTML.
//!
//! A page computes no amount of an invoice, and formats exact decimal text in the language of the reader. Usage reports
//! compute numbers for display: the chart, the shares, and the sums of small services. The same struct results in the
//! same bytes.
//!
//! Pages are self-contained: they have no script and load no other file. Any text may come from a tenant. So every text
//! is escaped, and its text direction is isolated from the surrounding text.

mod chart;
mod cost_error;
mod country;
mod date;
mod escape;
mod index;
mod invoice;
mod lines_on_page;
mod month_end;
mod number;
mod unit;
mod usage_report;

#[cfg(test)]
pub(crate) mod tests;

use crate::documents::render::cost_error::CostError;
use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use self::country::country_name;
use self::date::Dates;
use self::lines_on_page::{LineOnPage, QuantityOnPage};
use self::unit::UnitNames;
use crate::model::branding::{Branding, BrandingView};

pub use date::DateError;
pub use index::{
    CurrencyTotal, File, IndexPage, IndexedProject, InvoiceSummary, RecordCounts, RejectedRecords, UsageCounts,
};
pub use invoice::{
    AllowanceLine, Buyer, DataNote, DocumentKind, Exchange, FactoredPrice, InvoiceLine, InvoicePage, Issued, LineBy,
    LineCorrection, LineTax, OneOff, PrecedingDocument, Prepaid, PriceExchange, Project, ReplacedDocument,
    TaxBreakdown,
};
pub use month_end::{
    AccountChange, AccountTotal, ChangeCause, Invariant, InvariantPart, MonthBefore, MonthEndPack, MonthEndPage,
    PackBroughtForward, PackCredit, PackDocument, PackException, PackTax, SellerTotal, ServiceChange,
};
pub use number::{NumberError, NumberFormat};
pub use usage_report::{
    DailyCost, InvoiceLink, InvoicingStatus, Label, LineRounding, OtherResources, ResourceCost, ServiceCost, SkuCost,
    UnratedUsage, UnratedUsageSummary, UsageReportPage,
};

/// The texts of invoices by language. Other languages use English.
const MESSAGES: [(&str, &str); 3] = [
    ("de", include_str!("messages/de.toml")),
    ("en", include_str!("messages/en.toml")),
    ("fr", include_str!("messages/fr.toml")),
];

const TEMPLATES: [(&str, &str); 7] = [
    ("_base.html", include_str!("templates/_base.html")),
    ("_close_decision.html", include_str!("templates/_close_decision.html")),
    ("_style.css", include_str!("templates/_style.css")),
    ("invoice.html", include_str!("templates/invoice.html")),
    ("usage_report.html", include_str!("templates/usage_report.html")),
    ("index.html", include_str!("templates/index.html")),
    ("month_end.html", include_str!("templates/month_end.html")),
];

/// An error in the rendering of a page.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error("the costs of the usage report are inconsistent")]
    Cost(#[from] CostError),
    #[error(transparent)]
    Date(#[from] DateError),
    #[error("the messages in `messages/{language}.toml` are not a TOML table of texts")]
    Messages {
        language: String,
        #[source]
        source: toml::de::Error,
    },
    #[error("the page cannot be serialized as JSON")]
    Json(#[from] serde_json::Error),
    /// A value that a template cannot format, such as an amount that is not a number.
    #[error("the page `{page}` cannot be rendered")]
    Render {
        page: &'static str,
        #[source]
        source: minijinja::Error,
    },
}

impl From<Error> for crate::error::Error {
    fn from(error: Error) -> Self {
        Self::Page(Box::new(error))
    }
}

/// The compiled templates, with the formats and messages of one language.
#[derive(Debug)]
pub struct Pages {
    environment: Environment<'static>,
    unit_names: UnitNames,
}

impl Pages {
    /// The templates for a BCP 47 language tag. Numbers and dates are formatted in every language of CLDR. The texts
    /// of invoices are translated to the languages with messages. The texts of reports and of the index are in English.
    pub fn new(language: &str, branding: &Branding) -> Result<Self, Error> {
        let numbers = NumberFormat::new(language)?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().map_err(|source| Error::Render { page: "_base.html", source })?);
        environment.set_formatter(|output, state, value| {
            // A template must test an optional value with `if`. A document that shows "none" is worse than no document.
            if value.is_none() {
                return Err(minijinja::Error::new(ErrorKind::UndefinedError, "a missing value cannot be printed"));
            }
            minijinja::escape_formatter(output, state, value)
        });
        add_number_filters(&mut environment, &numbers);
        add_date_filters(&mut environment, &Dates::of(language)?);
        environment.add_filter("last_day", |end: &str| date::last_day(end).map_err(invalid));
        environment.add_filter("href", escape::href);
        environment.add_filter("css_string", escape::css_string);
        let (locale, messages) = messages_of(language, branding)?;
        let unit_names = UnitNames::new(&locale, &messages);
        let names = unit_names.clone();
        environment.add_filter("on_page", move |quantity: &str, unit: &str| {
            let shown = QuantityOnPage::of(quantity, unit, &names).map_err(invalid)?;
            serde_json::to_value(&shown).map(template_value).map_err(invalid)
        });
        let of_countries = locale.clone();
        environment.add_filter("country", move |code: &str| country_name(&of_countries, code));
        environment.add_filter("readable", readable);
        environment.add_global("messages", template_value(serde_json::to_value(&messages)?));
        let view = BrandingView {
            language: &locale,
            logo: branding.logo.as_deref(),
            accent_color: branding.accent_color.as_deref(),
            legal_footer: &branding.legal_footer,
        };
        environment.add_global("branding", template_value(serde_json::to_value(&view)?));
        for (name, built_in) in TEMPLATES {
            let source = branding.templates.get(name).cloned().unwrap_or_else(|| built_in.to_owned());
            environment.add_template_owned(name, source).map_err(|source| Error::Render { page: name, source })?;
        }
        Ok(Self { environment, unit_names })
    }

    /// The invoice as an HTML page.
    pub fn render_invoice(&self, page: &InvoicePage) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Arranged<'page> {
            #[serde(flatten)]
            page: &'page InvoicePage,
            lines_on_page: Vec<LineOnPage>,
        }
        self.render("invoice.html", &Arranged { page, lines_on_page: page.lines_on_page(&self.unit_names)? })
    }

    /// The usage report as an HTML page.
    pub fn render_usage_report(&self, page: &UsageReportPage) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Arranged<'page> {
            #[serde(flatten)]
            page: &'page UsageReportPage,
            arrangement: usage_report::Arrangement,
        }
        self.render("usage_report.html", &Arranged { page, arrangement: page.arrange()? })
    }

    /// The index of a billing period as an HTML page.
    pub fn render_index(&self, page: &IndexPage) -> Result<String, Error> {
        self.render("index.html", page)
    }

    /// The month-end pack as an HTML page.
    pub fn render_month_end(&self, page: &MonthEndPage) -> Result<String, Error> {
        self.render("month_end.html", page)
    }

    fn render(&self, page: &'static str, context: &impl Serialize) -> Result<String, Error> {
        let context = template_value(serde_json::to_value(context)?);
        self.environment
            .get_template(page)
            .and_then(|template| template.render(context))
            .map_err(|source| Error::Render { page, source })
    }
}

/// The invoice as JSON, with the same contents as the page.
pub fn invoice_json(page: &InvoicePage) -> Result<String, Error> {
    let mut text = serde_json::to_string_pretty(page)?;
    text.push('\n');
    Ok(text)
}

/// The language of the messages, and the messages. Files of the seller take precedence over built-in files.
fn messages_of(language: &str, branding: &Branding) -> Result<(String, BTreeMap<String, String>), Error> {
    let base = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let built_in = |wanted: &str| MESSAGES.iter().find(|(name, _)| *name == wanted).map(|(_, text)| *text);
    let of_seller = |wanted: &str| branding.templates.get(&format!("messages/{wanted}.toml")).map(String::as_str);
    let locale = if built_in(&base).is_some() || of_seller(&base).is_some() { base } else { "en".to_owned() };
    let mut messages = BTreeMap::new();
    // A message that is missing in a language is in English.
    for text in [built_in("en"), built_in(&locale), of_seller(&locale)].into_iter().flatten() {
        let of_file: Result<BTreeMap<String, String>, _> = toml::from_str(text);
        messages.extend(of_file.map_err(|source| Error::Messages { language: locale.clone(), source })?);
    }
    Ok((locale, messages))
}

/// A name with blanks in place of underscores and with a capital first letter, such as `Volume type` for `volume_type`.
fn readable(name: &str) -> String {
    let spaced = name.replace('_', " ");
    let mut characters = spaced.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

fn add_date_filters(environment: &mut Environment<'static>, dates: &Dates) {
    let format = dates.clone();
    environment.add_filter("date", move |date: &str| format.date(date).map_err(invalid));
    let format = dates.clone();
    environment.add_filter("short_date", move |date: &str| format.short_date(date).map_err(invalid));
    let format = dates.clone();
    environment.add_filter("period", move |start: &str, end: &str| format.period(start, end).map_err(invalid));
}

fn add_number_filters(environment: &mut Environment<'static>, numbers: &NumberFormat) {
    let format = numbers.clone();
    environment.add_filter("amount", move |text: &str, currency: &str| format.amount(text, currency).map_err(invalid));
    let format = numbers.clone();
    environment.add_filter("cost", move |text: &str, currency: &str| format.cost(text, currency).map_err(invalid));
    let format = numbers.clone();
    environment.add_filter("quantity", move |text: &str| format.quantity(text).map_err(invalid));
    let format = numbers.clone();
    environment
        .add_filter("unit_price", move |text: &str, currency: &str| format.unit_price(text, currency).map_err(invalid));
    let format = numbers.clone();
    environment.add_filter("as_written", move |text: &str| format.as_written(text).map_err(invalid));
    let format = numbers.clone();
    environment.add_filter("count", move |count: u64| format.count(count).map_err(invalid));
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()).with_source(error)
}

/// A template value with the data of a JSON value. Numbers other than counts are undefined. So a page shows only data
/// of its JSON, messages and branding.
fn template_value(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(value),
        // Only counts are numbers. Exact decimal values are text.
        serde_json::Value::Number(value) => value.as_u64().map_or(Value::UNDEFINED, Value::from),
        serde_json::Value::String(value) => Value::from(value),
        serde_json::Value::Array(values) => Value::from_iter(values.into_iter().map(template_value)),
        serde_json::Value::Object(pairs) => {
            Value::from_pairs(pairs.into_iter().map(|(name, value)| (name, template_value(value))))
        }
    }
}
