use super::*;

fn table(interleaved: bool, scaling: RopeScaling) -> RopeTable {
    RopeTable::new(
        &description::Rope {
            base: 10_000.0,
            interleaved,
            scaling,
        },
        8,
    )
}

#[test]
fn both_pairings_turn_the_same_pairs() {
    let halves: Vec<f32> = (1..=8u8).map(f32::from).collect();
    let order = [0, 4, 1, 5, 2, 6, 3, 7];
    let mut neighbours: Vec<f32> = order.iter().map(|&i| halves[i]).collect();
    let mut halves = halves;
    table(false, RopeScaling::None).rotate(&mut halves, 1, &[37]);
    table(true, RopeScaling::None).rotate(&mut neighbours, 1, &[37]);
    for (place, &channel) in order.iter().enumerate() {
        assert_eq!(neighbours[place], halves[channel]);
    }
    assert!((halves[0] - (37f32.cos() - 5.0 * 37f32.sin())).abs() < 1e-5);
}

#[test]
fn the_rotation_of_a_cache_is_that_of_the_table() {
    for interleaved in [false, true] {
        let table = table(interleaved, RopeScaling::Linear { factor: 2.0 });
        let mut row = [1.0, 2.0, -1.0, 0.5, 0.3, -2.0, 1.0, 1.0];
        let mut same = row;
        table.rotate(&mut row, 1, &[777]);
        table.rope().rotate(&mut same, 777);
        for (a, b) in row.iter().zip(same) {
            assert!((a - b).abs() < 1e-6, "{a} {b}");
        }
    }
}

#[test]
fn dot_products_depend_on_the_distance_only() {
    let rope = table(false, RopeScaling::Linear { factor: 2.0 });
    let dot = |p: usize, q: usize| {
        let (mut a, mut b) = ([1.0, 2.0, -1.0, 0.5, 0.3, -2.0, 1.0, 1.0], [0.5; 8]);
        rope.rotate(&mut a, 1, &[p]);
        rope.rotate(&mut b, 1, &[q]);
        a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>()
    };
    assert!((dot(5, 2) - dot(5003, 5000)).abs() < 1e-4);
    assert!(
        (dot(5, 2) - dot(5, 3)).abs() > 1e-3,
        "positions must matter"
    );
}

#[test]
fn position_zero_is_the_identity_and_growth_keeps_rows() {
    let rope = table(true, RopeScaling::None);
    let mut row = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
    rope.rotate(&mut row, 1, &[0]);
    assert_eq!(row, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]);
    let before = rope.upto(10).to_vec();
    let after = rope.upto(3000);
    assert_eq!(before, after[..before.len()]);
    assert_eq!(after.len(), 3072 * 8);
}

#[test]
fn llama3_keeps_fast_pairs_and_divides_slow_ones() {
    let scaling = RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_context: 8192,
    };
    assert_eq!(scale(1.0, 0, &scaling, None, 0), 1.0);
    assert_eq!(scale(1e-5, 3, &scaling, None, 0), 1e-5 / 8.0);
    let between = TAU * 2.5 / 8192.0;
    assert!((scale(between, 2, &scaling, None, 0) / between - (0.5 + 0.5 / 8.0)).abs() < 1e-12);
    assert_eq!(
        scale(1.0, 1, &RopeScaling::Factors(vec![1.0, 4.0]), None, 0),
        0.25
    );
}
