//! The way to Firebase for each brand: its project, its account, its gate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::clients::fcm::{Fcm, SCOPE};
use crate::clients::google_auth::Tokens;
use crate::config::Config;
use crate::service::App;
use crate::service::deliver::accounts;
use crate::service::deliver::gate::Gate;

/// The ways of this process, by the brand's code.
#[derive(Default)]
pub struct Projects(Mutex<HashMap<String, Arc<Project>>>);

pub struct Project {
    pub client: Fcm,
    /// One for all brands with this project.
    pub gate: Arc<Gate>,
    name: String,
}

/// Whether Firebase is on, and why it is off, for the operator.
pub fn state(config: &Config) -> String {
    accounts::state(config, "fcm", "project_id", Config::fcm_project, Config::fcm_account_file)
}

/// The brand's way to Firebase; `Err`: why there is none.
pub fn project(app: &App, code: &str) -> Result<Arc<Project>, String> {
    let name = app.config.fcm_project(code).ok_or("fcm.project_id is not set")?;
    let mut projects = app.projects.0.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = projects.get(code) {
        return Ok(Arc::clone(known));
    }
    let file = app.config.fcm_account_file(code).ok_or("fcm.service_account_file is not set")?;
    let account = accounts::read(file)?;
    let tokens = Tokens::new(account.file(), SCOPE).map_err(|error| error.to_string())?;
    let client = Fcm::new(&app.config.fcm.url, name, tokens, app.config.delivery.call_timeout())
        .map_err(|error| error.to_string())?;
    let same = projects.values().find(|known| known.name == name).map(|known| Arc::clone(&known.gate));
    let gate = same.unwrap_or_else(|| Arc::new(Gate::new(format!("Firebase for {name}"))));
    let project = Arc::new(Project { client, gate, name: name.to_owned() });
    projects.insert(code.to_owned(), Arc::clone(&project));
    Ok(project)
}
