//! Changes through the real binary and the Postgres door, over every kind of source that can be changed: one scenario, and what only
//! servers have.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(clippy::duplicate_mod, reason = "the scenario is one for all kinds")]

#[path = "writes/amounts.rs"]
mod amounts;
#[path = "writes/by_key.rs"]
mod by_key;
#[path = "flight/client.rs"]
#[allow(dead_code, reason = "shared with the tests of the Flight door")]
mod client;
#[path = "writes/column_order.rs"]
mod column_order;
#[path = "writes/documents.rs"]
mod documents;
#[path = "writes/explain_and_audit.rs"]
mod explain_and_audit;
#[path = "writes/file_folders.rs"]
mod file_folders;
#[path = "writes/file_records.rs"]
mod file_records;
#[path = "writes/files.rs"]
mod files;
#[path = "writes/keys.rs"]
mod keys;
#[path = "writes/loose_keys.rs"]
mod loose_keys;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "writes/memory.rs"]
mod memory;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongodb_server;
#[path = "writes/outages.rs"]
mod outages;
#[path = "writes/parameters.rs"]
mod parameters;
#[path = "writes/pipelined.rs"]
mod pipelined;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;
#[path = "writes/savepoints.rs"]
mod savepoints;
#[path = "writes/servers.rs"]
mod servers;
#[path = "writes/source.rs"]
mod source;
#[path = "writes/turns.rs"]
mod turns;

/// Over a file.
#[path = "writes"]
mod sqlite {
    const KIND: super::source::Kind = super::source::Kind::Sqlite;
    mod scenario;
}

/// Over a server.
#[path = "writes"]
mod postgres {
    const KIND: super::source::Kind = super::source::Kind::Postgres;
    mod scenario;
}

/// Over a server of another kind.
#[path = "writes"]
mod mariadb {
    const KIND: super::source::Kind = super::source::Kind::MariaDb;
    mod scenario;
}
