//! Changes by key over tables whose metadata `querygate introspect` wrote: new rows, updates, deletes and upserts, as literals and as
//! parameters, through the Postgres door and Flight SQL, one set of values and many. Each is compared with a model of what it does.

#[path = "keys/model.rs"]
mod model;
#[path = "keys/tables.rs"]
mod tables;
#[path = "keys/ways.rs"]
mod ways;

use crate::client::{Flight, basic, channel, handshake};
use crate::mongodb_server::{PASSWORD as MONGODB_PASSWORD, Server as MongoDb, USER, WRITER};
use crate::servers::{client_of, introspected};
use crate::source::{Kind, PASSWORD, Source, add};
use futures::TryStreamExt as _;
use model::{FORMS, SETS, Store, apply};
use mongodb::bson::{Bson, Document, doc};
use querygate_tests::server::{Server, runtime};
use tables::{BY_NUMBER, BY_PAIR, BY_TEXT, Keyed, declared, start};
use tempfile::TempDir;
use ways::{Change, Doors, WAYS};

/// The rows of a table in its source.
trait Rows {
    fn reset(&self, table: &Keyed);
    fn stored(&self, table: &Keyed) -> Vec<String>;
}

impl Rows for Source {
    fn reset(&self, table: &Keyed) {
        self.run(&table.reset());
    }

    fn stored(&self, table: &Keyed) -> Vec<String> {
        Self::stored(self, &table.stored())
    }
}

impl Rows for MongoDb {
    fn reset(&self, table: &Keyed) {
        runtime().block_on(async {
            let collection = self.admin("shop").collection::<Document>(table.name);
            collection.delete_many(doc! {}).await.unwrap();
            let rows = start().into_iter().map(|(at, row)| {
                let key = table.keys[at][0];
                let key = if table.fields[0].1 { Bson::Int64(key.parse().unwrap()) } else { Bson::from(key) };
                doc! { "_id": key, "region": row.region, "title": row.title, "amount": row.amount }
            });
            collection.insert_many(rows).await.unwrap();
        });
    }

    fn stored(&self, table: &Keyed) -> Vec<String> {
        let rows: Vec<Document> = runtime().block_on(async {
            let found = self.admin("shop").collection::<Document>(table.name).find(doc! {}).await.unwrap();
            found.try_collect().await.unwrap()
        });
        let text = |value: Option<&Bson>| match value {
            None | Some(Bson::Null) => "-".to_owned(),
            Some(Bson::String(text)) => text.clone(),
            Some(Bson::Int64(number)) => number.to_string(),
            Some(Bson::Int32(number)) => number.to_string(),
            Some(other) => panic!("{other:?}"),
        };
        let print = |row: Document| ["_id", "region", "title", "amount"].map(|name| text(row.get(name))).join("|");
        rows.into_iter().map(print).collect()
    }
}

/// Serves tables as introspection describes them, opened for changes of rows of the user's own region.
fn serve(folder: &TempDir, address: &str, entry: &str) -> Server {
    introspected(folder.path(), address, "shop");
    let config = format!(
        "[server]\ndatabase = \"shop\"\n[metadata]\npath = \"metadata\"\n[writes]\nenabled = true\n{entry}\
         [[users]]\nname = \"omar\"\npermission_sets = [\"shop_reader\"]\nattributes = {{ region = \"eu\" }}\n"
    );
    std::fs::write(folder.path().join("querygate.toml"), config).unwrap();
    add(folder.path(), "omar");
    Server::serve(&folder.path().join("querygate.toml"))
}

/// Runs each form in all ways, and says how often that was.
fn compare(server: &Server, rows: &dyn Rows, tables: &[Keyed]) -> usize {
    let client = client_of(server, "omar");
    let flight = runtime().block_on(async {
        let token = handshake(server.flight, &basic("omar", PASSWORD, false)).await.unwrap();
        Flight { channel: channel(server.flight).await, token }
    });
    let doors = Doors { client: &client, flight: &flight };
    let (mut runs, mut wrong) = (0, Vec::new());
    for table in tables {
        rows.reset(table);
        for form in FORMS {
            let conditions = match form {
                model::Form::Update | model::Form::Delete => table.conditions,
                model::Form::Insert | model::Form::Upsert | model::Form::Keep => &table.conditions[..1],
            };
            let sets = SETS.into_iter().filter(|sets| !table.numbers_rows || sets.iter().all(|set| set.row.is_some()));
            let sets: Vec<_> = sets.collect();
            for (condition, sets) in conditions.iter().flat_map(|condition| sets.iter().map(|sets| (*condition, *sets)))
            {
                let change = Change { table, form, condition };
                let mut expected: Store = start();
                let count = apply(form, sets, &mut expected).map_err(str::to_owned);
                let expected = table.printed(&expected);
                for way in WAYS.into_iter().filter(|way| sets.len() == 1 || way.takes_sets()) {
                    let told = runtime().block_on(change.run(&doors, way, sets));
                    let mut stored = rows.stored(table);
                    stored.sort();
                    let is_told = match (&told, &count) {
                        (Ok(told), Ok(count)) => told == count,
                        (Err(told), Err(code)) => told.starts_with(code.as_str()),
                        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
                    };
                    if !is_told || stored != expected {
                        wrong.push(format!(
                            "{change:?} {way:?} {sets:?}: {told:?} for {count:?}: {stored:?} for {expected:?}"
                        ));
                    }
                    if stored != table.printed(&start()) {
                        rows.reset(table);
                    }
                    runs += 1;
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {runs}:\n{}", wrong.len(), wrong.join("\n"));
    runs
}

fn compare_over(kind: Kind) {
    let folder = TempDir::new().unwrap();
    let source = Source::made(kind, folder.path(), &declared(kind));
    let server = serve(&folder, &source.address(), &source.entry(true));
    let by_number = Keyed { numbers_rows: kind == Kind::Sqlite, ..BY_NUMBER };
    let runs = compare(&server, &source, &[by_number, BY_TEXT, BY_PAIR]);
    assert!(runs >= 900, "{kind:?}: only {runs}");
}

#[test]
fn changes_by_key_are_the_same_in_all_forms_over_sqlite() {
    compare_over(Kind::Sqlite);
}

#[test]
fn changes_by_key_are_the_same_in_all_forms_over_postgres() {
    compare_over(Kind::Postgres);
}

#[test]
fn changes_by_key_are_the_same_in_all_forms_over_mariadb() {
    compare_over(Kind::MariaDb);
}

#[test]
fn changes_by_key_are_the_same_in_all_forms_over_documents() {
    let Some(database) = runtime().block_on(MongoDb::start_replicated()) else { return };
    let tables = [BY_NUMBER, BY_TEXT];
    tables.iter().for_each(|table| database.reset(table));
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("login"), MONGODB_PASSWORD).unwrap();
    let address = format!("mongodb://{USER}@127.0.0.1:{}/shop?authSource=admin&directConnection=true", database.port);
    let entry = format!(
        "[[sources]]\nname = \"shop\"\nkind = \"mongodb\"\nurl = \"{address}\"\ndatabase = \"shop\"\npassword = \"file:login\"\n\
         writes = true\nwrite_user = \"{WRITER}\"\nwrite_password = \"file:login\"\n"
    );
    let server = serve(&folder, &address, &entry);
    let runs = compare(&server, &database, &tables);
    assert!(runs >= 600, "only {runs}");
}
