//! Relations and procedures of schema `querygate` that something beside the engine supplies. Decides who may call; knows
//! their names only to say what configuration has them.

use super::{Cell, Kind, Row, batch_of, schema_of};
use querygate_catalog::live::LiveTable;
use querygate_pg_catalog::LeafToken;
use querygate_telemetry_api::system::{
    Cell as Supplied, CellColumns, CellKind, SystemExtension, SystemProcedure, SystemRelation,
};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Their relations, bound to one principal.
pub(crate) fn tables(
    extensions: &[Arc<dyn SystemExtension>],
    token: &LeafToken,
    principal: &Arc<Principal>,
) -> Vec<(&'static str, Arc<LiveTable>)> {
    let of = |extension: &Arc<dyn SystemExtension>| {
        let made = extension.relations().into_iter().map(|relation| table(extension, relation, token, principal));
        made.collect::<Vec<_>>()
    };
    extensions.iter().flat_map(of).collect()
}

fn table(
    extension: &Arc<dyn SystemExtension>,
    relation: SystemRelation,
    token: &LeafToken,
    principal: &Arc<Principal>,
) -> (&'static str, Arc<LiveTable>) {
    let columns: Vec<(&'static str, Kind)> = relation.columns.iter().map(|(name, k)| (*name, kind(*k))).collect();
    let schema = schema_of(&columns);
    let (made, extension, principal) = (Arc::clone(&schema), Arc::clone(extension), Arc::clone(principal));
    let rows = move || {
        let rows = extension.rows(relation.name, &principal)?;
        let wide = |row: &Vec<Supplied>| row.len() == columns.len();
        if !rows.iter().all(wide) {
            return Err(Error::internal("a system relation has a row of another width"));
        }
        batch_of(&made, &columns, rows.into_iter().map(|row| cells(row, relation.columns)).collect())
    };
    (relation.name, Arc::new(LiveTable::new(token.clone(), relation.name, schema, Arc::new(rows))))
}

const fn kind(kind: CellKind) -> Kind {
    match kind {
        CellKind::Text => Kind::Text,
        CellKind::Integer => Kind::Integer,
        CellKind::Float => Kind::Float,
        CellKind::Flag => Kind::Flag,
        CellKind::Time => Kind::Time,
    }
}

fn cells(row: Vec<Supplied>, columns: CellColumns) -> Row {
    let cell = |(cell, (_, kind)): (Supplied, &(&'static str, CellKind))| match cell {
        Supplied::Null if *kind == CellKind::Text => Cell::Text(None),
        Supplied::Null => Cell::Absent,
        Supplied::Text(text) => Cell::Text(Some(text)),
        Supplied::Integer(number) => Cell::Integer(number),
        Supplied::Float(number) => Cell::Float(number),
        Supplied::Flag(flag) => Cell::Flag(flag),
        Supplied::Time(time) => Cell::Time(time),
    };
    row.into_iter().zip(columns).map(cell).collect()
}

/// A procedure by name (`querygate.name`), with its arguments as it declares them.
///
/// # Errors
/// 42501 for everybody but operators, whatever the name; 42883 for one that is not there or takes other arguments.
pub(crate) fn procedure(
    extensions: &[Arc<dyn SystemExtension>],
    name: &str,
    arguments: Vec<Supplied>,
    caller: &Principal,
) -> Result<(Arc<dyn SystemExtension>, SystemProcedure, Vec<Supplied>)> {
    if !caller.operator {
        return Err(Error::new(ErrorCode::InsufficientPrivilege, "permission denied to call procedures")
            .with_hint("Procedures of schema querygate are for operators."));
    }
    let bare = name.strip_prefix("querygate.").unwrap_or(name);
    let owned =
        |e: &Arc<dyn SystemExtension>| Some((Arc::clone(e), e.procedures().into_iter().find(|p| p.name == bare)?));
    let (extension, procedure) = extensions.iter().find_map(owned).ok_or_else(|| missing(extensions, name, bare))?;
    let least = procedure.arguments.len().saturating_sub(procedure.optional);
    if arguments.len() < least || arguments.len() > procedure.arguments.len() {
        let names: Vec<&str> = procedure.arguments.iter().map(|(name, _)| *name).collect();
        return Err(Error::new(ErrorCode::UndefinedFunction, "the procedure takes another number of arguments")
            .with_hint(format!("Write CALL querygate.{}({}).", procedure.name, names.join(", "))));
    }
    let typed = arguments.into_iter().zip(procedure.arguments).map(|(cell, (_, kind))| coerced(cell, *kind));
    Ok((extension, procedure, typed.collect::<Result<_>>()?))
}

/// Procedures that are there with a table of the configuration, and its name.
const CONFIGURED: [(&str, &str); 12] = [
    ("acknowledge", "learning"),
    ("advice_off", "learning"),
    ("advice_on", "learning"),
    ("apply", "learning"),
    ("forget", "learning"),
    ("mute", "learning"),
    ("pin", "learning"),
    ("resolve", "transactions"),
    ("suggest_indexes", "learning"),
    ("undo", "learning"),
    ("unmute", "learning"),
    ("unpin", "learning"),
];

/// The error of a procedure that is not there, with what it takes to have it, or with those that are there.
fn missing(extensions: &[Arc<dyn SystemExtension>], name: &str, bare: &str) -> Error {
    let error = Error::new(ErrorCode::UndefinedFunction, format!("procedure {name} does not exist"));
    if let Some((_, key)) = CONFIGURED.iter().find(|(procedure, _)| *procedure == bare) {
        return error.with_hint(format!("It is there where the gate's configuration has [{key}]."));
    }
    let names: Vec<&str> = extensions.iter().flat_map(|e| e.procedures()).map(|p| p.name).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    error.with_hint(format!("There {verb} querygate.{}.", names.join(", querygate.")))
}

/// A constant as an argument of this type.
fn coerced(cell: Supplied, kind: CellKind) -> Result<Supplied> {
    let wrong = || Error::new(ErrorCode::DatatypeMismatch, "an argument of the procedure has another type");
    match (cell, kind) {
        (Supplied::Null, _) => Ok(Supplied::Null),
        (Supplied::Text(text), CellKind::Integer) => text.trim().parse().map(Supplied::Integer).map_err(|_| wrong()),
        (Supplied::Text(text), CellKind::Float) => text.trim().parse().map(Supplied::Float).map_err(|_| wrong()),
        #[expect(clippy::cast_precision_loss, reason = "a number that somebody typed")]
        (Supplied::Integer(number), CellKind::Float) => Ok(Supplied::Float(number as f64)),
        (Supplied::Integer(number), CellKind::Text) => Ok(Supplied::Text(number.to_string())),
        (cell @ Supplied::Text(_), CellKind::Text)
        | (cell @ Supplied::Integer(_), CellKind::Integer)
        | (cell @ Supplied::Float(_), CellKind::Float)
        | (cell @ Supplied::Flag(_), CellKind::Flag)
        | (cell @ Supplied::Time(_), CellKind::Time) => Ok(cell),
        (Supplied::Text(_) | Supplied::Integer(_) | Supplied::Float(_) | Supplied::Flag(_) | Supplied::Time(_), _) => {
            Err(wrong())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;

    #[derive(Debug)]
    struct Doubles;

    #[async_trait]
    impl SystemExtension for Doubles {
        fn relations(&self) -> Vec<SystemRelation> {
            Vec::new()
        }

        fn rows(&self, _relation: &str, _reader: &Principal) -> Result<Vec<Vec<Supplied>>> {
            Ok(Vec::new())
        }

        fn procedures(&self) -> Vec<SystemProcedure> {
            let arguments = &[("factor", CellKind::Float), ("why", CellKind::Text)];
            vec![SystemProcedure { name: "double", arguments, optional: 1 }]
        }
    }

    fn check(
        name: &str,
        arguments: &[Supplied],
        operator: bool,
        expected: std::result::Result<&[Supplied], ErrorCode>,
    ) {
        let extensions: Vec<Arc<dyn SystemExtension>> = vec![Arc::new(Doubles)];
        let caller = Principal::builder("ada").operator(operator).build();
        let found = procedure(&extensions, name, arguments.to_vec(), &caller);
        let found = found.as_ref().map(|(_, _, typed)| typed.as_slice()).map_err(Error::code);
        assert_eq!(found, expected, "{name} {arguments:?}");
    }

    #[test]
    fn procedures_are_for_operators_and_take_what_they_declare() {
        let (two, text) = (Supplied::Integer(2), Supplied::text("so"));
        check("querygate.double", std::slice::from_ref(&two), true, Ok(&[Supplied::Float(2.0)]));
        check("double", &[two.clone(), text.clone()], true, Ok(&[Supplied::Float(2.0), text.clone()]));
        check("double", &[Supplied::Null, Supplied::Null], true, Ok(&[Supplied::Null, Supplied::Null]));
        check("double", &[], true, Err(ErrorCode::UndefinedFunction));
        check("double", &[text], true, Err(ErrorCode::DatatypeMismatch));
        check("public.double", std::slice::from_ref(&two), true, Err(ErrorCode::UndefinedFunction));
        check("double", std::slice::from_ref(&two), false, Err(ErrorCode::InsufficientPrivilege));
        check("nothing", &[two], false, Err(ErrorCode::InsufficientPrivilege));
    }

    #[test]
    fn a_procedure_that_is_not_there_says_what_it_takes() {
        let caller = Principal::builder("ada").operator(true).build();
        let doubles: Vec<Arc<dyn SystemExtension>> = vec![Arc::new(Doubles)];
        let doubles = doubles.as_slice();
        let none: &[Arc<dyn SystemExtension>] = &[];
        let learning = "It is there where the gate's configuration has [learning].";
        for (extensions, name, expected) in [
            (doubles, "querygate.suggest_indexes", learning),
            (none, "querygate.resolve", "It is there where the gate's configuration has [transactions]."),
            (doubles, "querygate.halve", "There is querygate.double."),
            (doubles, "public.suggest_indexes", "There is querygate.double."),
        ] {
            let error = procedure(extensions, name, Vec::new(), &caller).map(drop).unwrap_err();
            assert_eq!((error.code(), error.hint()), (ErrorCode::UndefinedFunction, Some(expected)), "{name}");
        }
    }
}
