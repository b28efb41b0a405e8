//! Rights on objects that expressions ask for: `current_user.can(object, verb)`.

/// What may be done with an object as a whole, by ObjectStack's closed list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ObjectRight {
    Read,
    Create,
    Edit,
    Delete,
    Export,
    Transfer,
}

impl ObjectRight {
    /// The right that a verb names.
    pub(crate) fn of_verb(verb: &str) -> Option<Self> {
        Some(match verb {
            "read" => Self::Read,
            "create" | "import" => Self::Create,
            "edit" | "update" | "write" => Self::Edit,
            "delete" | "remove" => Self::Delete,
            "export" => Self::Export,
            "transfer" => Self::Transfer,
            _ => return None,
        })
    }
}
