//! Trade-offs of two costs: who is not dominated, and how much a set of points dominates.

/// Whether each point, a pair of costs of which less is better, is dominated by none: no other is
/// at most as large in both and smaller in one. Equal points share their place. A point with a NaN
/// is on no front.
#[must_use]
pub fn non_dominated(points: &[[f64; 2]]) -> Vec<bool> {
    let dominates =
        |a: &[f64; 2], b: &[f64; 2]| a[0] <= b[0] && a[1] <= b[1] && (a[0] < b[0] || a[1] < b[1]);
    points
        .iter()
        .map(|point| {
            let known = !point.iter().any(|cost| cost.is_nan());
            known && !points.iter().any(|other| dominates(other, point))
        })
        .collect()
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
    fn areas() {
        let points = [[1.0, 4.0], [2.0, 2.0], [4.0, 1.0], [3.0, 3.0]];
        // 4 × 1, 3 × 2 and 1 × 1.
        assert_eq!(hypervolume(&points, [5.0, 5.0]), 11.0);
        assert_eq!(hypervolume(&points, [4.0, 2.0]), 0.0);
        assert_eq!(hypervolume(&[[f64::NAN, 0.0]], [1.0, 1.0]), 0.0);
        assert_eq!(hypervolume(&[], [1.0, 1.0]), 0.0);
    }

    proptest! {
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
