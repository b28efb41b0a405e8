//! Names of output columns as PostgreSQL gives them (its `FigureColname`), made unique for DataFusion.
//! The name the client sees is the part before the mark of `own_names`.

use crate::dialect::ast::{folded, parts, plain_select, quoted};
use crate::dialect::rewrite::expressions::calls::is_keyword_function;
use crate::sql::parse::json_members::MEMBERS;
use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, DataType, ExactNumberInfo, Expr, Function, FunctionArguments, Query, Select,
    SelectItem, SetExpr, TrimWhereField,
};
use querygate_query_api::own_names::{output_name, told_apart};
use std::collections::HashSet;

/// Names every unnamed column of a SELECT and tells equal names apart. Inside of another statement none of the equal names is left as it
/// is, because it would stand for one of them.
pub(in crate::dialect) fn name_columns(select: &mut Select, outermost: bool) {
    let mut taken = HashSet::new();
    if !outermost {
        taken.extend(repeated(select));
    }
    let wildcard =
        select.projection.iter().any(|i| matches!(i, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)));
    for item in &mut select.projection {
        let old = std::mem::replace(item, SelectItem::Wildcard(Default::default()));
        *item = match old {
            SelectItem::UnnamedExpr(expr) => {
                let name = column_name(&expr);
                let is_column =
                    matches!(&expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) && !is_replaced(&expr, &name);
                if is_column && !(wildcard && outermost) && taken.insert(name.clone()) {
                    SelectItem::UnnamedExpr(expr)
                } else {
                    let alias =
                        if is_column && wildcard { numbered(&name, &mut taken) } else { unique(name, &mut taken) };
                    SelectItem::ExprWithAlias { expr, alias: quoted(&alias) }
                }
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let name = folded(&alias);
                let alias = quoted(&unique(name, &mut taken));
                SelectItem::ExprWithAlias { expr, alias }
            }
            other => other,
        };
    }
}

/// Names that several columns have.
fn repeated(select: &Select) -> HashSet<String> {
    let (mut seen, mut repeated) = (HashSet::new(), HashSet::new());
    for name in select.projection.iter().filter_map(item_name) {
        if !seen.insert(name.clone()) {
            repeated.insert(name);
        }
    }
    repeated
}

/// The name of the one column that an item is.
pub(in crate::dialect) fn item_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::UnnamedExpr(expr) => Some(column_name(expr)),
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => None,
    }
}

/// Whether another expression will stand in a column's place, so that it must keep the name.
fn is_replaced(expr: &Expr, name: &str) -> bool {
    is_keyword_function(expr) || matches!(name, "tableoid" | "xmin" | "xmax" | "cmin" | "cmax" | "ctid")
}

fn unique(name: String, taken: &mut HashSet<String>) -> String {
    if taken.insert(name.clone()) { name } else { numbered(&name, taken) }
}

fn numbered(name: &str, taken: &mut HashSet<String>) -> String {
    let mut number = 1_usize;
    loop {
        let candidate = told_apart(name, number);
        if taken.insert(candidate.clone()) {
            return candidate;
        }
        number += 1;
    }
}

/// The name PostgreSQL gives an expression without an alias.
pub(in crate::dialect) fn column_name(expr: &Expr) -> String {
    figure(expr).map_or_else(|| "?column?".to_owned(), |(name, _)| name)
}

/// How much a name says: a type's name or `case` gives way to a better one inside.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strength {
    Weak,
    Strong,
}

fn strong(name: &str) -> Option<(String, Strength)> {
    Some((name.to_owned(), Strength::Strong))
}

fn figure(expr: &Expr) -> Option<(String, Strength)> {
    match expr {
        Expr::Identifier(ident) => Some((folded(ident), Strength::Strong)),
        Expr::CompoundIdentifier(idents) => idents.last().map(|i| (folded(i), Strength::Strong)),
        Expr::CompoundFieldAccess { root, access_chain } => {
            let field = access_chain.iter().rev().find_map(|access| match access {
                AccessExpr::Dot(Expr::Identifier(ident)) => Some((folded(ident), Strength::Strong)),
                AccessExpr::Dot(_) | AccessExpr::Subscript(_) => None,
            });
            field.or_else(|| figure(root))
        }
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => figure(inner),
        Expr::Function(function) => function_name(function),
        Expr::Cast { expr, data_type, .. } => match figure(expr) {
            Some((name, Strength::Strong)) => Some((name, Strength::Strong)),
            _ => Some((type_name(data_type), Strength::Weak)),
        },
        Expr::TypedString(typed) => Some((type_name(&typed.data_type), Strength::Weak)),
        Expr::Interval(_) => Some(("interval".to_owned(), Strength::Weak)),
        Expr::Case { else_result, .. } => match else_result.as_deref().and_then(figure) {
            Some((name, Strength::Strong)) => Some((name, Strength::Strong)),
            _ => Some(("case".to_owned(), Strength::Weak)),
        },
        Expr::Subquery(query) => subquery_name(query),
        Expr::Exists { negated: false, .. } => strong("exists"),
        Expr::Array(_) => strong("array"),
        Expr::Tuple(_) => strong("row"),
        Expr::IsNormalized { negated: false, .. } => strong("is_normalized"),
        Expr::Extract { .. } => strong("extract"),
        Expr::Substring { shorthand: true, .. } => strong("substr"),
        Expr::Substring { .. } => strong("substring"),
        Expr::Position { .. } => strong("position"),
        Expr::BinaryOp { op: BinaryOperator::Overlaps, .. } => strong("overlaps"),
        Expr::Overlay { .. } => strong("overlay"),
        Expr::Ceil { .. } => strong("ceil"),
        Expr::Floor { .. } => strong("floor"),
        Expr::AtTimeZone { .. } => strong("timezone"),
        Expr::Trim { trim_where, .. } => strong(match trim_where {
            Some(TrimWhereField::Leading) => "ltrim",
            Some(TrimWhereField::Trailing) => "rtrim",
            Some(TrimWhereField::Both) | None => "btrim",
        }),
        _ => None,
    }
}

fn function_name(function: &Function) -> Option<(String, Strength)> {
    let name = parts(&function.name)?.pop()?;
    if name == "array" && matches!(function.args, FunctionArguments::Subquery(_)) {
        return strong("array");
    }
    // What has become a call of another name while it was read.
    match name.as_str() {
        "substring_similar" => strong("substring"),
        MEMBERS => strong("json_object"),
        _ => Some((name, Strength::Strong)),
    }
}

fn subquery_name(query: &Query) -> Option<(String, Strength)> {
    if let SetExpr::Values(_) = query.body.as_ref() {
        return strong("column1");
    }
    match plain_select(query)?.projection.first()? {
        SelectItem::UnnamedExpr(expr) => figure(expr).map(|(name, _)| (name, Strength::Strong)),
        SelectItem::ExprWithAlias { alias, .. } => {
            let name = folded(alias);
            Some((output_name(&name).to_owned(), Strength::Strong))
        }
        SelectItem::ExprWithAliases { .. } | SelectItem::QualifiedWildcard(..) | SelectItem::Wildcard(_) => None,
    }
}

/// `pg_type.typname` of a type as written.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean | DataType::Bool => "bool".to_owned(),
        DataType::SmallInt(_) | DataType::Int2(_) => "int2".to_owned(),
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => "int4".to_owned(),
        DataType::BigInt(_) | DataType::Int8(_) => "int8".to_owned(),
        DataType::Real | DataType::Float4 | DataType::Float(ExactNumberInfo::Precision(..=24)) => "float4".to_owned(),
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float(_) => "float8".to_owned(),
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => "numeric".to_owned(),
        DataType::Varchar(_) | DataType::CharacterVarying(_) | DataType::CharVarying(_) => "varchar".to_owned(),
        DataType::Char(_) | DataType::Character(_) => "bpchar".to_owned(),
        DataType::Text => "text".to_owned(),
        DataType::Bytea => "bytea".to_owned(),
        DataType::Date => "date".to_owned(),
        DataType::Time(_, zone) => if zoned(zone) { "timetz" } else { "time" }.to_owned(),
        DataType::Timestamp(_, zone) => if zoned(zone) { "timestamptz" } else { "timestamp" }.to_owned(),
        DataType::Interval { .. } => "interval".to_owned(),
        DataType::Uuid => "uuid".to_owned(),
        DataType::Bit(_) => "bit".to_owned(),
        DataType::BitVarying(_) | DataType::VarBit(_) => "varbit".to_owned(),
        DataType::JSON => "json".to_owned(),
        DataType::JSONB => "jsonb".to_owned(),
        DataType::Regclass => "regclass".to_owned(),
        DataType::Custom(name, _) => parts(name).and_then(|mut p| p.pop()).unwrap_or_default(),
        other => crate::dialect::ast::element_type(other).map_or_else(|| other.to_string().to_lowercase(), type_name),
    }
}

fn zoned(zone: &datafusion::sql::sqlparser::ast::TimezoneInfo) -> bool {
    use datafusion::sql::sqlparser::ast::TimezoneInfo;
    matches!(zone, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::ast::Statement;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    /// Expected names are those that PostgreSQL 15 gave.
    #[test]
    fn unnamed_columns_get_the_names_postgres_gives() {
        let check = |sql: &str, expected: &[&str]| {
            let mut statements = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
            let Some(Statement::Query(query)) = statements.first_mut() else { panic!("{sql}") };
            let SetExpr::Select(select) = query.body.as_mut() else { panic!("{sql}") };
            name_columns(select, true);
            let names: Vec<String> = select
                .projection
                .iter()
                .map(|item| match item {
                    SelectItem::UnnamedExpr(e) => column_name(e),
                    SelectItem::ExprWithAlias { alias, .. } => output_name(&alias.value).to_owned(),
                    other => other.to_string(),
                })
                .collect();
            assert_eq!(names, expected, "{sql}");
        };
        check("SELECT 1, NULL, NULL, 'a', 1+1, -a FROM t", &["?column?"; 6]);
        check("SELECT a, t.B, t.\"B\", a FROM t", &["a", "b", "B", "a"]);
        check(
            "SELECT 1::int, 'x'::text, a::int, now()::date, '1'::regclass FROM t",
            &["int4", "text", "a", "now", "regclass"],
        );
        check(
            "SELECT upper(a), pg_catalog.upper(a), count(*), coalesce(a,b) FROM t",
            &["upper", "upper", "count", "coalesce"],
        );
        check("SELECT CASE WHEN a THEN 1 END, CASE WHEN a THEN 1 ELSE b END FROM t", &["case", "b"]);
        check(
            "SELECT (SELECT x FROM u), EXISTS(SELECT 1), ARRAY(SELECT 1), ARRAY[1], (SELECT 1 AS z)",
            &["x", "exists", "array", "array", "z"],
        );
        check("SELECT a[1], (f(a)).n, a COLLATE \"C\" FROM t", &["a", "n", "a"]);
        check(
            "SELECT substring(a from 1), trim(a), position('a' in a), extract(year from a) FROM t",
            &["substring", "btrim", "position", "extract"],
        );
        check("SELECT current_user, date '2020-01-01', interval '1 day'", &["current_user", "date", "interval"]);
        check("SELECT 1 AS a, 2 AS a, 3 AS A", &["a", "a", "a"]);
    }

    #[test]
    fn inside_of_another_statement_no_equal_name_stays() {
        let sql = "SELECT a, b, t.a, 1 AS c FROM t";
        let Statement::Query(query) = &Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap()[0] else { panic!() };
        let SetExpr::Select(select) = query.body.as_ref() else { panic!() };
        let mut select = select.as_ref().clone();
        name_columns(&mut select, false);
        let names: Vec<String> = select.projection.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["a AS \"a\u{1}1\"", "b", "t.a AS \"a\u{1}2\"", "1 AS \"c\""]);
    }
}
