//! Statements that run without a plan of their own, and what they show and keep.

pub(super) mod call;
pub(super) mod cursor_rows;
pub(super) mod cursors;
pub(super) mod dispatch;
pub(crate) mod explain;
mod explain_write;
pub(super) mod listen;
mod named_statements;
pub(crate) mod text;

#[cfg(test)]
mod tests;
