//! Texts of dates, time stamps and times of day, as Postgres reads them with ISO output and months before days.

use super::Wrong;
use super::names::{is_day, month};
use super::token::{Token, tokens};
use crate::times::civil::Date;
use crate::times::zone::{DAY, SECOND, Zone, offset};
use querygate_query_api::values::timetz::TimeTz;

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
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
pub(crate) fn date(text: &str) -> Result<i32, Wrong> {
    match parsed(text, false)? {
        Parsed::Infinity { negative } => Ok(if negative { i32::MIN } else { i32::MAX }),
        Parsed::Moment { day: Some(day), .. } if day >= FIRST_DAY => i32::try_from(day).map_err(|_| Wrong::Range),
        Parsed::Moment { day: Some(_), .. } => Err(Wrong::Range),
        Parsed::Moment { .. } => Err(Wrong::Syntax),
    }
}

/// A wall clock in microseconds since 1970; a zone in the text is ignored.
pub(crate) fn timestamp(text: &str) -> Result<i64, Wrong> {
    match parsed(text, false)? {
        Parsed::Infinity { negative } => Ok(if negative { i64::MIN } else { i64::MAX }),
        Parsed::Moment { day: Some(day), clock, .. } => local(day, clock).and_then(first),
        Parsed::Moment { .. } => Err(Wrong::Syntax),
    }
}

/// An instant in microseconds since 1970; `zone` where the text names none.
pub(crate) fn instant(text: &str, zone: Zone) -> Result<i64, Wrong> {
    match parsed(text, false)? {
        Parsed::Infinity { negative } => Ok(if negative { i64::MIN } else { i64::MAX }),
        Parsed::Moment { day: Some(day), clock, zone: own } => {
            local(day, clock).and_then(|local| first(own.unwrap_or(zone).instant(local)))
        }
        Parsed::Moment { .. } => Err(Wrong::Syntax),
    }
}

/// A time of day with a zone. `now` is an instant in microseconds, at which a zone that the text has no day for is asked its distance;
/// `None`: it must be known, and is not.
pub(crate) fn timetz(text: &str, session: Zone, now: Option<i64>) -> Result<Option<TimeTz>, Wrong> {
    let read = parsed(text, true).or_else(|_| parsed(text, false))?;
    let Parsed::Moment { day, clock: Some(micros), zone } = read else { return Err(Wrong::Syntax) };
    let rules = zone.unwrap_or(session);
    let east = match (rules.always(), day, now) {
        (Some(east), ..) => east,
        (None, Some(day), _) => rules.offset_on_clock(local(day, Some(micros))?),
        (None, None, _) if zone.is_some_and(Zone::is_named) => return Err(Wrong::Syntax),
        (None, None, Some(now)) => rules.offset_at(now),
        (None, None, None) => return Ok(None),
    };
    Ok(Some(TimeTz { micros, east }))
}

/// A time of day in microseconds.
pub(crate) fn time(text: &str) -> Result<i64, Wrong> {
    // Digits are hours, minutes and seconds, unless the text has a date, too.
    let read = parsed(text, true).or_else(|_| parsed(text, false))?;
    match read {
        Parsed::Moment { clock: Some(clock), .. } => Ok(clock),
        Parsed::Moment { .. } | Parsed::Infinity { .. } => Err(Wrong::Syntax),
    }
}

/// A time stamp that is not before the first.
fn first(micros: i64) -> Result<i64, Wrong> {
    if micros < FIRST_DAY * DAY { Err(Wrong::Range) } else { Ok(micros) }
}

fn local(day: i64, clock: Option<i64>) -> Result<i64, Wrong> {
    // A zone may move the day before the first into it.
    if !(FIRST_DAY - 1..=LAST_DAY).contains(&day) {
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
    /// The month was a word: numbers around it are day and year.
    word_month: bool,
    day: Option<i64>,
    of_year: Option<i64>,
    /// Days since 1970, from a Julian day or `epoch`.
    absolute: Option<i64>,
    clock: Option<i64>,
    /// Hours and minutes that units named, as in `Y2001M12D27H04M05S06`.
    hour: Option<i64>,
    minute: Option<i64>,
    afternoon: Option<bool>,
    before_christ: bool,
    zone: Option<Zone>,
    /// Only a time of day is looked for: digits are one.
    time_only: bool,
}

/// `2024-02-29` and `2024-02-29 12:34:56.5` as they are printed; others are read piece by piece.
fn plain(text: &str) -> Option<Parsed> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| {
        let digits = bytes.get(from..to)?;
        digits
            .iter()
            .try_fold(0_i64, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let is_date = bytes[4] == b'-' && bytes[7] == b'-' && year > 0 && (1..=12).contains(&month);
    if !is_date || day < 1 || day > days_in(year, month) {
        return None;
    }
    let day = Some(Date::new(year, month, day).to_days());
    if bytes.len() == 10 {
        return Some(Parsed::Moment { day, clock: None, zone: None });
    }
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let is_clock = matches!(bytes[10], b' ' | b'T') && bytes[13] == b':' && bytes[16] == b':';
    if !is_clock || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match bytes.get(19) {
        None => 0,
        Some(b'.') if (21..=26).contains(&bytes.len()) => {
            number(20, bytes.len())? * 10_i64.pow(u32::try_from(26 - bytes.len()).ok()?)
        }
        Some(_) => return None,
    };
    let clock = (hour * 3_600 + minute * 60 + second) * SECOND + micros;
    Some(Parsed::Moment { day, clock: Some(clock), zone: None })
}

fn parsed(text: &str, time_only: bool) -> Result<Parsed, Wrong> {
    if let Some(read) = plain(text).filter(|_| !time_only) {
        return Ok(read);
    }
    match text.trim().to_ascii_lowercase().as_str() {
        "infinity" | "+infinity" => return Ok(Parsed::Infinity { negative: false }),
        "-infinity" => return Ok(Parsed::Infinity { negative: true }),
        _ => {}
    }
    let pieces = tokens(text).ok_or(Wrong::Syntax)?;
    if pieces.is_empty() {
        return Err(Wrong::Syntax);
    }
    let mut fields = Fields { time_only, ..Fields::default() };
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
            Token::Word(word) if is_unit(word) && matches!(rest.peek(), Some(Token::Number(_) | Token::Date(_))) => {
                match rest.next() {
                    Some(Token::Number(number) | Token::Date(number)) => fields.unit(word, number)?,
                    _ => return Err(Wrong::Syntax),
                }
            }
            Token::Word(word) => fields.word(word)?,
            Token::Clock(_) | Token::Offset(_) => return Err(Wrong::Syntax),
        }
    }
    fields.finish()
}

/// Letters that say what the number behind them is.
fn is_unit(word: &str) -> bool {
    ["j", "y", "m", "d", "h", "mm", "s"].iter().any(|unit| word.eq_ignore_ascii_case(unit))
}

impl Fields {
    fn has_date(&self) -> bool {
        self.absolute.is_some() || self.of_year.is_some() || (self.year.is_some() && self.day.is_some())
    }

    /// `2024-02-29`, `29-Feb-2024`, `Feb-29-2024`, `2/29/2024`, `2024.060`; behind a date, digits and an offset.
    fn date(&mut self, piece: &str) -> Result<(), Wrong> {
        if self.has_date() || self.time_only {
            let (digits, _) = piece.split_once('-').filter(|_| self.clock.is_none()).ok_or(Wrong::Syntax)?;
            self.clock = Some(digits_clock(digits).ok_or(Wrong::Syntax)?);
            self.zone = Some(Zone::fixed(offset(&piece[digits.len()..]).ok_or(Wrong::Field)?));
            return Ok(());
        }
        if self.year.is_some() || self.day.is_some() {
            return Err(Wrong::Syntax);
        }
        let parts: Vec<&str> = piece.split(['-', '/', '.']).collect();
        if !(2..=3).contains(&parts.len()) || parts.iter().any(|part| part.is_empty()) {
            return Err(Wrong::Syntax);
        }
        let (words, numbers): (Vec<&str>, Vec<&str>) =
            parts.into_iter().partition(|part| part.bytes().any(|b| b.is_ascii_alphabetic()));
        for word in words {
            if self.word_month {
                return Err(Wrong::Syntax);
            }
            self.month = Some(month(word).ok_or(Wrong::Syntax)?);
            self.word_month = true;
        }
        numbers.into_iter().try_for_each(|number| self.part(number))?;
        if self.has_date() { Ok(()) } else { Err(Wrong::Syntax) }
    }

    fn set_year(&mut self, text: &str) -> Result<(), Wrong> {
        self.year = Some(text.parse().map_err(|_| Wrong::Syntax)?);
        self.short_year = text.len() <= 2;
        Ok(())
    }

    /// A number of a date: which one it is, what came before it decides; months come before days.
    fn part(&mut self, text: &str) -> Result<(), Wrong> {
        let value: i64 = text.parse().map_err(|_| Wrong::Syntax)?;
        let long = text.len() >= 3;
        match (self.year, self.month, self.day) {
            (Some(_), None, None) if text.len() == 3 => {
                if !(1..=366).contains(&value) {
                    return Err(Wrong::Field);
                }
                self.of_year = Some(value);
            }
            (None, None, None) if long => self.set_year(text)?,
            (None | Some(_), None, None) | (None, None, Some(_)) => self.month = Some(value),
            (None, Some(_), None) if self.word_month && long => self.set_year(text)?,
            (None, Some(_), None) => self.day = Some(value),
            // What seemed to be a short year was the day.
            (Some(first), Some(_), None) if self.word_month && long && self.short_year => {
                self.day = Some(first);
                self.set_year(text)?;
            }
            (Some(_), Some(_), None) => self.day = Some(value),
            (None, Some(_), Some(_)) => self.set_year(text)?,
            (Some(_), _, Some(_)) => return Err(Wrong::Syntax),
        }
        Ok(())
    }

    fn number(&mut self, piece: &str) -> Result<(), Wrong> {
        let whole = piece.split('.').next().unwrap_or_default();
        match whole.len() {
            6 | 4 if (self.has_date() || self.time_only) && self.clock.is_none() => {
                self.clock = Some(digits_clock(piece).ok_or(Wrong::Field)?);
            }
            6 | 8 if !self.has_date() && whole.len() == piece.len() && self.month.is_none() => {
                let (year, rest) = piece.split_at(piece.len() - 4);
                self.set_year(year)?;
                self.month = rest[..2].parse().ok();
                self.day = rest[2..].parse().ok();
            }
            _ if whole.len() == piece.len() => self.part(piece)?,
            _ => return Err(Wrong::Syntax),
        }
        Ok(())
    }

    /// A number that a letter before it names. Behind an hour, `m` is minutes.
    fn unit(&mut self, unit: &str, number: &str) -> Result<(), Wrong> {
        let whole = |text: &str| text.parse::<i64>().map_err(|_| Wrong::Syntax);
        match unit.to_ascii_lowercase().as_str() {
            "j" => {
                let (number, zone) =
                    number.split_once('-').map_or((number, None), |(days, _)| (days, Some(&number[days.len()..])));
                if let Some(zone) = zone {
                    self.zone = Some(Zone::fixed(offset(zone).ok_or(Wrong::Field)?));
                }
                let (days, part) = number.split_once('.').unwrap_or((number, ""));
                self.absolute = Some(whole(days)? - 2_440_588);
                if !part.is_empty() {
                    let part: f64 = format!("0.{part}").parse().map_err(|_| Wrong::Syntax)?;
                    #[expect(clippy::cast_possible_truncation, reason = "a part of a day")]
                    let clock = (part * DAY as f64).round() as i64;
                    self.clock = Some(clock);
                }
            }
            "y" => self.year = Some(whole(number)?),
            "m" if self.hour.is_none() => self.month = Some(whole(number)?),
            "d" => self.day = Some(whole(number)?),
            "h" => self.hour = Some(whole(number)?),
            "m" | "mm" => self.minute = Some(whole(number)?),
            _ => {
                let (hour, minute) = (self.hour.ok_or(Wrong::Syntax)?, self.minute.ok_or(Wrong::Syntax)?);
                self.clock = Some(total(hour, minute, number)?);
            }
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
            // In no zone but Greenwich's.
            "epoch" => (self.absolute, self.zone) = (Some(0), Some(Zone::UTC)),
            "allballs" => (self.clock, self.zone) = (Some(0), Some(Zone::UTC)),
            _ if month(word).is_some() && !self.word_month => {
                // What seemed to be the month was the day.
                if let Some(first) = self.month {
                    if self.day.is_some() || !(1..=31).contains(&first) {
                        return Err(Wrong::Syntax);
                    }
                    self.day = Some(first);
                }
                self.month = month(word);
                self.word_month = true;
            }
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
        let of_year = match self.year.zip(self.of_year) {
            Some((year, days)) => Some(self.calendar(year, 1, 1)?.checked_add(days - 1).ok_or(Wrong::Field)?),
            None => None,
        };
        let day = match (self.absolute.or(of_year), self.year, self.month, self.day) {
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
pub(crate) const fn days_in(year: i64, month: i64) -> i64 {
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
    if !(0..=59).contains(&minute) || !(0..=60).contains(&whole) || !(0..=24).contains(&hour) {
        return Err(Wrong::Field);
    }
    let clock = (hour * 3_600 + minute * 60 + whole) * SECOND + micros;
    if clock > DAY { Err(Wrong::Field) } else { Ok(clock) }
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
