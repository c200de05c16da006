//! Seeded draws whose values do not change with the version of a random number crate.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// A `ChaCha8` stream keyed by up to four numbers.
pub struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of this key: any part of an experiment can be drawn alone.
    #[must_use]
    pub fn keyed(key: [u64; 4]) -> Self {
        let mut seed = [0; 32];
        for (bytes, part) in seed.chunks_exact_mut(8).zip(key) {
            bytes.copy_from_slice(&part.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A number in `0..n`, uniform up to a bias of `n / 2^64`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.0.next_u64()) * (n as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }

    /// `count` different numbers of `0..n`, at most all of them, in a random order.
    pub fn distinct(&mut self, count: usize, n: usize) -> Vec<usize> {
        // The first places of a shuffle of `0..n`, of which only those moved are written down.
        let mut moved = BTreeMap::new();
        let draw = |place: usize| {
            let other = place + self.below(n - place);
            let drawn = moved.get(&other).copied().unwrap_or(other);
            let here = moved.get(&place).copied().unwrap_or(place);
            moved.insert(other, here);
            drawn
        };
        (0..count.min(n)).map(draw).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Draws;

    #[test]
    fn streams_repeat_and_differ_by_key() {
        let draw = |key| {
            let mut draws = Draws::keyed(key);
            (0..8).map(|_| draws.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw([1, 2, 3, 4]), draw([1, 2, 3, 4]));
        for other in [[2, 2, 3, 4], [1, 3, 3, 4], [1, 2, 4, 4], [1, 2, 3, 5]] {
            assert_ne!(draw([1, 2, 3, 4]), draw(other));
        }
    }

    #[test]
    fn below_covers_its_range_evenly() {
        let mut draws = Draws::keyed([7, 0, 0, 0]);
        let mut counts = [0_u32; 5];
        for _ in 0..5000 {
            counts[draws.below(5)] += 1;
        }
        assert!(
            counts.iter().all(|&count| (880..1120).contains(&count)),
            "{counts:?}"
        );
        assert_eq!(draws.below(1), 0);
        assert_eq!(draws.below(0), 0);
    }

    #[test]
    fn orders_and_choices_are_permutations_in_which_any_number_may_come_first() {
        let mut draws = Draws::keyed([8, 0, 0, 0]);
        let mut first = [[0_u32; 4]; 2];
        for _ in 0..4000 {
            let mut order = [0, 1, 2, 3];
            draws.shuffle(&mut order);
            let chosen = draws.distinct(9, 4);
            first[0][order[0]] += 1;
            first[1][chosen[0]] += 1;
            for mut numbers in [order.to_vec(), chosen] {
                numbers.sort_unstable();
                assert_eq!(numbers, [0, 1, 2, 3]);
            }
        }
        let even = |&count: &u32| (880..1120).contains(&count);
        assert!(first.iter().flatten().all(even), "{first:?}");
        assert!(draws.distinct(2, 1_000_000_000).len() == 2);
    }
}
