//! Which columns of a grouping decide others. The engine says of any column by which is grouped and which decided something
//! below that it decides the whole group, and is even unique, whatever else is grouped by. Then it leaves out keys of ORDER BY
//! and of groupings above, and takes a side of a join for one row. It also takes a cast of a column for the column, by its name.
//! So what it says is put right before each rule that asks.
//! Knows no table.
//! Needed with DataFusion 55.2.0.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Dependency, FunctionalDependence, FunctionalDependencies, Result};
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, LogicalPlan, Projection};
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Put before the rules that ask what decides what.
#[derive(Debug)]
pub(crate) struct CorrectDependencies;

/// The rules that ask.
pub(in crate::rules) const ASKING: [&str; 4] =
    ["replace_distinct_aggregate", "eliminate_join", "eliminate_duplicated_expr", "optimize_projections"];

/// The rules; before each one that reads dependencies, one that corrects them.
pub(crate) fn with_correct_dependencies(
    rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let mut all: Vec<Arc<dyn OptimizerRule + Send + Sync>> = Vec::with_capacity(rules.len() + ASKING.len());
    for rule in rules {
        if ASKING.contains(&rule.name()) {
            all.push(Arc::new(CorrectDependencies));
        }
        all.push(rule);
    }
    all
}

impl OptimizerRule for CorrectDependencies {
    fn name(&self) -> &'static str {
        "correct_dependencies"
    }
    fn supports_rewrite(&self) -> bool {
        true
    }
    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        put_right(plan)
    }
}

/// The plan with what its groupings decide, and what is said above of that.
fn put_right(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let plan = plan.map_subqueries(put_right)?;
    let asked = plan.transformed;
    let plan = plan.data.map_children(put_right)?;
    let below = plan.transformed;
    let node = if below { plan.data.recompute_schema()? } else { plan.data };
    let mut node = of_node(node)?;
    node.transformed |= below || asked;
    Ok(node)
}

fn of_node(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let said = node.schema().functional_dependencies();
    match node {
        LogicalPlan::Aggregate(mut aggregate) => {
            let keys = grouping_set_to_exprlist(&aggregate.group_expr)?;
            let input = below_keys(Arc::clone(&aggregate.input), keys.into_iter())?;
            let emptied = input.transformed;
            aggregate.input = input.data;
            let said = aggregate.schema.functional_dependencies();
            let right = if said.is_empty() { FunctionalDependencies::empty() } else { of_groups(&aggregate)? };
            if *said == right {
                return Ok(Transformed::new_transformed(LogicalPlan::Aggregate(aggregate), emptied));
            }
            let schema = Arc::unwrap_or_clone(aggregate.schema);
            aggregate.schema = Arc::new(schema.with_functional_dependencies(right)?);
            Ok(Transformed::yes(LogicalPlan::Aggregate(aggregate)))
        }
        LogicalPlan::Sort(mut sort) => {
            let input = below_keys(Arc::clone(&sort.input), sort.expr.iter().map(|key| &key.expr))?;
            sort.input = input.data;
            Ok(Transformed::new_transformed(LogicalPlan::Sort(sort), input.transformed))
        }
        // A row becomes several, and columns change their places.
        LogicalPlan::Unnest(mut unnest) if !said.is_empty() => {
            let schema = Arc::unwrap_or_clone(unnest.schema);
            unnest.schema = Arc::new(schema.with_functional_dependencies(FunctionalDependencies::empty())?);
            Ok(Transformed::yes(LogicalPlan::Unnest(unnest)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The rows that keys are computed of. The engine knows a key by its printed name, in which a cast of a column is the column, and leaves out what the
/// column decides: below such a key nothing is said to decide anything.
fn below_keys<'a>(
    input: Arc<LogicalPlan>,
    mut keys: impl Iterator<Item = &'a Expr>,
) -> Result<Transformed<Arc<LogicalPlan>>> {
    let schema = input.schema();
    let is_taken_for_column =
        |key: &Expr| !matches!(key, Expr::Column(_)) && schema.field_names().contains(&key.schema_name().to_string());
    if schema.functional_dependencies().is_empty() || !keys.any(is_taken_for_column) {
        return Ok(Transformed::no(input));
    }
    Ok(Transformed::yes(Arc::new(undeciding(Arc::unwrap_or_clone(input))?)))
}

/// The node, which says of no column that it decides others.
fn undeciding(node: LogicalPlan) -> Result<LogicalPlan> {
    // These have the schema of what is below.
    if let LogicalPlan::Filter(_)
    | LogicalPlan::Sort(_)
    | LogicalPlan::Limit(_)
    | LogicalPlan::Repartition(_)
    | LogicalPlan::Distinct(Distinct::All(_)) = &node
    {
        return Ok(node.map_children(|child| undeciding(child).map(Transformed::yes))?.data);
    }
    let schema = node.schema().as_ref().clone();
    let schema = Arc::new(schema.with_functional_dependencies(FunctionalDependencies::empty())?);
    Ok(match node {
        LogicalPlan::Projection(mut projection) => {
            projection.schema = schema;
            LogicalPlan::Projection(projection)
        }
        LogicalPlan::Aggregate(mut aggregate) => {
            aggregate.schema = schema;
            LogicalPlan::Aggregate(aggregate)
        }
        LogicalPlan::Join(mut join) => {
            join.schema = schema;
            LogicalPlan::Join(join)
        }
        LogicalPlan::TableScan(mut scan) => {
            scan.projected_schema = schema;
            LogicalPlan::TableScan(scan)
        }
        LogicalPlan::SubqueryAlias(mut alias) => {
            alias.schema = schema;
            LogicalPlan::SubqueryAlias(alias)
        }
        other => {
            let columns = schema.columns().into_iter().map(Expr::Column).collect();
            LogicalPlan::Projection(Projection::try_new_with_schema(columns, Arc::new(other), schema)?)
        }
    })
}

/// What the keys of a grouping decide. Of grouping sets nothing is said.
fn of_groups(aggregate: &Aggregate) -> Result<FunctionalDependencies> {
    if aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_))) {
        return Ok(FunctionalDependencies::empty());
    }
    let below = aggregate.input.schema();
    // What is grouped by twice is one column.
    let keys: Vec<Option<usize>> = grouping_set_to_exprlist(&aggregate.group_expr)?
        .into_iter()
        .map(|expr| match expr {
            Expr::Column(column) => below.maybe_index_of_column(column),
            _ => None,
        })
        .collect();
    // One subquery grouped by twice became two columns of a grouping that has one: nothing is known of its places.
    if keys.len() + aggregate.aggr_expr.len() != aggregate.schema.fields().len() {
        return Ok(FunctionalDependencies::empty());
    }
    let place = |at: &usize| keys.iter().position(|key| *key == Some(*at));
    let columns: Vec<usize> = (0..aggregate.schema.fields().len()).collect();
    let mut right = Vec::new();
    for known in below.functional_dependencies().iter() {
        let Some(source) = known.source_indices.iter().map(place).collect::<Option<Vec<usize>>>() else { continue };
        let decided: BTreeSet<usize> = known.target_indices.iter().filter_map(place).chain(source.clone()).collect();
        // A key of the rows below is one of the groups, and so is what decides all that is grouped by.
        let whole = known.mode == Dependency::Single || decided.len() == keys.len();
        let (targets, mode) = if whole {
            (columns.clone(), Dependency::Single)
        } else {
            (decided.into_iter().collect(), Dependency::Multi)
        };
        right.push(FunctionalDependence::new(source, targets, known.nullable).with_mode(mode));
    }
    if !keys.is_empty() && right.iter().all(|known| known.mode != Dependency::Single) {
        let source: Vec<usize> = (0..keys.len()).collect();
        let nullable = source.iter().any(|at| aggregate.schema.field(*at).is_nullable());
        right.push(FunctionalDependence::new(source, columns, nullable).with_mode(Dependency::Single));
    }
    Ok(FunctionalDependencies::new(right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Shop;

    const GROUPS: &str = "(SELECT x AS d FROM (VALUES (1), (2)) v(x) GROUP BY x) g";

    fn statements() -> [(String, &'static [&'static str]); 4] {
        [
            // A key of a grouping below a join is no key above it: ORDER BY lost what stands after it,
            (
                format!(
                    "SELECT d, id FROM (SELECT DISTINCT g.d, b.id FROM {GROUPS}, (VALUES (2), (3), (1)) b(id)) q \
                     ORDER BY d, id DESC"
                ),
                &["1|3", "1|2", "1|1", "2|3", "2|2", "2|1"],
            ),
            // so did GROUP BY,
            (
                format!(
                    "SELECT count(*) FROM (SELECT d FROM (SELECT DISTINCT g.d, b.id FROM {GROUPS}, \
                     (VALUES (1), (2), (3)) b(id)) q GROUP BY d, id) z"
                ),
                &["6"],
            ),
            // and one row is several after it is unnested.
            (
                "SELECT d, e FROM (SELECT x AS d, unnest(ARRAY[x, 5, x + 2]) AS e FROM (VALUES (1), (2)) v(x) GROUP BY x) q \
                 ORDER BY d, e DESC"
                    .to_owned(),
                &["1|5", "1|3", "1|1", "2|5", "2|4", "2|2"],
            ),
            // A cast of a key is no key: ORDER BY lost what stands after it.
            (
                "SELECT n FROM (SELECT x AS n FROM (VALUES (1.4), (1.1), (0.6)) v(x) GROUP BY x) g ORDER BY n::int, n"
                    .to_owned(),
                &["0.6", "1.1", "1.4"],
            ),
        ]
    }

    #[test]
    fn rows_are_wrong_without_the_rule() {
        let reader = Shop::open().owner();
        let without = reader.without(CorrectDependencies.name());
        for (sql, expected) in statements() {
            assert_eq!(reader.rows(&sql).unwrap(), expected, "{sql}");
            assert_ne!(without.rows(&sql).unwrap(), expected, "DataFusion answers {sql} by itself now");
        }
    }

    /// The key that was lost.
    #[test]
    fn a_grouping_keeps_its_keys() {
        let reader = Shop::open().owner();
        let [_, (sql, _), ..] = statements();
        let outer = |reader: &crate::testing::Reader| {
            let plan = reader.optimized(&sql).display_indent().to_string();
            plan.lines().filter(|line| line.contains("Aggregate: groupBy=[[q.d")).map(str::trim).collect::<String>()
        };
        assert_eq!(outer(&reader), "Aggregate: groupBy=[[q.d, q.id]], aggr=[[]]");
        assert_eq!(outer(&reader.without(CorrectDependencies.name())), "Aggregate: groupBy=[[q.d]], aggr=[[]]");
    }

    /// Each rule that asks has its answer put right directly before it.
    #[test]
    fn it_stands_before_each_rule_that_asks() {
        let rules = with_correct_dependencies(datafusion::optimizer::Optimizer::new().rules);
        for (at, rule) in rules.iter().enumerate() {
            let before = at.checked_sub(1).map(|at| rules[at].name());
            assert_eq!(before == Some("correct_dependencies"), ASKING.contains(&rule.name()), "{}", rule.name());
        }
    }
}
