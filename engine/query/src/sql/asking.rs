//! Questions, which stand beside statements of SQL. Knows no plan.

use querygate_query_api::requests::question::{AnswerForm, Question};

/// A question as a class of statement.
#[derive(Debug)]
pub(crate) struct Asking {
    pub(crate) question: Question,
    pub(crate) form: AnswerForm,
}
