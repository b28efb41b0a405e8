//! What the columns of a plan's node are in the fragment. Knows names only to resolve them.

use crate::not_pushed::NotPushed;
use datafusion::common::{Column, DFSchemaRef};
use querygate_driver_api::identifier::ColumnId;
use std::sync::Arc;

/// One column of a node: its id in the fragment, or why it has none. A column without an id is a refusal only once
/// something reads it.
#[derive(Debug, Clone)]
pub(super) enum Slot {
    Column(ColumnId),
    Refused(Arc<NotPushed>),
}

impl Slot {
    pub(super) fn refused(reason: NotPushed) -> Self {
        Self::Refused(Arc::new(reason))
    }

    pub(super) fn id(&self) -> Result<ColumnId, NotPushed> {
        match self {
            Self::Column(id) => Ok(*id),
            Self::Refused(reason) => Err(NotPushed::clone(reason)),
        }
    }
}

/// The columns that an expression may name: a node's schema with a slot for each field.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) schema: DFSchemaRef,
    pub(super) slots: Arc<[Slot]>,
}

impl Scope {
    pub(super) fn new(schema: &DFSchemaRef, slots: &[Slot]) -> Self {
        Self { schema: Arc::clone(schema), slots: slots.into() }
    }

    /// The slot of a column, if it is in this scope.
    pub(super) fn find(&self, column: &Column) -> Option<&Slot> {
        self.slots.get(self.schema.maybe_index_of_column(column)?)
    }

    /// The slot of a column.
    pub(super) fn slot(&self, column: &Column) -> Result<&Slot, NotPushed> {
        self.find(column).ok_or_else(|| NotPushed::invalid("column is not in the scope of its expression"))
    }
}
