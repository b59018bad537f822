use std::process::ExitCode;

fn main() -> ExitCode {
    passarela::cli::main()
}
