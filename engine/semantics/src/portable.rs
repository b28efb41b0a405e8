//! Functions and aggregates as values, by what makes them: another process of the same release makes the very same ones. Closed: what
//! is not here, what tells of a session or a moment, and what gives another value each time has no such value.

use crate::analyze::joined_texts;
use crate::bounds;
use crate::casts::conversions;
pub use crate::numbers::digits::tight_type;
use crate::numbers::kernels::Op;
use crate::numbers::{arithmetic, wide};
use crate::times::zone::Zone;
use crate::times::{date_trunc, interval_extremes, interval_length};
use crate::{aggregates, functions};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::execution::SessionStateBuilder;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, Volatility};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// Charges around charges.
const DEPTH_MAX: usize = 4;

/// A function. `F` stands for the field of a result, which its owner writes as it likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function<F> {
    /// One that every state has.
    Named(String),
    /// One of the gate's tables, in a time zone.
    InZone {
        name: String,
        zone: String,
    },
    /// Checked operations from left to right.
    Arithmetic(Vec<Sign>),
    Negation,
    /// A cast as Postgres makes it.
    Conversion {
        to: F,
        zone: String,
    },
    /// Bytes are charged before it runs.
    Bounded(Box<Self>),
    JoinedTexts,
    IntervalLength,
    TruncatedDate,
}

/// A checked operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sign {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Sign {
    const fn of(op: Op) -> Self {
        match op {
            Op::Add => Self::Add,
            Op::Subtract => Self::Subtract,
            Op::Multiply => Self::Multiply,
            Op::Divide => Self::Divide,
            Op::Remainder => Self::Remainder,
        }
    }

    const fn op(self) -> Op {
        match self {
            Self::Add => Op::Add,
            Self::Subtract => Op::Subtract,
            Self::Multiply => Op::Multiply,
            Self::Divide => Op::Divide,
            Self::Remainder => Op::Remainder,
        }
    }
}

/// What every state has of functions and aggregates that give the same for the same.
struct Known {
    functions: HashMap<String, Arc<ScalarUDF>>,
    aggregates: HashMap<String, Arc<AggregateUDF>>,
}

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let state = crate::install(SessionStateBuilder::new_with_default_features().build());
    let functions = state.scalar_functions().values().map(|one| (one.name().to_owned(), Arc::clone(one)));
    let aggregates = state.aggregate_functions().values().map(|one| (one.name().to_owned(), Arc::clone(one)));
    Known {
        functions: functions.filter(|(_, one)| one.signature().volatility == Volatility::Immutable).collect(),
        aggregates: aggregates.filter(|(name, _)| divisible(name).is_some()).collect(),
    }
});

impl Function<FieldRef> {
    /// The value that stands for a function. `None`: there is none.
    #[must_use]
    pub fn of(function: &ScalarUDF) -> Option<Self> {
        let found = Self::found(function, 0)?;
        // What is made of the value is the function itself.
        (*found.made()? == *function).then_some(found)
    }

    fn found(function: &ScalarUDF, depth: usize) -> Option<Self> {
        if depth > DEPTH_MAX || function.signature().volatility != Volatility::Immutable {
            return None;
        }
        if let Some((name, zone)) = functions::name_and_zone(function) {
            return Some(Self::InZone { name: name.to_owned(), zone: zone.name() });
        }
        if let Some(ops) = arithmetic::ops_of(function) {
            return Some(Self::Arithmetic(ops.iter().copied().map(Sign::of).collect()));
        }
        if let Some((to, zone)) = conversions::target_of(function) {
            return Some(Self::Conversion { to: Arc::clone(to), zone: zone.name() });
        }
        if let Some(inner) = bounds::inner_of(function) {
            return Some(Self::Bounded(Box::new(Self::found(inner, depth + 1)?)));
        }
        if *function == *interval_length::function() {
            return Some(Self::IntervalLength);
        }
        if *function == *joined_texts::joining() {
            return Some(Self::JoinedTexts);
        }
        if *function == *date_trunc::of_date() {
            return Some(Self::TruncatedDate);
        }
        if arithmetic::checked_negation(&DataType::Int64).is_some_and(|negation| *negation == *function) {
            return Some(Self::Negation);
        }
        Some(Self::Named(function.name().to_owned()))
    }

    /// The function. `None`: this release has none.
    #[must_use]
    pub fn made(&self) -> Option<Arc<ScalarUDF>> {
        Some(match self {
            Self::Named(name) => Arc::clone(KNOWN.functions.get(name)?),
            Self::InZone { name, zone } => functions::in_zone(name, Zone::parse(zone)?)
                .filter(|function| function.signature().volatility == Volatility::Immutable)?,
            Self::Arithmetic(signs) if signs.is_empty() => return None,
            Self::Arithmetic(signs) => Arc::new(arithmetic::chain(signs.iter().copied().map(Sign::op).collect())),
            Self::Negation => arithmetic::checked_negation(&DataType::Int64)?,
            Self::Conversion { to, zone } => Arc::new(conversions::conversion_to(Arc::clone(to), Zone::parse(zone)?)),
            Self::Bounded(inner) => bounds::bounded(inner.made()?),
            Self::JoinedTexts => joined_texts::joining(),
            Self::IntervalLength => Arc::new(interval_length::function().clone()),
            Self::TruncatedDate => date_trunc::of_date(),
        })
    }
}

impl<F> Function<F> {
    /// This function with fields as `map` writes them.
    ///
    /// # Errors
    /// What `map` says.
    pub fn with_fields<G, E>(self, map: &mut impl FnMut(F) -> Result<G, E>) -> Result<Function<G>, E> {
        Ok(match self {
            Self::Named(name) => Function::Named(name),
            Self::InZone { name, zone } => Function::InZone { name, zone },
            Self::Arithmetic(signs) => Function::Arithmetic(signs),
            Self::Negation => Function::Negation,
            Self::Conversion { to, zone } => Function::Conversion { to: map(to)?, zone },
            Self::Bounded(inner) => Function::Bounded(Box::new((*inner).with_fields(map)?)),
            Self::JoinedTexts => Function::JoinedTexts,
            Self::IntervalLength => Function::IntervalLength,
            Self::TruncatedDate => Function::TruncatedDate,
        })
    }
}

/// When an aggregate's result is the same however the rows are divided.
#[derive(Debug, Clone, Copy)]
enum Exact {
    Always,
    /// Of numbers whose sum neither rounds nor leaves its type on the way.
    OfSums,
    /// Of decimals whose sum does not.
    OfDecimals,
    Never,
}

/// Aggregates whose parts, made of any division of the rows, add up to the whole.
const DIVISIBLE: &[(&str, Exact)] = &[
    ("avg", Exact::OfDecimals),
    ("bit_and", Exact::Always),
    ("bit_or", Exact::Always),
    ("bit_xor", Exact::Always),
    ("bool_and", Exact::Always),
    ("bool_or", Exact::Always),
    ("corr", Exact::Never),
    ("count", Exact::Always),
    ("covar_pop", Exact::Never),
    ("covar_samp", Exact::Never),
    ("max", Exact::Always),
    ("min", Exact::Always),
    ("regr_avgx", Exact::Never),
    ("regr_avgy", Exact::Never),
    ("regr_count", Exact::Always),
    ("regr_intercept", Exact::Never),
    ("regr_r2", Exact::Never),
    ("regr_slope", Exact::Never),
    ("regr_sxx", Exact::Never),
    ("regr_sxy", Exact::Never),
    ("regr_syy", Exact::Never),
    ("stddev", Exact::Never),
    ("stddev_pop", Exact::Never),
    ("sum", Exact::OfSums),
    ("var", Exact::Never),
    ("var_pop", Exact::Never),
];

fn divisible(name: &str) -> Option<Exact> {
    DIVISIBLE.iter().find(|(known, _)| *known == name).map(|(_, exact)| *exact)
}

/// Digits of a decimal of which ten million of the largest add up to one of 38.
const SUMMED_DIGITS_MAX: u8 = 31;

/// An aggregate that parts can be made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Aggregate {
    Named(String),
    /// Sums of bigint that stay bigint.
    SumOfIntegers,
    /// Of numerics of any width, by its own name.
    Wide(String),
    LongestInterval,
    ShortestInterval,
    ShownInterval,
    /// Of floats, whose order is PostgreSQL's.
    GreatestFloat,
    LeastFloat,
}

impl Aggregate {
    /// The value that stands for an aggregate. `None`: there is none.
    #[must_use]
    pub fn of(aggregate: &AggregateUDF) -> Option<Self> {
        let name = aggregate.name();
        let others = [
            Self::SumOfIntegers,
            Self::LongestInterval,
            Self::ShortestInterval,
            Self::ShownInterval,
            Self::GreatestFloat,
            Self::LeastFloat,
        ];
        let all = [Self::Named(name.to_owned()), Self::Wide(name.to_owned())].into_iter().chain(others);
        all.into_iter().find(|one| one.made().is_some_and(|made| *made == *aggregate))
    }

    /// The aggregate. `None`: this release has none.
    #[must_use]
    pub fn made(&self) -> Option<Arc<AggregateUDF>> {
        match self {
            Self::Named(name) => KNOWN.aggregates.get(name).cloned(),
            Self::SumOfIntegers => Some(aggregates::sum::of_integers()),
            Self::Wide(name) => wide::of_own_name(name),
            Self::LongestInterval => interval_extremes::of("max"),
            Self::ShortestInterval => interval_extremes::of("min"),
            Self::ShownInterval => Some(interval_extremes::shown()),
            Self::GreatestFloat => aggregates::extremes::of_floats(&max_udaf()),
            Self::LeastFloat => aggregates::extremes::of_floats(&min_udaf()),
        }
    }

    /// Whether the result is the same however the rows are divided, to the last digit and in what it raises: sums of doubles are not,
    /// and neither are sums that may leave their type on the way.
    #[must_use]
    pub fn is_exact(&self, arguments: &[DataType]) -> bool {
        let sums = |whole: bool| match arguments {
            [DataType::Int8 | DataType::Int16 | DataType::Int32] => true,
            [DataType::Int64] => whole,
            [DataType::Decimal128(digits, _)] => *digits <= SUMMED_DIGITS_MAX,
            _ => false,
        };
        match self {
            Self::Named(name) => match divisible(name) {
                Some(Exact::Always) => true,
                Some(Exact::OfSums) => sums(true),
                Some(Exact::OfDecimals) => matches!(arguments, [DataType::Decimal128(..)]) && sums(true),
                Some(Exact::Never) | None => false,
            },
            Self::SumOfIntegers => sums(false),
            Self::Wide(_)
            | Self::LongestInterval
            | Self::ShortestInterval
            | Self::ShownInterval
            | Self::GreatestFloat
            | Self::LeastFloat => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::Field;

    #[test]
    fn functions_become_values_and_themselves_again() {
        let utc = functions::in_zone("repeat", Zone::UTC).unwrap();
        let text = Field::new("", DataType::Utf8, true);
        let day = Field::new("", DataType::Date32, true);
        let zone = Zone::parse("Europe/Zurich").unwrap();
        let sqrt = Arc::clone(&KNOWN.functions["sqrt"]);
        let all = [
            (utc, "InZone"),
            (sqrt, "Named"),
            (Arc::new(arithmetic::chain(vec![Op::Add, Op::Divide])), "Arithmetic"),
            (arithmetic::checked_negation(&DataType::Int64).unwrap(), "Negation"),
            (conversions::conversion(&text, &day, zone).unwrap(), "Conversion"),
            (bounds::bounded(Arc::clone(&KNOWN.functions["concat"])), "Bounded"),
            (joined_texts::joining(), "JoinedTexts"),
            (date_trunc::of_date(), "TruncatedDate"),
        ];
        for (function, kind) in all {
            let value = Function::of(&function).unwrap_or_else(|| panic!("{kind} has no value"));
            assert!(format!("{value:?}").starts_with(kind), "{value:?}");
            assert_eq!(*value.made().unwrap(), *function);
        }
    }

    #[test]
    fn what_tells_of_a_moment_or_of_chance_is_none() {
        let state = crate::install(SessionStateBuilder::new_with_default_features().build());
        for name in ["now", "random", "uuid", "current_date"] {
            let function = &state.scalar_functions()[name];
            assert!(Function::of(function).is_none(), "{name}");
            assert!(Function::Named(name.to_owned()).made().is_none(), "{name}");
        }
        assert!(Function::Named("no_such_function".to_owned()).made().is_none());
    }

    #[test]
    fn aggregates_become_values_and_themselves_again() {
        for (name, _) in DIVISIBLE {
            let aggregate = KNOWN.aggregates.get(*name).unwrap_or_else(|| panic!("{name} is none of the engine"));
            assert_eq!(Aggregate::of(aggregate), Some(Aggregate::Named((*name).to_owned())), "{name}");
        }
        let narrow = aggregates::sum::of_integers();
        assert_eq!(Aggregate::of(&narrow), Some(Aggregate::SumOfIntegers));
        assert_eq!(*Aggregate::SumOfIntegers.made().unwrap(), *narrow);
        let greatest = Aggregate::GreatestFloat.made().unwrap();
        assert_eq!(Aggregate::of(&greatest), Some(Aggregate::GreatestFloat));
        assert_ne!(*greatest, *KNOWN.aggregates["max"]);
        let state = crate::install(SessionStateBuilder::new_with_default_features().build());
        for name in ["array_agg", "string_agg", "first_value", "median", "approx_distinct"] {
            assert!(Aggregate::of(&state.aggregate_functions()[name]).is_none(), "{name}");
        }
    }

    #[test]
    fn sums_that_may_overflow_or_round_depend_on_the_division() {
        let is_exact = |name: &str, of: DataType| Aggregate::Named(name.to_owned()).is_exact(&[of]);
        assert!(is_exact("sum", DataType::Int32) && is_exact("sum", DataType::Int64));
        assert!(is_exact("sum", DataType::Decimal128(15, 2)) && !is_exact("sum", DataType::Decimal128(38, 4)));
        assert!(!is_exact("sum", DataType::Float64) && !is_exact("avg", DataType::Float64));
        assert!(is_exact("max", DataType::Float64) && !is_exact("stddev", DataType::Float64));
        assert!(!Aggregate::SumOfIntegers.is_exact(&[DataType::Int64]));
    }
}
