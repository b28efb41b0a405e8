//! What a body says and its values do not: they have doubles. A number with more digits than a double has stays, for a field of numbers,
//! the text that it is, which a decimal column takes digit by digit; of a document its own text is stored.

use crate::refusal::Refusal;
use crate::work::{Held, Work};
use querygate_query_api::requests::question::JsonForm;
use querygate_types::json::tree::{Json, Node, parse, weight};
use querygate_types::json::value::{DOUBLE_DIGITS, lost_digits};
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The text of a body, kept where values printed may be another one.
pub(crate) struct Digits {
    text: String,
    root: Option<Node>,
    has_long: bool,
}

/// A step to where a record stands in a body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// The last member of this name.
    Name(&'a str),
    At(usize),
}

impl Digits {
    /// Of a body that is JSON. Most print as they are written and are read once.
    ///
    /// # Errors
    /// The user has no room for it.
    pub(crate) fn of(body: &[u8], held: &mut Held) -> Result<Self, Refusal> {
        let none = Self { text: String::new(), root: None, has_long: false };
        let text = std::str::from_utf8(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)).ok();
        let Some(text) = text.filter(|text| may_print_otherwise(text.as_bytes())) else { return Ok(none) };
        held.grow(text.len() + weight(text))?;
        Ok(Self { text: text.to_owned(), root: parse(text), has_long: has_long_number(body) })
    }

    /// The texts of those values of a record that are no plain ones and print otherwise than they are written. `place`: where in the body it
    /// stands.
    pub(crate) fn texts(&self, place: &[Place<'_>], values: &Map<String, Value>) -> HashMap<String, String> {
        let mut node = self.root.as_ref();
        for place in place {
            node = node.and_then(|node| match (place, &node.value) {
                (Place::Name(name), _) => member(node, name),
                (Place::At(at), Json::Array(nodes)) => nodes.get(*at),
                (Place::At(_), _) => None,
            });
        }
        let Some(Node { value: Json::Object(members), .. }) = node else { return HashMap::new() };
        let text = |(name, node): &(String, Node)| {
            let value = values.get(name).filter(|value| !value.is_null() && !value.is_boolean())?;
            let text = self.text.get(node.from..node.to)?;
            let printed = value.to_string();
            (text != printed).then(|| (name.clone(), text.to_owned()))
        };
        members.iter().filter_map(text).collect()
    }

    /// Gives the values of an object's records their digits back, wherever in a body the records stand.
    ///
    /// # Errors
    /// What stands in the way of asking what its fields are.
    pub(crate) async fn restore(&self, work: &Work, object: &str, value: &mut Value) -> Result<(), Refusal> {
        let Some(node) = self.root.as_ref().filter(|_| self.has_long) else { return Ok(()) };
        let Some(described) = work.object_if_seen(object).await? else { return Ok(()) };
        restore(value, node, &|name| described.field(name).map(|field| field.form));
        Ok(())
    }

    /// As [`restore`](Self::restore), of operations that each name their object.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn restore_operations(&self, work: &Work, operations: &mut Value) -> Result<(), Refusal> {
        let Some(node) = self.root.as_ref().filter(|_| self.has_long) else { return Ok(()) };
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

/// Whether values that are printed may be another text than this: for blanks, escapes, and numbers that are not whole or longer than a
/// double.
fn may_print_otherwise(body: &[u8]) -> bool {
    let is_exponent = |pair: &[u8]| matches!(pair, [b'0'..=b'9', b'e' | b'E'] | [b'-', b'0']);
    let is_other = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'.' | b'\\');
    body.iter().any(is_other) || body.windows(2).any(is_exponent) || has_long_number(body)
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
                        if let Some(digits) = lost_digits(text) {
                            *value = Value::String(digits);
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
        if let Some(node) = parse(text).filter(|_| has_long_number(text.as_bytes())) {
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
    #[test]
    fn values_that_print_otherwise_keep_their_texts() {
        let text = r#"{"records":[{"id":1},{"data":{"a":{"x": 1.10},"b":[1],"c":1.0,"d":"\u00e9","e":null,"f":true,"g":-0,"h":1e2}}]}"#;
        let digits = Digits { text: text.to_owned(), root: parse(text), has_long: false };
        let body = value(text).unwrap();
        let place = [Place::Name("records"), Place::At(1), Place::Name("data")];
        let texts = digits.texts(&place, body["records"][1]["data"].as_object().unwrap());
        let mut texts: Vec<_> = texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        texts.sort_unstable();
        assert_eq!(texts, [("a", r#"{"x": 1.10}"#), ("d", r#""\u00e9""#), ("g", "-0"), ("h", "1e2")]);
        assert!(digits.texts(&[Place::At(0)], &Map::new()).is_empty());
        for plain in [r#"{"a":[1,-2,"x",true,null]}"#, "123456789012345"] {
            assert!(!may_print_otherwise(plain.as_bytes()), "{plain}");
        }
        for other in ["[1, 2]", "1.0", "1e2", "-0", r#""\n""#, "1234567890123456"] {
            assert!(may_print_otherwise(other.as_bytes()), "{other}");
        }
    }
}
