//! Equality on columns that are read as texts, with a second condition that says the same in the column's own type, so that
//! its index is used. The first condition decides; the second is never false where the first is true.

use querygate_sql::Argument;

/// The one text that a uuid prints as.
const UUID_TEXT: &str = "'^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'";

/// Types of such columns: a cast to the column's own type costs nothing, and marks the operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Uuid,
    /// `character(n)`: its own equality looks past trailing blanks, which its texts do not have.
    Blank,
}

impl Own {
    const ALL: [Self; 2] = [Self::Uuid, Self::Blank];

    const fn cast(self) -> &'static str {
        match self {
            Self::Uuid => "::uuid",
            Self::Blank => "::bpchar",
        }
    }

    /// The operand as the column's own type, if it is such a column.
    fn of(self, operand: &str) -> Option<&str> {
        let own = operand.strip_suffix("::text")?;
        own.ends_with(self.cast()).then_some(own)
    }

    /// A parameter in that type; NULL where it has no value there, which leaves the decision to the first condition.
    fn value(self, placeholder: &str) -> String {
        match self {
            Self::Uuid => format!("CASE WHEN {placeholder} ~ {UUID_TEXT} THEN {placeholder}::uuid END"),
            Self::Blank => format!("{placeholder}::bpchar"),
        }
    }
}

/// How a column of a type without a counterpart is read.
pub(crate) fn read(qualified: &str, native: &str) -> String {
    match native {
        "uuid" => format!("{qualified}::uuid::text"),
        native if native.starts_with("character(") => format!("{qualified}::bpchar::text"),
        _ => format!("{qualified}::text"),
    }
}

/// `left = right`, if an index may serve it in another form.
pub(crate) fn equal(left: &Argument, right: &Argument) -> Option<String> {
    for own in Own::ALL {
        match (own.of(&left.text), own.of(&right.text)) {
            // Two uuids are equal exactly when their texts are.
            (Some(a), Some(b)) if own == Own::Uuid => return Some(format!("({a} = {b})")),
            (Some(a), None) if right.parameter.is_some() => return Some(both(own, left, a, right)),
            (None, Some(b)) if left.parameter.is_some() => return Some(both(own, right, b, left)),
            _ => {}
        }
    }
    None
}

fn both(own: Own, column: &Argument, bare: &str, parameter: &Argument) -> String {
    format!("({} = {} AND {bare} = {})", column.text, parameter.text, own.value(&parameter.text))
}

/// Whether each value that such an operand is compared with has a form of its own.
pub(crate) fn is_read_as_text(expr: &Argument) -> bool {
    Own::ALL.into_iter().any(|own| own.of(&expr.text).is_some())
}

/// `expr IN (list)` over parameters, if an index may serve it in another form.
pub(crate) fn listed(expr: &Argument, list: &[Argument]) -> Option<String> {
    let (own, bare) = Own::ALL.into_iter().find_map(|own| Some((own, own.of(&expr.text)?)))?;
    if list.iter().any(|item| item.parameter.is_none()) {
        return None;
    }
    let texts: Vec<&str> = list.iter().map(|item| item.text.as_str()).collect();
    let values: Vec<String> = texts.iter().map(|text| own.value(text)).collect();
    Some(format!("({} IN ({}) AND {bare} IN ({}))", expr.text, texts.join(", "), values.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::ValueType;

    fn argument(text: &str, parameter: Option<usize>) -> Argument {
        Argument { text: text.to_owned(), value_type: ValueType::Text, parameter }
    }

    #[test]
    fn only_columns_of_such_types_have_a_second_condition() {
        let (uuid, blank) = (argument("t.u::uuid::text", None), argument("t.c::bpchar::text", None));
        let (plain, value) = (argument("t.v", None), argument("$1", Some(0)));
        for (left, right, expected) in [
            (&plain, &value, None),
            (&uuid, &plain, None),
            (&uuid, &uuid, Some("(t.u::uuid = t.u::uuid)")),
            (&blank, &blank, None),
            (&blank, &value, Some("(t.c::bpchar::text = $1 AND t.c::bpchar = $1::bpchar)")),
            (&value, &blank, Some("(t.c::bpchar::text = $1 AND t.c::bpchar = $1::bpchar)")),
        ] {
            assert_eq!(equal(left, right).as_deref(), expected, "{} = {}", left.text, right.text);
        }
        assert!(listed(&uuid, &[value.clone(), value.clone()]).is_some());
        assert!(listed(&uuid, &[value, plain]).is_none());
    }
}
