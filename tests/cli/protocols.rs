//! Windows, needles and protocols that do not fit.

use crate::program::{TEXT, TINY, quick, refused};

fn eval<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["eval", "--model", TINY, "--text", TEXT], more].concat()
}

#[test]
fn windows_beyond_the_context_are_refused() {
    refused(
        1,
        &eval(&[
            "--no-needle",
            "--prefill-tokens",
            "300",
            "--score-tokens",
            "8",
        ]),
        &[
            "a window needs 309 tokens: the model's context holds 256",
            "\nhint: take fewer",
        ],
    );
}

#[test]
fn windows_of_nothing_are_refused() {
    refused(
        1,
        &eval(&["--no-needle", "--windows", "0"]),
        &["windows.count = 0: expected"],
    );
    refused(
        1,
        &eval(&["--no-needle", "--score-tokens", "0"]),
        &["windows.score = 0: expected"],
    );
    refused(2, &eval(&["--windows", "-1"]), &["--windows", "-1"]);
}

#[test]
fn needles_that_do_not_fit_are_refused_before_the_windows_are_measured() {
    // A window that does not fit either: the needle is looked at first.
    let needle = |more: &[&'static str]| eval(&[&["--prefill-tokens", "300"], more].concat());
    refused(
        1,
        &needle(&["--needle-lengths", "512"]),
        &[
            "a needle prompt needs 512 tokens: the model's context holds 256",
            "\nhint: ",
        ],
    );
    refused(
        1,
        &needle(&["--needle-lengths", "5"]),
        &[
            "a needle prompt of 5 tokens is too short: the least is ",
            "\nhint: ",
        ],
    );
    refused(
        1,
        &needle(&["--needle-lengths", "200", "--needle-depths", "101"]),
        &["depths = 101: expected 0 to 100"],
    );
    refused(
        2,
        &quick(&["--needle-lengths", "200"]),
        &["'--no-needle' cannot be used with '--needle-lengths"],
    );
}

#[test]
fn protocols_that_do_not_exist_are_refused_with_those_that_do() {
    for (text, reason) in [
        ("nonsense", "protocol `nonsense`: unknown"),
        ("decode:2", "protocol `decode:2`: unknown"),
        ("chunked", "say how many tokens, as in `chunked:16`"),
        ("chunked:0", "expected a number of tokens above 0"),
    ] {
        refused(
            2,
            &quick(&["--protocol", text]),
            &[reason, "known protocols: decode, chunked:N"],
        );
    }
    refused(
        2,
        &quick(&["--prefill", "lazy"]),
        &["expected exact or quantized"],
    );
}

#[test]
fn a_simulation_is_refused_with_the_reason_before_a_model_is_loaded() {
    let mut args = quick(&["--protocol", "simulated"]);
    args[2] = "no/such/model.gguf";
    refused(
        1,
        &args,
        &[
            "protocol `simulated`: a real cache",
            "hint: `decode` with a prefill of 0",
        ],
    );
}

#[test]
fn no_threads_are_refused() {
    refused(
        1,
        &quick(&["--threads", "0"]),
        &["--threads 0: expected at least 1"],
    );
    refused(2, &quick(&["--threads", "many"]), &["--threads", "many"]);
    refused(
        1,
        &quick(&["--weights", "q9"]),
        &["weights = q9: expected one of auto"],
    );
}
