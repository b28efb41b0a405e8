//! Whether a template's executions may leave the default, and for which alternative. Knows measured ratios only.

use super::student::student;

/// What a statement of the template took under the alternatives.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// Where it lies on a logarithmic scale along which alternatives may change sides: the logarithm of its default time, or of
    /// its estimated rows.
    pub band: f64,
    /// Statements that differ in more than literals' magnitude (another shape of the same template) have other variants.
    pub variant: u64,
    /// Logarithms of time over default time, by alternative; not-a-number where not measured.
    pub logs: Vec<f64>,
}

/// How careful to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// The upper confidence limit of the mean logarithm must be below the logarithm of this.
    pub gain: f64,
    /// No measured ratio in reach may be above this.
    pub loss: f64,
    /// Normal quantile of the confidence limit.
    pub confidence: f64,
    /// Width of a band: evidence counts e^(-½) at this distance.
    pub width: f64,
    /// How much evidence of another variant counts.
    pub other_variant: f64,
    /// Evidence needed, in statements.
    pub evidence: f64,
    /// Evidence that counts at least this much may veto.
    pub reach: f64,
    /// Deviation of logarithms assumed beforehand, worth two statements.
    pub deviation: f64,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            gain: 0.95,
            loss: 1.1,
            confidence: 1.2816,
            width: 1.0,
            other_variant: 0.3,
            evidence: 0.9,
            reach: 0.03,
            deviation: 0.3,
        }
    }
}

/// The decision for one execution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Choice {
    /// Alternative; 0 is the default.
    pub action: usize,
    /// Upper confidence limit of the mean logarithm of time over default time; 0 for the default.
    pub upper: f64,
    /// Evidence that it rests on, in statements.
    pub evidence: f64,
}

/// Statements that a prior deviation is worth.
const PRIOR: f64 = 2.0;

/// The alternative for a statement at `band` of `variant`, or the default when no alternative has enough evidence there. Beyond
/// the largest band seen, evidence of the largest counts: what takes longer has more to gain.
#[must_use]
pub fn choose(evidence: &[Evidence], band: f64, variant: u64, guard: &Guard) -> Choice {
    let default = Choice { action: 0, upper: 0.0, evidence: 0.0 };
    let largest = evidence.iter().map(|e| e.band).fold(f64::NEG_INFINITY, f64::max);
    if band.is_nan() || !band.min(largest).is_finite() {
        return default;
    }
    let band = band.min(largest);
    let weigh = |e: &Evidence| {
        let near = (-0.5 * ((e.band - band) / guard.width).powi(2)).exp();
        near * if e.variant == variant { 1.0 } else { guard.other_variant }
    };
    let weighed: Vec<(f64, &Evidence)> = evidence.iter().map(|e| (weigh(e), e)).filter(|(w, _)| *w > 0.0).collect();
    let actions = evidence.iter().map(|e| e.logs.len()).max().unwrap_or(0);
    let mut best = default;
    for action in 1..actions {
        let measured = || {
            weighed.iter().filter_map(move |(w, e)| {
                let log = e.logs.get(action).copied().filter(|log| log.is_finite())?;
                Some((*w, log))
            })
        };
        let weight: f64 = measured().map(|(w, _)| w).sum();
        let vetoed = measured().any(|(w, log)| w > guard.reach && log > guard.loss.ln());
        if weight < guard.evidence || vetoed {
            continue;
        }
        let mean = measured().map(|(w, log)| w * log).sum::<f64>() / weight;
        let squares: f64 = measured().map(|(w, log)| w * (log - mean).powi(2)).sum();
        let degrees = weight - 1.0 + PRIOR;
        let variance = (squares + PRIOR * guard.deviation.powi(2)) / degrees;
        let upper = mean + student(guard.confidence, degrees) * (variance / weight).sqrt();
        if upper < guard.gain.ln() && upper < best.upper {
            best = Choice { action, upper, evidence: weight };
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(band: f64, log: f64) -> Evidence {
        Evidence { band, variant: 0, logs: vec![0.0, log] }
    }

    fn check(evidence: &[Evidence], band: f64, expected: usize) {
        assert_eq!(choose(evidence, band, 0, &Guard::default()).action, expected, "{evidence:?} at {band}");
    }

    #[test]
    fn enough_agreeing_evidence_moves_and_little_does_not() {
        check(&[], 0.0, 0);
        check(&[evidence(0.0, -0.1)], 0.0, 0);
        check(&[0.0, 0.1, 0.2, 0.3, 0.4].map(|b| evidence(b, -0.5)), 0.2, 1);
        check(&[0.0, 0.1, 0.2, 0.3, 0.4].map(|b| evidence(b, -0.02)), 0.2, 0);
    }

    #[test]
    fn one_loss_in_reach_vetoes_and_a_far_one_does_not() {
        let mut seen = [0.0, 0.1, 0.2, 0.3].map(|b| evidence(b, -1.0)).to_vec();
        seen.push(evidence(-6.0, 0.5));
        check(&seen, 0.2, 1);
        check(&seen, -5.0, 0);
        seen.push(evidence(0.4, 0.5));
        check(&seen, 0.2, 0);
    }

    #[test]
    fn what_was_never_seen_keeps_the_default() {
        let seen = [0.0, 0.1, 0.2].map(|b| evidence(b, -1.0));
        check(&seen, -9.0, 0);
        // Larger than all seen: as the largest.
        check(&seen, 9.0, 1);
        check(&seen, f64::NAN, 0);
        assert_eq!(choose(&seen, 0.1, 77, &Guard { evidence: 1.5, ..Guard::default() }).action, 0);
        check(&[0.0, 0.1, 0.2].map(|b| evidence(b, f64::NAN)), 0.1, 0);
    }
}
