//! The pass over the syntax tree, in expressions: calls, operators, casts, constants, rows, quantified comparisons.

pub(in crate::dialect) mod array_queries;
pub(in crate::dialect) mod boolean_literals;
pub(in crate::dialect) mod bounds;
pub(in crate::dialect) mod calls;
pub(in crate::dialect) mod casts;
pub(in crate::dialect) mod constants;
pub(in crate::dialect) mod normal_forms;
pub(in crate::dialect) mod operators;
mod parameters;
pub(in crate::dialect) mod quantified;
pub(in crate::dialect) mod records;
pub(in crate::dialect) mod row_comparisons;
pub(in crate::dialect) mod sets;
pub(in crate::dialect) mod substrings;
pub(in crate::dialect) mod variadic;
pub(in crate::dialect) mod widths;
