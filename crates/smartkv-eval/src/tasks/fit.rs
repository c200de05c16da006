//! The largest prompt that fits.

use crate::error::{EvalError, Result};
use crate::task::{Sample, TaskCx};

/// Rounds of interpolation before halving takes its turn.
const PATIENCE: usize = 8;

/// How large something may be, in units of its own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Units {
    /// The smallest.
    pub(super) least: usize,
    /// The largest there is.
    pub(super) most: usize,
    /// Units by which the first guess of tokens per unit is made.
    pub(super) step: usize,
}

/// What fits.
#[derive(Debug)]
pub(super) struct Fit<T> {
    pub(super) units: usize,
    pub(super) tokens: usize,
    pub(super) made: T,
}

/// The largest of `units` that `make` turns into no more than `limit` tokens.
///
/// Tokenizing a long prompt is slow, and tokens grow almost evenly: so sizes are interpolated
/// between the largest that fits and the smallest that does not, until they are neighbours.
pub(super) fn largest<T>(
    what: &str,
    limit: usize,
    units: Units,
    mut make: impl FnMut(usize) -> Result<(usize, T)>,
) -> Result<Fit<T>> {
    let Units { least, most, step } = units;
    let (first, made) = make(least)?;
    if first > limit {
        return Err(EvalError::PromptTooShort {
            what: what.to_owned(),
            length: limit,
            needed: first,
        });
    }
    let mut best = Fit {
        units: least,
        tokens: first,
        made,
    };
    let mut beyond: Option<(usize, usize)> = None;
    for round in 0.. {
        let end = beyond.map_or(most.saturating_add(1), |(units, _)| units);
        if end - best.units <= 1 {
            break;
        }
        // Two sizes and their tokens: the line through them meets the limit at the guess.
        let (run, rise) = match beyond {
            Some((units, tokens)) => (units - best.units, tokens - best.tokens),
            None => (best.units - least, best.tokens.saturating_sub(first)),
        };
        let impatient = round > PATIENCE && round % 2 == 0;
        let guess = if beyond.is_none() && (rise == 0 || impatient) {
            best.units.saturating_add(step.max(best.units - least))
        } else if impatient {
            best.units.midpoint(end)
        } else {
            best.units
                .saturating_add((limit - best.tokens) * run / rise)
        };
        let guess = guess.clamp(best.units + 1, end - 1);
        let (tokens, made) = make(guess)?;
        if tokens <= limit {
            best = Fit {
                units: guess,
                tokens,
                made,
            };
        } else {
            beyond = Some((guess, tokens));
        }
    }
    Ok(best)
}

/// The sample of the largest of `units` that fits the context.
pub(super) fn fill(
    cx: &TaskCx<'_>,
    what: &str,
    units: Units,
    mut make: impl FnMut(usize) -> Result<Sample>,
) -> Result<Sample> {
    let fit = largest(what, cx.context_tokens, units, |units| {
        let sample = make(units)?;
        Ok((cx.tokens(&sample)?, sample))
    })?;
    Ok(fit.made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_next_one_is_beyond(
            steps in proptest::collection::vec(0_usize..30, 1..300),
            limit in 0_usize..4000,
            step in 1_usize..50,
        ) {
            let units = Units { least: 0, most: steps.len(), step };
            let tokens = |n: usize| 7 + steps[..n].iter().sum::<usize>();
            let mut tries = 0;
            let fit = largest("it", limit, units, |n| {
                tries += 1;
                Ok((tokens(n), n))
            });
            match fit {
                Err(error) => prop_assert!(limit < 7, "{error}"),
                Ok(fit) => {
                    prop_assert_eq!(fit.tokens, tokens(fit.units));
                    prop_assert_eq!(fit.made, fit.units);
                    prop_assert!(fit.tokens <= limit);
                    prop_assert!(fit.units == steps.len() || tokens(fit.units + 1) > limit);
                    prop_assert!(tries <= 2 * PATIENCE + 40, "{}", tries);
                }
            }
        }
    }

    #[test]
    fn even_units_take_few_tries() {
        let units = Units {
            least: 0,
            most: usize::MAX,
            step: 8,
        };
        let mut tries = 0;
        let fit = largest("it", 131_072, units, |n| {
            tries += 1;
            Ok((140 + 25 * n, ()))
        });
        assert_eq!(fit.unwrap().units, (131_072 - 140) / 25);
        assert!(tries <= 4, "{tries}");
    }
}
