//! How much memory a process had at its peak. Linux only.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use crate::{Error, Result};

/// The largest resident size that this process ever had, in KiB.
///
/// # Errors
///
/// When `/proc` does not tell.
pub fn peak_kib() -> Result<u64> {
    peak_of(Path::new("/proc/self/status"))
}

/// The largest resident size that process `pid` ever had, in KiB.
///
/// # Errors
///
/// When `/proc` does not tell, as when the process has ended.
pub fn peak_kib_of(pid: u32) -> Result<u64> {
    peak_of(Path::new(&format!("/proc/{pid}/status")))
}

/// Begin the peak of this process anew at what it holds now, to measure one part of a test.
///
/// # Errors
///
/// When the kernel refuses.
pub fn reset_peak() -> Result<()> {
    let file = Path::new("/proc/self/clear_refs");
    fs::write(file, "5").map_err(Error::io("cannot write", file))
}

/// Run `command` to its end, without input: what it printed, how it ended, and its peak in KiB.
///
/// Python's `resource` module measures. A child's peak begins with what its parent held at the fork, so what is below
/// some 12 MiB reads as that.
///
/// # Errors
///
/// When the command or python3 cannot be started.
pub fn run(command: &Command) -> Result<(Output, u64)> {
    let folder =
        tempfile::tempdir().map_err(|reason| Error::new(format!("no temporary folder: {reason}")))?;
    let report = folder.path().join("kib");
    let mut python = Command::new("python3");
    python.arg("-c").arg(MEASURE).arg(&report).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => python.env(name, value),
            None => python.env_remove(name),
        };
    }
    if let Some(dir) = command.get_current_dir() {
        python.current_dir(dir);
    }
    let output = python.stdin(Stdio::null()).output();
    let output = output.map_err(|reason| Error::new(format!("cannot start python3: {reason}")))?;
    let kib = fs::read_to_string(&report).ok().and_then(|text| text.trim().parse().ok());
    kib.map(|kib| (output.clone(), kib)).ok_or_else(|| {
        Error::new(format!("{command:?} was not measured: {}", String::from_utf8_lossy(&output.stderr)))
    })
}

/// Runs its arguments from the second on; writes the peak into the first; ends as the child ended.
const MEASURE: &str = "
import resource, subprocess, sys
status = subprocess.run(sys.argv[2:]).returncode
with open(sys.argv[1], 'w') as f:
    f.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(status if status >= 0 else 128 - status)
";

fn peak_of(file: &Path) -> Result<u64> {
    let status = fs::read_to_string(file).map_err(Error::io("cannot read", file))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|value| value.trim().strip_suffix(" kB")).and_then(|value| value.parse().ok());
    kib.ok_or_else(|| Error::new(format!("{} has no VmHWM", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_shows_what_was_used() {
        let before = peak_kib().unwrap();
        let big = std::hint::black_box(vec![1_u8; 64 << 20]);
        assert!(peak_kib().unwrap() >= before.max(64 << 10));
        drop(big);
        reset_peak().unwrap();
        assert!(peak_kib().unwrap() < 64 << 10);
        assert!(peak_kib_of(std::process::id()).unwrap() > 0);
    }

    #[test]
    fn a_child_is_measured_and_its_end_is_kept() {
        let mut hungry = Command::new("perl");
        hungry.args(["-e", "my $x = 'x' x (64 << 20); print length $x; exit $ENV{CODE}"]).env("CODE", "7");
        let (output, kib) = run(&hungry).unwrap();
        assert_eq!(output.status.code(), Some(7));
        assert_eq!(output.stdout, b"67108864");
        assert!((64 << 10..512 << 10).contains(&kib), "{kib} KiB");
        assert!(run(&Command::new("/nonexistent/program")).is_err());
    }
}
