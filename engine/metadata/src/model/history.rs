//! Of which fields old and new values are kept (`trackHistory`). Knows nothing of where.

use super::{Field, FieldType, Object};

/// Why `trackHistory` has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untracked {
    /// Of an object whose key is not one stored field.
    Key,
    /// Of a field that no source has a column for.
    Computed,
    /// Of a field whose values are secret.
    Secret,
}

impl Object {
    /// The stored fields of which old and new values are kept: those that say so, and where the object says so, all that do not say
    /// otherwise. Stamps, which repeat what a history says anyway, only where they say so themselves.
    pub fn tracked_fields(&self) -> impl Iterator<Item = &Field> {
        let has_key = self.history_key().is_some();
        let wanted = self.fields.values().filter(move |field| has_key && self.tracks(field));
        wanted.filter(|field| untracked(field).is_none())
    }

    /// The field by whose value the history of a record is asked for: the only one of its key.
    #[must_use]
    pub fn history_key(&self) -> Option<&Field> {
        match self.key()[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Where `trackHistory` has no effect, by the field that says so, or the object (`None`), and why.
    #[must_use]
    pub fn untracked(&self) -> Vec<(Option<&Field>, Untracked)> {
        let own = self.fields.values().filter(|field| field.track_history == Some(true));
        let mut found: Vec<_> = own.filter_map(|field| Some((Some(field), untracked(field)?))).collect();
        let is_asked = self.track_history || self.fields.values().any(|field| field.track_history == Some(true));
        if is_asked && self.history_key().is_none() {
            found.push((None, Untracked::Key));
        }
        found
    }

    fn tracks(&self, field: &Field) -> bool {
        field.track_history.unwrap_or(self.track_history && !is_stamp(field))
    }
}

fn is_stamp(field: &Field) -> bool {
    matches!(field.name.as_str(), "created_at" | "created_by" | "updated_at" | "updated_by")
}

fn untracked(field: &Field) -> Option<Untracked> {
    let is_secret = field.internal || matches!(field.field_type, FieldType::Password | FieldType::Secret);
    match (is_secret, field.stored()) {
        (true, _) => Some(Untracked::Secret),
        (false, false) => Some(Untracked::Computed),
        (false, true) => None,
    }
}
