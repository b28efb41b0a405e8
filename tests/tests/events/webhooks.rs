//! Webhooks: signed, tried again, refused at private addresses, and judged as their user.

use super::gate::{Gate, STACK, TABLES};
use super::source::{Kind, Source};
use querygate_tests::server::{change, runtime};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const SECRET: &str = "a secret of both ends";

struct Request {
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// Takes requests, and answers them with these statuses, the last one from then on.
fn receiver(statuses: &'static [u16]) -> (u16, Receiver<Request>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, requests) = channel();
    std::thread::spawn(move || {
        let mut number = 0;
        for stream in listener.incoming().map_while(Result::ok) {
            let mut reader = BufReader::new(stream);
            // A connection may bring several requests.
            while let Some(request) = read(&mut reader) {
                let status = statuses[number.min(statuses.len() - 1)];
                number += 1;
                let answer =
                    format!("HTTP/1.1 {status} So\r\nlocation: http://127.0.0.1:{port}/x\r\ncontent-length: 0\r\n\r\n");
                if reader.get_mut().write_all(answer.as_bytes()).is_err() || sender.send(request).is_err() {
                    break;
                }
            }
        }
    });
    (port, requests)
}

fn read(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        match line.trim().split_once(": ") {
            Some((name, value)) => drop(headers.insert(name.to_lowercase(), value.to_owned())),
            None => break,
        }
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    Some(Request { headers, body })
}

fn hook(port: u16, more: &str) -> String {
    format!(
        "[[events.webhooks]]\nname = \"erp\"\nurl = \"http://localhost:{port}/hook\"\nsecret = \"file:hook\"\nas_user = \"eve\"\n\
         objects = [\"desk_notes\"]\n{more}"
    )
}

fn note(id: &str, region: &str) -> String {
    format!("INSERT INTO notes(id, title, region, phone, secret) VALUES ('{id}', 't', '{region}', '12345', 'hush')")
}

/// Rows of `querygate.event_deliveries`: status and error.
fn deliveries(gate: &Gate) -> Vec<(String, String)> {
    let client = gate.client("root");
    let sql = "SELECT status, coalesce(error, '') FROM querygate.event_deliveries";
    let rows = runtime().block_on(client.query(sql, &[])).unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A gate whose webhook has begun.
fn gate(port: u16, more: &str) -> Gate {
    let gate = Gate::with_files(&hook(port, more), &[("hook", SECRET)]);
    until("the webhook begins", || gate.file("events/webhooks/erp.json").exists().then_some(()));
    gate
}

/// The signature as a receiver checks it who has nothing of ours: by the `openssl` program, over the bytes that came.
fn check_signature(request: &Request) {
    let hmac = ["dgst", "-sha256", "-hmac", SECRET, "-r"];
    let mut openssl = Command::new("openssl");
    let mut openssl = openssl.args(hmac).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("openssl runs");
    let mut input = openssl.stdin.take().unwrap();
    input.write_all(format!("{}.", request.headers["x-querygate-timestamp"]).as_bytes()).unwrap();
    input.write_all(&request.body).unwrap();
    drop(input);
    let printed = openssl.wait_with_output().unwrap();
    assert!(printed.status.success());
    let printed = String::from_utf8(printed.stdout).unwrap();
    let digits = printed.split_whitespace().next().unwrap();
    assert_eq!(digits.len(), 64, "{printed}");
    assert_eq!(request.headers["x-querygate-signature"], format!("sha256={digits}"));
}

#[test]
fn a_webhook_is_signed_judged_and_tried_again_also_after_a_kill() {
    let (port, requests) = receiver(&[500, 302, 204]);
    let gate = gate(port, "private_addresses = true\n");
    let wanda = gate.client("wanda");
    change(&wanda, &note("u", "us")).unwrap();
    change(&wanda, &note("e", "eu")).unwrap();
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let request = requests.recv_timeout(Duration::from_secs(20)).unwrap();
        check_signature(&request);
        bodies.push(serde_json::from_slice::<Value>(&request.body).unwrap());
    }
    // Tried until it was taken, a redirect being no answer, and with what its user sees alone.
    assert!(bodies[0] == bodies[1] && bodies[1] == bodies[2]);
    let events = bodies[0]["events"].as_array().unwrap();
    assert_eq!(
        (events.len(), &events[0]["key"], &events[0]["record"]["phone"]),
        (1, &json!({"id": "e"}), &json!("***45"))
    );
    assert!(!bodies[0].to_string().contains("hush"));
    until("it is delivered", || (deliveries(&gate) == [("delivered".to_owned(), String::new())]).then_some(()));
    // What is committed while the gate is away for its receiver is sent when it is back.
    change(&wanda, "UPDATE notes SET title = 'later' WHERE id = 'e'").unwrap();
    let gate = gate.killed();
    let request = requests.recv_timeout(Duration::from_secs(20)).unwrap();
    let body: Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["events"][0]["changed"], json!(["title"]));
    drop(gate);
}

#[test]
fn private_addresses_are_refused_unless_they_are_allowed() {
    let (port, requests) = receiver(&[204]);
    let gate = gate(port, "give_up = \"1s\"\n");
    change(&gate.client("wanda"), &note("e", "eu")).unwrap();
    let dead = until("it is given up", || deliveries(&gate).into_iter().find(|(status, _)| status == "dead"));
    assert!(dead.1.contains("private network"), "{}", dead.1);
    assert!(requests.try_recv().is_err(), "nothing was sent");
}

const DECLARED: &str = "webhooks:\n  - { name: deals_out, label: Out, object: desk_notes, triggers: [create, delete], url: \"URL\", method: POST, \
                        timeoutMs: 30000, isActive: ACTIVE MORE }\n";

fn declared(port: u16, active: bool, more: &str) -> String {
    let url = format!("http://localhost:{port}/hook");
    let own = DECLARED.replace("URL", &url).replace("ACTIVE", &active.to_string()).replace(" MORE", more);
    format!("{STACK}{own}")
}

#[test]
fn webhooks_of_the_metadata_are_sent_as_the_user_whom_the_configuration_names() {
    let (port, requests) = receiver(&[500, 200]);
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::write(folder.path().join("hook"), SECRET).unwrap();
    let source = Source::new(Kind::Sqlite, folder.path(), TABLES);
    let entry = source.entry(true);
    let settings = "[events.metadata_webhooks]\nas_user = \"eve\"\nsecret = \"file:hook\"\nprivate_addresses = true\n";
    let gate = Gate::served(folder, Some(source), &declared(port, true, ""), &entry, settings);
    let wanda = gate.client("wanda");
    for statement in [note("u", "us"), note("e", "eu"), "UPDATE notes SET title = 'x' WHERE id = 'e'".to_owned()] {
        change(&wanda, &statement).unwrap();
    }
    change(&wanda, "DELETE FROM notes WHERE id = 'e'").unwrap();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        let request = requests.recv_timeout(Duration::from_secs(30)).unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        check_signature(&request);
        assert_eq!(body["webhook"], "deals_out");
        assert!(!body.to_string().contains("hush"), "{body}");
        for event in body["events"].as_array().unwrap() {
            let told = (event["operation"].clone(), event["key"]["id"].clone());
            // The first request was not taken, and comes again.
            if !heard.contains(&told) {
                heard.push(told);
            }
        }
    }
    assert_eq!(heard, [(json!("insert"), json!("e")), (json!("delete"), json!("e"))]);
    // Metadata in which it is no longer active takes it away.
    std::fs::write(gate.file("metadata/stack.yaml"), declared(port, false, "")).unwrap();
    until("it is taken away", || deliveries(&gate).is_empty().then_some(()));
}

/// What `querygate check` says of a configuration with a webhook in its metadata.
fn checked(stack: &str, settings: &str) -> (bool, String) {
    let folder = tempfile::TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("metadata")).unwrap();
    std::fs::write(at("metadata/stack.yaml"), stack).unwrap();
    std::fs::write(at("hook"), SECRET).unwrap();
    let config = format!(
        "[metadata]\npath = \"metadata\"\n[[sources]]\nname = \"shop\"\nkind = \"memory\"\n[[users]]\nname = \"eve\"\n{settings}"
    );
    std::fs::write(at("querygate.toml"), config).unwrap();
    let mut command = Command::new(querygate_tests::server::binary());
    let output = command.args(["check", "--offline"]).arg(at("querygate.toml")).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn a_webhook_of_the_metadata_without_a_user_is_refused() {
    let refused = |stack: &str, settings: &str, text: &str| {
        let (good, said) = checked(stack, settings);
        assert!(!good && said.contains(text) && said.contains("stack.yaml:"), "{text}: {said}");
    };
    let sent =
        |user: &str| format!("[events]\n[events.metadata_webhooks]\nas_user = \"{user}\"\nsecret = \"file:hook\"\n");
    let active = declared(1, true, "");
    refused(&active, "", "whose rights");
    refused(&active, "[events]\n", "whose rights");
    refused(&active, &sent("zoe"), "whom [[users]] does not have");
    refused(
        &active,
        &sent("eve").replace("[events]\n", "[events]\nobjects = [\"desk_lines\"]\n"),
        "no events are kept",
    );
    refused(&declared(1, true, ", headers: { a: b }"), &sent("eve"), "headers");
    refused(&declared(1, true, ", nothing: 1"), &sent("eve"), "nothing");
    for (stack, settings) in [
        (declared(1, false, ""), String::new()),
        (active.clone(), "[events]\n[events.metadata_webhooks]\nenabled = false\n".to_owned()),
        (active, sent("eve")),
    ] {
        let (good, said) = checked(&stack, &settings);
        assert!(good, "{settings}: {said}");
    }
}
