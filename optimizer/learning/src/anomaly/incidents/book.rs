//! The incidents: which begin, join others, end, are muted, acknowledged, sent. Decides about alerts; sends none itself.

use super::incident::{Incident, Sent};
use crate::anomaly::traffic::stream::{
    BULK, DAY_SECONDS, ERRORS, EXTRACTION, NEW_TEMPLATES, drift_of, jump_of, refused,
};
use crate::anomaly::traffic::streams::Happened;
use crate::anomaly::traffic::subject::Subject;
use querygate_models::anomaly::{Change, Finding, Groups, Place, Severity};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};

/// Incidents that are kept; the oldest ended ones go first.
pub(in crate::anomaly) const KEPT_MAX: usize = 2_000;
/// Subjects that may be muted.
const MUTED_MAX: usize = 1_000;
const DAY: i64 = 86_400;
/// Bits of a number that are drawn; those above are its second, 33 of them for two centuries: exact in clients that have only
/// doubles.
const DRAWN: u32 = 20;

/// Everything that was found, newest last.
#[derive(Debug, Default)]
pub(in crate::anomaly) struct Book {
    /// Of this process, keyed with random bytes of the system.
    key: RandomState,
    pub(in crate::anomaly) incidents: BTreeMap<u64, Incident>,
    groups: Groups,
    /// The incident that stands for a group.
    heads: HashMap<u64, u64>,
    /// The open incident of each detector of a subject.
    open: HashMap<(Subject, &'static str), u64>,
    /// Subjects, as `mute` names them, and until when.
    pub(in crate::anomaly) muted: BTreeMap<String, i64>,
    pub(in crate::anomaly) changed: BTreeSet<u64>,
    /// Incidents of which operators are not told, for whom they are about: whether operators were told must not show there.
    pub(in crate::anomaly) kept_quiet: Vec<Incident>,
    pub(in crate::anomaly) gone: Vec<u64>,
}

impl Book {
    /// Takes up what was kept.
    pub(in crate::anomaly) fn load(&mut self, incidents: impl IntoIterator<Item = Incident>) {
        self.incidents.extend(incidents.into_iter().map(|incident| (incident.id, incident)));
    }

    /// What was open in an earlier life and whose detector is still at it goes on, so that nobody is told twice; the rest has
    /// ended. Gives those detectors that are at something of which there is no incident.
    pub(in crate::anomaly) fn take_up(
        &mut self,
        mut open: Vec<(Subject, &'static str)>,
    ) -> Vec<(Subject, &'static str)> {
        for incident in self.incidents.values_mut().filter(|incident| incident.is_open()) {
            let detector = detector(&incident.finding);
            let place = open.iter().position(|(subject, name)| *subject == incident.subject && Some(*name) == detector);
            match place {
                Some(place) => {
                    self.open.insert(open.swap_remove(place), incident.id);
                }
                None => {
                    incident.ended = Some(incident.last);
                    self.changed.insert(incident.id);
                }
            }
        }
        open
    }

    /// Notes what happened at `time`. Gives the incident that somebody is to be told of, if one is: by an alert where it waits for
    /// one, else whoever listens.
    pub(in crate::anomaly) fn note(
        &mut self,
        happened: Happened,
        time: i64,
        receiver: bool,
        budget: u32,
    ) -> Option<Incident> {
        let place = (happened.subject.clone(), happened.event.detector);
        match happened.event.change {
            Change::Closed(span) => {
                let id = self.open.remove(&place)?;
                let incident = self.incidents.get_mut(&id)?;
                (incident.last, incident.ended) = (span.end, Some(span.end));
                incident.peak = incident.peak.max(span.peak);
                self.changed.insert(id);
                None
            }
            Change::Opened { start } => {
                let finding = happened.event.finding?;
                let id = self.number(time);
                let severity = finding.severity();
                let (heads, incidents, login) = (&self.heads, &self.incidents, &happened.login);
                let may_join = |group| {
                    let head = heads.get(&group).and_then(|head| incidents.get(head));
                    head.is_some_and(|head| speaks_for(head, &finding, severity, login.as_deref(), receiver))
                };
                let (group, head) = match self.groups.place(time, &happened.keys, may_join) {
                    Place::New(group) => (group, None),
                    Place::Joins(group) => (group, self.heads.get(&group).copied()),
                };
                let alert = *self.heads.entry(group).or_insert(id);
                let subject = happened.subject;
                let sent = if head.is_some() {
                    Sent::Joined
                } else if self.is_muted(&subject, time) {
                    Sent::Muted
                } else if !receiver {
                    Sent::Nowhere
                } else if severity < Severity::Critical && self.alerts_since(time - DAY) >= budget as usize {
                    Sent::OverBudget
                } else {
                    Sent::Waiting
                };
                let incident = Incident {
                    id,
                    alert,
                    subject,
                    login: happened.login,
                    finding,
                    severity,
                    causes: happened.causes,
                    started: start,
                    last: time,
                    ended: None,
                    peak: happened.event.peak,
                    sent,
                    acknowledged: None,
                };
                self.open.insert(place, id);
                self.incidents.insert(id, incident.clone());
                self.changed.insert(id);
                self.forget();
                if matches!(sent, Sent::Waiting | Sent::Nowhere) {
                    return Some(incident);
                }
                self.kept_quiet.push(incident);
                None
            }
        }
    }

    /// A number for an incident of `time`. They rise with time, and within a second by chance: whoever sees some of them does not
    /// learn how many others there were in between, nor guess one.
    fn number(&self, time: i64) -> u64 {
        let second = u64::try_from(time).unwrap_or(0);
        let latest = self.incidents.keys().next_back().map_or(0, |last| last >> DRAWN);
        let second = second.max(latest).max(1) & (u64::MAX >> DRAWN);
        let drawn = (0_u64..).map(|n| (second << DRAWN) | (self.key.hash_one((second, n)) >> (u64::BITS - DRAWN)));
        // Far fewer are kept than a second has numbers.
        drawn
            .into_iter()
            .find(|id| !self.incidents.contains_key(id) && !self.gone.contains(id))
            .unwrap_or(second << DRAWN)
    }

    fn is_muted(&self, subject: &Subject, time: i64) -> bool {
        self.muted.get(&subject.to_string()).is_some_and(|until| *until > time)
    }

    fn alerts_since(&self, time: i64) -> usize {
        let recent = self.incidents.values().rev().take_while(|incident| incident.started >= time - DAY);
        recent.filter(|i| i.started >= time && matches!(i.sent, Sent::Waiting | Sent::At(_) | Sent::GivenUp)).count()
    }

    fn forget(&mut self) {
        while self.incidents.len() > KEPT_MAX {
            let ended = self.incidents.values().find(|incident| !incident.is_open()).map(|incident| incident.id);
            let Some(id) = ended.or_else(|| self.incidents.keys().next().copied()) else { return };
            self.incidents.remove(&id);
            self.changed.remove(&id);
            self.open.retain(|_, open| *open != id);
            self.heads.retain(|_, head| *head != id);
            self.gone.push(id);
        }
    }

    /// The receiver took the alert, or never will.
    pub(in crate::anomaly) fn sent(&mut self, id: u64, sent: Sent) {
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.sent = sent;
            self.changed.insert(id);
        }
    }

    /// Returns whether there is such an incident.
    pub(in crate::anomaly) fn acknowledge(&mut self, id: u64, who: &str, time: i64) -> bool {
        // The alert stands for its incidents.
        let mut found = false;
        for incident in self.incidents.values_mut().filter(|i| i.id == id || i.alert == id) {
            incident.acknowledged.get_or_insert_with(|| (who.to_owned(), time));
            self.changed.insert(incident.id);
            found = true;
        }
        found
    }

    /// Returns whether there is room for one more.
    pub(in crate::anomaly) fn mute(&mut self, subject: &str, until: i64, time: i64) -> bool {
        self.muted.retain(|_, until| *until > time);
        if self.muted.len() >= MUTED_MAX && !self.muted.contains_key(subject) {
            return false;
        }
        self.muted.insert(subject.to_owned(), until);
        true
    }
}

/// The detector that found it, if it remembers that over a restart.
fn detector(finding: &Finding) -> Option<&'static str> {
    match finding {
        Finding::Jump { metric, .. } => Some(jump_of(*metric)),
        Finding::Drift { metric, .. } => Some(drift_of(*metric)),
        Finding::Errors { .. } => Some(ERRORS),
        Finding::NewTemplates { .. } => Some(NEW_TEMPLATES),
        Finding::Extraction { seconds, .. } if *seconds < DAY_SECONDS => Some(BULK),
        Finding::Extraction { .. } | Finding::Drip { .. } => Some(EXTRACTION),
        Finding::Changes { .. } => Some(BULK),
        Finding::Refusals { refusal, .. } => Some(refused(*refusal)),
        Finding::Quality { .. } | Finding::Schema { .. } | Finding::Series { .. } => None,
    }
}

/// Whether the alert of `head` may stand for another incident: somebody was told, of something no less grave; and what one
/// principal does never stands for what is not its doing, nor is whoever takes data out hidden behind anything else.
fn speaks_for(head: &Incident, finding: &Finding, severity: Severity, login: Option<&str>, receiver: bool) -> bool {
    let told = match head.sent {
        Sent::Waiting | Sent::At(_) => true,
        Sent::Nowhere => !receiver,
        Sent::GivenUp | Sent::Joined | Sent::Muted | Sent::OverBudget => false,
    };
    let anybodys = match finding {
        Finding::Extraction { .. } | Finding::Drip { .. } | Finding::Changes { .. } => false,
        Finding::Jump { .. }
        | Finding::Drift { .. }
        | Finding::Errors { .. }
        | Finding::NewTemplates { .. }
        | Finding::Refusals { .. }
        | Finding::Quality { .. }
        | Finding::Schema { .. }
        | Finding::Series { .. } => true,
    };
    let same = head.login.as_deref() == login;
    told && head.severity >= severity && (same || (anybodys && head.login.is_none()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::traffic::stream::Event;
    use querygate_models::anomaly::{Metric, Span};

    fn happened(who: &str, change: Change, keys: &[u64]) -> Happened {
        let finding = Finding::Jump { subject: who.to_owned(), metric: Metric::Statements, now: 50.0, usual: 9.0 };
        Happened {
            subject: Subject::Principal(who.to_owned()),
            event: Event { detector: "bulk", change, finding: Some(finding), peak: 2.0 },
            keys: keys.to_vec(),
            login: Some(who.to_owned()),
            causes: Vec::new(),
        }
    }

    fn opened(who: &str, keys: &[u64]) -> Happened {
        happened(who, Change::Opened { start: 100 }, keys)
    }

    #[test]
    fn one_alert_for_what_belongs_together() {
        let mut book = Book::default();
        let first = book.note(opened("sam", &[1, 2]), 100, true, 10).unwrap();
        let mut again = opened("sam", &[2, 3]);
        again.event.detector = ERRORS;
        assert_eq!(book.note(again, 200, true, 10), None);
        let other = book.note(opened("kim", &[4]), 300, true, 10).unwrap();
        let alerts: Vec<u64> = book.incidents.values().map(|i| i.alert).collect();
        assert_eq!(alerts, [first.id, first.id, other.id]);
        let span = Span { start: 100, end: 400, peak: 3.0, observations: 2 };
        book.note(happened("sam", Change::Closed(span), &[]), 900, true, 10);
        let closed = &book.incidents[&first.id];
        assert_eq!((closed.ended, closed.peak), (Some(400), 3.0));
        assert!(book.acknowledge(first.id, "root", 950) && !book.acknowledge(99, "root", 950));
        let acknowledged = book.incidents.values().filter(|i| i.acknowledged.is_some()).count();
        assert_eq!(acknowledged, 2, "both incidents of the alert");
    }

    #[test]
    fn nothing_hides_behind_an_alert_that_was_not_sent_or_is_milder_or_somebody_elses() {
        let grave = |mut happened: Happened| {
            happened.event.finding =
                Some(Finding::Jump { subject: "x".to_owned(), metric: Metric::Rows, now: 900.0, usual: 0.0 });
            happened
        };
        let taken = |who: &str| {
            let mut happened = opened(who, &[1]);
            let (who, object) = (who.to_owned(), None);
            happened.event.finding =
                Some(Finding::Extraction { who, object, rows: 9e5, seconds: 60.0, usual_an_hour: 1.0, share: None });
            happened
        };
        let of_source = || {
            let mut happened = opened("crm", &[1]);
            (happened.subject, happened.login) = (Subject::Source("crm".to_owned()), None);
            happened
        };
        for (first, muted, second, joins) in [
            (opened("sam", &[1]), false, opened("ann", &[1]), false),
            (opened("sam", &[1]), false, opened("sam", &[1]), true),
            (of_source(), false, opened("ann", &[1]), true),
            (opened("ann", &[1]), false, of_source(), false),
            (opened("sam", &[1]), true, opened("ann", &[1]), false),
            (opened("sam", &[1]), false, grave(opened("ann", &[1])), false),
            (grave(of_source()), false, opened("ann", &[1]), true),
            (grave(of_source()), false, taken("ann"), false),
            (grave(opened("sam", &[1])), false, taken("ann"), false),
            (taken("sam"), false, taken("ann"), false),
        ] {
            let mut book = Book::default();
            if muted {
                book.mute("principal sam", 500, 0);
            }
            book.note(first.clone(), 100, true, 10);
            let alert = book.note(second.clone(), 200, true, 10);
            assert_eq!(alert.is_none(), joins, "{first:?} {second:?}");
        }
        let mut book = Book::default();
        book.note(taken("sam"), 100, true, 10);
        let mut again = taken("sam");
        again.event.detector = "extraction";
        assert_eq!(book.note(again, 200, true, 10), None, "the same person's second finding");
    }

    #[test]
    fn muted_subjects_and_a_spent_budget_are_recorded_without_an_alert() {
        let mut book = Book::default();
        assert!(book.mute("principal sam", 500, 0));
        assert_eq!(book.note(opened("sam", &[1]), 101, true, 10), None);
        assert!(book.note(opened("ann", &[2]), 102, true, 1).is_some());
        assert_eq!(book.note(opened("kim", &[3]), 103, true, 1), None);
        assert!(book.note(opened("tom", &[4]), 104, false, 1).is_some(), "whoever listens hears of it");
        let sent: Vec<Sent> = book.incidents.values().map(|i| i.sent).collect();
        assert_eq!(sent, [Sent::Muted, Sent::Waiting, Sent::OverBudget, Sent::Nowhere]);
    }

    #[test]
    fn numbers_rise_with_time_and_do_not_tell_how_many_came_before() {
        let now = 1_800_000_000;
        // Of a store that was written when they were counted.
        let mut counted = Book::default();
        let mut old = counted.note(opened("sam", &[1]), now, false, 1).unwrap();
        old.id = 7;
        let (mut one, mut other) = (Book::default(), Book::default());
        one.load([old]);
        let number =
            |book: &mut Book, n: u64, time| book.note(opened(&format!("u{n}"), &[n]), time, false, 1).unwrap().id;
        let ids: Vec<u64> = (0..100).map(|n| number(&mut one, n, now)).collect();
        assert!(ids.iter().all(|id| (8..1 << 53).contains(id)), "{ids:?}");
        let rising = ids.windows(2).filter(|pair| pair[0] < pair[1]).count();
        assert!((25..75).contains(&rising), "{rising} of 99 rise within a second");
        // A clock that goes back makes no number that is older than what is there.
        let later = [number(&mut one, 200, now + 1), number(&mut one, 201, now - 50)];
        assert!(ids.iter().all(|id| later.iter().all(|later| later > id)) && one.acknowledge(7, "root", now));
        assert_ne!(number(&mut other, 0, now), ids[0], "each process draws its own");
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let mut book = Book::default();
        for n in 0..KEPT_MAX as u64 + 50 {
            book.note(opened(&format!("u{n}"), &[n]), 100, false, 1);
        }
        assert_eq!((book.incidents.len(), book.gone.len()), (KEPT_MAX, 50));
    }
}
