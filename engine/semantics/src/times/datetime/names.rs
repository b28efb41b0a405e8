//! English names of months and days, of which Postgres' input takes three letters or all.

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// From Sunday on.
pub(super) const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// From XII down, as Postgres tabulates them.
pub(super) const ROMAN_MONTHS: [&str; 12] = ["XII", "XI", "X", "IX", "VIII", "VII", "VI", "V", "IV", "III", "II", "I"];

/// The number of a month, from 1.
pub(super) fn month(word: &str) -> Option<i64> {
    let found = MONTHS.iter().zip(1..).find(|(name, _)| {
        word.eq_ignore_ascii_case(name)
            || word.eq_ignore_ascii_case(&name[..3])
            || (word.eq_ignore_ascii_case("sept") && name.starts_with("Sept"))
    });
    found.map(|(_, number)| number)
}

/// Whether a word names a day of the week.
pub(super) fn is_day(word: &str) -> bool {
    DAYS.iter().any(|name| {
        word.eq_ignore_ascii_case(name)
            || word.eq_ignore_ascii_case(&name[..3])
            || matches!(word.to_ascii_lowercase().as_str(), "tues" | "weds" | "thur" | "thurs")
    })
}
