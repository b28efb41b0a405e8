//! What one who follows changes may see of them: each row is judged by the follower's own policy as it is now, before and after the
//! change. Reads no log.

mod judge;
mod standing;
mod view;

pub(crate) use judge::{Judged, Judgement, judge};
pub(crate) use view::{KeyText, View, aligned};
