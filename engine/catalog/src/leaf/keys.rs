//! Keys of joins as the raw leaf of a governed table knows them: without casts that keep each value, columns found by their names.

use arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};
use querygate_driver_api::lossless::is_lossless;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What a cast that keeps each value is made of; anything else as it is.
pub(super) fn uncast<'a>(expr: &'a Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> &'a Arc<dyn PhysicalExpr> {
    let Some(cast) = expr.downcast_ref::<CastExpr>() else { return expr };
    let kept = cast.expr().data_type(schema).is_ok_and(|from| is_lossless(&from, cast.cast_type()));
    if kept { cast.expr() } else { expr }
}

pub(super) fn without_casts(filter: &Arc<dyn PhysicalExpr>, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
    let stripped = Arc::clone(filter).transform_down(|expr| {
        let inside = uncast(&expr, schema);
        Ok(if Arc::ptr_eq(inside, &expr) { Transformed::no(expr) } else { Transformed::yes(Arc::clone(inside)) })
    });
    Ok(stripped?.data)
}

pub(super) fn remap_by_name(
    filter: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
) -> Result<Option<Arc<dyn PhysicalExpr>>> {
    let mut known = true;
    let remapped = Arc::clone(filter).transform_down(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        match schema.index_of(column.name()) {
            Ok(index) => Ok(Transformed::yes(Arc::new(Column::new(column.name(), index)) as _)),
            Err(_) => {
                known = false;
                Ok(Transformed::complete(expr))
            }
        }
    })?;
    Ok(known.then_some(remapped.data))
}

/// Columns of a fragment by which a join narrows it while it runs.
pub(super) fn keys_of(leaf: &Arc<dyn ExecutionPlan>) -> Vec<String> {
    let mut names = BTreeSet::new();
    if leaf.name() == "Fragment" {
        // The closure never fails, so neither does the walk.
        let _ = leaf.apply_expressions(&mut |filter| {
            names.extend(
                filter.children().into_iter().filter_map(|c| c.downcast_ref::<Column>().map(|c| c.name().to_owned())),
            );
            Ok(TreeNodeRecursion::Continue)
        });
    }
    names.into_iter().collect()
}
