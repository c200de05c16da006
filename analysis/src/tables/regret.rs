//! What rows lose against the allocation that knows the future.

use super::Context;
use super::comparison::{All, all, notes};
use super::summary::{count, style};
use crate::error::Result;
use crate::group::Row;
use crate::label::Labels;
use crate::table::{Column, Entry, Number, Style, Table};

pub(super) fn table(cx: &Context<'_>) -> Result<Table> {
    let metrics = cx.compared_metrics()?;
    let oracle = oracle(cx)?;
    let All { found, unpaired } = all(cx, &metrics, &cx.pairs(&oracle))?;
    if found.is_empty() {
        return Err(cx.lacks(
            &format!("no row can be held against the oracle {oracle}"),
            "measure both on the same windows and seeds",
        ));
    }
    let mut table = cx.table("", &format!("regret against {oracle}"));
    table.columns = vec![Column::text("metric")];
    table.columns.extend(cx.label_columns());
    table.columns.extend(
        ["units", "oracle", "value", "regret", "change", "p (Holm)"]
            .map(|name| Column::number(name, "")),
    );
    for one in &found {
        let own = &one.comparison;
        let number = |value: f64, style: Style| Number::new(value, style, &one.ids);
        let mut entries = vec![Entry::text(&one.metric.name)];
        entries.extend(cx.label_entries(one.row));
        entries.extend([
            own.units()
                .map_or_else(Entry::nothing, |units| count(units, &one.ids)),
            Entry::Number(number(own.baseline, style(&one.metric))),
            Entry::Number(number(own.value, style(&one.metric))),
            Entry::Number(number(own.difference, Style::Signed).within(own.interval)),
            own.relative.map_or_else(Entry::nothing, |change| {
                Entry::Number(number(change, Style::Change).within(own.relative_interval))
            }),
            own.tests.map_or_else(Entry::nothing, |tests| {
                Entry::Number(number(tests.p_holm, Style::P))
            }),
        ]);
        table.rows.push(entries);
    }
    table.notes = notes(
        cx,
        &metrics,
        "Regret: the row less the oracle at the same other labels",
    );
    table.notes.extend(unpaired);
    table.notes.push(
        "The oracle ranks tokens by the attention they will receive, which no cache can know: a \
         bound, no method. p: corrected by Holm over this table."
            .into(),
    );
    Ok(table)
}

/// The labels of the oracle: those asked for, or the value of the one axis that only rows with the
/// oracle as their tracker have.
fn oracle(cx: &Context<'_>) -> Result<Labels> {
    let knows = |row: &Row<'_>| row.cells.iter().all(|cell| cell.spec.strategy.has_oracle());
    if cx.options.baseline.is_some() {
        return cx.baseline();
    }
    let oracles: Vec<&Row<'_>> = cx.rows.iter().filter(|row| knows(row)).collect();
    let Some(first) = oracles.first() else {
        return Err(cx.lacks(
            "no finished cell has a strategy with `tracker: {type: oracle}`",
            "add one to the grid, or name the rows to be held against with --baseline LABEL=VALUE",
        ));
    };
    for axis in &cx.axes {
        let label = first.labels.get(axis);
        let has = |row: &&Row<'_>| row.labels.get(axis).same(label);
        if oracles.iter().all(has) && !cx.rows.iter().any(|row| has(&row) && !knows(row)) {
            return Ok(Labels([(axis.clone(), label.clone())].into()));
        }
    }
    Err(cx.lacks(
        "no label belongs to the strategies with the oracle alone",
        "name the rows to be held against with --baseline LABEL=VALUE",
    ))
}
