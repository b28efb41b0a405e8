//! From when until when a certificate is good, out of its bytes (X.509 in DER). Reads nothing else of it.

use chrono::NaiveDate;

/// Seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: i64,
    pub(super) until: i64,
}

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
/// `[0]`: the version, in certificates that say it.
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The validity of a certificate; `None` for bytes that are none.
pub(super) fn validity(certificate: &[u8]) -> Option<Validity> {
    let (signed, _) = expect(certificate, SEQUENCE)?;
    let (fields, _) = expect(signed, SEQUENCE)?;
    let (tag, _, after) = element(fields)?;
    let fields = if tag == VERSION { after } else { fields };
    let (_, fields) = expect(fields, INTEGER)?;
    let (_algorithm, fields) = expect(fields, SEQUENCE)?;
    let (_issuer, fields) = expect(fields, SEQUENCE)?;
    let (times, _) = expect(fields, SEQUENCE)?;
    let (from, rest) = time(times)?;
    let (until, _) = time(rest)?;
    Some(Validity { from, until })
}

/// Content of the first element, which must have this tag, and what follows.
fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// Tag and content of the first element, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0usize, |length, digit| (length << 8) | usize::from(*digit)), rest)
        }
        // Without an end, or longer than any certificate.
        0x80 | 0x85..=0xff => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`: the forms that RFC 5280 allows.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, text) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let year: i32 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2_000 + year } else { 1_900 + year }, text.get(2..)?)
        }
        (GENERALIZED_TIME, 14) => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| text.get(at..at + 2)?.parse::<u32>().ok();
    let day = NaiveDate::from_ymd_opt(year, part(0)?, part(2)?)?;
    let moment = day.and_hms_opt(part(4)?, part(6)?, part(8)?)?;
    Some((moment.and_utc().timestamp(), rest))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![tag];
        match content.len() {
            short @ 0..=0x7f => bytes.push(u8::try_from(short).unwrap()),
            long => bytes.extend([0x82, u8::try_from(long >> 8).unwrap(), u8::try_from(long & 0xff).unwrap()]),
        }
        bytes.extend(content);
        bytes
    }

    /// As much of a certificate as is read.
    pub(in super::super) fn certificate(from: &str, until: &str) -> Vec<u8> {
        let time = |text: &str| wrap(if text.len() == 13 { UTC_TIME } else { GENERALIZED_TIME }, text.as_bytes());
        let issuer = wrap(SEQUENCE, &[0; 200]);
        let times = wrap(SEQUENCE, &[time(from), time(until)].concat());
        let version = wrap(VERSION, &wrap(INTEGER, &[2]));
        let fields = [version, wrap(INTEGER, &[1; 20]), wrap(SEQUENCE, &[5, 0]), issuer, times, vec![5, 0]].concat();
        wrap(SEQUENCE, &[wrap(SEQUENCE, &fields), wrap(SEQUENCE, &[5, 0])].concat())
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let bytes = certificate("260101000000Z", "20500101000001Z");
        assert_eq!(validity(&bytes), Some(Validity { from: 1_767_225_600, until: 2_524_608_001 }));
        assert_eq!(validity(&certificate("500101000000Z", "491231235959Z")).unwrap().from, -631_152_000);
    }

    #[test]
    fn what_is_no_certificate_has_no_validity() {
        let bytes = certificate("260101000000Z", "270101000000Z");
        for end in 0..bytes.len() - 20 {
            assert_eq!(validity(&bytes[..end]), None, "{end}");
        }
        for wrong in ["260101000000+", "261301000000Z", "26010100000xZ", "2601010000000Z"] {
            assert_eq!(validity(&certificate(wrong, "270101000000Z")), None, "{wrong}");
        }
        assert_eq!(validity(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(validity(&[0x30, 0x80, 0, 0]), None);
    }
}
