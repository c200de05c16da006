//! How a lockstep run behaves: alone, repeated, observed, refused.

mod common;

use common::{Grid, SpoilsLater, Told, WINDOWS, exact, options, run, text, tiny};
use smartkv_core::KvHook;
use smartkv_eval::{
    LockstepOptions, Measured, NoProgress, Phase, Protocol, Subject, Unwatched, Watched, Windows,
    lockstep,
};

#[test]
fn the_reference_runs_alone() {
    let model = tiny();
    let mut options = options(Protocol::Decode, WINDOWS);
    options.keep_tokens = false;
    let together = run(&model, &options, &mut exact(&model));
    let (alone, timing) = lockstep(
        &model,
        &text(&model),
        &options,
        &mut Unwatched(&mut exact(&model)),
        None,
        &NoProgress,
    )
    .unwrap();
    assert_eq!(alone.reference, together.reference);
    assert!(alone.candidate.is_none() && timing.candidate.is_none());
    assert!(
        alone
            .windows
            .iter()
            .all(|w| w.candidate.is_none() && w.tokens.is_empty())
    );
}

#[test]
fn the_same_run_gives_the_same_bits() {
    let model = tiny();
    let options = options(Protocol::Chunked(4), WINDOWS);
    let json = || {
        let result = run(&model, &options, &mut SpoilsLater::new(&model, Grid(0.3)));
        serde_json::to_string(&result).unwrap()
    };
    let first = json();
    assert_eq!(first, json());
    for field in [
        "\"protocol\":\"chunked:4\"",
        "perplexity_ratio_interval",
        "p_two_sided",
    ] {
        assert!(first.contains(field), "{field}");
    }
    assert!(!first.contains("seconds"));
}

#[test]
fn observers_times_and_progress_see_every_step() {
    let model = tiny();
    let (mut reference, mut candidate) = (exact(&model), SpoilsLater::new(&model, Grid(0.3)));
    let mut steps = Vec::new();
    let mut watched = Watched::new(&mut reference, |cache, step| {
        steps.push((step.unit, step.phase, step.step, step.tokens, cache.seen(0)));
    });
    let mut measured = Measured::new(&mut candidate);
    let told = Told::default();
    let options = options(
        Protocol::Chunked(10),
        Windows {
            count: 2.into(),
            ..WINDOWS
        },
    );
    let subject: &mut dyn Subject = &mut watched;
    let (result, timing) = lockstep(
        &model,
        &text(&model),
        &options,
        subject,
        Some(&mut measured),
        &told,
    )
    .unwrap();
    assert_eq!(result.windows_measured, 2);
    // 40 prompt tokens by 13, then 24 scored by 10, in each of two windows.
    let sizes = [13, 13, 13, 1, 10, 10, 4, 13, 13, 13, 1, 10, 10, 4];
    assert_eq!(steps.iter().map(|step| step.3).collect::<Vec<_>>(), sizes);
    assert_eq!(steps[6], (0, Phase::Decode, 2, 4, 64));
    assert_eq!(steps[7], (1, Phase::Prefill, 0, 13, 13));
    let memory = measured.summary().unwrap();
    assert_eq!(
        (memory.steps, memory.mean_ratio, memory.peak_bytes),
        (6, 0.25, 193)
    );
    assert!((memory.mean_live_bytes - (150.0 + 180.0 + 192.0) / 3.0).abs() < 1e-9);
    assert_eq!(measured.samples().len(), 14);
    let decode = &timing.candidate.unwrap().decode;
    assert_eq!(
        decode
            .iter()
            .map(|t| (t.tokens, t.forwards))
            .collect::<Vec<_>>(),
        [(24, 3); 2]
    );
    assert!(
        timing
            .reference
            .speed()
            .prefill
            .unwrap()
            .median_tokens_per_second
            > 0.0
    );
    assert_eq!((*told.total.borrow(), *told.advanced.borrow()), (256, 256));
    assert_eq!(told.messages.borrow().len(), 2);
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let model = tiny();
    let error = |text: &[u32], options: &LockstepOptions| {
        let mut cache = exact(&model);
        let result = lockstep(
            &model,
            text,
            options,
            &mut Unwatched(&mut cache),
            None,
            &NoProgress,
        );
        result.map(|_| ()).unwrap_err().to_string()
    };
    let decode = |windows| options(Protocol::Decode, windows);
    let text = text(&model);
    assert_eq!(
        error(&text[..64], &decode(WINDOWS)),
        "the text has 64 tokens: one window needs 65"
    );
    assert_eq!(
        error(
            &text,
            &decode(Windows {
                prefill: 240,
                score: 17,
                count: 1.into()
            })
        ),
        "a window needs 257 tokens: the model's context holds 256"
    );
    assert!(error(&text, &options(Protocol::Simulated, WINDOWS)).starts_with("protocol `simu"));
    let mut wrong = text.clone();
    wrong[50] = 288;
    assert_eq!(
        error(&wrong, &decode(WINDOWS)),
        "token 50 of the text has id 288: the model's vocabulary has 288"
    );
    let chunk = LockstepOptions {
        prefill_chunk: 0,
        ..decode(WINDOWS)
    };
    assert!(error(&text, &chunk).starts_with("prefill_chunk = 0"));
}

#[test]
fn a_short_text_gives_fewer_windows_and_says_so() {
    let model = tiny();
    let windows = Windows {
        count: 50.into(),
        ..WINDOWS
    };
    let result = run(
        &model,
        &options(Protocol::Chunked(24), windows),
        &mut exact(&model),
    );
    assert_eq!(result.windows_measured, result.text_tokens / 65);
    assert_eq!(result.options.windows.count, 50.into());
}

/// Attention that is not a number ends the run and names the side.
struct Broken(smartkv_host::PlainCache);

impl KvHook for Broken {
    fn shape(&self) -> &smartkv_core::CacheShape {
        self.0.shape()
    }

    fn seen(&self, sequence: usize) -> usize {
        self.0.seen(sequence)
    }

    fn attend(
        &mut self,
        step: smartkv_core::AttnStep<'_>,
        out: &mut [f32],
    ) -> smartkv_core::Result<()> {
        let last = step.layer + 1 == self.0.shape().layers;
        self.0.attend(step, out)?;
        if last {
            out.fill(f32::NAN);
        }
        Ok(())
    }

    fn end_step(&mut self, more_prompt: bool) -> smartkv_core::Result<()> {
        self.0.end_step(more_prompt)
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

#[test]
fn logits_that_are_not_finite_name_the_cache() {
    let model = tiny();
    let mut broken = Broken(exact(&model));
    let error = lockstep(
        &model,
        &text(&model),
        &options(Protocol::Decode, WINDOWS),
        &mut Unwatched(&mut exact(&model)),
        Some(&mut Unwatched(&mut broken)),
        &NoProgress,
    )
    .map(|_| ())
    .unwrap_err();
    let want = "candidate: the logits after token 40 of window 0 are not finite";
    assert_eq!(error.to_string(), want);
}

#[test]
fn a_cache_for_two_sequences_is_refused() {
    let model = tiny();
    let mut two = smartkv_host::PlainCache::new(model.cache_shape(2).unwrap());
    let options = options(Protocol::Decode, WINDOWS);
    let result = lockstep(
        &model,
        &text(&model),
        &options,
        &mut Unwatched(&mut two),
        None,
        &NoProgress,
    );
    assert!(
        result
            .map(|_| ())
            .unwrap_err()
            .to_string()
            .starts_with("batch = 2")
    );
}
