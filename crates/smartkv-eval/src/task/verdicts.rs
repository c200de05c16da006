//! Every cache against the reference, and what may be said of it when all is compared.

use super::record::{Attempt, SampleRecord};
use super::sample::Part;
use super::summary::Compared;
use crate::error::Result;
use crate::stats::{
    Bootstrap, Difference, Judge, Power, Verdict, bootstrap_mean, holm, mcnemar_paired,
    paired_difference,
};

/// Samples that are summed up together, each with its weight.
pub(super) struct Pool<'a> {
    pub(super) part: Part,
    pub(super) records: Vec<&'a SampleRecord>,
    pub(super) weights: Vec<f64>,
}

impl Pool<'_> {
    /// Weighted values of one cache; `None` if an attempt lacks it.
    fn weigh(&self, side: usize, value: fn(&Attempt) -> Option<f64>) -> Option<Vec<f64>> {
        let pairs = self.records.iter().zip(&self.weights);
        pairs
            .map(|(record, weight)| Some(weight * value(&record.attempts[side])?))
            .collect()
    }

    /// Weighted scores of one cache.
    pub(super) fn scores(&self, side: usize) -> Vec<f64> {
        let scores = self.weigh(side, |attempt| Some(attempt.score));
        scores.unwrap_or_default()
    }

    fn difference(&self, side: usize, how: &Bootstrap) -> Result<Difference> {
        let (reference, own) = (self.scores(0), self.scores(side));
        let mut found = paired_difference(&reference, &own, how)?;
        if let (Some(reference), Some(own)) = (outcomes(&reference), outcomes(&own)) {
            found.p_two_sided = mcnemar_paired(&reference, &own)?.p_two_sided;
        }
        Ok(found)
    }

    /// The verdict at the level that Holm leaves a comparison: `p_holm < alpha` is
    /// `p < alpha p / p_holm`.
    fn verdict(&self, side: usize, p: f64, p_holm: f64, how: &Bootstrap) -> Result<Verdict> {
        let usual = Power::default();
        let judge = Judge {
            power: Power {
                alpha: usual.alpha * p / p_holm,
                ..usual
            },
            higher_is_better: true,
            margin: None,
        };
        let (reference, own) = (self.scores(0), self.scores(side));
        match (outcomes(&reference), outcomes(&own)) {
            (Some(reference), Some(own)) => judge.outcomes(&reference, &own),
            _ => judge.values(&reference, &own, how),
        }
    }
}

/// Whether each score is 1, where all are 0 or 1.
#[expect(clippy::float_cmp, reason = "0 and 1 are exact")]
fn outcomes(scores: &[f64]) -> Option<Vec<bool>> {
    let outcome = |&score: &f64| match score {
        0.0 => Some(false),
        _ if score == 1.0 => Some(true),
        _ => None,
    };
    scores.iter().map(outcome).collect()
}

/// For each pool, every one of its `sides` against the first, which has nothing to be held
/// against.
pub(super) fn judged(
    pools: &[Pool<'_>],
    sides: usize,
    how: &Bootstrap,
) -> Result<Vec<Vec<Option<Compared>>>> {
    let pairs = || {
        pools
            .iter()
            .flat_map(|pool| (1..sides).map(move |side| (pool, side)))
    };
    let found = pairs().map(|(pool, side)| pool.difference(side, how));
    let found = found.collect::<Result<Vec<_>>>()?;
    let p: Vec<f64> = found
        .iter()
        .map(|difference| difference.p_two_sided)
        .collect();
    let corrected = holm(&p);
    let mut compared = pairs().zip(found).zip(corrected);
    pools
        .iter()
        .map(|_| {
            let mut own = vec![None];
            for (((pool, side), difference), p_holm) in compared.by_ref().take(sides.max(1) - 1) {
                let divergences = pool.weigh(side, |attempt| attempt.forced?.kl_nats);
                own.push(Some(Compared {
                    difference,
                    p_holm,
                    verdict: pool.verdict(side, difference.p_two_sided, p_holm, how)?,
                    kl_nats: divergences
                        .map(|values| bootstrap_mean(&values, how))
                        .transpose()?,
                }));
            }
            Ok(own)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(scores: [f64; 2]) -> SampleRecord {
        let attempts = scores.map(|score| Attempt {
            score,
            ..Attempt::default()
        });
        SampleRecord {
            part: String::new(),
            index: 0,
            fingerprint: String::new(),
            id: String::new(),
            context_tokens: 1,
            question_tokens: 1,
            answers: Vec::new(),
            meta: serde_json::Map::new(),
            control: None,
            attempts: attempts.into(),
        }
    }

    fn pool(records: &[SampleRecord]) -> Pool<'_> {
        Pool {
            part: Part::default(),
            weights: vec![1.0; records.len()],
            records: records.iter().collect(),
        }
    }

    #[test]
    fn what_is_seen_once_may_be_chance_among_many() {
        // 7 of 12 lost: p = 2 / 2^7 alone, and four times that among four.
        let lost: Vec<_> = (0..12)
            .map(|i| record([1.0, f64::from(u8::from(i < 5))]))
            .collect();
        let same: Vec<_> = (0..12).map(|_| record([1.0, 1.0])).collect();
        let how = Bootstrap::default();
        let alone = judged(&[pool(&lost)], 2, &how).unwrap();
        let [None, Some(alone)] = &alone[0][..] else {
            panic!("a reference and one beside it");
        };
        assert!((alone.p_holm - 2.0 / 128.0).abs() < 1e-12);
        assert!(
            matches!(alone.verdict, Verdict::Worse { .. }),
            "{}",
            alone.verdict
        );
        let pools = [pool(&lost), pool(&same), pool(&same), pool(&same)];
        let many = judged(&pools, 2, &how).unwrap();
        let first = many[0][1].as_ref().unwrap();
        assert!((first.p_holm - 8.0 / 128.0).abs() < 1e-12);
        assert_eq!(first.difference, alone.difference);
        assert!(
            matches!(first.verdict, Verdict::TooSmall { .. }),
            "{}",
            first.verdict
        );
        assert!((many[1][1].as_ref().unwrap().p_holm - 1.0).abs() < 1e-12);
    }

    #[test]
    fn outcomes_are_nothing_but_0_and_1() {
        assert_eq!(outcomes(&[0.0, 1.0]), Some(vec![false, true]));
        assert_eq!(outcomes(&[0.0, 0.5]), None);
        assert_eq!(outcomes(&[]), Some(Vec::new()));
    }
}
