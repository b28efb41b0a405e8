//! What SQLite does exactly as the vocabulary's written semantics say, per operator, type and function.

use crate::declared::SCALED_PRECISION_MAX;
use crate::functions;
use querygate_driver_api::aggregate::{AggregateExpr, AggregateFunction, WindowExpr};
use querygate_driver_api::capability::{Capabilities, Refusal, RefusalReason, of_one_scale, refuse};
use querygate_driver_api::columns::ColumnTypes;
use querygate_driver_api::function::ScalarFunction;
use querygate_driver_api::relation::{Encoding, JoinKind, Relation, SetOp};
use querygate_driver_api::scalar::{ArithmeticOp, Held, ScalarExpr};
use querygate_driver_api::value::ValueType;
use querygate_sql::{Argument, at_most_one_row, exact_if, is_sum};

/// SQLite 3.51 as bundled.
#[derive(Debug, Default)]
pub(crate) struct SqliteCapabilities;

/// Parameters of one statement: SQLite's default `SQLITE_MAX_VARIABLE_NUMBER`.
pub(crate) const PARAMETERS_MAX: usize = 32_766;

/// Types that have a stored form whose comparison is the value's.
fn comparable(value_type: ValueType) -> Result<(), Refusal> {
    querygate_sql::comparable(value_type, "the source has no lists")
}

impl Capabilities for SqliteCapabilities {
    fn operator(&self, relation: &Relation, _types: &ColumnTypes) -> Result<(), Refusal> {
        match relation {
            Relation::Scan { columns, .. } => columns.iter().try_for_each(|column| match column.value_type {
                ValueType::Decimal128 { precision, .. }
                    if column.encoding == Encoding::Canonical && precision > SCALED_PRECISION_MAX =>
                {
                    refuse(RefusalReason::Encoding, "numeric is too wide for the source's integers")
                }
                ValueType::TextList | ValueType::List(_) if column.encoding == Encoding::Canonical => {
                    refuse(RefusalReason::Encoding, "the source has no lists")
                }
                _ => Ok(()),
            }),
            Relation::SetOperation { op: SetOp::Intersect | SetOp::Except, all: true, .. } => {
                refuse(RefusalReason::Operator, "the source has no INTERSECT ALL or EXCEPT ALL")
            }
            // Under UNION ALL the source loses rows of these joins when the other side has a condition.
            Relation::Join { kind: JoinKind::Right | JoinKind::Full, .. } => {
                refuse(RefusalReason::Operator, "the source joins unmatched rows of the right side wrongly in places")
            }
            Relation::Window { .. } => refuse(RefusalReason::Operator, "windows run locally over this source"),
            Relation::Filter { .. }
            | Relation::Project { .. }
            | Relation::Join { .. }
            | Relation::Aggregate { .. }
            | Relation::Distinct { .. }
            | Relation::Sort { .. }
            | Relation::Limit { .. }
            | Relation::SetOperation { .. }
            | Relation::Fence { .. }
            | Relation::Values { .. }
            | Relation::EmptyRow => Ok(()),
        }
    }

    fn scalar(&self, expr: &ScalarExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        let type_of = |expr: &ScalarExpr| types.type_of(expr).map_err(|error| Refusal::invalid(&error));
        match expr {
            ScalarExpr::Column(_)
            | ScalarExpr::Constant(_)
            | ScalarExpr::And(_)
            | ScalarExpr::Or(_)
            | ScalarExpr::Not(_)
            | ScalarExpr::IsNull { .. }
            | ScalarExpr::IsTruth { .. }
            | ScalarExpr::Exists { .. } => Ok(()),
            ScalarExpr::Parameter(_, value_type) => comparable(*value_type),
            ScalarExpr::Comparison { left, right, .. } => {
                let left = type_of(left)?;
                of_one_scale(left, type_of(right)?)?;
                comparable(left)
            }
            ScalarExpr::Between { expr, .. }
            | ScalarExpr::InList { expr, .. }
            | ScalarExpr::InSubquery { expr, .. } => comparable(type_of(expr)?),
            ScalarExpr::Like { case_insensitive: true, .. } => {
                refuse(RefusalReason::Function, "the source folds case only in ASCII")
            }
            ScalarExpr::Like { .. } => Ok(()),
            ScalarExpr::Arithmetic { op, value_type, .. } => arithmetic(*op, *value_type),
            ScalarExpr::Negate(expr) => match type_of(expr)? {
                ValueType::Float64 => Ok(()),
                other => arithmetic(ArithmeticOp::Subtract, other),
            },
            ScalarExpr::Case { .. } => comparable(type_of(expr)?),
            ScalarExpr::Cast { from, to, .. } => {
                let argument = Argument { text: String::new(), value_type: *from, parameter: None };
                functions::cast(&argument, *to).map(drop)
            }
            ScalarExpr::Function { function, args, value_type } => {
                let types = args.iter().map(type_of).collect::<Result<Vec<_>, _>>()?;
                function_types(*function, &types, *value_type)?;
                arguments(*function, args)
            }
            ScalarExpr::ScalarSubquery { relation } => {
                if at_most_one_row(relation) {
                    return Ok(());
                }
                refuse(RefusalReason::Operator, "the source takes the first of several rows of a scalar subquery")
            }
        }
    }

    fn aggregate(&self, aggregate: &AggregateExpr, types: &ColumnTypes) -> Result<(), Refusal> {
        let Some(argument) = aggregate.args.first() else { return Ok(()) };
        let value_type = types.type_of(argument).map_err(|error| Refusal::invalid(&error))?;
        let result = aggregate.value_type;
        let fits = match aggregate.function {
            AggregateFunction::CountStar => true,
            // Columns that are only read may be counted, so only a distinct count looks at the type.
            AggregateFunction::Count if !aggregate.distinct => true,
            AggregateFunction::Count => return comparable(value_type),
            AggregateFunction::Min | AggregateFunction::Max => {
                comparable(value_type)?;
                result == value_type
            }
            // Decimals are integers here: a sum beyond 64 bits raises 22003, where the reference could hold it. That is
            // the one place where SQLite may fail instead of answering; it never answers otherwise.
            AggregateFunction::Sum => is_sum(value_type, result),
            AggregateFunction::Avg => {
                (value_type.is_integer() || value_type == ValueType::Float64) && result == ValueType::Float64
            }
            AggregateFunction::BoolAnd | AggregateFunction::BoolOr => value_type == ValueType::Boolean,
            AggregateFunction::StddevSamp
            | AggregateFunction::StddevPop
            | AggregateFunction::VarSamp
            | AggregateFunction::VarPop => {
                return refuse(RefusalReason::Function, format!("the source has no {}", aggregate.function.name()));
            }
        };
        exact_if(fits, aggregate.function.name(), value_type)
    }

    fn window(&self, _window: &WindowExpr, _types: &ColumnTypes) -> Result<(), Refusal> {
        refuse(RefusalReason::Operator, "windows run locally over this source")
    }

    /// Columns hold anything, and CAST, `substr` and `||` make something of whatever they find.
    fn holds(&self) -> Held {
        Held::OfType
    }

    fn parameters_max(&self) -> usize {
        PARAMETERS_MAX
    }
}

fn arithmetic(op: ArithmeticOp, value_type: ValueType) -> Result<(), Refusal> {
    match (op, value_type) {
        (ArithmeticOp::Divide | ArithmeticOp::Remainder, _) => {
            refuse(RefusalReason::Overflow, "the source gives NULL for division by zero")
        }
        (_, ValueType::Float64) => refuse(RefusalReason::Overflow, "the source turns float overflow into infinity"),
        (_, value_type) if value_type.is_integer() => {
            refuse(RefusalReason::Overflow, "the source turns integer overflow into a double")
        }
        (_, value_type) => {
            refuse(RefusalReason::Type, format!("arithmetic on {} is not exact in the source", value_type.name()))
        }
    }
}

/// Whether SQLite's function is exact for these argument and result types.
fn function_types(function: ScalarFunction, args: &[ValueType], to: ValueType) -> Result<(), Refusal> {
    let first = args.first().copied().unwrap_or(to);
    let texts = || args.iter().all(|arg| *arg == ValueType::Text);
    let fits = match function {
        ScalarFunction::CharLength | ScalarFunction::OctetLength => texts() && to.is_integer(),
        ScalarFunction::StrPos => texts() && to.is_integer(),
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
        ScalarFunction::Coalesce | ScalarFunction::NullIf | ScalarFunction::Greatest | ScalarFunction::Least => {
            comparable(first)?;
            args.iter().all(|arg| *arg == to)
        }
        ScalarFunction::Abs => first == to && matches!(to, ValueType::Int64 | ValueType::Float64),
        ScalarFunction::Sign => first == to && (to.is_integer() || to == ValueType::Float64),
        ScalarFunction::Round => first == to && to == ValueType::Float64,
        ScalarFunction::DatePart(_) => to.is_integer(),
        ScalarFunction::DateTrunc(_) => first == to,
        ScalarFunction::BitAnd | ScalarFunction::BitOr => to.is_integer() && args.iter().all(|arg| *arg == to),
        ScalarFunction::Upper | ScalarFunction::Lower => {
            return refuse(RefusalReason::Function, "the source changes case only in ASCII");
        }
        ScalarFunction::Floor
        | ScalarFunction::Ceil
        | ScalarFunction::Trunc
        | ScalarFunction::Sqrt
        | ScalarFunction::BitXor
        | ScalarFunction::OrderKey => {
            return refuse(RefusalReason::Function, format!("the source has no {}", function.name()));
        }
    };
    exact_if(fits, function.name(), first)?;
    date_types(function, first)
}

/// What date functions read; asks the printer, which knows which forms exist.
fn date_types(function: ScalarFunction, first: ValueType) -> Result<(), Refusal> {
    if !matches!(function, ScalarFunction::DatePart(_) | ScalarFunction::DateTrunc(_)) {
        return Ok(());
    }
    if !matches!(first, ValueType::Date | ValueType::Time | ValueType::Timestamp { .. }) {
        return refuse(
            RefusalReason::Type,
            format!("{} of {} is not exact in the source", function.name(), first.name()),
        );
    }
    functions::probe(function, first)
}

/// Functions that are exact only for some values of an argument need it as a parameter, to look at it when it is bound.
fn arguments(function: ScalarFunction, args: &[ScalarExpr]) -> Result<(), Refusal> {
    let from = match function {
        ScalarFunction::Substr | ScalarFunction::Left | ScalarFunction::Right | ScalarFunction::EndsWith => 1,
        ScalarFunction::Greatest | ScalarFunction::Least if args.len() > 2 => {
            return refuse(RefusalReason::Function, "the source skips NULLs only between two values");
        }
        ScalarFunction::CharLength
        | ScalarFunction::OctetLength
        | ScalarFunction::Upper
        | ScalarFunction::Lower
        | ScalarFunction::Trim
        | ScalarFunction::LTrim
        | ScalarFunction::RTrim
        | ScalarFunction::Replace
        | ScalarFunction::StrPos
        | ScalarFunction::StartsWith
        | ScalarFunction::Contains
        | ScalarFunction::Concat
        | ScalarFunction::ConcatSkipNull
        | ScalarFunction::Coalesce
        | ScalarFunction::NullIf
        | ScalarFunction::Greatest
        | ScalarFunction::Least
        | ScalarFunction::Abs
        | ScalarFunction::Floor
        | ScalarFunction::Ceil
        | ScalarFunction::Trunc
        | ScalarFunction::Round
        | ScalarFunction::Sign
        | ScalarFunction::Sqrt
        | ScalarFunction::DatePart(_)
        | ScalarFunction::DateTrunc(_)
        | ScalarFunction::BitAnd
        | ScalarFunction::BitOr
        | ScalarFunction::BitXor
        | ScalarFunction::OrderKey => return Ok(()),
    };
    if args.iter().skip(from).all(|arg| matches!(arg, ScalarExpr::Parameter(..))) {
        return Ok(());
    }
    let text = format!("{} with a computed argument is not exact in the source", function.name());
    refuse(RefusalReason::Function, text)
}
