//! Names in backquotes, which mean the same in every mode of the server. Refuses names that it cannot have.

use querygate_driver_api::{Refusal, RefusalReason};

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
