//! The smartkv program; everything is in the library, so that plugin crates share it.

fn main() -> std::process::ExitCode {
    smartkv::main()
}
