//! Changes over a WebSocket.

use super::gate::Gate;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use querygate_tests::server::change;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

pub(crate) struct Socket {
    reader: BufReader<TcpStream>,
    pub(crate) status: String,
}

impl Socket {
    fn open(gate: &Gate, headers: &str) -> Self {
        Self::to(gate, "?objects=desk_notes", headers)
    }

    /// Asks for answers as a user.
    pub(crate) fn live(gate: &Gate, user: &str) -> Self {
        Self::to(gate, "?live=true", &format!("authorization: Bearer {}\r\n", gate.token(user)))
    }

    fn to(gate: &Gate, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(gate.server.rest.unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let key = STANDARD.encode([7; 16]);
        let request = format!(
            "GET /api/v1/realtime{query} HTTP/1.1\r\nhost: gate\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n{headers}\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let (mut status, mut line) = (String::new(), String::from("-"));
        reader.read_line(&mut status).unwrap();
        while !line.trim().is_empty() {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        Self { reader, status }
    }

    pub(crate) fn frame(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.reader.read_exact(&mut head).unwrap();
        let mut length = usize::from(head[1]);
        if length == 126 {
            let mut long = [0; 2];
            self.reader.read_exact(&mut long).unwrap();
            length = usize::from(u16::from_be_bytes(long));
        } else if length == 127 {
            let mut long = [0; 8];
            self.reader.read_exact(&mut long).unwrap();
            length = usize::try_from(u64::from_be_bytes(long)).unwrap();
        }
        let mut payload = vec![0; length];
        self.reader.read_exact(&mut payload).unwrap();
        (head[0] & 15, payload)
    }

    pub(crate) fn say(&mut self, message: &Value) {
        self.send(1, message.to_string().as_bytes());
    }

    pub(crate) fn send(&mut self, kind: u8, payload: &[u8]) {
        let mut frame = vec![0x80 | kind];
        match u8::try_from(payload.len()).ok().filter(|length| *length < 126) {
            Some(length) => frame.push(0x80 | length),
            None => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        self.reader.get_mut().write_all(&frame).unwrap();
    }

    pub(crate) fn text(&mut self) -> Value {
        loop {
            let (kind, payload) = self.frame();
            match kind {
                1 => return serde_json::from_slice(&payload).unwrap(),
                9 => self.send(10, &payload),
                other => assert_ne!(other, 8, "the gate ended the connection: {payload:?}"),
            }
        }
    }
}

#[test]
fn events_come_over_a_websocket() {
    let gate = Gate::new();
    let (wanda, token) = (gate.client("wanda"), gate.token("eve"));
    let mut socket = Socket::open(&gate, &format!("authorization: Bearer {token}\r\n"));
    assert!(socket.status.contains(" 101 "), "{}", socket.status);
    assert!(socket.text()["reached"].is_string());
    for (id, region) in [("u", "us"), ("e", "eu")] {
        change(&wanda, &format!("INSERT INTO notes(id, region) VALUES ('{id}', '{region}')")).unwrap();
    }
    let event = socket.text();
    assert_eq!((&event["operation"], &event["key"]), (&json!("insert"), &json!({"id": "e"})));
    socket.send(9, b"there?");
    let pong = std::iter::repeat_with(|| socket.frame()).find(|(kind, _)| *kind == 10).unwrap();
    assert_eq!(pong.1, b"there?");
    // It takes no messages.
    socket.send(1, b"{}");
    let end = std::iter::repeat_with(|| socket.frame()).find(|(kind, _)| *kind == 8).unwrap();
    assert_eq!(end.1, 1003_u16.to_be_bytes());
}

#[test]
fn a_cookie_is_good_from_the_same_origin_only() {
    let gate = Gate::new();
    let cookie = format!("cookie: better-auth.session_token={}\r\n", gate.token("eve"));
    assert!(Socket::open(&gate, &format!("{cookie}origin: http://evil.example\r\n")).status.contains(" 403 "));
    assert!(Socket::open(&gate, &format!("{cookie}origin: http://gate\r\n")).status.contains(" 101 "));
    assert!(Socket::open(&gate, "").status.contains(" 401 "));
}
