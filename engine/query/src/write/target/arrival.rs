//! Whether a statement is about new rows and nothing else. Every part of it is named, so that one that is added is judged here.

use super::{Decided, Form, Targeted};
use crate::write::intent::RowSource;
use querygate_policy::write::WriteOperation;

impl Targeted {
    /// Whether it stores rows that it is given, asks nothing of them and gives nothing back.
    pub(crate) fn only_stores(&self) -> bool {
        let Self {
            decided,
            form,
            returning,
            // Fields of the rows, when they come, and how they are stored.
            assigned: _,
            time: _,
            native: _,
        } = self;
        let Decided {
            intent,
            find,
            taken,
            arms,
            // Of these, `form` and `returning` are made.
            returning: _,
            untyped: _,
            // Who may store which rows, and what becomes of them: listed by the policies.
            permit: _,
            rules: _,
            following: _,
            principal: _,
            // Of rows that are read.
            readable: _,
            table: _,
            now_ms: _,
        } = decided.as_ref();
        let is_plain = match form {
            Form::Plain => taken.is_none() && arms.is_empty(),
            Form::Conflict(_) | Form::Merge(_) => false,
        };
        let stores = match intent.operation() {
            WriteOperation::Insert => true,
            WriteOperation::Update | WriteOperation::Delete => false,
        };
        let comes = match intent.rows() {
            RowSource::Streamed { .. } => true,
            RowSource::Given { .. } => find.as_ref().is_some_and(|find| find.seen.is_empty()),
            RowSource::Found { .. } | RowSource::Merged(_) | RowSource::Record { .. } => false,
        };
        is_plain && stores && comes && returning.is_none()
    }
}
