//! Prepared statements: what preparing found out about one, and the same statement bound in another way.

use super::changes::write_cache::CachedWrite;
use super::lookup_cache::CachedLookup;
use crate::bind::statement::Bound;
use crate::dialect::constants::Constants;
use crate::dialect::parameters::Declared;
use crate::session::temporary::TemporaryWork;
use crate::sql::classify::ExplainStyle;
use crate::sql::parse::Parsed;
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use datafusion::execution::memory_pool::MemoryReservation;
use querygate_query_api::column::Column;
use querygate_query_api::outcome::CopyOptions;
use querygate_query_api::requests::ingest::IngestColumn;
use querygate_query_api::service::Prepared;
use querygate_types::{Error, PgType, Result};
use std::any::Any;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

/// A prepared statement of this gate.
#[derive(Debug)]
pub(crate) struct PreparedStatement {
    pub(in crate::session) parsed: Arc<Parsed>,
    pub(in crate::session) declared: Vec<Option<Declared>>,
    pub(in crate::session) kind: Kind,
    /// The constants of a query that is bound with parameters in their places.
    pub(in crate::session) constants: Option<Arc<HeldConstants>>,
    pub(in crate::session) parameter_types: Vec<PgType>,
    pub(in crate::session) columns: Option<Arc<[Column]>>,
    pub(in crate::session) look_up: Mutex<Option<Arc<CachedLookup>>>,
    pub(in crate::session) write: Mutex<Option<Arc<CachedWrite>>>,
    /// The charge of its plan.
    pub(in crate::session) _plan: Option<Arc<MemoryReservation>>,
}

/// A prepared statement that has a name.
pub(in crate::session) struct Named {
    pub(in crate::session) prepared: Arc<dyn Prepared>,
    pub(in crate::session) since: SystemTime,
    /// By PREPARE, not by a message of the protocol.
    pub(in crate::session) from_sql: bool,
}

impl Named {
    pub(in crate::session) fn new(prepared: Arc<dyn Prepared>, from_sql: bool) -> Self {
        Self { prepared, since: SystemTime::now(), from_sql }
    }
}

/// The constants of a statement that a session has prepared, charged to it.
#[derive(Debug)]
pub(in crate::session) struct HeldConstants {
    pub(in crate::session) constants: Arc<Constants>,
    pub(in crate::session) _charge: MemoryReservation,
}

/// What preparing found out.
#[derive(Debug, Clone)]
pub(in crate::session) enum Kind {
    Query(Arc<Bound>),
    /// A query whose rows are locked.
    Locking(Arc<Bound>),
    Copy(Arc<Bound>, CopyOptions),
    /// The query of a cursor.
    Declare(Arc<Bound>),
    /// A change, with the schema of what it gives back.
    Write(Option<SchemaRef>),
    /// About temporary tables of the session.
    Temporary(Arc<TemporaryWork>),
    /// Rows that come, for these columns. All else is found out anew by each run.
    Ingest(Arc<[IngestColumn]>),
    /// With the statement that is explained.
    Explain(Arc<Bound>, ExplainStyle, Arc<Parsed>),
    /// With the change that is explained.
    ExplainWrite(ExplainStyle, Arc<Parsed>),
    /// Runs from its class alone.
    Command,
}

impl PreparedStatement {
    pub(crate) fn parsed(&self) -> &Parsed {
        &self.parsed
    }

    /// The values that its query runs with: the client's, or its own constants.
    pub(in crate::session) fn values<'a>(&'a self, given: &'a [ArrayRef]) -> &'a [ArrayRef] {
        self.constants.as_ref().map_or(given, |held| &held.constants.values)
    }

    /// The same statement, bound in another way, with the charge of its plan.
    pub(in crate::session) fn bound_as(&self, bound: Arc<Bound>, plan: Arc<MemoryReservation>) -> Self {
        Self {
            parsed: Arc::clone(&self.parsed),
            declared: self.declared.clone(),
            kind: Kind::Query(bound),
            constants: self.constants.clone(),
            parameter_types: self.parameter_types.clone(),
            columns: self.columns.clone(),
            look_up: Mutex::default(),
            write: Mutex::default(),
            _plan: Some(plan),
        }
    }
}

impl Prepared for PreparedStatement {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn parameter_types(&self) -> &[PgType] {
        &self.parameter_types
    }

    fn columns(&self) -> Option<&[Column]> {
        self.columns.as_deref()
    }

    fn schema(&self) -> Option<SchemaRef> {
        match &self.kind {
            Kind::Query(bound) | Kind::Locking(bound) => Some(Arc::clone(bound.schema())),
            Kind::Write(schema) => schema.clone(),
            Kind::Temporary(work) => work.returned().map(|bound| Arc::clone(bound.schema())),
            Kind::Copy(..)
            | Kind::Declare(_)
            | Kind::Ingest(_)
            | Kind::Explain(..)
            | Kind::ExplainWrite(..)
            | Kind::Command => None,
        }
    }

    fn ingested(&self) -> Option<Arc<[IngestColumn]>> {
        match &self.kind {
            Kind::Ingest(columns) => Some(Arc::clone(columns)),
            Kind::Query(_)
            | Kind::Locking(_)
            | Kind::Copy(..)
            | Kind::Declare(_)
            | Kind::Write(_)
            | Kind::Temporary(_)
            | Kind::Explain(..)
            | Kind::ExplainWrite(..)
            | Kind::Command => None,
        }
    }
}

pub(in crate::session) fn ours(prepared: &Arc<dyn Prepared>) -> Result<&PreparedStatement> {
    prepared.as_any().downcast_ref().ok_or_else(|| Error::internal("a prepared statement of another service"))
}
