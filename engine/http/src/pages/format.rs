//! Numbers, times and durations as people read them, times in UTC. Knows no markup.

use chrono::{DateTime, Utc};

/// A whole stretch of time, in microseconds: `30 s`, `5 min`, `6 h`, `7 days`.
pub(crate) fn stretch(micros: i64) -> String {
    let seconds = micros / 1_000_000;
    match seconds {
        _ if seconds >= 86_400 && seconds % 86_400 == 0 => match seconds / 86_400 {
            1 => "day".to_owned(),
            days => format!("{days} days"),
        },
        _ if seconds >= 3_600 && seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        _ if seconds >= 60 && seconds % 60 == 0 => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

/// A number of milliseconds: `0.42 ms`, `35 ms`, `1.8 s`, `4.0 min`.
pub(crate) fn millis(ms: f64) -> String {
    let size = ms.abs();
    if !ms.is_finite() {
        return "–".to_owned();
    }
    match size {
        _ if size < 0.000_5 => "0 ms".to_owned(),
        _ if size < 1.0 => format!("{ms:.2} ms"),
        _ if size < 10.0 => format!("{ms:.1} ms"),
        _ if size < 1_000.0 => format!("{ms:.0} ms"),
        _ if size < 60_000.0 => format!("{:.1} s", ms / 1_000.0),
        _ if size < 3_600_000.0 => format!("{:.1} min", ms / 60_000.0),
        _ => format!("{:.1} h", ms / 3_600_000.0),
    }
}

/// A count: `812`, `12,345`, `1.2 M`.
pub(crate) fn count(number: f64) -> String {
    if !number.is_finite() {
        return "–".to_owned();
    }
    match number.abs() {
        size if size >= 1e12 => format!("{number:.1e}"),
        size if size >= 1e9 => format!("{:.1} G", number / 1e9),
        size if size >= 1e6 => format!("{:.1} M", number / 1e6),
        size if size >= 10.0 || size.fract() == 0.0 => grouped(&format!("{number:.0}")),
        _ => format!("{number:.1}"),
    }
}

/// Digits in groups of three.
fn grouped(digits: &str) -> String {
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |rest| ("-", rest));
    let mut out = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    out.push_str(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes: `512 B`, `1.5 KB`, `20 MB`.
pub(crate) fn bytes(number: f64) -> String {
    let mut size = number;
    for unit in ["B", "KB", "MB", "GB"] {
        if size.abs() < 1_000.0 {
            return if size.abs() < 10.0 && unit != "B" {
                format!("{size:.1} {unit}")
            } else {
                format!("{size:.0} {unit}")
            };
        }
        size /= 1_000.0;
    }
    format!("{size:.1} TB")
}

/// A share of one as percent.
pub(crate) fn share(part: f64) -> String {
    match part.abs() {
        _ if !part.is_finite() => "–".to_owned(),
        // What rounds to nothing has no sign.
        size if size < 0.000_5 => "0%".to_owned(),
        size if size >= 0.1 => format!("{:.0}%", part * 100.0),
        _ => format!("{:.1}%", part * 100.0),
    }
}

fn utc(micros: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros)
}

/// `2026-11-20 17:45:03`.
pub(crate) fn moment(micros: i64) -> String {
    utc(micros).map_or_else(String::new, |time| time.format("%Y-%m-%d %H:%M:%S").to_string())
}

/// `17:45:03`.
pub(crate) fn clock(micros: i64) -> String {
    utc(micros).map_or_else(String::new, |time| time.format("%H:%M:%S").to_string())
}

/// A tick of a time axis with steps of `step` microseconds.
pub(crate) fn tick(micros: i64, step: i64) -> String {
    let form = match step {
        _ if step >= 24 * 3_600_000_000 => "%b %-d",
        _ if step >= 6 * 3_600_000_000 => "%b %-d %H:%M",
        _ if step >= 60_000_000 => "%H:%M",
        _ => "%H:%M:%S",
    };
    utc(micros).map_or_else(String::new, |time| time.format(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_counts_and_sizes_have_few_digits() {
        let check = |made: String, expected: &str| assert_eq!(made, expected);
        check(stretch(30_000_000), "30 s");
        check(stretch(300_000_000), "5 min");
        check(stretch(6 * 3_600_000_000), "6 h");
        check(stretch(24 * 3_600_000_000), "day");
        check(millis(0.0), "0 ms");
        check(millis(0.423), "0.42 ms");
        check(millis(35.4), "35 ms");
        check(millis(1_830.0), "1.8 s");
        check(millis(240_000.0), "4.0 min");
        check(millis(f64::NAN), "–");
        check(count(812.0), "812");
        check(count(12_345.0), "12,345");
        check(count(-1_234.0), "-1,234");
        check(count(1_234_567.0), "1.2 M");
        check(count(1.5), "1.5");
        check(bytes(512.0), "512 B");
        check(bytes(1_500.0), "1.5 KB");
        check(bytes(20_000_000.0), "20 MB");
        check(share(0.0123), "1.2%");
        check(share(0.5), "50%");
        check(share(-0.25), "-25%");
        check(share(-0.000_4), "0%");
        check(share(-0.0), "0%");
    }

    #[test]
    fn times_are_in_utc() {
        let micros = 1_700_000_000_000_000;
        assert_eq!(moment(micros), "2023-11-14 22:13:20");
        assert_eq!(clock(micros), "22:13:20");
        assert_eq!(tick(micros, 60_000_000), "22:13");
        assert_eq!(tick(micros, 86_400_000_000), "Nov 14");
    }
}
