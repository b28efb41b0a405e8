//! Tests of how COPY FROM is read.

use super::*;
use crate::sql::classify::Classified;
use crate::sql::parse::parse;
use querygate_query_api::outcome::{CopyOptions, ForceQuote};

fn read(sql: &str) -> Result<CopyFrom> {
    let mut statements = parse(sql)?;
    let parsed = statements.remove(0);
    let Classified::CopyIn(copy) = parsed.class() else { panic!("{sql}") };
    Ok(copy.as_ref().clone())
}

#[test]
fn both_spellings_say_the_same() {
    let csv = CopyInOptions {
        format: CopyFormat::Csv,
        header: CopyHeader::Skip,
        delimiter: b';',
        null: "-".to_owned(),
        default: None,
        quote: b'\'',
        escape: b'\\',
        on_error: OnError::Stop,
        log_verbosity: LogVerbosity::Default,
    };
    for sql in [
        "COPY t (a, b) FROM STDIN (FORMAT csv, HEADER, DELIMITER ';', NULL '-', QUOTE '''', ESCAPE '\\', FORCE_NULL (a))",
        "copy t (a, b) from stdin with csv header delimiter as ';' null '-' quote '''' escape as '\\' force null a;",
    ] {
        let copy = read(sql).unwrap();
        assert_eq!(copy.options, csv, "{sql}");
        assert_eq!(copy.force_null, Forced::These(vec![Ident::new("a")]));
        assert_eq!(copy.to_string(), "COPY t (a, b) FROM STDIN");
    }
    let text = read("COPY public.t FROM STDIN").unwrap().options;
    assert_eq!((text.format, text.delimiter, text.null.as_str()), (CopyFormat::Text, b'\t', "\\N"));
    assert_eq!(read("COPY BINARY t FROM STDIN").unwrap().options.format, CopyFormat::Binary);
    let some = read("COPY t FROM STDIN (FORMAT CSV, HEADER match, ON_ERROR ignore, FORCE_NOT_NULL *)").unwrap();
    assert_eq!((some.options.header, some.options.on_error), (CopyHeader::Match, OnError::Ignore));
    assert_eq!(some.force_not_null, Forced::All);
}

#[test]
fn statements_behind_it_are_statements() {
    let texts: Vec<String> =
        parse("COPY t FROM STDIN; SELECT 1").unwrap().iter().map(|parsed| parsed.shared_text().to_string()).collect();
    assert_eq!(texts, ["COPY t FROM STDIN", "SELECT 1"]);
}

#[test]
fn what_does_not_fit_is_refused() {
    for (sql, code) in [
        ("COPY t FROM '/etc/passwd'", ErrorCode::FeatureNotSupported),
        ("COPY t FROM PROGRAM 'ls'", ErrorCode::FeatureNotSupported),
        ("COPY t FROM STDIN (FORMAT xml)", ErrorCode::InvalidParameterValue),
        ("COPY t FROM STDIN (QUOTE 'x')", ErrorCode::FeatureNotSupported),
        ("COPY t FROM STDIN (FORMAT binary, NULL '')", ErrorCode::SyntaxError),
        ("COPY t FROM STDIN (FORMAT binary, ON_ERROR ignore)", ErrorCode::SyntaxError),
        ("COPY t FROM STDIN (DELIMITER 'ab')", ErrorCode::FeatureNotSupported),
        ("COPY t FROM STDIN (DELIMITER 'a')", ErrorCode::InvalidParameterValue),
        ("COPY t FROM STDIN (FORMAT csv, DELIMITER '\"')", ErrorCode::InvalidParameterValue),
        ("COPY t FROM STDIN (FORMAT csv, FORMAT csv)", ErrorCode::SyntaxError),
        ("COPY t FROM STDIN csv csv", ErrorCode::SyntaxError),
        ("COPY t FROM STDIN (ENCODING 'latin1')", ErrorCode::FeatureNotSupported),
        ("COPY t FROM STDIN (FREEZE)", ErrorCode::FeatureNotSupported),
        ("COPY t FROM STDIN (LOG_VERBOSITY loud)", ErrorCode::InvalidParameterValue),
        ("COPY t FROM STDIN (DEFAULT '\\N')", ErrorCode::InvalidParameterValue),
        ("COPY t FROM STDIN (FORMAT csv, DEFAULT 'a,b')", ErrorCode::InvalidParameterValue),
        ("COPY t FROM STDIN (FORMAT binary, DEFAULT 'd')", ErrorCode::SyntaxError),
        ("COPY t FROM STDIN (SPEED 9)", ErrorCode::SyntaxError),
        ("COPY t FROM STDIN WHERE a > 1", ErrorCode::FeatureNotSupported),
        ("COPY t FROM STDIN nonsense", ErrorCode::SyntaxError),
        ("COPY (SELECT 1) FROM STDIN", ErrorCode::SyntaxError),
    ] {
        assert_eq!(read(sql).map(|_| ()).unwrap_err().code(), code, "{sql}");
    }
}

fn read_out(sql: &str) -> Result<(CopyOptions, Forced)> {
    let mut statements = parse(sql)?;
    let parsed = statements.remove(0);
    let Classified::CopyOut { options, force_quote, .. } = parsed.class() else { panic!("{sql}") };
    Ok((options.clone(), force_quote.clone()))
}

#[test]
fn rows_for_the_client_have_the_same_options_and_quotes() {
    let csv = CopyOptions {
        format: CopyFormat::Csv,
        header: true,
        delimiter: b';',
        null: "-".to_owned(),
        quote: b'\'',
        escape: b'\\',
        force_quote: ForceQuote::These(Vec::new()),
    };
    for sql in [
        "COPY t (a, b) TO STDOUT (FORMAT csv, HEADER, DELIMITER ';', NULL '-', QUOTE '''', ESCAPE '\\', FORCE_QUOTE (a, \"B\"))",
        "copy (select a, \"B\" from t) to stdout with csv header delimiter as ';' null '-' quote '''' escape as '\\' force quote a, \"B\";",
    ] {
        let (options, force_quote) = read_out(sql).unwrap();
        assert_eq!(options, csv, "{sql}");
        assert_eq!(force_quote, Forced::These(vec![Ident::new("a"), Ident::with_quote('"', "B")]), "{sql}");
        assert_eq!(quoted(&force_quote, &["x", "B", "a"]).unwrap(), ForceQuote::These(vec![2, 1]));
        assert_eq!(quoted(&force_quote, &["a", "b"]).unwrap_err().message(), "column \"B\" does not exist");
    }
    for sql in ["COPY t TO STDOUT (FORMAT csv, FORCE_QUOTE *)", "COPY t TO STDIN CSV FORCE QUOTE *"] {
        assert_eq!(read_out(sql).unwrap().1, Forced::All, "{sql}");
    }
    assert_eq!(read_out("COPY t TO STDOUT (ENCODING 'utf-8')").unwrap().0.format, CopyFormat::Text);
    assert_eq!(read_out("COPY BINARY t TO STDOUT").unwrap().0.format, CopyFormat::Binary);
}

#[test]
fn what_rows_for_the_client_cannot_have_is_refused() {
    for (sql, code, text) in [
        ("COPY t TO STDOUT (NOSUCH 1)", ErrorCode::SyntaxError, "option \"nosuch\" not recognized"),
        ("COPY t TO STDOUT (FORCE_QUOTE *)", ErrorCode::FeatureNotSupported, "COPY FORCE_QUOTE requires CSV mode"),
        (
            "COPY t TO STDOUT (ENCODING 'latin1')",
            ErrorCode::FeatureNotSupported,
            "a COPY encoding other than UTF8 is not supported",
        ),
        (
            "COPY t TO STDOUT (FORMAT csv, FORCE_NULL *)",
            ErrorCode::FeatureNotSupported,
            "COPY FORCE_NULL cannot be used with COPY TO",
        ),
        (
            "COPY t TO STDOUT (HEADER match)",
            ErrorCode::FeatureNotSupported,
            "cannot use \"match\" with HEADER in COPY TO",
        ),
        (
            "COPY t FROM STDIN (FORMAT csv, FORCE_QUOTE *)",
            ErrorCode::FeatureNotSupported,
            "COPY FORCE_QUOTE cannot be used with COPY FROM",
        ),
        (
            "COPY t FROM STDIN csv force quote a",
            ErrorCode::FeatureNotSupported,
            "COPY FORCE_QUOTE cannot be used with COPY FROM",
        ),
        ("COPY t TO '/tmp/x'", ErrorCode::InsufficientPrivilege, "permission denied to COPY to a file or program"),
    ] {
        let error = parse(sql).map(|_| ()).unwrap_err();
        assert_eq!((error.code(), error.message()), (code, text), "{sql}");
    }
}
