//! One source's estimates of rows: the corrector in use, its successor, and which of the two is better on the latest runs.

use super::ran::Ran;
use querygate_models::cardinality::{Corrector, Judgement, Observation, Options};

const HELD_OUT: usize = 5;

/// What training made.
#[derive(Debug)]
pub(super) struct Challenge {
    /// `None`: the source's estimates, or the old corrector, are as good.
    pub(super) corrector: Option<Corrector>,
    pub(super) judgement: Judgement,
    pub(super) runs: usize,
}

/// Trains on the older runs and judges on the latest; `None` with too few. `champion` was trained before.
pub(super) fn challenge(runs: &[Ran], champion: Option<&Corrector>, seed: u64) -> Option<Challenge> {
    let observations: Vec<Observation> = runs.iter().filter_map(Ran::observation).collect();
    let (older, latest) = observations.split_at(observations.len() - observations.len() / HELD_OUT);
    let options = Options { folds: 0, seed, ..Options::default() };
    let corrector = Corrector::train(older, &options)?;
    let judgement = corrector.judge(latest)?;
    let beats = champion.and_then(|old| old.judge(latest)).is_none_or(|old| judgement.corrected[1] <= old.corrected[1]);
    let corrector = (judgement.is_better() && beats).then_some(corrector);
    Some(Challenge { corrector, judgement, runs: latest.len() })
}

#[cfg(test)]
mod tests {
    use super::super::ran::sample;
    use super::*;

    #[test]
    fn estimates_that_are_wrong_in_the_same_way_are_corrected() {
        let run = |at: u64| {
            let (tables, rows) = (1 + usize::from(at.is_multiple_of(2)), 10.0 + (at % 40) as f64 * 25.0);
            let estimate = if tables == 2 { rows / 50.0 } else { rows };
            sample(at % 8, tables, estimate.max(1.0), rows, 0.01, at as f64)
        };
        let runs: Vec<Ran> = (0..600).map(run).collect();
        let found = challenge(&runs, None, 0).unwrap();
        assert!(found.judgement.source[1] > 20.0 && found.judgement.corrected[1] < 5.0, "{:?}", found.judgement);
        assert!(found.corrector.is_some());
        assert!(challenge(&runs[..20], None, 0).is_none());
    }
}
