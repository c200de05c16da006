//! Commands with Slurm's names that answer what a test wants to be answered. They run nothing: what
//! Slurm does is tested on Slurm.

use crate::program::{Run, finish, program};
use crate::study::Study;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// A configuration with arrays of three tasks.
pub(crate) const THREE: &str = "echo 'MaxJobCount = 10000'; echo 'MaxArraySize            = 3'";

/// A folder of commands.
pub(crate) struct Fake {
    pub(crate) study: Study,
    bin: PathBuf,
}

impl Fake {
    /// Slurm that takes every job, as 101 and so on, and has forgotten all of them.
    pub(crate) fn new(study: Study) -> Self {
        let bin = study.folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        let fake = Self { study, bin };
        fake.takes_jobs();
        fake.command("scontrol", THREE);
        fake.queue("");
        fake
    }

    /// Replaces a command by a script of the shell's own words.
    pub(crate) fn command(&self, name: &str, script: &str) {
        let path = self.bin.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn without(&self, name: &str) {
        fs::remove_file(self.bin.join(name)).unwrap();
    }

    /// `sbatch` takes jobs.
    pub(crate) fn takes_jobs(&self) {
        self.command("sbatch", &self.sbatch("echo $((100 + n))"));
    }

    /// A script of `sbatch` that notes its arguments and then does `then` with their count as `n`.
    pub(crate) fn sbatch(&self, then: &str) -> String {
        let calls = self.calls_file();
        format!(
            "echo \"$@\" >> {0}\nn=0; while read -r _; do n=$((n + 1)); done < {0}\n{then}",
            calls.display()
        )
    }

    /// `squeue` shows these lines.
    pub(crate) fn queue(&self, lines: &str) {
        self.command("squeue", &format!("printf '{lines}'"));
    }

    fn calls_file(&self) -> PathBuf {
        self.study.folder.path().join("calls")
    }

    /// What `sbatch` was called with, a line a call.
    pub(crate) fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.calls_file()).unwrap_or_default();
        text.lines().map(str::to_string).collect()
    }

    /// `smartkv sweep COMMAND GRID --launcher slurm` where only these commands are to be found.
    pub(crate) fn sweep(&self, command: &str, more: &[&str]) -> Run {
        let args = [
            &[
                "sweep",
                command,
                self.study.grid(),
                "--store",
                self.study.store(),
                "--launcher",
                "slurm",
            ],
            more,
        ]
        .concat();
        let mut command = program(&args);
        command.env("PATH", &self.bin);
        finish(command)
    }

    pub(crate) fn run(&self, more: &[&str]) -> Run {
        self.sweep("run", more)
    }
}
