//! Hooks of the metadata through the real binary, over a SQLite file, in the Postgres door and the REST door: what they fill, what they
//! refuse, what is said of them, and what their changes are held to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]

#[path = "hooks/api.rs"]
mod api;
#[path = "hooks/applications.rs"]
mod applications;
#[path = "hooks/cascades.rs"]
mod cascades;
#[path = "hooks/gate.rs"]
mod gate;
#[path = "hooks/reads.rs"]
mod reads;
#[path = "hooks/rest.rs"]
mod rest;
#[path = "hooks/sql.rs"]
mod sql;
