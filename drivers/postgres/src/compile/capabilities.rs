//! What PostgreSQL does exactly as the vocabulary's written semantics say, per operator, type and function.

use crate::compile::{functions, order_keys};
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction, WindowExpr};
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason, refuse};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::function::{DatePart, ScalarFunction};
use querygate_driver_api::identifier::ColumnId;
use querygate_driver_api::relation::{JoinKind, Relation, SetOp};
use querygate_driver_api::scalar::{ArithmeticOp, ComparisonOp, Held, ScalarExpr};
use querygate_driver_api::value::ValueType;
use querygate_sql::{Argument, exact_if, is_sum};

/// PostgreSQL 15 and later.
#[derive(Debug, Default)]
pub(crate) struct PostgresCapabilities;

/// Parameters of one statement: the protocol counts them in 16 bits.
const PARAMETERS_MAX: usize = 65_535;

fn type_of(expr: &ScalarExpr, types: &ColumnTypes) -> Result<ValueType, Refusal> {
    types.type_of(expr).map_err(|error| Refusal::invalid(&error))
}

/// Types whose comparison is the value's. Arrays carry bounds that a list does not.
fn comparable(value_type: ValueType) -> Result<(), Refusal> {
    querygate_sql::comparable(value_type, "the source compares lists in another way")
}

fn comparable_columns(columns: &[ColumnId], types: &ColumnTypes) -> Result<(), Refusal> {
    columns.iter().try_for_each(|id| comparable(types.of(*id).map_err(|error| Refusal::invalid(&error))?.value_type))
}

impl Capabilities for PostgresCapabilities {
    fn operator(&self, relation: &Relation, types: &ColumnTypes) -> Result<(), Refusal> {
        order_keys::operator(relation, types)?;
        match relation {
            Relation::Scan { table, .. } if table.schema().is_none() => {
                refuse(RefusalReason::Name, "table without a schema")
            }
            Relation::Window { .. } => refuse(RefusalReason::Operator, "windows run locally over this source"),
            Relation::Join { kind: JoinKind::Full, left, on, .. } if !has_equality(on, &left.output()) => {
                refuse(RefusalReason::Operator, "the source joins fully only on equal columns")
            }
            Relation::Aggregate { group, .. } => {
                group.iter().try_for_each(|(_, expr)| comparable(type_of(expr, types)?))
            }
            Relation::Distinct { input } => comparable_columns(&input.output(), types),
            Relation::SetOperation { op: SetOp::Union, all: true, .. } => Ok(()),
            Relation::SetOperation { left, right, .. } => {
                comparable_columns(&left.output(), types)?;
                comparable_columns(&right.output(), types)
            }
            Relation::Sort { keys, .. } => keys.iter().try_for_each(|key| comparable(type_of(&key.expr, types)?)),
            Relation::Scan { .. }
            | Relation::Filter { .. }
            | Relation::Project { .. }
            | Relation::Join { .. }
            | Relation::Limit { .. }
            | Relation::Fence { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => Ok(()),
        }
    }

    fn scalar(&self, expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        order_keys::scalar(expr, types)?;
        match expr {
            ScalarExpr::Column(_)
            | ScalarExpr::Parameter(..)
            | ScalarExpr::Constant(_)
            | ScalarExpr::And(_)
            | ScalarExpr::Or(_)
            | ScalarExpr::Not(_)
            | ScalarExpr::IsNull { .. }
            | ScalarExpr::IsTruth { .. }
            | ScalarExpr::Case { .. }
            | ScalarExpr::ScalarSubquery { .. }
            | ScalarExpr::Exists { .. } => Ok(()),
            ScalarExpr::Comparison { left, .. } => comparable(type_of(left, types)?),
            ScalarExpr::Between { expr, .. }
            | ScalarExpr::InList { expr, .. }
            | ScalarExpr::InSubquery { expr, .. } => comparable(type_of(expr, types)?),
            ScalarExpr::Like { case_insensitive: true, .. } => {
                refuse(RefusalReason::Function, "the source folds case by its locale")
            }
            ScalarExpr::Like { .. } => Ok(()),
            ScalarExpr::Arithmetic { op, left, right, value_type } => {
                arithmetic(*op, type_of(left, types)?, type_of(right, types)?, *value_type)
            }
            ScalarExpr::Negate(expr) => {
                let value_type = type_of(expr, types)?;
                if value_type.is_numeric() {
                    return Ok(());
                }
                refuse(RefusalReason::Type, format!("minus {} is not exact in the source", value_type.name()))
            }
            ScalarExpr::Cast { from, to, .. } => functions::cast(&typed(*from), *to).map(drop),
            ScalarExpr::Function { function, args, value_type } => {
                let of = args.iter().map(|arg| type_of(arg, types)).collect::<Result<Vec<_>, _>>()?;
                function_types(*function, &of, *value_type)?;
                positions(*function, args, &of)
            }
        }
    }

    fn aggregate(&self, aggregate: &AggregateExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        let Some(argument) = aggregate.args.first() else { return Ok(()) };
        let of = type_of(argument, types)?;
        let result = aggregate.value_type;
        if aggregate.distinct {
            comparable(of)?;
        }
        let fits = match aggregate.function {
            AggregateFunction::CountStar | AggregateFunction::Count => true,
            AggregateFunction::Min | AggregateFunction::Max => {
                comparable(of)?;
                result == of && of != ValueType::Binary
            }
            AggregateFunction::Sum => is_sum(of, result),
            AggregateFunction::Avg if of.is_decimal() => is_mean(of, result),
            AggregateFunction::Avg
            | AggregateFunction::StddevSamp
            | AggregateFunction::StddevPop
            | AggregateFunction::VarSamp
            | AggregateFunction::VarPop => {
                (of.is_integer() || of == ValueType::Float64) && result == ValueType::Float64
            }
            AggregateFunction::BoolAnd | AggregateFunction::BoolOr => of == ValueType::Boolean,
        };
        exact_if(fits, aggregate.function.name(), of)
    }

    fn window(&self, _window: &WindowExpr, _types: &ColumnTypes) -> Result<(), Refusal> {
        refuse(RefusalReason::Operator, "windows run locally over this source")
    }

    fn holds(&self) -> Held {
        Held::OfType
    }

    fn parameters_max(&self) -> usize {
        PARAMETERS_MAX
    }
}

/// Whether a decimal's average is one that we make of sum and count: four digits more, and no sum that would overflow here.
fn is_mean(of: ValueType, result: ValueType) -> bool {
    match (of, result) {
        (ValueType::Decimal128 { precision: p, scale: s }, ValueType::Decimal128 { precision, scale }) => {
            s >= 0 && p <= 20 && precision == p + 4 && scale == s + 4
        }
        _ => false,
    }
}

/// An operand of a type, for asking whether a text exists.
fn typed(value_type: ValueType) -> Argument {
    Argument { text: String::new(), value_type, parameter: None }
}

fn arithmetic(op: ArithmeticOp, left: ValueType, right: ValueType, to: ValueType) -> Result<(), Refusal> {
    functions::arithmetic(op, &typed(left), &typed(right), to).map(drop)
}

/// Whether some conjunct equates a column of the left side with one of the right.
fn has_equality(on: &ScalarExpr, left: &[ColumnId]) -> bool {
    match on {
        ScalarExpr::And(all) => all.iter().any(|conjunct| has_equality(conjunct, left)),
        ScalarExpr::Comparison { op: ComparisonOp::Eq, left: a, right: b } => match (a.as_ref(), b.as_ref()) {
            (ScalarExpr::Column(a), ScalarExpr::Column(b)) => left.contains(a) != left.contains(b),
            _ => false,
        },
        _ => false,
    }
}

/// Whether the server's function is exact for these argument and result types.
fn function_types(function: ScalarFunction, args: &[ValueType], to: ValueType) -> Result<(), Refusal> {
    let first = args.first().copied().unwrap_or(to);
    let texts = || args.iter().all(|arg| *arg == ValueType::Text);
    let fits = match function {
        ScalarFunction::CharLength | ScalarFunction::OctetLength | ScalarFunction::StrPos => texts() && to.is_integer(),
        ScalarFunction::Substr | ScalarFunction::Left | ScalarFunction::Right => {
            first == ValueType::Text && args.iter().skip(1).all(|arg| arg.is_integer()) && to == ValueType::Text
        }
        ScalarFunction::Trim
        | ScalarFunction::LTrim
        | ScalarFunction::RTrim
        | ScalarFunction::Replace
        | ScalarFunction::Concat
        | ScalarFunction::ConcatSkipNull => texts() && to == ValueType::Text,
        ScalarFunction::StartsWith | ScalarFunction::EndsWith | ScalarFunction::Contains => {
            texts() && to == ValueType::Boolean
        }
        ScalarFunction::Coalesce => args.iter().all(|arg| *arg == to),
        ScalarFunction::NullIf | ScalarFunction::Greatest | ScalarFunction::Least => {
            comparable(first)?;
            args.iter().all(|arg| *arg == to)
        }
        ScalarFunction::Abs => first == to && to.is_numeric(),
        ScalarFunction::Floor | ScalarFunction::Ceil | ScalarFunction::Trunc => {
            (first == ValueType::Float64 && first == to) || (first.is_decimal() && to.is_decimal())
        }
        // Half to even for doubles there.
        ScalarFunction::Round => first.is_decimal() && to.is_decimal(),
        // The sign of NaN is 0 there.
        ScalarFunction::Sign => first == to && (to.is_integer() || to.is_decimal()),
        ScalarFunction::Sqrt => first == ValueType::Float64 && first == to,
        ScalarFunction::DatePart(part) => to.is_integer() && has_part(part, first),
        ScalarFunction::DateTrunc(_) => first == to && matches!(first, ValueType::Timestamp { .. }),
        ScalarFunction::BitAnd | ScalarFunction::BitOr | ScalarFunction::BitXor => {
            to.is_integer() && args.iter().all(|arg| *arg == to)
        }
        // Of which values is looked at with the expression.
        ScalarFunction::OrderKey => to == ValueType::Binary,
        ScalarFunction::Upper | ScalarFunction::Lower => {
            return refuse(RefusalReason::Function, "the source changes case by its locale");
        }
    };
    exact_if(fits, function.name(), first)
}

fn has_part(part: DatePart, of: ValueType) -> bool {
    match part {
        DatePart::Hour | DatePart::Minute | DatePart::Second => {
            matches!(of, ValueType::Time | ValueType::Timestamp { .. })
        }
        DatePart::Year
        | DatePart::Quarter
        | DatePart::Month
        | DatePart::Week
        | DatePart::Day
        | DatePart::DayOfWeek
        | DatePart::IsoDayOfWeek
        | DatePart::DayOfYear => matches!(of, ValueType::Date | ValueType::Timestamp { .. }),
    }
}

/// Positions are 32-bit there: a wider one must be a parameter, to be looked at when it is bound.
fn positions(function: ScalarFunction, args: &[ScalarExpr], of: &[ValueType]) -> Result<(), Refusal> {
    if !matches!(function, ScalarFunction::Substr | ScalarFunction::Left | ScalarFunction::Right) {
        return Ok(());
    }
    let narrow = |(arg, of): (&ScalarExpr, &ValueType)| {
        matches!(arg, ScalarExpr::Parameter(..)) || matches!(of, ValueType::Int16 | ValueType::Int32)
    };
    if args.iter().zip(of).skip(1).all(narrow) {
        return Ok(());
    }
    let text = format!("{} with a computed bigint is not exact in the source", function.name());
    refuse(RefusalReason::Function, text)
}
