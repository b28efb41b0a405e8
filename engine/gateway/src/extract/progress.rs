//! What a person sees while an extraction runs: one line that is drawn anew. Decides nothing.

use crate::output::Output;
use querygate_flight::RemoteResult;
use std::fmt::Write as _;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often the line is drawn.
const REDRAW: Duration = Duration::from_millis(200);
/// Width of the bar, in characters.
const BAR: usize = 24;

/// What streams count.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) rows: AtomicU64,
    /// Streams that ended well, now or in an earlier run.
    pub(super) streams: AtomicU64,
}

/// One extraction as it is shown.
#[derive(Debug)]
pub(super) struct Progress {
    /// Rows there will be, where the gate told.
    total: Option<u64>,
    streams: usize,
    began: Instant,
    shown: bool,
    drawn: bool,
    ticks: tokio::time::Interval,
}

impl Progress {
    pub(super) fn begin(result: &RemoteResult, shown: bool) -> Self {
        let mut ticks = tokio::time::interval(REDRAW);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        Self { total: result.rows, streams: result.tickets.len(), began: Instant::now(), shown, drawn: false, ticks }
    }

    /// When to draw next; never, if nobody looks.
    pub(super) async fn tick(&mut self) {
        if self.shown {
            self.ticks.tick().await;
        } else {
            std::future::pending::<()>().await;
        }
    }

    pub(super) fn show(&mut self, counts: &Counts, bytes: u64, output: &mut Output) -> io::Result<()> {
        self.drawn = true;
        let (rows, ended) = (counts.rows.load(Ordering::Relaxed), counts.streams.load(Ordering::Relaxed));
        let line = line(rows, self.total, bytes, self.began.elapsed(), (ended, self.streams));
        // Carriage return and "erase to the end of the line".
        output.prompt(&format!("\r{line}\u{1b}[K"))
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self, output: &mut Output) -> io::Result<()> {
        if std::mem::take(&mut self.drawn) { output.prompt("\r\u{1b}[K") } else { Ok(()) }
    }

    /// What was done, in one line.
    pub(super) fn summary(&self, counts: &Counts, bytes: u64) -> String {
        let elapsed = self.began.elapsed();
        let streams = if self.streams == 1 { "1 stream".to_owned() } else { format!("{} streams", self.streams) };
        format!(
            "{} rows over {streams}, {} received in {:.1} s, {}",
            grouped(counts.rows.load(Ordering::Relaxed)),
            megabytes(bytes),
            elapsed.as_secs_f64(),
            rate(bytes, elapsed)
        )
    }
}

fn line(rows: u64, total: Option<u64>, bytes: u64, elapsed: Duration, (ended, streams): (u64, usize)) -> String {
    let mut line = String::new();
    if let Some(total) = total.filter(|total| *total > 0) {
        // Rows may be more than was told: a source that grows.
        let share = |of: u64| u128::from(rows.min(total)) * u128::from(of) / u128::from(total);
        let full = usize::try_from(share(BAR as u64)).unwrap_or(BAR);
        let bar = format!("{}{}", "#".repeat(full), ".".repeat(BAR.saturating_sub(full)));
        // Writing to a text never fails.
        let _ = write!(line, "[{bar}] {:3}%  ", share(100));
    }
    let _ = write!(line, "{} rows  {}  {}", grouped(rows), megabytes(bytes), rate(bytes, elapsed));
    if streams > 1 {
        let _ = write!(line, "  {ended} of {streams} streams done");
    }
    line
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn rate(bytes: u64, elapsed: Duration) -> String {
    format!("{:.1} MB/s", bytes as f64 / 1e6 / elapsed.as_secs_f64().max(1e-3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is() {
        let second = Duration::from_secs(1);
        assert_eq!(
            line(5_000_000, Some(10_000_000), 123_400_000, second, (1, 4)),
            "[############............]  50%  5,000,000 rows  123.4 MB  123.4 MB/s  1 of 4 streams done"
        );
        assert_eq!(line(7, None, 1_000, second, (0, 1)), "7 rows  0.0 MB  0.0 MB/s");
        assert!(line(9, Some(3), 0, second, (0, 1)).starts_with(&format!("[{}] 100%", "#".repeat(BAR))));
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
