//! Invoicing: from rated usage to draft invoices. The only stage that rounds money.

use crate::money::Decimal;
use crate::pipeline::Error;
use crate::query::Parameters;
use crate::run::Run;

/// Drafts an invoice for every project that is invoiced and had usage.
#[tracing::instrument(level = "debug", name = "invoicing", skip_all)]
pub async fn draft(run: &mut Run) -> Result<(), Error> {
    run.options.progress.begin("Invoicing", 1);
    let exponent = i64::from(run.config.currency.exponent().unwrap_or(2));
    let rate: Decimal<4> = run.config.tax.rate;
    let parameters = Parameters::none()
        .text("billing_period", &run.period.to_string())
        .text("currency", run.config.currency.code())
        .bigint("currency_exponent", exponent)
        .text("tax_category", &run.config.tax.category)
        .decimal("tax_rate", rate.units(), 7, 4);
    let invoice_line = run.session.derive("invoicing/invoice_line", parameters).await?;
    let parameters = Parameters::none().bigint("currency_exponent", exponent);
    let tax_breakdown = run.session.derive("invoicing/tax_breakdown", parameters).await?;
    let parameters = Parameters::none()
        .date("billing_period_start", run.period.start_day())
        .date("billing_period_end", run.period.end_day());
    let invoice = run.session.derive("invoicing/invoice", parameters).await?;
    run.check("invoicing/checks/lines_add_up_to_the_invoice").await?;
    run.check("invoicing/checks/total_is_net_plus_tax").await?;
    run.check("invoicing/checks/rated_cost_is_invoiced_once").await?;
    let partition = run.period.to_string();
    run.replace("invoicing/invoice_line", &partition, 0, &invoice_line).await?;
    run.replace("invoicing/tax_breakdown", &partition, 0, &tax_breakdown).await?;
    run.replace("invoicing/invoice", &partition, 0, &invoice).await?;
    run.options.progress.end();
    Ok(())
}
