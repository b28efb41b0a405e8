//! Gates in process: deployments from metadata text and JSON rows over several physical layouts, and statements run as a
//! principal. Knows no wire.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "what tests share panics like tests"
)]

mod answer;
mod company;
mod gate;
mod layout;
mod mongodb;
mod mysql;
mod postgres;
mod records;
mod rng;
mod table;
mod workers;

pub use answer::{Answer, answer_differs};
pub use company::Company;
pub use gate::{Client, Fixture, TestGate, runtime};
pub use layout::Layout;
pub use postgres::PlainPostgres;
pub use records::{Records, records_of};
pub use rng::Rng;
pub use table::{Row, Table};
