//! What the ladder of latency must do: answer from its best step, keep its quantiles, survive bad input.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod support;

use querygate_models::latency::{Fragment, Ladder, Layer, Run, Trained};
use querygate_models::numeric::q_errors;
use querygate_models::saved;
use support::fragments::runs;

struct Found {
    q_errors: [f64; 3],
    inside: f64,
}

fn judge(ladder: &Ladder, new: &[Run], layer: Layer) -> Found {
    let answers = new.iter().map(|run| (run, ladder.predict(&run.fragment, run.at)));
    let (mut errors, mut inside) = (Vec::new(), 0);
    for (run, answer) in answers.filter(|(_, answer)| answer.layer == layer) {
        assert!(answer.p10 <= answer.p50 && answer.p50 <= answer.p90);
        errors.push((run.seconds / answer.p50).ln());
        inside += usize::from((answer.p10..=answer.p90).contains(&run.seconds));
    }
    assert!(errors.len() > 100, "{} answers from {layer:?}", errors.len());
    Found { q_errors: q_errors(&errors), inside: inside as f64 / errors.len() as f64 }
}

#[test]
fn each_step_is_better_than_the_one_below_and_keeps_its_quantiles() {
    let all = runs(6_000, 1);
    let (old, new) = all.split_at(4_000);
    let mut ladder = Ladder::default();
    old.iter().for_each(|run| ladder.observe(run));
    let linear = judge(&ladder, new, Layer::Linear);
    ladder.adopt(Trained::train(old, &ladder, 0).unwrap());
    let trees = judge(&ladder, new, Layer::Trees);
    let exact = judge(&ladder, new, Layer::Exact);
    assert!(exact.q_errors[0] < trees.q_errors[0] && trees.q_errors[0] < linear.q_errors[0]);
    assert!(exact.q_errors[0] < 1.25 && trees.q_errors[0] < 1.4, "{:?} {:?}", exact.q_errors, trees.q_errors);
    for found in [exact, trees] {
        assert!((0.72..0.92).contains(&found.inside), "{}", found.inside);
    }
    let loaded: Ladder = saved::load(&saved::save(&ladder).unwrap()).unwrap();
    assert_eq!(loaded, ladder);
}

#[test]
fn bad_input_is_ignored_and_answers_stay_positive_numbers() {
    let mut ladder = Ladder::default();
    let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300];
    for rows in odd {
        for seconds in odd {
            let fragment = Fragment { exact: 1, rows, bytes: -rows, features: vec![seconds] };
            ladder.observe(&Run { fragment: fragment.clone(), at: rows, seconds });
            for exact in [1, 2] {
                let answer = ladder.predict(&Fragment { exact, ..fragment.clone() }, seconds);
                assert!(answer.p10 > 0.0 && answer.p10 <= answer.p50 && answer.p90.is_finite(), "{answer:?}");
            }
        }
    }
    assert_eq!(Trained::train(&runs(49, 2), &ladder, 0), None);
}

#[test]
fn a_step_that_a_source_changed_is_followed() {
    let mut ladder = Ladder::default();
    let all = runs(3_000, 3);
    all.iter().for_each(|run| ladder.observe(run));
    let slower = |run: &Run| Run { seconds: 5.0 * run.seconds, at: 1e6 + run.at, ..run.clone() };
    all.iter().for_each(|run| ladder.observe(&slower(run)));
    let asked = |run: &Run| ladder.predict(&Fragment { exact: 7, ..run.fragment.clone() }, 1e6);
    let logs: Vec<f64> = all.iter().map(|run| (5.0 * run.seconds / asked(run).p50).ln()).collect();
    let bias = logs.iter().sum::<f64>() / logs.len() as f64;
    assert!(bias.abs() < 0.4, "{bias}");
}
