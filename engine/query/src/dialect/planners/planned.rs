//! Operators that DataFusion does not plan, or plans with another meaning, as calls of functions: JSON, bytea, arrays that
//! are parameters, dates and times. Knows types, no rows.

use super::literals::{field_of, read_literal, read_when_bound};
use super::types;
use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::functions_nested::expr_fn::{array_append, array_prepend};
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::planner::RawBinaryExpr;
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, Operator, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use querygate_query_api::column::{PG_TYPE_KEY, arrow_type_of, pg_type_of};
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_semantics::typing::{is_bits, is_jsonb, is_key, with_float_items};
use querygate_semantics::{function, has_forms};
use querygate_types::PgType;
use std::sync::Arc;

/// The call for an operator; `None` where DataFusion plans it.
pub(in crate::dialect) fn call(
    op: &BinaryOperator,
    left: &Expr,
    right: &Expr,
    schema: &DFSchema,
) -> Result<Option<Expr>> {
    // Chains of these are long, and their types are asked for below.
    if matches!(op, BinaryOperator::And | BinaryOperator::Or) {
        return Ok(None);
    }
    if let BinaryOperator::PGCustomBinaryOperator(words) = op
        && let [quantifier, op] = words.as_slice()
        && matches!(quantifier.as_str(), "any" | "all")
    {
        return Ok(quantified(quantifier, op, left, right, schema));
    }
    if let (BinaryOperator::StringConcat, Some(texts)) = (op, as_texts(left, right)) {
        return Ok(Some(Expr::BinaryExpr(texts)));
    }
    if is_chain_of_numbers(left, schema) {
        return Ok(None);
    }
    let (l, r) = (field_of(left, schema), field_of(right, schema));
    let named = |name: &str| function(name).map(|f| f.call(vec![left.clone(), right.clone()]));
    if let Some(name) = json_operator(op, l.as_deref(), r.as_deref()) {
        return Ok(named(name));
    }
    if let Some(call) = addresses(op, (left, l.as_deref()), (right, r.as_deref())) {
        return Ok(Some(call));
    }
    if let Some(name) = bit_operator(op, l.as_deref(), r.as_deref()) {
        return Ok(named(name));
    }
    let of = |field: &Option<Arc<Field>>, expr: &Expr| match field {
        Some(field) => Some(field.data_type().clone()),
        None => match expr {
            Expr::Literal(value, _) => Some(value.data_type()),
            _ => None,
        },
    };
    let (Some(l), Some(r)) = (of(&l, left), of(&r, right)) else { return Ok(None) };
    let binary = |t: &DataType| matches!(t, DataType::Binary | DataType::BinaryView);
    Ok(match op {
        BinaryOperator::PGStartsWith => {
            let like = datafusion::functions::string::starts_with();
            Some(like.call(vec![left.clone(), right.clone()]))
        }
        BinaryOperator::PGOverlap => {
            let (left, right) = (array_beside(left, &l, &r), array_beside(right, &r, &l));
            match (left, right, function("array_overlap")) {
                (Some(left), Some(right), Some(overlap)) => Some(overlap.call(vec![left, right])),
                _ => None,
            }
        }
        BinaryOperator::StringConcat if binary(&l) && binary(&r) => named("bytea_concat"),
        BinaryOperator::StringConcat if is_key(&l) && !r.is_list() => {
            Some(concat(cast(left, DataType::Utf8, "text"), right.clone()))
        }
        BinaryOperator::StringConcat if is_key(&r) && !l.is_list() => {
            Some(concat(left.clone(), cast(right, DataType::Utf8, "text")))
        }
        BinaryOperator::PGBitwiseShiftLeft if l == DataType::Int16 && r.is_integer() => {
            Some(shifted(Operator::BitwiseShiftLeft, left, right))
        }
        BinaryOperator::PGBitwiseShiftRight if l == DataType::Int16 && r.is_integer() => {
            Some(shifted(Operator::BitwiseShiftRight, left, right))
        }
        BinaryOperator::StringConcat => appended((left, &l), (right, &r), schema),
        _ => beside_reals(op, (left, &l), (right, &r)).or_else(|| moments(op, (left, &l), (right, &r))),
    })
}

/// A smallint that is shifted is one: what goes beyond its bits is lost.
fn shifted(op: Operator, left: &Expr, right: &Expr) -> Expr {
    let shift = |of: Expr, op: Operator, by: Expr| Expr::BinaryExpr(BinaryExpr::new(Box::new(of), op, Box::new(by)));
    let whole = shift(cast(left, DataType::Int32, "int4"), op, right.clone());
    // The sign is the first of the lower bits.
    let raised = shift(whole, Operator::BitwiseShiftLeft, lit(16_i32));
    cast(&shift(raised, Operator::BitwiseShiftRight, lit(16_i32)), DataType::Int16, "int2")
}

/// Arithmetic of a real and an exact number, which PostgreSQL computes in doubles.
fn beside_reals(op: &BinaryOperator, left: (&Expr, &DataType), right: (&Expr, &DataType)) -> Option<Expr> {
    let op = match op {
        BinaryOperator::Plus => Operator::Plus,
        BinaryOperator::Minus => Operator::Minus,
        BinaryOperator::Multiply => Operator::Multiply,
        BinaryOperator::Divide => Operator::Divide,
        _ => return None,
    };
    let exact = |data_type: &DataType| data_type.is_integer() || data_type.is_decimal();
    let real = |data_type: &DataType| *data_type == DataType::Float32;
    if !(real(left.1) && exact(right.1) || exact(left.1) && real(right.1)) {
        return None;
    }
    let double = |expr: &Expr| Box::new(cast(expr, DataType::Float64, "float8"));
    Some(Expr::BinaryExpr(BinaryExpr::new(double(left.0), op, double(right.0))))
}

/// `||` of an array and an item, where one is of numerics and the other of floats: both are of the float. The engine joins items of an
/// array's own type only. A NULL without a type is an array, to which nothing is added.
fn appended(left: (&Expr, &DataType), right: (&Expr, &DataType), schema: &DFSchema) -> Option<Expr> {
    let is_flat = |of: &DataType| matches!(of, DataType::List(item) if !item.data_type().is_list());
    let joined = match (left.1, right.1) {
        (list, DataType::Null) if list.is_list() => return Some(left.0.clone()),
        (DataType::Null, list) if list.is_list() => return Some(right.0.clone()),
        (list, item) if is_flat(list) && !item.is_list() => array_append(left.0.clone(), right.0.clone()),
        (item, list) if is_flat(list) && !item.is_list() => array_prepend(left.0.clone(), right.0.clone()),
        _ => return None,
    };
    let Expr::ScalarFunction(call) = joined else { return None };
    let met = with_float_items(call, schema);
    met.transformed.then_some(met.data)
}

fn concat(left: Expr, right: Expr) -> Expr {
    Expr::BinaryExpr(BinaryExpr::new(Box::new(left), Operator::StringConcat, Box::new(right)))
}

/// Operators of addresses, one side of which may be a literal or a parameter without a type.
fn addresses(op: &BinaryOperator, left: (&Expr, Option<&Field>), right: (&Expr, Option<&Field>)) -> Option<Expr> {
    let is_one = |side: (&Expr, Option<&Field>)| side.1.is_some_and(|field| *field.data_type() == NETWORK);
    let is_number = |side: (&Expr, Option<&Field>)| side.1.is_some_and(|field| field.data_type().is_integer());
    let typed = |side: (&Expr, Option<&Field>)| match side {
        (expr, _) if waits(expr) => Some(cast(expr, NETWORK, "inet")),
        (expr, _) if is_one(side) => Some(expr.clone()),
        _ => None,
    };
    if !is_one(left) && !is_one(right) {
        return None;
    }
    let name = match op {
        BinaryOperator::PGBitwiseShiftLeft => "network_sub",
        BinaryOperator::PGBitwiseShiftRight => "network_sup",
        BinaryOperator::Custom(name) if name == "<<=" => "network_subeq",
        BinaryOperator::Custom(name) if name == ">>=" => "network_supeq",
        BinaryOperator::PGOverlap => "network_overlap",
        BinaryOperator::BitwiseAnd => "inetand",
        BinaryOperator::BitwiseOr => "inetor",
        BinaryOperator::Minus if is_one(left) && is_one(right) => "inetmi",
        BinaryOperator::Plus if is_number(right) => {
            return function("inetpl").map(|f| f.call(vec![left.0.clone(), right.0.clone()]));
        }
        BinaryOperator::Plus if is_number(left) => {
            return function("inetpl").map(|f| f.call(vec![right.0.clone(), left.0.clone()]));
        }
        BinaryOperator::Minus if is_number(right) => {
            return function("inetmi_int8").map(|f| f.call(vec![left.0.clone(), right.0.clone()]));
        }
        _ => return None,
    };
    Some(function(name)?.call(vec![typed(left)?, typed(right)?]))
}

/// Operators of strings of bits.
fn bit_operator(op: &BinaryOperator, left: Option<&Field>, right: Option<&Field>) -> Option<&'static str> {
    let is_bits = |field: Option<&Field>| field.is_some_and(is_bits);
    if !is_bits(left) && !is_bits(right) {
        return None;
    }
    Some(match op {
        BinaryOperator::BitwiseAnd => "bitand",
        BinaryOperator::BitwiseOr => "bitor",
        BinaryOperator::BitwiseXor | BinaryOperator::PGBitwiseXor => "bitxor",
        BinaryOperator::PGBitwiseShiftLeft if is_bits(left) => "bitshiftleft",
        BinaryOperator::PGBitwiseShiftRight if is_bits(left) => "bitshiftright",
        BinaryOperator::StringConcat if is_bits(left) && is_bits(right) => "bitcat",
        _ => return None,
    })
}

/// Both sides of an operator where one is a parameter or a literal without a type whose type the other one decides: beside an array it is
/// one, what is appended to bytes or to jsonb is such a value too, an interval is multiplied and divided by a double, and what is taken
/// from a moment is a moment, where what is added to one is an interval.
pub(in crate::dialect) fn beside(expr: RawBinaryExpr, schema: &DFSchema) -> Result<RawBinaryExpr> {
    let RawBinaryExpr { op, left, right } = expr;
    let (mut left, mut right) = (left, right);
    let of_left = waits(&right).then(|| decided(&op, &left, true, schema)).flatten();
    let of_right = waits(&left).then(|| decided(&op, &right, false, schema)).flatten();
    if let Some(field) = of_left {
        right = read_as(right, &field)?;
    } else if let Some(field) = of_right {
        left = read_as(left, &field)?;
    }
    Ok(RawBinaryExpr { op, left, right })
}

fn waits(expr: &Expr) -> bool {
    matches!(expr, Expr::Placeholder(Placeholder { field: None, .. }) | Expr::Literal(ScalarValue::Utf8(Some(_)), None))
}

/// The type that one side gives the other. Nothing is divided by an interval.
fn decided(op: &BinaryOperator, side: &Expr, is_left: bool, schema: &DFSchema) -> Option<FieldRef> {
    use BinaryOperator as B;
    let of_arrays = matches!(op, B::StringConcat | B::AtArrow | B::ArrowAt | B::PGOverlap);
    let is_listed = of_arrays || matches!(op, B::Plus | B::Minus | B::Multiply | B::Divide);
    // The type of a long chain is not asked for at each of its operators.
    if !is_listed || is_chain_of_numbers(side, schema) {
        return None;
    }
    let field = field_of(side, schema)?;
    match (op, field.data_type()) {
        (B::Plus | B::Minus, _) => {
            let own = pg_type_of(&field);
            match beside_moment(matches!(op, B::Minus), own, is_left)? {
                // A parameter may be compared with the same column: it has one type everywhere.
                same if same == own => Some(Arc::clone(&field)),
                other => plain(other),
            }
        }
        (B::Multiply, DataType::Interval(_)) => plain(PgType::Float8),
        (B::Divide, DataType::Interval(_)) if is_left => plain(PgType::Float8),
        (B::StringConcat, DataType::Binary | DataType::BinaryView) => plain(PgType::Bytea),
        (B::StringConcat, _) if is_jsonb(&field) => types::field_of(PgType::Jsonb),
        (_, DataType::List(item)) if of_arrays => {
            // Whole numbers get their types later.
            let small = |e: &Expr| match e {
                Expr::Literal(ScalarValue::Int64(value), _) => value.is_none_or(|v| i32::try_from(v).is_ok()),
                Expr::Literal(value, _) => value.is_null(),
                _ => false,
            };
            let integers = matches!(side, Expr::ScalarFunction(call) if call.func.name() == "make_array"
                && call.args.iter().all(small));
            let own = item.data_type();
            let own = if integers && *own == DataType::Int64 { DataType::Int32 } else { own.clone() };
            let list = DataType::List(Arc::new(Field::new("item", own, true)));
            Some(Arc::new(Field::new("", list, true)))
        }
        _ => None,
    }
}

/// A type by Arrow's alone, as the engine gives one to a parameter beside a value that was computed.
fn plain(pg_type: PgType) -> Option<FieldRef> {
    arrow_type_of(pg_type).map(|data_type| Arc::new(Field::new("", data_type, true)))
}

/// What a value without a type is that is added to a moment or an interval, or taken from one, as PostgreSQL's operators have it. To a
/// date it adds in several ways, of which it picks none.
const fn beside_moment(is_minus: bool, own: PgType, is_left: bool) -> Option<PgType> {
    match own {
        PgType::Date | PgType::Time | PgType::Timestamp | PgType::Timestamptz if is_minus => Some(own),
        PgType::Time | PgType::Timestamp | PgType::Timestamptz | PgType::Interval => Some(PgType::Interval),
        PgType::Timetz if is_minus && is_left => Some(PgType::Interval),
        _ => None,
    }
}

fn read_as(expr: Expr, field: &FieldRef) -> Result<Expr> {
    let by_input_function = types::field_of(pg_type_of(field)).filter(|_| read_when_bound(field));
    Ok(match expr {
        // Its values are texts, which its cast brings into their one form.
        waiting @ Expr::Placeholder(_) if is_jsonb(field) => {
            Expr::Cast(Cast { expr: Box::new(waiting), field: Arc::clone(field) })
        }
        Expr::Placeholder(Placeholder { id, .. }) => {
            let field = Some(Arc::new(field.as_ref().clone().with_name(id.clone()).with_nullable(true)));
            Expr::Placeholder(Placeholder { id, field })
        }
        Expr::Literal(ScalarValue::Utf8(Some(text)), None) => match by_input_function {
            Some(field) => {
                let text = Expr::Literal(ScalarValue::Utf8(Some(text)), None);
                Expr::Cast(Cast { expr: Box::new(text), field })
            }
            None => match read_literal(&text, field.data_type())? {
                Some(value) => lit(value),
                None => Expr::Literal(ScalarValue::Utf8(Some(text)), None),
            },
        },
        other => other,
    })
}

/// An array, or a literal that is read as one because the other side is.
fn array_beside(expr: &Expr, own: &DataType, other: &DataType) -> Option<Expr> {
    match (own, other, expr) {
        (DataType::List(_), ..) => Some(expr.clone()),
        (_, DataType::List(_), Expr::Literal(..)) => {
            let field = Arc::new(Field::new("", other.clone(), true));
            Some(Expr::Cast(Cast { expr: Box::new(expr.clone()), field }))
        }
        _ => None,
    }
}

fn is_named_text(field: Option<&Field>) -> bool {
    let name = field.and_then(|field| field.metadata().get(PG_TYPE_KEY));
    name.is_some_and(|name| matches!(name.as_str(), "text" | "varchar" | "bpchar" | "name"))
}

fn json_operator(op: &BinaryOperator, left: Option<&Field>, right: Option<&Field>) -> Option<&'static str> {
    let jsonb = left.is_some_and(is_jsonb);
    let either = jsonb || right.is_some_and(is_jsonb);
    Some(match op {
        BinaryOperator::Arrow => "json_get",
        BinaryOperator::LongArrow => "json_get_text",
        BinaryOperator::HashArrow => "json_follow",
        BinaryOperator::HashLongArrow => "json_follow_text",
        BinaryOperator::Question => "jsonb_exists",
        BinaryOperator::QuestionPipe => "jsonb_exists_any",
        BinaryOperator::QuestionAnd => "jsonb_exists_all",
        BinaryOperator::HashMinus => "jsonb_delete_path",
        BinaryOperator::AtQuestion if jsonb => "jsonb_path_exists_opr",
        BinaryOperator::AtAt if jsonb => "jsonb_path_match_opr",
        BinaryOperator::AtArrow if either => "jsonb_contains",
        BinaryOperator::ArrowAt if either => "jsonb_contained",
        // Beside a text, jsonb is appended as one.
        BinaryOperator::StringConcat if is_named_text(left) || is_named_text(right) => return None,
        BinaryOperator::StringConcat if jsonb || (either && left.is_none()) => "jsonb_concat",
        BinaryOperator::Minus if jsonb => "jsonb_delete",
        BinaryOperator::Eq if either => "jsonb_equal",
        _ => return None,
    })
}

/// `left op ANY (array)` where the array is a parameter, which takes its type from the other side.
fn quantified(quantifier: &str, op: &str, left: &Expr, right: &Expr, schema: &DFSchema) -> Option<Expr> {
    let array = match (right, field_of(left, schema)) {
        (Expr::Placeholder(Placeholder { id, field: None }), Some(item)) => {
            let array = pg_type_of(&item).array().filter(|_| has_forms(pg_type_of(&item)));
            let metadata = array.map(|array| (PG_TYPE_KEY.to_owned(), array.name().to_owned())).into_iter().collect();
            let item = Arc::new(Field::new("item", item.data_type().clone(), true));
            let list = Arc::new(Field::new(id.clone(), DataType::List(item), true).with_metadata(metadata));
            Expr::Placeholder(Placeholder { id: id.clone(), field: Some(list) })
        }
        _ => right.clone(),
    };
    let left = match (left, field_of(&array, schema)) {
        (Expr::Placeholder(Placeholder { id, field: None }), Some(list)) => match list.data_type() {
            DataType::List(item) => {
                let field = Arc::new(Field::new(id.clone(), item.data_type().clone(), true));
                Expr::Placeholder(Placeholder { id: id.clone(), field: Some(field) })
            }
            _ => left.clone(),
        },
        _ => left.clone(),
    };
    let name = if quantifier == "any" { "compare_any" } else { "compare_all" };
    Some(function(name)?.call(vec![lit(op), left, array]))
}

fn stamp() -> DataType {
    DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, None)
}

fn cast(expr: &Expr, to: DataType, pg_type: &str) -> Expr {
    let metadata = [(PG_TYPE_KEY.to_owned(), pg_type.to_owned())].into();
    let field = Arc::new(Field::new("", to, true).with_metadata(metadata));
    Expr::Cast(Cast { expr: Box::new(expr.clone()), field })
}

/// Arithmetic of dates, times and intervals.
fn moments(op: &BinaryOperator, left: (&Expr, &DataType), right: (&Expr, &DataType)) -> Option<Expr> {
    use DataType as T;
    let called = |name: &str, a: Expr, b: Expr| function(name).map(|f| f.call(vec![a, b]));
    let span = |t: &T| matches!(t, T::Interval(_));
    let number = |t: &T| t.is_numeric();
    let interval = || T::Interval(IntervalUnit::MonthDayNano);
    let ((a, l), (b, r)) = (left, right);
    if span(l)
        && span(r)
        && let Some(op) = comparison(op)
    {
        let of = |e: &Expr| function("interval_span").map(|f| f.call(vec![e.clone()]));
        return Some(Expr::BinaryExpr(BinaryExpr::new(Box::new(of(a)?), op, Box::new(of(b)?))));
    }
    match (op, l, r) {
        (BinaryOperator::Minus, T::Date32, T::Date32) => {
            let days = BinaryExpr::new(Box::new(a.clone()), Operator::Minus, Box::new(b.clone()));
            Some(cast(&Expr::BinaryExpr(days), T::Int32, "int4"))
        }
        (BinaryOperator::Plus | BinaryOperator::Minus, T::Date32, r) if span(r) => {
            let name = if matches!(op, BinaryOperator::Plus) { "moved" } else { "moved_back" };
            called(name, cast(a, stamp(), "timestamp"), b.clone())
        }
        (BinaryOperator::Plus | BinaryOperator::Minus, T::Timestamp(..) | T::Time64(_), r) if span(r) => {
            let name = if matches!(op, BinaryOperator::Plus) { "moved" } else { "moved_back" };
            called(name, a.clone(), b.clone())
        }
        (BinaryOperator::Plus, l, T::Date32) if span(l) => called("moved", cast(b, stamp(), "timestamp"), a.clone()),
        (BinaryOperator::Plus, l, T::Timestamp(..) | T::Time64(_)) if span(l) => called("moved", b.clone(), a.clone()),
        (BinaryOperator::Plus, T::Date32, r) if *r == TimeTz::ARROW => called("timestamptz", a.clone(), b.clone()),
        (BinaryOperator::Plus, l, T::Date32) if *l == TimeTz::ARROW => called("timestamptz", b.clone(), a.clone()),
        (BinaryOperator::Plus, l, r) if *l == TimeTz::ARROW && span(r) => called("moved", a.clone(), b.clone()),
        (BinaryOperator::Plus, l, r) if span(l) && *r == TimeTz::ARROW => called("moved", b.clone(), a.clone()),
        (BinaryOperator::Minus, l, r) if *l == TimeTz::ARROW && span(r) => called("moved_back", a.clone(), b.clone()),
        (BinaryOperator::Plus, T::Date32, T::Time64(_)) => {
            called("moved", cast(a, stamp(), "timestamp"), cast(b, interval(), "interval"))
        }
        (BinaryOperator::Plus, T::Time64(_), T::Date32) => {
            called("moved", cast(b, stamp(), "timestamp"), cast(a, interval(), "interval"))
        }
        (BinaryOperator::Minus, T::Timestamp(_, None) | T::Date32, T::Timestamp(_, None) | T::Date32)
            if !(*l == T::Date32 && *r == T::Date32) =>
        {
            called("elapsed", cast(a, stamp(), "timestamp"), cast(b, stamp(), "timestamp"))
        }
        // A date, or a time stamp without a zone, beside a moment is one in the session's zone.
        (BinaryOperator::Minus, T::Timestamp(_, None) | T::Date32, T::Timestamp(_, Some(_))) => {
            called("elapsed", cast(a, r.clone(), "timestamptz"), b.clone())
        }
        (BinaryOperator::Minus, T::Timestamp(_, Some(_)), T::Timestamp(_, None) | T::Date32) => {
            called("elapsed", a.clone(), cast(b, l.clone(), "timestamptz"))
        }
        (BinaryOperator::Minus, T::Timestamp(..), T::Timestamp(..)) => called("elapsed", a.clone(), b.clone()),
        (BinaryOperator::Minus, T::Time64(_), T::Time64(_)) => called("elapsed", a.clone(), b.clone()),
        (BinaryOperator::Multiply, l, r) if span(l) && number(r) => called("interval_times", a.clone(), b.clone()),
        (BinaryOperator::Multiply, l, r) if number(l) && span(r) => called("interval_times", b.clone(), a.clone()),
        (BinaryOperator::Divide, l, r) if span(l) && number(r) => called("interval_over", a.clone(), b.clone()),
        _ => None,
    }
}

const fn comparison(op: &BinaryOperator) -> Option<Operator> {
    Some(match op {
        BinaryOperator::Eq => Operator::Eq,
        BinaryOperator::NotEq => Operator::NotEq,
        BinaryOperator::Lt => Operator::Lt,
        BinaryOperator::LtEq => Operator::LtEq,
        BinaryOperator::Gt => Operator::Gt,
        BinaryOperator::GtEq => Operator::GtEq,
        _ => return None,
    })
}

/// `$1 || $2`: parameters without a type are texts here.
fn as_texts(left: &Expr, right: &Expr) -> Option<BinaryExpr> {
    let text = |expr: &Expr| match expr {
        Expr::Placeholder(Placeholder { id, field: None }) => {
            let field = Some(Arc::new(Field::new(id.clone(), DataType::Utf8, true)));
            Some(Expr::Placeholder(Placeholder { id: id.clone(), field }))
        }
        _ => None,
    };
    let (l, r) = (text(left), text(right));
    if l.is_none() && r.is_none() {
        return None;
    }
    let (left, right) = (l.unwrap_or_else(|| left.clone()), r.unwrap_or_else(|| right.clone()));
    Some(BinaryExpr::new(Box::new(left), Operator::StringConcat, Box::new(right)))
}

/// Whether the left side is arithmetic that begins with a number: then it is a number, and so is what is done with it. Asking
/// it for its type would take time that grows with the square of a chain's length.
fn is_chain_of_numbers(left: &Expr, schema: &DFSchema) -> bool {
    let mut first = left;
    let mut operators = 0_usize;
    while let Expr::BinaryExpr(BinaryExpr { left, op, .. }) = first {
        if !matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo) {
            return false;
        }
        operators += 1;
        first = left;
    }
    operators > 8 && field_of(first, schema).is_some_and(|field| field.data_type().is_numeric())
}
