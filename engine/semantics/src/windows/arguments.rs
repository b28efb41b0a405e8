//! Arguments of window functions that may be long: computed below the window, as columns of its input. The window computes the arguments
//! of a whole partition at once, a constant as often as there are rows; a projection computes some rows at a time, and is charged for them.

use super::framed::is_long;
use crate::bounds::memory;
use crate::fault::external;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::expr::{Alias, WindowFunction};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Window};
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// Constants up to this are no longer than other values.
const SHORT_BYTES: usize = 1_024;

/// Window functions that give a value of a row: the engine does not look whether they have one.
const VALUED: &[&str] = &["first_value", "lag", "last_value", "lead", "nth_value"];

/// Looks whether a window function has its argument.
///
/// # Errors
/// 42883: it has none, and there is no such function.
pub(crate) fn present(call: &WindowFunction) -> Result<()> {
    let name = call.fun.name();
    if call.params.args.is_empty() && VALUED.contains(&name) {
        return Err(external(Error::new(ErrorCode::UndefinedFunction, format!("function {name}() does not exist"))));
    }
    Ok(())
}

/// Puts such arguments of a node of windows below it. The node's columns stay.
pub(crate) fn below(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Window(mut window) = node else { return Ok(Transformed::no(node)) };
    let mut computed = Vec::new();
    let expressions = std::mem::take(&mut window.window_expr);
    let names = NamePreserver::new_for_projection();
    let mut moved = Vec::with_capacity(expressions.len());
    for expr in expressions {
        let name = names.save(&expr);
        let expr = expr.transform_up(|expr| match expr {
            Expr::WindowFunction(call) => with_columns(call, &window, &mut computed),
            other => Ok(Transformed::no(other)),
        })?;
        moved.push(if expr.transformed { name.restore(expr.data) } else { expr.data });
    }
    if computed.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Window(Window { window_expr: moved, ..window })));
    }
    let columns: Vec<Expr> = window.schema.iter().map(|column| Expr::Column(Column::from(column))).collect();
    let given = window.input.schema().iter().map(|column| Expr::Column(Column::from(column)));
    let given: Vec<Expr> = given.chain(computed).collect();
    let input = LogicalPlanBuilder::from(Arc::unwrap_or_clone(window.input)).project(given)?.build()?;
    let windows = LogicalPlan::Window(Window::try_new(moved, Arc::new(input))?);
    LogicalPlanBuilder::from(windows).project(columns)?.build().map(Transformed::yes)
}

/// The call with a column in the place of its first argument, where that may be long.
fn with_columns(mut call: Box<WindowFunction>, window: &Window, computed: &mut Vec<Expr>) -> Result<Transformed<Expr>> {
    let schema = window.input.schema();
    let Some(argument) = call.params.args.first_mut() else { return Ok(Transformed::no(Expr::WindowFunction(call))) };
    if !is_long(&argument.get_type(schema)?) || !may_grow(argument)? {
        return Ok(Transformed::no(Expr::WindowFunction(call)));
    }
    let name = (computed.len()..).map(|number| format!("__argument_{number}"));
    let mut free = name.filter(|name| !schema.has_column_with_unqualified_name(name));
    let name = free.next().unwrap_or_default();
    let column = Expr::Column(Column::new_unqualified(name.as_str()));
    computed.push(Expr::Alias(Alias::new(std::mem::replace(argument, column), None::<&str>, name)));
    Ok(Transformed::yes(Expr::WindowFunction(call)))
}

/// Whether an expression holds a long constant, or calls what may make much of little.
fn may_grow(expr: &Expr) -> Result<bool> {
    let mut grows = false;
    expr.apply(|part| {
        grows |= match part {
            Expr::Literal(value, _) => value.size() > SHORT_BYTES,
            Expr::ScalarFunction(call) => memory(call.name()).grows() || call.name() == "make_array",
            Expr::Cast(cast) => matches!(cast.field.data_type(), DataType::List(_)),
            _ => false,
        };
        Ok(if grows { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(grows)
}
