//! Conditions of joins that ask, each time they are computed, whether the statement is over. A join without keys computes one for millions
//! of pairs before it gives a row.

use crate::stop::proceed;
use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::{Result, internal_err};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::PhysicalExpr;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// A condition that asks.
#[derive(Debug, Eq)]
pub(crate) struct AskingExpr(Arc<dyn PhysicalExpr>);

// A derived comparison would move out of the pointer.
impl PartialEq for AskingExpr {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq(&other.0)
    }
}

impl Hash for AskingExpr {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl AskingExpr {
    pub(crate) fn around(condition: &Arc<dyn PhysicalExpr>) -> Arc<dyn PhysicalExpr> {
        Arc::new(Self(Arc::clone(condition)))
    }

    /// A condition without what asks around it.
    pub(crate) fn inner_of(condition: &Arc<dyn PhysicalExpr>) -> &Arc<dyn PhysicalExpr> {
        condition.downcast_ref::<Self>().map_or(condition, |asking| &asking.0)
    }
}

impl fmt::Display for AskingExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl PhysicalExpr for AskingExpr {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.0.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.0.nullable(input)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.0.return_field(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        proceed()?;
        self.0.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.0]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(condition), true) => Ok(Self::around(&condition)),
            _ => internal_err!("one condition asks"),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_sql(f)
    }
}
