//! Settings are a closed list, and each takes what it accepts.

use super::*;
use crate::books::checks::WHOLE;

#[test]
fn values_are_kept_in_canonical_form() {
    let mut settings = Settings::default().for_operator(true);
    for (name, value, kept) in [
        ("STATEMENT_TIMEOUT", "1500", "1500ms"),
        ("statement_timeout", "60000", "1min"),
        ("timezone", "utc", "UTC"),
        ("TimeZone", "Europe/Zurich", "Europe/Zurich"),
        ("datestyle", "ISO", "ISO, MDY"),
        ("client_encoding", "'utf-8'", "UTF8"),
        ("extra_float_digits", "3", "3"),
        ("querygate.require_pushdown", "true", "on"),
        ("querygate.verify_sample", " 0.25", "0.25"),
        ("default_transaction_read_only", "true", "on"),
        ("intervalstyle", "ISO_8601", "iso_8601"),
        ("Work_Mem", "65536", "64MB"),
        ("random_page_cost", "1.1", "1.1"),
        ("enable_seqscan", "false", "off"),
        ("transform_null_equals", "off", "off"),
    ] {
        assert_eq!(settings.set(name, value).map(|(_, v, _)| v).unwrap(), kept, "{name}");
    }
    assert_eq!(settings.timeout(), Some(Duration::from_secs(60)));
    assert_eq!(settings.check_share(), WHOLE / 4);
}

#[test]
fn times_end_where_postgres_ends_them() {
    let mut settings = Settings::default();
    let most = settings.set("statement_timeout", "2147483647").map(|(_, shown, _)| shown);
    assert_eq!(most.unwrap(), "2147483647ms");
    for value in ["2147483648", "25d", "597h"] {
        let error = settings.set("statement_timeout", value).unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidParameterValue, "{value}");
        assert!(error.message().ends_with("for parameter \"statement_timeout\" (0 .. 2147483647)"), "{error}");
    }
    assert!(settings.set("statement_timeout", "99999999999999999999").is_err());
    assert_eq!(settings.timeout(), Some(Duration::from_millis(2_147_483_647)));
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let mut settings = Settings::default();
    assert!(Settings::check("search_path", &"s".repeat(TEXT_BYTES_MAX)).is_ok());
    assert!(Settings::check("search_path", &"s".repeat(TEXT_BYTES_MAX + 1)).is_err());
    for (name, value, code) in [
        ("no_such_thing", "1", ErrorCode::UndefinedObject),
        ("client_encoding", "LATIN1", ErrorCode::InvalidParameterValue),
        ("querygate.verify_sample", "1.1", ErrorCode::InvalidParameterValue),
        ("querygate.verify_sample", "nan", ErrorCode::InvalidParameterValue),
        ("datestyle", "German", ErrorCode::InvalidParameterValue),
        ("datestyle", "ISO, DMY", ErrorCode::InvalidParameterValue),
        ("server_version", "16", ErrorCode::CantChangeRuntimeParam),
        ("row_security", "off", ErrorCode::InvalidParameterValue),
        ("transaction_read_only", "off", ErrorCode::InvalidParameterValue),
        ("extra_float_digits", "9", ErrorCode::InvalidParameterValue),
        ("TimeZone", "Mars/Olympus", ErrorCode::InvalidParameterValue),
        ("IntervalStyle", "sql_standard", ErrorCode::InvalidParameterValue),
        ("transform_null_equals", "on", ErrorCode::InvalidParameterValue),
        ("session_replication_role", "replica", ErrorCode::InsufficientPrivilege),
        ("max_connections", "5", ErrorCode::CantChangeRuntimeParam),
        ("work_mem", "much", ErrorCode::InvalidParameterValue),
    ] {
        assert_eq!(settings.set(name, value).unwrap_err().code(), code, "{name}");
    }
}

/// What waits for locks is bounded by `statement_timeout` alone.
#[test]
fn a_bound_that_is_not_kept_is_not_taken() {
    let mut settings = Settings::default();
    for none in ["0", "0ms", "0s"] {
        assert_eq!(settings.set("lock_timeout", none).map(|(_, shown, _)| shown).unwrap(), "0", "{none}");
    }
    for value in ["1s", "250"] {
        let error = settings.set("lock_timeout", value).unwrap_err();
        assert_eq!(error.code(), ErrorCode::FeatureNotSupported, "{value}");
        assert!(error.hint().is_some_and(|hint| hint.contains("statement_timeout")), "{error}");
    }
    assert_eq!(settings.set("lock_timeout", "soon").unwrap_err().code(), ErrorCode::InvalidParameterValue);
    assert_eq!(settings.get("lock_timeout").unwrap(), "0");
}

#[test]
fn a_transaction_has_the_sessions_level_unless_it_has_its_own() {
    let mut settings = Settings::default();
    assert_eq!(settings.get("transaction_isolation").unwrap(), "read committed");
    settings.set("default_transaction_isolation", "SERIALIZABLE").unwrap();
    assert_eq!(settings.get("transaction_isolation").unwrap(), "serializable");
    settings.set("transaction_isolation", "repeatable read").unwrap();
    assert_eq!(settings.get("transaction_isolation").unwrap(), "repeatable read");
    assert_eq!(settings.get("default_transaction_isolation").unwrap(), "serializable");
}

#[test]
fn reset_goes_back_to_the_start_value() {
    let mut settings = Settings::default();
    settings.startup("application_name", "psql").unwrap();
    settings.set("application_name", "other").unwrap();
    assert_eq!(settings.reset("application_name").unwrap().1, "psql");
}

#[test]
fn clients_have_settings_of_their_own() {
    let mut settings = Settings::default();
    let get = |settings: &Settings, name: &str| settings.get(name).map_err(|error| error.code());
    assert_eq!(get(&settings, "my.thing"), Err(ErrorCode::UndefinedObject));
    settings.set("My.Thing", "a").unwrap();
    assert_eq!(get(&settings, "my.THING"), Ok("a".to_owned()));
    assert_eq!(settings.canonical("MY.thing").unwrap(), "my.thing");
    let before = settings.clone();
    settings.set("my.other", "b").unwrap();
    settings.back_to(before);
    assert_eq!(get(&settings, "my.other"), Ok(String::new()), "it is known from then on, as in PostgreSQL");
    settings.startup("my.start", "s").unwrap();
    settings.set("my.start", "t").unwrap();
    settings.reset_all();
    assert_eq!((get(&settings, "my.start"), get(&settings, "my.thing")), (Ok("s".to_owned()), Ok(String::new())));
    assert_eq!(settings.reset("my.new").map(|(name, value, _)| (name.into_owned(), value)).unwrap().1, "");
    for name in ["nodot", "my.", ".x", "my..x", "my.1x", "my.a-b", "querygate.mine"] {
        assert_eq!(settings.set(name, "x").unwrap_err().code(), ErrorCode::UndefinedObject, "{name}");
        assert!(Settings::check(name, "x").is_err() && !Settings::is_custom(name), "{name}");
    }
    assert_eq!(settings.set("my.long", &"x".repeat(65_536)).unwrap_err().code(), ErrorCode::ProgramLimitExceeded);
    let many = (0..300).find_map(|at| settings.set(&format!("my.n{at}"), "x").err());
    assert_eq!(many.map(|error| error.code()), Some(ErrorCode::ProgramLimitExceeded));
    assert!(settings.set("my.thing", "again").is_ok(), "one that is there is set anew");
}
