//! What the claims of a token say of its user, as the configuration reads them. Checks no signature.

use crate::config::ClaimNames;
use querygate_types::principal::AttributeValue;
use serde_json::{Map, Number, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Bytes of a text that a claim says.
const TEXT_BYTES_MAX: usize = 256;
/// Texts of one claim.
const TEXTS_MAX: usize = 500;
/// Up to here doubles hold each whole number.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// Who a token says its user is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// What its issuer's tokens say in `iss`.
    pub issuer: String,
    /// The login name.
    pub login: String,
    /// `current_user.id`.
    pub user_id: Option<String>,
    /// The address.
    pub email: Option<String>,
    /// The active organization.
    pub organization: Option<String>,
    /// All organizations.
    pub organizations: BTreeSet<String>,
    /// Positions held.
    pub positions: BTreeSet<String>,
    /// Permission sets held.
    pub permission_sets: BTreeSet<String>,
    /// Attributes.
    pub attributes: BTreeMap<String, AttributeValue>,
    /// When the token ends, our clock's skew included, in seconds since 1970.
    pub ends: u64,
}

impl Claimed {
    /// Reads claims.
    ///
    /// # Errors
    /// What is not there or not understood; names claims and no value.
    pub(crate) fn read(
        names: &ClaimNames,
        issuer: &str,
        claims: &Map<String, Value>,
        ends: u64,
    ) -> Result<Self, &'static str> {
        let one = |name: &Option<String>| match name {
            None => Ok(None),
            Some(name) => one_text(claims, name),
        };
        let many = |name: &Option<String>, known: &BTreeMap<String, String>| match name {
            None => Ok(BTreeSet::new()),
            Some(name) => texts(claims, name).map(|said| meant(said, known)),
        };
        let login = one_text(claims, &names.login)?.ok_or("the claim of the login is not there")?;
        let is_address = |name: &str| name == "email";
        // Some issuers let users write any address into their own account.
        if is_address(&names.login) && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err("the address that says who it is was not verified");
        }
        let mut attributes = BTreeMap::new();
        for (attribute, claim) in &names.attributes {
            if let Some(value) = found(claims, claim) {
                attributes.insert(attribute.clone(), attribute_value(value)?);
            }
        }
        let none = BTreeMap::new();
        Ok(Self {
            issuer: issuer.to_owned(),
            login,
            user_id: one(&names.user_id)?,
            email: one(&names.email)?,
            organization: one(&names.organization)?,
            organizations: many(&names.organizations, &none)?,
            positions: many(&names.positions, &names.position_names)?,
            permission_sets: many(&names.permission_sets, &names.permission_set_names)?,
            attributes,
            ends,
        })
    }
}

/// A claim by its name, or by the path to it.
fn found<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let value = match claims.get(name) {
        Some(value) => Some(value),
        None => {
            let mut parts = name.split('.');
            let first = claims.get(parts.next()?)?;
            parts.try_fold(first, |value, part| value.get(part))
        }
    };
    value.filter(|value| !value.is_null())
}

fn text(value: &Value) -> Result<String, &'static str> {
    let text = value.as_str().ok_or("a claim is no text")?;
    if text.is_empty() || text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        return Err("a claim is empty, too long or not printable");
    }
    Ok(text.to_owned())
}

fn one_text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, &'static str> {
    found(claims, name).map(text).transpose()
}

/// One text or a list of them.
fn texts(claims: &Map<String, Value>, name: &str) -> Result<BTreeSet<String>, &'static str> {
    match found(claims, name) {
        None => Ok(BTreeSet::new()),
        Some(Value::Array(values)) if values.len() <= TEXTS_MAX => values.iter().map(text).collect(),
        Some(Value::Array(_)) => Err("a claim has too many values"),
        Some(value) => text(value).map(|one| BTreeSet::from([one])),
    }
}

/// What the values stand for; where names are given, values without one stand for nothing.
fn meant(said: BTreeSet<String>, known: &BTreeMap<String, String>) -> BTreeSet<String> {
    if known.is_empty() {
        return said;
    }
    said.iter().filter_map(|value| known.get(value)).cloned().collect()
}

/// A whole number in any spelling: JSON tells `7` from `7.0` no more than from `7e0`.
fn whole(number: &Number) -> Option<i64> {
    let exact = |number: &f64| number.fract() == 0.0 && number.abs() <= EXACT_MAX;
    number.as_i64().or_else(|| format!("{:.0}", number.as_f64().filter(exact)?).parse().ok())
}

fn attribute_value(value: &Value) -> Result<AttributeValue, &'static str> {
    match value {
        Value::String(_) => text(value).map(AttributeValue::Text),
        Value::Bool(is) => Ok(AttributeValue::Boolean(*is)),
        Value::Number(number) => {
            whole(number).map(AttributeValue::Integer).ok_or("an attribute is no whole number of 64 bits")
        }
        Value::Array(values) if values.len() <= TEXTS_MAX => {
            values.iter().map(text).collect::<Result<_, _>>().map(AttributeValue::List)
        }
        Value::Null | Value::Array(_) | Value::Object(_) => Err("an attribute is of no type that attributes have"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(names: &ClaimNames, claims: Value) -> Result<Claimed, &'static str> {
        Claimed::read(names, "i", claims.as_object().unwrap(), 1)
    }

    #[test]
    fn claims_are_read_by_name_and_by_path_and_mean_what_is_said() {
        let names = ClaimNames {
            login: "preferred_username".to_owned(),
            user_id: Some("https://x.example/id".to_owned()),
            organization: Some("org.id".to_owned()),
            positions: Some("realm_access.roles".to_owned()),
            position_names: BTreeMap::from([("CN=Sales".to_owned(), "sales_rep".to_owned())]),
            permission_sets: Some("sets".to_owned()),
            attributes: BTreeMap::from([("region".to_owned(), "region".to_owned()), ("n".to_owned(), "n".to_owned())]),
            ..ClaimNames::default()
        };
        let claimed = read(
            &names,
            json!({"preferred_username": "ada", "https://x.example/id": "u1", "org": {"id": "o1"}, "sets": "one",
                "realm_access": {"roles": ["CN=Sales", "CN=Other"]}, "region": "emea", "n": null}),
        )
        .unwrap();
        assert_eq!((claimed.login.as_str(), claimed.user_id.as_deref()), ("ada", Some("u1")));
        assert_eq!(claimed.organization.as_deref(), Some("o1"));
        assert_eq!(claimed.positions, BTreeSet::from(["sales_rep".to_owned()]));
        assert_eq!(claimed.permission_sets, BTreeSet::from(["one".to_owned()]));
        assert_eq!(claimed.attributes["region"], AttributeValue::Text("emea".to_owned()));
        assert!(!claimed.attributes.contains_key("n"));
    }

    #[test]
    fn a_claim_of_another_type_or_without_bounds_is_refused() {
        let names = ClaimNames { positions: Some("roles".to_owned()), ..ClaimNames::default() };
        for claims in [
            json!({}),
            json!({"sub": 7}),
            json!({"sub": ""}),
            json!({"sub": null}),
            json!({"sub": "a\nb"}),
            json!({"sub": "x".repeat(300)}),
            json!({"sub": ["ada"]}),
            json!({"sub": "ada", "roles": [1]}),
            json!({"sub": "ada", "roles": {"a": "b"}}),
            json!({"sub": "ada", "roles": vec!["r"; 501]}),
            json!({"sub": "ada", "email": false}),
        ] {
            assert!(read(&names, claims.clone()).is_err(), "{claims}");
        }
        assert!(read(&names, json!({"sub": "ada"})).is_ok());
    }

    #[test]
    fn whole_numbers_have_many_spellings() {
        let of = |text: &str| attribute_value(&serde_json::from_str(text).unwrap());
        for (text, number) in
            [("7", 7), ("7.0", 7), ("7e0", 7), ("0.7e1", 7), ("-0.0", 0), ("-9223372036854775808", i64::MIN)]
        {
            assert_eq!(of(text), Ok(AttributeValue::Integer(number)), "{text}");
        }
        for text in ["7.5", "1e300", "9223372036854775808", "1e16"] {
            assert!(of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_says_who_it_is_only_where_it_was_verified() {
        let names = ClaimNames { login: "email".to_owned(), ..ClaimNames::default() };
        for (verified, good) in
            [(json!(true), true), (json!(false), false), (json!("true"), false), (json!(null), false)]
        {
            assert_eq!(read(&names, json!({"email": "a@b.example", "email_verified": verified})).is_ok(), good);
        }
        assert!(read(&names, json!({"email": "a@b.example"})).is_err());
    }
}
