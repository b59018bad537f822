//! Signing: what a bundle costs beside its one RSA operation.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};

use super::super::designs;
use super::super::{Failure, Output, certs};
use super::installation::PASS_TYPE;
use super::{Measure, compare, cores};
use crate::clock::{Clock as _, SystemClock, random_alphanumeric};
use crate::config::Config;
use crate::domain::pass::PassStatus;
use crate::domain::secret::Personal;
use crate::wallet::apple::assets::Assets;
use crate::wallet::apple::bundle::Bundle;
use crate::wallet::apple::{certificates, pass_json};
use crate::wallet::design::Design;
use crate::wallet::render::{Renderer, State};

pub fn run(seconds: Duration, output: Output) -> Result<(), Failure> {
    let trouble = |error: &dyn std::fmt::Display| Failure::Trouble(error.to_string());
    let folder = std::env::temp_dir().join(format!("passarela-bench-{}", random_alphanumeric(&SystemClock, 12)));
    let mut config = Config::defaults();
    config.apple.certs_dir = folder.clone();
    certs::ensure_dev(&config, PASS_TYPE, false)?;
    let now = SystemClock.now();
    let found = certificates::read(&folder, now).map_err(|error| trouble(&error))?;
    drop(std::fs::remove_dir_all(&folder));
    let signer = found.signer(PASS_TYPE).ok_or_else(|| trouble(&"no signer"))?;

    let design = Design::parse(&designs::card()).map_err(|error| trouble(&error))?;
    let renderer = Renderer::new(design).map_err(|error| trouble(&error))?;
    let assets = Arc::new(Assets::new(renderer.design()));
    let name = Personal::new("Ana Souza".to_owned());
    let data = json!({ "points": 120, "tier": "Prata", "next_reward": "Pão de queijo" });
    let state = State {
        brand_name: "Padaria Aurora",
        brand_code: "k7w2m9xa",
        program_name: "Clube Aurora",
        time_zone: chrono_tz::Tz::America__Sao_Paulo,
        customer_name: Some(&name),
        customer_attributes: &Map::new(),
        card_number: None,
        member_since: now,
        pass_serial: "Ab9Ab9Ab9Ab9Ab9Ab9Ab9A",
        pass_status: PassStatus::Active,
        pass_data: &data.as_object().cloned().unwrap_or_default(),
        loyalty: &Map::new(),
        pass_created_at: now,
        pass_code: "240MBMRXY7S4XATBQHDWC3S8E6NYW7EF86298B3R28M6C2QN",
        is_signed_up: false,
        now,
    };
    let (content, _) = renderer.render(&state).map_err(|error| trouble(&error))?;
    let web_service_url = "https://passes.example.com/apple/k7w2m9xa";
    let published = pass_json::render(
        &content,
        &renderer.design().apple,
        pass_json::Identity { pass_type: PASS_TYPE, team: signer.team(), web_service_url: Some(web_service_url) },
    );
    let token = "t".repeat(43);
    let size = Bundle::sign(&assets, &pass_json::with_token(&published, &token), None, signer, now)
        .map_err(|error| trouble(&error))?
        .len();
    let digest = Sha256::digest(&published);
    for (measure, threads) in [("sign, one core", 1), ("sign, all cores", cores())] {
        let (bundles, signatures) = compare(
            threads,
            seconds,
            |_| {
                drop(std::hint::black_box(Bundle::sign(
                    &assets,
                    &pass_json::with_token(&published, &token),
                    None,
                    signer,
                    SystemClock.now(),
                )))
            },
            |_| drop(std::hint::black_box(signer.sign_digest(&digest))),
        );
        let images = renderer.design().images.len();
        let note = format!(
            "published content to bundle: {size} bytes, {images} images, {} locales; limit: bare RSA-2048 signatures",
            renderer.design().locales.len()
        );
        Measure::new(measure, bundles, Some(signatures), seconds.as_secs_f64(), note).print(output);
    }
    Ok(())
}
