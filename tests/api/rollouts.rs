//! Roll-outs while processes are killed: every pass ends with the version, and a roll-out that gave place stays over.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::app::{TestApp, free_address, shipped_design};
use crate::engine::Engine;
use crate::server::Server;

const PASSES: usize = 600;

async fn wait_for(app: &TestApp, rollout: &Value, state: &str) -> Value {
    let path = format!("/api/v1/rollouts/{}", rollout["id"].as_str().unwrap());
    let begun = Instant::now();
    loop {
        let (_, now) = app.get(&path, &app.one.key).await;
        if now["state"] == state && now["waiting"].as_i64().is_none_or(|waiting| waiting == 0) {
            return now;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{now}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Installs the shipped design with another description, as the next version, and leaves it for a roll-out.
async fn install(app: &TestApp, text: &str) {
    let mut files = passarela::wallet::design::Design::read_folder(&shipped_design()).unwrap();
    for (_, content) in files.iter_mut().filter(|(name, _)| *name == "template.toml") {
        let toml =
            String::from_utf8(content.clone()).unwrap().replace("logo_text = \"", &format!("logo_text = \"{text} "));
        *content = toml.into_bytes();
    }
    let brand = app.one.brand.id;
    let installed = passarela::service::templates::install(app.app(), brand, crate::app::PASS_TYPE, files, None).await;
    assert!(installed.is_ok_and(|installed| installed.is_new));
}

async fn versions(app: &TestApp) -> Vec<(i64, i64)> {
    let brand = app.one.brand.id;
    let mut conn = app.app().db.read().await.unwrap();
    let page =
        passarela::store::passes::list(&mut conn.conn(), brand, &Default::default(), None, 10_000).await.unwrap();
    let ids: Vec<_> = page.iter().map(|pass| pass.id).collect();
    let mut versions = Vec::new();
    for some in ids.chunks(200) {
        let served = passarela::store::publication::find_apple(&mut conn.conn(), brand, some).await.unwrap();
        versions.extend(served.into_iter().map(|served| served.unwrap().template_version));
    }
    versions.into_iter().zip(page.iter().map(|pass| pass.change_no - pass.published_no)).collect()
}

async fn killed(engine: Engine, servers: usize, kills: usize) {
    let app = TestApp::start(engine).await;
    let rows: String = (0..PASSES).map(|number| format!("p{number},c{number},{number}\n")).collect();
    let file = format!("external_id,customer.external_id,data.points:number\n{rows}");
    let job = crate::imports::import(&app, "passes", "text/csv", file).await;
    assert_eq!(crate::imports::done(&app, &job).await["lines"]["created"], PASSES);
    let (_, list) = app.get("/api/v1/templates", &app.one.key).await;
    let template = &list["data"][0]["id"];
    install(&app, "Two").await;
    install(&app, "Three").await;

    let running: Vec<Server> =
        (0..servers).map(|_| Server::new(&app.app().config, &app.url, &free_address())).collect();
    let start = |version: i64| json!({ "template_id": template, "version": version, "canary_percent": 10, "hold_minutes": 0, "per_minute": 9_000 });
    let (status, first) = app.post("/api/v1/rollouts", &app.one.key, &start(2)).await;
    assert_eq!(status, 201, "{first}");
    let mut late = 0;
    let mut second = Value::Null;
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let server = &running[kill % running.len()];
        server.kill();
        // Somebody issues passes meanwhile, and wants another version halfway.
        app.issue(&format!("late{late}")).await;
        late += 1;
        if kill == kills / 2 {
            let (status, answer) = app.post("/api/v1/rollouts", &app.one.key, &start(3)).await;
            assert_eq!(status, 201, "{answer}");
            second = answer;
        }
        server.start();
    }
    let over = wait_for(&app, &second, "finished").await;
    let (_, first) = app.get(&format!("/api/v1/rollouts/{}", first["id"].as_str().unwrap()), &app.one.key).await;
    assert!(["superseded", "finished"].contains(&first["state"].as_str().unwrap()), "{first}");
    let begun = Instant::now();
    loop {
        let versions = versions(&app).await;
        assert_eq!(versions.len(), PASSES + late);
        if versions.iter().all(|one| *one == (3, 0)) {
            println!("{engine:?}: {servers} servers, {kills} kills, {late} passes meanwhile: {over}");
            return;
        }
        let behind = versions.iter().filter(|one| **one != (3, 0)).count();
        let mut kinds: std::collections::BTreeMap<_, usize> = std::collections::BTreeMap::new();
        versions.iter().for_each(|one| *kinds.entry(*one).or_default() += 1);
        assert!(begun.elapsed() < Duration::from_secs(30), "{behind} passes do not have the version: {kinds:?} {over}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_roll_out_brings_the_version_to_every_pass_on_sqlite() {
    killed(Engine::Sqlite, 1, 4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_roll_out_brings_the_version_to_every_pass_with_two_processes_on_postgres() {
    killed(Engine::Postgres, 2, 6).await;
}
