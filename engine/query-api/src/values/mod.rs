//! Values whose meaning is PostgreSQL's and whose bytes are ours: doors that show them and engines that compute with them mean the same.
//! Knows no session.

pub mod interval;
pub mod network;
pub mod timetz;
pub mod wide_numeric;
pub mod zone;
mod zone_rules;
