//! What expressions mean: Postgres' semantics where it has one, laid over DataFusion's. Installed on a session state, obeyed
//! by every plan that the state analyzes. Knows no catalog, no policy and no source.
//!
//! Bound plans keep DataFusion's operators and casts, so that translation to sources sees them; the analyzer puts ours in
//! place. Comparisons are never touched: filters are pushed and files pruned as before. Functions and `sum` are replaced by
//! name when the state is made, so that types are right from binding on.
//!
//! # Known differences from Postgres
//! `engine/docs/differences.md` lists them with their reasons; a test compares each with a PostgreSQL server's answer. What
//! matters here:
//! - Decimals have at most 38 digits and a fixed scale; what they cannot hold is a numeric of any width. A quotient of columns has 16
//!   places, of constants as many as in Postgres; `avg` of decimals has four digits more than its argument.
//! - `avg`, `stddev` and `var` of whole numbers are double precision, not numeric. Sums of `real` are double precision.
//!   Sums of floats that overflow are infinite.
//! - −0.0 equals 0.0 and groups and joins with it, but ORDER BY puts it before.
//! - `round(float, digits)` exists and rounds halves away from zero; `float % float` exists.
//! - UNION over dates and time stamps meets at nanoseconds and raises outside 1677–2262.
//! - ILIKE folds case by single characters and without a locale.
//! - `upper` maps ß to SS. `LIKE … ESCAPE` raises 22023 for a pattern that ends with its escape, whatever the value.
//! - `count(DISTINCT a, b)` is refused, as in Postgres, but with 0A000.

#![cfg_attr(not(test), warn(clippy::disallowed_methods))]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod aggregates;
mod analyze;
mod bounds;
mod casts;
mod fault;
mod functions;
mod input_columns;
mod json;
pub mod keep_names;
pub mod lineage;
mod numbers;
pub mod portable;
#[cfg(test)]
mod tests;
mod times;
pub mod typing;
pub mod windows;

pub use casts::flat_arrays::split_array;
pub use casts::text;
pub use casts::texts_read::{canonical, canonical_value, has_forms};
pub use functions::{cut_interval, invalid_pattern};

/// Numerics as digits with a number of places and as the values of a column, and what values of any type are equal by.
pub mod numerics {
    pub use crate::functions::equality_keys;
    pub use crate::numbers::numeric::{parse, whole};
    pub use crate::numbers::wide::in_column;
}

/// The functions that a statement may call, and what they do that their operator is to charge or to interrupt.
pub mod metering {
    pub use crate::analyze::metering::grows;
    pub use crate::bounds::{FunctionKind, names, once_of_constants};
    pub use crate::functions::lasts;
}

use arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::{DFSchemaRef, Result, ScalarValue};
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{LogicalPlan, ScalarUDF};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::optimizer::{Analyzer, AnalyzerRule};
use querygate_query_api::values::timetz::TimeTz;
use std::sync::Arc;
use typing::set_operations::unions::Casts;

/// Lays the semantics over a state. Twice is as once.
pub fn install(state: SessionState) -> SessionState {
    let before = state.analyzer().rules.clone();
    let mut builder = SessionStateBuilder::new_from_existing(state);
    if !before.iter().any(|rule| rule.name() == analyze::rules::Checked.name()) {
        let mut analyzer = Analyzer::with_rules(rules(before));
        if let Some(existing) = builder.analyzer() {
            for rewrite in existing.function_rewrites() {
                analyzer.add_function_rewrite(Arc::clone(rewrite));
            }
        }
        *builder.analyzer() = Some(analyzer);
    }
    let mut scalars = numbers::mathematics::functions();
    scalars.push(times::date_trunc::function());
    scalars.extend(times::clock::functions());
    scalars.extend(functions::all());
    let known = builder.scalar_functions().get_or_insert_with(Vec::new);
    scalars.extend(typing::key_arguments::wrapped(known));
    known.retain(|function| !scalars.iter().any(|ours| ours.name() == function.name()));
    known.extend(scalars);
    // From binding on: constants are folded by more than the engine's own rules.
    known.iter_mut().for_each(|function| *function = bounds::bounded(Arc::clone(function)));
    let known = builder.aggregate_functions().get_or_insert_with(Vec::new);
    known.retain(|function| !matches!(function.name(), "sum" | "avg" | "array_agg" | "string_agg"));
    known.extend([aggregates::sum::function(), aggregates::averages::function()]);
    let variances = aggregates::variances::functions();
    known.retain(|function| !variances.iter().any(|ours| ours.name() == function.name()));
    known.extend(variances);
    known.extend(aggregates::ordered::functions());
    let windows = windows::replaced::functions();
    let known = builder.window_functions().get_or_insert_with(Vec::new);
    known.retain(|function| !windows.iter().any(|ours| ours.name() == function.name()));
    known.retain(|function| !windows::exclusions::is_one(function) && !windows::shifts::is_one(function));
    known.extend(windows);
    known.extend(windows::exclusions::functions());
    known.extend(windows::shifts::functions());
    builder.build()
}

/// What Postgres decides when it binds: whole-number literals get their types, and comparisons of different kinds their
/// casts. To be called once, on what was bound, before parameters have values: afterwards a bigint parameter cannot be
/// told from a literal.
///
/// # Errors
/// 22023 for a LIKE pattern that ends with its escape.
pub fn bound(plan: LogicalPlan, options: &ConfigOptions) -> Result<LogicalPlan> {
    let zone = zone_of(options);
    let plan = typing::set_operations::unions::met(typing::literals::typed(plan)?, Casts::Written)?;
    let widened = typing::recursion::numbers::widened(plan, &|term| analyze::rules::settled_anew(term, zone))?;
    let plan = if widened.transformed {
        analyze::rules::settled_anew(widened.data, zone)?
    } else {
        analyze::rules::settled(widened.data, zone)?
    };
    let settled = numbers::wide::aligned(plan, |plan| analyze::rules::settled(plan, zone))?;
    let plan = typing::set_operations::unions::met(settled, Casts::Settled)?;
    times::local_moments::shown(typing::recursion::aligned(analyze::rules::before_coercion(plan)?)?, zone)
}

/// The plan with columns of enclosing queries as they are where they come from.
pub fn renewed_outer_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    typing::literals::renewed_outer_columns(plan)
}

/// The function of ours with a name, in UTC: binding puts the session's time zone in.
pub fn function(name: &str) -> Option<Arc<ScalarUDF>> {
    functions::in_zone(name, times::zone::Zone::UTC)
}

/// Reads parameters that come as text, as casts in the same session would.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    zone: times::zone::Zone,
}

impl Reader {
    pub fn new(options: &ConfigOptions) -> Self {
        Self { zone: zone_of(options) }
    }

    /// A parameter's value in the type that the plan wants. Values of rows are read so, too: an error tells none.
    pub fn value(self, given: &ScalarValue, wanted: &DataType) -> Result<ScalarValue> {
        if let Some(same) = unchanged(given, wanted) {
            return Ok(same);
        }
        if *wanted == TimeTz::ARROW
            && let Some(text) = given.try_as_str().flatten()
        {
            #[expect(
                clippy::disallowed_methods,
                reason = "a zone's offset is that of now: a parameter belongs to no clock"
            )]
            let now = chrono::Utc::now().timestamp_micros();
            let read = times::datetime::parse::timetz(text, self.zone, Some(now));
            let read = read.map_err(|wrong| wrong.error("time with time zone"))?;
            return Ok(ScalarValue::FixedSizeBinary(12, read.map(|time| time.key().to_vec())));
        }
        let from = Field::new("", given.data_type(), true);
        let to = Arc::new(Field::new("", wanted.clone(), true));
        if casts::conversions::conversion(&from, &to, self.zone).is_some() {
            return casts::conversions::constant(given, &from, &to, self.zone);
        }
        given.cast_to(wanted)
    }
}

/// A value that is one of the wanted type as it stands.
fn unchanged(given: &ScalarValue, wanted: &DataType) -> Option<ScalarValue> {
    match (given, wanted) {
        (ScalarValue::Decimal128(Some(value), _, scale), DataType::Decimal128(precision, wanted)) => {
            let fits = scale == wanted && value.unsigned_abs() < 10_u128.checked_pow(u32::from(*precision))?;
            fits.then_some(ScalarValue::Decimal128(Some(*value), *precision, *scale))
        }
        (
            ScalarValue::Boolean(_)
            | ScalarValue::Int16(_)
            | ScalarValue::Int32(_)
            | ScalarValue::Int64(_)
            | ScalarValue::Utf8(_),
            _,
        ) => (given.data_type() == *wanted).then(|| given.clone()),
        _ => None,
    }
}

/// The session's time zone. Settings hold only names that are zones.
fn zone_of(options: &ConfigOptions) -> times::zone::Zone {
    options.execution.time_zone.as_deref().and_then(times::zone::Zone::parse).unwrap_or(times::zone::Zone::UTC)
}

/// The columns that a bound plan delivers when it runs. A bound plan's own schema does not see coercion: it gives CASE the
/// type of its first branch.
pub fn described(plan: &LogicalPlan, options: &ConfigOptions) -> DFSchemaRef {
    let coerced = analyze::rules::before_coercion(plan.clone());
    let coerced = coerced.and_then(|plan| TypeCoercion::new().analyze(plan, options));
    match coerced.and_then(|plan| analyze::rules::Checked.analyze(plan, options)) {
        Ok(typed) => Arc::clone(typed.schema()),
        // Parameters without a type, and what will be refused when it is analyzed to run.
        Err(_) => Arc::clone(plan.schema()),
    }
}

type Rules = Vec<Arc<dyn AnalyzerRule + Send + Sync>>;

/// Ours directly before and after coercion; if there is none, at the end.
fn rules(before: Rules) -> Rules {
    let coercion = TypeCoercion::new();
    let mut rules: Rules = Vec::with_capacity(before.len() + 2);
    let mut placed = false;
    for rule in before {
        if rule.name() == coercion.name() {
            placed = true;
            rules.extend([
                Arc::new(analyze::rules::Coerced) as Arc<dyn AnalyzerRule + Send + Sync>,
                rule,
                Arc::new(analyze::rules::Checked),
            ]);
        } else {
            rules.push(rule);
        }
    }
    if !placed {
        rules.push(Arc::new(analyze::rules::Checked));
    }
    rules
}
