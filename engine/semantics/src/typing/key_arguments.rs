//! Functions of values of any type that the engine has, over values that are keys in bytes (addresses, times with a zone), moments,
//! intervals, truth and bytes: a text without a type beside one is read as one, and `concat` prints keys. The engine would refuse both.
//! NULLIF is such a function where a boolean or an interval stands beside such a text.

use crate::bounds::of_no_rows;
use crate::casts::conversions::is_text;
use crate::casts::texts_read::has_forms;
use crate::fault::external;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{DFSchema, DataFusionError, Result, ScalarValue, plan_err};
use datafusion::config::ConfigOptions;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};
use querygate_query_api::column::{PG_TYPE_KEY, pg_type_of};
use querygate_query_api::values::network::NETWORK;
use querygate_query_api::values::timetz::TimeTz;
use querygate_types::{Error, ErrorCode};
use std::sync::Arc;

/// Functions whose arguments and result are of one type.
const ALIKE: [&str; 3] = ["coalesce", "greatest", "least"];
/// Compares its arguments, and gives the first. The engine has its own type at which most of them meet.
const NULL_IF: &str = "nullif";
/// Functions that print their arguments.
const PRINTING: [&str; 2] = ["concat", "concat_ws"];

/// Whether values of a type are such keys.
pub fn is_key(data_type: &DataType) -> bool {
    *data_type == NETWORK || *data_type == TimeTz::ARROW
}

/// The engine's functions of these names, in ours.
pub(crate) fn wrapped(known: &[Arc<ScalarUDF>]) -> Vec<Arc<ScalarUDF>> {
    let is_one = |function: &&Arc<ScalarUDF>| {
        let name = function.name();
        ALIKE.contains(&name) || PRINTING.contains(&name) || name == NULL_IF
    };
    let wrap = |inner: &Arc<ScalarUDF>| {
        let signature = match inner.name() {
            NULL_IF => Signature::user_defined(inner.signature().volatility),
            _ => inner.signature().clone(),
        };
        Arc::new(ScalarUDF::new_from_impl(KeyArguments { inner: Arc::clone(inner), signature }))
    };
    known.iter().filter(is_one).map(wrap).collect()
}

/// Whether the engine finds no type at which such values and texts meet.
fn meets_no_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Date32
            | DataType::Timestamp(..)
            | DataType::Time64(_)
            | DataType::Interval(_)
            | DataType::Binary
    )
}

/// The type at which the arguments of a call meet, where one of them is a key, or texts are beside what meets none. The texts are read as
/// it; dates and time stamps meet at that which says most.
pub(crate) fn meeting(name: &str, types: &[DataType]) -> Option<DataType> {
    if name == NULL_IF {
        let alone = types.iter().find(|of| matches!(of, DataType::Boolean | DataType::Interval(_)))?;
        let fits = types.iter().all(|of| of == alone || is_text(of)) && types.iter().any(is_text);
        return fits.then(|| alone.clone());
    }
    if !ALIKE.contains(&name) {
        return None;
    }
    let met = match types.iter().find(|of| is_key(of)) {
        Some(key) => key,
        None if types.iter().any(is_text) => {
            let first = types.iter().find(|of| meets_no_text(of))?;
            if is_moment(first) { widest_moment(types)? } else { first }
        }
        None => return None,
    };
    let fits = |of: &DataType| of == met || *of == DataType::Null || is_text(of) || is_moment(of) && is_moment(met);
    types.iter().all(fits).then(|| met.clone())
}

const fn is_moment(of: &DataType) -> bool {
    matches!(of, DataType::Date32 | DataType::Timestamp(..))
}

/// Of dates and time stamps, one with a zone, else one without, else a date.
fn widest_moment(types: &[DataType]) -> Option<&DataType> {
    let zoned = |of: &&DataType| matches!(of, DataType::Timestamp(_, Some(_)));
    let stamp = |of: &&DataType| matches!(of, DataType::Timestamp(..));
    let all = || types.iter().filter(|of| is_moment(of));
    all().find(zoned).or_else(|| all().find(stamp)).or_else(|| all().next())
}

/// The arguments of a call that are texts without a type beside a key, beside what meets no text, or beside a text of which there are
/// several forms, and the type as which they are read. `None`: there are none.
///
/// # Errors
/// 42804, of NULLIF 42883: a text of its own type is beside what meets none.
pub(crate) fn texts_to_read(call: &ScalarFunction, schema: &DFSchema) -> Result<Option<(FieldRef, Vec<usize>)>> {
    if !ALIKE.contains(&call.name()) && call.name() != NULL_IF {
        return Ok(None);
    }
    let fields = call.args.iter().map(|arg| Some(arg.to_field(schema).ok()?.1)).collect::<Option<Vec<_>>>();
    let Some(fields) = fields else { return Ok(None) };
    let types: Vec<DataType> = fields.iter().map(|field| field.data_type().clone()).collect();
    let met = meeting(call.name(), &types);
    let to = fields.iter().find(|field| match &met {
        Some(met) => field.data_type() == met,
        None => has_forms(pg_type_of(field)),
    });
    let Some(to) = to else { return Ok(None) };
    let is_literal = |arg: &Expr| matches!(arg, Expr::Literal(ScalarValue::Utf8(Some(_)), None));
    let mut texts = Vec::new();
    for (place, (arg, own)) in call.args.iter().zip(&types).enumerate() {
        let is_read = match &met {
            Some(met) if is_key(met) => own != met,
            Some(_) if is_text(own) && !is_literal(arg) => return Err(unmatched(call.name(), to, own)),
            Some(_) => is_text(own),
            None => is_literal(arg),
        };
        if is_read {
            texts.push(place);
        }
    }
    let to = if met.as_ref().is_some_and(meets_no_text) { plain(to) } else { Arc::clone(to) };
    Ok((!texts.is_empty()).then_some((to, texts)))
}

/// The type of a column without what else is said of it.
fn plain(field: &Field) -> FieldRef {
    let name = [(PG_TYPE_KEY.to_owned(), pg_type_of(field).name().to_owned())].into();
    Arc::new(Field::new("", field.data_type().clone(), true).with_metadata(name))
}

fn unmatched(name: &str, one: &Field, other: &DataType) -> DataFusionError {
    let other = pg_type_of(&Field::new("", other.clone(), true)).sql_name();
    if name == NULL_IF {
        let message = format!("operator does not exist: {} = {other}", pg_type_of(one).sql_name());
        return external(Error::new(ErrorCode::UndefinedFunction, message));
    }
    let message = format!("{} types {} and {other} cannot be matched", name.to_uppercase(), pg_type_of(one).sql_name());
    external(Error::new(ErrorCode::DatatypeMismatch, message))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct KeyArguments {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

impl KeyArguments {
    fn prints(&self) -> bool {
        PRINTING.contains(&self.inner.name())
    }

    /// Texts in place of keys, which are printed once the call is bound.
    fn printed(&self, types: &[DataType]) -> Option<Vec<DataType>> {
        if !self.prints() || !types.iter().any(is_key) {
            return None;
        }
        Some(types.iter().map(|of| if is_key(of) { DataType::Utf8 } else { of.clone() }).collect())
    }
}

impl ScalarUDFImpl for KeyArguments {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        if let Some(key) = meeting(self.name(), types) {
            return Ok(key);
        }
        self.inner.return_type(&self.printed(types).unwrap_or_else(|| types.to_vec()))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        if let Some(key) = meeting(self.name(), &types)
            && let Some(own) = args.arg_fields.iter().find(|field| *field.data_type() == key)
        {
            let fields = &args.arg_fields;
            let nullable = is_key(&key) || self.name() != "coalesce" || fields.iter().all(|field| field.is_nullable());
            return Ok(Arc::new(own.as_ref().clone().with_name(self.name()).with_nullable(nullable)));
        }
        match self.printed(&types) {
            Some(texts) => Ok(Arc::new(Field::new(self.name(), self.inner.return_type(&texts)?, true))),
            None => self.inner.return_field_from_args(args),
        }
    }

    fn is_strict(&self) -> bool {
        self.inner.is_strict()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(nothing) = of_no_rows(&args) {
            return Ok(nothing);
        }
        self.inner.invoke_with_args(args)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        self.inner.inner().with_updated_config(config)
    }

    /// Not before the arguments of a call are all of the type at which they meet.
    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let types = args.iter().map(|arg| info.get_data_type(arg)).collect::<Result<Vec<_>>>()?;
        let meet = types.iter().any(is_key) || meeting(self.name(), &types).is_some();
        let differ = meet && types.windows(2).any(|pair| pair.first() != pair.last());
        if differ { Ok(ExprSimplifyResult::Original(args)) } else { self.inner.simplify(args, info) }
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn conditional_arguments<'a>(&self, args: &'a [Expr]) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if meeting(self.name(), types).is_some() {
            return Ok(types.to_vec());
        }
        if self.name() == NULL_IF {
            return compared(types);
        }
        let Some(texts) = self.printed(types) else { return self.inner.coerce_types(types) };
        let met = self.inner.coerce_types(&texts)?;
        Ok(met.into_iter().zip(types).map(|(met, own)| if is_key(own) { own.clone() } else { met }).collect())
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}

/// The types in which the engine compares the arguments of NULLIF.
fn compared(types: &[DataType]) -> Result<Vec<DataType>> {
    let [one, other] = types else { return plan_err!("NULLIF has two arguments") };
    match comparison_coercion(one, other) {
        Some(DataType::Null) => Ok(vec![DataType::Utf8View; types.len()]),
        Some(met) => Ok(vec![met; types.len()]),
        None => plan_err!("For function 'nullif' {one} and {other} is not comparable"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{IntervalUnit, TimeUnit};

    #[test]
    fn texts_beside_dates_and_time_stamps_are_what_says_most() {
        let stamp = || DataType::Timestamp(TimeUnit::Microsecond, None);
        let moment = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let (date, text) = (|| DataType::Date32, || DataType::Utf8);
        for (types, expected) in [
            (vec![date(), text()], Some(date())),
            (vec![date(), stamp(), text()], Some(stamp())),
            (vec![text(), DataType::Null, stamp(), date()], Some(stamp())),
            (vec![stamp(), date(), text(), moment()], Some(moment())),
            (vec![date(), stamp()], None),
            (vec![date(), text(), DataType::Int32], None),
            (vec![DataType::Boolean, date(), text()], None),
        ] {
            assert_eq!(meeting("coalesce", &types), expected, "{types:?}");
        }
        assert_eq!(meeting("concat", &[date(), text()]), None);
    }

    #[test]
    fn nullif_reads_texts_beside_truth_and_intervals() {
        let (text, truth) = (DataType::Utf8, DataType::Boolean);
        let span = DataType::Interval(IntervalUnit::MonthDayNano);
        for (types, expected) in [
            ([text.clone(), truth.clone()], Some(truth.clone())),
            ([truth.clone(), text.clone()], Some(truth.clone())),
            ([span.clone(), text.clone()], Some(span.clone())),
            ([truth.clone(), truth.clone()], None),
            ([truth.clone(), span], None),
            ([DataType::Date32, text.clone()], None),
        ] {
            assert_eq!(meeting(NULL_IF, &types), expected, "{types:?}");
        }
        let functions = wrapped(&[datafusion::functions::core::nullif()]);
        let [function] = functions.as_slice() else { panic!("one function") };
        assert_eq!(
            function.coerce_types(&[DataType::Int32, DataType::Int64]).unwrap(),
            [DataType::Int64, DataType::Int64]
        );
        assert_eq!(function.coerce_types(&[text.clone(), truth.clone()]).unwrap(), [text, truth.clone()]);
        assert!(function.coerce_types(&[truth, DataType::Date32]).is_err());
    }
}
