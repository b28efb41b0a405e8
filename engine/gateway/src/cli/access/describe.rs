//! Policy values as text for administrators. Never part of a statement.

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
        RowFilter::Not(inner) => format!("not ({})", self::filter(inner)),
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
        Test::Compare { column, op, value } => format!("{column} {} {}", operator(*op), operand(value)),
        Test::CompareColumns { left, op, right, add_days: 0 } => format!("{left} {} {right}", operator(*op)),
        Test::CompareColumns { left, op, right, add_days } => {
            format!("{left} {} {right} + {add_days} days", operator(*op))
        }
        Test::In { column, values, negated } => {
            let values = values.iter().map(operand).collect::<Vec<_>>().join(", ");
            format!("{column} {}in ({values})", not(*negated))
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
            format!("{}{column} {verb} {}", not(*negated), operand(pattern))
        }
        Test::ListContains { column, value } => format!("{column} has {}", operand(value)),
        Test::HasElements { column } => format!("{column} has elements"),
        Test::InRelated { column, object, filter, select } => {
            format!("{column} in ({select} of {object} where {})", self::filter(filter))
        }
    }
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
