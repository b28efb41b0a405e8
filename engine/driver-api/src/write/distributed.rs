//! Transactions of several sources that are stored together or not at all: their ids, what a source contributes, and what is known of a
//! part that was left alone. Who decides, and remembers what was decided, is no driver.
//!
//! A gate has an id of its own ([`GateId`]), and so has each source's part of each of its transactions ([`GlobalId`]): a source can be
//! asked for the parts that a gate left there.
//!
//! - Parts that can be prepared ([`Prepare::Prepared`]) outlast their connection, and the source itself, until they are settled.
//! - One part at most may be of a source that cannot do so ([`Prepare::Marker`]). It commits last, together with a row that holds the
//!   transaction's id: whether the row is there *is* the decision, for all parts.

use querygate_types::{Error, ErrorCode};
use std::fmt;
use std::str::FromStr;

/// The operator's table or collection of a source whose transactions leave a marker. Its columns (or fields): `id`, a text of up to 64
/// characters, the primary key (in MongoDB: `_id`); `fate`, a text, `commit` or `abort`.
pub const MARKER_TABLE: &str = "querygate_commits";
/// Bytes of a written id, at most.
pub const ID_BYTES_MAX: usize = 64;
/// Prepared parts that are listed at a time, at most: those that were there first.
pub const LISTED_MAX: usize = 10_000;
/// What every id begins with.
const PREFIX: &str = "qg-";

/// Which gate a prepared transaction belongs to. Two gates that reach one source have two ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GateId(u64);

/// One source's part of a transaction. No two parts have the same, not in two sources either: those may be two databases of one server,
/// which knows an id once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GlobalId {
    /// Whose it is.
    pub gate: GateId,
    /// The transaction, which the gate has numbered once and for all.
    pub number: u64,
    /// The part.
    pub branch: u16,
}

/// What a source contributes to a transaction of several sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Prepare {
    /// Nothing: it can be the only source that is written.
    No,
    /// [`Transaction::prepare`](super::Transaction::prepare): afterwards it cannot fail to commit, and waits for the decision as long as
    /// it takes. The transaction must have begun with its id ([`Begin::global`](super::Begin)).
    Prepared,
    /// [`Transaction::write_marker`](super::Transaction::write_marker), then a commit, after all others are prepared: its outcome is
    /// the decision. [`Writer::marker_fate`](super::Writer::marker_fate) finds it out where the answer was lost. One part at most.
    Marker,
}

/// Why a transaction is not prepared, or may not be.
#[derive(Debug, Clone)]
pub enum PrepareError {
    /// It is not. What is left of it is a rollback.
    Refused(Error),
    /// The answer was lost: it is prepared, or gone, or about to be either. What is left is to settle its id
    /// ([`Writer::settle`](super::Writer::settle)), and to look for it again later
    /// ([`Writer::prepared`](super::Writer::prepared)): what was sent may arrive late.
    Unknown(Error),
}

/// What came of settling a prepared transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settled {
    /// It was prepared, and has ended as it was to.
    Done,
    /// There is none: it was settled before, or never prepared. Nothing is left to do.
    Absent,
    /// It is there, and the source still keeps it for a connection that has not ended. It is to be tried again.
    Held,
}

impl GateId {
    /// A gate's id out of its number, which its maker draws at random.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Display for GateId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorCode::InvalidTextRepresentation, what)
}

impl FromStr for GateId {
    type Err = Error;

    /// # Errors
    /// 22P02: it is anything but 16 hexadecimal digits in lower case.
    fn from_str(text: &str) -> Result<Self, Error> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if text.len() != 16 || !text.bytes().all(is_digit) {
            return Err(invalid("the id of a gate has 16 hexadecimal digits"));
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| invalid("the id of a gate has 16 hexadecimal digits"))
    }
}

impl GlobalId {
    /// A part of a gate's transaction.
    #[must_use]
    pub const fn new(gate: GateId, number: u64, branch: u16) -> Self {
        Self { gate, number, branch }
    }

    /// What the ids of a gate's parts begin with, and no others do.
    #[must_use]
    pub fn prefix(gate: GateId) -> String {
        format!("{PREFIX}{gate}-")
    }
}

impl fmt::Display for GlobalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}-{}", self.gate, self.number, self.branch)
    }
}

impl FromStr for GlobalId {
    type Err = Error;

    /// # Errors
    /// 22P02: no id is written like this.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = || invalid("this is no id of a transaction of a gate");
        let parts = text.strip_prefix(PREFIX).ok_or_else(wrong)?;
        let mut parts = parts.split('-');
        let (Some(gate), Some(number), Some(branch), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong());
        };
        let id = Self::new(gate.parse()?, number.parse().map_err(|_| wrong())?, branch.parse().map_err(|_| wrong())?);
        // Another spelling is another id for the source.
        if id.to_string() == text { Ok(id) } else { Err(wrong()) }
    }
}

impl PrepareError {
    /// What the client hears.
    #[must_use]
    pub const fn error(&self) -> &Error {
        match self {
            Self::Refused(error) | Self::Unknown(error) => error,
        }
    }

    /// As of a source that cannot be part of a transaction of several.
    #[must_use]
    pub fn unsupported() -> Self {
        Self::Refused(unsupported())
    }
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for PrepareError {}

/// 0A000: the source cannot be part of a transaction of several.
#[must_use]
pub fn unsupported() -> Error {
    Error::new(ErrorCode::FeatureNotSupported, "the source cannot be changed together with others in one transaction")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_as_it_was_written() {
        for (gate, number, branch) in [(0, 0, 0), (0x0123_4567_89ab_cdef, 42, 7), (u64::MAX, u64::MAX, u16::MAX)] {
            let id = GlobalId::new(GateId::new(gate), number, branch);
            let text = id.to_string();
            assert!(text.len() <= ID_BYTES_MAX, "{text}");
            assert!(text.starts_with(&GlobalId::prefix(id.gate)), "{text}");
            assert_eq!(text.parse::<GlobalId>().unwrap(), id);
        }
        assert_eq!(GlobalId::new(GateId::new(0xab), 5, 1).to_string(), "qg-00000000000000ab-5-1");
    }

    #[test]
    fn another_spelling_is_no_id() {
        for text in [
            "",
            "qg-",
            "qg-00000000000000ab",
            "qg-00000000000000ab-5",
            "qg-00000000000000AB-5-1",
            "qg-0000000000000ab-5-1",
            "qg-00000000000000ab-05-1",
            "qg-00000000000000ab-+5-1",
            "qg-00000000000000ab-5-01",
            "qg-00000000000000ab-5-1-",
            "qg-00000000000000ab-5-65536",
            "qg-00000000000000ab-18446744073709551616-1",
            " qg-00000000000000ab-5-1",
            "xx-00000000000000ab-5-1",
            "qg-00000000000000ab-5-1' or '1",
        ] {
            assert!(text.parse::<GlobalId>().is_err(), "{text}");
        }
    }
}
