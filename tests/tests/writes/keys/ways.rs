//! The ways in which values get to the gate: in the statement, and as parameters through both doors.

use super::model::{Form, Set};
use super::tables::Keyed;
use crate::by_key::Given;
use crate::client::{Failure, Flight, packed};
use arrow::array::{ArrayRef, Int32Array, Int64Array, LargeStringArray, RecordBatch, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{CommandPreparedStatementUpdate, CommandStatementUpdate, DoPutUpdateResult, ProstMessageExt};
use arrow_flight::{FlightData, FlightDescriptor};
use futures::{TryStreamExt as _, stream};
use prost::Message as _;
use std::sync::Arc;
use tokio_postgres::types::{Format, ToSql, Type};
use tokio_postgres::{Client, SimpleQueryMessage};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A simple query.
    Simple,
    /// A prepared statement without parameters.
    Extended,
    /// Parameters of types that are not said.
    Untyped(Encoding),
    /// Parameters of types that the client says: of whole numbers, whether they have 64 bits.
    Typed(Encoding, bool),
    FlightText,
    /// Values as Arrow: whether of the wider types.
    Flight(bool),
}

/// The format of values, as [`Format`], which cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Text,
    Binary,
}

impl Encoding {
    const fn of_wire(self) -> Format {
        match self {
            Self::Text => Format::Text,
            Self::Binary => Format::Binary,
        }
    }
}

pub(crate) const WAYS: [Way; 11] = [
    Way::Simple,
    Way::Extended,
    Way::Untyped(Encoding::Text),
    Way::Untyped(Encoding::Binary),
    Way::Typed(Encoding::Text, true),
    Way::Typed(Encoding::Text, false),
    Way::Typed(Encoding::Binary, true),
    Way::Typed(Encoding::Binary, false),
    Way::FlightText,
    Way::Flight(false),
    Way::Flight(true),
];

impl Way {
    /// Whether it takes no set, or several, as one change.
    pub(crate) const fn takes_sets(self) -> bool {
        matches!(self, Self::Flight(_))
    }
}

/// One value of a statement: its text, and whether it is a number.
struct Cell {
    text: Option<String>,
    is_number: bool,
}

/// Connections of one user.
pub(crate) struct Doors<'a> {
    pub(crate) client: &'a Client,
    pub(crate) flight: &'a Flight,
}

/// A form over a table, by one of the table's conditions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) table: &'a Keyed,
    pub(crate) form: Form,
    pub(crate) condition: &'static str,
}

impl Change<'_> {
    /// The statement with its values' places as `place` says them: those of the key come first.
    fn sql(&self, place: impl Fn(usize) -> String) -> String {
        let Keyed { name, fields, .. } = self.table;
        let (keys, of_key) = (self.table.names().join(", "), fields.len());
        let mut condition = self.condition.to_owned();
        for at in 0..of_key {
            condition = condition.replace(&format!("{{{at}}}"), &place(at));
        }
        let (title, amount, region) = (place(of_key), place(of_key + 1), place(of_key + 2));
        let cells = (0..of_key).map(&place).collect::<Vec<_>>().join(", ");
        let insert =
            format!("INSERT INTO {name} ({keys}, title, amount, region) VALUES ({cells}, {title}, {amount}, {region})");
        match self.form {
            Form::Insert => insert,
            Form::Keep => format!("{insert} ON CONFLICT DO NOTHING"),
            Form::Upsert => format!(
                "{insert} ON CONFLICT ({keys}) DO UPDATE SET title = excluded.title, amount = {name}.amount + excluded.amount"
            ),
            Form::Update => format!("UPDATE {name} SET title = {title}, amount = amount + {amount} WHERE {condition}"),
            Form::Delete => format!("DELETE FROM {name} WHERE {condition}"),
        }
    }

    fn with_parameters(&self) -> String {
        self.sql(|at| format!("${}", at + 1))
    }

    fn with_literals(&self, set: &Set) -> String {
        let cells = self.all(set);
        self.sql(|at| match &cells[at] {
            Cell { text: None, .. } => "NULL".to_owned(),
            Cell { text: Some(text), is_number: true } => text.clone(),
            Cell { text: Some(text), is_number: false } => format!("'{}'", text.replace('\'', "''")),
        })
    }

    fn all(&self, set: &Set) -> Vec<Cell> {
        let key = self.table.key(set.row).into_iter().zip(self.table.fields);
        let mut cells: Vec<Cell> = key.map(|(text, (_, is_number))| Cell { text, is_number: *is_number }).collect();
        cells.push(Cell { text: set.title.map(str::to_owned), is_number: false });
        cells.push(Cell { text: set.amount.map(|amount| amount.to_string()), is_number: true });
        cells.push(Cell { text: Some("eu".to_owned()), is_number: false });
        cells
    }

    /// The values that the form has places for.
    fn cells(&self, set: &Set) -> Vec<Cell> {
        let mut cells = self.all(set);
        cells.truncate(match self.form {
            Form::Insert | Form::Upsert | Form::Keep => cells.len(),
            Form::Update => cells.len() - 1,
            Form::Delete => self.table.fields.len(),
        });
        cells
    }

    /// How many rows changed, or the SQLSTATE of an error.
    pub(crate) async fn run(&self, doors: &Doors<'_>, way: Way, sets: &[Set]) -> Result<u64, String> {
        let literal = || self.with_literals(&sets[0]);
        match way {
            Way::Simple => simple(doors.client, &literal()).await,
            Way::Extended => code(doors.client.execute(&literal(), &[]).await),
            Way::Untyped(format) => self.by_wire(doors.client, None, format, &sets[0]).await,
            Way::Typed(format, wide) => self.by_wire(doors.client, Some(wide), format, &sets[0]).await,
            Way::FlightText => {
                let command = CommandStatementUpdate { query: literal(), transaction_id: None };
                told(put(doors.flight, &command, None).await)
            }
            Way::Flight(wide) => told(self.by_flight(doors.flight, wide, sets).await),
        }
    }

    async fn by_wire(&self, client: &Client, wide: Option<bool>, format: Encoding, set: &Set) -> Result<u64, String> {
        let cells = self.cells(set);
        let of_type = |cell: &Cell, wide: bool| match (cell.is_number, wide) {
            (false, _) => Type::TEXT,
            (true, true) => Type::INT8,
            (true, false) => Type::INT4,
        };
        let types = wide.map(|wide| cells.iter().map(|cell| of_type(cell, wide)).collect::<Vec<_>>());
        let statement =
            code(client.prepare_typed(&self.with_parameters(), types.as_deref().unwrap_or_default()).await)?;
        let given: Vec<Given<'_>> =
            cells.iter().map(|cell| Given { text: cell.text.as_deref(), format: format.of_wire() }).collect();
        let given: Vec<&(dyn ToSql + Sync)> = given.iter().map(|value| value as _).collect();
        code(client.execute(&statement, &given).await)
    }

    async fn by_flight(&self, flight: &Flight, wide: bool, sets: &[Set]) -> Result<u64, Failure> {
        let prepared = flight.prepare(&self.with_parameters()).await?;
        let any = Set { row: Some(0), title: None, amount: None };
        let rows: Vec<Vec<Cell>> = sets.iter().map(|set| self.cells(set)).collect();
        let places = self.cells(&any);
        let columns = places.iter().enumerate().map(|(at, like)| {
            let texts = rows.iter().map(|row| row[at].text.as_deref());
            let numbers = rows.iter().map(|row| row[at].text.as_deref().map(|text| text.parse::<i64>().unwrap()));
            let column: ArrayRef = match (like.is_number, wide) {
                (true, true) => Arc::new(numbers.collect::<Int64Array>()),
                (true, false) => {
                    let narrow = numbers.map(|number| number.map(|number| i32::try_from(number).unwrap()));
                    Arc::new(narrow.collect::<Int32Array>())
                }
                (false, true) => Arc::new(texts.collect::<LargeStringArray>()),
                (false, false) => Arc::new(texts.collect::<StringArray>()),
            };
            (format!("${}", at + 1), column, true)
        });
        let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        let prepared_statement_handle = prepared.prepared_statement_handle;
        put(flight, &CommandPreparedStatementUpdate { prepared_statement_handle }, Some(batch)).await
    }
}

/// A change by DoPut.
async fn put(flight: &Flight, command: &impl ProstMessageExt, values: Option<RecordBatch>) -> Result<u64, Failure> {
    let descriptor = FlightDescriptor::new_cmd(packed(command));
    let messages = match values {
        None => vec![FlightData::new().with_descriptor(descriptor)],
        Some(batch) => {
            let builder =
                FlightDataEncoderBuilder::new().with_flight_descriptor(Some(descriptor)).with_schema(batch.schema());
            builder.build(stream::iter([Ok(batch)])).try_collect().await.unwrap()
        }
    };
    let answer = DoPutUpdateResult::decode(flight.put(messages).await?).unwrap();
    Ok(u64::try_from(answer.record_count).unwrap())
}

async fn simple(client: &Client, sql: &str) -> Result<u64, String> {
    let messages = code(client.simple_query(sql).await)?;
    let counts = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::CommandComplete(count) => Some(*count),
        _ => None,
    });
    Ok(counts.sum())
}

fn code<T>(result: Result<T, tokio_postgres::Error>) -> Result<T, String> {
    result.map_err(|error| match error.as_db_error() {
        Some(refusal) => format!("{} {}", refusal.code().code(), refusal.message()),
        None => panic!("{error:?}"),
    })
}

fn told(result: Result<u64, Failure>) -> Result<u64, String> {
    result.map_err(|failure| format!("{} {}", failure.sqlstate, failure.message))
}
