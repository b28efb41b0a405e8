//! A running gate over one source with three tables, its users, and a look at what is stored.

use crate::source::{Kind, PASSWORD, Source, add, declared};
use querygate_tests::server::{Server, connect, runtime};
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

pub(crate) use querygate_tests::server::change;

const STACK: &str = include_str!("stack.yaml");
const COLUMNS: &str = include_str!("stack.querygate.json");

/// Orders of two regions, and a table that its metadata does not open.
const ROWS: &str =
    "CREATE TABLE orders(id text primary key not null, customer text, region text, total numeric, card text,
    code text unique, placed_on text);
CREATE TABLE notes(id text primary key not null, body text);
INSERT INTO notes VALUES ('o1','first'), ('o2','second');
INSERT INTO orders VALUES ('o1','ann','eu',10.5,'4111111111111111','c1','2026-01-01'),
    ('o2','bob','us',0,'5500000000000004','c2','2026-01-02'),
    ('o3','cy','eu',7,'3400000000000091','c3','2026-01-03');\n";

/// A table of many types, in those that a kind of source has for them.
const fn goods(kind: Kind) -> &'static str {
    match kind {
        Kind::Sqlite => {
            "CREATE TABLE goods(id text primary key not null, kind varchar(12), size integer, price numeric, made_on text,
                ready boolean, facts text, tags text);
            INSERT INTO goods VALUES ('g1','fine',1,2.5,'2026-01-01',0,'{}','[]');"
        }
        Kind::Postgres => {
            "CREATE TABLE goods(id text primary key, kind varchar(12), size integer, price numeric(10,2), made_on date,
                ready boolean, facts jsonb, tags text[]);
            INSERT INTO goods VALUES ('g1','fine',1,2.5,'2026-01-01',false,'{}','{}');"
        }
        Kind::MariaDb => {
            "CREATE TABLE goods(id varchar(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin primary key,
                kind varchar(12) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin, size integer, price decimal(10,2), made_on date,
                ready boolean, facts json, tags json);
            INSERT INTO goods VALUES ('g1','fine',1,2.5,'2026-01-01',0,'{}','[]');"
        }
    }
}

pub(crate) struct Gate {
    _folder: TempDir,
    server: Server,
    pub(crate) source: Source,
}

impl Gate {
    pub(crate) fn new(kind: Kind) -> Self {
        let folder = TempDir::new().unwrap();
        let source = Source::made(kind, folder.path(), &(declared(kind, ROWS) + goods(kind)));
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), STACK).unwrap();
        std::fs::write(at("metadata/stack.querygate.json"), COLUMNS).unwrap();
        let config = format!(
            "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n{}\
             [[users]]\nname = \"nora\"\npermission_sets = [\"shop_manager\"]\n\
             [[users]]\nname = \"omar\"\npermission_sets = [\"shop_clerk\"]\npositions = [\"clerk\"]\nattributes = {{ region = \"eu\" }}\n\
             [[users]]\nname = \"rita\"\npermission_sets = [\"shop_reader\"]\n\
             [[users]]\nname = \"pia\"\npermission_sets = [\"shop_planner\"]\n",
            source.entry(true)
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in ["nora", "omar", "rita", "pia"] {
            add(folder.path(), user);
        }
        let server = Server::serve(&at("querygate.toml"));
        Self { _folder: folder, server, source }
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("shop").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    /// What is stored, as the source itself says it, with decimals in their shortest form.
    pub(crate) fn stored(&self, sql: &str) -> Vec<String> {
        let shortest = |line: String| line.split('|').map(shortest).collect::<Vec<_>>().join("|");
        self.source.stored(sql).into_iter().map(shortest).collect()
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.stored("SELECT concat_ws('|', id, customer, region, total, card, code, placed_on) FROM orders ORDER BY id")
    }
}

fn shortest(text: &str) -> String {
    let is_decimal = text.split_once('.').is_some_and(|(whole, places)| {
        whole.trim_start_matches('-').bytes().chain(places.bytes()).all(|byte| byte.is_ascii_digit())
    });
    if is_decimal { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text.to_owned() }
}

pub(crate) fn code(client: &Client, sql: &str) -> String {
    change(client, sql).unwrap_err().0
}

/// Cells of the rows that a statement gives back.
pub(crate) fn rows(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = runtime().block_on(client.simple_query(sql)).unwrap();
    let cells = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    cells.collect()
}
