//! Models of each source: how long fragments take, how many rows they give. Trained in the background from what ran, judged on the
//! latest runs before they replace the old ones. The models themselves are in `querygate-models`.

mod cardinality;
mod latency;
mod plugin;
mod ran;
mod source;

pub(crate) use plugin::Models;
