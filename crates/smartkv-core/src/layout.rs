//! What a strategy's cache is made of.

use crate::error::{Error, Result};
use crate::format::Format;
use crate::packed::TILE_ROWS;
use crate::shape::CacheShape;
use serde::{Deserialize, Serialize};
use smartkv_macros::config;

/// Formats of keys and values that are stored together. Keys usually need more bits
/// (arXiv 2502.15075), so the two are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tier {
    /// Format of key rows.
    pub k: Format,
    /// Format of value rows.
    pub v: Format,
}

impl Tier {
    /// Keys and values in the same format.
    #[must_use]
    pub const fn same(format: Format) -> Self {
        Self {
            k: format,
            v: format,
        }
    }

    /// Rows that enter this tier only together, because a format shares scales over as many
    /// tokens; 1 otherwise. Rows that do not fill a block wait in the window.
    #[must_use]
    pub fn block_rows(&self) -> usize {
        self.k.block_rows().max(self.v.block_rows())
    }

    /// Bytes of one token of one lane: codes, scales and zero points of K and V.
    #[must_use]
    pub fn row_bytes(&self, head_dim: usize) -> usize {
        self.k.row_bytes(head_dim) + self.v.row_bytes(head_dim)
    }
}

/// A rotation of each head before its rows are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum Rotation {
    /// As the host gives them.
    #[default]
    None,
    /// The orthonormal Hadamard transform (`QuaRot`, arXiv 2404.00456).
    Hadamard,
    /// The same after a fixed random choice of signs, so that no regular row stays peaked.
    Random,
}

/// Factors on channels before rows are stored.
#[config]
pub enum Balance {
    /// None.
    #[default]
    None,
    /// Keys times `(mean q² / mean k²)^¼`: the least expected error of scores when rounding errors
    /// spread evenly over the channels.
    Energy,
    /// Keys times `√(max |q| / max |k|)` (`MiKV`, arXiv 2402.18096).
    QueryMax,
    /// Values divided by `√(max |v|)` (`ZipCache`, arXiv 2405.14256).
    ValueMax,
}

impl From<bool> for Rotation {
    /// Hadamard, or none.
    fn from(rotate: bool) -> Self {
        if rotate { Self::Hadamard } else { Self::None }
    }
}

/// Rows of a tier taken page by page: while decoding, a lane attends to those pages only that may
/// matter most to the query (`Quest`, arXiv 2406.10774).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pages {
    /// Rows of a page. Of each page the least and the most of every key channel are kept in f16.
    pub rows: usize,
    /// Tokens in the pages attended to; the window and a page that is not full come on top.
    pub tokens: usize,
    /// First layers that attend to everything, and keep no bounds.
    pub full_layers: usize,
}

impl Pages {
    /// Bytes of the bounds for one row, rounded up.
    pub(crate) fn row_bytes(&self, head_dim: usize) -> usize {
        (2 * 2 * head_dim).div_ceil(self.rows)
    }
}

/// The tiers a strategy uses, and its full-precision window.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Packed tiers, best first: a plan may only move rows to a later one. Without any, all that
    /// leaves the window is evicted, and the window may take the whole budget.
    pub tiers: Vec<Tier>,
    /// Newest tokens kept in f16, at most. A budget may shrink it.
    pub window: usize,
    /// First tokens of each sequence kept in f16 (attention sinks, arXiv 2309.17453).
    pub sinks: usize,
    /// Tokens that leave the window at once, so that planning is paid once for all of them.
    pub period: usize,
    /// Keep each row's position (4 bytes a row and lane).
    pub positions: bool,
    /// Store keys and values rotated, which spreads outlier channels. Queries and outputs follow.
    pub rotate: Rotation,
    /// Store keys and values less each lane's mean key and value, which attention does not notice
    /// (`SageAttention` smooths keys so, arXiv 2410.02367). The means are taken when the first rows
    /// leave the window.
    pub center: bool,
    /// Factors on the channels of keys or values, undone in queries or outputs. They are fixed when
    /// the first rows leave the window.
    pub balance: Balance,
    /// Keep mean and covariance of each lane's queries before `RoPE`, those of the sinks apart
    /// ([`LaneRows::queries`](crate::LaneRows::queries)). The cache must be told the host's
    /// rotation.
    pub queries: bool,
    /// Read only some pages of the one tier while decoding. Steps of several tokens read all.
    pub pages: Option<Pages>,
    /// Share of the importance that must have moved since stored rows were last placed for a plan
    /// to be asked to move them again ([`PlanCx::steady`](crate::PlanCx::steady)). Above 0 the
    /// scores that rows were placed by are kept (4 bytes a row and lane).
    pub drift: f64,
    /// Plans may evict rows. Then any budget can be held, and a row may cost nothing.
    pub evicts: bool,
}

impl Layout {
    /// One tier, no window, no sinks.
    #[must_use]
    pub fn constant(tier: Tier) -> Self {
        Self {
            tiers: vec![tier],
            window: 0,
            sinks: 0,
            period: 1,
            positions: false,
            rotate: Rotation::None,
            center: false,
            balance: Balance::None,
            queries: false,
            pages: None,
            drift: 0.0,
            evicts: false,
        }
    }

    /// One f16 tier of which a plan evicts rows, the newest `window` of them protected.
    #[must_use]
    pub fn evicting(sinks: usize, window: usize, period: usize) -> Self {
        Self {
            sinks,
            window,
            period,
            evicts: true,
            ..Self::constant(Tier::same(Format::F16))
        }
    }

    /// No tier: sinks and the newest tokens, as many as the budget pays for.
    #[must_use]
    pub fn windowed(sinks: usize, period: usize) -> Self {
        Self {
            tiers: Vec::new(),
            ..Self::evicting(sinks, usize::MAX, period)
        }
    }

    /// Checks the layout against a shape.
    ///
    /// # Errors
    /// No tier although nothing is evicted, more than 255, a period of 0, or a format that does
    /// not fit `head_dim`.
    pub fn check(&self, shape: &CacheShape) -> Result<()> {
        let least = usize::from(!self.evicts);
        if self.tiers.len() < least || self.tiers.len() > 255 {
            return Err(Error::parameter(
                "tiers",
                self.tiers.len(),
                format!("expected {least} to 255 tiers"),
            ));
        }
        if self.period == 0 {
            let expected = "expected at least 1 token between two plans";
            return Err(Error::parameter("period", 0, expected));
        }
        for tier in &self.tiers {
            tier.k.check(shape.head_dim)?;
            tier.v.check(shape.head_dim)?;
        }
        if let Some(pages) = self.pages {
            self.check_pages(pages)?;
        }
        let block = self.block_rows();
        for tier in &self.tiers {
            for format in [tier.k, tier.v] {
                let rows = format.block_rows();
                if rows > 1 && rows != block {
                    return Err(Error::parameter(
                        "group_size",
                        rows,
                        "expected the same number of tokens in all formats that share scales \
                         over tokens",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Pages do not cut what formats store together, and their rows stay in order.
    fn check_pages(&self, pages: Pages) -> Result<()> {
        let unit = TILE_ROWS.max(self.block_rows());
        if pages.rows == 0 || !pages.rows.is_multiple_of(unit) {
            let expected = format!("expected a multiple of {unit} tokens");
            return Err(Error::parameter("pages.rows", pages.rows, expected));
        }
        if self.tiers.len() != 1 || self.evicts {
            let expected = "expected one tier of which nothing is evicted";
            return Err(Error::parameter("pages", format!("{pages:?}"), expected));
        }
        Ok(())
    }

    /// Rows that leave the window only together: the largest block of the tiers.
    #[must_use]
    pub fn block_rows(&self) -> usize {
        self.tiers.iter().map(Tier::block_rows).max().unwrap_or(1)
    }
}
