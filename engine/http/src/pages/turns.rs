//! How many pages are made at once, in all and for one login. Knows no page.

use querygate_types::{Error, ErrorCode, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Pages made at once; each runs statements.
const ALL: usize = 8;
/// Of those, for one login: whoever reloads a slow page leaves turns to the others.
const PER_LOGIN: usize = 2;
/// How long a page waits for its turn.
const WAIT: Duration = Duration::from_secs(5);

/// Turns to make a page.
#[derive(Debug)]
pub(crate) struct Turns {
    all: Arc<Semaphore>,
    /// Of the logins that make or want pages now.
    own: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// A turn; it ends when dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL)), own: Mutex::default() }
    }
}

impl Turns {
    /// Waits for a turn of a login.
    ///
    /// # Errors
    /// None came free in time.
    pub(crate) async fn take(&self, login: &str) -> Result<Turn> {
        self.within(login, WAIT).await
    }

    async fn within(&self, login: &str, wait: Duration) -> Result<Turn> {
        let own = self.own(login);
        let taken = tokio::time::timeout(wait, async {
            // The own one first: who waits for it keeps none of the common ones.
            let own = own.acquire_owned().await?;
            let all = Arc::clone(&self.all).acquire_owned().await?;
            Ok::<_, tokio::sync::AcquireError>(Turn { _own: own, _all: all })
        });
        let busy = || Error::new(ErrorCode::TooManyQueries, "too many pages are being made");
        taken.await.map_err(|_| busy())?.map_err(Error::internal)
    }

    fn own(&self, login: &str) -> Arc<Semaphore> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        // Permits and those who wait for one hold their semaphore too.
        own.retain(|_, turns| Arc::strong_count(turns) > 1);
        Arc::clone(own.entry(login.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(PER_LOGIN))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_login_leaves_turns_to_the_others_and_all_have_a_bound() {
        let (turns, none) = (Turns::default(), Duration::ZERO);
        let mut taken = vec![turns.within("a", none).await.unwrap(), turns.within("a", none).await.unwrap()];
        assert_eq!(turns.within("a", none).await.unwrap_err().code(), ErrorCode::TooManyQueries);
        for login in ["b", "b", "c", "c", "d", "d"] {
            taken.push(turns.within(login, none).await.unwrap());
        }
        assert!(turns.within("e", none).await.is_err());
        taken.remove(0);
        taken.push(turns.within("e", none).await.unwrap());
        drop(taken);
        turns.within("a", none).await.unwrap();
        assert_eq!(turns.own.lock().unwrap().len(), 1, "logins without a page are forgotten");
    }
}
