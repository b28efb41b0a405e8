//! A Postgres door over a wide table in memory and accounts in SQLite: `serve ROWS`. Prints its port, ends when its
//! standard input does.
#![allow(clippy::print_stdout, reason = "the port is for whoever started it")]

use querygate_bench::{door, gate, rows, wide};
use querygate_query::GateService;
use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let count: i32 = std::env::args().nth(1).map_or(Ok(1_000), |s| s.parse())?;
    let folder = std::env::temp_dir().join(format!("querygate-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (query, wire) = (gate::runtime()?, gate::runtime()?);
    let columns = wide::schema();
    let object = gate::object("b_wide", columns.fields().iter().map(|f| f.name().as_str()));
    let accounts = gate::object("b_accounts", rows::ACCOUNT_COLUMNS.map(|(name, _)| name));
    let stack = gate::stack("b", vec![object, accounts], &[("b_accounts", "name != 'account 3'")]);
    let tables = HashMap::from([
        ("b_wide".to_owned(), rows::memory(count)?),
        ("b_accounts".to_owned(), query.block_on(rows::accounts(&folder.join("accounts.db"), 100_000))?),
    ]);
    let gate = gate::gate(query.handle().clone(), gate::deployment(&stack, tables)?)?;
    let (door, address) = wire.block_on(door::bind(Arc::new(GateService::new(gate))))?;
    let stop = CancellationToken::new();
    let served = wire.spawn(door.serve(stop.clone()));
    println!("{address}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    stop.cancel();
    wire.block_on(served)?;
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
