//! Helpers of the functions' tests, and a test of the registry.

use arrow::util::display::array_value_to_string;
use datafusion::logical_expr::TypeSignature;

use super::{aggregate_functions, scalar_functions};
use crate::query::Session;

/// The value of an SQL expression as text, or the error message if the query fails.
pub(super) async fn value(expression: &str) -> String {
    let session = Session::new(None).unwrap();
    match session.query(&format!("SELECT {expression} AS value")).await {
        Ok((_, rows)) => array_value_to_string(rows[0].column(0), 0).unwrap(),
        Err(error) => {
            let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
        }
    }
}

#[test]
fn each_function_has_documentation_of_each_argument() {
    let scalar = scalar_functions();
    let scalar = scalar.iter().map(|function| (function.name(), function.documentation(), function.signature()));
    let aggregate = aggregate_functions();
    let aggregate = aggregate.iter().map(|function| (function.name(), function.documentation(), function.signature()));
    for (name, documentation, signature) in scalar.chain(aggregate) {
        let documentation = documentation.unwrap_or_else(|| panic!("{name} has no documentation"));
        let described = documentation.arguments.as_ref().map_or(0, Vec::len);
        let TypeSignature::Exact(types) = &signature.type_signature else { panic!("{name} has no exact types") };
        assert_eq!(types.len(), described, "the arguments of {name}");
    }
}
