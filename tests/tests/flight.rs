//! The Flight SQL door of the binary, as its clients meet it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests panic and tell figures"
)]

#[path = "flight/client.rs"]
mod client;
#[path = "flight/clients.rs"]
mod clients;
#[path = "flight/extract.rs"]
mod extract;
#[path = "flight/hostile.rs"]
mod hostile;
#[path = "flight/ingests.rs"]
mod ingests;
#[path = "flight/login.rs"]
mod login;
#[path = "flight/matrix.rs"]
mod matrix;
#[path = "flight/metadata.rs"]
mod metadata;
#[path = "flight/parts.rs"]
mod parts;
#[path = "own_types/printed.rs"]
mod printed;
#[path = "flight/proxy.rs"]
mod proxy;
#[path = "flight/python.rs"]
mod python;
#[path = "flight/records.rs"]
mod records;
#[path = "flight/servers.rs"]
mod servers;
#[path = "flight/shell.rs"]
mod shell;
#[path = "flight/statements.rs"]
mod statements;
#[path = "flight/streams.rs"]
mod streams;
#[path = "flight/text.rs"]
mod text;
#[path = "flight/tickets.rs"]
mod tickets;
