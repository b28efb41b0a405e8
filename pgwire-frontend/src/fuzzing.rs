//! What fuzz targets and corpus replays call: every reader of hostile bytes, with the properties that must hold. Knows no
//! socket.

use crate::decode::decode_parameter;
use crate::startup::auth::Exchange;
use crate::startup::packet::first_packet;
use crate::wire::{Format, FrameLimits, Message, Phase, next_message};
use bytes::{Bytes, BytesMut};
use querygate_query_api::scram::ScramVerifier;
use querygate_query_api::values::zone::Zone;
use querygate_types::PgType;

/// Largest frame in fuzzing.
const FRAME_BYTES: usize = 1 << 16;

/// Reads a stream of frames at once and byte by byte: both must give the same messages, each taking exactly its frame.
/// Gives the number of whole messages and whether the two ways agreed.
#[must_use]
pub fn frames(stream: &[u8]) -> (usize, bool) {
    let whole = read_all(stream, stream.len().max(1));
    let dripped = read_all(stream, 1);
    (whole.messages.len(), whole == dripped && whole.in_step)
}

#[derive(PartialEq, Eq)]
struct Reading {
    messages: Vec<String>,
    in_step: bool,
}

fn read_all(stream: &[u8], step: usize) -> Reading {
    let limits = FrameLimits::new(FRAME_BYTES);
    let mut input = BytesMut::new();
    let mut reading = Reading { messages: Vec::new(), in_step: true };
    let mut taken = 0;
    for chunk in stream.chunks(step) {
        input.extend_from_slice(chunk);
        loop {
            let before = input.len();
            let announced = input.get(1..5).and_then(|b| <[u8; 4]>::try_from(b).ok()).map(i32::from_be_bytes);
            match next_message(&mut input, Phase::Session, limits) {
                Ok(None) => break,
                Ok(Some(message)) => {
                    let consumed = before - input.len();
                    reading.in_step &=
                        announced.is_some_and(|length| usize::try_from(length).ok() == Some(consumed - 1));
                    taken += consumed;
                    reading.messages.push(format!("{message:?}"));
                    if matches!(message, Ok(Message::Terminate)) {
                        return reading;
                    }
                }
                Err(error) => {
                    reading.messages.push(format!("{error:?} after {taken}"));
                    return reading;
                }
            }
        }
    }
    reading
}

/// Reads a first packet's body.
#[must_use]
pub fn startup(body: &[u8]) -> bool {
    first_packet(&Bytes::copy_from_slice(body)).is_ok()
}

/// Reads the two messages of a SCRAM client, divided by a zero byte. Nobody can prove an all-zero verifier.
#[must_use]
pub fn scram(messages: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(messages) else { return false };
    let (first, last) = text.split_once('\0').unwrap_or((text, ""));
    let verifier = ScramVerifier { iterations: 4096, salt: vec![0; 16], stored_key: [0; 32], server_key: [0; 32] };
    match Exchange::new(verifier, Some(vec![0; 32]), false).challenge(first, "nonce") {
        Ok((challenged, _)) => challenged.finish(last).is_ok(),
        Err(_) => false,
    }
}

/// Reads a value as a parameter of the type and format that its first two bytes choose.
#[must_use]
pub fn parameter(bytes: &[u8]) -> bool {
    let [pg_type, format, value @ ..] = bytes else { return false };
    let Some(pg_type) = PgType::ALL.get(usize::from(*pg_type) % PgType::ALL.len()) else { return false };
    let format = if format % 2 == 0 { Format::Text } else { Format::Binary };
    match decode_parameter(*pg_type, format, Some(value), 1, &Zone::UTC) {
        Ok(array) => array.len() == 1,
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small generator, so that a failing case is known by its seed.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
        fn below(&mut self, end: usize) -> usize {
            usize::try_from(self.next() % u64::try_from(end.max(1)).unwrap()).unwrap()
        }
        fn byte(&mut self) -> u8 {
            self.next().to_le_bytes()[3]
        }
        fn name(&mut self, out: &mut Vec<u8>) {
            let length = self.below(6);
            out.extend((0..length).map(|_| b"abcd\xc3\xff"[self.below(6)]));
            out.push(0);
        }
        /// Counts are right, or lie.
        fn count(&mut self, count: usize, out: &mut Vec<u8>) {
            let told = if self.below(12) == 0 { self.below(70_000) } else { count };
            out.extend(u16::try_from(told % 65_536).unwrap().to_be_bytes());
        }
        fn codes(&mut self, out: &mut Vec<u8>) {
            let codes = self.below(4);
            self.count(codes, out);
            for _ in 0..codes {
                out.extend([0, if self.below(20) == 0 { self.byte() } else { self.byte() & 1 }]);
            }
        }
        fn values(&mut self, out: &mut Vec<u8>) {
            let values = self.below(4);
            self.count(values, out);
            for _ in 0..values {
                let length = self.below(8);
                let told = match self.below(12) {
                    0 => -1,
                    1 => i32::from_be_bytes([self.byte(), self.byte(), self.byte(), self.byte()]),
                    _ => i32::try_from(length).unwrap(),
                };
                out.extend(told.to_be_bytes());
                if told >= 0 {
                    out.extend((0..length).map(|_| self.byte()));
                }
            }
        }
    }

    fn body(tag: u8, random: &mut Random) -> Vec<u8> {
        let mut body = Vec::new();
        match tag {
            b'Q' | b'f' => random.name(&mut body),
            b'P' => {
                random.name(&mut body);
                random.name(&mut body);
                let types = random.below(4);
                random.count(types, &mut body);
                body.extend((0..types * 4).map(|_| random.byte()));
            }
            b'B' => {
                random.name(&mut body);
                random.name(&mut body);
                random.codes(&mut body);
                random.values(&mut body);
                random.codes(&mut body);
            }
            b'D' | b'C' => {
                body.push(b"SPX"[random.below(3)]);
                random.name(&mut body);
            }
            b'E' => {
                random.name(&mut body);
                body.extend([random.byte(), random.byte(), random.byte(), random.byte()]);
            }
            b'F' => {
                body.extend([0, 0, 0, 7]);
                random.codes(&mut body);
                random.values(&mut body);
                body.extend([0, 0]);
            }
            b'd' => body.extend((0..random.below(20)).map(|_| random.byte())),
            _ => {}
        }
        body
    }

    fn hostile_frame(random: &mut Random) -> Vec<u8> {
        let tag = b"QPBDCEFHScfdX?p"[random.below(15)];
        let mut body = body(tag, random);
        match random.below(6) {
            0 => body.truncate(random.below(body.len() + 1)),
            1 => body.extend((0..random.below(5)).map(|_| random.byte())),
            2 => {
                let at = random.below(body.len());
                if let Some(byte) = body.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            _ => {}
        }
        let told = match random.below(20) {
            0 => i32::from_be_bytes([random.byte(), random.byte(), random.byte(), random.byte()]),
            1 => i32::try_from(random.below(12)).unwrap(),
            _ => i32::try_from(body.len() + 4).unwrap(),
        };
        [&[tag], &told.to_be_bytes()[..], &body].concat()
    }

    /// A frame whose length is right is taken whole or refused; the Sync behind it is never touched.
    #[test]
    fn no_hostile_frame_panics_or_takes_another_frames_bytes() {
        let frames_total: u64 =
            std::env::var("QUERYGATE_FUZZ_FRAMES").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000);
        let (mut read, mut refused, mut fatal, mut partial) = (0, 0, 0, 0);
        for seed in 1..=frames_total {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let frame = hostile_frame(&mut random);
            let told = i32::from_be_bytes(frame[1..5].try_into().unwrap());
            let mut input = BytesMut::from(&[&frame[..], b"S\0\0\0\x04"].concat()[..]);
            match next_message(&mut input, Phase::Session, FrameLimits::new(FRAME_BYTES)) {
                Ok(Some(message)) => {
                    let length = usize::try_from(told).unwrap() + 1;
                    assert_eq!(input.len(), frame.len() + 5 - length, "seed {seed}");
                    if length == frame.len() {
                        let next = next_message(&mut input, Phase::Session, FrameLimits::new(FRAME_BYTES));
                        assert_eq!(next, Ok(Some(Ok(Message::Sync))), "seed {seed}");
                    }
                    if message.is_ok() { read += 1 } else { refused += 1 }
                }
                Ok(None) => partial += 1,
                Err(_) => fatal += 1,
            }
            if seed % 16 == 0 {
                let stream = [frame, hostile_frame(&mut random), hostile_frame(&mut random)].concat();
                assert!(frames(&stream).1, "seed {seed}");
            }
        }
        assert!(read > frames_total / 4 && refused > 0 && fatal > frames_total / 10 && partial > 0);
    }

    #[test]
    fn no_parameter_or_first_packet_panics() {
        let mut made = 0;
        for seed in 1..=40_000_u64 {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let alphabet: &[u8] = b"0123456789-+:. eE{},\"\\TZPinfNULL\0\x01\xff";
            let length = random.below(40);
            let bytes: Vec<u8> = (0..length + 2)
                .map(|at| if at < 2 || seed % 3 == 0 { random.byte() } else { alphabet[random.below(alphabet.len())] })
                .collect();
            made += usize::from(parameter(&bytes));
            assert!(!startup(&bytes) || bytes.len() >= 4);
            assert!(!scram(&bytes));
        }
        assert!(made > 1_000, "{made}");
    }
}
