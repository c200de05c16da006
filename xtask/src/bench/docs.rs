//! The place of a report in the documentation.

use super::root;
use anyhow::Context as _;

const FILE: &str = "docs/benchmarks.md";
const BEGIN: &str = "<!-- results: cargo xtask bench --rival llama.cpp --update-docs -->\n";
const END: &str = "<!-- end of results -->";

/// Puts a report between the two marks of the page.
pub(super) fn update(report: &str) -> anyhow::Result<()> {
    let path = root().join(FILE);
    let page = std::fs::read_to_string(&path).with_context(|| format!("cannot read {FILE}"))?;
    let page = replace(&page, report)
        .with_context(|| format!("{FILE} has no place for results: expected {BEGIN}{END}"))?;
    std::fs::write(&path, page).with_context(|| format!("cannot write {FILE}"))
}

fn replace(page: &str, report: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!(
        "{before}{BEGIN}\n{}\n\n{END}{after}",
        report.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("before\n{BEGIN}old\n{END}\nafter\n");
        let new = replace(&page, "new\n").unwrap();
        assert_eq!(new, format!("before\n{BEGIN}\nnew\n\n{END}\nafter\n"));
        assert_eq!(replace(&new, "new").unwrap(), new);
        assert_eq!(replace("nothing", "new"), None);
    }

    #[test]
    fn the_page_has_a_place() {
        let page = std::fs::read_to_string(root().join(FILE)).unwrap();
        assert!(replace(&page, "new").is_some());
    }
}
