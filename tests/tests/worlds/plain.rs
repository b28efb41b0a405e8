//! One spelling for numbers, moments and lists that have several.

const NANOS_PER_SECOND: i128 = 1_000_000_000;
const SECONDS_PER_DAY: i128 = 86_400;

/// Sign, digits and power of ten of a number; `None` for what is none, and for NaN and infinities.
pub(crate) fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (rest, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    let kept = digits.trim_end_matches('0');
    if kept.is_empty() {
        return Some((false, String::new(), 0));
    }
    let places = i64::try_from(fraction.len()).ok()?;
    let cut = i64::try_from(digits.len() - kept.len()).ok()?;
    Some((negative, kept.to_owned(), exponent - places + cut))
}

/// Days since 1970-01-01, of any year of the calendar without a beginning.
fn days(year: i128, month: i128, day: i128) -> i128 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Nanoseconds of a time of day.
pub(crate) fn time(text: &str) -> Option<i128> {
    let (clock, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = clock.split(':');
    let (hours, minutes): (i128, i128) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let seconds: i128 = parts.next().map_or(Some(0), |part| part.parse().ok())?;
    if parts.next().is_some() || fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let nanos: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(((hours * 60 + minutes) * 60 + seconds) * NANOS_PER_SECOND + nanos)
}

/// Nanoseconds since 1970 of a day, or of a day and a time, in UTC where it has no offset.
pub(crate) fn moment(text: &str) -> Option<i128> {
    let (text, before_christ) = match text.strip_suffix(" BC") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    let (day, clock) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let mut parts = day.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() < 4 {
        return None;
    }
    let year: i128 = year.parse().ok()?;
    let year = if before_christ { 1 - year } else { year };
    let days = days(year, month.parse().ok()?, day.parse().ok()?);
    let clock = clock.strip_suffix(['Z', 'z']).unwrap_or(clock);
    let (clock, offset) = match clock.rfind(['+', '-']) {
        Some(at) => (&clock[..at], &clock[at..]),
        None => (clock, ""),
    };
    let nanos = if clock.is_empty() { 0 } else { time(clock.trim_end())? };
    Some(days * SECONDS_PER_DAY * NANOS_PER_SECOND + nanos - shift(offset)?)
}

/// Nanoseconds of `+02`, `+0200` or `-02:30`.
fn shift(offset: &str) -> Option<i128> {
    let Some(digits) = offset.get(1..) else { return Some(0) };
    let digits = digits.replace(':', "");
    let (hours, minutes) = (digits.get(..2)?, digits.get(2..4).unwrap_or("00"));
    let minutes = hours.parse::<i128>().ok()? * 60 + minutes.parse::<i128>().ok()?;
    let nanos = minutes * 60 * NANOS_PER_SECOND;
    Some(if offset.starts_with('-') { -nanos } else { nanos })
}

/// Items of a list of one dimension as PostgreSQL prints it.
pub(crate) fn array(text: &str) -> Option<Vec<Option<String>>> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut items = Vec::new();
    let mut chars = inner.chars().peekable();
    while chars.peek().is_some() {
        let mut item = String::new();
        let quoted = chars.next_if_eq(&'"').is_some();
        loop {
            match chars.next() {
                Some('"') if quoted => {
                    chars.next();
                    break;
                }
                Some('\\') => item.push(chars.next()?),
                Some(',') if !quoted => break,
                Some(c) => item.push(c),
                None => break,
            }
        }
        items.push((quoted || item != "NULL").then_some(item));
    }
    Some(items)
}

#[test]
fn spellings_of_one_value_are_one() {
    assert_eq!(decimal("-1.50e3"), decimal("-1500"));
    assert_eq!(decimal("0.00"), decimal("-0"));
    assert_ne!(decimal("9007199254740993"), decimal("9007199254740992"));
    assert_eq!(decimal("NaN"), None);
    assert_eq!(moment("1970-01-02"), moment("1970-01-02 00:00:00.000+00"));
    assert_eq!(moment("2024-03-01 00:00:00-05:30"), moment("2024-03-01T05:30:00Z"));
    assert_eq!(moment("0001-01-01 BC"), moment("0000-01-01"));
    assert_eq!(array("{a,\"b,\\\"c\",NULL,\"NULL\"}").unwrap()[1].as_deref(), Some("b,\"c"));
    assert_eq!(array("{}"), Some(vec![]));
}
