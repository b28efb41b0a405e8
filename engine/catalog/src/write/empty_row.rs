//! What a new row is stored by that is given no value.

use super::WriteTarget;

impl WriteTarget {
    /// A field that, given NULL, holds what it would hold if it were given nothing: a change stores one at least. `None`: each column of
    /// the source has a value of its own, or takes no NULL.
    #[must_use]
    pub fn empty_field(&self) -> Option<usize> {
        self.fields.iter().enumerate().position(|(place, field)| {
            let native = self.described.columns.iter().find(|native| native.name == field.scan.name);
            let holds_null = native.is_some_and(|native| native.nullable && !native.has_default);
            field.is_writable() && holds_null && !self.key.contains(&place)
        })
    }
}
