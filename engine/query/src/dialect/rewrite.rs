//! The one pass over a statement's syntax tree before it is bound: each gap between PostgreSQL's surface and DataFusion's
//! planner is closed by a function of a neighbouring file. Knows no catalog content.

use super::{aggregates, calls, casts, constants, names, operators, relations};
use datafusion::sql::sqlparser::ast::{Expr, ObjectName, Query, Select, Statement, TableFactor, VisitMut, VisitorMut};
use querygate_types::{Error, Result};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// What the pass knows of the statement so far.
#[derive(Default)]
pub(super) struct Rewriter {
    /// Names of the WITH queries in scope, outermost first.
    ctes: Vec<HashSet<String>>,
    /// Aliases of catalog relations in scope with their ids, outermost first.
    scopes: Vec<HashMap<String, u32>>,
}

impl Rewriter {
    pub(super) fn is_cte(&self, name: &str) -> bool {
        self.ctes.iter().any(|names| names.contains(name))
    }

    pub(super) fn system_alias(&self, alias: &str) -> Option<u32> {
        self.scopes.iter().rev().find_map(|scope| scope.get(alias).copied())
    }

    /// The only catalog relation of the innermost FROM.
    pub(super) fn only_system_relation(&self) -> Option<u32> {
        let scope = self.scopes.last()?;
        scope.values().next().copied().filter(|_| scope.len() == 1)
    }
}

/// Rewrites a statement in place.
///
/// # Errors
/// 42704 and 22P02 for names and literals that PostgreSQL refuses too; 0A000 for what has no translation.
pub(crate) fn rewrite(statement: &mut Statement) -> Result<()> {
    let mut rewriter = Rewriter::default();
    match statement.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

fn flow(result: Result<()>) -> ControlFlow<Error> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

impl VisitorMut for Rewriter {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        let names =
            query.with.iter().flat_map(|w| &w.cte_tables).map(|cte| super::ast::folded(&cte.alias.name)).collect();
        self.ctes.push(names);
        constants::type_recursion(query);
        constants::type_values(query.body.as_mut());
        flow(relations::limit_of_fetch(query).and_then(|()| relations::expand_table(query)))
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<Error> {
        self.ctes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        if let Err(error) = relations::refuse_full_using(select) {
            return ControlFlow::Break(error);
        }
        self.scopes.push(relations::system_aliases(self, select));
        relations::wildcards(self, select);
        names::name_columns(select, self.ctes.len() == 1);
        calls::records(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, _: &mut Select) -> ControlFlow<Error> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<Error> {
        relations::qualify(self, relation);
        ControlFlow::Continue(())
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        flow(relations::functions_in_from(factor))
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        flow(calls::before_children(expr))
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        constants::interval(expr);
        constants::large_number(expr);
        aggregates::rewrite(expr);
        let steps = [operators::rewrite, casts::rewrite, calls::rewrite];
        for step in steps {
            if let Err(error) = step(expr) {
                return ControlFlow::Break(error);
            }
        }
        relations::system_columns(self, expr);
        ControlFlow::Continue(())
    }
}
