//! A value as text: documents and arrays as JSON, everything else as SQL would print it. Bounded in depth.

use crate::documents::cells::moment_text;
use crate::documents::decimal;
use crate::error::unreadable;
use crate::tree::node::quoted;
use mongodb::bson::oid::ObjectId;
use mongodb::bson::{RawBsonRef, RawDocument, RawDocumentBuf, cstr};
use querygate_types::json::jsonb;
use querygate_types::{Error, ErrorCode, Result};

/// Deepest nesting that is written; the server stores no deeper one.
const DEPTH_MAX: usize = 200;

/// A value as plain text; none for NULL.
pub(crate) fn text(value: RawBsonRef<'_>) -> Result<Option<String>> {
    let mut out = String::new();
    match value {
        RawBsonRef::Null | RawBsonRef::Undefined => return Ok(None),
        RawBsonRef::String(text) | RawBsonRef::Symbol(text) => out.push_str(text),
        RawBsonRef::ObjectId(id) => out.push_str(&id.to_hex()),
        RawBsonRef::DateTime(date) => out.push_str(&moment_text(date.timestamp_millis())?),
        RawBsonRef::Decimal128(value) => out.push_str(&decimal::text(&value)),
        RawBsonRef::Document(_)
        | RawBsonRef::Array(_)
        | RawBsonRef::RegularExpression(_)
        | RawBsonRef::JavaScriptCode(_)
        | RawBsonRef::JavaScriptCodeWithScope(_)
        | RawBsonRef::Timestamp(_)
        | RawBsonRef::DbPointer(_)
        | RawBsonRef::MinKey
        | RawBsonRef::MaxKey => {
            json(value, 0, &mut out)?;
            // As jsonb prints it: what is compared here is this text.
            out = jsonb(&out).unwrap_or(out);
        }
        other => json(other, 0, &mut out)?,
    }
    Ok(Some(out))
}

fn json(value: RawBsonRef<'_>, depth: usize, out: &mut String) -> Result<()> {
    if depth > DEPTH_MAX {
        return Err(Error::new(ErrorCode::ProgramLimitExceeded, "source holds a document that is nested too deeply"));
    }
    match value {
        RawBsonRef::Null | RawBsonRef::Undefined => out.push_str("null"),
        RawBsonRef::Boolean(value) => out.push_str(if value { "true" } else { "false" }),
        RawBsonRef::Int32(value) => out.push_str(&value.to_string()),
        RawBsonRef::Int64(value) => out.push_str(&value.to_string()),
        RawBsonRef::Double(value) if value.is_finite() => out.push_str(&value.to_string()),
        RawBsonRef::Double(value) => quoted(&value.to_string(), out),
        RawBsonRef::Document(document) => fields(document, depth, out)?,
        RawBsonRef::Array(items) => {
            out.push('[');
            for (i, item) in items.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                json(item.map_err(|error| broken(&error))?, depth + 1, out)?;
            }
            out.push(']');
        }
        RawBsonRef::Binary(binary) => {
            let digits: String = binary.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            quoted(&digits, out);
        }
        RawBsonRef::String(_)
        | RawBsonRef::Symbol(_)
        | RawBsonRef::ObjectId(_)
        | RawBsonRef::DateTime(_)
        | RawBsonRef::Decimal128(_) => quoted(&text(value)?.unwrap_or_default(), out),
        RawBsonRef::RegularExpression(_)
        | RawBsonRef::JavaScriptCode(_)
        | RawBsonRef::JavaScriptCodeWithScope(_)
        | RawBsonRef::Timestamp(_)
        | RawBsonRef::DbPointer(_)
        | RawBsonRef::MinKey
        | RawBsonRef::MaxKey => extended(value, depth, out)?,
    }
    Ok(())
}

/// A value of a type that JSON has nothing for: its canonical extended JSON, as the vendor defines it, which loses nothing of it.
fn extended(value: RawBsonRef<'_>, depth: usize, out: &mut String) -> Result<()> {
    match value {
        // Seconds since 1970 and a number within the second: one number of both would be read as neither.
        RawBsonRef::Timestamp(stamp) => {
            out.push_str(&format!("{{\"$timestamp\":{{\"t\":{},\"i\":{}}}}}", stamp.time, stamp.increment));
        }
        RawBsonRef::RegularExpression(regex) => {
            out.push_str("{\"$regularExpression\":{\"pattern\":");
            quoted(regex.pattern.as_str(), out);
            out.push_str(",\"options\":");
            quoted(regex.options.as_str(), out);
            out.push_str("}}");
        }
        RawBsonRef::JavaScriptCode(code) => {
            out.push_str("{\"$code\":");
            quoted(code, out);
            out.push('}');
        }
        RawBsonRef::JavaScriptCodeWithScope(scoped) => {
            out.push_str("{\"$code\":");
            quoted(scoped.code, out);
            out.push_str(",\"$scope\":");
            fields(scoped.scope, depth + 1, out)?;
            out.push('}');
        }
        RawBsonRef::DbPointer(_) => {
            let (collection, id) = pointer(value).ok_or_else(unreadable)?;
            out.push_str("{\"$dbPointer\":{\"$ref\":");
            quoted(&collection, out);
            out.push_str(&format!(",\"$id\":{{\"$oid\":\"{id}\"}}}}}}"));
        }
        RawBsonRef::MinKey => out.push_str("{\"$minKey\":1}"),
        RawBsonRef::MaxKey => out.push_str("{\"$maxKey\":1}"),
        _ => return Err(unreadable()),
    }
    Ok(())
}

/// Where a pointer points to. The library shows neither part: a document of one field has them behind its length, type and name.
fn pointer(value: RawBsonRef<'_>) -> Option<(String, String)> {
    const BEFORE: usize = 4 + 1 + 2;
    let mut document = RawDocumentBuf::new();
    document.append(cstr!("p"), value);
    let bytes = document.as_bytes().get(BEFORE..)?;
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(i32::from_le_bytes(*length)).ok()?;
    let (text, rest) = (rest.get(..length.checked_sub(1)?)?, rest.get(length..)?);
    let id = rest.first_chunk::<12>()?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), ObjectId::from_bytes(*id).to_hex()))
}

fn fields(document: &RawDocument, depth: usize, out: &mut String) -> Result<()> {
    out.push('{');
    for (i, field) in document.iter().enumerate() {
        let (name, value) = field.map_err(|error| broken(&error))?;
        if i > 0 {
            out.push(',');
        }
        quoted(name.as_str(), out);
        out.push(':');
        json(value, depth + 1, out)?;
    }
    out.push('}');
    Ok(())
}

/// BSON that is none.
pub(crate) fn broken(error: &mongodb::bson::error::Error) -> Error {
    unreadable().with_cause(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::walk::every_kind;
    use mongodb::bson::doc;

    #[test]
    fn documents_are_json_and_scalars_their_text() {
        let document =
            doc! { "v": { "a": [1, 2.5, "x\"y", null, true, f64::NAN], "b": { "$where": "1" } }, "t": "pl\"ain" };
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        let told = |name: &str| text(raw.get(name).unwrap().unwrap()).unwrap();
        assert_eq!(told("v").as_deref(), Some(r#"{"a": [1, 2.5, "x\"y", null, true, "NaN"], "b": {"$where": "1"}}"#));
        assert_eq!(told("t").as_deref(), Some("pl\"ain"));
    }

    /// No kind of value fails its row, and none loses what it holds.
    #[test]
    fn every_kind_has_a_text() {
        let document = every_kind();
        for (name, expected) in [
            ("timestamp", Some(r#"{"$timestamp": {"i": 2, "t": 1}}"#)),
            ("regex", Some(r#"{"$regularExpression": {"options": "i", "pattern": "a.*"}}"#)),
            ("code", Some(r#"{"$code": "1"}"#)),
            ("scoped", Some(r#"{"$code": "x", "$scope": {"x": 1}}"#)),
            ("pointer", Some(r#"{"$dbPointer": {"$id": {"$oid": "070707070707070707070707"}, "$ref": "a.bcd"}}"#)),
            ("least", Some(r#"{"$minKey": 1}"#)),
            ("greatest", Some(r#"{"$maxKey": 1}"#)),
            ("symbol", Some("s")),
            ("undefined", None),
            ("null", None),
            ("decimal", Some("1.50")),
            ("old", Some("\"010203\"")),
        ] {
            let value = document.get(name).unwrap().unwrap();
            assert_eq!(text(value).unwrap().as_deref(), expected, "{name}");
            if let Some(json) = expected.filter(|text| text.starts_with('{')) {
                let mut around = RawDocumentBuf::new();
                around.append(cstr!("v"), value);
                let told = text(RawBsonRef::Document(&around)).unwrap().unwrap();
                assert_eq!(told, format!("{{\"v\": {json}}}"));
            }
        }
        assert!(document.iter().all(|field| text(field.unwrap().1).is_ok()));
    }
}
