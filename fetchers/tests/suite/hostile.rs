//! Pages that are out for something, and browsers that die.

use std::{
    collections::HashSet,
    fs,
    net::UdpSocket,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::join_all;
use harvestman_engine::{
    Code, Fetcher, Job, Params, RetryPolicy,
    testing::{ListSource, MemorySink},
};
use harvestman_fetchers::Browser;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::timeout;

use crate::{
    peer::{DEADLINE, Gate, Peer, Reply, answer, ok},
    render::{AT_ONCE, Rendered, builder, html, task},
};

const SHORT: &str = r#"{"timeout_ms":3000}"#;

#[tokio::test]
async fn a_page_that_never_ends_costs_its_own_attempt_only() {
    let rendered = Rendered::new(&[
        ("/loop", "<h1>x</h1><script>while (true) {}</script>"),
        ("/late-loop", "<h1>x</h1><script>onload = () => { while (true) {} }</script>"),
        ("/spinner", "<div class=spinner>Loading</div><script>setInterval(() => 0, 10)</script>"),
        ("/alerts", "<script>while (true) alert('again')</script>"),
        ("/unload", "<script>onbeforeunload = () => 'stay'; setInterval(() => location.reload(), 1)</script>"),
        ("/popups", "<h1>x</h1><script>for (let i = 0; i < 30; i++) open('/fine?' + i)</script>"),
        ("/history", "<script>while (true) history.pushState(1, '', '#' + Math.random())</script>"),
        ("/fine", "<h1>fine</h1>"),
    ])
    .await;
    for (path, params, code, words) in [
        ("/loop", SHORT, Code::Timeout, "within 2.8 s"),
        ("/late-loop", SHORT, Code::Timeout, ""),
        ("/spinner", r#"{"timeout_ms":8000,"wait_for":"h1"}"#, Code::Timeout, "no `h1` appeared"),
        ("/spinner", r#"{"timeout_ms":8000,"actions":[{"click":"a"}]}"#, Code::Timeout, "action 1"),
        ("/alerts", "{}", Code::RenderFailed, "more than 50 dialogs"),
        ("/unload", SHORT, Code::Timeout, ""),
        ("/history", SHORT, Code::Timeout, ""),
        ("/fine", r#"{"wait_for":"h1["}"#, Code::RenderFailed, "is no CSS selector"),
    ] {
        let (hostile, fine) =
            tokio::join!(rendered.fetch(path, params), rendered.fetch("/fine", "{}"));
        let error = hostile.expect_err(path);
        assert_eq!(error.code, code, "{path}: {error}");
        assert!(error.message.contains(words), "{path}: {error}");
        let fine = fine.unwrap_or_else(|error| panic!("beside {path}: {error}"));
        assert!(fine.text.contains("fine"), "beside {path}");
    }
    let page = rendered.fetch("/popups", r#"{"wait_ms":300}"#).await.unwrap();
    assert!(page.text.contains("<h1>x</h1>"));
    assert!(rendered.fetch("/fine", "{}").await.is_ok());
    rendered.browser.close().await;
}

#[tokio::test]
async fn answers_that_are_no_pages_have_their_codes() {
    let peer = Peer::start(|path| match path {
        "/file" => Reply::Keep(ok(
            "content-type: application/zip\r\ncontent-disposition: attachment\r\n",
            "PK",
        )),
        "/nothing" => Reply::Keep(answer("204 No Content", "", "")),
        "/image" => Reply::Keep(ok(
            "content-type: image/svg+xml\r\n",
            "<svg xmlns='http://www.w3.org/2000/svg'/>",
        )),
        "/large" => html(&"<p>word".repeat(100_000)),
        "/missing" => Reply::Keep(answer("404 Not Found", "content-type: text/html\r\n", "no")),
        "/broken" => Reply::Keep(answer("500 Internal Server Error", "", "")),
        "/slow" => Reply::Keep(answer("429 Too Many Requests", "retry-after: 7\r\n", "slow")),
        "/wall" => Reply::Keep(answer("403 Forbidden", "cf-mitigated: challenge\r\n", "wait")),
        "/cut" => Reply::Close(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nabc".to_vec()),
        "/hang-up" => Reply::Close(Vec::new()),
        "/round" => Reply::Keep(answer("302 Found", "location: /round\r\n", "")),
        "/json" => Reply::Keep(ok("content-type: application/json\r\n", "{\"a\": 1}")),
        _ => html("<p>x"),
    })
    .await;
    let browser = builder(&[&peer]).build().unwrap();
    let fetch =
        async |path: &str, params: &str| browser.fetch(&task(&peer.url(path), params)).await;
    for (path, params, code) in [
        ("/file", "{}", Code::DecodeError),
        ("/nothing", "{}", Code::DecodeError),
        ("/large", r#"{"max_bytes":100000}"#, Code::BodyTooLarge),
        ("/missing", "{}", Code::Target4xx),
        ("/broken", "{}", Code::Target5xx),
        ("/slow", "{}", Code::Target429),
        ("/wall", "{}", Code::Captcha),
        ("/hang-up", "{}", Code::ConnectFailed),
        ("/round", "{}", Code::TooManyRedirects),
    ] {
        let error = fetch(path, params).await.expect_err(path);
        assert_eq!(error.code, code, "{path}: {error}");
        if path == "/slow" {
            assert_eq!(error.retry_after, Some(Duration::from_secs(7)));
        }
    }
    assert_eq!(fetch("/json", "{}").await.unwrap().text, "{\"a\": 1}");
    let accepted = fetch("/missing", r#"{"accept_status":[404]}"#).await.unwrap();
    assert_eq!(accepted.status, 404);
    browser.close().await;
}

#[tokio::test]
async fn the_guard_holds_for_whatever_a_page_asks_for() {
    guard_holds("/usr/lib/chromium/chromium-headless-shell").await;
}

#[tokio::test]
async fn the_guard_holds_in_the_whole_browser_too() {
    guard_holds("/usr/lib/chromium/chromium").await;
}

/// `executable` is where Debian has it.
async fn guard_holds(executable: &str) {
    // A service inside: everything that reaches it is a hole.
    let inside = Peer::start(|_| html("<p>secret")).await;
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_nonblocking(true).unwrap();
    let (port, udp_port) = (inside.address.port(), udp.local_addr().unwrap().port());
    let page = format!(
        "<body><h1>x</h1><link rel=prefetch href='http://127.0.0.1:{port}/prefetch'>
        <link rel=preconnect href='http://127.0.0.1:{port}'><link rel=dns-prefetch href='//localhost'>
        <link rel=stylesheet href='http://localhost:{port}/style'>
        <img src='http://127.0.0.1:{port}/img'><img src='http://2130706433:{port}/'>
        <img src='http://[::ffff:127.0.0.1]:{port}/'><img src='http://x.localhost:{port}/'>
        <img src='http://127.1:{port}/'><img src='http://0.0.0.0:{port}/'><img src='http://[::1]:{port}/'>
        <iframe src='http://127.0.0.1:{port}/frame'></iframe><iframe src='/to-inside'></iframe>
        <iframe src='file:///etc/passwd'></iframe><iframe src='chrome://version'></iframe>
        <video src='http://127.0.0.1:{port}/v'></video><object data='http://127.0.0.1:{port}/o'></object>
        <script>
        const at = '127.0.0.1:{port}';
        fetch('http://' + at + '/fetch', {{mode: 'no-cors'}}).catch(() => 0);
        navigator.sendBeacon('http://' + at + '/beacon');
        new WebSocket('ws://' + at + '/ws'); new EventSource('http://' + at + '/es');
        new Worker(URL.createObjectURL(new Blob([`fetch('http://${{at}}/worker', {{mode:'no-cors'}})`])));
        navigator.serviceWorker && navigator.serviceWorker.register('/sw.js').catch(() => 0);
        try {{ new WebTransport('https://' + at + '/'); }} catch (e) {{}}
        const rtc = new RTCPeerConnection({{iceServers: [{{urls: 'stun:127.0.0.1:{udp_port}'}},
          {{urls: 'turn:' + at + '?transport=tcp', username: 'a', credential: 'b'}}]}});
        rtc.createDataChannel('x'); rtc.createOffer().then(o => rtc.setLocalDescription(o));
        open('http://' + at + '/popup');
        setTimeout(() => {{ new Image().src = 'http://' + at + '/later'; }}, 300);
        </script>"
    );
    let to_inside = format!("location: http://127.0.0.1:{port}/redirect\r\n");
    let worker = format!(
        "self.addEventListener('install', e => e.waitUntil(fetch('http://127.0.0.1:{port}/sw',
         {{mode: 'no-cors'}})))"
    );
    let moves = format!("<script>location = 'http://127.0.0.1:{port}/moved'</script>");
    let refresh = format!("<meta http-equiv=refresh content='0;url=http://127.0.0.1:{port}/r'>x");
    let outside = Peer::start(move |path| match path {
        "/" => html(&page),
        "/to-inside" => Reply::Keep(answer("302 Found", &to_inside, "")),
        "/to-file" => Reply::Keep(answer("302 Found", "location: file:///etc/passwd\r\n", "")),
        "/to-chrome" => Reply::Keep(answer("302 Found", "location: chrome://version\r\n", "")),
        "/to-data" => Reply::Keep(answer("302 Found", "location: data:text/html,x\r\n", "")),
        "/moves" => html(&moves),
        "/refresh" => html(&refresh),
        "/moves-data" => html("<script>location = 'data:text/html,<h1>y</h1>'</script>x"),
        "/moves-file" => html("<script>location = 'file:///etc/passwd'</script>x"),
        "/sw.js" => Reply::Keep(ok("content-type: text/javascript\r\n", &worker)),
        _ => html("x"),
    })
    .await;
    let browser = builder(&[&outside]).executable(executable).build().unwrap();
    let fetch =
        async |path: &str, params: &str| browser.fetch(&task(&outside.url(path), params)).await;
    let page = fetch("/", r#"{"wait_ms":1500}"#).await.unwrap();
    assert!(page.text.contains("<h1>x</h1>") && !page.text.contains("root:"));
    for (path, codes) in [
        ("/to-inside", &[Code::ForbiddenAddress][..]),
        ("/to-file", &[Code::TooManyRedirects]),
        ("/to-chrome", &[Code::TooManyRedirects]),
        ("/to-data", &[Code::TooManyRedirects]),
    ] {
        let error = fetch(path, "{}").await.expect_err(path);
        assert!(codes.contains(&error.code), "{path}: {} {error}", error.code);
    }
    for path in ["/moves", "/refresh", "/moves-data", "/moves-file"] {
        match fetch(path, r#"{"wait_ms":500}"#).await {
            Ok(page) => assert!(page.final_url.as_str().starts_with(&outside.url("/"))),
            Err(error) => assert_eq!(error.code, Code::RenderFailed, "{path}: {error}"),
        }
    }
    for url in [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "http://169.254.169.254/latest".to_owned(),
        "http://[::1]:8099/".to_owned(),
    ] {
        let error = browser.fetch(&task(&url, "{}")).await.unwrap_err();
        assert_eq!(error.code, Code::ForbiddenAddress, "{url}: {error}");
    }
    assert_eq!(inside.connections(), 0, "{:?}", inside.requests());
    let nothing = udp.recv_from(&mut [0; 64]).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    browser.close().await;
}

/// The processes whose command line has this word; of browsers, the profile's directory tells whose.
fn processes(word: &str) -> Vec<(i32, String)> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let numbered = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let commands = numbered.filter_map(|id: i32| {
        let command = fs::read_to_string(format!("/proc/{id}/cmdline")).ok()?;
        command.contains(word).then(|| (id, command.replace('\0', " ")))
    });
    commands.collect()
}

/// What is left of these processes, zombies included.
fn left_of(ids: &[i32]) -> Vec<String> {
    let stat = |id: &i32| fs::read_to_string(format!("/proc/{id}/stat")).ok();
    ids.iter().filter_map(stat).collect()
}

/// The browser of this test alone: its profile is in a directory of the test's own.
struct Lone {
    browser: Browser,
    link: tempfile::TempDir,
}

impl Lone {
    /// A link to the program, whose name tells its processes from those of other tests.
    fn new(peers: &[&Peer], recycle_after: usize) -> Self {
        let link = tempfile::tempdir().unwrap();
        let path = link.path().join("chromium");
        let target = Browser::find().unwrap();
        fs::write(
            &path,
            format!(
                "#!/bin/sh\nexec {} \"$@\" --lone={}\n",
                target.display(),
                link.path().display()
            ),
        )
        .unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let browser = builder(peers).executable(path).recycle_after(recycle_after).build().unwrap();
        Self { browser, link }
    }

    fn main_process(&self) -> Option<Pid> {
        let all = processes(&format!("--lone={}", self.link.path().display()));
        let main = all.iter().find(|(_, command)| !command.contains("--type="));
        main.and_then(|(id, _)| Pid::from_raw(*id))
    }

    /// Processes of this browser, with the helpers that have left its group: those work for its
    /// profile.
    fn group(&self) -> Vec<i32> {
        let Some(main) = self.main_process() else { return Vec::new() };
        let command = fs::read_to_string(format!("/proc/{}/cmdline", main.as_raw_nonzero()));
        let command = command.unwrap_or_default();
        let profile = command.split('\0').find_map(|word| word.strip_prefix("--user-data-dir="));
        let helpers = processes(profile.unwrap()).into_iter().map(|(id, _)| id);
        let all = fs::read_dir("/proc").unwrap().flatten();
        let in_group = all.filter_map(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let group =
                stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?.parse::<i32>().ok()?;
            let id = entry.file_name().to_str()?.parse().ok()?;
            (group == main.as_raw_nonzero().get()).then_some(id)
        });
        in_group.chain(helpers).collect::<HashSet<_>>().into_iter().collect()
    }
}

fn is_running(id: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'))
}

#[tokio::test]
async fn a_browser_that_is_killed_in_the_middle_of_a_job_costs_no_url_and_no_pace() {
    const PAGES: usize = 60;
    // A host may always be asked for one page at least, so all browsers' pages can be open at once.
    let gate = Gate::open(AT_ONCE);
    let peers = join_all((0..AT_ONCE).map(|_| {
        let gate = Arc::clone(&gate);
        Peer::start(move |_| {
            let page = ok("content-type: text/html\r\n", "<h1>hello</h1>");
            Reply::Behind(Arc::clone(&gate), page)
        })
    }))
    .await;
    // As the first process of a container: helpers whose browser has died become our children.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let lone = Lone::new(&peers.iter().collect::<Vec<_>>(), 1_000);
    let sink = MemorySink::new();
    let list = ListSource::new((0..PAGES).map(|n| peers[n % AT_ONCE].url(&format!("/{n}"))));
    let params: Params = serde_json::from_str(r#"{"wait_for":"h1"}"#).unwrap();
    let job = Job::new(
        Arc::new(list.with_params(params)),
        Arc::new(lone.browser.clone()),
        Arc::new(sink.clone()),
    )
    .with_concurrency(16)
    .with_retry(RetryPolicy::default().with_base(Duration::from_millis(50)))
    .spawn();
    let mut progress = job.watch();
    let is_under_way = progress.wait_for(|progress| progress.counters.ok >= 10).await.is_ok();
    assert!(is_under_way, "the job has ended early: {:?}", sink.lines());
    let group = lone.group();
    assert!(group.len() > 2, "{group:?}");
    kill_process(lone.main_process().unwrap(), Signal::KILL).unwrap();
    // Had the death cost one of the places for pages, there would never be that many again.
    gate.close();
    let ended = timeout(DEADLINE, job.wait()).await;
    let report = ended.expect("the job goes on at its pace").unwrap();
    assert_eq!(
        (report.counters.ok, report.counters.errored()),
        (PAGES as u64, 0),
        "{:?}",
        report.counters
    );
    let urls: HashSet<_> = sink
        .lines()
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["url"].to_string())
        .collect();
    assert_eq!((sink.lines().len(), urls.len()), (PAGES, PAGES));
    assert!(!gate.is_closed(), "as many pages were open again as before");
    let both = [group, lone.group()].concat();
    lone.browser.close().await;
    let gone = async {
        while !left_of(&both).is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(DEADLINE, gone).await.is_ok(), "zombies or more: {:?}", left_of(&both));
}

#[tokio::test]
async fn a_renderer_that_dies_or_hangs_costs_its_page() {
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let peer = Peer::start(move |path| {
        *count.lock().unwrap() += 1;
        if path == "/wait" { html("<h1>x</h1><p>wait") } else { html("<h1>fine</h1>") }
    })
    .await;
    let lone = Lone::new(&[&peer], 1_000);
    let url = peer.url("/wait");
    let waiting = task(&url, r#"{"wait_for":"h2"}"#);
    let (result, ()) = tokio::join!(lone.browser.fetch(&waiting), async {
        while *seen.lock().unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let group = lone.group();
        for (id, command) in processes("--type=renderer") {
            if group.contains(&id) && !command.contains("--extension-process") {
                kill_process(Pid::from_raw(id).unwrap(), Signal::KILL).unwrap();
            }
        }
    });
    let error = result.unwrap_err();
    assert_eq!((error.code, error.retryable), (Code::RenderFailed, true), "{error}");
    assert!(error.message.contains("crashed"), "{error}");
    lone.browser.fetch(&task(&peer.url("/"), "{}")).await.unwrap();
    lone.browser.close().await;
}

#[tokio::test]
async fn a_browser_is_replaced_after_its_pages() {
    let peer = Peer::start(|_| html("<h1>hello</h1>")).await;
    let lone = Lone::new(&[&peer], 3);
    let mut mains = HashSet::new();
    for _ in 0..4 {
        let task = task(&peer.url("/"), r#"{"wait_for":"h1"}"#);
        for page in join_all((0..3).map(|_| lone.browser.fetch(&task))).await {
            page.unwrap();
        }
        mains.extend(lone.main_process().map(|pid| pid.as_raw_nonzero().get()));
    }
    assert!(mains.len() >= 3, "{mains:?}");
    lone.browser.close().await;
    // Those that were replaced end by themselves, within seconds.
    for _ in 0..100 {
        if !mains.iter().any(|id| is_running(*id)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("a replaced browser runs on");
}

#[tokio::test]
async fn too_much_memory_replaces_the_browser() {
    let peer = Peer::start(|_| html("<h1>hello</h1>")).await;
    let browser = builder(&[&peer]).max_memory(1).build().unwrap();
    // More than twice of one byte: it is ended while the page waits.
    let task = task(&peer.url("/"), r#"{"wait_for":"h2"}"#);
    let error = browser.fetch(&task).await.unwrap_err();
    assert_eq!((error.code, error.retryable), (Code::RenderFailed, true), "{error}");
    assert!(error.message.contains("ended"), "{error}");
}
