//! What allocators ask of a problem.

use super::Problem;
use std::ops::Range;

impl<'a> Problem<'a> {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.best.len()
    }

    /// Expected damage of giving a row an offer.
    ///
    /// # Panics
    /// When there is no such row or offer.
    #[must_use]
    #[inline]
    pub fn damage(&self, row: usize, offer: usize) -> f32 {
        if self.damages.is_empty() {
            let Self { menu, .. } = *self;
            self.key_damage[row] * menu[offer].key_loss
                + self.value_damage[row] * menu[offer].value_loss
        } else {
            self.damages[row * self.menu.len() + offer]
        }
    }

    /// Bytes of a row under an offer.
    ///
    /// # Panics
    /// When there is no such offer.
    #[must_use]
    #[inline]
    pub fn price(&self, offer: u8) -> u64 {
        u64::from(self.menu[usize::from(offer)].bytes)
    }

    /// Row ranges of the layers, in order.
    #[must_use]
    pub fn layers(&self) -> Vec<Range<usize>> {
        if self.lane_ends.is_empty() || self.kv_heads == 0 {
            return std::iter::once(0..self.rows()).collect();
        }
        let ends = self.lane_ends.chunks(self.kv_heads);
        let mut start = 0;
        ends.map(|lanes| {
            let end = lanes[lanes.len() - 1];
            std::mem::replace(&mut start, end)..end
        })
        .collect()
    }

    /// Bytes that the settled rows of each layer take, in order.
    #[must_use]
    pub fn settled_bytes(&self) -> Vec<u64> {
        let layers = self.layers().len();
        let lanes = self.settled.chunks(self.kv_heads.max(1));
        let mut bytes: Vec<u64> = lanes.map(|lanes| lanes.iter().sum()).collect();
        bytes.resize(layers, 0);
        bytes
    }

    /// The same of some neighbouring rows alone, with a budget of their own. Nothing is known of
    /// their lanes.
    ///
    /// # Panics
    /// When there are no such rows.
    #[must_use]
    pub fn part(&self, rows: Range<usize>, budget: u64) -> Problem<'a> {
        let offers = self.menu.len();
        Problem {
            damages: match self.damages {
                [] => &[],
                all => &all[rows.start * offers..rows.end * offers],
            },
            key_damage: &self.key_damage[rows.clone()],
            value_damage: &self.value_damage[rows.clone()],
            best: &self.best[rows],
            budget,
            lane_ends: &[],
            settled: &[],
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::strategy::Offer;

    const MENU: [Offer; 2] = [
        Offer {
            bytes: 10,
            key_loss: 0.0,
            value_loss: 1.0,
        },
        Offer {
            bytes: 5,
            key_loss: 2.0,
            value_loss: 3.0,
        },
    ];

    #[test]
    fn rows_of_lanes_are_rows_of_layers() {
        let problem = Problem {
            key_damage: &[1.0, 2.0, 3.0],
            value_damage: &[1.0, 1.0, 4.0],
            best: &[0; 3],
            menu: &MENU,
            lane_ends: &[1, 2, 2, 3, 3, 3],
            kv_heads: 2,
            settled: &[1, 2, 3],
            ..Problem::default()
        };
        assert_eq!(problem.layers(), [0..2, 2..3, 3..3]);
        assert_eq!(problem.settled_bytes(), [3, 3, 0]);
        let part = problem.part(2..3, 9);
        assert_eq!((part.rows(), part.budget, part.layers().len()), (1, 9, 1));
        assert!((part.damage(0, 1) - 18.0).abs() < 1e-6);
    }

    #[test]
    fn damages_that_were_measured_are_taken() {
        let problem = Problem {
            key_damage: &[1.0; 2],
            value_damage: &[1.0; 2],
            best: &[0; 2],
            menu: &MENU,
            damages: &[0.5, 1.5, 2.5, 3.5],
            ..Problem::default()
        };
        assert!((problem.damage(1, 0) - 2.5).abs() < 1e-6);
        assert!((problem.part(1..2, 0).damage(0, 1) - 3.5).abs() < 1e-6);
    }
}
