//! Equality on columns that are read as texts, said in the column's own type as well, so that its index and its statistics are
//! used. The condition on texts decides; the other one is never false where that one is true.

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

    /// Equality by texts and by the column's own type, of which the latter comes first where it is the cheaper one.
    fn both(self, by_text: &str, own: &str, values: &[&str]) -> String {
        match self {
            Self::Uuid => format!("({by_text} AND {own})"),
            // Of values without trailing blanks both say the same. The server finds that out before it plans for them, so that it
            // neither takes them for two conditions, which would hold together for fewer rows, nor compares twice.
            Self::Blank => {
                let bare: Vec<String> = values.iter().map(|value| format!("{value} = rtrim({value}, ' ')")).collect();
                format!("({own} AND CASE WHEN {} THEN TRUE ELSE {by_text} END)", bare.join(" AND "))
            }
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
        // Its cast to text adds the mask of a host, which is not how it is printed.
        "inet" => format!("CASE WHEN {qualified} IS NOT NULL THEN format('%s', {qualified}) END"),
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
            (Some(a), None) if right.parameter.is_some() => return Some(equal_to(own, left, a, right)),
            (None, Some(b)) if left.parameter.is_some() => return Some(equal_to(own, right, b, left)),
            _ => {}
        }
    }
    None
}

fn equal_to(own: Own, column: &Argument, bare: &str, parameter: &Argument) -> String {
    let by_text = format!("{} = {}", column.text, parameter.text);
    own.both(&by_text, &format!("{bare} = {}", own.value(&parameter.text)), &[&parameter.text])
}

/// `left <> right`, where equality has another form and its negation is no worse. (Of a uuid, the texts decide alone.)
pub(crate) fn unequal(left: &Argument, right: &Argument) -> Option<String> {
    let blank = [left, right].into_iter().any(|side| Own::Blank.of(&side.text).is_some());
    equal(left, right).filter(|_| blank).map(|equal| format!("(NOT {equal})"))
}

/// A key of GROUP BY. Rows whose blanks are the only difference are one group either way, and the column's own type needs no
/// text of each row.
pub(crate) fn group_key(text: &str) -> &str {
    Own::Blank.of(text).unwrap_or(text)
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
    let by_text = format!("{} IN ({})", expr.text, texts.join(", "));
    Some(own.both(&by_text, &format!("{bare} IN ({})", values.join(", ")), &texts))
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_driver_api::value::ValueType;

    fn argument(text: &str, parameter: Option<usize>) -> Argument {
        Argument { text: text.to_owned(), value_type: ValueType::Text, parameter }
    }

    const BLANK: &str =
        "(t.c::bpchar = $1::bpchar AND CASE WHEN $1 = rtrim($1, ' ') THEN TRUE ELSE t.c::bpchar::text = $1 END)";

    #[test]
    fn only_columns_of_such_types_have_a_second_condition() {
        let (uuid, blank) = (argument("t.u::uuid::text", None), argument("t.c::bpchar::text", None));
        let (plain, value) = (argument("t.v", None), argument("$1", Some(0)));
        for (left, right, expected) in [
            (&plain, &value, None),
            (&uuid, &plain, None),
            (&uuid, &uuid, Some("(t.u::uuid = t.u::uuid)")),
            (&blank, &blank, None),
            (&blank, &value, Some(BLANK)),
            (&value, &blank, Some(BLANK)),
        ] {
            assert_eq!(equal(left, right).as_deref(), expected, "{} = {}", left.text, right.text);
        }
        assert_eq!(unequal(&blank, &value), Some(format!("(NOT {BLANK})")));
        assert_eq!([unequal(&uuid, &value), unequal(&plain, &value)], [None, None]);
        assert_eq!([group_key(&blank.text), group_key(&uuid.text)], ["t.c::bpchar", "t.u::uuid::text"]);
        assert!(listed(&uuid, &[value.clone(), value.clone()]).is_some());
        assert!(listed(&uuid, &[value, plain]).is_none());
    }
}
