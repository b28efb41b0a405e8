//! LIKE for patterns that come one by one. What stands between two `%` is looked for from left to right, so the time is linear in
//! text and pattern; only where a `_` is in it, it may be their product, and whether the statement is over is asked meanwhile.

use datafusion::common::Result;
use querygate_resources::proceed;

/// Comparisons of characters between two questions whether to go on.
const STEPS: usize = 1 << 20;

/// What stands between two `%`.
enum Segment {
    Text(String),
    /// `None` is any character. There is one at least.
    Wild(Vec<Option<char>>),
}

impl Segment {
    fn new(chars: Vec<Option<char>>) -> Self {
        if chars.iter().all(Option::is_some) {
            Self::Text(chars.into_iter().flatten().collect())
        } else {
            Self::Wild(chars)
        }
    }

    /// Bytes of a text that begins with it.
    fn begins(&self, text: &str) -> Option<usize> {
        match self {
            Self::Text(wanted) => text.starts_with(wanted).then_some(wanted.len()),
            Self::Wild(wanted) => {
                let (mut chars, mut bytes) = (text.chars(), 0);
                for wanted in wanted {
                    let c = chars.next().filter(|c| wanted.is_none_or(|wanted| wanted == *c))?;
                    bytes += c.len_utf8();
                }
                Some(bytes)
            }
        }
    }

    /// Where it begins in a text that ends with it.
    fn ends(&self, text: &str) -> Option<usize> {
        match self {
            Self::Text(wanted) => text.ends_with(wanted).then(|| text.len() - wanted.len()),
            Self::Wild(wanted) => {
                let (from, _) = text.char_indices().rev().nth(wanted.len().saturating_sub(1))?;
                self.begins(&text[from..]).map(|_| from)
            }
        }
    }

    /// Where it ends in a text, at its first place.
    fn found(&self, text: &str) -> Result<Option<usize>> {
        match self {
            Self::Text(wanted) => Ok(text.find(wanted.as_str()).map(|from| from + wanted.len())),
            Self::Wild(wanted) => {
                let mut steps = 0;
                for (from, _) in text.char_indices() {
                    if let Some(bytes) = self.begins(&text[from..]) {
                        return Ok(Some(from + bytes));
                    }
                    steps += wanted.len();
                    if steps >= STEPS {
                        proceed()?;
                        steps = 0;
                    }
                }
                Ok(None)
            }
        }
    }
}

fn segments(pattern: &str) -> Vec<Segment> {
    let (mut all, mut one) = (Vec::new(), Vec::new());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => all.push(Segment::new(std::mem::take(&mut one))),
            '_' => one.push(None),
            '\\' => one.push(Some(chars.next().unwrap_or('\\'))),
            c => one.push(Some(c)),
        }
    }
    all.push(Segment::new(one));
    all
}

/// Whether a text is like a pattern.
pub(in crate::functions) fn like(text: &str, pattern: &str) -> Result<bool> {
    let segments = segments(pattern);
    let Some((first, others)) = segments.split_first() else { return Ok(text.is_empty()) };
    let Some(begun) = first.begins(text) else { return Ok(false) };
    let mut rest = &text[begun..];
    let Some((last, middle)) = others.split_last() else { return Ok(rest.is_empty()) };
    let Some(end) = last.ends(rest) else { return Ok(false) };
    rest = &rest[..end];
    for segment in middle {
        match segment.found(rest)? {
            Some(end) => rest = &rest[end..],
            None => return Ok(false),
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_any_text_and_underscore_any_character() {
        for (text, pattern, wanted) in [
            ("", "", true),
            ("a", "", false),
            ("", "%", true),
            ("", "_", false),
            ("abc", "abc", true),
            ("abc", "ab", false),
            ("abc", "a%", true),
            ("abc", "%c", true),
            ("abc", "%b%", true),
            ("abc", "%%", true),
            ("abc", "a_c", true),
            ("abc", "_%_", true),
            ("a", "_%_", false),
            ("aXbXc", "a%b%c", true),
            ("acb", "a%b%c", false),
            ("ab", "ab%b", false),
            ("abb", "ab%b", true),
            ("aabab", "%ab", true),
            ("xaybzb", "%a_b%", true),
            ("é𝄞x", "_𝄞_", true),
            ("é𝄞x", "%_x", true),
            ("a%b", r"a\%b", true),
            ("aXb", r"a\%b", false),
            ("a_", r"%\_", true),
            (r"a\", r"a\", true),
            (r"a\b", r"a\\b", true),
        ] {
            assert_eq!(like(text, pattern).unwrap(), wanted, "{text} LIKE {pattern}");
        }
    }

    #[test]
    fn the_product_of_two_lengths_is_no_time() {
        let (text, part) = ("a".repeat(4_000_000), "a".repeat(400_000));
        let began = std::time::Instant::now();
        assert!(!like(&text, &format!("%{part}b%")).unwrap());
        assert!(!like(&text, &format!("%{part}%b%{part}%")).unwrap());
        // 10¹² comparisons would take minutes.
        assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    }
}
