//! Aggregates that DataFusion lacks, as a function of those it has: `json_agg(x)` is a function of `array_agg(x)`.

use super::ast::{call, list};
use super::calls::unqualified;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, Ident, ObjectName,
    ObjectNamePart,
};

/// Aggregates that are another one under another name.
const RENAMED: &[(&str, &str)] = &[("every", "bool_and"), ("variance", "var_samp")];

/// Rewrites a call of such an aggregate.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(function) = expr else { return };
    let Some(name) = unqualified(&function.name) else { return };
    if let Some((_, other)) = RENAMED.iter().find(|(known, _)| *known == name) {
        function.name = named(other);
        return;
    }
    let arguments = plain(function);
    let rewritten = match (name.as_str(), arguments.as_deref()) {
        ("json_agg", Some([_])) => Some(call("json_of_rows", vec![collected(function, None)])),
        ("jsonb_agg", Some([_])) => Some(call("jsonb_of_rows", vec![collected(function, None)])),
        ("json_object_agg" | "jsonb_object_agg", Some([key, value])) => {
            let outer = if name == "json_object_agg" { "json_of_pairs" } else { "jsonb_of_pairs" };
            let pair = vec![collected(function, Some(key)), collected(function, Some(value))];
            Some(call(outer, pair))
        }
        ("percentile_disc", Some([part])) if !function.within_group.is_empty() => {
            Some(call("percentile_disc_of", vec![ordered(function), part.clone()]))
        }
        ("percentile_cont", Some([part])) if !function.within_group.is_empty() => {
            Some(call("percentile_cont_of", vec![ordered(function), part.clone()]))
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
