//! Writes the TPC-H tables as Parquet files: `cargo run -p querygate-bench --example tpch -- DIR [SCALE]`.

use querygate_bench::tpch;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let dir = arguments.next().ok_or("a folder is needed")?;
    let scale: f64 = arguments.next().map_or(Ok(0.01), |s| s.parse())?;
    std::fs::create_dir_all(&dir)?;
    tpch::write_parquet(Path::new(&dir), scale)?;
    Ok(())
}
