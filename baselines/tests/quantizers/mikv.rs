//! `MiKV`: heavy hitters in many bits, all others in few, keys balanced against queries.

use crate::mixed::{Lane, Row, compare, largest, run};
use crate::plain::{TOLERANCE, WRONG, shape};
use crate::rounding::asymmetric;
use smartkv_baselines::mikv::MiKv;
use smartkv_core::contract::Inputs;

const PROMPT: usize = 100;
const WINDOW: usize = 16;
const GROUP: usize = 32;

/// The method, or what it is not.
#[derive(Clone, Copy)]
struct Rule {
    important: f64,
    high_bits: u8,
    low_bits: u8,
    balance: bool,
    /// Attention over the queries that could see a token, rather than its sum.
    normalised: bool,
}

impl Rule {
    fn compress(self, lane: &mut Lane, seen: usize) {
        if lane.window.len() <= WINDOW {
            return;
        }
        // A whole window leaves at once, and one token stays.
        let leaving = (lane.window.len() - 1) / WINDOW * WINDOW;
        let keys = largest(lane.window.iter().map(|row| &row.key));
        let ratios = lane.largest_query.iter().zip(keys);
        let balancer: Vec<f64> = ratios.map(|(q, k)| (q / k).sqrt()).collect();
        lane.fit(self.balance.then_some(balancer), None);
        // What is in many bits may come down, what is in few never rises.
        let fresh = lane.window.drain(..leaving).map(|row| (row, true));
        let held = lane.high.drain(..).map(|row| (row, false));
        let mut open: Vec<(Row, bool)> = fresh.chain(held).collect();
        let score = |row: &Row| {
            let queries = if self.normalised { seen - row.token } else { 1 };
            row.mass / queries as f64
        };
        open.sort_by(|a, b| score(&b.0).total_cmp(&score(&a.0)));
        let all = open.len() + lane.low.len();
        let important = (self.important * all as f64).round() as usize;
        for (rank, (row, fresh)) in open.into_iter().enumerate() {
            if rank >= important {
                lane.low.push(rounded(row, self.low_bits));
            } else if fresh {
                lane.high.push(rounded(row, self.high_bits));
            } else {
                lane.high.push(row);
            }
        }
    }
}

fn rounded(mut row: Row, bits: u8) -> Row {
    if bits < 16 {
        for half in [&mut row.key, &mut row.value] {
            *half = half
                .chunks(GROUP)
                .flat_map(|group| asymmetric(group, bits))
                .collect();
        }
    }
    row
}

#[test]
fn mikv_keeps_heavy_hitters_in_many_bits_and_the_others_in_few() {
    let inputs = Inputs::new(shape(64), 160, 51);
    for (important, high_bits, low_bits, balance) in
        [(0.2, 8, 2, true), (0.5, 16, 3, true), (0.25, 8, 4, false)]
    {
        let strategy = MiKv {
            important,
            high_bits,
            low_bits,
            balance,
            ..MiKv::default()
        };
        let actual = run(strategy, &inputs, PROMPT);
        let rule = Rule {
            important,
            high_bits,
            low_bits,
            balance,
            normalised: false,
        };
        // The attention of every query counts.
        let against = |rule: Rule| {
            let compress = |lane: &mut Lane, seen: usize| rule.compress(lane, seen);
            compare(&actual, &inputs, PROMPT, &|_| true, &compress)
        };
        let (off, placed) = against(rule);
        assert!(placed, "{important}: other tokens are important");
        assert!(off < TOLERANCE, "{important}: off by {off}");

        let unbalanced = Rule {
            balance: !balance,
            ..rule
        };
        let (wrong, _) = against(unbalanced);
        assert!(wrong > WRONG, "another balance: {wrong} off");
        let normalised = Rule {
            normalised: true,
            ..rule
        };
        let (wrong, placed) = against(normalised);
        assert!(wrong > WRONG && !placed, "normalised: {wrong} off");
    }
}
