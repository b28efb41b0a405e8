//! Numbers and time stamps from and to Postgres' texts. Knows no array.

use crate::fault::Fault;
use crate::times::civil::Date;

/// White space that Postgres' input functions skip.
fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_ascii_whitespace() || c == '\u{b}')
}

/// A whole number: an optional sign and decimal digits.
pub(crate) fn read_integer<T: TryFrom<i128>>(text: &str, name: &'static str) -> Result<T, Fault> {
    let digits = trimmed(text);
    let (negative, digits) = match digits.as_bytes().first() {
        Some(b'-') => (true, &digits[1..]),
        Some(b'+') => (false, &digits[1..]),
        _ => (false, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Syntax(name));
    }
    let magnitude: i128 = digits.parse().map_err(|_| Fault::OutOfRange(name))?;
    T::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| Fault::OutOfRange(name))
}

macro_rules! read_float {
    ($function:ident, $native:ty, $name:literal) => {
        /// Overflow and underflow are errors; infinity and NaN are words.
        pub(crate) fn $function(text: &str) -> Result<$native, Fault> {
            let digits = trimmed(text);
            let value: $native = digits.parse().map_err(|_| Fault::Syntax($name))?;
            let is_word = digits.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_alphabetic());
            let mantissa = digits.split(['e', 'E']).next().unwrap_or_default();
            let vanished = value == 0.0 && mantissa.bytes().any(|b| (b'1'..=b'9').contains(&b));
            if value.is_infinite() && !is_word || vanished {
                return Err(Fault::OutOfRange($name));
            }
            // NaN has no sign, though it may be written with one.
            Ok(if value.is_nan() { <$native>::NAN } else { value })
        }
    };
}

read_float!(read_real, f32, "real");
read_float!(read_double, f64, "double precision");

/// Any prefix that tells true from false, as Postgres reads it.
pub(crate) fn read_boolean(text: &str) -> Result<bool, Fault> {
    let word = trimmed(text).to_ascii_lowercase();
    let prefix = |of: &str, least: usize| word.len() >= least && of.starts_with(&word);
    if prefix("true", 1) || prefix("yes", 1) || word == "on" || word == "1" {
        Ok(true)
    } else if prefix("false", 1) || prefix("no", 1) || word == "of" || word == "off" || word == "0" {
        Ok(false)
    } else {
        Err(Fault::Syntax("boolean"))
    }
}

/// A decimal's digits at a scale; more digits round, halves away from zero.
pub(crate) fn read_decimal(text: &str, scale: u32, most: i128) -> Result<i128, Fault> {
    const NAME: &str = "numeric";
    let body = trimmed(text);
    let (negative, body) = match body.as_bytes().first() {
        Some(b'-') => (true, &body[1..]),
        Some(b'+') => (false, &body[1..]),
        _ => (false, body),
    };
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().map_err(|_| Fault::Syntax(NAME))?),
        None => (body, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = || whole.bytes().chain(fraction.bytes());
    if digits().next().is_none() || !digits().all(|b| b.is_ascii_digit()) {
        return Err(Fault::Syntax(NAME));
    }
    // How many of the digits stand left of the scale's last place.
    let kept = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_add(exponent).saturating_add(i64::from(scale));
    let mut value = 0_i128;
    let mut position = 0_i64;
    let mut push = |digit: u8| {
        value = value.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        (value <= most).then_some(())
    };
    let mut rounds_up = false;
    for digit in digits() {
        if position < kept {
            push(digit).ok_or(Fault::OutOfRange(NAME))?;
        } else {
            rounds_up = position == kept && digit >= b'5';
            break;
        }
        position += 1;
    }
    if digits().any(|b| b != b'0') {
        for _ in position..kept {
            push(b'0').ok_or(Fault::OutOfRange(NAME))?;
        }
    }
    value += i128::from(rounds_up);
    if value > most {
        return Err(Fault::OutOfRange(NAME));
    }
    Ok(if negative { -value } else { value })
}

macro_rules! write_float {
    ($function:ident, $native:ty, $plain:literal) => {
        /// Fewest digits that read back the same; with an exponent below 10⁻⁴ and from the type's own digits on.
        pub fn $function(value: $native) -> String {
            if value.is_nan() {
                return "NaN".to_owned();
            }
            if value.is_infinite() {
                return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
            }
            // The fewest digits of a number lie on its side of a power of ten.
            if value == 0.0 || (1e-4..$plain).contains(&value.abs()) {
                return format!("{value}");
            }
            let scientific = format!("{value:e}");
            let exponent = scientific.rsplit_once('e').and_then(|(_, e)| e.parse::<i32>().ok()).unwrap_or(0);
            let mantissa = scientific.split('e').next().unwrap_or_default();
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.abs())
        }
    };
}

write_float!(real, f32, 1e6);
write_float!(double, f64, 1e15);

/// `2024-02-29 12:00:00.5`, from microseconds since 1970; infinity is their ends.
pub fn timestamp(micros: i64) -> String {
    match micros {
        i64::MAX => return "infinity".to_owned(),
        i64::MIN => return "-infinity".to_owned(),
        _ => {}
    }
    const DAY: i64 = 86_400_000_000;
    let mut text = String::with_capacity(32);
    let is_before_christ = put_date(micros.div_euclid(DAY), &mut text);
    text.push(' ');
    put_clock(micros.rem_euclid(DAY).unsigned_abs(), &mut text);
    text.push_str(if is_before_christ { " BC" } else { "" });
    text
}

/// `2024-02-29` of days since 1970; whether the year is one before Christ.
pub(crate) fn put_date(days: i64, out: &mut String) -> bool {
    let date = Date::from_days(days);
    // There is no year 0: 1 BC is 0 in the calendar's own count.
    let year = if date.year > 0 { date.year } else { 1 - date.year };
    put_digits(year.unsigned_abs(), 4, out);
    out.push('-');
    put_digits(date.month.unsigned_abs(), 2, out);
    out.push('-');
    put_digits(date.day.unsigned_abs(), 2, out);
    date.year <= 0
}

/// `12:00:00.5` of microseconds.
pub(crate) fn put_clock(micros: u64, out: &mut String) {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    put_digits(seconds / 3_600, 2, out);
    out.push(':');
    put_digits(seconds / 60 % 60, 2, out);
    out.push(':');
    put_digits(seconds % 60, 2, out);
    if fraction != 0 {
        out.push('.');
        put_digits(fraction, 6, out);
        out.truncate(out.trim_end_matches('0').len());
    }
}

/// A number with zeros before it, up to a width.
pub(crate) fn put_digits(mut value: u64, width: usize, out: &mut String) {
    const MOST: usize = 20;
    let (mut digits, mut at) = ([b'0'; MOST], MOST);
    while value > 0 || at == MOST {
        at -= 1;
        digits[at] = b'0' + u8::try_from(value % 10).unwrap_or_default();
        value /= 10;
    }
    out.extend(std::iter::repeat_n('0', width.saturating_sub(MOST)));
    let from = at.min(MOST.saturating_sub(width));
    // Digits are ASCII.
    out.push_str(std::str::from_utf8(&digits[from..]).unwrap_or_default());
}
