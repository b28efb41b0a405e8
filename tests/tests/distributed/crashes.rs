//! A process that commits a transaction of two sources ends at each step of it, another one that settles what is left ends at one of its
//! own, and a third one goes to the end. Then both sources have the transaction, or neither, and nothing is prepared.
//!
//! The processes are this test binary, with the one test `a_process_that_ends`, which does nothing when it is not told what.

use crate::aborting::{Aborting, end_at, step};
use crate::mongodb_server;
use crate::world::{LOGIN, Places, Store, mariadb, mongodb, postgres};
use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::execution::ExecuteContext;
use querygate_driver_api::identifier::TableRef;
use querygate_driver_api::write::{
    Begin, ChangeOp, ChangeSet, ChangeShape, GateId, Prepare, TargetColumn, Transaction,
};
use querygate_mongodb::{MongoDriver, MongoOptions};
use querygate_mysql::{MysqlDriver, MysqlOptions};
use querygate_postgres::{PostgresDriver, PostgresOptions};
use querygate_sqlite::{SqliteDriver, SqliteOptions};
use querygate_tests::server::runtime;
use querygate_transactions::{Coordinator, Part};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often each step is tried.
fn rounds() -> u32 {
    std::env::var("QUERYGATE_CRASHES").map_or(1, |rounds| rounds.parse().unwrap())
}

/// What a process is to do: `commit ID` or `settle`.
const TASK: &str = "QUERYGATE_CRASH_TASK";
const STEP: &str = "QUERYGATE_CRASH_STEP";
const PLACE: &str = "QUERYGATE_CRASH_PLACE";

const GATE: GateId = GateId::new(0xc4a5);

/// The places of a test, as a process is told of them.
fn place(places: &Places) -> String {
    let (kind, port) = match places.store {
        Store::Postgres => ("postgres", postgres().port),
        Store::Sqlite => ("sqlite", 0),
        Store::MariaDb => ("mariadb", mariadb().unwrap().port),
        Store::MongoDb => ("mongodb", mongodb().unwrap().port),
        Store::Memory => unreachable!("it is gone with its process"),
    };
    let folder = places.folder.path().display();
    format!("{kind} {port} {} {} {} {folder}", postgres().port, places.named("shop"), places.named("store"))
}

fn process(places: &Places, task: &str, step: u32) -> (bool, Vec<String>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "crashes::a_process_that_ends", "--ignored", "--nocapture"]);
    command.env(TASK, task).env(STEP, step.to_string()).env(PLACE, place(places));
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let ended = text.lines().any(|line| line.ends_with("the end"));
    // It ends well, or where it is to.
    let aborted = !status.success() && text.lines().any(|line| line.starts_with(&format!("step {step} ")));
    assert!(ended || aborted, "{text}\n{}", String::from_utf8_lossy(&stderr));
    (ended, text.lines().map(str::to_owned).collect())
}

fn of_postgres(port: u16, database: &str) -> Arc<dyn Driver> {
    let options = PostgresOptions {
        port,
        password: Some(LOGIN.to_owned()),
        writer: Some(("writer".to_owned(), Some(LOGIN.to_owned()))),
        distributed: true,
        ..PostgresOptions::new(database, "127.0.0.1", "reader", database)
    };
    Arc::new(PostgresDriver::new(&options).unwrap())
}

/// The drivers of a place, each with its table.
fn drivers(place: &str) -> [(Arc<dyn Driver>, TableRef, &'static str); 2] {
    let mut words = place.splitn(6, ' ');
    let mut next = || words.next().unwrap();
    let (kind, port, postgres, shop, store, folder) = (next(), next(), next(), next(), next(), next());
    let (port, postgres): (u16, u16) = (port.parse().unwrap(), postgres.parse().unwrap());
    let table = |parts: &[&str]| TableRef::new(parts.iter().map(|part| (*part).to_owned())).unwrap();
    let (driver, parts): (Arc<dyn Driver>, TableRef) = match kind {
        "postgres" => (of_postgres(postgres, store), table(&["public", "parts"])),
        "sqlite" => {
            let options = SqliteOptions {
                writes: true,
                distributed: true,
                ..SqliteOptions::new(Path::new(folder).join("store.sqlite"))
            };
            (Arc::new(SqliteDriver::new(options)), table(&["parts"]))
        }
        "mariadb" => {
            let mut options = MysqlOptions::new("127.0.0.1", port, "reader", store);
            options.password = Some(LOGIN.to_owned());
            options.writer = Some(("writer".to_owned(), Some(LOGIN.to_owned())));
            options.distributed = true;
            (Arc::new(MysqlDriver::new(&options)), table(&["parts"]))
        }
        "mongodb" => {
            let url = format!("mongodb://127.0.0.1:{port}/?directConnection=true&authSource=admin");
            let mut options = MongoOptions::new(url, store);
            let login = |user: &str| (user.to_owned(), Some(mongodb_server::PASSWORD.to_owned()));
            (options.user, options.password) = (Some(mongodb_server::USER.to_owned()), login("").1);
            options.writer = Some(login(mongodb_server::WRITER));
            options.distributed = true;
            (Arc::new(MongoDriver::new(&options)), table(&["parts"]))
        }
        other => panic!("no such kind: {other}"),
    };
    let orders = table(&["public", "orders"]);
    [
        (Aborting::over("shop", of_postgres(postgres, shop)), orders, "total"),
        (Aborting::over("store", driver), parts, "amount"),
    ]
}

/// Begins a transaction that inserts a row with this key.
async fn insert(driver: &Arc<dyn Driver>, table: &TableRef, number: &str, begin: Begin, id: &str) -> Transaction {
    let writer = driver.writer().unwrap();
    let described = driver.describe(table).await.unwrap();
    let column = |names: [&str; 2]| {
        let column = described.columns.iter().find(|column| names.contains(&column.name.as_str())).unwrap();
        let value_type = column.value_type.unwrap();
        TargetColumn::new(column, value_type, writer.writable_as(column, value_type).unwrap())
    };
    let (key, value) = (column(["id", "_id"]), column([number, number]));
    let values: [ArrayRef; 2] = [Arc::new(StringArray::from(vec![id])), Arc::new(Int64Array::from(vec![7]))];
    let wanted = [key.value_type, value.value_type];
    let arrays = values.iter().zip(wanted).map(|(array, wanted)| cast(array, &wanted.to_arrow()).unwrap());
    let rows = RecordBatch::try_from_iter(["id", "value"].into_iter().zip(arrays)).unwrap();
    let op = ChangeOp::Insert;
    let shape = ChangeShape { table: table.clone(), op, key: vec![key], assigned: vec![value], returning: Vec::new() };
    let change = writer.render_change(&shape).unwrap();
    let context = ExecuteContext::default();
    let mut transaction = writer.begin(begin, &context).await.unwrap();
    transaction.apply(&change, &ChangeSet::new(&shape, rows).unwrap(), &context).await.unwrap();
    transaction
}

async fn coordinator(drivers: &[(Arc<dyn Driver>, TableRef, &'static str); 2], folder: &Path) -> Arc<Coordinator> {
    let until = Instant::now() + Duration::from_secs(20);
    let handle = tokio::runtime::Handle::current();
    let coordinator = Coordinator::open(&folder.join("crashes"), GATE, handle).unwrap();
    let named = ["shop", "store"].into_iter().zip(drivers);
    coordinator.serve(named.map(|(name, (driver, _, _))| (name.into(), Arc::clone(driver))));
    let (shop, store) = (Arc::from("shop"), Arc::from("store"));
    while let Err(error) = coordinator.admit(&[(&shop, &drivers[0].0), (&store, &drivers[1].0)]).await {
        assert!(Instant::now() < until, "{error} {:?}", error.cause());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    coordinator
}

/// What sources keep prepared of the gate.
async fn prepared(drivers: &[(Arc<dyn Driver>, TableRef, &'static str); 2]) -> usize {
    let mut count = 0;
    for (driver, _, _) in drivers {
        let writer = driver.writer().unwrap();
        if writer.capabilities().prepare == Prepare::Prepared {
            count += writer.prepared(GATE, &ExecuteContext::default()).await.unwrap().len();
        }
    }
    count
}

/// What a process does that is told to.
#[test]
#[ignore = "it is run by the others"]
fn a_process_that_ends() {
    let Ok(task) = std::env::var(TASK) else { return };
    let place = std::env::var(PLACE).unwrap();
    let folder = place.splitn(6, ' ').last().unwrap().to_owned();
    runtime().block_on(async {
        let drivers = drivers(&place);
        end_at(std::env::var(STEP).unwrap().parse().unwrap());
        let coordinator = coordinator(&drivers, Path::new(&folder)).await;
        if let Some(id) = task.strip_prefix("commit ") {
            let number = coordinator.number();
            let mut parts = Vec::new();
            for ((name, (driver, table, column)), branch) in ["shop", "store"].into_iter().zip(&drivers).zip(0..) {
                let begin = Begin::default().within(coordinator.id(number, branch));
                let transaction = insert(driver, table, column, begin, id).await;
                parts.push(Part { source: name.into(), driver: Arc::clone(driver), branch, transaction });
            }
            step("begun");
            coordinator.commit(number, parts).await.unwrap();
            println!("\ntold");
            step("told");
        } else {
            let until = Instant::now() + Duration::from_secs(60);
            while !coordinator.unsettled().is_empty() || prepared(&drivers).await > 0 {
                assert!(Instant::now() < until, "{:?}", coordinator.unsettled());
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        println!("\nthe end");
    });
}

/// What is there of a transaction.
#[derive(Debug, Default)]
struct Found {
    tried: u32,
    stored: u32,
    undone: u32,
}

fn everywhere_or_nowhere(store: Store) {
    if !store.is_there() {
        return;
    }
    let places = Places::new(store);
    let (ended, lines) = process(&places, "commit all", u32::MAX);
    assert!(ended, "{lines:?}");
    assert_eq!(holds(&places, "all"), [true, true]);
    let steps = u32::try_from(lines.iter().filter(|line| line.starts_with("step ")).count()).unwrap();
    assert!(steps >= 9, "{lines:?}");
    let mut table: BTreeMap<(u32, String), Found> = BTreeMap::new();
    for round in 0..rounds() {
        for step in 1..=steps {
            let id = format!("r{round}s{step}");
            let (_, lines) = process(&places, &format!("commit {id}"), step);
            let last = lines.iter().rev().find(|line| line.starts_with("step ")).unwrap();
            let name = last.splitn(3, ' ').nth(2).unwrap().to_owned();
            // The one that settles ends, too, sooner or later.
            process(&places, "settle", 1 + (step + round) % 3);
            let (ended, settled) = process(&places, "settle", u32::MAX);
            assert!(ended, "{settled:?}");
            let both = holds(&places, &id);
            assert_eq!(both[0], both[1], "{store:?}: ended {name}: {both:?}\n{lines:?}\n{settled:?}");
            assert_eq!(places.prepared(), 0, "{store:?}: ended {name}");
            assert!(both[0] || !lines.iter().any(|line| line == "told"), "{store:?}: {name}: it was told and is gone");
            let found = table.entry((step, name)).or_default();
            found.tried += 1;
            if both[0] { found.stored += 1 } else { found.undone += 1 }
        }
    }
    println!("{:<24}{:<44}{:>6}{:>8}{:>8}", format!("PostgreSQL and {store:?}"), "ended", "tried", "stored", "undone");
    for ((step, name), Found { tried, stored, undone }) in &table {
        println!("{step:<24}{name:<44}{tried:>6}{stored:>8}{undone:>8}");
    }
    // A decision is made somewhere among the steps.
    assert!(table.values().any(|found| found.stored > 0) && table.values().any(|found| found.undone > 0));
}

/// Whether each source has the row.
fn holds(places: &Places, id: &str) -> [bool; 2] {
    let row = format!("{id}=7");
    [places.orders().contains(&row), places.parts().unwrap().contains(&row)]
}

#[test]
fn two_postgres_databases() {
    everywhere_or_nowhere(Store::Postgres);
}

#[test]
fn postgres_and_sqlite() {
    everywhere_or_nowhere(Store::Sqlite);
}

#[test]
fn postgres_and_mariadb() {
    everywhere_or_nowhere(Store::MariaDb);
}

#[test]
fn postgres_and_mongodb() {
    everywhere_or_nowhere(Store::MongoDb);
}
