//! One metric of two rows on the same windows or samples.

use crate::error::Result;
use crate::group::Row;
use crate::measure::{Kind, Metric, Scale};
use crate::pooled::{Pooled, common_seeds};
use smartkv_stats::special::normal_quantile;
use smartkv_stats::{
    Bootstrap, Interval, cliffs_delta, cohens_d_z, holm, mcnemar_paired, mean, paired_t, sign_flip,
    wilcoxon, wilson,
};

/// A row against its baseline.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The metric of the baseline, on what both have.
    pub baseline: f64,
    /// The metric of the row.
    pub value: f64,
    /// The row less the baseline; of a metric that is `exp` of a mean, the difference of the means,
    /// which is the logarithm of the ratio.
    pub difference: f64,
    /// Its interval.
    pub interval: Option<Interval>,
    /// The row over the baseline, less 1; absent where the baseline is 0.
    pub relative: Option<f64>,
    /// Its interval.
    pub relative_interval: Option<Interval>,
    /// Seeds that both have.
    pub seeds: usize,
    /// Whether the numbers are counts that need no interval, as bytes are.
    pub exact: bool,
    /// The tests, where there are windows or samples to pair.
    pub tests: Option<Tests>,
}

/// Tests of no difference, over windows or samples, two-sided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tests {
    /// Windows or samples paired.
    pub units: usize,
    /// The p-value that is corrected and judged: `McNemar`'s where it applies, else the sign-flip
    /// test's.
    pub p: f64,
    /// The same after Holm's correction for all comparisons of the table; before it, `p`.
    pub p_holm: f64,
    /// Sign-flip test of the mean difference.
    pub sign_flip: f64,
    /// Paired t-test.
    pub t: Option<f64>,
    /// Wilcoxon's signed-rank test.
    pub wilcoxon: Option<f64>,
    /// `McNemar`'s exact test, where all values are 0 or 1.
    pub mcnemar: Option<f64>,
    /// Cohen's d of the differences.
    pub d_z: Option<f64>,
    /// Cliff's delta, which ignores the pairing.
    pub cliffs_delta: Option<f64>,
}

/// Compares `row` with `baseline`. `None` where one of them lacks the metric, or no seed is common.
///
/// # Errors
/// Parameters of the bootstrap that do not check.
pub fn compare(
    baseline: &Row<'_>,
    row: &Row<'_>,
    metric: &Metric,
    how: &Bootstrap,
) -> Result<Option<Comparison>> {
    let Some(pooled) = Pooled::of(&[baseline, row], metric) else {
        return Ok(without_units(baseline, row, metric));
    };
    let all: Vec<usize> = (0..pooled.len()).collect();
    let metrics = pooled.metric(&all);
    let difference = |places: &[usize]| {
        let means = pooled.linear(places);
        means[1] - means[0]
    };
    let differences = pooled.resample(how, difference)?;
    let (relative, relative_interval) = match metric.scale {
        Scale::ExpMean => (
            Some(differences.value.exp_m1()),
            differences.interval().map(|ends| ends.map(f64::exp_m1)),
        ),
        Scale::Mean => {
            let ratio = |places: &[usize]| {
                let means = pooled.linear(places);
                means[1] / means[0] - 1.0
            };
            let ratios = pooled.resample(how, ratio)?;
            (
                Some(ratios.value).filter(|ratio| ratio.is_finite()),
                ratios.interval(),
            )
        }
    };
    let (mut interval, mut relative_interval) = (differences.interval(), relative_interval);
    if let Some(room) = room(&pooled, metric, how)? {
        interval = Some(room);
        relative_interval = relative.map(|_| room.map(|end| end / metrics[0]));
    }
    Ok(Some(Comparison {
        baseline: metrics[0],
        value: metrics[1],
        difference: differences.value,
        interval,
        relative,
        relative_interval,
        seeds: common_seeds(&[baseline, row]).len(),
        exact: false,
        tests: Some(tests(&pooled, how)?),
    }))
}

/// Where all answers of both rows agree, what the difference may still be: no resample of them
/// differs, but the share that could (Wilson's upper end) bounds it. Answers are coarse, and few of
/// them that agree are no evidence of equality.
fn room(pooled: &Pooled, metric: &Metric, how: &Bootstrap) -> Result<Option<Interval>> {
    let outcomes = pooled.outcomes(0).zip(pooled.outcomes(1));
    let Some(((_, all), _)) = outcomes.filter(|_| metric.answers) else {
        return Ok(None);
    };
    if pooled.units(0) != pooled.units(1) {
        return Ok(None);
    }
    let z = normal_quantile(0.5 + how.level / 2.0);
    let most = wilson(0, all, z, how.level)?.high;
    Ok(Some(Interval {
        low: -most,
        high: most,
        level: how.level,
    }))
}

/// Metrics that are no mean over windows or samples: bytes, times, quantiles.
fn without_units(baseline: &Row<'_>, row: &Row<'_>, metric: &Metric) -> Option<Comparison> {
    let seeds = common_seeds(&[baseline, row]);
    let of = |row: &Row<'_>| {
        let value = |&seed: &u64| {
            let cell = row.cells.iter().find(|cell| cell.spec.seed == seed)?;
            cell.measurement(&metric.name)?.reading.number()
        };
        let values: Vec<f64> = seeds.iter().map(value).collect::<Option<_>>()?;
        mean(&values)
    };
    let (from, to) = (of(baseline)?, of(row)?);
    let ratio = to / from - 1.0;
    Some(Comparison {
        baseline: from,
        value: to,
        difference: match metric.scale {
            Scale::Mean => to - from,
            Scale::ExpMean => (to / from).ln(),
        },
        interval: None,
        relative: ratio.is_finite().then_some(ratio),
        relative_interval: None,
        seeds: seeds.len(),
        exact: metric.kind == Kind::Memory,
        tests: None,
    })
}

fn tests(pooled: &Pooled, how: &Bootstrap) -> Result<Tests> {
    let (from, to) = (pooled.units(0), pooled.units(1));
    let plain: Vec<f64> = from.iter().zip(&to).map(|(from, to)| to - from).collect();
    let weights = pooled.weights();
    let weighted = plain.iter().zip(&weights).map(|(d, weight)| d * weight);
    let weighted: Vec<f64> = weighted.collect();
    let outcomes = outcomes(&from).zip(outcomes(&to));
    let mcnemar = match &outcomes {
        Some((from, to)) => Some(mcnemar_paired(from, to)?.p_two_sided),
        None => None,
    };
    let flipped = sign_flip(&weighted, how.resamples, how.seed);
    // The pooled outcomes of unequal parts are not what the mean over parts compares.
    let even = weights.iter().all(|weight| (weight - 1.0).abs() < 1e-9);
    let p = mcnemar.filter(|_| even).unwrap_or(flipped);
    Ok(Tests {
        units: plain.len(),
        p,
        p_holm: p,
        sign_flip: flipped,
        t: paired_t(&weighted).map(|test| test.p_two_sided),
        wilcoxon: wilcoxon(&plain).map(|test| test.p_two_sided),
        mcnemar,
        d_z: cohens_d_z(&plain),
        cliffs_delta: cliffs_delta(&to, &from),
    })
}

/// Whether each value is 1, where all are 0 or 1.
#[expect(clippy::float_cmp, reason = "0 and 1 are exact")]
fn outcomes(values: &[f64]) -> Option<Vec<bool>> {
    let outcome = |&value: &f64| match value {
        0.0 => Some(false),
        _ if value == 1.0 => Some(true),
        _ => None,
    };
    values.iter().map(outcome).collect()
}

/// Holm's correction over all comparisons of a table.
pub fn correct<'a>(comparisons: impl IntoIterator<Item = &'a mut Comparison>) {
    let tests = comparisons.into_iter().filter_map(|one| one.tests.as_mut());
    let mut tests: Vec<&mut Tests> = tests.collect();
    let p: Vec<f64> = tests.iter().map(|tests| tests.p).collect();
    for (tests, p) in tests.iter_mut().zip(holm(&p)) {
        tests.p_holm = p;
    }
}

/// Whether a part of a method matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contribution {
    /// The whole interval of the relative change lies beyond the threshold, on one side.
    Above,
    /// It lies within the threshold on both sides.
    Within,
    /// It reaches over a threshold, or there is none.
    Unclear,
}

/// The change that counts: 1%.
pub const THRESHOLD: f64 = 0.01;

impl Comparison {
    /// Whether the relative change is above [`THRESHOLD`]. An exact number is judged as it is.
    #[must_use]
    pub fn contribution(&self) -> Contribution {
        let ends = match (self.relative_interval, self.relative) {
            (Some(interval), _) => (interval.low, interval.high),
            (None, Some(change)) if self.exact => (change, change),
            _ => return Contribution::Unclear,
        };
        match ends {
            (low, high) if low > THRESHOLD || high < -THRESHOLD => Contribution::Above,
            (low, high) if low >= -THRESHOLD && high <= THRESHOLD => Contribution::Within,
            _ => Contribution::Unclear,
        }
    }

    /// Windows or samples that were paired.
    #[must_use]
    pub fn units(&self) -> Option<usize> {
        self.tests.map(|tests| tests.units)
    }
}
