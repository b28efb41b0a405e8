//! Tables and views of one session: made, changed and read by it alone, gone with it, never written to a source. A change is an
//! ordinary query that finds rows or makes new ones; what it gives is put in place at once, when all of it is there. Decides nothing
//! about other tables.

pub(crate) mod change;
pub(crate) mod changed_table;
pub(crate) mod definition;
pub(crate) mod tables;
