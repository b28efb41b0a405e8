//! Reads `sys_*` rows into [`Facts`]. A row that cannot be understood is an error: guessing could widen rights.

use crate::model::{
    AccessLevel, BusinessUnit, Facts, FactsError, Location, PlacedRow, RecordShare, Tenure, UnitMember, User,
    UserGrant, UserPosition,
};
use chrono::{DateTime, NaiveDate};
use serde_json::Value;
use std::collections::HashMap;

type Row = serde_json::Map<String, Value>;

impl Facts {
    /// Objects whose rows [`Facts::from_rows`] reads; rows of others are passed over.
    pub const OBJECTS: &'static [&'static str] = &[
        "sys_user",
        "sys_position",
        "sys_permission_set",
        "sys_user_position",
        "sys_position_permission_set",
        "sys_user_permission_set",
        "sys_member",
        "sys_business_unit",
        "sys_business_unit_member",
        "sys_record_share",
    ];

    /// Reads rows given as (object, row), in any order. Positions and sets are referred to by row id where
    /// `sys_position` / `sys_permission_set` rows are present, else by name.
    ///
    /// # Errors
    /// The first row with a missing key, a malformed instant or an unknown level.
    pub fn from_rows<'a>(rows: impl IntoIterator<Item = (&'a str, &'a Row)>) -> Result<Self, FactsError> {
        Reader::new(rows.into_iter().map(|(object, row)| (object, row, None))).read()
    }

    /// As [`Facts::from_rows`], with the place of the row in errors.
    ///
    /// # Errors
    /// As there.
    pub fn from_placed_rows(rows: &[PlacedRow]) -> Result<Self, FactsError> {
        Reader::new(rows.iter().map(|row| (row.object.as_str(), &row.row, Some(&row.location)))).read()
    }
}

struct Reader<'a> {
    by_object: HashMap<&'a str, Vec<Placed<'a>>>,
}

type Placed<'a> = (&'a Row, Option<&'a Location>);

/// A row with its place, for errors.
struct At<'a> {
    object: &'a str,
    index: usize,
    row: &'a Row,
    location: Option<&'a Location>,
}

impl<'a> Reader<'a> {
    fn new(rows: impl Iterator<Item = (&'a str, &'a Row, Option<&'a Location>)>) -> Self {
        let mut by_object: HashMap<&str, Vec<Placed<'_>>> = HashMap::new();
        for (object, row, location) in rows.filter(|(object, ..)| Facts::OBJECTS.contains(object)) {
            by_object.entry(object).or_default().push((row, location));
        }
        Self { by_object }
    }

    fn rows(&self, object: &'a str) -> impl Iterator<Item = At<'a>> {
        let rows = self.by_object.get(object).cloned().unwrap_or_default();
        rows.into_iter().enumerate().map(move |(index, (row, location))| At { object, index, row, location })
    }

    fn names(&self, object: &'a str) -> Result<HashMap<String, String>, FactsError> {
        let mut names = HashMap::new();
        for at in self.rows(object) {
            if let Some(id) = at.text("id")? {
                names.insert(id, at.required("name")?);
            }
        }
        Ok(names)
    }

    fn read(&self) -> Result<Facts, FactsError> {
        let positions = self.names("sys_position")?;
        let sets = self.names("sys_permission_set")?;
        let named = |names: &HashMap<String, String>, id: String| names.get(&id).cloned().unwrap_or(id);
        let mut facts = Facts::default();
        for at in self.rows("sys_user") {
            let user = User {
                id: at.required("id")?,
                email: at.text("email")?,
                name: at.text("name")?,
                manager_id: at.text("manager_id")?,
            };
            facts.users.insert(user.id.clone(), user);
        }
        for at in self.rows("sys_user_position") {
            let position = match at.text("position")? {
                Some(position) => position,
                None => at.required("position_id")?,
            };
            let held = UserPosition {
                position: named(&positions, position),
                organization_id: at.text("organization_id")?,
                business_unit_id: at.text("business_unit_id")?,
                tenure: at.tenure("valid_from", "valid_until")?,
            };
            facts.user_positions.entry(at.required("user_id")?).or_default().push(held);
        }
        for at in self.rows("sys_position_permission_set") {
            let position = named(&positions, at.required("position_id")?);
            let set = named(&sets, at.required("permission_set_id")?);
            facts.position_sets.entry(position).or_default().push(set);
        }
        for at in self.rows("sys_user_permission_set") {
            let grant = UserGrant {
                permission_set: named(&sets, at.required("permission_set_id")?),
                organization_id: at.text("organization_id")?,
                tenure: at.tenure("valid_from", "valid_until")?,
            };
            facts.user_sets.entry(at.required("user_id")?).or_default().push(grant);
        }
        self.organizations_and_units(&mut facts)?;
        self.shares(&mut facts)?;
        Ok(facts)
    }

    fn organizations_and_units(&self, facts: &mut Facts) -> Result<(), FactsError> {
        for at in self.rows("sys_member") {
            let organization = at.required("organization_id")?;
            facts.user_organizations.entry(at.required("user_id")?).or_default().push(organization);
        }
        for at in self.rows("sys_business_unit") {
            let unit = BusinessUnit {
                id: at.required("id")?,
                name: at.text("name")?,
                parent: at.text("parent_business_unit_id")?,
            };
            facts.business_units.insert(unit.id.clone(), unit);
        }
        for at in self.rows("sys_business_unit_member") {
            let member =
                UnitMember { user_id: at.required("user_id")?, tenure: at.tenure("effective_from", "effective_to")? };
            facts.unit_members.entry(at.required("business_unit_id")?).or_default().push(member);
        }
        Ok(())
    }

    fn shares(&self, facts: &mut Facts) -> Result<(), FactsError> {
        for at in self.rows("sys_record_share") {
            let recipient = at.required("recipient_type")?;
            if recipient != "user" {
                return Err(at.error(&format!("recipient_type '{recipient}' is not materialized to users")));
            }
            let access_level = match at.required("access_level")?.as_str() {
                "read" => AccessLevel::Read,
                "edit" => AccessLevel::Edit,
                other => return Err(at.error(&format!("access_level '{other}' is neither read nor edit"))),
            };
            let share = RecordShare { record_id: at.required("record_id")?, access_level };
            let object = facts.shares.entry(at.required("object_name")?).or_default();
            object.entry(at.required("recipient_id")?).or_default().push(share);
        }
        Ok(())
    }
}

impl At<'_> {
    fn error(&self, message: &str) -> FactsError {
        FactsError {
            object: self.object.to_owned(),
            row: self.index,
            location: self.location.cloned(),
            message: message.to_owned(),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, FactsError> {
        match self.row.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.is_empty() => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.error(&format!("{key} is not a string"))),
        }
    }

    fn required(&self, key: &str) -> Result<String, FactsError> {
        self.text(key)?.ok_or_else(|| self.error(&format!("{key} is missing")))
    }

    fn tenure(&self, from: &str, until: &str) -> Result<Tenure, FactsError> {
        Ok(Tenure { from_ms: self.instant(from)?, until_ms: self.instant(until)? })
    }

    fn instant(&self, key: &str) -> Result<Option<i64>, FactsError> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        if let Ok(instant) = DateTime::parse_from_rfc3339(&text) {
            return Ok(Some(instant.timestamp_millis()));
        }
        let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
        day.map(|day| Some(day.and_utc().timestamp_millis()))
            .ok_or_else(|| self.error(&format!("{key} is not an ISO instant")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn facts(rows: &[(&str, Value)]) -> Result<Facts, FactsError> {
        Facts::from_rows(rows.iter().map(|(object, row)| (*object, row.as_object().unwrap())))
    }

    #[test]
    fn ids_resolve_to_names_whatever_the_order() {
        let facts = facts(&[
            ("sys_position_permission_set", json!({"position_id": "p1", "permission_set_id": "s1"})),
            ("sys_user_permission_set", json!({"user_id": "u", "permission_set_id": "direct"})),
            ("sys_position", json!({"id": "p1", "name": "manager"})),
            ("sys_permission_set", json!({"id": "s1", "name": "all_reads"})),
            (
                "sys_user_position",
                json!({"user_id": "u", "position": "manager", "valid_until": "2026-01-01T00:00:00Z"}),
            ),
            ("crm_lead", json!({"id": 1})),
        ])
        .unwrap();
        assert_eq!(facts.position_sets["manager"], ["all_reads"]);
        assert_eq!(facts.user_sets["u"][0].permission_set, "direct");
        let tenure = facts.user_positions["u"][0].tenure;
        assert!(tenure.holds(1_767_225_599_999) && !tenure.holds(1_767_225_600_000));
    }

    #[test]
    fn rows_that_cannot_be_understood_are_refused() {
        let check = |object: &str, row: Value, expected: &str| {
            assert_eq!(facts(&[(object, row)]).unwrap_err().to_string(), expected);
        };
        let share = |level: &str, recipient: &str| json!({"object_name": "o", "record_id": "r", "recipient_type": recipient, "recipient_id": "u", "access_level": level});
        check(
            "sys_record_share",
            share("own", "user"),
            "sys_record_share row 0: access_level 'own' is neither read nor edit",
        );
        check(
            "sys_record_share",
            share("read", "team"),
            "sys_record_share row 0: recipient_type 'team' is not materialized to users",
        );
        check(
            "sys_user_position",
            json!({"user_id": "u", "position": "p", "valid_until": "soon"}),
            "sys_user_position row 0: valid_until is not an ISO instant",
        );
        check("sys_user_position", json!({"position": "p"}), "sys_user_position row 0: user_id is missing");
    }
}
