//! A client of server-sent events.

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What came between two empty lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    pub(crate) id: Option<String>,
    pub(crate) event: Option<String>,
    pub(crate) data: Option<Value>,
}

pub(crate) struct Sse {
    pub(crate) status: u16,
    blocks: Receiver<Block>,
    stream: TcpStream,
    /// The last id.
    pub(crate) last_id: Option<String>,
}

impl Drop for Sse {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl Sse {
    pub(crate) fn open(address: SocketAddr, query: &str, headers: &[(&str, String)]) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        // Of this version of HTTP the body comes as it is, up to the end of the connection.
        let mut request = format!("GET /api/v1/realtime{query} HTTP/1.0\r\nhost: gate\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let status: u16 = line.split(' ').nth(1).unwrap().parse().unwrap();
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line).unwrap();
        }
        let (sender, blocks) = channel();
        if status != 200 {
            let mut body = String::new();
            let _ = reader.read_to_string(&mut body);
            let _ = sender.send(Block { data: serde_json::from_str(&body).ok(), ..Block::default() });
        } else {
            std::thread::spawn(move || {
                let mut block = Block::default();
                for line in reader.lines().map_while(Result::ok) {
                    match line.split_once(": ") {
                        Some(("id", id)) => block.id = Some(id.to_owned()),
                        Some(("event", event)) => block.event = Some(event.to_owned()),
                        Some(("data", data)) => block.data = Some(serde_json::from_str(data).unwrap()),
                        _ if line.is_empty() => {
                            let sent = sender.send(std::mem::take(&mut block));
                            if sent.is_err() {
                                return;
                            }
                        }
                        _ => {}
                    }
                }
            });
        }
        Self { status, blocks, stream, last_id: None }
    }

    /// What came next; `None`: nothing in time, or the end.
    pub(crate) fn next(&mut self, patience: Duration) -> Option<Block> {
        let block = self.blocks.recv_timeout(patience).ok()?;
        if block.id.is_some() {
            self.last_id.clone_from(&block.id);
        }
        Some(block)
    }

    /// The next event.
    pub(crate) fn event(&mut self) -> Value {
        let end = Instant::now() + Duration::from_secs(30);
        while Instant::now() < end {
            if let Some(data) = self.next(Duration::from_secs(30)).and_then(|block| block.data) {
                return data;
            }
        }
        panic!("no event came");
    }

    /// Events until nothing comes for a while.
    pub(crate) fn all(&mut self, silence: Duration) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(block) = self.next(silence) {
            events.extend(block.data);
        }
        events
    }

    /// Events up to the one that inserts this key, without it.
    pub(crate) fn until(&mut self, key: &str) -> Vec<Value> {
        let mut events = Vec::new();
        loop {
            let event = self.event();
            if event["key"]["id"] == key && event["operation"] == "insert" {
                return events;
            }
            events.push(event);
        }
    }

    /// Whether it has been published where to go on: from then on it misses nothing.
    pub(crate) fn begun(mut self) -> Self {
        if self.status != 200 {
            let (status, told) = (self.status, self.next(Duration::from_secs(5)));
            panic!("{status} {told:?}");
        }
        let end = Instant::now() + Duration::from_secs(30);
        while self.last_id.is_none() {
            assert!(Instant::now() < end, "no id came");
            self.next(Duration::from_secs(1));
        }
        self
    }
}
