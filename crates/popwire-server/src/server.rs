//! The running server: its thread, its listeners, and what a test may ask of it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::certificate::Identity;
use crate::connection::{self, Shared};
use crate::options::Options;
use crate::record::Records;
use crate::{Builder, Maildrop, Session, StartError};

/// How long a stop waits for sessions that are writing to a disk.
const STOP: Duration = Duration::from_secs(2);

/// A running server. Dropped, it stops: sessions end where they are, nothing more is removed, locks are released.
pub struct Server {
    shared: Arc<Shared>,
    addr: SocketAddr,
    tls_addr: SocketAddr,
    identity: Identity,
    stop: watch::Sender<bool>,
    /// Behind a lock so that threads of a test may share the server.
    stopped: Mutex<mpsc::Receiver<()>>,
}

impl Server {
    /// Describes a server.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Where it listens without TLS.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where it listens with implicit TLS.
    #[must_use]
    pub fn tls_addr(&self) -> SocketAddr {
        self.tls_addr
    }

    /// The CA certificate that a client should trust, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.identity.ca_pem
    }

    /// The CA certificate that a client should trust, in DER.
    #[must_use]
    pub fn ca_der(&self) -> &[u8] {
        &self.identity.ca_der
    }

    /// The certificate that the server shows, in DER: for fingerprints.
    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.identity.leaf_der
    }

    /// A new certificate for a client, signed by the server's CA, and its key, both in PEM. A client that shows it
    /// within TLS may log in as `user` by EXTERNAL (RFC 4422 appendix A), if there is such a user. TLS asks every
    /// client for a certificate, and lets those in who have none.
    ///
    /// # Errors
    ///
    /// [`StartError::Certificate`], if it cannot be made.
    pub fn client_certificate(&self, user: impl AsRef<[u8]>) -> Result<(String, String), StartError> {
        let user = user.as_ref();
        let issued = self.identity.issue(&String::from_utf8_lossy(user)).map_err(StartError::Certificate)?;
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        clients.insert(issued.der, user.to_vec());
        Ok((issued.pem, issued.key_pem))
    }

    /// The maildrop of a user.
    #[must_use]
    pub fn maildrop(&self, user: impl AsRef<[u8]>) -> Option<Maildrop> {
        self.shared.options.accounts.get(user.as_ref()).map(|account| account.maildrop.clone())
    }

    /// All connections so far, in the order in which they were accepted.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.shared.records.all()
    }

    /// The connection that was accepted last.
    #[must_use]
    pub fn last_session(&self) -> Option<Session> {
        self.shared.records.last()
    }

    /// Waits until so many connections have ended, with their deletions done and their locks released. `false` if that
    /// did not come to pass in time.
    #[must_use]
    pub fn wait_closed(&self, connections: usize, timeout: Duration) -> bool {
        self.wait_for(timeout, |sessions| {
            sessions.iter().filter(|session| session.closed).count() >= connections
        })
    }

    /// Waits until `done` says so of the connections. `false` if that did not come to pass in time.
    #[must_use]
    pub fn wait_for(&self, timeout: Duration, done: impl FnMut(&[Session]) -> bool) -> bool {
        self.shared.records.wait(timeout, done)
    }

    pub(crate) fn start(options: Options) -> Result<Self, StartError> {
        let identity = Identity::make(options.tls.certificate, options.tls.only_1_2)?;
        let (plain, addr) = bind(options.plain_addr)?;
        let (tls, tls_addr) = bind(options.tls_addr)?;
        let shared = Arc::new(Shared {
            connections: Arc::new(Semaphore::new(options.max_connections)),
            acceptor: TlsAcceptor::from(Arc::clone(&identity.config)),
            records: Arc::new(Records::default()),
            occurrences: options.scripts.iter().map(|_| AtomicU64::new(0)).collect(),
            right_logins: AtomicU64::new(0),
            connection_count: AtomicU64::new(0),
            timestamps: AtomicU64::new(0),
            end_point: identity.end_point(),
            clients: Mutex::new(BTreeMap::new()),
            options,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("popwire-server")
            .enable_all()
            .build()
            .map_err(StartError::Thread)?;
        let (stop, mut stopping) = watch::channel(false);
        let (said, stopped) = mpsc::channel();
        let for_thread = Arc::clone(&shared);
        // A runtime must not be dropped inside another one, and a test may well be running in one: so this one lives
        // on a thread of its own, from beginning to end.
        std::thread::Builder::new()
            .name("popwire-server".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let stopping_too = stopping.clone();
                    let listeners = async {
                        tokio::join!(
                            listen(plain, false, Arc::clone(&for_thread), stopping_too.clone()),
                            listen(tls, true, Arc::clone(&for_thread), stopping_too.clone()),
                        )
                    };
                    tokio::select! {
                        _ = stopping.wait_for(|stop| *stop) => {}
                        _ = listeners => {}
                    }
                    // Sessions hold a permit each; they see the same signal.
                    let all = u32::try_from(for_thread.options.max_connections).unwrap_or(u32::MAX);
                    let _ = tokio::time::timeout(STOP, for_thread.connections.acquire_many(all)).await;
                });
                runtime.shutdown_timeout(STOP);
                // The server may have given up waiting.
                let _ = said.send(());
            })
            .map_err(StartError::Thread)?;
        Ok(Self { shared, addr, tls_addr, identity, stop, stopped: Mutex::new(stopped) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        let stopped = self.stopped.get_mut().unwrap_or_else(PoisonError::into_inner);
        // A disk that hangs must not hang the test: the thread is then left behind.
        let _ = stopped.recv_timeout(2 * STOP + Duration::from_secs(1));
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("addr", &self.addr)
            .field("tls_addr", &self.tls_addr)
            .finish_non_exhaustive()
    }
}

fn bind(addr: SocketAddr) -> Result<(StdListener, SocketAddr), StartError> {
    let bound = || -> io::Result<_> {
        let listener = StdListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        Ok((listener, addr))
    };
    bound().map_err(|source| StartError::Bind { addr, source })
}

/// Accepts connections for ever; ends only if the listener cannot be used at all.
async fn listen(listener: StdListener, tls: bool, shared: Arc<Shared>, stopping: watch::Receiver<bool>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            // Out of file descriptors, most likely: it passes.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        match Arc::clone(&shared.connections).try_acquire_owned() {
            Err(_) => turn_away(stream, tls).await,
            Ok(permit) => {
                let (shared, mut stopping) = (Arc::clone(&shared), stopping.clone());
                // Recorded here, so that sessions are in the order in which they were accepted.
                let recorder = shared.records.begin(peer, shared.options.record);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = stopping.wait_for(|stop| *stop) => {}
                        () = connection::serve(stream, tls, shared, recorder) => {}
                    }
                    drop(permit);
                });
            }
        }
    }
}

async fn turn_away(mut stream: TcpStream, tls: bool) {
    if !tls {
        // It fits into an empty socket buffer: this does not wait.
        let _ = stream.write_all(b"-ERR [SYS/TEMP] too many connections\r\n").await;
    }
}
