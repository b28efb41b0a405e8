//! A gate over deals with hooks.

use querygate_tests::server::{PASSWORD, Server, add_user, change, connect, execute, runtime};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, Row, SqliteConnection};
use tempfile::TempDir;
use tokio_postgres::Client;

const STACK: &str = include_str!("stack.yaml");
const ROWS: &str = r#"
CREATE TABLE deals(id TEXT PRIMARY KEY NOT NULL, title TEXT, stage TEXT, amount REAL, probability REAL, region TEXT, secret TEXT, extra TEXT,
    owner TEXT, lines REAL, touched TEXT);
CREATE TABLE lines(id TEXT PRIMARY KEY NOT NULL, deal TEXT, note TEXT);
CREATE TABLE files(id TEXT PRIMARY KEY NOT NULL, deal TEXT, state TEXT);
CREATE TABLE closed(id TEXT PRIMARY KEY NOT NULL);
INSERT INTO deals VALUES ('d1', 'First', 'open', 10, 5, 'eu', 'hush', '{"n":7}', NULL, 2, NULL),
    ('d2', 'Second', 'won', 20, NULL, 'eu', NULL, NULL, NULL, 0, NULL), ('d3', 'Third', 'open', 30, 1, 'us', 'psst', NULL, NULL, 1, NULL);
INSERT INTO lines VALUES ('l1', 'd1', NULL), ('l2', 'd1', NULL), ('l3', 'd3', 'keep');
INSERT INTO files VALUES ('f1', 'd1', NULL), ('f2', 'd3', NULL);"#;

pub(crate) struct Gate {
    folder: TempDir,
    pub(crate) server: Server,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Self::over(STACK, ROWS, None, [("nora", "sales_manager"), ("omar", "sales_clerk")])
    }

    /// `far`: rows of a second source.
    pub(crate) fn over(stack: &str, rows: &str, far: Option<&str>, users: [(&str, &str); 2]) -> Self {
        Self::with((stack, rows), far, users, "")
    }

    /// `settings`: further tables of the configuration.
    pub(crate) fn with(
        (stack, rows): (&str, &str),
        far: Option<&str>,
        users: [(&str, &str); 2],
        settings: &str,
    ) -> Self {
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("metadata")).unwrap();
        std::fs::write(at("metadata/stack.yaml"), stack).unwrap();
        let mut config = "[server]\ndatabase = \"sales\"\npostgres = \"127.0.0.1:0\"\nhttp = \"127.0.0.1:0\"\n\
             [flight]\naddress = \"127.0.0.1:0\"\n[rest]\nlisten = \"127.0.0.1:0\"\n\
             [metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n\
             [log]\naudit = \"audit.jsonl\"\n\
             [[sources]]\nname = \"shop\"\nkind = \"sqlite\"\npath = \"shop.sqlite\"\nwrites = true\n"
            .to_owned();
        if let Some(far) = far {
            config.push_str("[[sources]]\nname = \"far\"\nkind = \"sqlite\"\npath = \"far.sqlite\"\nwrites = true\n");
            execute(&at("far.sqlite"), far);
        }
        for (user, set) in users {
            config.push_str(&format!(
                "[[users]]\nname = \"{user}\"\nemail = \"{user}@sales.example\"\npermission_sets = [\"{set}\"]\n\
                 positions = [\"seller\"]\nattributes = {{ region = \"eu\" }}\n"
            ));
        }
        config.push_str("[[users]]\nname = \"root\"\noperator = true\n");
        config.push_str(settings);
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in ["nora", "omar", "root"] {
            add_user(folder.path(), user);
        }
        execute(&at("shop.sqlite"), rows);
        let server = Server::serve(&at("querygate.toml"));
        Self { folder, server }
    }

    /// What is in the audit file.
    pub(crate) fn audit(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("audit.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("sales").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    /// The first column of what is stored.
    pub(crate) fn stored(&self, sql: &str) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(self.folder.path().join("shop.sqlite"));
        runtime().block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows.iter().map(|row| row.get::<Option<String>, _>(0).unwrap_or_else(|| "NULL".to_owned())).collect()
        })
    }

    /// A deal as it is stored: title, stage, amount, probability.
    pub(crate) fn deal(&self, id: &str) -> String {
        let sql = format!(
            "SELECT concat_ws('|', title, stage, amount, coalesce(probability, '-'), coalesce(touched, '-')) FROM deals WHERE id = '{id}'"
        );
        self.stored(&sql).pop().unwrap_or_else(|| "none".to_owned())
    }
}

/// The SQLSTATE and the message of a refused change.
pub(crate) fn refusal(client: &Client, sql: &str) -> (String, String) {
    match change(client, sql) {
        Err(told) => told,
        Ok(count) => panic!("{count} rows: {sql}"),
    }
}
