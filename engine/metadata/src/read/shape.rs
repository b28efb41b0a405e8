//! Closed shapes: which keys a mapping may have and which of them have no effect here.

/// Keys any item may carry.
const PROVENANCE: &[&str] = &[
    "_lock",
    "_lockReason",
    "_lockSource",
    "_provenance",
    "_packageId",
    "_packageVersion",
    "_lockDocsUrl",
    "protection",
];

/// The keys of one kind of mapping. Everything else is refused.
pub(crate) struct Shape {
    /// In words, with an article: `a field`.
    pub(crate) what: &'static str,
    /// Keys that the loader reads.
    pub(crate) read: &'static [&'static str],
    /// Keys of the user interface and of other services: accepted without effect.
    pub(crate) ignored: &'static [&'static str],
    /// Keys of older versions, with what to write instead.
    pub(crate) removed: &'static [(&'static str, &'static str)],
}

impl Shape {
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.read.contains(&key) || self.ignored.contains(&key) || PROVENANCE.contains(&key)
    }

    pub(crate) fn removed(&self, key: &str) -> Option<&'static str> {
        self.removed.iter().find(|(removed, _)| *removed == key).map(|(_, instead)| *instead)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.read.iter().chain(self.ignored).copied()
    }
}

/// Bytes of a name that somebody may have misspelt; comparing takes the product of the lengths.
const COMPARED_MAX: usize = 256;

/// The candidate most like `name`, if any is like it.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > COMPARED_MAX {
        return None;
    }
    let lower = name.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| {
        let other = candidate.to_lowercase();
        let distance = strsim::damerau_levenshtein(&lower, &other);
        (distance, candidate, other.chars().count())
    });
    scored
        .filter(|(distance, _, length)| *distance <= (lower.chars().count().max(*length) / 3).max(1))
        .min_by_key(|(distance, candidate, _)| (*distance, *candidate))
        .map(|(_, candidate, _)| candidate)
}

/// Letters of the shortest key that another one may be a slip of.
const SLIP_LETTERS_MIN: usize = 4;
/// Letters of a key in which two may be wrong.
const TWO_SLIPS_LETTERS_MIN: usize = 6;

/// The candidate that `key` is a slip of, by one letter, in a long one two. Stricter than [`nearest`]: a key that is not known here may
/// be one of another release.
pub(super) fn slip_of<'a>(key: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = nearest(key, candidates)?;
    let letters = near.chars().count();
    let most = if letters < TWO_SLIPS_LETTERS_MIN { 1 } else { 2 };
    let distance = strsim::damerau_levenshtein(&key.to_lowercase(), &near.to_lowercase());
    (letters >= SLIP_LETTERS_MIN && distance <= most).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_nearer_than_other_words() {
        for (key, expected) in [
            ("conditon", Some("condition")),
            ("Condition", Some("condition")),
            ("tpye", Some("type")),
            ("typeName", None),
            ("conditional", Some("condition")),
            ("conditionals", None),
            ("sqk", None),
        ] {
            assert_eq!(slip_of(key, ["condition", "type", "sql"]), expected, "{key}");
        }
    }

    #[test]
    fn nearest_names() {
        let keys = ["maskingRule", "maxLength", "required", "requiredWhen", "name"];
        let check = |name: &str, expected: Option<&str>| assert_eq!(nearest(name, keys), expected, "{name}");
        check("maskingrule", Some("maskingRule"));
        check("mask_rule", Some("maskingRule"));
        check("requried", Some("required"));
        check("nmae", Some("name"));
        check("zebra", None);
    }
}
