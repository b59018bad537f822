//! Loops that call use cases: the publisher, the sequencer, the sweep. Each stops between two batches.

pub mod importer;
pub mod keyring;
pub mod publisher;
pub mod roller;
pub mod sequencer;
pub mod sweeper;
