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

/// What is wrong with a solution.
fn mistake(problem: &Problem<'_>, offers: &[u8]) -> Option<String> {
    let rows = problem.best.len();
    if offers.len() != rows {
        return Some(format!("gave {} offers for {rows} rows", offers.len()));
    }
    let parts = offers.par_chunks(ROWS_A_TASK);
    let spent: Option<u64> = parts
        .zip(problem.best.par_chunks(ROWS_A_TASK))
        .map(|(offers, best)| spent(problem, offers, best))
        .sum();
    match spent {
        None => {
            // Told exactly only when it is needed.
            let wrong = |(offer, best): &(&u8, &u8)| {
                offer < best || usize::from(**offer) >= problem.menu.len()
            };
            let (offer, best) = offers.iter().zip(problem.best).find(wrong)?;
            let last = problem.menu.len() - 1;
            Some(format!(
                "gave offer {offer} to a row that may have {best} to {last}"
            ))
        }
        Some(bytes) if bytes > problem.budget => {
            let budget = problem.budget;
            Some(format!("spent {bytes} bytes, the budget grants {budget}"))
        }
        Some(_) => None,
    }
}

/// Bytes of some rows, unless one has an offer that it may not have.
fn spent(problem: &Problem<'_>, offers: &[u8], best: &[u8]) -> Option<u64> {
    offers
        .iter()
        .zip(best)
        .map(|(offer, best)| {
            let taken = problem.menu.get(usize::from(*offer))?;
            (offer >= best).then_some(u64::from(taken.bytes))
        })
        .sum()
}
