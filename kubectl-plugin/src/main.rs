//! The `kubectl sluice` plugin.

use std::io::ErrorKind;
use std::process::ExitCode;

use kubectl_sluice::arguments::Arguments;
use kubectl_sluice::failure::Failure;
use kubectl_sluice::output::Output;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(instead) => {
            let output = Output::of_process(false);
            if instead.wanted {
                return finish(output.write(&instead.text).map_err(Failure::from), output);
            }
            output.warn(&instead.text);
            return ExitCode::FAILURE;
        }
    };
    let output = Output::of_process(arguments.printing.colours());
    finish(Box::pin(kubectl_sluice::run(&arguments, output)).await, output)
}

fn finish(result: Result<(), Failure>, output: Output) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        // The reader has seen enough.
        Err(Failure::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            output.warn(&format!("Error: {}", failure.report()));
            ExitCode::FAILURE
        }
    }
}
