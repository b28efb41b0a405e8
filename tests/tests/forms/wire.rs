//! One session of either server, as a driver speaks to it: statements as text, and statements with values in text or binary.
//! Knows no case.

use querygate_tests::server::{Frame, RawClient};
use std::collections::HashMap;
use std::io::Write as _;
use std::net::SocketAddr;

/// A column of a result: its name and its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) oid: u32,
    pub(crate) modifier: i32,
}

pub(crate) type Cell = Option<Vec<u8>>;

/// What a server says to one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Rows {
        /// Types of the parameters, as the server told them.
        parameters: Vec<u32>,
        columns: Vec<Column>,
        rows: Vec<Vec<Cell>>,
    },
    /// SQLSTATE.
    Failed(String),
    /// The values have no binary form of the types that the server told.
    Unfit(Vec<u32>),
    /// The connection broke.
    Lost,
}

/// How values are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Binary,
}

impl Format {
    const fn code(self) -> u16 {
        match self {
            Self::Text => 0,
            Self::Binary => 1,
        }
    }
}

pub(crate) struct Session {
    address: SocketAddr,
    raw: RawClient,
    /// What every session begins with.
    begin: &'static str,
}

impl Session {
    pub(crate) fn open(address: SocketAddr, begin: &'static str) -> Self {
        let mut session = Self { address, raw: RawClient::login(address, "ada"), begin };
        session.begin();
        session
    }

    fn begin(&mut self) {
        let answer = self.query(self.begin);
        assert!(matches!(answer, Answer::Rows { .. }), "{}: {answer:?}", self.begin);
    }

    /// Sends messages in one piece and reads up to the end of the answer.
    fn exchange(&mut self, messages: &Messages) -> Vec<Frame> {
        if self.raw.tcp.write_all(&messages.0).is_err() {
            return Vec::new();
        }
        self.raw.read_until(b'Z')
    }

    /// Whether the session still is one; another takes its place otherwise.
    fn lost(&mut self, frames: &[Frame]) -> bool {
        let lost = frames.last().is_none_or(|frame| frame.tag != b'Z');
        if lost {
            self.raw = RawClient::login(self.address, "ada");
            self.begin();
        }
        lost
    }

    /// A text of statements through the simple protocol; the rows are those of the last one that has any.
    pub(crate) fn query(&mut self, sql: &str) -> Answer {
        let mut messages = Messages::default();
        messages.put(b'Q', &[sql.as_bytes(), &[0]].concat());
        let frames = self.exchange(&messages);
        if self.lost(&frames) { Answer::Lost } else { read(&frames, Vec::new(), None) }
    }

    /// A statement with values through the extended protocol. `encoded` gives the values for the types that the server tells.
    pub(crate) fn bound(
        &mut self,
        sql: &str,
        declared: &[u32],
        formats: (Format, Format),
        encoded: impl FnOnce(&[u32]) -> Option<Vec<Cell>>,
    ) -> Answer {
        let mut messages = Messages::default();
        messages
            .put(b'P', &[&[0][..], sql.as_bytes(), &[0], &list(declared, |oid| oid.to_be_bytes().to_vec())].concat());
        messages.put(b'D', b"S\0");
        messages.put(b'S', b"");
        let described = self.exchange(&messages);
        if self.lost(&described) {
            return Answer::Lost;
        }
        if let Some(code) = failure(&described) {
            return Answer::Failed(code);
        }
        let parameters = described.iter().find(|frame| frame.tag == b't').map(|frame| oids(&frame.body));
        let parameters = parameters.unwrap_or_default();
        let Some(values) = encoded(&parameters) else { return Answer::Unfit(parameters) };
        let mut messages = Messages::default();
        let cell = |cell: &Cell| match cell {
            None => (-1_i32).to_be_bytes().to_vec(),
            Some(bytes) => [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat(),
        };
        let format = |format: Format| list(&[format.code()], |code| code.to_be_bytes().to_vec());
        messages.put(b'B', &[&[0, 0][..], &format(formats.0), &list(&values, cell), &format(formats.1)].concat());
        messages.put(b'E', &[0; 5]);
        messages.put(b'S', b"");
        let frames = self.exchange(&messages);
        let columns = described.iter().find(|frame| frame.tag == b'T').map(|frame| columns(&frame.body));
        if self.lost(&frames) { Answer::Lost } else { read(&frames, parameters, columns) }
    }
}

#[derive(Default)]
struct Messages(Vec<u8>);

impl Messages {
    fn put(&mut self, tag: u8, body: &[u8]) {
        self.0.push(tag);
        self.0.extend(u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        self.0.extend(body);
    }
}

/// A count and that many things.
fn list<T>(items: &[T], bytes: impl Fn(&T) -> Vec<u8>) -> Vec<u8> {
    let mut list = u16::try_from(items.len()).unwrap().to_be_bytes().to_vec();
    items.iter().for_each(|item| list.extend(bytes(item)));
    list
}

fn failure(frames: &[Frame]) -> Option<String> {
    frames.iter().find(|frame| frame.tag == b'E').map(|frame| frame.field(b'C').unwrap_or_default())
}

fn read(frames: &[Frame], parameters: Vec<u32>, described: Option<Vec<Column>>) -> Answer {
    if let Some(code) = failure(frames) {
        return Answer::Failed(code);
    }
    let mut heads = frames.iter().filter(|frame| frame.tag == b'T').map(|frame| columns(&frame.body));
    let columns = described.or(heads.next_back()).unwrap_or_default();
    let rows = frames.iter().filter(|frame| frame.tag == b'D').map(|frame| cells(&frame.body)).collect();
    Answer::Rows { parameters, columns, rows }
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |n, byte| (n << 8) | u32::from(*byte))
}

fn oids(body: &[u8]) -> Vec<u32> {
    body[2..].chunks(4).map(number).collect()
}

fn columns(body: &[u8]) -> Vec<Column> {
    let mut rest = &body[2..];
    let mut found = Vec::new();
    while let Some(end) = rest.iter().position(|&byte| byte == 0) {
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        let modifier = number(&rest[end + 13..end + 17]).cast_signed();
        found.push(Column { name, oid: number(&rest[end + 7..end + 11]), modifier });
        rest = &rest[end + 19..];
    }
    found
}

fn cells(body: &[u8]) -> Vec<Cell> {
    let mut rest = &body[2..];
    let mut found = Vec::new();
    while rest.len() >= 4 {
        let length = number(&rest[..4]);
        rest = &rest[4..];
        if length == u32::MAX {
            found.push(None);
            continue;
        }
        let (cell, after) = rest.split_at(usize::try_from(length).unwrap());
        found.push(Some(cell.to_vec()));
        rest = after;
    }
    found
}

/// Binary forms of values, as PostgreSQL itself writes them.
pub(crate) struct Encoder {
    postgres: Session,
    known: HashMap<(u32, String), Cell>,
}

impl Encoder {
    pub(crate) fn new(postgres: Session) -> Self {
        Self { postgres, known: HashMap::new() }
    }

    /// `None` when the text is no value of the type.
    pub(crate) fn binary(&mut self, oid: u32, text: &str) -> Cell {
        if let Some(known) = self.known.get(&(oid, text.to_owned())) {
            return known.clone();
        }
        let value = vec![Some(text.as_bytes().to_vec())];
        let answer = self.postgres.bound("SELECT $1", &[oid], (Format::Text, Format::Binary), |_| Some(value));
        let bytes = match answer {
            Answer::Rows { mut rows, .. } => rows.swap_remove(0).swap_remove(0),
            Answer::Failed(_) | Answer::Unfit(_) | Answer::Lost => None,
        };
        self.known.insert((oid, text.to_owned()), bytes.clone());
        bytes
    }
}
