//! What a paired comparison allows to say.

use super::{
    Bootstrap, Power, Z_95, detectable_mcnemar, detectable_mean, float, mcnemar_paired,
    paired_difference, standard_deviation, wilson,
};
use crate::error::Result;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The outcome of a paired comparison of a candidate with a baseline.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// The candidate is better.
    Better {
        /// Candidate less baseline.
        difference: f64,
        /// Two-sided p-value.
        p_two_sided: f64,
    },
    /// The candidate is worse.
    Worse {
        /// Candidate less baseline.
        difference: f64,
        /// Two-sided p-value.
        p_two_sided: f64,
    },
    /// No difference was seen, and one of `detectable` would likely have been.
    NoDifference {
        /// Candidate less baseline.
        difference: f64,
        /// Smallest difference that would be seen with the wanted power.
        detectable: f64,
    },
    /// The comparison has too few units to say anything.
    TooSmall {
        /// Candidate less baseline.
        difference: f64,
        /// Smallest difference that would be seen; `None` if these units cannot show any.
        detectable: Option<f64>,
        /// About as many units are needed to see a true difference of the observed size; `None`
        /// if that is 0 or cannot be told.
        units_needed: Option<usize>,
    },
}

/// How to judge a comparison.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Judge {
    /// The errors it may make.
    pub power: Power,
    /// Whether a higher value is better: true of accuracies, false of losses.
    pub higher_is_better: bool,
    /// The smallest difference that matters, if one is known: where a comparison could have seen
    /// it and saw none, it says [`Verdict::NoDifference`].
    pub margin: Option<f64>,
}

impl Judge {
    /// The verdict on an observed difference, candidate less baseline.
    ///
    /// A p-value below `alpha` decides. Otherwise nothing was seen, which means something only if
    /// there was something to see: the smallest detectable difference is held against the margin,
    /// and without one against the observed difference. That it exceeds either makes the
    /// comparison too small. Values observed at p above `alpha` lie below what is detectable, so
    /// without a margin only samples without any spread show no difference.
    #[must_use]
    pub fn verdict(
        &self,
        difference: f64,
        p_two_sided: f64,
        detectable: Option<f64>,
        units: usize,
    ) -> Verdict {
        if p_two_sided < self.power.alpha && difference != 0.0 {
            return if (difference > 0.0) == self.higher_is_better {
                Verdict::Better {
                    difference,
                    p_two_sided,
                }
            } else {
                Verdict::Worse {
                    difference,
                    p_two_sided,
                }
            };
        }
        let enough = self.margin.unwrap_or(difference).abs();
        match detectable {
            Some(detectable) if detectable <= enough => Verdict::NoDifference {
                difference,
                detectable,
            },
            _ => Verdict::TooSmall {
                difference,
                detectable,
                units_needed: detectable.and_then(|d| units_needed(d, difference, units)),
            },
        }
    }

    /// Judges paired values by the [sign-flip test](super::sign_flip).
    ///
    /// # Errors
    /// Those of [`paired_difference`] and [`detectable_mean`].
    pub fn values(&self, baseline: &[f64], candidate: &[f64], how: &Bootstrap) -> Result<Verdict> {
        let found = paired_difference(baseline, candidate, how)?;
        let differences: Vec<f64> = baseline.iter().zip(candidate).map(|(a, b)| b - a).collect();
        let deviation = standard_deviation(&differences).unwrap_or(0.0);
        let units = differences.len();
        Ok(self.verdict(
            found.estimate.mean,
            found.p_two_sided,
            detectable_mean(deviation, units, &self.power)?,
            units,
        ))
    }

    /// Judges paired outcomes by the exact `McNemar` test.
    ///
    /// # Errors
    /// Those of [`mcnemar_paired`] and [`detectable_mcnemar`].
    pub fn outcomes(&self, baseline: &[bool], candidate: &[bool]) -> Result<Verdict> {
        let test = mcnemar_paired(baseline, candidate)?;
        let units = baseline.len().max(1);
        let discordant = float(test.only_first + test.only_second) / float(units);
        let difference = (float(test.only_second) - float(test.only_first)) / float(units);
        let detectable = detectable_mcnemar(discordant, baseline.len(), &self.power)?;
        // Where few or no pairs differ, the share that could differ bounds any difference.
        let at_most = wilson(
            test.only_first + test.only_second,
            baseline.len(),
            Z_95,
            0.95,
        );
        let detectable = detectable.or(at_most.ok().map(|share| share.high));
        Ok(self.verdict(difference, test.p_two_sided, detectable, units))
    }
}

/// Detectable differences shrink with the root of the units.
fn units_needed(detectable: f64, difference: f64, units: usize) -> Option<usize> {
    let ratio = detectable / difference.abs();
    let needed = (float(units) * ratio * ratio).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive and below 1e15"
    )]
    (needed.is_finite() && needed < 1e15).then_some(needed as usize)
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Better {
                difference,
                p_two_sided,
            } => write!(f, "better: {difference:+.4} (p = {p_two_sided:.4})"),
            Self::Worse {
                difference,
                p_two_sided,
            } => write!(f, "worse: {difference:+.4} (p = {p_two_sided:.4})"),
            Self::NoDifference { detectable, .. } => {
                write!(f, "no difference of {detectable:.4} or more")
            }
            Self::TooSmall {
                difference,
                detectable,
                units_needed,
            } => {
                write!(f, "n too small: {difference:+.4} observed")?;
                if let Some(detectable) = detectable {
                    write!(f, ", {detectable:.4} detectable")?;
                }
                if let Some(needed) = units_needed {
                    write!(f, ", about {needed} needed")?;
                }
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(margin: Option<f64>) -> Judge {
        Judge {
            higher_is_better: true,
            margin,
            ..Judge::default()
        }
    }

    #[test]
    fn a_clear_difference_has_a_direction() {
        let a: Vec<f64> = (0..12).map(f64::from).collect();
        let b: Vec<f64> = a.iter().map(|a| a + 1.0 + 0.01 * a).collect();
        let how = Bootstrap::default();
        let better = judge(None).values(&a, &b, &how).unwrap();
        assert!(matches!(better, Verdict::Better { .. }), "{better:?}");
        let worse = judge(None).values(&b, &a, &how).unwrap();
        assert!(matches!(worse, Verdict::Worse { .. }), "{worse:?}");
        let loss = Judge::default().values(&a, &b, &how).unwrap();
        assert!(matches!(loss, Verdict::Worse { .. }), "{loss:?}");
        assert_eq!(worse.to_string(), "worse: -1.0550 (p = 0.0005)");
    }

    #[test]
    fn few_units_say_so() {
        let (a, b) = ([0.0; 6], [0.3, -0.2, 0.4, -0.1, 0.3, -0.2]);
        let how = Bootstrap::default();
        let Verdict::TooSmall {
            detectable,
            units_needed,
            ..
        } = judge(None).values(&a, &b, &how).unwrap()
        else {
            panic!("no evidence");
        };
        assert!(detectable.unwrap() > 0.3 && units_needed.unwrap() > 6);
        // A margin above what is detectable makes the same data an answer.
        let wide = judge(Some(0.5)).values(&a, &b, &how).unwrap();
        assert!(matches!(wide, Verdict::NoDifference { .. }), "{wide:?}");
        let one = judge(None).values(&[0.0], &[1.0], &how).unwrap();
        assert_eq!(one.to_string(), "n too small: +1.0000 observed");
    }

    #[test]
    fn equal_values_do_not_differ() {
        let how = Bootstrap::default();
        let same = judge(None).values(&[1.0; 8], &[1.0; 8], &how).unwrap();
        assert!(matches!(same, Verdict::NoDifference { .. }), "{same:?}");
        // Outcomes are coarse: equal ones leave room for a small difference.
        let same = judge(None).outcomes(&[true; 200], &[true; 200]).unwrap();
        assert!(matches!(same, Verdict::TooSmall { .. }), "{same:?}");
        let same = judge(Some(0.05))
            .outcomes(&[true; 200], &[true; 200])
            .unwrap();
        assert!(matches!(same, Verdict::NoDifference { .. }), "{same:?}");
        assert!(judge(None).outcomes(&[], &[]).is_ok());
    }

    #[test]
    fn outcomes_are_judged_by_mcnemar() {
        let a: Vec<bool> = (0..40).map(|i| i % 4 == 0).collect();
        let better = judge(None).outcomes(&a, &[true; 40]).unwrap();
        assert!(matches!(better, Verdict::Better { .. }), "{better:?}");
        let b: Vec<bool> = (0..40).map(|i| i % 4 == 1 || i == 2).collect();
        let unclear = judge(None).outcomes(&a, &b).unwrap();
        assert!(matches!(unclear, Verdict::TooSmall { .. }), "{unclear:?}");
    }
}
