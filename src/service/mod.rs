//! Use cases: each one function and one transaction. Nothing here knows HTTP.

pub mod app;
pub mod app_devices;
pub mod apple_devices;
pub mod brands;
pub mod bundles;
pub mod change_pass;
pub mod customers;
pub mod deliver;
pub mod deliveries;
pub mod gather;
pub mod imports;
pub mod issue_pass;
pub mod keys;
pub mod notices;
pub mod once;
pub mod preview;
pub mod problem;
pub mod programs;
pub mod publish;
pub mod read_pass;
pub mod reads;
pub mod reconcile;
pub mod reissue_pass;
pub mod rollouts;
pub mod save_link;
pub mod sequence;
pub mod sightings;
pub mod sign_up;
pub mod signers;
pub mod sweep;
pub mod templates;
pub mod timeline;

pub use app::App;
pub use problem::Problem;
