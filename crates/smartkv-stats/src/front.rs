//! Trade-offs of two costs: who is not dominated, and how much a set of points dominates.

/// Whether each point, a pair of costs of which less is better, is dominated by none: no other is
/// at most as large in both and smaller in one. Equal points share their place. A point with a NaN
/// is on no front.
#[must_use]
pub fn non_dominated(points: &[[f64; 2]]) -> Vec<bool> {
    // Adding zero makes the negative zero the positive one, which `total_cmp` puts after it.
    let point = |index: usize| points[index].map(|cost| cost + 0.0);
    let mut order: Vec<usize> = (0..points.len())
        .filter(|&index| !points[index].iter().any(|cost| cost.is_nan()))
        .collect();
    order.sort_by(|&a, &b| {
        let ([x, y], [u, v]) = (point(a), point(b));
        x.total_cmp(&u).then(y.total_cmp(&v))
    });
    let mut on_front = vec![false; points.len()];
    let mut last: Option<[f64; 2]> = None;
    for index in order {
        let own = point(index);
        // In this order nothing is cheaper than what came before: it must lose less, or be equal.
        #[expect(clippy::float_cmp, reason = "only equal points share their place")]
        let stays = last.is_none_or(|last| own[1] < last[1] || own == last);
        if stays {
            on_front[index] = true;
            last = Some(own);
        }
    }
    on_front
}

/// The area dominated by `points` within the corner of `reference` (Zitzler and Thiele 1998), two
/// costs of which less is better. Points that are not below the reference in both, or have a NaN,
/// add nothing.
#[must_use]
pub fn hypervolume(points: &[[f64; 2]], reference: [f64; 2]) -> f64 {
    let mut inside: Vec<[f64; 2]> = points
        .iter()
        .copied()
        .filter(|point| point[0] < reference[0] && point[1] < reference[1])
        .collect();
    inside.sort_by(|a, b| a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1])));
    let (mut area, mut height) = (0.0, reference[1]);
    for [x, y] in inside {
        if y < height {
            area += (reference[0] - x) * (height - y);
            height = y;
        }
    }
    area
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "exact where it is exact")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fronts() {
        let points = [
            [1.0, 4.0],
            [2.0, 4.0],
            [2.0, 2.0],
            [2.0, 2.0],
            [3.0, 3.0],
            [f64::NAN, 0.0],
            [4.0, 1.0],
        ];
        assert_eq!(
            non_dominated(&points),
            [true, false, true, true, false, false, true]
        );
        assert!(non_dominated(&[]).is_empty());
    }

    #[test]
    fn zeros_of_both_signs_are_equal() {
        assert_eq!(non_dominated(&[[0.0, 1.0], [-0.0, 1.0]]), [true, true]);
        assert_eq!(non_dominated(&[[-0.0, 2.0], [0.0, 1.0]]), [false, true]);
    }

    #[test]
    fn nan_is_nowhere() {
        let points = [[f64::NAN, 0.0], [1.0, 1.0], [0.0, f64::NAN]];
        assert_eq!(non_dominated(&points), [false, true, false]);
    }

    /// The definition, pair by pair.
    fn dominates(a: [f64; 2], b: [f64; 2]) -> bool {
        a[0] <= b[0] && a[1] <= b[1] && (a[0] < b[0] || a[1] < b[1])
    }

    #[test]
    fn areas() {
        let points = [[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [3.0, 3.0]];
        // 4 × 1, 3 × 2 and 1 × 1.
        assert_eq!(hypervolume(&points, [5.0, 5.0]), 11.0);
        assert_eq!(hypervolume(&points, [4.0, 2.0]), 0.0);
        assert_eq!(hypervolume(&[[f64::NAN, 0.0]], [1.0, 1.0]), 0.0);
        assert_eq!(hypervolume(&[], [1.0, 1.0]), 0.0);
    }

    proptest! {
        /// The front is exactly the set of points that nothing dominates.
        #[test]
        fn is_the_definition(points in prop::collection::vec((-6_i8..6, -6_i8..6), 0..40)) {
            let points: Vec<[f64; 2]> =
                points.into_iter().map(|(a, b)| [f64::from(a), f64::from(b)]).collect();
            let free = |point: &[f64; 2]| !points.iter().any(|other| dominates(*other, *point));
            let expected: Vec<bool> = points.iter().map(free).collect();
            prop_assert_eq!(non_dominated(&points), expected);
        }

        #[test]
        fn only_the_front_matters(
            points in prop::collection::vec([0.0_f64..1.0, 0.0_f64..1.0], 0..20),
        ) {
            let front = non_dominated(&points);
            let best: Vec<[f64; 2]> = points
                .iter()
                .zip(&front)
                .filter_map(|(point, on)| on.then_some(*point))
                .collect();
            prop_assert_eq!(best.is_empty(), points.is_empty());
            let all = hypervolume(&points, [1.0, 1.0]);
            prop_assert_eq!(all, hypervolume(&best, [1.0, 1.0]));
            let largest = best.iter().map(|[x, y]| (1.0 - x) * (1.0 - y)).fold(0.0, f64::max);
            let smallest = best.iter().map(|[x, _]| 1.0 - x).fold(0.0, f64::max);
            prop_assert!(all >= largest && all <= smallest);
        }
    }
}
