//! Reads a large table by ranges of its pages over several connections at once, all under one snapshot. Whole, it is read in COPY's binary
//! format, and rows come in no order. Where rows are left out, they come page after page, in the batches that one connection would give:
//! which pages hold the rows that are left out is not to be seen.

mod in_turn;

use crate::connect::connection::Connection;
use crate::connect::pool::{Lease, Pool};
use crate::decode::Decoder;
use crate::error::{from_failure, from_postgres, lost};
use crate::run::bulk::in_turn::InTurn;
use crate::run::charged::Charged;
use crate::run::paged_text::PagedText;
use crate::run::reader::{INPUT_BYTES, Progress, RowReader};
use crate::run::snapshot::{Begun, begin_paged, check_file, join};
use crate::run::table_reads::TableRead;
use crate::wire::bind::Parameters;
use arrow::array::RecordBatch;
use querygate_driver_api::execution::{BatchStream, Delivery, ExecuteContext, NativeStatement, Pages, delivery};
use querygate_types::{Error, Result};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_postgres::Statement;
use tokio_postgres::types::{ToSql, Type};
use tokio_util::sync::CancellationToken;

/// Connections that read one table at once.
const CONNECTIONS_MAX: usize = 4;
/// Pages that one COPY reads: 32 MiB, long enough that beginning costs nothing, short enough that all end together.
const PAGES_AT_ONCE: u32 = 4_096;
/// Pages of a range where rows are left out: 8 MiB, because what connections read ahead of their turn is kept meanwhile.
const PAGES_IN_TURN: u32 = 1_024;
/// A range is found by its pages, and a connection waits for its client, or for its turn, as long as these take.
const RANGE_SETTINGS: &str = "SET LOCAL enable_tidscan = on; SET LOCAL idle_in_transaction_session_timeout = 0";
/// For ranges in turn: rows of a range come in the order of its pages.
const IN_TURN_SETTINGS: &str = "SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off; SET LOCAL enable_bitmapscan = off; \
     SET LOCAL synchronize_seqscans = off; SET LOCAL max_parallel_workers_per_gather = 0";
/// How long the end of a transaction is waited for; then its connection is closed.
const REST: Duration = Duration::from_secs(1);

/// What is asked of each range of pages.
pub(crate) enum Asked {
    Whole(PagedText, Arc<TableRead>),
    Filtered(Filtered),
}

/// A statement that leaves rows out, with its values.
pub(crate) struct Filtered {
    text: PagedText,
    parameters: Parameters,
    /// Tells them from other values.
    fingerprint: u64,
    read: Arc<TableRead>,
    in_turn: InTurn,
}

/// What the tasks of one run share.
struct Run {
    pool: Arc<Pool>,
    statement: Arc<NativeStatement>,
    asked: Asked,
    context: ExecuteContext,
    delivery: Delivery,
    pages: Pages,
    /// The first page that nobody reads yet.
    next: AtomicU32,
    /// Somebody reads each page: whoever still waits for a connection is not needed.
    taken: CancellationToken,
    /// Ends the others when one has failed.
    over: CancellationToken,
}

impl Asked {
    /// `None`: one connection reads the statement sooner, or as soon.
    pub(crate) fn of(read: &Arc<TableRead>, statement: &NativeStatement, parameters: &Parameters) -> Option<Self> {
        if let Some(whole) = Self::whole(read, statement) {
            return Some(whole);
        }
        if cores() < 2 || !read.may_give_most() {
            return None;
        }
        let fingerprint = parameters.fingerprint();
        let text = read.paged_filtered(statement, fingerprint)?;
        let (parameters, read) = (parameters.clone(), Arc::clone(read));
        Some(Self::Filtered(Filtered { text, parameters, fingerprint, read, in_turn: InTurn::default() }))
    }

    /// `None`: the statement does not give every row of its table, or that has no pages.
    pub(crate) fn whole(read: &Arc<TableRead>, statement: &NativeStatement) -> Option<Self> {
        read.paged_whole(statement).map(|text| Self::Whole(text, Arc::clone(read)))
    }

    fn read(&self) -> &TableRead {
        match self {
            Self::Whole(_, read) | Self::Filtered(Filtered { read, .. }) => read,
        }
    }

    const fn text(&self) -> &PagedText {
        match self {
            Self::Whole(text, _) | Self::Filtered(Filtered { text, .. }) => text,
        }
    }

    const fn pages_at_once(&self) -> u32 {
        match self {
            Self::Whole(..) => PAGES_AT_ONCE,
            Self::Filtered(..) => PAGES_IN_TURN,
        }
    }
}

impl Filtered {
    /// Gives what is left behind the last full batch, and notes how many rows there were. `false`: the reader is gone.
    async fn rest(self, delivery: &Delivery) -> Result<bool> {
        let (last, rows) = self.in_turn.rest();
        let last = last.map(|mut decoder| decoder.finish()).transpose()?;
        let rows = rows + last.as_ref().map_or(0, RecordBatch::num_rows);
        self.read.gave(rows, true, self.fingerprint);
        match last {
            Some(last) => Ok(delivery.batch(last).await),
            None => Ok(true),
        }
    }
}

/// What came of preparing a connection for ranges.
enum Ready {
    Prepared(Statement, Charged),
    /// Others have taken all ranges.
    NotNeeded,
    /// The reader is gone, or another part has ended for all.
    Stopped,
}

/// The moment whose rows a part reads, by its name.
enum At {
    /// The part's own transaction began it.
    Own(Arc<str>),
    /// Another one keeps it.
    Others(Arc<str>),
}

/// The rows of a table. `None`: the relation has no pages of its own, or it could not be asked; the usual way may do, or say
/// better what is wrong.
///
/// # Errors
/// No connection in time, or a cancel before the first row.
pub(crate) async fn execute(
    pool: &Arc<Pool>,
    statement: &Arc<NativeStatement>,
    asked: Asked,
    context: &ExecuteContext,
) -> Result<Option<BatchStream>> {
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let begun = tokio::select! {
        biased;
        begun = begin_paged(&lease.connection.client, &asked.text().table) => begun,
        error = context.over() => return Err(error),
    };
    let (moment, pages) = match begun {
        Ok(Begun::Paged(moment, pages)) => (moment, pages),
        Ok(Begun::NoPages) => {
            asked.read().has_no_pages();
            left(lease, "ROLLBACK").await;
            return Ok(None);
        }
        Ok(Begun::Rewritten) => {
            left(lease, "ROLLBACK").await;
            return Ok(None);
        }
        Err(error) => {
            tracing::debug!(%error, "a table is read in the usual way");
            return Ok(None);
        }
    };
    // Rows come into an empty table's first page.
    let pages = Pages { from: 0, to: pages.max(1), last: true };
    let (run, batches) = Run::new(pool, statement, asked, pages, context);
    tokio::spawn(run.all(lease, moment.into()));
    Ok(Some(batches))
}

/// The rows of some pages, as they are at the moment that the context names.
///
/// # Errors
/// No connection in time, or a cancel before the first row.
pub(crate) async fn execute_pages(
    pool: &Arc<Pool>,
    statement: &Arc<NativeStatement>,
    asked: Asked,
    pages: Pages,
    context: &ExecuteContext,
) -> Result<BatchStream> {
    let Some(share) = &context.share else { return Err(Error::internal("pages of no moment")) };
    let moment = At::Others(Arc::clone(&share.snapshot));
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let (run, batches) = Run::new(pool, statement, asked, pages, context);
    tokio::spawn(async move {
        let run = Arc::new(run);
        let ready = run.ready(&lease.connection, moment).await;
        let outcome = run.part(lease, ready).await;
        run.end(outcome).await;
    });
    Ok(batches)
}

impl Run {
    fn new(
        pool: &Arc<Pool>,
        statement: &Arc<NativeStatement>,
        asked: Asked,
        pages: Pages,
        context: &ExecuteContext,
    ) -> (Self, BatchStream) {
        let (delivery, batches) = delivery();
        let run = Self {
            pool: Arc::clone(pool),
            statement: Arc::clone(statement),
            asked,
            context: context.clone(),
            delivery,
            pages,
            next: AtomicU32::new(pages.from),
            taken: CancellationToken::new(),
            over: CancellationToken::new(),
        };
        (run, batches)
    }

    /// Says how it ended, once all parts have; a reader that is gone is told nothing.
    async fn end(self: Arc<Self>, outcome: Result<bool>) {
        let Some(Self { delivery, asked, context, .. }) = Arc::into_inner(self) else { return };
        let outcome = match (asked, outcome) {
            (Asked::Filtered(filtered), Ok(true)) => tokio::select! {
                biased;
                given = filtered.rest(&delivery) => given,
                error = context.over() => Err(error),
            },
            (Asked::Filtered(filtered), Err(error)) => {
                filtered.read.forget(filtered.fingerprint);
                Err(error)
            }
            (Asked::Whole(..) | Asked::Filtered(_), outcome) => outcome,
        };
        if !matches!(outcome, Ok(false)) {
            delivery.end(outcome.map(drop)).await;
        }
    }

    async fn all(self, first: Lease, moment: Arc<str>) {
        let run = Arc::new(self);
        let mut parts = JoinSet::new();
        let useful = usize::try_from(run.pages.to.div_ceil(run.asked.pages_at_once())).unwrap_or(1);
        let more = useful.min(CONNECTIONS_MAX).min(cores()).saturating_sub(1);
        for _ in 0..more {
            parts.spawn(Arc::clone(&run).another(Arc::clone(&moment)));
        }
        let ready = run.ready(&first.connection, At::Own(moment)).await;
        let mut outcome = run.part(first, ready).await;
        while let Some(ended) = parts.join_next().await {
            let ended = ended.unwrap_or_else(|error| Err(Error::internal(error)));
            outcome = match (outcome, ended) {
                (Err(error), _) | (_, Err(error)) => Err(error),
                (Ok(one), Ok(other)) => Ok(one && other),
            };
        }
        run.end(outcome).await;
    }

    /// A part beside the first, on a connection that nobody waits for. The first does not wait for it to be opened.
    async fn another(self: Arc<Self>, moment: Arc<str>) -> Result<bool> {
        let spare = tokio::select! {
            biased;
            () = self.over.cancelled() => None,
            () = self.taken.cancelled() => None,
            spare = self.pool.spare() => spare,
        };
        let Some(lease) = spare else { return Ok(true) };
        // It has taken no range, so the first part does without it.
        let ready = self.ready(&lease.connection, At::Others(moment)).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "a table is read over a connection less");
            Ready::NotNeeded
        });
        self.part(lease, Ok(ready)).await
    }

    /// One connection's share, once it is ready for it. `false`: the reader is gone, or another part has ended for all.
    async fn part(&self, lease: Lease, ready: Result<Ready>) -> Result<bool> {
        // A part that does not come to its end, a panic included, ends the others: they may wait for their turn behind it.
        let others = self.over.clone().drop_guard();
        let connection = &lease.connection;
        let outcome = match ready {
            Ok(Ready::Prepared(prepared, charged)) => {
                let mut rows = pin!(self.rows(connection, &prepared, charged));
                tokio::select! {
                    biased;
                    outcome = &mut rows => outcome,
                    error = self.context.over() => Err(error),
                    () = self.delivery.abandoned() => Ok(false),
                    () = self.over.cancelled() => Ok(false),
                }
            }
            Ok(Ready::NotNeeded) => {
                others.disarm();
                self.pool.connector().cancel(&connection.canceler()).await;
                return Ok(true);
            }
            Ok(Ready::Stopped) => Ok(false),
            Err(error) => Err(error),
        };
        if matches!(outcome, Ok(true)) {
            others.disarm();
            left(lease, "COMMIT").await;
            return outcome;
        }
        drop(others);
        // The connection is in the middle of something and closes.
        self.pool.connector().cancel(&connection.canceler()).await;
        outcome
    }

    /// Prepares a connection for ranges, unless others have taken them all: it is then not waited for, and may fail.
    async fn ready(&self, connection: &Connection, at: At) -> Result<Ready> {
        tokio::select! {
            biased;
            prepared = self.prepare(connection, at) => match prepared {
                Ok((prepared, charged)) => Ok(Ready::Prepared(prepared, charged)),
                Err(_) if self.is_taken() => Ok(Ready::NotNeeded),
                Err(error) => Err(error),
            },
            error = self.context.over() => Err(error),
            () = self.delivery.abandoned() => Ok(Ready::Stopped),
            () = self.over.cancelled() => Ok(Ready::Stopped),
            () = self.taken.cancelled() => Ok(Ready::NotNeeded),
        }
    }

    /// Parses the statement in the transaction of a moment: the columns stay what they are until that ends, and so does the file. With what
    /// its reader is charged.
    async fn prepare(&self, connection: &Connection, at: At) -> Result<(Statement, Charged)> {
        let charged = Charged::new(self.context.room.as_ref(), INPUT_BYTES)?;
        let (source, client) = (self.pool.source(), &connection.client);
        let told = |error: tokio_postgres::Error| from_postgres(source, &error);
        let moment = match at {
            At::Own(moment) => moment,
            At::Others(moment) => {
                join(source, client, &moment).await?;
                moment
            }
        };
        let filtered = match &self.asked {
            Asked::Whole(..) => None,
            Asked::Filtered(filtered) => Some(filtered),
        };
        let settings = if filtered.is_some() {
            format!("{RANGE_SETTINGS}; {IN_TURN_SETTINGS}")
        } else {
            RANGE_SETTINGS.to_owned()
        };
        client.batch_execute(&settings).await.map_err(told)?;
        let types: Vec<Type> = filtered.iter().flat_map(|filtered| filtered.parameters.types().cloned()).collect();
        let prepared = client.prepare_typed(&self.statement.text, &types).await.map_err(told)?;
        check_file(source, client, &self.asked.text().table, &moment).await?;
        if let Some(Filtered { text, parameters, .. }) = filtered {
            // Planned as well, over no page: whatever lock a plan needs is waited for now, and not when others wait for a range in turn.
            let values: Vec<(&(dyn ToSql + Sync), Type)> =
                parameters.iter().map(|(of, value)| (value as _, of.clone())).collect();
            client.query_typed(&text.select(&(0..0), false), &values).await.map_err(told)?;
        }
        Ok((prepared, charged))
    }

    async fn rows(&self, connection: &Connection, prepared: &Statement, charged: Charged) -> Result<bool> {
        let source = self.pool.source();
        let columns: Vec<Type> = prepared.columns().iter().map(|column| column.type_().clone()).collect();
        let mut reader = RowReader::new(source, connection.borrow().ok_or_else(|| lost(source))?, charged);
        let is_wanted = match &self.asked {
            Asked::Whole(text, _) => self.as_they_come(text, &mut reader, &columns).await?,
            Asked::Filtered(filtered) => self.page_after_page(filtered, &mut reader, &columns).await?,
        };
        if is_wanted && !reader.give_back() {
            return Err(lost(source).with_cause("bytes came behind the end of the answer"));
        }
        Ok(is_wanted)
    }

    /// Gives the rows of the pages that this connection takes. `false`: the reader is gone.
    async fn as_they_come(&self, text: &PagedText, reader: &mut RowReader<'_>, columns: &[Type]) -> Result<bool> {
        let mut decoder = self.decoder(columns)?;
        while let Some((pages, is_last)) = self.take() {
            reader.copy(&text.copy(&pages, is_last)).await?;
            if !self.give(reader, &mut decoder).await? {
                return Ok(false);
            }
        }
        Ok(decoder.rows() == 0 || self.delivery.batch(decoder.finish()?).await)
    }

    /// The same, each range of pages when all before it have been given.
    async fn page_after_page(&self, asked: &Filtered, reader: &mut RowReader<'_>, columns: &[Type]) -> Result<bool> {
        let Filtered { text, parameters, in_turn, .. } = asked;
        while let Some((pages, is_last)) = self.take() {
            reader.select(&text.select(&pages, is_last), parameters).await?;
            in_turn.come(pages.start, reader).await?;
            let mut decoding = in_turn.decoding().await;
            let decoder = decoding.decoder(self.pool.source(), columns, || self.decoder(columns))?;
            if !self.give(reader, decoder).await? {
                return Ok(false);
            }
            drop(decoding);
            in_turn.pass_on(pages.end);
        }
        Ok(true)
    }

    fn decoder(&self, columns: &[Type]) -> Result<Decoder> {
        Decoder::new(self.pool.source(), &self.statement, columns.iter(), self.context.batch_rows.max(1))
    }

    /// Gives the rows of what was asked, all but those of a batch that is not full. `false`: the reader is gone.
    async fn give(&self, reader: &mut RowReader<'_>, decoder: &mut Decoder) -> Result<bool> {
        loop {
            match reader.take(decoder, self.context.batch_rows.max(1))? {
                Progress::More => reader.fill().await?,
                Progress::Full => {
                    let batch = decoder.finish()?;
                    if let Asked::Filtered(filtered) = &self.asked {
                        filtered.in_turn.count(batch.num_rows());
                    }
                    if !self.delivery.batch(batch).await {
                        return Ok(false);
                    }
                }
                Progress::Ended => break,
            }
        }
        match reader.failure() {
            Some(failure) => Err(from_failure(self.pool.source(), &failure)),
            None => Ok(true),
        }
    }

    fn is_taken(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.pages.to
    }

    /// The next pages that nobody reads yet, and whether they are the last.
    fn take(&self) -> Option<(Range<u32>, bool)> {
        let end = self.pages.to;
        let next = |from: u32| (from < end).then(|| from.saturating_add(self.asked.pages_at_once()));
        let from = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        let to = from.saturating_add(self.asked.pages_at_once()).min(end);
        if to == end {
            self.taken.cancel();
        }
        Some((from..to, self.pages.last && to == end))
    }
}

/// Ends a connection's transaction and gives it back, or closes it.
async fn left(lease: Lease, end: &str) {
    if let Ok(Ok(())) = tokio::time::timeout(REST, lease.connection.client.batch_execute(end)).await {
        lease.give_back();
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
