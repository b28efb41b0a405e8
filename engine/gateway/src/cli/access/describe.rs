//! Policy values as text for administrators, as they are applied: what a row without a value does can be read. Never part of a statement.

use querygate_policy::filter::{CompareOp, FilterValue, Operand, Test, TextKind};
use querygate_policy::{Mask, RowFilter};

pub(super) fn mask(mask: &Mask) -> String {
    match mask {
        Mask::Keep { head, tail } => format!("keeps {head} first and {tail} last characters"),
        Mask::Email => "keeps the first character and the domain".to_owned(),
        Mask::Full => "all characters".to_owned(),
        Mask::Bullets => "eight bullets".to_owned(),
        Mask::Native(mask) => {
            format!("native:{}, of the extension {} {}", mask.name(), mask.extension(), mask.version())
        }
    }
}

pub(super) fn filter(filter: &RowFilter) -> String {
    match filter {
        RowFilter::All => "all".to_owned(),
        RowFilter::Nothing => "none".to_owned(),
        RowFilter::And(members) => join(members, " and ", "all"),
        RowFilter::Or(members) => join(members, " or ", "none"),
        // No test of a filter is unknown: where the inner one fails for want of a value, this one holds.
        RowFilter::Not(inner) => format!("({}) is not true", self::filter(inner)),
        RowFilter::Test(test) => self::test(test),
    }
}

fn join(members: &[RowFilter], word: &str, empty: &str) -> String {
    if members.is_empty() {
        return empty.to_owned();
    }
    let member = |member: &RowFilter| match member {
        RowFilter::And(_) | RowFilter::Or(_) => format!("({})", filter(member)),
        RowFilter::All | RowFilter::Nothing | RowFilter::Not(_) | RowFilter::Test(_) => filter(member),
    };
    members.iter().map(member).collect::<Vec<_>>().join(word)
}

fn test(test: &Test) -> String {
    match test {
        Test::Compare { column, op: CompareOp::Ne, value } => format!("{column} is distinct from {}", operand(value)),
        Test::Compare { column, op, value } => format!("{column} {} {}", operator(*op), operand(value)),
        Test::CompareColumns { left, op, right, add_days } => {
            let days = if *add_days == 0 { String::new() } else { format!(" + {add_days} days") };
            let compared = format!("{left} {} {right}{days}", operator(*op));
            match op {
                CompareOp::Ne => format!("({compared} or {left} is null or {right} is null)"),
                CompareOp::Eq | CompareOp::Lt | CompareOp::Le | CompareOp::Gt | CompareOp::Ge => compared,
            }
        }
        Test::In { column, values, negated } => {
            let values = values.iter().map(operand).collect::<Vec<_>>().join(", ");
            or_null(column, &format!("{column} {}in ({values})", not(*negated)), *negated)
        }
        Test::IsNull { column, negated } => format!("{column} is {}null", not(*negated)),
        Test::Text { column, kind, pattern, negated } => {
            let verb = match kind {
                TextKind::Contains => "contains",
                TextKind::StartsWith => "starts with",
                TextKind::EndsWith => "ends with",
                TextKind::Like => "like",
                TextKind::ILike => "like (any ASCII case)",
                TextKind::IContains => "contains (any ASCII case)",
            };
            or_null(column, &format!("{}{column} {verb} {}", not(*negated), operand(pattern)), *negated)
        }
        Test::ListContains { column, value } => format!("{column} has {}", operand(value)),
        Test::HasElements { column } => format!("{column} has elements"),
        Test::InRelated { column, object, filter, select } => {
            format!("{column} in ({select} of {object} where {})", self::filter(filter))
        }
    }
}

/// A negated test holds for a row without a value.
fn or_null(column: &str, test: &str, negated: bool) -> String {
    if negated { format!("({test} or {column} is null)") } else { test.to_owned() }
}

fn not(negated: bool) -> &'static str {
    if negated { "not " } else { "" }
}

fn operator(op: CompareOp) -> &'static str {
    match op {
        CompareOp::Eq => "=",
        CompareOp::Ne => "<>",
        CompareOp::Lt => "<",
        CompareOp::Le => "<=",
        CompareOp::Gt => ">",
        CompareOp::Ge => ">=",
    }
}

fn operand(operand: &Operand) -> String {
    match operand {
        Operand::Literal(value) => self::value(value),
        Operand::Principal { key, value } => format!("{} (current_user.{key})", self::value(value)),
    }
}

fn value(value: &FilterValue) -> String {
    match value {
        FilterValue::Text(text) => format!("'{text}'"),
        FilterValue::Integer(n) => n.to_string(),
        FilterValue::Decimal(text) => text.clone(),
        FilterValue::Boolean(b) => b.to_string(),
        FilterValue::Date(days) => format!("day {days}"),
        FilterValue::Timestamp(ms) => chrono::DateTime::from_timestamp_millis(*ms)
            .map_or_else(|| format!("{ms} ms"), |instant| instant.to_rfc3339()),
        FilterValue::Time(ms) => format!("{ms} ms after midnight"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader of SQL must see which rows pass: those without a value are among them.
    #[test]
    fn what_holds_for_a_row_without_a_value_says_so() {
        let us = || Operand::Literal(FilterValue::Text("us".to_owned()));
        let region = || "region".to_owned();
        let compare = |op| RowFilter::Test(Test::Compare { column: region(), op, value: us() });
        let columns = |op| Test::CompareColumns { left: "a".to_owned(), op, right: "b".to_owned(), add_days: 0 };
        let within = |negated| Test::In { column: region(), values: vec![us()], negated };
        let text = |negated| Test::Text { column: region(), kind: TextKind::Contains, pattern: us(), negated };
        for (applied, expected) in [
            (compare(CompareOp::Ne), "region is distinct from 'us'"),
            (compare(CompareOp::Eq), "region = 'us'"),
            (RowFilter::Test(columns(CompareOp::Ne)), "(a <> b or a is null or b is null)"),
            (RowFilter::Test(columns(CompareOp::Le)), "a <= b"),
            (RowFilter::Test(within(true)), "(region not in ('us') or region is null)"),
            (RowFilter::Test(within(false)), "region in ('us')"),
            (RowFilter::Test(text(true)), "(not region contains 'us' or region is null)"),
            (RowFilter::Not(Box::new(compare(CompareOp::Eq))), "(region = 'us') is not true"),
        ] {
            assert_eq!(filter(&applied), expected);
        }
    }
}
