//! Names of output columns that are the same for a client and not for the engine, which wants them to differ: a number behind each,
//! where no identifier can have one. Knows no statement.

/// Between a column's name and the number that makes it unique. No identifier holds it.
const SEPARATOR: char = '\u{1}';

/// The name a client sees for a field of the bound plan.
#[must_use]
pub(crate) fn output_name(field: &str) -> &str {
    field.split_once(SEPARATOR).map_or(field, |(name, _)| name)
}

/// A name that a client sees as another column's.
pub(crate) fn told_apart(name: &str, number: usize) -> String {
    format!("{name}{SEPARATOR}{number}")
}

/// Whether some field has this name for a client, and none has it as it is: it stands for several.
pub(crate) fn is_ambiguous<'a>(name: &str, fields: impl IntoIterator<Item = &'a str>) -> bool {
    let mut numbered = false;
    for field in fields {
        if field == name {
            return false;
        }
        numbered |= output_name(field) == name;
    }
    numbered
}

/// A text with the names that a client sees.
pub(crate) fn with_output_names(text: &str) -> String {
    let mut parts = text.split(SEPARATOR);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |shown, part| shown + part.trim_start_matches(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sees_no_number() {
        let (first, second) = (told_apart("a", 1), told_apart("a", 12));
        assert_eq!((output_name(&first), output_name(&second), output_name("b1")), ("a", "a", "b1"));
        assert_eq!(with_output_names(&format!("{second}, {first} and c")), "a, a and c");
        let fields = [first.as_str(), "b", second.as_str()];
        assert!(is_ambiguous("a", fields) && !is_ambiguous("b", fields) && !is_ambiguous("c", fields));
        assert!(!is_ambiguous("a", ["a", first.as_str()]));
    }
}
