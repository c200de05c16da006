//! What a query sees of the rows of a block, and how large a score may get.

use super::attend::{LaneStep, pieces};
use super::lane::Lane;
use crate::kernels::Kernels;
use std::ops::Range;

/// What a layer's attention does to scores before the softmax.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Newest tokens that a query sees.
    pub(super) window: Option<usize>,
    /// Bound of the scores.
    pub(super) softcap: Option<f32>,
}

impl Limits {
    /// Whether all rows of `block` are behind the windows of all tokens from the step's `token` on.
    pub(super) fn hide(
        self,
        lane: &Lane,
        step: &LaneStep,
        block: &Range<usize>,
        token: usize,
    ) -> bool {
        let Some(window) = self.window else {
            return false;
        };
        let oldest = oldest(window, step.position + token);
        pieces(lane, block).all(|(segment, rows, _)| {
            let positions = &segment.positions()[rows];
            positions.iter().all(|&position| position < oldest)
        })
    }

    /// Bounds the scores of one query, `query` of the step's.
    pub(super) fn bound(
        self,
        kernels: &dyn Kernels,
        step: &LaneStep,
        query: usize,
        scores: &mut [f32],
    ) {
        if let Some(cap) = self.softcap {
            let offset = step.offsets.get(query).copied().unwrap_or(0.0);
            kernels.softcap(scores, offset, cap);
        }
    }

    /// Hides the rows of `block` that the window of the step's `token` has left behind.
    pub(super) fn mask(
        self,
        lane: &Lane,
        step: &LaneStep,
        block: &Range<usize>,
        token: usize,
        scores: &mut [f32],
    ) {
        let Some(window) = self.window else {
            return;
        };
        let oldest = oldest(window, step.position + token);
        for (segment, rows, first) in pieces(lane, block) {
            let positions = &segment.positions()[rows];
            let scores = scores.iter_mut().skip(first);
            for (score, &position) in scores.zip(positions) {
                if position < oldest {
                    *score = f32::NEG_INFINITY;
                }
            }
        }
    }
}

/// The first position that a query at `position` sees.
fn oldest(window: usize, position: usize) -> u32 {
    u32::try_from((position + 1).saturating_sub(window)).unwrap_or(u32::MAX)
}
