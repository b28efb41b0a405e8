//! A compiled fragment, and where its native parameters come from. Knows no source.

use crate::fragment::OutputColumn;
use crate::relation::Encoding;
use crate::value::ValueType;
use arrow::datatypes::SchemaRef;
use std::sync::Arc;

/// A compiled fragment. Its text holds no value; each of its own parameters is made from one of the fragment's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NativeStatement {
    /// Text in the source's language, for execution and EXPLAIN.
    pub text: Arc<str>,
    /// What to bind to the text's parameters, in their order.
    pub bindings: Vec<Binding>,
    /// Types of the fragment's parameters.
    pub parameters: Vec<ValueType>,
    /// Delivered columns, each with the form in which the source holds it.
    pub output: Vec<(OutputColumn, Encoding)>,
    /// Arrow schema of the delivered batches.
    pub schema: SchemaRef,
}

/// Where a native parameter's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding {
    /// Index of the fragment's parameter.
    pub parameter: usize,
    /// What is made of it.
    pub form: BindingForm,
}

/// How a fragment's value becomes a native one. Closed: a driver refuses forms it does not print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BindingForm {
    /// The value itself, in the driver's canonical form.
    Value,
    /// A LIKE pattern, in the source's own pattern language.
    Pattern,
    /// The literal text before a pattern's first wildcard.
    PatternPrefix,
    /// The least text that is above every text with that prefix.
    PatternPrefixEnd,
    /// The value itself, an integer that must not be negative.
    AtLeastZero,
    /// The value itself, an integer that must be positive.
    AtLeastOne,
    /// The value itself, a text that must not be empty.
    NonEmpty,
    /// The values of this parameter and of those behind it, so many in all and of one type, as one list.
    List(usize),
}
