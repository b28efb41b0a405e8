//! Answers what scripts of one statement ask for, in the task of the statement, which holds its transaction.

use super::platform::{Ask, Reply};
use super::records::{Asker, HookRecords, Lender, Records};
use super::time_bound::TimeBound;
use querygate_types::{Error, ErrorCode, Result};
use std::sync::Arc;

/// Where calls of `ctx.api` are answered.
pub(super) struct CallAnswers<'t> {
    /// `None`: nowhere.
    pub(super) records: Option<Arc<HookRecords>>,
    /// The transaction of the change; `None`: what hooks change is a transaction of its own.
    pub(super) lender: Option<Lender<'t>>,
    pub(super) until: TimeBound,
    /// Of the run that goes on.
    pub(super) open: Option<Box<dyn Records>>,
}

impl CallAnswers<'_> {
    pub(super) async fn serve(&mut self, ask: Ask) {
        match ask {
            Ask::Call { asker, call, end, reply } => {
                let until = self.until.before(end);
                let answer = match self.opened(asker) {
                    Ok(()) => {
                        let lender = lent(&mut self.lender);
                        match &mut self.open {
                            Some(records) => records.answer(*call, lender, &until).await,
                            None => Err(Error::internal("a hook asked where nothing is answered")),
                        }
                    }
                    Err(error) => Err(error),
                };
                self.resume();
                // A script that is gone hears nothing.
                let _ = reply.send(self.reply(answer));
            }
            Ask::End { keeps, reply } => {
                let closed = match self.open.take() {
                    Some(mut records) => records.close(keeps, lent(&mut self.lender)).await,
                    None => Ok(()),
                };
                self.resume();
                let _ = reply.send(closed);
            }
        }
    }

    fn opened(&mut self, asker: Asker) -> Result<()> {
        if self.open.is_none() {
            let text = "records are not served to this hook";
            let records = self.records.as_ref().ok_or_else(|| Error::new(ErrorCode::FeatureNotSupported, text))?;
            self.open = Some(records.0.open(asker)?);
        }
        Ok(())
    }

    /// Hooks of what hooks changed had their own.
    fn resume(&mut self) {
        if let Some(lender) = &mut self.lender {
            lender.transaction.accompany(HookRecords::companion(self.records.as_ref()));
        }
    }

    fn reply(&self, answer: Result<serde_json::Value>) -> Reply {
        if let Err(over) = self.until.goes_on() {
            return Reply::Stop(over);
        }
        let is_broken = self.open.as_ref().is_some_and(|records| records.is_broken());
        let has_failed = is_broken || self.lender.as_ref().is_some_and(|lender| lender.transaction.has_failed());
        match answer {
            Ok(value) if !has_failed => Reply::Answer(value),
            Err(error) if !has_failed => Reply::Refused(error),
            Ok(_) => Reply::Stop(Error::internal("a transaction has failed in a call that did not")),
            Err(error) => Reply::Stop(error),
        }
    }
}

fn lent<'a>(lender: &'a mut Option<Lender<'_>>) -> Option<Lender<'a>> {
    let Lender { source, driver, transaction } = lender.as_mut()?;
    Some(Lender { source, driver, transaction })
}
