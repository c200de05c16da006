//! A strategy beside itself with less to do, which tells what the rest costs.

use crate::config::StrategySpec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Share of the importance that must move before a variant reallocates: as good as never.
const NEVER: f64 = 0.99;

/// What a variant is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The uncompressed cache.
    F16,
    /// The strategy as asked for.
    Given,
    /// The same, moving a stored row only where the budget demands it.
    Steady,
    /// The same, and it watches no attention either.
    Untracked,
}

impl Role {
    /// Its name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Given => "as given",
            Self::Steady => "steady",
            Self::Untracked => "untracked",
        }
    }
}

/// A strategy that takes turns with others.
#[derive(Debug, Clone)]
pub struct Variant {
    /// What it is for.
    pub role: Role,
    /// The strategy.
    pub strategy: StrategySpec,
}

/// The f16 cache, the strategy, and what it is compared with: those variants that it has.
///
/// # Errors
/// A variant that the registry refuses.
pub fn variants(given: &StrategySpec) -> anyhow::Result<Vec<Variant>> {
    let mut all = vec![
        variant(Role::F16, StrategySpec::resolve("f16", &[])?),
        variant(Role::Given, given.clone()),
    ];
    let mut config = given.config.clone();
    let moves = config.get("drift").and_then(Value::as_f64);
    if moves.is_some_and(|drift| drift < NEVER) {
        config["drift"] = json!(NEVER);
        all.push(variant(
            Role::Steady,
            StrategySpec::from_config(&config, &[])?,
        ));
    }
    let watches = given
        .strategy
        .tracker()
        .is_some_and(|tracker| tracker.watch().is_some());
    if watches && config.get("tracker").is_some() {
        config["tracker"] = json!({"type": "position"});
        all.push(variant(
            Role::Untracked,
            StrategySpec::from_config(&config, &[])?,
        ));
    }
    Ok(all)
}

fn variant(role: Role, strategy: StrategySpec) -> Variant {
    Variant { role, strategy }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(name: &str) -> Vec<Role> {
        let spec = StrategySpec::resolve(name, &[]).unwrap();
        variants(&spec).unwrap().iter().map(|v| v.role).collect()
    }

    #[test]
    fn a_strategy_has_the_variants_that_its_parts_allow() {
        assert_eq!(
            roles("smartkv"),
            [Role::F16, Role::Given, Role::Steady, Role::Untracked]
        );
        assert_eq!(roles("uniform-4"), [Role::F16, Role::Given]);
        assert_eq!(roles("evict"), [Role::F16, Role::Given, Role::Untracked]);
    }

    #[test]
    fn variants_differ_in_what_they_leave_out_only() {
        let spec = StrategySpec::resolve("smartkv", &[]).unwrap();
        let all = variants(&spec).unwrap();
        let (given, steady, untracked) = (
            &all[1].strategy.config,
            &all[2].strategy.config,
            &all[3].strategy.config,
        );
        assert_eq!(steady["drift"], 0.99);
        assert_eq!(steady["tracker"], given["tracker"]);
        assert_eq!(untracked["drift"], 0.99);
        assert!(
            all[3]
                .strategy
                .strategy
                .tracker()
                .unwrap()
                .watch()
                .is_none()
        );
        assert_eq!(untracked["bits"], given["bits"]);
    }
}
