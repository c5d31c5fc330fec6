//! The router through real proxies.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::future::join_all;
use harvestman_engine::{
    Code, FetchError, Fetcher, Job, Page, Params, RateCard, RetryPolicy, Task,
    params::{ProxyType, RetryParams},
    testing::{ListSource, MemorySink},
};
use harvestman_fetchers::{Http, HttpBuilder, PoolConfig, Proxies, ProxiesConfig, Router};
use tokio::time::timeout;

use crate::{
    peer::{DEADLINE, Gate, Peer, Reply, answer, ok},
    proxy::{RealProxy, USER},
};

fn router(peer: &Peer, pools: &[(ProxyType, Vec<String>)]) -> Router {
    through(std::slice::from_ref(peer), pools)
}

fn through(peers: &[Peer], pools: &[(ProxyType, Vec<String>)]) -> Router {
    let rules = peers.iter().map(|peer| peer.address.to_string().parse().unwrap());
    let http = rules.fold(Http::builder(), HttpBuilder::allow).build().unwrap();
    let pool = |(class, urls): &(ProxyType, Vec<String>)| {
        PoolConfig::new(*class, urls.iter().map(String::as_str)).with_country("de")
    };
    let config = pools.iter().map(pool).fold(ProxiesConfig::new(), ProxiesConfig::with_pool);
    Router::new(http).with_proxies(Proxies::new(&config).unwrap())
}

fn datacenter(peer: &Peer, urls: impl IntoIterator<Item = String>) -> Router {
    router(peer, &[(ProxyType::Datacenter, urls.into_iter().collect())])
}

fn task(url: &str, params: &str) -> Task {
    Task::new(0, url, serde_json::from_str::<Params>(params).unwrap())
}

async fn fetch(router: &Router, url: &str) -> Result<Page, FetchError> {
    router.fetch(&task(url, r#"{"proxy_type":"datacenter"}"#)).await
}

async fn hello() -> Peer {
    Peer::start(|_| Reply::Keep(ok("content-type: text/html\r\n", "<p>hello"))).await
}

#[tokio::test]
async fn each_kind_of_proxy_brings_the_page() {
    let peer = hello().await;
    let (user, password) = USER;
    let plain = [
        (RealProxy::tinyproxy("p", false), "http"),
        (RealProxy::squid(false), "http"),
        (RealProxy::socks(false), "socks5"),
    ];
    let locked = [
        (RealProxy::tinyproxy("p", true), "http"),
        (RealProxy::squid(true), "http"),
        (RealProxy::socks(true), "socks5"),
    ];
    for (proxy, scheme) in &plain {
        let page = fetch(&datacenter(&peer, [proxy.url(scheme)]), &peer.url("/")).await.unwrap();
        assert_eq!(page.text, "<p>hello", "{scheme}");
    }
    for (proxy, scheme) in &locked {
        let router = datacenter(&peer, [proxy.url_for(scheme, user, password)]);
        assert_eq!(fetch(&router, &peer.url("/")).await.unwrap().text, "<p>hello", "{scheme}");
        for url in [proxy.url(scheme), proxy.url_for(scheme, user, "wr0ng")] {
            let error = fetch(&datacenter(&peer, [url]), &peer.url("/")).await.unwrap_err();
            assert_eq!((error.code, error.retryable), (Code::ProxyError, true), "{error}");
            assert!(error.message.contains(&proxy.address.to_string()), "{error}");
            assert!(!error.message.contains("wr0ng"), "{error}");
        }
    }
    assert_eq!(peer.requests().len(), 6);
}

#[tokio::test]
async fn https_goes_through_a_tunnel() {
    // The peer speaks no TLS: that the handshake fails shows that the tunnel stands.
    let garbled = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = garbled.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = garbled.accept().await {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let _ = stream.read(&mut [0; 64]).await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        }
    });
    let tinyproxy = RealProxy::tinyproxy("p", false);
    let socks = RealProxy::socks(false);
    for url in [tinyproxy.url("http"), socks.url("socks5")] {
        let http = Http::builder().allow(address.to_string().parse().unwrap()).build().unwrap();
        let pool = PoolConfig::new(ProxyType::Datacenter, [&*url]);
        let proxies = Proxies::new(&ProxiesConfig::new().with_pool(pool)).unwrap();
        let router = Router::new(http).with_proxies(proxies);
        let error = fetch(&router, &format!("https://{address}/")).await.unwrap_err();
        assert_eq!(error.code, Code::TlsError, "{url}: {error}");
    }
}

/// By which of the proxies each request came, as the peer has seen it.
fn counts(peer: &Peer) -> HashMap<String, usize> {
    let via = |request: &String| {
        let line = request.lines().find(|line| line.to_ascii_lowercase().starts_with("via: "));
        line.map_or("direct", |line| line.split(' ').nth(2).unwrap()).to_owned()
    };
    let mut counts = HashMap::new();
    for name in peer.requests().iter().map(via) {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_session_leaves_by_one_proxy_and_others_spread_evenly() {
    let peer = hello().await;
    let proxies: Vec<_> = (0..4).map(|n| RealProxy::tinyproxy(&format!("p{n}"), false)).collect();
    let router = datacenter(&peer, proxies.iter().map(|proxy| proxy.url("http")));
    let run = async |params: &str| {
        for _ in 0..50 {
            let task = task(&peer.url("/"), params);
            for page in join_all((0..20).map(|_| router.fetch(&task))).await {
                page.unwrap();
            }
        }
    };
    run(r#"{"proxy_type":"datacenter","session_id":"s1"}"#).await;
    let of_session = counts(&peer);
    assert_eq!(of_session.values().copied().collect::<Vec<_>>(), [1_000], "{of_session:?}");
    run(r#"{"proxy_type":"datacenter"}"#).await;
    for (name, count) in counts(&peer) {
        let before = of_session.get(&name).copied().unwrap_or_default();
        assert!((240..=260).contains(&(count - before)), "{name}: {}", count - before);
    }
}

#[tokio::test]
async fn a_proxy_that_dies_costs_retries_but_no_url_and_no_pace() {
    const PAGES: usize = 2_000;
    const AT_ONCE: usize = 16;
    let dying = Arc::new(Mutex::new(Some(RealProxy::tinyproxy("dying", false))));
    let staying = RealProxy::tinyproxy("staying", false);
    let urls = [dying.lock().unwrap().as_ref().unwrap().url("http"), staying.url("http")];
    let (served, gate) = (Arc::new(AtomicUsize::new(0)), Gate::open(AT_ONCE));
    // A host may always be asked for one page at least, so all slots can be used.
    let peers = join_all((0..AT_ONCE).map(|_| {
        let (killed, served, gate) = (Arc::clone(&dying), Arc::clone(&served), Arc::clone(&gate));
        Peer::start(move |_| {
            if served.fetch_add(1, Ordering::Relaxed) == PAGES / 4 {
                killed.lock().unwrap().take().unwrap().kill();
                // Until as many requests as there are slots come by the other one.
                gate.close();
            }
            let page = ok("content-type: text/html\r\n", "<p>hello");
            Reply::Behind(Arc::clone(&gate), page)
        })
    }))
    .await;
    let params: Params = serde_json::from_str(r#"{"proxy_type":"datacenter"}"#).unwrap();
    let list = (0..PAGES).map(|n| peers[n % AT_ONCE].url(&format!("/{n}")));
    let sink = MemorySink::new();
    let router = through(&peers, &[(ProxyType::Datacenter, urls.into())]);
    let job = Job::new(
        Arc::new(ListSource::new(list).with_params(params)),
        Arc::new(router),
        Arc::new(sink.clone()),
    )
    .with_concurrency(AT_ONCE)
    .with_retry(RetryPolicy::default().with_base(Duration::from_millis(20)));
    let ended = timeout(DEADLINE, job.spawn().wait()).await;
    let report = ended.expect("the job goes on at its pace").unwrap();
    assert_eq!(
        (report.counters.ok, report.counters.errored()),
        (PAGES as u64, 0),
        "{:?}",
        report.counters
    );
    let lines: std::collections::HashSet<_> = sink
        .lines()
        .iter()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["index"].clone().to_string()
        })
        .collect();
    assert_eq!((sink.lines().len(), lines.len()), (PAGES, PAGES));
    assert!(dying.lock().unwrap().is_none(), "it was killed on the way");
    assert!(!gate.is_closed(), "all slots were in use again");
}

#[tokio::test]
async fn all_proxies_dead_is_an_error_that_is_tried_again() {
    let peer = hello().await;
    let mut proxy = RealProxy::socks(false);
    let router = datacenter(&peer, [proxy.url("socks5")]);
    fetch(&router, &peer.url("/")).await.unwrap();
    proxy.kill();
    for _ in 0..3 {
        let error = fetch(&router, &peer.url("/")).await.unwrap_err();
        assert_eq!((error.code, error.retryable), (Code::ProxyError, true), "{error}");
    }
    assert_eq!(peer.requests().len(), 1, "nothing goes out directly");
}

#[tokio::test]
async fn what_the_proxy_cannot_reach_is_not_its_fault() {
    let peer = hello().await;
    for proxy in [RealProxy::squid(false), RealProxy::tinyproxy("p", false)] {
        let http = Http::builder().allow("127.0.0.1".parse().unwrap()).build().unwrap();
        let url = proxy.url("http");
        let pool = PoolConfig::new(ProxyType::Datacenter, [&*url]);
        let proxies = Proxies::new(&ProxiesConfig::new().with_pool(pool)).unwrap();
        let router = Router::new(http).with_proxies(proxies.clone());
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = fetch(&router, &format!("http://{closed}/")).await.unwrap_err();
        assert_eq!(error.code, Code::ConnectFailed, "{error}");
        assert!(proxies.status()[0].is_healthy);
        fetch(&router, &peer.url("/")).await.unwrap();
    }
}

#[tokio::test]
async fn the_guard_holds_through_a_proxy() {
    let peer = Peer::start(|path| match path {
        "/away" => Reply::Keep(answer("302 Found", "location: http://10.0.0.1/\r\n", "")),
        "/name" => Reply::Keep(answer("302 Found", "location: http://localhost:9/\r\n", "")),
        _ => Reply::Keep(ok("", "x")),
    })
    .await;
    let proxy = RealProxy::socks(false);
    let router = datacenter(&peer, [proxy.url("socks5")]);
    let port = peer.address.port();
    for url in [
        format!("http://127.0.0.1:{}/", port ^ 1),
        format!("http://127.0.0.2:{port}/"),
        "http://localhost:9/".to_owned(),
        "http://169.254.169.254/latest".to_owned(),
        peer.url("/away"),
        peer.url("/name"),
    ] {
        let error = fetch(&router, &url).await.unwrap_err();
        assert_eq!(error.code, Code::ForbiddenAddress, "{url}: {error}");
    }
    assert_eq!(peer.requests().len(), 2);
}

#[tokio::test]
async fn a_session_keeps_its_cookies_with_and_without_a_proxy() {
    let peer = Peer::start(|path| match path {
        "/set" => {
            Reply::Keep(answer("302 Found", "set-cookie: id=1; Path=/\r\nlocation: /\r\n", ""))
        }
        "/block" => Reply::Keep(answer("403 Forbidden", "cf-mitigated: challenge\r\n", "x")),
        _ => Reply::Keep(ok("", "x")),
    })
    .await;
    let proxy = RealProxy::tinyproxy("p", false);
    let router = datacenter(&peer, [proxy.url("http")]);
    for params in [
        r#"{"session_id":"s","cookies":{"own":"2"}}"#,
        r#"{"session_id":"s","proxy_type":"datacenter","cookies":{"own":"2"}}"#,
    ] {
        let fetch = async |path: &str| router.fetch(&task(&peer.url(path), params)).await;
        let last = || peer.requests().last().unwrap().to_ascii_lowercase();
        fetch("/").await.unwrap();
        assert!(last().contains("cookie: own=2\r\n"), "{}", last());
        fetch("/set").await.unwrap();
        assert!(last().contains("cookie: id=1; own=2\r\n"), "{}", last());
        fetch("/").await.unwrap();
        assert!(last().contains("cookie: id=1; own=2\r\n"), "{}", last());
    }
    let other = r#"{"session_id":"t","proxy_type":"datacenter"}"#;
    router.fetch(&task(&peer.url("/"), other)).await.unwrap();
    assert!(!peer.requests().last().unwrap().to_ascii_lowercase().contains("cookie"));
    let session = r#"{"session_id":"s","proxy_type":"datacenter"}"#;
    for _ in 0..3 {
        let result = router.fetch(&task(&peer.url("/block"), session)).await;
        let error = result.expect_err(peer.requests().last().unwrap());
        assert_eq!(error.code, Code::Captcha);
    }
    router.fetch(&task(&peer.url("/"), session)).await.unwrap();
    let last = peer.requests().last().unwrap().to_ascii_lowercase();
    assert!(!last.contains("cookie"), "after three blocks it begins anew: {last}");
}

#[tokio::test]
async fn a_refused_task_comes_back_by_the_next_class() {
    let strict = Peer::start_with(|request| {
        let is_trusted = request.to_ascii_lowercase().contains("residential");
        Reply::Keep(if is_trusted { ok("", "lamp") } else { answer("403 Forbidden", "", "no") })
    })
    .await;
    let (weak, strong) =
        (RealProxy::tinyproxy("weak", false), RealProxy::tinyproxy("residential", false));
    let pools = [
        (ProxyType::Datacenter, vec![weak.url("http")]),
        (ProxyType::Residential, vec![strong.url("http")]),
    ];
    let router = Arc::new(router(&strict, &pools));
    let run = async |params: &str| {
        let params: Params = serde_json::from_str(params).unwrap();
        let source = ListSource::new([strict.url("/")]).with_params(params);
        let sink = MemorySink::new();
        let retry =
            RetryPolicy::default().with_base(Duration::ZERO).with_params(RetryParams::up_to(5));
        let job = Job::new(Arc::new(source), Arc::clone(&router) as _, Arc::new(sink.clone()))
            .with_meter(Arc::new(RateCard::default()))
            .with_retry(retry);
        job.spawn().wait().await.unwrap();
        serde_json::from_str::<serde_json::Value>(&sink.lines()[0]).unwrap()
    };
    let record = run(r#"{"retry":{"escalate":true}}"#).await;
    assert_eq!((&record["status"], &record["attempts"]), (&"ok".into(), &3.into()), "{record}");
    assert_eq!(record["credits"], 3, "it has come by a residential proxy");
    let record = run("{}").await;
    assert_eq!(
        (&record["code"], &record["attempts"]),
        (&"target_4xx".into(), &1.into()),
        "{record}"
    );
}

#[tokio::test]
async fn what_there_is_no_proxy_for_is_refused_before_anything_is_sent() {
    let peer = hello().await;
    let router = datacenter(&peer, ["http://127.0.0.1:1".to_owned()]);
    for (params, word) in [
        (r#"{"proxy_type":"mobile"}"#, "mobile"),
        (r#"{"country":"fr"}"#, "`fr`"),
        (r#"{"respect_robots":true}"#, "respect_robots"),
        (r#"{"actions":[{"press":"Tab"}]}"#, "`actions` needs a browser"),
    ] {
        let params: Params = serde_json::from_str(params).unwrap();
        let error = router.check(&params).unwrap_err();
        assert!(!error.retryable && error.message.contains(word), "{error}");
        assert!(error.message.contains("configure"), "{error}");
        let fetched = router.fetch(&Task::new(0, &peer.url("/"), params)).await.unwrap_err();
        assert_eq!(fetched.message, error.message);
    }
    assert_eq!(peer.connections(), 0);
    let fine: Params = serde_json::from_str(r#"{"country":"de","session_id":"s"}"#).unwrap();
    router.check(&fine).unwrap();
}
