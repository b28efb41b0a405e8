//! Rows that a query in a transaction gives, while nothing else happens in it.

use super::{Rows, TransactionState};
use arrow::array::RecordBatch;
use futures::StreamExt;
use futures::stream::Stream;
use querygate_types::Result;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Rows of a query, which tell the transaction how they ended.
pub(super) struct Reading<'a> {
    rows: Rows<'a>,
    state: &'a mut TransactionState,
    ended: bool,
}

impl<'a> Reading<'a> {
    pub(super) fn new(rows: Rows<'a>, state: &'a mut TransactionState) -> Self {
        Self { rows, state, ended: false }
    }
}

impl Stream for Reading<'_> {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let next = self.rows.poll_next_unpin(context);
        match &next {
            Poll::Ready(Some(Err(_))) => {
                self.ended = true;
                *self.state = TransactionState::Failed;
            }
            Poll::Ready(None) => self.ended = true,
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        next
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if *self.state == TransactionState::Running {
            *self.state = TransactionState::Sound;
        }
    }
}
