//! Rows that clients send to be stored, through the real binary: COPY FROM STDIN over every kind of source that can be changed, and what
//! Flight SQL appends and binds.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(clippy::duplicate_mod, reason = "the scenario is one for all kinds")]

#[path = "copies/flight.rs"]
mod flight;
#[path = "copies/lines.rs"]
mod lines;
#[path = "copies/loads.rs"]
mod loads;
#[path = "copies/locked_first.rs"]
mod locked_first;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;
#[path = "copies/shop.rs"]
mod shop;
#[path = "writes/source.rs"]
#[allow(dead_code, reason = "shared with the tests of other changes")]
mod source;
#[path = "copies/updates.rs"]
mod updates;

/// Over a file.
#[path = "copies"]
mod sqlite {
    const KIND: super::source::Kind = super::source::Kind::Sqlite;
    mod scenario;
}

/// Over a server.
#[path = "copies"]
mod postgres {
    const KIND: super::source::Kind = super::source::Kind::Postgres;
    mod scenario;
}

/// Over a server of another kind.
#[path = "copies"]
mod mariadb {
    const KIND: super::source::Kind = super::source::Kind::MariaDb;
    mod scenario;
}
