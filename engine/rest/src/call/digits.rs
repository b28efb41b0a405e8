//! Numbers of a body with more digits than a double has. For a field of numbers they stay the text that they are, which a decimal
//! column takes digit by digit; the reader's doubles would round them.

use crate::refusal::Refusal;
use crate::texts::trimmed;
use crate::work::Work;
use querygate_query_api::requests::question::JsonForm;
use querygate_types::json::jsonb;
use querygate_types::json::tree::{Json, Node, parse};
use querygate_types::json::value::number;
use serde_json::Value;
use std::collections::HashMap;

/// Decimal digits that every double keeps.
const DOUBLE_DIGITS: usize = 15;

/// The text of a body, kept where a number of it may be long.
pub(crate) struct Digits(Option<Node>);

impl Digits {
    /// Of a body that is JSON. Most have no such number and are read once.
    pub(crate) fn of(body: &[u8]) -> Self {
        let text = || std::str::from_utf8(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok();
        Self(has_long_number(body).then(text).flatten().and_then(parse))
    }

    /// Gives the values of an object's records their digits back, wherever in a body the records stand.
    ///
    /// # Errors
    /// What stands in the way of asking what its fields are.
    pub(crate) async fn restore(&self, work: &Work, object: &str, value: &mut Value) -> Result<(), Refusal> {
        let Some(node) = &self.0 else { return Ok(()) };
        let Some(described) = work.object_if_seen(object).await? else { return Ok(()) };
        restore(value, node, &|name| described.field(name).map(|field| field.form));
        Ok(())
    }

    /// As [`restore`](Self::restore), of operations that each name their object.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn restore_operations(&self, work: &Work, operations: &mut Value) -> Result<(), Refusal> {
        let Some(node) = &self.0 else { return Ok(()) };
        let nodes = match member(node, "operations").map(|node| &node.value) {
            Some(Json::Array(nodes)) => nodes.as_slice(),
            Some(_) | None => &[],
        };
        for (operation, node) in operations.as_array_mut().into_iter().flatten().zip(nodes) {
            let Some(object) = operation.get("object").and_then(Value::as_str).map(str::to_owned) else { continue };
            let Some(described) = work.object_if_seen(&object).await? else { continue };
            restore(operation, node, &|name| described.field(name).map(|field| field.form));
        }
        Ok(())
    }
}

/// Whether more digits than every double keeps stand together, with a point among them or none.
fn has_long_number(body: &[u8]) -> bool {
    let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    body.split(|byte| !is_number(byte)).any(|run| run.len() > DOUBLE_DIGITS)
}

/// The last member of this name, which is the one that counts.
fn member<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    match &node.value {
        Json::Object(members) => members.iter().rev().find(|(own, _)| own == name).map(|(_, node)| node),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Array(_) => None,
    }
}

fn restore(value: &mut Value, node: &Node, form: &impl Fn(&str) -> Option<JsonForm>) {
    match (value, &node.value) {
        (Value::Array(items), Json::Array(nodes)) => {
            items.iter_mut().zip(nodes).for_each(|(item, node)| restore(item, node, form));
        }
        (Value::Object(members), Json::Object(nodes)) => {
            // Of equal names the last counts.
            let last: HashMap<&str, &Node> = nodes.iter().map(|(name, node)| (name.as_str(), node)).collect();
            for (name, value) in members {
                let Some(node) = last.get(name.as_str()) else { continue };
                match (form(name), &node.value) {
                    (Some(JsonForm::Number), Json::Number(text)) => {
                        if let Some(long) = long(text) {
                            *value = Value::String(long);
                        }
                    }
                    // What is in a document is the document's.
                    (Some(_), _) => {}
                    (None, _) => restore(value, node, form),
                }
            }
        }
        _ => {}
    }
}

/// The plain text of a number whose digits its double does not have.
fn long(text: &str) -> Option<String> {
    let mantissa = text.split(['e', 'E']).next().unwrap_or_default();
    let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
    if digits <= DOUBLE_DIGITS {
        return None;
    }
    let plain = |text: &str| jsonb(text).filter(|plain| !plain.contains(['e', 'E']));
    let (own, kept) = (plain(text)?, number(text).and_then(|number| plain(&number.to_string()))?);
    (trimmed(&own) != trimmed(&kept)).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_types::json::value::value;
    use serde_json::json;

    fn restored(text: &str) -> Value {
        let mut read = value(text).unwrap();
        let form = |name: &str| match name {
            "n" => Some(JsonForm::Number),
            "j" => Some(JsonForm::Json),
            "t" => Some(JsonForm::Text),
            _ => None,
        };
        if let Some(node) = Digits::of(text.as_bytes()).0 {
            restore(&mut read, &node, &form);
        }
        read
    }

    #[test]
    fn long_numbers_of_number_fields_keep_their_digits() {
        assert_eq!(restored(r#"{"n":12345678901234567.89}"#), json!({"n": "12345678901234567.89"}));
        assert_eq!(restored(r#"{"n":-1.2345678901234567890e3}"#), json!({"n": "-1234.5678901234567890"}));
        let doubles =
            json!([{"n": 10_928_588.983_213_553}, {"n": 1e300}, {"n": 5.25}, {"n": 9_007_199_254_740_993_i64}]);
        let text = r#"[{"n":10928588.983213553},{"n":1e300},{"n":5.25000000000000000000},{"n":9007199254740993}]"#;
        assert_eq!(restored(text), doubles);
        assert_eq!(restored(r#"{"n":5.25,"x":1}"#), json!({"n": 5.25, "x": 1}));
        let text = r#"[{"n":1,"j":{"n":12345678901234567.89}},{"data":{"n":99999999999999999999}}]"#;
        let document = json!({"n": 12_345_678_901_234_568.0});
        assert_eq!(restored(text), json!([{"n": 1, "j": document}, {"data": {"n": "99999999999999999999"}}]));
        assert_eq!(restored(r#"{"n":12345678901234567890,"n":5}"#), json!({"n": 5}));
        assert_eq!(restored(r#"{"t":"12345678901234567890"}"#), json!({"t": "12345678901234567890"}));
    }
}
