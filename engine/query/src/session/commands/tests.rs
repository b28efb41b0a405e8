//! Tests of commands of a session: settings, prepared statements by SQL, DISCARD.

use crate::testing::{Yard, options};
use querygate_query_api::outcome::Effect;
use querygate_query_api::service::Door;
use querygate_types::limits;
use querygate_types::principal::Principal;

/// PostgreSQL, SET: unknown settings are 42704, impossible values 22023, settings of the server 55P02.
#[test]
fn settings_are_known_and_their_values_checked() {
    let owner = Yard::new().owner();
    for (sql, code) in [
        ("SET nothing = 1", "42704"),
        ("SHOW nothing", "42704"),
        ("RESET nothing", "42704"),
        ("SET statement_timeout = 'soon'", "22023"),
        ("SET statement_timeout = -1", "22023"),
        ("SET TimeZone = 'Mars/North'", "22023"),
        ("SET client_encoding = 'LATIN9'", "22023"),
        ("SET server_version = '9'", "55P02"),
    ] {
        assert_eq!(owner.code(sql), code, "{sql}");
    }
    owner.says(&[
        ("SET TIME ZONE 'Europe/Zurich'", "SET"),
        ("SHOW TimeZone", "Europe/Zurich"),
        ("SET statement_timeout TO '1500ms'", "SET"),
        ("SHOW statement_timeout", "1500ms"),
        ("SET statement_timeout = DEFAULT", "SET"),
        ("SHOW statement_timeout", "0"),
        ("SET application_name TO 'one', 'two'", "SET"),
    ]);
}

/// PostgreSQL reports settings that clients follow (ParameterStatus), when they change.
#[test]
fn settings_that_clients_follow_are_reported() {
    let owner = Yard::new().owner();
    owner.run("SET application_name = 'me'; SET statement_timeout = '5s'");
    let reported: Vec<String> = owner
        .session
        .take_effects()
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::ParameterStatus { name, value } => Some(format!("{name}={value}")),
            Effect::Notice(_) => None,
        })
        .collect();
    assert_eq!(reported, ["application_name=me"]);
    let names: Vec<String> = owner.session.reported_settings().into_iter().map(|(name, _)| name).collect();
    for name in [
        "server_version",
        "client_encoding",
        "TimeZone",
        "DateStyle",
        "standard_conforming_strings",
        "integer_datetimes",
    ] {
        assert!(names.iter().any(|own| own == name), "{name}: {names:?}");
    }
}

/// PostgreSQL, PREPARE and EXECUTE.
#[test]
fn statements_are_prepared_by_name() {
    let yard = Yard::new();
    let owner = yard.owner();
    owner.says(&[
        ("PREPARE p (text) AS SELECT title FROM jobs WHERE id = $1", "PREPARE"),
        ("EXECUTE p('j1')", "roof"),
        ("EXECUTE p('j' || 2)", "wall"),
        ("EXECUTE p(NULL)", ""),
        ("PREPARE w AS UPDATE jobs SET hours = $1 WHERE id = $2 RETURNING hours", "PREPARE"),
        ("EXECUTE w(2 + 2, 'j1')", "4.0"),
        ("DEALLOCATE p", "DEALLOCATE"),
        ("PREPARE r (int, date) AS SELECT $1, $2", "PREPARE"),
        ("EXECUTE r('7', '2024-02-03')", "7|2024-02-03"),
        ("EXECUTE r(1.6, timestamp '2024-02-03 10:00')", "2|2024-02-03"),
    ]);
    for (sql, code) in [
        ("EXECUTE r(true, NULL)", "42804"),
        ("EXECUTE r(1, 2)", "42804"),
        ("EXECUTE r('a', NULL)", "22P02"),
        ("EXECUTE r(1, 'later')", "22007"),
        ("EXECUTE p('j1')", "26000"),
        ("DEALLOCATE p", "26000"),
        ("EXECUTE w(1)", "42601"),
        ("EXECUTE w(1, 'j1', 2)", "42601"),
        ("EXECUTE w('many', 'j1')", "22P02"),
        ("PREPARE w AS SELECT 1", "42P05"),
        ("PREPARE q (nothing) AS SELECT $1", "42704"),
    ] {
        assert_eq!(owner.code(sql), code, "{sql}");
    }
    owner.says(&[("DEALLOCATE ALL", "DEALLOCATE ALL"), ("PREPARE w AS SELECT 1", "PREPARE")]);
    let mut gone = owner.session.take_deallocated();
    gone.sort();
    assert_eq!(gone, ["p", "r", "w"], "the door forgets them, too");
}

/// PostgreSQL, `pg_prepared_statements`: those of the session that have a name.
#[test]
fn prepared_statements_are_listed() {
    let yard = Yard::new();
    let owner = yard.owner();
    let listed = "SELECT name || ': ' || statement FROM pg_prepared_statements WHERE from_sql ORDER BY 1";
    owner.says(&[
        (listed, ""),
        ("PREPARE p (int) AS SELECT $1", "PREPARE"),
        ("PREPARE r AS SELECT 1", "PREPARE"),
        (listed, "p: PREPARE p (int) AS SELECT $1; r: PREPARE r AS SELECT 1"),
        ("SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'p'", "1"),
        ("SELECT count(*) FROM pg_prepared_statements WHERE prepare_time <= now()", "2"),
        ("DEALLOCATE p", "DEALLOCATE"),
        (listed, "r: PREPARE r AS SELECT 1"),
    ]);
    let prepared = owner.prepare("SELECT 2").unwrap();
    owner.session.statement_named("of_protocol", Some(&prepared));
    owner.says(&[
        ("SELECT name FROM pg_prepared_statements WHERE NOT from_sql", "of_protocol"),
        ("SELECT statement FROM pg_prepared_statements WHERE name = 'of_protocol'", "SELECT 2"),
    ]);
    assert_eq!(yard.owner().run("SELECT count(*) FROM pg_prepared_statements"), "0", "others' are not shown");
}

/// Words for the present take the digits of a second, as PostgreSQL's grammar has them, and no other argument.
#[test]
fn words_for_the_present_take_digits_alone() {
    let owner = Yard::new().owner();
    for word in ["current_time", "current_timestamp", "localtime", "localtimestamp"] {
        assert_eq!(owner.run(&format!("SELECT count({word}), count({word}(3))")), "1|1", "{word}");
        assert!(owner.prepare(&format!("SELECT {word}($1::text)")).is_err(), "{word}");
    }
}

/// `ssl` says whether the session's own connection is encrypted.
#[test]
fn a_session_knows_that_it_is_encrypted() {
    let owner = Yard::new().owner();
    assert_eq!(owner.run("SHOW ssl"), "off");
    owner.session.connected_by_tls();
    owner.says(&[
        ("SHOW ssl", "on"),
        ("RESET ALL", "RESET"),
        ("SELECT count(*) FROM pg_stat_ssl WHERE ssl", "1"),
        ("SELECT current_setting('ssl')", "on"),
    ]);
    assert_eq!(owner.code("SET ssl = off"), "55P02");
}

/// Each is held in memory: as many as a session may have, and not more.
#[test]
fn prepared_statements_are_bounded() {
    let owner = Yard::new().owner();
    let long = format!("PREPARE big AS SELECT '{}'", "x".repeat(limits::PREPARED_BYTES_MAX.min(1 << 20)));
    let code = owner.code(&long);
    assert!(["00000", "54000", "54001"].contains(&code.as_str()), "{code}");
    for number in 0..20 {
        assert_eq!(owner.run(&format!("PREPARE p{number} AS SELECT {number}")), "PREPARE");
    }
    assert_eq!(owner.run("EXECUTE p19"), "19");
}

/// PostgreSQL, DISCARD ALL: settings, statements and cursors are those of a new session; not in a transaction.
#[test]
fn discard_makes_a_session_new() {
    let owner = Yard::new().owner();
    owner.says(&[
        ("SET application_name = 'me'", "SET"),
        ("PREPARE p AS SELECT 1", "PREPARE"),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DECLARE CURSOR"),
        ("DISCARD PLANS", "DISCARD PLANS"),
        ("EXECUTE p", "1"),
        ("DISCARD ALL", "DISCARD ALL"),
        ("SHOW application_name", ""),
    ]);
    assert_eq!((owner.code("EXECUTE p"), owner.code("FETCH c")), ("26000".to_owned(), "34000".to_owned()));
    assert_eq!(owner.code("BEGIN; DISCARD ALL"), "25001");
}

/// A startup packet gives settings their first value, to which RESET goes back; a wrong one refuses the session.
#[test]
fn a_session_begins_with_the_settings_of_its_client() {
    let yard = Yard::with(options());
    let olga = || Principal::builder("olga").permission_set("yard_owner").build();
    let settings = [("application_name", "psql"), ("TimeZone", "Asia/Tokyo")];
    let seat = yard.open(olga(), Door::Postgres, &settings).unwrap();
    seat.says(&[
        ("SHOW TimeZone", "Asia/Tokyo"),
        ("SET TimeZone = 'UTC'", "SET"),
        ("RESET ALL", "RESET"),
        ("SHOW TimeZone", "Asia/Tokyo"),
        ("SHOW application_name", "psql"),
    ]);
    let refused = yard.open(olga(), Door::Postgres, &[("TimeZone", "Mars/North")]).map(drop).unwrap_err();
    assert_eq!(refused.code().sqlstate(), "22023");
}

/// Cursors: rows in order, kept over COMMIT only WITH HOLD, moved without being read (PostgreSQL, DECLARE, FETCH, MOVE).
#[test]
fn cursors_are_read_piece_by_piece() {
    let owner = Yard::new().owner();
    assert_eq!(owner.code("DECLARE c CURSOR FOR SELECT 1"), "25P01", "outside of a transaction");
    owner.says(&[
        ("BEGIN", "BEGIN"),
        ("DECLARE c CURSOR FOR SELECT id FROM jobs ORDER BY id", "DECLARE CURSOR"),
        ("DECLARE h CURSOR WITH HOLD FOR SELECT id FROM notes ORDER BY id", "DECLARE CURSOR"),
        ("FETCH c", "j1"),
        ("MOVE c", "MOVE 1"),
        ("FETCH 5 FROM c", "j3"),
        ("FETCH c", ""),
        ("FETCH h", "n1"),
        ("COMMIT", "COMMIT"),
        ("FETCH ALL h", "n2; n3"),
        ("CLOSE h", "CLOSE CURSOR"),
    ]);
    assert_eq!((owner.code("FETCH c"), owner.code("CLOSE h")), ("34000".to_owned(), "34000".to_owned()));
}

/// What a session holds is seen by itself and by operators, and ends with the session, which an operator may end.
#[test]
fn what_is_held_is_seen_and_ended_by_operators() {
    let yard = Yard::new();
    let (owner, clerk) = (yard.owner(), yard.clerk());
    clerk.run("BEGIN");
    clerk.run("DECLARE c CURSOR FOR SELECT id FROM jobs");
    clerk.run("SELECT pg_advisory_xact_lock(7)");
    clerk.run("CREATE TEMPORARY TABLE t (n int)");
    let kinds = "SELECT kind, name, state FROM querygate.held WHERE bytes IS NULL ORDER BY 1, 2";
    let held = clerk.run(kinds);
    for line in ["advisory lock", "cursor", "temporary relation", "transaction"] {
        assert!(held.contains(line), "{held}");
    }
    assert!(!owner.run(kinds).contains("cursor"), "another user's");
    assert_eq!(owner.code("CALL querygate.end_session(1)"), "42501");
}

/// PostgreSQL, EXPLAIN: ANALYZE tells rows, loops and, unless TIMING is off, times of each node. Whom a policy binds hears no time.
#[test]
fn explain_analyze_tells_rows_and_times() {
    let yard = Yard::new();
    for (seat, is_timed) in [(yard.owner(), true), (yard.clerk(), false)] {
        let visible = seat.run("SELECT count(*) FROM jobs");
        for sql in ["SELECT id FROM jobs", "SELECT jobs.id FROM jobs CROSS JOIN generate_series(1, 1) AS one"] {
            let told = seat.run(&format!("EXPLAIN ANALYZE {sql}"));
            assert!(told.contains(&format!("(actual rows={visible} loops=1")), "{told}");
            // Beside a table of which no row is hidden, the time of that one is said.
            let is_timed = is_timed || sql.contains("JOIN");
            assert_eq!(told.contains(" time="), is_timed, "{told}");
            assert!(told.contains(&format!("; Rows: {visible}; Execution Time: ")), "{told}");
            let told = seat.run(&format!("EXPLAIN (ANALYZE, TIMING off, COSTS off, BUFFERS) {sql}"));
            assert!(told.contains(&format!("(actual rows={visible} loops=1)")) && !told.contains(" time="), "{told}");
            let told = seat.run(&format!("EXPLAIN (ANALYZE, FORMAT JSON) {sql}"));
            assert!(told.contains(&format!("\"Actual Rows\": {visible}")), "{told}");
            assert!(told.contains("\"Actual Loops\": 1"), "{told}");
            assert_eq!(told.contains("\"Actual Total Time\""), is_timed, "{told}");
            assert!(!seat.run(&format!("EXPLAIN {sql}")).contains("actual"), "{sql}");
        }
    }
}
