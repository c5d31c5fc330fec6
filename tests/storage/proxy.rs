//! A line to the storage that can't be relied on.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::random::Random;

/// Hands connections on, each with its own mishap. What passes is not looked into.
pub(crate) struct Proxy {
    pub(crate) address: String,
    mishaps: Arc<AtomicUsize>,
}

/// What happens to one direction of a connection, when so many bytes have passed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mishap {
    None,
    /// The connection is cut.
    Cut(usize),
    /// A byte is another one.
    Corrupt(usize),
    /// Nothing passes for a while.
    Delay(usize, Duration),
}

impl Proxy {
    /// Begins to listen, with mishaps that come of `seed`.
    pub(crate) fn start(to: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (to, mishaps) = (to.to_owned(), Arc::new(AtomicUsize::new(0)));
        let proxy = Self { address, mishaps: Arc::clone(&mishaps) };
        let mut random = Random::new(seed);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (answer, request) = (Mishap::any(&mut random), Mishap::any(&mut random));
                let to = to.clone();
                let mishaps = Arc::clone(&mishaps);
                thread::spawn(move || serve(client, &to, [answer, request], &mishaps));
            }
        });
        proxy
    }

    pub(crate) fn mishaps(&self) -> usize {
        self.mishaps.load(Ordering::Relaxed)
    }
}

impl Mishap {
    /// Early, later, or when one chunk of an upload has passed and another one has begun.
    fn any(random: &mut Random) -> Self {
        let most = [6_000, 300_000, 9_000_000][random.below(3) as usize];
        let at = random.below(most) as usize;
        match random.below(4) {
            0 => Self::Cut(at),
            1 => Self::Corrupt(at),
            2 => Self::Delay(at, Duration::from_millis(random.below(300))),
            _ => Self::None,
        }
    }

    /// Where among `read` bytes it happens, if it does; the first of them is number `passed`.
    fn place(self, passed: usize, read: usize) -> Option<usize> {
        let (Self::Cut(at) | Self::Corrupt(at) | Self::Delay(at, _)) = self else { return None };
        at.checked_sub(passed).filter(|at| *at < read)
    }
}

/// Nobody is told when a connection fails: both ends find out.
fn serve(client: TcpStream, to: &str, [answer, request]: [Mishap; 2], mishaps: &Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect(to) else { return };
    let (Ok(from_client), Ok(to_server)) = (client.try_clone(), server.try_clone()) else {
        return;
    };
    let counted = Arc::clone(mishaps);
    thread::spawn(move || pass(from_client, to_server, request, &counted));
    pass(server, client, answer, mishaps);
}

fn pass(mut from: TcpStream, mut to: TcpStream, mishap: Mishap, mishaps: &AtomicUsize) {
    let _ = copy(&mut from, &mut to, mishap, mishaps);
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn copy(
    from: &mut TcpStream,
    to: &mut TcpStream,
    mishap: Mishap,
    mishaps: &AtomicUsize,
) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    let mut passed = 0;
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        if let Some(place) = mishap.place(passed, read) {
            mishaps.fetch_add(1, Ordering::Relaxed);
            match mishap {
                Mishap::Corrupt(_) => buffer[place] ^= 0x15,
                Mishap::Delay(_, time) => thread::park_timeout(time),
                _ => return to.write_all(&buffer[..place]),
            }
        }
        to.write_all(&buffer[..read])?;
        passed += read;
    }
}
