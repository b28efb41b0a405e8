//! A source of a test's own with accounts and transfers between them, and gates over it, which may die and be started again.

use crate::{mariadb_server, mongodb_server, postgres_server};
use futures::TryStreamExt;
use mongodb::bson::{Document, doc};
use querygate_tests::server::{PASSWORD, Server, add_user, execute, runtime};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection, Row};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

/// Accounts of the region that the writer may change; half as many are of another one.
pub(crate) const ACCOUNTS: usize = 40;
/// What every account begins with.
pub(crate) const AMOUNT: i64 = 100;
/// Of the objects of all places.
const NAMESPACE: &str = "shop";
const MANIFEST: &str = "manifest: { id: com.example.shop, namespace: shop, version: 1.0.0, type: app, name: Shop, engines: { protocol: \"^17\" } }\n";
const LOGIN: &str = "reads and writes";

pub(crate) enum Store {
    Sqlite,
    Postgres(postgres_server::Server),
    MariaDb(mariadb_server::Server),
    MongoDb(mongodb_server::Server),
}

pub(crate) struct Place {
    /// Of its source. The tables of a place that is not named as the namespace begin with it.
    pub(crate) name: &'static str,
    folder: TempDir,
    pub(crate) store: Store,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self::new(Store::Sqlite)
    }

    pub(crate) fn postgres() -> Self {
        Self::new(Store::Postgres(postgres_server::Server::start().expect("PostgreSQL is installed")))
    }

    pub(crate) fn mariadb() -> Self {
        Self::new(Store::MariaDb(mariadb_server::Server::start().expect("MariaDB is installed")))
    }

    /// Nothing where it is not installed.
    pub(crate) fn mongodb() -> Option<Self> {
        let server = runtime().block_on(mongodb_server::Server::start_replicated())?;
        Some(Self::new(Store::MongoDb(server)))
    }

    fn new(store: Store) -> Self {
        let place = Self::named(NAMESPACE, store);
        configure(place.folder.path(), &[&place]);
        place
    }

    /// One that another folder's gate serves.
    pub(crate) fn named(name: &'static str, store: Store) -> Self {
        let place = Self { name, folder: TempDir::new().unwrap(), store };
        place.fill();
        place
    }

    fn fill(&self) {
        let text = match &self.store {
            Store::MongoDb(server) => return runtime().block_on(documents(server)),
            Store::MariaDb(_) => "varchar(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin",
            Store::Sqlite | Store::Postgres(_) => "text",
        };
        let mut sql = format!(
            "CREATE TABLE accounts (id {text} PRIMARY KEY NOT NULL, region {text}, amount integer);
             CREATE TABLE transfers (id {text} PRIMARY KEY NOT NULL, batch {text}, payer {text}, payee {text});"
        );
        let row = |at: usize| {
            let region = if at < ACCOUNTS { "eu" } else { "us" };
            format!("('a{at:03}', '{region}', {AMOUNT})")
        };
        let rows: Vec<String> = (0..ACCOUNTS + ACCOUNTS / 2).map(row).collect();
        sql.push_str(&format!("INSERT INTO accounts VALUES {};", rows.join(", ")));
        match &self.store {
            Store::Sqlite => execute(&self.file(), &sql),
            Store::Postgres(server) => runtime().block_on(async {
                let users = format!("CREATE USER reader PASSWORD '{LOGIN}'; CREATE USER writer PASSWORD '{LOGIN}'");
                let client = server.client("postgres").await;
                client.batch_execute(&users).await.unwrap();
                client.batch_execute("CREATE DATABASE shop").await.unwrap();
                let rights = "GRANT SELECT ON accounts, transfers TO reader;
                    GRANT SELECT, INSERT, UPDATE, DELETE ON accounts, transfers TO writer";
                server.client("shop").await.batch_execute(&(sql + rights)).await.unwrap();
            }),
            Store::MariaDb(server) => drop(server.sql(&format!(
                "CREATE DATABASE shop; USE shop; {sql}
                 CREATE USER reader@'127.0.0.1' IDENTIFIED BY '{LOGIN}'; CREATE USER writer@'127.0.0.1' IDENTIFIED BY '{LOGIN}';
                 GRANT SELECT ON shop.* TO reader@'127.0.0.1';
                 GRANT SELECT, INSERT, UPDATE, DELETE ON shop.* TO writer@'127.0.0.1';"
            ))),
            Store::MongoDb(_) => unreachable!("it has no tables"),
        }
    }

    /// The file of a store that is one.
    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("shop.sqlite")
    }

    /// Its objects.
    fn stack(&self) -> String {
        let stack = self.named_in(include_str!("stack.yaml"));
        match self.store {
            Store::MongoDb(_) => stack.replace("writable: true", "writable: true, columnMap: { _id: id }"),
            _ => stack,
        }
    }

    /// A table of it, as statements name it.
    pub(crate) fn table(&self, name: &str) -> String {
        if self.name == NAMESPACE { name.to_owned() } else { format!("{}_{name}", self.name) }
    }

    /// The text for this place, which is written for one that is named as the namespace is.
    fn named_in(&self, text: &str) -> String {
        if self.name == NAMESPACE {
            return text.to_owned();
        }
        let prefix = format!("{NAMESPACE}_{}_", self.name);
        text.replace(&format!(" {NAMESPACE}\n"), &format!(" {}\n", self.name))
            .replace(&format!(" {NAMESPACE},"), &format!(" {},", self.name))
            .replace(&format!("{NAMESPACE}_"), &prefix)
    }

    /// The configuration of its source. Its password is beside it.
    fn source(&self) -> String {
        let name = self.name;
        let server = |kind: &str, port: u16| {
            format!(
                "kind = \"{kind}\"\nhost = \"127.0.0.1\"\nport = {port}\ndatabase = \"shop\"\nconnect_timeout = \"2s\"\n\
                 user = \"reader\"\npassword = \"file:{name}.login\"\nwrite_user = \"writer\"\nwrite_password = \"file:{name}.login\"\n"
            )
        };
        let keys = match &self.store {
            Store::Sqlite => format!("kind = \"sqlite\"\npath = \"{}\"\n", self.file().display()),
            Store::Postgres(postgres) => server("postgres", postgres.port),
            Store::MariaDb(mariadb) => server("mysql", mariadb.port),
            Store::MongoDb(mongodb) => format!(
                "kind = \"mongodb\"\nurl = \"mongodb://{}@127.0.0.1:{}/shop?authSource=admin&directConnection=true\"\ndatabase = \"shop\"\n\
                 password = \"file:{name}.login\"\nwrite_user = \"{}\"\nwrite_password = \"file:{name}.login\"\n",
                mongodb_server::USER,
                mongodb.port,
                mongodb_server::WRITER
            ),
        };
        format!("[[sources]]\nname = \"{name}\"\nwrites = true\n{keys}")
    }

    pub(crate) fn serve(&self) -> Server {
        Server::serve(&self.folder.path().join("querygate.toml"))
    }

    /// The first column of a query's rows, as the source itself says them.
    pub(crate) fn stored(&self, sql: &str) -> Vec<String> {
        match &self.store {
            Store::Sqlite => runtime().block_on(async {
                let options = SqliteConnectOptions::new().filename(self.file());
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| row.get::<String, _>(0)).collect()
            }),
            Store::Postgres(server) => runtime().block_on(async {
                let messages = server.client("shop").await.simple_query(sql).await.unwrap();
                let rows = messages.into_iter().filter_map(|message| match message {
                    SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                    _ => None,
                });
                rows.collect()
            }),
            Store::MariaDb(server) => server.sql(&format!("USE shop; {sql};")).lines().map(str::to_owned).collect(),
            Store::MongoDb(_) => unreachable!("it speaks no SQL"),
        }
    }

    /// Transfers that came alone, as `id|payer|payee`.
    pub(crate) fn transfers(&self) -> Vec<String> {
        if let Store::MongoDb(server) = &self.store {
            let line = doc! { "$concat": ["$_id", "|", "$payer", "|", "$payee"] };
            return lines(
                server,
                "transfers",
                vec![doc! { "$match": { "batch": null } }, doc! { "$project": { "line": line } }],
            );
        }
        self.stored("SELECT concat_ws('|', id, payer, payee) FROM transfers WHERE batch IS NULL")
    }

    /// Transfers that came together, as `batch|how many`.
    pub(crate) fn batches(&self) -> Vec<String> {
        if let Store::MongoDb(server) = &self.store {
            let counted = doc! { "$group": { "_id": "$batch", "rows": { "$sum": 1 } } };
            let line = doc! { "$concat": ["$_id", "|", { "$toString": "$rows" }] };
            let all = doc! { "$match": { "batch": { "$nin": [null, SHOWN] } } };
            return lines(server, "transfers", vec![all, counted, doc! { "$project": { "line": line } }]);
        }
        self.stored("SELECT concat(batch, '|', count(*)) FROM transfers WHERE batch IS NOT NULL GROUP BY batch")
    }

    /// Accounts of a region in the order of their keys, as `id|amount`.
    pub(crate) fn amounts(&self, region: &str) -> Vec<String> {
        if let Store::MongoDb(server) = &self.store {
            let line = doc! { "$concat": ["$_id", "|", { "$toString": "$amount" }] };
            let chosen = [doc! { "$match": { "region": region } }, doc! { "$sort": { "_id": 1 } }];
            return lines(
                server,
                "accounts",
                chosen.into_iter().chain([doc! { "$project": { "line": line } }]).collect(),
            );
        }
        self.stored(&format!("SELECT concat(id, '|', amount) FROM accounts WHERE region = '{region}' ORDER BY id"))
    }

    /// What the gate has left open at the source: transactions of the writing login, and locks that they hold.
    pub(crate) fn open(&self) -> Vec<String> {
        match &self.store {
            // A writer that is still there keeps another one out.
            Store::Sqlite => runtime().block_on(async {
                let file = self.file();
                let options = SqliteConnectOptions::new().filename(file).busy_timeout(Duration::ZERO);
                let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
                let began = sqlx::raw_sql("BEGIN IMMEDIATE; ROLLBACK").execute(&mut connection).await;
                connection.close().await.unwrap();
                began.err().map(|error| error.to_string()).into_iter().collect()
            }),
            Store::Postgres(_) => self.stored(
                "SELECT concat_ws(' ', 'transaction', pid, state, query) FROM pg_stat_activity
                     WHERE usename IN ('reader', 'writer') AND (xact_start IS NOT NULL OR state <> 'idle')
                 UNION ALL SELECT concat_ws(' ', 'lock', l.pid, l.locktype, l.mode) FROM pg_locks l
                     JOIN pg_stat_activity a USING (pid) WHERE a.usename IN ('reader', 'writer')",
            ),
            Store::MariaDb(_) => self.stored(
                "SELECT concat_ws(' ', 'transaction', t.trx_state, t.trx_rows_locked, t.trx_query)
                     FROM information_schema.innodb_trx t JOIN information_schema.processlist p
                     ON p.id = t.trx_mysql_thread_id WHERE p.user IN ('reader', 'writer')",
            ),
            Store::MongoDb(server) => {
                let all = doc! { "$currentOp": { "allUsers": true, "idleSessions": true } };
                let theirs = doc! { "$match": { "transaction": { "$exists": true }, "effectiveUsers.user": mongodb_server::WRITER } };
                let found = runtime().block_on(async {
                    let cursor = server.admin("admin").aggregate([all, theirs]).await.unwrap();
                    cursor.try_collect::<Vec<Document>>().await.unwrap()
                });
                found.iter().map(|transaction| format!("transaction {transaction}")).collect()
            }
        }
    }

    /// Waits until nothing is open, five seconds at most.
    pub(crate) fn settle(&self) {
        let until = Instant::now() + Duration::from_secs(5);
        loop {
            let open = self.open();
            if open.is_empty() {
                return;
            }
            assert!(Instant::now() < until, "left open at the source: {open:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// What a gate over these places is started with; a clerk of all of them may change accounts of his region.
pub(crate) fn configure(folder: &Path, places: &[&Place]) {
    let at = |name: &str| folder.join(name);
    std::fs::create_dir(at("metadata")).unwrap();
    let mut config =
        "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n".to_owned();
    std::fs::write(at("metadata/manifest.yaml"), MANIFEST).unwrap();
    for place in places {
        let name = place.name;
        std::fs::write(at(&format!("metadata/{name}.yaml")), place.stack()).unwrap();
        let columns = place.named_in(include_str!("stack.querygate.json"));
        std::fs::write(at(&format!("metadata/{name}.querygate.json")), columns).unwrap();
        let login = if matches!(place.store, Store::MongoDb(_)) { mongodb_server::PASSWORD } else { LOGIN };
        std::fs::write(at(&format!("{name}.login")), login).unwrap();
        config.push_str(&place.source());
    }
    let sets: Vec<String> = places.iter().map(|place| format!("\"{}\"", place.named_in("shop_clerk"))).collect();
    let sets = sets.join(", ");
    let user = format!(
        "[[users]]\nname = \"omar\"\npermission_sets = [{sets}]\nattributes = {{ region = \"eu\" }}\noperator = true\n"
    );
    std::fs::write(at("querygate.toml"), config + &user).unwrap();
    add_user(folder, "omar");
}

/// The batch of a document that shows the gate which fields transfers have.
const SHOWN: &str = "shown";

/// Accounts and no transfers. A transaction whose client is gone is the server's until its time is over, which is a minute.
async fn documents(server: &mongodb_server::Server) {
    let shop = server.admin("shop");
    let account = |at: usize| {
        let (region, amount) = (if at < ACCOUNTS { "eu" } else { "us" }, i32::try_from(AMOUNT).unwrap());
        doc! { "_id": format!("a{at:03}"), "region": region, "amount": amount }
    };
    shop.collection::<Document>("accounts").insert_many((0..ACCOUNTS + ACCOUNTS / 2).map(account)).await.unwrap();
    let shown = doc! { "_id": SHOWN, "batch": SHOWN, "payer": "", "payee": "" };
    shop.collection::<Document>("transfers").insert_one(shown).await.unwrap();
    let short = doc! { "setParameter": 1, "transactionLifetimeLimitSeconds": 2 };
    server.admin("admin").run_command(short).await.unwrap();
}

/// The texts that a pipeline makes of documents.
fn lines(server: &mongodb_server::Server, collection: &str, pipeline: Vec<Document>) -> Vec<String> {
    let found = runtime().block_on(async {
        let cursor = server.admin("shop").collection::<Document>(collection).aggregate(pipeline).await.unwrap();
        cursor.try_collect::<Vec<Document>>().await.unwrap()
    });
    found.iter().map(|document| document.get_str("line").unwrap().to_owned()).collect()
}

/// A session whose connection breaks when it is dropped, whatever still runs.
pub(crate) struct Session {
    client: Client,
    connection: JoinHandle<()>,
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A session; none where nothing answers.
pub(crate) async fn open(address: &Config) -> Option<Session> {
    let (client, connection) = address.connect(NoTls).await.ok()?;
    let connection = tokio::spawn(async move { drop(connection.await) });
    Some(Session { client, connection })
}

/// How the writer connects.
pub(crate) fn address(gate: &Server) -> Config {
    let mut config = gate.config("omar");
    config.dbname("shop").password(PASSWORD).connect_timeout(Duration::from_secs(5));
    config
}
