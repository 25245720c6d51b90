//! What a person sees as a page: the invoice, the usage report, the index. Pure functions from plain structs to HTML.
//!
//! A page computes no amount. It is given exact decimal text, and shows it in the reader's language; the only numbers
//! made here are those for the eye: the chart, the shares, and the rows of small services put together. The same struct
//! gives the same bytes.
//!
//! Pages stand alone: no script, no style sheet beside them, nothing to load. Every text in them may come from a
//! tenant, so all of it is escaped, and set apart from the direction of writing around it.

mod chart;
mod cost_error;
mod date;
mod escape;
mod index;
mod invoice;
mod number;
mod usage_report;

#[cfg(test)]
mod tests;

use crate::documents::render::cost_error::CostError;
use std::collections::BTreeMap;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{AutoEscape, Environment, ErrorKind, UndefinedBehavior};
use serde::Serialize;

use self::date::Dates;
use crate::model::branding::{Branding, BrandingView};

pub use index::{
    CurrencyTotal, File, IndexPage, IndexedProject, InvoiceSummary, RecordCounts, RejectedRecords, UsageCounts,
};
pub use invoice::{
    AllowanceLine, Buyer, DataNote, DocumentKind, Exchange, InvoiceLine, InvoicePage, Issued, LineBy, LineCorrection,
    PrecedingDocument, Prepaid, PriceExchange, Project, TaxBreakdown,
};
pub use number::{NumberError, NumberFormat};
pub use usage_report::{
    DailyCost, InvoiceLink, InvoicingStatus, Label, OtherResources, ResourceCost, ServiceCost, SkuCost, UnratedUsage,
    UnratedUsageSummary, UsageReportPage,
};

/// What invoices say, by language; English stands for every other.
const WORDS: [(&str, &str); 3] = [
    ("de", include_str!("words/de.toml")),
    ("en", include_str!("words/en.toml")),
    ("fr", include_str!("words/fr.toml")),
];

const TEMPLATES: [(&str, &str); 5] = [
    ("_base.html", include_str!("templates/_base.html")),
    ("_style.css", include_str!("templates/_style.css")),
    ("invoice.html", include_str!("templates/invoice.html")),
    ("usage_report.html", include_str!("templates/usage_report.html")),
    ("index.html", include_str!("templates/index.html")),
];

/// Why a page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Number(#[from] NumberError),
    #[error("the usage report cannot be arranged")]
    Cost(#[from] CostError),
    #[error("the words of a language cannot be read")]
    Words(#[from] toml::de::Error),
    #[error("the page cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// A value that a template refuses, such as an amount that is no number.
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

/// The templates, read once, with numbers and dates in one language.
#[derive(Debug)]
pub struct Pages {
    environment: Environment<'static>,
}

impl Pages {
    /// For readers of a language, given as a BCP 47 tag. Numbers are in every language and dates in many. The words of
    /// invoices are in the languages that there are words for; those of reports and of the index are English.
    pub fn new(language: &str, look: &Branding) -> Result<Self, Error> {
        let numbers = NumberFormat::new(language)?;
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().map_err(|source| Error::Render { page: "_base.html", source })?);
        environment.set_formatter(|output, state, value| {
            // What is absent must be asked for with `if`; a document that says "none" is worse than no document.
            if value.is_none() {
                return Err(minijinja::Error::new(ErrorKind::UndefinedError, "an absent value would be printed"));
            }
            minijinja::escape_formatter(output, state, value)
        });
        add_number_filters(&mut environment, &numbers);
        add_date_filters(&mut environment, &Dates::of(language)?);
        environment.add_filter("last_day", |end: &str| date::last_day(end).map_err(refused));
        environment.add_filter("href", escape::href);
        environment.add_filter("css_string", escape::css_string);
        let (spoken, words) = words_of(language, look)?;
        environment.add_global("words", template_value(serde_json::to_value(&words)?));
        let seen = BrandingView {
            language: &spoken,
            logo: look.logo.as_deref(),
            accent_color: look.accent_color.as_deref(),
            legal_footer: &look.legal_footer,
        };
        environment.add_global("look", template_value(serde_json::to_value(&seen)?));
        for (name, built_in) in TEMPLATES {
            let source = look.templates.get(name).cloned().unwrap_or_else(|| built_in.to_owned());
            environment.add_template_owned(name, source).map_err(|source| Error::Render { page: name, source })?;
        }
        Ok(Self { environment })
    }

    /// The invoice as an HTML page.
    pub fn render_invoice(&self, page: &InvoicePage) -> Result<String, Error> {
        self.render("invoice.html", page)
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

    fn render(&self, page: &'static str, context: &impl Serialize) -> Result<String, Error> {
        let context = template_value(serde_json::to_value(context)?);
        self.environment
            .get_template(page)
            .and_then(|template| template.render(context))
            .map_err(|source| Error::Render { page, source })
    }
}

/// The invoice as JSON: the same facts as the page, for programs.
pub fn invoice_json(page: &InvoicePage) -> Result<String, Error> {
    let mut text = serde_json::to_string_pretty(page)?;
    text.push('\n');
    Ok(text)
}

/// The words of a language, those of the seller's own files before the built-in ones, and which language they are.
fn words_of(language: &str, look: &Branding) -> Result<(String, BTreeMap<String, String>), Error> {
    let alone = language.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let built_in = |wanted: &str| WORDS.iter().find(|(known, _)| *known == wanted).map(|(_, text)| *text);
    let own = |wanted: &str| look.templates.get(&format!("words/{wanted}.toml")).map(String::as_str);
    let spoken = if built_in(&alone).is_some() || own(&alone).is_some() { alone } else { "en".to_owned() };
    let mut words = BTreeMap::new();
    // What a language lacks is said in English.
    for text in [built_in("en"), built_in(&spoken), own(&spoken)].into_iter().flatten() {
        let said: BTreeMap<String, String> = toml::from_str(text)?;
        words.extend(said);
    }
    Ok((spoken, words))
}

fn add_date_filters(environment: &mut Environment<'static>, dates: &Dates) {
    let format = dates.clone();
    environment.add_filter("date", move |date: &str| format.date(date).map_err(refused));
    let format = dates.clone();
    environment.add_filter("short_date", move |date: &str| format.short_date(date).map_err(refused));
    let format = dates.clone();
    environment.add_filter("period", move |start: &str, end: &str| format.period(start, end).map_err(refused));
}

fn add_number_filters(environment: &mut Environment<'static>, numbers: &NumberFormat) {
    let format = numbers.clone();
    environment.add_filter("amount", move |text: &str, currency: &str| format.amount(text, currency).map_err(refused));
    let format = numbers.clone();
    environment.add_filter("cost", move |text: &str, currency: &str| format.cost(text, currency).map_err(refused));
    let format = numbers.clone();
    environment.add_filter("quantity", move |text: &str| format.quantity(text).map_err(refused));
    let format = numbers.clone();
    environment
        .add_filter("unit_price", move |text: &str, currency: &str| format.unit_price(text, currency).map_err(refused));
    let format = numbers.clone();
    environment.add_filter("as_written", move |text: &str| format.as_written(text).map_err(refused));
    let format = numbers.clone();
    environment.add_filter("count", move |count: u64| format.count(count).map_err(refused));
}

fn refused(error: impl std::error::Error + Send + Sync + 'static) -> minijinja::Error {
    minijinja::Error::new(ErrorKind::InvalidOperation, error.to_string()).with_source(error)
}

/// What a template sees is what JSON says, so a page can show nothing that its JSON does not have.
fn template_value(value: serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(value),
        // Counts only: the pages have no other numbers than whole ones, everything exact is text.
        serde_json::Value::Number(value) => value.as_u64().map_or(Value::UNDEFINED, Value::from),
        serde_json::Value::String(value) => Value::from(value),
        serde_json::Value::Array(values) => Value::from_iter(values.into_iter().map(template_value)),
        serde_json::Value::Object(pairs) => {
            Value::from_pairs(pairs.into_iter().map(|(name, value)| (name, template_value(value))))
        }
    }
}
