//! Layout suggestions as they are kept and shown, and what became of those that somebody followed. Knows no search and no file.

use super::search::{Found, Outcome};
use super::simulate::Plan;
use crate::numbers::{as_number, percent};
use crate::ran::Ran;
use querygate_driver_api::layout::{FileLayout, Rewrite};
use querygate_telemetry_api::system::Cell;
use querygate_types::{Error, ErrorCode, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// Kind of the documents.
pub(super) const KIND: &str = "layout_plan";
/// Documents of suggestions that nobody could apply; the next search finds them again.
pub(crate) const KIND_BEFORE: &str = "layout_suggestion";
/// Suggestions that are kept.
const KEPT_MAX: usize = 500;
/// Their numbers begin here: those of indexes are counted from one.
const NUMBERS: u64 = 1_000_000_000;
/// Runs after files were written anew that are enough to say what it did.
const MEASURED_LEAST: u64 = 10;
/// Share of the bytes that it must have saved to have helped.
const HELPED_LEAST: f64 = 0.05;
/// How far an estimate from a sample can be believed.
const SAMPLED: f64 = 0.6;
const MIB: f64 = 1_048_576.0;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum State {
    Suggested,
    Rejected,
    /// The files were written anew, and there is nothing left to suggest.
    Followed,
    Helped,
    DidNotHelp,
    /// The files are as they were before.
    Undone,
}

impl State {
    const fn name(self) -> &'static str {
        match self {
            Self::Suggested => "suggested",
            Self::Rejected => "rejected",
            Self::Followed => "applied",
            Self::Helped => "helped",
            Self::DidNotHelp => "did not help",
            Self::Undone => "undone",
        }
    }

    const fn is_followed(self) -> bool {
        match self {
            Self::Followed | Self::Helped | Self::DidNotHelp => true,
            Self::Suggested | Self::Rejected | Self::Undone => false,
        }
    }
}

/// What a fragment read in all its runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Sum {
    runs: u64,
    bytes: u64,
    groups: u64,
}

impl Sum {
    fn of(ran: &Ran) -> Self {
        Self { runs: ran.reads.runs, bytes: ran.reads.files.bytes, groups: ran.reads.files.groups }
    }

    fn since(self, before: Self) -> Self {
        Self {
            runs: self.runs.saturating_sub(before.runs),
            bytes: self.bytes.saturating_sub(before.bytes),
            groups: self.groups.saturating_sub(before.groups),
        }
    }

    fn each(self) -> (f64, f64) {
        let runs = as_number(self.runs.max(1));
        (as_number(self.bytes) / runs, as_number(self.groups) / runs)
    }
}

/// A suggestion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Suggestion {
    id: i64,
    source: String,
    table: String,
    ddl: String,
    plan: Planned,
    state: State,
    benefit: f64,
    write_cost: f64,
    bytes: f64,
    confidence: f64,
    evidence: String,
    gains: String,
    suggested: i64,
    followed: Option<i64>,
    /// The files that it was made for.
    version: u64,
    /// Fragments, with what they had read when it was made, and when it was seen to be followed.
    watched: Vec<(u64, Sum, Option<Sum>)>,
    effect: Option<f64>,
    measured: String,
}

/// How rows are to lie, by the names that the files give their columns.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Planned {
    partition: Vec<String>,
    sort: Vec<String>,
    group_rows: u64,
    bloom: Vec<String>,
}

/// A suggestion that somebody wants to apply or undo.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) source: String,
    pub(super) table: String,
    state: State,
    plan: Planned,
}

impl Chosen {
    /// What is to be written.
    ///
    /// # Errors
    /// It is written already, or not suggested.
    pub(super) fn wanted(&self) -> Result<Rewrite> {
        let refused = |message: &str| Error::new(ErrorCode::ObjectNotInPrerequisiteState, message.to_owned());
        match self.state {
            State::Suggested | State::Undone => {}
            State::Rejected => return Err(refused("the layout is not suggested; its evidence says why")),
            State::Followed | State::Helped | State::DidNotHelp => {
                return Err(refused("the suggestion is applied already"));
            }
        }
        let Planned { partition, sort, group_rows, bloom } = self.plan.clone();
        let group_rows = usize::try_from(group_rows).map_err(Error::internal)?;
        Ok(Rewrite { partition, sort, group_rows, bloom })
    }
}

/// What a search looked at.
pub(super) struct Taken<'a> {
    pub(super) source: &'a str,
    pub(super) table: &'a str,
    pub(super) study: &'a FileLayout,
    pub(super) rans: &'a [&'a (u64, Ran)],
    pub(super) seconds: i64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Book {
    all: Vec<Suggestion>,
    changed: bool,
    gone: Vec<String>,
}

impl Book {
    pub(super) fn loaded(&mut self, kept: Vec<(String, Suggested)>) {
        self.all = kept.into_iter().map(|(_, one)| one.0).collect();
        self.all.sort_by_key(|one| one.id);
    }

    pub(super) fn has(&self, id: i64) -> bool {
        self.all.iter().any(|one| one.id == id)
    }

    pub(super) fn chosen(&self, id: i64) -> Option<Chosen> {
        let one = self.all.iter().find(|one| one.id == id)?;
        let (source, table, plan) = (one.source.clone(), one.table.clone(), one.plan.clone());
        Some(Chosen { source, table, state: one.state, plan })
    }

    /// Its files were written through the gate.
    pub(super) fn applied(&mut self, id: i64, rans: &HashMap<u64, Ran>, seconds: i64) {
        self.changed = true;
        if let Some(one) = self.all.iter_mut().find(|one| one.id == id) {
            one.follow(one.version, seconds, |fingerprint| rans.get(&fingerprint));
        }
    }

    /// Its files were put back.
    pub(super) fn undone(&mut self, id: i64) {
        self.changed = true;
        if let Some(one) = self.all.iter_mut().find(|one| one.id == id) {
            (one.state, one.followed) = (State::Undone, None);
        }
    }

    /// Takes the result of a search for one table. Returns whether there is a layout to rewrite to.
    pub(super) fn found(&mut self, taken: &Taken<'_>, outcome: Outcome) -> usize {
        let fresh: Vec<Suggestion> = taken.suggestions(outcome);
        let count = fresh.iter().filter(|one| one.state == State::Suggested).count();
        let mut kept = Vec::new();
        for mut old in std::mem::take(&mut self.all) {
            let here = old.source == taken.source && old.table == taken.table;
            let same = fresh.iter().any(|new| new.id == old.id);
            if here && old.state == State::Suggested && count == 0 && old.version != taken.study.version {
                let ran = |fingerprint: u64| taken.rans.iter().find(|(known, _)| *known == fingerprint);
                old.follow(taken.study.version, taken.seconds, |fingerprint| ran(fingerprint).map(|(_, ran)| ran));
                kept.push(old);
            } else if !here || (old.state.is_followed() && !same) {
                kept.push(old);
            } else if !same {
                self.gone.push(old.id.to_string());
            }
        }
        self.all = kept;
        self.all.extend(fresh);
        if let Some(more) = self.all.len().checked_sub(KEPT_MAX).filter(|more| *more > 0) {
            self.gone.extend(self.all.drain(..more).map(|one| one.id.to_string()));
        }
        self.all.sort_by_key(|one| one.id);
        self.changed = true;
        count
    }

    /// Compares what was read since files were written anew with what was read before.
    pub(super) fn measure(&mut self, rans: &HashMap<u64, Ran>) {
        for one in self.all.iter_mut().filter(|one| one.state.is_followed()) {
            let before = (one.state, one.effect);
            one.measure(rans);
            self.changed |= before != (one.state, one.effect);
        }
    }

    /// Documents to write, and ids of those that are gone.
    pub(super) fn changes(&mut self) -> (Vec<(String, Vec<u8>)>, Vec<String>) {
        let gone = std::mem::take(&mut self.gone);
        if !std::mem::take(&mut self.changed) {
            return (Vec::new(), gone);
        }
        let document = |one: &Suggestion| Some((one.id.to_string(), postcard::to_allocvec(one).ok()?));
        (self.all.iter().filter_map(document).collect(), gone)
    }

    /// Changes that were not written are changes still.
    pub(super) fn put_back(&mut self, gone: Vec<String>) {
        self.changed = true;
        self.gone.extend(gone);
    }

    pub(super) fn rows(&self) -> Vec<Vec<Cell>> {
        self.all.iter().map(row).collect()
    }
}

/// A suggestion as the store keeps it.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Suggested(Suggestion);

impl Suggestion {
    fn follow<'a>(&mut self, version: u64, seconds: i64, ran: impl Fn(u64) -> Option<&'a Ran>) {
        (self.state, self.followed, self.version) = (State::Followed, Some(seconds), version);
        for (fingerprint, _, since) in &mut self.watched {
            *since = ran(*fingerprint).map(Sum::of);
        }
        self.measured = "not enough runs yet".to_owned();
    }

    fn measure(&mut self, rans: &HashMap<u64, Ran>) {
        let (mut then, mut now, mut text) = (0.0, 0.0, String::new());
        for (fingerprint, before, since) in &self.watched {
            let (Some(since), Some(ran)) = (since, rans.get(fingerprint)) else { continue };
            let after = Sum::of(ran).since(*since);
            if after.runs < MEASURED_LEAST || before.runs == 0 {
                continue;
            }
            let ((bytes, groups), (bytes_now, groups_now)) = (before.each(), after.each());
            then += as_number(before.runs) * bytes;
            now += as_number(before.runs) * bytes_now;
            let _ = write!(
                text,
                "{}{:016x}: {groups:.1} row groups and {:.2} MiB in each of {} runs before, {groups_now:.1} and \
                 {:.2} MiB in {} since",
                if text.is_empty() { "" } else { "; " },
                ran.statement(*fingerprint),
                bytes / MIB,
                before.runs,
                bytes_now / MIB,
                after.runs,
            );
        }
        if then <= 0.0 {
            return;
        }
        let effect = 1.0 - now / then;
        self.effect = Some(effect);
        self.state = if effect >= HELPED_LEAST { State::Helped } else { State::DidNotHelp };
        (self.confidence, self.measured) = (1.0, text);
    }
}

impl Taken<'_> {
    fn suggestions(&self, outcome: Outcome) -> Vec<Suggestion> {
        let mut all: Vec<Suggestion> = outcome.found.iter().map(|found| self.suggested(found)).collect();
        for (plan, why) in outcome.rejected {
            let ddl = self.describe(&plan);
            let evidence = format!("why not: {why} ({})", self.looked_at());
            let one = self.plain(State::Rejected, ddl);
            all.push(Suggestion { evidence, ..one });
        }
        all
    }

    fn looked_at(&self) -> String {
        let study = self.study;
        format!(
            "footers of {} files with {} row groups, and a sample of {} rows",
            study.files,
            study.groups.len(),
            study.sample.len()
        )
    }

    fn plain(&self, state: State, ddl: String) -> Suggestion {
        let told = if state == State::Rejected { ddl.as_str() } else { "" };
        Suggestion {
            id: id([self.source, self.table, told]),
            source: self.source.to_owned(),
            table: self.table.to_owned(),
            state,
            benefit: 0.0,
            write_cost: 0.0,
            bytes: 0.0,
            confidence: SAMPLED,
            evidence: String::new(),
            gains: String::new(),
            suggested: self.seconds,
            followed: None,
            version: self.study.version,
            watched: Vec::new(),
            effect: None,
            measured: String::new(),
            plan: Planned::default(),
            ddl,
        }
    }

    fn suggested(&self, found: &Found) -> Suggestion {
        let ran = |fingerprint: u64| self.rans.iter().find(|(known, _)| *known == fingerprint).map(|(_, ran)| ran);
        let groups = (self.study.rows / found.plan.group_rows.max(1.0)).ceil();
        let mut gains = String::new();
        let (mut runs, mut said, mut measured) = (0.0, 0.0, 0.0);
        for gain in &found.gains {
            let (before, after) = (gain.before, gain.after);
            let change = percent(after.cost / before.cost.max(f64::MIN_POSITIVE) - 1.0);
            let _ = write!(
                gains,
                "{}{:016x} ({:.0} runs): {:.1} of {} row groups and {:.2} MiB to {:.1} of {groups:.0} and {:.2} MiB, {change}",
                if gains.is_empty() { "" } else { "; " },
                ran(gain.fingerprint).map_or(gain.fingerprint, |ran| ran.statement(gain.fingerprint)),
                gain.runs,
                before.groups,
                self.study.groups.len(),
                before.bytes / MIB,
                after.groups,
                after.bytes / MIB,
            );
            runs += gain.runs;
            said += gain.runs * before.groups;
            measured += gain.runs * ran(gain.fingerprint).map_or(0.0, |ran| Sum::of(ran).each().1);
        }
        // Where the same arithmetic is wrong about what is there, it may be wrong about what is not.
        let close = said.max(1.0) / measured.max(1.0);
        let trust = if (0.66..=1.5).contains(&close) { SAMPLED } else { SAMPLED / 2.0 };
        let evidence = format!(
            "{}; values are not kept, so conditions are costed for values that sampled rows have; for all runs {said:.0} row \
             groups are expected to be read now, {measured:.0} were; writing the files anew reads and writes {:.1} MiB once, and \
             compression is taken to stay as it is",
            self.looked_at(),
            self.study.bytes / MIB,
        );
        let watched =
            found.gains.iter().filter_map(|gain| Some((gain.fingerprint, Sum::of(ran(gain.fingerprint)?), None)));
        Suggestion {
            benefit: found.benefit,
            write_cost: 2.0 * self.study.bytes / found.before.max(f64::MIN_POSITIVE),
            bytes: self.study.bytes + found.filters,
            confidence: trust * (runs / 30.0).clamp(0.3, 1.0),
            evidence,
            gains,
            watched: watched.collect(),
            plan: self.planned(&found.plan),
            ..self.plain(State::Suggested, self.describe(&found.plan))
        }
    }

    fn planned(&self, plan: &Plan) -> Planned {
        let name = |at: &usize| self.study.columns.get(*at).map(|column| column.file_name.clone());
        let names = |columns: &[usize]| columns.iter().filter_map(name).collect();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive count; `as` saturates")]
        let group_rows = plan.group_rows.max(1.0) as u64;
        Planned { partition: names(&plan.partition), sort: names(&plan.sort), group_rows, bloom: names(&plan.bloom) }
    }

    /// The layout in words that a writer can follow, by the names that the files give their columns.
    fn describe(&self, plan: &Plan) -> String {
        let name = |column: &usize| self.study.columns.get(*column).map_or("", |column| column.file_name.as_str());
        let list = |columns: &[usize]| columns.iter().map(|column| format!("\"{}\"", name(column))).collect::<Vec<_>>();
        let mut text = format!("rewrite {}", self.study.pattern);
        if !plan.partition.is_empty() {
            let _ = write!(text, " partition by ({})", list(&plan.partition).join(", "));
        }
        if !plan.sort.is_empty() {
            let _ = write!(text, " order by ({})", list(&plan.sort).join(", "));
        }
        let _ = write!(text, " row groups of {:.0} rows", plan.group_rows);
        if !plan.bloom.is_empty() {
            let _ = write!(text, " bloom filters ({})", list(&plan.bloom).join(", "));
        }
        text
    }
}

fn id(parts: [&str; 3]) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in parts.iter().flat_map(|part| part.bytes().chain([0])) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    i64::try_from(NUMBERS + (hash >> 8) % NUMBERS).unwrap_or(i64::MAX)
}

/// A row of `querygate.index_suggestions`.
fn row(one: &Suggestion) -> Vec<Cell> {
    let time = |seconds: i64| UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).min(1 << 40));
    #[expect(clippy::cast_possible_truncation, reason = "an estimate of bytes; `as` saturates")]
    let bytes = one.bytes.round() as i64;
    vec![
        Cell::Integer(one.id),
        Cell::text(&one.source),
        Cell::text(&one.table),
        Cell::text("rewrite"),
        Cell::text(&one.ddl),
        Cell::text(one.state.name()),
        Cell::Float(one.benefit),
        Cell::text(&one.gains),
        Cell::Integer(bytes),
        Cell::Float(one.write_cost),
        Cell::Float(one.confidence),
        Cell::text(&one.evidence),
        Cell::optional(one.effect, Cell::Float),
        Cell::text(&one.measured),
        Cell::Time(time(one.suggested)),
        Cell::optional(one.followed, |seconds| Cell::Time(time(seconds))),
    ]
}
