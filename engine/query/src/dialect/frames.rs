//! Offsets of window frames: the planner reads them where they are plain literals, `INTERVAL '1 day'` and `'1 day'::interval` as texts,
//! `2::bigint` as a number.

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
        Expr::Interval(Interval { value, leading_field, last_field: None, .. }) => {
            let text = literal_text(value)?;
            let unit = leading_field.as_ref().map(|field| format!(" {}", field.to_string().to_lowercase()));
            Some(super::ast::text(&format!("{text}{}", unit.unwrap_or_default())))
        }
        Expr::Cast { expr, data_type: DataType::Interval { .. }, .. } => literal_text(expr).map(super::ast::text),
        Expr::TypedString(typed) if matches!(typed.data_type, DataType::Interval { .. }) => {
            literal_text(&Expr::Value(typed.value.clone())).map(super::ast::text)
        }
        Expr::Cast { expr, .. } => match expr.as_ref() {
            Expr::Value(value) if matches!(value.value, Value::Number(..)) => Some((**expr).clone()),
            _ => None,
        },
        _ => None,
    }
}
