//! Expressions of SQL/JSON paths (`like_regex`): read, compiled and bounded as all others, with a path's own flags.

use super::Expression;
use super::steps::Steps;
use datafusion::common::Result;
use querygate_resources::proceed;

/// Memory that a compiled expression may take: it is looked for in texts of any length.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// A compiled expression of a path.
#[derive(Debug)]
pub(crate) struct PathExpression(Expression);

impl PathExpression {
    /// `flags`: some of `i`, `s` and `m`.
    ///
    /// # Errors
    /// 2201B: it is no expression; 54000: it is too long, or too complex.
    pub(crate) fn new(pattern: &str, flags: &str) -> Result<Self> {
        proceed()?;
        // A path says one by one what a function's single flag says of both: whether the dot takes the end of a line, and whether
        // ^ and $ are those of lines.
        let lines = match (flags.contains('s'), flags.contains('m')) {
            (false, false) => "p",
            (true, false) => "s",
            (false, true) => "n",
            (true, true) => "w",
        };
        let case = if flags.contains('i') { "i" } else { "c" };
        Expression::new(pattern, &format!("{case}{lines}"), COMPILED_BYTES_MAX).map(Self)
    }

    /// # Errors
    /// 54000: the text is too long for this expression; 57014: the statement is over.
    pub(crate) fn is_match(&self, text: &str) -> Result<bool> {
        proceed()?;
        self.0.is_match(text, &Steps::over(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_those_of_a_path() {
        let is_match =
            |pattern: &str, flags: &str| PathExpression::new(pattern, flags).unwrap().is_match("a\nB").unwrap();
        for (pattern, flags, expected) in [
            ("a.B", "", false),
            ("a.B", "s", true),
            ("a.B", "m", false),
            ("a.b", "si", true),
            ("^B", "", false),
            ("^B", "s", false),
            ("^B", "m", true),
            ("^a.B$", "sm", true),
            ("^b", "im", true),
        ] {
            assert_eq!(is_match(pattern, flags), expected, "{pattern} {flags}");
        }
    }

    #[test]
    fn large_programs_are_not_run_over_long_texts() {
        let large = PathExpression::new("(a{1,60}){1,60}b", "").unwrap();
        assert!(!large.is_match(&"a".repeat(100)).unwrap());
        let refused = large.is_match(&"a".repeat(1_000_000)).unwrap_err().to_string();
        assert!(refused.contains("too complex"), "{refused}");
        let small = PathExpression::new("a+b", "").unwrap();
        assert!(!small.is_match(&"a".repeat(1_000_000)).unwrap());
    }
}
