//! How translation sees a governed table: as its opener shows it. Knows neither policies nor providers.

use crate::estimate::{Estimator, NoEstimates};
use crate::not_pushed::NotPushed;
use crate::translation::ParameterSource;
use datafusion::logical_expr::TableScan;
use querygate_driver_api::capability::Capabilities;
use querygate_driver_api::identifier::{ColumnId, Identifier, TableRef};
use querygate_driver_api::relation::{Collation, Encoding, ScanColumn};
use querygate_driver_api::scalar::ScalarExpr;
use querygate_driver_api::value::{Value, ValueType};
use std::fmt;
use std::sync::Arc;

/// Opens governed leaves for translation. Implemented by whoever makes them.
pub trait LeafOpener {
    /// What stands behind this scan, for the session's principal.
    ///
    /// # Errors
    /// A table that no source can run fragments for (system relations, files, memory), or one whose policy has no words
    /// in the vocabulary.
    fn open(&self, scan: &TableScan) -> Result<OpenedLeaf, NotPushed>;

    /// What the source may be given; `None` for a source that takes no fragments or is not reachable.
    fn capabilities(&self, source: &str) -> Option<&dyn Capabilities>;

    /// Tells how large tables are.
    fn estimator(&self) -> &dyn Estimator {
        &NoEstimates
    }
}

/// A governed table, opened.
#[derive(Clone)]
pub struct OpenedLeaf {
    /// The source's name, as configured.
    pub source: Arc<str>,
    /// The table's name in the source.
    pub table: TableRef,
    /// One for each column of the scan's table schema (before projection), in its order.
    pub columns: Vec<LeafColumn>,
    /// Indexes of columns that together are unique and not NULL.
    pub key: Option<Vec<usize>>,
    /// Rows that the principal may see; `None`: all.
    pub policy: Option<Arc<dyn LeafPolicy>>,
    /// Whether some row may be hidden: then expressions that can fail stay above a fence.
    pub restricted: bool,
}

/// A column of a governed table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeafColumn {
    /// The source's own column, seen as it is.
    Remote(RemoteColumn),
    /// Made by the gate.
    Local(LocalReason),
}

/// Why a column is made by the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LocalReason {
    /// A mask replaces its values.
    Masked,
    /// Computed by metadata.
    Computed,
    /// Of a type without a word in the vocabulary.
    Type,
    /// Its source no longer has it as it was.
    Changed,
}

/// A column of a remote table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteColumn {
    /// Its name in the source.
    pub name: Identifier,
    pub value_type: ValueType,
    pub nullable: bool,
    pub collation: Collation,
    pub encoding: Encoding,
}

/// The row predicate of one table for one principal.
pub trait LeafPolicy: Send + Sync {
    /// Columns that it reads, hidden ones included.
    fn columns(&self) -> Vec<RemoteColumn>;

    /// Whether it asks rows of other tables. A governed leaf decides that above the rows it reads, hidden ones among them; a
    /// fragment decides it in the source.
    fn is_related(&self) -> bool {
        false
    }

    /// The predicate over these columns, in the order of [`LeafPolicy::columns`]. Values enter through the scope only.
    ///
    /// # Errors
    /// Something without words in the vocabulary.
    fn predicate(&self, columns: &[ColumnId], scope: &mut PolicyScope<'_>) -> Result<ScalarExpr, NotPushed>;
}

/// What a policy may take from the fragment that is being built.
pub struct PolicyScope<'a> {
    pub(crate) next_column: &'a mut u32,
    pub(crate) parameters: &'a mut Vec<ParameterSource>,
    pub(crate) parameter_types: &'a mut Vec<ValueType>,
    pub(crate) values: &'a mut Vec<Value>,
}

impl<'a> PolicyScope<'a> {
    /// The scope of a fragment that is built elsewhere, of its policy alone. `next_column`: the first one that it does not use.
    #[must_use]
    pub fn over(
        next_column: &'a mut u32,
        parameters: &'a mut Vec<ParameterSource>,
        parameter_types: &'a mut Vec<ValueType>,
        values: &'a mut Vec<Value>,
    ) -> Self {
        Self { next_column, parameters, parameter_types, values }
    }

    /// A fresh column, for scans of the policy's own subqueries.
    pub fn column(&mut self) -> ColumnId {
        let id = ColumnId(*self.next_column);
        *self.next_column += 1;
        id
    }

    /// A new parameter that holds this value. Never shared, so that the shape does not depend on values.
    pub fn parameter(&mut self, value: Value) -> ScalarExpr {
        let (index, value_type) = (self.parameters.len(), value.value_type());
        self.parameters.push(ParameterSource::Policy(self.values.len()));
        self.parameter_types.push(value_type);
        self.values.push(value);
        ScalarExpr::Parameter(index, value_type)
    }

    /// A text parameter for [`ScalarExpr::Like`], by its index.
    pub fn pattern(&mut self, pattern: impl Into<Arc<str>>) -> usize {
        let index = self.parameters.len();
        self.parameter(Value::Text(pattern.into()));
        index
    }
}

impl RemoteColumn {
    pub(crate) fn scan(&self, id: ColumnId) -> ScanColumn {
        ScanColumn {
            id,
            name: self.name.clone(),
            value_type: self.value_type,
            nullable: self.nullable,
            collation: self.collation.clone(),
            encoding: self.encoding,
        }
    }
}

impl LocalReason {
    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::Masked => "column carries a mask",
            Self::Computed => "column is computed by the gate",
            Self::Type => "column has a type that fragments have no word for",
            Self::Changed => "column is not what it was in its source",
        }
    }
}

impl fmt::Debug for OpenedLeaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedLeaf")
            .field("source", &self.source)
            .field("table", &self.table)
            .field("policy", &self.policy.is_some())
            .field("restricted", &self.restricted)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for PolicyScope<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyScope").field("parameters", &self.parameters.len()).finish_non_exhaustive()
    }
}
