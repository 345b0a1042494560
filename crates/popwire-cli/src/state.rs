//! Where the ledger is, and how it is opened.

use std::env;
use std::path::{Path, PathBuf};

use popwire_retriever::SqliteLedger;

use crate::args::StateArgs;
use crate::explain::{self, Problem};
use crate::output::Output;

/// The ledger's file in the folder of the state.
const LEDGER: &str = "ledger.sqlite3";

/// Opens the ledger, and says so where it was damaged.
pub(crate) fn open(args: &StateArgs, output: &mut Output) -> Result<SqliteLedger, Problem> {
    open_in(&folder(args)?, output)
}

/// Opens the ledger in this folder.
pub(crate) fn open_in(folder: &Path, output: &mut Output) -> Result<SqliteLedger, Problem> {
    let ledger = SqliteLedger::open(folder.join(LEDGER)).map_err(|error| explain::ledger(&error))?;
    if let Some(salvage) = ledger.salvage() {
        output.warn(&format!(
            "the ledger {} was damaged: {} entries were saved from it. What is missing is compared with the mail that is here, so \
             that it does not come twice. The damaged file is kept: {}",
            ledger.path().display(),
            salvage.saved,
            salvage.damaged.display()
        ));
    }
    Ok(ledger)
}

/// The folder by the command line, or by the environment.
pub(crate) fn folder(args: &StateArgs) -> Result<PathBuf, Problem> {
    let variable = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    args.folder
        .clone()
        .or_else(|| variable("POPWIRE_STATE"))
        // Relative paths are to be ignored there (XDG Base Directory Specification).
        .or_else(|| {
            variable("XDG_STATE_HOME").filter(|path| path.is_absolute()).map(|path| path.join("popwire"))
        })
        .or_else(|| variable("HOME").map(|path| path.join(".local/state/popwire")))
        .ok_or_else(|| {
            let what = "there is no place for the ledger, which remembers what was fetched: HOME is not set";
            Problem::configuration(what, "Name one: --state DIR, or set POPWIRE_STATE or HOME.")
        })
}
