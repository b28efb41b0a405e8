//! A gate over two databases of one PostgreSQL server and a store of another kind, and what each of them holds.

use crate::{mariadb_server, mongodb_server, postgres_server};
use mongodb::bson::{Document, doc};
use querygate_tests::server::{PASSWORD, Server, add_user, connect, execute, runtime};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::{Client, SimpleQueryMessage};

const STACK: &str = include_str!("stack.yaml");
/// Of the logins at servers.
pub(crate) const LOGIN: &str = "writes and reads";
const SHOP: &str = "CREATE TABLE orders(id text primary key, total double precision);
    INSERT INTO orders VALUES ('o1', 10), ('o2', 20);
    CREATE TABLE links(id text primary key, order_id text REFERENCES orders DEFERRABLE INITIALLY DEFERRED);";
const NOTES: &str = "CREATE TABLE notes(id text primary key, text text);";
const STORE: &str = "CREATE TABLE parts(id varchar(50) primary key not null, amount double precision);
    INSERT INTO parts VALUES ('p1', 1), ('p2', 2);";
const MARKERS: &str = "CREATE TABLE querygate_commits(id varchar(64) primary key not null, fate varchar(6) not null);";

/// Where the parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    Postgres,
    Sqlite,
    MariaDb,
    MongoDb,
    Memory,
}

impl Store {
    pub(crate) const ALL: [Self; 5] = [Self::Postgres, Self::Sqlite, Self::MariaDb, Self::MongoDb, Self::Memory];

    /// Whether its server is installed; `CI` does not excuse its absence.
    pub(crate) fn is_there(self) -> bool {
        match self {
            Self::Postgres | Self::Sqlite | Self::Memory => true,
            Self::MariaDb => mariadb().is_some(),
            Self::MongoDb => mongodb().is_some(),
        }
    }
}

/// The server of this test binary, which takes prepared transactions.
pub(crate) fn postgres() -> &'static postgres_server::Server {
    static SERVER: OnceLock<&'static postgres_server::Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let server = postgres_server::server().expect("PostgreSQL is installed");
        runtime().block_on(async {
            let users = format!("CREATE USER reader PASSWORD '{LOGIN}'; CREATE USER writer PASSWORD '{LOGIN}';");
            server.client("postgres").await.batch_execute(&users).await.unwrap();
        });
        server
    })
}

pub(crate) fn mariadb() -> Option<&'static mariadb_server::Server> {
    static SERVER: OnceLock<Option<mariadb_server::Server>> = OnceLock::new();
    let server = SERVER.get_or_init(|| {
        let server = mariadb_server::Server::start()?;
        server.sql(&format!(
            "CREATE USER 'reader'@'127.0.0.1' IDENTIFIED BY '{LOGIN}'; CREATE USER 'writer'@'127.0.0.1' IDENTIFIED BY '{LOGIN}';"
        ));
        Some(server)
    });
    server.as_ref()
}

pub(crate) fn mongodb() -> Option<&'static mongodb_server::Server> {
    static SERVER: OnceLock<Option<mongodb_server::Server>> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            runtime().block_on(async {
                let server = mongodb_server::Server::start_replicated().await?;
                // A transaction whose client is gone is the server's until its time is over, which is a minute.
                let short = doc! { "setParameter": 1, "transactionLifetimeLimitSeconds": 10 };
                server.admin("admin").run_command(short).await.unwrap();
                Some(server)
            })
        })
        .as_ref()
}

/// Databases and files of one test, without a gate.
pub(crate) struct Places {
    pub(crate) folder: TempDir,
    pub(crate) store: Store,
    /// Names of this test's databases end so.
    pub(crate) number: u64,
}

impl Places {
    pub(crate) fn new(store: Store) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        // Before anything runs on the runtime that would start it.
        postgres();
        let places = Self { folder: TempDir::new().unwrap(), store, number };
        places.database("shop", SHOP);
        places.database("desk", NOTES);
        places.make_store();
        places
    }

    fn database(&self, name: &str, tables: &str) {
        let database = self.named(name);
        runtime().block_on(async {
            let admin = postgres().client("postgres").await;
            admin.batch_execute(&format!("CREATE DATABASE {database} TEMPLATE template0")).await.unwrap();
            let client = postgres().client(&database).await;
            let rights = "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;
                GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO writer";
            client.batch_execute(&format!("{tables}\n{rights}")).await.unwrap();
        });
    }

    fn make_store(&self) {
        let database = self.named("store");
        match self.store {
            Store::Postgres => self.database("store", &STORE.replace("varchar(50)", "text")),
            Store::Sqlite => {
                let tables = format!("{STORE}{MARKERS}").replace("varchar(50)", "text").replace("varchar(64)", "text");
                execute(&self.file(), &tables.replace("varchar(6)", "text"));
            }
            Store::MariaDb => {
                mariadb().unwrap().sql(&format!(
                    "CREATE DATABASE {database} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin; USE {database}; {STORE}
                     GRANT SELECT, SHOW VIEW ON {database}.* TO 'reader'@'127.0.0.1';
                     GRANT SELECT, INSERT, UPDATE, DELETE ON {database}.* TO 'writer'@'127.0.0.1';"
                ));
            }
            Store::MongoDb => runtime().block_on(async {
                let store = mongodb().unwrap().admin(&database);
                let parts = [("p1", 1), ("p2", 2)].map(|(id, amount)| doc! { "_id": id, "amount": f64::from(amount) });
                store.collection::<Document>("parts").insert_many(parts).await.unwrap();
                store.create_collection("querygate_commits").await.unwrap();
            }),
            Store::Memory => {}
        }
    }

    pub(crate) fn named(&self, name: &str) -> String {
        format!("{name}_{}", self.number)
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("store.sqlite")
    }

    /// The first column of a query's rows in a database of PostgreSQL, as itself says.
    pub(crate) fn ask(&self, name: &str, sql: &str) -> Vec<String> {
        runtime().block_on(async {
            let messages = postgres().client(&self.named(name)).await.simple_query(sql).await.unwrap();
            let first = messages.into_iter().filter_map(|message| match message {
                SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or_default().to_owned()),
                _ => None,
            });
            first.collect()
        })
    }

    /// Totals of the orders.
    pub(crate) fn orders(&self) -> Vec<String> {
        self.ask("shop", "SELECT id || '=' || total FROM orders ORDER BY id COLLATE \"C\"")
    }

    /// Amounts of the parts, as the store itself says; of a memory, which has no other door, nothing.
    pub(crate) fn parts(&self) -> Option<Vec<String>> {
        let database = self.named("store");
        Some(match self.store {
            Store::Postgres => self.ask("store", "SELECT id || '=' || amount FROM parts ORDER BY id COLLATE \"C\""),
            Store::Sqlite => self.in_file("SELECT id || '=' || CAST(amount AS integer) FROM parts ORDER BY id"),
            Store::MariaDb => {
                let sql = format!("SELECT CONCAT(id, '=', amount) FROM {database}.parts ORDER BY id;");
                mariadb().unwrap().sql(&sql).lines().map(str::to_owned).collect()
            }
            Store::MongoDb => runtime().block_on(async {
                let parts = mongodb().unwrap().admin(&database).collection::<Document>("parts");
                let mut cursor = parts.find(doc! {}).sort(doc! { "_id": 1 }).await.unwrap();
                let mut found = Vec::new();
                while cursor.advance().await.unwrap() {
                    let part = cursor.deserialize_current().unwrap();
                    let amount = part.get_f64("amount").unwrap();
                    found.push(format!("{}={amount}", part.get_str("_id").unwrap()));
                }
                found
            }),
            Store::Memory => return None,
        })
    }

    fn in_file(&self, sql: &'static str) -> Vec<String> {
        let options = SqliteConnectOptions::new().filename(self.file());
        runtime().block_on(async {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            connection.close().await.unwrap();
            rows.iter().map(|row| row.get::<String, _>(0)).collect()
        })
    }

    /// Transactions that servers keep prepared for the databases of this test.
    pub(crate) fn prepared(&self) -> usize {
        let databases =
            format!("database IN ('{}', '{}', '{}')", self.named("shop"), self.named("desk"), self.named("store"));
        let own = self.ask("shop", &format!("SELECT gid FROM pg_prepared_xacts WHERE {databases}")).len();
        let other = match self.store {
            Store::MariaDb => mariadb().unwrap().sql("XA RECOVER;").lines().count(),
            Store::Postgres | Store::Sqlite | Store::MongoDb | Store::Memory => 0,
        };
        own + other
    }

    /// The configuration of a gate over them, in its folder.
    pub(crate) fn configure(&self, transactions: &str) {
        let at = |name: &str| self.folder.path().join(name);
        std::fs::create_dir_all(at("metadata")).unwrap();
        std::fs::write(at("login"), LOGIN).unwrap();
        let driver = match self.store {
            Store::Postgres => "postgres",
            Store::Sqlite => "sqlite",
            Store::MariaDb => "mysql",
            Store::MongoDb => "mongodb",
            Store::Memory => "memory",
        };
        let datasource = format!(
            "- {{ name: store, driver: {driver}, config: {{}}, schemaMode: external, external: {{ allowWrites: true }} }}"
        );
        let external = match self.store {
            Store::Memory => "",
            Store::MongoDb => "external: { remoteName: parts, writable: true, columnMap: { _id: id } }",
            Store::Postgres | Store::Sqlite | Store::MariaDb => "external: { remoteName: parts, writable: true }",
        };
        let datasource = if self.store == Store::Memory { "" } else { datasource.as_str() };
        let mut stack = STACK.replace("# store", datasource).replace("# parts", external);
        if self.store == Store::Memory {
            stack.push_str("data:\n  - object: shop_parts\n    records:\n      - { id: p1, amount: 1 }\n      - { id: p2, amount: 2 }\n");
        }
        std::fs::write(at("metadata/stack.yaml"), stack).unwrap();
        let config = format!(
            "[server]\ndatabase = \"shop\"\n[rest]\nlisten = \"127.0.0.1:0\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\nidle_timeout = \"5s\"\n\
             [log]\naudit = \"audit.ndjson\"\n{transactions}\n{}{}{}\
             [[users]]\nname = \"nora\"\nemail = \"nora@shop.example\"\npermission_sets = [\"shop_manager\"]\n\
             [[users]]\nname = \"olga\"\npermission_sets = [\"shop_manager\"]\noperator = true\n",
            self.postgres_entry("shop"),
            self.postgres_entry("desk"),
            self.store_entry()
        );
        std::fs::write(at("querygate.toml"), config).unwrap();
        for user in ["nora", "olga"] {
            add_user(self.folder.path(), user);
        }
    }

    fn login() -> &'static str {
        "user = \"reader\"\npassword = \"file:login\"\nwrites = true\nwrite_user = \"writer\"\nwrite_password = \"file:login\"\ndistributed = true\n"
    }

    fn postgres_entry(&self, name: &str) -> String {
        format!(
            "[[sources]]\nname = \"{name}\"\nkind = \"postgres\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{}\"\n{}",
            postgres().port,
            self.named(name),
            Self::login()
        )
    }

    fn store_entry(&self) -> String {
        match self.store {
            Store::Postgres => self.postgres_entry("store"),
            Store::Sqlite => {
                "[[sources]]\nname = \"store\"\nkind = \"sqlite\"\npath = \"store.sqlite\"\nwrites = true\ndistributed = true\n".to_owned()
            }
            Store::MariaDb => format!(
                "[[sources]]\nname = \"store\"\nkind = \"mysql\"\nhost = \"127.0.0.1\"\nport = {}\ndatabase = \"{}\"\n{}",
                mariadb().unwrap().port,
                self.named("store"),
                Self::login()
            ),
            Store::MongoDb => {
                std::fs::write(self.folder.path().join("mongo"), mongodb_server::PASSWORD).unwrap();
                let address = format!(
                    "mongodb://{}@127.0.0.1:{}/{}?authSource=admin&directConnection=true",
                    mongodb_server::USER,
                    mongodb().unwrap().port,
                    self.named("store")
                );
                format!(
                    "[[sources]]\nname = \"store\"\nkind = \"mongodb\"\nurl = \"{address}\"\ndatabase = \"{}\"\npassword = \"file:mongo\"\n\
                     writes = true\nwrite_user = \"{}\"\nwrite_password = \"file:mongo\"\ndistributed = true\n",
                    self.named("store"),
                    mongodb_server::WRITER
                )
            }
            Store::Memory => "[[sources]]\nname = \"store\"\nkind = \"memory\"\nwrites = true\n".to_owned(),
        }
    }
}

/// What a configuration says of transactions across sources.
pub(crate) const TRANSACTIONS: &str = "[transactions]\ngate = \"00000000000000a1\"\n";

/// Places with a gate over them.
pub(crate) struct World {
    pub(crate) places: Places,
    pub(crate) server: Server,
}

impl World {
    pub(crate) fn new(store: Store) -> Self {
        Self::with(store, TRANSACTIONS)
    }

    pub(crate) fn with(store: Store, transactions: &str) -> Self {
        let places = Places::new(store);
        // Gates of one test binary reach one server: each has an id of its own.
        places.configure(&transactions.replace("a1", &format!("{:02x}", places.number % 256)));
        let server = Server::serve(&places.folder.path().join("querygate.toml"));
        Self { places, server }
    }

    /// Until all sources have said what they keep prepared, which is asked when a gate starts.
    pub(crate) fn until_ready(&self) {
        let until = Instant::now() + Duration::from_secs(30);
        let both = "BEGIN; UPDATE orders SET total = total; UPDATE parts SET amount = amount; ROLLBACK";
        while ask(&self.client("nora"), both).is_err_and(|code| code == "55000") {
            assert!(Instant::now() < until, "transactions of several sources are not taken");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The gate once more, over what is there.
    pub(crate) fn restart(&mut self) {
        self.server = Server::serve(&self.places.folder.path().join("querygate.toml"));
    }

    pub(crate) fn client(&self, user: &str) -> Client {
        let mut config = self.server.config(user);
        config.dbname("shop").password(PASSWORD);
        runtime().block_on(connect(&config))
    }

    /// Parts as a session of the gate sees them.
    pub(crate) fn parts(&self, client: &Client) -> Vec<String> {
        let seen = ask(client, "SELECT id || '=' || amount::bigint::text FROM parts ORDER BY id").unwrap();
        if let Some(stored) = self.places.parts() {
            assert_eq!(seen, stored, "the session sees what is stored");
        }
        seen
    }
}

/// The first cell of each row, or the code of the error.
pub(crate) fn ask(client: &Client, sql: &str) -> Result<Vec<String>, String> {
    let messages = runtime()
        .block_on(client.simple_query(sql))
        .map_err(|error| error.as_db_error().map_or_else(|| error.to_string(), |told| told.code().code().to_owned()))?;
    let cells = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).unwrap_or("NULL").to_owned()),
        _ => None,
    });
    Ok(cells.collect())
}

pub(crate) fn done(client: &Client, sql: &str) {
    if let Err(error) = runtime().block_on(client.simple_query(sql)) {
        panic!("{sql}: {:?}", error.as_db_error());
    }
}

pub(crate) fn code(client: &Client, sql: &str) -> String {
    ask(client, sql).expect_err(sql)
}
