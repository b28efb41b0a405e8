//! `to_char` and `to_number` of numbers, after Postgres' number processor. Knows no array.

mod keys;
mod roman;

use super::numeric::{parse, rescaled};
use crate::fault::external;
use crate::times::datetime::format::ordinal_suffix;
use datafusion::common::Result;
use keys::{Key, Shape, understood};
use querygate_types::numeric::Numeric;
use querygate_types::{Error, ErrorCode};
use roman::roman;

/// What is printed.
#[derive(Debug, Clone)]
pub(crate) enum Number {
    /// Digits and scale.
    Decimal(i128, i8),
    /// With the digits that its type surely holds.
    Double(f64, usize),
    Wide(Numeric),
}

/// A pattern taken apart.
#[derive(Debug)]
pub(crate) struct Picture {
    keys: Vec<Key>,
    shape: Shape,
}

/// Bytes of a picture; longer ones would take their time for each number.
const PICTURE_BYTES_MAX: usize = 16 << 10;

/// A picture of numbers or moments, unless it is longer than anybody writes.
pub(crate) fn picture(text: &str) -> Result<&str> {
    if text.len() <= PICTURE_BYTES_MAX {
        return Ok(text);
    }
    let hint = format!("A format picture has at most {} KiB.", PICTURE_BYTES_MAX >> 10);
    Err(external(Error::new(ErrorCode::ProgramLimitExceeded, "format picture is too long").with_hint(hint)))
}

impl Picture {
    /// # Errors
    /// 42601 for one that makes no sense, 54000 for one that is too long.
    pub(crate) fn read(pattern: &str) -> Result<Self> {
        let (keys, shape) = understood(picture(pattern)?)?;
        Ok(Self { keys, shape })
    }
}

impl Picture {
    /// A number in the picture.
    pub(crate) fn shown(&self, number: &Number) -> String {
        let shape = &self.shape;
        if shape.exponent {
            return scientific(number, shape);
        }
        let value = match number {
            Number::Decimal(digits, scale) => Some((*digits, *scale)),
            Number::Wide(value) => value.to_digits(),
            Number::Double(value, _) if shape.roman && value.is_finite() => parse(&format!("{value:.0}")),
            Number::Double(..) => None,
        };
        if shape.roman {
            return roman(value, self.keys.contains(&Key::Roman(true)), shape.fill);
        }
        let held = match number {
            Number::Double(value, digits) => shape.holding(*value, *digits),
            Number::Decimal(..) | Number::Wide(_) => *shape,
        };
        let shape = &held;
        let shift = i8::try_from(shape.shift.unwrap_or(0)).unwrap_or(0);
        let places = i8::try_from(shape.after.min(38)).unwrap_or(38);
        let rounded = value.and_then(|(value, scale)| {
            // `V` moves the point.
            let (value, scale) =
                if scale >= shift { (value, scale - shift) } else { (rescaled(value, scale, shift)?, 0) };
            rescaled(value, scale, places)
        });
        let (mut text, negative) = match (rounded, number) {
            (Some(value), _) => (crate::casts::display::decimal(value.abs(), places), value < 0),
            (None, Number::Wide(value)) => wide(value, shift, places),
            (None, Number::Double(value, _)) => double(*value, shift, shape.after),
            (None, Number::Decimal(..)) => return overflowing(shape),
        };
        let before = shape.before + shape.shift.unwrap_or(0);
        let whole = text.find('.').unwrap_or(text.len());
        let spaces = before.saturating_sub(whole);
        if whole > before {
            text = "#".repeat(before + shape.after + 1);
            text.replace_range(before..=before, ".");
        }
        Printer::new(text.as_bytes(), negative, spaces, shape).print(&self.keys)
    }
}

/// The digits that a picture shows of a number of any width, and whether it is negative.
fn wide(value: &Numeric, shift: i8, places: i8) -> (String, bool) {
    let moved = value.times(&Numeric::from_digits(1, -shift)).and_then(|value| value.round(i64::from(places)));
    let moved = moved.unwrap_or(Numeric::Nan);
    (moved.abs().to_string(), moved.signum() < 0)
}

/// The same of a double, with so many places.
fn double(value: f64, shift: i8, places: usize) -> (String, bool) {
    if value.is_infinite() {
        return ("Infinity".to_owned(), value < 0.0);
    }
    let moved = value * 10_f64.powi(i32::from(shift));
    let text = format!("{moved:.places$}");
    (text.trim_start_matches('-').to_owned(), text.starts_with('-'))
}

impl Shape {
    /// With no more places than a double has digits left after its whole part.
    fn holding(&self, value: f64, digits: usize) -> Self {
        let moved = value * 10_f64.powi(i32::try_from(self.shift.unwrap_or(0)).unwrap_or(0));
        let whole = if value.is_nan() {
            "NaN".len()
        } else if value.is_infinite() {
            "Infinity".len()
        } else {
            digits_before_point(moved)
        };
        Self { after: self.after.min(digits.saturating_sub(whole)), ..*self }
    }
}

/// Digits of a number's whole part, rounded.
fn digits_before_point(value: f64) -> usize {
    let whole = value.round_ties_even().abs();
    if whole >= 1e15 {
        return format!("{whole:.0}").len();
    }
    let (mut digits, mut end) = (1, 10.0);
    while whole >= end {
        (digits, end) = (digits + 1, end * 10.0);
    }
    digits
}

fn overflowing(shape: &Shape) -> String {
    format!(" {}", "#".repeat(shape.before.max(1)))
}

/// The processor's state: Postgres' `NUMProc`.
struct Printer<'a> {
    digits: &'a [u8],
    at: usize,
    negative: bool,
    spaces: usize,
    shape: &'a Shape,
    sign_written: bool,
    sign_first: Option<bool>,
    bracket: bool,
    in_number: bool,
    current: usize,
    count: usize,
    /// The last digit worth printing in fill mode.
    last: Option<usize>,
    out: String,
}

impl<'a> Printer<'a> {
    fn new(digits: &'a [u8], negative: bool, spaces: usize, shape: &'a Shape) -> Self {
        let bracket = shape.bracket && (negative || !shape.fill);
        let mut sign_first = shape.sign;
        let sign_written = if shape.plus || shape.minus {
            !shape.plus || shape.minus
        } else {
            if sign_first == Some(true) && shape.before == shape.digits_at_sign {
                sign_first = Some(false);
            }
            !negative && shape.fill && shape.sign.is_none()
        };
        let count = (shape.after + shape.before + shape.shift.unwrap_or(0)).saturating_sub(1);
        let mut last = None;
        if shape.fill && shape.point {
            let point = digits.iter().position(|c| *c == b'.');
            last = point.map(|point| (point + 1..digits.len()).rev().find(|at| digits[*at] != b'0').unwrap_or(point));
            if let (Some(found), true) = (last, shape.zero_end > spaces) {
                let zero = (digits.len() - 1).min(shape.zero_end - spaces);
                last = Some(found.max(zero));
            }
        }
        let count = if !sign_written && spaces == 0 { count + 1 } else { count };
        Self {
            digits,
            at: 0,
            negative,
            spaces,
            shape,
            sign_written,
            sign_first,
            bracket,
            in_number: false,
            current: 0,
            count,
            last,
            out: String::with_capacity(count + spaces + 8),
        }
    }

    fn print(mut self, keys: &[Key]) -> String {
        let fill = self.shape.fill;
        for key in keys {
            match key {
                Key::Nine | Key::Zero | Key::Point => self.digit(*key),
                Key::Comma | Key::Group => match (self.in_number, fill) {
                    (false, true) => {}
                    (false, false) => self.out.push(' '),
                    (true, _) => self.out.push(','),
                },
                Key::Currency => self.out.push(' '),
                Key::Minus => match (self.negative, fill) {
                    (true, _) => self.out.push('-'),
                    (false, true) => {}
                    (false, false) => self.out.push(' '),
                },
                Key::Plus => match (self.negative, fill) {
                    (false, _) => self.out.push('+'),
                    (true, true) => {}
                    (true, false) => self.out.push(' '),
                },
                Key::SignHere => self.out.push(if self.negative { '-' } else { '+' }),
                Key::Ordinal(upper) => {
                    if !(self.negative || self.shape.point || self.digits.first() == Some(&b'#')) {
                        let tail = &self.digits[self.digits.len().saturating_sub(2)..];
                        let tail = tail.iter().fold(0, |tail, digit| tail * 10 + i64::from(digit - b'0'));
                        let suffix = ordinal_suffix(tail);
                        self.out.push_str(if *upper { suffix.0 } else { suffix.1 });
                    }
                }
                Key::Literal(c) => self.out.push(*c),
                Key::Sign | Key::Silent | Key::Roman(_) => {}
            }
        }
        self.out
    }

    /// A number like `0.5` with no digit asked before the point.
    fn before_point_is_blank(&self) -> bool {
        self.shape.zero_start.is_none() && self.at == 0 && self.digits.first() == Some(&b'0') && self.shape.after != 0
    }

    fn last_is_point(&self) -> bool {
        self.last.is_some_and(|last| self.digits.get(last) == Some(&b'.'))
    }

    fn sign(&mut self) {
        let starts = self.current >= self.spaces || self.shape.zero_start.is_some_and(|z| z - 1 == self.current);
        if self.sign_written || !starts || (self.before_point_is_blank() && !self.last_is_point()) {
            return;
        }
        match self.sign_first {
            Some(true) => self.out.push(if self.negative { '-' } else { '+' }),
            Some(false) => return,
            None if self.bracket => self.out.push(if self.negative { '<' } else { ' ' }),
            None if self.negative => self.out.push('-'),
            None if !self.shape.fill => self.out.push(' '),
            None => {}
        }
        self.sign_written = true;
    }

    fn digit(&mut self, key: Key) {
        self.in_number = false;
        self.sign();
        let zero_from = self.shape.zero_start.map(|z| z - 1);
        if self.current < self.spaces && zero_from.is_none_or(|z| z > self.current) {
            if !self.shape.fill {
                self.out.push(' ');
            }
        } else if self.current < self.spaces {
            self.out.push('0');
            self.in_number = true;
        } else {
            self.number_part(key);
        }
        let end = if self.last.is_some_and(|last| last == self.at) {
            self.current
        } else {
            self.count + usize::from(self.spaces > 0) + usize::from(self.shape.point)
        };
        if self.current + 1 == end {
            if self.sign_written && self.bracket {
                self.out.push(if self.negative { '>' } else { ' ' });
            } else if self.sign_first == Some(false) {
                self.out.push(if self.negative { '-' } else { '+' });
            }
        }
        self.current += 1;
    }

    fn number_part(&mut self, key: Key) {
        match self.digits.get(self.at).copied() {
            Some(b'.') => {
                if !self.last_is_point() || self.shape.fill {
                    self.out.push('.');
                }
                self.at += 1;
            }
            digit => {
                if self.last.is_some_and(|last| self.at > last) && key != Key::Zero {
                    // Beyond what matters.
                } else if self.before_point_is_blank() {
                    if !self.shape.fill {
                        self.out.push(' ');
                    } else if self.last_is_point() {
                        self.out.push('0');
                    }
                } else if let Some(digit) = digit {
                    self.out.push(char::from(digit));
                    self.in_number = true;
                }
                if digit.is_some() {
                    self.at += 1;
                }
            }
        }
    }
}

fn scientific(number: &Number, shape: &Shape) -> String {
    let value = match number {
        Number::Decimal(digits, scale) => crate::casts::display::decimal(*digits, *scale).parse().unwrap_or(f64::NAN),
        Number::Double(value, _) => *value,
        Number::Wide(value) => match value.to_exponent(u32::try_from(shape.after).unwrap_or(0)) {
            Some(shown) => {
                let sign = if value.signum() < 0 || shape.fill { "" } else { " " };
                return format!("{sign}{shown}");
            }
            None => f64::NAN,
        },
    };
    if !value.is_finite() {
        return format!(" {}.{}", "#".repeat(shape.before), "#".repeat(shape.after + 4));
    }
    let raw = format!("{value:.0$e}", shape.after);
    let (mantissa, exponent) = raw.split_once('e').unwrap_or((&raw, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if value < 0.0 || shape.fill { "" } else { " " };
    format!("{sign}{mantissa}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs())
}

impl Picture {
    /// Reads a number: digits, a point, a sign; what else the picture has is skipped.
    pub(crate) fn read_number(&self, text: &str) -> Result<Numeric> {
        let shape = &self.shape;
        let invalid =
            || external(Error::new(ErrorCode::InvalidTextRepresentation, "invalid input syntax for type numeric"));
        if shape.roman || shape.exponent {
            return Err(external(Error::new(
                ErrorCode::FeatureNotSupported,
                "this pattern is not supported for input",
            )));
        }
        let negative = text.contains('-') || (shape.bracket && text.contains('<'));
        let most = shape.before + shape.shift.unwrap_or(0);
        let (mut number, mut whole, mut fraction, mut after_point) = (String::with_capacity(24), 0, 0, false);
        for c in text.chars() {
            match c {
                '.' if !after_point && shape.point => {
                    after_point = true;
                    number.push('.');
                }
                '.' if !after_point => break,
                c if c.is_ascii_digit() && after_point && fraction < shape.after => {
                    fraction += 1;
                    number.push(c);
                }
                c if c.is_ascii_digit() && !after_point && whole < most => {
                    whole += 1;
                    number.push(c);
                }
                _ => {}
            }
        }
        if whole == 0 && fraction == 0 {
            return Err(invalid());
        }
        let number = number.trim_end_matches('.');
        let value = if whole == 0 { format!("0{number}").parse() } else { number.parse::<Numeric>() };
        let value = value.map_err(|_| invalid())?;
        let value = match shape.shift.map(i8::try_from) {
            // `V` moves the point.
            Some(Ok(shift)) => value.over(&Numeric::from_digits(1, -shift)).map_err(external)?,
            _ => value,
        };
        Ok(if negative { value.negated() } else { value })
    }
}
