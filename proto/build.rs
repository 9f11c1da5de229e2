//! Compiles `proto/` with protox, which is pure Rust: no system `protoc` is needed.

use std::path::PathBuf;

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "curvefleet/v1/types.proto",
        "curvefleet/v1/study_service.proto",
        "curvefleet/v1/worker_service.proto",
        "curvefleet/v1/token_service.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(files, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure().codec_path("crate::codec::BoundedCodec").compile_fds(descriptors)?;
    Ok(())
}
