//! Where a result's columns come from: table, attribute and type modifier, as PostgreSQL's RowDescription tells them.
//! Reads plans only; what the principal cannot see has no object id and so no origin.

use crate::output_types::narrower;
use arrow::datatypes::{DataType, Field};
use datafusion::common::TableReference;
use datafusion::logical_expr::{Distinct, Expr, JoinType, LogicalPlan};
use querygate_catalog::pg_catalog::PgCatalog;
use querygate_query_api::Column;
use querygate_types::PgType;

/// What stands behind an output column.
enum Origin<'a> {
    Table(&'a TableReference, &'a Field),
    /// A cast to a type with a modifier.
    Cast(&'a DataType),
}

/// Puts origins into the columns of a bound plan, one per output column.
pub(crate) fn trace(plan: &LogicalPlan, columns: &mut [Column], pg: &PgCatalog) {
    for (index, column) in columns.iter_mut().enumerate() {
        if let Some(found) = narrower(plan, index, column.pg_type) {
            column.pg_type = found;
        }
        let data_type = match origin(plan, index) {
            Some(Origin::Table(table, field)) => {
                let schema = table.schema().unwrap_or("public");
                let found = pg.relation_oid(schema, table.table()).zip(pg.attribute_number(
                    schema,
                    table.table(),
                    field.name(),
                ));
                if let Some((oid, attribute)) = found {
                    (column.table_oid, column.attribute) = (oid, attribute);
                }
                field.data_type()
            }
            Some(Origin::Cast(data_type)) => data_type,
            None => continue,
        };
        if let (PgType::Numeric, DataType::Decimal128(precision, scale)) = (column.pg_type, data_type) {
            column.type_modifier = numeric_modifier(*precision, *scale);
        }
    }
}

/// `atttypmod` of numeric(precision, scale); −1 for the widest, which stands for numeric without a modifier.
fn numeric_modifier(precision: u8, scale: i8) -> i32 {
    let Ok(scale) = u8::try_from(scale) else { return -1 };
    if precision >= 38 { -1 } else { (i32::from(precision) << 16 | i32::from(scale)) + 4 }
}

/// Follows one output column down to a table, through what hands columns on unchanged.
fn origin(plan: &LogicalPlan, index: usize) -> Option<Origin<'_>> {
    match plan {
        LogicalPlan::TableScan(scan) => {
            let field = scan.projected_schema.fields().get(index)?;
            Some(Origin::Table(&scan.table_name, field))
        }
        LogicalPlan::Projection(projection) => through(projection.expr.get(index)?, &projection.input),
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.get(index) {
            Some(group) => through(group, &aggregate.input),
            None => None,
        },
        LogicalPlan::Window(window) => within(&window.input, index),
        LogicalPlan::SubqueryAlias(alias) => origin(&alias.input, index),
        LogicalPlan::Filter(filter) => origin(&filter.input, index),
        LogicalPlan::Sort(sort) => origin(&sort.input, index),
        LogicalPlan::Limit(limit) => origin(&limit.input, index),
        LogicalPlan::Repartition(repartition) => origin(&repartition.input, index),
        LogicalPlan::Distinct(Distinct::All(input)) => origin(input, index),
        LogicalPlan::Distinct(Distinct::On(on)) => through(on.select_expr.get(index)?, &on.input),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => within(&join.right, index),
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => within(&join.left, index),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                let left = join.left.schema().fields().len();
                if index < left { origin(&join.left, index) } else { origin(&join.right, index - left) }
            }
        },
        // A set operation's columns belong to no table; the rest computes its columns or has none.
        LogicalPlan::Union(_)
        | LogicalPlan::RecursiveQuery(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Statement(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => None,
    }
}

/// A column of the input, when it is one: windows and marks add columns behind those of their input.
fn within(input: &LogicalPlan, index: usize) -> Option<Origin<'_>> {
    (index < input.schema().fields().len()).then(|| origin(input, index)).flatten()
}

fn through<'a>(expr: &'a Expr, input: &'a LogicalPlan) -> Option<Origin<'a>> {
    match expr {
        Expr::Alias(alias) => through(&alias.expr, input),
        Expr::Column(column) => origin(input, input.schema().maybe_index_of_column(column)?),
        Expr::Cast(cast) => Some(Origin::Cast(cast.field.data_type())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modifier_holds_precision_and_scale() {
        let check = |precision: u8, scale: i8, expected: i32| assert_eq!(numeric_modifier(precision, scale), expected);
        check(18, 4, (18 << 16 | 4) + 4);
        check(1, 0, (1 << 16) + 4);
        check(38, 10, -1);
        check(10, -2, -1);
    }
}
