//! When the answer to a question may be another than it was. Says nothing of what it is: that is asked for.

use futures::stream::BoxStream;
use querygate_types::Result;

/// A question whose answer is kept up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tracking {
    /// The object that is asked, by its name in metadata.
    pub object: String,
    /// Other objects whose records are in the answer.
    pub related: Vec<String>,
    /// Whether it is enough to hear of those changes that the gate keeps: the caller looks again by itself for what it does not hear of.
    pub is_partial: bool,
}

/// What to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stale {
    /// Records of the object with these keys, and no others. They are raw, and may be of records that the principal does not see: they are
    /// for asking, and nothing of them goes to a client.
    Keys(Vec<String>),
    /// Everything.
    All,
}

/// What to ask again, as changes are committed and as rights change. A slow caller is given more at once.
pub type StaleStream = BoxStream<'static, Result<Stale>>;
