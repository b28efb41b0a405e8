//! Statements that a session runs again and again, each of them run by one source as a whole. Their fragments are timed now and then
//! only: looks at the clock, and what is kept between them, are most of what learning costs a look-up. Rows, bytes and the statement's
//! own times are counted in each run all the same.

use querygate_telemetry_api::fragment::{FragmentRecord, FragmentTemplate};
use std::sync::Arc;

/// Statements that are remembered: as many as a session adds up.
const STATEMENTS_MAX: usize = 8;
/// Runs that are not timed between two that are.
const UNTIMED: u32 = 31;

/// What runs of a fragment have in common.
#[derive(Debug, Clone)]
pub(super) struct KnownFragment {
    /// Of the sums of its statement.
    pub(super) number: u64,
    pub(super) template: Arc<FragmentTemplate>,
    pub(super) estimated_rows: Option<u64>,
}

/// A statement that is added up.
#[derive(Debug, Clone)]
struct UntimedStatement {
    fingerprint: u64,
    /// Those of its bound statement, which has a fragment of its own: after another version of the metadata these are others.
    objects: Arc<[String]>,
    fragment: KnownFragment,
    /// Runs until the next that is timed.
    left: u32,
}

/// Those of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct UntimedStatements(Vec<UntimedStatement>);

impl UntimedStatements {
    /// Begins a run: the statement's place, if this run is not timed.
    pub(super) fn begin(&mut self, fingerprint: u64, objects: &Arc<[String]>) -> Option<usize> {
        let is_of = |one: &UntimedStatement| one.fingerprint == fingerprint && Arc::ptr_eq(&one.objects, objects);
        let place = self.0.iter().position(is_of)?;
        let left = &mut self.0.get_mut(place)?.left;
        *left = left.checked_sub(1)?;
        Some(place)
    }

    /// The fragment of the statement at a place.
    pub(super) fn fragment(&self, place: usize) -> Option<&KnownFragment> {
        self.0.get(place).map(|one| &one.fragment)
    }

    /// The sums of the statement at a place are others now.
    pub(super) fn add_to(&mut self, place: usize, number: u64) {
        if let Some(one) = self.0.get_mut(place) {
            one.fragment.number = number;
        }
    }

    /// Keeps a statement whose fragment was timed just now: the next runs need not be. `number`: of its sums.
    pub(super) fn keep(&mut self, (fingerprint, number): (u64, u64), objects: &Arc<[String]>, timed: &FragmentRecord) {
        let (template, estimated_rows) = (Arc::clone(&timed.template), timed.estimated_rows);
        let fragment = KnownFragment { number, template, estimated_rows };
        let kept = UntimedStatement { fingerprint, objects: Arc::clone(objects), fragment, left: UNTIMED };
        match self.0.iter_mut().find(|one| one.fingerprint == fingerprint) {
            Some(one) => *one = kept,
            None => {
                if self.0.len() >= STATEMENTS_MAX {
                    self.0.remove(0);
                }
                self.0.push(kept);
            }
        }
    }

    /// The next run of the statement at a place is timed.
    pub(super) fn time_next(&mut self, place: usize) {
        if let Some(one) = self.0.get_mut(place) {
            one.left = 0;
        }
    }

    /// Each run is timed from now on.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_telemetry_api::fragment::FragmentShape;
    use std::time::{Duration, UNIX_EPOCH};

    fn objects() -> Arc<[String]> {
        Arc::new(["t".to_owned()])
    }

    fn timed(text: &str) -> FragmentRecord {
        let template = FragmentTemplate {
            source: "crm".into(),
            kind: "sqlite",
            objects: objects(),
            text: text.into(),
            fingerprint: 1,
            passing: Vec::new(),
            shape: FragmentShape::default(),
        };
        FragmentRecord {
            template: Arc::new(template),
            began: UNIX_EPOCH,
            estimated_rows: Some(3),
            rows: 1,
            bytes: 10,
            acquire: Duration::ZERO,
            first_row: None,
            total: Duration::from_micros(9),
            complete: true,
            narrowed: false,
            nulls: Vec::new(),
            columns: Box::default(),
            reads: None,
            error: None,
        }
    }

    /// How many of the next runs are not timed, up to the first that is.
    fn untimed(statements: &mut UntimedStatements, fingerprint: u64, objects: &Arc<[String]>) -> usize {
        (0..100).take_while(|_| statements.begin(fingerprint, objects).is_some()).count()
    }

    #[test]
    fn one_run_of_thirty_two_is_timed_and_the_next_where_it_must_be() {
        let (mut statements, objects) = (UntimedStatements::default(), objects());
        assert_eq!(untimed(&mut statements, 7, &objects), 0, "nothing is known of it");
        for _ in 0..3 {
            statements.keep((7, 1), &objects, &timed("SELECT 1"));
            assert_eq!(untimed(&mut statements, 7, &objects), 31);
            assert_eq!(untimed(&mut statements, 7, &objects), 0, "it stays due");
        }
        statements.keep((7, 1), &objects, &timed("SELECT 1"));
        let place = statements.begin(7, &objects).unwrap();
        let known = statements.fragment(place).unwrap();
        assert_eq!((&*known.template.text, known.estimated_rows, known.number), ("SELECT 1", Some(3), 1));
        statements.add_to(place, 4);
        assert_eq!(statements.fragment(place).map(|known| known.number), Some(4));
        statements.time_next(place);
        assert_eq!(untimed(&mut statements, 7, &objects), 0);
        statements.keep((7, 1), &objects, &timed("SELECT 1"));
        statements.clear();
        assert_eq!(untimed(&mut statements, 7, &objects), 0);
    }

    #[test]
    fn a_statement_that_was_bound_anew_is_timed_and_known_by_its_own_fragment() {
        let (mut statements, before, since) = (UntimedStatements::default(), objects(), objects());
        statements.keep((7, 1), &before, &timed("SELECT 1"));
        assert_eq!((statements.begin(7, &since), statements.begin(8, &before)), (None, None));
        statements.keep((7, 2), &since, &timed("SELECT 2"));
        assert_eq!(statements.begin(7, &before), None);
        let place = statements.begin(7, &since).unwrap();
        assert_eq!(statements.fragment(place).map(|known| &*known.template.text), Some("SELECT 2"));
    }

    #[test]
    fn the_latest_statements_are_remembered() {
        let (mut statements, objects) = (UntimedStatements::default(), objects());
        (0..20).for_each(|fingerprint| statements.keep((fingerprint, 1), &objects, &timed("SELECT 1")));
        let known: Vec<u64> =
            (0..20).filter(|fingerprint| statements.begin(*fingerprint, &objects).is_some()).collect();
        assert_eq!(known, [12, 13, 14, 15, 16, 17, 18, 19]);
    }
}
