//! From axes to combinations.

use super::axis::plain;
use super::patch::patch;
use super::point::{Point, Together, VARIANT, assign, assigned_twice, same};
use super::{Grid, When};
use crate::config::Assignment;
use crate::experiment::error::ExperimentError;
use crate::experiment::settings::EvalFile;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

/// How often a search draws for each combination that is asked for.
const TRIES: usize = 20;

/// The axis of seeds.
pub(in crate::experiment) const SEED: &str = "seed";

/// One point of a grid.
#[derive(Debug, Clone)]
pub struct Combination {
    /// What it is called on each axis.
    pub labels: Map<String, Value>,
    /// The evaluation.
    pub file: EvalFile,
    /// Assignments to fields of its strategy and tasks.
    pub sets: Vec<Assignment>,
    /// What is assigned to the base, path by path.
    values: Vec<(String, Value)>,
}

/// Labels as people read them: `strategy=smartkv budget=0.3`.
pub(in crate::experiment) fn written(labels: &Map<String, Value>) -> String {
    let one = |(axis, label): (&String, &Value)| format!("{axis}={}", plain(label));
    labels.iter().map(one).collect::<Vec<_>>().join(" ")
}

fn dimensions(grid: &Grid) -> Result<Vec<Together>, ExperimentError> {
    let file = &grid.file;
    let mut all = Vec::new();
    if !file.variants.is_empty() {
        if let Some((name, value)) = file
            .variants
            .iter()
            .find(|(_, value)| !(value.is_object() || value.is_null()))
        {
            let reason = format!("{value}: expected fields and their values");
            return Err(grid.refuse(format!("variants.{name}"), reason));
        }
        let named = Value::Object(file.variants.clone());
        all.push(Together(vec![grid.axis("", VARIANT, &named)?]));
    }
    for (name, values) in &file.axes {
        all.push(Together(vec![grid.axis("axes", name, values)?]));
    }
    for (index, zip) in file.zip.iter().enumerate() {
        let part = format!("zip[{index}]");
        if zip.is_empty() {
            return Err(grid.refuse(part, "has no axes: expected fields and their values"));
        }
        let axes = zip
            .iter()
            .map(|(name, values)| grid.axis(&part, name, values));
        let axes = Together(axes.collect::<Result<Vec<_>, _>>()?);
        let lengths: Vec<Option<usize>> = axes
            .0
            .iter()
            .map(|axis| Together(vec![axis.clone()]).len())
            .collect();
        if lengths.windows(2).any(|pair| pair[0] != pair[1]) || lengths.contains(&None) {
            let lengths = zip.keys().zip(&lengths).map(|(name, length)| {
                format!(
                    "{name} has {}",
                    length.map_or("no".into(), |n| n.to_string())
                )
            });
            let lengths = lengths.collect::<Vec<_>>().join(", ");
            let reason = format!("{lengths} values: expected axes of the same length");
            return Err(grid.refuse(part, reason));
        }
        all.push(axes);
    }
    let mut names = Vec::new();
    for axis in all.iter().flat_map(|together| &together.0) {
        if names.contains(&axis.name) || axis.name == SEED {
            let reason = if axis.name == SEED {
                "seeds stand under `seeds`".to_string()
            } else {
                "stands there twice".to_string()
            };
            return Err(grid.refuse(axis.name.clone(), reason));
        }
        names.push(axis.name.clone());
    }
    Ok(all)
}

/// The axes that belong to some combinations only.
fn conditional(grid: &Grid, index: usize, when: &When) -> Result<Vec<Together>, ExperimentError> {
    let part = format!("when[{index}].axes");
    if when.axes.contains_key(SEED) {
        return Err(grid.refuse(part, "seeds stand under `seeds`"));
    }
    let axes = when.axes.iter();
    axes.map(|(name, values)| Ok(Together(vec![grid.axis(&part, name, values)?])))
        .collect()
}

pub(super) fn axis_names(grid: &Grid) -> Result<Vec<String>, ExperimentError> {
    let mut names: Vec<String> = Vec::new();
    for together in dimensions(grid)? {
        names.extend(together.0.into_iter().map(|axis| axis.name));
    }
    for when in &grid.file.when {
        for name in when.axes.keys() {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    names.push(SEED.to_string());
    Ok(names)
}

/// Whether `labels` are what `condition` asks: for each axis one value, or one of a list.
pub(in crate::experiment) fn is_called(
    labels: &Map<String, Value>,
    condition: &Map<String, Value>,
) -> bool {
    condition.iter().all(|(axis, wanted)| {
        let Some(label) = labels.get(axis) else {
            return false;
        };
        match wanted {
            Value::Array(any) => any.iter().any(|one| same(one, label)),
            one => same(one, label),
        }
    })
}

fn check_condition(
    grid: &Grid,
    part: &str,
    condition: &Map<String, Value>,
) -> Result<(), ExperimentError> {
    // Seeds are not told apart: each combination runs with all of them.
    let known: Vec<String> = axis_names(grid)?
        .into_iter()
        .filter(|axis| axis != SEED)
        .collect();
    match condition.keys().find(|axis| !known.contains(axis)) {
        Some(axis) => {
            let reason = format!("no axis `{axis}`: expected one of {}", known.join(", "));
            Err(grid.refuse(part, reason))
        }
        None => Ok(()),
    }
}

/// The points of a product of axes, the first slowest.
fn product(
    grid: &Grid,
    start: Vec<Point>,
    axes: &[Together],
) -> Result<Vec<Point>, ExperimentError> {
    let mut points = start;
    for together in axes {
        let Some(count) = together.len() else {
            let name = together
                .0
                .first()
                .map_or_else(String::new, |axis| axis.name.clone());
            let reason = "a range without `step` or `count`, which only a random search can draw \
                          from: expected one of them, or `search: {draw: N}`";
            return Err(grid.refuse(name, reason));
        };
        let chosen = |point: &Point, index| {
            let mut point = point.clone();
            together.choose(index, 0.0, &mut point);
            point
        };
        grid.check_count(points.len().saturating_mul(count))?;
        points = points
            .iter()
            .flat_map(|point| (0..count).map(move |index| chosen(point, index)))
            .collect();
    }
    Ok(points)
}

/// Makes points of a point and further axes.
type Expand<'a> = dyn FnMut(Point, &[Together]) -> Result<Vec<Point>, ExperimentError> + 'a;

/// Adds to each point what holds for it only.
fn with_conditions(
    grid: &Grid,
    points: Vec<Point>,
    expand: &mut Expand<'_>,
) -> Result<Vec<Point>, ExperimentError> {
    let mut points = points;
    for (index, when) in grid.file.when.iter().enumerate() {
        let part = format!("when[{index}].if");
        check_condition(grid, &part, &when.r#if)?;
        let axes = conditional(grid, index, when)?;
        let mut met = false;
        let mut next = Vec::with_capacity(points.len());
        for mut point in points {
            if !is_called(&point.labels, &when.r#if) {
                next.push(point);
                continue;
            }
            met = true;
            for (path, value) in &when.set {
                assign(path, value.clone(), &mut point.values);
            }
            next.extend(expand(point, &axes)?);
        }
        if !met && grid.file.search.is_none() {
            return Err(grid.refuse(part, "no combination is like that"));
        }
        points = next;
    }
    Ok(points)
}

fn without_excluded(grid: &Grid, mut points: Vec<Point>) -> Result<Vec<Point>, ExperimentError> {
    for (index, excluded) in grid.file.exclude.iter().enumerate() {
        let part = format!("exclude[{index}]");
        check_condition(grid, &part, excluded)?;
        let before = points.len();
        points.retain(|point| !is_called(&point.labels, excluded));
        if points.len() == before && grid.file.search.is_none() {
            return Err(grid.refuse(part, "no combination is like that"));
        }
    }
    if points.is_empty() {
        return Err(grid.refuse("exclude", "leaves no combination"));
    }
    Ok(points)
}

fn finish(grid: &Grid, points: Vec<Point>) -> Result<Vec<Combination>, ExperimentError> {
    let combination = |point: Point| {
        if let Some(twice) = assigned_twice(&point.values) {
            let labels = written(&point.labels);
            return Err(ExperimentError::Cell {
                grid: grid.source.clone(),
                labels,
                reason: twice,
                hints: vec![
                    "one of them would be lost, and labels would lie: leave one out".into(),
                ],
            });
        }
        let patched = patch(&grid.file.base, &point.values).map_err(|(path, reason)| {
            // An axis is named as one; what a variant assigns, with the variant.
            let axis = if point.labels.contains_key(&path) {
                format!("axis `{path}`: {reason}")
            } else {
                format!("`{path}`: {reason}")
            };
            ExperimentError::Cell {
                grid: grid.source.clone(),
                labels: written(&point.labels),
                reason: axis,
                hints: vec![
                    "axes are fields of an evaluation file, see docs/experiments.md".into(),
                ],
            }
        })?;
        Ok(Combination {
            labels: point.labels,
            file: patched.file,
            sets: patched.sets,
            values: point.values,
        })
    };
    points.into_iter().map(combination).collect()
}

pub(super) fn unseeded(grid: &Grid) -> Result<Vec<Combination>, ExperimentError> {
    let points = product(grid, vec![Point::default()], &dimensions(grid)?)?;
    let mut expand = |point: Point, axes: &[Together]| product(grid, vec![point], axes);
    let points = with_conditions(grid, points, &mut expand)?;
    let points = without_excluded(grid, points)?;
    finish(grid, points)
}

/// Every combination with every seed, and with further assignments.
pub(super) fn seeded(
    grid: &Grid,
    combinations: &[Combination],
    more: &[(String, Value)],
) -> Result<Vec<Combination>, ExperimentError> {
    let seeds = grid.seeds()?;
    grid.check_count(combinations.len().saturating_mul(seeds.len()))?;
    let points = combinations.iter().flat_map(|combination| {
        seeds.iter().map(move |seed| {
            let mut point = Point {
                labels: combination.labels.clone(),
                values: combination.values.clone(),
            };
            point.labels.insert(SEED.to_string(), (*seed).into());
            point.values.extend(more.iter().cloned());
            point.values.push((SEED.to_string(), (*seed).into()));
            point
        })
    });
    finish(grid, points.collect())
}

/// The combination with these labels, on the grid or, where an axis is a range, between.
pub(super) fn named(
    grid: &Grid,
    labels: &Map<String, Value>,
) -> Result<Combination, ExperimentError> {
    let refuse = |reason: String| grid.refuse("baseline", format!("{}: {reason}", written(labels)));
    let mut pick = |mut point: Point, axes: &[Together]| {
        for together in axes {
            let (index, share) = together.find(labels).ok_or_else(|| {
                let names: Vec<&str> = together.0.iter().map(|a| a.name.as_str()).collect();
                refuse(format!(
                    "expected one of the values of {}",
                    names.join(", ")
                ))
            })?;
            together.choose(index, share, &mut point);
        }
        Ok(vec![point])
    };
    let start = pick(Point::default(), &dimensions(grid)?)?;
    let point = with_conditions(grid, start, &mut pick)?.pop();
    let point = point.ok_or_else(|| refuse("no cell is called so".to_string()))?;
    if let Some(axis) = labels.keys().find(|axis| !point.labels.contains_key(*axis)) {
        return Err(refuse(format!("no axis `{axis}` there")));
    }
    let combination = finish(grid, vec![point])?.pop();
    combination.ok_or_else(|| refuse("no cell is called so".to_string()))
}

pub(super) fn draw(
    grid: &Grid,
    count: usize,
    seed: u64,
) -> Result<Vec<Combination>, ExperimentError> {
    grid.check_count(count)?;
    let axes = dimensions(grid)?;
    for (index, when) in grid.file.when.iter().enumerate() {
        check_condition(grid, &format!("when[{index}].if"), &when.r#if)?;
    }
    for (index, excluded) in grid.file.exclude.iter().enumerate() {
        check_condition(grid, &format!("exclude[{index}]"), excluded)?;
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut points: Vec<Point> = Vec::new();
    // Small grids have fewer different points than are asked for.
    for _ in 0..count.saturating_mul(TRIES) {
        if points.len() == count {
            break;
        }
        let mut pick = |mut point: Point, axes: &[Together]| {
            for together in axes {
                let wide = random.next_u64();
                let index = together.len().map_or(0, |n| {
                    usize::try_from((u128::from(wide) * n as u128) >> 64).unwrap_or(0)
                });
                #[expect(clippy::cast_precision_loss, reason = "53 bits, which a double holds")]
                let share = (wide >> 11) as f64 / (1_u64 << 53) as f64;
                together.choose(index, share, &mut point);
            }
            Ok(vec![point])
        };
        let start = pick(Point::default(), &axes)?;
        let drawn = with_conditions(grid, start, &mut pick)?;
        let Ok(drawn) = without_excluded(grid, drawn) else {
            continue;
        };
        for point in drawn {
            if !points.iter().any(|other| other.labels == point.labels) {
                points.push(point);
            }
        }
    }
    finish(grid, points)
}
