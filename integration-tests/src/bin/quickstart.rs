//! The demo's story with a live picture: `cargo xtask demo` prepares the cluster and runs this.

use std::{io::IsTerminal as _, process::ExitCode, time::Duration};

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use integration_tests::{
    cluster::Cluster,
    story::{Report, Scene, Settings, Story},
};

/// Rolls out a new version of a small application under load and counts every request.
#[derive(Parser)]
struct Arguments {
    /// Roll out a version that fails a third of its requests, and abort when that shows.
    #[arg(long)]
    bad: bool,
    /// Let a guard judge the new version: it aborts a bad one.
    #[arg(long)]
    guard: bool,
    /// Seconds for each pause of the Rollout, which has 60.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=600))]
    pause: u64,
    /// Requests per second.
    #[arg(long, default_value_t = 200)]
    rate: u32,
    /// Kept-alive connections.
    #[arg(long, default_value_t = 16)]
    connections: u32,
    /// Where it is played.
    #[arg(long, default_value = "quickstart")]
    namespace: String,
    /// Where the proxies are: namespace/service.
    #[arg(long, default_value = "sluice-system/sluice-proxy")]
    proxy: String,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let picture = Picture::new();
    let report = play(&arguments, &picture).await?;
    picture.end(&report, &arguments);
    Ok(if report.problems().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(arguments: &Arguments, picture: &Picture) -> anyhow::Result<Report> {
    let settings = Settings {
        rate: arguments.rate,
        connections: arguments.connections,
        new_version: if arguments.bad { "bad" } else { "v2" }.to_owned(),
        proxy: arguments.proxy.clone(),
        ..Settings::quickstart(arguments.pause)
    };
    let settings = if arguments.guard { settings.guarded() } else { settings };
    let cluster = Cluster::namespace(&arguments.namespace).await?;
    picture.say("apply examples/quickstart with image localhost/sluice-demo:v1 and wait until it is healthy");
    let mut story = Story::begin(cluster, settings.clone()).await?;
    picture.say(&format!(
        "v1 is stable behind {} proxies; {} requests a second are on their way",
        story.proxies(),
        settings.rate
    ));
    picture.say(&format!("set the image to localhost/sluice-demo:{}", settings.new_version));
    story.update().await?;
    if arguments.bad && arguments.guard {
        story.watch("the guard has aborted", |scene| picture.show(scene), Scene::gone_back).await?;
        picture.say("the guard has aborted, and all traffic is back at v1");
    } else if arguments.bad {
        let shown = |scene: &Scene| scene.tally.bad() > 50;
        story.watch("the new version has failed 50 requests", |scene| picture.show(scene), shown).await?;
        picture.say("it fails requests: kubectl sluice abort someapp");
        story.abort().await?;
        story.watch("all traffic is back at v1", |scene| picture.show(scene), Scene::gone_back).await?;
    } else {
        story.watch("the new version is promoted", |scene| picture.show(scene), Scene::complete).await?;
    }
    // What comes afterwards has to be right, too.
    let enough = story.sent() + u64::from(settings.rate) * 2;
    story.watch("two more seconds", |scene| picture.show(scene), |scene| scene.tally.sent > enough).await?;
    story.end().await
}

/// A gauge of 40 characters for a percentage.
fn gauge(percent: f64) -> String {
    let full = (1..=40).take_while(|mark| f64::from(*mark) * 2.5 <= percent + 1.25).count();
    format!("{}{}", "█".repeat(full), "░".repeat(40 - full))
}

/// A picture that lives in a terminal, and a line per change.
struct Picture {
    bar: ProgressBar,
    live: bool,
    last: std::cell::RefCell<String>,
}

impl Picture {
    fn new() -> Self {
        let bar = ProgressBar::new_spinner();
        let style =
            ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}").expect("the template is valid");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar, live: std::io::stderr().is_terminal(), last: std::cell::RefCell::default() }
    }

    fn say(&self, text: &str) {
        self.print(&format!("{:>5.1}s {text}", self.bar.elapsed().as_secs_f64()));
    }

    #[expect(clippy::print_stdout, reason = "the picture is what the demo is for")]
    fn print(&self, line: &str) {
        self.bar.suspend(|| println!("{line}"));
    }

    fn show(&self, scene: &Scene) {
        let Scene { rollout, steps, canary_open, tally, share } = scene;
        let weights = rollout.canary.weights.as_ref();
        let weight = weights.map_or(0, |weights| weights.canary.weight);
        let verified = match weights.and_then(|weights| weights.verified) {
            Some(true) => "on every proxy",
            Some(false) => "not yet on every proxy",
            None => "",
        };
        let step = rollout.current_step_index.unwrap_or_default();
        let mapping = if *canary_open { "there" } else { "absent" };
        let share = share.unwrap_or_default();
        let state = format!("{:<11} step {step}/{steps}  weight {weight:>3} {verified:<22}", rollout.phase);
        let counts = format!(
            "requests {}  failed by the application {}  lost {}",
            tally.sent,
            tally.bad(),
            tally.lost()
        );
        if *self.last.borrow() != state {
            self.say(&format!("{state}  share {share:>5.1} %  {counts}"));
            self.last.replace(state);
        }
        if self.live {
            self.bar.set_message(format!(
                "{} step {step}/{steps}, canary Mapping {mapping}\n  weight {} {weight:>5} %  {verified}\n  \
                 share  {} {share:>5.1} %  measured at the pods\n  {counts}",
                rollout.phase,
                gauge(f64::from(weight)),
                gauge(share)
            ));
        }
    }

    fn end(&self, report: &Report, arguments: &Arguments) {
        self.bar.finish_and_clear();
        self.print("");
        for stage in &report.stages {
            self.print(&format!(
                "  weight {:>3}: {:>6} of {:>6} requests went to the new version, {:.2} %",
                stage.weight,
                stage.canary,
                stage.requests,
                stage.share()
            ));
        }
        let tally = &report.tally;
        self.print(&format!(
            "  {} requests sent, {} answered by {} pods, {} failed by the application, {} lost",
            tally.sent,
            tally.answered(),
            tally.pods.len(),
            tally.bad(),
            tally.lost()
        ));
        let mapping = if report.canary_open { "is still there" } else { "is gone" };
        self.print(&format!(
            "  Rollout {} {}; the canary Mapping {mapping}",
            report.rollout.phase, report.rollout.message
        ));
        let problems = report.problems();
        if problems.is_empty() {
            self.print("\nEvery request is accounted for. What to try next:");
            let namespace = &arguments.namespace;
            self.print(&format!(
                "  cargo xtask cluster kubectl sluice get rollout someapp -n {namespace} -w"
            ));
            self.print(&format!(
                "  cargo xtask cluster kubectl sluice set image someapp someapp=localhost/sluice-demo:v1 -n {namespace}"
            ));
            self.print(if arguments.bad { "  cargo xtask demo" } else { "  cargo xtask demo --bad" });
        }
        for problem in problems {
            self.print(&format!("\nwrong: {problem}"));
        }
    }
}
