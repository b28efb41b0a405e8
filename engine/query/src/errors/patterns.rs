//! Why a pattern is no regular expression, in PostgreSQL's words. Passes nothing on of the library's text, which quotes the pattern.

use querygate_types::{Error, ErrorCode};

/// How the library's reasons begin, and what PostgreSQL says of such patterns.
const REASONS: [(&str, &str); 10] = [
    ("incomplete escape sequence", r"invalid escape \ sequence"),
    ("invalid character class range", "invalid character range"),
    ("invalid escape sequence", r"invalid escape \ sequence"),
    ("invalid repetition count range", "invalid repetition count(s)"),
    ("repetition operator missing expression", "quantifier operand invalid"),
    ("unclosed character class", "brackets [] not balanced"),
    ("unclosed counted repetition", "braces {} not balanced"),
    ("unclosed group", "parentheses () not balanced"),
    ("unopened group", "parentheses () not balanced"),
    ("unrecognized escape sequence", r"invalid escape \ sequence"),
];

/// The refusal of a pattern that a statement holds. The library's reason comes last in its text, behind the pattern.
pub(super) fn invalid_pattern(text: &str) -> Error {
    let given = text.rsplit_once("error: ").map(|(_, given)| given);
    let reason = given.and_then(|given| REASONS.iter().find(|(begin, _)| given.starts_with(*begin)));
    let message = match reason {
        Some((_, words)) => format!("invalid regular expression: {words}"),
        None => "invalid regular expression".to_owned(),
    };
    Error::new(ErrorCode::InvalidRegularExpression, message).with_cause(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reason is one of the list, whatever the pattern holds.
    #[test]
    fn a_reason_is_in_postgresqls_words() {
        for (given, message) in [
            ("unclosed group", "invalid regular expression: parentheses () not balanced"),
            ("unclosed character class", "invalid regular expression: brackets [] not balanced"),
            ("unrecognized escape sequence", r"invalid regular expression: invalid escape \ sequence"),
            ("4111-1111 is something new", "invalid regular expression"),
        ] {
            let text = format!("regex parse error:\n    (4111 error: unclosed group\n    ^\nerror: {given}");
            assert_eq!(invalid_pattern(&text).message(), message, "{given}");
        }
        assert_eq!(invalid_pattern("4111").message(), "invalid regular expression");
    }
}
