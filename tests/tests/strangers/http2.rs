//! HTTP/2 byte by byte, for what no client sends. Knows as much of flow control as it takes to send all that is let in.

use crate::world::{connect, push};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _};
use std::net::{SocketAddr, TcpStream};

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const PING: u8 = 6;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const CONTINUATION: u8 = 9;
const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_HEADERS: u8 = 4;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(body);
    frame
}

/// The beginning of a connection.
pub(crate) fn preface() -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(SETTINGS, 0, 0, &[])[..]].concat()
}

/// A header that is not kept in the table.
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
    [&[0][..], &text(name), &text(value)].concat()
}

/// The headers of a call of Flight.
pub(crate) fn call(method: &str) -> Vec<u8> {
    let path = format!("/arrow.flight.protocol.FlightService/{method}");
    // POST, http, and a path.
    let mut block = vec![0x83, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([literal(":authority", "gate"), literal("te", "trailers")].concat());
    block.extend(literal("content-type", "application/grpc"));
    block
}

/// A message of gRPC that says how long it is, and has no more than its head.
pub(crate) fn half_message(length: u32) -> Vec<u8> {
    [&[0][..], &length.to_be_bytes()].concat()
}

/// A connection with streams that send bodies.
pub(crate) struct Http2 {
    pub(crate) tcp: TcpStream,
    window: i64,
    initial: i64,
    streams: BTreeMap<u32, i64>,
    read: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    pub(crate) is_open: bool,
}

impl Http2 {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let (tcp, streams) = (connect(address), BTreeMap::new());
        Self { tcp, window: 65_535, initial: 65_535, streams, read: Vec::new(), out: preface(), sent: 0, is_open: true }
    }

    /// Begins a call whose body is not over.
    pub(crate) fn begin(&mut self, stream: u32, block: &[u8], body: &[u8]) {
        self.out.extend(frame(HEADERS, END_HEADERS, stream, block));
        self.out.extend(frame(DATA, 0, stream, body));
        self.window -= i64::try_from(body.len()).unwrap();
        self.streams.insert(stream, self.initial - i64::try_from(body.len()).unwrap());
    }

    /// Sends what waits and takes what came; whether anything moved.
    pub(crate) fn turn(&mut self) -> bool {
        let before = self.sent;
        self.is_open &= push(&self.tcp, &self.out, &mut self.sent);
        let mut moved = self.sent > before;
        if self.sent == self.out.len() {
            (self.out, self.sent) = (Vec::new(), 0);
        }
        let mut room = [0; 16_384];
        loop {
            match self.tcp.read(&mut room) {
                Ok(0) => self.is_open = false,
                Ok(count) => {
                    moved = true;
                    self.read.extend(&room[..count]);
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => self.is_open = false,
            }
            break;
        }
        while let Some(head) = self.read.get(..9).map(<[u8]>::to_vec) {
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            if self.read.len() < 9 + length {
                break;
            }
            let body: Vec<u8> = self.read.drain(..9 + length).skip(9).collect();
            self.heard(head[3], head[4], u32::from_be_bytes(head[5..9].try_into().unwrap()), &body);
        }
        moved
    }

    fn heard(&mut self, kind: u8, flags: u8, stream: u32, body: &[u8]) {
        match kind {
            SETTINGS if flags == 0 => {
                for setting in body.chunks(6) {
                    let value = i64::from(u32::from_be_bytes(setting[2..].try_into().unwrap()));
                    if setting[..2] == [0, 4] {
                        self.streams.values_mut().for_each(|window| *window += value - self.initial);
                        self.initial = value;
                    }
                }
                self.out.extend(frame(SETTINGS, 1, 0, &[]));
            }
            WINDOW_UPDATE => {
                let more = i64::from(u32::from_be_bytes(body.try_into().unwrap()));
                match self.streams.get_mut(&stream) {
                    Some(window) => *window += more,
                    None if stream == 0 => self.window += more,
                    None => {}
                }
            }
            // Answered or refused.
            HEADERS | RESET => drop(self.streams.remove(&stream)),
            _ => {}
        }
    }

    /// Has every stream send as much as it may; how many bytes that is.
    pub(crate) fn fill(&mut self) -> usize {
        let mut filled = 0;
        for (stream, window) in &mut self.streams {
            let most = (*window).min(self.window).min(16_384);
            if most > 0 && self.out.len() < 1 << 20 {
                self.out.extend(frame(DATA, 0, *stream, &vec![7; usize::try_from(most).unwrap()]));
                (*window, self.window, filled) = (*window - most, self.window - most, filled + most);
            }
        }
        usize::try_from(filled).unwrap()
    }
}
