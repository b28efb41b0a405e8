//! Operators: `OPERATOR(pg_catalog.~)`, COLLATE, `= ANY('{…}')`, LIKE … ESCAPE.

use super::quantified::compared;
use crate::dialect::ast::{array, call, literal_text, parts, plain_arguments, text};
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, ObjectName, UnaryOperator, Value};
use querygate_semantics::split_array;
use querygate_types::{Error, ErrorCode, Result};

pub(in crate::dialect) fn rewrite(expr: &mut Expr) -> Result<()> {
    if like_of_array(expr) {
        return Ok(());
    }
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Overlaps, right } => {
            let (Some(mut bounds), Some(others)) = (pair(left), pair(right)) else {
                return Err(Error::new(ErrorCode::SyntaxError, "OVERLAPS wants two values on each side"));
            };
            bounds.extend(others);
            *expr = call("overlaps", bounds);
            Ok(())
        }
        Expr::BinaryOp { op, .. } => {
            if let BinaryOperator::PGCustomBinaryOperator(names) = op
                && !matches!(names.first().map(String::as_str), Some("any" | "all"))
            {
                *op = named_operator(names)?;
            }
            if let Expr::BinaryOp { left, op: BinaryOperator::StringConcat, right } = expr {
                super::casts::print_name(left);
                super::casts::print_name(right);
            }
            Ok(())
        }
        Expr::Collate { .. } => strip_collation(expr),
        Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. }
        | Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right }
            if matches!(right.as_ref(), Expr::Subquery(_)) && !is_row(left) =>
        {
            membership(expr);
            Ok(())
        }
        Expr::AnyOp { left, compare_op, right, .. } if matches!(right.as_ref(), Expr::Subquery(_)) => {
            let Expr::Subquery(subquery) = right.as_ref() else { return Ok(()) };
            *expr = compared(left, compare_op, subquery, false)?;
            Ok(())
        }
        Expr::AllOp { left, compare_op, right } if matches!(right.as_ref(), Expr::Subquery(_)) => {
            let Expr::Subquery(subquery) = right.as_ref() else { return Ok(()) };
            *expr = compared(left, compare_op, subquery, true)?;
            Ok(())
        }
        Expr::InSubquery { expr: left, subquery, negated } if is_row(left) => {
            let found = compared(left, &BinaryOperator::Eq, subquery, false)?;
            *expr = if *negated { negation(found) } else { found };
            Ok(())
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
            array_literal(right)?;
            among_constants(expr);
            Ok(())
        }
        Expr::SimilarTo { negated, expr: value, pattern, escape_char } => {
            if let Some(escape) = escape_char.take() {
                **pattern = escaped(pattern, escape.value)?;
            }
            let matched = call("similar_to", vec![(**value).clone(), (**pattern).clone()]);
            *expr = if *negated { negation(matched) } else { matched };
            Ok(())
        }
        Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
            if let Some(escape) = escape_char.take() {
                **pattern = escaped(pattern, escape.value)?;
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A LIKE pattern with backslash as its escape, which has another one: a literal, NULL or a parameter.
fn escaped(pattern: &Expr, escape: Value) -> Result<Expr> {
    Ok(match escape {
        Value::SingleQuotedString(escape) => match literal_text(pattern) {
            Some(old) => text(&with_backslashes(old, &escape)?),
            None => call("like_escape", vec![pattern.clone(), text(&escape)]),
        },
        Value::Null => Expr::Value(Value::Null.with_empty_span()),
        parameter @ Value::Placeholder(_) => {
            call("like_escape", vec![pattern.clone(), Expr::Value(parameter.with_empty_span())])
        }
        _ => return Err(Error::new(ErrorCode::FeatureNotSupported, "the escape character must be a literal")),
    })
}

/// The values of a row of two.
fn pair(expr: &Expr) -> Option<Vec<Expr>> {
    match expr {
        Expr::Tuple(items) if items.len() == 2 => Some(items.clone()),
        Expr::Function(function) if is_row(expr) => {
            let items = crate::dialect::ast::plain_arguments(&function.args)?;
            (items.len() == 2).then(|| items.into_iter().cloned().collect())
        }
        Expr::Nested(inner) => pair(inner),
        _ => None,
    }
}

pub(in crate::dialect) fn is_row(expr: &Expr) -> bool {
    match expr {
        Expr::Tuple(_) => true,
        Expr::Function(function) => super::calls::unqualified(&function.name).as_deref() == Some("row"),
        Expr::Nested(inner) => is_row(inner),
        _ => false,
    }
}

/// `OPERATOR(schema.name)`: only PostgreSQL's own exist.
fn named_operator(names: &[String]) -> Result<BinaryOperator> {
    let operator = match names {
        [name] => name,
        [schema, name] if schema.trim_matches('"').eq_ignore_ascii_case("pg_catalog") => name,
        _ => return Err(no_operator(&names.join("."))),
    };
    Ok(match operator.as_str() {
        "~" => BinaryOperator::PGRegexMatch,
        "~*" => BinaryOperator::PGRegexIMatch,
        "!~" => BinaryOperator::PGRegexNotMatch,
        "!~*" => BinaryOperator::PGRegexNotIMatch,
        "~~" => BinaryOperator::PGLikeMatch,
        "~~*" => BinaryOperator::PGILikeMatch,
        "!~~" => BinaryOperator::PGNotLikeMatch,
        "!~~*" => BinaryOperator::PGNotILikeMatch,
        "=" => BinaryOperator::Eq,
        "<>" | "!=" => BinaryOperator::NotEq,
        "<" => BinaryOperator::Lt,
        "<=" => BinaryOperator::LtEq,
        ">" => BinaryOperator::Gt,
        ">=" => BinaryOperator::GtEq,
        "+" => BinaryOperator::Plus,
        "-" => BinaryOperator::Minus,
        "*" => BinaryOperator::Multiply,
        "/" => BinaryOperator::Divide,
        "%" => BinaryOperator::Modulo,
        "||" => BinaryOperator::StringConcat,
        "&" => BinaryOperator::BitwiseAnd,
        "|" => BinaryOperator::BitwiseOr,
        "#" => BinaryOperator::PGBitwiseXor,
        "<<" => BinaryOperator::PGBitwiseShiftLeft,
        ">>" => BinaryOperator::PGBitwiseShiftRight,
        "&&" => BinaryOperator::PGOverlap,
        "<<=" | ">>=" => BinaryOperator::Custom(operator.clone()),
        "@>" => BinaryOperator::AtArrow,
        "<@" => BinaryOperator::ArrowAt,
        other => return Err(no_operator(other)),
    })
}

fn no_operator(name: &str) -> Error {
    Error::new(ErrorCode::UndefinedFunction, format!("operator does not exist: {name}"))
}

/// The gate compares text by code point: collations that mean this are dropped, others do not exist.
fn strip_collation(expr: &mut Expr) -> Result<()> {
    let Expr::Collate { expr: inner, collation } = expr else { return Ok(()) };
    if !is_code_point(collation) {
        return Err(Error::new(ErrorCode::UndefinedObject, format!("collation \"{collation}\" does not exist")));
    }
    let inner = std::mem::replace(inner.as_mut(), Expr::Value(Value::Null.with_empty_span()));
    *expr = inner;
    Ok(())
}

fn is_code_point(collation: &ObjectName) -> bool {
    let Some(names) = parts(collation) else { return false };
    let name = match names.as_slice() {
        [name] => name,
        [schema, name] if schema == "pg_catalog" => name,
        _ => return false,
    };
    matches!(name.as_str(), "default" | "C" | "POSIX" | "ucs_basic" | "C.UTF-8" | "C.utf8")
}

/// `= ANY (SELECT …)` is IN, `<> ALL (SELECT …)` is NOT IN.
fn membership(expr: &mut Expr) {
    let negated = matches!(expr, Expr::AllOp { .. });
    if let Expr::AnyOp { left, right, .. } | Expr::AllOp { left, right, .. } = expr
        && let Expr::Subquery(subquery) = right.as_ref()
    {
        *expr = Expr::InSubquery { expr: left.clone(), subquery: subquery.clone(), negated };
    }
}

/// `'{a,b}'` beside ANY and ALL becomes ARRAY['a','b'].
fn array_literal(right: &mut Expr) -> Result<()> {
    let Some(literal) = literal_text(right) else { return Ok(()) };
    let elements = split_array(literal)?;
    let elements =
        elements.into_iter().map(|e| e.map_or_else(|| Expr::Value(Value::Null.with_empty_span()), |t| text(&t)));
    *right = array(elements.collect());
    Ok(())
}

/// `LIKE ANY (array)` and `LIKE ALL (array)`; whether it was one. `NOT LIKE ANY` is that not all are like it.
fn like_of_array(expr: &mut Expr) -> bool {
    let (name, negated, any, value, pattern) = match expr {
        Expr::Like { any, negated, expr, pattern, .. } => ("like", *negated, *any, expr, pattern),
        Expr::ILike { any, negated, expr, pattern, .. } => ("ilike", *negated, *any, expr, pattern),
        _ => return false,
    };
    let array = match pattern.as_ref() {
        _ if any => (**pattern).clone(),
        Expr::Function(function) if super::calls::unqualified(&function.name).as_deref() == Some("all") => {
            match plain_arguments(&function.args).as_deref() {
                Some([array]) => (*array).clone(),
                _ => return false,
            }
        }
        _ => return false,
    };
    let quantifier = if any == negated { "all" } else { "any" };
    let matched = call(&format!("{name}_{quantifier}"), vec![(**value).clone(), array]);
    *expr = if negated { negation(matched) } else { matched };
    true
}

fn negation(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(Expr::Nested(Box::new(expr))) }
}

/// `= ANY (ARRAY[…])` is IN, `<> ALL (ARRAY[…])` is NOT IN; an array that is a parameter is handled apart.
fn among_constants(expr: &mut Expr) {
    let (quantifier, left, op, right) = match expr {
        Expr::AnyOp { left, compare_op, right, .. } => ("any", left, compare_op, right),
        Expr::AllOp { left, compare_op, right } => ("all", left, compare_op, right),
        _ => return,
    };
    let mut array = right.as_ref();
    while let Expr::Nested(inner) = array {
        array = inner;
    }
    match (quantifier, &*op, array) {
        ("any", BinaryOperator::Eq, Expr::Array(array)) | ("all", BinaryOperator::NotEq, Expr::Array(array))
            if array.elem.iter().all(|item| !matches!(item, Expr::Array(_)) && !has_point(item)) =>
        {
            let negated = quantifier == "all";
            *expr = if array.elem.is_empty() {
                Expr::Value(Value::Boolean(negated).with_empty_span())
            } else {
                Expr::InList { expr: left.clone(), list: array.elem.clone(), negated }
            };
        }
        (_, _, Expr::Subquery(_)) => {}
        _ => {
            let op = BinaryOperator::PGCustomBinaryOperator(vec![quantifier.to_owned(), op.to_string()]);
            *expr = Expr::Nested(Box::new(Expr::BinaryOp { left: left.clone(), op, right: Box::new(array.clone()) }));
        }
    }
}

/// A number with a point: an array of them has a type of its own, where members of a list take that of the value.
fn has_point(item: &Expr) -> bool {
    match item {
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => has_point(inner),
        Expr::Value(value) => matches!(&value.value, Value::Number(text, _) if text.contains(['.', 'e', 'E'])),
        _ => false,
    }
}

/// A LIKE pattern with backslash as its escape in place of another character (or of none).
pub(in crate::dialect) fn with_backslashes(pattern: &str, escape: &str) -> Result<String> {
    let mut chars = escape.chars();
    let escape = chars.next();
    if chars.next().is_some() {
        return Err(Error::new(ErrorCode::InvalidParameterValue, "invalid escape string")
            .with_hint("Escape string must be empty or one character."));
    }
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        if Some(c) == escape {
            out.push('\\');
            match rest.next() {
                Some(next) => out.push(next),
                None => {
                    return Err(Error::new(
                        ErrorCode::InvalidParameterValue,
                        "LIKE pattern must not end with escape character",
                    ));
                }
            }
        } else {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    #[test]
    fn an_escape_may_be_a_parameter() {
        for (sql, expected) in [
            ("a LIKE $1 ESCAPE $2", "a LIKE like_escape($1, $2)"),
            ("a NOT ILIKE 'x' ESCAPE $1", "a NOT ILIKE like_escape('x', $1)"),
            ("a SIMILAR TO b ESCAPE $1", "similar_to(a, like_escape(b, $1))"),
            ("a LIKE 'x' ESCAPE NULL", "a LIKE NULL"),
            ("a LIKE 'x!%' ESCAPE '!'", "a LIKE 'x\\%'"),
        ] {
            let mut expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap();
            rewrite(&mut expr).unwrap();
            assert_eq!(expr.to_string(), expected);
        }
    }

    #[test]
    fn escapes_become_backslashes() {
        let check = |pattern: &str, escape: &str, expected: &str| {
            assert_eq!(with_backslashes(pattern, escape).unwrap(), expected)
        };
        check("a/_b%", "/", "a\\_b%");
        check("a\\b", "/", "a\\\\b");
        check("a\\_b", "\\", "a\\_b");
        check("a\\_", "", "a\\\\_");
        check("a//b", "/", "a\\/b");
        assert!(with_backslashes("a/", "/").is_err());
        assert!(with_backslashes("a", "//").is_err());
    }
}
