//! Savepoints of a transaction that its driver holds itself: which are set, and what each goes back to.

use querygate_types::{Error, ErrorCode, Result};

/// Savepoints that are set, the oldest first, each with a mark of what was done before it.
#[derive(Debug)]
pub struct Savepoints<M>(Vec<(u32, M)>);

impl<M> Default for Savepoints<M> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<M: Copy> Savepoints<M> {
    /// Sets one.
    pub fn set(&mut self, id: u32, mark: M) {
        self.0.push((id, mark));
    }

    /// The mark to go back to. The savepoint stays; those set after it are gone.
    ///
    /// # Errors
    /// 3B001: it is not set.
    pub fn back_to(&mut self, id: u32) -> Result<M> {
        let (place, mark) = self.find(id)?;
        self.0.truncate(place + 1);
        Ok(mark)
    }

    /// Takes one away, and those set after it.
    ///
    /// # Errors
    /// As [`Savepoints::back_to`].
    pub fn release(&mut self, id: u32) -> Result<()> {
        let (place, _) = self.find(id)?;
        self.0.truncate(place);
        Ok(())
    }

    /// Of several with one id, the latest.
    fn find(&self, id: u32) -> Result<(usize, M)> {
        let found = self.0.iter().enumerate().rev().find(|(_, (own, _))| *own == id);
        found
            .map(|(place, (_, mark))| (place, *mark))
            .ok_or_else(|| Error::new(ErrorCode::UndefinedSavepoint, "savepoint does not exist"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_back_keeps_a_savepoint_and_releasing_takes_it_away() {
        let mut savepoints = Savepoints::default();
        for (id, mark) in [(1, "a"), (2, "b"), (3, "c")] {
            savepoints.set(id, mark);
        }
        assert_eq!(savepoints.back_to(2).unwrap(), "b");
        assert_eq!(savepoints.back_to(2).unwrap(), "b", "it stays");
        assert_eq!(savepoints.back_to(3).unwrap_err().code(), ErrorCode::UndefinedSavepoint);
        savepoints.set(1, "d");
        assert_eq!(savepoints.back_to(1).unwrap(), "d", "the latest of two");
        savepoints.release(2).unwrap();
        assert_eq!(savepoints.release(2).unwrap_err().code(), ErrorCode::UndefinedSavepoint);
        assert_eq!(savepoints.back_to(1).unwrap(), "a", "the later one is gone with the second");
    }
}
