//! The proleptic Gregorian calendar over every day that a 64-bit count of microseconds reaches. Knows no time zone.

/// A day; years count through 0 (1 BC).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
}

impl Date {
    pub(crate) const fn new(year: i64, month: i64, day: i64) -> Self {
        Self { year, month, day }
    }

    /// From days since 1970-01-01. Years are counted from March, so that the leap day is a year's last.
    pub(crate) const fn from_days(days: i64) -> Self {
        let since = days + 719_468;
        let era = since.div_euclid(146_097);
        let of_era = since.rem_euclid(146_097);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        Self { year, month, day: of_year - (153 * from_march + 2) / 5 + 1 }
    }

    /// To days since 1970-01-01.
    pub(crate) const fn to_days(self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let from_march = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let of_year = (153 * from_march + 2) / 5 + self.day - 1;
        era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year - 719_468
    }
}

/// The day that an ISO year begins with: the Monday of the week that holds 4 January.
pub(crate) fn first_monday(year: i64) -> i64 {
    let fourth = Date::new(year, 1, 4).to_days();
    fourth - (fourth + 3).rem_euclid(7)
}
