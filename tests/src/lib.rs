//! What the end-to-end tests share. Holds no test.

pub mod harness;
