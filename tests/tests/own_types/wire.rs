//! Statements over one raw connection, in text by the simple protocol and in binary by the extended one. Interprets no cell.

use querygate_tests::server::{Frame, RawClient};

/// What a result calls a column, and its type's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) oid: u32,
}

pub(crate) type Cell = Option<Vec<u8>>;

/// A result as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) columns: Vec<Column>,
    pub(crate) cells: Vec<Vec<Cell>>,
}

impl Rows {
    /// Cells as texts; what is none shows its bytes.
    pub(crate) fn texts(&self) -> Vec<Vec<Option<String>>> {
        let cell = |cell: &Cell| cell.as_ref().map(|bytes| text(bytes));
        self.cells.iter().map(|row| row.iter().map(cell).collect()).collect()
    }

    /// The cells of one column.
    pub(crate) fn column(&self, place: usize) -> Vec<Cell> {
        self.cells.iter().map(|row| row[place].clone()).collect()
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| format!("{bytes:?}"), str::to_owned)
}

/// A refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: String,
    /// And its detail.
    pub(crate) message: String,
}

pub(crate) type Answer = Result<Rows, Refused>;

/// The text that a simple statement gives.
pub(crate) fn simple(client: &mut RawClient, sql: &str) -> Answer {
    client.query(sql);
    answer(&client.read_until(b'Z'), sql)
}

/// A value with its type's number, in binary.
pub(crate) type Typed = (u32, Vec<u8>);

/// What a statement gives in binary, its values in binary too.
pub(crate) fn binary(client: &mut RawClient, sql: &str, values: &[Typed]) -> Answer {
    let mut parse = format!("\0{sql}\0").into_bytes();
    parse.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
    let mut bind = b"\0\0\0\x01\0\x01".to_vec();
    bind.extend(u16::try_from(values.len()).unwrap().to_be_bytes());
    for (oid, bytes) in values {
        parse.extend(oid.to_be_bytes());
        bind.extend(u32::try_from(bytes.len()).unwrap().to_be_bytes());
        bind.extend(bytes);
    }
    bind.extend(b"\0\x01\0\x01");
    client.send(b'P', &parse);
    client.send(b'B', &bind);
    client.send(b'D', b"P\0");
    client.send(b'E', b"\0\0\0\0\0");
    client.send(b'S', b"");
    answer(&client.read_until(b'Z'), sql)
}

fn answer(frames: &[Frame], sql: &str) -> Answer {
    if let Some(error) = frames.iter().find(|frame| frame.tag == b'E') {
        let field = |name| error.field(name).unwrap_or_default();
        return Err(Refused { code: field(b'C'), message: format!("{} {}", field(b'M'), field(b'D')) });
    }
    let described = frames.iter().find(|frame| frame.tag == b'T').unwrap_or_else(|| panic!("{sql}: {frames:?}"));
    let rows = frames.iter().filter(|frame| frame.tag == b'D').map(|frame| cells(&frame.body));
    Ok(Rows { columns: columns(&described.body), cells: rows.collect() })
}

fn columns(mut body: &[u8]) -> Vec<Column> {
    let count = u16::from_be_bytes(take(&mut body));
    let column = |_| {
        let end = body.iter().position(|byte| *byte == 0).unwrap();
        let name = text(&body[..end]);
        body = &body[end + 1..];
        // The table's number and the column's.
        let _: [u8; 6] = take(&mut body);
        let oid = u32::from_be_bytes(take(&mut body));
        // Length, modifier, format.
        let _: [u8; 8] = take(&mut body);
        Column { name, oid }
    };
    (0..count).map(column).collect()
}

fn cells(mut body: &[u8]) -> Vec<Cell> {
    let count = u16::from_be_bytes(take(&mut body));
    let cell = |_| {
        let length = usize::try_from(i32::from_be_bytes(take(&mut body))).ok()?;
        let (cell, rest) = body.split_at(length);
        body = rest;
        Some(cell.to_vec())
    };
    (0..count).map(cell).collect()
}

fn take<const N: usize>(body: &mut &[u8]) -> [u8; N] {
    let (head, rest) = body.split_at(N);
    *body = rest;
    head.try_into().unwrap()
}
