//! String literals without a type take the other side's: in comparisons, IN, BETWEEN and CASE.
//! PostgreSQL reads `'16396'` beside an oid as a number; DataFusion would compare text.

use super::apart::{keys_apart, told_apart};
use super::types::open_numeric;
use arrow::array::{ArrayRef, new_empty_array};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{
    Column, DFSchema, DataFusionError, ExprSchema, Result, ScalarValue, TableReference, not_impl_err,
};
use datafusion::functions_nested::extract::array_element;
use datafusion::logical_expr::planner::{
    ExprPlanner, PlannerResult, RawAggregateExpr, RawBinaryExpr, RawFieldAccessExpr, RawWindowExpr,
};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, GetFieldAccess, ScalarUDF, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use querygate_query_api::column::{ENUM_LABELS_KEY, PG_TYPE_KEY, TYPE_MODIFIER_KEY};
use querygate_query_api::own_names;
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_semantics::function;
use querygate_semantics::split_array;
use querygate_semantics::typing::{check_label, is_checked_text, is_jsonb};
use querygate_types::{Error, ErrorCode, PgType};
use std::collections::HashMap;
use std::sync::Arc;

/// Plans binary operators with an untyped literal, subscripts of PostgreSQL's vectors, which count from 0, and arguments that
/// only a cast tells apart.
#[derive(Debug)]
pub(crate) struct PgExprPlanner {
    /// `regclassin` and its kin, by name: a literal beside a reg type is a name to look up.
    functions: HashMap<String, Arc<ScalarUDF>>,
}

impl PgExprPlanner {
    pub(crate) fn new(functions: &[Arc<ScalarUDF>]) -> Self {
        let readers = functions.iter().filter(|f| f.name().starts_with("reg") && f.name().ends_with("in"));
        Self { functions: readers.map(|f| (f.name().to_owned(), Arc::clone(f))).collect() }
    }

    /// The literal in the type of the other side. `None` when both sides are text or nothing is a literal.
    pub(in crate::dialect) fn adopt(&self, literal: &Expr, other: &FieldRef) -> Result<Option<Expr>> {
        let Some(text) = untyped_text(literal) else { return Ok(None) };
        let pg_type = other.metadata().get(PG_TYPE_KEY).map(String::as_str);
        let reg = pg_type.filter(|name| name.starts_with("reg") && other.data_type() == &DataType::UInt32);
        if let Some(reader) = reg.and_then(|name| self.functions.get(&format!("{name}in"))) {
            return Ok(Some(reader.call(vec![literal.clone()])));
        }
        if read_when_bound(other) {
            let field = Arc::new(literal_type(other).with_name("").with_nullable(true));
            return Ok(Some(Expr::Cast(Cast { expr: Box::new(literal.clone()), field })));
        }
        // Only PostgreSQL's input function reads NaN, infinities and exponents.
        if matches!(other.data_type(), DataType::Decimal128(..)) && decimal(text.trim(), text).is_err() {
            return Ok(Some(Expr::Cast(Cast { expr: Box::new(literal.clone()), field: open_numeric() })));
        }
        if let Some(labels) = other.metadata().get(ENUM_LABELS_KEY) {
            check_label(labels, text)?;
        }
        // Blanks behind a char(n) say nothing, and its values have none.
        if pg_type == Some("bpchar") && text.ends_with(' ') {
            return Ok(Some(lit(text.trim_end_matches(' '))));
        }
        Ok(read_literal(text, other.data_type())?.map(lit))
    }
}

/// The type in which a literal beside a value of this type is read: of any length beside bits, an address beside a network.
fn literal_type(other: &FieldRef) -> Field {
    let own = other.as_ref().clone();
    let mut metadata = own.metadata().clone();
    if own.data_type() == &NETWORK {
        metadata.remove(PG_TYPE_KEY);
    }
    if matches!(metadata.get(PG_TYPE_KEY).map(String::as_str), Some("bit" | "varbit")) {
        metadata.remove(TYPE_MODIFIER_KEY);
    }
    own.with_metadata(metadata)
}

/// Types whose input functions need the session's settings, or check a text that stays one.
pub(super) fn read_when_bound(field: &FieldRef) -> bool {
    match field.data_type() {
        keys if *keys == TimeTz::ARROW || *keys == NETWORK => true,
        DataType::Date32 | DataType::Timestamp(..) | DataType::Time64(_) | DataType::Interval(_) | DataType::Binary => {
            true
        }
        DataType::Utf8 => {
            let checked = |name: &String| !matches!(name.as_str(), "json" | "char") && is_checked_text(name);
            field.metadata().get(PG_TYPE_KEY).is_some_and(checked)
        }
        // Its items are written in hexadecimal.
        DataType::List(item) => item.data_type() == &DataType::Binary,
        _ => false,
    }
}

/// Text of a plain string literal; `'x'::text` is no untyped one.
pub(super) fn untyped_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), None) => Some(text),
        _ => None,
    }
}

/// The field of an expression, outer references included.
pub(in crate::dialect) fn field_of(expr: &Expr, schema: &dyn ExprSchema) -> Option<FieldRef> {
    match chosen(expr, schema) {
        Chosen::Jsonb(field) => Some(field),
        Chosen::Other | Chosen::Waits => own_field(expr, schema),
    }
}

/// As [`field_of`], as far as the engine knows it.
fn own_field(expr: &Expr, schema: &dyn ExprSchema) -> Option<FieldRef> {
    match expr {
        Expr::OuterReferenceColumn(field, _) => Some(Arc::clone(field)),
        // Only texts wait for a type.
        Expr::Literal(value, _) if value.is_null() || untyped_text(expr).is_some() => None,
        Expr::Literal(value, _) => Some(Arc::new(Field::new("", value.data_type(), true))),
        other => other.to_field(schema).ok().map(|(_, field)| field),
    }
}

/// What an expression chooses.
enum Chosen {
    Jsonb(FieldRef),
    /// Something else, or it does not choose.
    Other,
    /// It has no type yet.
    Waits,
}

/// Whether an expression chooses a jsonb among several values: of such a one the engine knows only that it is text.
fn chosen(expr: &Expr, schema: &dyn ExprSchema) -> Chosen {
    let Some(values) = choices(expr) else { return Chosen::Other };
    let mut found = Chosen::Waits;
    for value in values {
        let one = match choices(value) {
            Some(_) => chosen(value, schema),
            None => match own_field(value, schema) {
                Some(field) if is_jsonb(&field) => Chosen::Jsonb(field),
                Some(field) if field.data_type() != &DataType::Null => Chosen::Other,
                Some(_) | None => Chosen::Waits,
            },
        };
        match one {
            Chosen::Jsonb(field) => found = Chosen::Jsonb(field),
            Chosen::Other => return Chosen::Other,
            Chosen::Waits => {}
        }
    }
    found
}

/// The values of which an expression gives one.
fn choices(expr: &Expr) -> Option<Vec<&Expr>> {
    match expr {
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            Some(results.map(AsRef::as_ref).collect())
        }
        Expr::ScalarFunction(call) if call.name() == "coalesce" => Some(call.args.iter().collect()),
        Expr::ScalarFunction(call) if call.name() == "nullif" => Some(call.args.iter().take(1).collect()),
        _ => None,
    }
}

impl ExprPlanner for PgExprPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let RawBinaryExpr { op, left, right } = super::planned::beside(expr, schema)?;
        if let Some(call) = super::planned::call(&op, &left, &right, schema)? {
            return Ok(PlannerResult::Planned(call));
        }
        if !adopts(&op) {
            return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
        }
        let right = match field_of(&left, schema) {
            Some(field) => self.adopt(&right, &field)?.unwrap_or(right),
            None => right,
        };
        let left = match field_of(&right, schema) {
            Some(field) => self.adopt(&left, &field)?.unwrap_or(left),
            None => left,
        };
        Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }))
    }

    fn plan_field_access(
        &self,
        expr: RawFieldAccessExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawFieldAccessExpr>> {
        let RawFieldAccessExpr { field_access, expr } = expr;
        if field_of(&expr, schema).is_some_and(|field| is_jsonb(&field)) {
            return Ok(match member(&field_access, &expr)? {
                Some(member) => PlannerResult::Planned(member),
                None => PlannerResult::Original(RawFieldAccessExpr { field_access, expr }),
            });
        }
        if let (GetFieldAccess::ListIndex { key }, Some(field)) = (&field_access, field_of(&expr, schema))
            && field.metadata().get(PG_TYPE_KEY).is_some_and(|name| name == "name")
        {
            // A name is an array of characters that counts from 0.
            let place = key.as_ref().clone() + lit(1_i64);
            let letter = datafusion::functions::unicode::substr().call(vec![expr, place, lit(1_i64)]);
            let text = [(PG_TYPE_KEY.to_owned(), "char".to_owned())].into();
            let field = Arc::new(Field::new("", DataType::Utf8, true).with_metadata(text));
            return Ok(PlannerResult::Planned(Expr::Cast(Cast { expr: Box::new(letter), field })));
        }
        let from_zero = field_of(&expr, schema)
            .and_then(|f| f.metadata().get(PG_TYPE_KEY).cloned())
            .is_some_and(|name| matches!(PgType::from_name(&name), Some(PgType::Int2Vector | PgType::OidVector)));
        if !from_zero && !matches!(field_access, GetFieldAccess::NamedStructField { .. }) {
            super::subscripts::refuse_scalar(&expr, schema)?;
        }
        let field_access = match field_access {
            GetFieldAccess::ListIndex { key } if from_zero => {
                GetFieldAccess::ListIndex { key: Box::new(*key + lit(1_i64)) }
            }
            GetFieldAccess::ListIndex { key } => {
                let key = super::subscripts::index(*key, schema)?;
                // The engine would make another aggregate of `array_agg` and the place, which it lacks for most of them.
                if matches!(expr, Expr::AggregateFunction(_)) {
                    return Ok(PlannerResult::Planned(array_element(expr, key)));
                }
                GetFieldAccess::ListIndex { key: Box::new(key) }
            }
            GetFieldAccess::ListRange { start, stop, stride } => {
                let start = Box::new(super::subscripts::start(*start, schema)?);
                let stop = Box::new(super::subscripts::stop(*stop, schema)?);
                GetFieldAccess::ListRange { start, stop, stride }
            }
            other @ GetFieldAccess::NamedStructField { .. } => other,
        };
        Ok(PlannerResult::Original(RawFieldAccessExpr { field_access, expr }))
    }

    /// A name behind a column's is no field of its value but a column of a table, which is not there: else it would have been found.
    fn plan_compound_identifier(
        &self,
        field: &Field,
        _: Option<&TableReference>,
        names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let (Some((name, before)), false) = (names.split_last(), field.data_type().is_nested()) else {
            return not_impl_err!("fields of rows are the engine's");
        };
        let table = before.last().unwrap_or(field.name());
        // Of a table that is named so in another way there may be such a column; no column has this name.
        let missing = own_names::told_apart(name, 0);
        let column = Column::new(Some(TableReference::bare(own_names::output_name(table))), missing);
        Ok(PlannerResult::Planned(Expr::Column(column)))
    }

    fn plan_array_literal(&self, exprs: Vec<Expr>, schema: &DFSchema) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(PlannerResult::Original(super::array_items::read(exprs, schema)))
    }

    fn plan_overlay(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(match function("overlay") {
            Some(overlay) => PlannerResult::Planned(overlay.call(args)),
            None => PlannerResult::Original(args),
        })
    }

    fn plan_substring(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(match function("substring_of") {
            Some(substring) => PlannerResult::Planned(substring.call(args)),
            None => PlannerResult::Original(args),
        })
    }

    fn plan_position(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        Ok(match function("position_of") {
            Some(position) => PlannerResult::Planned(position.call(args)),
            None => PlannerResult::Original(args),
        })
    }

    fn plan_aggregate(&self, mut expr: RawAggregateExpr) -> Result<PlannerResult<RawAggregateExpr>> {
        // Those of GROUPING are keys, and are looked for among them.
        if expr.func.name() != "grouping" {
            expr.args = told_apart(expr.args)?;
        }
        Ok(PlannerResult::Original(expr))
    }

    fn plan_window(&self, mut expr: RawWindowExpr) -> Result<PlannerResult<RawWindowExpr>> {
        expr.args = told_apart(expr.args)?;
        expr.partition_by = keys_apart(expr.partition_by)?;
        Ok(PlannerResult::Original(expr))
    }
}

/// A subscript of jsonb: a key, or a place in an array.
fn member(access: &GetFieldAccess, of: &Expr) -> Result<Option<Expr>> {
    let step = match access {
        GetFieldAccess::NamedStructField { name } => name.cast_to(&DataType::Utf8)?,
        GetFieldAccess::ListIndex { key } => match key.as_ref() {
            Expr::Literal(place, _) => place.cast_to(&DataType::Utf8)?,
            other => {
                let text = Expr::Cast(Cast::new(Box::new(other.clone()), DataType::Utf8));
                let path = datafusion::functions_nested::make_array::make_array(vec![text]);
                return Ok(function("json_follow").map(|follow| follow.call(vec![of.clone(), path])));
            }
        },
        GetFieldAccess::ListRange { .. } => {
            let message = "jsonb subscript does not support slices";
            return Err(crate::dialect::external(Error::new(ErrorCode::DatatypeMismatch, message)));
        }
    };
    let path = ScalarValue::List(ScalarValue::new_list_nullable(&[step], &DataType::Utf8));
    Ok(function("json_follow").map(|follow| follow.call(vec![of.clone(), lit(path)])))
}

/// Operators whose two sides are of one type.
fn adopts(op: &BinaryOperator) -> bool {
    use BinaryOperator as B;
    matches!(
        op,
        B::Eq
            | B::NotEq
            | B::Lt
            | B::LtEq
            | B::Gt
            | B::GtEq
            | B::Plus
            | B::Minus
            | B::Multiply
            | B::Divide
            | B::Modulo
            | B::AtArrow
            | B::ArrowAt
            | B::PGOverlap
    )
}

/// Reads a literal in a type. `None`: the type takes text as it is, or DataFusion's own coercion does as PostgreSQL.
///
/// # Errors
/// 22P02 when the text is no value of the type, 22003 when it is out of range.
pub(in crate::dialect) fn read_literal(text: &str, data_type: &DataType) -> Result<Option<ScalarValue>> {
    let trimmed = text.trim();
    Ok(Some(match data_type {
        DataType::Boolean => ScalarValue::Boolean(Some(boolean(trimmed).ok_or_else(|| invalid("boolean", text))?)),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::UInt64 => integer(trimmed, text, data_type)?,
        DataType::Float32 | DataType::Float64 => {
            let value = match trimmed.to_ascii_lowercase().as_str() {
                "nan" | "+nan" | "-nan" => f64::NAN,
                "infinity" | "inf" | "+infinity" | "+inf" => f64::INFINITY,
                "-infinity" | "-inf" => f64::NEG_INFINITY,
                _ => trimmed.parse().map_err(|_| {
                    invalid(if *data_type == DataType::Float32 { "real" } else { "double precision" }, text)
                })?,
            };
            ScalarValue::Float64(Some(value)).cast_to(data_type)?
        }
        DataType::Decimal128(..) | DataType::Decimal256(..) => decimal(trimmed, text)?,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            return list(text, item).map(Some);
        }
        DataType::Date32 | DataType::Timestamp(..) | DataType::Time64(_) | DataType::Interval(_) => {
            match ScalarValue::Utf8(Some(trimmed.to_owned())).cast_to(data_type) {
                Ok(value) if !value.is_null() => value,
                Ok(_) | Err(_) => return Ok(None),
            }
        }
        _ => return Ok(None),
    }))
}

/// PostgreSQL's spellings of true and false: any prefix that tells them apart.
fn boolean(text: &str) -> Option<bool> {
    let lower = text.to_ascii_lowercase();
    if lower.is_empty() {
        return None;
    }
    match lower.as_str() {
        "1" | "on" => return Some(true),
        "0" | "of" | "off" => return Some(false),
        _ => {}
    }
    if "true".starts_with(&lower) || "yes".starts_with(&lower) {
        return Some(true);
    }
    ("false".starts_with(&lower) || "no".starts_with(&lower)).then_some(false)
}

fn integer(trimmed: &str, text: &str, data_type: &DataType) -> Result<ScalarValue> {
    let name = match data_type {
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => "smallint",
        DataType::UInt32 => "oid",
        DataType::Int64 | DataType::UInt64 => "bigint",
        _ => "integer",
    };
    let value: i128 = trimmed.parse().map_err(|_| invalid(name, text))?;
    // oid wraps negative numbers, as PostgreSQL's input does.
    let value = if *data_type == DataType::UInt32 && (i128::from(i32::MIN)..0).contains(&value) {
        value + (1 << 32)
    } else {
        value
    };
    let out_of_range = || {
        let message = format!("value \"{text}\" is out of range for type {name}");
        crate::dialect::external(Error::new(ErrorCode::NumericOutOfRange, message))
    };
    Ok(match data_type {
        DataType::Int8 => ScalarValue::Int8(Some(i8::try_from(value).map_err(|_| out_of_range())?)),
        DataType::Int16 => ScalarValue::Int16(Some(i16::try_from(value).map_err(|_| out_of_range())?)),
        DataType::Int32 => ScalarValue::Int32(Some(i32::try_from(value).map_err(|_| out_of_range())?)),
        DataType::Int64 => ScalarValue::Int64(Some(i64::try_from(value).map_err(|_| out_of_range())?)),
        DataType::UInt8 => ScalarValue::UInt8(Some(u8::try_from(value).map_err(|_| out_of_range())?)),
        DataType::UInt16 => ScalarValue::UInt16(Some(u16::try_from(value).map_err(|_| out_of_range())?)),
        DataType::UInt32 => ScalarValue::UInt32(Some(u32::try_from(value).map_err(|_| out_of_range())?)),
        _ => ScalarValue::UInt64(Some(u64::try_from(value).map_err(|_| out_of_range())?)),
    })
}

/// A decimal with exactly the digits written.
fn decimal(trimmed: &str, text: &str) -> Result<ScalarValue> {
    let (negative, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let written = format!("{whole}{fraction}");
    // Zeros before a fraction of all digits are none of them.
    let all = if written.len() > 38 { written.trim_start_matches('0') } else { &written };
    let all = if all.is_empty() && written.len() > 38 { "0" } else { all };
    if all.is_empty() || all.len() > 38 || !all.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid("numeric", text));
    }
    let value: i128 = all.parse().map_err(|_| invalid("numeric", text))?;
    let scale = i8::try_from(fraction.len()).map_err(|_| invalid("numeric", text))?;
    let precision = u8::try_from(all.len().max(fraction.len())).map_err(|_| invalid("numeric", text))?;
    Ok(ScalarValue::Decimal128(Some(if negative { -value } else { value }), precision, scale))
}

fn list(text: &str, item: &FieldRef) -> Result<ScalarValue> {
    let parts = split_array(text).map_err(crate::dialect::external)?;
    let null = || ScalarValue::try_from(item.data_type());
    let mut values = Vec::with_capacity(parts.len());
    for part in parts {
        values.push(match part {
            None => null()?,
            Some(part) => match read_literal(&part, item.data_type())? {
                Some(value) => value,
                None => ScalarValue::Utf8(Some(part)).cast_to(item.data_type())?,
            },
        });
    }
    let array: ArrayRef =
        if values.is_empty() { new_empty_array(item.data_type()) } else { ScalarValue::iter_to_array(values)? };
    let list = datafusion::common::utils::SingleRowListArrayBuilder::new(array).with_field(item).build_list_array();
    Ok(ScalarValue::List(Arc::new(list)))
}

fn invalid(type_name: &str, text: &str) -> DataFusionError {
    let message = format!("invalid input syntax for type {type_name}: \"{text}\"");
    crate::dialect::external(Error::new(ErrorCode::InvalidTextRepresentation, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_read_as_the_type_beside_them() {
        let check = |text: &str, data_type: DataType, expected: ScalarValue| {
            assert_eq!(read_literal(text, &data_type).unwrap(), Some(expected), "{text}");
        };
        check("t", DataType::Boolean, ScalarValue::Boolean(Some(true)));
        check("no", DataType::Boolean, ScalarValue::Boolean(Some(false)));
        check(" 42 ", DataType::Int32, ScalarValue::Int32(Some(42)));
        check("-1", DataType::UInt32, ScalarValue::UInt32(Some(u32::MAX)));
        check("1.50", DataType::Decimal128(12, 2), ScalarValue::Decimal128(Some(150), 3, 2));
        check("-.5", DataType::Decimal128(12, 2), ScalarValue::Decimal128(Some(-5), 1, 1));
        let least = format!("0.{:0>38}", 7);
        check(&least, DataType::Decimal128(38, 38), ScalarValue::Decimal128(Some(7), 38, 38));
        check("1e3", DataType::Float64, ScalarValue::Float64(Some(1000.0)));
        assert_eq!(read_literal("x", &DataType::Utf8).unwrap(), None);
        for (text, data_type) in
            [("x", DataType::Int32), ("o", DataType::Boolean), ("1e", DataType::Float64), ("70000", DataType::Int16)]
        {
            assert!(read_literal(text, &data_type).is_err(), "{text}");
        }
    }
}
