//! The attention that is observed is the attention that is given.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod common;

use common::{exact, text, tiny};
use smartkv_core::{Bits, Format, KvHook as _, TraceRecorder};
use smartkv_eval::{
    AttentionProfile, Bootstrap, NoProgress, ProfileOptions, WindowCount, Windows,
    attention_profile,
};
use smartkv_host::{LogitsFor, Model};

const WINDOWS: Windows = Windows {
    prefill: 40,
    score: 12,
    count: WindowCount::UpTo(2),
};

fn options(chunk: usize) -> ProfileOptions {
    ProfileOptions {
        windows: WINDOWS,
        prefix: Vec::new(),
        chunk,
        sinks: 4,
        recent: 16,
        blocks: 13,
        maps: vec![(1, 0)],
        lone: vec![Format::asymmetric(Bits::B3, 0)],
        lone_queries: 5,
        bootstrap: Bootstrap {
            resamples: 100,
            ..Bootstrap::default()
        },
    }
}

fn profile(model: &Model, options: &ProfileOptions) -> AttentionProfile {
    let mut cache = exact(model);
    attention_profile(model, &text(model), options, &mut cache, &NoProgress).expect("a profile")
}

/// A trace sums what each kv head's tokens receive; it is made by other code.
#[test]
fn received_attention_is_that_of_a_trace() {
    let model = tiny();
    let profile = profile(&model, &options(13));
    let ids = text(&model);
    for window in &profile.windows {
        let tokens = &ids[window.start..window.start + 52];
        assert_eq!(window.tokens, tokens);
        let mut cache = exact(&model);
        let shape = *cache.shape();
        let mut recorder = TraceRecorder::new(&mut cache, 40, 12).unwrap();
        model
            .forward(&[tokens], &mut recorder, LogitsFor::None, false)
            .unwrap();
        let trace = recorder.finish();
        let positions: Vec<u32> = (0..40).collect();
        for (layer, received) in window.received.iter().enumerate() {
            let heads: Vec<Vec<f32>> = (0..shape.kv_heads)
                .map(|head| trace.future(layer, head, 40, &positions))
                .collect();
            for (position, got) in received[..40].iter().enumerate() {
                let all: f32 = heads.iter().map(|head| head[position]).sum();
                let mean = all / 2.0;
                assert_eq!(shape.kv_heads, 2);
                assert!(
                    (got - mean).abs() < 1e-5,
                    "layer {layer}, token {position}: {got} {mean}"
                );
            }
        }
    }
}

#[test]
fn chunks_change_nothing_but_rounding_noise() {
    let model = tiny();
    let (one, many) = (profile(&model, &options(64)), profile(&model, &options(7)));
    for (a, b) in one.heads.iter().zip(&many.heads) {
        assert!(
            (a.entropy_nats - b.entropy_nats).abs() < 1e-3,
            "{a:?} {b:?}"
        );
        assert!((a.sinks + a.recent + a.middle - 1.0).abs() < 1e-6);
    }
    assert_eq!(
        (one.queries, one.prompt_tokens, one.window_tokens),
        (24, 40, 52)
    );
    // 13 blocks of 4 tokens, a map a layer and one of a head.
    assert_eq!(one.maps.len(), one.windows[0].received.len() + 1);
    assert!(
        one.maps
            .iter()
            .all(|map| map.block_tokens == 4 && map.rows.len() == 13)
    );
    assert_eq!(profile(&model, &options(7)), many);
}

#[test]
fn options_out_of_range_are_refused() {
    let model = tiny();
    let refused = |options: ProfileOptions| {
        let result = attention_profile(
            &model,
            &text(&model),
            &options,
            &mut exact(&model),
            &NoProgress,
        );
        result.unwrap_err().to_string()
    };
    let plain = options(13);
    let layer = refused(ProfileOptions {
        maps: vec![(2, 0)],
        ..plain.clone()
    });
    assert_eq!(layer, "layers = 2: expected 0 to 1");
    let blocks = refused(ProfileOptions {
        blocks: 0,
        ..plain.clone()
    });
    assert!(blocks.starts_with("blocks = 0"), "{blocks}");
    let group = refused(ProfileOptions {
        lone: vec![Format::asymmetric(Bits::B3, 7)],
        ..plain.clone()
    });
    assert!(group.contains("group_size 7 does not fit"), "{group}");
    let whole = refused(ProfileOptions {
        lone: vec![Format::per_channel(Bits::B4, 32)],
        ..plain
    });
    assert!(whole.contains("stored one by one"), "{whole}");
}
