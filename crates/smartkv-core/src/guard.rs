//! What a plugin does wrong is reported under its name.

use crate::error::{Error, Result};
use crate::registry::Kind;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Calls `method` of a plugin; a panic becomes an error with the plugin's name.
///
/// What the call changed half-way stays changed: the cache it works on is not used after an
/// error.
pub(crate) fn guarded<T>(
    kind: Kind,
    name: &str,
    method: &str,
    call: impl FnOnce() -> T,
) -> Result<T> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| {
        let what = format!("panicked in `{method}`: {}", message(payload.as_ref()));
        Error::plugin(kind, name, what)
    })
}

/// The first score that is not a finite number.
pub(crate) fn unsound(scores: &[f32]) -> Option<f32> {
    // Whole chunks at a time, so that the compiler can use vectors.
    let sound = |chunk: &&[f32]| {
        chunk
            .iter()
            .fold(true, |all, score| all & score.is_finite())
    };
    let chunk = scores.chunks(64).find(|chunk| !sound(chunk))?;
    chunk.iter().copied().find(|score| !score.is_finite())
}

/// What a panic says: `panic!` with arguments leaves a `String`, without a `&str`.
fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("without a message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_the_name_and_the_message() {
        let run = |call: fn()| {
            guarded(Kind::Tracker, "t", "fold", call)
                .unwrap_err()
                .to_string()
        };
        let formatted = run(|| panic!("no {}", 1));
        assert_eq!(formatted, "tracker `t` panicked in `fold`: no 1");
        assert!(run(|| panic!("plain")).ends_with(": plain"));
        assert!(run(|| std::panic::panic_any(3)).ends_with("without a message"));
        assert_eq!(guarded(Kind::Strategy, "s", "plan", || 3).unwrap(), 3);
    }
}
