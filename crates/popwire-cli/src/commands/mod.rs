//! The sub-commands, one file each.

mod check;
mod demo;
mod fetch;
mod import;
mod ls;
mod manual;
mod pick;
mod probe;
mod serve;
mod state;
mod status;
mod watch;

use crate::args::{Cli, Command};
use crate::explain::Exit;
use crate::output::Output;

/// Does what the command line says, and tells how it went.
pub(crate) fn run(cli: &Cli) -> Exit {
    let mut output = Output::new(&cli.output);
    let done = match &cli.command {
        Command::Fetch(args) => fetch::run(args, &mut output),
        Command::Import(args) => import::run(args, &mut output),
        Command::Ls(args) => ls::run(args, &mut output),
        Command::Watch(args) => watch::run(args, &mut output),
        Command::Show(args) => pick::show(args, &mut output),
        Command::Rm(args) => pick::rm(args, &mut output),
        Command::Check(args) => check::run(args, &mut output),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args, &mut output),
        Command::Status(args) => status::run(args, &mut output),
        Command::State(args) => state::run(args, &mut output),
        Command::Probe(args) => probe::run(args, &mut output),
        Command::Demo(args) => demo::run(args, &mut output),
        Command::Serve(args) => serve::run(args, &mut output),
    };
    let exit = done.unwrap_or_else(|problem| {
        output.error(&problem);
        problem.exit
    });
    output.finish(exit)
}
