//! Names that the engine gives to rows and columns of its own, and to columns that a client sees under one name. Each holds a character
//! that no name of a client has: statements and questions with such names are refused. Knows no statement.

/// In each name of the engine's own, before what tells it from others.
const MARK: char = '\u{1}';

/// Rows of a subquery that values are compared with.
pub const ROWS: &str = "\u{1}rows";
/// What is there for a row that was found among others.
pub const FOUND: &str = "\u{1}found";
/// What a subquery that runs once gives.
pub const ONCE: &str = "\u{1}once";
/// The one row that a row is compared with.
pub const ONE_ROW: &str = "\u{1}row";
/// A subquery's rows under names of their own.
pub const THEIRS: &str = "\u{1}theirs";
/// Rows with the members of sets.
pub const SETS: &str = "\u{1}sets";
/// The place of a row in an order.
pub const RANK: &str = "\u{1}rank";
/// The number of a row among those that are equal to it.
pub const EQUAL_ROW: &str = "\u{1}number of an equal row";

/// The name of a column that has nothing but a place.
#[must_use]
pub fn place(place: usize) -> String {
    format!("{MARK}{place}")
}

/// The name of a column of some kind at a place.
#[must_use]
pub fn at_place(kind: &str, place: usize) -> String {
    format!("{MARK}{kind}{place}")
}

/// Whether the engine made a whole name, and did not add to a client's.
#[must_use]
pub fn is_own(name: &str) -> bool {
    name.starts_with(MARK)
}

/// A name that a client sees as another column's.
#[must_use]
pub fn told_apart(name: &str, number: usize) -> String {
    format!("{name}{MARK}{number}")
}

/// Whether a client may not give a name, because the engine's own may be equal to it: those of columns, and of a schema that
/// begins with NUL.
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name.contains(['\0', MARK])
}

/// The name a client sees for a field of the bound plan.
#[must_use]
pub fn output_name(field: &str) -> &str {
    field.split_once(MARK).map_or(field, |(name, _)| name)
}

/// Whether some field has this name for a client, and none has it as it is: it stands for several.
#[must_use]
pub fn is_ambiguous<'a>(name: &str, fields: impl IntoIterator<Item = &'a str>) -> bool {
    let mut numbered = false;
    for field in fields {
        if field == name {
            return false;
        }
        numbered |= output_name(field) == name;
    }
    numbered
}

/// A text with the names that a client sees, however their marks are spelled in it.
#[must_use]
pub fn with_output_names(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find([MARK, '\\']) {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        rest = match behind_mark(&shown, from) {
            Some(behind) => behind.trim_start_matches(|c: char| c.is_ascii_digit()),
            None => {
                shown.push('\\');
                from.strip_prefix('\\').unwrap_or_default()
            }
        };
    }
    shown + rest
}

/// What follows a mark that a text begins with: as it is, or escaped as Rust does; as PostgreSQL and JSON do only where it stands
/// between a name and its number, since values begin so, too.
fn behind_mark<'a>(before: &str, text: &'a str) -> Option<&'a str> {
    if let Some(behind) = text.strip_prefix(MARK).or_else(|| text.strip_prefix("\\u{1}")) {
        return Some(behind);
    }
    let behind = text.strip_prefix("\\x01").or_else(|| text.strip_prefix("\\u0001"))?;
    let named = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '?'));
    (named && behind.starts_with(|c: char| c.is_ascii_digit())).then_some(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_sees_no_number() {
        let (first, second) = (told_apart("a", 1), told_apart("a", 12));
        assert_eq!((output_name(&first), output_name(&second), output_name("b1")), ("a", "a", "b1"));
        let fields = [first.as_str(), "b", second.as_str()];
        assert!(is_ambiguous("a", fields) && !is_ambiguous("b", fields) && !is_ambiguous("c", fields));
        assert!(!is_ambiguous("a", ["a", first.as_str()]));
    }

    #[test]
    fn no_mark_is_shown_however_it_is_spelled() {
        for (text, shown) in [
            ("a\u{1}12, a\u{1}1 and c", "a, a and c"),
            (r#"Column { name: "card\u{1}1" }"#, r#"Column { name: "card" }"#),
            (r#"column "card\x012" is ambiguous"#, r#"column "card" is ambiguous"#),
            (r#"{"name":"?column?\u00013"}"#, r#"{"name":"?column?"}"#),
            ("\u{1}rows3.\u{1}1 = x", "rows3. = x"),
            (r"a value '\x0102', C:\x and \", r"a value '\x0102', C:\x and \"),
            ("", ""),
        ] {
            assert_eq!(with_output_names(text), shown, "{text:?}");
        }
    }

    #[test]
    fn names_of_the_engines_own_are_no_client_s() {
        let own = [ROWS, FOUND, THEIRS, SETS, RANK, EQUAL_ROW].map(str::to_owned);
        let own = own.into_iter().chain([place(1), at_place("set", 2)]);
        let mut seen = std::collections::HashSet::new();
        for name in own {
            assert!(is_own(&name) && is_reserved(&name), "{name:?}");
            assert!(seen.insert(name.clone()), "{name:?} is handed out twice");
        }
        assert!(is_reserved(&told_apart("a", 1)) && !is_own(&told_apart("a", 1)));
        assert!(is_reserved("\0path") && !is_reserved("a b\t\u{2}é"));
    }
}
