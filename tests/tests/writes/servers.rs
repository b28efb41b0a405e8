//! What only servers have: metadata that `querygate introspect` writes and an operator opens, values that the server itself gives,
//! refusals of its own, rights of its logins, types, and servers that are gone.

use crate::by_key::{Keys, changes_rows_by_their_keys};
use crate::source::{Kind, PASSWORD, Source, add};
use querygate_tests::server::{Server, binary, connect, runtime};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage};

const POSTGRES: &str = include_str!("tables_postgres.sql");
const MARIADB: &str = include_str!("tables_mariadb.sql");
const SERVERS: [Kind; 2] = [Kind::Postgres, Kind::MariaDb];

/// A gate over tables of a server, whose metadata was written by introspection and opened by hand.
pub(crate) struct Opened {
    pub(crate) folder: TempDir,
    pub(crate) source: Source,
    server: Server,
}

impl Opened {
    pub(crate) fn new(kind: Kind) -> Self {
        let (folder, source) = prepared(kind);
        let server = Server::serve(&folder.path().join("querygate.toml"));
        Self { folder, source, server }
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        client_of(&self.server, user)
    }
}

pub(crate) fn client_of(server: &Server, user: &str) -> Client {
    let mut config = server.config(user);
    config.dbname("shop").password(PASSWORD);
    runtime().block_on(connect(&config))
}

/// Tables, their metadata and a configuration.
pub(crate) fn prepared(kind: Kind) -> (TempDir, Source) {
    prepared_with(kind, "")
}

/// The same with more tables, as SQL of the source's own.
pub(crate) fn prepared_with(kind: Kind, more: &str) -> (TempDir, Source) {
    let folder = TempDir::new().unwrap();
    let tables = match kind {
        Kind::Postgres => POSTGRES,
        Kind::MariaDb => MARIADB,
        Kind::Sqlite => unreachable!("it is no server"),
    };
    let source = Source::made(kind, folder.path(), &format!("{tables}\n{more}"));
    introspected(folder.path(), &source.address(), "shop");
    let config = format!(
        "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n[log]\naudit = \"audit.ndjson\"\n{}\
         [[users]]\nname = \"omar\"\npermission_sets = [\"shop_reader\"]\nattributes = {{ region = \"eu\" }}\n\
         [[users]]\nname = \"nina\"\npermission_sets = [\"shop_narrow\"]\nattributes = {{ region = \"eu\" }}\n\
         [[users]]\nname = \"olga\"\npermission_sets = [\"shop_reader\"]\noperator = true\nattributes = {{ region = \"eu\" }}\n",
        source.entry(true)
    );
    std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
    for user in ["omar", "nina", "olga"] {
        add(folder.path(), user);
    }
    (folder, source)
}

/// Writes the metadata of a source beside other metadata, and opens it.
pub(crate) fn introspected(folder: &Path, address: &str, namespace: &str) {
    let metadata = folder.join("metadata");
    let login = format!("file:{}", folder.join("login").display());
    let mut command = Command::new(binary());
    command.args(["introspect", address, "--namespace", namespace, "-o", metadata.to_str().unwrap()]);
    if address.contains("://") {
        command.args(["--password", &login]);
    }
    let written = command.output().unwrap();
    assert!(written.status.success(), "{}", String::from_utf8_lossy(&written.stderr));
    open(&metadata.join(format!("{namespace}.json")));
}

/// Opens every object for changes; of those with a region, the rows of the user's own alone.
fn open(file: &Path) {
    let mut stack: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let manifest = &mut stack["packages"][0]["manifest"];
    for source in manifest["datasources"].as_array_mut().unwrap() {
        source["external"]["allowWrites"] = json!(true);
    }
    let (own, mut of_regions, mut hidden) = ("region == current_user.region", Vec::new(), Vec::new());
    for object in manifest["objects"].as_array_mut().unwrap() {
        object["external"]["writable"] = json!(true);
        object["sharingModel"] = json!("public_read_write");
        if object["name"] == "shop_ticket" {
            let has = |field: &&str| object["fields"][*field].is_object();
            hidden.extend(
                ["code", "amount", "customer"].iter().copied().filter(has).map(|field| format!("shop_ticket.{field}")),
            );
        }
        if object["fields"]["region"].is_object() {
            let name = object["name"].as_str().unwrap();
            of_regions.push(
                json!({ "name": format!("{name}_region"), "object": name, "operation": "all", "using": own, "check": own }),
            );
        }
    }
    let set = &mut manifest["permissions"][0];
    for rights in set["objects"].as_object_mut().unwrap().values_mut() {
        *rights = json!({ "allowRead": true, "allowCreate": true, "allowEdit": true, "allowDelete": true });
    }
    if !of_regions.is_empty() {
        set["rowLevelSecurity"] = json!(of_regions);
    }
    let mut narrow = set.clone();
    narrow["name"] = json!(set["name"].as_str().unwrap().replace("_reader", "_narrow"));
    let rights = json!({ "readable": false, "editable": true });
    narrow["fields"] = hidden.into_iter().map(|field| (field, rights.clone())).collect();
    manifest["permissions"].as_array_mut().unwrap().push(narrow);
    std::fs::write(file, stack.to_string()).unwrap();
}

/// Cells of the rows that a statement gives, or code and text of its error.
pub(crate) fn ask(client: &Client, sql: &str) -> Result<Vec<Vec<Option<String>>>, (String, String)> {
    let messages = runtime().block_on(client.simple_query(sql)).map_err(|error| {
        let refusal = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
        (refusal.code().code().to_owned(), format!("{} {:?} {:?}", refusal.message(), refusal.detail(), refusal.hint()))
    })?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    Ok(rows.collect())
}

pub(crate) fn cells(row: &[&str]) -> Vec<Option<String>> {
    row.iter().map(|cell| Some((*cell).to_owned())).collect()
}

#[test]
fn what_the_server_gives_comes_back() {
    for kind in SERVERS {
        let gate = Opened::new(kind);
        let omar = gate.client("omar");
        let sql = "INSERT INTO ticket (title, region) VALUES ('a', 'eu') RETURNING id, title, done, seen";
        assert_eq!(ask(&omar, sql).unwrap(), [cells(&["2", "a", "f", "2026-01-02 03:04:05+00"])], "{kind:?}");
        let both = "INSERT INTO customer (name) VALUES ('cy'), ('di') RETURNING id, name";
        let mut given = ask(&omar, both).unwrap();
        given.sort();
        assert_eq!(given, [cells(&["3", "cy"]), cells(&["4", "di"])], "{kind:?}");
        // A key of the statement's own.
        let own = "INSERT INTO ticket (id, title, region) VALUES (100000, 'own', 'eu') RETURNING id";
        assert_eq!(ask(&omar, own).unwrap(), [cells(&["100000"])], "{kind:?}");
        let many = "INSERT INTO ticket (title, region, amount)
            SELECT 'n' || i, 'eu', i / 100.0 FROM generate_series(1, 2500) AS g(i) RETURNING id";
        let ids: std::collections::HashSet<_> = ask(&omar, many).unwrap().into_iter().collect();
        assert_eq!(ids.len(), 2_500, "{kind:?}");
        let moved =
            ask(&omar, "UPDATE ticket SET amount = amount + 1, due = '2026-05-06' WHERE title LIKE 'n%' RETURNING due");
        assert_eq!(moved.unwrap().len(), 2_500, "{kind:?}");
        assert_eq!(gate.source.stored("SELECT count(*) FROM ticket WHERE due = '2026-05-06' AND amount > 1"), ["2500"]);
        ask(&omar, "DELETE FROM ticket WHERE title LIKE 'n%'").unwrap();
        assert_eq!(gate.source.stored("SELECT count(*) FROM ticket"), ["3"], "{kind:?}");
    }
}

#[test]
fn rows_are_changed_by_their_keys() {
    for kind in SERVERS {
        let opened = Opened::new(kind);
        let omar = opened.client("omar");
        let own = ask(&omar, "INSERT INTO ticket (title, region) VALUES ('mine', 'eu') RETURNING id").unwrap();
        let own = own[0][0].clone().unwrap();
        let others = ["1", "0", "-7", "9223372036854775807"];
        changes_rows_by_their_keys(&omar, &Keys { key_type: Type::INT8, own: &own, others: &others });
        assert_eq!(opened.source.stored("SELECT title FROM ticket"), ["hidden"], "{kind:?}");
    }
}

/// The error of a statement: its code, its text, the constraint and the table of its fields.
fn refusal(client: &Client, sql: &str) -> (String, String, Option<String>, Option<String>) {
    let error = runtime().block_on(client.simple_query(sql)).unwrap_err();
    let error = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
    let text = format!("{} {:?} {:?}", error.message(), error.detail(), error.hint());
    let own = |text: Option<&str>| text.map(str::to_owned);
    (error.code().code().to_owned(), text, own(error.constraint()), own(error.table()))
}

#[test]
fn refusals_of_the_server_name_the_rule_to_those_who_see_its_columns() {
    for kind in SERVERS {
        let gate = Opened::new(kind);
        let (omar, nina) = (gate.client("omar"), gate.client("nina"));
        // Whether one who does not see all columns may name those of the statement. The gate itself looks for references.
        for (sql, code, may_name) in [
            ("INSERT INTO ticket (title, region, code) VALUES ('x', 'eu', 'taken')", "23505", false),
            ("INSERT INTO ticket (id, title, region) VALUES (1, 'x', 'eu')", "23505", true),
            ("INSERT INTO ticket (title, region, amount) VALUES ('x', 'eu', 777.77)", "23514", false),
        ] {
            let (found, text, constraint, table) = refusal(&omar, sql);
            assert_eq!((found.as_str(), table.as_deref()), (code, Some("ticket")), "{kind:?} {sql}: {text}");
            let constraint = constraint.unwrap_or_else(|| panic!("{kind:?} {sql}: {text}"));
            assert!(text.contains(&format!("\"{constraint}\"")), "{kind:?} {sql}: {text}");
            // Checks are the source's alone.
            if code != "23514" {
                let known = format!(
                    "SELECT 1 FROM pg_constraint WHERE conname = '{constraint}' AND conrelid = 'ticket'::regclass"
                );
                assert_eq!(ask(&omar, &known).unwrap().len(), 1, "{kind:?} {sql}: {constraint}");
            }
            let (found, text, constraint, table) = refusal(&nina, sql);
            let expected = if may_name { (code, Some("ticket")) } else { ("42703", None) };
            assert_eq!((found.as_str(), table.as_deref()), expected, "{kind:?} {sql}: {text}");
            assert_eq!(constraint.as_deref(), may_name.then_some("ticket_pkey"), "{kind:?} {sql}: {text}");
            assert!(!text.contains("secret"), "{kind:?} {sql}: {text}");
        }
    }
}

#[test]
fn refusals_of_the_server_name_no_value() {
    for kind in SERVERS {
        let gate = Opened::new(kind);
        let omar = gate.client("omar");
        ask(&omar, "INSERT INTO ticket (id, title, region) VALUES (50, 'mine', 'eu')").unwrap();
        let before =
            gate.source.stored("SELECT concat_ws('|', id, title, code, amount, region) FROM ticket ORDER BY id");
        for (sql, code) in [
            ("INSERT INTO ticket (region) VALUES ('eu')", "23502"),
            ("UPDATE ticket SET title = NULL", "23502"),
            ("INSERT INTO ticket (title, region, amount) VALUES ('x', 'eu', 777.77)", "23514"),
            ("UPDATE ticket SET amount = 777.77", "23514"),
            ("INSERT INTO ticket (title, region, customer) VALUES ('x', 'eu', 777)", "23503"),
            ("UPDATE ticket SET customer = 777", "23503"),
            ("INSERT INTO ticket (title, region, code) VALUES ('x', 'eu', 'taken')", "23505"),
            ("UPDATE ticket SET code = 'taken'", "23505"),
            ("INSERT INTO ticket (id, title, region) VALUES (1, 'x', 'eu')", "23505"),
            ("INSERT INTO ticket (title, region) VALUES ('thirteen char', 'eu')", "22001"),
            ("UPDATE ticket SET title = 'thirteen char'", "22001"),
            ("UPDATE ticket SET amount = 123456789.5", "22003"),
            ("UPDATE ticket SET ratio = 'taken'", "22P02"),
            // A trigger of the source moves the row to where the policy does not let it be.
            ("INSERT INTO ticket (title, region) VALUES ('move me', 'eu')", "42501"),
            ("UPDATE ticket SET title = 'move me' WHERE id = 50", "42501"),
            ("UPDATE ticket SET region = 'us'", "42501"),
            ("INSERT INTO keyless (note) VALUES ('x')", "0A000"),
            ("DELETE FROM customer WHERE id = 1", "23503"),
        ] {
            let (found, text) = ask(&omar, sql).unwrap_err();
            assert_eq!(found, code, "{kind:?} {sql}: {text}");
            for hidden in ["777", "taken", "hidden", "thirteen"] {
                let named = sql.contains("'taken'") && code == "22P02" && hidden == "taken";
                assert!(named || !text.contains(hidden), "{kind:?} {sql}: {text}");
            }
        }
        let after =
            gate.source.stored("SELECT concat_ws('|', id, title, code, amount, region) FROM ticket ORDER BY id");
        assert_eq!(after, before, "{kind:?}");
    }
}

/// A value in the text format, whatever its type.
#[derive(Debug)]
struct Text(&'static str);

impl ToSql for Text {
    fn to_sql(&self, _: &Type, out: &mut bytes::BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    tokio_postgres::types::to_sql_checked!();
}

const TYPED: &str = "SELECT amount, ratio, seen, due, clock, token, done, title FROM ticket WHERE id = ";

#[test]
fn values_of_every_type_are_stored_as_they_are() {
    for kind in SERVERS {
        let gate = Opened::new(kind);
        let omar = gate.client("omar");
        let expected = [
            "12.50",
            "0.1",
            "2026-07-08 09:10:11.123456+00",
            "2026-12-31",
            "23:59:59.5",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "t",
            "größe",
        ];
        ask(
            &omar,
            "INSERT INTO ticket (id, region, amount, ratio, seen, due, clock, token, done, title) VALUES (10, 'eu', 12.5, 0.1,
             '2026-07-08 11:10:11.123456+02', '2026-12-31', '23:59:59.5', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', true, 'größe')",
        )
        .unwrap();
        assert_eq!(ask(&omar, &format!("{TYPED}10")).unwrap(), [cells(&expected)], "{kind:?} literals");
        let sql = "INSERT INTO ticket (id, region, amount, ratio, seen, due, clock, token, done, title)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING id, done, ratio";
        let texts = [
            "11",
            "eu",
            "12.5",
            "0.1",
            "2026-07-08 09:10:11.123456+00",
            "2026-12-31",
            "23:59:59.5",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "true",
            "größe",
        ];
        runtime().block_on(async {
            let untyped = omar.prepare(sql).await.unwrap();
            let values: Vec<Text> = texts.into_iter().map(Text).collect();
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|text| text as _).collect();
            let row = omar.query_one(&untyped, &values).await.unwrap();
            assert_eq!((row.get::<_, i64>(0), row.get::<_, bool>(1), row.get::<_, f64>(2)), (11, true, 0.1));
            // Binary, with types of the client's own.
            let seen = std::time::UNIX_EPOCH + std::time::Duration::from_micros(1_783_501_811_123_456);
            let update = "UPDATE ticket SET ratio = $1, seen = $2, done = $3, title = $4, customer = $5 WHERE id = $6";
            let types = [Type::FLOAT8, Type::TIMESTAMPTZ, Type::BOOL, Type::TEXT, Type::INT4, Type::INT8];
            let typed = omar.prepare_typed(update, &types).await.unwrap();
            for (id, expected) in [(11_i64, 1), (1, 0), (999, 0)] {
                let changed = omar.execute(&typed, &[&2.5_f64, &seen, &false, &"binär", &2_i32, &id]).await.unwrap();
                assert_eq!(changed, expected, "{kind:?} {id}");
            }
            let none: Option<f64> = None;
            let clear = omar.prepare("UPDATE ticket SET ratio = $1, due = NULL WHERE id = $2").await.unwrap();
            assert_eq!(omar.execute(&clear, &[&none, &10_i64]).await.unwrap(), 1);
            assert_eq!(
                omar.execute("DELETE FROM ticket WHERE id = ANY ($1)", &[&vec![998_i64, 999]]).await.unwrap(),
                0
            );
        });
        let mut changed = expected;
        (changed[1], changed[6], changed[7]) = ("2.5", "f", "binär");
        assert_eq!(ask(&omar, &format!("{TYPED}11")).unwrap(), [cells(&changed)], "{kind:?} parameters");
        assert_eq!(ask(&omar, "SELECT ratio, due FROM ticket WHERE id = 10").unwrap(), [[None, None]]);
        assert_eq!(gate.source.stored("SELECT title FROM ticket WHERE id = 1"), ["hidden"]);
    }
}

pub(crate) fn checked(folder: &Path, more: &[&str]) -> String {
    let mut command = Command::new(binary());
    command.arg("check").args(more).current_dir(folder).env("NO_COLOR", "1");
    let output = command.output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_check_says_what_changes_lack() {
    for kind in SERVERS {
        let (folder, source) = prepared(kind);
        if matches!(kind, Kind::Postgres) {
            // An index depends on its table as a sequence does.
            source.run("CREATE INDEX plain_index ON ticket (region)");
        }
        let found = checked(folder.path(), &[]);
        assert!(!found.contains("is not a sequence"), "{kind:?}\n{found}");
        assert!(found.contains("`shop_keyless`"), "{kind:?}\n{found}");
        assert!(found.contains("no primary key") || found.contains("it has no key"), "{kind:?}\n{found}");
        assert!(!found.contains("lacks"), "{kind:?}\n{found}");
        match kind {
            Kind::Postgres => source.run("REVOKE DELETE ON ticket FROM writer; REVOKE ALL ON SEQUENCE customer_id_seq FROM writer"),
            Kind::MariaDb => source.run(&format!(
                "REVOKE INSERT, DELETE ON {0}.* FROM 'writer'@'127.0.0.1'; GRANT INSERT ON {0}.ticket TO 'writer'@'127.0.0.1';",
                source.database
            )),
            Kind::Sqlite => {}
        }
        let found = checked(folder.path(), &[]);
        assert!(found.contains("warning: `shop_ticket`: the writing user lacks DELETE\n"), "{kind:?}\n{found}");
        assert!(!found.contains("`shop_ticket`: the writing user lacks INSERT"), "{kind:?}\n{found}");
        let other = match kind {
            Kind::Postgres => "`shop_customer`: the writing user lacks USAGE of the sequence of a column",
            Kind::MariaDb | Kind::Sqlite => "`shop_customer`: the writing user lacks INSERT",
        };
        assert!(found.contains(other), "{kind:?}\n{found}");
        assert!(!checked(folder.path(), &["--offline"]).contains("lacks"), "{kind:?}");
        // What is lacking is refused, without the server's words.
        let server = Server::serve(&folder.path().join("querygate.toml"));
        let omar = client_of(&server, "omar");
        ask(&omar, "INSERT INTO ticket (title, region) VALUES ('x', 'eu')").unwrap();
        let (code, text) = ask(&omar, "DELETE FROM ticket").unwrap_err();
        assert!(text.contains("writing user") && !text.contains("permission denied"), "{kind:?} {code}: {text}");
        assert_eq!(source.stored("SELECT count(*) FROM ticket"), ["2"]);
    }
}

/// Marks the source of a configuration as one that may be changed together with others.
fn distribute(folder: &Path) {
    let file = folder.join("querygate.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("\nwrites = true\n", "\nwrites = true\ndistributed = true\n")).unwrap();
}

#[test]
fn a_check_says_what_keeps_a_source_from_being_changed_with_others() {
    for kind in SERVERS {
        let (folder, source) = prepared(kind);
        distribute(folder.path());
        let found = checked(folder.path(), &[]);
        assert!(!found.contains("together with others"), "{kind:?}\n{found}");
        // Alone it is changed as before.
        let server = Server::serve(&folder.path().join("querygate.toml"));
        ask(&client_of(&server, "omar"), "INSERT INTO ticket (title, region) VALUES ('x', 'eu')").unwrap();
        assert_eq!(source.stored("SELECT count(*) FROM ticket"), ["2"], "{kind:?}");
    }
    let folder = TempDir::new().unwrap();
    let source = Source::new(Kind::Sqlite, folder.path(), "CREATE TABLE ticket (id integer PRIMARY KEY, region text)");
    introspected(folder.path(), &source.address(), "shop");
    let config = format!("[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n{}", source.entry(true));
    std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
    assert!(!checked(folder.path(), &[]).contains("together with others"));
    distribute(folder.path());
    let found = checked(folder.path(), &[]);
    let lacking = "source `shop` is not changed together with others: it has no table querygate_commits";
    assert!(found.contains(lacking), "{found}");
    source.run("CREATE TABLE querygate_commits (id TEXT NOT NULL PRIMARY KEY, fate TEXT NOT NULL)");
    let found = checked(folder.path(), &[]);
    assert!(!found.contains("together with others"), "{found}");
}

#[test]
fn a_login_that_only_reads_changes_nothing() {
    for kind in SERVERS {
        let (folder, source) = prepared(kind);
        let file = folder.path().join("querygate.toml");
        let config = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, config.replace("write_user = \"writer\"", "write_user = \"reader\"")).unwrap();
        let server = Server::serve(&file);
        let omar = client_of(&server, "omar");
        for sql in ["INSERT INTO ticket (title, region) VALUES ('x', 'eu')", "INSERT INTO customer (name) VALUES ('x')"]
        {
            let (_, text) = ask(&omar, sql).unwrap_err();
            assert!(text.contains("writing user"), "{kind:?} {sql}: {text}");
        }
        assert_eq!(source.stored("SELECT count(*) FROM ticket"), ["1"]);
        assert_eq!(ask(&omar, "SELECT count(*) FROM customer").unwrap(), [cells(&["2"])]);
    }
}
