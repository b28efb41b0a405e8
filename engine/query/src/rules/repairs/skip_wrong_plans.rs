//! Guards around rules of DataFusion that are wrong on some plans: those plans stay as they were.
//! Needed with DataFusion 55.2.0.

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, NullEquality, Result, TableReference};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, JoinType, LogicalPlan, Projection, Union};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Rules of DataFusion that get a guard, and what it keeps.
pub(in crate::rules) const GUARDED: [(&str, Keeps); 6] = [
    ("eliminate_cross_join", Keeps::Conditions),
    ("single_distinct_aggregation_to_group_by", Keeps::Types),
    ("push_down_filter", Keeps::GroupsAndSize),
    ("eliminate_group_by_constant", Keeps::Names),
    ("propagate_empty_relation", Keeps::Places),
    ("eliminate_join", Keeps::Marks),
];

/// The rules with their guards in place. Give them to every session state.
pub(crate) fn guarded(rules: Vec<Arc<dyn OptimizerRule + Send + Sync>>) -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let guard = |rule: Arc<dyn OptimizerRule + Send + Sync>| -> Arc<dyn OptimizerRule + Send + Sync> {
        match GUARDED.iter().find(|(name, _)| *name == rule.name()) {
            Some((_, keeps)) => Arc::new(Guarded { rule, keeps: *keeps }),
            None => rule,
        }
    };
    rules.into_iter().map(guard).collect()
}

#[derive(Debug)]
struct Guarded {
    rule: Arc<dyn OptimizerRule + Send + Sync>,
    keeps: Keeps,
}

/// What the rule must not lose.
#[derive(Debug, Clone, Copy)]
pub(in crate::rules) enum Keeps {
    /// It flattens inner joins and joins them anew in another order; a key of an ON clause whose one side reads several
    /// relations (`c.z = a.x + b.y`) then fits no pair, and as it stands in no filter, it is dropped: too many rows, no error.
    Conditions,
    /// It takes count(DISTINCT x) beside sum(y) apart into two groupings, and the sum of sums of decimals is wider than the
    /// sum was.
    Types,
    /// It puts a condition without columns below a grouping, as one about its keys. A grouping over nothing has a row even
    /// where none is below, so that what is not true gave that row. Conditions on keys it puts there by the names of these, of
    /// which a column and its cast have one. And it puts the expressions of a projection in place of the columns that a
    /// condition reads: of projections on one another, which read a column twice, each doubles the condition.
    GroupsAndSize,
    /// Of a UNION ALL it leaves the branches that have rows, and asks the first of them for columns by the names of the first branch of
    /// all, which may have been another.
    Places,
    /// It leaves out an outer join whose columns no one reads, and of what an EXISTS is marked by no column is left then; the rule that
    /// asks for the first of them panics.
    Marks,
    /// It names the columns of a grouping anew, as the engine prints them, where a cast is not to be seen: a column and its
    /// cast (`GROUP BY n, n::text`) then have one name, which it refuses.
    Names,
}

impl OptimizerRule for Guarded {
    fn name(&self) -> &str {
        self.rule.name()
    }
    fn apply_order(&self) -> Option<ApplyOrder> {
        self.rule.apply_order()
    }
    fn supports_rewrite(&self) -> bool {
        true
    }
    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        match self.keeps {
            Keeps::Conditions if loses_conditions(&plan)? => Ok(Transformed::no(plan)),
            Keeps::Types | Keeps::Names if is_ambiguous(&plan) => Ok(Transformed::no(plan)),
            Keeps::Types if matches!(plan, LogicalPlan::Aggregate(_)) => {
                let rewritten = self.rule.rewrite(plan.clone(), config)?;
                Ok(if types(&rewritten.data).eq(types(&plan)) { rewritten } else { Transformed::no(plan) })
            }
            Keeps::GroupsAndSize if takes_groups(&plan) || grows(&plan)? => Ok(Transformed::no(plan)),
            Keeps::Places => match without_empty_branches(&plan)? {
                Some(others) => Ok(Transformed::yes(others)),
                None => self.rule.rewrite(plan, config),
            },
            Keeps::Marks if has_mark(&plan, |_| true)? => {
                let rewritten = self.rule.rewrite(plan.clone(), config)?;
                let lost = has_mark(&rewritten.data, |by| by.schema().fields().is_empty())?;
                Ok(if lost { Transformed::no(plan) } else { rewritten })
            }
            Keeps::Conditions | Keeps::Types | Keeps::GroupsAndSize | Keeps::Names | Keeps::Marks => {
                self.rule.rewrite(plan, config)
            }
        }
    }
}

/// Whether rows are marked by such rows.
fn has_mark(plan: &LogicalPlan, by: impl Fn(&LogicalPlan) -> bool) -> Result<bool> {
    plan.exists(|node| {
        let LogicalPlan::Join(join) = node else { return Ok(false) };
        Ok(match join.join_type {
            JoinType::LeftMark => by(&join.right),
            JoinType::RightMark => by(&join.left),
            _ => false,
        })
    })
}

/// A union without its branches that have no rows, its columns under the union's names by their places. `None`: the rule leaves it so.
fn without_empty_branches(plan: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let LogicalPlan::Union(union) = plan else { return Ok(None) };
    let has_rows = |input: &&Arc<LogicalPlan>| match input.as_ref() {
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => true,
    };
    let branches: Vec<&Arc<LogicalPlan>> = union.inputs.iter().filter(has_rows).collect();
    let Some((branch, others)) = branches.split_first() else { return Ok(None) };
    if branches.len() == union.inputs.len() || branch.schema() == &union.schema {
        return Ok(None);
    }
    let columns = branch
        .schema()
        .iter()
        .zip(union.schema.iter())
        .map(|(own, (qualifier, field))| Expr::from(own).alias_qualified(qualifier.cloned(), field.name()));
    let columns = columns.collect();
    let first = Projection::try_new_with_schema(columns, Arc::clone(branch), Arc::clone(&union.schema))?;
    let first = LogicalPlan::Projection(first);
    if others.is_empty() {
        return Ok(Some(first));
    }
    let inputs = std::iter::once(Arc::new(first)).chain(others.iter().map(|other| Arc::clone(other))).collect();
    Ok(Some(LogicalPlan::Union(Union { inputs, schema: Arc::clone(&union.schema) })))
}

/// Whether a condition stands on a grouping whose keys its columns do not tell apart, or one without columns on a grouping
/// that has a row of no rows. Conditions on one another are put together first.
fn takes_groups(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Filter(filter) = plan else { return false };
    let (mut conditions, mut input) = (split_conjunction(&filter.predicate), filter.input.as_ref());
    while let LogicalPlan::Filter(below) = input {
        conditions.extend(split_conjunction(&below.predicate));
        input = below.input.as_ref();
    }
    let LogicalPlan::Aggregate(aggregate) = input else { return false };
    if is_ambiguous(input) {
        return true;
    }
    let keyed = |expr: &Expr| !matches!(expr, Expr::GroupingSet(_));
    let rows_of_none = aggregate.group_expr.is_empty() || !aggregate.group_expr.iter().all(keyed);
    rows_of_none && conditions.into_iter().any(|expr| expr.column_refs().is_empty())
}

/// Parts that a condition may gain on its way through a projection.
const GROWTH_MAX: usize = 1_000;

/// Whether a condition on a projection would become much longer below it.
fn grows(plan: &LogicalPlan) -> Result<bool> {
    let LogicalPlan::Filter(filter) = plan else { return Ok(false) };
    let LogicalPlan::Projection(projection) = filter.input.as_ref() else { return Ok(false) };
    let mut columns: HashMap<&Column, usize> = HashMap::new();
    let mut gained = 0_usize;
    filter.predicate.apply(|part| {
        if let Expr::Column(column) = part {
            let size = match columns.get(column) {
                Some(size) => *size,
                None => {
                    let place = projection.schema.maybe_index_of_column(column);
                    let size = place.and_then(|at| projection.expr.get(at)).map_or(Ok(1), size)?;
                    columns.insert(column, size);
                    size
                }
            };
            gained = gained.saturating_add(size.saturating_sub(1));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(gained > GROWTH_MAX)
}

fn size(expr: &Expr) -> Result<usize> {
    let mut parts = 0_usize;
    expr.apply(|_| {
        parts = parts.saturating_add(1);
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(parts)
}

/// Whether two columns of a grouping print alike.
fn is_ambiguous(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Aggregate(aggregate) = plan else { return false };
    let mut names = HashSet::new();
    let mut columns = aggregate.group_expr.iter().chain(&aggregate.aggr_expr);
    !columns.all(|column| names.insert(column.schema_name().to_string()))
}

fn types(plan: &LogicalPlan) -> impl Iterator<Item = &arrow::datatypes::DataType> {
    plan.schema().fields().iter().map(|field| field.data_type())
}

/// Whether a join key reads columns of more than one relation on one side, or an inner join counts null as equal to null:
/// the rule gives all the joins that it makes of several ones the same word about null.
fn loses_conditions(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node {
            found |= join.on.iter().any(|(left, right)| spans(left) || spans(right));
            found |= join.join_type == JoinType::Inner && join.null_equality == NullEquality::NullEqualsNull;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn spans(side: &Expr) -> bool {
    let columns = side.column_refs();
    let mut relations: Vec<Option<&TableReference>> = columns.iter().map(|c| c.relation.as_ref()).collect();
    relations.sort();
    relations.dedup();
    relations.len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Shop;
    use arrow::datatypes::DataType;
    use datafusion::logical_expr::{LogicalPlanBuilder, cast, lit};
    use datafusion::optimizer::OptimizerContext;
    use datafusion::prelude::col;

    /// What each rule does without its guard: other rows, or none at all.
    const STATEMENTS: [(&str, &str, &[&str]); 5] = [
        // It forgets that null is equal to null,
        (
            "eliminate_cross_join",
            "SELECT v.id, o.id FROM visits v JOIN orders o ON v.account_id IS NOT DISTINCT FROM o.account_id \
             JOIN regions r ON r.id = o.region_id WHERE v.id > 'v3' ORDER BY 1, 2",
            &["v4|o1", "v4|o2", "v5|o7", "v6|o6"],
        ),
        // and a key that reads several relations.
        (
            "eliminate_cross_join",
            "SELECT r.id, v.id, o.id FROM regions r, visits v JOIN orders o ON o.pieces = v.score + 1, accounts a \
             WHERE a.id = o.account_id AND r.rank = v.score + a.rating",
            &["emea|v6|o4"],
        ),
        // A grouping over nothing has a row even where none is below.
        (
            "push_down_filter",
            "SELECT 1 AS one FROM (SELECT max(id) FROM regions) a(d) \
             WHERE 1.0::float8 = (SELECT avg(1.5::float8) FROM regions WHERE id = 'nope')",
            &[],
        ),
        (
            "push_down_filter",
            "SELECT d FROM (SELECT max(id) FROM regions) a(d) JOIN regions b ON true WHERE (SELECT count(*) FROM regions) = 0",
            &[],
        ),
        (
            "push_down_filter",
            "SELECT n FROM (SELECT id, count(*) FROM regions GROUP BY ROLLUP (id)) a(id, n) \
             WHERE (SELECT count(*) FROM regions) = 0",
            &[],
        ),
    ];

    #[test]
    fn rows_are_wrong_without_a_guard() {
        let reader = Shop::open().owner();
        for (rule, sql, expected) in STATEMENTS {
            assert_eq!(reader.rows(sql).unwrap(), expected, "{sql}");
            let without = reader.without(rule).rows(sql);
            assert!(
                without.is_err() || without.unwrap() != expected,
                "{rule} of DataFusion answers {sql} by itself now"
            );
        }
        // By plans below: statements that are wrong were not found.
        let by_plans = [
            "propagate_empty_relation",
            "eliminate_join",
            "single_distinct_aggregation_to_group_by",
            "eliminate_group_by_constant",
        ];
        let tested: HashSet<&str> = STATEMENTS.iter().map(|(rule, ..)| *rule).chain(by_plans).collect();
        assert_eq!(tested, GUARDED.iter().map(|(name, _)| *name).collect(), "each guard has a test");
    }

    #[test]
    fn a_condition_without_columns_stays_above_having() {
        let reader = Shop::open().owner();
        let none = "SELECT b.id FROM (SELECT bool_or(true) FROM (VALUES (1), (2)) v(a) HAVING count(*) < 1) a(d) \
                    LEFT JOIN regions b ON false WHERE b.id > 'a'";
        assert!(reader.rows(none).unwrap().is_empty());
    }

    /// Without the guard, the rule that comes next panics.
    #[test]
    fn an_outer_join_by_which_rows_are_marked_stays() {
        let reader = Shop::open().owner();
        let marked = "SELECT id FROM regions WHERE id = 'nope' OR EXISTS \
                      (SELECT o.id FROM visits v LEFT JOIN orders o ON o.id = 'nope') ORDER BY 1";
        let all = reader.rows("SELECT id FROM regions ORDER BY 1").unwrap();
        assert_eq!(reader.rows(marked).unwrap(), all);
    }

    /// Makes a plan of other types, as the rule for DISTINCT does of sums of decimals.
    #[derive(Debug)]
    struct Widening;

    impl OptimizerRule for Widening {
        fn name(&self) -> &'static str {
            "widening"
        }
        fn supports_rewrite(&self) -> bool {
            true
        }
        fn rewrite(&self, _: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
            Ok(Transformed::yes(grouped(lit(1_i64))))
        }
    }

    fn grouped(key: Expr) -> LogicalPlan {
        let keys = vec![key.alias("k")];
        LogicalPlanBuilder::empty(true).aggregate(keys, Vec::<Expr>::new()).unwrap().build().unwrap()
    }

    #[test]
    fn a_grouping_keeps_its_types() {
        let guard = Guarded { rule: Arc::new(Widening), keeps: Keeps::Types };
        let rewrite = |plan: LogicalPlan| guard.rewrite(plan, &OptimizerContext::new()).unwrap();
        assert!(!rewrite(grouped(lit(1_i32))).transformed, "another type");
        assert!(rewrite(grouped(lit(2_i64))).transformed, "the same type");
    }

    /// A column and its cast have one name, but in statements, where such a cast has a number.
    #[test]
    fn a_grouping_by_keys_of_one_name_stays() {
        let values = LogicalPlanBuilder::values(vec![vec![lit(1)]]).unwrap().alias("v").unwrap();
        let keys = vec![col("v.column1"), cast(col("v.column1"), DataType::Utf8)];
        let plan = values.aggregate(keys, Vec::<Expr>::new()).unwrap().build().unwrap();
        for keeps in [Keeps::Types, Keeps::Names] {
            let guard = Guarded { rule: Arc::new(Widening), keeps };
            assert!(!guard.rewrite(plan.clone(), &OptimizerContext::new()).unwrap().transformed, "{keeps:?}");
        }
    }

    /// The first branch that is left of a union has the union's names, by their places.
    #[test]
    fn branches_that_are_left_of_a_union_keep_its_places() {
        let branch = |names: [&str; 2], rows: bool| {
            let columns = [lit(1).alias(names[0]), lit(2).alias(names[1])];
            let builder = LogicalPlanBuilder::empty(true).project(columns).unwrap();
            let plan = builder.build().unwrap();
            if rows {
                plan
            } else {
                LogicalPlan::EmptyRelation(datafusion::logical_expr::EmptyRelation {
                    produce_one_row: false,
                    schema: Arc::clone(plan.schema()),
                })
            }
        };
        let union = |first: LogicalPlan, second: LogicalPlan| {
            LogicalPlanBuilder::from(first).union(second).unwrap().build().unwrap()
        };
        let left =
            without_empty_branches(&union(branch(["a", "b"], false), branch(["b", "a"], true))).unwrap().unwrap();
        assert_eq!(left.schema().field_names(), ["a", "b"]);
        assert_eq!(left.expressions().iter().map(ToString::to_string).collect::<Vec<_>>(), ["b AS a", "a AS b"]);
        assert!(
            without_empty_branches(&union(branch(["a", "b"], true), branch(["b", "a"], true))).unwrap().is_none(),
            "two branches"
        );
        assert!(without_empty_branches(&branch(["a", "b"], true)).unwrap().is_none(), "no union");
        let LogicalPlan::Union(mut several) = union(branch(["a", "b"], false), branch(["b", "a"], true)) else {
            panic!("a union");
        };
        several.inputs.push(Arc::new(branch(["x", "y"], true)));
        let LogicalPlan::Union(left) = without_empty_branches(&LogicalPlan::Union(several)).unwrap().unwrap() else {
            panic!("a union");
        };
        assert_eq!(left.inputs.len(), 2);
        assert_eq!(left.inputs[0].schema().field_names(), ["a", "b"]);
    }

    #[test]
    fn a_condition_stays_where_it_would_grow() {
        let filter = |parts: i32| {
            let long = lit(1).in_list((0..parts).map(lit).collect(), false);
            let input = LogicalPlanBuilder::empty(true).project([long.alias("x")]).unwrap();
            input.filter(col("x").and(col("x").is_not_null())).unwrap().build().unwrap()
        };
        assert!(!grows(&filter(100)).unwrap());
        assert!(grows(&filter(1_000)).unwrap(), "twice as many parts as a condition may gain");
    }
}
