//! Every evictor keeps the tokens that its paper's formula keeps.
//!
//! The formulas are written down once more, in f64 over whole attention matrices, one token a step.
//! How many rows a lane holds is taken from the cache: budgets are held to bytes, which the
//! contract tests check.
#![allow(clippy::cast_precision_loss, reason = "small counts")]

use half::f16;
use smartkv_baselines::adakv::AdaKv;
use smartkv_baselines::expected_attention::ExpectedAttention;
use smartkv_baselines::h2o::H2o;
use smartkv_baselines::keydiff::KeyDiff;
use smartkv_baselines::knorm::KNorm;
use smartkv_baselines::lagkv::LagKv;
use smartkv_baselines::pyramidkv::PyramidKv;
use smartkv_baselines::random_eviction::RandomEviction;
use smartkv_baselines::snapkv::SnapKv;
use smartkv_baselines::streaming_llm::StreamingLlm;
use smartkv_baselines::tova::Tova;
use smartkv_core::contract::Inputs;
use smartkv_core::{
    Budget, Cache, CacheShape, KvHook, Layout, MeasuredHook, Plan, PlanCx, Result, Rope, Strategy,
    Tracker, config, strategy,
};
use smartkv_strategies::trackers::last_queries::LastQueries;
use smartkv_strategies::trackers::pooled::Pooled;
use std::sync::Arc;

/// Lets a test see which tokens a strategy keeps.
#[config]
struct Seen {
    /// The strategy to look at.
    #[default(Box::new(H2o::default()))]
    inner: Box<dyn Strategy>,
}

#[strategy("test-seen", family = "test")]
impl Strategy for Seen {
    fn layout(&self, shape: &CacheShape) -> Result<Layout> {
        Ok(Layout {
            positions: true,
            ..self.inner.layout(shape)?
        })
    }

    fn tracker(&self) -> Option<&dyn Tracker> {
        self.inner.tracker()
    }

    fn plan(&self, cx: &PlanCx<'_>) -> Result<Plan> {
        self.inner.plan(cx)
    }
}

const LAYERS: usize = 3;
const KV_HEADS: usize = 2;
const GROUP: usize = 2;

fn shape() -> CacheShape {
    CacheShape::new(LAYERS, 1, KV_HEADS * GROUP, KV_HEADS, 32).expect("a shape")
}

fn cache(strategy: impl Strategy + 'static, budget: Budget) -> Cache {
    let seen = Arc::new(Seen {
        inner: Box::new(strategy),
    });
    Cache::builder(shape(), seen)
        .rope(&rope())
        .budget(Some(budget))
        .build()
        .expect("a cache")
}

fn rope() -> Rope {
    let frequency = |pair: usize| 100f64.powf(-(pair as f64) / 16.0);
    Rope::new((0..16).map(frequency).collect(), false)
}

/// Tokens that a lane holds, in order.
fn held(cache: &Cache, layer: usize, head: usize) -> Vec<usize> {
    let mut held: Vec<usize> = cache
        .positions(layer, head)
        .into_iter()
        .map(|p| p as usize)
        .collect();
    held.sort_unstable();
    held
}

/// All lanes as (layer, kv head).
fn lanes() -> impl Iterator<Item = (usize, usize)> {
    (0..LAYERS).flat_map(|layer| (0..KV_HEADS).map(move |head| (layer, head)))
}

/// Keys and values as the cache holds them.
fn rounded(row: &[f32]) -> Vec<f64> {
    row.iter()
        .map(|&x| f64::from(f16::from_f32(x).to_f32()))
        .collect()
}

fn norm(row: &[f64]) -> f64 {
    row.iter().map(|x| x * x).sum::<f64>().sqrt()
}

/// Attention of the query at `token` to `held`, averaged over the query heads of a kv head.
fn attention(inputs: &Inputs, lane: (usize, usize), token: usize, held: &[usize]) -> Vec<f64> {
    let (layer, head) = lane;
    let mut mean = vec![0.0; held.len()];
    for q_head in head * GROUP..(head + 1) * GROUP {
        let query = inputs.query(layer, token, q_head);
        let logit = |&t: &usize| {
            let key = rounded(inputs.key(layer, t, head));
            let dot: f64 = key.iter().zip(query).map(|(k, q)| k * f64::from(*q)).sum();
            (dot * f64::from(inputs.shape.scale)).exp()
        };
        let weights: Vec<f64> = held.iter().map(logit).collect();
        let total: f64 = weights.iter().sum();
        for (mean, weight) in mean.iter_mut().zip(weights) {
            *mean += weight / total / GROUP as f64;
        }
    }
    mean
}

/// Indices of the `count` highest scores, ascending.
fn top(scores: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order.truncate(count);
    order.sort_unstable();
    order
}

/// A prompt of `prompt` tokens, then single tokens.
fn run(cache: &mut Cache, inputs: &Inputs, prompt: usize) {
    inputs.step(cache, 0, prompt, false);
    for token in prompt..inputs.tokens {
        inputs.step(cache, token, 1, false);
    }
}

/// Runs `strategy` and, lane by lane, the paper's greedy loop: after every step (the prompt being
/// one) the token with the lowest score goes until as many are held as the cache holds, the
/// newest `spared(held)` never. `score(lane, held, first query of the step, newest)` scores them.
fn matches_greedy(
    strategy: impl Strategy + 'static,
    spared: impl Fn(usize) -> usize,
    score: impl FnMut(&Inputs, (usize, usize), &[usize], usize, usize) -> Vec<f64>,
) {
    matches_greedy_within(48, strategy, spared, score);
}

/// [`matches_greedy`] within the bytes of `budget` tokens, most of which are for rows.
fn matches_greedy_within(
    budget: usize,
    strategy: impl Strategy + 'static,
    spared: impl Fn(usize) -> usize,
    mut score: impl FnMut(&Inputs, (usize, usize), &[usize], usize, usize) -> Vec<f64>,
) {
    let (prompt, tokens) = (100, 160);
    let inputs = Inputs::new(shape(), tokens, 31);
    let mut cache = cache(strategy, Budget::Tokens(budget as u64));
    run(&mut cache, &inputs, prompt);
    for lane in lanes() {
        let actual = held(&cache, lane.0, lane.1);
        let capacity = actual.len();
        assert!(
            (40..48).contains(&capacity),
            "{capacity} rows, columns paid"
        );
        let mut kept: Vec<usize> = Vec::new();
        for newest in prompt - 1..tokens {
            let first = if newest < prompt { 0 } else { newest };
            kept.extend(first..=newest);
            let scores = score(&inputs, lane, &kept, first, newest);
            let free = kept.len() - spared(capacity);
            let mut stay = top(&scores[..free], capacity.min(kept.len()) - spared(capacity));
            stay.extend(free..kept.len());
            kept = stay.into_iter().map(|index| kept[index]).collect();
        }
        assert_eq!(actual, kept, "layer {}, head {}", lane.0, lane.1);
    }
}

#[test]
fn streaming_llm_keeps_the_first_four_and_the_newest() {
    let strategy = StreamingLlm {
        evict_every: 1,
        ..StreamingLlm::default()
    };
    let mut cache = cache(strategy, Budget::Tokens(48));
    let inputs = Inputs::new(shape(), 160, 1);
    run(&mut cache, &inputs, 100);
    for (layer, head) in lanes() {
        let held = held(&cache, layer, head);
        // 48 tokens of 128 bytes, at 132 with their position.
        assert_eq!(held.len(), 46);
        assert_eq!(held, [vec![0, 1, 2, 3], (160 - 42..160).collect()].concat());
    }
}

#[test]
fn h2o_keeps_heavy_hitters_and_as_many_of_the_newest() {
    // Accumulated attention follows each token: by position.
    let mut sums = std::collections::HashMap::new();
    let strategy = H2o {
        evict_every: 1,
        ..H2o::default()
    };
    matches_greedy(
        strategy,
        |held| held / 2,
        |inputs, lane, held, first, newest| {
            for query in first..=newest {
                let seen: Vec<usize> = held.iter().copied().filter(|&t| t <= query).collect();
                for (t, mass) in seen.iter().zip(attention(inputs, lane, query, &seen)) {
                    *sums.entry((lane, *t)).or_insert(0.0) += mass;
                }
            }
            held.iter().map(|t| sums[&(lane, *t)]).collect()
        },
    );
}

#[test]
fn tova_evicts_what_the_newest_query_attends_to_least_in_a_layer() {
    let mean = |inputs: &Inputs, lane: (usize, usize), held: &[usize], _: usize, newest: usize| {
        let heads = (0..KV_HEADS).map(|head| attention(inputs, (lane.0, head), newest, held));
        heads.fold(vec![0.0; held.len()], |sum, head| {
            sum.iter().zip(head).map(|(sum, mass)| sum + mass).collect()
        })
    };
    matches_greedy(Tova { evict_every: 1 }, |_| 1, mean);
}

#[test]
fn knorm_keeps_keys_of_low_norm() {
    matches_greedy(
        KNorm { evict_every: 1 },
        |_| 1,
        |inputs, lane, held, _, _| {
            held.iter()
                .map(|&t| -norm(&rounded(inputs.key(lane.0, t, lane.1))))
                .collect()
        },
    );
}

#[test]
fn keydiff_keeps_keys_unlike_their_mean() {
    matches_greedy(
        KeyDiff { evict_every: 1 },
        |_| 1,
        |inputs, lane, held, _, _| {
            let unit = |&t: &usize| {
                let key = rounded(inputs.key(lane.0, t, lane.1));
                let length = norm(&key);
                key.iter().map(|x| x / length).collect::<Vec<f64>>()
            };
            let units: Vec<Vec<f64>> = held.iter().map(unit).collect();
            let mean: Vec<f64> = (0..32)
                .map(|j| units.iter().map(|k| k[j]).sum::<f64>() / units.len() as f64)
                .collect();
            let cosine = |key: &Vec<f64>| {
                key.iter().zip(&mean).map(|(x, m)| x * m).sum::<f64>() / norm(&mean)
            };
            units.iter().map(|key| -cosine(key)).collect()
        },
    );
}

/// The expected attention of [`ExpectedAttention`]'s paper, with matrices written out.
fn expected_attention(
    inputs: &Inputs,
    lane: (usize, usize),
    held: &[usize],
    end: usize,
) -> Vec<f64> {
    let (sinks, future, epsilon) = (4, 20, 0.02);
    let rope = rope();
    let scale = f64::from(inputs.shape.scale);
    let queries = |head: usize| -> Vec<Vec<f64>> {
        let query = |token: usize| {
            let mut row = inputs.query(lane.0, token, head).to_vec();
            rope.unrotate(&mut row, token);
            row.iter().map(|&x| f64::from(x) * scale).collect()
        };
        (sinks..end).map(query).collect()
    };
    let heads: Vec<Vec<Vec<f64>>> = (lane.1 * GROUP..(lane.1 + 1) * GROUP)
        .map(queries)
        .collect();
    let count = (end - sinks) as f64;
    let mean = |rows: &Vec<Vec<f64>>| -> Vec<f64> {
        (0..32)
            .map(|j| rows.iter().map(|row| row[j]).sum::<f64>() / count)
            .collect()
    };
    let means: Vec<Vec<f64>> = heads.iter().map(mean).collect();
    let mut covariance = vec![vec![0.0; 32]; 32];
    for (rows, mean) in heads.iter().zip(&means) {
        for row in rows {
            for i in 0..32 {
                for j in 0..32 {
                    covariance[i][j] +=
                        (row[i] - mean[i]) * (row[j] - mean[j]) / count / GROUP as f64;
                }
            }
        }
    }
    // Column j of the mean rotation is what it makes of the unit vector j.
    let mut rotation = vec![vec![0.0; 32]; 32];
    for at in end..end + future {
        for j in 0..32 {
            let mut unit = vec![0.0f32; 32];
            unit[j] = 1.0;
            rope.rotate(&mut unit, at);
            for i in 0..32 {
                rotation[i][j] += f64::from(unit[i]) / future as f64;
            }
        }
    }
    let times = |a: &[Vec<f64>], x: &[f64]| -> Vec<f64> {
        a.iter()
            .map(|row| row.iter().zip(x).map(|(a, x)| a * x).sum())
            .collect()
    };
    let half_rotated: Vec<Vec<f64>> = rotation.iter().map(|row| times(&covariance, row)).collect();
    let rotated: Vec<Vec<f64>> = half_rotated
        .iter()
        .map(|row| times(&rotation, row))
        .collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut expected = vec![0.0; held.len()];
    for mean in &means {
        let mean = times(&rotation, mean);
        let weight = |&t: &usize| {
            let key = rounded(inputs.key(lane.0, t, lane.1));
            let counts = if t < sinks { 0.0 } else { 1.0 };
            counts * (dot(&mean, &key) + dot(&key, &times(&rotated, &key)) / 2.0).exp()
        };
        let weights: Vec<f64> = held.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        for (sum, weight) in expected.iter_mut().zip(weights) {
            *sum += weight / total / GROUP as f64;
        }
    }
    let score = |(&t, expected): (&usize, f64)| {
        let value = norm(&rounded(inputs.value(lane.0, t, lane.1)));
        if t < sinks {
            f64::INFINITY
        } else {
            (expected + epsilon) * value
        }
    };
    held.iter().zip(expected).map(score).collect()
}

#[test]
fn expected_attention_keeps_what_gaussian_queries_to_come_would_look_at() {
    let strategy = ExpectedAttention {
        future: 20,
        evict_every: 1,
        ..ExpectedAttention::default()
    };
    // A mean of 2 heads and a covariance, 2376 bytes, are as much as 18 tokens.
    matches_greedy_within(
        64,
        strategy,
        |_| 1,
        |inputs, lane, held, _, newest| expected_attention(inputs, lane, held, newest + 1),
    );
}

#[test]
fn expected_attention_without_a_rotation_is_refused() {
    let strategy = Arc::new(ExpectedAttention::default());
    let error = Cache::builder(shape(), strategy).build().unwrap_err();
    let expected = "looks at queries before their rotary embedding";
    assert!(error.to_string().contains(expected), "{error}");
}

/// `SnapKV`'s score of all tokens before the last `window`.
fn snap(inputs: &Inputs, lane: (usize, usize), window: usize, kernel: usize) -> Vec<f64> {
    let prefix = inputs.tokens - window;
    let mut sum = vec![0.0; prefix];
    for query in prefix..inputs.tokens {
        let all: Vec<usize> = (0..=query).collect();
        for (sum, mass) in sum.iter_mut().zip(attention(inputs, lane, query, &all)) {
            *sum += mass;
        }
    }
    let half = kernel / 2;
    let pooled = |t: usize| {
        let near = &sum[t.saturating_sub(half)..(t + half + 1).min(prefix)];
        near.iter().copied().fold(0.0, f64::max)
    };
    (0..prefix).map(pooled).collect()
}

fn observation(window: usize, kernel: usize) -> Box<dyn Tracker> {
    let inner = Box::new(LastQueries { window });
    Box::new(Pooled {
        inner,
        kernel,
        ..Pooled::default()
    })
}

/// A prompt in two chunks: it is compressed at its end, by the last queries of the second.
fn prompted(strategy: impl Strategy + 'static, inputs: &Inputs) -> Cache {
    let mut cache = cache(strategy, Budget::Ratio(0.4));
    inputs.step(&mut cache, 0, 120, true);
    inputs.step(&mut cache, 120, inputs.tokens - 120, false);
    cache
}

/// The tokens before the window that a lane holds; the window must be whole.
fn before_window(cache: &Cache, lane: (usize, usize), tokens: usize, window: usize) -> Vec<usize> {
    let mut kept = held(cache, lane.0, lane.1);
    let newest = kept.split_off(kept.len() - window);
    assert_eq!(newest, (tokens - window..tokens).collect::<Vec<_>>());
    kept
}

/// Max pooling makes neighbours equal, so that several choices are as good: the worst kept must
/// be no worse than the best evicted.
fn is_best(scores: &[f64], kept: &[usize]) -> bool {
    let worst = kept
        .iter()
        .map(|&t| scores[t])
        .fold(f64::INFINITY, f64::min);
    let gone = (0..scores.len()).filter(|t| !kept.contains(t));
    gone.map(|t| scores[t]).all(|score| score <= worst + 1e-6)
}

#[test]
fn snapkv_keeps_what_the_end_of_the_prompt_looks_at() {
    let inputs = Inputs::new(shape(), 200, 5);
    for kernel in [1, 5] {
        let strategy = SnapKv {
            tracker: observation(8, kernel),
            evict_every: 1,
        };
        let cache = prompted(strategy, &inputs);
        for lane in lanes() {
            let kept = before_window(&cache, lane, 200, 8);
            assert!(
                (65..72).contains(&kept.len()),
                "{} of 80 tokens",
                kept.len()
            );
            assert!(is_best(&snap(&inputs, lane, 8, kernel), &kept), "{lane:?}");
        }
    }
}

#[test]
fn pyramidkv_gives_layers_an_arithmetic_series_of_snapkv_s_best() {
    let inputs = Inputs::new(shape(), 200, 6);
    let strategy = PyramidKv {
        tracker: observation(8, 5),
        evict_every: 1,
        ..PyramidKv::default()
    };
    let cache = prompted(strategy, &inputs);
    let kept: Vec<Vec<usize>> = lanes()
        .map(|lane| before_window(&cache, lane, 200, 8))
        .collect();
    let mean = kept.iter().map(Vec::len).sum::<usize>() as f64 / kept.len() as f64;
    for (lane, kept) in lanes().zip(&kept) {
        let expected = [2.0 * mean - mean / 20.0, mean, mean / 20.0][lane.0];
        assert!(
            (kept.len() as f64 - expected).abs() <= 1.0,
            "{} of {expected}",
            kept.len()
        );
        assert!(is_best(&snap(&inputs, lane, 8, 5), kept), "{lane:?}");
    }
}

#[test]
fn adakv_keeps_the_best_of_a_layer_and_a_floor_of_each_head() {
    let inputs = Inputs::new(shape(), 200, 7);
    let strategy = AdaKv {
        tracker: observation(8, 1),
        evict_every: 1,
        ..AdaKv::default()
    };
    let cache = prompted(strategy, &inputs);
    let mut ragged = false;
    for layer in 0..LAYERS {
        let kept: Vec<Vec<usize>> = (0..KV_HEADS)
            .map(|head| before_window(&cache, (layer, head), 200, 8))
            .collect();
        let total: usize = kept.iter().map(Vec::len).sum();
        let floor = total / KV_HEADS / 5;
        let scores: Vec<Vec<f64>> = (0..KV_HEADS)
            .map(|head| snap(&inputs, (layer, head), 8, 1))
            .collect();
        // Those that are safe count as infinitely good.
        let joint: Vec<f64> = scores
            .iter()
            .flat_map(|scores| {
                let safe = top(scores, floor);
                scores.iter().enumerate().map(move |(t, score)| {
                    if safe.contains(&t) {
                        f64::INFINITY
                    } else {
                        *score
                    }
                })
            })
            .collect();
        let expected = top(&joint, total);
        let actual: Vec<usize> = kept
            .iter()
            .enumerate()
            .flat_map(|(h, kept)| kept.iter().map(move |t| h * 192 + t))
            .collect();
        assert_eq!(actual, expected, "layer {layer}");
        ragged |= kept[0].len() != kept[1].len();
    }
    assert!(ragged, "heads of different lengths");
}

#[test]
fn lagkv_keeps_the_same_share_of_every_stretch() {
    let (lag, sinks, stretches) = (16, 4, 11);
    let inputs = Inputs::new(shape(), sinks + lag * (stretches + 1), 8);
    let mut cache = cache(
        LagKv {
            lag,
            sinks,
            evict_every: lag,
        },
        Budget::Ratio(0.5),
    );
    inputs.step(&mut cache, 0, inputs.tokens, false);
    for lane in lanes() {
        let held = held(&cache, lane.0, lane.1);
        assert_eq!(held[..sinks], [0, 1, 2, 3]);
        let mut counts = Vec::new();
        for start in (sinks..inputs.tokens - lag).step_by(lag) {
            let kept: Vec<usize> = held
                .iter()
                .filter(|t| (start..start + lag).contains(t))
                .map(|t| t - start)
                .collect();
            let key = |t: usize| rounded(inputs.key(lane.0, t, lane.1));
            let value = |t: usize| rounded(inputs.value(lane.0, t, lane.1));
            let keys = lag_scores(&(start..start + 2 * lag).map(key).collect::<Vec<_>>());
            let values = lag_scores(&(start..start + 2 * lag).map(value).collect::<Vec<_>>());
            let scores: Vec<f64> = keys.iter().zip(values).map(|(k, v)| k + v).collect();
            assert_eq!(kept, top(&scores, kept.len()), "{lane:?}, from {start}");
            counts.push(kept.len());
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        assert!(most - least <= 1 && *least > 2, "{counts:?}");
        let newest: Vec<usize> = (inputs.tokens - lag..inputs.tokens).collect();
        assert_eq!(held[held.len() - lag..], newest);
    }
}

/// Scores of the first half of `rows` against the second.
fn lag_scores(rows: &[Vec<f64>]) -> Vec<f64> {
    let (stretch, following) = rows.split_at(rows.len() / 2);
    let limit = |j: usize, pick: fn(f64, f64) -> f64| {
        following
            .iter()
            .map(|row| row[j])
            .reduce(pick)
            .expect("rows")
    };
    let deviation = |row: &Vec<f64>| {
        let scaled: Vec<f64> = (0..row.len())
            .map(|j| (row[j] - limit(j, f64::min)) / (limit(j, f64::max) - limit(j, f64::min)))
            .collect();
        let mean = scaled.iter().sum::<f64>() / scaled.len() as f64;
        let squares: f64 = scaled.iter().map(|x| (x - mean).powi(2)).sum();
        (squares / (scaled.len() - 1) as f64).sqrt().exp()
    };
    let weights: Vec<f64> = stretch.iter().map(deviation).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

#[test]
fn lagkv_leaves_alone_what_it_kept_while_the_budget_grows() {
    let inputs = Inputs::new(shape(), 600, 9);
    let mut cache = cache(
        LagKv {
            lag: 16,
            sinks: 4,
            evict_every: 16,
        },
        Budget::Ratio(0.5),
    );
    inputs.step(&mut cache, 0, 300, false);
    let before: Vec<Vec<usize>> = lanes().map(|(l, h)| held(&cache, l, h)).collect();
    for token in 300..600 {
        inputs.step(&mut cache, token, 1, false);
    }
    for (before, (layer, head)) in before.iter().zip(lanes()) {
        let after = held(&cache, layer, head);
        let old: Vec<&usize> = before.iter().filter(|t| **t < 280).collect();
        let lost = old.iter().filter(|t| !after.contains(t)).count();
        assert!(lost * 20 <= old.len(), "{lost} of {} lost", old.len());
    }
}

#[test]
fn random_eviction_keeps_a_sample_without_preference() {
    let inputs = Inputs::new(shape(), 1000, 10);
    let mut cache = cache(RandomEviction::default(), Budget::Ratio(0.5));
    for token in (0..1000).step_by(50) {
        inputs.step(&mut cache, token, 50, false);
    }
    let all: Vec<usize> = lanes().flat_map(|(l, h)| held(&cache, l, h)).collect();
    let early = all.iter().filter(|t| **t < 480).count() as f64;
    let late = all.iter().filter(|t| (480..960).contains(*t)).count() as f64;
    assert!(
        (early / late - 1.0).abs() < 0.1,
        "{early} early, {late} late"
    );
    assert_ne!(held(&cache, 0, 0), held(&cache, 0, 1), "lanes draw apart");
}

/// What is evicted is given back to the system: at the end of a prompt, and when heads that
/// compete trade rows later.
#[test]
fn allocated_bytes_fall_with_the_live_ones() {
    let strategies: [Box<dyn Strategy>; 5] = [
        Box::new(StreamingLlm::default()),
        Box::new(SnapKv::default()),
        Box::new(AdaKv::default()),
        Box::new(KeyDiff::default()),
        Box::new(LagKv::default()),
    ];
    for strategy in strategies {
        let inputs = Inputs::new(shape(), 1100, 12);
        let name = strategy.typetag_name();
        let builder = Cache::builder(shape(), Arc::from(strategy));
        let mut cache = builder.budget(Some(Budget::Tokens(300))).build().unwrap();
        inputs.step(&mut cache, 0, 500, true);
        inputs.step(&mut cache, 500, 500, true);
        let prompt = cache.memory();
        cache.end_step(false).unwrap();
        for token in 1000..1100 {
            let memory = cache.memory();
            assert!(
                memory.live_bytes * 3 < prompt.live_bytes,
                "{name}: {memory:?}"
            );
            assert!(
                memory.allocated_bytes * 4 < memory.live_bytes * 5,
                "{name}: {memory:?}"
            );
            inputs.step(&mut cache, token, 1, false);
        }
    }
}
