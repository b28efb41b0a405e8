//! What the gate remembers of its own work, and shows of it. Bounded; holds no value of a statement.

pub(crate) mod audit;
mod audit_file;
pub(crate) mod change_log;
pub(crate) mod checks;
pub(crate) mod clock;
pub(crate) mod learning_feed;
pub(crate) mod observe;
pub(crate) mod occupations;
pub(crate) mod system;
mod untimed_statements;
pub(crate) mod within;
