//! The framing fence: splits one frame off by its length, proves its body by its own grammar, and only then makes a
//! message of it. Knows no connection state beyond the phase.

use super::backend::Format;
use super::reader::{Reader, Short};
use bytes::{Buf, Bytes, BytesMut};

/// A message from the client, complete and proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message {
    Query(String),
    Parse(Parse),
    Bind(Bind),
    Describe(Target),
    /// `rows_max` of `None` means all.
    Execute {
        portal: String,
        rows_max: Option<u64>,
    },
    Close(Target),
    Flush,
    Sync,
    Terminate,
    FunctionCall,
    CopyData(Bytes),
    CopyDone,
    /// With the client's reason.
    CopyFail(String),
    /// PasswordMessage, SASLInitialResponse and SASLResponse: read by the exchange that expects them.
    Authentication(Bytes),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parse {
    pub(crate) statement: String,
    pub(crate) sql: String,
    /// Type oids, 0 for unknown.
    pub(crate) parameter_types: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bind {
    pub(crate) portal: String,
    pub(crate) statement: String,
    pub(crate) parameter_formats: Vec<Format>,
    pub(crate) parameters: Vec<Option<Bytes>>,
    pub(crate) result_formats: Vec<Format>,
}

/// What Describe and Close speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Statement(String),
    Portal(String),
}

/// Which messages may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Authentication,
    Session,
}

/// Largest frames accepted, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameLimits {
    /// Query, Parse, Bind, FunctionCall, CopyData.
    pub(crate) large: usize,
    /// Every other message (`PQ_SMALL_MESSAGE_LIMIT` of PostgreSQL).
    pub(crate) small: usize,
}

impl FrameLimits {
    const SMALL_BYTES: usize = 10_000;

    pub(crate) fn new(large: usize) -> Self {
        Self { large, small: Self::SMALL_BYTES.min(large) }
    }
}

/// The stream cannot be trusted any more: 08P01, FATAL, close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FrameError {
    UnknownType(u8),
    Unexpected(u8),
    Length,
    Body,
}

/// The frame is whole and the stream in step, but its content is refused: an ERROR, and the session goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Recoverable {
    /// Whether the message belongs to the extended protocol, after whose errors everything up to Sync is skipped.
    pub(crate) extended: bool,
    pub(crate) refusal: Refusal,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The bytes at fault, as PostgreSQL prints them (`0xff`).
    InvalidUtf8(String),
    FormatCode(i16),
}

enum Fault {
    Fatal(FrameError),
    Refused(Refusal),
}

impl From<Short> for Fault {
    fn from(_: Short) -> Self {
        Self::Fatal(FrameError::Body)
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Takes one whole frame off `input`. `Ok(None)`: more bytes are needed. Never takes a byte of the next frame.
pub(crate) fn next_message(
    input: &mut BytesMut,
    phase: Phase,
    limits: FrameLimits,
) -> Result<Option<Result<Message, Recoverable>>, FrameError> {
    let Some(tag) = input.first().copied() else { return Ok(None) };
    let limit = frame_limit(tag, phase, limits)?;
    let Some(length) = input.get(1..5) else { return Ok(None) };
    let length = usize::try_from(Reader::new(length).i32().map_err(|Short| FrameError::Body)?)
        .map_err(|_| FrameError::Length)?;
    if length < 4 || length > limit {
        return Err(FrameError::Length);
    }
    if input.len() < length + 1 {
        return Ok(None);
    }
    let mut frame = input.split_to(length + 1).freeze();
    frame.advance(5);
    match message(tag, &frame) {
        Ok(message) => Ok(Some(Ok(message))),
        Err(Fault::Fatal(error)) => Err(error),
        Err(Fault::Refused(refusal)) => Ok(Some(Err(Recoverable { extended: !matches!(tag, b'Q' | b'F'), refusal }))),
    }
}

fn frame_limit(tag: u8, phase: Phase, limits: FrameLimits) -> Result<usize, FrameError> {
    match (phase, tag) {
        (Phase::Authentication, b'p') => Ok(limits.large),
        (Phase::Authentication, b'X') => Ok(limits.small),
        (Phase::Authentication, other) => Err(FrameError::Unexpected(other)),
        (Phase::Session, b'Q' | b'P' | b'B' | b'F' | b'd') => Ok(limits.large),
        (Phase::Session, b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f') => Ok(limits.small),
        (Phase::Session, other) => Err(FrameError::UnknownType(other)),
    }
}

fn message(tag: u8, body: &Bytes) -> Result<Message, Fault> {
    let mut reader = Reader::new(body);
    let message = match tag {
        b'Q' => Message::Query(text(reader.cstr()?)?),
        b'P' => Message::Parse(parse(&mut reader)?),
        b'B' => Message::Bind(bind(&mut reader, body)?),
        b'D' => Message::Describe(target(&mut reader)?),
        b'C' => Message::Close(target(&mut reader)?),
        b'E' => {
            let portal = reader.cstr()?;
            let rows_max = reader.i32()?;
            finished(&reader)?;
            // Zero and below mean "all"; the number is never used to reserve memory.
            Message::Execute { portal: text(portal)?, rows_max: u64::try_from(rows_max).ok().filter(|rows| *rows > 0) }
        }
        b'H' => Message::Flush,
        b'S' => Message::Sync,
        b'X' => Message::Terminate,
        b'F' => {
            function_call(&mut reader)?;
            Message::FunctionCall
        }
        b'c' => Message::CopyDone,
        b'f' => {
            let reason = reader.cstr()?;
            Message::CopyFail(String::from_utf8_lossy(reason).into_owned())
        }
        b'd' => {
            reader.rest();
            Message::CopyData(body.clone())
        }
        b'p' => {
            reader.rest();
            Message::Authentication(body.clone())
        }
        other => return Err(Fault::Fatal(FrameError::UnknownType(other))),
    };
    finished(&reader)?;
    Ok(message)
}

fn finished(reader: &Reader<'_>) -> Result<(), Fault> {
    if reader.is_empty() { Ok(()) } else { Err(Fault::Fatal(FrameError::Body)) }
}

fn parse(reader: &mut Reader<'_>) -> Result<Parse, Fault> {
    let (statement, sql) = (reader.cstr()?, reader.cstr()?);
    let count = reader.count(4)?;
    let mut parameter_types = Vec::with_capacity(count);
    for _ in 0..count {
        parameter_types.push(reader.u32()?);
    }
    finished(reader)?;
    Ok(Parse { statement: text(statement)?, sql: text(sql)?, parameter_types })
}

fn bind(reader: &mut Reader<'_>, body: &Bytes) -> Result<Bind, Fault> {
    let (portal, statement) = (reader.cstr()?, reader.cstr()?);
    let parameter_formats = format_codes(reader)?;
    let count = reader.count(4)?;
    let mut parameters = Vec::with_capacity(count);
    for _ in 0..count {
        let value = match reader.i32()? {
            -1 => None,
            length => Some(body.slice_ref(reader.take(usize::try_from(length).map_err(|_| Short)?)?)),
        };
        parameters.push(value);
    }
    let result_formats = format_codes(reader)?;
    finished(reader)?;
    // The grammar is proved before the content is judged, so that a refusal never hides a broken frame.
    Ok(Bind {
        portal: text(portal)?,
        statement: text(statement)?,
        parameter_formats: formats(&parameter_formats)?,
        parameters,
        result_formats: formats(&result_formats)?,
    })
}

fn format_codes(reader: &mut Reader<'_>) -> Result<Vec<i16>, Short> {
    let count = reader.count(2)?;
    let mut codes = Vec::with_capacity(count);
    for _ in 0..count {
        codes.push(reader.i16()?);
    }
    Ok(codes)
}

fn formats(codes: &[i16]) -> Result<Vec<Format>, Refusal> {
    codes.iter().map(|code| Format::from_code(*code).ok_or(Refusal::FormatCode(*code))).collect()
}

fn target(reader: &mut Reader<'_>) -> Result<Target, Fault> {
    let kind = reader.u8()?;
    let name = reader.cstr()?;
    finished(reader)?;
    match kind {
        b'S' => Ok(Target::Statement(text(name)?)),
        b'P' => Ok(Target::Portal(text(name)?)),
        _ => Err(Fault::Fatal(FrameError::Body)),
    }
}

fn function_call(reader: &mut Reader<'_>) -> Result<(), Fault> {
    reader.u32()?;
    format_codes(reader)?;
    for _ in 0..reader.count(4)? {
        match reader.i32()? {
            -1 => {}
            length => {
                reader.take(usize::try_from(length).map_err(|_| Short)?)?;
            }
        }
    }
    reader.i16()?;
    Ok(())
}

fn text(bytes: &[u8]) -> Result<String, Refusal> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(error) => Err(Refusal::InvalidUtf8(invalid_bytes(bytes, &error))),
    }
}

/// The offending bytes as PostgreSQL's `report_invalid_encoding` prints them.
pub(crate) fn invalid_bytes(bytes: &[u8], error: &std::str::Utf8Error) -> String {
    let from = error.valid_up_to();
    let until = bytes.len().min(from + error.error_len().unwrap_or(4).max(1));
    let shown: Vec<String> =
        bytes.get(from..until).unwrap_or_default().iter().map(|byte| format!("0x{byte:02x}")).collect();
    shown.join(" ")
}
