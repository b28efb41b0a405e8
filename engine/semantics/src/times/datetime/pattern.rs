//! Patterns of `to_char`, `to_date` and `to_timestamp`, taken apart. Knows no value.

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Field {
        field: Field,
        case: Case,
        fill: bool,
        ordinal: Option<Case>,
        translated: bool,
    },
    Text(String),
    /// What stood in quotes: it stands for as many characters, whatever they are.
    Quoted(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Upper,
    Title,
    Lower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Hour12,
    Hour24,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    /// Digits of the second's fraction.
    Fraction(u32),
    SecondOfDay,
    /// With or without points.
    Meridiem(bool),
    Era(bool),
    /// Last digits, 4 for all, 5 for `Y,YYY`.
    Year(u8),
    IsoYear(u8),
    MonthName,
    MonthShort,
    Month,
    MonthRoman,
    DayName,
    DayShort,
    DayOfYear,
    IsoDayOfYear,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    WeekOfMonth,
    WeekOfYear,
    IsoWeek,
    Century,
    Julian,
    Quarter,
    Zone,
    ZoneHours,
    ZoneMinutes,
    Offset,
}

/// Keywords, longer ones before their beginnings. Upper case here; lower case is a keyword too.
const KEYWORDS: &[(&str, Field)] = &[
    ("A.D.", Field::Era(true)),
    ("A.M.", Field::Meridiem(true)),
    ("AD", Field::Era(false)),
    ("AM", Field::Meridiem(false)),
    ("B.C.", Field::Era(true)),
    ("BC", Field::Era(false)),
    ("CC", Field::Century),
    ("DAY", Field::DayName),
    ("DDD", Field::DayOfYear),
    ("DD", Field::Day),
    ("DY", Field::DayShort),
    ("D", Field::DayOfWeek),
    ("FF1", Field::Fraction(1)),
    ("FF2", Field::Fraction(2)),
    ("FF3", Field::Fraction(3)),
    ("FF4", Field::Fraction(4)),
    ("FF5", Field::Fraction(5)),
    ("FF6", Field::Fraction(6)),
    ("HH24", Field::Hour24),
    ("HH12", Field::Hour12),
    ("HH", Field::Hour12),
    ("IDDD", Field::IsoDayOfYear),
    ("ID", Field::IsoDayOfWeek),
    ("IW", Field::IsoWeek),
    ("IYYY", Field::IsoYear(4)),
    ("IYY", Field::IsoYear(3)),
    ("IY", Field::IsoYear(2)),
    ("I", Field::IsoYear(1)),
    ("J", Field::Julian),
    ("MI", Field::Minute),
    ("MM", Field::Month),
    ("MONTH", Field::MonthName),
    ("MON", Field::MonthShort),
    ("MS", Field::Millisecond),
    ("OF", Field::Offset),
    ("P.M.", Field::Meridiem(true)),
    ("PM", Field::Meridiem(false)),
    ("Q", Field::Quarter),
    ("RM", Field::MonthRoman),
    ("SSSSS", Field::SecondOfDay),
    ("SSSS", Field::SecondOfDay),
    ("SS", Field::Second),
    ("TZH", Field::ZoneHours),
    ("TZM", Field::ZoneMinutes),
    ("TZ", Field::Zone),
    ("US", Field::Microsecond),
    ("WW", Field::WeekOfYear),
    ("W", Field::WeekOfMonth),
    ("Y,YYY", Field::Year(5)),
    ("YYYY", Field::Year(4)),
    ("YYY", Field::Year(3)),
    ("YY", Field::Year(2)),
    ("Y", Field::Year(1)),
];

/// Takes a pattern apart. Letters that no keyword begins with stand for themselves, as in Postgres.
pub(crate) fn pieces(pattern: &str) -> Vec<Piece> {
    let mut found: Vec<Piece> = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        if let Some((piece, after)) = keyword(rest) {
            found.push(piece);
            rest = after;
            continue;
        }
        // Only fill mode needs to be known of FX: it is about input.
        if let Some(after) = rest.strip_prefix("FX").or_else(|| rest.strip_prefix("fx")) {
            rest = after;
            continue;
        }
        rest = literal(rest, &mut found);
    }
    found
}

/// Characters in quotes, after a backslash, or one.
fn literal<'a>(rest: &'a str, found: &mut Vec<Piece>) -> &'a str {
    let mut chars = rest.chars();
    let mut text = String::new();
    match chars.next() {
        Some('"') => {
            loop {
                match chars.next() {
                    Some('"') | None => break,
                    Some('\\') => text.extend(chars.next()),
                    Some(c) => text.push(c),
                }
            }
            found.push(Piece::Quoted(text));
            return chars.as_str();
        }
        Some('\\') => match chars.clone().next() {
            // A backslash stands for itself but before a quote.
            Some('"') => {
                chars.next();
                text.push('"');
            }
            _ => text.push('\\'),
        },
        Some(c) => text.push(c),
        None => {}
    }
    match found.last_mut() {
        Some(Piece::Text(last)) => last.push_str(&text),
        _ => found.push(Piece::Text(text)),
    }
    chars.as_str()
}

fn keyword(rest: &str) -> Option<(Piece, &str)> {
    let (mut fill, mut translated) = (false, false);
    let mut at = rest;
    loop {
        if let Some(after) = at.strip_prefix("FM").or_else(|| at.strip_prefix("fm")) {
            (fill, at) = (true, after);
        } else if let Some(after) = at.strip_prefix("TM").or_else(|| at.strip_prefix("tm")) {
            (translated, at) = (true, after);
        } else {
            break;
        }
    }
    let (field, case, length) = KEYWORDS.iter().find_map(|(word, field)| {
        let head = at.get(..word.len())?;
        Some((*field, case_of(head, word, *field)?, word.len()))
    })?;
    let mut after = at.get(length..).unwrap_or_default();
    let mut ordinal = None;
    for (suffix, case) in [("TH", Case::Upper), ("th", Case::Lower)] {
        if let Some(cut) = after.strip_prefix(suffix) {
            (ordinal, after) = (Some(case), cut);
            break;
        }
    }
    Some((Piece::Field { field, case, fill, ordinal, translated }, after))
}

/// How a keyword is written; names may also be capitalized.
fn case_of(head: &str, word: &str, field: Field) -> Option<Case> {
    if head == word {
        return Some(Case::Upper);
    }
    if head == word.to_ascii_lowercase() {
        return Some(Case::Lower);
    }
    let names = matches!(field, Field::MonthName | Field::MonthShort | Field::DayName | Field::DayShort);
    let title = format!("{}{}", &word[..1], word[1..].to_ascii_lowercase());
    (names && head == title).then_some(Case::Title)
}
