//! The service and session traits.

mod look_up;

use crate::column::Column;
use crate::holding::{Holding, Occupation, Uncounted};
use crate::outcome::{BatchStream, Effect, Notification, Outcome};
use crate::parts::{Part, Parts, Split};
use crate::requests::events::{EventFilter, EventStream};
use crate::requests::ingest::{IngestColumn, IngestTarget};
use crate::requests::question::{AnswerColumn, AnswerForm, ChangeRights, ObjectDescription, Question};
use crate::requests::record_change::{ChangeOutcome, OnFailure, RecordChange};
use crate::requests::tracking::{StaleStream, Tracking};
use crate::scram::ScramVerifier;
use crate::tokens::{Admitted, Candidate, Lasting, Tokens};
use crate::trace::TraceContext;
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use futures::future::BoxFuture;
pub use look_up::{LookUp, LookUpOutcome, LookUpRefusal};
use querygate_types::principal::Principal;
use querygate_types::wire_rows::{Given, WireForm};
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;

/// Which door a session came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// PostgreSQL's protocol.
    Postgres,
    /// Arrow Flight SQL.
    FlightSql,
    /// The pages.
    Http,
    /// ObjectStack's REST interface.
    Rest,
    /// `querygate sql`, in one process with the engine.
    Shell,
}

impl Door {
    /// Name as system tables show it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::FlightSql => "flight",
            Self::Http => "http",
            Self::Rest => "rest",
            Self::Shell => "shell",
        }
    }
}

/// What a client said of itself when it connected.
#[derive(Debug, Clone)]
pub struct ClientInfo {
    /// Where it connected.
    pub door: Door,
    /// The name that it asked for; [`Authenticator::has_database`] said that it is served.
    pub database: String,
    /// Its address; `None` where the door has none (the shell) or does not know it.
    pub peer: Option<SocketAddr>,
    /// Startup parameters that are settings (`application_name`, `TimeZone`, `options` already split).
    /// An unknown or refused one makes `open` fail with the code that `SET` would give.
    pub settings: Vec<(String, String)>,
}

/// Knows users and how they prove themselves. No I/O.
pub trait Authenticator: Send + Sync {
    /// The user's verifier. For an unknown user a made-up one that is stable per name and that no password fits,
    /// so that answers and timing do not tell known from unknown.
    fn scram_verifier(&self, user: &str) -> ScramVerifier;
    /// The principal of a user who has proved the verifier. `None` for an unknown user.
    fn principal(&self, user: &str) -> Option<Arc<Principal>>;
    /// Both of a user who wants to log in by a password. Doors ask for this, for who is known may change at any time.
    fn candidate(&self, user: &str) -> Candidate {
        let admitted = |principal| Admitted { principal, standing: Arc::new(Lasting) };
        Candidate { verifier: self.scram_verifier(user), admitted: self.principal(user).map(admitted) }
    }
    /// Whether the database name of the startup packet is served.
    fn has_database(&self, database: &str) -> bool;
    /// What programs may show in place of a password; `None`: nothing.
    fn tokens(&self) -> Option<&dyn Tokens> {
        None
    }
}

/// The one door into data.
pub trait QueryService: Send + Sync {
    /// Opens a session. Fails when a setting is refused or the session limit is reached.
    fn open(&self, principal: Arc<Principal>, client: ClientInfo) -> BoxFuture<'_, Result<Arc<dyn Session>>>;
}

/// Transaction state as ReadyForQuery reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No transaction is open: `I`.
    Idle,
    /// A transaction is open: `T`.
    InTransaction,
    /// A transaction is open and takes only its end: `E`.
    Failed,
}

/// One statement cut out of a text: parsed, not yet bound.
pub trait Statement: Send + Sync + std::fmt::Debug {
    /// For the session that made it, which shares it rather than copying its tree.
    fn into_any(self: Arc<Self>) -> Arc<dyn Any + Send + Sync>;
    /// The statement's own text.
    fn text(&self) -> &str;
}

/// A bound statement; the description holds until [`Session::run`] says otherwise.
pub trait Prepared: Send + Sync + std::fmt::Debug {
    /// For the session that made it.
    fn as_any(&self) -> &dyn Any;
    /// Types of `$1…$n`; inferred where the client gave none.
    fn parameter_types(&self) -> &[PgType];
    /// `None` when the statement returns no rows.
    fn columns(&self) -> Option<&[Column]>;
    /// Arrow schema of the batches that executing it gives, as long as [`columns`](Self::columns) hold. `None` where only the
    /// Postgres types are known before it runs.
    fn schema(&self) -> Option<SchemaRef> {
        None
    }
    /// The columns of the rows that [`Session::ingest`] takes. `None`: the statement takes no rows.
    fn ingested(&self) -> Option<Arc<[IngestColumn]>> {
        None
    }
}

/// A question that was bound, with the values of its comparands.
#[derive(Debug, Clone)]
pub struct Asked {
    /// To be given to [`Session::run`], with `parameters`.
    pub prepared: Arc<dyn Prepared>,
    /// One array of one value for each of the statement's parameters.
    pub parameters: Vec<ArrayRef>,
    /// What each column of the answer is, in their order.
    pub columns: Arc<[AnswerColumn]>,
}

/// How a run hands over the rows of its statement.
#[derive(Debug, Clone, Copy)]
pub enum Delivery<'a> {
    /// All of them, as batches.
    Batches,
    /// All of them, as messages of PostgreSQL's protocol where the statement is a look-up whose source writes them in this form
    /// ([`Outcome::Messages`]); as batches otherwise.
    Messages(WireForm),
    /// Those of one part, as batches. Several parts of a statement may run at the same time.
    Part(&'a Part),
}

/// What a door looks at whenever its client says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resting {
    /// As [`Session::transaction_status`].
    pub status: TransactionStatus,
    /// As [`Session::listens`].
    pub listens: bool,
    /// Equal for equal settings; `None`: they may be others each time.
    pub settings: Option<u64>,
}

/// One authenticated session: settings, transaction, cursors, SQL-level prepared statements.
///
/// Statements of one session run one after the other; a door must not execute a second one while it reads the
/// stream of the first, except between portals of one connection. All methods may be called from any thread.
///
/// Its methods give boxed futures, as those of all our traits whose implementations hold plans: `engine/docs/decisions`
/// says why no macro writes them.
pub trait Session: Send + Sync {
    /// Cuts a text into statements without binding them. An empty text gives an empty vector.
    fn split(&self, sql: &str) -> Result<Vec<Arc<dyn Statement>>>;

    /// Binds one statement on the session's catalog. `parameter_types[i]` is the client's type of `$i+1`, `None` for unknown.
    fn prepare<'a>(
        &'a self,
        statement: &'a Arc<dyn Statement>,
        parameter_types: &'a [Option<PgType>],
    ) -> BoxFuture<'a, Result<Arc<dyn Prepared>>>;

    /// Runs a bound statement. `parameters[i]` is an array of one value for `$i+1`, of the Arrow type that
    /// [`arrow_type_of`](crate::column::arrow_type_of) gives for its declared type.
    /// Binds anew when the metadata snapshot changed; fails with 0A000 "cached plan must not change result type" when
    /// the columns would differ, and for a part when its source is not what it was when it was divided.
    fn run<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        parameters: &'a [ArrayRef],
        delivery: Delivery<'a>,
    ) -> BoxFuture<'a, Result<Outcome>>;

    /// Records in the audit, as a statement's read, rows of an object that the platform holds beside all tables.
    ///
    /// # Errors
    /// 54000: more rows than an answer may have. XX000: this service writes nothing down.
    fn record_platform_read(&self, object: &str, rows: u64) -> Result<()> {
        Err(Error::internal(format!("{rows} rows of {object} were read unseen")))
    }

    /// Runs a change that gives no rows back for many sets of values, as one change: all of it or nothing. `parameters[i]` has a row for
    /// each set. Says how many rows were changed; `None`: it is to be run set by set, and nothing was run.
    fn run_sets<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        parameters: &'a [ArrayRef],
    ) -> BoxFuture<'a, Result<Option<u64>>> {
        Box::pin(async move {
            let _ = (prepared, parameters);
            Ok(None)
        })
    }

    /// Whether tables can be changed through this service at all.
    fn takes_changes(&self) -> bool {
        false
    }

    /// A statement that stores rows in a table, and nothing else. Its columns are those that it takes.
    fn prepare_ingest<'a>(&'a self, target: &'a IngestTarget) -> BoxFuture<'a, Result<Arc<dyn Prepared>>> {
        Box::pin(async move {
            let _ = target;
            Err(Error::new(ErrorCode::FeatureNotSupported, "this service stores no rows"))
        })
    }

    /// Stores rows, all or none of them, and says how many. `rows`: batches with a column for each of
    /// [`Prepared::ingested`], in their order; the names of theirs do not matter. An error in their place ends the statement with
    /// it, and so does dropping the future: nothing is stored then.
    fn ingest<'a>(&'a self, prepared: &'a Arc<dyn Prepared>, rows: BatchStream) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let _ = (prepared, rows);
            Err(Error::new(ErrorCode::FeatureNotSupported, "this service stores no rows"))
        })
    }

    /// Begins a run of a look-up, outside of a transaction, for values of which no arrays were made. Only a statement that
    /// [`run`](Self::run) has delivered as messages before is one. Dropping the future ends the look-up without a record.
    ///
    /// # Errors
    /// Why the statement is to be given to [`run`](Self::run) instead.
    fn look_up<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        given: &[Given<'_>],
        form: WireForm,
    ) -> std::result::Result<LookUp<'a>, LookUpRefusal> {
        let _ = (prepared, given, form);
        Err(LookUpRefusal::Source("this service has no look-ups"))
    }

    /// The statement as it is described for these values, one row or more of each parameter: places of numerics are enough for all
    /// values, and schemas say them. Errors are those of [`run`](Self::run).
    fn fitted<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        parameters: &'a [ArrayRef],
    ) -> BoxFuture<'a, Result<Arc<dyn Prepared>>> {
        Box::pin(async move {
            let _ = parameters;
            Ok(Arc::clone(prepared))
        })
    }

    /// Divides the rows that executing a bound statement would give. Reads no row, or only the ends of a key.
    fn parts<'a>(
        &'a self,
        prepared: &'a Arc<dyn Prepared>,
        parameters: &'a [ArrayRef],
        split: Split,
    ) -> BoxFuture<'a, Result<Parts>> {
        Box::pin(async move {
            let _ = (prepared, parameters, split);
            Ok(Parts::default())
        })
    }

    /// Binds a question about an object's records, for this session's principal. What it reads is governed, bounded, recorded and
    /// cancelled as what SQL reads.
    ///
    /// # Errors
    /// Each has ObjectStack's code where it has one: for an object that is not there or not to be read by the principal, for names,
    /// operators and comparands, for fields that are hidden or masked in anything but `fields`.
    fn ask<'a>(&'a self, question: &'a Question, form: AnswerForm) -> BoxFuture<'a, Result<Asked>> {
        let _ = (question, form);
        unasked()
    }

    /// The objects that the principal may read, by the names of metadata.
    fn objects(&self) -> BoxFuture<'_, Result<Vec<Arc<ObjectDescription>>>> {
        unasked()
    }

    /// One of them.
    ///
    /// # Errors
    /// `OBJECT_NOT_FOUND`, `OBJECT_API_DISABLED`, or `PERMISSION_DENIED` where it is not to be read by the principal.
    fn object<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Arc<ObjectDescription>>> {
        let _ = name;
        unasked()
    }

    /// What the principal may do with an object beside reading it.
    ///
    /// # Errors
    /// `OBJECT_NOT_FOUND`, `OBJECT_API_DISABLED`, or `PERMISSION_DENIED` where it is not to be read by the principal.
    fn change_rights<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Result<ChangeRights>> {
        let _ = object;
        unasked()
    }

    /// Whether a request may change several records of an object, as far as its metadata has a say in that. An object that the
    /// principal does not see is refused by the changes themselves.
    ///
    /// # Errors
    /// `OBJECT_API_METHOD_NOT_ALLOWED`.
    fn admits_bulk<'a>(&'a self, object: &'a str) -> BoxFuture<'a, Result<()>> {
        let _ = object;
        unasked()
    }

    /// Makes changes of records in one transaction, in their order, one outcome each. Inside of a block that
    /// [`begin_block`](Self::begin_block) or a client's BEGIN opened they are stored with it; otherwise before this returns.
    ///
    /// # Errors
    /// Where nothing is stored and no single change is why: the transaction could not be begun or ended. 08007: it is not known
    /// whether the changes are stored.
    fn change<'a>(
        &'a self,
        changes: &'a [RecordChange],
        on_failure: OnFailure,
    ) -> BoxFuture<'a, Result<Vec<ChangeOutcome>>> {
        let _ = (changes, on_failure);
        unasked()
    }

    /// Follows changes that are committed, each as the principal may see it when it is delivered.
    ///
    /// # Errors
    /// 0A000: no events are kept, or none of an object that is named. 55000: what came after the sequence is no longer kept. 53300: there
    /// are too many subscriptions. Those of [`object`](Self::object).
    fn subscribe(&self, filter: EventFilter) -> BoxFuture<'_, Result<EventStream>> {
        Box::pin(async move {
            let _ = filter;
            Err(Error::new(ErrorCode::FeatureNotSupported, "this gate keeps no events"))
        })
    }

    /// Hears when the answer to a question may be another: from now on, so that a caller who asks afterwards misses nothing.
    ///
    /// # Errors
    /// As of [`subscribe`](Self::subscribe); 0A000 also where no events are kept of something else that the answer depends on.
    fn track(&self, tracking: Tracking) -> BoxFuture<'_, Result<StaleStream>> {
        Box::pin(async move {
            let _ = tracking;
            Err(Error::new(ErrorCode::FeatureNotSupported, "this gate keeps no events"))
        })
    }

    /// Notices and changed settings since the last call, in order.
    fn take_effects(&self) -> Vec<Effect>;

    /// The reported settings (ParameterStatus) at connect, in PostgreSQL's order.
    fn reported_settings(&self) -> Vec<(String, String)>;

    /// Value of a setting the door needs for encoding (`TimeZone`, `DateStyle`, `bytea_output`, `extra_float_digits`, …).
    /// `TimeZone` is the zone that is meant: a name, or an offset where plus is east, however SHOW prints it.
    fn setting(&self, name: &str) -> Option<String>;

    /// The state for ReadyForQuery, after what ran last.
    fn transaction_status(&self) -> TransactionStatus;

    /// Whether an operator ended it: a door with connections or sessions of its own lets it go.
    fn is_ended(&self) -> bool {
        false
    }

    /// Waits until an operator has ended it.
    fn ended(&self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::pending())
    }

    /// Shows what the session is kept for, until what this gives is dropped. `object`: what that is about, by its name.
    fn occupy(&self, occupation: Occupation, object: &str) -> Box<dyn Send + Sync> {
        let _ = (occupation, object);
        Box::new(())
    }

    /// All that a door wants to know before it waits for its client, at once.
    fn resting(&self) -> Resting {
        Resting { status: self.transaction_status(), listens: self.listens(), settings: None }
    }

    /// Version of the metadata that the next statement sees; 0 of a service that knows no versions. A transaction pins its
    /// version when asked.
    fn snapshot_version(&self) -> u64 {
        0
    }

    /// Changes of the statements from now on hold together: nothing of them is stored before [`end_block`](Self::end_block), unless
    /// the client ends a transaction by words.
    fn begin_block(&self) {}

    /// Stores the changes since [`begin_block`](Self::begin_block); after a statement that failed, it undoes them. Does nothing to a
    /// transaction that the client began by words.
    ///
    /// # Errors
    /// Why nothing is stored; 08007: it is not known whether everything is, or nothing.
    fn end_block(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { Ok(()) })
    }

    /// Tells the session that an error ended an extended-protocol step outside `run` (a wrong Bind, say), or that
    /// a stream failed: an open transaction is failed from now on.
    fn fail_transaction(&self);

    /// The door tells that the client's connection is encrypted, as `SHOW ssl` and `pg_stat_ssl` then say.
    fn connected_by_tls(&self) {}

    /// The door holds (or, with `None`, no longer holds) a protocol-level prepared statement of this name. PostgreSQL keeps
    /// these and the ones of SQL's PREPARE in one name space, so EXECUTE and DEALLOCATE may name them.
    fn statement_named(&self, name: &str, prepared: Option<&Arc<dyn Prepared>>) {
        let _ = (name, prepared);
    }

    /// Protocol-level statements that DEALLOCATE or DISCARD ALL dropped since the last call: the door forgets them.
    fn take_deallocated(&self) -> Vec<String> {
        Vec::new()
    }

    /// Columns of a cursor that SQL declared. PostgreSQL keeps these and the protocol's portals in one name space: psycopg
    /// describes its server-side cursors as portals.
    fn cursor(&self, name: &str) -> Option<Arc<[Column]>> {
        let _ = name;
        None
    }

    /// Whether the session listens to a channel: whether it is worth waiting for [`notification`](Self::notification).
    fn listens(&self) -> bool {
        false
    }

    /// The next notification, for the door to wait for while its client waits; for ever where nothing comes. A caller that stops waiting
    /// loses none.
    fn notification(&self) -> BoxFuture<'_, Notification> {
        Box::pin(async move { std::future::pending().await })
    }

    /// Statements that begin from now on belong to this span of the client's, as the call says that brings them; `None`: to none.
    fn follow_trace(&self, parent: Option<TraceContext>) {
        let _ = parent;
    }

    /// Statements that begin from now on belong to the request of this number; `None`: to none.
    fn follow_request(&self, id: Option<Arc<str>>) {
        let _ = id;
    }

    /// A charge for what the door holds for this session, of nothing yet.
    fn holding(&self) -> Box<dyn Holding> {
        Box::new(Uncounted)
    }

    /// Cancels the running statement, if any. Idempotent; returns at once. A [`look_up`](Self::look_up) ends when it is polled
    /// next.
    fn cancel(&self);

    /// Ends the session: cancels, rolls back, frees.
    fn close(&self) -> BoxFuture<'_, ()>;
}

/// What sessions answer that take SQL alone.
fn unasked<'a, T: Send + 'a>() -> BoxFuture<'a, Result<T>> {
    let refusal = Error::new(ErrorCode::FeatureNotSupported, "this service takes no questions").with_hint("Send SQL.");
    Box::pin(std::future::ready(Err(refusal)))
}
