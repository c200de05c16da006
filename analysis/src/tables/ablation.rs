//! What each part of a method contributes: the whole against what lacks the part.

use super::Context;
use super::comparison::{All, Compared, all, notes};
use super::summary::{count, style};
use crate::compare::{Contribution, THRESHOLD};
use crate::error::Result;
use crate::table::{Column, Entry, Number, Style, Table};

pub(super) fn table(cx: &Context<'_>) -> Result<Table> {
    let metrics = cx.compared_metrics()?;
    let baseline = cx.baseline()?;
    let All { found, unpaired } = all(cx, &metrics, &cx.pairs(&baseline))?;
    if found.is_empty() {
        return Err(cx.lacks(
            &format!("no variant can be held against {baseline}"),
            "finish the plan, or name another baseline with --baseline LABEL=VALUE",
        ));
    }
    let mut table = cx.table("", &format!("what changes against {baseline}"));
    table.columns = vec![Column::text("metric")];
    table.columns.extend(cx.label_columns());
    table.columns.extend([
        Column::number("units", ""),
        Column::number("baseline", ""),
        Column::number("value", ""),
        Column::number("difference", ""),
        Column::number("change", ""),
        Column::text("above 1%"),
        Column::number("p (Holm)", ""),
    ]);
    for one in &found {
        let mut entries = vec![Entry::text(&one.metric.name)];
        entries.extend(cx.label_entries(one.row));
        entries.extend(numbers(one));
        table.rows.push(entries);
    }
    table.notes = notes(cx, &metrics, "Each variant against the whole");
    table.notes.extend(unpaired);
    table.notes.push(format!(
        "Above {}%: yes if the whole interval of the change lies beyond it on one side, no if it \
         lies within it on both, else unclear. p: McNemar's exact test where all values are 0 or \
         1, else the sign-flip test; corrected by Holm over this table.",
        THRESHOLD * 100.0
    ));
    Ok(table)
}

fn numbers(one: &Compared) -> Vec<Entry> {
    let own = &one.comparison;
    let number = |value: f64, style: Style| Number::new(value, style, &one.ids);
    let above = match own.contribution() {
        // Nothing that 1% would be of.
        _ if one.metric.signed => Entry::nothing(),
        Contribution::Above => Entry::text("yes"),
        Contribution::Within => Entry::text("no"),
        Contribution::Unclear => Entry::text("unclear"),
    };
    vec![
        own.units()
            .map_or_else(Entry::nothing, |units| count(units, &one.ids)),
        Entry::Number(number(own.baseline, style(&one.metric))),
        Entry::Number(number(own.value, style(&one.metric))),
        Entry::Number(number(own.difference, Style::Signed).within(own.interval)),
        own.relative.map_or_else(Entry::nothing, |change| {
            Entry::Number(number(change, Style::Change).within(own.relative_interval))
        }),
        above,
        own.tests.map_or_else(Entry::nothing, |tests| {
            Entry::Number(number(tests.p_holm, Style::P))
        }),
    ]
}
