//! Fragments into pipelines: what is refused, and the stages of the rest. Asks no server.

pub(crate) mod aggregate;
pub(crate) mod arithmetic;
pub(crate) mod capabilities;
pub(crate) mod compiler;
pub(crate) mod expression;
pub(crate) mod functions;
pub(crate) mod matching;
pub(crate) mod order;
