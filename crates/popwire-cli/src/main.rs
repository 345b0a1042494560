//! `popwire`, the mail retriever. The work is in `commands`; here a result becomes an exit code.

mod alarm;
mod args;
mod commands;
mod config;
mod destinations;
mod explain;
mod import;
mod output;
mod password;
mod providers;
mod retrieval;
mod session;
mod settings;
mod signin;
mod state;
mod text;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match args::Cli::try_parse() {
        Ok(cli) => commands::run(&cli).into(),
        Err(asked) => {
            // Help and version are no errors. If they cannot be printed there is nobody to tell.
            let _ = asked.print();
            if asked.use_stderr() { explain::Exit::Usage.into() } else { ExitCode::SUCCESS }
        }
    }
}
