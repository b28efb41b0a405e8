//! Values of `TimeZone`: what SET accepts, what SHOW prints, and the zone that is meant. PostgreSQL reads a bare number as
//! hours east but a signed `hh:mm` as POSIX does, where plus is west. Knows no timestamp.

use arrow::array::timezone::Tz;
use chrono_tz::TZ_VARIANTS;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::LazyLock;

/// The value as SHOW prints it; `None` for no zone.
pub(crate) fn accept(value: &str) -> Option<String> {
    let text = value.trim().trim_matches('\'');
    if ["utc", "gmt", "default"].iter().any(|name| text.eq_ignore_ascii_case(name)) {
        return Some("UTC".to_owned());
    }
    if text.eq_ignore_ascii_case("etc/utc") {
        return Some("Etc/UTC".to_owned());
    }
    if let Ok(hours) = text.parse::<f64>() {
        return fixed_east((hours * 60.0).round());
    }
    if posix_minutes(text).is_some() {
        return Some(text.to_owned());
    }
    if let Some(zone) = ZONES.get(&text.to_ascii_lowercase()) {
        return Some((*zone).to_owned());
    }
    (!text.is_empty() && Tz::from_str(text).is_ok()).then(|| text.to_owned())
}

/// Names of zones by the same in lower case: PostgreSQL finds them in any.
static ZONES: LazyLock<HashMap<String, &'static str>> =
    LazyLock::new(|| TZ_VARIANTS.iter().map(|zone| (zone.name().to_ascii_lowercase(), zone.name())).collect());

/// `INTERVAL '+hh:mm' HOUR TO MINUTE`, where plus is east, as hours.
pub(crate) fn interval_hours(text: &str) -> Option<String> {
    let minutes = signed_minutes(text.trim())?;
    Some((f64::from(minutes) / 60.0).to_string())
}

/// Names of zones that are abbreviations, too, and the zones that they are links to: an abbreviation in an expression has no summer time,
/// a session's zone has.
const LINKS: [(&str, &str); 4] =
    [("CET", "Europe/Brussels"), ("EET", "Europe/Athens"), ("MET", "Europe/Brussels"), ("WET", "Europe/Lisbon")];

/// The zone that a shown value means: a name, or an offset where plus is east.
pub(crate) fn meant(shown: &str) -> String {
    match posix_minutes(shown) {
        Some(west) => offset(-west),
        None => LINKS.iter().find(|(name, _)| *name == shown).map_or(shown, |(_, zone)| *zone).to_owned(),
    }
}

fn fixed_east(minutes: f64) -> Option<String> {
    // Offsets of a day and more name no zone that exists.
    if minutes.is_nan() || minutes.abs() >= 16.0 * 60.0 {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "bounded and rounded above")]
    let east = minutes as i32;
    let side = |sign: char| {
        let (hours, rest) = (east.abs() / 60, east.abs() % 60);
        if rest == 0 { format!("{sign}{hours:02}") } else { format!("{sign}{hours:02}:{rest:02}") }
    };
    let (east_sign, west_sign) = if east < 0 { ('-', '+') } else { ('+', '-') };
    Some(format!("<{}>{}", side(east_sign), side(west_sign)))
}

/// Minutes west of `±hh:mm` or of `<name>±hh[:mm]`.
fn posix_minutes(text: &str) -> Option<i32> {
    let bare = match text.strip_prefix('<') {
        Some(rest) => rest.split_once('>').filter(|(name, _)| !name.is_empty())?.1,
        None => text,
    };
    signed_minutes(bare)
}

fn signed_minutes(text: &str) -> Option<i32> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+')?),
    };
    let (hours, minutes) = digits.split_once(':').unwrap_or((digits, "0"));
    let number = |part: &str| part.parse::<i32>().ok().filter(|_| part.len() <= 2 && !part.starts_with(['+', '-']));
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 16 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn offset(east: i32) -> String {
    format!("{}{:02}:{:02}", if east < 0 { '-' } else { '+' }, east.abs() / 60, east.abs() % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_hours_east_and_signed_times_posix() {
        let check = |value: &str, shown: Option<&str>, zone: &str| {
            assert_eq!(accept(value).as_deref(), shown, "{value}");
            if let Some(shown) = shown {
                assert_eq!(meant(shown), zone, "{value}");
                assert_eq!(accept(shown).as_deref(), Some(shown), "what SHOW prints can be set again");
            }
        };
        check("utc", Some("UTC"), "UTC");
        check("Europe/Zurich", Some("Europe/Zurich"), "Europe/Zurich");
        check("europe/zurich", Some("Europe/Zurich"), "Europe/Zurich");
        check("EST5edt", Some("EST5EDT"), "EST5EDT");
        check("cet", Some("CET"), "Europe/Brussels");
        check("WET", Some("WET"), "Europe/Lisbon");
        check("5", Some("<+05>-05"), "+05:00");
        check("-5", Some("<-05>+05"), "-05:00");
        check("5.5", Some("<+05:30>-05:30"), "+05:30");
        check("0", Some("<+00>-00"), "+00:00");
        check("+02:00", Some("+02:00"), "-02:00");
        check("<+03>-03", Some("<+03>-03"), "+03:00");
        check("Mars/Olympus", None, "");
        check("", None, "");
        check("99", None, "");
        check("+99:00", None, "");
        check("NaN", None, "");
    }

    #[test]
    fn an_interval_is_hours_east() {
        let check = |text: &str, hours: Option<&str>| assert_eq!(interval_hours(text).as_deref(), hours, "{text}");
        check("+00:00", Some("0"));
        check("-08:30", Some("-8.5"));
        check("two", None);
    }
}
