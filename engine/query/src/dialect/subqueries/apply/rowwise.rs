//! A LATERAL side that reads no relation: what it gives is computed of the row beside it, and the members of arrays among that are rows.
//! It needs no run for each row: `FROM accounts a, unnest(a.tags)`, `LATERAL (VALUES (a.id), (a.name))`, `LATERAL (SELECT a.id || 'x')`.

use super::keyed::has_subquery;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, ExprSchema as _, Result, UnnestOptions};
use datafusion::functions_nested::make_array::make_array;
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, Projection, Union, Unnest};
use querygate_query_api::own_names::at_place;
use std::cell::Cell;
use std::sync::Arc;

/// Rows of VALUES that are written side by side in one array for each column.
const VALUES_MAX: usize = 1_000;
/// What makes more members than its arguments have bytes: a row's are made one after the other, not for many rows at once.
const MAKERS: [&str; 2] = ["generate_series", "range"];

/// Whether a side gives a row for each row beside it.
pub(super) fn gives_a_row(body: &LogicalPlan) -> bool {
    match body {
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        LogicalPlan::Projection(node) => gives_a_row(&node.input),
        LogicalPlan::SubqueryAlias(node) => gives_a_row(&node.input),
        LogicalPlan::Subquery(node) => gives_a_row(&node.subquery),
        LogicalPlan::Union(node) => node.inputs.iter().any(|input| gives_a_row(input)),
        _ => false,
    }
}

/// The rows of `left`, each with the rows that `body` gives beside it, in the columns of `schema`. `None`: it reads a relation, or is to be
/// run for each row.
pub(super) fn beside(left: &LogicalPlan, body: &LogicalPlan, schema: &DFSchemaRef) -> Result<Option<LogicalPlan>> {
    let around = Arc::clone(left.schema());
    // All columns have names of their own: a relation of the body may be called as one beside it, and the engine's rules move parts of
    // rows past projections, where a column and one of that name with a qualifier are one.
    let columns: Vec<Column> = (0..around.fields().len()).map(|at| own_column("beside ", at)).collect();
    let renamed = around.columns().into_iter().zip(&columns);
    let renamed = renamed.map(|(column, own)| Expr::Column(column).alias(&own.name)).collect();
    let side = Side { around, rows: project(left.clone(), renamed)?, left: columns, names: Cell::new(0) };
    let Some(found) = side.with(body)? else { return Ok(None) };
    let columns: Vec<&Column> = side.left.iter().chain(&found.columns).collect();
    if !are_of_types(&found.plan, &columns, schema)? {
        return Ok(None);
    }
    let columns = columns
        .into_iter()
        .cloned()
        .zip(schema.iter())
        .map(|(column, (qualifier, field))| Expr::Column(column).alias_qualified(qualifier.cloned(), field.name()));
    let rows = Projection::try_new_with_schema(columns.collect(), Arc::new(found.plan), Arc::clone(schema))?;
    Ok(Some(LogicalPlan::Projection(rows)))
}

fn own_column(kind: &str, place: usize) -> Column {
    Column::new_unqualified(at_place(kind, place))
}

fn project(input: LogicalPlan, columns: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?))
}

/// Whether the columns have these types, and the same notes of them.
fn are_of_types(plan: &LogicalPlan, columns: &[&Column], schema: &DFSchema) -> Result<bool> {
    if columns.len() != schema.fields().len() {
        return Ok(false);
    }
    for (column, wanted) in columns.iter().zip(schema.fields()) {
        let own = plan.schema().field_from_column(column)?;
        if own.data_type() != wanted.data_type() || own.metadata() != wanted.metadata() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The rows on the left.
struct Side {
    /// Their columns, as the body names them.
    around: DFSchemaRef,
    /// They, under names of their own.
    rows: LogicalPlan,
    left: Vec<Column>,
    /// Names that were given to columns of the body.
    names: Cell<usize>,
}

/// Rows of a part of the body, each behind the row that it is for.
struct Found {
    plan: LogicalPlan,
    /// The part's own columns, by their places in it.
    columns: Vec<Column>,
}

impl Side {
    /// The rows of a part of the body.
    fn with(&self, body: &LogicalPlan) -> Result<Option<Found>> {
        match body {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row && empty.schema.fields().is_empty() => {
                Ok(Some(Found { plan: self.rows.clone(), columns: Vec::new() }))
            }
            LogicalPlan::Projection(node) => {
                let Some(input) = self.with(&node.input)? else { return Ok(None) };
                let mut exprs = Vec::with_capacity(node.expr.len());
                for expr in &node.expr {
                    let Some(expr) = self.computed(expr, Some((node.input.schema(), &input.columns)))? else {
                        return Ok(None);
                    };
                    exprs.push(expr);
                }
                self.projected(input.plan, exprs).map(Some)
            }
            LogicalPlan::SubqueryAlias(node) => self.with(&node.input),
            LogicalPlan::Subquery(node) => self.with(&node.subquery),
            LogicalPlan::Filter(node) => {
                let Some(Found { plan, columns }) = self.with(&node.input)? else { return Ok(None) };
                let Some(condition) = self.computed(&node.predicate, Some((node.input.schema(), &columns)))? else {
                    return Ok(None);
                };
                let plan = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(plan))?);
                Ok(Some(Found { plan, columns }))
            }
            LogicalPlan::Unnest(node) => {
                let once = node.list_type_columns.iter().all(|(_, list)| list.depth == 1);
                if !once || !node.struct_type_columns.is_empty() || node.options.preserve_nulls() {
                    return Ok(None);
                }
                let Some(Found { plan, columns }) = self.with(&node.input)? else { return Ok(None) };
                let places = node.exec_columns.iter().map(|column| node.input.schema().index_of_column(column));
                let places = places.collect::<Result<Vec<_>>>()?;
                let lists: Vec<Column> = places.into_iter().filter_map(|at| columns.get(at).cloned()).collect();
                if node.schema.fields().len() != columns.len() || lists.len() != node.exec_columns.len() {
                    return Ok(None);
                }
                members(plan, lists).map(|plan| Some(Found { plan, columns }))
            }
            LogicalPlan::Union(union) => self.values(union),
            _ => Ok(None),
        }
    }

    /// The columns of the left, then these.
    fn projected(&self, input: LogicalPlan, exprs: Vec<Expr>) -> Result<Found> {
        let first = self.names.get();
        self.names.set(first + exprs.len());
        let columns: Vec<Column> = (first..first + exprs.len()).map(|at| own_column("member ", at)).collect();
        let named = exprs.into_iter().zip(&columns).map(|(expr, own)| expr.unalias().alias(&own.name));
        let all = self.left.iter().cloned().map(Expr::Column).chain(named).collect();
        Ok(Found { plan: project(input, all)?, columns })
    }

    /// An expression over such columns of the body, and of the left row. `None`: it is not computed of a row alone.
    fn computed(&self, expr: &Expr, own: Option<(&DFSchemaRef, &[Column])>) -> Result<Option<Expr>> {
        let makes = |part: &Expr| matches!(part, Expr::ScalarFunction(call) if MAKERS.contains(&call.name()));
        if has_subquery(expr)? || expr.is_volatile() || expr.exists(|part| Ok(makes(part)))? {
            return Ok(None);
        }
        let mut known = true;
        let read = expr.clone().transform_up(|part| {
            let found = match &part {
                Expr::OuterReferenceColumn(_, column) if self.around.has_column(column) => {
                    self.left.get(self.around.index_of_column(column)?)
                }
                Expr::Column(column) => match own {
                    Some((schema, columns)) => columns.get(schema.index_of_column(column)?),
                    None => None,
                },
                _ => return Ok(Transformed::no(part)),
            };
            known &= found.is_some();
            Ok(found.map_or_else(|| Transformed::no(part.clone()), |own| Transformed::yes(Expr::Column(own.clone()))))
        })?;
        // What is left is of a query around both.
        let reads_beyond = read.data.exists(|part| Ok(matches!(part, Expr::OuterReferenceColumn(..))))?;
        Ok((known && !reads_beyond).then_some(read.data))
    }

    /// VALUES with columns of the left row: each column is an array, whose members are the rows.
    fn values(&self, union: &Union) -> Result<Option<Found>> {
        if union.inputs.len() > VALUES_MAX {
            return Ok(None);
        }
        let mut cells: Vec<Vec<Expr>> = vec![Vec::new(); union.schema.fields().len()];
        for input in &union.inputs {
            let LogicalPlan::Projection(row) = input.as_ref() else { return Ok(None) };
            if !matches!(row.input.as_ref(), LogicalPlan::EmptyRelation(empty) if empty.produce_one_row) {
                return Ok(None);
            }
            for (cells, (expr, field)) in cells.iter_mut().zip(row.expr.iter().zip(union.schema.fields())) {
                let Some(cell) = self.computed(&expr.clone().unalias(), None)? else { return Ok(None) };
                let cell_type = cell.get_type(self.rows.schema().as_ref())?;
                // A list's members are kept apart from the list's own by their depth.
                if cell_type != *field.data_type() || matches!(cell_type, DataType::List(_)) {
                    return Ok(None);
                }
                cells.push(cell);
            }
        }
        let arrays = cells.into_iter().map(make_array).collect();
        let Found { plan, columns } = self.projected(self.rows.clone(), arrays)?;
        members(plan, columns.clone()).map(|plan| Some(Found { plan, columns }))
    }
}

/// The members of lists as rows, under the names of the lists.
fn members(plan: LogicalPlan, lists: Vec<Column>) -> Result<LogicalPlan> {
    let options = UnnestOptions::new().with_preserve_nulls(false);
    Ok(LogicalPlan::Unnest(Unnest::try_new(Arc::new(plan), lists, options)?))
}

#[cfg(test)]
mod tests {
    use crate::testing::{Shop, printed};

    #[test]
    fn sides_without_relations_run_for_all_rows_at_once() {
        let reader = Shop::open().owner();
        for (sql, expected) in [
            (
                "SELECT r.id, x FROM regions r, unnest(array[r.id, r.id || '!']) x WHERE rank > 2 ORDER BY 1, 2",
                &["amer|amer", "amer|amer!", "emea|emea", "emea|emea!"][..],
            ),
            (
                "SELECT r.id, x, o FROM regions r, unnest(array[r.rank, NULL]) WITH ORDINALITY u(x, o) WHERE rank > 3 ORDER BY 3",
                &["emea|4|1", "emea|NULL|2"],
            ),
            (
                "SELECT r.id, v.x, v.y FROM regions r CROSS JOIN LATERAL (VALUES (r.id, 1), ('other', r.rank)) v(x, y) \
                 WHERE rank > 3 ORDER BY 3",
                &["emea|emea|1", "emea|other|4"],
            ),
            (
                "SELECT r.id, z.y FROM regions r, LATERAL (SELECT r.id || 'x' y) z ORDER BY 1",
                &["amer|amerx", "apac|apacx", "emea|emeax", "latam|latamx"],
            ),
            (
                "SELECT r.id, z.y FROM regions r, LATERAL (SELECT r.id || x y FROM unnest(array[1, 4, 5]) x WHERE x > r.rank) z \
                 WHERE r.rank > 2 ORDER BY 1, 2",
                &["amer|amer4", "amer|amer5", "emea|emea5"],
            ),
            (
                "SELECT r.id, z.id FROM regions r JOIN LATERAL (SELECT r.rank + 1 id) z ON z.id > 2 ORDER BY 1",
                &["amer|4", "emea|5"],
            ),
            ("SELECT x FROM (SELECT NULL::int[] a FROM regions) t, unnest(t.a) x", &[]),
            (
                "SELECT k, v FROM regions r, jsonb_each_text(jsonb_build_object('a', r.id, 'b', r.rank)) j(k, v) \
                 WHERE rank > 3 ORDER BY 1",
                &["a|emea", "b|4"],
            ),
            (
                "SELECT r.id, z.x FROM regions r LEFT JOIN LATERAL (SELECT r.rank + 1) z(x) ON true WHERE rank > 2 ORDER BY 1",
                &["amer|4", "emea|5"],
            ),
            (
                "SELECT a.id, b.y, c.z FROM regions a, unnest(array[a.rank]) b(y), LATERAL (SELECT b.y + a.rank) c(z) \
                 WHERE a.rank > 3",
                &["emea|4|8"],
            ),
        ] {
            assert_eq!(reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}")), expected, "{sql}");
            let plan = printed(reader.plan(sql).unwrap().physical());
            assert!(!plan.contains("ApplyExec"), "{sql}\n{plan}");
        }
    }

    #[test]
    fn others_run_for_each_row() {
        let reader = Shop::open().owner();
        for (sql, expected) in [
            // Of a row without members is a row.
            (
                "SELECT r.id, x FROM regions r LEFT JOIN LATERAL unnest(CASE WHEN rank > 3 THEN array[rank] END) x ON true ORDER BY 1",
                &["amer|NULL", "apac|NULL", "emea|4", "latam|NULL"][..],
            ),
            (
                "SELECT r.id, x FROM regions r, generate_series(3, r.rank) x ORDER BY 1, 2",
                &["amer|3", "emea|3", "emea|4"],
            ),
            (
                "SELECT r.id, z.n FROM regions r, LATERAL (SELECT count(*) n FROM unnest(array[r.id]) x) z WHERE rank > 3",
                &["emea|1"],
            ),
        ] {
            assert_eq!(reader.rows(sql).unwrap_or_else(|error| panic!("{sql}: {error}")), expected, "{sql}");
            let plan = printed(reader.plan(sql).unwrap().physical());
            assert!(plan.contains("ApplyExec"), "{sql}\n{plan}");
        }
    }
}
