//! Names that mean one address when they are looked at and another one a moment later.

use std::{
    io,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use harvestman_engine::{Code, Fetcher, Params, Task};
use harvestman_fetchers::{Http, Resolver};

use crate::peer::{Peer, Reply, answer, ok};

/// A name server of an attacker: it names the outside until it has turned, the inside from then on.
#[derive(Debug, Default)]
struct Turncoat {
    has_turned: AtomicBool,
    asked_after: AtomicUsize,
}

#[async_trait]
impl Resolver for Turncoat {
    async fn resolve(&self, _name: &str) -> io::Result<Vec<IpAddr>> {
        let has_turned = self.has_turned.load(Ordering::SeqCst);
        self.asked_after.fetch_add(has_turned.into(), Ordering::SeqCst);
        let last = if has_turned { INSIDE } else { 1 };
        Ok(vec![[127, 0, 0, last].into()])
    }
}

/// The last byte of the address that may not be reached.
const INSIDE: u8 = 2;

/// A name whose server turns when the first page is asked for.
struct Rebinding {
    names: Arc<Turncoat>,
    outside: Peer,
    /// At the same port: everything that reaches it is a hole.
    inside: Peer,
}

impl Rebinding {
    /// Each answer closes its connection, so that the next request looks the name up.
    async fn new(first: Vec<u8>) -> Self {
        let names = Arc::new(Turncoat::default());
        let turning = Arc::clone(&names);
        let outside = Peer::start(move |path| {
            if path == "/" {
                turning.has_turned.store(true, Ordering::SeqCst);
                return Reply::Close(first.clone());
            }
            Reply::Close(ok("connection: close\r\n", "outside"))
        })
        .await;
        let address = ([127, 0, 0, INSIDE], outside.address.port()).into();
        let inside = Peer::start_at(address, |_| Reply::Close(ok("", "secret"))).await;
        Self { names, outside, inside }
    }

    fn url(&self, path: &str) -> String {
        format!("http://rebind.test:{}{path}", self.outside.address.port())
    }

    fn task(&self, path: &str, params: &str) -> Task {
        Task::new(0, &self.url(path), serde_json::from_str::<Params>(params).unwrap())
    }

    fn assert_closed(&self) {
        assert!(self.names.asked_after.load(Ordering::SeqCst) > 0, "nobody has tried");
        assert_eq!(self.inside.connections(), 0, "{:?}", self.inside.requests());
    }
}

#[tokio::test]
async fn a_name_that_turns_inside_is_refused_on_a_redirect_and_on_the_next_page() {
    let away = answer("302 Found", "location: /next\r\nconnection: close\r\n", "");
    for (first, redirects) in [(ok("connection: close\r\n", "x"), false), (away, true)] {
        let rebinding = Rebinding::new(first).await;
        let rule = rebinding.outside.address.to_string().parse().unwrap();
        let names: Arc<dyn Resolver> = Arc::clone(&rebinding.names) as _;
        let http = Http::builder().allow(rule).resolver(names).build().unwrap();
        let page = http.fetch(&rebinding.task("/", "{}")).await;
        assert_eq!(page.is_err(), redirects);
        let next = http.fetch(&rebinding.task("/next", "{}")).await;
        for error in page.err().into_iter().chain(next.err()) {
            assert_eq!(error.code, Code::ForbiddenAddress, "{error}");
        }
        assert_eq!(rebinding.outside.requests().len(), 1);
        rebinding.assert_closed();
    }
}

#[cfg(feature = "render")]
#[tokio::test]
async fn a_name_that_turns_inside_is_refused_to_a_page_in_the_browser() {
    const PAGE: &str = "<h1>outside</h1><script>(async () => {
        const said = [];
        for (let n = 0; n < 12; n++) {
            said.push(await fetch('/data?' + n).then(a => a.text(), () => 'refused'));
        }
        new WebSocket('ws://' + location.host + '/socket');
        navigator.sendBeacon('/beacon');
        const frame = document.createElement('iframe'); frame.src = '/frame';
        const image = new Image(); image.src = '/image';
        image.onerror = () => {
            document.body.insertAdjacentHTML('beforeend', '<p id=said>' + said + '</p>');
        };
        document.body.append(frame, image);
    })()</script>";
    let rebinding =
        Rebinding::new(ok("content-type: text/html\r\nconnection: close\r\n", PAGE)).await;
    let names: Arc<dyn Resolver> = Arc::clone(&rebinding.names) as _;
    let browser = crate::render::builder(&[&rebinding.outside]).resolver(names).build().unwrap();
    let params = r##"{"wait_for":"#said","wait_ms":300}"##;
    let page = browser.fetch(&rebinding.task("/", params)).await.unwrap();
    assert!(page.text.contains("refused") && !page.text.contains("secret"), "{}", page.text);
    let error = browser.fetch(&rebinding.task("/next", "{}")).await.unwrap_err();
    assert_eq!(error.code, Code::ForbiddenAddress, "{error}");
    rebinding.assert_closed();
    browser.close().await;
}
