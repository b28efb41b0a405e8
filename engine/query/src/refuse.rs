//! Parts of a query that the engine would leave out in silence are refused by name.

use datafusion::sql::sqlparser::ast::{Expr, Query, Select, Statement, TableFactor, UnaryOperator, Visit, Visitor};
use querygate_types::{Error, ErrorCode, Result};
use std::ops::ControlFlow;

/// Refuses what would be ignored.
pub(crate) fn refuse_ignored(statement: &Statement) -> Result<()> {
    match statement.visit(&mut Ignored) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(what) => Err(Error::new(ErrorCode::FeatureNotSupported, format!("{what} is not supported"))),
    }
}

struct Ignored;

impl Visitor for Ignored {
    type Break = &'static str;

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<Self::Break> {
        let found = if !query.locks.is_empty() {
            Some("FOR UPDATE or FOR SHARE")
        } else if query.for_clause.is_some() || query.format_clause.is_some() || query.settings.is_some() {
            Some("this clause")
        } else if !query.pipe_operators.is_empty() {
            Some("a pipe operator")
        } else {
            None
        };
        found.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<Self::Break> {
        if let Some(what) = of_select(select) {
            return ControlFlow::Break(what);
        }
        let conditions = [&select.selection, &select.having];
        conditions.into_iter().flatten().try_for_each(|condition| condition.visit(&mut Conditions))
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        match factor {
            TableFactor::Table { sample: Some(_), .. } | TableFactor::Derived { sample: Some(_), .. } => {
                ControlFlow::Break("TABLESAMPLE")
            }
            TableFactor::Table { version: Some(_), .. } => ControlFlow::Break("a table version"),
            TableFactor::Table { partitions, .. } if !partitions.is_empty() => ControlFlow::Break("a partition list"),
            _ => ControlFlow::Continue(()),
        }
    }
}

/// What the engine gets wrong where it chooses rows.
struct Conditions;

impl Visitor for Conditions {
    type Break = &'static str;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Self::Break> {
        let negated = match expr {
            Expr::InSubquery { expr, negated: true, .. } => Some(expr),
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => match bare(expr) {
                Expr::InSubquery { expr, negated: false, .. } => Some(expr),
                _ => None,
            },
            _ => None,
        };
        // It becomes an anti join that forgets what a NULL in the list means.
        if negated.is_some_and(|left| !reads_column(left)) {
            return ControlFlow::Break("NOT IN of a constant over a subquery");
        }
        ControlFlow::Continue(())
    }
}

fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => bare(inner),
        other => other,
    }
}

fn reads_column(expr: &Expr) -> bool {
    struct Columns(bool);
    impl Visitor for Columns {
        type Break = ();
        fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            self.0 |= matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
            ControlFlow::Continue(())
        }
    }
    let mut columns = Columns(false);
    let _ = expr.visit(&mut columns);
    columns.0
}

fn of_select(select: &Select) -> Option<&'static str> {
    if select.into.is_some() {
        return Some("SELECT INTO");
    }
    if select.top.is_some() {
        return Some("TOP");
    }
    let foreign = !select.lateral_views.is_empty()
        || select.prewhere.is_some()
        || !select.cluster_by.is_empty()
        || !select.distribute_by.is_empty()
        || !select.sort_by.is_empty()
        || !select.connect_by.is_empty();
    foreign.then_some("this clause")
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
    use datafusion::sql::sqlparser::parser::Parser;

    fn judge(sql: &str) -> bool {
        let mut parsed = Parser::parse_sql(&PostgreSqlDialect {}, sql).unwrap();
        refuse_ignored(&parsed.remove(0)).is_ok()
    }

    #[test]
    fn what_would_be_ignored_is_refused() {
        for sql in [
            "select * from t for update",
            "select * from t for share",
            "select * from t tablesample bernoulli (10)",
            "select * into x from t",
            "select 1 union select * into x from t",
            "select 1 where exists (select 1 from t for update)",
            "select 1 from t where 'x' not in (select a from u)",
            "select 1 from t where not ('x' in (select a from u))",
        ] {
            assert!(!judge(sql), "{sql}");
        }
        assert!(judge("select a, count(*) from t where a not in (select 1) and 'x' in (select b from u)"));
        assert!(judge(
            "select a, count(*) from t join u using (a) where b in (select 1) group by a having true order by 1 limit 1"
        ));
    }
}
