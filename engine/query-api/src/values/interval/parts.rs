//! The parts of an interval while its text is read: whole numbers and fractions of a unit, in the widths that Postgres counts in.

use super::{IntervalFault, IntervalRead};

pub(super) const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 3_600 * SECOND;
const DAYS_OF_MONTH: f64 = 30.0;

/// Years, months and days of 32 bits, microseconds of 64.
#[derive(Debug, Default)]
pub(super) struct Parts {
    years: i32,
    months: i32,
    days: i32,
    pub(super) micros: i64,
}

fn narrow(value: i64) -> Result<i32, IntervalFault> {
    i32::try_from(value).map_err(|_| IntervalFault::Field)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a fraction of a unit: what is cut off is looked at by the callers"
)]
const fn whole(value: f64) -> i64 {
    value as i64
}

impl Parts {
    pub(super) fn add_years(&mut self, value: i64, fraction: f64, factor: i32) -> Result<(), IntervalFault> {
        let years = narrow(value)?.checked_mul(factor).ok_or(IntervalFault::Field)?;
        self.years = self.years.checked_add(years).ok_or(IntervalFault::Field)?;
        let months = narrow(whole((fraction * f64::from(factor) * 12.0).round_ties_even()))?;
        self.months = self.months.checked_add(months).ok_or(IntervalFault::Field)?;
        Ok(())
    }

    pub(super) fn add_months(&mut self, value: i64, fraction: f64) -> Result<(), IntervalFault> {
        self.months = self.months.checked_add(narrow(value)?).ok_or(IntervalFault::Field)?;
        self.add_part_of_days(fraction, DAYS_OF_MONTH)
    }

    pub(super) fn add_weeks(&mut self, value: i64, fraction: f64) -> Result<(), IntervalFault> {
        self.add_whole_days(value, 7)?;
        self.add_part_of_days(fraction, 7.0)
    }

    pub(super) fn add_days(&mut self, value: i64, fraction: f64) -> Result<(), IntervalFault> {
        self.add_whole_days(value, 1)?;
        self.add_part(fraction, DAY)
    }

    pub(super) fn add_micros(&mut self, value: i64, fraction: f64, unit: i64) -> Result<(), IntervalFault> {
        let micros = value.checked_mul(unit).and_then(|m| m.checked_add(self.micros));
        self.micros = micros.ok_or(IntervalFault::Field)?;
        self.add_part(fraction, unit)
    }

    fn add_whole_days(&mut self, value: i64, factor: i32) -> Result<(), IntervalFault> {
        let days = narrow(value)?.checked_mul(factor).ok_or(IntervalFault::Field)?;
        self.days = self.days.checked_add(days).ok_or(IntervalFault::Field)?;
        Ok(())
    }

    fn add_part_of_days(&mut self, fraction: f64, factor: f64) -> Result<(), IntervalFault> {
        let days = fraction * factor;
        self.days = self.days.checked_add(narrow(whole(days))?).ok_or(IntervalFault::Field)?;
        self.add_part(days - days.trunc(), DAY)
    }

    /// A fraction of a unit in microseconds, rounded, halves towards zero.
    pub(super) fn add_part(&mut self, fraction: f64, unit: i64) -> Result<(), IntervalFault> {
        #[expect(clippy::cast_precision_loss, reason = "units are far below 2^53")]
        let micros = fraction * unit as f64;
        let rest = micros - micros.trunc();
        let rounded = whole(micros) + i64::from(rest > 0.5) - i64::from(rest < -0.5);
        self.micros = self.micros.checked_add(rounded).ok_or(IntervalFault::Field)?;
        Ok(())
    }

    pub(super) fn negate(&mut self) -> Result<(), IntervalFault> {
        self.years = self.years.checked_neg().ok_or(IntervalFault::Field)?;
        self.months = self.months.checked_neg().ok_or(IntervalFault::Field)?;
        self.days = self.days.checked_neg().ok_or(IntervalFault::Field)?;
        self.micros = self.micros.checked_neg().ok_or(IntervalFault::Field)?;
        Ok(())
    }

    /// All of it.
    pub(super) fn interval(&self) -> Result<IntervalRead, IntervalFault> {
        let months = i64::from(self.years) * 12 + i64::from(self.months);
        let months = i32::try_from(months).map_err(|_| IntervalFault::Range)?;
        Ok(IntervalRead { months, days: self.days, micros: self.micros })
    }
}
