use my_strategy as _; // A crate that nobody names is not linked, and then registers nothing.
fn main() -> std::process::ExitCode {
    smartkv::main()
}
