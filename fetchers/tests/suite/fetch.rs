//! The fetcher against a real server on loopback.

use std::io::Write;

use harvestman_engine::{
    Code, FetchError, Fetcher, Page, Params, Task, testing::fetcher_conformance,
};
use harvestman_fetchers::Http;

use crate::peer::{Peer, Reply, answer, ok};

fn http(peers: &[&Peer]) -> Http {
    let allowed = |builder: harvestman_fetchers::HttpBuilder, peer: &&Peer| {
        builder.allow(peer.address.to_string().parse().unwrap())
    };
    peers.iter().fold(Http::builder(), allowed).build().unwrap()
}

fn task(url: &str, params: &str) -> Task {
    Task::new(0, url, serde_json::from_str::<Params>(params).unwrap())
}

async fn fetch(peer: &Peer, path: &str, params: &str) -> Result<Page, FetchError> {
    http(&[peer]).fetch(&task(&peer.url(path), params)).await
}

async fn error(peer: &Peer, path: &str, params: &str) -> FetchError {
    fetch(peer, path, params).await.expect_err(path)
}

/// A peer that has one answer, and closes the connection behind it.
async fn closing(bytes: Vec<u8>) -> Peer {
    Peer::start(move |_| Reply::Close(bytes.clone())).await
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd(body: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(body, 1).unwrap()
}

fn brotli(body: &[u8]) -> Vec<u8> {
    let mut encoder = brotli::CompressorWriter::new(Vec::new(), 4096, 9, 22);
    encoder.write_all(body).unwrap();
    encoder.into_inner()
}

type Compress = fn(&[u8]) -> Vec<u8>;

const COMPRESSIONS: [(&str, Compress); 4] =
    [("gzip", gzip), ("deflate", zlib), ("zstd", zstd), ("br", brotli)];

/// A body that no compression makes very short.
fn prose() -> String {
    let numbers = (0_u64..4_000).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string());
    numbers.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn it_conforms_to_what_the_driver_relies_on() {
    let peer = Peer::start(|path| match path {
        "/good" => Reply::Keep(ok("content-type: text/html\r\n", "<p>hello")),
        _ => Reply::Keep(answer("404 Not Found", "", "nothing")),
    })
    .await;
    let (good, bad) = (task(&peer.url("/good"), "{}"), task(&peer.url("/bad"), "{}"));
    fetcher_conformance(&http(&[&peer]), &good, &bad).await;
}

#[tokio::test]
async fn a_page_has_its_text_status_headers_and_final_url() {
    let peer = closing(ok("content-type: text/html\r\nx-a: b\r\n", "<p>hé")).await;
    let page = fetch(&peer, "/x?q=1#f", "{}").await.unwrap();
    assert_eq!((page.text.as_str(), page.status), ("<p>hé", 200));
    assert_eq!(page.headers["x-a"], "b");
    assert_eq!(page.final_url.as_str(), peer.url("/x?q=1#f"));
}

#[tokio::test]
async fn the_request_is_what_the_task_says() {
    let peer = Peer::start(|_| Reply::Keep(ok("", "x"))).await;
    let params = r#"{"method":"PUT","headers":{"x-a":"b"},"cookies":{"c":"d"},"body":{"k":1},
        "user_agent":"ua"}"#;
    fetch(&peer, "/?q=1", params).await.unwrap();
    fetch(&peer, "/", "{}").await.unwrap();
    let with_user = format!("http://me:p%40ss@{}/", peer.address);
    let page = http(&[&peer]).fetch(&task(&with_user, "{}")).await.unwrap();
    assert_eq!(page.final_url.as_str(), peer.url("/"));

    let requests = peer.requests();
    assert!(requests[0].starts_with("PUT /?q=1 HTTP/1.1\r\n"), "{}", requests[0]);
    for line in [
        "x-a: b\r\n",
        "cookie: c=d\r\n",
        "user-agent: ua\r\n",
        "content-type: application/json\r\n",
        "\r\n\r\n{\"k\":1}",
    ] {
        assert!(requests[0].contains(line), "{line:?} is in {}", requests[0]);
    }
    let default = format!("user-agent: Harvestman/{}\r\n", env!("CARGO_PKG_VERSION"));
    assert!(requests[1].starts_with("GET / HTTP/1.1\r\n") && requests[1].contains(&default));
    assert!(requests[1].contains("accept: text/html"), "{}", requests[1]);
    // "me:p@ss" in base64.
    assert!(requests[2].contains("authorization: Basic bWU6cEBzcw==\r\n"), "{}", requests[2]);
}

#[tokio::test]
async fn connections_are_used_again_after_pages_and_after_short_errors() {
    let peer = Peer::start(|path| match path {
        "/page" => Reply::Keep(ok("", "x")),
        "/moved" => Reply::Keep(answer("302 Found", "location: /page\r\n", "see there")),
        _ => Reply::Keep(answer("404 Not Found", "", "nothing")),
    })
    .await;
    let http = http(&[&peer]);
    for path in ["/page", "/gone", "/moved", "/page"] {
        let _ = http.fetch(&task(&peer.url(path), "{}")).await;
    }
    assert_eq!((peer.requests().len(), peer.connections()), (5, 1));
}

#[tokio::test]
async fn a_status_is_judged_by_accept_status() {
    let peer = Peer::start(|path| {
        let status = path[1..].to_owned();
        Reply::Keep(answer(&format!("{status} X"), "retry-after: 7\r\n", "body"))
    })
    .await;
    for (status, params, code, wait) in [
        (403, "{}", Code::Target4xx, None),
        (404, "{}", Code::Target4xx, None),
        (429, "{}", Code::Target429, Some(7)),
        (500, "{}", Code::Target5xx, None),
        (503, "{}", Code::Target5xx, Some(7)),
        (304, "{}", Code::TooManyRedirects, None),
        (302, "{}", Code::TooManyRedirects, None),
        (200, r#"{"accept_status":[404]}"#, Code::Target4xx, None),
    ] {
        let error = error(&peer, &format!("/{status}"), params).await;
        assert_eq!((error.code, error.http_status), (code, Some(status)), "{error}");
        assert_eq!(error.retry_after.map(|wait| wait.as_secs()), wait, "{status}");
        assert_eq!(error.final_url.unwrap(), peer.url(&format!("/{status}")));
    }
    for (status, params) in
        [(404, r#"{"accept_status":[404]}"#), (503, r#"{"accept_status":["5xx"]}"#)]
    {
        let page = fetch(&peer, &format!("/{status}"), params).await.unwrap();
        assert_eq!((page.status, page.text.as_str()), (status, "body"));
    }
}

#[tokio::test]
async fn compressed_bodies_are_decompressed() {
    let body = prose();
    for (name, compress) in COMPRESSIONS {
        let peer =
            closing(ok(&format!("content-encoding: {name}\r\n"), compress(body.as_bytes()))).await;
        let page = fetch(&peer, "/", "{}").await.unwrap();
        assert!(page.text == body, "{name}");
        assert!(peer.requests()[0].contains("accept-encoding: "), "{name} was asked for");
    }
}

#[tokio::test]
async fn a_compressed_body_that_ends_too_early_is_truncated() {
    for (name, compress) in COMPRESSIONS {
        let whole = compress(prose().as_bytes());
        let peer =
            closing(ok(&format!("content-encoding: {name}\r\n"), &whole[..whole.len() / 2])).await;
        let error = error(&peer, "/", "{}").await;
        assert_eq!(error.code, Code::Truncated, "{name}: {error}");
    }
}

#[tokio::test]
async fn a_corrupt_compression_cannot_be_decoded() {
    for (name, _) in COMPRESSIONS {
        let peer = closing(ok(&format!("content-encoding: {name}\r\n"), [0xff; 200])).await;
        let error = error(&peer, "/", "{}").await;
        assert_eq!(
            (error.code, error.http_status),
            (Code::DecodeError, Some(200)),
            "{name}: {error}"
        );
    }
    let peer = closing(ok("content-encoding: gzip, gzip\r\n", gzip(&gzip(b"x")))).await;
    assert_eq!(error(&peer, "/", "{}").await.code, Code::DecodeError);
}

#[tokio::test]
async fn a_bomb_stops_at_the_limit() {
    let zeros = vec![0; 64 << 20];
    for (name, compress) in COMPRESSIONS {
        let bomb = compress(&zeros);
        assert!(bomb.len() < 1 << 20, "{name} {}", bomb.len());
        let peer =
            closing(ok(&format!("content-type: text/html\r\ncontent-encoding: {name}\r\n"), bomb))
                .await;
        let error = error(&peer, "/", r#"{"max_bytes":100000}"#).await;
        assert_eq!(error.code, Code::BodyTooLarge, "{name}: {error}");
        assert!(error.message.contains("100000") && error.message.contains("max_bytes"));
    }
}

#[tokio::test]
async fn a_body_may_be_as_long_as_the_limit_and_no_longer() {
    let endless =
        Peer::start(|_| Reply::Forever(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 10_000]))
            .await;
    assert_eq!(error(&endless, "/", "{}").await.code, Code::BodyTooLarge);
    // What is announced is enough to refuse: the rest never comes.
    let announced = Peer::start(|_| {
        Reply::Keep(b"HTTP/1.1 200 OK\r\ncontent-length: 40000000000\r\n\r\n".to_vec())
    })
    .await;
    assert_eq!(error(&announced, "/", "{}").await.code, Code::BodyTooLarge);

    let exact = closing(ok("content-type: text/html;charset=latin1\r\n", b"abc\xe9")).await;
    assert_eq!(fetch(&exact, "/", r#"{"max_bytes":5}"#).await.unwrap().text, "abcé");
    // As UTF-8 it's 5 bytes.
    for max in [3, 4] {
        let params = format!(r#"{{"max_bytes":{max}}}"#);
        assert_eq!(error(&exact, "/", &params).await.code, Code::BodyTooLarge, "{max}");
    }
}

#[tokio::test]
async fn broken_framing_is_truncated_or_no_answer() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless_head = [b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'y'; 1 << 20]].concat();
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(10_000));
    for (bytes, code) in [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc".to_vec(), Code::Truncated),
        (format!("{chunked}5\r\nab").into_bytes(), Code::Truncated),
        (format!("{chunked}5\r\nabcde\r\n").into_bytes(), Code::Truncated),
        (format!("{chunked}zz\r\nabcde\r\n0\r\n\r\n").into_bytes(), Code::Truncated),
        (format!("{chunked}ffffffffffffffffff\r\na").into_bytes(), Code::Truncated),
        (b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nabc".to_vec(), Code::ConnectFailed),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_vec(),
            Code::ConnectFailed,
        ),
        (b"HTTP/1.1 200".to_vec(), Code::ConnectFailed),
        (b"SSH-2.0-OpenSSH\r\n".to_vec(), Code::ConnectFailed),
        (b"".to_vec(), Code::ConnectFailed),
        (endless_head, Code::ConnectFailed),
        (many_headers.into_bytes(), Code::ConnectFailed),
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        let peer = closing(bytes).await;
        let error = error(&peer, "/", "{}").await;
        assert_eq!(error.code, code, "{shown:?}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_text_cannot_be_decoded() {
    for (headers, body) in [
        ("content-type: image/png\r\n", &b"\x89PNG"[..]),
        ("content-type: application/pdf\r\n", b"%PDF-1.7"),
        ("content-type: application/octet-stream\r\n", b"PK\x03\x04\0\0"),
        ("", b"\x7fELF\0\0"),
    ] {
        let error = error(&closing(ok(headers, body)).await, "/", "{}").await;
        assert_eq!((error.code, error.http_status), (Code::DecodeError, Some(200)), "{headers}");
    }
    for (headers, body) in [
        ("content-type: application/octet-stream\r\n", &b"text"[..]),
        ("content-type: text/html\r\n", b"a\0b"),
        ("content-type: image/svg+xml\r\n", b"<svg/>"),
        ("content-type: image/png\r\n", b""),
    ] {
        let page = fetch(&closing(ok(headers, body)).await, "/", "{}").await.unwrap();
        assert_eq!(page.text.as_bytes(), body, "{headers}");
    }
}

#[tokio::test]
async fn head_answers_have_no_body() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: image/png\r\ncontent-encoding: gzip\r\n\
        content-length: 99999999999\r\n\r\n";
    let peer = Peer::start(move |_| Reply::Keep(head.as_bytes().to_vec())).await;
    let page = fetch(&peer, "/", r#"{"method":"HEAD"}"#).await.unwrap();
    assert_eq!(page.text, "");
}

#[tokio::test]
async fn pages_in_other_encodings_become_text() {
    let page = |headers: &'static str, body: &'static [u8]| async move {
        fetch(&closing(ok(headers, body)).await, "/", "{}").await.unwrap().text
    };
    assert_eq!(page("content-type: text/html; charset=iso-8859-1\r\n", b"caf\xe9").await, "café");
    let japanese =
        page("content-type: text/html\r\n", b"<meta charset=shift_jis>\x93\xfa\x96\x7b").await;
    assert_eq!(japanese, "<meta charset=shift_jis>日本");
    assert_eq!(page("", b"\xff\xfea\0\xe9\0").await, "aé");
}

#[tokio::test]
async fn redirects_are_followed_as_often_as_allowed() {
    let peer = Peer::start(|path| match path[1..].parse::<u32>() {
        Ok(0) => Reply::Keep(ok("", "there")),
        Ok(left) => {
            let location = format!("location: {}\r\n", left - 1);
            Reply::Keep(answer("302 Found", &location, "see there"))
        }
        Err(_) => Reply::Keep(answer("301 Moved Permanently", "location: /loop\r\n", "")),
    })
    .await;
    let page = fetch(&peer, "/10#frag", "{}").await.unwrap();
    assert_eq!((page.final_url.as_str(), page.text.as_str()), (&*peer.url("/0#frag"), "there"));

    for (path, params) in [
        ("/11", "{}"),
        ("/loop", "{}"),
        ("/3", r#"{"follow_redirects":2}"#),
        ("/1", r#"{"follow_redirects":0}"#),
    ] {
        let before = peer.requests().len();
        let error = error(&peer, path, params).await;
        assert_eq!(error.code, Code::TooManyRedirects, "{path} {error}");
        let allowed = serde_json::from_str::<Params>(params).unwrap().follow_redirects() as usize;
        assert_eq!(peer.requests().len() - before, allowed + 1, "{path}");
    }
    let accepted = r#"{"follow_redirects":0,"accept_status":["3xx"]}"#;
    let page = fetch(&peer, "/5", accepted).await.unwrap();
    assert_eq!((page.status, page.text.as_str()), (302, "see there"));
}

#[tokio::test]
async fn a_redirected_form_becomes_a_get_and_loses_its_credentials_elsewhere() {
    let there = Peer::start(|_| Reply::Keep(ok("", "x"))).await;
    let url = there.url("/there");
    let here = Peer::start(move |path| {
        let location = if path == "/away" { url.clone() } else { "/stay".to_owned() };
        match path {
            "/stay" => Reply::Keep(ok("", "x")),
            _ => Reply::Keep(answer("303 See Other", &format!("location: {location}\r\n"), "")),
        }
    })
    .await;
    let params = r#"{"body":{"k":1},"headers":{"authorization":"secret","x-a":"b"},
        "cookies":{"c":"secret"}}"#;
    let http = http(&[&here, &there]);
    for path in ["/form", "/away"] {
        http.fetch(&task(&here.url(path), params)).await.unwrap();
    }
    let stayed = &here.requests()[1];
    assert!(stayed.starts_with("GET /stay") && stayed.contains("cookie: c=secret"), "{stayed}");
    assert!(!stayed.contains("content-type") && stayed.ends_with("\r\n\r\n"), "{stayed}");
    let away = &there.requests()[0];
    assert!(away.starts_with("GET /there") && away.contains("x-a: b"), "{away}");
    assert!(!away.contains("secret"), "{away}");
}

#[tokio::test]
async fn forbidden_addresses_are_refused_however_they_are_written() {
    let peer = Peer::start(|path| {
        let location = format!("location: http:/{path}\r\n");
        Reply::Keep(answer("302 Found", &location, ""))
    })
    .await;
    let port = peer.address.port();
    let closed_port = port ^ 1;
    // Only 127.0.0.1 and this port are allowed.
    for host in [
        format!("127.0.0.1:{closed_port}"),
        format!("2130706433:{closed_port}"),
        format!("0x7f.1:{closed_port}"),
        format!("0177.0.0.1:{closed_port}"),
        format!("①②⑦.⓪.⓪.①:{closed_port}"),
        format!("[::ffff:127.0.0.1]:{closed_port}"),
        format!("localhost:{closed_port}"),
        format!("127.0.0.2:{port}"),
        format!("[::1]:{port}"),
        format!("0.0.0.0:{port}"),
        "169.254.169.254".to_owned(),
        "10.0.0.1".to_owned(),
        "[64:ff9b::7f00:1]".to_owned(),
    ] {
        let http = http(&[&peer]);
        let direct = http.fetch(&task(&format!("http://{host}/?key"), "{}")).await.unwrap_err();
        assert_eq!(direct.code, Code::ForbiddenAddress, "{host}: {direct}");
        assert!(direct.message.contains("--allow-address") && !direct.message.contains("key"));
        if host.is_ascii() {
            let redirect = peer.url(&format!("/{host}/"));
            let redirected = http.fetch(&task(&redirect, "{}")).await.unwrap_err();
            assert_eq!(redirected.code, Code::ForbiddenAddress, "{host}: {redirected}");
        }
    }
}

#[tokio::test]
async fn an_allowed_address_is_reached_in_all_its_forms() {
    let peer = Peer::start(|_| Reply::Keep(ok("", "x"))).await;
    let port = peer.address.port();
    for host in ["127.0.0.1", "2130706433", "localhost"] {
        let rules = [format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
        let builder = rules
            .iter()
            .fold(Http::builder(), |builder, rule| builder.allow(rule.parse().unwrap()));
        let http = builder.build().unwrap();
        let page = http.fetch(&task(&format!("http://{host}:{port}/"), "{}")).await;
        assert_eq!(page.unwrap().text, "x", "{host}");
    }
}

#[tokio::test]
async fn redirects_to_other_schemes_are_not_followed() {
    for location in ["file:///etc/passwd", "javascript:alert(1)", "ftp://a.test/", "http://"] {
        let peer = closing(answer("302 Found", &format!("location: {location}\r\n"), "")).await;
        let error = error(&peer, "/", "{}").await;
        assert_eq!(error.code, Code::TooManyRedirects, "{location}: {error}");
    }
    let long = format!("location: /{}\r\n", "x".repeat(9_000));
    let peer = closing(answer("302 Found", &long, "")).await;
    assert_eq!(error(&peer, "/", "{}").await.code, Code::TooManyRedirects);
}

#[tokio::test]
async fn names_connections_and_handshakes_that_fail_are_told_apart() {
    let peer = closing(ok("", "x")).await;
    let http = http(&[&peer]);
    let code = |url: String| {
        let http = http.clone();
        async move { http.fetch(&task(&url, "{}")).await.unwrap_err().code }
    };
    // RFC 6761: never resolves.
    assert_eq!(code("http://nowhere.invalid/".to_owned()).await, Code::DnsFailure);
    // The peer answers a handshake with plain HTTP.
    let garbled = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = garbled.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = garbled.accept().await {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let tls = Http::builder().allow("127.0.0.1".parse().unwrap()).build().unwrap();
    let error = tls.fetch(&task(&format!("https://{address}/"), "{}")).await.unwrap_err();
    assert_eq!(error.code, Code::TlsError, "{error}");
    let unused = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let error = tls.fetch(&task(&format!("http://{unused}/a?key"), "{}")).await.unwrap_err();
    assert_eq!(error.code, Code::ConnectFailed, "{error}");
    assert!(
        !error.message.contains("key") && error.message.contains("/a: no connection"),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_be_served_is_refused_before_anything_is_sent() {
    let peer = closing(ok("", "x")).await;
    let error = error(&peer, "/", r#"{"render":true}"#).await;
    assert_eq!((error.code, error.retryable), (Code::RenderFailed, false));
    assert_eq!(peer.connections(), 0);
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let error = Http::builder().user_agent("a\nb").build().unwrap_err();
    assert!(error.to_string().starts_with("user_agent: "), "{error}");
}
