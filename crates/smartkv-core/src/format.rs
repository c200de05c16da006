//! How rows become bits.

use crate::codebook::Codebook;
use crate::error::{Error, Result};
use crate::packed::{LARGEST_SUM, TILE_ROWS, tiled};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Width of one stored element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Bits {
    /// 2-bit integer codes.
    B2,
    /// 3-bit integer codes, packed densely: eight in three bytes.
    B3,
    /// 4-bit integer codes.
    B4,
    /// 8-bit integer codes.
    B8,
    /// 8-bit floating point, e4m3 without infinities (arXiv 2209.05433), no scale. Values beyond
    /// ±448 saturate.
    F8,
    /// IEEE half precision, no scale.
    F16,
}

impl Bits {
    /// Bits per element.
    #[must_use]
    pub fn count(self) -> usize {
        match self {
            Self::B2 => 2,
            Self::B3 => 3,
            Self::B4 => 4,
            Self::B8 | Self::F8 => 8,
            Self::F16 => 16,
        }
    }

    /// Whether elements are floating-point numbers: no codes, no scales.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::F8 | Self::F16)
    }

    /// The width with this many bits: integer codes, or f16 for 16.
    ///
    /// # Errors
    /// Any number but 2, 3, 4, 8 and 16.
    pub fn from_count(bits: u8) -> Result<Self> {
        Ok(match bits {
            2 => Self::B2,
            3 => Self::B3,
            4 => Self::B4,
            8 => Self::B8,
            16 => Self::F16,
            _ => return Err(Error::parameter("bits", bits, "expected 2, 3, 4, 8 or 16")),
        })
    }

    /// Largest code: `2^bits - 1`. Zero for floating-point elements, which have no codes.
    #[must_use]
    pub fn max_code(self) -> u32 {
        if self.is_float() {
            0
        } else {
            (1 << self.count()) - 1
        }
    }
}

/// What shares a scale.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Neighbouring channels of one token (per-token quantisation).
    #[default]
    Channels,
    /// One channel of neighbouring tokens (per-channel quantisation, KIVI, arXiv 2402.02750). Rows
    /// are stored in blocks of `group_size` tokens and move only as whole blocks.
    Tokens,
}

/// A storage format: orthogonal facts about how one row (the `head_dim` channels of one token
/// of one kv head) is stored.
///
/// Codes are unsigned, `0 ..= 2^bits - 1`. Code `c` of group `g` decodes to
/// `origin[g] + scale[g] * level(c)`. Without a codebook `level(c)` is `c` and `origin` is the
/// stored zero point, or `-scale * 2^(bits-1)` in a symmetric format, which stores none. A
/// codebook's level is its entry, an integer of -128 to 127, and `origin` is the zero point or 0.
///
/// Where the codes lie is told by [`crate::packed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Format {
    /// Width of a code.
    pub bits: Bits,
    /// What shares a scale. Ignored by floating-point elements, like all that follows.
    #[serde(default)]
    pub axis: Axis,
    /// Channels (or tokens) that share a scale; 0 means the whole row, for channels.
    pub group_size: usize,
    /// Symmetric around zero (no zero point is stored).
    pub symmetric: bool,
    /// Non-uniform levels instead of a uniform grid.
    #[serde(default)]
    pub codebook: Option<Codebook>,
}

impl Format {
    /// Half precision: two bytes an element, nothing else.
    pub const F16: Self = Self::float(Bits::F16);
    /// 8-bit floating point (e4m3): one byte an element, nothing else.
    pub const F8: Self = Self::float(Bits::F8);

    const fn float(bits: Bits) -> Self {
        Self {
            bits,
            axis: Axis::Channels,
            group_size: 0,
            symmetric: true,
            codebook: None,
        }
    }

    /// Integer codes with one scale per `group_size` channels, with or without zero points.
    #[must_use]
    pub const fn new(bits: Bits, group_size: usize, symmetric: bool) -> Self {
        Self {
            bits,
            axis: Axis::Channels,
            group_size,
            symmetric,
            codebook: None,
        }
    }

    /// Asymmetric integer codes with one scale and zero point per `group_size` channels.
    #[must_use]
    pub const fn asymmetric(bits: Bits, group_size: usize) -> Self {
        Self::new(bits, group_size, false)
    }

    /// Symmetric integer codes with one scale per `group_size` channels.
    #[must_use]
    pub const fn symmetric(bits: Bits, group_size: usize) -> Self {
        Self::new(bits, group_size, true)
    }

    /// Asymmetric integer codes with one scale and zero point per channel and block of `tokens`
    /// tokens.
    #[must_use]
    pub const fn per_channel(bits: Bits, tokens: usize) -> Self {
        Self {
            axis: Axis::Tokens,
            ..Self::new(bits, tokens, false)
        }
    }

    /// The same with the levels of `codebook` instead of a uniform grid.
    #[must_use]
    pub const fn with_codebook(self, codebook: Codebook) -> Self {
        Self {
            codebook: Some(codebook),
            ..self
        }
    }

    /// Checks that the format can store rows of `head_dim` channels.
    ///
    /// # Errors
    /// [`Error::Format`] when the group does not fit `head_dim`, or the codebook the width.
    pub fn check(&self, head_dim: usize) -> Result<()> {
        let refuse = |reason: String| {
            Err(Error::Format {
                format: self.to_string(),
                reason,
            })
        };
        if head_dim == 0 || !head_dim.is_multiple_of(8) {
            return refuse(format!("head_dim {head_dim}: expected a multiple of 8"));
        }
        if self.bits.is_float() {
            return Ok(());
        }
        if let Some(codebook) = &self.codebook {
            if self.bits == Bits::B8 {
                return refuse("8-bit codes take no codebook: expected 2, 3 or 4 bits".into());
            }
            codebook.check(self.bits)?;
            if codebook.reach().is_some() && !self.symmetric {
                return refuse(
                    "levels in root mean squares have no zero point: expected a symmetric format"
                        .into(),
                );
            }
        }
        let group = self.group(head_dim);
        match self.axis {
            Axis::Channels if !head_dim.is_multiple_of(group) => refuse(format!(
                "group_size {group} does not fit head_dim {head_dim}: expected a divisor of it"
            )),
            // Whole tiles in a block, and whole bytes of scales a row.
            Axis::Tokens
                if group == 0
                    || !group.is_multiple_of(TILE_ROWS)
                    || !(2 * head_dim).is_multiple_of(group) =>
            {
                refuse(format!(
                    "group_size {group} over tokens does not fit head_dim {head_dim}: expected a \
                     multiple of {TILE_ROWS} that divides {}",
                    2 * head_dim
                ))
            }
            // Blocks are stored in tiles and in no other way.
            Axis::Tokens if !tiled(*self, head_dim) => refuse(format!(
                "head_dim {head_dim} with groups over tokens: expected a multiple of {}, at most \
                 {LARGEST_SUM}",
                if self.bits == Bits::B3 { 32 } else { TILE_ROWS }
            )),
            _ => Ok(()),
        }
    }

    /// Channels (or tokens) that share a scale in rows of `head_dim` channels.
    #[must_use]
    pub fn group(&self, head_dim: usize) -> usize {
        if self.bits.is_float() || (self.group_size == 0 && self.axis == Axis::Channels) {
            head_dim
        } else {
            self.group_size
        }
    }

    /// Rows that are stored, and moved, only together: 1, or the tokens of a group.
    #[must_use]
    pub fn block_rows(&self) -> usize {
        match self.axis {
            Axis::Tokens if !self.bits.is_float() => self.group_size,
            _ => 1,
        }
    }

    /// Bytes of codes in one row.
    #[must_use]
    pub fn payload_bytes(&self, head_dim: usize) -> usize {
        head_dim * self.bits.count() / 8
    }

    /// Scales stored for a block of [`block_rows`](Self::block_rows) rows.
    #[must_use]
    pub fn scales(&self, head_dim: usize) -> usize {
        match self.axis {
            _ if self.bits.is_float() => 0,
            Axis::Channels => head_dim / self.group(head_dim),
            Axis::Tokens => head_dim,
        }
    }

    /// Zero points stored for a block of [`block_rows`](Self::block_rows) rows.
    #[must_use]
    pub fn zeros(&self, head_dim: usize) -> usize {
        if self.symmetric {
            0
        } else {
            self.scales(head_dim)
        }
    }

    /// Bytes of one row: codes, and its part of scales and zero points (two bytes each).
    #[must_use]
    pub fn row_bytes(&self, head_dim: usize) -> usize {
        let scales = self.scales(head_dim) + self.zeros(head_dim);
        self.payload_bytes(head_dim) + 2 * scales / self.block_rows()
    }

    /// Difference of the largest and the smallest value of a group, in units of its scale.
    #[must_use]
    pub fn span(&self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "at most 255")]
        match &self.codebook {
            Some(codebook) => codebook.span(self.bits),
            None => self.bits.max_code() as f32,
        }
    }

    /// Mean squared rounding error of an element per unit of squared range of its group, for
    /// values spread evenly over the range. Zero for f16.
    #[must_use]
    pub fn loss(&self) -> f32 {
        match (self.bits, &self.codebook) {
            (Bits::F16, _) => 0.0,
            // Three bits of mantissa: a step of 2^(e-3), and the mean of 4^e over a range that
            // starts at 0 is a seventh of its end squared.
            (Bits::F8, _) => 1.0 / (7.0 * 64.0 * 12.0 * 4.0),
            (bits, Some(codebook)) => codebook.loss(bits),
            (_, None) => 1.0 / (12.0 * self.span().powi(2)),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits {
            Bits::F16 => return f.write_str("f16"),
            Bits::F8 => return f.write_str("fp8 e4m3"),
            bits if self.codebook.is_some() => write!(f, "nuq{}", bits.count())?,
            bits => write!(f, "int{}", bits.count())?,
        }
        f.write_str(if self.symmetric { " sym" } else { " asym" })?;
        match (self.axis, self.group_size) {
            (Axis::Channels, 0) => Ok(()),
            (Axis::Channels, g) => write!(f, " g{g}"),
            (Axis::Tokens, g) => write!(f, " per-channel g{g}"),
        }
    }
}
