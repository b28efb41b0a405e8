//! Data and statements that benches and end-to-end tests share. Knows no engine.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

pub mod tpch;
