//! `ZipCache`: tokens that much attention goes to, of the queries that could see them, in 4 bits.

use crate::mixed::{Lane, Row, compare, largest, run};
use crate::plain::{TOLERANCE, WRONG, shape};
use crate::rounding::{Rows, asymmetric, per_channel, per_token};
use smartkv_baselines::zipcache::ZipCache;
use smartkv_core::contract::Inputs;
use smartkv_strategies::trackers::probes::Probes;

const PROMPT: usize = 330;
/// Tokens between two compressions.
const PERIOD: usize = 100;
const GROUP: usize = 32;

/// The method, or what it is not.
#[derive(Clone, Copy)]
struct Rule<'a> {
    salient: f64,
    watched: &'a dyn Fn(usize) -> bool,
    normalised: bool,
    channel_separable: bool,
    keys_by_channel: bool,
}

impl Rule<'_> {
    fn compress(&self, lane: &mut Lane, seen: usize) {
        // Whole groups of what has gathered.
        let leaving = lane.window.len() / PERIOD * PERIOD / GROUP * GROUP;
        if leaving == 0 {
            return;
        }
        let values = largest(lane.window.iter().map(|row| &row.value));
        let factors = values.iter().map(|most| 1.0 / most.sqrt()).collect();
        lane.fit(None, self.channel_separable.then_some(factors));
        let saliency = |row: &Row| {
            let probes = (row.token..seen).filter(|query| (self.watched)(*query));
            let probes = if self.normalised { probes.count() } else { 1 };
            row.mass / probes.max(1) as f64
        };
        let mut rows: Vec<Row> = lane.window.drain(..leaving).collect();
        rows.sort_by(|a, b| saliency(b).total_cmp(&saliency(a)));
        let groups = (self.salient * leaving as f64 / GROUP as f64).round() as usize;
        let others = rows.split_off(groups * GROUP);
        lane.high.extend(self.rounded(rows, 4));
        lane.low.extend(self.rounded(others, 2));
    }

    fn rounded(&self, mut rows: Vec<Row>, bits: u8) -> Vec<Row> {
        rows.sort_by_key(|row| row.token);
        let keys: Rows = rows.iter().map(|row| row.key.clone()).collect();
        let values: Rows = rows.iter().map(|row| row.value.clone()).collect();
        let round = |group: &[f64]| asymmetric(group, bits);
        let keys = if self.keys_by_channel {
            per_channel(&keys, GROUP, round)
        } else {
            per_token(&keys, GROUP, round)
        };
        let values = per_token(&values, 64, round);
        for ((row, key), value) in rows.iter_mut().zip(keys).zip(values) {
            (row.key, row.value) = (key, value);
        }
        rows
    }
}

/// Whether a token of the prompt is drawn as a probe: one of every `spread`. Which is no part of
/// the method: this is the draw of a cache with seed 0, `SplitMix64`'s finaliser.
fn is_drawn(token: usize, spread: usize) -> bool {
    let mut x = (token as u64 / spread as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (x ^ (x >> 31)) % spread as u64 == (token % spread) as u64
}

#[test]
fn zipcache_keeps_tokens_of_high_normalised_attention_in_more_bits() {
    let inputs = Inputs::new(shape(64), 396, 52);
    for (salient, newest, spread) in [(0.6, 64, 20), (0.3, 16, 5), (0.5, 150, 0)] {
        let strategy = ZipCache {
            tracker: Box::new(Probes { newest, spread }),
            salient,
            ..ZipCache::default()
        };
        let actual = run(strategy, &inputs, PROMPT);
        let watched = |query| query + newest >= PROMPT || (spread > 0 && is_drawn(query, spread));
        let probes = (0..PROMPT - newest).filter(|query| watched(*query));
        assert!(spread == 0 || probes.count() >= 250 / spread);
        let rule = Rule {
            salient,
            watched: &watched,
            normalised: true,
            channel_separable: true,
            keys_by_channel: true,
        };
        let against = |rule: Rule| {
            let compress = |lane: &mut Lane, seen: usize| rule.compress(lane, seen);
            compare(&actual, &inputs, PROMPT, rule.watched, &compress)
        };
        let (off, placed) = against(rule);
        assert!(placed, "{salient} of {newest}: other tokens are salient");
        assert!(off < TOLERANCE, "{salient} of {newest}: off by {off}");

        if spread != 20 {
            continue;
        }
        let accumulated = Rule {
            normalised: false,
            ..rule
        };
        let (wrong, placed) = against(accumulated);
        assert!(wrong > WRONG && !placed, "accumulated: {wrong} off");
        let others = |query| watched(query + 1);
        let other_probes = Rule {
            watched: &others,
            ..rule
        };
        let (_, placed) = against(other_probes);
        assert!(!placed, "other probes");
        let inseparable = Rule {
            channel_separable: false,
            ..rule
        };
        let by_the_token = Rule {
            keys_by_channel: false,
            ..rule
        };
        for other in [inseparable, by_the_token] {
            let (wrong, _) = against(other);
            assert!(wrong > WRONG, "{wrong} off");
        }
    }
}
