//! Functions of bytea, and its text.

use super::call::form::{Form, P, R, form};
use super::texts::charged;
use super::{Def, Row, Value, strict};
use crate::fault::{external, refused};
use arrow::datatypes::{DataType, Field};
use datafusion::common::{DataFusionError, Result};
use querygate_types::{Error, ErrorCode};

pub(super) const DEFS: &[Def] = &[
    strict("encode", &[form(&[P::Bytea, P::Text], R::Text, |r| Ok(Value::Text(encoded(r.bytes(0), r.text(1))?)))]),
    strict("decode", &[form(&[P::Text, P::Text], R::Bytea, |r| Ok(Value::Bytes(decoded(r.text(0), r.text(1))?)))]),
    strict(
        "get_byte",
        &[form(&[P::Bytea, P::Int], R::Int4, |r| {
            let found = usize::try_from(r.int(1)).ok().and_then(|at| r.bytes(0).get(at));
            match found {
                Some(byte) => Ok(Value::Int(i64::from(*byte))),
                None => Err(external(Error::new(ErrorCode::ArraySubscriptError, "index out of valid range"))),
            }
        })],
    ),
    strict(
        "convert_from",
        &[form(&[P::Bytea, P::Text], R::Text, |r| {
            utf8(r.text(1))?;
            let text = std::str::from_utf8(r.bytes(0)).map_err(|_| {
                external(Error::new(ErrorCode::CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\""))
            })?;
            Ok(Value::Text(text.to_owned()))
        })],
    ),
    strict(
        "convert_to",
        &[form(&[P::Text, P::Text], R::Bytea, |r| {
            utf8(r.text(1))?;
            Ok(Value::Bytes(r.text(0).as_bytes().to_vec()))
        })],
    ),
    strict(
        "bytea_concat",
        &[form(&[P::Bytea, P::Bytea], R::Bytea, |r| Ok(Value::Bytes([r.bytes(0), r.bytes(1)].concat())))],
    ),
    strict("bytea_position", &[form(&[P::Bytea, P::Bytea], R::Int4, bytes_position)]),
    strict("bytea_substring", BYTES_CUT),
    // What is planned before it is known of which of both it is. Of texts, the engine's takes its place.
    strict("substring_of", CUT),
    strict(
        "position_of",
        &[
            form(&[P::Text, P::Text], R::Int4, |r| {
                let before = r.text(0).find(r.text(1)).and_then(|at| r.text(0).get(..at));
                Ok(Value::Int(before.map_or(0, |text| i64::try_from(text.chars().count()).unwrap_or(0) + 1)))
            }),
            form(&[P::Bytea, P::Bytea], R::Int4, bytes_position),
        ],
    ),
    // DataFusion's takes the digits of a bytea for its text.
    strict("overlay", OVERLAY),
    strict("set_byte", &[form(&[P::Bytea, P::Int, P::Int], R::Bytea, set_byte)]),
    strict(
        "get_bit",
        &[form(&[P::Bytea, P::Int], R::Int4, |r| {
            let (at, mask) = bit_place(r.bytes(0), r.int(1))?;
            Ok(Value::Int(i64::from(r.bytes(0)[at] & mask != 0)))
        })],
    ),
    strict("set_bit", &[form(&[P::Bytea, P::Int, P::Int], R::Bytea, set_bit)]),
    strict(
        "bit_count",
        &[form(&[P::Bytea], R::By(|_, _| Ok(Field::new("bit_count", DataType::Int64, true))), |r| {
            Ok(Value::Int(r.bytes(0).iter().map(|byte| i64::from(byte.count_ones())).sum()))
        })],
    ),
    strict(
        "float4send",
        &[form(&[P::Double], R::Bytea, |r| {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the value is a real's, or becomes one as a cast makes it"
            )]
            let real = r.double(0) as f32;
            Ok(Value::Bytes(real.to_be_bytes().to_vec()))
        })],
    ),
    strict("float8send", &[form(&[P::Double], R::Bytea, |r| Ok(Value::Bytes(r.double(0).to_be_bytes().to_vec())))]),
    strict(
        "octet_length",
        &[
            form(&[P::Text], R::Int4, |r| Ok(Value::Int(length(r.text(0).as_bytes())))),
            form(&[P::Bytea], R::Int4, |r| Ok(Value::Int(length(r.bytes(0))))),
        ],
    ),
    strict(
        "bit_length",
        &[
            form(&[P::Text], R::Int4, |r| Ok(Value::Int(length(r.text(0).as_bytes()).saturating_mul(8)))),
            form(&[P::Bytea], R::Int4, |r| Ok(Value::Int(length(r.bytes(0)).saturating_mul(8)))),
        ],
    ),
];

const BYTES_CUT: &[Form] =
    &[form(&[P::Bytea, P::Int], R::Bytea, cut_bytes), form(&[P::Bytea, P::Int, P::Int], R::Bytea, cut_bytes)];
const CUT: &[Form] = &[
    form(&[P::Text, P::Int], R::Text, cut_text),
    form(&[P::Text, P::Int, P::Int], R::Text, cut_text),
    form(&[P::Bytea, P::Int], R::Bytea, cut_bytes),
    form(&[P::Bytea, P::Int, P::Int], R::Bytea, cut_bytes),
];

fn length(of: &[u8]) -> i64 {
    i64::try_from(of.len()).unwrap_or(i64::MAX)
}

fn bytes_position(row: &Row<'_>) -> Result<Value> {
    let at = memchr::memmem::find(row.bytes(0), row.bytes(1));
    Ok(Value::Int(at.map_or(0, |at| i64::try_from(at).unwrap_or(i64::MAX - 1) + 1)))
}

fn cut_text(row: &Row<'_>) -> Result<Value> {
    let (from, to) = span(row)?;
    Ok(Value::Text(row.text(0).chars().skip(from).take(to.saturating_sub(from)).collect()))
}

fn cut_bytes(row: &Row<'_>) -> Result<Value> {
    let (from, to) = span(row)?;
    let of = row.bytes(0);
    let (from, to) = (from.min(of.len()), to.min(of.len()));
    Ok(Value::Bytes(of.get(from..to.max(from)).unwrap_or_default().to_vec()))
}

/// From where a substring goes to where, counted from 0: from the second argument's place on, as many as the third says.
fn span(row: &Row<'_>) -> Result<(usize, usize)> {
    let from = row.int(1);
    let end = match row.len() {
        2 => i64::MAX,
        _ if row.int(2) < 0 => {
            let message = "negative substring length not allowed";
            return Err(external(Error::new(ErrorCode::NegativeSubstringLength, message)));
        }
        _ => from.saturating_add(row.int(2)),
    };
    let place = |at: i64| usize::try_from(at.saturating_sub(1).max(0)).unwrap_or(usize::MAX);
    Ok((place(from), place(end)))
}

const OVERLAY: &[Form] = &[
    form(&[P::Text, P::Text, P::Int], R::Text, overlaid_text),
    form(&[P::Text, P::Text, P::Int, P::Int], R::Text, overlaid_text),
    form(&[P::Bytea, P::Bytea, P::Int], R::Bytea, overlaid_bytes),
    form(&[P::Bytea, P::Bytea, P::Int, P::Int], R::Bytea, overlaid_bytes),
];

fn overlaid_text(row: &Row<'_>) -> Result<Value> {
    let (text, with) = (row.text(0), row.text(1));
    let (before, after) = replaced(row, || with.chars().count())?;
    let at = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(at, _)| at);
    let (before, after) = (at(before), at(after));
    let mut out = String::with_capacity(text_length(before + with.len() + text.len() - after)?);
    out.extend([&text[..before], with, &text[after..]]);
    Ok(Value::Text(out))
}

fn overlaid_bytes(row: &Row<'_>) -> Result<Value> {
    let (of, with) = (row.bytes(0), row.bytes(1));
    let (before, after) = replaced(row, || with.len())?;
    let (before, after) = (before.min(of.len()), after.min(of.len()));
    text_length(before + with.len() + of.len() - after)?;
    Ok(Value::Bytes([&of[..before], with, &of[after..]].concat()))
}

/// Where what is replaced begins and ends: from the third argument's place on, as many as the fourth says, or as are put in.
fn replaced(row: &Row<'_>, own: impl FnOnce() -> usize) -> Result<(usize, usize)> {
    let from = row.int(2);
    if from <= 0 {
        let message = "negative substring length not allowed";
        return Err(external(Error::new(ErrorCode::NegativeSubstringLength, message)));
    }
    let count = if row.len() > 3 { row.int(3) } else { i64::try_from(own()).unwrap_or(i64::MAX) };
    let place = |at: i64| usize::try_from(at.max(0)).unwrap_or(usize::MAX);
    Ok((place(from - 1), place((from - 1).saturating_add(count))))
}

fn text_length(length: usize) -> Result<usize> {
    charged(Some(length))
}

fn index_out_of_range() -> DataFusionError {
    external(Error::new(ErrorCode::ArraySubscriptError, "index out of valid range"))
}

fn set_byte(row: &Row<'_>) -> Result<Value> {
    let mut bytes = row.bytes(0).to_vec();
    let place = usize::try_from(row.int(1)).ok().and_then(|at| bytes.get_mut(at)).ok_or_else(index_out_of_range)?;
    // The low byte, as PostgreSQL takes it.
    *place = row.int(2).to_le_bytes()[0];
    Ok(Value::Bytes(bytes))
}

/// The byte that holds a bit, and the bit in it; bits count from the right within each byte.
fn bit_place(bytes: &[u8], bit: i64) -> Result<(usize, u8)> {
    let at = usize::try_from(bit).map_err(|_| index_out_of_range())?;
    if at / 8 >= bytes.len() {
        return Err(index_out_of_range());
    }
    Ok((at / 8, 1 << (at % 8)))
}

fn set_bit(row: &Row<'_>) -> Result<Value> {
    let mut bytes = row.bytes(0).to_vec();
    let (at, mask) = bit_place(&bytes, row.int(1))?;
    match row.int(2) {
        0 => bytes[at] &= !mask,
        1 => bytes[at] |= mask,
        _ => return Err(refused("new bit must be 0 or 1")),
    }
    Ok(Value::Bytes(bytes))
}

fn utf8(name: &str) -> Result<()> {
    let plain = name.to_ascii_lowercase().replace(['-', '_'], "");
    if plain == "utf8" {
        Ok(())
    } else {
        Err(external(Error::new(ErrorCode::FeatureNotSupported, "only UTF8 is supported")))
    }
}

fn encoded(bytes: &[u8], form: &str) -> Result<String> {
    match form.to_ascii_lowercase().as_str() {
        "hex" => Ok(crate::casts::display::hex(bytes)[2..].to_owned()),
        "escape" => {
            let mut out = String::new();
            for byte in bytes {
                match byte {
                    b'\\' => out.push_str("\\\\"),
                    0 | 0x80.. => out.push_str(&format!("\\{byte:03o}")),
                    byte => out.push(char::from(*byte)),
                }
            }
            Ok(out)
        }
        "base64" => Ok(base64(bytes)),
        _ => Err(refused("unrecognized encoding")),
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With a line break after 76 characters, as Postgres prints it.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut column = 0;
    for (at, chunk) in bytes.chunks(3).enumerate() {
        if at > 0 && column == 76 {
            out.push('\n');
            column = 0;
        }
        let value =
            chunk.iter().fold(0_usize, |value, byte| (value << 8) | usize::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let sextet = (value >> (18 - 6 * place)) & 63;
            out.push(if place <= chunk.len() { char::from(ALPHABET[sextet]) } else { '=' });
        }
        column += 4;
    }
    out
}

fn decoded(text: &str, form: &str) -> Result<Vec<u8>> {
    match form.to_ascii_lowercase().as_str() {
        "hex" => of_hex(text),
        "escape" => of_escape(text),
        "base64" => of_base64(text),
        _ => Err(refused("unrecognized encoding")),
    }
}

/// Groups of four characters, the last of them filled up with `=`.
fn of_base64(text: &str) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    // Characters of a group, what they say, and how many bytes it has where it is filled up.
    let (mut characters, mut value, mut last) = (0_u8, 0_u32, None);
    for byte in text.bytes().filter(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {
        let sextet = if byte == b'=' {
            if last.is_none() && characters < 2 {
                return Err(refused("unexpected \"=\" while decoding base64 sequence"));
            }
            last.get_or_insert_with(|| usize::from(characters) - 1);
            0
        } else {
            let sextet = ALPHABET.iter().zip(0..).find(|(known, _)| **known == byte).map(|(_, sextet)| sextet);
            sextet.ok_or_else(|| refused("invalid symbol found while decoding base64 sequence"))?
        };
        value = value << 6 | sextet;
        characters += 1;
        if characters == 4 {
            out.extend(value.to_be_bytes().into_iter().skip(1).take(last.unwrap_or(3)));
            (characters, value) = (0, 0);
        }
    }
    if characters == 0 {
        return Ok(out);
    }
    let hint = "Input data is missing padding, is truncated, or is otherwise corrupted.";
    let error = Error::new(ErrorCode::InvalidParameterValue, "invalid base64 end sequence");
    Err(external(error.with_hint(hint)))
}

fn of_hex(text: &str) -> Result<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for byte in text.bytes() {
        if high.is_none() && byte.is_ascii_whitespace() {
            continue;
        }
        let Some(value) = digit(byte).and_then(|d| u8::try_from(d).ok()) else {
            return Err(refused("invalid hexadecimal digit"));
        };
        match high.take() {
            None => high = Some(value),
            Some(high) => out.push(high << 4 | value),
        }
    }
    if high.is_some() { Err(refused("invalid hexadecimal data: odd number of digits")) } else { Ok(out) }
}

fn of_escape(text: &str) -> Result<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte != b'\\' {
            out.push(byte);
            at += 1;
        } else if bytes.get(at + 1) == Some(&b'\\') {
            out.push(b'\\');
            at += 2;
        } else {
            let octal = bytes.get(at + 1..at + 4).and_then(|d| std::str::from_utf8(d).ok());
            let value =
                octal.filter(|d| d.starts_with(['0', '1', '2', '3'])).and_then(|d| u8::from_str_radix(d, 8).ok());
            let Some(value) = value else {
                return Err(external(Error::new(
                    ErrorCode::InvalidTextRepresentation,
                    "invalid input syntax for type bytea",
                )));
            };
            out.push(value);
            at += 4;
        }
    }
    Ok(out)
}

/// A text as bytea's input function reads it.
pub(crate) fn read(text: &str) -> Result<Vec<u8>> {
    match text.strip_prefix("\\x") {
        Some(digits) => of_hex(digits),
        None => of_escape(text),
    }
}
