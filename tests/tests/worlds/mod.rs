//! Makers of worlds, and what compares them with what a gate serves.

pub(crate) mod cell;
mod csv;
pub(crate) mod files;
pub(crate) mod gate;
mod json;
mod json_files;
pub(crate) mod mariadb;
pub(crate) mod mongodb;
mod names;
mod parquet_files;
mod plain;
pub(crate) mod postgres;
pub(crate) mod sqlite;
pub(crate) mod world;
