//! Values as PostgreSQL prints them, written without a look at the gate's own printers.

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// As PostgreSQL prints a `double precision`: the fewest digits that read back as the same number.
pub(crate) fn print_double(value: f64) -> String {
    print_float(value.is_nan(), value.is_infinite(), value.is_sign_negative(), &format!("{:e}", value.abs()), 15)
}

/// The text of a `real`.
pub(crate) fn print_single(value: f32) -> String {
    let size = value.abs();
    // PostgreSQL takes no digits that lie half-way to the next number.
    let half_way = |text: &str| {
        let next = [size.next_up(), size.next_down()].map(|next| (f64::from(size) + f64::from(next)) / 2.0);
        size.is_finite() && size > 0.0 && next.contains(&text.parse::<f64>().unwrap())
    };
    let mut text = format!("{size:e}");
    let mut places = text.split('e').next().unwrap().len().saturating_sub(2);
    while half_way(&text) {
        places += 1;
        text = format!("{size:.places$e}");
    }
    print_float(value.is_nan(), value.is_infinite(), value.is_sign_negative(), &text, 6)
}

fn print_float(nan: bool, infinite: bool, negative: bool, scientific: &str, digits_max: i32) -> String {
    if nan {
        return "NaN".to_owned();
    }
    let sign = if negative { "-" } else { "" };
    if infinite {
        return format!("{sign}Infinity");
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap();
    let exponent: i32 = exponent.parse().unwrap();
    let digits = mantissa.replace('.', "");
    if exponent < -4 || exponent >= digits_max {
        let direction = if exponent < 0 { '-' } else { '+' };
        return format!("{sign}{mantissa}e{direction}{:02}", exponent.abs());
    }
    let whole = usize::try_from(exponent + 1).unwrap_or(0);
    let text = if exponent < 0 {
        format!("0.{}{digits}", "0".repeat(usize::try_from(-exponent - 1).unwrap()))
    } else if digits.len() <= whole {
        format!("{digits}{}", "0".repeat(whole - digits.len()))
    } else {
        format!("{}.{}", &digits[..whole], &digits[whole..])
    };
    format!("{sign}{text}")
}

/// As `bytea` is printed.
pub(crate) fn print_bytes(bytes: &[u8]) -> String {
    bytes.iter().fold("\\x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// A day, counted from 1970-01-01.
pub(crate) fn print_date(days: i64) -> String {
    let (year, month, day) = civil(days);
    if year > 0 { format!("{year:04}-{month:02}-{day:02}") } else { format!("{:04}-{month:02}-{day:02} BC", 1 - year) }
}

/// Year, month and day of the proleptic Gregorian calendar; before year 1 is year 0.
fn civil(days: i64) -> (i64, i64, i64) {
    // Years begin in March here, so that a leap day ends them; 400 of them are 146,097 days.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A time of day.
pub(crate) fn print_time(micros: i64) -> String {
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match format!("{fraction:06}").trim_end_matches('0') {
        "" => clock,
        digits => format!("{clock}.{digits}"),
    }
}

/// A wall clock, or with `zone` an instant in UTC, counted from 1970-01-01.
pub(crate) fn print_timestamp(micros: i64, zone: bool) -> String {
    let date = print_date(micros.div_euclid(MICROS_PER_DAY));
    let (day, era) = date.strip_suffix(" BC").map_or((date.as_str(), ""), |day| (day, " BC"));
    let zone = if zone { "+00" } else { "" };
    format!("{day} {}{zone}{era}", print_time(micros.rem_euclid(MICROS_PER_DAY)))
}

/// An array, its items as they are printed; `None` is NULL.
pub(crate) fn print_list(items: &[Option<String>]) -> String {
    let special = |c: char| matches!(c, '"' | '\\' | '{' | '}' | ',' | ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}');
    let item = |item: &Option<String>| match item {
        None => "NULL".to_owned(),
        Some(text) if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Some(text) => text.clone(),
    };
    format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
}

/// `1 year 2 mons -3 days +04:05:06.7`: behind what is negative, a sign says that a part is not.
pub(crate) fn print_interval(months: i32, days: i32, micros: i64) -> String {
    let (mut text, mut negative) = (String::new(), false);
    for (number, unit) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if number == 0 {
            continue;
        }
        let gap = if text.is_empty() { "" } else { " " };
        let sign = if negative && number > 0 { "+" } else { "" };
        let many = if number == 1 { "" } else { "s" };
        text += &format!("{gap}{sign}{number} {unit}{many}");
        negative = number < 0;
    }
    if micros != 0 || text.is_empty() {
        let gap = if text.is_empty() { "" } else { " " };
        let sign = if micros < 0 {
            "-"
        } else if negative {
            "+"
        } else {
            ""
        };
        let (seconds, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
        text += &format!("{gap}{sign}{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
        if fraction > 0 {
            text += format!(".{fraction:06}").trim_end_matches('0');
        }
    }
    text
}
