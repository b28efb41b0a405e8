//! A table's scan as the planner can read it.

use arrow::datatypes::{DataType, Field};
use datafusion::catalog::TableProvider;
use datafusion::common::{Column, Result, TableReference};
use datafusion::datasource::provider_as_source;
use datafusion::logical_expr::{Cast, Expr, LogicalPlan, LogicalPlanBuilder, Projection};
use querygate_query_api::column::TYPE_MODIFIER_KEY;
use querygate_query_api::values::wide_numeric::WIDE_NUMERIC;
use std::sync::Arc;

/// Digits and places that the planner takes a numeric for that names none; a bound statement has none of them.
const DIGITS_MAX: u8 = 38;
const PLACES_PLANNED: i8 = 10;

/// A table's scan with numerics of any width as decimals without a declared scale. `None`: it has none.
///
/// # Errors
/// The plan of these casts cannot be built.
pub fn with_places_unnamed(name: &Arc<str>, table: Arc<dyn TableProvider>) -> Result<Option<LogicalPlan>> {
    let fields = table.schema();
    if !fields.fields().iter().any(|field| *field.data_type() == WIDE_NUMERIC) {
        return Ok(None);
    }
    let name = TableReference::bare(Arc::clone(name));
    let scan = LogicalPlanBuilder::scan(name.clone(), provider_as_source(table), None)?;
    let column = |field: &Arc<Field>| {
        let column = Expr::Column(Column::new(Some(name.clone()), field.name()));
        if *field.data_type() != WIDE_NUMERIC {
            return column;
        }
        let mut metadata = field.metadata().clone();
        metadata.insert(TYPE_MODIFIER_KEY.to_owned(), "any".to_owned());
        let any = Field::new("", DataType::Decimal128(DIGITS_MAX, PLACES_PLANNED), true).with_metadata(metadata);
        let cast = Expr::Cast(Cast { expr: Box::new(column), field: Arc::new(any) });
        cast.alias_qualified(Some(name.clone()), field.name())
    };
    let columns: Vec<Expr> = fields.fields().iter().map(column).collect();
    let scan = scan.build()?;
    // Each column decides what its own did.
    let keys = scan.schema().functional_dependencies().clone();
    let schema = Projection::try_new(columns.clone(), Arc::new(scan.clone()))?.schema;
    let schema = Arc::unwrap_or_clone(schema).with_functional_dependencies(keys)?;
    let plan = Projection::try_new_with_schema(columns, Arc::new(scan), Arc::new(schema))?;
    Ok(Some(LogicalPlan::Projection(plan)))
}
