//! The smallest difference that a paired comparison of a given size can be expected to find.

use super::float;
use super::special::{normal_quantile, t_quantile};
use crate::error::{Result, StatsError};
use serde::{Deserialize, Serialize};

/// The errors a comparison may make.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Power {
    /// Probability of seeing a difference where there is none, two-sided.
    pub alpha: f64,
    /// Probability of seeing the difference where there is one.
    pub power: f64,
}

impl Default for Power {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            power: 0.8,
        }
    }
}

impl Power {
    /// Checks both parameters.
    ///
    /// # Errors
    /// `alpha` outside `0..0.5`, `power` outside `0.5..1`.
    pub fn check(&self) -> Result<()> {
        if !(self.alpha > 0.0 && self.alpha < 0.5) {
            let expected = "between 0 and 0.5";
            return Err(StatsError::parameter("power.alpha", self.alpha, expected));
        }
        if !(self.power >= 0.5 && self.power < 1.0) {
            let expected = "at least 0.5 and below 1";
            return Err(StatsError::parameter("power.power", self.power, expected));
        }
        Ok(())
    }
}

/// Smallest mean difference that `pairs` differences of this standard deviation show with the
/// wanted power: `(t_{1 - alpha / 2} + t_{power}) sd / sqrt(n)`, both quantiles of Student's t
/// with `n - 1` degrees of freedom.
///
/// The usual approximation to the noncentral t; at 80% power it is a little too large below 10
/// pairs. `None` with fewer than two pairs: nothing can be seen then.
///
/// # Errors
/// Parameters that do not [`check`](Power::check); a standard deviation that is negative or not
/// finite.
pub fn detectable_mean(deviation: f64, pairs: usize, how: &Power) -> Result<Option<f64>> {
    how.check()?;
    if !(deviation >= 0.0 && deviation.is_finite()) {
        let expected = "a finite number, at least 0";
        return Err(StatsError::parameter("deviation", deviation, expected));
    }
    if pairs < 2 {
        return Ok(None);
    }
    let degrees = float(pairs - 1);
    let quantiles = t_quantile(1.0 - how.alpha / 2.0, degrees) + t_quantile(how.power, degrees);
    Ok(Some(quantiles * deviation / float(pairs).sqrt()))
}

/// Smallest difference of two accuracies that `pairs` outcomes, of which a share `discordant`
/// differ, show in `McNemar`'s test with the wanted power.
///
/// Solves `d sqrt(n) = z_{1 - alpha / 2} sqrt(s) + z_{power} sqrt(s - d^2)` for `d`, `s` the
/// discordant share (Connor 1987). The exact test needs somewhat more. `None` if that exceeds the
/// discordant share, which no difference can, or if no pair differs.
///
/// # Errors
/// Parameters that do not [`check`](Power::check); a share outside `0..=1`.
pub fn detectable_mcnemar(discordant: f64, pairs: usize, how: &Power) -> Result<Option<f64>> {
    how.check()?;
    if !(0.0..=1.0).contains(&discordant) {
        let expected = "between 0 and 1";
        return Err(StatsError::parameter("discordant", discordant, expected));
    }
    let n = float(pairs);
    let see = normal_quantile(1.0 - how.alpha / 2.0);
    let miss = normal_quantile(how.power);
    let inside = n - see * see + miss * miss;
    if discordant == 0.0 || inside < 0.0 {
        return Ok(None);
    }
    let d = discordant.sqrt() * (see * n.sqrt() + miss * inside.sqrt()) / (n + miss * miss);
    Ok((pairs > 0 && d <= discordant).then_some(d))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_checked() {
        let how = Power::default();
        assert!(detectable_mean(f64::NAN, 5, &how).is_err());
        assert!(detectable_mean(1.0, 5, &Power { alpha: 0.0, ..how }).is_err());
        assert!(detectable_mean(1.0, 5, &Power { power: 1.0, ..how }).is_err());
        assert!(detectable_mcnemar(1.1, 5, &how).is_err());
        assert_eq!(detectable_mean(1.0, 1, &how).unwrap(), None);
    }

    #[test]
    fn few_outcomes_show_nothing() {
        let how = Power::default();
        for pairs in 0..8 {
            assert_eq!(detectable_mcnemar(0.5, pairs, &how).unwrap(), None);
        }
        assert_eq!(detectable_mcnemar(0.0, 100, &how).unwrap(), None);
        // 60 of 200 prompts differ: about 10 points are needed.
        let d = detectable_mcnemar(0.3, 200, &how).unwrap().unwrap();
        assert!(d > 0.1 && d < 0.12, "{d}");
    }
}
