//! Recorded write histories of the vendor's runtime, sent as they were, over the REST door of the real binary on a SQLite file: status, code,
//! fields and their messages, answered records, results of batches, and the whole store after each request. Where the gate is strict on
//! purpose, or has no such service, the request is left out and counted by its reason. The recordings lie outside this repository; where
//! they are not, that is said.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    dead_code,
    reason = "tests panic and report; recordings are read for another program, too"
)]

#[path = "rest_histories/comparison.rs"]
mod comparison;
#[path = "histories/recording.rs"]
mod recording;

use comparison::{Outcome, Sent, compare};
use querygate_tests::server::{Answer, PASSWORD, Request, Shop};
use recording::{Recording, differs, resolved};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// Recordings that there are.
const COUNT: usize = 12;
/// Of a hundred requests that the gate serves, at least so many agree.
const AGREE_PERCENT: usize = 96;
/// Requests that agree in all of them, at least.
const AGREE_MIN: usize = 1_000;

#[derive(Default)]
struct Tally {
    agree: usize,
    differ: Vec<String>,
    left_out: BTreeMap<String, usize>,
}

#[test]
fn requests_of_recorded_histories_are_answered_and_stored_as_recorded() {
    let only: Option<usize> = std::env::var("HISTORY").ok().map(|text| text.parse().unwrap());
    let mut all = Tally::default();
    for number in (1..=COUNT).filter(|number| only.is_none_or(|only| only == *number)) {
        let Some(recording) = Recording::load(number) else {
            println!("NOTHING COMPARED: the recorded histories are not in ../shared/data/objectstack/writes");
            return;
        };
        let tally = replay(recording);
        let left: usize = tally.left_out.values().sum();
        println!("history {number}: {} agree, {} differ, {left} left out", tally.agree, tally.differ.len());
        tally.differ.iter().for_each(|difference| println!("    {difference}"));
        all.agree += tally.agree;
        all.differ.extend(tally.differ);
        for (reason, count) in tally.left_out {
            *all.left_out.entry(reason).or_default() += count;
        }
    }
    let left: usize = all.left_out.values().sum();
    println!("all: {} agree, {} differ, {left} left out", all.agree, all.differ.len());
    all.left_out.iter().for_each(|(reason, count)| println!("    {count:4} left out: {reason}"));
    if only.is_none() {
        assert!(all.agree >= AGREE_MIN, "only {} requests agree", all.agree);
        let served = all.agree + all.differ.len();
        assert!(all.agree * 100 >= served * AGREE_PERCENT, "{} of {served} differ", all.differ.len());
    }
}

/// A gate over the rows of a recording, and its users' tokens.
struct Gate {
    shop: Shop,
    emails: BTreeMap<String, String>,
    tokens: HashMap<String, String>,
}

impl Gate {
    fn over(recording: &Recording) -> Self {
        let users = recording.users();
        let named: Vec<(&str, &str)> = users.iter().map(|(name, rights)| (name.as_str(), rights.as_str())).collect();
        let shop = Shop::over(&recording.stack(), "default", &named, |file| recording.make(file));
        Self { shop, emails: recording.emails(), tokens: HashMap::new() }
    }

    fn token(&mut self, persona: &str) -> String {
        if let Some(token) = self.tokens.get(persona) {
            return token.clone();
        }
        let body = json!({"email": self.emails[persona], "password": PASSWORD});
        let answer = Request::new("POST", "/api/v1/auth/sign-in/email").json(&body).send(self.shop.rest());
        let token = answer.json()["token"].as_str().unwrap_or_else(|| panic!("{}", answer.text())).to_owned();
        self.tokens.insert(persona.to_owned(), token.clone());
        token
    }

    fn send(&mut self, step: &Value) -> Answer {
        let number = step["n"].as_i64().unwrap();
        let given = &step["request"];
        let path = format!("/api/v1{}", given["path"].as_str().unwrap());
        let token = self.token(step["persona"].as_str().unwrap());
        let mut request = Request::new(given["method"].as_str().unwrap(), &path);
        request = request.header("authorization", &format!("Bearer {token}"));
        if let Some(version) = given["ifMatch"].as_str() {
            let plain = resolved(&version.trim_matches('"').into(), number);
            request = request.header("if-match", &format!("\"{}\"", plain.as_str().unwrap()));
        }
        match given.get("body") {
            Some(body) => request.json(&resolved(&repeated(body), number)),
            None => request,
        }
        .send(self.shop.rest())
    }
}

/// A body that the recording names by its rule.
fn repeated(body: &Value) -> Value {
    match body["$repeat"].as_u64() {
        Some(count) => (0..count).map(|at| json!({"name": format!("n{at}")})).collect(),
        None => body.clone(),
    }
}

fn replay(mut recording: Recording) -> Tally {
    let mut gate = Gate::over(&recording);
    let mut tally = Tally::default();
    for step in recording.steps() {
        let before = recording.store.clone();
        let expected = recording.after(&step);
        let answer = gate.send(&step);
        let sent = Sent::of(&recording, &step, &answer);
        let outcome = match compare(&sent) {
            Outcome::Agrees => {
                match differs(&recording, &before, &expected, &sent.renamed(recording.stored(&gate.shop))) {
                    Some(text) => sent.store_reason(&text).map_or_else(
                        || Outcome::Differs(format!("stored otherwise: {text}")),
                        |reason| Outcome::LeftOut(reason.to_owned()),
                    ),
                    None => Outcome::Agrees,
                }
            }
            other => other,
        };
        let is_same = matches!(outcome, Outcome::Agrees);
        match outcome {
            Outcome::Agrees => tally.agree += 1,
            Outcome::LeftOut(reason) => *tally.left_out.entry(reason).or_default() += 1,
            Outcome::Differs(text) => match recording.hooked(&step) {
                Some(reason) => *tally.left_out.entry(reason.to_owned()).or_default() += 1,
                None => tally.differ.push(format!("step {} {} {}: {text}", step["n"], step["kind"], step["object"])),
            },
        }
        // A refused request leaves nothing behind, whatever became of it at the vendor's.
        if answer.status >= 400
            && let Some(text) = differs(&recording, &before, &before, &recording.stored(&gate.shop))
        {
            tally.differ.push(format!("step {}: refused, and yet {text}", step["n"]));
        }
        recording.store = expected;
        // So that one difference is counted once; and stamps are the recorded ones.
        if !is_same || !step["delta"].is_null() {
            recording.restore(&gate.shop);
        }
    }
    tally
}
