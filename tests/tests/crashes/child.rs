//! A process that commits a transaction of two sources, or settles what is left of one: this test binary, with the one test
//! `a_process_that_ends`, which does nothing without a task.

use crate::aborting::{Aborting, WAITING, end_at, step};
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
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a process is to do: `commit ID` or `settle`.
const TASK: &str = "QUERYGATE_CRASH_TASK";
const STEP: &str = "QUERYGATE_CRASH_STEP";
const PLACE: &str = "QUERYGATE_CRASH_PLACE";
const WAITS: &str = "QUERYGATE_CRASH_WAITS";

const GATE: GateId = GateId::new(0xc4a5);

/// The places of a test, as a process is given them.
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

/// What a process does at one of its steps.
pub(crate) enum At<'a> {
    /// It ends.
    End(u32),
    /// It waits until this was done.
    Wait(u32, &'a dyn Fn()),
    /// Nothing.
    Nothing,
}

/// What a process said.
pub(crate) struct Said {
    /// It came to its end.
    pub(crate) ended: bool,
    pub(crate) lines: Vec<String>,
}

impl Said {
    pub(crate) fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|own| own == line)
    }

    /// Its last step.
    pub(crate) fn last_step(&self) -> String {
        let last = self.lines.iter().rev().find(|line| line.starts_with("step ")).expect("it took a step");
        last.splitn(3, ' ').nth(2).unwrap().to_owned()
    }

    /// The name of one of its steps.
    pub(crate) fn step(&self, number: u32) -> Option<&str> {
        let start = format!("step {number} ");
        self.lines.iter().find_map(|line| line.strip_prefix(&start))
    }

    pub(crate) fn steps(&self) -> u32 {
        u32::try_from(self.lines.iter().filter(|line| line.starts_with("step ")).count()).unwrap()
    }
}

/// Runs a process to its end, or to the step at which it ends.
pub(crate) fn process(places: &Places, task: &str, at: &At<'_>) -> Said {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child::a_process_that_ends", "--ignored", "--nocapture"]);
    let (number, waits) = match at {
        At::End(step) => (*step, false),
        At::Wait(step, _) => (*step, true),
        At::Nothing => (u32::MAX, false),
    };
    command.env(TASK, task).env(STEP, number.to_string()).env(PLACE, place(places));
    command.env(WAITS, if waits { "yes" } else { "no" });
    let errors = places.folder.path().join("stderr");
    command.stderr(std::fs::File::create(&errors).unwrap());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let (At::Wait(_, happens), WAITING) = (at, line.as_str()) {
            happens();
            // What waits may be in the background of a process that has come to its end meanwhile.
            drop(stdin.write_all(b"\n"));
        }
        lines.push(line);
    }
    let status = child.wait().unwrap();
    let said = Said { ended: lines.iter().any(|line| line.ends_with("the end")), lines };
    // It ends well, or where it is to.
    let aborted = !waits && !status.success() && said.step(number).is_some();
    let errors = || std::fs::read_to_string(&errors).unwrap_or_default();
    assert!(said.ended || aborted, "{task}: {:?}\n{}", said.lines, errors());
    said
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

/// What sources keep prepared of the gate; of one that does not say it, something.
async fn prepared(drivers: &[(Arc<dyn Driver>, TableRef, &'static str); 2]) -> usize {
    let mut count = 0;
    for (driver, _, _) in drivers {
        let writer = driver.writer().unwrap();
        if writer.capabilities().prepare == Prepare::Prepared {
            count += writer.prepared(GATE, &ExecuteContext::default()).await.map_or(1, |found| found.len());
        }
    }
    count
}

/// What a process with a task does.
#[test]
#[ignore = "it is run by the others"]
fn a_process_that_ends() {
    let Ok(task) = std::env::var(TASK) else { return };
    let place = std::env::var(PLACE).unwrap();
    let folder = place.splitn(6, ' ').last().unwrap().to_owned();
    runtime().block_on(async {
        let drivers = drivers(&place);
        end_at(std::env::var(STEP).unwrap().parse().unwrap(), std::env::var(WAITS).unwrap() == "yes");
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
            match coordinator.commit(number, parts).await {
                Ok(()) => println!("\ntold"),
                Err(error) => println!("\nrefused {}", error.code().sqlstate()),
            }
            step("answered");
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
