//! The store by itself: what each function does, on both engines, and what it leaves alone in another brand. Part of
//! the binary of `tests/api`, which links once.

mod apps;
mod brands;
mod costs;
mod customers;
mod engines;
mod google;
mod imports;
mod jobs;
mod loyalty;
mod loyalty_costs;
mod outbox;
mod passes;
mod phones;
mod publication;
mod rollouts;
mod timeline;
mod world;

/// Every function of the store is named by a test in this folder (as `module::function(`), and used by the service.
#[test]
fn every_store_function_is_tested_and_used() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    fn read(path: &std::path::Path) -> String {
        if path.is_file() {
            return std::fs::read_to_string(path).unwrap();
        }
        std::fs::read_dir(path).unwrap().map(|entry| read(&entry.unwrap().path())).collect()
    }
    let tests = read(&root.join("tests/store"));
    let users = ["src/service", "src/cli", "src/worker", "src/app.rs"].map(|path| read(&root.join(path))).concat();
    let (mut untested, mut unused) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(root.join("src/store")).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap().to_owned();
        // The pools are what every test stands on; backups need whole files: tests/api/lifecycle.rs.
        if matches!(module.as_str(), "db" | "mod" | "backup") {
            continue;
        }
        for part in std::fs::read_to_string(&path).unwrap().split("pub async fn ").skip(1) {
            let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if !tests.contains(&format!("{module}::{name}(")) {
                untested.push(format!("{module}::{name}"));
            }
            if !users.contains(&format!("::{name}(")) {
                unused.push(format!("{module}::{name}"));
            }
        }
    }
    assert!(untested.is_empty(), "without a test: {untested:?}");
    assert!(unused.is_empty(), "used by nobody: {unused:?}");
}
