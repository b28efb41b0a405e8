//! The real binary behind real ports, and clients of it. Knows nothing of how a gate works inside.

mod binary;
mod demo;
mod golden;
mod http;
mod process;
mod psql;
mod python;
mod raw;
mod shop;

pub use binary::binary;
pub use demo::{DEMO_USERS, Demo, Question, Variant, demo, find_after, questions, shared_folder};
pub use golden::{blessing, golden};
pub use http::{Answer, Request};
pub use process::{Server, connect, get, runtime};
pub use psql::{Printed, psql, psql_with};
pub use python::{FLIGHT_PACKAGES, flight_python, python_environment};
pub use raw::{Frame, RawClient};
pub use shop::{PASSWORD, Shop, add_user, add_user_with, change, execute, sha256_hex};
