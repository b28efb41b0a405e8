//! LIKE patterns as regular expressions that cannot backtrack: each run of `%` is left by an atomic group.

/// The expression for a pattern; none for one with a NUL, which BSON's expressions cannot hold.
pub(crate) fn regex(pattern: &str) -> Option<String> {
    if pattern.contains('\0') {
        return None;
    }
    let mut segments = vec![String::new()];
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        let last = segments.last_mut()?;
        match character {
            '%' => segments.push(String::new()),
            // One code point, also a line break.
            '_' => last.push_str(r"[\s\S]"),
            '\\' => literal(last, characters.next().unwrap_or('\\')),
            other => literal(last, other),
        }
    }
    let mut expression = String::from(r"\A");
    let (first, rest) = segments.split_first()?;
    expression.push_str(first);
    match rest.split_last() {
        None => expression.push_str(r"\z"),
        Some((last, between)) => {
            for segment in between.iter().filter(|segment| !segment.is_empty()) {
                expression.push_str(&format!(r"(?>[\s\S]*?{segment})"));
            }
            if !last.is_empty() {
                expression.push_str(&format!(r"[\s\S]*{last}\z"));
            }
        }
    }
    Some(expression)
}

/// The expression for a text itself, between these ends.
pub(crate) fn quoted(begin: &str, text: &str, end: &str) -> Option<String> {
    let mut expression = String::from(begin);
    text.chars().for_each(|character| literal(&mut expression, character));
    expression.push_str(end);
    (!text.contains('\0')).then_some(expression)
}

fn literal(out: &mut String, character: char) {
    if character.is_ascii() && !character.is_ascii_alphanumeric() {
        out.push('\\');
    }
    out.push(character);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_become_anchored_expressions_without_backtracking() {
        for (pattern, expected) in [
            ("", r"\A\z"),
            ("a.b", r"\Aa\.b\z"),
            ("%", r"\A"),
            ("a%", r"\Aa"),
            ("%a", r"\A[\s\S]*a\z"),
            ("a%b%c", r"\Aa(?>[\s\S]*?b)[\s\S]*c\z"),
            (r"\%\_\", r"\A\%\_\\\z"),
            ("_é", r"\A[\s\S]é\z"),
        ] {
            assert_eq!(regex(pattern).as_deref(), Some(expected), "{pattern}");
        }
        assert_eq!(regex("a\0"), None);
    }
}
