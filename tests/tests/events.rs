//! Events of changes through the real binary: each follower is published exactly what the difference of what he may read comes to, nothing of what
//! was taken back, and nothing is lost when the gate is killed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")]
#![allow(clippy::duplicate_mod, reason = "sources are those of the tests of changes")]

#[path = "events/conflicts.rs"]
mod conflicts;
#[path = "events/crash.rs"]
mod crash;
#[path = "events/documents.rs"]
mod documents;
#[path = "events/doors.rs"]
mod doors;
#[path = "events/gate.rs"]
mod gate;
#[path = "events/held.rs"]
mod held;
#[path = "events/histories.rs"]
mod histories;
#[path = "events/history.rs"]
mod history;
#[path = "events/leaving.rs"]
mod leaving;
#[path = "events/live.rs"]
mod live;
#[path = "events/many.rs"]
mod many;
#[path = "../../drivers/mysql/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mariadb_server;
#[path = "../../drivers/mongodb/tests/common/server.rs"]
#[allow(dead_code, reason = "shared with the driver's own tests")]
mod mongodb_server;
#[path = "../../drivers/postgres/tests/common/mod.rs"]
mod postgres_server;
#[path = "events/presence.rs"]
mod presence;
#[path = "writes/source.rs"]
#[allow(dead_code, reason = "shared with the tests of changes")]
mod source;
#[path = "events/sse.rs"]
mod sse;
#[path = "events/webhooks.rs"]
mod webhooks;
#[path = "events/websocket.rs"]
mod websocket;
