//! The Pareto front: what nothing else beats in both cost and loss.

/// Indices of the points that no other point dominates, by rising cost.
///
/// A point is `(cost, loss)`, less of both being better; negate a metric of which more is better.
/// One point dominates another when it is no worse in either and better in one, so of equal
/// points all stay. Points with a NaN are left out.
#[must_use]
pub fn front(points: &[(f64, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len())
        .filter(|&i| !points[i].0.is_nan() && !points[i].1.is_nan())
        .collect();
    order.sort_by(|&a, &b| {
        let ((cost_a, loss_a), (cost_b, loss_b)) = (points[a], points[b]);
        // Adding zero makes the negative zero the positive one.
        let by = |a: f64, b: f64| (a + 0.0).total_cmp(&(b + 0.0));
        by(cost_a, cost_b).then(by(loss_a, loss_b)).then(a.cmp(&b))
    });
    let mut front: Vec<usize> = Vec::new();
    for index in order {
        let stays = front.last().is_none_or(|&last| {
            // In this order a later point is never cheaper: it must lose less, or be the same.
            #[expect(
                clippy::float_cmp,
                reason = "only equal points do not dominate each other"
            )]
            let same = points[index].0 == points[last].0 && points[index].1 == points[last].1;
            points[index].1 < points[last].1 || same
        });
        if stays {
            front.push(index);
        }
    }
    front
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, pair by pair.
    fn dominates(a: (f64, f64), b: (f64, f64)) -> bool {
        a.0 <= b.0 && a.1 <= b.1 && (a.0 < b.0 || a.1 < b.1)
    }

    proptest! {
        /// The front is exactly the set of points that nothing dominates.
        #[test]
        fn is_the_definition(
            points in proptest::collection::vec((-6_i8..6, -6_i8..6), 0..40)
        ) {
            let points: Vec<(f64, f64)> =
                points.into_iter().map(|(a, b)| (f64::from(a), f64::from(b))).collect();
            let mut expected: Vec<usize> = (0..points.len())
                .filter(|&i| !points.iter().any(|&other| dominates(other, points[i])))
                .collect();
            let mut found = front(&points);
            prop_assert!(found.windows(2).all(|p| points[p[0]].0 <= points[p[1]].0));
            found.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn zeros_of_both_signs_are_equal() {
        assert_eq!(front(&[(0.0, 1.0), (-0.0, 1.0)]).len(), 2);
        assert_eq!(front(&[(-0.0, 2.0), (0.0, 1.0)]), [1]);
    }

    #[test]
    fn nan_is_nowhere() {
        assert_eq!(front(&[(f64::NAN, 0.0), (1.0, 1.0), (0.0, f64::NAN)]), [1]);
        assert!(front(&[]).is_empty());
    }
}
