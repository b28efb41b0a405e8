//! One policy at the door of records, too: principal × object through REST, the Postgres door and Flight SQL. The same rows, the same
//! masks and hidden fields, and refusals of the same class. Values are compared in one spelling, made here of each door's own.

use crate::client::{Failure, Flight};
use crate::text::cells;
use querygate_tests::doors::{Refused, Rows, Seen, at_postgres, differ, page_of};
use querygate_tests::server::{Answer, DEMO_USERS, Request, demo, runtime};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use tokio_postgres::Client;

/// Records that are read of each object.
const PAGE: usize = 7;
/// Records up to which an object is asked for each of its fields, too.
const SMALL: u64 = 25_000;
/// Records whose keys are asked for one by one.
const KEYS: usize = 3;

/// A user at the door of records.
struct Records {
    address: SocketAddr,
    token: String,
}

impl Records {
    fn login(address: SocketAddr, user: &str) -> Self {
        let body = json!({"email": format!("{user}@crm.example"), "password": format!("demo-{user}")});
        let answer = Request::new("POST", "/api/v1/auth/sign-in/email").json(&body).send(address);
        let token = answer.json()["token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
        Self { address, token }
    }

    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let request = Request::new(method, &format!("/api/v1{path}"));
        let request = request.header("authorization", &format!("Bearer {}", self.token));
        match body {
            Some(body) => request.json(body).send(self.address),
            None => request.send(self.address),
        }
    }

    fn ask(&self, object: &str, body: &Value) -> Seen<Value> {
        page_of(&self.send("POST", &format!("/data/{object}/query"), Some(body)))
    }
}

async fn at_flight(flight: &Flight, sql: &str) -> Seen<Rows> {
    let table = flight.query(sql).await.map_err(|failure: Failure| Refused::of_sqlstate(&failure.sqlstate))?;
    Ok(cells(&table))
}

/// An object as the administrator sees it.
struct Object {
    name: String,
    table: String,
    key: String,
    fields: Vec<String>,
    count: u64,
}

/// All objects of the demo.
async fn objects(records: &Records, ada: &Client) -> Vec<Object> {
    let listed = records.send("GET", "/meta/object", None).json();
    let mut objects = Vec::new();
    for item in listed["items"].as_array().unwrap() {
        let name = item["name"].as_str().unwrap().to_owned();
        let table = name.strip_prefix("crm_").unwrap().to_owned();
        let (columns, _) = at_postgres(ada, &format!("SELECT * FROM {table} LIMIT 0")).await.unwrap();
        let fields: Vec<String> = columns.into_iter().map(|(name, _)| name).collect();
        let key = if fields.iter().any(|field| field == "id") { "id" } else { &fields[0] }.to_owned();
        let (_, counted) = at_postgres(ada, &format!("SELECT count(*) FROM {table}")).await.unwrap();
        let count = counted[0][0].as_deref().unwrap().parse().unwrap();
        objects.push(Object { name, table, key, fields, count });
    }
    objects
}

/// The three doors as one user has them, and what was found.
struct Doors {
    user: &'static str,
    records: Records,
    postgres: Client,
    flight: Flight,
    compared: usize,
    rows: usize,
    refused: usize,
    different: String,
}

impl Doors {
    async fn open(user: &'static str, rest: SocketAddr) -> Self {
        let server = &demo().server;
        Self {
            user,
            records: Records::login(rest, user),
            postgres: server.client(user).await,
            flight: Flight::login(server, user).await,
            compared: 0,
            rows: 0,
            refused: 0,
            different: String::new(),
        }
    }

    /// The rows of a question beside those of its statement at both other doors.
    async fn compare(&mut self, object: &Object, body: &Value, sql: &str) {
        let said = self.records.ask(&object.name, body);
        let (found, flown) = (at_postgres(&self.postgres, sql).await, at_flight(&self.flight, sql).await);
        self.compared += 1;
        match &found {
            Ok((_, rows)) => self.rows += rows.len(),
            Err(_) => self.refused += 1,
        }
        let sorted = json!({"orderBy": [{"field": body["fields"][0], "order": "asc"}], "limit": 1});
        if let Some(what) = differ(said, found, flown, || self.records.ask(&object.name, &sorted).is_err()) {
            writeln!(self.different, "{} {sql} {body}\n{what}", self.user).unwrap();
        }
    }

    /// All that is asked about one object.
    async fn object(&mut self, object: &Object, keys: &[String]) {
        let Object { table, key, fields, .. } = object;
        let order = json!([{"field": key, "order": "asc"}]);
        let page = json!({"limit": PAGE, "orderBy": order});
        self.compare(object, &page, &format!("SELECT * FROM {table} ORDER BY \"{key}\" LIMIT {PAGE}")).await;
        let count = json!({"aggregations": [{"function": "count", "alias": "n"}]});
        self.compare(object, &count, &format!("SELECT count(*) AS n FROM {table}")).await;
        for field in fields.iter().filter(|_| object.count <= SMALL) {
            let body = json!({"fields": [field], "limit": PAGE, "orderBy": order});
            // Records of a question have what was asked for and nothing else.
            let sql = format!("SELECT \"{field}\" FROM {table} ORDER BY \"{key}\" LIMIT {PAGE}");
            self.compare(object, &body, &sql).await;
        }
        for key in keys {
            self.one(object, key).await;
        }
    }

    /// One record by its key: there for the same readers.
    async fn one(&mut self, object: &Object, id: &str) {
        let Object { name, table, key, .. } = object;
        let answer = self.records.send("GET", &format!("/data/{name}/{id}"), None);
        let is_there = match answer.status {
            200 => Ok(1),
            404 if answer.json()["code"] == "RECORD_NOT_FOUND" => Ok(0),
            403 | 404 => Err(Refused::Object),
            _ => panic!("{name} {id}: {}", answer.text()),
        };
        let sql = format!("SELECT count(*) FROM {table} WHERE \"{key}\"::text = '{}'", id.replace('\'', "''"));
        let counted = |rows: Rows| rows[0][0].as_deref().unwrap().parse::<u8>().unwrap();
        let found = at_postgres(&self.postgres, &sql).await.map(|(_, rows)| counted(rows));
        let flown = at_flight(&self.flight, &sql).await.map(counted);
        self.compared += 1;
        self.refused += usize::from(found.is_err());
        if is_there != found || flown != found {
            writeln!(self.different, "{} {sql}: {is_there:?} {found:?} {flown:?}", self.user).unwrap();
        }
    }
}

#[test]
fn records_are_the_same_at_every_door() {
    runtime().block_on(async {
        let rest = demo().server.rest.unwrap();
        let ada = demo().server.client("ada").await;
        let objects = objects(&Records::login(rest, "ada"), &ada).await;
        assert!(objects.len() > 15, "{}", objects.len());
        let (mut compared, mut rows, mut refused, mut different) = (0, 0, 0, String::new());
        for user in DEMO_USERS {
            let mut doors = Doors::open(user, rest).await;
            for object in &objects {
                let Object { table, key, .. } = object;
                let sql = format!("SELECT \"{key}\"::text FROM {table} ORDER BY 1 LIMIT {KEYS}");
                let (_, keys) = at_postgres(&ada, &sql).await.unwrap();
                let keys: Vec<String> = keys.into_iter().flatten().flatten().collect();
                doors.object(object, &keys).await;
            }
            (compared, rows, refused) = (compared + doors.compared, rows + doors.rows, refused + doors.refused);
            different.push_str(&doors.different);
        }
        println!(
            "records at three doors: {compared} answers compared, {rows} rows, {refused} refusals; {} different",
            different.lines().filter(|line| !line.starts_with(' ')).count()
        );
        assert!(different.is_empty(), "{different}");
        assert!(compared > 500 && rows > 1_000 && refused > 30, "{compared} {rows} {refused}");
    });
}
