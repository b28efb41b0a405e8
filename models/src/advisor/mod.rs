//! Chooses among valid alternatives of a plan from measured times alone. Knows rows (statements), actions (alternatives;
//! action 0 is the default) and seconds: no plan, no source, no clock.
//!
//! [`choose`] decides, with a guard, which alternative a template's new executions get. It never predicts its way to an answer: what
//! was not measured to be better is not used.

mod guard;
mod student;

pub use guard::{Choice, Evidence, Guard, choose};
