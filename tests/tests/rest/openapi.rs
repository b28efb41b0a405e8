//! The description of the interface: what each principal finds in it and does not find, whether it is valid, and whether the gate
//! answers as it says.

use crate::own::{GATE, Gate};
use querygate_tests::server::{Request, python_environment};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 2] = ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"];
/// Names that rita's rights hide, and what only they would show.
const HIDDEN_FROM_RITA: [&str; 11] = [
    "margin",
    "secret",
    "word",
    "hush",
    "shop_customers",
    "Customer",
    "shop_lines",
    "order_id",
    "shop_manager",
    "europe",
    "earned",
];

fn described(gate: &Gate, user: Option<&str>) -> Value {
    match user {
        Some(user) => gate.get(user, "/openapi.json"),
        None => gate.send(Request::new("GET", "/api/v1/openapi.json")).json(),
    }
}

fn paths(document: &Value) -> BTreeSet<String> {
    document["paths"].as_object().unwrap().keys().cloned().collect()
}

/// Every text in a document: keys and values.
fn words(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(into.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| words(item, into)),
        Value::Object(entries) => {
            for (key, value) in entries {
                into.insert(key.clone());
                words(value, into);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn a_description_has_what_its_reader_may_see_and_do() {
    let (nora, rita) = (described(&GATE, Some("nora")), described(&GATE, Some("rita")));
    assert_eq!((&nora["openapi"], &rita["openapi"]), (&json!("3.1.0"), &json!("3.1.0")));
    let record = |document: &Value, object: &str| document["components"]["schemas"][format!("record.{object}")].clone();
    let fields = |record: &Value| record["properties"].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let all = fields(&record(&nora, "shop_orders"));
    assert_eq!(
        fields(&record(&rita, "shop_orders")),
        all.into_iter().filter(|name| name != "margin").collect::<Vec<_>>()
    );
    for document in [&nora, &rita] {
        let card = &record(document, "shop_orders")["properties"]["card"];
        assert!(card["description"].as_str().unwrap().starts_with("Masked for you"), "{card}");
        let list = &document["paths"]["/api/v1/data/shop_orders"]["get"]["parameters"];
        let named = |name: &str| list.as_array().unwrap().iter().any(|parameter| parameter["name"] == name);
        assert!(named("code") && !named("card"), "what is masked is in no condition: {list}");
    }
    let operations = |document: &Value, path: &str| -> Vec<String> {
        let item = document["paths"][path].as_object();
        item.into_iter().flatten().map(|(method, _)| method.clone()).collect()
    };
    let one = "/api/v1/data/shop_orders/{id}";
    assert_eq!(
        (operations(&nora, one), operations(&rita, one)),
        (strings(&["get", "delete", "patch"]), strings(&["get"]))
    );
    let many = "/api/v1/data/shop_orders";
    assert_eq!((operations(&nora, many), operations(&rita, many)), (strings(&["get", "post"]), strings(&["get"])));
    // Rita changes tickets, and neither adds nor deletes them.
    let ticket = "/api/v1/data/shop_tickets/{id}";
    assert_eq!(operations(&rita, ticket), strings(&["get", "patch"]));
    assert!(paths(&rita).contains("/api/v1/data/shop_tickets/updateMany"));
    assert!(!paths(&rita).contains("/api/v1/data/shop_tickets/deleteMany"));
    assert!(
        paths(&nora).contains("/api/v1/data/shop_orders/export")
            && !paths(&rita).contains("/api/v1/data/shop_orders/export")
    );
    assert!(paths(&nora).contains("/api/v1/data/shop_lines/{id}"), "a key of two fields has a path, too");
    assert!(paths(&rita).contains("/api/v1/keys"), "this gate keeps keys");
    // A source of read-only metadata takes no changes, whatever the rights.
    assert_eq!(operations(&nora, "/api/v1/data/shop_secrets"), strings(&["get"]));
}

fn strings(names: &[&str]) -> Vec<String> {
    let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort_by_key(|name| {
        ["get", "put", "post", "delete", "options", "head", "patch", "trace"].iter().position(|method| method == name)
    });
    names
}

#[test]
fn nothing_hidden_is_in_a_description_or_a_difference_of_two() {
    let gate = &GATE;
    let (nora, rita, stranger) = (described(gate, Some("nora")), described(gate, Some("rita")), described(gate, None));
    for (reader, document) in [("rita", &rita), ("a stranger", &stranger)] {
        let text = document.to_string();
        let names: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        for name in HIDDEN_FROM_RITA {
            assert!(!names.contains(name), "{reader} finds {name}");
        }
        assert!(!text.contains("margin") && !text.contains("secret"), "{reader}");
    }
    for name in ["shop_", "region", "code\":{\"title"] {
        assert!(!stranger.to_string().contains(name), "a stranger finds {name}");
    }
    // What one finds beyond the other is of their rights: rita has no word that nora has not.
    let (mut hers, mut all) = (BTreeSet::new(), BTreeSet::new());
    words(&rita, &mut hers);
    words(&nora, &mut all);
    let beyond: Vec<&String> = hers.difference(&all).collect();
    assert!(beyond.is_empty(), "{beyond:?}");
    assert!(paths(&stranger).is_subset(&paths(&rita)) && paths(&rita).is_subset(&paths(&nora)));
    assert!(paths(&stranger).iter().all(|path| !path.contains("/data")), "{:?}", paths(&stranger));
}

#[test]
fn a_description_has_a_tag_of_its_reader() {
    let tag = |user: &str| GATE.ask(user, "GET", "/openapi.json", None).header("etag").unwrap().to_owned();
    let (nora, rita) = (tag("nora"), tag("rita"));
    assert!(nora != rita && rita == tag("rita"));
    let has = |user: &str, tag: &str| {
        let token = format!("Bearer {}", GATE.token(user));
        let request = Request::new("GET", "/api/v1/openapi.json").header("authorization", &token);
        GATE.send(request.header("if-none-match", tag)).status
    };
    assert_eq!((has("rita", &rita), has("rita", &nora), has("nora", &rita)), (304, 200, 200));
}

#[test]
fn the_page_is_shipped_and_runs_scripts_of_its_own_only() {
    let page = GATE.send(Request::new("GET", "/api/v1/docs"));
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let page = page.text();
    let files: Vec<&str> = page.split('"').filter(|part| part.starts_with("/api/v1/docs/")).collect();
    assert_eq!(files.len(), 4, "{page}");
    for file in files {
        let answer = GATE.send(Request::new("GET", file));
        assert_eq!(answer.status, 200, "{file}");
        assert!(answer.header("content-type").unwrap().starts_with("text/"), "{file}");
        assert_eq!(answer.header("content-encoding").is_some(), file.contains("swagger-ui"), "{file}");
    }
    assert_eq!(GATE.send(Request::new("GET", "/api/v1/docs/..%2fpage.html")).status, 404);
}

/// The folder of Python's programs; `None` where it cannot be had.
fn python() -> Option<PathBuf> {
    Some(python_environment("rest-python", &PACKAGES)?.join("bin"))
}

#[test]
fn a_checker_finds_descriptions_valid() {
    let Some(programs) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for user in [Some("nora"), Some("rita"), None] {
        let file = folder.path().join(format!("{}.json", user.unwrap_or("stranger")));
        std::fs::write(&file, described(&GATE, user).to_string()).unwrap();
        let checked = Command::new(programs.join("openapi-spec-validator"))
            .args(["--schema", "3.1.0"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&checked.stdout).into_owned() + &String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{user:?}: {said}");
    }
}

/// Checks of what a description cannot say: whether values of the right type also pass the rules of metadata; that what the vendor
/// takes for another value or for none (an object for a text, a blank parameter) is refused; that a path lists the verbs of one
/// principal only; that a wrong credential is answered 401 each time, as wrong ones are counted and soon answered 429.
const UNCHECKED: &str = "positive_data_acceptance,negative_data_rejection,allow_header_conformance,ignored_auth";

/// How the explorer shows who it is, and which verbs it tries where none is described: PUT and DELETE of metadata are known and
/// answered with what is missing, which it takes for a failure.
fn settings(key: &str) -> String {
    format!(
        "[auth.openapi.apiKey]\napi_key = \"{key}\"\n[phases.coverage]\nunexpected-methods = [\"TRACE\", \"PATCH\", \"POST\", \"GET\"]\n"
    )
}

/// `QUERYGATE_EXPLORE=examples,coverage,fuzzing` sends random bodies, too.
fn explore(programs: &Path, gate: &Gate, user: &str) {
    let phases = std::env::var("QUERYGATE_EXPLORE").unwrap_or_else(|_| "examples,coverage".to_owned());
    let key = gate.ask(user, "POST", "/keys", Some(&json!({"name": "explorer"})));
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("openapi.json"), described(gate, Some(user)).to_string()).unwrap();
    std::fs::write(at("schemathesis.toml"), settings(key.json()["data"]["key"].as_str().unwrap())).unwrap();
    let explored = Command::new(programs.join("schemathesis"))
        .args(["--config-file", "schemathesis.toml", "run", "openapi.json"])
        .args(["--url", &format!("http://{}", gate.server.rest.unwrap())])
        .args(["--exclude-checks", UNCHECKED, "--phases", &phases, "--max-examples", "3"])
        .args(["--seed", "1", "--generation-deterministic", "--suppress-health-check", "all", "--no-color"])
        // Logins are counted: many of them are refused for a while.
        .args(["--exclude-path", "/api/v1/auth/sign-in/email", "--max-time", "25", "--request-timeout", "20"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&explored.stdout).into_owned() + &String::from_utf8_lossy(&explored.stderr);
    assert!(explored.status.success(), "{user}: {said}");
    let generated = said.lines().find_map(|line| line.trim().split_once(" generated, "));
    let cases: usize = generated.and_then(|(cases, _)| cases.parse().ok()).unwrap_or_default();
    // How many there is time for is the machine's.
    assert!(cases > 10, "{user}: {said}");
    println!("{user}: {cases} requests, each answered as it is described");
}

#[test]
fn an_explorer_gets_the_described_answers() {
    let Some(programs) = python() else { return };
    let gate = Gate::new();
    std::thread::scope(|scope| {
        for user in ["nora", "rita"] {
            let (programs, gate) = (&programs, &gate);
            scope.spawn(move || explore(programs, gate, user));
        }
    });
}
