//! Many who are logged in and idle, many who ask, and what one more user feels meanwhile: look-ups, logins and health, while metadata are
//! loaded anew and strangers flood the door. `QUERYGATE_CROWD`: how many there are of each hundred (100 idle, 10 active), 3 if it is not
//! set.

use crate::world::flood;
use querygate_tests::server::{Request, Server, Variant, runtime};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

/// Between two questions of an active client.
const PAUSE: Duration = Duration::from_secs(1);
/// How long one who is not among them may wait, on a machine that other tests keep busy.
const AT_MOST: Duration = Duration::from_secs(10);

/// What one more user feels of something: look-ups, and the longest login and health check.
struct UserDelays {
    look_ups: Vec<Duration>,
    login: Duration,
    health: Duration,
}

impl UserDelays {
    fn row(&mut self, of: &str, resident: u64) -> String {
        self.look_ups.sort();
        let at = |share: usize| self.look_ups[(self.look_ups.len() - 1) * share / 100].as_secs_f64() * 1e3;
        format!(
            "| {of} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {} |",
            at(50),
            at(99),
            at(100),
            self.login.as_secs_f64() * 1e3,
            self.health.as_secs_f64() * 1e3,
            resident >> 20
        )
    }
}

async fn look_up(client: &Client, key: usize) {
    let sql = format!("SELECT name FROM accounts WHERE id = 'acc_{key:05}'");
    client.simple_query(&sql).await.expect("a look-up is answered");
}

/// What another user feels until `over`, for a second at least.
async fn felt(server: &Server, over: &AtomicBool) -> UserDelays {
    let (mut felt, began) =
        (UserDelays { look_ups: Vec::new(), login: Duration::ZERO, health: Duration::ZERO }, Instant::now());
    let client = server.client("iris").await;
    while !over.load(Ordering::Relaxed) || began.elapsed() < Duration::from_secs(1) {
        for key in 1..=10 {
            let began = Instant::now();
            look_up(&client, key).await;
            felt.look_ups.push(began.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let began = Instant::now();
        drop(server.client("iris").await);
        felt.login = felt.login.max(began.elapsed());
        let (http, began) = (server.http, Instant::now());
        let answer = tokio::task::spawn_blocking(move || Request::new("GET", "/healthz").send(http).status);
        assert_eq!(answer.await.unwrap(), 200);
        felt.health = felt.health.max(began.elapsed());
    }
    felt
}

/// Does something while another user is asked what is felt.
async fn during(server: &Arc<Server>, name: &str, work: impl FnOnce() + Send + 'static) {
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let work = tokio::task::spawn_blocking(move || {
        work();
        ends.store(true, Ordering::Relaxed);
    });
    let mut felt = felt(server, &over).await;
    work.await.unwrap();
    println!("{}", felt.row(name, server.resident_bytes()));
    let longest = felt.look_ups.last().copied().unwrap_or_default().max(felt.login).max(felt.health);
    assert!(longest < AT_MOST, "{name}: {longest:?}");
}

#[test]
fn a_crowd_keeps_no_one_waiting() {
    let size: usize = std::env::var("QUERYGATE_CROWD").map_or(3, |size| size.parse().unwrap());
    let (idle, active) = (size * 100, size * 10);
    let mine = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &mine, "--nofile=16384:"]).status().unwrap();
    assert!(raised.success(), "this test needs 16,384 open files");
    let places = "[server]\nconnection_max = 12000\nconnections_per_user_max = 12000\n";
    let variant = Variant::new(|config| config.replacen("[server]\n", places, 1));
    let server = Arc::new(variant.serve());
    println!(
        "| while | look-ups: median ms | p99 | longest | longest login | longest health | resident MB |\n|---|---|---|---|---|---|---|"
    );
    runtime().block_on(async {
        during(&server, "nothing else happens", || {}).await;
        let mut held = Vec::new();
        while held.len() < idle {
            let some = (0..20.min(idle - held.len())).map(|_| server.client("sam"));
            held.extend(futures::future::join_all(some).await);
        }
        during(&server, &format!("{idle} are idle"), || std::thread::sleep(Duration::from_secs(3))).await;
        let (asked, over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let asks = held.drain(..active).enumerate().map(|(number, client)| {
            let (asked, over) = (Arc::clone(&asked), Arc::clone(&over));
            tokio::spawn(async move {
                tokio::time::sleep(PAUSE * u32::try_from(number).unwrap() / u32::try_from(active).unwrap()).await;
                while !over.load(Ordering::Relaxed) {
                    look_up(&client, number % 200 + 1).await;
                    asked.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(PAUSE).await;
                }
            })
        });
        let asks: Vec<_> = asks.collect();
        during(&server, &format!("{active} of them ask once a second"), || std::thread::sleep(Duration::from_secs(5)))
            .await;
        let own = Arc::clone(&server);
        during(&server, "metadata are loaded anew, five times", move || {
            for _ in 0..5 {
                own.signal("HUP");
                std::thread::sleep(Duration::from_millis(500));
            }
        })
        .await;
        let address = server.postgres;
        during(&server, "2,000 strangers say half a word", move || {
            let mut held = Vec::new();
            flood(address, 2_000, &[0, 0, 0, 40, 0, 3], &mut held);
            std::thread::sleep(Duration::from_secs(2));
        })
        .await;
        over.store(true, Ordering::Relaxed);
        for ask in asks {
            ask.await.unwrap();
        }
        assert!(asked.load(Ordering::Relaxed) >= active, "they were answered");
        drop(held);
        during(&server, "they have left", || std::thread::sleep(Duration::from_secs(3))).await;
    });
    assert!(server.is_alive());
}
