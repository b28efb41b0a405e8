//! A scalar subquery that reads the row around in what it gives alone, and not in what chooses its row: it runs once for all outer rows, and
//! what it gives is computed of its row above.

use super::joinable::is_local;
use super::keyed::has_subquery;
use super::references::free_references;
use super::{ApplyKind, Names, apply_node};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, internal_err};
use datafusion::logical_expr::{Case, Expr, LogicalPlan, LogicalPlanBuilder, lit};
use querygate_query_api::own_names::ONCE;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whether a subquery has that shape.
pub(super) fn is_once(plan: &LogicalPlan) -> Result<bool> {
    Ok(divided(plan)?.is_some())
}

/// What it gives, and the rows it gives that of.
fn divided(plan: &LogicalPlan) -> Result<Option<(&Expr, &LogicalPlan)>> {
    let LogicalPlan::Projection(projection) = plan else { return Ok(None) };
    let [item] = projection.expr.as_slice() else { return Ok(None) };
    let above = !is_local(item) && !has_subquery(item)? && !item.is_volatile();
    Ok((above && free_references(&projection.input)?.is_empty()).then_some((item, projection.input.as_ref())))
}

/// Such a subquery as an expression over `input`, which gets the columns of its row.
pub(super) fn lifted(plan: &LogicalPlan, input: &mut LogicalPlan, names: &mut Names) -> Result<Option<Expr>> {
    let Some((item, rows)) = divided(plan)? else { return Ok(None) };
    let (around, schema) = (Arc::clone(input.schema()), rows.schema());
    let own = schema.columns();
    // Names are given in the order of the columns: plans of one statement are the same.
    let places = item.column_refs().into_iter().map(|column| schema.index_of_column(column));
    let places = places.collect::<Result<BTreeSet<usize>>>()?;
    let read: BTreeMap<usize, Column> = places.into_iter().map(|at| (at, names.take())).collect();
    let found = names.take();
    let mut columns: Vec<Expr> = read.keys().filter_map(|at| own.get(*at).cloned()).map(Expr::Column).collect();
    columns.push(lit(true).alias(ONCE));
    let row = LogicalPlanBuilder::from(rows.clone()).project(columns)?.build()?;
    let item = item.clone().transform_up(|part| match part {
        Expr::Column(column) => match read.get(&schema.index_of_column(&column)?) {
            Some(added) => Ok(Transformed::yes(Expr::Column(added.clone()))),
            None => internal_err!("a column is one that was read"),
        },
        Expr::OuterReferenceColumn(_, column) if around.has_column(&column) => {
            Ok(Transformed::yes(Expr::Column(column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let added: Vec<Column> = read.into_values().chain([found.clone()]).collect();
    add_row(input, row, &added, names)?;
    // Of no row it is NULL, whatever it is made of.
    let branch = (Box::new(Expr::Column(found)), Box::new(item.data.unalias()));
    Ok(Some(Expr::Case(Case::new(None, vec![branch], None))))
}

/// Puts an apply over `input` that adds the columns of a subquery's one row.
fn add_row(input: &mut LogicalPlan, row: LogicalPlan, columns: &[Column], names: &Names) -> Result<()> {
    let fields = columns.iter().zip(row.schema().fields()).map(|(column, field)| {
        let field = field.as_ref().clone().with_name(&column.name).with_nullable(true);
        (column.relation.clone(), Arc::new(field))
    });
    let added = DFSchema::new_with_metadata(fields.collect(), Default::default())?;
    let schema = Arc::new(input.schema().join(&added)?);
    *input = apply_node(input.clone(), ApplyKind::Scalar, Arc::new(row), schema, names.guard.clone())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::{Shop, printed};

    #[test]
    fn what_reads_the_row_around_in_its_item_alone_runs_once() {
        let reader = Shop::open().owner();
        for (sql, expected) in [
            (
                "SELECT id, (SELECT max(v.score) - r.rank FROM visits v) FROM regions r ORDER BY 1",
                &["amer|2", "apac|4", "emea|1", "latam|4"][..],
            ),
            (
                "SELECT id FROM regions r WHERE (SELECT q.score > r.rank FROM \
                 (SELECT score FROM visits ORDER BY score LIMIT 1 OFFSET 3) q) ORDER BY 1",
                &["apac", "latam"],
            ),
            (
                "SELECT id, (SELECT coalesce(v.score, r.rank) FROM visits v WHERE v.score > 9) FROM regions r ORDER BY 1",
                &["amer|NULL", "apac|NULL", "emea|NULL", "latam|NULL"],
            ),
            ("SELECT id, (SELECT r.rank FROM visits v WHERE v.id = 'v1') FROM regions r WHERE rank > 3", &["emea|4"]),
            (
                "SELECT id FROM regions r WHERE (r.id, r.rank) = (SELECT v.region_id, v.score FROM visits v WHERE v.id = 'v3')",
                &["emea"],
            ),
        ] {
            assert_eq!(reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}")), expected, "{sql}");
            let plan = printed(reader.plan(sql).unwrap().physical());
            assert!(plan.contains("ApplyExec: Scalar []"), "{sql}\n{plan}");
        }
        let several = reader.rows("SELECT (SELECT v.score + r.rank FROM visits v) FROM regions r").unwrap_err();
        assert_eq!(several.code().sqlstate(), "21000", "{several}");
    }
}
