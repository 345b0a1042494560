//! `popwire completions` and `popwire man`: both from what `--help` is made from.

use std::fs;
use std::io::{self, Write as _};

use clap::CommandFactory as _;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::explain::{Exit, Problem};
use crate::output::Output;

pub(super) fn completions(args: &CompletionsArgs) -> Result<Exit, Problem> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "popwire", &mut script);
    match io::stdout().write_all(&script) {
        // A reader that went away, like `head`, is no error.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::new(Exit::Io, format!("stdout cannot be written: {error}"), "Try another place."))
        }
        _ => Ok(Exit::Ok),
    }
}

pub(super) fn man(args: &ManArgs, output: &mut Output) -> Result<Exit, Problem> {
    let failed = |error: io::Error| {
        let what = format!("the pages cannot be written to {}: {error}", args.folder.display());
        Problem::new(Exit::CannotCreate, what, "Name another folder.")
    };
    fs::create_dir_all(&args.folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(failed)?;
    output.report(&format!(
        "the pages are in {}: man -l {}/popwire.1",
        args.folder.display(),
        args.folder.display()
    ));
    Ok(Exit::Ok)
}
