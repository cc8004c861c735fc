//! Generates the wire types, and with the feature `grpc` the stubs, from `proto/`.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let stubs = std::env::var_os("CARGO_FEATURE_GRPC").is_some();
    let files = protox::compile(["config.proto", "traffic.proto"], ["proto"])?;
    tonic_prost_build::configure().build_client(stubs).build_server(stubs).compile_fds(files)?;
    println!("cargo::rerun-if-changed=proto");
    Ok(())
}
