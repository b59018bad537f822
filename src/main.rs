use std::process::ExitCode;

/// Rendering and reading rows are made of small texts: with the system's allocator a third of their time goes there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    passarela::cli::main()
}
