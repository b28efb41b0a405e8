//! Answers of questions, from asking to rows.

use crate::outcome::{Outcome, Rows};
use crate::requests::question::{AnswerColumn, AnswerForm, Question};
use crate::service::{Delivery, Session};
use querygate_types::{Error, Result};
use std::sync::Arc;

/// All rows of a question's answer.
///
/// # Errors
/// Those of binding and of running it.
pub async fn ask_and_run(session: &dyn Session, question: &Question) -> Result<(Arc<[AnswerColumn]>, Rows)> {
    let asked = session.ask(question, AnswerForm::Records).await?;
    match session.run(&asked.prepared, &asked.parameters, Delivery::Batches).await? {
        Outcome::Rows(rows) => Ok((asked.columns, rows)),
        Outcome::Empty | Outcome::Command(_) | Outcome::Messages(_) | Outcome::CopyOut(..) | Outcome::CopyIn(_) => {
            Err(Error::internal("a question gave no rows"))
        }
    }
}
