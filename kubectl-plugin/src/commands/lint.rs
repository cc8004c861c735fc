//! `lint`.

use std::path::Path;

use crate::failure::Failure;
use crate::manifest::{self, check};
use crate::output::Output;

/// Prints what is wrong with the Rollouts of a file, a line each; with a problem it fails.
pub fn run(file: &Path, output: Output) -> Result<(), Failure> {
    let failed = |source| Failure::Manifest { path: file.to_owned(), source };
    let text = manifest::read(file).map_err(failed)?;
    let problems = check::rollouts(&manifest::documents(&text).map_err(failed)?);
    for problem in &problems {
        output.write(&format!("{problem}\n"))?;
    }
    match problems.len() {
        0 => Ok(()),
        problems => Err(Failure::Lint { path: file.to_owned(), problems }),
    }
}
