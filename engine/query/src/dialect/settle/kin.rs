//! Texts without a type beside values of types that one value may be written of in several ways, or whose values are keys: read as the
//! type, wherever PostgreSQL gives both one type. `'A0EE…'` is the uuid that is printed `a0ee…`.

use super::placeholders::{is_text_or_untyped, of_type, own_type};
use crate::dialect::planners::types;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Between, Case, InList, Placeholder, ScalarFunction};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator};
use querygate_semantics::has_forms;
use querygate_semantics::typing::is_comparison;
use querygate_types::PgType;
use std::sync::Arc;

/// Functions whose arguments, and whose result, are of one type.
const ALIKE: &[&str] = &["coalesce", "nullif", "greatest", "least"];

/// Reads such texts in one expression. Changes nothing where nothing waits for a type.
pub(super) fn read(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { mut left, op, mut right })
            if is_comparison(op) && (waits(&left) != waits(&right)) =>
        {
            let changed = alike(&mut [&mut *left, &mut *right], Compared::Yes, schema);
            Ok(Transformed::new_transformed(Expr::BinaryExpr(BinaryExpr::new(left, op, right)), changed))
        }
        Expr::InList(InList { mut expr, mut list, negated }) => {
            let mut all: Vec<&mut Expr> = std::iter::once(&mut *expr).chain(&mut list).collect();
            let changed = alike(&mut all, Compared::Yes, schema);
            Ok(Transformed::new_transformed(Expr::InList(InList { expr, list, negated }), changed))
        }
        Expr::Between(Between { mut expr, negated, mut low, mut high }) => {
            let changed = alike(&mut [&mut *expr, &mut *low, &mut *high], Compared::Yes, schema);
            Ok(Transformed::new_transformed(Expr::Between(Between { expr, negated, low, high }), changed))
        }
        Expr::ScalarFunction(ScalarFunction { func, mut args }) if ALIKE.contains(&func.name()) => {
            let compared = if func.name() == "nullif" { Compared::Yes } else { Compared::No };
            let changed = alike(&mut args.iter_mut().collect::<Vec<_>>(), compared, schema);
            Ok(Transformed::new_transformed(Expr::ScalarFunction(ScalarFunction { func, args }), changed))
        }
        // Items of jsonb are all in its form; of other types, an array's item is known by its own.
        Expr::ScalarFunction(ScalarFunction { func, mut args }) if func.name() == "make_array" => {
            let is_jsonb = args.iter().any(|arg| own_type(arg, schema) == Some(PgType::Jsonb));
            let changed = is_jsonb && alike(&mut args.iter_mut().collect::<Vec<_>>(), Compared::No, schema);
            Ok(Transformed::new_transformed(Expr::ScalarFunction(ScalarFunction { func, args }), changed))
        }
        Expr::ScalarFunction(call) => Ok(members(call, schema)),
        Expr::Case(case) => Ok(branches(case, schema)),
        other => Ok(Transformed::no(other)),
    }
}

/// Whether the values are compared: a network is compared as an address, which has bits behind its prefix.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compared {
    Yes,
    No,
}

/// Reads the members of an array with which a value is compared, where they are texts as far as is known.
fn members(mut call: ScalarFunction, schema: &DFSchema) -> Transformed<Expr> {
    let places = match call.name() {
        "array_has" => Some((0, 1)),
        "compare_any" | "compare_all" => Some((2, 1)),
        _ => None,
    };
    let kin = places.and_then(|(_, value)| own_type(call.args.get(value)?, schema)).filter(|own| has_forms(*own));
    let of = |array: &Expr| matches!(own_type(array, schema), None | Some(PgType::Text | PgType::TextArray));
    let changed = match (places, kin.and_then(PgType::array).and_then(types::field_of)) {
        (Some((array, _)), Some(field)) if call.args.get(array).is_some_and(of) => match call.args.get_mut(array) {
            Some(Expr::Placeholder(Placeholder { id, field: own })) => {
                *own = Some(Arc::new(field.as_ref().clone().with_name(id.clone())));
                true
            }
            Some(array) => {
                *array = Expr::Cast(Cast { expr: Box::new(std::mem::take(array)), field });
                true
            }
            None => false,
        },
        _ => false,
    };
    Transformed::new_transformed(Expr::ScalarFunction(call), changed)
}

fn branches(mut case: Case, schema: &DFSchema) -> Transformed<Expr> {
    let has_operand = case.expr.is_some();
    let operand = case.expr.iter_mut().map(|operand| &mut **operand);
    let mut tested: Vec<&mut Expr> =
        operand.chain(case.when_then_expr.iter_mut().map(|(when, _)| &mut **when)).collect();
    // A searched CASE has conditions, which are of no such type.
    let mut changed = has_operand && alike(&mut tested, Compared::Yes, schema);
    let otherwise = case.else_expr.iter_mut().map(|otherwise| &mut **otherwise);
    let mut results: Vec<&mut Expr> =
        case.when_then_expr.iter_mut().map(|(_, then)| &mut **then).chain(otherwise).collect();
    changed |= alike(&mut results, Compared::No, schema);
    // The engine looks an operand up in a table of constants, which holds no keys.
    let is_key =
        |operand: &Expr| matches!(own_type(operand, schema), Some(PgType::Inet | PgType::Cidr | PgType::Timetz));
    if let Some(operand) = case.expr.take_if(|operand| is_key(operand)) {
        for (when, _) in &mut case.when_then_expr {
            let value = std::mem::take(when);
            **when = Expr::BinaryExpr(BinaryExpr::new(operand.clone(), Operator::Eq, value));
        }
        changed = true;
    }
    Transformed::new_transformed(Expr::Case(case), changed)
}

/// Gives the texts among values the type of the first that has such a one.
fn alike(values: &mut [&mut Expr], compared: Compared, schema: &DFSchema) -> bool {
    if !values.iter().any(|value| waits(value)) {
        return false;
    }
    let Some(kin) = values.iter().find_map(|value| own_type(value, schema).filter(|own| is_kin(*own))) else {
        return false;
    };
    let kin = if kin == PgType::Cidr && compared == Compared::Yes { PgType::Inet } else { kin };
    let Some(field) = types::field_of(kin) else { return false };
    for value in values.iter_mut().filter(|value| waits(value)) {
        let text = of_type(std::mem::take(*value), PgType::Text);
        **value = Expr::Cast(Cast { expr: Box::new(text), field: Arc::clone(&field) });
    }
    true
}

const fn is_kin(pg_type: PgType) -> bool {
    matches!(
        pg_type,
        PgType::Uuid
            | PgType::Jsonb
            | PgType::Macaddr
            | PgType::Macaddr8
            | PgType::Bit
            | PgType::Varbit
            | PgType::Inet
            | PgType::Cidr
            | PgType::Timetz
    )
}

/// A text in quotes, or a parameter of which no more is known than that texts stand beside it.
fn waits(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(ScalarValue::Utf8(Some(_)) | ScalarValue::Utf8View(Some(_)), None))
        || is_text_or_untyped(expr)
}
