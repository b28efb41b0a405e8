//! Statements of a user that are over and compute on: a call that does not ask hears neither a timeout nor a cancel. Until they end,
//! their user begins no further one. Knows no turn.

use crate::run::interrupt::Interrupt;
use querygate_resources::measured::Ledger;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// What a statement may take to end, once it is over.
const GRACE: Duration = Duration::from_millis(100);
/// Between two looks of one who waits.
const LOOKS: Duration = Duration::from_millis(10);

/// Statements of one user.
#[derive(Debug, Default)]
pub(crate) struct RunningStatements {
    statements: Mutex<Vec<RunningStatement>>,
    /// Whether there may be one: look-ups ask no more than this.
    any: AtomicBool,
}

#[derive(Debug)]
struct RunningStatement {
    interrupt: Interrupt,
    /// Held by all threads and tasks that compute for it.
    work: Weak<Ledger>,
    /// When it was seen to be over for the first time.
    over: Option<Instant>,
}

impl RunningStatements {
    fn statements(&self) -> MutexGuard<'_, Vec<RunningStatement>> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A statement begins.
    pub(crate) fn begin(&self, interrupt: &Interrupt, work: &Arc<Ledger>) {
        let mut statements = self.statements();
        statements.retain(|statement| statement.work.strong_count() > 0);
        statements.push(RunningStatement { interrupt: interrupt.clone(), work: Arc::downgrade(work), over: None });
        self.any.store(true, Ordering::Relaxed);
    }

    /// Whether one is over and computes on.
    pub(crate) fn lingers(&self) -> bool {
        self.any.load(Ordering::Relaxed) && self.lingers_at(Instant::now())
    }

    fn lingers_at(&self, now: Instant) -> bool {
        let mut statements = self.statements();
        statements.retain(|statement| statement.work.strong_count() > 0);
        self.any.store(!statements.is_empty(), Ordering::Relaxed);
        let over = statements.iter_mut().filter(|statement| statement.interrupt.is_over(now));
        over.fold(false, |lingers, statement| {
            lingers | (now.duration_since(*statement.over.get_or_insert(now)) >= GRACE)
        })
    }

    /// Waits until none does.
    pub(crate) async fn ended(&self) {
        while self.lingers() {
            tokio::time::sleep(LOOKS).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::measured_memory::ledger;
    use crate::run::memory::Accounts;
    use tokio_util::sync::CancellationToken;

    fn work() -> Arc<Ledger> {
        ledger(&Accounts::new(1 << 20, 1 << 20).user("ada"), &CancellationToken::new())
    }

    #[tokio::test]
    async fn a_statement_that_is_over_and_computes_on_keeps_its_user_waiting() {
        let (statements, running, now) = (RunningStatements::default(), work(), Instant::now());
        let interrupt = Interrupt::new(CancellationToken::new(), None);
        statements.begin(&interrupt, &running);
        statements.begin(&Interrupt::new(CancellationToken::new(), Some(now)), &work());
        assert!(
            !statements.lingers_at(now + GRACE) && !statements.lingers_at(now + 2 * GRACE),
            "one runs, and one has ended"
        );
        interrupt.token().cancel();
        assert!(!statements.lingers_at(now), "it may be about to end");
        assert!(statements.lingers_at(now + GRACE));
        tokio::time::sleep(GRACE).await;
        assert!(tokio::time::timeout(GRACE, statements.ended()).await.is_err());
        drop(running);
        statements.ended().await;
        assert!(!statements.any.load(Ordering::Relaxed));
    }

    #[test]
    fn a_deadline_ends_statements_as_well() {
        let (statements, running, now) = (RunningStatements::default(), work(), Instant::now());
        statements.begin(&Interrupt::new(CancellationToken::new(), Some(now + GRACE)), &running);
        let lingers = [0, 1, 2].map(|graces| statements.lingers_at(now + GRACE * graces));
        assert_eq!(lingers, [false, false, true]);
    }
}
