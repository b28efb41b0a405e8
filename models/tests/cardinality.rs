//! Row estimates against the must column of the bars, and what bad input gets.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod support;

use querygate_models::cardinality::{BoundUse, Corrector, Observation, Options, Range, Subplan};
use querygate_models::numeric::q_errors;
use querygate_models::saved;
use std::path::Path;
use support::subplans::{Row, read};

/// Published sub-plans; see the licence beside them.
fn sample(name: &str) -> Vec<Row> {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cardinality_data").join(name)).unwrap()
}

fn observations(rows: &[&Row]) -> Vec<Observation> {
    rows.iter().map(|r| Observation { group: r.template, ..r.observation.clone() }).collect()
}

/// q-errors of five grouped folds, and the share of truths inside the intervals.
fn cross_validate(rows: &[Row], group: fn(&Row) -> u64, options: &Options) -> ([f64; 3], f64) {
    let mut groups: Vec<u64> = rows.iter().map(group).collect();
    groups.sort_unstable();
    groups.dedup();
    let fold = |row: &Row| groups.binary_search(&group(row)).unwrap() % 5;
    let (mut errors, mut covered) = (Vec::new(), 0);
    for out in 0..5 {
        let (test, train): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| fold(row) == out);
        let model = Corrector::train(&observations(&train), options).unwrap();
        for row in test {
            let answer = model.correct(&row.observation.subplan);
            let truth = row.observation.rows.max(1.0);
            covered += usize::from((answer.low * 0.999..=answer.high * 1.001).contains(&truth));
            errors.push((truth / answer.rows).ln());
        }
    }
    (q_errors(&errors), covered as f64 / errors.len() as f64)
}

fn is_within(found: [f64; 3], most: [f64; 3]) {
    assert!(found.iter().zip(most).all(|(found, most)| *found <= most), "{found:?}, at most {most:?}");
}

#[test]
fn stats_meets_the_bar_with_the_bound_as_cap_alone() {
    let Some(folder) = support::data_set("cardinality") else { return };
    let rows = read(&folder.join("stats_subplans.csv")).unwrap();
    let options = Options { bounds: BoundUse::Cap, ..Options::default() };
    let (found, coverage) = cross_validate(&rows, |r| r.template, &options);
    is_within(found, [2.4, 30.0, 180.0]);
    assert!((0.85..0.96).contains(&coverage), "{coverage}");
}

#[test]
fn a_sample_is_corrected_far_better_than_the_source_estimates_it() {
    let rows = sample("stats_sample.csv");
    let source: Vec<f64> = rows.iter().map(|r| (r.observation.rows / r.observation.subplan.estimate).ln()).collect();
    let options = Options { folds: 0, ..Options::default() };
    let (found, _) = cross_validate(&rows, |r| r.template, &options);
    is_within(found, [2.4, 30.0, 180.0]);
    assert!(q_errors(&source)[1] > 1_000.0 * found[1]);
}

#[test]
fn a_model_judges_itself_survives_saving_and_says_what_it_never_saw() {
    let rows = sample("joblight_sample.csv");
    let all: Vec<&Row> = rows.iter().collect();
    let model = Corrector::train(&observations(&all), &Options::default()).unwrap();
    assert!(model.judgement().unwrap().is_better(), "{:?}", model.judgement());
    assert!(model.judge(&observations(&all)).unwrap().is_better() && model.judge(&[]).is_none());
    // After a change of the data that the source's statistics follow, the model is the worse one.
    let mut changed = observations(&all);
    changed.iter_mut().for_each(|o| {
        o.rows *= 1_000.0;
        (o.subplan.estimate, o.subplan.bound) = (o.rows, None);
    });
    assert!(!model.judge(&changed).unwrap().is_better());
    let loaded: Corrector = saved::load(&saved::save(&model).unwrap()).unwrap();
    assert_eq!(loaded, model);
    let known = &rows[0].observation.subplan;
    assert_eq!((model.correct(known).unseen, loaded.correct(known)), (0, model.correct(known)));
    let strange = Subplan { tables: vec![1, 2], joins: vec![(3, 4)], estimate: 100.0, ..Subplan::default() };
    assert_eq!(model.correct(&strange).unseen, 4);
}

#[test]
fn what_training_never_saw_is_not_corrected_far_below_the_source() {
    let rows = sample("joblight_sample.csv");
    let mut train = observations(&rows.iter().collect::<Vec<_>>());
    // A source that says too little of all, and knows so little of joins that it is not followed.
    train.iter_mut().for_each(|o| (o.subplan.estimate, o.subplan.bound) = ((o.rows / 2.0).min(500.0), None));
    let model = Corrector::train(&train, &Options::default()).unwrap();
    let known = Subplan { estimate: 1e9, ..train[0].subplan.clone() };
    let strange = Subplan { tables: [known.tables.clone(), vec![1, 2]].concat(), ..known.clone() };
    assert!(model.correct(&known).rows < 1e9, "{:?}", model.correct(&known));
    let answer = model.correct(&strange);
    assert!(answer.rows >= 1.9e9 && answer.unseen == 2 && answer.high.is_infinite(), "{answer:?}");
    let range = Range { table: known.tables[0], column: 7, low: 1.0, high: 2.0 };
    let narrowed = model.correct(&Subplan { ranges: vec![range], ..known.clone() });
    assert!(narrowed.rows >= 1.9e9 && narrowed.unseen == 0 && narrowed.high.is_infinite(), "{narrowed:?}");
    for estimate in [f64::NAN, -1.0, f64::INFINITY] {
        let answer = model.correct(&Subplan { estimate, ..strange.clone() });
        assert!((1.0..=1e18 * 1.001).contains(&answer.rows) && answer.low <= answer.rows, "{answer:?}");
    }
    let capped = model.correct(&Subplan { bound: Some(5e8), ..strange });
    assert!(capped.rows <= 5e8 * 1.001 && capped.high <= 5e8 * 1.001, "{capped:?}");
}

#[test]
fn answers_stay_numbers_within_bounds_whatever_comes_in() {
    let rows = sample("joblight_sample.csv");
    let mut train = observations(&rows.iter().collect::<Vec<_>>());
    for (at, observation) in train.iter_mut().enumerate() {
        match at % 9 {
            0 => observation.rows = f64::NAN,
            1 => observation.subplan.estimate = f64::INFINITY,
            2 => observation.subplan.bound = Some(f64::NAN),
            4 => observation.rows = 1e300,
            3 => observation.subplan.ranges.iter_mut().for_each(|r| r.low = f64::NAN),
            _ => {}
        }
    }
    let options = Options { folds: 2, ..Options::default() };
    let model = Corrector::train(&train, &options).unwrap();
    for (estimate, bound) in [(f64::NAN, None), (-1.0, Some(0.0)), (1e300, Some(7.0)), (0.0, Some(f64::INFINITY))] {
        let answer = model.correct(&Subplan { estimate, bound, ..train[5].subplan.clone() });
        assert!(1.0 <= answer.low && answer.low <= answer.rows && answer.rows <= answer.high, "{answer:?}");
        assert!(answer.rows.is_finite() && bound.is_none_or(|b| answer.rows <= b.max(1.0)), "{answer:?}");
    }
    assert_eq!(Corrector::train(&train[..20], &options), None);
    assert_eq!(Corrector::train(&[], &options), None);
}
