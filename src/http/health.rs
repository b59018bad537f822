//! `/healthz` (the process lives), `/readyz` (it can serve, and what is switched off), `/metrics`.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::web::Data;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use crate::service::{App, Problem, brands, deliver};

pub async fn live() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    database: &'static str,
    /// Pass types that can be signed, and what is wrong with the others.
    pass_types: Vec<String>,
    certificate_faults: Vec<String>,
    /// Pass types of brands that cannot be signed now.
    unsigned_pass_types: Vec<String>,
    /// Why a channel is off, by its name.
    channels: BTreeMap<&'static str, String>,
}

pub async fn ready(app: Data<App>) -> HttpResponse {
    let answered = app.run(async |app| brands::list_unsigned(&app).await).await;
    let now = app.clock.now();
    let certificates = app.certificates();
    let usable = certificates.signers.iter().filter(|(_, signer)| signer.check_time(now).is_ok());
    let is_up = answered.is_ok();
    let body = Ready {
        ready: is_up,
        database: if is_up { app.db.engine() } else { "does not answer" },
        pass_types: usable.map(|(pass_type, _)| pass_type.clone()).collect(),
        certificate_faults: certificates.faults.iter().map(|(_, fault)| fault.to_string()).collect(),
        unsigned_pass_types: answered.unwrap_or_default(),
        channels: deliver::channels(&app.config, &certificates, now).into(),
    };
    if body.ready { HttpResponse::Ok().json(body) } else { HttpResponse::ServiceUnavailable().json(body) }
}

pub async fn metrics(handle: Option<Data<PrometheusHandle>>, app: Data<App>) -> Result<HttpResponse, Problem> {
    let handle = handle.ok_or(Problem::NoSuchRoute)?;
    metrics::gauge!("passarela_tasks_running").set(app.running_tasks() as f64);
    Ok(HttpResponse::Ok().content_type("text/plain; version=0.0.4").body(handle.render()))
}
