//! Chooses among valid alternatives of a plan from measured times alone. Knows rows (statements), actions (alternatives;
//! action 0 is the default) and seconds: no plan, no source, no clock.
//!
//! [`Explorer`] decides which alternative of which statement is worth a trial; [`choose`] decides, with a guard, which
//! alternative a template's new executions get. Neither ever predicts its way to an answer: what was not measured to be better
//! is not used.

mod explorer;
mod factors;
mod guard;
mod normal;

pub use explorer::{Explorer, Outcome, Plan, Trial};
pub use guard::{Choice, Evidence, Guard, choose};
