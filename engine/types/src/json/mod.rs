//! Texts of JSON: one reader for all, trees as PostgreSQL reads and prints them, whose numbers keep their digits, and values of doubles.

pub mod print;
pub mod read;
pub mod tree;
pub mod value;

/// A text of JSON as jsonb keeps it; `None`: it is no JSON, or one that jsonb does not hold.
#[must_use]
pub fn jsonb(text: &str) -> Option<String> {
    tree::parse(text).map(print::normal_text)
}
