//! The binary through its real ports, as its users meet it.

#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, reason = "tests panic")
)]

#[path = "e2e/command.rs"]
mod command;
#[path = "e2e/connections.rs"]
mod connections;
#[path = "e2e/extended.rs"]
mod extended;
#[path = "e2e/fairness.rs"]
mod fairness;
#[path = "e2e/held.rs"]
mod held;
#[path = "e2e/hostile.rs"]
mod hostile;
#[path = "e2e/hostile_messages.rs"]
mod hostile_messages;
#[path = "e2e/limits.rs"]
mod limits;
#[path = "e2e/login.rs"]
mod login;
#[path = "e2e/numerics.rs"]
mod numerics;
#[path = "e2e/peers.rs"]
mod peers;
#[path = "e2e/plans.rs"]
mod plans;
#[path = "e2e/postgres.rs"]
mod postgres;
#[path = "e2e/psql.rs"]
mod psql;
#[path = "e2e/reload.rs"]
mod reload;
#[path = "e2e/silent.rs"]
mod silent;
#[path = "e2e/slow.rs"]
mod slow;
#[path = "e2e/slt.rs"]
mod slt;
#[path = "e2e/tpch.rs"]
mod tpch;
#[path = "e2e/views.rs"]
mod views;
