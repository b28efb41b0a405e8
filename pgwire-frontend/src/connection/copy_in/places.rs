//! In which lines of the client's data the rows are that were handed on: an error of one that is stored later than it was read says so.

use querygate_types::Error;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Batches whose lines are remembered: more than are ever on their way.
const BATCHES: usize = 8;

/// The lines of rows that may still turn out to be wrong.
#[derive(Debug, Clone)]
pub(super) struct Places {
    table: Arc<str>,
    lines: Arc<Mutex<Remembered>>,
}

#[derive(Debug, Default)]
struct Remembered {
    /// The row that the first remembered line is of.
    first: u64,
    batches: VecDeque<Vec<u64>>,
}

impl Places {
    pub(super) fn new(table: &str) -> Self {
        Self { table: table.into(), lines: Arc::default() }
    }

    /// Remembers the lines of a batch's rows.
    pub(super) fn remember(&self, lines: Vec<u64>) {
        let mut remembered = self.remembered();
        if remembered.batches.len() == BATCHES
            && let Some(gone) = remembered.batches.pop_front()
        {
            remembered.first += gone.len() as u64;
        }
        remembered.batches.push_back(lines);
    }

    /// An error with the line of the row that it is about.
    pub(super) fn told(&self, error: Error) -> Error {
        let remembered = self.remembered();
        let place = error.row().and_then(|row| usize::try_from(row.checked_sub(remembered.first)?).ok());
        let line = place.and_then(|place| remembered.batches.iter().flatten().nth(place));
        match line {
            Some(line) => error.with_context(format!("COPY {}, line {line}", self.table)),
            None => error,
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use querygate_types::ErrorCode;

    #[test]
    fn lines_are_known_of_the_last_rows() {
        let places = Places::new("t");
        let told = |row| {
            let error = Error::new(ErrorCode::CheckViolation, "no");
            places.told(error.with_row(row)).context().map(str::to_owned)
        };
        places.remember(vec![2, 3, 7]);
        assert_eq!(told(2).as_deref(), Some("COPY t, line 7"));
        assert_eq!(told(3), None);
        for batch in 0..BATCHES as u64 {
            places.remember(vec![10 * batch, 10 * batch + 1]);
        }
        assert_eq!(told(2), None);
        assert_eq!(told(4).as_deref(), Some("COPY t, line 1"));
        assert_eq!(places.told(Error::internal("x")).context(), None);
    }
}
