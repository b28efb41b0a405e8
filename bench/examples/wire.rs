//! Clients of a Postgres door: `wire rows|idle|slow ADDRESS USER PASSWORD DATABASE [PID]`. Prints rows of a markdown table.
//!
//! `rows`: rows per second of the wide table. `idle`: memory of idle connections. `slow`: a slow reader of ten times the
//! wide table while ten others work. PID is the server's.
#![allow(clippy::print_stdout, reason = "the table is the result")]

use querygate_bench::process;
use querygate_bench::wire::{Client, Format};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

type Failure = Box<dyn std::error::Error>;

const ALL: &str = "SELECT id, big, name, amount, at FROM wide";
/// The small side comes first: a cross join keeps its left side in memory.
const TEN_TIMES: &str = "SELECT w.id, w.big, w.name, w.amount, w.at \
    FROM (VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9), (10)) v(n) CROSS JOIN wide w";

struct Target {
    address: SocketAddr,
    user: String,
    password: String,
    database: String,
    pid: u32,
}

impl Target {
    fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(self.address, &self.user, &self.password, &self.database)?)
    }

    fn connect_with(&self, buffer: usize) -> Result<Client, Failure> {
        Ok(Client::connect_with(self.address, &self.user, &self.password, &self.database, buffer)?)
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [what, address, user, password, database, rest @ ..] = arguments.as_slice() else {
        return Err("wire rows|idle|slow ADDRESS USER PASSWORD DATABASE [PID]".into());
    };
    let target = Target {
        address: address.parse()?,
        user: user.clone(),
        password: password.clone(),
        database: database.clone(),
        pid: rest.first().map_or(Ok(0), |pid| pid.parse())?,
    };
    match what.as_str() {
        "rows" => rows(&target),
        "idle" => idle(&target),
        "slow" => slow(&target),
        other => Err(format!("{other} is not measured here").into()),
    }
}

/// Best of three, each format.
fn rows(target: &Target) -> Result<(), Failure> {
    let mut client = target.connect()?;
    for (name, format) in [("text", Format::Text), ("binary", Format::Binary)] {
        let (mut best, mut least_cpu) = (None, f64::MAX);
        for _ in 0..3 {
            let cpu = process::cpu_seconds(target.pid);
            let counted = client.count(ALL, format, &mut |_| ())?;
            least_cpu = least_cpu.min(process::cpu_seconds(target.pid) - cpu);
            if best.is_none_or(|b: querygate_bench::wire::Counted| counted.total < b.total) {
                best = Some(counted);
            }
        }
        let best = best.ok_or("nothing was run")?;
        let seconds = best.total.as_secs_f64();
        let rows = f64::from(u32::try_from(best.rows)?);
        println!(
            "| {name} | {} | {:.2} | {:.0} | {:.2} | {:.2} |",
            best.rows,
            seconds,
            rows / seconds,
            best.first_row.as_secs_f64() * 1_000.0,
            least_cpu
        );
    }
    Ok(())
}

/// Connections that authenticated and ran nothing, then the same after one statement each.
fn idle(target: &Target) -> Result<(), Failure> {
    const CONNECTIONS: u64 = 1_000;
    let resident = || process::memory_kib(target.pid, "VmRSS");
    // Pools and caches fill before anything is measured.
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = target.connect_with(1_024)?;
        client.run("SELECT name FROM accounts WHERE id = 7")?;
        clients.push(client);
    }
    let before = resident();
    let from = clients.len();
    for _ in 0..CONNECTIONS {
        clients.push(target.connect_with(1_024)?);
    }
    let idle = resident().saturating_sub(before);
    for client in &mut clients[from..] {
        client.run("SELECT name FROM accounts WHERE id = 7")?;
    }
    let used = resident().saturating_sub(before);
    println!("| {CONNECTIONS} connections | KiB each |\n|---|---|");
    println!("| after authentication | {:.1} |", share(idle, CONNECTIONS));
    println!("| after one statement each | {:.1} |", share(used, CONNECTIONS));
    Ok(())
}

fn share(sum: u64, parts: u64) -> f64 {
    f64::from(u32::try_from(sum).unwrap_or(u32::MAX)) / f64::from(u32::try_from(parts).unwrap_or(u32::MAX))
}

/// A reader that pauses every 20,000 rows, and ten that look up accounts meanwhile.
fn slow(target: &Target) -> Result<(), Failure> {
    let resident = || process::memory_kib(target.pid, "VmRSS");
    let mut reader = target.connect_with(64 * 1_024)?;
    reader.run("SELECT count(*) FROM wide")?;
    let before = resident();
    let (stop, most, lookups) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let counted = std::thread::scope(|scope| {
        for worker in 0..10 {
            let (stop, lookups) = (&stop, &lookups);
            let connected = target.connect().ok();
            scope.spawn(move || {
                let Some(mut client) = connected else { return };
                let mut id = worker * 1_000 + 10;
                while !stop.load(Ordering::Relaxed) {
                    id = (id * 7 + 11) % 100_000;
                    if client.run(&format!("SELECT name FROM accounts WHERE id = {id}")).is_err() {
                        return;
                    }
                    lookups.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let sampled = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                most.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let counted = reader.count(TEN_TIMES, Format::Text, &mut |rows| {
            if rows % 20_000 == 0 {
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        stop.store(true, Ordering::Relaxed);
        let _ = sampled.join();
        counted
    })?;
    let more = most.load(Ordering::Relaxed).saturating_sub(before);
    println!(
        "| rows read slowly | seconds | first row ms | server memory before MiB | most more MiB | look-ups of ten others per s |"
    );
    println!("|---|---|---|---|---|---|");
    println!(
        "| {} | {:.1} | {:.1} | {} | {:.1} | {:.0} |",
        counted.rows,
        counted.total.as_secs_f64(),
        counted.first_row.as_secs_f64() * 1_000.0,
        before / 1_024,
        share(more, 1_024),
        share(lookups.load(Ordering::Relaxed), 1) / counted.total.as_secs_f64()
    );
    Ok(())
}
