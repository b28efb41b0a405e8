//! Patterns of metadata, which are written for JavaScript, as patterns of the crate `regex`, which are linear in the text. What
//! has no linear form (lookaround, back-references) is refused.

use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
const PATTERN_BYTES_MAX: usize = 2_000;
/// Memory of a compiled pattern, in bytes.
const PROGRAM_BYTES_MAX: usize = 1 << 20;

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Pattern {
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        if source.len() > PATTERN_BYTES_MAX {
            return Err(format!("a pattern is longer than {PATTERN_BYTES_MAX} bytes"));
        }
        let translated = translate(source)?;
        let regex = RegexBuilder::new(&translated).size_limit(PROGRAM_BYTES_MAX).build();
        regex
            .map(Self)
            .map_err(|_| "the pattern cannot be compiled, or not without lookaround and back-references".to_owned())
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// JavaScript's classes are those of ASCII, its brackets do not nest, and its point stops at more line ends.
fn translate(source: &str) -> Result<String, String> {
    let mut translated = String::with_capacity(source.len() + 16);
    let (mut chars, mut in_class) = (source.chars().peekable(), false);
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let Some(escaped) = chars.next() else { return Err("the pattern ends in a backslash".to_owned()) };
                escape(escaped, in_class, &mut translated)?;
            }
            '[' if in_class => translated.push_str("\\["),
            '[' => {
                in_class = true;
                translated.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    translated.push('^');
                }
                // An empty class matches nothing, an empty complement anything.
                if chars.peek() == Some(&']') {
                    return Err("the pattern has an empty class".to_owned());
                }
            }
            ']' if in_class => {
                in_class = false;
                translated.push(']');
            }
            '&' | '~' if in_class => translated.extend(['\\', c]),
            '-' if in_class && chars.peek() == Some(&'-') => translated.push_str("\\-"),
            '.' if !in_class => translated.push_str("[^\\n\\r\\x{2028}\\x{2029}]"),
            other => translated.push(other),
        }
    }
    Ok(translated)
}

fn escape(escaped: char, in_class: bool, translated: &mut String) -> Result<(), String> {
    let class = match (escaped, in_class) {
        ('d', false) => "[0-9]",
        ('d', true) => "0-9",
        ('D', false) => "[^0-9]",
        ('w', false) => "[0-9A-Za-z_]",
        ('w', true) => "0-9A-Za-z_",
        ('W', false) => "[^0-9A-Za-z_]",
        ('b', false) => "(?-u:\\b)",
        ('B', false) => "(?-u:\\B)",
        ('D' | 'W' | 'b' | 'B' | 'S', true) => return Err(format!("the pattern has \\{escaped} in a class")),
        ('0'..='9' | 'k' | 'c' | 'p' | 'P', _) => return Err(format!("the pattern has \\{escaped}")),
        ('/' | '-', _) => {
            if escaped == '-' {
                translated.push('\\');
            }
            translated.push(escaped);
            return Ok(());
        }
        _ => {
            translated.extend(['\\', escaped]);
            return Ok(());
        }
    };
    translated.push_str(class);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_mean_what_javascript_means() {
        for (source, text, matches) in [
            ("^\\d{2}-\\d{7}$", "12-3456789", true),
            ("^\\d{2}$", "١٢", false),
            ("^[^0-9]*", "9", true),
            ("^[A-Za-z]", "9lives", false),
            ("^.{3,}$", "ab", false),
            ("^.{3,}$", "äöü", true),
            ("^[\\w-]+$", "a-b_9", true),
            ("^[[a]+$", "[a", true),
            ("^a\\/b$", "a/b", true),
            ("^.$", "\r", false),
            ("\\bword\\b", "a word.", true),
        ] {
            assert_eq!(Pattern::compile(source).unwrap().matches(text), matches, "{source} {text}");
        }
        for source in ["(?=a)", "(a)\\1", "[", "a\\", "[]", "[\\W]", "(?<!x)y"] {
            assert!(Pattern::compile(source).is_err(), "{source}");
        }
        assert!(Pattern::compile(&"a".repeat(3_000)).is_err());
    }
}
