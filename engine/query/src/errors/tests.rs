//! Tests of translation: what a client sees of a failure has a code of PostgreSQL's and no word of data, of hidden names or of plans.

use super::*;
use datafusion::common::{Column, TableReference};
use querygate_resources::memory::Owner;
use std::sync::Arc;

/// What an operator of the library quotes: a value of somebody's row, and a name that is hidden from the client.
const VALUE: &str = "4111-1111-1111-1111";

fn assert_silent(error: &Error, what: &str) {
    for shown in [Some(error.message()), error.detail(), error.hint()].into_iter().flatten() {
        assert!(!shown.contains(VALUE), "{what}: {shown}");
    }
}

/// Texts of execution are about data: they become one of few texts of ours, whatever they quote.
#[test]
fn texts_of_execution_are_not_passed_on() {
    for (text, code) in [
        (format!("Divide by zero error: {VALUE}"), "22012"),
        (format!("Arithmetic overflow: Overflow happened on: {VALUE} + 1"), "22003"),
        (format!("{VALUE} is too large to store in a Decimal128 of precision 5"), "22003"),
        (format!("Correlated subquery returned more than one row: {VALUE}"), "21000"),
        (format!("negative count not allowed: {VALUE}"), "22011"),
        (format!("Regular expression did not compile: {VALUE}"), "2201B"),
        (format!("Cannot cast string '{VALUE}' to value of Int32 type"), "22P02"),
        (format!("Cannot cast string '{VALUE}' to value of Date32 type"), "22007"),
        (format!("Error parsing timestamp from '{VALUE}': error"), "22007"),
        (format!("the query was cancelled at {VALUE}"), "57014"),
        (format!("something new happened to {VALUE}"), "22000"),
    ] {
        for stage in [Stage::Execute, Stage::Optimize, Stage::Plan] {
            let error = translate(&DataFusionError::Execution(text.clone()), stage);
            assert_eq!(error.code().sqlstate(), code, "{text}");
            assert_silent(&error, &text);
        }
        assert_eq!(translate(&DataFusionError::Plan(text.clone()), Stage::Execute).code().sqlstate(), code, "{text}");
    }
}

/// PostgreSQL, "integer out of range": the type is said where it is one that it says so of, and the value never.
#[test]
fn a_cast_beyond_an_integers_range_names_its_type() {
    for (text, message) in [
        ("Can't cast value 99999999999 to type Int32", "integer out of range"),
        ("Can't cast value 40000 to type Int16", "smallint out of range"),
        ("Can't cast value 1e20 to type Int64", "bigint out of range"),
        ("value of 99999999999 is out of range Int32", "integer out of range"),
        ("Can't cast value 300 to type UInt8", "value is out of range"),
        ("4111 is too large to store in a Decimal128 of precision 2. Max is 0.99", "value is out of range"),
    ] {
        let error = DataFusionError::ArrowError(Box::new(ArrowError::CastError(text.to_owned())), None);
        let error = translate(&error, Stage::Execute);
        assert_eq!((error.code().sqlstate(), error.message()), ("22003", message), "{text}");
    }
}

/// What only the engine knows is an internal error: a fixed text for the client, the cause for operators.
#[test]
fn what_is_the_engines_own_is_internal() {
    let text = || format!("a plan of {VALUE}");
    for error in [
        DataFusionError::Internal(text()),
        DataFusionError::Configuration(text()),
        DataFusionError::Substrait(text()),
        DataFusionError::Ffi(text()),
        DataFusionError::External(text().into()),
        DataFusionError::ArrowError(Box::new(ArrowError::SchemaError(text())), None),
        DataFusionError::ArrowError(Box::new(ArrowError::CDataInterface(text())), None),
    ] {
        let told = translate(&error, Stage::Execute);
        assert_eq!(told.code(), ErrorCode::Internal, "{error}");
        assert_silent(&told, &error.to_string());
    }
    // While a plan is made, texts are about plans, which are ours.
    let told = translate(&DataFusionError::Plan(text()), Stage::Optimize);
    assert_eq!(told.code(), ErrorCode::Internal);
    assert_silent(&told, "optimize");
}

/// An error of ours is found in whatever it was wrapped, and stays as it is.
#[test]
fn our_own_errors_stay_as_they_are() {
    let own = || Error::new(ErrorCode::InsufficientPrivilege, "no").with_detail("why").with_hint("how");
    let external = || DataFusionError::External(Box::new(own()));
    let wrapped = [
        external(),
        DataFusionError::Context("while it ran".to_owned(), Box::new(external())),
        DataFusionError::Shared(Arc::new(external())),
        DataFusionError::External(Box::new(external())),
        DataFusionError::Collection(vec![external(), DataFusionError::Internal("later".to_owned())]),
        DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(own()))), None),
        DataFusionError::ArrowError(Box::new(ArrowError::ExternalError(Box::new(external()))), None),
        DataFusionError::External(Box::new(ArrowError::ExternalError(Box::new(own())))),
    ];
    for error in wrapped {
        let found = translate(&error, Stage::Execute);
        assert_eq!(
            (found.code(), found.message(), found.detail(), found.hint()),
            (ErrorCode::InsufficientPrivilege, "no", Some("why"), Some("how")),
            "{error:?}"
        );
    }
}

/// Under IS NULL, what is wrong with a call is found only when its plan is made.
#[test]
fn calls_that_do_not_fit_are_told_apart_from_faults() {
    for (text, message) in [
        ("Function 'abs' expects 1 arguments but received 3", "function abs does not exist for these argument types"),
        ("array_has does not support type Utf8", "function array_has does not exist for these argument types"),
    ] {
        let error = translate(&DataFusionError::Plan(text.to_owned()), Stage::Optimize);
        assert_eq!((error.code(), error.message()), (ErrorCode::UndefinedFunction, message));
    }
}

/// A hidden relation, column or qualifier has the text of one that never was.
#[test]
fn names_that_are_not_there_have_one_text() {
    let plan = |text: &str| translate(&DataFusionError::Plan(text.to_owned()), Stage::Plan);
    for (text, code, message) in [
        ("table 'yard.public.wages' not found", "42P01", "relation \"wages\" does not exist"),
        ("table 'yard.pg_catalog.wages' not found", "42P01", "relation \"pg_catalog.wages\" does not exist"),
        ("table 'yard.\0path.wages' not found", "42P01", "relation \"wages\" does not exist"),
        ("Invalid function 'nothing'.\nDid you mean 'something'?", "42883", "function nothing does not exist"),
    ] {
        let error = plan(text);
        assert_eq!((error.code().sqlstate(), error.message()), (code, message), "{text}");
    }
    let column = |relation: Option<&str>| Column {
        relation: relation.map(TableReference::bare),
        name: "pay".to_owned(),
        spans: Default::default(),
    };
    let missing = |field: Column, valid: Vec<Column>| {
        let error = SchemaError::FieldNotFound { field: Box::new(field), valid_fields: valid };
        translate(&DataFusionError::SchemaError(Box::new(error), Box::new(None)), Stage::Plan)
    };
    let other = Column { name: "secret_other".to_owned(), ..column(Some("wages")) };
    let bare = missing(column(None), vec![other.clone()]);
    assert_eq!((bare.code().sqlstate(), bare.message()), ("42703", "column \"pay\" does not exist"));
    let qualified = missing(column(Some("wages")), vec![other.clone()]);
    assert_eq!((qualified.code().sqlstate(), qualified.message()), ("42703", "column wages.pay does not exist"));
    let unknown = missing(column(Some("other")), vec![other]);
    assert_eq!(
        (unknown.code().sqlstate(), unknown.message()),
        ("42P01", "missing FROM-clause entry for table \"other\"")
    );
    for error in [bare, qualified, unknown] {
        assert!(error.hint().is_none() && !error.message().contains("secret_other"), "no other column is suggested");
    }
}

/// Columns that a client sees under one name have different ones, and tables that it names may have another one.
#[test]
fn no_mark_of_the_engines_own_names_is_shown() {
    let column = Column::new(Some(TableReference::bare("t\u{1}1")), "card\u{1}2");
    let of_schema = |error: SchemaError| DataFusionError::SchemaError(Box::new(error), Box::new(None));
    let ours = || Error::new(ErrorCode::DatatypeMismatch, "\"card\u{1}1\" is no number").with_detail("of card\u{1}1");
    for (error, code, message) in [
        (
            of_schema(SchemaError::AmbiguousReference { field: Box::new(column.clone()) }),
            "42702",
            "column reference \"card\" is ambiguous",
        ),
        (
            of_schema(SchemaError::FieldNotFound { field: Box::new(column.clone()), valid_fields: vec![column] }),
            "42703",
            "column t.card does not exist",
        ),
        (
            DataFusionError::Plan("column \"card\u{1}1\" must appear in the GROUP BY clause".to_owned()),
            "42803",
            "column \"card\" must appear in the GROUP BY clause or be used in an aggregate function",
        ),
        (DataFusionError::Plan(r#"No "card\u{1}12" here"#.to_owned()), "42601", r#"no "card" here"#),
        (DataFusionError::Plan(r#"No "card\x012" here"#.to_owned()), "42601", r#"no "card" here"#),
        (DataFusionError::External(Box::new(ours())), "42804", "\"card\" is no number"),
    ] {
        let told = translate(&error, Stage::Plan);
        assert_eq!((told.code().sqlstate(), told.message()), (code, message), "{error:?}");
        assert_eq!(told.detail().unwrap_or("of card"), "of card", "{error:?}");
    }
    // A value may hold what marks names.
    let value = Error::new(ErrorCode::InvalidTextRepresentation, "\"a\u{1}1\"");
    assert_eq!(translate(&DataFusionError::External(Box::new(value)), Stage::Execute).message(), "\"a\u{1}1\"");
}

/// PostgreSQL, "Error Codes": memory 53200, disk 53100, features 0A000, sources 58000 and their kind.
#[test]
fn shortages_have_codes_of_their_own() {
    let full = std::io::Error::new(std::io::ErrorKind::StorageFull, VALUE);
    let gone = std::io::Error::new(std::io::ErrorKind::NotFound, VALUE);
    for (error, code) in [
        (DataFusionError::ResourcesExhausted(format!("no memory for {VALUE}")), "53200"),
        (DataFusionError::ResourcesExhausted(format!("spill limit of the disk manager {VALUE}")), "53100"),
        (DataFusionError::IoError(full), "53100"),
        (DataFusionError::NotImplemented(VALUE.to_owned()), "0A000"),
        (DataFusionError::ArrowError(Box::new(ArrowError::MemoryError(VALUE.to_owned())), None), "53200"),
        (DataFusionError::ArrowError(Box::new(ArrowError::DivideByZero), None), "22012"),
        (DataFusionError::ArrowError(Box::new(ArrowError::ArithmeticOverflow(VALUE.to_owned())), None), "22003"),
        (DataFusionError::ArrowError(Box::new(ArrowError::NotYetImplemented(VALUE.to_owned())), None), "0A000"),
    ] {
        let told = translate(&error, Stage::Execute);
        assert_eq!(told.code().sqlstate(), code, "{error}");
        assert_silent(&told, code);
    }
    for error in [
        DataFusionError::IoError(gone),
        DataFusionError::ArrowError(Box::new(ArrowError::CsvError(VALUE.to_owned())), None),
    ] {
        let told = translate(&error, Stage::Execute);
        assert_eq!(told.code(), ErrorCode::SourceError);
        assert_silent(&told, "source");
    }
}

/// Whose account was full is said by the pool's text; each has a way out of its own.
#[test]
fn a_full_account_says_whose_it_is() {
    let owners = [Owner::Statement, Owner::Cursors, Owner::Session, Owner::User, Owner::Gate];
    let mut details = std::collections::HashSet::new();
    for owner in owners {
        let text = format!("Failed to allocate additional 1 MB for {VALUE}: {} is full", owner.mark());
        let error = translate(&DataFusionError::ResourcesExhausted(text), Stage::Execute);
        assert_eq!(error.code(), ErrorCode::OutOfMemory, "{owner:?}");
        assert_silent(&error, owner.mark());
        assert!(error.hint().is_some() && details.insert(error.detail().unwrap().to_owned()), "{owner:?}");
    }
}
