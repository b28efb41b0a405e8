//! Statements on an engine session: described without being run, run with bound values. Knows no message and no ticket.

use crate::command::unsupported;
use crate::messages::wire::result_schema;
use crate::sessions::bind::Bindings;
use arrow::array::ArrayRef;
use arrow::datatypes::SchemaRef;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use querygate_query_api::outcome::{BatchStream, CommandTag, Outcome};
use querygate_query_api::parts::{Part, Parts, Split};
use querygate_query_api::service::{Delivery, Prepared, Session};
use querygate_types::{Error, ErrorCode, PgType, Result};
use std::sync::Arc;

/// A bound statement and the schema promised for its rows.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    pub(crate) prepared: Arc<dyn Prepared>,
    pub(crate) schema: SchemaRef,
}

/// What one execution gave.
pub(crate) enum Ran {
    Rows(BatchStream),
    Command(CommandTag),
}

/// Binds the one statement of a text. A failure fails an open transaction, as in Postgres.
pub(crate) async fn describe(engine: &Arc<dyn Session>, sql: &str, types: &[Option<PgType>]) -> Result<Described> {
    let prepared = prepare(engine, sql, types).await.inspect_err(|_| engine.fail_transaction())?;
    let schema = result_schema(prepared.as_ref());
    Ok(Described { prepared, schema })
}

async fn prepare(engine: &Arc<dyn Session>, sql: &str, types: &[Option<PgType>]) -> Result<Arc<dyn Prepared>> {
    let statements = engine.split(sql)?;
    match statements.as_slice() {
        [] => Err(Error::new(ErrorCode::SyntaxError, "the text holds no statement")),
        [one] => engine.prepare(one, types).await,
        [_, _, ..] => {
            Err(Error::new(ErrorCode::SyntaxError, "cannot insert multiple commands into a prepared statement"))
        }
    }
}

/// Runs a bound statement once.
pub(crate) async fn run(engine: &Arc<dyn Session>, prepared: &Arc<dyn Prepared>, values: &[ArrayRef]) -> Result<Ran> {
    run_part(engine, prepared, values, None).await
}

/// The same, all of it or one of its parts.
async fn run_part(
    engine: &Arc<dyn Session>,
    prepared: &Arc<dyn Prepared>,
    values: &[ArrayRef],
    part: Option<&Part>,
) -> Result<Ran> {
    let outcome = engine.run(prepared, values, part.map_or(Delivery::Batches, Delivery::Part)).await;
    // Notices and reported settings have no place in Flight; names that SQL deallocated are not the door's.
    drop((engine.take_effects(), engine.take_deallocated()));
    match outcome? {
        Outcome::Empty => Ok(Ran::Command(CommandTag::Fixed(String::new()))),
        Outcome::Command(tag) => Ok(Ran::Command(tag)),
        Outcome::Rows(rows) => Ok(Ran::Rows(rows.batches)),
        Outcome::Messages(_) => Err(Error::internal("batches came as messages")),
        Outcome::CopyOut(..) => {
            engine.fail_transaction();
            Err(unsupported("COPY through this door")
                .with_hint("Send the query itself: its result is a stream already."))
        }
        Outcome::CopyIn(_) => {
            engine.fail_transaction();
            Err(unsupported("COPY through this door").with_hint("Send the rows with CommandStatementIngest."))
        }
    }
}

/// Divides what a bound statement gives. Several sets of values give one result, in their order, so they are not divided.
/// A statement that cannot even be divided says so when it is fetched.
pub(crate) async fn parts(
    engine: &Arc<dyn Session>,
    prepared: &Arc<dyn Prepared>,
    bindings: &Bindings,
    split: Split,
) -> Parts {
    if bindings.rows() != 1 {
        return Parts::default();
    }
    match engine.parts(prepared, &bindings.row(0), split).await {
        Ok(parts) => parts,
        Err(error) => {
            tracing::debug!(%error, "a result is not divided");
            Parts::default()
        }
    }
}

/// Runs a bound statement once for each set of values and gives all rows, in order, or those of one part. The first
/// execution has begun when this returns, so that its failure is the call's.
pub(crate) async fn run_all(
    engine: &Arc<dyn Session>,
    prepared: &Arc<dyn Prepared>,
    bindings: Arc<Bindings>,
    part: Option<Part>,
) -> Result<BatchStream> {
    if bindings.rows() == 0 {
        return Ok(stream::empty().boxed());
    }
    if part.is_some() && bindings.rows() > 1 {
        return Err(Error::new(ErrorCode::SourceSchemaChanged, "other values were bound after the ticket was made")
            .with_hint("Ask for the flight again."));
    }
    let begun = rows_of(run_part(engine, prepared, &bindings.row(0), part.as_ref()).await?);
    if bindings.rows() == 1 {
        return Ok(begun);
    }
    let (engine, prepared) = (Arc::clone(engine), Arc::clone(prepared));
    let later = stream::iter(1..bindings.rows()).then(move |row| {
        let (engine, prepared, values) = (Arc::clone(&engine), Arc::clone(&prepared), bindings.row(row));
        async move { run(&engine, &prepared, &values).await.map(rows_of) }
    });
    Ok(begun.chain(later.try_flatten()).boxed())
}

/// Runs a bound statement that gives no rows for each set of values, all of them or none; the rows that it says it changed.
pub(crate) async fn run_effects(
    engine: &Arc<dyn Session>,
    prepared: &Arc<dyn Prepared>,
    bindings: &Bindings,
) -> Result<i64> {
    if bindings.rows() <= 1 {
        return run_each(engine, prepared, bindings).await;
    }
    let block = Block::begin(engine);
    let ran = match engine.run_sets(prepared, bindings.columns()).await {
        Ok(Some(changed)) => i64::try_from(changed).map_err(Error::internal),
        Ok(None) => run_each(engine, prepared, bindings).await,
        Err(error) => Err(error),
    };
    if ran.is_err() {
        engine.fail_transaction();
    }
    block.end().await.and(ran)
}

/// Statements that hold together. Dropped before its end, nothing of them is stored.
struct Block<'a> {
    engine: &'a Arc<dyn Session>,
    ended: bool,
}

impl<'a> Block<'a> {
    fn begin(engine: &'a Arc<dyn Session>) -> Self {
        engine.begin_block();
        Self { engine, ended: false }
    }

    async fn end(mut self) -> Result<()> {
        self.ended = true;
        self.engine.end_block().await
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        self.engine.fail_transaction();
        let engine = Arc::clone(self.engine);
        tokio::spawn(async move {
            if let Err(error) = engine.end_block().await {
                tracing::debug!(%error, "a block that its client left was not rolled back");
            }
        });
    }
}

async fn run_each(engine: &Arc<dyn Session>, prepared: &Arc<dyn Prepared>, bindings: &Bindings) -> Result<i64> {
    let mut changed = 0_i64;
    for row in 0..bindings.rows() {
        match run(engine, prepared, &bindings.row(row)).await? {
            Ran::Command(tag) => changed = changed.saturating_add(count(&tag)),
            Ran::Rows(_) => return Err(Error::internal("a statement without columns gave rows")),
        }
    }
    Ok(changed)
}

/// Rows that a command says it changed: the last word of its tag.
fn count(tag: &CommandTag) -> i64 {
    match tag {
        CommandTag::Counted(_) => 0,
        CommandTag::Fixed(text) => text.rsplit(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0),
    }
}

fn rows_of(ran: Ran) -> BatchStream {
    match ran {
        Ran::Rows(batches) => batches,
        Ran::Command(_) => stream::empty().boxed(),
    }
}

/// Runs a command of the door's own, which has no values.
pub(crate) async fn command(engine: &Arc<dyn Session>, sql: &'static str) -> Result<CommandTag> {
    let described = describe(engine, sql, &[]).await?;
    match run(engine, &described.prepared, &[]).await? {
        Ran::Command(tag) => Ok(tag),
        Ran::Rows(_) => Err(Error::internal("a command gave rows")),
    }
}
