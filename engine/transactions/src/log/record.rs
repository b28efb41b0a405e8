//! Records of the decision log as bytes, and the header before them. Reads no file.

use querygate_frame_log::{checksum, first, framed};
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// What the log says of one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The gate's number of it.
    pub(crate) number: u64,
    pub(crate) step: Step,
}

/// How far a transaction is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The parties are prepared, and the last one commits: only it knows the outcome.
    Ask {
        last: Party,
        parties: Vec<Party>,
        since_ms: u64,
    },
    Commit {
        parties: Vec<Party>,
        since_ms: u64,
    },
    /// The outcome of an `Ask`, or an operator's word. Elsewhere what is not in the log is rolled back.
    Abort {
        parties: Vec<Party>,
        since_ms: u64,
    },
    /// Every party has done what was decided.
    End,
}

/// A source that takes part, and its part of the transaction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Party {
    pub(crate) source: Arc<str>,
    pub(crate) branch: u16,
}

/// Bytes of one record, at most.
const PAYLOAD_MAX: u32 = 64 << 10;
const MAGIC: &[u8; 8] = b"QGTXLOG1";

/// The record of an entry.
///
/// # Errors
/// 54000: names of participants are too long.
pub(crate) fn encode(entry: &Entry) -> Result<Vec<u8>> {
    let (kind, since, last, parties): (u8, u64, Option<&Party>, &[Party]) = match &entry.step {
        Step::Ask { last, parties, since_ms } => (1, *since_ms, Some(last), parties),
        Step::Commit { parties, since_ms } => (2, *since_ms, None, parties),
        Step::Abort { parties, since_ms } => (3, *since_ms, None, parties),
        Step::End => (4, 0, None, &[]),
    };
    let mut payload = vec![kind];
    payload.extend(entry.number.to_le_bytes());
    payload.extend(since.to_le_bytes());
    for party in last.into_iter().chain(parties) {
        payload.extend(party.branch.to_le_bytes());
        payload.extend(u16::try_from(party.source.len()).map_err(|_| too_long())?.to_le_bytes());
        payload.extend(party.source.as_bytes());
    }
    let record = framed(&[&payload], PAYLOAD_MAX).ok_or_else(too_long)?;
    debug_assert_eq!(
        decode(&record).ok().flatten().map(|(read, _)| read).as_ref(),
        Some(entry),
        "recovery reads what was decided"
    );
    Ok(record)
}

fn too_long() -> Error {
    Error::new(ErrorCode::ProgramLimitExceeded, "too many sources take part in the transaction")
}

/// The first record and its length. `None`: what is there is no whole record, as after a crash in the midst of a write.
///
/// # Errors
/// F0000: it is whole, and nothing that this version writes.
pub(crate) fn decode(bytes: &[u8]) -> Result<Option<(Entry, usize)>> {
    let Some((payload, length)) = first(bytes, PAYLOAD_MAX) else { return Ok(None) };
    let entry = entry(payload).ok_or_else(|| {
        Error::new(ErrorCode::ConfigInvalid, "the transactions' log was written by another version of the gate")
    })?;
    Ok(Some((entry, length)))
}

fn entry(payload: &[u8]) -> Option<Entry> {
    let (kind, rest) = payload.split_first()?;
    let number = u64::from_le_bytes(rest.first_chunk().copied()?);
    let rest = rest.get(8..)?;
    let since_ms = u64::from_le_bytes(rest.first_chunk().copied()?);
    let mut parties = parties(rest.get(8..)?)?;
    let step = match kind {
        1 if !parties.is_empty() => Step::Ask { last: parties.remove(0), parties, since_ms },
        2 => Step::Commit { parties, since_ms },
        3 => Step::Abort { parties, since_ms },
        4 => Step::End,
        _ => return None,
    };
    Some(Entry { number, step })
}

fn parties(mut bytes: &[u8]) -> Option<Vec<Party>> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let branch = u16::from_le_bytes(bytes.first_chunk().copied()?);
        let length = usize::from(u16::from_le_bytes(bytes.get(2..)?.first_chunk().copied()?));
        let source = std::str::from_utf8(bytes.get(4..4 + length)?).ok()?.into();
        found.push(Party { source, branch });
        bytes = bytes.get(4 + length..)?;
    }
    Some(found)
}

/// What a log begins with: its kind and whose it is.
pub(crate) fn header(gate: &str) -> Vec<u8> {
    let mut header = MAGIC.to_vec();
    header.extend(u16::try_from(gate.len()).unwrap_or(u16::MAX).to_le_bytes());
    header.extend(gate.as_bytes());
    header.extend(checksum(&header).to_le_bytes());
    header
}

/// Whose log it is, and where its records begin. `None`: it is no log.
pub(crate) fn read_header(bytes: &[u8]) -> Option<(String, usize)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let length = usize::from(u16::from_le_bytes(rest.first_chunk().copied()?));
    let end = MAGIC.len() + 2 + length;
    let gate = String::from_utf8(bytes.get(MAGIC.len() + 2..end)?.to_vec()).ok()?;
    let sum = u32::from_le_bytes(bytes.get(end..end + 4)?.first_chunk().copied()?);
    (checksum(bytes.get(..end)?) == sum).then_some((gate, end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_and_damaged_ones_do_not() {
        let party = |source: &str, branch| Party { source: source.into(), branch };
        let parties = vec![party("shop", 0), party("st\u{f6}re", u16::MAX)];
        let steps = [
            Step::Ask { last: party("lite", 2), parties: parties.clone(), since_ms: 7 },
            Step::Commit { parties: parties.clone(), since_ms: u64::MAX },
            Step::Abort { parties, since_ms: 0 },
            Step::End,
        ];
        for step in steps {
            let entry = Entry { number: u64::MAX - 1, step };
            let record = encode(&entry).unwrap();
            assert_eq!(decode(&record).unwrap(), Some((entry, record.len())));
            for at in 0..record.len() {
                assert_eq!(decode(&record[..at]).unwrap(), None, "cut at {at}");
                let mut damaged = record.clone();
                damaged[at] ^= 0x10;
                assert_eq!(decode(&damaged).unwrap(), None, "damaged at {at}");
            }
        }
        let unknown = [9_u8; 17];
        assert!(decode(&framed(&[&unknown], PAYLOAD_MAX).unwrap()).is_err());
        let whole = header("shop-1");
        assert_eq!(read_header(&whole), Some(("shop-1".to_owned(), whole.len())));
        for at in 0..whole.len() {
            assert_eq!(read_header(&whole[..at]), None);
        }
    }
}
