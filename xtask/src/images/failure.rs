//! Builds that failed: whose fault it is, and what is shown of what they said.

use super::{build::Built, containerfile::FILE};
use crate::{
    outcome::{Finding, StepError},
    podman::refused,
    process::Finished,
};

/// How many lines of a failed build are shown.
const SHOWN_LINES: usize = 60;

/// A full disk and a podman that cannot work are the environment's fault; everything else is the build's.
pub(super) fn failed(target: &str, line: Option<u32>, finished: &Finished) -> Result<Built, StepError> {
    let words = finished.stderr.to_lowercase();
    if ["no space left on device", "oci permission denied", "error mounting"]
        .iter()
        .any(|it| words.contains(it))
    {
        return Err(refused(&format!("`{target}` cannot be built"), finished));
    }
    let message = format!("the target `{target}` cannot be built");
    let finding = Finding::error("image-build-failed", message).at(FILE, line);
    Ok(Built::Failed { findings: vec![finding], output: relevant(&finished.stdout, &finished.stderr) })
}

/// From the first error on; podman repeats whole instructions, which are cut.
fn relevant(stdout: &str, stderr: &str) -> String {
    let lines: Vec<&str> = stdout.lines().chain(stderr.lines()).collect();
    let first = lines.iter().position(|it| it.starts_with("error") || it.starts_with("Error"));
    let from = first.unwrap_or(lines.len().saturating_sub(SHOWN_LINES));
    let cut = |line: &&str| line.chars().take(300).collect::<String>();
    lines[from..].iter().take(SHOWN_LINES).map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_build_shows_the_compilers_words_first() {
        let stdout = "STEP 1/2: FROM x\nSTEP 2/2: RUN cargo build\n";
        let stderr = "   Compiling a v0.1.0\nerror[E0425]: cannot find value `x`\n --> a.rs:1:1\nError: building at STEP\n";
        insta::assert_snapshot!(relevant(stdout, stderr), @r"
        error[E0425]: cannot find value `x`
         --> a.rs:1:1
        Error: building at STEP
        ");
    }
}
