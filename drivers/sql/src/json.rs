//! JSON arrays of texts, the form in which lists are kept. Reads and writes nothing else.

/// Members of an array of strings and nulls; none if it is anything else.
#[must_use]
pub fn parse_texts(text: &str) -> Option<Vec<Option<String>>> {
    let mut rest = text.trim().strip_prefix('[')?.trim_start();
    let mut items = Vec::new();
    if let Some(end) = rest.strip_prefix(']') {
        return end.is_empty().then_some(items);
    }
    loop {
        if let Some(after) = rest.strip_prefix("null") {
            items.push(None);
            rest = after;
        } else {
            let (item, after) = parse_string(rest.strip_prefix('"')?)?;
            items.push(Some(item));
            rest = after;
        }
        rest = rest.trim_start();
        if let Some(end) = rest.strip_prefix(']') {
            return end.is_empty().then_some(items);
        }
        rest = rest.strip_prefix(',')?.trim_start();
    }
}

fn parse_string(text: &str) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut characters = text.chars();
    loop {
        match characters.next()? {
            '"' => return Some((item, characters.as_str())),
            '\\' => match characters.next()? {
                'n' => item.push('\n'),
                't' => item.push('\t'),
                'r' => item.push('\r'),
                'b' => item.push('\u{8}'),
                'f' => item.push('\u{c}'),
                'u' => {
                    let first = hex4(&mut characters)?;
                    item.push(match first {
                        0xD800..=0xDBFF => {
                            if characters.next()? != '\\' || characters.next()? != 'u' {
                                return None;
                            }
                            let second = hex4(&mut characters)?;
                            let low = second.checked_sub(0xDC00).filter(|low| *low < 0x400)?;
                            char::from_u32(0x10000 + ((first - 0xD800) << 10) + low)?
                        }
                        other => char::from_u32(other)?,
                    });
                }
                other @ ('"' | '\\' | '/') => item.push(other),
                _ => return None,
            },
            other if u32::from(other) < 0x20 => return None,
            other => item.push(other),
        }
    }
}

fn hex4(characters: &mut std::str::Chars<'_>) -> Option<u32> {
    (0..4).try_fold(0, |value, _| Some(value * 16 + characters.next()?.to_digit(16)?))
}

/// Writes an array of strings and nulls.
#[must_use]
pub fn write_texts<'a>(items: impl Iterator<Item = Option<&'a str>>) -> String {
    let mut text = String::from("[");
    for (i, item) in items.enumerate() {
        if i > 0 {
            text.push(',');
        }
        match item {
            None => text.push_str("null"),
            Some(item) => {
                text.push('"');
                for character in item.chars() {
                    match character {
                        '"' => text.push_str("\\\""),
                        '\\' => text.push_str("\\\\"),
                        control if u32::from(control) < 0x20 => {
                            text.push_str(&format!("\\u{:04x}", u32::from(control)));
                        }
                        other => text.push(other),
                    }
                }
                text.push('"');
            }
        }
    }
    text.push(']');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_round_trip_and_other_json_is_refused() {
        let items = vec![Some("a\"b\\c\n😀".to_owned()), None, Some(String::new())];
        let text = write_texts(items.iter().map(Option::as_deref));
        assert_eq!(parse_texts(&text), Some(items));
        assert_eq!(parse_texts(r#"["\ud83d\ude00"]"#), Some(vec![Some("😀".to_owned())]));
        for wrong in ["", "{}", "[1]", "[\"a\"", "[\"a\"] x", "[\"\\ud83d\"]", "\"a\""] {
            assert_eq!(parse_texts(wrong), None, "{wrong}");
        }
    }
}
