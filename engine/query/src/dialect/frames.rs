//! Offsets of window frames: the planner reads them where they are plain literals, intervals as `INTERVAL '1 day'` and `2::bigint` as a
//! number. After everything in them was rewritten.

use super::ast::literal_text;
use datafusion::sql::sqlparser::ast::{
    DataType, Expr, Interval, NamedWindowExpr, Select, Value, WindowFrame, WindowFrameBound, WindowSpec, WindowType,
};

/// The frames of a SELECT's named windows.
pub(super) fn literals(select: &mut Select) {
    for window in &mut select.named_window {
        if let NamedWindowExpr::WindowSpec(spec) = &mut window.1 {
            of_spec(spec);
        }
    }
}

/// The frame of a call over a window.
pub(super) fn of_call(expr: &mut Expr) {
    if let Expr::Function(function) = expr
        && let Some(WindowType::WindowSpec(spec)) = &mut function.over
    {
        of_spec(spec);
    }
}

fn of_spec(spec: &mut WindowSpec) {
    let Some(WindowFrame { start_bound, end_bound, .. }) = &mut spec.window_frame else { return };
    for bound in std::iter::once(start_bound).chain(end_bound) {
        if let WindowFrameBound::Preceding(Some(offset)) | WindowFrameBound::Following(Some(offset)) = bound
            && let Some(literal) = literal(offset)
        {
            **offset = literal;
        }
    }
}

fn literal(offset: &Expr) -> Option<Expr> {
    match offset {
        Expr::Nested(inner) => literal(inner),
        Expr::Cast { expr, data_type: DataType::Interval { .. }, .. } => literal_text(expr).map(interval),
        Expr::Function(function) => {
            // An interval that is cut to its fields.
            let arguments = super::ast::plain_arguments(&function.args)?;
            let cut = super::calls::unqualified(&function.name)? == "interval_cut";
            arguments.first().filter(|_| cut).and_then(|of| literal(of))
        }
        Expr::Cast { expr, .. } => match expr.as_ref() {
            Expr::Value(value) if matches!(value.value, Value::Number(..)) => Some((**expr).clone()),
            _ => None,
        },
        _ => literal_text(offset).map(interval),
    }
}

fn interval(text: &str) -> Expr {
    Expr::Interval(Interval {
        value: Box::new(super::ast::text(text)),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}
