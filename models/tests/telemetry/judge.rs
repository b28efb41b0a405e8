//! Runs the shipped detectors over the simulated month and counts: found, late, false.

use super::users::user;
use super::{Injected, KINDS, Kind, START, STEP, errors, latency, rows, templates};
use querygate_models::anomaly::{Change, Direction, ErrorRate, Extraction, Level, NewTemplates, Peers, Rule, Watch};
use querygate_models::rng::Rng;
use std::collections::BTreeMap;

const LATENCIES: usize = 170;
const ROWS: usize = 90;
const ERRORS: usize = 80;
const PRINCIPALS: usize = 80;
const USERS: usize = 80;
/// Days that are judged: all but the first week.
const JUDGED: f64 = 23.0;

/// Counts of a month.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Injected, found, and the delays in hours, by kind.
    pub(crate) kinds: BTreeMap<Kind, (usize, usize, Vec<f64>)>,
    /// False incidents by the family of series.
    pub(crate) families: BTreeMap<&'static str, (usize, f64)>,
    pub(crate) true_alarms: usize,
}

impl Report {
    pub(crate) fn recall(&self, kind: Kind) -> f64 {
        self.kinds.get(&kind).map_or(0.0, |(all, found, _)| *found as f64 / (*all).max(1) as f64)
    }

    pub(crate) fn false_alarms(&self) -> usize {
        self.families.values().map(|(count, _)| count).sum()
    }

    pub(crate) fn false_per_day(&self) -> f64 {
        self.false_alarms() as f64 / self.families.values().map(|(_, days)| days).sum::<f64>()
    }

    pub(crate) fn precision(&self) -> f64 {
        self.true_alarms as f64 / (self.true_alarms + self.false_alarms()).max(1) as f64
    }

    fn count(&mut self, family: &'static str, alarms: &[f64], injected: &[Injected]) {
        let entry = self.families.entry(family).or_default();
        entry.1 += JUDGED;
        for alarm in alarms {
            if injected.iter().any(|one| one.contains(*alarm)) {
                self.true_alarms += 1;
            } else {
                entry.0 += 1;
            }
        }
        for one in injected {
            let entry = self.kinds.entry(one.kind).or_default();
            entry.0 += 1;
            if let Some(alarm) = alarms.iter().find(|alarm| one.contains(**alarm)) {
                entry.1 += 1;
                entry.2.push((alarm - one.start) * 24.0);
            }
        }
    }

    /// Adds another month.
    fn merge(&mut self, other: Self) {
        for (kind, (all, found, delays)) in other.kinds {
            let entry = self.kinds.entry(kind).or_default();
            entry.0 += all;
            entry.1 += found;
            entry.2.extend(delays);
        }
        for (family, (count, days)) in other.families {
            let entry = self.families.entry(family).or_default();
            entry.0 += count;
            entry.1 += days;
        }
        self.true_alarms += other.true_alarms;
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines =
            vec![format!("{:28} {:>5} {:>6} {:>7} {:>13}", "injected", "n", "found", "recall", "median delay")];
        for (kind, name) in KINDS {
            let Some((all, found, delays)) = self.kinds.get(&kind) else { continue };
            let mut delays = delays.clone();
            delays.sort_by(f64::total_cmp);
            let delay = delays.get(delays.len() / 2).copied().unwrap_or(f64::NAN);
            lines.push(format!("{name:28} {all:5} {found:6} {:7.3} {delay:11.1} h", self.recall(kind)));
        }
        for (family, (count, days)) in &self.families {
            lines.push(format!("false, {family:21} {count:5} {:>27.5} a series-day", *count as f64 / days));
        }
        lines.push(format!("all: false {:.5} a series-day, precision {:.3}", self.false_per_day(), self.precision()));
        lines
    }
}

fn time(step: usize) -> i64 {
    START + i64::try_from(step).unwrap_or(0) * STEP
}

fn days(time: i64) -> f64 {
    (time - START) as f64 / 86_400.0
}

fn opened(change: Option<Change>) -> bool {
    matches!(change, Some(Change::Opened { .. }))
}

fn levels(values: &[Option<f64>]) -> Vec<f64> {
    let (mut level, mut watch) = (Level::new(Direction::Up), Watch::new(Rule::GATEWAY));
    let mut alarms = Vec::new();
    for (step, value) in values.iter().enumerate() {
        let Some(reading) = value.and_then(|value| level.observe(time(step), value)) else { continue };
        if opened(watch.observe(time(step), reading.jump.max(reading.drift))) {
            alarms.push(days(time(step)));
        }
    }
    alarms
}

/// Months with these seeds, added up, and each seed's own figures to `each`.
pub(crate) fn months(seeds: &[u64], mut each: impl FnMut(u64, &Report)) -> Report {
    let mut all = Report::default();
    for seed in seeds {
        let month = run(*seed);
        each(*seed, &month);
        all.merge(month);
    }
    all
}

fn run(seed: u64) -> Report {
    let mut report = Report::default();
    let mut rng = Rng::new(seed);
    for _ in 0..LATENCIES {
        let (values, injected) = latency(&mut rng);
        report.count("latency", &levels(&values), &injected);
    }
    for _ in 0..ROWS {
        let (values, injected) = rows(&mut rng);
        report.count("rows", &levels(&values), &injected);
    }
    for _ in 0..ERRORS {
        let (values, injected) = errors(&mut rng);
        let (mut rate, mut watch) = (ErrorRate::new(), Watch::new(Rule::GATEWAY));
        let alarms = values.iter().enumerate().filter_map(|(step, (failed, of))| {
            let score = rate.observe(*failed, *of).score;
            (opened(watch.observe(time(step), score)) && days(time(step)) >= 7.0).then(|| days(time(step)))
        });
        report.count("errors", &alarms.collect::<Vec<_>>(), &injected);
    }
    new_templates(&mut rng, &mut report);
    extraction(&mut rng, &mut report);
    report
}

fn new_templates(rng: &mut Rng, report: &mut Report) {
    let series: Vec<_> = (0..PRINCIPALS).map(|_| templates(rng)).collect();
    let mut detectors: Vec<_> = series.iter().map(|_| (NewTemplates::new(), Watch::new(Rule::GATEWAY))).collect();
    let mut alarms = vec![Vec::new(); PRINCIPALS];
    // How much more than usual all together bring in the last hour.
    let (mut window, mut usual) = (std::collections::VecDeque::new(), 1.0_f64);
    for step in 0..series[0].0.len() {
        let now: u64 = series.iter().map(|(values, _)| values[step]).sum();
        window.push_back(now as f64);
        if window.len() > 12 {
            window.pop_front();
        }
        let hour: f64 = window.iter().sum();
        for (at, (templates, watch)) in detectors.iter_mut().enumerate() {
            let own: u64 = series[at].0[step.saturating_sub(11)..=step].iter().sum();
            let everywhere = (hour - own as f64) / usual.max(1.0);
            let score = templates.observe(time(step), series[at].0[step], everywhere).score;
            if opened(watch.observe(time(step), score)) && days(time(step)) >= 7.0 {
                alarms[at].push(days(time(step)));
            }
        }
        usual += (hour.min(3.0 * usual + 5.0) - usual) / 2000.0;
    }
    for ((_, injected), alarms) in series.iter().zip(&alarms) {
        report.count("new templates", alarms, injected);
    }
}

fn extraction(rng: &mut Rng, report: &mut Report) {
    let users: Vec<_> = (0..USERS).map(|_| user(rng)).collect();
    let mut peers = vec![Peers::default(); 4];
    let mut detectors: Vec<_> =
        users.iter().map(|_| (Extraction::new(), Watch::new(Rule::EXTRACTION), Watch::new(Rule::EXTRACTION))).collect();
    let mut alarms = vec![Vec::new(); USERS];
    for hour in 0..users[0].hours.len() {
        for (at, (extraction, of_day, of_week)) in detectors.iter_mut().enumerate() {
            let reads = users[at].hours[hour];
            let reading = extraction.observe(&reads, &mut peers[users[at].group]);
            let one = opened(of_day.observe(reads.time, reading.day));
            let other = opened(of_week.observe(reads.time, reading.week));
            if one || other {
                alarms[at].push(days(reads.time - 1));
            }
        }
    }
    for (user, alarms) in users.iter().zip(&alarms) {
        report.count("extraction", alarms, &user.injected);
    }
}
