//! A fragment whose values can be replaced: where each of them comes from.

use super::exec::CompiledFragment;
use crate::arguments::Arguments;
use querygate_driver_api::value::{Value, ValueType};
use querygate_rules::{ParameterSource, Translation};

/// Where a fragment's values come from.
#[derive(Debug, PartialEq)]
pub(crate) struct OpenParameters {
    parameters: Vec<ParameterSource>,
    policy_values: Vec<Value>,
}

impl OpenParameters {
    pub(crate) fn of(translation: &Translation) -> Self {
        Self { parameters: translation.parameters.clone(), policy_values: translation.policy_values.clone() }
    }

    /// The values to bind. `None`: one is missing, or of another type than the fragment has.
    pub(crate) fn values(&self, types: &[ValueType], arguments: &Arguments) -> Option<Vec<Value>> {
        let value = |(source, value_type): (&ParameterSource, &ValueType)| {
            let value = match source {
                ParameterSource::Literal(value) => value,
                ParameterSource::Placeholder(index) => arguments.values().get(*index)?,
                ParameterSource::Policy(index) => self.policy_values.get(*index)?,
            };
            (value.value_type() == *value_type).then(|| value.clone())
        };
        (types.len() == self.parameters.len()).then_some(())?;
        self.parameters.iter().zip(types).map(value).collect()
    }

    fn is_fixed(&self) -> bool {
        self.parameters.iter().all(|source| match source {
            ParameterSource::Literal(_) | ParameterSource::Policy(_) => true,
            ParameterSource::Placeholder(_) => false,
        })
    }
}

impl CompiledFragment {
    /// This fragment with other values of the statement's parameters. `None`: it was compiled for its own values alone, or its
    /// source cannot be given these with equal results.
    pub(crate) fn with_arguments(&self, arguments: &Arguments) -> Option<Self> {
        let open = self.open.as_ref()?;
        if open.is_fixed() {
            return Some(self.clone());
        }
        let values = open.values(&self.fragment.parameters, arguments)?;
        self.driver.accepts(&self.statement, &values).ok()?;
        Some(Self { values: values.into(), ..self.clone() })
    }
}
