//! What a sum of products may be.

use super::tolerance;

/// A sum of products, with the sum of their absolute values.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sum {
    pub(super) value: f64,
    absolute: f64,
    /// What is accepted besides the rounding of sums.
    extra: f64,
}

impl Sum {
    pub(super) fn of<'a>(products: impl IntoIterator<Item = (&'a f32, &'a f32)>) -> Self {
        let mut sum = Self::default();
        products.into_iter().for_each(|(a, b)| sum.add(*a, *b));
        sum
    }

    pub(super) fn add(&mut self, a: f32, b: f32) {
        let product = f64::from(a) * f64::from(b);
        self.value += product;
        self.absolute += product.abs();
    }

    /// Terms that are added and taken away again somewhere on the way.
    pub(super) fn pass(&mut self, size: f64) {
        self.absolute += size;
    }

    /// Accepts a difference that has another cause.
    pub(super) fn accept(&mut self, off: f64) {
        self.extra += off;
    }

    pub(super) fn check(&self, got: f32, what: impl Fn() -> String) {
        let off = (f64::from(got) - self.value).abs();
        let accepted = tolerance::SUM * self.absolute + self.extra;
        assert!(
            off <= accepted,
            "{}: {got} for {}, {off:.1e} off of {accepted:.1e}",
            what(),
            self.value
        );
    }
}
