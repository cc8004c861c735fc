//! `version`.

/// What this program is; the number alone if `short`. Dates and machine names are left out: two builds of one commit
/// are the same, bit for bit.
#[must_use]
pub fn run(short: bool) -> String {
    let number = format!("kubectl-sluice: v{}\n", env!("CARGO_PKG_VERSION"));
    if short {
        return number;
    }
    let commit = option_env!("SLUICE_GIT_COMMIT").map(|commit| format!("  GitCommit: {commit}\n"));
    let platform = format!("  Platform: {}/{}\n", std::env::consts::OS, architecture(std::env::consts::ARCH));
    number + &commit.unwrap_or_default() + &platform
}

/// The names that Kubernetes uses.
fn architecture(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_comes_first() {
        let number = concat!("kubectl-sluice: v", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(run(true), number);
        assert!(run(false).starts_with(number) && run(false).contains("  Platform: "));
    }
}
