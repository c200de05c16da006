//! The wording of RULER's needles: special magic numbers.

use super::secret::Secret;

/// How needles of one kind are announced, written, asked for and answered.
///
/// Several are asked for in the plural; of a single one RULER makes the plural a singular, except
/// in the needle itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Magic {
    values: Secret,
    single: bool,
}

impl Magic {
    /// Asks for `asked` values.
    pub(super) fn new(values: Secret, asked: usize) -> Self {
        Self {
            values,
            single: asked == 1,
        }
    }

    fn noun(self) -> &'static str {
        let plural = self.values.plural();
        if self.single {
            plural.trim_end_matches('s')
        } else {
            plural
        }
    }

    /// What stands before the haystack.
    pub(super) fn opening(self) -> String {
        let (some, are) = if self.single {
            ("A", "is")
        } else {
            ("Some", "are")
        };
        let noun = self.noun();
        format!(
            "{some} special magic {noun} {are} hidden within the following text. Make sure to \
             memorize it. I will quiz you about the {noun} afterwards.\n"
        )
    }

    /// What is hidden.
    pub(super) fn needle(self, key: &str, value: &str) -> String {
        let plural = self.values.plural();
        format!("One of the special magic {plural} for {key} is: {value}.")
    }

    pub(super) fn question(self, keys: &str) -> String {
        let are = if self.single { "is" } else { "are all" };
        let noun = self.noun();
        format!("What {are} the special magic {noun} for {keys} mentioned in the provided text?")
    }

    /// How the answer begins.
    pub(super) fn answer(self, keys: &str) -> String {
        let are = if self.single { "is" } else { "are" };
        let noun = self.noun();
        format!("The special magic {noun} for {keys} mentioned in the provided text {are}")
    }
}

/// `a`, or `a, b, and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [only] => only.clone(),
        [others @ .., last] => format!("{}, and {last}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_asked_for_in_the_singular_and_several_in_the_plural() {
        let one = Magic::new(Secret::Uuids, 1);
        assert_eq!(
            one.opening(),
            "A special magic uuid is hidden within the following text. Make sure to memorize it. \
             I will quiz you about the uuid afterwards.\n"
        );
        assert_eq!(
            one.needle("k", "v"),
            "One of the special magic uuids for k is: v."
        );
        assert_eq!(
            format!("{} {}", one.question("k"), one.answer("k")),
            "What is the special magic uuid for k mentioned in the provided text? The special \
             magic uuid for k mentioned in the provided text is"
        );
        let four = Magic::new(Secret::Numbers, 4);
        let keys = list(&["a", "b", "c"].map(str::to_owned));
        assert!(
            four.opening()
                .starts_with("Some special magic numbers are hidden within")
        );
        assert_eq!(
            format!("{} {}", four.question(&keys), four.answer(&keys)),
            "What are all the special magic numbers for a, b, and c mentioned in the provided \
             text? The special magic numbers for a, b, and c mentioned in the provided text are"
        );
    }
}
