//! `conto explain`: traces an amount on an invoice to the rule, the metered hours and the files.

mod lookup;
mod terms;
mod totals;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use clap::Args;
use serde::Serialize;

use self::lookup::Candidate;
use self::terms::TermReference;
use self::totals::{ExplainedTotals, TotalsOf};
use crate::billed_period::BilledPeriod;
use crate::cli::context::Context;
use crate::cli::context::shown;
use crate::cli::failure::Failure;
use crate::error::{Error, count};
use crate::intake::resolve::collector::instant;
use crate::model::money::{Amount, Quantity, places_of_code};
use crate::model::period::{BillingPeriod, DayNumber, date_of};
use crate::model::rule_book::RuleBook;
use crate::query::{Parameters, persisted_relation, statement};
use crate::rows::{self, Row};
use crate::run::register_verified;
use crate::storage::{CommitKind, DataFile, Lake, Snapshot};

/// Explain an invoice or one of its lines, down to rules, metered hours and files
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  conto explain acme --period 2026-10\n  \
    conto explain DRAFT-2026-10-075c          the only invoice with this prefix\n  \
    conto explain INV-2026-00017/3            its third line, with windows and files")]
pub(super) struct ExplainCommand {
    /// A number of an invoice, an account id, a project id, or a unique prefix of one; then a slash and a line number
    #[arg(value_name = "INVOICE[/LINE]")]
    invoice: String,

    /// Only invoices of this month
    #[arg(long, value_name = "YYYY-MM")]
    period: Option<BillingPeriod>,

    /// Show every metered window, not only the first and last
    #[arg(long)]
    windows: bool,
}

#[derive(Debug, Serialize)]
struct ExplainedLine {
    invoice: String,
    line: i64,
    description: String,
    line_by: String,
    quantity: String,
    unit: String,
    unit_price: String,
    unit_price_per: String,
    contracted_cost: String,
    /// The fees of a line without usage.
    fees: Vec<ExplainedFee>,
    /// The contract term of a percentage fee or a minimum spend.
    #[serde(skip_serializing_if = "Option::is_none")]
    term_reference: Option<TermReference>,
    /// The origin of a line that is not usage of the period itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<ExplainedOrigin>,
    /// The amounts of a corrected line on all documents of the period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    issued: Vec<IssuedPart>,
    /// The currency of the price and the cost.
    price_currency: String,
    /// `1 EUR = 1.1 USD of 2026-10-30`, if the invoice is in another currency.
    exchange: Option<String>,
    net_amount: String,
    currency: String,
    charge_category: String,
    component: String,
    charge_kind: String,
    allowances: Vec<ExplainedAllowance>,
    /// The net amount minus the allowances.
    remaining_amount: String,
    tax: String,
    rules: Vec<ExplainedRule>,
    resources: Vec<ExplainedResource>,
    windows: Vec<ExplainedWindow>,
    window_count: usize,
    files: Vec<ExplainedFile>,
}

/// A discount or a credit, and its share on the line.
#[derive(Debug, Serialize)]
struct ExplainedAllowance {
    term: String,
    term_reference: Option<TermReference>,
    description: String,
    percent: Option<String>,
    base_amount: String,
    amount: String,
    share_of_line: String,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct ExplainedRule {
    rule: String,
    place: String,
    pricing_unit: String,
    metered_units_in_one: String,
    pool: String,
}

/// A fee, and the days for which it is charged or refunded.
#[derive(Debug, Serialize)]
struct ExplainedFee {
    rule: String,
    place: String,
    resource: String,
    first_date: String,
    last_date: String,
    quantity: String,
    cost: String,
}

/// The document that a line was brought forward from, or the period that it corrects.
#[derive(Debug, Serialize)]
struct ExplainedOrigin {
    carried_from: Option<String>,
    corrected_period: Option<String>,
    corrected_document: Option<String>,
    reason: Option<String>,
}

/// The amount of a line on one document.
#[derive(Debug, Serialize)]
struct IssuedPart {
    invoice: String,
    line: i64,
    net_amount: String,
}

/// The JSON output.
#[derive(Debug, Serialize)]
struct Explained<'a> {
    lines: &'a [ExplainedLine],
    /// The totals; present only for a whole document.
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<&'a ExplainedTotals>,
}

#[derive(Debug, Serialize)]
struct ExplainedResource {
    resource: String,
    description: String,
    first_date: String,
    last_date: String,
    quantity: String,
    cost: String,
}

#[derive(Debug, Serialize)]
struct ExplainedWindow {
    resource: String,
    start: String,
    quantity: String,
    samples: i64,
}

#[derive(Debug, Serialize)]
struct ExplainedFile {
    file: String,
    sha256: String,
    samples: i64,
}

/// The relations that a document is computed from.
struct Document {
    /// The books of the period when the document was issued, or the current books for a draft.
    books: BilledPeriod,
    /// The current snapshot. Samples are read from it, because compaction and vacuum may have replaced the files of the
    /// earlier snapshot.
    today: Snapshot,
    /// The commit that issued the document; `None` for a draft.
    issued_by: Option<u64>,
    invoice_line: Vec<RecordBatch>,
    invoice: Vec<RecordBatch>,
    allowance: Vec<RecordBatch>,
    allowance_share: Vec<RecordBatch>,
    tax_breakdown: Vec<RecordBatch>,
    prepayment: Vec<RecordBatch>,
    line_reference: Vec<RecordBatch>,
    exchange_rate: Vec<RecordBatch>,
    rate: Vec<RecordBatch>,
    /// The rules of the document; `None` if the commit has no rules that this version can read.
    rules: Option<RuleBook>,
}

impl ExplainCommand {
    pub(super) async fn execute(self, context: &Context) -> Result<(), Failure> {
        let config = context.read_config()?;
        let lake = Lake::open(&config.lake)?;
        let snapshot = lake.snapshot().await?;
        let candidates = lookup::candidates(&lake, &snapshot, self.period).await?;
        let (found, line) = self.named(&candidates)?;
        let number = found.number.clone();
        let document = document(lake, snapshot, found.period, &number).await?;
        let mut explained = Vec::new();
        for row in rows::each(&document.invoice_line) {
            let line_number = row.number("line_number")?;
            if row.text("invoice_number")? == number && line.is_none_or(|line| line == line_number) {
                explained.push(self.explain(&document, row, &number, line_number, line.is_some()).await?);
            }
        }
        if let Some(line) = line.filter(|_| explained.is_empty()) {
            return Err(Failure::Usage {
                message: format!("there is no line {line} of the invoice `{number}`"),
                hint: format!("`conto explain {number}` lists its lines"),
            });
        }
        let totals = if line.is_none() { document.totals_of(&number)? } else { None };
        if context.printer.is_json() {
            context.printer.json(&Explained { lines: &explained, totals: totals.as_ref() });
        } else {
            for (index, line) in explained.iter().enumerate() {
                if index > 0 {
                    context.printer.line("");
                }
                print(context, line);
            }
            if let Some(totals) = totals {
                context.printer.line("");
                totals.print(&context.printer);
            }
        }
        Ok(())
    }

    /// The document, and the line if the argument names one. An invoice number may itself contain a slash.
    fn named<'a>(&self, candidates: &'a [Candidate]) -> Result<(&'a Candidate, Option<i64>), Failure> {
        if let Some(found) = lookup::find(&self.invoice, candidates)? {
            return Ok((found, None));
        }
        let Some((document, line)) = self.invoice.rsplit_once('/') else {
            return Err(lookup::unknown(&self.invoice, candidates, self.period));
        };
        let found = lookup::find(document, candidates)?;
        let found = found.ok_or_else(|| lookup::unknown(document, candidates, self.period))?;
        let line = line.parse().map_err(|_| Failure::Usage {
            message: format!("`{line}` is not the number of a line"),
            hint: "write the invoice, a slash and the number of the line".to_owned(),
        })?;
        Ok((found, Some(line)))
    }

    async fn explain(
        &self,
        document: &Document,
        row: Row<'_>,
        number: &str,
        line_number: i64,
        in_depth: bool,
    ) -> Result<ExplainedLine, Failure> {
        let parameters = Parameters::none().text("invoice_number", number).bigint("line_number", line_number);
        let usage = document.books.session.materialize("report/line_usage", parameters.clone()).await?;
        let (rules, resources) = (document.rules_of(&usage)?, resources_of(&usage)?);
        let fees = document.fees(parameters).await?;
        let (mut windows, files) =
            if in_depth && !resources.is_empty() { document.sources_of(&usage).await? } else { Default::default() };
        let (allowances, remaining) = document.allowances_of(number, line_number, row.decimal("net_amount")?)?;
        let price_currency = row.text("price_currency")?.to_owned();
        let exchange = document.exchange_of(number, &price_currency, row.text("currency")?)?;
        let origin = document.origin_of(number, line_number)?;
        let issued = match &origin {
            Some(origin) if origin.carried_from.is_some() => Vec::new(),
            origin => {
                let parts = document.issued_parts(row)?;
                if origin.is_some() || parts.len() > 1 { parts } else { Vec::new() }
            }
        };
        let tax = row.text("tax_treatment")?.to_owned();
        let window_count = windows.len();
        if !self.windows && window_count > 6 {
            windows.drain(3..window_count - 3);
        }
        Ok(ExplainedLine {
            invoice: number.to_owned(),
            line: line_number,
            description: row.text("description")?.to_owned(),
            line_by: row.text("line_by")?.to_owned(),
            quantity: row.decimal::<9>("quantity")?.to_string(),
            unit: row.text("unit")?.to_owned(),
            unit_price: row.decimal::<12>("contracted_unit_price")?.to_text(2),
            unit_price_per: row.decimal::<9>("unit_price_per")?.to_string(),
            contracted_cost: row.decimal::<18>("contracted_cost")?.to_text(2),
            fees,
            term_reference: document.term_reference(row)?,
            origin,
            issued,
            price_currency,
            exchange,
            net_amount: row.decimal::<4>("net_amount")?.to_text(places_of_code(row.text("currency")?)),
            currency: row.text("currency")?.to_owned(),
            charge_category: row.text("charge_category")?.to_owned(),
            component: row.text("component")?.to_owned(),
            charge_kind: row.text("charge_kind")?.to_owned(),
            allowances,
            remaining_amount: remaining.to_text(places_of_code(row.text("currency")?)),
            tax,
            rules,
            resources,
            windows,
            window_count,
            files,
        })
    }
}

/// Registers the relations that a document is computed from.
async fn document(lake: Lake, today: Snapshot, period: BillingPeriod, number: &str) -> Result<Document, Failure> {
    let issued_by = issued_by(&lake, &today, period, number).await?;
    let snapshot = match issued_by {
        Some(sequence) => lake.snapshot_as_of(sequence).await?,
        None => today.clone(),
    };
    let books = BilledPeriod::new(lake, snapshot, period)?;
    let name = period.to_string();
    for path in [
        "invoicing/invoice_line",
        "rating/rated_usage",
        "rating/non_usage_charge",
        "rating/active_series",
        "rating/payer_series",
        "rating/rate",
        "intake/input_file",
    ] {
        books.register(path, |file| file.partition == "all" || file.partition == name).await?;
    }
    let read = async |relation: &str| {
        let mut batches = Vec::new();
        for file in books.snapshot.files(relation).filter(|file| file.partition == name) {
            batches.extend(books.lake.read_rows(file, &persisted_relation(relation)?.schema).await?);
        }
        Ok::<_, Failure>(batches)
    };
    let rules = terms::committed_rules(&books.lake, &books.snapshot, &name).await?;
    Ok(Document {
        rules,
        tax_breakdown: read("tax_breakdown").await?,
        prepayment: read("prepayment").await?,
        line_reference: read("line_reference").await?,
        exchange_rate: read("exchange_rate").await?,
        invoice_line: read("invoice_line").await?,
        invoice: read("invoice").await?,
        allowance: read("allowance").await?,
        allowance_share: read("allowance_share").await?,
        rate: read("rate").await?,
        today,
        issued_by,
        books,
    })
}

/// The commit that issued a document. The inputs of this commit explain the document, because later corrections and
/// restatements may use other inputs. `None` for a draft.
async fn issued_by(
    lake: &Lake,
    snapshot: &Snapshot,
    period: BillingPeriod,
    number: &str,
) -> Result<Option<u64>, Failure> {
    let name = period.to_string();
    for close in snapshot.commits() {
        if close.kind != CommitKind::Close || close.period.as_ref() != Some(&name) {
            continue;
        }
        let entry = lake.log_entry(close.sequence).await?;
        for file in entry.added.iter().filter(|file| file.relation == "invoice") {
            if has_document(&lake.read_rows(file, &persisted_relation("invoice")?.schema).await?, number)? {
                return Ok(Some(close.sequence));
            }
        }
    }
    Ok(None)
}

fn has_document(batches: &[RecordBatch], number: &str) -> Result<bool, Error> {
    for row in rows::each(batches) {
        if row.text("invoice_number")? == number {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The resources of a line.
fn resources_of(usage: &[RecordBatch]) -> Result<Vec<ExplainedResource>, Error> {
    let mut resources = Vec::new();
    for used in rows::each(usage) {
        resources.push(ExplainedResource {
            resource: used.text("resource_id")?.to_owned(),
            description: used.text("description")?.to_owned(),
            first_date: date_of(used.day("first_date")?).to_string(),
            last_date: date_of(used.day("last_date")?).to_string(),
            quantity: used.decimal::<9>("pricing_quantity")?.to_string(),
            cost: used.decimal::<18>("contracted_cost")?.to_text(2),
        });
    }
    Ok(resources)
}

impl Document {
    /// The rules of a line, in the order of its usage.
    fn rules_of(&self, usage: &[RecordBatch]) -> Result<Vec<ExplainedRule>, Error> {
        let mut rules = Vec::new();
        for used in rows::each(usage) {
            let rate_id = used.text("rate_id")?;
            for rate in rows::each(&self.rate) {
                if rate.text("rate_id")? != rate_id {
                    continue;
                }
                let (pool, scope, period) = (rate.text("pool")?, rate.text("pool_scope")?, rate.text("pool_period")?);
                let rule = ExplainedRule {
                    rule: rate.text("rule_id")?.to_owned(),
                    place: format!("{}:{}", rate.text("rule_file")?, rate.number("rule_line")?),
                    pricing_unit: rate.text("pricing_unit")?.to_owned(),
                    metered_units_in_one: rate.decimal::<9>("pricing_divisor")?.to_string(),
                    pool: format!("{pool} per {scope} and {period}"),
                };
                // A rule has one rate for each validity of its price list.
                if !rules.contains(&rule) {
                    rules.push(rule);
                }
            }
        }
        Ok(rules)
    }

    /// The fees of a line without usage.
    async fn fees(&self, line: Parameters) -> Result<Vec<ExplainedFee>, Failure> {
        let mut fees = Vec::new();
        for fee in rows::each(&self.books.session.run("report/line_purchase", line).await?) {
            fees.push(ExplainedFee {
                rule: fee.text("rule_id")?.to_owned(),
                place: format!("{}:{}", fee.text("rule_file")?, fee.number("rule_line")?),
                resource: fee.text("resource_id")?.to_owned(),
                first_date: date_of(fee.day("charge_period_start")?).to_string(),
                last_date: date_of(fee.day("charge_period_end")? - 1).to_string(),
                quantity: fee.decimal::<9>("quantity")?.to_string(),
                cost: fee.decimal::<18>("contracted_cost")?.to_text(2),
            });
        }
        Ok(fees)
    }

    /// The metered windows of a line, and the files with their samples.
    async fn sources_of(&self, usage: &[RecordBatch]) -> Result<(Vec<ExplainedWindow>, Vec<ExplainedFile>), Failure> {
        self.register_days_of(usage).await?;
        let mut windows = Vec::new();
        for window in rows::each(&self.books.session.run("report/line_window", Parameters::none()).await?) {
            windows.push(ExplainedWindow {
                resource: window.text("resource_id")?.to_owned(),
                start: instant(window.instant("window_start")?).into_owned(),
                quantity: window.decimal::<9>("consumed_quantity")?.to_string(),
                samples: window.number("sample_count")?,
            });
        }
        let mut files = Vec::new();
        for file in rows::each(&self.books.session.run("report/line_file", Parameters::none()).await?) {
            files.push(ExplainedFile {
                file: shown(std::path::Path::new(file.text("url")?)),
                sha256: file.text("sha256")?.to_owned(),
                samples: file.number("sample_count")?,
            });
        }
        Ok((windows, files))
    }

    /// The shares of a line in discounts and credits, and the remaining amount.
    fn allowances_of(
        &self,
        number: &str,
        line_number: i64,
        net_amount: Amount,
    ) -> Result<(Vec<ExplainedAllowance>, Amount), Failure> {
        let mut remaining = net_amount;
        let mut allowances = Vec::new();
        for share in rows::each(&self.allowance_share) {
            if share.text("invoice_number")? != number || share.number("line_number")? != line_number {
                continue;
            }
            let amount: Amount = share.decimal("amount")?;
            remaining = remaining.checked_sub(amount).ok_or(Error::AMOUNT_OVERFLOW)?;
            let allowance_number = share.number("allowance_number")?;
            for allowance in rows::each(&self.allowance) {
                if allowance.text("invoice_number")? == number
                    && allowance.number("allowance_number")? == allowance_number
                {
                    let places = places_of_code(allowance.text("currency")?);
                    let percent = allowance.optional_decimal::<4>("percent")?;
                    let (term, kind) = (allowance.text("term_id")?, allowance.text("kind")?);
                    allowances.push(ExplainedAllowance {
                        term_reference: self.rules.as_ref().and_then(|rules| terms::of_allowance(rules, term, kind)),
                        term: term.to_owned(),
                        description: allowance.text("description")?.to_owned(),
                        percent: percent.map(|percent| percent.to_string()),
                        base_amount: allowance.decimal::<4>("base_amount")?.to_text(places),
                        amount: allowance.decimal::<4>("amount")?.to_text(places),
                        share_of_line: amount.to_text(places),
                    });
                }
            }
        }
        Ok((allowances, remaining))
    }

    /// The exchange rate from the price to the invoice. The rate of the seller's currency is taken from the document,
    /// because a restatement may use another rate than the close.
    fn exchange_of(&self, number: &str, price_currency: &str, currency: &str) -> Result<Option<String>, Failure> {
        let mut rates = Vec::new();
        let mut is_correction = false;
        for invoice in rows::each(&self.invoice) {
            if invoice.text("invoice_number")? != number {
                continue;
            }
            is_correction = invoice.optional_text("correction_reason")?.is_some();
            if invoice.text("seller_currency")? == price_currency {
                rates.push(invoice);
            }
        }
        // The relation contains the rates of the close. A correction may have used other rates, so the relation is not
        // used for corrections.
        for rate in rows::each(&self.exchange_rate).filter(|_| !is_correction) {
            if (rate.text("price_currency")?, rate.text("currency")?) == (price_currency, currency) {
                rates.push(rate);
            }
        }
        let Some(rate) = rates.first() else { return Ok(None) };
        let Some(base) = rate.optional_text("exchange_base")? else { return Ok(None) };
        let published = rate.decimal::<12>("exchange_rate")?;
        let (quote, day) = (rate.text("exchange_quote")?, date_of(rate.day("exchange_rate_date")?));
        Ok(Some(format!("1 {base} = {published} {quote} of {day}")))
    }

    fn totals_of(&self, number: &str) -> Result<Option<ExplainedTotals>, Failure> {
        let totals = TotalsOf {
            invoice: &self.invoice,
            allowance: &self.allowance,
            tax_breakdown: &self.tax_breakdown,
            prepayment: &self.prepayment,
            rules: self.rules.as_ref(),
        };
        Ok(totals.document(number)?)
    }

    /// The fee or minimum spend of a line.
    fn term_reference(&self, line: Row<'_>) -> Result<Option<TermReference>, Error> {
        let term = line.optional_text("term_id")?;
        let component = line.text("component")?;
        Ok(term.and_then(|term| terms::of_line(self.rules.as_ref()?, component, term)))
    }

    fn origin_of(&self, number: &str, line_number: i64) -> Result<Option<ExplainedOrigin>, Error> {
        for row in rows::each(&self.line_reference) {
            if row.text("invoice_number")? == number && row.number("line_number")? == line_number {
                let text = |name| row.optional_text(name).map(|text| text.map(str::to_owned));
                return Ok(Some(ExplainedOrigin {
                    carried_from: text("carried_from")?,
                    corrected_period: text("corrected_period")?,
                    corrected_document: text("corrected_document")?,
                    reason: text("reason")?,
                }));
            }
        }
        Ok(None)
    }

    /// The same line on every document of its period; the sum is the total charge for its usage.
    fn issued_parts(&self, line: Row<'_>) -> Result<Vec<IssuedPart>, Error> {
        const TEXTS: [&str; 10] = [
            "account_id",
            "service",
            "component",
            "sku",
            "description",
            "line_by",
            "charge_kind",
            "unit",
            "price_currency",
            "currency",
        ];
        let is_alike = |other: Row<'_>| -> Result<bool, Error> {
            for name in TEXTS {
                if other.text(name)? != line.text(name)? {
                    return Ok(false);
                }
            }
            let has_price = !line.text("unit")?.is_empty();
            let price = |row: Row<'_>| -> Result<_, Error> {
                Ok((row.units("contracted_unit_price")?, row.units("unit_price_per")?))
            };
            Ok(other.optional_text("project_id")? == line.optional_text("project_id")?
                && other.units("tier_start")? == line.units("tier_start")?
                && (!has_price || price(other)? == price(line)?))
        };
        let mut parts = Vec::new();
        for other in rows::each(&self.invoice_line) {
            if other.text("charge_category")? == line.text("charge_category")? && is_alike(other)? {
                let places = places_of_code(other.text("currency")?);
                parts.push(IssuedPart {
                    invoice: other.text("invoice_number")?.to_owned(),
                    line: other.number("line_number")?,
                    net_amount: other.decimal::<4>("net_amount")?.to_text(places),
                });
            }
        }
        // The original is first; corrections follow in the order of their numbers.
        let is_original = |part: &IssuedPart| self.origin_of(&part.invoice, part.line).map(|origin| origin.is_none());
        let mut ordered = Vec::new();
        for part in parts {
            ordered.push((!is_original(&part)?, part));
        }
        ordered.sort_by(|left, right| (left.0, &left.1.invoice).cmp(&(right.0, &right.1.invoice)));
        Ok(ordered.into_iter().map(|(_, part)| part).collect())
    }

    /// Registers the windows and samples of the dates that a line charges.
    async fn register_days_of(&self, usage: &[RecordBatch]) -> Result<(), Failure> {
        let mut days = Vec::new();
        for used in rows::each(usage) {
            days.extend([used.day("first_date")?, used.day("last_date")?]);
        }
        let (Some(first), Some(last)) = (days.iter().min(), days.iter().max()) else { return Ok(()) };
        self.register_withdrawn(*first, *last).await?;
        let (first, last) = (date_of(*first).to_string(), date_of(*last).to_string());
        let is_of_days = |file: &DataFile| first <= file.partition && file.partition <= last;
        self.books.register("metering/metered_usage", is_of_days).await?;
        let samples = self.today.files("sample").filter(|file| is_of_days(file));
        Ok(register_verified(&self.books.session, &self.books.lake, "intake/sample", samples).await?)
    }
}

impl Document {
    /// Registers samples that were retracted after the document was issued.
    async fn register_withdrawn(&self, first: DayNumber, last: DayNumber) -> Result<(), Failure> {
        const PATH: &str = "intake/withdrawn_sample";
        let mut calendar = self.books.calendar()?;
        let days = calendar.day_start(first)..calendar.day_start(last + 1);
        let mut withdrawn = Vec::new();
        if let Some(issued_by) = self.issued_by {
            let relation = statement(PATH).map_err(Error::from)?;
            for file in self.today.files(&relation.name) {
                for batch in self.books.lake.read_rows(file, &relation.schema).await? {
                    let mut counted = Vec::with_capacity(batch.num_rows());
                    for row in rows::each(std::slice::from_ref(&batch)) {
                        let is_later = row.number("log_entry")?.unsigned_abs() > issued_by;
                        counted.push(is_later && days.contains(&row.instant("measured_at")?));
                    }
                    let picked = filter_record_batch(&batch, &BooleanArray::from(counted));
                    withdrawn.push(picked.map_err(|source| rows::failed(&relation.name, source))?);
                }
            }
        }
        Ok(self.books.session.register(PATH, withdrawn).map_err(Error::from)?)
    }
}

/// Prints the calculation of the amount.
fn print_amount(context: &Context, line: &ExplainedLine) {
    let printer = &context.printer;
    let (net, currency) = (&line.net_amount, &line.currency);
    let per = if line.unit_price_per == "1" { String::new() } else { format!(" per {}", line.unit_price_per) };
    let is_priced = line.charge_category == "Usage" || !line.fees.is_empty();
    if is_priced {
        let converted = match &line.exchange {
            Some(exchange) => format!(", at {exchange} rounded to {net} {currency}"),
            None => format!(", rounded to {net}"),
        };
        let (cost, priced) = (&line.contracted_cost, &line.price_currency);
        let kind = line.charge_kind.replace('_', " ");
        let how = if line.unit.is_empty() {
            // A minimum or a maximum has only an amount.
            kind
        } else {
            format!("{} {} at {} {priced}{per}", line.quantity, line.unit, line.unit_price)
        };
        printer.line(&format!("{how}: {cost} {priced}{converted}"));
    } else if line.unit.is_empty() {
        let kind = line.charge_kind.replace('_', " ");
        printer.line(&format!("{kind}{}{net} {currency}", if kind.is_empty() { "" } else { ": " }));
    } else if line.charge_kind != "percent" {
        // The line brings a charge of an earlier month forward.
        let (quantity, unit, price, priced) = (&line.quantity, &line.unit, &line.unit_price, &line.price_currency);
        printer.line(&format!("{quantity} {unit} at {price} {priced}{per}: {net} {currency}"));
    } else {
        // The line is a percentage of other lines of the invoice.
        printer.line(&format!("{} % of {} {}: {net}", line.unit_price, line.quantity, line.unit));
    }
    if let Some(by) = &line.term_reference {
        printer.line(&format!("term {} at {}: {}", by.term, by.place, by.summary));
    }
    if let Some(origin) = &line.origin {
        if let Some(from) = &origin.carried_from {
            printer.line(&printer.runnable(&format!("brought forward from {from}: `conto explain {from}`")));
        }
        if let (Some(period), Some(reason)) = (&origin.corrected_period, &origin.reason) {
            let of = origin.corrected_document.as_ref().map(|number| format!(" ({number})")).unwrap_or_default();
            printer.line(&format!("corrects {period}{of}: {}", reason.replace('_', " ")));
        }
    }
    if !line.issued.is_empty() {
        let parts: Vec<String> =
            line.issued.iter().map(|part| format!("{} of {}/{}", part.net_amount, part.invoice, part.line)).collect();
        printer.line(&format!("total due: {}", parts.join(", ")));
    }
}

/// Prints a line with its discounts, fees, rules, resources, windows and files.
fn print(context: &Context, line: &ExplainedLine) {
    let printer = &context.printer;
    let by = if line.line_by.is_empty() { String::new() } else { format!(" ({})", line.line_by) };
    printer.line(&format!("{}/{}", line.invoice, line.line));
    printer.line(&format!("{}{by}", line.description));
    print_amount(context, line);
    for allowance in &line.allowances {
        let how = match &allowance.percent {
            Some(percent) => format!("{percent} % of {} = {}", allowance.base_amount, allowance.amount),
            None => format!("{} off {}", allowance.amount, allowance.base_amount),
        };
        let at = allowance.term_reference.as_ref().map(|by| format!(" at {}", by.place)).unwrap_or_default();
        printer.line(&format!(
            "less {}: {} ({}{at}), {how} on the invoice",
            allowance.share_of_line, allowance.description, allowance.term
        ));
    }
    if !line.allowances.is_empty() {
        printer.line(&format!("leaves {} {}, taxed as {}", line.remaining_amount, line.currency, line.tax));
    }
    if !line.fees.is_empty() {
        print_fees(context, line);
    }
    if !line.resources.is_empty() {
        print_usage(context, line);
    }
}

fn print_fees(context: &Context, line: &ExplainedLine) {
    let printer = &context.printer;
    let mut printed = Vec::new();
    for fee in &line.fees {
        if !printed.contains(&(&fee.rule, &fee.place)) {
            printed.push((&fee.rule, &fee.place));
            printer.line(&format!("fee {} at {}", fee.rule, fee.place));
        }
    }
    let row = |fee: &ExplainedFee| {
        [&fee.resource, &fee.first_date, &fee.last_date, &fee.quantity, &fee.cost].map(String::clone).to_vec()
    };
    let rows: Vec<Vec<String>> = line.fees.iter().map(row).collect();
    printer.line("");
    printer.table(&["resource", "from", "to", line.unit.as_str(), "cost"], &rows, &[3, 4]);
}

/// Prints the rules, resources, windows and files of a line.
fn print_usage(context: &Context, line: &ExplainedLine) {
    let printer = &context.printer;
    for rule in &line.rules {
        let metered = Quantity::parse_exact(&rule.metered_units_in_one).unwrap_or(Quantity::from_integer(1));
        let unit = if metered == Quantity::from_integer(1) {
            String::new()
        } else {
            format!(", 1 {} is {} metered units", rule.pricing_unit, rule.metered_units_in_one)
        };
        printer.line(&format!("rule {} at {}, pool {}{unit}", rule.rule, rule.place, rule.pool));
    }
    let rows: Vec<Vec<String>> = line
        .resources
        .iter()
        .map(|resource| {
            vec![
                resource.resource.clone(),
                resource.description.clone(),
                resource.first_date.clone(),
                resource.last_date.clone(),
                resource.quantity.clone(),
                resource.cost.clone(),
            ]
        })
        .collect();
    printer.line("");
    printer.table(&["resource", "described as", "from", "to", line.unit.as_str(), "cost"], &rows, &[4, 5]);
    if !line.windows.is_empty() {
        let cut = if line.windows.len() < line.window_count { ", the first and last are" } else { "" };
        printer.line(&format!("\nMetered in {}{cut}:", count(line.window_count, "window")));
        let rows: Vec<Vec<String>> = line
            .windows
            .iter()
            .map(|window| {
                vec![window.start.clone(), window.resource.clone(), window.quantity.clone(), window.samples.to_string()]
            })
            .collect();
        printer.table(&["window from (UTC)", "resource", "quantity", "samples"], &rows, &[2, 3]);
    }
    if !line.files.is_empty() {
        printer.line("\nFrom samples in:");
        let rows: Vec<Vec<String>> = line
            .files
            .iter()
            .map(|file| vec![file.file.clone(), file.samples.to_string(), file.sha256[..16].to_owned()])
            .collect();
        printer.table(&["file", "samples", "SHA-256"], &rows, &[1]);
    }
}
