//! How rows become bits.

use crate::error::{Error, Result};
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
            Self::B8 => 8,
            Self::F16 => 16,
        }
    }

    /// The width with this many bits.
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

    /// Largest code: `2^bits - 1`. Zero for [`Bits::F16`], which has no codes.
    #[must_use]
    pub fn max_code(self) -> u32 {
        match self {
            Self::F16 => 0,
            other => (1 << other.count()) - 1,
        }
    }
}

/// A storage format: orthogonal facts about how one row (the `head_dim` channels of one token
/// of one kv head) is stored.
///
/// Codes are unsigned, `0 ..= 2^bits - 1`, packed little-endian: element `j` of a row takes bits
/// `j*bits ..` of the row's bytes. Element `j` of group `g` decodes to
/// `zero[g] + scale[g] * code`, where a symmetric format has no stored zero point and
/// `zero = -scale * 2^(bits-1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Format {
    /// Width of a code.
    pub bits: Bits,
    /// Channels that share a scale; 0 means the whole row. Ignored by [`Bits::F16`].
    pub group_size: usize,
    /// Symmetric around zero (no zero point is stored).
    pub symmetric: bool,
}

impl Format {
    /// Half precision: two bytes an element, nothing else.
    pub const F16: Self = Self {
        bits: Bits::F16,
        group_size: 0,
        symmetric: true,
    };

    /// Asymmetric integer codes with one scale and zero point per `group_size` channels.
    #[must_use]
    pub const fn asymmetric(bits: Bits, group_size: usize) -> Self {
        Self {
            bits,
            group_size,
            symmetric: false,
        }
    }

    /// Symmetric integer codes with one scale per `group_size` channels.
    #[must_use]
    pub const fn symmetric(bits: Bits, group_size: usize) -> Self {
        Self {
            bits,
            group_size,
            symmetric: true,
        }
    }

    /// Checks that the format can store rows of `head_dim` channels.
    ///
    /// # Errors
    /// [`Error::Format`] when the group does not divide `head_dim` or is not a multiple of 8.
    pub fn check(&self, head_dim: usize) -> Result<()> {
        let group = self.group(head_dim);
        if self.bits != Bits::F16 && (!head_dim.is_multiple_of(group) || !group.is_multiple_of(8)) {
            return Err(Error::Format {
                format: self.to_string(),
                reason: format!(
                    "group_size {group} does not fit head_dim {head_dim}: \
                     expected a multiple of 8 that divides it"
                ),
            });
        }
        Ok(())
    }

    /// Channels that share a scale in rows of `head_dim` channels.
    #[must_use]
    pub fn group(&self, head_dim: usize) -> usize {
        if self.group_size == 0 || self.bits == Bits::F16 {
            head_dim
        } else {
            self.group_size
        }
    }

    /// Bytes of codes in one row.
    #[must_use]
    pub fn payload_bytes(&self, head_dim: usize) -> usize {
        head_dim * self.bits.count() / 8
    }

    /// Scales stored for one row.
    #[must_use]
    pub fn scales(&self, head_dim: usize) -> usize {
        if self.bits == Bits::F16 {
            0
        } else {
            head_dim / self.group(head_dim)
        }
    }

    /// Zero points stored for one row.
    #[must_use]
    pub fn zeros(&self, head_dim: usize) -> usize {
        if self.symmetric {
            0
        } else {
            self.scales(head_dim)
        }
    }

    /// Bytes of one row: codes, scales and zero points (two bytes each).
    #[must_use]
    pub fn row_bytes(&self, head_dim: usize) -> usize {
        self.payload_bytes(head_dim) + 2 * (self.scales(head_dim) + self.zeros(head_dim))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.bits == Bits::F16 {
            return f.write_str("f16");
        }
        write!(f, "int{}", self.bits.count())?;
        f.write_str(if self.symmetric { " sym" } else { " asym" })?;
        match self.group_size {
            0 => Ok(()),
            g => write!(f, " g{g}"),
        }
    }
}
