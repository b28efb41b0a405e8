//! What doors that speak HTTP share: a listener with bounds, an orderly end, counted attempts to log in, random tokens,
//! cookies, from where a request was sent, an icon, excerpts of texts, who asks through a proxy, a watch over what lets somebody in. Knows no route and no user.

#![warn(missing_docs)]
#![warn(clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests panic")
)]

mod attempts;
mod cookie;
mod excerpt;
mod icon;
mod listener;
mod meter;
mod origin;
mod proxies;
mod serve;
mod throttle;
mod tie;
mod token;
mod watch;

pub use attempts::{Attempt, Attempts};
pub use cookie::cookie;
pub use excerpt::excerpt;
pub use icon::{ICON_PATH, icon};
pub use listener::Peer;
pub use origin::comes_from_elsewhere;
pub use proxies::{Proxies, ProxyHeader};
pub use querygate_arrivals::Strangers;
pub use serve::{Bounds, serve};
pub use tie::Connection;
pub use token::{TokenHash, random_token};
pub use watch::over;
