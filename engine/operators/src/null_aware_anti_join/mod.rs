//! `x NOT IN (rows)` that collects the rows instead of all that is compared with them.

mod exec;
mod null_observer;
#[cfg(test)]
mod tests;

pub use exec::NullAwareAntiJoinExec;
