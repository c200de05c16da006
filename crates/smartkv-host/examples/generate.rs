//! Continues a text with a model and says how fast.
//!
//! ```text
//! cargo run --release -p smartkv-host --example generate -- MODEL "Once upon a time" 64 f32
//! ```
//!
//! MODEL is a `.gguf` file or a Hugging Face folder; the number of new tokens and the weight mode
//! may be left out.

use smartkv_host::{LoadOptions, LogitsFor, Model, PlainCache, argmax};
use std::error::Error;
use std::io::Write;
use std::time::Instant;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, text, rest @ ..] = arguments.as_slice() else {
        return Err("usage: generate MODEL TEXT [TOKENS [auto|quantized|f32|f16]]".into());
    };
    let count: usize = rest.first().map_or(Ok(64), |count| count.parse())?;
    let weights = rest
        .get(1)
        .map_or(Ok(Default::default()), |mode| mode.parse())?;

    let start = Instant::now();
    let model = Model::load(path, LoadOptions { weights })?;
    eprintln!(
        "loaded {} MB in {:.2?}",
        model.weight_bytes() / 1_000_000,
        start.elapsed()
    );

    let prompt = model.tokenizer().encode(text, true)?;
    let mut cache = PlainCache::new(model.cache_shape(1)?);
    let start = Instant::now();
    let mut logits = model.prefill(&[&prompt], &mut cache, 512, LogitsFor::Last)?;
    let prefill = start.elapsed();

    let start = Instant::now();
    let mut stream = model.tokenizer().stream();
    for _ in 0..count {
        let next = argmax(logits.row(0, 0))?;
        print!("{}", stream.push(next)?);
        std::io::stdout().flush()?;
        if model.tokenizer().is_eos(next) {
            break;
        }
        logits = model.forward(&[&[next]], &mut cache, LogitsFor::Last, false)?;
    }
    println!("{}", stream.finish()?);
    let decode = start.elapsed();
    eprintln!(
        "prefill {} tokens: {:.1} tokens/s; decode {count} at most: {:.1} tokens/s",
        prompt.len(),
        prompt.len() as f64 / prefill.as_secs_f64(),
        count as f64 / decode.as_secs_f64()
    );
    Ok(())
}
