//! The demo's MongoDB: what customers said about their orders. Knows its program, its documents and its policies.

use super::server::{Account, Server, free_port, password};
use super::trade::{Table, Trade};
use super::{Backend, Part, Programs, Started, governance, programs};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, Credential, ServerAddress};
use querygate_types::{Error, ErrorCode, Result};
use serde_json::{Value, json};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// MongoDB, which Debian does not package: the demo goes on without it.
pub(super) struct MongoDb;

const OWNER: &str = "root";
const USER: &str = "gate";
const DATABASE: &str = "feedback";
const COLLECTION: &str = "reviews";
/// The program, and the libraries that it may have beside it.
const PROGRAM: &str = "mongod";
const LIBRARIES: &str = "lib";
/// Memory for pages: the demo's documents are small.
const CACHE_GIGABYTES: &str = "0.25";
/// Longest wait for an answer of a server that is up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

impl Backend for MongoDb {
    fn name(&self) -> &'static str {
        "MongoDB"
    }

    fn source(&self) -> &'static str {
        "feedback"
    }

    fn install(&self) -> &'static str {
        "mongod 6.0 or later on PATH, or in the folder that QUERYGATE_MONGODB names"
    }

    fn optional(&self) -> bool {
        true
    }

    fn find(&self, folders: &[PathBuf]) -> Option<Programs> {
        let named = std::env::var_os("QUERYGATE_MONGODB").map(PathBuf::from);
        let all: Vec<PathBuf> = named.into_iter().chain(folders.iter().cloned()).chain(kept()).collect();
        programs(&[PROGRAM], &all)
    }

    fn start(&self, programs: &Programs, folder: &Path, trade: &Trade, _writes: bool) -> Result<Started> {
        // No package made an account for it, and it does not mind whose it is.
        let account = Account::ours();
        let (port, owners, gates) = (free_port()?, password()?, password()?);
        let data = folder.join("data");
        std::fs::create_dir(&data).map_err(|e| super::disk(&e))?;
        account.own(folder)?;
        let (program, mut arguments) = command(&programs[PROGRAM]);
        let settings = [
            ("--dbpath", data.display().to_string()),
            ("--port", port.to_string()),
            ("--bind_ip", Ipv4Addr::LOCALHOST.to_string()),
            ("--wiredTigerCacheSizeGB", CACHE_GIGABYTES.to_owned()),
            ("--setParameter", "diagnosticDataCollectionEnabled=false".to_owned()),
        ];
        arguments.extend(settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]));
        arguments.extend(["--auth", "--nounixsocket"].map(str::to_owned));
        let ready = || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
        let server = Server::start(account, folder, &program, &arguments, ready)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::internal)?;
        runtime.block_on(filled(port, &owners, &gates, trade)).map_err(|error| {
            Error::new(ErrorCode::SourceUnavailable, "MongoDB could not be filled").with_detail(error.to_string())
        })?;
        let address = format!("mongodb://{USER}@127.0.0.1:{port}/{DATABASE}?authSource=admin&directConnection=true");
        let entry = format!("kind = \"mongodb\"\nurl = \"{address}\"\ndatabase = \"{DATABASE}\"\n");
        Ok(Started { server, address, password: gates, entry })
    }

    fn govern(&self, package: &mut Value, _writes: bool) -> Result<()> {
        let own_region = [("feedback_reviews", "region == current_user.region")];
        let mut sales = governance::set("feedback_sales", "Marks of one region, not the words", &own_region);
        sales["fields"] = json!({"feedback_reviews.said_words": {"readable": false}});
        governance::grant(package, sales)?;
        governance::grant(package, governance::set("feedback_support", "Reviews of one region", &own_region))
    }

    fn part(&self) -> Part {
        Part {
            columns: &["r.stars"],
            tables: "reviews r",
            on: "r.order_id = o.id",
            condition: "r.stars <= 3",
            keeps: |_, order| order.stars <= 3,
            sets: ["feedback_reader", "feedback_sales", "feedback_support"],
            words: "MongoDB what they said",
            loads: &[Table::Reviews],
        }
    }
}

/// Where the tests' installer keeps the server.
fn kept() -> Option<PathBuf> {
    let cache = std::env::var_os("QUERYGATE_CACHE").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/querygate"));
    Some(cache.or_else(home)?.join("mongodb-8.2.0"))
}

/// The program to run, with its first arguments: through `env` where it has libraries of its own.
fn command(program: &Path) -> (PathBuf, Vec<String>) {
    let libraries = program.parent().map(|folder| folder.join(LIBRARIES)).filter(|folder| folder.is_dir());
    match libraries {
        Some(libraries) => {
            let setting = format!("LD_LIBRARY_PATH={}", libraries.display());
            (PathBuf::from("/usr/bin/env"), vec![setting, program.display().to_string()])
        }
        None => (program.to_owned(), Vec::new()),
    }
}

/// Makes an administrator, who makes everything else, and an account for the gate that can only read.
async fn filled(port: u16, owners: &str, gates: &str, trade: &Trade) -> mongodb::error::Result<()> {
    let user = |name: &str, password: &str, role: &str, database: &str| {
        doc! { "createUser": name, "pwd": password, "roles": [{ "role": role, "db": database }] }
    };
    // Until there is a user, who comes from this machine may make the first one.
    let first = Client::with_options(options(port, None))?;
    first.database("admin").run_command(user(OWNER, owners, "root", "admin")).await?;
    let client = Client::with_options(options(port, Some(owners)))?;
    client.database("admin").run_command(user(USER, gates, "read", DATABASE)).await?;
    let database = client.database(DATABASE);
    let text = trade.lines(Table::Reviews);
    database.collection::<Document>(COLLECTION).insert_many(text.lines().filter_map(review)).await?;
    let indexes = ["order_id", "region"].map(|field| doc! { "key": { field: 1 }, "name": field });
    database.run_command(doc! { "createIndexes": COLLECTION, "indexes": indexes.to_vec() }).await?;
    Ok(())
}

fn options(port: u16, password: Option<&str>) -> ClientOptions {
    let credential = password.map(|password| {
        let credential = Credential::builder().username(OWNER.to_owned()).password(password.to_owned());
        credential.source("admin".to_owned()).build()
    });
    let mut options = ClientOptions::default();
    options.hosts = vec![ServerAddress::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: Some(port) }];
    options.credential = credential;
    options.direct_connection = Some(true);
    options.server_selection_timeout = Some(ANSWER_TIMEOUT);
    options
}

/// One line of the table as a document: what was said lies in a document of its own.
fn review(line: &str) -> Option<Document> {
    let mut cells = line.split('\t');
    let mut cell = || cells.next();
    let (id, order, region, stars) = (cell()?, cell()?, cell()?, cell()?.parse::<i32>().ok()?);
    let said = doc! { "channel": cell()?, "words": cell()? };
    Some(doc! { "_id": id, "order_id": order, "region": region, "stars": stars, "said": said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_document() {
        let trade = Trade::made();
        let text = trade.lines(Table::Reviews);
        let documents: Vec<Document> = text.lines().filter_map(review).collect();
        assert_eq!(documents.len(), trade.orders.len());
        assert_eq!(documents[0].get_str("_id").unwrap(), "R00001");
        assert!(documents[0].get_document("said").unwrap().get_str("words").is_ok());
    }

    #[test]
    fn libraries_beside_the_program_are_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join(PROGRAM);
        assert_eq!(command(&program), (program.clone(), Vec::new()));
        std::fs::create_dir(folder.path().join(LIBRARIES)).unwrap();
        let (run, arguments) = command(&program);
        assert_eq!((run.to_str(), arguments.len()), (Some("/usr/bin/env"), 2));
        assert!(arguments[0].starts_with("LD_LIBRARY_PATH=") && arguments[1].ends_with(PROGRAM));
    }
}
