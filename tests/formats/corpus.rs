//! Replays what the fuzzer found interesting, and what it once broke.

use std::path::Path;

#[path = "../../fuzz/targets.rs"]
mod targets;

#[test]
fn nothing_in_the_corpus_breaks_a_reader() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, read) in targets::TARGETS {
        let mut count = 0;
        for entry in std::fs::read_dir(corpus.join(name)).unwrap_or_else(|error| panic!("{name}: {error}")) {
            read(&std::fs::read(entry.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no corpus");
    }
}
