//! The highest autonumbers of a table's rows that were deleted. Those of rows that are there are found in them; together they are what
//! was ever given, so that none is given again.

use futures::future::BoxFuture;
use querygate_types::Result;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// Counters of one table whose floors are kept; beyond, those go that sort first, which are the oldest of dates. A format with a date or
/// a field has one for each of its values.
pub const FLOORS_MAX: usize = 10_000;
/// Bytes of a prefix that is kept.
const PREFIX_MAX: usize = 256;

/// A counter: the column of its field, and what comes before it in the texts.
pub type CounterName = (String, String);

/// Who keeps floors for longer than the process lives.
pub trait FloorKeeper: Send + Sync + fmt::Debug {
    /// Keeps floors that were raised.
    ///
    /// # Errors
    /// They may be lost: no row may go whose number they are of.
    fn keep<'a>(&'a self, raised: &'a BTreeMap<CounterName, u64>) -> BoxFuture<'a, Result<()>>;
}

/// The floors of one table's counters.
#[derive(Debug, Default)]
pub struct NumberFloors {
    floors: Mutex<BTreeMap<CounterName, u64>>,
    keeper: Option<Arc<dyn FloorKeeper>>,
}

impl NumberFloors {
    /// Floors that were kept, and who keeps those that are raised.
    #[must_use]
    pub fn kept(floors: BTreeMap<CounterName, u64>, keeper: Arc<dyn FloorKeeper>) -> Self {
        Self { floors: Mutex::new(floors), keeper: Some(keeper) }
    }

    /// The highest number of rows that are gone. 0: there is none.
    #[must_use]
    pub fn of(&self, column: &str, prefix: &str) -> u64 {
        let floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        floors.get(&(column.to_owned(), prefix.to_owned())).copied().unwrap_or(0)
    }

    /// Rows with these numbers are about to go. Should they stay after all, no number is lost: they have them still.
    ///
    /// # Errors
    /// The keeper's.
    pub async fn raise(&self, mut gone: BTreeMap<CounterName, u64>) -> Result<()> {
        gone.retain(|(column, prefix), last| prefix.len() <= PREFIX_MAX && self.of(column, prefix) < *last);
        if gone.is_empty() {
            return Ok(());
        }
        if let Some(keeper) = &self.keeper {
            keeper.keep(&gone).await?;
        }
        let mut floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        for (counter, last) in gone {
            let floor = floors.entry(counter).or_default();
            *floor = last.max(*floor);
        }
        while floors.len() > FLOORS_MAX {
            floors.pop_first();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use querygate_types::{Error, ErrorCode};

    #[derive(Debug, Default)]
    struct Kept {
        all: Mutex<Vec<BTreeMap<CounterName, u64>>>,
        is_full: bool,
    }

    impl FloorKeeper for Kept {
        fn keep<'a>(&'a self, raised: &'a BTreeMap<CounterName, u64>) -> BoxFuture<'a, Result<()>> {
            self.all.lock().unwrap().push(raised.clone());
            let kept = if self.is_full { Err(Error::new(ErrorCode::DiskFull, "full")) } else { Ok(()) };
            async move { kept }.boxed()
        }
    }

    fn gone(prefix: &str, last: u64) -> BTreeMap<CounterName, u64> {
        BTreeMap::from([(("number".to_owned(), prefix.to_owned()), last)])
    }

    #[tokio::test]
    async fn floors_rise_and_only_what_rose_is_kept() {
        let kept = Arc::<Kept>::default();
        let floors = NumberFloors::kept(gone("T-", 5), Arc::<Kept>::clone(&kept));
        floors.raise(gone("T-", 5)).await.unwrap();
        assert!(kept.all.lock().unwrap().is_empty(), "it is known");
        floors.raise(gone("T-", 9)).await.unwrap();
        floors.raise(gone("T-", 7)).await.unwrap();
        floors.raise(gone(&"x".repeat(1_000), 7)).await.unwrap();
        assert_eq!(*kept.all.lock().unwrap(), [gone("T-", 9)]);
        assert_eq!((floors.of("number", "T-"), floors.of("number", "U-"), floors.of("other", "T-")), (9, 0, 0));
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_refused() {
        let floors = NumberFloors::kept(BTreeMap::new(), Arc::new(Kept { is_full: true, ..Kept::default() }));
        assert_eq!(floors.raise(gone("T-", 9)).await.unwrap_err().code(), ErrorCode::DiskFull);
        assert_eq!(floors.of("number", "T-"), 0);
    }

    #[tokio::test]
    async fn few_floors_are_kept_and_the_latest_dates_among_them() {
        let floors = NumberFloors::default();
        for day in 0..FLOORS_MAX + 10 {
            floors.raise(gone(&format!("{day:08}-"), 3)).await.unwrap();
        }
        assert_eq!(floors.of("number", "00000009-"), 0);
        assert_eq!(floors.of("number", &format!("{:08}-", FLOORS_MAX + 9)), 3);
    }
}
