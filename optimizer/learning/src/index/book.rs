//! The suggestions of all sources: takes what a search found, keeps what was applied, numbers and persists. Knows no search.

use super::measure::Earlier;
use super::search::Outcome;
use super::suggestion::{Change, Gain, Spec, State, Suggestion};
use super::written::{AllWritten, WRITES};
use crate::ran::{AllRan, Ran};
use crate::telemetry::Store;
use querygate_driver_api::advice::IndexAdvice;
use querygate_driver_api::identifier::Identifier;
use querygate_types::{Error, Result};
use std::collections::HashMap;

/// Suggestions that are kept of all sources.
const KEPT_MAX: usize = 500;
/// Kinds of the documents.
pub(super) const SUGGESTIONS: &str = "index_suggestion";
pub(super) const RANS: &str = "index_run";
/// What runs were called whose shapes did not tell of aggregates.
pub(super) const RANS_BEFORE: &str = "index_ran";
pub(super) const LAST: &str = "index_last";

/// Suggestions, and what ran.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) ran: AllRan,
    pub(super) written: AllWritten,
    pub(super) suggestions: Vec<Suggestion>,
    /// The number given last. Kept by itself: no number is given twice, also after its suggestion is gone.
    last: i64,
    /// Suggestions that are no longer there, for the store.
    gone: Vec<i64>,
    changed: bool,
}

impl Book {
    pub(super) fn loaded(&mut self, rans: Vec<(String, Ran)>, suggestions: Vec<(String, Suggestion)>, last: i64) {
        let key = |id: &str| u64::from_str_radix(id, 16).ok();
        self.ran.load(rans.into_iter().filter_map(|(id, ran)| Some((key(&id)?, ran))).collect());
        self.suggestions = suggestions.into_iter().map(|(_, suggestion)| suggestion).collect();
        self.suggestions.sort_by_key(|suggestion| suggestion.id);
        self.last = self.suggestions.iter().map(|suggestion| suggestion.id).max().unwrap_or(0).max(last);
    }

    /// What was measured since.
    pub(super) fn measure(&mut self) {
        let together: Vec<Vec<i64>> = self.suggestions.iter().map(|one| one.measured_with(&self.suggestions)).collect();
        for (suggestion, together) in self.suggestions.iter_mut().zip(&together) {
            let before = (suggestion.state, suggestion.effect);
            suggestion.measure(&self.ran.all, together);
            self.changed |= before != (suggestion.state, suggestion.effect);
        }
    }

    /// A suggestion whose index was made stays, also where a search dropped it meanwhile: making one may take minutes.
    pub(super) fn keep(&mut self, suggestion: &Suggestion) {
        if self.suggestions.iter().all(|one| one.id != suggestion.id) {
            self.gone.retain(|id| *id != suggestion.id);
            self.suggestions.push(suggestion.clone());
        }
    }

    /// Latencies before it is made are set aside, and measured anew after.
    pub(super) fn applied(&mut self, id: i64, seconds: i64) {
        self.changed = true;
        let Some(one) = self.suggestions.iter().find(|suggestion| suggestion.id == id) else { return };
        let earlier = Earlier::of(&one.source, &self.suggestions);
        self.touches(id);
        if let Some(suggestion) = self.suggestions.iter_mut().find(|suggestion| suggestion.id == id) {
            suggestion.apply(&mut self.ran.all, &earlier, seconds);
            let restarted = suggestion.before.iter().chain(&suggestion.controls);
            self.ran.changed.extend(restarted.map(|before| before.fingerprint));
        }
    }

    /// It was dropped: latencies are measured anew.
    pub(super) fn undone(&mut self, id: i64) {
        self.changed = true;
        self.touches(id);
        if let Some(suggestion) = self.suggestions.iter_mut().find(|suggestion| suggestion.id == id) {
            suggestion.undo(&mut self.ran.all);
            self.ran.changed.extend(suggestion.gains.iter().map(|gain| gain.fingerprint));
        }
    }

    /// What this one changes is nothing that the others of its source may be compared with any more.
    fn touches(&mut self, id: i64) {
        let Some(one) = self.suggestions.iter().find(|suggestion| suggestion.id == id) else { return };
        let (source, gains) = (one.source.clone(), one.gains.clone());
        let others = self.suggestions.iter_mut().filter(|other| other.id != id && other.source == source);
        others.for_each(|other| other.without_controls(&gains));
    }

    /// Takes the result of a search: what was only suggested before is replaced, what was applied or undone stays.
    ///
    /// # Errors
    /// Names that cannot be quoted.
    pub(super) fn found(
        &mut self,
        source: &str,
        advice: &dyn IndexAdvice,
        outcome: Outcome,
        seconds: i64,
    ) -> Result<usize> {
        let fresh = self.fresh(source, advice, outcome, seconds)?;
        let mut found = 0;
        let mut kept = Vec::new();
        for old in std::mem::take(&mut self.suggestions) {
            let passing = matches!(old.state, State::Suggested | State::Rejected);
            if old.source != source || !passing || fresh.iter().any(|new| new.is_same(&old)) {
                kept.push(old);
            } else {
                self.gone.push(old.id);
            }
        }
        self.suggestions = kept;
        for mut new in fresh {
            found += usize::from(new.state == State::Suggested);
            let full = self.suggestions.len() >= KEPT_MAX;
            match self.suggestions.iter_mut().find(|old| old.is_same(&new)) {
                Some(old) if matches!(old.state, State::Suggested | State::Rejected) => {
                    (new.id, new.suggested) = (old.id, old.suggested);
                    *old = new;
                }
                // Applied or undone by a person: what is said of it is what was measured.
                Some(_) => {}
                None if full => {}
                None => {
                    self.last += 1;
                    new.id = self.last;
                    self.suggestions.push(new);
                }
            }
        }
        self.changed = true;
        Ok(found)
    }

    fn fresh(&self, source: &str, advice: &dyn IndexAdvice, outcome: Outcome, seconds: i64) -> Result<Vec<Suggestion>> {
        let evidence = &outcome.evidence;
        let base = outcome.confidence;
        let plain = |change: Change, table: &querygate_driver_api::identifier::TableRef| Suggestion {
            id: 0,
            source: source.to_owned(),
            table: table.to_string(),
            change,
            ddl: String::new(),
            state: State::Suggested,
            benefit: 0.0,
            write_cost: 0.0,
            bytes: 0.0,
            confidence: base,
            evidence: evidence.clone(),
            gains: Vec::new(),
            suggested: seconds,
            applied: None,
            before: Vec::new(),
            controls: Vec::new(),
            effect: None,
            measured: String::new(),
        };
        let refused = |refusal: querygate_driver_api::capability::Refusal| Error::internal(refusal.text);
        let mut fresh = Vec::new();
        for found in outcome.found {
            let spec = Spec::of(&found.spec);
            let ddl = advice.ddl(&found.spec, &Identifier::new(spec.name())?).map_err(refused)?;
            let runs: u64 = found.gains.iter().map(|(_, runs, ..)| runs).sum();
            let gains = found.gains.iter().map(|(fingerprint, runs, before, after)| Gain {
                fingerprint: *fingerprint,
                template: self.template(*fingerprint),
                runs: *runs,
                before: *before,
                after: *after,
            });
            fresh.push(Suggestion {
                ddl,
                benefit: found.benefit,
                write_cost: found.write_cost,
                bytes: found.bytes,
                // Few runs are weak evidence of a workload.
                confidence: base * found.trust * (crate::numbers::as_number(runs) / 30.0).clamp(0.3, 1.0),
                evidence: format!("{evidence}{}", found.expected),
                gains: gains.collect(),
                ..plain(Change::Create(spec), &found.spec.table)
            });
        }
        for (spec, bytes, why) in outcome.rejected {
            let kept = Spec::of(&spec);
            let ddl = advice.ddl(&spec, &Identifier::new(kept.name())?).map_err(refused)?;
            let evidence = format!("why not: {why} ({evidence})");
            fresh.push(Suggestion {
                state: State::Rejected,
                ddl,
                bytes,
                evidence,
                ..plain(Change::Create(kept), &spec.table)
            });
        }
        for (table, name, why, bytes) in outcome.needless {
            // A name that cannot be quoted is nothing to advise on.
            let Ok(ddl) = Identifier::new(name.as_str()).and_then(|n| advice.drop_ddl(&table, &n).map_err(refused))
            else {
                continue;
            };
            let evidence = format!("{why}; it is neither unique nor partial, and no constraint rests on it");
            fresh.push(Suggestion { ddl, bytes, evidence, ..plain(Change::Drop(name), &table) });
        }
        Ok(fresh)
    }

    /// A statement that a fragment runs for.
    fn template(&self, fingerprint: u64) -> u64 {
        self.ran.all.get(&fingerprint).and_then(|ran| ran.templates.first().copied()).unwrap_or(0)
    }

    /// Whether suggestions changed since they were written.
    pub(super) fn is_changed(&self) -> bool {
        self.changed || !self.gone.is_empty()
    }

    /// What the store must be told: documents of runs and of suggestions, and ids that are gone.
    pub(super) fn changes(&mut self) -> Changes {
        let bytes = |ran: &Ran| postcard::to_allocvec(ran).ok();
        let changed: Vec<u64> = std::mem::take(&mut self.ran.changed).into_iter().collect();
        let rans = changed.iter().filter_map(|key| Some((id(*key), bytes(self.ran.all.get(key)?)?))).collect();
        let told = std::mem::take(&mut self.changed);
        let suggestions = if told {
            let bytes = |one: &Suggestion| Some((one.id.to_string(), postcard::to_allocvec(one).ok()?));
            self.suggestions.iter().filter_map(bytes).collect()
        } else {
            Vec::new()
        };
        let rans_gone = std::mem::take(&mut self.ran.gone);
        let suggestions_gone = std::mem::take(&mut self.gone);
        let written = self.written.changes();
        Changes { rans, suggestions, changed, rans_gone, told, suggestions_gone, written, last: self.last }
    }

    /// Changes that were not written are changes still.
    pub(super) fn put_back(&mut self, changes: Changes) {
        self.ran.changed.extend(changes.changed);
        // What came back since is not gone.
        let gone = changes.rans_gone.into_iter().filter(|key| !self.ran.all.contains_key(key));
        self.ran.gone.extend(gone);
        self.changed |= changes.told;
        self.gone.extend(changes.suggestions_gone);
        self.written.put_back(changes.written.0, changes.written.1);
    }

    /// What ran, by source.
    pub(super) fn by_source(&self) -> HashMap<String, Vec<(u64, Ran)>> {
        let mut found: HashMap<String, Vec<(u64, Ran)>> = HashMap::new();
        for (fingerprint, ran) in &self.ran.all {
            found.entry(ran.source.clone()).or_default().push((*fingerprint, ran.clone()));
        }
        found
    }
}

fn id(fingerprint: u64) -> String {
    format!("{fingerprint:016x}")
}

/// Documents for the store.
pub(super) struct Changes {
    rans: Vec<(String, Vec<u8>)>,
    suggestions: Vec<(String, Vec<u8>)>,
    changed: Vec<u64>,
    rans_gone: Vec<u64>,
    /// Whether suggestions are among them.
    told: bool,
    suggestions_gone: Vec<i64>,
    /// What was written to tables, and ids that are gone.
    written: (Vec<(String, Vec<u8>)>, Vec<String>),
    last: i64,
}

impl Changes {
    /// # Errors
    /// The file was not written.
    pub(super) async fn write(&self, store: &Store, seconds: i64) -> Result<()> {
        store.remove(RANS, &self.rans_gone.iter().copied().map(id).collect::<Vec<_>>()).await?;
        store.put(RANS, &self.rans, seconds).await?;
        let (written, gone) = &self.written;
        store.remove(WRITES, gone).await?;
        store.put(WRITES, written, seconds).await?;
        if self.told {
            // Before the suggestions: a number that was never used is no harm.
            store.keep(LAST, "all", &self.last, seconds).await?;
        }
        store.remove(SUGGESTIONS, &self.suggestions_gone.iter().map(i64::to_string).collect::<Vec<_>>()).await?;
        store.put(SUGGESTIONS, &self.suggestions, seconds).await
    }
}
