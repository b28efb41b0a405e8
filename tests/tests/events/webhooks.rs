//! Webhooks: signed, tried again, refused at private addresses, and judged as their user.

use super::gate::Gate;
use querygate_tests::server::{change, runtime};
use ring::hmac;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
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

fn check_signature(request: &Request) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let mut signed = request.headers["x-querygate-timestamp"].clone().into_bytes();
    signed.push(b'.');
    signed.extend(&request.body);
    let tag = hmac::sign(&key, &signed);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(request.headers["x-querygate-signature"], format!("sha256={hex}"));
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
