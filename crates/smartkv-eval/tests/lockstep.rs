//! Perplexity and fidelity on a tiny model, against caches that are known to be right or wrong.
#![expect(clippy::float_cmp, reason = "an exact cache gives exact ratios")]

mod common;

use common::{Grid, SpoilsLater, WINDOWS, exact, options, run, text, tiny};
use smartkv_eval::perplexity::log_prob;
use smartkv_eval::{Protocol, Windows};
use smartkv_host::LogitsFor;

#[test]
fn a_cache_has_no_distance_from_itself() {
    let model = tiny();
    let result = run(
        &model,
        &options(Protocol::Decode, WINDOWS),
        &mut exact(&model),
    );
    let fidelity = result.candidate.unwrap();
    assert!(fidelity.kl_nats.max < 1e-9, "{}", fidelity.kl_nats.max);
    assert_eq!(fidelity.perplexity_ratio, 1.0);
    assert_eq!(
        fidelity.perplexity_ratio_interval.map(|i| (i.low, i.high)),
        Some((1.0, 1.0))
    );
    assert_eq!(fidelity.perplexity, result.reference);
    assert_eq!(
        (fidelity.top1_agreement.mean, fidelity.tokens.top5_overlap),
        (1.0, 1.0)
    );
    assert_eq!(fidelity.tokens.rms_delta_p, 0.0);
    assert_eq!(fidelity.kl_nats.n, 3 * 24);
}

#[test]
fn a_second_exact_cache_differs_by_rounding_only() {
    let model = tiny();
    let mut other = SpoilsLater::new(&model, Grid(0.0));
    let result = run(&model, &options(Protocol::Decode, WINDOWS), &mut other);
    let fidelity = result.candidate.unwrap();
    assert!(fidelity.kl_nats.max < 1e-7, "{}", fidelity.kl_nats.max);
    assert!(
        (fidelity.perplexity_ratio - 1.0).abs() < 1e-5,
        "{}",
        fidelity.perplexity_ratio
    );
}

#[test]
fn coarser_caches_diverge_more() {
    let model = tiny();
    let options = options(Protocol::Decode, WINDOWS);
    let kl = [0.1, 0.4, 1.6].map(|grid| {
        let result = run(&model, &options, &mut SpoilsLater::new(&model, Grid(grid)));
        result.candidate.unwrap().mean_kl_nats.mean
    });
    assert!(kl[0] > 1e-6 && kl[0] < kl[1] && kl[1] < kl[2], "{kl:?}");
}

/// The trap this crate avoids: in one forward, nothing is read back from the cache.
#[test]
fn decoding_reads_the_cache_and_one_forward_does_not() {
    let model = tiny();
    let windows = Windows {
        prefill: 0,
        ..WINDOWS
    };
    let kl = |protocol| {
        let mut spoilt = SpoilsLater::new(&model, Grid(0.4));
        let result = run(&model, &options(protocol, windows), &mut spoilt);
        result.candidate.unwrap().mean_kl_nats.mean
    };
    let (one_by_one, chunked) = (kl(Protocol::Decode), kl(Protocol::Chunked(6)));
    let at_once = kl(Protocol::Chunked(windows.score));
    assert!(one_by_one > 1e-4, "{one_by_one}");
    assert!(
        chunked > 1e-4 && chunked < one_by_one,
        "{chunked} {one_by_one}"
    );
    assert!(at_once < 1e-7, "{at_once}");
}

/// Only the prompt is spoilt when nothing is decoded after it, and every prediction sees it.
#[test]
fn the_first_prediction_reads_the_compressed_prompt() {
    let model = tiny();
    let windows = Windows {
        score: 1,
        ..WINDOWS
    };
    let mut spoilt = SpoilsLater::new(&model, Grid(0.4));
    let result = run(&model, &options(Protocol::Decode, windows), &mut spoilt);
    let first = |window: usize| result.windows[window].tokens[0].candidate.unwrap().kl_nats;
    assert!((0..3).all(|window| first(window) > 1e-6));
}

#[test]
fn chunks_change_nothing_for_an_exact_cache() {
    let model = tiny();
    let decode = run(
        &model,
        &options(Protocol::Decode, WINDOWS),
        &mut exact(&model),
    );
    for chunk in [1, 5, 24, 100] {
        let chunked = run(
            &model,
            &options(Protocol::Chunked(chunk), WINDOWS),
            &mut exact(&model),
        );
        for (a, b) in decode.windows.iter().zip(&chunked.windows) {
            for (a, b) in a.tokens.iter().zip(&b.tokens) {
                assert_eq!((a.position, a.token), (b.position, b.token));
                assert!((a.reference_nll_nats - b.reference_nll_nats).abs() < 1e-4);
            }
        }
        let difference = decode.reference.mean_nll_nats - chunked.reference.mean_nll_nats;
        assert!(difference.abs() < 1e-5, "chunk {chunk}: {difference}");
    }
}

#[test]
fn perplexity_equals_a_direct_computation() {
    let model = tiny();
    let text = text(&model);
    let mut options = options(Protocol::Decode, WINDOWS);
    options.prefix = vec![model.tokenizer().bos().unwrap()];
    let result = run(&model, &options, &mut exact(&model));
    let mut all = Vec::new();
    for window in &result.windows {
        let end = window.start + WINDOWS.prefill + WINDOWS.score;
        let tokens = [options.prefix.as_slice(), &text[window.start..end]].concat();
        let logits = model
            .forward(
                &[tokens.as_slice()],
                &mut exact(&model),
                LogitsFor::All,
                false,
            )
            .unwrap();
        let nll: Vec<f64> = (window.start + WINDOWS.prefill..end)
            .map(|at| -log_prob(logits.row(0, at - window.start + 1), text[at + 1]).unwrap())
            .collect();
        for (record, want) in window.tokens.iter().zip(&nll) {
            assert!((record.reference_nll_nats - want).abs() < 1e-4);
        }
        all.extend(nll);
    }
    let perplexity = (all.iter().sum::<f64>() / 72.0).exp();
    let relative = result.reference.perplexity / perplexity - 1.0;
    assert_eq!((all.len(), result.reference.scored_tokens), (72, 72));
    assert!(
        relative.abs() < 1e-5,
        "{} {perplexity}",
        result.reference.perplexity
    );
}
