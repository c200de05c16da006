//! Numbers of an evaluation: bytes, predictions, needles.

use super::{Better, Kind, Measurement, Metric, Reading, Sample, Scale, model_key, number};
use crate::store::CellRecord;
use serde_json::Value;

/// Where the samples of a number stand.
#[derive(Clone, Copy)]
enum Of {
    /// It has none.
    Nothing,
    /// In each window.
    Window(&'static str),
    /// In each window, the first less the second.
    Less(&'static str, &'static str),
    /// In each needle prompt.
    Needle(&'static str),
}

/// One number: its name, unit, direction and place, and where its samples are.
struct Field(&'static str, &'static str, Better, &'static str, Of);

const BYTES: [Field; 9] = {
    use Better::{Lower, Neither};
    [
        Field("ratio", "", Lower, "/cache/ratio", Of::Nothing),
        Field("max_ratio", "", Lower, "/cache/max_ratio", Of::Nothing),
        Field(
            "live_bytes",
            "bytes",
            Lower,
            "/cache/live_bytes",
            Of::Nothing,
        ),
        Field(
            "bytes_per_token",
            "bytes",
            Lower,
            "/cache/bytes_per_token",
            Of::Nothing,
        ),
        Field(
            "peak_bytes",
            "bytes",
            Lower,
            "/cache/peak_bytes",
            Of::Nothing,
        ),
        Field(
            "payload_bytes",
            "bytes",
            Neither,
            "/cache/payload_bytes",
            Of::Nothing,
        ),
        Field(
            "metadata_bytes",
            "bytes",
            Neither,
            "/cache/metadata_bytes",
            Of::Nothing,
        ),
        Field(
            "window_bytes",
            "bytes",
            Neither,
            "/cache/window_bytes",
            Of::Nothing,
        ),
        Field(
            "policy_bytes",
            "bytes",
            Neither,
            "/cache/policy_bytes",
            Of::Nothing,
        ),
    ]
};

/// At most 0.
const LOG_PROB: &str = "needle_log_prob";

const QUALITY: [Field; 10] = {
    use Better::{Higher, Lower};
    [
        Field(
            "kl_mean",
            "nats",
            Lower,
            "/quality/kl_mean",
            Of::Window("/fidelity/mean_kl_nats"),
        ),
        Field(
            "kl_median",
            "nats",
            Lower,
            "/quality/kl_median",
            Of::Nothing,
        ),
        Field("kl_p95", "nats", Lower, "/quality/kl_p95", Of::Nothing),
        Field("kl_p99", "nats", Lower, "/quality/kl_p99", Of::Nothing),
        Field("kl_max", "nats", Lower, "/quality/kl_max", Of::Nothing),
        Field(
            "top1_agreement",
            "",
            Higher,
            "/quality/top1_agreement",
            Of::Window("/fidelity/top1_agreement"),
        ),
        Field(
            "top5_overlap",
            "",
            Higher,
            "/quality/top5_overlap",
            Of::Window("/fidelity/top5_overlap"),
        ),
        Field(
            "confident_top1_agreement",
            "",
            Higher,
            "/quality/confident_top1_agreement",
            Of::Nothing,
        ),
        Field(
            "needle_accuracy",
            "",
            Higher,
            "/tasks/needle/accuracy",
            Of::Needle("/correct"),
        ),
        Field(
            LOG_PROB,
            "nats/token",
            Higher,
            "/tasks/needle/gold_log_prob_per_token",
            Of::Needle("/gold_log_prob_per_token_nats"),
        ),
    ]
};

/// Of exponentials.
const PERPLEXITY: [Field; 3] = [
    Field(
        "perplexity",
        "",
        Better::Lower,
        "/quality/perplexity",
        Of::Window("/fidelity/mean_nll_nats"),
    ),
    Field(
        "perplexity_f16",
        "",
        Better::Neither,
        "/quality/perplexity_f16",
        Of::Window("/nll_f16"),
    ),
    Field(
        "perplexity_ratio",
        "",
        Better::Lower,
        "/quality/perplexity_ratio",
        Of::Less("/fidelity/mean_nll_nats", "/nll_f16"),
    ),
];

/// All numbers, and whether the strategy is simulated.
pub(super) fn read(cell: &CellRecord) -> (Vec<Measurement>, bool) {
    let storage = cell
        .result
        .pointer("/cache/storage")
        .and_then(Value::as_str);
    let simulated = storage == Some("simulated");
    let tables: [(&[Field], Kind, Scale); 3] = [
        (&BYTES, Kind::Memory, Scale::Mean),
        (&QUALITY, Kind::Quality, Scale::Mean),
        (&PERPLEXITY, Kind::Quality, Scale::ExpMean),
    ];
    let mut all = Vec::new();
    for (fields, kind, scale) in tables {
        for &Field(name, unit, better, place, of) in fields {
            // The bytes of a simulated strategy are those of f16.
            let reading = if simulated && kind == Kind::Memory {
                Some(Reading::Simulated)
            } else {
                number(&cell.result, place).map(Reading::Number)
            };
            let Some(reading) = reading else { continue };
            all.push(Measurement {
                metric: Metric {
                    name: name.into(),
                    unit,
                    better,
                    kind,
                    scale,
                    answers: matches!(of, Of::Needle("/correct")),
                    signed: name == LOG_PROB,
                    repeats: true,
                },
                reading,
                samples: samples(cell, of).unwrap_or_default(),
            });
        }
    }
    (all, simulated)
}

/// All samples, or none where one lacks the value: a mean over the rest would be another number.
fn samples(cell: &CellRecord, of: Of) -> Option<Vec<Sample>> {
    let (list, key): (_, fn(&CellRecord, &Value) -> Option<String>) = match of {
        Of::Nothing => return None,
        Of::Window(_) | Of::Less(..) => ("windows", window),
        Of::Needle(_) => ("needle", needle),
    };
    let list = cell.result.pointer("/samples")?.get(list)?.as_array()?;
    let sample = |one: &Value| {
        Some(Sample {
            key: key(cell, one)?,
            part: 0,
            value: value(one, of)?,
        })
    };
    list.iter().map(sample).collect()
}

fn value(one: &Value, of: Of) -> Option<f64> {
    match of {
        Of::Nothing => None,
        Of::Window(place) => number(one, place),
        Of::Less(place, other) => Some(number(one, place)? - number(one, other)?),
        Of::Needle(place) => match one.pointer(place)? {
            Value::Bool(correct) => Some(f64::from(u8::from(*correct))),
            _ => number(one, place),
        },
    }
}

/// A window is its tokens: the text, the place in it, and how many are read and scored.
fn window(cell: &CellRecord, window: &Value) -> Option<String> {
    let protocol = cell.result.get("protocol")?;
    Some(format!(
        "window {} {} {}+{} @{}",
        model_key(cell),
        protocol.get("text_sha256")?.as_str()?,
        protocol.get("prefill_tokens")?,
        protocol.get("score_tokens")?,
        window.get("start")?,
    ))
}

/// A needle prompt is its place in the grid, and what is hidden.
fn needle(cell: &CellRecord, needle: &Value) -> Option<String> {
    Some(format!(
        "needle {} {}@{}#{} {}={}",
        model_key(cell),
        needle.get("length_tokens")?,
        needle.get("depth_percent")?,
        needle.get("sample")?,
        needle.get("key")?,
        needle.get("value")?,
    ))
}
