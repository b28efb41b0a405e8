//! Recorded write histories of the vendor's runtime, sent as they were, over the REST door of the real binary on a SQLite file: status, code,
//! fields and their messages, answered records, results of batches, and the whole store after each request. Where the gate does otherwise on
//! purpose, the request, or the field or row that it is about, is counted by its reason; what cannot be compared is, too. The recordings lie
//! outside this repository; where they are not, that is said. `REASON=…` prints the steps of a reason.

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
#[path = "rest_histories/reasons.rs"]
mod reasons;
#[path = "histories/recording.rs"]
mod recording;
#[path = "rest_histories/records.rs"]
mod records;

use comparison::{Outcome, Sent, compare};
use querygate_tests::server::{Answer, PASSWORD, Request, Shop};
use reasons::of_store;
use recording::{Recording, differs, resolved};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// Recordings that there are.
const COUNT: usize = 12;
/// Of a hundred requests that the gate serves, at least so many agree.
const AGREE_PERCENT: usize = 98;
/// Requests that agree in all of them, at least, with those that are refused, or refused otherwise, since 17.5.
const AGREE_MIN: usize = 1_280;
/// Beginnings of the reasons of the latter.
const SINCE_17_5: [&str; 2] = ["a policy without a check", "both refuse: a record that is not there"];

/// Steps by reason.
type Reasons = BTreeMap<String, Vec<String>>;

#[derive(Default)]
struct Tally {
    agree: usize,
    differ: Vec<String>,
    /// Of those that agree: what of them was not compared.
    notes: Reasons,
    otherwise: Reasons,
    left_out: Reasons,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.agree += other.agree;
        self.differ.extend(other.differ);
        for (own, more) in [
            (&mut self.notes, other.notes),
            (&mut self.otherwise, other.otherwise),
            (&mut self.left_out, other.left_out),
        ] {
            for (reason, steps) in more {
                own.entry(reason).or_default().extend(steps);
            }
        }
    }

    /// The table of what became of all requests.
    fn print(&self) {
        let wanted = std::env::var("REASON").ok();
        let count = |reasons: &Reasons| reasons.values().map(Vec::len).sum::<usize>();
        let (agree, differ) = (self.agree, self.differ.len());
        let (otherwise, left) = (count(&self.otherwise), count(&self.left_out));
        println!("all: {agree} agree, {differ} differ, {otherwise} otherwise on purpose, {left} left out");
        for (what, reasons) in
            [("agree, but for", &self.notes), ("otherwise", &self.otherwise), ("left out", &self.left_out)]
        {
            for (reason, steps) in reasons {
                println!("    {:4} {what}: {reason}", steps.len());
                if wanted.as_ref().is_some_and(|wanted| reason.contains(wanted)) {
                    steps.iter().for_each(|step| println!("             {step}"));
                }
            }
        }
    }
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
        let tally = replay(number, recording);
        println!("history {number}: {} agree, {} differ", tally.agree, tally.differ.len());
        tally.differ.iter().for_each(|difference| println!("    {difference}"));
        all.add(tally);
    }
    all.print();
    if only.is_none() {
        let is_newer = |reason: &&String| SINCE_17_5.iter().any(|start| reason.starts_with(start));
        let newer: usize = all.otherwise.keys().filter(is_newer).map(|reason| all.otherwise[reason].len()).sum();
        assert!(all.agree + newer >= AGREE_MIN, "only {} requests agree, and {newer} by 17.5", all.agree);
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
        let shop = Shop::over(("17.4", &recording.stack()), "default", &named, |file| recording.make(file));
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

fn replay(number: usize, mut recording: Recording) -> Tally {
    let mut gate = Gate::over(&recording);
    let mut tally = Tally::default();
    for step in recording.steps() {
        let before = recording.store.clone();
        let expected = recording.after(&step);
        let answer = gate.send(&step);
        let sent = Sent::of(&recording, &step, &answer);
        let outcome = match compare(&sent) {
            Outcome::Agrees(notes) => {
                let wanted = if sent.is_taken_back() { &before } else { &expected };
                match differs(&recording, &before, wanted, &sent.renamed(recording.stored(&gate.shop))) {
                    Some(text) => match of_store(&sent) {
                        Some(reason) => Outcome::Otherwise(reason),
                        None => Outcome::Differs(format!("stored otherwise: {text}")),
                    },
                    None => Outcome::Agrees(notes),
                }
            }
            other => other,
        };
        let is_same = matches!(outcome, Outcome::Agrees(_)) && !sent.is_taken_back();
        let named = format!("{number}/{} {} {}", step["n"], step["kind"], step["object"]);
        let by = |reasons: &mut Reasons, reason: String| reasons.entry(reason).or_default().push(named.clone());
        match outcome {
            Outcome::Agrees(notes) => {
                tally.agree += 1;
                notes.into_iter().for_each(|note| by(&mut tally.notes, note.to_owned()));
            }
            Outcome::Otherwise(reason) => by(&mut tally.otherwise, reason.to_owned()),
            Outcome::LeftOut(reason) => by(&mut tally.left_out, reason),
            Outcome::Differs(text) => match recording.hooked(&step) {
                Some(reason) => by(&mut tally.otherwise, reason.to_owned()),
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
