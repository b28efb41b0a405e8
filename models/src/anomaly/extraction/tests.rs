//! Bulk reading and drips of made-up principals.

use super::*;
use crate::rng::Rng;
use crate::saved::{load, save};

/// First hours with a score of 1 by day and by week, when `more` gives what is read above the usual by day.
fn noticed(seed: u64, more: impl Fn(i64) -> f64) -> (Option<i64>, Option<i64>) {
    let (mut rng, mut extraction, mut peers) = (Rng::new(seed), Extraction::new(), Peers::default());
    let (mut day_at, mut week_at) = (None, None);
    for day in 0..30 {
        let rows = 5000.0 * (0.5 * rng.normal()).exp();
        for hour in 0..24i64 {
            let own = if (8..18).contains(&hour) { rows / 10.0 } else { 0.0 };
            let at = day * 24 + hour;
            let reads = Reads {
                time: 1_704_585_600 + (at + 1) * 3600,
                rows: own + more(day) / 24.0,
                share_of_day: (0.01 + more(day) / 500_000.0).min(1.0),
                share_of_week: 0.02,
                first_seen: 0,
            };
            let reading = extraction.observe(&reads, &mut peers);
            if reading.day >= 1.0 && day_at.is_none() {
                day_at = Some(at);
            }
            if reading.week >= 1.0 && week_at.is_none() {
                week_at = Some(at);
            }
        }
    }
    assert_eq!(load::<Extraction>(&save(&extraction).unwrap()), Ok(extraction));
    (day_at, week_at)
}

#[test]
fn bulk_reading_is_seen_the_same_day_and_a_drip_within_the_week() {
    for seed in 0..5 {
        assert_eq!(noticed(seed, |_| 0.0), (None, None));
        let (day, _) = noticed(seed, |day| if day == 20 { 500_000.0 } else { 0.0 });
        assert!(day.is_some_and(|at| (480..504).contains(&at)), "{day:?}");
        let (_, week) = noticed(seed, |day| if (20..27).contains(&day) { 20_000.0 } else { 0.0 });
        assert!(week.is_some_and(|at| (480..672).contains(&at)), "{week:?}");
    }
}

#[test]
fn a_day_speaks_for_drips_that_explain_it() {
    let mean = 1000f64.ln();
    for (rows, times, spread, expected) in [
        // Less than the drip alone: against it, whatever the rest.
        (3_000.0, 4.0, 1.5, DRIP_LEAST),
        (1_000.0, 1.0, 0.5, DRIP_LEAST),
        // ln(5) of the densities of a logarithm's normal distribution, and half the square of ln(5) by its spread.
        (5_000.0, 4.0, 1.5, 5f64.ln() + 0.5 * (5f64.ln() / 1.5).powi(2)),
        (5_000.0, 4.0, 0.5, DRIP_MOST),
    ] {
        let evidence = drip_evidence(rows, times, mean, spread);
        assert!((evidence - expected).abs() < 1e-9, "{rows} {times} {spread}: {evidence}");
    }
    // One of many usual days explains a very large day; a small drip does not.
    assert!(drip_evidence(30_000.0, 1.0, mean, 1.5) < 0.2);
}

#[test]
fn drips_of_any_size_are_seen_and_single_large_days_are_none() {
    for seed in 20..25 {
        for times in [2.5, 4.0, 12.0, 40.0] {
            let (_, week) = noticed(seed, |day| if (18..25).contains(&day) { times * 5000.0 } else { 0.0 });
            assert!(week.is_some_and(|at| (432..624).contains(&at)), "{seed} {times}: {week:?}");
        }
        let (_, week) = noticed(seed, |day| if day == 18 || day == 21 { 60_000.0 } else { 0.0 });
        assert_eq!(week, None, "{seed}");
    }
}

#[test]
fn odd_numbers_are_taken_for_nothing() {
    let (mut extraction, mut peers) = (Extraction::new(), Peers::default());
    for hour in 0..1000 {
        let odd = [f64::NAN, f64::INFINITY, -5.0, 1e300][usize::try_from(hour % 4).unwrap()];
        let reads = Reads { time: hour * 3600, rows: odd, share_of_day: odd, share_of_week: odd, first_seen: u32::MAX };
        let reading = extraction.observe(&reads, &mut peers);
        assert!(reading.day.is_finite() && reading.week.is_finite());
    }
    assert!(extraction.check().is_ok());
}
