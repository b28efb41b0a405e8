//! `querygate.held` and `querygate.end_session`: what sessions hold, and how an operator ends one.

use crate::run::directory::SessionDirectory;
use crate::run::held::HeldResource;
use async_trait::async_trait;
use querygate_telemetry_api::system::{Cell, CellKind, SystemExtension, SystemProcedure, SystemRelation};
use querygate_types::principal::Principal;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

const RELATION: SystemRelation = SystemRelation {
    name: "held",
    columns: &[
        ("session", CellKind::Integer),
        ("login", CellKind::Text),
        ("door", CellKind::Text),
        ("kind", CellKind::Text),
        ("name", CellKind::Text),
        ("state", CellKind::Text),
        ("since", CellKind::Time),
        ("bytes", CellKind::Integer),
    ],
};
const END_SESSION: &str = "end_session";

/// A reader sees what its own sessions hold, an operator what all do.
#[derive(Debug)]
pub(crate) struct HeldExtension(pub(crate) Arc<SessionDirectory>);

#[async_trait]
impl SystemExtension for HeldExtension {
    fn relations(&self) -> Vec<SystemRelation> {
        vec![RELATION]
    }

    fn rows(&self, relation: &str, reader: &Principal) -> Result<Vec<Vec<Cell>>> {
        if relation != RELATION.name {
            return Err(Error::internal(format_args!("no relation {relation}")));
        }
        // Sources are named to operators only.
        let sessions = self.0.held(|login| reader.may_see_work_of(login), reader.operator);
        let row = |session: u64, login: &str, door: &str, held: HeldResource| {
            let text = |text: &str| if text.is_empty() { Cell::Null } else { Cell::text(text) };
            vec![
                Cell::count(session),
                Cell::text(login),
                Cell::text(door),
                Cell::text(held.kind.word()),
                text(&held.name),
                text(held.state),
                Cell::optional(held.since, Cell::Time),
                Cell::optional(held.bytes, |bytes| Cell::count(bytes as u64)),
            ]
        };
        let rows = sessions.into_iter().flat_map(|(session, login, door, held)| {
            held.into_iter().map(move |held| row(session, &login, door.name(), held))
        });
        Ok(rows.collect())
    }

    fn procedures(&self) -> Vec<SystemProcedure> {
        vec![SystemProcedure { name: END_SESSION, arguments: &[("session", CellKind::Integer)], optional: 0 }]
    }

    async fn call(&self, procedure: &str, arguments: &[Cell], _caller: &Principal) -> Result<String> {
        if procedure != END_SESSION {
            return Err(Error::internal(format_args!("no procedure {procedure}")));
        }
        let [Cell::Integer(session)] = arguments else {
            return Err(Error::new(ErrorCode::NullValueNotAllowed, "the number of a session is wanted"));
        };
        match u64::try_from(*session).is_ok_and(|session| self.0.end(session)) {
            true => Ok(format!("session {session} ends")),
            false => {
                let error = Error::new(ErrorCode::InvalidParameterValue, format!("there is no session {session}"));
                Err(error.with_hint("querygate.sessions has their numbers."))
            }
        }
    }
}
