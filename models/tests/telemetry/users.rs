//! Users of the simulated month: groups with their hours, bursty days, reports that read much, and who carries data away.

use super::{DAYS, Injected, Kind, START, inject, uniform};
use querygate_models::anomaly::Reads;
use querygate_models::rng::Rng;

/// A user's month by the hour.
pub(crate) struct User {
    pub(crate) group: usize,
    pub(crate) hours: Vec<Reads>,
    pub(crate) injected: Vec<Injected>,
}

/// Median rows a day, spread between users, spread between days, hour of most work, share of days with a report.
const GROUPS: [(f64, f64, f64, f64, f64); 4] = [
    (3_000.0, 0.7, 0.5, 11.0, 0.0),
    (40_000.0, 1.0, 1.2, 14.0, 0.03),
    (200_000.0, 0.8, 0.4, 3.0, 0.0),
    (9_000.0, 1.0, 1.5, 12.0, 0.015),
];

struct Habits {
    median: f64,
    between_days: f64,
    hour: f64,
    reports: f64,
    /// Keys of the table that the user reads most, and the share of them that is hot.
    keys: f64,
    hot: f64,
    weekends: bool,
}

/// Rows and newly read keys (as a share) of an ordinary day, and whether it is a report that walks the table.
fn ordinary(rng: &mut Rng, habits: &Habits, day: i64) -> (f64, f64) {
    if (day % 7 == 0 || day % 7 == 6) && !habits.weekends {
        return (0.0, 0.0);
    }
    let report = rng.unit() < habits.reports;
    let rows = habits.median * (habits.between_days * rng.normal()).exp() * if report { 8.0 } else { 1.0 };
    let hot = habits.hot * (1.0 - (-rows / (habits.hot * habits.keys)).exp());
    let walked = if report && rng.unit() < 0.2 { rows / habits.keys } else { 0.0 };
    (rows, (hot + walked).min(1.0))
}

pub(crate) fn user(rng: &mut Rng) -> User {
    let group = rng.below(GROUPS.len());
    let (median, between, between_days, hour, reports) = GROUPS[group];
    let median = median * (between * rng.normal()).exp();
    let habits = Habits {
        median,
        between_days: between_days * uniform(rng, 0.7, 1.2),
        hour: hour + uniform(rng, -2.0, 2.0),
        reports,
        keys: median * 10f64.powf(uniform(rng, 1.5, 3.5)),
        hot: 10f64.powf(uniform(rng, -2.3, -1.0)),
        weekends: rng.unit() < 0.4,
    };
    let injected = inject(rng, &[Kind::Extraction, Kind::Drip]);
    let mut week: Vec<f64> = Vec::new();
    let mut hours = Vec::new();
    for day in 0..DAYS {
        let (rows, keys) = ordinary(rng, &habits, day);
        let first_seen = u32::from(rng.unit() < 0.05);
        let before: f64 = week.iter().rev().take(6).copied().fold(0.0, f64::max);
        let (mut read, mut extra) = (0.0, 0.0);
        let weights: Vec<f64> = (0..24)
            .map(|h| (-((h as f64 + 0.5 - habits.hour) / 3.0).powi(2) / 2.0).exp() * uniform(rng, 0.2, 1.8) + 1e-4)
            .collect();
        let total: f64 = weights.iter().sum();
        for h in 0..24 {
            let at = day as f64 + (h as f64 + 0.5) / 24.0;
            let carried = carried(&injected, &habits, at);
            extra += carried;
            read += rows * weights[h as usize] / total;
            let share = keys * if rows > 0.0 { read / rows } else { 0.0 } + extra / habits.keys;
            hours.push(Reads {
                time: START + day * 86_400 + (h + 1) * 3600,
                rows: (rows * weights[h as usize] / total).round() + carried.round(),
                share_of_day: share.min(1.0),
                share_of_week: (share + before + drip_before(&injected, &habits, at)).min(1.0),
                first_seen: if h == 12 { first_seen } else { 0 },
            });
        }
        week.push(keys);
    }
    User { group, hours, injected }
}

/// Rows carried away in the hour around `at` (days).
fn carried(injected: &[Injected], habits: &Habits, at: f64) -> f64 {
    let one = injected.iter().find(|one| one.active(at));
    one.map_or(0.0, |one| match one.kind {
        Kind::Extraction => 100.0 * habits.median / ((one.end - one.start) * 24.0).max(1.0),
        // Four times the usual on top of it, spread over the hours.
        Kind::Drip => 4.0 * habits.median / 24.0,
        _ => 0.0,
    })
}

/// Share of the keys that a drip took before today.
fn drip_before(injected: &[Injected], habits: &Habits, at: f64) -> f64 {
    let drip = injected.iter().find(|one| one.kind == Kind::Drip && at >= one.start && at < one.end + 6.0);
    drip.map_or(0.0, |one| {
        let days = (at.min(one.end) - one.start).floor().clamp(0.0, 7.0);
        4.0 * habits.median * days / habits.keys
    })
}
