//! Two walks that trust no optimizer rule: over the bound plan, before anything is folded, and over the final plan.

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
use datafusion::physical_plan::work_table::WorkTableExec;
use querygate_catalog::{FragmentTable, GovernedExec, GovernedTable, LiveExec, LiveTable};
use querygate_pg_catalog::LeafToken;
use querygate_pg_catalog::{SystemTable, SystemTableExec};
use querygate_types::{Error, ErrorCode, Result};
use std::any::Any;
use std::sync::Arc;

/// What the bound plan was found to read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inventory {
    /// `VALUES` and the like: constants of the statement, which become memory leaves.
    constants: usize,
    /// SQL names of governed tables, in order of appearance.
    pub(crate) tables: Vec<String>,
}

/// Walks the bound plan with its subqueries: every scan is a governed table of this session, a table of the gate's own,
/// made for it, or the work table of a recursive query.
pub(crate) fn verify_bound(plan: &LogicalPlan, token: &LeafToken) -> Result<Inventory> {
    let mut inventory = Inventory::default();
    let mut refusal = None;
    let walk = plan.apply_with_subqueries(|node| match verify_node(node, token, &mut inventory) {
        Ok(()) => Ok(TreeNodeRecursion::Continue),
        Err(error) => {
            refusal = Some(error);
            Ok(TreeNodeRecursion::Stop)
        }
    });
    match (refusal, walk) {
        (Some(error), _) => Err(error),
        (None, Err(error)) => Err(Error::internal(error)),
        (None, Ok(_)) => Ok(inventory),
    }
}

fn verify_node(node: &LogicalPlan, token: &LeafToken, inventory: &mut Inventory) -> Result<()> {
    match node {
        LogicalPlan::TableScan(scan) => verify_scan(scan, token, inventory),
        LogicalPlan::Values(_) => {
            inventory.constants += 1;
            Ok(())
        }
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => Ok(()),
        LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_) => {
            Err(Error::new(ErrorCode::FeatureNotSupported, "statement is not supported").with_cause(node.display()))
        }
    }
}

fn verify_scan(scan: &datafusion::logical_expr::TableScan, token: &LeafToken, inventory: &mut Inventory) -> Result<()> {
    let provider =
        source_as_provider(&scan.source).map_err(|e| Error::internal(format!("a scan without provider: {e}")))?;
    // Types are compared through Any: DataFusion's own downcast follows delegates, so that a wrapper could pose as ours.
    let any: &dyn Any = provider.as_ref();
    if let Some(governed) = any.downcast_ref::<GovernedTable>() {
        if governed.token() != token {
            return Err(Error::internal("a governed table of another session was bound"));
        }
        inventory.tables.push(governed.name().to_owned());
        return Ok(());
    }
    if let Some(fragment) = any.downcast_ref::<FragmentTable>() {
        // Only the gate makes them, of governed tables: in a subquery that runs for each row of what is around it.
        return if fragment.token() == token {
            Ok(())
        } else {
            Err(Error::internal("a fragment of another session was bound"))
        };
    }
    let live = any.downcast_ref::<LiveTable>().map(LiveTable::token);
    if let Some(own) = live.or_else(|| any.downcast_ref::<SystemTable>().map(SystemTable::token)) {
        return if own == token {
            Ok(())
        } else {
            Err(Error::internal("a table of the gate's own was bound for another session"))
        };
    }
    let holds_nothing = any.is::<datafusion::datasource::cte_worktable::CteWorkTable>() || is_series(any);
    if holds_nothing { Ok(()) } else { Err(Error::internal("an ungoverned table was bound")) }
}

/// `generate_series` and `range` make rows of nothing.
fn is_series(provider: &dyn Any) -> bool {
    provider.is::<datafusion::functions_table::generate_series::GenerateSeriesTable>()
}

/// Walks the final plan: every leaf is a governed leaf of this session or on the closed list.
pub(crate) fn verify_final(plan: &Arc<dyn ExecutionPlan>, token: &LeafToken, inventory: &Inventory) -> Result<()> {
    let mut constants = 0;
    verify_leaves(plan, token, &mut constants)?;
    // Folding may drop constants and may copy them into several places; a statement without any has none at all.
    if constants > 0 && inventory.constants == 0 {
        return Err(Error::internal("the final plan reads memory that the statement does not hold"));
    }
    Ok(())
}

fn verify_leaves(plan: &Arc<dyn ExecutionPlan>, token: &LeafToken, constants: &mut usize) -> Result<()> {
    let any: &dyn Any = plan.as_ref();
    if let Some(governed) = any.downcast_ref::<GovernedExec>() {
        // What is inside is the leaf's own business.
        return if governed.token() == token {
            Ok(())
        } else {
            Err(Error::internal("a governed leaf of another session was planned"))
        };
    }
    let children = plan.children();
    if !children.is_empty() {
        return children.into_iter().try_for_each(|child| verify_leaves(child, token, constants));
    }
    if let Some(source) = any.downcast_ref::<DataSourceExec>() {
        let source: &dyn Any = source.data_source().as_ref();
        if source.is::<MemorySourceConfig>() {
            *constants += 1;
            return Ok(());
        }
        return Err(Error::internal("a raw source scan was planned"));
    }
    let live = any.downcast_ref::<LiveExec>().map(LiveExec::token);
    if let Some(own) = live.or_else(|| any.downcast_ref::<SystemTableExec>().map(SystemTableExec::token)) {
        return if own == token {
            Ok(())
        } else {
            Err(Error::internal("a table of the gate's own was planned for another session"))
        };
    }
    let known = any.is::<EmptyExec>()
        || any.is::<PlaceholderRowExec>()
        || any.is::<WorkTableExec>()
        || any.is::<LazyMemoryExec>();
    if known { Ok(()) } else { Err(Error::internal(format!("an unknown leaf was planned: {}", plan.name()))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::RecordBatch;
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use datafusion::catalog::TableProvider;
    use datafusion::datasource::{MemTable, provider_as_source};
    use datafusion::logical_expr::LogicalPlanBuilder;
    use datafusion::prelude::SessionContext;
    use querygate_catalog::LiveRows;
    use querygate_pg_catalog::PgCatalog;
    use querygate_pg_catalog::image::CatalogImage;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, true)]))
    }

    fn token(principal: u64) -> LeafToken {
        LeafToken { state_version: 1, principal, until_ms: None }
    }

    fn live(principal: u64) -> Arc<dyn TableProvider> {
        let rows: LiveRows = Arc::new(|| Ok(RecordBatch::new_empty(schema())));
        Arc::new(LiveTable::new(token(principal), "queries", schema(), rows))
    }

    fn system(principal: u64) -> Arc<dyn TableProvider> {
        PgCatalog::new(token(principal), CatalogImage::default()).table("pg_catalog", "pg_class").unwrap()
    }

    fn memory() -> Arc<dyn TableProvider> {
        Arc::new(MemTable::try_new(schema(), vec![vec![RecordBatch::new_empty(schema())]]).unwrap())
    }

    #[tokio::test]
    async fn both_walks_refuse_tables_of_other_readers_and_unknown_ones() {
        let state = SessionContext::new().state();
        for (what, table, admitted) in [
            ("own live", live(1), true),
            ("another's live", live(2), false),
            ("own catalog", system(1), true),
            ("another's catalog", system(2), false),
            ("unknown", memory(), false),
        ] {
            let scan = LogicalPlanBuilder::scan("t", provider_as_source(Arc::clone(&table)), None).unwrap();
            assert_eq!(verify_bound(&scan.build().unwrap(), &token(1)).is_ok(), admitted, "bound {what}");
            let plan = table.scan(&state, None, &[], None).await.unwrap();
            assert_eq!(verify_final(&plan, &token(1), &Inventory::default()).is_ok(), admitted, "final {what}");
        }
    }
}
