//! Errors of the library that follows regular expressions in linear time. It reads those constant patterns itself that mean to it what
//! they mean to PostgreSQL. Passes nothing on of its text, which quotes the pattern.

use super::tree::Reason;
use super::{because, invalid};
use querygate_types::Error;

/// How the library's reasons begin, and what they are here.
const REASONS: [(&str, Reason); 10] = [
    ("incomplete escape sequence", Reason::Escape),
    ("invalid character class range", Reason::Range),
    ("invalid escape sequence", Reason::Escape),
    ("invalid repetition count range", Reason::Count),
    ("repetition operator missing expression", Reason::Operand),
    ("unclosed character class", Reason::Brackets),
    ("unclosed counted repetition", Reason::Braces),
    ("unclosed group", Reason::Parentheses),
    ("unopened group", Reason::Parentheses),
    ("unrecognized escape sequence", Reason::Escape),
];

/// The refusal of a pattern that a statement holds. The library's reason comes last in its text, behind the pattern.
pub fn invalid_pattern(text: &str) -> Error {
    let given = text.rsplit_once("error: ").map(|(_, given)| given);
    let known = given.and_then(|given| REASONS.iter().find(|(begin, _)| given.starts_with(*begin)));
    known.map_or_else(invalid, |(_, reason)| because(*reason)).with_cause(text)
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

    /// The library's words are not ours: those of another version would be no reasons here.
    #[test]
    fn the_library_s_own_errors_have_reasons() {
        for (pattern, reason) in [
            ("(", Reason::Parentheses),
            (")", Reason::Parentheses),
            ("[a", Reason::Brackets),
            ("[b-a]", Reason::Range),
            ("a{1", Reason::Braces),
            ("a{2,1}", Reason::Count),
            ("*", Reason::Operand),
            ("\\", Reason::Escape),
            (r"\m", Reason::Escape),
        ] {
            let text = regex::Regex::new(pattern).unwrap_err().to_string();
            assert!(text.starts_with("regex parse error"), "{text}");
            assert_eq!(invalid_pattern(&text).message(), because(reason).message(), "{text}");
        }
    }
}
