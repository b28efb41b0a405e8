//! Who gets a connection when, with sources of no kind.

use super::*;
use arrow::array::{ArrayRef, Int32Array};
use arrow::record_batch::RecordBatch;
use futures::FutureExt;
use querygate_driver_api::pool::{BreakerState, PoolMeter};

const AT_ONCE: ShareBounds = ShareBounds { per_user: 0.75, per_session: 0.5, rest_max: Some(Duration::from_nanos(1)) };

fn source() -> Arc<str> {
    "crm".into()
}

fn batches(count: i32) -> BatchStream {
    let batch = |n: i32| {
        let column: ArrayRef = Arc::new(Int32Array::from(vec![n]));
        RecordBatch::try_from_iter([("n", column)]).map_err(Error::internal)
    };
    futures::stream::iter((0..count).map(batch).collect::<Vec<_>>()).boxed()
}

fn held(shares: &SourceShares, holder: &Arc<Holder>, batches: BatchStream) -> Held {
    let lease = shares.take(&source(), 8, holder, false).unwrap_or_else(|_| panic!("no room"));
    lease.run().batches = Some(batches);
    Held { source: source(), lease, ended: false }
}

#[test]
fn a_session_and_a_user_have_a_share_each() {
    let shares = SourceShares::new(AT_ONCE);
    let take = |login, session| shares.take(&source(), 8, &Holder::new(&shares, login, session), false).is_ok();
    assert_eq!(
        [take("sam", 1), take("sam", 1), take("sam", 1), take("sam", 1), take("sam", 1)].map(u8::from),
        [1, 1, 1, 1, 0]
    );
    assert_eq!([take("sam", 2), take("sam", 2), take("sam", 2), take("sam", 3)].map(u8::from), [1, 1, 0, 0]);
    assert!(take("ada", 4) && take("ada", 4), "another user has a share of its own");
    let one = Holder::new(&shares, "iris", 5);
    assert!(shares.take(&"single".into(), 1, &one, false).is_ok(), "there is a share of one connection too");
}

#[tokio::test]
async fn what_ends_or_is_dropped_counts_no_more() {
    let shares = SourceShares::new(AT_ONCE);
    let holder = Holder::new(&shares, "sam", 1);
    let mut runs: Vec<Held> = (0..4).map(|_| held(&shares, &holder, batches(1))).collect();
    assert!(shares.take(&source(), 8, &holder, false).is_err());
    assert!(runs[0].next().await.unwrap().is_ok());
    assert!(shares.take(&source(), 8, &holder, false).is_err(), "it has not ended");
    assert!(runs[0].next().await.is_none());
    let _next = held(&shares, &holder, batches(1));
    runs.clear();
    assert_eq!(shares.held()[&source()].len(), 1);
}

#[tokio::test]
async fn results_that_rest_have_the_next_one_refused_and_are_given_to_others() {
    let shares = SourceShares::new(AT_ONCE);
    let (reads, rests) = (Holder::new(&shares, "sam", 1), Holder::new(&shares, "sam", 1));
    let mut read = held(&shares, &reads, batches(2));
    let mut resting: Vec<Held> = (0..3).map(|_| held(&shares, &rests, batches(2))).collect();
    let next = Holder::new(&shares, "sam", 1);
    let rest = rests.rest();
    assert!(next.turn(&source(), 8).now_or_never().is_none(), "one of them is read");
    let reader = reads.rest();
    let refused = next.turn(&source(), 8).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::TooManyConnections);
    drop(reader);
    shares.relieve(Some(&source()));
    assert_eq!(shares.held()[&source()].len(), 3);
    drop(rest);
    shares.relieve(Some(&source()));
    assert_eq!(shares.held()[&source()].len(), 3, "none of them rests");
    let mut lost = 0;
    for held in &mut resting {
        if let Err(error) = held.next().await.unwrap() {
            assert_eq!(error.code(), ErrorCode::TooManyConnections);
            assert!(held.next().await.is_none());
            lost += 1;
        }
    }
    assert_eq!(lost, 1);
    assert!(read.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn who_waits_for_any_place_gets_that_of_a_result_which_rests_at_another_source() {
    let shares = SourceShares::new(AT_ONCE);
    let holder = Holder::new(&shares, "sam", 1);
    let mut rested = held(&shares, &holder, batches(2));
    let _rest = holder.rest();
    let other: Arc<str> = "erp".into();
    let pool = |in_use: usize| PoolMeter::default().status(8, 8 - in_use, 0, BreakerState::Closed);
    shares.make_room(&other, &pool(1).among_all(true));
    assert_eq!(shares.held().len(), 1, "its connection is not one of those");
    rested.lease.run().counts = true;
    shares.make_room(&other, &pool(1));
    shares.make_room(&other, &pool(1).among_all(false));
    shares.make_room(&other, &pool(8).among_all(false));
    assert_eq!(shares.held().len(), 1, "nobody waits for a place");
    // One who waits for a place is counted as one who has a connection of its own source.
    shares.make_room(&other, &pool(8).among_all(true));
    assert!(shares.held().is_empty());
    assert_eq!(rested.next().await.unwrap().unwrap_err().code(), ErrorCode::TooManyConnections);
}

#[tokio::test]
async fn a_part_that_waits_for_its_source_hears_that_it_was_taken_back() {
    let shares = SourceShares::new(AT_ONCE);
    let holder = Holder::new(&shares, "sam", 1);
    let mut silent = held(&shares, &holder, futures::stream::pending().boxed());
    let reading = tokio::spawn(async move { silent.next().await });
    tokio::task::yield_now().await;
    let _rest = holder.rest();
    shares.relieve(Some(&source()));
    assert!(reading.await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn a_statement_does_not_wait_for_itself_for_ever() {
    let shares = SourceShares::new(AT_ONCE);
    let holder = Holder::new(&shares, "sam", 1);
    let mut own: Vec<Held> = (0..4).map(|_| held(&shares, &holder, batches(1))).collect();
    assert!(holder.turn(&source(), 8).await.is_ok());
    own.clear();
    // At once, where it reads none of what it has.
    let shares = SourceShares::new(AT_ONCE);
    let holder = Holder::new(&shares, "sam", 1);
    let unread = || Run::begun(batches(1), false);
    own = (0..4).map(|_| held(&shares, &holder, batches(1))).collect();
    own.iter().for_each(|held| *held.lease.run() = unread());
    tokio::time::sleep(UNREAD).await;
    assert!(shares.take(&source(), 8, &holder, false).is_err_and(|full| full.unread));
    let began = Instant::now();
    let beyond = holder.turn(&source(), 8).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(began.elapsed() < OWN_WAIT);
    shares.give_back(&source(), &beyond);
    // Not where it waits for one of them, or where another statement of its session has one.
    own[0].lease.run().unread = None;
    assert!(shares.take(&source(), 8, &holder, false).is_err_and(|full| full.own && !full.unread));
    own.truncate(2);
    let other = Holder::new(&shares, "sam", 1);
    let others: Vec<Held> = (0..2).map(|_| held(&shares, &other, batches(1))).collect();
    others.iter().for_each(|held| *held.lease.run() = unread());
    own.iter().for_each(|held| *held.lease.run() = unread());
    tokio::time::sleep(UNREAD).await;
    assert!(shares.take(&source(), 8, &holder, false).is_err_and(|full| full.own && !full.unread));
}
