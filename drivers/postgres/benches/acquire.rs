//! How long a statement waits for a connection that is there: alone, and with others who give theirs back. The time is the
//! pool's own, taken where it leases, so that the server's work is not in it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench stops at the first failure")]

#[path = "../tests/common/mod.rs"]
mod common;

use criterion::{Criterion, criterion_group, criterion_main};
use futures::future::join_all;
use querygate_driver_api::driver::Driver;
use querygate_driver_api::pool::PoolStatus;
use querygate_postgres::PostgresDriver;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Statements at once when the pool (of four) is shared.
const TOGETHER: usize = 4;

fn leases(driver: &PostgresDriver) -> PoolStatus {
    driver.pool().expect("it has a pool")
}

/// Mean wait per lease of some rounds, times the rounds.
fn waited(runtime: &Runtime, driver: &PostgresDriver, rounds: u64, together: usize) -> Duration {
    let before = leases(driver);
    for _ in 0..rounds {
        let all = join_all((0..together).map(|_| driver.health()));
        assert!(runtime.block_on(all).into_iter().all(|answer| answer.is_ok()));
    }
    let after = leases(driver);
    let (waited, leased) = (after.lease_time - before.lease_time, after.leased - before.leased);
    assert_eq!(after.opened, before.opened, "a connection was opened: that is not warm");
    waited.mul_f64(f64::from(u32::try_from(rounds).unwrap()) / f64::from(u32::try_from(leased).unwrap()))
}

fn acquire(criterion: &mut Criterion) {
    let Some(server) = common::Server::start() else { return };
    let runtime = Runtime::new().unwrap();
    let driver = server.driver("postgres");
    // All connections are open before anything is measured.
    runtime.block_on(join_all((0..TOGETHER).map(|_| driver.health())));
    criterion.bench_function("postgres/acquire_warm", |b| b.iter_custom(|rounds| waited(&runtime, &driver, rounds, 1)));
    criterion.bench_function("postgres/acquire_warm_4_at_once", |b| {
        b.iter_custom(|rounds| waited(&runtime, &driver, rounds, TOGETHER));
    });
}

criterion_group!(benches, acquire);
criterion_main!(benches);
