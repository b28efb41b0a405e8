//! Function calls: `pg_catalog.` qualifiers, keywords that are functions, `substring(x from 're')`, sets in SELECT,
//! composite results.

use super::array_queries::array_of_query;
use super::{constants, parameters};
use crate::dialect::ast::{call, cast, list, literal_text, number, parts, plain_arguments};
use crate::dialect::parameters::Declared;
use crate::sql::parse::json_members::MEMBERS;
use crate::sql::walk::{Reader, Step, Stop, finds};
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, ArrayElemTypeDef, BinaryOperator, CaseWhen, DataType, ExactNumberInfo, Expr, FunctionArg,
    FunctionArgExpr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, SelectItem, Subscript, TimezoneInfo,
    UnaryOperator, Value,
};
use querygate_pg_catalog::PgCatalog;
use querygate_types::{Error, ErrorCode, Result};
use std::ops::ControlFlow;

/// Reserved words that call a function without parentheses.
const KEYWORD_FUNCTIONS: &[&str] =
    &["current_user", "session_user", "user", "current_role", "current_catalog", "current_schema"];

/// Functions whose unsigned result DataFusion compares and casts differently than PostgreSQL's integer.
const UNSIGNED_RESULTS: &[&str] = &["array_length", "cardinality", "array_position", "array_ndims"];

/// What must happen before the children are seen: a call in parentheses followed by `.field` loses its parentheses.
pub(in crate::dialect) fn before_children(expr: &mut Expr) -> Result<()> {
    if let Expr::Function(function) = expr
        && unqualified(&function.name).as_deref() == Some(MEMBERS)
    {
        function.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new("json_build_object"))]);
    }
    if let Expr::CompoundFieldAccess { root, access_chain } = expr {
        absorb_qualifiers(root, access_chain);
        // In PostgreSQL `a[1:2][2]` takes the second dimension from 1 to 2; each step here would take rows of what is left.
        let slices = access_chain.iter().any(|step| matches!(step, AccessExpr::Subscript(Subscript::Slice { .. })));
        let subscripts = access_chain.iter().filter(|step| matches!(step, AccessExpr::Subscript(_))).count();
        if slices && subscripts > 1 {
            let message = "slices of several dimensions are not supported";
            return Err(Error::new(ErrorCode::FeatureNotSupported, message));
        }
        for access in access_chain.iter_mut() {
            if let AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, .. }) = access {
                lower_bound.get_or_insert_with(|| number(1));
                upper_bound.get_or_insert_with(|| number(i64::from(i32::MAX)));
            }
            if let AccessExpr::Dot(Expr::Identifier(ident)) = access {
                let field = crate::dialect::ast::text(&crate::dialect::ast::folded(ident));
                *access = AccessExpr::Subscript(Subscript::Index { index: field });
            }
        }
        if let Expr::Nested(inner) = root.as_mut()
            && matches!(inner.as_ref(), Expr::Function(_) | Expr::Identifier(_) | Expr::CompoundIdentifier(_))
        {
            let inner = std::mem::replace(inner.as_mut(), Expr::Value(Value::Null.with_empty_span()));
            **root = inner;
        }
    }
    Ok(())
}

/// In `con.conkey[1]` the first dots are a column's qualifiers, in `(con).x` they are not.
fn absorb_qualifiers(root: &mut Expr, chain: &mut Vec<AccessExpr>) {
    let mut names = match &*root {
        Expr::Identifier(ident) => vec![ident.clone()],
        Expr::CompoundIdentifier(idents) => idents.clone(),
        _ => return,
    };
    while let Some(AccessExpr::Dot(Expr::Identifier(ident))) = chain.first() {
        names.push(ident.clone());
        chain.remove(0);
    }
    if names.len() > 1 {
        *root = Expr::CompoundIdentifier(names);
    }
}

pub(in crate::dialect) fn rewrite(expr: &mut Expr, declared: &[Option<Declared>]) -> Result<()> {
    parameters::type_operands(expr, declared);
    match expr {
        Expr::Identifier(ident) if is_keyword(ident) => {
            *expr = call(&ident.value.to_lowercase(), Vec::new());
            Ok(())
        }
        Expr::UnaryOp { op, expr: operand } => {
            let operand = (**operand).clone();
            match op {
                UnaryOperator::Minus => {
                    if let Some(power) = negated_power(operand) {
                        *expr = power;
                    }
                }
                UnaryOperator::PGSquareRoot => *expr = call("sqrt", vec![operand]),
                UnaryOperator::PGCubeRoot => *expr = call("cbrt", vec![operand]),
                UnaryOperator::PGAbs => *expr = call("abs", vec![operand]),
                UnaryOperator::BitwiseNot => {
                    // Of the operand's type, whichever whole number it is, and never beyond it.
                    let less = Expr::BinaryOp {
                        left: Box::new(cast(number(-1), DataType::SmallInt(None))),
                        op: BinaryOperator::Minus,
                        right: Box::new(Expr::Nested(Box::new(operand))),
                    };
                    *expr = Expr::Nested(Box::new(less));
                }
                _ => {}
            }
            Ok(())
        }
        Expr::Substring { expr: value, substring_from: Some(pattern), substring_for: None, .. }
            if literal_text(pattern).is_some() =>
        {
            *expr = first_match((**value).clone(), (**pattern).clone());
            Ok(())
        }
        Expr::Substring { expr: value, substring_from: Some(pattern), substring_for: Some(escape), .. }
            if literal_text(pattern).is_some() && literal_text(escape).is_some() =>
        {
            *expr = call("substring_similar", vec![(**value).clone(), (**pattern).clone(), (**escape).clone()]);
            Ok(())
        }
        Expr::AtTimeZone { timestamp, time_zone } => {
            *expr = call("timezone", vec![(**time_zone).clone(), (**timestamp).clone()]);
            Ok(())
        }
        Expr::Extract { field, expr: of, .. } => {
            let field = field.to_string().trim_matches(['"', '\'']).to_lowercase();
            *expr = call("extract", vec![crate::dialect::ast::text(&field), (**of).clone()]);
            Ok(())
        }
        Expr::Function(_) => {
            super::variadic::expand(expr)?;
            if let Expr::Function(function) = expr {
                super::casts::print_names(function);
                let arguments = plain_arguments(&function.args).unwrap_or_default();
                arguments.into_iter().try_for_each(super::casts::refuse_unknown)?;
            }
            parameters::type_arguments(expr, declared);
            renamed(expr);
            function(expr)
        }
        _ => Ok(()),
    }
}

/// `- 5 ^ 2` is the square of minus five: the sign binds tighter in PostgreSQL than the parser has it.
fn negated_power(operand: Expr) -> Option<Expr> {
    let Expr::BinaryOp { left, op: BinaryOperator::PGExp, right } = operand else { return None };
    let left = match negated_power((*left).clone()) {
        Some(power) => power,
        None => Expr::Nested(Box::new(Expr::UnaryOp { op: UnaryOperator::Minus, expr: left })),
    };
    Some(Expr::BinaryOp { left: Box::new(left), op: BinaryOperator::PGExp, right })
}

/// What a word for the present means, with the digits of a second that it may ask for. `None`: it stays a function, which takes no such
/// argument.
fn clock(word: &str, arguments: &FunctionArguments) -> Option<Expr> {
    let digits = match arguments {
        // Without parentheses the engine has it as a function of its own.
        FunctionArguments::None if word == "current_timestamp" => return None,
        FunctionArguments::None => None,
        arguments => match plain_arguments(arguments)?.as_slice() {
            [] => None,
            [digits] => Some(constants::whole(digits).and_then(|digits| u64::try_from(digits).ok())?),
            _ => return None,
        },
    };
    let to = match word {
        "current_time" => DataType::Time(digits, TimezoneInfo::Tz),
        "localtime" => DataType::Time(digits, TimezoneInfo::None),
        "localtimestamp" => DataType::Timestamp(digits, TimezoneInfo::None),
        _ => DataType::Timestamp(digits, TimezoneInfo::Tz),
    };
    Some(cast(call("now", Vec::new()), to))
}

/// Functions that are something else here.
fn renamed(expr: &mut Expr) {
    let Expr::Function(function) = &mut *expr else { return };
    let Some(name) = unqualified(&function.name) else { return };
    if let Some(cast) = super::casts::function_of_type(&name, &function.args) {
        *expr = cast;
        return;
    }
    let mut rename = |to: &str| function.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(to))]);
    match name.as_str() {
        "ceiling" => return rename("ceil"),
        "sign" => return rename("signum"),
        "clock_timestamp" | "statement_timestamp" | "transaction_timestamp" => return rename("now"),
        "current_time" | "localtime" | "localtimestamp" | "current_timestamp" => {
            if let Some(clock) = clock(&name, &function.args) {
                *expr = clock;
            }
            return;
        }
        "jsonb_set" | "jsonb_insert" | "jsonb_set_lax" => {
            if let FunctionArguments::List(arguments) = &function.args
                && let Some(all) = constants::json_change(&name, &arguments.args)
            {
                *expr = call(&name, all);
            }
            return;
        }
        "make_interval" => {
            if let FunctionArguments::List(arguments) = &function.args
                && let Some(all) = constants::interval_fields(&arguments.args)
            {
                *expr = call("make_interval", all);
            }
            return;
        }
        _ => {}
    }
    let Some(arguments) = plain_arguments(&function.args) else { return };
    let arguments: Vec<Expr> = arguments.into_iter().cloned().collect();
    match (name.as_str(), arguments.as_slice()) {
        ("date_part", [_, _]) => *expr = cast(call("extract", arguments), DataType::DoublePrecision),
        ("mod", [a, b]) => {
            let (a, b) = (Expr::Nested(Box::new(a.clone())), Expr::Nested(Box::new(b.clone())));
            let rest = Expr::BinaryOp { left: Box::new(a), op: BinaryOperator::Modulo, right: Box::new(b) };
            *expr = Expr::Nested(Box::new(rest));
        }
        ("age", [of]) => {
            let today = cast(call("current_date", Vec::new()), DataType::Timestamp(None, TimezoneInfo::None));
            *expr = call("age", vec![today, of.clone()]);
        }
        // Numerics of any width, of values that are none: what stands around them is planned by their type.
        ("factorial", [_]) | ("to_number", [_, _]) => {
            *expr = cast(call(&name, arguments), DataType::Numeric(ExactNumberInfo::None))
        }
        // The empty array takes its type in a CASE, whose branches the planner leaves to be settled.
        ("coalesce", [value, default])
            if literal_text(default).is_some_and(|text| text.trim_start().starts_with('{')) =>
        {
            *expr = Expr::Case {
                case_token: AttachedToken::empty(),
                end_token: AttachedToken::empty(),
                operand: None,
                conditions: vec![CaseWhen {
                    condition: Expr::IsNotNull(Box::new(value.clone())),
                    result: value.clone(),
                }],
                else_result: Some(Box::new(default.clone())),
            };
        }
        ("gen_random_uuid", []) => *expr = cast(call("uuid", Vec::new()), DataType::Uuid),
        ("pg_typeof", [of]) if literal_text(of).is_some() => {
            *expr = call("regtypein", vec![crate::dialect::ast::text("unknown")]);
        }
        _ => {}
    }
}

/// Rows in a select list are records; elsewhere they are compared.
pub(in crate::dialect) fn records(items: &mut [SelectItem]) {
    for item in items {
        let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { continue };
        record(expr);
    }
}

/// Rows that stand for a value: themselves, and where a value is handed on.
pub(in crate::dialect) fn record(expr: &mut Expr) {
    match expr {
        Expr::Tuple(fields) => {
            fields.iter_mut().for_each(record);
            *expr = call("record_of", std::mem::take(fields));
        }
        Expr::Function(function) => {
            if unqualified(&function.name).as_deref() == Some("row") {
                function.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new("record_of"))]);
            }
            let FunctionArguments::List(list) = &mut function.args else { return };
            for argument in &mut list.args {
                if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument {
                    record(argument);
                }
            }
        }
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => record(inner),
        Expr::Array(array) => array.elem.iter_mut().for_each(record),
        Expr::Case { conditions, else_result, .. } => {
            conditions.iter_mut().for_each(|branch| record(&mut branch.result));
            else_result.iter_mut().for_each(|result| record(result));
        }
        _ => {}
    }
}

/// Reserved words that the parser takes for a column.
fn is_keyword(ident: &Ident) -> bool {
    let name = ident.value.to_lowercase();
    ident.quote_style.is_none()
        && matches!(
            name.as_str(),
            "current_role" | "current_schema" | "current_catalog" | "session_user" | "current_user"
        )
}

pub(in crate::dialect) fn is_keyword_function(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(ident) if is_keyword(ident))
}

/// `substring(x from 're')`: the first group, or the whole match without groups.
pub(super) fn first_match(value: Expr, pattern: Expr) -> Expr {
    Expr::CompoundFieldAccess {
        root: Box::new(call("regexp_match", vec![value, pattern])),
        access_chain: vec![AccessExpr::Subscript(Subscript::Index { index: number(1) })],
    }
}

/// A literal that is the first argument of a function of JSON is JSON: which kind, the function's name says.
fn type_json(name: &str, arguments: &mut FunctionArguments) -> Result<()> {
    if let FunctionArguments::List(list) = arguments
        && matches!(name, "json_object" | "jsonb_object")
    {
        for argument in &mut list.args {
            if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument {
                text_array(argument)?;
            }
        }
    }
    if let FunctionArguments::List(list) = arguments
        && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(first))) = list.args.first_mut()
    {
        type_json_literal(name, first);
    }
    Ok(())
}

/// A literal of texts in as many dimensions as it has.
fn text_array(argument: &mut Expr) -> Result<()> {
    if literal_text(argument).is_none() {
        return Ok(());
    }
    let texts = ArrayElemTypeDef::SquareBracket(Box::new(DataType::Text), None);
    let literal = std::mem::replace(argument, Expr::Value(Value::Null.with_empty_span()));
    *argument = cast(literal, DataType::Array(texts));
    super::casts::rewrite(argument)
}

/// Gives a JSON function's literal its type where the function stands in FROM.
pub(in crate::dialect) fn type_json_literal(name: &str, first: &mut Expr) {
    const OF_JSON: &[&str] = &[
        "array_elements",
        "array_elements_text",
        "array_length",
        "each",
        "each_text",
        "extract_path",
        "extract_path_text",
        "object_keys",
        "strip_nulls",
        "typeof",
    ];
    let (kind, data_type) = match name.split_once('_') {
        Some(("json", kind)) => (kind, DataType::JSON),
        Some(("jsonb", kind)) => (kind, DataType::JSONB),
        _ => return,
    };
    if OF_JSON.contains(&kind) && literal_text(first).is_some() {
        let literal = std::mem::replace(first, Expr::Value(Value::Null.with_empty_span()));
        *first = cast(literal, data_type);
    }
}

fn function(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    let Some(name) = unqualified(&function.name) else { return Ok(()) };
    type_json(&name, &mut function.args)?;
    function.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name.clone()))]);
    if matches!(function.args, FunctionArguments::None) && KEYWORD_FUNCTIONS.contains(&name.as_str()) {
        function.args = FunctionArguments::List(list(Vec::new()));
    }
    if let FunctionArguments::Subquery(query) = &function.args
        && name == "array"
    {
        *expr = array_of_query((**query).clone())?;
        return Ok(());
    }
    if function.over.is_some() {
        return Ok(());
    }
    if UNSIGNED_RESULTS.contains(&name.as_str()) {
        let inner = expr.clone();
        *expr = cast(inner, DataType::Int(None));
        if name == "array_length" {
            // An empty array has no dimension, so no length.
            *expr = call("nullif", vec![expr.clone(), number(0)]);
        }
        return Ok(());
    }
    if name == "substring"
        && let Some([value, pattern]) = plain_arguments(&function.args).as_deref()
        && literal_text(pattern).is_some()
    {
        *expr = first_match((*value).clone(), (*pattern).clone());
        return Ok(());
    }
    if name == "unnest"
        && let Some([inner]) = plain_arguments(&function.args).as_deref()
        && has_subquery(inner)
    {
        // DataFusion tells the sets of one SELECT apart by their text, in which all subqueries look alike.
        let key = number(discriminator(inner));
        let told_apart = call("told_apart", vec![(*inner).clone(), key]);
        *expr = call("unnest", vec![told_apart]);
        return Ok(());
    }
    if is_set(&name) && name != "unnest" {
        let set = super::sets::find(&name);
        if let (Some(set), Expr::Function(function)) = (&set, &mut *expr) {
            function.name = ObjectName(vec![ObjectNamePart::Identifier(Ident::new(set.list))]);
        }
        let inner = expr.clone();
        *expr = call("unnest", vec![inner]);
        if let Some(json) = set.filter(|set| set.fields.is_empty()).and_then(|set| set.json) {
            let inner = expr.clone();
            *expr = cast(inner, json);
        }
    }
    Ok(())
}

/// A function's name without `pg_catalog.` or `information_schema.`, folded. `None` for other qualifiers.
pub(in crate::dialect) fn unqualified(name: &ObjectName) -> Option<String> {
    match parts(name)?.as_slice() {
        [name] => Some(name.clone()),
        [schema, name] if schema == "pg_catalog" || schema == "information_schema" => Some(name.clone()),
        _ => None,
    }
}

/// Whether a function returns a set in PostgreSQL and a list here.
pub(in crate::dialect) fn is_set(name: &str) -> bool {
    matches!(name, "unnest" | "generate_series")
        || super::sets::find(name).is_some()
        || PgCatalog::row_function(name).is_some()
}

fn has_subquery(expr: &Expr) -> bool {
    struct Finder;
    impl Reader for Finder {
        fn query(&mut self, _: &Query) -> Step {
            ControlFlow::Break(Stop::Found)
        }
    }
    finds(expr, &mut Finder)
}

/// A number that is the same for the same expression.
fn discriminator(expr: &Expr) -> i64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    expr.hash(&mut hasher);
    i64::try_from(hasher.finish() >> 2).unwrap_or(0)
}
