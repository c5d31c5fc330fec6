//! Pages in a real Chromium, gentle and hostile ones. `.ci/run` installs it; as root it runs without
//! its sandbox.

use std::{env, process::Command, sync::Arc};

use harvestman_engine::{
    Code, FetchError, Fetcher, Page, Params, Task, params::ProxyType, testing::fetcher_conformance,
};
use harvestman_fetchers::{
    Browser, BrowserBuilder, Http, PoolConfig, Proxies, ProxiesConfig, Router,
};

use crate::{
    peer::{Peer, Reply, answer, ok},
    proxy::{RealProxy, USER},
};

/// How many pages the browsers of the tests have open at a time.
pub(crate) const AT_ONCE: usize = 4;

pub(crate) fn builder(peers: &[&Peer]) -> BrowserBuilder {
    let builder = Browser::builder().sandbox(!rustix::process::geteuid().is_root()).pages(AT_ONCE);
    let allow = |builder: BrowserBuilder, peer: &&Peer| {
        builder.allow(peer.address.to_string().parse().unwrap())
    };
    peers.iter().fold(builder, allow)
}

pub(crate) fn task(url: &str, params: &str) -> Task {
    Task::new(0, url, serde_json::from_str::<Params>(params).unwrap())
}

pub(crate) fn html(body: &str) -> Reply {
    Reply::Keep(ok("content-type: text/html; charset=utf-8\r\n", body))
}

/// A peer with pages by path.
async fn site(pages: &'static [(&'static str, &'static str)]) -> Peer {
    Peer::start(move |path| match pages.iter().find(|(known, _)| *known == path) {
        Some((_, body)) => html(body),
        None => Reply::Keep(answer("404 Not Found", "", "")),
    })
    .await
}

/// Browsers that may load from one peer.
pub(crate) struct Rendered {
    pub(crate) browser: Browser,
    pub(crate) peer: Peer,
}

impl Rendered {
    pub(crate) async fn new(pages: &'static [(&'static str, &'static str)]) -> Self {
        let peer = site(pages).await;
        Self { browser: builder(&[&peer]).build().unwrap(), peer }
    }

    pub(crate) async fn fetch(&self, path: &str, params: &str) -> Result<Page, FetchError> {
        self.browser.fetch(&task(&self.peer.url(path), params)).await
    }
}

#[tokio::test]
async fn pages_that_need_a_browser_have_their_record() {
    let rendered = Rendered::new(&[
        (
            "/app",
            "<div id=root></div><script>setTimeout(async () => {
             const lamp = await (await fetch('/data')).text();
             document.querySelector('#root').innerHTML = '<h1>' + lamp + '</h1>'; }, 100)</script>",
        ),
        ("/data", "Lamp"),
        (
            "/lazy",
            "<div style='height:3000px'></div><ul></ul><script>let n = 0;
             addEventListener('scroll', () => { if (n++ < 3) setTimeout(() => {
             document.querySelector('ul').innerHTML += '<li style=\"height:2000px\">item ' + n; }, 50) })
             </script>",
        ),
        (
            "/click",
            "<button onclick=\"setTimeout(() => document.body.innerHTML += '<p id=more>more</p>', 100)\">
             go</button>",
        ),
        (
            "/form",
            "<form onsubmit=\"document.body.innerHTML = '<p id=done>' + q.value + size.value + '</p>';
             return false\"><input id=q><select id=size><option value=s>Small<option value=l>Large
             </select><button>go</button></form>",
        ),
        ("/alerts", "<script>for (let i = 0; i < 20; i++) alert(i)</script><h1>after</h1>"),
        (
            "/canvas",
            "<canvas width=5000 height=5000></canvas><h1>art</h1><script>
             const c = document.querySelector('canvas').getContext('2d');
             c.fillRect(0, 0, 5000, 5000); c.getImageData(0, 0, 5000, 5000);</script>",
        ),
        ("/moves", "<script>location.href = '/click'</script>"),
        (
            "/slow-app",
            "<div id=root></div><script>setTimeout(() => { document.querySelector('#root').innerHTML =
             '<h1>late</h1>' }, 1500)</script>",
        ),
    ])
    .await;
    for (path, params, text) in [
        ("/app", r#"{"wait_for":"h1"}"#, "<h1>Lamp</h1>"),
        ("/app", "{}", "<h1>Lamp</h1>"),
        ("/lazy", r#"{"actions":[{"scroll":"bottom"},{"wait":"li"}]}"#, "item 1"),
        (
            "/lazy",
            r#"{"actions":[{"scroll":500},{"wait":"li"},{"scroll":"li"},{"wait":"li + li"}]}"#,
            "item 2",
        ),
        ("/click", r##"{"actions":[{"click":"button"}],"wait_for":"#more"}"##, ">more</p>"),
        (
            "/form",
            r##"{"actions":[{"select":{"selector":"#size","text":"Large"}},
            {"type":{"selector":"#q","text":"lamp é"}},{"press":"Enter"}],"wait_for":"#done"}"##,
            "lamp él</p>",
        ),
        ("/alerts", "{}", "<h1>after</h1>"),
        ("/canvas", "{}", "<h1>art</h1>"),
        ("/moves", r#"{"wait_ms":100}"#, "<button"),
        ("/slow-app", "{}", "<h1>late</h1>"),
    ] {
        let page = rendered.fetch(path, params).await;
        let page = page.unwrap_or_else(|error| panic!("{path} {params}: {error}"));
        assert!(page.text.contains(text), "{path} {params}: {}", page.text);
        assert_eq!(page.status, 200);
    }
    rendered.browser.close().await;
}

#[tokio::test]
async fn it_conforms_to_what_the_driver_relies_on() {
    let rendered = Rendered::new(&[("/good", "<p>hello")]).await;
    let (good, bad) =
        (task(&rendered.peer.url("/good"), "{}"), task(&rendered.peer.url("/bad"), "{}"));
    fetcher_conformance(&rendered.browser, &good, &bad).await;
    let error = rendered.browser.fetch(&bad).await.unwrap_err();
    assert_eq!((error.code, error.http_status), (Code::Target4xx, Some(404)), "{error}");
    rendered.browser.close().await;
}

#[tokio::test]
async fn the_request_is_what_the_task_says_and_credentials_stay_with_their_origin() {
    let other = Peer::start(|_| Reply::Keep(ok("access-control-allow-origin: *\r\n", "x"))).await;
    let there = other.url("/there.js");
    let peer = Peer::start(move |path| match path {
        "/" => html(&format!("<script src='/own.js'></script><script src='{there}'></script>")),
        _ => Reply::Keep(ok("content-type: text/javascript\r\n", "1")),
    })
    .await;
    let browser = builder(&[&peer, &other]).build().unwrap();
    let params = r#"{"headers":{"authorization":"secret","x-a":"b","cookie":"d=2"},
        "cookies":{"c":"1"},"user_agent":"me"}"#;
    browser.fetch(&task(&peer.url("/"), params)).await.unwrap();
    let all = |peer: &Peer| peer.requests().concat().to_ascii_lowercase();
    for line in ["authorization: secret\r\n", "x-a: b\r\n", "user-agent: me\r\n", "c=1", "d=2"] {
        assert!(
            peer.requests().iter().all(|request| request.to_ascii_lowercase().contains(line)),
            "{line} {}",
            all(&peer)
        );
    }
    assert_eq!(other.requests().len(), 1);
    // Cookies, by their rules, know no ports.
    assert!(!all(&other).contains("secret"), "{}", all(&other));
    browser.close().await;
}

#[tokio::test]
async fn blocked_resources_are_not_asked_for() {
    const PAGE: &str = "<style>@font-face{font-family:f;src:url(/f.woff)} p{font-family:f}</style>
        <img src=/i.png><video src=/v.mp4></video><script src=/s.js></script><p>text";
    let rendered = Rendered::new(&[("/", PAGE)]).await;
    let paths = |from: usize| {
        let requests = rendered.peer.requests();
        let path = |request: &String| request.split(' ').nth(1).unwrap().to_owned();
        let mut paths: Vec<_> = requests[from..].iter().map(path).collect();
        paths.retain(|path| path != "/favicon.ico");
        paths.sort();
        paths
    };
    rendered.fetch("/", r#"{"block_resources":true}"#).await.unwrap();
    assert_eq!(paths(0), ["/", "/s.js"]);
    let before = rendered.peer.requests().len();
    rendered.fetch("/", "{}").await.unwrap();
    assert_eq!(paths(before), ["/", "/f.woff", "/i.png", "/s.js", "/v.mp4"]);
    rendered.browser.close().await;
}

#[tokio::test]
async fn an_image_is_kept_beside_the_output_and_named() {
    let rendered = Rendered::new(&[("/", "<div style='height:3000px'>tall</div>")]).await;
    let directory = tempfile::tempdir().unwrap();
    let images = directory.path().join("out.screenshots");
    let browser = rendered.browser.clone().with_screenshots(&images);
    for (part, height) in [("true", 800), ("\"full\"", 3_016)] {
        let params = format!(r#"{{"screenshot":{part}}}"#);
        let task = Task::new(
            12,
            &rendered.peer.url("/"),
            serde_json::from_str::<Params>(&params).unwrap(),
        );
        let page = browser.fetch(&task).await.unwrap();
        assert_eq!(page.screenshot.as_deref(), Some("out.screenshots/000000012.png"));
        let png = std::fs::read(images.join("000000012.png")).unwrap();
        // The head of a PNG file: signature, then width and height.
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!((size(16), size(20)), (1_280, height), "{part}");
    }
    assert_eq!(std::fs::read_dir(&images).unwrap().count(), 1, "nothing else is left");
    let error = rendered.fetch("/", r#"{"screenshot":true}"#).await.unwrap_err();
    assert!(!error.retryable && error.message.contains("directory"), "{error}");
    rendered.browser.close().await;
}

#[tokio::test]
async fn a_page_goes_through_the_proxy_of_its_class_and_its_session_keeps_cookies() {
    let peer = Peer::start(|path| match path {
        "/set" => Reply::Keep(ok(
            "content-type: text/html\r\nset-cookie: id=1; HttpOnly\r\n",
            "<h1>set</h1><script>document.cookie = 'js=2; max-age=600'</script>",
        )),
        _ => html("<h1>page</h1>"),
    })
    .await;
    let (user, password) = USER;
    let (http, socks) = (RealProxy::tinyproxy("p", true), RealProxy::socks(true));
    let http_url = http.url_for("http", user, password);
    let socks_url = socks.url_for("socks5", user, password);
    let config = ProxiesConfig::new()
        .with_pool(PoolConfig::new(ProxyType::Datacenter, [&*http_url]))
        .with_pool(PoolConfig::new(ProxyType::Residential, [&*socks_url]));
    let plain = Http::builder().allow(peer.address.to_string().parse().unwrap()).build().unwrap();
    let router = Router::new(plain)
        .with_proxies(Proxies::new(&config).unwrap())
        .with_browser(builder(&[&peer]).build().unwrap());
    for class in ["datacenter", "residential"] {
        let fetch = async |path: &str, render: bool| {
            let params =
                format!(r#"{{"render":{render},"proxy_type":"{class}","session_id":"s"}}"#);
            router.fetch(&task(&peer.url(path), &params)).await.unwrap()
        };
        fetch("/set", true).await;
        for render in [true, false] {
            fetch("/", render).await;
            let requests = peer.requests();
            let is_page = |request: &&String| request.starts_with("GET / ");
            let last = requests.iter().rev().find(is_page).unwrap().to_ascii_lowercase();
            assert!(last.contains("id=1") && last.contains("js=2"), "{class} {render} {last}");
        }
    }
    drop(http);
    let gone = task(&peer.url("/"), r#"{"render":true,"proxy_type":"datacenter"}"#);
    let error = router.fetch(&gone).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (Code::ProxyError, true), "{error}");
    assert!(!error.message.contains(password), "{error}");
}

/// Where the second process of the next test finds its proxy.
const PROXY_VARIABLE: &str = "HARVESTMAN_TEST_TLS_PROXY";

#[tokio::test]
async fn a_proxy_can_be_spoken_to_over_tls() {
    let peer = site(&[("/", "<h1>page</h1>")]).await;
    let fetch = async |proxy: &str, render: bool| {
        let pool = PoolConfig::new(ProxyType::Datacenter, [proxy]);
        let proxies = Proxies::new(&ProxiesConfig::new().with_pool(pool)).unwrap();
        let rule = peer.address.to_string().parse().unwrap();
        let router = Router::new(Http::builder().allow(rule).build().unwrap())
            .with_proxies(proxies)
            .with_browser(builder(&[&peer]).build().unwrap());
        let params = format!(r#"{{"render":{render},"proxy_type":"datacenter"}}"#);
        router.fetch(&task(&peer.url("/"), &params)).await
    };
    if let Ok(proxy) = env::var(PROXY_VARIABLE) {
        for render in [false, true] {
            let page = fetch(&proxy, render).await.unwrap();
            assert!(page.text.contains("<h1>page</h1>"), "{}", page.text);
        }
        return;
    }
    let (proxy, certificate) = RealProxy::squid_over_tls(true);
    let url = proxy.url_for("https", USER.0, USER.1);
    for render in [false, true] {
        let error = fetch(&url, render).await.unwrap_err();
        assert_eq!((error.code, error.retryable), (Code::ProxyError, true), "{error}");
        assert!(error.message.contains("certificate"), "{error}");
        assert!(!error.message.contains(USER.1), "{error}");
    }
    assert_eq!(peer.connections(), 0, "nothing goes past a proxy that nobody vouches for");
    // Whom the system trusts is a matter of the whole process.
    let mut trusting = Command::new(env::current_exe().unwrap());
    trusting.args(["--exact", "render::a_proxy_can_be_spoken_to_over_tls"]);
    trusting.env(PROXY_VARIABLE, url).env("SSL_CERT_FILE", certificate);
    let output = trusting.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
async fn an_empty_shell_goes_to_the_browser_when_it_may() {
    const SHELL: &str = "<!doctype html><div id=\"root\"></div><script>
        document.querySelector('#root').innerHTML = '<h1>Lamp</h1>'</script>";
    let peer = site(&[("/", SHELL)]).await;
    let http = Http::builder().allow(peer.address.to_string().parse().unwrap()).build().unwrap();
    let browser = builder(&[&peer]).build().unwrap();
    let router = Arc::new(Router::new(http).with_browser(browser));
    let plain = task(&peer.url("/"), "{}");
    let error = router.fetch(&plain).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (Code::Blocked, false));
    let escalating = task(&peer.url("/"), r#"{"retry":{"escalate":true}}"#);
    let error = router.fetch(&escalating).await.unwrap_err();
    assert!(error.retryable, "{error}");
    let rendered = escalating.clone().with_params(error.means.unwrap());
    assert!(router.fetch(&rendered).await.unwrap().text.contains("<h1>Lamp</h1>"));
    let posted = task(&peer.url("/"), r#"{"body":"x","retry":{"escalate":true}}"#);
    let error = router.fetch(&posted).await.unwrap_err();
    assert!(error.means.is_none(), "a browser only gets pages: {error}");
}

#[tokio::test]
async fn what_a_browser_cannot_do_is_refused() {
    let rendered = Rendered::new(&[]).await;
    for (params, word) in [
        (r#"{"method":"POST"}"#, "`method`"),
        (r#"{"body":"x"}"#, "`body`"),
        (r#"{"proxy_type":"mobile"}"#, "`proxy_type`"),
        (r#"{"session_id":"s"}"#, "`session_id`"),
    ] {
        let error = rendered.fetch("/", params).await.unwrap_err();
        assert!(!error.retryable && error.message.contains(word), "{error}");
    }
    assert_eq!(rendered.peer.connections(), 0);
    let missing = Browser::builder().executable("/nowhere/chromium").build().unwrap_err();
    assert!(missing.to_string().contains("apt-get install chromium"), "{missing}");
    let no_browser = Browser::builder().executable("/bin/false").build().unwrap();
    let error = no_browser.fetch(&task("http://127.0.0.1:1/", "{}")).await.unwrap_err();
    assert!(error.message.contains("did not start"), "{error}");
}
