//! Which calls are of aggregates, by their names. Knows no query.

use super::calls::unqualified;
use datafusion::sql::sqlparser::ast::Function;

/// PostgreSQL's aggregates that take plain arguments.
const AGGREGATES: &[&str] = &[
    "any_value",
    "array_agg",
    "avg",
    "bit_and",
    "bit_or",
    "bit_xor",
    "bool_and",
    "bool_or",
    "corr",
    "count",
    "covar_pop",
    "covar_samp",
    "every",
    "json_agg",
    "json_object_agg",
    "jsonb_agg",
    "jsonb_object_agg",
    "max",
    "min",
    "regr_count",
    "regr_slope",
    "stddev",
    "stddev_pop",
    "stddev_samp",
    "string_agg",
    "sum",
    "var_pop",
    "var_samp",
    "variance",
];

/// Whether a call is of an aggregate.
pub(super) fn is_aggregate(call: &Function) -> bool {
    unqualified(&call.name).is_some_and(|name| AGGREGATES.contains(&name.as_str()))
}
