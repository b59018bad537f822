//! Files of lines: what they make, how they are refused, and that nothing is done twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use passarela::domain::ids::{CustomerId, PassId};
use passarela::store::Db;
use passarela::store::passes::Filter;
use serde_json::{Value, json};

use crate::app::{PASS_TYPE, TestApp, TestPass, answer};
use crate::apple_web_service::Phone;
use crate::engine::Engine;
use crate::on_both_engines;
use crate::server::Server;

/// Uploads a file of the first brand; the answer.
async fn upload(app: &TestApp, path: &str, content_type: &str, file: impl Into<reqwest::Body>) -> (u16, Value) {
    upload_as(app, &app.one.key, path, content_type, file).await
}

/// The same with another key.
pub async fn upload_as(
    app: &TestApp,
    key: &str,
    path: &str,
    content_type: &str,
    file: impl Into<reqwest::Body>,
) -> (u16, Value) {
    let request = app.http.post(format!("{}/api/v1/{path}", app.url)).bearer_auth(key);
    answer(request.header("Content-Type", content_type).body(file).send().await.unwrap()).await
}

/// Uploads a file that is taken; the job.
pub async fn import(app: &TestApp, what: &str, content_type: &str, file: impl Into<reqwest::Body>) -> Value {
    let defaults = match what {
        "passes" => format!("?template=clube-aurora&program_id={}", app.one.program_id),
        _ => String::new(),
    };
    let (status, job) = upload(app, &format!("{what}/import{defaults}"), content_type, file).await;
    assert_eq!(status, 202, "{job}");
    job
}

/// The job when it is over. A process works on the files that it took, whatever its role: this waits for it.
pub async fn done(app: &TestApp, job: &Value) -> Value {
    let begun = Instant::now();
    loop {
        app.work().await;
        let (_, job) = app.get(&format!("/api/v1/jobs/{}", job["id"].as_str().unwrap()), &app.one.key).await;
        if job["state"] != "running" {
            return job;
        }
        assert!(begun.elapsed() < Duration::from_secs(90), "{job}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn lines(job: &Value) -> [i64; 4] {
    ["created", "changed", "unchanged", "refused"].map(|outcome| job["lines"][outcome].as_i64().unwrap())
}

/// Uploads and works; created, changed, unchanged, refused.
async fn import_all(app: &TestApp, what: &str, content_type: &str, file: impl Into<reqwest::Body>) -> [i64; 4] {
    let job = import(app, what, content_type, file).await;
    let job = done(app, &job).await;
    assert_eq!(job["state"], "finished", "{job}");
    assert_eq!(job["progress"], 1.0, "{job}");
    lines(&job)
}

pub async fn results(app: &TestApp, job: &Value, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/jobs/{}/results{query}", job["id"].as_str().unwrap());
    let text = app.send("GET", &path, &app.one.key, None).await.text().await.unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn count(app: &TestApp) -> (usize, usize) {
    let brand = app.one.brand.id;
    let (mut passes, mut customers) = (0, 0);
    let mut after: Option<PassId> = None;
    loop {
        let conn = &mut app.app().db.read().await.unwrap();
        let page =
            passarela::store::passes::list(&mut conn.conn(), brand, &Filter::default(), after, 500).await.unwrap();
        passes += page.len();
        after = page.last().map(|pass| pass.id);
        if after.is_none() {
            break;
        }
    }
    let mut after: Option<CustomerId> = None;
    loop {
        let conn = &mut app.app().db.read().await.unwrap();
        let page = passarela::store::customers::list(&mut conn.conn(), brand, after, 500).await.unwrap();
        customers += page.len();
        after = page.last().map(|customer| customer.id);
        if after.is_none() {
            return (passes, customers);
        }
    }
}

/// `number` passes, each of a customer of its own.
fn csv(numbers: std::ops::Range<usize>, points: usize) -> String {
    let row = |number| format!("card-{number},c{number},Ana {number},{points}\n");
    let rows: String = numbers.map(row).collect();
    format!("external_id,customer.external_id,customer.name,data.points:number\n{rows}")
}

on_both_engines! {
    async fn a_file_makes_passes_and_again_changes_nothing(engine) {
        let app = TestApp::start(engine).await;
        let job = import(&app, "passes", "text/csv; charset=utf-8", csv(0..200, 120)).await;
        assert_eq!((job["kind"].as_str(), job["state"].as_str()), (Some("import_passes"), Some("running")));
        let job = done(&app, &job).await;
        assert_eq!((job["state"].as_str(), lines(&job)), (Some("finished"), [200, 0, 0, 0]));
        assert_eq!(count(&app).await, (200, 200));
        let made = results(&app, &job, "").await;
        assert_eq!(made.len(), 200);
        let lines: Vec<_> = made.iter().map(|row| row["line"].as_i64().unwrap()).collect();
        assert_eq!(lines, (2..202).collect::<Vec<_>>());
        // What it says is a pass like any other: issued, published, to be added.
        let bundle = app.http.get(format!("{}/apple.pkpass", made[7]["add_url"].as_str().unwrap())).send().await.unwrap();
        let json = crate::bundle::pass_json(&bundle.bytes().await.unwrap());
        assert_eq!(json["storeCard"]["headerFields"][0]["value"], 120);
        assert_eq!(made[7]["external_id"], "card-7");
        let (_, view) = app.get(&format!("/api/v1/passes/{}", made[7]["id"].as_str().unwrap()), &app.one.key).await;
        assert_eq!((view["is_published"].as_bool(), view["data"]["points"].as_i64()), (Some(true), Some(120)));
        let (_, events) = app.get("/api/v1/events?changed_since=0&limit=200", &app.one.key).await;
        let kinds: Vec<_> = events["data"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
        assert!(kinds.contains(&"pass.issued") && kinds.contains(&"customer.created") && kinds.contains(&"job.started"));

        // And stored as the publisher would: looked at again, none has changed.
        let (brand, program) = (app.one.brand.id, app.one.program_id.parse().unwrap());
        passarela::service::programs::touch(app.app(), brand, program).await.unwrap();
        passarela::service::programs::touch_some(app.app(), brand).await.unwrap();
        app.clock.advance(chrono::TimeDelta::seconds(2));
        let batch = passarela::service::publish::publish_due(app.app(), brand).await.unwrap();
        assert_eq!((batch.claimed, batch.unchanged), (150, 150));
        app.work().await;

        assert_eq!(import_all(&app, "passes", "text/csv", csv(0..200, 120)).await, [0, 0, 200, 0]);
        assert_eq!(import_all(&app, "passes", "text/csv", csv(100..300, 121)).await, [100, 100, 0, 0]);
        assert_eq!(count(&app).await, (300, 300));
        app.clock.advance(chrono::TimeDelta::seconds(2));
        app.work().await;
        let (_, list) = app.get("/api/v1/passes?external_id=card-150", &app.one.key).await;
        let bundle = app.http.get(list["data"][0]["pkpass_url"].as_str().unwrap_or_else(|| panic!("{list}"))).send().await.unwrap();
        let json = crate::bundle::pass_json(&bundle.bytes().await.unwrap());
        assert_eq!(json["storeCard"]["headerFields"][0]["value"], 121);
        assert!(std::fs::read_dir(app.app().config.imports.spool_dir.as_path()).unwrap().count() <= 1, "only its name stays");
    }

    async fn a_line_that_is_refused_says_why_and_stops_no_other(engine) {
        let app = TestApp::start(engine).await;
        let program = &app.one.program_id;
        let good = |id: &str| json!({ "external_id": id, "customer": { "card_number": id } });
        let mut file = vec![good("a").to_string()];
        let refused = [
            (json!({ "customer": { "cpf": "52998224725" } }), "invalid"),
            (json!({ "external_id": "b", "customer": { "cpf": "52998224724" } }), "invalid"),
            (json!({ "external_id": "b", "customer": { "cpf": "52998224725", "phone": "+5511912345678" } }), "invalid"),
            (json!({ "external_id": "b", "customer": { "card_number": "1" }, "template": "none" }), "invalid"),
            (json!({ "external_id": "b", "customer": { "card_number": "1" }, "program_id": format!("prg_{}", "0".repeat(32)) }), "invalid"),
            (json!({ "external_id": "b", "customer": { "id": format!("cus_{}", "0".repeat(32)) } }), "not-found"),
            (json!({ "external_id": "b", "customer": { "card_number": "1" }, "data": { "points": "many" } }), "template-refused"),
            (json!({ "external_id": "b", "customer": { "card_number": "1" }, "colour": "red" }), "invalid"),
            (json!({ "external_id": "a", "customer": { "card_number": "another" } }), "external-id-taken"),
            (json!({ "external_id": "b", "customer": { "card_number": "1" }, "data": { "x": "y".repeat(17_000) } }), "invalid"),
        ];
        file.extend(refused.iter().map(|(line, _)| line.to_string()));
        file.extend(["not json".to_owned(), "[]".to_owned(), "x".repeat(70_000), good("z").to_string()]);
        let job = import(&app, "passes", "application/x-ndjson", file.join("\n")).await;
        let job = done(&app, &job).await;
        assert_eq!((job["state"].as_str(), lines(&job)), (Some("finished"), [2, 0, 0, 13]), "{job} {program}");
        let told = results(&app, &job, "?outcome=refused").await;
        let codes: Vec<_> = told.iter().map(|row| row["code"].as_str().unwrap()).collect();
        let mut expected: Vec<_> = refused.iter().map(|(_, code)| *code).collect();
        expected.extend(["bad-line", "bad-line", "bad-line"]);
        assert_eq!(codes, expected);
        assert_eq!(told[1]["line"], 3);
        assert_eq!(told[1]["pointer"], "/customer/cpf");
        assert!(told.iter().all(|row| !row["detail"].as_str().unwrap().is_empty()));
        let csv = app.send("GET", &format!("/api/v1/jobs/{}/results?format=csv", job["id"].as_str().unwrap()), &app.one.key, None).await;
        assert!(csv.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
        let csv = csv.text().await.unwrap();
        assert!(csv.starts_with("line,outcome,id,external_id,serial,add_url,code,pointer,detail\r\n1,created,pas_"), "{csv}");
        assert_eq!(csv.lines().count(), 16);
        assert_eq!(count(&app).await, (2, 2));
    }

    async fn a_file_that_is_none_is_refused_at_once(engine) {
        let app = TestApp::start_with(engine, passarela::app::Role::Api, |config| config.imports.file_max_mib = 1).await;
        let cases = [
            ("passes/import", "application/json", "{}".to_owned(), 415, "not-rows"),
            ("passes/import", "text/csv", String::new(), 422, "invalid"),
            ("passes/import", "application/x-ndjson", "\n \n".to_owned(), 422, "invalid"),
            ("passes/import", "text/csv", "external_id,nome\na,b\n".to_owned(), 422, "invalid"),
            ("passes/import?template=none", "text/csv", csv(0..1, 1), 404, "not-found"),
            ("passes/import?colour=red", "text/csv", csv(0..1, 1), 422, "invalid"),
            ("passes/import", "text/csv", csv(0..60_000, 1), 413, "too-large"),
            ("customers/import", "text/csv", "external_id,customer.name\n".to_owned(), 422, "invalid"),
        ];
        for (path, content_type, file, status, code) in cases {
            let (got, problem) = upload(&app, path, content_type, file).await;
            assert_eq!((got, problem["type"].as_str()), (status, Some(format!("/problems/{code}").as_str())), "{path} {problem}");
        }
        let (_, problem) = upload(&app, "passes/import", "text/csv", "external_id;nome\n").await;
        assert!(problem["detail"].as_str().unwrap().starts_with("line 1: there is no column \"nome\"; there are external_id,"), "{problem}");
        let (_, jobs) = app.get("/api/v1/jobs", &app.one.key).await;
        assert_eq!(jobs["data"], json!([]));
        let folder = app.app().config.imports.spool_dir.clone();
        let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["name"], "what was refused is gone");
    }

    async fn files_that_wait_are_bounded_together(engine) {
        // Nobody works on them.
        let app = TestApp::start_with(engine, passarela::app::Role::Api, |config| config.imports.waiting_max_mib = 1).await;
        let file = csv(0..22_000, 1);
        assert!((520_000..900_000).contains(&file.len()), "over half of what may wait: {}", file.len());
        let (first, _) = upload(&app, "passes/import", "text/csv", file.clone()).await;
        let (second, problem) = upload(&app, "passes/import", "text/csv", file.clone()).await;
        assert_eq!((first, second, problem["type"].as_str()), (202, 503, Some("/problems/imports-waiting")), "{problem}");
        let (_, jobs) = app.get("/api/v1/jobs", &app.one.key).await;
        let path = format!("/api/v1/jobs/{}/cancel", jobs["data"][0]["id"].as_str().unwrap());
        assert_eq!(jobs["data"].as_array().unwrap().len(), 1);
        app.post(&path, &app.one.key, &json!(null)).await;
        let (again, _) = upload(&app, "passes/import", "text/csv", file).await;
        assert_eq!(again, 202, "there is room again");
    }

    async fn a_job_that_is_cancelled_does_no_more(engine) {
        let app = TestApp::start(engine).await;
        let job = import(&app, "passes", "text/csv", csv(0..10, 1)).await;
        let path = format!("/api/v1/jobs/{}/cancel", job["id"].as_str().unwrap());
        for _ in 0..2 {
            let (status, job) = app.post(&path, &app.one.key, &json!(null)).await;
            assert_eq!((status, job["state"].as_str()), (200, Some("cancelled")));
        }
        assert_eq!(done(&app, &job).await["state"], "cancelled");
        assert_eq!(count(&app).await.0, 0);
    }

    async fn lines_about_one_customer_follow_each_other(engine) {
        let app = TestApp::start(engine).await;
        let file = "external_id,customer.phone,customer.name\n\
                    one,+5511912345678,Ana\ntwo,+5511912345678,Ana Souza\none,+5511912345678,Ana S.\n\
                    three,+5511912345679,Rui\n";
        assert_eq!(import_all(&app, "passes", "text/csv", file).await, [3, 1, 0, 0]);
        assert_eq!(count(&app).await, (3, 2));
        let (_, list) = app.get("/api/v1/customers", &app.one.key).await;
        let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Ana S.", "Rui"]);
    }

    async fn customers_are_found_by_what_only_they_have(engine) {
        let app = TestApp::start(engine).await;
        let file = "external_id;cpf;phone;identifier.employee_no;name;attributes.city;attributes.age:number\n\
                    a;529.982.247-25;+5511912345678;7;Ana;Santos;41\n\
                    b;;+5511912345678;8;Rui;;\n\
                    ;;+5511912345678;;Nobody;;\n\
                    c;529.982.247-25;;;Eva;;\n";
        let job = import(&app, "customers", "text/csv", file).await;
        let job = done(&app, &job).await;
        assert_eq!(lines(&job), [2, 0, 0, 2], "{job}");
        let told = results(&app, &job, "?outcome=refused").await;
        assert_eq!(told[1]["code"], "identifier-taken");
        let (_, found) = app.get("/api/v1/customers?external_id=a", &app.one.key).await;
        let id = found["data"][0]["id"].as_str().unwrap();
        let (_, ana) = app.get(&format!("/api/v1/customers/{id}"), &app.one.key).await;
        assert_eq!(ana["attributes"], json!({ "city": "Santos", "age": 41 }));
        assert_eq!(ana["identifiers"].as_array().unwrap().len(), 4);
        let again = json!({ "cpf": "52998224725", "email": "ana@example.com" }).to_string();
        assert_eq!(import_all(&app, "customers", "application/jsonl", again.clone()).await, [0, 1, 0, 0]);
        assert_eq!(import_all(&app, "customers", "application/jsonl", again).await, [0, 0, 1, 0]);
        let (_, ana) = app.get(&format!("/api/v1/customers/{id}"), &app.one.key).await;
        assert_eq!((ana["name"].as_str(), ana["identifiers"].as_array().unwrap().len()), (Some("Ana"), 5));
    }

    async fn later_lines_are_about_what_earlier_ones_made(engine) {
        let app = TestApp::start(engine).await;
        let header = "external_id,customer.external_id,customer.name,data.points:number\n";
        let said = format!("{header}x,c,Ana,1\n");
        assert_eq!(import_all(&app, "passes", "text/csv", said.clone()).await, [1, 0, 0, 0]);
        // Another part of the file says again what was said before.
        let filler: String = (0..80).map(|number| format!("f{number},f{number},Rui,1\n")).collect();
        let file = format!("{header}x,c,Bia,2\n{filler}x,c,Ana,1\n{filler}");
        assert_eq!(import_all(&app, "passes", "text/csv", file).await, [80, 2, 80, 0]);
        let name = async || {
            let (_, found) = app.get("/api/v1/customers?external_id=c", &app.one.key).await;
            found["data"][0]["name"].as_str().unwrap().to_owned()
        };
        assert_eq!(name().await, "Ana");
        // Also where only the customer is another.
        assert_eq!(import_all(&app, "passes", "text/csv", format!("{header}x,c,Bia,1\n")).await, [0, 1, 0, 0]);
        assert_eq!(import_all(&app, "passes", "text/csv", said).await, [0, 1, 0, 0]);
        assert_eq!(name().await, "Ana");
    }

    async fn a_line_that_breaks_something_of_ours_stops_no_other(engine) {
        let app = TestApp::start(engine).await;
        assert_eq!(import_all(&app, "passes", "text/csv", csv(0..100, 1)).await, [100, 0, 0, 0]);
        // A row that no reader can read: whoever reads it with others has none of them.
        let broken = "UPDATE passes SET data = '[]' WHERE brand_id = $1 AND external_id = 'card-40'";
        match &app.app().db {
            Db::Sqlite { writer, .. } => drop(sqlx::query(broken).bind(app.one.brand.id).execute(writer).await.unwrap()),
            Db::Postgres { writers, .. } => drop(sqlx::query(broken).bind(app.one.brand.id).execute(writers).await.unwrap()),
        }
        let job = import(&app, "passes", "text/csv", csv(0..200, 2)).await;
        let job = done(&app, &job).await;
        assert_eq!((job["state"].as_str(), lines(&job)), (Some("finished"), [100, 99, 0, 1]), "{job}");
        let told = results(&app, &job, "?outcome=refused").await;
        assert_eq!((&told[0]["line"], &told[0]["code"], &told[0]["detail"]), (&json!(42), &json!("internal"), &json!("internal error")));
    }

    async fn a_service_that_takes_no_files_makes_no_folder(engine) {
        let app = TestApp::start(engine).await;
        app.work().await;
        assert!(!app.app().config.imports.spool_dir.exists());
    }

    async fn one_line_of_a_megabyte_is_one_refusal(engine) {
        let app = TestApp::start(engine).await;
        let line = format!("[{}]", "1,".repeat(700_000));
        let good = json!({ "external_id": "a", "customer": { "external_id": "a" } });
        for (file, lines) in [(line.clone(), [0, 0, 0, 1]), (format!("{line}\n{good}\n{line}\n\n{good}"), [1, 0, 1, 2])] {
            assert_eq!(import_all(&app, "passes", "application/x-ndjson", file).await, lines);
        }
        let wide = format!("external_id,data.{}:number\n", "x".repeat(200));
        let (status, _) = upload(&app, "passes/import", "text/csv", wide).await;
        assert_eq!(status, 422, "refusals would repeat it");
        let member = format!("{{\"external_id\":\"a\",\"{}\":1}}", "m".repeat(20_000));
        let job = import(&app, "passes", "application/x-ndjson", member).await;
        done(&app, &job).await;
        assert!(results(&app, &job, "").await[0]["detail"].as_str().unwrap().len() <= 300);
    }

    async fn a_pass_of_another_vendor_keeps_its_serial_and_token(engine) {
        let app = TestApp::start(engine).await;
        let (serial, token) = ("OLD-serial.1:x", "their-token\"quoted\\0123456789");
        let line = |id: &str| json!({
            "external_id": id, "customer": { "external_id": id }, "serial": serial, "authentication_token": token,
            "member_since": "2019-05-01T00:00:00Z", "data": { "points": 3 },
        });
        let other = json!({ "external_id": "c", "customer": { "external_id": "c" }, "serial": "S2",
            "authentication_token_sha256": hex::encode(<sha2::Sha256 as sha2::Digest>::digest("another-token-of-theirs")) });
        let file = format!("{}\n{}\n{other}", line("a"), line("b"));
        let job = import(&app, "passes", "application/x-ndjson", file).await;
        let job = done(&app, &job).await;
        assert_eq!(lines(&job), [2, 0, 0, 1]);
        assert_eq!(results(&app, &job, "?outcome=refused").await[0]["pointer"], "/serial");
        let url = format!("{}/apple/{}", app.url, app.one.brand.code);
        let moved = TestPass { id: String::new(), serial: serial.to_owned(), token: token.to_owned(), web_service_url: url };
        let mut phone = Phone::new(&app, "phone");
        assert_eq!(phone.register(&moved, "aa").await, 201);
        let (status, _, json) = phone.fetch(&moved, None).await;
        let json = json.unwrap();
        assert_eq!((status, json["authenticationToken"].as_str(), json["serialNumber"].as_str()), (200, Some(token), Some(serial)));
        assert_eq!(json["passTypeIdentifier"], PASS_TYPE);
        assert_eq!(phone.list(&moved).await, [serial]);
        // Whoever adds it anew has a token of ours, and both are good.
        let made = results(&app, &job, "?outcome=created").await;
        let bundle = app.http.get(format!("{}/apple.pkpass", made[0]["add_url"].as_str().unwrap())).send().await.unwrap();
        let fresh = crate::bundle::pass_json(&bundle.bytes().await.unwrap());
        let ours = TestPass { token: fresh["authenticationToken"].as_str().unwrap().to_owned(), ..moved.clone() };
        assert_ne!(ours.token, token);
        assert_eq!(phone.fetch(&ours, None).await.2.unwrap()["authenticationToken"], ours.token.as_str());
        assert_eq!(phone.fetch(&moved, None).await.2.unwrap()["authenticationToken"], token);
        for wrong in ["their-token", "", &hex::encode(<sha2::Sha256 as sha2::Digest>::digest(token))] {
            let wrong = TestPass { token: wrong.to_owned(), ..moved.clone() };
            assert_eq!(phone.fetch(&wrong, None).await.0, 401);
        }
        // A token that was left out, or wrong, can be brought later.
        let serial_only = json!({ "external_id": "d", "customer": { "external_id": "d" }, "serial": "1001" });
        assert_eq!(import_all(&app, "passes", "application/x-ndjson", serial_only.to_string()).await, [1, 0, 0, 0]);
        let late = TestPass { serial: "1001".to_owned(), token: "a-token-that-came-late".to_owned(), ..moved.clone() };
        assert_eq!(phone.register(&late, "aa").await, 401);
        let mut with_token = serial_only;
        with_token["authentication_token"] = json!(late.token);
        assert_eq!(import_all(&app, "passes", "application/x-ndjson", with_token.to_string()).await, [0, 1, 0, 0]);
        assert_eq!(phone.register(&late, "aa").await, 201);
        let theirs = TestPass { serial: "S2".to_owned(), token: "another-token-of-theirs".to_owned(), ..moved.clone() };
        assert_eq!(phone.register(&theirs, "aa").await, 201);
    }

    async fn an_export_can_be_edited_and_imported_again(engine) {
        let app = TestApp::start(engine).await;
        let texts = ["=1+1", "'=x", "a\"b,c;d\ne", "<b>&{{ 7 }}", "-5", "🥐 ação"];
        let file: String = texts.iter().enumerate().map(|(at, text)| {
            let line = json!({ "external_id": format!("+{at}"), "customer": { "external_id": format!("{at}") }, "data": { "points": at, "note": text } });
            format!("{line}\n")
        }).collect();
        assert_eq!(import_all(&app, "passes", "application/x-ndjson", file).await, [6, 0, 0, 0]);
        for (format, content_type) in [("csv", "text/csv"), ("ndjson", "application/x-ndjson")] {
            let response = app.send("GET", &format!("/api/v1/passes/export?format={format}"), &app.one.key, None).await;
            assert!(response.headers()["content-disposition"].to_str().unwrap().ends_with(&format!("passes.{format}\"")));
            let exported = response.text().await.unwrap();
            assert!(exported.contains("/p/"), "{exported}");
            assert_eq!(import_all(&app, "passes", content_type, exported.clone()).await, [0, 0, 6, 0], "{exported}");
            let edited = exported.replace("🥐", "🍞");
            assert_eq!(import_all(&app, "passes", content_type, edited).await[1], 1, "{exported}");
            assert_eq!(import_all(&app, "passes", content_type, exported).await[1], 1);
        }
        let (_, list) = app.get("/api/v1/passes?external_id=%2B1", &app.one.key).await;
        let (_, pass) = app.get(&format!("/api/v1/passes/{}", list["data"][0]["id"].as_str().unwrap()), &app.one.key).await;
        assert_eq!(pass["data"]["note"], "'=x");
        let reader = app.key(&app.one, passarela::domain::role::Role::Reader).await;
        let plain = app.send("GET", "/api/v1/passes/export?format=ndjson&status=active", &reader, None).await.text().await.unwrap();
        assert_eq!((plain.lines().count(), plain.contains("/p/")), (6, false));
    }

    async fn imports_and_requests_at_once_make_one_of_each(engine) {
        let app = TestApp::start_with(engine, passarela::app::Role::All, |_| {}).await;
        let jobs = [import(&app, "passes", "text/csv", csv(0..300, 1)).await, import(&app, "passes", "text/csv", csv(150..450, 1)).await];
        // The same orders, one by one, meanwhile; and changes of customers that lines are about.
        for number in (0..450).step_by(9) {
            let body = json!({ "template": "clube-aurora", "program_id": app.one.program_id, "external_id": format!("card-{number}"),
                "customer": { "external_id": format!("c{number}"), "name": format!("Rui {number}") }, "data": { "points": 2 } });
            let (status, answer) = app.post("/api/v1/passes", &app.one.key, &body).await;
            assert!([200, 201, 409].contains(&status), "{answer}");
        }
        for job in &jobs {
            let job = done(&app, job).await;
            assert_eq!((&job["lines"]["done"], &job["lines"]["refused"]), (&json!(300), &json!(0)), "{job}");
        }
        assert_eq!(count(&app).await, (450, 450));
    }
}

/// Servers that share a folder, killed while they import: every line is done once, and told once.
async fn killed(engine: Engine, servers: usize, kills: usize) {
    const LINES: usize = 4_000;
    let app = Arc::new(TestApp::start(engine).await);
    let config = &app.app().config;
    let running: Vec<Server> =
        (0..servers).map(|_| Server::new(config, &app.url, &crate::app::free_address())).collect();
    let jobs = [
        import(&app, "passes", "text/csv", csv(0..LINES, 1)).await,
        import(&app, "passes", "text/csv", csv(LINES / 2..LINES + 500, 2)).await,
    ];
    for kill in 0..kills {
        tokio::time::sleep(Duration::from_millis(700)).await;
        let server = &running[kill % running.len()];
        server.kill();
        server.start();
    }
    let mut told = Vec::new();
    for job in &jobs {
        told.push(done(&app, job).await);
    }
    assert_eq!(count(&app).await, (LINES + 500, LINES + 500));
    let [first, second] = [lines(&told[0]), lines(&told[1])];
    println!("{engine:?}: {servers} servers, {kills} kills: {first:?}, {second:?}");
    assert_eq!(first.iter().sum::<i64>(), LINES as i64);
    assert_eq!(second.iter().sum::<i64>(), (LINES / 2 + 500) as i64);
    assert_eq!(first[0] + second[0], (LINES + 500) as i64, "each pass was created by one of them");
    assert_eq!((first[3], second[3]), (0, 0));
    for (job, lines) in told.iter().zip([LINES, LINES / 2 + 500]) {
        let numbers: Vec<_> = results(&app, job, "").await.iter().map(|row| row["line"].as_i64().unwrap()).collect();
        assert_eq!(numbers, (2..2 + lines as i64).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_import_does_every_line_once_on_sqlite() {
    killed(Engine::Sqlite, 1, 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_import_does_every_line_once_with_two_processes_on_postgres() {
    killed(Engine::Postgres, 2, 8).await;
}
