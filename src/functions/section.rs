//! The section of the functions in the documentation of a session.

use datafusion::logical_expr::DocSection;

/// The section of the reference page with all functions.
pub(crate) const SECTION: DocSection = DocSection { include: true, label: "Functions of Conto", description: None };
