//! Recorded write histories of the vendor's runtime, sent as SQL through the real binary over a SQLite file: verdict, class of the
//! code, the record that is answered, and the whole store after each request. What SQL says in other ways on purpose is left out and counted by its reason. Hooks
//! run as recorded. The recordings lie outside this repository; where they are not, that is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "tests panic and report"
)]

#[path = "histories/answered.rs"]
mod answered;
#[path = "histories/recording.rs"]
mod recording;
#[path = "histories/request.rs"]
mod request;
#[path = "histories/verdict.rs"]
mod verdict;

use querygate_tests::server::{Shop, change, runtime};
use recording::{Recording, differs};
use request::{Plan, Request, plan};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::HashMap;
use tokio_postgres::{Client, SimpleQueryMessage};
use verdict::{Verdict, compare};

/// Recordings that there are.
const COUNT: usize = 12;
/// Requests that agree in all of them, at least. None differs.
const AGREE_MIN: usize = 895;
/// Those among them that concern hooks which ask for other records.
const ASKING_MIN: usize = 350;
const CELLS_MIN: usize = 5_200;

#[derive(Default)]
struct Tally {
    agree: usize,
    /// Those among them that concern a hook which asks for other records.
    agree_asking: usize,
    /// Of answered records that were compared.
    cells: usize,
    differ: Vec<String>,
    left_out: BTreeMap<Cow<'static, str>, usize>,
}

#[test]
fn requests_of_recorded_histories_answer_and_store_the_same() {
    let only: Option<usize> = std::env::var("HISTORY").ok().map(|text| text.parse().unwrap());
    let mut all = Tally::default();
    for number in (1..=COUNT).filter(|number| only.is_none_or(|only| only == *number)) {
        let Some(recording) = Recording::load(number) else {
            println!("NOTHING COMPARED: the recorded histories are not in ../shared/data/objectstack/writes");
            return;
        };
        let tally = replay(recording);
        println!("history {number}: {} agree, {} differ", tally.agree, tally.differ.len());
        for (reason, count) in &tally.left_out {
            println!("    {count:4} left out: {reason}");
            *all.left_out.entry(reason.clone()).or_default() += count;
        }
        tally.differ.iter().for_each(|difference| println!("    {difference}"));
        all.agree += tally.agree;
        all.cells += tally.cells;
        all.agree_asking += tally.agree_asking;
        all.differ.extend(tally.differ);
    }
    println!(
        "all: {} agree ({} cells of answered records; {} concern hooks that ask for records), {} differ, {} left out",
        all.agree,
        all.cells,
        all.agree_asking,
        all.differ.len(),
        all.left_out.values().sum::<usize>()
    );
    all.left_out.iter().for_each(|(reason, count)| println!("    {count:4} left out: {reason}"));
    if only.is_none() {
        assert!(all.agree >= AGREE_MIN, "only {} requests agree", all.agree);
        assert!(all.agree_asking >= ASKING_MIN, "only {} of them concern hooks that ask", all.agree_asking);
        assert!(all.cells >= CELLS_MIN, "only {} cells were compared", all.cells);
        assert!(all.differ.is_empty(), "{}", all.differ.join("\n"));
    }
}

fn replay(mut recording: Recording) -> Tally {
    let users = recording.users();
    let named: Vec<(&str, &str)> = users.iter().map(|(name, rights)| (name.as_str(), rights.as_str())).collect();
    let shop = Shop::over(("17.4", &recording.stack()), "default", &named, |file| recording.make(file));
    let mut clients: HashMap<String, Client> = HashMap::new();
    let mut tally = Tally::default();
    for step in recording.steps() {
        let persona = step["persona"].as_str().unwrap();
        let client = clients.entry(persona.to_owned()).or_insert_with(|| shop.client(persona));
        let before = recording.store.clone();
        let expected = recording.after(&step);
        let planned = plan(&recording, &step);
        let is_sent = planned.is_ok();
        let verdict = match planned {
            Err(reason) => Verdict::LeftOut(reason.into()),
            Ok(plan) => match carry_out(client, &recording, &plan) {
                Verdict::Agrees => match differs(&recording, &before, &expected, &recording.stored(&shop)) {
                    Some(text) => Verdict::Differs(format!("stored otherwise: {text}")),
                    None => match answered::compare(client, &recording, &step) {
                        Err(text) => Verdict::Differs(format!("answered otherwise: {text}")),
                        Ok(cells) => {
                            tally.cells += cells;
                            Verdict::Agrees
                        }
                    },
                },
                other => other,
            },
        };
        let is_same = matches!(verdict, Verdict::Agrees);
        match verdict {
            Verdict::Agrees => {
                tally.agree += 1;
                tally.agree_asking += usize::from(recording.asks(&step));
            }
            Verdict::LeftOut(reason) => *tally.left_out.entry(reason).or_default() += 1,
            Verdict::Differs(text) => {
                let is_hooked = recording.has_hooks(&step);
                match recording.hooked(&step).or_else(|| verdict::of_sql(&text).filter(|_| is_hooked)) {
                    Some(reason) => *tally.left_out.entry(reason.into()).or_default() += 1,
                    None => {
                        tally.differ.push(format!("step {} {} {}: {text}", step["n"], step["kind"], step["object"]));
                    }
                }
            }
        }
        recording.store = expected;
        // So that one difference is counted once; and stamps are the recorded ones.
        if (is_sent && !is_same) || !step["delta"].is_null() {
            recording.restore(&shop);
        }
    }
    tally
}

/// Sends what a step says, and judges the answers.
fn carry_out(client: &Client, recording: &Recording, plan: &Plan) -> Verdict {
    if !plan.is_atomic {
        let verdicts: Vec<Verdict> = plan.requests.iter().map(|request| ask(client, recording, request)).collect();
        return verdict::worst(verdicts);
    }
    change(client, "BEGIN").unwrap();
    let mut verdict = Verdict::Differs("everything was accepted".to_owned());
    let mut is_refused = false;
    for request in &plan.requests {
        let answer = change(client, &request.sql);
        is_refused = verdict::is_refused_at_all(request, &answer);
        let accepted = Request { code: None, ..request.clone() };
        // Before the end only what refuses the whole is judged.
        verdict = compare(recording, if is_refused { request } else { &accepted }, &answer, &sees(client, recording));
        if is_refused || !matches!(verdict, Verdict::Agrees) {
            break;
        }
    }
    let is_expected = plan.requests.iter().any(|request| request.code.is_some());
    let end = if is_refused { "ROLLBACK" } else { "COMMIT" };
    match change(client, end) {
        Err(told) => Verdict::Differs(format!("{told:?} of a COMMIT")),
        Ok(_) if is_expected && !is_refused && matches!(verdict, Verdict::Agrees) => {
            let all: Vec<&str> = plan.requests.iter().map(|request| request.sql.as_str()).collect();
            Verdict::Differs(format!("accepted instead of {:?}: {}", plan.requests[0].code, all.join("; ")))
        }
        Ok(_) => verdict,
    }
}

fn ask(client: &Client, recording: &Recording, request: &Request) -> Verdict {
    compare(recording, request, &change(client, &request.sql), &sees(client, recording))
}

/// Whether the client reads a record.
fn sees<'c>(client: &'c Client, recording: &'c Recording) -> impl Fn(&str, &str) -> bool + 'c {
    |object: &str, id: &str| {
        let name = recording.sql_name(object);
        let sql = format!("SELECT id FROM {name} WHERE id = '{}'", id.replace('\'', "''"));
        let rows = runtime().block_on(client.simple_query(&sql));
        rows.is_ok_and(|rows| rows.iter().any(|message| matches!(message, SimpleQueryMessage::Row(_))))
    }
}
