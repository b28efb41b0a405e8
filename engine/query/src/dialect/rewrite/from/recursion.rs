//! What a recursive query may look like. The engine would look for its table where PostgreSQL says what is wrong.

use crate::dialect::ast::parts;
use crate::sql::walk::{ON, Reader, Step, look};
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, SetExpr, SetOperator};
use querygate_types::{Error, ErrorCode, Result};

/// Refuses WITH queries that refer to themselves otherwise than once, in the second term of a UNION.
pub(in crate::dialect) fn check(query: &Query) -> Result<()> {
    let Some(with) = query.with.as_ref().filter(|with| with.recursive) else { return Ok(()) };
    for table in &with.cte_tables {
        let name = crate::dialect::ast::folded(&table.alias.name);
        if references(&table.query, &name) == 0 {
            continue;
        }
        let refused = |what: &str| Err(Error::new(ErrorCode::InvalidRecursion, what.replace("{}", &name)));
        let SetExpr::SetOperation { op: SetOperator::Union, left, right, .. } = table.query.body.as_ref() else {
            return refused(
                "recursive query \"{}\" does not have the form non-recursive-term UNION [ALL] recursive-term",
            );
        };
        if references(left.as_ref(), &name) > 0 {
            return refused("recursive reference to query \"{}\" must not appear within its non-recursive term");
        }
        if references(right.as_ref(), &name) > 1 {
            return refused("recursive reference to query \"{}\" must not appear more than once");
        }
        if references(right.as_ref(), &name) == 0 {
            return refused(
                "recursive query \"{}\" does not have the form non-recursive-term UNION [ALL] recursive-term",
            );
        }
        let bounds = [
            (table.query.order_by.is_some(), "ORDER BY"),
            (table.query.limit_clause.is_some(), "LIMIT"),
            (table.query.fetch.is_some(), "FETCH"),
        ];
        if let Some((_, clause)) = bounds.iter().find(|(present, _)| *present) {
            let message = format!("{clause} in a recursive query is not supported");
            return Err(Error::new(ErrorCode::FeatureNotSupported, message));
        }
        if within_subquery(right, &name) {
            return refused("recursive reference to query \"{}\" must not appear within a subquery");
        }
    }
    Ok(())
}

struct Counter<'a> {
    name: &'a str,
    found: usize,
    /// WITH queries of the same name that hide it.
    hidden: usize,
}

fn hides(query: &Query, name: &str) -> bool {
    let tables = query.with.iter().flat_map(|with| &with.cte_tables);
    tables.into_iter().any(|table| crate::dialect::ast::folded(&table.alias.name) == name)
}

impl Reader for Counter<'_> {
    fn query(&mut self, query: &Query) -> Step {
        self.hidden += usize::from(hides(query, self.name));
        ON
    }

    fn after_query(&mut self, query: &Query) -> Step {
        self.hidden -= usize::from(hides(query, self.name));
        ON
    }

    fn relation(&mut self, relation: &ObjectName) -> Step {
        let is_it = parts(relation).is_some_and(|names| matches!(names.as_slice(), [name] if name == self.name));
        self.found += usize::from(is_it && self.hidden == 0);
        ON
    }
}

fn references(tree: &impl datafusion::sql::sqlparser::ast::Visit, name: &str) -> usize {
    let mut counter = Counter { name, found: 0, hidden: 0 };
    look(tree, &mut counter);
    counter.found
}

/// Whether an expression holds a query over the table.
fn within_subquery(term: &SetExpr, name: &str) -> bool {
    struct Expressions<'a> {
        name: &'a str,
        found: bool,
    }
    impl Reader for Expressions<'_> {
        fn expr(&mut self, expr: &Expr) -> Step {
            let query = match expr {
                Expr::Subquery(query)
                | Expr::Exists { subquery: query, .. }
                | Expr::InSubquery { subquery: query, .. } => Some(query),
                _ => None,
            };
            self.found |= query.is_some_and(|query| references(query.as_ref(), self.name) > 0);
            ON
        }
    }
    let mut expressions = Expressions { name, found: false };
    look(term, &mut expressions);
    expressions.found
}
