//! The vendor's recorded exchanges, sent to a gate: status and code must be the recorded ones, but for the differences that are
//! listed with their reasons.

use crate::world::{World, recorded};
use querygate_tests::server::Request;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

/// Lines that differ for a reason: a part of the id, method and path, and why. `-` at the end of the reason's first word marks
/// services that the gate has not.
const KNOWN: &str = include_str!("known.tsv");

struct Known {
    scenario: &'static str,
    text: &'static str,
    reason: &'static str,
    is_met: Cell<bool>,
}

fn known() -> Vec<Known> {
    let lines = KNOWN.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let read = |line: &'static str| {
        let mut cells = line.split('\t');
        let mut cell = || cells.next().unwrap();
        Known { scenario: cell(), text: cell(), reason: cell(), is_met: Cell::new(false) }
    };
    lines.map(read).collect()
}

fn code(body: &Value) -> Option<&str> {
    body["code"].as_str().or_else(|| body["error"]["code"].as_str())
}

/// Puts bound values in place of `{{v1}}`.
fn filled(text: &str, bound: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (name, value) in bound {
        text = text.replace(&format!("{{{{{name}}}}}"), value);
    }
    text
}

fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    let member = |value: &'a Value, key: &str| match key.parse::<usize>() {
        Ok(place) => value.get(place),
        Err(_) => value.get(key),
    };
    path.split('.').fold(value, |value, key| member(value, key).unwrap_or(&Value::Null))
}

/// What became of one scenario.
#[derive(Default)]
struct Tally {
    agreed: usize,
    known: BTreeMap<&'static str, usize>,
    differing: Vec<String>,
}

fn request_of(world: &World, line: &Value, bound: &BTreeMap<String, String>) -> Request {
    let given = &line["request"];
    let mut request = Request::new(given["method"].as_str().unwrap(), &filled(given["path"].as_str().unwrap(), bound));
    for (name, value) in given["headers"].as_object().into_iter().flatten() {
        request = request.header(name, &filled(value.as_str().unwrap(), bound));
    }
    let persona = line["auth"]["persona"].as_str().unwrap_or_default();
    request = match line["auth"]["scheme"].as_str().unwrap() {
        "bearer" => request.header("authorization", &format!("Bearer {}", world.token(persona))),
        "cookie" => request.header("cookie", &format!("better-auth.session_token={}", world.token(persona))),
        "bound-token" => {
            let token = filled(line["auth"]["token"].as_str().unwrap(), bound);
            request.header("authorization", &format!("Bearer {token}"))
        }
        "api-key:x-api-key" => request.header("x-api-key", &world.key(persona)),
        "api-key:bearer" => request.header("authorization", &format!("Bearer {}", world.key(persona))),
        "api-key:scheme" => request.header("authorization", &format!("ApiKey {}", world.key(persona))),
        _ => request,
    };
    let body = match (given.get("body"), given["bodyText"].as_str()) {
        (Some(body), _) => Some(filled(&body.to_string(), bound)),
        (None, text) => text.map(str::to_owned),
    };
    let names_type = request.headers.iter().any(|(name, _)| name == "content-type");
    match body {
        Some(body) if !names_type => request.text("application/json", &body),
        Some(body) => Request { body: Some(body.into_bytes()), ..request },
        None => request,
    }
}

/// `None`: the answer is as recorded.
fn difference(line: &Value, status: u16, body: &Value) -> Option<String> {
    let expected = &line["response"];
    if line["also401"] == Value::Bool(true) && status == 401 {
        return None;
    }
    if u64::from(status) != expected["status"].as_u64().unwrap() {
        return Some(format!("status {} for {}: {body:.300}", status, expected["status"]));
    }
    if line["compare"] == "status" {
        return None;
    }
    let (theirs, ours) = (code(&expected["body"]), code(body));
    (theirs != ours).then(|| format!("code {ours:?} for {theirs:?}"))
}

fn replay_file(world: &World, file: &Path, known: &[Known], tallies: &mut BTreeMap<String, Tally>) {
    world.forget();
    let mut bound = BTreeMap::new();
    let text = std::fs::read_to_string(file).unwrap();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let line: Value = serde_json::from_str(line).unwrap();
        if line["kind"] == "client-local" {
            continue;
        }
        let request = request_of(world, &line, &bound);
        let answer = world.send(&request);
        let body = answer.json();
        for (name, path) in line["bind"].as_object().into_iter().flatten() {
            let path = path.as_str().unwrap();
            let value = match path.strip_prefix("headers.") {
                Some(header) => answer.header(header).map(str::to_owned),
                None => at(&serde_json::json!({"body": body}), path).as_str().map(str::to_owned),
            };
            if let Some(value) = value {
                bound.insert(name.clone(), value.trim_matches('"').to_owned());
            }
        }
        let scenario = line["scenario"].as_str().unwrap();
        let tally = tallies.entry(scenario.to_owned()).or_default();
        let Some(why) = difference(&line, answer.status, &body) else {
            tally.agreed += 1;
            continue;
        };
        let sent = format!("{} {} {}", line["id"].as_str().unwrap(), request.method, request.path);
        let listed = known.iter().find(|known| scenario.starts_with(known.scenario) && sent.contains(known.text));
        match listed {
            Some(known) => {
                known.is_met.set(true);
                *tally.known.entry(known.reason).or_default() += 1;
            }
            None => tally.differing.push(format!("{sent}\n      {why}")),
        }
    }
}

#[test]
fn the_vendors_exchanges_are_answered_as_recorded() {
    let Some(folder) = recorded() else {
        println!("SKIPPED: ../shared/data/objectstack/rest is not there, and no recorded exchange was replayed");
        return;
    };
    let (world, known) = (World::new(&folder), known());
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    // Those that write come last, so that the others find the rows as they were.
    let writes =
        |file: &Path| std::fs::read_to_string(file).unwrap().lines().next().unwrap().contains("\"writes\":true");
    files.sort_by_key(|file| (writes(file), file.clone()));
    let mut tallies = BTreeMap::new();
    for file in &files {
        replay_file(&world, file, &known, &mut tallies);
    }
    let (mut agreed, mut listed, mut differing) = (0, 0, 0);
    for (scenario, tally) in &tallies {
        let known: usize = tally.known.values().sum();
        println!("{scenario:<24} {:>4} agreed {known:>4} known {:>4} differing", tally.agreed, tally.differing.len());
        for (reason, count) in &tally.known {
            println!("    {count:>3} {reason}");
        }
        for one in &tally.differing {
            println!("    {one}");
        }
        agreed += tally.agreed;
        listed += known;
        differing += tally.differing.len();
    }
    let served = agreed + differing;
    println!("{agreed} of {served} agree in status and code; {listed} differ for reasons that are listed");
    assert!(agreed * 100 >= served * 98, "{differing} of {served} differ without a reason");
    let unmet = known.iter().filter(|known| !known.is_met.get()).map(|known| (known.scenario, known.text));
    assert_eq!(
        unmet.collect::<Vec<_>>(),
        [],
        "these lines of known.tsv are met by no exchange, or only by such as agree"
    );
}
