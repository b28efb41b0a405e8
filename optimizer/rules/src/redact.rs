//! Prints expressions for receipts: operators, functions and column names, no value. Knows no plan around them.

use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::Placeholder;

/// Most parts of a printed expression.
const NODES_MAX: usize = 100;
/// Longest printed expression, in characters.
const LENGTH_MAX: usize = 120;

/// An expression without its constants: `t.a > ?`.
pub(crate) fn redacted(expr: &Expr) -> String {
    if is_long(expr) {
        return "a long expression".to_owned();
    }
    match expr.clone().transform_down(hide) {
        Ok(hidden) => shortened(hidden.data.human_display().to_string()),
        Err(_) => "an expression".to_owned(),
    }
}

/// Printing recurses without bounds; a receipt has no place for much anyway.
fn is_long(expr: &Expr) -> bool {
    let mut nodes = 0;
    let _walked = expr.apply(|_| {
        nodes += 1;
        Ok(if nodes > NODES_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    nodes > NODES_MAX
}

#[expect(deprecated, reason = "the wildcard variant is still in the enum")]
fn hide(expr: Expr) -> Result<Transformed<Expr>> {
    Ok(match expr {
        Expr::Literal(..) => stop(mark("?")),
        Expr::Placeholder(placeholder) => stop(mark(&placeholder.id)),
        Expr::Exists(_) => stop(mark("exists(subquery)")),
        Expr::InSubquery(_) | Expr::SetComparison(_) => stop(mark("in(subquery)")),
        Expr::ScalarSubquery(_) => stop(mark("(subquery)")),
        Expr::ScalarVariable(..) | Expr::Wildcard { .. } => stop(mark("?")),
        Expr::Alias(alias) => Transformed::new(hide(*alias.expr)?.data, true, TreeNodeRecursion::Continue),
        // The name of a computed column can hold the constants it was computed with.
        Expr::Column(column) if !is_plain(&column.name) => stop(mark("computed")),
        Expr::OuterReferenceColumn(_, column) if is_plain(&column.name) => stop(Expr::Column(column)),
        Expr::OuterReferenceColumn(..) => stop(mark("computed")),
        Expr::InList(mut list) => {
            list.list.truncate(1);
            Transformed::yes(Expr::InList(list))
        }
        other @ (Expr::Column(_)
        | Expr::BinaryExpr(_)
        | Expr::Like(_)
        | Expr::SimilarTo(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Negative(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::Cast(_)
        | Expr::TryCast(_)
        | Expr::ScalarFunction(_)
        | Expr::AggregateFunction(_)
        | Expr::WindowFunction(_)
        | Expr::GroupingSet(_)
        | Expr::Unnest(_)
        | Expr::HigherOrderFunction(_)
        | Expr::Lambda(_)
        | Expr::LambdaVariable(_)) => Transformed::no(other),
    })
}

fn stop(expr: Expr) -> Transformed<Expr> {
    Transformed::new(expr, true, TreeNodeRecursion::Jump)
}

/// A text that stands for something left out.
fn mark(text: &str) -> Expr {
    Expr::Placeholder(Placeholder::new_with_field(text.to_owned(), None))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(LENGTH_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
