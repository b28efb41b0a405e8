//! A LATERAL side that reads no relation: what it gives is computed of the row beside it, and the members of arrays among that are rows.
//! It needs no run for each row: `FROM accounts a, unnest(a.tags)`, `LATERAL (VALUES (a.id), (a.name))`, `LATERAL (SELECT a.id || 'x')`.

use super::keyed::has_subquery;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, Result, UnnestOptions};
use datafusion::functions_nested::make_array::make_array;
use datafusion::logical_expr::{Expr, ExprSchemable, Filter, LogicalPlan, Projection, Union, Unnest};
use querygate_query_api::own_names::at_place;
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
    // Names of their own: a relation of the body may be called as one beside it.
    let renamed = around.columns().into_iter().enumerate();
    let renamed = renamed.map(|(at, column)| Expr::Column(column).alias(beside_name(at))).collect::<Vec<_>>();
    let rows = project(left.clone(), renamed)?;
    let Some(rows) = (Side { around, rows }).with(body)? else { return Ok(None) };
    let columns = rows.schema().columns().into_iter().zip(schema.iter());
    let columns = columns
        .map(|(column, (qualifier, field))| Expr::Column(column).alias_qualified(qualifier.cloned(), field.name()));
    let columns = columns.collect::<Vec<_>>();
    if columns.len() != schema.fields().len() || !are_of_types(&rows, schema) {
        return Ok(None);
    }
    let rows = Projection::try_new_with_schema(columns, Arc::new(rows), Arc::clone(schema))?;
    Ok(Some(LogicalPlan::Projection(rows)))
}

fn project(input: LogicalPlan, columns: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(input))?))
}

fn beside_name(place: usize) -> String {
    at_place("beside ", place)
}

/// Whether the columns have these types, and the same notes of them.
fn are_of_types(rows: &LogicalPlan, schema: &DFSchema) -> bool {
    let fields = rows.schema().fields().iter().zip(schema.fields());
    let alike = |(own, wanted): (&arrow::datatypes::FieldRef, &arrow::datatypes::FieldRef)| {
        own.data_type() == wanted.data_type() && own.metadata() == wanted.metadata()
    };
    rows.schema().fields().len() == schema.fields().len() && fields.into_iter().all(alike)
}

/// The rows on the left.
struct Side {
    /// Their columns, as the body names them.
    around: DFSchemaRef,
    /// They, under names of their own.
    rows: LogicalPlan,
}

impl Side {
    /// The rows of a part of the body behind the columns of the left row that each is for.
    fn with(&self, body: &LogicalPlan) -> Result<Option<LogicalPlan>> {
        match body {
            LogicalPlan::EmptyRelation(empty) if empty.produce_one_row && empty.schema.fields().is_empty() => {
                Ok(Some(self.rows.clone()))
            }
            LogicalPlan::Projection(node) => {
                let Some(input) = self.with(&node.input)? else { return Ok(None) };
                self.projected(input, &node.expr, &node.schema)
            }
            LogicalPlan::SubqueryAlias(node) => {
                let Some(input) = self.with(&node.input)? else { return Ok(None) };
                let own: Vec<Expr> = node.input.schema().columns().into_iter().map(Expr::Column).collect();
                self.projected(input, &own, &node.schema)
            }
            LogicalPlan::Subquery(node) => self.with(&node.subquery),
            LogicalPlan::Filter(node) => {
                let Some(input) = self.with(&node.input)? else { return Ok(None) };
                let Some(condition) = self.computed(&node.predicate)? else { return Ok(None) };
                Ok(Some(LogicalPlan::Filter(Filter::try_new(condition, Arc::new(input))?)))
            }
            LogicalPlan::Unnest(node) if node.struct_type_columns.is_empty() => {
                let Some(input) = self.with(&node.input)? else { return Ok(None) };
                let unnest = Unnest::try_new(Arc::new(input), node.exec_columns.clone(), node.options.clone())?;
                Ok(Some(LogicalPlan::Unnest(unnest)))
            }
            LogicalPlan::Union(union) => self.values(union),
            _ => Ok(None),
        }
    }

    /// The columns of the left, then these.
    fn projected(&self, input: LogicalPlan, exprs: &[Expr], schema: &DFSchema) -> Result<Option<LogicalPlan>> {
        let mut columns = self.left_columns();
        for (expr, (qualifier, field)) in exprs.iter().zip(schema.iter()) {
            let Some(expr) = self.computed(expr)? else { return Ok(None) };
            columns.push(match expr {
                Expr::Alias(alias) if alias.relation.as_ref() == qualifier && alias.name == *field.name() => {
                    Expr::Alias(alias)
                }
                other => other.alias_qualified(qualifier.cloned(), field.name()),
            });
        }
        project(input, columns).map(Some)
    }

    fn left_columns(&self) -> Vec<Expr> {
        (0..self.around.fields().len()).map(|at| Expr::Column(Column::new_unqualified(beside_name(at)))).collect()
    }

    /// An expression over the rows of [`Self::with`]. `None`: it is not computed of a row alone.
    fn computed(&self, expr: &Expr) -> Result<Option<Expr>> {
        let makes = |part: &Expr| matches!(part, Expr::ScalarFunction(call) if MAKERS.contains(&call.name()));
        if has_subquery(expr)? || expr.is_volatile() || expr.exists(|part| Ok(makes(part)))? {
            return Ok(None);
        }
        let read = expr.clone().transform_up(|part| match part {
            Expr::OuterReferenceColumn(_, column) if self.around.has_column(&column) => {
                let at = self.around.index_of_column(&column)?;
                Ok(Transformed::yes(Expr::Column(Column::new_unqualified(beside_name(at)))))
            }
            other => Ok(Transformed::no(other)),
        })?;
        // What is left is of a query around both.
        let reads_beyond = read.data.exists(|part| Ok(matches!(part, Expr::OuterReferenceColumn(..))))?;
        Ok((!reads_beyond).then_some(read.data))
    }

    /// VALUES with columns of the left row: each column is an array, whose members are the rows.
    fn values(&self, union: &Union) -> Result<Option<LogicalPlan>> {
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
                let Some(cell) = self.computed(&expr.clone().unalias())? else { return Ok(None) };
                let cell_type = cell.get_type(self.rows.schema().as_ref())?;
                // A list's members are told apart from the list's own by their depth.
                if cell_type != *field.data_type() || matches!(cell_type, DataType::List(_)) {
                    return Ok(None);
                }
                cells.push(cell);
            }
        }
        let names: Vec<String> = (0..cells.len()).map(|at| at_place("value ", at)).collect();
        let arrays = cells.into_iter().zip(&names).map(|(cells, name)| make_array(cells).alias(name));
        let columns: Vec<Expr> = self.left_columns().into_iter().chain(arrays).collect();
        let made = project(self.rows.clone(), columns)?;
        let exec: Vec<Column> = names.iter().map(Column::new_unqualified).collect();
        let options = UnnestOptions::new().with_preserve_nulls(false);
        let members = LogicalPlan::Unnest(Unnest::try_new(Arc::new(made), exec.clone(), options)?);
        let own: Vec<Expr> = exec.into_iter().map(Expr::Column).collect();
        self.projected(members, &own, &union.schema)
    }
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
                "SELECT r.id, v.x, v.y FROM regions r CROSS JOIN LATERAL (VALUES (r.id, 1), ('other', r.rank), (NULL, 0)) v(x, y) \
                 WHERE rank > 3 ORDER BY 3",
                &["emea|NULL|0", "emea|emea|1", "emea|other|4"],
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
