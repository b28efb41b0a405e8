//! PostgreSQL's messages, as far as look-ups and readers of many rows need them. Knows no socket, and not which answer belongs to whom.

use crate::wire::bind::{Bound, Parameters};
use bytes::{BufMut, BytesMut};
use querygate_types::wire_rows::WireForm;
use querygate_types::{Error, Result};
use tokio_postgres::types::{IsNull, ToSql, Type};

/// Kind and length stand before each message.
const HEAD: usize = 5;
/// The format of all values that we send.
const BINARY: i16 = format(WireForm::Binary);

/// Appends a statement to be prepared, and asks for its columns.
pub(crate) fn prepare(name: &str, text: &str, parameters: &Parameters, out: &mut BytesMut) -> Result<()> {
    message(b'P', out, |out| {
        string(name, out)?;
        string(text, out)?;
        count(parameters.len(), out)?;
        parameters.types().for_each(|sql_type| out.put_u32(sql_type.oid()));
        Ok(())
    })?;
    message(b'D', out, |out| named_statement(name, out))
}

/// Appends the end of a prepared statement. Its answer comes with that of the next request.
pub(crate) fn close(name: &str, out: &mut BytesMut) -> Result<()> {
    message(b'C', out, |out| named_statement(name, out))
}

const fn format(form: WireForm) -> i16 {
    match form {
        WireForm::Text => 0,
        WireForm::Binary => 1,
    }
}

/// Appends one run of a prepared statement, with all results in one form and a Sync of its own.
pub(crate) fn run(name: &str, parameters: &Parameters, form: WireForm, out: &mut BytesMut) -> Result<()> {
    // Few pieces: each is looked at for room.
    let at = out.len() + 1;
    out.put_slice(b"B\0\0\0\0\0");
    string(name, out)?;
    let [high, low] = u16::try_from(parameters.len()).map_err(Error::internal)?.to_be_bytes();
    let [_, binary] = BINARY.to_be_bytes();
    out.put_slice(&[0, 1, 0, binary, high, low]);
    for (sql_type, bound) in parameters.iter() {
        value(bound, sql_type, out)?;
    }
    let [_, form] = format(form).to_be_bytes();
    out.put_slice(&[0, 1, 0, form]);
    set_length(at, out.len() - at, out)?;
    // Execute of all rows, and Sync.
    out.put_slice(b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\x04");
    Ok(())
}

/// Appends a Flush: what was asked is answered now. Unlike a Sync, it does not end the skipping after an error.
pub(crate) fn flush(out: &mut BytesMut) -> Result<()> {
    message(b'H', out, |_| Ok(()))
}

/// Appends a Sync, which ReadyForQuery answers.
pub(crate) fn sync(out: &mut BytesMut) -> Result<()> {
    message(b'S', out, |_| Ok(()))
}

fn message(kind: u8, out: &mut BytesMut, body: impl FnOnce(&mut BytesMut) -> Result<()>) -> Result<()> {
    out.put_u8(kind);
    let at = out.len();
    out.put_i32(0);
    body(out)?;
    set_length(at, out.len() - at, out)
}

fn value(value: &Bound, sql_type: &Type, out: &mut BytesMut) -> Result<()> {
    let at = out.len();
    out.put_i32(-1);
    match value.to_sql(sql_type, out).map_err(Error::internal)? {
        IsNull::Yes => Ok(()),
        IsNull::No => set_length(at, out.len() - at - 4, out),
    }
}

fn set_length(at: usize, length: usize, out: &mut BytesMut) -> Result<()> {
    let length = i32::try_from(length).map_err(Error::internal)?;
    let place = out.get_mut(at..at + 4).ok_or_else(|| Error::internal("a message lost its length"))?;
    place.copy_from_slice(&length.to_be_bytes());
    Ok(())
}

fn count(count: usize, out: &mut BytesMut) -> Result<()> {
    out.put_u16(u16::try_from(count).map_err(Error::internal)?);
    Ok(())
}

fn named_statement(name: &str, out: &mut BytesMut) -> Result<()> {
    out.put_u8(b'S');
    string(name, out)
}

/// A text ends at its first NUL: one inside would become part of what follows.
fn string(text: &str, out: &mut BytesMut) -> Result<()> {
    if text.contains('\0') {
        return Err(Error::internal("a statement's text has a NUL character"));
    }
    out.put_slice(text.as_bytes());
    out.put_u8(0);
    Ok(())
}

/// What the server sent first.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame<'a> {
    /// Kind and body, which are followed by other messages.
    Whole(u8, &'a [u8]),
    /// Kind, and bytes in all: not yet there.
    Part(u8, usize),
    /// Not even its length.
    Nothing,
}

impl Frame<'_> {
    /// The first message. `Err`: this is no message.
    pub(crate) fn first(input: &[u8]) -> std::result::Result<Frame<'_>, Broken> {
        let Some((head, rest)) = input.split_first_chunk::<HEAD>() else { return Ok(Frame::Nothing) };
        let [kind, length @ ..] = *head;
        let body = i32::from_be_bytes(length).checked_sub(4).and_then(|length| usize::try_from(length).ok());
        let body = body.ok_or(Broken)?;
        Ok(match rest.get(..body) {
            Some(body) => Frame::Whole(kind, body),
            None => Frame::Part(kind, HEAD + body),
        })
    }

    /// Bytes of a whole message with this body.
    pub(crate) const fn bytes(body: &[u8]) -> usize {
        HEAD + body.len()
    }
}

/// The bodies of whole messages that follow each other. `Err`, once: something else does.
pub(crate) fn rows(mut messages: &[u8]) -> impl Iterator<Item = std::result::Result<&[u8], Broken>> {
    std::iter::from_fn(move || {
        if messages.is_empty() {
            return None;
        }
        let (body, rest) = match Frame::first(messages) {
            Ok(Frame::Whole(b'D', body)) => (Ok(body), messages.get(Frame::bytes(body)..)),
            Ok(_) | Err(Broken) => (Err(Broken), None),
        };
        messages = rest.unwrap_or_default();
        Some(body)
    })
}

/// What came is not what the protocol says: nothing on this connection can be believed any more.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Types of the columns of a RowDescription. `None`: one of them is a type of the database's own.
pub(crate) fn columns(body: &[u8]) -> std::result::Result<Option<Vec<Type>>, Broken> {
    let (number, mut rest) = body.split_first_chunk::<2>().ok_or(Broken)?;
    let mut types = Vec::with_capacity(usize::from(u16::from_be_bytes(*number)));
    let mut known = true;
    for _ in 0..u16::from_be_bytes(*number) {
        let name = rest.iter().position(|byte| *byte == 0).ok_or(Broken)?;
        // Behind the name: table and column, then type, size, modifier and format.
        let (field, others) = rest.get(name + 1..).and_then(|rest| rest.split_first_chunk::<18>()).ok_or(Broken)?;
        rest = others;
        let [_, _, _, _, _, _, a, b, c, d, ..] = *field;
        match Type::from_oid(u32::from_be_bytes([a, b, c, d])) {
            Some(sql_type) => types.push(sql_type),
            None => known = false,
        }
    }
    if rest.is_empty() { Ok(known.then_some(types)) } else { Err(Broken) }
}

/// A failure in the server's own words, which no client sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The connection ends with it.
    pub(crate) is_fatal: bool,
    pub(crate) state: String,
    pub(crate) message: String,
}

/// Reads an ErrorResponse.
pub(crate) fn failure(mut body: &[u8]) -> std::result::Result<Failure, Broken> {
    let mut failure = Failure { is_fatal: false, state: String::new(), message: String::new() };
    loop {
        let (kind, rest) = body.split_first().ok_or(Broken)?;
        if *kind == 0 {
            return if failure.state.is_empty() { Err(Broken) } else { Ok(failure) };
        }
        let end = rest.iter().position(|byte| *byte == 0).ok_or(Broken)?;
        let (text, others) = rest.split_at_checked(end).ok_or(Broken)?;
        let text = String::from_utf8_lossy(text);
        match kind {
            b'V' => failure.is_fatal = matches!(text.as_ref(), "FATAL" | "PANIC"),
            b'C' => failure.state = text.into_owned(),
            b'M' => failure.message = text.into_owned(),
            // Details, places and names are for the server's log.
            _ => {}
        }
        body = others.get(1..).ok_or(Broken)?;
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use querygate_driver_api::execution::{Binding, BindingForm, NativeStatement};
    use querygate_driver_api::value::Value;

    /// One message of a server.
    pub(crate) fn said(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind];
        bytes.extend(i32::try_from(body.len() + 4).unwrap().to_be_bytes());
        bytes.extend(body);
        bytes
    }

    /// The body of a RowDescription.
    pub(crate) fn described(types: &[u32]) -> Vec<u8> {
        let mut body = u16::try_from(types.len()).unwrap().to_be_bytes().to_vec();
        for oid in types {
            body.extend(b"c\0");
            body.extend([0; 6]);
            body.extend(oid.to_be_bytes());
            body.extend([0; 8]);
        }
        body
    }

    pub(crate) fn parameters(values: &[Value]) -> Parameters {
        let statement = NativeStatement {
            text: "".into(),
            bindings: (0..values.len()).map(|parameter| Binding { parameter, form: BindingForm::Value }).collect(),
            parameters: values.iter().map(Value::value_type).collect(),
            output: Vec::new(),
            schema: std::sync::Arc::new(arrow::datatypes::Schema::empty()),
        };
        Parameters::of(&statement, values).unwrap()
    }

    #[test]
    fn a_run_is_bind_execute_and_a_sync_of_its_own() {
        let mut out = BytesMut::new();
        let null = Value::Null(querygate_driver_api::value::ValueType::Text);
        let values = parameters(&[Value::Int32(258), null, Value::text("é")]);
        run("s7", &values, WireForm::Binary, &mut out).unwrap();
        let bind = b"\0s7\0\0\x01\0\x01\0\x03\0\0\0\x04\0\0\x01\x02\xff\xff\xff\xff\0\0\0\x02\xc3\xa9\0\x01\0\x01";
        let all = [said(b'B', bind), said(b'E', b"\0\0\0\0\0"), said(b'S', b"")].concat();
        assert_eq!(out, all);
        // Results as text differ in the last byte of Bind.
        let mut text = BytesMut::new();
        run("s7", &values, WireForm::Text, &mut text).unwrap();
        let differ = out.iter().zip(&text).filter(|(one, other)| one != other).count();
        assert_eq!((differ, out.len(), text[bind.len() + 4]), (1, text.len(), 0));
    }

    #[test]
    fn a_text_never_reaches_beyond_itself() {
        let mut out = BytesMut::new();
        assert!(prepare("s1", "SELECT 1\0; SELECT 2", &parameters(&[]), &mut out).is_err());
        out.clear();
        prepare("s1", "SELECT $1", &parameters(&[Value::Int32(1)]), &mut out).unwrap();
        assert_eq!(out, [said(b'P', b"s1\0SELECT $1\0\0\x01\0\0\0\x17"), said(b'D', b"Ss1\0")].concat());
    }

    #[test]
    fn messages_are_cut_by_their_length() {
        let two = [said(b'D', b"abc"), said(b'Z', b"I")].concat();
        assert_eq!(Frame::first(&two), Ok(Frame::Whole(b'D', b"abc")));
        assert_eq!(Frame::first(&two[Frame::bytes(b"abc")..]), Ok(Frame::Whole(b'Z', b"I")));
        assert_eq!(Frame::first(&two[..7]), Ok(Frame::Part(b'D', 8)));
        assert_eq!(Frame::first(&two[..4]), Ok(Frame::Nothing));
        for wrong in [[b'D', 0, 0, 0, 3], [b'D', 0xff, 0xff, 0xff, 0xff], [b'D', 0x80, 0, 0, 0]] {
            assert_eq!(Frame::first(&wrong), Err(Broken));
        }
    }

    #[test]
    fn columns_and_failures_are_read_or_refused() {
        assert_eq!(columns(&described(&[23, 25])), Ok(Some(vec![Type::INT4, Type::TEXT])));
        assert_eq!(columns(&described(&[23, 99_999])), Ok(None));
        assert_eq!(columns(&described(&[23])[..10]), Err(Broken));
        let read = failure(b"SFEHLER\0VERROR\0C22012\0Mdivision by zero\0\0").unwrap();
        assert_eq!((read.is_fatal, read.state.as_str(), read.message.as_str()), (false, "22012", "division by zero"));
        assert!(failure(b"VFATAL\0C57P01\0Mbye\0\0").unwrap().is_fatal);
        for wrong in [b"".as_slice(), b"Mx\0\0", b"C22012", b"C22012\0"] {
            assert_eq!(failure(wrong), Err(Broken), "{wrong:?}");
        }
    }
}
