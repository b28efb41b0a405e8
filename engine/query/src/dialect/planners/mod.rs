//! Planners of ours that DataFusion's binder calls, for literals, types and relations, and what they read array texts with.

pub(super) mod apart;
pub(super) mod array_items;
pub(super) mod array_text;
pub(super) mod blocks;
pub(super) mod literals;
pub(super) mod near;
pub(super) mod planned;
pub(super) mod subscripts;
pub(super) mod types;
