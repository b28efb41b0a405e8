//! The simple query protocol: several statements in one text, the first error ends the rest. Knows no portal.

use crate::connection::Connection;
use crate::connection::copy_out::CopyStyle;
use crate::connection::halt::{Closing, Halt};
use crate::connection::stream::{RowSource, Shape};
use crate::connection::width::check_width;
use crate::report::Report;
use crate::wire::{Format, Writer};
use querygate_query_api::outcome::{CommandTag, Outcome};
use querygate_query_api::service::{Delivery, Statement};
use querygate_types::{ErrorCode, limits};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

impl Connection {
    pub(crate) async fn simple_query(&mut self, sql: String) -> Result<(), Closing> {
        // A simple Query destroys the unnamed statement and portal (protocol, "Extended query").
        self.extended.forget_unnamed();
        let token = self.slot.begin();
        let outcome = self.run_text(&sql, &token).await;
        self.slot.end();
        match outcome {
            Ok(()) => {}
            Err(Halt::Statement(report)) => self.fail(report)?,
            Err(Halt::Connection(closing)) => return Err(closing),
        }
        self.end_block().await?;
        self.ready();
        Ok(())
    }

    async fn run_text(&mut self, sql: &str, token: &CancellationToken) -> Result<(), Halt> {
        if sql.len() > limits::SQL_BYTES_MAX {
            return Err(Report::error(ErrorCode::ProgramLimitExceeded, "statement text is too long").into());
        }
        let statements = self.session.split(sql)?;
        if statements.is_empty() {
            self.out.empty(b'I');
        }
        if statements.len() > 1 {
            self.begin_block();
        }
        let mut from = 0;
        for statement in &statements {
            let at = place(sql, &mut from, statement.text(), statements.len());
            self.run_statement(statement, token).await.map_err(|halt| match halt {
                Halt::Statement(report) => Halt::Statement(report.shifted(at.and_then(|at| characters(sql, at)))),
                closing @ Halt::Connection(_) => closing,
            })?;
        }
        Ok(())
    }

    async fn run_statement(&mut self, statement: &Arc<dyn Statement>, token: &CancellationToken) -> Result<(), Halt> {
        let prepared = self.guard().run(token, self.session.prepare(statement, &[])).await?;
        if !prepared.parameter_types().is_empty() {
            return Err(Report::error(ErrorCode::UndefinedParameter, "there is no parameter $1").into());
        }
        let outcome = self.guard().run(token, self.session.run(&prepared, &[], Delivery::Batches)).await?;
        self.take_effects();
        match outcome {
            Outcome::Empty => self.out.empty(b'I'),
            Outcome::Command(tag) => self.complete(&tag, 0)?,
            Outcome::Rows(rows) => {
                check_width(&rows)?;
                self.out.row_description(&rows.columns, |_| Format::Text);
                let mut source = RowSource::new(rows, &[], Shape::DataRow)?;
                let progress = self.pump(&mut source, None, token).await?;
                self.take_effects();
                self.complete(&source.tag, progress.rows)?;
            }
            Outcome::Messages(rows) => {
                self.send_messages(&rows, token).await?;
            }
            Outcome::CopyOut(rows, options) => self.copy_out(rows, CopyStyle::new(&options), token).await?,
            Outcome::CopyIn(copy) => Box::pin(self.copy_in(&prepared, copy, token)).await?,
        }
        Ok(())
    }

    /// Writes CommandComplete with the number of rows sent, and what the statement changed for this connection.
    pub(crate) fn complete(&mut self, tag: &CommandTag, rows: u64) -> Result<(), Halt> {
        match tag {
            CommandTag::Counted(name) => self.out.command_counted(name, rows),
            CommandTag::Fixed(tag) => self.out.command_complete(tag),
        }
        Ok(())
    }
}

/// Bytes of `sql` before a statement that was cut out of it; `None` when it is not found there word for word.
fn place(sql: &str, from: &mut usize, statement: &str, statements: usize) -> Option<usize> {
    if statements == 1 && sql.len() == statement.len() {
        return Some(0);
    }
    let at = *from + sql.get(*from..)?.find(statement)?;
    *from = at + statement.len();
    Some(at)
}

/// The same in characters, as clients count.
fn characters(sql: &str, bytes: usize) -> Option<u32> {
    u32::try_from(sql.get(..bytes)?.chars().count()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_is_placed_in_its_text_in_characters() {
        let sql = "select 'ä'; select 1; select 1";
        let mut from = 0;
        let mut next = |statement| place(sql, &mut from, statement, 3).and_then(|at| characters(sql, at));
        assert_eq!(next("select 'ä'"), Some(0));
        assert_eq!(next("select 1"), Some(12));
        assert_eq!(next("select 1"), Some(22));
        assert_eq!(next("select 2"), None);
    }
}
