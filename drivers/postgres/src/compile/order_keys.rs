//! What jsonb and arrays are ordered by: here the values themselves, in a type of their own. Refuses where the server compares them in
//! another way than the written semantics: texts in jsonb go by the database's collation, and no COLLATE reaches them.

use crate::compile::dialect::type_name;
use crate::wire::declared;
use querygate_driver_api::capability::{Refusal, RefusalReason, refuse};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{Collation, Relation};
use querygate_driver_api::scalar::{ComparisonOp, ScalarExpr};
use querygate_driver_api::value::{ItemType, ValueType};
use querygate_sql::RenderedArgs;

/// What a key is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A jsonb, which is equal to others as it should be.
    Jsonb,
    /// A jsonb that is ordered as it should be, too.
    OrderedJsonb,
    /// A jsonb that the statement brings: as what it stands beside.
    GivenJsonb,
    /// A list; items of texts are compared by code point.
    List(ValueType),
}

/// Whether an expression has keys where they mean something.
///
/// # Errors
/// Where they do not.
pub(crate) fn scalar(expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
    match expr {
        ScalarExpr::Function { function: ScalarFunction::OrderKey, args, .. } => match args.as_slice() {
            [value] if of_value(value, types).is_some() => Ok(()),
            _ => refuse(RefusalReason::Type, "the source does not order it as jsonb or as an array"),
        },
        ScalarExpr::Comparison { op, left, right } => together(&[left, right], is_order(*op), types),
        ScalarExpr::Between { expr, low, high, .. } => together(&[expr, low, high], true, types),
        ScalarExpr::InList { expr, list, .. } => {
            let all: Vec<&ScalarExpr> = std::iter::once(expr.as_ref()).chain(list).collect();
            together(&all, false, types)
        }
        ScalarExpr::InSubquery { expr, relation, .. } => {
            let members: Vec<ScalarExpr> = relation.output().into_iter().map(ScalarExpr::Column).collect();
            let all: Vec<&ScalarExpr> = std::iter::once(expr.as_ref()).chain(&members).collect();
            together(&all, false, types)
        }
        ScalarExpr::Function { .. }
        | ScalarExpr::Case { .. }
        | ScalarExpr::Cast { .. }
        | ScalarExpr::Arithmetic { .. }
        | ScalarExpr::Negate(_)
        | ScalarExpr::Like { .. } => none(expr.children(), types),
        // They have no part that is a value, or hand it on.
        ScalarExpr::Column(_)
        | ScalarExpr::Parameter(..)
        | ScalarExpr::Constant(_)
        | ScalarExpr::And(_)
        | ScalarExpr::Or(_)
        | ScalarExpr::Not(_)
        | ScalarExpr::IsNull { .. }
        | ScalarExpr::IsTruth { .. }
        | ScalarExpr::Exists { .. }
        | ScalarExpr::ScalarSubquery { .. } => Ok(()),
    }
}

/// As [`scalar`], of an operator.
///
/// # Errors
/// As [`scalar`].
pub(crate) fn operator(relation: &Relation, types: &ColumnTypes) -> Result<(), Refusal> {
    match relation {
        Relation::Sort { keys, .. } => keys.iter().try_for_each(|key| together(&[&key.expr], true, types)),
        Relation::SetOperation { left, right, .. } => {
            for (left, right) in left.output().into_iter().zip(right.output()) {
                none([&ScalarExpr::Column(left), &ScalarExpr::Column(right)], types)?;
                // What they make is known as the left side's.
                if is_jsonb(left, types) && !is_jsonb(right, types) {
                    return refuse(RefusalReason::Type, "jsonb stands in one column with other texts");
                }
            }
            Ok(())
        }
        Relation::Values { rows, .. } => none(rows.iter().flatten(), types),
        // Groups and distinct rows ask only whether values are equal.
        Relation::Scan { .. }
        | Relation::Filter { .. }
        | Relation::Project { .. }
        | Relation::Join { .. }
        | Relation::Aggregate { .. }
        | Relation::Distinct { .. }
        | Relation::Limit { .. }
        | Relation::Window { .. }
        | Relation::Fence { .. }
        | Relation::EmptyRow => Ok(()),
    }
}

const fn is_order(op: ComparisonOp) -> bool {
    match op {
        ComparisonOp::Lt | ComparisonOp::LtEq | ComparisonOp::Gt | ComparisonOp::GtEq => true,
        ComparisonOp::Eq | ComparisonOp::NotEq | ComparisonOp::IsDistinctFrom | ComparisonOp::IsNotDistinctFrom => {
            false
        }
    }
}

fn none<'a>(exprs: impl IntoIterator<Item = &'a ScalarExpr>, types: &ColumnTypes) -> Result<(), Refusal> {
    if exprs.into_iter().any(|expr| types.is_key(expr)) {
        return refuse(RefusalReason::Type, "what values are ordered by is only compared, sorted and grouped by");
    }
    Ok(())
}

/// Sides that are compared: no keys, or keys of one type.
fn together(sides: &[&ScalarExpr], ordered: bool, types: &ColumnTypes) -> Result<(), Refusal> {
    if !sides.iter().any(|side| types.is_key(side)) {
        return Ok(());
    }
    let kinds: Option<Vec<Kind>> = sides.iter().map(|side| kind(side, types)).collect();
    let kinds = kinds.unwrap_or_default();
    let list = |kind: &Kind| matches!(kind, Kind::List(_));
    match kinds.first() {
        Some(first @ Kind::List(_)) if kinds.iter().all(|kind| kind == first) => Ok(()),
        Some(_) if kinds.iter().any(list) => refuse(RefusalReason::Type, "the source compares arrays of one type"),
        Some(_) if !ordered => Ok(()),
        Some(_) if kinds.contains(&Kind::OrderedJsonb) && !kinds.contains(&Kind::Jsonb) => Ok(()),
        Some(_) => refuse(RefusalReason::Collation, "the source orders texts in jsonb by its collation"),
        None => refuse(RefusalReason::Type, "what a value is ordered by stands beside something else"),
    }
}

fn kind(expr: &ScalarExpr, types: &ColumnTypes) -> Option<Kind> {
    match expr {
        ScalarExpr::Function { function: ScalarFunction::OrderKey, args, .. } => match args.as_slice() {
            [value] => of_value(value, types),
            _ => None,
        },
        ScalarExpr::Column(id) => {
            let info = types.of(*id).ok()?;
            if info.key { jsonb(&info.collation) } else { None }
        }
        _ => None,
    }
}

fn of_value(value: &ScalarExpr, types: &ColumnTypes) -> Option<Kind> {
    match (value, types.type_of(value).ok()?) {
        (ScalarExpr::Column(id), ValueType::Text) => jsonb(&types.of(*id).ok()?.collation),
        (ScalarExpr::Parameter(..), ValueType::Text) => Some(Kind::GivenJsonb),
        (ScalarExpr::Column(_), list @ (ValueType::TextList | ValueType::List(_)))
        | (ScalarExpr::Parameter(..), list @ ValueType::TextList) => Some(Kind::List(list)),
        _ => None,
    }
}

fn is_jsonb(id: ColumnId, types: &ColumnTypes) -> bool {
    types.of(id).is_ok_and(|info| jsonb(&info.collation).is_some())
}

fn jsonb(collation: &Collation) -> Option<Kind> {
    match collation {
        Collation::Named(name) if name.as_ref() == declared::JSONB => Some(Kind::Jsonb),
        Collation::Named(name) if name.as_ref() == declared::JSONB_BY_CODE_POINT => Some(Kind::OrderedJsonb),
        Collation::Named(_) | Collation::Binary => None,
    }
}

/// The value in the type that orders it. A column that is read as text is asked for as what it is, so that its index is used.
pub(crate) fn print(call: &mut RenderedArgs<'_>) -> String {
    let text = call.text(0);
    let Some(argument) = call.args.first() else { return text };
    match argument.value_type {
        ValueType::TextList => format!("({text} COLLATE \"C\")"),
        // Without digits, which it would be rounded to.
        ValueType::List(ItemType::Decimal128 { .. }) => format!("{text}::numeric[]"),
        ValueType::List(_) => format!("{text}::{}", type_name(argument.value_type)),
        _ if argument.parameter.is_some() => format!("{text}::text::jsonb"),
        _ => match text.strip_suffix("::text") {
            Some(own) => own.to_owned(),
            None => format!("{text}::jsonb"),
        },
    }
}
