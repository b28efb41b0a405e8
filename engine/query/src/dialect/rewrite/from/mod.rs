//! The pass over the syntax tree, in FROM and WITH, and the names of columns that come of it.

pub(in crate::dialect) mod aliases;
pub(in crate::dialect) mod beside_wildcards;
pub(in crate::dialect) mod merged_columns;
pub(in crate::dialect) mod names;
pub(in crate::dialect) mod order_by_input_columns;
pub(in crate::dialect) mod order_keys;
pub(in crate::dialect) mod order_names;
pub(in crate::dialect) mod recursion;
pub(in crate::dialect) mod relations;
pub(in crate::dialect) mod row_values;
pub(in crate::dialect) mod rows;
pub(in crate::dialect) mod set_names;
pub(in crate::dialect) mod using;
pub(in crate::dialect) mod value_lists;
mod values_as_union;
