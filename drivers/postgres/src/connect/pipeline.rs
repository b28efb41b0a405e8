//! What is asked and answered on one connection: the first answer is the first request's, and only that one's. Knows no socket and
//! no clock.

use crate::connect::passthrough::{Columns, Copying, PreparedColumns};
use crate::connect::statements::Statements;
use crate::wire::bind::Parameters;
use crate::wire::frames::{self, Broken, Failure, Frame};
use bytes::{Buf, BytesMut};
use querygate_types::Result;
use querygate_types::wire_rows::WireForm;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio_postgres::types::Type;

/// Requests of one connection that are not answered yet.
const REQUESTS_MAX: usize = 256;
/// Bytes of one request.
const REQUEST_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one answer's rows: it is held until its end, and others wait behind it.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Bytes of a message that is not a row.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// All its rows, each the message that the server sent, and their columns.
    Rows(Columns, Vec<u8>),
    /// The statement's own error.
    Failed(Failure),
    /// Nothing; on a connection of its own it can be run.
    Unanswered(Unanswered),
}

/// Whether a statement that was not answered should be asked for in this way again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The connection was at fault.
    Again,
    /// Its rows are too large or of types that must be asked for.
    Apart,
}

/// What came of asking.
#[derive(Debug)]
pub(crate) enum Asked {
    Waiting(Receiver<Answer>),
    /// Not here; perhaps on another connection.
    Full,
    /// Its rows are to be read, not copied.
    ToRead,
}

struct Request {
    reply: Sender<Answer>,
    columns: Columns,
    /// Whole messages.
    rows: Vec<u8>,
    outcome: Outcome,
}

/// What the messages so far make of a request.
enum Outcome {
    Rows,
    Failed(Failure),
    Unanswered(Unanswered),
}

/// The requests of one connection.
#[derive(Default)]
pub(crate) struct Pipeline {
    /// Whole requests that were not handed to the socket yet.
    out: BytesMut,
    requests: VecDeque<Request>,
    prepared: Statements,
    /// Bytes of a row that nobody wants, to come.
    skipped: usize,
    /// No more requests are taken.
    closed: bool,
}

impl Pipeline {
    /// Adds a request: of rows to read, or to copy where the statement is known to give such.
    pub(crate) fn ask(
        &mut self,
        text: &Arc<str>,
        parameters: &Parameters,
        copying: Option<Copying<'_>>,
    ) -> Result<Asked> {
        if self.closed || self.requests.len() >= REQUESTS_MAX {
            return Ok(Asked::Full);
        }
        let types = parameters.types().map(Type::oid);
        let form = copying.map_or(WireForm::Binary, |copying| copying.wanted.form);
        let start = self.out.len();
        let (written, columns) = match self.prepared.find(text, types.clone()) {
            Some(known) if copying.is_none_or(|copying| known.columns.copies(copying)) => {
                (frames::run(&known.name, parameters, form, &mut self.out), Arc::clone(&known.columns))
            }
            // What its rows are is learnt from one that is read.
            Some(_) | None if copying.is_some() => return Ok(Asked::ToRead),
            Some(_) | None => return self.ask_first(text, parameters),
        };
        if written.is_err() || self.out.len() - start > REQUEST_BYTES_MAX {
            // As if nobody had asked.
            self.out.truncate(start);
            return written.map(|()| Asked::Full);
        }
        Ok(self.asked(columns))
    }

    /// The first run of a statement, which is prepared with it.
    fn ask_first(&mut self, text: &Arc<str>, parameters: &Parameters) -> Result<Asked> {
        if let Some(oldest) = self.prepared.make_room() {
            // Requests that run it are before this in the stream.
            frames::close(&oldest, &mut self.out)?;
        }
        let (name, start) = (self.prepared.next_name(), self.out.len());
        let written = frames::prepare(&name, text, parameters, &mut self.out)
            .and_then(|()| frames::run(&name, parameters, WireForm::Binary, &mut self.out));
        if written.is_err() || self.out.len() - start > REQUEST_BYTES_MAX {
            self.out.truncate(start);
            return written.map(|()| Asked::Full);
        }
        let columns = Arc::new(PreparedColumns::of(Arc::clone(text)));
        self.prepared.insert(name, parameters.types().map(Type::oid), Arc::clone(&columns));
        Ok(self.asked(columns))
    }

    /// From here on nothing fails: what is in `out` is in `requests`, in the same order.
    fn asked(&mut self, columns: Columns) -> Asked {
        let (reply, answer) = oneshot::channel();
        self.requests.push_back(Request { reply, columns, rows: Vec::new(), outcome: Outcome::Rows });
        debug_assert!(self.requests.len() <= REQUESTS_MAX, "a full pipeline takes no request");
        Asked::Waiting(answer)
    }

    /// Moves what is to be sent to an empty buffer, which is used next.
    pub(crate) fn take(&mut self, out: &mut BytesMut) {
        debug_assert!(out.is_empty(), "what was taken before is sent");
        std::mem::swap(&mut self.out, out);
    }

    /// Reads whole messages off the front of what came, and answers.
    pub(crate) fn read(&mut self, input: &mut BytesMut) -> std::result::Result<(), Broken> {
        let mut at = 0;
        loop {
            let rest = input.get(at..).unwrap_or_default();
            if self.skipped > 0 {
                let now = self.skipped.min(rest.len());
                (self.skipped, at) = (self.skipped - now, at + now);
                if self.skipped > 0 {
                    break;
                }
                continue;
            }
            match Frame::first(rest)? {
                Frame::Whole(b'D', body) => {
                    let message = rest.get(..Frame::bytes(body)).ok_or(Broken)?;
                    self.first()?.row(message);
                    at += message.len();
                }
                Frame::Whole(kind, body) => {
                    self.message(kind, body)?;
                    at += Frame::bytes(body);
                }
                Frame::Part(b'D', bytes) if bytes > ANSWER_BYTES_MAX => {
                    self.first()?.give_up(Unanswered::Apart);
                    self.skipped = bytes;
                }
                Frame::Part(_, bytes) if bytes > MESSAGE_BYTES_MAX => return Err(Broken),
                Frame::Part(..) | Frame::Nothing => break,
            }
        }
        debug_assert!(at <= input.len(), "only what came is read");
        input.advance(at);
        Ok(())
    }

    fn first(&mut self) -> std::result::Result<&mut Request, Broken> {
        self.requests.front_mut().ok_or(Broken)
    }

    /// Kinds of <https://www.postgresql.org/docs/15/protocol-message-formats.html>.
    fn message(&mut self, kind: u8, body: &[u8]) -> std::result::Result<(), Broken> {
        match kind {
            b'T' => match frames::columns(body)? {
                // Asked for once for each name; what another says later would be no answer of ours.
                Some(types) => self.first()?.columns.set_types(types.into()).map_err(|_| Broken)?,
                None => self.first()?.give_up(Unanswered::Apart),
            },
            // No columns: not what a look-up asks.
            b'n' | b'I' => self.first()?.give_up(Unanswered::Apart),
            b'E' => {
                let failure = frames::failure(body)?;
                if failure.is_fatal {
                    // The server has closed, or will.
                    return Err(Broken);
                }
                self.first()?.outcome = Outcome::Failed(failure);
            }
            b'Z' if body == b"I" => return self.ready(),
            // ParseComplete, BindComplete, CloseComplete, ParameterDescription, CommandComplete.
            b'1' | b'2' | b'3' | b't' | b'C' => {
                self.first()?;
            }
            // NoticeResponse, ParameterStatus, NotificationResponse: at any time, to nobody.
            b'N' | b'S' | b'A' => {}
            _ => return Err(Broken),
        }
        Ok(())
    }

    /// The first request is over.
    fn ready(&mut self) -> std::result::Result<(), Broken> {
        let request = self.requests.pop_front().ok_or(Broken)?;
        let are_known = request.columns.are_known();
        let answer = match request.outcome {
            Outcome::Rows if are_known => Answer::Rows(request.columns, request.rows),
            // The request that prepared it ended before its columns came: the rows cannot be read.
            Outcome::Rows => Answer::Unanswered(Unanswered::Again),
            Outcome::Unanswered(why) => {
                self.forget(&request.columns);
                Answer::Unanswered(why)
            }
            // Not prepared, or its plan would give other columns now: prepared anew it may be what is asked for.
            Outcome::Failed(failure) => {
                let changed = matches!(failure.state.as_str(), "0A000" | "26000");
                if changed || !are_known {
                    self.forget(&request.columns);
                }
                if changed { Answer::Unanswered(Unanswered::Again) } else { Answer::Failed(failure) }
            }
        };
        // A caller that is gone needs no answer.
        drop(request.reply.send(answer));
        Ok(())
    }

    /// Ends a prepared statement, unless that has been done.
    fn forget(&mut self, columns: &Columns) {
        if let Some(name) = self.prepared.forget(columns)
            && frames::close(&name, &mut self.out).is_err()
        {
            self.closed = true;
        }
    }

    /// Requests that are not answered yet.
    pub(crate) fn waiting(&self) -> usize {
        self.requests.len()
    }

    /// The statement that runs now.
    pub(crate) fn running(&self) -> Option<&Arc<str>> {
        self.requests.front().map(|request| request.columns.text())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// Takes no more requests; what was asked is answered.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Answers nobody any more: whoever waits hears of it by the end of its channel.
    pub(crate) fn end(&mut self) {
        self.closed = true;
        self.requests.clear();
    }
}

impl Request {
    fn row(&mut self, message: &[u8]) {
        match self.outcome {
            Outcome::Rows if self.rows.len() + message.len() > ANSWER_BYTES_MAX => self.give_up(Unanswered::Apart),
            Outcome::Rows => self.rows.extend_from_slice(message),
            Outcome::Failed(_) | Outcome::Unanswered(_) => {}
        }
        debug_assert!(self.rows.len() <= ANSWER_BYTES_MAX, "an answer that grows beyond this is given up");
    }

    fn give_up(&mut self, why: Unanswered) {
        self.outcome = Outcome::Unanswered(why);
        self.rows = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connect::statements::STATEMENTS_MAX;
    use crate::wire::frames::tests::{described, parameters, said};
    use querygate_driver_api::value::Value;

    fn ask(pipeline: &mut Pipeline, text: &str, value: i32) -> Receiver<Answer> {
        match pipeline.ask(&text.into(), &parameters(&[Value::Int32(value)]), None).unwrap() {
            Asked::Waiting(answer) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn sent(pipeline: &mut Pipeline) -> String {
        let mut out = BytesMut::new();
        pipeline.take(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The answer to a first run with one row, or to a later one.
    fn answered(is_first: bool, row: &[u8]) -> Vec<u8> {
        let ready = said(b'Z', b"I");
        let prepared = [said(b'1', b""), said(b't', b"\0\x01\0\0\0\x17"), said(b'T', &described(&[23]))].concat();
        let rest = [said(b'2', b""), said(b'D', row), said(b'C', b"SELECT 1\0"), ready].concat();
        if is_first { [prepared, rest].concat() } else { rest }
    }

    fn rows(answer: &mut Receiver<Answer>) -> Vec<String> {
        match answer.try_recv().unwrap() {
            Answer::Rows(columns, rows) => {
                assert_eq!(columns.types(), [Type::INT4]);
                frames::rows(&rows).map(|row| String::from_utf8_lossy(row.unwrap()).into_owned()).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_answer_is_of_its_own_request_however_the_bytes_come() {
        let mut pipeline = Pipeline::default();
        let mut one = ask(&mut pipeline, "a", 1);
        let mut two = ask(&mut pipeline, "a", 2);
        let mut other = ask(&mut pipeline, "b", 3);
        let text = sent(&mut pipeline);
        assert_eq!((text.matches("q1\0a\0").count(), text.matches("q2\0b\0").count()), (1, 1), "{text}");
        assert_eq!(sent(&mut pipeline), "");
        let bytes = [answered(true, b"one"), answered(false, b"two"), answered(true, b"other")].concat();
        let mut input = BytesMut::new();
        for byte in bytes {
            input.extend_from_slice(&[byte]);
            pipeline.read(&mut input).unwrap();
        }
        assert!(input.is_empty() && pipeline.waiting() == 0);
        assert_eq!(rows(&mut one), ["one"]);
        assert_eq!(rows(&mut two), ["two"]);
        assert_eq!(rows(&mut other), ["other"]);
    }

    #[test]
    fn whoever_left_leaves_its_answer_to_nobody_else() {
        let mut pipeline = Pipeline::default();
        drop(ask(&mut pipeline, "a", 1));
        let mut two = ask(&mut pipeline, "a", 2);
        let bytes = [answered(true, b"one"), answered(false, b"two")].concat();
        pipeline.read(&mut BytesMut::from(bytes.as_slice())).unwrap();
        assert_eq!(rows(&mut two), ["two"]);
    }

    #[test]
    fn a_failure_is_its_own_statements() {
        let mut pipeline = Pipeline::default();
        let mut first = ask(&mut pipeline, "a", 0);
        let mut second = ask(&mut pipeline, "a", 1);
        let mut third = ask(&mut pipeline, "a", 2);
        let failed = |state: &str| said(b'E', format!("VERROR\0C{state}\0Mwords\0\0").as_bytes());
        let ready = said(b'Z', b"I");
        sent(&mut pipeline);
        let bytes = [answered(true, b"one"), failed("22012"), ready.clone(), failed("0A000"), ready].concat();
        pipeline.read(&mut BytesMut::from(bytes.as_slice())).unwrap();
        assert_eq!(rows(&mut first).len(), 1);
        assert!(matches!(second.try_recv(), Ok(Answer::Failed(failure)) if failure.state == "22012"));
        assert!(matches!(third.try_recv(), Ok(Answer::Unanswered(Unanswered::Again))));
        // Prepared anew under another name, the old one is closed.
        drop(ask(&mut pipeline, "a", 3));
        let text = sent(&mut pipeline);
        assert!(text.contains("Sq1\0") && text.contains("q2\0a\0"), "{text}");
    }

    #[test]
    fn a_statement_that_was_not_prepared_is_prepared_again() {
        let mut pipeline = Pipeline::default();
        let mut first = ask(&mut pipeline, "a", 0);
        let mut second = ask(&mut pipeline, "a", 1);
        let failed = |state: &str| said(b'E', format!("VERROR\0C{state}\0Mwords\0\0").as_bytes());
        let ready = said(b'Z', b"I");
        let bytes = [failed("42P01"), ready.clone(), failed("26000"), ready].concat();
        pipeline.read(&mut BytesMut::from(bytes.as_slice())).unwrap();
        assert!(matches!(first.try_recv(), Ok(Answer::Failed(failure)) if failure.state == "42P01"));
        assert!(matches!(second.try_recv(), Ok(Answer::Unanswered(Unanswered::Again))));
        sent(&mut pipeline);
        drop(ask(&mut pipeline, "a", 2));
        assert!(sent(&mut pipeline).contains("q2\0a\0"));
    }

    #[test]
    fn large_answers_are_not_held() {
        let large = vec![0; ANSWER_BYTES_MAX + 1];
        for cut in [7, 100_000, usize::MAX] {
            let mut pipeline = Pipeline::default();
            let mut one = ask(&mut pipeline, "a", 1);
            let mut two = ask(&mut pipeline, "b", 2);
            let mut input = BytesMut::new();
            for part in [answered(true, &large), answered(true, b"two")].concat().chunks(cut) {
                input.extend_from_slice(part);
                pipeline.read(&mut input).unwrap();
                assert!(input.len() <= MESSAGE_BYTES_MAX);
            }
            assert!(matches!(one.try_recv(), Ok(Answer::Unanswered(Unanswered::Apart))), "{cut}");
            assert_eq!(rows(&mut two).len(), 1);
        }
    }

    #[test]
    fn what_was_not_asked_for_breaks_the_connection() {
        let first = answered(true, b"one");
        for wrong in [
            said(b'Z', b"I"),
            said(b'D', b"x"),
            said(b'E', b"VFATAL\0C57P01\0Mbye\0\0"),
            said(b'?', b""),
            said(b'C', b"SELECT 1\0"),
        ] {
            let mut pipeline = Pipeline::default();
            let mut asked = ask(&mut pipeline, "a", 1);
            pipeline.read(&mut BytesMut::from(first.as_slice())).unwrap();
            assert_eq!(rows(&mut asked).len(), 1);
            assert_eq!(pipeline.read(&mut BytesMut::from(wrong.as_slice())), Err(Broken), "{wrong:?}");
        }
        let mut pipeline = Pipeline::default();
        let mut asked = ask(&mut pipeline, "a", 1);
        assert_eq!(pipeline.read(&mut BytesMut::from(said(b'Z', b"T").as_slice())), Err(Broken));
        pipeline.end();
        assert!(asked.try_recv().is_err());
        assert!(matches!(pipeline.ask(&"a".into(), &parameters(&[]), None), Ok(Asked::Full)));
    }

    #[test]
    fn statements_and_requests_are_bounded() {
        let mut pipeline = Pipeline::default();
        for number in 0..=STATEMENTS_MAX {
            drop(ask(&mut pipeline, &format!("s{number}"), 1));
            let answer = answered(true, b"x");
            pipeline.read(&mut BytesMut::from(answer.as_slice())).unwrap();
        }
        assert_eq!(pipeline.prepared.len(), STATEMENTS_MAX);
        // Described once, and closed.
        assert_eq!(sent(&mut pipeline).matches("Sq1\0").count(), 2);
        let waiting: Vec<_> = (0..REQUESTS_MAX).map(|_| ask(&mut pipeline, "a", 1)).collect();
        assert!(matches!(pipeline.ask(&"a".into(), &parameters(&[Value::Int32(1)]), None), Ok(Asked::Full)));
        drop(waiting);
        let long = Value::text("x".repeat(REQUEST_BYTES_MAX).as_str());
        let mut pipeline = Pipeline::default();
        assert!(matches!(pipeline.ask(&"a".into(), &parameters(&[long]), None), Ok(Asked::Full)));
        assert_eq!((sent(&mut pipeline).as_str(), pipeline.prepared.len()), ("", 0));
    }
}
