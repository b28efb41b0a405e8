//! One walk over syntax trees for all who look for something in them.
//!
//! The parser's own visitors are generic: for each type of visitor the compiler writes the walk over the whole tree anew,
//! about a hundred kilobytes and a second of compile time each. Here it is written twice, to read and to change.

use datafusion::sql::sqlparser::ast::{
    Expr, ObjectName, Query, Select, TableFactor, Visit, VisitMut, Visitor, VisitorMut,
};
use querygate_types::{Error, Result};
use std::ops::ControlFlow;

/// Why a walk ends before the tree does.
pub(crate) enum Stop {
    /// What was looked for is found.
    Found,
    Refused(Error),
}

/// What a step of a walk says.
pub(crate) type Step = ControlFlow<Stop>;

/// The walk goes on.
pub(crate) const ON: Step = ControlFlow::Continue(());

/// The step after something that may be refused.
pub(crate) fn step(result: Result<()>) -> Step {
    match result {
        Ok(()) => ON,
        Err(error) => ControlFlow::Break(Stop::Refused(error)),
    }
}

/// Looks at the parts of a tree, each before those in it.
pub(crate) trait Reader {
    fn query(&mut self, _: &Query) -> Step {
        ON
    }

    /// After all parts of a query.
    fn after_query(&mut self, _: &Query) -> Step {
        ON
    }

    fn select(&mut self, _: &Select) -> Step {
        ON
    }

    fn relation(&mut self, _: &ObjectName) -> Step {
        ON
    }

    fn table_factor(&mut self, _: &TableFactor) -> Step {
        ON
    }

    fn expr(&mut self, _: &Expr) -> Step {
        ON
    }

    /// After all parts of an expression.
    fn after_expr(&mut self, _: &Expr) -> Step {
        ON
    }
}

/// Changes the parts of a tree in place. What a step puts in is walked over too, except after the parts.
pub(crate) trait Writer {
    fn query(&mut self, _: &mut Query) -> Step {
        ON
    }

    fn after_query(&mut self, _: &mut Query) -> Step {
        ON
    }

    fn select(&mut self, _: &mut Select) -> Step {
        ON
    }

    fn after_select(&mut self, _: &mut Select) -> Step {
        ON
    }

    fn relation(&mut self, _: &mut ObjectName) -> Step {
        ON
    }

    fn after_table_factor(&mut self, _: &mut TableFactor) -> Step {
        ON
    }

    fn expr(&mut self, _: &mut Expr) -> Step {
        ON
    }

    fn after_expr(&mut self, _: &mut Expr) -> Step {
        ON
    }
}

/// Walks over a tree.
///
/// # Errors
/// What the reader refuses.
pub(crate) fn read(tree: &impl Visit, reader: &mut dyn Reader) -> Result<()> {
    result(tree.visit(&mut Reading(reader)))
}

/// As [`read`], for a reader that never stops.
pub(crate) fn look(tree: &impl Visit, reader: &mut dyn Reader) {
    let _ = tree.visit(&mut Reading(reader));
}

/// Whether the reader finds in the tree what it looks for. A refusal counts as found.
pub(crate) fn finds(tree: &impl Visit, reader: &mut dyn Reader) -> bool {
    tree.visit(&mut Reading(reader)).is_break()
}

/// Walks over a tree and changes it.
///
/// # Errors
/// What the writer refuses; the tree is half changed then.
pub(crate) fn write(tree: &mut impl VisitMut, writer: &mut dyn Writer) -> Result<()> {
    result(tree.visit(&mut Writing(writer)))
}

fn result(end: Step) -> Result<()> {
    match end {
        ControlFlow::Continue(()) | ControlFlow::Break(Stop::Found) => Ok(()),
        ControlFlow::Break(Stop::Refused(error)) => Err(error),
    }
}

struct Reading<'a>(&'a mut dyn Reader);

impl Visitor for Reading<'_> {
    type Break = Stop;

    fn pre_visit_query(&mut self, query: &Query) -> Step {
        self.0.query(query)
    }

    fn post_visit_query(&mut self, query: &Query) -> Step {
        self.0.after_query(query)
    }

    fn pre_visit_select(&mut self, select: &Select) -> Step {
        self.0.select(select)
    }

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> Step {
        self.0.relation(relation)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> Step {
        self.0.table_factor(factor)
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> Step {
        self.0.expr(expr)
    }

    fn post_visit_expr(&mut self, expr: &Expr) -> Step {
        self.0.after_expr(expr)
    }
}

struct Writing<'a>(&'a mut dyn Writer);

impl VisitorMut for Writing<'_> {
    type Break = Stop;

    fn pre_visit_query(&mut self, query: &mut Query) -> Step {
        self.0.query(query)
    }

    fn post_visit_query(&mut self, query: &mut Query) -> Step {
        self.0.after_query(query)
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> Step {
        self.0.select(select)
    }

    fn post_visit_select(&mut self, select: &mut Select) -> Step {
        self.0.after_select(select)
    }

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> Step {
        self.0.relation(relation)
    }

    fn post_visit_table_factor(&mut self, factor: &mut TableFactor) -> Step {
        self.0.after_table_factor(factor)
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> Step {
        self.0.expr(expr)
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> Step {
        self.0.after_expr(expr)
    }
}
