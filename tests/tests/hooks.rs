//! Hooks of the metadata through the real binary, over a SQLite file, in the Postgres door and the REST door: what they fill, what they
//! refuse, what is said of them, and what their changes are held to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

#[path = "hooks/api.rs"]
mod api;
#[path = "hooks/applications.rs"]
mod applications;
#[path = "hooks/cascades.rs"]
mod cascades;
#[path = "hooks/demo.rs"]
mod demo;
#[path = "hooks/gate.rs"]
mod gate;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongodb_server;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;
#[path = "hooks/reads.rs"]
mod reads;
#[path = "hooks/rest.rs"]
mod rest;
#[path = "hooks/sources.rs"]
mod sources;
#[path = "hooks/sql.rs"]
mod sql;
#[path = "distributed/world.rs"]
#[allow(dead_code, reason = "shared with the tests of several sources")]
mod world;
