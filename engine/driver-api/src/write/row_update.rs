//! One row that is locked and changed in one statement, with what it was and what it is: for a caller that looks at both before it commits.

use super::change::TargetColumn;
use crate::execution::NativeStatement;
use crate::fragment::Fragment;
use crate::identifier::{ColumnId, Identifier, TableRef};
use crate::relation::ScanColumn;
use crate::value::Value;

/// The update of one row by its key, before it is printed. No row is changed where the source would do anything else beside it, or
/// make something else of its values: triggers and rules of its own.
#[derive(Debug, Clone)]
pub struct RowUpdate {
    /// Which row, as [`lockable`](super::lock::lockable) takes it, under one projection: all columns wanted back, then the new values.
    pub locked: Fragment,
    /// Columns that find the row, with what the read calls them.
    pub key: Vec<(TargetColumn, ColumnId)>,
    /// Columns that get values, with what the read calls those.
    pub assigned: Vec<(TargetColumn, ColumnId)>,
    /// Columns wanted back, as the row was and behind that as it is.
    pub returning: Vec<ScanColumn>,
}

/// A printed update of one row, with what one run of it is given.
#[derive(Debug, Clone, Copy)]
pub struct RenderedUpdate<'a> {
    /// The table of the row.
    pub table: &'a TableRef,
    /// Columns that get values.
    pub columns: &'a [Identifier],
    /// What was printed.
    pub statement: &'a NativeStatement,
    /// Values of its parameters.
    pub values: &'a [Value],
}
