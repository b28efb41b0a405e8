//! `pg_advisory_lock` and its kin. Waiting holds no thread, and a cancelled statement drops the wait.

use super::locks::{LockKey, LockMode, SessionLocks};
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, StringArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Int64Type};
use async_trait::async_trait;
use datafusion::common::config::{ConfigEntry, ConfigExtension, ExtensionOptions};
use datafusion::common::{Result, config_err, exec_err};
use datafusion::error::DataFusionError;
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};
use querygate_query_api::column::PG_TYPE_KEY;
use querygate_types::{Error, ErrorCode};
use std::any::Any;
use std::sync::Arc;

/// What a function does with a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum LockAction {
    Acquire,
    Attempt,
    Release,
    ReleaseAll,
}

/// Name, what it does, whether the lock is shared, whether it is the transaction's.
const FUNCTIONS: &[(&str, LockAction, bool, bool)] = &[
    ("pg_advisory_lock", LockAction::Acquire, false, false),
    ("pg_advisory_lock_shared", LockAction::Acquire, true, false),
    ("pg_advisory_xact_lock", LockAction::Acquire, false, true),
    ("pg_advisory_xact_lock_shared", LockAction::Acquire, true, true),
    ("pg_try_advisory_lock", LockAction::Attempt, false, false),
    ("pg_try_advisory_lock_shared", LockAction::Attempt, true, false),
    ("pg_try_advisory_xact_lock", LockAction::Attempt, false, true),
    ("pg_try_advisory_xact_lock_shared", LockAction::Attempt, true, true),
    ("pg_advisory_unlock", LockAction::Release, false, false),
    ("pg_advisory_unlock_shared", LockAction::Release, true, false),
    ("pg_advisory_unlock_all", LockAction::ReleaseAll, false, false),
];

pub(crate) fn functions() -> impl Iterator<Item = Arc<ScalarUDF>> {
    FUNCTIONS.iter().map(|(name, act, shared, of_transaction)| {
        let function = AdvisoryFunction {
            name,
            act: *act,
            shared: *shared,
            of_transaction: *of_transaction,
            signature: signature(*act),
        };
        Arc::new(AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf())
    })
}

/// One number, or two; a function that waits is not asked for its types.
fn signature(act: LockAction) -> Signature {
    match act {
        LockAction::ReleaseAll => Signature::nullary(Volatility::Volatile),
        LockAction::Acquire | LockAction::Attempt | LockAction::Release => {
            Signature::one_of(vec![TypeSignature::Any(1), TypeSignature::Any(2)], Volatility::Volatile)
        }
    }
}

/// The session's locks, in the engine's configuration.
#[derive(Debug, Clone)]
pub(crate) struct LocksInConfig(pub(crate) Arc<SessionLocks>);

impl ConfigExtension for LocksInConfig {
    const PREFIX: &'static str = "querygate_advisory_locks";
}

impl ExtensionOptions for LocksInConfig {
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }
    fn set(&mut self, key: &str, _value: &str) -> Result<()> {
        config_err!("{key} cannot be set here")
    }
    fn entries(&self) -> Vec<ConfigEntry> {
        Vec::new()
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct AdvisoryFunction {
    name: &'static str,
    act: LockAction,
    shared: bool,
    of_transaction: bool,
    signature: Signature,
}

impl ScalarUDFImpl for AdvisoryFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.act {
            LockAction::Acquire | LockAction::ReleaseAll => DataType::Utf8,
            LockAction::Attempt | LockAction::Release => DataType::Boolean,
        })
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        // Texts are literals and parameters without a type, which are read as numbers.
        let may_be_number = |field: &FieldRef| {
            field.data_type().is_integer() || matches!(field.data_type(), DataType::Utf8 | DataType::Null)
        };
        if !args.arg_fields.iter().all(may_be_number) {
            let text = format!("function {} does not take such arguments", self.name);
            return Err(external(Error::new(ErrorCode::UndefinedFunction, text)));
        }
        let field = Field::new(self.name, self.return_type(&[])?, true);
        Ok(Arc::new(match self.act {
            LockAction::Acquire | LockAction::ReleaseAll => {
                field.with_metadata([(PG_TYPE_KEY.to_owned(), "void".to_owned())].into())
            }
            LockAction::Attempt | LockAction::Release => field,
        }))
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        exec_err!("{} waits asynchronously", self.name)
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for AdvisoryFunction {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(LocksInConfig(locks)) = args.config_options.extensions.get::<LocksInConfig>() else {
            let error = Error::new(ErrorCode::FeatureNotSupported, format!("{} is not supported here", self.name));
            return Err(external(error));
        };
        let number = if args.args.len() == 2 { DataType::Int32 } else { DataType::Int64 };
        let options = CastOptions { safe: false, ..CastOptions::default() };
        let array = |arg: &ColumnarValue| Ok(cast_with_options(&arg.to_array(args.number_rows)?, &number, &options)?);
        let arrays = args.args.iter().map(array).collect::<Result<Vec<_>>>()?;
        let mode = LockMode { shared: self.shared, of_transaction: self.of_transaction };
        let mut answers = Vec::with_capacity(args.number_rows);
        for row in 0..args.number_rows {
            if self.act == LockAction::ReleaseAll {
                locks.release_all();
                answers.push(Some(true));
                continue;
            }
            // NULL locks nothing.
            let Some(key) = key(&arrays, row)? else {
                answers.push(None);
                continue;
            };
            answers.push(Some(match self.act {
                LockAction::Acquire => {
                    locks.acquire(key, mode).await.map_err(external)?;
                    true
                }
                LockAction::Attempt => locks.attempt(key, mode).map_err(external)?,
                LockAction::Release | LockAction::ReleaseAll => locks.release(key, self.shared),
            }));
        }
        let array: ArrayRef = match self.act {
            LockAction::Acquire | LockAction::ReleaseAll => {
                Arc::new(answers.iter().map(|answer| answer.map(|_| "")).collect::<StringArray>())
            }
            LockAction::Attempt | LockAction::Release => Arc::new(BooleanArray::from(answers)),
        };
        Ok(ColumnarValue::Array(array))
    }
}

fn key(arrays: &[ArrayRef], row: usize) -> Result<Option<LockKey>> {
    if arrays.iter().any(|array| array.is_null(row)) {
        return Ok(None);
    }
    match arrays {
        [one] => Ok(Some(LockKey::One(one.as_primitive::<Int64Type>().value(row)))),
        [first, second] => {
            let number = |array: &ArrayRef| array.as_primitive::<Int32Type>().value(row);
            Ok(Some(LockKey::Two(number(first), number(second))))
        }
        _ => exec_err!("one or two numbers are needed"),
    }
}

fn external(error: Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
