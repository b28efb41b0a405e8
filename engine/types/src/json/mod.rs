//! JSON texts as PostgreSQL reads and prints them. Numbers keep their digits.

pub mod print;
pub mod tree;

/// A text of JSON as jsonb keeps it; `None`: it is no JSON, or one that jsonb does not hold.
#[must_use]
pub fn jsonb(text: &str) -> Option<String> {
    tree::parse(text).map(print::normal_text)
}
