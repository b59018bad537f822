//! Apple's web service, as a phone speaks to it.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::app::{PASS_TYPE, TestApp, TestPass};
use crate::bundle::pass_json;
use crate::on_both_engines;

/// A phone: it knows what Apple's protocol tells it and nothing else.
pub struct Phone<'a> {
    app: &'a TestApp,
    id: String,
    pub tag: Option<String>,
}

impl<'a> Phone<'a> {
    pub fn new(app: &'a TestApp, id: &str) -> Self {
        Self { app, id: id.to_owned(), tag: None }
    }

    fn registrations(&self, pass: &TestPass) -> String {
        format!("{}/v1/devices/{}/registrations/{PASS_TYPE}", pass.web_service_url, self.id)
    }

    pub async fn register(&self, pass: &TestPass, push_token: &str) -> u16 {
        let url = format!("{}/{}", self.registrations(pass), pass.serial);
        let request = self.app.http.post(url).header("Authorization", format!("ApplePass {}", pass.token));
        request
            .json(&json!({ "pushToken": push_token, "pushServiceUrl": "ignored" }))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    }

    pub async fn unregister(&self, pass: &TestPass) -> u16 {
        let url = format!("{}/{}", self.registrations(pass), pass.serial);
        let request = self.app.http.delete(url).header("Authorization", format!("ApplePass {}", pass.token));
        request.send().await.unwrap().status().as_u16()
    }

    /// What changed since the phone's tag; it keeps the new one.
    pub async fn list(&mut self, pass: &TestPass) -> Vec<String> {
        let mut url = self.registrations(pass);
        if let Some(tag) = &self.tag {
            url = format!("{url}?passesUpdatedSince={tag}");
        }
        let response = self.app.http.get(url).send().await.unwrap();
        if response.status() == 204 {
            return Vec::new();
        }
        assert_eq!(response.status(), 200);
        let body: Value = response.json().await.unwrap();
        self.tag = Some(body["lastUpdated"].as_str().unwrap().to_owned());
        body["serialNumbers"].as_array().unwrap().iter().map(|serial| serial.as_str().unwrap().to_owned()).collect()
    }

    pub async fn fetch(&self, pass: &TestPass, since: Option<&str>) -> (u16, Option<String>, Option<Value>) {
        let url = format!("{}/v1/passes/{PASS_TYPE}/{}", pass.web_service_url, pass.serial);
        let mut request = self.app.http.get(url).header("Authorization", format!("ApplePass {}", pass.token));
        if let Some(since) = since {
            request = request.header("If-Modified-Since", since);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let modified = response.headers().get("last-modified").map(|value| value.to_str().unwrap().to_owned());
        let body = response.bytes().await.unwrap();
        (status, modified, (status == 200).then(|| pass_json(&body)))
    }
}

fn points(pass: &Value) -> i64 {
    pass["storeCard"]["headerFields"][0]["value"].as_i64().unwrap()
}

on_both_engines! {
    async fn a_phone_registers_hears_of_a_change_and_fetches_it(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let mut phone = Phone::new(&app, "d1");
        assert_eq!(phone.register(&pass, "aa01").await, 201);
        assert_eq!(phone.register(&pass, "aa02").await, 200);
        assert_eq!(phone.list(&pass).await, std::slice::from_ref(&pass.serial));
        assert!(phone.list(&pass).await.is_empty());
        let (status, first, json) = phone.fetch(&pass, None).await;
        assert_eq!((status, points(&json.unwrap())), (200, 1));
        assert_eq!(phone.fetch(&pass, first.as_deref()).await.0, 304);

        app.clock.advance(TimeDelta::seconds(2));
        app.set_points(&pass, 42).await;
        assert!(phone.list(&pass).await.is_empty(), "nothing is told before it is published");
        assert_eq!(phone.fetch(&pass, first.as_deref()).await.0, 304);
        app.work().await;
        assert_eq!(phone.list(&pass).await, std::slice::from_ref(&pass.serial));
        let (status, second, json) = phone.fetch(&pass, first.as_deref()).await;
        assert_eq!((status, points(&json.unwrap())), (200, 42));
        assert_ne!(first, second);
        assert_eq!(phone.fetch(&pass, second.as_deref()).await.0, 304);
        assert!(phone.list(&pass).await.is_empty());
    }

    async fn two_changes_in_one_second_have_two_last_modified(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let phone = Phone::new(&app, "d1");
        let (_, first, _) = phone.fetch(&pass, None).await;
        let mut seen = vec![first.unwrap()];
        for points in [10, 20, 30] {
            app.clock.advance(TimeDelta::milliseconds(1_001));
            app.set_points(&pass, points).await;
            app.work().await;
            // The clock goes back: versions must still differ.
            app.clock.advance(TimeDelta::milliseconds(-900));
            let (status, modified, json) = phone.fetch(&pass, seen.last().map(String::as_str)).await;
            assert_eq!((status, json.as_ref().map(self::points)), (200, Some(points)));
            assert!(!seen.contains(modified.as_ref().unwrap()));
            seen.push(modified.unwrap());
            app.clock.advance(TimeDelta::milliseconds(900));
        }
    }

    async fn a_wrong_token_and_an_unknown_serial_are_the_same_401(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let unknown = TestPass { serial: "0000000000000000000000".to_owned(), ..pass.clone() };
        let wrong = TestPass { token: "A".repeat(43), ..pass.clone() };
        let elsewhere = TestPass { web_service_url: format!("{}/apple/zzzzzzzz", app.url), ..pass.clone() };
        let mut answers = Vec::new();
        for pass in [&unknown, &wrong, &elsewhere] {
            for (method, body) in [("POST", Some(r#"{"pushToken":"aa"}"#)), ("DELETE", None)] {
                let url = format!("{}/v1/devices/d/registrations/{PASS_TYPE}/{}", pass.web_service_url, pass.serial);
                let mut request = app.http.request(method.parse().unwrap(), url);
                request = request.header("Authorization", format!("ApplePass {}", pass.token));
                if let Some(body) = body {
                    request = request.body(body);
                }
                answers.push(picture(request.send().await.unwrap()).await);
            }
            let url = format!("{}/v1/passes/{PASS_TYPE}/{}", pass.web_service_url, pass.serial);
            let request = app.http.get(url).header("Authorization", format!("ApplePass {}", pass.token));
            answers.push(picture(request.send().await.unwrap()).await);
        }
        assert!(answers[0].starts_with("401"), "{}", answers[0]);
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
        let phone = Phone::new(&app, "d1");
        assert_eq!(phone.register(&pass, "aa").await, 201, "failures of others never refuse a valid token");
    }

    async fn unregistering_twice_is_as_good_as_once(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let mut phone = Phone::new(&app, "d1");
        assert_eq!(phone.unregister(&pass).await, 200);
        phone.register(&pass, "aa01").await;
        assert_eq!(phone.unregister(&pass).await, 200);
        assert_eq!(phone.unregister(&pass).await, 200);
        assert!(phone.list(&pass).await.is_empty(), "a device lists only what it registered for");
        let (_, devices) = app.get(&format!("/api/v1/passes/{}/devices", pass.id), &app.one.key).await;
        assert_eq!(devices["data"], json!([]));
    }

    async fn a_foreign_malformed_or_future_tag_lists_everything(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let mut phone = Phone::new(&app, "d1");
        phone.register(&pass, "aa01").await;
        phone.list(&pass).await;
        let good = phone.tag.clone().unwrap();
        let future = format!("{}.999999", good.split('.').next().unwrap());
        for tag in ["1.1", "yesterday", "", "%00", "9999999999999999999999.1", &future] {
            phone.tag = Some(tag.to_owned());
            assert_eq!(phone.list(&pass).await, std::slice::from_ref(&pass.serial), "{tag}");
        }
        phone.tag = Some(good);
        assert!(phone.list(&pass).await.is_empty());
    }

    async fn an_unknown_device_is_told_that_nothing_is_new(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        assert!(Phone::new(&app, "nobody").list(&pass).await.is_empty());
        let url = format!("{}/apple/zzzzzzzz/v1/devices/d/registrations/{PASS_TYPE}", app.url);
        assert_eq!(app.http.get(url).send().await.unwrap().status(), 204);
    }

    async fn slashes_may_be_doubled_and_head_answers_like_get(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        for base in ["", "/"] {
            let url = format!("{}{base}/v1/passes/{PASS_TYPE}/{}", pass.web_service_url, pass.serial);
            let get = app.http.get(&url).header("Authorization", format!("applepass {}", pass.token)).send().await.unwrap();
            let head = app.http.head(&url).header("Authorization", format!("ApplePass {}", pass.token)).send().await.unwrap();
            assert_eq!((get.status().as_u16(), head.status().as_u16()), (200, 200));
            for name in ["content-length", "content-type", "last-modified", "etag"] {
                assert_eq!(get.headers()[name], head.headers()[name], "{name}");
            }
            assert_eq!(get.headers()["content-type"], "application/vnd.apple.pkpass");
            assert!(head.bytes().await.unwrap().is_empty());
        }
    }

    async fn a_log_is_kept_whatever_it_says(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let line = format!("[x] Get pass task (pass type {PASS_TYPE}, serial number {}, …) error \u{1b}[31m", pass.serial);
        for body in [json!({ "logs": [line, "x".repeat(5_000)], "more": 1 }).to_string(), "nonsense".into(), String::new()] {
            let response = app.http.post(format!("{}/v1/log", pass.web_service_url)).body(body).send().await.unwrap();
            assert_eq!(response.status(), 200);
        }
        let (_, devices) = app.get(&format!("/api/v1/passes/{}/devices", pass.id), &app.one.key).await;
        let log = devices["log"].as_array().unwrap();
        assert_eq!(log.len(), 1);
        assert!(!log[0]["message"].as_str().unwrap().contains('\u{1b}'));
    }

    async fn phones_that_ask_at_once_are_each_told_their_own(engine) {
        let app = TestApp::start(engine).await;
        let mut passes = Vec::new();
        for index in 0..30 {
            let pass = app.issue(&format!("customer {index}")).await;
            assert_eq!(Phone::new(&app, &format!("d{index}")).register(&pass, "aa").await, 201);
            passes.push(pass);
        }
        let asks = passes.iter().enumerate().map(|(index, pass)| {
            let app = &app;
            async move {
                let mut phone = Phone::new(app, &format!("d{index}"));
                assert_eq!(phone.list(pass).await, std::slice::from_ref(&pass.serial));
                let (status, modified, json) = phone.fetch(pass, None).await;
                assert_eq!((status, json.unwrap()["serialNumber"].as_str()), (200, Some(pass.serial.as_str())));
                assert_eq!(phone.fetch(pass, modified.as_deref()).await.0, 304);
                let stranger = TestPass { token: "x".repeat(43), ..pass.clone() };
                assert_eq!(phone.fetch(&stranger, modified.as_deref()).await.0, 401);
                let unknown = TestPass { serial: format!("unknown{index}"), ..pass.clone() };
                assert_eq!(phone.fetch(&unknown, None).await.0, 401);
            }
        });
        futures_util::future::join_all(asks).await;
    }

    async fn malformed_registrations_are_refused_without_a_trace(engine) {
        let app = TestApp::start(engine).await;
        let pass = app.issue("ana").await;
        let url = format!("{}/v1/devices/d1/registrations/{PASS_TYPE}/{}", pass.web_service_url, pass.serial);
        let long = format!(r#"{{"pushToken":"{}"}}"#, "a".repeat(600));
        for body in ["", "{}", "[]", r#"{"pushToken":1}"#, r#"{"pushToken":""}"#, r#"{"pushToken":"a b"}"#, &long] {
            let request = app.http.post(&url).header("Authorization", format!("ApplePass {}", pass.token));
            assert_eq!(request.body(body.to_owned()).send().await.unwrap().status(), 400, "{body}");
        }
        let request = app.http.post(&url).header("Authorization", format!("ApplePass {}", pass.token));
        assert_eq!(request.body("x".repeat(5_000)).send().await.unwrap().status(), 413);
        let (_, devices) = app.get(&format!("/api/v1/passes/{}/devices", pass.id), &app.one.key).await;
        assert_eq!(devices["data"], json!([]));
    }
}

/// Status, headers and body, without the clock's and without what depends on how much of a body had arrived.
pub async fn picture(response: reqwest::Response) -> String {
    let status = response.status();
    let mut headers: Vec<String> = response
        .headers()
        .iter()
        .filter(|(name, _)| *name != "date" && *name != "connection")
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    headers.sort();
    format!("{} {headers:?} {}", status.as_u16(), response.text().await.unwrap())
}
