//! What the plan advisor shows: alternatives with their evidence, what was saved and spent. Decides nothing.

use super::contest::{Contest, Rival, State};
use super::{Entry, PlanAdvice};
use querygate_telemetry_api::advice::{Advice, Stage, Variant};
use querygate_telemetry_api::system::{Cell, CellKind, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, Result};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PLANS: &[(&str, CellKind)] = &[
    ("fingerprint", CellKind::Text),
    ("template", CellKind::Text),
    ("login", CellKind::Text),
    ("band", CellKind::Integer),
    ("alternative", CellKind::Text),
    ("state", CellKind::Text),
    ("runs", CellKind::Integer),
    ("mean_ms", CellKind::Float),
    ("ratio", CellKind::Float),
    ("upper", CellKind::Float),
    ("trial_ms", CellKind::Float),
    ("saved_ms", CellKind::Float),
    ("why", CellKind::Text),
];
const PROGRESS: &[(&str, CellKind)] =
    &[("at", CellKind::Time), ("saved_ms", CellKind::Float), ("trial_ms", CellKind::Float)];

pub(super) fn relations() -> Vec<SystemRelation> {
    vec![SystemRelation { name: "plans", columns: PLANS }, SystemRelation { name: "plan_progress", columns: PROGRESS }]
}

impl PlanAdvice {
    pub(super) fn rows_of(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        let book = self.book();
        match relation {
            "plans" => {
                let own = |entry: &&Entry| reader.may_see_work_of(&entry.key.login);
                let mut entries: Vec<&Entry> = book.entries.values().filter(own).collect();
                entries.sort_by(|a, b| a.key.cmp(&b.key));
                Ok(entries.into_iter().flat_map(|entry| alternatives(entry, reader.operator)).collect())
            }
            // Sums over everybody.
            "plan_progress" if !reader.operator => Ok(Vec::new()),
            "plan_progress" => Ok(book
                .history
                .iter()
                .map(|point| {
                    let at = Cell::Time(moment(point.at));
                    vec![at, Cell::Float(point.saved * 1e3), Cell::Float(point.spent * 1e3)]
                })
                .collect()),
            other => Err(Error::internal(format_args!("no relation {other}"))),
        }
    }
}

fn moment(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(1 << 40))
}

/// `operator`: the magnitude is shown; it tells of all rows of a table, hidden ones too.
fn alternatives(entry: &Entry, operator: bool) -> Vec<Vec<Cell>> {
    let contest = &entry.contest;
    let band = if operator { Cell::Integer(entry.key.band.into()) } else { Cell::Null };
    let head = |alternative: &str, state: &str, runs: u64, mean: Option<f64>| {
        vec![
            Cell::Text(format!("{:016x}", entry.key.fingerprint)),
            Cell::text(&entry.template),
            Cell::text(&entry.key.login),
            band.clone(),
            Cell::text(alternative),
            Cell::text(state),
            Cell::count(runs),
            Cell::optional(mean, |seconds| Cell::Float(seconds * 1e3)),
        ]
    };
    let (state, why) = of_default(contest);
    let mut first = head("default", state, contest.default.runs, contest.default.mean_seconds());
    first.extend([Cell::Float(1.0), Cell::Null, Cell::Float(0.0), Cell::Float(0.0), Cell::text(why)]);
    let rival = |rival: &Rival| {
        let name = rival.variant().map_or("unknown", Variant::name);
        let state = state_of(contest, rival, name);
        let mut row = head(name, state, rival.arm.runs, rival.arm.mean_seconds());
        let ratio = rival.ratio(&contest.default);
        row.extend([
            Cell::optional(ratio, Cell::Float),
            Cell::optional(rival.upper, |upper| Cell::Float(upper.exp())),
            Cell::Float(rival.spent * 1e3),
            Cell::Float(rival.saved * 1e3),
            Cell::text(&rival.why),
        ]);
        row
    };
    std::iter::once(first).chain(contest.rivals.iter().map(rival)).collect()
}

fn state_of(contest: &Contest, rival: &Rival, name: &str) -> &'static str {
    if contest.fixed.as_deref() == Some(name) {
        return "fixed";
    }
    match rival.state {
        State::Candidate => "candidate",
        State::Trial => "trial",
        State::Pinned => "pinned",
        State::Suspended { .. } => "suspended",
    }
}

fn of_default(contest: &Contest) -> (&'static str, &'static str) {
    match &contest.fixed {
        _ if contest.off => ("in force", "advice is switched off for this template"),
        Some(name) if name == Variant::Default.name() => ("fixed", "a person chose it"),
        Some(_) => ("replaced", "a person chose another plan"),
        None if contest.rivals.iter().any(|rival| rival.state == State::Pinned) => {
            ("control", "runs now and then, to compare")
        }
        None => ("in force", "nothing has been proven better"),
    }
}

/// What most runs get, and why.
pub(super) fn explained(contest: &Contest, variants: &[Variant]) -> (Advice, String) {
    if contest.off {
        return (Advice::NONE, "advice is switched off for this template".to_owned());
    }
    if let Some(fixed) = contest.fixed.as_deref().and_then(Variant::from_name) {
        let variant = if variants.contains(&fixed) { fixed } else { Variant::Default };
        let advice = Advice { variant, stage: Stage::Pinned, limit: None };
        return (advice, "a person chose it".to_owned());
    }
    if let Some(pinned) = contest.pinned(variants) {
        let rival = contest.rivals.iter().find(|rival| rival.variant() == Some(pinned));
        let why = rival.map(|rival| rival.why.clone()).unwrap_or_default();
        return (Advice { variant: pinned, stage: Stage::Pinned, limit: None }, why);
    }
    let (known, tried) = (contest.default.runs, contest.rivals.len());
    (Advice::NONE, format!("nothing has been proven better: {known} runs with it, {tried} other plans looked at"))
}
