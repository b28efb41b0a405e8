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
        assert_eq!(AutonumberFormat::parse("{status}-{00}").fields().collect::<Vec<_>>(), ["status"]);
        assert_eq!(AutonumberFormat::parse("{00}").text(&record, NOW_MS, 123).as_deref(), Some("123"));
    }
}
