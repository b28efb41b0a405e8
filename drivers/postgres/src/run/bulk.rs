//! Reads a large table whole: ranges of its pages over several connections at once, all under one snapshot, in COPY's binary
//! format. Rows come in no order.

use crate::connect::connection::Connection;
use crate::connect::pool::{Lease, Pool};
use crate::decode::Decoder;
use crate::error::{from_failure, from_postgres, lost};
use crate::run::reader::{Progress, RowReader};
use crate::run::snapshot::{begin_paged, check_file, join};
use crate::run::table_reads::FullScan;
use querygate_driver_api::execution::{BatchStream, Delivery, ExecuteContext, NativeStatement, Pages, delivery};
use querygate_types::{Error, Result};
use std::ops::Range;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::task::JoinSet;
use tokio_postgres::Column;
use tokio_util::sync::CancellationToken;

/// Connections that read one table at once.
const CONNECTIONS_MAX: usize = 4;
/// Pages that one COPY reads: 32 MiB, long enough that beginning costs nothing, short enough that all end together.
const PAGES_AT_ONCE: u32 = 4_096;

/// What the tasks of one run share.
struct Run {
    pool: Arc<Pool>,
    statement: Arc<NativeStatement>,
    whole: FullScan,
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
    whole: FullScan,
    context: &ExecuteContext,
) -> Result<Option<BatchStream>> {
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let begun = tokio::select! {
        biased;
        begun = begin_paged(&lease.connection.client, &whole.table) => begun,
        error = context.over() => return Err(error),
    };
    let (moment, pages) = match begun {
        Ok(Some(begun)) => begun,
        Ok(None) => {
            if lease.connection.client.batch_execute("ROLLBACK").await.is_ok() {
                lease.give_back();
            }
            return Ok(None);
        }
        Err(error) => {
            tracing::debug!(%error, "a table is read in the usual way");
            return Ok(None);
        }
    };
    // Rows come into an empty table's first page.
    let pages = Pages { from: 0, to: pages.max(1), last: true };
    let (run, batches) = Run::new(pool, statement, whole, pages, context);
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
    whole: FullScan,
    pages: Pages,
    context: &ExecuteContext,
) -> Result<BatchStream> {
    let Some(share) = &context.share else { return Err(Error::internal("pages of no moment")) };
    let moment = At::Others(Arc::clone(&share.snapshot));
    let lease = pool.lease(context.deadline, &context.cancel).await?;
    let (run, batches) = Run::new(pool, statement, whole, pages, context);
    tokio::spawn(async move {
        let run = Arc::new(run);
        let outcome = Arc::clone(&run).part(lease, moment).await;
        run.end(outcome).await;
    });
    Ok(batches)
}

impl Run {
    fn new(
        pool: &Arc<Pool>,
        statement: &Arc<NativeStatement>,
        whole: FullScan,
        pages: Pages,
        context: &ExecuteContext,
    ) -> (Self, BatchStream) {
        let (delivery, batches) = delivery();
        let run = Self {
            pool: Arc::clone(pool),
            statement: Arc::clone(statement),
            whole,
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
        if let Some(run) = Arc::into_inner(self)
            && !matches!(outcome, Ok(false))
        {
            run.delivery.end(outcome.map(drop)).await;
        }
    }

    async fn all(self, first: Lease, moment: Arc<str>) {
        let run = Arc::new(self);
        let mut parts = JoinSet::new();
        let useful = usize::try_from(run.pages.to.div_ceil(PAGES_AT_ONCE)).unwrap_or(1);
        let more = useful.min(CONNECTIONS_MAX).min(cores()).saturating_sub(1);
        for _ in 0..more {
            parts.spawn(Arc::clone(&run).another(Arc::clone(&moment)));
        }
        let mut outcome = Arc::clone(&run).part(first, At::Own(moment)).await;
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
        match spare {
            Some(lease) => self.part(lease, At::Others(moment)).await,
            None => Ok(true),
        }
    }

    /// One connection's share. `false`: nobody wants the rest, or another part has ended for all.
    async fn part(self: Arc<Self>, lease: Lease, at: At) -> Result<bool> {
        let outcome = {
            let mut rows = pin!(self.rows(&lease.connection, at));
            tokio::select! {
                biased;
                outcome = &mut rows => outcome,
                error = self.context.over() => Err(error),
                () = self.delivery.abandoned() => Ok(false),
                () = self.over.cancelled() => Ok(false),
            }
        };
        if matches!(outcome, Ok(true)) {
            if lease.connection.client.batch_execute("COMMIT").await.is_ok() {
                lease.give_back();
            }
            return outcome;
        }
        self.over.cancel();
        // The server is at rest before anybody hears of the end; the connection is in the middle of something and closes.
        self.pool.connector().cancel(&lease.connection.canceler()).await;
        outcome
    }

    async fn rows(&self, connection: &Connection, at: At) -> Result<bool> {
        let (source, client) = (self.pool.source(), &connection.client);
        let told = |error: tokio_postgres::Error| from_postgres(source, &error);
        let moment = match at {
            At::Own(moment) => moment,
            At::Others(moment) => {
                if let Err(error) = join(source, client, &moment).await {
                    // The first part has ended, and its snapshot with it, because there was nothing left to read.
                    return if self.is_taken() { Ok(true) } else { Err(error) };
                }
                moment
            }
        };
        // Parsed in this transaction: the columns stay what they are until it ends, and so does the file.
        let prepared = client.prepare(&self.statement.text).await.map_err(told)?;
        check_file(source, client, &self.whole.table, &moment).await?;
        let batch_rows = self.context.batch_rows.max(1);
        let mut decoder =
            Decoder::new(source, &self.statement, prepared.columns().iter().map(Column::type_), batch_rows)?;
        let mut reader = RowReader::new(source, connection.borrow().ok_or_else(|| lost(source))?);
        while let Some((pages, is_last)) = self.take() {
            reader.copy(&self.whole.copy(&pages, is_last)).await?;
            loop {
                match reader.take(&mut decoder, batch_rows)? {
                    Progress::More => reader.fill().await?,
                    Progress::Full if !self.delivery.batch(decoder.finish()?).await => return Ok(false),
                    Progress::Full => {}
                    Progress::Ended => break,
                }
            }
            if let Some(failure) = reader.failure() {
                return Err(from_failure(source, &failure));
            }
        }
        if !reader.give_back() {
            return Err(lost(source).with_cause("bytes came behind the end of the answer"));
        }
        if decoder.rows() > 0 && !self.delivery.batch(decoder.finish()?).await {
            return Ok(false);
        }
        Ok(true)
    }

    fn is_taken(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.pages.to
    }

    /// The next pages that nobody reads yet, and whether they are the last.
    fn take(&self) -> Option<(Range<u32>, bool)> {
        let end = self.pages.to;
        let next = |from: u32| (from < end).then(|| from.saturating_add(PAGES_AT_ONCE));
        let from = self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        let to = from.saturating_add(PAGES_AT_ONCE).min(end);
        if to == end {
            self.taken.cancel();
        }
        Some((from..to, self.pages.last && to == end))
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
