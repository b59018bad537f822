//! Bodies that are too large, too slow, or not what they say.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use passarela::app::Role;

use crate::app::{TestApp, answer};
use crate::on_both_engines;

on_both_engines! {
    async fn a_body_has_a_size_a_type_and_one_meaning(engine) {
        let app = TestApp::start(engine).await;
        let send = |content_type: &'static str, body: String| {
            let request = app.http.post(format!("{}/api/v1/customers", app.url)).bearer_auth(&app.one.key);
            let request = request.header("Content-Type", content_type).body(body);
            async move { answer(request.send().await.unwrap()).await }
        };
        let cases = [
            ("application/json", r#"{"name":"Ana","name":"Bia"}"#.to_owned(), 400, "bad-json"),
            ("application/json", r#"{"attributes":{"a":{"b":1,"b":2}}}"#.to_owned(), 400, "bad-json"),
            ("application/json", "{".to_owned(), 400, "bad-json"),
            ("application/json", "[".repeat(100_000), 400, "bad-json"),
            ("application/json", format!(r#"{{"name":"{}"}}"#, "x".repeat(300_000)), 413, "too-large"),
            ("text/plain", "{}".to_owned(), 415, "unsupported-media-type"),
            ("application/json", r#"{"surname":"x"}"#.to_owned(), 422, "invalid"),
            ("application/json", r#"["Ana","en",null,null,[]]"#.to_owned(), 422, "invalid"),
            ("application/json", r#"{"identifiers":[{"type":"card_number","value":" - "}]}"#.to_owned(), 422, "invalid"),
        ];
        for (content_type, body, status, code) in cases {
            let start: String = body.chars().take(40).collect();
            let (got, problem) = send(content_type, body).await;
            assert_eq!((got, problem["type"].as_str()), (status, Some(format!("/problems/{code}").as_str())), "{start}");
        }
        let (status, _) = send("application/json; charset=utf-8", r#"{"name":"Ana"}"#.to_owned()).await;
        assert_eq!(status, 201);
        let (status, problem) = answer(app.send("PUT", "/api/v1/customers", &app.one.key, None).await).await;
        assert_eq!((status, problem["type"].as_str()), (405, Some("/problems/method-not-allowed")));
        let (status, problem) = answer(app.send("GET", "/nowhere", &app.one.key, None).await).await;
        assert_eq!((status, problem["type"].as_str()), (404, Some("/problems/no-such-route")));
    }

    async fn a_slow_body_is_cut(engine) {
        let app = TestApp::start_with(engine, Role::Api, |config| config.server.body_timeout_secs = 1).await;
        let pass = app.issue("ana").await;
        let targets = [
            ("/api/v1/customers".to_owned(), format!("Authorization: Bearer {}\r\nContent-Type: application/json", app.one.key)),
            (format!("/apple/{}/v1/log", app.one.brand.code), "X-Nothing: 1".to_owned()),
            (
                format!("/apple/{}/v1/devices/d/registrations/pass.example.one/{}", app.one.brand.code, pass.serial),
                format!("Authorization: ApplePass {}", pass.token),
            ),
        ];
        let address = app.url.trim_start_matches("http://").to_owned();
        for (path, header) in targets {
            let address = address.clone();
            let answer = tokio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                write!(stream, "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n{header}\r\n\r\n{{").unwrap();
                let begun = Instant::now();
                let mut start = [0; 12];
                stream.read_exact(&mut start).unwrap();
                (String::from_utf8_lossy(&start).into_owned(), begun.elapsed())
            });
            let (start, waited) = answer.await.unwrap();
            assert_eq!(start, "HTTP/1.1 408", "after {waited:?}");
        }
    }

    async fn no_connection_stays_open_for_ever(engine) {
        let app = TestApp::start_with(engine, Role::Api, |config| {
            config.server.head_timeout_secs = 1;
            config.server.body_timeout_secs = 1;
            config.server.send_timeout_secs = 2;
        })
        .await;
        let pass = app.issue("ana").await;
        let address = app.url.trim_start_matches("http://").to_owned();
        let chunked = "Host: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        let fetch = format!(
            "GET /apple/{}/v1/passes/pass.example.one/{} HTTP/1.1\r\nHost: x\r\nAuthorization: ApplePass {}\r\n\r\n",
            app.one.brand.code, pass.serial, pass.token
        );
        let says = [
            String::new(),
            "G".to_owned(),
            format!("GET /healthz HTTP/1.1\r\n{chunked}"),
            format!("GET /nowhere HTTP/1.1\r\n{chunked}5\r\nhello\r\n"),
            format!("POST /api/v1/passes HTTP/1.1\r\n{chunked}"),
            fetch.repeat(100),
        ];
        let mut waiting = Vec::new();
        for say in says {
            let address = address.clone();
            waiting.push(tokio::task::spawn_blocking(move || {
                let mut stream = TcpStream::connect(address).unwrap();
                stream.write_all(say.as_bytes()).unwrap();
                let deadline = Instant::now() + Duration::from_secs(20);
                // Takes nothing; a closed connection shows when something is written to it.
                while Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(100));
                    let is_pipelined = say.len() > 10_000;
                    let still = if is_pipelined { stream.write_all(b" ").is_ok() } else { !ended(&mut stream) };
                    if !still {
                        return None;
                    }
                }
                Some(say.chars().take(60).collect::<String>())
            }));
        }
        for open in waiting {
            assert_eq!(open.await.unwrap(), None, "is still open");
        }
    }
}

/// Whether the other side has closed; what it sent is read and forgotten.
fn ended(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let mut some = [0; 4_096];
    loop {
        match stream.read(&mut some) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => {
                return !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
            }
        }
    }
}
