//! Faults of a record in the language of who reads them: labels are those of the metadata's translations, texts those that are known here.

use crate::refusal::Refusal;
use crate::site::Site;
use serde_json::{Map, Value};

/// What follows a label in a fault's text, in English and Chinese.
const CHINESE: [(&str, &str); 9] = [
    (" is required and cannot be cleared", "为必填项，不能清空"),
    (" is required", "不能为空"),
    (" must be a number", "必须是数字"),
    (" must be true or false", "必须是 true 或 false"),
    (" must be a valid email address", "必须是有效的邮箱地址"),
    (" must be a valid phone number", "必须是有效的电话号码"),
    (" must be a valid date (ISO-8601)", "必须是有效的日期（ISO-8601）"),
    (" must be a valid datetime (ISO-8601)", "必须是有效的日期时间（ISO-8601）"),
    (" must be an array of values", "必须是由值组成的数组"),
];

/// A refusal of a record of an object, in a language; as it is where that has no translations of the object.
pub(super) fn translated(refusal: Refusal, site: &Site, language: Option<&str>, object: &str) -> Refusal {
    let Some(language) = language.filter(|_| refusal.faults().is_some()) else { return refusal };
    let Some(bundle) = site.bundle_in(Some(language), object) else { return refusal };
    let is_chinese = language.to_ascii_lowercase().starts_with("zh");
    refusal.map_faults(|fault| translate(fault, &bundle, is_chinese))
}

fn translate(fault: &mut Map<String, Value>, bundle: &Value, is_chinese: bool) {
    let text = |fault: &Map<String, Value>, key: &str| fault.get(key).and_then(Value::as_str).map(str::to_owned);
    let field = text(fault, "field").unwrap_or_default();
    let label = bundle.get("fields").and_then(|fields| fields.get(&field)?.get("label")?.as_str());
    let (Some(own), Some(message)) = (text(fault, "label"), text(fault, "message")) else { return };
    let shown = label.unwrap_or(&own).to_owned();
    if let Some(rest) = message.strip_prefix(&own) {
        let known = CHINESE.iter().find(|(english, _)| is_chinese && *english == rest);
        let rest = known.map_or(rest, |(_, chinese)| chinese);
        fault.insert("message".to_owned(), format!("{shown}{rest}").into());
    }
    fault.insert("label".to_owned(), shown.into());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_are_translated_and_texts_that_are_known() {
        let bundle = json!({"fields": {"name": {"label": "名称"}}});
        let of = |field: &str, message: &str, is_chinese| {
            let mut fault = json!({"field": field, "label": "Name", "message": message}).as_object().cloned().unwrap();
            translate(&mut fault, &bundle, is_chinese);
            (fault["label"].as_str().unwrap().to_owned(), fault["message"].as_str().unwrap().to_owned())
        };
        let told = |label: &str, message: &str| (label.to_owned(), message.to_owned());
        assert_eq!(of("name", "Name is required", true), told("名称", "名称不能为空"));
        assert_eq!(of("name", "Name is required", false), told("名称", "名称 is required"));
        assert_eq!(of("name", "Name must be >= 3", true), told("名称", "名称 must be >= 3"));
        assert_eq!(of("sku", "Name is required", true), told("Name", "Name不能为空"));
        assert_eq!(of("name", "Its own text", true), told("名称", "Its own text"));
    }
}
