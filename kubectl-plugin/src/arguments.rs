//! The command line: the words of Argo's plugin and the usual flags of kubectl.

mod routes;
mod values;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::routes::{Compiling, Explain, ExplainRoute, ExplainWhat, Header, Routes};
use self::values::{factor, go_duration, go_duration_or_seconds, named_value, requests, share};
use crate::patch::promote::Promotion;
use crate::patch::set_image::ContainerImage;

/// Show, promote, abort and change Rollouts, and show, end and repeat Experiments.
#[derive(Clone, Debug, Parser)]
#[command(name = "kubectl-sluice", bin_name = "kubectl sluice", max_term_width = 110)]
pub struct Arguments {
    /// How to reach the cluster.
    #[command(flatten)]
    pub connection: Connection,
    /// How to print.
    #[command(flatten)]
    pub printing: Printing,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// kubectl's flags that say which cluster, as whom and where in it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Namespace [default: that of the context]
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Path to the kubeconfig file [default: $KUBECONFIG, then ~/.kube/config]
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig file
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Cluster of the kubeconfig file
    #[arg(long, global = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig file
    #[arg(long, global = true)]
    pub user: Option<String>,
    /// Address of the API server
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<http::Uri>,
    /// Bearer token
    #[arg(long, global = true, hide_env_values = true)]
    pub token: Option<String>,
    /// Do not check the API server's certificate
    #[arg(long, global = true)]
    pub insecure_skip_tls_verify: bool,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub impersonate: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP")]
    pub impersonate_groups: Vec<String>,
    /// Give up a single request after this time, such as 10s; 0 = never
    #[arg(long, global = true, value_name = "DURATION", value_parser = go_duration_or_seconds)]
    pub request_timeout: Option<Duration>,
}

/// Flags that change what is printed, not what is done.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output")]
pub struct Printing {
    /// Do not colour the output
    #[arg(long, global = true, env = "NO_COLOR", action = ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    pub no_color: bool,
    #[arg(long, global = true, env = "TERM", hide = true)]
    term: Option<String>,
    // Argo's plugin logs with these; this one has nothing to log and takes them so that scripts keep working.
    #[arg(short = 'v', long = "kloglevel", global = true, hide = true, value_name = "LEVEL")]
    log_verbosity: Option<String>,
    #[arg(long = "loglevel", global = true, hide = true, value_name = "LEVEL")]
    log_level: Option<String>,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// A command that needs the cluster.
    #[command(flatten)]
    OnCluster(OnCluster),
    /// Say what is wrong with the Rollouts of a file, without a cluster
    Lint {
        /// File with manifests; - for standard input
        #[arg(short = 'f', long = "filename", value_name = "FILE")]
        file: PathBuf,
    },
    /// Show what an update of a Rollout would do, from its file and without a cluster
    Plan(Plan),
    /// Print the version
    Version(Version),
    /// Print a completion script
    Completion {
        /// The shell that will read it
        shell: Shell,
    },
}

/// The commands that need the cluster.
#[derive(Clone, Debug, Subcommand)]
pub enum OnCluster {
    /// Show a Rollout or an Experiment and what belongs to it
    #[command(subcommand)]
    Get(Get),
    /// List Rollouts or Experiments
    #[command(subcommand)]
    List(List),
    /// Create Rollouts, Experiments, templates of analyses and their runs
    Create(Create),
    /// List the routes that are served, and who takes which part of their requests
    Routes(Routes),
    /// Say what the guard of a Rollout knows, or with `route` what becomes of a request, and why
    Explain(Explain),
    /// Show the phase of a Rollout, and wait until it is Healthy or Degraded
    Status(Status),
    /// Promote a Rollout past its pause or step, or to the end
    Promote(Promote),
    /// Abort the update of Rollouts: everything goes back to the stable version
    Abort(Names),
    /// Retry an aborted Rollout or a finished Experiment
    #[command(subcommand)]
    Retry(Retry),
    /// Pause Rollouts
    Pause(Names),
    /// Restart the pods of a Rollout
    Restart(Restart),
    /// Go back to the pod template of an earlier revision
    Undo(Undo),
    /// Change a Rollout
    #[command(subcommand)]
    Set(Set),
    /// Stop an AnalysisRun or an Experiment
    #[command(subcommand)]
    Terminate(Terminate),
}

/// `get …`
#[derive(Clone, Debug, Subcommand)]
pub enum Get {
    /// Show a Rollout as a tree
    #[command(visible_aliases = ["ro", "rollouts"])]
    Rollout(GetRollout),
    /// Show an Experiment as a tree
    #[command(visible_aliases = ["exp", "experiments"])]
    Experiment(GetExperiment),
}

/// `get rollout`
#[derive(Clone, Debug, Args)]
pub struct GetRollout {
    /// Name of the Rollout
    #[arg(value_name = "ROLLOUT_NAME")]
    pub name: String,
    /// Go on showing changes
    #[arg(short, long)]
    pub watch: bool,
    /// Stop watching after this many seconds; 0 = never
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub timeout_seconds: u64,
}

/// `get experiment`
#[derive(Clone, Debug, Args)]
pub struct GetExperiment {
    /// Name of the Experiment
    #[arg(value_name = "EXPERIMENT_NAME")]
    pub name: String,
    /// Go on showing changes
    #[arg(short, long)]
    pub watch: bool,
}

/// `list …`
#[derive(Clone, Debug, Subcommand)]
pub enum List {
    /// List Rollouts, one line each
    #[command(visible_aliases = ["ro", "rollout"])]
    Rollouts(ListRollouts),
    /// List Experiments, one line each
    #[command(visible_aliases = ["exp", "experiment"])]
    Experiments(ListExperiments),
}

/// `list rollouts`
#[derive(Clone, Debug, Args)]
pub struct ListRollouts {
    /// Rollouts of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Only the Rollout with this name
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Go on printing changes
    #[arg(short, long)]
    pub watch: bool,
    /// Print the time in front of every line
    #[arg(long)]
    pub timestamps: bool,
}

/// `list experiments`
#[derive(Clone, Copy, Debug, Args)]
pub struct ListExperiments {
    /// Experiments of all namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
}

/// `create`
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Create {
    /// What else than files says what to create.
    #[command(subcommand)]
    pub of: Option<CreateOf>,
    /// File with an object; - for standard input; may be repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Go on showing changes of the Rollout
    #[arg(short, long)]
    pub watch: bool,
}

/// `create …`
#[derive(Clone, Debug, Subcommand)]
pub enum CreateOf {
    /// Create an AnalysisRun from a template
    #[command(visible_alias = "ar")]
    Analysisrun(CreateAnalysisRun),
}

/// `create analysisrun`
#[derive(Clone, Debug, Args)]
pub struct CreateAnalysisRun {
    /// Name of the run
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Beginning of its name, the API server adds the rest [default: the template's name and a dash]
    #[arg(long, value_name = "PREFIX")]
    pub generate_name: Option<String>,
    /// Which operator looks after it
    #[arg(long, value_name = "ID")]
    pub instance_id: Option<String>,
    /// A value for an argument of the template; may be repeated
    #[arg(short, long = "argument", value_name = "NAME=VALUE", value_parser = named_value)]
    pub arguments: Vec<(String, String)>,
    /// Which template.
    #[command(flatten)]
    pub template: FromTemplate,
    /// The template is for all namespaces
    #[arg(long)]
    pub global: bool,
}

/// Where the template is.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
pub struct FromTemplate {
    /// Name of a template in the cluster
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,
    /// File with a template; - for standard input
    #[arg(long, value_name = "FILE")]
    pub from_file: Option<PathBuf>,
}

/// `status`
#[derive(Clone, Debug, Args)]
pub struct Status {
    /// Name of the Rollout
    #[arg(value_name = "ROLLOUT_NAME")]
    pub name: String,
    /// Wait until the Rollout is Healthy or Degraded
    #[arg(short, long, action = ArgAction::Set, default_value_t = true, num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_name = "true|false")]
    pub watch: bool,
    /// Stop waiting after this time, such as 5m; 0 = never
    #[arg(short, long, default_value = "0", value_parser = go_duration)]
    pub timeout: Duration,
}

/// `promote`
#[derive(Clone, Copy, Debug, Args)]
#[group(multiple = false)]
pub struct PromoteHow {
    /// Promote to the end: no more analysis, pauses and steps
    #[arg(long)]
    full: bool,
    #[arg(short = 'c', long, hide = true)]
    skip_current_step: bool,
    #[arg(short = 'a', long, hide = true)]
    skip_all_steps: bool,
}

/// `promote`
#[derive(Clone, Debug, Args)]
pub struct Promote {
    /// Name of the Rollout
    #[arg(value_name = "ROLLOUT_NAME")]
    pub name: String,
    #[command(flatten)]
    how: PromoteHow,
}

/// Names of Rollouts.
#[derive(Clone, Debug, Args)]
pub struct Names {
    /// Names of the Rollouts
    #[arg(value_name = "ROLLOUT_NAME", required = true)]
    pub names: Vec<String>,
}

/// `retry …`
#[derive(Clone, Debug, Subcommand)]
pub enum Retry {
    /// Retry aborted Rollouts
    #[command(visible_aliases = ["ro", "rollouts"])]
    Rollout(Names),
    /// Run Experiments again
    #[command(visible_aliases = ["exp", "experiments"])]
    Experiment {
        /// Names of the Experiments
        #[arg(value_name = "EXPERIMENT_NAME", required = true)]
        names: Vec<String>,
    },
}

/// `restart`
#[derive(Clone, Debug, Args)]
pub struct Restart {
    /// Name of the Rollout
    #[arg(value_name = "ROLLOUT_NAME")]
    pub name: String,
    /// Time until then, such as 30s, 5m or 1h [default: now]
    #[arg(short = 'i', long = "in", value_name = "DURATION")]
    pub after: Option<String>,
}

/// `undo`
#[derive(Clone, Debug, Args)]
pub struct Undo {
    /// Name of the Rollout
    #[arg(value_name = "ROLLOUT_NAME")]
    pub name: String,
    /// The revision to go back to; 0 = the one before the newest
    #[arg(long, default_value_t = 0, value_name = "REVISION")]
    pub to_revision: i64,
}

/// `set …`
#[derive(Clone, Debug, Subcommand)]
pub enum Set {
    /// Set images of a Rollout's containers; `*=IMAGE` sets all
    Image {
        /// Name of the Rollout
        #[arg(value_name = "ROLLOUT_NAME")]
        name: String,
        /// Containers and their new images
        #[arg(value_name = "CONTAINER=IMAGE", required = true)]
        images: Vec<ContainerImage>,
    },
}

/// `terminate …`
#[derive(Clone, Debug, Subcommand)]
pub enum Terminate {
    /// Stop an AnalysisRun: what it has measured decides
    #[command(visible_aliases = ["ar", "analysisruns"])]
    Analysisrun {
        /// Name of an AnalysisRun; may be repeated
        #[arg(value_name = "ANALYSISRUN_NAME", required = true)]
        names: Vec<String>,
    },
    /// Stop an Experiment
    #[command(visible_aliases = ["exp", "experiments"])]
    Experiment {
        /// Names of the Experiments
        #[arg(value_name = "EXPERIMENT_NAME", required = true)]
        names: Vec<String>,
    },
}

/// `plan`
#[derive(Clone, Debug, Args)]
pub struct Plan {
    /// File with the Rollout, and with its Services, Mappings and templates if there are any; `-`: standard input; may be
    /// repeated
    #[arg(short, long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// How long a pod takes until it is ready
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = go_duration)]
    pub pod_start: Duration,
    /// Requests a second to both versions: shows how many the new one gets, and what can be seen of it
    #[arg(long, value_name = "REQUESTS", value_parser = requests)]
    pub rps: Option<f64>,
    /// Share of the old version's requests that are bad
    #[arg(long, default_value = "0.1%", value_name = "SHARE", value_parser = share, requires = "rps")]
    pub error_rate: f64,
    /// How many times as many bad requests the new version may have [default: as the guard says, or 1.5]
    #[arg(long, value_name = "FACTOR", value_parser = factor, requires = "rps")]
    pub margin: Option<f64>,
    /// Share of bad requests that it may have beyond that [default: as the guard says, or 0.1%]
    #[arg(long, value_name = "SHARE", value_parser = share, requires = "rps")]
    pub allowance: Option<f64>,
    /// Print all of it in this form
    #[arg(short, long, value_name = "FORM")]
    pub output: Option<Form>,
}

/// Forms that programs read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// `version`
#[derive(Clone, Copy, Debug, Args)]
pub struct Version {
    /// Only the number
    #[arg(long)]
    pub short: bool,
}

/// What is printed instead of running a command: help, or why the command line is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instead {
    /// The text, every line ended.
    pub text: String,
    /// Whether the user asked for it.
    pub wanted: bool,
}

impl Arguments {
    /// Reads a command line, the name of the program first. Mistakes read as kubectl's: `Error: …`.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, Instead> {
        Self::try_parse_from(line).map_err(|error| {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").map(|rest| format!("Error: {rest}")).unwrap_or(text);
            Instead { text, wanted: !error.use_stderr() }
        })
    }
}

impl Printing {
    /// Whether the user and the terminal allow colours.
    #[must_use]
    pub fn colours(&self) -> bool {
        !self.no_color && self.term.as_deref() != Some("dumb")
    }
}

impl Promote {
    /// How far to promote.
    #[must_use]
    pub const fn promotion(&self) -> Promotion {
        match self.how {
            PromoteHow { full: true, .. } => Promotion::Full,
            PromoteHow { skip_current_step: true, .. } => Promotion::SkipCurrentStep,
            PromoteHow { skip_all_steps: true, .. } => Promotion::SkipAllSteps,
            PromoteHow { full: false, skip_current_step: false, skip_all_steps: false } => Promotion::Next,
        }
    }

    /// What to say about flags that should no longer be used.
    #[must_use]
    pub const fn deprecation(&self) -> Option<&'static str> {
        match self.how {
            PromoteHow { skip_current_step: true, .. } => Some(
                "Flag --skip-current-step has been deprecated, use without the flag instead ex: promote ROLLOUT_NAME",
            ),
            PromoteHow { skip_all_steps: true, .. } => {
                Some("Flag --skip-all-steps has been deprecated, use --full instead")
            }
            PromoteHow { skip_current_step: false, skip_all_steps: false, full: _ } => None,
        }
    }
}

#[cfg(test)]
mod tests;
