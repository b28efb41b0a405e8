//! Several connections read ranges of pages at once, and their rows are given range after range: who is not in turn reads ahead, some
//! bytes. One decoder takes all rows, so that batches are cut as if one connection had read them. Knows no statement.

use crate::decode::Decoder;
use crate::error::schema_changed;
use crate::run::reader::RowReader;
use querygate_types::{Error, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_postgres::types::Type;

/// Bytes that a connection reads ahead of its turn: those of the pages of a range, as far as rows are as long there as on the wire.
const AHEAD_BYTES: usize = 8 << 20;

/// Whose rows are given.
#[derive(Default)]
pub(super) struct InTurn {
    /// The first page of the range that is in turn; at first that of the table.
    turn: watch::Sender<u32>,
    decoding: Mutex<Decoding>,
    /// Given so far.
    rows: AtomicUsize,
}

/// All rows' decoder, once a range is in turn, and the types that its connection delivered.
#[derive(Default)]
pub(super) struct Decoding(Option<(Vec<Type>, Decoder)>);

impl Decoding {
    /// # Errors
    /// Other columns than the connections before it delivered, or none that the statement has.
    pub(super) fn decoder(
        &mut self,
        source: &str,
        columns: &[Type],
        new: impl FnOnce() -> Result<Decoder>,
    ) -> Result<&mut Decoder> {
        let (known, decoder) = match &mut self.0 {
            Some(known) => known,
            none @ None => none.insert((columns.to_vec(), new()?)),
        };
        if known.iter().map(Type::oid).eq(columns.iter().map(Type::oid)) {
            Ok(decoder)
        } else {
            Err(schema_changed(source))
        }
    }
}

impl InTurn {
    /// Waits until the range that begins here is in turn.
    ///
    /// # Errors
    /// As [`RowReader::read_ahead`].
    pub(super) async fn come(&self, first_page: u32, reader: &mut RowReader<'_>) -> Result<()> {
        let mut turn = self.turn.subscribe();
        tokio::select! {
            biased;
            come = turn.wait_for(|page| *page == first_page) => come.map(drop).map_err(Error::internal),
            ended = reader.read_ahead(AHEAD_BYTES) => match ended {
                Ok(never) => match never {},
                Err(error) => Err(error),
            },
        }
    }

    /// For the one in turn, until it passes it on.
    pub(super) async fn decoding(&self) -> MutexGuard<'_, Decoding> {
        self.decoding.lock().await
    }

    /// The range that begins here is in turn now.
    pub(super) fn pass_on(&self, next_page: u32) {
        self.turn.send_replace(next_page);
    }

    pub(super) fn count(&self, rows: usize) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// What is left behind the last full batch, and how many rows were given before.
    pub(super) fn rest(self) -> (Option<Decoder>, usize) {
        let decoder = self.decoding.into_inner().0.map(|(_, decoder)| decoder);
        (decoder.filter(|decoder| decoder.rows() > 0), self.rows.into_inner())
    }
}
