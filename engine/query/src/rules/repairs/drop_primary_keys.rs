//! Primary keys of tables, for groupings. The engine takes a column by which an aggregate groups and which was a key before
//! for a key of the groups, whatever else they are made of: it then drops keys of ORDER BY and of GROUP BY that count. So a
//! statement that groups is optimized without keys. What keys are good for is done first: a column by which is grouped only
//! because a key decides it, and which nothing reads, is left out.
//! Needed with DataFusion 55.2.0.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::logical_plan::TableScanBuilder;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use querygate_catalog::leaf::GovernedTable;
use std::any::Any;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

/// The plan, without keys where it groups.
pub(crate) fn without_keys(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut groups = false;
    plan.apply_with_subqueries(|node| {
        groups |= is_grouping(node);
        Ok(if groups { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if !groups {
        return Ok(plan);
    }
    let slim = plan.transform_down_with_subqueries(slimmed)?.data;
    Ok(slim.transform_up_with_subqueries(keyless)?.data)
}

fn is_grouping(node: &LogicalPlan) -> bool {
    matches!(node, LogicalPlan::Aggregate(_) | LogicalPlan::Distinct(_))
}

fn keyless(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let node = match node {
        LogicalPlan::Aggregate(aggregate) => LogicalPlan::Aggregate(by_each_once(aggregate)?),
        other => other,
    };
    let LogicalPlan::TableScan(scan) = node else {
        // Every node repeats the keys of the nodes below.
        let has = node.schema().functional_dependencies().iter().next().is_some();
        return Ok(if has { Transformed::yes(node.recompute_schema()?) } else { Transformed::no(node) });
    };
    let provider = source_as_provider(&scan.source)?;
    let any: &dyn Any = provider.as_ref();
    let Some(governed) = any.downcast_ref::<GovernedTable>() else {
        return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
    };
    let source = provider_as_source(Arc::new(governed.without_keys()));
    let scan = TableScanBuilder::new(scan.table_name, source)
        .with_projection(scan.projection)
        .with_filters(scan.filters)
        .with_fetch(scan.fetch)
        .build()?;
    Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
}

/// What is grouped by twice is one column already. A subquery named twice would become two joins, and two keys of one column.
fn by_each_once(mut aggregate: Aggregate) -> Result<Aggregate> {
    let once = grouping_set_to_exprlist(&aggregate.group_expr)?;
    if matches!(aggregate.group_expr.as_slice(), [Expr::GroupingSet(_)]) || once.len() == aggregate.group_expr.len() {
        return Ok(aggregate);
    }
    aggregate.group_expr = once.into_iter().cloned().collect();
    Ok(aggregate)
}

/// A projection over an aggregate, with what stands between them, that reads no more groups than it needs.
fn slimmed(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Projection(projection) = &node else { return Ok(Transformed::no(node)) };
    let mut read: HashSet<Column> = HashSet::new();
    let mut between: Vec<&LogicalPlan> = vec![&node];
    let mut at = projection.input.as_ref();
    if !reads(&node, &mut read) {
        return Ok(Transformed::no(node));
    }
    let aggregate = loop {
        match at {
            LogicalPlan::Aggregate(aggregate) => break aggregate,
            LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Window(_) | LogicalPlan::Limit(_) => {
                if !reads(at, &mut read) {
                    return Ok(Transformed::no(node));
                }
                between.push(at);
                let Some(input) = at.inputs().into_iter().next() else { return Ok(Transformed::no(node)) };
                at = input;
            }
            _ => return Ok(Transformed::no(node)),
        }
    };
    let Some(slim) = without_decided(aggregate, &read)? else { return Ok(Transformed::no(node)) };
    let mut plan = LogicalPlan::Aggregate(slim);
    for above in between.into_iter().rev() {
        plan = above.with_new_exprs(above.expressions(), vec![plan])?;
    }
    Ok(Transformed::yes(plan))
}

/// Collects the columns that a node reads. `false`: it holds a subquery, which may read more.
fn reads(node: &LogicalPlan, read: &mut HashSet<Column>) -> bool {
    node.expressions().iter().all(|expr| {
        read.extend(expr.column_refs().into_iter().cloned());
        let subquery = expr.exists(|e| {
            Ok(matches!(e, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)))
        });
        !subquery.unwrap_or(true)
    })
}

/// The aggregate without the columns that a key among the others decides and that are not read. `None`: it has none.
fn without_decided(aggregate: &Aggregate, read: &HashSet<Column>) -> Result<Option<Aggregate>> {
    let sets = aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
    // Below another grouping keys are not what they seem.
    if sets || aggregate.input.exists(|node| Ok(is_grouping(node)))? {
        return Ok(None);
    }
    let schema = aggregate.input.schema();
    let place = |expr: &Expr| match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    };
    let grouped: BTreeSet<usize> = aggregate.group_expr.iter().filter_map(place).collect();
    let keys = schema.functional_dependencies().iter();
    let keys: Vec<_> = keys.filter(|key| key.source_indices.iter().all(|at| grouped.contains(at))).collect();
    let deciding = |at: usize| keys.iter().any(|key| key.source_indices.contains(&at));
    let decided = |at: usize| !deciding(at) && keys.iter().any(|key| key.target_indices.contains(&at));
    let needed = |expr: &&Expr| match (expr, place(expr)) {
        (Expr::Column(column), Some(at)) => !decided(at) || read.contains(column),
        _ => true,
    };
    let kept: Vec<Expr> = aggregate.group_expr.iter().filter(needed).cloned().collect();
    if kept.len() == aggregate.group_expr.len() {
        return Ok(None);
    }
    Aggregate::try_new(Arc::clone(&aggregate.input), kept, aggregate.aggr_expr.clone()).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Reader, Shop, on_runtime};
    use datafusion::prelude::SessionContext;

    /// The plan of a statement as the engine binds it, keys and all.
    fn engine_plan(reader: &Reader, sql: &str) -> LogicalPlan {
        let (state, sql) = (datafusion::execution::SessionState::clone(&reader.state), sql.to_owned());
        on_runtime(
            async move { SessionContext::new_with_state(state).sql(&sql).await.unwrap().into_unoptimized_plan() },
        )
    }

    fn rows(reader: &Reader, plan: LogicalPlan) -> Vec<String> {
        let state = Arc::clone(&reader.state);
        let physical = on_runtime(async move { state.create_physical_plan(&plan).await.unwrap() });
        reader.run(physical).unwrap()
    }

    /// A key below a join is none of the groups above it: what ORDER BY and GROUP BY name after it counts.
    #[test]
    fn rows_are_wrong_with_keys() {
        let reader = Shop::open().owner();
        let mut wrong = Vec::new();
        for sql in [
            "SELECT r.id, v.score FROM regions r JOIN visits v ON v.score > 3 GROUP BY r.id, v.score ORDER BY r.id, v.score",
            "SELECT r.id, v.score, count(*) FROM regions r CROSS JOIN visits v GROUP BY r.id, v.score ORDER BY r.id DESC, v.score",
            "SELECT count(*) FROM (SELECT id FROM (SELECT r.id, v.score FROM regions r JOIN visits v ON v.score > 3 \
             GROUP BY r.id, v.score) q GROUP BY id, score) z",
        ] {
            let plan = engine_plan(&reader, sql);
            let right = rows(&reader, without_keys(plan.clone()).unwrap());
            assert_eq!(reader.rows(sql).unwrap(), right, "{sql}");
            // Nor does the rule help that corrects what follows of keys.
            if rows(&reader.without("correct_dependencies"), plan) != right {
                wrong.push(sql);
            }
        }
        assert!(!wrong.is_empty(), "DataFusion concludes no more than it may of keys now");
    }

    /// What a key decides and nothing reads is no key of the groups.
    #[test]
    fn decided_columns_that_nobody_reads_are_left_out() {
        let reader = Shop::open().owner();
        let keys = |sql: &str| {
            let plan = without_keys(engine_plan(&reader, sql)).unwrap().display_indent().to_string();
            let line = plan.lines().find(|line| line.contains("Aggregate:")).unwrap().trim().to_owned();
            line.split("]]").next().unwrap().replace("Aggregate: groupBy=[[", "")
        };
        assert_eq!(keys("SELECT id, count(*) FROM regions GROUP BY id, name"), "regions.id");
        assert_eq!(keys("SELECT id, name, count(*) FROM regions GROUP BY id, name"), "regions.id, regions.name");
        assert_eq!(keys("SELECT count(*) FROM regions GROUP BY name"), "regions.name");
        assert_eq!(
            keys("SELECT id FROM regions GROUP BY id, name HAVING max(name) < name"),
            "regions.id, regions.name"
        );
        assert_eq!(
            keys("SELECT id, count(*) FROM regions GROUP BY ROLLUP (id, name)").matches("regions.name").count(),
            1
        );
    }

    #[test]
    fn a_statement_without_groups_keeps_its_keys() {
        let reader = Shop::open().owner();
        let has_keys = |plan: &LogicalPlan| plan.schema().functional_dependencies().iter().next().is_some();
        let plain = engine_plan(&reader, "SELECT id, name FROM regions");
        assert!(has_keys(&plain) && has_keys(&without_keys(plain.clone()).unwrap()));
        let grouped = engine_plan(&reader, "SELECT DISTINCT id, name FROM regions");
        assert!(has_keys(&grouped) && !has_keys(&without_keys(grouped.clone()).unwrap()));
    }

    /// A cast of a key decides nothing of its table's rows.
    #[test]
    fn a_cast_of_a_key_is_no_key() {
        let reader = Shop::open().owner();
        for (sql, expected) in [
            ("SELECT id::varchar(1) AS k, count(*) FROM regions GROUP BY 1 ORDER BY 1", vec!["a|2", "e|1", "l|1"]),
            ("SELECT id::varchar(1), count(*) FROM regions GROUP BY id::varchar(1) HAVING count(*) > 1", vec!["a|2"]),
            ("SELECT count(*) FROM regions r GROUP BY (r.id)::varchar(1)::text ORDER BY 1 DESC", vec!["2", "1", "1"]),
            ("SELECT max(c) FROM (SELECT count(*) AS c FROM regions GROUP BY id::varchar(1)) g", vec!["2"]),
            (
                "SELECT id::text AS t, id, name FROM regions GROUP BY id::text, id ORDER BY id DESC LIMIT 1",
                vec!["latam|latam|Latin America"],
            ),
            ("SELECT id::varchar(1) AS k FROM regions ORDER BY id::varchar(1), name LIMIT 2", vec!["a", "a"]),
            ("SELECT name FROM regions ORDER BY id::varchar(1), name LIMIT 2", vec!["Asia Pacific", "North America"]),
            ("SELECT id FROM regions ORDER BY id::varchar(1), id DESC LIMIT 2", vec!["apac", "amer"]),
        ] {
            assert_eq!(reader.rows(sql).unwrap(), expected, "{sql}");
        }
    }

    #[test]
    fn what_is_grouped_by_twice_is_one_column() {
        let reader = Shop::open().owner();
        assert_eq!(
            reader.rows("SELECT rank, rank, count(*) FROM regions GROUP BY rank, rank ORDER BY 1").unwrap(),
            ["1|1|2", "3|3|1", "4|4|1"]
        );
    }
}
