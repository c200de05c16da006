//! Seeded draws whose values do not change with the version of a random number crate.

use rand::Rng;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A `ChaCha8` stream keyed by up to four numbers.
pub(crate) struct Draws(ChaCha8Rng);

impl Draws {
    /// The stream of this key: any part of an experiment can be drawn alone.
    pub(crate) fn keyed(key: [u64; 4]) -> Self {
        let mut seed = [0; 32];
        for (bytes, part) in seed.chunks_exact_mut(8).zip(key) {
            bytes.copy_from_slice(&part.to_le_bytes());
        }
        Self(ChaCha8Rng::from_seed(seed))
    }

    /// A number in `0..n`, uniform up to a bias of `n / 2^64`; 0 when `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        let wide = u128::from(self.0.next_u64()) * (n as u128);
        usize::try_from(wide >> 64).unwrap_or(0)
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
}
