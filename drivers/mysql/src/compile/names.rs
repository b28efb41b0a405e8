//! Names in backquotes, which mean the same in every mode of the server. Refuses names that it cannot have.

use querygate_driver_api::capability::{Refusal, RefusalReason};

/// A quoted identifier. The server stored each such name as it was; it refuses the others, or cuts them.
pub(crate) fn quote(name: &str) -> Result<String, Refusal> {
    let wrong = name.is_empty()
        || name.chars().count() > 64
        || name.chars().any(|character| character == '\0' || character > '\u{FFFF}')
        || name.ends_with(char::is_whitespace);
    if wrong {
        return Err(Refusal::new(RefusalReason::Name, "name is one that the source cannot have"));
    }
    Ok(format!("`{}`", name.replace('`', "``")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_whole_or_refused() {
        for (name, expected) in [
            ("a", Some("`a`")),
            ("a`b", Some("`a``b`")),
            ("`; DROP TABLE t; -- x", Some("```; DROP TABLE t; -- x`")),
            (" begins", Some("` begins`")),
            ("ends ", None),
            ("ends\t", None),
            ("", None),
            ("a\0b", None),
            ("emoji😀", None),
        ] {
            assert_eq!(quote(name).ok().as_deref(), expected, "{name:?}");
        }
        assert!(quote(&"x".repeat(64)).is_ok() && quote(&"x".repeat(65)).is_err());
    }
}
