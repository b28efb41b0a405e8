//! Statements that run from their class alone: which does what, and those about settings and transactions.

use super::text::{text_column, text_rows};
use crate::session::gate_session::{GateSession, Inner};
use crate::session::statements::prepared::PreparedStatement;
use crate::settings::list::Settings;
use crate::settings::zone;
use crate::sql::classify::{Classified, Modes};
use arrow::array::ArrayRef;
use datafusion::sql::sqlparser::ast::{DiscardObject, Expr, UnaryOperator, Value};
use querygate_query_api::column::Column;
use querygate_query_api::outcome::{CommandTag, Effect, Notice, Outcome};
use querygate_query_api::service::TransactionStatus;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

impl GateSession {
    /// Columns of a command that returns rows.
    pub(in crate::session) fn command_columns(&self, class: &Classified) -> Result<Option<Arc<[Column]>>> {
        match class {
            Classified::Show(name) if name.eq_ignore_ascii_case("all") => {
                Ok(Some(["name", "setting", "description"].map(text_column).to_vec().into()))
            }
            Classified::Show(name) => Ok(Some(vec![text_column(&self.inner().settings.canonical(name)?)].into())),
            Classified::Fetch { name, .. } => self.cursor_columns(name).map(Some),
            Classified::Call { .. } => Ok(Some(vec![text_column(super::call::ANSWER)].into())),
            Classified::Execute { name, .. } => Ok(self.named(name)?.columns().map(Into::into)),
            Classified::Query(_)
            | Classified::Question(_)
            | Classified::RecordChange
            | Classified::Write(_)
            | Classified::Temporary(_)
            | Classified::Locking { .. }
            | Classified::Explain { .. }
            | Classified::CopyIn(_)
            | Classified::CopyOut { .. }
            | Classified::Set { .. }
            | Classified::Reset(_)
            | Classified::Begin { .. }
            | Classified::SetTransaction { .. }
            | Classified::Commit
            | Classified::Rollback
            | Classified::Savepoint(_)
            | Classified::RollbackTo(_)
            | Classified::Release(_)
            | Classified::Declare { .. }
            | Classified::Move { .. }
            | Classified::Close(_)
            | Classified::Prepare { .. }
            | Classified::Deallocate(_)
            | Classified::Discard(_)
            | Classified::Listen(_)
            | Classified::Unlisten(_)
            | Classified::Lock(_) => Ok(None),
        }
    }

    pub(in crate::session) async fn run_command(
        &self,
        prepared: &PreparedStatement,
        class: &Classified,
        _parameters: &[ArrayRef],
    ) -> Result<Outcome> {
        match class {
            Classified::Set { name, values, local } => self.set(name, values, *local),
            Classified::Reset(name) => self.reset(name.as_deref()),
            Classified::Show(name) => self.show(name),
            Classified::Begin { start, modes } => self.begin(*start, *modes),
            Classified::SetTransaction { modes, session } => self.set_transaction(*modes, *session),
            Classified::Commit => self.commit().await,
            Classified::Rollback => Ok(self.rollback().await),
            Classified::Savepoint(name) => self.savepoint(name).await.map(|()| done("SAVEPOINT")),
            Classified::RollbackTo(name) => self.rollback_to(name).await.map(|()| done("ROLLBACK")),
            Classified::Release(name) => self.release(name).await.map(|()| done("RELEASE")),
            Classified::Fetch { name, walk } => self.fetch(name, *walk).await,
            Classified::Move { name, walk } => self.skip(name, *walk).await,
            Classified::Close(name) => self.close_cursor(name.as_deref()),
            Classified::Prepare { name, types, statement } => {
                self.prepare_named(prepared, name, types, statement).await
            }
            Classified::Execute { name, arguments } => self.execute_named(prepared, name, arguments).await,
            Classified::Deallocate(name) => self.deallocate(name.as_deref()),
            Classified::Discard(object) => self.discard(object),
            Classified::Call { name, arguments } => self.call(prepared, name, arguments).await,
            Classified::Lock(tables) => self.lock(tables).await,
            Classified::Listen(channel) => {
                self.listen(channel).await?;
                Ok(done("LISTEN"))
            }
            Classified::Unlisten(channel) => {
                self.listening.end(channel.as_deref());
                Ok(done("UNLISTEN"))
            }
            Classified::Explain { style, statement } => self.explain_named(prepared, *style, statement).await,
            Classified::Query(_)
            | Classified::Question(_)
            | Classified::RecordChange
            | Classified::Write(_)
            | Classified::Temporary(_)
            | Classified::CopyIn(_)
            | Classified::Locking { .. }
            | Classified::Declare { .. }
            | Classified::CopyOut { .. } => Err(Error::internal("a query was run as a command")),
        }
    }

    fn set(&self, name: &str, values: &[Expr], local: bool) -> Result<Outcome> {
        let inner = &mut *self.inner();
        if let [Expr::Identifier(ident)] = values
            && ident.quote_style.is_none()
            && ident.value.eq_ignore_ascii_case("default")
        {
            if local && !inner.transaction.is_open() {
                Settings::check_name(name)?;
                return Ok(inner.nothing_to_be_local_to());
            }
            inner.admits_setting(name, None)?;
            let (name, value, reported) = inner.settings.reset(name)?;
            if !local {
                inner.transaction.keep(|kept| {
                    let _ = kept.reset(&name);
                });
            }
            inner.report(&name, value, reported);
            return Ok(done("SET"));
        }
        let text = setting_text(name, values)?;
        if local && !inner.transaction.is_open() {
            Settings::check(name, &text)?;
            return Ok(inner.nothing_to_be_local_to());
        }
        inner.admits_setting(name, Some(&text))?;
        let (canonical, value, reported) = inner.settings.set(name, &text)?;
        if !local {
            inner.transaction.keep(|kept| {
                let _ = kept.set(&canonical, &text);
            });
        }
        inner.report(&canonical, value, reported);
        Ok(done("SET"))
    }

    fn reset(&self, name: Option<&str>) -> Result<Outcome> {
        let inner = &mut *self.inner();
        match name {
            Some(name) => {
                inner.admits_setting(name, None)?;
                let (canonical, value, reported) = inner.settings.reset(name)?;
                inner.transaction.keep(|kept| {
                    let _ = kept.reset(&canonical);
                });
                inner.report(&canonical, value, reported);
            }
            None => inner.reset_all(),
        }
        Ok(done("RESET"))
    }

    fn show(&self, name: &str) -> Result<Outcome> {
        let inner = self.inner();
        if name.eq_ignore_ascii_case("all") {
            let all = inner.settings.all();
            let columns = [
                all.iter().map(|row| row.name.to_owned()).collect(),
                all.iter().map(|row| row.value.clone()).collect(),
                all.iter().map(|row| row.help.to_owned()).collect(),
            ];
            return text_rows(&["name", "setting", "description"], columns.to_vec(), "SHOW");
        }
        let value = inner.settings.get(name)?;
        let shown = inner.settings.canonical(name)?;
        text_rows(&[shown.as_ref()], vec![vec![value]], "SHOW")
    }

    fn begin(&self, start: bool, modes: Modes) -> Result<Outcome> {
        self.admits_mode(modes.read_only)?;
        let inner = &mut *self.inner();
        if !inner.transaction.begin(&inner.settings) {
            inner.effects.push(Effect::Notice(warning("25001", "there is already a transaction in progress")));
        }
        inner.characterize(modes)?;
        Ok(done(if start { "START TRANSACTION" } else { "BEGIN" }))
    }

    fn set_transaction(&self, modes: Modes, session: bool) -> Result<Outcome> {
        self.admits_mode(modes.read_only)?;
        let inner = &mut *self.inner();
        if session {
            if let Some(level) = modes.isolation {
                inner.settings.set("default_transaction_isolation", level)?;
                inner.transaction.keep(|kept| {
                    let _ = kept.set("default_transaction_isolation", level);
                });
            }
        } else if inner.transaction.is_open() {
            inner.characterize(modes)?;
        } else {
            let text = "SET TRANSACTION can only be used in transaction blocks";
            inner.effects.push(Effect::Notice(warning("25P01", text)));
        }
        Ok(done("SET"))
    }

    async fn commit(&self) -> Result<Outcome> {
        let stored = if self.inner().transaction.status() == TransactionStatus::Failed {
            self.drop_block().await;
            Ok(())
        } else {
            self.commit_block().await
        };
        if let Err(error) = stored {
            self.rollback().await;
            return Err(error);
        }
        self.locks.end_transaction();
        let inner = &mut *self.inner();
        let ended = inner.transaction.commit();
        self.temporary.end(ended.as_ref().is_none_or(|(_, committed)| *committed));
        let Some((settings, committed)) = ended else {
            inner.end_cursors(true);
            inner.effects.push(Effect::Notice(warning("25P01", "there is no transaction in progress")));
            return Ok(done("COMMIT"));
        };
        inner.restore(settings);
        inner.end_cursors(committed);
        Ok(done(if committed { "COMMIT" } else { "ROLLBACK" }))
    }

    async fn rollback(&self) -> Outcome {
        self.drop_block().await;
        self.locks.end_transaction();
        self.temporary.end(false);
        let inner = &mut *self.inner();
        inner.end_cursors(false);
        match inner.transaction.rollback() {
            Some(settings) => inner.restore(settings),
            None => inner.effects.push(Effect::Notice(warning("25P01", "there is no transaction in progress"))),
        }
        done("ROLLBACK")
    }

    fn discard(&self, object: &DiscardObject) -> Result<Outcome> {
        let inner = &mut *self.inner();
        let tag = match object {
            DiscardObject::ALL if inner.transaction.is_open() => {
                let text = "DISCARD ALL cannot run inside a transaction block";
                return Err(Error::new(ErrorCode::ActiveTransaction, text));
            }
            DiscardObject::ALL => {
                inner.reset_all();
                inner.cursors.clear();
                inner.forget_statements();
                self.listening.end(None);
                self.temporary.remove(|_| true, false);
                "DISCARD ALL"
            }
            DiscardObject::PLANS => "DISCARD PLANS",
            DiscardObject::SEQUENCES => "DISCARD SEQUENCES",
            DiscardObject::TEMP => {
                self.temporary.remove(|_| true, inner.transaction.holds_together());
                "DISCARD TEMP"
            }
        };
        Ok(done(tag))
    }
}

impl Inner {
    fn nothing_to_be_local_to(&mut self) -> Outcome {
        self.effects.push(Effect::Notice(warning("25P01", "SET LOCAL can only be used in transaction blocks")));
        done("SET")
    }

    /// What holds for the open transaction only.
    fn characterize(&mut self, modes: Modes) -> Result<()> {
        if let Some(level) = modes.isolation {
            self.admits_setting("transaction_isolation", Some(level))?;
            self.settings.set("transaction_isolation", level)?;
        }
        if modes.read_only == Some(true) {
            self.settings.set("transaction_read_only", "on")?;
            self.transaction.set_read_only();
        }
        Ok(())
    }

    fn report(&mut self, name: &str, value: String, reported: bool) {
        if reported {
            self.effects.push(Effect::ParameterStatus { name: name.to_owned(), value });
        }
    }

    /// Drops every prepared statement, and tells the door.
    pub(super) fn forget_statements(&mut self) {
        let names: Vec<String> = self.prepared.drain().map(|(name, _)| name).collect();
        self.deallocated.extend(names);
    }

    fn reset_all(&mut self) {
        for (name, value) in self.settings.reset_all() {
            self.effects.push(Effect::ParameterStatus { name: name.to_owned(), value });
        }
        self.transaction.keep(|kept| {
            kept.reset_all();
        });
    }

    /// Puts settings back and tells the client what changed by that.
    pub(in crate::session) fn restore(&mut self, settings: Settings) {
        let before = self.settings.reported();
        self.settings.back_to(settings);
        for ((name, old), (_, new)) in before.into_iter().zip(self.settings.reported()) {
            if old != new {
                self.effects.push(Effect::ParameterStatus { name, value: new });
            }
        }
    }
}

/// The value of a SET as text; several values are a list.
fn setting_text(name: &str, values: &[Expr]) -> Result<String> {
    let is_custom = Settings::is_custom(name);
    if is_custom && values.len() > 1 {
        return Err(Error::new(ErrorCode::InvalidParameterValue, format!("SET {name} takes only one argument")));
    }
    let one = |value: &Expr| match value {
        Expr::Value(v) => match &v.value {
            Value::SingleQuotedString(s) | Value::DoubleQuotedString(s) => Ok(s.clone()),
            Value::Number(n, _) => Ok(n.clone()),
            Value::Boolean(b) if is_custom => Ok(b.to_string()),
            Value::Boolean(b) => Ok(if *b { "on" } else { "off" }.to_owned()),
            _ => Err(bad_value()),
        },
        Expr::Identifier(ident) => Ok(ident.value.clone()),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => Ok(format!("-{expr}")),
        Expr::Interval(interval) => match interval.value.as_ref() {
            Expr::Value(v) => v.clone().into_string().and_then(|t| zone::interval_hours(&t)).ok_or_else(bad_value),
            _ => Err(bad_value()),
        },
        _ => Err(bad_value()),
    };
    let parts = values.iter().map(one).collect::<Result<Vec<_>>>()?;
    if parts.is_empty() { Err(bad_value()) } else { Ok(parts.join(", ")) }
}

fn bad_value() -> Error {
    Error::new(ErrorCode::SyntaxError, "SET takes a constant")
}

fn warning(sqlstate: &str, message: &str) -> Notice {
    Notice { severity: "WARNING", sqlstate: sqlstate.to_owned(), message: message.to_owned(), hint: None }
}

pub(super) fn done(tag: &str) -> Outcome {
    Outcome::Command(CommandTag::Fixed(tag.to_owned()))
}
