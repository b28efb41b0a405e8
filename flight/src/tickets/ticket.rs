//! Tickets: what a client shows to fetch a result. Sealed, and bound to principal, statement, snapshot, result schema and
//! expiry. Knows nothing of how the statement is run.

use crate::tickets::seal::{Id, Purpose, Seal, later_ms, now_ms};
use arrow_flight::sql::{Any, ProstMessageExt as _, TicketStatementQuery};
use arrow_flight::{FlightEndpoint, Ticket};
use bytes::Bytes;
use prost::Message;
use querygate_types::{Error, ErrorCode, Result};
use std::time::Duration;

/// What a ticket says, behind the seal.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct TicketBody {
    /// Login of the principal who asked.
    #[prost(string, tag = "1")]
    pub(crate) login: String,
    /// Version of the metadata the statement was bound on.
    #[prost(uint64, tag = "2")]
    pub(crate) snapshot: u64,
    /// Milliseconds since 1970.
    #[prost(uint64, tag = "3")]
    pub(crate) expires_ms: u64,
    /// Name of the flight, for cancelling it and for asking how far it is.
    #[prost(bytes = "bytes", tag = "4")]
    pub(crate) id: Bytes,
    /// SHA-256 of the promised schema.
    #[prost(bytes = "bytes", tag = "5")]
    pub(crate) schema: Bytes,
    /// The command, as the client sent it (`google.protobuf.Any`).
    #[prost(bytes = "bytes", tag = "6")]
    pub(crate) command: Bytes,
    /// The part of the result that it gives, as the engine named it; empty for all of it.
    #[prost(bytes = "bytes", tag = "7")]
    pub(crate) part: Bytes,
    /// Which of the flight's endpoints this is, from 0.
    #[prost(uint32, tag = "8")]
    pub(crate) place: u32,
    /// Endpoints of the flight.
    #[prost(uint32, tag = "9")]
    pub(crate) places: u32,
    /// Rows of the whole flight, where that is known.
    #[prost(uint64, optional, tag = "10")]
    pub(crate) rows: Option<u64>,
    /// No renewal lasts longer than to here; milliseconds since 1970.
    #[prost(uint64, tag = "11")]
    pub(crate) last_ms: u64,
}

impl TicketBody {
    /// The ticket as clients carry it. The outer message is what Flight SQL names for it; clients look at none of it.
    pub(crate) fn seal(&self, seal: &Seal) -> Ticket {
        debug_assert!(self.places == 0 || self.place < self.places, "an endpoint is one of its flight's");
        let sealed = seal.close(Purpose::Ticket, &self.encode_to_vec());
        Ticket::new(TicketStatementQuery { statement_handle: sealed.into() }.as_any().encode_to_vec())
    }

    /// Reads a ticket that a client showed. `login` is who shows it.
    pub(crate) fn open(seal: &Seal, ticket: &Ticket, login: &str) -> Result<Self> {
        let body = Self::read(seal, ticket).ok_or_else(invalid)?;
        // One answer for a forged ticket and for somebody else's: neither tells that the other exists.
        if body.login != login {
            return Err(invalid());
        }
        if now_ms() >= body.expires_ms {
            return Err(Error::new(ErrorCode::InvalidAuthorization, "the ticket has expired")
                .with_hint("Ask for the flight again, or renew an endpoint before it expires."));
        }
        Ok(body)
    }

    fn read(seal: &Seal, ticket: &Ticket) -> Option<Self> {
        let any = Any::decode(ticket.ticket.clone()).ok()?;
        let handle = any.unpack::<TicketStatementQuery>().ok()??.statement_handle;
        Self::decode(seal.open(Purpose::Ticket, &handle)?).ok()
    }

    /// Whether bytes that came as a command are a ticket's.
    pub(crate) fn is_ticket(command: &Bytes) -> bool {
        Any::decode(command.clone()).is_ok_and(|any| any.is::<TicketStatementQuery>())
    }

    /// Makes it good for so long from now, though not beyond its last moment.
    pub(crate) fn renew(&mut self, lifetime: Duration) {
        self.expires_ms = later_ms(lifetime).min(self.last_ms).max(self.expires_ms);
    }

    /// The name as a key.
    pub(crate) fn name(&self) -> Id {
        Id::try_from(self.id.as_ref()).unwrap_or_default()
    }

    /// The endpoint that offers this ticket. No location: fetch it where it was asked for.
    pub(crate) fn endpoint(&self, seal: &Seal) -> FlightEndpoint {
        FlightEndpoint::new().with_ticket(self.seal(seal)).with_expiration_time(self.expiration())
    }

    /// When it is worth nothing any more.
    pub(crate) fn expiration(&self) -> prost_types::Timestamp {
        let seconds = i64::try_from(self.expires_ms / 1_000).unwrap_or(i64::MAX);
        let nanos = i32::try_from(self.expires_ms % 1_000 * 1_000_000).unwrap_or(0);
        prost_types::Timestamp { seconds, nanos }
    }
}

fn invalid() -> Error {
    Error::new(ErrorCode::InvalidAuthorization, "the ticket is not valid")
        .with_hint("A ticket is good for the user it was made for, unaltered, until this server restarts.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(expires_ms: u64) -> TicketBody {
        TicketBody {
            login: "sam".to_owned(),
            snapshot: 7,
            expires_ms,
            id: Bytes::from_static(&[9; 16]),
            schema: Bytes::from_static(&[1; 32]),
            command: Bytes::from_static(b"command"),
            part: Bytes::from_static(b"a part"),
            place: 1,
            places: 2,
            rows: Some(9),
            last_ms: expires_ms + 1_000,
        }
    }

    #[test]
    fn renewals_have_an_end() {
        let lifetime = Duration::from_secs(60);
        let mut ticket = body(now_ms() + 1_000);
        ticket.last_ms = now_ms() + 90_000;
        ticket.renew(lifetime);
        assert!(ticket.expires_ms >= now_ms() + 59_000 && ticket.expires_ms < ticket.last_ms);
        ticket.last_ms = now_ms() + 30_000;
        ticket.renew(lifetime);
        assert!(ticket.expires_ms > ticket.last_ms, "nothing that was promised is taken back");
        let mut over = body(now_ms() + 1_000);
        over.renew(lifetime);
        assert_eq!(over.expires_ms, over.last_ms);
    }

    #[test]
    fn a_ticket_is_good_for_its_user_until_it_expires() {
        let seal = Seal::new().unwrap();
        let good = body(now_ms() + 60_000);
        assert_eq!(TicketBody::open(&seal, &good.seal(&seal), "sam").unwrap(), good);
        let message =
            |ticket: &Ticket, login: &str| TicketBody::open(&seal, ticket, login).unwrap_err().message().to_owned();
        assert_eq!(message(&good.seal(&seal), "ada"), "the ticket is not valid");
        assert_eq!(message(&good.seal(&Seal::new().unwrap()), "sam"), "the ticket is not valid");
        assert_eq!(message(&body(now_ms()).seal(&seal), "sam"), "the ticket has expired");
        assert_eq!(message(&body(now_ms()).seal(&seal), "ada"), "the ticket is not valid");
    }

    #[test]
    fn no_altered_byte_passes() {
        let seal = Seal::new().unwrap();
        let ticket = body(now_ms() + 60_000).seal(&seal);
        for at in 0..ticket.ticket.len() {
            for bit in [1, 0x80] {
                let mut bytes = ticket.ticket.to_vec();
                bytes[at] ^= bit;
                assert!(TicketBody::open(&seal, &Ticket::new(bytes), "sam").is_err(), "{at}");
            }
        }
        for length in 0..ticket.ticket.len() {
            assert!(TicketBody::open(&seal, &Ticket::new(ticket.ticket.slice(..length)), "sam").is_err(), "{length}");
        }
    }
}
