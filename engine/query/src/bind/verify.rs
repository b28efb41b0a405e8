//! Two walks that trust no optimizer rule: over the bound plan, before anything is folded, and over the final plan.

use crate::temporary_rows::{TemporaryExec, TemporaryTable};
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
use querygate_catalog::federation::FragmentTable;
use querygate_catalog::leaf::{GovernedExec, GovernedTable};
use querygate_catalog::live::{LiveExec, LiveTable};
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
    /// Why the first of them that has one may not be read: its rules cannot be applied. No rule that finds a table's rows needless is to
    /// make a difference.
    pub(crate) refusal: Option<Error>,
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
        if inventory.refusal.is_none() {
            inventory.refusal = governed.refusal().cloned();
        }
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
    if let Some(own) = any.downcast_ref::<TemporaryTable>() {
        return if own.token() == token {
            Ok(())
        } else {
            Err(Error::internal("a temporary table of another session was bound"))
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
    if let Some(own) = any.downcast_ref::<TemporaryExec>() {
        return if own.token() == token {
            Ok(())
        } else {
            Err(Error::internal("a temporary table of another session was planned"))
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
    use crate::testing::Shop;
    use arrow::array::RecordBatch;
    use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
    use datafusion::catalog::TableProvider;
    use datafusion::common::DFSchemaRef;
    use datafusion::datasource::{MemTable, provider_as_source};
    use datafusion::logical_expr::LogicalPlanBuilder;
    use datafusion::logical_expr::{Expr, Extension, UserDefinedLogicalNodeCore};
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::explain::ExplainExec;
    use datafusion::prelude::SessionContext;
    use querygate_catalog::live::LiveRows;
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

    /// Statements that do something else than read rows have plans of their own, and none of them passes.
    #[tokio::test]
    async fn walk_one_refuses_every_node_that_is_no_query() {
        let context = SessionContext::new();
        context.sql("CREATE TABLE t AS SELECT 1 AS a").await.unwrap();
        let mut kinds = Vec::new();
        for sql in [
            "EXPLAIN SELECT 1",
            "EXPLAIN ANALYZE SELECT 1",
            "DESCRIBE t",
            "INSERT INTO t VALUES (2)",
            "CREATE TABLE u AS SELECT 1 AS a",
            "COPY (SELECT 1 AS a) TO 'nowhere.csv'",
            "SET datafusion.execution.batch_size = 2",
        ] {
            let plan = context.state().create_logical_plan(sql).await.unwrap();
            let error = verify_bound(&plan, &token(1)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::FeatureNotSupported, "{sql}: {error}");
            kinds.push(std::mem::discriminant(&plan));
        }
        // Each is a kind of node of its own, so that no arm of the walk is asked twice.
        assert!(kinds.iter().enumerate().all(|(at, kind)| !kinds[..at].contains(kind)), "{kinds:?}");
        // The one kind that no statement gives: a node of somebody's own.
        let inner = context.state().create_logical_plan("SELECT 1 WHERE 1 IN (SELECT a FROM t)").await.unwrap();
        let own = Extension { node: Arc::new(OwnNode(inner)) };
        let error = verify_bound(&LogicalPlan::Extension(own), &token(1)).unwrap_err();
        assert_eq!(error.code(), ErrorCode::FeatureNotSupported);
    }

    /// What stands in an expression is walked like what stands in FROM.
    #[tokio::test]
    async fn walk_one_looks_into_subqueries() {
        let context = SessionContext::new();
        context.register_table("t", memory()).unwrap();
        for sql in [
            "SELECT (SELECT max(a) FROM t)",
            "SELECT 1 WHERE 1 IN (SELECT a FROM t)",
            "SELECT 1 WHERE EXISTS (SELECT a FROM t)",
            "SELECT 1 UNION ALL SELECT a FROM t",
            "SELECT 1 FROM (SELECT a FROM (SELECT a FROM t) x) y",
            "WITH w AS (SELECT a FROM t) SELECT 1 FROM w",
            "SELECT 1 ORDER BY (SELECT max(a) FROM t)",
        ] {
            let plan = context.state().create_logical_plan(sql).await.unwrap();
            let error = verify_bound(&plan, &token(1)).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Internal, "{sql}: {error}");
        }
    }

    #[derive(Debug, PartialEq, Eq, Hash, PartialOrd)]
    struct OwnNode(LogicalPlan);

    impl UserDefinedLogicalNodeCore for OwnNode {
        fn name(&self) -> &str {
            "Own"
        }
        fn inputs(&self) -> Vec<&LogicalPlan> {
            vec![&self.0]
        }
        fn schema(&self) -> &DFSchemaRef {
            self.0.schema()
        }
        fn expressions(&self) -> Vec<Expr> {
            Vec::new()
        }
        fn fmt_for_explain(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Own")
        }
        fn with_exprs_and_inputs(
            &self,
            _: Vec<Expr>,
            mut inputs: Vec<LogicalPlan>,
        ) -> datafusion::common::Result<Self> {
            Ok(Self(inputs.remove(0)))
        }
    }

    /// The final plan of one reader is none of another's, though both read the same rows; memory is read only by
    /// statements that hold constants; a leaf that nobody listed does not pass under operators that do.
    #[test]
    fn walk_two_knows_each_leaf() {
        let (owner, clerk) = (Shop::open().owner(), Shop::open().clerk());
        let own = owner.workspace.catalog.token();
        assert_ne!(own, clerk.workspace.catalog.token());
        for sql in ["SELECT count(*) FROM accounts", "SELECT v.id FROM visits v JOIN accounts a ON a.id = v.account_id"]
        {
            let plan = owner.plan(sql).unwrap();
            let with = Inventory::default();
            assert!(verify_final(plan.physical(), own, &with).is_ok(), "{sql}");
            let error = verify_final(plan.physical(), clerk.workspace.catalog.token(), &with).unwrap_err();
            assert_eq!(error.code(), ErrorCode::Internal, "{sql}");
        }
        let constants = owner.plan("SELECT x FROM (VALUES (1), (2)) v(x) WHERE x > 1").unwrap();
        assert!(verify_final(constants.physical(), own, &Inventory { constants: 1, ..Inventory::default() }).is_ok());
        assert!(verify_final(constants.physical(), own, &Inventory::default()).is_err(), "memory that nobody wrote");
        let series = owner.plan("SELECT * FROM generate_series(1, 3)").unwrap();
        assert!(verify_final(series.physical(), own, &Inventory::default()).is_ok());
    }

    #[test]
    fn walk_two_refuses_leaves_that_are_not_listed() {
        let raw: Arc<dyn ExecutionPlan> = Arc::new(ExplainExec::new(schema(), Vec::new(), false));
        assert!(raw.children().is_empty());
        let error = verify_final(&raw, &token(1), &Inventory::default()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::Internal);
        let under: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(raw));
        assert!(verify_final(&under, &token(1), &Inventory::default()).is_err(), "under an operator");
        let empty: Arc<dyn ExecutionPlan> = Arc::new(EmptyExec::new(schema()));
        assert!(verify_final(&empty, &token(1), &Inventory::default()).is_ok());
    }

    #[test]
    fn an_inventory_has_each_table_as_often_as_it_is_read() {
        let bound = Shop::open()
            .owner()
            .bind("SELECT a.id FROM accounts a WHERE a.region_id IN (SELECT id FROM regions) AND a.id <> (SELECT min(id) FROM accounts)")
            .unwrap();
        let mut tables = bound.inventory().tables.clone();
        tables.sort();
        assert_eq!(tables, ["accounts", "accounts", "regions"]);
    }
}
