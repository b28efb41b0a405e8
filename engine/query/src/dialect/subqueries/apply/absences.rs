//! NOT IN of rows that depend on the row around, or of a value that is no column, as that there is no row which might be equal. The
//! engine's join for NOT IN finds nothing where one of all the subquery's rows is NULL, whether or not the row around has it among its
//! own, and forgets NULL where its key is no column, or is computed of columns that are never NULL. Where all rows are everyone's and the
//! value is a column, that join is right.
//! Needed with DataFusion 55.2.0.

use super::keyed::has_subquery;
use super::pulled::{forgets_null, is_ambiguous};
use super::renamed::{Asked, renamed};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, ExprSchema as _, Result, Spans};
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Subquery};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use querygate_rules::nullable;
use std::sync::Arc;

/// The plan with such conditions, in its subqueries too. What is left of NOT IN that the engine gets wrong is negated in itself,
/// and runs for each row.
pub(super) fn with_absences(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !has_memberships(&plan)? {
        return Ok(plan);
    }
    Ok(plan.transform_up_with_subqueries(rewritten)?.data)
}

fn has_memberships(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Filter(filter) = node {
            found =
                found || filter.predicate.exists(|part| Ok(matches!(part, Expr::InSubquery(_) | Expr::Exists(_))))?;
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn rewritten(node: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let LogicalPlan::Filter(filter) = node else { return Ok(Transformed::no(node)) };
    let around = Arc::clone(filter.input.schema());
    let (mut changed, mut conditions) = (false, Vec::new());
    for condition in split_conjunction_owned(filter.predicate.clone()) {
        let condition = whole(condition, &around)?;
        changed |= condition.transformed;
        conditions.push(condition.data);
    }
    match conjunction(conditions).filter(|_| changed) {
        Some(predicate) => Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?))),
        None => Ok(Transformed::no(LogicalPlan::Filter(filter))),
    }
}

/// A whole condition: only whether it is true matters.
fn whole(condition: Expr, around: &DFSchema) -> Result<Transformed<Expr>> {
    let member = match condition {
        Expr::InSubquery(member) if member.negated => member,
        Expr::Not(inner) => {
            let inner = *inner;
            match inner {
                Expr::InSubquery(member) if !member.negated => InSubquery { negated: true, ..member },
                other => return Expr::Not(Box::new(other)).transform_down(|part| within(part, around)),
            }
        }
        other => return other.transform_down(|part| within(part, around)),
    };
    let member = settled(member, around)?;
    if !forgets_null(&member)? {
        let hidden = hides_null(&member, around)?;
        let member = if hidden { with_nullable_rows(member)? } else { member };
        return Ok(Transformed::new_transformed(Expr::InSubquery(member), hidden));
    }
    Ok(Transformed::yes(match compared(&member, around)? {
        Some(rows) => exists(rows, member.subquery.spans, true),
        None => Expr::InSubquery(member),
    }))
}

/// A membership whose value is seen to be a constant, where it is one: `coalesce(9, a)`. The engine's join finds its keys once it has
/// computed that.
fn settled(mut member: InSubquery, around: &DFSchema) -> Result<InSubquery> {
    if matches!(member.expr.as_ref(), Expr::Column(_)) || !member.expr.any_column_refs() || has_subquery(&member.expr)?
    {
        return Ok(member);
    }
    let context = SimplifyContext::builder().with_schema(Arc::new(around.clone())).build();
    // One that cannot be computed here fails where it is asked for.
    if let Ok(value) = ExprSimplifier::new(context).simplify(member.expr.as_ref().clone())
        && !value.any_column_refs()
    {
        *member.expr = value;
    }
    Ok(member)
}

/// Whether a value may be NULL though no column is, neither in it nor in the subquery: `nullif(id, 3)`. The engine's join asks columns only.
fn hides_null(member: &InSubquery, around: &DFSchema) -> Result<bool> {
    let mut columns = member.expr.column_refs().into_iter();
    let known = columns.any(|column| around.field_from_column(column).is_ok_and(|field| field.is_nullable()))
        || member.subquery.subquery.schema().fields().iter().any(|field| field.is_nullable());
    Ok(!known && member.expr.nullable(around)?)
}

/// The membership among rows of which the engine thinks that they may be NULL.
fn with_nullable_rows(mut member: InSubquery) -> Result<InSubquery> {
    let rows = Arc::clone(&member.subquery.subquery);
    let columns = rows.schema().iter().map(|(qualifier, field)| {
        nullable(Expr::from((qualifier, field))).alias_qualified(qualifier.cloned(), field.name())
    });
    let columns: Vec<Expr> = columns.collect();
    let rows = LogicalPlanBuilder::from(rows).project(columns)?.build()?;
    member.subquery = member.subquery.with_plan(Arc::new(rows));
    Ok(member)
}

/// A part of a condition, where what is not known counts as false.
fn within(part: Expr, around: &DFSchema) -> Result<Transformed<Expr>> {
    match part {
        // The engine marks rows here, which does not forget; negated in itself is what runs for each row.
        Expr::InSubquery(member) if member.negated => {
            let member = settled(member, around)?;
            if !forgets_null(&member)? {
                return Ok(Transformed::no(Expr::InSubquery(member)));
            }
            let member = InSubquery { negated: false, ..member };
            Ok(Transformed::yes(Expr::Not(Box::new(Expr::InSubquery(member)))))
        }
        Expr::InSubquery(member) => {
            let rows = if is_ambiguous(&member.subquery.subquery) { compared(&member, around)? } else { None };
            Ok(match rows {
                Some(rows) => Transformed::yes(exists(rows, member.subquery.spans, false)),
                None => Transformed::no(Expr::InSubquery(member)),
            })
        }
        Expr::Exists(Exists { subquery, negated }) => {
            let rows = if is_ambiguous(&subquery.subquery) { renamed(&subquery.subquery, None)? } else { None };
            Ok(match rows {
                Some(rows) => Transformed::yes(exists(rows, subquery.spans, negated)),
                None => Transformed::no(Expr::Exists(Exists { subquery, negated })),
            })
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The subquery's rows that are equal, or such that might be where it is negated.
fn compared(member: &InSubquery, around: &DFSchema) -> Result<Option<LogicalPlan>> {
    let value = member.expr.as_ref();
    if has_subquery(value)? || value.is_volatile() {
        return Ok(None);
    }
    let outer = value.clone().transform_up(|part| match part {
        Expr::Column(column) => {
            let field = Arc::clone(around.field_from_column(&column)?);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    let asked = Asked { value: outer.data, nullable: value.nullable(around)?, absent: member.negated };
    renamed(&member.subquery.subquery, Some(asked))
}

fn exists(rows: LogicalPlan, spans: Spans, negated: bool) -> Expr {
    let outer_ref_columns = rows.all_out_ref_exprs();
    Expr::Exists(Exists { subquery: Subquery { subquery: Arc::new(rows), outer_ref_columns, spans }, negated })
}

#[cfg(test)]
mod tests {
    use crate::testing::{Shop, printed};

    /// The engine's own join for this one finds nothing, since one of all orders has no account.
    const SOME_NULL: &str = "SELECT id FROM visits v WHERE v.account_id NOT IN \
                             (SELECT o.account_id FROM orders o WHERE o.pieces > v.score) ORDER BY 1";

    #[test]
    fn not_in_gives_the_rows_of_postgresql() {
        let reader = Shop::open().owner();
        for line in include_str!("absences.tsv").lines().filter(|line| !line.starts_with('#')) {
            let (sql, expected) = line.split_once('\t').unwrap();
            let rows = reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
            assert_eq!(rows.join(" ; "), expected, "{sql}");
        }
    }

    #[test]
    fn datafusion_alone_forgets_whose_null_it_is() {
        let reader = Shop::open().owner();
        let alone = reader.planned_once(SOME_NULL).unwrap();
        assert_ne!(reader.run(alone).unwrap(), reader.rows(SOME_NULL).unwrap(), "DataFusion does it by itself");
    }

    /// What is equal stays the key of a join; of everyone's rows the engine's own join is right, and the fastest.
    #[test]
    fn not_in_is_a_join() {
        let reader = Shop::open().owner();
        let plan = |sql: &str| printed(reader.plan(sql).unwrap().physical());
        let keyed = plan(
            "SELECT id FROM visits v WHERE v.account_id NOT IN \
             (SELECT o.account_id FROM orders o WHERE o.region_id = v.region_id)",
        );
        assert!(keyed.contains("HashJoinExec") && keyed.contains("Anti, on=[("), "{keyed}");
        assert!(!keyed.contains("null_aware") && !keyed.contains("ApplyExec"), "{keyed}");
        let compared = plan(SOME_NULL);
        assert!(compared.contains("Anti") && !compared.contains("null_aware"), "{compared}");
        assert!(!compared.contains("ApplyExec"), "{compared}");
        let everyones = plan("SELECT id FROM visits WHERE account_id NOT IN (SELECT account_id FROM orders)");
        assert!(everyones.contains("null_aware"), "{everyones}");
    }
}
