//! How the text of a configuration is read: tables and their keys, units, references to secrets, and mistakes with their place. Knows no
//! key by name.

pub(crate) mod diagnostic;
pub(super) mod secret;
pub(super) mod table;
pub(super) mod units;
