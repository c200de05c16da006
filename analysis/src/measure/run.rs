//! Numbers of a run, which do not repeat.

use super::{Better, Kind, Measurement, Metric, Reading, Scale, number};
use crate::store::RunRecord;
use serde_json::Value;

/// Its numbers; those of a simulated strategy, which computes on rows in f16, are none of a
/// compressed cache.
pub(super) fn read(run: &RunRecord, simulated: bool) -> Vec<Measurement> {
    let facts = Value::Object(run.facts.clone());
    let at = |place: &str| number(&facts, place);
    let decode = at("/speed/decode_tokens_per_s");
    let f16 = at("/reference_speed/decode_tokens_per_s").filter(|speed| *speed > 0.0);
    let numbers = [
        ("decode_tokens_per_s", "tokens/s", Better::Higher, decode),
        (
            "prefill_tokens_per_s",
            "tokens/s",
            Better::Higher,
            at("/speed/prefill_tokens_per_s"),
        ),
        // Against f16 in the same run, which ran beside it.
        (
            "decode_speedup",
            "",
            Better::Higher,
            decode.zip(f16).map(|(own, f16)| own / f16),
        ),
        ("seconds", "s", Better::Neither, at("/seconds")),
        // What the system gave for the cache's buffers, which depends on what ran before.
        (
            "allocated_bytes",
            "bytes",
            Better::Lower,
            at("/allocated_bytes"),
        ),
        (
            "peak_resident_bytes",
            "bytes",
            Better::Lower,
            at("/peak_resident_bytes"),
        ),
    ];
    let measurement = |(name, unit, better, value): (&str, _, _, Option<f64>)| {
        let value = Reading::Number(value?);
        Some(Measurement {
            metric: Metric {
                name: name.into(),
                unit,
                better,
                kind: if unit == "bytes" {
                    Kind::Memory
                } else {
                    Kind::Speed
                },
                scale: Scale::Mean,
                answers: false,
                signed: false,
                repeats: false,
            },
            reading: if simulated { Reading::Simulated } else { value },
            samples: Vec::new(),
        })
    };
    numbers.into_iter().filter_map(measurement).collect()
}
