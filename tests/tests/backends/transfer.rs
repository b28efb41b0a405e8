//! `querygate demo --backends --writes`: a transfer between PostgreSQL and MariaDB through a gate that is killed in the middle of its
//! COMMIT. Afterwards it is whole or not at all, and nothing is left prepared.

use querygate_tests::server::{Printed, Server, find_after, psql, runtime};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// What there is of a product, wherever it is.
const TOGETHER: i64 = 110;

/// The servers, and where their gate is configured.
struct Demo {
    server: Server,
    folder: PathBuf,
}

impl Demo {
    fn new() -> Self {
        let server = Server::start(&["demo", "--backends", "--writes"]);
        let _ = server.wait_for("SELECT * FROM querygate.transactions;", 0);
        let config = PathBuf::from(find_after(&server.lines(), "querygate serve -c "));
        Self { server, folder: config.parent().unwrap().to_owned() }
    }

    fn gate(&self) -> Server {
        Server::serve(&self.folder.join("querygate.toml"))
    }

    /// Asks PostgreSQL itself, as the account that reads.
    fn ask(&self, sql: &str) -> String {
        let config = std::fs::read_to_string(self.folder.join("querygate.toml")).unwrap();
        let shop = config.split("kind = \"postgres\"").nth(1).unwrap();
        let port = shop.lines().find_map(|line| line.strip_prefix("port = ")).unwrap();
        let password = std::fs::read_to_string(self.folder.join("shop.password")).unwrap();
        let to = format!("host=127.0.0.1 port={port} user=gate dbname=shop");
        let asked =
            Command::new("psql").args(["-X", "-At", &to, "-c", sql]).env("PGPASSWORD", password).output().unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        String::from_utf8(asked.stdout).unwrap().trim().to_owned()
    }

    /// Lets MariaDB stand still, or go on.
    fn signal_mariadb(&self, signal: &str) {
        let id = std::fs::read_to_string(self.folder.join("warehouse/pid")).unwrap();
        assert!(Command::new("kill").args([signal, id.trim()]).status().unwrap().success());
    }
}

fn ada(gate: &Server, sql: &str) -> Printed {
    psql(gate, "ada", &["-At", "-c", sql])
}

/// Pieces of the product in the warehouse and in the shop, as the gate reads them.
fn stock(gate: &Server) -> (i64, i64) {
    let sql = "SELECT w.pieces, s.pieces FROM warehouse_stock w JOIN shop_stock s ON s.product_id = w.product_id WHERE w.product_id = 'P001'";
    let printed = ada(gate, sql);
    let (warehouse, shop) = printed.out.trim().split_once('|').unwrap_or_else(|| panic!("{}", printed.both()));
    (warehouse.parse().unwrap(), shop.parse().unwrap())
}

fn transfer(pieces: i64) -> String {
    format!(
        "BEGIN; UPDATE warehouse_stock SET pieces = pieces - {pieces} WHERE product_id = 'P001'; \
         UPDATE shop_stock SET pieces = pieces + {pieces} WHERE product_id = 'P001'"
    )
}

/// Until the gate has settled what the one before left.
fn until_settled(demo: &Demo, gate: &Server) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let open = ada(gate, "SELECT count(*) FROM querygate.transactions").out;
        let prepared = demo.ask("SELECT count(*) FROM pg_prepared_xacts");
        // At the start transactions of several sources are not taken before all of them have said what they keep prepared.
        if open.trim() == "0" && prepared == "0" && ada(gate, &format!("{}; ROLLBACK", transfer(1))).success {
            return;
        }
        assert!(Instant::now() < end, "{} are open, {prepared} are prepared", open.trim());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Sends the COMMIT of a transfer when `before` is done, and kills the gate when `during` is. Whether the client was told COMMIT.
fn killed_at(gate: Server, pieces: i64, before: impl FnOnce(), during: impl FnOnce()) -> bool {
    let client = runtime().block_on(async {
        let client = gate.client("ada").await;
        client.batch_execute(&transfer(pieces)).await.unwrap();
        client
    });
    before();
    let commit = runtime().spawn(async move { client.batch_execute("COMMIT").await });
    during();
    gate.signal("KILL");
    drop(gate);
    runtime().block_on(commit).unwrap().is_ok()
}

#[test]
fn a_transfer_between_two_servers_is_whole_or_not_at_all_when_its_gate_is_killed() {
    if !super::installed() {
        return;
    }
    let demo = Demo::new();
    let gate = demo.gate();
    until_settled(&demo, &gate);
    assert_eq!(stock(&gate), (100, 10));
    let moved = ada(&gate, &format!("{}; COMMIT", transfer(5)));
    assert!(moved.out.ends_with("COMMIT\n"), "{}", moved.both());
    assert_eq!(stock(&gate), (95, 15));
    // What one of the two refuses is in neither.
    let refused = ada(&gate, &format!("{}; COMMIT", transfer(1_000)));
    assert!(!refused.success, "{}", refused.both());
    assert_eq!(stock(&gate), (95, 15));

    // In the middle: PostgreSQL has prepared its part, and MariaDB, which stands still, has not.
    let stands = || demo.signal_mariadb("-STOP");
    let told = killed_at(gate, 7, stands, || {
        let end = Instant::now() + Duration::from_secs(20);
        while demo.ask("SELECT count(*) FROM pg_prepared_xacts") != "1" {
            assert!(Instant::now() < end, "PostgreSQL prepares nothing");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    demo.signal_mariadb("-CONT");
    let mut gate = demo.gate();
    until_settled(&demo, &gate);
    // Nothing was decided: what was prepared is undone.
    assert!(!told);
    assert_eq!(stock(&gate), (95, 15));

    // And at moments of their own.
    let mut kept = 0;
    for round in 0..6 {
        let before = stock(&gate);
        let told = killed_at(gate, 1, || (), || std::thread::sleep(Duration::from_millis(round * 2)));
        gate = demo.gate();
        until_settled(&demo, &gate);
        let after = stock(&gate);
        assert_eq!(after.0 + after.1, TOGETHER, "{before:?} {after:?}");
        let is_stored = after == (before.0 - 1, before.1 + 1);
        assert!(is_stored || after == before, "{before:?} {after:?}");
        assert!(is_stored || !told, "a transfer that was told is stored");
        kept += u32::from(is_stored);
    }
    println!("{kept} of 6 transfers were decided before the kill");
    drop(gate);
    let Demo { mut server, folder } = demo;
    assert_eq!(server.stop(), 0, "{}", server.lines().join("\n"));
    assert!(!Path::new(&folder).exists());
}
