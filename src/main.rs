use std::process::ExitCode;

/// Rendering a pass and reading rows make many small texts, and drop them at once.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    passarela::cli::main()
}
