//! Tests of how COPY FROM is read.

use super::*;
use crate::sql::classify::Classified;
use crate::sql::parse::parse;

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
