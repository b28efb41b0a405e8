//! The columns that the expressions of a node may name.

use datafusion::common::{DFSchema, DFSchemaRef, Result};
use datafusion::logical_expr::LogicalPlan;
use std::cell::OnceCell;
use std::sync::Arc;

/// Those of a node's inputs; of a scan with filters, its table's. Of several inputs they are put together when they are first asked for:
/// most joins have no expression that asks, and all columns of a statement stand in its uppermost join.
#[derive(Debug)]
pub struct InputColumns {
    inputs: Vec<DFSchemaRef>,
    together: OnceCell<DFSchemaRef>,
}

impl InputColumns {
    /// # Errors
    /// A table whose columns have one name.
    pub fn of(node: &LogicalPlan) -> Result<Self> {
        let inputs = match node {
            LogicalPlan::TableScan(scan) if !scan.filters.is_empty() => {
                vec![Arc::new(DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?)]
            }
            other => other.inputs().into_iter().map(|input| Arc::clone(input.schema())).collect(),
        };
        Ok(Self { inputs, together: OnceCell::new() })
    }

    /// All of them, each once.
    pub fn schema(&self) -> &DFSchema {
        self.all()
    }

    /// All of them, for what keeps them.
    pub fn shared(&self) -> DFSchemaRef {
        Arc::clone(self.all())
    }

    fn all(&self) -> &DFSchemaRef {
        match self.inputs.as_slice() {
            [one] => one,
            several => self.together.get_or_init(|| {
                let all = several.iter().fold(DFSchema::empty(), |mut all, input| {
                    all.merge(input);
                    all
                });
                Arc::new(all)
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{LogicalPlanBuilder, lit};

    fn rows(name: &str) -> LogicalPlanBuilder {
        LogicalPlanBuilder::values(vec![vec![lit(1_i64), lit("x")]]).unwrap().alias(name).unwrap()
    }

    #[test]
    fn columns_are_those_of_all_inputs() {
        let one = rows("a").build().unwrap();
        assert_eq!(InputColumns::of(&one).unwrap().schema().fields().len(), 2);
        let both = rows("a").cross_join(rows("b").build().unwrap()).unwrap().build().unwrap();
        let columns = InputColumns::of(&both).unwrap();
        assert!(columns.together.get().is_none(), "put together before they were asked for");
        assert_eq!(columns.schema().columns(), both.schema().columns());
        assert_eq!(columns.shared().as_ref(), columns.schema());
        let none = LogicalPlanBuilder::empty(true).build().unwrap();
        assert!(InputColumns::of(&none).unwrap().schema().fields().is_empty());
    }
}
