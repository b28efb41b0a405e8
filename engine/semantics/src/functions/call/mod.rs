//! A call of a function of the tables: the forms that it has, the arguments and the result of a row, and how DataFusion makes it.

pub(super) mod form;
pub(super) mod invoke;
mod results;
pub(super) mod row;
