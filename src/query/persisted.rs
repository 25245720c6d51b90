//! The lists of the persisted relations and of the checks that run on invoices.

use super::{Error, Statement, statement};

/// The paths of the persisted relations by stage, in the order of the pipeline.
const PERSISTED: [&str; 39] = [
    "intake/input_file",
    "intake/stream",
    "intake/series",
    "intake/sample",
    "intake/repeated_event",
    "intake/duplicate_sample",
    "intake/label",
    "intake/rejected_record",
    "intake/unmetered_record",
    "intake/changed_id",
    "intake/unread_input",
    "intake/watermark",
    "intake/retracted_file",
    "intake/retracted_record",
    "intake/retracted_sample",
    "metering/metered_usage",
    "metering/metered_day",
    "metering/stream_state",
    "rating/rate",
    "rating/rate_tier",
    "rating/active_series",
    "rating/payer_series",
    "rating/rated_usage",
    "rating/unrated_usage",
    "rating/non_usage_charge",
    "rating/one_off_charge",
    "invoicing/invoice",
    "invoicing/invoice_line",
    "invoicing/applied_tax",
    "invoicing/allowance",
    "invoicing/allowance_share",
    "invoicing/tax_breakdown",
    "invoicing/prepayment",
    "invoicing/credit_balance",
    "invoicing/suspended_account",
    "invoicing/line_reference",
    "invoicing/unbilled_cost",
    "invoicing/exchange_rate",
    "closing/issued_document",
];

/// The checks of invoices. They run before a commit and in every later audit of the period.
pub const CHECKS_OF_INVOICES: [&str; 15] = [
    "invoicing/checks/br_co_10_lines_add_up",
    "invoicing/checks/br_co_13_net_is_lines_less_allowances",
    "invoicing/checks/br_co_14_tax_is_that_of_all_groups",
    "invoicing/checks/br_co_15_gross_is_net_plus_tax",
    "invoicing/checks/br_co_16_due_is_gross_less_prepaid",
    "invoicing/checks/br_co_17_tax_is_rate_of_taxable",
    "invoicing/checks/br_s_08_taxable_is_lines_less_allowances",
    "invoicing/checks/tax_is_repeated_in_the_sellers_currency",
    "invoicing/checks/lines_are_rounded_costs",
    "invoicing/checks/shared_amounts_add_up",
    "invoicing/checks/allowances_are_shared_out",
    "invoicing/checks/allowances_are_percents_of_their_base",
    "invoicing/checks/credit_balances_add_up",
    "invoicing/checks/negative_documents_are_corrections_or_last",
    "invoicing/checks/rated_cost_is_invoiced_once",
];

/// The checks of all documents of a period together. They run before documents are issued and in every later audit.
pub const CHECKS_OF_PERIODS: [&str; 4] = [
    "closing/checks/lines_of_a_period_are_rounded_costs",
    "closing/checks/compound_tax_of_a_period_includes_other_taxes",
    "closing/checks/tax_of_a_period_is_rate_of_taxable",
    "closing/checks/tax_of_a_period_is_repeated_in_the_sellers_currency",
];

/// The paths of all persisted relations.
pub fn persisted_paths() -> impl Iterator<Item = &'static str> {
    PERSISTED.into_iter()
}

/// The paths of the persisted relations of one stage.
pub fn persisted_of(stage: &str) -> impl Iterator<Item = &'static str> {
    PERSISTED.into_iter().filter(move |path| path.split('/').next() == Some(stage))
}

/// A persisted relation by its name.
pub fn persisted_relation(name: &str) -> Result<&'static Statement, Error> {
    let path = PERSISTED.into_iter().find(|path| path.rsplit('/').next() == Some(name));
    statement(path.unwrap_or(name))
}
