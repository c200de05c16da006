//! The error of attention outputs, layer by layer.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use common::{Grid, SpoilsLater, WINDOWS, exact, options, text, tiny};
use smartkv_eval::{LayerError, NoProgress, Protocol, attention_errors};

fn errors(grid: f32, protocol: Protocol) -> Vec<LayerError> {
    let model = tiny();
    let options = options(protocol, WINDOWS);
    let (mut reference, mut spoilt) = (exact(&model), SpoilsLater::new(&model, Grid(grid)));
    let text = text(&model);
    let (reference, spoilt) = (&mut reference, &mut spoilt);
    attention_errors(&model, &text, &options, reference, spoilt, &NoProgress).unwrap()
}

#[test]
fn an_exact_cache_errs_nowhere() {
    let model = tiny();
    for protocol in [Protocol::Decode, Protocol::Chunked(3)] {
        let layers = errors(0.0, protocol);
        assert_eq!(layers.len(), model.description().layers);
        for (index, layer) in layers.iter().enumerate() {
            assert_eq!(layer.layer, index);
            assert!(layer.relative < 1e-6, "{layer:?}");
            assert!((layer.cosine - 1.0).abs() < 1e-6, "{layer:?}");
            let tokens = layer.outputs / model.description().q_heads;
            assert!(tokens > 0 && tokens.is_multiple_of(WINDOWS.score));
        }
    }
}

#[test]
fn coarser_caches_err_more_in_every_layer() {
    let (fine, coarse) = (errors(0.1, Protocol::Decode), errors(0.6, Protocol::Decode));
    for (fine, coarse) in fine.iter().zip(&coarse) {
        assert!(fine.relative > 1e-4, "{fine:?}");
        assert!(coarse.relative > 2.0 * fine.relative, "{fine:?} {coarse:?}");
        assert!(coarse.cosine < fine.cosine);
    }
}
