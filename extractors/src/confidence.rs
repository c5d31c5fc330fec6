//! How likely a value is right, from how well its sources agree.

/// What share of the values was right among those to which the vote gave about this much, on public pages
/// with known values: 3,282 values of 670 pages, smoothed and a little lower than measured. Points of a line, by the vote.
const SHARES: &[(f64, f64)] = &[
    (0.0, 0.0),
    (0.3, 0.6),
    (0.5, 0.72),
    (0.6, 0.77),
    (0.8, 0.8),
    (0.87, 0.88),
    (0.92, 0.93),
    (0.97, 0.94),
    (1.0, 0.97),
];

/// The share of right values among those that the vote believes this much.
pub(crate) fn calibrated(vote: f64) -> f64 {
    let above = SHARES.iter().position(|(point, _)| *point >= vote).unwrap_or(SHARES.len() - 1);
    let below = above.saturating_sub(1);
    let ((from, low), (to, high)) = (SHARES[below], SHARES[above]);
    if to <= from {
        return high;
    }
    low + (high - low) * (vote - from) / (to - from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_agreement_is_never_less_sure() {
        let steps = (0..=100).map(|step| calibrated(f64::from(step) / 100.0));
        assert!(steps.clone().zip(steps.clone().skip(1)).all(|(one, next)| one <= next));
        assert!(steps.into_iter().all(|share| (0.0..=1.0).contains(&share)));
    }
}
