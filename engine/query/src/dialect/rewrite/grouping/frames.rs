//! Offsets of window frames: the planner reads them where they are plain literals, intervals as `INTERVAL '1 day'` and `2::bigint` as a
//! number. After everything in them was rewritten. Frames that leave rows out are those of functions of their own.

use crate::dialect::ast::literal_text;
use crate::dialect::rewrite::expressions::constants;
use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    CaseWhen, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Interval, Value, WindowFrame,
    WindowFrameBound, WindowSpec, WindowType,
};
use querygate_semantics::cut_interval;
use querygate_semantics::windows::{EXCLUDING, EXCLUSIONS, NO_OTHERS, NTILE, excluding_name, shift_name};
use querygate_types::{Error, ErrorCode, Result};

/// The frame of a call over a window, and its keys: the engine leaves out a key that is a value, and with it the parameter that it is.
/// Parentheses around it keep both.
pub(in crate::dialect) fn of_call(expr: &mut Expr) {
    if let Expr::Function(function) = expr
        && let Some(WindowType::WindowSpec(spec)) = &mut function.over
    {
        for key in spec.partition_by.iter_mut().filter(|key| is_parameter(key)) {
            let parameter = std::mem::replace(key, crate::dialect::ast::number(0));
            *key = Expr::Nested(Box::new(parameter));
        }
        of_spec(spec);
    }
}

/// Refuses parameters as offsets of a frame: to the engine they are constants of the plan, which is made before there are values.
///
/// # Errors
/// 0A000.
pub(in crate::dialect) fn refuse_parameters(expr: &Expr) -> Result<()> {
    let Expr::Function(Function { over: Some(WindowType::WindowSpec(spec)), .. }) = expr else { return Ok(()) };
    let Some(WindowFrame { start_bound, end_bound, .. }) = &spec.window_frame else { return Ok(()) };
    let waits = |bound: &WindowFrameBound| match bound {
        WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) => is_open(offset),
        WindowFrameBound::Preceding(None) | WindowFrameBound::Following(None) | WindowFrameBound::CurrentRow => false,
    };
    if std::iter::once(start_bound).chain(end_bound).any(waits) {
        let message = "parameters as offsets of window frames are not supported";
        return Err(
            Error::new(ErrorCode::FeatureNotSupported, message).with_hint("Write the offset into the statement.")
        );
    }
    Ok(())
}

/// Whether an offset is a parameter, in casts of any number.
fn is_open(offset: &Expr) -> bool {
    match offset {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_open(inner),
        other => is_parameter(other),
    }
}

/// A call over a frame that is marked as one that leaves rows out becomes a call of the function that does.
///
/// # Errors
/// 0A000 for functions that have no such one.
pub(in crate::dialect) fn exclusion(expr: &mut Expr) -> Result<()> {
    let Expr::Function(function) = expr else { return Ok(()) };
    let Some(WindowType::WindowSpec(spec)) = &mut function.over else { return Ok(()) };
    let Some(clause) = take_mark(spec) else {
        of_rows(function);
        return Ok(());
    };
    let refused = |what: &str| {
        let message = format!("{} of {what} is not supported", clause.to_uppercase());
        Err(Error::new(ErrorCode::FeatureNotSupported, message))
    };
    let Some(name) = crate::dialect::rewrite::expressions::calls::unqualified(&function.name) else {
        return refused("this function");
    };
    if FRAMELESS.contains(&name.as_str()) {
        of_rows(function);
        return Ok(());
    }
    let FunctionArguments::List(arguments) = &mut function.args else { return refused("this function") };
    let plain = function.filter.is_none()
        && function.null_treatment.is_none()
        && arguments.clauses.is_empty()
        && arguments.duplicate_treatment.is_none();
    if !plain || !EXCLUDING.contains(&name.as_str()) {
        return refused("this function");
    }
    for argument in &mut arguments.args {
        if matches!(argument, FunctionArg::Unnamed(FunctionArgExpr::Wildcard)) {
            *argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(crate::dialect::ast::number(1)));
        }
    }
    function.name = crate::dialect::ast::object_name(&[&excluding_name(&name, clause)]);
    Ok(())
}

/// Functions of the engine that want constants, where they get something else, or a default that may be of another type.
fn of_rows(function: &mut Function) {
    let (Some(name), Some(arguments)) = (
        crate::dialect::rewrite::expressions::calls::unqualified(&function.name),
        crate::dialect::ast::plain_arguments(&function.args),
    ) else {
        return;
    };
    if name == "ntile" && arguments.iter().any(|argument| constants::whole(argument).is_none_or(|parts| parts < 1)) {
        function.name = crate::dialect::ast::object_name(&[NTILE]);
        if let FunctionArguments::List(list) = &mut function.args {
            list.args.iter_mut().for_each(as_integer);
        }
        return;
    }
    let counts = arguments.get(1).map(|number| is_count(number));
    let default = arguments.get(2).is_some_and(|default| !is_null(default));
    if function.null_treatment.is_some() || !default && counts != Some(false) {
        return;
    }
    if let Some(own) = shift_name(&name) {
        function.name = crate::dialect::ast::object_name(&[own]);
        if let FunctionArguments::List(list) = &mut function.args {
            shifted(&mut list.args);
        }
    } else if name == "nth_value" {
        function.name = crate::dialect::ast::object_name(&[&excluding_name("nth_value", NO_OTHERS)]);
    }
}

/// Value, distance and default as PostgreSQL takes them: the distance is an integer, the others are of the type in which they meet, as
/// branches of CASE are.
fn shifted(arguments: &mut [FunctionArg]) {
    let plain = |argument: &FunctionArg| crate::dialect::ast::plain(argument).cloned();
    let [value, distance, rest @ ..] = arguments else { return };
    as_integer(distance);
    if let ([default], Some(of)) = (rest, plain(value))
        && let Some(other) = plain(default).filter(|other| !is_null(other))
    {
        *value = argument(one_of(true, of.clone(), other.clone()));
        // A text without a type is read as the value's; of others, the error names the first one's type where they do not meet.
        let literal = literal_text(&other).is_some();
        *default = argument(if literal { one_of(false, of, other) } else { one_of(true, other, of) });
    }
}

/// A literal or a parameter as an integer.
fn as_integer(number: &mut FunctionArg) {
    if let Some(own) = crate::dialect::ast::plain(number).cloned()
        && (literal_text(&own).is_some() || is_parameter(&own))
    {
        *number = argument(crate::dialect::ast::cast(own, DataType::Int(None)));
    }
}

/// One of two expressions, of the type in which both meet.
fn one_of(first: bool, expr: Expr, other: Expr) -> Expr {
    let condition = Expr::Value(Value::Boolean(first).with_empty_span());
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: vec![CaseWhen { condition, result: expr }],
        else_result: Some(Box::new(other)),
    }
}

fn argument(expr: Expr) -> FunctionArg {
    FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))
}

/// A number that the engine takes for a constant.
fn is_count(argument: &Expr) -> bool {
    match argument {
        Expr::Nested(inner) | Expr::Cast { expr: inner, .. } => is_count(inner),
        _ => constants::whole(argument).is_some_and(|number| i32::try_from(number).is_ok()),
    }
}

fn is_null(argument: &Expr) -> bool {
    match argument {
        Expr::Nested(inner) => is_null(inner),
        Expr::Value(value) => value.value == Value::Null,
        _ => false,
    }
}

fn is_parameter(argument: &Expr) -> bool {
    matches!(argument, Expr::Value(value) if matches!(value.value, Value::Placeholder(_)))
}

/// Window functions that look at no frame.
const FRAMELESS: &[&str] = &["row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead"];

/// The clause that stands for a key of PARTITION BY, which the tokens put there.
pub(in crate::dialect) fn mark(key: &Expr) -> Option<&'static str> {
    let Expr::Value(value) = key else { return None };
    // No text of a statement becomes such a literal.
    let Value::TripleSingleQuotedString(text) = &value.value else { return None };
    EXCLUSIONS.into_iter().find(|clause| clause == text)
}

fn take_mark(spec: &mut WindowSpec) -> Option<&'static str> {
    let at = spec.partition_by.iter().position(|key| mark(key).is_some())?;
    mark(&spec.partition_by.remove(at))
}

fn of_spec(spec: &mut WindowSpec) {
    let Some(WindowFrame { start_bound, end_bound, .. }) = &mut spec.window_frame else { return };
    for bound in std::iter::once(start_bound).chain(end_bound) {
        if let WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) = bound
            && let Some(literal) = literal(offset)
        {
            **offset = literal;
        }
    }
}

fn literal(offset: &Expr) -> Option<Expr> {
    match offset {
        Expr::Nested(inner) => literal(inner),
        Expr::Cast { expr, data_type: DataType::Interval { .. }, .. } => {
            // As intervals are printed, no number of seconds is left that looks like a number.
            let text = literal_text(expr)?;
            // The parser takes a text for an interval. Without a unit it is a number, or seconds where the key is a moment.
            if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Some(interval(text));
            }
            Some(interval(&cut_interval(text, "").unwrap_or_else(|| text.to_owned())))
        }
        Expr::Function(function) => {
            // An interval that is cut to its fields.
            let arguments = crate::dialect::ast::plain_arguments(&function.args)?;
            let ([of, finest], "interval_cut") = (
                arguments.as_slice(),
                crate::dialect::rewrite::expressions::calls::unqualified(&function.name)?.as_str(),
            ) else {
                return None;
            };
            let Expr::Cast { expr: of, .. } = of else { return None };
            cut_interval(literal_text(of)?, literal_text(finest)?).map(|cut| interval(&cut))
        }
        Expr::Cast { expr, .. } => match expr.as_ref() {
            Expr::Value(value) if matches!(value.value, Value::Number(..)) => Some((**expr).clone()),
            _ => None,
        },
        _ => literal_text(offset).map(interval),
    }
}

fn interval(text: &str) -> Expr {
    Expr::Interval(Interval {
        value: Box::new(crate::dialect::ast::text(text)),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Yard;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    /// The engine leaves out keys that are values, and a parameter among them would be none of the statement's.
    #[test]
    fn parameters_are_keys_and_counts() {
        let yard = Yard::new();
        let seat = yard.owner();
        let rows = "FROM (VALUES (1), (2), (3)) v(n) ORDER BY n";
        for (sql, value, expected) in [
            ("row_number() OVER (PARTITION BY $1 ORDER BY n)", "x", "1; 2; 3"),
            ("row_number() OVER (PARTITION BY n > 1, $1 ORDER BY n)", "x", "1; 1; 2"),
            ("ntile($1) OVER (ORDER BY n)", "2", "1; 1; 2"),
        ] {
            let prepared = seat.prepare(&format!("SELECT {sql} {rows}")).unwrap();
            assert_eq!(seat.execute(&prepared, &[Some(value)]), expected, "{sql}");
        }
        assert_eq!(seat.run(&format!("SELECT ntile('2') OVER (ORDER BY n) {rows}")), "1; 1; 2");
    }

    #[test]
    fn parameters_are_no_offsets() {
        let refused = |frame: &str| {
            let sql = format!("sum(x) OVER (ORDER BY x {frame})");
            let expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(&sql).unwrap().parse_expr().unwrap();
            refuse_parameters(&expr).is_err()
        };
        for frame in ["ROWS $1 PRECEDING", "ROWS BETWEEN 1 PRECEDING AND ($1::int) FOLLOWING"] {
            assert!(refused(frame), "{frame}");
        }
        for frame in ["", "ROWS 2 PRECEDING", "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"] {
            assert!(!refused(frame), "{frame}");
        }
    }
}
