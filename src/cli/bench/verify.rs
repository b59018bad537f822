//! Looking at a bundle as a phone does, on one core.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use zip::write::SimpleFileOptions;

use super::super::{Failure, Output, certs, designs};
use super::installation::PASS_TYPE;
use super::{Measure, slice};
use crate::clock::{Clock as _, SystemClock, random_alphanumeric};
use crate::config::Config;
use crate::wallet::apple::assets::Assets;
use crate::wallet::apple::bundle::Bundle;
use crate::wallet::apple::certificates;
use crate::wallet::apple::pass_json::{self, Identity};
use crate::wallet::apple::verify::Verifier;
use crate::wallet::check;

pub fn run(seconds: Duration, output: Output) -> Result<(), Failure> {
    let now = SystemClock.now();
    let folder = std::env::temp_dir().join(format!("passarela-bench-{}", random_alphanumeric(&SystemClock, 12)));
    let mut config = Config::defaults();
    config.apple.certs_dir = folder.clone();
    let trouble = |error: &dyn std::fmt::Display| Failure::Trouble(error.to_string());
    certs::ensure_dev(&config, PASS_TYPE, false)?;
    let found = certificates::read(&folder, now).map_err(|error| trouble(&error))?;
    drop(std::fs::remove_dir_all(&folder));
    let signer = found.signer(PASS_TYPE).ok_or_else(|| trouble(&"no signer"))?;
    let verifier = Verifier::new(&[signer.intermediate().clone()]);
    for files in designs::shipped() {
        let renderer = check::check(&files).map_err(|faults| trouble(&faults))?.renderer;
        let design = renderer.design();
        let content = check::render_sample(&renderer, design.sample.today).map_err(|error| trouble(&error))?;
        let identity = Identity { pass_type: PASS_TYPE, team: signer.team(), web_service_url: None };
        let pass = pass_json::render(&content, &design.apple, identity);
        let bundle = Bundle::sign(&Arc::new(Assets::new(design)), &pass, None, signer, now);
        let bundle = bundle.map_err(|error| trouble(&error))?.to_vec();
        let repacked = pack_again(&bundle).map_err(|error| trouble(&error))?;
        for (bundle, packed) in [(bundle, "as we pack it"), (repacked, "deflated whole, as others pack theirs")] {
            if let Some(fault) = verifier.verify(&bundle, now).faults.first() {
                return Err(trouble(fault));
            }
            let look = |_| drop(std::hint::black_box(verifier.verify(&bundle, now)));
            let (count, time) = slice(1, seconds, &look);
            let size = bundle.len();
            let note = format!("{}, {packed}: {size} bytes, with the chain; no limit: it is its own work", design.name);
            let rate = count as f64 / time.as_secs_f64();
            Measure::new("verify, one core", rate, None, time.as_secs_f64(), note).print(output);
        }
    }
    Ok(())
}

/// The same files with every one of them deflated: most packers do not ask whether it helps.
fn pack_again(bundle: &[u8]) -> zip::result::ZipResult<Vec<u8>> {
    let mut from = zip::ZipArchive::new(Cursor::new(bundle))?;
    let mut to = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for index in 0..from.len() {
        let mut entry = from.by_index(index)?;
        let deflated = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        to.start_file(entry.name()?.into_owned(), deflated)?;
        std::io::copy(&mut entry, &mut to)?;
    }
    Ok(to.finish()?.into_inner())
}
