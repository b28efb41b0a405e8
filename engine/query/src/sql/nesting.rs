//! Bounds how deep calls stand in one another. The engine makes the name of each call of the names of its arguments, over and over: the
//! time of planning grows with the size of what stands in a call, and with the square of the calls around it.

use super::walk::{ON, Step, Stop};
use datafusion::sql::sqlparser::ast::{Expr, Function, ObjectNamePart};
use querygate_types::{Error, ErrorCode};
use std::ops::ControlFlow;

/// Size of each call times the square of its depth, over a statement: some 90 calls of one argument within one another.
const WORK_MAX: u64 = 6_000_000;
/// ARRAYs written within one another, as PostgreSQL bounds them.
const ARRAY_DIMENSIONS_MAX: usize = 6;
/// Rows within one another: each level doubles the work.
const ROWS_MAX: usize = 10;

/// The calls that are open, and what those before have cost.
#[derive(Debug, Default)]
pub(super) struct Nesting {
    open: Vec<Part>,
    /// Expressions of all kinds that were met.
    parts: u64,
    depth: u64,
    arrays: usize,
    rows: usize,
    work: u64,
}

/// An expression that is open.
#[derive(Debug)]
struct Part {
    kind: Kind,
    /// Expressions that were met before it.
    before: u64,
    /// ARRAYs directly around it, which begin anew in a call.
    arrays: usize,
}

/// How an expression is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// By itself.
    Plain,
    /// As a call that is named by its arguments.
    Call,
    Array,
    Row,
}

impl Nesting {
    /// Before the parts of an expression.
    pub(super) fn enter(&mut self, expr: &Expr) -> Step {
        let kind = kind(expr);
        self.open.push(Part { kind, before: self.parts, arrays: self.arrays });
        self.parts += 1;
        self.depth += u64::from(kind != Kind::Plain);
        self.rows += usize::from(kind == Kind::Row);
        self.arrays = if kind == Kind::Array { self.arrays + 1 } else { 0 };
        if self.arrays > ARRAY_DIMENSIONS_MAX {
            let text = format!(
                "number of array dimensions ({}) exceeds the maximum allowed ({ARRAY_DIMENSIONS_MAX})",
                self.arrays
            );
            return refused(Error::new(ErrorCode::ProgramLimitExceeded, text));
        }
        if self.rows > ROWS_MAX {
            let error = Error::new(ErrorCode::StatementTooComplex, "rows are nested too deep");
            return refused(error.with_detail(format!("The limit is {ROWS_MAX} levels.")));
        }
        ON
    }

    /// After them.
    pub(super) fn leave(&mut self) -> Step {
        let Some(part) = self.open.pop() else { return ON };
        self.arrays = part.arrays;
        self.rows -= usize::from(part.kind == Kind::Row);
        if part.kind == Kind::Plain {
            return ON;
        }
        let size = self.parts.saturating_sub(part.before);
        self.work = self.work.saturating_add(size.saturating_mul(self.depth.saturating_mul(self.depth)));
        self.depth -= 1;
        if self.work <= WORK_MAX {
            return ON;
        }
        let error = Error::new(ErrorCode::StatementTooComplex, "calls are nested too deep");
        refused(error.with_detail("The limit is some 90 levels, fewer of large ones."))
    }
}

fn refused(error: Error) -> Step {
    ControlFlow::Break(Stop::Refused(error))
}

fn kind(expr: &Expr) -> Kind {
    match expr {
        Expr::Array(_) => Kind::Array,
        Expr::Tuple(_) => Kind::Row,
        Expr::Function(call) if is_row(call) => Kind::Row,
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Value(_)
        | Expr::TypedString(_)
        | Expr::Nested(_)
        | Expr::BinaryOp { .. }
        | Expr::UnaryOp { .. }
        | Expr::Cast { .. }
        | Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsNotTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsNotFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotUnknown(_)
        | Expr::InList { .. }
        | Expr::Between { .. }
        | Expr::Like { .. }
        | Expr::ILike { .. }
        | Expr::Case { .. }
        | Expr::Exists { .. }
        | Expr::Subquery(_)
        | Expr::InSubquery { .. } => Kind::Plain,
        _ => Kind::Call,
    }
}

fn is_row(call: &Function) -> bool {
    let name = call.name.0.last().and_then(ObjectNamePart::as_ident);
    name.is_some_and(|name| name.value.eq_ignore_ascii_case("row"))
}
