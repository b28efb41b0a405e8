//! One gate over a random world, its records as two users read them: over REST, at the Postgres port and over Flight SQL. The same
//! rows, the same masks, the same class of refusal.

use crate::client::{Flight, channel};
use crate::text::cells;
use crate::world::{ObjectDef, World};
use querygate_tests::doors::{Refused, SqlServer, at_postgres, differ, page_of};
use querygate_tests::harness::{Layout, Rng, TestGate, runtime};
use querygate_tests::rest::RestServer;
use serde_json::{Value, json};
use std::fmt;
use tokio_postgres::Client;

/// What a run found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    compared: u64,
    pub(crate) rows: u64,
    pub(crate) refused: u64,
    pub(crate) different: Vec<String>,
}

impl Found {
    pub(crate) fn add(&mut self, other: Self) {
        self.compared += other.compared;
        self.rows += other.rows;
        self.refused += other.refused;
        self.different.extend(other.different);
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, rows, refused, different } = self;
        write!(f, "{compared} answers compared, {rows} rows, {refused} refusals, {} differences", different.len())
    }
}

/// A body of a question, and its statement.
fn asked(object: &ObjectDef) -> Vec<(Value, String)> {
    let (table, order) = (object.sql_name(), json!([{"field": "id", "order": "asc"}]));
    let count = json!({"aggregations": [{"function": "count", "alias": "n"}]});
    let mut asked = vec![
        (json!({"orderBy": order}), format!("SELECT * FROM {table} ORDER BY id")),
        (count, format!("SELECT count(*) AS n FROM {table}")),
    ];
    let fields = object.fields.iter().map(|field| field.name.as_str());
    asked.extend(fields.chain(["id", "owner_id", "nowhere"]).map(|field| {
        let body = json!({"fields": [field], "orderBy": order, "limit": 50});
        (body, format!("SELECT \"{field}\" FROM {table} ORDER BY id LIMIT 50"))
    }));
    asked
}

/// The doors of a gate as one user has them.
struct Doors<'a> {
    login: &'a str,
    rest: &'a RestServer,
    postgres: Client,
    flight: Flight,
}

impl Doors<'_> {
    async fn compare(&self, object: &str, body: &Value, sql: &str, found: &mut Found) {
        let ask = |body: &Value| self.rest.send(self.login, "POST", &format!("/data/{object}/query"), Some(body));
        let postgres = at_postgres(&self.postgres, sql).await;
        let flight = self.flight.query(sql).await;
        let flight = flight.map(|table| cells(&table)).map_err(|failure| Refused::of_sqlstate(&failure.sqlstate));
        found.compared += 1;
        match &postgres {
            Ok((_, rows)) => found.rows += rows.len() as u64,
            Err(_) => found.refused += 1,
        }
        let sorted = json!({"orderBy": [{"field": body["fields"][0], "order": "asc"}], "limit": 1});
        if let Some(what) = differ(page_of(&ask(body)), postgres, flight, || ask(&sorted).status != 200) {
            found.different.push(format!("{}: {sql} {body}\n{what}", self.login));
        }
    }
}

/// The records of one world, by two users of the same gate.
pub(crate) fn check(rng: &mut Rng, number: u64) -> Found {
    let world = World::random(rng);
    let other = world.seen_by_another(rng);
    let layout = *rng.pick(&Layout::ALL);
    let gate = TestGate::new(&world.governed(), layout);
    let people = [&world.who, &other.who];
    let (rest, sql) = (RestServer::over(&gate, &people, |_| {}), SqlServer::over(&gate, &people));
    let mut found = Found::default();
    for who in people {
        runtime().block_on(async {
            let login = who.login.as_str();
            let flight = Flight { channel: channel(sql.flight).await, token: login.to_owned() };
            let doors = Doors { login, rest: &rest, postgres: sql.client(login).await, flight };
            for object in &world.objects {
                for (body, sql) in asked(object) {
                    doors.compare(&object.name, &body, &sql, &mut found).await;
                }
            }
        });
    }
    for different in &mut found.different {
        different.insert_str(0, &format!("world {number} on {}, ", layout.name()));
    }
    found
}
