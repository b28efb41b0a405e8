//! Aggregates that DataFusion lacks, as a function of those it has: `json_agg(x)` is a function of `array_agg(x)`. And which calls are of
//! aggregates.

use crate::dialect::ast::{call, list};
use crate::dialect::rewrite::expressions::calls::unqualified;
use crate::dialect::rewrite::expressions::constants::whole;
use datafusion::execution::SessionStateBuilder;
use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident,
    ObjectName, ObjectNamePart, OrderByExpr, OrderByOptions,
};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashSet;
use std::sync::LazyLock;

/// Aggregates that are another one under another name.
const RENAMED: &[(&str, &str)] = &[("every", "bool_and"), ("variance", "var_samp")];
/// Aggregates that are a function of an array of all values.
const COLLECTED: &[&str] = &["json_agg", "jsonb_agg", "json_object_agg", "jsonb_object_agg"];

/// Names of the aggregates that the engine has, aliases included.
static ENGINE: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let state = querygate_semantics::install(SessionStateBuilder::new_with_default_features().build());
    state.aggregate_functions().keys().cloned().collect()
});

/// Whether a call is of an aggregate, the engine's or one that is rewritten here.
pub(in crate::dialect) fn is_aggregate(call: &Function) -> bool {
    // Others of PostgreSQL's take an order of their rows, as `mode` does.
    !call.within_group.is_empty()
        || unqualified(&call.name).is_some_and(|name| {
            let is_rewritten = RENAMED.iter().any(|(known, _)| *known == name) || COLLECTED.contains(&name.as_str());
            is_rewritten || ENGINE.contains(&name)
        })
}

/// Refuses calls of `count` that the engine answers and PostgreSQL does not.
///
/// # Errors
/// 42601 for `count(DISTINCT *)`, 42883 for several arguments.
pub(in crate::dialect) fn refuse(expr: &Expr) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    let FunctionArguments::List(arguments) = &function.args else { return Ok(()) };
    if unqualified(&function.name).as_deref() != Some("count") {
        return Ok(());
    }
    match arguments.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)] if arguments.duplicate_treatment.is_some() => {
            Err(Error::new(ErrorCode::SyntaxError, "syntax error at or near \"*\""))
        }
        [_, _, ..] => Err(Error::new(ErrorCode::UndefinedFunction, "function count of several values does not exist")
            .with_hint("Count rows of them: count((a, b)).")),
        _ => Ok(()),
    }
}

/// Rewrites a call of such an aggregate.
pub(in crate::dialect) fn rewrite(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let Some(name) = unqualified(&function.name) else { return };
    if let Some((_, other)) = RENAMED.iter().find(|(known, _)| *known == name) {
        function.name = named(other);
        return;
    }
    sort_distinct(&name, function);
    let arguments = plain(function);
    let rewritten = match (name.as_str(), arguments.as_deref()) {
        ("json_agg" | "jsonb_agg", Some([value])) => {
            // Elements become JSON one by one: an array forgets which of its texts are JSON already. Distinct values are compared
            // as they are.
            let outer = if name == "json_agg" { "json_of" } else { "jsonb_of" };
            Some(if is_distinct(function) {
                call(&format!("{outer}_rows"), vec![collected(function, None)])
            } else {
                let element = call("json_element", vec![value.clone()]);
                call(&format!("{outer}_elements"), vec![collected(function, Some(&element))])
            })
        }
        ("json_object_agg" | "jsonb_object_agg", Some([key, value])) => {
            let outer = if name == "json_object_agg" { "json_of_pairs" } else { "jsonb_of_pairs" };
            let value = call("to_json", vec![value.clone()]);
            let pair = vec![collected(function, Some(key)), collected(function, Some(&value))];
            Some(call(outer, pair))
        }
        ("percentile_disc", Some([part])) if !function.within_group.is_empty() => {
            Some(call("percentile_disc_of", vec![ordered(function), part.clone()]))
        }
        ("percentile_cont", Some([part])) if !function.within_group.is_empty() => {
            Some(call("percentile_cont_of", vec![ordered(function), part.clone()]))
        }
        ("rank" | "dense_rank" | "percent_rank" | "cume_dist", _) if !function.within_group.is_empty() => {
            super::hypothetical_ranks::as_counts(&name, function)
        }
        ("mode", _) if !function.within_group.is_empty() => Some(call("mode_of", vec![ordered(function)])),
        _ => None,
    };
    if let Some(rewritten) = rewritten {
        *expr = rewritten;
    }
}

fn named(name: &str) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))])
}

fn plain(function: &Function) -> Option<Vec<Expr>> {
    match &function.args {
        FunctionArguments::List(arguments) => arguments
            .args
            .iter()
            .map(|argument| match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            })
            .collect(),
        FunctionArguments::None | FunctionArguments::Subquery(_) => None,
    }
}

/// PostgreSQL finds distinct values by sorting them, and shows them in that order. A number would be the place of a key.
fn sort_distinct(name: &str, function: &mut Function) {
    if !matches!(name, "array_agg" | "json_agg" | "jsonb_agg" | "string_agg") || !is_distinct(function) {
        return;
    }
    if let FunctionArguments::List(arguments) = &mut function.args
        && arguments.clauses.is_empty()
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = arguments.args.first()
        && whole(first).is_none()
    {
        let options = OrderByOptions { asc: None, nulls_first: None };
        let key = OrderByExpr { expr: first.clone(), options, with_fill: None };
        arguments.clauses.push(FunctionArgumentClause::OrderBy(vec![key]));
    }
}

fn is_distinct(function: &Function) -> bool {
    matches!(&function.args, FunctionArguments::List(list) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct))
}

/// `array_agg` with the same order, filter and window; of another argument if one is given.
fn collected(function: &Function, argument: Option<&Expr>) -> Expr {
    let mut array = function.clone();
    array.name = named("array_agg");
    if let (Some(argument), FunctionArguments::List(arguments)) = (argument, &mut array.args) {
        arguments.args = list(vec![argument.clone()]).args;
    }
    Expr::Function(array)
}

/// `array_agg(x ORDER BY x)` of `… WITHIN GROUP (ORDER BY x)`.
fn ordered(function: &Function) -> Expr {
    let mut array = function.clone();
    array.name = named("array_agg");
    let keys = std::mem::take(&mut array.within_group);
    let items = keys.iter().map(|key| key.expr.clone()).collect();
    let mut arguments = list(items);
    arguments.clauses.push(FunctionArgumentClause::OrderBy(keys));
    array.args = FunctionArguments::List(arguments);
    Expr::Function(array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn parsed(text: &str) -> Expr {
        Parser::new(&PostgreSqlDialect {}).try_with_sql(text).unwrap().parse_expr().unwrap()
    }

    fn is_one(text: &str) -> bool {
        let Expr::Function(call) = parsed(text) else { panic!("{text} is no call") };
        is_aggregate(&call)
    }

    #[test]
    fn aggregates_are_known_by_the_names_of_the_engine_and_by_those_that_are_rewritten() {
        for text in [
            "count(*)",
            "pg_catalog.sum(a)",
            "stddev_samp(a)",
            "regr_avgx(a, b)",
            "string_agg(a, ',')",
            "Every(a)",
            "json_object_agg(a, b)",
            "mode() WITHIN GROUP (ORDER BY a)",
        ] {
            assert!(is_one(text), "{text}");
        }
        for text in ["abs(a)", "lower(a)", "row_number()", "mine.sum(a)", "no_such_function(a)"] {
            assert!(!is_one(text), "{text}");
        }
    }

    #[test]
    fn what_is_said_to_be_rewritten_is() {
        for name in RENAMED.iter().map(|(name, _)| name).chain(COLLECTED) {
            let arguments = if name.contains("object") { "a, b" } else { "a" };
            let before = parsed(&format!("{name}({arguments})"));
            let mut after = before.clone();
            rewrite(&mut after);
            assert_ne!(before, after, "{name}");
            assert!(!ENGINE.contains(*name), "{name} is the engine's own");
        }
    }
}
