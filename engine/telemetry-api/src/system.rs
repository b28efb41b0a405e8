//! Relations and procedures of schema `querygate` that something beside the engine supplies. Knows no Arrow type and no SQL.

use async_trait::async_trait;
use futures::stream::BoxStream;
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use std::fmt;
use std::time::SystemTime;

/// A cell of a system relation.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    Null,
    Text(String),
    Integer(i64),
    Float(f64),
    Flag(bool),
    Time(SystemTime),
}

impl Cell {
    #[must_use]
    pub fn text(value: &str) -> Self {
        Self::Text(value.to_owned())
    }

    /// A count; what does not fit is the greatest number that does.
    #[must_use]
    pub fn count(value: u64) -> Self {
        Self::Integer(i64::try_from(value).unwrap_or(i64::MAX))
    }

    /// NULL for `None`.
    #[must_use]
    pub fn optional<T>(value: Option<T>, cell: impl FnOnce(T) -> Self) -> Self {
        value.map_or(Self::Null, cell)
    }
}

/// Type of a column or of an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CellKind {
    Text,
    Integer,
    Float,
    Flag,
    Time,
}

/// Columns with their types, in order.
pub type CellColumns = &'static [(&'static str, CellKind)];

/// A relation of schema `querygate`.
#[derive(Debug, Clone, Copy)]
pub struct SystemRelation {
    pub name: &'static str,
    pub columns: CellColumns,
}

impl SystemRelation {
    /// For an extension that has this relation alone.
    ///
    /// # Errors
    /// Internal: another relation's name.
    pub fn check_name(&self, relation: &str) -> Result<()> {
        match relation == self.name {
            true => Ok(()),
            false => Err(Error::internal(format_args!("no relation {relation}"))),
        }
    }

    /// Rows of the only relation of an extension, whose names and numbers are for operators: other readers see none.
    ///
    /// # Errors
    /// Internal: another relation's name.
    pub fn rows_for_operators(
        &self,
        relation: &str,
        reader: &Principal,
        rows: impl FnOnce() -> Vec<Vec<Cell>>,
    ) -> Result<Vec<Vec<Cell>>> {
        self.check_name(relation)?;
        Ok(if reader.operator { rows() } else { Vec::new() })
    }
}

/// What `CALL querygate.name(…)` may name. Operators only; each call is in the audit file.
#[derive(Debug, Clone, Copy)]
pub struct SystemProcedure {
    pub name: &'static str,
    /// Arguments in order; the last `optional` ones may be left out.
    pub arguments: CellColumns,
    pub optional: usize,
}

/// Something that a user holds and no session does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldByUser {
    /// Whose it is, by login name.
    pub login: String,
    pub kind: &'static str,
    pub name: String,
    /// Empty: there is nothing to say of it.
    pub state: &'static str,
    pub since: SystemTime,
}

/// Tells what users hold beside their sessions, for `querygate.held`. Knows no reader: who sees what is decided there.
pub trait Holder: Send + Sync + fmt::Debug {
    /// All that is held now. Called while a statement runs, so it takes no time.
    ///
    /// # Errors
    /// It cannot be known. Nothing of it is shown then, and the log says why.
    fn held(&self) -> Result<Vec<HeldByUser>>;
}

/// Supplies system relations and procedures.
#[async_trait]
pub trait SystemExtension: Send + Sync + fmt::Debug {
    /// Constant for the life of the gate.
    fn relations(&self) -> Vec<SystemRelation>;

    /// Rows that the reader may see, each with a cell per column: its own, or all for an operator. Called while a statement
    /// runs, so it reads memory, not a disk.
    ///
    /// # Errors
    /// An internal error for a relation that is none of these.
    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>>;

    /// Constant for the life of the gate.
    fn procedures(&self) -> Vec<SystemProcedure> {
        Vec::new()
    }

    /// Runs a procedure. The caller is an operator, and the arguments have the declared types (or are NULL).
    ///
    /// # Errors
    /// What the procedure says; an internal error for one that is none of these.
    async fn call(&self, procedure: &str, arguments: &[Cell], caller: &Principal) -> Result<String> {
        let _ = (arguments, caller);
        Err(Error::internal(format_args!("no procedure {procedure}")))
    }

    /// Channels of LISTEN. The same for the life of the gate.
    fn channels(&self) -> &'static [&'static str] {
        &[]
    }

    /// What comes on a channel from now on that the listener may see, in less than 8,000 bytes each. Who takes it late loses the
    /// oldest. `None`: no such channel.
    fn subscribe(&self, channel: &str, listener: &Principal) -> Option<BoxStream<'static, String>> {
        let _ = (channel, listener);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_for_operators_are_made_for_operators_alone() {
        const RELATION: SystemRelation = SystemRelation { name: "workers", columns: &[("address", CellKind::Text)] };
        let rows = |relation: &str, operator: bool| {
            let reader = Principal::builder("nora").operator(operator).build();
            RELATION.rows_for_operators(relation, &reader, || {
                assert!(operator, "rows are not even made for others");
                vec![vec![Cell::text("here")]]
            })
        };
        assert_eq!(rows("workers", true).unwrap(), [[Cell::text("here")]]);
        assert_eq!(rows("workers", false).unwrap(), Vec::<Vec<Cell>>::new());
        assert!(rows("others", true).is_err() && rows("others", false).is_err());
    }
}
