//! Questions (bodies of `POST /data/:object/query`) at random, and their forms in SQL, written by hand. Opens no door.

mod random;
mod sql;

pub use random::{Object, Questions, Reference};
pub use sql::{Differs, Twin, statement};

/// What a field holds, as far as questions and SQL care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Number,
    /// Whole numbers of 32 bits.
    Integer,
    Money,
    Bool,
    Date,
    Instant,
    Time,
    Tags,
    /// What neither compares nor sorts.
    Other,
}

impl Kind {
    /// By a field's declared type.
    #[must_use]
    pub fn of(declared: &str) -> Self {
        match declared {
            "text" | "textarea" | "email" | "url" | "phone" | "markdown" | "html" | "richtext" | "code"
            | "signature" | "qrcode" | "color" | "select" | "radio" | "lookup" | "master_detail" | "tree" | "user"
            | "autonumber" => Self::Text,
            "number" | "percent" | "slider" | "progress" | "summary" => Self::Number,
            "rating" => Self::Integer,
            "currency" => Self::Money,
            "boolean" | "toggle" => Self::Bool,
            "date" => Self::Date,
            "datetime" => Self::Instant,
            "time" => Self::Time,
            "tags" | "multiselect" | "checkboxes" => Self::Tags,
            _ => Self::Other,
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Number | Self::Integer | Self::Money)
    }
}
