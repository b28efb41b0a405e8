//! Rewrites expressions over declared columns to the columns of one Parquet file: other names, narrower types, missing columns. Knows no store.

use crate::column_names::ColumnNames;
use arrow::datatypes::{Field, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result as PlanResult;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::{
    DefaultPhysicalExprAdapterFactory, PhysicalExprAdapter, PhysicalExprAdapterFactory,
};
use std::collections::HashMap;
use std::sync::Arc;

/// Makes an adapter per file.
#[derive(Debug)]
pub(crate) struct Renaming {
    /// What the files call each declared column, and its declared name.
    declared: Vec<(String, String)>,
}

impl Renaming {
    pub(crate) fn new(file_schema: &SchemaRef, file_names: &[String]) -> Self {
        let pairs = file_schema.fields().iter().zip(file_names);
        Self { declared: pairs.map(|(field, name)| (name.clone(), field.name().clone())).collect() }
    }

    /// Declared name of each column of a file that has one.
    fn of_file<'a>(&'a self, physical: &Schema) -> HashMap<usize, &'a String> {
        let names = ColumnNames::of(physical);
        let found = self.declared.iter().filter_map(|(name, own)| Some((names.position(name)?, own)));
        found.collect()
    }

    /// The file's columns under their declared names. What no declared column maps to gets a name that none can have.
    fn renamed(&self, logical: &Schema, physical: &Schema) -> Schema {
        let declared = self.of_file(physical);
        let fields: Vec<Field> = physical
            .fields()
            .iter()
            .enumerate()
            .map(|(i, field)| {
                let Some(&name) = declared.get(&i) else {
                    return field.as_ref().clone().with_name(format!("\0{i}"));
                };
                match logical.field_with_name(name) {
                    // Nullability and metadata are the table's business: a difference there would become a cast,
                    // and a cast column is neither pruned nor filtered early.
                    Ok(wanted) if wanted.data_type() == field.data_type() => wanted.clone(),
                    _ => field.as_ref().clone().with_name(name),
                }
            })
            .collect();
        Schema::new(fields)
    }
}

impl PhysicalExprAdapterFactory for Renaming {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> PlanResult<Arc<dyn PhysicalExprAdapter>> {
        let renamed = Arc::new(self.renamed(&logical, &physical));
        let inner = DefaultPhysicalExprAdapterFactory.create(logical, renamed)?;
        Ok(Arc::new(Adapter { inner, physical }))
    }
}

#[derive(Debug)]
struct Adapter {
    inner: Arc<dyn PhysicalExprAdapter>,
    physical: SchemaRef,
}

impl PhysicalExprAdapter for Adapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> PlanResult<Arc<dyn PhysicalExpr>> {
        self.inner
            .rewrite(expr)?
            .transform(|node| match node.downcast_ref::<Column>() {
                Some(column) => {
                    let name = self.physical.field(column.index()).name();
                    Ok(if name == column.name() {
                        Transformed::no(node)
                    } else {
                        Transformed::yes(Arc::new(Column::new(name, column.index())))
                    })
                }
                None => Ok(Transformed::no(node)),
            })
            .data()
    }
}
