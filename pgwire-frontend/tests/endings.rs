//! How statements and sessions end over a real port: cancels, time-outs, clients that leave, a server that stops, users who no longer hold.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests panic"))]

mod common;

use common::client::{Client, bind, error_field, execute, packet, parse, query, script, startup, sync};
use common::fake::{FakeAuth, FakeService, USER};
use common::{config, serve, serve_with};
use querygate_pgwire_frontend::PostgresDoor;
use querygate_query_api::scram::ScramVerifier;
use querygate_query_api::service::Authenticator;
use querygate_query_api::tokens::{Admitted, Candidate, Standing};
use querygate_types::principal::Principal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_cancel_request_needs_the_right_key_and_a_running_statement() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    let cancel = async |process_id: u32, secret: &[u8]| {
        let mut other = Client::raw(door.addr).await;
        let body = [&80_877_102_u32.to_be_bytes()[..], &process_id.to_be_bytes(), secret].concat();
        other.send(&packet(&body)).await;
        assert!(other.until_end().await.is_empty());
    };
    let (process_id, secret) = (client.process_id, client.secret.clone());
    // Nothing runs: the next statement is not hit.
    cancel(process_id, &secret).await;
    assert_eq!(client.talk(&query("select a")).await, "T(value) D(a) C(SELECT 1) Z(I)");
    for sql in ["wait", "stall 1500"] {
        client.send(&query(sql)).await;
        if sql == "wait" {
            while door.service.executed.load(std::sync::atomic::Ordering::SeqCst) < 2 {
                tokio::task::yield_now().await;
            }
        } else {
            assert_eq!(client.read().await.tag, 'T');
            for _ in 0..1500 {
                assert_eq!(client.read().await.tag, 'D');
            }
        }
        let mut wrong = secret.clone();
        wrong[0] ^= 1;
        cancel(process_id, &wrong).await;
        cancel(process_id ^ 1, &secret).await;
        cancel(process_id, &secret).await;
        assert_eq!(script(&client.until_ready().await), "E(57014) Z(I)", "{sql}");
    }
    assert_eq!(client.talk(&query("select a")).await, "T(value) D(a) C(SELECT 1) Z(I)");
    door.stop().await;
}

#[tokio::test]
async fn a_cancel_during_a_blocked_write_ends_between_two_frames() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    client.send(&query("endless")).await;
    assert_eq!(client.read().await.tag, 'T');
    // The client does not read: the server's write blocks once the sockets are full.
    tokio::time::timeout(Duration::from_millis(300), std::future::pending::<()>()).await.unwrap_err();
    let mut other = Client::raw(door.addr).await;
    let body = [&80_877_102_u32.to_be_bytes()[..], &client.process_id.to_be_bytes(), &client.secret].concat();
    other.send(&packet(&body)).await;
    assert!(other.until_end().await.is_empty());
    let mut rows = 0;
    let last = loop {
        let frame = client.read().await;
        if frame.tag != 'D' {
            break frame;
        }
        assert_eq!(common::client::fields(&frame)[0].as_deref(), Some(rows.to_string().as_bytes()));
        rows += 1;
    };
    assert_eq!(script(&[last]), "E(57014)");
    assert_eq!(script(&client.until_ready().await), "Z(I)");
    door.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_after_the_write_timeout() {
    let mut config = config();
    config.write_timeout = Duration::from_millis(200);
    let door = serve_with(config).await;
    let mut client = Client::connect(door.addr).await;
    client.send(&query("endless")).await;
    while door.service.open_sessions() > 0 {
        tokio::task::yield_now().await;
    }
    door.stop().await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_statement() {
    let door = serve().await;
    let mut client = Client::connect(door.addr).await;
    client.send(&query("wait")).await;
    while door.service.executed.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    drop(client);
    while door.service.open_sessions() > 0 {
        tokio::task::yield_now().await;
    }
    door.stop().await;
}

#[tokio::test]
async fn too_many_clients_are_told_so() {
    let mut config = config();
    config.connection_max = 1;
    let door = serve_with(config).await;
    let client = Client::connect(door.addr).await;
    let mut second = Client::raw(door.addr).await;
    second.send(&startup(3 << 16, &[("user", USER)])).await;
    let refused = second.read().await;
    assert_eq!((error_field(&refused, 'C').as_str(), error_field(&refused, 'S').as_str()), ("53300", "FATAL"));
    assert!(second.try_read().await.is_none());
    drop(client);
    while door.service.open_sessions() > 0 {
        tokio::task::yield_now().await;
    }
    // The place is free again a moment after the session has ended.
    loop {
        let mut third = Client::raw(door.addr).await;
        third.send(&startup(3 << 16, &[("user", USER)])).await;
        if third.read().await.tag == 'R' {
            break;
        }
    }
    door.stop().await;
}

#[tokio::test]
async fn shutdown_tells_idle_sessions_and_lets_statements_finish() {
    let mut config = config();
    config.drain_timeout = Duration::from_millis(300);
    let door = serve_with(config).await;
    let mut idle = Client::connect(door.addr).await;
    let mut busy = Client::connect(door.addr).await;
    busy.send(&query("wait")).await;
    while door.service.executed.load(std::sync::atomic::Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    door.shutdown.cancel();
    assert_eq!(script(&idle.until_end().await), "E(57P01)");
    assert_eq!(script(&busy.until_end().await), "E(57P01)");
    door.stop().await;
}

#[tokio::test]
async fn slow_startups_and_idle_transactions_time_out() {
    let mut config = config();
    config.startup_timeout = Duration::from_millis(150);
    let door = serve_with(config).await;
    let mut slow = Client::raw(door.addr).await;
    slow.send(&[0, 0, 0, 60]).await;
    assert!(slow.until_end().await.is_empty());
    let mut idle = Client::connect(door.addr).await;
    assert_eq!(
        idle.talk(&query("set idle_in_transaction_session_timeout = 100ms")).await.split(' ').next(),
        Some("C(SET)")
    );
    assert_eq!(idle.talk(&query("begin")).await, "C(BEGIN) Z(T)");
    assert_eq!(script(&idle.until_end().await), "E(25P03)");
    door.stop().await;
}
/// Lets its user in for as long as it says.
#[derive(Clone)]
struct Leaving(Arc<AtomicBool>);

impl Standing for Leaving {
    fn holds(&self) -> bool {
        !self.0.load(std::sync::atomic::Ordering::SeqCst)
    }
}

impl Authenticator for Leaving {
    fn scram_verifier(&self, user: &str) -> ScramVerifier {
        FakeAuth.scram_verifier(user)
    }
    fn principal(&self, user: &str) -> Option<Arc<Principal>> {
        FakeAuth.principal(user)
    }
    fn candidate(&self, user: &str) -> Candidate {
        let admitted = |principal| Admitted { principal, standing: Arc::new(self.clone()) };
        Candidate { verifier: self.scram_verifier(user), admitted: self.principal(user).map(admitted) }
    }
    fn has_database(&self, database: &str) -> bool {
        FakeAuth.has_database(database)
    }
}

/// The statement is cancelled for the end of its session: whichever is seen first, its client hears of the end only.
#[tokio::test]
async fn who_no_longer_holds_hears_so_of_a_statement_that_runs() {
    let extended = [parse("", "wait", &[]), bind("", "", &[], &[], &[]), execute("", 0), sync()].concat();
    for (asked, before) in [(query("wait"), ""), (query("stall 2"), "T D D "), (extended, "1 2 ")] {
        for _ in 0..5 {
            let (leaving, service) = (Leaving(Arc::default()), Arc::new(FakeService::default()));
            let door = PostgresDoor::bind(config(), Arc::<FakeService>::clone(&service), Arc::new(leaving.clone()));
            let door = door.await.unwrap();
            let (addr, shutdown) = (door.local_addr().unwrap(), CancellationToken::new());
            let task = tokio::spawn(door.serve(shutdown.clone()));
            let mut client = Client::connect(addr).await;
            client.send(&asked).await;
            while service.executed.load(std::sync::atomic::Ordering::SeqCst) < 1 {
                tokio::task::yield_now().await;
            }
            leaving.0.store(true, std::sync::atomic::Ordering::SeqCst);
            let said = script(&client.until_end().await);
            let said = said.replace("D(0|~)", "D").replace("D(1|n1)", "D").replace("T(id,name)", "T");
            assert_eq!(said, format!("{before}E(28000)"));
            shutdown.cancel();
            task.await.unwrap();
            assert_eq!(service.open_sessions(), 0);
        }
    }
}
