//! A simulated month of gateway traffic: 500 series with days, weeks, releases, spikes and wander, and incidents put in.
//! Knows how traffic looks, not how it is judged.

mod judge;
mod users;

pub(crate) use judge::months;

use querygate_models::rng::Rng;

/// A Sunday.
pub(crate) const START: i64 = 1_704_585_600;
pub(crate) const DAYS: i64 = 30;
/// Five-minute intervals.
pub(crate) const STEP: i64 = 300;
pub(crate) const STEPS: i64 = DAYS * 288;
/// No incident begins before: the first week is for learning.
const FIRST: f64 = 9.0;

/// What was put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Step,
    Burst,
    Drift,
    Rows,
    Errors,
    Templates,
    Extraction,
    Drip,
}

pub(crate) const KINDS: [(Kind, &str); 8] = [
    (Kind::Step, "latency step x2"),
    (Kind::Burst, "latency burst x10"),
    (Kind::Drift, "latency drift 1%/h"),
    (Kind::Rows, "rows x10"),
    (Kind::Errors, "errors 0.1 to 5%"),
    (Kind::Templates, "new-template burst"),
    (Kind::Extraction, "extraction 100x in a day"),
    (Kind::Drip, "drip 5x/day for 7 days"),
];

/// An incident in days since the start; an alarm up to `grace` days after its end still counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Injected {
    pub(crate) kind: Kind,
    pub(crate) start: f64,
    pub(crate) end: f64,
    pub(crate) grace: f64,
}

impl Injected {
    pub(crate) fn contains(&self, day: f64) -> bool {
        (self.start..self.end + self.grace).contains(&day)
    }

    fn active(&self, day: f64) -> bool {
        (self.start..self.end).contains(&day)
    }
}

/// Days and hours of releases: they move a fifth of the series a little and bring new templates to most principals.
const RELEASES: [f64; 4] = [3.42, 10.42, 17.46, 24.42];

fn uniform(rng: &mut Rng, low: f64, high: f64) -> f64 {
    low + (high - low) * rng.unit()
}

pub(crate) fn poisson(rng: &mut Rng, mean: f64) -> u64 {
    if mean > 60.0 {
        return (mean + mean.sqrt() * rng.normal()).round().max(0.0) as u64;
    }
    let (limit, mut product, mut count) = ((-mean).exp(), rng.unit(), 0);
    while product > limit {
        product *= rng.unit();
        count += 1;
    }
    count
}

/// Logarithm of the traffic at a time: working hours, quiet nights and weekends, for each series its own depth and phase.
struct Seasons {
    day: f64,
    phase: f64,
    weekend: f64,
    second: f64,
}

impl Seasons {
    fn new(rng: &mut Rng, depth: f64) -> Self {
        Self {
            day: uniform(rng, 0.1, 1.0) * depth,
            phase: uniform(rng, -0.08, 0.08),
            weekend: uniform(rng, 0.0, 0.8) * depth,
            second: uniform(rng, 0.0, 0.3) * depth,
        }
    }

    fn at(&self, day: f64) -> f64 {
        let turn = std::f64::consts::TAU * (day - 0.6 + self.phase);
        let of_week = day.rem_euclid(7.0);
        let weekend = if !(1.0..6.0).contains(&of_week) { self.weekend } else { 0.0 };
        self.day * turn.cos() + self.second * (2.0 * turn).cos() - weekend
    }
}

/// Mostly one incident a month in half of the series, at a random time.
fn inject(rng: &mut Rng, kinds: &[Kind]) -> Vec<Injected> {
    if rng.unit() < 0.45 {
        return Vec::new();
    }
    let kind = kinds[rng.below(kinds.len())];
    let hour = 1.0 / 24.0;
    let (length, grace) = match kind {
        Kind::Step => (uniform(rng, 6.0, 48.0) * hour, hour),
        Kind::Burst => (uniform(rng, 0.25, 1.0) * hour, hour),
        Kind::Drift => (4.0, hour),
        Kind::Rows => (uniform(rng, 1.0, 12.0) * hour, hour),
        Kind::Errors => (uniform(rng, 0.5, 4.0) * hour, hour),
        Kind::Templates => (uniform(rng, 0.3, 1.0) * hour, hour),
        Kind::Extraction => (uniform(rng, 1.0, 20.0) * hour, 12.0 * hour),
        Kind::Drip => (7.0, 1.0),
    };
    let start = uniform(rng, FIRST, DAYS as f64 - 0.5 - length - grace);
    let start = if kind == Kind::Drip { start.floor() } else { start };
    vec![Injected { kind, start, end: start + length, grace }]
}

fn day_of(step: i64) -> f64 {
    step as f64 / 288.0
}

/// A level that wanders, jumps a little at releases and has heavy-tailed noise with a memory.
struct Noise {
    spread: f64,
    memory: f64,
    now: f64,
    wander: f64,
    release: f64,
    spikes: f64,
    touched: bool,
}

impl Noise {
    fn new(rng: &mut Rng) -> Self {
        Self {
            spread: uniform(rng, 0.08, 0.3),
            memory: uniform(rng, 0.2, 0.8),
            now: 0.0,
            wander: 0.0,
            release: 0.0,
            spikes: uniform(rng, 0.0005, 0.005),
            touched: rng.unit() < 0.2,
        }
    }

    fn next(&mut self, rng: &mut Rng, day: f64) -> f64 {
        let innovation = (1.0 - self.memory * self.memory).sqrt() * self.spread;
        self.now = self.memory * self.now + innovation * rng.normal();
        // Half a day of memory, 5% of spread.
        self.wander = self.wander * (1.0 - 1.0 / 144.0) + 0.05 * (2.0f64 / 144.0).sqrt() * rng.normal();
        if self.touched && RELEASES.iter().any(|release| day >= *release && day - release < 1.0 / 288.0) {
            self.release += 0.08 * rng.normal();
        }
        let spike = if rng.unit() < self.spikes { uniform(rng, 2f64.ln(), 8f64.ln()) } else { 0.0 };
        self.now + self.wander + self.release + spike
    }
}

/// Mean latency (ms) per interval; `None` when there was no statement.
pub(crate) fn latency(rng: &mut Rng) -> (Vec<Option<f64>>, Vec<Injected>) {
    let injected = inject(rng, &[Kind::Step, Kind::Burst, Kind::Drift]);
    let (traffic, seasons, mut noise) = (Seasons::new(rng, 2.5), Seasons::new(rng, 0.5), Noise::new(rng));
    let (base, statements) = (uniform(rng, 1.0, 6.0), uniform(rng, 0.5, 6.0));
    let values = (0..STEPS).map(|step| {
        let day = day_of(step);
        let count = poisson(rng, (statements + traffic.at(day)).exp());
        let mean = base + seasons.at(day) + noise.next(rng, day);
        let mean = mean + 0.4 * rng.normal() / (count.max(1) as f64).sqrt();
        let change: f64 = injected.iter().filter(|i| i.active(day)).map(|i| effect(i, day)).sum();
        (count > 0).then(|| (mean + change).exp())
    });
    (values.collect(), injected)
}

/// Logarithm of an incident's factor.
fn effect(injected: &Injected, day: f64) -> f64 {
    match injected.kind {
        Kind::Step => 2f64.ln(),
        Kind::Burst | Kind::Rows => 10f64.ln(),
        Kind::Drift => 24.0 * (day - injected.start) * 1.01f64.ln(),
        Kind::Errors | Kind::Templates | Kind::Extraction | Kind::Drip => 0.0,
    }
}

/// Rows per statement of a template, per interval.
pub(crate) fn rows(rng: &mut Rng) -> (Vec<Option<f64>>, Vec<Injected>) {
    let injected = inject(rng, &[Kind::Rows]);
    let (traffic, mut noise) = (Seasons::new(rng, 1.5), Noise::new(rng));
    let (base, statements) = (uniform(rng, 0.5, 9.0), uniform(rng, 0.5, 5.0));
    let spread = uniform(rng, 0.3, 1.2);
    let values = (0..STEPS).map(|step| {
        let day = day_of(step);
        let count = poisson(rng, (statements + traffic.at(day)).exp());
        let change: f64 = injected.iter().filter(|i| i.active(day)).map(|i| effect(i, day)).sum();
        let mean = base + noise.next(rng, day) + change + spread * rng.normal() / (count.max(1) as f64).sqrt();
        (count > 0).then(|| poisson(rng, mean.exp()) as f64).filter(|rows| *rows > 0.0)
    });
    (values.collect(), injected)
}

/// Failed and all statements per interval.
pub(crate) fn errors(rng: &mut Rng) -> (Vec<(u64, u64)>, Vec<Injected>) {
    let injected = inject(rng, &[Kind::Errors]);
    let (traffic, statements) = (Seasons::new(rng, 1.5), uniform(rng, 3.5, 7.5));
    let (usual, touched) = (uniform(rng, 0.0003, 0.003), rng.unit() < 0.1);
    let values = (0..STEPS).map(|step| {
        let day = day_of(step);
        let count = poisson(rng, (statements + traffic.at(day)).exp());
        let blip = touched && RELEASES.iter().any(|release| day >= *release && day - release < 2.0 / 288.0);
        let share = if injected.iter().any(|i| i.active(day)) {
            0.05
        } else if blip {
            0.005
        } else {
            usual
        };
        (poisson(rng, count as f64 * share).min(count), count)
    });
    (values.collect(), injected)
}

/// Templates that a principal sends for the first time, per interval.
pub(crate) fn templates(rng: &mut Rng) -> (Vec<u64>, Vec<Injected>) {
    let injected = inject(rng, &[Kind::Templates]);
    let traffic = Seasons::new(rng, 1.5);
    let (a_day, touched) = (uniform(rng, 0.05, 6.0), rng.unit() < 0.6);
    let of_release: Vec<f64> = RELEASES.iter().map(|_| uniform(rng, 3.0, 15.0)).collect();
    let many = uniform(rng, 20.0, 60.0);
    let values = (0..STEPS).map(|step| {
        let day = day_of(step);
        let fresh = 1.0 + 10.0 * (-day / 1.5).exp();
        let mut mean = a_day / 288.0 * traffic.at(day).exp() * fresh;
        for (release, new) in RELEASES.iter().zip(&of_release) {
            if touched && (*release..*release + 0.15).contains(&day) {
                mean += new / (0.15 * 288.0);
            }
        }
        for one in injected.iter().filter(|one| one.active(day)) {
            mean += many / ((one.end - one.start) * 288.0).max(1.0);
        }
        poisson(rng, mean)
    });
    (values.collect(), injected)
}
