//! Comparands of a question as parameters of its plan, in the order in which they are met.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;
use querygate_types::{Error, ErrorCode, Result, limits};
use std::sync::Arc;

/// The values that were met so far.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<ScalarValue>);

impl Parameters {
    /// A parameter for this value, of its type.
    pub(super) fn add(&mut self, value: ScalarValue) -> Result<Expr> {
        if self.0.len() >= limits::PARAMETERS_MAX {
            return Err(Error::new(ErrorCode::ProgramLimitExceeded, "the question has too many values")
                .with_detail(format!("The limit is {}.", limits::PARAMETERS_MAX)));
        }
        let field = Field::new("value", value.data_type(), true);
        self.0.push(value);
        let id = format!("${}", self.0.len());
        Ok(Expr::Placeholder(Placeholder { id, field: Some(Arc::new(field)) }))
    }

    pub(super) fn types(&self) -> Vec<DataType> {
        self.0.iter().map(ScalarValue::data_type).collect()
    }

    /// One array of one value each.
    pub(super) fn arrays(&self) -> Result<Vec<ArrayRef>> {
        self.0.iter().map(|value| value.to_array().map_err(Error::internal)).collect()
    }
}
