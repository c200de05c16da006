//! Rows on their way out of the window, changed as a simulated method would store them.

use super::Cache;
use super::planning::Cut;
use crate::error::{Error, Result};
use crate::format::Format;
use crate::layout::Tier;
use crate::simulation::{Block, Simulation};
use crate::strategy::Half;
use half::f16;
use rayon::prelude::*;

/// Changed keys and values of one lane's leaving rows.
struct Changed {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Cache {
    /// Refuses what a simulated method cannot have: a budget on bytes it does not save, or packed
    /// tiers.
    pub(super) fn check_simulation(&self) -> Result<()> {
        if self.strategy.simulation().is_none() {
            return Ok(());
        }
        let name = self.strategy.typetag_name();
        if let Some(budget) = self.budget {
            return Err(Error::Budget {
                given: budget.to_string(),
                reason: format!(
                    "`{name}` is simulated: its rows stay in f16, so that no budget can be held: \
                     expected none"
                ),
            });
        }
        if self.layout.tiers != [Tier::same(Format::F16)] || self.layout.evicts {
            return Err(Error::parameter(
                "layout",
                format!("`{name}`"),
                "a simulated strategy stores every row in one f16 tier",
            ));
        }
        Ok(())
    }

    /// Changes the leaving rows of the lanes `mine` of a sequence that has `seen` tokens.
    pub(super) fn simulate(&mut self, seen: usize, cut: Cut, mine: &[usize]) -> Result<()> {
        let Some(simulation) = self.strategy.simulation() else {
            return Ok(());
        };
        let layers: Vec<&[usize]> = mine.chunks_exact(self.shape.kv_heads).collect();
        let changed: Vec<Result<(u64, Vec<Changed>)>> = layers
            .par_iter()
            .enumerate()
            .map(|(layer, lanes)| self.changed(simulation, seen, cut, layer, lanes))
            .collect();
        let mut bytes = 0;
        let mut all = Vec::new();
        // Before the first row is written, so that an error leaves the cache as it was.
        for layer in changed {
            let (stored, lanes) = layer?;
            bytes += stored;
            all.extend(lanes);
        }
        let kernels = self.kernels;
        let head_dim = self.shape.head_dim;
        let leaving = cut.sinks * head_dim..(cut.sinks + cut.leaving) * head_dim;
        for (&lane, changed) in mine.iter().zip(all) {
            let window = &mut self.lanes[lane].window;
            for (rows, new) in [
                (&mut window.k, changed.keys),
                (&mut window.v, changed.values),
            ] {
                let mut held = vec![0.0; rows.len() * head_dim];
                rows.decode(kernels, &mut held);
                held[leaving.clone()].copy_from_slice(&new);
                rows.clear();
                rows.push(kernels, &held);
            }
        }
        self.simulated_bytes += bytes;
        Ok(())
    }

    /// The leaving rows of one layer, changed, and what the method would store for them.
    fn changed(
        &self,
        simulation: &dyn Simulation,
        seen: usize,
        cut: Cut,
        layer: usize,
        lanes: &[usize],
    ) -> Result<(u64, Vec<Changed>)> {
        let head_dim = self.shape.head_dim;
        let read = |half: Half| -> Vec<f32> {
            let mut rows = Vec::with_capacity(lanes.len() * cut.leaving * head_dim);
            for &lane in lanes {
                let lane = &self.lanes[lane];
                let (window, start) = (lane.window.half(half), rows.len());
                for row in cut.sinks..cut.sinks + cut.leaving {
                    window.gather(self.kernels, row, &mut rows);
                }
                match half {
                    Half::Keys => lane.frame.keys_back(&mut rows[start..], head_dim),
                    Half::Values => lane.frame.values_back(&mut rows[start..], head_dim),
                }
            }
            rows
        };
        let (mut keys, mut values) = (read(Half::Keys), read(Half::Values));
        // The window is the sinks, then the newest tokens.
        let position = seen + cut.sinks - self.lanes[lanes[0]].window.len();
        let mut block = Block {
            shape: &self.shape,
            layer,
            tokens: cut.leaving,
            position,
            keys: &mut keys,
            values: &mut values,
            seed: (self.seed ^ ((layer as u64) << 32) ^ position as u64)
                .wrapping_mul(0x9E37_79B9_7F4A_7C15),
        };
        let rope = self.ropes.layer(layer).filter(|_| simulation.before_rope());
        if let Some(rope) = rope {
            block.turn_keys(rope, true);
        }
        let named = |error| match error {
            Error::Policy(reason) => Error::Plan {
                strategy: self.strategy.typetag_name().to_string(),
                reason,
            },
            other => other,
        };
        let bytes = simulation.store(&mut block).map_err(named)?;
        if let Some(rope) = rope {
            block.turn_keys(rope, false);
        }
        for (what, rows) in [("key", &mut keys), ("value", &mut values)] {
            if let Some(at) = rows
                .iter()
                .position(|x| x.is_nan() || x.abs() > f16::MAX.to_f32())
            {
                return Err(named(Error::Policy(format!(
                    "layer {layer}: changes a {what} to {}, not a finite f16 number",
                    rows[at]
                ))));
            }
        }
        let part = cut.leaving * head_dim;
        let parts = keys.chunks_exact(part).zip(values.chunks_exact(part));
        let changed = lanes.iter().zip(parts).map(|(&lane, (keys, values))| {
            let frame = &self.lanes[lane].frame;
            let (mut keys, mut values) = (keys.to_vec(), values.to_vec());
            frame.keys(&mut keys, head_dim);
            frame.values(&mut values, head_dim);
            Changed { keys, values }
        });
        Ok((bytes, changed.collect()))
    }
}
