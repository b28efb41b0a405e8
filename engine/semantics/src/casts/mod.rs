//! Values from and to texts, and from type to type, as Postgres converts them. Know no plan.

pub(super) mod bits;
pub(super) mod conversions;
pub(super) mod display;
pub(super) mod flat_arrays;
pub(super) mod networks;
pub mod text;
pub(super) mod texts_read;
