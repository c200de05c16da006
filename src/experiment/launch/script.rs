//! What is handed to `sbatch`: two short scripts and their options.

use super::slurm::{job_name, log_path};
use super::submit::SubmitOptions;
use crate::experiment::plan::Plan;
use std::path::Path;

/// How long before a time limit a task is told, in seconds.
const WARNING_SECONDS: u32 = 60;

/// Runs one cell: line `SLURM_ARRAY_TASK_ID`, from 0, of the list that is its argument. Lines are
/// whole cells: the plan may be made anew while they wait.
pub(super) fn cell_script(plan: &Plan, store: &Path, options: &SubmitOptions) -> String {
    let threads = match options.threads {
        Some(threads) => format!("export SMARTKV_THREADS={threads}"),
        None => "\
# The processors that were granted, not those of the node.
cpus=${SLURM_CPUS_PER_TASK:-$SLURM_CPUS_ON_NODE}
[ -z \"$cpus\" ] || export SMARTKV_THREADS=\"$cpus\""
            .to_string(),
    };
    format!(
        "#!/bin/sh
# Cells of the plan {name}: task N runs line N, counted from 0, of the list in $1.
{threads}
# Meant for one run, not for one a cell.
unset WANDB_RUN_ID
stop() {{
    kill -TERM \"$cell\" 2>/dev/null
    wait \"$cell\"
    echo \"line $SLURM_ARRAY_TASK_ID of $1: stopped by Slurm (time limit, requeue or cancellation);\" \\
        \"its finished samples are kept\" >&2
    exit 143
}}
# Slurm tells this shell alone.
trap stop TERM
sed -n \"$((SLURM_ARRAY_TASK_ID + 1))p\" \"$1\" | {program} cell - --store={store}{more} &
cell=$!
wait \"$cell\"
",
        name = job_name(&plan.name),
        program = quoted(&options.program.display().to_string()),
        store = quoted(&store.display().to_string()),
        more = more(options),
    )
}

/// Says how it went, once nothing of the arrays is left.
pub(super) fn collect_script(plan: &Plan, store: &Path, options: &SubmitOptions) -> String {
    format!(
        "#!/bin/sh
# Says how the plan {name} went; fails if a cell has no record.
exec {program} sweep status --check --store={store} -- {plan}
",
        name = job_name(&plan.name),
        program = quoted(&options.program.display().to_string()),
        store = quoted(&store.display().to_string()),
        plan = quoted(&plan.name),
    )
}

/// More arguments of a cell's command, each after a space.
fn more(options: &SubmitOptions) -> String {
    let offline = options.offline.then(|| "--offline".to_string());
    let words = offline.iter().chain(&options.arguments);
    let mut more = String::new();
    for word in words {
        more.push(' ');
        more.push_str(&quoted(word));
    }
    more
}

/// Name of the job that says how a plan went.
pub(super) fn collect_name(plan: &Plan) -> String {
    format!("{}-collect", job_name(&plan.name))
}

/// Options of an array, its script and list left out.
pub(super) fn array_options(
    plan: &Plan,
    logs: &Path,
    array: &str,
    options: &SubmitOptions,
) -> Vec<String> {
    let mut all = vec![
        "--parsable".to_string(),
        format!("--job-name={}", job_name(&plan.name)),
        format!("--array={array}"),
        // A task that is started again finds its finished samples.
        "--requeue".to_string(),
        format!("--signal=B:TERM@{WARNING_SECONDS}"),
        format!("--output={}", log_path(logs, "%A_%a.log")),
    ];
    all.extend(shared(options));
    all
}

/// Options of the job that says how it went, after the `arrays`.
pub(super) fn collect_options(
    plan: &Plan,
    logs: &Path,
    arrays: &[String],
    options: &SubmitOptions,
) -> Vec<String> {
    let mut all = vec![
        "--parsable".to_string(),
        format!("--job-name={}", collect_name(plan)),
        format!("--output={}", log_path(logs, "collect-%j.log")),
    ];
    all.extend(shared(options));
    // Last: a dependency of the user's is the arrays'.
    all.push(format!("--dependency=afterany:{}", arrays.join(":")));
    all
}

/// Options of both, the user's last: the last of two wins.
fn shared(options: &SubmitOptions) -> Vec<String> {
    let mut all = vec![
        "--open-mode=append".to_string(),
        // Models and texts may be named by relative paths.
        format!("--chdir={}", options.folder.display()),
    ];
    all.extend(options.extra.iter().cloned());
    all
}

/// A word as a shell takes it, quoted if need be.
#[must_use]
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in [
            "plain/path-1.0",
            "",
            "two words",
            "it's",
            "$HOME `x` \"y\" \\",
            "a\nb",
            "é",
        ] {
            let script = format!("printf %s {}", quoted(word));
            let output = Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
