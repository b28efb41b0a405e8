//! Texts of intervals, as PostgreSQL reads them: doors that decode parameters and engines that read literals mean the same.

mod iso;
mod parts;
mod pieces;
mod read;

pub use read::read as read_interval;

/// Months, days and microseconds, which PostgreSQL keeps apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntervalRead {
    /// Months, years included as twelve each.
    pub months: i32,
    /// Days, weeks included as seven each. A day has no fixed length.
    pub days: i32,
    /// Microseconds, hours and minutes included.
    pub micros: i64,
}

/// What is wrong with a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalFault {
    /// Not of this form: 22007.
    Syntax,
    /// A field beyond what it holds: 22015.
    Field,
    /// All of it is beyond what an interval holds: 22008.
    Range,
}
