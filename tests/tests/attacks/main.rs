//! The attack list: what an analyst might try to learn of rows, columns and objects that policy hides. Most attacks are
//! run against the governed company and against a physically reduced copy of it, and must not tell the two apart.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic")]

mod catalogs;
mod duel;
mod explain;
mod names;
mod rows;
mod sessions;
mod writes;
