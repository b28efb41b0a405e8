//! Sines and their kin of angles in degrees. An angle is taken back to the first eighth of the circle, where quotients with the values at
//! 30, 45 and 60 degrees make the results exact that have few digits. Knows no array.

use super::call::form::{P, R, form};
use super::{Def, Row, Value, strict};
use crate::fault::Fault;
use datafusion::common::Result;

const ONE: &[P] = &[P::Double];

pub(super) const DEFS: &[Def] = &[
    strict("sind", &[form(ONE, R::Double, |r| of_angle(r, |angle| angle.sign * sine(angle.degrees)))]),
    strict("cosd", &[form(ONE, R::Double, |r| of_angle(r, |angle| angle.side * cosine(angle.degrees)))]),
    strict("tand", &[form(ONE, R::Double, |r| of_angle(r, |angle| angle.quotient(sine, cosine)))]),
    strict("cotd", &[form(ONE, R::Double, |r| of_angle(r, |angle| angle.quotient(cosine, sine)))]),
    strict("asind", &[form(ONE, R::Double, |r| of_ratio(r, |ratio| in_quadrant(ratio.abs()).copysign(ratio)))]),
    strict("acosd", &[form(ONE, R::Double, |r| of_ratio(r, angle_of_cosine))]),
    strict("atand", &[form(ONE, R::Double, |r| Ok(Value::Double(in_eighths(r.double(0).atan()))))]),
    strict(
        "atan2d",
        &[form(&[P::Double, P::Double], R::Double, |r| Ok(Value::Double(in_eighths(r.double(0).atan2(r.double(1))))))],
    ),
];

/// An angle between 0 and 90 degrees with the signs that its sine and its cosine have where it came from.
struct Angle {
    degrees: f64,
    sign: f64,
    side: f64,
}

impl Angle {
    fn of(degrees: f64) -> Self {
        let (mut rest, mut sign, mut side) = (degrees % 360.0, 1.0, 1.0);
        if rest < 0.0 {
            (rest, sign) = (-rest, -sign);
        }
        if rest > 180.0 {
            (rest, sign) = (360.0 - rest, -sign);
        }
        if rest > 90.0 {
            (rest, side) = (180.0 - rest, -side);
        }
        Self { degrees: rest, sign, side }
    }

    /// A tangent or cotangent, which is exact at 45 degrees and has no −0.
    fn quotient(&self, over: fn(f64) -> f64, under: fn(f64) -> f64) -> f64 {
        let eighth = over(45.0) / under(45.0);
        let value = self.sign * self.side * (over(self.degrees) / under(self.degrees) / eighth);
        if value == 0.0 { 0.0 } else { value }
    }
}

fn of_angle(row: &Row<'_>, of: fn(&Angle) -> f64) -> Result<Value> {
    let degrees = row.double(0);
    if degrees.is_infinite() {
        return Err(Fault::OutOfRange("input is").error());
    }
    Ok(Value::Double(of(&Angle::of(degrees))))
}

/// Between 0 and 90 degrees.
fn sine(degrees: f64) -> f64 {
    if degrees <= 30.0 { small_sine(degrees) } else { small_cosine(90.0 - degrees) }
}

fn cosine(degrees: f64) -> f64 {
    if degrees <= 60.0 { small_cosine(degrees) } else { small_sine(90.0 - degrees) }
}

/// Up to 30 degrees, where it is a half.
fn small_sine(degrees: f64) -> f64 {
    degrees.to_radians().sin() / 30_f64.to_radians().sin() / 2.0
}

/// Up to 60 degrees, where it is a half.
fn small_cosine(degrees: f64) -> f64 {
    1.0 - (1.0 - degrees.to_radians().cos()) / (1.0 - 60_f64.to_radians().cos()) / 2.0
}

fn of_ratio(row: &Row<'_>, of: fn(f64) -> f64) -> Result<Value> {
    let ratio = row.double(0);
    if ratio.abs() > 1.0 {
        return Err(Fault::OutOfRange("input is").error());
    }
    Ok(Value::Double(of(ratio)))
}

/// The angle of a sine between 0 and 1.
fn in_quadrant(ratio: f64) -> f64 {
    if ratio <= 0.5 { ratio.asin() / 0.5_f64.asin() * 30.0 } else { 90.0 - ratio.acos() / 0.5_f64.acos() * 60.0 }
}

fn angle_of_cosine(ratio: f64) -> f64 {
    if ratio < 0.0 {
        90.0 + in_quadrant(-ratio)
    } else if ratio <= 0.5 {
        90.0 - ratio.asin() / 0.5_f64.asin() * 30.0
    } else {
        ratio.acos() / 0.5_f64.acos() * 60.0
    }
}

/// Radians in degrees, by the angle whose tangent is 1.
fn in_eighths(radians: f64) -> f64 {
    radians / 1_f64.atan() * 45.0
}
