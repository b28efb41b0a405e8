//! The gate as its clients see it: text, binary, Flight SQL. Knows no source.

use crate::client::Flight;
use crate::text::cells;
use crate::wire::{Answer, Refused, Typed, binary, simple};
use querygate_tests::server::{RawClient, Server, runtime};

/// One user at every door.
pub(crate) struct Doors {
    raw: RawClient,
    flight: Flight,
}

/// Cells as PostgreSQL prints them.
pub(crate) type Texts = Result<Vec<Vec<Option<String>>>, String>;

impl Doors {
    pub(crate) fn login(server: &Server, user: &str) -> Self {
        let raw = RawClient::login(server.postgres, user);
        raw.tcp.set_nodelay(true).unwrap();
        Self { raw, flight: runtime().block_on(Flight::login(server, user)) }
    }

    pub(crate) fn text(&mut self, sql: &str) -> Answer {
        simple(&mut self.raw, sql)
    }

    pub(crate) fn binary(&mut self, sql: &str, values: &[Typed]) -> Answer {
        binary(&mut self.raw, sql, values)
    }

    /// What Flight SQL gives; a failure by its code.
    pub(crate) fn flight(&self, sql: &str) -> Texts {
        let table = runtime().block_on(self.flight.query(sql));
        table.map(|table| cells(&table)).map_err(|failure| failure.sqlstate)
    }
}

/// The cells of an answer as texts; a refusal by its code.
pub(crate) fn texts(answer: &Answer) -> Texts {
    answer.as_ref().map(crate::wire::Rows::texts).map_err(|Refused { code, .. }| code.clone())
}
