//! What is computed of groups, as ObjectStack computes it: nothing sums up to 0, booleans are 0 and 1, texts are 0 in sums.

use super::object::form;
use super::refusal::{field as refused_field, query};
use arrow::datatypes::DataType;
use datafusion::execution::SessionState;
use datafusion::functions::expr_fn::coalesce;
use datafusion::logical_expr::expr::AggregateFunction as Call;
use datafusion::logical_expr::{Expr, cast, lit, when};
use querygate_metadata::model::{Field, FieldType};
use querygate_query_api::requests::question::{AggregateFunction, JsonForm};
use querygate_types::vendor::VendorCode;
use querygate_types::{Error, Result};
use std::sync::Arc;

/// Whether a field has one value that is neither a list nor a document.
pub(super) fn has_plain_value(field: &Field) -> bool {
    !matches!(form(field.value_type()), JsonForm::List | JsonForm::Json)
}

/// # Errors
/// `INVALID_FIELD`: the function takes no field of this type (release 17.6). A rate does not add up, and texts have no order that all
/// stores share.
pub(super) fn check_operand(function: AggregateFunction, field: &Field) -> Result<()> {
    use FieldType as F;
    let is_amount = matches!(
        field.field_type,
        F::Number | F::Currency | F::Rating | F::Slider | F::Progress | F::Summary | F::Boolean | F::Toggle
    );
    let is_moment = matches!(field.field_type, F::Date | F::Datetime | F::Time);
    let takes = match function {
        AggregateFunction::Count => true,
        AggregateFunction::CountDistinct => has_plain_value(field),
        AggregateFunction::Sum => is_amount,
        AggregateFunction::Avg => is_amount || field.field_type == F::Percent,
        AggregateFunction::Min | AggregateFunction::Max => is_amount || is_moment || field.field_type == F::Percent,
    };
    if takes && (has_plain_value(field) || function == AggregateFunction::Count) {
        return Ok(());
    }
    let message = format!("'{}' does not apply to values of the type that '{}' has", function.name(), field.name);
    Err(refused_field(VendorCode::InvalidField, &field.name, message))
}

/// A computed value: the call, and how its value is written.
#[derive(Debug)]
pub(super) struct Aggregate {
    pub(super) call: Expr,
    pub(super) form: JsonForm,
    /// Whether 0 stands for NULL.
    pub(super) or_zero: bool,
}

impl Aggregate {
    /// `of`: the field's name, its column and how its values are written; `None`: records are counted.
    ///
    /// # Errors
    /// `INVALID_QUERY` of a function that the field's values do not have.
    pub(super) fn new(
        state: &SessionState,
        function: AggregateFunction,
        of: Option<(&str, Expr, JsonForm)>,
        filter: Option<Expr>,
    ) -> Result<Self> {
        use AggregateFunction as F;
        let Some((name, column, form)) = of else {
            return match function {
                F::Count => Ok(Self {
                    call: call(state, "count", lit(1_i64), false, filter)?,
                    form: JsonForm::Number,
                    or_zero: false,
                }),
                F::Sum | F::Avg | F::Min | F::Max | F::CountDistinct => {
                    Err(query(format!("'{}' is computed of a field", function.name())))
                }
            };
        };
        let refused = || Err(query(format!("'{}' cannot be computed of '{name}'", function.name())));
        let argument = match (function, form) {
            (F::Count, _) => column,
            (F::CountDistinct, JsonForm::List) => return refused(),
            (F::CountDistinct, _) => column,
            // ObjectStack's averages are doubles, whatever they are of.
            (F::Avg, JsonForm::Number) => cast(column, DataType::Float64),
            (_, JsonForm::Number) => column,
            (F::Avg, JsonForm::Boolean) => cast(cast(column, DataType::Int32), DataType::Float64),
            (_, JsonForm::Boolean) => cast(column, DataType::Int32),
            (F::Sum | F::Avg, JsonForm::Text) => nothing(column)?,
            (F::Min | F::Max, JsonForm::Text | JsonForm::Date | JsonForm::Instant | JsonForm::Time) => column,
            (F::Sum | F::Avg | F::Min | F::Max, _) => return refused(),
        };
        let (name, form) = match function {
            F::Count | F::CountDistinct => ("count", JsonForm::Number),
            F::Sum => ("sum", JsonForm::Number),
            F::Avg => ("avg", JsonForm::Number),
            F::Min => ("min", if form == JsonForm::Boolean { JsonForm::Number } else { form }),
            F::Max => ("max", if form == JsonForm::Boolean { JsonForm::Number } else { form }),
        };
        let call = call(state, name, argument, function == F::CountDistinct, filter)?;
        Ok(Self { call, form, or_zero: function == F::Sum })
    }

    /// The value, of the column in which the call stands.
    pub(super) fn value(&self, column: Expr) -> Expr {
        if self.or_zero { coalesce(vec![column, lit(0_i64)]) } else { column }
    }
}

/// 0 for every value.
fn nothing(column: Expr) -> Result<Expr> {
    when(column.is_not_null(), lit(0_f64)).end().map_err(Error::internal)
}

fn call(state: &SessionState, name: &str, argument: Expr, distinct: bool, filter: Option<Expr>) -> Result<Expr> {
    let function = state.aggregate_functions().get(name);
    let function = function.ok_or_else(|| Error::internal(format!("the aggregate {name} is gone")))?;
    let filter = filter.map(Box::new);
    Ok(Expr::AggregateFunction(Call::new_udf(Arc::clone(function), vec![argument], distinct, filter, Vec::new(), None)))
}
