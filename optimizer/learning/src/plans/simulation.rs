//! Workloads with known times, honest and hostile, under a clock that the test moves: what the advisor must never do.

use super::contest::{BUDGET, Contest, State};
use super::{Key, PlanAdvice};
use crate::plugin::Plugin;
use crate::telemetry::{Moment, Store};
use querygate_models::rng::Rng;
use querygate_telemetry_api::advice::{Advice, Lost, PlanAdvisor, Question, Stage, Variant};
use querygate_telemetry_api::system::{Cell, SystemExtension};
use querygate_types::PlannerSetting;
use querygate_types::principal::Principal;
use std::sync::Arc;
use std::time::Duration;

/// Seconds that a run takes: run number, plan, what it was run as.
type Times<'a> = &'a mut dyn FnMut(u64, Variant, Stage) -> f64;

struct Outcome {
    contest: Contest,
    /// Seconds of all runs, of the same runs with the default, and lost to runs that were slower than the default.
    took: f64,
    default: f64,
}

/// Runs a template as the engine does: what is stopped at its limit runs again with the default.
fn run(runs: u64, every: u64, times: Times<'_>) -> Outcome {
    run_among(&Variant::OTHERS, runs, every, times)
}

fn run_among(variants: &[Variant], runs: u64, every: u64, times: Times<'_>) -> Outcome {
    let mut contest = Contest::default();
    let (mut took, mut default) = (0.0, 0.0);
    for n in 0..runs {
        let now = n * every;
        let advice = contest.choose(variants, now);
        let usual = times(n, Variant::Default, Stage::Observe);
        default += usual;
        let seconds = if advice.variant == Variant::Default { usual } else { times(n, advice.variant, advice.stage) };
        took += one(&mut contest, advice, seconds, usual, now);
    }
    Outcome { contest, took, default }
}

fn one(contest: &mut Contest, advice: Advice, seconds: f64, usual: f64, now: u64) -> f64 {
    let limit = advice.limit.map_or(f64::INFINITY, |limit| limit.as_secs_f64());
    if advice.variant != Variant::Default && seconds > limit {
        contest.lost(advice.variant, Lost::Stopped(Duration::from_secs_f64(limit)), now);
        return limit + usual;
    }
    contest.ran(advice.variant, advice.stage, seconds, now);
    seconds
}

fn noise(rng: &mut Rng, deviation: f64) -> f64 {
    (deviation * rng.normal()).exp()
}

fn in_force(contest: &Contest) -> Variant {
    contest.pinned(&Variant::OTHERS).unwrap_or(Variant::Default)
}

#[test]
fn what_is_better_is_found_on_a_busy_machine_too() {
    let mut found = 0;
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let outcome = run(3_000, 1, &mut |_, variant, _| {
            let base = if variant == Variant::NoKeys { 0.05 } else { 0.1 };
            base * noise(&mut rng, 0.5)
        });
        found += usize::from(in_force(&outcome.contest) == Variant::NoKeys);
        assert!(outcome.took <= 1.05 * outcome.default, "seed {seed}: {}", outcome.took / outcome.default);
    }
    assert!(found >= 12, "{found} of 20");
}

#[test]
fn what_is_better_is_found_and_pinned() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let outcome = run(2_000, 1, &mut |_, variant, _| {
            let base = match variant {
                Variant::Default => 0.1,
                Variant::WrittenOrder => 0.5,
                Variant::NoKeys | Variant::Keys => 0.11,
                Variant::OneStream => 0.05,
                Variant::Fetch | Variant::Planner(_) => 2.0,
            };
            base * noise(&mut rng, 0.1)
        });
        assert_eq!(in_force(&outcome.contest), Variant::OneStream, "seed {seed}: {:?}", outcome.contest.rivals);
        assert!(outcome.took < 0.75 * outcome.default, "seed {seed}: {} of {}", outcome.took, outcome.default);
        let saved: f64 = outcome.contest.rivals.iter().map(|rival| rival.saved).sum();
        assert!(saved > 0.0);
    }
}

#[test]
fn a_pinned_plan_outlives_statements_that_fail_by_themselves_and_no_failure_of_its_own() {
    let mut contest =
        run(2_000, 1, &mut |_, variant, _| if variant == Variant::OneStream { 0.05 } else { 0.1 }).contest;
    for now in 2_000..2_100 {
        contest.lost(Variant::OneStream, Lost::Void, now);
    }
    assert_eq!(in_force(&contest), Variant::OneStream);
    contest.lost(Variant::OneStream, Lost::Failed, 2_100);
    assert_eq!(in_force(&contest), Variant::Default);
}

/// Whoever cancels early says nothing of a plan, but what it took counts.
#[test]
fn runs_that_their_clients_leave_prove_nothing_and_are_not_free() {
    let (mut contest, mut trials) = (Contest::default(), 0_u32);
    for now in 0..2_000 {
        let advice = contest.choose(&[Variant::OneStream], now);
        if advice.variant == Variant::Default {
            contest.ran(Variant::Default, advice.stage, 0.1, now);
        } else {
            trials += 1;
            contest.lost(advice.variant, Lost::Left(Duration::from_millis(90)), now);
        }
    }
    assert_eq!(in_force(&contest), Variant::Default);
    assert!(trials > 1 && contest.cost() <= BUDGET * contest.total + 0.2, "{trials}: {}", contest.cost());
    assert!((contest.cost() - 0.09 * f64::from(trials)).abs() < 1e-9);
}

#[test]
fn a_great_gain_does_not_wait_until_a_small_one_is_settled() {
    let mut found = 0;
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let outcome = run(100, 1, &mut |_, variant, _| {
            let base = match variant {
                Variant::OneStream => 0.093,
                Variant::NoKeys => 0.01,
                Variant::Default | Variant::Keys | Variant::WrittenOrder | Variant::Fetch | Variant::Planner(_) => 0.1,
            };
            base * noise(&mut rng, 0.3)
        });
        found += usize::from(in_force(&outcome.contest) == Variant::NoKeys);
    }
    assert!(found >= 16, "{found} of 20");
}

/// A statement that its source plans badly: one setting of its planner helps, the others harm.
#[test]
fn a_setting_of_the_source_is_found_among_all_others_and_proven() {
    let best = Variant::Planner(PlannerSetting::HashJoins);
    let source: Vec<Variant> = PlannerSetting::ALL.map(Variant::Planner).to_vec();
    let all: Vec<Variant> = Variant::others().collect();
    for (variants, runs) in [(source, 200), (all, 2_000)] {
        for seed in 0..20 {
            let mut rng = Rng::new(seed);
            let outcome = run_among(&variants, runs, 1, &mut |_, variant, _| {
                let base = match variant {
                    Variant::Default => 0.1,
                    Variant::Planner(PlannerSetting::HashJoins | PlannerSetting::NoNestedLoops) => 0.01,
                    Variant::Planner(PlannerSetting::NoHashJoins | PlannerSetting::NoIndexScans) => 3.0,
                    Variant::Planner(_) | Variant::OneStream | Variant::NoKeys | Variant::Keys => 0.1,
                    Variant::WrittenOrder | Variant::Fetch => 1.0,
                };
                base * noise(&mut rng, 0.1)
            });
            let contest = &outcome.contest;
            assert_eq!(contest.pinned(&variants), Some(best), "{} seed {seed}: {:?}", variants.len(), contest.rivals);
            assert!(outcome.took < 0.6 * outcome.default, "seed {seed}: {} of {}", outcome.took, outcome.default);
            assert!(contest.is_sound());
        }
    }
}

#[test]
fn where_no_setting_of_the_source_helps_little_is_spent() {
    let all: Vec<Variant> = Variant::others().collect();
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let outcome = run_among(&all, 3_000, 1, &mut |_, variant, _| {
            let slower = match variant {
                Variant::Default => 1.0,
                Variant::Planner(PlannerSetting::CustomPlans) => 1.02,
                Variant::Planner(_) => 4.0,
                Variant::OneStream | Variant::NoKeys | Variant::Keys | Variant::WrittenOrder | Variant::Fetch => 1.3,
            };
            0.05 * slower * noise(&mut rng, 0.15)
        });
        assert!(outcome.took <= 1.04 * outcome.default, "seed {seed}: {}", outcome.took / outcome.default);
    }
}

#[test]
fn where_nothing_is_better_little_is_spent() {
    for seed in 0..50 {
        let mut rng = Rng::new(seed);
        let slower = [1.0, 1.02, 1.3, 1.5, 4.0, 100.0];
        let outcome = run(3_000, 1, &mut |_, variant, _| {
            let at = Variant::OTHERS.iter().position(|other| *other == variant).map_or(0, |at| at + 1);
            0.05 * slower[at] * noise(&mut rng, 0.15)
        });
        let spent = outcome.contest.cost();
        let bound = BUDGET * outcome.contest.total + 4.0 * 0.05 * 2.0;
        assert!(spent <= bound, "seed {seed}: {spent} over {bound}");
        assert!(outcome.took <= 1.04 * outcome.default, "seed {seed}: {}", outcome.took / outcome.default);
    }
}

/// The default is better once a plan is pinned than it was when that was proven, and better than the plan: as where a server has
/// gone over to another plan of the default by then. A few runs show it.
#[test]
fn a_plan_that_was_proven_against_worse_days_of_the_default_goes_back_soon() {
    for seed in 0..40 {
        let (mut rng, mut pinned) = (Rng::new(seed), 0_u64);
        let outcome = run(400, 1, &mut |_, variant, stage| {
            pinned += u64::from(stage == Stage::Pinned);
            let base = match (variant, pinned) {
                (Variant::Default, 1..) => 0.029,
                (Variant::Default, 0) => 0.065,
                (Variant::OneStream, _) => 0.038,
                (_, _) => 0.07,
            };
            base * noise(&mut rng, 0.1)
        });
        let rival = outcome.contest.rivals.iter().find(|rival| rival.variant() == Some(Variant::OneStream)).unwrap();
        assert!(matches!(rival.state, State::Suspended { .. }), "seed {seed}: {rival:?}");
        assert!((1..=40).contains(&pinned), "seed {seed}: {pinned} runs");
    }
}

/// Times made to lead the advisor astray: no template ends more than 10% slower than its default, and none costs more than 10%.
#[test]
fn hostile_times_never_leave_a_template_slower() {
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let kind = seed % 8;
        let (change, heavy) = (500 + rng.below(1_000) as u64, 1.0 + 9.0 * rng.unit());
        let runs = 4_000;
        let truth = move |n: u64, variant: Variant, stage: Stage| -> f64 {
            let late = n >= change;
            match (kind, variant) {
                // Fast until it is pinned, then slow.
                (0, Variant::OneStream) => {
                    if stage == Stage::Trial {
                        0.5
                    } else {
                        heavy
                    }
                }
                // Fast for a while, then slow for ever.
                (1, Variant::NoKeys) => {
                    if late {
                        heavy
                    } else {
                        0.3
                    }
                }
                // The default becomes fast later.
                (2, Variant::Default) if late => 0.2,
                (2, Variant::Default) => 1.0,
                (2, Variant::Fetch) => 0.6,
                // Now fast, now slow, by turns of 100 runs.
                (3, Variant::WrittenOrder) => {
                    if (n / 100).is_multiple_of(2) {
                        0.2
                    } else {
                        heavy
                    }
                }
                // One in four runs takes very long.
                (4, Variant::OneStream) => {
                    if n.is_multiple_of(4) {
                        5.0 * heavy
                    } else {
                        0.4
                    }
                }
                // Everything becomes slow together, and fast again.
                (5, Variant::OneStream) => {
                    if (n / 300).is_multiple_of(2) {
                        0.6
                    } else {
                        3.0
                    }
                }
                (5, _) => {
                    if (n / 300).is_multiple_of(2) {
                        1.0
                    } else {
                        5.0
                    }
                }
                // Never ends.
                (6, Variant::WrittenOrder | Variant::NoKeys) => 1e6,
                // A little slower than the default, always.
                (7, Variant::Fetch | Variant::OneStream | Variant::NoKeys | Variant::WrittenOrder) => 1.08,
                _ => 1.0,
            }
        };
        let mut jitter = Rng::new(seed ^ 0xabc);
        let outcome = run(runs, 1, &mut |n, variant, stage| truth(n, variant, stage) * noise(&mut jitter, 0.08));
        assert!(
            outcome.took <= 1.10 * outcome.default,
            "kind {kind}, seed {seed}: {:.3}; {:?}",
            outcome.took / outcome.default,
            outcome.contest.rivals
        );
        let variant = in_force(&outcome.contest);
        let of = |variant| -> f64 { (runs - 8..runs).map(|n| truth(n, variant, Stage::Pinned)).sum() };
        let (own, default) = (of(variant), of(Variant::Default));
        // A plan that is slow by turns is caught within its turn, not before it.
        if kind != 3 {
            assert!(own <= 1.10 * default, "kind {kind}, seed {seed}: {variant:?} {own} over {default}");
        }
    }
}

#[test]
fn a_plan_that_was_given_up_waits_longer_each_time() {
    let mut waits = Vec::new();
    let mut suspended = None;
    let mut contest = Contest::default();
    for n in 0..200_000_u64 {
        let now = n * 10;
        let advice = contest.choose(&[Variant::OneStream], now);
        let seconds = if advice.variant == Variant::Default { 1.0 } else { 50.0 };
        one(&mut contest, advice, seconds, 1.0, now);
        let state = contest.rivals.first().map(|rival| rival.state);
        if let Some(State::Suspended { until }) = state
            && suspended != Some(until)
        {
            waits.push(until - now);
            suspended = Some(until);
        }
    }
    assert!(waits.len() > 4 && waits.windows(2).all(|pair| pair[1] >= pair[0]), "{waits:?}");
    assert!(*waits.last().unwrap() >= 86_400);
}

#[test]
fn without_advice_nothing_is_tried_and_a_person_has_the_last_word() {
    let mut contest = Contest::default();
    contest.off = true;
    for n in 0..500 {
        let advice = contest.choose(&Variant::OTHERS, n);
        assert_eq!(advice, Advice::NONE);
        contest.ran(Variant::Default, Stage::Observe, 1.0, n);
    }
    contest.off = false;
    contest.fixed = Some("fetch".to_owned());
    assert_eq!(contest.choose(&Variant::OTHERS, 501).variant, Variant::Fetch);
    // Not valid for this run: the default.
    assert_eq!(contest.choose(&[Variant::NoKeys], 502).variant, Variant::Default);
}

fn question<'a>(fingerprint: u64, template: &'a Arc<str>, login: &'a str) -> Question<'a> {
    Question { fingerprint, template, login, band: 3, variants: &Variant::OTHERS }
}

#[test]
fn templates_without_number_take_bounded_memory() {
    let (advisor, template) = (PlanAdvice::default(), Arc::from("select ?"));
    for fingerprint in 0..100_000 {
        assert_eq!(advisor.choose(&question(fingerprint, &template, "eve")), Advice::NONE);
    }
    assert!(advisor.book().entries.len() <= super::CONTESTS_MAX);
    for entry in advisor.book().entries.values_mut() {
        entry.contest.off = entry.key.fingerprint == 0;
        entry.contest.fixed = (entry.key.fingerprint == 1).then(|| "fetch".to_owned());
    }
    advisor.book().evict(10);
    let mut first: Vec<u64> = advisor.book().entries.keys().map(|key| key.fingerprint).filter(|one| *one < 5).collect();
    first.sort_unstable();
    assert_eq!(first, [0, 1], "what a person decided stays");
    assert_eq!(advisor.choose(&question(1 << 40, &template, "ada")), Advice::NONE);
    assert!(advisor.book().entries.contains_key(&Key { fingerprint: 1 << 40, login: "ada".to_owned(), band: 3 }));
}

#[tokio::test]
async fn readers_see_their_own_and_what_was_learnt_survives() {
    let (advisor, template): (PlanAdvice, Arc<str>) = (PlanAdvice::default(), Arc::from("select ?"));
    for login in ["sam", "iris"] {
        for n in 0..400 {
            let advice = advisor.choose(&question(7, &template, login));
            let seconds = if advice.variant == Variant::OneStream { 0.2 } else { 1.0 };
            let key = Key { fingerprint: 7, login: login.to_owned(), band: 3 };
            let book = &mut *advisor.book();
            let entry = book.entries.get_mut(&key).unwrap();
            one(&mut entry.contest, advice, seconds, 1.0, n);
            book.changed.insert(key);
        }
    }
    let (sam, ada) = (Principal::builder("sam").build(), Principal::builder("ada").operator(true).build());
    let count = |advisor: &PlanAdvice, reader| advisor.rows("plans", reader).unwrap().len();
    assert!(count(&advisor, &sam) > 1 && count(&advisor, &ada) == 2 * count(&advisor, &sam));
    assert!(advisor.rows("plan_progress", &sam).unwrap().is_empty());
    let band = |reader| advisor.rows("plans", reader).unwrap()[0][3].clone();
    assert_eq!((band(&sam), band(&ada)), (Cell::Null, Cell::Integer(3)), "magnitudes tell of hidden rows");
    let (advice, why) = advisor.explain(&question(7, &template, "sam"));
    assert_eq!(advice.variant, Variant::OneStream, "{why}");
    assert!(why.contains("of the default's time"), "{why}");
    let store = Store::in_memory().await.unwrap();
    advisor.tick(Moment { seconds: 1_000, running: Duration::ZERO }, &store).await.unwrap();
    let again = PlanAdvice::default();
    again.load(&store).await.unwrap();
    assert_eq!(again.rows("plans", &ada).unwrap(), advisor.rows("plans", &ada).unwrap());
    assert!(!again.rows("plan_progress", &ada).unwrap().is_empty());
    let fingerprint = || Cell::text("0000000000000007");
    let pinned = again.call("pin", &[fingerprint(), Cell::text("default")], &ada).await.unwrap();
    assert_eq!(pinned, "pin: 2 plans");
    assert_eq!(again.choose(&question(7, &template, "sam")).variant, Variant::Default);
    again.call("unpin", &[fingerprint()], &ada).await.unwrap();
    assert!(again.call("pin", &[fingerprint(), Cell::text("best")], &ada).await.is_err());
    assert!(again.call("forget", &[Cell::text("8")], &ada).await.is_err());
    assert!(again.call("forget", &[Cell::text("x")], &ada).await.is_err());
    again.call("forget", &[fingerprint()], &ada).await.unwrap();
    assert!(again.rows("plans", &ada).unwrap().is_empty());
    again.tick(Moment { seconds: 2_000, running: Duration::ZERO }, &store).await.unwrap();
    let third = PlanAdvice::default();
    third.load(&store).await.unwrap();
    assert!(third.rows("plans", &ada).unwrap().is_empty());
}
