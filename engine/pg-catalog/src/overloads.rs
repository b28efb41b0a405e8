//! Which types PostgreSQL gives the arguments of a function that have none of their own, such as parameters: its rules for
//! choosing among functions of one name ("Type Conversion: Functions"), over its own `pg_proc` and `pg_cast`. Functions that take
//! any type, optional arguments or lists of arguments are not chosen among.

use super::layout::copy_text;
use querygate_types::{PgType, TypeCategory};
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Places in a row of `pg_proc`.
const NAME: usize = 1;
const KIND: usize = 9;
const ARGUMENTS: usize = 19;
/// Places in a row of `pg_cast`.
const SOURCE: usize = 1;
const TARGET: usize = 2;
const CONTEXT: usize = 4;

type Signatures = HashMap<&'static str, Vec<Vec<PgType>>>;

/// The arguments that plain functions of a name take. What takes a type that the gate does not have is not among them.
static FUNCTIONS: LazyLock<Signatures> = LazyLock::new(|| {
    let mut found = Signatures::new();
    for row in copy_text("pg_proc").unwrap_or_default().lines() {
        let cells: Vec<&'static str> = row.split('\t').collect();
        let (Some(name), Some(&"f"), Some(arguments)) = (cells.get(NAME), cells.get(KIND), cells.get(ARGUMENTS)) else {
            continue;
        };
        let types = arguments.split_ascii_whitespace().map(|oid| oid.parse().ok().and_then(PgType::from_oid));
        if let Some(types) = types.collect::<Option<Vec<_>>>().filter(|types| !types.is_empty()) {
            found.entry(name).or_default().push(types);
        }
    }
    found
});

static IMPLICIT_CASTS: LazyLock<HashSet<(PgType, PgType)>> = LazyLock::new(|| {
    let pair = |row: &str| {
        let cells: Vec<&str> = row.split('\t').collect();
        let of = |place: usize| cells.get(place)?.parse().ok().and_then(PgType::from_oid);
        (cells.get(CONTEXT) == Some(&"i")).then(|| Some((of(SOURCE)?, of(TARGET)?))).flatten()
    };
    copy_text("pg_cast").unwrap_or_default().lines().filter_map(pair).collect()
});

fn casts(from: PgType, to: PgType) -> bool {
    from == to || IMPLICIT_CASTS.contains(&(from, to))
}

/// `pg_type.typispreferred`.
const fn is_preferred(pg_type: PgType) -> bool {
    matches!(
        pg_type,
        PgType::Bool | PgType::Float8 | PgType::Oid | PgType::Text | PgType::Timestamptz | PgType::Interval
    )
}

/// The types that a function is called with, for the types of its arguments; `None` is one that has none yet. `None` in all:
/// there is no such function, or several fit equally well.
#[must_use]
pub fn argument_types(name: &str, given: &[Option<PgType>]) -> Option<Vec<PgType>> {
    let fits = |types: &&Vec<PgType>| {
        types.len() == given.len() && types.iter().zip(given).all(|(to, from)| from.is_none_or(|from| casts(from, *to)))
    };
    let fitting: Vec<&Vec<PgType>> = FUNCTIONS.get(name)?.iter().filter(fits).collect();
    let exact = |types: &[PgType]| count(types, given, |to, from| from == Some(to));
    let near = |types: &[PgType]| {
        count(types, given, |to, from| {
            from.is_some_and(|from| from == to || (is_preferred(to) && from.category() == to.category()))
        })
    };
    let fitting = best(best(fitting, exact), near);
    let chosen = match fitting.as_slice() {
        [only] => (*only).clone(),
        [] => return None,
        _ => by_categories(fitting, given)?,
    };
    Some(chosen)
}

fn count(types: &[PgType], given: &[Option<PgType>], holds: impl Fn(PgType, Option<PgType>) -> bool) -> usize {
    types.iter().zip(given).filter(|(to, from)| holds(**to, **from)).count()
}

/// Those with the highest score.
fn best(candidates: Vec<&Vec<PgType>>, score: impl Fn(&[PgType]) -> usize) -> Vec<&Vec<PgType>> {
    let highest = candidates.iter().map(|types| score(types)).max().unwrap_or_default();
    candidates.into_iter().filter(|types| score(types) == highest).collect()
}

/// What is left to decide is decided by the arguments without a type: texts where any candidate takes one, else the category that
/// all candidates share, and in it the preferred type.
fn by_categories(mut candidates: Vec<&Vec<PgType>>, given: &[Option<PgType>]) -> Option<Vec<PgType>> {
    for place in (0..given.len()).filter(|place| given.get(*place) == Some(&None)) {
        let categories = |candidates: &[&Vec<PgType>]| -> Vec<TypeCategory> {
            candidates.iter().filter_map(|types| types.get(place)).map(|to| to.category()).collect()
        };
        let found = categories(&candidates);
        let category = match found.as_slice() {
            all if all.contains(&TypeCategory::String) => TypeCategory::String,
            [first, rest @ ..] if rest.iter().all(|other| other == first) => *first,
            _ => return None,
        };
        candidates.retain(|types| types.get(place).is_some_and(|to| to.category() == category));
        let preferred = |types: &&Vec<PgType>| types.get(place).is_some_and(|to| is_preferred(*to));
        if candidates.iter().any(&preferred) {
            candidates.retain(|types| preferred(types));
        }
    }
    match candidates.as_slice() {
        [only] => Some((*only).clone()),
        _ => None,
    }
}

/// The type at which values meet in CASE, COALESCE, GREATEST and UNION ("Type Conversion: UNION, CASE"); those without a type take it
/// too. `None`: none has one.
#[must_use]
pub fn common_type(given: impl IntoIterator<Item = PgType>) -> Option<PgType> {
    given.into_iter().reduce(|found, next| {
        let wider =
            !is_preferred(found) && found.category() == next.category() && casts(found, next) && !casts(next, found);
        if wider { next } else { found }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use PgType::{Bytea, Date, Float8, Int4, Int8, Numeric, Text, Timestamptz};

    #[test]
    fn arguments_without_a_type_get_postgres_s() {
        for (name, given, expected) in [
            ("round", vec![None, Some(Int4)], Some(vec![Numeric, Int4])),
            ("trunc", vec![None, Some(Int4)], Some(vec![Numeric, Int4])),
            ("abs", vec![None], Some(vec![Float8])),
            ("sqrt", vec![None], Some(vec![Float8])),
            ("mod", vec![None, Some(Int4)], Some(vec![Int4, Int4])),
            ("power", vec![None, Some(Numeric)], Some(vec![Numeric, Numeric])),
            ("power", vec![None, Some(Int4)], Some(vec![Float8, Float8])),
            ("upper", vec![None], Some(vec![Text])),
            ("date_trunc", vec![Some(Text), None], None),
            ("length", vec![None], Some(vec![Text])),
            ("length", vec![Some(Bytea)], Some(vec![Bytea])),
            ("to_char", vec![None, None], None),
            ("no_such_function", vec![None], None),
        ] {
            assert_eq!(argument_types(name, &given), expected, "{name} {given:?}");
        }
    }

    #[test]
    fn values_meet_at_the_widest_of_their_category() {
        assert_eq!(common_type([Int4, Numeric, Int8]), Some(Numeric));
        assert_eq!(common_type([Int4, Float8, Numeric]), Some(Float8));
        assert_eq!(common_type([Date, Timestamptz]), Some(Timestamptz));
        assert_eq!(common_type([]), None);
    }
}
