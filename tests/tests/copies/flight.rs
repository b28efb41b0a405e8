//! Rows by CommandStatementIngest: the same entrance, from Arrow.

use crate::shop::Shop;
use crate::source::{Kind, PASSWORD};
use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
};
use arrow::datatypes::{Int32Type, UInt32Type};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    CommandStatementIngest, SqlInfo, TableDefinitionOptions, TableExistsOption, TableNotExistOption,
};
use futures::{TryStreamExt, stream};
use querygate_tests::server::runtime;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::block_in_place;
use tonic::transport::{Channel, Endpoint};

async fn client(shop: &Shop, user: &str) -> FlightSqlServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", shop.flight())).unwrap();
    let mut client = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
    client.handshake(user, PASSWORD).await.unwrap();
    client
}

fn append(table: &str) -> CommandStatementIngest {
    let options = TableDefinitionOptions {
        if_not_exist: TableNotExistOption::Fail as i32,
        if_exists: TableExistsOption::Append as i32,
    };
    CommandStatementIngest { table_definition_options: Some(options), table: table.to_owned(), ..Default::default() }
}

/// The number of stored rows, or the error's SQLSTATE and text.
async fn ingest(
    client: &mut FlightSqlServiceClient<Channel>,
    command: CommandStatementIngest,
    batches: Vec<RecordBatch>,
) -> Result<i64, (String, String)> {
    match client.execute_ingest(command, stream::iter(batches.into_iter().map(Ok))).await {
        Ok(count) => Ok(count),
        Err(FlightError::Tonic(status)) => {
            let code = status.metadata().get("querygate-sqlstate").and_then(|code| code.to_str().ok());
            Err((code.unwrap_or_default().to_owned(), status.message().to_owned()))
        }
        Err(other) => panic!("{other}"),
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

#[test]
fn batches_are_appended_with_the_casts_of_an_insert() {
    let shop = Shop::new(Kind::Sqlite, true);
    let regions: DictionaryArray<Int32Type> = [Some("eu"), None].into_iter().collect();
    let orders = batch(vec![
        ("placed_on", Arc::new(Date32Array::from(vec![Some(20_454), None]))),
        ("id", texts(&[Some("f1"), Some("f2")])),
        ("region", Arc::new(regions)),
        ("total", Arc::new(Float64Array::from(vec![Some(12.5), None]))),
    ]);
    let items = batch(vec![
        ("id", texts(&[Some("i1")])),
        ("order_id", texts(&[Some("f1")])),
        ("paid", Arc::new(BooleanArray::from(vec![true]))),
        ("weight", Arc::new(Int32Array::from(vec![3]))),
    ]);
    let many: Vec<RecordBatch> = (0..3)
        .map(|part| {
            let ids: Vec<String> = (0..10_000).map(|at| format!("p{part}-{at}")).collect();
            batch(vec![("id", Arc::new(StringArray::from(ids)) as ArrayRef)])
        })
        .collect();
    runtime().block_on(async {
        let mut nora = client(&shop, "nora").await;
        assert_eq!(ingest(&mut nora, append("orders"), vec![orders]).await, Ok(2));
        let named = CommandStatementIngest {
            schema: Some("public".to_owned()),
            catalog: Some("shop".to_owned()),
            ..append("items")
        };
        assert_eq!(ingest(&mut nora, named, vec![items]).await, Ok(1));
        assert_eq!(ingest(&mut nora, append("items"), many).await, Ok(30_000));
    });
    assert_eq!(shop.orders()[..2], ["f1||eu|12.5||2026-01-01", "f2|||||"]);
    let stored = shop.stored("SELECT concat_ws('|', order_id, paid, weight, note) FROM items WHERE id = 'i1'");
    assert_eq!(stored, ["f1|1|3.0|none"]);
    assert_eq!(shop.count("items"), 30_001);
}

#[test]
fn what_does_not_fit_stores_nothing() {
    let shop = Shop::new(Kind::Sqlite, true);
    let before = shop.orders();
    let good = || batch(vec![("id", texts(&[Some("n1")])), ("region", texts(&[Some("eu")]))]);
    let with = |name: &'static str, array: ArrayRef| batch(vec![("id", texts(&[Some("n1")])), (name, array)]);
    let options = |if_not_exist: TableNotExistOption, if_exists: TableExistsOption| CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: if_not_exist as i32,
            if_exists: if_exists as i32,
        }),
        ..append("orders")
    };
    let (fail, add) = (TableNotExistOption::Fail, TableExistsOption::Append);
    let cases: Vec<(&str, CommandStatementIngest, Vec<RecordBatch>, &str)> = vec![
        ("omar", append("orders"), vec![good(), with("region", texts(&[Some("us")]))], "42501"),
        ("omar", append("orders"), vec![with("customer", texts(&[Some("x")]))], "42703"),
        ("nora", append("orders"), vec![with("surplus", texts(&[Some("x")]))], "42703"),
        ("nora", append("orders"), vec![with("placed_on", texts(&[Some("2026-01-01")]))], "42804"),
        ("nora", append("orders"), vec![with("total", Arc::new(Float64Array::from(vec![1e30])))], "22003"),
        ("nora", append("orders"), vec![good(), good()], "23505"),
        ("rita", append("orders"), vec![good()], "42501"),
        ("nora", append("payroll"), vec![good()], "42P01"),
        ("nora", CommandStatementIngest { temporary: true, ..append("orders") }, vec![good()], "0A000"),
        (
            "nora",
            CommandStatementIngest { table: "nowhere".to_owned(), ..options(TableNotExistOption::Create, add) },
            vec![good()],
            "0A000",
        ),
        ("nora", options(fail, TableExistsOption::Replace), vec![good()], "0A000"),
    ];
    for (user, command, batches, expected) in cases {
        let shown = format!("{user} {command:?}");
        let refused = runtime().block_on(async {
            let mut client = client(&shop, user).await;
            ingest(&mut client, command, batches).await
        });
        assert_eq!(refused.unwrap_err().0, expected, "{shown}");
        assert_eq!(shop.orders(), before, "{shown}");
    }
}

/// The number of changed rows, or the SQLSTATE.
async fn changed(client: &mut FlightSqlServiceClient<Channel>, sql: &str, values: RecordBatch) -> Result<i64, String> {
    let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
    prepared.set_parameters(values).unwrap();
    prepared.execute_update().await.map_err(|error| match error {
        FlightError::Tonic(status) => status
            .metadata()
            .get("querygate-sqlstate")
            .and_then(|code| code.to_str().ok())
            .unwrap_or_default()
            .to_owned(),
        other => panic!("{other}"),
    })
}

#[test]
fn many_sets_of_values_are_one_change() {
    [Kind::Sqlite, Kind::Postgres, Kind::MariaDb].into_iter().for_each(sets_are_one_change);
}

fn sets_are_one_change(kind: Kind) {
    let shop = Shop::new(kind, true);
    let before = shop.orders();
    let two = |a: &[Option<&str>], b: &[Option<&str>]| batch(vec![("1", texts(a)), ("2", texts(b))]);
    let one = |a: &[Option<&str>]| batch(vec![("1", texts(a))]);
    runtime().block_on(async {
        let mut nora = client(&shop, "nora").await;
        let insert = "INSERT INTO orders (id, region) VALUES ($1, $2)";
        // The last set is refused, so none is stored.
        let refused = changed(&mut nora, insert, two(&[Some("s1"), Some("o1")], &[Some("eu"), None])).await;
        let stored = block_in_place(|| shop.orders());
        assert_eq!((refused, stored), (Err("23505".to_owned()), before.clone()));
        assert_eq!(changed(&mut nora, insert, two(&[Some("s1"), Some("s2")], &[Some("eu"), None])).await, Ok(2));
        let computed = "INSERT INTO orders (id, region) VALUES ($1 || 'x', upper($2))";
        assert_eq!(
            changed(&mut nora, computed, two(&[Some("s3"), Some("s4")], &[Some("eu"), Some("us")])).await,
            Ok(2)
        );
        let ids = &[Some("s1"), Some("s9"), Some("s2")];
        let update = "UPDATE orders SET region = $1 WHERE id = $2";
        assert_eq!(changed(&mut nora, update, two(&[Some("a"), Some("b"), Some("c")], ids)).await, Ok(2));
        let twice = changed(&mut nora, update, two(&[Some("d"), Some("e")], &[Some("s1"), Some("s1")])).await;
        // An update runs set by set, so that the last one counts.
        assert_eq!(twice, Ok(2));
        assert_eq!(block_in_place(|| shop.orders())[3..], ["s1||e|||", "s2||c|||", "s3x||EU|||", "s4x||US|||"]);
        let delete = "DELETE FROM orders WHERE id LIKE $1";
        assert_eq!(changed(&mut nora, delete, one(&[Some("s1%"), Some("s%")])).await, Ok(4));
        let mut omar = client(&shop, "omar").await;
        let outside = changed(&mut omar, insert, two(&[Some("s1"), Some("s2")], &[Some("eu"), Some("us")])).await;
        assert_eq!(outside, Err("42501".to_owned()));
    });
    assert_eq!(shop.orders(), before);
}

const WANTED: [SqlInfo; 2] = [SqlInfo::FlightSqlServerReadOnly, SqlInfo::FlightSqlServerBulkIngestion];

#[test]
fn the_server_says_whether_it_takes_rows() {
    for writes in [true, false] {
        let shop = Shop::new(Kind::Sqlite, writes);
        let said = runtime().block_on(async {
            let mut nora = client(&shop, "nora").await;
            let info = nora.get_sql_info(WANTED.to_vec()).await.unwrap();
            let ticket = info.endpoint[0].ticket.clone().unwrap();
            let batches: Vec<RecordBatch> = nora.do_get(ticket).await.unwrap().try_collect().await.unwrap();
            let batch = &batches[0];
            let names = batch.column(0).as_primitive::<UInt32Type>().values().to_vec();
            let values = (0..batch.num_rows()).map(|row| batch.column(1).as_union().value(row).as_boolean().value(0));
            names.into_iter().zip(values).collect::<BTreeMap<_, _>>()
        });
        let expected = [
            (SqlInfo::FlightSqlServerReadOnly as u32, !writes),
            (SqlInfo::FlightSqlServerBulkIngestion as u32, writes),
        ];
        assert_eq!(said, BTreeMap::from(expected));
        let refused = runtime().block_on(async {
            let mut nora = client(&shop, "nora").await;
            let rows = batch(vec![("id", texts(&[Some("x1")]))]);
            ingest(&mut nora, append("orders"), vec![rows]).await
        });
        assert_eq!(refused.map_err(|(code, _)| code), if writes { Ok(1) } else { Err("0A000".to_owned()) });
    }
}
