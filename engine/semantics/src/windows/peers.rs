//! Frames of windows that are sorted by what the engine has no distances of: their ends are rows that are equal. Knows no function.

use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, WindowFrame, WindowFrameBound, WindowFrameUnits};

/// `RANGE` without a distance means the same as `GROUPS`, which asks nothing of the type of bytes and times.
pub(crate) fn grouped(mut window: Box<WindowFunction>, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let frame = &window.params.window_frame;
    // Of several keys the engine asks the first one.
    let has_none = match window.params.order_by.first() {
        Some(by) => matches!(
            by.expr.get_type(schema)?,
            DataType::Binary
                | DataType::FixedSizeBinary(_)
                | DataType::Time32(_)
                | DataType::Time64(_)
                | DataType::Struct(_)
                | DataType::List(_)
        ),
        None => false,
    };
    match as_groups(frame).filter(|_| has_none) {
        Some(groups) => {
            window.params.window_frame = groups;
            Ok(Transformed::yes(Expr::WindowFunction(window)))
        }
        None => Ok(Transformed::no(Expr::WindowFunction(window))),
    }
}

/// The frame of groups that a frame of `RANGE` without a distance is.
pub(crate) fn as_groups(frame: &WindowFrame) -> Option<WindowFrame> {
    if frame.units != WindowFrameUnits::Range {
        return None;
    }
    let (start, stop) = (end(&frame.start_bound)?, end(&frame.end_bound)?);
    Some(WindowFrame::new_bounds(WindowFrameUnits::Groups, start, stop))
}

/// An end without a distance.
fn end(bound: &WindowFrameBound) -> Option<WindowFrameBound> {
    let unbounded = ScalarValue::UInt64(None);
    match bound {
        WindowFrameBound::CurrentRow => Some(WindowFrameBound::CurrentRow),
        WindowFrameBound::Preceding(_) if bound.is_unbounded() => Some(WindowFrameBound::Preceding(unbounded)),
        WindowFrameBound::Following(_) if bound.is_unbounded() => Some(WindowFrameBound::Following(unbounded)),
        WindowFrameBound::Preceding(_) | WindowFrameBound::Following(_) => None,
    }
}
