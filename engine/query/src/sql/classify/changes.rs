//! Changes behind WITH. Their trees have none, so its queries go to the one place of the change that may read them: the query of an INSERT, a
//! table that is read beside the rows, or a subquery.

use super::unsupported;
use crate::sql::refuse::refused_later;
use crate::sql::walk::{ON, Step, Stop, Writer, write};
use datafusion::sql::sqlparser::ast::{
    Ident, ObjectName, Query, SetExpr, Statement as Ast, TableAlias, TableFactor, TableWithJoins, UpdateTableFromKind,
    With,
};
use querygate_types::{Error, ErrorCode, Result};

/// Whether a query is a change behind WITH.
pub(super) fn is_one(query: &Query) -> bool {
    matches!(query.body.as_ref(), SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_))
}

/// The change that such a query is, with WITH where it is read.
///
/// # Errors
/// 0A000 where none or several places may read it, for each would compute it anew, and where a query of WITH is a change itself.
pub(super) fn change(mut query: Query) -> Result<Ast> {
    if let Some(refused) = refused_later(&mut query) {
        return Err(refused);
    }
    let bare = query.order_by.is_none()
        && query.limit_clause.is_none()
        && query.fetch.is_none()
        && query.locks.is_empty()
        && query.for_clause.is_none()
        && query.settings.is_none()
        && query.format_clause.is_none()
        && query.pipe_operators.is_empty();
    if !bare {
        return Err(Error::new(ErrorCode::SyntaxError, "syntax error behind a change"));
    }
    let (SetExpr::Insert(mut ast) | SetExpr::Update(mut ast) | SetExpr::Delete(mut ast) | SetExpr::Merge(mut ast)) =
        *query.body
    else {
        return Err(Error::internal("a query was taken for a change"));
    };
    let Some(with) = query.with else { return Ok(ast) };
    if with.cte_tables.iter().any(|table| is_one(&table.query)) {
        return Err(unsupported("a change in WITH"));
    }
    let mut places = Places { with, depth: 0, found: 0 };
    // Those that are tables become queries of their own, which are not to get it twice.
    write(&mut ast, &mut places)?;
    places.tables(&mut ast)?;
    match places.found {
        1 => Ok(ast),
        _ => Err(unsupported("WITH before a change that reads at no place, or at several")
            .with_hint("Write WITH into the one query that reads it.")),
    }
}

/// The places of a change that may read WITH.
struct Places {
    with: With,
    /// Queries around the place of the walk.
    depth: usize,
    found: usize,
}

impl Places {
    /// Tables beside the changed one.
    fn tables(&mut self, ast: &mut Ast) -> Result<()> {
        match ast {
            Ast::Update(update) => match &mut update.from {
                Some(UpdateTableFromKind::BeforeSet(from) | UpdateTableFromKind::AfterSet(from)) => self.from(from),
                None => Ok(()),
            },
            Ast::Delete(delete) => self.from(delete.using.as_deref_mut().unwrap_or_default()),
            Ast::Merge(merge) => self.table(&mut merge.source),
            _ => Ok(()),
        }
    }

    fn from(&mut self, from: &mut [TableWithJoins]) -> Result<()> {
        for table in from {
            self.table(&mut table.relation)?;
            for join in &mut table.joins {
                self.table(&mut join.relation)?;
            }
        }
        Ok(())
    }

    fn table(&mut self, factor: &mut TableFactor) -> Result<()> {
        match factor {
            TableFactor::NestedJoin { table_with_joins, .. } => {
                self.from(std::slice::from_mut(table_with_joins.as_mut()))
            }
            TableFactor::Table { name, alias, args: None, .. } => {
                let Some(called) = self.query_named(name) else { return Ok(()) };
                let mut query = crate::sql::copy_from::table_query(name.clone(), Vec::new())?;
                query.with = Some(self.with.clone());
                let own = TableAlias { explicit: true, name: called, columns: Vec::new(), at: None };
                let alias = Some(alias.take().unwrap_or(own));
                *factor = TableFactor::Derived { lateral: false, subquery: query, alias, sample: None };
                self.found += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The name of a query of WITH, if a table is one.
    fn query_named(&self, name: &ObjectName) -> Option<Ident> {
        let [part] = name.0.as_slice() else { return None };
        let folded = |ident: &Ident| match ident.quote_style {
            None => ident.value.to_lowercase(),
            Some(_) => ident.value.clone(),
        };
        let named = part.as_ident()?;
        let is_it = self.with.cte_tables.iter().any(|table| folded(&table.alias.name) == folded(named));
        is_it.then(|| named.clone())
    }
}

impl Writer for Places {
    fn query(&mut self, query: &mut Query) -> Step {
        if self.depth == 0 {
            if query.with.is_some() {
                return Step::Break(Stop::Refused(unsupported("WITH in a change behind another one")));
            }
            query.with = Some(self.with.clone());
            self.found += 1;
        }
        self.depth += 1;
        ON
    }

    fn after_query(&mut self, _: &mut Query) -> Step {
        self.depth -= 1;
        ON
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::classify::Classified;
    use crate::sql::parse::parse;

    fn read(sql: &str) -> Result<String> {
        match parse(sql)?.remove(0).class() {
            Classified::Write(ast) => Ok(ast.to_string()),
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn the_queries_of_with_go_where_they_are_read() {
        for (change, same) in [
            (
                "WITH s AS (SELECT 1 AS id) INSERT INTO t (id) SELECT id FROM s RETURNING id",
                "INSERT INTO t (id) WITH s AS (SELECT 1 AS id) SELECT id FROM s RETURNING id",
            ),
            (
                "WITH RECURSIVE s AS (SELECT 1 AS id) UPDATE t SET a = x.id FROM S AS x WHERE x.id = t.id",
                "UPDATE t SET a = x.id FROM (WITH RECURSIVE s AS (SELECT 1 AS id) SELECT * FROM S) AS x WHERE x.id = t.id",
            ),
            (
                "WITH s AS (SELECT 1 AS id) DELETE FROM t USING s WHERE s.id = t.id",
                "DELETE FROM t USING (WITH s AS (SELECT 1 AS id) SELECT * FROM s) AS s WHERE s.id = t.id",
            ),
            (
                "WITH s AS (SELECT 1 AS id) DELETE FROM t WHERE id IN (SELECT id FROM s)",
                "DELETE FROM t WHERE id IN (WITH s AS (SELECT 1 AS id) SELECT id FROM s)",
            ),
            (
                "WITH t AS (SELECT 1 AS id) UPDATE t SET a = (SELECT max(id) FROM t)",
                "UPDATE t SET a = (WITH t AS (SELECT 1 AS id) SELECT max(id) FROM t)",
            ),
        ] {
            assert_eq!(read(change).unwrap(), same, "{change}");
        }
    }

    #[test]
    fn what_would_be_computed_twice_is_refused() {
        for sql in [
            "WITH s AS (SELECT 1 AS id) DELETE FROM t",
            "WITH s AS (SELECT 1 AS id) DELETE FROM t USING s WHERE t.id IN (SELECT id FROM s)",
            "WITH s AS (SELECT 1 AS id) INSERT INTO t (id) SELECT id FROM s RETURNING (SELECT max(id) FROM s)",
            "WITH s AS (SELECT 1 AS id) INSERT INTO t (id) WITH r AS (SELECT 2) SELECT id FROM s",
            "WITH d AS (DELETE FROM u RETURNING id) INSERT INTO t (id) SELECT id FROM d",
        ] {
            assert_eq!(read(sql).unwrap_err().code(), ErrorCode::FeatureNotSupported, "{sql}");
        }
    }
}
