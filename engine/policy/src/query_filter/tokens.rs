//! Date and identity tokens of the filter language, `{today}` and its kin. Days are UTC days, weeks start on Monday.

use super::{FilterContext, FilterError, FilterErrorCode};
use crate::expression::Provenance;
use crate::value::add_days;
use chrono::{DateTime, Datelike, Months, NaiveDate, SecondsFormat, TimeDelta, Utc};

/// The text a comparand stands for: itself, unless it is `{word}`.
pub(super) fn resolve(text: &str, context: &FilterContext) -> Result<(String, Provenance), FilterError> {
    let Some(token) = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')) else {
        return Ok((text.to_owned(), Provenance::Literal));
    };
    if token.is_empty() || !token.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Ok((text.to_owned(), Provenance::Literal));
    }
    let identity = |key: &str, value: &Option<String>| match value {
        Some(value) => Ok((value.clone(), Provenance::Principal(key.to_owned()))),
        None => Err(error(FilterErrorCode::TokenUnresolved, token, "cannot be resolved here")),
    };
    match token {
        "current_user_id" => identity("id", &context.user_id),
        "current_org_id" => identity("organization_id", &context.organization_id),
        _ => {
            let now = DateTime::<Utc>::from_timestamp_millis(context.now_ms)
                .ok_or_else(|| error(FilterErrorCode::TokenUnresolved, token, "cannot be resolved here"))?;
            let resolved =
                temporal(token, now).ok_or_else(|| error(FilterErrorCode::TokenUnknown, token, "is not known"))?;
            Ok((resolved, Provenance::Literal))
        }
    }
}

fn error(code: FilterErrorCode, token: &str, what: &str) -> FilterError {
    FilterError { code, message: format!("filter token '{{{token}}}' {what}"), field: None }
}

fn day_text(day: NaiveDate) -> String {
    day.format("%Y-%m-%d").to_string()
}

fn instant_text(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn temporal(token: &str, now: DateTime<Utc>) -> Option<String> {
    let today = now.date_naive();
    match token {
        "today" => Some(day_text(today)),
        "yesterday" => add_days(today, -1).map(day_text),
        "tomorrow" => add_days(today, 1).map(day_text),
        "now" => Some(instant_text(now)),
        _ => relative(token, now).or_else(|| period(token, today)),
    }
}

/// `{N_<unit>_ago}` and `{N_<unit>_from_now}`: instants for minutes and hours, days for longer units.
fn relative(token: &str, now: DateTime<Utc>) -> Option<String> {
    let (amount, rest) = token.split_once('_')?;
    let amount: i64 = amount.parse().ok().filter(|n| (0..=1_000_000).contains(n))?;
    let (unit, sign) = match rest.strip_suffix("_ago") {
        Some(unit) => (unit, -1),
        None => (rest.strip_suffix("_from_now")?, 1),
    };
    let today = now.date_naive();
    let months = |n: i64| {
        let months = Months::new(u32::try_from(n).ok()?);
        if sign < 0 { today.checked_sub_months(months) } else { today.checked_add_months(months) }
    };
    match unit {
        "minute" | "minutes" => now.checked_add_signed(TimeDelta::try_minutes(sign * amount)?).map(instant_text),
        "hour" | "hours" => now.checked_add_signed(TimeDelta::try_hours(sign * amount)?).map(instant_text),
        "day" | "days" => add_days(today, sign * amount).map(day_text),
        "week" | "weeks" => add_days(today, sign * amount * 7).map(day_text),
        "month" | "months" => months(amount).map(day_text),
        "year" | "years" => months(amount.checked_mul(12)?).map(day_text),
        _ => None,
    }
}

/// `{[current_|last_|next_]<week|month|quarter|year>_<start|end>}`: the first or last day of the period.
fn period(token: &str, today: NaiveDate) -> Option<String> {
    let (which, rest) = [("current_", 0), ("last_", -1), ("next_", 1)]
        .into_iter()
        .find_map(|(prefix, offset)| token.strip_prefix(prefix).map(|rest| (offset, rest)))
        .unwrap_or((0, token));
    let (unit, end) = match rest.strip_suffix("_start") {
        Some(unit) => (unit, false),
        None => (rest.strip_suffix("_end")?, true),
    };
    let start_of = |offset: i64| -> Option<NaiveDate> {
        let monday = add_days(today, -i64::from(today.weekday().num_days_from_monday()))?;
        let months = |length: i64| {
            let index = i64::from(today.year()) * 12 + i64::from(today.month0());
            let first = (index.div_euclid(length) + offset) * length;
            let month0 = u32::try_from(first.rem_euclid(12)).ok()?;
            NaiveDate::from_ymd_opt(i32::try_from(first.div_euclid(12)).ok()?, month0 + 1, 1)
        };
        match unit {
            "week" => add_days(monday, 7 * offset),
            "month" => months(1),
            "quarter" => months(3),
            "year" => months(12),
            _ => None,
        }
    };
    let day = if end { add_days(start_of(which + 1)?, -1)? } else { start_of(which)? };
    Some(day_text(day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_resolve_in_utc() {
        let context = FilterContext { now_ms: 1_785_240_000_000, ..FilterContext::default() };
        for (token, expected) in [
            ("{today}", "2026-07-28"),
            ("{yesterday}", "2026-07-27"),
            ("{now}", "2026-07-28T12:00:00.000Z"),
            ("{90_days_ago}", "2026-04-29"),
            ("{2_hours_from_now}", "2026-07-28T14:00:00.000Z"),
            ("{1_month_ago}", "2026-06-28"),
            ("{current_week_start}", "2026-07-27"),
            ("{week_end}", "2026-08-02"),
            ("{last_month_end}", "2026-06-30"),
            ("{next_quarter_start}", "2026-10-01"),
            ("{quarter_end}", "2026-09-30"),
            ("{last_year_start}", "2025-01-01"),
            ("plain", "plain"),
            ("{not a token}", "{not a token}"),
        ] {
            assert_eq!(resolve(token, &context).unwrap().0, expected, "{token}");
        }
        for (token, code) in [
            ("{someday}", FilterErrorCode::TokenUnknown),
            ("{x_days_ago}", FilterErrorCode::TokenUnknown),
            ("{current_user_id}", FilterErrorCode::TokenUnresolved),
            ("{current_org_id}", FilterErrorCode::TokenUnresolved),
        ] {
            assert_eq!(resolve(token, &context).unwrap_err().code, code, "{token}");
        }
    }
}
