//! Commits, failures at each step, and what the next start makes of what was left.

mod fake;

use super::*;
use fake::{Fails, Fake};
use querygate_driver_api::write::{Begin, Fate};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tempfile::TempDir;

const GATE: GateId = GateId::new(7);

struct World {
    folder: TempDir,
    sources: Vec<(Arc<str>, Arc<Fake>)>,
}

impl World {
    fn new(kinds: &[Prepare]) -> Self {
        let source = |(at, kind): (usize, &Prepare)| (Arc::from(format!("s{at}")), Fake::new(*kind));
        Self { folder: TempDir::new().unwrap(), sources: kinds.iter().enumerate().map(source).collect() }
    }

    /// A start of the gate, once its log is there.
    async fn start(&self) -> Arc<Coordinator> {
        let coordinator = self.starting().await;
        eventually("the log is there", || coordinator.log.get().is_some()).await;
        coordinator
    }

    async fn starting(&self) -> Arc<Coordinator> {
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            // The one before lets the folder go when its tasks have ended.
            match Coordinator::open(self.folder.path(), GATE, Handle::current()) {
                Ok(coordinator) => {
                    let drivers = self.sources.iter().map(|(name, fake)| {
                        let driver: Arc<dyn Driver> = Arc::<Fake>::clone(fake);
                        (Arc::clone(name), driver)
                    });
                    coordinator.serve(drivers);
                    return coordinator;
                }
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn commit(&self, coordinator: &Arc<Coordinator>) -> (u64, Result<()>) {
        let (number, committed, _) = self.commit_counting(coordinator).await;
        (number, committed)
    }

    /// Commits a part of each source. How many of them have done then what is to be done after their commit.
    async fn commit_counting(&self, coordinator: &Arc<Coordinator>) -> (u64, Result<()>, usize) {
        let (number, done) = (coordinator.number(), Arc::new(AtomicUsize::new(0)));
        let mut parts = Vec::new();
        for ((source, fake), branch) in self.sources.iter().zip(0_u16..) {
            let begin = Begin::default().within(coordinator.id(number, branch));
            let driver: Arc<dyn Driver> = Arc::<Fake>::clone(fake);
            let mut transaction = driver.writer().unwrap().begin(begin, &ExecuteContext::default()).await.unwrap();
            let own = Arc::clone(&done);
            transaction.when_committed(0, move || _ = own.fetch_add(1, Ordering::Relaxed)).unwrap();
            parts.push(Part { source: Arc::clone(source), driver, branch, transaction });
        }
        let committed = coordinator.commit(number, parts).await;
        (number, committed, done.load(Ordering::Relaxed))
    }

    fn stored(&self, number: u64) -> Vec<bool> {
        self.sources.iter().map(|(_, fake)| fake.store().stored.contains(&number)).collect()
    }

    fn prepared(&self) -> usize {
        self.sources.iter().map(|(_, fake)| fake.store().prepared.len()).sum()
    }

    fn fake(&self, at: usize) -> &Fake {
        &self.sources[at].1
    }

    async fn admit(&self, coordinator: &Coordinator) -> Result<()> {
        let drivers: Vec<(Arc<str>, Arc<dyn Driver>)> = self
            .sources
            .iter()
            .map(|(name, fake)| (Arc::clone(name), Arc::<Fake>::clone(fake) as Arc<dyn Driver>))
            .collect();
        let given: Vec<_> = drivers.iter().map(|(name, driver)| (name, driver)).collect();
        coordinator.admit(&given).await
    }
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while !is_so() {
        assert!(Instant::now() < deadline, "not so: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn code(result: &Result<()>) -> Option<ErrorCode> {
    result.as_ref().err().map(Error::code)
}

const TWO: [Prepare; 2] = [Prepare::Prepared, Prepare::Prepared];
const LAST: [Prepare; 3] = [Prepare::Prepared, Prepare::Marker, Prepare::Prepared];

#[tokio::test]
async fn a_commit_is_of_all_parts_and_leaves_nothing() {
    for kinds in [&TWO[..], &LAST[..]] {
        let world = World::new(kinds);
        let gate = world.start().await;
        let (first, committed) = world.commit(&gate).await;
        assert_eq!((code(&committed), world.stored(first)), (None, vec![true; kinds.len()]));
        assert_eq!((world.prepared(), gate.unsettled().len()), (0, 0));
        eventually("no marker is left", || world.sources.iter().all(|(_, fake)| fake.store().markers.is_empty())).await;
        drop(gate);
        let again = world.start().await;
        assert_eq!(again.unsettled(), []);
        assert!(again.number() > first);
    }
}

#[tokio::test]
async fn a_failure_before_the_decision_undoes_all_parts() {
    let cases = [
        (&TWO[..], 1, Fails::Prepare, ErrorCode::UniqueViolation),
        (&TWO[..], 0, Fails::PrepareLost, ErrorCode::SourceLost),
        (&LAST[..], 2, Fails::Prepare, ErrorCode::UniqueViolation),
        (&LAST[..], 1, Fails::Marker, ErrorCode::SourceUnavailable),
        (&LAST[..], 1, Fails::CommitLostBefore, ErrorCode::SerializationFailure),
    ];
    for (kinds, at, fails, expected) in cases {
        let world = World::new(kinds);
        let gate = world.start().await;
        world.fake(at).fails(fails);
        let (number, refused) = world.commit(&gate).await;
        assert_eq!(code(&refused), Some(expected), "{fails:?}");
        eventually("nothing is prepared", || world.prepared() == 0 && gate.unsettled().is_empty()).await;
        assert_eq!(world.stored(number), vec![false; kinds.len()], "{fails:?}");
    }
}

#[tokio::test]
async fn what_comes_after_a_commit_is_done_where_its_lost_answer_is_found_out() {
    for (kinds, fails, done) in [
        (&LAST[..], None, 3),
        (&LAST[..], Some(Fails::CommitLostAfter), 3),
        (&LAST[..], Some(Fails::CommitLostBefore), 0),
    ] {
        let world = World::new(kinds);
        let gate = world.start().await;
        fails.into_iter().for_each(|fails| world.fake(1).fails(fails));
        let (_, committed, counted) = world.commit_counting(&gate).await;
        assert_eq!((committed.is_ok(), counted), (done > 0, done), "{fails:?}");
    }
}

#[tokio::test]
async fn after_the_decision_a_source_that_is_away_does_it_later() {
    for (kinds, away, restarts) in
        [(&TWO[..], 1, false), (&TWO[..], 0, true), (&LAST[..], 2, false), (&LAST[..], 0, true)]
    {
        let world = World::new(kinds);
        let gate = world.start().await;
        world.fake(away).fails(Fails::CommitLostBefore);
        world.fake(away).fails(Fails::Away);
        let (number, committed) = world.commit(&gate).await;
        assert_eq!(code(&committed), None);
        eventually("it says why", || gate.unsettled().iter().any(|one| one.error.is_some())).await;
        let open = gate.unsettled();
        assert_eq!(
            (open.len(), open[0].state, open[0].participants.as_slice()),
            (1, "committing", &[format!("s{away}")][..])
        );
        assert_eq!(world.stored(number).iter().filter(|stored| **stored).count(), kinds.len() - 1);
        let gate = if restarts {
            drop(gate);
            world.starting().await
        } else {
            gate
        };
        world.fake(away).works();
        eventually("all have done it", || gate.unsettled().is_empty()).await;
        assert_eq!((world.stored(number), world.prepared()), (vec![true; kinds.len()], 0));
    }
}

#[tokio::test]
async fn the_last_party_knows_the_outcome() {
    let world = World::new(&LAST);
    let gate = world.start().await;
    world.fake(1).fails(Fails::CommitLostAfter);
    let (number, committed) = world.commit(&gate).await;
    assert_eq!((code(&committed), world.stored(number)), (None, vec![true; 3]));
    for (lost, expected) in [(Fails::CommitLostAfter, true), (Fails::CommitLostBefore, false)] {
        for restarts in [false, true] {
            let world = World::new(&LAST);
            let gate = world.start().await;
            world.fake(1).fails(lost);
            world.fake(1).fails(Fails::Away);
            let (number, told) = world.commit(&gate).await;
            assert_eq!(code(&told), Some(ErrorCode::TransactionOutcomeUnknown));
            assert_eq!((world.prepared(), gate.unsettled()[0].state), (2, "asking"));
            let gate = if restarts {
                drop(gate);
                world.starting().await
            } else {
                gate
            };
            world.fake(1).works();
            eventually("all have done it", || gate.unsettled().is_empty()).await;
            assert_eq!((world.stored(number), world.prepared()), (vec![expected; 3], 0), "{lost:?} {restarts}");
        }
    }
}

#[tokio::test]
async fn what_was_never_decided_is_rolled_back_at_the_next_start() {
    let world = World::new(&TWO);
    let gate = world.start().await;
    let number = gate.number();
    let own = gate.id(number, 1);
    let foreign = GlobalId::new(GateId::new(8), number, 1);
    drop(gate);
    world.fake(1).store().prepared.extend([own, foreign]);
    world.fake(1).fails(Fails::Away);
    let gate = world.start().await;
    // New ones need not wait for it.
    assert_eq!(code(&world.admit(&gate).await), None);
    world.fake(1).works();
    eventually("it is rolled back", || world.prepared() == 1).await;
    assert!(world.fake(1).store().prepared.contains(&foreign));
    assert_eq!(world.stored(number), [false, false]);
}

#[tokio::test]
async fn without_its_log_nothing_is_rolled_back() {
    for (word, stored) in [(Fate::Committed, true), (Fate::RolledBack, false)] {
        let world = World::new(&TWO);
        let id = GlobalId::new(GATE, 42, 0);
        world.fake(0).store().prepared.insert(id);
        let gate = world.starting().await;
        eventually("it is found", || gate.unsettled().len() == 1).await;
        let found = gate.unsettled().remove(0);
        assert_eq!((found.gid.as_str(), found.state), ("qg-0000000000000007-42", "without a log"));
        assert_eq!(code(&world.admit(&gate).await), Some(ErrorCode::ObjectNotInPrerequisiteState));
        assert_eq!(code(&world.commit(&gate).await.1), Some(ErrorCode::ObjectNotInPrerequisiteState));
        assert_eq!(world.prepared(), 1);
        let missing = gate.resolve("qg-0000000000000007-43", word).await.unwrap_err();
        assert_eq!(missing.code(), ErrorCode::UndefinedObject);
        gate.resolve(&found.gid, word).await.unwrap();
        assert_eq!((world.stored(42), world.prepared()), (vec![stored, false], 0));
        eventually("it begins", || gate.log.get().is_some()).await;
        assert_eq!(code(&world.admit(&gate).await), None);
    }
}

#[tokio::test]
async fn who_may_take_part() {
    use Prepare::{Marker, No, Prepared};
    let cases: [(&[Prepare], bool); 5] = [
        (&[Prepared, Prepared, Marker], true),
        (&[Marker, Prepared], true),
        (&[Marker, Marker], false),
        (&[Prepared, No], false),
        (&[No, Prepared], false),
    ];
    for (kinds, admitted) in cases {
        let world = World::new(kinds);
        let gate = world.start().await;
        let expected = (!admitted).then_some(ErrorCode::FeatureNotSupported);
        assert_eq!(code(&world.admit(&gate).await), expected, "{kinds:?}");
    }
    let world = World::new(&TWO);
    let gate = world.start().await;
    world.fake(1).fails(Fails::Hindered);
    assert_eq!(code(&world.admit(&gate).await), Some(ErrorCode::FeatureNotSupported));
}

#[tokio::test]
async fn an_operator_decides_where_the_last_party_stays_away() {
    let world = World::new(&LAST);
    let gate = world.start().await;
    world.fake(1).fails(Fails::CommitLostAfter);
    world.fake(1).fails(Fails::Away);
    let (number, _) = world.commit(&gate).await;
    let gid = gate.unsettled().remove(0).gid;
    gate.resolve(&gid, Fate::Committed).await.unwrap();
    eventually("it is settled", || gate.unsettled().is_empty()).await;
    assert_eq!((world.stored(number), world.prepared()), (vec![true; 3], 0));
    // What is decided is not decided otherwise, and a source that never answers is given up.
    world.fake(1).works();
    world.fake(2).fails(Fails::CommitLostBefore);
    world.fake(2).fails(Fails::Away);
    let (number, committed) = world.commit(&gate).await;
    assert_eq!(code(&committed), None);
    let gid = gate.unsettled().remove(0).gid;
    let refused = gate.resolve(&gid, Fate::RolledBack).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ObjectNotInPrerequisiteState);
    let mut told = gate.resolve(&gid, Fate::Committed).await;
    while told.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
        told = gate.resolve(&gid, Fate::Committed).await;
    }
    assert_eq!((told.unwrap().as_str(), gate.unsettled().len()), ("given up: s2", 0));
    assert_eq!(world.stored(number), [true, true, false]);
}
