//! A described result: its schema, its parts, and the tickets for them, which can be written down. Fetches nothing.

use super::undecodable;
use arrow::datatypes::SchemaRef;
use arrow_flight::{FlightEndpoint, FlightInfo, Ticket};
use prost::Message as _;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A described result.
#[derive(Debug, Clone, PartialEq)]
pub struct RemoteResult {
    /// Schema of every batch.
    pub schema: SchemaRef,
    /// What to fetch: every row is in exactly one of them.
    pub tickets: Vec<Ticket>,
    /// Rows of all of them, where the gate tells.
    pub rows: Option<u64>,
    info: FlightInfo,
}

impl RemoteResult {
    pub(super) fn of(info: FlightInfo) -> Result<Self> {
        let schema = info.clone().try_decode_schema().map_err(|error| undecodable(&error))?;
        let tickets = info.endpoint.iter().map(|endpoint| {
            // A gate that sends its clients elsewhere would have to say who that is.
            let here = endpoint.location.is_empty();
            endpoint.ticket.clone().filter(|_| here).ok_or_else(|| {
                Error::new(ErrorCode::FeatureNotSupported, "a part of the result lies at another server")
            })
        });
        let tickets = tickets.collect::<Result<_>>()?;
        let rows = u64::try_from(info.total_records).ok();
        Ok(Self { schema: Arc::new(schema), tickets, rows, info })
    }

    pub(super) fn info(&self) -> &FlightInfo {
        &self.info
    }

    pub(super) fn renewed(&self, part: usize, endpoint: FlightEndpoint) -> Result<Self> {
        let mut info = self.info.clone();
        let slot = info.endpoint.get_mut(part).ok_or_else(|| Error::internal("a result has no such part"))?;
        *slot = endpoint;
        Self::of(info)
    }

    /// What has to be remembered to fetch it later, as another session of the same user.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.info.encode_to_vec()
    }

    /// Reads what was remembered.
    ///
    /// # Errors
    /// 08P01: it is something else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::of(FlightInfo::decode(bytes).map_err(|error| undecodable(&error))?)
    }

    /// How long a part's ticket is still good, by this machine's clock. `None`: it does not expire.
    #[must_use]
    pub fn expires_in(&self, part: usize) -> Option<Duration> {
        let expiration = self.info.endpoint.get(part)?.expiration_time?;
        let seconds = u64::try_from(expiration.seconds).unwrap_or(0);
        let at = UNIX_EPOCH + Duration::new(seconds, u32::try_from(expiration.nanos).unwrap_or(0));
        Some(at.duration_since(SystemTime::now()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{DataType, Field, Schema};

    #[test]
    fn what_is_remembered_is_read_back_and_parts_can_be_renewed() {
        let schema = Schema::new(vec![Field::new("a", DataType::Int64, true)]);
        let endpoint = |name: &'static str, seconds| {
            let expires = prost_types::Timestamp { seconds, nanos: 0 };
            FlightEndpoint::new().with_ticket(Ticket::new(name)).with_expiration_time(expires)
        };
        let info = FlightInfo::new().try_with_schema(&schema).unwrap().with_total_records(9);
        let info = info.with_endpoint(endpoint("one", 1)).with_endpoint(endpoint("two", i64::from(u32::MAX)));
        let result = RemoteResult::of(info).unwrap();
        assert_eq!(RemoteResult::from_bytes(&result.to_bytes()).unwrap(), result);
        assert_eq!((result.tickets.len(), result.rows), (2, Some(9)));
        assert_eq!(result.expires_in(0), Some(Duration::ZERO));
        assert!(result.expires_in(1).is_some_and(|left| left > Duration::from_secs(3_600)));
        let renewed = result.renewed(0, endpoint("three", i64::from(u32::MAX))).unwrap();
        assert_eq!(
            (renewed.tickets[0].clone(), renewed.tickets[1].clone()),
            (Ticket::new("three"), Ticket::new("two"))
        );
        assert!(renewed.expires_in(0).is_some_and(|left| !left.is_zero()));
        assert!(result.renewed(2, endpoint("four", 1)).is_err());
        assert!(RemoteResult::from_bytes(b"nonsense").is_err());
    }
}
