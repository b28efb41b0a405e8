//! Declared parameters of types whose values are texts to the engine, and arrays: of their declared type unless they are compared with
//! what has one, or cast anywhere. There the other side or the cast decides, so that columns stay as sources have them, and a parameter
//! has one type in all of its places. Texts have theirs only where they are appended, and nowhere else in the statement.

use super::{cast, is_parameter};
use crate::sql::walk::{ON, Step, Writer, write};
use datafusion::sql::sqlparser::ast::{BinaryOperator, CastKind, DataType, Expr, Statement, Value};
use querygate_types::Result;
use std::collections::{HashMap, HashSet};

/// A parameter in the cast to its declared type, apart from the casts that a statement says: the parentheses in it tell them from this
/// one, so that [`one_type_each`] can take it away again.
pub(super) fn apart(parameter: Expr, data_type: DataType) -> Expr {
    cast(Expr::Nested(Box::new(parameter)), data_type)
}

/// Leaves each parameter one type in all of its places: takes those out of the casts of [`apart`] that are compared or cast, and then
/// their other places, too, since a parameter that stands somewhere without such a cast has the type that it gets there.
///
/// # Errors
/// None of its own.
pub(super) fn one_type_each(ast: &mut Statement) -> Result<()> {
    let mut bare = Bare::default();
    write(ast, &mut bare)?;
    let mixed = bare.0.into_iter().filter(|(_, uses)| uses.apart < uses.all).map(|(name, _)| name);
    let mixed: HashSet<String> = mixed.collect();
    if mixed.is_empty() { Ok(()) } else { write(ast, &mut Everywhere(mixed)) }
}

/// Where a parameter stands.
#[derive(Default)]
struct Uses {
    all: usize,
    /// Those in such casts.
    apart: usize,
}

/// Makes parameters bare, which are out of the casts of [`apart`] where they are compared or cast, and counts the uses of each name.
#[derive(Default)]
struct Bare(HashMap<String, Uses>);

impl Writer for Bare {
    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        if is_parameter(expr) {
            self.0.entry(expr.to_string()).or_default().all += 1;
        } else if let Some(parameter) = inside(expr) {
            self.0.entry(parameter.to_string()).or_default().apart += 1;
        } else {
            self.sides(expr);
        }
        ON
    }
}

impl Bare {
    fn sides(&mut self, expr: &mut Expr) {
        let of_arrays = matches!(
            expr,
            Expr::BinaryOp { op: BinaryOperator::AtArrow | BinaryOperator::ArrowAt | BinaryOperator::PGOverlap, .. }
        );
        let sides: Vec<&mut Expr> = match expr {
            Expr::BinaryOp { left, op, right } if !computes(op) => vec![&mut **left, &mut **right],
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                vec![&mut **left, &mut **right]
            }
            Expr::InList { expr, list, .. } => std::iter::once(&mut **expr).chain(list).collect(),
            Expr::Between { expr, low, high, .. } => vec![&mut **expr, &mut **low, &mut **high],
            Expr::InSubquery { expr, .. } | Expr::Cast { expr, .. } => return self.bare(expr),
            // Others take a value as it is.
            _ => return,
        };
        // Nothing else says what they are compared as.
        if sides.iter().all(|side| waits(side)) {
            return;
        }
        for side in sides {
            if !(of_arrays && is_array_apart(side)) {
                self.bare(side);
            }
        }
    }

    fn bare(&mut self, expr: &mut Expr) {
        if let Expr::Nested(inner) = expr {
            self.bare(inner);
        } else if let Some(parameter) = inside(expr) {
            let uses = self.0.entry(parameter.to_string()).or_default();
            uses.apart = uses.apart.saturating_sub(1);
            *expr = parameter;
        }
    }
}

/// Takes parameters of these names out of their casts.
struct Everywhere(HashSet<String>);

impl Writer for Everywhere {
    fn after_expr(&mut self, expr: &mut Expr) -> Step {
        if let Some(parameter) = inside(expr).filter(|parameter| self.0.contains(&parameter.to_string())) {
            *expr = parameter;
        }
        ON
    }
}

/// Operators that make a new value of both sides.
const fn computes(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Plus
            | BinaryOperator::Minus
            | BinaryOperator::Multiply
            | BinaryOperator::Divide
            | BinaryOperator::Modulo
            | BinaryOperator::StringConcat
    )
}

/// The parameter in the cast that [`apart`] made.
fn inside(expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Cast { kind: CastKind::Cast, expr, .. } => match expr.as_ref() {
            Expr::Nested(inner) if is_parameter(inner) => Some(Expr::clone(inner)),
            _ => None,
        },
        _ => None,
    }
}

/// Whether an expression has no type that is its own, or one that it was declared with: parameters, texts in quotes, and NULL.
fn waits(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => waits(inner),
        Expr::Value(value) => {
            matches!(value.value, Value::Placeholder(_) | Value::SingleQuotedString(_) | Value::Null)
        }
        other => inside(other).is_some(),
    }
}

fn is_array_apart(expr: &Expr) -> bool {
    matches!(expr, Expr::Cast { data_type: DataType::Array(_), .. }) && inside(expr).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::{Declared, declare};
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;
    use querygate_types::PgType;

    fn declared(sql: &str, pg_type: PgType) -> String {
        let mut ast = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap().remove(0);
        declare(&mut ast, &[Some(Declared::from(pg_type))]).unwrap();
        ast.to_string()
    }

    #[test]
    fn what_nothing_decides_is_as_declared() {
        for (sql, pg_type, expected) in [
            ("SELECT $1", PgType::Uuid, "SELECT CAST(($1) AS UUID)"),
            ("SELECT $1, f($1)", PgType::Jsonb, "SELECT CAST(($1) AS JSONB), f(CAST(($1) AS JSONB))"),
            ("SELECT t + $1", PgType::Interval, "SELECT t + CAST(($1) AS INTERVAL)"),
            ("SELECT unnest($1)", PgType::Int4Array, "SELECT unnest(CAST(($1) AS INTEGER[]))"),
            ("SELECT $1", PgType::NumericArray, "SELECT CAST(($1) AS NUMERIC[])"),
            ("SELECT a || $1", PgType::Text, "SELECT a || CAST(($1) AS TEXT)"),
            ("SELECT a || $1", PgType::Bpchar, "SELECT a || CAST(($1) AS bpchar)"),
            ("SELECT a @> $1", PgType::TextArray, "SELECT a @> CAST(($1) AS TEXT[])"),
            ("SELECT $1 = $2", PgType::Interval, "SELECT CAST(($1) AS INTERVAL) = $2"),
            ("SELECT $1 < $2", PgType::Oid, "SELECT CAST(($1) AS oid) < $2"),
            ("SELECT $1 < $2", PgType::Regclass, "SELECT CAST(($1) AS regclass) < $2"),
            ("SELECT $1 = 'text'", PgType::Regtype, "SELECT CAST(($1) AS regtype) = 'text'"),
            ("SELECT ($1) < '{9}'", PgType::Int4Array, "SELECT (CAST(($1) AS INTEGER[])) < '{9}'"),
            ("SELECT $2 IN (NULL, $1)", PgType::Jsonb, "SELECT $2 IN (NULL, CAST(($1) AS JSONB))"),
            ("SELECT $2 BETWEEN $1 AND ''", PgType::Uuid, "SELECT $2 BETWEEN CAST(($1) AS UUID) AND ''"),
        ] {
            assert_eq!(declared(sql, pg_type), expected);
        }
    }

    #[test]
    fn what_is_compared_or_cast_stays_in_all_places() {
        for (sql, pg_type) in [
            ("SELECT 1 FROM t WHERE $1 IS NULL OR id = $1", PgType::Uuid),
            ("SELECT 1 FROM t WHERE id IN ($1)", PgType::Uuid),
            ("SELECT 1 FROM t WHERE prices = $1", PgType::NumericArray),
            ("SELECT $1::UUID", PgType::Uuid),
            ("SELECT 1 FROM t WHERE $1 = '' OR name LIKE '%' || $1", PgType::Text),
            ("SELECT CAST($1 AS UUID)", PgType::Uuid),
            ("SELECT 1 FROM t WHERE doc @> $1", PgType::Jsonb),
            ("SELECT 1 FROM t WHERE $1 = $2 OR id = $1", PgType::Uuid),
            ("SELECT 1 FROM pg_class WHERE oid = $1", PgType::Oid),
            ("SELECT 1 FROM pg_class WHERE oid = $1", PgType::Regclass),
            ("SELECT 1 FROM t WHERE $2 BETWEEN $1 AND span", PgType::Interval),
            ("SELECT 1 FROM t WHERE span BETWEEN $1 AND $1", PgType::Interval),
        ] {
            assert_eq!(declared(sql, pg_type), sql);
        }
    }
}
