//! The names and parameters of statements that several files of this stage run.

use crate::query::{CHECKS_OF_INVOICES as CHECKS, Parameters};
use crate::run::Context;

/// The name of this stage in relation paths. Each persisted relation of the stage has one file per period.
pub(super) const STAGE: &str = "invoicing";

/// The checks of invoices that also apply to credit notes. The amounts of credit notes are negative in the ledger.
pub(super) const CHECKS_OF_CORRECTIONS: [&str; 8] =
    [CHECKS[0], CHECKS[1], CHECKS[2], CHECKS[3], CHECKS[4], CHECKS[5], CHECKS[6], CHECKS[7]];

/// The parameters of `invoice`.
pub(super) fn draft_parameters(context: &Context) -> Parameters {
    Parameters::none()
        .text("currency", context.config.currency.code())
        .date("billing_period_start", context.period.start_day())
        .date("billing_period_end", context.period.end_day())
}
