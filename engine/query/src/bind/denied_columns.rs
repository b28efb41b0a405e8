//! `hidden_columns = "denied"`: columns that a reader may not read have names, and a statement that reads one is refused as in
//! PostgreSQL. What is left reads governed tables alone.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Dependency, ExprSchema as _, Result as EngineResult};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, LogicalPlanBuilder, TableScan};
use querygate_catalog::named::{NamedTable, denied_table};
use querygate_semantics::lineage::InputColumns;
use querygate_types::{Error, ErrorCode, Result};
use std::any::Any;
use std::sync::Arc;

/// The plan over governed tables alone.
///
/// # Errors
/// 42501: it reads a column that its reader may not read.
pub(super) fn without_denied_columns(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found |= named_of(node)?.is_some();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(Error::internal)?;
    if !found {
        return Ok(plan);
    }
    let plan = plan.transform_up_with_subqueries(grouped_as_written).map_err(Error::internal)?.data;
    if let Some(table) = first_denied(&plan).map_err(Error::internal)? {
        return Err(Error::new(ErrorCode::InsufficientPrivilege, format!("permission denied for table {table}")));
    }
    Ok(plan.transform_up_with_subqueries(governed).map_err(Error::internal)?.data)
}

/// The table that a scan names. Types are compared as they are: what delegates to one is none.
fn named_of(node: &LogicalPlan) -> EngineResult<Option<(&TableScan, Arc<dyn datafusion::catalog::TableProvider>)>> {
    let LogicalPlan::TableScan(scan) = node else { return Ok(None) };
    let provider = source_as_provider(&scan.source)?;
    let is_named = (provider.as_ref() as &dyn Any).is::<NamedTable>();
    Ok(is_named.then_some((scan, provider)))
}

/// The engine adds to the key of a table all its columns, of which a group has one value each: those that may not be read are left out.
fn grouped_as_written(node: LogicalPlan) -> EngineResult<Transformed<LogicalPlan>> {
    let node = node.recompute_schema()?;
    let LogicalPlan::Aggregate(aggregate) = node else { return Ok(Transformed::yes(node)) };
    let schema = Arc::clone(aggregate.input.schema());
    let place = |expr: &Expr| match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    };
    let keys: Vec<usize> = aggregate.group_expr.iter().filter_map(place).collect();
    let decided = |at: usize| {
        schema.functional_dependencies().iter().any(|dependency| {
            dependency.mode == Dependency::Single
                && dependency.target_indices.contains(&at)
                && !dependency.source_indices.contains(&at)
                && dependency.source_indices.iter().all(|source| keys.contains(source))
        })
    };
    let needless = |expr: &Expr| place(expr).is_some_and(|at| denied_table(schema.field(at)).is_some() && decided(at));
    let Aggregate { input, mut group_expr, aggr_expr, .. } = aggregate;
    group_expr.retain(|expr| !needless(expr));
    Ok(Transformed::yes(LogicalPlan::Aggregate(Aggregate::try_new(input, group_expr, aggr_expr)?)))
}

/// The table of the first column that is read and may not be.
fn first_denied(plan: &LogicalPlan) -> EngineResult<Option<String>> {
    let mut denied = None;
    plan.apply_with_subqueries(|node| {
        let columns = InputColumns::of(node)?;
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                denied = denied.take().or_else(|| denied_part(part, columns.schema()));
                Ok(if denied.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })?;
        Ok(if denied.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(denied)
}

fn denied_part(part: &Expr, columns: &DFSchema) -> Option<String> {
    let field = match part {
        Expr::Column(column) => columns.field_from_column(column).ok()?,
        Expr::OuterReferenceColumn(field, _) => field,
        _ => return None,
    };
    denied_table(field).map(str::to_owned)
}

/// A node over governed tables.
fn governed(node: LogicalPlan) -> EngineResult<Transformed<LogicalPlan>> {
    let Some((scan, provider)) = named_of(&node)? else { return Ok(Transformed::yes(node.recompute_schema()?)) };
    let any: &dyn Any = provider.as_ref();
    let Some(named) = any.downcast_ref::<NamedTable>() else { return Ok(Transformed::no(node)) };
    let source = provider_as_source(Arc::clone(named.table()) as _);
    let plan = LogicalPlanBuilder::scan(scan.table_name.clone(), source, None)?.build()?;
    Ok(Transformed::yes(plan))
}

#[cfg(test)]
mod tests {
    use crate::testing::Shop;

    /// Whatever reads the column, by whatever name, is refused with PostgreSQL's words.
    #[test]
    fn a_statement_that_reads_a_denied_column_is_refused() {
        let reader = Shop::denying().clerk();
        for sql in [
            "SELECT secret FROM accounts",
            "SELECT a.secret FROM accounts a",
            "SELECT * FROM accounts",
            "SELECT a.* FROM accounts a",
            "TABLE accounts",
            "SELECT a FROM accounts a",
            "SELECT count(a) FROM accounts a",
            "SELECT row_to_json(a) FROM accounts a",
            "SELECT id FROM accounts WHERE secret IS NULL",
            "SELECT id FROM accounts ORDER BY secret",
            "SELECT count(*) FROM accounts GROUP BY secret",
            "SELECT max(secret) FROM accounts",
            "SELECT count(*) FILTER (WHERE secret IS NULL) FROM accounts",
            "SELECT row_number() OVER (ORDER BY secret) FROM accounts",
            "SELECT v.id FROM visits v JOIN accounts a ON a.id = v.account_id AND a.secret IS NULL",
            "SELECT x.id FROM (SELECT * FROM accounts) x",
            "WITH x AS (SELECT id, secret FROM accounts) SELECT id FROM x",
            "SELECT id FROM visits WHERE EXISTS (SELECT * FROM accounts)",
            "SELECT secret FROM (SELECT 'a' AS secret) x WHERE secret NOT IN (SELECT secret FROM accounts)",
            "SELECT id FROM accounts a WHERE EXISTS (SELECT 1 FROM visits v WHERE v.id = a.secret::text)",
            "SELECT id FROM accounts UNION SELECT secret::text FROM accounts",
        ] {
            let error = reader.bind(sql).map(drop).unwrap_err();
            let expected = ("42501", "permission denied for table accounts");
            assert_eq!((error.code().sqlstate(), error.message()), expected, "{sql}");
        }
    }

    /// What does not read it answers as without it.
    #[test]
    fn what_does_not_read_it_answers_as_ever() {
        let (denied, absent) = (Shop::denying().clerk(), Shop::open().clerk());
        for sql in [
            "SELECT id, name FROM accounts ORDER BY id",
            "SELECT count(*) FROM accounts",
            "SELECT 1 FROM accounts",
            "SELECT name, count(*) FROM accounts GROUP BY id, name ORDER BY 1",
            "SELECT a.id FROM accounts a JOIN visits v ON v.account_id = a.id ORDER BY 1",
            "SELECT id FROM visits v WHERE EXISTS (SELECT 1 FROM accounts a WHERE a.id = v.account_id) ORDER BY 1",
            "SELECT (SELECT max(a.name) FROM accounts a WHERE a.id = v.account_id) FROM visits v ORDER BY 1",
            "SELECT * FROM visits ORDER BY id",
            "WITH x AS (SELECT id FROM accounts) SELECT * FROM x UNION ALL SELECT id FROM accounts ORDER BY 1",
        ] {
            let told =
                |reader: &crate::testing::Reader| reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(told(&denied), told(&absent), "{sql}");
        }
    }

    /// A reader who may read everything is refused nothing.
    #[test]
    fn who_may_read_a_column_reads_it() {
        let reader = Shop::denying().owner();
        assert_eq!(reader.rows("SELECT secret FROM accounts").unwrap().len(), 6);
        assert!(!reader.rows("SELECT * FROM accounts").unwrap().is_empty());
    }
}
