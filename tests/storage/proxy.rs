//! A line to the storage that can't be relied on.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.\
    </Message></Error>";

/// Hands connections on, each with its own mishap.
pub(crate) struct Proxy {
    pub(crate) address: String,
    mishaps: Arc<AtomicUsize>,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    None,
    /// It is cut when so many bytes of answers have passed.
    Cut(usize),
    /// It is cut when so many bytes of requests have passed.
    CutRequest(usize),
    /// The first byte of the answer is another one.
    Corrupt,
    Delay(Duration),
    /// It is answered that there are too many requests.
    Refuse(u16),
}

impl Proxy {
    /// Begins to listen, with mishaps that come of `seed`.
    pub(crate) fn start(to: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (to, mishaps) = (to.to_owned(), Arc::new(AtomicUsize::new(0)));
        let proxy = Self { address, mishaps: Arc::clone(&mishaps) };
        let random = Random(AtomicU64::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let mishap = random.mishap();
                if !matches!(mishap, Mishap::None) {
                    mishaps.fetch_add(1, Ordering::Relaxed);
                }
                let to = to.clone();
                thread::spawn(move || serve(client, &to, mishap));
            }
        });
        proxy
    }

    pub(crate) fn mishaps(&self) -> usize {
        self.mishaps.load(Ordering::Relaxed)
    }
}

/// Nobody is told when a connection fails: both ends find out.
fn serve(mut client: TcpStream, to: &str, mishap: Mishap) {
    let Ok(mut server) = TcpStream::connect(to) else { return };
    match mishap {
        Mishap::Refuse(status) => {
            let _ = refuse(&mut client, status);
            return;
        }
        Mishap::Delay(delay) => thread::park_timeout(delay),
        _ => {}
    }
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    let request_limit = if let Mishap::CutRequest(bytes) = mishap { bytes } else { usize::MAX };
    thread::spawn(move || {
        let _ = copy(&mut from_client, &mut to_server, request_limit, false);
        let _ = to_server.shutdown(Shutdown::Both);
        let _ = from_client.shutdown(Shutdown::Both);
    });
    let limit = if let Mishap::Cut(bytes) = mishap { bytes } else { usize::MAX };
    let is_corrupt = matches!(mishap, Mishap::Corrupt);
    let _ = copy(&mut server, &mut client, limit, is_corrupt);
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}

fn copy(
    from: &mut TcpStream,
    to: &mut TcpStream,
    mut limit: usize,
    is_corrupt: bool,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    let mut is_first = is_corrupt;
    while limit > 0 {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        if std::mem::take(&mut is_first) {
            buffer[0] ^= 0x15;
        }
        let passed = read.min(limit);
        to.write_all(&buffer[..passed])?;
        limit -= passed;
    }
    Ok(())
}

fn refuse(client: &mut TcpStream, status: u16) -> io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let length = SLOW_DOWN.len();
    write!(
        client,
        "HTTP/1.1 {status} Slow Down\r\nContent-Type: application/xml\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{SLOW_DOWN}"
    )
}

/// The same sequence for the same seed.
struct Random(AtomicU64);

impl Random {
    fn next(&self, below: u64) -> u64 {
        let mut state = self.0.load(Ordering::Relaxed);
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.store(state, Ordering::Relaxed);
        (state >> 11) % below
    }

    fn mishap(&self) -> Mishap {
        match self.next(10) {
            0 => Mishap::Cut(self.next(400) as usize),
            1 => Mishap::Cut(self.next(200_000) as usize),
            2 => Mishap::CutRequest(self.next(300_000) as usize),
            3 => Mishap::Corrupt,
            4 => Mishap::Delay(Duration::from_millis(self.next(300))),
            5 => Mishap::Refuse(503),
            6 => Mishap::Refuse(500),
            _ => Mishap::None,
        }
    }
}
