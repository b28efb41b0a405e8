//! Who sends requests: what is known of a sender, sessions that passwords open, how often somebody may ask. Knows no route.

mod rates;
mod sender;
mod sessions;

pub(crate) use rates::Rates;
pub(crate) use sender::{Identity, Sender, over};
pub(crate) use sessions::{Sessions, SignedIn};
