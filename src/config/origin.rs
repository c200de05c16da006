//! What a calibrated configuration was calibrated with.

use super::ConfigError;
use serde::{Deserialize, Serialize};

/// Stands under `calibration` in the file that `smartkv calibrate` writes, beside the strategy's
/// own fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CalibrationOrigin {
    /// What the user called the model.
    pub model: String,
    /// SHA-256 of the model; of several files, of their digests.
    pub model_sha256: String,
    /// What was read.
    pub text: String,
    /// SHA-256 of the text.
    pub text_sha256: String,
    /// Windows of the text.
    pub windows: usize,
    /// Tokens of all windows.
    pub tokens: usize,
    /// Queries sampled in each window.
    pub queries: usize,
    /// Seed of windows and queries.
    pub seed: u64,
    /// Version of the program.
    pub smartkv: String,
}

impl CalibrationOrigin {
    /// Refuses a model that the calibration knows nothing of.
    ///
    /// # Errors
    /// Another digest than that of the model it was made with.
    pub fn check(&self, strategy: &str, model: &str, sha256: &str) -> Result<(), ConfigError> {
        if self.model_sha256 == sha256 {
            return Ok(());
        }
        Err(ConfigError::OtherModel {
            strategy: strategy.to_string(),
            made_for: self.model.clone(),
            made_for_sha256: self.model_sha256.clone(),
            model: model.to_string(),
            sha256: sha256.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_bytes_are_the_same_model() {
        let origin = CalibrationOrigin {
            model: "small".to_string(),
            model_sha256: "ab".repeat(32),
            text: "builtin".to_string(),
            text_sha256: String::new(),
            windows: 1,
            tokens: 2,
            queries: 3,
            seed: 4,
            smartkv: String::new(),
        };
        assert!(origin.check("kvtuner", "other", &"ab".repeat(32)).is_ok());
        let error = origin
            .check("kvtuner", "small", &"cd".repeat(32))
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("`small` (SHA-256 abababababab…)") && text.contains("cdcdcdcdcdcd…"),
            "{text}"
        );
        assert!(error.hints()[0].contains("smartkv calibrate"));
    }
}
