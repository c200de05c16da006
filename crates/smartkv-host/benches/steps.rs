//! The host alone: time of a prompt and of a decoded token with nothing behind attention.
//!
//! `cargo bench -p smartkv-host --bench steps -- MODEL [ROUNDS] [WEIGHTS]`
//!
//! Processor time is printed beside wall time: it says what a disturbed machine would do if it
//! were not, apart from threads that wait for each other.
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]
#![allow(missing_docs)]

use smartkv_core::{AttnStep, CacheShape, KvHook};
use smartkv_host::{LoadOptions, LogitsFor, Model};
use std::time::{Duration, Instant};

const PROMPT: usize = 512;
const DECODED: usize = 100;

/// Gives queries back as the outcome of attention.
struct Nothing {
    shape: CacheShape,
    seen: usize,
    step: usize,
}

impl KvHook for Nothing {
    fn shape(&self) -> &CacheShape {
        &self.shape
    }

    fn seen(&self, _: usize) -> usize {
        self.seen
    }

    fn attend(&mut self, step: AttnStep<'_>, out: &mut [f32]) -> smartkv_core::Result<()> {
        self.step = step.lens[0];
        out.copy_from_slice(step.q);
        Ok(())
    }

    fn end_step(&mut self, _: bool) -> smartkv_core::Result<()> {
        self.seen += self.step;
        Ok(())
    }

    fn reset(&mut self) {
        self.seen = 0;
    }
}

/// Processor time of this process, where the system tells it.
fn processor() -> Duration {
    let ticks = std::fs::read_to_string("/proc/self/stat")
        .ok()
        .and_then(|stat| {
            let fields = stat.rsplit(')').next()?.split_whitespace();
            fields
                .skip(11)
                .take(2)
                .map(|t| t.parse::<u64>().ok())
                .sum::<Option<u64>>()
        });
    Duration::from_millis(10 * ticks.unwrap_or(0))
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let path = args.next().expect("the path of a model");
    let rounds = args
        .next()
        .map_or(5, |rounds| rounds.parse().expect("a number"));
    let weights = args
        .next()
        .map_or_else(Default::default, |w| w.parse().expect("a mode"));
    let start = Instant::now();
    let model = Model::load(path, LoadOptions { weights }).expect("a model");
    println!(
        "loaded in {:.2} s, {} MB, {} threads",
        start.elapsed().as_secs_f64(),
        model.weight_bytes() / 1_000_000,
        rayon::current_num_threads()
    );
    let tokens: Vec<u32> = (0..PROMPT as u32).map(|i| i * 37 % 9000).collect();
    let mut hook = Nothing {
        shape: model.cache_shape(1).expect("a shape"),
        seen: 0,
        step: 0,
    };
    for _ in 0..rounds {
        hook.reset();
        let time = |run: &mut dyn FnMut()| {
            let (wall, cpu) = (Instant::now(), processor());
            run();
            (
                wall.elapsed().as_secs_f64(),
                (processor() - cpu).as_secs_f64(),
            )
        };
        let (wall, cpu) = time(&mut || {
            let logits = model.prefill(&[&tokens], &mut hook, 256, LogitsFor::Last);
            logits.expect("a prompt");
        });
        print!(
            "prompt {:7.1} tokens/s, {:6.3} ms of processor each",
            PROMPT as f64 / wall,
            1e3 * cpu / PROMPT as f64
        );
        let (wall, cpu) = time(&mut || {
            for token in &tokens[..DECODED] {
                let logits = model.forward(&[&[*token]], &mut hook, LogitsFor::Last, false);
                logits.expect("a token");
            }
        });
        println!(
            "; decode {:6.1} tokens/s, {:6.3} ms",
            DECODED as f64 / wall,
            1e3 * cpu / DECODED as f64
        );
    }
}
