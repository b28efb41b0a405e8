//! What a translation gives: a fragment with the origin of each parameter. Holds no text of a statement.

use crate::estimate::TableEstimate;
use crate::receipt::Receipt;
use arrow::datatypes::{DataType, SchemaRef};
use querygate_driver_api::fragment::Fragment;
use querygate_driver_api::value::Value;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Where a parameter's value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterSource {
    /// A literal of the statement (constant expressions are folded before).
    Literal(Value),
    /// The client's parameter with this index, from 0. Its type is the fragment parameter's.
    Placeholder(usize),
    /// Index into [`Translation::policy_values`]. Opening the same tables for another principal with a policy of the
    /// same shape gives the same places with that principal's values.
    Policy(usize),
}

/// A plan as one fragment.
#[derive(Debug, Clone)]
pub struct Translation {
    /// The source that runs it.
    pub source: Arc<str>,
    /// Checked, and within the source's capabilities.
    pub fragment: Fragment,
    /// Origin of each of the fragment's parameters.
    pub parameters: Vec<ParameterSource>,
    /// The principal's values, in the order in which the policies asked for them.
    pub policy_values: Vec<Value>,
    /// The plan's own schema, which a client is told.
    pub schema: SchemaRef,
    /// For each column: the type to cast to after decoding, where the fragment delivers another.
    pub casts: Vec<Option<DataType>>,
    /// How many scans stand behind a fence.
    pub fences: usize,
    /// One line per operator and condition.
    pub receipt: Receipt,
    /// What it is expected to deliver; a part of a plan knows, a whole statement need not.
    pub size: TableEstimate,
}

impl Translation {
    /// The values to bind, given the client's parameters.
    ///
    /// # Errors
    /// 42P02 for a parameter that the client did not give; an internal error for a foreign policy place.
    pub fn values(&self, placeholders: &[Value]) -> Result<Vec<Value>> {
        self.values_with(placeholders, &self.policy_values)
    }

    /// The values to bind for another principal with policies of the same shape.
    ///
    /// # Errors
    /// As [`Translation::values`].
    pub fn values_with(&self, placeholders: &[Value], policy: &[Value]) -> Result<Vec<Value>> {
        let value = |source: &ParameterSource| match source {
            ParameterSource::Literal(value) => Ok(value.clone()),
            ParameterSource::Placeholder(index) => placeholders.get(*index).cloned().ok_or_else(|| {
                Error::new(ErrorCode::UndefinedParameter, format!("there is no parameter ${}", index + 1))
            }),
            ParameterSource::Policy(index) => {
                policy.get(*index).cloned().ok_or_else(|| Error::internal("policy value is missing"))
            }
        };
        self.parameters.iter().map(value).collect()
    }
}
