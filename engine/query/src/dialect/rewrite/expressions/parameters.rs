//! Parameters as operands and arguments: they get the type that PostgreSQL resolves for their place, unless they were declared with one.
//! Of functions that are chosen by what else they are given, the types are found once the statement's are.

use super::calls::{record, unqualified};
use crate::dialect::ast::cast;
use crate::dialect::parameters::{Declared, has_own_type, is_parameter};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, UnaryOperator, Value,
};

fn type_as(operand: &mut Expr, data_type: DataType) {
    if let Expr::Nested(inner) = operand {
        return type_as(inner, data_type);
    }
    if is_parameter(operand) {
        let parameter = std::mem::replace(operand, Expr::Value(Value::Null.with_empty_span()));
        *operand = cast(parameter, data_type);
    }
}

/// As [`type_as`], where the parameter was not declared with a type: the function that takes it is chosen by that one.
fn type_unless_declared(operand: &mut Expr, data_type: DataType, declared: &[Option<Declared>]) {
    if let Expr::Nested(inner) = operand {
        return type_unless_declared(inner, data_type, declared);
    }
    if takes_type(operand, declared) {
        type_as(operand, data_type);
    }
}

/// Whether an expression is a parameter whose place says its type.
fn takes_type(expr: &Expr, declared: &[Option<Declared>]) -> bool {
    matches!(expr, Expr::Value(value)
        if matches!(&value.value, Value::Placeholder(name) if !has_own_type(name, declared)))
}

/// Gives the operands of functions with a syntax of their own their types.
pub(super) fn type_operands(expr: &mut Expr, declared: &[Option<Declared>]) {
    let type_text = |operand: &mut Expr| type_unless_declared(operand, DataType::Text, declared);
    match expr {
        Expr::UnaryOp { op: UnaryOperator::Not, expr: operand } => type_as(operand, DataType::Boolean),
        Expr::BinaryOp { left, op: BinaryOperator::And | BinaryOperator::Or, right } => {
            type_as(left, DataType::Boolean);
            type_as(right, DataType::Boolean);
        }
        Expr::Substring { expr: value, substring_from, substring_for, .. } => {
            type_text(value);
            for place in [substring_from, substring_for].into_iter().flatten() {
                type_unless_declared(place, DataType::Int(None), declared);
            }
        }
        Expr::Trim { expr: value, trim_what, .. } => {
            type_text(value);
            if let Some(what) = trim_what {
                type_text(what);
            }
        }
        Expr::Position { expr: wanted, r#in: value } => {
            type_text(wanted);
            type_text(value);
        }
        _ => {}
    }
}

/// Parameters get the types of their places, unless they were declared with one; rows that are arguments are records.
pub(super) fn type_arguments(expr: &mut Expr, declared: &[Option<Declared>]) {
    let Expr::Function(function) = expr else { return };
    let Some(name) = unqualified(&function.name) else { return };
    let FunctionArguments::List(arguments) = &mut function.args else { return };
    for (place, argument) in arguments.args.iter_mut().enumerate() {
        let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument else { continue };
        if let Some(data_type) = type_at(&name, place) {
            type_unless_declared(argument, data_type, declared);
        }
        record(argument);
    }
}

/// Types of parameters that a function's place decides: PostgreSQL resolves them so. `None` in other places.
fn type_at(function: &str, place: usize) -> Option<DataType> {
    let int = DataType::Int(None);
    match (function, place) {
        (
            // Those that take bytes, too, are chosen by what the client declares.
            "upper" | "lower" | "initcap" | "trim" | "btrim" | "ltrim" | "rtrim" | "reverse" | "ascii" | "replace"
            | "translate" | "strpos" | "starts_with" | "concat" | "concat_ws" | "quote_ident" | "regexp_replace"
            | "regexp_match" | "regexp_like" | "string_to_array" | "to_date" | "format",
            _,
        ) => Some(DataType::Text),
        ("substr" | "substring" | "left" | "right" | "repeat" | "lpad" | "rpad", 0) => Some(DataType::Text),
        ("substr" | "substring" | "left" | "right" | "repeat" | "lpad" | "rpad", 1) => Some(int),
        ("substr" | "substring", 2) | ("split_part", 2) => Some(int),
        ("lpad" | "rpad", 2) | ("split_part", 0 | 1) => Some(DataType::Text),
        ("date_trunc" | "date_part" | "extract", 0) | ("to_char" | "to_timestamp" | "to_number", 1) => {
            Some(DataType::Text)
        }
        ("pg_sleep", 0) => Some(DataType::DoublePrecision),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Yard;
    use querygate_types::PgType;

    /// What PostgreSQL 15 answers.
    #[test]
    fn what_was_declared_stays_in_arguments() {
        let yard = Yard::new();
        let owner = yard.owner();
        for (sql, declared, given, expected) in [
            ("SELECT concat('a', $1)", PgType::Bool, "true", "at"),
            ("SELECT concat_ws('-', 'a', $1)", PgType::Bool, "false", "a-f"),
            ("SELECT format('%s', $1)", PgType::Bool, "true", "t"),
            ("SELECT format('%L', $1)", PgType::Bool, "true", "'t'"),
            ("SELECT concat('a', $1)", PgType::Jsonb, "{\"a\":1}", "a{\"a\": 1}"),
            ("SELECT format('%s', $1)", PgType::Jsonb, "{\"a\":1}", "{\"a\": 1}"),
            ("SELECT concat('a', $1)", PgType::Int8, "5", "a5"),
            ("SELECT concat('a', $1)", PgType::Text, "5", "a5"),
            ("SELECT 'a' || $1", PgType::Bool, "true", "atrue"),
            ("SELECT left('abc', $1)", PgType::Int2, "2", "ab"),
            ("SELECT substring('abc' FROM $1)", PgType::Int4, "2", "bc"),
        ] {
            let read = owner.prepare_with(sql, &[Some(declared)]).unwrap();
            assert_eq!(owner.execute(&read, &[Some(given)]), expected, "{sql} {declared:?}");
        }
        for sql in ["SELECT upper($1)", "SELECT upper(($1))", "SELECT replace('abc', 'b', $1)", "SELECT trim($1)"] {
            let refused = match owner.prepare_with(sql, &[Some(PgType::Int4)]) {
                Ok(read) => owner.execute(&read, &[Some("1")]),
                Err(error) => error.code().sqlstate().to_owned(),
            };
            assert!(refused.starts_with("42883"), "{sql}: {refused}");
        }
    }

    #[test]
    fn a_place_says_the_type_of_what_stands_in_parentheses() {
        let yard = Yard::new();
        let owner = yard.owner();
        for sql in ["SELECT left('abc', $1)", "SELECT left('abc', ($1))", "SELECT left('abc', (($1)))"] {
            let read = owner.prepare_with(sql, &[None]).unwrap();
            assert_eq!(read.parameter_types(), [PgType::Int4], "{sql}");
            assert_eq!(owner.execute(&read, &[Some("2")]), "ab", "{sql}");
        }
    }
}
