//! `querygate.held` and `querygate.end_session`: what sessions and users hold, and how an operator ends a session.

use crate::run::directory::SessionDirectory;
use crate::run::held::HeldResource;
use async_trait::async_trait;
use querygate_telemetry_api::system::{
    Cell, CellKind, HeldByUser, Holder, SystemExtension, SystemProcedure, SystemRelation,
};
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

/// A reader sees what it holds itself, an operator what all hold.
#[derive(Debug)]
pub(crate) struct HeldExtension {
    pub(crate) sessions: Arc<SessionDirectory>,
    /// Who tells what is held beside sessions.
    pub(crate) holders: Vec<Arc<dyn Holder>>,
}

/// An empty text is none.
fn text(text: &str) -> Cell {
    if text.is_empty() { Cell::Null } else { Cell::text(text) }
}

fn row_of_session(session: u64, login: &str, door: &str, held: &HeldResource) -> Vec<Cell> {
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
}

fn row_of_user(held: &HeldByUser) -> Vec<Cell> {
    vec![
        Cell::Null,
        Cell::text(&held.login),
        Cell::Null,
        Cell::text(held.kind),
        text(&held.name),
        text(held.state),
        Cell::Time(held.since),
        Cell::Null,
    ]
}

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
        let sessions = self.sessions.held(|login| reader.may_see_work_of(login), reader.operator);
        let rows = sessions.into_iter().flat_map(|(session, login, door, held)| {
            held.into_iter().map(move |held| row_of_session(session, &login, door.name(), &held))
        });
        let mut rows: Vec<_> = rows.collect();
        for holder in &self.holders {
            // Whatever one of them does not know, sessions and their locks are shown.
            let held = holder.held().inspect_err(|error| tracing::error!(%error, "what users hold is not shown"));
            let own = held.unwrap_or_default().into_iter().filter(|held| reader.may_see_work_of(&held.login));
            rows.extend(own.map(|held| row_of_user(&held)));
        }
        Ok(rows)
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
        match u64::try_from(*session).is_ok_and(|session| self.sessions.end(session)) {
            true => Ok(format!("session {session} ends")),
            false => {
                let error = Error::new(ErrorCode::InvalidParameterValue, format!("there is no session {session}"));
                Err(error.with_hint("querygate.sessions has their numbers."))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    /// Tells of one key, or of a failure.
    #[derive(Debug)]
    struct Keys(Option<&'static str>);

    impl Holder for Keys {
        fn held(&self) -> Result<Vec<HeldByUser>> {
            let id = self.0.ok_or_else(|| Error::internal("no file"))?;
            let (login, name) = ("ada".to_owned(), id.to_owned());
            Ok(vec![HeldByUser { login, kind: "API key", name, state: "", since: SystemTime::UNIX_EPOCH }])
        }
    }

    #[test]
    fn a_failure_of_one_holder_hides_nothing_else() {
        let holders: Vec<Arc<dyn Holder>> = vec![Arc::new(Keys(None)), Arc::new(Keys(Some("k1")))];
        let held = HeldExtension { sessions: Arc::default(), holders };
        let operator = Principal::builder("root").operator(true).build();
        let rows = held.rows(RELATION.name, &operator).unwrap();
        assert_eq!(rows.iter().map(|row| row[4].clone()).collect::<Vec<_>>(), [Cell::text("k1")]);
    }
}
