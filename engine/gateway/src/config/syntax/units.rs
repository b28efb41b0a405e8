//! Sizes and times as people write them. A size unit is a power of 1,024, as in PostgreSQL.

use std::time::Duration;

/// Ten years.
const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

fn split_unit(text: &str) -> Option<(u64, String)> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let number = text[..digits].replace('_', "").parse().ok()?;
    Some((number, text[digits..].trim().to_ascii_lowercase()))
}

pub(in crate::config) fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let factor: u64 = match unit.as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        "t" | "tb" | "tib" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

pub(in crate::config) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "off" {
        return Some(Duration::ZERO);
    }
    let (number, unit) = split_unit(text)?;
    let millis = match unit.as_str() {
        "" if number == 0 => 0,
        "ms" => 1,
        "s" => 1_000,
        "min" | "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    // Far from where adding it to an instant could overflow.
    let duration = Duration::from_millis(number.checked_mul(millis)?);
    (duration <= DURATION_MAX).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_need_a_known_unit() {
        for (text, expected) in [
            ("512MB", Some(512 << 20)),
            ("2 GiB", Some(2 << 30)),
            ("10", Some(10)),
            ("1_000", Some(1000)),
            ("5x", None),
            ("", None),
            ("99999999999TB", None),
        ] {
            assert_eq!(parse_bytes(text), expected, "{text}");
        }
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("500ms", Some(500)),
            ("off", Some(0)),
            ("0", Some(0)),
            ("30", None),
            ("2h", Some(7_200_000)),
            ("30d", Some(30 * 86_400_000)),
            ("99999999h", None),
            ("99999999999999999999ms", None),
        ] {
            assert_eq!(parse_duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }
}
