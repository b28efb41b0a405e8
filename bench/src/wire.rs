//! A raw client of the Postgres protocol that counts frames and decodes no value, so that the server is what is measured.

use bytes::BytesMut;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use postgres_protocol::message::frontend;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// One result, counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted {
    pub rows: u64,
    /// Of all frames.
    pub bytes: u64,
    /// From sending to the first row.
    pub first_row: Duration,
    /// From sending to ReadyForQuery.
    pub total: Duration,
}

/// Format of a result's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// By a simple query.
    Text,
    /// By an extended query with binary results.
    Binary,
}

/// A connection after authentication.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

fn failed(text: impl Into<String>) -> io::Error {
    io::Error::other(text.into())
}

impl Client {
    /// Connects with SCRAM or without a password.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn connect(address: SocketAddr, user: &str, password: &str, database: &str) -> io::Result<Self> {
        Self::connect_with(address, user, password, database, 256 * 1024)
    }

    /// Connects with a receive buffer of `buffer` bytes.
    ///
    /// # Errors
    /// The server's refusal.
    pub fn connect_with(
        address: SocketAddr,
        user: &str,
        password: &str,
        database: &str,
        buffer: usize,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut client = Self { stream, buffer: vec![0; buffer], start: 0, end: 0 };
        let mut out = BytesMut::new();
        frontend::startup_message([("user", user), ("database", database)], &mut out)?;
        client.send(&out)?;
        client.authenticate(password)?;
        client.until_ready(&mut |_, _| ())?;
        Ok(client)
    }

    fn authenticate(&mut self, password: &str) -> io::Result<()> {
        let mut scram: Option<ScramSha256> = None;
        loop {
            let (tag, body) = self.frame()?;
            if tag != b'R' {
                return Err(failed(format!("{} instead of authentication: {}", char::from(tag), text(&body))));
            }
            let (code, rest) = body.split_first_chunk::<4>().ok_or_else(|| failed("a short frame"))?;
            let mut out = BytesMut::new();
            match (i32::from_be_bytes(*code), &mut scram) {
                (0, _) => return Ok(()),
                (10, _) => {
                    let started = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
                    frontend::sasl_initial_response("SCRAM-SHA-256", started.message(), &mut out)?;
                    scram = Some(started);
                }
                (11, Some(scram)) => {
                    scram.update(rest)?;
                    frontend::sasl_response(scram.message(), &mut out)?;
                }
                (12, Some(scram)) => scram.finish(rest)?,
                (code, _) => return Err(failed(format!("authentication {code} is not known here"))),
            }
            self.send(&out)?;
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Makes `wanted` bytes of the next frame available.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        while self.end - self.start < wanted {
            if self.start + wanted > self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
                if wanted > self.buffer.len() {
                    self.buffer.resize(wanted.next_power_of_two(), 0);
                }
            }
            let read = self.stream.read(&mut self.buffer[self.end..])?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.end += read;
        }
        Ok(())
    }

    /// The next frame's tag and its length with the tag.
    fn peek(&mut self) -> io::Result<(u8, usize)> {
        self.fill(5)?;
        let head = &self.buffer[self.start..self.start + 5];
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        let length = usize::try_from(length).map_err(io::Error::other)?;
        Ok((head[0], length + 1))
    }

    fn frame(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let (tag, length) = self.peek()?;
        self.fill(length)?;
        let body = self.buffer[self.start + 5..self.start + length].to_vec();
        self.start += length;
        Ok((tag, body))
    }

    /// Reads frames to ReadyForQuery, telling each tag and length.
    fn until_ready(&mut self, see: &mut dyn FnMut(u8, usize)) -> io::Result<()> {
        loop {
            let (tag, length) = self.peek()?;
            self.fill(length)?;
            if tag == b'E' {
                return Err(failed(text(&self.buffer[self.start + 5..self.start + length])));
            }
            see(tag, length);
            self.start += length;
            if tag == b'Z' {
                return Ok(());
            }
        }
    }

    /// Runs a statement and counts its rows; `see` is told the number of rows after each.
    ///
    /// # Errors
    /// The server's error.
    pub fn count(&mut self, sql: &str, format: Format, see: &mut dyn FnMut(u64)) -> io::Result<Counted> {
        let mut out = BytesMut::new();
        match format {
            Format::Text => frontend::query(sql, &mut out)?,
            Format::Binary => {
                frontend::parse("", sql, [], &mut out)?;
                frontend::bind(
                    "",
                    "",
                    [],
                    std::iter::empty::<()>(),
                    |(), _| Ok(postgres_protocol::IsNull::Yes),
                    [1],
                    &mut out,
                )
                .map_err(|_| failed("cannot bind"))?;
                frontend::describe(b'P', "", &mut out)?;
                frontend::execute("", 0, &mut out)?;
                frontend::sync(&mut out);
            }
        }
        let mut counted = Counted::default();
        let started = Instant::now();
        self.send(&out)?;
        self.until_ready(&mut |tag, length| {
            counted.bytes += u64::try_from(length).unwrap_or_default();
            if tag == b'D' {
                if counted.rows == 0 {
                    counted.first_row = started.elapsed();
                }
                counted.rows += 1;
                see(counted.rows);
            }
        })?;
        counted.total = started.elapsed();
        Ok(counted)
    }

    /// Runs statements whose rows do not matter.
    ///
    /// # Errors
    /// The server's error.
    pub fn run(&mut self, sql: &str) -> io::Result<()> {
        self.count(sql, Format::Text, &mut |_| ()).map(drop)
    }
}

/// An error frame's fields in one line.
fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).replace('\0', " ")
}
