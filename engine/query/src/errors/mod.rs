//! DataFusion and Arrow errors in our closed codes. Their texts may quote values and hidden names, so none is passed on as
//! it is: each known kind gets a text of ours, and the rest is internal. The codes and their SQLSTATEs: `engine/types/src/code.rs`.

#![cfg_attr(not(test), warn(clippy::wildcard_enum_match_arm))]

mod engine_types;
mod words;

use crate::errors::words::known;
use arrow::error::ArrowError;
use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use querygate_query_api::own_names::{is_ambiguous, output_name, with_output_names};
use querygate_resources::memory::out_of_memory;
use querygate_semantics::invalid_pattern;
use querygate_types::{Error, ErrorCode};

/// Where the error arose: names in planning are the user's own, values in execution are data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Binding: texts are about what the user wrote.
    Plan,
    /// Optimizing and physical planning: texts are about plans, which are ours.
    Optimize,
    Execute,
}

/// Translates an error of the engine.
pub(crate) fn translate(error: &DataFusionError, stage: Stage) -> Error {
    let told = translated(error, stage);
    match stage {
        Stage::Plan | Stage::Optimize => in_output_names(told),
        // No name is in what is said of values, and a value may hold what marks names.
        Stage::Execute => told,
    }
}

/// An error that tells of names, with those that the client knows.
pub(crate) fn in_output_names(error: Error) -> Error {
    error.reworded(with_output_names)
}

fn translated(error: &DataFusionError, stage: Stage) -> Error {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => translated(inner, stage),
        DataFusionError::Shared(inner) => translated(inner, stage),
        DataFusionError::Collection(errors) => match errors.first() {
            Some(first) => translated(first, stage),
            None => Error::internal("an empty collection of errors"),
        },
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => match inner.downcast_ref::<DataFusionError>() {
                Some(nested) => translated(nested, stage),
                None => match inner.downcast_ref::<ArrowError>() {
                    Some(arrow) => translate_arrow(arrow),
                    None if inner.to_string().starts_with("regex parse error") => invalid_pattern(&inner.to_string()),
                    None => Error::internal(inner),
                },
            },
        },
        DataFusionError::ArrowError(inner, _) => translate_arrow(inner),
        DataFusionError::SQL(inner, _) => Error::new(ErrorCode::SyntaxError, "syntax error").with_cause(inner),
        DataFusionError::NotImplemented(text) => not_supported(text),
        DataFusionError::Plan(text) => plan_error(text, stage),
        DataFusionError::SchemaError(inner, _) => schema_error(inner),
        DataFusionError::ResourcesExhausted(text) => out_of_memory(text),
        DataFusionError::Execution(text) => execution_error(text),
        DataFusionError::ExecutionJoin(join) => {
            let text = join.to_string();
            panic_of_arrays(&text).unwrap_or_else(|| Error::internal(text))
        }
        DataFusionError::Configuration(text) | DataFusionError::Internal(text) | DataFusionError::Substrait(text) => {
            internal_or_known(text)
        }
        DataFusionError::IoError(inner) => io_error(inner),
        DataFusionError::ParquetError(inner) => source_error(inner),
        DataFusionError::ObjectStore(inner) => source_error(inner),
        DataFusionError::Ffi(text) => Error::internal(text),
    }
}

/// The panic of an array that grew too large: arrays of texts and lists count their bytes and items in 32 bits, and panic beyond.
/// `None`: another one.
pub(crate) fn panic_of_arrays(text: &str) -> Option<Error> {
    let message = "an array or a column of texts is larger than 2 GiB";
    text.contains("offset overflow").then(|| Error::new(ErrorCode::ProgramLimitExceeded, message))
}

/// Translates an error of a part that a worker runs.
#[must_use]
pub fn translate_part(error: &DataFusionError) -> Error {
    translate(error, Stage::Execute)
}

fn io_error(error: &std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return Error::new(ErrorCode::DiskFull, "no space left for temporary files").with_cause(error);
    }
    source_error(error)
}

fn source_error(error: &impl std::fmt::Display) -> Error {
    Error::new(ErrorCode::SourceError, "a source failed while it was read").with_cause(error)
}

fn schema_error(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let table = field.relation.as_ref().map(|r| r.table());
            let is_table = |name| valid_fields.iter().any(|f| f.relation.as_ref().is_some_and(|r| r.table() == name));
            match table {
                Some(table) if !is_table(table) => missing_table(table),
                _ if is_ambiguous(&field.name, of_table(table, valid_fields)) => ambiguous_column(&field.name),
                table => undefined_column(&field.name, table),
            }
        }
        SchemaError::AmbiguousReference { field } => ambiguous_column(&field.name),
        SchemaError::DuplicateQualifiedField { qualifier, .. } => Error::new(
            ErrorCode::DuplicateAlias,
            format!("table name \"{}\" specified more than once", qualifier.table()),
        ),
        SchemaError::DuplicateUnqualifiedField { name } => {
            Error::new(ErrorCode::AmbiguousColumn, format!("column \"{name}\" specified more than once"))
        }
    }
}

fn ambiguous_column(name: &str) -> Error {
    Error::new(ErrorCode::AmbiguousColumn, format!("column reference \"{name}\" is ambiguous"))
}

/// Names of the columns that a name may mean: those of one table, or all.
fn of_table<'a>(table: Option<&'a str>, fields: &'a [Column]) -> impl Iterator<Item = &'a str> {
    let is_meant =
        move |field: &&Column| table.is_none_or(|table| field.relation.as_ref().is_some_and(|r| r.table() == table));
    fields.iter().filter(is_meant).map(|field| field.name.as_str())
}

/// Same text for a hidden column and for one that never was.
pub(crate) fn undefined_column(name: &str, table: Option<&str>) -> Error {
    let name = table.map_or_else(|| format!("\"{name}\""), |t| format!("{}.{name}", output_name(t)));
    Error::new(ErrorCode::UndefinedColumn, format!("column {name} does not exist"))
}

/// A qualifier that no table of the statement has.
fn missing_table(name: &str) -> Error {
    let name = output_name(name);
    Error::new(ErrorCode::UndefinedTable, format!("missing FROM-clause entry for table \"{name}\""))
}

/// Same text for a hidden relation and for one that never was.
pub(crate) fn undefined_table(name: &str) -> Error {
    Error::new(ErrorCode::UndefinedTable, format!("relation \"{name}\" does not exist"))
}

fn translate_arrow(error: &ArrowError) -> Error {
    match error {
        ArrowError::DivideByZero => Error::new(ErrorCode::DivisionByZero, "division by zero"),
        ArrowError::ArithmeticOverflow(_) => out_of_range(),
        ArrowError::CastError(text) | ArrowError::ParseError(text) => cast_error(text),
        ArrowError::ComputeError(text) => execution_error(text),
        ArrowError::InvalidArgumentError(text) => execution_error(text),
        ArrowError::MemoryError(text) => out_of_memory(text),
        ArrowError::ExternalError(inner) => match inner.downcast_ref::<Error>() {
            Some(ours) => ours.clone(),
            None => match inner.downcast_ref::<DataFusionError>() {
                Some(nested) => translated(nested, Stage::Execute),
                None => source_error(inner),
            },
        },
        ArrowError::NotYetImplemented(text) => not_supported(text),
        ArrowError::IoError(_, inner) => io_error(inner),
        ArrowError::CsvError(text)
        | ArrowError::JsonError(text)
        | ArrowError::AvroError(text)
        | ArrowError::IpcError(text)
        | ArrowError::ParquetError(text) => source_error(text),
        ArrowError::SchemaError(_)
        | ArrowError::CDataInterface(_)
        | ArrowError::DictionaryKeyOverflowError
        | ArrowError::RunEndIndexOverflowError
        | ArrowError::OffsetOverflowError(_) => Error::internal(error),
    }
}

pub(crate) fn out_of_range() -> Error {
    Error::new(ErrorCode::NumericOutOfRange, "value is out of range")
}

/// With PostgreSQL's name of an integer type: the library's text ends with its own, and begins with the value, which is data.
fn beyond_its_type(text: &str) -> Error {
    let target = text.rsplit_once("to type ").or_else(|| text.rsplit_once("out of range "));
    let name = match target.map(|(_, target)| target) {
        Some("Int16") => "smallint",
        Some("Int32") => "integer",
        Some("Int64") => "bigint",
        Some(_) | None => return out_of_range(),
    };
    Error::new(ErrorCode::NumericOutOfRange, format!("{name} out of range"))
}

/// The library's text ends with "to value of Int32 type" and begins with the value, which is data.
fn cast_error(text: &str) -> Error {
    if text.contains("overflow")
        || text.contains("out of range")
        || text.contains("too large")
        || text.contains("Can't cast value")
    {
        return beyond_its_type(text).with_cause("cast out of range");
    }
    let target = text.rsplit_once("to value of ").map(|(_, t)| t.trim_end_matches(" type").to_owned());
    match target.as_deref() {
        Some(t) if t.starts_with("Timestamp") || t.starts_with("Date") || t.starts_with("Time") => {
            Error::new(ErrorCode::InvalidDatetimeFormat, format!("invalid input syntax for type {}", type_word(t)))
        }
        Some(t) => {
            Error::new(ErrorCode::InvalidTextRepresentation, format!("invalid input syntax for type {}", type_word(t)))
        }
        None if text.contains("imestamp") || text.contains("date") => {
            Error::new(ErrorCode::InvalidDatetimeFormat, "invalid input syntax for a date or time type")
        }
        None => Error::new(ErrorCode::InvalidTextRepresentation, "invalid input syntax for the target type"),
    }
}

fn type_word(arrow: &str) -> &'static str {
    match arrow.split('(').next().unwrap_or_default() {
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" => "bigint",
        "Float16" | "Float32" => "real",
        "Float64" => "double precision",
        "Boolean" => "boolean",
        "Date32" | "Date64" => "date",
        "Timestamp" => "timestamp",
        "Time32" | "Time64" => "time",
        "Interval" => "interval",
        "UInt64" | "Decimal32" | "Decimal64" | "Decimal128" | "Decimal256" => "numeric",
        _ => "the target type",
    }
}

/// Planning errors name only what the user wrote and may see.
fn plan_error(text: &str, stage: Stage) -> Error {
    if stage == Stage::Execute {
        return execution_error(text);
    }
    if let Some(name) = text.strip_prefix("table '").and_then(|t| t.split_once("' not found")).map(|(n, _)| n) {
        return undefined_table(short_name(name));
    }
    if let Some(rest) = text.strip_prefix("Invalid function '") {
        let name = rest.split('\'').next().unwrap_or_default();
        return Error::new(ErrorCode::UndefinedFunction, format!("function {name} does not exist"));
    }
    if let Some(error) = known(text) {
        return error.with_cause(text);
    }
    match stage {
        Stage::Plan => Error::new(ErrorCode::SyntaxError, lower_first(&first_line(text))),
        Stage::Optimize | Stage::Execute => Error::internal(text),
    }
}

fn not_supported(text: &str) -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "feature is not supported").with_cause(text)
}

/// Execution texts may quote data: only the kind of failure is shown.
fn execution_error(text: &str) -> Error {
    let lower = text.to_lowercase();
    if lower.contains("divide by zero") || lower.contains("division by zero") {
        return Error::new(ErrorCode::DivisionByZero, "division by zero");
    }
    if lower.contains("overflow") || lower.contains("out of range") || lower.contains("too large to store") {
        return out_of_range();
    }
    if lower.contains("returned more than one row") || lower.contains("more than one row returned") {
        return Error::new(
            ErrorCode::CardinalityViolation,
            "more than one row returned by a subquery used as an expression",
        );
    }
    if lower.contains("negative count not allowed") {
        return Error::new(ErrorCode::NegativeSubstringLength, "negative substring length not allowed");
    }
    if lower.contains("regular expression") || lower.contains("regex") {
        return Error::new(ErrorCode::InvalidRegularExpression, "invalid regular expression").with_cause(text);
    }
    if lower.contains("cannot cast") || lower.contains("error parsing") || lower.contains("cast error") {
        return cast_error(text);
    }
    if lower.contains("cancel") {
        return Error::new(ErrorCode::QueryCanceled, "canceling statement due to user request");
    }
    Error::new(ErrorCode::DataException, "an expression could not be evaluated").with_cause(text)
}

fn internal_or_known(text: &str) -> Error {
    if text.contains("Incompatible inputs for Union") {
        return Error::new(ErrorCode::DatatypeMismatch, "UNION types cannot be matched").with_cause(text);
    }
    if text.contains("Expected LIMIT to be an integer") {
        return Error::new(ErrorCode::DatatypeMismatch, "argument of LIMIT must be type bigint").with_cause(text);
    }
    if text.contains("Physical plan does not support logical expression") {
        return Error::new(ErrorCode::FeatureNotSupported, "a subquery at this place is not supported")
            .with_cause(text);
    }
    Error::internal(text)
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(300).collect()
}

fn lower_first(text: &str) -> String {
    let mut chars = text.trim_end_matches('.').chars();
    chars.next().map_or_else(String::new, |c| c.to_lowercase().collect::<String>() + chars.as_str())
}

/// `catalog.public.t` → `t`, `catalog.other.t` → `other.t`. A name that was looked up in the search path has a schema that
/// begins with NUL.
fn short_name(name: &str) -> &str {
    let parts: Vec<&str> = name.splitn(3, '.').collect();
    match parts.as_slice() {
        [_, schema, table] if *schema == "public" || schema.starts_with('\0') => table,
        [catalog, _, _] => name.strip_prefix(catalog).map_or(name, |rest| rest.trim_start_matches('.')),
        _ => name,
    }
}

#[cfg(test)]
mod tests;
