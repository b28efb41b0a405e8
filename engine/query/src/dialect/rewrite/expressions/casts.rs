//! Casts: to and from `regclass` and its kin, and array literals.

use crate::dialect::ast::{array, call, cast, element_type, literal_text, parts, text};
use crate::dialect::planners::array_text::{Item, items};
use datafusion::sql::sqlparser::ast::{
    ArrayElemTypeDef, BinaryOperator, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};
use querygate_types::{PgType, Result, reg_types};

/// The reg type a type is, if any.
fn reg_type(data_type: &DataType) -> Option<&'static str> {
    let name = match data_type {
        DataType::Regclass => return Some("regclass"),
        DataType::Custom(name, _) => parts(name)?.pop()?,
        _ => return None,
    };
    reg_named(&name)
}

/// The name of a type whose values are object ids that read and print as names.
fn reg_named(name: &str) -> Option<&'static str> {
    match PgType::from_name(name)? {
        named @ reg_types!() => Some(named.name()),
        _ => None,
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Text | DataType::Varchar(_) | DataType::CharacterVarying(_) => true,
        DataType::Custom(name, _) => {
            parts(name).and_then(|mut p| p.pop()).is_some_and(|n| matches!(n.as_str(), "text" | "varchar" | "name"))
        }
        _ => false,
    }
}

/// Refuses the type that an argument of a function is cast to, where there is none of the name: the function is looked for later.
pub(in crate::dialect) fn refuse_unknown(argument: &Expr) -> Result<()> {
    match argument {
        Expr::Cast { data_type, .. } if reg_type(data_type).is_none() => {
            crate::dialect::planners::types::refuse_unknown(data_type)
        }
        Expr::Nested(inner) => refuse_unknown(inner),
        _ => Ok(()),
    }
}

/// `x::regT` is `regTin(x)` (a number passes, a name is looked up), `x::regT::text` is `regTout(regTin(x))`;
/// `'{a,b}'::T[]` is `ARRAY[…]` of casts.
pub(in crate::dialect) fn rewrite(expr: &mut Expr) -> Result<()> {
    let (inner, data_type) = match expr {
        Expr::Cast { expr: inner, data_type, format: None, .. } => (inner.as_mut(), &*data_type),
        Expr::TypedString(typed) => {
            let value = Expr::Value(typed.value.clone());
            let Some(reg) = reg_type(&typed.data_type) else {
                *expr = cast(value, typed.data_type.clone());
                return rewrite(expr);
            };
            *expr = call(&format!("{reg}in"), vec![value]);
            return Ok(());
        }
        _ => return Ok(()),
    };
    let null = Expr::Value(Value::Null.with_empty_span());
    if let Some(moment) = literal_text(inner).and_then(|literal| special_moment(literal, data_type)) {
        *inner = moment;
        return Ok(());
    }
    if let Some(cut) = cut_name(inner, data_type) {
        *inner = cut;
        return Ok(());
    }
    if let Some(reg) = reg_type(data_type) {
        let inner = std::mem::replace(inner, null);
        *expr = call(&format!("{reg}in"), vec![inner]);
    } else if is_text(data_type)
        && let Some(out) = printed_by(inner)
    {
        let inner = std::mem::replace(inner, null);
        *expr = call(&out, vec![inner]);
    } else if let (Some(element), Some(literal)) = (element_type(data_type), literal_text(inner)) {
        let element = innermost(element).clone();
        let items = items(literal)?;
        *expr = if items.is_empty() {
            let one = ArrayElemTypeDef::SquareBracket(Box::new(element), None);
            cast(array(Vec::new()), DataType::Array(one))
        } else {
            let is_numeric = matches!(element, DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_));
            // Numerics of an array have the places of their own.
            let kept = is_numeric || reg_type(&element).is_some();
            let flat = !kept && !items.iter().any(|item| matches!(item, Item::Array(_)));
            let listed = elements(items, &element)?;
            // Of the type that the cast names, beside others of the same in VALUES.
            if flat {
                cast(listed, DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None)))
            } else {
                listed
            }
        };
    } else if let (Some(element), Expr::Array(members)) = (element_type(data_type), unnested(inner)) {
        let element = innermost(element).clone();
        // Values of a reg type are numbers to an array.
        if reg_type(&element).is_none() && members.elem.iter().all(is_one_value) {
            cast_members(&mut members.elem, &element)?;
            if let Expr::Cast { data_type, .. } = expr {
                *data_type = DataType::Array(ArrayElemTypeDef::SquareBracket(Box::new(element), None));
            }
        }
    }
    Ok(())
}

fn unnested(expr: &mut Expr) -> &mut Expr {
    match expr {
        Expr::Nested(inner) => unnested(inner),
        other => other,
    }
}

/// Whether a member of `ARRAY[…]` is certainly one value, or written arrays of such: a column or a call may be an array.
fn is_one_value(member: &Expr) -> bool {
    match member {
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => is_one_value(inner),
        Expr::Array(members) => members.elem.iter().all(is_one_value),
        Expr::Cast { data_type, .. } => element_type(data_type).is_none(),
        Expr::Value(value) => !matches!(value.value, Value::Placeholder(_)),
        _ => false,
    }
}

/// `ARRAY[1.5::float8, 2.5]::int[]`: each member is cast by itself, not first to a type that all have.
fn cast_members(members: &mut [Expr], element: &DataType) -> Result<()> {
    for member in members {
        match unnested(member) {
            Expr::Array(inner) => cast_members(&mut inner.elem, element)?,
            other => {
                *other = cast(std::mem::replace(other, text("")), element.clone());
                rewrite(other)?;
            }
        }
    }
    Ok(())
}

/// Bytes of a name.
const NAME_MAX: usize = 63;

/// A text that is too long for a name, as long as a name is.
fn cut_name(literal: &Expr, data_type: &DataType) -> Option<Expr> {
    let DataType::Custom(name, _) = data_type else { return None };
    let literal = literal_text(literal).filter(|literal| literal.len() > NAME_MAX)?;
    let cut = literal.get(..literal.floor_char_boundary(NAME_MAX))?;
    (parts(name)?.pop()? == "name").then(|| text(cut))
}

/// However many dimensions an array type is declared with, it is one.
fn innermost(data_type: &DataType) -> &DataType {
    element_type(data_type).map_or(data_type, innermost)
}

/// `ARRAY[…]` of casts, arrays within for more dimensions.
fn elements(items: Vec<Item>, element: &DataType) -> Result<Expr> {
    let item = |item| {
        let value = match item {
            Item::Null => Expr::Value(Value::Null.with_empty_span()),
            Item::Text(value) => text(&value),
            Item::Array(inner) => return elements(inner, element),
        };
        let mut member = cast(value, element.clone());
        // An element that is a name, or a time when the statement runs, is read as one by itself.
        rewrite(&mut member)?;
        Ok(member)
    };
    Ok(array(items.into_iter().map(item).collect::<Result<_>>()?))
}

/// A value of a reg type as the name that it is in a text.
pub(super) fn print_name(expr: &mut Expr) {
    if let Some(out) = printed_by(expr) {
        let inner = std::mem::replace(expr, Expr::Value(Value::Null.with_empty_span()));
        *expr = call(&out, vec![inner]);
    }
}

/// Functions that make a text of any values.
const MAKES_TEXT: [&str; 3] = ["concat", "concat_ws", "format"];

/// Names among the arguments of a function that makes a text.
pub(super) fn print_names(function: &mut Function) {
    let is_one = crate::dialect::rewrite::expressions::calls::unqualified(&function.name)
        .is_some_and(|name| MAKES_TEXT.contains(&name.as_str()));
    let FunctionArguments::List(list) = &mut function.args else { return };
    for argument in list.args.iter_mut().filter(|_| is_one) {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument {
            print_name(argument);
        }
    }
}

/// The printing function for an expression that reads a reg type.
fn printed_by(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Nested(inner) => printed_by(inner),
        Expr::Function(function) => {
            let name = parts(&function.name)?.pop()?;
            let reg = name.strip_suffix("in").and_then(reg_named).or_else(|| reg_named(name.strip_prefix("to_")?));
            reg.map(|reg| format!("{reg}out"))
        }
        _ => None,
    }
}

/// Words that mean a time when the statement runs, maybe with a time of day or a zone beside them.
fn special_moment(literal: &str, data_type: &DataType) -> Option<Expr> {
    if !matches!(data_type, DataType::Date | DataType::Timestamp(..)) {
        return None;
    }
    let (mut day, mut rest) = (None, Vec::new());
    for word in literal.split_ascii_whitespace() {
        match (&day, word.to_ascii_lowercase().as_str()) {
            (None, "today") => day = Some(None::<BinaryOperator>),
            (None, "tomorrow") => day = Some(Some(BinaryOperator::Plus)),
            (None, "yesterday") => day = Some(Some(BinaryOperator::Minus)),
            _ => rest.push(word),
        }
    }
    let Some(step) = day else {
        return literal.trim().eq_ignore_ascii_case("now").then(|| call("now", Vec::new()));
    };
    let today = call("current_date", Vec::new());
    let day = match step {
        None => today,
        Some(op) => {
            let right = Box::new(crate::dialect::ast::number(1));
            Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(today), op, right }))
        }
    };
    if rest.is_empty() {
        return Some(day);
    }
    // The day is written out, and all of it read as a text.
    let day = cast(day, DataType::Text);
    let right = Box::new(text(&format!(" {}", rest.join(" "))));
    Some(Expr::Nested(Box::new(Expr::BinaryOp { left: Box::new(day), op: BinaryOperator::StringConcat, right })))
}

/// A type's name as a function of one value: a cast.
pub(super) fn function_of_type(
    name: &str,
    arguments: &datafusion::sql::sqlparser::ast::FunctionArguments,
) -> Option<Expr> {
    let to = match name {
        "date" => DataType::Date,
        "text" => DataType::Text,
        "int2" => DataType::SmallInt(None),
        "int4" => DataType::Integer(None),
        "int8" => DataType::BigInt(None),
        "float4" => DataType::Real,
        "float8" => DataType::DoublePrecision,
        _ => return None,
    };
    match crate::dialect::ast::plain_arguments(arguments)?.as_slice() {
        [value] => Some(crate::dialect::ast::cast((*value).clone(), to)),
        _ => None,
    }
}
