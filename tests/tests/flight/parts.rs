//! Results in several endpoints: every row in exactly one of them, the same rows as through the Postgres door, and nothing
//! told by their number.

use crate::client::{Flight, Table, packed, statement, tickets};
use crate::text::cells;
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use querygate_tests::server::{DEMO_USERS, Variant, demo, runtime};
use std::path::PathBuf;
use tokio_postgres::{Client, SimpleQueryMessage};
use tonic::Code;

/// Tables of the demo that lie in Parquet files.
const PARQUET: [&str; 3] = ["events", "invoices", "invoice_lines"];

async fn at_postgres(client: &Client, sql: &str) -> Vec<Vec<Option<String>>> {
    let messages = client.simple_query(sql).await.unwrap();
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    sorted(rows.collect())
}

fn sorted(mut rows: Vec<Vec<Option<String>>>) -> Vec<Vec<Option<String>>> {
    rows.sort();
    rows
}

/// Tables of the demo that lie in SQLite, with a key.
const SQLITE: [&str; 5] = ["accounts", "contacts", "cases", "opportunities", "regions"];

/// Statements that treat rows of one table one by one.
fn plain(table: &str) -> Vec<String> {
    vec![
        format!("SELECT * FROM {table}"),
        format!("SELECT id, upper(id) AS u, length(id) + 1 AS l FROM {table} WHERE id LIKE '%7'"),
        format!("SELECT x.id FROM (SELECT id FROM {table} WHERE id > 'e') AS x WHERE length(x.id) < 100"),
        format!("SELECT id FROM {table} WHERE id = 'none of them'"),
    ]
}

#[test]
fn all_endpoints_together_give_each_principal_the_rows_of_the_postgres_door() {
    runtime().block_on(async {
        let (mut compared, mut rows, mut divided, mut filled) = (0, 0, 0, 0);
        for user in DEMO_USERS {
            let (postgres, flight) = (demo().server.client(user).await, Flight::login(&demo().server, user).await);
            for table in PARQUET {
                for sql in plain(table) {
                    // The largest table whole, for one user: more would only take longer.
                    if table == "events" && user == "ada" && sql.starts_with("SELECT *") {
                        continue;
                    }
                    let expected = at_postgres(&postgres, &sql).await;
                    for endpoints in ["2", "5"] {
                        let info = flight.divided(&sql, endpoints).await.unwrap();
                        // Which part a visible row is in would tell how many hidden ones lie before it.
                        let whole = user == "ada" && table != "invoice_lines";
                        let parts = if whole { endpoints } else { "1" };
                        assert_eq!(info.endpoint.len().to_string(), parts, "{user}: {sql}");
                        let mut parts = Vec::new();
                        for ticket in tickets(&info) {
                            parts.push(cells(&flight.get(ticket).await.unwrap()));
                        }
                        if whole {
                            divided += 1;
                            filled += parts.iter().filter(|part| !part.is_empty()).count();
                        }
                        let found = sorted(parts.concat());
                        assert!(found == expected, "{user}, {endpoints} endpoints: {sql}");
                        compared += 1;
                        rows += found.len();
                    }
                }
            }
        }
        println!("{compared} results compared, {rows} rows; {divided} divided, {filled} endpoints with rows");
        assert!(compared > 60 && rows > 100_000, "{compared} {rows}");
        assert!(divided > 10 && filled > divided, "{divided} {filled}");
    });
}

#[test]
fn ranges_of_a_key_together_give_each_principal_the_rows_of_the_postgres_door() {
    runtime().block_on(async {
        let (mut compared, mut divided, mut refused, mut rows) = (0, 0, 0, 0);
        for user in DEMO_USERS {
            let (postgres, flight) = (demo().server.client(user).await, Flight::login(&demo().server, user).await);
            for table in SQLITE {
                for sql in plain(table) {
                    let info = match flight.divided(&sql, "3").await {
                        Ok(info) => info,
                        Err(failure) => {
                            let code = postgres.simple_query(&sql).await.unwrap_err();
                            assert_eq!(code.code().unwrap().code(), failure.sqlstate, "{user}: {sql}");
                            refused += 1;
                            continue;
                        }
                    };
                    let expected = at_postgres(&postgres, &sql).await;
                    let found = sorted(cells(&flight.all(&info).await.unwrap()));
                    assert!(found == expected, "{user}, {} endpoints: {sql}", info.endpoint.len());
                    // How many rows there are is not said: they may come and go meanwhile.
                    assert_eq!(info.total_records, -1);
                    compared += 1;
                    divided += usize::from(info.endpoint.len() == 3);
                    rows += found.len();
                }
            }
        }
        println!("{compared} results compared, {divided} of three ranges, {refused} refused, {rows} rows");
        assert!(compared > 30 && divided > 15 && rows > 10_000, "{compared} {divided} {rows}");
    });
}

#[test]
fn a_large_result_is_divided_by_itself_and_counted_where_every_row_is_the_readers() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let postgres = demo().server.client("ada").await;
        let expected: i64 = postgres.query_one("SELECT count(*) FROM events", &[]).await.unwrap().get(0);
        let info = ada.info(&statement("SELECT id, kind FROM events")).await.unwrap();
        assert_eq!(info.total_records, expected);
        let processors = std::thread::available_parallelism().unwrap().get();
        assert_eq!(info.endpoint.len(), processors.min(2), "a part for each half million of rows");
        assert_eq!(i64::try_from(ada.all(&info).await.unwrap().rows()).unwrap(), expected);
        let few = ada.info(&statement("SELECT id FROM invoices")).await.unwrap();
        assert_eq!((few.endpoint.len(), few.total_records > 0), (1, true));
        let some = ada.info(&statement("SELECT id FROM events WHERE kind = 'page_view'")).await.unwrap();
        assert_eq!(some.total_records, -1, "how many pass a filter is not known before");
        // Whom policy hides rows from learns nothing of how many there are.
        for user in ["sam", "iris"] {
            let flight = Flight::login(&demo().server, user).await;
            let info = flight.info(&statement("SELECT id FROM events")).await.unwrap();
            assert_eq!((info.endpoint.len(), info.total_records), (1, -1), "{user}");
        }
    });
}

#[test]
fn what_looks_at_several_rows_comes_from_one_endpoint() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        for sql in [
            "SELECT id FROM invoices ORDER BY id",
            "SELECT id FROM invoices LIMIT 3",
            "SELECT DISTINCT id FROM invoices",
            "SELECT count(*) FROM invoices",
            "SELECT id, row_number() OVER () FROM invoices",
            "SELECT id FROM invoices WHERE id IN (SELECT invoice_id FROM invoice_lines)",
            "SELECT i.id FROM invoices i JOIN invoice_lines l ON l.invoice_id = i.id",
            "SELECT id FROM invoices UNION ALL SELECT id FROM invoices",
            "SELECT id, now() FROM invoices",
            "SELECT id, random() FROM invoices",
            "SELECT 1",
            "SHOW TimeZone",
        ] {
            let info = ada.divided(sql, "4").await.unwrap();
            assert_eq!((info.endpoint.len(), info.total_records), (1, -1), "{sql}");
        }
        let info = ada.divided("SELECT id FROM invoices ORDER BY id", "4").await.unwrap();
        let postgres = demo().server.client("ada").await;
        assert_eq!(
            sorted(cells(&ada.all(&info).await.unwrap())),
            at_postgres(&postgres, "SELECT id FROM invoices").await
        );
    });
}

#[test]
fn an_endpoint_can_be_fetched_again_by_its_user_only() {
    runtime().block_on(async {
        let (ada, iris) = (Flight::login(&demo().server, "ada").await, Flight::login(&demo().server, "iris").await);
        let info = ada.divided("SELECT id FROM invoices", "3").await.unwrap();
        assert_eq!(info.endpoint.len(), 3);
        for ticket in tickets(&info) {
            let rows = |table: &Table| sorted(cells(table));
            let first = rows(&ada.get(ticket.clone()).await.unwrap());
            assert_eq!(rows(&ada.get(ticket.clone()).await.unwrap()), first);
            let other = Flight::login(&demo().server, "ada").await;
            assert_eq!(rows(&other.get(ticket.clone()).await.unwrap()), first);
            assert_eq!(iris.get(ticket).await.unwrap_err().sqlstate, "28000");
        }
    });
}

#[test]
fn the_number_of_endpoints_is_an_option_too_and_bounded() {
    let variant = Variant::new(|config| config + "\n[flight]\nendpoint_max = 1\n");
    let server = variant.serve();
    runtime().block_on(async {
        let ada = Flight::login(&server, "ada").await;
        let count = async |endpoints: Option<&str>| match endpoints {
            Some(endpoints) => ada.divided("SELECT id FROM events", endpoints).await.map(|info| info.endpoint.len()),
            None => ada.info(&statement("SELECT id FROM events")).await.map(|info| info.endpoint.len()),
        };
        assert_eq!((count(None).await, count(Some("64")).await), (Ok(1), Ok(64)));
        for wrong in ["0", "65", "-1", "many", ""] {
            let failure = count(Some(wrong)).await.unwrap_err();
            assert_eq!((failure.grpc, failure.sqlstate.as_str()), (Code::InvalidArgument, "22023"), "{wrong}");
        }
    });
    let bounded = Variant::new(|config| config.replace("[limits]\n", "[limits]\nrows_max = 5000000\n"));
    let server = bounded.serve();
    runtime().block_on(async {
        // A bound on the rows of one result has to see all of them.
        let ada = Flight::login(&server, "ada").await;
        assert_eq!(ada.divided("SELECT id FROM invoices", "4").await.unwrap().endpoint.len(), 1);
    });
}

#[test]
fn endpoints_of_a_source_that_changed_give_nothing() {
    let variant = Variant::new(|config| config);
    let server = variant.serve();
    let file = find(&variant.file("data"), "invoices.parquet");
    runtime().block_on(async {
        let ada = Flight::login(&server, "ada").await;
        let info = ada.divided("SELECT id FROM invoices", "3").await.unwrap();
        let mut tickets = tickets(&info);
        assert!(ada.get(tickets.swap_remove(0)).await.unwrap().rows() > 0);
        // The same bytes in another file: who only compares sizes would not notice.
        let copy = file.with_extension("new");
        std::fs::copy(&file, &copy).unwrap();
        std::fs::rename(&copy, &file).unwrap();
        for ticket in tickets {
            let failure = ada.get(ticket).await.unwrap_err();
            assert!(["0A000", "58000"].contains(&failure.sqlstate.as_str()), "{failure:?}");
        }
        assert!(ada.query("SELECT id FROM invoices").await.unwrap().rows() > 0);
    });
}

fn find(folder: &std::path::Path, name: &str) -> PathBuf {
    let entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let here = entries.iter().find(|path| path.file_name().is_some_and(|file| file == name)).cloned();
    here.or_else(|| entries.iter().filter(|path| path.is_dir()).map(|path| find(path, name)).next()).unwrap()
}

async fn poll(flight: &Flight, info: &FlightInfo, endpoint: usize) -> PollInfo {
    let ticket = info.endpoint[endpoint].ticket.clone().unwrap().ticket;
    let request = flight.request(FlightDescriptor::new_cmd(ticket));
    flight.service().poll_flight_info(request).await.unwrap().into_inner()
}

#[test]
fn a_ticket_tells_how_much_of_its_flight_was_fetched() {
    runtime().block_on(async {
        let ada = Flight::login(&demo().server, "ada").await;
        let info = ada.divided("SELECT id FROM invoices", "2").await.unwrap();
        assert_eq!(poll(&ada, &info, 0).await.progress, None);
        let mut rows = Vec::new();
        for (ticket, expected) in tickets(&info).into_iter().zip([0.01..0.999, 1.0..1.1]) {
            rows.push(ada.get(ticket).await.unwrap().rows());
            let told = poll(&ada, &info, 1).await;
            assert!(expected.contains(&told.progress.unwrap()), "{told:?}");
            assert_eq!(told.flight_descriptor.is_none(), expected.contains(&1.0));
        }
        assert_eq!(i64::try_from(rows.iter().sum::<usize>()).unwrap(), info.total_records);
        let sam = Flight::login(&demo().server, "sam").await;
        let ticket = info.endpoint[0].ticket.clone().unwrap().ticket;
        let stolen = sam.service().poll_flight_info(sam.request(FlightDescriptor::new_cmd(ticket))).await;
        assert_eq!(stolen.unwrap_err().code(), Code::Unauthenticated);
        let plain = sam.request(FlightDescriptor::new_cmd(packed(&statement("SELECT 1"))));
        let plain = sam.service().poll_flight_info(plain).await.unwrap().into_inner();
        assert_eq!((plain.progress, plain.flight_descriptor.is_none()), (Some(1.0), true));
    });
}
