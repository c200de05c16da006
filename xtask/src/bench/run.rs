//! What one program measured with one cache in one round, in the words both use.

use super::spread::median;
use anyhow::Context as _;
use serde_json::Value;

/// Times at one length of prompt.
#[derive(Debug, Clone)]
struct Stop {
    context: usize,
    prefill_s: f64,
    decode_s: Vec<f64>,
    /// Live bytes of the cache, where the program counts them.
    live_bytes: Option<f64>,
}

/// One turn of one program.
#[derive(Debug, Clone)]
pub(super) struct Run {
    stops: Vec<Stop>,
    /// Reading rate of memory right after the turn, where the program measures it.
    memory_gb_per_s: Option<f64>,
    /// As the program printed it.
    pub(super) raw: Value,
}

impl Run {
    /// Reads an object with `stops`.
    pub(super) fn parse(raw: Value) -> anyhow::Result<Self> {
        let stops = raw["stops"].as_array().context("no list of `stops`")?;
        let stops = stops.iter().map(stop).collect::<anyhow::Result<_>>()?;
        Ok(Self {
            stops,
            memory_gb_per_s: raw["memory_gb_per_s"].as_f64(),
            raw,
        })
    }

    fn stop(&self, context: usize) -> Option<&Stop> {
        self.stops.iter().find(|stop| stop.context == context)
    }

    /// Prompt tokens per second.
    pub(super) fn prefill(&self, context: usize) -> Option<f64> {
        Some(float(context) / self.stop(context)?.prefill_s)
    }

    /// Decoded tokens per second.
    pub(super) fn decode(&self, context: usize) -> Option<f64> {
        let times = &self.stop(context)?.decode_s;
        (!times.is_empty()).then(|| float(times.len()) / times.iter().sum::<f64>())
    }

    /// Median milliseconds of a token.
    pub(super) fn token_ms(&self, context: usize) -> Option<f64> {
        Some(median(&self.stop(context)?.decode_s)? * 1e3)
    }

    /// Milliseconds a token more for 1000 tokens of context more, between two contexts.
    pub(super) fn ms_a_1k_tokens(&self, from: usize, to: usize) -> Option<f64> {
        let more = self.token_ms(to)? - self.token_ms(from)?;
        (to > from).then(|| more / float(to - from) * 1e3)
    }

    /// Time that a token takes more at `to` than at `from`, in times of reading the cache's bytes
    /// that came in between at the measured rate of memory.
    pub(super) fn times_of_reading(&self, from: usize, to: usize) -> Option<f64> {
        let more_s = (self.token_ms(to)? - self.token_ms(from)?) / 1e3;
        let bytes = self.stop(to)?.live_bytes? - self.stop(from)?.live_bytes?;
        let reading_s = bytes / (self.memory_gb_per_s? * 1e9);
        (reading_s > 0.0).then(|| more_s / reading_s)
    }
}

fn stop(value: &Value) -> anyhow::Result<Stop> {
    let context = value["context"]
        .as_u64()
        .context("a stop without `context`")?;
    let times = value["decode_s"]
        .as_array()
        .context("a stop without `decode_s`")?;
    Ok(Stop {
        context: usize::try_from(context)?,
        prefill_s: value["prefill_s"]
            .as_f64()
            .context("a stop without `prefill_s`")?,
        decode_s: times.iter().filter_map(Value::as_f64).collect(),
        live_bytes: value["cache"]["live_bytes"].as_f64(),
    })
}

#[expect(clippy::cast_precision_loss, reason = "token counts")]
fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn speeds_and_slopes() {
        let stop = |context: usize, token_s: f64, bytes: u64| {
            json!({
                "context": context, "prefill_s": 2.0, "decode_s": [token_s, token_s],
                "cache": { "live_bytes": bytes },
            })
        };
        let stops = [stop(100, 0.010, 0), stop(2100, 0.014, 10_000_000)];
        let run = Run::parse(json!({ "stops": stops, "memory_gb_per_s": 10.0 })).unwrap();
        let near = |value: Option<f64>, expected: f64| (value.unwrap() - expected).abs() < 1e-9;
        assert!(near(run.prefill(100), 50.0));
        assert!(near(run.decode(100), 100.0));
        assert!(near(run.token_ms(2100), 14.0));
        assert!(near(run.ms_a_1k_tokens(100, 2100), 2.0));
        // 10 MB in 1 ms at 10 GB/s; it took 4.
        assert!(near(run.times_of_reading(100, 2100), 4.0));
        assert_eq!(run.decode(7), None);
        assert!(Run::parse(json!({})).is_err());
    }
}
