//! A value as text: documents and arrays as JSON, everything else as SQL would print it. Bounded in depth.

use crate::documents::cells::moment_text;
use crate::documents::decimal;
use crate::error::unreadable;
use crate::tree::node::quoted;
use mongodb::bson::{RawBsonRef, RawDocument};
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
        RawBsonRef::Document(_) | RawBsonRef::Array(_) => {
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
        RawBsonRef::RegularExpression(regex) => quoted(regex.pattern.as_str(), out),
        RawBsonRef::JavaScriptCode(code) => quoted(code, out),
        RawBsonRef::Timestamp(stamp) => {
            out.push_str(&format!("{}", (u64::from(stamp.time) << 32) | u64::from(stamp.increment)))
        }
        RawBsonRef::String(_)
        | RawBsonRef::Symbol(_)
        | RawBsonRef::ObjectId(_)
        | RawBsonRef::DateTime(_)
        | RawBsonRef::Decimal128(_) => quoted(&text(value)?.unwrap_or_default(), out),
        RawBsonRef::MaxKey | RawBsonRef::MinKey | RawBsonRef::DbPointer(_) | RawBsonRef::JavaScriptCodeWithScope(_) => {
            return Err(Error::new(ErrorCode::FeatureNotSupported, "source holds a value of a type without a text"));
        }
    }
    Ok(())
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
    use mongodb::bson::{RawDocumentBuf, doc};

    #[test]
    fn documents_are_json_and_scalars_their_text() {
        let document =
            doc! { "v": { "a": [1, 2.5, "x\"y", null, true, f64::NAN], "b": { "$where": "1" } }, "t": "pl\"ain" };
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        let told = |name: &str| text(raw.get(name).unwrap().unwrap()).unwrap();
        assert_eq!(told("v").as_deref(), Some(r#"{"a": [1, 2.5, "x\"y", null, true, "NaN"], "b": {"$where": "1"}}"#));
        assert_eq!(told("t").as_deref(), Some("pl\"ain"));
    }
}
