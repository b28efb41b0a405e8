//! Where a result's columns come from: table, attribute and type modifier, as PostgreSQL's RowDescription tells them.
//! Reads plans only; what the principal cannot see has no object id and so no origin.

use crate::bind::output_types::{named, narrower};
use arrow::datatypes::{DataType, Field};
use datafusion::common::TableReference;
use datafusion::logical_expr::{Expr, ExprSchemable as _, LogicalPlan};
use querygate_pg_catalog::PgCatalog;
use querygate_query_api::column::{Column, TYPE_MODIFIER_KEY};
use querygate_semantics::lineage::{Below, below};
use querygate_semantics::typing::enum_of_column;
use querygate_types::PgType;

/// What stands behind an output column.
enum Origin<'a> {
    Table(&'a TableReference, &'a Field),
    /// A cast to a type with a modifier.
    Cast(&'a DataType),
}

/// Puts origins into the columns of a bound plan, one per output column.
pub(crate) fn trace(plan: &LogicalPlan, columns: &mut [Column], pg: &PgCatalog) {
    for (index, column) in columns.iter_mut().enumerate() {
        if let Some(found) = narrower(plan, index, column.pg_type) {
            column.pg_type = found;
        }
        if column.pg_type == PgType::Text {
            column.enum_oid = enum_of_column(plan, index).and_then(|described| pg.enum_oid(&described));
        }
        if column.pg_type == PgType::Bpchar {
            column.type_modifier = characters(plan, index).unwrap_or(-1);
        }
        let data_type = match origin(plan, index) {
            Some(Origin::Table(table, field)) => {
                let schema = table.schema().unwrap_or("public");
                let found = pg.relation_oid(schema, table.table()).zip(pg.attribute_number(
                    schema,
                    table.table(),
                    field.name(),
                ));
                if let Some((oid, attribute)) = found {
                    (column.table_oid, column.attribute) = (oid, attribute);
                    if matches!(column.pg_type, PgType::Varchar | PgType::Bpchar) {
                        column.type_modifier = pg.type_modifier(schema, table.table(), field.name());
                    }
                }
                field.data_type()
            }
            Some(Origin::Cast(data_type)) => data_type,
            None => continue,
        };
        if let (PgType::Numeric, DataType::Decimal128(precision, scale)) = (column.pg_type, data_type) {
            column.type_modifier = numeric_modifier(*precision, *scale);
        }
    }
}

/// `atttypmod` of computed values of `char(n)`, which are sent as long as it says: of a cast, or of all of a set operation. Values of tables
/// are sent without blanks: a client may send one back as a parameter, whose blanks count.
fn characters(plan: &LogicalPlan, index: usize) -> Option<i32> {
    match below(plan, index) {
        Below::Computed(expr, input) => characters_of(expr, input),
        Below::Handed(input, index) | Below::Rounds(input, index) => characters(input, index),
        Below::OneOf(inputs, index) => {
            let mut found = inputs.iter().map(|input| characters(input, index));
            let first = found.next()??;
            found.all(|other| other == Some(first)).then_some(first)
        }
        Below::Table(..) | Below::Items(..) => None,
        Below::Nothing => declared(plan.schema().fields().get(index)?),
    }
}

fn characters_of(expr: &Expr, input: &LogicalPlan) -> Option<i32> {
    match expr {
        Expr::Alias(alias) => characters_of(&alias.expr, input),
        Expr::Column(column) => characters(input, input.schema().maybe_index_of_column(column)?),
        Expr::Case(case) => {
            let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
            alike(results.map(AsRef::as_ref), input)
        }
        Expr::ScalarFunction(call) if matches!(call.name(), "coalesce" | "greatest" | "least" | "nullif") => {
            alike(call.args.iter(), input)
        }
        Expr::AggregateFunction(call) if matches!(call.func.name(), "min" | "max") => {
            alike(call.params.args.iter(), input)
        }
        other => declared(&other.to_field(input.schema()).ok()?.1),
    }
}

/// The length that all of some expressions have which may be other than NULL.
fn alike<'a>(exprs: impl Iterator<Item = &'a Expr>, input: &LogicalPlan) -> Option<i32> {
    let known = exprs.filter(|expr| !matches!(expr, Expr::Literal(value, _) if value.is_null()));
    let mut found = known.map(|expr| characters_of(expr, input));
    let first = found.next()??;
    found.all(|other| other == Some(first)).then_some(first)
}

/// The length that a cast to `char(n)` left with its value.
fn declared(field: &Field) -> Option<i32> {
    let length = field.metadata().get(TYPE_MODIFIER_KEY).filter(|_| named(field) == Some(PgType::Bpchar))?;
    length.parse::<i32>().ok()?.checked_add(4)
}

/// `atttypmod` of numeric(precision, scale); −1 for the widest, which stands for numeric without a modifier.
fn numeric_modifier(precision: u8, scale: i8) -> i32 {
    let Ok(scale) = u8::try_from(scale) else { return -1 };
    if precision >= 38 { -1 } else { (i32::from(precision) << 16 | i32::from(scale)) + 4 }
}

/// Follows one output column down to a table, through what hands columns on unchanged.
fn origin(plan: &LogicalPlan, index: usize) -> Option<Origin<'_>> {
    match below(plan, index) {
        Below::Table(table, field) => Some(Origin::Table(table, field)),
        Below::Computed(expr, input) => through(expr, input),
        Below::Handed(input, index) => origin(input, index),
        // A set operation's columns belong to no table, nor do items of a list.
        Below::OneOf(..) | Below::Rounds(..) | Below::Items(..) | Below::Nothing => None,
    }
}

fn through<'a>(expr: &'a Expr, input: &'a LogicalPlan) -> Option<Origin<'a>> {
    match expr {
        Expr::Alias(alias) => through(&alias.expr, input),
        Expr::Column(column) => origin(input, input.schema().maybe_index_of_column(column)?),
        Expr::Cast(cast) => Some(Origin::Cast(cast.field.data_type())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Shop;

    #[test]
    fn a_modifier_holds_precision_and_scale() {
        let check = |precision: u8, scale: i8, expected: i32| assert_eq!(numeric_modifier(precision, scale), expected);
        check(18, 4, (18 << 16 | 4) + 4);
        check(1, 0, (1 << 16) + 4);
        check(38, 10, -1);
        check(10, -2, -1);
    }

    fn columns(sql: &str) -> Vec<Column> {
        Shop::open().owner().bind(sql).unwrap().columns().to_vec()
    }

    /// A column that is handed on belongs to its table; what is computed, united or unnested belongs to none.
    #[test]
    fn a_column_has_an_origin_as_long_as_nothing_is_computed() {
        let whole = columns("SELECT id, name FROM accounts");
        let (table, name) = (whole[0].table_oid, (whole[1].table_oid, whole[1].attribute));
        assert!(table > 0 && whole[0].attribute != whole[1].attribute);
        for sql in [
            "SELECT name FROM accounts",
            "SELECT name AS n FROM accounts a WHERE a.rating > 1 ORDER BY a.id LIMIT 3",
            "SELECT n FROM (SELECT name AS n FROM accounts) q",
            "WITH w AS (SELECT name FROM accounts) SELECT name FROM w",
            "SELECT a.name FROM visits v LEFT JOIN accounts a ON a.id = v.account_id",
            "SELECT DISTINCT name FROM accounts",
            "SELECT name FROM accounts GROUP BY name",
            "SELECT name, rank() OVER (ORDER BY id) FROM accounts",
        ] {
            let found = &columns(sql)[0];
            assert_eq!((found.table_oid, found.attribute), name, "{sql}");
        }
        for sql in [
            "SELECT upper(name) FROM accounts",
            "SELECT max(name) FROM accounts",
            "SELECT name FROM accounts UNION ALL SELECT name FROM regions",
            "SELECT coalesce(name, 'x') FROM accounts",
            "SELECT CASE WHEN rating > 1 THEN name END FROM accounts",
            "SELECT (SELECT name FROM accounts WHERE id = 'a1')",
            "SELECT 'x' AS name",
            "SELECT unnest(ARRAY[name]) FROM accounts",
        ] {
            assert_eq!((columns(sql)[0].table_oid, columns(sql)[0].attribute), (0, 0), "{sql}");
        }
    }

    /// Each side of a self join is the same table, and two tables are two.
    #[test]
    fn joins_keep_their_sides_apart() {
        let found =
            columns("SELECT a.name, b.name, r.name FROM accounts a JOIN accounts b USING (id) JOIN regions r ON true");
        assert_eq!((found[0].table_oid, found[0].attribute), (found[1].table_oid, found[1].attribute));
        assert_ne!(found[0].table_oid, found[2].table_oid);
    }

    #[test]
    fn casts_leave_their_modifier() {
        for (sql, pg_type, modifier) in [
            ("SELECT 1::numeric(10,2)", PgType::Numeric, (10 << 16 | 2) + 4),
            ("SELECT x FROM (SELECT 1::numeric(10,2) AS x) q", PgType::Numeric, (10 << 16 | 2) + 4),
            ("SELECT 1::numeric(10,2) + 1", PgType::Numeric, -1),
            ("SELECT 'a'::char(3)", PgType::Bpchar, 7),
            ("SELECT coalesce(NULL, 'a'::char(3))", PgType::Bpchar, 7),
            ("SELECT 'a'::char(3) UNION ALL SELECT 'b'::char(3)", PgType::Bpchar, 7),
            ("SELECT 'a'::char(3) UNION ALL SELECT 'b'::char(4)", PgType::Bpchar, -1),
            ("SELECT CASE WHEN true THEN 'a'::char(3) ELSE 'b'::char(3) END", PgType::Bpchar, 7),
            ("SELECT CASE WHEN true THEN 'a'::char(3) ELSE 'b'::char(9) END", PgType::Bpchar, -1),
        ] {
            let found = &columns(sql)[0];
            assert_eq!((found.pg_type, found.type_modifier), (pg_type, modifier), "{sql}");
        }
    }
}
