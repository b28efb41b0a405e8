//! What a credential narrows its owner's rights to: objects and operations. It gives no right of its own.

use crate::{Error, ErrorCode, Result};
use std::collections::BTreeSet;
use std::fmt;

/// Entries of one scope.
const ENTRIES_MAX: usize = 256;

/// What may be done with the records of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ScopedOperation {
    /// Records are read.
    Read,
    /// Records are made.
    Create,
    /// Records are changed.
    Update,
    /// Records are deleted.
    Delete,
}

impl ScopedOperation {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// The operations of a word: `write` stands for three.
    fn of(word: &str) -> Option<&'static [Self]> {
        Some(match word {
            "read" => &[Self::Read],
            "create" => &[Self::Create],
            "update" => &[Self::Update],
            "delete" => &[Self::Delete],
            "write" => &[Self::Create, Self::Update, Self::Delete],
            _ => return None,
        })
    }
}

/// Objects that an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Objects {
    All,
    Prefix(String),
    One(String),
}

impl Objects {
    fn has(&self, object: &str) -> bool {
        match self {
            Self::All => true,
            Self::Prefix(prefix) => object.starts_with(prefix.as_str()),
            Self::One(name) => name == object,
        }
    }
}

/// The operations on objects that a credential is good for. One without entries is good for nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    entries: BTreeSet<(Objects, ScopedOperation)>,
}

impl Scope {
    /// Reads entries such as `orders:read`, `crm_*:read,update`, `*:write` and, for all objects, `read`.
    ///
    /// # Errors
    /// 22023: an entry is not one, or there are too many.
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut entries = BTreeSet::new();
        for text in texts {
            let (object, operations) = text.split_once(':').unwrap_or(("*", text));
            let objects = objects(object.trim()).ok_or_else(|| not_one(text))?;
            for word in operations.split(',') {
                let operations = ScopedOperation::of(word.trim()).ok_or_else(|| not_one(text))?;
                entries.extend(operations.iter().map(|operation| (objects.clone(), *operation)));
            }
            if entries.len() > ENTRIES_MAX {
                let message = format!("a scope has at most {ENTRIES_MAX} entries");
                return Err(Error::new(ErrorCode::InvalidParameterValue, message));
            }
        }
        Ok(Self { entries })
    }

    /// Whether it is good for an operation on the records of an object.
    #[must_use]
    pub fn allows(&self, object: &str, operation: ScopedOperation) -> bool {
        self.entries.iter().any(|(objects, allowed)| *allowed == operation && objects.has(object))
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (objects, operation)) in self.entries.iter().enumerate() {
            let blank = if at == 0 { "" } else { " " };
            match objects {
                Objects::All => write!(f, "{blank}*:{}", operation.name())?,
                Objects::Prefix(prefix) => write!(f, "{blank}{prefix}*:{}", operation.name())?,
                Objects::One(name) => write!(f, "{blank}{name}:{}", operation.name())?,
            }
        }
        Ok(())
    }
}

fn objects(text: &str) -> Option<Objects> {
    let is_name = |name: &str| {
        !name.is_empty() && name.len() <= 128 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    match text.strip_suffix('*') {
        Some("") => Some(Objects::All),
        Some(prefix) => is_name(prefix).then(|| Objects::Prefix(prefix.to_owned())),
        None => is_name(text).then(|| Objects::One(text.to_owned())),
    }
}

fn not_one(text: &str) -> Error {
    let shown: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    Error::new(ErrorCode::InvalidParameterValue, format!("\"{shown}\" is not a scope"))
        .with_hint("Write an object, a beginning of names with * or *, and read, create, update, delete or write: crm_*:read,update")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_allows_what_an_entry_says_and_nothing_else() {
        let scope = Scope::parse(["orders:read", "crm_*:read,update", "*:create"]).unwrap();
        for (object, operation, allowed) in [
            ("orders", ScopedOperation::Read, true),
            ("orders_old", ScopedOperation::Read, false),
            ("orders", ScopedOperation::Update, false),
            ("crm_accounts", ScopedOperation::Update, true),
            ("crm_accounts", ScopedOperation::Delete, false),
            ("crm", ScopedOperation::Read, false),
            ("anything", ScopedOperation::Create, true),
        ] {
            assert_eq!(scope.allows(object, operation), allowed, "{object} {operation:?}");
        }
        let write = Scope::parse(["write"]).unwrap();
        assert!(write.allows("x", ScopedOperation::Delete) && !write.allows("x", ScopedOperation::Read));
        assert!(!Scope::parse([]).unwrap().allows("x", ScopedOperation::Read));
    }

    #[test]
    fn what_is_no_scope_is_refused_and_what_is_prints_as_one() {
        for text in ["", ":", "orders:", "orders:all", "o*s:read", "a b:read", "orders:read,", "*:*", "a:b:read"] {
            assert!(Scope::parse([text]).is_err(), "{text}");
        }
        let scope = Scope::parse(["crm_*:write", "orders:read", "read"]).unwrap();
        let printed = scope.to_string();
        assert_eq!(Scope::parse(printed.split(' ')).unwrap(), scope);
        assert_eq!(printed, "*:read crm_*:create crm_*:update crm_*:delete orders:read");
        let many: Vec<String> = (0..=ENTRIES_MAX).map(|n| format!("o{n}:read")).collect();
        assert!(Scope::parse(many.iter().map(String::as_str)).is_err());
    }
}
