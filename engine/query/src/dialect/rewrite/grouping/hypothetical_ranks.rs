//! `rank(5) WITHIN GROUP (ORDER BY x)` and its kin: the place that a value would have among the rows, as counts of the rows before it.

use crate::dialect::ast::{binary, call, cast, number, plain_arguments};
use crate::sql::walk::{Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, DuplicateTreatment, ExactNumberInfo, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, OrderByExpr, Query, UnaryOperator,
};
use std::ops::ControlFlow;

/// The counts that such a call is. `None`: it is another call, or one whose value is not the same for all rows.
pub(in crate::dialect) fn as_counts(name: &str, function: &Function) -> Option<Expr> {
    let [key] = function.within_group.as_slice() else { return None };
    let [value] = plain_arguments(&function.args)?[..] else { return None };
    let counted = std::iter::once(&key.expr).chain(function.filter.as_deref());
    // What is counted is written several times: a query in it would be as often, and queries within it many times more.
    if !is_constant(value) || function.over.is_some() || counted.into_iter().any(holds_query) {
        return None;
    }
    let place = Place { key, value, filter: function.filter.as_deref() };
    let all = || count(None, place.filter.cloned());
    match name {
        "rank" => Some(plus_one(count(None, Some(place.filtered(place.before()))))),
        "dense_rank" => {
            // NULL is a value among the rows, which a count of distinct ones leaves out.
            let absent = binary(place.before(), BinaryOperator::And, Expr::IsNull(Box::new(key.expr.clone())));
            let absent = call("least", vec![number(1), count(None, Some(place.filtered(absent)))]);
            let known = count(Some(&key.expr), Some(place.filtered(place.before())));
            Some(plus_one(binary(known, BinaryOperator::Plus, absent)))
        }
        "percent_rank" => {
            let before = double(count(None, Some(place.filtered(place.before()))));
            let share = binary(before, BinaryOperator::Divide, call("nullif", vec![all(), number(0)]));
            Some(call("coalesce", vec![share, double(number(0))]))
        }
        "cume_dist" => {
            let up_to =
                or(place.before(), Expr::IsNotDistinctFrom(Box::new(key.expr.clone()), Box::new(value.clone())));
            let up_to = double(Expr::Nested(Box::new(plus_one(count(None, Some(place.filtered(up_to)))))));
            Some(binary(up_to, BinaryOperator::Divide, Expr::Nested(Box::new(plus_one(all())))))
        }
        _ => None,
    }
}

struct Place<'a> {
    key: &'a OrderByExpr,
    value: &'a Expr,
    filter: Option<&'a Expr>,
}

impl Place<'_> {
    /// Whether a row sorts before the value.
    fn before(&self) -> Expr {
        let (key, value) = (&self.key.expr, self.value);
        let descending = self.key.options.asc == Some(false);
        let nulls_first = self.key.options.nulls_first.unwrap_or(descending);
        let op = if descending { BinaryOperator::Gt } else { BinaryOperator::Lt };
        let (null, other) = if nulls_first { (key, value) } else { (value, key) };
        let null = Expr::IsNull(Box::new(null.clone()));
        let known = Expr::IsNotNull(Box::new(other.clone()));
        or(binary(key.clone(), op, value.clone()), binary(null, BinaryOperator::And, known))
    }

    fn filtered(&self, condition: Expr) -> Expr {
        match self.filter {
            Some(filter) => {
                binary(Expr::Nested(Box::new(filter.clone())), BinaryOperator::And, Expr::Nested(Box::new(condition)))
            }
            None => condition,
        }
    }
}

fn holds_query(expr: &Expr) -> bool {
    struct Queries;
    impl Reader for Queries {
        fn query(&mut self, _: &Query) -> Step {
            ControlFlow::Break(Stop::Found)
        }
    }
    finds(expr, &mut Queries)
}

/// Whether an expression is the same for all rows, as its text says.
fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::Cast { expr, .. } | Expr::Nested(expr) => is_constant(expr),
        Expr::UnaryOp { op: UnaryOperator::Minus | UnaryOperator::Plus, expr } => is_constant(expr),
        _ => false,
    }
}

fn count(distinct: Option<&Expr>, filter: Option<Expr>) -> Expr {
    let mut counted = call("count", distinct.cloned().into_iter().collect());
    if let Expr::Function(function) = &mut counted {
        function.filter = filter.map(Box::new);
        if let FunctionArguments::List(list) = &mut function.args {
            match distinct {
                Some(_) => list.duplicate_treatment = Some(DuplicateTreatment::Distinct),
                None => list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Wildcard)],
            }
        }
    }
    counted
}

fn plus_one(expr: Expr) -> Expr {
    binary(number(1), BinaryOperator::Plus, expr)
}

fn double(expr: Expr) -> Expr {
    cast(expr, DataType::Double(ExactNumberInfo::None))
}

fn or(left: Expr, right: Expr) -> Expr {
    Expr::Nested(Box::new(binary(left, BinaryOperator::Or, Expr::Nested(Box::new(right)))))
}
