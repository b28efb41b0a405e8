//! The vendor's recorded exchanges, sent to a gate: whole answers must be the recorded ones, but for the differences that are listed with
//! their reasons and the services that the gate has not. `ANSWERS=file` keeps all answers, one a line.

#[path = "replay/holes.rs"]
mod holes;
#[path = "replay/own.rs"]
mod own;
#[path = "replay/same.rs"]
mod same;
#[path = "replay/table.rs"]
mod table;

use crate::world::{World, recorded};
use querygate_tests::server::{Answer, Request};
use same::{Body, Given, Recorded, differences};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use table::{Known, Least, Table, known};

/// How an answer begins that a service gives which the gate has not.
const UNSERVED: &str = "This gate has no ";
const LEAST: Least = Least { served: 1_190, code: 982, body: 940, words: 815 };

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

fn request_of(world: &World, line: &Value, bound: &BTreeMap<String, String>) -> Request {
    let given = &line["request"];
    let mut request = Request::new(given["method"].as_str().unwrap(), &filled(given["path"].as_str().unwrap(), bound));
    request = request.header("user-agent", "node");
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

/// The recorded answer, with the values of earlier answers in it.
fn answer_of(folder: &Path, line: &Value, bound: &BTreeMap<String, String>) -> Value {
    let mut response = line["response"].clone();
    if let Some(file) = response["bodyFile"].as_str() {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let body = if file.ends_with(".json") {
            ("body", serde_json::from_str(&text).unwrap())
        } else {
            ("bodyText", text.into())
        };
        response[body.0] = body.1;
    }
    if bound.is_empty() {
        return response;
    }
    serde_json::from_str(&filled(&response.to_string(), bound)).unwrap()
}

fn bind(line: &Value, answer: &Answer, bound: &mut BTreeMap<String, String>) {
    let body = answer.json();
    for (name, path) in line["bind"].as_object().into_iter().flatten() {
        let path = path.as_str().unwrap();
        let value = match path.strip_prefix("headers.") {
            Some(header) => answer.header(header).map(str::to_owned),
            None => at(&json!({"body": body}), path).as_str().map(str::to_owned),
        };
        if let Some(value) = value {
            bound.insert(name.clone(), value.trim_matches('"').to_owned());
        }
    }
}

/// What the gate says of a service that it has not.
fn unserved(answer: &Answer) -> Option<String> {
    if answer.status != 501 {
        return None;
    }
    let body = answer.json();
    let says = [&body["error"]["message"], &body["message"], &body["error"]].into_iter().find_map(Value::as_str)?;
    says.starts_with(UNSERVED).then(|| says.to_owned())
}

fn compare(line: &Value, recorded: &Value, answer: &Answer) -> Vec<same::Difference> {
    if line["also401"] == json!(true) && answer.status == 401 {
        return Vec::new();
    }
    let body = match (recorded.get("body"), recorded["bodyText"].as_str()) {
        (Some(body), _) => Body::Json(body.clone()),
        (None, Some(text)) => Body::Text(text.to_owned()),
        (None, None) => Body::None,
    };
    let recorded = Recorded {
        status: u16::try_from(recorded["status"].as_u64().unwrap()).unwrap(),
        headers: &recorded["headers"],
        body,
        is_unordered: line["unordered"] == json!(true),
        is_status_only: line["compare"] == "status",
    };
    let header = |name: &str| answer.header(name).map(str::to_owned);
    let (body, text) = (answer.json(), answer.text());
    differences(&recorded, &Given { status: answer.status, header: &header, body: &body, text: &text })
}

fn replay_file(world: &World, file: &Path, known: &[Known], table: &mut Table, mut kept: Option<&mut std::fs::File>) {
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
        bind(&line, &answer, &mut bound);
        let recorded = answer_of(file.parent().unwrap(), &line, &bound);
        if let Some(kept) = kept.as_deref_mut() {
            let one =
                json!({"id": line["id"], "status": answer.status, "headers": answer.headers, "text": answer.text()});
            writeln!(kept, "{one}").unwrap();
        }
        let scenario = line["scenario"].as_str().unwrap();
        let sent = format!("{} {} {}", line["id"].as_str().unwrap(), request.method, request.path);
        match unserved(&answer) {
            Some(says) if recorded["status"] != 501 => table.unserved(scenario, &says),
            _ => table.add(scenario, &sent, compare(&line, &recorded, &answer), known),
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
    let mut kept = std::env::var_os("ANSWERS").map(|path| std::fs::File::create(path).unwrap());
    let mut table = Table::default();
    for file in &files {
        replay_file(&world, file, &known, &mut table, kept.as_mut());
    }
    table.print();
    let told = Path::new(env!("CARGO_TARGET_TMPDIR")).join("exchanges.txt");
    std::fs::write(&told, table.differences()).unwrap();
    println!("all differences without a reason: {}", told.display());
    table.check(&known, &LEAST);
}
