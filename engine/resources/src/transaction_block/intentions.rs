//! What the parts of a block are about to store, written down for those who follow changes before it is stored, and what became of it.

use super::branches::Branch;
use querygate_driver_api::write::{Capture, Fate, Intended, Intention};
use querygate_types::{ErrorCode, Result};
use std::sync::Arc;

/// Writes down what each part is about to store, as far as it is followed.
///
/// # Errors
/// 53100: it cannot be written down. Those before it are known to be rolled back.
pub(super) async fn intended(open: &mut [Branch]) -> Result<Vec<Box<dyn Intended>>> {
    let mut all = Vec::new();
    if open.iter().any(|branch| branch.transaction.has_failed()) {
        return Ok(all);
    }
    for Branch { source, transaction, .. } in open {
        let Some((capture, changes)) = transaction.take_changed() else { continue };
        let Capture { journal, actor, door, .. } = capture;
        let intention = Intention { source: Arc::clone(source), actor, door, mark: transaction.mark(), changes };
        match journal.intend(intention, transaction).await {
            Ok(intended) => all.push(intended),
            Err(error) => {
                all.into_iter().for_each(|intended| intended.settle(Some(Fate::RolledBack)));
                return Err(error);
            }
        }
    }
    Ok(all)
}

/// Writes down what became of all parts by the answer to their commit: they are stored together, or none is.
pub(super) fn settle(intentions: Vec<Box<dyn Intended>>, committed: &Result<()>) {
    let fate = match committed {
        Ok(()) => Some(Fate::Committed),
        Err(error) if error.code() == ErrorCode::TransactionOutcomeUnknown => None,
        Err(_) => Some(Fate::RolledBack),
    };
    intentions.into_iter().for_each(|intended| intended.settle(fate));
}
