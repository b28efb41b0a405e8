//! Statements recorded from real clients, on an image of the demonstration schema: they bind, run, and give PostgreSQL's rows.

mod image;
mod recordings;
mod semantics;
mod session;
mod surface;
