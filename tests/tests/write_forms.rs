//! Forms of changes through the real binary and the Postgres door, over every kind of source that can be changed: joins, conflicts,
//! merges, values, parameters, what is given back and what a refusal says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(clippy::duplicate_mod, reason = "the forms are the same for all kinds")]

#[path = "write_forms/gate.rs"]
mod gate;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;
#[path = "writes/source.rs"]
#[allow(dead_code, reason = "shared with other tests of changes")]
mod source;

/// Over a file.
#[path = "write_forms"]
mod sqlite {
    const KIND: super::source::Kind = super::source::Kind::Sqlite;
    mod casts;
    mod joins;
    mod merges;
    mod parameters;
    mod refusals;
    mod returning;
    mod upserts;
    mod values;
}

/// Over a server.
#[path = "write_forms"]
mod postgres {
    const KIND: super::source::Kind = super::source::Kind::Postgres;
    mod casts;
    mod joins;
    mod merges;
    mod parameters;
    mod refusals;
    mod returning;
    mod upserts;
    mod values;
}

/// Over a server of another kind.
#[path = "write_forms"]
mod mariadb {
    const KIND: super::source::Kind = super::source::Kind::MariaDb;
    mod casts;
    mod joins;
    mod merges;
    mod parameters;
    mod refusals;
    mod returning;
    mod upserts;
    mod values;
}
