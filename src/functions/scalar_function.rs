//! A function of one row, with its documentation.

use std::hash::{Hash, Hasher};

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The computation of a function: one value for each row of its arguments.
type Body = fn(&[ArrayRef]) -> Result<ArrayRef, DataFusionError>;

/// A function whose result depends on its arguments only. Functions with equal names are equal.
#[derive(Debug)]
pub(super) struct ScalarFunction {
    name: &'static str,
    signature: Signature,
    return_type: DataType,
    documentation: Documentation,
    body: Body,
}

impl ScalarFunction {
    /// A function of the engine. The documentation describes each argument.
    pub(super) fn create(
        name: &'static str,
        arguments: Vec<DataType>,
        return_type: DataType,
        documentation: Documentation,
        body: Body,
    ) -> ScalarUDF {
        let signature = Signature::exact(arguments, Volatility::Immutable);
        ScalarUDF::new_from_impl(Self { name, signature, return_type, documentation, body })
    }
}

impl PartialEq for ScalarFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for ScalarFunction {}

impl Hash for ScalarFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for ScalarFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, DataFusionError> {
        Ok(self.return_type.clone())
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    /// The result is a scalar if every argument is a scalar.
    fn invoke_with_args(&self, call: ScalarFunctionArgs) -> Result<ColumnarValue, DataFusionError> {
        let is_scalar = call.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let result = (self.body)(&ColumnarValue::values_to_arrays(&call.args)?)?;
        if is_scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }
}
