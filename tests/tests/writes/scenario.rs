//! Changes over one kind of source: what a principal may change, what it hears of the rest, and what is stored afterwards.

use super::KIND;
use crate::source::{PASSWORD, Source, add};
use querygate_tests::server::{Server, connect, runtime};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

const STACK: &str = include_str!("stack.yaml");

/// Orders of two regions, and a table that its metadata does not open.
const ROWS: &str =
    "CREATE TABLE orders(id text primary key not null, customer text, region text, total numeric, card text,
    code text unique, placed_on text);
CREATE TABLE notes(id text primary key not null, body text);
INSERT INTO orders VALUES ('o1','ann','eu',10.5,'4111111111111111','c1','2026-01-01'),
    ('o2','bob','us',0,'5500000000000004','c2','2026-01-02'),
    ('o3','cy','eu',7,'3400000000000091','c3','2026-01-03');";

struct Gate {
    folder: TempDir,
    server: Server,
    source: Source,
}

impl Gate {
    /// `enabled`, `source`: what the two keys say.
    fn new(enabled: bool, source: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let tables = Source::new(KIND, folder.path(), ROWS);
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        let config = format!(
            "[server]\ndatabase = \"shop\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n[flight]\naddress = \"127.0.0.1:0\"\n\
             [metadata]\npath = \"metadata\"\n[log]\naudit = \"audit.ndjson\"\n[writes]\nenabled = {enabled}\n{}\
             [[users]]\nname = \"nora\"\npermission_sets = [\"shop_manager\"]\n\
             [[users]]\nname = \"omar\"\npermission_sets = [\"shop_clerk\"]\npositions = [\"clerk\"]\nattributes = {{ region = \"eu\" }}\n\
             [[users]]\nname = \"rita\"\npermission_sets = [\"shop_reader\"]\n",
            tables.entry(source)
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in ["nora", "omar", "rita"] {
            add(folder.path(), user);
        }
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server, source: tables }
    }

    fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("shop").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    /// What is stored, as the source itself says it.
    fn stored(&self, sql: &str) -> Vec<String> {
        self.source.stored(sql)
    }

    fn all(&self) -> Vec<String> {
        let total = self.source.shortest("total");
        self.stored(&format!(
            "SELECT concat_ws('|', id, customer, region, {total}, card, code, placed_on) FROM orders ORDER BY id"
        ))
    }
}

/// The number of changed rows, or code and text of the error.
fn change(client: &Client, sql: &str) -> Result<u64, (String, String)> {
    let answer = runtime().block_on(client.simple_query(sql));
    match answer {
        Ok(messages) => {
            let count = messages.iter().find_map(|message| match message {
                SimpleQueryMessage::CommandComplete(count) => Some(*count),
                _ => None,
            });
            Ok(count.unwrap())
        }
        Err(error) => {
            let refusal = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error}"));
            Err((refusal.code().code().to_owned(), refusal.message().to_owned()))
        }
    }
}

fn code(client: &Client, sql: &str) -> String {
    change(client, sql).unwrap_err().0
}

/// Cells of the rows that a statement gives back.
fn rows(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = runtime().block_on(client.simple_query(sql)).unwrap();
    let cells = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    cells.collect()
}

#[test]
fn everything_is_off_unless_both_keys_say_so() {
    for (enabled, source) in [(false, false), (false, true), (true, false)] {
        let gate = Gate::new(enabled, source);
        let (nora, before) = (gate.client("nora"), gate.all());
        for sql in [
            "INSERT INTO orders (id) VALUES ('o9')",
            "UPDATE orders SET total = 1",
            "DELETE FROM orders",
            "DELETE FROM nothing_at_all",
        ] {
            let expected = if enabled && sql.ends_with("nothing_at_all") { "42P01" } else { "0A000" };
            assert_eq!(code(&nora, sql), expected, "{enabled} {source}: {sql}");
        }
        assert_eq!(gate.all(), before);
    }
}

#[test]
fn own_rows_change_and_others_are_no_targets() {
    let gate = Gate::new(true, true);
    let omar = gate.client("omar");
    assert_eq!(change(&omar, "UPDATE orders SET total = total + 1.25 WHERE id = 'o1'"), Ok(1));
    assert_eq!(change(&omar, "UPDATE orders SET total = 99 WHERE id = 'o2'"), Ok(0));
    assert_eq!(change(&omar, "DELETE FROM orders WHERE id = 'o2'"), Ok(0));
    assert_eq!(change(&omar, "UPDATE orders AS o SET placed_on = '2026-02-03' WHERE o.total < 8"), Ok(1));
    let expected = [
        "o1|ann|eu|11.75|4111111111111111|c1|2026-01-01",
        "o2|bob|us|0|5500000000000004|c2|2026-01-02",
        "o3|cy|eu|7|3400000000000091|c3|2026-02-03",
    ];
    assert_eq!(gate.all(), expected);
    assert_eq!(change(&omar, "DELETE FROM orders"), Ok(2));
    assert_eq!(gate.all(), [expected[1]]);
}

#[test]
fn rows_outside_the_check_are_not_stored() {
    let gate = Gate::new(true, true);
    let (omar, before) = (gate.client("omar"), gate.all());
    for (sql, expected) in [
        ("UPDATE orders SET region = 'us' WHERE id = 'o1'", "42501"),
        ("UPDATE orders SET region = NULL", "42501"),
        ("INSERT INTO orders (id, region) VALUES ('o8', 'eu'), ('o9', 'us')", "42501"),
        ("INSERT INTO orders (id) VALUES ('o9')", "42501"),
        // The contract of a field.
        ("UPDATE orders SET total = 1001 WHERE id = 'o1'", "23514"),
        ("UPDATE orders SET total = 'many' WHERE id = 'o1'", "22P02"),
        ("UPDATE orders SET placed_on = 'soon'", "22007"),
        // Names that are not there for this principal.
        ("UPDATE orders SET customer = 'x'", "42703"),
        ("UPDATE orders SET total = 1 WHERE customer = 'ann'", "42703"),
        ("INSERT INTO orders (id, customer) VALUES ('o9', 'x')", "42703"),
        ("UPDATE payroll SET a = 1", "42P01"),
        // A masked column gives no value, and its mask is none.
        ("UPDATE orders SET code = card", "42501"),
        // What the metadata does not open, and what the principal may not.
        ("UPDATE notes SET body = 'x'", "42501"),
        ("UPDATE orders SET id = 'o7' WHERE id = 'o1'", "0A000"),
        ("INSERT INTO orders (id, region) VALUES ('o1', 'eu')", "23505"),
        ("INSERT INTO orders (id, region, total) VALUES ('o9', 'eu')", "42601"),
        ("INSERT INTO orders (id, id) VALUES ('o9', 'o9')", "42701"),
        // Forms that are not on the list.
        ("WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone", "0A000"),
        ("EXPLAIN ANALYZE DELETE FROM orders", "0A000"),
        // It takes the right to change all records.
        ("TRUNCATE orders", "42501"),
    ] {
        assert_eq!(code(&omar, sql), expected, "{sql}");
        assert_eq!(gate.all(), before, "{sql}");
    }
    let rita = gate.client("rita");
    assert_eq!(code(&rita, "UPDATE orders SET total = 1"), "42501");
    assert_eq!(code(&rita, "DELETE FROM orders WHERE false"), "42501");
    assert_eq!(gate.all(), before);
}

#[test]
fn hidden_rows_are_not_observed() {
    let gate = Gate::new(true, true);
    let (omar, before) = (gate.client("omar"), gate.all());
    // The total of the row that omar does not see is 0.
    assert_eq!(change(&omar, "UPDATE orders SET code = code WHERE 1 / total > 1000"), Ok(0));
    assert_eq!(change(&omar, "DELETE FROM orders WHERE 1 / total > 1000"), Ok(0));
    assert_eq!(change(&omar, "UPDATE orders SET total = 70 / total WHERE id <> 'o1'"), Ok(1));
    assert_eq!(gate.all()[1], before[1]);
    // Another's key tells that it is taken, and nothing else.
    let taken = change(&omar, "INSERT INTO orders (id, region) VALUES ('o2', 'eu')").unwrap_err();
    let code_taken = change(&omar, "UPDATE orders SET code = 'c2' WHERE id = 'o1'").unwrap_err();
    let refused = |rule: &str| ("23505".to_owned(), format!("duplicate key value violates {rule}"));
    let (by_key, plain) = (refused("unique constraint \"orders_pkey\""), refused("a unique constraint"));
    assert_eq!((taken, code_taken), (by_key, plain));
    assert_eq!(gate.all()[0], before[0]);
}

#[test]
fn what_is_given_back_is_what_the_principal_reads() {
    let gate = Gate::new(true, true);
    let (omar, nora) = (gate.client("omar"), gate.client("nora"));
    let cell = |text: &str| Some(text.to_owned());
    let sql = "UPDATE orders SET code = 'c9' WHERE id = 'o1' RETURNING id, card, code AS new";
    assert_eq!(rows(&omar, sql), [[cell("o1"), cell("************1111"), cell("c9")]]);
    let star = rows(&omar, "INSERT INTO orders (id, region, total) VALUES ('o5', 'eu', 2.5) RETURNING *");
    assert_eq!(star, [[cell("o5"), cell("eu"), cell("2.5000"), None, None, None]]);
    assert_eq!(rows(&nora, "DELETE FROM orders WHERE id = 'o5' RETURNING card, total"), [[None, cell("2.5000")]]);
    for hidden in ["customer", "no_such_column"] {
        let refusal = change(&omar, &format!("UPDATE orders SET total = 1 RETURNING {hidden}")).unwrap_err();
        assert_eq!(refusal, ("42703".to_owned(), format!("column {hidden} does not exist")));
    }
    assert_eq!(code(&omar, "UPDATE orders SET total = 1 RETURNING sum(total)"), "0A000");
    assert_eq!(gate.all()[0], "o1|ann|eu|10.5|4111111111111111|c9|2026-01-01");
}

#[test]
fn parameters_have_the_types_of_their_columns() {
    let gate = Gate::new(true, true);
    let nora = gate.client("nora");
    let changed = runtime().block_on(async {
        let insert = nora.prepare("INSERT INTO orders (id, customer, region) VALUES ($1, $2, $3)").await.unwrap();
        assert_eq!(insert.params().len(), 3);
        let none: Option<&str> = None;
        assert_eq!(nora.execute(&insert, &[&"p1", &"dora", &none]).await.unwrap(), 1);
        assert_eq!(nora.execute(&insert, &[&"p2", &"emil", &"us"]).await.unwrap(), 1);
        let update = nora.prepare("UPDATE orders SET code = $1 WHERE id = $2 RETURNING code").await.unwrap();
        let row = nora.query_one(&update, &[&"k1", &"p1"]).await.unwrap();
        assert_eq!(row.get::<_, &str>(0), "k1");
        nora.execute("DELETE FROM orders WHERE id = $1", &[&"p2"]).await.unwrap()
    });
    assert_eq!(changed, 1);
    assert_eq!(gate.all().last().unwrap(), "p1|dora|k1");
    assert_eq!(
        change(&nora, "INSERT INTO orders (id, region) SELECT id || 'x', region FROM orders WHERE id < 'p'"),
        Ok(3)
    );
    assert_eq!(gate.all().len(), 7);
}

#[test]
fn a_statement_is_all_or_nothing() {
    let gate = Gate::new(true, true);
    let (nora, before) = (gate.client("nora"), gate.all());
    assert_eq!(code(&nora, "INSERT INTO orders (id) VALUES ('q1'), ('q2'), ('o1')"), "23505");
    assert_eq!(gate.all(), before);
    change(&nora, "SET default_transaction_read_only = on").unwrap();
    assert_eq!(code(&nora, "UPDATE orders SET total = 1"), "25006");
    change(&nora, "SET default_transaction_read_only = off").unwrap();
    assert_eq!(change(&nora, "UPDATE orders SET total = 1"), Ok(3));
    let audited = || std::fs::read_to_string(gate.folder.path().join("audit.ndjson")).unwrap_or_default();
    let until = Instant::now() + Duration::from_secs(10);
    while !audited().lines().any(|line| line.contains("\"changed\":3") && line.contains("\"orders\"")) {
        assert!(Instant::now() < until, "{}", audited());
        std::thread::sleep(Duration::from_millis(20));
    }
}
