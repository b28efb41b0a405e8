//! Helper functions that the rewrite puts into statements. Users may call them too; they do no harm.

use super::rewrite::expressions::operators::with_backslashes;
use arrow::array::builder::UInt64Builder;
use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, ListArray, StringArray, StructArray, new_empty_array, new_null_array,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type};
use async_trait::async_trait;
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_semantics::metering::once_of_constants;
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;
use std::time::Duration;

/// All helpers.
pub(crate) fn helpers() -> Vec<Arc<ScalarUDF>> {
    vec![
        Arc::new(ScalarUDF::new_from_impl(WithOrdinality { signature: Signature::any(1, Volatility::Immutable) })),
        Arc::new(ScalarUDF::new_from_impl(ArrayOrEmpty { signature: Signature::any(1, Volatility::Immutable) })),
        Arc::new(ScalarUDF::new_from_impl(ToldApart { signature: Signature::any(2, Volatility::Immutable) })),
        Arc::new(ScalarUDF::new_from_impl(ZipArrays { signature: Signature::variadic_any(Volatility::Immutable) })),
        super::rewrite::grouping::last_rank::function(),
        Arc::new(ScalarUDF::new_from_impl(LikeEscape { signature: Signature::string(2, Volatility::Immutable) })),
        Arc::new(
            AsyncScalarUDF::new(Arc::new(PgSleep { signature: Signature::any(1, Volatility::Volatile) }))
                .into_scalar_udf(),
        ),
    ]
}

fn item_of(data_type: &DataType) -> Result<Arc<Field>> {
    match data_type {
        DataType::List(item) => Ok(Arc::clone(item)),
        DataType::Null => Ok(Arc::new(Field::new("item", DataType::Null, true))),
        other => plan_err!("an array is needed, not {other}"),
    }
}

/// A list as a list of (value, ordinality).
#[derive(Debug, PartialEq, Eq, Hash)]
struct WithOrdinality {
    signature: Signature,
}

fn numbered(item: &Arc<Field>) -> Fields {
    Fields::from(vec![
        Field::new("value", item.data_type().clone(), true).with_metadata(item.metadata().clone()),
        Field::new("ordinality", DataType::Int64, true),
    ])
}

impl WithOrdinality {
    /// Lists with their positions.
    fn columns(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::List(row) = args.return_field.data_type().clone() else { return exec_err!("a list is returned") };
        let DataType::Struct(fields) = row.data_type().clone() else { return exec_err!("a list of rows is returned") };
        let Some(list) = as_list(args)? else {
            return Ok(ColumnarValue::Array(arrow::array::new_null_array(
                args.return_field.data_type(),
                args.number_rows,
            )));
        };
        let mut positions = Vec::with_capacity(list.values().len());
        let mut pieces: Vec<ArrayRef> = Vec::with_capacity(list.len());
        let mut lengths = Vec::with_capacity(list.len());
        for row in 0..list.len() {
            let length = if list.is_null(row) { 0 } else { list.value(row).len() };
            if length > 0 {
                pieces.push(list.value(row));
            }
            positions.extend(1..=i64::try_from(length).unwrap_or(i64::MAX));
            lengths.push(length);
        }
        let references: Vec<&dyn Array> = pieces.iter().map(|p| p.as_ref()).collect();
        let item_type = list.value_type();
        let values =
            if references.is_empty() { new_empty_array(&item_type) } else { arrow::compute::concat(&references)? };
        let rows = StructArray::try_new(fields, vec![values, Arc::new(Int64Array::from(positions))], None)?;
        let nulls: NullBuffer = (0..list.len()).map(|r| !list.is_null(r)).collect();
        let list = ListArray::try_new(row, OffsetBuffer::from_lengths(lengths), Arc::new(rows), Some(nulls))?;
        Ok(ColumnarValue::Array(Arc::new(list)))
    }
}

impl ScalarUDFImpl for WithOrdinality {
    fn name(&self) -> &'static str {
        "with_ordinality"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let item = item_of(arguments.first().unwrap_or(&DataType::Null))?;
        Ok(DataType::List(Arc::new(Field::new("item", DataType::Struct(numbered(&item)), true))))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        once_of_constants(args, |args| self.columns(&args))
    }
}

fn as_list(args: &ScalarFunctionArgs) -> Result<Option<ListArray>> {
    let Some(first) = args.args.first() else { return exec_err!("an array is needed") };
    let array = first.to_array(args.number_rows)?;
    Ok(if array.data_type() == &DataType::Null { None } else { Some(array.as_list::<i32>().clone()) })
}

/// A list, or an empty one for NULL: `ARRAY(SELECT …)` of no rows is `{}`, `array_agg` of none is NULL.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ArrayOrEmpty {
    signature: Signature,
}

impl ArrayOrEmpty {
    /// The lists of columns.
    fn columns(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::List(item) = args.return_field.data_type().clone() else {
            return exec_err!("a list is returned");
        };
        let Some(list) = as_list(args)? else {
            let empty = ListArray::try_new(
                Arc::clone(&item),
                OffsetBuffer::from_lengths(vec![0; args.number_rows]),
                new_empty_array(item.data_type()),
                None,
            )?;
            return Ok(ColumnarValue::Array(Arc::new(empty)));
        };
        let lengths = (0..list.len()).map(|r| if list.is_null(r) { 0 } else { list.value(r).len() });
        let offsets = OffsetBuffer::from_lengths(lengths);
        let pieces: Vec<ArrayRef> = (0..list.len()).filter(|r| !list.is_null(*r)).map(|r| list.value(r)).collect();
        let references: Vec<&dyn Array> = pieces.iter().map(|p| p.as_ref()).collect();
        let values = if references.is_empty() {
            new_empty_array(item.data_type())
        } else {
            arrow::compute::concat(&references)?
        };
        Ok(ColumnarValue::Array(Arc::new(ListArray::try_new(item, offsets, values, None)?)))
    }
}

impl ScalarUDFImpl for ArrayOrEmpty {
    fn name(&self) -> &'static str {
        "array_or_empty"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(item_of(arguments.first().unwrap_or(&DataType::Null))?))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        once_of_constants(args, |args| self.columns(&args))
    }
}

/// How the second argument of `told_apart` begins where the call is a key of grouping sets.
pub(super) const OF_SETS: &str = "of sets ";

/// Its first argument; the second makes the call's text unlike another's.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ToldApart {
    signature: Signature,
}

impl ScalarUDFImpl for ToldApart {
    fn name(&self) -> &'static str {
        "told_apart"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments.first().cloned().unwrap_or(DataType::Null))
    }
    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        match args.arg_fields.first() {
            Some(first) => Ok(Arc::new(first.as_ref().clone().with_name(self.name()).with_nullable(true))),
            None => plan_err!("two arguments are needed"),
        }
    }
    /// Where it stood, its text stays as a name: it goes once keys have names of their own, and sources compute what it held. The keys
    /// of sets have no names beside their texts.
    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let stays = match args.get(1) {
            Some(Expr::Literal(mark, _)) => mark.try_as_str().flatten().is_none_or(|mark| mark.starts_with(OF_SETS)),
            Some(_) | None => true,
        };
        if stays {
            return Ok(ExprSimplifyResult::Original(args));
        }
        Ok(ExprSimplifyResult::Simplified(args.swap_remove(0)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(first) => Ok(first),
            None => exec_err!("two arguments are needed"),
        }
    }
}

/// The only member of a list, of the type that a subquery gives; NULL of none.
///
/// # Errors
/// 21000 of several, where it is computed.
pub(super) fn only_row(list: Expr, field: FieldRef) -> Expr {
    let only = OnlyRow { field, signature: Signature::any(1, Volatility::Immutable) };
    ScalarUDF::new_from_impl(only).call(vec![list])
}

/// What [`only_row`] calls.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OnlyRow {
    field: FieldRef,
    signature: Signature,
}

impl OnlyRow {
    /// The members of a column of lists.
    fn columns(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [lists] = arrays.as_slice() else { return exec_err!("one argument is needed") };
        let Some(lists) = lists.as_list_opt::<i32>() else {
            return Ok(ColumnarValue::Array(new_null_array(self.field.data_type(), lists.len())));
        };
        let mut places = UInt64Builder::with_capacity(lists.len());
        for (row, offsets) in lists.offsets().windows(2).enumerate() {
            let [from, to] = [offsets[0], offsets[1]];
            if lists.is_null(row) || from == to {
                places.append_null();
            } else if to - from == 1 {
                places.append_value(u64::try_from(from).unwrap_or_default());
            } else {
                return Err(super::external(Error::new(
                    ErrorCode::CardinalityViolation,
                    "more than one row returned by a subquery used as an expression",
                )));
            }
        }
        Ok(ColumnarValue::Array(arrow::compute::take(lists.values(), &places.finish(), None)?))
    }
}

impl ScalarUDFImpl for OnlyRow {
    fn name(&self) -> &'static str {
        "only_row"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.field.data_type().clone())
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(self.field.as_ref().clone().with_name(self.name()).with_nullable(true)))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        once_of_constants(args, |args| self.columns(&args))
    }
}

/// Several lists as one list of rows, shorter ones filled up with NULLs: `unnest(a, b)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ZipArrays {
    signature: Signature,
}

impl ZipArrays {
    /// Lists of rows of columns of lists.
    fn columns(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let DataType::List(item) = args.return_field.data_type().clone() else {
            return exec_err!("a list is returned");
        };
        let DataType::Struct(fields) = item.data_type().clone() else { return exec_err!("a list of rows is returned") };
        let lists: Vec<Option<ListArray>> = args
            .args
            .iter()
            .map(|a| {
                let array = a.to_array(args.number_rows)?;
                Ok(if array.data_type() == &DataType::Null { None } else { Some(array.as_list::<i32>().clone()) })
            })
            .collect::<Result<_>>()?;
        let length = |list: &Option<ListArray>, row: usize| match list {
            Some(list) if !list.is_null(row) => list.value(row).len(),
            Some(_) | None => 0,
        };
        let lengths: Vec<usize> =
            (0..args.number_rows).map(|row| lists.iter().map(|l| length(l, row)).max().unwrap_or(0)).collect();
        let mut columns = Vec::with_capacity(fields.len());
        for (list, field) in lists.iter().zip(&fields) {
            let mut pieces: Vec<ArrayRef> = Vec::new();
            for (row, wanted) in lengths.iter().enumerate() {
                let have = length(list, row);
                if let Some(list) = list.as_ref().filter(|_| have > 0) {
                    pieces.push(list.value(row));
                }
                if have < *wanted {
                    pieces.push(new_null_array(field.data_type(), wanted - have));
                }
            }
            let references: Vec<&dyn Array> = pieces.iter().map(|p| p.as_ref()).collect();
            columns.push(if references.is_empty() {
                new_empty_array(field.data_type())
            } else {
                arrow::compute::concat(&references)?
            });
        }
        let total = lengths.iter().sum();
        let rows = StructArray::try_new_with_length(fields, columns, None, total)?;
        Ok(ColumnarValue::Array(Arc::new(ListArray::try_new(
            item,
            OffsetBuffer::from_lengths(lengths),
            Arc::new(rows),
            None,
        )?)))
    }
}

impl ScalarUDFImpl for ZipArrays {
    fn name(&self) -> &'static str {
        "zip_arrays"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let mut fields = Vec::with_capacity(arguments.len());
        for (data_type, number) in arguments.iter().zip(1..) {
            let item = item_of(data_type)?;
            fields.push(
                Field::new(format!("c{number}"), item.data_type().clone(), true).with_metadata(item.metadata().clone()),
            );
        }
        Ok(DataType::List(Arc::new(Field::new("item", DataType::Struct(Fields::from(fields)), true))))
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        once_of_constants(args, |args| self.columns(&args))
    }
}

/// PostgreSQL's `like_escape(pattern, escape)`: the pattern with backslash as its escape.
#[derive(Debug, PartialEq, Eq, Hash)]
struct LikeEscape {
    signature: Signature,
}

impl LikeEscape {
    /// Patterns of columns.
    fn columns(&self, args: &ScalarFunctionArgs) -> Result<ColumnarValue> {
        let texts =
            args.args.iter().map(|a| Ok(arrow::compute::cast(&a.to_array(args.number_rows)?, &DataType::Utf8)?));
        let texts = texts.collect::<Result<Vec<_>>>()?;
        let [patterns, escapes] = texts.as_slice() else { return exec_err!("two arguments are needed") };
        let pairs = patterns.as_string::<i32>().iter().zip(escapes.as_string::<i32>());
        let escaped = pairs.map(|(pattern, escape)| match (pattern, escape) {
            (Some(pattern), Some(escape)) => with_backslashes(pattern, escape).map(Some).map_err(super::external),
            _ => Ok(None),
        });
        Ok(ColumnarValue::Array(Arc::new(escaped.collect::<Result<StringArray>>()?)))
    }
}

impl ScalarUDFImpl for LikeEscape {
    fn name(&self) -> &'static str {
        "like_escape"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }
    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        once_of_constants(args, |args| self.columns(&args))
    }
}

/// `pg_sleep(seconds)`: waits without holding a thread; a cancelled statement drops the wait.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PgSleep {
    signature: Signature,
}

impl ScalarUDFImpl for PgSleep {
    fn name(&self) -> &'static str {
        "pg_sleep"
    }
    fn signature(&self) -> &Signature {
        &self.signature
    }
    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }
    fn return_field_from_args(&self, _: ReturnFieldArgs) -> Result<FieldRef> {
        let metadata = [(PG_TYPE_KEY.to_owned(), "void".to_owned())].into();
        Ok(Arc::new(Field::new("pg_sleep", DataType::Utf8, true).with_metadata(metadata)))
    }
    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("pg_sleep waits asynchronously")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for PgSleep {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(first) = args.args.first() else { return exec_err!("one argument is needed") };
        let seconds = arrow::compute::cast(&first.to_array(args.number_rows)?, &DataType::Float64)?;
        for wait in seconds.as_primitive::<Float64Type>().iter().flatten() {
            if let Ok(wait) = Duration::try_from_secs_f64(wait.max(0.0)) {
                tokio::time::sleep(wait).await;
            }
        }
        let done: StringArray = (0..args.number_rows).map(|_| Some("")).collect();
        Ok(ColumnarValue::Array(Arc::new(done)))
    }
}
