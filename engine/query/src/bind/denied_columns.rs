//! `hidden_columns = "denied"`: columns that a reader may not read have names, and a statement that reads one is refused as in
//! PostgreSQL. What is left reads governed tables alone.

use crate::dialect::is_written_key;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema as _, Result as EngineResult};
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
        found |= named_of(node)?.is_some() || has_written_keys(node);
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(Error::internal)?;
    if !found {
        return Ok(plan);
    }
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

/// Whether it has keys of which it is said that they are written.
fn has_written_keys(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.iter().any(is_written_key))
}

/// A group over governed tables. Of its keys that may not be read, a statement that is not refused writes none: the engine adds them to
/// the key of their table, and nothing reads them.
fn grouped(aggregate: Aggregate) -> EngineResult<LogicalPlan> {
    let Aggregate { input, mut group_expr, aggr_expr, schema, .. } = aggregate;
    group_expr.retain(|key| !is_written_key(key) && denied_part(key, &schema).is_none());
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(input, group_expr, aggr_expr)?))
}

/// The table of the first column that is read and may not be. A column among the keys of a group may be the engine's: one that is
/// written is there once more.
fn first_denied(plan: &LogicalPlan) -> EngineResult<Option<String>> {
    let mut denied = None;
    plan.apply_with_subqueries(|node| {
        let columns = InputColumns::of(node)?;
        let groups = matches!(node, LogicalPlan::Aggregate(_));
        node.apply_expressions(|expr| {
            if groups && matches!(expr, Expr::Column(_)) {
                return Ok(TreeNodeRecursion::Continue);
            }
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
    let node = match node {
        LogicalPlan::Aggregate(aggregate) => return Ok(Transformed::yes(grouped(aggregate)?)),
        node => node,
    };
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
            "SELECT id FROM accounts a WHERE a IS NOT NULL",
            "SELECT id FROM accounts a WHERE a.* IS NOT NULL",
            "SELECT id FROM accounts a WHERE (a.*) IS NULL",
        ] {
            refused(&reader, sql);
        }
    }

    fn refused(reader: &crate::testing::Reader, sql: &str) {
        let error = reader.bind(sql).map(drop).unwrap_err();
        let expected = ("42501", "permission denied for table accounts");
        assert_eq!((error.code().sqlstate(), error.message()), expected, "{sql}");
    }

    /// Beside a key, which decides all columns of its row, one that is written is read, and one that the engine adds is not.
    #[test]
    fn a_group_reads_what_is_written_beside_its_key() {
        let reader = Shop::denying().clerk();
        for sql in [
            "SELECT id FROM accounts GROUP BY id, secret",
            "SELECT id FROM accounts GROUP BY secret, id",
            "SELECT id FROM accounts a GROUP BY a.id, (a.secret)",
            "SELECT id FROM accounts a GROUP BY a.id, (a).secret",
            "SELECT id FROM accounts GROUP BY (id, secret)",
            "SELECT id FROM accounts GROUP BY GROUPING SETS ((id, secret))",
            "SELECT id FROM accounts GROUP BY GROUPING SETS ((id, secret), (id))",
            "SELECT id FROM accounts GROUP BY ROLLUP (id, secret)",
            "SELECT DISTINCT id FROM accounts GROUP BY id, secret",
            "SELECT id FROM accounts GROUP BY id UNION SELECT id FROM accounts GROUP BY id, secret",
            "SELECT id FROM visits WHERE account_id IN (SELECT id FROM accounts GROUP BY id, secret)",
            "SELECT v.id FROM visits v JOIN accounts a ON a.id = v.account_id GROUP BY v.id, a.id, a.secret",
            "SELECT id, secret FROM accounts GROUP BY id",
            "SELECT id, secret FROM accounts GROUP BY id, secret",
            "SELECT id, secret IS NULL FROM accounts GROUP BY id",
            "SELECT secret AS s, id FROM accounts GROUP BY s, id",
            "SELECT id FROM accounts GROUP BY id ORDER BY secret",
            "SELECT id FROM accounts GROUP BY id, secret ORDER BY secret",
            "SELECT id FROM accounts GROUP BY id HAVING secret IS NULL",
            "SELECT id FROM accounts GROUP BY id HAVING max(secret) IS NULL",
            "SELECT id, row_number() OVER (ORDER BY secret) FROM accounts GROUP BY id",
        ] {
            refused(&reader, sql);
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
            "SELECT id, name FROM accounts GROUP BY id ORDER BY name, id",
            "SELECT id, name FROM accounts GROUP BY id HAVING name IS NOT NULL ORDER BY id",
            "SELECT a.id, a.name, count(v.id) FROM accounts a LEFT JOIN visits v ON v.account_id = a.id GROUP BY a.id ORDER BY 1",
            "SELECT a.id, v.id FROM accounts a LEFT JOIN visits v ON v.account_id = a.id GROUP BY a.id, v.id ORDER BY 1, 2",
            "SELECT a.name, v.id FROM visits v JOIN accounts a ON v.account_id = a.id GROUP BY a.id, v.id ORDER BY 1, 2",
            "SELECT a.id, count(b.id) FROM accounts a LEFT JOIN accounts b ON b.id > a.id GROUP BY a.id ORDER BY 1",
            "SELECT a.id, a.name FROM visits v FULL JOIN accounts a ON v.account_id = a.id GROUP BY a.id ORDER BY 1",
            "SELECT secret, count(*) FROM (SELECT name AS secret FROM accounts) x GROUP BY secret ORDER BY 1",
            "SELECT x.secret FROM (SELECT id, name AS secret FROM accounts) x GROUP BY x.id, x.secret ORDER BY 1",
            "SELECT upper(secret), count(*) FROM (SELECT id AS secret FROM visits) x GROUP BY upper(secret) ORDER BY 1",
            "SELECT secret, grouping(secret) FROM (SELECT name AS secret FROM accounts) x GROUP BY ROLLUP (secret) ORDER BY 1, 2",
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
