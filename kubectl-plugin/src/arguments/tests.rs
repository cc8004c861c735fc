use clap::CommandFactory as _;

use super::*;

fn read(line: &str) -> Result<Command, Instead> {
    let words = std::iter::once("kubectl-sluice").chain(line.split_whitespace());
    Arguments::read(words.map(OsString::from)).map(|arguments| arguments.command)
}

#[test]
fn the_definition_is_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn lines_that_argos_plugin_takes_are_taken() {
    for line in [
        "get rollout shop -w",
        "get ro shop --no-color -n prod",
        "-n prod get rollouts shop --watch --timeout-seconds 5",
        "get experiment trial -w",
        "get exp trial",
        "list rollouts -A --timestamps",
        "list experiments -A",
        "list exp",
        "list ro --name shop -w",
        "status shop",
        "status shop -w=false",
        "status shop --watch=false -t 60s",
        "status shop --timeout 1h30m",
        "promote shop --full",
        "promote shop -c",
        "promote shop -a",
        "abort shop cart",
        "retry rollout shop",
        "retry ro shop",
        "pause shop -v 6 --loglevel debug",
        "restart shop -i 10s",
        "restart shop --in 10s",
        "undo shop --to-revision=3",
        "set image shop web=shop:v2",
        "set image shop *=shop:v2",
        "terminate analysisrun run-1 run-2",
        "create -f rollout.yaml -w",
        "create -f a.yaml --filename b.yaml",
        "create analysisrun --from checks -a a=b=c --argument d=",
        "create ar --global --from-file checks.yaml --name run --instance-id x",
        "lint -f rollout.yaml",
        "plan -f rollout.yaml",
        "plan -f rollout.yaml -f services.yaml --pod-start 20s -o json",
        "plan --filename - --rps 100 --error-rate 0.5% --margin 2 --allowance 0 -o yaml",
        "version --short",
        "completion bash",
    ] {
        assert!(read(line).is_ok(), "{line}: {:?}", read(line).err());
    }
}

#[test]
fn mistakes_read_as_kubectls() {
    for line in [
        "",
        "get",
        "get rollout",
        "promote shop --full -c",
        "set image shop web",
        "status shop -t 5",
        "create",
        "create analysisrun",
        "create analysisrun --from a --from-file b",
        "create analysisrun --from a -a b",
        "lint",
        "plan",
        "plan -f x --rps 0",
        "plan -f x --rps NaN",
        "plan -f x --rps 1 --error-rate 100%",
        "plan -f x --rps 1 --margin 0.5",
        "plan -f x --margin 2",
        "plan -f x --pod-start=-5s",
    ] {
        let instead = read(line).err().unwrap();
        assert!(!instead.wanted && !instead.text.starts_with("error:"), "{line}: {}", instead.text);
    }
    assert!(read("abort").err().unwrap().text.starts_with("Error: the following required arguments"));
    assert!(read("--help").err().unwrap().wanted);
}
