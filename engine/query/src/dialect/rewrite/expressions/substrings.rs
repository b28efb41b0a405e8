//! `substring(x from $1)`: what has no type is a text to PostgreSQL, and so a pattern; two such places are a pattern and its escape.

use super::calls::first_match;
use crate::dialect::ast::{call, cast};
use crate::dialect::parameters::{Declared, has_own_type};
use datafusion::sql::sqlparser::ast::{DataType, Expr, Value};

/// A call whose places are such parameters, as one of a pattern.
pub(in crate::dialect) fn by_pattern(expr: &mut Expr, declared: &[Option<Declared>]) {
    let Expr::Substring { expr: value, substring_from: Some(from), substring_for, shorthand: false, .. } = &*expr
    else {
        return;
    };
    let is_pattern = |place: &Expr| parameter(place).is_some_and(|name| !has_own_type(name, declared));
    let text = |place: &Expr| cast(place.clone(), DataType::Text);
    if !is_pattern(from) {
        return;
    }
    let value = if parameter(value).is_some() { text(value) } else { (**value).clone() };
    *expr = match substring_for {
        None => first_match(value, text(from)),
        Some(escape) if is_pattern(escape) => call("substring_similar", vec![value, text(from), text(escape)]),
        // A number beside it makes it one.
        Some(_) => return,
    };
}

fn parameter(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Placeholder(name) => Some(name),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use querygate_types::PgType;

    fn rewritten(sql: &str, declared: Option<PgType>) -> String {
        let mut expr = Parser::new(&PostgreSqlDialect {}).try_with_sql(sql).unwrap().parse_expr().unwrap();
        by_pattern(&mut expr, &[declared.map(Declared::from)]);
        expr.to_string()
    }

    #[test]
    fn a_place_without_a_type_is_a_pattern() {
        let pattern = "regexp_match(a, CAST($1 AS TEXT))[1]";
        assert_eq!(rewritten("substring(a FROM $1)", None), pattern);
        assert_eq!(rewritten("substring(a, $1)", Some(PgType::Text)), pattern);
        let similar = "substring_similar(a, CAST($1 AS TEXT), CAST($2 AS TEXT))";
        assert_eq!(rewritten("substring(a FROM $1 FOR $2)", None), similar);
        for sql in ["SUBSTRING(a FROM $1 FOR 2)", "SUBSTRING(a FROM 2 FOR $1)", "SUBSTR(a, $1)"] {
            assert_eq!(rewritten(sql, None), sql);
        }
        assert_eq!(rewritten("SUBSTRING(a FROM $1)", Some(PgType::Int4)), "SUBSTRING(a FROM $1)");
    }
}
