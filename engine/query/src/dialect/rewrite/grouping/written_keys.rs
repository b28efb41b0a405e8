//! Keys of GROUP BY that a statement writes, apart from those that the engine adds: beside the key of a table it adds all columns of
//! the table, whether their reader may read them or not. So a key with the name of a column that may not be read is there twice,
//! once as a call, which is judged as what the statement says and goes once names are looked up.

use super::group_by::APART;
use super::sets::is_sets;
use crate::dialect::ast::{call, folded, text};
use crate::dialect::rewrite::Rewriter;
use crate::sql::walk::{ON, Reader, Step, Stop, finds};
use datafusion::logical_expr::Expr as Planned;
use datafusion::sql::sqlparser::ast::{Expr, GroupByExpr, Select};

/// The second argument of such a call.
const WRITTEN: &str = "written";

/// Adds the calls to the GROUP BY of a SELECT. Last of all, so that nothing else takes them for keys.
pub(in crate::dialect) fn mark(rewriter: &Rewriter<'_>, select: &mut Select) {
    let GroupByExpr::Expressions(keys, _) = &mut select.group_by else { return };
    // In sets the engine adds nothing.
    let named = keys.iter().filter(|key| !is_sets(key) && finds(*key, &mut Denied(rewriter)));
    let marks: Vec<Expr> = named.map(|key| call(APART, vec![key.clone(), text(WRITTEN)])).collect();
    keys.extend(marks);
}

/// Whether a planned key is such a call.
pub(crate) fn is_written_key(key: &Planned) -> bool {
    let Planned::ScalarFunction(function) = key else { return false };
    let is_mark =
        |arg: &Planned| matches!(arg, Planned::Literal(mark, _) if mark.try_as_str().flatten() == Some(WRITTEN));
    function.name() == APART && function.args.get(1).is_some_and(is_mark)
}

/// Finds names that a column has which may not be read.
struct Denied<'a>(&'a Rewriter<'a>);

impl Reader for Denied<'_> {
    fn expr(&mut self, expr: &Expr) -> Step {
        let name = match expr {
            Expr::Identifier(name) => Some(name),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        let is_denied = name.is_some_and(|name| self.0.may_be_denied(&folded(name)));
        if is_denied { Step::Break(Stop::Found) } else { ON }
    }
}
