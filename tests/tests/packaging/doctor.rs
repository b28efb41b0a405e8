//! `querygate doctor` and `querygate health` through the real binary: good and broken places to run, real servers, a gate that runs.

use super::{mariadb, mongo, postgres};
use querygate_tests::server::{Shop, binary, execute, runtime};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const STACK: &str = r#"{
  "manifest": {"id": "com.t", "namespace": "t", "version": "1.0.0", "type": "app", "name": "T"},
  "datasources": [{"name": "db", "label": "Rows", "driver": "sqlite", "config": {}, "schemaMode": "external"}],
  "objects": [
    {"name": "t_notes", "label": "Note", "datasource": "db", "sharingModel": "public_read",
     "external": {"remoteName": "notes"}, "fields": {"title": {"type": "text"}}},
    {"name": "t_pays", "label": "Pay", "datasource": "db", "sharingModel": "public_read",
     "external": {"remoteName": "pays"}, "fields": {"title": {"type": "text"}}}
  ],
  "permissions": [{"name": "t_reader", "label": "R", "objects": {"t_notes": {"allowRead": true}}}]
}"#;

/// Limits that every machine of tests can keep.
pub(super) const SMALL: &str = "[limits]\nmemory_total = \"64MB\"\nmemory_per_query = \"16MB\"\nspill_directory = \"spill\"\nspill_max = \"1MB\"\n\
                     [metadata]\npath = \"stack.json\"\n[[users]]\nname = \"nora\"\npermission_sets = [\"t_reader\"]\n\
                     verifier = \"SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$vFfkBVgLc5tmdfzKD8zBR4bCIyHRjXVSNvyl6sqFTP8=:R5K4HMfU3HzbYkFsYBK5mRmhYKTpI1zdTcDuYrKuk2k=\"\n";

/// A folder with metadata and a configuration, which others may not read.
pub(super) fn place(config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stack.json"), STACK).unwrap();
    private(&folder.path().join("querygate.toml"), config);
    folder
}

fn private(file: &Path, text: &str) {
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, Permissions::from_mode(0o600)).unwrap();
}

pub(super) fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(binary()).args(arguments).current_dir(folder).env("NO_COLOR", "1").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8_lossy(&text).into_owned())
}

/// Exit code and findings, as level, check, subject.
pub(super) fn doctor(folder: &Path) -> (i32, Value, BTreeSet<(String, String, String)>) {
    let (code, text) = run(folder, &["doctor", "--json"]);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap().to_owned();
    let findings = report["findings"].as_array().unwrap().iter();
    let found = findings.map(|one| (text(one, "level"), text(one, "check"), text(one, "subject"))).collect();
    (code, report, found)
}

pub(super) fn of_check(report: &Value, check: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter().filter(|one| one["check"] == check);
    findings.map(|one| format!("{} {}: {}", one["level"], one["subject"], one["what"]).replace('"', "")).collect()
}

#[test]
fn a_good_place_is_good() {
    let folder = place(&format!(
        "[server]\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nconnection_max = 10\n{SMALL}\
         [[sources]]\nname = \"db\"\nkind = \"sqlite\"\npath = \"db.sqlite\"\n"
    ));
    let sql =
        "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT); CREATE TABLE pays (id TEXT PRIMARY KEY, title TEXT);";
    execute(&folder.path().join("db.sqlite"), sql);
    let (code, report, _) = doctor(folder.path());
    assert_eq!((code, &report["level"]), (0, &Value::from("ok")), "{report:#}");
    let (code, text) = run(folder.path(), &["doctor"]);
    assert!(code == 0 && text.contains("querygate.toml: 0 problems, 0 warnings"), "{text}");
    let (code, text) = run(folder.path(), &["doctor", "--quiet"]);
    assert!(code == 0 && text.lines().count() == 1, "{text}");
}

/// A value that its column's type does not hold, in one row of many, is found with table and column, by `check` as well.
#[test]
fn a_value_that_cannot_be_read_is_found() {
    let folder = place(&format!(
        "[server]\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\nconnection_max = 10\n{SMALL}\
         [[sources]]\nname = \"db\"\nkind = \"sqlite\"\npath = \"db.sqlite\"\n"
    ));
    let stack = STACK.replacen(
        r#""title": {"type": "text"}"#,
        r#""title": {"type": "text"}, "amount": {"type": "number"}, "day": {"type": "date"}"#,
        1,
    );
    std::fs::write(folder.path().join("stack.json"), stack).unwrap();
    let sql = "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT, amount REAL, day TEXT); CREATE TABLE pays (id TEXT PRIMARY KEY, \
               title TEXT); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
               INSERT INTO notes SELECT 'n' || i, 'x', i, '2024-01-01' FROM n; INSERT INTO pays VALUES ('p', 'x');";
    execute(&folder.path().join("db.sqlite"), sql);
    let (code, report, _) = doctor(folder.path());
    assert_eq!((code, of_check(&report, "source.values").len()), (0, 1), "{report:#}");
    let (code, text) = run(folder.path(), &["check", "querygate.toml"]);
    assert!(code == 0 && text.contains("rows: the first 10000 of 2 tables were read"), "{text}");
    execute(&folder.path().join("db.sqlite"), "UPDATE notes SET day = 'never' WHERE id = 'n321'");
    let (code, report, _) = doctor(folder.path());
    let told = of_check(&report, "source.values");
    assert!(
        code == 1 && told.len() == 1 && told[0].starts_with("warning db: `day` of `t_notes` cannot be read"),
        "{report:#}"
    );
    let (code, text) = run(folder.path(), &["check", "querygate.toml"]);
    assert!(code == 0 && text.contains("warning: db: table t_notes column day cannot be read whole"), "{text}");
    let (code, text) = run(folder.path(), &["check", "--offline", "querygate.toml"]);
    assert!(code == 0 && !text.contains("rows:") && text.contains("0 warnings"), "{text}");
}

/// A certificate that ended yesterday, and its key. It has an extension: a certificate without any is of a version that is not taken.
fn ended_certificate(folder: &Path) {
    let made =
        "echo basicConstraints=critical,CA:FALSE >x.ext && openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x -keyout server.key -out x.csr &&
                openssl x509 -req -in x.csr -signkey server.key -extfile x.ext -days -1 -out server.pem";
    let output = Command::new("sh").args(["-c", made]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_broken_place_is_told_in_full_and_no_secret_is() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = place(&format!(
        "[server]\npostgres = \"{}\"\nhttp = \"192.0.2.1:80\"\nconnection_max = 1000000\n\
         tls_certificate = \"server.pem\"\ntls_key = \"server.key\"\n\
         [flight]\naddress = \"127.0.0.1:0\"\n[rest]\nlisten = \"0.0.0.0:0\"\n\
         [log]\naudit = \"file/audit.jsonl\"\n{}\
         [[sources]]\nname = \"db\"\nkind = \"sqlite\"\npath = \"db.sqlite\"\n\
         [[sources]]\nname = \"away\"\nkind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {closed}\nuser = \"u\"\ndatabase = \"d\"\n\
         password = \"file:password\"\n",
        taken.local_addr().unwrap(),
        SMALL.replace("64MB", "900TB")
    ));
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("password"), "hunter2-of-the-source").unwrap();
    std::fs::set_permissions(at("password"), Permissions::from_mode(0o644)).unwrap();
    std::fs::set_permissions(at("querygate.toml"), Permissions::from_mode(0o664)).unwrap();
    std::fs::write(at("file"), "").unwrap();
    execute(&at("db.sqlite"), "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT);");
    ended_certificate(folder.path());
    let (code, report, found) = doctor(folder.path());
    assert_eq!((code, &report["level"]), (2, &Value::from("problem")), "{report:#}");
    for (level, check, subject) in [
        ("warning", "configuration", "querygate.toml"),
        ("problem", "source.reachable", "away"),
        ("ok", "source.reachable", "db"),
        ("problem", "source.tables", "db"),
        ("problem", "door.port", "postgres"),
        ("problem", "door.port", "http"),
        ("problem", "door.certificate", "./server.pem"),
        ("warning", "door.encryption", "rest"),
        ("problem", "memory", "limits.memory_total"),
        ("problem", "disk.audit", "./file"),
        ("ok", "disk.spill", "./spill"),
        ("problem", "secret.permissions", "./password"),
        ("problem", "secret.permissions", "querygate.toml"),
        ("ok", "secret.permissions", "./server.key"),
    ] {
        let expected = (level.to_owned(), check.to_owned(), subject.to_owned());
        assert!(found.contains(&expected), "{expected:?} is not in {report:#}");
    }
    let advised = |one: &Value| one["level"] == "ok" || one["do"].is_string() || one["check"] == "configuration";
    assert!(report["findings"].as_array().unwrap().iter().all(advised), "{report:#}");
    let (code, text) = run(folder.path(), &["doctor", "-c", "querygate.toml"]);
    assert!(code == 2 && text.contains("do: ") && text.contains("`t_pays`"), "{text}");
    for printed in [text, report.to_string()] {
        assert!(!printed.contains("hunter2") && !printed.contains("PRIVATE KEY"), "{printed}");
    }
}

#[test]
fn a_configuration_with_mistakes_is_a_problem_by_itself() {
    let folder = place("[metadata]\npath = \"stack.json\"\n[server]\npostgers = \"off\"\n");
    let (code, report, _) = doctor(folder.path());
    let told = of_check(&report, "configuration");
    assert!(
        code == 2 && told.iter().any(|one| one.contains("querygate.toml:4:1") && one.contains("postgers")),
        "{told:?}"
    );
    let (code, text) = run(folder.path(), &["doctor", "-c", "nothing.toml"]);
    assert!(code == 2 && text.contains("there is no such file"), "{text}");
    let (code, text) = run(folder.path(), &["doctor", "--json", "--quiet"]);
    assert!(code == 2 && text.contains("cannot be used with"), "{text}");
}

#[test]
fn beside_a_gate_that_runs_its_ports_are_its_own() {
    let stack = STACK.replace("\"datasource\": \"db\"", "\"datasource\": \"shop\"");
    let rows =
        "CREATE TABLE notes (id TEXT PRIMARY KEY, title TEXT); CREATE TABLE pays (id TEXT PRIMARY KEY, title TEXT);";
    let shop = Shop::new(&stack, &[("nora", "permission_sets = [\"t_reader\"]")], rows);
    let http = shop.http().to_string();
    let nowhere = tempfile::tempdir().unwrap();
    let (code, text) = run(nowhere.path(), &["health", "--http", &http]);
    assert!(code == 0 && text.contains("\"status\":\"ready\""), "{text}");
    assert_eq!(run(nowhere.path(), &["health", "--http", &http, "--live"]).0, 0);
    let folder = place(&format!(
        "[server]\npostgres = \"127.0.0.1:0\"\nhttp = \"{http}\"\n{SMALL}[[sources]]\nname = \"db\"\nkind = \"memory\"\n"
    ));
    assert_eq!(run(folder.path(), &["health"]).0, 0);
    let ports = |folder: &Path| of_check(&doctor(folder).1, "door.port");
    let of_another = ports(folder.path());
    let other = format!("problem http: {http} is taken by a gate of another configuration, ");
    assert!(of_another.iter().any(|one| one.starts_with(&other)), "{of_another:?}");
    // Its own says where it serves.
    let own = shop.folder().join("querygate.toml");
    let config = std::fs::read_to_string(&own).unwrap();
    std::fs::write(&own, config.replace("http = \"127.0.0.1:0\"", &format!("http = \"{http}\""))).unwrap();
    let of_own = ports(shop.folder());
    let ours = format!("ok http: a gate serves on {http} (process ");
    assert!(of_own.iter().any(|one| one.starts_with(&ours)), "{of_own:?}");
    drop(shop);
    let (code, text) = run(folder.path(), &["health", "--timeout", "2"]);
    assert!(code == 1 && text.contains(&format!("nothing answers on {http}")), "{text}");
    let (code, text) = run(nowhere.path(), &["health"]);
    assert!(code == 1 && text.contains("--http"), "{text}");
}

#[test]
fn rights_at_a_postgres_are_seen() {
    let Some(server) = postgres::server() else { return };
    let options = server.options("postgres");
    runtime().block_on(async {
        let client = server.client("postgres").await;
        let sql = "CREATE SCHEMA doctor; CREATE TABLE doctor.notes (id text PRIMARY KEY, title text);
                   CREATE TABLE doctor.pays (id text PRIMARY KEY, title text);
                   CREATE ROLE reader LOGIN PASSWORD 'reader''s own'; GRANT USAGE ON SCHEMA doctor TO reader;
                   GRANT SELECT ON doctor.notes TO reader;";
        client.batch_execute(sql).await.unwrap();
    });
    let examined = |user: &str, password: &str| {
        let folder = place(&format!(
            "[server]\npostgres = \"127.0.0.1:0\"\nhttp = \"off\"\n{SMALL}[[sources]]\nname = \"db\"\nkind = \"postgres\"\nhost = \"127.0.0.1\"\n\
             port = {}\nuser = \"{user}\"\ndatabase = \"postgres\"\nschema = \"doctor\"\npassword = \"file:password\"\n",
            options.port
        ));
        private(&folder.path().join("password"), password);
        doctor(folder.path()).1
    };
    let report = examined("reader", "reader's own");
    let reached = of_check(&report, "source.reachable");
    assert!(reached[0].starts_with("ok db: postgres 1") && reached[0].ends_with(" answers"), "{reached:?}");
    assert!(of_check(&report, "source.clock")[0].starts_with("ok db:"), "{report:#}");
    assert_eq!(
        of_check(&report, "source.rights"),
        ["problem db: the login may not read the tables of `t_pays` (1 in all)"],
        "{report:#}"
    );
    let report = examined(&options.user, options.password.as_deref().unwrap());
    assert_eq!(
        of_check(&report, "source.rights"),
        ["warning db: the login that reads may do anything there"],
        "{report:#}"
    );
    assert_eq!(of_check(&report, "source.tables"), ["ok db: the tables of its 2 objects are there"], "{report:#}");
    let report = examined("reader", "not the reader's");
    let reached = of_check(&report, "source.reachable");
    assert!(reached[0].starts_with("problem db:") && !reached[0].contains("not the reader's"), "{reached:?}");
}

#[test]
fn a_mariadb_and_a_mongodb_say_their_versions_and_clocks() {
    let mut sources = String::new();
    let mariadb = mariadb::Server::start();
    if let Some(server) = &mariadb {
        server.sql("CREATE DATABASE shop; CREATE TABLE shop.notes (id varchar(9) PRIMARY KEY, title text);");
        sources.push_str(&format!(
            "[[sources]]\nname = \"maria\"\nkind = \"mysql\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"{}\"\ndatabase = \"shop\"\n\
             password = \"file:maria\"\n",
            server.port,
            mariadb::USER
        ));
    }
    let mongo = runtime().block_on(mongo::Server::start());
    if let Some(server) = &mongo {
        sources.push_str(&format!(
            "[[sources]]\nname = \"mongo\"\nkind = \"mongodb\"\nurl = \"mongodb://127.0.0.1:{}/?directConnection=true&authSource=admin\"\n\
             user = \"{}\"\ndatabase = \"shop\"\npassword = \"file:mongo\"\n",
            server.port,
            mongo::USER
        ));
    }
    let config = format!("[server]\npostgres = \"127.0.0.1:0\"\nhttp = \"off\"\n{SMALL}{sources}");
    let folder = place(&config);
    private(&folder.path().join("maria"), mariadb::PASSWORD);
    private(&folder.path().join("mongo"), mongo::PASSWORD);
    let (_, report, found) = doctor(folder.path());
    for (name, kind) in
        [mariadb.is_some().then_some(("maria", "mysql")), mongo.is_some().then_some(("mongo", "mongodb"))]
            .into_iter()
            .flatten()
    {
        let reached = of_check(&report, "source.reachable");
        let is_versioned = |one: &String| {
            one.strip_prefix(&format!("ok {name}: {kind} "))
                .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        assert!(reached.iter().any(is_versioned), "{report:#}");
        assert!(found.contains(&("ok".to_owned(), "source.clock".to_owned(), name.to_owned())), "{report:#}");
        assert!(of_check(&report, "source.rights").is_empty(), "{report:#}");
    }
}
