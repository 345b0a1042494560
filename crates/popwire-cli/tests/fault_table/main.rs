//! The faults that a retriever must survive, sixteen rows, each with ten messages: what is lost, doubled, altered or stuck after
//! it, and the exit codes. popwire's column has to be clean.
//!
//! With `POPWIRE_FULL=1` the other retrievers of the machine go through the same: fetchmail, getmail6, mpop, fdm. What they
//! do is shown, not asserted. `POPWIRE_FAULT_TABLE=FILE` writes the table there; otherwise it is printed (`--nocapture`).

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]
#![allow(clippy::print_stderr, reason = "the table is what it is for")]

mod rows;
mod tools;

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use rows::{Outcome, ROWS};
use tools::Tool;

#[test]
fn sixteen_faults_lose_double_and_block_nothing() {
    let full = env::var_os("POPWIRE_FULL").is_some_and(|full| full != "0");
    let tools: &[Tool] = if full { &Tool::ALL } else { &[Tool::Popwire] };
    let jobs: Vec<(usize, usize)> =
        (0..ROWS.len()).flat_map(|row| (0..tools.len()).map(move |tool| (row, tool))).collect();
    let next = AtomicUsize::new(0);
    let cells = Mutex::new(vec![vec![None; tools.len()]; ROWS.len()]);
    thread::scope(|scope| {
        // Much of it is waiting.
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(&(row, tool)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = ROWS[row].play(row, tool, tools[tool]);
                    cells.lock().unwrap()[row][tool] = Some(outcome);
                }
            });
        }
    });
    let cells = cells.into_inner().unwrap();
    let table = table(tools, &cells);
    match env::var_os("POPWIRE_FAULT_TABLE") {
        Some(file) => fs::write(file, &table).unwrap(),
        None => eprintln!("{table}"),
    }
    let mut wrong = String::new();
    for (row, cells) in ROWS.iter().zip(&cells) {
        let ours = cells[0].as_ref().expect("it was played");
        if let Err(what) = row.judge(ours) {
            let _ = writeln!(wrong, "{}: {what}: {ours}\n{}", row.name, ours.said);
        }
    }
    assert!(wrong.is_empty(), "{wrong}\n{table}");
}

/// The table in Markdown. Exit codes are those of the run with the fault, and of the two after it.
fn table(tools: &[Tool], cells: &[Vec<Option<Outcome>>]) -> String {
    let names: Vec<&str> = tools.iter().map(|tool| tool.name()).collect();
    let mut table = format!("| fault | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(tools.len()));
    for (row, cells) in ROWS.iter().zip(cells) {
        let cells: Vec<String> =
            cells.iter().map(|cell| cell.as_ref().map(ToString::to_string).unwrap_or_default()).collect();
        let _ = writeln!(table, "| {} | {} |", row.name, cells.join(" | "));
    }
    table
}
