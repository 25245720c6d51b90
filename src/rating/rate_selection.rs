//! The selection of the rates that apply to each series.

use arrow::array::{Int64Array, RecordBatch, StringArray};

use super::pricer::Pricer;
use super::pricing_context::{PricingContext, SelectedRates};
use super::rate::{self, Rate};
use super::{account_assignments, eligibility, included_units, unique_values};
use crate::error::Error;
use crate::model::diagnostic::Diagnostic;
use crate::query::{Parameters, Session};
use crate::rows;

/// Selects the rates of every series of `active_series`. Real usage and the examples of rules use the same selection.
pub async fn select_rates(
    session: &Session,
    pricing: &PricingContext<'_>,
    active_series: &[RecordBatch],
) -> Result<SelectedRates, Error> {
    let (rate, rate_tier) = rate::rate_rows(pricing.rates, pricing.length)?;
    session.register("rating/rate", vec![rate.clone()])?;
    session.register("rating/rate_tier", vec![rate_tier.clone()])?;
    session.register("rating/rate_validity", vec![rate::rate_validity_rows(pricing.segments, pricing.rates)?])?;
    session.register("rating/account_card", vec![account_assignments::account_card_rows(pricing.cards)?])?;
    let matches = eligibility::match_rates(pricing, active_series)?;
    session.register("rating/series_tuple", vec![matches.series_tuple])?;
    session.register("rating/rate_match", vec![matches.rate_match])?;
    session.register("rating/factor_match", vec![matches.factor_match])?;
    let (included_unit, included_unit_series) =
        included_units::included_unit_rows(session, pricing.rules, pricing.included_units, active_series)?;
    session.register("rating/included_unit", vec![included_unit])?;
    session.register("rating/included_unit_series", vec![included_unit_series])?;
    session.materialize("rating/candidate_rate", Parameters::none()).await?;
    check_ties(pricing.rates, &session.run("rating/rate_tie", Parameters::none()).await?)?;
    let applicable_rate = session.materialize("rating/applicable_rate", Parameters::none()).await?;
    session.drop_relation(&["candidate_rate"])?;
    let priced_series = session.materialize("rating/priced_series", Parameters::none()).await?;
    let unique_value = unique_values::unique_value_rows(pricing.rules, active_series)?;
    session.register("rating/unique_value", vec![unique_value.clone()])?;
    let pricer = Pricer::new(session).await?;
    Ok(SelectedRates { rate, rate_tier, applicable_rate, priced_series, pricer })
}

/// Reports pairs of rules with the same priority that price the same series. A tie is found only if a series meets the
/// conditions of both rules.
fn check_ties(rates: &[Rate<'_>], ties: &[RecordBatch]) -> Result<(), Error> {
    let mut problems = Vec::new();
    for batch in ties {
        let firsts: &StringArray = rows::column(batch, "first_rate_id")?;
        let seconds: &StringArray = rows::column(batch, "second_rate_id")?;
        let counts: &Int64Array = rows::column(batch, "series_count")?;
        for row in 0..batch.num_rows() {
            let rule = |id: &str| rates.iter().find(|rate| rate.id == id).map(|rate| rate.rule);
            let (Some(first), Some(second)) = (rule(firsts.value(row)), rule(seconds.value(row))) else { continue };
            let message = format!(
                "rules `{}` and `{}` price the same usage ({} series) with the same priority",
                first.id,
                second.id,
                counts.value(row)
            );
            let problem = Diagnostic::error("rules::tie", message)
                .at(first.declared_at.clone(), "first rule")
                .at(second.declared_at.clone(), "second rule")
                .hint("give one of them a higher `priority`, or exclude common usage with `when`");
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(Error::Invalid(problems)) }
}
