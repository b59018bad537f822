//! Loops that call use cases: the publisher, the dispatchers, the sequencer, the sweep, the bookkeeper. Each stops between two batches.

pub mod bookkeeper;
pub mod dispatcher;
pub mod importer;
pub mod keyring;
pub mod publisher;
pub mod roller;
pub mod sequencer;
pub mod sweeper;
pub mod witness;
