//! The extended query protocol: prepared statements and portals of one connection, with their bounds. Knows no socket.

use crate::config::DoorConfig;
use crate::connection::Connection;
use crate::connection::copy_out::CopyStyle;
use crate::connection::halt::Halt;
use crate::connection::stream::{RowSource, Shape, expand};
use crate::connection::width::check_width;
use crate::decode::{decode_parameter, session_zone};
use crate::report::Report;
use crate::wire::{Bind, Format, Parse, Target, Writer};
use arrow::array::ArrayRef;
use querygate_query_api::holding::Holding;
use querygate_query_api::outcome::{CommandTag, Outcome};
use querygate_query_api::service::{Delivery, Prepared, TransactionStatus};
use querygate_types::{ErrorCode, PgType, limits};
use std::collections::HashMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Statements and portals by name; the unnamed ones have the empty name.
pub(crate) struct Extended {
    statements: HashMap<String, Named>,
    portals: HashMap<String, Portal>,
    held_bytes: usize,
    /// Its charge to the user, in steps.
    holding: Box<dyn Holding>,
    charged: usize,
    statement_max: usize,
    portal_max: usize,
    held_bytes_max: usize,
}

#[derive(Clone)]
struct Named {
    /// `None` for an empty text.
    prepared: Option<Arc<dyn Prepared>>,
    bytes: usize,
}

struct Portal {
    prepared: Option<Arc<dyn Prepared>>,
    parameters: Vec<ArrayRef>,
    formats: Vec<Format>,
    state: PortalState,
    bytes: usize,
}

enum PortalState {
    Ready,
    Suspended(Box<RowSource>),
    /// All rows were read; the tag to repeat with zero rows.
    Read(CommandTag),
    /// A command cannot run twice.
    Ran,
}

/// Bytes that statements and portals may hold without a charge, and steps in which they are charged: most hold less.
const CHARGE_STEP: usize = 64 << 10;

impl Extended {
    pub(crate) fn new(config: &DoorConfig, holding: Box<dyn Holding>) -> Self {
        Self {
            statements: HashMap::new(),
            portals: HashMap::new(),
            held_bytes: 0,
            holding,
            charged: 0,
            statement_max: config.statement_max,
            portal_max: config.portal_max,
            held_bytes_max: config.held_bytes_max,
        }
    }

    /// Drops everything, streams first.
    pub(crate) fn clear(&mut self) {
        self.end_transaction();
        self.statements.clear();
        self.release(self.held_bytes);
    }

    /// Portals live as long as their transaction.
    pub(crate) fn end_transaction(&mut self) {
        if !self.portals.is_empty() {
            let freed: usize = std::mem::take(&mut self.portals).into_values().map(|portal| portal.bytes).sum();
            self.release(freed);
        }
    }

    pub(crate) fn forget_unnamed(&mut self) {
        self.drop_statement("");
        self.drop_portal("");
    }

    /// Closing what does not exist is no error.
    pub(crate) fn close(&mut self, target: &Target) {
        match target {
            Target::Statement(name) => self.drop_statement(name),
            Target::Portal(name) => self.drop_portal(name),
        }
    }

    /// Portals made of a statement outlive it, as in PostgreSQL: JDBC reads several through the unnamed statement.
    fn drop_statement(&mut self, name: &str) {
        if let Some(named) = self.statements.remove(name) {
            self.release(named.bytes);
        }
    }

    /// Forgets the protocol-level statements that SQL's DEALLOCATE dropped.
    pub(crate) fn forget(&mut self, names: &[String]) {
        names.iter().for_each(|name| self.drop_statement(name));
    }

    fn drop_portal(&mut self, name: &str) {
        if let Some(portal) = self.portals.remove(name) {
            self.release(portal.bytes);
        }
    }

    fn hold(&mut self, bytes: usize) -> Result<(), Report> {
        let held = self.held_bytes.saturating_add(bytes);
        if held > self.held_bytes_max {
            return Err(Report::error(ErrorCode::OutOfMemory, "out of memory")
                .with_detail("The prepared statements and bound parameters of this connection are too large."));
        }
        self.charge(held)?;
        self.held_bytes = held;
        Ok(())
    }

    fn release(&mut self, bytes: usize) {
        self.held_bytes = self.held_bytes.saturating_sub(bytes);
        // Less than before is never refused.
        let _less = self.charge(self.held_bytes);
    }

    fn charge(&mut self, bytes: usize) -> querygate_types::Result<()> {
        let steps = bytes / CHARGE_STEP * CHARGE_STEP;
        if steps != self.charged {
            self.holding.resize(steps)?;
            self.charged = steps;
        }
        Ok(())
    }

    /// A statement to be run at once, with no portal of an earlier run left. `None`: no such, or no room for its values.
    pub(crate) fn prepared(&self, name: &str, bytes: usize) -> Option<&Arc<dyn Prepared>> {
        let has_room = self.held_bytes.saturating_add(bytes) <= self.held_bytes_max && self.portal_max > 0;
        let named = self.statements.get(name).filter(|_| has_room && self.portals.is_empty());
        named.and_then(|named| named.prepared.as_ref())
    }

    fn statement(&self, name: &str) -> Result<&Named, Report> {
        self.statements.get(name).ok_or_else(|| {
            let message = if name.is_empty() {
                "unnamed prepared statement does not exist".to_owned()
            } else {
                format!("prepared statement \"{name}\" does not exist")
            };
            Report::error(ErrorCode::InvalidStatementName, message)
        })
    }
}

fn no_portal(name: &str) -> Report {
    Report::error(ErrorCode::InvalidCursorName, format!("portal \"{name}\" does not exist"))
}

fn columns_of(prepared: Option<&Arc<dyn Prepared>>) -> usize {
    prepared.and_then(|prepared| prepared.columns()).map_or(0, <[_]>::len)
}

impl Connection {
    pub(crate) async fn parse(&mut self, parse: Parse) -> Result<(), Halt> {
        let Parse { statement: name, sql, parameter_types } = parse;
        if name.is_empty() {
            self.extended.drop_statement("");
        } else if self.extended.statements.contains_key(&name) {
            return Err(Report::error(
                ErrorCode::DuplicatePreparedStatement,
                format!("prepared statement \"{name}\" already exists"),
            )
            .into());
        }
        if self.extended.statements.len() >= self.extended.statement_max {
            return Err(Report::error(ErrorCode::ProgramLimitExceeded, "too many prepared statements").into());
        }
        if sql.len() > limits::SQL_BYTES_MAX {
            return Err(Report::error(ErrorCode::ProgramLimitExceeded, "statement text is too long").into());
        }
        let types = parameter_types.iter().map(|oid| known_type(*oid)).collect::<Result<Vec<_>, _>>()?;
        let mut statements = self.session.split(&sql)?.into_iter();
        let prepared = match (statements.next(), statements.next()) {
            (None, _) => None,
            (Some(_), Some(_)) => {
                let message = "cannot insert multiple commands into a prepared statement";
                return Err(Report::error(ErrorCode::SyntaxError, message).into());
            }
            (Some(statement), None) => {
                let token = self.slot.begin();
                let prepared = self.guard().run(&token, self.session.prepare(&statement, &types)).await;
                self.slot.end();
                Some(prepared?)
            }
        };
        let bytes = name.len() + sql.len() + 4 * parameter_types.len();
        self.extended.hold(bytes)?;
        if !name.is_empty() {
            self.session.statement_named(&name, prepared.as_ref());
        }
        self.extended.statements.insert(name, Named { prepared, bytes });
        self.out.empty(b'1');
        Ok(())
    }

    pub(crate) fn bind(&mut self, bind: Bind) -> Result<(), Halt> {
        let named = self.extended.statement(&bind.statement)?.clone();
        let types = named.prepared.as_ref().map_or(&[][..], |prepared| prepared.parameter_types());
        let given = bind.parameters.len();
        if !matches!(bind.parameter_formats.len(), 0 | 1) && bind.parameter_formats.len() != given {
            let message =
                format!("bind message has {} parameter formats but {given} parameters", bind.parameter_formats.len());
            return Err(Report::protocol(message).into());
        }
        if given != types.len() {
            return Err(Report::protocol(format!(
                "bind message supplies {given} parameters, but prepared statement \"{}\" requires {}",
                bind.statement,
                types.len()
            ))
            .into());
        }
        expand(&bind.result_formats, columns_of(named.prepared.as_ref())).map_err(Halt::from).or_else(|halt| {
            // A single code also fits a statement without columns, such as COPY.
            if bind.result_formats.len() == 1 { Ok(Vec::new()) } else { Err(halt) }
        })?;
        if bind.portal.is_empty() {
            self.extended.drop_portal("");
        } else if self.extended.portals.contains_key(&bind.portal) {
            return Err(Report::error(
                ErrorCode::DuplicateCursor,
                format!("cursor \"{}\" already exists", bind.portal),
            )
            .into());
        }
        if self.extended.portals.len() >= self.extended.portal_max {
            return Err(Report::error(ErrorCode::ProgramLimitExceeded, "too many portals").into());
        }
        let bytes =
            bind.portal.len() + bind.parameters.iter().flatten().map(bytes::Bytes::len).sum::<usize>() + 16 * given;
        self.extended.hold(bytes)?;
        let parameters = self.parameters(types, &bind).inspect_err(|_| {
            self.extended.release(bytes);
        })?;
        let portal = Portal {
            prepared: named.prepared,
            parameters,
            formats: bind.result_formats,
            state: PortalState::Ready,
            bytes,
        };
        self.extended.portals.insert(bind.portal, portal);
        self.out.empty(b'2');
        Ok(())
    }

    fn parameters(&self, types: &[PgType], bind: &Bind) -> Result<Vec<ArrayRef>, Report> {
        let formats = &bind.parameter_formats;
        let zone = session_zone(&*self.session, types)?;
        let mut arrays = Vec::with_capacity(types.len());
        for (index, (pg_type, value)) in types.iter().zip(&bind.parameters).enumerate() {
            let format = match formats.as_slice() {
                [] => Format::Text,
                [all] => *all,
                each => each.get(index).copied().unwrap_or(Format::Text),
            };
            arrays.push(decode_parameter(*pg_type, format, value.as_deref(), index + 1, &zone)?);
        }
        Ok(arrays)
    }

    pub(crate) fn describe(&mut self, target: &Target) -> Result<(), Halt> {
        match target {
            Target::Statement(name) => {
                let named = self.extended.statement(name)?;
                let prepared = named.prepared.as_deref();
                self.out.parameter_description(prepared.map_or(&[], Prepared::parameter_types));
                match prepared.and_then(Prepared::columns) {
                    Some(columns) => self.out.row_description(columns, |_| Format::Text),
                    None => self.out.empty(b'n'),
                }
            }
            Target::Portal(name) => {
                let Some(portal) = self.extended.portals.get(name) else {
                    let columns = self.session.cursor(name).ok_or_else(|| no_portal(name))?;
                    self.out.row_description(&columns, |_| Format::Text);
                    return Ok(());
                };
                let columns = match &portal.state {
                    PortalState::Suspended(source) => Some(source.columns()),
                    PortalState::Ready | PortalState::Read(_) | PortalState::Ran => {
                        portal.prepared.as_deref().and_then(Prepared::columns)
                    }
                };
                match columns {
                    Some(columns) => {
                        let formats = expand(&portal.formats, columns.len())?;
                        self.out.row_description(columns, |index| formats.get(index).copied().unwrap_or(Format::Text));
                    }
                    None => self.out.empty(b'n'),
                }
            }
        }
        Ok(())
    }

    /// Runs or continues a portal. The portal is out of the map meanwhile: one that fails is gone.
    pub(crate) async fn execute(&mut self, name: &str, rows_max: Option<u64>) -> Result<(), Halt> {
        let mut portal = self.extended.portals.remove(name).ok_or_else(|| no_portal(name))?;
        self.extended.held_bytes = self.extended.held_bytes.saturating_sub(portal.bytes);
        self.begin_block();
        let before = self.session.transaction_status();
        portal.state = self.run_portal(name, &mut portal, rows_max).await?;
        if before != TransactionStatus::Idle && self.session.transaction_status() == TransactionStatus::Idle {
            self.extended.end_transaction();
        }
        self.extended.held_bytes = self.extended.held_bytes.saturating_add(portal.bytes);
        self.extended.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    async fn run_portal(
        &mut self,
        name: &str,
        portal: &mut Portal,
        rows_max: Option<u64>,
    ) -> Result<PortalState, Halt> {
        let Some(prepared) = &portal.prepared else {
            self.out.empty(b'I');
            return Ok(PortalState::Ready);
        };
        let token = self.slot.begin();
        let state = match std::mem::replace(&mut portal.state, PortalState::Ran) {
            PortalState::Ready => {
                let form = if rows_max.is_none() { self.whole_form(prepared, &portal.formats) } else { None };
                let delivery = form.map_or(Delivery::Batches, Delivery::Messages);
                let step = self.session.run(prepared, &portal.parameters, delivery);
                match self.guard().run(&token, step).await {
                    Ok(Outcome::Messages(rows)) => self.send_messages(&rows, &token).await.map(PortalState::Read),
                    // Boxed: rows that come as messages make no room for what reads batches.
                    Ok(outcome) => {
                        Box::pin(self.first_outcome(prepared, outcome, &portal.formats, rows_max, &token)).await
                    }
                    Err(halt) => Err(halt),
                }
            }
            PortalState::Suspended(source) => Box::pin(self.read_portal(source, rows_max, &token)).await,
            PortalState::Read(tag) => self.complete(&tag, 0).map(|()| PortalState::Read(tag)),
            PortalState::Ran => {
                Err(Report::error(ErrorCode::ObjectNotInPrerequisiteState, format!("portal \"{name}\" cannot be run"))
                    .into())
            }
        };
        self.slot.end();
        state
    }

    async fn first_outcome(
        &mut self,
        prepared: &Arc<dyn Prepared>,
        outcome: Outcome,
        formats: &[Format],
        rows_max: Option<u64>,
        token: &CancellationToken,
    ) -> Result<PortalState, Halt> {
        self.take_effects();
        match outcome {
            Outcome::Empty => {
                self.out.empty(b'I');
                Ok(PortalState::Ran)
            }
            Outcome::Command(tag) => {
                self.complete(&tag, 0)?;
                Ok(PortalState::Ran)
            }
            Outcome::Rows(rows) => {
                check_width(&rows)?;
                let source = RowSource::new(rows, formats, Shape::DataRow)?;
                self.read_portal(Box::new(source), rows_max, token).await
            }
            Outcome::Messages(rows) => self.send_messages(&rows, token).await.map(PortalState::Read),
            Outcome::CopyOut(rows, options) => {
                self.copy_out(rows, CopyStyle::new(&options), token).await?;
                Ok(PortalState::Ran)
            }
            Outcome::CopyIn(copy) => {
                self.copy_in(prepared, copy, token).await?;
                Ok(PortalState::Ran)
            }
        }
    }

    async fn read_portal(
        &mut self,
        mut source: Box<RowSource>,
        rows_max: Option<u64>,
        token: &CancellationToken,
    ) -> Result<PortalState, Halt> {
        let progress = self.pump(&mut source, rows_max, token).await?;
        self.take_effects();
        if progress.ended {
            self.complete(&source.tag, progress.rows)?;
            Ok(PortalState::Read(source.tag.clone()))
        } else {
            self.out.empty(b's');
            Ok(PortalState::Suspended(source))
        }
    }
}

/// The type a client declared; 0 and `unknown` leave it to the session.
fn known_type(oid: u32) -> Result<Option<PgType>, Report> {
    match PgType::from_oid(oid) {
        Some(PgType::Unknown) => Ok(None),
        Some(known) => Ok(Some(known)),
        None if oid == 0 => Ok(None),
        None => Err(Report::error(ErrorCode::UndefinedObject, format!("type with OID {oid} does not exist"))),
    }
}
