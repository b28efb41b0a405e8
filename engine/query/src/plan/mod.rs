//! From a bound plan to one that runs: its variants, its parts, and what EXPLAIN shows of it. Starts nothing.

pub(crate) mod executable;
pub(crate) mod figures;
pub(crate) mod part_name;
pub(crate) mod parts;
pub(crate) mod planning;
pub(crate) mod receipts;
pub(crate) mod renew;
pub(crate) mod rule_trace;
pub(crate) mod template;
pub(crate) mod variant;
