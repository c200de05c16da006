use super::*;
use crate::description::{LayerAttention, RopeScaling};

fn config(kind: &str, extra: &str) -> String {
    format!(
        r#"{{"model_type": "{kind}", "num_hidden_layers": 4, "hidden_size": 64,
        "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2,
        "vocab_size": 300, "rms_norm_eps": 1e-5{extra}}}"#
    )
}

fn read_as(kind: &str, extra: &str) -> Result<Description> {
    from_hf(Path::new("config.json"), &config(kind, extra))
}

fn read(extra: &str) -> Result<Description> {
    read_as("llama", extra)
}

fn windows(description: &Description) -> Vec<Option<usize>> {
    description.attention.iter().map(|a| a.window).collect()
}

#[test]
fn defaults_are_those_of_llama_config() {
    let description = read("").unwrap();
    assert_eq!(
        (description.head_dim, description.context_length),
        (16, 2048)
    );
    assert_eq!(description.ropes[0].base, 10_000.0);
    assert!(!description.ropes[0].interleaved && !description.tied_head);
    assert_eq!(description.attention_scale, 0.25);
    let all = LayerAttention {
        window: None,
        rope: Some(0),
    };
    assert_eq!(description.attention, [all; 4]);
}

#[test]
fn both_spellings_of_llama3_scaling_are_read() {
    let scaling = r#""rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0,
        "high_freq_factor": 4.0, "original_max_position_embeddings": 8192"#;
    let old = read(&format!(
        r#", "rope_theta": 5e5, "rope_scaling": {{{scaling}}}"#
    ))
    .unwrap();
    let new = read(&format!(
        r#", "rope_parameters": {{"rope_theta": 5e5, {scaling}}}"#
    ))
    .unwrap();
    assert_eq!(old, new);
    assert_eq!(
        old.ropes[0].scaling,
        RopeScaling::Llama3 {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_context: 8192
        }
    );
}

#[test]
fn layers_have_the_windows_of_their_architecture() {
    let window = |kind: &str, extra: &str| windows(&read_as(kind, extra).unwrap());
    let none = [None; 4];
    assert_eq!(window("mistral", ""), [Some(4096); 4]);
    assert_eq!(window("mistral", r#", "sliding_window": null"#), none);
    assert_eq!(window("phi3", r#", "sliding_window": 7"#), [Some(7); 4]);
    assert_eq!(window("phi3", ""), none);
    assert_eq!(window("qwen2", r#", "sliding_window": 7"#), none);
    let some = r#", "use_sliding_window": true, "sliding_window": 7, "max_window_layers": 3"#;
    assert_eq!(window("qwen3", some), [None, None, None, Some(7)]);
    let w = Some(4096);
    assert_eq!(window("gemma2", ""), [w, None, w, None]);
    assert_eq!(window("gemma3_text", ""), [w; 4]);
    let pattern = r#", "sliding_window_pattern": 2, "sliding_window": 9"#;
    let gemma = read_as("gemma3_text", pattern).unwrap();
    assert_eq!(windows(&gemma), [Some(9), None, Some(9), None]);
    let ropes: Vec<_> = gemma.attention.iter().map(|a| a.rope).collect();
    assert_eq!(ropes, [Some(1), Some(0), Some(1), Some(0)]);
    assert_eq!((gemma.ropes[0].base, gemma.ropes[1].base), (1e6, 1e4));
    let listed = r#", "layer_types": ["full_attention", "sliding_attention", "full_attention",
        "full_attention"], "sliding_window": 5"#;
    assert_eq!(window("gemma2", listed), [None, Some(5), None, None]);
    assert!(read_as("gemma2", r#", "layer_types": ["full_attention"]"#).is_err());
    assert!(read_as("mistral", r#", "sliding_window": 0"#).is_err());
    assert!(read_as("mistral", r#", "sliding_window": "all""#).is_err());
}

#[test]
fn a_decoder_that_also_sees_images_is_described_apart() {
    let text = r#"{"model_type": "gemma3", "text_config": {"hidden_size": 2560,
        "intermediate_size": 10240, "model_type": "gemma3_text", "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024},
        "vision_config": {}}"#;
    let description = from_hf(Path::new("config.json"), text).unwrap();
    assert_eq!((description.q_heads, description.kv_heads), (8, 4));
    assert_eq!((description.head_dim, description.vocab), (256, 262_208));
    let scaling = |rope: usize| description.ropes[rope].scaling.clone();
    assert_eq!(scaling(0), RopeScaling::Linear { factor: 8.0 });
    assert_eq!(scaling(1), RopeScaling::None);
    assert_eq!(description.attention[5].window, None);
    assert_eq!(description.attention[6].window, Some(1024));
}

#[test]
fn what_is_not_supported_is_named_with_what_is() {
    let mamba = r#"{"model_type": "mamba"}"#;
    let error = from_hf(Path::new("config.json"), mamba).unwrap_err();
    assert_eq!(
        error.to_string(),
        "config.json: architecture `mamba` is not supported"
    );
    assert_eq!(
        error.hints(),
        [
            "supported architecture: llama, mistral, qwen2, qwen3, phi3, gemma2, gemma3_text, \
          gemma3, gpt2"
        ]
    );
    let error = read(r#", "rope_scaling": {"type": "mrope", "factor": 4.0}"#).unwrap_err();
    assert!(error.to_string().contains("`mrope`"));
    assert!(read(r#", "hidden_act": "relu2""#).is_err());
    assert!(read(r#", "partial_rotary_factor": 0.5"#).is_err());
    let error = from_hf(Path::new("config.json"), r#"{"model_type": "llama"}"#).unwrap_err();
    assert!(error.to_string().contains("missing `num_attention_heads`"));
}

#[test]
fn numbers_no_model_has_are_refused() {
    for extra in [
        r#", "head_dim": 0"#,
        r#", "head_dim": 12"#,
        r#", "rope_theta": -1.0"#,
        r#", "max_position_embeddings": 0"#,
        r#", "max_position_embeddings": 1.5"#,
        r#", "rope_scaling": {"rope_type": "linear", "factor": 0.0}"#,
        r#", "rope_scaling": {"rope_type": "llama3", "factor": 8.0}"#,
        r#", "rope_scaling": {"rope_type": "dynamic"}"#,
        r#", "rope_scaling": {"rope_type": "yarn", "factor": -2.0}"#,
        r#", "rope_scaling": {"rope_type": "su", "short_factor": [1.0], "long_factor": [1.0]}"#,
        r#", "rope_scaling": {"rope_type": "longrope", "short_factor": [1.0]}"#,
        r#", "rope_scaling": 4"#,
    ] {
        assert!(read(extra).is_err(), "{extra}");
    }
}
