//! Where things lie: the test data of the tree, and a place for what is made from it.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The folder `testdata` of the source tree.
#[must_use]
pub fn testdata() -> PathBuf {
    root().join("testdata")
}

/// A folder below Cargo's target folder for what is costly to make and may be kept. It may not exist yet.
#[must_use]
pub fn tmp() -> PathBuf {
    // Cargo tells a library nothing of the target folder, but the test that runs lies in it; Cargo marks it.
    let test = env::current_exe().unwrap_or_default();
    let target = test.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    target.map_or_else(|| root().join("target"), Path::to_path_buf).join("tmp")
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_data_is_found() {
        assert!(testdata().join("README.md").is_file());
    }

    #[test]
    fn what_is_made_lies_below_the_target_folder() {
        assert!(tmp().parent().unwrap().join("CACHEDIR.TAG").is_file(), "{}", tmp().display());
    }
}
