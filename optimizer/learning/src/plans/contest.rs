//! The plans of one template, for one principal and one magnitude of rows: which is tried, proven, pinned, rolled back. Time is
//! an argument; knows no statement.

use super::arm::Arm;
use querygate_models::advisor::{Evidence, Guard, choose};
use querygate_telemetry_api::advice::{Advice, Lost, Stage, Variant};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Runs of the default before anything else is tried.
const KNOWN: usize = 6;
/// One run of so many may be a trial.
const TRIAL_EVERY: u64 = 5;
/// One run of so many gets the default while another plan is pinned.
const CONTROL_EVERY: u64 = 20;
/// … and of so many while the plan is young: what it was proven against may have been the default's worse days.
const CONTROL_OFTEN: u64 = 8;
/// Runs for which a pinned plan is young.
const YOUNG: u64 = 40;
/// What trials may cost, as a share of the time of all runs, beyond one run of the default.
pub(super) const BUDGET: f64 = 0.02;
/// Trials that are judged together: one measured time says little.
const BLOCK: usize = 3;
/// What a plan that was not tried yet is taken for, against those that were: the logarithm of time over the default's. A plan that
/// looks better than this is settled first; one that gains little makes way, so that a great gain is not found last.
const HOPE: f64 = -0.15;
/// Blocks after which a plan that is not proven is given up.
const BLOCKS_MAX: usize = 6;
/// Runs of the default that a trial is compared with.
const WATCHED: usize = 12;
/// Runs of a pinned plan, and of the default beside it, that are compared.
const RECENT: usize = 16;
const CONTROLS: usize = 8;
/// Runs of the default since a plan was pinned from which on only they are compared with it, not what was before.
const OWN_CONTROLS: usize = 3;
/// Standard errors by which a pinned plan must be slower to go back (95% of a normal distribution).
const SURE: f64 = 1.65;
/// A pinned plan this much slower than the default loses its place.
const REGRESSION: f64 = 1.05;
/// First wait before a plan that was given up is tried again, in seconds; it doubles each time.
const WAIT: u64 = 1_800;
const WAIT_MAX: u64 = 7 * 86_400;
/// A trial that nobody reported is forgotten after this, in seconds.
const FORGOTTEN: u64 = 120;
/// Trials that may be stopped before a plan is given up.
const STOPS: u32 = 2;
/// A trial may take this much longer than most runs of the default.
const TRIAL_TIMES: f64 = 1.25;
/// A pinned plan must give rows within this many times what most runs of the default take.
const PINNED_TIMES: f64 = 2.0;
/// Slack of limits: times this short are the machine's own noise.
const SLACK: Duration = Duration::from_millis(5);

/// Where a plan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    Candidate,
    Trial,
    Pinned,
    /// Given up until this moment, in seconds.
    Suspended {
        until: u64,
    },
}

/// A plan beside the default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Rival {
    /// Name of the variant.
    name: String,
    pub(super) state: State,
    pub(super) arm: Arm,
    /// Logarithms of time over the default's, of trials since it was last given up.
    ratios: Vec<f64>,
    failures: u32,
    pub(super) why: String,
    /// Seconds that its trials took beyond what the default would have.
    pub(super) spent: f64,
    /// Seconds that runs with it took less than the default.
    pub(super) saved: f64,
    /// The part of that which its trials saved.
    tried: f64,
    /// The guard's upper limit when it was last judged: logarithm of time over the default's.
    pub(super) upper: Option<f64>,
    /// Stops and failures since it was pinned.
    strikes: u32,
}

impl Rival {
    fn new(variant: Variant) -> Self {
        Self {
            name: variant.name().to_owned(),
            state: State::Candidate,
            arm: Arm::default(),
            ratios: Vec::new(),
            failures: 0,
            why: "not tried yet".to_owned(),
            spent: 0.0,
            saved: 0.0,
            tried: 0.0,
            upper: None,
            strikes: 0,
        }
    }

    pub(super) fn variant(&self) -> Option<Variant> {
        Variant::from_name(&self.name)
    }

    fn suspend(&mut self, now: u64, why: String) {
        let wait = WAIT.saturating_mul(1 << self.failures.min(16)).min(WAIT_MAX);
        self.failures = self.failures.saturating_add(1);
        self.state = State::Suspended { until: now.saturating_add(wait) };
        self.ratios.clear();
        self.arm.clear();
        self.strikes = 0;
        self.why = why;
    }

    /// What a person unpinned is measured again before it comes back.
    pub(super) fn unpin(&mut self) {
        if self.state == State::Pinned {
            self.state = State::Candidate;
            self.ratios.clear();
            self.arm.clear();
        }
    }

    /// Its time over the default's: while it is tried, each run against the default's of that time.
    pub(super) fn ratio(&self, default: &Arm) -> Option<f64> {
        match self.state {
            State::Candidate | State::Suspended { .. } => None,
            State::Trial => self.mean_ratio().map(f64::exp),
            State::Pinned => {
                let (own, default) = (self.arm.median(usize::MAX)?, default.median(usize::MAX)?);
                Some((own - default).exp())
            }
        }
    }

    /// Whether some trials wait for others to be judged with.
    fn is_in_block(&self) -> bool {
        !self.ratios.len().is_multiple_of(BLOCK)
    }

    fn mean_ratio(&self) -> Option<f64> {
        mean(&self.ratios)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a few measurements")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// All plans and what is in force.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Contest {
    pub(super) default: Arm,
    pub(super) rivals: Vec<Rival>,
    /// Seconds of all runs.
    pub(super) total: f64,
    /// Runs that were advised.
    asked: u64,
    /// Runs that were advised since a plan was pinned, or since the gate was started, and runs of the default that were measured since.
    #[serde(skip)]
    pinned_for: u64,
    #[serde(skip)]
    controls: usize,
    /// When a trial began that has not been reported.
    #[serde(skip)]
    open: Option<u64>,
    /// A person's choice; nothing else is tried while it stands.
    pub(super) fixed: Option<String>,
    /// A person switched advice off.
    pub(super) off: bool,
}

impl Contest {
    /// The plan of the next run. `variants`: the most promising first.
    pub(super) fn choose(&mut self, variants: &[Variant], now: u64) -> Advice {
        self.asked = self.asked.wrapping_add(1);
        if self.off {
            return Advice::NONE;
        }
        if let Some(fixed) = self.fixed_variant() {
            let possible = fixed != Variant::Default && variants.contains(&fixed);
            let variant = if possible { fixed } else { Variant::Default };
            return Advice { variant, stage: Stage::Pinned, limit: None };
        }
        if let Some(pinned) = self.pinned(variants) {
            self.pinned_for = self.pinned_for.saturating_add(1);
            let every = if self.pinned_for <= YOUNG { CONTROL_OFTEN } else { CONTROL_EVERY };
            if self.pinned_for.is_multiple_of(every) {
                return Advice { variant: Variant::Default, stage: Stage::Control, limit: None };
            }
            return Advice { variant: pinned, stage: Stage::Pinned, limit: self.limit(PINNED_TIMES) };
        }
        match self.trial(variants, now) {
            Some(variant) => Advice { variant, stage: Stage::Trial, limit: self.limit(TRIAL_TIMES) },
            None => Advice::NONE,
        }
    }

    fn fixed_variant(&self) -> Option<Variant> {
        self.fixed.as_deref().and_then(Variant::from_name)
    }

    pub(super) fn pinned(&self, variants: &[Variant]) -> Option<Variant> {
        let pinned = self.rivals.iter().find(|rival| rival.state == State::Pinned);
        pinned.and_then(Rival::variant).filter(|variant| variants.contains(variant))
    }

    /// So many times what the default takes at most runs, and a little.
    fn limit(&self, times: f64) -> Option<Duration> {
        let seconds = self.default.high()?.exp() * times;
        Duration::try_from_secs_f64(seconds).ok().map(|limit| limit.max(SLACK) + SLACK)
    }

    /// What is to be tried now, if it is time and there is budget for its worst case.
    fn trial(&mut self, variants: &[Variant], now: u64) -> Option<Variant> {
        if self.default.len() < KNOWN || !self.asked.is_multiple_of(TRIAL_EVERY) {
            return None;
        }
        if self.open.is_some_and(|since| now.saturating_sub(since) < FORGOTTEN) {
            return None;
        }
        let worst = self.limit(TRIAL_TIMES)?.as_secs_f64();
        let one = self.default.median(WATCHED)?.exp();
        if self.cost() + worst > BUDGET * self.total + one.max(worst) {
            return None;
        }
        for variant in variants {
            if self.rivals.iter().all(|rival| rival.variant() != Some(*variant)) {
                self.rivals.push(Rival::new(*variant));
            }
        }
        for rival in &mut self.rivals {
            if matches!(rival.state, State::Suspended { until } if now >= until) {
                rival.state = State::Candidate;
            }
        }
        let tried = |rival: &&mut Rival| {
            let possible = rival.variant().is_some_and(|variant| variants.contains(&variant));
            possible && matches!(rival.state, State::Candidate | State::Trial)
        };
        // A block that was begun is ended; then the most promising, then those that were given up least often, here and elsewhere.
        let place = |rival: &Rival| variants.iter().position(|variant| rival.variant() == Some(*variant));
        let order =
            |rival: &Rival| (!rival.is_in_block(), rival.mean_ratio().unwrap_or(HOPE), rival.failures, place(rival));
        let next = self.rivals.iter_mut().filter(tried).min_by(|one, other| {
            let (one, other) = (order(one), order(other));
            one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)).then((one.2, one.3).cmp(&(other.2, other.3)))
        })?;
        next.state = State::Trial;
        "being measured on a share of the runs".clone_into(&mut next.why);
        self.open = Some(now);
        next.variant()
    }

    /// Seconds that the trials of all plans cost: what some runs took more, less what others of the same plan took less. On a
    /// busy machine equal plans differ either way.
    pub(super) fn cost(&self) -> f64 {
        self.rivals.iter().map(|rival| (rival.spent - rival.tried).max(0.0)).sum()
    }

    /// Takes a measured run in.
    pub(super) fn ran(&mut self, variant: Variant, stage: Stage, seconds: f64, now: u64) {
        if !seconds.is_finite() || seconds < 0.0 {
            return;
        }
        self.total += seconds;
        let reference = self.default.median(WATCHED);
        if variant == Variant::Default {
            self.default.add(seconds);
            self.controls = self.controls.saturating_add(1);
            self.watch(now);
            return;
        }
        if stage == Stage::Trial {
            self.open = None;
        }
        let Some(rival) = self.rivals.iter_mut().find(|rival| rival.variant() == Some(variant)) else { return };
        rival.arm.add(seconds);
        let Some(reference) = reference else { return };
        let less = reference.exp() - seconds;
        match stage {
            Stage::Trial if rival.state == State::Trial => {
                rival.spent += (-less).max(0.0);
                rival.saved += less.max(0.0);
                rival.tried += less.max(0.0);
                rival.ratios.push(seconds.max(1e-6).ln() - reference);
                if judge(rival, now) {
                    (self.pinned_for, self.controls) = (0, 0);
                }
            }
            Stage::Pinned => {
                rival.saved += less;
                self.watch(now);
            }
            Stage::Observe | Stage::Shadow | Stage::Trial | Stage::Control => {}
        }
    }

    /// Takes a run in that was stopped, or failed, after so long.
    pub(super) fn lost(&mut self, variant: Variant, lost: Lost, now: u64) {
        self.open = None;
        // `None`: it failed.
        let stopped = match lost {
            Lost::Stopped(limit) => Some(limit.as_secs_f64()),
            Lost::Failed => None,
            // Nobody knows how long it would have taken, only what it took.
            Lost::Left(after) => {
                self.left(variant, after.as_secs_f64());
                return;
            }
            Lost::Void => return,
        };
        let seconds = stopped.unwrap_or(0.0);
        self.total += seconds;
        let reference = self.default.median(WATCHED);
        let Some(rival) = self.rivals.iter_mut().find(|rival| rival.variant() == Some(variant)) else { return };
        match rival.state {
            State::Trial => {
                rival.spent += seconds;
                rival.strikes = rival.strikes.saturating_add(1);
                match (stopped, reference) {
                    (None, _) => rival.suspend(now, "it failed".to_owned()),
                    // Once may be the machine's own noise.
                    (Some(_), Some(reference)) if rival.strikes < STOPS => {
                        rival.ratios.push(seconds.max(1e-6).ln() - reference);
                        if judge(rival, now) {
                            (self.pinned_for, self.controls) = (0, 0);
                        }
                    }
                    (Some(_), None | Some(_)) => rival.suspend(now, "twice stopped at the default's time".to_owned()),
                }
            }
            State::Pinned => {
                rival.saved -= seconds;
                rival.strikes = rival.strikes.saturating_add(1);
                if rival.strikes >= STOPS || stopped.is_none() {
                    rival.suspend(now, "rolled back: twice as slow as the default, or failing".to_owned());
                }
            }
            State::Candidate | State::Suspended { .. } => {}
        }
    }

    /// A trial that its client did not wait for costs what it took.
    fn left(&mut self, variant: Variant, seconds: f64) {
        self.total += seconds;
        let rival =
            self.rivals.iter_mut().find(|rival| rival.variant() == Some(variant) && rival.state == State::Trial);
        if let Some(rival) = rival {
            rival.spent += seconds;
        }
    }

    /// Rolls a pinned plan back that is slower than the default, by more than their times differ anyway.
    fn watch(&mut self, now: u64) {
        let controls = if self.controls < OWN_CONTROLS { CONTROLS } else { self.controls.min(CONTROLS) };
        let Some(reference) = self.default.median(controls) else { return };
        for rival in self.rivals.iter_mut().filter(|rival| rival.state == State::Pinned) {
            let Some(recent) = rival.arm.median(RECENT).filter(|_| rival.arm.len() >= BLOCK) else { continue };
            let error = rival.arm.error(RECENT).hypot(self.default.error(controls));
            let difference = recent - reference;
            if difference > REGRESSION.ln().max(SURE * error) {
                let slower = (difference.exp() - 1.0) * 100.0;
                rival.suspend(now, format!("rolled back: {slower:.0}% slower than the default"));
            }
        }
    }

    /// Whether what was read back can be used.
    pub(super) fn is_sound(&self) -> bool {
        let rival = |rival: &Rival| {
            let sums = [rival.spent, rival.saved, rival.tried].iter().chain(&rival.ratios).all(|v| v.is_finite());
            rival.variant().is_some() && rival.arm.is_sound() && rival.ratios.len() <= BLOCK * BLOCKS_MAX && sums
        };
        self.default.is_sound()
            && self.total.is_finite()
            && self.rivals.iter().all(rival)
            && self.rivals.len() <= Variant::others().count()
    }
}

/// After each block: proven, given up, or tried on. Whether it is pinned now.
fn judge(rival: &mut Rival, now: u64) -> bool {
    if rival.is_in_block() {
        return false;
    }
    let blocks: Vec<f64> = rival.ratios.chunks(BLOCK).filter_map(mean).collect();
    let evidence = |log: &f64| Evidence { band: 0.0, variant: 0, logs: vec![0.0, *log] };
    let evidence: Vec<Evidence> = blocks.iter().map(evidence).collect();
    let choice = choose(&evidence, 0.0, 0, &Guard::default());
    let mean = rival.mean_ratio().unwrap_or(0.0);
    if choice.action == 1 {
        rival.upper = Some(choice.upper);
        rival.state = State::Pinned;
        rival.strikes = 0;
        let (times, at_most) = (mean.exp(), choice.upper.exp());
        rival.why =
            format!("took ×{times:.2} of the default's time in {} runs, ×{at_most:.2} at most", rival.ratios.len());
        return true;
    }
    let gain = (-mean).max(0.0);
    match blocks.len() {
        _ if mean > 0.1 => rival.suspend(now, format!("took ×{:.2} of the default's time", mean.exp())),
        2.. if gain < 0.02 => rival.suspend(now, format!("took ×{:.2} of the default's time: no gain", mean.exp())),
        BLOCKS_MAX.. => rival.suspend(now, "not proven to be better".to_owned()),
        _ => {}
    }
    false
}
