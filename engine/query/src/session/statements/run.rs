//! Runs prepared statements: one way in for every door, kind of statement and form of rows.

use super::prepared::{Kind, PreparedStatement};
use super::start::Invocation;
use crate::bind::outer_names::told as told_of;
use crate::bind::statement::Bound;
use crate::bind::workspace::as_described;
use crate::plan::figures::Observed;
use crate::run::interrupt::Interrupt;
use crate::run::lifecycle::Run;
use crate::run::start_time::StartTime;
use crate::session::gate_session::GateSession;
use crate::sql::classify::Classified;
use arrow::array::ArrayRef;
use futures::StreamExt;
use querygate_query_api::outcome::{CommandTag, Outcome, Rows};
use querygate_query_api::service::Delivery;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

impl GateSession {
    pub(in crate::session) async fn run_prepared(
        &self,
        prepared: &PreparedStatement,
        parameters: &[ArrayRef],
        delivery: Delivery<'_>,
    ) -> Result<Outcome> {
        self.admits(prepared.parsed.class())?;
        match (&prepared.kind, prepared.parsed.class()) {
            (Kind::Query(bound), Classified::Query(query)) => {
                let bound = self.refreshed_query(bound, query, prepared, parameters).await?;
                self.run_query(prepared, &bound, prepared.values(parameters), delivery).await
            }
            (Kind::Query(bound), Classified::Question(asking)) => {
                let bound = self.refreshed_question(prepared, bound, asking).await?;
                if self.has_find_hooks(&bound, asking) {
                    return Box::pin(self.run_hooked(prepared, &bound, asking, parameters)).await;
                }
                self.run_query(prepared, &bound, parameters, delivery).await
            }
            (Kind::Query(_), _) => Err(lost()),
            (
                Kind::Locking(_)
                | Kind::Write(_)
                | Kind::Temporary(_)
                | Kind::Copy(..)
                | Kind::Declare(_)
                | Kind::Ingest(_)
                | Kind::Explain(..)
                | Kind::ExplainWrite(..)
                | Kind::Command,
                _,
            ) if matches!(delivery, Delivery::Part(_)) => {
                Err(Error::new(ErrorCode::FeatureNotSupported, "this statement has no parts"))
            }
            (Kind::Locking(bound), Classified::Locking { query, lock, of }) => {
                Box::pin(self.run_locking(prepared, (query.as_ref(), *lock, of.as_ref()), bound, parameters)).await
            }
            (Kind::Locking(_), _) => Err(lost()),
            (Kind::Temporary(work), Classified::Temporary(ast) | Classified::Write(ast)) => {
                Box::pin(self.run_temporary(prepared, work, ast, parameters)).await
            }
            (Kind::Temporary(_), _) => Err(lost()),
            (Kind::Write(_), Classified::Write(ast)) => {
                self.refuse_other_table(ast)?;
                Box::pin(self.run_write(prepared, ast, parameters)).await
            }
            (Kind::Write(_), _) => Err(lost()),
            (Kind::Ingest(known), Classified::CopyIn(copy)) => Box::pin(self.begin_copy(copy, known)).await,
            (Kind::Ingest(_), _) => Err(lost()),
            (Kind::Copy(bound, options), Classified::CopyOut { query, .. }) => {
                let bound = self.refreshed(bound, query, &prepared.declared, parameters).await?;
                let mut rows = self.run_bound(prepared, &bound, parameters).await?;
                rows.tag = CommandTag::Counted("COPY");
                Ok(Outcome::CopyOut(rows, options.clone()))
            }
            (Kind::Copy(..), _) => Err(lost()),
            (Kind::Declare(bound), Classified::Declare { name, query, hold, scroll }) => {
                let bound = self.refreshed(bound, query, &prepared.declared, parameters).await?;
                self.declare((prepared, &bound, parameters), name, *hold, *scroll).await
            }
            (Kind::Declare(_), _) => Err(lost()),
            (Kind::Explain(bound, style, explained), _) => {
                let Classified::Query(query) = explained.class() else { return Err(lost()) };
                // ANALYZE runs it, and each plan tells of rights.
                let bound = self.refreshed(bound, query, &prepared.declared, parameters).await?;
                let explained = crate::session::commands::explain::explain(self, prepared, &bound, parameters, *style);
                Ok(Outcome::Rows(Box::pin(explained).await?))
            }
            (Kind::ExplainWrite(style, explained), _) => {
                let Classified::Write(ast) = explained.class() else { return Err(lost()) };
                Box::pin(self.explain_write(prepared, ast, parameters, *style)).await
            }
            (Kind::Command, class) => self.run_command(prepared, class, parameters).await,
        }
    }

    /// Runs a question without hooks of its read: none that a client asked, or one whose hooks have run.
    pub(in crate::session) async fn run_unhooked(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
        delivery: Delivery<'_>,
    ) -> Result<Outcome> {
        self.run_query(prepared, bound, parameters, delivery).await
    }

    /// Runs a question that the gate asks for a change of its own, of which no hook hears.
    pub(in crate::session) async fn run_own_question(
        &self,
        prepared: &PreparedStatement,
        parameters: &[ArrayRef],
    ) -> Result<Outcome> {
        self.admits(prepared.parsed.class())?;
        let (Kind::Query(bound), Classified::Question(asking)) = (&prepared.kind, prepared.parsed.class()) else {
            return Err(lost());
        };
        let bound = self.refreshed_question(prepared, bound, asking).await?;
        self.run_query(prepared, &bound, parameters, Delivery::Batches).await
    }

    async fn run_query(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
        delivery: Delivery<'_>,
    ) -> Result<Outcome> {
        let (mut run, interrupt) = self.begin_query(prepared, bound);
        let part = match delivery {
            Delivery::Batches => None,
            Delivery::Part(part) => Some(part),
            Delivery::Messages(form) => {
                if self.look_up_refusal(bound).is_none() {
                    match interrupt.within(self.messages(&mut run, bound, parameters, form)).await {
                        Ok(Ok(rows)) => {
                            self.keep_look_up(prepared, bound);
                            return run.deliver(rows).map(Outcome::Messages);
                        }
                        Ok(Err(_declined)) => {}
                        Err(error) => return Err(run.fail(error)),
                    }
                }
                None
            }
        };
        // Boxed: what reads batches is large, and look-ups should make no room for it.
        Box::pin(self.run_rows(
            run,
            interrupt,
            Invocation { prepared, bound, parameters, part, is_find: false, observed: None },
        ))
        .await
        .map(Outcome::Rows)
    }

    /// Runs a bound query. The run ends with its rows.
    pub(crate) async fn run_bound(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
    ) -> Result<Rows> {
        self.run_observed(prepared, bound, parameters, None).await
    }

    /// Runs a bound query. What its nodes do is kept in `observed`, where there is one.
    pub(crate) async fn run_observed(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
        observed: Option<&Observed>,
    ) -> Result<Rows> {
        let (run, interrupt) = self.begin_query(prepared, bound);
        let of = Invocation { prepared, bound, parameters, part: None, is_find: false, observed };
        self.run_rows(run, interrupt, of).await
    }

    /// Runs the query that finds or makes the rows of a change.
    pub(in crate::session) async fn run_found(
        &self,
        prepared: &PreparedStatement,
        bound: &Arc<Bound>,
        parameters: &[ArrayRef],
    ) -> Result<Rows> {
        let (run, interrupt) = self.begin_query(prepared, bound);
        let of = Invocation { prepared, bound, parameters, part: None, is_find: true, observed: None };
        Box::pin(self.run_rows(run, interrupt, of)).await
    }

    /// Runs a query of constants on behalf of a statement, whose record is the only one.
    pub(in crate::session) async fn run_constants(
        &self,
        outer: &PreparedStatement,
        bound: &Arc<Bound>,
    ) -> Result<Rows> {
        let run = Run::unrecorded(&self.runs, &outer.parsed, StartTime::now().started);
        let interrupt = run.interrupt(self.timeout());
        let of = Invocation { prepared: outer, bound, parameters: &[], part: None, is_find: false, observed: None };
        self.run_rows(run, interrupt, of).await
    }

    async fn run_rows(&self, mut run: Run, interrupt: Interrupt, of: Invocation<'_>) -> Result<Rows> {
        let bound = of.bound;
        let started = interrupt.within(self.start_rows(&mut run, &interrupt, of)).await;
        run.planned();
        let batches = match started {
            Ok(batches) => batches,
            Err(error) => return Err(run.fail(error)),
        };
        // What leaves here goes to encoders as it is, whatever the door.
        let schema = Arc::clone(bound.schema());
        let described = Arc::clone(&schema);
        let batches = batches.map(move |batch| batch.and_then(|batch| as_described(&batch, &described))).boxed();
        let columns = Arc::clone(bound.columns());
        Ok(Rows { columns, schema, batches: run.rows(batches), tag: CommandTag::Counted("SELECT") })
    }

    /// Begins a recorded run of a query, with what ends it.
    fn begin_query(&self, prepared: &PreparedStatement, bound: &Bound) -> (Run, Interrupt) {
        let began = StartTime::now();
        let (told, timeout) = self.told_and_timeout();
        let run = Run::begin(&self.runs, &prepared.parsed, Arc::clone(bound.objects()), began, told);
        let interrupt = run.interrupt(timeout);
        if !bound.outer_names().is_empty() {
            self.inner().effects.extend(bound.outer_names().iter().map(|name| told_of(name)));
        }
        (run, interrupt)
    }

    /// Begins a recorded run of a statement that reads these objects.
    pub(in crate::session) fn begin_run(&self, prepared: &PreparedStatement, objects: Arc<[String]>) -> Run {
        self.begin_run_at(prepared, objects, StartTime::now())
    }

    pub(in crate::session) fn begin_run_at(
        &self,
        prepared: &PreparedStatement,
        objects: Arc<[String]>,
        began: StartTime,
    ) -> Run {
        Run::begin(&self.runs, &prepared.parsed, objects, began, self.told())
    }
}

fn lost() -> Error {
    Error::internal("a prepared statement lost its query")
}
