//! What is shown and recorded of changes: by EXPLAIN, by the system catalog and in the audit file.

use crate::servers::{Opened, ask, cells, client_of, prepared};
use crate::source::Kind;
use querygate_tests::server::{Server, runtime};
use serde_json::Value;
use std::path::Path;
use tokio_postgres::Client;

fn lines(client: &Client, sql: &str) -> Vec<String> {
    ask(client, sql).unwrap().into_iter().map(|row| row.into_iter().flatten().collect()).collect()
}

#[test]
fn explain_says_what_a_change_would_do_without_a_value() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let gate = Opened::new(kind);
        let (omar, olga) = (gate.client("omar"), gate.client("olga"));
        let sql = "EXPLAIN UPDATE ticket SET amount = 12.75, code = 'my code' WHERE title = 'my title'";
        let shown = lines(&omar, sql);
        assert_eq!(
            shown[..7],
            [
                "Update on ticket: source shop",
                "  Assigned: amount, code",
                "  Locked by: id",
                "  Target: row policies, before and after the change",
                "  Check: row policies, before and after the change",
                "  Rules: contracts of fields",
                "  Find:",
            ],
            "{kind:?} {shown:#?}"
        );
        assert!(shown.len() > 8, "{kind:?} {shown:#?}");
        let full = lines(&olga, sql).join("\n");
        assert!(full.contains("  Native lock: SELECT ") && full.contains("FOR UPDATE"), "{kind:?} {full}");
        assert!(full.contains("  Native change: UPDATE "), "{kind:?} {full}");
        for value in ["12.75", "my code", "my title", "eu"] {
            assert!(!full.contains(value) && !shown.join("\n").contains(value), "{kind:?} {value}: {full}");
        }
        assert!(!shown.join("\n").contains("SELECT"), "{kind:?} {shown:#?}");
        let insert = lines(&omar, "EXPLAIN INSERT INTO ticket (title, region) VALUES ('my title', 'eu')");
        assert_eq!(insert[..2], ["Insert on ticket: source shop", "  Assigned: title, region"], "{insert:#?}");
        assert!(!insert.iter().any(|line| line.contains("Locked by")), "{insert:#?}");
        let delete = lines(&omar, "EXPLAIN DELETE FROM ticket WHERE id = 1");
        assert_eq!(delete[..2], ["Delete on ticket: source shop", "  Locked by: id"], "{delete:#?}");
        assert_eq!(delete.last().unwrap(), "  Find: the row of the key, as it is locked", "{delete:#?}");
        for found in ["id = 1 AND title = 'my title'", "id IN (1, 2)", "id = 1 OR id = 2", "id > 1"] {
            let delete = lines(&omar, &format!("EXPLAIN DELETE FROM ticket WHERE {found}"));
            assert!(delete.contains(&"  Find:".to_owned()), "{delete:#?}");
        }
        let document = lines(&omar, "EXPLAIN (FORMAT JSON) DELETE FROM ticket WHERE title = 'my title'").concat();
        assert!(!document.contains("my title"), "{document}");
        let document: Value = serde_json::from_str(&document).unwrap();
        let plan = &document[0]["Plan"];
        assert_eq!((&plan["Node Type"], &plan["Operation"]), (&"ModifyTable".into(), &"Delete".into()), "{plan}");
        assert_eq!((&plan["Relation Name"], &plan["Source"]), (&"ticket".into(), &"shop".into()), "{plan}");
        assert!(plan["Plans"][0]["Node Type"].is_string(), "{plan}");
        let parameter = "EXPLAIN UPDATE ticket SET title = $1 WHERE id = $2";
        let rows = runtime().block_on(olga.query(parameter, &[&"my title", &1_i64])).unwrap();
        assert!(rows.iter().all(|row| !row.get::<_, &str>(0).contains("my title")));
        for (refused, code) in [
            ("EXPLAIN ANALYZE DELETE FROM ticket", "0A000"),
            ("EXPLAIN DELETE FROM keyless", "0A000"),
            ("EXPLAIN UPDATE nothing SET a = 1", "42P01"),
            ("EXPLAIN UPDATE ticket SET nothing = 1", "42703"),
        ] {
            assert_eq!(ask(&omar, refused).unwrap_err().0, code, "{refused}");
        }
        assert_eq!(gate.source.stored("SELECT title FROM ticket"), ["hidden"]);
    }
}

const RIGHTS: &str = "SELECT has_table_privilege('ticket', 'INSERT'), has_table_privilege('ticket', 'UPDATE, DELETE'),
    has_table_privilege('ticket', 'TRUNCATE'), has_table_privilege('keyless', 'INSERT'),
    has_column_privilege('ticket', 'title', 'UPDATE'), has_column_privilege('ticket', 'id', 'INSERT'),
    has_any_column_privilege('keyless', 'UPDATE'), has_table_privilege('keyless', 'SELECT')";

#[test]
fn the_system_catalog_says_what_may_be_changed() {
    let (folder, _source) = prepared(Kind::Postgres);
    let file = folder.path().join("querygate.toml");
    let server = Server::serve(&file);
    let omar = client_of(&server, "omar");
    assert_eq!(ask(&omar, RIGHTS).unwrap(), [cells(&["t", "t", "f", "f", "t", "t", "f", "t"])]);
    let tables = "SELECT table_name, is_insertable_into FROM information_schema.tables
        WHERE table_schema = 'public' ORDER BY table_name";
    let expected = [["customer", "YES"], ["keyless", "NO"], ["ticket", "YES"]].map(|row| cells(&row));
    assert_eq!(ask(&omar, tables).unwrap(), expected);
    let columns = "SELECT column_name, is_updatable FROM information_schema.columns
        WHERE table_name = 'ticket' AND column_name IN ('id', 'title', 'amount') ORDER BY column_name";
    assert_eq!(
        ask(&omar, columns).unwrap(),
        [["amount", "YES"], ["id", "NO"], ["title", "YES"]].map(|row| cells(&row))
    );
    let rights = "SELECT table_name, string_agg(privilege_type, ' ' ORDER BY privilege_type) FROM
        information_schema.table_privileges WHERE table_schema = 'public' AND grantee = 'omar' GROUP BY 1 ORDER BY 1";
    let all = "DELETE INSERT SELECT UPDATE";
    assert_eq!(
        ask(&omar, rights).unwrap(),
        [["customer", all], ["keyless", "SELECT"], ["ticket", all]].map(|row| cells(&row))
    );
    let of_columns = "SELECT string_agg(privilege_type, ' ' ORDER BY privilege_type) FROM
        information_schema.column_privileges WHERE table_name = 'ticket' AND column_name = 'title'";
    assert_eq!(ask(&omar, of_columns).unwrap(), [cells(&["INSERT SELECT UPDATE"])]);
    let kept = "SELECT relname, relacl::text FROM pg_class WHERE relname IN ('ticket', 'keyless') ORDER BY relname";
    let granted = |held: &str| format!("{{querygate=arwdDxt/querygate,omar={held}/querygate}}");
    let (less, more) = (granted("r"), granted("arwd"));
    assert_eq!(ask(&omar, kept).unwrap(), [cells(&["keyless", &less]), cells(&["ticket", &more])]);
    let modes = "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')";
    assert_eq!(ask(&omar, modes).unwrap(), [cells(&["f", "off"])]);
    drop(server);
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("enabled = true", "enabled = false")).unwrap();
    let server = Server::serve(&file);
    let omar = client_of(&server, "omar");
    assert_eq!(ask(&omar, RIGHTS).unwrap(), [cells(&["f", "f", "f", "f", "f", "f", "f", "t"])]);
    assert!(ask(&omar, tables).unwrap().iter().all(|row| row[1].as_deref() == Some("NO")));
    assert_eq!(ask(&omar, modes).unwrap(), [cells(&["f", "on"])]);
}

/// Lines of the audit file that speak of changes.
fn changes(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("audit.ndjson")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["change"].is_string()).collect()
}

#[test]
fn a_change_is_in_the_audit_file_before_it_is_stored() {
    let gate = Opened::new(Kind::Postgres);
    let omar = gate.client("omar");
    let recorded = |line: &Value| (line["change"].as_str().unwrap().to_owned(), line["query"].as_u64().unwrap());
    ask(&omar, "INSERT INTO ticket (id, title, region) VALUES (7, 'my title', 'eu'), (8, 'my title', 'eu')").unwrap();
    // The answer comes after both lines.
    let found = changes(gate.folder.path());
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!((recorded(&found[0]).0, recorded(&found[1]).0), ("begun".to_owned(), "committed".to_owned()));
    assert_eq!(recorded(&found[0]).1, recorded(&found[1]).1);
    assert_eq!(
        (&found[0]["object"], &found[0]["operation"], &found[0]["rows"], &found[0]["login"]),
        (&"ticket".into(), &"INSERT".into(), &2.into(), &"omar".into())
    );
    // What is refused, or changes nothing, is not begun.
    ask(&omar, "UPDATE ticket SET region = 'us'").unwrap_err();
    ask(&omar, "UPDATE ticket SET title = 'x' WHERE id = 1").unwrap();
    assert_eq!(changes(gate.folder.path()).len(), 2);
    let text = std::fs::read_to_string(gate.folder.path().join("audit.ndjson")).unwrap();
    assert!(!text.contains("my title"), "{text}");
}

#[test]
fn nothing_is_stored_that_cannot_be_audited() {
    for kind in [Kind::Postgres, Kind::MariaDb] {
        let (folder, source) = prepared(kind);
        let file = folder.path().join("querygate.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config.replace("audit.ndjson", "/dev/full")).unwrap();
        let server = Server::serve(&file);
        let omar = client_of(&server, "omar");
        for sql in [
            "INSERT INTO ticket (title, region) VALUES ('x', 'eu')",
            "INSERT INTO customer (name) VALUES ('x')",
            "UPDATE customer SET name = 'x'",
            "DELETE FROM customer WHERE id = 2",
        ] {
            assert_eq!(ask(&omar, sql).unwrap_err().0, "53100", "{kind:?} {sql}");
        }
        assert_eq!(source.stored("SELECT concat_ws('|', id, name) FROM customer ORDER BY id"), ["1|ann", "2|bob"]);
        assert_eq!(source.stored("SELECT count(*) FROM ticket"), ["1"]);
        assert_eq!(ask(&omar, "SELECT count(*) FROM customer").unwrap(), [cells(&["2"])]);
    }
}
