//! What the environment of the user decides: which cluster, and where files may be kept.

use std::path::{Path, PathBuf};

use clap::Args;

/// Options that every task understands.
#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    /// Use this context of your kubeconfig instead of the local cluster.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// Files that `--context` is looked up in, as kubectl reads the variable.
    #[arg(
        long,
        global = true,
        env = "KUBECONFIG",
        hide_env_values = true,
        value_name = "FILES",
        hide = true
    )]
    pub(crate) kubeconfig: Option<String>,

    #[arg(long, global = true, env = "HOME", default_value = "/", hide = true)]
    home: PathBuf,

    #[arg(long, global = true, env = "XDG_CACHE_HOME", hide = true)]
    cache_home: Option<PathBuf>,

    #[arg(long, global = true, env = "XDG_STATE_HOME", hide = true)]
    state_home: Option<PathBuf>,
}

impl Settings {
    /// Where programs that took minutes to build are kept, shared by all clones: `$XDG_CACHE_HOME/sluice`.
    pub(crate) fn cache(&self) -> PathBuf {
        self.cache_home.clone().unwrap_or_else(|| self.home.join(".cache")).join("sluice")
    }

    /// Where a cluster without root keeps its state: `$XDG_STATE_HOME`.
    pub(crate) fn user_state(&self) -> PathBuf {
        self.state_home.clone().unwrap_or_else(|| self.home.join(".local/state"))
    }
}

/// The root of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo puts the programs that are not shipped: beside this one, wherever the user wants `target` to be.
pub(crate) fn programs() -> PathBuf {
    let own = std::env::current_exe().ok().and_then(|own| own.parent().map(Path::to_owned));
    own.unwrap_or_else(|| workspace().join("target/debug"))
}
