//! Subqueries of a bound plan: as joins where they are memberships, by the apply operator where DataFusion cannot unnest them,
//! refused where their aggregates belong to an enclosing query or they read what its groups have lost.

pub(crate) mod apply;
pub(super) mod memberships;
pub(super) mod null_memberships;
pub(super) mod outer_aggregates;
pub(super) mod own_relations;
pub(super) mod set_keys;
pub(super) mod ungrouped;
