//! The engine's planning errors in Postgres' words: what they say of functions, operators and columns, without its own names
//! of types. Knows texts only.

use crate::errors::engine_types::{fields, split_types, split_words, type_name};
use querygate_types::{Error, ErrorCode};

const FUNCTION_HINT: &str =
    "No function matches the given name and argument types. You might need to add explicit type casts.";
const OPERATOR_HINT: &str =
    "No operator matches the given name and argument types. You might need to add explicit type casts.";

/// Functions that stand for expressions of one type.
const CONSTRUCTS: &[(&str, &str)] =
    &[("make_array", "ARRAY"), ("coalesce", "COALESCE"), ("greatest", "GREATEST"), ("least", "LEAST")];

/// Texts that say one thing whatever follows.
const FIXED: &[(&str, ErrorCode, &str)] = &[
    ("LIMIT must be", ErrorCode::InvalidLimit, "LIMIT must not be negative"),
    ("OFFSET must be", ErrorCode::InvalidOffset, "OFFSET must not be negative"),
    (
        "ggregate functions are not allowed in the WHERE clause",
        ErrorCode::GroupingError,
        "aggregate functions are not allowed in WHERE",
    ),
    ("ggregate function calls cannot be nested", ErrorCode::GroupingError, "aggregate function calls cannot be nested"),
    (
        "For SELECT DISTINCT, ORDER BY expressions",
        ErrorCode::InvalidColumnReference,
        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
    ),
    (
        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
        ErrorCode::InvalidColumnReference,
        "SELECT DISTINCT ON expressions must match initial ORDER BY expressions",
    ),
    ("error occurred while coerc", ErrorCode::DatatypeMismatch, "argument types do not fit"),
    ("WITH query name", ErrorCode::DuplicateAlias, "WITH query name specified more than once"),
    (
        "Projections require unique expression names",
        ErrorCode::DuplicateAlias,
        "output column names must be unique here",
    ),
    (
        "Physical plan does not support logical expression",
        ErrorCode::FeatureNotSupported,
        "a subquery at this place is not supported",
    ),
    (
        "Correlated scalar subquery must be aggregated",
        ErrorCode::FeatureNotSupported,
        "a subquery at this place is not supported",
    ),
    ("InSubquery should only return one column", ErrorCode::SyntaxError, "subquery has too many columns"),
    (
        "Correlated scalar subquery can only be used in",
        ErrorCode::FeatureNotSupported,
        "a subquery at this place is not supported",
    ),
    (
        "Cannot infer common argument type for comparison",
        ErrorCode::UndefinedFunction,
        "operator does not exist for these types",
    ),
    ("should only return one column", ErrorCode::SyntaxError, "subquery must return only one column"),
    ("Join condition must be boolean", ErrorCode::DatatypeMismatch, "argument of JOIN/ON must be type boolean"),
    ("filter with non-boolean predicate", ErrorCode::DatatypeMismatch, "argument of WHERE must be type boolean"),
    (
        "Invalid window frame: start bound",
        ErrorCode::WindowingError,
        "frame starting from following row cannot have preceding rows",
    ),
    (
        "Invalid window frame: frame offsets",
        ErrorCode::InvalidParameterValue,
        "frame offset must be an integer that is not negative",
    ),
    (
        "RANGE requires exactly one ORDER BY column",
        ErrorCode::WindowingError,
        "RANGE with offset PRECEDING/FOLLOWING requires exactly one ORDER BY column",
    ),
    (
        "is not in grouping columns",
        ErrorCode::GroupingError,
        "arguments to GROUPING must be grouping expressions of the associated query level",
    ),
    ("Inconsistent data length across values list", ErrorCode::SyntaxError, "VALUES lists must all be the same length"),
    ("Inconsistent metadata across values list", ErrorCode::DatatypeMismatch, "VALUES types cannot be matched"),
    (
        "queries have different number of columns",
        ErrorCode::SyntaxError,
        "each set operation query must have the same number of columns",
    ),
    (
        "only supports numeric, interval and timestamp",
        ErrorCode::UndefinedFunction,
        "operator does not exist for this type",
    ),
    (
        "There isn't a common type to coerce",
        ErrorCode::UndefinedFunction,
        "operator does not exist: a pattern needs text on both sides",
    ),
    (
        "in SetComparison",
        ErrorCode::UndefinedFunction,
        "operator does not exist: the types of ANY or ALL and its subquery do not fit",
    ),
    (
        "in InSubquery",
        ErrorCode::UndefinedFunction,
        "operator does not exist: the types of IN and its subquery do not fit",
    ),
    (
        "Conflicting types for id",
        ErrorCode::UndefinedFunction,
        "operator does not exist: a parameter stands beside values of types that do not fit",
    ),
    ("unnest() can only be applied to array", ErrorCode::UndefinedFunction, "function unnest needs an array"),
    (
        "should satisfy `0 < precision",
        ErrorCode::InvalidParameterValue,
        "numeric precision must be from 1 to 76, and its scale not larger",
    ),
    ("Incompatible inputs for Union", ErrorCode::DatatypeMismatch, "UNION types cannot be matched"),
    ("Expected LIMIT to be an integer", ErrorCode::DatatypeMismatch, "argument of LIMIT must be type bigint"),
    ("logical boolean operation", ErrorCode::DatatypeMismatch, "argument of AND or OR must be type boolean"),
    ("requires a boolean expression", ErrorCode::DatatypeMismatch, "argument must be type boolean"),
    (
        "only supports signed numeric, interval and timestamp",
        ErrorCode::UndefinedFunction,
        "operator does not exist for this type",
    ),
    (
        "Cannot automatically convert",
        ErrorCode::UndefinedFunction,
        "function or operator does not exist for these argument types",
    ),
    ("not found in struct", ErrorCode::UndefinedColumn, "column not found in data type record"),
    ("Failed to coerce arguments", ErrorCode::UndefinedFunction, "function does not exist for these argument types"),
];

/// The error for a planning text, if it is a known one.
pub(crate) fn known(text: &str) -> Option<Error> {
    if let Some(error) = function(text)
        .or_else(|| operator(text))
        .or_else(|| comparison(text))
        .or_else(|| branches(text))
        .or_else(|| rows_of_values(text))
        .or_else(|| grouping(text))
        .or_else(|| place(text))
        .or_else(|| unnamed(text))
        .or_else(|| unfit(text))
    {
        return Some(error);
    }
    FIXED.iter().find(|(part, ..)| text.contains(part)).map(|(_, code, message)| Error::new(*code, *message))
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(found, _)| found)
}

/// `… argument types 'upper(Int64)' …`.
fn function(text: &str) -> Option<Error> {
    let call = between(text, "argument types '", "'")
        .or_else(|| between(text, "signature '", "'").filter(|_| text.contains("Failed to coerce arguments")))?;
    let (name, types) = call.strip_suffix(')')?.split_once('(')?;
    // Functions of ours that stand for another one have a name of several words.
    let name = name.split(' ').next().unwrap_or(name);
    let types = split_types(types);
    // What PostgreSQL has its own grammar for is no function there.
    let construct = CONSTRUCTS.iter().find(|(function, _)| *function == name);
    if let (Some((_, construct)), Some((first, others))) = (construct, types.split_first())
        && let Some(other) = first_other(first, others)
    {
        return Some(unmatched(construct, first, &other));
    }
    let types: Vec<String> = types.into_iter().map(type_name).collect();
    let message = format!("function {name}({}) does not exist", types.join(", "));
    Some(Error::new(ErrorCode::UndefinedFunction, message).with_hint(FUNCTION_HINT))
}

/// `… arithmetic expression Int64 + Utf8 to valid types`, `… comparison operation Int64 = Boolean`; bitwise, string
/// concat, regex and temporal operations likewise.
fn operator(text: &str) -> Option<Error> {
    const KINDS: &[&str] = &[
        "comparison operation ",
        "bitwise operation ",
        "string concat operation ",
        "regex operation ",
        "temporal operation ",
    ];
    let expression = between(text, "arithmetic expression ", " to valid types").or_else(|| {
        let (_, rest) = KINDS.iter().find_map(|kind| text.split_once(kind))?;
        Some(before_cause(rest.lines().next().unwrap_or_default()))
    })?;
    let parts = split_words(expression);
    let (left, op, right) = match parts.as_slice() {
        [left, op, right] => (left, *op, right),
        // `IS TRUE` and its like are written so, too.
        [_, "IS", .., "Boolean"] => {
            return Some(Error::new(ErrorCode::DatatypeMismatch, "argument of IS must be type boolean"));
        }
        [left, "IS", .., "FROM", right] => (left, "=", right),
        _ => return None,
    };
    if let (Some(fields), Some(others)) = (fields(left), fields(right))
        && fields != others
    {
        return Some(Error::new(ErrorCode::SyntaxError, "unequal number of entries in row expressions"));
    }
    Some(no_operator(left, op, right))
}

fn no_operator(left: &str, op: &str, right: &str) -> Error {
    let message = format!("operator does not exist: {} {op} {}", type_name(left), type_name(right));
    Error::new(ErrorCode::UndefinedFunction, message).with_hint(OPERATOR_HINT)
}

/// `… types to compare Boolean with [Int64, Int64]`, `… coerce types Boolean and Int64 in BETWEEN`, `… coerce case (Boolean) and when
/// (Int64, Int64) to …`.
fn comparison(text: &str) -> Option<Error> {
    let listed = || Some(("=", between(text, "types to compare ", "]")?.split_once(" with [")?));
    let ranged = || Some((">=", between(text, "coerce types ", " in BETWEEN")?.split_once(" and ")?));
    let cases = || Some(("=", between(text, "coerce case (", ") to common types")?.split_once(") and when (")?));
    let (op, (left, others)) = listed().or_else(ranged).or_else(cases)?;
    let other = first_other(left, &split_types(others))?;
    Some(no_operator(left, op, &other))
}

/// `… coerce then (Int64, Boolean) and else (Utf8) to …`; of no ELSE it says None.
fn branches(text: &str) -> Option<Error> {
    let (then, otherwise) = between(text, "coerce then (", ") to common types")?.split_once(") and else (")?;
    // PostgreSQL begins with the last branch.
    let types: Vec<&str> = Some(otherwise).filter(|of| *of != "None").into_iter().chain(split_types(then)).collect();
    let (first, others) = types.split_first()?;
    Some(unmatched("CASE", first, &first_other(first, others)?))
}

/// `… data type across values list at row 1 column 0. Was Int64 but found Boolean`.
fn rows_of_values(text: &str) -> Option<Error> {
    let (_, found) = text.split_once("data type across values list")?;
    let (one, other) = found.split_once(". Was ")?.1.split_once(" but found ")?;
    Some(unmatched("VALUES", one, before_cause(other.lines().next().unwrap_or_default())))
}

/// The first type that is another one than `one`.
fn first_other(one: &str, types: &[&str]) -> Option<String> {
    types.iter().find(|other| **other != one && **other != "Null").map(|&other| other.to_owned())
}

fn unmatched(construct: &str, one: &str, other: &str) -> Error {
    let message = format!("{construct} types {} and {} cannot be matched", type_name(one), type_name(other));
    Error::new(ErrorCode::DatatypeMismatch, message)
}

/// What stands before a colon that is in no type.
fn before_cause(line: &str) -> &str {
    let mut depth = 0_i32;
    for (at, c) in line.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            ':' if depth == 0 && line[at..].starts_with(": ") => return &line[..at],
            _ => {}
        }
    }
    line
}

/// A window that no WINDOW clause defines, a qualifier of `*` that no table has.
fn unnamed(text: &str) -> Option<Error> {
    if let Some(name) = text.strip_prefix("Invalid qualifier ") {
        let message = format!("missing FROM-clause entry for table \"{name}\"");
        return Some(Error::new(ErrorCode::UndefinedTable, message));
    }
    let name = between(text, "The window ", " is not defined")?;
    Some(Error::new(ErrorCode::UndefinedObject, format!("window \"{name}\" does not exist")))
}

/// A call whose types are looked at only when its plan is made, as under IS NULL.
fn unfit(text: &str) -> Option<Error> {
    let of_type =
        || text.split_once(" does not support type ").map(|(name, _)| name).filter(|name| !name.contains(' '));
    let name = between(text, "Function '", "' expects ").or_else(of_type)?;
    let message = format!("function {name} does not exist for these argument types");
    Some(Error::new(ErrorCode::UndefinedFunction, message).with_hint(FUNCTION_HINT))
}

fn grouping(text: &str) -> Option<Error> {
    const MARKS: &[&str] = &[
        "must appear in the GROUP BY clause",
        "must be part of an aggregate function",
        "could not be resolved from available columns",
    ];
    if !MARKS.iter().any(|mark| text.contains(mark)) {
        return None;
    }
    let column = between(text, "column \"", "\" must");
    let subject = column.map_or_else(|| "column".to_owned(), |column| format!("column \"{column}\""));
    let message = format!("{subject} must appear in the GROUP BY clause or be used in an aggregate function");
    Some(Error::new(ErrorCode::GroupingError, message))
}

/// Positions in ORDER BY and GROUP BY, and the number of column names.
fn place(text: &str) -> Option<Error> {
    let error = |message| Some(Error::new(ErrorCode::InvalidColumnReference, message));
    if let Some(place) = between(text, "rder by column out of bounds, specified: ", ",") {
        return error(format!("ORDER BY position {place} is not in select list"));
    }
    if let Some(place) = between(text, "annot find column with position ", " in SELECT clause") {
        return error(format!("GROUP BY position {place} is not in select list"));
    }
    if let Some(have) = between(text, "ource table contains ", " columns but only ") {
        let given = between(text, "columns but only ", " names")?;
        return error(format!("table has {have} columns available but {given} columns specified"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, sqlstate: &str, message: &str) {
        let error = known(text).unwrap();
        assert_eq!((error.code().sqlstate(), error.message()), (sqlstate, message), "{text}");
    }

    #[test]
    fn absent_functions_and_operators_are_postgres_words() {
        check(
            "Execution error: Function 'sum' user-defined coercion failed with: Error during planning: No function matches the given name and argument types 'sum(Utf8)'.",
            "42883",
            "function sum(text) does not exist",
        );
        check(
            "No function matches the given name and argument types 'f(Decimal128(2, 1), Int64)'.",
            "42883",
            "function f(numeric, bigint) does not exist",
        );
        check(
            "Cannot coerce arithmetic expression Int64 + Utf8 to valid types",
            "42883",
            "operator does not exist: bigint + text",
        );
        check(
            "Cannot infer common argument type for comparison operation Int64 = Boolean",
            "42883",
            "operator does not exist: bigint = boolean",
        );
        check(
            "Cannot infer common argument type for comparison operation Int32 IS NOT DISTINCT FROM Date32",
            "42883",
            "operator does not exist: integer = date",
        );
        check(
            "Cannot infer common argument type for comparison operation Struct(\"c0\": Int64) = Struct(\"c0\": Utf8): why",
            "42883",
            "operator does not exist: record = record",
        );
        check(
            "Can not find compatible types to compare Boolean with [Null, Int32, Int32]",
            "42883",
            "operator does not exist: boolean = integer",
        );
        check(
            "Failed to coerce types Interval(MonthDayNano) and Decimal128(3, 1) in BETWEEN expression",
            "42883",
            "operator does not exist: interval >= numeric",
        );
        check(
            "Failed to coerce case (Boolean) and when (Boolean, Int64) to common types in CASE WHEN expression",
            "42883",
            "operator does not exist: boolean = bigint",
        );
        check(
            "There isn't a common type to coerce Int32 and Utf8 in LIKE expression",
            "42883",
            "operator does not exist: a pattern needs text on both sides",
        );
        check(
            "Cannot get result type for temporal operation Date32 * Int64: Invalid argument error: x",
            "42883",
            "operator does not exist: date * bigint",
        );
        check(
            "Cannot infer common type for bitwise operation Int64 << Utf8",
            "42883",
            "operator does not exist: bigint << text",
        );
    }

    #[test]
    fn types_that_do_not_match_are_postgres_words() {
        check(
            "Cannot infer common argument type for comparison operation Int32 IS DISTINCT FROM Boolean",
            "42804",
            "argument of IS must be type boolean",
        );
        check(
            "Failed to coerce then (Int64, Null) and else (Boolean) to common types in CASE WHEN expression",
            "42804",
            "CASE types boolean and bigint cannot be matched",
        );
        check(
            "Failed to coerce then (Int64, Boolean) and else (None) to common types in CASE WHEN expression",
            "42804",
            "CASE types bigint and boolean cannot be matched",
        );
        check(
            "No function matches the given name and argument types 'coalesce(Int64, Int64, Boolean)'.",
            "42804",
            "COALESCE types bigint and boolean cannot be matched",
        );
        check(
            "Inconsistent data type across values list at row 1 column 0. Was Int64 but found Boolean",
            "42804",
            "VALUES types bigint and boolean cannot be matched",
        );
        check("Inconsistent metadata across values list at row 1", "42804", "VALUES types cannot be matched");
        check("Join condition must be boolean type, but got Utf8", "42804", "argument of JOIN/ON must be type boolean");
    }

    #[test]
    fn faults_of_clauses_are_postgres_words() {
        check(
            "Column in SELECT must be in GROUP BY or an aggregate function: While expanding wildcard, column \"a.id\" must appear in the GROUP BY clause or must be part of an aggregate function, currently only \"a.name\"",
            "42803",
            "column \"a.id\" must appear in the GROUP BY clause or be used in an aggregate function",
        );
        check(
            "Order by column out of bounds, specified: 2, max: 1",
            "42P10",
            "ORDER BY position 2 is not in select list",
        );
        check(
            "Source table contains 1 columns but only 2 names given as column alias",
            "42P10",
            "table has 1 columns available but 2 columns specified",
        );
        check(
            "Cannot infer common argument type for comparison operation Struct(\"c0\": Int64, \"c1\": List(Utf8)) > Struct(\"c0\": Int64)",
            "42601",
            "unequal number of entries in row expressions",
        );
        check(
            "Invalid window frame: start bound (1 FOLLOWING) cannot be larger than end bound (2 PRECEDING)",
            "42P20",
            "frame starting from following row cannot have preceding rows",
        );
        check("The window w is not defined!", "42704", "window \"w\" does not exist");
    }

    #[test]
    fn other_errors_keep_their_words() {
        assert!(known("something else").is_none());
    }
}
