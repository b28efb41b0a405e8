//! The routes of metadata: `/meta`, `/packages` and `/i18n`.

pub(crate) mod i18n;
pub(crate) mod items;
pub(crate) mod packages;
