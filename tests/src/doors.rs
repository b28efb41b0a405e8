//! What doors say alike: rows in one spelling, refusals by their class. And a gate in process behind the doors of SQL.

use crate::harness::{TestGate, runtime};
use crate::rest::Entrance;
use crate::server::Answer;
use querygate_flight::{FlightConfig, FlightDoor};
use querygate_pgwire_frontend::{DoorConfig, PostgresDoor};
use querygate_query_api::service::Authenticator;
use querygate_types::principal::Principal;
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_postgres::{Client, SimpleQueryMessage};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Cells as text; `None` for null.
pub type Rows = Vec<Vec<Option<String>>>;
/// Names and types of columns.
pub type Columns = Vec<(String, String)>;
/// What a door gives, or the class of its refusal.
pub type Seen<T> = Result<T, Refused>;

/// What a refusal says to its reader, whatever the door calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No such object is there for this reader, or a rule that decides about its rows cannot be applied.
    Object,
    /// The object has no such field for this reader.
    Field,
    /// Something that has nothing to do with rights.
    Other,
}

impl Refused {
    /// At a door of SQL.
    #[must_use]
    pub fn of_sqlstate(sqlstate: &str) -> Self {
        match sqlstate {
            "42P01" | "42501" => Self::Object,
            "42703" => Self::Field,
            _ => Self::Other,
        }
    }

    /// Over REST. An object that may not be read has a code of its own there.
    fn of_answer(answer: &Answer) -> Self {
        match (answer.status, answer.json()["code"].as_str().unwrap_or_default()) {
            (404, "OBJECT_NOT_FOUND") | (403, "PERMISSION_DENIED") => Self::Object,
            (400, "INVALID_FIELD") => Self::Field,
            _ => Self::Other,
        }
    }
}

/// The page that a question over REST is answered with.
///
/// # Errors
/// It is refused.
pub fn page_of(answer: &Answer) -> Seen<Value> {
    if answer.status == 200 { Ok(answer.json()) } else { Err(Refused::of_answer(answer)) }
}

/// What a statement is answered with at the Postgres port.
///
/// # Errors
/// It is refused.
pub async fn at_postgres(client: &Client, sql: &str) -> Seen<(Columns, Rows)> {
    let refused = |error: tokio_postgres::Error| Refused::of_sqlstate(error.code().map_or("", |code| code.code()));
    let statement = client.prepare(sql).await.map_err(refused)?;
    let columns = statement.columns().iter().map(|c| (c.name().to_owned(), c.type_().name().to_owned())).collect();
    let messages = client.simple_query(sql).await.map_err(refused)?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()),
        _ => None,
    });
    Ok((columns, rows.collect()))
}

/// Whether a question and its statement at both doors of SQL have one answer; otherwise what each says. `is_refused`: whether the
/// question is refused that orders by what this one asks for.
#[must_use]
pub fn differ(
    page: Seen<Value>,
    postgres: Seen<(Columns, Rows)>,
    flight: Seen<Rows>,
    is_refused: impl FnOnce() -> bool,
) -> Option<String> {
    let (columns, found) = match postgres {
        Ok((columns, rows)) => (columns, Ok(rows)),
        Err(refused) => (Vec::new(), Err(refused)),
    };
    let one = |rows: &Rows| -> Rows {
        let row = |row: &Vec<Option<String>>| {
            row.iter().zip(&columns).map(|(cell, (_, kind))| of_cell(kind, cell.as_deref())).collect()
        };
        rows.iter().map(row).collect()
    };
    let (found, flown) = (found.map(|rows| one(&rows)), flight.map(|rows| one(&rows)));
    let records = page.as_ref().map(|page| page["records"].as_array().cloned().unwrap_or_default());
    let names: BTreeSet<&str> = columns.iter().map(|(name, _)| name.as_str()).collect();
    // Everything that a record has stands in a column, and the other way round.
    let keys = |record: &Value| {
        record
            .as_object()
            .is_some_and(|record| record.keys().all(|key| names.contains(key.as_str())) && record.len() == names.len())
    };
    let has_others = records.as_ref().is_ok_and(|records| !records.iter().all(keys));
    let cells = |record: &Value| columns.iter().map(|(name, kind)| of_json(kind, &record[name])).collect();
    let said: Seen<Rows> = records.map(|records| records.iter().map(cells).collect()).map_err(|refused| *refused);
    let agrees = match (&said, &found) {
        // A hidden field is left out of records that are asked for it; in any other place it is refused.
        (Ok(_), Err(Refused::Field)) => is_refused(),
        (said, found) => said == found,
    };
    let differs = !agrees || has_others || flown != found;
    differs.then(|| format!("  rest     {said:?}\n  postgres {found:?}\n  flight   {flown:?}\n  {page:?} {columns:?}"))
}

/// A value of JSON in the spelling of a cell.
fn of_json(kind: &str, value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::Array(items) if kind.starts_with('_') => {
            let items = items.iter().map(|item| of_json(&kind[1..], item).unwrap_or_else(|| "NULL".to_owned()));
            return Some(items.collect::<Vec<_>>().join("\u{1f}"));
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(plain(kind, &text))
}

/// A cell of a door of SQL in the same spelling.
fn of_cell(kind: &str, cell: Option<&str>) -> Option<String> {
    let cell = cell?;
    let Some(item) = kind.strip_prefix('_') else { return Some(plain(kind, cell)) };
    let inner = cell.trim_start_matches('{').trim_end_matches('}');
    let items = inner.split(',').filter(|item| !item.is_empty());
    let items = items.map(|text| match text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        Some("") => String::new(),
        Some(quoted) => plain(item, quoted),
        None => plain(item, text),
    });
    Some(items.collect::<Vec<_>>().join("\u{1f}"))
}

/// One spelling for values that have several.
fn plain(kind: &str, text: &str) -> String {
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    match kind {
        "numeric" => without_zeros(text),
        "float4" | "float8" => {
            text.parse::<f64>().map_or_else(|_| text.to_owned(), |number| (number + 0.0).to_string())
        }
        "bool" => text.starts_with('t').to_string(),
        "timestamptz" | "timestamp" | "time" => {
            let text = text.replace('T', " ");
            without_zeros(text.trim_end_matches('Z').trim_end_matches("+00"))
        }
        "json" | "jsonb" => {
            serde_json::from_str::<Value>(text).map_or_else(|_| text.to_owned(), |json| json.to_string())
        }
        _ => text.to_owned(),
    }
}

/// The doors of SQL of a gate in process, open until it is dropped. Login names are passwords and tokens.
#[derive(Debug)]
pub struct SqlServer {
    pub postgres: SocketAddr,
    pub flight: SocketAddr,
    _open: DropGuard,
}

impl SqlServer {
    /// Doors of a gate.
    ///
    /// # Panics
    /// When no port is to be had.
    #[must_use]
    pub fn over(gate: &TestGate, people: &[&Principal]) -> Self {
        let entrance: Arc<dyn Authenticator> = Arc::new(Entrance::of(people));
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let open = CancellationToken::new();
        runtime().block_on(async {
            let postgres =
                PostgresDoor::bind(DoorConfig::new(any), gate.service(), Arc::clone(&entrance)).await.unwrap();
            let flight = FlightDoor::bind(FlightConfig::new(any, "test"), gate.service(), entrance).await.unwrap();
            let (at, flight_at) = (postgres.local_addr().unwrap(), flight.local_addr().unwrap());
            tokio::spawn(postgres.serve(open.clone()));
            tokio::spawn(flight.serve(open.clone()));
            Self { postgres: at, flight: flight_at, _open: open.drop_guard() }
        })
    }

    /// A client at the Postgres port.
    ///
    /// # Panics
    /// When it is not let in.
    pub async fn client(&self, login: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.postgres.port()).dbname("test").user(login).password(login);
        crate::server::connect(&config).await
    }
}
