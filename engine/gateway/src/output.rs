//! Where commands write what people read: standard output and error behind one type that tests can capture.

use querygate_extension::Extensions;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Where findings go: standard output when they are what was asked for, else standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

/// What a command's caller gives it: its streams, and what the binary has in Rust.
pub struct Output {
    extensions: Extensions,
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    input: Box<dyn BufRead + Send>,
    color: bool,
    interactive: bool,
    progress: bool,
    /// Standard output is closed: its reader is gone.
    closed: bool,
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").field("color", &self.color).finish_non_exhaustive()
    }
}

impl Output {
    /// The process' own streams; colours when standard output is a terminal and `NO_COLOR` is unset.
    #[must_use]
    pub fn standard() -> Self {
        let color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self {
            extensions: Extensions::default(),
            out: Box::new(io::stdout()),
            err: Box::new(io::stderr()),
            input: Box::new(io::BufReader::new(io::stdin())),
            color,
            interactive: io::stdin().is_terminal(),
            progress: io::stderr().is_terminal(),
            closed: false,
        }
    }

    /// Captures what is written, in order, from both streams; reads `input`.
    #[must_use]
    pub fn captured(input: &str) -> (Self, Captured) {
        let captured = Captured::default();
        let output = Self {
            extensions: Extensions::default(),
            out: Box::new(captured.clone()),
            err: Box::new(captured.clone()),
            input: Box::new(io::Cursor::new(input.to_owned())),
            color: false,
            interactive: false,
            progress: false,
            closed: false,
        };
        (output, captured)
    }

    /// As [`Output::captured`], with a standard output that is closed.
    #[cfg(test)]
    pub(crate) fn unread() -> (Self, Captured) {
        let (output, captured) = Self::captured("");
        (Self { out: Box::new(Unread), ..output }, captured)
    }

    /// Of a binary with extensions.
    #[must_use]
    pub fn with_extensions(mut self, extensions: Extensions) -> Self {
        self.extensions = extensions;
        self
    }

    pub(crate) fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// One line on the chosen stream.
    pub(crate) fn line_to(&mut self, stream: Stream, text: &str) -> io::Result<()> {
        match stream {
            Stream::Out => self.line(text),
            Stream::Err => self.note(text),
        }
    }

    /// Whether a person sits at the input.
    pub(crate) fn interactive(&self) -> bool {
        self.interactive
    }

    /// Whether a person looks at standard error, so that a line may be drawn over.
    pub(crate) fn shows_progress(&self) -> bool {
        self.progress
    }

    /// Whether a write to standard output found it closed (`querygate … | head`).
    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// One line on standard output.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        let written = writeln!(self.out, "{text}");
        self.noted(written)
    }

    /// Text on standard output, without a line end, shown at once.
    pub(crate) fn text(&mut self, text: &str) -> io::Result<()> {
        let written = write!(self.out, "{text}").and_then(|()| self.out.flush());
        self.noted(written)
    }

    fn noted(&mut self, written: io::Result<()>) -> io::Result<()> {
        self.closed |= matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe);
        written
    }

    /// One line on standard error: progress, prompts and failures, so that standard output stays data. A reader who is gone stops no
    /// work.
    pub(crate) fn note(&mut self, text: &str) -> io::Result<()> {
        match writeln!(self.err, "{text}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            noted => noted,
        }
    }

    /// Text on standard error without a line end.
    pub(crate) fn prompt(&mut self, text: &str) -> io::Result<()> {
        write!(self.err, "{text}")?;
        self.err.flush()
    }

    /// The next input line without its end; `None` at the end of input.
    pub(crate) fn read_line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    /// Everything left of the input.
    pub(crate) fn read_all(&mut self) -> io::Result<String> {
        let mut text = String::new();
        self.input.read_to_string(&mut text)?;
        Ok(text)
    }

    pub(crate) fn red(&self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub(crate) fn yellow(&self, text: &str) -> String {
        self.paint("1;33", text)
    }

    pub(crate) fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    pub(crate) fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// What a captured [`Output`] wrote.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Captured {
    /// The text so far.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Captured {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A pipe whose reader has left.
#[cfg(test)]
struct Unread;

#[cfg(test)]
impl Write for Unread {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
