//! Allocators at work, and what becomes of their mistakes.

use super::{Allocator, PlanCx, Problem};
use crate::error::{Error, Result};
use crate::guard::guarded;
use crate::registry::Kind;
use rayon::prelude::*;

/// Rows that one task looks at.
const ROWS_A_TASK: usize = 1 << 14;

impl PlanCx<'_> {
    /// The offer that `allocator` chooses for every row of `problem`, checked: an allocator that
    /// panics, forgets rows, raises one or overspends is named in the error.
    ///
    /// # Errors
    /// Such a mistake, or a budget that not even the cheapest offers meet.
    pub fn allocate(&self, allocator: &dyn Allocator, problem: &Problem<'_>) -> Result<Vec<u8>> {
        let name = allocator.typetag_name();
        let offers = guarded(Kind::Allocator, name, "allocate", || {
            allocator.allocate(problem)
        })?;
        let offers = offers.map_err(|infeasible| Error::Budget {
            given: self
                .limit
                .map_or_else(String::new, |limit| limit.to_string()),
            reason: infeasible.to_string(),
        })?;
        match mistake(problem, &offers) {
            Some(what) => Err(Error::plugin(Kind::Allocator, name, what)),
            None => Ok(offers),
        }
    }
}

/// Added to what is spent for every row whose offer it may not have: more bytes than there are.
const IMPOSSIBLE: u64 = 1 << 40;

/// What is wrong with a solution.
fn mistake(problem: &Problem<'_>, offers: &[u8]) -> Option<String> {
    let Problem {
        best, menu, budget, ..
    } = *problem;
    let rows = best.len();
    if offers.len() != rows {
        return Some(format!("gave {} offers for {rows} rows", offers.len()));
    }
    let mut prices = [IMPOSSIBLE; 256];
    for (price, offer) in prices.iter_mut().zip(menu) {
        *price = u64::from(offer.bytes);
    }
    let price = |(&offer, &best): (&u8, &u8)| {
        let raised = if offer < best { IMPOSSIBLE } else { 0 };
        prices[usize::from(offer)] + raised
    };
    let parts = offers.par_chunks(ROWS_A_TASK);
    let spent: u64 = parts
        .zip(best.par_chunks(ROWS_A_TASK))
        .map(|(offers, best)| offers.iter().zip(best).map(price).sum::<u64>())
        .sum();
    if spent >= IMPOSSIBLE {
        let (offer, best) = offers
            .iter()
            .zip(best)
            .find(|&row| price(row) >= IMPOSSIBLE)?;
        let last = menu.len() - 1;
        return Some(format!(
            "gave offer {offer} to a row that may have {best} to {last}"
        ));
    }
    (spent > budget).then(|| format!("spent {spent} bytes, the budget grants {budget}"))
}
