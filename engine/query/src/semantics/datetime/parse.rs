//! Texts of dates, time stamps and times of day, as Postgres reads them with ISO output and months before days.

use super::Wrong;
use super::names::{is_day, month};
use super::token::{Token, tokens};
use crate::semantics::civil::Date;
use crate::semantics::zone::{DAY, SECOND, Zone, offset};

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::semantics) enum Parsed {
    /// `infinity` or, negative, `-infinity`.
    Infinity { negative: bool },
    Moment {
        /// Days since 1970, if there is a date.
        day: Option<i64>,
        /// Microseconds of the day; 24:00:00 is a whole day.
        clock: Option<i64>,
        zone: Option<Zone>,
    },
}

/// First and last day of a time stamp (4713 BC to 294276).
const FIRST_DAY: i64 = -2_440_588;
const LAST_DAY: i64 = 106_751_991;

/// A date, as days since 1970; ±infinity are the type's ends.
pub(in crate::semantics) fn date(text: &str) -> Result<i32, Wrong> {
    match parsed(text)? {
        Parsed::Infinity { negative } => Ok(if negative { i32::MIN } else { i32::MAX }),
        Parsed::Moment { day: Some(day), .. } => i32::try_from(day).map_err(|_| Wrong::Range),
        Parsed::Moment { .. } => Err(Wrong::Syntax),
    }
}

/// A wall clock in microseconds since 1970; a zone in the text is ignored.
pub(in crate::semantics) fn timestamp(text: &str) -> Result<i64, Wrong> {
    match parsed(text)? {
        Parsed::Infinity { negative } => Ok(if negative { i64::MIN } else { i64::MAX }),
        Parsed::Moment { day: Some(day), clock, .. } => local(day, clock),
        Parsed::Moment { .. } => Err(Wrong::Syntax),
    }
}

/// An instant in microseconds since 1970; `zone` where the text names none.
pub(in crate::semantics) fn instant(text: &str, zone: Zone) -> Result<i64, Wrong> {
    match parsed(text)? {
        Parsed::Infinity { negative } => Ok(if negative { i64::MIN } else { i64::MAX }),
        Parsed::Moment { day: Some(day), clock, zone: own } => {
            local(day, clock).map(|local| own.unwrap_or(zone).instant(local))
        }
        Parsed::Moment { .. } => Err(Wrong::Syntax),
    }
}

/// A time of day in microseconds.
pub(in crate::semantics) fn time(text: &str) -> Result<i64, Wrong> {
    match parsed(text)? {
        Parsed::Moment { clock: Some(clock), .. } => Ok(clock),
        // Digits alone are hours, minutes and seconds.
        Parsed::Moment { .. } => digits_clock(text.trim()).ok_or(Wrong::Syntax),
        Parsed::Infinity { .. } => Err(Wrong::Syntax),
    }
}

fn local(day: i64, clock: Option<i64>) -> Result<i64, Wrong> {
    if !(FIRST_DAY..=LAST_DAY).contains(&day) {
        return Err(Wrong::Range);
    }
    day.checked_mul(DAY).and_then(|d| d.checked_add(clock.unwrap_or(0))).ok_or(Wrong::Range)
}

/// What was found so far.
#[derive(Default)]
struct Fields {
    year: Option<i64>,
    /// Of two digits: to be completed.
    short_year: bool,
    month: Option<i64>,
    day: Option<i64>,
    /// Days since 1970, from a Julian day or `epoch`.
    absolute: Option<i64>,
    clock: Option<i64>,
    afternoon: Option<bool>,
    before_christ: bool,
    zone: Option<Zone>,
}

fn parsed(text: &str) -> Result<Parsed, Wrong> {
    match text.trim().to_ascii_lowercase().as_str() {
        "infinity" | "+infinity" => return Ok(Parsed::Infinity { negative: false }),
        "-infinity" => return Ok(Parsed::Infinity { negative: true }),
        _ => {}
    }
    let pieces = tokens(text).ok_or(Wrong::Syntax)?;
    if pieces.is_empty() {
        return Err(Wrong::Syntax);
    }
    let mut fields = Fields::default();
    let mut rest = pieces.iter().copied().peekable();
    while let Some(piece) = rest.next() {
        match piece {
            Token::Clock(piece) if fields.clock.is_none() => fields.clock = Some(clock(piece)?),
            Token::Date(piece) => fields.date(piece)?,
            Token::Number(piece) => fields.number(piece)?,
            // Before a time an offset is a zone, too; a date never ends with one of its own.
            Token::Offset(piece) if fields.zone.is_none() => {
                fields.zone = Some(Zone::fixed(offset(piece).ok_or(Wrong::Field)?));
            }
            Token::Word(word) if word.eq_ignore_ascii_case("j") => match rest.next() {
                Some(Token::Number(days)) => {
                    let julian: i64 = days.parse().map_err(|_| Wrong::Syntax)?;
                    fields.absolute = Some(julian - 2_440_588);
                }
                _ => return Err(Wrong::Syntax),
            },
            Token::Word(word) => fields.word(word)?,
            Token::Clock(_) | Token::Offset(_) => return Err(Wrong::Syntax),
        }
    }
    fields.finish()
}

impl Fields {
    /// `2024-02-29`, `29-Feb-2024`, `2/29/2024`, `2024.060`.
    fn date(&mut self, piece: &str) -> Result<(), Wrong> {
        if self.year.is_some() || self.day.is_some() {
            return Err(Wrong::Syntax);
        }
        let parts: Vec<&str> = piece.split(['-', '/', '.']).collect();
        let number = |part: &str| part.parse::<i64>().map_err(|_| Wrong::Syntax);
        match parts.as_slice() {
            [y, d] if piece.contains('.') && y.len() == 4 && d.len() == 3 => {
                let (year, of_year) = (number(y)?, number(d)?);
                if !(1..=366).contains(&of_year) {
                    return Err(Wrong::Field);
                }
                self.absolute = Some(Date::new(year, 1, 1).to_days() + of_year - 1);
            }
            [d, m, y] if month(m).is_some() && d.len() <= 2 => {
                (self.day, self.month) = (Some(number(d)?), month(m));
                self.set_year(y)?;
            }
            [y, m, d] if month(m).is_some() => {
                self.set_year(y)?;
                (self.month, self.day) = (month(m), Some(number(d)?));
            }
            [y, m, d] if y.len() >= 3 => {
                self.set_year(y)?;
                (self.month, self.day) = (Some(number(m)?), Some(number(d)?));
            }
            [m, d, y] => {
                (self.month, self.day) = (Some(number(m)?), Some(number(d)?));
                self.set_year(y)?;
            }
            _ => return Err(Wrong::Syntax),
        }
        Ok(())
    }

    fn set_year(&mut self, text: &str) -> Result<(), Wrong> {
        self.year = Some(text.parse().map_err(|_| Wrong::Syntax)?);
        self.short_year = text.len() <= 2;
        Ok(())
    }

    fn number(&mut self, piece: &str) -> Result<(), Wrong> {
        let has_date = self.absolute.is_some() || (self.year.is_some() && self.day.is_some());
        let whole = piece.split('.').next().unwrap_or_default();
        match whole.len() {
            6 | 4 if has_date && self.clock.is_none() => self.clock = Some(digits_clock(piece).ok_or(Wrong::Field)?),
            8 if !has_date && whole.len() == piece.len() => {
                self.set_year(&piece[..4])?;
                self.month = piece[4..6].parse().ok();
                self.day = piece[6..].parse().ok();
            }
            6 if !has_date && whole.len() == piece.len() && self.month.is_none() => {
                self.set_year(&piece[..2])?;
                self.month = piece[2..4].parse().ok();
                self.day = piece[4..].parse().ok();
            }
            1 | 2 if self.month.is_some() && self.day.is_none() => self.day = piece.parse().ok(),
            1 | 2 if self.day.is_none() => self.day = piece.parse().ok(),
            _ if self.year.is_none() && self.month.is_some() => self.set_year(whole)?,
            _ => return Err(Wrong::Syntax),
        }
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Wrong> {
        match word.to_ascii_lowercase().as_str() {
            "t" | "at" | "on" => {}
            "am" => self.afternoon = Some(false),
            "pm" => self.afternoon = Some(true),
            "bc" => self.before_christ = true,
            "ad" => {}
            "epoch" => self.absolute = Some(0),
            "allballs" => self.clock = Some(0),
            _ if month(word).is_some() && self.month.is_none() => self.month = month(word),
            _ if is_day(word) => {}
            _ if self.zone.is_none() => self.zone = Some(Zone::parse(word).ok_or(Wrong::Syntax)?),
            _ => return Err(Wrong::Syntax),
        }
        Ok(())
    }

    fn finish(self) -> Result<Parsed, Wrong> {
        let clock = match (self.clock, self.afternoon) {
            (Some(clock), Some(afternoon)) => {
                let hour = clock / (3_600 * SECOND);
                if hour > 12 {
                    return Err(Wrong::Field);
                }
                let clock = if hour == 12 { clock - 12 * 3_600 * SECOND } else { clock };
                Some(if afternoon { clock + 12 * 3_600 * SECOND } else { clock })
            }
            (None, Some(_)) => return Err(Wrong::Syntax),
            (clock, None) => clock,
        };
        let day = match (self.absolute, self.year, self.month, self.day) {
            (Some(day), ..) => Some(day),
            (None, Some(year), Some(month), Some(day)) => Some(self.calendar(year, month, day)?),
            (None, None, None, None) => None,
            _ => return Err(Wrong::Syntax),
        };
        Ok(Parsed::Moment { day, clock, zone: self.zone })
    }

    fn calendar(&self, year: i64, month: i64, day: i64) -> Result<i64, Wrong> {
        let year = match year {
            0 if !self.short_year => return Err(Wrong::Field),
            y if self.before_christ => 1 - y,
            y if self.short_year && y < 70 => y + 2_000,
            y if self.short_year => y + 1_900,
            y => y,
        };
        if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return Err(Wrong::Field);
        }
        if !(-4_713..=5_874_897).contains(&year) {
            return Err(Wrong::Range);
        }
        Ok(Date::new(year, month, day).to_days())
    }
}

/// Days of a month.
pub(in crate::semantics) const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// `12:34[:56[.789]]`.
fn clock(piece: &str) -> Result<i64, Wrong> {
    let mut parts = piece.split(':');
    let mut part = || parts.next();
    let (hour, minute) = (part().unwrap_or_default(), part().unwrap_or_default());
    let second = part();
    if part().is_some() || minute.is_empty() || minute.contains('.') {
        return Err(Wrong::Syntax);
    }
    let number = |text: &str| text.parse::<i64>().map_err(|_| Wrong::Syntax);
    total(number(hour)?, number(minute)?, second.unwrap_or("0"))
}

fn total(hour: i64, minute: i64, second: &str) -> Result<i64, Wrong> {
    let (whole, fraction) = second.split_once('.').unwrap_or((second, ""));
    let whole: i64 = whole.parse().map_err(|_| Wrong::Syntax)?;
    let micros = fraction_micros(fraction).ok_or(Wrong::Syntax)?;
    let clock = (hour * 3_600 + minute * 60 + whole) * SECOND + micros;
    if minute > 59 || whole > 60 || hour > 24 || clock > DAY { Err(Wrong::Field) } else { Ok(clock) }
}

/// Digits after a point in microseconds, rounded.
pub(super) fn fraction_micros(digits: &str) -> Option<i64> {
    if digits.is_empty() {
        return Some(0);
    }
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let kept: i64 = format!("{:0<7}", &digits[..digits.len().min(7)]).parse().ok()?;
    Some((kept + 5) / 10)
}

/// `123456[.789]`, `1234`.
fn digits_clock(piece: &str) -> Option<i64> {
    let (whole, fraction) = piece.split_once('.').unwrap_or((piece, ""));
    if !whole.bytes().all(|b| b.is_ascii_digit()) || !matches!(whole.len(), 4 | 6) {
        return None;
    }
    let second = if whole.len() == 6 { format!("{}.{fraction}", &whole[4..]) } else { "0".to_owned() };
    total(whole[..2].parse().ok()?, whole[2..4].parse().ok()?, &second).ok()
}
