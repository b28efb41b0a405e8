//! `f(VARIADIC array)`: a call with the array's elements as arguments, where the text says them; of the functions that join texts,
//! any array.

use super::calls::unqualified;
use crate::dialect::ast::{call, cast, number};
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};
use querygate_types::{Error, ErrorCode, Result};

/// Functions that take any number of arguments of any type, and how many stand before these.
const ANY: &[(&str, usize)] = &[
    ("concat", 0),
    ("concat_ws", 1),
    ("format", 1),
    ("json_build_array", 0),
    ("json_build_object", 0),
    ("jsonb_build_array", 0),
    ("jsonb_build_object", 0),
    ("json_extract_path", 1),
    ("json_extract_path_text", 1),
    ("jsonb_extract_path", 1),
    ("jsonb_extract_path_text", 1),
    ("num_nonnulls", 0),
    ("num_nulls", 0),
];

/// Puts the elements in the array's place.
///
/// # Errors
/// 42883 for other functions, 0A000 for an array whose elements only its value says.
pub(in crate::dialect) fn expand(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = &mut *expr else { return Ok(()) };
    let FunctionArguments::List(arguments) = &mut function.args else { return Ok(()) };
    let Some(array) = arguments.args.last().and_then(spread).cloned() else { return Ok(()) };
    let name = unqualified(&function.name).unwrap_or_default();
    if !ANY.contains(&(name.as_str(), arguments.args.len() - 1)) {
        return Err(Error::new(ErrorCode::UndefinedFunction, format!("function {name} does not exist")));
    }
    arguments.args.pop();
    if let Some(elements) = elements(&array) {
        let plain = |element| FunctionArg::Unnamed(FunctionArgExpr::Expr(element));
        arguments.args.extend(elements.into_iter().map(plain));
        if arguments.args.is_empty()
            && let Some(nothing) = of_nothing(&name)
        {
            *expr = nothing;
        }
        return Ok(());
    }
    *expr = if is_null(&array) { of_null(function.clone(), &name) } else { of_array(function, &name, array)? };
    Ok(())
}

/// The array of an argument that is VARIADIC.
fn spread(argument: &FunctionArg) -> Option<&Expr> {
    let (is_it, value) = match argument {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => (&name.value, value),
        FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(value), .. } => {
            (&name.value, value)
        }
        _ => return None,
    };
    is_it.eq_ignore_ascii_case("variadic").then_some(value)
}

/// The elements that the text says, of arrays in arrays one after another.
fn elements(array: &Expr) -> Option<Vec<Expr>> {
    match array {
        Expr::Nested(inner) => elements(inner),
        Expr::Array(array) => {
            let mut all = Vec::with_capacity(array.elem.len());
            for element in &array.elem {
                match element {
                    Expr::Array(_) => all.extend(elements(element)?),
                    other => all.push(other.clone()),
                }
            }
            Some(all)
        }
        Expr::Cast { expr, data_type: DataType::Array(_), .. } => {
            let Expr::Cast { data_type, .. } = array else { return None };
            let element = crate::dialect::ast::element_type(data_type)?;
            let typed =
                |value: Expr| if matches!(value, Expr::Cast { .. }) { value } else { cast(value, element.clone()) };
            Some(elements(expr)?.into_iter().map(typed).collect())
        }
        _ => None,
    }
}

fn is_null(array: &Expr) -> bool {
    match array {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_null(inner),
        Expr::Value(value) => value.value == Value::Null,
        _ => false,
    }
}

/// A call without arguments that has a value all the same.
fn of_nothing(name: &str) -> Option<Expr> {
    match name {
        "num_nulls" | "num_nonnulls" => Some(cast(number(0), DataType::Int(None))),
        "concat" => Some(crate::dialect::ast::text("")),
        _ => None,
    }
}

/// The call with a NULL for the array: `format` has no more arguments then, others are NULL.
fn of_null(function: Function, name: &str) -> Expr {
    if name == "format" {
        return Expr::Function(function);
    }
    let data_type = match name {
        "num_nulls" | "num_nonnulls" => DataType::Int(None),
        "json_build_array" | "json_build_object" | "json_extract_path" => DataType::JSON,
        "jsonb_build_array" | "jsonb_build_object" | "jsonb_extract_path" => DataType::JSONB,
        _ => DataType::Text,
    };
    cast(Expr::Value(Value::Null.with_empty_span()), data_type)
}

/// The call with an array that only its value says.
fn of_array(function: &Function, name: &str, array: Expr) -> Result<Expr> {
    let mut given: Vec<Expr> = match crate::dialect::ast::plain_arguments(&function.args) {
        Some(given) => given.into_iter().cloned().collect(),
        None => Vec::new(),
    };
    match (name, given.len()) {
        ("format", _) => {
            given.push(array);
            Ok(call("format_elements", given))
        }
        ("concat", 0) => Ok(call("array_to_string", vec![array, crate::dialect::ast::text("")])),
        ("concat_ws", 1) => Ok(call("array_to_string", vec![array, given.remove(0)])),
        ("num_nulls", 0) => Ok(call("num_null_elements", vec![array])),
        ("num_nonnulls", 0) => {
            let cardinality = call("cardinality", vec![array.clone()]);
            let nulls = call("num_null_elements", vec![array]);
            Ok(Expr::BinaryOp {
                left: Box::new(cast(cardinality, DataType::Int(None))),
                op: BinaryOperator::Minus,
                right: Box::new(nulls),
            })
        }
        ("json_build_array" | "jsonb_build_array", 0) => {
            let data_type = if name == "json_build_array" { DataType::JSON } else { DataType::JSONB };
            Ok(cast(call("array_to_json", vec![array]), data_type))
        }
        _ => {
            let message = format!("VARIADIC of an array that is no constant is not supported in {name}");
            Err(Error::new(ErrorCode::FeatureNotSupported, message))
        }
    }
}
