//! The measured hint matrices (LimeQO) and the protocols of plan advice on them.

#![allow(dead_code, reason = "each test and example uses a part")]
#![allow(unreachable_pub, reason = "a module of several programs")]

use super::support::csv::Table;
use querygate_bench_learning::{Explorer, Outcome};
use querygate_models::advisor::{Evidence, Guard, choose};
use querygate_models::rng::Rng;
use std::path::Path;

/// Seconds of each statement under each hint set; column 0 is the default.
pub struct Hints {
    pub names: Vec<String>,
    pub seconds: Vec<Vec<f64>>,
}

pub fn read(path: &Path) -> Result<Hints, String> {
    let table = Table::read(path)?;
    let columns: Vec<String> = (0..table.width() - 1).map(|column| column.to_string()).collect();
    let row = |at: usize| columns.iter().map(|column| table.number(at, column)).collect::<Result<Vec<f64>, String>>();
    Ok(Hints {
        names: (0..table.len()).map(|at| table.text(at, "filename").map(str::to_owned)).collect::<Result<_, _>>()?,
        seconds: (0..table.len()).map(row).collect::<Result<_, _>>()?,
    })
}

/// When totals are looked at, in totals of the default.
pub const MARKS: [f64; 4] = [0.25, 0.5, 1.0, 2.0];

/// Total over default total after each mark of exploration time, and statements that ended more than 10% slower. Trials are
/// charged with what they take, at most the statement's best time, where they are stopped.
pub fn explore(hints: &Hints, seed: u64) -> Option<([f64; 4], usize)> {
    let defaults: Vec<f64> = hints.seconds.iter().map(|row| row[0]).collect();
    let total: f64 = defaults.iter().sum();
    let mut explorer = Explorer::new(&defaults, hints.seconds[0].len(), seed)?;
    let share = |explorer: &Explorer| {
        // The truth of what it chose, not what it believes.
        explorer.plans().iter().enumerate().map(|(row, plan)| hints.seconds[row][plan.action]).sum::<f64>() / total
    };
    let (mut spent, mut shares) = (0.0, Vec::new());
    while shares.len() < MARKS.len() {
        let trials = explorer.propose(0.01 * total);
        if trials.is_empty() {
            break;
        }
        for trial in trials {
            let seconds = hints.seconds[trial.row][trial.action];
            spent += seconds.min(trial.limit);
            while shares.len() < MARKS.len() && spent > MARKS[shares.len()] * total {
                shares.push(share(&explorer));
            }
            let ended = seconds < trial.limit;
            explorer.record(trial, if ended { Outcome::Ended(seconds) } else { Outcome::Stopped });
        }
    }
    shares.resize(MARKS.len(), share(&explorer));
    let slower = |row: usize| hints.seconds[row][explorer.plans()[row].action] > 1.1 * defaults[row];
    let slower = (0..defaults.len()).filter(|row| slower(*row)).count();
    Some(([shares[0], shares[1], shares[2], shares[3]], slower))
}

/// What guarded choices give: shares of the oracle's gains, and of executions slower by more than 10%.
pub struct Guarded {
    pub log_gain: f64,
    pub total_gain: f64,
    pub slower: f64,
}

/// Of each template `measured` statements are measured under all hints; the others get what is chosen for them.
/// `template` and `variant` read a statement's name; `banded` says whether a statement's default time is known.
pub fn parametric(
    hints: &Hints,
    template: fn(&str) -> String,
    variant: fn(&str) -> u64,
    (measured, banded, guarded): (usize, bool, bool),
    seed: u64,
) -> Guarded {
    let mut templates: Vec<String> = hints.names.iter().map(|name| template(name)).collect();
    let of = templates.clone();
    templates.sort();
    templates.dedup();
    let mut rng = Rng::new(seed);
    let (mut gains, mut slower, mut count) = ([0.0; 4], 0.0, 0.0);
    for template in templates {
        let mut rows: Vec<usize> = (0..of.len()).filter(|row| of[*row] == template).collect();
        rng.shuffle(&mut rows);
        let (known, new) = rows.split_at(measured.min(rows.len()));
        let band = |row: usize| if banded { hints.seconds[row][0].max(1e-3).ln() } else { 0.0 };
        let shape = |row: usize| if banded { variant(&hints.names[row]) } else { 0 };
        let evidence: Vec<Evidence> = known
            .iter()
            .map(|row| {
                let times = &hints.seconds[*row];
                let logs = times.iter().map(|t| (t / times[0]).ln()).collect();
                Evidence { band: band(*row), variant: shape(*row), logs }
            })
            .collect();
        let mean = |action: usize| evidence.iter().map(|e| e.logs[action]).sum::<f64>();
        let boldest = (0..hints.seconds[0].len()).min_by(|a, b| mean(*a).total_cmp(&mean(*b))).unwrap_or(0);
        for row in new {
            let action =
                if guarded { choose(&evidence, band(*row), shape(*row), &Guard::default()).action } else { boldest };
            let times = &hints.seconds[*row];
            let (default, chosen) = (times[0], times[action]);
            let best = times.iter().copied().fold(f64::INFINITY, f64::min);
            gains[0] += (default / chosen).ln();
            gains[1] += (default / best).ln();
            gains[2] += default - chosen;
            gains[3] += default - best;
            slower += f64::from(u8::from(chosen > 1.1 * default));
            count += 1.0;
        }
    }
    Guarded { log_gain: gains[0] / gains[1], total_gain: gains[2] / gains[3], slower: slower / count }
}

/// `query018_spj_3` and `query018_3` are variants of template `query018`.
pub fn dsb_template(name: &str) -> String {
    name.split('_').next().unwrap_or(name).to_owned()
}

/// The statement without its number: what a fingerprint without literals tells apart.
pub fn dsb_fingerprint(name: &str) -> String {
    name.rsplit_once('_').map_or(name, |(head, _)| head).to_owned()
}

pub fn dsb_variant(name: &str) -> u64 {
    u64::from(name.contains("_spj"))
}
