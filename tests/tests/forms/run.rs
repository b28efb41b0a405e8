//! Asks both servers every case, several sessions at the same time.

use crate::case::{Ask, Case};
use crate::client::Flight;
use crate::oracle::{Oracle, open};
use crate::through_flight;
use crate::verdict::{Verdict, judge};
use crate::wire::{Answer, Cell, Encoder, Format, Session};
use querygate_tests::server::{Server, runtime};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Sessions that ask at the same time.
const SESSIONS: usize = 3;
/// From when on a statement of so few rows is told.
const SLOW: Duration = Duration::from_secs(5);

/// What came of a case.
pub(crate) struct Outcome<'a> {
    pub(crate) case: &'a Case,
    pub(crate) postgres: Answer,
    pub(crate) gate: Answer,
    pub(crate) verdict: Verdict,
}

/// The answers to all cases, in their order.
pub(crate) fn run<'a>(cases: &'a [Case], oracle: &Oracle, gate: &Server) -> Vec<Outcome<'a>> {
    let next = AtomicUsize::new(0);
    let mut outcomes: Vec<(usize, Outcome<'a>)> = thread::scope(|scope| {
        let sessions: Vec<_> = (0..SESSIONS).map(|_| scope.spawn(|| work(cases, &next, oracle, gate))).collect();
        sessions.into_iter().flat_map(|session| session.join().unwrap()).collect()
    });
    outcomes.sort_by_key(|(at, _)| *at);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn work<'a>(cases: &'a [Case], next: &AtomicUsize, oracle: &Oracle, gate: &Server) -> Vec<(usize, Outcome<'a>)> {
    let flight = runtime().block_on(Flight::login(gate, "ada"));
    let (mut postgres, mut gate) = (oracle.session(), open(gate.postgres));
    let mut encoder = Encoder::new(oracle.session());
    let mut outcomes = Vec::new();
    loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        let Some(case) = cases.get(at) else { return outcomes };
        let theirs = ask(&mut postgres, &mut encoder, case);
        let began = Instant::now();
        let (theirs, ours) = match case.ask {
            Ask::Flight => match runtime().block_on(through_flight::ask(&flight, case)) {
                Some(ours) => (through_flight::comparable(theirs, &ours), ours),
                None => continue,
            },
            Ask::Simple | Ask::Extended(_) | Ask::Bound { .. } | Ask::Prepare { .. } => {
                (theirs, ask(&mut gate, &mut encoder, case))
            }
        };
        if began.elapsed() > SLOW {
            println!("{} s: {}", began.elapsed().as_secs(), case.key());
        }
        let verdict = judge(case, &theirs, &ours);
        outcomes.push((at, Outcome { case, postgres: theirs, gate: ours, verdict }));
    }
}

fn ask(session: &mut Session, encoder: &mut Encoder, case: &Case) -> Answer {
    match case.ask {
        Ask::Simple => session.query(&case.sql),
        Ask::Extended(results) => session.bound(&case.sql, &[], (Format::Text, results), |_| Some(Vec::new())),
        Ask::Prepare { typed } => prepared(session, &case.script(typed)),
        Ask::Bound { typed, format } => bound(session, encoder, case, typed, format),
        Ask::Flight => bound(session, encoder, case, true, Format::Text),
    }
}

fn prepared(session: &mut Session, [prepare, execute]: &[String; 2]) -> Answer {
    match session.query(prepare) {
        Answer::Rows { .. } => {}
        refused @ (Answer::Failed(_) | Answer::Unfit(_) | Answer::Lost) => return refused,
    }
    let answer = session.query(execute);
    session.query("DEALLOCATE form");
    answer
}

fn bound(session: &mut Session, encoder: &mut Encoder, case: &Case, typed: bool, format: Format) -> Answer {
    let declared: Vec<u32> =
        if typed { case.values.iter().map(|value| value.pg_type.oid()).collect() } else { Vec::new() };
    let encoded = |types: &[u32]| -> Option<Vec<Cell>> {
        let value = |(value, oid): (&crate::case::Value, &u32)| match (&value.text, format) {
            (None, _) => Some(None),
            (Some(text), Format::Text) => Some(Some(text.clone().into_bytes())),
            (Some(text), Format::Binary) => encoder.binary(*oid, text).map(Some),
        };
        case.values.iter().zip(types).map(value).collect()
    };
    session.bound(&case.sql, &declared, (format, Format::Text), encoded)
}
