//! Session options: Flight's messages for them, and the settings of the session behind. Decides no setting itself.

use crate::calls::info::endpoints;
use crate::messages::encode::Compression;
use crate::sessions::own_queries::set_config;
use crate::sessions::session::FlightSession;
use prost::Message;
use querygate_types::{ErrorCode, Result};
use std::collections::HashMap;

/// `arrow.flight.protocol.SessionOptionValue`.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    pub(crate) value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Boolean(bool),
    #[prost(sfixed64, tag = "3")]
    Integer(i64),
    #[prost(double, tag = "4")]
    Float(f64),
    #[prost(message, tag = "5")]
    Texts(Texts),
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct Texts {
    #[prost(string, repeated, tag = "1")]
    pub(crate) values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetSessionOptionsRequest {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) errors: HashMap<String, SetError>,
}

/// Why an option was not set: 1 unknown name, 2 unacceptable value, 3 anything else.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct SetError {
    #[prost(int32, tag = "1")]
    pub(crate) value: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct GetSessionOptionsResult {
    #[prost(map = "string, message", tag = "1")]
    pub(crate) options: HashMap<String, OptionValue>,
}

/// 1: closed.
#[derive(Clone, Copy, PartialEq, Message)]
pub(crate) struct CloseSessionResult {
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
}

const INVALID_NAME: i32 = 1;
const INVALID_VALUE: i32 = 2;
const OTHER_ERROR: i32 = 3;

/// Options with a meaning of their own; every other name is a setting, as SET knows it.
const CATALOG: &str = "catalog";
const SCHEMA: &str = "schema";
const COMPRESSION: &str = "compression";
const ENDPOINTS: &str = "endpoints";
/// The value of `endpoints` that leaves their number to the door.
const AUTOMATIC: &str = "auto";

/// Sets what can be set and says what cannot.
pub(crate) async fn set(
    session: &FlightSession,
    database: &str,
    request: SetSessionOptionsRequest,
) -> SetSessionOptionsResult {
    let mut errors = HashMap::new();
    for (name, value) in request.options {
        if let Err(value) = set_one(session, database, &name, value).await {
            errors.insert(name, SetError { value });
        }
    }
    SetSessionOptionsResult { errors }
}

async fn set_one(session: &FlightSession, database: &str, name: &str, value: OptionValue) -> Result<(), i32> {
    let text = match value.value {
        Some(Value::Text(text)) => text,
        Some(Value::Boolean(on)) => on.to_string(),
        Some(Value::Integer(number)) => number.to_string(),
        Some(Value::Float(number)) => number.to_string(),
        Some(Value::Texts(texts)) => texts.values.iter().map(|t| quoted(t)).collect::<Vec<_>>().join(", "),
        // No value: back to the default, which `set_config` has no word for.
        None => return Err(INVALID_VALUE),
    };
    match name {
        CATALOG if text == database => Ok(()),
        CATALOG => Err(INVALID_VALUE),
        COMPRESSION => {
            session.set_compression(Compression::named(&text).ok_or(INVALID_VALUE)?);
            Ok(())
        }
        ENDPOINTS if text == AUTOMATIC => {
            session.set_endpoints(None);
            Ok(())
        }
        ENDPOINTS => {
            session.set_endpoints(Some(endpoints(&text).ok_or(INVALID_VALUE)?));
            Ok(())
        }
        SCHEMA => setting(session, "search_path", &quoted(&text)).await,
        _ => setting(session, name, &text).await,
    }
}

async fn setting(session: &FlightSession, name: &str, value: &str) -> Result<(), i32> {
    match set_config(session.main(), name, value).await {
        Ok(()) => {
            session.remember_option(name, value);
            Ok(())
        }
        Err(error) => Err(match error.code() {
            ErrorCode::UndefinedObject => INVALID_NAME,
            ErrorCode::InvalidParameterValue => INVALID_VALUE,
            _ => OTHER_ERROR,
        }),
    }
}

/// An identifier in double quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The first of the names in SQL's list of them, as it is: what `quoted` makes of a name gives that name.
fn first_name(list: &str) -> Option<String> {
    let list = list.trim_start();
    let Some(mut rest) = list.strip_prefix('"') else {
        let bare = list.split(',').next().unwrap_or_default().trim_end();
        return (!bare.is_empty()).then(|| bare.to_lowercase());
    };
    let mut name = String::new();
    while let Some((part, after)) = rest.split_once('"') {
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some(name),
        }
    }
    None
}

/// The session's options and reported settings.
pub(crate) fn current(session: &FlightSession, database: &str) -> GetSessionOptionsResult {
    let main = session.main();
    let mut options = main.reported_settings();
    options.push((CATALOG.to_owned(), database.to_owned()));
    options.push((COMPRESSION.to_owned(), session.compression().name().to_owned()));
    let wanted = session.endpoints().map_or_else(|| AUTOMATIC.to_owned(), |number| number.to_string());
    options.push((ENDPOINTS.to_owned(), wanted));
    let schema = main.setting("search_path").and_then(|path| first_name(&path));
    options.extend(schema.map(|schema| (SCHEMA.to_owned(), schema)));
    let value = |text| OptionValue { value: Some(Value::Text(text)) };
    GetSessionOptionsResult { options: options.into_iter().map(|(name, text)| (name, value(text))).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name that is set and read is the same, and setting what was read changes nothing.
    #[test]
    fn names_are_read_as_they_were_set() {
        for name in ["public", "Public", "a b", "a\"b", "\"", "a,b", "é", "$user"] {
            assert_eq!(first_name(&quoted(name)).as_deref(), Some(name));
            assert_eq!(first_name(&format!("{}, public", quoted(name))).as_deref(), Some(name));
        }
        for (list, first) in [
            ("public", Some("public")),
            (" Public , other", Some("public")),
            ("\"$user\", public", Some("$user")),
            ("", None),
            ("\"unfinished", None),
        ] {
            assert_eq!(first_name(list).as_deref(), first, "{list}");
        }
    }
}
