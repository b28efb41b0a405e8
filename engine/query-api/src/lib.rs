//! What a door may call: open a session, prepare, describe, execute, cancel. Knows no plan and no source.
//!
//! A door authenticates with [`Authenticator`], opens a [`Session`] with [`QueryService`] and hands it SQL. Everything
//! that has meaning in SQL (SET, BEGIN, DECLARE, PREPARE) is the session's; frames, portals and formats are the door's.

#![warn(missing_docs)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

pub mod answer;
pub mod column;
mod copy_format;
pub mod holding;
pub mod outcome;
pub mod own_names;
pub mod own_texts;
pub mod parts;
pub mod requests;
pub mod scram;
pub mod service;
pub mod tokens;
pub mod trace;
pub mod values;
