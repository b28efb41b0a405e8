//! Formats of autonumbers: text, date tokens, values of the record, and one counter. Draws no number.

use super::Row;
use chrono::{DateTime, Datelike};
use serde_json::Value;

/// Digits that a counter is padded to at most.
const WIDTH_MAX: usize = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DateToken {
    Year,
    ShortYear,
    Month,
    Day,
    YearMonthDay,
}

impl DateToken {
    const fn digits(self) -> usize {
        match self {
            Self::Year => 4,
            Self::ShortYear | Self::Month | Self::Day => 2,
            Self::YearMonthDay => 8,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Date(DateToken),
    Field(String),
    /// With its width.
    Counter(usize),
}

/// A parsed `autonumberFormat`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AutonumberFormat {
    parts: Vec<Part>,
}

impl AutonumberFormat {
    /// Parses a format. Without a counter one is added at the end.
    #[must_use]
    pub fn parse(format: &str) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = format;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            let token = after.split_once('}');
            let part = token.and_then(|(token, _)| part(token, parts.iter().any(|p| matches!(p, Part::Counter(_)))));
            if let (Some(part), Some((_, after))) = (part, token) {
                if !text.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut text)));
                }
                parts.push(part);
                rest = after;
            } else {
                text.push('{');
                rest = after;
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text));
        }
        if !parts.iter().any(|part| matches!(part, Part::Counter(_))) {
            parts.push(Part::Counter(1));
        }
        Self { parts }
    }

    /// Fields of the record that it contains.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| if let Part::Field(name) = part { Some(name.as_str()) } else { None })
    }

    /// What a counter is counted for: the text before it where that has a date or a field, else the object as a whole.
    /// `None` where a field has no value.
    #[must_use]
    pub fn scope(&self, record: &Row, now_ms: i64) -> Option<String> {
        let varies = self.parts.iter().any(|part| matches!(part, Part::Date(_) | Part::Field(_)));
        let before: Vec<&Part> = self.parts.iter().take_while(|part| !matches!(part, Part::Counter(_))).collect();
        if varies {
            before.into_iter().map(|part| render(part, record, now_ms, 0)).collect()
        } else {
            Some(String::new())
        }
    }

    /// What comes before the counter. `None` where a field has no value.
    #[must_use]
    pub fn prefix(&self, record: &Row, now_ms: i64) -> Option<String> {
        let before = self.parts.iter().take_while(|part| !matches!(part, Part::Counter(_)));
        before.map(|part| render(part, record, now_ms, 0)).collect()
    }

    /// Whether what comes after the counter is always equally long, so that of texts with one prefix the longest, and of those
    /// the last, has the highest counter.
    #[must_use]
    pub fn is_ordered(&self) -> bool {
        !self.after().iter().any(|part| matches!(part, Part::Field(_)))
    }

    /// Whether the end of the counter is clear in every text.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        self.following_digits().is_some()
    }

    /// The counter of a text with this prefix. `None`: no counter of this format prints it.
    #[must_use]
    pub fn counter(&self, text: &str, prefix: &str) -> Option<u64> {
        let rest = text.strip_prefix(prefix)?;
        let run = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = rest.split_at_checked(run.checked_sub(self.following_digits()?)?)?;
        let width =
            self.parts.iter().find_map(|part| if let Part::Counter(width) = part { Some(*width) } else { None })?;
        let is_padded = digits.len() == width || (digits.len() > width && !digits.starts_with('0'));
        if !is_padded || !self.ends(rest) {
            return None;
        }
        digits.parse().ok()
    }

    /// What a text may begin with before its counter, and the counter then. More than one where a field comes before the counter, whose
    /// value may end with digits.
    #[must_use]
    pub fn readings<'t>(&self, text: &'t str) -> Vec<(&'t str, u64)> {
        let mut length = Some(0);
        for part in self.parts.iter().take_while(|part| !matches!(part, Part::Counter(_))) {
            length = match part {
                Part::Text(text) => length.map(|length| length + text.len()),
                Part::Date(token) => length.map(|length| length + token.digits()),
                Part::Field(_) | Part::Counter(_) => None,
            };
        }
        let places: Vec<usize> = match length {
            Some(length) => vec![length],
            None => text.char_indices().map(|(at, _)| at).collect(),
        };
        let reading = |at| {
            let (prefix, _) = text.split_at_checked(at)?;
            Some((prefix, self.counter(text, prefix)?))
        };
        places.into_iter().filter_map(reading).collect()
    }

    /// Parts after the counter.
    fn after(&self) -> &[Part] {
        let place = self.parts.iter().position(|part| matches!(part, Part::Counter(_)));
        place.and_then(|place| self.parts.get(place + 1..)).unwrap_or_default()
    }

    /// How many digits directly follow the counter. `None`: a field follows, whose value may begin with any number of them.
    fn following_digits(&self) -> Option<usize> {
        let mut digits = 0;
        for part in self.after() {
            match part {
                Part::Date(token) => digits += token.digits(),
                Part::Text(text) => {
                    let leading = text.bytes().take_while(u8::is_ascii_digit).count();
                    digits += leading;
                    if leading < text.len() {
                        return Some(digits);
                    }
                }
                Part::Field(_) | Part::Counter(_) => return None,
            }
        }
        Some(digits)
    }

    /// Whether this is what comes after the counter.
    fn ends(&self, mut rest: &str) -> bool {
        for part in self.after() {
            match part {
                Part::Text(text) => match rest.strip_prefix(text.as_str()) {
                    Some(left) => rest = left,
                    None => return false,
                },
                Part::Date(token) => match rest.split_at_checked(token.digits()) {
                    Some((day, left)) if day.bytes().all(|byte| byte.is_ascii_digit()) => rest = left,
                    Some(_) | None => return false,
                },
                // Its value may be any text.
                Part::Field(_) | Part::Counter(_) => return true,
            }
        }
        rest.is_empty()
    }

    /// The number's text for a counter's value. `None` where a field has no value.
    #[must_use]
    pub fn text(&self, record: &Row, now_ms: i64, counter: u64) -> Option<String> {
        self.parts.iter().map(|part| render(part, record, now_ms, counter)).collect()
    }
}

fn part(token: &str, has_counter: bool) -> Option<Part> {
    if !token.is_empty() && token.bytes().all(|byte| byte == b'0') {
        return (!has_counter).then_some(Part::Counter(token.len().min(WIDTH_MAX)));
    }
    Some(match token {
        "YYYY" => Part::Date(DateToken::Year),
        "YY" => Part::Date(DateToken::ShortYear),
        "MM" => Part::Date(DateToken::Month),
        "DD" => Part::Date(DateToken::Day),
        "YYYYMMDD" => Part::Date(DateToken::YearMonthDay),
        name if name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
            && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')) =>
        {
            Part::Field(name.to_owned())
        }
        _ => return None,
    })
}

fn render(part: &Part, record: &Row, now_ms: i64, counter: u64) -> Option<String> {
    Some(match part {
        Part::Text(text) => text.clone(),
        Part::Counter(width) => format!("{counter:0width$}"),
        Part::Field(name) => match record.get(name)? {
            Value::Null => return None,
            Value::String(text) if text.is_empty() => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        Part::Date(token) => {
            let day = DateTime::from_timestamp_millis(now_ms)?;
            match token {
                DateToken::Year => format!("{:04}", day.year()),
                DateToken::ShortYear => format!("{:02}", day.year().rem_euclid(100)),
                DateToken::Month => format!("{:02}", day.month()),
                DateToken::Day => format!("{:02}", day.day()),
                DateToken::YearMonthDay => day.format("%Y%m%d").to_string(),
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn formats() {
        const NOW_MS: i64 = 1_773_568_800_000; // 2026-03-15T10:00:00Z
        let record: Row = json!({"status": "won", "level": 7, "empty": null}).as_object().unwrap().clone();
        for (format, scope, text) in [
            ("{0000}", Some(""), Some("0042")),
            ("{0}", Some(""), Some("42")),
            ("N-{0000}", Some(""), Some("N-0042")),
            ("PRE-", Some(""), Some("PRE-42")),
            ("{YYYY}{MM}-{000}", Some("202603-"), Some("202603-042")),
            ("A{YYYYMMDD}{00}", Some("A20260315"), Some("A2026031542")),
            ("{000}/{YY}", Some(""), Some("042/26")),
            ("{status}-{00}", Some("won-"), Some("won-42")),
            ("{level}{DD}-{00}", Some("715-"), Some("715-42")),
            ("{empty}-{00}", None, None),
            ("{yyyy}x{00}", None, None),
            ("{YYY}{00}{00}", Some(""), Some("{YYY}42{00}")),
            ("{ {00}", Some(""), Some("{ 42")),
        ] {
            let parsed = AutonumberFormat::parse(format);
            assert_eq!(parsed.scope(&record, NOW_MS).as_deref(), scope, "{format}");
            assert_eq!(parsed.text(&record, NOW_MS, 42).as_deref(), text, "{format}");
        }
        for (format, prefix, text, counter) in [
            ("N-{000}", "N-", "N-042", Some(42)),
            ("N-{000}", "N-", "N-1042", Some(1042)),
            // Not as the format prints it.
            ("N-{000}", "N-", "N-0042", None),
            ("N-{000}", "N-", "N-42", None),
            ("N-{000}", "N-", "N-042x", None),
            ("N-{000}", "N-", "M-042", None),
            ("N-{000}", "N-", "N-", None),
            ("{000}{YY}/7", "", "04226/7", Some(42)),
            ("{000}{YY}/7", "", "04226/8", None),
            ("{0}5", "", "125", Some(12)),
            ("{00}-{status}", "", "42-won", Some(42)),
            ("{00}{status}", "", "42won", None),
            ("{0}", "", "99999999999999999999999", None),
        ] {
            let parsed = AutonumberFormat::parse(format);
            assert_eq!(parsed.counter(text, prefix), counter, "{format} {text}");
            assert_eq!(parsed.prefix(&record, NOW_MS).as_deref(), Some(prefix), "{format}");
        }
        for (format, text, readings) in [
            ("N-{000}", "N-1042", &[("N-", 1042_u64)][..]),
            ("N-{000}", "N-42", &[]),
            ("N-{000}", "N", &[]),
            ("A{YYYYMMDD}{00}", "A2026031542", &[("A20260315", 42)]),
            ("{000}/{YY}", "042/26", &[("", 42)]),
            // As each of them is counted where it is drawn.
            ("{status}-{00}", "won-42", &[("won-", 42)]),
            ("{level}{0}", "712", &[("", 712), ("7", 12), ("71", 2)]),
            ("{status}{00}", "é42", &[("é", 42)]),
            ("{00}{status}", "42won", &[]),
        ] {
            assert_eq!(AutonumberFormat::parse(format).readings(text), readings, "{format} {text}");
        }
        for (format, readable, ordered) in [
            ("{00}", true, true),
            ("{00}{YY}", true, true),
            ("{00}-{status}", true, false),
            ("{00}{status}", false, false),
        ] {
            let parsed = AutonumberFormat::parse(format);
            assert_eq!((parsed.is_readable(), parsed.is_ordered()), (readable, ordered), "{format}");
        }
        assert_eq!(AutonumberFormat::parse("{status}-{00}").fields().collect::<Vec<_>>(), ["status"]);
        assert_eq!(AutonumberFormat::parse("{00}").text(&record, NOW_MS, 123).as_deref(), Some("123"));
    }
}
