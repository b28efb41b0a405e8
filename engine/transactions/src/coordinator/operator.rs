//! What operators see of transactions that are not settled, and decide where the gate cannot.

use super::book::State;
use super::{Coordinator, no_room};
use crate::log::{Party, Step, Unwritten};
use querygate_driver_api::write::{Fate, GlobalId};
use querygate_types::{Error, ErrorCode, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// A transaction of several sources that is not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsettled {
    /// By which it is resolved.
    pub gid: String,
    /// `deciding`, `asking`, `committing`, `aborting`, `in doubt`, `without a log`.
    pub state: &'static str,
    /// Sources that have not done yet what is decided.
    pub participants: Vec<String>,
    /// `None`: it is not known.
    pub since: Option<SystemTime>,
    /// Why it was not settled, the last time that this was tried.
    pub error: Option<String>,
}

impl Coordinator {
    /// The name of a transaction: what the ids of all its parts begin with.
    pub(super) fn gid(&self, number: u64) -> String {
        format!("{}{number}", GlobalId::prefix(self.gate))
    }

    /// All transactions that are not settled.
    #[must_use]
    pub fn unsettled(&self) -> Vec<Unsettled> {
        let mut all = Vec::new();
        for (number, page) in self.book.pages() {
            let (state, last) = match page.state {
                State::Deciding => ("deciding", None),
                State::Asking(last) => ("asking", Some(last)),
                State::Settling(Fate::Committed) => ("committing", None),
                State::Settling(Fate::RolledBack) => ("aborting", None),
                State::InDoubt => ("in doubt", None),
            };
            let participants = last.into_iter().chain(page.parties).map(|party| party.source.to_string()).collect();
            let gid = self.gid(number);
            all.push(Unsettled { gid, state, participants, since: Some(page.since), error: page.error });
        }
        let mut strays: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for (source, id) in self.sweeps.strays().into_iter().filter(|(_, id)| !self.book.has(id.number)) {
            strays.entry(id.number).or_default().push(source.to_string());
        }
        let state = if self.log.get().is_some() { "aborting" } else { "without a log" };
        let stray =
            |(number, participants)| Unsettled { gid: self.gid(number), state, participants, since: None, error: None };
        all.extend(strays.into_iter().map(stray));
        all
    }

    /// Decides a transaction by an operator's word where its own decision is not to be had, and settles it. Sources that do not answer are
    /// given up where it was decided before. Says what was done.
    ///
    /// # Errors
    /// 42704: there is none. 55000: it was decided otherwise, or its session is at it. 53100: the log does not take it.
    pub async fn resolve(self: &Arc<Self>, gid: &str, fate: Fate) -> Result<String> {
        let missing = || Error::new(ErrorCode::UndefinedObject, "there is no such transaction that is not settled");
        let number =
            gid.strip_prefix(&GlobalId::prefix(self.gate)).and_then(|rest| rest.split('-').next()?.parse().ok());
        let number: u64 = number.ok_or_else(missing)?;
        let Some(page) = self.book.page(number) else {
            return self.resolve_strays(number, fate).await?.ok_or_else(missing);
        };
        let refused = |text: &str| Err(Error::new(ErrorCode::ObjectNotInPrerequisiteState, text));
        match page.state {
            State::Deciding => refused("the transaction is being decided by its session"),
            State::InDoubt => refused("the decision may be on disk: start the gate again"),
            State::Settling(decided) if decided != fate => refused("the transaction was decided otherwise"),
            State::Settling(_) => self.settle_or_give_up(number).await,
            State::Asking(last) => {
                let (parties, since_ms) = (page.parties, super::commit::now_ms());
                let step = match fate {
                    Fate::Committed => Step::Commit { parties, since_ms },
                    Fate::RolledBack => Step::Abort { parties, since_ms },
                };
                self.write(number, step)
                    .await
                    .map_err(|(Unwritten::Refused(why) | Unwritten::Unknown(why))| no_room().with_cause(why))?;
                tracing::warn!(transaction = gid, ?fate, source = %last.source, "an operator decided a transaction whose last source did not answer");
                self.book.change(number, |page| {
                    page.state = State::Settling(fate);
                    page.marker = None;
                });
                if self.book.take(number) {
                    Arc::clone(self).settle(number).await;
                }
                Ok(self.told(number))
            }
        }
    }

    /// Tries once more, and gives up sources that do not answer.
    async fn settle_or_give_up(self: &Arc<Self>, number: u64) -> Result<String> {
        if !self.book.take(number) {
            let text = "the transaction is being settled";
            return Err(Error::new(ErrorCode::ObjectNotInPrerequisiteState, text).with_hint("Try it once more."));
        }
        Arc::clone(self).settle(number).await;
        let Some(page) = self.book.page(number) else { return Ok("settled".to_owned()) };
        let given_up = names(&page.parties);
        tracing::error!(
            transaction = self.gid(number),
            sources = given_up,
            "an operator gave up sources of a transaction"
        );
        self.finish(number);
        Ok(format!("given up: {given_up}"))
    }

    fn told(&self, number: u64) -> String {
        match self.book.page(number) {
            None => "settled".to_owned(),
            Some(page) => format!("decided; waiting for {}", names(&page.parties)),
        }
    }

    /// What is prepared and in no log. `None`: there is no such thing.
    async fn resolve_strays(self: &Arc<Self>, number: u64, fate: Fate) -> Result<Option<String>> {
        let strays: Vec<_> = self.sweeps.strays().into_iter().filter(|(_, id)| id.number == number).collect();
        if strays.is_empty() {
            return Ok(None);
        }
        for (source, id) in strays {
            let Some(driver) = self.driver(&source) else { continue };
            tracing::warn!(transaction = %id, ?fate, %source, "an operator decided a transaction that is in no log");
            self.settle_at(driver, number, id.branch, fate).await?;
        }
        self.sweeps.hurry();
        self.wake.notify_one();
        Ok(Some("settled".to_owned()))
    }
}

fn names(parties: &[Party]) -> String {
    parties.iter().map(|party| party.source.as_ref()).collect::<Vec<_>>().join(", ")
}
