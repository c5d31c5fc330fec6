//! A server that answers exactly the bytes that a test wants, and keeps what it was sent.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// More than enough for any job of these tests, also on a machine with other work.
pub(crate) const DEADLINE: Duration = Duration::from_mins(3);

/// Says by a request how it is answered.
type Answer = dyn Fn(&str) -> Reply + Send + Sync;

/// What is done with a request.
pub(crate) enum Reply {
    /// Sends the bytes and keeps the connection.
    Keep(Vec<u8>),
    /// Sends the bytes and closes the connection.
    Close(Vec<u8>),
    /// Sends the first bytes, then the second ones until nobody reads them.
    Forever(Vec<u8>, Vec<u8>),
    /// Sends the bytes and keeps the connection, once the gate lets it pass.
    Behind(Arc<Gate>, Vec<u8>),
}

/// Shows that so many requests are under way at a time. While it is closed it holds them, until
/// enough of them wait side by side; then it is open again. A client that hangs up doesn't count.
pub(crate) struct Gate {
    width: usize,
    state: watch::Sender<GateState>,
}

#[derive(Default)]
struct GateState {
    is_closed: bool,
    waiting: usize,
}

impl Gate {
    pub(crate) fn open(width: usize) -> Arc<Self> {
        Arc::new(Self { width, state: watch::Sender::default() })
    }

    /// Closes it, if `width` requests do not wait already.
    pub(crate) fn close(&self) {
        self.state.send_modify(|state| state.is_closed = state.waiting < self.width);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.borrow().is_closed
    }

    async fn pass(&self) {
        let _waiting = Waiting::at(self);
        let _ = self.state.subscribe().wait_for(|state| !state.is_closed).await;
    }
}

/// A request at a gate, for as long as its client is there.
struct Waiting<'a>(&'a Gate);

impl<'a> Waiting<'a> {
    fn at(gate: &'a Gate) -> Self {
        gate.state.send_modify(|state| {
            state.waiting += 1;
            state.is_closed &= state.waiting < gate.width;
        });
        Self(gate)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.waiting -= 1);
    }
}

/// A hostile or at least peculiar server on loopback.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    requests: Mutex<Vec<String>>,
    connections: Mutex<usize>,
}

impl Peer {
    /// Answers by the path.
    pub(crate) async fn start(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        let path = |request: &str| request.split(' ').nth(1).unwrap_or_default().to_owned();
        Self::start_with(move |request| answer(&path(request))).await
    }

    /// Answers by the whole request.
    pub(crate) async fn start_with(answer: impl Fn(&str) -> Reply + Send + Sync + 'static) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), answer).await
    }

    /// Answers by the whole request, at an address of loopback.
    pub(crate) async fn start_at(
        address: SocketAddr,
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let answer: Arc<Answer> = Arc::new(answer);
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *shared.connections.lock().unwrap() += 1;
                tokio::spawn(serve(stream, Arc::clone(&shared), Arc::clone(&answer)));
            }
        });
        Self { address, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far: head and body as they came.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.lock().unwrap()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>, answer: Arc<Answer>) {
    while let Some(request) = read_request(&mut stream).await {
        state.requests.lock().unwrap().push(request.clone());
        let is_last = request.to_ascii_lowercase().contains("\r\nconnection: close\r\n");
        match answer(&request) {
            Reply::Keep(bytes) if !is_last => stream.write_all(&bytes).await.unwrap_or_default(),
            Reply::Keep(bytes) | Reply::Close(bytes) => {
                let _ = stream.write_all(&bytes).await;
                return;
            }
            Reply::Forever(first, more) => {
                let _ = stream.write_all(&first).await;
                while stream.write_all(&more).await.is_ok() {}
                return;
            }
            Reply::Behind(gate, bytes) => {
                let mut more = [0];
                tokio::select! {
                    () = gate.pass() => {}
                    // Nobody sends more before the answer: the client has hung up.
                    _ = stream.read(&mut more) => return,
                }
                let _ = stream.write_all(&bytes).await;
                if is_last {
                    return;
                }
            }
        }
    }
}

/// Reads a head and as much body as its `content-length` says.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}

/// A whole answer with status 200.
pub(crate) fn ok(headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", headers, body)
}

/// A whole answer; `headers` are lines that end in CRLF.
pub(crate) fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\n\r\n").into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
