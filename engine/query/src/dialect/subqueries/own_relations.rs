//! Relations of subqueries under names of their own, where a query around has one of their name. The engine tells columns apart by their
//! qualified names once it makes joins of subqueries, so that a table that both read would be one relation to it: `n.i = n.i` would hold of
//! every row. Runs on the bound plan, whose names are looked up; a name is changed, and no column is.

use super::apply::{free_references, lateral_body, subquery_of};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, TableReference};
use datafusion::logical_expr::expr::{Alias, Exists, InSubquery, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Subquery, SubqueryAlias, Union};
use querygate_query_api::own_names::{is_own, output_name, told_apart};
use querygate_semantics::keep_names::under_names;
use std::collections::HashSet;
use std::sync::Arc;

/// Names of relations of the queries around.
type Names = HashSet<String>;

/// The plan in which no relation of a subquery has the name of one around it, where columns of both may meet in a condition.
pub(crate) fn with_own_relations(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !plan.exists(|node| Ok(lateral_of(node).is_some() || has_subquery(node)?))? {
        return Ok(plan);
    }
    level(plan, &Names::new())
}

fn has_subquery(node: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    node.apply_expressions(|expr| {
        found = found || expr.exists(|part| Ok(subquery_of(part).is_some()))?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn lateral_of(node: &LogicalPlan) -> Option<&Join> {
    match node {
        LogicalPlan::Join(join) => lateral_body(&join.right).map(|_| join),
        _ => None,
    }
}

/// A query whose own relations keep their names.
fn level(plan: LogicalPlan, around: &Names) -> Result<LogicalPlan> {
    let plan = match plan {
        LogicalPlan::Join(join) if lateral_body(&join.right).is_some() => {
            let left = level(Arc::unwrap_or_clone(join.left), around)?;
            let names = with_names(around, [&left])?;
            let right = side(Arc::unwrap_or_clone(join.right), &names, false)?;
            LogicalPlan::Join(Join { left: Arc::new(left), right: Arc::new(right), ..join })
        }
        other => other.map_children(|input| Ok(Transformed::yes(level(input, around)?)))?.data,
    };
    if !has_subquery(&plan)? {
        return Ok(plan);
    }
    let names = with_names(around, plan.inputs())?;
    let inner = |expr: Expr| {
        let compares = matches!(expr, Expr::InSubquery(_) | Expr::SetComparison(_));
        changed(expr, |subquery| own(subquery, &names, compares))
    };
    Ok(under_names(plan, |expr| expr.transform_down(inner))?.data)
}

/// A LATERAL side. Without an alias its names are those of the query around.
fn side(plan: LogicalPlan, names: &Names, has_alias: bool) -> Result<LogicalPlan> {
    Ok(match plan {
        LogicalPlan::SubqueryAlias(alias) => {
            let input = side(Arc::unwrap_or_clone(alias.input), names, true)?;
            LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(Arc::new(input), alias.alias)?)
        }
        LogicalPlan::Subquery(body) if has_alias => LogicalPlan::Subquery(own(body, names, false)?),
        other => level(other, names)?,
    })
}

/// A subquery in which relations with names of `around` have other ones. Of one that reads nothing around and is compared with
/// nothing, no column meets one of theirs.
fn own(subquery: Subquery, around: &Names, compares: bool) -> Result<Subquery> {
    let plan = Arc::unwrap_or_clone(subquery.subquery);
    let meets = compares || !free_references(&plan)?.is_empty();
    let plan = if meets { renamed(plan, around)? } else { plan };
    Ok(Subquery { subquery: Arc::new(level(plan, around)?), ..subquery })
}

/// An expression with another subquery in it, where it is one.
fn changed(expr: Expr, change: impl FnOnce(Subquery) -> Result<Subquery>) -> Result<Transformed<Expr>> {
    Ok(Transformed::yes(match expr {
        Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(change(subquery)?),
        Expr::Exists(Exists { subquery, negated }) => Expr::Exists(Exists { subquery: change(subquery)?, negated }),
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            Expr::InSubquery(InSubquery { expr, subquery: change(subquery)?, negated })
        }
        Expr::SetComparison(SetComparison { expr, subquery, op, quantifier }) => {
            Expr::SetComparison(SetComparison { expr, subquery: change(subquery)?, op, quantifier })
        }
        other => return Ok(Transformed::no(other)),
    }))
}

fn with_names<'a>(around: &Names, plans: impl IntoIterator<Item = &'a LogicalPlan>) -> Result<Names> {
    let mut names = around.clone();
    for plan in plans {
        names.extend(plan.schema().iter().filter_map(|(qualifier, _)| Some(qualifier?.table().to_owned())));
        plan.apply(|node| {
            match node {
                LogicalPlan::TableScan(scan) => names.insert(scan.table_name.table().to_owned()),
                LogicalPlan::SubqueryAlias(alias) => names.insert(alias.alias.table().to_owned()),
                _ => false,
            };
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    Ok(names)
}

/// Another name for a relation whose name is taken. Two subqueries of one place get the same, so that equal ones stay equal.
fn own_name(name: &TableReference, taken: &Names) -> Option<TableReference> {
    let table = name.table();
    if is_own(table) || !taken.contains(table) {
        return None;
    }
    let numbers = 1..=taken.len() + 1;
    let free = numbers.map(|number| told_apart(output_name(table), number)).find(|name| !taken.contains(name))?;
    Some(match (name.catalog(), name.schema()) {
        (Some(catalog), Some(schema)) => TableReference::full(catalog, schema, free),
        (_, Some(schema)) => TableReference::partial(schema, free),
        _ => TableReference::bare(free),
    })
}

/// A query whose relations have names that are not taken. What stands below the name of a relation is its own matter, unless it reads
/// a query around.
fn renamed(plan: LogicalPlan, taken: &Names) -> Result<LogicalPlan> {
    match plan {
        LogicalPlan::TableScan(scan) => match own_name(&scan.table_name, taken) {
            Some(name) => {
                let scan = Arc::new(LogicalPlan::TableScan(scan));
                Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(scan, name)?))
            }
            None => Ok(LogicalPlan::TableScan(scan)),
        },
        LogicalPlan::SubqueryAlias(alias) => {
            let input = match free_references(&alias.input)?.is_empty() {
                true => alias.input,
                false => Arc::new(renamed(Arc::unwrap_or_clone(alias.input), taken)?),
            };
            let name = own_name(&alias.alias, taken).unwrap_or(alias.alias);
            Ok(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(input, name)?))
        }
        LogicalPlan::Union(Union { inputs, schema }) => {
            let inputs = inputs.into_iter().map(|input| Ok(Arc::new(renamed(Arc::unwrap_or_clone(input), taken)?)));
            let inputs = inputs.collect::<Result<Vec<_>>>()?;
            let fields = schema.iter().map(|(qualifier, field)| {
                let own = qualifier.and_then(|qualifier| own_name(qualifier, taken));
                (own.or_else(|| qualifier.cloned()), Arc::clone(field))
            });
            let own = DFSchema::new_with_metadata(fields.collect(), schema.metadata().clone())?
                .with_functional_dependencies(schema.functional_dependencies().clone())?;
            Ok(LogicalPlan::Union(Union { inputs, schema: Arc::new(own) }))
        }
        // Its rounds find each other by their names.
        LogicalPlan::RecursiveQuery(query) => Ok(LogicalPlan::RecursiveQuery(query)),
        other => rebuilt(other, taken),
    }
}

/// A node over inputs whose relations have other names.
fn rebuilt(node: LogicalPlan, taken: &Names) -> Result<LogicalPlan> {
    let schemas = |node: &LogicalPlan| -> Vec<DFSchemaRef> {
        node.inputs().into_iter().map(|input| Arc::clone(input.schema())).collect()
    };
    let before = schemas(&node);
    let mut node = node.map_children(|input| Ok(Transformed::yes(renamed(input, taken)?)))?.data;
    let moved = Moved { columns: before.into_iter().zip(schemas(&node)).collect(), hidden: Vec::new() };
    if let LogicalPlan::Join(join) = &mut node
        && lateral_body(&join.right).is_some()
    {
        join.right = Arc::new(redirected(join.right.as_ref().clone(), &moved)?);
    }
    let names = if matches!(node, LogicalPlan::Sort(_)) { None } else { Some(NamePreserver::new(&node)) };
    let of_projection = matches!(node, LogicalPlan::Projection(_));
    node.map_expressions(|expr| match expr {
        Expr::Alias(Alias { expr, relation: Some(relation), name, metadata }) if of_projection => {
            let relation = Some(own_name(&relation, taken).unwrap_or(relation));
            let expr = Box::new(moved.within(*expr)?.data);
            Ok(Transformed::yes(Expr::Alias(Alias { expr, relation, name, metadata })))
        }
        other => moved_item(other, &moved, names.as_ref()),
    })?
    .data
    .recompute_schema()
}

/// What a node computes, under the name that it had; a column is found under its own.
fn moved_item(expr: Expr, moved: &Moved, names: Option<&NamePreserver>) -> Result<Transformed<Expr>> {
    let is_call = matches!(&expr, Expr::AggregateFunction(call) if call.func.name() == "grouping");
    if is_call || matches!(expr, Expr::GroupingSet(_)) {
        return expr.map_children(|key| moved_item(key, moved, names));
    }
    if matches!(expr, Expr::Column(_)) {
        return moved.within(expr);
    }
    let name = names.map(|names| names.save(&expr));
    let moved = moved.within(expr)?;
    Ok(match name.filter(|_| moved.transformed) {
        Some(name) => moved.update_data(|expr| name.restore(expr)),
        None => moved,
    })
}

/// Which columns of a node's inputs have other names.
#[derive(Clone)]
struct Moved {
    /// Of each input, before and after.
    columns: Vec<(DFSchemaRef, DFSchemaRef)>,
    /// Columns of queries between it and a reference, which are found first.
    hidden: Vec<DFSchemaRef>,
}

impl Moved {
    fn of(&self, column: &Column) -> Option<Column> {
        if self.hidden.iter().any(|schema| schema.has_column(column)) {
            return None;
        }
        let exact = |schema: &DFSchema| schema.columns().iter().position(|own| own == column);
        let found = self.columns.iter().find_map(|(before, after)| Some((exact(before)?, after)));
        let by_name =
            || self.columns.iter().find_map(|(before, after)| Some((before.maybe_index_of_column(column)?, after)));
        let (place, after) = found.or_else(by_name)?;
        let own = Column::from(after.qualified_field(place));
        // A column without a relation is still found by its name.
        (column.relation.is_some() && own != *column).then_some(own)
    }

    fn behind(&self, schemas: impl IntoIterator<Item = DFSchemaRef>) -> Self {
        let mut behind = self.clone();
        behind.hidden.extend(schemas);
        behind
    }

    /// An expression over these columns, in its subqueries too.
    fn within(&self, expr: Expr) -> Result<Transformed<Expr>> {
        expr.transform_down(|part| match part {
            Expr::Column(column) => Ok(match self.of(&column) {
                Some(own) => Transformed::yes(Expr::Column(own)),
                None => Transformed::no(Expr::Column(column)),
            }),
            other => changed(other, |subquery| self.inside(subquery)),
        })
    }

    fn inside(&self, subquery: Subquery) -> Result<Subquery> {
        let read = subquery.outer_ref_columns.into_iter().map(|expr| Ok(self.outer(expr)?.data));
        Ok(Subquery {
            outer_ref_columns: read.collect::<Result<Vec<_>>>()?,
            subquery: Arc::new(redirected(Arc::unwrap_or_clone(subquery.subquery), self)?),
            spans: subquery.spans,
        })
    }

    fn outer(&self, expr: Expr) -> Result<Transformed<Expr>> {
        expr.transform_down(|part| match part {
            Expr::OuterReferenceColumn(field, column) => Ok(match self.of(&column) {
                Some(own) => Transformed::yes(Expr::OuterReferenceColumn(field, own)),
                None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
            }),
            other => Ok(Transformed::no(other)),
        })
    }
}

/// A subquery whose references to such columns of the query around have the new names.
fn redirected(plan: LogicalPlan, moved: &Moved) -> Result<LogicalPlan> {
    let plan = match plan {
        LogicalPlan::Join(join) if lateral_body(&join.right).is_some() => {
            let behind = moved.behind([Arc::clone(join.left.schema())]);
            let left = redirected(Arc::unwrap_or_clone(join.left), moved)?;
            let right = redirected(Arc::unwrap_or_clone(join.right), &behind)?;
            LogicalPlan::Join(Join { left: Arc::new(left), right: Arc::new(right), ..join })
        }
        LogicalPlan::Subquery(body) => LogicalPlan::Subquery(moved.inside(body)?),
        other => other.map_children(|input| Ok(Transformed::yes(redirected(input, moved)?)))?.data,
    };
    let inputs: Vec<DFSchemaRef> = plan.inputs().into_iter().map(|input| Arc::clone(input.schema())).collect();
    let behind = moved.behind(inputs);
    let inner = |expr: Expr| {
        let nested = expr.transform_down(|part| changed(part, |subquery| behind.inside(subquery)))?;
        let is_changed = nested.transformed;
        let own = moved.outer(nested.data)?;
        Ok(Transformed::new_transformed(own.data, is_changed || own.transformed))
    };
    Ok(under_names(plan, inner)?.data)
}
