//! Sockets on loopback, all with the same congestion control.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use socket2::{Domain, SockRef, Socket, Type};

/// The kernel's default may be BBR, which paces: on loopback it halves the speed, and over a line of 50 ms it adds
/// milliseconds to each answer. Sockets that are accepted inherit this from the one that listens.
const CONGESTION_CONTROL: &[u8] = b"cubic";

/// A listening socket on a port of the system's choice.
///
/// # Errors
///
/// Those of the system. Where it has no such congestion control, it says so on standard error and goes on.
pub fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    prefer_cubic(&socket);
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(64)?;
    Ok(socket.into())
}

/// A connection to a port of this machine.
///
/// # Errors
///
/// Those of the system.
pub fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    prefer_cubic(&socket);
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// Sends small writes at once.
///
/// # Errors
///
/// Those of the system.
pub fn accepted(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_tcp_nodelay(true)
}

fn prefer_cubic(socket: &Socket) {
    #[cfg(target_os = "linux")]
    if let Err(e) = socket.set_tcp_congestion(CONGESTION_CONTROL) {
        eprintln!("no cubic congestion control, the default is used: {e}");
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (socket, CONGESTION_CONTROL);
}
