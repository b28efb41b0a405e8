//! Statements, parameters, transactions and options through Flight SQL.

use crate::client::{Failure, Flight, packed, statement, ticket};
use crate::text::cells;
use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray, StringDictionaryBuilder,
};
use arrow::datatypes::{Int8Type, Schema};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, CommandPreparedStatementQuery, CommandStatementIngest,
    CommandStatementSubstraitPlan, CommandStatementUpdate, DoPutUpdateResult, ProstMessageExt, TableDefinitionOptions,
};
use arrow_flight::{FlightData, FlightDescriptor, IpcMessage};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use prost::Message as _;
use querygate_tests::server::{demo, runtime};
use std::sync::Arc;
use tonic::Code;

fn texts(rows: &[&[&str]]) -> Vec<Vec<Option<String>>> {
    rows.iter().map(|row| row.iter().map(|cell| Some((*cell).to_owned())).collect()).collect()
}

/// Messages that put a batch with a command.
async fn put_messages(command: &impl ProstMessageExt, batch: &RecordBatch) -> Vec<FlightData> {
    let descriptor = FlightDescriptor::new_cmd(packed(command));
    let builder = FlightDataEncoderBuilder::new().with_flight_descriptor(Some(descriptor)).with_schema(batch.schema());
    builder.build(stream::iter([Ok(batch.clone())])).try_collect().await.unwrap()
}

/// Prepares, binds and runs.
async fn with_values(flight: &Flight, sql: &str, batch: &RecordBatch) -> Result<Vec<Vec<Option<String>>>, Failure> {
    let prepared = flight.prepare(sql).await?;
    let command = CommandPreparedStatementQuery { prepared_statement_handle: prepared.prepared_statement_handle };
    flight.put(put_messages(&command, batch).await).await?;
    flight.run(&command).await.map(|table| cells(&table))
}

fn values(columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_from_iter(columns.into_iter().enumerate().map(|(at, column)| (at.to_string(), column))).unwrap()
}

#[test]
fn an_error_has_its_status_its_sqlstate_and_its_text() {
    runtime().block_on(async {
        let sam = Flight::login(&demo().server, "sam").await;
        for (sql, grpc, sqlstate) in [
            ("SELEC 1", Code::InvalidArgument, "42601"),
            ("", Code::InvalidArgument, "42601"),
            ("SELECT 1; SELECT 2", Code::InvalidArgument, "42601"),
            ("SELECT nothing FROM accounts", Code::InvalidArgument, "42703"),
            ("SELECT * FROM nowhere", Code::NotFound, "42P01"),
            ("SELECT 1/0", Code::OutOfRange, "22012"),
            ("INSERT INTO accounts (id) VALUES ('x')", Code::Unimplemented, "0A000"),
            ("CREATE TABLE x (a int)", Code::Unimplemented, "0A000"),
            ("COPY accounts TO STDOUT", Code::Unimplemented, "0A000"),
            ("SET no_such_setting = 1", Code::NotFound, "42704"),
        ] {
            let failure = sam.query(sql).await.unwrap_err();
            assert_eq!((failure.grpc, failure.sqlstate.as_str()), (grpc, sqlstate), "{sql}: {failure:?}");
            assert!(failure.message.contains(&format!("(SQLSTATE {sqlstate})")), "{failure:?}");
        }
    });
}

#[test]
fn a_prepared_statement_runs_with_each_row_of_values() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let prepared = ada.prepare("SELECT $1::bigint * 2 AS twice, $2 || '!' AS loud").await.unwrap();
        let parameters: Schema = IpcMessage(prepared.parameter_schema.clone()).try_into().unwrap();
        let names: Vec<&str> = parameters.fields().iter().map(|f| f.name().as_str()).collect();
        assert_eq!(names, ["$1", "$2"]);
        let result: Schema = IpcMessage(prepared.dataset_schema.clone()).try_into().unwrap();
        assert_eq!(result.field(0).name(), "twice");
        assert_eq!(result.field(0).metadata()["ARROW:FLIGHT:SQL:TYPE_NAME"], "int8");
        let command =
            CommandPreparedStatementQuery { prepared_statement_handle: prepared.prepared_statement_handle.clone() };
        let batch = values(vec![
            Arc::new(Int64Array::from(vec![1, 2, 3])),
            Arc::new(StringArray::from(vec![Some("a"), Some("b"), None])),
        ]);
        ada.put(put_messages(&command, &batch).await).await.unwrap();
        let rows = cells(&ada.run(&command).await.unwrap());
        assert_eq!(rows[..2], texts(&[&["2", "a!"], &["4", "b!"]]));
        assert_eq!(rows[2], [Some("6".to_owned()), None]);
        // Bound until bound anew; closed, it is gone.
        assert_eq!(cells(&ada.run(&command).await.unwrap()), rows);
        let close =
            ActionClosePreparedStatementRequest { prepared_statement_handle: prepared.prepared_statement_handle };
        for _ in 0..2 {
            ada.act("ClosePreparedStatement", packed(&close)).await.unwrap();
        }
        assert_eq!(ada.info(&command).await.unwrap_err().sqlstate, "26000");
    });
}

#[test]
fn values_are_cast_to_what_the_statement_takes_or_refused() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let number = |n: i64| values(vec![Arc::new(Int64Array::from(vec![n]))]);
        let text = |t: &str| values(vec![Arc::new(StringArray::from(vec![t]))]);
        let float = |x: f64| values(vec![Arc::new(Float64Array::from(vec![x]))]);
        let mut words = StringDictionaryBuilder::<Int8Type>::new();
        words.append_value("retail");
        let word = values(vec![Arc::new(words.finish())]);
        let day = values(vec![Arc::new(Date32Array::from(vec![19_723]))]);
        let texts = |first: &str, second: &str| {
            values(vec![Arc::new(StringArray::from(vec![first])), Arc::new(StringArray::from(vec![second]))])
        };
        let decimal = |digits: i128, scale| -> ArrayRef {
            Arc::new(Decimal128Array::from(vec![digits]).with_precision_and_scale(38, scale).unwrap())
        };
        let place =
            |text: &str| values(vec![Arc::new(StringArray::from(vec![text])), Arc::new(Int64Array::from(vec![1]))]);
        for (sql, batch, expected) in [
            ("SELECT $1::int", number(7), Ok("7")),
            ("SELECT $1::int", text("7"), Ok("7")),
            ("SELECT $1::date", day.clone(), Ok("2024-01-01")),
            ("SELECT $1::date", text("2024-02-29"), Ok("2024-02-29")),
            ("SELECT $1::float8", float(1.5), Ok("1.5")),
            ("SELECT $1", number(7), Ok("7")),
            // Of the type that the value is, where the statement says none.
            ("SELECT $1 < $2", values(vec![decimal(75, 1), decimal(100, 0)]), Ok("t")),
            ("SELECT $1 = $2", values(vec![decimal(25, 1), decimal(250, 2)]), Ok("t")),
            ("SELECT abs($1)", values(vec![decimal(-12_345_678_901_234_567_890, 20)]), Ok("0.12345678901234567890")),
            ("SELECT round($1)", values(vec![decimal(25, 1)]), Ok("3")),
            ("SELECT $1 + 1", day, Ok("2024-01-02")),
            ("SELECT to_json($1)", number(7), Ok("7")),
            ("SELECT $1::jsonb -> $2", place("[1,2]"), Ok("2")),
            // Texts are read as a type's texts are.
            ("SELECT length($1::bytea)", text("\\x0001"), Ok("2")),
            (
                "SELECT $1::uuid = $2",
                texts("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
                Ok("t"),
            ),
            ("SELECT $1::timestamp", text("2024-02-29 12:34:56+02"), Ok("2024-02-29 12:34:56")),
            ("SELECT count(*) > 0 FROM accounts WHERE industry = $1", word, Ok("t")),
            ("SELECT $1::int", number(1 << 40), Err("22003")),
            ("SELECT $1::int", text("seven"), Err("22P02")),
            ("SELECT 1", number(7), Err("08P01")),
            ("SELECT $1::int + $2::int", number(7), Err("08P01")),
        ] {
            let found = with_values(&ada, sql, &batch).await;
            match (&found, expected) {
                (Ok(rows), Ok(text)) => assert_eq!(rows[0][0].as_deref(), Some(text), "{sql}"),
                (Err(failure), Err(sqlstate)) => assert_eq!(failure.sqlstate, sqlstate, "{sql}: {failure:?}"),
                (Ok(_), Err(_)) | (Err(_), Ok(_)) => panic!("{sql}: {found:?}, expected {expected:?}"),
            }
        }
    });
}

#[test]
fn another_session_has_a_ticket_of_the_same_user_and_no_statement_or_transaction() {
    runtime().block_on(async {
        let (one, two) = (Flight::login(&demo().server, "ada").await, Flight::login(&demo().server, "ada").await);
        let handle = one.prepare("SELECT 1").await.unwrap().prepared_statement_handle;
        let command = CommandPreparedStatementQuery { prepared_statement_handle: handle };
        assert_eq!(two.info(&command).await.unwrap_err().sqlstate, "26000");
        let theirs = ticket(&one.info(&command).await.unwrap());
        assert_eq!(two.get(theirs.clone()).await.unwrap().rows(), 1);
        let stranger = Flight::login(&demo().server, "sam").await;
        assert_eq!(stranger.get(theirs).await.unwrap_err().sqlstate, "28000");
        let transaction = one.begin().await.unwrap();
        assert_eq!(two.query_in(&transaction, "SELECT 1").await.unwrap_err().sqlstate, "25P01");
        assert_eq!(two.end(&transaction, 1).await.unwrap_err().sqlstate, "25P01");
        assert_eq!(one.query_in(&transaction, "SELECT 1").await.unwrap().rows(), 1);
    });
}

#[test]
fn transactions_fail_end_and_run_side_by_side() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let (one, two) = (ada.begin().await.unwrap(), ada.begin().await.unwrap());
        assert_ne!(one, two);
        assert_eq!(ada.query_in(&one, "SELECT 1/0").await.unwrap_err().sqlstate, "22012");
        let failed = ada.query_in(&one, "SELECT 1").await.unwrap_err();
        assert_eq!((failed.grpc, failed.sqlstate.as_str()), (Code::FailedPrecondition, "25P02"));
        assert_eq!(ada.query_in(&two, "SELECT 1").await.unwrap().rows(), 1);
        for (transaction, action, expected) in [
            (&one, 0, Err("08P01")),
            (&one, 9, Err("0A000")),
            (&one, 2, Ok(())),
            (&one, 2, Err("25P01")),
            (&two, 1, Ok(())),
        ] {
            let ended = ada.end(transaction, action).await.map_err(|failure| failure.sqlstate);
            assert_eq!(ended, expected.map_err(str::to_owned), "{action}");
        }
        assert_eq!(ada.query("SELECT 1").await.unwrap().rows(), 1);
    });
}

#[test]
fn settings_live_in_the_session_through_its_transactions() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let zone = async |transaction: &Bytes| {
            cells(&ada.query_in(transaction, "SHOW TimeZone").await.unwrap())[0][0].clone().unwrap()
        };
        let first = ada.begin().await.unwrap();
        assert_eq!(ada.query_in(&first, "SET TimeZone = 'Europe/Berlin'").await.unwrap().rows(), 0);
        ada.end(&first, 1).await.unwrap();
        let second = ada.begin().await.unwrap();
        assert_eq!(zone(&second).await, "Europe/Berlin");
        ada.query_in(&second, "SET TimeZone = 'Asia/Tokyo'").await.unwrap();
        ada.end(&second, 2).await.unwrap();
        assert_eq!(zone(&ada.begin().await.unwrap()).await, "Europe/Berlin");
    });
}

#[test]
fn a_schema_can_be_asked_for_and_a_poll_is_done_at_once() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let command = statement("SELECT id, name FROM accounts ORDER BY id LIMIT 3");
        let request = ada.request(FlightDescriptor::new_cmd(packed(&command)));
        let schema: Schema = ada.service().get_schema(request).await.unwrap().into_inner().try_into().unwrap();
        let request = ada.request(FlightDescriptor::new_cmd(packed(&command)));
        let poll = ada.service().poll_flight_info(request).await.unwrap().into_inner();
        assert_eq!((poll.flight_descriptor, poll.progress), (None, Some(1.0)));
        let table = ada.get(ticket(&poll.info.unwrap())).await.unwrap();
        assert_eq!((table.rows(), table.schema.as_ref()), (3, &schema));
    });
}

#[test]
fn what_writes_is_refused_and_a_command_is_an_update() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let empty = values(vec![Arc::new(Int64Array::from(vec![1]))]);
        let update = |sql: &str| CommandStatementUpdate { query: sql.to_owned(), transaction_id: None };
        for sql in ["DELETE FROM accounts", "UPDATE accounts SET name = 'x'", "SELECT 1", "DROP TABLE accounts"] {
            let failure = ada.put(put_messages(&update(sql), &empty).await).await.unwrap_err();
            assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::Unimplemented, "0A000"), "{sql}");
        }
        let answer = ada.put(put_messages(&update("SET TimeZone = 'UTC'"), &empty).await).await.unwrap();
        assert_eq!(DoPutUpdateResult::decode(answer).unwrap().record_count, 0);
        // What is done about a table that is missing, or there: fail, append.
        let append = TableDefinitionOptions { if_not_exist: 2, if_exists: 2 };
        for (options, sqlstate) in [(Some(append), "0A000"), (None, "08P01")] {
            let ingest = CommandStatementIngest {
                table: "accounts".to_owned(),
                table_definition_options: options,
                ..CommandStatementIngest::default()
            };
            let failure = ada.put(put_messages(&ingest, &empty).await).await.unwrap_err();
            assert_eq!(failure.sqlstate, sqlstate);
        }
        let failure = ada.info(&CommandStatementSubstraitPlan::default()).await.unwrap_err();
        assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::Unimplemented, "0A000"));
        for action in ["CreatePreparedSubstraitPlan", "BeginSavepoint", "NoSuchAction", ""] {
            let failure = ada.act(action, Vec::new()).await.unwrap_err();
            assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::Unimplemented, "0A000"), "{action}");
        }
    });
}

/// `arrow.flight.protocol.SetSessionOptionsRequest` with one text option, written out.
fn set_option(name: &str, value: &str) -> Vec<u8> {
    let field = |tag: u8, bytes: &[u8]| [&[tag, u8::try_from(bytes.len()).unwrap()], bytes].concat();
    field(0x0a, &[field(0x0a, name.as_bytes()), field(0x12, &field(0x0a, value.as_bytes()))].concat())
}

#[test]
fn session_options_are_settings_with_their_errors() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        for (name, value, error) in [
            ("catalog", "demo", None),
            ("catalog", "other", Some(2)),
            ("schema", "pg_catalog", None),
            ("compression", "zstd", None),
            ("compression", "rar", Some(2)),
            ("TimeZone", "Europe/Berlin", None),
            ("TimeZone", "Nowhere/At_all", Some(2)),
            ("no_such_setting", "1", Some(1)),
        ] {
            let results = ada.act("SetSessionOptions", set_option(name, value)).await.unwrap();
            // A map entry of one error: name, then {value: error}.
            let found = results[0].last().copied().filter(|_| !results[0].is_empty());
            assert_eq!(found, error, "{name} = {value}: {:?}", results[0]);
        }
        let zone = ada.query("SHOW TimeZone").await.unwrap();
        assert_eq!(cells(&zone), texts(&[&["Europe/Berlin"]]));
        let results = ada.act("GetSessionOptions", Vec::new()).await.unwrap();
        let text = String::from_utf8_lossy(&results[0]).into_owned();
        assert!(["Europe/Berlin", "zstd", "demo"].iter().all(|value| text.contains(value)), "{text}");
        // Tables of another schema need their name now.
        assert_eq!(ada.query("SELECT 1 FROM accounts").await.unwrap_err().sqlstate, "42P01");
    });
}

/// A session's statements may come side by side: what each has changed stays, and one that fails takes back its own alone.
#[test]
fn changes_of_one_session_are_made_in_turn() {
    runtime().block_on(async {
        let sam = Flight::login(&demo().server, "sam").await;
        let empty = values(vec![Arc::new(Int64Array::from(vec![1]))]);
        let change = async |sql: String| {
            let update = CommandStatementUpdate { query: sql, transaction_id: None };
            sam.put(put_messages(&update, &empty).await).await
        };
        change("CREATE TEMP TABLE turns (x int, who text)".to_owned()).await.unwrap();
        let writer = async |who: &str| {
            for at in 0..20 {
                change(format!("INSERT INTO turns VALUES ({at}, '{who}')")).await.unwrap();
            }
        };
        let failing = async || {
            for _ in 0..20 {
                let failure = change("INSERT INTO turns VALUES ('x'::text::int, 'f')".to_owned()).await.unwrap_err();
                assert_eq!(failure.sqlstate, "22P02", "{failure:?}");
            }
        };
        futures::join!(writer("a"), writer("b"), failing());
        let sql = "SELECT who, count(*), count(DISTINCT x) FROM turns GROUP BY 1 ORDER BY 1";
        let table = sam.query(sql).await.unwrap();
        assert_eq!(cells(&table), texts(&[&["a", "20", "20"], &["b", "20", "20"]]));
    });
}
