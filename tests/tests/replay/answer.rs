//! What a server answers to a recorded statement, and how two answers differ. Knows frames, no SQL.

use super::recording::Recorded;
use querygate_tests::server::{Frame, RawClient};
use std::collections::BTreeMap;

/// Columns and rows of all results of a text, or an error.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) error: Option<(String, String)>,
    /// Name and type's id.
    pub(crate) columns: Vec<(String, u32)>,
    pub(crate) rows: Vec<Vec<Option<Vec<u8>>>>,
}

/// Sends a statement as its client did.
pub(crate) fn ask(client: &mut RawClient, recorded: &Recorded) -> Answer {
    if recorded.extended {
        extended(client, recorded);
    } else {
        client.query(&recorded.sql);
    }
    answer(&client.read_until(b'Z'))
}

fn extended(client: &mut RawClient, recorded: &Recorded) {
    let count = |n: usize| u16::try_from(n).unwrap().to_be_bytes();
    let mut parse = vec![0];
    parse.extend(recorded.sql.bytes().chain([0]));
    parse.extend(count(recorded.types.len()));
    parse.extend(recorded.types.iter().flat_map(|oid| oid.to_be_bytes()));
    client.send(b'P', &parse);
    let mut bind = vec![0, 0];
    bind.extend(count(recorded.parameters.len()));
    bind.extend(recorded.parameters.iter().flat_map(|(_, format)| format.to_be_bytes()));
    bind.extend(count(recorded.parameters.len()));
    for (value, _) in &recorded.parameters {
        match value {
            None => bind.extend((-1_i32).to_be_bytes()),
            Some(value) => {
                bind.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
                bind.extend(value);
            }
        }
    }
    bind.extend(count(1));
    bind.extend(recorded.result_format.to_be_bytes());
    client.send(b'B', &bind);
    client.send(b'D', b"P\0");
    client.send(b'E', &[0, 0, 0, 0, 0]);
    client.send(b'S', &[]);
}

fn answer(frames: &[Frame]) -> Answer {
    let mut answer = Answer::default();
    for frame in frames {
        match frame.tag {
            b'E' => {
                let field = |field| frame.field(field).unwrap_or_default();
                answer.error = Some((field(b'C'), field(b'M')));
            }
            b'T' => answer.columns.extend(columns(&frame.body)),
            b'D' => answer.rows.push(cells(&frame.body)),
            // COPY: a line or a binary row.
            b'd' => answer.rows.push(vec![Some(frame.body.clone())]),
            _ => {}
        }
    }
    if !frames.iter().any(|frame| frame.tag == b'Z') {
        answer.error = Some(("closed".to_owned(), "the server closed the connection".to_owned()));
    }
    answer
}

fn columns(body: &[u8]) -> Vec<(String, u32)> {
    let mut columns = Vec::new();
    let mut rest = &body[2..];
    while let Some(end) = rest.iter().position(|byte| *byte == 0) {
        let name = String::from_utf8_lossy(&rest[..end]).into_owned();
        let oid = rest[end + 7..end + 11].try_into().map(u32::from_be_bytes).unwrap();
        columns.push((name, oid));
        rest = &rest[end + 19..];
    }
    columns
}

fn cells(body: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut cells = Vec::new();
    let mut rest = &body[2..];
    while rest.len() >= 4 {
        let length = i32::from_be_bytes(rest[..4].try_into().unwrap());
        rest = &rest[4..];
        let cell = usize::try_from(length).ok().map(|length| rest[..length].to_vec());
        rest = &rest[cell.as_ref().map_or(0, Vec::len)..];
        cells.push(cell);
    }
    cells
}

/// How the gate's answer differs from PostgreSQL's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// An error here, rows there.
    Refused,
    /// Rows here, an error there.
    Answered,
    /// Another SQLSTATE.
    Code,
    Columns,
    Types,
    Rows,
}

/// Names of one server's objects by id, as `rel:public.customers`.
pub(crate) type Names = BTreeMap<u32, String>;

/// `None`: the same columns, types and rows, or the same refusal. Object ids count as the objects' names; rows come in any
/// order unless the statement orders them.
pub(crate) fn difference(sql: &str, there: (&Answer, &Names), here: (&Answer, &Names)) -> Option<Difference> {
    match (&there.0.error, &here.0.error) {
        (Some((there, _)), Some((here, _))) => return (there != here).then_some(Difference::Code),
        (None, Some(_)) => return Some(Difference::Refused),
        (Some(_), None) => return Some(Difference::Answered),
        (None, None) => {}
    }
    let named =
        |(answer, _): (&Answer, &Names)| answer.columns.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    if named(there) != named(here) {
        return Some(Difference::Columns);
    }
    let typed = |(answer, names): (&Answer, &Names)| {
        let name = |oid: &u32| names.get(oid).cloned().unwrap_or_else(|| oid.to_string());
        answer.columns.iter().map(|(_, oid)| name(oid)).collect::<Vec<_>>()
    };
    let ordered = sql.to_lowercase().contains("order by");
    let same_rows = rows(there.0, there.1, ordered) == rows(here.0, here.1, ordered)
        || (ordered && rows(there.0, there.1, false) == rows(here.0, here.1, false) && ties(sql));
    match (typed(there) == typed(here), same_rows) {
        (true, true) => None,
        (false, _) => Some(Difference::Types),
        (true, false) => Some(Difference::Rows),
    }
}

/// Whether ORDER BY stands inside the statement, so that it does not say how the rows come.
fn ties(sql: &str) -> bool {
    let sql = sql.to_lowercase();
    let last = sql.rfind("order by").unwrap_or(0);
    sql[last..].matches(')').count() > sql[last..].matches('(').count()
}

fn rows(answer: &Answer, names: &Names, ordered: bool) -> Vec<Vec<Option<String>>> {
    let cell = |cell: &Option<Vec<u8>>| {
        cell.as_ref().map(|bytes| match std::str::from_utf8(bytes) {
            Ok(text) => text.parse().ok().and_then(|id| names.get(&id).cloned()).unwrap_or_else(|| text.to_owned()),
            Err(_) => format!("{bytes:02x?}"),
        })
    };
    let mut rows: Vec<Vec<_>> = answer.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    if !ordered {
        rows.sort();
    }
    rows
}
