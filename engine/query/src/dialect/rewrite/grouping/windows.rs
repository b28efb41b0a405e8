//! Windows with names, as whole windows where they are used: the engine loses what a window inherits from another one. Knows a SELECT and
//! the ORDER BY behind it, not the queries within them, whose windows are their own.

use super::frames::mark;
use super::misplaced;
use crate::dialect::ast::folded;
use crate::sql::walk::{ON, Step, Writer, step, write};
use datafusion::sql::sqlparser::ast::{
    Expr, Ident, NamedWindowExpr, OrderBy, Query, Select, SetExpr, WindowSpec, WindowType,
};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;

/// Characters of windows that calls and other windows take over in one SELECT.
const COPIED_MAX: usize = 1 << 22;

/// Puts whole windows in place of names in the SELECTs of a query, and in its ORDER BY.
///
/// # Errors
/// 42704 for a window that is not there, 42P20 for one that is defined twice or takes over what it may not, and for calls over windows where
/// there is none; 54001 where too much is taken over.
pub(in crate::dialect) fn in_query(query: &mut Query) -> Result<()> {
    in_body(query.body.as_mut(), query.order_by.as_mut())
}

/// Behind a set operation no window has a name.
fn in_body(body: &mut SetExpr, order: Option<&mut OrderBy>) -> Result<()> {
    match body {
        SetExpr::Select(select) => resolve(select, order),
        SetExpr::SetOperation { left, right, .. } => {
            in_body(left, None)?;
            in_body(right, None)
        }
        _ => Ok(()),
    }
}

fn resolve(select: &mut Select, order: Option<&mut OrderBy>) -> Result<()> {
    misplaced::refuse_windows(select)?;
    let mut windows = Windows { known: HashMap::new(), copied: 0, depth: 0 };
    for definition in std::mem::take(&mut select.named_window) {
        let name = folded(&definition.0);
        if windows.known.contains_key(&name) {
            return Err(windowing(format!("window \"{name}\" is already defined")));
        }
        let spec = match definition.1 {
            NamedWindowExpr::WindowSpec(spec) => windows.whole(spec)?,
            NamedWindowExpr::NamedWindow(base) => windows.whole(over(base))?,
        };
        let length = spec.to_string().len();
        windows.known.insert(name, (spec, length));
    }
    write(&mut select.projection, &mut windows)?;
    write(&mut select.distinct, &mut windows)?;
    write(&mut select.selection, &mut windows)?;
    write(&mut select.group_by, &mut windows)?;
    write(&mut select.having, &mut windows)?;
    match order {
        Some(order) => write(order, &mut windows),
        None => Ok(()),
    }
}

/// A window that is another one and nothing else.
fn over(base: Ident) -> WindowSpec {
    WindowSpec { window_name: Some(base), partition_by: Vec::new(), order_by: Vec::new(), window_frame: None }
}

struct Windows {
    /// Whole windows with the lengths of their texts.
    known: HashMap<String, (WindowSpec, usize)>,
    copied: usize,
    /// Queries around the place of the walk.
    depth: usize,
}

impl Windows {
    fn find(&mut self, name: &Ident) -> Result<WindowSpec> {
        let name = folded(name);
        let Some((spec, length)) = self.known.get(&name) else {
            let message = format!("window \"{name}\" does not exist");
            return Err(Error::new(ErrorCode::UndefinedObject, message));
        };
        self.copied = self.copied.saturating_add(*length);
        if self.copied > COPIED_MAX {
            return Err(Error::new(ErrorCode::StatementTooComplex, "windows are used too often"));
        }
        Ok(spec.clone())
    }

    /// A window with what it takes over from the one that it names.
    fn whole(&mut self, mut spec: WindowSpec) -> Result<WindowSpec> {
        let Some(name) = spec.window_name.take() else { return Ok(spec) };
        let base = self.find(&name)?;
        let name = folded(&name);
        // A mark is no key.
        if spec.partition_by.iter().any(|key| mark(key).is_none()) {
            return Err(windowing(format!("cannot override PARTITION BY clause of window \"{name}\"")));
        }
        if !spec.order_by.is_empty() && !base.order_by.is_empty() {
            return Err(windowing(format!("cannot override ORDER BY clause of window \"{name}\"")));
        }
        if base.window_frame.is_some() {
            let error = windowing(format!("cannot copy window \"{name}\" because it has a frame clause"));
            let alone = spec.order_by.is_empty() && spec.window_frame.is_none();
            return Err(if alone { error.with_hint("Omit the parentheses in this OVER clause.") } else { error });
        }
        spec.partition_by.extend(base.partition_by);
        if spec.order_by.is_empty() {
            spec.order_by = base.order_by;
        }
        Ok(spec)
    }

    fn call(&mut self, over: &mut WindowType) -> Result<()> {
        match over {
            WindowType::NamedWindow(name) => {
                *over = WindowType::WindowSpec(self.find(name)?);
            }
            WindowType::WindowSpec(spec) if spec.window_name.is_some() => {
                *spec = self.whole(spec.clone())?;
            }
            WindowType::WindowSpec(_) => {}
        }
        Ok(())
    }
}

fn windowing(message: String) -> Error {
    Error::new(ErrorCode::WindowingError, message)
}

impl Writer for Windows {
    fn query(&mut self, _: &mut Query) -> Step {
        self.depth += 1;
        ON
    }

    fn after_query(&mut self, _: &mut Query) -> Step {
        self.depth -= 1;
        ON
    }

    fn expr(&mut self, expr: &mut Expr) -> Step {
        match expr {
            Expr::Function(function) if self.depth == 0 => match &mut function.over {
                Some(over) => step(self.call(over)),
                None => ON,
            },
            _ => ON,
        }
    }
}
