//! Where a column of a fragment comes from: whether the server sorts and groups by the whole of it. And a walk over everything in it.

use querygate_driver_api::aggregate::AggregateFunction;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Collation, JoinKind, Relation};
use querygate_driver_api::scalar::ScalarExpr;
use querygate_driver_api::value::ValueType;

/// Whether an expression over `input` is no longer than what the server looks at when it sorts: a short column, or made
/// of such. Everything that is not text is short, but for bytes.
pub(crate) fn is_short(expr: &ScalarExpr, value_type: ValueType, input: &Relation) -> bool {
    match value_type {
        ValueType::Text => is_short_text(expr, input),
        ValueType::Binary | ValueType::TextList | ValueType::List(_) => false,
        ValueType::Boolean
        | ValueType::Int16
        | ValueType::Int32
        | ValueType::Int64
        | ValueType::Float32
        | ValueType::Float64
        | ValueType::Decimal128 { .. }
        | ValueType::Date
        | ValueType::Time
        | ValueType::Timestamp { .. } => true,
    }
}

fn is_short_text(expr: &ScalarExpr, input: &Relation) -> bool {
    let all = |exprs: &[ScalarExpr]| exprs.iter().all(|expr| is_short_text(expr, input));
    match expr {
        ScalarExpr::Column(id) => is_short_column(*id, input),
        ScalarExpr::Constant(_) => true,
        ScalarExpr::Cast { from, .. } => from.is_integer(),
        ScalarExpr::Case { branches, otherwise } => {
            branches.iter().all(|(_, then)| is_short_text(then, input))
                && otherwise.as_deref().is_none_or(|expr| is_short_text(expr, input))
        }
        ScalarExpr::Function { function, args, .. } => match function {
            ScalarFunction::Coalesce | ScalarFunction::Greatest | ScalarFunction::Least => all(args),
            ScalarFunction::NullIf
            | ScalarFunction::Substr
            | ScalarFunction::Left
            | ScalarFunction::Right
            | ScalarFunction::Trim
            | ScalarFunction::LTrim
            | ScalarFunction::RTrim => args.first().is_some_and(|expr| is_short_text(expr, input)),
            _ => false,
        },
        // A parameter's length is not known before it is bound.
        ScalarExpr::Parameter(..) => false,
        ScalarExpr::ScalarSubquery { relation } => {
            relation.output().first().is_some_and(|id| is_short_column(*id, relation))
        }
        ScalarExpr::Comparison { .. }
        | ScalarExpr::And(_)
        | ScalarExpr::Or(_)
        | ScalarExpr::Not(_)
        | ScalarExpr::IsNull { .. }
        | ScalarExpr::IsTruth { .. }
        | ScalarExpr::Between { .. }
        | ScalarExpr::InList { .. }
        | ScalarExpr::Like { .. }
        | ScalarExpr::Arithmetic { .. }
        | ScalarExpr::Negate(_)
        | ScalarExpr::Exists { .. }
        | ScalarExpr::InSubquery { .. } => false,
    }
}

/// Whether a column that a relation delivers is a short text. A column of a block around it is not looked for.
pub(crate) fn is_short_column(id: ColumnId, relation: &Relation) -> bool {
    match relation {
        Relation::Scan { columns, .. } => {
            columns.iter().any(|column| column.id == id && column.collation == Collation::Binary)
        }
        Relation::Filter { input, .. }
        | Relation::Distinct { input }
        | Relation::Sort { input, .. }
        | Relation::Limit { input, .. }
        | Relation::Fence { input } => is_short_column(id, input),
        Relation::Window { input, exprs } => !exprs.iter().any(|(known, _)| *known == id) && is_short_column(id, input),
        Relation::Project { input, exprs } => {
            exprs.iter().any(|(known, expr)| *known == id && is_short_text(expr, input))
        }
        Relation::Join { kind, left, right, .. } => match kind {
            JoinKind::LeftSemi | JoinKind::LeftAnti => is_short_column(id, left),
            JoinKind::Inner | JoinKind::Left | JoinKind::Right | JoinKind::Full => {
                is_short_column(id, left) || is_short_column(id, right)
            }
        },
        Relation::Aggregate { input, group, aggregates } => {
            group.iter().any(|(known, expr)| *known == id && is_short_text(expr, input))
                || aggregates.iter().any(|(known, aggregate)| {
                    let extreme = matches!(aggregate.function, AggregateFunction::Min | AggregateFunction::Max);
                    *known == id && extreme && aggregate.args.first().is_some_and(|arg| is_short_text(arg, input))
                })
        }
        Relation::SetOperation { columns, left, right, .. } => {
            let at = columns.iter().position(|known| *known == id);
            let side = |relation: &Relation| {
                at.and_then(|at| relation.output().get(at).copied()).is_some_and(|id| is_short_column(id, relation))
            };
            side(left) && side(right)
        }
        Relation::Values { .. } | Relation::EmptyRow => false,
    }
}

/// Every operator, subqueries included.
pub(crate) fn walk<'a>(relation: &'a Relation, visit: &mut dyn FnMut(&'a Relation)) {
    visit(relation);
    for input in relation.inputs() {
        walk(input, visit);
    }
    for expr in relation.scalars() {
        walk_scalar(expr, visit);
    }
}

fn walk_scalar<'a>(expr: &'a ScalarExpr, visit: &mut dyn FnMut(&'a Relation)) {
    for child in expr.children() {
        walk_scalar(child, visit);
    }
    if let Some(relation) = expr.subquery() {
        walk(relation, visit);
    }
}
