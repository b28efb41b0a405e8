//! LIKE patterns, parsed by ourselves so that each source gets its own exact form.

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    Literal(String),
    /// `_`: one code point.
    One,
    /// `%`: any run, also none.
    Any,
}

/// Splits a pattern: `\` escapes the next character, a lone one at the end is itself.
#[must_use]
pub fn parse_like(pattern: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut literal = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let special = match character {
            '%' => Segment::Any,
            '_' => Segment::One,
            '\\' => {
                literal.push(characters.next().unwrap_or('\\'));
                continue;
            }
            other => {
                literal.push(other);
                continue;
            }
        };
        if !literal.is_empty() {
            segments.push(Segment::Literal(std::mem::take(&mut literal)));
        }
        segments.push(special);
    }
    if !literal.is_empty() {
        segments.push(Segment::Literal(literal));
    }
    segments
}

/// The least text above every text that begins with `prefix`; none if there is no such text.
#[must_use]
pub fn prefix_end(prefix: &str) -> Option<String> {
    let mut characters: Vec<char> = prefix.chars().collect();
    while let Some(last) = characters.pop() {
        let next = match last {
            '\u{D7FF}' => Some('\u{E000}'),
            other => char::from_u32(u32::from(other) + 1),
        };
        if let Some(next) = next {
            characters.push(next);
            return Some(characters.into_iter().collect());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_split_at_wildcards_and_keep_escapes() {
        let literal = |text: &str| Segment::Literal(text.to_owned());
        for (pattern, expected) in [
            ("", vec![]),
            ("abc", vec![literal("abc")]),
            ("a%b_", vec![literal("a"), Segment::Any, literal("b"), Segment::One]),
            (r"100\%", vec![literal("100%")]),
            (r"a\", vec![literal(r"a\")]),
            (r"\\%", vec![literal(r"\"), Segment::Any]),
        ] {
            assert_eq!(parse_like(pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn prefix_end_is_the_successor() {
        for (prefix, expected) in [
            ("a", Some("b")),
            ("a\u{10FFFF}", Some("b")),
            ("\u{D7FF}", Some("\u{E000}")),
            ("\u{10FFFF}", None),
            ("", None),
        ] {
            assert_eq!(prefix_end(prefix).as_deref(), expected);
        }
    }
}
