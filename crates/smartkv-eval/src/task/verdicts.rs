//! Every cache against the reference, and what may be said of it when all is compared.

use super::record::{Attempt, SampleRecord};
use super::sample::Part;
use super::summary::Compared;
use crate::error::Result;
use crate::stats::{
    Bootstrap, Difference, Estimate, Judge, Power, Verdict, Z_95, bootstrap_mean_within,
    detectable_mcnemar, detectable_mean, float, holm, holm_factors, mcnemar_paired,
    paired_difference, standard_deviation, wilson,
};
use std::collections::BTreeMap;

/// Samples that are summed up together, each with its weight.
pub(super) struct Pool<'a> {
    pub(super) part: Part,
    pub(super) records: Vec<&'a SampleRecord>,
    pub(super) weights: Vec<f64>,
    /// The part that each sample is of; empty where all are of one.
    pub(super) strata: Vec<usize>,
}

/// A measure of those attempts that have it.
type Measure = fn(&Attempt) -> Option<f64>;

impl Pool<'_> {
    /// Weighted scores of one cache.
    pub(super) fn scores(&self, side: usize) -> Vec<f64> {
        let pairs = self.records.iter().zip(&self.weights);
        let score = |(record, weight): (&&SampleRecord, &f64)| weight * record.attempts[side].score;
        pairs.map(score).collect()
    }

    /// The mean of weighted values, resampled within their parts.
    pub(super) fn estimate(&self, values: &[f64], how: &Bootstrap) -> Result<Estimate> {
        Ok(bootstrap_mean_within(values, &self.strata, how)?)
    }

    /// The mean over those samples where the cache has the measure; `None` where none is.
    pub(super) fn mean_of(
        &self,
        side: usize,
        measure: Measure,
        how: &Bootstrap,
    ) -> Result<Option<Estimate>> {
        let (mut values, mut strata, mut counts) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (index, record) in self.records.iter().enumerate() {
            let Some(value) = measure(&record.attempts[side]) else {
                continue;
            };
            let stratum = self.strata.get(index).copied().unwrap_or(0);
            values.push(value);
            strata.push(stratum);
            *counts.entry(stratum).or_insert(0_usize) += 1;
        }
        if values.is_empty() {
            return Ok(None);
        }
        // Parts that have the measure have the same weight among each other.
        let (all, parts) = (float(values.len()), float(counts.len()));
        for (value, stratum) in values.iter_mut().zip(&strata) {
            *value *= all / (parts * float(counts[stratum]));
        }
        Ok(Some(bootstrap_mean_within(&values, &strata, how)?))
    }

    fn difference(&self, side: usize, how: &Bootstrap) -> Result<Difference> {
        let (reference, own) = (self.scores(0), self.scores(side));
        let differences: Vec<f64> = reference.iter().zip(&own).map(|(a, b)| b - a).collect();
        let p_two_sided = match (outcomes(&reference), outcomes(&own)) {
            (Some(reference), Some(own)) => mcnemar_paired(&reference, &own)?.p_two_sided,
            _ => paired_difference(&reference, &own, how)?.p_two_sided,
        };
        Ok(Difference {
            estimate: self.estimate(&differences, how)?,
            p_two_sided,
        })
    }

    /// The verdict by the corrected p-value; what could have been seen, at the level that Holm
    /// leaves a comparison of this rank.
    fn verdict(&self, side: usize, difference: f64, p_holm: f64, factor: usize) -> Result<Verdict> {
        let usual = Power::default();
        let power = Power {
            alpha: usual.alpha / float(factor),
            ..usual
        };
        let judge = Judge {
            power: usual,
            higher_is_better: true,
            margin: None,
        };
        let (reference, own) = (self.scores(0), self.scores(side));
        let units = own.len();
        let both = outcomes(&reference).zip(outcomes(&own));
        let detectable = if let Some((reference, own)) = both {
            let test = mcnemar_paired(&reference, &own)?;
            let discordant = test.only_first + test.only_second;
            let share = float(discordant) / float(units.max(1));
            // Where few or no pairs differ, the share that could differ bounds any difference.
            let at_most = wilson(discordant, units, Z_95, 0.95).map(|share| share.high);
            detectable_mcnemar(share, units, &power)?.or(at_most.ok())
        } else {
            let pairs = reference.iter().zip(&own);
            let differences: Vec<f64> = pairs.map(|(a, b)| b - a).collect();
            detectable_mean(self.deviation(&differences), units, &power)?
        };
        Ok(judge.verdict(difference, p_holm, detectable, units))
    }

    /// Standard deviation within parts.
    fn deviation(&self, values: &[f64]) -> f64 {
        let mut own: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for (index, &value) in values.iter().enumerate() {
            let stratum = self.strata.get(index).copied().unwrap_or(0);
            own.entry(stratum).or_default().push(value);
        }
        let squares = own.values().map(|own| {
            let deviation = standard_deviation(own).unwrap_or(0.0);
            float(own.len()) * deviation * deviation
        });
        (squares.sum::<f64>() / float(values.len().max(1))).sqrt()
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
    let corrected = holm(&p).into_iter().zip(holm_factors(&p));
    let mut compared = pairs().zip(found).zip(corrected);
    pools
        .iter()
        .map(|_| {
            let mut own = vec![None];
            let pairs = compared.by_ref().take(sides.max(1) - 1);
            for (((pool, side), difference), (p_holm, factor)) in pairs {
                let seen = difference.estimate.mean;
                own.push(Some(Compared {
                    difference,
                    p_holm,
                    verdict: pool.verdict(side, seen, p_holm, factor)?,
                    kl_nats: pool.mean_of(side, |attempt| attempt.forced?.kl_nats, how)?,
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
            strata: Vec::new(),
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
    fn parts_do_not_blur_each_other() {
        let how = Bootstrap::default();
        // Ten samples of one part, ninety of another: all right, and weighted to equal parts.
        let records: Vec<_> = (0..100).map(|_| record([1.0, 1.0])).collect();
        let weights = (0..100).map(|i| 100.0 / (2.0 * if i < 10 { 10.0 } else { 90.0 }));
        let both = Pool {
            weights: weights.collect(),
            strata: (0..100).map(|i| usize::from(i >= 10)).collect(),
            ..pool(&records)
        };
        let score = both.estimate(&both.scores(0), &how).unwrap();
        let interval = score.interval.unwrap();
        for value in [score.mean, interval.low, interval.high] {
            assert!((value - 1.0).abs() < 1e-9, "{score:?}");
        }
        assert!(both.deviation(&both.scores(0)) < 1e-9);
    }

    #[test]
    fn thousands_of_losses_are_no_error() {
        let lost: Vec<_> = (0..3000).map(|_| record([1.0, 0.0])).collect();
        let how = Bootstrap {
            resamples: 10,
            ..Bootstrap::default()
        };
        let found = judged(&[pool(&lost)], 2, &how).unwrap();
        let compared = found[0][1].as_ref().unwrap();
        assert!(compared.p_holm > 0.0 && compared.p_holm < 1e-300);
        assert!(matches!(compared.verdict, Verdict::Worse { .. }));
    }

    #[test]
    fn outcomes_are_nothing_but_0_and_1() {
        assert_eq!(outcomes(&[0.0, 1.0]), Some(vec![false, true]));
        assert_eq!(outcomes(&[0.0, 0.5]), None);
        assert_eq!(outcomes(&[]), Some(Vec::new()));
    }
}
