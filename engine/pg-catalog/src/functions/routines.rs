//! Functions and operators by name, by name and types of arguments, and by id: `regproc`, `regprocedure`, `regoper`, `regoperator`.
//! All of them are PostgreSQL's own.

use super::names::{NONE, oid, read_or, text, write_or};
use super::{Call, Definition, strict};
use crate::cell::Cell;
use crate::definitions::qualified;
use crate::layout::fixed_rows;
use crate::names::PG_CATALOG;
use crate::quote::{quote_ident, split_name};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::sync::LazyLock;

pub(super) const FUNCTIONS: &[Definition] = &[
    strict("to_regproc", 1, 1, "regproc", |c, a| Ok(only(&PROCEDURES.named(c, &text(a, 0))).into())),
    strict("to_regprocedure", 1, 1, "regprocedure", |c, a| {
        Ok(PROCEDURES.signed(c, &signature(c, &text(a, 0))?).into())
    }),
    strict("to_regoper", 1, 1, "regoper", |c, a| Ok(only(&OPERATORS.named(c, &text(a, 0))).into())),
    strict("to_regoperator", 1, 1, "regoperator", |c, a| {
        Ok(OPERATORS.signed(c, &operator_signature(c, &text(a, 0))?).into())
    }),
    strict("regprocin", 1, 1, "regproc", |c, a| {
        read_or(a, NONE, |name| {
            let several = format!("more than one function named \"{name}\"");
            one(&PROCEDURES.named(c, name), several, format!("function \"{name}\" does not exist"))
        })
    }),
    strict("regprocedurein", 1, 1, "regprocedure", |c, a| {
        read_or(a, NONE, |written| {
            let found = PROCEDURES.signed(c, &signature(c, written)?);
            found.ok_or_else(|| missing(format!("function \"{written}\" does not exist")))
        })
    }),
    strict("regoperin", 1, 1, "regoper", |c, a| {
        read_or(a, NO_OPERATOR, |name| {
            let several = format!("more than one operator named {name}");
            one(&OPERATORS.named(c, name), several, format!("operator does not exist: {name}"))
        })
    }),
    strict("regoperatorin", 1, 1, "regoperator", |c, a| {
        read_or(a, NO_OPERATOR, |written| {
            let found = OPERATORS.signed(c, &operator_signature(c, written)?);
            found.ok_or_else(|| missing(format!("operator does not exist: {written}")))
        })
    }),
    strict("regprocout", 1, 1, "text", |c, a| {
        Ok(write_or(a, NONE, |oid| {
            let own = PROCEDURES.by_oid(oid)?;
            let is_only = PROCEDURES.is_only(c, own);
            Some(if is_only { quote_ident(own.name) } else { qualified(own.schema, own.name) })
        }))
    }),
    strict("regprocedureout", 1, 1, "text", |c, a| {
        Ok(write_or(a, NONE, |oid| {
            let own = PROCEDURES.by_oid(oid)?;
            let name = if own.is_visible(c) { quote_ident(own.name) } else { qualified(own.schema, own.name) };
            Some(format!("{name}({})", own.types(c)))
        }))
    }),
    strict("regoperout", 1, 1, "text", |c, a| {
        Ok(write_or(a, NO_OPERATOR, |oid| {
            let own = OPERATORS.by_oid(oid)?;
            Some(if OPERATORS.is_only(c, own) { own.name.to_owned() } else { own.operator() })
        }))
    }),
    strict("regoperatorout", 1, 1, "text", |c, a| {
        Ok(write_or(a, NO_OPERATOR, |oid| {
            let own = OPERATORS.by_oid(oid)?;
            let name = if own.is_visible(c) { own.name.to_owned() } else { own.operator() };
            Some(format!("{name}({})", own.types(c)))
        }))
    }),
    strict("pg_function_is_visible", 1, 1, "bool", |c, a| {
        Ok(oid(a, 0).and_then(|oid| PROCEDURES.by_oid(oid)).map(|own| own.is_visible(c)).into())
    }),
    strict("pg_operator_is_visible", 1, 1, "bool", |c, a| {
        Ok(oid(a, 0).and_then(|oid| OPERATORS.by_oid(oid)).map(|own| own.is_visible(c)).into())
    }),
];

/// What operators print and read for 0: `-` is one of them.
const NO_OPERATOR: &str = "0";
/// PostgreSQL's bound on the arguments of a function.
const ARGUMENTS_MAX: usize = 100;

/// Places in a row of `pg_proc` and of `pg_operator`.
const NAME: usize = 1;
const NAMESPACE: usize = 2;
const ARGUMENTS: usize = 19;
const LEFT: usize = 7;
const RIGHT: usize = 8;

static PROCEDURES: LazyLock<Routines> = LazyLock::new(|| {
    Routines::of("pg_proc", |row| match row.get(ARGUMENTS) {
        Some(Cell::List(types)) => types.iter().map(number).collect(),
        _ => None,
    })
});

static OPERATORS: LazyLock<Routines> = LazyLock::new(|| {
    Routines::of("pg_operator", |row| [LEFT, RIGHT].iter().map(|place| number(row.get(*place)?)).collect())
});

fn number(cell: &Cell) -> Option<u32> {
    if let Cell::Int(number) = cell { u32::try_from(*number).ok() } else { None }
}

/// A function or an operator.
#[derive(Debug)]
struct Routine {
    oid: u32,
    schema: &'static str,
    name: &'static str,
    /// The types of its arguments; 0: an operator has none on that side.
    arguments: Vec<u32>,
}

impl Routine {
    fn is_visible(&self, call: &Call<'_>) -> bool {
        call.path().contains(&self.schema)
    }

    /// An operator's name with its schema's.
    fn operator(&self) -> String {
        format!("{}.{}", quote_ident(self.schema), self.name)
    }

    fn types(&self, call: &Call<'_>) -> String {
        let (types, path) = (&call.catalog.objects.types, call.path());
        let shown = |oid: &u32| if *oid == 0 { "NONE".to_owned() } else { types.format(*oid, None, &path) };
        self.arguments.iter().map(shown).collect::<Vec<_>>().join(",")
    }
}

/// All functions, or all operators.
#[derive(Debug)]
struct Routines {
    all: Vec<Routine>,
    by_name: HashMap<&'static str, Vec<usize>>,
    by_oid: HashMap<u32, usize>,
}

impl Routines {
    fn of(relation: &str, arguments: impl Fn(&[Cell]) -> Option<Vec<u32>>) -> Self {
        let read = |row: &'static Vec<Cell>| {
            let Some(Cell::Text(name)) = row.get(NAME) else { return None };
            let is_first = number(row.get(NAMESPACE)?)? == PG_CATALOG;
            let schema = if is_first { "pg_catalog" } else { "information_schema" };
            Some(Routine { oid: number(row.first()?)?, schema, name, arguments: arguments(row)? })
        };
        let all: Vec<Routine> = fixed_rows(relation).iter().filter_map(read).collect();
        let mut by_name: HashMap<&'static str, Vec<usize>> = HashMap::new();
        for (place, own) in all.iter().enumerate() {
            by_name.entry(own.name).or_default().push(place);
        }
        let by_oid = all.iter().enumerate().map(|(place, own)| (own.oid, place)).collect();
        Self { all, by_name, by_oid }
    }

    fn by_oid(&self, oid: u32) -> Option<&Routine> {
        self.all.get(*self.by_oid.get(&oid)?)
    }

    /// Those of a name, whatever their schema.
    fn called(&self, name: &str) -> impl Iterator<Item = &Routine> {
        let places = self.by_name.get(name).map_or(&[][..], Vec::as_slice);
        places.iter().filter_map(|place| self.all.get(*place))
    }

    /// Those that a name means, with its schema or without.
    fn named(&self, call: &Call<'_>, written: &str) -> Vec<&Routine> {
        match split_name(written).as_deref() {
            Some([name]) => self.called(name).filter(|own| own.is_visible(call)).collect(),
            Some([schema, name]) => self.called(name).filter(|own| own.schema == schema.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    /// The one that a name with types means.
    fn signed(&self, call: &Call<'_>, (name, types): &(&str, Vec<u32>)) -> Option<u32> {
        self.named(call, name).into_iter().find(|own| own.arguments == *types).map(|own| own.oid)
    }

    /// Whether its name without a schema means it and no other.
    fn is_only(&self, call: &Call<'_>, own: &Routine) -> bool {
        own.is_visible(call) && self.called(own.name).filter(|other| other.is_visible(call)).count() == 1
    }
}

fn only(found: &[&Routine]) -> Option<u32> {
    if let [only] = found { Some(only.oid) } else { None }
}

/// The one that was found, or what is said of several and of none.
fn one(found: &[&Routine], several: String, none: String) -> Result<u32> {
    only(found)
        .ok_or_else(|| if found.is_empty() { missing(none) } else { Error::new(ErrorCode::AmbiguousFunction, several) })
}

fn missing(message: String) -> Error {
    Error::new(ErrorCode::UndefinedFunction, message)
}

/// An operator's name with the types of its two sides.
fn operator_signature<'a>(call: &Call<'_>, written: &'a str) -> Result<(&'a str, Vec<u32>)> {
    let (name, types) = signature_of(call, written, true)?;
    match types.len() {
        2 => Ok((name, types)),
        0 | 1 => {
            let hint = "Use NONE to denote the missing argument of a unary operator.";
            Err(Error::new(ErrorCode::UndefinedParameter, "missing argument").with_hint(hint))
        }
        _ => Err(too_many().with_hint("Provide two argument types for operator.")),
    }
}

fn signature<'a>(call: &Call<'_>, written: &'a str) -> Result<(&'a str, Vec<u32>)> {
    signature_of(call, written, false)
}

/// A name and the types in the parentheses behind it: `lower(text)`. `or_none`: NONE is one of them, and 0.
fn signature_of<'a>(call: &Call<'_>, written: &'a str, or_none: bool) -> Result<(&'a str, Vec<u32>)> {
    let expected = |what: &str| Error::new(ErrorCode::InvalidTextRepresentation, format!("expected a {what}"));
    let start = unquoted(written).find(|(_, letter)| *letter == '(').map(|(place, _)| place);
    let parts = start.and_then(|start| written.split_at_checked(start));
    let (name, rest) = parts.ok_or_else(|| expected("left parenthesis"))?;
    let inner = rest.strip_prefix('(').and_then(|rest| rest.trim_end().strip_suffix(')'));
    let inner = inner.ok_or_else(|| expected("right parenthesis"))?;
    if inner.trim().is_empty() {
        return Ok((name, Vec::new()));
    }
    let listed = at_commas(inner);
    if listed.len() > ARGUMENTS_MAX {
        return Err(too_many());
    }
    let (known, path) = (&call.catalog.objects.types, call.path());
    let types = listed.into_iter().map(|part| match part.trim() {
        "" => Err(expected("type name")),
        none if or_none && none.eq_ignore_ascii_case("none") => Ok(0),
        part => known
            .parse(part, &path)
            .ok_or_else(|| Error::new(ErrorCode::UndefinedObject, format!("type \"{part}\" does not exist"))),
    });
    Ok((name, types.collect::<Result<_>>()?))
}

fn too_many() -> Error {
    Error::new(ErrorCode::ProgramLimitExceeded, "too many arguments")
}

/// Letters outside of double quotes, with their places.
fn unquoted(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut is_quoted = false;
    text.char_indices().filter(move |(_, letter)| {
        is_quoted ^= *letter == '"';
        !is_quoted
    })
}

/// What stands between commas outside of quotes and of parentheses: a type may have a modifier.
fn at_commas(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_usize);
    for (place, letter) in unquoted(text) {
        match letter {
            '(' => depth = depth.saturating_add(1),
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.extend(text.get(start..place));
                start = place.saturating_add(1);
            }
            _ => {}
        }
    }
    parts.extend(text.get(start..));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::CatalogImage;
    use crate::session::SessionVars;
    use crate::table::PgCatalog;
    use crate::token::LeafToken;

    fn answer(function: &str, argument: Cell) -> Result<Cell> {
        let image = CatalogImage { search_path: vec!["public".to_owned()], ..CatalogImage::default() };
        let catalog = PgCatalog::new(LeafToken { state_version: 1, principal: 1, until_ms: None }, image);
        let vars = SessionVars::default();
        let call = Call { catalog: &catalog, vars: &vars, types: Vec::new() };
        let definition = FUNCTIONS.iter().find(|definition| definition.name == function).unwrap();
        (definition.eval)(&call, &[argument])
    }

    /// PostgreSQL 15's ids and texts, of functions and operators with one or several of their name.
    #[test]
    fn names_with_types_are_ids_and_ids_are_names_with_types() {
        for (kind, written, id, printed) in [
            ("regprocedure", "lower(text)", 870, "lower(text)"),
            ("regprocedure", "pg_catalog.Lower ( character varying )", 0, ""),
            ("regprocedure", "numeric(numeric,int4)", 1703, "\"numeric\"(numeric,integer)"),
            ("regprocedure", "string_agg(text, pg_catalog.text)", 3538, "string_agg(text,text)"),
            ("regprocedure", "now()", 1299, "now()"),
            (
                "regprocedure",
                "array_cat(anycompatiblearray, anycompatiblearray)",
                383,
                "array_cat(anycompatiblearray,anycompatiblearray)",
            ),
            ("regproc", "now", 1299, "now"),
            ("regproc", "pg_catalog.now", 1299, "now"),
            ("regoperator", "+(integer, int4)", 551, "+(integer,integer)"),
            ("regoperator", "-(none, bigint)", 484, "-(NONE,bigint)"),
            ("regoper", "|/", 596, "|/"),
        ] {
            let found = answer(&format!("to_{kind}"), written.into()).unwrap();
            if id == 0 {
                assert_eq!(found, Cell::Null, "{written}");
                continue;
            }
            assert_eq!(found, Cell::Int(id), "{written}");
            assert_eq!(answer(&format!("{kind}in"), written.into()).unwrap(), Cell::Int(id), "{written}");
            assert_eq!(answer(&format!("{kind}out"), Cell::Int(id)).unwrap(), Cell::from(printed), "{written}");
        }
        // A name of several is printed with its schema, and an id of none as it is.
        for (function, id, printed) in [
            ("regprocout", 870, "pg_catalog.lower"),
            ("regoperout", 551, "pg_catalog.+"),
            ("regprocout", 0, "-"),
            ("regprocedureout", 0, "-"),
            ("regoperout", 0, "0"),
            ("regoperatorout", 999_999, "999999"),
        ] {
            assert_eq!(answer(function, Cell::Int(id)).unwrap(), Cell::from(printed), "{function} {id}");
        }
        assert_eq!(answer("regprocin", "-".into()).unwrap(), Cell::Int(0));
        assert_eq!(answer("regprocedurein", "870".into()).unwrap(), Cell::Int(870));
    }

    #[test]
    fn what_names_none_or_several_is_refused_as_postgres_refuses_it() {
        for (function, written, code, message) in [
            ("regprocin", "lower", "42725", "more than one function named \"lower\""),
            ("regprocin", "nope", "42883", "function \"nope\" does not exist"),
            // Of information_schema, which the path does not have.
            ("regprocin", "_pg_truetypid", "42883", "function \"_pg_truetypid\" does not exist"),
            ("regprocedurein", "lower(integer)", "42883", "function \"lower(integer)\" does not exist"),
            ("regprocedurein", "lower", "22P02", "expected a left parenthesis"),
            ("to_regprocedure", "lower(text", "22P02", "expected a right parenthesis"),
            ("to_regprocedure", "lower(text,)", "22P02", "expected a type name"),
            ("to_regprocedure", "lower(nope)", "42704", "type \"nope\" does not exist"),
            ("regoperin", "-", "42725", "more than one operator named -"),
            ("regoperin", "@@@@", "42883", "operator does not exist: @@@@"),
            ("regoperatorin", "+(integer)", "42P02", "missing argument"),
            ("regoperatorin", "+(int4,int4,int4)", "54000", "too many arguments"),
            ("regoperatorin", "+(text,text)", "42883", "operator does not exist: +(text,text)"),
        ] {
            let error = answer(function, written.into()).unwrap_err();
            assert_eq!((error.code().sqlstate(), error.message()), (code, message), "{function} {written}");
        }
        assert_eq!(answer("to_regproc", "lower".into()).unwrap(), Cell::Null);
        assert_eq!(answer("to_regoper", "+".into()).unwrap(), Cell::Null);
        assert_eq!(answer("pg_function_is_visible", Cell::Int(870)).unwrap(), Cell::Bool(true));
    }
}
