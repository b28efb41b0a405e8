//! Days, weeks, months, quarters and years as keys of groups: which days they stand for, and which of them is which of another window.

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, SecondsFormat, Utc, Weekday};
use querygate_query_api::requests::question::Bucket;

/// The days that a key stands for: from the first to the one behind the last. `None` of no such key.
pub(super) fn days_of(bucket: Bucket, key: &str) -> Option<(NaiveDate, NaiveDate)> {
    let (year, rest) = key.split_once('-').map_or((key, ""), |(year, rest)| (year, rest));
    let year: i32 = year.parse().ok()?;
    let months = |first: u32, count: u32| {
        let from = NaiveDate::from_ymd_opt(year, first, 1)?;
        Some((from, from.checked_add_months(Months::new(count))?))
    };
    match bucket {
        Bucket::Year => months(1, 12),
        Bucket::Quarter => {
            let quarter: u32 = rest.strip_prefix('Q')?.parse().ok().filter(|quarter| (1..=4).contains(quarter))?;
            months(quarter * 3 - 2, 3)
        }
        Bucket::Month => months(rest.parse().ok()?, 1),
        Bucket::Week => {
            let from = NaiveDate::from_isoywd_opt(year, rest.strip_prefix('W')?.parse().ok()?, Weekday::Mon)?;
            Some((from, from.checked_add_days(Days::new(7))?))
        }
        Bucket::Day => {
            let from: NaiveDate = key.parse().ok()?;
            Some((from, from.checked_add_days(Days::new(1))?))
        }
    }
}

/// The key of a day.
fn key_of(bucket: Bucket, day: NaiveDate) -> String {
    match bucket {
        Bucket::Year => format!("{:04}", day.year()),
        Bucket::Quarter => format!("{:04}-Q{}", day.year(), day.month0() / 3 + 1),
        Bucket::Month => format!("{:04}-{:02}", day.year(), day.month()),
        Bucket::Week => {
            let week = day.iso_week();
            format!("{:04}-W{:02}", week.year(), week.week())
        }
        Bucket::Day => day.to_string(),
    }
}

/// How many spans lie between that of a first day and that of another one.
fn spans_between(bucket: Bucket, from: NaiveDate, to: NaiveDate) -> i64 {
    let months = |day: NaiveDate| i64::from(day.year()) * 12 + i64::from(day.month0());
    let days = |day: NaiveDate| i64::from(day.num_days_from_ce());
    // Day 1 is a Monday.
    let number = |day: NaiveDate| match bucket {
        Bucket::Year => i64::from(day.year()),
        Bucket::Quarter => months(day).div_euclid(3),
        Bucket::Month => months(day),
        Bucket::Week => (days(day) - 1).div_euclid(7),
        Bucket::Day => days(day),
    };
    number(to) - number(from)
}

/// A day within the span that is this many behind the one of a day.
fn later(bucket: Bucket, day: NaiveDate, spans: i64) -> Option<NaiveDate> {
    let months = |each: u32| {
        let count = Months::new(u32::try_from(spans.unsigned_abs()).ok()?.checked_mul(each)?);
        let first = day.with_day(1)?;
        if spans < 0 { first.checked_sub_months(count) } else { first.checked_add_months(count) }
    };
    let days = |each: i64| day.checked_add_signed(chrono::TimeDelta::try_days(spans.checked_mul(each)?)?);
    match bucket {
        Bucket::Year => months(12),
        Bucket::Quarter => months(3),
        Bucket::Month => months(1),
        Bucket::Week => days(7),
        Bucket::Day => days(1),
    }
}

/// What a named window of time is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Preset {
    /// The span of this day, or one that many spans away.
    Span(Bucket, i64),
    /// From this many days ago up to now.
    Days(u64),
}

/// The named windows.
pub(super) const PRESETS: [(&str, Preset); 13] = [
    ("today", Preset::Span(Bucket::Day, 0)),
    ("yesterday", Preset::Span(Bucket::Day, -1)),
    ("this_week", Preset::Span(Bucket::Week, 0)),
    ("last_week", Preset::Span(Bucket::Week, -1)),
    ("this_month", Preset::Span(Bucket::Month, 0)),
    ("last_month", Preset::Span(Bucket::Month, -1)),
    ("this_quarter", Preset::Span(Bucket::Quarter, 0)),
    ("last_quarter", Preset::Span(Bucket::Quarter, -1)),
    ("this_year", Preset::Span(Bucket::Year, 0)),
    ("last_year", Preset::Span(Bucket::Year, -1)),
    ("last_7_days", Preset::Days(7)),
    ("last_30_days", Preset::Days(30)),
    ("last_90_days", Preset::Days(90)),
];

/// The first and the last value of a named window, in UTC: days, or a day and this instant. `None`: no window has this name.
pub(super) fn preset(name: &str, now: DateTime<Utc>) -> Option<(String, String)> {
    let (_, preset) = PRESETS.iter().find(|(other, _)| *other == name)?;
    let today = now.date_naive();
    match *preset {
        Preset::Span(bucket, spans) => {
            let (first, next) = span_of(bucket, later(bucket, today, spans)?)?;
            Some((first.to_string(), next.pred_opt()?.to_string()))
        }
        Preset::Days(days) => {
            let first = today.checked_sub_days(Days::new(days))?;
            Some((first.to_string(), now.to_rfc3339_opts(SecondsFormat::Millis, true)))
        }
    }
}

/// What a window of days is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComparisonKind {
    /// As many spans up to the day before, where it is whole spans of its rows; otherwise as many days.
    PreviousPeriod,
    PreviousYear,
}

/// The first and the last day of a window.
pub(super) type Window = (NaiveDate, NaiveDate);

/// The first day of a day's span, and the one behind the last.
fn span_of(bucket: Bucket, day: NaiveDate) -> Option<(NaiveDate, NaiveDate)> {
    days_of(bucket, &key_of(bucket, day))
}

/// How many spans a window is; `None` where it is not whole ones.
fn whole_spans(bucket: Bucket, (first, last): Window) -> Option<i64> {
    let ((from, _), (_, next)) = (span_of(bucket, first)?, span_of(bucket, last)?);
    (from == first && next.pred_opt() == Some(last)).then(|| spans_between(bucket, first, last) + 1)
}

/// The day a year before; 28 February before a leap day.
fn year_before(day: NaiveDate) -> Option<NaiveDate> {
    let year = day.year().checked_sub(1)?;
    day.with_year(year).or_else(|| NaiveDate::from_ymd_opt(year, 2, 28))
}

/// The Monday of the week of the same number a year before; of week 52 before a week 53 that this year lacks.
fn week_before(day: NaiveDate) -> Option<NaiveDate> {
    let (year, week) = (day.iso_week().year().checked_sub(1)?, day.iso_week().week());
    let monday = |week| NaiveDate::from_isoywd_opt(year, week, Weekday::Mon);
    monday(week).or_else(|| monday(52))
}

/// The window that one is compared with; `None` beyond the calendar.
fn compared_window((first, last): Window, kind: ComparisonKind, bucket: Option<Bucket>) -> Option<Window> {
    let whole = bucket.and_then(|bucket| Some((bucket, whole_spans(bucket, (first, last))?)));
    match (kind, whole) {
        (ComparisonKind::PreviousPeriod, Some((bucket, spans))) => {
            let (from, _) = span_of(bucket, later(bucket, first, -spans)?)?;
            Some((from, first.pred_opt()?))
        }
        (ComparisonKind::PreviousPeriod, None) => {
            let days = last.signed_duration_since(first).num_days();
            let end = first.pred_opt()?;
            Some((end.checked_sub_signed(chrono::TimeDelta::try_days(days)?)?, end))
        }
        (ComparisonKind::PreviousYear, Some((Bucket::Week, _))) => {
            Some((week_before(first)?, week_before(last)?.checked_add_days(Days::new(6))?))
        }
        (ComparisonKind::PreviousYear, Some(_) | None) => {
            // Whole months end with the month, in leap years too.
            let end = match whole_spans(Bucket::Month, (first, last)) {
                Some(_) => span_of(Bucket::Month, later(Bucket::Month, last, -12)?)?.1.pred_opt()?,
                None => year_before(last)?,
            };
            Some((year_before(first)?, end))
        }
    }
}

/// A window, the one that it is compared with, and the span of rows of both.
#[derive(Debug, Clone, Copy)]
pub(super) struct WindowPair {
    window: Window,
    pub(super) compared: Window,
    kind: ComparisonKind,
    bucket: Option<Bucket>,
}

impl WindowPair {
    /// `bucket`: the span of the rows; `None` where rows are not of spans of the window. No pair reaches beyond the calendar.
    pub(super) fn of(window: Window, kind: ComparisonKind, bucket: Option<Bucket>) -> Option<Self> {
        Some(Self { window, compared: compared_window(window, kind, bucket)?, kind, bucket })
    }

    /// The key of the window that stands where a key of the compared window stands; `None` where none does: of a leap day,
    /// of a week 53, or behind the window's last span.
    pub(super) fn counterpart(&self, key: &str) -> Option<String> {
        let bucket = self.bucket?;
        let (day, _) = days_of(bucket, key)?;
        let (first, last) = self.window;
        let beside = match (self.kind, bucket) {
            // A leap day or a week 53 may begin a window of whole spans.
            _ if day == self.compared.0 && whole_spans(bucket, self.window).is_some() => first,
            (ComparisonKind::PreviousPeriod, _) => later(bucket, first, spans_between(bucket, self.compared.0, day))?,
            (ComparisonKind::PreviousYear, Bucket::Week) => {
                let week = day.iso_week();
                NaiveDate::from_isoywd_opt(week.year().checked_add(1)?, week.week(), Weekday::Mon)?
            }
            (ComparisonKind::PreviousYear, Bucket::Day | Bucket::Month | Bucket::Quarter | Bucket::Year) => {
                day.with_year(day.year().checked_add(1)?)?
            }
        };
        let is_within = spans_between(bucket, first, beside) >= 0 && spans_between(bucket, beside, last) >= 0;
        is_within.then(|| key_of(bucket, beside))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn keys_of_spans_are_days() {
        let days = |bucket, key| days_of(bucket, key).map(|(from, to)| (from.to_string(), to.to_string()));
        let expected = |from: &str, to: &str| Some((from.to_owned(), to.to_owned()));
        assert_eq!(days(Bucket::Year, "2026"), expected("2026-01-01", "2027-01-01"));
        assert_eq!(days(Bucket::Quarter, "2026-Q4"), expected("2026-10-01", "2027-01-01"));
        assert_eq!(days(Bucket::Month, "2026-02"), expected("2026-02-01", "2026-03-01"));
        assert_eq!(days(Bucket::Week, "2026-W01"), expected("2025-12-29", "2026-01-05"));
        assert_eq!(days(Bucket::Day, "2026-02-28"), expected("2026-02-28", "2026-03-01"));
        for (bucket, key) in [(Bucket::Quarter, "2026-Q5"), (Bucket::Month, "2026-13"), (Bucket::Day, "x")] {
            assert_eq!(days(bucket, key), None, "{key}");
        }
    }

    #[test]
    fn named_windows_are_days_of_today() {
        let now: DateTime<Utc> = "2026-03-31T10:20:30Z".parse().unwrap();
        for (name, first, last) in [
            ("today", "2026-03-31", "2026-03-31"),
            ("yesterday", "2026-03-30", "2026-03-30"),
            ("this_week", "2026-03-30", "2026-04-05"),
            ("last_week", "2026-03-23", "2026-03-29"),
            ("this_month", "2026-03-01", "2026-03-31"),
            ("last_month", "2026-02-01", "2026-02-28"),
            ("this_quarter", "2026-01-01", "2026-03-31"),
            ("last_quarter", "2025-10-01", "2025-12-31"),
            ("this_year", "2026-01-01", "2026-12-31"),
            ("last_year", "2025-01-01", "2025-12-31"),
            ("last_7_days", "2026-03-24", "2026-03-31T10:20:30.000Z"),
            ("last_30_days", "2026-03-01", "2026-03-31T10:20:30.000Z"),
            ("last_90_days", "2025-12-31", "2026-03-31T10:20:30.000Z"),
        ] {
            assert_eq!(preset(name, now), Some((first.to_owned(), last.to_owned())), "{name}");
        }
        assert_eq!(preset("Last 7 days", now), None);
    }

    fn pair(first: &str, last: &str, kind: ComparisonKind, bucket: Option<Bucket>) -> WindowPair {
        WindowPair::of((day(first), day(last)), kind, bucket).unwrap()
    }

    #[test]
    fn windows_lie_a_year_or_their_length_before() {
        let (days, months, quarters, weeks) = (None, Some(Bucket::Month), Some(Bucket::Quarter), Some(Bucket::Week));
        let (period, year) = (ComparisonKind::PreviousPeriod, ComparisonKind::PreviousYear);
        for (kind, bucket, (first, last), expected) in [
            (period, days, ("2026-01-01", "2026-01-31"), ("2025-12-01", "2025-12-31")),
            (period, days, ("2026-03-10", "2026-03-12"), ("2026-03-07", "2026-03-09")),
            (period, days, ("2026-07-01", "2026-09-30"), ("2026-03-31", "2026-06-30")),
            (period, months, ("2026-07-01", "2026-09-30"), ("2026-04-01", "2026-06-30")),
            (period, months, ("2026-03-01", "2026-03-31"), ("2026-02-01", "2026-02-28")),
            (period, quarters, ("2026-01-01", "2026-06-30"), ("2025-07-01", "2025-12-31")),
            (period, quarters, ("2026-02-01", "2026-03-31"), ("2025-12-04", "2026-01-31")),
            (period, weeks, ("2026-01-05", "2026-01-11"), ("2025-12-29", "2026-01-04")),
            (period, Some(Bucket::Year), ("2025-01-01", "2025-12-31"), ("2024-01-01", "2024-12-31")),
            (period, Some(Bucket::Day), ("2026-03-10", "2026-03-12"), ("2026-03-07", "2026-03-09")),
            (year, days, ("2026-03-10", "2026-03-12"), ("2025-03-10", "2025-03-12")),
            (year, days, ("2024-02-29", "2024-02-29"), ("2023-02-28", "2023-02-28")),
            (year, months, ("2024-02-01", "2024-02-29"), ("2023-02-01", "2023-02-28")),
            (year, months, ("2025-02-01", "2025-02-28"), ("2024-02-01", "2024-02-29")),
            (year, weeks, ("2026-03-02", "2026-04-05"), ("2025-03-03", "2025-04-06")),
            (year, weeks, ("2026-12-28", "2027-01-10"), ("2025-12-22", "2026-01-04")),
        ] {
            let found = pair(first, last, kind, bucket).compared;
            assert_eq!(found, (day(expected.0), day(expected.1)), "{kind:?} {bucket:?} {first}");
        }
    }

    #[test]
    fn keys_of_the_compared_window_stand_beside_those_of_the_window() {
        let (period, year) = (ComparisonKind::PreviousPeriod, ComparisonKind::PreviousYear);
        for (kind, bucket, (first, last), pairs) in [
            (year, Bucket::Month, ("2026-01-01", "2026-02-28"), vec![("2025-01", "2026-01"), ("2025-02", "2026-02")]),
            (year, Bucket::Quarter, ("2026-01-01", "2026-02-28"), vec![("2025-Q1", "2026-Q1")]),
            (year, Bucket::Year, ("2026-01-01", "2026-02-28"), vec![("2025", "2026")]),
            (year, Bucket::Week, ("2026-01-01", "2026-12-31"), vec![("2025-W02", "2026-W02"), ("2026-W01", "")]),
            // Of a window that begins within a week, the compared one may begin with a Monday.
            (
                year,
                Bucket::Week,
                ("2021-01-06", "2021-01-31"),
                vec![("2020-W02", "2021-W02"), ("2020-W03", "2021-W03")],
            ),
            (year, Bucket::Week, ("2021-12-01", "2022-01-31"), vec![("2020-W53", ""), ("2021-W01", "2022-W01")]),
            (
                year,
                Bucket::Week,
                ("2026-12-28", "2027-01-10"),
                vec![("2025-W52", "2026-W53"), ("2026-W01", "2027-W01")],
            ),
            // A week 53 and a leap day are none of the window that has the same one.
            (year, Bucket::Week, ("2020-01-01", "2021-12-31"), vec![("2020-W53", ""), ("2020-W52", "2021-W52")]),
            (year, Bucket::Day, ("2024-01-01", "2025-12-31"), vec![("2024-02-29", ""), ("2024-02-28", "2025-02-28")]),
            (
                year,
                Bucket::Day,
                ("2024-02-29", "2024-03-01"),
                vec![("2023-02-28", "2024-02-29"), ("2023-03-01", "2024-03-01")],
            ),
            (
                period,
                Bucket::Day,
                ("2026-01-01", "2026-02-28"),
                vec![("2025-11-03", "2026-01-01"), ("2025-12-31", "2026-02-28")],
            ),
            (
                period,
                Bucket::Month,
                ("2026-07-01", "2026-09-30"),
                vec![("2026-04", "2026-07"), ("2026-05", "2026-08"), ("2026-06", "2026-09")],
            ),
            (period, Bucket::Month, ("2026-02-01", "2026-03-31"), vec![("2025-12", "2026-02"), ("2026-01", "2026-03")]),
            (
                period,
                Bucket::Quarter,
                ("2026-01-01", "2026-06-30"),
                vec![("2025-Q3", "2026-Q1"), ("2025-Q4", "2026-Q2")],
            ),
            (
                period,
                Bucket::Week,
                ("2026-01-05", "2026-01-18"),
                vec![("2025-W52", "2026-W02"), ("2026-W01", "2026-W03")],
            ),
            // 27 days of one month, and as many of two.
            (period, Bucket::Month, ("2026-03-05", "2026-03-31"), vec![("2026-02", "2026-03"), ("2026-03", "")]),
        ] {
            let windows = pair(first, last, kind, Some(bucket));
            for (key, expected) in pairs {
                let found = windows.counterpart(key).unwrap_or_default();
                assert_eq!(found, expected, "{kind:?} {key} of {first}");
            }
        }
        assert_eq!(pair("2026-01-01", "2026-01-31", year, None).counterpart("2025-01"), None);
    }
}
