//! Which patterns an engine for regular expressions that is not PostgreSQL's reads as PostgreSQL does, as they are spelled. Knows only
//! the spellings that are read alike; all others are read here.

/// Whether a pattern is to be read here.
pub(crate) fn is_own(pattern: &str) -> bool {
    let chars: Vec<char> = pattern.chars().collect();
    !Alike { rest: &chars, quantified: true }.pattern()
}

struct Alike<'a> {
    rest: &'a [char],
    /// No quantifier may follow.
    quantified: bool,
}

impl Alike<'_> {
    fn next(&mut self) -> Option<char> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn pattern(mut self) -> bool {
        while let Some(c) = self.next() {
            let alike = match c {
                '\\' => self.escape(),
                '[' => self.bracket(),
                '(' => match self.rest {
                    ['?', ':', ..] => {
                        self.rest = self.rest.get(2..).unwrap_or_default();
                        self.ends_without_quantifier()
                    }
                    ['?', ..] => false,
                    _ => self.ends_without_quantifier(),
                },
                '|' | '^' | '$' => self.ends_without_quantifier(),
                '*' | '+' | '?' => self.quantifier(),
                '{' => self.bound() && self.quantifier(),
                _ => {
                    self.quantified = false;
                    true
                }
            };
            if !alike {
                return false;
            }
        }
        true
    }

    fn ends_without_quantifier(&mut self) -> bool {
        self.quantified = true;
        true
    }

    fn quantifier(&mut self) -> bool {
        let allowed = !self.quantified;
        if self.rest.first() == Some(&'?') {
            self.next();
        }
        self.quantified = true;
        allowed
    }

    fn escape(&mut self) -> bool {
        self.quantified = false;
        self.next().is_some_and(is_alike_escaped)
    }

    /// `2}`, `2,}` or `2,3}`.
    fn bound(&mut self) -> bool {
        let Some(end) = self.rest.iter().position(|c| *c == '}') else { return false };
        let (bound, rest) = self.rest.split_at(end);
        self.rest = rest.get(1..).unwrap_or_default();
        let bound: String = bound.iter().collect();
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if is_number { digits.parse::<u8>().ok() } else { None }
        };
        match bound.split_once(',') {
            None => number(&bound).is_some(),
            Some((least, "")) => number(least).is_some(),
            Some((least, most)) => number(least).zip(number(most)).is_some_and(|(least, most)| least <= most),
        }
    }

    /// Without classes, ranges of ranges, and signs of sets of other engines.
    fn bracket(&mut self) -> bool {
        self.quantified = false;
        if self.rest.first() == Some(&'^') {
            self.next();
        }
        let mut last = None;
        while let Some(c) = self.next() {
            let ends = self.rest.first() == Some(&']');
            let alike = match c {
                ']' if last.is_some() => return true,
                '[' => false,
                '\\' => self.next().is_some_and(is_alike_escaped),
                '&' | '~' => last != Some(c),
                // First, last, or between two characters that make a range.
                '-' if last.is_none() || ends => self.rest.first() != Some(&'-'),
                '-' => self.range(last),
                _ => true,
            };
            if !alike {
                return false;
            }
            last = Some(c);
        }
        false
    }

    /// Behind the sign of a range.
    fn range(&mut self, from: Option<char>) -> bool {
        let plain = |c: Option<char>| c.filter(char::is_ascii_alphanumeric);
        let (Some(from), Some(to)) = (plain(from), plain(self.next())) else { return false };
        from <= to && !(self.rest.first() == Some(&'-') && self.rest.get(1) != Some(&']'))
    }
}

/// Not what stands for a class: other engines have more digits and blanks. Nor `\<` and `\>`, where words begin and end in others.
fn is_alike_escaped(c: char) -> bool {
    c.is_ascii_punctuation() && !matches!(c, '<' | '>') || matches!(c, 'n' | 't' | 'r' | 'f' | 'v')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_read_alike_is_left_to_others() {
        for alike in [
            "",
            "abc",
            "^a.*b$",
            "a|b",
            "(a|b)+?",
            "(?:a)?b",
            r"a+\.\n",
            "[a-z0-9_-]+",
            "[^]a]",
            r"[a.+\t-]+@",
            "a{2}",
            "a{2,}?",
            "a{2,255}",
            "(|a)",
            "é+",
        ] {
            assert!(!is_own(alike), "{alike}");
        }
        for own in [
            r"\b",
            r"\B",
            r"\z",
            r"\<a",
            r"a\>",
            r"[\<]",
            r"\pL",
            r"\x41",
            r"(a)\1",
            "(?=a)",
            "(?i)a",
            "(?P<n>a)",
            "a**",
            "a+*",
            "a{2}{3}",
            "^*",
            "(*a)",
            "a|*",
            "*",
            "a{256}",
            "a{,3}",
            "a{2",
            "a{3,2}",
            "[a&&b]",
            "[a~~b]",
            "[a--b]",
            "[[:<:]]",
            "[[:alpha:]]",
            "[a-c-e]",
            "[b-a]",
            r"[\d-a]",
            r"\d+\.\w",
            r"[\w.+-]+@",
            "[a",
            r"[\m]",
            "a\\",
            "***=a",
            "a???",
        ] {
            assert!(is_own(own), "{own}");
        }
    }
}
