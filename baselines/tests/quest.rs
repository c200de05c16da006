//! `Quest` reads the pages that its paper's bound selects, written out.
#![allow(clippy::cast_precision_loss, reason = "small counts")]

use half::f16;
use smartkv_baselines::f16::FullPrecision;
use smartkv_baselines::quest::Quest;
use smartkv_core::contract::{self, Inputs, dense_attention};
use smartkv_core::{Budget, Cache, CacheShape, KvHook as _, MeasuredHook as _, Strategy};
use std::sync::Arc;

const LAYERS: usize = 3;
const GROUP: usize = 3;

fn shape() -> CacheShape {
    CacheShape::new(LAYERS, 1, 2 * GROUP, 2, 32).expect("a shape")
}

fn cache(strategy: impl Strategy + 'static) -> Cache {
    let builder = Cache::builder(shape(), Arc::new(strategy));
    builder.build().expect("a cache")
}

fn quest(token_budget: usize, full_layers: usize) -> Quest {
    Quest {
        token_budget,
        full_layers,
        ..Quest::default()
    }
}

fn rounded(row: &[f32]) -> Vec<f64> {
    let narrow = |&x: &f32| f64::from(f16::from_f32(x).to_f32());
    row.iter().map(narrow).collect()
}

/// The last layer's output for `token`, over the tokens of the pages with the largest bounds and
/// all after the last whole page.
fn selected(inputs: &Inputs, token: usize, pages: usize) -> Vec<f64> {
    let layer = LAYERS - 1;
    let scale = f64::from(inputs.shape.scale);
    let mut out = Vec::new();
    for head in 0..2 {
        let keys: Vec<Vec<f64>> = (0..=token)
            .map(|t| rounded(inputs.key(layer, t, head)))
            .collect();
        let queries: Vec<&[f32]> = (head * GROUP..(head + 1) * GROUP)
            .map(|q_head| inputs.query(layer, token, q_head))
            .collect();
        // The token itself is in the window, not in a page.
        let whole = token / 16;
        let bound = |page: usize| {
            let rows = &keys[page * 16..(page + 1) * 16];
            let channel = |query: &[f32], j: usize| {
                let column = || rows.iter().map(|row| row[j] * f64::from(query[j]));
                let (least, most) = (
                    rows.iter().map(|row| row[j]).fold(f64::INFINITY, f64::min),
                    rows.iter()
                        .map(|row| row[j])
                        .fold(f64::NEG_INFINITY, f64::max),
                );
                let query = f64::from(query[j]);
                let bound = (query * least).max(query * most);
                assert!(column().all(|x| x <= bound + 1e-9));
                bound
            };
            let over = |query: &&[f32]| (0..32).map(|j| channel(query, j)).sum::<f64>();
            queries.iter().map(over).fold(f64::NEG_INFINITY, f64::max)
        };
        let mut order: Vec<usize> = (0..whole).collect();
        order.sort_by(|&a, &b| bound(b).total_cmp(&bound(a)));
        order.truncate(pages);
        let mut read: Vec<usize> = order.iter().flat_map(|p| p * 16..(p + 1) * 16).collect();
        read.extend(whole * 16..=token);
        for query in &queries {
            let score = |t: &usize| {
                let dot: f64 = keys[*t]
                    .iter()
                    .zip(*query)
                    .map(|(k, q)| k * f64::from(*q))
                    .sum();
                (dot * scale).exp()
            };
            let weights: Vec<f64> = read.iter().map(score).collect();
            let total: f64 = weights.iter().sum();
            let mut mixed = vec![0.0; 32];
            for (t, weight) in read.iter().zip(&weights) {
                let value = rounded(inputs.value(layer, *t, head));
                mixed
                    .iter_mut()
                    .zip(value)
                    .for_each(|(sum, v)| *sum += weight / total * v);
            }
            out.extend(mixed);
        }
    }
    out
}

fn close(a: &[f32], b: &[f64]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| (f64::from(*a) - b).abs() < 1e-4)
}

#[test]
fn a_decoded_token_reads_the_pages_with_the_largest_bounds() {
    let (prompt, tokens) = (230, 280);
    let inputs = Inputs::new(shape(), tokens, 21);
    let dense = dense_attention(&inputs);
    let width = 2 * GROUP * 32;
    for pages in [0, 1, 3, 8] {
        let mut cache = cache(quest(16 * pages + 5, 2));
        inputs.step(&mut cache, 0, 100, true);
        let out = inputs.step(&mut cache, 100, prompt - 100, false);
        let exact: Vec<f64> = dense[100 * width..prompt * width]
            .iter()
            .map(|&x| x.into())
            .collect();
        let near = |(a, b): (&f32, &f64)| (f64::from(*a) - b).abs() < 4e-3;
        assert!(out.iter().zip(&exact).all(near), "prompts read everything");
        let mut differs = false;
        for token in prompt..tokens {
            let out = inputs.step(&mut cache, token, 1, false);
            let expected = selected(&inputs, token, pages);
            assert!(close(&out, &expected), "{pages} pages, token {token}");
            let exact = &dense[token * width..(token + 1) * width];
            differs |= exact.iter().zip(&out).any(|(a, b)| (a - b).abs() > 0.01);
        }
        assert!(differs, "{pages} pages of 14 are not all");
    }
}

#[test]
fn a_budget_for_everything_and_full_layers_are_full_attention() {
    let inputs = Inputs::new(shape(), 300, 22);
    let chunks: Vec<usize> = std::iter::once(250).chain([1; 50]).collect();
    let full = inputs.run(&mut cache(FullPrecision {}), &chunks);
    assert_eq!(inputs.run(&mut cache(quest(304, 0)), &chunks), full);
    assert_eq!(inputs.run(&mut cache(quest(16, LAYERS)), &chunks), full);
    assert_ne!(inputs.run(&mut cache(quest(16, 2)), &chunks), full);
}

#[test]
fn bounds_are_counted_where_they_are_kept() {
    let inputs = Inputs::new(shape(), 100, 23);
    for full_layers in [0, 2, 3] {
        let mut cache = cache(quest(64, full_layers));
        inputs.run(&mut cache, &[90, 1, 1]);
        let memory = cache.memory();
        // 5 whole pages of 92 tokens, 2 kv heads.
        let bounds = (LAYERS - full_layers) * 2 * 5 * 2 * 32 * 2;
        assert_eq!(memory.metadata_bytes, bounds as u64);
        assert_eq!(memory.live_bytes, memory.f16_bytes + bounds as u64);
        cache.reset();
        assert_eq!(cache.memory().live_bytes, 0);
    }
}

#[test]
fn few_pages_keep_the_contract() {
    let strategy: Arc<dyn Strategy> = Arc::new(quest(128, 1));
    contract::check(&strategy);
}

#[test]
fn what_saves_no_memory_holds_no_budget() {
    for budget in [Budget::Ratio(0.5), Budget::Ratio(1.0), Budget::Bits(16.0)] {
        let strategy = Arc::new(Quest::default());
        let builder = Cache::builder(shape(), strategy).budget(Some(budget));
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains("`quest` stores at least 1.06"), "{error}");
        assert!(
            error.ends_with("expected no budget, as it saves no memory"),
            "{error}"
        );
    }
    let odd = Quest {
        page_size: 24,
        ..Quest::default()
    };
    let error = Cache::builder(shape(), Arc::new(odd)).build().unwrap_err();
    assert!(error.to_string().contains("a multiple of 16"), "{error}");
}
