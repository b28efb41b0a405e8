//! PostgreSQL's names of the fields of dates, times and intervals. Knows no value.

/// Fields, and what else they are called.
const FIELDS: [(&str, &[&str]); 22] = [
    ("century", &["c", "cent", "centuries"]),
    ("day", &["d", "days"]),
    ("decade", &["dec", "decades", "decs"]),
    ("dow", &[]),
    ("doy", &[]),
    ("epoch", &[]),
    ("hour", &["h", "hours", "hr", "hrs"]),
    ("isodow", &[]),
    ("isoyear", &[]),
    ("julian", &[]),
    ("microsecond", &["microseconds", "us", "usec", "usecond", "useconds", "usecs"]),
    ("millennium", &["mil", "millennia", "mils"]),
    ("millisecond", &["milliseconds", "ms", "msec", "msecond", "mseconds", "msecs"]),
    ("minute", &["m", "min", "mins", "minutes"]),
    ("month", &["mon", "mons", "months"]),
    ("quarter", &["qtr"]),
    ("second", &["s", "sec", "seconds", "secs"]),
    ("timezone", &[]),
    ("timezone_hour", &["timezone_h"]),
    ("timezone_minute", &["timezone_m"]),
    ("week", &["w", "weeks"]),
    ("year", &["y", "years", "yr", "yrs"]),
];

/// The field that a name in small letters means.
pub(crate) fn field(name: &str) -> Option<&'static str> {
    FIELDS.iter().find(|(field, others)| *field == name || others.contains(&name)).map(|(field, _)| *field)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_several_names() {
        for (name, expected) in [
            ("ms", Some("millisecond")),
            ("msecs", Some("millisecond")),
            ("m", Some("minute")),
            ("us", Some("microsecond")),
            ("s", Some("second")),
            ("dow", Some("dow")),
            ("dows", None),
            ("", None),
        ] {
            assert_eq!(field(name), expected, "{name}");
        }
    }
}
