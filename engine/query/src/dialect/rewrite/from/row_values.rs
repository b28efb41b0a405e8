//! A table's alias as a value: `row_to_json(t)`, `count(t)`, `SELECT t FROM t`, `t IS NULL`, `(t).column`. Where its columns are
//! not known, it stays a name. `t.*` in an expression is the same, and is refused where it stays: the engine would read nothing.

use super::names::column_name;
use super::rows::{Row, Scope, are_unlike};
use crate::dialect::ast::{aliased, call, folded, parts, quoted, text};
use crate::dialect::rewrite::Rewriter;
use crate::dialect::rewrite::expressions::calls::unqualified;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, ObjectName, SelectItem,
};
use querygate_query_api::own_names::told_apart;
use querygate_types::{Error, ErrorCode, Result};

/// Aliases that stand for a value, where no column has the name, with that value.
pub(super) fn values(scope: &Scope) -> Vec<(String, Expr)> {
    let named = |name: &str| scope.values().any(|row| row.may_have(name));
    let rows = scope.iter().filter(|(alias, row)| row.scalar && !named(alias));
    rows.filter_map(|(alias, row)| Some((alias.clone(), self::named(alias, row, false)?))).collect()
}

/// Select items that are an alias; their names stay.
pub(in crate::dialect) fn items(rewriter: &Rewriter<'_>, items: &mut [SelectItem]) {
    for item in items {
        let (expr, name) = match &*item {
            SelectItem::UnnamedExpr(expr) => (expr, column_name(expr)),
            SelectItem::ExprWithAlias { expr, alias } => (expr, folded(alias)),
            _ => continue,
        };
        if !is_wildcard(expr)
            && let Some(row) = row_of(rewriter, expr)
        {
            *item = aliased(row, &name);
        }
    }
}

/// `(t.*)`, which among the columns of a SELECT is columns, and no row.
fn is_wildcard(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_wildcard(inner),
        other => matches!(other, Expr::QualifiedWildcard(..)),
    }
}

/// Aliases inside of an expression, at places where a name that is no column is a row.
///
/// # Errors
/// 0A000: rows are counted that an outer join may leave out, and their columns are not known; `t.*` has no meaning here.
pub(in crate::dialect) fn rewrite(rewriter: &Rewriter<'_>, expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Function(function) => in_call(rewriter, function)?,
        Expr::IsNull(inner) => {
            if let Some(all) = each(rewriter, inner, |column| Expr::IsNull(Box::new(column))) {
                *expr = all;
            }
        }
        Expr::IsNotNull(inner) => {
            if let Some(all) = each(rewriter, inner, |column| Expr::IsNotNull(Box::new(column))) {
                *expr = all;
            }
        }
        Expr::Cast { expr: inner, .. } => put_row(rewriter, inner),
        Expr::BinaryOp { left, op, right } if is_comparison(op) => put_rows(rewriter, left, right),
        Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => put_rows(rewriter, left, right),
        Expr::Identifier(_) | Expr::QualifiedWildcard(..) => {
            if let Some((alias, row)) = alias(rewriter, expr)
                && row.scalar
                && let Some(value) = named(&alias, row, false)
            {
                *expr = value;
            } else if let Expr::QualifiedWildcard(name, _) = expr {
                return Err(no_value(name));
            }
        }
        Expr::CompoundFieldAccess { root, access_chain } => {
            if let Some((alias, _)) = alias(rewriter, root)
                && let [datafusion::sql::sqlparser::ast::AccessExpr::Dot(Expr::Identifier(field))] =
                    access_chain.as_slice()
            {
                *expr = Expr::CompoundIdentifier(vec![quoted(&alias), field.clone()]);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Aliases among the arguments of a call.
fn in_call(rewriter: &Rewriter<'_>, function: &mut Function) -> Result<()> {
    let FunctionArguments::List(list) = &mut function.args else { return Ok(()) };
    // `row(t.*)` is a row of the columns, not of a row.
    let spreads = unqualified(&function.name).is_some_and(|name| name == "row" || name == "record_of");
    if spreads {
        let spread = std::mem::take(&mut list.args).into_iter().flat_map(|argument| spread(rewriter, argument));
        list.args = spread.collect();
    }
    // What is counted is whether there is a row.
    let counts = unqualified(&function.name).is_some_and(|name| name == "count");
    for argument in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name)) = argument
            && let Some((alias, row)) = table(rewriter, name)
        {
            if let Some(row) = named(&alias, row, counts) {
                *argument = FunctionArg::Unnamed(FunctionArgExpr::Expr(row));
            } else if counts && row.absent {
                // The engine would count the rows of the join.
                let message = "rows of a table whose columns are not known cannot be counted behind an outer join";
                return Err(Error::new(ErrorCode::FeatureNotSupported, message).with_hint("Count one of its columns."));
            }
        }
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)) = argument
            && let Some((alias, row)) = alias(rewriter, argument)
            && let Some(row) = named(&alias, row, counts)
        {
            *argument = row;
        }
        if !counts && let FunctionArgExpr::QualifiedWildcard(name) = value_of(argument) {
            return Err(no_value(name));
        }
    }
    Ok(())
}

const fn is_comparison(op: &BinaryOperator) -> bool {
    matches!(
        op,
        BinaryOperator::Eq
            | BinaryOperator::NotEq
            | BinaryOperator::Lt
            | BinaryOperator::LtEq
            | BinaryOperator::Gt
            | BinaryOperator::GtEq
    )
}

/// Puts a row in place of its alias; whatever else there is stays.
fn put_row(rewriter: &Rewriter<'_>, expr: &mut Expr) {
    if let Some(row) = row_of(rewriter, expr) {
        *expr = row;
    }
}

/// Puts rows in the places of two sides that are compared, where both are aliases.
fn put_rows(rewriter: &Rewriter<'_>, left: &mut Expr, right: &mut Expr) {
    if let (Some(one), Some(other)) = (row_of(rewriter, left), row_of(rewriter, right)) {
        (*left, *right) = (one, other);
    }
}

/// The alias that an expression is, with its row.
fn alias<'a>(rewriter: &'a Rewriter<'_>, expr: &Expr) -> Option<(String, &'a Row)> {
    let name = match expr {
        Expr::Nested(inner) => return alias(rewriter, inner),
        Expr::QualifiedWildcard(name, _) => return table(rewriter, name),
        Expr::Identifier(ident) => folded(ident),
        _ => return None,
    };
    for scope in rewriter.rows().iter().rev() {
        // A column of that name comes first; of a table whose columns are not known, it may be one.
        if scope.values().any(|row| row.columns.as_ref().is_none_or(|columns| columns.contains(&name))) {
            return None;
        }
        if let Some(row) = scope.get(&name) {
            return Some((name, row));
        }
    }
    None
}

fn column(alias: &str, name: &str) -> Expr {
    Expr::CompoundIdentifier(vec![quoted(alias), quoted(name)])
}

fn row_of(rewriter: &Rewriter<'_>, expr: &Expr) -> Option<Expr> {
    let (alias, row) = alias(rewriter, expr)?;
    named(&alias, row, false)
}

/// A row under the names of its columns. Of two columns under one name it could not say which is which; `counted`: it need not.
fn named(alias: &str, row: &Row, counted: bool) -> Option<Expr> {
    let columns = row.columns.as_ref()?;
    if row.scalar {
        return columns.first().map(|value| column(alias, value));
    }
    if !counted && !are_unlike(columns) {
        return None;
    }
    let fields = columns.iter().zip(apart(columns)).flat_map(|(name, own)| [text(name), column(alias, &own)]).collect();
    Some(call(if row.absent { "row_if_any" } else { "row_named" }, fields))
}

/// The names of a query's columns as [`super::names::name_columns`] numbers them.
fn apart(columns: &[String]) -> Vec<String> {
    let count = |columns: &[String], name: &String| columns.iter().filter(|other| *other == name).count();
    let named = |(at, name): (usize, &String)| {
        let before = columns.get(..at).unwrap_or_default();
        if count(columns, name) > 1 { told_apart(name, count(before, name) + 1) } else { name.clone() }
    };
    columns.iter().enumerate().map(named).collect()
}

/// The columns that `t.*` is among the fields of a row; what has no known columns stays.
fn spread(rewriter: &Rewriter<'_>, argument: FunctionArg) -> Vec<FunctionArg> {
    if let FunctionArg::Unnamed(
        FunctionArgExpr::QualifiedWildcard(name) | FunctionArgExpr::Expr(Expr::QualifiedWildcard(name, _)),
    ) = &argument
        && let Some((alias, Row { columns: Some(columns), .. })) = table(rewriter, name)
        && are_unlike(columns)
    {
        let fields = columns.iter().map(|name| FunctionArg::Unnamed(FunctionArgExpr::Expr(column(&alias, name))));
        return fields.collect();
    }
    vec![argument]
}

fn table<'a>(rewriter: &'a Rewriter<'_>, name: &ObjectName) -> Option<(String, &'a Row)> {
    let [alias] = <[String; 1]>::try_from(parts(name)?).ok()?;
    let row = rewriter.rows().iter().rev().find_map(|scope| scope.get(&alias))?;
    Some((alias, row))
}

/// What is given for an argument.
const fn value_of(argument: &FunctionArg) -> &FunctionArgExpr {
    match argument {
        FunctionArg::Unnamed(value)
        | FunctionArg::Named { arg: value, .. }
        | FunctionArg::ExprNamed { arg: value, .. } => value,
    }
}

/// 0A000: all columns of a table where no row is wanted, or where its columns are not known.
fn no_value(table: &ObjectName) -> Error {
    let message = format!("{table}.* as a value is not supported here");
    Error::new(ErrorCode::FeatureNotSupported, message).with_hint("Name the columns that are wanted.")
}

/// A condition on each column of a row.
fn each(rewriter: &Rewriter<'_>, expr: &Expr, condition: impl Fn(Expr) -> Expr) -> Option<Expr> {
    let (alias, row) = alias(rewriter, expr)?;
    let columns = row.columns.as_ref().filter(|columns| are_unlike(columns))?;
    let all = columns.iter().map(|name| condition(column(&alias, name))).reduce(|left, right| Expr::BinaryOp {
        left: Box::new(left),
        op: BinaryOperator::And,
        right: Box::new(right),
    })?;
    Some(Expr::Nested(Box::new(all)))
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    /// `t.*` in an expression is the row that `t` is.
    #[test]
    fn a_wildcard_is_the_row_that_its_alias_is() {
        let reader = Shop::open().owner();
        let rows = |sql: &str| reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let all = rows("SELECT id FROM accounts a").len();
        assert_eq!(rows("SELECT id FROM accounts a WHERE a IS NOT NULL").len(), 4, "of {all}");
        for sql in [
            "SELECT id FROM accounts {a} WHERE a IS NOT NULL ORDER BY id",
            "SELECT id FROM accounts {a} WHERE a IS NULL ORDER BY id",
            "SELECT id FROM accounts {a} WHERE NOT (a IS NULL) ORDER BY id",
            "SELECT id, CASE WHEN a IS NOT NULL THEN 1 ELSE 0 END FROM accounts {a} ORDER BY id",
            "SELECT count(*) FILTER (WHERE a IS NOT NULL) FROM accounts {a}",
            "SELECT id FROM accounts {a} WHERE a = a ORDER BY id",
            "SELECT id FROM accounts {a} WHERE a <> a",
            "SELECT id FROM accounts {a} WHERE a IS NOT DISTINCT FROM a ORDER BY id",
            "SELECT v.id FROM visits v LEFT JOIN accounts {a} ON false WHERE a IS NULL ORDER BY v.id",
            "SELECT v.id FROM visits v LEFT JOIN accounts {a} ON a.id = v.account_id WHERE a IS NOT NULL ORDER BY v.id",
            "SELECT v.id FROM visits v LEFT JOIN accounts {a} ON a.id = v.account_id AND a IS NULL WHERE a IS NULL ORDER BY v.id",
            "SELECT v.id FROM visits v WHERE EXISTS (SELECT 1 FROM accounts {a} WHERE a IS NOT NULL AND a.id = v.account_id) ORDER BY v.id",
            "SELECT id FROM accounts {a} WHERE EXISTS (SELECT 1 FROM visits v WHERE a IS NOT NULL) ORDER BY id",
            "SELECT id FROM accounts {a} WHERE EXISTS (SELECT 1 FROM visits, accounts b WHERE a IS NOT NULL) ORDER BY id",
            "SELECT a.id, max(a.rating) FROM accounts {a} GROUP BY a.id HAVING a IS NOT NULL ORDER BY 1",
            "SELECT id FROM (SELECT id, rating FROM accounts) {a} WHERE a IS NOT NULL ORDER BY id",
            "WITH a AS (SELECT id, rating FROM accounts) SELECT id FROM a WHERE a IS NOT NULL ORDER BY id",
            "SELECT * FROM (VALUES (1, NULL), (2, 3)) {a}(x, y) WHERE a IS NOT NULL",
            "SELECT count(a), count(DISTINCT a) FROM accounts {a}",
            "SELECT row_to_json(a) FROM accounts {a} ORDER BY a.id",
        ] {
            let named = sql.replace("{a}", "a");
            let starred = named.replace("(a)", "(a.*)").replace("DISTINCT a)", "DISTINCT a.*)");
            let starred =
                starred.replace("a IS", "a.* IS").replace("a = a", "a.* = a.*").replace("a <> a", "a.* <> (a.*)");
            let starred = starred.replace("FROM a O", "FROM a.* O");
            assert_ne!(named, starred);
            assert_eq!(rows(&named), rows(&starred), "{starred}");
            let nested = starred.replace("a.* IS", "(a.*) IS");
            assert_eq!(rows(&named), rows(&nested), "{nested}");
        }
        assert_eq!(
            rows("SELECT (a)::text FROM accounts a ORDER BY id"),
            rows("SELECT (a.*)::text FROM accounts a ORDER BY id")
        );
        assert_eq!(
            rows("SELECT (a.*, 1) FROM accounts a ORDER BY a.id"),
            rows("SELECT ROW(a.*, 1) FROM accounts a ORDER BY a.id")
        );
        assert_eq!(rows("SELECT g FROM generate_series(1, 2) g WHERE g.* IS NOT NULL").len(), 2);
    }

    /// Nothing passes over a `t.*` whose row has no meaning where it stands.
    #[test]
    fn a_wildcard_that_is_no_row_is_refused() {
        let reader = Shop::open().owner();
        for sql in [
            "SELECT id FROM accounts a WHERE nosuch.* IS NULL",
            "SELECT id FROM accounts WHERE public.accounts.* IS NULL",
            "SELECT id FROM accounts a WHERE a.* IS UNKNOWN",
            "SELECT id FROM accounts a WHERE a.* IS TRUE",
            "SELECT id FROM accounts a WHERE NOT a.*",
            "SELECT id FROM accounts a WHERE a.*",
            "SELECT id FROM accounts a WHERE a.* IN (a.*)",
            "SELECT id FROM accounts a WHERE a.* BETWEEN a.* AND a.*",
            "SELECT id FROM accounts a WHERE (a.*, 1) IS NOT NULL",
            "SELECT id FROM accounts a WHERE a.* = 1",
            "SELECT id FROM accounts a ORDER BY a.*",
            "SELECT count(*) FROM accounts a GROUP BY a.*",
            "SELECT (a.*) FROM accounts a",
            "SELECT ARRAY[a.*] FROM accounts a",
            "SELECT coalesce(nosuch.*) FROM accounts a",
        ] {
            let error = reader.bind(sql).map(drop).unwrap_err();
            assert_eq!(error.code().sqlstate(), "0A000", "{sql}: {error}");
            assert!(error.message().ends_with(".* as a value is not supported here"), "{sql}: {error}");
        }
    }
}
